"""Work on a stream, recorded once as a CUDA graph and launched as often as need be.  (floor 5)

A graph has addresses in it, and CuPy cannot exchange them: everything that the work reads and writes is there before
and stays.  What the work copies to the host or waits for cannot be recorded, nor can products of CuPy's (blas.py).
"""
from contextlib import contextmanager
from threading import RLock

from ..cuda.errors import translate_error
from ..errors import Error, NotSupported, import_optional
from . import cublas

WHO = "graphed"
_PER_THREAD_STREAM = 2                                    # its address in CUDA
_CUBLAS_LOCK = RLock()                                    # a handle of cuBLAS has one stream at a time


def _current_stream(cupy):
    """The current stream, which must be known by its address."""
    stream = cupy.cuda.get_current_stream()
    if stream.ptr == _PER_THREAD_STREAM:
        raise NotSupported(WHO, "the current stream is the default one of the thread, another in every thread",
                           fix="with cupy.cuda.Stream(): ..., or paths=(\"stepped\", \"bidirectional\")")
    return stream


class CapturedGraph:
    """A graph of what a function launches on the current stream.  `make` gets our cuBLAS and gives that function."""

    def __init__(self, make, device, sm):
        cupy = import_optional("cupy", "cuda13", WHO)
        here = _current_stream(cupy)
        self.room = cublas.get_workspace(device, here, sm)
        with _CUBLAS_LOCK:
            ours = cublas.get_handle(device)
            self.work = make(ours)                # it holds what its launches point to
            ours.set_stream(here, self.room)
            self.work()                           # kernels are compiled and loaded now, which no capture likes
            self.graph = capture_graph(cupy, self.work, ours, self.room)

    def launch(self):
        """On the current stream."""
        self.graph.launch()


def capture_graph(cupy, work, ours, workspace):
    """The graph of `work`, recorded on a stream of its own: if it fails, no stream of the caller's is lost."""
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        ours.set_stream(stream, workspace)
        stream.begin_capture()
        try:
            work()
        except BaseException as e:
            ended = _abandon_capture(stream)
            if isinstance(e, Error) or not isinstance(e, Exception):
                raise
            raise _capture_error(e, ended) from e
        try:
            return stream.end_capture()
        except Exception as e:
            raise _capture_error(e, "") from e


def _abandon_capture(stream):
    """End a capture that cannot be completed; what CUDA says of it."""
    try:
        stream.end_capture()
    except Exception as e:
        return f"{type(e).__name__}: {e}"
    return ""


def _capture_error(e, end_error):
    """What to raise for an error under capture."""
    return translate_error(WHO, e) or Error(WHO, "the loop could not be recorded as a CUDA graph", ended=end_error,
                                       said=f"{type(e).__name__}: {e}",
                                       fix='paths=("stepped", "bidirectional") runs it step by step')


@contextmanager
def _in_stream_order(stream):
    """What is inside runs on the current stream, after what `stream` has got so far and before what it gets later."""
    here = _current_stream(import_optional("cupy", "cuda13", WHO))
    if here.ptr == stream.ptr:
        yield
        return
    here.wait_event(stream.record())
    try:
        yield
    finally:
        stream.wait_event(here.record())
