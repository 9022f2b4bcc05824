"""`rnnref.tf1` beyond the recorded runs: cells called in a loop, initial values, configs, masks, errors."""
import json

import numpy as np
import pytest

import rnnref
from rnnref import tf1
from rnnref.testing.assertions import assert_close, assert_same
from rnnref.tf1.loops import flatten_state
from rnnref.tree import map_structure
from tests.support.golden_checks import FILES
from tests.support.golden_runs import Arrays, Case, make_cells, sequence

RNG = np.random.default_rng(3)
T, B, D, U = 4, 2, 3, 5
ALONE = [path for path in FILES if Arrays(path).config["loop"] in ("static_rnn", "dynamic_rnn", "cell_step")
         and not any(name.startswith("mask/") for name in Arrays(path).all)]


def inputs(case):
    """The inputs of a file as a list over time; of one step, three that differ."""
    x = case.arrays.one("in/x")
    if case.loop == "cell_step":
        whole = isinstance(x, tuple) or x.dtype.kind in "iu"
        return [x] * 3 if whole else [x, (0.5 * x).astype(x.dtype), -x]
    return sequence(x if case.loop == "static_rnn" or case.options.get("time_major") else x.swapaxes(0, 1))


@pytest.mark.parametrize("path", ALONE, ids=lambda path: path.stem)
def test_calling_the_cell_in_a_loop_gives_the_same_bits(path):
    case = Case(path)
    (cell,), xs, state = case.cells, inputs(case), case.state("in", case.form)
    xs = xs[:1] if case.config["kwargs"].get("skip_connection") else xs
    state = cell.zero_state(len(rnnref.tree.first_leaf(xs[0])), case.config["dtype"]) if state is None else state
    start, result = state, tf1.static_rnn(cell, xs, state)
    outputs, backs = [], []
    for x in xs:
        one = output, state = cell(x, state)
        outputs.append(output)
        backs.append(one)
    assert_same((outputs, flatten_state(state)), (result[0], flatten_state(result[1])))
    assert_same(tf1.dynamic_rnn(cell, rnnref.tree.stack(xs), None, start, time_major=True)[0], np.stack(outputs))
    d = [RNG.normal(size=y.shape).astype(y.dtype) for y in outputs]
    want, dstate, dxs = result.backward(d), None, []
    for one, dy in zip(backs[::-1], d[::-1]):
        back = one.backward(dy, dstate)
        dxs.insert(0, back.inputs)
        dstate = back.state
    assert_same(flatten_state(want.state), flatten_state(dstate))
    assert want.inputs is None or assert_same(list(want.inputs), dxs) is None


@pytest.mark.parametrize("name", "BasicRNNCell BasicLSTMCell LSTMCell GRUCell LSTMBlockCell GRUBlockCell".split())
def test_the_last_output_is_the_state(name):
    cell = getattr(tf1, name)(U).build(D, "float64", seed=0)
    xs = RNG.normal(size=(B, T, D))
    outputs, state = tf1.dynamic_rnn(cell, xs)
    h = state.h if hasattr(state, "h") else state
    assert_same(outputs[:, -1], h)
    outputs, state = tf1.dynamic_rnn(cell, xs, [T, 2])
    h = state.h if hasattr(state, "h") else state
    assert_same(h, np.stack([outputs[0, -1], outputs[1, 1]]))
    assert not outputs[1, 2:].any()


def test_public_names_without_a_recorded_run():
    for name in ("CudnnLSTM CudnnGRU CudnnRNNTanh CudnnRNNRelu DeviceWrapper static_rnn dynamic_rnn raw_rnn "
                 "static_state_saving_rnn static_bidirectional_rnn bidirectional_dynamic_rnn stack_bidirectional_rnn "
                 "stack_bidirectional_dynamic_rnn LSTMStateTuple CudnnParamsFormatConverterRelu").split():
        assert callable(getattr(tf1, name))


