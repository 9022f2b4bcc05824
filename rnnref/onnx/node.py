"""Runs a node RNN, GRU or LSTM as a cell and a loop, forwards and backwards.

The cell is one of the catalog (`Bidirectional` of two); its parameters are read by the tables of `interop`.
"""
from typing import Any, NamedTuple, Optional

import numpy

from ..arrays import Array
from ..cell import State
from ..cells import GRU, LSTM, Bidirectional, SimpleRNN
from ..interop import Layout, gradients, layout_of, load
from ..loops.plan import REFERENCE_PATHS
from ..loops.run import run, run_back
from ..shapes import Size
from ..tree import Tree, first_leaf, zeros_like
from .attributes import OPERATORS, Attributes, parse_attributes
from .inputs import check_inputs, check_output_gradient
from .reading import TEXT, Reading


class Tape(NamedTuple):
    """All that `back_op` needs of a run."""
    op: str
    attributes: Attributes
    inputs: dict                                  # those that were given
    sizes: dict
    cells: tuple
    tape: Any                                     # of `run`
    last: tuple                                   # the last state of each direction
    live: Any                                     # [B, 1] the rows that have a last output; None: all


def run_op(op: str, inputs: dict[str, Optional[Array]], attributes: Optional[dict[str, Any]] = None,
           reading: Reading = TEXT, keep: bool = True) -> tuple[tuple[Array, ...], Optional[Tape]]:
    """The operator `op` on `inputs` by name (None: not given) -> (Y, Y_h) or (Y, Y_h, Y_c), and a tape for `back_op`.

    attributes   by their ONNX names
    reading      what the specification leaves open
    keep         False: no tape
    Errors       ShapeError, DtypeError, DeviceError: an input that does not fit; NotSupported: an attribute, by name

    >>> import numpy as np
    >>> inputs = {"X": np.ones((2, 1, 3)), "W": np.ones((1, 4, 3)), "R": np.ones((1, 4, 4))}
    >>> (Y, Y_h), tape = run_op("RNN", inputs, {"activations": ["Relu"]})
    >>> {name: d.shape for name, d in back_op(tape, dY=np.ones_like(Y)).items()}
    {'X': (2, 1, 3), 'W': (1, 4, 3), 'R': (1, 4, 4)}
    """
    parsed = parse_attributes(op, attributes or {}, reading)
    given, sizes = check_inputs(op, inputs, parsed)
    cells, parameters = _make_cells(op, given, parsed)
    lengths, X = given.get("sequence_lens"), _swap_batch(given["X"], parsed)
    first = _unwrap(_make_first_states(op, given, parsed, cells, sizes))
    ys, last, tape = run(_join_directions(cells), _unwrap(parameters), X, first, lengths=lengths,
                         reverse=parsed.direction == "reverse", keep=keep, paths=REFERENCE_PATHS)
    ys, last = _as_tuple(ys, parsed), _as_tuple(last, parsed)
    live = None if lengths is None or reading.empty_row == "initial" else (lengths > 0)[:, None]
    Y = numpy.stack(ys, 1).astype(X.dtype)        # [T, D, B, H]
    finals = [_zero_without_output(live, numpy.stack(arrays).astype(X.dtype)) for arrays in zip(*last)]
    outputs = Y.transpose(2, 0, 1, 3) if parsed.layout else Y, *(_swap_batch(a, parsed) for a in finals)
    return outputs, Tape(op, parsed, given, sizes, cells, tape, last, live) if keep else None


def back_op(tape: Tape, dY: Optional[Array] = None, dY_h: Optional[Array] = None,
            dY_c: Optional[Array] = None) -> dict[str, Array]:
    """The gradients of the inputs that were given, by name and in their shapes; a gradient that is None is zero.

    What does not enter the result has the gradient zero: the blocks of f under input_forget, the padding of X.

    Errors   ShapeError, DtypeError: a gradient that does not have the shape and dtype of the output
    """
    op, attributes, inputs, sizes = tape[:4]
    for name, d in (("Y", dY), ("Y_h", dY_h), ("Y_c", dY_c)):
        check_output_gradient(op, name, d, inputs["X"], attributes, sizes)
    dys: Any = None
    if dY is not None:
        dys = dY.transpose(1, 2, 0, 3) if attributes.layout else dY
        dys = dys.astype(first_leaf(tape.tape.like).dtype)         # NumPy has no product of bfloat16: it is float32
        dys = _unwrap(tuple(dys[:, k] for k in range(attributes.directions)))
    ds = tuple(type(s)(*(_final_gradient(a, d, tape, k) for a, d in zip(s, (dY_h, dY_c))))
               for k, s in enumerate(tape.last))
    dxs, ds, _, dp = run_back(tape.tape, dys, _unwrap(ds))
    d_inputs = {"X": _swap_batch(dxs, attributes).astype(inputs["X"].dtype)}
    weights = [gradients(_find_layout(op, attributes), q, cell)
               for q, cell in zip(_as_tuple(dp, attributes), tape.cells)]
    d_inputs |= {name: numpy.concatenate([arrays[name] for arrays in weights]) for name in weights[0]}
    for name, arrays in zip(OPERATORS[op].states, zip(*_as_tuple(ds, attributes))):
        d_inputs[name] = _swap_batch(numpy.stack(arrays).astype(inputs["X"].dtype), attributes)
    return {name: d_inputs[name] for name in inputs if name in d_inputs}


