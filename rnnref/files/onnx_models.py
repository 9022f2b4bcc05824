"""Reads ONNX files without trust: sizes, types, external data and functions are checked before memory is taken."""
import os
from collections import Counter
from collections.abc import Iterator
from math import prod
from os import PathLike
from typing import Any, NoReturn

from ..errors import FileError, import_optional
from .opening import open_file

_WHO = "reading ONNX"
_MOST_BYTES = (1 << 31) - 1                       # of a message of protobuf
_MOST_ENTRIES = 1 << 24                           # of a sparse tensor
_MOST_NODES = 100_000                             # when the local functions stand in place of their calls
_MODEL_GRAPH = 7                                  # the number of the field of a model that holds its graph
_WIRE_TYPES = (0, 1, 2, 5)                        # of protobuf: varint, 8 bytes, a length and so many bytes, 4 bytes
_EXTERNAL_KEYS = ("location", "offset", "length", "checksum")


def load_model(candidate: Any) -> Any:
    """The ModelProto of a file, with its external data, or a copy of a ModelProto; its local functions are inlined.

    Errors   FileError: no ONNX model, or one that names data outside of its folder, tensors whose data are not what
             they declare, functions that call themselves
    """
    onnx = import_optional("onnx", "verify", _WHO)
    if isinstance(candidate, (str, PathLike)):
        model, title, folder = _parse(onnx, candidate), os.fspath(candidate), os.path.dirname(candidate) or "."
    else:
        model, title, folder = onnx.ModelProto(), "the model", None
        model.CopyFrom(candidate)                 # outputs are added to it
    if not model.graph.node:
        _refuse(title, "it has no nodes")
    for message in _list_messages(onnx, title, model):
        if isinstance(message, onnx.TensorProto):
            _check_tensor(onnx, title, message, folder)
        elif isinstance(message, onnx.SparseTensorProto) and not 0 <= prod(message.dims) <= _MOST_ENTRIES:
            _refuse(title, f"a sparse tensor has the shape {tuple(message.dims)}")
        elif isinstance(message, onnx.TensorShapeProto) and any(d.dim_value < -1 for d in message.dim):
            _refuse(title, f"a shape is {tuple(d.dim_value for d in message.dim)}")
    _check_functions(title, model)
    return _inline_functions(title, model)


def _refuse(title: Any, reason: str) -> NoReturn:
    raise FileError(_WHO, f"{title} is not a valid ONNX model", reason=reason)


