"""Weights, outputs, states and every gradient of TensorFlow 1.15's cells, as `tests/golden/tf1` recorded them."""
import json
from pathlib import Path

import numpy as np
import pytest

import rnnref
from rnnref.interop import gradients, pieces
from rnnref.testing.assertions import assert_close

LOOPS = {"cell_step", "static_rnn", "dynamic_rnn", "fused"}                   # those that one cell can be run in
CLASSES = {
    "BasicRNNCell": ("rnn", "tf1"), "GRUCell": ("gru before", "tf1"), "BasicLSTMCell": ("lstm", "tf1"),
    "LSTMCell": ("lstm", "tf1"), "CoupledInputForgetGateLSTMCell": ("lstm", "tf1 coupled"),
    "LSTMBlockCell": ("lstm", "tf1 block"), "LSTMBlockFusedCell": ("lstm", "tf1 block"),
    "GRUBlockCell": ("gru before", "tf1 block"), "GRUBlockCellV2": ("gru before", "tf1"),
    "CudnnCompatibleLSTMCell": ("lstm", "tf1 cudnn"), "CudnnCompatibleGRUCell": ("gru", "tf1 cudnn"),
}
ACTIVATION = {"rnn": ("activation",), "lstm": ("candidate", "output"), "gru before": ("candidate",)}
OURS = {"forget_bias": "forget_bias", "cell_clip": "cell_clip", "proj_clip": "projection_clip"}
ELSEWHERE = {"num_units", "num_proj", "use_peepholes", "use_peephole", "state_is_tuple"}     # seen from the arrays


def options(family, kwargs):
    """The options of our cell for the arguments of theirs."""
    ours = {OURS[name]: value for name, value in kwargs.items() if name in OURS}
    ours |= {name: kwargs["activation"] for name in ACTIVATION[family]} if "activation" in kwargs else {}
    assert kwargs.keys() <= OURS.keys() | ELSEWHERE | {"activation"}
    return ours


def is_ours(path):
    """Whether a file is of one cell that has a layout; tests/test_golden_tf1.py runs them all."""
    with np.load(path, allow_pickle=False) as file:
        config = json.loads(file["config"].item())
    return config["class"] in CLASSES and config["loop"] in LOOPS and not config["no_grad"]


GOLDEN = [path for path in sorted((Path(__file__).parents[1] / "golden" / "tf1").glob("*.npz")) if is_ours(path)]


class Case:
    """One file, with time first, and its states in our order."""

    def __init__(self, path):
        with np.load(path, allow_pickle=False) as file:
            self.data = dict(file)
        self.config = json.loads(self.data["config"].item())
        family, framework = CLASSES[self.config["class"]]
        variables = {name[4:]: a for name, a in self.data.items() if name.startswith("var/")}
        found = pieces(variables, family, framework, **options(family, self.config["kwargs"]))
        (self.weights,), loop = found.values(), self.config["loop"]
        assert set(self.weights.names.values()) == variables.keys()           # nothing was left out
        self.step = loop == "cell_step"
        self.batch_first = loop == "dynamic_rnn" and not self.config["loop_kwargs"].get("time_major")

    def sequence(self, name):
        a = self.data[name]
        return a[None] if self.step else a.swapaxes(0, 1) if self.batch_first else a

    def state(self, kind):
        """TF has (c, h), or one matrix [c, h]; None where the file has none."""
        arrays = [self.data[f"{kind}/state/{k}"] for k in range(2) if f"{kind}/state/{k}" in self.data]
        State = self.weights.cell.rule.State
        if len(arrays) < len(State._fields) and arrays:
            units = self.weights.cell.units(self.weights.load())
            arrays = [arrays[0][:, :units], arrays[0][:, units:]]
        return State(*reversed(arrays)) if arrays else None


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize("way", ["plain", "planned"])
def test_golden(path, way):
    case = Case(path)
    cell, p = case.weights.cell, case.weights.load()
    choice = {"paths": ("plain",), "kernels": False} if way == "plain" else {}
    ys, last, tape = rnnref.run(cell, p, case.sequence("in/x"), case.state("in"),
                                lengths=case.data.get("in/sequence_length"), **choice)
    assert_close((ys, last), (case.sequence("out/y"), case.state("out")), "steep")
    dxs, ds, _, dp = rnnref.run_back(tape, case.sequence("cot/y"), case.state("cot"))
    dvar = case.weights.renamed(gradients(case.weights.layout, dp, cell))
    got = {"x": dxs, "var": dvar} | ({"state": ds} if case.state("in") else {})
    want = {"x": case.sequence("grad/x"), "var": {n: case.data[f"grad/var/{n}"] for n in dvar}}
    assert_close(got, want | ({"state": case.state("grad")} if case.state("in") else {}), "gradient")


def test_nothing_is_untested():
    """Every class has a file, and every loop of theirs that one cell can be run in."""
    configs = [Case(path).config for path in GOLDEN]
    assert {config["class"] for config in configs} == CLASSES.keys()
    assert {config["loop"] for config in configs} == LOOPS
    assert all(not config["no_grad"] for config in configs)
