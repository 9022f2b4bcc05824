"""Values: arrays while they are recorded.  To NumPy they look like arrays, and its functions on them are recorded.

One rule for every operation, in `perform`: symbols among the arguments give a `Call`; while a record is open it gets
an entry; with neither, arrays give arrays.
"""
import inspect
from contextvars import ContextVar
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any, Callable, Optional, Union

import numpy

from .arrays import asnumpy, is_array, is_floating
from .errors import Error, NotSupported, ShapeError
from .nest import flatten, map_structure
from .pairs import TABLE
from .pairs.table import Op

CURRENT: ContextVar = ContextVar("record", default=None)          # the open record, one in each thread

PLAIN = {int, float, bool, str, slice, type(None), type(Ellipsis)}


def perform(op: Op, args: tuple, options: dict) -> Any:
    """An operation of the table on arrays, values, weights and symbols, as they come.

    >>> perform(TABLE["add"], (numpy.ones(2), 1), {})
    array([2., 2.])
    """
    arrays, options = op.bind(args, options)
    record, data, ins, recorded = CURRENT.get(), [], [], False
    for a in arrays:
        n = None
        if isinstance(a, Arraylike):
            if a.is_symbol:
                return _call(a, op, arrays, options)
            if record is None:
                a = a.data
            else:
                a, n = record.of(a)
                recorded = True
        elif not is_array(a) and (isinstance(a, (list, tuple)) or len(arrays) == 1):
            a = _from_numbers(op, a)
        data.append(a)
        ins.append(n)
    if options and not all(map(_is_plain, options.values())):
        symbol = next((a for a in flatten(options) if isinstance(a, Arraylike) and a.is_symbol), None)
        if symbol is not None:
            return _call(symbol, op, arrays, options)
        options = map_structure(partial(_settle, op, record), options)
    try:
        y, kept = op.forward(*data, **options)
    except (ValueError, TypeError) as error:
        raise _explain(op, data, error) from error
    if not recorded:
        return numpy.asarray(y) if isinstance(y, numpy.generic) else y
    backward = op.backward
    if backward is None:
        return record.add(y, None, ())
    several = isinstance(y, (tuple, list))

    def back(dys: Any, wanted: Any) -> Any:
        return backward(kept, dys if several else dys[0], wanted)
    return record.add(y, back, ins, op.name)


def operation(op: Op) -> Callable:
    """The function of a row of the table, with its signature."""
    def function(*args: Any, **options: Any) -> Any:
        return perform(op, args, options)
    function.__name__ = function.__qualname__ = op.name
    function.__doc__, function.__signature__ = op.doc, op.signature           # type: ignore[attr-defined]
    return function


functions: Any = SimpleNamespace(**{op.name: operation(op) for op in TABLE.values()})         # the whole table


def _call(symbol: "Arraylike", op: Op, arrays: tuple, options: dict) -> Any:
    args, options = op.spell(arrays, options)
    return symbol.make_call(getattr(functions, op.name, None) or operation(op), args, options)


def _is_plain(a: Any) -> bool:
    """Whether an option is one that surely holds no value."""
    return type(a) in PLAIN or type(a) in (tuple, list) and all(type(item) in PLAIN for item in a)


def _settle(op: Op, record: Any, a: Any) -> Any:
    """An option, an index for example, has no gradient."""
    if not isinstance(a, Arraylike):
        return a
    data, number = (a.data, None) if record is None else record.of(a)
    if number is not None:
        raise NotSupported(f"ops.{op.name}", f"{a!r} among the options: its gradient would be lost",
                           fix="ops.stop_gradient of it if none is wanted")
    return data


def _from_numbers(op: Op, a: Any) -> Any:
    """Lists and numbers in the place of an array: floats are float32 and integers int32, as in Keras."""
    if any(isinstance(item, Arraylike) for item in flatten(a)):
        raise NotSupported(f"ops.{op.name}", "a list of values in the place of an array", fix="ops.stack of the list")
    made = numpy.asarray(a)
    if made.dtype == "float64" and not isinstance(a, numpy.generic):
        return made.astype("float32")
    return made.astype("int32") if made.dtype == "int64" and not isinstance(a, numpy.generic) else made


