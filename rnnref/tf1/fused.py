"""Fused cells: cells that are called with a whole sequence [T, B, I]."""
from typing import Any, Optional

from ..errors import NotSupported, ShapeError, describe_type
from ..tree import Tree, first_leaf
from .cell import RNNCell, require_cell
from .core_cells import make_block_lstm, refuse_reuse
from .declared import DeclaredCell, cell_class
from .loops import run_cell, stack_gradients, stack_steps, unstack_steps
from .spec import CellSpec, Gradients, Result
from .variables import nest_rows


class FusedRNNCell(DeclaredCell):
    """A cell that is called with a sequence: cell(inputs, initial_state, dtype, sequence_length)."""
    is_fused = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_declare" not in vars(cls) and cls.__module__ != __name__:
            raise NotSupported(cls.__name__, "a fused cell of one's own",
                               fix="a subclass of RNNCell, inside of FusedRNNCellAdaptor")

    def __call__(self, inputs: Tree, initial_state: Tree = None, dtype: Any = None,
                 sequence_length: Any = None, scope: None = None, *, extra: Any = None) -> Result:
        """(outputs [T, B, H], final state); after the end of a row outputs are zero and the state stays."""
        self._refuse_scope(scope)
        is_list = isinstance(inputs, (list, tuple))
        if is_list and "lists" not in self.spec.notes:
            raise ShapeError(self.who, f"inputs is {describe_type(inputs)}, expected one array [T, B, I]",
                             fix="numpy.stack(inputs)")
        xs, reverse = stack_steps(self.who, inputs) if is_list else inputs, "reverse" in self.spec.notes
        ys, state, back = run_cell(self, xs, initial_state, sequence_length, reverse, dtype, extra)
        steps = len(first_leaf(xs))

        def backward(dys: Any, dstate: Tree) -> Gradients:
            dxs, ds, dv = back(stack_gradients(dys) if is_list else dys, dstate)
            return Gradients(unstack_steps(dxs, steps) if is_list else dxs, ds, dv)
        return Result((unstack_steps(ys, steps) if is_list else ys, state), backward)


class LSTMBlockWrapper(FusedRNNCell):
    """The base class of LSTMBlockFusedCell."""


@cell_class(base=LSTMBlockWrapper)
def LSTMBlockFusedCell(num_units: int, forget_bias: float = 1.0, cell_clip: Optional[float] = None,
                       use_peephole: bool = False, reuse: Any = None, dtype: Any = None,
                       name: str = "lstm_fused_cell") -> CellSpec:
    """LSTMBlockCell over a whole sequence."""
    refuse_reuse("LSTMBlockFusedCell", reuse)
    return make_block_lstm(name, num_units, forget_bias, cell_clip, use_peephole)


@cell_class(base=FusedRNNCell)
def FusedRNNCellAdaptor(cell: RNNCell, use_dynamic_rnn: bool = False) -> CellSpec:
    """A cell over a whole sequence; a list of inputs gives a list of outputs.

    use_dynamic_rnn chooses between two loops of TF that compute the same, and is ignored here.
    """
    require_cell("FusedRNNCellAdaptor", cell)
    return CellSpec(cell.core, cell.spec.units, nest_rows(cell.spec.rows, "rnn"), cell.spec.form, (cell,),
                    {"lists": True, "output_size": cell.output_size})


@cell_class(base=FusedRNNCell)
def TimeReversedFusedRNN(cell: RNNCell) -> CellSpec:
    """A fused cell over the live steps of each row in reverse; outputs are at the steps of their inputs."""
    if not require_cell("TimeReversedFusedRNN", cell).is_fused:
        raise NotSupported("TimeReversedFusedRNN", f"{cell.who} takes one step",
                           fix=f"TimeReversedFusedRNN(FusedRNNCellAdaptor({cell.who}(...)))")
    notes = dict(cell.spec.notes)
    if notes.pop("reverse", None) is None:        # the reverse of a reverse is the forward direction
        notes["reverse"] = True
    return CellSpec(cell.core, cell.spec.units, cell.spec.rows, cell.spec.form, cell.spec.children, notes)
