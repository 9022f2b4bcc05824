"""Each family of kernels once, both ways, against NumPy in float64, and once more for the same bits."""
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

import rnnref
from rnnref.cells import GRU, LSTM, Bidirectional, SimpleRNN
from rnnref.loops.run import run, run_back
from rnnref.testing.assertions import assert_close, assert_same
from rnnref.tree import leaves, map_structure, to
from tests.bench.first import results
from tests.kernels.instances import dtype
from tests.kernels.onchip import card

ARITHMETIC = {"fp32": "float32", "tf32": "tf32", "bf16": "bfloat16", "fp16": "float16"}
TEXT = {"paths": ("plain", "bidirectional"), "kernels": False}
ONE_STEP, STEPPED, GRAPHED = ({"paths": (path, "bidirectional")} for path in ("hoisted", "stepped", "graphed"))
CHIP, ANY = {"paths": ("onchip",)}, {}
ODD, WIDE, TOY = (9, 7, 5, 33), (12, 64, 96, 128), (8, 5, 6, 24)               # T, B, I, H
LARGE = (("LSTM", 64, 512), ("LSTM", 16, 512), ("LSTM", 1, 256), ("GRU", 64, 512), ("SimpleRNN", 64, 512))
CELLS = {"LSTM": LSTM(), "GRU": GRU(), "SimpleRNN": SimpleRNN(), "LSTM, peepholes": LSTM(peepholes=True),
         "LSTM, coupled": LSTM(coupled="forget", recurrent_bias=True),
         "LSTM, clip": LSTM(cell_clip=0.3, peepholes=True),
         "GRU before": GRU(reset="before"), "LSTM, projected": LSTM(projection=20)}
PLAIN = tuple(CELLS)[:3]


class Case(NamedTuple):
    cell: Any
    size: tuple
    mode: str = "fp32"
    where: str = "lengths"
    choice: dict = ANY
    blocks: int = 0                               # of a cluster; 0: as the plan chooses
    dtype: str = "float32"


def cases(toys=False):
    """{name: (Case,)}, the plainest first.  toys: sizes for a CPU, and none of those that are only large."""
    wide = TOY if toys else WIDE
    found = {f"one step, {name}": Case(CELLS[name], ODD, where="mask", choice=ONE_STEP)
             for name in CELLS if "projected" not in name}
    found |= {f"stepped, {name}": Case(CELLS[name], ODD, choice=STEPPED)
              for name in (*PLAIN, "GRU before", "LSTM, projected")}
    found |= {f"stepped, LSTM, {mode}": Case(LSTM(), wide, mode, "everywhere", STEPPED)
              for mode in ("tf32", "bf16", "fp16")}
    found |= {f"graphed, {name}, {mode}": Case(CELLS[name], wide, mode, choice=GRAPHED)
              for name, mode in (("LSTM", "fp32"), ("GRU", "fp32"), ("LSTM", "bf16"))}
    found |= {f"on chip, LSTM, fp32, clusters of {n}": Case(LSTM(), ODD, choice=CHIP, blocks=n)
              for n in (1, 2, 4, 8, 16)}
    found |= {f"on chip, LSTM, {mode}, clusters of {n}": Case(LSTM(), wide, mode, "mask", CHIP, n)
              for mode in ("bf16", "tf32", "fp16") for n in (1, 4, 16)}
    found |= {f"on chip, {name}, {mode}": Case(CELLS[name], wide, mode, "everywhere", CHIP, 8)
              for name in ("GRU", "SimpleRNN", "LSTM, peepholes") for mode in ("fp32", "bf16")}
    found["on chip, LSTM, float64"] = Case(LSTM(), wide, "fp32", "mask", CHIP, 8, "float64")
    for kind in ("float16", "bfloat16"):
        found[f"arrays in {kind}, LSTM"] = Case(LSTM(), wide, where="everywhere", dtype=kind)
        found[f"arrays in {kind}, GRU, stepped"] = Case(GRU(), wide, where="everywhere", choice=STEPPED, dtype=kind)
    found["two directions, LSTM"] = Case(Bidirectional((LSTM(), LSTM())), wide, choice=CHIP)
    if not toys:                                  # the tilings that are timed, for a few steps
        found |= {f"as it is timed, {name} {B},{H}, {mode}": Case(CELLS[name], (10, B, 32, H), mode, "everywhere", CHIP)
                  for name, B, H in LARGE for mode in ("fp32", "bf16", "tf32")}
        found |= {f"as it is timed, LSTM 64,1024 stepped, {mode}": Case(
            LSTM(), (3, 64, 32, 1024), mode, "everywhere", STEPPED) for mode in ("fp32", "bf16")}
    return {name: (case,) for name, case in found.items()}


