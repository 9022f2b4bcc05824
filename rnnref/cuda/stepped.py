"""Tier 1: the whole sequence step by step, each step products and the fused pointwise kernels between them.  (floor 5)

    before the loop    x W for all steps, in one product; weights, and in 16-bit modes the first h, made ready once
    each step          what the cell launches for it: step_gated.py, step_before.py, step_projected.py
    after the loop     dx, dW, dR and the biases, in one product each

Every step writes to arrays that are there before the loop, so it allocates nothing and waits for nothing.
The host launches twice or more for each step: where a step on the card is shorter than that, the host is the limit.
graphed.py launches the same steps at once, as a CUDA graph.  What that gains has not been measured (not yet run on a
device), so it runs when it is asked for: paths=("cuda.graphed", "apart").
"""
from ..arrays import namespace
from ..cell import GatedCell, ProjectedCell
from ..cells.gru_before import GRUBefore
from . import step_before, step_gated, step_projected
from .products import factor
from .sequence import ended, fresh, inputs, mode, outputs
from .trouble import explained
from .twins import CudaGRUBefore

__all__ = ["backward", "forward", "refuses"]
WHO = "cuda.stepped"
# What a step launches.  A module with
#   refuses(cell, call)                           None, or the reason in words
#   maps(cell)                                    those whose matrices its steps multiply by
#   opened(cell, p, kx, s, live, order, keep, ax) a tape with all its arrays
#   ahead(tape, weights, ax, ys, by)              functions of t: what step t launches, in order
#   gradients(tape)                               arrays for what the steps back write
#   back(tape, weights, dys, d, grads, by)        functions of t; d, the gradient of the state, they write over
#   finished(tape, *grads, d)                     what stands after the loop, and all gradients
STEPS = {GatedCell: step_gated, ProjectedCell: step_projected, GRUBefore: step_before, CudaGRUBefore: step_before}


def step_of(cell):
    return STEPS.get(type(cell), step_gated)


def refuses(cell, call):
    """None, or why this cell is not run step by step."""
    return "arrays are in main memory" if call.home != "cupy" else step_of(cell).refuses(cell, call)


def forward(cell, p, xs, s, extra=None, live=None, reverse=False, keep=True):
    """xs [T, B, I], live [T, B] or None -> ys [T, B, H], the last state, a tape."""
    with explained(WHO):
        live = None if live is None else namespace(live).ascontiguousarray(live)
        return ahead(cell, p, xs, s, live, range(len(xs))[::-1 if reverse else 1], keep)


def ahead(cell, p, xs, s, live, order, keep):
    tape, ax = begun(cell, p, xs, s, live, order, keep)
    ys = outputs(tape, ax)
    steps_ahead(tape, weights(cell, p), ax, ys)()
    if ys is None:
        ys = tape.beside(tape.hs, 1)
        ys = ys.copy() if keep else ys
    return ys, ended(tape), tape if keep else None


def begun(cell, p, xs, s, live, order, keep):
    """A tape, and x W."""
    ax, kx = inputs(core(cell), p, xs, live)
    return step_of(cell).opened(cell, p, kx, s, live, order, keep, ax), ax


def core(cell):
    """The cell that has the maps of x and h."""
    return cell.cell if isinstance(cell, ProjectedCell) else cell


def weights(cell, p):
    """What the steps multiply by, as products take it."""
    return {m.W: factor(p[m.W], mode(m)) for m in step_of(cell).maps(cell)}


def steps_ahead(tape, weights, ax, ys, by=None):
    """All steps ahead, as a function that launches them and does nothing else.  by: whose products, if not CuPy's."""
    return each(tape.order, step_of(tape.whole).ahead(tape, weights, ax, ys, by))


def each(order, launches):
    def steps():
        for t in order:
            for launch in launches:
                launch(t)
    return steps


def backward(tape, dys, ds):
    """Gradients of the inputs, of the first state, None, and of the parameters."""
    with explained(WHO):
        return back(tape, dys, ds)


def back(tape, dys, ds):
    d = tape.cell.rule.State(*(fresh(a, k.dtype) for a, k in zip(ds, tape.state(0))))
    step, dys = step_of(tape.whole), namespace(dys).ascontiguousarray(dys)
    grads = step.gradients(tape)
    steps_back(tape, weights(tape.whole, tape.p), dys, d, grads)()
    return step.finished(tape, *grads, d)


def steps_back(tape, weights, dys, d, grads, by=None):
    """All steps back, as `steps_ahead` has those ahead."""
    return each(tape.order[::-1], step_of(tape.whole).back(tape, weights, dys, d, grads, by))
