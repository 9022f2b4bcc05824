"""The path `graphed`: the steps of the stepped path captured once as a CUDA graph each way, and launched as a whole.

    run(cell, p, xs, paths=("graphed", "bidirectional"))            at the first call; without paths: see replayed.py

The products before and after the loop are those of the stepped path, and results agree to the bit.  A graph contains
addresses, and CuPy cannot exchange them.  So for each kind of sequence (cell and its options, sizes, dtype, direction,
lengths or not, keep, device and stream) there is a GraphedLoop: all arrays of the loop, and the graphs that read and
write them.  A call copies weights, states, lengths and gradients in, and outputs and states out.

A GraphedLoop is lent to a tape, whose memory it is; when the tape is freed, the next sequence of that kind gets it.
The first call of a kind captures, which takes as long as several calls, and so does each call with more tapes alive
than ever before.  Of the idle loops the last _POOL_SIZE are kept on the device, as far as they fit in IDLE_BYTES;
`clear()` frees them.

Work that copies to the host or waits for it cannot be captured, nor can CuPy's matrix products (cublas.py).
"""
import atexit
from contextlib import contextmanager
from threading import RLock
from typing import Any, Callable, Collection, Iterator, NamedTuple, Optional
from weakref import finalize

from ..arrays import Array, namespace
from ..cell import ALL
from ..cuda import pointwise, precision
from ..cuda.errors import translate_error, translate_errors
from ..cuda.launch import arithmetic_dtype, check_on_device
from ..errors import Error, NotSupported, import_optional
from ..tree import Tree, map_structure
from . import cublas, stepped
from .choice import IDLE_BYTES
from .stepped import core_cell, prepare_backward_steps, prepare_forward_steps, step_module_of
from .tapes import allocate_outputs, copy_final_state, project_inputs, set_first_state

_WHO = "graphed"
_PER_THREAD_STREAM = 2                            # its address in CUDA
_CUBLAS_LOCK = RLock()                            # a handle of cuBLAS has one stream at a time


class Pool:
    """A pool of expensive objects, returned when their users are garbage-collected.

    At most `capacity` idle objects are kept, and of those before the last as many as have `most_bytes` together; the
    one idle for longest is dropped first.  Each has a `key`, and its size as `nbytes`.
    """

    def __init__(self, capacity: int, most_bytes: int) -> None:
        self.capacity, self.most_bytes, self.idle, self.lock = capacity, most_bytes, [], RLock()

    def lend(self, key: Any, make: Callable[[Any], Any]) -> Any:
        """An idle object with this key, or make(key)."""
        with self.lock:
            for thing in reversed(tuple(self.idle)):
                # garbage collection during this loop may return another object, which drops this one
                if thing.key == key and thing in self.idle:
                    self.idle.remove(thing)
                    return thing
        return make(key)

    def reclaim_after(self, user: Any, thing: Any) -> None:
        """Return `thing` to the pool when `user` is garbage-collected; `thing` must hold no reference to it."""
        finalize(user, self.reclaim, thing).atexit = False

    def reclaim(self, thing: Any) -> None:
        """Return `thing` to the pool."""
        with self.lock:
            self.idle.append(thing)
            del self.idle[:max(0, len(self.idle) - self.capacity)]
            while len(self.idle) > 1 and sum(one.nbytes for one in self.idle) > self.most_bytes:
                del self.idle[0]

    def clear(self) -> None:
        """Drop all idle objects."""
        with self.lock:
            self.idle.clear()


_POOL_SIZE = 8                                    # two layers of two directions, twice
POOL = Pool(_POOL_SIZE, IDLE_BYTES)
clear = POOL.clear
atexit.register(clear)                            # before CUDA is unloaded


def refuses(cell: Any, call: Any) -> Optional[str]:
    """None, or why this path does not run this cell."""
    return stepped.refuses(cell, call) or cublas.why_no_capture()


class _Key(NamedTuple):
    """All that the captured work depends on."""
    cell: Any; order: range; shapes: tuple; dtype: Any; masked: Any; keep: bool; device: int; stream: int


def kind_of(cell: Any, xs: Array, s: Any, live: Optional[Array], reverse: bool, keep: Any) -> _Key:
    """The kind of a sequence: sequences of one kind share a graph."""
    order = range(len(xs))[::-1 if reverse else 1]
    return _Key(cell, order, tuple(a.shape for a in s), xs.dtype, None if live is None else live.shape, bool(keep),
                xs.device.id, _current_stream(namespace(xs)).ptr)


