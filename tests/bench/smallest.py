"""The smallest kernels of whole sequences, both ways and step by step: what compute-sanitizer has time for.

    python -m tests.bench.smallest                # under a tool, on a machine with a card
    python -m tests.bench.smallest --one-block    # without clusters of several blocks
"""
import argparse

import numpy as np

import rnnref
from rnnref.cells import GRU, LSTM
from rnnref.tree import to
from tests.kernels.onchip import card

# cell, mode, blocks: by multiply-add and on tensor cores; one block, two, and so many that some have no unit
CASES = (LSTM(), "fp32", 2), (GRU(), "bf16", 2), (LSTM(), "fp32", 1), (LSTM(), "bf16", 16)
SIZE = 9, 5, 4, 33                                # T, B, I, H
WAYS = {"paths": ("onchip",)}, {"paths": ("stepped", "bidirectional")}


def run_all(sm=None, one_block=False):
    """sm: the card, where it is not the one at hand.  one_block: R lies in one block in all cases."""
    T, B, I, H = SIZE
    for cell, mode, blocks in dict.fromkeys((cell, mode, 1 if one_block else blocks) for cell, mode, blocks in CASES):
        rng = np.random.default_rng(0)
        p, xs, dys = to("gpu", (rnnref.init.parameters(cell, I, H, rng, scheme="torch"),
                                *(rng.standard_normal((T, B, n), "f4") for n in (I, H))))
        lengths = to("gpu", rng.integers(0, T + 1, B))
        with card((blocks,), sm=sm):
            for way in WAYS:
                rnnref.run_back(rnnref.run(cell, p, xs, lengths=lengths, mode=mode, **way)[2], dys)
        print(f"{cell.name}, {mode}, {blocks} blocks: ran", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one-block", action="store_true")
    given = parser.parse_args()
    import cupy
    cupy.cuda.set_allocator(None)                 # what lies past the end of an array is then nobody's
    run_all(one_block=given.one_block)
    cupy.cuda.runtime.deviceSynchronize()


if __name__ == "__main__":
    main()
