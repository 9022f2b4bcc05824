"""Whole sequences by a kernel and step by step, and the faults that are planted in the source of the kernels."""
from typing import NamedTuple

import numpy as np

import rnnref
from rnnref.cells import GRU, LSTM
from rnnref.loops.run import run, run_back
from rnnref.tree import leaves, map_structure, to
from tests.kernels.onchip import card

# (cell, mode, constants of tiling.py to replace): by multiply-add with half of R in shared memory, on
# tensor cores, and there with most of R in shared memory; and with half of the blocks without units
CASES = {"fma": (LSTM(peepholes=True), "fp32", {"PROCESSORS": {90: 2}, "SPLITS": (8,), "ROWS": (1,), "WARPS": (4,),
                                                "_OTHER_REGISTERS": {"Ahead": 221, "Back": 225}}),
         "mma": (GRU(), "bf16", {"PROCESSORS": {90: 2}, "ROWS": ()}),
         "mma, rest": (GRU(), "tf32", {"PROCESSORS": {90: 2}, "ROWS": (),
                                       "_OTHER_REGISTERS": {"Ahead": 222, "Back": 216}}),
         "without units": (LSTM(), "fp32", {"BLOCKS": (16,), "PROCESSORS": {90: 16}, "SPLITS": (4,), "ROWS": (1,),
                                            "WARPS": (4,)})}
SIZES = 29, 5, 4                                  # units, rows, steps: units that fill no block, rows no cluster
ORDERS = ("fifo", 1), ("lifo", 1), ("random", 1), ("random", 2)
PATH = {"paths": ("onchip",)}


class Fault(NamedTuple):
    case: str
    back: bool                                    # seen on the way back only
    file: str
    old: str
    new: str
    caught: str = "run"                           # or "sanitizer"


