"""The tape of whole sequences on a GPU, and the products before and after the loop.

States and intermediates of all steps are one array each, step after step, so they are operands of the products after
the loop without a copy.
"""
from dataclasses import replace
from typing import Any, Collection, NamedTuple, Optional

import numpy

from ..arrays import Array, as_matrix, cast, namespace
from ..cell import ALL, GatedCell, Kept, KeptStep, sum_to_parameters
from ..cells.gru_before import GRUBefore
from ..cuda import pointwise, precision
from ..cuda.launch import arithmetic_dtype
from ..cuda.matmul import CudaDense, CudaMatrixMap, CudaWeightNorm, dtype_by_name, matmul, sum_rows
from ..maps.dense import Dense
from ..maps.normed import WeightNorm
from ..tree import Tree, apply_mask, choose, select_step

_MAPS = (Dense, WeightNorm, CudaDense, CudaWeightNorm)


def refuses(cell: Any, call: Any) -> Optional[str]:
    """None, or why no kernels run a sequence of this cell of two maps and a rule."""
    if call.home != "cupy":
        return "arrays are in main memory"
    if type(cell) is not GatedCell:
        return f"{type(cell).__name__} is not two maps and a rule (GatedCell): not implemented"
    return refuses_maps(call, cell.inputs, cell.recurrent) or pointwise.refuses(cell.rule)


def refuses_maps(call: Any, *maps: Any) -> Optional[str]:
    """None, or why no kernels run a sequence with this call or these maps."""
    for m in maps:
        if type(m) not in _MAPS:
            return f"the map {type(m).__name__} is not a matrix product"
    if call.extra is not None:
        return "it takes no extra"
    if call.keep == "states":
        return "recompute keeps states alone, this path keeps the intermediates of every step"
    if call.dtype.name not in precision.MATMUL_DTYPES:
        return f"cuBLAS has no {call.dtype}"
    return precision.why_no_cublas()


def _live_at(live: Optional[Array], t: int) -> Optional[Array]:
    return None if live is None else live[t]


class Tape(NamedTuple):
    """All that the way back of a sequence needs.

    hs, cs       states, one more than steps.  Without a tape to keep c is one state that is overwritten, and so is h
                 unless it serves as the outputs
    sent         hs in the dtype of operands of products, if that is another
    kept_buffer  intermediates of the rule, [T, *lead, count, n]; None without a tape to keep
    like         the first state, whose dtypes the last state and its gradient get
    own          arrays of cells of one kind
    """
    cell: Any; p: Any; kx: Any; hs: Any; sent: Any; cs: Any; kept_buffer: Any; live: Any; order: range; like: Any
    own: Any = None

    @property
    def outer_cell(self) -> Any:
        """The cell that runs; `cell` is the one in it that has the maps of x and h, and the rule."""
        return self.cell

    @property
    def plain_cell(self) -> Any:
        """That cell with its plain rule."""
        return replace(self.cell, rule=as_plain(self.cell.rule))

    @property
    def has_shared_outputs(self) -> bool:
        """True if one array can serve as both outputs and states (no mask, no tape)."""
        return self.live is None and self.kept_buffer is None

    @property
    def matmul_states(self) -> Array:
        """The states in the dtype of operands of products."""
        return self.hs if self.sent is None else self.sent

    def state_indices(self, t: int) -> tuple[int, int]:
        """The indices of the states before and after step t."""
        return (t, t + 1) if self.order.step > 0 else (t + 1, t)

    def states(self, t: int) -> list:
        """The states before and after step t."""
        return [self.state(k) for k in self.state_indices(t)]

    def state(self, k: int) -> Any:
        """The state with index k; where only the last one is kept, that one."""
        State, h = self.cell.rule.State, self.hs[k % len(self.hs)]
        return State(h) if self.cs is None else State(h, self.cs[k % len(self.cs)])

    def select_states(self, a: Array, which: int) -> Array:
        """Of an array with one state more than steps: the states before each step (which=0) or after it (which=1)."""
        return a[:-1] if self.state_indices(0)[which] == 0 else a[1:]

    def rule_kept(self, t: int) -> Any:
        """The intermediates of the rule at step t."""
        return pointwise.kept_views(self.cell.rule, self.kept_buffer[t], *self.states(t))

    def step_kept(self, t: int) -> Any:
        """The intermediates of step t without the input map, as the plain cell keeps them."""
        return KeptStep(self.states(t)[0][0], self.rule_kept(t))

    def kept(self, t: int) -> Any:
        """The intermediates of step t, as the plain cell keeps them.

        A kernel keeps nothing of dead rows: their intermediates are computed again by the plain cell.
        """
        x, k, live = select_step(self.kx, t), self.step_kept(t), _live_at(self.live, t)
        if live is not None:
            ax = self.cell.inputs.forward(self.p, x)[0]
            k = choose(live, k, self.plain_cell.step(self.p, ax, self.states(t)[0])[2])
        return Kept(x, k)

    def recurrent_gradients(self, dah: Array) -> dict:
        """Gradients of the parameters of the recurrent map."""
        return map_gradients(self.cell.recurrent, self.p, self.select_states(self.matmul_states, 0), dah)


def map_gradients(m: Any, p: dict, x: Array, da: Array) -> dict:
    """Gradients of the weights and the bias of a map, summed over all steps."""
    dtype = p[m.W].dtype
    dp = {m.W: matmul(as_matrix(x).T, as_matrix(da), mode_of_map(m), dtype=dtype)}
    return dp | ({m.b: sum_rows(as_matrix(da), dtype)} if m.b else {})


