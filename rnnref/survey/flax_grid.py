"""A grid of the recurrent cells of flax.linen under its loop `RNN`, with their gradients."""
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import product
from typing import Any

import numpy

from ..arrays import Array
from ..check.rounding import tolerance
from ..interop import weights_of
from .explain import explain_cell
from .grid import Comparison, GridSurvey, make_survey, record, try_case
from .search import Watch

_T, _B, _I, _U = 6, 4, 3, 5
_LENGTHS = {"none": None, "right": (6, 1, 4, 2), "an empty row": (6, 0, 4, 2)}
_FACTOR = 8.0
_CELLS = {"RNN": ("SimpleCell",), "LSTM": ("LSTMCell", "OptimizedLSTMCell"), "GRU": ("GRUCell", "MGUCell")}


def survey_flax(ops: Sequence[str] = tuple(_CELLS), seed: int = 0, progress: Watch | None = None,
                cases: Sequence[dict[str, str]] | None = None) -> GridSurvey:
    """A `GridSurvey` of flax: cells of linen, directions and lengths, with the gradients of x and the first state."""
    flax, jax, linen = (import_module(name) for name in ("flax", "jax", "flax.linen"))
    engine, watch = f"flax {flax.__version__}", progress or (lambda steps, what: steps)
    trials = [try_case(traits, partial(_compare, jax, linen, traits, seed))
              for traits in watch(list(cases or _list_cases(ops)), engine)]
    from .. import __version__
    facts = {"flax": f"{flax.__version__} with JAX {jax.__version__}, flax.linen.RNN, float32",
             "truth": "rnnref in float64, with the same weights; outputs at valid steps, states, gradients of x and of "
                     "the first state", "seed": seed, "engine": "flax",
             "budget": f"{_FACTOR:g} times the error of rnnref itself in float32", "rnnref": __version__,
             "numpy": numpy.__version__}
    return make_survey(engine, trials, facts)


def _list_cases(ops: Sequence[str]) -> Iterator[dict[str, str]]:
    for op in ops:
        for name, padding, reverse in product(_CELLS[op], _LENGTHS, ("False", "True")):
            yield {"op": name, "padding": padding, "reverse": reverse}


def _compare(jax: Any, linen: Any, traits: dict[str, str], seed: int, label: str) -> Comparison:
    rng, reverse = numpy.random.default_rng(seed), traits["reverse"] == "True"
    lengths = _LENGTHS[traits["padding"]]
    lengths = None if lengths is None else numpy.array(lengths)
    x = rng.standard_normal((_T, _B, _I)).astype("float32")
    theirs = getattr(linen, traits["op"])(_U)
    module = linen.RNN(theirs, return_carry=True, reverse=reverse, keep_order=True)
    shapes = jax.eval_shape(module.init, jax.random.PRNGKey(0), x.swapaxes(0, 1))["params"]
    params = jax.tree_util.tree_map(lambda a: (0.5 * rng.standard_normal(a.shape)).astype("float32"), shapes)
    weights = weights_of(theirs, params["cell"])[0][0]
    cell, p = weights.cell, weights.load()
    start = cell.rule.State(*((0.5 * rng.standard_normal((_B, _U))).astype("float32") for _ in cell.rule.State._fields))
    live = numpy.ones((_T, _B), bool) if lengths is None else numpy.arange(_T)[:, None] < lengths
    dy = (rng.standard_normal((_T, _B, _U)) * live[..., None]).astype("float32")
    allowed = tolerance("float32", cell, x, p, start, lengths=lengths, reverse=reverse, dy=dy, factor=_FACTOR,
                        seed=seed)

    def run(p: Any, x: Any, start: Any, dy: Any, dstate: Any) -> dict[str, Array]:
        def apply(x: Any, carry: Any) -> Any:
            return module.apply({"params": params}, x.swapaxes(0, 1), initial_carry=carry, seq_lengths=lengths)
        carry, dcarry = (tuple(s)[::-1] if len(s) > 1 else s[0] for s in (start, dstate))        # flax has c before h
        (last, ys), pull = jax.vjp(apply, x, carry)
        dx, dcarry = pull((dcarry, (dy * live[..., None]).swapaxes(0, 1)))
        found = {"y": numpy.asarray(ys).swapaxes(0, 1) * live[..., None], "dx": numpy.asarray(dx)}
        for prefix, suffix, tree in (("", "", last), ("d", "0", dcarry)):
            states = tree[::-1] if isinstance(tree, tuple) else (tree,)
            found |= {f"{prefix}{name}{suffix}": numpy.asarray(a) for name, a in zip(start._fields, states)}
        return found
    given = {"x": x, "params": params, "state": tuple(start), "dy": dy}
    found = run(p, x, start, dy, type(start)(*map(numpy.zeros_like, start)))
    return record(found, allowed, label, given | ({} if lengths is None else {"lengths": lengths}),
                  partial(explain_cell, cell, p, x, start, run, settable=False, lengths=lengths,
                          reverse=reverse, seed=seed))
