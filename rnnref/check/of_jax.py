"""Recurrent layers and cells on JAX as candidates: flax linen and nnx, equinox.

jax is looked up in sys.modules, never imported: a caller who has a module has imported it.
"""
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import NotSupported, ShapeError, with_article
from ..interop import find_weights, weights_of
from ..interop.identify import framework_of, is_recurrent
from .candidate import (GRADIENT, OUTPUT, STATE, ArrayDescription, Axis, Candidate, DirectedCell, Direction, Evaluation,
                        check_start, describe_gradient, describe_start, draw_normal, is_option, step_order)
from .of_callable import CallableCandidate, wrap_callable
from .of_torch import make_input
from .reference import (Part, check_width, compute_with_cells, list_part_cells, replace_part_cells, run_chain,
                        run_chain_back, zero_state)


class Caller(NamedTuple):
    """How a module is called: (parameters by path, x, carries or None, lengths or None) -> (y, carries)."""
    call: Callable
    time: int = 0                                 # the axis of time of x
    flipped: bool = False                         # True: what was read first comes out first, the last timestep
    steps: bool = False                           # True: a cell, which is called step by step


def wrap_jax(module: Any, x: Any, rng: numpy.random.Generator, lengths: Any = None, initial_state: Any = "both",
             dtype: Any = None, params: Any = None) -> "JaxCandidate":
    """The candidate of a module and its input.

    params   of a linen module that is not bound to them
    """
    framework, kind = framework_of(module), type(module).__name__
    if not is_recurrent(module):
        raise NotSupported("verify", with_article(f"{framework} {kind}"),
                           known="RNN, Bidirectional and cells of flax, cells of equinox",
                           fix="for a model: its recurrent layers, or a function with reference= and p=")
    if framework == "flax":
        module, params = unbind(module, params)
    (directions,) = weights_of(module, params)
    weights = {w.names[name]: numpy.asarray(a) for w in directions for name, a in w.arrays.items()}
    own_dtype = _check_dtype(f"{framework} {kind}", module, weights, dtype)
    labels = ("forward", "backward") if len(directions) > 1 else ("",)
    parts = [Part(w.cell, w.layout, w.names, w.reverse, label) for w, label in zip(directions, labels)]
    caller = _make_caller(module, framework, params)
    if lengths is not None and caller.steps:
        raise NotSupported("verify", f"lengths with {with_article(kind)}", reason="it computes one step",
                           fix="leave them out")
    x = make_input(module if caller.steps else _Layer, x, rng, own_dtype, parts[0].cell.inputs.space)
    check_width(parts[0], weights, x)
    if not isinstance(initial_state, str) and framework != "equinox":
        carries = initial_state if len(parts) > 1 else (initial_state,)
        initial_state = [a for carry in carries for a in _from_carry(carry)]
    states = _make_initial_states(parts, weights, x.swapaxes(0, caller.time), initial_state, rng)
    package = {"nnx": "flax"}.get(framework, framework)
    facts = {"candidate": f"{package} {sys.modules[package].__version__}, jax {sys.modules['jax'].__version__}"}
    facts |= {"padding": "the outputs at padded steps are those of a cell that runs on"} if lengths is not None else {}
    return JaxCandidate(
        title=f"{framework} {_describe(module)}", arrays={"x": x, **states, **weights}, time=caller.time,
        lengths=lengths, biases=tuple(n for n in weights if "bias" in n), settable=True, facts=facts, parts=parts,
        caller=caller,
        initial=tuple(states) if is_option(initial_state, "both") else (), start=describe_start(states, initial_state),
        backwards=len(parts) == 1 and parts[0].reverse)


class _Layer:
    num_layers = 1                                # `make_input`: whole sequences


def unbind(module: Any, params: Any) -> tuple[Any, Any]:
    """A linen module, and its parameters as a dict of them alone."""
    if params is None and module.scope is not None:
        params = module.variables
    if params is None:
        raise NotSupported("verify", f"the linen module {type(module).__name__} without parameters",
                           fix="p=module.init(key, x), or module.bind(variables)")
    own = module.clone(parent=None) if module.scope is not None else module
    return own, dict(params).get("params", params)


