"""The wrappers of tf.nn.rnn_cell and tf.contrib.rnn: cells around other cells."""
from math import sqrt
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence

import numpy

from ..arrays import Array, namespace
from ..cells import Masks, Stack
from ..errors import InvalidType, InvalidValue, NotSupported, describe_type
from ..shards import refuse
from ..tree import PerStep, Tree, first_leaf, leaves, map_structure
from ..wrappers.attention import Attention
from ..wrappers.device import Device
from ..wrappers.dropout import Dropout
from ..wrappers.embedding import Embedding
from ..wrappers.projection import InputProjection, OutputProjection
from ..wrappers.residual import Highway, Residual
from .cell import RNNCell, draw_child_masks, require_cell
from .core_cells import make_rows, refuse_reuse
from .declared import DeclaredCell, cell_class
from .spec import CellSpec
from .states import Flat, LSTMStateTuple, collect, list_leaves, nest_form
from .variables import make_rng, nest_rows, parse_row


@cell_class
def MultiRNNCell(cells: Sequence[RNNCell], state_is_tuple: bool = True) -> CellSpec:
    """A stack of cells: the output of each is the input of the next."""
    if not isinstance(cells, (list, tuple)):
        raise InvalidType("MultiRNNCell", f"cells is {describe_type(cells)}, expected a list or a tuple of cells")
    if not cells:
        raise InvalidValue("MultiRNNCell", "cells is empty")
    for cell in cells:
        require_cell("MultiRNNCell", cell)
    if not state_is_tuple:
        _refuse_tuples("MultiRNNCell", cells)
    if len({id(cell) for cell in cells}) < len(cells):
        raise NotSupported("MultiRNNCell", "one cell in two places: they would share their weights",
                           fix="a cell object for each place")
    rows = [r for n, cell in enumerate(cells) for r in nest_rows(cell.spec.rows, f"multi_rnn_cell/cell_{n}", str(n))]
    form = tuple(nest_form(cell.spec.form, str(n)) for n, cell in enumerate(cells))
    notes = {"several": True, "feeds": lambda k, width: cells[k - 1].output_size if k else None}
    return CellSpec(Stack(tuple(cell.core for cell in cells)), tuple(cell.spec.units for cell in cells), rows,
                    form if state_is_tuple else Flat(form), tuple(cells), _keep_output_size(cells[-1]) | notes)


def _refuse_tuples(who: str, cells: Sequence[RNNCell]) -> None:
    """Raise, as TF does, if a state that is to be a part of one matrix is a tuple."""
    for cell in cells:
        if isinstance(cell.state_size, tuple):
            raise InvalidValue(who, f"state_is_tuple=False, and the state of {cell.who} is a tuple: {cell.state_size}",
                               fix=f"{cell.who}(..., state_is_tuple=False) inside")


def _wrap(cell: RNNCell, core: Any, rows: Iterable = (), scope: str = "", form: Any = None, **notes: Any) -> CellSpec:
    """The spec of a wrapper of one cell, with variables of its own."""
    notes = {n: v for n, v in cell.spec.notes.items() if n in ("space", "inputs of")} | notes
    inner = nest_rows(cell.spec.rows, scope, find_inner_path(core, cell.core))
    return CellSpec(core, cell.spec.units, [*rows, *inner], cell.spec.form if form is None else form, (cell,), notes)


def find_inner_path(core: Any, inner: Any) -> str:
    """The path of the inner cell's parameters: "", or "cell" where the wrapper has the same names."""
    axes = core.axes()
    return "cell" if isinstance(axes, dict) and axes.get("cell") == inner.axes() else ""


@cell_class(kwargs=True)
def ResidualWrapper(cell: RNNCell, residual_fn: Any = None) -> CellSpec:
    """y = x + output, or residual_fn(x, output).

    residual_fn   a function fn(x, y) -> z, which has no backward pass, or a pair of it and dfn(x, y, dz) -> dx, dy
    """
    require_cell("ResidualWrapper", cell)
    fn, dfn = residual_fn if isinstance(residual_fn, tuple) else (residual_fn, None)
    return _wrap(cell, Residual(cell.core, fn=fn, dfn=dfn), **_keep_output_size(cell))


