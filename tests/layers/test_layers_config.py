"""Configurations go round through JSON; attributes are those of Keras."""
import json

import numpy as np
import pytest

from rnnref import Input, NotSupported, Sequential, cells, initializers, regularizers
from rnnref.layers import (GRU, LSTM, RNN, BatchNormalization, Bidirectional, ConvLSTM2D, Dense, Embedding, GRUCell,
                           Layer, LSTMCell, Reshape, SimpleRNN, SimpleRNNCell, SpatialDropout1D, StackedRNNCells,
                           TimeDistributed, config)
from rnnref.testing.api import assert_same
from tests.support.cases import CELLS
from tests.support.layer_cases import B, Doubling, I, T, X, flat, random

LAYERS = {
    "simple": lambda: SimpleRNN(3, "relu", return_sequences=True, recurrent_dropout=0.2, seed=3, name="mine"),
    "lstm": lambda: LSTM(3, recurrent_activation="hard_sigmoid", unit_forget_bias=False, stateful=True,
                         dtype="float64"),
    "gru": lambda: GRU(3, reset_after=False, go_backwards=True, zero_output_for_mask=True, implementation=1),
    "time": lambda: GRU(3, time_major=True),
    "stack": lambda: RNN([LSTMCell(3), GRUCell(2, use_bias=False)], return_state=True),
    "raw": lambda: RNN(cells.LSTM(peepholes=True, gate="hard_sigmoid@keras2", projection=2), units=3, seed=1),
    "raw gru": lambda: RNN(cells.GRU(reset="before"), units=3),
    "both": lambda: Bidirectional(LSTM(3, return_state=True), merge_mode="sum", name="pair"),
    "two": lambda: Bidirectional(GRU(3), backward_layer=SimpleRNN(2, go_backwards=True)),
    "cell": lambda: LSTMCell(3, activation=None), "cells": lambda: StackedRNNCells([LSTMCell(3), SimpleRNNCell(2)]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_configurations_go_round(name):
    layer = LAYERS[name]()
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert json.loads(json.dumps(again.get_config())) == config
    layer.build(I)
    again.set_weights(layer.get_weights()) if "raw" not in name else again.build(I) or again.set_weights(
        layer.get_weights())
    x = random((B, I), dtype="float32") if "cell" in name else X
    assert_same(flat(layer(x)), flat(again(x)))


SEEDED = {
    "lstm": lambda: LSTM(3, seed=4), "cell": lambda: GRUCell(3, seed=4), "dense": lambda: Dense(3, seed=4),
    "raw": lambda: RNN(cells.LSTM(), units=3, seed=4), "three": lambda: RNN([cells.LSTM()] * 3, units=3, seed=4),
    "others": lambda: RNN([cells.GRU(), LSTMCell(2, seed=1), cells.LSTM()], units=[3, None, 2], seed=4),
    "both": lambda: Bidirectional(LSTM(3, seed=4)), "embedding": lambda: Embedding(5, 2, seed=4),
    "both of two": lambda: Bidirectional(RNN([cells.LSTM(), cells.GRU()], units=3, seed=4)),
    "distributed": lambda: TimeDistributed(Dense(3, seed=4)),
    "unlike": lambda: Bidirectional(GRU(3, seed=4), backward_layer=LSTM(3, seed=4, go_backwards=True)),
}


@pytest.mark.parametrize("name", SEEDED)
def test_a_seed_draws_the_same_weights_after_a_configuration(name):
    layer = SEEDED[name]()
    again = type(layer).from_config(json.loads(json.dumps(layer.get_config())))
    for one in (layer, again):
        one.build((None, T, I))
    assert_same(layer.get_weights(), again.get_weights())
    drawn = [a.tobytes() for a in layer.get_weights() if a.any() and a.shape in {(I, 12), (3, 12)}]
    assert len(set(drawn)) == len(drawn)          # and other ones for each cell and direction


NUMBERS = {
    "LSTM": lambda: LSTM(np.int64(3), dropout=np.float64(0.5), seed=np.int64(1)), "GRU": lambda: GRU(np.int32(3)),
    "RNN": lambda: RNN([cells.LSTM(), cells.LSTM()], units=np.int64(3), seed=np.int64(1)),
    "ConvLSTM2D": lambda: ConvLSTM2D(np.int64(3), (np.int64(3), 3)), "Dense": lambda: Dense(np.int64(3)),
    "L2": lambda: Dense(3, kernel_regularizer=regularizers.L2(np.float64(0.5))),
    "initializer": lambda: Dense(3, kernel_initializer=initializers.RandomNormal(0.0, np.float32(0.5), np.int64(3))),
    "Input": lambda: Sequential([Input((np.int64(5), 3)), Reshape((np.int64(15),)), Dense(np.int64(2))]),
    "BatchNormalization": lambda: BatchNormalization(np.int64(-1), np.float32(0.5)),
    "SpatialDropout1D": lambda: SpatialDropout1D(np.float64(0.5), np.int64(3)),
    "own": lambda: Scaled(np.float32(2.0), {"a": np.int64(1)}),
}


class Scaled(Layer):
    def __init__(self, factor, more, **base):
        super().__init__(**base)
        self.factor, self.more = factor, more

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return super().get_config() | {"factor": self.factor, "more": self.more}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_numpy_are_written_as_json(name):
    layer = NUMBERS[name]()
    config = json.loads(json.dumps(layer.get_config()))
    assert json.loads(json.dumps(type(layer).from_config(config).get_config())) == config


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_goes_round(name):
    cell, _ = CELLS[name]
    if name in ("Residual, a function", "Residual, a product"):
        with pytest.raises(NotSupported, match="custom_objects|lambda"):
            config.deserialize(json.loads(json.dumps(config.serialize(cell))))
        return
    again = config.deserialize(json.loads(json.dumps(config.serialize(cell))))
    assert type(again) is type(cell) and config.serialize(again) == config.serialize(cell)


def test_custom_cells_in_configurations():
    layer = RNN(Doubling(), units=I)
    config = json.loads(json.dumps(layer.get_config()))
    with pytest.raises(NotSupported, match=r"custom_objects=\{\"Doubling\": Doubling\}"):
        RNN.from_config(config)
    assert type(RNN.from_config(config, {"Doubling": Doubling}).cell.cell) is Doubling


def test_attributes_are_those_of_keras():
    layer = GRU(3, dropout=0.1, seed=2)
    assert (layer.units, layer.activation, layer.recurrent_activation, layer.use_bias, layer.reset_after) == (
        3, "tanh", "sigmoid", True, True)
    assert (layer.dropout, layer.recurrent_dropout, layer.seed, layer.states) == (0.1, 0.0, 2, None)
    assert LSTM(3).state_size == [3, 3] and SimpleRNN(3).state_size == 3
    with pytest.raises(AttributeError):
        layer.units = 4                           # said once, by the constructor
    assert [type(one)(2).name for one in (layer, LSTM(2), SimpleRNN(2))] == ["gru_1", "lstm_2", "simple_rnn_2"]
    assert repr(layer) == "<GRU gru, not built>"
