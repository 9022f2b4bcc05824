"""Every public name of TF 1.15 for recurrent networks and every argument: as the table of rnnref/tf1/README.md says."""
import inspect

import numpy as np
import pytest

import rnnref
from rnnref import tf1
from rnnref.tf1.loops import flatten_state
from tests.support.tf1_names import REFUSED, read_names

NAMES = read_names()
THERE, ABSENT = ([n for n in NAMES if n.is_absent is absent] for absent in (False, True))
T, B, D, U = 4, 3, 6, 4
X = np.random.default_rng(0).normal(size=(T, B, D))


def by_name(names):
    return {"argnames": "name", "argvalues": names, "ids": [n.name for n in names]}


@pytest.mark.parametrize(**by_name(ABSENT))
def test_a_name_that_is_refused_says_why_and_what_to_use(name):
    with pytest.raises(rnnref.NotSupported, match=rf"tf1\.{name.name}: (.|\n)*fix"):
        getattr(tf1, name.name)
    why, fix = name.reason
    assert name.name not in tf1.__all__ and len(why) > 10 and len(fix) > 10


def test_nothing_else_is_refused_and_nothing_is_missing():
    assert {n.name for n in ABSENT} == set(tf1.__getattr__.reasons)
    extra = {"CLASSES", "Gradients", "Result", "TensorShape", "VariableName", "scope_of"}             # rnnref's own
    assert set(tf1.__all__) == {n.name for n in THERE} | extra
    with pytest.raises(AttributeError, match="'rnnref.tf1' has no attribute 'nothing'"):
        tf1.nothing


@pytest.mark.parametrize(**by_name([n for n in THERE if n.arguments]))
def test_arguments_are_those_of_tf(name):
    """The same names, defaults and order; what rnnref adds is by name only."""
    found = inspect.signature(getattr(tf1, name.name)).parameters.values()
    own = {p.name: p.default for p in found if p.kind is p.POSITIONAL_OR_KEYWORD}
    if name.name.startswith("Conv") and name.name != "ConvLSTMCell":
        assert own["name"] == name.arguments["name"]                         # TF has the others in **kwargs
        return
    if name.module == "tf.contrib.cudnn_rnn":
        own.pop("num_proj", None) if "num_proj" not in name.arguments else None
    assert own == name.arguments and list(own) == list(name.arguments)
    assert any(p.kind is p.VAR_KEYWORD for p in found) == name.has_kwargs


# constructors: one more argument at a time

