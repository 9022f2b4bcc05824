"""Layers hold what Keras's own layers give: outputs, states and gradients, with weights handed over as they are.

Every case is one text, run with `keras.layers` and with `rnnref.layers`.  Keras runs on its PyTorch back end.
"""
import inspect
import os

import numpy as np
import pytest

import rnnref.layers as ours
from rnnref.check.tolerance import tolerance
from rnnref.testing.api import assert_close, assert_same
from tests.support.keras_pairs import (BACK, CONFIGURED, DTYPES, FAMILIES, MASKS, SEQ, STATE, ZERO, B, I, Pair, T, U,
                                       array, fill, layer, mask_of, pair)

os.environ.setdefault("KERAS_BACKEND", "torch")   # before Keras is imported, by the fixture

pytestmark = [pytest.mark.peers,                  # the warning: Keras's variables meeting NumPy 2
              pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")]

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
each_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture
def theirs(monkeypatch):
    """keras.layers, computing in float64 where it is told to.

    As it is, Keras multiplies in float32 in a layer of float64 too, whatever floatx says: `ops.matmul` asks a table
    that turns 64 bits into 32 on every back end but TensorFlow's.  Only LSTM and GRU(reset_after=True) without a mask
    go round it.
    """
    import keras
    from keras.src.backend.common import dtypes
    assert keras.backend.backend() == "torch"     # gradients come from its autograd
    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    return keras.layers


def test_keras_multiplies_in_float32(theirs, monkeypatch):
    """Why the fixture is needed.  The day this fails, it is not."""
    from keras.src.backend.common import dtypes
    monkeypatch.undo()
    both = pair(theirs, "SimpleRNN", "float64")
    off = abs(array(both.theirs(both.x)) - both.ours(both.x)).max()
    assert dtypes.BIT64_TO_BIT32_DTYPE["float64"] == "float32"
    assert tolerance("output", "float64") < off < tolerance("output", "float32")


@each_dtype
@each_family
@pytest.mark.parametrize("options", [{}, SEQ, STATE, SEQ | STATE, BACK, BACK | SEQ | STATE], ids=" ".join)
def test_loop(theirs, family, dtype, options):
    both = pair(theirs, family, dtype, **options)
    both.agree()
    both.agree(initial_state=both.states())


@each_family
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("back", [{}, BACK], ids=["ahead", "back"])
@pytest.mark.parametrize("zero", [{}, ZERO], ids=["repeat", "zero"])
def test_mask(theirs, family, mask, back, zero):
    for options in (STATE, SEQ | STATE):
        both = pair(theirs, family, "float64", **back, **zero, **options)
        both.agree(mask=mask_of(mask))
        both.agree(mask=mask_of(mask), initial_state=both.states())


@each_dtype
@each_family
@pytest.mark.parametrize("mask", ["right", "holes"])
def test_mask_in_either_precision(theirs, family, dtype, mask):
    pair(theirs, family, dtype, **SEQ, **STATE).agree(mask=mask_of(mask))


@each_dtype
@each_family
def test_without_bias(theirs, family, dtype):
    both = pair(theirs, family, dtype, use_bias=False, **SEQ)
    assert len(both.ours.get_weights()) == 2
    both.agree()


ACTIVATIONS = ("relu", "relu6", "elu", "selu", "softplus", "softsign", "silu", "swish", "mish", "hard_sigmoid",
               "hard_tanh", "leaky_relu", "linear", "sigmoid", None)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(theirs, name):
    """PyTorch takes the slope of hard_sigmoid, 1/6, in float32."""
    dtype = "float32" if name == "hard_sigmoid" else "float64"
    for family in FAMILIES:
        pair(theirs, family, dtype, activation=name, **SEQ).agree()
    for family in list(FAMILIES)[1:]:
        pair(theirs, family, dtype, recurrent_activation=name, **SEQ).agree()


@each_family
def test_stateful(theirs, family):
    """Outputs and states only: Keras writes the new states over the old ones, which its autograd then misses."""
    both = pair(theirs, family, "float64", stateful=True, **SEQ, **STATE)
    for initial_state in (None, None, both.states(), None):
        both.agree(initial_state, back=False)     # from where that one ended
        assert_close(both.ours.states, [array(v.value) for v in both.theirs.states], "output")
    for one in (both.ours, both.theirs):
        one.reset_state()
    both.agree(back=False)


def rate(keras_cell, x, h, rng, dtype):
    """Masks drawn for a Keras cell, put where it looks for them, as it orders them."""
    def draw(n, share, per_gate):
        masks = (rng.random((per_gate or 1, B, n)) >= share).astype(dtype) / dtype(1 - share)
        return None if not share else list(masks) if per_gate else masks[0]
    count = getattr(keras_cell, "dropout_mask_count", None)
    return draw(I, x, count), draw(U, h, count)


@each_family
@pytest.mark.parametrize("x, h", [(0.4, 0.0), (0.0, 0.4), (0.3, 0.5)])
@pytest.mark.parametrize("mask", [None, "holes"])
def test_dropout_with_the_masks_of_keras(theirs, family, x, h, mask):
    """LSTM and GRU with recurrent_dropout have a mask for each gate, and the z h of a GRU sees the whole h."""
    import torch
    both = pair(theirs, family, "float64", dropout=x, recurrent_dropout=h, **SEQ, **STATE)
    cell = both.theirs.cell
    mx, mh = rate(cell, x, h, both.rng, np.float64)
    cell._dropout_mask, cell._recurrent_dropout_mask = (fill_masks(torch.tensor, m) for m in (mx, mh))
    cell.reset_dropout_mask = cell.reset_recurrent_dropout_mask = lambda: None
    call = {} if mask is None else {"mask": mask_of(mask)}
    forward = both.ours.forward
    both.ours.forward = lambda *args, **kwargs: forward(*args, masks=ours.Masks(x=mx, h=mh), **kwargs)
    both.agree(training=True, **call)


def fill_masks(f, mask):
    return None if mask is None else [f(m) for m in mask] if isinstance(mask, list) else f(mask)


@each_family
def test_masks_have_the_shape_of_keras(theirs, family):
    """Ours, drawn for the same options, are arrays where Keras has arrays and lists where it has lists."""
    for options in ({"dropout": 0.5}, {"recurrent_dropout": 0.5}, {"dropout": 0.5, "recurrent_dropout": 0.5}):
        both = pair(theirs, family, "float32", **options)
        x, h = np.zeros((B, I), "float32"), np.zeros((B, U), "float32")
        want = [both.theirs.cell.get_dropout_mask(x), both.theirs.cell.get_recurrent_dropout_mask(h)]
        got = both.ours.cell.draw_masks(B)[:2]
        for g, w in zip(got, want):
            assert fill_masks(np.shape, g) == fill_masks(lambda a: tuple(a.shape), w)


def test_a_mask_for_each_gate_without_cudnn(theirs):
    """implementation=1.  Keras's own layers then fail while training with use_cudnn="auto": the list of masks is taken
    for one array.  With use_cudnn=False they run."""
    import torch
    for name in ("LSTM", "GRU"):
        broken = layer(name, dropout=0.4, implementation=1)(theirs, "float32")
        with pytest.raises(Exception, match="expand"):
            broken(np.zeros((B, T, I), "float32"), training=True)
        both = Pair(theirs, layer(name, dropout=0.4, implementation=1, use_cudnn=False), "float64")
        mx, _ = rate(both.theirs.cell, 0.4, 0.0, both.rng, np.float64)
        assert isinstance(mx, list) and isinstance(both.ours.cell.draw_masks(B).x, list)
        both.theirs.cell._dropout_mask = fill_masks(torch.tensor, mx)
        forward = both.ours.forward
        both.ours.forward = lambda *args, **kwargs: forward(*args, masks=ours.Masks(x=mx), **kwargs)
        both.agree(training=True)


def mirrored(family, mode, **options):
    def make(L, dtype):
        return L.Bidirectional(layer(family, **options)(L, dtype), mode, dtype=dtype)
    return make


@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("family", ["SimpleRNN", "LSTM", "GRU"])
def test_bidirectional(theirs, family, mode):
    for options in ({}, SEQ):
        Pair(theirs, mirrored(family, mode, **options), "float64").agree()
    for options in (STATE, SEQ | STATE):
        both = Pair(theirs, mirrored(family, mode, **options), "float64")
        both.agree(initial_state=both.states())


@pytest.mark.parametrize("family", ["SimpleRNN", "LSTM", "GRU"])
def test_bidirectional_in_float32(theirs, family):
    both = Pair(theirs, mirrored(family, "concat", **SEQ, **STATE), "float32")
    both.agree(initial_state=both.states())


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("zero", [{}, ZERO], ids=["repeat", "zero"])
def test_bidirectional_mask(theirs, mask, zero):
    """With return_sequences Keras says zero at dead steps, without it repeats, whatever zero_output_for_mask says."""
    for options in (STATE, SEQ | STATE):
        both = Pair(theirs, mirrored("LSTM", "concat", **zero, **options), "float64")
        both.agree(mask=mask_of(mask), initial_state=both.states())


@pytest.mark.parametrize("turned", [False, True])
def test_backward_layer(theirs, turned):
    """Two different layers; the first may be the one that goes backwards, then y is turned round as a whole."""
    def make(L, dtype):
        one = layer("LSTM", go_backwards=turned, **SEQ, **STATE)(L, dtype)
        two = L.GRU(3, go_backwards=not turned, dtype=dtype, **SEQ, **STATE)
        return L.Bidirectional(one, backward_layer=two, dtype=dtype)
    Pair(theirs, make, "float64").agree()
    Pair(theirs, make, "float64").agree(mask=mask_of("holes"))


def test_bidirectional_stateful(theirs):
    both = Pair(theirs, mirrored("GRU", "concat", stateful=True, **SEQ), "float64")
    for _ in range(2):
        both.agree(back=False)
        assert_close(both.ours.states, [array(v.value) for v in both.theirs.states], "output")


STACKS = {"three": [("LSTMCell", 4, {}), ("GRUCell", 3, {}), ("SimpleRNNCell", 2, {})],
          "two lstm": [("LSTMCell", 4, {}), ("LSTMCell", 4, {"use_bias": False})],
          "one lstm": [("LSTMCell", 4, {})], "one gru": [("GRUCell", 4, {})]}


def stacked(name, **options):
    def make(L, d):
        cells = [getattr(L, cell)(units, dtype=d, **more) for cell, units, more in STACKS[name]]
        return L.RNN(L.StackedRNNCells(cells, dtype=d), dtype=d, **options)
    return make


@each_dtype
@pytest.mark.parametrize("name", STACKS)
def test_stacked_cells(theirs, name, dtype):
    for options in ({}, SEQ | STATE, BACK | SEQ | STATE):
        both = Pair(theirs, stacked(name, **options), dtype)
        both.agree()
        both.agree(initial_state=both.states())
        if not name.startswith("one"):
            both.agree(mask=mask_of("holes"))


@pytest.mark.parametrize("name", ["one lstm", "one gru"])
def test_a_stack_of_one_with_a_mask(theirs, name):
    """Keras unwraps the state of the only cell after the first masked step: an LSTM then fails, a GRU returns its state
    without the list around it.  Ours is the cell by itself."""
    both = Pair(theirs, stacked(name, **SEQ, **STATE), "float64")
    call = {"mask": mask_of("holes")}
    if name == "one lstm":
        with pytest.raises(Exception, match="list index out of range"):
            both.theirs(both.x, **call)
    else:
        assert not isinstance(both.theirs(both.x, **call)[1], list)
    alone = ours.RNN(both.ours.cell.cells[0], **SEQ, **STATE)
    y, states = both.ours(both.x, **call)
    assert_same([y, *states], list(alone(both.x, **call)))


def test_stacked_in_both_directions(theirs):
    Pair(theirs, lambda L, d: L.Bidirectional(stacked("three", **SEQ, **STATE)(L, d), dtype=d), "float64").agree()


@each_dtype
@pytest.mark.parametrize("name", ["SimpleRNNCell", "LSTMCell", "GRUCell"])
def test_single_step(theirs, name, dtype):
    both = Pair(theirs, layer(name), dtype, shape=(B, I))
    states = [both.normal((B, U)) for _ in range(2 if name == "LSTMCell" else 1)]
    y, new = both.theirs(both.x, states)
    got = both.ours(both.x, states)
    assert_close([got[0], *got[1]], [array(a) for a in (y, *new)], "output")
    assert both.ours.state_size == both.theirs.state_size and both.ours.output_size == both.theirs.output_size


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU", "SimpleRNNCell", "LSTMCell", "GRUCell", "RNN",
                                  "Bidirectional", "StackedRNNCells"])
def test_signature(theirs, name):
    """The same arguments in the same order with the same defaults; what we have besides is by keyword."""
    def positional(cls):
        return [(p.name, p.default) for p in inspect.signature(cls.__init__).parameters.values()
                if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional(getattr(ours, name)) == positional(getattr(theirs, name))


@pytest.mark.parametrize("name", CONFIGURED)
def test_the_configuration_of_keras_makes_our_layer(theirs, name):
    their = CONFIGURED[name](theirs)
    our = type(CONFIGURED[name](ours)).from_config(their.get_config())
    their.build((B, T, I))
    our.set_weights(their.get_weights())
    x = np.random.default_rng(0).normal(size=(B, T, I)).astype(our.dtype)
    assert our.name == their.name
    assert_close(fill(np.asarray, our(x)), fill(array, their(x)), "output")


@pytest.mark.parametrize("name", ["lstm", "gru", "simple"])
def test_our_configuration_makes_a_layer_of_keras(theirs, name):
    our = CONFIGURED[name](ours)
    their = type(CONFIGURED[name](theirs)).from_config(our.get_config())
    assert type(our).from_config(their.get_config()).get_config() == our.get_config()
