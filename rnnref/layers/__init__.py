"""Layers with the names, arguments, defaults and weights of Keras 3.

    y = layer(x)                       x [B, T, I]; also layer.forward(x, initial_state, mask, ...)
    dx, dstate = layer.backward(dy)    fills layer.grads
    layer.set_weights(keras_layer.get_weights())
"""
from ..wrappers.dropout import Masks
from .base import Layer
from .bidirectional import Bidirectional
from .call_cell import CallCell
from .cell import CellLayer, CoreCell, TfCell
from .conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, ConvLSTMCell
from .gru import GRU, GRUCell
from .lstm import LSTM, LSTMCell
from .rnn import RNN
from .simple_rnn import SimpleRNN, SimpleRNNCell
from .stacked import StackedRNNCells
from .time_distributed import TimeDistributed, Wrapper
from .weight import Weight
