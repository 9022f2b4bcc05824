"""Bad arguments of layers: each message names what was given and what was expected."""
import numpy as np
import pytest

from rnnref import DtypeError, Error, NotSupported, ShapeError, cells
from rnnref.layers import GRU, LSTM, RNN, Bidirectional, CoreCell, GRUCell, Layer, LSTMCell, Masks, StackedRNNCells
from tests.support.layer_cases import HOLES, SEQ, B, T, U, X, make_layer, randomize


class Formless(cells.Cell):
    def forward(self, p, x, s, extra=None):
        return x, s, None


def called(make, *args, **kwargs):
    return lambda: make()(*args, **kwargs)


ERRORS = {
    "units": (lambda: LSTM(0), NotSupported, "units=0, expected a positive integer"),
    "units of a kind": (lambda: GRUCell(2.5), NotSupported, r"units=2\.5"),
    "activation": (lambda: LSTM(2, activation="tanhh"), NotSupported, "activation='tanhh'.*\n.*known.*tanh"),
    "gate": (lambda: LSTM(2, recurrent_activation="sigmoidd"), NotSupported, "recurrent_activation='sigmoidd'"),
    "initialiser": (lambda: LSTM(2, kernel_initializer="lecun"), NotSupported, "kernel_initializer='lecun'.*\n.*known"),
    "regulariser": (lambda: LSTM(2, kernel_regularizer="l3"), NotSupported, "'l3'.*\n.*known"),
    "constraint": (lambda: GRU(2, bias_constraint="positive"), NotSupported, "'positive'.*\n.*known"),
    "dropout": (lambda: LSTM(2, dropout=1.0), NotSupported, r"dropout=1\.0, expected from 0 to below 1"),
    "recurrent": (lambda: LSTM(2, recurrent_dropout=-0.1), NotSupported, r"recurrent_dropout=-0\.1"),
    "cudnn": (called(lambda: LSTM(2, use_cudnn=True), X), NotSupported, "use_cudnn=True"),
    "cudnn of a kind": (lambda: LSTM(2, use_cudnn="yes"), NotSupported, "use_cudnn='yes'.*\n.*'auto'"),
    "implementation": (lambda: GRU(2, implementation=3), NotSupported, "implementation=3"),
    "dtype": (lambda: LSTM(2, dtype="mixed_float16"), NotSupported, "dtype='mixed_float16'"),
    "integers": (lambda: LSTM(2, dtype="int32"), NotSupported, "dtype='int32', expected a floating"),
    "keyword": (lambda: LSTM(2, unit=3), TypeError, "unit"),
    "merge_mode": (lambda: Bidirectional(GRU(2), "add"), NotSupported, "merge_mode='add'.*\n.*'concat', 'sum'"),
    "merged widths": (lambda: Bidirectional(GRU(2), "sum", backward_layer=GRU(3, go_backwards=True)), ShapeError,
                      "'sum' of 2 and 3 outputs"),
    "same way": (lambda: Bidirectional(GRU(2), backward_layer=GRU(2)), NotSupported, "go_backwards=False in both"),
    "other options": (lambda: Bidirectional(GRU(2), backward_layer=GRU(2, go_backwards=True, return_sequences=True)),
                      NotSupported, "return_sequences=False in layer, True in backward_layer"),
    "other dtypes": (lambda: Bidirectional(GRU(2), backward_layer=GRU(2, go_backwards=True, dtype="float64")),
                     NotSupported, "float32 and float64"),
    "no layer": (lambda: Bidirectional(LSTMCell(2)), NotSupported, "layer is an LSTMCell.*\n.*known"),
    "no cell": (lambda: RNN(LSTM(2)), NotSupported, "cell is an LSTM\n.*known"),
    "no units": (lambda: RNN(cells.LSTM()), NotSupported, "units are not given"),
    "units twice": (lambda: RNN(LSTMCell(2), units=3), NotSupported, "units=3: LSTMCell has its own"),
    "seed twice": (lambda: RNN(LSTMCell(2), seed=3), NotSupported, "seed=3: LSTMCell has its own"),
    "units of each": (lambda: RNN([cells.LSTM(), cells.GRU()], units=[1]), NotSupported, r"units=\[1\] for 2 cells"),
    "formless": (lambda: RNN(Formless(), units=2), NotSupported, "Formless has no axes, shapes, zeros, width"),
    "no cells": (lambda: StackedRNNCells([]), NotSupported, "cells are none"),
    "raw in a stack": (lambda: StackedRNNCells([cells.LSTM()]), NotSupported, r"CoreCell\(cell, units\)"),
    "twice in a stack": (lambda: StackedRNNCells([LSTMCell(2)] * 2), NotSupported, "same cell object twice"),
    "dtype of the cell": (lambda: RNN(LSTMCell(2), dtype="float64"), NotSupported, "float32 and float64"),
    "axes of x": (called(lambda: LSTM(2), X[0]), ShapeError, r'x has shape \(5, 4\), expected 3.*\n.*"B T I"'),
    "inputs": (called(lambda: make_layer("lstm"), X[..., :2]), ShapeError,
               "expected 4 on the last.*\n.*built for I = 4"),
    "no array": (called(lambda: LSTM(2), "abc"), DtypeError, "x is a str"),
    "objects": (called(lambda: LSTM(2), X.astype(object)), DtypeError, "x has dtype object"),
    "ragged": (called(lambda: LSTM(2), [[[1.0], [2.0]], [[3.0]]]), ShapeError, "differ in length"),
    "no steps": (called(lambda: LSTM(2), X[:, :0]), ShapeError, "without steps there is no last output"),
    "mask": (called(lambda: LSTM(2), X, mask=HOLES[:, :3]), ShapeError, r"mask has shape \(3, 3\), expected \(3, 5\)"),
    "mask turned": (called(lambda: LSTM(2), X, mask=HOLES.T), ShapeError, "hint   this is the transpose"),
    "mask of numbers": (called(lambda: LSTM(2), X, mask=HOLES * 1), DtypeError, "mask has dtype int64, expected bool"),
    "lengths": (called(lambda: LSTM(2), X, lengths=[9, 1, 1]), ShapeError, "each from 0 to 5"),
    "both": (called(lambda: LSTM(2), X, mask=HOLES, lengths=[1, 1, 1]), NotSupported, "both lengths and mask"),
    "one state": (called(lambda: LSTM(2), X, [np.zeros((3, 2))]), ShapeError,
                  "is a list of 1, expected a list of 2: h, c"),
    "state alone": (called(lambda: LSTM(2), X, np.zeros((3, 2))), ShapeError,
                    r"is an array of shape \(3, 2\), expected a list of 2: h, c"),
    "state": (called(lambda: LSTM(2), X, [np.zeros((3, 2)), np.zeros((3, 4))]), ShapeError,
              r"initial_state.c has shape \(3, 4\), expected \(3, 2\)"),
    "masks": (called(lambda: LSTM(2), X, masks=np.ones((3, 4))), ShapeError, r"masks is an ndarray, expected Masks"),
    "masks of gates": (called(lambda: LSTM(2), X, masks=Masks(x=[X[:, 0]] * 3)), ShapeError,
                       "list of 3, expected 4\n.*i f g o"),
    "mask of x": (called(lambda: LSTM(2), X, masks=Masks(x=X[:, 0, :3])), ShapeError, r"expected \(3, 16\)"),
    "masks of cells": (called(lambda: RNN([LSTMCell(2), GRUCell(2)]), X, masks=Masks()), ShapeError,
                       "expected a list of 2: one for each of lstm_cell, gru_cell"),
    "backward first": (lambda: LSTM(2).backward(X), Error, "backward before forward"),
    "weights": (lambda: make_layer("lstm").set_weights([np.zeros((4, 12))]), ShapeError,
                "1 weights, expected 3\n.*kernel recurrent_kernel bias"),
    "weights of a GRU": (lambda: make_layer("lstm").set_weights(make_layer("gru").get_weights()), ShapeError,
                         r"kernel has shape \(4, 9\), expected \(4, 12\)(.*\n)*.*these may be the weights of a GRU"),
    "weights turned": (lambda: make_layer("lstm").set_weights([w.T for w in make_layer("lstm").get_weights()]),
                       ShapeError,
                       "kernel(.*\n)*.*this is the transpose"),
    "weights of a raw cell": (lambda: randomize(RNN(cells.GRU(), units=2)).set_weights(
                                  make_layer("gru").get_weights() + [X]),
                              ShapeError, r"W has shape \(4, 9\), expected \(4, 6\)"),
    "unknown size": (lambda: RNN(cells.GRU(), units=2).set_weights([X] * 4), ShapeError, r"build\(input_shape\) first"),
    "a step": (called(lambda: LSTMCell(2), X), ShapeError, 'expected 2 axes.*\n.*"B I": one step'),
    "stateful batch": (lambda: (lambda layer: (layer(X), layer(X[:2])))(GRU(2, stateful=True)), ShapeError,
                       "a batch of 2, expected 3"),
    "initialiser of keras": (lambda: LSTM.from_config({"units": 2, "recurrent_initializer": {
        "module": "keras.initializers", "class_name": "STFT", "config": {}}}), NotSupported,
        "STFT: there is no signal processing"),
    "class in a config": (lambda: RNN.from_config({"cell": {"class_name": "Mine"}}), NotSupported, "class 'Mine'"),
}


@pytest.mark.parametrize("action, kind, says", ERRORS.values(), ids=ERRORS)
def test_message(action, kind, says):
    with pytest.raises(kind, match=says):
        action()


def test_backward_says_what_does_not_fit():
    layer = make_layer("lstm", **SEQ)
    layer(X)
    with pytest.raises(ShapeError, match=r"dy has shape \(3, 3\), expected \(3, 5, 3\)"):
        layer.backward(np.ones((B, U)))
    with pytest.raises(ShapeError, match=r"dstate.h has shape \(3, 5\)"):
        layer.backward(None, [np.ones((B, T)), np.ones((B, U))])
    assert not layer.backward()[0].any()          # nothing is zero


def test_the_base_alone():
    with pytest.raises(Error, match="backward before forward"):
        Layer().backward(X)
    with pytest.raises(NotImplementedError):
        Layer()(X)
    assert isinstance(RNN(cells.GRU(), units=2).cell, CoreCell)