# configs, first values, variables

CONFIGS = {json.dumps(c, sort_keys=True): c for c in (Arrays(path).config for path in FILES)
           if c["class"] and c["loop"] != "weight_conversion" and "residual_fn" not in c["kwargs"]}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=lambda config: config["id"])
def test_a_cell_is_made_again_from_its_config(config):
    cell = make_cells(config)
    again = tf1.CLASSES[config["class"]].from_config(json.loads(json.dumps(cell.get_config())))
    assert again.get_config() == cell.get_config()
    assert (again.core, again.state_size, again.output_size) == (cell.core, cell.state_size, cell.output_size)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=lambda config: config["id"])
def test_variables_are_dumped_and_loaded_bit_for_bit(config):
    width = config["shapes"]["x"][-1][-1]
    cell = make_cells(config).build(width, "float64", seed=0)
    want = {name.removeprefix("rnn/") for name in config["shapes"]["var"]}
    dumped = cell.dump_variables()
    assert {name.removeprefix("rnn/") for name in dumped} == want
    for name, shape in config["shapes"]["var"].items():
        key = name if name in dumped else name.removeprefix("rnn/")
        assert list(dumped[key].shape) == shape
    again = make_cells(config).load_variables({f"a/b/{name}": a for name, a in dumped.items()}, "a/b")
    assert_same({name.removeprefix("a/b/"): a for name, a in again.dump_variables().items()}, dumped)
    assert_same(again.p, cell.p)


def test_initial_values_are_those_of_tf():
    cell = tf1.LSTMCell(50, use_peepholes=True).build(30, seed=1)
    v = cell.dump_variables()
    assert not v["lstm_cell/bias"].any() and v["lstm_cell/kernel"].dtype == np.float32
    limit = np.sqrt(6 / (80 + 200))
    assert 0.95 * limit < abs(v["lstm_cell/kernel"]).max() <= limit
    gru = tf1.GRUCell(4).build(3).dump_variables()
    assert (gru["gru_cell/gates/bias"] == 1).all() and not gru["gru_cell/candidate/bias"].any()
    norm = tf1.LayerNormLSTMCell(4, layer_norm=True, norm_gain=1.5, norm_shift=0.3).build(3).dump_variables()
    assert (norm["layer_norm_lstm_cell/input/gamma"] == np.float32(1.5)).all()
    assert (norm["layer_norm_lstm_cell/state/beta"] == np.float32(0.3)).all()
    phased = tf1.PhasedLSTMCell(200).build(3, seed=2).dump_variables()
    period, phase = (phased[f"phased_lstm_cell/{n}"] for n in ("period", "phase"))
    assert (period >= 1).all() and (period <= 1000).all() and (phase <= period).all() and (phase >= 0).all()
    high = tf1.HighwayWrapper(tf1.GRUCell(3), False, 2.0).build(3).dump_variables()
    assert (high["carry_b"] == 2).all() and (high["transform_b"] == -2).all()


def test_non_trainable_variables():
    assert tf1.PhasedLSTMCell(2, trainable_ratio_on=False).non_trainable_variables == ["phased_lstm_cell/ratio_on"]
    assert tf1.PhasedLSTMCell(2).non_trainable_variables == []


@pytest.mark.parametrize("make, names", (
    (lambda n: tf1.LSTMCell(4, num_proj=3, num_unit_shards=n, num_proj_shards=n),
     {"lstm_cell/kernel": 6, "lstm_cell/projection/kernel": 4}),
    (lambda n: tf1.CoupledInputForgetGateLSTMCell(4, num_proj=3, num_unit_shards=n or 1, num_proj_shards=n or 1),
     {"coupled_input_forget_gate_lstm_cell/W_0": 6, "coupled_input_forget_gate_lstm_cell/W_P_0": 4})))
