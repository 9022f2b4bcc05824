"""What is no step in time is refused wherever it is held, by name and with what to do."""
from collections import namedtuple

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, Bidirectional, Dropout, Parallel, Stack
from rnnref.loops.plan import Call, plan
from rnnref.loops.run import run
from rnnref.loops.scan import refuses
from rnnref.products import find_parts
from rnnref.wrappers.projection import InputProjection
from rnnref.wrappers.residual import Residual

BOTH = Bidirectional((LSTM(), GRU()))
CALL = Call("numpy", (5, 2, 3), np.dtype("float64"))


@pytest.mark.parametrize("cell", (
    Stack((LSTM(), BOTH)), Stack((BOTH, LSTM())), Stack((GRU(), Stack((GRU(), Dropout(BOTH))))),
    Parallel((LSTM(), BOTH)),
    Dropout(BOTH), InputProjection(Residual(BOTH), size=4),
))
@pytest.mark.parametrize("choice", ({}, {"paths": ("plain", "bidirectional"), "kernels": False}))
def test_two_directions_inside_of_a_cell(cell, choice):
    with pytest.raises(rnnref.NotSupported, match="no path can run it") as found:
        plan(cell, CALL, **choice)
    assert found.value.notes["plain"].endswith(
        "has no forward: it is not one step in time, run it by itself, and what follows on its outputs")
    assert "Bidirectional inside of" in found.value.notes["plain"]


def test_run_refuses_before_anything_runs():
    """It was a bare NotImplementedError, from the middle of the loop."""
    cell, rng = Stack((LSTM(), BOTH)), np.random.default_rng(0)
    p = tuple(rnnref.init.parameters(one, n, 4, rng, "float64") for one, n in zip(cell.cells, (3, 4)))
    with pytest.raises(rnnref.NotSupported, match="Bidirectional inside of Stack has no forward"):
        run(cell, p, np.ones((5, 2, 3)))
    # what the fix says
    ys, _, _ = run(cell.cells[0], p[0], np.ones((5, 2, 3)))
    assert run(cell.cells[1], p[1], ys)[0][0].shape == (5, 2, 4)


def test_what_can_run_is_not_refused():
    for cell in (Stack((LSTM(), Dropout(GRU()))), Parallel((LSTM(), GRU()))):
        assert refuses(cell, CALL) is None
    assert plan(BOTH, CALL).path == "bidirectional"


def test_parts_are_found_in_tuples_of_any_kind_and_once():
    inner, held = LSTM(), namedtuple("Held", "cell name")

    class Holder:
        def __init__(self):
            self.parts = held(inner, "x")
            self.again = [inner], inner
    holder = Holder()
    found = find_parts(holder)
    assert found[:2] == [holder, inner] and sum(part is inner for part in found) == 1
    assert inner.inputs in found and inner.rule not in found
