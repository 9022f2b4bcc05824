"""Training by processes of MPI: as by one process, and what happens when one of them fails, dies or is stopped."""
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rnnref
from rnnref.testing.api import assert_close
from tests.support.distributed_run import main

pytestmark = pytest.mark.peers
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def mpi():
    """mpiexec, beside the Python that runs or on PATH."""
    pytest.importorskip("mpi4py")
    found = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert found, "mpi4py is installed and no mpiexec is found"
    return found


def start(mpi, n, *argv, folder=None):
    env = os.environ | {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
                        "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return subprocess.Popen([mpi, "-n", str(n), sys.executable, *argv], cwd=folder or ROOT, env=env, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process):
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, out, err


def test_two_and_three_processes_train_as_one(mpi, tmp_path):
    main(tmp_path / "1.npz")
    want = np.load(tmp_path / "1.npz")
    for n in (2, 3):
        status, _, err = finish(start(mpi, n, "-m", "tests.support.distributed_run", str(tmp_path / f"{n}.npz")))
        assert status == 0, err
        got = np.load(tmp_path / f"{n}.npz")
        assert set(got.files) == set(want.files)
        for name in want.files:
            dtype = name.partition(" ")[0]
            assert_close(got[name].astype(dtype), want[name].astype(dtype), "path")


FAILS = """
import sys
import numpy as np
from rnnref import Input, Sequential, callbacks, layers
model = Sequential([Input((2,)), layers.Dense(1)])
model.compile("sgd", "mse")
model.distribute()

def fail(epoch, logs):
    if model.distribution.rank == 1:
        raise RuntimeError("out of luck")
backup = callbacks.BackupAndRestore(sys.argv[1])
model.fit(np.ones((8, 2)), np.ones((8, 1)), epochs=3, verbose=0, batch_size=4,
          callbacks=[backup, callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch == 2 and fail(0, 0))])
"""


def test_an_error_in_one_process_ends_all(mpi, tmp_path):
    status, _, err = finish(start(mpi, 3, "-c", FAILS, str(tmp_path)))
    assert status != 0
    assert "RuntimeError: out of luck" in err and "process 1 of 3 has ended the run" in err
    assert len(rnnref.load(tmp_path / "training.npz")["about"])


COMMAND = """
import os, sys
from mpi4py import MPI
open(f"pid-{MPI.COMM_WORLD.Get_rank()}", "w").write(str(os.getpid()))
from rnnref.cli import main
sys.exit(main(sys.argv[1:]))
"""
RUN = "train", "digits", "--units", "4", "--batch-size", "256", "--out", "run"


def wait_for_rows(folder, n):
    """Until the history has so many epochs."""
    history = folder / "run" / "history.csv"
    for _ in range(1200):
        if history.exists() and history.read_text().count("\n") > n:
            return
        time.sleep(0.05)
    raise AssertionError("no epochs were trained")


def read_rows(folder, name):
    return np.loadtxt(folder / name / "history.csv", delimiter=",", skiprows=1)


def test_a_process_that_is_killed_ends_the_run_which_goes_on_from_a_whole_checkpoint(mpi, tmp_path):
    process = start(mpi, 2, "-c", COMMAND, *RUN, "--epochs", "100000", folder=tmp_path)
    wait_for_rows(tmp_path, 3)
    os.kill(int((tmp_path / "pid-1").read_text()), signal.SIGKILL)
    status, out, _ = finish(process)
    assert status not in (0, 130) and "2 processes" in out
    epochs = len(read_rows(tmp_path, "run")) + 2
    status, out, err = finish(start(mpi, 3, "-m", "rnnref", *RUN, "--epochs", str(epochs), "--resume", folder=tmp_path))
    assert status == 0 and out.count("resumed after epoch") == 1, err
    status, _, err = finish(start(mpi, 1, "-m", "rnnref", *RUN[:-1], "alone", "--epochs", str(epochs), folder=tmp_path))
    assert status == 0, err
    got, want = read_rows(tmp_path, "run"), read_rows(tmp_path, "alone")
    assert_close(got[:, 1:].astype("float32"), want[:, 1:].astype("float32"), "path")
    assert set(os.listdir(tmp_path / "run")) == set(os.listdir(tmp_path / "alone"))


def test_ctrl_c_saves_once_and_a_folder_that_is_there_is_refused_once(mpi, tmp_path):
    process = start(mpi, 2, "-c", COMMAND, *RUN, "--epochs", "100000", folder=tmp_path)
    wait_for_rows(tmp_path, 1)
    process.send_signal(signal.SIGINT)
    status, out, _ = finish(process)
    assert status == 130 and out.count("is the model as it is now") == 1
    assert rnnref.models.load_model(tmp_path / "run" / "model.keras").count_params()
    status, out, err = finish(start(mpi, 2, "-m", "rnnref", *RUN, folder=tmp_path))
    assert status == 2 and (out + err).count("exists already") == 1