def cell_of(op: str, inputs: dict[str, Optional[Array]], attributes: Optional[dict[str, Any]] = None,
            reading: Reading = TEXT) -> tuple[Any, Tree]:
    """The cell of an operator with these attributes, `Bidirectional` for two directions, and its parameters.

    >>> import numpy as np
    >>> cell, p = cell_of("GRU", {"X": np.ones((2, 1, 3)), "W": np.ones((1, 6, 3)), "R": np.ones((1, 6, 2))})
    >>> cell.name, {name: a.shape for name, a in p.items()}
    ('GRU', {'W': (3, 6), 'b': (6,), 'R': (2, 6), 'bR': (6,)})
    """
    parsed = parse_attributes(op, attributes or {}, reading)
    cells, parameters = _make_cells(op, check_inputs(op, inputs, parsed)[0], parsed)
    return _join_directions(cells), _unwrap(parameters)


def _make_cells(op: str, inputs: dict[str, Array], attributes: Attributes) -> tuple[tuple, tuple]:
    """The cell of each direction, and the parameters of each."""
    cells = tuple(_make_cell(op, functions, attributes, "P" in inputs) for functions in attributes.functions)
    weights = {name: inputs[name] for name in ("W", "R", "B", "P") if name in inputs}
    if "B" not in weights:
        D, G, _ = weights["W"].shape
        weights["B"] = numpy.zeros((D, 2 * G), weights["W"].dtype)
    return cells, tuple(load(_find_layout(op, attributes), {name: a[k:k + 1] for name, a in weights.items()}, cell)
                        for k, cell in enumerate(cells))


def _make_cell(op: str, functions: tuple, attributes: Attributes, peepholes: bool) -> Any:
    """The cell of one direction, which has these activations."""
    if op == "RNN":
        return SimpleRNN(activation=functions[0], recurrent_bias=True)
    if op == "GRU":
        gate, candidate = functions
        reset = "after" if attributes.reset_after else "before"
        return GRU(reset=reset, recurrent_bias=True, gate=gate, candidate=candidate)
    gate, candidate, output = functions
    return LSTM(recurrent_bias=True, peepholes=peepholes, coupled=attributes.coupled, gate=gate, candidate=candidate,
                output=output)


def _find_layout(op: str, attributes: Attributes) -> Layout:
    return layout_of("gru before" if op == "GRU" and not attributes.reset_after else op.lower(), "onnx")


def _make_first_states(op: str, inputs: dict[str, Array], attributes: Attributes, cells: tuple,
                       sizes: dict[str, Size]) -> tuple[State, ...]:
    """The state that each direction starts from."""
    start = [cell.zeros(sizes["B"].n, sizes["H"].n, dtype=inputs["X"].dtype) for cell in cells]
    for field, name in enumerate(OPERATORS[op].states):
        if name in inputs:
            a = _swap_batch(inputs[name], attributes)
            start = [s._replace(**{s._fields[field]: a[k].astype(s[field].dtype)}) for k, s in enumerate(start)]
    return tuple(start)


def _final_gradient(a: Array, d: Optional[Array], tape: Tape, k: int) -> Array:
    """The gradient of `a`, an array of the last state of direction k, from the gradient of Y_h or Y_c."""
    if d is None:
        return zeros_like(a)
    return _zero_without_output(tape.live, _swap_batch(d, tape.attributes)[k]).astype(a.dtype)


def _zero_without_output(live: Optional[Array], a: Array) -> Array:
    return a if live is None else numpy.where(live, a, 0)


def _swap_batch(a: Array, attributes: Attributes) -> Array:
    """The batch and the axis before or after it exchanged, if it comes first: [T, B, I] and [D, B, H]."""
    return a.swapaxes(0, 1) if attributes.layout else a


def _join_directions(cells: tuple) -> Any:
    return Bidirectional(cells) if len(cells) == 2 else cells[0]


def _unwrap(items: tuple) -> Any:
    """A pair for two directions, the item itself for one, as `run` takes it ..."""
    return items if len(items) == 2 else items[0]


def _as_tuple(thing: Any, attributes: Attributes) -> tuple:
    """... and as a tuple again."""
    return thing if attributes.directions == 2 else (thing,)
