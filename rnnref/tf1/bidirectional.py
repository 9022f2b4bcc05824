"""Two directions, alone and stacked.  In a padded row only its own steps are turned round."""
from ..arrays import namespace
from ..errors import ShapeError
from ..tree import add
from .cell import Gradients, Result, sum_gradients
from .loops import refuse_scope, run_cell, stack_gradients, stack_steps, swap_batch_and_time, unstack_steps


def _run_both(fw, bw, xs, states, lengths, dtype, extra):
    """Both directions over [T, B, ...]: a pair of outputs, a pair of states, and the way back."""
    runs = [run_cell(cell, xs, s, lengths, turned, dtype, e)
            for cell, s, turned, e in zip((fw, bw), states, (False, True), extra or (None, None))]
    ys, new, backs = zip(*runs)

    def back(dys, dstates):
        d = zip(dys or (None, None), dstates or (None, None))
        (dx, ds, dv), (dx2, ds2, dv2) = (b(*both) for b, both in zip(backs, d))
        return add(dx, dx2), (ds, ds2), sum_gradients(dv, dv2)
    return ys, new, back


def bidirectional_dynamic_rnn(cell_fw, cell_bw, inputs, sequence_length=None, initial_state_fw=None,
                              initial_state_bw=None, dtype=None, parallel_iterations=None, swap_memory=False,
                              time_major=False, scope=None, *, extra=None):
    """((outputs forwards, backwards), (state forwards, backwards)): both beside their inputs."""
    refuse_scope("bidirectional_dynamic_rnn", scope)
    ys, new, back = _run_both(cell_fw, cell_bw, swap_batch_and_time(inputs, time_major), (initial_state_fw, initial_state_bw),
                         sequence_length, dtype, extra)

    def backward(dys, dstates):
        dxs, ds, dv = back(dys and [swap_batch_and_time(d, time_major) for d in dys], dstates)
        return Gradients(swap_batch_and_time(dxs, time_major), ds, dv)
    return Result((tuple(swap_batch_and_time(y, time_major) for y in ys), new), backward)


def static_bidirectional_rnn(cell_fw, cell_bw, inputs, initial_state_fw=None, initial_state_bw=None, dtype=None,
                             sequence_length=None, scope=None, *, extra=None):
    """(a list of outputs [forwards, backwards], state forwards, state backwards)."""
    refuse_scope("static_bidirectional_rnn", scope)
    ys, (fw, bw), back = _run_concatenated(cell_fw, cell_bw, stack_steps("static_bidirectional_rnn", inputs),
                                (initial_state_fw, initial_state_bw), sequence_length, dtype, extra)

    def backward(dys, dfw, dbw):
        dxs, ds, dv = back(stack_gradients(dys), (dfw, dbw))
        return Gradients(_unstack_gradients(dxs, len(inputs)), ds, dv)
    return Result((unstack_steps(ys, len(inputs)), fw, bw), backward)


def _unstack_gradients(dxs, steps):
    """Whole numbers have no gradient."""
    return None if dxs is None else unstack_steps(dxs, steps)


def _run_concatenated(fw, bw, xs, states, lengths, dtype, extra):
    """`both` with one output, forwards and backwards end to end."""
    (y, y2), new, back = _run_both(fw, bw, xs, states, lengths, dtype, extra)
    n = y.shape[-1]

    def split_back(dys, dstates):
        return back(None if dys is None else (dys[..., :n], dys[..., n:]), dstates)
    return namespace(y).concatenate([y, y2], -1), new, split_back


def _run_stack(who, cells_fw, cells_bw, xs, states_fw, states_bw, lengths, dtype, extra):
    """Layers of two directions, each over both outputs of the one below."""
    if len(cells_fw) != len(cells_bw) or not cells_fw:
        raise ShapeError(who, f"{len(cells_fw)} cells forwards and {len(cells_bw)} backwards, expected as many")
    for name, given in (("initial_states_fw", states_fw), ("initial_states_bw", states_bw)):
        if given is not None and len(given) != len(cells_fw):
            raise ShapeError(who, f"{name} holds {len(given)}, expected {len(cells_fw)}, one for each layer")
    none = (None,) * len(cells_fw)
    news, backs = [], []
    for fw, bw, s, s2, e in zip(cells_fw, cells_bw, states_fw or none, states_bw or none, extra or none):
        xs, new, back = _run_concatenated(fw, bw, xs, (s, s2), lengths, dtype, e)
        news.append(new)
        backs.append(back)

    def down(d, dfw, dbw):
        ds, dv = [], []
        for one, *dstates in reversed(list(zip(backs, dfw or none, dbw or none))):
            d, dstate, dvars = one(d, dstates)
            ds.append(dstate)
            dv.append(dvars)
        return d, tuple(zip(*reversed(ds))), sum_gradients(*dv)
    return xs, tuple(zip(*news)), down


def stack_bidirectional_rnn(cells_fw, cells_bw, inputs, initial_states_fw=None, initial_states_bw=None, dtype=None,
                            sequence_length=None, scope=None, *, extra=None):
    """(a list of outputs of the last layer, states forwards, states backwards), the states a tuple over layers."""
    refuse_scope("stack_bidirectional_rnn", scope)
    who = "stack_bidirectional_rnn"
    ys, (fw, bw), back = _run_stack(who, cells_fw, cells_bw, stack_steps(who, inputs), initial_states_fw, initial_states_bw,
                                 sequence_length, dtype, extra)

    def backward(dys, dfw, dbw):
        dxs, ds, dv = back(stack_gradients(dys), dfw, dbw)
        return Gradients(_unstack_gradients(dxs, len(inputs)), ds, dv)
    return Result((unstack_steps(ys, len(inputs)), fw, bw), backward)


def stack_bidirectional_dynamic_rnn(cells_fw, cells_bw, inputs, initial_states_fw=None, initial_states_bw=None,
                                    dtype=None, sequence_length=None, parallel_iterations=None, time_major=False,
                                    scope=None, swap_memory=False, *, extra=None):
    """The same of one array of inputs, laid out as in dynamic_rnn."""
    refuse_scope("stack_bidirectional_dynamic_rnn", scope)
    ys, (fw, bw), back = _run_stack("stack_bidirectional_dynamic_rnn", cells_fw, cells_bw,
                                 swap_batch_and_time(inputs, time_major), initial_states_fw, initial_states_bw,
                                 sequence_length, dtype, extra)

    def backward(dys, dfw, dbw):
        dxs, ds, dv = back(swap_batch_and_time(dys, time_major), dfw, dbw)
        return Gradients(swap_batch_and_time(dxs, time_major), ds, dv)
    return Result((swap_batch_and_time(ys, time_major), fw, bw), backward)
