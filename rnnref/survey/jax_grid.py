"""A grid of cells under the loop of JAX, `lax.scan`, with gradients: what its compiler makes of right equations."""
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import product
from typing import Any

import numpy

from ..arrays import Array
from ..cells import GRU, LSTM, ConvLSTM, SimpleRNN
from ..check.rounding import tolerance
from ..init import parameters
from .explain import explain_cell
from .grid import Comparison, GridSurvey, make_survey, record, try_case
from .search import Watch

_T, _B, _I, _PLACES, _KERNEL = 3, 2, 3, 4, 3
_UNITS = range(1, 9)
_FACTOR = 8.0


def survey_jax(ops: Sequence[str] = ("RNN", "LSTM", "GRU"), seed: int = 0, progress: Watch | None = None,
               cases: Sequence[dict[str, str]] | None = None) -> GridSurvey:
    """A `GridSurvey` of JAX: recurrent cells written in jax.numpy under `lax.scan`, and their gradients."""
    jax = import_module("jax")
    engine = f"JAX {jax.__version__} on {jax.default_backend()}"
    watch, before = progress or (lambda steps, what: steps), jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        trials = [try_case(traits, partial(_compare, jax, traits, seed))
                  for traits in watch(list(cases or _list_cases(ops)), engine)]
        return make_survey(engine, trials, _collect_facts(jax, seed))
    finally:
        jax.config.update("jax_enable_x64", before)


def _collect_facts(jax: Any, seed: int) -> dict[str, Any]:
    from .. import __version__
    return {"JAX": f"{jax.__version__}, the equations of rnnref in jax.numpy, jit of lax.scan and jax.vjp",
            "truth": "rnnref in float64, on the same numbers", "seed": seed, "engine": "jax", "rnnref": __version__,
            "budget": f"{_FACTOR:g} times the error of rnnref itself in the same dtype", "numpy": numpy.__version__}


def _list_cases(ops: Sequence[str]) -> Iterator[dict[str, str]]:
    """Every cell in both dtypes; those with convolutions over 1 to 3 axes and for 1 to 8 units."""
    for op, dtype, units in product(ops, ("float32", "float64"), (4, 5)):
        yield {"op": op, "axes of space": "none", "units": str(units), "dtype": dtype}
    if "LSTM" in ops:
        for dtype, space, units in product(("float32", "float64"), (1, 2, 3), _UNITS):
            if dtype == "float64" or units in (4, 5):
                yield {"op": "ConvLSTM", "axes of space": str(space), "units": str(units), "dtype": dtype}


def _compare(jax: Any, traits: dict[str, str], seed: int, label: str) -> Comparison:
    rng, dtype, units = numpy.random.default_rng(seed), traits["dtype"], int(traits["units"])
    space = 0 if traits["axes of space"] == "none" else int(traits["axes of space"])
    cell: Any = {"RNN": SimpleRNN(), "LSTM": LSTM(), "GRU": GRU(reset="after"),
                 "ConvLSTM": ConvLSTM(kernel=(_KERNEL,) * (space or 1))}[traits["op"]]
    p = parameters(cell, _I, units, rng, dtype, scheme="generic")
    x = rng.standard_normal((_T, _B, *(_PLACES,) * space, _I)).astype(dtype)
    start = cell.zeros((_B, *(_PLACES,) * space) if space else _B, units, dtype=dtype)
    start = type(start)(*((0.5 * rng.standard_normal(a.shape)).astype(dtype) for a in start))
    dy = rng.standard_normal((*x.shape[:-1], units)).astype(dtype)
    dstate = type(start)(*(rng.standard_normal(a.shape).astype(dtype) for a in start))
    allowed = tolerance(dtype, cell, x, p, start, dy=dy, dstate=dstate, factor=_FACTOR, seed=seed)

    def run(p: dict, x: Array, start: Any, dy: Array, dstate: Any) -> dict[str, Array]:
        return _run(jax, traits["op"], p, x, tuple(start), dy, tuple(dstate))
    given = {"x": x, "p": p, "state": tuple(start), "dy": dy, "dstate": tuple(dstate)}
    return record(run(p, x, start, dy, dstate), allowed, label, given,
                  partial(explain_cell, cell, p, x, start, run, seed=seed))


def _run(jax: Any, op: str, p: dict, x: Array, start: tuple, dy: Array, dstate: tuple) -> dict[str, Array]:
    """Outputs, states and gradients, by the names of `Tolerance`."""
    step = _STEPS[op]

    def scan(p: dict, x: Any, start: tuple) -> tuple:
        last, ys = jax.lax.scan(lambda s, xt: step(jax, p, s, xt), start, x)
        return ys, last

    @jax.jit
    def compute(p: dict, x: Any, start: tuple, dy: Any, dstate: tuple) -> tuple:
        results, pull = jax.vjp(scan, p, x, start)
        return results, pull((dy, dstate))
    (ys, last), (dp, dx, dstart) = compute(p, x, start, dy, dstate)
    names = "hc"[:len(start)]
    found = {"y": ys, **dict(zip(names, last)), "dx": dx, **{f"d{name}": a for name, a in dp.items()}}
    found |= {f"d{name}0": a for name, a in zip(names, dstart)}
    return {name: numpy.asarray(a) for name, a in found.items()}


def _step_rnn(jax: Any, p: dict, s: tuple, x: Any) -> tuple:
    h = jax.numpy.tanh(x @ p["W"] + s[0] @ p["R"] + p["b"])
    return (h,), h


def _step_lstm(jax: Any, p: dict, s: tuple, x: Any, multiply: Callable = lambda a, w: a @ w) -> tuple:
    a = multiply(x, p["W"]) + multiply(s[0], p["R"]) + p["b"]
    i, f, g, o = jax.numpy.split(a, 4, -1)
    c = jax.nn.sigmoid(f) * s[1] + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
    h = jax.nn.sigmoid(o) * jax.numpy.tanh(c)
    return (h, c), h


def _step_gru(jax: Any, p: dict, s: tuple, x: Any) -> tuple:
    (xr, xz, xn), (hr, hz, hn) = (jax.numpy.split(a, 3, -1) for a in (x @ p["W"] + p["b"], s[0] @ p["R"] + p["bR"]))
    r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
    n = jax.numpy.tanh(xn + r * hn)
    h = (1 - z) * n + z * s[0]
    return (h,), h


def _step_conv_lstm(jax: Any, p: dict, s: tuple, x: Any) -> tuple:
    def convolve(a: Any, w: Any) -> Any:
        axes = "DHW"[:a.ndim - 2]
        places = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
        return jax.lax.conv_general_dilated(a, w, (1,) * len(axes), "SAME", dimension_numbers=places)
    return _step_lstm(jax, p, s, x, convolve)


_STEPS: dict[str, Callable] = {"RNN": _step_rnn, "LSTM": _step_lstm, "GRU": _step_gru, "ConvLSTM": _step_conv_lstm}
