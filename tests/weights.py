"""Weights as each framework has them, drawn: what the tests of interop share."""
import numpy as np

import rnnref
from rnnref.interop import LAYOUTS, cell_for, dump

I, U = 3, 4
NO_PLACE = {("gru", "flax"): "rz", ("gru", "tf1 cudnn"): "rz"}                # gates whose bR has no place


def drawn(cell, layout, seed=0, dtype="float64", n_in=I, units=U):
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
    return dump(layout, drawn(cell, layout), cell)


def outputs(cell, p, dtype="float64"):
    """ys and dxs over a short sequence."""
    rng = np.random.default_rng(1)
    xs = rng.normal(size=(5, 2, p["W"].shape[0])).astype(dtype)
    ys, _, tape = rnnref.run(cell, p, xs)
    return ys, rnnref.run_back(tape, rng.normal(size=ys.shape).astype(dtype))[0]
