"""The test vectors of onnxruntime's own operator tests: outputs, refusals and gradients."""
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from rnnref.errors import Error
from rnnref.onnx import ONNXRUNTIME, TEXT, back_op, run_op
from rnnref.onnx.inputs import INPUTS
from rnnref.rules import LSTMRule
from rnnref.rules.lstm import Kept, Pre, State

FOLDER = Path(__file__).parents[1] / "golden" / "ort"
NAMES = {"RNN": list(INPUTS)[:6], "GRU": list(INPUTS)[:6], "LSTM": list(INPUTS)}
GRADIENTS = {"X": "input_tensor", "W": "weights", "R": "recurrence_weights", "B": "bias"}


@cache
def load_cases(name):
    with open(FOLDER / name) as lines:
        return [json.loads(line) for line in lines]


def as_array(entry):
    name, shape, values = entry
    return np.array(values, "int32" if name == "sequence_lens" else "float32").reshape(shape)


def by_name(entries):
    return {entry[0]: as_array(entry) for entry in entries if entry}


def test_there_are_as_many_cases_as_were_recorded():
    assert [len(load_cases(f"cases{kind}.jsonl")) for kind in ("", "_new", "_grad")] == [135, 147, 4]


# Y of the padded steps of two cases was recorded to four digits, all else to six or more.
@pytest.mark.parametrize("reading", [TEXT, ONNXRUNTIME], ids=["text", "onnxruntime"])
@pytest.mark.parametrize("file", ["cases.jsonl", "cases_new.jsonl"])
def test_outputs_equal_the_vectors(file, reading):
    for case in load_cases(file):
        inputs = {name: entry and as_array(entry) for name, entry in zip(NAMES[case["op"]], case["ins"])}
        if case["fail"]:
            with pytest.raises(Error):
                run_op(case["op"], inputs, case["attrs"], reading)
            continue
        outputs, _ = run_op(case["op"], inputs, case["attrs"], reading)
        compared = [(a, as_array(entry)) for a, entry in zip(outputs, case["outs"]) if entry]
        assert compared
        for found, expected in compared:
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4, err_msg=case["test"])


def gradient_case(test):
    (case,) = (case for case in load_cases("cases_grad.jsonl") if case["test"] == test)
    return by_name(case["ins"]), by_name(case["outs"])


@pytest.mark.parametrize("op", ["LSTM", "GRU"])
def test_forward_of_the_training_operators(op):
    given, expected = gradient_case(f"{op}Test.ForwardCompute")
    outputs, _ = run_op(op, {name: given[theirs] for name, theirs in GRADIENTS.items()}, {"hidden_size": 3})
    for found, name in zip(outputs, ("HAll", "final_h", "final_c")):
        np.testing.assert_allclose(found, expected[name], rtol=0, atol=1e-5)


def test_gradients_of_a_gru_equal_the_vectors():
    given, expected = gradient_case("GRUTest.BackwardCompute")
    _, tape = run_op("GRU", {name: given[theirs] for name, theirs in GRADIENTS.items()}, {"hidden_size": 3})
    for name, d in back_op(tape, given["grad_HAll"]).items():
        largest = np.abs(expected["d" + name]).max()             # gates near 0 and 1: 1 - z has four digits left
        np.testing.assert_allclose(d, expected["d" + name], rtol=0, atol=2e-4 * largest, err_msg=name)


def test_gradients_of_an_lstm_equal_the_vectors():
    # The recorded gates are random numbers that no forward pass with these weights gives: they go to the rule itself.
    given, expected = gradient_case("LSTMTest.BackwardCompute")
    X, W, R = given["input_tensor"], given["weights"][0], given["recurrence_weights"][0]
    gates, C, H = given["iofc"][:, 0], given["CAll"][:, 0], given["HAll"][:, 0]
    rule, d = LSTMRule(forget_bias=0.0), State(np.zeros_like(C[0]), np.zeros_like(C[0]))
    found = {name: np.zeros_like(a) for name, a in expected.items()}
    for t in reversed(range(len(X))):
        i, o, f, g = np.split(gates[t], 4, axis=-1)
        before, h0 = (C[t - 1], H[t - 1]) if t else (np.zeros_like(C[0]), np.zeros_like(H[0]))
        kept = Kept(i, f, g, o, np.tanh(C[t]), before, C[t], Pre(None, None, None, None, None), None)
        da, _, d, _ = rule.backward({}, kept, given["grad_HAll"][t, 0], d)
        di, df, dg, do = np.split(da, 4, axis=-1)                       # ours are i f g o, theirs i o f c
        da = np.concatenate([di, do, df, dg], axis=-1)
        d = State(da @ R, d.c)
        found["dX"][t] = da @ W
        found["dW"][0] += da.T @ X[t]
        found["dR"][0] += da.T @ h0
        found["dB"][0] += np.tile(da.sum(0), 2)
    for name, a in found.items():
        largest = np.abs(expected[name]).max()
        np.testing.assert_allclose(a, expected[name], rtol=0, atol=1e-4 * largest, err_msg=name)
