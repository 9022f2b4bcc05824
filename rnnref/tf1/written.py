"""Cells that a user writes, as cells of rnnref: a subclass of RNNCell with call(inputs, state), or with __call__.

A step is recorded, and the backward pass is that of the record.  Where the code cannot be recorded it still runs, and
its backward pass says why there is none.
"""
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, Callable, NamedTuple, Optional

import numpy

from .. import initializers
from ..arrays import Array, is_array, is_floating, namespace
from ..cell import Cell, State
from ..errors import DtypeError, NotSupported, ShapeError, describe_type
from ..nest import flatten, map_structure as map_nest
from ..record import Record
from ..shapes import ArraySpec
from ..tree import Tree, first_leaf, leaves, map_structure, unflatten
from ..values import Arraylike, numbers
from .variables import Variable, as_variable, make_rng, nest_rows

BUILDING: ContextVar = ContextVar("building", default=("float32", None))      # dtype and generator of new variables


class CellVariable(Arraylike):
    """A variable that add_variable made: it stands for its array, and is recorded."""

    def __init__(self, owner: Any, name: str, trainable: bool) -> None:
        self.owner, self.name, self.trainable, self.key = owner, name, trainable, object()

    data = property(lambda self: self.owner.made[self.name])

    def __repr__(self) -> str:
        return f"<Variable {self.name} {tuple(self.shape)} {self.dtype}>"


class TensorShape(tuple):
    """tf.TensorShape: the shape of one array of a state or an output.  A plain tuple is several arrays.

    >>> TensorShape([3, 4]).as_list()
    [3, 4]
    """

    def as_list(self) -> list:
        """The shape as a list."""
        return list(self)


def is_shape(size: Any) -> bool:
    """Whether it is the shape of one array, in a state_size."""
    return hasattr(size, "as_list")


def shape_of(size: Any) -> tuple:
    """The axes of an array after the batch, for a size of a state_size."""
    return tuple(size.as_list()) if is_shape(size) else (int(size),)


def map_sizes(f: Callable, sizes: Any) -> Any:
    """A tree of f(size) for each array of a state_size or an output_size; lists become tuples."""
    if is_shape(sizes) or not isinstance(sizes, (list, tuple, dict)):
        return f(sizes)
    if isinstance(sizes, dict):
        return {k: map_sizes(f, size) for k, size in sizes.items()}
    items = [map_sizes(f, size) for size in sizes]
    return type(sizes)(*items) if hasattr(sizes, "_fields") else tuple(items)


class OneArray(NamedTuple):
    """The state of a cell whose state_size is one number."""
    h: Any


class Kept(NamedTuple):
    record: Any; x: Any; s: Any; p: Any; given: Any
    error: Any                                    # why there is no record