EXPECT = "      Blocks::expect(i, at.rows"
FAULTS = {
    "no first barrier": Fault("fma", False, "exchange.cuh", "    cluster_barrier();\n", ""),
    "barriers not open": Fault("fma", False, "exchange.cuh", "    if (threadIdx.x == 0)\n", "    if (false)\n"),
    "no wait": Fault("fma", False, "onchip.cu", "Blocks::wait(i);", "__syncthreads();"),
    "the phase before": Fault("fma", False, "exchange.cuh", "i / 2 % 2", "(i / 2 + 1) % 2"),
    "nothing is expected": Fault("fma", False, "exchange.cuh", "if (threadIdx.x == 0) announce", "if (false) announce"),
    "expected by two threads": Fault("fma", False, "exchange.cuh",
                                     "if (threadIdx.x == 0) announce", "if (threadIdx.x < 2) announce"),
    "too few bytes": Fault("fma", False, "exchange.cuh", "count * (int)sizeof(S)", "count * (int)sizeof(S) - 4"),
    "too many bytes": Fault("fma", False, "exchange.cuh", "count * (int)sizeof(S)", "count * (int)sizeof(S) + 4"),
    "an odd unit forgotten": Fault("mma", False, "exchange.cuh", "parts(count, 2) * 4", "count / 2 * 4"),
    "the other number of a word": Fault("mma", False, "exchange.cuh", "x.bits | next << 16", "next | x.bits << 16"),
    "one barrier for both buffers": Fault("fma", False, "exchange.cuh",
                                          "(shared_memory()) + i % 2;", "(shared_memory());"),
    "a block without units stays": Fault("without units", False, "onchip.cu", "if (!at.takes_part()) return;", ""),
    "sent to all blocks": Fault("without units", False, "exchange.cuh",
                                "own + b < blocks ?", "true ? (own + b) % BLOCKS :"),
    "barriers under R": Fault("fma", False, "onchip.cu", "shared_memory() + Blocks::BYTES", "shared_memory()"),
    "one buffer": Fault("fma", False, "onchip.cu",
                        "S* next = v + (i + 1) % 2 * buffer", "S* next = v + i % 2 * buffer"),
    "a block left out": Fault("fma", False, "exchange.cuh",
                              "if (b < blocks) send", "if (b + 1 < blocks) send"),
    "h of another unit": Fault("fma", False, "onchip.cu",
                               "+ at.first_unit + at.unit(j);\n        S h", "+ at.unit(j);\n        S h"),
    "sums not waited for": Fault("fma", False, "onchip.cu",
                                 "      });\n      __syncthreads();\n" + EXPECT, "      });\n" + EXPECT),
    "dead rows step": Fault("fma", False, "onchip.cu", "    if (p.dead) return;\n    A r[G];", "    A r[G];"),
    "no bias of its own": Fault("mma", False, "onchip.cu",
                                "r[g] = sums[g * UNITS] + p.b[g];", "r[g] = sums[g * UNITS];"),
    "the other end first": Fault("fma", False, "onchip.cu", "(reverse != 0) != back", "(reverse == 0) != back"),
    "a share twice": Fault("fma", False, "fma.cuh", "mine += up ? n : 0;", "mine += 0;"),
    "a share kept": Fault("fma", False, "fma.cuh", "give = up ? a[c] : a[c + n]", "give = up ? a[c + n] : a[c]"),
    "the rest from its start": Fault("fma", False, "fma.cuh",
                                     ": rest[(c * MORE + j + i - HELD) * 32];", ": rest[(c * MORE + i) * 32];"),
    "runs of other lanes": Fault("fma", False, "fma.cuh", "(j / RUN * SPLIT + part) * RUN + i",
                                 "(j / RUN * SPLIT + part) * RUN + RUN - 1 - i"),
    "a run kept in part": Fault("fma", False, "fma.cuh", "if (j < HELD) held[c][j] = x;\n    else",
                                "if (j < HELD) held[c][j] = x;\n    if (j > HELD)"),
    "a chain left out": Fault("mma", False, "mma.cuh", "(int chain = 1; chain < CHAINS; chain++) d[0]",
                              "(int chain = 2; chain < CHAINS; chain++) d[0]"),
    "fragments behind the last chain": Fault("mma, rest", True, "mma.cuh",
                                             "chain < MORE % CHAINS;", "chain < MORE % CHAINS - 1;"),
    "fragments of the same chain": Fault("mma, rest", True, "mma.cuh", "add_rest(d[chain], at, j + chain);\n#pragma",
                                         "add_rest(d[chain], at, j);\n#pragma"),
    "columns of a tile": Fault("mma", False, "mma.cuh",
                               "column = tile * 16 + g + i % 2 * 8", "column = tile * 16 + g + i / 2 * 8"),
    "words of a vector": Fault("mma", False, "mma.cuh", "(row + g) * WORDS + t;", "(row + g) * WORDS + 2 * t;"),
    "vectors of a lane": Fault("mma", False, "mma.cuh", "thread % 4 * 2;", "thread % 4;"),
    "halves of a word": Fault("mma", False, "mma.cuh",
                              "return first.bits | (unsigned)second.bits << 16;",
                              "return second.bits | (unsigned)first.bits << 16;"),
    "parts of a block left out": Fault("fma", True, "onchip.cu",
                                       "for (int b = 0; b < BLOCKS; b++)\n      if (b < at",
                                       "for (int b = 1; b < BLOCKS; b++)\n      if (b < at"),
    "parts of blocks that sent none": Fault("without units", True, "onchip.cu",
                                            "if (b < at.blocks()) sum +=", "sum +="),
    "too many parts expected": Fault("without units", True, "onchip.cu",
                                     "expect(i, at.blocks() * at.rows", "expect(i, BLOCKS * at.rows"),
    "too few parts expected": Fault("without units", True, "onchip.cu",
                                    "expect(i, at.blocks() * at.rows", "expect(i, (at.blocks() - 1) * at.rows"),
    "parts of units that are not there": Fault("fma", True, "onchip.cu",
                                               "at.units() * (int)sizeof(A)", "UNITS * (int)sizeof(A)"),
    "parts over each other": Fault("fma", True, "onchip.cu", "own = Blocks::rank() * at.padded * UNITS;", "own = 0;"),
    "one buffer of parts": Fault("fma", True, "onchip.cu",
                                 "A* next = given + (i + 1) % 2 * buffer + own;",
                                 "A* next = given + i % 2 * buffer + own;"),
    "gradients not waited for": Fault("fma", True, "onchip.cu",
                                      "      __syncthreads();\n      A* next", "      A* next"),
    "no wait on the way back": Fault("fma", True, "onchip.cu",
                                     "Blocks::meet(i);", "__syncthreads();"),
    "gradients written while they are read": Fault("mma", True, "onchip.cu", "Blocks::meet(i);", "Blocks::wait(i);"),
    "too small an exchange": Fault("mma", True, "onchip.cu",
                                   "(given + 2 * BLOCKS * at.padded * UNITS)", "(given + BLOCKS * at.padded * UNITS)"),
    "peepholes of the last step": Fault("fma", True, "onchip.cu", "p.dp[j] += more[j];", "p.dp[j] = more[j];"),
    "gradients of another gate": Fault("mma", True, "onchip.cu",
                                       "cast(Rule::sums ? p.x[g] : p.r[g], v[g * UNITS]);",
                                       "cast(p.x[g], v[g * UNITS]);"),
    "parts for no block": Fault("mma", True, "onchip.cu",
                                "row < at.rows && column < to.n) Blocks", "row < at.rows) Blocks"),
    "a row too many": Fault("fma", False, "onchip.cu",
                            "return row(i) < rows &&", "return row(i) <= rows &&", "sanitizer"),
    "a unit too many": Fault("fma", False, "onchip.cu",
                             "first_unit + unit(i) < n;", "first_unit + unit(i) < n + 3;", "sanitizer"),
    "past the end of R": Fault("mma", False, "onchip.cu", "unit < n && k < n)", "unit < n && k < n + 3)", "sanitizer"),
}


def inputs(cell, n, rows, steps=4, dtype="float32", seed=0):
    """(p, xs, s), a mask, and gradients of the results."""
    rng = np.random.default_rng(seed)
    p = map_structure(lambda a: a.astype(dtype), rnnref.init.parameters(cell, 3, n, rng, dtype="float64"))

    def draw(a):
        return (rng.normal(size=a.shape) * 0.7).astype(a.dtype)
    s = map_structure(draw, cell.zeros(rows, n, dtype=dtype))
    p = {name: a if a.any() else draw(a) for name, a in p.items()}             # a bias that is zero hides its loss
    xs, dys = (draw(np.empty((steps, rows, k), dtype)) for k in (3, n))
    return (p, xs, s), rng.random((steps, rows)) < 0.8, (dys, map_structure(draw, s))


def both_ways(cell, given, mask, d, reverse=False, keep=True, **choice):
    """Results and gradients in main memory."""
    p, xs, s = to("gpu", given)
    ys, new, tape = run(cell, p, xs, s, mask=to("gpu", mask), reverse=reverse, keep=keep, **choice)
    return to("cpu", (ys, new, run_back(tape, *to("gpu", d)) if keep else None))


def by_kernel(case, keep=True, **choice):
    cell, mode, limits = CASES[case]
    with card((2,), **limits):
        return both_ways(cell, *inputs(cell, *SIZES), keep=keep, mode=mode, **(choice or PATH))


def max_difference(got, want):
    """The largest difference; NaN if there is one."""
    return float(np.max([abs(a - b).max() for (_, a), (_, b) in zip(leaves(got), leaves(want))]))
