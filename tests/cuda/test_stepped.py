"""The stepped path and the math modes on the CPU, with the double of cuBLAS (tests/support/blas.py) and, in the host
shim, the real kernels."""
from dataclasses import replace

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, ProjectedCell, SimpleRNN
from rnnref.cuda import pointwise
from rnnref.cuda.launch import LaunchArrays
from rnnref.cuda.step_launches import find_step
from rnnref.cuda_loops import stepped
from rnnref.loops.plan import Call, plan
from rnnref.loops.run import run, run_back
from rnnref.maps.dense import Dense, Diagonal
from rnnref.testing.api import assert_close, assert_same
from rnnref.testing.case import PLAIN, Trial
from rnnref.testing.laws import check_law
from rnnref.tree import first_leaf, map_structure, to
from tests.support import blas, strict
from tests.support.cases import CELLS, B, I, T, U, case
from tests.support.stepped_runs import GPU, LAWS, WAYS, run_both_ways


def runs_stepped(name):
    cell, extra = CELLS[name]
    call = Call("cupy", (T, B, I), np.dtype("float64"), extra=extra)
    try:
        return plan(cell, call, **GPU).path == "stepped"
    except rnnref.NotSupported:
        return False


STEPPED_CELLS = [name for name in CELLS if runs_stepped(name)]


def test_which_cells_run_stepped():
    assert {"LSTM", "LSTM, cell clip, peepholes", "GRU", "GRU, weight norm", "SimpleRNN tanh",
            "LSTM, recurrent bias", "LSTM, coupled forget, peepholes", "GRU before", "GRU before, recurrent bias",
            "LSTM, projection", "LSTM, projection clip", "LSTM, weight norm, projection"} <= set(STEPPED_CELLS)
    assert not {"GRU before, slopes from x", "LSTM, everything", "LSTM on a norm of the sum",
                "SimpleRNN relu"} & set(STEPPED_CELLS)


@pytest.mark.kernels
@pytest.mark.parametrize("where, reverse", (("everywhere", False), ("everywhere", True), ("lengths", True),
                                            ("holes", False)))
@pytest.mark.parametrize("name", STEPPED_CELLS)
def test_laws(name, where, reverse, kernels):
    trial = Trial(replace(case(name), **WAYS[where], reverse=reverse, device="gpu"))
    for number in LAWS:
        check_law(trial, number)
    assert any("stepped" in ran for ran in trial.outcomes)


@pytest.mark.kernels
@pytest.mark.parametrize("name", ("LSTM, recurrent bias", "GRU", "GRU before", "LSTM, projection clip"))
@pytest.mark.parametrize("padding", ("repeat", "free"))
def test_laws_past_the_end(name, padding, kernels):
    trial = Trial(replace(case(name), **WAYS["lengths"], padding=padding, device="gpu"))
    for number in LAWS:
        check_law(trial, number)


@pytest.mark.kernels
def test_two_directions(kernels):
    one = replace(case("Bidirectional"), **WAYS["lengths"], device="gpu")
    check_law(Trial(one), 9)
    p, xs, s = to("gpu", (one.p, one.xs, one.s))
    assert rnnref.explain(one.cell, xs).splitlines()[-1].startswith("1 ") and \
        "0 stepped: runs" in rnnref.explain(one.cell, xs)


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", ("float16", "bfloat16"))
@pytest.mark.parametrize("name", ("LSTM, peepholes", "GRU", "SimpleRNN tanh", "LSTM, recurrent bias",
                                  "GRU before, recurrent bias", "LSTM, projection"))
def test_storage_in_16_bits(name, dtype, kernels):
    dtype = blas.ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    for where, reverse in (("everywhere", False), ("lengths", True)):
        got, want = (run_both_ways(name, dtype, where, reverse, **c) for c in (GPU, PLAIN))
        assert first_leaf(got).dtype == dtype
        assert_close(got[0], want[0], "path", arithmetic=dtype)
        assert_close(got[1], want[1], "gradient", arithmetic=dtype)


@pytest.mark.kernels
@pytest.mark.parametrize("name", ("LSTM, peepholes", "GRU", "SimpleRNN tanh", "LSTM, recurrent bias",
                                  "GRU, weight norm", "GRU before, recurrent bias", "LSTM, projection"))
