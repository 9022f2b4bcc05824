"""What cannot be converted is refused by name, and arrays that are not those of the layer are distinguished."""
import numpy as np
import pytest

from rnnref import DtypeError, NotSupported, ShapeError, cells
from rnnref.interop import LAYOUTS, adapt, cell_for, convert, dump, layout_of, load
from tests.support.messages import raises_with
from tests.support.weights import arrays_of, draw_parameters


def ours(cell):
    return draw_parameters(cell, LAYOUTS["rnn", "keras"])


REFUSALS = {
    "reset": (lambda: convert(arrays_of("gru before", "tf1"), "tf1", "torch", "gru before"),
              ["no layout of 'torch' for 'gru before'", "no weights make them equal"]),
    "reset, other way": (lambda: convert(arrays_of("gru", "torch"), "torch", "tf1", "gru"),
                         ["no layout of 'tf1' for 'gru'", "no weights make them equal"]),
    "reset, by cells": (lambda: adapt(cells.GRU(reset="before"), {}, cells.GRU(reset="after")),
                        ["reset='before'", "n is another"]),
    "bR_n": (lambda: convert(arrays_of("gru", "torch"), "torch", "nnx", "gru"),
             ["the recurrent bias of n is not zero", "r multiplies it"]),
    "CoreML": (lambda: convert(arrays_of("gru", "torch"), "torch", "coreml", "gru"),
               ["the recurrent bias of n is not zero", "r multiplies it"]),
    "peepholes to torch": (lambda: convert(arrays_of("lstm", "onnx", peepholes=True), "onnx", "torch", "lstm"),
                           ["torch lstm: peepholes=True", "projection"]),
    "peepholes to keras": (lambda: convert(arrays_of("lstm", "tf1", peepholes=True), "tf1", "keras", "lstm"),
                           ["keras lstm: peepholes=True"]),
    "peepholes dropped": (lambda: convert(arrays_of("lstm", "tf1", peepholes=True), "tf1", "keras", "lstm",
                                          wanted={"peepholes": False}), ["peepholes are not zero"]),
    "projection to keras": (lambda: convert(arrays_of("lstm", "torch", projection=2), "torch", "keras", "lstm"),
                            ["keras lstm: projection=2"]),
    "projection to ONNX": (lambda: convert(arrays_of("lstm", "torch", projection=2), "torch", "onnx", "lstm"),
                           ["onnx lstm: projection=2"]),
    "projection dumped": (lambda: dump(LAYOUTS["lstm", "keras"], ours(cells.LSTM(projection=2)),
                                       cells.LSTM(projection=2)), ["P is not zero where keras lstm has no place"]),
    "hard sigmoid 2 to 3": (lambda: convert(arrays_of("lstm", "keras2"), "keras2", "keras", "lstm"),
                            ["hard_sigmoid(alpha=0.2", "hard_sigmoid(alpha=0.166667", "another slope", "rescaled"]),
    "hard sigmoid to sigmoid": (lambda: convert(arrays_of("lstm", "keras2"), "keras2", "keras", "lstm",
                                                wanted={"gate": "sigmoid"}),
                                ["gate=hard_sigmoid(alpha=0.2, beta=0.5) cannot become gate=sigmoid"]),
    "a default that differs": (lambda: convert(arrays_of("lstm", "keras2 cudnn"), "keras2 cudnn", "keras2", "lstm"),
                               ["gate=sigmoid as the source has it, the default is hard_sigmoid(alpha=0.2, beta=0.5)",
                                "wanted={'gate': 'sigmoid'}"]),
    "a default that differs, back": (lambda: convert(arrays_of("lstm", "keras2"), "keras2", "onnx", "lstm"),
                                     ["the default is sigmoid", "wanted={'gate': 'hard_sigmoid@keras2'}"]),
    "relu to torch": (lambda: convert(arrays_of("lstm", "keras"), "keras", "torch", "lstm",
                                      {"candidate": "relu", "output": "relu"}), ["torch lstm: candidate=relu"]),
    "elu to torch": (lambda: convert(arrays_of("rnn", "keras"), "keras", "torch", "rnn", {"activation": "elu"}),
                     ["torch rnn: activation=elu", "tanh, relu"]),
    "two settings that are one": (lambda: cell_for("lstm", "keras", candidate="relu"),
                                  ["candidate=relu and output=tanh", "one setting there"]),
    "cell clip to torch": (lambda: convert(arrays_of("lstm", "tf1"), "tf1", "torch", "lstm", {"cell_clip": 1.0}),
                           ["torch lstm: cell_clip=1.0"]),
    "clip of another": (lambda: adapt(cells.LSTM(cell_clip=1.0), {}, cells.LSTM()),
                        ["cell_clip=1.0", "cell_clip=None"]),
    "to coupled": (lambda: adapt(cells.LSTM(), ours(cells.LSTM()), cells.LSTM(coupled="input")),
                   ["cannot become coupled='input'", "independent"]),
    "coupled by relu": (lambda: adapt(cells.LSTM(coupled="input", gate="relu"),
                                      ours(cells.LSTM(coupled="input")), cells.LSTM(gate="relu")),
                        ["1 - relu(a) is not relu(-a)"]),
    "coupled in torch": (lambda: cell_for("lstm", "torch", coupled="forget"), ["coupled=forget"]),
    "coupled cell, plain arrays": (lambda: load(LAYOUTS["lstm", "torch"], arrays_of("lstm", "torch"),
                                                cells.LSTM(coupled="input")),
                                   ["gates f g o", "torch lstm has i f g o"]),
    "forget bias of torch": (lambda: cell_for("lstm", "torch", forget_bias=1.0), ["forget_bias=1.0"]),
    "another family": (lambda: adapt(cells.LSTM(), {}, cells.SimpleRNN()), ["LSTM: cannot become a SimpleRNN"]),
    "another cell": (lambda: adapt(cells.LayerNormSimpleRNN(), {}, cells.SimpleRNN()), ["none of the cells"]),
    "bR has no place": (lambda: dump(LAYOUTS["rnn", "keras"], ours(cells.SimpleRNN(recurrent_bias=True)),
                                     cells.SimpleRNN(recurrent_bias=True)), ["bR is not zero", "add bR to b"]),
}


