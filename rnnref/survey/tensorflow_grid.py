"""A grid of TensorFlow's fused recurrent operators: BlockLSTM and BlockLSTMV2 with gradients, GRUBlockCell."""
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import product
from typing import Any

import numpy

from ..arrays import Array
from ..cells import GRU, LSTM
from ..check.rounding import tolerance
from ..init import parameters
from .explain import explain_cell
from .grid import Comparison, GridSurvey, make_survey, record, try_case
from .search import Watch

_T, _B, _I, _U = 4, 2, 4, 6
_FACTOR = 8.0
_PEEPHOLES = "Wpi", "Wpf", "Wpo"
_ORDERS = {"BlockLSTM": "igfo", "BlockLSTMV2": "ifgo"}       # of the gate blocks, from the documentation of each


def survey_tensorflow(ops: Sequence[str] = ("LSTM", "GRU"), seed: int = 0, progress: Watch | None = None,
                      cases: Sequence[dict[str, str]] | None = None) -> GridSurvey:
    """A `GridSurvey` of TensorFlow's own recurrent operators, which its layers of old and converted graphs use."""
    tf = import_module("tensorflow")
    engine, watch = f"TensorFlow {tf.__version__}", progress or (lambda steps, what: steps)
    trials = [try_case(traits, partial(_compare, tf, traits, seed))
              for traits in watch(list(cases or _list_cases(ops)), engine)]
    from .. import __version__
    facts = {"TensorFlow": f"{tf.__version__}, tf.raw_ops with tf.GradientTape, on the CPU, float32",
             "truth": "rnnref in float64, on the same numbers", "seed": seed,
             "engine": "tensorflow", "rnnref": __version__,
             "budget": f"{_FACTOR:g} times the error of rnnref itself in float32", "numpy": numpy.__version__}
    return make_survey(engine, trials, facts)


def _list_cases(ops: Sequence[str]) -> Iterator[dict[str, str]]:
    if "LSTM" in ops:
        for op, peepholes, steps in product(_ORDERS, ("False", "True"), ("1", str(_T))):
            yield {"op": op, "peepholes": peepholes, "steps": steps}
    if "GRU" in ops:
        yield {"op": "GRUBlockCell", "peepholes": "False", "steps": "1"}


def _compare(tf: Any, traits: dict[str, str], seed: int, label: str) -> Comparison:
    rng, peepholes = numpy.random.default_rng(seed), traits["peepholes"] == "True"
    cell = LSTM(peepholes=peepholes) if "LSTM" in traits["op"] else GRU(reset="before")
    p = parameters(cell, _I, _U, rng, "float32", scheme="generic")
    x = rng.standard_normal((int(traits["steps"]), _B, _I)).astype("float32")
    start = cell.rule.State(*((0.5 * rng.standard_normal((_B, _U))).astype("float32") for _ in cell.rule.State._fields))
    dy = rng.standard_normal((len(x), _B, _U)).astype("float32")
    dstate = type(start)(*(numpy.zeros_like(a) for a in start))
    allowed = tolerance("float32", cell, x, p, start, dy=dy, dstate=dstate, factor=_FACTOR, seed=seed)
    run = _run_lstm if "LSTM" in traits["op"] else _run_gru

    own = partial(run, tf, traits["op"])
    return record(own(p, x, start, dy, dstate), allowed, label, {"x": x, "p": p, "state": tuple(start), "dy": dy},
                  partial(explain_cell, cell, p, x, start, own, seed=seed))


def _reorder(a: Array, order: str, own: str) -> Array:
    """The gate blocks of the last axis in another order."""
    blocks = dict(zip(own, numpy.split(a, len(own), -1)))
    return numpy.concatenate([blocks[gate] for gate in order], -1)


def _run_lstm(tf: Any, op: str, p: dict, x: Array, start: Any, dy: Array, dstate: Any) -> dict[str, Array]:
    """Outputs, the last states and gradients, by the names of `Tolerance`."""
    order = _ORDERS[op]
    peepholes = [p.get(name, numpy.zeros(_U, "float32")) for name in _PEEPHOLES]
    values = [x, start.c, start.h, numpy.concatenate([_reorder(p[n], order, "ifgo") for n in "WR"]), *peepholes,
              _reorder(p["b"], order, "ifgo")]
    variables = [tf.constant(a) for a in values]
    options = {"forget_bias": 0.0, "cell_clip": -1.0} if op == "BlockLSTM" else {"cell_clip": 0.0}
    with tf.GradientTape() as tape:
        tape.watch(variables)
        x_, c0, h0, w, wci, wcf, wco, b = variables
        result = getattr(tf.raw_ops, op)(seq_len_max=tf.constant(len(x), tf.int64), x=x_, cs_prev=c0, h_prev=h0, w=w,
                                         wci=wci, wcf=wcf, wco=wco, b=b, use_peephole="Wpi" in p, **options)
        loss = tf.reduce_sum(result.h * dy) + tf.reduce_sum(result.h[-1] * dstate.h + result.cs[-1] * dstate.c)
    found = [numpy.asarray(g) for g in tape.gradient(loss, variables)]
    dw, db = (_reorder(a, "ifgo", order) for a in (found[3], found[7]))
    gradients = {"dx": found[0], "dc0": found[1], "dh0": found[2], "dW": dw[:_I], "dR": dw[_I:], "db": db}
    gradients |= {f"d{name}": a for name, a in zip(_PEEPHOLES, found[4:7]) if name in p}
    return {"y": result.h.numpy(), "h": result.h.numpy()[-1], "c": result.cs.numpy()[-1], **gradients}


def _run_gru(tf: Any, op: str, p: dict, x: Array, start: Any, dy: Array, dstate: Any) -> dict[str, Array]:
    """One step of a GRU whose reset gate comes before the product."""
    reset_and_update, candidate = ({name: numpy.concatenate([numpy.split(p[name], 3, -1)[k] for k in of], -1)
                                    for name in ("W", "R", "b")} for of in ((0, 1), (2,)))
    kernels = [numpy.concatenate([of["W"], of["R"]]) for of in (reset_and_update, candidate)]
    result = tf.raw_ops.GRUBlockCell(x=x[0], h_prev=start.h, w_ru=kernels[0], w_c=kernels[1],
                                     b_ru=reset_and_update["b"], b_c=candidate["b"])
    return {"y": result.h.numpy()[None]}          # TensorFlow has no gradient of it
