"""Errors during the capture of a stream, and the checks of the double of capture, tests/support/stream_capture.py."""
import pytest

import rnnref
from rnnref.cuda import matmul
from rnnref.cuda_loops import graphed, step_gated
from rnnref.testing.api import assert_same
from tests.shim.double import with_kernels
from tests.support import blas, stream_capture
from tests.support.graph_runs import GRAPHED, STEPPED, draw_arguments, run_both_ways

pytestmark = pytest.mark.kernels


def during(monkeypatch, fault):
    """`fault(array)` before the first step of every loop that is being captured."""
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
def test_a_capture_that_fails_is_explained(what, seen, monkeypatch):
    args, (fault, message) = draw_arguments("LSTM"), FAULTS[what]
    want = run_both_ways(args, **STEPPED)
    with monkeypatch.context() as patch:
        during(patch, fault)
        with pytest.raises(rnnref.Error, match="could not be captured as a CUDA graph") as caught:
            run_both_ways(args, **GRAPHED)
        assert message in str(caught.value) and "stepped" in str(caught.value) and caught.value.__cause__
    assert stream_capture.Stream.captured is None and stream_capture.current().ptr == 0 and not graphed.POOL.idle
    for choice in (GRAPHED, STEPPED):             # the stream and cuBLAS are as they were
        assert_same(run_both_ways(args, **choice), want)


def test_an_interrupt_ends_the_capture(seen, monkeypatch):
    def interrupt(a):
        raise KeyboardInterrupt
    args = draw_arguments("LSTM")
    with monkeypatch.context() as patch:
        during(patch, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_both_ways(args, **GRAPHED)
    assert stream_capture.Stream.captured is None
    assert_same(run_both_ways(args, **GRAPHED), run_both_ways(args, **STEPPED))


def test_a_workspace_is_needed(seen, monkeypatch):
    monkeypatch.setattr(seen.library, "cublasSetWorkspace_v2", lambda *args: 0)
    with pytest.raises(rnnref.Error, match="allocate a workspace"):
        run_both_ways(draw_arguments("LSTM"), **GRAPHED)


@pytest.mark.parametrize("function, status, kind, message", (
    ("Create_v2", 1, rnnref.DeviceError, "could not start"), ("GemmEx", 14, rnnref.Error, "INTERNAL_ERROR"),
    ("SetStream_v2", 14, rnnref.Error, "INTERNAL_ERROR"), ("SetWorkspace_v2", 14, rnnref.Error, "INTERNAL_ERROR"),
))
def test_errors_of_cublas_are_named(function, status, kind, message, seen):
    seen.library.fails[function] = status
    with pytest.raises(kind, match=message):
        run_both_ways(draw_arguments("LSTM"), **GRAPHED)
    seen.library.fails.clear()
    run_both_ways(draw_arguments("LSTM"), **GRAPHED)


def test_cublas_is_the_one_that_cupy_has(seen):
    run_both_ways(draw_arguments("LSTM"), **GRAPHED)
    assert seen.asked == [("libcublas.so.13", graphed.cublas.os.RTLD_NOLOAD)]


@pytest.mark.parametrize("there", (True, False))
def test_cublas_that_is_not_loaded(there, monkeypatch):
    with with_kernels(), blas.install(), stream_capture.install(loaded=False) as seen:
        if there:
            run_both_ways(draw_arguments("LSTM"), **GRAPHED)
            assert len(seen.asked) == 2
        else:
            monkeypatch.setattr("cupy.cuda.runtime.runtimeGetVersion", lambda: 12090)
            with pytest.raises(rnnref.MissingExtra, match="libcublas.so.12 is not found"):
                run_both_ways(draw_arguments("LSTM"), **GRAPHED)


def test_a_freed_array_is_noticed(seen):
    """A graph holds none of the arrays that it reads and writes: the GraphedLoop does."""
    tape = rnnref.run(*draw_arguments("LSTM"), **GRAPHED)[2]
    graph = tape.tape.loop.forward_graph.graph
    graph.launch()
    del tape
    graphed.clear()
    with pytest.raises(AssertionError, match="is gone"):
        graph.launch()


def test_kernels_hold_the_arrays_that_no_product_reads(seen):
    """The double checks every address in the arguments of a kernel."""
    tape = rnnref.run(*draw_arguments("LSTM, peepholes"), **GRAPHED)[2]
    loop = tape.tape.loop
    owners = [a() for _, some in loop.forward_graph.graph.nodes for a in some]
    for a in (loop.tape.kept_buffer, loop.tape.cs, *loop.p.values()):
        assert any(a._a is owner or a._a.base is owner for owner in owners)


def test_the_default_stream_cannot_be_captured(seen):
    import cupy
    with pytest.raises(RuntimeError, match="legacy"):
        cupy.cuda.Stream.null.begin_capture()
