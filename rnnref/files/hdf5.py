"""Arrays of HDF5."""
from io import BytesIO
from math import prod
from typing import Any, Callable, Iterator, Optional

import numpy

from ..arrays import Array, asnumpy
from ..errors import DtypeError, FileError, describe_type, import_optional
from .atomic import replace_file
from .npz import Header
from .opening import check_unpacked, naming, open_file

_TEXT = 1 << 16                                   # the most bytes that an attribute holds in its own place


def read_h5(who: str, path: Any, data: Optional[bytes] = None,
            check: Optional[Callable[[dict[str, Header]], None]] = None) -> dict[str, Array]:
    """{path in the file: array} of all numbers in it.

    data     the bytes of the file, where it lies in another
    check    called with {path in the file: Header} before any array is read

    Errors   FileError: a file that is broken, or has links, data in other files, or something else than numbers
    """
    h5py = import_optional("h5py", "verify", f"reading {path}")
    if data is None:
        with open_file(who, path) as file:
            return _read(who, path, file, check, h5py)
    with naming(who, path):
        return _read(who, path, BytesIO(data), check, h5py)


def read_h5_texts(who: str, path: Any, data: Optional[bytes] = None) -> dict[str, dict[str, str]]:
    """{path of a group in the file: {attribute: text}} of all groups that have attributes of text.

    Errors   those of `read_h5`
    """
    h5py = import_optional("h5py", "verify", f"reading {path}")
    if data is None:
        with open_file(who, path) as file, h5py.File(file, "r") as root:
            return dict(_walk_texts(who, path, root, h5py))
    with naming(who, path), h5py.File(BytesIO(data), "r") as root:
        return dict(_walk_texts(who, path, root, h5py))


def _walk_texts(who: str, path: Any, root: Any, h5py: Any) -> Iterator[tuple[str, dict[str, str]]]:
    found = [place for name, _ in _walk(who, path, root, h5py) for place in _list_above(name)]
    groups = {"": root} | {place: root[place] for place in found}
    groups |= {f"{place}/vars": root[f"{place}/vars"] for place in list(groups) if f"{place}/vars" in root and place}
    for place, group in groups.items():
        texts = {}
        for name in group.attrs:
            kind = group.attrs.get_id(name)
            if kind.shape == () and h5py.check_string_dtype(kind.dtype) is not None and kind.dtype.itemsize <= _TEXT:
                text = group.attrs[name]
                texts[name] = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        if texts:
            yield place, texts


def _list_above(name: str) -> list[str]:
    """The groups that a dataset lies in, from the outside."""
    words = name.split("/")
    return ["/".join(words[:n]) for n in range(1, len(words))]


def _read(who: str, path: Any, file: Any, check: Any, h5py: Any) -> dict[str, Array]:
    with h5py.File(file, "r") as root:
        found = dict(_walk(who, path, root, h5py))
        headers = {name: _read_header(who, path, name, dataset) for name, dataset in found.items()}
        if check is not None:
            check(headers)
        sizes = [prod(h.shape) * h.dtype.itemsize for h in headers.values()]
        check_unpacked(who, path, sum(sizes), file.seek(0, 2))
        for size, (name, dataset) in zip(sizes, found.items()):
            check_unpacked(who, path, size, dataset.id.get_storage_size(), name)
        return {name: dataset[()].view(headers[name].dtype) if dataset.dtype.kind == "V" else
                numpy.asarray(dataset[()]) for name, dataset in found.items()}


def _walk(who: str, path: Any, root: Any, h5py: Any) -> Iterator[tuple[str, Any]]:
    """(path in the file, dataset), group by group; each group once."""
    todo, seen = [("", root)], set()
    while todo:
        place, item = todo.pop()
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                raise FileError(who, f"{place} in {path} lies in another file, which is not read")
            yield place, item
            continue
        if not isinstance(item, h5py.Group):
            raise FileError(who, f"{place} in {path} is {describe_type(item)}, expected arrays and groups")
        info = h5py.h5o.get_info(item.id)
        if (info.fileno, info.addr) in seen:
            raise FileError(who, f"{place or '/'} in {path} is a group that is met twice")
        seen.add((info.fileno, info.addr))
        inner = []
        for name in item:
            if not isinstance(item.get(name, getlink=True), h5py.HardLink):
                raise FileError(who, f"{place}/{name} in {path} is a link, which is not followed")
            inner.append((f"{place}/{name}".lstrip("/"), item[name]))
        todo += reversed(inner)


def _read_header(who: str, path: Any, name: str, dataset: Any) -> Header:
    dtype, shape = dataset.dtype, dataset.shape
    if dtype.kind == "V" and dtype.itemsize == 2 and not dtype.names and dataset.attrs.get("dtype") == "bfloat16":
        dtype = numpy.dtype(import_optional("ml_dtypes", "cuda13", f"{who}, {name} of dtype bfloat16").bfloat16)
    elif dtype.kind not in "fiubc":
        raise FileError(who, f"{name} in {path} has dtype {dtype}, expected numbers")
    if shape is None:
        raise FileError(who, f"{name} in {path} is empty: it has no shape")
    return Header(shape, dtype)


def write_h5(who: str, path: Any, arrays: dict[str, Array], names: Optional[dict[str, str]] = None) -> None:
    """Write {path in the file: array} to a file, as `pack_h5` lays them out."""
    with replace_file(who, path) as file:
        file.write(pack_h5(who, arrays, names))


def pack_h5(who: str, arrays: dict[str, Array], names: Optional[dict[str, str]] = None) -> bytes:
    """A file of {path in the file: array} as bytes; bfloat16 as raw bytes with an attribute that says so, as Keras.

    names    {group: what its attribute `name` says}
    """
    h5py = import_optional("h5py", "verify", who)
    for place, a in arrays.items():
        if a.dtype.kind not in "fiubc" and a.dtype.name != "bfloat16":
            raise DtypeError(who, f"{place} has dtype {a.dtype}, expected numbers")
    out = BytesIO()
    with h5py.File(out, "w") as root:
        for place, name in (names or {}).items():
            root.require_group(place).attrs["name"] = name
        for place, a in arrays.items():
            dataset = root.create_dataset(place, data=asnumpy(a))
            if a.dtype.name == "bfloat16":
                dataset.attrs["dtype"] = "bfloat16"
    return out.getvalue()
