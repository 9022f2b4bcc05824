"""The bidirectional loops of TF 1, and stacks of them.

The backward cell reads the live steps of each row in reverse.
"""
from collections import Counter
from typing import Any, Callable, Optional, Sequence

from ..arrays import Array, namespace
from ..errors import ShapeError
from ..tree import Tree, add
from .cell import RNNCell
from .loops import refuse_scope, run_cell, scope_of, stack_gradients, stack_steps, swap_batch_and_time, unstack_steps
from .spec import Gradients, Result, sum_gradients
from .variables import join_scope

Pair = tuple[Any, Any]                            # forward and backward


def _run_both(fw: RNNCell, bw: RNNCell, xs: Tree, states: Pair, lengths: Any, dtype: Any,
              extra: Optional[Pair]) -> tuple[Pair, Pair, Callable]:
    """Both directions over xs [T, B, ...]: the pair of outputs, the pair of final states, and the backward pass.

    The backward pass gives the gradients of variables as a pair, one dict for each cell.
    """
    runs = [run_cell(cell, xs, s, lengths, reverse, dtype, e)
            for cell, s, reverse, e in zip((fw, bw), states, (False, True), extra or (None, None))]
    ys, new, backs = zip(*runs)

    def back(dys: Any, dstates: Any) -> tuple[Tree, Pair, Pair]:
        pairs = zip(dys or (None, None), dstates or (None, None))
        (dx, ds, dv), (dx2, ds2, dv2) = (run_back(*pair) for run_back, pair in zip(backs, pairs))
        return add(dx, dx2), (ds, ds2), (dv, dv2)
    return ys, new, back


def bidirectional_dynamic_rnn(cell_fw: RNNCell, cell_bw: RNNCell, inputs: Tree, sequence_length: Any = None,
                              initial_state_fw: Tree = None, initial_state_bw: Tree = None, dtype: Any = None,
                              parallel_iterations: Any = None, swap_memory: bool = False, time_major: bool = False,
                              scope: None = None, *, extra: Optional[Pair] = None) -> Result:
    """((outputs forward, backward), (final state forward, backward)); outputs are at the steps of their inputs."""
    who = "bidirectional_dynamic_rnn"
    refuse_scope(who, scope)
    ys, new, back = _run_both(cell_fw, cell_bw, swap_batch_and_time(inputs, time_major),
                              (initial_state_fw, initial_state_bw), sequence_length, dtype, extra)

    def backward(dys: Any, dstates: Any) -> Gradients:
        dxs, ds, dv = back(dys and [swap_batch_and_time(d, time_major) for d in dys], dstates)
        return Gradients(swap_batch_and_time(dxs, time_major), ds, _name_gradients(who, [(cell_fw, cell_bw)], [dv]))
    return Result((tuple(swap_batch_and_time(y, time_major) for y in ys), new), backward)


def static_bidirectional_rnn(cell_fw: RNNCell, cell_bw: RNNCell, inputs: Sequence[Tree], initial_state_fw: Tree = None,
                             initial_state_bw: Tree = None, dtype: Any = None, sequence_length: Any = None,
                             scope: None = None, *, extra: Optional[Pair] = None) -> Result:
    """(list of outputs [forward, backward], final state forward, final state backward)."""
    who = "static_bidirectional_rnn"
    refuse_scope(who, scope)
    ys, (fw, bw), back = _run_concatenated(cell_fw, cell_bw, stack_steps(who, inputs),
                                           (initial_state_fw, initial_state_bw), sequence_length, dtype, extra)

    def backward(dys: Any, dfw: Tree, dbw: Tree) -> Gradients:
        dxs, ds, dv = back(stack_gradients(dys), (dfw, dbw))
        return Gradients(_unstack_gradients(dxs, len(inputs)), ds, _name_gradients(who, [(cell_fw, cell_bw)], [dv]))
    return Result((unstack_steps(ys, len(inputs)), fw, bw), backward)


def _unstack_gradients(dxs: Tree, steps: int) -> Optional[list]:
    """A list over time; None for integer inputs, which have no gradient."""
    return None if dxs is None else unstack_steps(dxs, steps)


def _name_gradients(loop: str, cells: Sequence[Pair], gradients: Sequence[Pair]) -> dict[str, Array]:
    """The gradients of all variables by name, of cells (forward, backward) for each layer.

    Where two cells have a name in common, which they do if each was built without a scope, all names of both get the
    scope that they have in a graph of TF: bidirectional_rnn/fw/lstm_cell/kernel.  The gradients of one cell in two
    places are summed.
    """
    found: dict[int, tuple[str, dict]] = {}
    for layer, (pair, dv) in enumerate(zip(cells, gradients)):
        for way, cell, by_name in zip(("fw", "bw"), pair, dv):
            scope, before = found.get(id(cell), (scope_of(loop, way, layer), {}))
            found[id(cell)] = scope, sum_gradients(before, by_name)
    owners = Counter(name for _, by_name in found.values() for name in by_name)
    return {join_scope(scope if any(owners[n] > 1 for n in by_name) else None, name): d
            for scope, by_name in found.values() for name, d in by_name.items()}


