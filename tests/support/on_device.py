"""A run with the strict double of CuPy in the place of a GPU, beside the same run of NumPy."""
from dataclasses import replace

from rnnref.loops.plan import REFERENCE_PATHS
from rnnref.loops.run import run, run_back
from rnnref.testing.api import assert_same
from rnnref.testing.case import PLAIN, Trial
from rnnref.tree import to
from tests.support import strict

CHOICES = PLAIN, {}, {"recompute": True}, {"keep": False}, {"reverse": True}, {"padding": "repeat"}


def assert_nothing_is_copied(one):
    """Check that no array leaves the device during a run, and that every bit is that of NumPy."""
    d = Trial(one).d
    p, xs, s, extra, lengths, mask = to("gpu", (one.p, one.xs, one.s, one.extra, one.lengths, one.mask))
    dys, dnew = to("gpu", d)
    for choice in CHOICES:
        strict.counts.clear()
        ys, new, tape = run(one.cell, p, xs, s, extra=extra, lengths=lengths, mask=mask, **choice)
        grads = run_back(tape, dys, dnew) if tape is not None else None
        # that lengths are between 0 and T is the only question about values
        assert strict.counts == ({"item": 1} if lengths is not None else {})
        on_host, tape = run_on_host(one, **choice)
        assert_same(to("cpu", (ys, new)), on_host, f"{choice}: results")
        assert_same(to("cpu", grads), one.run_back(tape, d) if tape is not None else None, f"{choice}: gradients")


def run_on_host(one, reverse=False, padding="zero", **choice):
    """By the paths that a GPU without kernels has, too."""
    return replace(one, reverse=reverse, padding=padding).run(**{"paths": REFERENCE_PATHS} | choice)
