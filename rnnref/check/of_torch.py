"""torch.nn.RNN, LSTM, GRU and their cells as candidates.

torch is looked up in sys.modules, never imported: a caller who has a module has imported it.
"""
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy

from ..arrays import Array
from ..errors import NotSupported, ShapeError, describe_type
from ..interop import weights_of
from ..interop.containers import unwrap
from ..interop.identify import is_scripted, original_name
from .candidate import (GRADIENT, OUTPUT, STATE, ArrayDescription, Axis, Candidate, Chain, DirectedCell, Direction,
                        Evaluation, check_start, describe_gradient, describe_start, draw_normal, is_option, is_shape,
                        make_array, step_order)
from .onnx_engines import RefusalError
from .reference import (Part, check_width, compute_with_cells, list_part_cells, replace_part_cells, run_chain,
                        run_chain_back, zero_state)

_STATES = ("h", "c")


def wrap_torch(module: Any, x: Any, rng: numpy.random.Generator, lengths: Any = None, initial_state: Any = "both",
               dtype: Any = None) -> "TorchCandidate":
    """The candidate of a module and its input, in the layout of the module."""
    torch = sys.modules["torch"]
    refuse_quantized(module)
    with enable_gradients():
        compiled = copy_module(module)
    module = unwrap(compiled)
    module = module if dtype is None else module.to(getattr(torch, numpy.dtype(dtype).name))
    if lengths is not None and not hasattr(module, "num_layers"):
        raise NotSupported("verify", f"lengths with {describe_type(module)}", reason="it computes one step",
                           fix="leave them out")
    facts = {"candidate": f"torch {torch.__version__}, on {next(module.parameters()).device}"}
    if module.training and getattr(module, "dropout", 0):
        module.eval()
        facts["dropout"] = "off: a copy in evaluation mode was checked"
    if torch.nn.utils.parametrize.is_parametrized(module):
        module.eval()                             # some parametrisations change with every call in training mode
    layers = _make_chain(module)
    weights = {own: _to_numpy(getattr(module, own))
               for layer in layers for part in layer for own in part.names.values()}
    time = 1 if getattr(module, "batch_first", False) else 0
    x, lengths = _unpack(x, lengths, bool(time))
    x, unbatched = _add_batch(module, x, lengths, time)
    x = make_input(module, x, rng, next(iter(weights.values())).dtype)
    check_width(layers[0][0], weights, x)
    states = _make_initial_states(layers, weights, x.shape[1 - time], initial_state, rng)
    parts = [part for layer in layers for part in layer]
    zero = [a[None] for a in zero_state(parts[0], weights, x.shape[1 - time])]
    carried = "h_0" if len(parts) == len(zero) == 1 else ""
    return TorchCandidate(
        title=_make_title(module), arrays={"input": x, **states, **weights}, x="input", time=time,
        lengths=lengths, biases=tuple(name for name in weights if name.startswith("bias")), facts=facts,
        module=module, compiled=None if compiled is module else compiled, layers=layers, unbatched=unbatched,
        carried=carried, zero_carried=zero[0],
        initial=tuple(states) if is_option(initial_state, "both") else (), start=describe_start(states, initial_state),
        settable=weights.keys() <= dict(module.named_parameters()).keys())


def refuse_quantized(module: Any) -> None:
    """Raise `NotSupported` for modules whose weights are integers."""
    if any("quant" in part.lower() for part in type(module).__module__.split(".")):
        raise NotSupported("verify", f"the quantised module {type(module).__name__}",
                           reason="its weights are integers with scales, which the reference does not compute with",
                           fix="check the module that it was made from, in float32")


@contextmanager
def enable_gradients() -> Iterator[None]:
    """Record for gradients, also where the caller has turned that off by `no_grad` or `inference_mode`."""
    torch = sys.modules["torch"]
    with torch.inference_mode(False), torch.enable_grad():
        yield


def copy_module(module: Any) -> Any:
    """A copy of a module; weights that a norm computed, which torch refuses to copy, are computed anew."""
    tensor = sys.modules["torch"].Tensor
    held = [a for part in module.modules() for value in vars(part).values()
            for a in (value if isinstance(value, (list, tuple)) else (value,))]
    return deepcopy(module, {id(a): a.detach().clone() for a in held if isinstance(a, tensor) and not a.is_leaf})


def _unpack(x: Any, lengths: Any, batch_first: bool) -> tuple[Any, Any]:
    """The padded input and the lengths of a PackedSequence; other inputs as they are."""
    rnn = sys.modules["torch"].nn.utils.rnn
    if not isinstance(x, rnn.PackedSequence):
        return x, lengths
    if lengths is not None:
        raise NotSupported("verify", "lengths= with a PackedSequence", reason="it has its own")
    padded, lengths = rnn.pad_packed_sequence(x, batch_first)
    return padded, lengths.numpy()