def _run_concatenated(fw: RNNCell, bw: RNNCell, xs: Tree, states: Pair, lengths: Any, dtype: Any,
                      extra: Optional[Pair]) -> tuple[Array, Pair, Callable]:
    """`_run_both` with one output: forward and backward, concatenated."""
    (y, y2), new, back = _run_both(fw, bw, xs, states, lengths, dtype, extra)
    n = y.shape[-1]

    def split_back(dys: Array, dstates: Any) -> tuple[Tree, Pair, Pair]:
        return back(None if dys is None else (dys[..., :n], dys[..., n:]), dstates)
    return namespace(y).concatenate([y, y2], -1), new, split_back


def _run_stack(who: str, cells_fw: Sequence[RNNCell], cells_bw: Sequence[RNNCell], xs: Tree, states_fw: Any,
               states_bw: Any, lengths: Any, dtype: Any, extra: Any) -> tuple[Array, tuple, Callable]:
    """Bidirectional layers, each over the concatenated outputs of the layer below."""
    if len(cells_fw) != len(cells_bw) or not cells_fw:
        raise ShapeError(who, f"got {len(cells_fw)} cells forward and {len(cells_bw)} backward, expected the same "
                              f"number of both, at least 1")
    for name, states in (("initial_states_fw", states_fw), ("initial_states_bw", states_bw)):
        if states is not None and len(states) != len(cells_fw):
            raise ShapeError(who, f"{name} has {len(states)} states, expected {len(cells_fw)}, one for each layer")
    none = (None,) * len(cells_fw)
    news, backs = [], []
    for fw, bw, s, s2, e in zip(cells_fw, cells_bw, states_fw or none, states_bw or none, extra or none):
        xs, new, back = _run_concatenated(fw, bw, xs, (s, s2), lengths, dtype, e)
        news.append(new)
        backs.append(back)

    def back_stack(d: Array, dfw: Any, dbw: Any) -> tuple[Tree, tuple, dict]:
        ds, dv = [], []
        for run_back, *dstates in reversed(list(zip(backs, dfw or none, dbw or none))):
            d, dstate, dvars = run_back(d, dstates)
            ds.append(dstate)
            dv.insert(0, dvars)
        return d, tuple(zip(*reversed(ds))), _name_gradients(who, list(zip(cells_fw, cells_bw)), dv)
    return xs, tuple(zip(*news)), back_stack


def stack_bidirectional_rnn(cells_fw: Sequence[RNNCell], cells_bw: Sequence[RNNCell], inputs: Sequence[Tree],
                            initial_states_fw: Any = None, initial_states_bw: Any = None, dtype: Any = None,
                            sequence_length: Any = None, scope: None = None, *, extra: Any = None) -> Result:
    """(list of the last layer's outputs, final states forward, final states backward); states are tuples over layers.
    """
    refuse_scope("stack_bidirectional_rnn", scope)
    who = "stack_bidirectional_rnn"
    ys, (fw, bw), back = _run_stack(who, cells_fw, cells_bw, stack_steps(who, inputs), initial_states_fw,
                                    initial_states_bw, sequence_length, dtype, extra)

    def backward(dys: Any, dfw: Any, dbw: Any) -> Gradients:
        dxs, ds, dv = back(stack_gradients(dys), dfw, dbw)
        return Gradients(_unstack_gradients(dxs, len(inputs)), ds, dv)
    return Result((unstack_steps(ys, len(inputs)), fw, bw), backward)


def stack_bidirectional_dynamic_rnn(cells_fw: Sequence[RNNCell], cells_bw: Sequence[RNNCell], inputs: Tree,
                                    initial_states_fw: Any = None, initial_states_bw: Any = None, dtype: Any = None,
                                    sequence_length: Any = None, parallel_iterations: Any = None,
                                    time_major: bool = False, scope: None = None, swap_memory: bool = False, *,
                                    extra: Any = None) -> Result:
    """`stack_bidirectional_rnn` over one array of inputs, in the layout of `dynamic_rnn`."""
    who = "stack_bidirectional_dynamic_rnn"
    refuse_scope(who, scope)
    ys, (fw, bw), back = _run_stack(who, cells_fw, cells_bw, swap_batch_and_time(inputs, time_major),
                                    initial_states_fw, initial_states_bw, sequence_length, dtype, extra)

    def backward(dys: Any, dfw: Any, dbw: Any) -> Gradients:
        dxs, ds, dv = back(swap_batch_and_time(dys, time_major), dfw, dbw)
        return Gradients(swap_batch_and_time(dxs, time_major), ds, dv)
    return Result((swap_batch_and_time(ys, time_major), fw, bw), backward)
