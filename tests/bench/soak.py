"""make soak-gpu: random cells, sizes, lengths and modes on a CUDA device, each held to the text in float64.

A seed is printed before its case runs, and draws it again: python -m tests.bench.soak --seed 123 --seconds 0.
"""
import argparse
import time
from collections import Counter

import numpy as np

import rnnref
from rnnref.cells import GRU, LSTM, SimpleRNN
from rnnref.loops.run import run, run_back
from rnnref.testing.assertions import assert_close
from rnnref.tree import map_structure, to
from tests.bench import device

ARITHMETIC = {"fp32": "float32", "tf32": "tf32", "bf16": "bfloat16", "fp16": "float16"}
TEXT = {"paths": ("plain",), "kernels": False}


def drawn(seed, largest=640):
    """In words, a cell, what `run` takes, gradients of what comes out, mode, whether in reverse."""
    rng = np.random.default_rng(seed)
    coupled = [None, "input", "forget"][rng.integers(3)]
    lstm = LSTM(peepholes=bool(rng.integers(2)), coupled=coupled, forget_bias=float(coupled != "forget"))
    cell = [SimpleRNN(), GRU(recurrent_bias=bool(rng.integers(2))), lstm][rng.integers(3)]
    T, B, I, H = (int(2 ** rng.uniform(0, np.log2(most))) for most in (64, 160, 64, largest))
    mode, reverse = list(ARITHMETIC)[rng.integers(4)], bool(rng.integers(2))
    p = rnnref.init.parameters(cell, I, H, rng)
    s = map_structure(lambda a: rng.normal(size=a.shape).astype("f4") * 0.5, cell.zeros(B, H))
    xs, dys = (rng.normal(size=(T, B, n)).astype("f4") for n in (I, H))
    lengths = rng.integers(0, T + 1, B) if rng.integers(2) else None
    words = f"seed {seed}: {cell}, T, B, I, H = {T, B, I, H}, {mode}, {'backwards, ' * reverse}" \
            f"{'everywhere' if lengths is None else 'lengths'}"
    d = dys, map_structure(lambda a: rng.normal(size=a.shape).astype("f4"), s)
    return words, cell, (p, xs, s, lengths), d, mode, reverse


def held(seed, largest=640):
    """What was drawn, in words, which path ran it, and what is wrong with it, or None."""
    words, cell, given, d, mode, reverse = drawn(seed, largest)
    p, xs, s, lengths = to("gpu", given)
    ys, new, tape = run(cell, p, xs, s, lengths=lengths, reverse=reverse, mode=mode)
    got = to("cpu", ((ys, new), run_back(tape, *to("gpu", d))))
    wide = map_structure(lambda a: a.astype("f8"), (*given[:3], d))
    wys, wnew, wtape = run(cell, *wide[:3], lengths=given[3], reverse=reverse, **TEXT)
    want = map_structure(lambda a, like: a.astype(like.dtype), ((wys, wnew), run_back(wtape, *wide[3])), got)
    try:
        for operation, one, other in zip(("path", "gradient"), got, want):
            assert_close(one, other, operation, arithmetic=ARITHMETIC[mode])
    except AssertionError as e:
        return words, tape.path, str(e)
    return words, tape.path, None


def soak(first, seconds, results, case=held):
    """Cases from seed `first` on, one at least -> the words of those that were wrong or raised."""
    paths, wrong, seed, started = Counter(), [], first, time.time()
    try:
        while seed == first or time.time() - started < seconds:
            print(f"seed {seed}", flush=True)
            try:
                words, path, why = case(seed)
            except Exception as e:                # one case that raises, whatever it is, says nothing of the next
                words, path, why = f"seed {seed}", "raised", f"{type(e).__name__}: {e}"
            paths[path], seed = paths[path] + 1, seed + 1
            results.add(case=words, path=path, wrong=why)
            if why:
                wrong.append(words)
                print(f"{words}\n{why}", flush=True)
    finally:
        print(f"{seed - first} cases ({', '.join(f'{path} {n}' for path, n in paths.items())}), {len(wrong)} wrong")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    device.required()
    raise SystemExit(bool(soak(given.seed, given.seconds, device.Results("soak"))))


if __name__ == "__main__":
    main()
