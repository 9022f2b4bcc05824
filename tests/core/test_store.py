"""A file is whole or it is the one before, whatever interrupts; what is saved comes back."""
import os
import signal
import stat
import subprocess
import sys
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

import rnnref
from rnnref import cells, io, layers
from rnnref.errors import DtypeError, FileError, MissingFile, NotSupported, ShapeError
from rnnref.files.atomic import replace_file
from rnnref.testing.assertions import assert_same
from tests.support.hostile_files import header

TREE = {"W": np.arange(6.0).reshape(2, 3), "cells": (np.zeros(2, "f4"), None, {"b": np.ones(1)})}


def test_a_tree_comes_back(tmp_path):
    io.save(tmp_path / "p.npz", TREE)
    assert_same(io.load(tmp_path / "p.npz", TREE), TREE)
    assert os.listdir(tmp_path) == ["p.npz"]


def test_a_state_comes_back_as_its_named_tuple(tmp_path):
    s = cells.LSTM().zeros(2, 3)
    io.save(tmp_path / "s.npz", s)
    assert type(io.load(tmp_path / "s.npz", s)) is type(s)


@pytest.mark.parametrize("like, says", [({"W": np.zeros(1)}, "expected W"),
                                        (TREE | {"W": np.zeros((3, 2))}, "expected \\(3, 2\\) and float64"),
                                        (TREE | {"W": np.zeros((2, 3), "f4")}, "and float32")])
def test_another_tree_is_refused(tmp_path, like, says):
    io.save(tmp_path / "p.npz", TREE)
    with pytest.raises(ShapeError, match=says):
        io.load(tmp_path / "p.npz", like)


@pytest.mark.parametrize("module, where", [(npy, "write_array"), (os, "fsync"), (os, "replace")])
def test_an_error_leaves_the_last_file(tmp_path, monkeypatch, module, where):
    io.save(tmp_path / "p.npz", TREE)

    def fail(*args, **kwargs):
        raise KeyboardInterrupt
    monkeypatch.setattr(module, where, fail)
    with pytest.raises(KeyboardInterrupt):
        io.save(tmp_path / "p.npz", {"W": np.zeros(1)})
    assert_same(io.load(tmp_path / "p.npz", TREE), TREE)
    assert os.listdir(tmp_path) == ["p.npz"]


# In a process of its own, whose children are killed before their 1st, 2nd, 3rd ... call of what touches the disk.
KILLED = """
import fcntl, os, signal, sys
import numpy as np, rnnref
from numpy.lib import format as npy
path, folder = sys.argv[1], os.path.dirname(sys.argv[1])

def kill_before(nth):
    count = [0]
    for module, name in ((os, "open"), (fcntl, "flock"), (npy, "write_array"), (os, "fchmod"), (os, "fsync"),
                         (os, "replace"), (os, "close"), (os, "unlink")):
        def call(*args, f=getattr(module, name), **options):
            count[0] += 1
            if count[0] == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            return f(*args, **options)
        setattr(module, name, call)

rnnref.save(path, {"a": np.full(9, 0.0), "b": np.full(9, 0.0)})
killed = []
for nth in range(1, 99):
    child = os.fork()
    if not child:
        kill_before(nth)
        rnnref.save(path, {"a": np.full(9, float(nth)), "b": np.full(9, float(nth))})
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    found = rnnref.load(path)
    assert (found["a"] == found["a"][0]).all() and (found["b"] == found["a"][0]).all(), found
    killed.append(found["a"][0] == nth)
    if not status:
        break
assert len(killed) > 9 and killed[-1] and not killed[0], killed
assert killed == sorted(killed), killed                          # the last file up to the move, the new one from it on
assert os.listdir(folder) == [os.path.basename(path)], os.listdir(folder)
"""


def test_a_process_killed_at_any_call_leaves_a_whole_file(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "p.npz")], check=True, timeout=60)


TRAINING = """
import sys, numpy as np, rnnref
for n in range(10 ** 6):
    rnnref.save(sys.argv[1], {"a": np.full(300000, float(n)), "b": np.full(300000, float(n))})
"""


