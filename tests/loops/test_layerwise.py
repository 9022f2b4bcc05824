"""A stack layer by layer: what every layer is told and keeps, when the plain loop is as good, and two in kernels.

That the results are those of the text is law 9, which test_laws.py holds every stack to.
"""
from dataclasses import replace

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, UGRNN, Bidirectional, Dropout, SimpleRNN, Stack
from rnnref.loops.layerwise import refuses, split_call
from rnnref.loops.plan import Call, describe_call, plan
from rnnref.loops.run import run, run_back
from rnnref.testing.api import assert_close, assert_same, draw_case
from rnnref.testing.case import PLAIN, Trial, masking_options
from rnnref.testing.laws import check_law
from rnnref.tree import PerStep, leaves, map_structure, to
from rnnref.wrappers.embedding import Embedding
from rnnref.wrappers.projection import InputProjection, OutputProjection
from rnnref.wrappers.skip import Skip
from tests.shim.double import with_kernels
from tests.support import blas
from tests.support.cases import CELLS, B, H, I, T, U, case

WAYS = masking_options((T, B))
EACH_BY_SCAN = {"paths": ("layerwise", "plain")}
CALL = Call("numpy", (T, B, I), np.dtype("float64"))
SLOW = Dropout(LSTM())


@pytest.fixture
def kernels():
    with with_kernels(), blas.install() as calls:
        yield calls


@pytest.mark.parametrize("cells, units, widths", (
    ((LSTM(), GRU(), SimpleRNN()), (U, 4, U), (I, U, 4)),
    ((LSTM(projection=H), GRU()), (H, U), (I, H)),
    ((OutputProjection(LSTM(), size=7), GRU()), (U, U), (I, 7)),
    ((Stack((GRU(), SimpleRNN())), LSTM()), ((4, 2), U), (I, 2)),
    ((GRU(), Stack((GRU(), SimpleRNN()))), U, (I, U)),
    ((Skip(GRU()), LSTM()), (U, U), (I, None)),
    ((LSTM(), GRU()), None, (I, None)),
))
def test_every_layer_is_told_the_width_of_the_one_below(cells, units, widths):
    calls = [its for _, its in split_call(Stack(cells), CALL._replace(units=units))]
    assert tuple(its.shape for its in calls) == tuple((T, B, n) for n in widths)
    assert [its.units for its in calls] == list(units if isinstance(units, tuple) else (units,) * len(cells))


def test_every_layer_is_told_its_own_extra():
    cell, extra = CELLS["Stack, one with a dropout"]
    first, second = (its.extra for _, its in split_call(cell, describe_call(np.ones((T, B, I)), extra)))
    assert first is None and second.x and second.h and second.y is None
    chosen = plan(cell, CALL._replace(extra=(first, second)))
    assert [one.path for one in chosen.cell] == ["sequence", "plain"]


@pytest.mark.parametrize("cell, change, says", (
    (LSTM(), {}, "GatedCell is not a stack of layers"),
    (InputProjection(Stack((LSTM(), GRU())), size=4), {}, "InputProjection is not a stack of layers"),
    (Stack((SLOW, SLOW)), {}, "no layer of it has a path that is faster"),
    (Stack((Stack((SLOW,)), SLOW)), {}, "no layer of it has a path that is faster"),
    (Stack((SLOW, UGRNN())), {"keep": "states"}, "no layer of it has a path that is faster"),
    (Stack((LSTM(), Bidirectional((LSTM(), GRU())))), {}, "layer 1: Bidirectional has no forward"),
))
def test_refusals(cell, change, says):
    assert says in refuses(cell, CALL._replace(**change))


def test_one_layer_that_goes_faster_is_enough():
    for cells in ((SLOW, LSTM()), (Stack((SLOW, GRU())), SLOW)):
        assert refuses(Stack(cells), CALL) is None


@pytest.mark.parametrize("where", WAYS)
@pytest.mark.parametrize("name", ("Stack", "Stack in a stack", "Stack, one with a dropout", "all together"))
def test_layers_step_by_step_say_every_bit_of_the_text(name, where):
    """The order of the layers changes nothing that is said."""
    for reverse in (False, True):
        one = replace(case(name), **WAYS[where], reverse=reverse)
        assert_same(one.run(**EACH_BY_SCAN)[0], one.run(**PLAIN)[0])