def draw(case):
    """(p, xs, s), options of `run`, gradients of what comes out: in main memory, in the dtype of the case."""
    (T, B, I, H), rng, cell = case.size, np.random.default_rng(1), case.cell
    one, kind = cell.cells[0] if hasattr(cell, "cells") else cell, dtype(case.dtype)

    def normal(shape): return (rng.normal(size=shape) * 0.5).astype(kind)
    p = rnnref.init.parameters(one, I, H, rng, scheme="torch")
    p = {name: (a + rng.normal(size=a.shape) * 0.1 * (a.ndim == 1)).astype(kind) for name, a in p.items()}
    s = map_structure(lambda a: normal(a.shape).astype(a.dtype), one.zeros(B, H, dtype=kind))
    dys, ds = normal((T, B, one.width(H))), map_structure(lambda a: normal(a.shape).astype(a.dtype), s)
    options = {"everywhere": {}, "lengths": {"lengths": rng.integers(0, T + 1, B)},
               "mask": {"mask": rng.random((T, B)) < 0.7}}[case.where]
    if one is not cell:
        p, s, dys, ds = (p, p), (s, s), (dys, dys), (ds, ds)
    return (p, normal((T, B, I)), s), options, (dys, ds)


def both_ways(cell, given, options, d, **choice):
    ys, new, tape = run(cell, *given, **options, **choice)
    return ((ys, new), run_back(tape, *d)), tape.path


def farthest(got, want):
    """The largest relative distance of an array from what it should be."""
    return max(float(np.linalg.norm(a.astype("f8") - b) / max(np.linalg.norm(b), 1e-30))
               for (_, a), (_, b) in zip(leaves(got), leaves(want)))


def check(name, case, sm=None):
    """Run it twice; the results get a line.  sm: of a card that is not there."""
    given, options, d = draw(case)
    in_float64 = map_structure(lambda a: a.astype("f8"), (given, d))
    want, _ = both_ways(case.cell, in_float64[0], options, in_float64[1], **TEXT)
    on_device = to("gpu", (given, options, d))
    where = card(*([(case.blocks,)] if case.blocks else []), sm=sm) if case.choice == CHIP else nullcontext()
    with where:
        (got, path), (again, _) = (to("cpu", both_ways(case.cell, *on_device, mode=case.mode, **case.choice))
                                   for _ in range(2))
    said = {"ahead": farthest(got[0], want[0]), "back": farthest(got[1], want[1]), "path": path, "wrong": None}
    arithmetic = ARITHMETIC[case.mode] if case.mode != "fp32" else case.dtype
    try:
        want = map_structure(lambda w, like: w.astype(like.dtype), want, got)
        for operation, a, b in zip(("path", "gradient"), got, want):
            assert_close(a, b, operation, arithmetic=arithmetic)
        assert_same(again, got)
    except AssertionError as e:
        said["wrong"] = results.short(e)
    results.add("smoke", case=name, **said)
    print(f"  {said['wrong'] or 'right'}: ahead {said['ahead']:.1e}, back {said['back']:.1e}, {path}", flush=True)
    return said
