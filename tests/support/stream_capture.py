"""A double of stream capture: launches on a stream that is being captured are recorded, and run with the graph.

    with with_kernels(), blas.install(), stream_capture.install() as seen:     # its log

It refuses what capture refuses: CuPy's own cuBLAS, new arrays and arithmetic that are not of this work, copies to the
host, waiting, our cuBLAS without a workspace or on another stream.  A graph that is launched reads its arrays as they
are then, and raises if one of them is gone: addresses in a graph are not exchanged.
"""
import contextlib
import ctypes
import sys
import types
import weakref
from unittest import mock

import numpy as np

from tests.shim.hostsim import HostKernel
from tests.support import strict

CUDARuntimeError = type("CUDARuntimeError", (RuntimeError,), {})
CUBLAS_STATUS = {0: b"CUBLAS_STATUS_SUCCESS", 1: b"CUBLAS_STATUS_NOT_INITIALIZED", 14: b"CUBLAS_STATUS_INTERNAL_ERROR"}


class Event:
    pass


class Stream:
    """CuPy's Stream, as far as it is used here.  `log` has the operations of all streams, in order."""
    null: "Stream"
    made, stack, log = 16, [], []
    captured = None

    def __init__(self, null=False, non_blocking=False):
        Stream.made += 0 if null else 16
        self.ptr, self.non_blocking, self.nodes, self.broken = 0 if null else Stream.made, non_blocking, None, None

    def __eq__(self, other): return isinstance(other, Stream) and self.ptr == other.ptr
    def __hash__(self): return self.ptr

    def __enter__(self):
        Stream.stack.append(self)
        return self

    def __exit__(self, *args):
        Stream.stack.pop()

    def begin_capture(self, mode=None):
        if not self.ptr:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        assert self.nodes is None and self.non_blocking
        self.nodes, Stream.captured = [], self

    def end_capture(self):
        nodes, broken, self.nodes, self.broken, Stream.captured = self.nodes, self.broken, None, None, None
        if nodes is None or broken:
            raise CUDARuntimeError("cudaErrorStreamCaptureInvalidated: operation failed due to a previous error")
        return Graph(nodes)

    def is_capturing(self): return self.nodes is not None
    def synchronize(self): refuse_to("wait for a stream")

    def record(self, event=None):
        Stream.log.append(("record", self.ptr))
        return event or Event()

    def wait_event(self, event): Stream.log.append(("wait", self.ptr))


Stream.null = Stream(null=True)


def current(device_id=-1):
    return Stream.stack[-1] if Stream.stack else Stream.null


def capturing():
    """True if work is recorded instead of done.  None may go to another stream then: no graph would have it."""
    if Stream.captured is not None and current() is not Stream.captured:
        raise AssertionError("work on a stream beside the one that is being captured")
    return Stream.captured is not None


def refuse_to(what):
    """Raise if a stream is being captured; that capture has failed then."""
    if Stream.captured is not None:
        Stream.captured.broken = what
        raise CUDARuntimeError(f"cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing "
                               f"({what})")


class Graph:
    def __init__(self, nodes):
        self.nodes = nodes

    def launch(self, stream=None):
        stream = stream or current()
        assert stream.nodes is None, "a graph in a graph"
        Stream.log.append(("launch", stream.ptr))
        for run, held in self.nodes:
            assert all(a() is not None for a in held), "an array that the graph uses is gone"
            run()


class Memory:
    """The arrays that own the addresses of the device."""

    def __init__(self):
        self.owners = {}

    def note(self, a):
        while isinstance(a.base, np.ndarray):
            a = a.base
        self.owners[id(a)] = a.ctypes.data, a.ctypes.data + a.nbytes, weakref.ref(a)

    def owner(self, address):
        for begin, end, a in self.owners.values():
            if begin <= address < end and a() is not None:
                return a
        raise AssertionError(f"address {address:#x} is in no array of the device")


def pointers(args):
    """All addresses in a struct of arguments: fields of 8 bytes that are no floats."""
    dtype = args.dtype
    if dtype.names:
        return [p for name in dtype.names for p in pointers(args[name])]
    return [int(args)] if dtype.kind == "u" and dtype.itemsize == 8 and int(args) else []


def fields(args):
    """A struct that was passed as bytes, with its fields again: the bytes are a view of the array that has them."""
    struct = args.base
    assert struct is not None and struct.dtype.names and struct.dtype.itemsize == args.nbytes, \
        f"{args.dtype} of a kernel is no view of a struct: which of its bytes are addresses?"
    return args.view(struct.dtype)