@pytest.mark.parametrize("name", ("Stack", "Stack of three, projected", "Stack in a stack"))
def test_what_live_rows_kept_is_what_ran(name):
    """Not only in what `kept` says of them, which is the text where another row is dead."""
    one = replace(case(name), **WAYS["holes"])
    tape, text = one.run()[1], one.run(**PLAIN)[1]
    assert tape.path == "layerwise"
    for t in range(T):
        now = one.live[t]
        got, want = (map_structure(lambda a: a[now], kept) for kept in (
            tuple(layer.kept(t) for layer in tape.tape.tapes), text.kept(t)))
        assert_close(got, want, "path", f"kept({t})")


def test_what_live_rows_kept_needs_no_second_run():
    one = replace(case("Stack"), mask=np.arange(T)[:, None] < [T, 3, 3, 3])
    tape = one.run()[1]
    tape.kept(2)
    assert "plain" not in vars(tape.tape)
    tape.kept(3)
    assert "plain" in vars(tape.tape)


@pytest.mark.kernels
@pytest.mark.parametrize("where, reverse", (("everywhere", False), ("lengths", True), ("holes", False)))
@pytest.mark.parametrize("cells, stepped", (((LSTM(), LSTM()), 2),
                                            ((LSTM(peepholes=True), GRU(reset="before"), GRU()), 3),
                                            ((Stack((LSTM(), SimpleRNN())), Dropout(GRU())), 2)),
                         ids=("two", "three", "nested"))
def test_laws_in_kernels(cells, stepped, where, reverse, kernels):
    trial = Trial(replace(draw_case(Stack(cells), None, None, None, None, I, U, T, B), **WAYS[where], reverse=reverse,
                          device="gpu"))
    for number in (1, 3, 4, 5, 6, 7, 8, 9):
        check_law(trial, number)
    assert any(ran.count("stepped") == stepped for ran in trial.outcomes)


@pytest.mark.kernels
@pytest.mark.parametrize("padding", ("repeat", "free"))
def test_laws_past_the_end_in_kernels(padding, kernels):
    trial = Trial(replace(case("Stack"), **WAYS["lengths"], padding=padding, device="gpu"))
    for number in (3, 5, 8, 9):
        check_law(trial, number)


@pytest.mark.kernels
def test_two_layers_are_two_loops_of_kernels(kernels):
    """Products: for each layer one for all steps of x, one a step each way, and dx, dW, dR; in the mode of the call."""
    cell = Stack((LSTM(), LSTM()))
    one = draw_case(cell, None, None, None, None, I, U, T, B)
    p, xs, s = to("gpu", map_structure(lambda a: a.astype("float32"), (one.p, one.xs, one.s)))
    said = rnnref.explain(cell, xs, mode="tf32").splitlines()
    assert {"layerwise: runs", "0 stepped: runs", "1 stepped: runs", "1 LSTM: CUDA kernel"} <= {
        *said} and sum("tf32, operands" in line for line in said) == 2
    kernels.clear()
    ys, new, tape = run(cell, p, xs, s, mode="tf32")
    run_back(tape, ys, new)
    assert tape.path == "layerwise" and kernels == ["32F_FAST_TF32"] * 2 * (1 + T + T + 3)


@pytest.mark.kernels
def test_directions_of_stacks(kernels):
    trial = Trial(replace(case("Bidirectional, stacks"), **WAYS["lengths"], device="gpu"))
    check_law(trial, 9)
    assert any({"bidirectional", "0 layerwise", "0 0 stepped", "0 1 stepped", "1 layerwise", "1 0 stepped",
                "1 1 stepped"} <= set(ran.split(", ")) for ran in trial.outcomes)


@pytest.mark.kernels
def test_a_layer_over_a_table_of_vectors_is_told_of_floats(kernels):
    cell = Stack((Embedding(GRU(), classes=6, size=4), LSTM()))
    ids = np.random.default_rng(0).integers(0, 6, (T, B, 1))
    one = draw_case(cell, xs=ids, n_in=1, units=U)
    want, tape = one.run(**PLAIN)
    d = Trial(one).draw(want)
    grads = one.run_back(tape, d)
    got, tape = replace(one, device="gpu").run()
    assert [plan.path for plan in tape.tape.plans] == ["plain", "stepped"]
    assert_close(got, want, "path")
    assert_close(replace(one, device="gpu").run_back(tape, d)[1:], grads[1:], "path")


def test_masks_of_every_step_reach_their_layer():
    cell, extra = CELLS["all together"]
    assert any(isinstance(e, PerStep) for _, e in leaves(extra))
    one = replace(case("all together"), **WAYS["lengths"])
    other = replace(one, extra=map_structure(
        lambda e: PerStep(e.steps[::-1]) if isinstance(e, PerStep) else e, one.extra))
    assert_close(other.run()[0], other.run(**PLAIN)[0], "path")
    assert abs(other.run()[0][0] - one.run()[0][0]).max() > 1e-3
