"""Times beside cuDNN and plain CuPy, the most telling cases first; and of each kernel alone."""
from tests.bench import gpu
from tests.bench.first import alone, results

TOY = 3, 4, 5, 6                                  # B, T, I, H
# sizes of gpu.py in the order in which they tell most, each with its modes
FIRST = ((2, ("fp32", "bf16")), (1, ("fp32", "bf16")), (0, ("fp32", "bf16")), (3, ("fp32", "bf16", "tf32")))
ROUNDS = 5


def cases(toys=False):
    """{name: (cell's name, size, kind, mode)}"""
    if toys:
        return {f"LSTM, toy, {mode}": ("LSTM", TOY, "", mode) for mode in ("fp32", "bf16")}
    order = [(name, gpu.SIZES[k], "", mode) for name in gpu.CELLS for k, modes in FIRST for mode in modes]
    order += [(name, size, kind, mode) for size, kind in gpu.KINDS for name in gpu.CELLS for mode in gpu.MODES]
    return {f"{name} {','.join(map(str, size))} {kind}{' ' * bool(kind)}{mode}": (name, size, kind, mode)
            for name, size, kind, mode in dict.fromkeys(order)}


def sequences():
    """(cell, (T, B, I, H), mode) of the first of them."""
    for k, modes in FIRST:
        B, T, I, H = gpu.SIZES[k]
        for cell in gpu.CELLS.values():
            for mode in modes:
                yield cell, (T, B, I, H), mode


def measure(name, cell, size, kind, mode):
    one = gpu.row(cell, size, kind, mode, ROUNDS)
    gpu.shown(one)
    results.add("bench", case=name, **one)        # before what may still fail
    B, _, _, H = size
    if not kind and size != TOY and "Ahead" in one:
        kernels = alone.a_step(gpu.CELLS[cell], B, H, mode)
        results.add("alone", case=name, microseconds=kernels, estimates=one["estimates"])
        print(f"      kernels alone, us a step and before the first: {kernels}", flush=True)
