"""Measures in which form a product of one timestep is fastest, and writes the table that rnnref reads: `make tune`.

For K in powers of the root of two and N in powers of two, a product [1024, K] [K, N] is timed as one and in chunks of
rows with at most so many multiplications.  The table keeps the largest chunk among the fastest, or 0 where one product
is as fast within 3 %.  Only the rows of the processor in use are replaced (OPENBLAS_CORETYPE chooses another
one); nothing is measured later.
"""
import argparse
import json
from functools import partial
from time import thread_time

import numpy as np

from rnnref.cpu import blas, matmul

M = 1024
LIMITS = 0, 125_000, 250_000, 500_000, 1_000_000
KS, NS = np.arange(5, 11.5, 0.5), np.arange(1, 9)    # exponents of two


def measure(K, N, dtype, rounds):
    """{limit of a chunk: seconds of this thread}, each the least of some rounds, taken in turn."""
    w, x, out = np.ones((M, K), dtype), np.ones((K, N), dtype), np.empty((M, N), dtype)
    calls = {}
    for limit in LIMITS:
        rows = max((r for r in range(8, M) if M % r == 0 and r * K * N <= limit), default=M)
        if rows == M:
            calls.setdefault(0, partial(w.dot, x, out))
        else:
            calls[limit] = partial(np.matmul, w.reshape(M // rows, rows, K), x, out.reshape(M // rows, rows, N))
    repeats, least = max(1, 2_000_000 // (M * K * N // 50)), dict.fromkeys(calls, np.inf)
    for _ in range(rounds):
        for limit, f in calls.items():
            start = thread_time()
            for _ in range(repeats):
                f()
            least[limit] = min(least[limit], (thread_time() - start) / repeats)
    return least


def choose(least):
    """The limit of the table."""
    best = min(least.values())
    return 0 if least[0] <= 1.03 * best else max(limit for limit, t in least.items() if limit and t <= 1.02 * best)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    found: dict = {}
    with blas.limit_threads():
        for dtype in ("float32", "float64"):
            found[dtype] = {f"{k:g} {n:g}": choose(measure(round(2 ** k), 2 ** n, dtype, given.rounds))
                            for k in KS for n in NS}
            chunked = sum(limit > 0 for limit in found[dtype].values())
            print(f"{blas.core_type()}, {dtype}: chunks are faster for {chunked} of {len(found[dtype])} sizes")
    table = json.loads(matmul.TABLE.read_text()) | {blas.core_type(): found}
    lines = []
    for core, of_dtype in sorted(table.items()):
        rows = [f'  "{dtype}": {json.dumps(limits)}' for dtype, limits in of_dtype.items()]
        lines.append(f' "{core}": {{\n' + ",\n".join(rows) + "}")
    matmul.TABLE.write_text("{\n" + ",\n".join(lines) + "}\n")


if __name__ == "__main__":
    main()
