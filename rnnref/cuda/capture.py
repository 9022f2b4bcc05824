"""Work on a stream, recorded once as a CUDA graph and launched as often as need be.  (floor 5)

A graph has addresses in it, and CuPy cannot exchange them: everything that the work reads and writes is there before
and stays.  What the work copies to the host or waits for cannot be recorded, nor can products of CuPy's (blas.py).
"""
from contextlib import contextmanager
from threading import RLock

from ..errors import Error, NotSupported, import_optional
from . import blas
from .trouble import translated

WHO = "cuda.graphed"
PER_THREAD = 2                                    # its address in CUDA
LOCK = RLock()                                    # a handle of cuBLAS has one stream at a time


def current(cupy):
    """The current stream, which must be known by its address."""
    stream = cupy.cuda.get_current_stream()
    if stream.ptr == PER_THREAD:
        raise NotSupported(WHO, "the current stream is the default one of the thread, another in every thread",
                           fix="with cupy.cuda.Stream(): ..., or paths=(\"cuda.stepped\", \"apart\")")
    return stream


class Recorded:
    """A graph of what a function launches on the current stream.  `make` gets our cuBLAS and gives that function."""

    def __init__(self, make, device, sm):
        cupy = import_optional("cupy", "cuda13", WHO)
        here = current(cupy)
        self.room = blas.workspace(device, here, sm)
        with LOCK:
            ours = blas.handle(device)
            self.work = make(ours)                # it holds what its launches point to
            ours.turn_to(here, self.room)
            self.work()                           # kernels are compiled and loaded now, which no capture likes
            self.graph = captured(cupy, self.work, ours, self.room)

    def launch(self):
        """On the current stream."""
        self.graph.launch()


def captured(cupy, work, ours, room):
    """The graph of `work`, recorded on a stream of its own: if it fails, no stream of the caller's is lost."""
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        ours.turn_to(stream, room)
        stream.begin_capture()
        try:
            work()
        except BaseException as e:
            ended = abandoned(stream)
            if isinstance(e, Error) or not isinstance(e, Exception):
                raise
            raise failure(e, ended) from e
        try:
            return stream.end_capture()
        except Exception as e:
            raise failure(e, "") from e


def abandoned(stream):
    """End a capture that cannot be completed; what CUDA says of it."""
    try:
        stream.end_capture()
    except Exception as e:
        return f"{type(e).__name__}: {e}"
    return ""


def failure(e, ended):
    """What to raise for an error under capture."""
    return translated(WHO, e) or Error(WHO, "the loop could not be recorded as a CUDA graph", ended=ended,
                                       said=f"{type(e).__name__}: {e}",
                                       fix='paths=("cuda.stepped", "apart") runs it step by step')


@contextmanager
def in_turn(stream):
    """What is inside runs on the current stream, after what `stream` has got so far and before what it gets later."""
    here = current(import_optional("cupy", "cuda13", WHO))
    if here.ptr == stream.ptr:
        yield
        return
    here.wait_event(stream.record())
    try:
        yield
    finally:
        stream.wait_event(here.record())
