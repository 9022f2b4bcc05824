"""The wrappers of tf.nn.rnn_cell and tf.contrib.rnn: cells that hold cells."""
from math import sqrt
from typing import Any

import numpy

from ..arrays import namespace
from ..cells import Masks, Stack
from ..errors import NotSupported
from ..tree import PerStep, first_leaf, leaves, map_structure
from ..wrappers.attention import Attention
from ..wrappers.device import Device
from ..wrappers.dropout import Dropout
from ..wrappers.embedding import Embedding
from ..wrappers.projection import InputProjection, OutputProjection
from ..wrappers.residual import Highway, Residual
from .cell import CellSpec, RNNCell, cell_class, draw_child_masks
from .core_cells import make_rows, refuse_reuse
from .states import Flat, LSTMStateTuple, as_tuple, collect, list_leaves, nest_form as under_state
from .variables import nest_rows, parse_row


@cell_class
def MultiRNNCell(cells, state_is_tuple=True):
    """Cells on top of each other: the output of each is the input of the next."""
    if not cells:
        raise NotSupported("MultiRNNCell", "cells is empty")
    rows = [r for n, cell in enumerate(cells) for r in nest_rows(cell.parts.rows, f"multi_rnn_cell/cell_{n}", str(n))]
    form = tuple(under_state(cell.parts.form, str(n)) for n, cell in enumerate(cells))
    return CellSpec(Stack(tuple(cell.core for cell in cells)), tuple(cell.parts.units for cell in cells), rows,
                 form if state_is_tuple else Flat(form), tuple(cells),
                 _keep_output_size(cells[-1]) | {"several": True,
                                    "feeds": lambda k, width: cells[k - 1].output_size if k else None})


def _wrap(cell, core, rows=(), scope="", form=None, **notes):
    """A wrapper of one cell, with rows of its own."""
    notes = {n: v for n, v in cell.parts.notes.items() if n in ("space", "inputs of")} | notes
    inner = nest_rows(cell.parts.rows, scope, find_inner_path(core, cell.core))
    return CellSpec(core, cell.parts.units, [*rows, *inner], cell.parts.form if form is None else form, (cell,), notes)


def find_inner_path(core, inner):
    """Where the parameters of the cell inside lie among all: flat, or under "cell" where names are taken."""
    axes = core.axes()
    return "cell" if isinstance(axes, dict) and axes.get("cell") == inner.axes() else ""


@cell_class
def ResidualWrapper(cell, residual_fn=None):
    """y = x + output, or residual_fn(x, output): a function that runs, or a pair of it and its way back, which trains:
    (fn(x, y) -> z, dfn(x, y, dz) -> dx, dy)."""
    fn, dfn = residual_fn if isinstance(residual_fn, tuple) else (residual_fn, None)
    return _wrap(cell, Residual(cell.core, fn=fn, dfn=dfn), **_keep_output_size(cell))


def _keep_output_size(cell):
    """A wrapper that leaves the width of the output as it is."""
    return {"output_size": cell.output_size}


@cell_class
def HighwayWrapper(cell, couple_carry_transform_gates=True, carry_bias_init=1.0):
    """y = x carry + output transform, carry = sigmoid(x carry_w + carry_b); its names have no scope."""
    table = {"carry_w": "Wc", "carry_b": "bc"}
    if not couple_carry_transform_gates:
        table |= {"transform_w": "Wt", "transform_b": "bt"}
    first_values = {"carry_b": carry_bias_init, "transform_b": -carry_bias_init}
    rows = [parse_row(name, text, start=first_values.get(name, "glorot_uniform")) for name, text in table.items()]
    return _wrap(cell, Highway(cell.core, coupled=couple_carry_transform_gates), rows)


@cell_class
def InputProjectionWrapper(cell, num_proj, activation=None, input_size=None, reuse=None):
    """The cell on activation(x kernel + bias)."""
    refuse_reuse("InputProjectionWrapper", reuse)
    scope = "input_projection_wrapper"
    return _wrap(cell, InputProjection(cell.core, size=num_proj, activation=activation or "linear"),
                  make_rows(scope, "", {"kernel": "Wi", "bias": "bi"}), scope, feeds=lambda k, width: num_proj,
                  input_size=input_size, **_keep_output_size(cell))


