"""The loops of TF 1 over time, with TF's arguments and results: the plain scan, bit for bit a loop by hand.

Each returns what TF returns, as a `Result` that knows the way back:

    outputs, state = result = dynamic_rnn(cell, inputs, sequence_length=[3, 5])
    result.backward(d_outputs, d_state)      -> Gradients(inputs, state, variables)

Past the end of a row outputs are zero and the state is that of its last step.  `extra`, which TF has not, is what the
cell takes as its `extra`, the masks of dropout; without it they are drawn.
"""
from typing import Any

from ..arrays import namespace
from ..errors import NotSupported, ShapeError
from ..loops.run import run, run_back
from ..tree import first_leaf, map_structure, stack, zeros_like
from .cell import Gradients, Result

PLAIN: dict[str, Any] = {"paths": ("plain", "bidirectional"), "kernels": False}

# What TF puts in front of the names of a cell's variables, for each loop that has a scope of its own
_SCOPES = {
    "cell_step": "", "fused": "",
    **dict.fromkeys(("static_rnn", "dynamic_rnn", "raw_rnn", "static_state_saving_rnn"), "rnn"),
    **dict.fromkeys(("static_bidirectional_rnn", "bidirectional_dynamic_rnn"), "bidirectional_rnn/{way}"),
    "stack_bidirectional_rnn": "stack_bidirectional_rnn/cell_{layer}/{way}",
    "stack_bidirectional_dynamic_rnn": "stack_bidirectional_rnn/cell_{layer}/bidirectional_rnn/{way}",
}


def scope_of(loop, way="fw", layer=0):
    """Where a loop has the variables of a cell.

    >>> scope_of("stack_bidirectional_rnn", "bw", 1)
    'stack_bidirectional_rnn/cell_1/bw'
    """
    return _SCOPES[loop].format(way=way, layer=layer)


def run_cell(cell, xs, state, lengths, reverse=False, dtype=None, extra=None):
    """One cell over xs [T, B, ...]: outputs, the last state in TF's form, and the way back."""
    cell.check_inputs(xs)
    s = _make_initial_state(cell, first_leaf(xs), state, dtype)
    extra = cell.draw(xs, len(first_leaf(xs))) if extra is None else extra
    ys, new, tape = run(cell.core, cell.require_parameters(), xs, s, extra=extra, lengths=lengths, reverse=reverse,
                        **PLAIN)

    def back(dys, dstate):
        dxs, ds, _, dp = run_back(tape, dys, zeros_like(new) if dstate is None else cell.ours(dstate))
        return dxs, cell.theirs(ds), cell.gradients(dp)
    return ys, cell.theirs(new), back


def _make_initial_state(cell, x, state, dtype):
    """Their first state, or zeros in `dtype`: that of the inputs if it is not said."""
    if state is not None:
        return cell.ours(state)
    if dtype is None and x.dtype.kind in "iu":
        raise NotSupported(cell.name, "no initial_state and no dtype", fix='dtype="float32"')
    return cell.zeros(x.shape[1], namespace(x), dtype or x.dtype)


def refuse_scope(who, scope):
    if scope is not None:
        raise NotSupported(who, f"scope={scope!r}", hint="names are given by cell.load_variables(arrays, scope)")


def stack_steps(who, inputs):
    """A list over time -> [T, B, ...]; its items may be tuples and dicts."""
    if not isinstance(inputs, (list, tuple)):
        raise ShapeError(who, f"inputs is a {type(inputs).__name__}, expected a list of [B, …], an item for each step",
                         fix="list(inputs), if time comes first in it")
    if not inputs:
        raise ShapeError(who, "inputs is empty")
    return stack(list(inputs))


def unstack_steps(tree, steps):
    """[T, B, ...] -> a list over time."""
    return [map_structure(lambda a: a[t], tree) for t in range(steps)]


def stack_gradients(d):
    """A list of gradients over time, of which some may be None, for [T, B, ...]."""
    if d is None:
        return None
    like = next((a for a in d if a is not None), None)
    return None if like is None else stack([zeros_like(like) if a is None else a for a in d])


def static_rnn(cell, inputs, initial_state=None, dtype=None, sequence_length=None, scope=None, *, extra=None):
    """A list of inputs [B, I] -> (a list of outputs, the last state).

    >>> import numpy as np
    >>> from rnnref import tf1
    >>> cell, xs = tf1.GRUCell(4).build(3, "float64", seed=0), [np.ones((2, 3))] * 5
    >>> outputs, state = tf1.static_rnn(cell, xs, dtype="float64")
    >>> len(outputs), bool((outputs[-1] == state).all())
    (5, True)
    """
    refuse_scope("static_rnn", scope)
    xs = stack_steps("static_rnn", inputs)
    ys, state, back = run_cell(cell, xs, initial_state, sequence_length, False, dtype, extra)

    def backward(dys, dstate):
        dxs, ds, dv = back(stack_gradients(dys), dstate)
        return Gradients(None if dxs is None else unstack_steps(dxs, len(inputs)), ds, dv)
    return Result((unstack_steps(ys, len(inputs)), state), backward)


def swap_batch_and_time(tree, time_major):
    """Batch first to time first, and the other way round."""
    return tree if time_major or tree is None else map_structure(lambda a: a.swapaxes(0, 1), tree)


def dynamic_rnn(cell, inputs, sequence_length=None, initial_state=None, dtype=None, parallel_iterations=None,
                swap_memory=False, time_major=False, scope=None, *, extra=None):
    """inputs [B, T, I], or [T, B, I] with `time_major` -> (outputs, the last state), laid out as the inputs.

    parallel_iterations and swap_memory change nothing that can be seen, there as here.
    """
    refuse_scope("dynamic_rnn", scope)
    ys, state, back = run_cell(cell, swap_batch_and_time(inputs, time_major), initial_state, sequence_length, False, dtype, extra)

    def backward(dys, dstate):
        dxs, ds, dv = back(swap_batch_and_time(dys, time_major), dstate)
        return Gradients(swap_batch_and_time(dxs, time_major), ds, dv)
    return Result((swap_batch_and_time(ys, time_major), state), backward)


def static_state_saving_rnn(cell, inputs, state_saver, state_name, sequence_length=None, scope=None, *, extra=None):
    """static_rnn from the states of a saver, which is given the last ones: state(name), save_state(name, value).

    state_name  one name, or one for each array of the state in TF's order
    """
    refuse_scope("static_state_saving_rnn", scope)
    names = list(state_name) if isinstance(state_name, (list, tuple)) else [state_name]
    found = iter(map(state_saver.state, names))
    like = cell.zero_state(1, "float32")
    if len(names) != len(flatten_state(like)):
        raise ShapeError("static_state_saving_rnn", f"{len(names)} names, and the state has {len(flatten_state(like))} arrays")
    result = static_rnn(cell, inputs, map_structure(lambda _: next(found), like), None, sequence_length, extra=extra)
    for name, a in zip(names, flatten_state(result[1])):
        state_saver.save_state(name, a)
    return result


def flatten_state(tree):
    """The arrays of a state in TF's order."""
    return [a for item in tree for a in flatten_state(item)] if isinstance(tree, (tuple, list)) else [tree]
