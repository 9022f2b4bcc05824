"""{name: array} out of whatever holds arrays: dicts of any depth, state dicts, files.  (floor 4)"""
from pathlib import Path
from zipfile import ZipFile

import numpy

from ..arrays import asnumpy
from ..errors import DtypeError, NotSupported, import_optional

_KERAS_VARS = ("kernel", "recurrent_kernel", "bias")                           # what Keras 3 numbers 0 1 2 in its files


def read(source):
    """The arrays in a dict, or in a file .npz, .safetensors, .h5 or .keras; the names of nested ones are joined by "/".

    Errors   MissingExtra: the package that reads such a file is not installed, with the pip command

    >>> import numpy as np
    >>> list(read({"params": {"i": {"kernel": np.ones((2, 3))}}}))
    ['params/i/kernel']
    """
    if hasattr(source, "items"):
        return dict(_flatten(source))
    path = Path(source)
    if path.suffix not in _READERS:
        raise NotSupported("read", f"a file {path.suffix or path.name!r}", known=" ".join(_READERS))
    return _READERS[path.suffix](path)


def _flatten(tree, path=""):
    for name, leaf in tree.items():
        name = f"{path}/{name}" if path else str(name)
        if hasattr(leaf, "items"):
            yield from _flatten(leaf, name)
        else:
            yield name.removesuffix(":0"), to_numpy(name, leaf)


def to_numpy(name, leaf):
    """A tensor of any framework in main memory."""
    if not hasattr(leaf, "detach"):
        return asnumpy(leaf)
    if str(leaf.dtype) == "torch.bfloat16":
        raise DtypeError("read", f"{name} has dtype bfloat16, which torch does not hand to NumPy",
                         fix="module.float(), or state = {n: a.float() for n, a in state.items()}")
    return leaf.detach().cpu().numpy()


def _read_npz(path):
    with numpy.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _read_safetensors(path):
    return import_optional("safetensors.numpy", "verify", f"reading {path.name}").load_file(path)


def _read_h5(path, name=None):
    """Weights as Keras saves them; the layers of a Keras 3 file get the names that it has replaced by numbers."""
    arrays: dict = {}

    def visit(name, item):
        if hasattr(item, "shape"):
            arrays[name.removesuffix(":0")] = item[...]
    with import_optional("h5py", "verify", f"reading {name or path.name}").File(path) as file:
        file.visititems(visit)
    return {_restore_keras_name(n, arrays): a for n, a in arrays.items()}


def _restore_keras_name(name, arrays):
    """"…/cell/vars/1" -> "…/cell/recurrent_kernel", if the first two there are the matrices of a recurrent cell."""
    group, _, number = name.rpartition("/")
    both = [arrays.get(f"{group}/{n}") for n in "01"]
    if not group.endswith("/vars") or any(a is None or a.ndim != 2 for a in both) or number not in "012":
        return name
    (_, n), (units, m) = both[0].shape, both[1].shape
    return f"{group[:-5]}/{_KERAS_VARS[int(number)]}" if n == m and m % units == 0 else name


def _read_keras(path):
    with ZipFile(path) as archive, archive.open("model.weights.h5") as file:
        return _read_h5(file, path.name)


_READERS = {".npz": _read_npz, ".safetensors": _read_safetensors, ".h5": _read_h5, ".hdf5": _read_h5, ".keras": _read_keras}
