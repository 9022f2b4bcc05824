"""What a row of the table of operations is, and what the pairs share.

    forward(*arrays, **options) -> y, kept          backward(kept, dy, wanted) -> one gradient for each of the arrays

NumPy or CuPy, whichever the arrays are.  The signature of `forward` is that of the operation, with the names of
keras.ops; `wanted` says for each array whether its gradient is asked for, and where it is not, None will do.
"""
import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Callable, NamedTuple, Optional, Union

import numpy

from ..arrays import Array, namespace
from ..errors import NotSupported


@dataclass(frozen=True, eq=False)
class Op:
    """One differentiable operation, or one without a gradient (backward None: its results are constants).

    arrays: how many arrays come first | "list": a list of them | "after": they follow the first option
    """
    name: str
    forward: Callable
    backward: Optional[Callable]
    arrays: Union[int, str] = 1
    doc: str = ""

    @cached_property
    def names(self) -> tuple:
        """What `forward` calls its arguments."""
        return tuple(inspect.signature(self.forward).parameters)

    @cached_property
    def options(self) -> tuple:
        """The names of the options, in the order in which they may be given by position."""
        if self.arrays == "list":
            return self.names[1:]
        if self.arrays == "after":
            return tuple(name for name in self.names if name != self.names[0])
        return self.names[int(self.arrays):]

    @cached_property
    def _required(self) -> frozenset:
        """The options without a default."""
        known = inspect.signature(self.forward).parameters
        return frozenset(name for name in self.options if known[name].default is inspect.Parameter.empty)

    def _by_position(self, n: int, options: dict) -> bool:
        """Whether the first n options by position, and these by name, are all that is needed and nothing else."""
        first = self.options[:n]
        return all(name in self.options and name not in first for name in options) and all(
            name in first or name in options for name in self._required)

    @cached_property
    def signature(self) -> inspect.Signature:
        """The signature that users see."""
        kinds, found = inspect.Parameter, []
        for p in inspect.signature(self.forward).parameters.values():
            p = p.replace(annotation=p.empty)     # arrays, lists and numbers: every operation takes them
            if self.arrays == "list":
                p = p.replace(kind=kinds.POSITIONAL_OR_KEYWORD)
            found.append(p)
        if self.arrays == "after":                # forward(*operands, subscripts) is op(subscripts, *operands)
            found = [found[1].replace(kind=kinds.POSITIONAL_OR_KEYWORD), found[0], *found[2:]]
        return inspect.Signature(found)

    def bind(self, args: tuple, options: dict) -> tuple:
        """What the user gave, as arrays and options.  Raises NotSupported for an option that there is not."""
        n = self.arrays
        if isinstance(n, int) and n <= len(args) <= len(self.names) and self._by_position(len(args) - n, options):
            return args[:n], {**dict(zip(self.options, args[n:])), **options}    # as nearly all are, and quickly
        given = options
        if self.arrays == "after" and self.options[0] not in options:
            args, given = args[1:], {self.options[0]: args[0], **options}
        elif isinstance(self.arrays, int):
            given = self._named(args, options)
            args = tuple(given.pop(name, None) for name in self.names[:self.arrays])
        elif self.arrays == "list":
            given = self._named(args, options)
            args = tuple(given.pop(self.names[0]))
        return args, given

    def _named(self, args: tuple, options: dict) -> dict:
        """All arguments by name, the arrays among them."""
        for name in options:
            if name not in self.names:
                raise NotSupported(f"ops.{self.name}", f"the option {name}={options[name]!r}",
                                   known=f"{self.name}{self.signature}")
        try:
            return dict(self.signature.bind(*args, **options).arguments)
        except TypeError as error:
            raise TypeError(f"{self.name}{self.signature}: {error}") from None

    def spell(self, arrays: tuple, options: dict) -> tuple:
        """Arrays and options as a user would write them: the inverse of `bind`."""
        if self.arrays == "after":
            first = self.options[0]
            return (options[first], *arrays), {k: v for k, v in options.items() if k != first}
        return ((list(arrays),) if self.arrays == "list" else tuple(arrays)), options


def single(back: Callable) -> Callable:
    """The backward of an operation on one array, from back(kept, dy) -> dx."""
    def backward(kept: Any, dy: Array, wanted: Any = (True,)) -> tuple:
        return (back(kept, dy),)
    return backward


def constant(name: str, forward: Callable, arrays: Any = 1, doc: str = "") -> Op:
    """A row without a gradient, from forward(...) -> y."""
    def pair(*args: Any, **options: Any) -> tuple:
        return forward(*args, **options), None
    pair.__signature__ = inspect.signature(forward)               # type: ignore[attr-defined]
    return Op(name, pair, None, arrays, doc)


class Part(NamedTuple):
    """A gradient that is zero but at `key`: T of these add up in the time of the whole, not in T times that."""
    shape: tuple; key: Any; d: Any

    def dense(self) -> Any:
        """The gradient as an array."""
        whole = namespace(self.d).zeros(self.shape, self.d.dtype)
        self.add_to(whole)
        return whole

    def add_to(self, whole: Any) -> None:
        """Add it to an array of the whole shape, in place."""
        keys = self.key if isinstance(self.key, tuple) else (self.key,)
        if all(k is None or k is Ellipsis or isinstance(k, (slice, int, numpy.integer)) and k is not True
               and k is not False for k in keys):
            whole[self.key] += self.d             # such a key names no place twice
        else:
            namespace(whole).add.at(whole, self.key, self.d)


def shape_of(a: Any) -> tuple:
    """The shape of an array; () of a Python number."""
    return getattr(a, "shape", ())


def fit(d: Any, shape: tuple) -> Any:
    """The gradient of what was broadcast, summed to the shape that it had.

    >>> fit(numpy.ones((2, 3)), (3,)), fit(numpy.ones((2, 3)), (2, 1))
    (array([2., 2., 2.]), array([[3.],
           [3.]]))
    """
    if d.shape == shape:
        return d
    lead = d.ndim - len(shape)
    axes = (*range(lead), *(lead + k for k, n in enumerate(shape) if n == 1 and d.shape[lead + k] != 1))
    return d.sum(axes, keepdims=True).reshape(shape)