@cell_class
def OutputProjectionWrapper(cell, output_size, activation=None, reuse=None):
    """activation(output kernel + bias)."""
    refuse_reuse("OutputProjectionWrapper", reuse)
    scope = "output_projection_wrapper"
    return _wrap(cell, OutputProjection(cell.core, size=output_size, activation=activation or "linear"),
                  make_rows(scope, "", {"kernel": "Wo", "bias": "bo"}), scope, output_size=output_size)


@cell_class
def EmbeddingWrapper(cell, embedding_classes, embedding_size, initializer=None, reuse=None):
    """The cell on rows of a table, one for each whole number of the inputs."""
    refuse_reuse("EmbeddingWrapper", reuse)
    scope = "embedding_wrapper"
    return _wrap(cell, Embedding(cell.core, classes=embedding_classes, size=embedding_size),
                  make_rows(scope, "", {"embedding": ("E", initializer or _draw_embedding)}), scope,
                  feeds=lambda k, width: embedding_size, **_keep_output_size(cell))


def _draw_embedding(rng, shape):
    return rng.uniform(-sqrt(3), sqrt(3), shape)


@cell_class
def AttentionCellWrapper(cell, attn_length, attn_size=None, attn_vec_size=None, input_size=None, state_is_tuple=True,
                         reuse=None):
    """The cell attends to its last `attn_length` outputs."""
    refuse_reuse("AttentionCellWrapper", reuse)
    if any(" " in leaf for leaf in list_leaves(cell.parts.form)):
        raise NotSupported("AttentionCellWrapper", f"around {cell.name}", hint="its state holds more than vectors")
    core = Attention(cell.core, length=attn_length, size=attn_size, vec=attn_vec_size, inputs=input_size)
    scope = "attention_cell_wrapper"
    queries = "; ".join(f"Wq_{leaf.replace('.', '_')}" for leaf in list_leaves(cell.parts.form))
    rows = make_rows(scope, "", {
        "kernel": "Wx", "bias": "bx", "attention/attn_w": "1 1 Wm", "attention/attn_v": "v",
        "attention/kernel": queries, "attention/bias": "bq",
        "attn_output_projection/kernel": "Wo", "attn_output_projection/bias": "bo"})
    form = (under_state(cell.parts.form, "cell"), "attns", "history")
    return _wrap(cell, core, rows, scope, form if state_is_tuple else Flat(form),
                  feeds=lambda k, width: input_size)


@cell_class
def DeviceWrapper(cell, device):
    """The cell on a device: arrays do not move, see rnnref.wrappers.device."""
    return _wrap(cell, Device(cell.core, device=device), **_keep_output_size(cell))


