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


H5 = {"dense/kernel": np.arange(6.0).reshape(2, 3), "dense/bias": np.ones(2, "f4")}


HARM = ("external data", "external link", "soft link", "loop", "virtual", "huge", "bomb", "many", "objects",
        "references", "raw", "no shape", "a named type")


def h5_files(folder):
    """{name: function(h5py, group)} that make a file of HDF5 which does harm; a secret lies in the folder."""
    secret = folder / "secret"
    secret.write_bytes(b"do not tell")

    def loop(h5py, f):
        b = f.create_group("a/b")
        b["c"] = f["a"]

    def virtual(h5py, f):
        with h5py.File(folder / "other.h5", "w") as other:
            other["x"] = np.ones(3)
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(folder / "other.h5", "x", (3,))
        f.create_virtual_dataset("x", layout)

    def many(h5py, f):
        f["x"] = np.zeros(1 << 17)
        for k in range(500):
            f[f"x{k}"] = f["x"]
    return {
        "external data": lambda h5py, f: f.create_dataset("x", (11,), "u1", external=[(str(secret), 0, 11)]),
        "external link": lambda h5py, f: f.__setitem__("x", h5py.ExternalLink(str(folder / "other.h5"), "/")),
        "soft link": lambda h5py, f: f.__setitem__("x", h5py.SoftLink("/dense")), "loop": loop, "virtual": virtual,
        "huge": lambda h5py, f: f.create_dataset("x", (1 << 40,), "f4", chunks=(1 << 10,)),
        "bomb": lambda h5py, f: f.create_dataset("x", data=np.zeros(1 << 24), compression="gzip"), "many": many,
        "objects": lambda h5py, f: f.create_dataset("x", data=["a", "bc"], dtype=h5py.string_dtype()),
        "references": lambda h5py, f: f.create_dataset("x", (2,), h5py.ref_dtype),
        "raw": lambda h5py, f: f.create_dataset("x", data=np.zeros(2, "V2")),
        "no shape": lambda h5py, f: f.create_dataset("x", data=h5py.Empty("f4")),
        "a named type": lambda h5py, f: f.__setitem__("x", np.dtype("f4")),
    }


def torch_file(pickled, **data):
    return zipped(("archive/data.pkl", pickled), ("archive/byteorder", b"little"),
                  *((f"archive/data/{name}", a) for name, a in data.items()))


def opcodes(shape, strides, numbers=4, offset=0, storage="FloatStorage", key="0"):
    """The pickle of a tensor, as torch writes it."""
    def number(n):
        return b"L" + str(n).encode() + b"L\n"

    def items(values):
        return b"(" + b"".join(map(number, values)) + b"t"
    return (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n" + storage.encode() + b"\n"
            + b"X" + struct.pack("<I", len(key)) + key.encode() + b"X\x03\0\0\0cpu" + number(numbers) + b"tQ"
            + number(offset) + items(shape) + items(strides) + b"\x89N" + b"tR.")


def torch_files():
    numbers = np.arange(4, dtype="f4").tobytes()
    tensors = {"out": ((5,), (1,)), "below": ((-1,), (1,)), "backwards": ((2,), (-1,)), "huge": ((1 << 40,), (0,)),
               "axes": ((2, 2), (1,)), "terabytes": ((1 << 30, 1 << 30), (0, 0))}
    pickles = {"executes": pickle.dumps(Runs()), "module": b"\x80\x02ctorch.nn.modules.rnn\nLSTM\n)\x81.",
               "builtins": b"\x80\x02cbuiltins\neval\nX\x01\0\0\0" + b"1\x85R.", "empty": b"", "text": b"hello\n" * 9,
               "no storage": b"\x80\x02X\x01\0\0\0aQ.", "long": b"\x80\x04\x96" + b"\xff" * 7 + b"\x7f",
               "method": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93."}
    return {"empty": b"", "text": b"hello\n" * 9, "another archive": WHOLE,
            "old": pickle.dumps(0x1950a86a20f9469cfc6c, 2),
            "script": zipped(("a/data.pkl", b"."), ("a/constants.pkl", b".")),
            "no data": torch_file(opcodes((1,), (1,), key="7"), **{"0": numbers}),
            "out of it": torch_file(opcodes((1,), (1,), key="../x"), **{"0": numbers}),
            "unknown storage": torch_file(opcodes((1,), (1,), storage="QUInt8Storage"), **{"0": numbers}),
            "offset": torch_file(opcodes((1,), (1,), offset=-1), **{"0": numbers}),
            **{f"tensor {name}": torch_file(opcodes(*one), **{"0": numbers}) for name, one in tensors.items()},
            **{f"pickle {name}": torch_file(one, **{"0": numbers}) for name, one in pickles.items()}}


def truncated(data, step=1):
    """Every file that is `data` cut short."""
    return (data[:n] for n in range(0, len(data), step))


def flipped(data, step=1):
    """Every file that is `data` with one byte changed, to its complement or to zero."""
    for k in range(0, len(data), step):
        for byte in {data[k] ^ 0xFF, 0, data[k] ^ 1} - {data[k]}:
            yield data[:k] + bytes([byte]) + data[k + 1:]


def npy_files():
    """Arrays outside of an archive."""
    return {"empty": b"", "text": b"hello", "objects": _object_array(), "huge": header("(1 << 40,)"),
            "terabytes": header("(1099511627776,)"), "cut short": header("(20,)") + b"abc", "below": header("(-1,)"),
            "pickle": pickle.dumps(Runs())}


def _layer(config):
    return '{"class_name": "Sequential", "config": {"layers": [{"class_name": "LSTM", "config": ' + config + "}]}}"


# what a file of Keras says of its layers
_WHOLE = '"name": "lstm", "go_backwards": false, "use_bias": true, "recurrent_activation": "sigmoid", '
CONFIGS = {"junk": "{not json", "brackets": "[" * 100_000, "braces": '{"a":' * 20_000, "a long number": "1" * 5000,
           "no text": b"\xff\xfe", "a dict as activation": _layer('{' + _WHOLE + '"units": 4, "activation": {"a": 1}}'),
           "an unknown activation": _layer('{' + _WHOLE + '"units": 4, "activation": "evil"}'),
           "infinite activation": _layer('{' + _WHOLE + '"units": 4, "activation": 1e999}'),
           "units that are no number": _layer('{' + _WHOLE + '"units": NaN, "activation": "tanh"}'),
           "a layer without a name": _layer('{"units": 4}'), "no object": "[]", "nothing in it": "{}",
           "a key that is not known": _layer('{' + _WHOLE + '"units": 4, "activation": "tanh", "peepholes": true}'),
           "a layer that is none": '{"class_name": "Sequential", "config": {"layers": [null]}}'}


def keras_archive(weights, config=None):
    """A file .keras with these weights, whose other members are whole; that of its configuration may be none."""
    config = json.dumps({"class_name": "Own", "config": {}}).encode() if config is None else config
    return zipped(("model.weights.h5", weights), ("config.json", config),
                  ("metadata.json", b'{"keras_version": "3.5.0"}'))


def keras_h5(h5py, config=None):
    """A file of an LSTM as Keras 2 writes it."""
    out = io.BytesIO()
    with h5py.File(out, "w") as f:
        for name, shape in {"kernel:0": (3, 16), "recurrent_kernel:0": (4, 16), "bias:0": (16,)}.items():
            f[f"lstm/lstm_cell/{name}"] = np.ones(shape, "f4")
        if config is not None:
            f.attrs["model_config"], f.attrs["keras_version"] = np.bytes_(config), "2.6.0"
    return out.getvalue()
