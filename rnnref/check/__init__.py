"""Verify a recurrent layer of a framework, an ONNX model or a function against the reference, forward and backward."""
from .report import Report, Row, VerificationError
from .verify import assert_matches, verify

__all__ = ["Report", "Row", "VerificationError", "assert_matches", "verify"]
