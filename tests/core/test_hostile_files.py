"""A file that is broken or made to do harm gives one error that names it, soon, in little memory, and runs nothing."""
import numpy as np
import pytest

from rnnref import io
from rnnref.errors import FileError
from tests.support.bounded import bounded
from tests.support.hostile_files import WHOLE, flipped, npz_files, truncated

NPZ = npz_files()


@pytest.mark.parametrize("name", NPZ)
def test_npz(tmp_path, name):
    path = tmp_path / "bad.npz"
    path.write_bytes(NPZ[name])
    with bounded(), pytest.raises(FileError, match="bad.npz"):
        io.load(path)


def test_npz_cut_short_anywhere(tmp_path):
    path = tmp_path / "bad.npz"
    for data in truncated(WHOLE, 3):
        path.write_bytes(data)
        with pytest.raises(FileError, match="bad.npz"):
            io.load(path)


def test_npz_with_a_byte_changed_is_refused_or_whole(tmp_path):
    path, refused = tmp_path / "bad.npz", 0
    for data in flipped(WHOLE, 2):
        path.write_bytes(data)
        try:
            found = io.load(path)
        except FileError as e:
            refused += "bad.npz" in str(e)
        else:
            assert found.keys() == {"W", "b"}
            assert (found["W"] == np.arange(6.0).reshape(2, 3)).all() and (found["b"] == 1).all()
    assert refused > 400
