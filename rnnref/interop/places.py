"""Where every gate block of ours lies in their arrays, for one cell and its sizes.  (floor 4)"""
from typing import Any, NamedTuple

from ..errors import NotSupported, ShapeError
from ..shapes import Size, expect, resolve_shape


class Block(NamedTuple):
    """The same numbers twice: theirs[at] with axes `have`, and ours[place] with axes `want`."""
    theirs: str
    at: tuple
    have: list
    ours: str
    place: Any                                    # None: the cell has no such gate, theirs lies idle
    want: list
    gate: str                                     # "" where the array has no gate blocks
    flat: bool

    def read(self, array):
        """The block of their array, with our axes."""
        part, have = array[self.at], self.have
        if self.flat:
            part, have = part.reshape(part.shape[::-1]), have[::-1]
        return part.transpose([have.index(w) for w in self.want])

    def write(self, array, part):
        """Our block into their array."""
        have = self.have[::-1] if self.flat else self.have
        part = part.transpose([self.want.index(w) for w in have])
        array[self.at] = part.reshape(part.shape[::-1]) if self.flat else part


def blocks_of(layout, cell, sizes):
    """Every block of a layout."""
    axes, (layout, sizes) = cell.axes(), _expand_space(layout, cell, sizes)
    for row in layout.rows:
        row_sizes = _row_sizes(layout, row, sizes)
        for n, gate in enumerate(_gates_in(layout, row) or [""]):
            ours, U = _array_name(row.ours, gate), sizes["U"].n
            at = tuple(_their_index(word, row, row_sizes, 0 if _has_array_per_gate(row) else n * U, U) for word in row.axes.split())
            yield Block(_array_name(row.theirs, gate), at, _their_axes(row), ours, _our_index(cell, row, gate, U),
                        _our_axes(axes.get(ours, ""), row), gate, row.flat)


def _expand_space(layout, cell, sizes):
    """S written out, a word for each axis of the kernel, and their lengths: X Y Z, and X' Y' Z' of the kernel of h."""
    maps, said, rows = {"W": ("", cell.inputs), "R": ("'", getattr(cell, "recurrent", None))}, {}, []
    for row in layout.rows:
        if "S" in row.axes.split():
            mark, m = maps[row.ours]
            here = {n + mark: Size(k, "the kernel") for n, k in zip("XYZ", getattr(m, "kernel", ()))}
            row, said = row._replace(axes=" ".join([*here, *row.axes.split()[1:]])), said | here
        rows.append(row)
    return layout._replace(rows=tuple(rows)), sizes | said


def arrays_of(layout):
    """Their name -> the first row that reads it."""
    found = {}
    for row in layout.rows:
        for gate in _gates_in(layout, row) or [""]:
            found.setdefault(_array_name(row.theirs, gate), row)
    return found


def is_row_needed(layout, row, cell):
    """Whether the cell has any of the parameters of a row."""
    return any(_array_name(row.ours, gate) in cell.axes() for gate in _gates_in(layout, row) or [""])


def _gates_in(layout, row):
    """The gates whose blocks the row holds, in order; none in the matrix of a projection."""
    gated = "G" in row.axes.replace("+", " ").split() or _has_array_per_gate(row)
    return (row.gates or layout.gates) if gated else ""


def _has_array_per_gate(row):
    return "{g}" in row.theirs


def _array_name(pattern, gate):
    return pattern.replace("{g}", gate)


def _our_index(cell, row, gate, U):
    """Where the block of `gate` is in our array; None if our cell has no such gate."""
    if not gate or row.ours == "P":
        return ...
    if gate not in cell.gates:
        return None
    n = cell.gates.index(gate) * U
    return ... if "{g}" in row.ours else (..., slice(n, n + U))


def _their_index(word, row, sizes, start, U):
    """Where on the axis `word` of their array the block lies."""
    if word.isdigit():
        return row.part if int(word) > 1 else 0
    names = word.split("+")
    part = row.part if len(names) > 1 else 0
    offset = sum(sizes[n].n for n in names[:part])
    start, length = (start, U) if names[part] == "G" else (0, sizes[names[part]].n)
    return slice(offset + start, offset + start + length)


