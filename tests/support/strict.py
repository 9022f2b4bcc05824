"""A strict double of CuPy on the CPU: it refuses what a GPU would refuse, and counts what would cross the bus.

    with strict.install() as cupy:          # sys.modules["cupy"] until the end of the block
        x = cupy.asarray(np.ones(3))        # counted
        strict.counts.clear()
        y = cupy.tanh(x) * 2
        assert not strict.counts            # nothing went to the host or came from it

Where CuPy copies or waits without a word (a list or a NumPy array as an index, NumPy's functions given device arrays)
the double raises, and so it does where CuPy leaves the result open (an index that occurs twice in an assignment).
What it has, CuPy 13.6 and 14.2 both have, with the arguments that both take.  What it lacks is an AttributeError: if
CuPy has it, add it to the tables below.  Promotion is NEP 50, as in CuPy 14; and as kernels do not warn, NumPy's
floating point warnings are off inside.
"""
import collections
import contextlib
import inspect
import operator
import sys
import types

import numpy as np

# "get": whole arrays to the host; "item": one number to the host (bool, float, int, item); "asarray": to the device;
# "mask": the size of what a boolean index selects, which the host waits for.  Absent while there were none.
counts = collections.Counter()
launches = collections.Counter()                # kernels by name: of ufuncs, functions, and what `fuse` made of many
fusing = []                                     # the name of the function that is fused, while it runs

Flags = collections.namedtuple("Flags", "c_contiguous f_contiguous owndata")    # CuPy has no `writeable`


def supported(dtype):
    dtype = np.dtype(dtype)                     # numbers, but no longdouble; no objects, strings or dates
    if dtype.char not in "?bBhHiIlLqQefdFD" and dtype.name != "bfloat16":
        raise ValueError(f"Unsupported dtype {dtype}: cupy does not support it")
    return dtype


def needed(a):
    if not isinstance(a, ndarray):
        raise TypeError(f"expected cupy.ndarray, got {type(a)}")
    return a._a


def several(arrays): return [needed(a) for a in arrays]
def wrap(a): return [wrap(b) for b in a] if isinstance(a, (list, tuple)) else ndarray(np.asarray(a))


def operand(v):
    """What a kernel takes: arrays of the device and scalars."""
    if isinstance(v, ndarray):
        return v._a
    if isinstance(v, np.generic) and supported(v.dtype) or type(v) in (bool, int, float, complex):
        return v
    raise TypeError(f"Unsupported type {type(v)}")


def host(v):
    """Shapes, axes, dtypes and the like: no array of either kind."""
    if isinstance(v, (ndarray, np.ndarray)):
        raise TypeError(f"a value on the host is needed here, got {type(v)}")
    for w in v.values() if isinstance(v, dict) else v if isinstance(v, (list, tuple)) else ():
        host(w)
    return v


# How an argument of a function is read follows from its name; any other name is `host`.
KINDS = {**dict.fromkeys("a b array ary a1 a2 condition".split(), needed), "tup": several, "operands": several,
         **dict.fromkeys("x y a_min a_max indices fill_value out v".split(), operand)}


def index(key):
    """The key for NumPy, and the kinds of the arrays in it: "" (the result is a view), "i", "b"."""
    parts, kinds = [], ""
    for k in key if type(key) is tuple else (key,):
        if isinstance(k, ndarray):
            kinds += k.dtype.kind
            k = k._a
        elif isinstance(k, bool) or not (k is None or k is ... or isinstance(k, (int, np.integer, slice))):
            raise TypeError(f"an index of {type(k)} would be copied to the device every time: pass a cupy.ndarray")
        parts.append(k)
    if "b" in kinds:
        counts["mask"] += 1
    if not kinds and not any(k is ... for k in parts):
        parts.append(...)                       # CuPy has no scalars: a single element is a 0-d view
    return tuple(parts), kinds


