"""Layers with the names, arguments, defaults and weights of Keras 3.

    y = layer(x)                       x [B, T, I]; also layer.forward(x, initial_state, mask, ...)
    dx, dstate = layer.backward(dy)    fills layer.grads
    layer.set_weights(keras_layer.get_weights())
"""
from ..absent import Absent
from ..wrappers.dropout import Masks
from .absent import ABSENT_GROUPS
from .activation import ELU, Activation, LeakyReLU, PReLU, ReLU, Softmax
from .attention import AdditiveAttention, Attention
from .base import Layer
from .bidirectional import Bidirectional
from .call_cell import CallCell
from .cell import CellLayer, CoreCell, TfCell
from .conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D, ConvLSTMCell
from .dense import Dense
from .dropout import ActivityRegularization, Dropout, GaussianDropout, GaussianNoise, Identity, SpatialDropout1D
from .embedding import Embedding
from .gru import GRU, GRUCell
from .input_layer import Input, InputLayer
from .lstm import LSTM, LSTMCell
from .masking import Masking
from .merging import (Add, Average, Concatenate, Dot, Maximum, Minimum, Multiply, Subtract, add, average, concatenate,
                      dot, maximum, minimum, multiply, subtract)
from .normalization import BatchNormalization, LayerNormalization, RMSNormalization, UnitNormalization
from .pooling import GlobalAveragePooling1D, GlobalAvgPool1D, GlobalMaxPool1D, GlobalMaxPooling1D
from .reshaping import Flatten, Lambda, Permute, RepeatVector, Reshape
from .rnn import RNN
from .simple_rnn import SimpleRNN, SimpleRNNCell
from .stacked import StackedRNNCells
from .time_distributed import TimeDistributed, Wrapper
from .weight import Weight

__getattr__ = Absent("layers", *ABSENT_GROUPS)
