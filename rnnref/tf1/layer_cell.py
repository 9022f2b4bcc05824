"""Cells of rnnref.layers in the loops of TF 1."""
from types import ModuleType
from typing import Any, Optional

import numpy

from ..arrays import Array, is_array, namespace
from ..errors import NotSupported
from ..layers.base import Layer
from ..layers.stacked import as_layer, is_call
from ..nest import flatten
from ..symbols import is_symbolic
from ..tree import Tree, leaves, map_structure
from ..values import CURRENT
from .cell import RNNCell, require_cell
from .spec import CellSpec


class LayerCell(RNNCell):
    """A cell of rnnref.layers, with the weights of the layer, which is built for the first inputs if need be.

    As in TF 1.15 a state is one array where the layer has a list of one, and gradients of weights go by the names that
    Keras has for them.  Dropout does not act.
    """
    is_written = False

    def __init__(self, layer: Any) -> None:
        if layer.channels_first:
            raise NotSupported(layer.who, 'data_format="channels_first" in a loop of TF 1', known='"channels_last"')
        self.layer = layer

    who = name = property(lambda self: self.layer.who)
    dtype = property(lambda self: self.layer.dtype)
    state_size = property(lambda self: self.layer.state_size)
    output_size = property(lambda self: self.layer.output_size)
    core = property(lambda self: self.layer.running(1, numpy)[0])
    spec = property(lambda self: CellSpec(self.core, self.layer.units, []))

    @property                                     # type: ignore[misc]
    def p(self) -> Any:
        """The parameters of rnnref, by name; None if there are none yet."""
        return self.layer.params if self.layer.built else None

    def zeros(self, batch: int, xp: ModuleType = numpy, dtype: Any = "float32") -> Tree:
        if self.layer.first_state(self._arrays(), batch, True) is not None:
            raise NotSupported(self.who, "a first state made of weights, in a loop of TF 1",
                               fix="initial_state=cell.get_initial_state(batch_size=...), or layers.RNN(cell)")
        return self._zeros(batch, xp, dtype)

    def _zeros(self, batch: int, xp: ModuleType, dtype: Any) -> Tree:
        places = getattr(self.layer, "_places", tuple)()                     # of a convolution
        return self.core.zeros((batch, *places) if places else batch, self.layer.units, xp, dtype)

    def _arrays(self) -> dict[str, Array]:
        return {path: w.data for path, w in self.layer.named_weights().items()}

    def state_from_tf(self, state: Tree) -> Tree:
        first = flatten(state)[0]
        return self.layer.from_list(self.who, "the state", state,
                                    self._zeros(len(first), namespace(first), first.dtype))

    def state_to_tf(self, state: Tree) -> Tree:
        return _as_tuples(self.layer.to_list(state))

    def draw_masks(self, x: Tree, steps: Optional[int]) -> None:
        return None

    def check_inputs(self, x: Tree) -> None:
        self._build_for(x, 1)

    def check_sequence(self, xs: Tree) -> None:
        self._build_for(xs, 2)

    def _build_for(self, x: Tree, lead: int) -> None:
        """Build the layer for inputs with so many axes before those of one row."""
        if not self.layer.built:
            self.layer.build(map_structure(lambda a: (None, *a.shape[lead:]), x))
        namespace(*(a for _, a in leaves(x)), *self._arrays().values())

    def gradients(self, dp: Tree) -> dict[str, Array]:
        """{Keras's name: gradient}"""
        names = {path: w.path for path, w in self.layer.named_weights().items()}
        return {names[path]: d for path, d in self.layer._flat(dp).items()}


def _as_tuples(states: Any) -> Any:
    """Lists of Keras as tuples, and a list of one array as the array."""
    if isinstance(states, dict):
        return {k: _as_tuples(s) for k, s in states.items()}
    if not isinstance(states, list):
        return states
    return states[0] if len(states) == 1 and is_array(states[0]) else tuple(map(_as_tuples, states))


def as_cell(who: str, cell: Any, inputs: Any = None) -> RNNCell:
    """What a loop takes for a cell: a cell of TF 1, a cell of rnnref.layers, or one written as for Keras."""
    if CURRENT.get() is not None or is_symbolic(inputs):
        raise NotSupported(who, "a loop of TF 1 in the call of a model, or in a record: gradients come from "
                           "result.backward", fix="layers.RNN(cell, return_sequences=True, return_state=True), which "
                           "takes cells of TF 1 too, or the cell in a loop by hand")
    if not isinstance(cell, RNNCell) and (isinstance(cell, Layer) and hasattr(cell, "state_size") or is_call(cell)):
        return LayerCell(as_layer(cell))
    return require_cell(who, cell)