class ndarray:
    """Operators, and the methods that are functions too, are set at the end of this file."""
    __slots__ = "_a",
    __module__ = "cupy"
    __hash__ = None
    __array_ufunc__ = None                      # np.tanh(x) raises, and array + x is left to __radd__, which raises
    device = types.SimpleNamespace(id=0)
    dtype, shape, ndim, size, nbytes, itemsize, strides = map(property, map(operator.attrgetter, (
        "_a.dtype", "_a.shape", "_a.ndim", "_a.size", "_a.nbytes", "_a.itemsize", "_a.strides")))
    flags = property(lambda self: Flags(*(getattr(self._a.flags, name) for name in Flags._fields)))
    T = property(lambda self: wrap(self._a.T))
    data = property(lambda self: types.SimpleNamespace(ptr=self._a.ctypes.data))

    def __init__(self, a):
        self._a = a if supported(a.dtype) else None

    def __array__(self, *args, **kwargs):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. "
                        "Please use `.get()` to construct a NumPy array explicitly.")

    # np.concatenate([x]) and np.sum(x): NumPy makes a TypeError of it.
    def __array_function__(self, func, types, args, kwargs): return NotImplemented

    def get(self):
        counts["get"] += 1
        return np.array(self._a, order="C")

    def tolist(self): return self.get().tolist()
    def __repr__(self): return repr(self.get())
    def __format__(self, spec): return format(self.get(), spec)
    def __reduce__(self): return asarray, (self.get(),)

    def _number(self):
        if self.size != 1:
            raise ValueError("only an array of size 1 has a truth value or is a Python scalar")
        counts["item"] += 1
        return self._a

    # No __index__, as in CuPy: range(x) and numbers[x] are errors.
    def item(self): return self._number().item()
    def __bool__(self): return bool(self._number())
    def __float__(self): return float(self._number())
    def __int__(self): return int(self._number())
    def __len__(self): return len(self._a)
    def __iter__(self): return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        key, kinds = index(key)
        return wrap(np.array(self._a[key]) if kinds else self._a[key])

    def __setitem__(self, key, value):
        (key, kinds), new = index(key), operand(value)
        if kinds and new is value:
            counts["asarray"] += 1              # beside an array in the index, CuPy makes one of the scalar too
        elif "b" not in kinds and kinds and new.size > 1:
            places = np.arange(self.size).reshape(self.shape)[key]
            if len(np.unique(places)) < places.size:
                raise ValueError("an index occurs twice: which value stays is undefined on a GPU")
        elif not kinds and new is not value:
            old = self._a[key]                  # where CuPy copies memory as it is, rather than by a kernel
            if ((old.shape, old.strides, old.dtype) == (new.shape, new.strides, new.dtype) and old.flags.c_contiguous
                    and old.ctypes.data != new.ctypes.data and np.shares_memory(old, new)):
                raise ValueError("source and target overlap: what is copied is undefined on a GPU")
        with np.errstate(all="ignore"):
            self._a[key] = new

    def astype(self, dtype, order="K", *, copy=True):
        if not copy and self.dtype == dtype:
            return self
        with np.errstate(all="ignore"):
            return wrap(self._a.astype(supported(dtype), order))

    def copy(self, order="C"): return wrap(self._a.copy(order))
    def flatten(self, order="C"): return wrap(self._a.flatten(order))
    def __copy__(self): return self.copy()
    def __deepcopy__(self, memo): return self.copy()
    def reshape(self, *shape, order="C"): return wrap(self._a.reshape(*host(shape), order=order))
    def transpose(self, *axes): return wrap(self._a.transpose(*host(axes)))
    def clip(self, min=None, max=None, out=None): return cupy.clip(self, min, max, out)
    def fill(self, value): self._a.fill(operand(value))


class ufunc:                                    # CuPy's have no `where`, and `at` only for some
    def __init__(self, name):
        self.__name__, self._f = name, getattr(np, name)

    def __call__(self, *args, out=None, dtype=None):
        if len(args) != self._f.nin:
            raise TypeError(f"{self.__name__} takes {self._f.nin} arrays or scalars, and `out` by name")
        launch(self.__name__)
        with np.errstate(all="ignore"):
            result = self._f(*map(operand, args), out=None if out is None else needed(out), dtype=dtype)
        return wrap(result) if out is None else out

    def at(self, a, indices, b):
        if self.__name__ not in ("add", "subtract", "maximum", "minimum"):
            raise NotImplementedError(f"`{self.__name__}.at` is not supported yet")
        self._f.at(needed(a), index(indices)[0], operand(b))