@dataclass(frozen=True, eq=False)
class WrittenCell(Cell):
    """The cell of a user as a cell of rnnref.  It is called on a copy that holds the parameters given."""
    cell: Any
    own_products = "what its call() does"

    @property
    def name(self) -> str:
        return type(self.cell).__name__

    # sizes

    @property
    def is_one_array(self) -> bool:
        """Whether the state is one array, without a tuple."""
        size = self.cell.state_size
        return is_shape(size) or not isinstance(size, (list, tuple, dict))

    def axes(self) -> Any:
        return map_structure(lambda a: " ".join("?" * a.ndim), self.parameters())

    def parameters(self) -> dict:
        """The arrays of the cell, as they are now."""
        return self.cell.p or {}

    def shapes(self, n_in: Any, units: Any) -> Any:
        self.cell.build_once(n_in)
        return map_structure(lambda a: tuple(a.shape), self.parameters())

    def units(self, p: Tree) -> None:
        return None

    def width(self, units: Any) -> Any:
        size = self.cell.output_size
        return shape_of(size)[-1] if is_shape(size) else size

    def lead(self, rows: tuple) -> Any:
        return rows[0]

    def zeros(self, batch: Any, units: Any = None, xp: Any = numpy, dtype: Any = "float32") -> State:
        batch = batch[0] if isinstance(batch, tuple) else batch
        s = map_sizes(lambda size: xp.zeros((batch, *shape_of(size)), dtype), self.cell.state_size)
        return OneArray(s) if self.is_one_array else s

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        """The outputs that output_size announces."""
        like = x if isinstance(x, ArraySpec) else first_leaf(x)
        rows = tuple(like.shape[:len(lead.split())])
        for path, a in leaves(s):
            if is_array(a) and not a.ndim:
                raise NotSupported(self.name, f"state.{path} has no axis for the batch",
                                   fix="a TensorShape([]) is no size of a state here: one number for each row")
        if not isinstance(like, ArraySpec) and not is_floating(like.dtype):
            return None
        return map_sizes(lambda size: ArraySpec((*rows, *shape_of(size)), like.dtype, f"the output of {self.name}"),
                         self.cell.output_size)

    # the pair

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        if extra is not None:
            raise NotSupported(self.name, f"extra={type(extra).__name__}(…): this cell takes none")
        try:
            kept = self._record(p, x, s)
        except NotSupported as error:
            if not self._is_current(p):
                raise
            kept = Kept(None, None, None, None, self._call(self.cell, x, s), error)
        y, new = map_nest(_as_array, numbers(kept.given))
        for a in flatten(y):
            if not is_array(a):
                raise DtypeError(self.name, f"it gave an output that is {describe_type(a)}, expected an array")
        arrays = flatten(new)
        if len(arrays) != len(list(leaves(s))):
            raise ShapeError(self.name, f"it gave a state of {len(arrays)} arrays, expected {len(list(leaves(s)))} as "
                                        "state_size has")
        return _as_tree(y), unflatten(s, arrays), kept

    def backward(self, p: Tree, kept: Any, dy: Tree, dnew: State) -> tuple[Tree, State, Tree, Tree]:
        if kept.error is not None:
            raise NotSupported(self.name, "it ran, but has no backward pass: its step could not be recorded",
                               reason=str(kept.error))
        found = kept.record.backward([flatten(part) for part in kept.given],
                                     [[d for _, d in leaves(tree)] for tree in (dy, dnew)])
        dx, ds, dp = (map_structure(lambda v: _or_zero(found[v], v.data), tree) for tree in (kept.x, kept.s, kept.p))
        return dx, ds, None, dp

    def _record(self, p: Tree, x: Tree, s: State) -> Kept:
        """One step in a record of its own, in which values stand for all arrays."""
        variables = [a for _, a in leaves(map_arrays(lambda a: a, self.cell, p))]
        bound = {v.key: a for v, (_, a) in zip(variables, leaves(p)) if isinstance(v, CellVariable)}
        with Record(bound=bound) as record:
            xs, ss = map_structure(record.leaf, x), map_structure(record.leaf, s)
            values = map_arrays(record.leaf, self.cell, p)
            given = self._call(hold(self.cell, values), xs, ss)
        return Kept(record, xs, ss, values, given, None)

    def _call(self, cell: Any, x: Tree, s: State) -> tuple:
        state = s[0] if self.is_one_array else s
        given = cell.step_of_user(x, state)
        if not isinstance(given, (list, tuple)) or len(given) != 2:
            raise ShapeError(self.name, f"it gave {describe_type(given)}, expected output, new_state")
        return tuple(given)

    def _is_current(self, p: Tree) -> bool:
        """Whether p are the arrays that the cell has itself."""
        now = dict(leaves(self.parameters()))
        return all(a is now[path] or bool((a == now[path]).all()) for path, a in leaves(p))


def map_arrays(f: Callable, cell: Any, p: Tree) -> Tree:
    """p with f(array) in the place of the arrays, and what add_variable gave in the place of those that it made."""
    if not cell.is_written:
        return map_structure(f, p)
    found: dict = {v.name: v for v in cell.variables_made}
    for name, part in p.items():
        inside = vars(cell).get(name)
        if is_array(inside):
            found[name] = f(part)
        elif is_cell(inside):
            found[name] = map_arrays(f, inside, part)
        elif isinstance(part, tuple):
            found[name] = tuple(one if one is None else map_arrays(f, a, one) for a, one in zip(inside, part))
    return {name: found[name] for name in p}