GRID = {"feature_size": 2, "frequency_skip": 1, "num_frequency_blocks": [5]}
CELLS = {
    "MultiRNNCell": {"cells": lambda: [tf1.GRUCell(5), tf1.GRUCell(U)]}, "DropoutWrapper": {}, "ResidualWrapper": {},
    "DeviceWrapper": {"device": "/cpu:0"}, "EmbeddingWrapper": {"embedding_classes": 7, "embedding_size": 2},
    "InputProjectionWrapper": {"num_proj": 3}, "OutputProjectionWrapper": {"output_size": 3},
    "TimeFreqLSTMCell": {"feature_size": 2}, "GridLSTMCell": GRID, "BidirectionalGridLSTMCell": GRID,
    "ConvLSTMCell": {"conv_ndims": 1, "input_shape": (2, 3), "output_channels": 2, "kernel_shape": (3,)},
    "Conv1DLSTMCell": {"input_shape": (2, 3), "output_channels": 2, "kernel_shape": (3,)},
    "Conv2DLSTMCell": {"input_shape": (2, 1, 3), "output_channels": 2, "kernel_shape": (3, 1)},
    "Conv3DLSTMCell": {"input_shape": (2, 1, 1, 3), "output_channels": 2, "kernel_shape": (3, 1, 1)},
    "HighwayWrapper": {}, "NTMCell": {"controller": lambda: tf1.GRUCell(5), "memory_size": 6, "memory_vector_dim": 3,
                                      "read_head_num": 1, "write_head_num": 1},
    "AttentionCellWrapper": {"attn_length": 2}, "CompiledWrapper": {}, "FusedRNNCellAdaptor": {},
    "TimeReversedFusedRNN": {"cell": lambda: tf1.LSTMBlockFusedCell(U)}, "MinimalRNNCell": {"units": U},
    "CFNCell": {"units": U}, "IntersectionRNNCell": {"num_units": D},
}
INNER = {"ResidualWrapper": D, "HighwayWrapper": D}
VALUES = {
    "activation": "relu", "y_activation": "tanh", "use_peepholes": True, "use_peephole": True, "cell_clip": 0.1,
    "initializer": 0.3, "kernel_initializer": 0.3, "bias_initializer": 0.3, "num_proj": 2, "proj_clip": 0.1,
    "num_unit_shards": 2, "num_proj_shards": 2, "forget_bias": -1.0, "state_is_tuple": False, "reuse": False,
    "name": "mine", "dtype": "float64", "input_keep_prob": 0.5, "output_keep_prob": 0.5, "state_keep_prob": 0.5,
    "variational_recurrent": True, "input_size": D, "seed": 3,
    "residual_fn": (lambda i, o: i - o, lambda i, o, d: (d, -d)),
    "dropout_state_filter_visitor": lambda state: False, "layer_norm": True, "norm_gain": 2.0, "norm_shift": 1.0,
    "dropout_keep_prob": 0.5, "dropout_prob_seed": 3, "norm": False, "feature_size": 3, "frequency_skip": 2,
    "use_dynamic_rnn": True, "share_time_frequency_weights": True, "start_freqindex_list": [0],
    "end_freqindex_list": [6], "couple_input_forget_gates": True, "backward_slice_offset": 1, "use_bias": True,
    "num_in_proj": D, "leak": 0.5, "ratio_on": 0.5, "trainable_ratio_on": False, "period_init_min": 2.0,
    "period_init_max": 3.0, "skip_connection": True, "initializers": "zeros", "couple_carry_transform_gates": False,
    "carry_bias_init": 3.0, "number_of_groups": 2, "shift_range": 2, "output_dim": 5, "clip_value": 20,
    "attn_size": 3, "attn_vec_size": 3, "compile_stateful": True, "trainable": False, "embedding_classes": 8,
}
# Of an argument what it needs, or what there must be to see it
WITH = {"proj_clip": {"num_proj": 2}, "num_proj_shards": {"num_proj": 2}, "norm_gain": {"layer_norm": True},
        "norm_shift": {"layer_norm": True},
        "variational_recurrent": {"dtype": "float32", "input_keep_prob": 0.5, "input_size": D},
        "dropout_state_filter_visitor": {"state_keep_prob": 0.5}, "seed": {"input_keep_prob": 0.5},
        "dropout_prob_seed": {"dropout_keep_prob": 0.5}, "end_freqindex_list": {"start_freqindex_list": [0]}}
# {argument: why a run is the same with it, which TF has too}
SAME = {"reuse": "false is the default",
        "name": "a name", "dtype": "of variables that are drawn", "input_size": "of no effect, or as inferred",
        "use_dynamic_rnn": "another loop", "compile_stateful": "how it is compiled", "clip_value": "the default",
        "initializers": "not used in TF either", "trainable": "how it is trained", "trainable_ratio_on": "the same",
        "num_in_proj": "x is as wide as the units", "start_freqindex_list": "the default",
        "end_freqindex_list": "the same"}
UNUSED_INITIALIZER = ("CoupledInputForgetGateLSTMCell", "TimeFreqLSTMCell", "GridLSTMCell", "BidirectionalGridLSTMCell")


