"""Trees of arrays saved to .npz files, and loaded from them."""
import os
from typing import Any

import numpy

from .arrays import asnumpy
from .errors import ShapeError
from .tree import Tree, leaves, unflatten


def save(path: Any, tree: Tree) -> None:
    """Write a tree of arrays (parameters, a state) to an .npz file, under their dotted paths; also from a GPU.

    The file is written under a temporary name in the same folder and renamed when it is complete, so that an
    interruption at any point leaves the previous file whole.
    """
    import tempfile  # here: importing it takes longer than any module of rnnref

    arrays: dict[str, Any] = {name: asnumpy(a) for name, a in leaves(tree)}
    folder, name = os.path.split(os.path.abspath(path))
    with tempfile.NamedTemporaryFile(dir=folder, prefix=name + ".", suffix=".part", delete=False) as part:
        try:
            numpy.savez(part, **arrays)
            part.flush()
            os.fsync(part.fileno())               # the move must not reach the disk before the bytes do
            os.replace(part.name, path)
        except BaseException:
            os.unlink(part.name)
            raise


def load(path: Any, like: Tree = None) -> Tree:
    """Read a file that `save` wrote: {dotted path: array}, or a tree with the structure of `like`.

    Errors   ShapeError: the names, shapes or dtypes in the file are not those of `like`.

    >>> import os, tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(os.path.join(folder, "p.npz"), {"W": np.ones(2), "cells": (np.zeros(1), None)})
    ...     sorted(load(os.path.join(folder, "p.npz")))
    ['W', 'cells.0']
    """
    with numpy.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if like is None:
        return arrays
    want = dict(leaves(like))
    if arrays.keys() != want.keys():
        raise ShapeError("load", f"{path} holds {' '.join(sorted(arrays))}", names=f"expected {' '.join(sorted(want))}")
    for name, a in want.items():
        if arrays[name].shape != a.shape or arrays[name].dtype != a.dtype:
            raise ShapeError("load", f"{name} in {path} has shape {arrays[name].shape} and dtype {arrays[name].dtype}, "
                                     f"expected {a.shape} and {a.dtype}")
    return unflatten(like, (arrays[name] for name in want))