def test_variables_in_blocks_of_rows(make, names):
    """TF's shards: the first ones have one row more if the rows cannot be divided evenly."""
    whole, cut = make(None).build(D, "float64", seed=0), make(3)
    v, parts = whole.dump_variables(), {}
    for name, a in v.items():
        if name not in names:
            parts[name] = a
            continue
        base = name.removesuffix("0") if name.endswith("_0") else name + "/part_"
        assert len(a) == names[name]
        parts |= {f"{base}{k}": part for k, part in enumerate(np.array_split(a, 3))}
    cut.load_variables(parts)
    assert_same(cut.p, whole.p)
    assert_same(cut.dump_variables(), parts)


def test_a_scope_is_found_or_named():
    v = tf1.LSTMCell(U).build(D, seed=0).dump_variables()
    both = {f"fw/{n}": a for n, a in v.items()} | {f"bw/{n}": 2 * a for n, a in v.items()}
    assert tf1.LSTMCell(U).load_variables({f"fw/{n}": a for n, a in v.items()}).scope == "fw"
    assert_same(tf1.LSTMCell(U).load_variables(both, "bw").dump_variables(),
                {n: a for n, a in both.items() if n.startswith("bw")})
    half = {"lstm_cell/kernel": v["lstm_cell/kernel"]}
    for given, message in ((both, "2 scopes"), ({}, "no scopes"), (half, "no scopes")):
        with pytest.raises(rnnref.ShapeError, match=message):
            tf1.LSTMCell(U).load_variables(given)
    with pytest.raises(rnnref.ShapeError, match="rnn/lstm_cell/kernel rnn/lstm_cell/bias missing"):
        tf1.LSTMCell(U).load_variables(v, "rnn")


# loops

def test_a_list_of_states_for_the_layers():
    cells = [tf1.GRUCell(4).build(D, "float64", seed=0) for _ in "ab"]
    with pytest.raises(rnnref.ShapeError, match="1 cells forward and 2 backward"):
        tf1.stack_bidirectional_rnn(cells[:1], cells, [np.ones((B, D))] * 2)


def test_nested_states_and_outputs_of_zero_state():
    cell = tf1.MultiRNNCell([tf1.LSTMCell(5, num_proj=2), tf1.GRUCell(4)])
    assert cell.state_size == (tf1.LSTMStateTuple(5, 2), 4) and cell.output_size == 4
    assert cell.state_size[0].h == 2                                   # a named tuple, as in TF
    zero = cell.zero_state(3, "float32")
    assert zero[0].h.shape == (3, 2) and zero[1].shape == (3, 4) and zero[1].dtype == np.float32
    assert tf1.LSTMCell(5, state_is_tuple=False, num_proj=2).state_size == 7
    assert tf1.Conv2DLSTMCell((4, 5, 3), 2, (3, 3)).state_size == ((4, 5, 2), (4, 5, 2))
    assert tf1.Conv2DLSTMCell((4, 5, 3), 2, (3, 3), skip_connection=True).output_size == (4, 5, 5)
    assert tf1.Conv1DLSTMCell((4, 3), 2, (3,)).zero_state(2, "float32").c.shape == (2, 4, 2)


def test_raw_rnn_without_loop_back_runs_forward_only():
    cell = tf1.GRUCell(U).build(D, "float64", seed=0)
    xs = RNG.normal(size=(T, B, D))

    def loop(time, output, state, loop_state):
        emit = np.zeros(U) if output is None else output
        state = cell.zero_state(B, "float64") if output is None else state
        return np.full(B, time >= T), xs[min(time, T - 1)], state, emit, None
    emitted, state, _ = result = tf1.raw_rnn(cell, loop)
    outputs, last = tf1.dynamic_rnn(cell, xs, time_major=True)
    assert_same((emitted, state), (outputs, last))
    with pytest.raises(rnnref.NotSupported, match="backward without loop_back"):
        result.backward(np.ones_like(emitted))


