"""The headers as plain C++, bit by bit against NumPy; and faults that the check of compiled kernels must find."""
import ctypes

import numpy as np
import pytest

from rnnref.cells import SimpleRNN
from rnnref.check.tolerance import tolerance
from rnnref.cuda import devices, source
from rnnref.cuda_loops.onchip import make_kernel
from rnnref.cuda_loops.tiling import Task, choose_tiling
from tests.kernels.compile_check import check
from tests.kernels.faults import planted_source
from tests.kernels.instances import dtype, kernels, wholes
from tests.kernels.onchip import card
from tests.shim.hostsim import built

pytestmark = pytest.mark.kernels

PLAIN = """
#include <cstddef>
extern "C" void widen_half(const unsigned short* a, float* b, size_t n) {
  for (size_t i = 0; i < n; i++) b[i] = rnnref::wide(rnnref::half{a[i]});
}
extern "C" void widen_bfloat16(const unsigned short* a, float* b, size_t n) {
  for (size_t i = 0; i < n; i++) b[i] = rnnref::wide(rnnref::bfloat16{a[i]});
}
extern "C" void cast_half(const float* a, rnnref::half* b, size_t n) {
  for (size_t i = 0; i < n; i++) rnnref::cast(a[i], b[i]);
}
extern "C" void cast_bfloat16(const float* a, rnnref::bfloat16* b, size_t n) {
  for (size_t i = 0; i < n; i++) rnnref::cast(a[i], b[i]);
}
extern "C" void sigmoid_float(const float* a, float* b, size_t n) {
  for (size_t i = 0; i < n; i++) b[i] = rnnref::sigmoid(a[i]);
}
extern "C" void sigmoid_double(const double* a, double* b, size_t n) {
  for (size_t i = 0; i < n; i++) b[i] = rnnref::sigmoid(a[i]);
}
extern "C" void dsigmoid_float(const float* y, float* b, size_t n) {
  for (size_t i = 0; i < n; i++) b[i] = rnnref::dsigmoid(y[i], 1.0f);
}
"""


@pytest.fixture(scope="module")
def plain():
    return ctypes.CDLL(str(built(source.inline_includes("elementwise.cuh", set()) + PLAIN)))


def by(f, a, dtype):
    b = np.empty(a.shape, dtype)
    f(ctypes.c_void_p(a.ctypes.data), ctypes.c_void_p(b.ctypes.data), ctypes.c_size_t(a.size))
    return b


def bits(a):
    """The bits of a float; all NaN are one."""
    return np.where(np.isnan(a), 0, a.view(f"u{a.itemsize}"))


@pytest.mark.parametrize("name, cpp", (("float16", "half"), ("bfloat16", "bfloat16")))
def test_16_bits_to_float_and_back(plain, name, cpp):
    every = np.arange(1 << 16, dtype="uint16")
    wide = by(getattr(plain, "widen_" + cpp), every, "float32")
    stored = every.view(dtype(name))
    with np.errstate(invalid="ignore"):
        assert np.array_equal(bits(wide), bits(stored.astype("float32")))
    assert np.array_equal(np.isnan(wide), np.isnan(stored.astype("float32")))
    again = by(getattr(plain, "cast_" + cpp), wide, "uint16")
    assert np.array_equal(again[~np.isnan(wide)], every[~np.isnan(wide)])


@pytest.mark.parametrize("name, cpp", (("float16", "half"), ("bfloat16", "bfloat16")))
def test_float_to_16_bits(plain, name, cpp):
    drawn = np.random.default_rng(0).integers(0, 1 << 32, 1 << 20, dtype="uint32").view("float32")
    kinds = np.arange(1 << 16, dtype="uint32") << 16             # beside every bfloat16: ties, and both sides of them
    near = np.concatenate([kinds + offset for offset in (0, 1, 0x7fff, 0x8000, 0x8001)]).view("float32")
    halves = np.arange(1 << 16, dtype="uint16").view("float16").astype("float32").view("uint32")
    ties = np.concatenate([halves + offset for offset in (0x0fff, 0x1000, 0x1001)]).view("float32")
    subnormal = np.ldexp(np.arange(0, 4096, 0.25, dtype="float32"), -24)
    for a in (drawn, near, ties, subnormal, -subnormal):
        with np.errstate(all="ignore"):
            want = a.astype(dtype(name))
        got = by(getattr(plain, "cast_" + cpp), np.ascontiguousarray(a), "uint16").view(dtype(name))
        assert np.array_equal(np.isnan(got.astype("float32")), np.isnan(a))
        fine = ~np.isnan(a)
        assert np.array_equal(got.view("uint16")[fine], want.view("uint16")[fine])


