"""What holds for the loops beside the laws: dtypes, directions, the past of a row, empty batches, words."""
from dataclasses import replace

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, Bidirectional, Dropout, SimpleRNN, Stack
from rnnref.check.tolerance import tolerance
from rnnref.elementwise import ACTIVATIONS, get_activation
from rnnref.loops.plan import describe_call, plan
from rnnref.loops.run import run, run_back
from rnnref.testing.api import assert_close, assert_same
from rnnref.testing.case import PLAIN, Trial, draw_case, masking_options
from rnnref.tree import PerStep, leaves, map_structure
from rnnref.wrappers.dropout import Masks
from tests.support.cases import CELLS, B, I, T, case
from tests.support.precision import cast_all, run_in_two_dtypes, upcast

WAYS = masking_options((T, B))


@pytest.mark.parametrize("name", CELLS)
def test_float32_and_float64_are_as_near_the_truth_as_the_table_says(name):
    for small, wide, choice in (("float32", "float64", {}), ("float64", "longdouble", PLAIN)):
        one = replace(cast_all(case(name), small), **WAYS["lengths"])
        (out, grads), (ideal, ideal_grads) = run_in_two_dtypes(one, wide, **choice)
        assert_close(upcast(out, wide), ideal, "steep", arithmetic=small)
        assert_close(upcast(grads, wide), ideal_grads, "gradient", arithmetic=small)


# a product that varies little is normalised alone: half an ulp of float16 in what it is given moves its dx by 0.09
AMPLIFIES = "LayerNormLSTM, products apart, coupled"


@pytest.mark.parametrize("name", sorted({*CELLS} - {AMPLIFIES}))
def test_16_bit_storage_keeps_dtypes_and_loses_no_more_than_storage_does(name):
    one = replace(cast_all(case(name), "float16"), **WAYS["lengths"])
    for choice in (PLAIN, {}):
        (out, grads), truth = run_in_two_dtypes(one, "float64", **choice)
        assert {a.dtype.name for _, a in leaves((out[0], grads[0], grads[3]))} == {"float16"}
        for like, found in ((one.s, out[1]), (one.s, grads[1])):
            assert [a.dtype for _, a in leaves(found)] == [a.dtype for _, a in leaves(like)]
        assert_close(upcast((out, grads), "float64"), truth, "storage", arithmetic="float16")


@pytest.mark.parametrize("lay", (np.ascontiguousarray, np.asfortranarray), ids=("C order", "Fortran order"))
@pytest.mark.parametrize("batch", (1, 5, 32))
@pytest.mark.parametrize("cell", (LSTM(), GRU(), SimpleRNN()), ids=repr)
def test_the_plain_loop_gives_the_bits_of_cells_called_by_hand(cell, batch, lay):
    """Also where a matrix lies transposed: OpenBLAS then sums in another order."""
    one = draw_case(cell, n_in=24, units=32, steps=T, batch=batch)
    p, s = map_structure(lay, one.p), one.s
    ys, new, tape = run(cell, p, one.xs, s, **PLAIN)
    kept, found, dys = [], [], np.cos(ys)
    for x in one.xs:
        y, s, k = cell.forward(p, x, s)
        found.append(y)
        kept.append(k)
    dxs, ds, dp = [], map_structure(np.zeros_like, s), map_structure(np.zeros_like, p)
    for dy, k in zip(dys[::-1], kept[::-1]):
        dx, ds, _, now = cell.backward(p, k, dy, ds)
        dxs.insert(0, dx)
        dp = {name: d + now[name] for name, d in dp.items()}
    back = run_back(tape, dys)
    assert_same((np.stack(found), s, np.stack(dxs), ds, dp), (ys, new, back[0], back[1], back[3]))


def test_gates_are_wide_in_16_bit_storage():
    one = cast_all(case("LSTM, peepholes"), "float16")
    for choice in (PLAIN, {}):
        assert {a.dtype.name for _, a in leaves(one.run(**choice)[1].kept(0).step.rule)} == {"float32"}
    assert one.s.c.dtype == "float32" and one.s.h.dtype == "float16"


