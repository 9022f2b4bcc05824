"""The cells, wrappers and loops of TensorFlow 1.15, with its names, arguments, variables and states, and gradients.

    cell = tf1.LSTMCell(5).load_variables(checkpoint)           # or .build(inputs=3)
    outputs, (c, h) = result = tf1.dynamic_rnn(cell, x, sequence_length=[4, 2])
    d = result.backward(d_outputs)                              # d.inputs, d.state, d.variables
"""
from ..absent import Absent
from .absent import ABSENT_GROUPS
from .bidirectional import (bidirectional_dynamic_rnn, stack_bidirectional_dynamic_rnn, stack_bidirectional_rnn,
                            static_bidirectional_rnn)
from .cell import LayerRNNCell, RNNCell
from .config import CLASSES
from .contrib_cells import (CFNCell, Conv1DLSTMCell, Conv2DLSTMCell, Conv3DLSTMCell, ConvLSTMCell,
                            CoupledInputForgetGateLSTMCell, GLSTMCell, IndRNNCell, IndyGRUCell, IndyLSTMCell,
                            IntersectionRNNCell, LayerNormBasicLSTMCell, LayerNormLSTMCell, MinimalRNNCell, NASCell,
                            SRUCell, UGRNNCell, WeightNormLSTMCell)
from .core_cells import (BasicLSTMCell, BasicRNNCell, CudnnCompatibleGRUCell, CudnnCompatibleLSTMCell, GRUBlockCell,
                         GRUBlockCellV2, GRUCell, LSTMBlockCell, LSTMCell)
from .cudnn import (CudnnGRU, CudnnLSTM, CudnnParamsFormatConverterGRU, CudnnParamsFormatConverterLSTM,
                    CudnnParamsFormatConverterRelu, CudnnParamsFormatConverterTanh, CudnnRNNRelu, CudnnRNNTanh)
from .fused import FusedRNNCell, FusedRNNCellAdaptor, LSTMBlockFusedCell, LSTMBlockWrapper, TimeReversedFusedRNN
from .loops import (best_effort_input_batch_size, dynamic_rnn, scope_of, static_rnn, static_state_saving_rnn,
                    transpose_batch_time)
from .raw import raw_rnn
from .spec import Gradients, Result
from .special_cells import (BidirectionalGridLSTMCell, GridLSTMCell, NTMCell, NTMControllerState, PhasedLSTMCell,
                            TimeFreqLSTMCell)
from .states import LSTMStateTuple
from .variables import VariableName
from .wrappers import (AttentionCellWrapper, CompiledWrapper, DeviceWrapper, DropoutWrapper, EmbeddingWrapper,
                       HighwayWrapper, InputProjectionWrapper, MultiRNNCell, OutputProjectionWrapper, ResidualWrapper)
from .written import TensorShape

__all__ = ["AttentionCellWrapper", "BasicLSTMCell", "BasicRNNCell", "BidirectionalGridLSTMCell", "CFNCell", "CLASSES",
           "CompiledWrapper", "Conv1DLSTMCell", "Conv2DLSTMCell", "Conv3DLSTMCell", "ConvLSTMCell",
           "CoupledInputForgetGateLSTMCell", "CudnnCompatibleGRUCell", "CudnnCompatibleLSTMCell", "CudnnGRU",
           "CudnnLSTM", "CudnnParamsFormatConverterGRU", "CudnnParamsFormatConverterLSTM",
           "CudnnParamsFormatConverterRelu", "CudnnParamsFormatConverterTanh", "CudnnRNNRelu", "CudnnRNNTanh",
           "DeviceWrapper", "DropoutWrapper", "EmbeddingWrapper", "FusedRNNCell", "FusedRNNCellAdaptor", "GLSTMCell",
           "GRUBlockCell", "GRUBlockCellV2", "GRUCell", "Gradients", "GridLSTMCell", "HighwayWrapper", "IndRNNCell",
           "IndyGRUCell", "IndyLSTMCell", "InputProjectionWrapper", "IntersectionRNNCell", "LSTMBlockCell",
           "LSTMBlockFusedCell", "LSTMBlockWrapper", "LSTMCell", "LSTMStateTuple", "LayerNormBasicLSTMCell",
           "LayerNormLSTMCell", "LayerRNNCell", "MinimalRNNCell", "MultiRNNCell", "NASCell", "NTMCell",
           "NTMControllerState", "OutputProjectionWrapper", "PhasedLSTMCell", "RNNCell", "ResidualWrapper", "Result",
           "SRUCell", "TensorShape", "TimeFreqLSTMCell", "TimeReversedFusedRNN", "UGRNNCell", "VariableName",
           "WeightNormLSTMCell", "best_effort_input_batch_size", "bidirectional_dynamic_rnn", "dynamic_rnn", "raw_rnn",
           "scope_of", "stack_bidirectional_dynamic_rnn", "stack_bidirectional_rnn", "static_bidirectional_rnn",
           "static_rnn", "static_state_saving_rnn", "transpose_batch_time"]

__getattr__ = Absent("tf1", *ABSENT_GROUPS)
