"""Arguments that users get wrong: each ends in an error of rnnref that names the argument and what was expected."""
import warnings
import zipfile

import numpy as np
import pytest

import rnnref
from rnnref import (activations, callbacks, cells, constraints, data, init, initializers, io, layers, losses, models,
                    onnx, ops, optimizers, random, regularizers, tf1)
from rnnref.errors import FileError, InvalidType, InvalidValue
from rnnref.train.command import train
from tests.support.messages import raises_with

DtypeError, NotSupported, ShapeError = rnnref.DtypeError, rnnref.NotSupported, rnnref.ShapeError
X, LINE, Y = np.ones((2, 3, 4), "float32"), np.ones((6, 4)), np.ones((6, 2))


def fit(x=LINE, y=Y, **options):
    model = models.Sequential([layers.Input((4,)), layers.Dense(2)])
    model.compile("sgd", "mse")
    model.fit(x, y, **{"verbose": 0} | options)


class Passing(layers.Layer):
    """A cell that gives x as its output and keeps its state."""
    state_size = 4

    def call(self, x, states):
        return x, states


class WithASize(cells.Cell):
    """A cell with an attribute that no configuration would have."""

    def __init__(self):
        self.size = 3

    def axes(self):
        return {}

    def shapes(self, n_in, units):
        return {}

    def width(self, units):
        return units

    def zeros(self, batch, units, xp=np, dtype="float32"):
        return (xp.zeros((batch, units), dtype),)


def grid(**options):
    return tf1.GridLSTMCell(3, feature_size=2, frequency_skip=1, **options)


def operator(**attributes):
    zeros = np.zeros((1, 16, 4), "float32")
    return onnx.run_op("LSTM", {"X": X, "W": zeros, "R": zeros}, attributes)


