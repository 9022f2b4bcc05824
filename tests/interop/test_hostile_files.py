"""interop.read of files that are broken or made to do harm: one error that names the file, soon, in little memory."""
import io
import subprocess
import sys

import numpy as np
import pytest

from rnnref import interop
from rnnref.errors import FileError, MissingFile, NotSupported
from tests.support.bounded import bounded
from tests.support.hostile_files import (H5, HARM, WHOLE, flipped, h5_files, keras_archive, npz_files, opcodes,
                                         safetensors, safetensors_files, torch_file, torch_files, truncated, zipped)

FILES = {(kind, name): data for kind, files in (("npz", npz_files()), ("safetensors", safetensors_files()),
                                                ("pt", torch_files())) for name, data in files.items()}
JUNK = {"empty": b"", "text": b"junk" * 9, "zeros": bytes(4096), "signature": b"\x89HDF\r\n\x1a\n" + bytes(900)}


def h5(fill):
    h5py, out = pytest.importorskip("h5py"), io.BytesIO()
    with h5py.File(out, "w") as f:
        for name, a in H5.items():
            f[name] = a
        fill(h5py, f)
    return out.getvalue()


def refuse(path, data, **limits):
    path.write_bytes(data)
    with bounded(**limits), pytest.raises(FileError, match=path.name):
        interop.read(path)


@pytest.mark.parametrize("kind, name", FILES)
def test_a_file(tmp_path, kind, name):
    refuse(tmp_path / f"bad.{kind}", FILES[kind, name])


@pytest.mark.parametrize("name", HARM)
def test_h5(tmp_path, name):
    refuse(tmp_path / "bad.h5", h5(h5_files(tmp_path)[name]), memory=1e8)
    refuse(tmp_path / "bad.keras", keras_archive((tmp_path / "bad.h5").read_bytes()), memory=1e8)


@pytest.mark.parametrize("name", JUNK)
def test_junk(tmp_path, name):
    for suffix in ("h5", "hdf5", "keras", "npz", "safetensors", "pt", "pth", "H5"):
        refuse(tmp_path / f"bad.{suffix}", JUNK[name])
    refuse(tmp_path / "bad.keras", keras_archive(JUNK[name]))


def test_a_keras_file_without_weights(tmp_path):
    refuse(tmp_path / "bad.keras", zipped(("config.json", b"{}")))


def test_what_is_no_file(tmp_path):
    (tmp_path / "folder.h5").mkdir()
    with pytest.raises(FileError, match="folder.h5 is a folder"):
        interop.read(tmp_path / "folder.h5")
    with pytest.raises(MissingFile, match="there is no file .*none.keras"):
        interop.read(tmp_path / "none.keras")
    with pytest.raises(NotSupported, match="a file '.onnx'"):
        interop.read(tmp_path / "model.onnx")
    with pytest.raises(FileError, match="the path is an int"):
        interop.read(3)


def whole(kind):
    if kind == "pt":
        return torch_file(opcodes((2, 2), (1, 2)), **{"0": np.arange(4, dtype="f4").tobytes()})
    table = {"W": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    return WHOLE if kind == "npz" else safetensors(table, np.arange(4, dtype="f4").tobytes())


@pytest.mark.parametrize("kind", ["safetensors", "pt"])
def test_cut_short_or_changed_anywhere(tmp_path, kind):
    """Safetensors have no sum: a changed byte there may be another number, but no other error."""
    path, refused = tmp_path / f"bad.{kind}", 0
    for data in truncated(whole(kind), 7):
        refuse(path, data)
    for data in flipped(whole(kind), 5):
        path.write_bytes(data)
        try:
            found = interop.read(path)
        except FileError as e:
            refused += "bad" in str(e)
        else:
            assert kind != "pt" or not found or all(a.tolist() == [[0, 2], [1, 3]] for a in found.values())
    assert refused > 20


CHANGED = """
import sys, warnings
from pathlib import Path
from rnnref import interop
from rnnref.errors import FileError
from tests.support.hostile_files import flipped, truncated
path = Path(sys.argv[1]); whole = path.read_bytes(); refused = read = 0
for data in (*truncated(whole, 64), *flipped(whole, int(sys.argv[2]))):
    path.write_bytes(data)
    try:
        interop.read(path)
        read += 1
    except FileError as e:
        assert path.name in str(e)
        refused += 1
print(refused, read)
"""


def test_h5_cut_short_or_changed(tmp_path):
    """In a process of its own: HDF5 is C."""
    (tmp_path / "bad.h5").write_bytes(h5(lambda h5py, f: None))
    found = subprocess.run([sys.executable, "-c", CHANGED, str(tmp_path / "bad.h5"), "23"], capture_output=True,
                           text=True, timeout=60)
    assert found.returncode == 0 and int(found.stdout.split()[0]) > 50, found


def test_a_whole_file_of_torch_is_read_without_torch(tmp_path):
    (tmp_path / "w.pt").write_bytes(whole("pt"))
    assert interop.read(tmp_path / "w.pt")[""].tolist() == [[0, 2], [1, 3]]