def test_a_killed_process_leaves_a_whole_file(tmp_path):
    path = tmp_path / "p.npz"
    for wait in (0.0, 0.013, 0.029):
        child = subprocess.Popen([sys.executable, "-c", TRAINING, str(path)])
        while not path.exists():
            assert child.poll() is None
            time.sleep(0.001)
        time.sleep(wait)
        child.send_signal(signal.SIGKILL)
        child.wait()
        found = rnnref.load(path)
        assert (found["a"] == found["a"][0]).all() and (found["b"] == found["a"][0]).all()
    io.save(path, TREE)
    assert os.listdir(tmp_path) == ["p.npz"]


def test_temporaries_of_living_processes_and_other_files_stay(tmp_path):
    with replace_file("test", tmp_path / "p.npz") as file:
        file.write(b"slow")
        dead = tmp_path / f"p.npz.{'0' * 16}.part"
        others = [tmp_path / name for name in (f"q.npz.{'0' * 16}.part", "p.npz.part", "p.npz.1.part")]
        for path in (dead, *others):
            path.write_bytes(b"")
        io.save(tmp_path / "p.npz", TREE)
        assert not dead.exists() and all(path.exists() for path in others)
    assert (tmp_path / "p.npz").read_bytes() == b"slow"


# What a file is to the system

def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_a_new_file_has_the_mode_of_the_umask_and_an_old_one_keeps_its_own(tmp_path):
    before = os.umask(0o027)
    try:
        io.save(tmp_path / "p.npz", TREE)
        assert mode(tmp_path / "p.npz") == 0o640
        os.chmod(tmp_path / "p.npz", 0o604)
        io.save(tmp_path / "p.npz", TREE)
        assert mode(tmp_path / "p.npz") == 0o604
    finally:
        os.umask(before)


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.npz").symlink_to(tmp_path / "there" / "p.npz")
    for tree in ({"W": np.zeros(1)}, TREE):
        io.save(tmp_path / "link.npz", tree)
    assert (tmp_path / "link.npz").is_symlink()
    assert_same(io.load(tmp_path / "there" / "p.npz", TREE), TREE)


def test_a_path_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "loop", 3, "", "a\0b", None):
        for call in (lambda: io.save(path, TREE), lambda: io.load(path)):
            with pytest.raises(FileError):
                call()
    with pytest.raises(MissingFile, match="no folder"):
        io.save(tmp_path / "nowhere" / "p.npz", TREE)
    with pytest.raises(FileNotFoundError, match="no file .*nothing.npz"):
        io.load(tmp_path / "nothing.npz")


# What comes back, and what is refused

ARRAYS = {"float16": np.array([1.5, np.nan, -0.0], "f2"), "big endian": np.array([1, 2], ">i4"),
          "by columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "empty": np.zeros((3, 0)),
          "bool": np.array(True),
          "strided": np.arange(9)[::2], "complex": np.array([1j]), "text": np.array(["a", "bc"]),
          "number": np.float32(2),
          "structured": np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]), "date": np.array(["2020-01-01"], "M8[D]"),
          "file": np.ones(1), "a/b": np.ones(2), "": np.ones(3), "Ω": np.ones(4)}


def test_every_dtype_and_layout_comes_back(tmp_path):
    io.save(tmp_path / "p.npz", ARRAYS)
    found = io.load(tmp_path / "p.npz")
    assert found.keys() == ARRAYS.keys()
    for name, a in ARRAYS.items():
        assert found[name].dtype == a.dtype and found[name].shape == a.shape and found[name].tobytes() == a.tobytes()
        assert found[name].flags.f_contiguous == np.asarray(a).flags.f_contiguous or name == "strided"
    with np.load(tmp_path / "p.npz") as theirs:   # and NumPy reads the file
        assert all(theirs[name].tobytes() == a.tobytes() for name, a in ARRAYS.items())
    io.save(tmp_path / "p.npz", {})
    assert io.load(tmp_path / "p.npz") == {}


