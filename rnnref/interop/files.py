"""Reads weights from nested dicts, state dicts and files: .npz, .safetensors, .h5, .keras, .pt."""
import re
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Union

import numpy

from ..arrays import Array, asnumpy
from ..errors import DtypeError, NotSupported
from ..files.atomic import to_path
from ..files.hdf5 import read_h5
from ..files.npz import read_npz
from ..files.tensors import read_safetensors, read_torch
from ..files.zips import open_zip, read_member
from .convert import Weights
from .families import infer_cell, layout_of
from .layouts import Layout
from .places import arrays_of

_KERAS_VARS = ("kernel", "recurrent_kernel", "bias")         # what Keras 3 numbers 0 1 2 in its files


def pieces(source: Any, family: str, framework: Union[str, Layout], **options: Any) -> dict[str, Weights]:
    """{place: Weights} of every layer of a kind in a dict or a file; the place is the rest of the names around them.

    source   a dict, nested or not; a file as `read` takes it; a list in the order of Keras's get_weights()
    options  of the layers, where they are not the framework's default

    Arrays of a layer that has none of the biases are taken as of a layer made without.  Arrays of no such layer are
    left out, and so are layers whose number of gates is that of another family.

    >>> import numpy as np
    >>> state = {f"rnn.{w}h_l1": np.ones((4, 4)) for w in ("weight_i", "weight_h")}
    >>> found = pieces(state, "rnn", "torch")
    >>> list(found), sorted(found["rnn._l1"].arrays)
    (['rnn._l1'], ['weight_hh_l0', 'weight_ih_l0'])
    """
    layout = layout_of(family, framework)
    if isinstance(source, (list, tuple)):
        source = dict(zip(arrays_of(layout), source))
    groups: dict = {}
    for full, a in read(source).items():
        name, place = _match_name(layout, full)
        if name:
            groups.setdefault(place, {})[name] = full, a
    needed = [name for name, row in arrays_of(layout).items() if row.ours in "WR"]
    whole = {place: ({n: a for n, (_, a) in group.items()}, {n: full for n, (full, _) in group.items()})
             for place, group in groups.items() if all(n in group for n in needed)}
    return {place: _make_weights(layout, arrays, names, options) for place, (arrays, names) in whole.items()
            if not _has_other_gates(layout, arrays)}


def _has_other_gates(layout: Layout, arrays: dict[str, Array]) -> bool:
    """True if R has the shape of 1, 3 or 4 gates where the layout has another number."""
    row = next(row for row in layout.rows if row.ours == "R")
    axes = dict(zip(row.axes.split()[::-1], getattr(arrays.get(row.theirs), "shape", ())[::-1]))
    gates = len(row.gates or layout.gates)
    return "G" in axes and "H" in axes and axes["G"] in [n * axes["H"] for n in (1, 3, 4) if n != gates]


def _match_name(layout: Layout, full: str) -> tuple[Optional[str], Optional[str]]:
    """The name of the table that `full` ends with, and what is around it; torch numbers layers behind the name."""
    for name in sorted(arrays_of(layout), key=len, reverse=True):
        stem = name.removesuffix("_l0")
        suffix = r"_l\d+(?:_reverse)?" if stem != name else ""
        match = re.fullmatch(rf"(|.*[./]){re.escape(stem)}({suffix})", full)
        if match:
            return name, "".join(match.groups())
    return None, None


def _make_weights(layout: Layout, arrays: dict[str, Array], names: dict[str, str], options: dict) -> Weights:
    """The weights of a layer whose options are seen from the arrays alone, beside `options`."""
    if not any(row.ours in ("b", "bR") for name, row in arrays_of(layout).items() if name in arrays):
        layout = layout.without_bias()
    return Weights(arrays, layout, infer_cell(layout, arrays, **options), names)


def read(source: Union[dict, str, PathLike]) -> dict[str, Array]:
    """The arrays in a dict, or in a file .npz .safetensors .h5 .keras .pt .pth; names of nested ones are joined by "/".

    Of a checkpoint of torch the tensors and numbers are read, without torch, and nothing in it is executed.

    Errors   MissingExtra: the package that reads such a file is not installed, with the pip command.  FileError: the
             file is broken, holds links, data in other files or objects, or says that it is far larger than it is

    >>> import numpy as np
    >>> list(read({"params": {"i": {"kernel": np.ones((2, 3))}}}))
    ['params/i/kernel']
    """
    if hasattr(source, "items"):
        return dict(_flatten(source))
    path = Path(to_path("read", source))
    if path.suffix.lower() not in _READERS:
        raise NotSupported("read", f"a file {path.suffix or path.name!r}", known=" ".join(_READERS))
    return _READERS[path.suffix.lower()](path)


def _flatten(tree: Any, path: str = "") -> Iterator[tuple[str, Array]]:
    for name, leaf in tree.items():
        name = f"{path}/{name}" if path else str(name)
        if hasattr(leaf, "items"):
            yield from _flatten(leaf, name)
        else:
            yield name.removesuffix(":0"), to_numpy(name, leaf)


def to_numpy(name: str, leaf: Any) -> Array:
    """A tensor of any framework as a NumPy array."""
    if not hasattr(leaf, "detach"):
        return asnumpy(leaf)
    if str(leaf.dtype) == "torch.bfloat16":
        raise DtypeError("read", f"{name} has dtype bfloat16, which torch does not hand to NumPy",
                         fix="module.float(), or state = {n: a.float() for n, a in state.items()}")
    return leaf.detach().cpu().numpy()


def _read_h5(path: Path, data: Optional[bytes] = None) -> dict[str, Array]:
    """Weights as Keras saves them; those of Keras 3 under names, which its files have replaced by numbers."""
    arrays = {name.removesuffix(":0"): a for name, a in read_h5("read", path, data).items()}
    return {_restore_keras_name(n, arrays): a for n, a in arrays.items()}


def _restore_keras_name(name: str, arrays: dict[str, Array]) -> str:
    """"…/cell/vars/1" -> "…/cell/recurrent_kernel", if the first two there are the matrices of a recurrent cell."""
    group, _, number = name.rpartition("/")
    both: list[Any] = [arrays.get(f"{group}/{n}") for n in "01"]
    if not group.endswith("/vars") or any(a is None or a.ndim != 2 for a in both) or number not in "012":
        return name
    (_, n), (units, m) = both[0].shape, both[1].shape
    return f"{group[:-5]}/{_KERAS_VARS[int(number)]}" if n == m and m % units == 0 else name


def _read_keras(path: Path) -> dict[str, Array]:
    with open_zip("read", path) as (archive, members):
        return _read_h5(path, read_member("read", path, archive, members, "model.weights.h5"))


def _read_torch(path: Path) -> dict[str, Array]:
    return dict(_flatten_numbers(read_torch("read", path)))


def _flatten_numbers(tree: Any, path: str = "") -> Iterator[tuple[str, Array]]:
    """(path, array) of the arrays and numbers in dicts and lists: a checkpoint has texts and None beside them."""
    if isinstance(tree, (dict, list, tuple)):
        for name, leaf in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _flatten_numbers(leaf, f"{path}/{name}" if path else str(name))
    elif isinstance(tree, (numpy.ndarray, bool, int, float)):
        yield path, numpy.asarray(tree)


_READERS: dict[str, Callable] = {
    ".npz": partial(read_npz, "read"), ".safetensors": partial(read_safetensors, "read"), ".h5": _read_h5,
    ".hdf5": _read_h5, ".keras": _read_keras, ".pt": _read_torch, ".pth": _read_torch}
