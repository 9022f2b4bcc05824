"""make bench-gpu: LSTM and GRU on a CUDA device, beside torch's in the same math mode, plain CuPy and bare products.

Times are medians in milliseconds by CUDA events, after a warm-up.  `forward` keeps nothing, `training` is forward and
backward.  In bf16 and fp16 torch's arrays have 16 bits; ours have 32 (`ours`) or 16 (`ours 16`), c and gates 32 always.
`ours` is what the plan chooses; beside it are the stepped loop and the same as CUDA graphs, with the ratio
`graphed/stepped`.
`products` are the matrix products of the loop and nothing else, called from the same host: no stepped loop is faster.
Of a step there are microseconds, with the estimates that the plan goes by.
"""
import argparse
import time
from functools import lru_cache, partial

import numpy as np

import rnnref
from rnnref import cells
from rnnref.cuda.matmul import cast_operand, dtype_by_name, matmul, prepare_matmuls
from rnnref.cuda_loops import choice, graphed
from rnnref.cuda_loops.tiling import estimate_microseconds
from tests.bench import device

SIZES = ((1, 1000, 256, 256), (16, 256, 512, 512), (64, 100, 256, 512), (64, 512, 512, 1024), (128, 256, 1024, 1024),
         (256, 128, 1024, 2048))
CELLS = {"LSTM": cells.LSTM(), "GRU": cells.GRU()}
MODES = "fp32", "tf32", "bf16", "fp16"
KINDS = tuple((size, "") for size in SIZES) + ((SIZES[2], "ragged"), (SIZES[2], "two layers, both directions"))
# Of an H100's data sheet: operations and bytes a second.
PEAK = {"float": 67e12, "tf32": 495e12, "bfloat16": 990e12, "half": 990e12}
MEMORY = 3.35e12
NARROW = {"bf16": "bfloat16", "fp16": "float16"}


class Net:
    """Layers of cells, each of one direction or of two, with parameters on the host."""

    def __init__(self, cell, size, kind, rng):
        self.cell, self.size, (B, T, I, H), self.both = cell, size, size, kind.endswith("directions")
        self.layers = 2 if self.both else 1
        self.p, n = [], I
        for _ in range(self.layers):
            self.p += [rnnref.init.parameters(cell, n, H, rng, scheme="torch") for _ in range(1 + self.both)]
            n = H * (1 + self.both)
        self.xs, self.dys = (rng.normal(size=(T, B, m)).astype("f4") for m in (I, n))
        self.lengths = np.sort(rng.integers(T // 4, T + 1, B))[::-1].copy() if kind == "ragged" else None

    def ours(self, dtype="float32"):
        """forward(**choice) and training(**choice) on the device."""
        import cupy
        p, xs, dys, lengths = rnnref.to("gpu", (tuple(self.p), self.xs, self.dys, self.lengths))
        p, xs, dys = rnnref.tree.map_structure(lambda a: a.astype(dtype), (p, xs, dys))
        one = cells.Bidirectional((self.cell, self.cell)) if self.both else self.cell

        def forward(keep=False, **choice):
            x, tapes = xs, []
            for k in range(self.layers):
                q = (p[2 * k], p[2 * k + 1]) if self.both else p[k]
                ys, _, tape = rnnref.run(one, q, x, lengths=lengths, keep=keep, **choice)
                x, tapes = cupy.concatenate(ys, -1) if self.both else ys, [*tapes, tape]
            return tapes

        def training(**choice):
            dy = dys
            for tape in reversed(forward(True, **choice)):
                both = tuple(cupy.split(dy, 2, -1)) if self.both else dy
                dy = rnnref.run_back(tape, both)[0]
        return forward, training

    def torchs(self, mode):
        import torch
        dtype = device.torch_in(mode)
        net = device.torch_module(self.cell, self.p, dtype, self.layers, self.both)
        x, dy = (torch.tensor(a).to("cuda", dtype) for a in (self.xs, self.dys))

        def given():
            return x if self.lengths is None else torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(self.lengths))

        def forward():
            with torch.no_grad():
                net(given())

        def training():
            x.requires_grad_(True)
            y, _ = net(given())
            if self.lengths is not None:
                y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=len(dy))
            torch.autograd.backward(y, dy)
        return forward, training

    def products(self, mode):
        """The same matrix products, one layer and direction after the other, of numbers that are drawn: a card that
        multiplies ones takes less power and is faster."""
        import cupy
        (B, T, _, H), G = self.size, len(self.cell.gates) * self.size[3]
        rng = np.random.default_rng(0)
        sets = [[cast_operand(cupy.asarray(rng.standard_normal(s, "f4")), mode)
                 for s in ((q["W"].shape[0], G), (H, G), (T * B, q["W"].shape[0]), (T * B, G), (T * B, H))]
                for q in self.p]
        step, back = cupy.empty((1, B, G), "f4"), cupy.empty((1, B, H), "f4")

        def loop(a, weights, out):
            one = prepare_matmuls(a.reshape(T, B, a.shape[1]), weights, out, mode, False, T, 0)
            for t in range(T):
                one(t)

        def forward():
            for W, R, x, a, h in sets:
                matmul(x, W, mode, dtype="f4")
                loop(h, R, step)

        def training():
            forward()
            for W, R, x, a, h in sets:
                loop(a, R.T, back)
                for u, v in ((h.T, a), (x.T, a), (a, W.T)):
                    matmul(u, v, mode, dtype="f4")
        return forward, training


