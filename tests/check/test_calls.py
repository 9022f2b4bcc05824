"""What a candidate does besides computing: to its arguments, to its results, and from call to call."""
import numpy as np
import pytest

import rnnref
from rnnref import cells
from rnnref.check import verify
from tests.support.ported_cells import engine

T, B, I, H = 6, 3, 4, 5
CELL = cells.LSTM()
P = {n: (0.5 * np.random.default_rng(0).standard_normal(s)).astype("float32") for n, s in CELL.shapes(I, H).items()}


def compute(x, p=P, initial_state=None, lengths=None):
    return engine("lstm")(x, p, initial_state, lengths)


def check(function, **options):
    return verify(function, (T, B, I), reference=CELL, p=P, **options)


def row(report, name):
    return next(r for r in report.rows if r.name == name)


def changing(name):
    """A function that is right and then changes one of its arguments."""
    def theirs(x, initial_state, lengths, p):
        ys, last = compute(x, p, initial_state, lengths)
        ys, last = ys.copy(), tuple(a.copy() for a in last)
        if name == "p":
            p["W"] = 2 * p["W"]
        else:
            {"x": x, "initial_state": initial_state[1], "W": p["W"], "lengths": lengths}[name][...] = 1
        return ys, last
    return theirs


@pytest.mark.parametrize("name, words", [("x", "x"), ("initial_state", "c0"), ("W", "W"), ("p", "W"),
                                         ("lengths", "lengths")])
def test_changed_arguments_are_named(name, words):
    report = check(changing(name), lengths=[6, 2, 4])
    assert not report.ok and row(report, "arguments").note == f"the call changes its arguments: {words}"
    assert f"The call changes its arguments: {words}." in report.findings
    assert all(r.verdict == "agrees" for r in report.rows if r.group != "calls")
    assert P["W"][0, 0] != 1                      # copies were given


@pytest.mark.parametrize("change, words", [(lambda p: p.pop("b"), "b"), (lambda p: p.update(own=1), "own")])
def test_weights_that_are_added_or_removed_are_named(change, words):
    def theirs(x, p):
        returned = compute(x, p)
        change(p)
        return returned
    assert row(check(theirs), "arguments").note == f"the call changes its arguments: {words}"


@pytest.mark.parametrize("reshape", [
    lambda ys: np.concatenate([ys, ys], -1), lambda ys: ys[..., None], lambda ys: ys[:-1], lambda ys: ys[:, 1:],
    lambda ys: ys.ravel(), lambda ys: ys[0, 0, 0]])
def test_results_of_any_shape_differ_and_break_nothing(reshape):
    report = check(lambda x: reshape(compute(x)[0]))
    assert row(report, "y").verdict == "differs" and row(report, "y").note.startswith("shape (")


@pytest.mark.parametrize("spoil", [lambda x: np.clip(x, -1, 1, out=x), lambda x: x.fill(0)])
def test_results_of_changed_arguments_are_held_to_those_given(spoil):
    def theirs(x):
        spoil(x)
        return compute(x)
    report = check(theirs)
    assert row(report, "y").verdict == "differs" and row(report, "arguments").verdict == "differs"


def test_a_buffer_that_is_returned_again_is_named():
    buffer = np.empty((T, B, H), "float32")

    def theirs(x):
        buffer[...] = compute(x)[0]
        return buffer
    report = check(theirs)
    assert [r.name for r in report.rows if r.verdict == "differs"] == ["buffers"]
    assert "A further call overwrites what the first one returned: y." in report.findings


def test_a_function_that_is_wrong_now_and_then_is_named():
    for every in (2, 3):
        calls = []

        def theirs(x):
            calls.append(1)
            return compute(x)[0] * np.float32(1 if len(calls) % every else 1.01)
        report = check(theirs)
        assert not report.ok and row(report, "y").verdict == "agrees"
        words = "In a second call" if every == 2 else "A further call on the same numbers returns others: y."
        assert words in " ".join(report.findings), report


def test_a_mistake_that_shows_on_some_numbers_only_is_not_taken_for_a_memory():
    given = np.random.default_rng(1).standard_normal((T, B, I)).astype("float32")

    def theirs(x):
        return compute(x)[0] * np.float32(1 if x[0, 0, 0] == given[0, 0, 0] else 1.01)
    report = verify(theirs, given, reference=CELL, p=P)
    assert row(report, "y").verdict == "agrees" and row(report, "y (second call)").verdict == "differs"
    assert "or the mistake shows only on some numbers." in " ".join(report.findings), report


def test_the_cause_of_a_mistake_on_other_numbers_is_named():
    given = np.random.default_rng(1).standard_normal((T, B, I)).astype("float32")
    exchanged = {n: np.concatenate([a.reshape(*a.shape[:-1], 4, H)[..., k, :] for k in (1, 0, 2, 3)], -1)
                 for n, a in P.items()}

    def theirs(x):
        return compute(x, P if x[0, 0, 0] == given[0, 0, 0] else exchanged)[0]
    report = verify(theirs, given, reference=CELL, p=P)
    assert row(report, "y").verdict == "agrees" and row(report, "y (second call)").verdict == "differs"
    assert report.findings[0].startswith("On other numbers: Agrees to") and "f i g o" in report.findings[0], report


