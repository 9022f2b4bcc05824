"""What a step launches where the cell is two maps and a rule.  (floor 5)

    ahead    h R, added to x W where the rule sees only the sum; one kernel: gates, c, h, the output
    back     one kernel: gradients of gates and of c; one product: dh += dah R'
"""
from typing import Any

from ..arrays import namespace
from ..cuda import pointwise
from ..cuda.kernel_table import kernel_row_of
from ..cuda.matmul import prepare_matmuls
from ..cuda.step_launches import as_constant, prepare_launches
from . import tapes
from .tapes import mode_of

_RING_STEPS = 16                                         # steps whose recurrent bias is written in one launch

refuses, allocate_tape, allocate_gradients, collect_gradients = tapes.refuses, tapes.allocate_tape, tapes.allocate_gradients, tapes.collect_gradients


def list_maps(cell):
    return (cell.recurrent,)


def prepare_forward(tape, weights, ax, ys, cublas_handle=None):
    first = tape.order[0]
    was, now = tape.places(first)
    return prepare_recurrent_forward(tape, weights, ax, {"h0": (tape.hs, was)},
                        {"h": (tape.hs, now), "y": (ys, first), "sent": (tape.sent, now)}, cublas_handle)


def prepare_recurrent_forward(tape, weights, ax, inputs, out, cublas_handle):
    """From h through R and the rule.  given, out: what the kernel takes and gives beside gates, c and what is kept."""
    ring, first = Ring(tape, ax), tape.order[0]
    (was, now), target = tape.places(first), ax if ring.arrays is None else ring.arrays
    multiply = prepare_matmuls(tape.matmul_states, weights[tape.cell.recurrent.W], target, mode_of(tape.cell), ring.adds, len(ax),
                        tape.places(0)[0], cublas_handle)
    inputs = inputs | {"ax": (ax, first), "ah": (ring.arrays, first), "c0": (tape.cs, was)}
    out = out | {"c": (tape.cs, now), "kept": (tape.kept_buffer, first)}
    return ring.fill, multiply, prepare_rule_forward(tape, tape.cell.rule, inputs, out)


def prepare_rule_forward(tape, rule, inputs, out):
    """The launches of a rule.  given, out: see `series`."""
    def step(ax, live, out, launch, ah=None, h0=None, c0=None):
        pointwise.forward(rule, tape.p, ax, ah, _make_state(rule, h0, c0), live, out, "kept" in out, launch)
    return prepare_launches(step, tape.order, tape.live, inputs, out)


def _make_state(rule, h, c):
    return rule.State(*(h, c)[:len(rule.State._fields)])


class Ring:
    """Where h R goes, and its bias.

    A rule that sees only the sum gets h R added to x W in place, where the bias is already.  Another gets h R in an
    array of its own, into which its bias is written for some steps at a time: then `arrays` are these.
    """

    arrays: Any = None
    bias: Any = None

    def __init__(self, tape, ax):
        rule, b, self.first = tape.cell.rule, tape.cell.recurrent.b, tape.order[0]
        if not rule.is_additive:
            self.bias = tape.p[b] if b else None
            self.arrays = namespace(ax).empty((_RING_STEPS if b else 1, *ax.shape[1:]), ax.dtype)
        self.adds = rule.is_additive or self.bias is not None

    def fill(self, t):
        """Before step t."""
        if self.bias is not None and (t - self.first) % _RING_STEPS == 0:
            self.arrays[...] = self.bias


def prepare_backward(tape, weights, dys, d, grads, cublas_handle=None):
    both = {name: as_constant(a) for name, a in zip(("dh", "dc"), d)}
    return (prepare_gates_backward(tape, {"dy": (dys, tape.order[-1])} | both, both, grads),
            prepare_recurrent_backward(tape, weights, d.h, grads[1], cublas_handle))


def prepare_gates_backward(tape, inputs, out, grads):
    """From what the rule gave to its gates.  given, out: the gradients that the kernel takes and gives beside these."""
    (dax, dah, dp), last = grads, tape.order[-1]
    was, now = tape.places(last)
    inputs = inputs | {"kept": (tape.kept_buffer, last), "h0": (tape.hs, was), "c0": (tape.cs, was), "c": (tape.cs, now)}
    return prepare_rule_backward(tape, tape.cell.rule, inputs, out | {"dax": (dax, last), "dah": (dah, last), "dp": (dp, last)})


def prepare_rule_backward(tape, rule, inputs, out):
    """The launches of a rule on the way back."""
    def step(kept, dy, live, out, launch, dh=None, dc=None, h0=None, c0=None, c=None):
        k = pointwise.kept_views(rule, kept, _make_state(rule, h0, c0), _make_state(rule, None, c))
        pointwise.backward(rule, tape.p, k, dy, _make_state(rule, dh, dc), live, out, launch)
    return prepare_launches(step, tape.order[::-1], tape.live, inputs, out)


def prepare_recurrent_backward(tape, weights, dh, dah, cublas_handle):
    """From the gates to h: in the place of what dh was, or added to what the kernel left there."""
    adds = kernel_row_of(tape.cell.rule).reads_h or tape.live is not None
    return prepare_matmuls(dah, weights[tape.cell.recurrent.W].T, as_constant(dh)[0], mode_of(tape.cell), adds, len(tape.order), 0,
                    cublas_handle)
