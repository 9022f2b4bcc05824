"""Keras 3 recurrent layers as subjects: forwards on any backend, gradients on torch and jax.  (floor 10)"""
import sys
from dataclasses import dataclass
from typing import Any

import numpy

from ..errors import NotSupported, ShapeError
from ..interop import weights_of
from .candidate import (GRADIENT, OUTPUT, STATE, ArrayDescription, Axis, Candidate, Evaluation, describe_gradient,
                        draw_normal, step_order)
from .of_torch import make_input
from .reference import Part, run_chain, run_chain_back, zero_state

# two directions -> one output, and back
_MERGES = {
    "concat": (lambda a, b: numpy.concatenate([a, b], -1), lambda d, a, b: numpy.split(d, 2, -1)),
    "sum": (lambda a, b: a + b, lambda d, a, b: (d, d)),
    "ave": (lambda a, b: (a + b) / 2, lambda d, a, b: (d / 2, d / 2)),
    "mul": (lambda a, b: a * b, lambda d, a, b: (d * b, d * a)),
}


def wrap_keras(layer, x, rng, lengths=None, initial_state="random", dtype=None):
    """The subject of a layer and its input [B, T, I]."""
    keras = sys.modules["keras"]
    _check_layer(layer, initial_state, dtype)
    x = make_input(layer, x, rng, numpy.dtype(layer.compute_dtype))
    if not layer.built:
        layer.build(x.shape)
    each = [getattr(layer, f"{way}_layer", layer) for way in _list_directions(layer)]
    paths = [path for one in each for (w,) in weights_of(one) for path in w.names.values()]
    names = dict(zip(paths, _shorten_paths(paths)))
    chains = [[(Part(w.cell, w.layout, {t: names[path] for t, path in w.names.items()}, one.go_backwards,
                     ", ".join(filter(None, (way, f"cell {n}" if len(weights_of(one)) > 1 else "")))),)
               for n, (w,) in enumerate(weights_of(one))] for one, way in zip(each, _list_directions(layer))]
    held = {names[path]: a for one in each for (w,) in weights_of(one)
            for path, a in zip(w.names.values(), w.arrays.values())}
    states = _make_initial_states(chains, held, x.shape[0], initial_state, rng)
    facts = {"candidate": f"Keras {keras.__version__} on {keras.backend.backend()}"}
    if keras.backend.backend() not in ("torch", "jax"):
        facts["gradients"] = f"not compared: on {keras.backend.backend()} only the results are"
    return KerasCandidate(
        title=f"Keras {type(layer).__name__} {layer.name!r}", arrays={"x": x, **states, **held}, time=1,
        lengths=lengths, biases=tuple(n for n in held if n.endswith("bias")), settable=True,
        backwards=len(chains) == 1 and layer.go_backwards, facts=facts, layer=layer, chains=chains, names=names)


def _check_layer(layer, initial_state, dtype):
    """Refuse by name what is not compared."""
    who = f"Keras {type(layer).__name__}"
    if not hasattr(layer, "cell") and not hasattr(layer, "forward_layer"):
        raise NotSupported("verify", who, known="SimpleRNN, LSTM, GRU, RNN of their cells, Bidirectional of these",
                           fix="a cell: verify(keras.layers.RNN(cell), ...)")
    if layer.compute_dtype not in ("float32", "float64") or layer.variable_dtype != layer.compute_dtype:
        raise NotSupported("verify", f"{who} in {layer.compute_dtype}", known="float32, float64",
                           reason="in 16 bits rounding is as large as a wrong convention")
    if dtype is not None and numpy.dtype(dtype) != layer.compute_dtype:
        raise NotSupported("verify", f"dtype={dtype!r} of {who}", fix=f"make the layer with dtype={str(dtype)!r}")
    if hasattr(layer, "forward_layer") and layer.merge_mode not in _MERGES:
        raise NotSupported("verify", f"merge_mode={layer.merge_mode!r}", known=", ".join(map(repr, _MERGES)))
    if layer.stateful and isinstance(initial_state, str) and initial_state == "zero":
        raise NotSupported("verify", "stateful=True without an initial state", fix='initial_state="random"')


