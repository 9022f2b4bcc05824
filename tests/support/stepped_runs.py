"""What tests of the stepped path share: runs of a cell on the double of a GPU, forward and backward."""
import numpy as np

from rnnref.loops.run import run, run_back
from rnnref.testing.case import Trial, masking_options
from rnnref.tree import map_structure, to
from tests.support.cases import B, T, U, case

WAYS = masking_options((T, B))
GPU = {"paths": ("stepped", "bidirectional")}
LAWS = 1, 3, 4, 5, 6, 7, 8, 9


def run_both_ways(name, dtype="float32", where="everywhere", reverse=False, keep=True, **choice):
    """Results and gradients in main memory."""
    one = case(name)
    args = map_structure(lambda a: a.astype(dtype), (one.p, one.xs, one.s))
    if np.dtype(dtype).itemsize == 2:
        args = (*args[:2], one.cell.zeros(B, U, dtype=dtype))
    p, xs, s = to("gpu", args)
    ys, new, tape = run(one.cell, p, xs, s, **to("gpu", WAYS[where]), reverse=reverse, keep=keep, **choice)
    if not keep:
        return to("cpu", (ys, new)), None
    d = Trial(one).draw(to("cpu", (ys, new)))
    return to("cpu", (ys, new)), to("cpu", run_back(tape, *to("gpu", d)))
