"""Where every number of another framework's weights lies among ours: index arrays, built once and cached.

The parameters of a cell, laid end to end, are one vector, and so are the arrays of the other framework.  `Places` holds
two integer vectors: for each number of theirs its position among ours, and the inverse.  Loading, dumping and
gradients are then one indexed read each, exact to the last bit, on the device on which the arrays are.

The tables of `layouts`, the variables of TF 1 (`tf1.variables`) and the matrices of cuDNN (`interop.cudnn`) are three
notations for such index arrays; the first is read here.
"""
from collections.abc import Callable, Hashable, Iterator
from math import prod
from threading import Lock
from typing import Any, NamedTuple, Union

import numpy

from ..arrays import Array, is_cupy, namespace
from ..cache import is_constant, is_hashable
from ..errors import NotSupported, ShapeError
from ..shapes import ArraySpec, Size, check_names, expect, resolve_shape
from .layouts import Layout, Row

_CACHED_NUMBERS = 2 ** 25                         # the most index numbers that one cache holds: 128 MB


class Places:
    """The positions of all numbers of their arrays among ours, and the reverse.

    shapes    {our name: shape}
    indices   {their name: integers of the shape of their array}: positions among our arrays laid end to end, in the
              order of `shapes`; -1 for a number that is none of ours
    negated   {their name: True where theirs is minus ours}, of arrays that have such numbers

    >>> places = Places({"W": (2, 2), "b": (2,)}, {"kernel": numpy.array([[0, 2], [1, 3]])})      # the transpose
    >>> theirs = places.to_theirs({"W": numpy.array([[1., 2.], [3., 4.]]), "b": numpy.zeros(2)})
    >>> theirs["kernel"].tolist(), places.to_ours(theirs)["W"].tolist(), sorted(places.unplaced)
    ([[1.0, 3.0], [2.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]], ['b'])
    """

    def __init__(self, shapes: dict[str, tuple], indices: dict[str, Array],
                 negated: dict[str, Array] | None = None) -> None:
        self.shapes = shapes
        self._ours, n = _list_slices(shapes)
        self._theirs, m = _list_slices({name: index.shape for name, index in indices.items()})
        dtype = numpy.int32 if max(n, m) < 2 ** 31 else numpy.int64
        flat = [numpy.empty(0, dtype), *[index.astype(dtype).ravel() for index in indices.values()]]
        self._from_ours = numpy.concatenate(flat)
        self._from_theirs = numpy.full(n, -1, dtype)
        placed = numpy.flatnonzero(self._from_ours >= 0)
        self._from_theirs[self._from_ours[placed]] = placed
        self.indices = _slice(self._from_ours, self._theirs)
        self.count = n + m                        # of index numbers held
        missing = _slice(self._from_theirs < 0, self._ours)
        self.unplaced = {name: mask for name, mask in missing.items() if mask.any()}    # ours that theirs do not hold
        self._negated_theirs = self._negated_ours = None
        if negated:
            self._negated_theirs = numpy.concatenate([negated.get(name, numpy.zeros(index.shape, bool)).ravel()
                                                      for name, index in indices.items()])
            self._negated_ours = (self._from_theirs >= 0) & self._negated_theirs[self._from_theirs]

    def to_theirs(self, ours: dict[str, Array]) -> dict[str, Array]:
        """Our arrays -> theirs; zero where a number of theirs is none of ours."""
        found = _gather([ours[name] for name in self.shapes], self._from_ours, self._negated_theirs)
        return _slice(found, self._theirs)

    def to_ours(self, theirs: dict[str, Array]) -> dict[str, Array]:
        """Their arrays -> ours; zero where they have no place for a number of ours."""
        found = _gather([theirs[name] for name in self.indices], self._from_theirs, self._negated_ours)
        return _slice(found, self._ours)

    def find_lost(self, ours: dict[str, Array]) -> list[str]:
        """The names of ours that are not zero where theirs have no place."""
        return [name for name, mask in self.unplaced.items() if _select(ours[name], mask).any()]


