"""Two walks over the tables, their arrays to our parameters and back, and what is made of both.  (floor 4)"""
import numpy

from ..arrays import asnumpy
from ..errors import NotSupported, ShapeError
from ..shapes import check_floating
from .adapt import adapt
from .families import cell_like, check_defaults, infer_cell, layout_of
from .places import arrays_of, blocks_of, check_gates, check_shapes, expected_shapes, infer_sizes, is_row_needed

_MISSING_OPTIONS = {"bR": "recurrent_bias=True", "P": "projection=its width", "Wp": "peepholes=True"}


def load(layout, arrays, cell):
    """Their arrays, by name -> the parameters of `cell`; blocks that they have no place for are zero.

    >>> import numpy as np
    >>> from rnnref.interop import cell_for, layout_of
    >>> theirs = {"kernel": np.ones((2, 3)), "recurrent_kernel": np.ones((1, 3)), "bias": np.array([1.0, 2.0, 3.0])}
    >>> cell, layout = cell_for("gru before", "keras"), layout_of("gru before", "keras")
    >>> load(layout, theirs, cell)["b"]           # theirs are z r n
    array([2., 1., 3.])
    """
    arrays, sizes = measure_arrays(layout, arrays, cell)
    dtype = next(iter(arrays.values())).dtype
    p = {name: numpy.zeros(shape, dtype) for name, shape in cell.shapes(sizes["I"].n, sizes["U"].n).items()}
    for block in blocks_of(layout, cell, sizes):
        if block.theirs not in arrays or block.place is None:
            continue
        if block.ours in p:
            p[block.ours][block.place] = block.read(arrays[block.theirs])
        elif arrays[block.theirs][block.at].any():
            raise _no_parameter_error(cell, block)
    return p


def measure_arrays(layout, arrays, cell):
    """Their arrays in main memory and the sizes of all axes, after everything has been seen to fit."""
    check_gates(layout, cell)
    arrays = {name: asnumpy(a) for name, a in arrays.items()}
    _check_names(layout, arrays, cell)
    sizes = infer_sizes(layout, arrays, cell)
    check_shapes(layout, arrays, cell, sizes)
    dtype = next(iter(arrays.values())).dtype
    for name, a in arrays.items():
        check_floating(cell.name, name, a, dtype)
    return arrays, sizes


def _check_names(layout, arrays, cell):
    """Raise unless these are the arrays of the layout: all that the cell needs, and no others."""
    known = arrays_of(layout)
    odd = [name for name in arrays if name not in known]
    if odd:
        raise ShapeError(cell.name, f"{' '.join(odd)}: not known to {layout.who}", known=" ".join(known),
                         hint="if these are several layers, or a whole model: interop.sources.pieces")
    for name, row in known.items():
        needed = is_row_needed(layout, row, cell)
        if needed and name not in arrays:
            raise ShapeError(cell.name, f"{name} is missing: {row.ours.replace('{g}', '')} lies in it",
                             given=" ".join(arrays) or "nothing",
                             hint="if the layer was made without biases: layout_of(…, bias=False)"
                             if row.ours in ("b", "bR") else "")
        if name in arrays and row.ours == "P" and not needed:
            raise NotSupported(cell.name, f"{name} is given, and this cell has no projection", fix=_MISSING_OPTIONS["P"])


def _no_parameter_error(cell, block):
    fix = next((fix for ours, fix in _MISSING_OPTIONS.items() if block.ours.startswith(ours)), "")
    return NotSupported(cell.name, f"{block.theirs} is not zero, and this cell has no {block.ours}", fix=fix)


def dump(layout, p, cell):
    """The parameters of `cell` -> their arrays, by name.  load(dump(p)) is p to the last bit.

    >>> import numpy as np
    >>> from rnnref.interop import cell_for, layout_of
    >>> p = {"W": np.ones((2, 3)), "R": np.ones((1, 3)), "b": np.array([1.0, 2.0, 3.0]), "bR": np.zeros(3)}
    >>> dump(layout_of("gru", "onnx"), p, cell_for("gru", "onnx"))["B"]
    array([[2., 1., 3., 0., 0., 0.]])
    """
    out, left = _write_blocks(layout, p, cell)
    for name, here in left.items():
        if here.size and here.all() and here.ndim > 1 or asnumpy(p[name])[here].any():
            raise NotSupported(cell.name, f"{name} is not zero where {layout.who} has no place for it",
                               hint="if the two biases of a gate are only ever added, add bR to b and let bR be zero"
                               if name == "bR" else "")
    return out


def gradients(layout, dp, cell):
    """Gradients of the parameters -> gradients of their arrays.  What has no place in theirs has no gradient there."""
    return _write_blocks(layout, dp, cell)[0]


def _write_blocks(layout, p, cell):
    """Their arrays, and what of ours no block has taken: {name: bool array}."""
    check_gates(layout, cell)
    p, axes = {name: asnumpy(a) for name, a in p.items()}, cell.axes()
    sizes = cell.sizes(p["W"].shape[-2], cell.units(p))
    shapes, out = expected_shapes(layout, cell, sizes), {}
    left = {name: numpy.ones(a.shape, bool) for name, a in p.items()}
    blocks = list(blocks_of(layout, cell, sizes))
    used = {block.theirs for block in blocks if block.ours in axes or (block.ours == "bR" and "b" in axes)}
    for block in blocks:
        if block.theirs in used:
            target = out.setdefault(block.theirs, numpy.zeros(shapes[block.theirs], p["W"].dtype))
            if block.ours in axes and block.place is not None:
                block.write(target, p[block.ours][block.place])
                left[block.ours][block.place] = False
    return out, left


def convert(arrays, source, target, family, given=None, wanted=None):
    """Weights of one framework as weights of another, with which it computes the same outputs.

    source, target   frameworks as in `LAYOUTS`, or layouts: layout_of("lstm", "keras", bias=False)
    family           "rnn", "lstm", "gru" (reset after the product), "gru before", "mgu" or "conv lstm"
    given            options of the source layer that are not its framework's default: {"forget_bias": 0.0}
    wanted           the same of the target layer, where they differ from those given
    Errors           ShapeError: arrays that are not those of the source; NotSupported: what the target cannot compute,
                     or computes only with an option that is neither its default nor given nor wanted

    >>> import numpy as np
    >>> theirs = {"kernel": np.ones((3, 4)), "bias": np.arange(4.0)}          # TF 1: i g f o, forget_bias=1
    >>> convert(theirs, "tf1", "torch", "lstm")["bias_ih_l0"]
    array([0., 3., 1., 3.])
    """
    theirs, other = layout_of(family, source), layout_of(family, target)
    cell = infer_cell(theirs, arrays, **given or {})
    new = cell_like(other, cell, **wanted or {})
    check_defaults(other, new, {**(given or {}), **(wanted or {})})
    p = load(theirs, arrays, cell)
    return dump(other, adapt(cell, p, new, separate=gates_with_own_bias(other, new)), new)


def gates_with_own_bias(layout, cell):
    """The gates whose recurrent bias has a place of its own."""
    return {block.gate for block in blocks_of(layout, cell, cell.sizes(0, 1)) if block.ours == "bR"}
