"""Laws for cells of your own, comparisons that raise, and Hypothesis strategies."""
from .api import (Case, LawReport, LawViolation, Mismatch, Sizes, assert_close, assert_same, cases, check_case,
                  check_cell, lengths, maskings, masks, shapes)

__all__ = ["Case", "LawReport", "LawViolation", "Mismatch", "Sizes", "assert_close", "assert_same", "cases",
           "check_case", "check_cell", "lengths", "maskings", "masks", "shapes"]
