"""The kernels of whole sequences with one thing done otherwise, outside of the package until a card has timed them.

A variant is a list of edits of the package's own text, so the two cannot drift apart unseen: an edit whose text is not
there raises.
"""
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

from rnnref.cells import GRU, LSTM
from rnnref.cuda import launch, source
from tests.bench.first import alone, results, smoke

HERE = Path(__file__).parent

# h and parts of dh by st.async, each block waiting for bytes and not for blocks
ASYNC = (
    ("onchip.cu", '#include "mma.cuh"\n', '#include "mma.cuh"\n#include "exchange.cuh"\n'),
    ("onchip.cu", """    Blocks::arrive();                             // no block may write to one that has not begun
    Blocks::wait();
""", """    if (BLOCKS > 1) Exchange<BLOCKS>::open();
    Blocks::arrive();                             // no block may write to one that has not begun
    Blocks::wait();
    if (BLOCKS > 1 && at.first_unit >= to.n) return;
    const int taking_part = parts(to.n, UNITS);
"""),
    # ahead
    ("onchip.cu", """#pragma unroll
      for (int j = 0; j < PAIRS; j++) {
        if (!at.here(j)) continue;
        step(at, j, sums + at.row(j) * COLUMNS + at.unit(j), pairs[j]);
""", """      if (BLOCKS > 1 && more) Exchange<BLOCKS>::expect(i, bytes_ahead<S>(at.rows, to.n));
#pragma unroll
      for (int j = 0; j < PAIRS; j++) {
        const bool here = at.here(j);
        if (BLOCKS == 1 && !here) continue;
        if (here) step(at, j, sums + at.row(j) * COLUMNS + at.unit(j), pairs[j]);
"""),
    ("onchip.cu", """        cast(pairs[j].s.h, h);
        if (more)
          for (int b = 0; b < BLOCKS; b++) Blocks::give(next, b, h);
      }
      Blocks::arrive();
""", """        cast(here ? pairs[j].s.h : A(0), h);
        if (!more) continue;
        if (BLOCKS == 1) *next = h;
        else Exchange<BLOCKS>::give(i, next, h, here, at.unit(j), taking_part);
      }
"""),
    ("onchip.cu", """      Blocks::wait();
    }
  }
""", """      if (BLOCKS == 1 || more) Exchange<BLOCKS>::wait(i);
    }
  }
"""),
    # back
    ("onchip.cu", """      A* next = given + (i + 1) % 2 * buffer + own;
""", """      A* next = given + (i + 1) % 2 * buffer + own;
      const int own_units = to.n - at.first_unit < UNITS ? to.n - at.first_unit : UNITS;
      if (BLOCKS > 1) Exchange<BLOCKS>::expect(i, taking_part * at.rows * own_units * (int)sizeof(A));
"""),
    ("onchip.cu", """\
        if (row < at.rows && column < to.n) Blocks::give(next + row * UNITS + column % UNITS, column / UNITS, part);
      });
      Blocks::arrive();
""", """        if (row >= at.rows || column >= to.n) return;
        if (BLOCKS == 1) next[row * UNITS + column % UNITS] = part;
        else Exchange<BLOCKS>::post(i, next + row * UNITS + column % UNITS, column / UNITS, part);
      });
"""),
    ("onchip.cu", """      Blocks::wait();
    }
#pragma unroll""", """      if (BLOCKS > 1) __syncthreads();            // all warps have read the gradients of gates
      Exchange<BLOCKS>::wait(i);
    }
#pragma unroll"""),
    ("onchip.cu", "at.padded * UNITS, pairs[j].d.h);", "at.padded * UNITS, pairs[j].d.h, taking_part);"),
    ("onchip.cu", """int next, A& sum) {
#pragma unroll
    for (int b = 0; b < BLOCKS; b++) sum += given[b * next];""", """int next, A& sum, int taking_part) {
#pragma unroll
    for (int b = 0; b < BLOCKS; b++)
      if (b < taking_part) sum += given[b * next];"""),
)
# What was before: one sum for each tile, every tensor instruction waiting for the last
ONE_CHAIN = (("mma.cuh", "CHAINS = parts(4, EIGHTS * TILES);", "CHAINS = 1;"),)
VARIANTS = {"as it is": (), "one chain": ONE_CHAIN, "async": ASYNC}


@contextmanager
def variant(name, *more):
    """Kernels that are compiled inside are of this variant; more: further edits (file, old, new)."""
    edits, read = (*VARIANTS[name], *more), source.read

    def edited(file):
        text = (HERE / file).read_text() if file == "exchange.cuh" else read(file)
        for _, old, new in (edit for edit in edits if edit[0] == file):
            if old not in text:
                raise LookupError(f"variant {name!r}: {file} has no longer the text\n{old}")
            text = text.replace(old, new)
        return text
    with mock.patch.object(source, "read", edited):
        launch.compile_kernel.cache_clear()
        try:
            yield
        finally:
            launch.compile_kernel.cache_clear()


on_chip = partial(smoke.Case, choice=smoke.CHIP)


def cases(toys=False):
    """{name: (variant, its case of the smoke test, whether it is timed)}"""
    if toys:
        return {f"{name}: LSTM, {mode}": (name, on_chip(LSTM(), (4, 3, 5, 24), mode, blocks=2), False)
                for name in VARIANTS for mode in ("fp32", "bf16")}
    few = ((LSTM(), 64, 512, ("bf16", "fp32", "tf32")), (LSTM(), 16, 512, ("fp32", "bf16")),
           (LSTM(), 1, 256, ("fp32",)), (GRU(), 64, 512, ("bf16",)))
    timed = {f"{name}: {cell.name} {B},{H}, {mode}": (name, on_chip(cell, (12, B, 32, H), mode), True)
             for cell, B, H, modes in few for mode in modes for name in VARIANTS}
    return timed | {f"async, blocks without units, {mode}": (
        "async", on_chip(LSTM(), (12, 7, 5, 33), mode, blocks=16), False) for mode in ("fp32", "bf16")}


def measure(case, name, what, is_timed, sm=None):
    """Whether it is right, and how long its kernels take alone."""
    with variant(name):
        smoke.check(case, what, sm, "variants")
        if is_timed:
            _, B, _, H = what.size
            found = alone.a_step(what.cell, B, H, what.mode)
            results.add("variants", case=case, microseconds=found)
            print(f"  us a step and before the first: {found}", flush=True)