def _parse(onnx: Any, path: Any) -> Any:
    with open_file(_WHO, path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > _MOST_BYTES:
            _refuse(path, f"it has {size:,} bytes, and a message of protobuf at most {_MOST_BYTES:,}")
        if not size:
            _refuse(path, "it is empty")
        if not _has_valid_fields(file, 0, size):
            _refuse(path, "its fields are not those of a model")
        file.seek(0)
        model = onnx.ModelProto()
        try:
            model.ParseFromString(file.read())
        except Exception as e:                    # the errors of protobuf have no common class
            _refuse(path, " ".join(str(e).split()))
        return model


def _has_valid_fields(file: Any, begin: int, end: int, depth: int = 0) -> bool:
    """True if numbers and lengths of fields fill a message and its graph: this is seen before the file is read."""
    at = begin
    while at < end:
        file.seek(at)
        head = file.read(min(20, end - at))
        tag, used = _read_varint(head, 0)
        if tag is None or tag & 7 not in _WIRE_TYPES or not tag >> 3:
            return False
        value, after = _read_varint(head, used)
        length = {0: after - used, 1: 8, 2: after - used + (value or 0), 5: 4}[tag & 7]
        if tag & 7 in (0, 2) and value is None or at + used + length > end:
            return False
        inner = at + after, at + used + length
        if not depth and tag == _MODEL_GRAPH << 3 | 2 and not _has_valid_fields(file, *inner, 1):
            return False
        at += used + length
    return True


def _read_varint(head: bytes, at: int) -> tuple[int | None, int]:
    """(a number of up to ten bytes, the place behind it); None if it does not end."""
    for k, byte in enumerate(head[at:at + 10]):
        if byte < 128:
            digits = head[at:at + k + 1]
            return sum((d & 127) << 7 * n for n, d in enumerate(digits)), at + k + 1
    return None, at


def _list_messages(onnx: Any, title: Any, model: Any) -> list[Any]:
    """All messages of a model; raise if a name is not UTF-8: protobuf gives bytes for it, or raises an error."""
    texts: list[Any] = []
    try:
        messages = list(walk_messages(model))
        for message in messages:
            if isinstance(message, onnx.NodeProto):
                texts += [message.op_type, message.domain, *message.input, *message.output]
            elif isinstance(message, onnx.OperatorSetIdProto):
                texts.append(message.domain)
            texts.append(getattr(message, "name", ""))
    except UnicodeDecodeError:
        texts = [b""]
    if not all(isinstance(text, str) for text in texts):
        _refuse(title, "it has names that are not UTF-8")
    return messages


def walk_messages(message: Any) -> Iterator[Any]:
    """The message and all inside it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from walk_messages(inner)


def _check_tensor(onnx: Any, title: Any, t: Any, folder: str | None) -> None:
    """Raise unless the data of a tensor are there, and as many as its shape and its type need."""
    name, what = t.name[:60], f"the tensor {t.name[:60]!r} "
    if t.data_type not in onnx.TensorProto.DataType.values() or not t.data_type:
        _refuse(title, f"{what}has the unknown type {t.data_type}")
    if any(n < 0 for n in t.dims):
        _refuse(title, f"{what}has the shape {tuple(t.dims)}")
    if t.data_type == onnx.TensorProto.STRING:
        if prod(t.dims) != len(t.string_data):
            _refuse(title, f"{what}of {prod(t.dims):,} texts holds {len(t.string_data):,}")
        return
    needed = _count_bytes(onnx, t)
    if t.data_location == onnx.TensorProto.EXTERNAL:
        _read_external(title, t, folder, needed, what)
    elif t.HasField("raw_data") or not prod(t.dims):
        if prod(t.dims) and len(t.raw_data) != needed:
            _refuse(title, f"{what}of shape {tuple(t.dims)} needs {needed:,} bytes and has {len(t.raw_data):,}")
    else:
        numbers = len(t.float_data) + len(t.int32_data) + len(t.int64_data) + len(t.double_data) + len(t.uint64_data)
        if not needed / 32 <= numbers <= prod(t.dims) * 2:
            _refuse(title, f"{what}of {prod(t.dims):,} numbers holds {numbers:,}")
        try:
            onnx.numpy_helper.to_array(t)
        except Exception as e:                    # no common class
            _refuse(title, f"the tensor {name!r}: {' '.join(str(e).split())}")


def _count_bytes(onnx: Any, t: Any) -> int:
    kind = onnx.TensorProto.DataType.Name(t.data_type)
    bits = 4 if kind.endswith(("INT4", "FLOAT4E2M1")) else 2 if kind.endswith("INT2") else \
        8 * onnx.helper.tensor_dtype_to_np_dtype(t.data_type).itemsize
    return (prod(t.dims) * bits + 7) // 8


def _read_external(title: Any, t: Any, folder: str | None, needed: int, what: str) -> None:
    """Put the numbers into a tensor whose data lie in another file of the model's folder."""
    entries = {e.key: e.value for e in t.external_data}
    location = entries.get("location", "")
    if folder is None:
        _refuse(title, f"the data of {what}lie in the file {location!r}: give the path of the model")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", needed))
    except ValueError:
        offset = length = -1
    if len(entries) != len(t.external_data) or set(entries) - set(_EXTERNAL_KEYS) or offset < 0 or length != needed:
        _refuse(title, f"{what}needs {needed:,} bytes, and its data are declared as {entries}")
    path = _find_inside(title, folder, location, what)
    try:
        with open_file(_WHO, path) as file:
            if offset + length > os.fstat(file.fileno()).st_size:
                _refuse(title, f"{what}ends behind the end of {location}")
            file.seek(offset)
            t.raw_data = file.read(length)
    except FileError as e:
        _refuse(title, e.notes.get("reason") or e.args[1])
    t.data_location = 0
    del t.external_data[:]


def _find_inside(title: Any, folder: str, location: str, what: str) -> str:
    """The path of a file that lies in the folder of the model, also when links are followed."""
    path = os.path.join(folder, location)
    inside = os.path.realpath(folder)
    links = [os.path.join(folder, *location.split("/")[:k + 1]) for k in range(location.count("/") + 1)]
    if not location or "\0" in location or os.path.isabs(location) or ".." in location.replace("\\", "/").split("/") \
            or any(map(os.path.islink, links)) or os.path.commonpath([inside, os.path.realpath(path)]) != inside:
        _refuse(title, f"the data of {what}lie in {location!r}, which is not read: it is no file in the folder of the "
                       "model")
    return path


def _check_functions(title: Any, model: Any) -> None:
    """Raise if local functions call themselves, or are very large when they stand in place of their calls."""
    bodies = {(f.domain, f.name): f for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def count(graph: Any, callers: tuple) -> int:
        calls = Counter((node.domain, node.op_type) for node in walk_messages(graph) if hasattr(node, "op_type"))
        return sum(n * (size_of(key, callers) if key in bodies else 1) for key, n in calls.items())

    def size_of(key: tuple[str, str], callers: tuple) -> int:
        if key in callers or len(callers) > 100:
            _refuse(title, f"its function {key[1]} calls itself" if key in callers else "its functions call each other "
                    "over more than 100 levels")
        if key not in sizes:
            sizes[key] = count(bodies[key], (*callers, key))
        return sizes[key]
    for key in bodies:
        size_of(key, ())
    if count(model.graph, ()) > _MOST_NODES:
        _refuse(title, f"it has more than {_MOST_NODES:,} nodes")


def _inline_functions(title: Any, model: Any) -> Any:
    """The model with the bodies of its local functions in place of their calls."""
    if not model.functions:
        return model
    inliner = import_optional("onnx.inliner", "verify", _WHO)
    try:
        return inliner.inline_local_functions(model)
    except Exception as e:                        # of C++: no common class
        _refuse(title, f"its functions cannot be inlined: {' '.join(str(e).split())}")