@pytest.mark.parametrize("name", CELLS)
def test_an_empty_batch_is_one(name):
    one = case(name)
    none = one.map_arrays(lambda a: a[:, :0], lambda a: a[:0])
    for where in ({}, {"lengths": np.zeros(0, int)}, {"mask": np.zeros((T, 0), bool)}):
        trial = Trial(replace(none, **where))
        for ran, choice in trial.choices.items():
            out, grads, _ = trial.outcome(ran)
            for got, like in ((out[1], none.s), (grads[0], none.xs), (grads[1], none.s)):
                assert_same(got, like)
            assert_same(map_structure(abs, grads[3]), map_structure(np.zeros_like, one.p))


@pytest.mark.parametrize("name", CELLS)
def test_a_sequence_of_no_steps_is_refused(name):
    one = case(name)
    with pytest.raises(rnnref.ShapeError, match="no steps"):
        run(one.cell, one.p, map_structure(lambda a: a[:0], one.xs), one.s, extra=one.extra)


@pytest.mark.parametrize("where", WAYS)
def test_two_directions_are_two_loops(where):
    one = replace(case("Bidirectional, one with a dropout"), **WAYS[where])
    for reverse in (False, True):
        (ys, new), tape = replace(one, reverse=reverse).run(**PLAIN)
        dys, d = Trial(one).draw((ys, new))
        dxs, ds, _, dp = run_back(tape, dys, d)
        sum_of_dxs = 0
        for n, back in enumerate((reverse, not reverse)):
            each = replace(one, cell=one.cell.cells[n], p=one.p[n], s=one.s[n], extra=one.extra[n], reverse=back)
            out, (dx, *others), _ = each.run_both_ways((dys[n], d[n]), **PLAIN)
            assert_same(out, (ys[n], new[n]))
            assert_same((others[0], others[2]), (ds[n], dp[n]))
            sum_of_dxs = sum_of_dxs + dx
        assert_same(sum_of_dxs, dxs)


@pytest.mark.parametrize("reverse", (False, True))
@pytest.mark.parametrize("name", ("LSTM", "GRU before", "Bidirectional", "Dropout, masks of every step"))
def test_repeat_says_the_last_output_again(name, reverse):
    for where in ("lengths", "holes", "left"):
        one = replace(case(name), **WAYS[where], reverse=reverse)
        (zero, new), _ = one.run()
        (ys, same), _ = replace(one, padding="repeat").run()
        assert_same(same, new)
        both = isinstance(one.cell, Bidirectional)
        for n, (got, plain) in enumerate(zip(ys, zero) if both else [(ys, zero)]):
            last = np.zeros_like(plain[0])
            for t in range(T)[::-1 if reverse != (n == 1) else 1]:
                last = np.where(one.live[t][:, None], plain[t], last)
                assert_same(got[t], last)


def test_free_lets_the_cell_run_on():
    for name in ("LSTM, forget bias", "GRU", "Stack"):
        one = replace(case(name), lengths=WAYS["lengths"]["lengths"], padding="free")
        (ys, new), _ = one.run(**PLAIN)
        (whole, _), _ = replace(one, lengths=None, padding="zero").run(**PLAIN)
        assert_same(ys, whole)                    # the outputs of the padding, as if it were none
        (_, last), _ = replace(one, padding="zero").run(**PLAIN)
        assert_same(new, last)                    # but the state is that of the end of each row


def test_free_in_reverse_runs_on_over_the_padding_forwards():
    one = replace(case("LSTM"), **WAYS["lengths"], padding="free", reverse=True)
    (ys, new), _ = one.run(**PLAIN)
    (zero, last), _ = replace(one, padding="zero").run(**PLAIN)
    tail = replace(one, s=last, lengths=None, mask=~one.live, padding="zero", reverse=False)
    assert_same(ys, np.where(one.live[..., None], zero, tail.run(**PLAIN)[0][0]))
    assert_same(new, last)


