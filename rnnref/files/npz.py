"""Arrays of NumPy in a zip archive, .npz, or alone, .npy; without pickle."""
import os
from math import prod
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional
from zipfile import ZipFile, ZipInfo

import numpy
from numpy.lib import format as npy

from ..arrays import Array, asnumpy
from ..errors import DtypeError, FileError, import_optional
from .atomic import replace_file, to_path
from .opening import check_unpacked, open_file
from .zips import check_member, open_zip

_CHUNK = 1 << 24


class Header(NamedTuple):
    """What an array is, before it is read."""
    shape: tuple
    dtype: Any
    fortran: bool = False
    stored: Any = None                            # the dtype in the file, where NumPy has no name for it: bits


def write_npz(who: str, path: Any, arrays: dict[str, Array]) -> None:
    """Write {name: array}, of a GPU too, to a file.

    dtypes that NumPy does not know (bfloat16 and others of ml_dtypes) are written as unsigned integers, with their name
    in the comment of the member.

    Errors   DtypeError: Python objects, or raw bytes.  FileError: a name that an archive cannot hold
    """
    path = to_path(who, path)
    for name, a in arrays.items():
        check_member(who, path, f"{name}.npy")
        _as_stored(who, name, a.dtype)
    with replace_file(who, path) as file, ZipFile(file, "w") as archive:
        for name, a in arrays.items():
            a, member = asnumpy(a), ZipInfo(f"{name}.npy")
            stored = _as_stored(who, name, a.dtype)
            if stored is not a.dtype:
                a, member.comment = a.view(stored), a.dtype.name.encode()
            with archive.open(member, "w", force_zip64=True) as f:
                npy.write_array(f, a, allow_pickle=False)


def _as_stored(who: str, name: str, dtype: Any) -> Any:
    """The dtype in which one is written: itself, or bits of its size."""
    if dtype.hasobject:
        raise DtypeError(who, f"{name or 'the array'} has dtype {dtype}: Python objects are not written",
                         fix="arrays of numbers")
    if dtype.kind != "V" or dtype.names:
        return dtype
    if dtype.itemsize not in (1, 2, 4, 8) or dtype.type is numpy.void:
        raise DtypeError(who, f"{name or 'the array'} has dtype {dtype}: raw bytes are not written",
                         fix="a.view(dtype) of numbers")
    return numpy.dtype(f"u{dtype.itemsize}")


def read_npz(who: str, path: Any, check: Optional[Callable[[dict[str, Header]], None]] = None) -> dict[str, Array]:
    """{name: array} of a file.

    check    called with {name: Header} before any array is read

    Errors   FileError: a file that is broken, or holds something else than arrays of numbers
    """
    with open_zip(who, path) as (archive, members):
        headers = {}
        for name, info in members.items():
            if not name.endswith(".npy"):
                raise FileError(who, f"{path} holds {name!r}, which is no array", known="members .npy")
            with archive.open(info) as f:
                headers[name[:-4]] = _read_header(who, path, name[:-4], f, info.file_size, info.comment)
        if check is not None:
            check(headers)
        check_unpacked(who, path, sum(i.file_size for i in members.values()), sum(
            i.compress_size for i in members.values()), " ".join(list(headers)[:5]))
        arrays = {}
        for name, header in headers.items():
            with archive.open(members[f"{name}.npy"]) as f:
                _skip_header(f)
                arrays[name] = _read_array(who, path, name, f, header)
        return arrays


def read_npy(who: str, path: Any) -> dict[str, Array]:
    """{name of the file without .npy: its array}.

    Errors   FileError: a file that is broken, or holds something else than an array of numbers
    """
    name = Path(to_path(who, path)).stem
    with open_file(who, path) as f:
        header = _read_header(who, path, name, f, os.fstat(f.fileno()).st_size)
        return {name: _read_array(who, path, name, f, header)}


def _skip_header(f: Any) -> Any:
    """What numpy reads of the start of an array."""
    version = npy.read_magic(f)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"an array of version {version} of the format")
    return npy.read_array_header_1_0(f) if version == (1, 0) else npy.read_array_header_2_0(f)


def _read_header(who: str, path: Any, name: str, f: Any, size: int, comment: bytes = b"") -> Header:
    shape, fortran, dtype = _skip_header(f)
    if dtype.hasobject:
        raise FileError(who, f"{name} in {path} holds Python objects, which are not read", fix="arrays of numbers")
    size -= f.tell()
    if any(type(n) is not int or n < 0 for n in shape) or prod(shape) * dtype.itemsize != size:
        raise FileError(who, f"{name} in {path} has shape {shape} and dtype {dtype}, and {size:,} bytes")
    if comment:
        return Header(shape, _named_dtype(who, path, name, comment, dtype), fortran, dtype)
    if dtype.kind == "V" and not dtype.names:
        raise FileError(who, f"{name} in {path} is raw bytes of {dtype}, and what they mean is not said",
                        hint="numpy.savez writes bfloat16 so; rnnref.save says it")
    return Header(shape, dtype, fortran, dtype)


def _named_dtype(who: str, path: Any, name: str, comment: bytes, stored: Any) -> Any:
    """A dtype of ml_dtypes that a comment names."""
    text = comment.decode("utf-8", "replace")
    known = import_optional("ml_dtypes", "cuda13", f"{who}, {name} of dtype {text[:30]}")
    found = getattr(known, text, None) if text.isidentifier() else None
    if not isinstance(found, type) or numpy.dtype(found).itemsize != stored.itemsize or stored.kind != "u":
        raise FileError(who, f"{name} in {path} has the dtype {text[:60]!r}, which is not known")
    return numpy.dtype(found)


def _read_array(who: str, path: Any, name: str, f: Any, header: Header) -> Array:
    """The numbers, into an array of the size that is known; the sum of the archive is checked at its end."""
    flat = numpy.empty(prod(header.shape) * header.dtype.itemsize, "u1")
    done = 0
    while done < len(flat):
        bytes_read = f.read(min(_CHUNK, len(flat) - done))
        if not bytes_read:
            raise FileError(who, f"{path} ends within {name}")
        flat[done:done + len(bytes_read)] = numpy.frombuffer(bytes_read, "u1")
        done += len(bytes_read)
    f.read(1)                                     # at the end the sum is compared
    a = flat.view(header.stored).view(header.dtype) if header.dtype.itemsize and len(flat) else numpy.empty(
        prod(header.shape), header.dtype)
    return a.reshape(header.shape[::-1]).T if header.fortran else a.reshape(header.shape)
