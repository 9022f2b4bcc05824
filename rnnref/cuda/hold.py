"""The arrays of one launch: each seen to fit, made if it is missing, and held until the launch is on the stream."""
import numpy

from ..arrays import is_array
from ..errors import DtypeError, NotSupported, ShapeError
from .devices import LARGEST
from .launch import check_on_device
from .source import CPP_TYPES


def arithmetic_dtype(who, dtype):
    """float64 beside float64, float32 beside all else."""
    if dtype.name not in CPP_TYPES:
        raise DtypeError(who, f"the kernels have no {dtype}", known=", ".join(CPP_TYPES))
    return numpy.dtype("float64" if dtype.name == "float64" else "float32")


class LaunchArrays:
    """`arrays`: the fields of the kernel's struct by their names in C++."""

    def __init__(self, who, like, out, live, lead, n):
        self.who, self.xp, self.out, self.arrays, self.n = who, check_on_device(who, like), out or {}, {}, n
        self.lead, self.rows, self.span, self.live = lead, 1, 1, None
        for size in lead:
            self.rows *= size
        if max(self.rows, n) > LARGEST:
            raise ShapeError(who, f"{self.rows} rows of {n} units, the kernels take {LARGEST} of each")
        if live is not None:
            if live.dtype != bool or live.shape != lead[:live.ndim]:
                raise ShapeError(who, f"live is {live.dtype} {live.shape}, expected bool {lead} or its first axes")
            self.live, self.span = self.end_to_end(live), self.rows // max(1, live.size)

    def end_to_end(self, a):
        return a if a.flags.c_contiguous else self.xp.ascontiguousarray(a)

    def fits(self, name, a, shape, dtype):
        if a.shape != shape:
            raise ShapeError(self.who, f"{name} has shape {a.shape}, expected {shape}")
        if a.dtype != dtype:
            raise DtypeError(self.who, f"{name} has dtype {a.dtype}, expected {dtype}")

    def take(self, name, a, shape, dtype):
        """An argument, copied if its rows do not lie end to end."""
        if a is not None:
            self.fits(name, a, shape, dtype)
            self.arrays[name] = self.end_to_end(a)

    def make(self, name, shape, dtype, field=None):
        """A result: the one in `out`, or a new array."""
        a = self.out.get(name)
        if a is None:
            a = self.xp.empty(shape, dtype)
        else:
            self.fits(f"out[{name!r}]", a, shape, dtype)
            if not a.flags.c_contiguous:
                raise ShapeError(self.who, f"out[{name!r}] has gaps (strides {a.strides}), expected rows end to end")
        self.arrays[field or name] = a
        return a

    def into(self, name, a, shape, dtype):
        """An array that the kernel reads and writes."""
        self.out = {**self.out, name: a}
        return self.make(name, shape, dtype)

    def operand_dtype(self, name, W):
        """The dtype of what the next product takes: that of out[name], else W."""
        S = self.out[name].dtype if self.out.get(name) is not None else W
        if S != W and not (W.name == "float32" and S.name in ("float16", "bfloat16")):
            raise DtypeError(self.who, f"out[{name!r}] has dtype {S}, expected {W}, or 16 bits beside float32")
        return S

    def parameter(self, name, a, A):
        if a.shape != (self.n,):
            raise NotSupported(self.who, f"{name} has shape {a.shape}, the kernels have one number a unit: {(self.n,)}")
        self.arrays[f"p.{name}"] = a = self.end_to_end(a if a.dtype == A else a.astype(A))
        return a.data.ptr

    def add_kept(self, names, kept, A):
        """What is kept, as one array: that which these are views of, or a new one if they are not, or not any more."""
        if is_array(kept):
            return self.take("kept", kept, (*self.lead, len(names.split()), self.n), A)
        blocks = kept[:len(names.split())]
        for name, a in zip(names.split(), blocks):
            self.fits(f"kept.{name}", a, blocks[0].shape, A)
        if not self._is_one_array(blocks):
            blocks = [self.xp.stack(blocks, -2)]
        self.arrays["kept"] = blocks[0]

    def _is_one_array(self, blocks):
        """Whether these are what [..., j, :] of one array gives, in order."""
        first, row = blocks[0], self.n * blocks[0].itemsize
        strides, size = [first.itemsize], row * len(blocks)
        for extent in first.shape[-2::-1]:
            strides.insert(0, size)
            size *= extent
        return all(a.strides == tuple(strides) and a.data.ptr == first.data.ptr + j * row for j, a in enumerate(blocks))