@pytest.mark.parametrize("mode, arithmetic", (("tf32", "tf32"), ("fp16", "float16"), ("bf16", "bfloat16")))
def test_modes(name, mode, arithmetic, kernels):
    """Near the float32 result, far enough from it to show that the mode was in force; on every path."""
    for choice in (GPU, {"paths": ("hoisted",)}, {"paths": ("plain",)}):
        for where, reverse in (("everywhere", False), ("lengths", True)):
            want = run_both_ways(name, where=where, reverse=reverse, **PLAIN)
            kernels.clear()
            got = run_both_ways(name, where=where, reverse=reverse, mode=mode, **choice)
            assert set(kernels) == ({"32F_FAST_TF32"} if mode == "tf32" else {"32F"})
            assert first_leaf(got).dtype == np.float32
            assert_close(got[0], want[0], "path", arithmetic=arithmetic)
            assert abs(got[0][0] - want[0][0]).max() > 1e-6
            assert_close(got[1], want[1], "gradient", arithmetic=arithmetic)


@pytest.mark.kernels
@pytest.mark.parametrize("mode", rnnref.cuda.precision.MODES)
@pytest.mark.parametrize("name", ("LSTM, cell clip, peepholes", "GRU", "GRU before", "LSTM, projection",
                                  "LSTM, projection clip"))
def test_every_bit_comes_again_and_nothing_crosses_the_bus(name, mode, kernels):
    for where in WAYS:
        runs = [run_both_ways(name, where=where, mode=mode, **GPU) for _ in range(2)]
        assert_same(*runs)
        assert_same(run_both_ways(name, where=where, mode=mode, keep=False, **GPU)[0], runs[0][0], "keep=False")
        one = case(name)
        given = to("gpu", map_structure(lambda a: a.astype("float32"), (one.p, one.xs, one.s)))
        options = to("gpu", WAYS[where])
        strict.counts.clear()
        ys, new, tape = run(one.cell, *given, **options, mode=mode, **GPU)
        run_back(tape, ys, new)
        # only the check that lengths lie between 0 and T reads values
        assert strict.counts == ({"item": 1} if where == "lengths" else {})


@pytest.mark.kernels
def test_products_are_few(kernels):
    """One for all steps of x, one a step each way, and four for dx, dW, dR and nothing else."""
    run_both_ways("LSTM", **GPU)
    assert len(kernels) == 1 + T + T + 3
    kernels.clear()
    run_both_ways("LSTM", keep=False, **GPU)
    assert len(kernels) == 1 + T


@pytest.mark.parametrize("shape", ((3, 4, 5), (1, 1, 1), (2, 1, 3), (1, 7, 1), (0, 3, 2), (3, 0, 2), (3, 4, 0)))
def test_product(shape, cublas):
    import cupy

    from rnnref.cuda.matmul import matmul
    (m, k, n), rng = shape, np.random.default_rng(0)
    for dtype in ("float64", "float32"):
        a, b, c = (rng.normal(size=s).astype(dtype) for s in ((m, k), (k, n), (m, n)))
        wide_a, wide_b = (rng.normal(size=(s[0], 2 * s[1] + 1)).astype(dtype) for s in ((m, k), (k, n)))
        views = [(a, b), (a.T.copy().T, b), (a, b.T.copy().T), (wide_a[:, 1:k + 1], wide_b[:, :n]),
                 (wide_a.T.copy()[:k].T, wide_b[:, :2 * n:2]), (a[::-1], b[:, ::-1])]
        for u, v in views:
            u, v = (cupy.ndarray(w) for w in (u, v))
            assert_close(matmul(u, v).get(), u.get() @ v.get(), "path")
            out = cupy.asarray(c)
            assert matmul(u, v, out=out, add=True) is out
            assert_close(out.get(), u.get() @ v.get() + c, "path")


def test_product_refuses(cublas):
    import cupy

    from rnnref.cuda.matmul import matmul
    a = cupy.asarray(np.ones((3, 3), "float32"))
    with pytest.raises(rnnref.DeviceError, match="main memory"):
        matmul(a.get(), a.get())
    with pytest.raises(rnnref.ShapeError, match="the operands have shapes"):
        matmul(a, a[:2])
    with pytest.raises(rnnref.ShapeError, match="adjacent"):
        matmul(a, a, out=a.T)
    with pytest.raises(rnnref.DtypeError, match="expected one dtype"):
        matmul(a, a.astype("float64"))


@pytest.mark.parametrize("choice, message", (
    ({"mode": "fp8"}, "mode='fp8'"),
    ({"mode": "tf32"}, "mode='tf32': the arrays are in main memory"),
))
def test_modes_that_are_refused_on_the_cpu(choice, message):
    one = case("LSTM")
    with pytest.raises(rnnref.NotSupported, match=message):
        run(one.cell, one.p, one.xs, one.s, **choice)


