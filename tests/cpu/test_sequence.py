"""Whole sequences in NumPy kernels: every option, form, lane and chunk against the plain code; refusals in words."""
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, Bidirectional, Dropout, LayerNormLSTM, SimpleRNN, Stack
from rnnref.cpu import gru, kernel, lanes, matmul, sequence, workspaces
from rnnref.cpu.blas import count_threads
from rnnref.elementwise import get_activation
from rnnref.loops.plan import describe_call, plan
from rnnref.testing.api import assert_close, assert_same
from rnnref.testing.case import PLAIN, Trial, draw_case, masking_options
from tests.support.precision import cast_all

ONLY = {"paths": ("sequence", "layerwise", "bidirectional")}
CELLS = {
    "LSTM": LSTM(), "forget bias": LSTM(forget_bias=1.0), "no bias": LSTM(bias=False),
    "two biases": LSTM(recurrent_bias=True), "peepholes": LSTM(peepholes=True),
    "i = 1 - f": LSTM(coupled="input", forget_bias=0.5, peepholes=True),
    "f = 1 - i": LSTM(coupled="forget", peepholes=True, cell_clip=0.3),
    "clip": LSTM(cell_clip=0.2), "clip of 0": LSTM(cell_clip=0.0), "clip, gradient through": LSTM(
        cell_clip=0.2, cell_clip_gradient="through", peepholes=True),
    "projected": LSTM(projection=2, recurrent_bias=True), "projected, clipped": LSTM(
        projection=3, projection_clip=0.1, peepholes=True, cell_clip=0.4, coupled="input"),
    "GRU": GRU(), "GRU, no recurrent bias": GRU(recurrent_bias=False), "GRU, no bias": GRU(bias=False),
    "GRU before": GRU(reset="before"), "GRU before, two biases": GRU(reset="before", recurrent_bias=True),
    "GRU before, no bias": GRU(reset="before", bias=False),
    "RNN": SimpleRNN(), "RNN, two biases": SimpleRNN(recurrent_bias=True), "RNN relu": SimpleRNN(activation="relu"),
    "RNN, no bias": SimpleRNN(bias=False)}
T, I, U = 7, 3, 4


def settings(monkeypatch, many):
    """Small chunks, a lane for each thread and products in pieces; or what is chosen for these sizes."""
    if many:
        monkeypatch.setattr(kernel, "_FORWARD_CHUNK", 60)
        monkeypatch.setattr(kernel, "_BACKWARD_CHUNK", 6)
        monkeypatch.setattr(lanes, "MIN_STATE", 1)
        monkeypatch.setattr(lanes, "MIN_WORK", 0)
        monkeypatch.setattr(gru, "_MOST_ZEROS", 0)
        monkeypatch.setattr(sequence, "count_threads", lambda: 3)
        monkeypatch.setattr(matmul, "choose_rows", lambda M, *_: max(r for r in range(1, M) if M % r == 0))


@pytest.mark.parametrize("many", (False, True))
@pytest.mark.parametrize("batch", (1, 5))
@pytest.mark.parametrize("name", CELLS)
def test_every_option_equals_the_plain_code(name, batch, many, monkeypatch):
    settings(monkeypatch, many)
    one = draw_case(CELLS[name], n_in=I, units=U, steps=T, batch=batch)
    for (where, options), reverse in product(masking_options((T, batch)).items(), (False, True)):
        trial = Trial(replace(one, **options, reverse=reverse))
        results = [trial.case.run_both_ways(trial.d, **ONLY, recompute=again) for again in (False, True)]
        for out, grads, tape in results:
            assert tape.path == "sequence"
            assert_close(out, trial.plain[0], "path", f"{where}: results")
            assert_close(grads, trial.plain[1], "path", f"{where}: gradients")
            for t in range(T):
                assert_close(tape.kept(t), trial.forward[1].kept(t), "path", f"{where}: kept({t})")
        assert_same(results[0][0], results[1][0], "recompute")
        assert_same(trial.case.run(keep=False, **ONLY)[0], results[0][0], "inference")


@pytest.mark.parametrize("where", ("everywhere", "holes"))
@pytest.mark.parametrize("name", ("LSTM", "projected, clipped", "GRU", "GRU before", "RNN"))
def test_float32_is_as_near_as_the_table_says(name, where, monkeypatch):
    settings(monkeypatch, True)
    one = cast_all(replace(draw_case(CELLS[name], n_in=I, units=U, steps=T, batch=5), **masking_options((T, 5))[where]),
                   "float32")
    trial = Trial(one)
    out, grads, _ = one.run_both_ways(trial.d, **ONLY)
    assert_close((out, grads), trial.plain, "path", arithmetic="float32")


