"""What layers that are no recurrent ones refuse, and in which words."""
import numpy as np
import pytest

from rnnref import DtypeError, Input, Model, NotSupported, ShapeError, layers as L, ops
from rnnref.symbols import Symbol
from tests.support.simple_layer_cases import LIVE, ROWS, X, Y, made


def two_inputs():
    a, b = Input((4,), name="a"), Input((4,), name="b")
    return Model([a, b], L.Add()([a, b]))


REFUSED = {
    "absent": (lambda: L.Conv1D(3, 2), NotSupported, "layers.Conv1D: there are no convolutions outside of cells"),
    "units": (lambda: L.Dense(0), NotSupported, "layers.Dense: units=0, expected a positive integer"),
    "lora": (lambda: L.Dense(2, lora_rank=4), NotSupported, "lora_rank=4: there are no low-rank updates"),
    "quantization": (lambda: L.Embedding(2, 2, quantization_config={"a": 1}), NotSupported, "are not quantized"),
    "activation": (lambda: L.Dense(2, "tahn"), NotSupported, "activations: 'tahn'"),
    "initializer": (lambda: L.Dense(2, kernel_initializer="xavier"), NotSupported, "initializers: 'xavier'"),
    "regularizer": (lambda: L.Dense(2, kernel_regularizer="l3"), NotSupported, "regularizers: 'l3'"),
    "constraint": (lambda: L.Dense(2, kernel_constraint="max"), NotSupported, "constraints: 'max'"),
    "not an array": (lambda: two_inputs()([np.ones((2, 4)), "x"]), DtypeError, "the input b is a str, expected a N"),
    "no axis": (lambda: ops.concatenate([X, X], axis=None), NotSupported, "ops.concatenate: axis=None"),
    "open": (lambda: L.Dense(3)(np.ones(4)), ShapeError, r"kernel: a weight of shape \(None, 3\), expected known"),
    "no steps": (lambda: L.TimeDistributed(L.Dense(2))(np.ones(2)), ShapeError, "expected known lengths"),
    "one axis": (lambda: made("Dense")(np.ones(4)), ShapeError, r"x has shape \(4,\), expected two axes or more"),
    "other inputs": (lambda: made("Dense")(np.ones((2, 5))), ShapeError, r"x has shape \(2, 5\).*the last of 4"),
    "renorm": (lambda: L.BatchNormalization(renorm=True), NotSupported, "renorm=True: batch renormalization"),
    "synchronized": (lambda: L.BatchNormalization(synchronized=True), NotSupported, "a model is on one device"),
    "mask of a batch": (lambda: made("BatchNormalization")(X, mask=LIVE[0], training=True), ShapeError,
                        r"mask has shape \(5,\), expected \(3, 5\)"),
    "axis of a batch": (lambda: L.BatchNormalization(3)(X), ShapeError, r"axis=3, and x has shape \(None, 5, 4\)"),
    "unknown axis": (lambda: L.LayerNormalization(0)(X), ShapeError, "axis=0 of x has no known length"),
    "axis of a layer": (lambda: L.LayerNormalization("last"), NotSupported, "axis='last', expected an integer"),
    "rms": (lambda: L.LayerNormalization(rms_scaling=True), NotSupported, "layers.RMSNormalization"),
    "rate": (lambda: L.Dropout(1.5), NotSupported, "rate=1.5, expected a number from 0 to 1"),
    "noise": (lambda: L.Dropout(0.5, noise_shape=(0,)), NotSupported, r"noise_shape=\(0,\)"),
    "infinite": (lambda: L.GaussianDropout(1), NotSupported, "the variance .* is infinite"),
    "spatial": (lambda: L.SpatialDropout1D(0.5)(ROWS), ShapeError, "expected three axes"),
    "slope": (lambda: L.LeakyReLU(-1), NotSupported, "negative_slope=-1, expected"),
    "limit": (lambda: L.ReLU(max_value=-1.0), NotSupported, "max_value=-1.0, expected"),
    "alpha": (lambda: L.PReLU()(Symbol((None, None, 3))), ShapeError, r"shared_axes=\[1\]"),
    "softmax": (lambda: L.Softmax()(X, mask=LIVE), ShapeError, r"mask has shape \(3, 5\), expected one that"),
    "target": (lambda: L.Reshape((-1, -1)), NotSupported, "-1 once at most"),
    "reshape": (lambda: L.Reshape((7, 3))(X), ShapeError, "reshape"),
    "dims": (lambda: L.Permute((0, 1)), NotSupported, "expected the numbers from 1 to 2"),
    "permute": (lambda: L.Permute((2, 1))(ROWS), ShapeError, "expected 3 axes"),
    "n": (lambda: L.RepeatVector(0), NotSupported, "n=0, expected a positive integer"),
    "repeat": (lambda: L.RepeatVector(2)(X), ShapeError, "expected two axes"),
    "format": (lambda: L.Flatten("last"), NotSupported, "data_format='last'"),
    "no list": (lambda: L.Add()(X), ShapeError,
                "layers.Add: called with an array of shape .*, expected a list of 1 or more arrays"),
    "three": (lambda: L.Subtract()([X, X, X]), ShapeError, "called with a list of 3, expected a list of 2 arrays"),
    "mask of a list": (lambda: L.Add()([X, Y], mask=LIVE), ShapeError,
                       "mask is an array of shape .*, expected a list of 2"),
    "concatenate": (lambda: L.Concatenate()(X), ShapeError, "expected a list of arrays"),
    "axes": (lambda: L.Dot("x"), NotSupported, "axes='x', expected one integer or two"),
    "dot": (lambda: L.Dot(1)([X, ROWS]), ShapeError, "expected one length at axis 1 and at axis 1"),
    "pooling": (lambda: L.GlobalAveragePooling1D()(ROWS), ShapeError, "expected three axes"),
    "attention": (lambda: L.Attention()([X]), ShapeError, "expected a list of two or three"),
    "score": (lambda: L.Attention(score_mode="sum"), NotSupported, "score_mode='sum'"),
    "attention mask": (lambda: L.Attention()([X, Y], mask=LIVE), ShapeError, "mask is an array of shape"),
    "lambda activation": (lambda: L.Dense(2, lambda a: np.ones(2))(ROWS), NotSupported, "its gradient would be lost"),
}


@pytest.mark.parametrize("make, kind, says", REFUSED.values(), ids=REFUSED)
def test_messages(make, kind, says):
    with pytest.raises(kind, match=says):
        make()


def test_a_name_that_nobody_has():
    with pytest.raises(AttributeError, match="has no attribute 'Dens'"):
        L.Dens