def as_plain(thing: Any) -> Any:
    """A rule or cell without its kernel; one that has none is returned as it is."""
    plain = vars(type(thing)).get("plain")
    return plain(**vars(thing)) if plain else thing


def copy_contiguous(a: Array, dtype: Any) -> Array:
    """A contiguous copy."""
    copied = namespace(a).empty(a.shape, dtype)
    copied[...] = a
    return copied


def project_inputs(cell: Any, p: Tree, xs: Array, live: Optional[Array], out: Optional[Array] = None
                   ) -> tuple[Array, Any]:
    """x W for all steps in one product, in `out` if that is given, and the intermediates of the input map.

    Where the rule reads only the sum of both maps, the recurrent bias is added here.
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


def _is_additive(cell: Any) -> bool:
    """True if only the sum of both maps is read, as by a GRU with the reset before the product."""
    return cell.rule.is_additive or isinstance(cell, GRUBefore)


def allocate_outputs(tape: Any, ax: Array) -> Optional[Array]:
    """An array for the outputs; None where they are the states."""
    return None if tape.has_shared_outputs else namespace(ax).empty((len(tape.order), *tape.hs.shape[1:]), ax.dtype)


def copy_final_state(tape: Any) -> Any:
    """The state after the last step, in the dtypes of the first."""
    last = tape.state(tape.state_indices(tape.order[-1])[1])
    return type(tape.like)(*(copy_contiguous(a, like.dtype) for a, like in zip(last, tape.like)))


def allocate_tape(cell: Any, p: dict, kx: Any, s: Any, live: Optional[Array], order: range, keep: Any, ax: Array,
                  kind: Any = Tape, kept_count: Optional[int] = None) -> Any:
    """A tape with all its arrays, and the first state in them.  Without `keep` states are overwritten.

    kept_count: how many numbers of a unit are kept, if not those of the rule.
    """
    xp, T, W, lead = namespace(ax), len(order), ax.dtype, ax.shape[1:-1]
    A, S = arithmetic_dtype("a sequence on the GPU", W), _operand_dtype(cell, W)
    some = T + 1 if keep else 1
    hs = xp.empty((T + 1 if live is None else some, *s[0].shape), W)
    sent = xp.empty((some, *s[0].shape), S) if S != W else None
    cs = xp.empty((some, *s[1].shape), A) if len(s) > 1 else None
    kept_buffer = None
    if keep:
        count = kept_count or pointwise.require_kernel(cell.rule).kept_count
        kept_buffer = xp.empty((T, *lead, count, ax.shape[-1] // len(cell.rule.gates)), A)
    return set_first_state(kind(cell, p, kx, hs, sent, cs, kept_buffer, live, order, s), s)


def set_first_state(tape: Any, s: Any) -> Any:
    """The tape, after the first state is written to its arrays."""
    first = tape.state_indices(tape.order[0])[0]
    for states, a in ((tape.hs, s[0]), (tape.sent, s[0]), (tape.cs, s[-1])):
        if states is not None:
            states[first % len(states)] = a
    return tape


def _operand_dtype(cell: Any, W: numpy.dtype) -> numpy.dtype:
    """The dtype of h and of the gradients of gates as operands of products."""
    operands = precision.MODES[mode_of(cell)].operands
    return W if operands is None or W.name != "float32" else dtype_by_name(operands)


def mode_of_map(m: Any) -> str:
    """The math mode of a map."""
    return getattr(m, "mode", "fp32")


def mode_of(cell: Any) -> str:
    """The math mode of the product with R."""
    return mode_of_map(cell.recurrent)


def allocate_gradients(tape: Any, sum_steps: bool = False) -> tuple:
    """Arrays for the gradients of the input map's result, the recurrent map's, and the rule's own parameters.

    The first two are one array where the rule reads only the sum; the last are of every step, or summed over steps.
    """
    xp, rule, (*lead, _, n), S = namespace(tape.hs), tape.cell.rule, tape.kept_buffer.shape, tape.matmul_states.dtype
    dax = xp.empty((*lead, len(rule.gates) * n), S)
    dah = dax if _is_additive(tape.cell) else xp.empty(dax.shape, S)
    names = pointwise.parameter_names(rule)
    return dax, dah, xp.empty((*lead[sum_steps:], len(names), n), tape.kept_buffer.dtype) if names else None


def collect_gradients(tape: Any, dax: Array, dah: Array, dp: Any, d: Any, wanted: Collection[str] = ALL
                      ) -> tuple[Optional[Array], Any, None, Optional[dict]]:
    """The products after the loop: gradients of the inputs, of the first state, None, and of the parameters.

    dp: gradients of the rule's own parameters, [..., parameters, n]; d: the gradient of the first state; wanted:
    without "x" or "p" their products are left out.
    """
    cell, p, grads = tape.cell, tape.p, None
    if "p" in wanted:
        grads = cell.inputs.backward_p(p, tape.kx, dax) | tape.recurrent_gradients(dah)
        names = pointwise.parameter_names(cell.rule)
        grads |= sum_to_parameters(p, {name: dp[..., j, :] for j, name in enumerate(names)})
    d = type(tape.like)(*(cast(a, like) for a, like in zip(d, tape.like)))
    return cell.input_backward_x(p, tape.kx, dax, wanted), d, None, grads
