"""A file is whole or it is the one before, whatever interrupts."""
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import rnnref
from rnnref import ShapeError, cells, io
from rnnref.testing.assertions import assert_same

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


@pytest.mark.parametrize("where", ["savez", "fsync", "replace"])
def test_an_error_leaves_the_last_file(tmp_path, monkeypatch, where):
    io.save(tmp_path / "p.npz", TREE)

    def fail(*args, **kwargs):
        raise KeyboardInterrupt
    monkeypatch.setattr(np if where == "savez" else os, where, fail)
    with pytest.raises(KeyboardInterrupt):
        io.save(tmp_path / "p.npz", {"W": np.zeros(1)})
    assert_same(io.load(tmp_path / "p.npz", TREE), TREE)
    assert os.listdir(tmp_path) == ["p.npz"]


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


def test_arrays_on_the_device_are_fetched(tmp_path, cupy):
    io.save(tmp_path / "p.npz", rnnref.to("gpu", TREE))
    assert_same(io.load(tmp_path / "p.npz", TREE), TREE)