@pytest.mark.kernels
def test_modes_that_are_refused_on_the_gpu(kernels):
    call = Call("cupy", (T, B, I), np.dtype("float64"))
    for call, choice, message in (
            (call, {"mode": "tf32"}, "the arrays are float64, it is for float32"),
            (call._replace(dtype=np.dtype("float16")), {"mode": "bf16"}, "it is for float32 and bfloat16"),
            (call._replace(dtype=np.dtype("float32"), sm=75), {"mode": "tf32"},
             "compute capability 8.0, this card has 7.5"),
            (call._replace(dtype=np.dtype("float32")), {"mode": "tf32", "kernels": False},
             "with kernels=False the products are CuPy's own")):
        with pytest.raises(rnnref.NotSupported, match=message):
            plan(LSTM(), call, **choice)


def test_without_cublas_a_mode_is_refused_and_nothing_else():
    with strict.install():
        call = Call("cupy", (T, B, I), np.dtype("float32"))
        assert "this CuPy has no cuBLAS" in dict(plan(LSTM(), call).notes)["stepped"]
        with pytest.raises(rnnref.NotSupported, match="this CuPy has no cuBLAS"):
            plan(LSTM(), call, mode="bf16")


@pytest.mark.parametrize("cell, change, message", (
    (CELLS["Dropout, no masks"][0], {}, "Dropout is not two maps and a rule (GatedCell): not implemented"),
    (GRU(reset="before", gate="swish"), {}, "gate='swish': the kernels of GRU have sigmoid only"),
    (LSTM(projection=2, candidate="relu"), {}, "candidate='relu': the kernels of LSTM have tanh only"),
    (ProjectedCell(GRU(), projection=2), {}, "GRU reads the old h itself, whose width changes when it is projected"),
    (ProjectedCell(GRU(reset="before"), projection=2), {}, "GRUBefore is not two maps and a rule"),
    (ProjectedCell(LSTM(), projection=2, map=Dense("P", "bP")), {}, "a projection with a bias is not implemented"),
    (ProjectedCell(LSTM(), projection=2, map=Diagonal("P")), {}, "the map Diagonal is not a matrix product"),
    (GRU(reset="before"), {"home": "numpy"}, "arrays are in main memory"),
    (LSTM(projection=2), {"keep": "states"}, "recompute keeps states alone"),
    (GRU(reset="before"), {"extra": True}, "takes no extra"),
    (SimpleRNN(activation="relu"), {}, "activation='relu'"),
    (CELLS["LSTM on a norm of the sum"][0], {}, "no kernel has been written for LayerNormLSTM"),
    (LSTM(), {"keep": "states"}, "recompute keeps states alone"),
    (LSTM(), {"extra": True}, "takes no extra"),
    (LSTM(), {"dtype": np.dtype("longdouble")}, "cuBLAS has no"),
))
def test_refusals(cell, change, message):
    call = Call("cupy", (T, B, I), np.dtype("float32"))._replace(**change)
    assert message in stepped.refuses(cell, call)


@pytest.mark.kernels
def test_only_the_first_step_is_checked(kernels, monkeypatch):
    """The other steps cost the host no checks in Python."""
    seen = []
    monkeypatch.setattr(pointwise, "LaunchArrays", lambda *args: seen.append(args) or LaunchArrays(*args))
    run_both_ways("LSTM", where="lengths", **GPU)
    assert len(seen) == 2


def test_a_copy_in_prepared_launches_is_noticed():
    with strict.install() as cupy:
        a = cupy.asarray(np.ones((3, 4), "float32"))
        assert find_step("h", a, a[2].data.ptr) == 2
        for wrong in (a[2].copy().data.ptr, a.data.ptr + 4, a.data.ptr - 16):
            with pytest.raises(rnnref.Error, match="h of the first step is a copy"):
                find_step("h", a, wrong)


@pytest.mark.kernels
def test_arguments_need_not_be_contiguous(kernels):
    """A mask, inputs, weights and gradients that are views of larger or transposed arrays."""
    one = case("LSTM, peepholes")
    rng = np.random.default_rng(0)
    mask, dys = rng.random((B, T)) < 0.7, rng.normal(size=(B, T, U))
    p, xs, s, turned, d = to("gpu", (one.p, one.xs, one.s, mask, dys))
    wide = {name: a if a.ndim < 2 else a.T.copy().T for name, a in p.items()}
    x = xs.transpose(1, 0, 2).copy().transpose(1, 0, 2)
    got, want = (to("cpu", (r[:2], run_back(r[2], dy))) for r, dy in (
        (run(one.cell, wide, x, s, mask=turned.T, **GPU), d.transpose(1, 0, 2)),
        (run(one.cell, p, xs, s, mask=turned.T.copy(), **GPU), d.transpose(1, 0, 2).copy())))
    assert_close(got, want, "path")
