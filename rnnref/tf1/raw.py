"""raw_rnn: a loop whose inputs, states and outputs a function of the user makes."""
from typing import Any, NamedTuple

from ..arrays import namespace
from ..errors import NotSupported, ShapeError
from ..tree import add, apply_mask, choose, first_leaf, map_structure, stack, zeros_like
from .cell import Gradients, Result, sum_gradients
from .loops import refuse_scope


class _Step(NamedTuple):
    """What one call of the loop function was given, and the way back through the cell before it."""
    time: int; output: Any; state: Any; loop: Any
    back: Any; finished: Any                      # of rows that were finished before the step


def raw_rnn(cell, loop_fn, parallel_iterations=None, swap_memory=False, scope=None, *, loop_back=None, extra=None):
    """(what was emitted [steps, B, …], the last state, the last loop state).

    loop_fn(time, output, state, loop_state) -> finished [B], next input, next state, what is emitted, next loop state;
              at time 0 the three are None, and it returns the first of each, and shapes (arrays without the batch)
              in the place of what is emitted
    loop_back(time, output, state, loop_state, (d_input, d_state, d_emitted, d_loop_state)) -> d_output, d_state,
              d_loop_state, and a dict of gradients of what loop_fn sees besides, which are summed over the steps and
              returned as `inputs`; without it the loop runs forwards, and its backward says so

    A row that was finished before a step emits zero and keeps its state; the loop state is never masked.
    """
    refuse_scope("raw_rnn", scope)
    if not callable(loop_fn):
        raise NotSupported("raw_rnn", f"loop_fn is a {type(loop_fn).__name__}, expected a function")
    finished, x, state, shape, loop = loop_fn(0, None, None, None)
    here = namespace(first_leaf(cell.require_parameters())).asarray         # `finished` may be a list; it is used beside the arrays
    finished, emitted, steps = here(finished), [], []
    while not finished.all():
        if extra is not None:
            raise NotSupported("raw_rnn", "extra", hint="how many steps there are is known at the end")
        output, after = result = cell(x, state)
        now, x, following, emit, following_loop = loop_fn(len(steps) + 1, output, after, loop)
        steps.append(_Step(len(steps) + 1, output, after, loop, result.back, finished))
        emitted.append(apply_mask(~finished, emit))
        state, loop = choose(~finished, following, state), following_loop
        finished = finished | here(now)
    if not steps:
        raise ShapeError("raw_rnn", "every row is finished before the first step",
                         fix="tf.nn.raw_rnn runs no step either, and has nothing to stack")
    end = (state, loop)

    def backward(dys, dstate, dloop):
        if loop_back is None:
            raise NotSupported("raw_rnn", "loop_fn has no way back: it runs, but it cannot be trained",
                               fix="loop_back(time, output, state, loop_state, d) -> d_output, d_state, d_loop, {}")
        return _run_back(steps, loop_back, emitted, end, dys, dstate, dloop)
    return Result((stack(emitted), state, loop), backward)


def _run_back(steps, loop_back, emitted, end, dys, dstate, dloop):
    """The way back, from the last step to the call at time 0."""
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
