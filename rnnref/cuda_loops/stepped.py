"""The path `stepped`: a sequence step by step, each step matrix products and the pointwise kernels between them.

    before the loop    x W for all steps, in one product; weights, and in 16-bit modes the first h, cast once
    each step          the launches of its cell: step_gated.py, step_before.py, step_projected.py
    after the loop     dx, dW, dR and the biases, in one product each

Every step writes to arrays allocated before the loop, so it allocates nothing and waits for nothing.
The host launches twice or more for each step: where a step on the card is shorter than that, the host is the limit.
graphed.py launches all steps at once, as a CUDA graph, and replayed.py does that from the second sequence of a kind on.
"""
from typing import Any, Callable, Collection, Optional, Sequence

from ..arrays import Array, namespace
from ..cell import ALL, GatedCell, ProjectedCell
from ..cells.gru_before import GRUBefore
from ..cuda.errors import translate_errors
from ..cuda.matmul import cast_operand
from ..cuda.rule_kernels import CudaGRUBefore
from ..tree import Tree
from . import step_before, step_gated, step_projected
from .tapes import allocate_outputs, copy_contiguous, copy_final_state, mode_of_map, project_inputs

__all__ = ["backward", "forward", "refuses"]
_WHO = "stepped"
# The launches of one step, for each kind of cell, in a module with
#   refuses(cell, call)                                       None, or the reason in words
#   list_maps(cell)                                           the maps whose weights its steps multiply by
#   allocate_tape(cell, p, kx, s, live, order, keep, ax)      a tape with all its arrays
#   prepare_forward(tape, weights, ax, ys, cublas_handle)     functions of t: the launches of step t, in order
#   allocate_gradients(tape)                                  arrays that the steps back write to
#   prepare_backward(tape, weights, dys, d, grads, cublas_handle)       functions of t; they overwrite d, the gradient
#                                                             of the state
#   collect_gradients(tape, *grads, d, wanted)                the products after the loop, and the gradients
# cublas_handle: a cublas.Handle for the products; None: CuPy's
_STEP_MODULES = {GatedCell: step_gated, ProjectedCell: step_projected, GRUBefore: step_before,
                 CudaGRUBefore: step_before}


def step_module_of(cell: Any) -> Any:
    """The module with the launches of one step of this cell."""
    return _STEP_MODULES.get(type(cell), step_gated)


def refuses(cell: Any, call: Any) -> Optional[str]:
    """None, or why this path does not run this cell."""
    return "arrays are in main memory" if call.home != "cupy" else step_module_of(cell).refuses(cell, call)


def forward(cell: Any, p: Tree, xs: Array, s: Any, extra: Tree = None, live: Optional[Array] = None,
            reverse: bool = False, keep: Any = True) -> tuple[Array, Any, Any]:
    """xs [T, B, I], live [T, B] or None -> ys [T, B, H], the last state, a tape."""
    with translate_errors(_WHO):
        live = None if live is None else namespace(live).ascontiguousarray(live)
        return _run_forward(cell, p, xs, s, live, range(len(xs))[::-1 if reverse else 1], keep)


def _run_forward(cell: Any, p: Tree, xs: Array, s: Any, live: Optional[Array], order: range, keep: Any) -> tuple:
    tape, ax = _start(cell, p, xs, s, live, order, keep)
    ys = allocate_outputs(tape, ax)
    prepare_forward_steps(tape, _cast_weights(cell, p), ax, ys)()
    if ys is None:
        ys = tape.select_states(tape.hs, 1)
        ys = ys.copy() if keep else ys
    return ys, copy_final_state(tape), tape if keep else None


def _start(cell: Any, p: Tree, xs: Array, s: Any, live: Optional[Array], order: range, keep: Any) -> tuple[Any, Array]:
    """A tape, and x W."""
    ax, kx = project_inputs(core_cell(cell), p, xs, live)
    return step_module_of(cell).allocate_tape(cell, p, kx, s, live, order, keep, ax), ax


def core_cell(cell: Any) -> Any:
    """The cell that has the maps of x and h."""
    return cell.cell if isinstance(cell, ProjectedCell) else cell


def _cast_weights(cell: Any, p: dict) -> dict[str, Array]:
    """The weights of the steps in the dtype of operands of products."""
    return {m.W: cast_operand(p[m.W], mode_of_map(m)) for m in step_module_of(cell).list_maps(cell)}


def prepare_forward_steps(tape: Any, weights: dict, ax: Array, ys: Optional[Array], cublas_handle: Any = None
                          ) -> Callable[[], None]:
    """A function that launches all steps forward and does nothing else."""
    return _repeat(tape.order, step_module_of(tape.outer_cell).prepare_forward(tape, weights, ax, ys, cublas_handle))


def _repeat(order: Sequence[int], launches: Sequence[Callable[[int], None]]) -> Callable[[], None]:
    def steps() -> None:
        for t in order:
            for launch in launches:
                launch(t)
    return steps


def backward(tape: Any, dys: Array, ds: Any, wanted: Collection[str] = ALL) -> tuple:
    """Gradients of the inputs, of the first state, None, and of the parameters."""
    with translate_errors(_WHO):
        return run_backward(tape, dys, ds, wanted)


def run_backward(tape: Any, dys: Array, ds: Any, wanted: Collection[str] = ALL) -> tuple:
    """`backward` with the errors of CuPy as they are."""
    d = tape.cell.rule.State(*(copy_contiguous(a, k.dtype) for a, k in zip(ds, tape.state(0))))
    step, dys = step_module_of(tape.outer_cell), namespace(dys).ascontiguousarray(dys)
    grads = step.allocate_gradients(tape)
    prepare_backward_steps(tape, _cast_weights(tape.outer_cell, tape.p), dys, d, grads)()
    return step.collect_gradients(tape, *grads, d, wanted)


def prepare_backward_steps(tape: Any, weights: dict, dys: Array, d: Any, grads: tuple, cublas_handle: Any = None
                           ) -> Callable[[], None]:
    """A function that launches all steps back and does nothing else; it overwrites d, the gradient of the state."""
    step = step_module_of(tape.outer_cell)
    return _repeat(tape.order[::-1], step.prepare_backward(tape, weights, dys, d, grads, cublas_handle))