def raise_to_power(x, y, out=None):
    """x ** y, which before NumPy 2.3 has other last bits than np.power(x, y)."""
    launch("power")
    with np.errstate(all="ignore"):
        result = operand(x) ** operand(y)
    if out is None:
        return wrap(result)
    np.copyto(needed(out), result, casting="same_kind")
    return out


def function(name, signature):
    def call(*args, **kwargs):
        bound = signature.bind(*args, **kwargs)         # refuses what only NumPy takes: where=, initial=, like=
        out = bound.arguments.get("out")
        if fusing and name not in ("where", "clip"):
            raise TypeError(f"{name} is no elementwise function, and cannot be fused")
        launch(name)
        for k, v in bound.arguments.items():
            bound.arguments[k] = v if v is None else KINDS.get(k, host)(v)
        with np.errstate(all="ignore"):
            result = getattr(np, name)(*bound.args, **bound.kwargs)
        return wrap(result) if out is None else out
    return call


def launch(name):
    if not fusing:
        launches[name] += 1


def fuse(kernel_name=None):
    """One launch of many elementwise functions; what it is given are arrays and numbers, by position."""
    def wrap_function(f):
        def call(*args):
            for a in args:
                operand(a)
            launch(kernel_name or f.__name__)
            fusing.append(kernel_name)
            try:
                result = f(*args)
            finally:
                fusing.pop()
            assert isinstance(result, (tuple, ndarray, type(None)))
            return result
        return call
    return wrap_function


def array(obj, dtype=None, copy=True):
    """Lists, numbers and NumPy arrays are counted; an array of the device, or a list of such, stays there."""
    if isinstance(obj, (list, tuple)) and obj and all(isinstance(o, ndarray) for o in obj):
        obj, copy = cupy.stack(obj), False
    if isinstance(obj, ndarray):
        return obj.astype(obj.dtype if dtype is None else dtype, copy=copy)
    made = wrap(np.array(obj, dtype))
    counts["asarray"] += 1
    return made


def empty(shape, dtype=float, order="C"):
    """NaN, 77 or True: whoever reads what was never written should notice."""
    return wrap(np.full(host(shape), 77 if supported(dtype).kind in "biu" else np.nan, dtype, order))


def empty_like(a, dtype=None): return empty(needed(a).shape, a.dtype if dtype is None else dtype)
def asarray(a, dtype=None): return array(a, dtype, copy=False)
def asnumpy(a): return a.get() if isinstance(a, ndarray) else np.asarray(a)
def get_array_module(*args): return cupy if any(isinstance(a, ndarray) for a in args) else np
def result_type(*args): return np.result_type(*(a.dtype if isinstance(a, ndarray) else host(a) for a in args))
def can_cast(from_, to, casting="safe"): return np.can_cast(getattr(from_, "dtype", from_), to, casting)
def shares_memory(a, b): return np.shares_memory(needed(a), needed(b))


SAME = """pi e inf nan newaxis dtype generic number inexact floating integer bool_ int8 int16 int32 int64 intp uint8
    uint32 uint64 float16 float32 float64 complex64 complex128 finfo iinfo issubdtype promote_types broadcast_shapes"""

UFUNCS = """tanh sin cos exp expm1 log log1p sqrt square reciprocal sign abs absolute negative positive floor ceil rint
    isnan isinf isfinite maximum minimum power add subtract multiply divide true_divide floor_divide remainder mod
    logaddexp greater greater_equal less less_equal equal not_equal logical_and logical_or logical_xor logical_not
    bitwise_and bitwise_or bitwise_xor invert left_shift right_shift arcsin arccos arctan arcsinh arccosh arctanh
    arctan2"""

