"""Every recorded run of TensorFlow 1.15 again with its arrays on the device, to the same tolerances: `make test-gpu`.

Twice: as `rnnref.tf1` runs it, by the plain code, and by the path that `run` chooses; a step of a cell outside of a
loop has no paths, and runs once.  Conversions of weights are about arrays in main memory, so they are not among these.
On the CPU all the same files run on the strict double of CuPy, and some with the kernels on the host shim.
"""
import json

import numpy as np
import pytest

from rnnref import tf1
from rnnref.cuda import launch
from tests.support import golden_runs, strict
from tests.support.golden_checks import FILES, check_file


def config(path):
    with np.load(path, allow_pickle=False) as file:
        return json.loads(file["config"].item())


LOOP = {path: config(path)["loop"] for path in FILES}
RUNS = [path for path in FILES if LOOP[path] != "weight_conversion"]
LOOPS = [path for path in RUNS if LOOP[path] != "cell_step"]
KERNELS = [path for path in LOOPS if "relu" not in path.stem and path.stem.startswith((     # they have tanh only
    "LSTMCell__", "GRUCell__", "BasicRNNCell__", "CudnnCompatible", "LSTMBlockFused", "bidirectional_dynamic"))]


def stem(path):
    return path.stem


@pytest.fixture
def paths_of_run(monkeypatch):
    """The loops of tf1 by the path that `run` chooses, not by the plain code."""
    monkeypatch.setattr(tf1.loops, "PLAIN", {})


@pytest.mark.gpu
@pytest.mark.parametrize("path", RUNS, ids=stem)
def test_golden(path):
    assert check_file(path, "gpu")


@pytest.mark.gpu
@pytest.mark.parametrize("path", LOOPS, ids=stem)
def test_golden_by_the_paths_of_run(path, paths_of_run):
    assert check_file(path, "gpu")


# the same on the CPU

@pytest.mark.parametrize("path", RUNS, ids=stem)
def test_on_the_double(path, cupy):
    assert check_file(path, "gpu")
    assert strict.counts["asarray"] and strict.counts["get"]       # it was there


@pytest.mark.kernels
@pytest.mark.parametrize("path", KERNELS, ids=stem)
def test_with_kernels(path, paths_of_run):
    # not above: it needs ml_dtypes, which a machine with a card may lack
    from tests.shim.double import with_kernels
    with with_kernels():                          # where nothing is compiled yet
        assert check_file(path, "gpu") and launch.compile_kernel.cache_info().misses


def test_all_files_but_conversions_run():
    assert {LOOP[path] for path in RUNS} == set(golden_runs.LOOPS) and KERNELS
    assert {LOOP[path] for path in FILES if path not in RUNS} <= {"weight_conversion"}
