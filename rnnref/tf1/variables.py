"""Where our parameters lie in the variables of TF 1: a line of text for each variable.

    "W[igfo]; R[igfo]"      W above R, of both the gate blocks i g f o in this order
    "b[i], b[f]"            side by side
    "1 R"                   with an axis of 1 in front
    "W{2}"                  the third along its first axis
    "~W"                    not used by the cell: a vector as wide as W

A name with {k} is cut into `shards` blocks of rows: kernel/part_0, kernel/part_1.

Every number of a variable is one of ours or none, so one table of places serves to load, to dump and for gradients.
"""
import re
from dataclasses import dataclass, replace
from typing import Any, Optional

import numpy

from ..arrays import asnumpy, namespace
from ..errors import DtypeError, ShapeError
from ..init import get_initializer
from ..shapes import check_floating
from ..tree import first_leaf, leaves, map_structure

_TERM = re.compile(r"(~?)([\w.]+)(?:\[(\w+)\])?(?:\{(\d+)\})?$")


@dataclass(frozen=True)
class Variable:
    """A variable of theirs; `terms` in rows of columns."""
    theirs: str
    terms: tuple                                  # ((Term, ...), ...)
    ones: int = 0                                 # axes of 1 in front
    start: Any = "glorot_uniform"                 # its first value: a name, a number, or a function (rng, shape)
    trainable: bool = True
    shards: int = 1

    @property
    def names(self):
        return [self.theirs.replace("{k}", str(k)) for k in range(self.shards)]


@dataclass(frozen=True)
class _Term:
    ours: str                                     # dotted path of a parameter
    gates: tuple = ()                             # which of its blocks
    of: int = 1                                   # ... of so many
    at: Optional[int] = None                      # along its first axis
    idle: bool = False


