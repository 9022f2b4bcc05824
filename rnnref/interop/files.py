"""Reads weights from nested dicts, state dicts and files: .npz, .npy, .safetensors, .h5, .keras, .pt."""
import re
from contextlib import contextmanager
from functools import partial
from os import PathLike, fsdecode
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Optional, Union

import numpy

from ..arrays import Array, asnumpy
from ..errors import DtypeError, Error, FileError, NotSupported, describe_type
from ..files.atomic import to_path
from ..files.hdf5 import read_h5, read_h5_texts
from ..files.npz import read_npy, read_npz
from ..files.opening import naming
from ..files.tensors import read_safetensors, read_torch
from ..files.zips import open_zip, read_member
from .keras_config import KerasConfig, list_layers
from .keras_keys import parse_json

_KERAS_VARS = ("kernel", "recurrent_kernel", "bias")         # what Keras 3 numbers 0 1 2 in its files


class Content(NamedTuple):
    """What a source holds, and what it says of its layers."""
    arrays: dict[str, Array]
    config: Optional[KerasConfig] = None          # of files that Keras wrote


@contextmanager
def naming_source(source: Any) -> Iterator[None]:
    """Errors in the block name the file that the source is."""
    try:
        yield
    except Error as e:
        if isinstance(source, (str, PathLike)) and fsdecode(source) not in str(e):
            e.notes["file"] = fsdecode(source)
        raise


def read(source: Union[dict, str, PathLike]) -> dict[str, Array]:
    """The arrays in a dict, or in a file .npz .npy .safetensors .h5 .keras .pt; names of nested ones are joined by "/".

    Of a checkpoint of torch the tensors and numbers are read, without torch, and nothing in it is executed.

    Errors   MissingExtra: the package that reads such a file is not installed, with the pip command.  FileError: the
             file is broken, holds links, data in other files or objects, or says that it is far larger than it is

    >>> import numpy as np
    >>> list(read({"params": {"i": {"kernel": np.ones((2, 3))}}}))
    ['params/i/kernel']
    """
    return read_content(source).arrays


def read_content(source: Union[dict, str, PathLike]) -> Content:
    """The arrays as `read` gives them, and what a file of Keras says of its layers."""
    if hasattr(source, "items"):
        return Content(dict(_flatten(source)))
    path = Path(to_path("read", source))
    if path.suffix.lower() not in _READERS:
        raise NotSupported("read", f"a file {path.suffix or path.name!r}", known=" ".join(_READERS))
    content = _READERS[path.suffix.lower()](path)
    content = content if isinstance(content, Content) else Content(content)
    if path.suffix.lower() in _UNORDERED:
        arrays = sorted(content.arrays.items(), key=lambda item: _split_numbers(item[0]))
        content = content._replace(arrays=dict(arrays))
    return content


def _split_numbers(name: str) -> list[tuple[int, str]]:
    """A key that sorts lstm_10 behind lstm_2."""
    return [(int(word), "") if word.isdigit() else (-1, word) for word in re.findall(r"\d+|\D+", name)]


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
        try:
            return asnumpy(leaf)
        except (TypeError, ValueError) as e:
            raise DtypeError("read", f"{name} is {describe_type(leaf)} that is no array of numbers",
                             reason=" ".join(str(e).split())[:200]) from None
    if str(leaf.dtype) == "torch.bfloat16":
        raise DtypeError("read", f"{name} has dtype bfloat16, which torch does not hand to NumPy",
                         fix="module.float(), or state = {n: a.float() for n, a in state.items()}")
    try:
        return leaf.detach().cpu().numpy()
    except (NotImplementedError, RuntimeError, TypeError) as e:        # on the device meta, sparse, quantized
        raise DtypeError("read", f"{name} is a tensor that torch does not hand to NumPy",
                         reason=" ".join(str(e).split())[:200]) from None


def _read_h5(path: Path, data: Optional[bytes] = None, config: str = "", version: str = "") -> Content:
    """Weights as Keras saves them; those of Keras 3 under names, which its files have replaced by numbers."""
    arrays = {name.removesuffix(":0"): a for name, a in read_h5("read", path, data).items()}
    texts = read_h5_texts("read", path, data)
    above = texts.get("", {}) | texts.get("model_weights", {})
    with naming("read", path):
        said = read_keras_config(config or above.get("model_config", ""), version or above.get("keras_version", ""))
    names = {place.removesuffix("/vars"): own["name"] for place, own in texts.items() if "name" in own}
    return Content({_restore_keras_name(n, arrays): a for n, a in arrays.items()}, said._replace(names=names))


def read_keras_config(config: str, version: Any) -> KerasConfig:
    """What the JSON of a model says of its layers; "": there is none.

    Errors   FileError: a version that is no version, and what is no configuration of Keras
    """
    numbers = re.match(r"\d+(\.\d+)*", version) if isinstance(version, str) else None
    if numbers is None and version != "":
        raise FileError("pieces", f"keras_version={version!r} in the file, expected a version such as '3.5.0'")
    release = tuple(map(int, numbers[0].split("."))) if numbers else ()
    model = parse_json("the configuration of the model", config) if config else None
    layers, others = (None, {}) if model is None else list_layers(model, release)
    return KerasConfig(release, version.endswith("-tf"), layers, {}, others)


def _restore_keras_name(name: str, arrays: dict[str, Array]) -> str:
    """"…/cell/vars/1" -> "…/cell/recurrent_kernel", if the first two there are the matrices of a recurrent cell."""
    group, _, number = name.rpartition("/")
    both: list[Any] = [arrays.get(f"{group}/{n}") for n in "01"]
    if not group.endswith("/vars") or any(a is None or a.ndim < 2 for a in both) or number not in ("0", "1", "2"):
        return name
    (*_, n), (*_, units, m) = both[0].shape, both[1].shape
    if both[0].ndim != both[1].ndim or not units:
        return name
    return f"{group[:-5]}/{_KERAS_VARS[int(number)]}" if n == m and m % units == 0 else name


def _read_keras(path: Path) -> Content:
    with open_zip("read", path) as (archive, members):
        config, about = (read_member("read", path, archive, members, name).decode("utf-8") if name in members else ""
                         for name in ("config.json", "metadata.json"))
        version = parse_json("metadata.json", about).get("keras_version") if about else None
        if not isinstance(version, str) or not version:
            raise FileError("read", f"{path} has keras_version={version!r} in metadata.json, expected a version",
                            reason="of it depends what the options of its layers mean")
        return _read_h5(path, read_member("read", path, archive, members, "model.weights.h5"), config, version)


def _read_torch(path: Path) -> dict[str, Array]:
    return dict(_flatten_numbers(read_torch("read", path)))


def _flatten_numbers(tree: Any, path: str = "") -> Iterator[tuple[str, Array]]:
    """(path, array) of the arrays and numbers in dicts and lists: a checkpoint has texts and None beside them."""
    if isinstance(tree, (dict, list, tuple)):
        for name, leaf in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _flatten_numbers(leaf, f"{path}/{name}" if path else str(name))
    elif isinstance(tree, (numpy.ndarray, bool, int, float)):
        yield path, numpy.asarray(tree)


_UNORDERED = (".h5", ".hdf5", ".keras", ".safetensors")     # their arrays lie in the order of the alphabet
_READERS: dict[str, Callable] = {
    ".npz": partial(read_npz, "read"), ".npy": partial(read_npy, "read"), ".keras": _read_keras,
    ".h5": _read_h5, ".hdf5": _read_h5, ".safetensors": partial(read_safetensors, "read"),
    ".pt": _read_torch, ".pth": _read_torch}