def _list_slices(shapes: dict[str, tuple]) -> tuple[list[tuple[str, slice, tuple]], int]:
    """[(name, its slice of all arrays end to end, its shape)], and how many numbers these are."""
    slices, start = [], 0
    for name, shape in shapes.items():
        slices.append((name, slice(start, start + prod(shape)), tuple(shape)))
        start += prod(shape)
    return slices, start


def _slice(flat: Array, slices: list[tuple[str, slice, tuple]]) -> dict[str, Array]:
    return {name: flat[here].reshape(shape) for name, here, shape in slices}


def _gather(arrays: list[Array], index: Array, negated: Array | None = None) -> Array:
    """The numbers at these positions of the arrays laid end to end, in the dtype of the first; zero at -1.

    negated   minus the number where True
    """
    xp, dtype = namespace(*arrays), arrays[0].dtype
    flat = xp.concatenate([*[a.astype(dtype, copy=False).reshape(-1) for a in arrays], xp.zeros(1, dtype)])
    found = flat[index if xp is numpy else xp.asarray(index)]
    return found if negated is None else xp.where(xp.asarray(negated), -found, found)


def _select(a: Array, mask: Array) -> Array:
    return a[namespace(a).asarray(mask)]


def as_array(a: Any) -> Array:
    """An array of NumPy or CuPy as it is, anything else as one of NumPy."""
    return a if is_cupy(a) else numpy.asarray(a)


class BoundedCache:
    """Results of a function of constant arguments, as many as hold `capacity` index numbers together.

    The least recently used go first.  Arguments that have no hash, or could change, are not kept: cells of users may be
    mutable.  Thread-safe: two threads may build the same result, and either is right.
    """

    def __init__(self, build: Callable[..., Any], capacity: int = _CACHED_NUMBERS) -> None:
        self._build, self._capacity = build, capacity
        self._results: dict[Hashable, Any] = {}   # in the order of their last use
        self._lock = Lock()

    def __call__(self, thing: Any, *args: Hashable) -> Any:
        if not is_hashable(thing):
            return self._build(thing, *args)
        key = thing, *args
        with self._lock:
            result = self._results.pop(key, None)
            if result is not None:
                self._results[key] = result
                return result
        result = self._build(*key)                # may take long, or raise: nothing is kept then
        if is_constant(thing):
            with self._lock:
                self._results[key] = result
                self._drop_excess()
        return result

    def _drop_excess(self) -> None:
        excess = sum(result.count for result in self._results.values()) - self._capacity
        for key in list(self._results):
            if excess <= 0:
                break
            excess -= self._results.pop(key).count


# the notation of `layouts`

class Block(NamedTuple):
    """One gate block, which lies at `their_index` of their array and at `our_index` of ours."""
    theirs: str
    their_index: tuple
    their_axes: list
    ours: str
    our_index: Any                                # None: the cell has no such gate, and theirs is not used
    our_axes: list
    gate: str                                     # "" where the array has no gate blocks
    flat: bool                                    # theirs holds the numbers of its transpose, row by row

    def write_index(self, index: Array, part: Array) -> None:
        """The positions of our block into the index of their array."""
        axes = self.their_axes[::-1] if self.flat else self.their_axes
        part = part.transpose([self.our_axes.index(word) for word in axes])
        index[self.their_index] = part.reshape(part.shape[::-1]) if self.flat else part


class LayoutPlaces(NamedTuple):
    """What is known of a layout, a cell and the sizes of all axes."""
    places: Places
    sizes: dict
    homeless: tuple                               # blocks of theirs for which the cell has no parameter

    @property
    def count(self) -> int:
        return self.places.count


