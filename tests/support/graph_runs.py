"""What tests of CUDA graphs share: arguments on the double of a GPU, and runs of them."""
import numpy as np

from rnnref.loops.run import run, run_back
from rnnref.testing.case import masking_options
from rnnref.tree import map_structure, to
from tests.support.cases import B, T, U, case

WAYS = masking_options((T, B))
GRAPHED, STEPPED = ({"paths": (path, "bidirectional")} for path in ("graphed", "stepped"))


def draw_arguments(name, dtype="float32", seed=0):
    """A cell, and random parameters, inputs and state on the GPU."""
    one, rng = case(name), np.random.default_rng(seed)
    drawn = map_structure(lambda a: rng.normal(size=a.shape).astype(dtype), (one.p, one.xs, one.s))
    if np.dtype(dtype).itemsize == 2:
        drawn = *drawn[:2], one.cell.zeros(B, U, dtype=dtype)
    return one.cell, *to("gpu", drawn)


def run_both_ways(args, where="everywhere", keep=True, **choice):
    """Results and gradients in main memory."""
    ys, new, tape = run(*args, **to("gpu", WAYS[where]), keep=keep, **choice)
    return to("cpu", (ys, new)), to("cpu", run_back(tape, ys, new)) if keep else None
