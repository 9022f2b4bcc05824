"""The ONNX operators: an independent reading of the specification, finite differences, and what is refused."""
from functools import cache

import numpy as np
import pytest
from onnx import TensorProto, helper

from rnnref.check.tolerance import tolerance
from rnnref.errors import DeviceError, DtypeError, NotSupported, ShapeError
from rnnref.onnx import ONNXRUNTIME, TEXT, Reading, back_op, cell_of, gru, lstm, rnn, run_op
from rnnref.onnx.attributes import OPERATORS
from rnnref.onnx.inputs import INPUTS, inputs_of
from rnnref.testing.assertions import assert_close, assert_same
from tests.support import onnx_grid, onnx_reading
from tests.support.messages import raises_with

# our switch, what the independent reading calls it, and the cases that it may change
SWITCHES = [
    ("clip_output", False, "clip_h", lambda op, inputs, attributes: op == "LSTM" and "clip" in attributes),
    ("empty_row", "zero", "empty_row", lambda op, inputs, attributes: {"sequence_lens", "initial_h"} <= inputs.keys()),
    ("alpha", "position", "alpha_by", lambda op, inputs, attributes: "activation_alpha" in attributes),
    ("coupled", "input", "coupled", lambda op, inputs, attributes: "input_forget" in attributes),
    ("missing_scale", "zero", None, lambda op, inputs, attributes: "activations" in attributes),
]


@cache
def grid():
    """Every case, its inputs in float64 and read-only: nothing may be changed."""
    cases = []
    for name, _, op, inputs, attributes in onnx_grid.cases():
        inputs = {n: a.astype("float64") if a.dtype.kind == "f" else a for n, a in inputs.items()}
        for a in inputs.values():
            a.flags.writeable = False
        cases.append((name, op, inputs, attributes))
    return cases


@cache
def outcomes(reading):
    return {name: run_op(op, inputs, attributes, reading) for name, op, inputs, attributes in grid()}


def read(op, inputs, attributes, **switches):
    return tuple(getattr(onnx_reading, op.lower())(inputs, attributes, **switches).values())


def test_all_cases_equal_the_independent_reading():
    assert len(grid()) == 591
    for name, *case in grid():
        assert_close(outcomes(TEXT)[name][0], read(*case), "output", name)


@pytest.mark.parametrize("ours, value, theirs, touches", SWITCHES, ids=lambda a: a if isinstance(a, str) else "")
def test_a_switch_changes_what_it_is_about_and_as_the_reading_says(ours, value, theirs, touches):
    changed = 0
    for name, *case in grid():
        (found, _), (literal, _) = outcomes(Reading(**{ours: value}))[name], outcomes(TEXT)[name]
        if not touches(*case):
            assert_same(found, literal, name)
            continue
        changed += any((a != b).any() for a, b in zip(found, literal))
        if theirs:
            assert_close(found, read(*case, **{theirs: value}), "output", name)
    assert changed


@pytest.mark.parametrize("name, alpha, beta", [("Affine", 0, 0), ("ThresholdedRelu", 0, None), ("ScaledTanh", 0, 0),
                                               ("LeakyRelu", 0.01, None), ("HardSigmoid", 0.2, 0.5), ("Elu", 1, None)])
def test_scales_that_are_missing_in_the_other_reading(name, alpha, beta):
    scales = {"activation_alpha": [alpha]} | ({} if beta is None else {"activation_beta": [beta]})
    assert_same(rnn(**inputs_for("RNN"), activations=[name], reading=Reading(missing_scale="zero")),
                rnn(**inputs_for("RNN"), activations=[name], **scales))


def loss(outputs, weights):
    return sum((a * w).sum() for a, w in zip(outputs, weights))


def check_gradients(name, op, inputs, attributes, reading):
    """Of each input by itself, against a central difference along a random direction."""
    rng, step = np.random.default_rng(len(name)), 1e-6
    outputs, tape = run_op(op, inputs, attributes, reading)
    weights = [rng.normal(size=a.shape) for a in outputs]
    found = back_op(tape, *weights)
    assert list(found) == [n for n in inputs if n != "sequence_lens"]
    for what, g in found.items():
        assert g.shape == inputs[what].shape and g.dtype == inputs[what].dtype
        v = rng.normal(size=g.shape)
        ends = [run_op(op, inputs | {what: inputs[what] + side * v}, attributes, reading, keep=False)[0]
                for side in (step, -step)]
        difference = (loss(ends[0], weights) - loss(ends[1], weights)) / (2 * step)
        allowed = tolerance("difference", "float64") * np.linalg.norm(g) * np.linalg.norm(v)
        assert abs((g * v).sum() - difference) <= allowed, f"{name}: d{what}"


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_gradients_of_all_cases_equal_finite_differences(op):
    for name, that, inputs, attributes in grid():
        if that == op:
            check_gradients(name, op, inputs, attributes, TEXT)