def forward(cell: Any, p: Tree, xs: Array, s: Any, extra: Tree = None, live: Optional[Array] = None,
            reverse: bool = False, keep: Any = True) -> tuple[Array, Any, Optional["Tape"]]:
    """xs [T, B, I], live [T, B] or None -> ys [T, B, H], the last state, a tape."""
    with translate_errors(_WHO):
        check_on_device(_WHO, xs)
        loop = POOL.lend(kind_of(cell, xs, s, live, reverse, keep), lambda key: GraphedLoop(key, p, xs, s))
        kx = loop.load_inputs(p, xs, s, live)
        loop.forward_graph.launch()
        tape = Tape(loop, p, kx, s)
        ys = tape.loop_tape.select_states(tape.loop_tape.hs, 1) if loop.ys is None else loop.ys
        return ys.copy(), copy_final_state(tape.loop_tape), tape if keep else None


def backward(tape: "Tape", dys: Array, ds: Any, wanted: Collection[str] = ALL) -> tuple:
    """Gradients of the inputs, of the first state, None, and of the parameters."""
    with translate_errors(_WHO):
        check_on_device(_WHO, dys)
        loop = tape.loop
        loop.capture_backward()
        with _in_stream_order(loop.stream):
            loop.load_gradients(tape.loop_tape.p, dys, ds)
            loop.backward_graph.launch()
            d = map_structure(lambda a: a.copy(), loop.d)
            return step_module_of(loop.key.cell).collect_gradients(tape.loop_tape, *loop.grads, d, wanted)


class Tape:
    """The tape of one sequence, whose arrays are those of a GraphedLoop; it is returned when the tape is freed."""

    def __init__(self, loop: "GraphedLoop", p: Tree, kx: Any, s: Any) -> None:
        self.loop, self.loop_tape = loop, loop.tape._replace(p=p, kx=kx, like=s)
        POOL.reclaim_after(self, loop)

    def kept(self, t: int) -> Any:
        """The intermediates of step t: copies, as the next sequence overwrites the arrays."""
        return map_structure(lambda a: a.copy(), self.loop_tape.kept(t))


class GraphedLoop:
    """All arrays of one loop, and its graphs; that of the way back is captured when it is first needed."""
    live: Any
    backward_graph: Any = None
    dys: Any; d: Any; grads: Any                  # backward: gradients of the outputs, the state and the gates

    def __init__(self, key: _Key, p: dict, xs: Array, s: Any) -> None:
        xp, cell, step = namespace(xs), core_cell(key.cell), step_module_of(key.cell)
        m, A, T, B = cell.recurrent, arithmetic_dtype(_WHO, key.dtype), len(key.order), xs.shape[1:-1]
        self.key, self.stream, self.sm = key, _current_stream(xp), precision.architecture(xs)
        self.p = {name: xp.empty(p[name].shape, A) for name in pointwise.parameter_names(cell.rule)}
        self.p |= {m.b: xp.empty(p[m.b].shape, key.dtype)} if m.b else {}
        self.live = None if key.masked is None else xp.zeros(key.masked, bool)
        self.ax = xp.empty((T, *B, p[m.W].shape[-1]), key.dtype)
        tape = step.allocate_tape(key.cell, self.p, None, s, self.live, key.order, key.keep, self.ax)
        self.tape = tape._replace(like=None)
        self.weights = {m.W: xp.empty(p[m.W].shape, tape.matmul_states.dtype) for m in step.list_maps(key.cell)}
        self.ys = allocate_outputs(self.tape, self.ax)
        self.forward_graph = CapturedGraph(lambda handle: prepare_forward_steps(
            self.tape, self.weights, self.ax, self.ys, handle), key.device, self.sm)

    @property
    def nbytes(self) -> int:
        """Bytes of its largest arrays: those with a number for each step."""
        tape, gradients = self.tape, (self.grads[:2] if self.backward_graph else ())
        arrays = (self.ax, self.ys, tape.hs, tape.cs, tape.sent, tape.kept_buffer, *gradients)
        return sum(a.nbytes for a in arrays if a is not None)

    def capture_backward(self) -> None:
        """Capture the way back, if it has not been, on the stream of the loop, whose workspace it uses."""
        if self.backward_graph is not None:
            return
        with self.stream:
            self.grads = step_module_of(self.key.cell).allocate_gradients(self.tape)
            self.dys = self.tape.select_states(self.tape.hs, 1).copy()
            self.d = map_structure(lambda a: a.copy(), self.tape.state(0))
            self.backward_graph = CapturedGraph(lambda handle: prepare_backward_steps(
                self.tape, self.weights, self.dys, self.d, self.grads, handle), self.key.device, self.sm)

    def load_inputs(self, p: dict, xs: Array, s: Any, live: Optional[Array]) -> Any:
        """Copy the arguments of a call in, and x W; return the intermediates of the input map."""
        self.load_parameters(p)
        if live is not None:
            self.live[...] = live
        set_first_state(self.tape, s)
        return project_inputs(core_cell(self.key.cell), p, xs, live, self.ax)[1]

    def load_parameters(self, p: dict) -> None:
        """Copy the parameters in."""
        for name, a in (*self.weights.items(), *self.p.items()):
            a[...] = p[name]

    def load_gradients(self, p: dict, dys: Array, ds: Any) -> None:
        """Copy the parameters and the gradients of outputs and last state in."""
        self.load_parameters(p)
        for target, a in zip((self.dys, *self.d), (dys, *ds)):
            target[...] = a