def make(which, /, **options):
    name = which
    given = {k: v() if callable(v) and k != "residual_fn" else v for k, v in CELLS.get(name.name, {}).items()} | options
    if "cell" in name.arguments and "cell" not in given:
        given["cell"] = tf1.GRUCell(INNER.get(name.name, U))
    if "num_units" in name.arguments and "num_units" not in given and "cell_size" not in given:
        given["num_units"] = U
    return getattr(tf1, name.name)(**given)


def inputs(name, cell):
    if name.name == "EmbeddingWrapper":
        return np.array([[1], [6], [3]])
    if name.name.startswith("Conv"):
        return np.resize(X[0], (B, *cell.arguments["input_shape"]))
    return (np.full((B, 1), 0.3), X[0]) if name.name == "PhasedLSTMCell" else X[0]


def run_once(name, cell):
    x = inputs(name, cell)
    width = x[-1].shape[-1] if isinstance(x, tuple) else x.shape[-1]
    with np.errstate(all="ignore"):
        cell.build(width, "float64", seed=1)
        if cell.is_fused:
            outputs, state = cell(np.stack([x] * 2), dtype="float64")
        elif name.name == "TimeFreqLSTMCell":
            outputs, state = tf1.static_rnn(cell, [x] * 2, dtype="float64")
        elif cell.arguments.get("skip_connection"):
            outputs, state = cell(x, cell.zero_state(B, "float64"))
        else:
            outputs, state = tf1.static_rnn(cell, [x] * 2, dtype="float64")
    return flatten_state(tuple(outputs) if isinstance(outputs, list) else outputs) + flatten_state(state)


CONSTRUCTORS = [n for n in THERE if n.arguments and n.name in tf1.CLASSES]
ARGUMENTS = [(n, a) for n in CONSTRUCTORS for a in [*n.arguments, *["trainable"] * ("trainable" not in n.arguments)]
             if a in VALUES and a not in CELLS.get(n.name, {})]


@pytest.mark.parametrize("name, argument", ARGUMENTS, ids=[f"{n.name}-{a}" for n, a in ARGUMENTS])
def test_every_argument_of_a_constructor_acts(name, argument):
    """It is taken, is in the configuration, and changes the run, unless TF has it without an effect too."""
    value = VALUES[argument]
    if isinstance(value, bool):
        value = value if argument == "reuse" else not name.arguments.get(argument, True)
    needs = {k: v for k, v in WITH.get(argument, {}).items() if k in name.arguments}
    cell = make(name, **needs, **{argument: value})
    assert cell.get_config()[argument] == (value if not isinstance(value, tuple) else list(value))
    if argument == "name":
        assert cell.name == "mine"
        assert all(v.startswith("mine/") for v in cell.build(D, seed=0).variables) or name.name.startswith("Conv")
        return
    other = make(name, **needs)
    got, want = run_once(name, cell), run_once(name, other)
    if argument == "trainable":
        assert cell.trainable_variables == [] or "cell" in name.arguments or "cells" in name.arguments
    if argument == "dtype":
        assert make(name, dtype=value).build(D, seed=0).dtype == value
    same = cell.variables == other.variables and len(got) == len(want) and all(
        np.array_equal(a, b, equal_nan=True) for a, b in zip(got, want))
    no_effect = SAME.get(argument) or argument in ("initializer",) and name.name in UNUSED_INITIALIZER
    assert same == bool(no_effect)


@pytest.mark.parametrize(**by_name([n for n in THERE if n.refused]))
def test_values_that_are_refused_are_refused_by_name(name):
    for argument in name.refused:
        value = REFUSED[argument][0]
        options = value if argument == "kwargs" else {argument: value}
        with pytest.raises(rnnref.NotSupported, match=f"{list(options)[0]}=") as caught:
            if name.name in tf1.CLASSES:
                make(name, **options)
            elif name.name in ("RNNCell", "LayerRNNCell"):
                getattr(tf1, name.name)(**options)
            else:
                LOOPS[name.name](**options)
        assert name.name in str(caught.value)


# loops

def cell(seed=0):
    return tf1.GRUCell(U).build(D, "float64", seed=seed)


