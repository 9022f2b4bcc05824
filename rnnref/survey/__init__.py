"""A survey of an engine's RNN, GRU and LSTM against the ONNX specification: a grid of options, and why it departs."""
from .frameworks import survey_framework
from .survey import Survey, survey

__all__ = ["Survey", "survey", "survey_framework"]
