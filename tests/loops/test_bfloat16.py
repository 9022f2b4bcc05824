"""Storage in 16 bits: what comes out and goes back has the dtype of what went in, on NumPy and by the kernels."""
import numpy as np
import pytest

from rnnref.loops.run import run, run_back
from rnnref.testing.case import PLAIN
from rnnref.tree import PerStep, leaves, map_structure, to
from tests.shim.double import with_kernels
from tests.support import blas
from tests.support.cases import CELLS, case

TAKEN = [name for name in CELLS if not any(isinstance(a, PerStep) for _, a in leaves(case(name).extra))]


def narrowed(name, dtype):
    one = case(name)
    p, xs, extra = map_structure(lambda a: a.astype(dtype) if a.dtype.kind == "f" else a, (one.p, one.xs, one.extra))
    like = next(leaves(xs))[1]
    s = one.cell.zeros(one.cell.lead(like.shape[1:-1]), one.cell.units(p), dtype=dtype)
    return one.cell, p, xs, s, extra


def dtypes(tree):
    return {path: a.dtype for path, a in leaves(tree)}


def both_ways(cell, p, xs, s, extra, **choice):
    with np.errstate(all="ignore"):
        ys, new, tape = run(cell, p, xs, s, extra=extra, **choice)
        return ys, new, run_back(tape, ys, new)


def right(name, cell, p, xs, s, extra, found):
    ys, new, (dxs, ds, dextra, dp) = found
    assert {a.dtype for _, a in leaves(ys)} == {next(leaves(p))[1].dtype}
    for what, got, want in (("new", new, s), ("dxs", dxs, xs), ("ds", ds, s), ("dp", dp, p)):
        for path, dtype in dtypes(got).items():
            assert dtype == dtypes(want)[path], f"{name}: {what} {path}"


@pytest.mark.parametrize("dtype", ("float16", "bfloat16"))
@pytest.mark.parametrize("name", TAKEN)
def test_by_the_text(name, dtype):
    given = narrowed(name, getattr(blas.ml_dtypes, "bfloat16") if dtype == "bfloat16" else np.dtype(dtype))
    right(name, *given, both_ways(*given, **PLAIN))


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", ("float16", "bfloat16"))
def test_by_the_kernels(dtype):
    for name in TAKEN:
        given = narrowed(name, getattr(blas.ml_dtypes, "bfloat16") if dtype == "bfloat16" else np.dtype(dtype))
        with with_kernels(), blas.install():
            cell, *arrays = given
            right(name, *given, to("cpu", both_ways(cell, *to("gpu", tuple(arrays)))))
