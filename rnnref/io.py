"""Trees of arrays saved to .npz files, and loaded from them."""
from typing import Any

import numpy

from .arrays import Array, is_array
from .errors import DtypeError, NotSupported, ShapeError, describe_type
from .files.npz import Header, read_npz, write_npz
from .tree import Tree, leaves, unflatten


def save(path: Any, tree: Tree) -> None:
    """Write a tree of arrays (parameters, a state) to an .npz file, under their dotted paths; also from a GPU.

    The file is written under a temporary name in the same folder and renamed when it is complete, so that an
    interruption at any point leaves the previous file whole.  It has the mode that the umask asks for, or that of the
    file that was there; a symbolic link is followed.  What a killed save left is removed by the next one.  numpy.load
    reads the file too, and bfloat16 in it as uint16.

    Errors   what `load` could not give back is refused before anything is written.  ShapeError: two arrays of one
             dotted path; a list of arrays.  DtypeError: Python objects, masked arrays, raw bytes.  NotSupported: a
             layer or a model, or something else that is no array.  FileError: the path cannot be written
    """
    write_npz("save", path, _by_path("save", tree))


def _by_path(who: str, tree: Tree) -> dict[str, Array]:
    """{dotted path: array} of a tree; raise if it is not all there."""
    arrays: dict[str, Array] = {}
    for name, a in leaves(tree):
        if name in arrays:
            raise ShapeError(who, f"two arrays of the path {name!r}: one would be lost",
                             hint="a dict has a key with a dot in it, or both 1 and '1'")
        arrays[name] = _to_array(who, name, a)
    return arrays


def _to_array(who: str, name: str, a: Any) -> Array:
    """A leaf as an array; raise if it is none."""
    what = f"{name} is" if name else "the tree is"
    if hasattr(a, "named_weights") or hasattr(a, "get_weights"):
        raise NotSupported(who, f"{what} {describe_type(a)}, expected arrays",
                           fix='layer.params, or tuple(layer.get_weights()); of a model model.save("m.keras"), or '
                               'model.save_weights("m.weights.h5")')
    if isinstance(a, numpy.ma.MaskedArray):
        raise DtypeError(who, f"{what} a masked array, whose mask would be lost", fix="a.filled(value), a.mask")
    if is_array(a):
        return a
    if isinstance(a, list) and any(hasattr(item, "shape") for item in a):
        raise ShapeError(who, f"{what} a list of arrays, expected them in a tuple or a dict", fix="tuple(arrays)")
    if not isinstance(a, (list, bool, int, float, complex, str, numpy.generic)):
        raise NotSupported(who, f"{what} {describe_type(a)}, expected an array",
                           fix="numpy.asarray(a), of a tensor a.detach().cpu().numpy()")
    try:
        return numpy.asarray(a)
    except ValueError:
        raise ShapeError(who, f"{what} a list whose rows differ in length") from None


def load(path: Any, like: Tree = None) -> Tree:
    """Read a file that `save` wrote: {dotted path: array}, or a tree with the structure of `like`.

    Errors   ShapeError: the names, shapes or dtypes in the file are not those of `like`, which is seen before any array
             is read.  FileError: the file is broken, or holds something else than arrays of numbers; nothing in it is
             executed.  MissingFile: there is none

    >>> import os, tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(os.path.join(folder, "p.npz"), {"W": np.ones(2), "cells": (np.zeros(1), None)})
    ...     sorted(load(os.path.join(folder, "p.npz")))
    ['W', 'cells.0']
    """
    if like is None:
        return read_npz("load", path)
    want = _by_path("load", like)

    def check(found: dict[str, Header]) -> None:
        if found.keys() != want.keys():
            raise ShapeError("load", f"{path} holds {' '.join(sorted(found))}",
                             names=f"expected {' '.join(sorted(want))}")
        for name, a in want.items():
            b = found[name]
            if b.shape != a.shape or b.dtype != a.dtype:
                raise ShapeError("load", f"{name} in {path} has shape {b.shape} and dtype {b.dtype}, "
                                         f"expected {a.shape} and {a.dtype}")
    arrays = read_npz("load", path, check)
    return unflatten(like, (arrays[name] for name in want))
