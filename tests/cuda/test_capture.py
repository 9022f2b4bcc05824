"""What goes wrong while a stream is captured, and that the double of capture notices: tests/graphs.py."""
import pytest

import rnnref
from rnnref.cuda import matmul
from rnnref.cuda_loops import graphed, step_gated
from rnnref.testing.api import assert_same
from tests.cuda.test_graphed import GRAPHED, STEPPED, given, results, seen  # noqa: F401
from tests.shim.double import with_kernels
from tests.support import blas, stream_capture

pytestmark = pytest.mark.kernels


def during(monkeypatch, fault):
    """`fault(array)` before the first step of every loop that is being recorded."""
    fill = step_gated.Ring.fill

    def faulty(self, i):
        if i == 0 and stream_capture.Stream.captured:
            fault(strange)
        fill(self, i)
    import cupy
    strange = cupy.ones((3, 3), "float32")
    monkeypatch.setattr(step_gated.Ring, "fill", faulty)


def elsewhere(a):
    import cupy
    with cupy.cuda.Stream():
        a[...] = 1


FAULTS = {
    "a new array": (lambda a: a.copy(), "make an array"), "arithmetic": (lambda a: a.sum(), "compute"),
    "arithmetic in place": (lambda a: a.__iadd__(a), "compute"), "a copy to the host": (lambda a: a.get(), "copy to"),
    "a question": (lambda a: bool(a[0, 0]), "read a number"), "a product of CuPy's": (
        lambda a: matmul.matmul(a, a, out=a), "call cuBLAS by CuPy"),
    "waiting": (lambda a: stream_capture.current().synchronize(), "wait for a stream"),
    "another stream": (elsewhere, "beside the one that is being captured"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_a_capture_that_fails_is_explained(what, seen, monkeypatch):  # noqa: F811
    args, (fault, says) = given("LSTM"), FAULTS[what]
    want = results(args, **STEPPED)
    with monkeypatch.context() as patch:
        during(patch, fault)
        with pytest.raises(rnnref.Error, match="could not be captured as a CUDA graph") as caught:
            results(args, **GRAPHED)
        assert says in str(caught.value) and "stepped" in str(caught.value) and caught.value.__cause__
    assert stream_capture.Stream.captured is None and stream_capture.current().ptr == 0 and not graphed.POOL.idle
    for choice in (GRAPHED, STEPPED):             # the stream and cuBLAS are as they were
        assert_same(results(args, **choice), want)


def test_an_interrupt_ends_the_capture(seen, monkeypatch):  # noqa: F811
    def interrupt(a):
        raise KeyboardInterrupt
    args = given("LSTM")
    with monkeypatch.context() as patch:
        during(patch, interrupt)
        with pytest.raises(KeyboardInterrupt):
            results(args, **GRAPHED)
    assert stream_capture.Stream.captured is None
    assert_same(results(args, **GRAPHED), results(args, **STEPPED))


def test_a_workspace_is_needed(seen, monkeypatch):  # noqa: F811
    monkeypatch.setattr(seen.library, "cublasSetWorkspace_v2", lambda *args: 0)
    with pytest.raises(rnnref.Error, match="allocate a workspace"):
        results(given("LSTM"), **GRAPHED)


@pytest.mark.parametrize("function, status, kind, says", (
    ("Create_v2", 1, rnnref.DeviceError, "could not start"), ("GemmEx", 14, rnnref.Error, "INTERNAL_ERROR"),
    ("SetStream_v2", 14, rnnref.Error, "INTERNAL_ERROR"), ("SetWorkspace_v2", 14, rnnref.Error, "INTERNAL_ERROR"),
))
def test_what_cublas_says_is_said(function, status, kind, says, seen):  # noqa: F811
    seen.library.fails[function] = status
    with pytest.raises(kind, match=says):
        results(given("LSTM"), **GRAPHED)
    seen.library.fails.clear()
    results(given("LSTM"), **GRAPHED)


def test_cublas_is_the_one_that_cupy_has(seen):  # noqa: F811
    results(given("LSTM"), **GRAPHED)
    assert seen.asked == [("libcublas.so.13", graphed.cublas.os.RTLD_NOLOAD)]


@pytest.mark.parametrize("there", (True, False))
def test_cublas_that_is_not_loaded(there, monkeypatch):
    with with_kernels(), blas.install(), stream_capture.install(loaded=False) as seen:  # noqa: F811
        if there:
            results(given("LSTM"), **GRAPHED)
            assert len(seen.asked) == 2
        else:
            monkeypatch.setattr("cupy.cuda.runtime.runtimeGetVersion", lambda: 12090)
            with pytest.raises(rnnref.MissingExtra, match="libcublas.so.12 is not found"):
                results(given("LSTM"), **GRAPHED)


def test_an_array_that_is_gone_is_noticed(seen):  # noqa: F811
    """A graph holds none of what it reads and writes: the set does."""
    tape = rnnref.run(*given("LSTM"), **GRAPHED)[2]
    graph = tape.tape.loop.forward_graph.graph
    graph.launch()
    del tape
    graphed.clear()
    with pytest.raises(AssertionError, match="is gone"):
        graph.launch()


def test_kernels_hold_the_arrays_that_no_product_reads(seen):  # noqa: F811
    """What the double looks for is every address in the arguments of a kernel."""
    tape = rnnref.run(*given("LSTM, peepholes"), **GRAPHED)[2]
    loop = tape.tape.loop
    owners = [a() for _, some in loop.forward_graph.graph.nodes for a in some]
    for a in (loop.tape.kept_buffer, loop.tape.cs, *loop.p.values()):
        assert any(a._a is owner or a._a.base is owner for owner in owners)


def test_the_default_stream_cannot_be_captured(seen):  # noqa: F811
    import cupy
    with pytest.raises(RuntimeError, match="legacy"):
        cupy.cuda.Stream.null.begin_capture()
