"""What the paths of tiers 1 and 2 have in common: what they keep of a sequence, and what stands before and after the
loop.  (floor 5)

h, c and what the rule keeps lie one step after the other, and so are the factors of the last products as they are.
"""
from dataclasses import replace
from typing import Any, NamedTuple

from ..arrays import as_matrix, cast, namespace
from ..cell import GatedCell, Kept, KeptStep, sum_to_parameters
from ..cells.gru_before import GRUBefore
from ..cuda import pointwise, precision
from ..cuda.hold import arithmetic_dtype
from ..cuda.matmul import CudaDense, CudaMatrixMap, CudaWeightNorm, dtype_by_name, matmul, sum_rows
from ..maps.dense import Dense
from ..maps.normed import WeightNorm
from ..tree import apply_mask, choose, select_step

_MAPS = (Dense, WeightNorm, CudaDense, CudaWeightNorm)


def refuses(cell, call):
    """None, or why this cell of two maps and a rule is not run by kernels for a whole sequence."""
    if call.home != "cupy":
        return "arrays are in main memory"
    if type(cell) is not GatedCell:
        return f"{type(cell).__name__} is not two maps and a rule: not built yet"
    return refuses_maps(call, cell.inputs, cell.recurrent) or pointwise.refuses(cell.rule)


def refuses_maps(call, *maps):
    """None, or why no sequence is run by kernels in such a call, or through such maps."""
    for m in maps:
        if type(m) not in _MAPS:
            return f"the map {type(m).__name__} is not a product of matrices"
    if call.extra is not None:
        return "it takes no extra"
    if call.keep == "states":
        return "recompute keeps states only, this path keeps what every step needs on the way back"
    if call.dtype.name not in precision.MATMUL_DTYPES:
        return f"cuBLAS has no {call.dtype}"
    return precision.why_no_cublas()


def _live_at(live, t):
    return None if live is None else live[t]


class Tape(NamedTuple):
    """own: arrays that only steps of one kind have."""
    cell: Any; p: Any; kx: Any; hs: Any; sent: Any; cs: Any; kept_buffer: Any; live: Any; order: range; like: Any
    own: Any = None

    @property
    def whole(self):
        """The cell that runs; `cell` is the one in it that has the maps of x and h, and the rule."""
        return self.cell

    @property
    def text(self):
        """That cell with its rule as it is written."""
        return replace(self.cell, rule=as_plain(self.cell.rule))

    @property
    def has_shared_outputs(self):
        """Whether the states are the outputs too: then nobody else looks at them."""
        return self.live is None and self.kept_buffer is None

    @property
    def matmul_states(self):
        """The states as products take them."""
        return self.hs if self.sent is None else self.sent

    def places(self, t):
        """Where the states before and after step t are."""
        return (t, t + 1) if self.order.step > 0 else (t + 1, t)

    def states(self, t):
        return [self.state(k) for k in self.places(t)]

    def state(self, k):
        """State number k; where none but the last are kept, that one."""
        State, h = self.cell.rule.State, self.hs[k % len(self.hs)]
        return State(h) if self.cs is None else State(h, self.cs[k % len(self.cs)])

    def beside(self, a, which):
        """Of an array with one state more than steps: those that steps begin with (0), or that they give (1)."""
        return a[:-1] if self.places(0)[which] == 0 else a[1:]

    def rule_kept(self, t):
        return pointwise.kept_views(self.cell.rule, self.kept_buffer[t], *self.states(t))

    def step_kept(self, t):
        """What the text keeps of a step."""
        return KeptStep(self.states(t)[0][0], self.rule_kept(t))

    def kept(self, t):
        """As the text keeps it.  A kernel keeps nothing of dead rows: there it is the text, run again."""
        x, k, now = select_step(self.kx, t), self.step_kept(t), _live_at(self.live, t)
        if now is not None:
            ax = self.cell.inputs.forward(self.p, x)[0]
            k = choose(now, k, self.text.step(self.p, ax, self.states(t)[0])[2])
        return Kept(x, k)

    def recurrent_gradients(self, dah):
        """Gradients of the parameters of the recurrent map."""
        return map_gradients(self.cell.recurrent, self.p, self.beside(self.matmul_states, 0), dah)


def map_gradients(m, p, x, da):
    """The gradients of what a map multiplies by and adds, for all steps."""
    dtype = p[m.W].dtype
    dp = {m.W: matmul(as_matrix(x).T, as_matrix(da), mode_of_map(m), dtype=dtype)}
    return dp | ({m.b: sum_rows(as_matrix(da), dtype)} if m.b else {})


def as_plain(thing):
    """The text of a rule or cell, or of the twin of one."""
    text = vars(type(thing)).get("plain")
    return text(**vars(thing)) if text else thing