BOTH = {
    "static_bidirectional_rnn": lambda fw, bw, x: tf1.static_bidirectional_rnn(fw, bw, list(x)),
    "bidirectional_dynamic_rnn": lambda fw, bw, x: tf1.bidirectional_dynamic_rnn(fw, bw, x, time_major=True),
    "stack_bidirectional_rnn": lambda fw, bw, x: tf1.stack_bidirectional_rnn([fw], [bw], list(x)),
    "stack_bidirectional_dynamic_rnn": lambda fw, bw, x: tf1.stack_bidirectional_dynamic_rnn(
        [fw], [bw], x, time_major=True),
}


@pytest.mark.parametrize("loop", BOTH)
def test_gradients_of_two_cells_with_the_same_names_are_kept_apart(loop):
    """Those of the cells by themselves, over x and over x from its end, under the names of a graph of TF."""
    fw, bw = (tf1.LSTMCell(U).build(D, "float64", seed=n) for n in (1, 2))
    x, ones = RNG.normal(size=(T, B, D)), np.ones((T, B, U))
    dy = {"bidirectional_dynamic_rnn": (ones, ones), "stack_bidirectional_dynamic_rnn": np.ones((T, B, 2 * U))}
    got = BOTH[loop](fw, bw, x).backward(dy.get(loop, [np.ones((B, 2 * U))] * T)).variables
    for cell, xs, way in ((fw, x, "fw"), (bw, x[::-1], "bw")):
        want = tf1.dynamic_rnn(cell, xs, time_major=True).backward(ones).variables
        assert_close({name: got.pop(f"{tf1.scope_of(loop, way)}/{name}") for name in want}, want, "path")
    assert not got
    shared = BOTH[loop](fw, fw, x).backward(dy.get(loop, [np.ones((B, 2 * U))] * T)).variables
    want = [tf1.dynamic_rnn(fw, xs, time_major=True).backward(ones).variables for xs in (x, x[::-1])]
    assert_close(shared, {name: d + want[1][name] for name, d in want[0].items()}, "path")


@pytest.mark.parametrize("make", (
    lambda **o: tf1.LSTMCell(U, **o), lambda **o: tf1.LayerNormLSTMCell(U, layer_norm=True, **o),
    lambda **o: tf1.LayerNormLSTMCell(U, **o), lambda **o: tf1.WeightNormLSTMCell(U, **o),
    lambda **o: tf1.WeightNormLSTMCell(U, norm=False, **o), lambda **o: tf1.TimeFreqLSTMCell(U, feature_size=2, **o),
    lambda **o: tf1.GridLSTMCell(U, feature_size=2, frequency_skip=1, num_frequency_blocks=[2], **o),
    lambda **o: tf1.BidirectionalGridLSTMCell(U, feature_size=2, frequency_skip=1, num_frequency_blocks=[2], **o)))
def test_a_cell_clip_of_zero_clips_to_zero(make):
    cell = make(cell_clip=0.0).build(D, "float64", seed=0)
    outputs, state = result = tf1.dynamic_rnn(cell, RNG.normal(size=(B, T, D)))
    assert not outputs.any() and not any(a.any() for a in flatten_state(state))
    assert not any(d.any() for d in result.backward(np.ones_like(outputs)).variables.values())
    with pytest.raises(rnnref.NotSupported, match="cell_clip=-1"):
        make(cell_clip=-1)


@pytest.mark.parametrize("make", (tf1.LSTMCell, tf1.LayerNormLSTMCell, tf1.WeightNormLSTMCell,
                                  tf1.CoupledInputForgetGateLSTMCell))
def test_a_proj_clip_of_zero_clips_to_zero(make):
    cell = make(U, num_proj=2, proj_clip=0.0).build(D, "float64", seed=0)
    outputs, state = tf1.dynamic_rnn(cell, RNG.normal(size=(B, T, D)))
    assert not outputs.any() and not state.h.any() and state.c.any()
    for options in ({"num_proj": 2}, {}):
        with pytest.raises(ValueError, match="proj_clip=-0.5"):
            make(U, proj_clip=-0.5, **options)


