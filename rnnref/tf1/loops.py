"""The loops of TF 1 over time, with TF's arguments and results.

They take the plain path, which gives the same bits as calling the cell in a loop.  Each returns TF's tuple as a
`Result` with a backward pass:

    outputs, state = result = dynamic_rnn(cell, inputs, sequence_length=[3, 5])
    result.backward(d_outputs, d_state)      -> Gradients(inputs, state, variables)

After the end of a row outputs are zero and the state is that of its last live step.  A cell may also be one of
rnnref.layers: `tf1.layer_cell`.  `extra`, an argument that TF does not have, are the masks of dropout; without it they
are random.
"""
from typing import Any, Callable, Optional, Sequence

from ..arrays import Array, namespace
from ..errors import NotSupported, ShapeError, StructureError, describe_type
from ..loops.run import run, run_back, run_empty
from ..tree import Tree, first_leaf, leaves, map_structure, stack, zeros_like
from .cell import RNNCell
from .layer_cell import as_cell
from .spec import Gradients, Result

PLAIN: dict[str, Any] = {"paths": ("plain", "bidirectional"), "kernels": False}

# The prefix of the names of a cell's variables, for each loop
_SCOPES = {
    "cell_step": "", "fused": "",
    **dict.fromkeys(("static_rnn", "dynamic_rnn", "raw_rnn", "static_state_saving_rnn"), "rnn"),
    **dict.fromkeys(("static_bidirectional_rnn", "bidirectional_dynamic_rnn"), "bidirectional_rnn/{way}"),
    "stack_bidirectional_rnn": "stack_bidirectional_rnn/cell_{layer}/{way}",
    "stack_bidirectional_dynamic_rnn": "stack_bidirectional_rnn/cell_{layer}/bidirectional_rnn/{way}",
}


def scope_of(loop: str, way: str = "fw", layer: int = 0) -> str:
    """The scope of a cell's variables in a loop.

    >>> scope_of("stack_bidirectional_rnn", "bw", 1)
    'stack_bidirectional_rnn/cell_1/bw'
    """
    return _SCOPES[loop].format(way=way, layer=layer)


def run_cell(cell: RNNCell, xs: Tree, state: Tree, lengths: Any, reverse: bool = False, dtype: Any = None,
             extra: Any = None) -> tuple[Tree, Tree, Callable]:
    """One cell over xs [T, B, ...]: outputs, the final state in TF's form, and the backward pass."""
    cell = as_cell("RNNCell", cell, xs)
    cell.check_sequence(xs)
    s = _make_initial_state(cell, xs, state, dtype)
    steps = len(first_leaf(xs))
    extra = cell.draw_masks(xs, steps) if extra is None and steps else extra
    if steps:
        ys, new, tape = run(cell.core, cell.require_parameters(), xs, s, extra=extra, lengths=lengths, reverse=reverse,
                            **PLAIN)
    else:
        ys, new, tape = run_empty(cell.core, cell.require_parameters(), xs, s, extra)

    def back(dys: Tree, dstate: Tree) -> tuple[Tree, Tree, dict]:
        dxs, ds, _, dp = run_back(tape, dys, zeros_like(new) if dstate is None else cell.state_from_tf(dstate))
        return dxs, cell.state_to_tf(ds), cell.gradients(dp)
    return ys, cell.state_to_tf(new), back


def _make_initial_state(cell: RNNCell, xs: Tree, state: Tree, dtype: Any) -> Tree:
    """The state of rnnref; zeros in `dtype`, or in the dtype of the inputs, if `state` is None.

    Of several inputs it is the last that counts: the first of a phased cell is the time, of any dtype.
    """
    if state is not None:
        return cell.state_from_tf(state)
    x: Array = [a for _, a in leaves(xs)][-1]
    if dtype is None and x.dtype.kind in "iu":
        raise NotSupported(cell.who, "no initial_state and no dtype", fix='dtype="float32"')
    if cell.is_written:
        return cell.state_from_tf(cell.get_initial_state(batch_size=x.shape[1], dtype=dtype or x.dtype))
    return cell.zeros(x.shape[1], namespace(x), dtype or x.dtype)


def refuse_scope(who: str, scope: Any) -> None:
    """Raise unless scope is None: here the cell has the names of its variables."""
    if scope is not None:
        raise NotSupported(who, f"scope={scope!r}", hint="cell.load_variables(arrays, scope) sets the names")


def stack_steps(who: str, inputs: Sequence[Tree]) -> Tree:
    """A list over time -> [T, B, ...]; its items may be tuples and dicts."""
    if not isinstance(inputs, (list, tuple)):
        raise StructureError(who, f"inputs is {describe_type(inputs)}, expected a list of [B, ...], one for each "
                                  "step", fix="list(inputs), if its first axis is time")
    if not inputs:
        raise ShapeError(who, "inputs is empty")
    return stack(list(inputs))