def wrap_haiku(transformed: Any, x: Any, rng: numpy.random.Generator, params: Any, lengths: Any = None,
               initial_state: Any = "both", dtype: Any = None) -> CallableCandidate:
    """The candidate of a transformed function x [T, B, I] -> y or (y, state) around one recurrent module of haiku."""
    if params is None:
        raise NotSupported("verify", "a transformed function without parameters", fix="p=transformed.init(key, x)")
    found = find_weights(params, framework="haiku")
    if len(found) != 1:
        raise NotSupported("verify", f"a transformed function with {len(found)} recurrent modules, expected one",
                           modules=", ".join(found), fix="transform each by itself")
    (w,) = found.values()

    def apply(x: Any) -> Any:
        y = transformed.apply(params, None, x)
        return sys.modules["jax"].tree_util.tree_map(numpy.asarray, y)
    apply.__name__ = apply.__qualname__ = f"haiku {w.layout.family}"
    return wrap_callable(apply, x, w.cell, w.load(), rng, lengths=lengths, initial_state=initial_state, dtype=dtype)


def _describe(module: Any) -> str:
    cells = [getattr(getattr(module, half, module), "cell", None) for half in ("forward_rnn", "backward_rnn")]
    inner = dict.fromkeys(type(cell).__name__ for cell in cells if cell is not None)
    return f"{type(module).__name__}{f' of {chr(32).join(inner)}' if inner else ''}"


def _check_dtype(who: str, module: Any, weights: dict[str, Array], dtype: Any) -> numpy.dtype:
    """The dtype in which the module computes."""
    cell = getattr(getattr(module, "forward_rnn", module), "cell", module)
    found = {str(a.dtype) for a in weights.values()}
    asked = getattr(cell, "dtype", None)
    own = numpy.dtype(asked) if asked is not None else next(iter(weights.values())).dtype
    if own.name not in ("float32", "float64") or found != {own.name}:
        raise NotSupported("verify", f"{who} that computes in {own.name} with parameters in {' '.join(sorted(found))}",
                           known="float32, float64",
                           reason="in 16 bits rounding errors are as large as those of a wrong convention")
    if dtype is not None and numpy.dtype(dtype) != own:
        raise NotSupported("verify", f"dtype={dtype!r} of {who}", fix=f"make it in {dtype}")
    return own


def _make_caller(module: Any, framework: str, params: Any) -> Caller:
    """How to call a module with other parameters than its own."""
    if framework == "equinox":
        return Caller(_step_by_step(lambda flat: _batched(_replace_leaves(module, flat)), reverse_pair=False),
                      steps=True)
    if framework == "nnx":
        nnx = sys.modules["flax.nnx"]
        graph, state = nnx.split(module)

        def bind(flat: dict) -> Callable:
            own = nnx.clone(state) if hasattr(nnx, "clone") else state
            nnx.replace_by_pure_dict(own, _nest(flat, nnx.to_pure_dict(own)))
            return nnx.merge(graph, own)
    else:
        def bind(flat: dict) -> Callable:
            return lambda *args, **options: module.apply({"params": _nest(flat, params)}, *args, **options)
    if not hasattr(module, "cell") and not hasattr(module, "forward_rnn"):
        return Caller(_step_by_step(bind, reverse_pair=True), steps=True)
    merge = getattr(module, "merge_fn", None)
    if merge is not None and getattr(merge, "__name__", "") != "_concatenate":
        raise NotSupported("verify", f"merge_fn={getattr(merge, '__name__', merge)}",
                           known="the default, which concatenates")
    two = hasattr(module, "forward_rnn")

    def call(flat: dict, x: Any, carries: Any, lengths: Any) -> tuple[Any, list]:
        start = None if carries is None else tuple(map(_to_carry, carries)) if two else _to_carry(carries[0])
        last, y = bind(flat)(x, initial_carry=start, seq_lengths=lengths, return_carry=True)
        return y, [_from_carry(carry) for carry in (last if two else (last,))]
    flipped = not two and module.reverse and not module.keep_order
    return Caller(call, 0 if module.time_major else 1, flipped)


def _step_by_step(bind: Callable, reverse_pair: bool) -> Callable:
    """The caller of a cell; `reverse_pair`: its carry of two is (c, h), and it returns (carry, y)."""
    lax, tree = sys.modules["jax"].lax, sys.modules["jax"].tree_util

    def call(flat: dict, x: Any, carries: Any, lengths: Any) -> tuple[Any, list]:
        cell = bind(flat)

        def step(carry: Any, x_t: Any) -> tuple[Any, Any]:
            if reverse_pair:
                return cell(carry, x_t)
            new = cell(x_t, carry)
            return new, new[0] if isinstance(new, tuple) else new
        own = carries[0]
        start = _to_carry(own) if reverse_pair else tuple(own) if len(own) > 1 else own[0]
        last, y = lax.scan(step, start, x)
        found = _from_carry(last) if reverse_pair else list(tree.tree_leaves(last))
        return y, [found]
    return call


def _batched(cell: Any) -> Callable:
    """A cell of equinox, which takes one row, on all rows of a batch."""
    return sys.modules["jax"].vmap(cell)