def test_a_sigmoid_keeps_its_digits_on_both_sides(plain):
    x = np.linspace(-87, 87, 10001, dtype="float32")
    got, want = by(plain.sigmoid_float, x, "float32"), 1 / (1 + np.exp(-x.astype("float64")))
    assert (abs(got - want) <= tolerance("kernel", "float32") * np.spacing(want.astype("float32"))).all()
    x = np.linspace(-103.9, 0, 10001, dtype="float32")           # from where the result is the least float on
    s, wide = by(plain.sigmoid_float, x, "float32"), x.astype("float64")
    right, slope = 1 / (1 + np.exp(-wide)), 1 / (2 + np.exp(-wide) + np.exp(wide))
    for got, want in ((s, right), (by(plain.dsigmoid_float, s, "float32"), slope)):
        assert (abs(got - want) <= 4 * np.spacing(want.astype("float32"))).all()
    x = np.linspace(-700, 0, 10001)
    right = np.exp(x.astype("longdouble")) / (1 + np.exp(x.astype("longdouble")))
    assert (abs(by(plain.sigmoid_double, x, "float64") - right) <= 4 * np.spacing(right.astype("float64"))).all()
    ends = np.array([-1e4, -np.inf, 1e4, np.inf, 0, np.nan], "float32")
    assert by(plain.sigmoid_float, ends, "float32").tolist()[:5] == [0, 0, 1, 1, 0.5]
    assert np.isnan(by(plain.sigmoid_float, ends, "float32")[5])


FAULTS = (
    ("elementwise.cuh", "return dy * (1 - y * y);", "return dy * (1.0 - y * y);", "arithmetic in double"),
    ("rows.cuh", "wide(a[at])", "wide(T(__ldg(a + at)))", "ld.global.nc"),
    ("pointwise.cu", "typename Rule::Kept k = {};", "typename Rule::Kept k = {}; volatile A far[300]; "
     "for (int i = 0; i < 300; i++) far[i] = u; k.h = far[row % 300];", "bytes of stack"),
)


def elman():
    return [k for k in kernels((("float32", "float32"),)) if k.name == "elman_backward_float_float"]


def test_without_a_fault_nothing_is_wrong():
    table, wrong = check([75, 90], elman())
    assert wrong == [] and all(0 < n <= 64 for row in table.values() for n in row.values())


@pytest.mark.parametrize("file, old, new, message", FAULTS)
def test_the_check_sees(file, old, new, message):
    with planted_source(file, old, new):
        wrong = check([90], elman())[1]
    assert len(wrong) == 1 and message in wrong[0] and wrong[0].startswith("sm_90 elman_backward_float_float: ")


MANY = """
A many[48];
#pragma unroll
for (int i = 0; i < 48; i++) many[i] = kept[i * row];
asm volatile("" ::: "memory");
#pragma unroll
for (int i = 0; i < 48; i++) k.h = k.h * many[i] + many[47 - i];
rule.recall("""


def test_the_check_sees_spilled_registers(monkeypatch):
    monkeypatch.setattr(source, "THREADS", 1024)  # which leaves 64 registers for each
    wide = [k for k in kernels((("float64", "float64"),)) if k.name == "elman_backward_double_double"]
    with planted_source("pointwise.cu", "rule.recall(", MANY):
        assert any("spilled registers" in why for why in check([90], wide)[1])


def one_whole(sm):
    return [found for found in wholes(sm) if found[0].name.startswith("elman_back_fma")][:1]


def test_whole_sequences_are_checked_as_they_are_launched(monkeypatch):
    table, wrong = check([90], [], one_whole)
    assert wrong == [] and len(table) == 1
    with planted_source("onchip.cu", "if (p.dead) return;\n    A r[G];", "A r[G]; volatile A far[300]; far[0] = 0; "
                        "for (int q = 0; q < 300; q++) far[q] = q; p.x[0] += far[to.n];"):
        monkeypatch.setattr("tests.kernels.compile_check.count_shared_bytes", lambda t, task: 1 << 20)
        wrong = check([90], [], lambda sm: [found for found in wholes(sm) if "elman_ahead_fma" in found[0].name][:1])[1]
    assert len(wrong) == 2 and "bytes of stack" in wrong[0] and "1048576 bytes of shared memory, at most" in wrong[1]


def one_block(sm):
    """A simple RNN of 33 units in float16 held by one block, some of whose lanes have no unit."""
    task = Task("Ahead", 1, 33, 7, "float", "half", sm)
    with card((1,), sm=sm):
        t = choose_tiling(task)
    return [(make_kernel(SimpleRNN().rule, task, t, np.dtype("float32")), t, task)]


def a_cluster(sm):
    return [found for found in wholes(sm) if "elman_ahead_mma_4x" in found[0].name][:1]


@pytest.mark.parametrize("kernels, barrier", ((one_block, "bar.sync"), (a_cluster, "bar.warp.sync")))
def test_the_check_sees_a_barrier_on_a_condition(kernels, barrier):
    assert check([90], [], kernels)[1] == []
    with planted_source("onchip.cu", "Blocks::wait(i);", "if (more) Blocks::wait(i);"):
        wrong = check([90], [], kernels)[1]
    assert len(wrong) == 1 and f"a barrier on a condition: {barrier}" in wrong[0]


def test_the_check_sees_a_launch_beyond_its_card(monkeypatch):
    monkeypatch.setitem(devices.CARDS, 90, devices.Card(0, 2048, registers=2048))
    assert any("registers x 128 threads, at most 2048" in why for why in check([90], elman())[1])
