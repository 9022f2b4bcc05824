"""Verify a recurrent layer of a framework, an ONNX model or a function against the reference, forward and backward."""
from . import tolerance as _table  # first: the function of its name takes the place of the module here
from .compare import Comparison, compare
from .coverage import CoverageReport, coverage
from .diagnose import Diagnosis, diagnose
from .padding import PaddingReport, check_padding
from .report import Report, Row, VerificationError
from .rounding import ChaosError, Tolerance, is_rounding, tolerance
from .verify import assert_matches, verify

__all__ = ["ChaosError", "Comparison", "CoverageReport", "Diagnosis", "PaddingReport", "Report", "Row", "Tolerance",
           "VerificationError", "assert_matches", "check_padding", "compare", "coverage", "diagnose", "is_rounding",
           "tolerance", "verify"]