class Saver:
    def state(self, name):
        return np.zeros((B, U))

    def save_state(self, name, a):
        pass


def sequence_loop(time, output, state, loop_state):
    emit = np.zeros(U) if output is None else output
    return np.full(B, time >= T), X[min(time, T - 1)], np.zeros((B, U)) if state is None else state, emit, None


BATCH = X.swapaxes(0, 1)
LOOPS = {
    "static_rnn": lambda **o: tf1.static_rnn(cell(), list(X), **o),
    "dynamic_rnn": lambda **o: tf1.dynamic_rnn(cell(), X if o.get("time_major") else BATCH, **o),
    "raw_rnn": lambda **o: tf1.raw_rnn(cell(), sequence_loop, **o),
    "static_state_saving_rnn": lambda **o: tf1.static_state_saving_rnn(cell(), list(X), Saver(), "h", **o),
    "static_bidirectional_rnn": lambda **o: tf1.static_bidirectional_rnn(cell(), cell(1), list(X), **o),
    "bidirectional_dynamic_rnn": lambda **o: tf1.bidirectional_dynamic_rnn(
        cell(), cell(1), X if o.get("time_major") else BATCH, **o),
    "stack_bidirectional_rnn": lambda **o: tf1.stack_bidirectional_rnn([cell()], [cell(1)], list(X), **o),
    "stack_bidirectional_dynamic_rnn": lambda **o: tf1.stack_bidirectional_dynamic_rnn(
        [cell()], [cell(1)], X if o.get("time_major") else BATCH, **o),
}
OF_LOOPS = {
    "initial_state": np.ones((B, U)), "initial_state_fw": np.ones((B, U)), "initial_state_bw": np.ones((B, U)),
    "initial_states_fw": [np.ones((B, U))], "initial_states_bw": [np.ones((B, U))], "sequence_length": [4, 1, 2],
    "dtype": "float64", "parallel_iterations": 8, "swap_memory": True, "time_major": True}
UNCHANGED = ("dtype", "parallel_iterations", "swap_memory", "time_major")
CALLS = [(n, a) for n in THERE if n.name in LOOPS for a in n.arguments if a in OF_LOOPS]


@pytest.mark.parametrize("name, argument", CALLS, ids=[f"{n.name}-{a}" for n, a in CALLS])
def test_every_argument_of_a_loop_acts(name, argument):
    def flat(result):
        return flatten_state(tuple(tuple(r) if isinstance(r, list) else r for r in result if r is not None))
    got, want = flat(LOOPS[name.name](**{argument: OF_LOOPS[argument]})), flat(LOOPS[name.name]())
    if argument == "time_major":
        got = [a.swapaxes(0, 1) if a.ndim == 3 else a for a in got]
    assert all(np.array_equal(a, b) for a, b in zip(got, want)) == (argument in UNCHANGED)


# the layers of cuDNN

CUDNN = {"input_mode": "auto_select", "direction": "bidirectional", "dropout": 0.5, "seed": 3, "dtype": "float64",
         "kernel_initializer": "ones", "bias_initializer": "ones", "name": "mine"}


@pytest.mark.parametrize("argument", CUDNN)
@pytest.mark.parametrize("kind", (tf1.CudnnLSTM, tf1.CudnnGRU, tf1.CudnnRNNTanh, tf1.CudnnRNNRelu))
def test_every_argument_of_a_layer_of_cudnn_acts(kind, argument):
    def ran(**options):
        layer = kind(2, D, **{"seed": 1} | options).build(D)
        assert options.get("name", kind.__name__) == layer.name
        return layer(X.astype(layer.dtype))[0]
    got, want = ran(**{argument: CUDNN[argument]}), ran()
    assert got.dtype == (argument == "dtype" and np.float64 or np.float32)
    assert (got.shape == want.shape and np.allclose(got, want, 1e-4, 1e-5)) == (argument in ("dtype", "name"))
