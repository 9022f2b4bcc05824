"""Weights from any framework to any other, with a proof; and what the arrays of a file are.

    convert       weights of any source as those of a framework: a `Conversion`, which is a dict of arrays
    port          weights of any source into a live module
    explain_file  which array of a file is which layer, direction and gate
    write_conversion       converted weights to a file, or as an ONNX model
"""
from .conversion import Conversion, NotRepresentable, convert
from .described import explain_file
from .port import Ported, port
from .written import write_conversion

__all__ = ["Conversion", "NotRepresentable", "Ported", "convert", "explain_file", "port", "write_conversion"]