def _keep_output_size(cell: RNNCell) -> dict:
    """The note of a wrapper whose outputs are as wide as those of its cell."""
    return {"output_size": cell.output_size}


@cell_class
def HighwayWrapper(cell: RNNCell, couple_carry_transform_gates: bool = True, carry_bias_init: float = 1.0) -> CellSpec:
    """y = x carry + output transform, carry = sigmoid(x carry_w + carry_b); its variables have no scope."""
    require_cell("HighwayWrapper", cell)
    table = {"carry_w": "Wc", "carry_b": "bc"}
    if not couple_carry_transform_gates:
        table |= {"transform_w": "Wt", "transform_b": "bt"}
    first_values = {"carry_b": carry_bias_init, "transform_b": -carry_bias_init}
    rows = [parse_row(name, text, start=first_values.get(name, "glorot_uniform")) for name, text in table.items()]
    return _wrap(cell, Highway(cell.core, coupled=couple_carry_transform_gates), rows)


@cell_class
def InputProjectionWrapper(cell: RNNCell, num_proj: int, activation: Any = None, input_size: Optional[int] = None,
                           reuse: Any = None) -> CellSpec:
    """The cell with activation(x kernel + bias) as its input."""
    require_cell("InputProjectionWrapper", cell)
    refuse_reuse("InputProjectionWrapper", reuse)
    scope = "input_projection_wrapper"
    return _wrap(cell, InputProjection(cell.core, size=num_proj, activation=activation or "linear"),
                 make_rows(scope, "", {"kernel": "Wi", "bias": "bi"}), scope, feeds=lambda k, width: num_proj,
                 input_size=input_size, **_keep_output_size(cell))


@cell_class
def OutputProjectionWrapper(cell: RNNCell, output_size: int, activation: Any = None, reuse: Any = None) -> CellSpec:
    """activation(output kernel + bias)."""
    require_cell("OutputProjectionWrapper", cell)
    refuse_reuse("OutputProjectionWrapper", reuse)
    scope = "output_projection_wrapper"
    return _wrap(cell, OutputProjection(cell.core, size=output_size, activation=activation or "linear"),
                 make_rows(scope, "", {"kernel": "Wo", "bias": "bo"}), scope, output_size=output_size)


@cell_class
def EmbeddingWrapper(cell: RNNCell, embedding_classes: int, embedding_size: int, initializer: Any = None,
                     reuse: Any = None) -> CellSpec:
    """The cell with rows of a table as its inputs, one for each integer of x."""
    require_cell("EmbeddingWrapper", cell)
    refuse_reuse("EmbeddingWrapper", reuse)
    scope = "embedding_wrapper"
    return _wrap(cell, Embedding(cell.core, classes=embedding_classes, size=embedding_size),
                 make_rows(scope, "", {"embedding": ("E", initializer or _draw_embedding)}), scope,
                 feeds=lambda k, width: embedding_size, **_keep_output_size(cell))


def _draw_embedding(rng: Any, shape: tuple) -> Array:
    return rng.uniform(-sqrt(3), sqrt(3), shape)


