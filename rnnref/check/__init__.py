"""The checker: is this engine right, and if not, what is wrong with it?  (floor 10)"""
from .report import Report, Row, VerificationError
from .verify import assert_matches, verify
