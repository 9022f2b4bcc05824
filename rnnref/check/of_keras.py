"""Recurrent layers of Keras 3 as candidates: results on every backend, gradients on torch and jax."""
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy

from ..arrays import Array
from ..errors import NotSupported, ShapeError
from ..interop import weights_of
from .candidate import (GRADIENT, OUTPUT, STATE, ArrayDescription, Axis, Candidate, Chain, DirectedCell, Direction,
                        Evaluation, check_start, describe_gradient, describe_start, draw_normal, is_option, step_order)
from .of_torch import make_input
from .reference import (Part, check_width, compute_with_cells, list_part_cells, replace_part_cells, run_chain,
                        run_chain_back, zero_state)

# merge_mode: the output of two directions, and its backward pass
_MERGES: dict[Any, tuple] = {
    "concat": (lambda a, b: numpy.concatenate([a, b], -1), lambda d, a, b: numpy.split(d, [a.shape[-1]], -1)),
    "sum": (lambda a, b: a + b, lambda d, a, b: (d, d)),
    "ave": (lambda a, b: (a + b) / 2, lambda d, a, b: (d / 2, d / 2)),
    "mul": (lambda a, b: a * b, lambda d, a, b: (d * b, d * a)),
}


def wrap_keras(layer: Any, x: Any, rng: numpy.random.Generator, lengths: Any = None, initial_state: Any = "both",
               dtype: Any = None, mask: Array | None = None) -> "KerasCandidate":
    """The candidate of a layer and its input [B, T, I], or [B, T, places ..., I] of a ConvLSTM.

    mask   [B, T] bool, in place of lengths
    """
    keras = sys.modules["keras"]
    _check_layer(layer, initial_state, dtype)
    space = getattr(getattr(getattr(layer, "forward_layer", layer), "cell", None), "rank", 0)
    x = make_input(layer, x, rng, numpy.dtype(layer.compute_dtype), space)
    if not layer.built:
        layer.build(x.shape)
    directions = {name: getattr(layer, f"{name}_layer", layer) for name in _list_directions(layer)}
    cells = {name: [w for (w,) in weights_of(own)] for name, own in directions.items()}
    paths = [path for of in cells.values() for w in of for path in w.names.values()]
    names = dict(zip(paths, _shorten_paths(paths)))
    chains = [_make_chain(cells[name], names, own.go_backwards, name) for name, own in directions.items()]
    weights = {names[path]: a for of in cells.values() for w in of
               for path, a in zip(w.names.values(), w.arrays.values())}
    for chain in chains:
        check_width(chain[0][0], weights, x)
    initial_state = _check_halves(chains, initial_state)
    states = _make_initial_states(chains, weights, x, initial_state, rng)
    optional = is_option(initial_state, "both") and not layer.stateful
    parts = _flatten_chains(chains)
    zero = zero_state(parts[0], weights, x.shape[0])
    alone = len(parts) == len(zero) == 1 and layer.return_sequences and not layer.go_backwards
    facts = {"candidate": f"Keras {keras.__version__} on {keras.backend.backend()}"}
    if keras.backend.backend() not in ("torch", "jax"):
        facts["gradients"] = f"not compared: not available from Keras on {keras.backend.backend()}"
    return KerasCandidate(
        title=f"Keras {type(layer).__name__} {layer.name!r}", arrays={"x": x, **states, **weights}, time=1,
        lengths=lengths, mask=None if mask is None else numpy.asarray(mask, bool).T,
        biases=tuple(n for n in weights if n.endswith("bias")), settable=True,
        initial=tuple(states) if optional else (), start=describe_start(states, initial_state),
        backwards=len(chains) == 1 and layer.go_backwards, facts=facts,
        carried=_add_label("h0", parts[0]) if alone else "", zero_carried=zero[0], layer=layer, chains=chains,
        names=names)


def _make_chain(cells: list, names: dict[str, str], reverse: bool, direction: str) -> list[tuple[Part]]:
    """The cells of one direction, in order; `names`: the path of a variable -> its name in the candidate's arrays."""
    return [(Part(w.cell, w.layout, {table: names[path] for table, path in w.names.items()}, reverse,
                  ", ".join(filter(None, (direction, f"cell {n}" if len(cells) > 1 else "")))),)
            for n, w in enumerate(cells)]