def _find_for_arrays(cell: Any, layout: Layout, shapes: tuple[tuple[str, tuple], ...]) -> LayoutPlaces:
    arrays = {name: ArraySpec(shape, None) for name, shape in shapes}
    check_gates(layout, cell)
    _check_names(layout, arrays, cell)
    sizes = infer_sizes(layout, arrays, cell)
    _check_shapes(layout, arrays, cell, sizes)
    return _build_places(layout, cell, sizes, list(arrays))


def _find_for_parameters(cell: Any, layout: Layout, shapes: tuple[tuple[str, tuple], ...]) -> LayoutPlaces:
    check_gates(layout, cell)
    p, axes = {name: ArraySpec(shape, None) for name, shape in shapes}, cell.axes()
    check_names(cell.name, "parameters", p, axes)
    sizes = cell.sizes(p["W"].shape[-2], cell.units(p))
    for name, words in axes.items():
        expect(cell.name, name, p[name], words, sizes)
    written = {block.theirs for block in list_blocks(layout, cell, sizes)
               if block.ours in axes or block.ours == "bR" and "b" in axes}
    return _build_places(layout, cell, sizes, [name for name in arrays_of(layout) if name in written])


find_for_arrays = BoundedCache(_find_for_arrays)           # (cell, layout, ((their name, shape), ...)) -> LayoutPlaces
find_for_parameters = BoundedCache(_find_for_parameters)   # (cell, layout, ((our name, shape), ...)) -> LayoutPlaces


def _build_places(layout: Layout, cell: Any, sizes: dict[str, Size], names: list[str]) -> LayoutPlaces:
    """The `LayoutPlaces` of those of their arrays that have these names."""
    shapes = cell.shapes(sizes["I"].n, sizes["U"].n)
    slices, count = _list_slices(shapes)
    starts, homeless = _slice(numpy.arange(count), slices), []
    theirs = expected_shapes(layout, cell, sizes)
    indices = {name: numpy.full(theirs[name], -1) for name in names}
    negated = {name: numpy.zeros(theirs[name], bool) for name in names} if layout.negated else {}
    for block in list_blocks(layout, cell, sizes):
        if block.theirs not in indices or block.our_index is None:
            continue
        if block.ours in starts:
            block.write_index(indices[block.theirs], starts[block.ours][block.our_index])
            if block.gate and block.gate in layout.negated:
                negated[block.theirs][block.their_index] = True
        else:
            homeless.append(block)
    return LayoutPlaces(Places(shapes, indices, negated), sizes, tuple(homeless))


def list_blocks(layout: Layout, cell: Any, sizes: dict[str, Size]) -> Iterator[Block]:
    """Every gate block of a layout, for a cell and the sizes of its axes."""
    axes, (layout, sizes) = cell.axes(), _expand_space(layout, cell, sizes)
    for row in layout.rows:
        row_sizes, U = _row_sizes(layout, row, sizes), sizes["U"].n
        for n, gate in enumerate(_gates_in(layout, row) or [""]):
            start, ours = 0 if _has_array_per_gate(row) else n * U, _array_name(row.ours, gate)
            index = tuple(_their_index(word, row, row_sizes, start, U) for word in row.axes.split())
            yield Block(_array_name(row.theirs, gate), index, _their_axes(row), ours, _our_index(cell, row, gate, U),
                        _our_axes(axes.get(ours, ""), row), gate, row.flat)


def _expand_space(layout: Layout, cell: Any, sizes: dict[str, Size]) -> tuple[Layout, dict[str, Size]]:
    """S written out, a word for each axis of the kernel, and their lengths: X Y Z, and X' Y' Z' of the kernel of h."""
    maps, rows = {"W": ("", cell.inputs), "R": ("'", getattr(cell, "recurrent", None))}, []
    for row in layout.rows:
        if "S" in row.axes.split():
            mark, m = maps[row.ours]
            kernel = {n + mark: Size(k, "the kernel") for n, k in zip("XYZ", getattr(m, "kernel", ()))}
            row, sizes = row._replace(axes=" ".join([*kernel, *row.axes.split()[1:]])), sizes | kernel
        rows.append(row)
    return layout._replace(rows=tuple(rows)), sizes


