"""Tier 1: the whole sequence step by step, each step products and the fused pointwise kernels between them.  (floor 5)

    before the loop    x W for all steps, in one product; weights, and in 16-bit modes the first h, made ready once
    each step          what the cell launches for it: step_gated.py, step_before.py, step_projected.py
    after the loop     dx, dW, dR and the biases, in one product each

Every step writes to arrays that are there before the loop, so it allocates nothing and waits for nothing.
The host launches twice or more for each step: where a step on the card is shorter than that, the host is the limit.
graphed.py launches the same steps at once, as a CUDA graph.  What that gains has not been measured (not yet run on a
device), so it runs when it is asked for: paths=("graphed", "bidirectional").
"""
from ..arrays import namespace
from ..cell import GatedCell, ProjectedCell
from ..cells.gru_before import GRUBefore
from ..cuda.errors import translate_errors
from ..cuda.matmul import cast_operand
from ..cuda.rule_kernels import CudaGRUBefore
from . import step_before, step_gated, step_projected
from .tapes import allocate_outputs, copy_contiguous, copy_final_state, mode_of_map, project_inputs

__all__ = ["backward", "forward", "refuses"]
_WHO = "stepped"
# What a step launches.  A module with
#   refuses(cell, call)                           None, or the reason in words
#   maps(cell)                                    those whose matrices its steps multiply by
#   opened(cell, p, kx, s, live, order, keep, ax) a tape with all its arrays
#   ahead(tape, weights, ax, ys, by)              functions of t: what step t launches, in order
#   gradients(tape)                               arrays for what the steps back write
#   back(tape, weights, dys, d, grads, by)        functions of t; d, the gradient of the state, they write over
#   finished(tape, *grads, d)                     what stands after the loop, and all gradients
_STEP_MODULES = {GatedCell: step_gated, ProjectedCell: step_projected, GRUBefore: step_before, CudaGRUBefore: step_before}


def step_module_of(cell):
    return _STEP_MODULES.get(type(cell), step_gated)


def refuses(cell, call):
    """None, or why this cell is not run step by step."""
    return "arrays are in main memory" if call.home != "cupy" else step_module_of(cell).refuses(cell, call)


def forward(cell, p, xs, s, extra=None, live=None, reverse=False, keep=True):
    """xs [T, B, I], live [T, B] or None -> ys [T, B, H], the last state, a tape."""
    with translate_errors(_WHO):
        live = None if live is None else namespace(live).ascontiguousarray(live)
        return _run_forward(cell, p, xs, s, live, range(len(xs))[::-1 if reverse else 1], keep)


def _run_forward(cell, p, xs, s, live, order, keep):
    tape, ax = _start(cell, p, xs, s, live, order, keep)
    ys = allocate_outputs(tape, ax)
    prepare_forward_steps(tape, _cast_weights(cell, p), ax, ys)()
    if ys is None:
        ys = tape.beside(tape.hs, 1)
        ys = ys.copy() if keep else ys
    return ys, copy_final_state(tape), tape if keep else None


def _start(cell, p, xs, s, live, order, keep):
    """A tape, and x W."""
    ax, kx = project_inputs(core_cell(cell), p, xs, live)
    return step_module_of(cell).opened(cell, p, kx, s, live, order, keep, ax), ax


def core_cell(cell):
    """The cell that has the maps of x and h."""
    return cell.cell if isinstance(cell, ProjectedCell) else cell


def _cast_weights(cell, p):
    """What the steps multiply by, as products take it."""
    return {m.W: cast_operand(p[m.W], mode_of_map(m)) for m in step_module_of(cell).maps(cell)}


def prepare_forward_steps(tape, weights, ax, ys, cublas_handle=None):
    """All steps ahead, as a function that launches them and does nothing else.  by: whose products, if not CuPy's."""
    return _repeat(tape.order, step_module_of(tape.whole).ahead(tape, weights, ax, ys, cublas_handle))


def _repeat(order, launches):
    def steps():
        for t in order:
            for launch in launches:
                launch(t)
    return steps


def backward(tape, dys, ds):
    """Gradients of the inputs, of the first state, None, and of the parameters."""
    with translate_errors(_WHO):
        return run_backward(tape, dys, ds)


def run_backward(tape, dys, ds):
    d = tape.cell.rule.State(*(copy_contiguous(a, k.dtype) for a, k in zip(ds, tape.state(0))))
    step, dys = step_module_of(tape.whole), namespace(dys).ascontiguousarray(dys)
    grads = step.gradients(tape)
    prepare_backward_steps(tape, _cast_weights(tape.whole, tape.p), dys, d, grads)()
    return step.finished(tape, *grads, d)


def prepare_backward_steps(tape, weights, dys, d, grads, cublas_handle=None):
    """All steps back, as `steps_ahead` has those ahead."""
    return _repeat(tape.order[::-1], step_module_of(tape.whole).back(tape, weights, dys, d, grads, cublas_handle))
