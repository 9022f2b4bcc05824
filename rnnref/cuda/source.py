"""The CUDA source of kernels: one text for the compiler, with headers inserted where they are included.

CuPy's cache on disk is keyed by the text that CuPy is given and not by files which that text includes, so it includes
none.  Kernels are `extern "C"` functions of one instance each, not name expressions of a template: modules with name
expressions are cached from CuPy 14.1 on only, and not with every driver.
"""
from functools import lru_cache
from pathlib import Path
from typing import Any, Iterable, NamedTuple

_HERE = Path(__file__).parent
CPP_TYPES = {"float64": "double", "float32": "float", "float16": "half", "bfloat16": "bfloat16"}
THREADS = 128                                     # of a block of the kernels for one step


class Kernel(NamedTuple):
    """One kernel of a single step: a struct of arguments with a method step(row, unit), for these types."""
    file: str                                     # which defines the struct
    args: str                                     # its name
    A: str; S: str; W: str                        # dtypes: of arithmetic, operands of the next product, products
    rule: str = ""                                # the C++ rule, if the struct is a template of one: "GRU<float>"
    header: str = ""                              # which defines the rule

    @property
    def name(self) -> str:
        """A name in C, such as `lstm_input_forward_float_half`."""
        words = [word for word in _split_rule(self.rule) if word not in ("NONE", CPP_TYPES[self.A])]
        return "_".join([*words, self.args, CPP_TYPES[self.S], CPP_TYPES[self.W]]).lower()

    @property
    def struct(self) -> str:
        """The type of its arguments in C++."""
        types = ", ".join(qualify(CPP_TYPES[t]) for t in (self.A, self.S, self.W))
        return f"rnnref::{self.args}<{f'rnnref::{self.rule}, ' if self.rule else ''}{types}>"

    def entry(self) -> str:
        """The definition of the kernel in C++."""
        return (f'extern "C" __global__ void __launch_bounds__({THREADS}) {self.name}({self.struct} args) '
                "{ rnnref::each(args, args.to); }\n")


class SequenceKernel(NamedTuple):
    """One kernel of a whole sequence: a struct of arguments with a method run(), for each of two directions."""
    way: str                                      # "Ahead" or "Back"
    A: str; S: str; W: str                        # names of types in C++, as in Kernel
    rule: str
    header: str
    tiling: Any                                   # cuda_loops.tiling.Tiling
    product: tuple                                # the numbers of the template of its product
    file: str = "onchip.cu"

    @property
    def name(self) -> str:
        """A name in C, such as `lstm_ahead_fma_16x32_8w_...`."""
        t = self.tiling
        words = [word for word in _split_rule(self.rule) if word not in ("NONE", self.A)] + [
            self.way, t.engine, f"{t.blocks}x{t.units}", f"{t.warps}w", f"{t.register_count}h", f"{t.split}s",
            f"{t.rows_at_once}r", f"{t.pairs}p", self.S, self.W]
        return "_".join(words).lower()

    @property
    def struct(self) -> str:
        """The type of the arguments of one direction in C++."""
        t, (A, S, W) = self.tiling, map(qualify, (self.A, self.S, self.W))
        numbers = ", ".join(map(str, self.product))
        product = f"rnnref::Fma<{A}, {S}, {numbers}>" if t.engine == "fma" else f"rnnref::Mma<{S}, {numbers}>"
        return f"rnnref::{self.way}<rnnref::{self.rule}, {product}, {A}, {S}, {W}, {t.blocks}, {t.units}, {t.pairs}>"

    def entry(self) -> str:
        """The definition of the kernel in C++."""
        t = self.tiling
        cluster = f"__cluster_dims__({t.blocks}, 1, 1) " if t.blocks > 1 else ""
        return (f'extern "C" __global__ void {cluster}__launch_bounds__({t.threads}, 1) {self.name}('
                f"const __grid_constant__ rnnref::Both<{self.struct}> both) {{ both.each[blockIdx.y].run(); }}\n")


def _split_rule(rule: str) -> list[str]:
    """The words of a C++ rule: "LSTM<float, rnnref::INPUT>" -> LSTM, float, INPUT."""
    for mark in ("rnnref::", "<", ",", ">"):
        rule = rule.replace(mark, " ")
    return rule.split()


def qualify(name: str) -> str:
    """The C++ type of that name, with its namespace."""
    return name if name in ("float", "double") else f"rnnref::{name}"


@lru_cache(None)
def read(file: str) -> str:
    """The text of a CUDA file of this folder."""
    return (_HERE / file).read_text()


def inline_includes(file: str, seen: set[str]) -> str:
    """The text of a file, each include replaced by the included file the first time; `seen` has the files so far."""
    if file in seen:
        return ""
    seen.add(file)
    lines = []
    for line in read(file).splitlines(keepends=True):
        if line.startswith('#include "'):
            lines.append(inline_includes(line.split('"')[1], seen))
        elif not line.startswith("#pragma once"):
            lines.append(line)
    return "".join(lines)


def assemble(kernels: Iterable[Any]) -> str:
    """One source with these kernels and all that they include."""
    kernels, seen = list(kernels), set[str]()
    files = dict.fromkeys(file for kernel in kernels for file in (kernel.header, kernel.file) if file)
    return "".join(inline_includes(file, seen) for file in files) + "\n" + "".join(k.entry() for k in kernels)
