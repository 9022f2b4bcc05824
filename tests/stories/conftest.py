"""`k`: rnnref in the place of Keras, and Keras itself."""
import os

import pytest

import rnnref


@pytest.fixture(params=["rnnref", pytest.param("keras", marks=[pytest.mark.peers,
                                                               pytest.mark.filterwarnings("ignore")])])
def k(request):
    if request.param == "rnnref":
        return rnnref
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    keras.utils.clear_session(free_memory=False)
    return keras


@pytest.fixture
def keras():
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    keras.utils.clear_session(free_memory=False)
    return keras