def _explain(op: Op, data: list, error: Exception) -> Exception:
    """What went wrong in an operation, with the shapes of its arguments."""
    if isinstance(error, Error):
        return error
    given = " and ".join(f"{tuple(a.shape)} {a.dtype}" if hasattr(a, "shape") else repr(a) for a in data)
    what = f"of {given}: {error}" if given else str(error)
    return ShapeError(f"ops.{op.name}", what) if isinstance(error, ValueError) else TypeError(f"ops.{op.name}: {what}")


class Arraylike:
    """What looks like an array to NumPy: a `Value`, a weight of a layer, or a `Symbol`.

    Functions and operators of NumPy are those of `rnnref.ops` of the same name, and recorded; what has no pair there is
    refused by name.  A subclass that is neither Value nor Symbol is a weight: it has `data` (the array), `key` (what
    tells it from others), `name` and `trainable`.
    """
    __slots__ = ()
    __array_priority__ = 1000.0
    is_symbol = False
    data: Any; key: Any; name: Any; trainable: Any

    shape = property(lambda self: self.data.shape)
    dtype = property(lambda self: self.data.dtype)
    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: self.data.size)
    T = property(lambda self: perform(TABLE["transpose"], (self,), {}))
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {tuple(self.shape)} {self.dtype}>"

    def __len__(self) -> int:
        if not self.shape or self.shape[0] is None:
            raise TypeError(f"{self!r} has no length")
        return self.shape[0]

    def __iter__(self) -> Any:
        return iter([self[k] for k in range(len(self))])

    def __contains__(self, item: Any) -> bool:
        raise NotSupported(type(self).__name__, "`in` compares by ==, which gives arrays here",
                           fix="any(item is v for v in ...)")

    def __getitem__(self, key: Any) -> Any:
        return perform(TABLE["get_item"], (self, key), {})

    def __setitem__(self, key: Any, a: Any) -> None:
        raise NotSupported(type(self).__name__, f"an assignment to a part of {self!r}: it may be in use already",
                           fix="x = ops.slice_update(x, start_indices, updates), or np.where(mask, new, x)")

    def __bool__(self) -> bool:
        return bool(self._concrete("bool"))

    def __float__(self) -> float:
        """The one number in it, to be printed or compared: what is computed from it has no gradient."""
        return float(self._concrete("float"))

    def __format__(self, spec: str) -> str:
        return format(self.item() if not self.shape else self._concrete("format"), spec) if spec else str(self)

    def __round__(self, digits: Optional[int] = None) -> Any:
        return round(self.item(), digits)

    def __divmod__(self, other: Any) -> tuple:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple:
        return other // self, other % self

    def __getattr__(self, name: str) -> Any:
        hint = HINTS.get(name, "")
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{hint}", name=name, obj=self)

    def __int__(self) -> int:
        return int(self._concrete("int"))

    def item(self) -> Any:
        """The one number in it, as a Python number."""
        return self._concrete("item").item()

    def numpy(self) -> Any:
        """A copy in main memory, without a gradient."""
        return numpy.array(asnumpy(self._concrete("numpy")))

    def _concrete(self, what: str) -> Any:
        return self.data

    @staticmethod
    def make_call(f: Callable, args: tuple, options: dict) -> Any:
        """Of a symbol: the symbols of f(*args, **options)."""
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> Any:
        a = self._concrete("np.asarray")
        if is_floating(a.dtype) and CURRENT.get() is not None:
            raise NotSupported(type(self).__name__, f"np.asarray of {self!r}: its gradient would be lost",
                               fix="functions of NumPy and of rnnref.ops take it as it is; for a[:, t] = v collect "
                                   "the steps in a list and np.stack them; .numpy() is a copy without a gradient")
        return numpy.array(asnumpy(a), dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__":
            _refuse(f"np.{ufunc.__name__}.{method}")
        if options:
            _refuse(f"np.{ufunc.__name__}(..., {', '.join(f'{k}=' for k in options)})",
                    "y = f(x) in the place of out= and of +=, np.where(mask, f(x), x) in the place of where=")
        return _find(ufunc.__name__)(*inputs)

    def __cupy_override_elementwise_kernel__(self, kernel: Any, *inputs: Any, **options: Any) -> Any:
        """The functions and operators of CuPy, where an array of its own is on the left."""
        if options:
            _refuse(f"cupy.{kernel.name}(..., {', '.join(f'{k}=' for k in options)})")
        return _find(kernel.name.removeprefix("cupy_"))(*inputs)

    def __array_function__(self, function: Callable, types: Any, args: tuple, options: dict) -> Any:
        name = function.__name__
        if name in ("shape", "ndim", "size") and len(args) == 1 and not options:
            return getattr(self, name)
        found = _find(name, function.__module__)
        return found(*args, **options) if _same_spelling(name, args, options) else _respelled(function, found, args,
                                                                                              options)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """In another dtype; the gradient comes back in this one."""
        return perform(TABLE["cast"], (self, dtype), {})

    def reshape(self, *shape: Any) -> Any:
        """In another shape: reshape(3, -1) or reshape((3, -1))."""
        return perform(TABLE["reshape"], (self, shape[0] if len(shape) == 1 else shape), {})

    def transpose(self, *axes: Any) -> Any:
        """With its axes in another order, reversed if none is given."""
        axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
        return perform(TABLE["transpose"], (self, axes or None), {})


# What users of other frameworks look for on a value
HINTS = {"backward": ": g = record.backward(loss), then g[w] is the gradient of w",
         "grad": ": g = record.backward(loss), then g[w] is the gradient of w",
         "detach": ": ops.stop_gradient(value), or value.data",
         "requires_grad": ": every value that record.leaf made, and every weight, has a gradient"}
OPERATORS = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "pow": "power", "mod": "mod",
             "floordiv": "floor_divide", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
             "xor": "bitwise_xor"}