def test_gradients_left_out_are_zero():
    one = replace(case("LSTM"), **WAYS["lengths"])
    (ys, new), tape = one.run()
    zero = map_structure(np.zeros_like, (ys, new))
    d = Trial(one).draw((ys, new))
    for given, whole in (((d[0], None), (d[0], zero[1])), ((None, d[1]), (zero[0], d[1])), ((None, None), zero)):
        assert_same(run_back(tape, *given), run_back(tape, *whole))


def test_a_first_state_left_out_is_zero():
    for name in CELLS:
        one = case(name)
        if one.extra is None:
            s = map_structure(lambda a: a * 0, one.s)
            assert_close(run(one.cell, one.p, one.xs)[:2], replace(one, s=map_structure(abs, s)).run()[0])


def test_a_mask_and_lengths_say_the_same():
    one = case("LSTM, peepholes")
    for ran, choice in Trial(one).choices.items():
        by_lengths = replace(one, **WAYS["lengths"])
        trial = Trial(by_lengths)
        got = replace(one, mask=by_lengths.live).run_both_ways(trial.d, **choice)
        assert_same(got[:2], by_lengths.run_both_ways(trial.d, **choice)[:2], ran)


def test_without_a_tape_there_is_none():
    one = case("GRU")
    assert one.run(keep=False)[1] is None and one.run(keep=False, recompute=True)[1] is None


def test_recompute_keeps_states_only():
    one = case("Stack of three, projected")
    tape = one.run(recompute=True, paths=("plain",))[1]
    assert tape.tape.keeps == [None] * T and len(tape.tape.states) == T
    assert tape.path == "plain"


@pytest.mark.parametrize("name", CELLS)
def test_every_refusal_is_in_words(name):
    one = case(name)
    chosen = plan(one.cell, describe_call(one.xs, one.extra))
    assert all(len(became.split()) > 1 or became == "runs" for _, became in chosen.notes)
    assert rnnref.explain(one.cell, one.xs, one.extra).splitlines()[-1].endswith("runs")


def test_explain_says_what_runs_and_why_nothing_faster():
    like, home = np.zeros((T, B, I)), "GPU paths: arrays are in main memory"
    assert rnnref.explain(LSTM(projection=2), like).splitlines() == [home, "sequence: runs"]
    assert rnnref.explain(Stack((LSTM(), GRU())), like).splitlines() == [
        home, "sequence: Stack has no kernel for whole sequences",
        "hoisted: Stack has no input map that does not wait for the state", "layerwise: runs", "0 sequence: runs",
        "1 sequence: runs"]
    assert rnnref.explain(Bidirectional((LSTM(), Dropout(GRU()))), like).splitlines()[4:] == [
        "plain: Bidirectional has no forward: it is not one step in time", "bidirectional: runs", "0 sequence: runs",
        "1 sequence: Dropout has no kernel for whole sequences",
        "1 hoisted: Dropout has no input map that does not wait for the state",
        "1 layerwise: Dropout is not a stack of layers", "1 plain: runs"]
    assert "takes no extra" in rnnref.explain(LSTM(), like, extra=Masks(x=PerStep(like)))
    with pytest.raises(rnnref.NotSupported, match="no path can run it"):
        rnnref.explain(Stack((LSTM(),)), like, paths=("hoisted",))


@pytest.mark.parametrize("limit", (None, 2.0))
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_slope_of_every_activation(name, limit):
    """Over a wider range than the states of a small cell reach."""
    act = get_activation(name, ACTIVATIONS[name].alpha, ACTIVATIONS[name].beta, clip=limit)
    x, step = np.linspace(-9.03, 9.06, 400), 1e-6
    y, kept = act.forward(x)
    slope = act.backward(y, kept, np.ones_like(x))
    change = (act.forward(x + step)[0] - act.forward(x - step)[0]) / (2 * step)
    assert np.linalg.norm(slope - change) <= tolerance("difference", "float64") * np.linalg.norm(slope)