def why_no_stream(cupy: Any) -> Optional[str]:
    """None, or why the graph of a loop cannot belong to the current stream."""
    stream = cupy.cuda.get_current_stream()
    if stream.ptr == _PER_THREAD_STREAM:          # an address that names no stream
        return "the current stream is the default one of the thread, another in every thread"
    return "the current stream is being captured" if stream.is_capturing() else None


def _current_stream(cupy: Any) -> Any:
    """The current stream, or NotSupported."""
    why = why_no_stream(cupy)
    if why:
        raise NotSupported(_WHO, why, fix="with cupy.cuda.Stream(): ..., or paths=(\"stepped\", \"bidirectional\")")
    return cupy.cuda.get_current_stream()


class CapturedGraph:
    """A graph of all launches of make(handle)() on the current stream; handle: a `cublas.Handle` for its products."""

    def __init__(self, make: Callable[[Any], Callable[[], None]], device: int, sm: Optional[int]) -> None:
        cupy = import_optional("cupy", "cuda13", _WHO)
        stream = _current_stream(cupy)
        self.workspace = cublas.get_workspace(device, stream, sm)
        with _CUBLAS_LOCK:
            handle = cublas.get_handle(device)
            self.work = make(handle)              # holds the arrays of its launches
            handle.set_stream(stream, self.workspace)
            self.work()                           # compiles and loads the kernels, which is not possible during capture
            self.graph = capture_graph(cupy, self.work, handle, self.workspace)

    def launch(self) -> None:
        """Launch the graph on the current stream."""
        self.graph.launch()


def capture_graph(cupy: Any, work: Callable[[], None], handle: Any, workspace: Any) -> Any:
    """The graph of `work`, captured on a new stream: a failure leaves the streams of the caller usable."""
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        handle.set_stream(stream, workspace)
        stream.begin_capture()
        try:
            work()
        except BaseException as e:
            end_error = _abandon_capture(stream)
            if isinstance(e, Error) or not isinstance(e, Exception):
                raise
            raise _capture_error(e, end_error) from e
        try:
            return stream.end_capture()
        except Exception as e:
            raise _capture_error(e, "") from e


def _abandon_capture(stream: Any) -> str:
    """End a capture that cannot be completed; return the error of CUDA, if any."""
    try:
        stream.end_capture()
    except Exception as e:
        return f"{type(e).__name__}: {e}"
    return ""


def _capture_error(e: Exception, end_error: str) -> Exception:
    """The error to raise for an error during capture."""
    fix = 'paths=("stepped", "bidirectional") runs it step by step'
    return translate_error(_WHO, e) or Error(_WHO, "the loop could not be captured as a CUDA graph",
                                             error=f"{type(e).__name__}: {e}", end=end_error, fix=fix)


@contextmanager
def _in_stream_order(stream: Any) -> Iterator[None]:
    """Run the block on the current stream, after the work that `stream` has so far and before its later work."""
    current = _current_stream(import_optional("cupy", "cuda13", _WHO))
    if current.ptr == stream.ptr:
        yield
        return
    current.wait_event(stream.record())
    try:
        yield
    finally:
        stream.wait_event(current.record())
