"""Cells over a whole sequence, time first: `cell(inputs, initial_state, dtype, sequence_length)`."""
from ..errors import NotSupported, ShapeError
from ..tree import first_leaf
from .cell import CellSpec, Gradients, Result, RNNCell, cell_class
from .core_cells import make_block_lstm, refuse_reuse
from .loops import run_cell, stack_gradients, stack_steps, unstack_steps
from .variables import nest_rows


class _FusedBase(RNNCell):
    """A cell that is called with [T, B, I]."""
    fused = True

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None, *, extra=None):
        """(outputs [T, B, H], the last state): zero, and the state of the last step, past the end of a row."""
        self._refuse_scope(scope)
        several = isinstance(inputs, (list, tuple))
        if several and "lists" not in self.parts.notes:
            raise ShapeError(self.name, f"inputs is a {type(inputs).__name__}, expected one array [T, B, I]",
                             fix="numpy.stack(inputs)")
        xs, turned = stack_steps(self.name, inputs) if several else inputs, "turned" in self.parts.notes
        ys, state, back = run_cell(self, xs, initial_state, sequence_length, turned, dtype, extra)
        steps = len(first_leaf(xs))

        def backward(dys, dstate):
            dxs, ds, dv = back(stack_gradients(dys) if several else dys, dstate)
            return Gradients(unstack_steps(dxs, steps) if several else dxs, ds, dv)
        return Result((unstack_steps(ys, steps) if several else ys, state), backward)


@cell_class(base=_FusedBase)
def LSTMBlockFusedCell(num_units, forget_bias=1.0, cell_clip=None, use_peephole=False, reuse=None, dtype=None,
                       name="lstm_fused_cell"):
    """LSTMBlockCell over a whole sequence."""
    refuse_reuse("LSTMBlockFusedCell", reuse)
    return make_block_lstm(name, num_units, forget_bias, cell_clip, use_peephole)


@cell_class(base=_FusedBase)
def FusedRNNCellAdaptor(cell, use_dynamic_rnn=False):
    """A cell over a whole sequence, in static_rnn or dynamic_rnn, which compute the same; a list gives a list."""
    return CellSpec(cell.core, cell.parts.units, nest_rows(cell.parts.rows, "rnn"), cell.parts.form, (cell,),
                 {"lists": True, "output_size": cell.output_size})


@cell_class(base=_FusedBase)
def TimeReversedFusedRNN(cell):
    """A fused cell over the steps of each row from its last to its first; outputs lie beside their inputs."""
    if not cell.fused:
        raise NotSupported("TimeReversedFusedRNN", f"{cell.name} takes one step", fix="FusedRNNCellAdaptor around it")
    notes = dict(cell.parts.notes)
    if notes.pop("turned", None) is None:         # turned twice is as it was
        notes["turned"] = True
    return CellSpec(cell.core, cell.parts.units, cell.parts.rows, cell.parts.form, cell.parts.children, notes)