def test_remembered_results_and_states_are_named():
    kept = []

    def caching(x):
        kept.append(compute(x))
        return kept[0]

    def stateful(x):
        kept.append(compute(x, initial_state=kept[-1][1] if kept else None))
        return kept[-1][0]
    report = check(caching)
    assert "returns the results of the first one: y, h and c differ." in " ".join(report.findings)
    kept.clear()
    report = check(stateful)
    assert row(report, "y").verdict == "agrees" and row(report, "y (second call)").verdict == "differs"


def test_weights_that_are_remembered_are_named():
    kept = []

    def theirs(x, p):
        kept.append({n: a.copy() for n, a in p.items()})
        return compute(x, kept[0])
    assert not check(theirs).ok


def test_gradients_that_add_up_from_call_to_call_are_named():
    cell, kept = cells.GRU(), {}
    p = rnnref.init.parameters(cell, I, H, np.random.default_rng(0))
    total = {n: np.zeros_like(a) for n, a in p.items()}

    def forward(x, initial_state):
        ys, last, kept["tape"] = rnnref.run(cell, p, x, initial_state)
        return ys, last

    def backward(dy, ds, right=False):
        dx, ds, _, dp = rnnref.run_back(kept["tape"], dy, ds)
        for n, a in dp.items():
            total[n] += a
        return {"x": dx, "h0": ds.h, **({} if right else {n: a.copy() for n, a in total.items()})}
    report = verify(forward, (T, B, I), reference=cell, p=p, backward=backward)
    assert not report.ok and row(report, "dW").verdict == "agrees" and row(report, "dW (second call)")
    assert verify(forward, (T, B, I), reference=cell, p=p, backward=lambda dy, ds: backward(dy, ds, True)).ok


def differentiate(spoil):
    """A GRU as a function, and its backward pass with `spoil(gradients, dy)`."""
    cell, kept = cells.GRU(), {}
    p = rnnref.init.parameters(cell, I, H, np.random.default_rng(0))

    def forward(x):
        ys, last, kept["tape"] = rnnref.run(cell, p, x)
        return ys, last

    def backward(dy, ds):
        dx, _, _, dp = rnnref.run_back(kept["tape"], dy, ds)
        return spoil({"x": dx, **dp}, dy)
    return verify(forward, (T, B, I), reference=cell, p=p, backward=backward)


def test_a_backward_pass_that_returns_one_buffer_or_changes_its_arguments_is_named():
    buffer = np.zeros((I, 3 * H), "float32")

    def in_buffer(gradients, dy):
        buffer[...] = gradients["W"]
        return gradients | {"W": buffer}

    def clear(gradients, dy):
        dy.fill(0)
        return gradients
    assert differentiate(lambda gradients, dy: gradients).ok
    assert row(differentiate(in_buffer), "buffers").note.endswith("returned: dW")
    assert row(differentiate(clear), "arguments").note.endswith(": the gradient of y")


@pytest.mark.parametrize("returned, words", [({}, "no gradients"), (None, "returned None"), ([1], "list")])
def test_a_backward_pass_that_returns_no_gradients_is_refused(returned, words):
    report = differentiate(lambda gradients, dy: returned)
    assert not report.ok and words in row(report, "the backward pass").note


def test_both_ways_of_starting_are_checked_and_named():
    def theirs(x, initial_state=None, p=P):
        ys, last = compute(x, p, initial_state)
        return (ys if initial_state is not None else np.float32(1.001) * ys), last
    report = check(theirs)
    assert [r.name for r in report.rows if r.verdict == "differs"] == ["y (no initial state)"]
    assert "With initial states all agree to rounding; without any, y differs" in " ".join(report.findings)
    assert "no initial state" in report.facts["initial states"]
    assert check(theirs, initial_state="random").ok and not check(theirs, initial_state="zero").ok
    assert check(theirs, initial_state="random").facts["initial states"] == "random"
    assert check(compute).ok and check(lambda x, initial_state: compute(x, P, initial_state)).ok


def test_a_call_without_a_state_that_fails_is_refused():
    def theirs(x, initial_state=None):
        return compute(x, P, (initial_state[0], initial_state[1]))
    report = check(theirs)
    assert row(report, "the call without initial states").verdict == "refused" and report.status == 1


@pytest.mark.parametrize("own, other", [("float32", "float64"), ("float64", "float32")])
def test_another_dtype_differs_and_both_are_named(own, other):
    p = {n: a.astype(own) for n, a in P.items()}

    def theirs(x, p):
        ys, last = compute(x, p)
        return ys.astype(other), last
    report = verify(theirs, (T, B, I), reference=CELL, p=p)
    assert row(report, "y").verdict == "differs" and row(report, "y").note == f"dtype {other}, expected {own}"
    assert row(report, "h").verdict == "agrees"


def test_gradients_of_another_dtype_differ():
    kept = {}

    def forward(x):
        ys, last, kept["tape"] = rnnref.run(CELL, P, x)
        return ys, last

    def backward(dy, ds):
        dx, _, _, dp = rnnref.run_back(kept["tape"], dy, ds)
        return {"x": dx, **dp, "b": dp["b"].astype("float64")}
    report = verify(forward, (T, B, I), reference=CELL, p=P, backward=backward)
    assert [r.name for r in report.rows if r.verdict == "differs"] == ["db"]
    assert row(report, "db").note == "dtype float64, expected float32"