def arrays_of(layout: Layout) -> dict[str, Row]:
    """{their name: the first row that reads it} of all arrays of a layout."""
    rows: dict = {}
    for row in layout.rows:
        for gate in _gates_in(layout, row) or [""]:
            rows.setdefault(_array_name(row.theirs, gate), row)
    return rows


def is_row_needed(layout: Layout, row: Row, cell: Any) -> bool:
    """True if the cell has any of the parameters of a row."""
    return any(_array_name(row.ours, gate) in cell.axes() for gate in _gates_in(layout, row) or [""])


def _gates_in(layout: Layout, row: Row) -> str:
    """The gates whose blocks the row holds, in order; none in the matrix of a projection."""
    gated = "G" in row.axes.replace("+", " ").split() or _has_array_per_gate(row)
    return (row.gates or layout.gates) if gated else ""


def _has_array_per_gate(row: Row) -> bool:
    return "{g}" in row.theirs


def _array_name(pattern: str, gate: str) -> str:
    return pattern.replace("{g}", gate)


def _our_index(cell: Any, row: Row, gate: str, U: int) -> Any:
    """Where the block of `gate` is in our array; None if our cell has no such gate."""
    if not gate or row.ours == "P":
        return ...
    if gate not in cell.gates:
        return None
    n = cell.gates.index(gate) * U
    return ... if "{g}" in row.ours else (..., slice(n, n + U))


def _their_index(word: str, row: Row, sizes: dict[str, Size], start: int, U: int) -> Union[int, slice]:
    """Where the block lies on the axis `word` of their array."""
    if word.isdigit():
        return row.part if int(word) > 1 else 0
    names = word.split("+")
    part = row.part if len(names) > 1 else 0
    offset = sum(sizes[n].n for n in names[:part])
    start, length = (start, U) if names[part] == "G" else (0, sizes[names[part]].n)
    return slice(offset + start, offset + start + length)


def _their_axes(row: Row) -> list[str]:
    """The axes of a block as it lies in their array; one gate block G is U long."""
    words = [w.split("+") for w in row.axes.split() if not w.isdigit()]
    names = [names[row.part if len(names) > 1 else 0] for names in words]
    return ["U" if n == "G" else n for n in names]


def _our_axes(axes: str, row: Row) -> list[str]:
    """Our axes in the letters of a row: one gate block is U long, the axes of a kernel are its X Y Z."""
    space = iter([w for w in row.axes.split() if w[0] in "XYZ"])
    return ["U" if w == "G" else next(space, w) if w.isdigit() else w for w in axes.split()]


def _row_sizes(layout: Layout, row: Row, sizes: dict[str, Size]) -> dict[str, Size]:
    """The sizes of the axes of one row: G is as many blocks as its array has."""
    count, U = _count_blocks(layout, row), sizes["U"].n
    gates = " ".join(_gates_in(layout, row)) if count > 1 else ""
    return sizes | {"G": Size(count * U, f"{count} gates {gates} x {U}" if gates else "")}


def _count_blocks(layout: Layout, row: Row) -> int:
    return 1 if _has_array_per_gate(row) else max(1, len(_gates_in(layout, row)))


# what the layout, the cell and the shapes must have in common

def check_gates(layout: Layout, cell: Any) -> None:
    """Raise unless the layout has a block for every gate of the cell, and no further ones unless gates are coupled."""
    lacks, idle = [[g for g in a if g not in b] for a, b in ((cell.gates, layout.gates), (layout.gates, cell.gates))]
    if lacks or (idle and "coupled" not in layout.takes):
        gates = f"has the gates {' '.join(cell.gates)}, {layout.who} has {' '.join(layout.gates)}"
        raise NotSupported(cell.name, gates,
                           hint="a coupled gate has no block of its own: see adapt" if idle and not lacks else "")


_MISSING_OPTIONS = {"bR": "recurrent_bias=True", "P": "projection=its width", "Wp": "peepholes=True"}


