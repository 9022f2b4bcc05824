"""Runs without the kernels for whole sequences, where bits or products are compared with those of the plain code."""
from contextlib import contextmanager
from unittest import mock

from rnnref.loops import plan


@contextmanager
def plain_paths():
    """A context in which arrays in main memory run by the paths of the code as written."""
    without = {name: module for name, module in plan.MODULES["numpy"].items() if name != "sequence"}
    with mock.patch.dict(plan.MODULES, numpy=without):
        plan.clear_cache()
        try:
            yield
        finally:
            plan.clear_cache()