@pytest.mark.parametrize("reading", [ONNXRUNTIME, Reading(coupled="input", alpha="position")], ids=str)
def test_gradients_of_other_readings(reading):
    chosen = [case for case in grid() if any(word in case[0] for word in ("LSTM clip", "input_forget", "empty, given"))]
    for name, *case in chosen[::3]:
        check_gradients(name, *case, reading)


def inputs_for(op, T=3, B=2, I=2, H=3, D=1, dtype="float64", **more):
    rng, G = np.random.default_rng(0), onnx_grid.GATES[op] * H
    made = {"X": (T, B, I), "W": (D, G, I), "R": (D, G, H), "B": (D, 2 * G)}
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in made.items()} | more


def test_what_does_not_enter_has_no_gradient():
    inputs = inputs_for("LSTM", P=np.ones((1, 9)), sequence_lens=np.array([3, 1]))
    outputs, tape = run_op("LSTM", inputs, {"input_forget": 1})
    g = back_op(tape, *map(np.ones_like, outputs))
    f = slice(6, 9)
    assert not g["W"][0, f].any() and not g["R"][0, f].any() and not g["P"][0, f].any()
    assert not g["B"][0, f].any() and not g["B"][0, 18:21].any() and not g["X"][1:, 1].any()
    assert all(g[name].any() for name in g)
    assert_same(back_op(tape), {name: np.zeros_like(inputs[name]) for name in g})


@pytest.mark.parametrize("op", ["RNN", "GRU", "LSTM"])
def test_nan_in_the_padding_changes_no_bit(op):
    lens = np.array([3, 0])
    for direction in onnx_grid.DIRECTIONS:
        inputs = inputs_for(op, D=2 if direction == "bidirectional" else 1, sequence_lens=lens)
        poisoned = inputs | {"X": np.where(np.arange(3)[:, None, None] < lens[:, None], inputs["X"], np.nan)}
        (clean, a), (dirty, b) = [run_op(op, i, {"direction": direction}) for i in (inputs, poisoned)]
        assert_same(dirty, clean)
        assert_same(back_op(b, *clean), back_op(a, *clean))


@pytest.mark.parametrize("dtype, operation, arithmetic", [
    ("bfloat16", "storage", "bfloat16"), ("float16", "storage", "float16"), ("float32", "output", "float32"),
    ("longdouble", "output", "float64")])
def test_outputs_and_gradients_have_the_dtype_of_x(dtype, operation, arithmetic):
    for op in onnx_grid.GATES:
        small = inputs_for(op, dtype=dtype, initial_h=np.ones((1, 2, 3), dtype))
        outputs, tape = run_op(op, small)
        found = back_op(tape, *outputs)
        assert {a.dtype for a in (*outputs, *found.values())} == {np.dtype(dtype)}
        truth, _ = run_op(op, {name: a.astype("float64") for name, a in small.items()})
        assert_close(tuple(a.astype("float64") for a in outputs), truth, operation, arithmetic=arithmetic)


def test_an_empty_batch_is_one():
    for op in onnx_grid.GATES:
        inputs = inputs_for(op, B=0, sequence_lens=np.zeros(0, int))
        outputs, tape = run_op(op, inputs)
        assert [a.shape for a in outputs] == [(3, 1, 0, 3)] + [(1, 0, 3)] * (len(outputs) - 1)
        assert not back_op(tape, *outputs)["W"].any()


def test_functions_of_the_three_names_are_run_op():
    for op, f in (("RNN", rnn), ("GRU", gru), ("LSTM", lstm)):
        inputs = inputs_for(op)
        assert_same(f(**inputs, clip=1.0, direction="reverse"),
                    run_op(op, inputs, {"clip": 1.0, "direction": b"reverse"})[0])


def test_a_list_that_is_the_default_of_the_schema_is_that_default():
    inputs = inputs_for("RNN")
    assert_same(rnn(**inputs, activations=["Tanh", "Tanh"]), rnn(**inputs))


def test_a_tie_belongs_to_the_upper_branch():
    one = np.ones((1, 1, 1))
    assert rnn(0.5 * one, one, one, activations=["ThresholdedRelu"], activation_alpha=[0.5])[0] == 0.5


