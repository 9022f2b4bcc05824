"""Is an engine's RNN, GRU and LSTM what the ONNX operator text says?  A grid of options, and why it departs."""
from .survey import Survey, survey
