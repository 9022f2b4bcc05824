"""What tests share."""
import pytest
import strict
from hypothesis import settings

settings.register_profile("rnnref", derandomize=True, deadline=None, database=None)
settings.load_profile("rnnref")


@pytest.fixture
def cupy():
    """The strict double in the place of CuPy."""
    with strict.install() as module:
        yield module
