"""Files that are broken, or made to do harm: {name: bytes} of each kind."""
import io
import json
import pickle
import struct
import zipfile

import numpy as np


def header(shape, descr="'<f4'", fortran="False"):
    """The start of an .npy file, with anything in it."""
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


class Runs:
    """What a pickle that is read without care calls."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('a file was executed')",))


def zipped(*members, method=zipfile.ZIP_STORED, comment=b""):
    """An archive of (name, bytes)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.comment = method, comment
            z.writestr(info, data)
    return out.getvalue()


def array(a):
    out = io.BytesIO()
    np.save(out, a)
    return out.getvalue()


WHOLE = zipped(("W.npy", array(np.arange(6.0).reshape(2, 3))), ("b.npy", array(np.ones(2, "f4"))))


def _object_array():
    out = io.BytesIO()
    np.save(out, np.array([Runs()], object), allow_pickle=True)
    return out.getvalue()


def _bad_sum():
    place = WHOLE.index(np.arange(6.0).tobytes())
    return WHOLE[:place] + b"\xff" + WHOLE[place + 1:]


def _huge_header():
    return b"\x93NUMPY\x02\x00" + struct.pack("<I", 0xFFFFFFF0) + b"{" * 64


def _sparse_entry():
    """An entry that says that it is 4 GB long."""
    place = WHOLE.rindex(b"PK\x01\x02")
    return WHOLE[:place + 20] + struct.pack("<II", 0xFFFFFFF0, 0xFFFFFFF0) + WHOLE[place + 28:]


def _two_of_one_name():
    both = zipped(("W.npy", array(np.ones(1))), ("V.npy", array(np.zeros(1))))
    return both.replace(b"V.npy", b"W.npy")


def npz_files():
    shapes = {"below": "(-1,)", "far below": "(-3, -2)", "huge": "(1 << 62,)", "terabytes": "(10000000000000,)",
              "fractions": "(2.0, 3)", "text": "'2'", "true": "(True,)", "many": f"({'1, ' * 2000})", "nest": "(" * 900}
    dtypes = {"unknown": "'<z9'", "object": "'|O'", "raw": "'|V4'", "code": "__import__('os').abort()",
              "objects in fields": "[('a', '|O')]", "huge item": "'<U999999999'"}
    return {
        "empty": b"", "text": b"hello\n" * 9, "pickle": pickle.dumps(Runs()), "array": array(np.ones(2)),
        "executes": zipped(("W.npy", _object_array())), "object": _object_array(),
        "only the end": b"PK\x05\x06" + bytes(18) + b"x", "the end says less": b"junk" + b"PK\x05\x06" + bytes(18),
        "sum": _bad_sum(), "long entry": _sparse_entry(), "huge header": zipped(("W.npy", _huge_header())),
        "two of one name": _two_of_one_name(), "no array": zipped(("W.txt", b"hello")),
        "short array": zipped(("W.npy", header("(2,)") + bytes(7))),
        "long": zipped(("W.npy", header("(2,)") + bytes(9))),
        "no header": zipped(("W.npy", b"")), "version 9": zipped(("W.npy", b"\x93NUMPY\x09\x00" + bytes(64))),
        "absolute": zipped(("/W.npy", array(np.ones(1)))), "out": zipped(("../W.npy", array(np.ones(1)))),
        "drive": zipped(("C:/W.npy", array(np.ones(1)))),
        "not Unicode": zipped(("Ω.npy", array(np.ones(1)))).replace("Ω".encode(), b"\xff\xfe"),
        "bomb": zipped(("W.npy", header("(25000000,)") + bytes(100_000_000)), method=zipfile.ZIP_DEFLATED),
        "lzma": zipped(("W.npy", array(np.ones(1))), method=zipfile.ZIP_LZMA),
        "bzip": zipped(("W.npy", array(np.ones(1))), method=zipfile.ZIP_BZIP2),
        "unknown comment": zipped(("W.npy", array(np.ones(1, "u2"))), comment=b"finfo"),
        "comment of another size": zipped(("W.npy", array(np.ones(1, "u4"))), comment=b"bfloat16"),
        "a folder in it": zipped(("W/", b"")),
        **{f"shape {name}": zipped(("W.npy", header(shape) + bytes(8))) for name, shape in shapes.items()},
        **{f"dtype {name}": zipped(("W.npy", header("(2,)", descr) + bytes(8))) for name, descr in dtypes.items()},
    }


def safetensors(table, data=b"", size=None):
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text + data


def safetensors_files():
    def row(shape, offsets, dtype="F32"):
        return {"W": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}
    return {"empty": b"", "short": b"abc", "text": b"hello\n" * 9, "not json": safetensors(b"{not json"),
            "long header": safetensors({}, size=1 << 62), "no table": safetensors([1]),
            "header alone": safetensors(b""),
            "huge": safetensors(row([1 << 40], [0, 1 << 42])), "other size": safetensors(row([2], [0, 4]), bytes(4)),
            "below": safetensors(row([-1], [0, 4]), bytes(4)), "backwards": safetensors(row([1], [4, 0]), bytes(4)),
            "overflow": safetensors(row([1 << 40, 1 << 40], [0, 4]), bytes(4)),
            "out": safetensors(row([1], [8, 12]), bytes(4)), "unknown": safetensors(row([1], [0, 4], "Q7"), bytes(4)),
            "more data": safetensors(row([1], [0, 4]), bytes(8))}


def truncated(data, step=1):
    """Every file that is `data` cut short."""
    return (data[:n] for n in range(0, len(data), step))


def flipped(data, step=1):
    """Every file that is `data` with one byte changed, to its complement or to zero."""
    for k in range(0, len(data), step):
        for byte in {data[k] ^ 0xFF, 0, data[k] ^ 1} - {data[k]}:
            yield data[:k] + bytes([byte]) + data[k + 1:]
