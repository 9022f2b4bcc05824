"""`k`: rnnref in the place of Keras, and Keras itself."""
import pytest

import rnnref


@pytest.fixture(params=["rnnref", pytest.param("keras", marks=[pytest.mark.peers,
                                                               pytest.mark.filterwarnings("ignore")])])
def k(request):
    return rnnref if request.param == "rnnref" else request.getfixturevalue("keras")