def test_gradients_that_are_left_out_are_zero():
    cell = tf1.LSTMCell(U).build(D, "float64", seed=0)
    xs = list(RNG.normal(size=(T, B, D)))
    one = tf1.static_rnn(cell, xs)
    zeros = [np.zeros((B, U))] * (T - 1)
    assert_same(one.backward([None] * (T - 1) + [np.ones((B, U))]), one.backward(zeros + [np.ones((B, U))]))
    nothing = one.backward()
    assert not any(d.any() for d in nothing.variables.values())


STEP = np.ones((B, D))


@pytest.mark.parametrize("what, error, message", (
    (lambda: tf1.LSTMCell(U)(STEP, None), rnnref.Error, "have no values|the state is None"),
    (lambda: tf1.LSTMCell(U, reuse=True), rnnref.NotSupported, "reuse=True"),
    (lambda: tf1.LSTMCell(U, activation=np.tanh), rnnref.NotSupported, "its derivative is not known"),
    (lambda: tf1.LSTMCell(U).build(D)(STEP, np.ones((B, U))), rnnref.ShapeError, "expected a tuple of 2"),
    (lambda: tf1.LSTMCell(U, state_is_tuple=False).build(D, "float64")(STEP, np.ones((B, U))), rnnref.ShapeError,
     "expected one matrix 10 wide"),
    (lambda: tf1.static_rnn(tf1.GRUCell(U).build(D), np.ones((T, B, D))), rnnref.ShapeError, "expected a list"),
    (lambda: tf1.static_rnn(tf1.GRUCell(U).build(D), []), rnnref.ShapeError, "inputs is empty"),
    (lambda: tf1.dynamic_rnn(tf1.GRUCell(U).build(D), STEP, scope="foo"), rnnref.NotSupported, "scope='foo'"),
    (lambda: tf1.LSTMBlockFusedCell(U).build(D)([STEP]), rnnref.ShapeError, "expected one array"),
    (lambda: tf1.TimeReversedFusedRNN(tf1.GRUCell(U)), rnnref.NotSupported, "takes one step"),
    (lambda: tf1.MultiRNNCell([tf1.TimeFreqLSTMCell(U, feature_size=2)]), rnnref.NotSupported, "inside another cell"),
    (lambda: tf1.TimeFreqLSTMCell(U, feature_size=2).zero_state(B, "float32"), rnnref.NotSupported, "before the first"),
    (lambda: tf1.TimeFreqLSTMCell(U), rnnref.NotSupported, "feature_size=None"),
    (lambda: tf1.GridLSTMCell(U), rnnref.NotSupported, "set all three"),
    (lambda: tf1.GridLSTMCell(U, feature_size=2, frequency_skip=1, num_frequency_blocks=[1, 2]), rnnref.NotSupported,
     "without start_freqindex_list"),
    (lambda: tf1.GridLSTMCell(U, feature_size=2, frequency_skip=1, num_frequency_blocks=[3], start_freqindex_list=[0],
                              end_freqindex_list=[3]), rnnref.NotSupported, "where 2 fit"),
    (lambda: tf1.NTMCell(tf1.GRUCell(4), 6, 4, 1, 1, clip_value=10), rnnref.NotSupported, "clip_value=10"),
    (lambda: tf1.DropoutWrapper(tf1.GRUCell(4), 0.0), rnnref.NotSupported, "input_keep_prob=0.0"),
    (lambda: tf1.DropoutWrapper(tf1.GRUCell(4), variational_recurrent=True), rnnref.NotSupported, "without dtype"),
    (lambda: tf1.DeviceWrapper(tf1.GRUCell(4), "/device:GPU:1").build(D, "float64")(
        STEP, np.zeros((B, 4))), rnnref.DeviceError, "x is in main memory"),
    (lambda: tf1.InputProjectionWrapper(tf1.GRUCell(4), 2, input_size=2).build(D), rnnref.ShapeError, "input_size=2"),
    (lambda: tf1.GRUBlockCell(4, 4), rnnref.NotSupported, "give one of the two"),
    (lambda: tf1.MultiRNNCell([]), rnnref.NotSupported, "cells is empty"),
    (lambda: tf1.MultiRNNCell([tf1.GRUCell(4)] * 2), rnnref.NotSupported, "one cell in two places"),
    (lambda: tf1.HighwayWrapper(tf1.HighwayWrapper(tf1.GRUCell(U))), ValueError, "two variables are called carry_b"),
    (lambda: tf1.AttentionCellWrapper(tf1.NTMCell(tf1.GRUCell(4), 6, 4, 1, 1), 2), rnnref.NotSupported,
     "more than vectors"),
))
def test_refusals(what, error, message):
    with pytest.raises(error, match=message):
        what()