def _replace_leaves(module: Any, flat: dict) -> Any:
    """A cell of equinox with other arrays."""
    names = [n for n in flat]
    return sys.modules["equinox"].tree_at(lambda m: [getattr(m, n) for n in names], module, [flat[n] for n in names])


def _nest(flat: dict, like: Any, path: str = "") -> dict:
    """Arrays by path in the form of a nested dict; what has none of the paths stays."""
    return {name: _nest(flat, leaf, f"{path}{name}/") if hasattr(leaf, "items") else flat.get(f"{path}{name}", leaf)
            for name, leaf in like.items()}


def _to_carry(state: Any) -> Any:
    """(h,) -> h, (h, c) -> (c, h)."""
    return state[0] if len(state) == 1 else tuple(state[::-1])


def _from_carry(carry: Any) -> list:
    return list(carry[::-1]) if isinstance(carry, tuple) else [carry]


def _list_names(part: Part) -> list[str]:
    mark = f" ({part.label})" if part.label else ""
    return [f"{n}{mark}" for n in part.cell.rule.widths]


def _start(name: str) -> str:
    """"c (forward)" -> "c0 (forward)"."""
    return f"{name[0]}0{name[1:]}"


def _make_initial_states(parts: list[Part], weights: dict[str, Array], x: Array, initial_state: Any,
                         rng: numpy.random.Generator) -> dict[str, Array]:
    """{"h0": [B, H], "c0 (backward)": ...}, random or as given, h before c; nothing for "zero"."""
    zero = {_start(n): a for part in parts
            for n, a in zip(_list_names(part), zero_state(part, weights, x.shape[1], x.shape[2:-1]))}
    if isinstance(initial_state, str):
        if check_start(initial_state) == "zero":
            return {}
        return {n: draw_normal(rng, a.shape, a.dtype, 0.5) for n, a in zero.items()}
    arrays = [numpy.asarray(a) for a in sys.modules["jax"].tree_util.tree_leaves(initial_state)]
    if [a.shape for a in arrays] != [a.shape for a in zero.values()]:
        raise ShapeError("verify", f"initial_state has shapes {[a.shape for a in arrays]}, expected "
                                   f"{[a.shape for a in zero.values()]}", names=" ".join(zero))
    return {n: a.astype(z.dtype) for (n, z), a in zip(zero.items(), arrays)}


