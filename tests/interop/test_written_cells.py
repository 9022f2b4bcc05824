"""Layouts of frameworks that need not be installed: our cell on their arrays is what their documentation writes."""
import numpy as np
import pytest

import rnnref
from rnnref.interop import LAYOUTS, cell_for, dump, explain_weights, load
from rnnref.testing.assertions import assert_close
from tests.support.weights import arrays_of, draw_parameters
from tests.support.written_cells import CELLS, run_written

OPTIONS = {("lstm", "tflite"): [{}, {"peepholes": True}, {"projection": 2, "peepholes": True}],
           ("lstm", "coreml"): [{}, {"peepholes": True}], ("lstm", "coreml network"): [{}, {"peepholes": True}]}
CASES = [(key, options) for key in CELLS for options in OPTIONS.get(key, [{}])]


@pytest.mark.parametrize("key, options", CASES, ids=[f"{' '.join(k)} {' '.join(o)}".strip() for k, o in CASES])
def test_written(key, options):
    layout, cell = LAYOUTS[key], cell_for(*key, **options)
    p, rng = draw_parameters(cell, layout), np.random.default_rng(2)
    arrays, xs = dump(layout, p, cell), rng.normal(size=(5, 2, 3))
    start = tuple(rng.normal(size=a.shape) for a in cell.zeros(2, 4, dtype="float64"))
    ys, last, _ = rnnref.run(cell, load(layout, arrays, cell), xs, cell.rule.State(*start))
    want, state = run_written(*key, arrays, xs, start)
    assert_close(ys, want)
    assert_close(tuple(last), tuple(state))


def test_a_negated_gate_is_named():
    text = explain_weights("gru before", "haiku", arrays_of("gru before", "haiku"))
    assert "W_z times -1" in text and "W_r times" not in text