# zero steps

ZERO = {"GRU": lambda: tf1.GRUCell(U), "LSTM": lambda: tf1.LSTMCell(U, num_proj=2, use_peepholes=True),
        "stack": lambda: tf1.MultiRNNCell([tf1.GRUCell(4), tf1.LSTMCell(U)]),
        "dropout": lambda: tf1.DropoutWrapper(tf1.GRUCell(U), 0.5, 0.5, seed=1),
        "phased": lambda: tf1.PhasedLSTMCell(U), "attention": lambda: tf1.AttentionCellWrapper(tf1.GRUCell(U), 2)}


@pytest.mark.parametrize("name", ZERO)
def test_dynamic_rnn_of_no_steps_leaves_the_state(name):
    cell = ZERO[name]().build(D, "float64", seed=0)
    x = np.ones((B, 0, D))
    x = (np.ones((B, 0, 1)), x) if name == "phased" else x
    start = map_structure(lambda a: RNG.normal(size=a.shape), cell.zero_state(B, "float64"))
    outputs, state = result = tf1.dynamic_rnn(cell, x, initial_state=start)
    assert outputs.shape == (B, 0, cell.output_size) and outputs.dtype == np.float64
    assert_same(state, start)
    assert not any(a.any() for a in flatten_state(tf1.dynamic_rnn(cell, x)[1]))
    d = result.backward(np.ones_like(outputs), state)
    assert_same(d.state, start)
    assert d.variables.keys() == cell.dump_variables().keys() and not any(a.any() for a in d.variables.values())
    assert_same(map_structure(np.shape, d.inputs), map_structure(np.shape, x))
    if name != "phased":
        (fw, bw), _ = tf1.bidirectional_dynamic_rnn(cell, cell, x, dtype="float64")
        assert fw.shape == bw.shape == outputs.shape


@pytest.mark.parametrize("shape, want", ((None, (0, B, U)), ({"a": np.zeros(3), "b": np.zeros((2, 1))},
                                                             {"a": (0, B, 3), "b": (0, B, 2, 1)})))
def test_raw_rnn_of_no_steps_leaves_the_state(shape, want):
    cell = tf1.GRUCell(U).build(D, "float64", seed=0)
    start = RNG.normal(size=(B, U))

    def loop(time, output, state, loop_state):
        return np.full(B, True), STEP, start, shape, "first"
    emitted, state, last = result = tf1.raw_rnn(cell, loop, loop_back=lambda *a: (None, None, None, {"x": a[4][1]}))
    assert map_structure(np.shape, emitted) == want and last == "first"
    assert_same(state, start)
    d = result.backward(None, 2 * start)
    assert_same((d.state, d.inputs["x"]), (2 * start, 2 * start))


# dtypes, names and numbers