def unstack_steps(tree: Tree, steps: int) -> list:
    """[T, B, ...] -> a list over time."""
    return [map_structure(lambda a: a[t], tree) for t in range(steps)]


def stack_gradients(d: Optional[Sequence[Tree]]) -> Tree:
    """A list of gradients over time -> [T, B, ...]; None is zero."""
    if d is None:
        return None
    like: Any = next((a for a in d if a is not None), None)
    return None if like is None else stack([zeros_like(like) if a is None else a for a in d])


def static_rnn(cell: RNNCell, inputs: Sequence[Tree], initial_state: Tree = None, dtype: Any = None,
               sequence_length: Any = None, scope: None = None, *, extra: Any = None) -> Result:
    """List of inputs [B, I] -> (list of outputs, final state).

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

    def backward(dys: Any, dstate: Tree) -> Gradients:
        dxs, ds, dv = back(stack_gradients(dys), dstate)
        return Gradients(None if dxs is None else unstack_steps(dxs, len(inputs)), ds, dv)
    return Result((unstack_steps(ys, len(inputs)), state), backward)


def swap_batch_and_time(tree: Tree, time_major: bool) -> Tree:
    """The first two axes swapped, unless time_major; the same tree otherwise."""
    return tree if time_major or tree is None else map_structure(lambda a: a.swapaxes(0, 1), tree)


def transpose_batch_time(x: Array) -> Array:
    """The first two axes swapped; an array with fewer is returned as it is.

    >>> import numpy as np
    >>> transpose_batch_time(np.ones((2, 3, 4))).shape, transpose_batch_time(np.ones(2)).shape
    ((3, 2, 4), (2,))
    """
    return x.swapaxes(0, 1) if x.ndim > 1 else x


def best_effort_input_batch_size(flat_input: Sequence[Array]) -> int:
    """The batch size of inputs [T, B, ...]: that of the first with at least two axes.

    >>> import numpy as np
    >>> best_effort_input_batch_size([np.ones(5), np.ones((5, 2, 3))])
    2
    """
    for x in flat_input:
        if x.ndim > 1:
            return x.shape[1]
    raise ShapeError("best_effort_input_batch_size", "no input has two axes, time and batch")


def dynamic_rnn(cell: RNNCell, inputs: Tree, sequence_length: Any = None, initial_state: Tree = None,
                dtype: Any = None, parallel_iterations: Any = None, swap_memory: bool = False,
                time_major: bool = False, scope: None = None, *, extra: Any = None) -> Result:
    """inputs [B, T, I], or [T, B, I] with time_major -> (outputs in the same layout, final state).

    parallel_iterations and swap_memory do not change results in TF, and are ignored here.
    """
    refuse_scope("dynamic_rnn", scope)
    xs = swap_batch_and_time(inputs, time_major)
    ys, state, back = run_cell(cell, xs, initial_state, sequence_length, False, dtype, extra)

    def backward(dys: Tree, dstate: Tree) -> Gradients:
        dxs, ds, dv = back(swap_batch_and_time(dys, time_major), dstate)
        return Gradients(swap_batch_and_time(dxs, time_major), ds, dv)
    return Result((swap_batch_and_time(ys, time_major), state), backward)


def static_state_saving_rnn(cell: RNNCell, inputs: Sequence[Tree], state_saver: Any, state_name: Any,
                            sequence_length: Any = None, scope: None = None, *, extra: Any = None) -> Result:
    """static_rnn that starts from the states of a saver, and saves the final ones in it.

    state_saver  has state(name) -> array and save_state(name, array)
    state_name   one name, or one for each array of the state, in its nest or in a flat one
    """
    refuse_scope("static_state_saving_rnn", scope)
    names = flatten_state(state_name)
    saved = iter(map(state_saver.state, names))
    like = as_cell("static_state_saving_rnn", cell).zero_state(1, "float32")
    count = len(flatten_state(like))
    if len(names) != count:
        raise ShapeError("static_state_saving_rnn", f"got {len(names)} names, expected {count}, one for each array of "
                                                    f"the state")
    result = static_rnn(cell, inputs, map_structure(lambda _: next(saved), like), None, sequence_length, extra=extra)
    for name, a in zip(names, flatten_state(result[1])):
        state_saver.save_state(name, a)
    return result


def flatten_state(tree: Tree) -> list[Array]:
    """The arrays of a state in TF's order."""
    tree = tuple(tree.values()) if isinstance(tree, dict) else tree
    return [a for item in tree for a in flatten_state(item)] if isinstance(tree, (tuple, list)) else [tree]
