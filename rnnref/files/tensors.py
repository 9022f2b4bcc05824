"""Arrays of safetensors and of torch."""
import io
import os
import pickle
from collections import OrderedDict
from functools import lru_cache
from math import prod
from typing import Any, Callable, NamedTuple

import numpy

from ..arrays import Array, asnumpy
from ..errors import FileError, import_optional
from .atomic import replace_file
from .opening import check_unpacked, open_file
from .zips import open_zip, read_member

_SAFETENSORS = {"F64": "f8", "F32": "f4", "F16": "f2", "I64": "i8", "I32": "i4", "I16": "i2", "I8": "i1", "U64": "u8",
                "U32": "u4", "U16": "u2", "U8": "u1", "BOOL": "?", "C64": "c8"}
_TORCH = {"DoubleStorage": "f8", "FloatStorage": "f4", "HalfStorage": "f2", "LongStorage": "i8", "IntStorage": "i4",
          "ShortStorage": "i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?",
          "ComplexFloatStorage": "c8", "ComplexDoubleStorage": "c16"}


def _bfloat16(who: str, path: Any) -> Any:
    return numpy.dtype(import_optional("ml_dtypes", "cuda13", f"{who}, bfloat16 in {path}").bfloat16)


def read_safetensors(who: str, path: Any) -> dict[str, Array]:
    """{name: array} of a file.  Errors   FileError: it is broken, or has a dtype that NumPy does not know"""
    deserialize = import_optional("safetensors", "verify", f"reading {path}").deserialize
    failed = import_optional("safetensors", "verify", f"reading {path}").SafetensorError
    with open_file(who, path) as file:
        try:
            found = deserialize(file.read())
        except failed as e:
            raise FileError(who, f"{path} is broken, or no such file as its name says ({e})") from e
        arrays = {}
        for name, a in sorted(found, key=lambda pair: pair[0]):          # the library gives them in any order
            if a["dtype"] not in {"BF16", *_SAFETENSORS}:
                raise FileError(who, f"{name} in {path} has dtype {a['dtype']}, which is not read")
            dtype = _bfloat16(who, path) if a["dtype"] == "BF16" else numpy.dtype(_SAFETENSORS[a["dtype"]])
            arrays[name] = numpy.frombuffer(bytearray(a["data"]), dtype).reshape(a["shape"])
        return arrays


def write_safetensors(who: str, path: Any, arrays: dict[str, Array]) -> None:
    """Write {name: array} to a file."""
    save = import_optional("safetensors.numpy", "verify", f"writing {path}").save
    data = save({name: numpy.ascontiguousarray(asnumpy(a)).reshape(a.shape) for name, a in arrays.items()})
    with replace_file(who, path) as file:
        file.write(data)


def read_torch(who: str, path: Any) -> Any:
    """What torch.save wrote of tensors in dicts and lists, with arrays in their places; torch is not needed.

    Of the file's pickle only the names of tensors and dtypes are known: anything else that it asks for is refused, so
    that nothing of it runs.

    Errors   FileError: the file is broken, was written by a torch before 1.6, or holds other objects, as whole modules
    """
    with open_zip(who, path) as (archive, members):
        root = next((name.rpartition("/")[0] for name in members if name.rpartition("/")[2] == "data.pkl"), None)
        if root is None:
            raise FileError(who, f"{path} is an archive, but none that torch.save wrote: it has no data.pkl")
        if f"{root}/constants.pkl" in members:
            raise FileError(who, f"{path} is a TorchScript program, which is not run",
                            fix="torch.save(module.state_dict(), path)")

        def member(name: str) -> bytes:
            return read_member(who, path, archive, members, f"{root}/{name}")
        if f"{root}/byteorder" in members and member("byteorder") != b"little":
            raise FileError(who, f"{path} was written on a big-endian machine")
        storage = lru_cache(None)(lambda key: member(f"data/{key}"))
        return _Unpickler(who, path, member("data.pkl"), storage, os.stat(path).st_size).load()


class _Storage(NamedTuple):
    """Numbers in a row."""
    data: bytes
    dtype: Any


class _Unpickler(pickle.Unpickler):
    """Of a pickle the parts that tensors need."""

    def __init__(self, who: str, path: Any, text: bytes, storage: Callable[[str], bytes], size: int):
        super().__init__(io.BytesIO(text), encoding="utf-8")
        self.who, self.path, self.storage, self.left = who, path, storage, 100 * size + (1 << 26)

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple, Any] = {
            ("collections", "OrderedDict"): OrderedDict, ("torch", "Size"): tuple,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
            ("torch._utils", "_rebuild_parameter_with_state"): _parameter}
        if (module, name) in known:
            return known[module, name]
        if module == "torch" and name in _TORCH:
            return numpy.dtype(_TORCH[name])
        if (module, name) == ("torch", "BFloat16Storage"):
            return _bfloat16(self.who, self.path)
        raise FileError(self.who, f"{self.path} holds an object {module}.{name}, expected tensors in dicts and lists",
                        fix="torch.save(module.state_dict(), path)")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, _ = pid
        if kind != "storage" or not isinstance(dtype, numpy.dtype):
            raise FileError(self.who, f"{self.path} holds {kind!r}, expected tensors")
        return _Storage(self.storage(key), dtype)

    def _tensor(self, storage: Any, offset: int, shape: tuple, strides: tuple, *rest: Any) -> Array:
        """A tensor as an array of its own; one that repeats its numbers may not be far larger than the file."""
        flat = numpy.frombuffer(storage.data, storage.dtype)
        last = offset + sum((n - 1) * k for n, k in zip(shape, strides, strict=True))
        if offset < 0 or min((*shape, *strides), default=0) < 0 or prod(shape) and last >= len(flat):
            raise FileError(self.who, f"{self.path} has a tensor of shape {shape} and strides {strides} in {len(flat)} "
                                      "numbers")
        if not prod(shape):
            return numpy.empty(shape, flat.dtype)
        size = prod(shape) * flat.itemsize
        self.left -= size
        check_unpacked(self.who, self.path, size if self.left > 0 else 1 << 62, len(storage.data))
        strides = tuple(k * flat.itemsize for k in strides)
        return numpy.lib.stride_tricks.as_strided(flat[offset:], shape, strides).copy()


def _parameter(data: Array, *rest: Any) -> Array:
    return data