COMPARISONS = {"gt": "greater", "ge": "greater_equal", "lt": "less", "le": "less_equal", "eq": "equal",
               "ne": "not_equal", "neg": "negative", "abs": "absolute", "invert": "bitwise_not"}
METHODS = ("sum mean max min var std prod any all argmax argmin cumsum cumprod swapaxes squeeze repeat clip ravel take "
           "round")


def _method(name: str, op: Op, swapped: bool = False) -> None:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        return perform(op, (*args, self) if swapped else (self, *args), options)
    method.__name__, method.__doc__ = name, op.doc
    setattr(Arraylike, name, method)


for _name, _op in OPERATORS.items():
    _method(f"__{_name}__", TABLE[_op])
    _method(f"__r{_name}__", TABLE[_op], swapped=True)
for _name, _op in COMPARISONS.items():
    _method(f"__{_name}__", TABLE[_op])
for _name in METHODS.split():
    _method(_name, TABLE[_name])


class Value(Arraylike):
    """An array in a record, made by `Record.leaf` or by an operation.

    data     the array
    record   the serial number of its record; not the record itself, which a value would keep alive
    number   its place there, None where no gradient goes
    mask     [B, T], as in Keras: which steps of which rows are live; operations drop it, layers hand it on
    """
    __slots__ = ("data", "record", "number", "mask")

    def __init__(self, data: Any, record: int, number: Optional[int] = None, mask: Any = None):
        self.data, self.record, self.number, self.mask = data, record, number, mask

    def __repr__(self) -> str:
        number = f": {self.item():.8g}" if not self.shape and is_floating(self.dtype) else ""
        return f"<Value {tuple(self.shape)} {self.dtype}{number}>"