def _list_directions(layer):
    return ("forward", "backward") if hasattr(layer, "forward_layer") else ("",)


def _shorten_paths(paths):
    """The shortest endings of the paths that tell them apart."""
    def short(path):
        words = path.split("/")
        endings = ["/".join(words[k:]) for k in reversed(range(len(words)))]
        return next(e for e in endings if sum(p == e or p.endswith("/" + e) for p in paths) == 1)
    return [short(path) for path in paths]


def _add_label(name, part):
    return f"{name} ({part.label})" if part.label else name


def _flatten_chains(chains):
    return [part for chain in chains for (part,) in chain]


def _list_states(part):
    return list(part.cell.rule.widths)


def _make_initial_states(chains, weights, batch, initial_state, rng):
    """{"h0": [B, H], "c0 (backward)": ...}, drawn or as given; nothing for "zero"."""
    zero = {_add_label(f"{n}0", part): a for part in _flatten_chains(chains)
            for n, a in zip(_list_states(part), zero_state(part, weights, batch))}
    if isinstance(initial_state, str):
        return {n: draw_normal(rng, a.shape, a.dtype, 0.5) for n, a in zero.items()} if initial_state == "random" else {}
    arrays = [numpy.asarray(a) for a in _flatten(initial_state)]
    if [a.shape for a in arrays] != [a.shape for a in zero.values()]:
        raise ShapeError("verify", f"initial_state has shapes {[a.shape for a in arrays]}, expected "
                                   f"{[a.shape for a in zero.values()]}", names=" ".join(zero))
    return {n: a.astype(z.dtype) for (n, z), a in zip(zero.items(), arrays)}


def _flatten(tree):
    return [a for item in tree for a in _flatten(item)] if isinstance(tree, (tuple, list)) else [tree]


