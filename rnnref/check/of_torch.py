"""torch.nn.RNN, LSTM, GRU and their cells as subjects.  torch is looked up: who has a module has imported it.

(floor 10)
"""
import sys
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy

from ..errors import NotSupported, ShapeError
from ..interop import weights_of
from .candidate import (GRADIENT, OUTPUT, STATE, ArrayDescription, Axis, Candidate, Evaluation, describe_gradient,
                        draw_normal, step_order)
from .reference import Part, run_chain, run_chain_back, zero_state

_STATES = ("h", "c")


def wrap_torch(module, x, rng, lengths=None, initial_state="random", dtype=None):
    """The subject of a module and its input, in the module's own layout."""
    torch, module = sys.modules["torch"], deepcopy(module)
    module = module if dtype is None else module.to(getattr(torch, numpy.dtype(dtype).name))
    if lengths is not None and not hasattr(module, "num_layers"):
        raise NotSupported("verify", f"lengths with a {type(module).__name__}", fix="leave them out: it is one step")
    facts = {"candidate": f"torch {torch.__version__}, on {next(module.parameters()).device}"}
    if module.training and getattr(module, "dropout", 0):
        module.eval()
        facts["dropout"] = "off: a copy in evaluation mode is checked"
    layers = _make_chain(module)
    held = {own: _to_numpy(getattr(module, own)) for layer in layers for part in layer for own in part.names.values()}
    x = make_input(module, x, rng, next(iter(held.values())).dtype)
    time = 1 if getattr(module, "batch_first", False) else 0
    states = _make_initial_states(layers, held, x.shape[1 - time], initial_state, rng)
    return TorchCandidate(
        title=_make_title(module), arrays={"input": x, **states, **held}, x="input", time=time, lengths=lengths,
        biases=tuple(name for name in held if name.startswith("bias")), facts=facts, module=module, layers=layers,
        settable=held.keys() <= dict(module.named_parameters()).keys())


def _make_title(module):
    return f"torch.nn.{module}" if type(module).__module__.startswith("torch.") else str(module)


def _make_chain(module):
    """The chain of a module."""
    try:
        found = weights_of(module)
    except NotSupported as e:
        raise NotSupported("verify", ": ".join(map(str, e.args)), **e.notes,
                           fix="give the recurrent module alone, or a function with reference=cell and p=") from None
    ways = ("forward", "backward")
    return [tuple(Part(w.cell, w.layout, w.names, bool(k), f"layer {n}" + f", {ways[k]}" * (len(layer) > 1))
                  for k, w in enumerate(layer)) for n, layer in enumerate(found)]


def _to_numpy(a):
    a = a.detach().cpu() if hasattr(a, "detach") else a
    if str(getattr(a, "dtype", "")) in ("torch.bfloat16", "torch.float16"):
        raise NotSupported("verify", f"weights in {a.dtype}", fix='verify a copy in float32: dtype="float32"',
                           reason="in 16 bits rounding is as large as a wrong convention")
    return numpy.asarray(a)


def make_input(module, x, rng, dtype):
    """The input as an array; a tuple of integers is its shape, and it is drawn."""
    x = draw_normal(rng, x, dtype) if isinstance(x, tuple) and all(isinstance(n, int) for n in x) else _to_numpy(x)
    if x.ndim == 2 and not hasattr(module, "num_layers"):
        x = x[None]                               # a cell: one step
    if x.ndim != 3:
        raise ShapeError("verify", f"the input has shape {x.shape}, expected 3 axes",
                         axes="time, batch, input (batch first if the module says so)",
                         fix="an input without a batch: x[:, None]" if x.ndim == 2 else "")
    return x.astype(dtype)


def _make_initial_states(layers, arrays, batch, initial_state, rng):
    """{"h_0": [layers and directions, B, H], "c_0": ...}, drawn or as given; nothing for "zero"."""
    if isinstance(initial_state, str) and initial_state == "zero":
        return {}
    zero = [zero_state(part, arrays, batch) for layer in layers for part in layer]
    shapes = [(len(zero), *a.shape) for a in zero[0]]
    if isinstance(initial_state, str):
        states = [draw_normal(rng, shape, zero[0][0].dtype, 0.5) for shape in shapes]
    else:
        states = [_to_numpy(a) for a in (initial_state if isinstance(initial_state, (tuple, list)) else (initial_state,))]
        states = [a[None] if a.ndim == 2 else a for a in states]
        if [a.shape for a in states] != shapes:
            raise ShapeError("verify", f"initial_state has shapes {[a.shape for a in states]}, expected {shapes}",
                             axes="layers and directions, batch, units: h_0, and c_0 of an LSTM")
    return {f"{name}_0": a.astype(zero[0][0].dtype) for name, a in zip(_STATES, states)}