def test_cell_of_gives_the_cells_and_their_parameters():
    cell, p = cell_of("LSTM", inputs_for("LSTM", D=2), {"direction": "bidirectional", "clip": 2.0})
    assert cell.name == "Bidirectional(LSTM, LSTM)" and [q["W"].shape for q in p] == [(2, 12)] * 2
    assert str(cell.cells[0].rule.gate) == "sigmoid(clip=2)"


def but(op="LSTM", **changes):
    """A call that fits, with one thing spoiled: inputs by their names, attributes otherwise."""
    inputs = inputs_for(op)
    attributes = {name: value for name, value in changes.items() if name not in INPUTS}
    inputs |= {name: value for name, value in changes.items() if name not in attributes}
    return lambda: run_op(op, inputs, attributes)


def back(**d):
    return lambda: back_op(run_op("GRU", inputs_for("GRU"), {"layout": 1})[1], **d)


ZEROS = np.zeros
REFUSED = {
    "too few activations": (but(activations=["Tanh"]), NotSupported, "1 activations (Tanh), expected 3"),
    "too few for two directions": (but(activations=["Sigmoid", "Tanh", "Tanh"], direction="bidirectional"),
                                   NotSupported, "3 activations (Sigmoid Tanh Tanh), expected 6"),
    "two functions of one direction": (but("RNN", activations=["Relu", "Relu"]), NotSupported, "expected 1"),
    "an unknown activation": (but("GRU", activations=["Sigmoid", "Gelu"]), NotSupported,
                              "activations: 'Gelu' is not known", "Softsign Softplus"),
    "an activation that is no name": (but("RNN", activations=[np.tanh]), NotSupported, "activations=<ufunc 'tanh'>"),
    "one name instead of a list": (but("RNN", activations="Tanh"), NotSupported, "activations='Tanh', expected a list"),
    "clip 0": (but(clip=0.0), NotSupported, "clip=0.0, expected a positive number"),
    "clip NaN": (but(clip=float("nan")), NotSupported, "clip=nan"),
    "clip that is no number": (but(clip="1"), NotSupported, "clip='1', expected a number"),
    "alpha for nobody": (but(activation_alpha=[0.1]), NotSupported, "activation_alpha has 1 values, expected at most 0",
                         "of Sigmoid Tanh Tanh, none take one"),
    "alpha for each function": (but(activations=["Elu", "Tanh", "Tanh"], activation_alpha=[1.0, 0, 0]), NotSupported,
                                "activation_alpha has 3 values", "Elu take one", 'Reading(alpha="position")'),
    "too many betas": (but("RNN", activations=["Elu"], activation_beta=[0.5]), NotSupported, "activation_beta"),
    "an unknown direction": (but(direction="backward"), NotSupported, "direction='backward'", "'bidirectional'"),
    "layout 2": (but(layout=2), NotSupported, "layout=2", "known  0, 1"),
    "hidden_size 0": (but(hidden_size=0), NotSupported, "hidden_size=0, expected a positive integer"),
    "hidden_size 2.5": (but(hidden_size=2.5), NotSupported, "hidden_size=2.5, expected an integer"),
    "hidden_size that R has not": (but(hidden_size=4), ShapeError, "R has shape (1, 12, 3), expected (1, 16, 4)",
                                   "G = 16 (4 gates i o f c x H)", "H = 4 (hidden_size)"),
    "input_forget 2": (but(input_forget=2), NotSupported, "input_forget=2"),
    "an attribute of another operator": (but("GRU", input_forget=1), NotSupported,
                                         "ONNX GRU: input_forget: not an attribute of GRU", "linear_before_reset"),
    "an unknown attribute": (but(output_sequence=1), NotSupported, "output_sequence: not an attribute of LSTM"),
    "an unknown operator": (lambda: run_op("lstm", {}), NotSupported, "op='lstm'", "'LSTM'"),
    "an input of another operator": (but("RNN", P=ZEROS((1, 9))), ShapeError, "P: not an input",
                                     "X W R B sequence_lens initial_h"),
    "no R": (but(R=None), ShapeError, "R: missing"),
    "X of two axes": (but(X=ZEROS((3, 2))), ShapeError, "X has shape (3, 2), expected 3 axes", '"T B I"'),
    "no steps": (but(X=ZEROS((0, 2, 2))), ShapeError, "X has shape (0, 2, 2): no steps"),
    "weights of a GRU": (but(W=ZEROS((1, 9, 2))), ShapeError, "W has shape (1, 9, 2), expected (1, 12, 2)",
                         "9 = 3 x 3: these may be the weights of a GRU"),
    "weights of one direction": (but(direction="bidirectional"), ShapeError,
                                 "R has shape (1, 12, 3), expected (2, 12, 3)", "D = 2 (direction='bidirectional')"),
    "R that is not square": (but(R=ZEROS((1, 12, 4))), ShapeError, "R has shape (1, 12, 4), expected (1, 16, 4)",
                             "H = 4 (from R"),
    "B of one bias": (but(B=ZEROS((1, 12))), ShapeError, "B has shape (1, 12), expected (1, 24)", '"D G+G"'),
    "P of four gates": (but(P=ZEROS((1, 12))), ShapeError, "P has shape (1, 12), expected (1, 9)"),
    "initial_h of layout 0": (but(layout=1, initial_h=ZEROS((1, 3, 3))), ShapeError, "initial_h", "expected (3, 1, 3)"),
    "initial_c of another batch": (but(initial_c=ZEROS((1, 5, 3))), ShapeError, "initial_c has shape (1, 5, 3)"),
    "sequence_lens past the end": (but(sequence_lens=np.array([3, 4])), ShapeError,
                                   "sequence_lens is [3, 4], expected each from 0 to 3", "T = 3 (from X"),
    "negative sequence_lens": (but(sequence_lens=np.array([-1, 2])), ShapeError, "sequence_lens is [-1, 2]"),
    "sequence_lens of floats": (but(sequence_lens=np.array([1.0, 2.0])), DtypeError, "sequence_lens is float64"),
    "sequence_lens that is a list": (but(sequence_lens=[1, 2]), DtypeError, "sequence_lens is list"),
    "sequence_lens of another batch": (but(sequence_lens=np.array([1])), ShapeError, "sequence_lens has shape (1,)"),
    "X of integers": (but(X=np.ones((3, 2, 2), int)), DtypeError, "X has dtype int64, expected a floating dtype"),
    "X that is a list": (but(X=[[[1.0]]]), DtypeError, "X is a list"),
    "two dtypes": (but(W=np.ones((1, 12, 2), "f4")), DtypeError, "W has dtype float32, expected float64 as X has"),
    "a switch that is none": (lambda: Reading(empty_row="nan"), NotSupported, "empty_row='nan'", "'initial', 'zero'"),
    "dY_c of a GRU": (back(dY_c=ZEROS((2, 1, 3))), ShapeError, "dY_c is given, and there is no Y_c"),
    "dY in layout 0": (back(dY=ZEROS((3, 1, 2, 3))), ShapeError, "dY has shape", '"B T D H"'),
    "dY_h of another dtype": (back(dY_h=ZEROS((3, 1, 3), "f4")), DtypeError, "dY_h has dtype float32"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_bad_input_is_refused_by_name(what):
    call, error, *pieces = REFUSED[what]
    with raises_with(error, pieces) as raised:
        call()
    assert str(raised.value).startswith(("ONNX ", "Reading", "rnnref.onnx"))


def test_arrays_on_the_gpu_are_refused_by_name(cupy):
    with pytest.raises(DeviceError, match="X is on the GPU"):
        run_op("RNN", {name: cupy.asarray(a) for name, a in inputs_for("RNN").items()})


def by_onnxruntime(runtime, op, inputs, attributes):
    """What it computes in float32, or None: it refuses."""
    inputs = {name: a.astype("float32") if a.dtype.kind == "f" else a for name, a in inputs.items()}
    held = [name if name in inputs else "" for name in inputs_of(op)]
    ends = ["Y", "Y_h", "Y_c"][:len(OPERATORS[op].states) + 1]
    infos = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
             for name, a in inputs.items()]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ends]
    graph = helper.make_graph([helper.make_node(op, held, ends, **attributes)], op, infos, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    try:
        session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except runtime.capi.onnxruntime_pybind11_state.Fail:
        return None
    return tuple(session.run(ends, inputs))


@pytest.mark.peers
def test_onnxruntime_is_what_its_reading_says():
    """It departs from the text in the three switches of ONNXRUNTIME and nowhere else, where it does not refuse."""
    runtime = pytest.importorskip("onnxruntime")
    runtime.set_default_logger_severity(4)        # it logs its refusals
    refused = []
    for name, op, inputs, attributes in grid():
        found = by_onnxruntime(runtime, op, inputs, attributes)
        if found is None:
            refused.append(name)
        else:
            assert_close(found, tuple(a.astype("float32") for a in outcomes(ONNXRUNTIME)[name][0]), "output", name)
    assert [name for name in refused if "layout=1" not in name] == [
        "RNN activation names in other case, bidirectional, ragged, given b"]