def hold(cell: Any, p: dict) -> Any:
    """A copy of a cell with these values in the place of its arrays, those of the cells inside too."""
    held = copy(cell)
    held.layer, held.is_held = None, True
    if not cell.is_written:
        held.p = p if p else cell.p               # None: it has no variables yet
        return held
    for name, part in p.items():
        inside = vars(cell).get(name)
        if isinstance(part, CellVariable):        # which stands for its array by itself
            continue
        if isinstance(inside, (list, tuple)):
            part = type(inside)(a if one is None else hold(a, one) for a, one in zip(inside, part))
        elif not is_array(inside):
            part = hold(inside, part)
        vars(held)[name] = part
    return held


def find_arrays(cell: Any) -> dict:
    """{attribute: array, or the parameters of the cell, or of the cells in a list, that it is} of a user's cell."""
    found: dict = {}
    for name, a in vars(cell).items():
        if is_array(a) and is_floating(a.dtype) and not name.startswith("_"):
            found[name] = a
        elif is_cell(a):
            found[name] = a.p or {}
        elif isinstance(a, (list, tuple)) and any(map(is_cell, a)):
            found[name] = tuple(one.p or {} if is_cell(one) else None for one in a)
    return found


def is_cell(a: Any) -> bool:
    """Whether it is a cell of TF 1."""
    return hasattr(type(a), "load_variables") and hasattr(type(a), "state_from_tf")


def list_rows(cell: Any, scope: str) -> list[Variable]:
    """The variables of a user's cell: its own, and those of the cells among its attributes.

    Their first values, where a wrapper of TF draws all of its variables, are those that they have.
    """
    rows = []
    for name, a in (cell.p or {}).items():
        inside = vars(cell).get(name)
        if is_array(a):
            trainable = all(v.trainable for v in cell.variables_made if v.name == name)
            rows.append(_start_with(as_variable(f"{scope}/{name}", name, trainable), a))
        elif is_cell(inside):
            rows += nest_rows(_rows_with_values(inside), f"{scope}/{name.lstrip('_')}", name)
        else:
            rows += [r for k, one in enumerate(inside) if is_cell(one)
                     for r in nest_rows(_rows_with_values(one), f"{scope}/{name.lstrip('_')}_{k}", f"{name}.{k}")]
    return rows


def _rows_with_values(cell: Any) -> list[Variable]:
    """The variables of a cell, with the values that they have for first ones."""
    arrays = cell.places.to_variables(cell.p) if cell.p else {}
    return [_start_with(r, arrays[r.name]) if r.name in arrays else r for r in cell.spec.rows]


def _start_with(variable: Variable, a: Array) -> Variable:
    """The variable with this array for its first value."""
    return replace(variable, start=lambda rng, shape: a)


def draw_variable(who: str, shape: Any, initializer: Any, dtype: Any) -> Array:
    """The first value of a variable of a user's cell."""
    default, rng = BUILDING.get()
    shape = tuple(shape.as_list() if is_shape(shape) else shape)
    a = initializers.draw(who, "glorot_uniform" if initializer is None else initializer, shape, dtype or default,
                          rng or make_rng(None))
    return namespace(a).asarray(a)


def _as_array(a: Any) -> Any:
    return numpy.asarray(a) if isinstance(a, (numpy.generic, int, float)) else a


def _as_tree(nest: Any) -> Tree:
    """A nest of a user as a tree of rnnref, which has tuples in the place of lists."""
    if isinstance(nest, dict):
        return {k: _as_tree(a) for k, a in nest.items()}
    if isinstance(nest, (list, tuple)):
        items = [_as_tree(a) for a in nest]
        return type(nest)(*items) if hasattr(nest, "_fields") else tuple(items)
    return nest


def _or_zero(d: Optional[Array], a: Array) -> Array:
    return namespace(a).zeros_like(a) if d is None else d
