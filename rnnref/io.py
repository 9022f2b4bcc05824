"""Trees of arrays in files that are whole or not there.  (floor 1)"""
import os
import tempfile

import numpy

from .arrays import asnumpy
from .errors import ShapeError
from .tree import Tree, leaves, unflatten


def save(path, tree):
    """Write a tree of arrays (parameters, a state) to an .npz file, by dotted paths; from a GPU they are fetched.

    The file is written beside its place and moved there when it is complete, so that whoever is interrupted, at any
    point, keeps the last whole one.
    """
    arrays = {name: asnumpy(a) for name, a in leaves(tree)}
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


def load(path, like=None):
    """What `save` wrote: {dotted path: array}, or a tree as `like`, whose names, shapes and dtypes must be those.

    >>> import os, tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(os.path.join(folder, "p.npz"), {"W": np.ones(2), "cells": (np.zeros(1), None)})
    ...     sorted(load(os.path.join(folder, "p.npz")))
    ['W', 'cells.0']
    """
    with numpy.load(path, allow_pickle=False) as file:
        found = {name: file[name] for name in file.files}
    if like is None:
        return found
    want = dict(leaves(like))
    if found.keys() != want.keys():
        raise ShapeError("load", f"{path} holds {' '.join(sorted(found))}", names=f"expected {' '.join(sorted(want))}")
    for name, a in want.items():
        if found[name].shape != a.shape or found[name].dtype != a.dtype:
            raise ShapeError("load", f"{name} in {path} has shape {found[name].shape} and dtype {found[name].dtype}, "
                                     f"expected {a.shape} and {a.dtype}")
    return unflatten(like, (found[name] for name in want))