def _check_layer(layer: Any, initial_state: Any, dtype: Any) -> None:
    """Refuse layers and options that cannot be checked."""
    who = f"Keras {type(layer).__name__}"
    if not (hasattr(layer, "cell") or hasattr(layer, "forward_layer")):
        raise NotSupported("verify", who, known="SimpleRNN, LSTM, GRU, ConvLSTM, RNN of their cells, Bidirectional of "
                           "these", fix="for a cell: verify(keras.layers.RNN(cell), ...)")
    if layer.compute_dtype not in ("float32", "float64") or layer.variable_dtype != layer.compute_dtype:
        raise NotSupported("verify", f"{who} in {layer.compute_dtype}", known="float32, float64",
                           reason="in 16 bits rounding errors are as large as those of a wrong convention")
    if layer.compute_dtype == "float64" and sys.modules["keras"].backend.backend() == "jax" and not \
            sys.modules["jax"].config.jax_enable_x64:
        raise NotSupported("verify", f"{who} in float64 on JAX", reason="JAX computes in float32 unless x64 is enabled",
                           fix='jax.config.update("jax_enable_x64", True), or a layer with dtype="float32"')
    if dtype is not None and numpy.dtype(dtype) != layer.compute_dtype:
        raise NotSupported("verify", f"dtype={dtype!r} of {who}", fix=f"make the layer with dtype={str(dtype)!r}")
    if layer.stateful and isinstance(initial_state, str) and initial_state == "zero":
        raise NotSupported("verify", "stateful=True with initial_state=\"zero\"", fix='initial_state="random"')


def _list_directions(layer: Any) -> tuple[str, ...]:
    return ("forward", "backward") if hasattr(layer, "forward_layer") else ("",)


def _shorten_paths(paths: list[str]) -> list[str]:
    """The shortest endings of the paths that are unique."""
    def shorten(path: str) -> str:
        words = path.split("/")
        endings = ["/".join(words[k:]) for k in reversed(range(len(words)))]
        return next(e for e in endings if sum(p == e or p.endswith("/" + e) for p in paths) == 1)
    return [shorten(path) for path in paths]


def _add_label(name: str, part: Part) -> str:
    return f"{name} ({part.label})" if part.label else name


def _flatten_chains(chains: Sequence) -> list[Part]:
    return [part for chain in chains for (part,) in chain]


def _list_states(part: Part) -> list[str]:
    return list(part.cell.rule.widths)


def _make_initial_states(chains: list, weights: dict[str, Array], x: Array, initial_state: Any,
                         rng: numpy.random.Generator) -> dict[str, Array]:
    """{"h0": [B, H], "c0 (backward)": ...}, random or as given; nothing for "zero"."""
    zero = {_add_label(f"{n}0", part): a for part in _flatten_chains(chains)
            for n, a in zip(_list_states(part), zero_state(part, weights, len(x), x.shape[2:-1]))}
    if isinstance(initial_state, str):
        if check_start(initial_state) == "zero":
            return {}
        return {n: draw_normal(rng, a.shape, a.dtype, 0.5) for n, a in zero.items()}
    arrays = [numpy.asarray(a) for a in flatten_states(initial_state)]
    if [a.shape for a in arrays] != [a.shape for a in zero.values()]:
        raise ShapeError("verify", f"initial_state has shapes {[a.shape for a in arrays]}, expected "
                                   f"{[a.shape for a in zero.values()]}", names=" ".join(zero))
    return {n: a.astype(z.dtype) for (n, z), a in zip(zero.items(), arrays)}


def _check_halves(chains: list, initial_state: Any) -> Any:
    """`initial_state`, or "zero" where Keras cannot be given any: it splits the list of states in the middle."""
    counts = {sum(len(_list_states(part)) for (part,) in chain) for chain in chains}
    if len(counts) == 1 or is_option(initial_state, "zero"):
        return initial_state
    if is_option(initial_state, "both"):
        return "zero"
    raise NotSupported("verify", "initial_state of a Bidirectional whose halves have unequal numbers of states",
                       reason="Keras splits the list of states in the middle", fix='initial_state="zero"')