@dataclass
class KerasCandidate(Candidate):
    """`chains` holds a chain of cells for each direction."""
    layer: Any = None
    chains: Any = ()
    names: Any = None                             # path of a variable -> name in `given`

    @property
    def padding(self):
        one = getattr(self.layer, "forward_layer", self.layer)
        return "zero" if one.zero_output_for_mask else "repeat"

    def run_reference(self, given, **choice):
        x = given["x"].swapaxes(0, 1)
        passed = [run_chain(chain, given, x, self._initial_states_of(chain, given), self.lengths, self.padding, **choice)
                  for chain in self.chains]
        ys = [self._to_layer_output(one.ys, chain) for one, chain in zip(passed, self.chains)]
        merge, split = _MERGES[self.layer.merge_mode] if len(ys) > 1 else (lambda a: a, lambda d, a: (d,))
        last = {_add_label(n, part): a for one, chain in zip(passed, self.chains) for (part,), arrays
                in zip(chain, one.last) for n, a in zip(_list_states(part), arrays)}

        def back(d):
            dx: Any = 0
            found: dict = {}
            for one, chain, dy in zip(passed, self.chains, split(d["output"], *ys)):
                ends = [tuple(d.get(_add_label(n, part), numpy.zeros_like(a)) for n, a in zip(_list_states(part), arrays))
                        for (part,), arrays in zip(chain, one.last)]
                dxs, dfirst, dp = run_chain_back(one, self._from_layer_output(dy, one.ys, chain), ends)
                dx, found = dx + dxs, found | dp | {
                    "d" + _add_label(f"{n}0", part): a for (part,), arrays in zip(chain, dfirst)
                    for n, a in zip(_list_states(part), arrays)}
            return {"d" + n: found["d" + n] if n != "x" else dx.swapaxes(0, 1) for n in given}
        return Evaluation({"output": merge(*ys), **(last if self.layer.return_state else {})}, back)

    def _initial_states_of(self, chain, arrays):
        """The first state of every cell of a chain; None: zero."""
        if not any(n.startswith("h0") for n in arrays):
            return None
        return [tuple(arrays[_add_label(f"{n}0", part)] for n in _list_states(part)) for (part,) in chain]

    def _to_layer_output(self, ys, chain):
        """Outputs as the layer gives them: batch first, all or the last, of a lone backward layer from the end."""
        if not self.layer.return_sequences:
            return ys[0 if chain[0][0].reverse else -1]
        return (ys[::-1] if self.backwards else ys).swapaxes(0, 1)

    def _from_layer_output(self, dy, ys, chain):
        if self.layer.return_sequences:
            dy = dy.swapaxes(0, 1)
            return dy[::-1] if self.backwards else dy
        dys = numpy.zeros_like(ys)
        dys[0 if chain[0][0].reverse else -1] = dy
        return dys

    def run_candidate(self, arrays):
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

        def back(d):
            if backend == "jax":
                return {f"d{n}": numpy.asarray(a) for n, a in pull(dict(d))[0].items()}
            return self._torch_gradients(values, results, d)
        return Evaluation({name: keras.ops.convert_to_numpy(a) for name, a in results.items()},
                      back if backend in ("torch", "jax") else None)

    def _torch_gradients(self, values, results, d):
        torch = sys.modules["torch"]
        grads = torch.autograd.grad(
            list(results.values()), list(values.values()),
            [torch.tensor(d[n], device=a.device, dtype=a.dtype) for n, a in results.items()], allow_unused=True)
        return {f"d{n}": (torch.zeros_like(a) if g is None else g).detach().cpu().numpy()
                for (n, a), g in zip(values.items(), grads)}

    def _call(self, values):
        """The results of the layer as a pure function of tensors: its own variables are not touched."""
        layer, options = self.layer, {}
        own = [[values.get(self.names.get(v.path), v.value) for v in variables]
               for variables in (layer.trainable_variables, layer.non_trainable_variables)]
        if any(n.startswith("h0") for n in values):
            options["initial_state"] = self._nest_states(values)
        if self.lengths is not None:
            options["mask"] = sys.modules["keras"].ops.convert_to_tensor(~self.padding_mask().T)
        got, _ = layer.stateless_call(*own, values["x"], training=False, **options)
        got = _flatten(got)
        names = [_add_label(n, part) for part in _flatten_chains(self.chains) for n in _list_states(part)]
        return dict(zip(["output", *names], got))

    def _nest_states(self, values):
        """The first states as the layer takes them: flat, or a list a cell where there are several."""
        each = [[values[_add_label(f"{n}0", part)] for n in _list_states(part)] for part in _flatten_chains(self.chains)]
        return each if len(self.chains[0]) > 1 else [a for arrays in each for a in arrays]

    def describe_arrays(self):
        T, two = self.size[0], len(self.chains) > 1
        concat = two and self.layer.merge_mode == "concat"
        unit, row, t = Axis("unit", ("forward", "backward") if concat else ()), Axis("row"), Axis("t")
        p = self.chains[0][-1][0].load_parameters(self.arrays)
        H = self.chains[0][-1][0].cell.units(p)
        when = numpy.concatenate([numpy.repeat(step_order(T, k)[:, None], H, 1) for k in (False, True)], 1) if concat \
            else step_order(T)[:, None] if not two else 0
        found = {"output": ArrayDescription(OUTPUT, (row, t, unit), when) if self.layer.return_sequences
                 else ArrayDescription(OUTPUT, (row, unit)),
                 "dx": ArrayDescription(GRADIENT, (row, t, Axis("input")), 0 if two else step_order(T, not self.backwards)[:, None])}
        for part in _flatten_chains(self.chains):
            for n in _list_states(part):
                found |= {_add_label(n, part): ArrayDescription(STATE, (row, unit._replace(labels=()))),
                          "d" + _add_label(f"{n}0", part): ArrayDescription(GRADIENT, (row, unit._replace(labels=())))}
            found |= {"d" + own: describe_gradient(part.layout, table) for table, own in part.names.items()}
        return found
