"""raw_rnn: the loop of TF 1 in which a function of the user makes inputs, states and outputs."""
from typing import Any, Callable, NamedTuple, Optional

from ..arrays import Array, namespace
from ..errors import InvalidType, NotSupported, describe_type
from ..tree import Tree, add, apply_mask, choose, first_leaf, map_structure, stack, zeros_like
from .cell import RNNCell
from .layer_cell import as_cell
from .loops import refuse_scope
from .spec import Gradients, Result, sum_gradients


class _Step(NamedTuple):
    """The arguments of one call of the loop function, and the backward pass of the cell before it."""
    time: int; output: Tree; state: Tree; loop: Tree
    back: Callable[..., Gradients]
    finished: Array                               # [B]: True where the row was finished before the step


def raw_rnn(cell: RNNCell, loop_fn: Callable, parallel_iterations: Any = None, swap_memory: bool = False,
            scope: None = None, *, loop_back: Optional[Callable] = None, extra: None = None) -> Result:
    """(emitted values [steps, B, ...], final state, final loop state).

    loop_fn(time, output, state, loop_state) -> finished [B], next input, next state, emitted value, next loop state;
              at time 0 its other arguments are None, and it returns the initial values, and shapes (arrays without
              the batch) in the place of the emitted value
    loop_back(time, output, state, loop_state, (d_input, d_state, d_emitted, d_loop_state)) -> d_output, d_state,
              d_loop_state, and a dict of gradients of other arrays that loop_fn uses, which are summed over the steps
              and returned as `inputs`; without loop_back there is no backward pass

    A row that was finished before a step emits zero and keeps its state; the loop state is never masked.
    """
    refuse_scope("raw_rnn", scope)
    if not callable(loop_fn):
        raise InvalidType("raw_rnn", f"loop_fn is {describe_type(loop_fn)}, expected a function")
    cell = as_cell("raw_rnn", cell)
    finished, x, state, shape, loop = loop_fn(0, None, None, None)
    cell.check_inputs(x)
    asarray = namespace(first_leaf(x)).asarray                                  # `finished` may be a list
    finished, emitted, steps = asarray(finished), [], []
    while not finished.all():
        if extra is not None:
            raise NotSupported("raw_rnn", "extra", hint="the number of steps is only known after the last one")
        output, after = result = cell.step(x, state)
        ends, x, following, emit, following_loop = loop_fn(len(steps) + 1, output, after, loop)
        steps.append(_Step(len(steps) + 1, output, after, loop, result.back, finished))
        emitted.append(apply_mask(~finished, emit))
        state, loop = choose(~finished, following, state), following_loop
        finished = finished | asarray(ends)
    end = (state, loop)

    def backward(dys: Tree, dstate: Tree, dloop: Tree) -> Gradients:
        if loop_back is None:
            raise NotSupported("raw_rnn", "backward without loop_back, the backward pass of loop_fn",
                               fix="loop_back(time, output, state, loop_state, d) -> d_output, d_state, d_loop, {}")
        return _run_back(steps, loop_back, emitted, end, dys, dstate, dloop)
    return Result((stack(emitted) if steps else _emit_nothing(cell, shape, x, state), state, loop), backward)


def _emit_nothing(cell: RNNCell, shape: Tree, x: Tree, state: Tree) -> Tree:
    """Emitted values of no steps, [0, B, ...]: of the shapes that loop_fn announced, or of the output of the cell."""
    rows = len(first_leaf(x))
    like = cell.step(x, state)[0]
    if shape is None:
        return map_structure(lambda a: namespace(a).zeros((0, *a.shape), a.dtype), like)
    dtype = first_leaf(like).dtype
    return map_structure(lambda a: namespace(x).zeros((0, rows, *a.shape), getattr(a, "dtype", dtype)), shape)


def _run_back(steps: list[_Step], loop_back: Callable, emitted: list, end: tuple, dys: Tree, dstate: Tree,
              dloop: Tree) -> Gradients:
    """The backward pass, from the last step to the call at time 0."""
    dstate = zeros_like(end[0]) if dstate is None else dstate
    dloop = zeros_like(end[1]) if dloop is None and end[1] is not None else dloop
    dx, seen, variables = None, {}, {}
    for n, step in reversed(list(enumerate(steps))):
        live = ~step.finished
        demit = zeros_like(emitted[n]) if dys is None else map_structure(lambda a: a[n], dys)
        d = dx, apply_mask(live, dstate), apply_mask(live, demit), dloop
        dout, dafter, dloop, more = loop_back(step.time, step.output, step.state, step.loop, d)
        back = step.back(dout, dafter)
        dx, variables = back.inputs, sum_gradients(variables, back.variables)
        dstate = add(back.state, apply_mask(step.finished, dstate))
        seen = sum_gradients(seen, more)
    more = loop_back(0, None, None, None, (dx, dstate, None, dloop))[3]
    return Gradients(sum_gradients(seen, more), dstate, variables)