CALLS = {
    # cells and loops
    "explain a number": (lambda: rnnref.explain(cells.LSTM(), 3), InvalidType, ["like is an int", "[T, B, I]"]),
    "explain no cell": (lambda: rnnref.explain(3), InvalidType, ["explain: cell is an int"]),
    "explain a layer": (lambda: rnnref.explain(layers.LSTM(2)), InvalidType, ["cell is an LSTM", "layer.core"]),
    "back without a tape": (lambda: rnnref.run_back(None), NotSupported, ["the tape is None", "keep=False"]),
    "no units": (lambda: init.parameters(cells.LSTM(), 3, -1, np.random.default_rng(0)), InvalidValue,
                 ["units=-1", "1 or more"]),
    "a seed for rng": (lambda: init.parameters(cells.LSTM(), 3, 4, 5), InvalidType, ["rng is 5", "default_rng(5)"]),
    "a step of no cell": (lambda: rnnref.vjp(3, {}, X[:, 0], None), InvalidType, ["vjp: cell is an int"]),
    "no cells": (lambda: cells.Stack(()), NotSupported, ["Stack: cells is empty"]),
    # configurations
    "no class name": (lambda: losses.get({"config": {}}), InvalidType, ["losses.deserialize", "class_name"]),
    "config in a list": (lambda: initializers.deserialize([1]), InvalidType, ["config=[1]", "a dict"]),
    "an object": (lambda: losses.get(3), NotSupported, ["losses: an int, 3", "a name"]),
    "no activation": (lambda: activations.get(3), NotSupported, ["activations: an int"]),
    "no initializer": (lambda: initializers.get("nothing"), NotSupported, ["'nothing'", "glorot_uniform"]),
    "seed in words": (lambda: initializers.RandomNormal(seed="x"), NotSupported, ["seed='x'", "an integer"]),
    "decay in words": (lambda: regularizers.L2("x"), NotSupported, ["l2='x'", "0 or larger"]),
    "negative norm": (lambda: constraints.MaxNorm(-1), NotSupported, ["max_value=-1", "0 or larger"]),
    "cell with a size": (lambda: layers.RNN(WithASize(), units=3).get_config(), NotSupported,
                         ["WithASize holds size", "get_config()"]),
    "no JSON": (lambda: models.model_from_json("x"), InvalidValue, ["models.model_from_json", "not JSON"]),
    "JSON of a list": (lambda: models.model_from_json("[1, 2]"), InvalidValue, ["a list of 2", "to_json"]),
    "JSON of a number": (lambda: models.model_from_json("{}"), InvalidValue, ["expected the configuration"]),
    "JSON in bytes": (lambda: models.model_from_json(None), InvalidValue, ["not JSON"]),
    # layers
    "rank": (lambda: layers.ConvLSTMCell(4, 3, 3), NotSupported, ["rank=4", "1, 2, 3"]),
    "shape given twice": (lambda: layers.Dense(2, input_shape=(4,), input_dim=4), InvalidValue,
                          ["input_shape and input_dim are both given"]),
    "units missing": (lambda: layers.Dense(), InvalidType, ["missing a required argument: 'units'", "Dense(units)"]),
    "constants": (lambda: layers.RNN(Passing())(X, constants=X[:, 0]), NotSupported,
                  ["call has no such argument", "call(inputs, states, constants)"]),
    "masks": (lambda: layers.RNN(Passing())(X, masks=X), NotSupported, ["masks=ndarray", "takes none"]),
    "a word for a shape": (lambda: layers.LSTM(2).build("x"), InvalidType, ["input_shape='x'", "(None, T, I)"]),
    "an output shape of a word": (lambda: layers.LSTM(2).compute_output_shape("x"), InvalidType, ["input_shape='x'"]),
    "negative weight": (lambda: layers.Layer().add_weight((-1,)), InvalidType, ["shape (-1,)", "0 or more"]),
    "weight of a word": (lambda: layers.Layer().add_weight("x"), InvalidType, ["shape ('x',)", "integers"]),
    "initializer without arguments": (lambda: layers.Layer().add_weight((2,), lambda: 3), InvalidType,
                                      ["takes no arguments", "(shape, dtype)"]),
    # models
    "epochs in words": (lambda: fit(epochs="x"), InvalidType, ["fit: epochs='x'", "an integer"]),
    "half an epoch": (lambda: fit(epochs=2.5), InvalidType, ["epochs=2.5"]),
    "epochs below 0": (lambda: fit(epochs=-1), InvalidValue, ["epochs=-1", "0 or more"]),
    "initial epoch": (lambda: fit(initial_epoch="x"), InvalidType, ["initial_epoch='x'"]),
    "shuffle": (lambda: fit(shuffle="x"), NotSupported, ["shuffle='x'", "'batch'"]),
    "class weights in a list": (lambda: fit(class_weight=[1, 2]), InvalidType, ["class_weight=[1, 2]", "a dict"]),
    "class weight in words": (lambda: fit(class_weight={0: "x"}), InvalidType, ["{0: 'x'}", "{class: number}"]),
    "targets too wide": (lambda: fit(y=np.ones((6, 5))), ShapeError,
                         ["losses.mean_squared_error: y_true has shape (6, 5), y_pred (6, 2)", "expected equal"]),
    "no rows": (lambda: fit(LINE[:0], Y[:0]), ShapeError, ["the data have no rows"]),
    "no batches": (lambda: fit(iter(()), None), ShapeError, ["the data have no batch"]),
    "no arrays": (lambda: fit([["a"]]), DtypeError, ["x holds a str", "numpy.array(x)"]),
    "no inputs": (lambda: models.Model([], layers.Input((2,))), ShapeError, ["Model: no inputs"]),
    "clone by a function": (lambda: models.clone_model(models.Sequential(), clone_function=print), NotSupported,
                            ["clone_function=", "get_config()"]),
    "hook": (lambda: callbacks.LambdaCallback(on_lunch=print), NotSupported, ["on_lunch=", "on_epoch_end"]),
    "hook of a number": (lambda: callbacks.LambdaCallback(on_epoch_end=3), InvalidType, ["on_epoch_end=3", "function"]),
    "schedule of a number": (lambda: callbacks.LearningRateScheduler(3), InvalidType, ["schedule=3", "a function"]),
    "patience in words": (lambda: callbacks.EarlyStopping(patience="x"), InvalidType, ["EarlyStopping: patience='x'"]),
    "patience of a plateau": (lambda: callbacks.ReduceLROnPlateau(patience=-1), InvalidValue, ["patience=-1"]),
    "factor in words": (lambda: callbacks.ReduceLROnPlateau(factor="x"), NotSupported, ["factor='x'", "below 1"]),
    "beta in words": (lambda: optimizers.Adam(beta_1="x"), NotSupported, ["Adam: beta_1='x'", "a number"]),
    "beta of 1": (lambda: optimizers.AdamW(beta_2=1), NotSupported, ["AdamW: beta_2=1", "below 1"]),
    "seed of all in words": (lambda: random.set_random_seed("x"), InvalidType, ["seed='x'", "an integer"]),
    "seed of all too large": (lambda: random.set_random_seed(2 ** 32), InvalidValue, ["below 2 ** 32"]),
    "array as a weight": (lambda: optimizers.Adam().build([np.ones(2)]), NotSupported,
                          ["an ndarray as a weight", "weights of layers"]),
    "unknown option": (lambda: optimizers.Adam(0.1, decay=1), NotSupported, ["decay=1", "beta_1"]),
    "negative clip": (lambda: optimizers.Adam(clipnorm=-1), NotSupported, ["clipnorm=-1", "not negative"]),
    "averages every 0": (lambda: optimizers.Adam(use_ema=True, ema_overwrite_frequency=0), NotSupported,
                         ["ema_overwrite_frequency=0", "at least 1"]),
    "no steps to decay": (lambda: optimizers.schedules.ExponentialDecay(0.1, 0, 0.5), NotSupported,
                          ["decay_steps=0", "above 0"]),
    # operations
    "indexing": (lambda: ops.meshgrid([1.0], [2.0], indexing="yx"), NotSupported, ["indexing='yx'", "'ij'"]),
    "flash attention": (lambda: ops.dot_product_attention(*[X[:, :, None]] * 3, flash_attention=True), NotSupported,
                        ["flash_attention=True: it is not implemented"]),
    "soft cap": (lambda: ops.dot_product_attention(*[X[:, :, None]] * 3, attn_logits_soft_cap=2.0), NotSupported,
                 ["attn_logits_soft_cap=2.0"]),
    "beam search": (lambda: ops.ctc_decode(X, [3, 3], strategy="beam_search"), NotSupported,
                    ["strategy='beam_search'", "greedy"]),
    "nuclear norm": (lambda: ops.norm(X, ord="nuc"), NotSupported, ["ord='nuc' over 3 axes"]),
    "einsum of lists": (lambda: ops.einsum(X, [0, 1, 2]), NotSupported, ["lists of axes", "ij,jk->ik"]),
    "reflected": (lambda: ops.pad(X, 1, "reflect"), NotSupported, ["mode='reflect'", "ops.take"]),
    "direction": (lambda: operator(direction=3), NotSupported, ["direction=3, expected a string"]),
    "direction of no text": (lambda: operator(direction=b"\xff"), NotSupported, ["direction='", "\\xff"]),
    "activations of no text": (lambda: operator(activations=[b"\xff"] * 3), NotSupported, ["activations", "\\xff"]),
    # data and files
    "digits of a .gz": (lambda: data.mnist("file.gz"), NotSupported, ["'file.gz'", "IDX"]),
    "text of a number": (lambda: data.characters(3), NotSupported, ["an int, expected a str"]),
    "steps in words": (lambda: data.adding(2, "x"), InvalidType, ["data.adding: steps='x'", "an integer"]),
    "empty path": (lambda: io.save("", {"W": X}), FileError, ["the path is ''", "the name of a file"]),
    "path with a zero": (lambda: io.load("a\0b"), FileError, ["the path is 'a\\x00b'"]),
    "a model in arrays": (lambda: io.save("x.npz", models.Sequential()), NotSupported,
                          ["the tree is a Sequential", "model.save_weights"]),
    "text without a file": (lambda: train("text", out="run"), rnnref.Error, ["text needs a file"]),
    # TensorFlow 1
    "name of a number": (lambda: tf1.LSTMCell(3, name=4), InvalidType, ["name=4", "text"]),
    "unknown dtype": (lambda: tf1.LSTMCell(3, dtype="float33"), InvalidType, ["'float33' is no dtype"]),
    "integer dtype": (lambda: tf1.LSTMCell(3, dtype="int32"), InvalidValue, ["int32", "a floating dtype"]),
    "no units in TF": (lambda: tf1.GRUBlockCellV2(), InvalidValue, ["num_units=None and cell_size=None"]),
    "units given twice": (lambda: tf1.GRUBlockCellV2(num_units=3, cell_size=3), InvalidValue, ["give one of the two"]),
    "windows that do not fit": (lambda: grid(num_frequency_blocks=[5], start_freqindex_list=[0],
                                             end_freqindex_list=[4]), InvalidValue, ["5 windows", "where 3 fit"]),
    "blocks without starts": (lambda: grid(num_frequency_blocks=[5, 2]), InvalidValue,
                              ["without start_freqindex_list"]),
    "variable without a value": (lambda: tf1.LSTMCell(3).variables[0].numpy(), NotSupported,
                                 ["lstm_cell/kernel: it has no value yet", "load_variables"]),
    "units missing in TF": (lambda: tf1.LSTMCell(), InvalidType, ["'num_units'"]),
}


@pytest.mark.parametrize("name", CALLS)
def test_refused(name, tmp_path, monkeypatch):
    call, error, pieces = CALLS[name]
    monkeypatch.chdir(tmp_path)
    with raises_with(error, pieces):
        call()


def test_files_that_lead_nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with raises_with(FileError, ["a symbolic link that leads back to itself"]):
        io.save("a", {"W": X})
    with warnings.catch_warnings(), zipfile.ZipFile("two.npz", "w") as archive:
        warnings.simplefilter("ignore")
        for content in (b"x", b"y"):
            archive.writestr("W.npy", content)
    with raises_with(FileError, ["two.npz has two members called 'W.npy'"]):
        io.load("two.npz")
    with zipfile.ZipFile("packed.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("W.npy", b"x" * 100)
    with raises_with(FileError, ["'W.npy' in packed.npz is encrypted, or neither stored nor deflated"]):
        io.load("packed.npz")
    io.save("whole.npz", {"W": X})
    with raises_with(ShapeError, ["whole.npz holds W", "expected V"]):
        io.load("whole.npz", like={"V": X})
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\xfa")
    with raises_with(rnnref.Error, ["bad.txt is not text in UTF-8"]):
        train("text", "bad.txt", out="run")