def _add_batch(module: Any, x: Any, lengths: Any, time: int) -> tuple[Any, bool]:
    """The input with an axis for the batch, and whether it had none."""
    axes = len(x) if is_shape(x) else numpy.ndim(x) if not hasattr(x, "dim") else x.dim()
    if axes != 2 or not hasattr(module, "num_layers"):
        return x, False
    if lengths is not None:
        raise NotSupported("verify", "lengths with an input without a batch", fix="x[:, None]")
    if is_shape(x):
        return (*x[:1 - time], 1, *x[1 - time:]), True
    return numpy.expand_dims(_to_numpy(x), 1 - time), True


def _make_title(module: Any) -> str:
    title = f"torch.nn.{module}" if type(module).__module__.startswith("torch.nn.") else str(module)
    if is_scripted(module):
        title = f"scripted torch.nn.{original_name(module)}({module.input_size}, {module.hidden_size})"
    if getattr(module, "nonlinearity", "tanh") != "tanh" and "nonlinearity" not in title:
        title = f"{title[:-1]}, nonlinearity={module.nonlinearity})"
    return f"{title}.double()" if next(module.parameters()).dtype == sys.modules["torch"].float64 else title


def _make_chain(module: Any) -> list[tuple[Part, ...]]:
    """The layers of a module, each in one or two directions."""
    try:
        found = weights_of(module)
    except NotSupported as e:
        raise NotSupported("verify", ": ".join(map(str, e.args)), **e.notes,
                           fix="give the recurrent module alone, or a function with reference=cell and p=") from None
    directions = ("forward", "backward")
    return [tuple(Part(w.cell, w.layout, w.names, bool(k), f"layer {n}" + f", {directions[k]}" * (len(layer) > 1))
                  for k, w in enumerate(layer)) for n, layer in enumerate(found)]


def _to_numpy(a: Any) -> Array:
    a = a.detach().cpu() if hasattr(a, "detach") else a
    if str(getattr(a, "dtype", "")) in ("torch.bfloat16", "torch.float16"):
        raise NotSupported("verify", f"weights in {a.dtype}", fix='verify a copy in float32: dtype="float32"',
                           reason="in 16 bits rounding errors are as large as those of a wrong convention")
    return numpy.asarray(a)


def make_input(module: Any, x: Any, rng: numpy.random.Generator, dtype: Any, space: int = 0) -> Array:
    """The input as an array with 3 axes; a tuple of integers is a shape, filled with random numbers.

    space   the number of axes of space between time and the inputs: of a convolution
    """
    x = make_array(x, rng, dtype) if is_shape(x) else _to_numpy(x)
    if x.ndim == 2 and not hasattr(module, "num_layers"):
        x = x[None]                               # a cell: one step
    if x.ndim != 3 + space:
        axes = "batch, time, places, input" if space else "time, batch, input (batch first with batch_first=True)"
        raise ShapeError("verify", f"the input has shape {x.shape}, expected {3 + space} axes", axes=axes,
                         fix="for an input without a batch: x[:, None]" if x.ndim == 2 else "")
    return x.astype(dtype)


def _make_initial_states(layers: list, weights: dict[str, Array], batch: int, initial_state: Any,
                         rng: numpy.random.Generator) -> dict[str, Array]:
    """{"h_0": [layers and directions, B, H], "c_0": ...}, random or as given; nothing for "zero"."""
    if isinstance(initial_state, str) and check_start(initial_state) == "zero":
        return {}
    zero = [zero_state(part, weights, batch) for layer in layers for part in layer]
    shapes = [(len(zero), *a.shape) for a in zero[0]]
    if isinstance(initial_state, str):
        states = [draw_normal(rng, shape, zero[0][0].dtype, 0.5) for shape in shapes]
    else:
        arrays = initial_state if isinstance(initial_state, (tuple, list)) else (initial_state,)
        states = [_to_numpy(a) for a in arrays]
        if batch == 1 and [a.shape for a in states] == [(s[0], s[2]) for s in shapes]:
            states = [a[:, None] for a in states]  # without a batch
        states = [a[None] if a.ndim == 2 else a for a in states]
        if [a.shape for a in states] != shapes:
            raise ShapeError("verify", f"initial_state has shapes {[a.shape for a in states]}, expected {shapes}",
                             axes="layers and directions, batch, units: h_0, and c_0 of an LSTM")
    return {f"{name}_0": a.astype(zero[0][0].dtype) for name, a in zip(_STATES, states)}


