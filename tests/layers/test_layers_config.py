"""Configurations go round through JSON; attributes are those of Keras."""
import json

import pytest

from rnnref import NotSupported, cells
from rnnref.layers import GRU, LSTM, RNN, Bidirectional, GRUCell, LSTMCell, SimpleRNN, SimpleRNNCell, StackedRNNCells
from rnnref.testing.api import assert_same
from tests.support.layer_cases import B, Doubling, I, X, flat, random

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