def calls(net, mode):
    """{who: a function that makes forward and training}: made when their turn comes, so that one set is in memory."""
    some = {"products": partial(net.products, mode), "torch": partial(net.torchs, mode)}
    some["ours"] = lambda: [partial(f, mode=mode) for f in net.ours()]
    for how in ("stepped", "graphed"):
        some[f"ours, {how}"] = lambda path=how: [
            partial(f, mode=mode, paths=(path, "bidirectional")) for f in net.ours()]
    if mode in NARROW:
        some["ours 16"] = lambda: [partial(f) for f in net.ours(dtype_by_name(NARROW[mode]))]
    if mode == "fp32":
        some["plain"] = lambda: [partial(f, paths=("hoisted", "bidirectional"), kernels=False) for f in net.ours()]
    return some


@lru_cache(1)
def net_of(name, size, kind):
    """One for all modes: drawing it takes longer than timing it."""
    return Net(CELLS[name], size, kind, np.random.default_rng(0))


def row(name, size, kind, mode, rounds):
    """Times of one case; a word instead of a time where it could not run."""
    import cupy
    net = net_of(name, size, kind)
    out = {"cell": name, "B,T,I,H": size, "kind": kind, "mode": mode, "forward": {}, "training": {}}
    for who, make in calls(net, mode).items():
        few = 2 if who == "plain" else rounds
        try:
            for what, f in zip(("forward", "training"), make()):
                out[what][who] = device.milliseconds(f, few, warm=1 if who == "plain" else 2)
        except Exception as e:                    # other measurements may still run: the error is recorded
            out["failed"] = out.get("failed", {}) | {who: f"{type(e).__name__}: {str(e)[:300]}"}
        graphed.clear()
        cupy.get_default_memory_pool().free_all_blocks()
    for what in ("forward", "training"):
        times = out[what]
        ours = min((times[who] for who in ("ours", "ours 16") if who in times), default=None)
        if ours:
            out[what + ", ratios"] = {who: times[who] / ours for who in ("torch", "products", "plain") if who in times}
        if "ours, stepped" in times and "ours, graphed" in times:
            out.setdefault(what + ", ratios", {})["graphed/stepped"] = times["ours, graphed"] / times["ours, stepped"]
    return out | a_step(net, mode, out)


def floor(problem):
    """Microseconds of one step ahead if nothing but its arithmetic, or its reading and writing, took any time."""
    B, H, G = problem.B * problem.directions, problem.H, problem.gates
    return max(2 * B * G * H * H / PEAK[problem.operand_type], 4 * B * (G + 1) * H / MEMORY) * 1e6


def a_step(net, mode, times):
    """What ran, and microseconds of one step of one layer: measured, and as the plan estimates them."""
    B, T, I, H = net.size
    problem = choice.Problem(T, B, I, H, len(net.cell.gates), "float32", mode, device.about()["sm"],
                             directions=1 + net.both)
    chosen = choice.choose(problem)
    result = {"path": chosen.method,
              "estimates": {"floor": floor(problem), "stepped": choice.estimate_step(problem)}}
    for way, t in zip(("Ahead", "Back"), chosen.tilings):
        if t is not None:
            result["estimates"][way] = estimate_microseconds(t, problem.task(way))
            result[way] = t._asdict()
    result["microseconds a step"] = {f"{what}, {who}": ms * 1e3 / T / net.layers
                                     for what in ("forward", "training") for who, ms in times[what].items()}
    return result


def shown(one):
    for what in ("forward", "training"):
        times = "  ".join(f"{who} {ms:.3f}" for who, ms in one[what].items())
        ratios = "  ".join(f"{who}{'' if '/' in who else '/ours'} {r:.2f}"
                           for who, r in one.get(what + ", ratios", {}).items())
        size = ",".join(map(str, one["B,T,I,H"])) + (f" {one['kind']}" if one["kind"] else "")
        print(f"{one['cell']:5}{size:45}{one['mode']:5}{what:9} {times}   {ratios}", flush=True)
    estimates = "  ".join(f"{who} {us:.2f}" for who, us in one["estimates"].items())
    print(f"      {one['path']}; a step of ours ahead: {one['microseconds a step'].get('forward, ours', 0):.2f} us, "
          f"estimates: {estimates}", flush=True)
    for who, why in one.get("failed", {}).items():
        print(f"      {who} failed: {why}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=540, help="no new case is begun after so many")
    given, started = parser.parse_args(), time.time()
    device.required()
    results, left_out = device.Results("gpu"), []
    print(*(f"{what}: {value}" for what, value in device.about().items()), "times in ms", sep="\n")
    for size, kind in KINDS:
        for name in CELLS:
            for mode in MODES:
                if time.time() - started > given.seconds:
                    left_out.append((name, size, kind, mode))
                    continue
                one = row(name, size, kind, mode, given.rounds)
                results.add(row=one)
                shown(one)
    results.add(left_out=left_out)
    for one in left_out:
        print("left out for want of time:", *one)
    print("written to", results.path)


if __name__ == "__main__":
    main()