@pytest.mark.parametrize("call, pieces", REFUSALS.values(), ids=REFUSALS)
def test_refusal(call, pieces):
    with raises_with(NotSupported, pieces):
        call()


def spoiled(family, framework, **changes):
    """A call of load with the arrays of a layer, some of them changed; None takes one away."""
    def call():
        arrays = arrays_of(family, framework)
        arrays |= {n: f(arrays.get(n)) if callable(f) else f for n, f in changes.items()}
        arrays = {n: a for n, a in arrays.items() if a is not None}
        load(layout_of(family, framework), arrays, cell_for(family, framework))
    return call


def T(a):
    return a.T.copy()


WRONG = {
    "transposed W": (spoiled("lstm", "torch", weight_ih_l0=T),
                     ["weight_ih_l0 has shape (3, 16), expected (16, 3)", "this is the transpose"]),
    "transposed R": (spoiled("lstm", "keras", recurrent_kernel=T),
                     ["recurrent_kernel has shape (16, 4), expected (4, 16)", "this is the transpose"]),
    "transposed both": (spoiled("lstm", "tf1", kernel=T), ["kernel has shape (16, 7), expected (7, 16)", "transpose"]),
    "transposed, a gate each": (spoiled("gru", "flax", **{"iz/kernel": T}), ["iz/kernel has shape (4, 3)", "(3, 4)"]),
    "GRU in an LSTM": (spoiled("lstm", "torch", **arrays_of("gru", "torch")),
                       ["weight_ih_l0 has shape (12, 3), expected (16, 3)", "12 = 3 x 4", "a GRU", "i f g o"]),
    "LSTM in a GRU": (spoiled("gru", "keras", **arrays_of("lstm", "keras")),
                      ["kernel has shape (3, 16), expected (3, 12)", "an LSTM"]),
    "RNN in a GRU": (spoiled("gru", "torch", **arrays_of("rnn", "torch")), ["expected (12, 3)", "a simple RNN"]),
    "bias missing": (spoiled("lstm", "keras", bias=None), ["bias is missing", "bias=False"]),
    "bias of h missing": (spoiled("gru", "torch", bias_hh_l0=None), ["bias_hh_l0 is missing: bR", "bias=False"]),
    "weight missing": (spoiled("lstm", "onnx", R=None), ["R is missing", "given  W B"]),
    "one gate missing": (spoiled("lstm", "nnx", **{"if_/kernel": None}), ["if_/kernel is missing: W"]),
    "reset_after=False": (spoiled("gru", "keras", **arrays_of("gru before", "keras")),
                          ["bias has shape (12,), expected (2, 12)", "an axis is missing"]),
    "reset_after=True": (spoiled("gru before", "keras", **arrays_of("gru", "keras")),
                         ["bias has shape (2, 12), expected (12,)"]),
    "double biases": (spoiled("lstm", "keras", bias=lambda b: np.concatenate([b, b])),
                      ["bias has shape (32,), expected (16,)"]),
    "no axis of directions": (spoiled("lstm", "onnx", W=lambda a: a[0]), ["W has shape (16, 3), expected 3 axes"]),
    "both directions": (spoiled("lstm", "onnx", B=lambda a: np.concatenate([a, a])),
                        ["B has shape (2, 32), expected (1, 32)"]),
    "another layer too": (spoiled("lstm", "torch", weight_ih_l1=np.ones((16, 4))),
                          ["weight_ih_l1: not known to torch lstm", "interop.pieces"]),
    "names of another": (spoiled("lstm", "torch", kernel=np.ones(1)), ["kernel: not known", "known  weight_ih_l0"]),
    "a bias of a layer without": (lambda: load(layout_of("lstm", "keras", bias=False), arrays_of("lstm", "keras"),
                                               cell_for("lstm", "keras")), ["bias: not known to keras lstm"]),
}


@pytest.mark.parametrize("call, pieces", WRONG.values(), ids=WRONG)
def test_wrong_arrays(call, pieces):
    with raises_with(ShapeError, pieces):
        call()


def test_wrong_dtypes():
    with pytest.raises(DtypeError, match="bias has dtype float32, expected float64"):
        spoiled("lstm", "keras", bias=lambda b: b.astype("float32"))()
    with pytest.raises(DtypeError, match="kernel has dtype int64"):
        spoiled("rnn", "keras", kernel=lambda b: b.astype("int64"))()


def test_arrays_that_the_cell_has_no_use_for():
    with pytest.raises(NotSupported, match="weight_hr_l0 is given, and this cell has no projection"):
        load(LAYOUTS["lstm", "torch"], arrays_of("lstm", "torch", projection=2), cell_for("lstm", "torch"))
    with pytest.raises(NotSupported, match="P is not zero, and this cell has no Wpi"):
        load(LAYOUTS["lstm", "onnx"], arrays_of("lstm", "onnx", peepholes=True), cell_for("lstm", "onnx"))
    with pytest.raises(NotSupported, match="bias_hh_l0 is not zero, and this cell has no bR"):
        load(LAYOUTS["lstm", "torch"], arrays_of("lstm", "torch"), cell_for("lstm", "torch", recurrent_bias=False))