def numbers(tree: Any) -> Any:
    """A nest with the arrays of values and weights in their place: what leaves a record.

    >>> numbers([Value(numpy.ones(2), record=1), 3])
    [array([1., 1.]), 3]
    """
    return map_structure(lambda a: a.data if isinstance(a, Arraylike) else a, tree)


def masks(tree: Any) -> Any:
    """The masks of a nest of values, in its structure; None if there are none."""
    found = map_structure(lambda a: a.mask if isinstance(a, Value) else None, tree)
    return found if any(m is not None for m in flatten(found)) else None


# NumPy's functions

ALIASES = {"true_divide": "divide", "abs": "absolute", "remainder": "mod", "amax": "max", "amin": "min",
           "concat": "concatenate", "permute_dims": "transpose", "invert": "bitwise_not", "fabs": "absolute",
           "bitwise_invert": "bitwise_not", "acos": "arccos", "asin": "arcsin", "atan": "arctan", "atan2": "arctan2",
           "around": "round", "astype": "cast", "pow": "power"}
# What NumPy calls the options that keras.ops calls otherwise.
RENAMED = {"clip": {"a_min": "x_min", "a_max": "x_max", "min": "x_min", "max": "x_max"},
           "reshape": {"shape": "newshape"}, "tile": {"reps": "repeats"}}


def _find(name: str, module: str = "numpy") -> Callable:
    """The operation that is recorded in the place of a function of NumPy."""
    name = ALIASES.get(name, name)
    if name in TABLE and module == "numpy":
        return getattr(functions, name)
    from . import ops  # which is made of this module
    found = getattr(ops, name, None) if name in ops.PROVIDED and module == "numpy" else None
    return found or _refuse(f"{module.replace('numpy', 'np')}.{name}")


def _refuse(what: str, fix: str = "an operation of rnnref.ops (dir(rnnref.ops) lists them), a layer of your own with "
                                  "apply and apply_back, or ops.custom_gradient") -> Any:
    raise NotSupported("rnnref", f"{what} of a recorded value has no gradient here", fix=fix)


def _same_spelling(name: str, args: tuple, options: dict) -> bool:
    """Whether a call reads the same in NumPy and in keras.ops: at most arrays by position, options by name."""
    op = TABLE.get(name)
    if op is None:
        return False
    n: Union[int, str] = op.arrays
    if n == "after":
        return not options
    n = 1 if n == "list" else n
    return len(args) == n and all(k in op.options for k in options)


# Functions written in C, which have no signature in NumPy before 2.4
_IN_C: dict[str, Callable] = {
    "concatenate": lambda arrays, /, axis=0, out=None, *, dtype=None, casting=None: None,
    "dot": lambda a, b, out=None: None, "inner": lambda a, b, /: None, "vdot": lambda a, b, /: None,
    "where": lambda condition, x=None, y=None, /: None}


@lru_cache(None)
def _signature(function: Callable) -> inspect.Signature:
    try:
        return inspect.signature(function)
    except ValueError:
        return inspect.signature(_IN_C[function.__name__])


def _respelled(function: Callable, found: Callable, args: tuple, options: dict) -> Any:
    """A call of a function of NumPy, by its own signature, as one of the operation."""
    name = function.__name__
    bound = _signature(function).bind(*args, **options)
    parameters, positional, named = _signature(function).parameters, [], {}
    for key, a in bound.arguments.items():
        p = parameters[key]
        if p.kind is p.VAR_POSITIONAL:
            positional += a
        elif p.kind is p.VAR_KEYWORD:
            named |= a
        elif p.default is p.empty or p.kind is p.POSITIONAL_ONLY:
            positional.append(a)
        elif a is not p.default:
            named[RENAMED.get(name, {}).get(key, key)] = a
    try:
        return found(*positional, **named)
    except (NotSupported, TypeError) as error:
        if named and ("option" in str(error) or "unexpected keyword" in str(error)):
            _refuse(f"np.{name}(..., {', '.join(f'{k}=' for k in named)})")
        raise
