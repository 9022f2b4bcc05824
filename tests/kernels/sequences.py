"""Whole sequences by a kernel and step by step, and the faults that are planted in the source of the kernels."""
from typing import NamedTuple

import numpy as np

import rnnref
from rnnref.cells import GRU, LSTM
from rnnref.loops.run import run, run_back
from rnnref.tree import leaves, map_structure, to
from tests.kernels.onchip import card

# (cell, mode, constants of tiling.py to replace): by multiply-add with half of R in shared memory, on
# tensor cores, and there with most of R in shared memory
CASES = {"fma": (LSTM(peepholes=True), "fp32", {"PROCESSORS": {90: 2}, "SPLITS": (8,), "ROWS": (1,), "WARPS": (4,),
                                                "_OTHER_REGISTERS": {"Ahead": 221, "Back": 225}}),
         "mma": (GRU(), "bf16", {"PROCESSORS": {90: 2}, "ROWS": ()}),
         "mma, rest": (GRU(), "tf32", {"PROCESSORS": {90: 2}, "ROWS": (),
                                       "_OTHER_REGISTERS": {"Ahead": 222, "Back": 216}})}
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


SEND = "      const bool more = i + 1 < to.steps;\n"
FIRST = """    Blocks::arrive();                             // no block may write to one that has not begun
    Blocks::wait();
"""
GIVE = """        if (more)
          for (int b = 0; b < BLOCKS; b++) Blocks::give(next, b, h);
      }
      Blocks::arrive();
"""
WAIT = """      Blocks::wait();
    }
  }
"""
FAULTS = {
    "no first barrier": Fault("fma", False, "onchip.cu", FIRST, ""),
    "arriving before sending": Fault("fma", False, "onchip.cu", GIVE, """      }
      Blocks::arrive();
      for (int j = 0; j < PAIRS; j++) {
        if (!at.here(j) || !more) continue;
        S h;
        cast(pairs[j].s.h, h);
        const int to = (i + 1) % 2 * buffer + at.row(j) * Product::STRIDE + at.first_unit + at.unit(j);
        for (int b = 0; b < BLOCKS; b++) Blocks::give(v + to, b, h);
      }
"""),
    "no wait": Fault("fma", False, "onchip.cu", WAIT, WAIT.replace("      Blocks::wait();\n", "")),
    "no barrier": Fault("fma", False, "onchip.cu", GIVE, GIVE.replace("Blocks::arrive();\n", "if (false)\n")),
    "one buffer": Fault("fma", False, "onchip.cu",
                        "S* next = v + (i + 1) % 2 * buffer", "S* next = v + i % 2 * buffer"),
    "a block left out": Fault("fma", False, "onchip.cu",
                              "b < BLOCKS; b++) Blocks::give", "b < BLOCKS - 1; b++) Blocks::give"),
    "h of another unit": Fault("fma", False, "onchip.cu",
                               "+ at.first_unit + at.unit(j);\n        S h", "+ at.unit(j);\n        S h"),
    "sums not waited for": Fault("fma", False, "onchip.cu",
                                 "      });\n      __syncthreads();\n" + SEND, "      });\n" + SEND),
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
                                       "for (int b = 0; b < BLOCKS; b++) sum +=",
                                       "for (int b = 1; b < BLOCKS; b++) sum +="),
    "parts over each other": Fault("fma", True, "onchip.cu", "own = Blocks::rank() * at.padded * UNITS;", "own = 0;"),
    "one buffer of parts": Fault("fma", True, "onchip.cu",
                                 "A* next = given + (i + 1) % 2 * buffer + own;",
                                 "A* next = given + i % 2 * buffer + own;"),
    "gradients not waited for": Fault("fma", True, "onchip.cu",
                                      "      __syncthreads();\n      A* next", "      A* next"),
    "no wait on the way back": Fault("fma", True, "onchip.cu",
                                     "      Blocks::wait();\n    }\n#pragma unroll", "    }\n#pragma unroll"),
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