def option_for(parameter: str) -> str:
    """The option of a cell that gives it a parameter of this name, in words."""
    return next((option for name, option in _MISSING_OPTIONS.items() if parameter.startswith(name)), "")


def _check_names(layout: Layout, shapes: dict[str, ArraySpec], cell: Any) -> None:
    """Raise unless these are the arrays of the layout: all that the cell needs, and no others."""
    known = arrays_of(layout)
    unknown = [name for name in shapes if name not in known]
    if unknown:
        raise ShapeError(cell.name, f"{' '.join(unknown)}: not known to {layout.who}", known=" ".join(known),
                         hint="if these are several layers, or a whole model: interop.pieces")
    for name, row in known.items():
        needed = is_row_needed(layout, row, cell)
        if needed and name not in shapes:
            raise ShapeError(cell.name, f"{name} is missing: {row.ours.replace('{g}', '')} lies in it",
                             given=" ".join(shapes) or "nothing",
                             hint="if the layer was made without biases: layout_of(…, bias=False)"
                             if row.ours in ("b", "bR") else "")
        if name in shapes and row.ours == "P" and not needed:
            raise NotSupported(cell.name, f"{name} is given, and this cell has no projection", fix=option_for("P"))


def infer_sizes(layout: Layout, arrays: dict[str, Any], cell: Any) -> dict[str, Size]:
    """The sizes of all axes, read off their arrays in the orientation that fits: a transposed one then fails alone."""
    layout = _expand_space(layout, cell, {})[0]
    row_w, row_r = ({r.ours: r for r in reversed(layout.rows)}[ours] for ours in "WR")
    readings = {row: _matrix_sizes(layout, arrays, row, cell) for row in (row_w, row_r)}
    n, fixed = _count_blocks(layout, row_r), cell.projection
    fits = [r for r in readings[row_r] if r["G"] % n == 0 and r["H"] in (None, fixed or r["G"] // n)]
    R = (fits or readings[row_r])[0]
    U = R["G"] // n if fits or fixed or R["H"] is None else R["H"]
    n = _count_blocks(layout, row_w)
    W = next((r for r in readings[row_w] if r["G"] == n * U), readings[row_w][0])
    return cell.sizes(max(0, W["I+H"] - (fixed or U)) if W["I"] is None else W["I"], U)


def _matrix_sizes(layout: Layout, arrays: dict[str, Any], row: Row, cell: Any) -> list[dict]:
    """{axis: length} of the matrix of a row, as it came and transposed."""
    name = _array_name(row.theirs, (_gates_in(layout, row) or " ")[0])
    if name not in arrays:
        raise ShapeError(cell.name, f"{name} is missing", names=f"given are {' '.join(arrays) or 'none'}")
    shape, words = arrays[name].shape, row.axes.split()
    if len(shape) != len(words):
        raise ShapeError(cell.name, f"{name} has shape {shape}, expected {len(words)} axes",
                         axes=f'{name} is "{row.axes}"')
    words, shape = zip(*((w, n) for w, n in zip(words, shape) if not w.isdigit()))
    blank = {"I": None, "H": None}
    return [blank | dict(zip(words, lengths)) for lengths in (shape, shape[::-1])]


def expected_shapes(layout: Layout, cell: Any, sizes: dict[str, Size]) -> dict[str, tuple]:
    """{their name: shape} of every array of the layout."""
    layout, sizes = _expand_space(layout, cell, sizes)
    return {name: resolve_shape(row.axes, _row_sizes(layout, row, sizes)) for name, row in arrays_of(layout).items()}


def _check_shapes(layout: Layout, arrays: dict[str, Any], cell: Any, sizes: dict[str, Size]) -> None:
    layout, sizes = _expand_space(layout, cell, sizes)
    for name, row in arrays_of(layout).items():
        if name in arrays:
            expect(cell.name, name, arrays[name], row.axes, _row_sizes(layout, row, sizes))
