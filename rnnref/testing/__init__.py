"""Laws for cells of your own, comparisons that raise, Hypothesis strategies, and golden vectors."""
from .api import (Case, Golden, LawReport, LawViolation, Mismatch, Sizes, assert_close, assert_matches, assert_same,
                  cases, check_case, check_cell, golden, lengths, maskings, masks, shapes)

__all__ = ["Case", "Golden", "LawReport", "LawViolation", "Mismatch", "Sizes", "assert_close", "assert_matches",
           "assert_same", "cases", "check_case", "check_cell", "golden", "lengths", "maskings", "masks", "shapes"]