@dataclass
class JaxCandidate(Candidate):
    """A module, and the cells in one or two directions that it should equal."""
    parts: Any = ()
    caller: Any = None

    def _swap_time(self, a: Array) -> Array:
        """From the layout of the module to time first, and back."""
        return a.swapaxes(0, self.caller.time)

    @property
    def _orders(self) -> Array:
        """[T, B]: the step at which a direction that reads backwards reads each timestep, padding last, as flax."""
        T, B = self.size
        lengths = numpy.full(B, T) if self.lengths is None else numpy.asarray(self.lengths)
        return (T - 1 - numpy.arange(T)[:, None] + lengths) % T

    def _flip(self, a: Array, really: bool = True) -> Array:
        """Timesteps in the order in which a direction that reads backwards reads them, and back."""
        return a[self._orders, numpy.arange(a.shape[1])] if really else a

    def _is_flipped(self, part: Part) -> bool:
        """True if the outputs of a direction come in the order of time, and not in that in which it reads."""
        return part.reverse and not self.caller.flipped

    def _first_states(self, arrays: dict[str, Array]) -> list[tuple] | None:
        names = [[_start(n) for n in _list_names(part)] for part in self.parts]
        return [tuple(arrays[n] for n in own) for own in names] if names[0][0] in arrays else None

    def run_reference(self, arrays: dict[str, Array], **options: Any) -> Evaluation:
        first, x = self._first_states(arrays), self._swap_time(arrays["x"])
        padding = "zero" if self.lengths is None else "free"
        results = [run_chain([(part._replace(reverse=False),)], arrays, self._flip(x, part.reverse),
                             None if first is None else [first[k]], self.lengths, padding, **options)
                   for k, part in enumerate(self.parts)]
        ys = numpy.concatenate([self._flip(r.ys, self._is_flipped(part)) for r, part in zip(results, self.parts)], -1)
        last = {n: a for r, part in zip(results, self.parts) for n, a in zip(_list_names(part), r.last[0])}

        def back(d: dict[str, Array]) -> dict[str, Array]:
            found: dict[str, Any] = {}
            dys = numpy.split(self._swap_time(d["output"]), numpy.cumsum(self._widths)[:-1], -1)
            for result, part, dy in zip(results, self.parts, dys):
                dx, (dfirst,), dp = run_chain_back(result, self._flip(dy, self._is_flipped(part)),
                                                   [tuple(d[n] for n in _list_names(part))])
                dx = self._swap_time(self._flip(dx, part.reverse))
                starts = {"d" + _start(n): a for n, a in zip(_list_names(part), dfirst)} if first else {}
                for name, a in ({"dx": dx} | starts | dp).items():
                    found[name] = found[name] + a if name in found else a
            return found
        return Evaluation({"output": self._swap_time(ys), **last}, back)

    def run_candidate(self, arrays: dict[str, Array]) -> Evaluation:
        jax = sys.modules["jax"]
        values = {name: jax.numpy.asarray(a) for name, a in arrays.items()}
        results, pull = jax.vjp(self._call, values)

        def back(d: dict[str, Array]) -> dict[str, Array]:
            found, = pull({n: jax.numpy.asarray(a) for n, a in d.items()})
            return {f"d{n}": numpy.asarray(a) for n, a in found.items()}
        return Evaluation({name: numpy.asarray(a) for name, a in results.items()}, back,
                          lambda: {name: numpy.asarray(a) for name, a in values.items()})

    def _call(self, values: dict[str, Any]) -> dict[str, Any]:
        """The results of the module as a pure function."""
        jnp, carries = sys.modules["jax"].numpy, self._first_states(values)
        if carries is None and self.caller.steps:
            x = numpy.empty(self._swap_time(values["x"]).shape)
            carries = [tuple(jnp.zeros(a.shape, self.dtype) for a in zero_state(
                part, self.arrays, x.shape[1], x.shape[2:-1])) for part in self.parts]
        lengths = None if self.lengths is None else jnp.asarray(self.lengths)
        own = {name for part in self.parts for name in part.names.values()}
        y, last = self.caller.call({n: values[n] for n in own}, values["x"], carries, lengths)
        states = {n: a for part, state in zip(self.parts, last) for n, a in zip(_list_names(part), state)}
        return {"output": y, **states}

    def list_cells(self) -> list[DirectedCell]:
        return [] if self.arrays["x"].ndim > 3 else list_part_cells(self.parts, self.arrays)

    def replace_cells(self, cells: list[DirectedCell]) -> "JaxCandidate":
        return replace(self, parts=replace_part_cells([tuple(self.parts)], cells)[0])

    def compute_with(self, cells: list[DirectedCell]) -> "JaxCandidate":
        return replace(self, parts=compute_with_cells([tuple(self.parts)], cells)[0])

    def list_directions(self, results: dict[str, Array]) -> list[Direction]:
        if "output" not in results or self.arrays["x"].ndim > 3:
            return []
        first = self._first_states(self.arrays) or [()] * len(self.parts)
        ys = numpy.split(self._swap_time(results["output"]), numpy.cumsum(self._widths)[:-1], -1)
        x = self._swap_time(self.arrays["x"])
        return [Direction(x, self._flip(y, self.caller.flipped), s, part.reverse)
                for y, s, part in zip(ys, first, self.parts)]

    @property
    def _widths(self) -> tuple[int, ...]:
        return tuple(part.cell.width(part.cell.units(part.load_parameters(self.arrays))) for part in self.parts)

    def describe_arrays(self) -> dict[str, ArrayDescription]:
        T, places = self.size[0], (Axis("place"),) * (self.arrays["x"].ndim - 3)
        along = [Axis("t"), Axis("row")] if self.caller.time == 0 else [Axis("row"), Axis("t")]
        two, widths, deep = len(self.parts) > 1, self._widths, (1,) * len(places)
        ahead, back = (a.reshape(*a.shape, *deep, 1) for a in (step_order(T)[:, None], self._orders))
        orders = [numpy.broadcast_to(back if self._is_flipped(part) else ahead, (*back.shape[:-1], n))
                  for part, n in zip(self.parts, widths)]
        steps = numpy.concatenate(orders, -1)
        unit = Axis("unit", ("forward", "backward"), sizes=widths) if two else Axis("unit")
        dstep = 0 if two else self._swap_time(T - 1 - (back if self.parts[0].reverse else ahead))
        found = {"output": ArrayDescription(OUTPUT, (*along, *places, unit), self._swap_time(steps)),
                 "dx": ArrayDescription(GRADIENT, (*along, *places, Axis("input")), dstep)}
        state = Axis("row"), *places, Axis("unit")
        for part in self.parts:
            for n in _list_names(part):
                found |= {n: ArrayDescription(STATE, state), "d" + _start(n): ArrayDescription(GRADIENT, state)}
            found |= {"d" + own: describe_gradient(part.layout, table, len(places))
                      for table, own in part.names.items()}
        return found
