"""Random weights in the layout of each framework, and runs of the layers that they are for."""
import numpy as np

import rnnref
from rnnref.interop import LAYOUTS, Weights, cell_for, dump, gradients

I, U = 3, 4
NO_PLACE = {("gru", "flax"): "rz", ("gru", "tf1 cudnn"): "rz", ("mgu", "flax"): "f", ("gru", "equinox"): "rz",
            ("gru", "mlx"): "rz"}                 # gates whose bR has no place


def draw_parameters(cell, layout, seed=0, dtype="float64", n_in=I, units=U):
    """Random parameters without a zero, but where the layout has no place for any."""
    rng = np.random.default_rng(seed)
    p = rnnref.init.parameters(cell, n_in, units, rng, dtype, scheme=lambda c, r, n, a, s: r.normal(size=s) / 2)
    for gate in NO_PLACE.get((layout.family, layout.framework), "") if "bR" in p else "":
        p["bR"].reshape(len(cell.gates), -1)[cell.gates.index(gate)] = 0
    return p


def arrays_of(family, framework, **options):
    """Their arrays of a layer."""
    cell = cell_for(family, framework, **options)
    layout = LAYOUTS[family, framework]
    return dump(layout, draw_parameters(cell, layout), cell)


def draw_weights(family, framework, dtype="float64", **options):
    """Random `Weights` of a layer."""
    layout, cell = LAYOUTS[family, framework], cell_for(family, framework, **options)
    arrays = dump(layout, draw_parameters(cell, layout, dtype=dtype), cell)
    return Weights(arrays, layout, cell, {name: name for name in arrays})


def outputs(cell, p, dtype="float64"):
    """ys and dxs over a short sequence."""
    rng = np.random.default_rng(1)
    xs = rng.normal(size=(5, 2, *(4,) * cell.inputs.space, p["W"].shape[-2])).astype(dtype)
    ys, _, tape = rnnref.run(cell, p, xs)
    return ys, rnnref.run_back(tape, rng.normal(size=ys.shape).astype(dtype))[0]


def run_layers(layers, xs, dys, lengths=None):
    """Layers of `weights_of` over xs [T, B, I]: outputs, the last state of each part, dxs, gradients by their names."""
    tapes, last, found = [], [], {}
    for layer in layers:
        runs = [rnnref.run(w.cell, w.load(), xs, lengths=lengths, reverse=bool(k)) for k, w in enumerate(layer)]
        xs = np.concatenate([ys for ys, _, _ in runs], -1)
        tapes.append([tape for _, _, tape in runs])
        last += [state for _, state, _ in runs]
    for layer, taped in zip(reversed(layers), reversed(tapes)):
        widths = np.cumsum([tape.like[0].shape[-1] for tape in taped])[:-1]
        back = [rnnref.run_back(tape, dy) for tape, dy in zip(taped, np.split(dys, widths, -1))]
        dys = sum(dxs for dxs, _, _, _ in back)
        for w, (_, _, _, dp) in zip(layer, back):
            found |= w.renamed(gradients(w.layout, dp, w.cell))
    return xs, last, dys, found
