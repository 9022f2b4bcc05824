"""Cells and sizes for tests on a CUDA device, run there and by the plain code in float64."""
import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, SimpleRNN
from rnnref.loops.run import run, run_back
from rnnref.testing.assertions import assert_close
from rnnref.tree import map_structure, to
from tests.bench import gpu

SIZES = {"odd": (9, 7, 5, 33), "one row": (30, 1, 16, 64), "wide": (12, 64, 96, 128)}         # T, B, I, H
# those of tests/bench/gpu.py, with few steps
BENCH = {",".join(map(str, (B, T, I, H))): (10, B, I, H) for B, T, I, H in gpu.SIZES if H <= 1024}
CELLS = {
    "LSTM": LSTM(), "LSTM, forget bias": LSTM(forget_bias=1.0), "LSTM, peepholes": LSTM(peepholes=True),
    "LSTM, coupled": LSTM(coupled="input"), "LSTM, coupled forget": LSTM(coupled="forget", recurrent_bias=True),
    "LSTM, clip": LSTM(cell_clip=0.3, peepholes=True), "LSTM, recurrent bias": LSTM(recurrent_bias=True),
    "GRU": GRU(), "GRU, no recurrent bias": GRU(recurrent_bias=False), "GRU before": GRU(reset="before"),
    "SimpleRNN": SimpleRNN(), "LSTM, projection": LSTM(projection=20),
}
ARITHMETIC = {"fp32": "float32", "tf32": "tf32", "bf16": "bfloat16", "fp16": "float16"}
PLAIN = {"paths": ("plain", "bidirectional"), "kernels": False}


def case(name, size, dtype="float32", where="everywhere", seed=0):
    """A cell and arguments of `run` in main memory, in numbers that the dtype can represent."""
    (T, B, I, H), rng = (SIZES | BENCH)[size], np.random.default_rng(seed)
    cell = CELLS[name]
    p = rnnref.init.parameters(cell, I, H, rng, scheme="torch" if size in BENCH else "keras")
    p = {n: a + rng.normal(size=a.shape).astype("f4") * 0.1 for n, a in p.items()}            # biases are not zero
    xs = rng.normal(size=(T, B, I)).astype("f4")
    s = map_structure(lambda a: rng.normal(size=a.shape).astype("f4") * 0.5, cell.zeros(B, H))
    p, xs, s = map_structure(lambda a: a.astype(dtype), (p, xs, s))
    some = {"everywhere": {}, "lengths": {"lengths": rng.integers(0, T + 1, B)},
            "mask": {"mask": rng.random((T, B)) < 0.7}}
    dys = rng.normal(size=(T, B, cell.width(H))).astype("f4").astype(dtype)
    return cell, p, xs, s, some[where], (dys, map_structure(lambda a: rng.normal(size=a.shape).astype(a.dtype), s))


def bfloat16():
    """The dtype bfloat16, which NumPy itself lacks."""
    return pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes: pip install ml_dtypes").bfloat16


def run_on_device(one, **choice):
    """Results and gradients, in main memory."""
    if choice.get("mode") == "bf16":
        bfloat16()
    cell, p, xs, s, options, d = one
    p, xs, s, options, d = to("gpu", (p, xs, s, options, d))
    ys, new, tape = run(cell, p, xs, s, **options, **choice)
    return to("cpu", ((ys, new), run_back(tape, *d)))


def run_in_float64(one, **choice):
    cell, p, xs, s, options, d = one
    p, xs, s, d = map_structure(lambda a: a.astype("float64"), (p, xs, s, d))
    ys, new, tape = run(cell, p, xs, s, **options, **PLAIN, **choice)
    return (ys, new), run_back(tape, *d)


def assert_near(got, want, arithmetic):
    def as_got(a, like): return a.astype(like.dtype)
    assert_close(got[0], map_structure(as_got, want[0], got[0]), "path", arithmetic=arithmetic)
    assert_close(got[1], map_structure(as_got, want[1], got[1]), "gradient", arithmetic=arithmetic)
