"""A node RNN, GRU or LSTM as a cell and `run`, and the way back through it.  (floor 7)

The cell is one of the catalog (`Bidirectional` of two); its parameters are read by the tables of `interop`.
"""
from typing import Any, NamedTuple

import numpy

from ..cells import GRU, LSTM, Bidirectional, SimpleRNN
from ..interop import gradients, layout_of, load
from ..loops.run import run, run_back
from ..tree import first_leaf, zeros_like
from .attributes import OPERATORS, parse_attributes
from .inputs import check_inputs, check_output_gradient
from .reading import TEXT


class Tape(NamedTuple):
    op: str; said: Any; given: dict; sizes: dict
    cells: tuple; tape: Any
    last: tuple                                   # the last state of each direction
    live: Any                                     # [B, 1] the rows that have a last output; None: all


def run_op(op, inputs, attributes=None, reading=TEXT, keep=True):
    """The operator `op` on `inputs` by name (None: not given) -> (Y, Y_h) or (Y, Y_h, Y_c), and a tape for `back_op`.

    >>> import numpy as np
    >>> inputs = {"X": np.ones((2, 1, 3)), "W": np.ones((1, 4, 3)), "R": np.ones((1, 4, 4))}
    >>> (Y, Y_h), tape = run_op("RNN", inputs, {"activations": ["Relu"]})
    >>> {name: d.shape for name, d in back_op(tape, dY=np.ones_like(Y)).items()}
    {'X': (2, 1, 3), 'W': (1, 4, 3), 'R': (1, 4, 4)}
    """
    said = parse_attributes(op, attributes or {}, reading)
    given, sizes = check_inputs(op, inputs, said)
    cells, parameters = _cells_of(op, given, said)
    lengths, X = given.get("sequence_lens"), _swap_batch(given["X"], said)
    ys, last, tape = run(_join_directions(cells), _unwrap(parameters), X, _unwrap(_first_states(op, given, said, cells, sizes)),
                         lengths=lengths, reverse=said.direction == "reverse", keep=keep)
    ys, last = _as_tuple(ys, said), _as_tuple(last, said)
    live = None if lengths is None or reading.empty_row == "initial" else (lengths > 0)[:, None]
    Y = numpy.stack(ys, 1).astype(X.dtype)        # [T, D, B, H]
    finals = [_zero_without_output(live, numpy.stack(arrays).astype(X.dtype)) for arrays in zip(*last)]
    outputs = Y.transpose(2, 0, 1, 3) if said.layout else Y, *(_swap_batch(a, said) for a in finals)
    return outputs, Tape(op, said, given, sizes, cells, tape, last, live) if keep else None


def back_op(tape, dY=None, dY_h=None, dY_c=None):
    """The gradients of the inputs that were given, by name and in their shapes; a gradient that is None is zero.

    What does not enter the result has the gradient zero: the blocks of f under input_forget, the padding of X.
    """
    op, said, given, sizes = tape[:4]
    for name, d in (("Y", dY), ("Y_h", dY_h), ("Y_c", dY_c)):
        check_output_gradient(op, name, d, given["X"], said, sizes)
    if dY is not None:
        dY = dY.transpose(1, 2, 0, 3) if said.layout else dY
        dY = dY.astype(first_leaf(tape.tape.like).dtype)                   # NumPy has no product of bfloat16: it is float32
        dY = _unwrap(tuple(dY[:, k] for k in range(said.count)))
    ds = tuple(type(s)(*(_final_gradient(a, d, tape, k) for a, d in zip(s, (dY_h, dY_c)))) for k, s in enumerate(tape.last))
    dxs, ds, _, dp = run_back(tape.tape, dY, _unwrap(ds))
    found = {"X": _swap_batch(dxs, said).astype(given["X"].dtype)}
    theirs = [gradients(_layout_for(op, said), q, cell) for q, cell in zip(_as_tuple(dp, said), tape.cells)]
    found |= {name: numpy.concatenate([arrays[name] for arrays in theirs]) for name in theirs[0]}
    for name, arrays in zip(OPERATORS[op].states, zip(*_as_tuple(ds, said))):
        found[name] = _swap_batch(numpy.stack(arrays).astype(given["X"].dtype), said)
    return {name: found[name] for name in given if name in found}