@cell_class
def AttentionCellWrapper(cell: RNNCell, attn_length: int, attn_size: Optional[int] = None,
                         attn_vec_size: Optional[int] = None, input_size: Optional[int] = None,
                         state_is_tuple: bool = True, reuse: Any = None) -> CellSpec:
    """The cell with attention to its last `attn_length` outputs."""
    require_cell("AttentionCellWrapper", cell)
    refuse_reuse("AttentionCellWrapper", reuse)
    if attn_length <= 0:
        raise InvalidValue("AttentionCellWrapper", f"attn_length={attn_length}, expected more than 0")
    if not state_is_tuple:
        _refuse_tuples("AttentionCellWrapper", [cell])
    if any(" " in leaf for leaf in list_leaves(cell.spec.form)):
        raise NotSupported("AttentionCellWrapper", f"around {cell.who}", hint="its state has more than vectors [B, n]")
    core = Attention(cell.core, length=attn_length, size=attn_size, vec=attn_vec_size, inputs=input_size)
    scope = "attention_cell_wrapper"
    queries = "; ".join(f"Wq_{leaf.replace('.', '_')}" for leaf in list_leaves(cell.spec.form))
    rows = make_rows(scope, "", {
        "kernel": "Wx", "bias": "bx", "attention/attn_w": "1 1 Wm", "attention/attn_v": "v",
        "attention/kernel": queries, "attention/bias": "bq",
        "attn_output_projection/kernel": "Wo", "attn_output_projection/bias": "bo"})
    form = (nest_form(cell.spec.form, "cell"), "attns", "history")
    return _wrap(cell, core, rows, scope, form if state_is_tuple else Flat(form),
                 feeds=lambda k, width: input_size)


@cell_class(kwargs=True)
def DeviceWrapper(cell: RNNCell, device: str) -> CellSpec:
    """The cell on a device.  It moves no arrays, but raises where they are on another one: rnnref.wrappers.device."""
    require_cell("DeviceWrapper", cell)
    return _wrap(cell, Device(cell.core, device=device), **_keep_output_size(cell))


@cell_class
def CompiledWrapper(cell: RNNCell, compile_stateful: bool = False) -> CellSpec:
    """The cell itself.  TF compiles its step, which does not change results; compile_stateful has no effect here."""
    require_cell("CompiledWrapper", cell)
    return _wrap(cell, Device(cell.core), **_keep_output_size(cell))


class _DropoutBase(DeclaredCell):
    """The masks of DropoutWrapper, which are random or arguments."""
    rng: Any = None

    def masks(self, input: Tree = None, state: Optional[dict[int, Array]] = None, output: Optional[Array] = None,
              cell: Any = None) -> Masks:
        """Its `extra`, from masks of 0 and 1: [B, n] the same at every step, or [T, B, n].

        state  {index of the leaf in TF's order: mask}; an error for a leaf that TF does not drop
        cell   the `extra` of the cell inside
        """
        a, keep = self.arguments, numpy.float32
        return Masks(x=map_structure(lambda m: _scale_mask(m, keep(a["input_keep_prob"])), input), cell=cell,
                     y=_scale_mask(output, keep(a["output_keep_prob"])), s=self._state_masks(state))

    def _state_masks(self, masks: Optional[dict[int, Array]]) -> Any:
        if not masks:
            return None
        dropped, found, like = self.list_dropped(), {}, dict(leaves(self.like))
        for k, mask in masks.items():
            if not dropped[k][1]:
                raise NotSupported(self.who, f"a mask for leaf {k} of the state, {dropped[k][0]}: it is not dropped")
            mask = mask / mask.dtype.type(numpy.float32(self.arguments["state_keep_prob"]))
            found |= collect(dropped[k][0], mask, like, self.name)
        paths = iter(like)
        return map_structure(lambda _: _as_per_step(found.get(next(paths))), self.like)

    def list_dropped(self) -> list[tuple[str, bool]]:
        """[(leaf of the state in TF's order, True if it is dropped)]."""
        return list(_apply_filter(self.spec.form, self.arguments["dropout_state_filter_visitor"] or _drop_all_but_c))

    def draw_masks(self, x: Tree, steps: Optional[int]) -> Any:
        """Random masks for one step, or for this number of steps."""
        a, inner = self.arguments, draw_child_masks(self, x, steps)
        self.rng = self.rng or make_rng(a["seed"])
        keeps = [a[f"{kind}_keep_prob"] for kind in ("input", "state", "output")]
        if all(keep >= 1 for keep in keeps):
            return Masks(cell=inner) if inner is not None else None
        refuse(self.who, "dropout of TF 1: each process would draw its own", fix="dropout of rnnref.layers")
        like = first_leaf(x)
        lead = like.shape[:1 if steps is None else 2]

        def mask(keep: float, n: int) -> Array:
            shape = (lead[-1], n) if a["variational_recurrent"] else (*lead, n)
            drawn = self.rng.random(shape[-1:] if a["variational_recurrent"] else shape)
            return namespace(like).asarray(numpy.broadcast_to(numpy.floor(keep + drawn), shape).astype(like.dtype))
        kinds: dict[str, Any] = {}
        if keeps[0] < 1:
            kinds["input"] = map_structure(lambda leaf: mask(keeps[0], leaf.shape[-1]), x)
        if keeps[1] < 1:
            widths = _flatten_sizes(self.state_size)
            kinds["state"] = {k: mask(keeps[1], widths[k])
                              for k, (_, is_dropped) in enumerate(self.list_dropped()) if is_dropped}
        if keeps[2] < 1:
            kinds["output"] = mask(keeps[2], self.output_size)
        return self.masks(cell=inner, **kinds)


