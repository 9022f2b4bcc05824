"""The CUDA device that tests and measurements run on: which it is, or that there is none; and time on it.

    python -m tests.bench.device          # says what is there; fails if nothing is
"""
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path


def why_none():
    """Why nothing can run on a GPU here, in words; None if it can."""
    try:
        import cupy
    except ImportError as e:
        return f"CuPy is not installed ({e}): pip install cupy-cuda13x, or make test-gpu CUDA=13"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as e:
        said = str(e).split(":")[0]
        return f"CuPy finds no CUDA device ({said}): is there a card, and a driver new enough for its CUDA?"
    return None if count else "CuPy finds no CUDA device"


def required():
    """Leave the process, with the reason, where there is no device."""
    why = why_none()
    if why:
        sys.exit(f"There is no GPU to run this on.\n  {why}")


def driver():
    """The version of the driver; None where nvidia-smi does not say it."""
    try:
        said = subprocess.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
                              capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.splitlines()[0].strip()


def about():
    """What a measurement depends on."""
    import cupy
    runtime = cupy.cuda.runtime
    said = {"card": runtime.getDeviceProperties(0)["name"].decode(), "driver": driver(),
            "driver's CUDA": runtime.driverGetVersion(),
            "CUDA": runtime.runtimeGetVersion(), "cupy": cupy.__version__, "python": platform.python_version(),
            "sm": int(cupy.cuda.Device(0).compute_capability), "CUPY_TF32": os.environ.get("CUPY_TF32", "")}
    try:
        import torch
        said |= {"torch": torch.__version__, "cudnn": torch.backends.cudnn.version()}
    except ImportError:
        said["torch"] = None
    return said


def milliseconds(f, rounds, warm=2):
    """The median of so many runs after some that do not count, by CUDA events on CuPy's current stream."""
    import cupy
    times = []
    for i in range(warm + rounds):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        f()
        end.record()
        end.synchronize()
        times.append(cupy.cuda.get_elapsed_time(start, end))
    return statistics.median(times[warm:])


def torch_in(mode):
    """Both of torch's switches as the mode wants them: by default its products are strict and its cuDNN is not.

    torch gives RNNs in bfloat16 to cuDNN, but does not know that it may lay their weights end to end as cuDNN wants
    them (2.11 to 2.13): each call would warn and copy them.
    """
    import torch
    torch.backends.cudnn.CUDNN_TENSOR_DTYPES.add(torch.bfloat16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")           # newer releases have other names for them too
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = mode == "tf32"
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    return {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[mode]


def torch_module(cell, p, dtype, layers=1, both=False, where="cuda"):
    """torch's LSTM or GRU with the parameters of a cell, which are on the host: a list, layer by layer, one for each
    direction.  Gates have the same order, matrices lie the other way."""
    import torch
    (I, _), (H, _) = p[0]["W"].shape, p[0]["R"].shape
    net = getattr(torch.nn, {"SimpleRNN": "RNN"}.get(cell.name, cell.name))(I, H, layers, bidirectional=both)
    for k, q in enumerate(p):
        suffix = f"l{k // (1 + both)}" + "_reverse" * (both and k % 2)
        for name, a in ((f"weight_ih_{suffix}", q["W"].T), (f"weight_hh_{suffix}", q["R"].T),
                        (f"bias_ih_{suffix}", q["b"]), (f"bias_hh_{suffix}", q.get("bR", 0 * q["b"]))):
            getattr(net, name).data = torch.tensor(a.copy())
    return net.to(where, dtype)


class Results:
    """Rows of one measurement, each a line of JSON that is on disk when the next one begins; the first says on what.

    They go to the folder that OUT names, else to tests/bench/results: a card, its driver and versions in every file.
    """

    def __init__(self, name, about=about):
        folder = Path(os.environ.get("OUT") or Path(__file__).parent / "results")
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}.jsonl"
        self.add(about=about())

    def add(self, **row):
        with open(self.path, "a") as f:
            f.write(json.dumps(row, default=str) + "\n")


if __name__ == "__main__":
    required()
    print(*(f"{what}: {value}" for what, value in about().items()), sep="\n")