@dataclass
class TorchCandidate(Candidate):
    """A module, and the chain of cells `layers` that it should equal."""
    module: Any = None
    compiled: Any = None                          # what torch.compile made of it: this is called then
    layers: Any = ()
    unbatched: bool = False                       # True: the module gets its input without the axis of the batch

    @property
    def parts(self) -> list[Part]:
        """All layers in all directions, in order."""
        return [part for layer in self.layers for part in layer]

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the states: ("h",) or ("h", "c")."""
        return _STATES[:len(self.parts[0].cell.rule.widths)]

    def _swap_time(self, a: Array) -> Array:
        """From the layout of the module to time first, and back."""
        return a.swapaxes(0, 1) if self.time else a

    def run_reference(self, arrays: dict[str, Array], **options: Any) -> Evaluation:
        first = None
        if "h_0" in arrays:
            first = list(zip(*(arrays[f"{name}_0"] for name in self.states)))
        result = run_chain(self.layers, arrays, self._swap_time(arrays["input"]), first, self.lengths, **options)
        last = {f"{name}_n": numpy.stack(pieces) for name, pieces in zip(self.states, zip(*result.last))}

        def back(d: dict[str, Array]) -> dict[str, Array]:
            dlast = list(zip(*(d[f"{name}_n"] for name in self.states)))
            dx, dfirst, dp = run_chain_back(result, self._swap_time(d["output"]), dlast)
            dstates = {f"d{name}_0": numpy.stack(pieces) for name, pieces in zip(self.states, zip(*dfirst))}
            return {"dinput": self._swap_time(dx), **(dstates if first else {}), **dp}
        return Evaluation({"output": self._swap_time(result.ys), **last}, back)

    def list_cells(self) -> list[DirectedCell]:
        return list_part_cells(self.parts, self.arrays)

    def replace_cells(self, cells: list[DirectedCell]) -> "TorchCandidate":
        return replace(self, layers=replace_part_cells(self.layers, cells))

    def read_forwards(self, layer: int | None) -> "TorchCandidate":
        layers = [tuple(part._replace(reverse=part.reverse and layer not in (None, n)) for part in own)
                  for n, own in enumerate(self.layers)]
        return replace(self, layers=layers)

    def compute_with(self, cells: list[DirectedCell]) -> "TorchCandidate":
        return replace(self, layers=compute_with_cells(self.layers, cells))

    def list_directions(self, results: dict[str, Array]) -> list[Direction]:
        if len(self.layers) > 1 or "output" not in results:
            return []
        x, count = self._swap_time(self.arrays["input"]), len(self.parts)
        first = zip(*(self.arrays[f"{s}_0"] for s in self.states)) if "h_0" in self.arrays else ((),) * count
        ys = numpy.split(self._swap_time(results["output"]), count, -1)
        return [Direction(x, y, tuple(s), part.reverse) for y, s, part in zip(ys, first, self.parts)]

    def describe_chain(self, results: dict[str, Array]) -> Chain | None:
        if "h_n" not in results:
            return None
        below: list[tuple[int, ...]] = []
        own: tuple[int, ...] = ()
        for layer in self.layers:
            below += [own] * len(layer)
            own = tuple(range(len(below) - len(layer), len(below)))
        first = zip(*(self.arrays[f"{s}_0"] for s in self.states)) if "h_0" in self.arrays else ((),) * len(below)
        return Chain(self._swap_time(self.arrays["input"]), tuple(below), [tuple(s) for s in first],
                     list(results["h_n"]), [part.reverse for part in self.parts])

    def run_candidate(self, arrays: dict[str, Array]) -> Evaluation:
        with enable_gradients(), sys.modules["torch"].nn.utils.parametrize.cached():
            return self._run(arrays)

    def run_inference(self, arrays: dict[str, Array]) -> dict[str, Array] | None:
        if self.compiled is not None:             # it would be compiled once more
            return None
        modes = [(part, part.training) for part in self.module.modules()]
        torch = sys.modules["torch"]
        try:
            self.module.eval()
            with torch.inference_mode(False), torch.no_grad(), torch.nn.utils.parametrize.cached():
                return self._run(arrays).results
        finally:
            for part, training in modes:
                part.training = training

    def _run(self, arrays: dict[str, Array]) -> Evaluation:
        """One module for all calls: what it remembers shows."""
        torch, module = sys.modules["torch"], self.module
        own, like = dict(module.named_parameters()), next(module.parameters())
        with torch.no_grad():
            for name in own.keys() & arrays.keys():
                own[name].copy_(torch.tensor(arrays[name]))
        x, *states = (torch.tensor(arrays[name], device=like.device, requires_grad=True)
                      for name in ("input", *(f"{s}_0" for s in self.states)) if name in arrays)
        leaves = {"input": x, **{f"{s}_0": a for s, a in zip(self.states, states)},
                  **{name: own[name] for name in arrays if name in own}}
        for a in leaves.values():
            a.requires_grad_(True)
        results = self._call(module if self.compiled is None else self.compiled, x, states)
        derived = {name: getattr(module, name) for name in arrays.keys() - leaves.keys()}    # computed by a norm
        leaves |= {name: a for name, a in derived.items() if a.requires_grad}

        def back(d: dict[str, Array]) -> dict[str, Array]:
            outs = {name: a for name, a in results.items() if a.requires_grad}
            with enable_gradients():
                given = [torch.tensor(d[name], device=a.device, dtype=a.dtype) for name, a in outs.items()]
                grads = torch.autograd.grad(list(outs.values()), list(leaves.values()), given, allow_unused=True)
            return {f"d{name}": _to_numpy(torch.zeros_like(a) if g is None else g)
                    for (name, a), g in zip(leaves.items(), grads) if g is not None or name not in derived}
        return Evaluation({name: _to_numpy(a) for name, a in results.items()}, back,
                          lambda: {name: _to_numpy(a) for name, a in leaves.items()})

    def _call(self, module: Any, x: Any, states: list) -> dict[str, Any]:
        """The results of the module by name, as tensors."""
        if not hasattr(module, "num_layers"):
            return self._run_steps(module, x, states)
        torch = sys.modules["torch"]
        rnn = torch.nn.utils.rnn
        first = () if not states else (states[0],) if len(states) == 1 else (tuple(states),)
        if self.unbatched:
            return self._call_unbatched(module, x, states)
        if self.lengths is None:
            ys, last = (module.forward__0 if is_scripted(module) else module)(x, *first)
        else:
            if is_scripted(module):
                raise RefusalError("lengths with a scripted module: it is called with tensors only")
            packed = rnn.pack_padded_sequence(x, torch.as_tensor(self.lengths), bool(self.time), enforce_sorted=False)
            ys, last = module(packed, *first)
            ys, _ = rnn.pad_packed_sequence(ys, bool(self.time), total_length=self.size[0])
        last = last if isinstance(last, tuple) else (last,)
        return {"output": ys, **{f"{s}_n": a for s, a in zip(self.states, last)}}

    def _call_unbatched(self, module: Any, x: Any, states: list) -> dict[str, Any]:
        first = [a.squeeze(1) for a in states]
        start = () if not first else (first[0],) if len(first) == 1 else (tuple(first),)
        call = module.forward__0 if is_scripted(module) else module
        ys, last = call(x.squeeze(1 - self.time), *start)
        last = last if isinstance(last, tuple) else (last,)
        return {"output": ys.unsqueeze(1 - self.time), **{f"{s}_n": a.unsqueeze(1) for s, a in zip(self.states, last)}}

    def _run_steps(self, cell: Callable, x: Any, states: list) -> dict[str, Any]:
        """The results of a cell, called step by step."""
        s, ys = tuple(a[0] for a in states), []
        for x_t in x:
            s = cell(x_t, s if len(s) > 1 else s[0] if s else None)
            s = s if isinstance(s, tuple) else (s,)
            ys.append(s[0])
        return {"output": sys.modules["torch"].stack(ys), **{f"{n}_n": a[None] for n, a in zip(self.states, s)}}

    def describe_arrays(self) -> dict[str, ArrayDescription]:
        count, T = len(self.layers[0]), self.size[0]
        directions = ("forward", "backward") if count > 1 else ()
        H = self.parts[-1].cell.width(zero_state(self.parts[-1], self.arrays, 1)[-1].shape[-1])
        steps = numpy.concatenate([numpy.repeat(step_order(T, bool(k))[:, None], H, 1) for k in range(count)], 1)
        axes = (Axis("t"), Axis("row"))
        along = (lambda *rest: (*axes[::-1], *rest)) if self.time else (lambda *rest: (*axes, *rest))
        labels = tuple(part.label for part in self.parts)
        layer = numpy.array([n for n, layer in enumerate(self.layers) for _ in layer])[:, None, None]
        whole = Axis("", labels if len(labels) > 1 else ("",)), Axis("row"), Axis("unit")
        dstep = self._swap_time(step_order(T, backwards=True)[:, None, None]) if count == 1 else 0
        found = {"output": ArrayDescription(OUTPUT, along(Axis("unit", directions)), self._swap_time(steps[:, None])),
                 "dinput": ArrayDescription(GRADIENT, along(Axis("input")), dstep)}
        for s in self.states:
            found |= {f"{s}_n": ArrayDescription(STATE, whole, layer), f"d{s}_0": ArrayDescription(GRADIENT, whole)}
        for part in self.parts:
            found |= {"d" + own: describe_gradient(part.layout, table) for table, own in part.names.items()}
        return found
