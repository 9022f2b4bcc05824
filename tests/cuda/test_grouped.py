"""The grouped map of the GPU, run on the CPU: a product for each group, in the mode of the call."""
from dataclasses import replace

import numpy as np
import pytest

import rnnref
from rnnref.cells import GLSTM
from rnnref.cuda.grouped import CudaGrouped
from rnnref.loops.plan import Call, plan
from rnnref.loops.run import run, run_back
from rnnref.maps.dense import Grouped
from rnnref.testing.api import assert_close
from rnnref.testing.case import PLAIN, Trial, masking_options
from rnnref.testing.laws import check_law
from rnnref.tree import to
from tests.shim.double import with_kernels
from tests.support import blas
from tests.support.cases import B, T, case

pytestmark = pytest.mark.kernels
WAYS = masking_options((T, B))
GROUPS = 2


@pytest.fixture
def kernels():
    with with_kernels(), blas.install() as calls:
        yield calls


@pytest.mark.parametrize("where, reverse", (("everywhere", False), ("lengths", True), ("holes", False)))
@pytest.mark.parametrize("name", ("GLSTM", "GLSTM, projection"))
def test_laws(name, where, reverse, kernels):
    trial = Trial(replace(case(name), **WAYS[where], reverse=reverse, device="gpu"))
    for number in (1, 3, 4, 5, 6, 7, 8, 9):
        check_law(trial, number)
    assert any("Grouped: cuBLAS" in ran for ran in trial.outcomes)


@pytest.mark.parametrize("groups, blocks, i, o, lead", ((1, 1, 3, 2, (4,)), (2, 4, 2, 3, (5, 3)), (3, 1, 4, 2, (1,)),
                                                        (2, 3, 1, 1, (2, 1)), (2, 2, 3, 2, (0,))))
@pytest.mark.parametrize("dtype", ("float64", "float32", "float16"))
def test_the_map_computes_its_plain_map(groups, blocks, i, o, lead, dtype, kernels):
    rng = np.random.default_rng(0)
    plain, kernel = Grouped("W", "b", groups, blocks), CudaGrouped("W", "b", groups, blocks)
    G = groups * blocks * o
    p = {"W": rng.normal(size=(groups, i, blocks * o)).astype(dtype), "b": rng.normal(size=G).astype(dtype)}
    x, da = (rng.normal(size=(*lead, n)).astype(dtype) for n in (groups * i, G))

    def outcome(m, p, x, da):
        a, kept = m.forward(p, x)
        return a, m.backward_x(p, kept, da), m.backward_p(p, kept, da)
    assert_close(to("cpu", outcome(kernel, *to("gpu", (p, x, da)))), outcome(plain, p, x, da), "path",
                 arithmetic=dtype)
    # inputs that are views of something larger
    wide = to("gpu", np.concatenate([x, x], -1))[..., :groups * i]
    assert_close(to("cpu", kernel.forward(to("gpu", p), wide)[0]), plain.forward(p, x)[0], "path", arithmetic=dtype)


@pytest.mark.parametrize("mode, arithmetic", (("tf32", "tf32"), ("fp16", "float16"), ("bf16", "bfloat16")))
def test_modes(mode, arithmetic, kernels):
    """Near the float32 result, far enough from it to show that the mode was in force, in every product."""
    one = case("GLSTM")
    p, xs, s = ({k: a.astype("float32") for k, a in one.p.items()}, one.xs.astype("float32"),
                type(one.s)(*(a.astype("float32") for a in one.s)))
    ys, new, tape = run(one.cell, p, xs, s, **PLAIN)
    d = Trial(one).draw((ys, new))
    want = (ys, new), run_back(tape, *d)
    kernels.clear()
    ys, new, tape = run(one.cell, *to("gpu", (p, xs, s)), mode=mode)
    got = to("cpu", ((ys, new), run_back(tape, *to("gpu", d))))
    assert set(kernels) == {"32F_FAST_TF32" if mode == "tf32" else "32F"}
    # hoisted: x W, dx and dW, dR for all steps at once, h R and dh for each; all by groups
    assert len(kernels) == GROUPS * (1 + T + T + 3)
    assert_close(got[0], want[0], "path", arithmetic=arithmetic)
    assert abs(got[0][0] - want[0][0]).max() > 1e-6
    assert_close(got[1], want[1], "gradient", arithmetic=arithmetic)


def test_explain(kernels):
    call = Call("cupy", (T, B, 4), np.dtype("float32"), sm=90, units=6)
    notes = rnnref.explain(GLSTM(groups=2), call, mode="tf32").splitlines()
    assert "Grouped: cuBLAS product" in notes and "hoisted: runs" in notes
    assert "stepped: the map Grouped is not a matrix product" in notes
    made = plan(GLSTM(groups=2), call, mode="tf32").cell
    assert made.inputs == CudaGrouped("W", "b", 2, 4, "tf32") and made.recurrent == CudaGrouped("R", None, 2, 4, "tf32")