def test_the_time_of_a_phased_cell_has_a_dtype_of_its_own():
    """In float64 the phase of a late time is exact, where in float32 it is lost."""
    cell = tf1.PhasedLSTMCell(U, period_init_max=4.0).build(D, seed=0)
    times, x = np.arange(B * T, dtype="float64").reshape(B, T, 1) + 0.25, RNG.normal(size=(B, T, D)).astype("float32")
    period = cell.dump_variables()["phased_lstm_cell/period"].astype("float64")
    outputs, state = result = tf1.dynamic_rnn(cell, (times, x), dtype="float32")
    assert outputs.dtype == state.c.dtype == np.float32
    assert_close(outputs, tf1.dynamic_rnn(cell, (times.astype("float32"), x))[0], "path")
    d = result.backward(np.ones_like(outputs))
    assert d.inputs[0].dtype == np.float64 and d.inputs[1].dtype == np.float32
    v = cell.dump_variables() | {"phased_lstm_cell/period": np.full(U, 4, "float32")}
    late = tf1.dynamic_rnn(cell.load_variables(v), (times + 4 * 2 ** 40, x))[0]
    assert_close(late, tf1.dynamic_rnn(cell, (times, x))[0], "path")
    assert period.shape == (U,)


@pytest.mark.parametrize("names", (("c", "h", "g"), (("c", "h"), "g"), [["c", "h"], "g"]))
def test_the_names_of_saved_states_may_be_nested(names):
    cell = tf1.MultiRNNCell([tf1.LSTMCell(U), tf1.GRUCell(4)]).build(D, "float64", seed=0)
    start = map_structure(lambda a: RNG.normal(size=a.shape), cell.zero_state(B, "float64"))

    class Saver:
        def __init__(self):
            self.saved = dict(zip("chg", flatten_state(start)))
            self.state = self.saved.__getitem__
            self.save_state = self.saved.__setitem__
    saver, xs = Saver(), list(RNG.normal(size=(T, B, D)))
    tf1.static_state_saving_rnn(cell, xs, saver, names)
    assert_same(list(saver.saved.values()), flatten_state(tf1.static_rnn(cell, xs, start)[1]))
    with pytest.raises(ValueError, match="got 2 names, expected 3"):
        tf1.static_state_saving_rnn(cell, xs, saver, ("c", "h"))


@pytest.mark.parametrize("state_is_tuple", (True, False))
def test_states_of_16_bits(state_is_tuple):
    """c is float32, h has 16 bits; as one matrix both are float32, without a loss on the way to the next call."""
    cell = tf1.LSTMCell(U, state_is_tuple=state_is_tuple).build(D, "float16", seed=0)
    x = RNG.normal(size=(B, T, D)).astype("float16")
    outputs, state = tf1.dynamic_rnn(cell, x)
    half, there = tf1.dynamic_rnn(cell, x[:, :2])
    more, last = tf1.dynamic_rnn(cell, x[:, 2:], initial_state=there)
    assert outputs.dtype == more.dtype == np.float16
    assert_same((np.concatenate([half, more], 1), last), (outputs, state))
    zero = cell.zero_state(B, "float16")
    dtypes = [a.dtype.name for a in flatten_state(zero)]
    assert dtypes == [a.dtype.name for a in flatten_state(last)] == (
        ["float32", "float16"] if state_is_tuple else ["float32"])


@pytest.mark.parametrize("seed", (0, 7, -1, -7, 2 ** 40, np.int64(-3)))
def test_any_integer_is_a_seed(seed):
    def drawn(seed):
        cell = tf1.DropoutWrapper(tf1.GRUCell(U), 0.5, seed=seed).build(D, "float64", seed=seed)
        layer = tf1.CudnnGRU(2, U, dropout=0.5, seed=seed, dtype="float64").build(D)
        return (cell.dump_variables(), tf1.dynamic_rnn(cell, np.ones((B, T, D)))[0], layer(np.ones((T, B, D)))[0])
    assert_same(drawn(seed), drawn(seed))
    assert (drawn(seed)[1] != drawn(abs(seed) + 1)[1]).any()