def cell_of(op, inputs, attributes=None, reading=TEXT):
    """The cell that an operator is, `Bidirectional` if it has two directions, and its parameters.

    >>> import numpy as np
    >>> cell, p = cell_of("GRU", {"X": np.ones((2, 1, 3)), "W": np.ones((1, 6, 3)), "R": np.ones((1, 6, 2))})
    >>> cell.name, {name: a.shape for name, a in p.items()}
    ('GRU', {'W': (3, 6), 'b': (6,), 'R': (2, 6), 'bR': (6,)})
    """
    said = parse_attributes(op, attributes or {}, reading)
    cells, parameters = _cells_of(op, check_inputs(op, inputs, said)[0], said)
    return _join_directions(cells), _unwrap(parameters)


def _cells_of(op, inputs, attributes):
    """The cell of each direction, and the parameters of each."""
    cells = tuple(_cell_for(op, functions, attributes, "P" in inputs) for functions in attributes.functions)
    weights = {name: inputs[name] for name in ("W", "R", "B", "P") if name in inputs}
    if "B" not in weights:
        D, G, _ = weights["W"].shape
        weights["B"] = numpy.zeros((D, 2 * G), weights["W"].dtype)
    return cells, tuple(load(_layout_for(op, attributes), {name: a[k:k + 1] for name, a in weights.items()}, cell)
                        for k, cell in enumerate(cells))


def _cell_for(op, functions, attributes, peepholes):
    if op == "RNN":
        return SimpleRNN(activation=functions[0], recurrent_bias=True)
    if op == "GRU":
        gate, candidate = functions
        return GRU(reset="after" if attributes.after else "before", recurrent_bias=True, gate=gate, candidate=candidate)
    gate, candidate, output = functions
    return LSTM(recurrent_bias=True, peepholes=peepholes, coupled=attributes.coupled, gate=gate, candidate=candidate,
                output=output)


def _layout_for(op, attributes):
    return layout_of("gru before" if op == "GRU" and not attributes.after else op.lower(), "onnx")


def _first_states(op, inputs, attributes, cells, sizes):
    """The state that each direction starts from."""
    start = [cell.zeros(sizes["B"].n, sizes["H"].n, dtype=inputs["X"].dtype) for cell in cells]
    for field, name in enumerate(OPERATORS[op].states):
        if name in inputs:
            a = _swap_batch(inputs[name], attributes)
            start = [s._replace(**{s._fields[field]: a[k].astype(s[field].dtype)}) for k, s in enumerate(start)]
    return tuple(start)


def _final_gradient(a, d, tape, k):
    """The gradient of `a`, an array of the last state of direction k, from the gradient of Y_h or Y_c."""
    if d is None:
        return zeros_like(a)
    return _zero_without_output(tape.live, _swap_batch(d, tape.said)[k]).astype(a.dtype)


def _zero_without_output(live, a):
    return a if live is None else numpy.where(live, a, 0)


def _swap_batch(a, attributes):
    """The batch and the axis before or after it exchanged, if it comes first: [T, B, I] and [D, B, H]."""
    return a.swapaxes(0, 1) if attributes.layout else a


def _join_directions(cells):
    return Bidirectional(cells) if len(cells) == 2 else cells[0]


def _unwrap(each):
    """A pair for two directions, the thing itself for one: what `run` takes ..."""
    return each if len(each) == 2 else each[0]


def _as_tuple(thing, attributes):
    """... and as a tuple again."""
    return thing if attributes.count == 2 else (thing,)
