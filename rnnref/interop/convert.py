"""Two walks over the tables: their arrays to our parameters, and back.  (floor 4)"""
import numpy

from ..arrays import asnumpy
from ..cells import catalog
from ..errors import NotSupported, ShapeError
from ..shapes import Size, expect, extents
from .layouts import LAYOUTS

FAMILIES = {"rnn": catalog.SimpleRNN, "lstm": catalog.LSTM, "gru": catalog.GRU, "gru before": catalog.GRU}


def layout_of(family, framework):
    if (family, framework) not in LAYOUTS:
        raise NotSupported("interop", f"no layout of {framework!r} for {family!r}",
                           known=", ".join(f"{f} {k}" for k, f in sorted(LAYOUTS)))
    return LAYOUTS[family, framework]


def cell_for(family, framework, **options):
    """Our cell as the framework computes it; `options` win over those of the layout."""
    return FAMILIES[family](**(layout_of(family, framework).options | options))


def load(layout, arrays, cell):
    """Their arrays, by name -> the parameters of `cell`; blocks that they have no place for are zero.

    >>> import numpy as np
    >>> theirs = {"kernel": np.ones((2, 3)), "recurrent_kernel": np.ones((1, 3)), "bias": np.array([1.0, 2.0, 3.0])}
    >>> cell = cell_for("gru before", "keras")
    >>> load(LAYOUTS["gru before", "keras"], theirs, cell)["b"]       # theirs are z r n
    array([2., 1., 3.])
    """
    arrays = {name: asnumpy(a) for name, a in arrays.items()}
    I, U = sizes_of(layout, arrays, cell)
    axes = cell.axes()
    known = {name for row in layout.rows for name in theirs_of(layout, row)}
    odd = [name for name in arrays if name not in known]
    if odd:
        raise ShapeError(cell.name, f"{' '.join(odd)}: not known to this layout", known=" ".join(sorted(known)))
    dtype = numpy.result_type(*arrays.values())
    p = {name: numpy.zeros(shape, dtype) for name, shape in cell.shapes(I, U).items()}
    for row in layout.rows:
        for theirs, index, ours, block in blocks(layout, row, cell, I, U):
            if theirs not in arrays:
                if ours in axes:
                    raise ShapeError(cell.name, f"{theirs} is missing: {ours} lies in it", given=" ".join(arrays))
                continue
            expect(cell.name, theirs, arrays[theirs], row.axes, sizes_in(layout, row, cell, I, U))
            if ours in axes:
                p[ours][block] = turned(arrays[theirs][index], letters(row), axes[ours].split())
            elif not ours.startswith("Wp") and numpy.any(arrays[theirs][index]):
                raise NotSupported(cell.name, f"{theirs} is not zero, and this cell has no {ours}",
                                   fix="recurrent_bias=True" if ours == "bR" else "")
    return p


def dump(layout, p, cell):
    """The parameters of `cell` -> their arrays, by name.  load(dump(p)) is p to the last bit."""
    I, U = p["W"].shape[0], cell.units(p)
    p, axes, out = {name: asnumpy(a) for name, a in p.items()}, cell.axes(), {}
    left = {name: numpy.ones(a.shape, bool) for name, a in p.items()}         # what no row has taken yet
    for row in layout.rows:
        if row.ours.format(g=cell.gates[0]) not in axes and row.ours.format(g="o") not in axes and row.ours != "bR":
            continue                              # an option that the cell does not use
        for theirs, index, ours, block in blocks(layout, row, cell, I, U):
            shape = extents(row.axes, sizes_in(layout, row, cell, I, U))
            target = out.setdefault(theirs, numpy.zeros(shape, p["W"].dtype))
            if ours in axes:
                target[index] = turned(p[ours][block], axes[ours].split(), letters(row))
                left[ours][block] = False
    for name, here in left.items():
        if numpy.any(p[name][here]):
            raise NotSupported(cell.name, f"{name} is not zero where this layout has no place for it",
                               hint="if the two biases of a gate are only ever added, add bR to b and let bR be zero")
    return out


def blocks(layout, row, cell, I, U):
    """(their array, index in it, our array, index in it) for every gate block of a row."""
    sizes = sizes_in(layout, row, cell, I, U)
    gated = "G" in row.axes.replace("+", " ").split() or "{g}" in row.theirs + row.ours
    gates = (row.gates or layout.gates) if gated else " "
    for k, g in enumerate(gates):
        one_each = "{g}" in row.theirs
        if gated and "{g}" not in row.ours and g not in cell.gates:
            continue                              # a coupled gate has no block of ours
        index = tuple(place(word, row, sizes, 0 if one_each else k * U, U) for word in row.axes.split())
        n = cell.gates.find(g) * U
        block = (..., slice(n, n + U)) if gated and "{g}" not in row.ours else ...
        yield row.theirs.format(g=layout.names.get(g, g)), index, row.ours.format(g=g), block


def place(word, row, sizes, start, U):
    """Where on the axis `word` of their array this block of ours lies."""
    if word.isdigit():
        return row.part if int(word) > 1 else 0
    names = word.split("+")
    part = row.part if len(names) > 1 else 0
    offset = sum(sizes[n].n for n in names[:part])
    start, n = (start, U) if names[part] == "G" else (0, sizes[names[part]].n)
    return slice(offset + start, offset + start + n)


def sizes_in(layout, row, cell, I, U):
    """The sizes of the axes in one row: G is as many blocks as the row has."""
    count = 1 if "{g}" in row.theirs else len(row.gates or layout.gates)
    return cell.sizes(I, U) | {"G": Size(count * U, f"{count} x {U}")}


def sizes_of(layout, arrays, cell):
    """(I, U) from the shapes of their arrays: U from the gate blocks of R, I from W."""
    rows = {ours: next(row for row in layout.rows if row.ours == ours) for ours in "RW"}
    found = {}
    for ours, row in rows.items():
        name = theirs_of(layout, row)[0]
        if name not in arrays:
            raise ShapeError(cell.name, f"{name} is missing", names=f"given are {' '.join(arrays) or 'none'}")
        a, words = arrays[name], row.axes.split()
        if a.ndim != len(words):
            raise ShapeError(cell.name, f"{name} has shape {a.shape}, expected {len(words)} axes",
                             axes=f'{name} is "{row.axes}"')
        found[ours] = dict(zip(words, a.shape))
    row = rows["R"]
    count = 1 if "{g}" in row.theirs else len(row.gates or layout.gates)
    U = found["R"]["G"] // count
    H = cell.projection or U
    return found["W"]["I"] if "I" in found["W"] else found["W"]["I+H"] - H, U


def theirs_of(layout, row):
    """The names of their arrays that a row stands for."""
    return [row.theirs.format(g=layout.names.get(g, g)) for g in row.gates or layout.gates]


def letters(row):
    """The axes of a block of ours as it lies in their array."""
    words = [w.split("+") for w in row.axes.split() if not w.isdigit()]
    return [names[row.part if len(names) > 1 else 0] for names in words]


def turned(a, have, want):
    """`a` with axes `have` in the order `want`; one gate block G is U long."""
    have, want = (["U" if w == "G" else w for w in words] for words in (have, want))
    return a.transpose([have.index(w) for w in want])