class Library:
    """libcublas: the handle knows its stream and its workspace, the product is that of tests/support/blas.py."""

    def __init__(self, seen, memory):
        self.seen, self.memory, self.on, self.room, self.fails = seen, memory, {}, {}, {}
        for name in "Create_v2 Destroy_v2 SetStream_v2 SetWorkspace_v2 GemmEx GetStatusName".split():
            setattr(self, f"cublas{name}", self.function(name))

    def function(self, name):
        def call(*args):
            if name in self.fails:
                return self.fails[name]
            if name != "GetStatusName" and len(args) != len(call.argtypes):
                raise TypeError(f"cublas{name} takes {len(call.argtypes)} arguments")
            return getattr(self, name)(*args) or 0
        return call

    def GetStatusName(self, status): return CUBLAS_STATUS[status]

    def Create_v2(self, made):
        made._obj.value = 4096 + len(self.seen.handles)
        self.seen.handles.append(made._obj.value)

    def Destroy_v2(self, handle): self.seen.destroyed.append(handle)

    def SetStream_v2(self, handle, stream):
        self.on[handle] = stream
        self.room.pop(handle, None)

    def SetWorkspace_v2(self, handle, where, size):
        assert size >= 4 << 20
        self.room[handle] = self.memory.owner(where)

    def GemmEx(self, handle, *args):
        assert self.on[handle] == current().ptr, "the handle is on another stream"
        gemm = self.seen.gemm
        if not capturing():
            return gemm(1, *args)
        if handle not in self.room:
            refuse_to("allocate a workspace")
        held = [self.memory.owner(address) for address in (args[6], args[9], args[13])] + [self.room[handle]]
        scalars = [np.frombuffer((ctypes.c_char * 8).from_address(args[k]), "u1").copy() for k in (5, 12)]
        fixed = list(args)                        # one and zero are read now, as cuBLAS does
        fixed[5], fixed[12] = (a.ctypes.data for a in scalars)
        current().nodes.append((lambda: scalars and gemm(1, *fixed), held))


def guarded(f, what):
    """`f`, which raises during capture."""
    def call(*args, **kwargs):
        refuse_to(what)
        return f(*args, **kwargs)
    return call


def placed(a):
    """The address and layout of an array, without a reference to it."""
    assert a.flags.c_contiguous
    return a.ctypes.data, a.dtype, a.shape, a.nbytes


def copied(*pair):
    target, source = (np.frombuffer((ctypes.c_char * size).from_address(address), dtype).reshape(shape)
                      for address, dtype, shape, size in pair)
    target[...] = source


def recording(memory):
    """Replacements of parts of the doubles: launches and copies between arrays are recorded, all else is refused."""
    launch, wrap, put, loaded = HostKernel.__call__, strict.wrap, strict.ndarray.__setitem__, set()

    def launched(self, grid, block, args, **kwargs):
        if not capturing():
            loaded.add(self)
            return launch(self, grid, block, args, **kwargs)
        if self not in loaded:
            refuse_to("load a kernel")            # CUDA may allow it, but does not document what it waits for
        held = [memory.owner(p) for a in args for p in pointers(fields(a))]
        args = tuple(a.copy() for a in args)      # by value, as they are now
        current().nodes.append((lambda: launch(self, grid, block, args, **kwargs), held))

    def wrapped(a):
        if isinstance(a, np.ndarray):
            if a.base is None:
                refuse_to("make an array")
            memory.note(a)
        elif not isinstance(a, (list, tuple)):
            refuse_to("make an array")
        return wrap(a)

    def set_(self, key, value):
        if not capturing():
            return put(self, key, value)
        pair = [placed(a) for a in (self._a[strict.index(key)[0]], strict.needed(value))]
        held = [memory.owner(address) for address, *_ in pair]
        current().nodes.append((lambda: copied(*pair), held))
    return launched, wrapped, set_


@contextlib.contextmanager
def install(loaded=True):
    """Install capture in the double of CuPy.  loaded: whether CuPy has loaded its cuBLAS."""
    from rnnref.cuda_loops import cublas, graphed
    cupy_cublas, memory = sys.modules["cupy_backends.cuda.libs.cublas"], Memory()
    seen = types.SimpleNamespace(gemm=cupy_cublas.gemmEx, handles=[], destroyed=[], asked=[], log=Stream.log)
    seen.library = Library(seen, memory)

    def CDLL(name, mode=0):
        seen.asked.append((name, mode))
        if name != "libcublas.so.13" or (mode == cublas.os.RTLD_NOLOAD and not loaded):
            raise OSError(f"{name}: cannot open shared object file")
        return seen.library
    launched, wrapped, put = recording(memory)
    cuda, number = strict.cupy.cuda, strict.ndarray._number
    forget(cublas, graphed)
    Stream.log.clear()
    with contextlib.ExitStack() as held:
        def swap(target, **names):
            for name, value in names.items():
                held.enter_context(mock.patch.object(target, name, value, create=True))
        swap(cuda, Stream=Stream, Event=Event, get_current_stream=current)
        swap(cuda.runtime, runtimeGetVersion=lambda: 13020)
        swap(cublas, CDLL=CDLL)
        swap(HostKernel, __call__=launched)
        swap(strict, wrap=wrapped)
        swap(strict.ndarray, __setitem__=put, _number=guarded(number, "read a number"),
             get=guarded(strict.ndarray.get, "copy to the host"), fill=guarded(strict.ndarray.fill, "fill"))
        swap(strict.ufunc, __call__=guarded(strict.ufunc.__call__, "compute what is not ours"))
        held.enter_context(mock.patch.dict(strict.KINDS, {
            name: guarded(f, "compute what is not ours") for name, f in strict.KINDS.items()}))
        # CuPy's own: it sets the stream of its handle first
        swap(cupy_cublas, gemmEx=guarded(cupy_cublas.gemmEx, "call cuBLAS by CuPy"))
        held.callback(forget, cublas, graphed)
        yield seen


def forget(cublas, graphed):
    """Forget all that is kept between calls."""
    graphed.clear()
    cublas.get_handle.cache_clear()
    cublas.load_library.cache_clear()
    cublas.WORKSPACES.clear()                       # a tape of another test may still live
    from rnnref.cuda import matmul
    matmul.load_cublas.cache_clear()