def _scale_mask(mask: Optional[Array], keep: Any) -> Any:
    """A mask of 0 and 1 / keep; keep is in float32, as in TF."""
    return None if mask is None else _as_per_step(mask / mask.dtype.type(keep))


def _as_per_step(mask: Optional[Array]) -> Any:
    return PerStep(mask) if mask is not None and mask.ndim > 2 else mask


def _flatten_sizes(sizes: Any) -> list[int]:
    return [n for item in sizes for n in _flatten_sizes(item)] if isinstance(sizes, tuple) else [sizes]


def _drop_all_but_c(state: Any) -> Any:
    """TF's default filter: every part of a state but the c of an LSTM."""
    return LSTMStateTuple(False, True) if isinstance(state, LSTMStateTuple) else True


def _apply_filter(form: Any, visitor: Callable, enabled: bool = True) -> Iterator[tuple[str, bool]]:
    """(leaf, True if a filter of TF drops it) for every leaf, in TF's order."""
    answer = visitor(form) if enabled else False
    if not isinstance(form, tuple):
        yield form, bool(answer)
        return
    answers = answer if isinstance(answer, (tuple, list)) else (answer,) * len(form)
    for item, is_dropped in zip(form, answers):
        yield from _apply_filter(item, visitor, is_dropped)


@cell_class(base=_DropoutBase, kwargs=True)
def DropoutWrapper(cell: RNNCell, input_keep_prob: float = 1.0, output_keep_prob: float = 1.0,
                   state_keep_prob: float = 1.0, variational_recurrent: bool = False, input_size: Optional[int] = None,
                   dtype: Any = None, seed: Any = None,
                   dropout_state_filter_visitor: Optional[Callable] = None) -> CellSpec:
    """Dropout on the input, on the state after the step and on the output, in this order.

    Of the state of an LSTM only h is dropped, which does not change the output of the same step.  Masks are drawn from
    `seed`, or arguments of a loop: extra=cell.masks(...).  With variational_recurrent all steps and all rows have the
    same masks, as in TF.
    """
    require_cell("DropoutWrapper", cell)
    for name, keep in (("input", input_keep_prob), ("output", output_keep_prob), ("state", state_keep_prob)):
        if not 0 < keep <= 1:
            raise InvalidValue("DropoutWrapper", f"{name}_keep_prob={keep}, expected more than 0 and at most 1")
    if variational_recurrent and (dtype is None or input_keep_prob < 1 and input_size is None):
        raise InvalidValue("DropoutWrapper", "variational_recurrent without dtype and input_size",
                           hint="TF draws the masks before it has an input")
    return _wrap(cell, Dropout(cell.core), **_keep_output_size(cell))