def parse_row(theirs, text, gates="", **options):
    """A line of a table -> `Row`."""
    terms = text.lstrip("1 ")
    lines = tuple(tuple(_parse_term(part.strip(), gates) for part in line.split(",")) for line in terms.split(";"))
    return Variable(theirs, lines, (len(text) - len(terms)) // 2, **{"start": _default_start(theirs)} | options)


def _parse_term(text, gates):
    """`gates`: the letters of the blocks, or {parameter: letters} where they differ, "" for the others."""
    idle, ours, picked, at = _TERM.findall(text)[0]
    letters = str(gates.get(ours, gates[""]) if isinstance(gates, dict) else gates)
    return _Term(ours, tuple(map(letters.index, picked)), len(letters), int(at) if at else None, bool(idle))


def _default_start(theirs):
    """TF's first value where a class does not say another."""
    name = theirs.split("/")[-1]
    return 0.0 if name.startswith(("bias", "b_", "B")) else "glorot_uniform"


def nest_rows(rows, scope="", path=""):
    """The same variables inside `scope`, of parameters at `path`."""
    def moved(t):
        return replace(t, ours=f"{path}.{t.ours}" if path else t.ours)
    return [replace(r, theirs=f"{scope}/{r.theirs}" if scope else r.theirs,
                    terms=tuple(tuple(map(moved, line)) for line in r.terms)) for r in rows]


class Places:
    """Where each number of each variable lies among all of ours, for parameters of these shapes."""

    def __init__(self, rows, shapes):
        self.size, self.like, self.starts = 0, _make_placeholders(shapes), {}
        for path, a in leaves(self.like):
            self.starts[path] = numpy.arange(self.size, self.size + a.size).reshape(a.shape)
            self.size += a.size
        self.of = {name: at for r in rows for name, at in zip(r.names, numpy.array_split(self.places(r), r.shards))}

    def places(self, r):
        lines = [numpy.concatenate([self.part(t) for t in line], -1) for line in r.terms]
        a = numpy.concatenate(lines, -2) if len(lines) > 1 else lines[0]
        return a.reshape((1,) * r.ones + a.shape)

    def part(self, t):
        a = self.starts[t.ours]
        if t.idle:
            return numpy.full(a.shape[-1:], -1)
        a = a if t.at is None else a[t.at]
        if t.gates:
            blocks = numpy.split(a, t.of, -1)
            a = numpy.concatenate([blocks[n] for n in t.gates], -1)
        return a

    def to_variables(self, tree):
        """Our tree -> theirs, {name: array}, where ours lies; what is idle is zero."""
        arrays, xp = dict(leaves(tree)), namespace(first_leaf(tree))        # in any order
        flat = xp.concatenate([*(arrays[path].reshape(-1) for path in self.starts), xp.zeros(1, first_leaf(tree).dtype)])
        return {name: flat[xp.asarray(at % flat.size)] for name, at in self.of.items()}

    def filled(self, arrays):
        """Theirs -> our tree; what they have no place for is zero."""
        dtype = next(iter(arrays.values())).dtype
        flat = numpy.zeros(self.size + 1, dtype)
        for name, at in self.of.items():
            flat[at.ravel()] = arrays[name].ravel()
        pieces = {path: flat[at] for path, at in self.starts.items()}
        paths = iter(pieces)
        return map_structure(lambda _: pieces[next(paths)], self.like)

    def find_unplaced(self, tree):
        """The paths of ours that are not zero where no variable holds them."""
        held = numpy.zeros(self.size + 1, bool)
        for at in self.of.values():
            held[at.ravel()] = True
        return [path for path, a in leaves(tree) if asnumpy(a)[~held[self.starts[path]]].any()]


def _make_placeholders(shapes):
    """Arrays without numbers for the shapes that a cell declares: dicts, and tuples of such."""
    if isinstance(shapes, dict):
        return {name: _make_placeholders(shape) for name, shape in shapes.items()}
    if any(not hasattr(each, "__index__") for each in shapes):
        return tuple(map(_make_placeholders, shapes))
    return numpy.empty(shapes, numpy.int8)


def infer_inputs(rows, shapes, units, arrays, who, step=1):
    """How many inputs the variables are for: shapes grow with them, and how is seen from one step and two."""
    one, two = (Places(rows, shapes(n, units)) for n in (step, 2 * step))
    for r in rows:
        low, high = (places.places(r).shape for places in (one, two))
        have = (sum(len(arrays[name]) for name in r.names), *arrays[r.names[0]].shape[1:])
        for a, b, got in zip(low, high, have):
            if a != b:
                n, rest = divmod(got - a, b - a)
                if rest or n < 0:
                    raise ShapeError(who, f"{' '.join(r.names)} has shape {have}, expected {low} or more",
                                     axes=f"for {step} inputs; {high} for {2 * step}")
                return (1 + n) * step
    return step


def check_variables(who, places, arrays):
    """Raise unless every variable has the shape and the dtype that it must have."""
    dtype = None
    for name, at in places.of.items():
        a = arrays[name]
        check_floating(who, name, a, dtype)
        dtype = a.dtype
        if a.shape != at.shape:
            raise ShapeError(who, f"{name} has shape {a.shape}, expected {at.shape}")


def draw_variables(rows, places, rng, dtype):
    """First values, as TF draws them: theirs, {name: array}."""
    def value(r, shape):
        plain = isinstance(r.start, (int, float))
        return numpy.asarray(numpy.full(shape, r.start) if plain else get_initializer(r.start)(rng, shape)).astype(dtype)
    return {name: value(r, places.of[name].shape) for r in rows for name in r.names}


def find_variables(arrays, names, scope, who):
    """{name inside the scope: array}; without a scope it is looked for, and must be the only one that fits."""
    if scope is None:
        ends = [name[:-len(names[0])].rstrip("/") for name in arrays if f"/{name}".endswith("/" + names[0])]
        found = [end for end in ends if all(join_scope(end, name) in arrays for name in names)]
        if len(found) != 1:
            raise ShapeError(who, f"{len(found) or 'no'} scopes hold its variables", variables=" ".join(names),
                             fix="say which: scope=…" * bool(found), found=" ".join(map(repr, found)),
                             given=" ".join(arrays))
        scope = found[0]
    lacks = [join_scope(scope, name) for name in names if join_scope(scope, name) not in arrays]
    if lacks:
        raise ShapeError(who, f"{' '.join(lacks)} missing", given=" ".join(arrays) or "nothing")
    for name in names:
        if not hasattr(arrays[join_scope(scope, name)], "dtype"):
            raise DtypeError(who, f"{name} is a {type(arrays[join_scope(scope, name)]).__name__}, expected an array")
    return scope, {name: asnumpy(arrays[join_scope(scope, name)]) for name in names}


def join_scope(scope, name):
    return f"{scope}/{name}" if scope else name
