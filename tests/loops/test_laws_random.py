"""The laws on cells, options, sizes, lengths and masks that Hypothesis draws; the same ones every time."""
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from rnnref.cells import GRU, LSTM, Bidirectional, Dropout, GatedCell, LayerNormSimpleRNN, Masks, SimpleRNN, Stack
from rnnref.elementwise import ACTIVATIONS, get_activation
from rnnref.maps.dense import Dense
from rnnref.maps.normed import WeightNorm
from rnnref.rules import gru, layer_norm, lstm
from rnnref.testing import api
from rnnref.testing.api import assert_close, check_case, draw_case
from rnnref.testing.case import PLAIN
from rnnref.tree import PerStep
from tests.support.precision import cast_all, run_in_two_dtypes, upcast

few = settings(max_examples=40)                   # of the profile in conftest.py, where they are the same every time

GROWS = {"exponential"}                           # a recurrence of it has no end
limits = st.none() | st.sampled_from((0.3, 1.0))
activations = st.builds(
    lambda name, limit: get_activation(name, ACTIVATIONS[name].alpha, ACTIVATIONS[name].beta, clip=limit),
    st.sampled_from(sorted(set(ACTIVATIONS) - GROWS)), limits)
names = st.sampled_from(("sigmoid", "tanh", "hard_sigmoid@keras2", "softsign", "swish")) | activations
flags = st.booleans()
lstm_options = st.fixed_dictionaries({"peepholes": flags, "gate": names, "candidate": names, "output": names,
                                      "cell_clip": limits, "coupled": st.sampled_from((None, "input", "forget"))})
lstms = st.builds(lambda projection, limit, bR, bias, o: LSTM(
    projection=projection, projection_clip=limit if projection else None, recurrent_bias=bR,
    forget_bias=0.0 if o["coupled"] == "forget" else bias, **o),
    st.none() | st.integers(1, 4), limits, flags, st.sampled_from((0.0, 1.0, -0.5)), lstm_options)
grus = st.builds(GRU, reset=st.sampled_from(("after", "before")), recurrent_bias=flags, gate=names, candidate=names)
rnns = st.builds(SimpleRNN, activation=names, recurrent_bias=flags)
norms = st.builds(LayerNormSimpleRNN, activation=names, epsilon=st.sampled_from((1e-5, 1e-3))) | st.builds(
    lambda o: GatedCell(Dense("W"), Dense("R"), layer_norm.LayerNormRule(lstm.LSTMRule(**o))), lstm_options)
weight_norms = st.builds(lambda rule, bR: GatedCell(WeightNorm("W", "b", "V", "gain"),
                                                    WeightNorm("R", bR, "Vr", "gain_r"), rule),
                         st.sampled_from((lstm.LSTMRule(peepholes=True), gru.GRURule())), st.sampled_from((None, "bR")))
singles = lstms | grus | rnns | norms | weight_norms
stacks = st.lists(singles, min_size=1, max_size=3).map(Stack)
pairs = st.tuples(singles | stacks, singles | stacks).map(Bidirectional)


@pytest.mark.parametrize("family", (lstms, grus, rnns, norms, weight_norms, stacks, pairs), ids=(
    "lstms", "grus", "rnns", "norms", "weight_norms", "stacks", "pairs"))
def test_laws(family):
    @few
    @given(api.cases(family))
    def holds(case):
        check_case(case)
    holds()


def some_masks(draw, T, B, n_in, h):
    """Masks of a Dropout: each absent, the same at every step, or a new one at every step."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))

    def one(n):
        kind = draw(st.sampled_from(("none", "same", "each")))
        a = (rng.random((T, B, n)) < 0.7) / 0.7
        return None if kind == "none" else a[0] if kind == "same" else PerStep(a)
    return Masks(one(n_in), one(h), one(h))


@st.composite
def dropouts(draw):
    size, inner = draw(api.shapes()), draw(singles)
    masks = some_masks(draw, size.T, size.B, size.I, inner.width(size.U))
    where = draw(api.maskings(size.T, size.B))
    return replace(draw_case(Dropout(inner), None, None, None, masks, size.I, size.U, size.T, size.B,
                             draw(st.integers(0, 999))), **where, reverse=draw(flags))


@few
@given(dropouts())
def test_laws_of_dropout(case):
    check_case(case)


@few
@given(api.cases(singles), st.sampled_from(("repeat", "free")))
def test_laws_past_the_end(case, padding):
    check_case(replace(case, padding="repeat" if case.mask is not None else padding))


@few
@given(api.cases(singles | stacks), st.sampled_from(("float32", "float64")), flags)
def test_dtypes(case, dtype, text):
    """float32 against float64, float64 against 80 bits."""
    wide = {"float32": "float64", "float64": "longdouble"}[dtype]
    (out, grads), (ideal, ideal_grads) = run_in_two_dtypes(cast_all(case, dtype), wide, **(PLAIN if text else {}))
    assert_close(upcast(out, wide), ideal, "steep", arithmetic=dtype)
    assert_close(upcast(grads, wide), ideal_grads, "gradient", arithmetic=dtype)