@dataclass
class TorchCandidate(Candidate):
    """`layers` is the chain that equals `module`."""
    module: Any = None
    layers: Any = ()

    @property
    def parts(self):
        return [part for layer in self.layers for part in layer]

    @property
    def states(self):
        return _STATES[:len(self.parts[0].cell.rule.widths)]

    def _swap_time(self, a):                          # between their layout and time first
        return a.swapaxes(0, 1) if self.time else a

    def run_reference(self, given, **choice):
        first = None
        if "h_0" in given:
            first = list(zip(*(given[f"{name}_0"] for name in self.states)))
        passed = run_chain(self.layers, given, self._swap_time(given["input"]), first, self.lengths, **choice)
        last = {f"{name}_n": numpy.stack(arrays) for name, arrays in zip(self.states, zip(*passed.last))}

        def back(d):
            dlast = list(zip(*(d[f"{name}_n"] for name in self.states)))
            dx, dfirst, dp = run_chain_back(passed, self._swap_time(d["output"]), dlast)
            dstates = {f"d{name}_0": numpy.stack(arrays) for name, arrays in zip(self.states, zip(*dfirst))}
            return {"dinput": self._swap_time(dx), **(dstates if first else {}), **dp}
        return Evaluation({"output": self._swap_time(passed.ys), **last}, back)

    def run_candidate(self, arrays):
        torch, module = sys.modules["torch"], deepcopy(self.module)
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
        results = self._call(module, x, states)

        def back(d):
            outs = {name: a for name, a in results.items() if a.requires_grad}
            got = torch.autograd.grad(list(outs.values()), list(leaves.values()), [
                torch.tensor(d[name], device=a.device, dtype=a.dtype) for name, a in outs.items()], allow_unused=True)
            return {f"d{name}": _to_numpy(torch.zeros_like(a) if g is None else g)
                    for (name, a), g in zip(leaves.items(), got)}
        return Evaluation({name: _to_numpy(a) for name, a in results.items()}, back)

    def _call(self, module, x, states):
        """The results of the module, as tensors."""
        if not hasattr(module, "num_layers"):
            return self._run_steps(module, x, states)
        torch = sys.modules["torch"]
        rnn = torch.nn.utils.rnn
        first = () if not states else (states[0],) if len(states) == 1 else (tuple(states),)
        if self.lengths is None:
            ys, last = module(x, *first)
        else:
            packed = rnn.pack_padded_sequence(x, torch.as_tensor(self.lengths), bool(self.time), enforce_sorted=False)
            ys, last = module(packed, *first)
            ys, _ = rnn.pad_packed_sequence(ys, bool(self.time), total_length=self.size[0])
        last = last if isinstance(last, tuple) else (last,)
        return {"output": ys, **{f"{s}_n": a for s, a in zip(self.states, last)}}

    def _run_steps(self, cell, x, states):
        """A cell in a loop written by hand."""
        s, ys = tuple(a[0] for a in states), []
        for x_t in x:
            s = cell(x_t, s if len(s) > 1 else s[0] if s else None)
            s = s if isinstance(s, tuple) else (s,)
            ys.append(s[0])
        return {"output": sys.modules["torch"].stack(ys), **{f"{n}_n": a[None] for n, a in zip(self.states, s)}}

    def describe_arrays(self):
        ways, T = len(self.layers[0]), self.size[0]
        directions = ("forward", "backward")[:ways] if ways > 1 else ()
        H = self.parts[-1].cell.width(zero_state(self.parts[-1], self.arrays, 1)[-1].shape[-1])
        steps = numpy.concatenate([numpy.repeat(step_order(T, bool(k))[:, None], H, 1) for k in range(ways)], 1)[:, None]
        axes = (Axis("t"), Axis("row"))
        along = (lambda *rest: (*axes[::-1], *rest)) if self.time else (lambda *rest: (*axes, *rest))
        labels = tuple(part.label for part in self.parts)
        layer = numpy.array([n for n, layer in enumerate(self.layers) for _ in layer])[:, None, None]
        whole = Axis("", labels if len(labels) > 1 else ("",)), Axis("row"), Axis("unit")
        dwhen = self._swap_time(step_order(T, backwards=True)[:, None, None]) if ways == 1 else 0
        found = {"output": ArrayDescription(OUTPUT, along(Axis("unit", directions)), self._swap_time(steps)),
                 "dinput": ArrayDescription(GRADIENT, along(Axis("input")), dwhen)}
        for s in self.states:
            found |= {f"{s}_n": ArrayDescription(STATE, whole, layer), f"d{s}_0": ArrayDescription(GRADIENT, whole)}
        for part in self.parts:
            found |= {"d" + own: describe_gradient(part.layout, table) for table, own in part.names.items()}
        return found
