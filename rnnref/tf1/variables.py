"""The variables of TF 1 and where our parameters lie in them: a line of text for each variable.

    "W[igfo]; R[igfo]"      W above R, of both the gate blocks i g f o in this order
    "b[i], b[f]"            side by side
    "1 R"                   with an axis of 1 in front
    "W{2}"                  the third along its first axis
    "~W"                    not used by the cell: a vector as wide as W

A name with {k} is cut into `shards` blocks of rows: kernel/part_0, kernel/part_1.

The tables of cells that other frameworks have too are those of `interop.layouts`, in this notation; where the numbers
lie is then one `interop.places.Places`.
"""
import math
import re
from dataclasses import dataclass, replace
from typing import Any, Optional, Union

import numpy

from .. import initializers
from ..arrays import Array, asnumpy
from ..errors import DtypeError, NotSupported, ShapeError, describe_type
from ..init import INITIALIZERS
from ..interop.layouts import LAYOUTS
from ..interop.places import BoundedCache, Places
from ..shapes import check_floating
from ..tree import Tree, leaves, unflatten

_TERM = re.compile(r"(~?)([\w.]+)(?:\[(\w+)\])?(?:\{(\d+)\})?$")


@dataclass(frozen=True)
class Variable:
    """A variable of TF 1; `terms` in rows of columns."""
    name: str
    terms: tuple                                  # ((_Term, ...), ...)
    ones: int = 0                                 # axes of 1 in front
    start: Any = "glorot_uniform"                 # its first value: a name, a number, or a function (rng, shape)
    trainable: bool = True
    shards: int = 1

    @property
    def names(self) -> list[str]:
        """The names of its shards."""
        return [self.name.replace("{k}", str(k)) for k in range(self.shards)]

    def rename(self, name: str) -> "Variable":
        """The same under another name."""
        return replace(self, name=name)


class VariableName(str):
    """The name of a variable, with its array.

    name     the same text
    value    the array; None where the variable has none yet
    """
    value: Optional[Array]

    def __new__(cls, name: str, value: Optional[Array] = None) -> "VariableName":
        self = super().__new__(cls, name)
        self.value = value
        return self

    name = property(lambda self: str(self))
    shape = property(lambda self: None if self.value is None else tuple(self.value.shape))
    dtype = property(lambda self: None if self.value is None else self.value.dtype)

    def numpy(self) -> Array:
        """A copy of the array in main memory."""
        if self.value is None:
            raise NotSupported(str(self), "it has no value yet", fix="load_variables(arrays) or build(inputs)")
        return numpy.array(asnumpy(self.value))


def make_rng(seed: Any) -> Any:
    """A generator for any integer, None for other numbers every time, or a generator itself."""
    if isinstance(seed, (int, numpy.integer)) and seed < 0:
        return numpy.random.default_rng([1, -int(seed)])                      # NumPy takes none below 0
    return numpy.random.default_rng(seed)


@dataclass(frozen=True)
class _Term:
    path: str                                     # dotted, of a parameter
    gates: tuple = ()                             # which of its blocks
    n_blocks: int = 1                             # ... of so many
    item: Optional[int] = None                    # along its first axis
    unused: bool = False


def layout_rows(family: str, framework: str = "tf1") -> dict[str, str]:
    """{name: line} of the variables of a layout of `interop`, optional ones too.

    >>> layout_rows("gru before")
    {'gates/kernel': 'W[rz]; R[rz]', 'gates/bias': 'b[rz]', 'candidate/kernel': 'W[n]; R[n]', 'candidate/bias': 'b[n]'}
    """
    layout, lines = LAYOUTS[family, framework], {}
    for row in layout.rows:
        gates = row.gates or layout.gates
        blocks = f"[{gates}]" if "G" in row.axes.split() else ""
        for gate in gates if "{g}" in row.theirs else "_":
            lines.setdefault(row.theirs.replace("{g}", gate), []).append(row.ours.replace("{g}", gate) + blocks)
    return {name: "; ".join(terms) for name, terms in lines.items()}