def test_dtypes_of_ml_dtypes_come_back(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    tree = {"W": np.array([[1.5, -2.0]], ml_dtypes.bfloat16), "b": np.array([0.5], ml_dtypes.float8_e4m3fn)}
    io.save(tmp_path / "p.npz", tree)
    assert_same(io.load(tmp_path / "p.npz", tree), tree)
    with np.load(tmp_path / "p.npz") as theirs:
        assert theirs["W"].tolist() == [[0x3FC0, 0xC000]]          # the upper halves of the float32 of 1.5 and -2
    with pytest.raises(ShapeError, match="W .* dtype bfloat16, expected .* uint16"):
        io.load(tmp_path / "p.npz", tree | {"W": np.zeros((1, 2), "u2")})


REFUSED = {
    "two of one path": ({"a": {"b": np.ones(1)}, "a.b": np.ones(1)}, ShapeError, "'a.b'"),
    "1 and '1'": ({1: np.ones(1), "1": np.ones(1)}, ShapeError, "'1'"),
    "in tuples": ({"c": (np.ones(1),), "c.0": np.ones(1)}, ShapeError, "'c.0'"),
    "objects": ({"W": np.array([{1: 2}], object)}, DtypeError, "W has dtype object"),
    "objects in fields": ({"W": np.array([(1,)], [("a", "O")])}, DtypeError, "W has dtype"),
    "raw bytes": ({"W": np.zeros(2, "V2")}, DtypeError, "W has dtype"),
    "masked": ({"W": np.ma.masked_array([1.0], [True])}, DtypeError, "W is a masked array"),
    "a list of arrays": ({"W": [np.ones(1), np.ones(1)]}, ShapeError, "W is a list of arrays"),
    "rows of other lengths": ({"W": [[1], [2, 3]]}, ShapeError, "W is a list whose rows"),
    "a large number": ({"W": 2 ** 70}, DtypeError, "W has dtype object"),
    "a set": ({"W": {1}}, NotSupported, "W is a set"),
    "a function": (print, NotSupported, "the tree is a builtin_function"),
    "a layer": (layers.LSTM(2), NotSupported, "get_weights"),
    "a layer in a dict": ({"net": (layers.Dense(2),)}, NotSupported, "net.0 is a Dense"),
    "a model": (rnnref.Sequential([layers.Dense(2)]), NotSupported, "model.save_weights"),
    "out of the archive": ({"../x": np.ones(1)}, FileError, "leads out"),
    "a name cut at NUL": ({"a\0b": np.ones(1)}, FileError, "leads out"),
    "a long name": ({"n" * 70000: np.ones(1)}, FileError, "no name that an archive"),
    "no Unicode": ({"\udc80": np.ones(1)}, FileError, "no name that an archive"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_load_could_not_give_back_is_refused(tmp_path, case):
    tree, error, says = REFUSED[case]
    io.save(tmp_path / "p.npz", TREE)
    with pytest.raises(error, match=says):
        io.save(tmp_path / "p.npz", tree)
    assert_same(io.load(tmp_path / "p.npz", TREE), TREE)
    assert os.listdir(tmp_path) == ["p.npz"]


def test_another_tree_is_refused_before_it_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as z, \
            z.open("W.npy", "w") as f:
        f.write(header("(50000000,)"))
        for _ in range(100):
            f.write(bytes(2_000_000))
    tracemalloc.start()
    with pytest.raises(ShapeError, match="W in .*expected \\(2, 3\\)"):
        io.load(tmp_path / "p.npz", {"W": np.ones((2, 3), "f4")})
    with pytest.raises(FileError, match="p.npz says that it unpacks to 200"):
        io.load(tmp_path / "p.npz")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e6


def test_arrays_on_the_device_are_fetched(tmp_path, cupy):
    io.save(tmp_path / "p.npz", rnnref.to("gpu", TREE))
    assert_same(io.load(tmp_path / "p.npz", TREE), TREE)