@pytest.mark.parametrize("name", ("LSTM", "GRU", "GRU before", "RNN"))
def test_gradients_that_are_not_asked_for_are_not_computed(name, monkeypatch):
    trial = Trial(replace(draw_case(CELLS[name], n_in=I, units=U, steps=T, batch=5), reverse=True))
    _, tape = trial.case.run(**ONLY)              # reversed, dx is made in a scratch array
    whole = rnnref.run_back(tape, *trial.d)
    used, scratch = [], workspaces.Workspace.scratch
    monkeypatch.setattr(workspaces.Workspace, "scratch", lambda *args: used.append(args[1]) or scratch(*args))
    for k, what in ((0, "x"), (1, "s"), (3, "p")):
        found = rnnref.run_back(tape, *trial.d, wanted=(what,))
        assert [d is not None for d in found] == [n == k for n in range(4)]
        assert_same(found[k], whole[k])
        assert ("dx" in used, "z" in used) == (what == "x", what == "p")       # results and operands of products
        used.clear()


FAULTS = {
    "inputs that are slightly others": ("LSTM", lambda patch: patch.setattr(
        kernel.Kernel, "forward", of_other_inputs)),
    "a factor of another gate": ("LSTM", lambda patch: swap_factors(patch, "LSTM")),
    "dead rows pass no gradient": ("GRU", lambda patch: patch.setattr("rnnref.cpu.gru.pass_dead", lambda *_: None)),
    "dead rows go on": ("RNN", lambda patch: patch.setattr(kernel, "find_dead", lambda live: None)),
    "a chunk is added twice": ("GRU before", lambda patch: patch.setattr(
        "rnnref.cpu.gru_before.add_product", lambda sums, name, zs, da: kernel.add_product(sums, name, 2 * zs, da)))}


def of_other_inputs(self, weights, xs, *rest, plain=kernel.Kernel.forward):
    return plain(self, weights, xs * (1 + 1e-9), *rest)


def swap_factors(patch, name):
    one = type(sequence.find_kernel(CELLS[name]))
    plain = one.factors

    def factors(self, weights, z, gates, out, dead):
        plain(self, weights, z, gates, out, dead)
        out[:, 1:3] = out[:, 2:0:-1].copy()
    patch.setattr(one, "factors", factors)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(fault, monkeypatch):
    name, damage = FAULTS[fault]
    one = draw_case(CELLS[name], n_in=I, units=U, steps=T, batch=5)
    trial = Trial(replace(one, **masking_options((T, 5))["holes"]))
    assert_close(trial.case.run_both_ways(trial.d, **ONLY)[:2], trial.plain, "path")
    damage(monkeypatch)
    with pytest.raises(AssertionError):
        assert_close(trial.case.run_both_ways(trial.d, **ONLY)[:2], trial.plain, "path")


def test_results_are_the_users_own():
    """Nothing that is returned lies in memory that a later call uses, and a tape outlives what is done to results."""
    one = cast_all(draw_case(LSTM(), n_in=32, units=64, steps=40, batch=16), "float32")
    (ys, new), tape = one.run(**ONLY)
    d = Trial(one).draw((ys, new))
    kept, grads = tape.kept(5), rnnref.run_back(tape, *d)
    copies = rnnref.tree.map_structure(np.copy, (ys, new, kept, grads))
    for array in (ys, new.h, new.c):
        array.fill(np.nan)
    assert_same(rnnref.run_back(tape, *d), copies[3])
    del tape
    replace(one, xs=one.xs + 1).run_both_ways(d, **ONLY)
    assert_same((kept, grads), copies[2:])


@pytest.mark.parametrize("batch", (1, 5))
@pytest.mark.parametrize("name", CELLS)
def test_gradients_lie_in_the_order_of_c(name, batch):
    """Whatever the layout of the arguments: an optimizer walks through gradients beside the parameters."""
    one = draw_case(CELLS[name], n_in=I, units=U, steps=T, batch=batch)
    d = Trial(one).d
    one = replace(one, **rnnref.tree.map_structure(np.asfortranarray, {"p": one.p, "s": one.s, "xs": one.xs}))
    for a in dict(rnnref.tree.leaves(one.run_both_ways(d, **ONLY)[:2])).values():
        assert a.flags.c_contiguous and a.flags.writeable


@pytest.mark.parametrize("dtype", ("float32", "float64"))
@pytest.mark.parametrize("batch", (1, 5))
@pytest.mark.parametrize("name", CELLS)
def test_the_layout_of_arguments_changes_no_bit(name, batch, dtype):
    """Inference has no copy of the parameters, and OpenBLAS sums in another order where a matrix lies transposed."""
    one = cast_all(draw_case(CELLS[name], n_in=5, units=17, steps=31, batch=batch), dtype)
    d = rnnref.tree.map_structure(np.ones_like, one.run(**ONLY)[0])
    want, grads, _ = one.run_both_ways(d, **ONLY)
    for lay in (np.asfortranarray, lambda a: np.repeat(a, 2, -1)[..., ::2]):
        other = replace(one, **rnnref.tree.map_structure(lay, {"p": one.p, "s": one.s, "xs": one.xs}))
        assert_same(other.run(keep=False, **ONLY)[0], want)
        assert_same(other.run_both_ways(d, **ONLY)[:2], (want, grads))
        ready = rnnref.prepare(one.cell, one.p)
        ready.update(other.p)                     # arrays that can change are laid out in each call
        assert_same(replace(one, p=ready).run(keep=False, **ONLY)[0], want)


