"""One source for the compiler, headers put in where they are included.  (floor 5)

CuPy's cache on disk knows the text that it is given and not the files which that text includes, so it includes none.
Kernels are `extern "C"` functions of one instance each, rather than name expressions of a template: modules with name
expressions are cached from CuPy 14.1 on only, and not with every driver.
"""
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

_HERE = Path(__file__).parent
CPP_TYPES = {"float64": "double", "float32": "float", "float16": "half", "bfloat16": "bfloat16"}
THREADS = 128                                     # of a block


class Kernel(NamedTuple):
    """One instance: a struct of arguments that says step(row, unit), for these types."""
    file: str                                     # where the struct is
    args: str                                     # its name
    A: str; S: str; W: str                        # arithmetic, what the next product takes, what products give (dtypes)
    rule: str = ""                                # what is inside, if it is a template of a rule: "GRU<float>"
    header: str = ""

    @property
    def name(self):
        """`lstm_input_forward_float_half`: a name in C."""
        words = self.rule.replace("rnnref::", "").replace("<", " ").replace(",", " ").replace(">", " ").split()
        words = [w for w in words if w not in ("NONE", CPP_TYPES[self.A])] + [self.args, CPP_TYPES[self.S], CPP_TYPES[self.W]]
        return "_".join(words).lower()

    @property
    def struct(self):
        types = ", ".join(qualify(CPP_TYPES[t]) for t in (self.A, self.S, self.W))
        return f"rnnref::{self.args}<{f'rnnref::{self.rule}, ' if self.rule else ''}{types}>"

    def entry(self):
        return (f'extern "C" __global__ void __launch_bounds__({THREADS}) {self.name}({self.struct} args) '
                "{ rnnref::each(args, args.to); }\n")


class SequenceKernel(NamedTuple):
    """One instance of a whole sequence: a struct of arguments for each of two directions that says run()."""
    way: str                                      # "Ahead" or "Back"
    A: str; S: str; W: str                        # names in C++
    rule: str
    header: str
    tiling: Any
    product: tuple                                # the numbers of its template
    file: str = "onchip.cu"

    @property
    def name(self):
        """`lstm_ahead_fma_16x32_8w_...`: a name in C."""
        t, rule = self.tiling, self.rule.replace("rnnref::", "").replace("<", " ").replace(",", " ").replace(">", " ")
        words = [w for w in rule.split() if w not in ("NONE", self.A)] + [
            self.way, t.engine, f"{t.blocks}x{t.units}", f"{t.warps}w", f"{t.held}h", f"{t.split}s", f"{t.at_a_time}r",
            f"{t.pairs}p", self.S, self.W]
        return "_".join(words).lower()

    @property
    def struct(self):
        t, (A, S, W) = self.tiling, map(qualify, (self.A, self.S, self.W))
        numbers = ", ".join(map(str, self.product))
        product = f"rnnref::Fma<{A}, {S}, {numbers}>" if t.engine == "fma" else f"rnnref::Mma<{S}, {numbers}>"
        return f"rnnref::{self.way}<rnnref::{self.rule}, {product}, {A}, {S}, {W}, {t.blocks}, {t.units}, {t.pairs}>"

    def entry(self):
        t = self.tiling
        cluster = f"__cluster_dims__({t.blocks}, 1, 1) " if t.blocks > 1 else ""
        return (f'extern "C" __global__ void {cluster}__launch_bounds__({t.threads}, 1) {self.name}('
                f"const __grid_constant__ rnnref::Both<{self.struct}> both) {{ both.each[blockIdx.y].run(); }}\n")


def qualify(name):
    return name if name in ("float", "double") else f"rnnref::{name}"


@lru_cache(None)
def read(file):
    return (_HERE / file).read_text()


def inline_includes(file, seen):
    """The text of a file with what it includes in the place of the including, each once."""
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


def assemble(kernels):
    """The one source of these kernels."""
    seen: set = set()
    files = dict.fromkeys(f for k in kernels for f in (k.header, k.file) if f)
    return "".join(inline_includes(file, seen) for file in files) + "\n" + "".join(k.entry() for k in kernels)
