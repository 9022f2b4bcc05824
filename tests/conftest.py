"""What tests share."""
import os

import pytest
from hypothesis import settings

from rnnref.layers.weight import clear_names
from tests.support import strict

collect_ignore_glob = ["bench/*", "kernels/*", "shim/*"]   # what tests use, not tests: no doctests to look for

settings.register_profile("rnnref", derandomize=True, deadline=None, database=None)
settings.load_profile("rnnref")


@pytest.fixture(autouse=True)
def names():
    """The names of layers are counted from nothing in every test."""
    clear_names()


@pytest.fixture
def cupy():
    """The strict double in the place of CuPy."""
    with strict.install() as module:
        yield module


@pytest.fixture
def keras():
    """Keras, whose names of layers are counted from nothing, on torch unless the environment has another back end."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    keras.utils.clear_session(free_memory=False)
    return keras
