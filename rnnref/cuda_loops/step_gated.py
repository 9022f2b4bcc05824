"""The launches of one step where the cell is two maps and a rule.

    forward    h R, added to x W where the rule reads only the sum; one kernel: gates, c, h, the output
    backward   one kernel: gradients of gates and of c; one product: dh += dah R'
"""
from typing import Any, Callable, Optional

from ..arrays import Array, namespace
from ..cuda import pointwise
from ..cuda.kernel_table import kernel_row_of
from ..cuda.matmul import prepare_matmuls
from ..cuda.step_launches import as_constant, prepare_launches
from .tapes import allocate_gradients, allocate_tape, collect_gradients, mode_of, refuses

__all__ = ["allocate_gradients", "allocate_tape", "collect_gradients", "list_maps", "prepare_backward",
           "prepare_forward", "refuses"]
_RING_STEPS = 16                                  # steps whose recurrent bias is written in one launch
Launch = Callable[[int], None]


def list_maps(cell: Any) -> tuple:
    """The maps whose weights a step multiplies by."""
    return (cell.recurrent,)


def prepare_forward(tape: Any, weights: dict, ax: Array, ys: Optional[Array], cublas_handle: Any = None
                    ) -> tuple[Launch, ...]:
    """Functions of t: the launches of a step forward, in order."""
    first = tape.order[0]
    before, after = tape.state_indices(first)
    out = {"h": (tape.hs, after), "y": (ys, first), "sent": (tape.sent, after)}
    return prepare_recurrent_forward(tape, weights, ax, {"h0": (tape.hs, before)}, out, cublas_handle)


def prepare_recurrent_forward(tape: Any, weights: dict, ax: Array, inputs: dict, out: dict, cublas_handle: Any
                              ) -> tuple[Launch, ...]:
    """The product h R and the rule.

    inputs, out: the arguments and results of the kernel beside gates, c and intermediates, as in `prepare_launches`.
    """
    ring, first = Ring(tape, ax), tape.order[0]
    (before, after), target = tape.state_indices(first), ax if ring.arrays is None else ring.arrays
    multiply = prepare_matmuls(tape.matmul_states, weights[tape.cell.recurrent.W], target, mode_of(tape.cell),
                               ring.adds, len(ax), tape.state_indices(0)[0], cublas_handle)
    inputs = inputs | {"ax": (ax, first), "ah": (ring.arrays, first), "c0": (tape.cs, before)}
    out = out | {"c": (tape.cs, after), "kept": (tape.kept_buffer, first)}
    return ring.fill, multiply, prepare_rule_forward(tape, tape.cell.rule, inputs, out)


def prepare_rule_forward(tape: Any, rule: Any, inputs: dict, out: dict) -> Launch:
    """The launches of a rule forward.  inputs, out: as in `prepare_launches`."""
    def step(ax: Array, live: Any, out: dict, launch: Callable, ah: Any = None, h0: Any = None, c0: Any = None) -> None:
        pointwise.forward(rule, tape.p, ax, ah, _make_state(rule, h0, c0), live, out, "kept" in out, launch)
    return prepare_launches(step, tape.order, tape.live, inputs, out)


def _make_state(rule: Any, h: Optional[Array], c: Optional[Array]) -> Any:
    return rule.State(*(h, c)[:len(rule.State._fields)])


class Ring:
    """The target of the product h R, with the recurrent bias in it.

    Where the rule reads only the sum, h R is added to x W in place, which has the bias already, and `arrays` is None.
    Otherwise h R goes to `arrays`: one, or with a bias some that are used in turn, so that the bias of several steps
    is written by one launch.
    """

    arrays: Any = None
    bias: Any = None

    def __init__(self, tape: Any, ax: Array) -> None:
        rule, b, self.first = tape.cell.rule, tape.cell.recurrent.b, tape.order[0]
        if not rule.is_additive:
            self.bias = tape.p[b] if b else None
            self.arrays = namespace(ax).empty((_RING_STEPS if b else 1, *ax.shape[1:]), ax.dtype)
        self.adds = rule.is_additive or self.bias is not None

    def fill(self, t: int) -> None:
        """Before step t: write the bias, if it is due."""
        if self.bias is not None and (t - self.first) % _RING_STEPS == 0:
            self.arrays[...] = self.bias


def prepare_backward(tape: Any, weights: dict, dys: Array, d: Any, grads: Any, cublas_handle: Any = None
                     ) -> tuple[Launch, ...]:
    """Functions of t: the launches of a step back, in order."""
    state = {name: as_constant(a) for name, a in zip(("dh", "dc"), d)}
    return (prepare_gates_backward(tape, {"dy": (dys, tape.order[-1])} | state, state, grads),
            prepare_recurrent_backward(tape, weights, d.h, grads[1], cublas_handle))


def prepare_gates_backward(tape: Any, inputs: dict, out: dict, grads: Any) -> Launch:
    """From the gradients of the rule's results to those of its gates.

    inputs, out: the gradients that the kernel reads and writes beside these, as in `prepare_launches`.
    """
    (dax, dah, dp), last = grads, tape.order[-1]
    before, after = tape.state_indices(last)
    inputs = inputs | {"kept": (tape.kept_buffer, last), "h0": (tape.hs, before), "c0": (tape.cs, before),
                       "c": (tape.cs, after)}
    out = out | {"dax": (dax, last), "dah": (dah, last), "dp": (dp, last)}
    return prepare_rule_backward(tape, tape.cell.rule, inputs, out)


def prepare_rule_backward(tape: Any, rule: Any, inputs: dict, out: dict) -> Launch:
    """The launches of a rule backward.  inputs, out: as in `prepare_launches`."""
    def step(kept: Array, dy: Array, live: Any, out: dict, launch: Callable, dh: Any = None, dc: Any = None,
             h0: Any = None, c0: Any = None, c: Any = None) -> None:
        k = pointwise.kept_views(rule, kept, _make_state(rule, h0, c0), _make_state(rule, None, c))
        pointwise.backward(rule, tape.p, k, dy, _make_state(rule, dh, dc), live, out, launch)
    return prepare_launches(step, tape.order[::-1], tape.live, inputs, out)


def prepare_recurrent_backward(tape: Any, weights: dict, dh: Array, dah: Array, cublas_handle: Any) -> Launch:
    """From the gates to h: dah R' replaces dh, or is added where the kernel left a part of the gradient there."""
    adds = kernel_row_of(tape.cell.rule).reads_h or tape.live is not None
    return prepare_matmuls(dah, weights[tape.cell.recurrent.W].T, as_constant(dh)[0], mode_of(tape.cell), adds,
                           len(tape.order), 0, cublas_handle)