FUNCTIONS = """
    sum mean prod: a, axis=None, dtype=None, out=None, keepdims=False;  arange: start, stop=None, step=1, dtype=None
    cumsum: a, axis=None, dtype=None, out=None;  var std: a, axis=None, dtype=None, out=None, ddof=0, keepdims=False
    max min any all: a, axis=None, out=None, keepdims=False;  full_like: a, fill_value, dtype=None, *, shape=None
    argmax argmin: a, axis=None, *, keepdims=False;  isclose allclose: a, b, rtol=1e-05, atol=1e-08, equal_nan=False
    matmul dot: a, b, /, *, out=None;  concatenate stack: tup, axis=0, out=None, *, dtype=None, casting="same_kind"
    where: condition, x, y;  linspace: start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0
    clip: a, a_min, a_max, out=None;  einsum: subscripts, *operands, dtype=None, optimize=False;  ravel: a, order="C"
    split: ary, indices_or_sections, axis=0;  zeros_like ones_like: a, dtype=None, *, shape=None;  hstack vstack: tup
    broadcast_to: array, shape;  pad: array, pad_width, mode="constant", **kwargs;  take_along_axis: a, indices, axis
    reshape: a, newshape, order="C";  full: shape, fill_value, dtype=None, order="C";  repeat: a, repeats, axis=None
    ascontiguousarray: a, dtype=None;  zeros ones: shape, dtype=float, order="C";  moveaxis: a, source, destination
    swapaxes: a, axis1, axis2;  take: a, indices, axis=None, out=None;  array_equal: a1, a2, equal_nan=False
    expand_dims: a, axis;  squeeze flip: a, axis=None;  roll: a, shift, axis=None;  transpose: a, axes=None
    outer: a, b;  tensordot: a, b, axes=2;  sort argsort: a, axis=-1;  searchsorted: a, v, side="left", sorter=None"""

cupy = types.ModuleType("cupy")
cupy.cuda = types.SimpleNamespace(is_available=lambda: True,
                                  runtime=types.SimpleNamespace(is_hip=False, getDevice=lambda: 0))
vars(cupy).update({name: getattr(np, name) for name in SAME.split()} | {name: ufunc(name) for name in UFUNCS.split()})
for names, params in (entry.split(":") for entry in FUNCTIONS.replace("\n", ";").split(";") if entry):
    parsed = inspect.signature(eval(f"lambda {params.strip()}: None"))
    vars(cupy).update({name: function(name, parsed) for name in names.split()})
vars(cupy).update({made.__name__: made for made in (
    ndarray, ufunc, array, asarray, empty, empty_like, asnumpy, get_array_module, result_type, can_cast,
    shares_memory, fuse)})

for name in "sum mean prod cumsum max min any all argmax argmin var std dot ravel swapaxes squeeze repeat take".split():
    setattr(ndarray, name, lambda *args, f=getattr(cupy, name), **kwargs: f(*args, **kwargs))
for short, name in zip("eq ne lt le gt ge neg pos abs invert".split(), (
        "equal not_equal less less_equal greater greater_equal negative positive absolute invert".split())):
    setattr(ndarray, f"__{short}__", lambda *args, f=getattr(cupy, name): f(*args))
for short, name in zip("add sub mul truediv floordiv mod pow and or xor lshift rshift matmul".split(), (
        "add subtract multiply divide floor_divide remainder power bitwise_and bitwise_or bitwise_xor left_shift "
        "right_shift matmul".split())):
    f = raise_to_power if name == "power" else getattr(cupy, name)
    setattr(ndarray, f"__{short}__", lambda x, y, f=f: f(x, y))
    setattr(ndarray, f"__r{short}__", lambda x, y, f=f: f(y, x))
    if name != "matmul":                        # a @= b makes a new array, as in CuPy
        setattr(ndarray, f"__i{short}__", lambda x, y, f=f: f(x, y, out=x))


@contextlib.contextmanager
def install():
    """The double as sys.modules["cupy"], counts cleared; what was there before comes back."""
    before = {name: sys.modules.pop(name) for name in ("cupy", "cupy.cuda") if name in sys.modules}
    sys.modules.update({"cupy": cupy, "cupy.cuda": cupy.cuda})
    counts.clear()
    launches.clear()
    try:
        yield cupy
    finally:
        del sys.modules["cupy"], sys.modules["cupy.cuda"]
        sys.modules.update(before)