def copy_contiguous(a, dtype):
    """A copy that may be written over, rows end to end."""
    copied = namespace(a).empty(a.shape, dtype)
    copied[...] = a
    return copied


def project_inputs(cell, p, xs, live, out=None):
    """x W for all steps in one product, in `out` if that is given, and what its way back needs.

    Where only the sum is seen, the recurrent bias is there already.
    """
    m, b = cell.inputs, cell.recurrent.b
    if isinstance(m, CudaMatrixMap):
        ax, kx = m.forward(p, apply_mask(live, xs), out)
    else:
        ax, kx = m.forward(p, apply_mask(live, xs))
        if out is not None:
            out[...] = ax
            ax = out
    if _is_additive(cell) and b:
        ax += p[b]
    return ax, kx


def _is_additive(cell):
    """Whether of what x and h give only the sum is seen: so it is wherever the reset stands before the product."""
    return cell.rule.is_additive or isinstance(cell, GRUBefore)


def allocate_outputs(tape, ax):
    """An array for the outputs; None where they are the states."""
    return None if tape.has_shared_outputs else namespace(ax).empty((len(tape.order), *tape.hs.shape[1:]), ax.dtype)


def copy_final_state(tape):
    """The state after the last step, in the dtypes of the first."""
    last = tape.state(tape.places(tape.order[-1])[1])
    return type(tape.like)(*(copy_contiguous(a, like.dtype) for a, like in zip(last, tape.like)))


def allocate_tape(cell, p, kx, s, live, order, keep, ax, kind=Tape, kept_count=None):
    """A tape with all its arrays, and the first state in its place.  Without `keep` states are written over.

    stored: how many numbers of a unit are kept, if not those of the rule.
    """
    xp, T, W, lead = namespace(ax), len(order), ax.dtype, ax.shape[1:-1]
    A, S, n = arithmetic_dtype("a sequence on the GPU", W), _operand_dtype(cell, W), ax.shape[-1] // len(cell.rule.gates)
    some = T + 1 if keep else 1
    hs = xp.empty((T + 1 if live is None else some, *s[0].shape), W)
    sent = xp.empty((some, *s[0].shape), S) if S != W else None
    cs = xp.empty((some, *s[1].shape), A) if len(s) > 1 else None
    kept_all = xp.empty((T, *lead, kept_count or pointwise.require_kernel(cell.rule).stored, n), A) if keep else None
    return set_first_state(kind(cell, p, kx, hs, sent, cs, kept_all, live, order, s), s)


def set_first_state(tape, s):
    """The tape, with the first state in its place."""
    first = tape.places(tape.order[0])[0]
    for states, a in ((tape.hs, s[0]), (tape.sent, s[0]), (tape.cs, s[-1])):
        if states is not None:
            states[first % len(states)] = a
    return tape


def _operand_dtype(cell, W):
    """The dtype in which h and the gradients of gates go into products."""
    wanted = precision.MODES[mode_of(cell)].operands
    return W if wanted is None or W.name != "float32" else dtype_by_name(wanted)


def mode_of_map(m):
    """The math mode of a map."""
    return getattr(m, "mode", "fp32")


def mode_of(cell):
    """The math mode of the product with R."""
    return mode_of_map(cell.recurrent)


def allocate_gradients(tape, sum_steps=False):
    """Where the steps write the gradients of the gates, of x and of h (one and the same where only the sum is seen),
    and of the rule's own parameters: of every step, or summed over them."""
    xp, rule, (*lead, _, n), S = namespace(tape.hs), tape.cell.rule, tape.kept_buffer.shape, tape.matmul_states.dtype
    dax = xp.empty((*lead, len(rule.gates) * n), S)
    dah = dax if _is_additive(tape.cell) else xp.empty(dax.shape, S)
    names = pointwise.parameter_names(rule)
    return dax, dah, xp.empty((*lead[sum_steps:], len(names), n), tape.kept_buffer.dtype) if names else None


def collect_gradients(tape, dax, dah, dp, d):
    """After the loop: gradients of the inputs, of the first state, None, and of the parameters.

    dp: what each step gave to the rule's own parameters, [..., names, n]; d: the gradient of the first state.
    """
    cell, p = tape.cell, tape.p
    grads = cell.inputs.backward_p(p, tape.kx, dax) | tape.recurrent_gradients(dah)
    grads |= sum_to_parameters(p, {name: dp[..., j, :] for j, name in enumerate(pointwise.parameter_names(cell.rule))})
    d = type(tape.like)(*(cast(a, like) for a, like in zip(d, tape.like)))
    return cell.inputs.backward_x(p, tape.kx, dax), d, None, grads