def flatten_states(tree: Any) -> list:
    return [a for item in tree for a in flatten_states(item)] if isinstance(tree, (tuple, list)) else [tree]


@dataclass
class KerasCandidate(Candidate):
    """A layer, and the chains of cells that it should equal: one for each direction."""
    layer: Any = None
    chains: Any = ()
    names: Any = None                             # the path of a variable -> its name in `arrays`

    @property
    def padding(self) -> str:
        """The outputs of the layer in the padding, as the option `padding` of `run`."""
        layer = getattr(self.layer, "forward_layer", self.layer)
        return "zero" if layer.zero_output_for_mask else "repeat"

    def run_reference(self, arrays: dict[str, Array], **options: Any) -> Evaluation:
        x = arrays["x"].swapaxes(0, 1)
        results = [run_chain(chain, arrays, x, self._initial_states_of(chain, arrays), self.lengths, self.padding,
                             self.mask, **options) for chain in self.chains]
        ys = [self._to_layer_output(result.ys, k) for k, result in enumerate(results)]
        merge, split = self._merging
        last = {_add_label(n, part): a for result, chain in zip(results, self.chains) for (part,), state
                in zip(chain, result.last) for n, a in zip(_list_states(part), state)}

        def back(d: dict[str, Array]) -> dict[str, Array]:
            dx: Any = 0
            found: dict = {}
            for k, (result, chain, dy) in enumerate(zip(results, self.chains, split(d, *ys))):
                ends = [tuple(d.get(_add_label(n, part), numpy.zeros_like(a))
                              for n, a in zip(_list_states(part), state))
                        for (part,), state in zip(chain, result.last)]
                dx_chain, dfirst, dp = run_chain_back(result, self._from_layer_output(dy, result.ys, k), ends)
                dx, found = dx + dx_chain, found | dp | {
                    "d" + _add_label(f"{n}0", part): a for (part,), state in zip(chain, dfirst)
                    for n, a in zip(_list_states(part), state)}
            return {"d" + n: found["d" + n] if n != "x" else dx.swapaxes(0, 1) for n in arrays}
        return Evaluation({**merge(*ys), **(last if self.layer.return_state else {})}, back)

    def _initial_states_of(self, chain: Sequence, arrays: dict[str, Array]) -> list[tuple] | None:
        """The initial state of every cell of a chain; None: zeros."""
        if not any(n.startswith("h0") for n in arrays):
            return None
        return [tuple(arrays[_add_label(f"{n}0", part)] for n in _list_states(part)) for (part,) in chain]

    @property
    def _outputs(self) -> tuple[str, ...]:
        """The names of the outputs: one, or with merge_mode=None one for each direction."""
        apart = len(self.chains) > 1 and self.layer.merge_mode is None
        return ("output (forward)", "output (backward)") if apart else ("output",)

    @property
    def _merging(self) -> tuple[Callable, Callable]:
        """(the outputs of the directions -> results by name, gradients of results -> those of the directions)."""
        names = self._outputs
        if len(names) == len(self.chains):
            return (lambda *ys: dict(zip(names, ys))), (lambda d, *ys: [d[name] for name in names])
        merge, split = _MERGES[self.layer.merge_mode]
        return (lambda *ys: {"output": merge(*ys)}), (lambda d, *ys: split(d["output"], *ys))

    @property
    def _widths(self) -> tuple[int, ...]:
        """The width of the output of each direction."""
        parts = [chain[-1][0] for chain in self.chains]
        return tuple(part.cell.width(part.cell.units(part.load_parameters(self.arrays))) for part in parts)

    def _is_flipped(self, k: int) -> bool:
        """True if the k-th direction returns its last timestep first: as read, but Bidirectional flips the second."""
        return bool(self.chains[k][0][0].reverse) ^ bool(k)

    def _to_layer_output(self, ys: Array, k: int) -> Array:
        """Outputs of the k-th direction as the layer returns them: batch first; all or the last that was read."""
        if not self.layer.return_sequences:
            return ys[0 if self.chains[k][0][0].reverse else -1]
        return (ys[::-1] if self._is_flipped(k) else ys).swapaxes(0, 1)

    def _from_layer_output(self, dy: Array, ys: Array, k: int) -> Array:
        """The gradient of ys [T, B, H] from that of what the k-th direction returns."""
        if self.layer.return_sequences:
            dy = dy.swapaxes(0, 1)
            return dy[::-1] if self._is_flipped(k) else dy
        dys = numpy.zeros_like(ys)
        dys[0 if self.chains[k][0][0].reverse else -1] = dy
        return dys

    def list_cells(self) -> list[DirectedCell]:
        if self.arrays["x"].ndim > 3:             # of convolutions
            return []
        return list_part_cells(_flatten_chains(self.chains), self.arrays)

    def replace_cells(self, cells: list[DirectedCell]) -> "KerasCandidate":
        rest = iter(cells)
        return replace(self, chains=[replace_part_cells(chain, rest) for chain in self.chains])

    def compute_with(self, cells: list[DirectedCell]) -> "KerasCandidate":
        rest = iter(cells)
        return replace(self, chains=[compute_with_cells(chain, rest) for chain in self.chains])

    def list_directions(self, results: dict[str, Array]) -> list[Direction]:
        two = len(self.chains) > 1
        if (max(map(len, self.chains)) > 1 or not self.layer.return_sequences or "output" not in results
                or two and self.layer.merge_mode != "concat" or self.arrays["x"].ndim > 3):
            return []
        ys, found = numpy.split(results["output"].swapaxes(0, 1), numpy.cumsum(self._widths)[:-1], -1), []
        for k, (y, chain) in enumerate(zip(ys, self.chains)):
            y = y[::-1] if self._is_flipped(k) else y
            first = self._initial_states_of(chain, self.arrays)
            found.append(Direction(self.arrays["x"].swapaxes(0, 1), y, first[0] if first else (), chain[0][0].reverse))
        return found

    def describe_chain(self, results: dict[str, Array]) -> Chain | None:
        if self.arrays["x"].ndim > 3:
            return None
        below: list[tuple[int, ...]] = []
        first: list[tuple] = []
        last = []
        ends = self._split_last(results)
        for k, chain in enumerate(self.chains):
            states = self._initial_states_of(chain, self.arrays) or [()] * len(chain)
            for n, (part,) in enumerate(chain):
                below.append((len(below) - 1,) if n else ())
                first.append(states[n])
                last.append(results.get(_add_label("h", part), ends[k] if ends and n == len(chain) - 1 else None))
        if any(a is None for a in last):
            return None
        return Chain(self.arrays["x"].swapaxes(0, 1), tuple(below), first, last,
                     [part.reverse for part in _flatten_chains(self.chains)])

    def _split_last(self, results: dict[str, Array]) -> list[Array]:
        """The outputs of the directions at their last steps, of a layer that returns no others; [] where not known."""
        if "output" not in results or self.layer.return_sequences or \
                len(self.chains) > 1 and self.layer.merge_mode != "concat":
            return []
        return numpy.split(results["output"], numpy.cumsum(self._widths)[:-1], -1)

    def run_candidate(self, arrays: dict[str, Array]) -> Evaluation:
        keras = sys.modules["keras"]
        values = {name: keras.ops.convert_to_tensor(a) for name, a in arrays.items()}
        backend = keras.backend.backend()
        if backend == "torch":
            for a in values.values():
                a.requires_grad_(True)
        if backend == "jax":
            results, pull = sys.modules["jax"].vjp(self._call, values)
        else:
            results = self._call(values)

        def back(d: dict[str, Array]) -> dict[str, Array]:
            if backend == "jax":
                return {f"d{n}": numpy.asarray(a) for n, a in pull(dict(d))[0].items()}
            return self._torch_gradients(values, results, d)
        return Evaluation({name: keras.ops.convert_to_numpy(a) for name, a in results.items()},
                          back if backend in ("torch", "jax") else None,
                          lambda: {name: keras.ops.convert_to_numpy(a) for name, a in values.items()})

    def _torch_gradients(self, values: dict[str, Any], results: dict[str, Any], d: dict[str, Array],
                         ) -> dict[str, Array]:
        torch = sys.modules["torch"]
        grads = torch.autograd.grad(
            list(results.values()), list(values.values()),
            [torch.tensor(d[n], device=a.device, dtype=a.dtype) for n, a in results.items()], allow_unused=True)
        return {f"d{n}": (torch.zeros_like(a) if g is None else g).detach().cpu().numpy()
                for (n, a), g in zip(values.items(), grads)}

    def _call(self, values: dict[str, Any]) -> dict[str, Any]:
        """The results of the layer as a pure function of tensors: its own variables are not changed."""
        layer, options = self.layer, {}
        own = [[values.get(self.names.get(v.path), v.value) for v in variables]
               for variables in (layer.trainable_variables, layer.non_trainable_variables)]
        if any(n.startswith("h0") for n in values):
            options["initial_state"] = self._nest_states(values)
        padded = self.padding_mask()
        if padded is not None:
            options["mask"] = sys.modules["keras"].ops.convert_to_tensor(~padded.T)
        returned, _ = layer.stateless_call(*own, values["x"], training=False, **options)
        names = [_add_label(n, part) for part in _flatten_chains(self.chains) for n in _list_states(part)]
        return dict(zip([*self._outputs, *names], flatten_states(returned)))

    def _nest_states(self, values: dict[str, Any]) -> list:
        """The initial states in the form that the layer takes: a flat list, or a list per cell of several."""
        states = [[values[_add_label(f"{n}0", part)] for n in _list_states(part)]
                  for part in _flatten_chains(self.chains)]
        return states if len(self.chains[0]) > 1 else [a for state in states for a in state]

    def describe_arrays(self) -> dict[str, ArrayDescription]:
        T, places = self.size[0], (Axis("place"),) * (self.arrays["x"].ndim - 3)
        row, t, deep = Axis("row"), Axis("t"), (1,) * len(places)
        found = self._describe_outputs(row, t, places)
        step = 0 if len(self.chains) > 1 else step_order(T, not self.backwards).reshape(T, *deep, 1)
        found["dx"] = ArrayDescription(GRADIENT, (row, t, *places, Axis("input")), step)
        state = row, *places, Axis("unit")
        for part in _flatten_chains(self.chains):
            for n in _list_states(part):
                found |= {_add_label(n, part): ArrayDescription(STATE, state),
                          "d" + _add_label(f"{n}0", part): ArrayDescription(GRADIENT, state)}
            found |= {"d" + own: describe_gradient(part.layout, table, len(places))
                      for table, own in part.names.items()}
        return found

    def _describe_outputs(self, row: Axis, t: Axis, places: tuple[Axis, ...]) -> dict[str, ArrayDescription]:
        """Those of the outputs, of one or of both directions."""
        T, deep, layer, widths = self.size[0], (1,) * len(places), self.layer, self._widths
        orders = [step_order(T, bool(chain[0][0].reverse) ^ self._is_flipped(k)) for k, chain in enumerate(self.chains)]
        concat = len(widths) > 1 and layer.merge_mode == "concat"
        unit = Axis("unit", ("forward", "backward"), sizes=widths) if concat else Axis("unit")
        if not layer.return_sequences:
            return {name: ArrayDescription(OUTPUT, (row, *places, unit)) for name in self._outputs}
        steps = [order.reshape(T, *deep, 1) for order in orders]
        if concat:
            steps = [numpy.concatenate([numpy.repeat(a, n, -1) for a, n in zip(steps, widths)], -1)]
        elif len(widths) > len(self._outputs):
            steps = [numpy.zeros(1, int)]         # a sum of both: step 0 for all
        return {name: ArrayDescription(OUTPUT, (row, t, *places, unit), step)
                for name, step in zip(self._outputs, steps)}