@pytest.mark.parametrize("again", (False, True))
@pytest.mark.parametrize("name", CELLS)
def test_no_rows_have_results_gradients_and_intermediates(name, again):
    trial = Trial(draw_case(CELLS[name], n_in=I, units=U, steps=T, batch=0))
    out, grads, tape = trial.case.run_both_ways(trial.d, **ONLY, recompute=again)
    assert_same((out, grads, tape.kept(3)), (*trial.plain, trial.forward[1].kept(3)))


@pytest.mark.parametrize("batch", (1, 5))
@pytest.mark.parametrize("name", CELLS)
def test_inputs_of_no_width_leave_the_bias_and_the_state(name, batch):
    trial = Trial(draw_case(CELLS[name], n_in=0, units=U, steps=T, batch=batch))
    for again in (False, True):
        out, grads, tape = trial.case.run_both_ways(trial.d, **ONLY, recompute=again)
        assert tape.path == "sequence"
        assert_close((out, grads), trial.plain, "path")


@pytest.mark.parametrize("batch", (1, 5))
@pytest.mark.parametrize("name", ("LSTM", "projected", "GRU", "GRU, no bias", "GRU before", "RNN"))
def test_infinite_inputs_saturate_as_in_the_plain_code(name, batch):
    """Products of several gates at once must not multiply them by zero."""
    xs = np.array(draw_case(CELLS[name], n_in=I, units=U, steps=T, batch=batch).xs)
    xs[2, 0, 1], xs[4, -1, 0] = np.inf, -np.inf
    one = draw_case(CELLS[name], xs=xs, units=U)
    with np.errstate(invalid="ignore"):           # kernels of OpenBLAS raise it over the padding of their blocks
        found, want = one.run(**ONLY)[0], one.run(**PLAIN)[0]
    assert np.isfinite(found[0]).all()
    assert_close(found, want, "path")


def test_arrays_of_another_byte_order_run_elsewhere():
    one = draw_case(GRU(), steps=T)
    other = rnnref.tree.map_structure(lambda a: a.astype(">f8"), {"p": one.p, "s": one.s, "xs": one.xs})
    out, tape = replace(one, **other).run()
    assert tape.path == "hoisted"
    assert_close(rnnref.tree.map_structure(lambda a: a.astype("float64"), out), one.run(**PLAIN)[0], "path")
    assert "byte order" in dict(plan(GRU(), describe_call(other["xs"])).notes)["sequence"]


def test_refusals_are_in_words():
    like = np.zeros((T, 2, I), "float32")
    limited = get_activation("tanh", clip=2.0)
    for cell, words in ((LSTM(gate="hard_sigmoid@keras2"), "gate is hard_sigmoid"),
                        (LSTM(candidate=limited), "candidate is tanh(clip=2)"),
                        (SimpleRNN(activation="elu"), "the kernel has tanh and relu"),
                        (Dropout(LSTM()), "Dropout has no kernel"), (LayerNormLSTM(), "no kernel for whole sequences")):
        assert words in dict(plan(cell, describe_call(like)).notes)["sequence"]
    assert "fewer than 4 steps" in dict(plan(GRU(), describe_call(like[:3])).notes)["sequence"]
    assert "arrays are float16" in dict(plan(LSTM(), describe_call(like.astype("float16"))).notes)["sequence"]
    assert plan(Stack((LSTM(), GRU())), describe_call(like)).notes[-1] == ("1 sequence", "runs")
    both = plan(Bidirectional((LSTM(), Dropout(GRU()))), describe_call(like)).notes
    assert ("0 sequence", "runs") in both and ("1 plain", "runs") in both


def test_what_runs_by_itself_takes_this_path():
    one = draw_case(LSTM())
    assert one.run()[1].path == "sequence" and one.run(**PLAIN)[1].path == "plain"


def test_lanes_share_the_rows():
    for batch, units, gates, threads in product((1, 2, 7, 64), (1, 128, 4000), (1, 4), (1, 2, 16)):
        rows = lanes.split_rows(batch, units, gates, threads)
        assert np.array_equal(np.r_[tuple(rows)], np.arange(batch))
        assert len(rows) <= min(threads, lanes.MAX_LANES)
    found = [len(lanes.split_rows(*sizes)) for sizes in (
        (8, 128, 4, 2), (16, 128, 4, 2), (16, 128, 1, 2), (256, 32, 4, 2), (64, 128, 4, 8), (128, 256, 4, 8))]
    assert found == [1, 2, 1, 1, 2, 8]
    assert count_threads() >= 1


def test_a_layer_keeps_its_core_until_an_option_changes():
    """A new core in each call would have every check and plan made again."""
    layer = rnnref.layers.LSTM(U)
    core = layer.core
    assert layer.core is core and layer.get_config() == rnnref.layers.LSTM(U, name=layer.name).get_config()
    layer(np.zeros((2, T, I), "float32"))
    layer.cell.use_bias = False
    assert layer.core is not core and layer.core.inputs.b is None