def _their_axes(row):
    """The axes of a block as it lies in their array; one gate block G is U long."""
    words = [w.split("+") for w in row.axes.split() if not w.isdigit()]
    names = [names[row.part if len(names) > 1 else 0] for names in words]
    return ["U" if n == "G" else n for n in names]


def _our_axes(axes, row):
    """Our axes in the letters of a row: one gate block is U long, the axes of a kernel are its X Y Z."""
    space = iter([w for w in row.axes.split() if w[0] in "XYZ"])
    return ["U" if w == "G" else next(space, w) if w.isdigit() else w for w in axes.split()]


def _row_sizes(layout, row, sizes):
    """The sizes of the axes of one row: G is as many blocks as its array has."""
    count, U = _count_blocks(layout, row), sizes["U"].n
    gates = " ".join(_gates_in(layout, row)) if count > 1 else ""
    return sizes | {"G": Size(count * U, f"{count} gates {gates} x {U}" if gates else "")}


def _count_blocks(layout, row):
    return 1 if _has_array_per_gate(row) else max(1, len(_gates_in(layout, row)))


def check_gates(layout, cell):
    """Raise unless the layout has a block for every gate of the cell, and none that has no gate unless coupled."""
    lacks, idle = [[g for g in a if g not in b] for a, b in ((cell.gates, layout.gates), (layout.gates, cell.gates))]
    if lacks or (idle and "coupled" not in layout.takes):
        has = f"has the gates {' '.join(cell.gates)}, {layout.who} has {' '.join(layout.gates)}"
        raise NotSupported(cell.name, has,
                           hint="a coupled gate has no block of its own: see adapt" if idle and not lacks else "")


def infer_sizes(layout, arrays, cell):
    """The sizes of all axes, read off their arrays the way round that fits: a transposed one then fails by itself."""
    layout = _expand_space(layout, cell, {})[0]
    row_w, row_r = ({r.ours: r for r in reversed(layout.rows)}[ours] for ours in "WR")
    said = {row: _matrix_sizes(layout, arrays, row, cell) for row in (row_w, row_r)}
    n, fixed = _count_blocks(layout, row_r), cell.projection
    fits = [r for r in said[row_r] if r["G"] % n == 0 and r["H"] in (None, fixed or r["G"] // n)]
    R = (fits or said[row_r])[0]
    U = R["G"] // n if fits or fixed or R["H"] is None else R["H"]
    n = _count_blocks(layout, row_w)
    W = next((r for r in said[row_w] if r["G"] == n * U), said[row_w][0])
    return cell.sizes(max(0, W["I+H"] - (fixed or U)) if W["I"] is None else W["I"], U)


def _matrix_sizes(layout, arrays, row, cell):
    """{axis: length} of the matrix of a row, as it came and turned round."""
    name = _array_name(row.theirs, (_gates_in(layout, row) or " ")[0])
    if name not in arrays:
        raise ShapeError(cell.name, f"{name} is missing", names=f"given are {' '.join(arrays) or 'none'}")
    shape, words = arrays[name].shape, row.axes.split()
    if len(shape) != len(words):
        raise ShapeError(cell.name, f"{name} has shape {shape}, expected {len(words)} axes",
                         axes=f'{name} is "{row.axes}"')
    words, shape = zip(*((w, n) for w, n in zip(words, shape) if not w.isdigit()))
    blank = {"I": None, "H": None}
    return [blank | dict(zip(words, turned)) for turned in (shape, shape[::-1])]


def expected_shapes(layout, cell, sizes):
    """Their name -> shape, of every array of the layout."""
    layout, sizes = _expand_space(layout, cell, sizes)
    return {name: resolve_shape(row.axes, _row_sizes(layout, row, sizes)) for name, row in arrays_of(layout).items()}


def check_shapes(layout, arrays, cell, sizes):
    layout, sizes = _expand_space(layout, cell, sizes)
    for name, row in arrays_of(layout).items():
        if name in arrays:
            expect(cell.name, name, arrays[name], row.axes, _row_sizes(layout, row, sizes))