class _DropoutBase(RNNCell):
    """What DropoutWrapper has beside: masks that are drawn, or given."""
    rng: Any = None

    def masks(self, input=None, state=None, output=None, cell=None):
        """Its `extra`, of masks of 0 and 1: [B, n] the same at every step, or [T, B, n].

        state  {number of the leaf in TF's order: mask}; a leaf that TF does not drop is refused
        """
        a, keep = self.arguments, numpy.float32
        return Masks(x=map_structure(lambda m: _scale_mask(m, keep(a["input_keep_prob"])), input), cell=cell,
                     y=_scale_mask(output, keep(a["output_keep_prob"])), s=self._state_masks(state))

    def _state_masks(self, masks):
        if not masks:
            return None
        dropped, found = self.list_dropped(), {}
        for k, mask in masks.items():
            if not dropped[k][1]:
                raise NotSupported(self.name, f"a mask of leaf {k} of the state, {dropped[k][0]}: it is not dropped")
            mask = mask / mask.dtype.type(numpy.float32(self.arguments["state_keep_prob"]))
            collect(dropped[k][0], mask, dict(leaves(self.like)), found, self.name)
        paths = iter([path for path, _ in leaves(self.like)])
        return map_structure(lambda _: _as_per_step(found.get(next(paths))), self.like)

    def list_dropped(self):
        """[(leaf of the state in TF's order, whether it is dropped)]."""
        return list(_apply_filter(self.parts.form, self.arguments["dropout_state_filter_visitor"] or _drop_all_but_c))

    def draw(self, x, steps):
        a, inner = self.arguments, draw_child_masks(self, x, steps)
        self.rng = self.rng or numpy.random.default_rng(a["seed"])
        keeps = [a[f"{kind}_keep_prob"] for kind in ("input", "state", "output")]
        if all(keep >= 1 for keep in keeps):
            return Masks(cell=inner) if inner is not None else None
        like = first_leaf(x)
        lead = like.shape[:1 if steps is None else 2]

        def mask(keep, n):
            shape = (lead[-1], n) if a["variational_recurrent"] else (*lead, n)
            drawn = self.rng.random(shape[-1:] if a["variational_recurrent"] else shape)
            return namespace(like).asarray(numpy.broadcast_to(numpy.floor(keep + drawn), shape).astype(like.dtype))
        kinds = {}
        if keeps[0] < 1:
            kinds["input"] = map_structure(lambda leaf: mask(keeps[0], leaf.shape[-1]), x)
        if keeps[1] < 1:
            widths = _flatten_sizes(self.state_size)
            kinds["state"] = {k: mask(keeps[1], widths[k]) for k, (_, yes) in enumerate(self.list_dropped()) if yes}
        if keeps[2] < 1:
            kinds["output"] = mask(keeps[2], self.output_size)
        return self.masks(cell=inner, **kinds)


def _scale_mask(mask, keep):
    """0 and 1 / keep, in the precision that TF keeps the probability in."""
    return None if mask is None else _as_per_step(mask / mask.dtype.type(keep))


def _as_per_step(mask):
    return PerStep(mask) if mask is not None and mask.ndim > 2 else mask


def _flatten_sizes(sizes):
    return [n for item in sizes for n in _flatten_sizes(item)] if isinstance(sizes, tuple) else [sizes]


def _drop_all_but_c(state):
    """TF's filter: all of a state, but not the c of an LSTM."""
    return LSTMStateTuple(False, True) if isinstance(state, LSTMStateTuple) else True


def _apply_filter(form, visitor, enabled=True):
    """(leaf, whether a filter of TF drops it) for every leaf, in TF's order."""
    said = visitor(form) if enabled else False
    if not isinstance(form, tuple):
        yield form, bool(said)
        return
    said = said if isinstance(said, (tuple, list)) else (said,) * len(form)
    for item, yes in zip(as_tuple(form), said):
        yield from _apply_filter(item, visitor, yes)


@cell_class(base=_DropoutBase)
def DropoutWrapper(cell, input_keep_prob=1.0, output_keep_prob=1.0, state_keep_prob=1.0, variational_recurrent=False,
                   input_size=None, dtype=None, seed=None, dropout_state_filter_visitor=None):
    """Dropout on the input, on the state after the step and on the output, in this order.

    Of an LSTM only h is dropped, which the output does not see.  Masks are drawn from `seed`, or given: loops take
    extra=cell.masks(…).  With `variational_recurrent` all steps and all rows have the same masks, as TF has it.
    """
    for name, keep in (("input", input_keep_prob), ("output", output_keep_prob), ("state", state_keep_prob)):
        if not 0 < keep <= 1:
            raise NotSupported("DropoutWrapper", f"{name}_keep_prob={keep}, expected above 0 and up to 1")
    if variational_recurrent and (dtype is None or input_keep_prob < 1 and input_size is None):
        raise NotSupported("DropoutWrapper", "variational_recurrent without dtype and input_size",
                           hint="TF draws the masks before it sees an input")
    return _wrap(cell, Dropout(cell.core), **_keep_output_size(cell))