def parse_row(name: str, text: str, gates: Union[str, dict] = "", **options: Any) -> Variable:
    """A line of a table -> `Variable`.

    gates     the letters of the blocks, or {parameter: letters} where they differ, "" for the others
    options   fields of `Variable`
    """
    terms = text.lstrip("1 ")
    lines = tuple(tuple(_parse_term(part.strip(), gates) for part in line.split(",")) for line in terms.split(";"))
    return Variable(name, lines, (len(text) - len(terms)) // 2, **{"start": _default_start(name)} | options)


def as_variable(name: str, path: str, trainable: bool = True) -> Variable:
    """The variable that is the one parameter at `path`."""
    return Variable(name, ((_Term(path),),), trainable=trainable)


def _parse_term(text: str, gates: Union[str, dict]) -> _Term:
    unused, path, blocks, item = _TERM.findall(text)[0]
    letters = str(gates.get(path, gates[""]) if isinstance(gates, dict) else gates)
    return _Term(path, tuple(map(letters.index, blocks)), len(letters), int(item) if item else None, bool(unused))


def _default_start(name: str) -> Union[float, str]:
    """TF's first value where a class has no other."""
    return 0.0 if name.split("/")[-1].startswith(("bias", "b_", "B")) else "glorot_uniform"


def nest_rows(rows: list[Variable], scope: str = "", path: str = "") -> list[Variable]:
    """The same variables inside `scope`, of parameters at `path`."""
    def nest(term: _Term) -> _Term:
        return replace(term, path=f"{path}.{term.path}" if path else term.path)
    return [replace(r, name=f"{scope}/{r.name}" if scope else r.name,
                    terms=tuple(tuple(map(nest, line)) for line in r.terms)) for r in rows]


class VariablePlaces:
    """Where the numbers of variables lie among our parameters of these shapes.

    places    `interop.places.Places`, with the dotted paths of our parameters for names
    """

    def __init__(self, rows: list[Variable], shapes: Tree) -> None:
        self.like = _make_placeholders(shapes)
        self.places: Places = _find_places(tuple([(r.name, r.terms, r.ones, r.shards) for r in rows]),
                                           tuple([(path, a.shape) for path, a in leaves(self.like)]))

    @property
    def indices(self) -> dict[str, Array]:
        """{variable: the position of each of its numbers among ours; -1 for one that the cell does not use}."""
        return self.places.indices

    def to_variables(self, tree: Tree) -> dict[str, Array]:
        """Our tree -> {variable: array}; what the cell does not use is zero."""
        return self.places.to_theirs(dict(leaves(tree))) if self.indices else {}

    def to_parameters(self, arrays: dict[str, Array]) -> Tree:
        """{variable: array} -> our tree; what they have no place for is zero."""
        return unflatten(self.like, self.places.to_ours(arrays).values() if self.indices else ())

    def find_lost(self, tree: Tree) -> list[str]:
        """The paths of our parameters that are not zero where no variable holds them."""
        return self.places.find_lost(dict(leaves(tree)))


def _build_places(rows: tuple, shapes: tuple) -> Places:
    starts, size = {}, 0
    for path, shape in shapes:
        starts[path] = numpy.arange(size, size + math.prod(shape)).reshape(shape)
        size += math.prod(shape)
    indices = {}
    for name, terms, ones, shards in rows:
        variable = Variable(name, terms, ones, shards=shards)
        indices |= zip(variable.names, numpy.array_split(_index_variable(variable, starts), shards))
    return Places(dict(shapes), indices)


_find_places = BoundedCache(_build_places)


def _index_variable(variable: Variable, starts: dict[str, Array]) -> Array:
    lines = [_join([_index_term(term, starts) for term in line], -1) for line in variable.terms]
    index = _join(lines, -2)
    return index.reshape((1,) * variable.ones + index.shape)


def _join(parts: list, axis: int) -> Array:
    return numpy.concatenate(parts, axis) if len(parts) > 1 else parts[0]


def _index_term(term: _Term, starts: dict[str, Array]) -> Array:
    index = starts[term.path]
    if term.unused:
        return numpy.full(index.shape[-1:], -1)
    index = index if term.item is None else index[term.item]
    if term.gates:
        blocks = numpy.split(index, term.n_blocks, -1)
        index = numpy.concatenate([blocks[n] for n in term.gates], -1)
    return index


def _make_placeholders(shapes: Any) -> Tree:
    """Arrays without values for the shapes that a cell declares: dicts, and tuples of such."""
    if isinstance(shapes, dict):
        return {name: _make_placeholders(shape) for name, shape in shapes.items()}
    if any(not hasattr(each, "__index__") for each in shapes):
        return tuple(map(_make_placeholders, shapes))
    return numpy.empty(shapes, numpy.int8)


def infer_inputs(rows: list[Variable], shapes: Any, units: Any, arrays: dict[str, Array], who: str,
                 step: int = 1) -> int:
    """How many inputs the variables are for: how shapes grow with them is seen from one step and two.

    shapes   (inputs, units) -> the shapes of our parameters
    """
    once, twice = (dict(leaves(_make_placeholders(shapes(n, units)))) for n in (step, 2 * step))
    for r in rows:
        low, high = (_index_variable(r, parameters).shape for parameters in (once, twice))
        actual = (sum(len(arrays[name]) for name in r.names), *arrays[r.names[0]].shape[1:])
        for a, b, n in zip(low, high, actual):
            if a != b:
                steps, rest = divmod(n - a, b - a)
                if rest or steps < 0:
                    raise ShapeError(who, f"{' '.join(r.names)} has shape {actual}, expected {low} or more",
                                     axes=f"for {step} inputs; {high} for {2 * step}")
                return (1 + steps) * step
    return step


def check_variables(who: str, places: VariablePlaces, arrays: dict[str, Array]) -> None:
    """Raise unless every variable has the shape and the dtype that it must have."""
    dtype = None
    for name, index in places.indices.items():
        a = arrays[name]
        check_floating(who, name, a, dtype)
        dtype = a.dtype
        if a.shape != index.shape:
            raise ShapeError(who, f"{name} has shape {a.shape}, expected {index.shape}")


def draw_variables(rows: list[Variable], places: VariablePlaces, rng: Any, dtype: Any) -> dict[str, Array]:
    """{variable: first value}, as TF draws them."""
    return {name: draw_first_value(name, r.start, places.indices[name].shape, dtype, rng)
            for r in rows for name in r.names}


def draw_first_value(who: str, start: Any, shape: tuple, dtype: Any, rng: Any) -> Array:
    """The first value of a variable.

    start   a number, a name of `rnnref.init`, or what `rnnref.initializers` takes
    """
    if isinstance(start, (int, float)):
        return numpy.full(shape, start, dtype)
    if isinstance(start, str) and start in INITIALIZERS:
        return numpy.asarray(INITIALIZERS[start](rng, shape)).astype(dtype)
    return initializers.draw(who, start, shape, dtype, rng)


def find_variables(arrays: dict[str, Array], names: list[str], scope: Optional[str],
                   who: str) -> tuple[str, dict[str, Array]]:
    """The scope, and {name inside the scope: array}.

    scope   None: the scope that holds all names; there must be exactly one
    """
    if scope is None:
        ends = [name[:-len(names[0])].rstrip("/") for name in arrays if f"/{name}".endswith("/" + names[0])]
        fitting = [end for end in ends if all(join_scope(end, name) in arrays for name in names)]
        if len(fitting) != 1:
            raise ShapeError(who, f"{len(fitting) or 'no'} scopes hold its variables", variables=" ".join(names),
                             fix="choose one: scope=…" * bool(fitting), found=" ".join(map(repr, fitting)),
                             given=" ".join(arrays))
        scope = fitting[0]
    missing = [join_scope(scope, name) for name in names if join_scope(scope, name) not in arrays]
    if missing:
        raise ShapeError(who, f"{' '.join(missing)} missing", given=" ".join(arrays) or "nothing")
    for name in names:
        if not hasattr(arrays[join_scope(scope, name)], "dtype"):
            raise DtypeError(who, f"{name} is {describe_type(arrays[join_scope(scope, name)])}, expected an array")
    return scope, {name: asnumpy(arrays[join_scope(scope, name)]) for name in names}


def join_scope(scope: Optional[str], name: str) -> str:
    """"rnn", "kernel" -> "rnn/kernel"; without a scope the name alone."""
    return f"{scope}/{name}" if scope else name
