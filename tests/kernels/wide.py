"""A search for spilled registers through random kernels of whole sequences: more than `make kernels` has time for.

    python -m tests.kernels.wide sm [count]
"""
import itertools
import random
import sys

from tests.kernels.compile_check import check
from tests.kernels.instances import RULES, SIZES, both_ways, by_name

ROWS = 1, 7, 16, 64, 130, 256
UNITS = 20, 64, 100, 128, 200, 256, 300, 384, 512, 650, 768


def main(sm, count="100"):
    every = by_name(one for what in itertools.product(RULES, SIZES, ROWS, UNITS)
                    for one in both_ways(*what, int(sm)))
    some = random.Random(0).sample(every, min(int(count), len(every)))
    wrong = check([int(sm)], [], lambda _: some)[1]
    print(f"{len(some)} of {len(every)} kernels on sm_{sm}, {len(wrong)} faults", *wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
