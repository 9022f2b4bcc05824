"""Budgets of rows and steps: a large row, growth, a NaN or chaos switch nothing else off; bad arguments of verify."""
import numpy as np
import pytest

import rnnref
from rnnref import cells
from rnnref.check import verify
from rnnref.check.budget import measure_budgets
from rnnref.check.calls import call_once, judge_near
from rnnref.check.of_callable import wrap_callable
from rnnref.check.verdict import format_pair
from rnnref.errors import Error, NotSupported, ShapeError
from tests.support.ported_cells import engine

RELU, TANH = cells.SimpleRNN(activation="relu"), cells.SimpleRNN()


def positive(n_in=3, units=4, seed=0):
    rng = np.random.default_rng(seed)
    return {n: abs(0.3 * rng.standard_normal(s)).astype("float32") for n, s in RELU.shapes(n_in, units).items()}


def spoiled(cell, p, spoil, **how):
    """The cell as a function whose outputs are changed by `spoil(ys)`."""
    def theirs(x, p=p, lengths=None):
        ys = rnnref.run(cell, p, x, lengths=lengths, **how)[0].copy()
        spoil(ys)
        return ys
    return theirs


def set_to(value, *index):
    def spoil(ys):
        ys[index] = value
    return spoil


def y_of(report):
    return next(r for r in report.rows if r.name == "y")


@pytest.mark.parametrize("row, shift", [(1, 1e-3), (3, 1e-4)])
def test_a_row_that_is_huge_hides_no_other(row, shift):
    p, x = positive(), abs(np.random.default_rng(1).standard_normal((10, 4, 3))).astype("float32")
    x[:, 0] *= np.float32(1e7)
    assert verify(spoiled(RELU, p, lambda ys: None), x, reference=RELU, p=p).ok

    def spoil(ys):
        ys[4, row] += np.float32(shift)
    assert y_of(verify(spoiled(RELU, p, spoil), x, reference=RELU, p=p)).where.startswith(f"t=4, row {row}")


def test_outputs_that_grow_hide_neither_early_steps_nor_padding():
    p = {"W": np.ones((1, 2), "float32"), "R": 3 * np.eye(2, dtype="float32"), "b": np.array([0.1, 0.2], "float32")}
    x = abs(np.random.default_rng(0).standard_normal((30, 2, 1))).astype("float32")
    assert verify(spoiled(RELU, p, lambda ys: None), x, reference=RELU, p=p, lengths=[30, 5]).ok
    early = verify(spoiled(RELU, p, set_to(0, slice(0, 2))), x, reference=RELU, p=p)
    assert y_of(early).where.startswith("t=0")
    padded = verify(spoiled(RELU, p, set_to(1, slice(5, None), 1)), x, reference=RELU, p=p, lengths=[30, 5])
    assert y_of(padded).where.startswith("t=5, row 1") and "in the padding" in y_of(padded).note


def chaotic_p(units=64):
    rng = np.random.default_rng(0)
    R = rng.standard_normal((units, units))
    p = {"W": 0.3 * rng.standard_normal((4, units)), "R": R * 3 / abs(np.linalg.eigvals(R)).max(),
         "b": 0.1 * rng.standard_normal(units)}
    return {n: a.astype("float32") for n, a in p.items()}


@pytest.mark.parametrize("value", [7.0, -2.5, np.nan, np.inf])
def test_past_a_chaotic_step_what_cannot_be_is_no_success(value):
    p = chaotic_p()
    report = verify(spoiled(TANH, p, set_to(value, 50, 1, 3)), (60, 2, 4), reference=TANH, p=p)
    assert y_of(report).where == "t=50, row 1, unit 3" and not report.ok


def halve(ys):
    ys[45:] *= np.float32(0.5)


@pytest.mark.parametrize("spoil, step", [
    (set_to(0.5, slice(50, None)), 50), (set_to(0.5, 50), 50), (set_to(0.5, 50, 1, 3), 50), (halve, 45),
    (lambda ys: ys.__setitem__(slice(48, None), ys[47]), 48), (lambda ys: ys.__setitem__((58, 0), ys[58, 1]), 58)])
@pytest.mark.parametrize("reverse", [False, True])
def test_past_a_chaotic_step_every_step_follows_from_the_one_before(spoil, step, reverse):
    """Numbers in the range of the right ones, in steps that no reference knows."""
    p, how = chaotic_p(), {"lengths": [60, 60], "padding": "zero", "reverse": reverse}

    def in_order(ys):
        spoil(ys[::-1] if reverse else ys)
    assert verify(spoiled(TANH, p, lambda ys: None, reverse=reverse), (60, 2, 4), reference=TANH, p=p, **how).ok
    report = verify(spoiled(TANH, p, in_order, reverse=reverse), (60, 2, 4), reference=TANH, p=p, **how)
    row = next(r for r in report.rows if r.name == "y (single steps)")
    assert y_of(report).verdict == "agrees" and not report.ok
    assert row.where.startswith(f"t={59 - step if reverse else step}, ") and "the step before" in row.note
    assert "every step was computed again from the state before it: y differs." in " ".join(report.findings)


@pytest.mark.parametrize("reverse", [False, True])
def test_single_steps_keep_to_the_lengths_and_to_the_initial_state(reverse):
    cell, rng = cells.GRU(), np.random.default_rng(0)
    p = {n: (3 * rng.standard_normal(s)).astype("float32") for n, s in cell.shapes(4, 32).items()}

    def theirs(x, initial_state, lengths, late=0.0):
        ys, last, _ = rnnref.run(cell, p, x, initial_state, lengths=lengths, reverse=reverse)
        ys = ys.copy()
        ys[3 if reverse else 55, 0] += np.float32(late)
        return ys, last
    how = {"reference": cell, "p": p, "lengths": [60, 41, 7], "reverse": reverse}
    report = verify(theirs, (60, 3, 4), **how)
    assert report.ok and y_of(report).compared < y_of(report).entries, report
    assert not verify(lambda x, initial_state, lengths: theirs(x, initial_state, lengths, 1e-3), (60, 3, 4), **how).ok


@pytest.mark.parametrize("seed", range(4))
def test_gradients_of_a_chaotic_case_have_any_size_but_are_finite(seed):
    """Another trajectory may have gradients that are larger by any factor."""
    cell, kept, p = cells.SimpleRNN(), [], {n: 4 * a for n, a in chaotic_p(16).items()}
    nudged = {n: a * np.float32(1 + 2e-7) for n, a in p.items()}

    def theirs(x):
        ys, last, tape = rnnref.run(cell, nudged, x)
        kept[:] = [tape]
        return ys, last

    def backward(dy, ds, spoil=0.0):
        dx, _, _, dp = rnnref.run_back(kept[0], dy, ds)
        return {"x": 1e3 * dx + np.float32(spoil), **{n: 1e3 * a for n, a in dp.items()}}
    report = verify(theirs, (60, 2, 4), reference=cell, p=p, backward=backward, seed=seed)
    verdicts = {r.name: r.verdict for r in report.rows}
    assert verdicts["dR"] == verdicts["dW"] == "not comparable"
    report = verify(theirs, (60, 2, 4), reference=cell, p=p, seed=seed,
                    backward=lambda dy, ds: backward(dy, ds, np.nan))
    assert {r.name: r.verdict for r in report.rows}["dx"] == "differs"


@pytest.mark.parametrize("ratio, verdict", [(2.0, "agrees"), (50.0, "differs")])
def test_an_error_near_its_budget_is_measured_again(ratio, verdict):
    """With a budget that is too small by chance."""
    p = positive()
    candidate = wrap_callable(spoiled(TANH, p, lambda ys: np.add(ys, 1e-7, out=ys)), (5, 2, 3), TANH, p,
                              np.random.default_rng(0))
    call, budgets = call_once(candidate), measure_budgets(candidate, np.random.default_rng(0))
    y = budgets.by_name["y"]
    small = y._replace(allowed=np.full(y.allowed.shape, abs(call.results["y"] - y.truth).max() / ratio))
    narrow = budgets._replace(by_name=budgets.by_name | {"y": small})
    verdicts, wider = judge_near(candidate, narrow, call.results, np.random.default_rng(0), 8.0)
    assert [v.row.verdict for v in verdicts] == [verdict]
    assert (wider.by_name["y"].allowed > small.allowed).all() == (verdict == "agrees")


def test_what_was_compared_in_part_is_ok_says_so_and_fails_a_strict_check():
    p = chaotic_p()
    report = verify(spoiled(TANH, p, lambda ys: None), (60, 2, 4), reference=TANH, p=p)
    share = y_of(report).compared / y_of(report).entries
    assert report.ok and report.status == 0 and 0.2 < share < 0.8
    assert f"{round(100 * share)} % of all entries" in report.summary and "% of all entries" in report.headline
    strict = verify(spoiled(TANH, p, lambda ys: None), (60, 2, 4), reference=TANH, p=p, strict=True)
    assert not strict.ok and strict.status == 1 and "strict" in strict.headline
    assert verify(spoiled(TANH, p, lambda ys: None), (4, 2, 4), reference=TANH, p=p, strict=True).ok


def test_one_overflow_switches_nothing_else_off():
    p, x = positive(), abs(np.random.default_rng(1).standard_normal((6, 3, 3))).astype("float32")
    p["W"] *= np.float32(10)
    x[3, 0] = 3e38                                # row 0 overflows in float32 from step 3 on
    report = verify(spoiled(RELU, p, lambda ys: None), x, reference=RELU, p=p)
    assert report.ok and "not finite" in y_of(report).note and 0.5 < y_of(report).compared / y_of(report).entries < 1
    for index in ((2, 0, 1), (5, 1, 1)):
        report = verify(spoiled(RELU, p, set_to(np.nan, *index)), x, reference=RELU, p=p)
        assert y_of(report).where == "t={}, row {}, unit {}".format(*index)


@pytest.mark.parametrize("name", ["x", "W"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_named_before_anything_runs(name, value):
    p, x = positive(), np.ones((4, 2, 3), "float32")
    {"x": x, "W": p["W"]}[name].flat[1] = value
    with pytest.raises(Error, match=f"{name} holds NaN or infinities"):
        verify(lambda x: pytest.fail("called"), x, reference=RELU, p=p)


@pytest.mark.parametrize("size", [(6, 0, 3), (6, 2, 3)])
def test_nothing_compared_is_no_success(size):
    p = positive()
    report = verify(spoiled(RELU, p, lambda ys: ys.fill(9)), size, reference=RELU, p=p)
    assert not report.ok and report.status == (1 if size[1] else 2)
    if not size[1]:
        assert report.headline.startswith("No verdict")


def test_gradients_alone_are_no_success():
    """Results of which nothing can be said are not excused by gradients that agree."""
    from rnnref.check import Report, Row
    rows = [Row("y", "outputs", verdict="not comparable"), Row("dW", "gradients", 0.0, 1.0)]
    assert Report("t", rows).status == 2 and not Report("t", rows).ok


def test_tiny_outputs_are_judged_by_their_size():
    rng, kept = np.random.default_rng(1), []
    p = {n: (1e-9 * rng.standard_normal(s)).astype("float32") for n, s in TANH.shapes(3, 4).items()}

    def theirs(x, scale=1.01):
        ys, _, tape = rnnref.run(TANH, p, x)
        kept[:] = [tape]
        return ys * np.float32(scale)

    def backward(dy, ds):
        dx, _, _, dp = rnnref.run_back(kept[0], dy, ds)
        return {"x": dx, **dp}
    how = {"reference": TANH, "p": p, "backward": backward, "perturb_biases": False}
    assert not verify(theirs, (6, 2, 3), **how).ok
    assert verify(lambda x: theirs(x, 1), (6, 2, 3), **how).ok


def test_a_small_dx_beside_large_gradients_of_weights_is_no_false_alarm():
    """Gates near 1: a factor 1 - s has few digits, and another engine rounds s otherwise."""
    cell, kept = cells.GRU(), {}
    for seed in range(20):
        p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(seed))

        def theirs(x):
            ys, last = engine("gru")(x, p)
            kept["tape"] = rnnref.run(cell, {n: a.astype("float64") for n, a in p.items()}, x.astype("float64"))[2]
            return ys, last

        def backward(dy, ds):
            def nudge(a):                         # one ulp, as another exp may give
                return np.nextafter(a.astype("float32"), np.float32(2)).astype("float64") if a.dtype.kind == "f" else a
            tape = kept["tape"]
            inner = tape.tape._replace(keeps=[rnnref.tree.map_structure(nudge, k) for k in tape.tape.keeps])
            dx, _, _, dp = rnnref.run_back(tape._replace(tape=inner), dy.astype("float64"),
                                           rnnref.tree.map_structure(lambda a: a.astype("float64"), tuple(ds)))
            return {"x": dx.astype("float32"), **{n: a.astype("float32") for n, a in dp.items()}}
        x = 30 * np.random.default_rng(seed).standard_normal((4, 2, 3)).astype("float32")
        report = verify(theirs, x, reference=cell, p=p, backward=backward, seed=seed)
        assert not report.counts["differs"], (seed, report)


@pytest.mark.parametrize("factor", [0, -1.0, np.nan, np.inf, "8", None, True])
def test_a_factor_of_no_sense_is_refused(factor):
    with pytest.raises(NotSupported, match="factor="):
        verify(lambda x: x, (4, 2, 3), reference=RELU, p=positive(), factor=factor)


@pytest.mark.parametrize("error, words, options", [
    (NotSupported, "did you mean lengths", {"lenghts": [1, 2]}), (NotSupported, "seed=-1", {"seed": -1}),
    (NotSupported, "seed=1.5", {"seed": 1.5}), (NotSupported, "dtype='float12'", {"dtype": "float12"}),
    (NotSupported, "dtype='float16'", {"dtype": "float16"}),
    (NotSupported, "not what makes one", {"reference": cells.LSTM}),
    (NotSupported, "no cell", {"reference": "lstm"}), (ShapeError, "b missing", {"p": {"W": 1, "R": 1}}),
    (ShapeError, r"x has shape \(4, 2, 7\), expected 3 inputs", {"inputs": (4, 2, 7)}),
    (ShapeError, "size below zero", {"inputs": (-1, 2, 3)}), (ShapeError, "3 axes", {"inputs": (4, 3)}),
    (ShapeError, r"lengths has shape \(3,\), expected \(2,\)", {"lengths": [1, 2, 3]}),
    (ShapeError, "each from 0 to 4", {"lengths": [4, 5]}), (ShapeError, "each from 0 to 4", {"lengths": [4, -1]}),
    (NotSupported, "initial_state='zeros'", {"initial_state": "zeros"})])
def test_bad_arguments_are_errors_of_the_caller(error, words, options):
    def theirs(x, p, lengths=None, initial_state=None):
        pytest.fail("called")
    if "p" in options:
        options = {"p": {n: positive()[n] for n in options["p"]}}
    call = {"candidate": theirs, "inputs": (4, 2, 3), "reference": RELU, "p": positive()} | options
    with pytest.raises(error, match=words):
        verify(**call)


@pytest.mark.parametrize("a, b", [(1.7513301, 1.7513275), (3.25, 3.2500000001), (-1e-30, 1e-30), (np.nan, 1.0)])
def test_two_numbers_that_differ_read_differently(a, b):
    first, second = format_pair(a, b)
    assert first != second and abs(float(second) / b - 1) < 1e-5


def test_no_warning_of_numpy_leaks():
    p = chaotic_p(8) | {"R": 30 * np.eye(8, dtype="float32")}
    verify(spoiled(RELU, p, lambda ys: None), 10 * np.ones((60, 2, 4), "float32"), reference=RELU, p=p)


@pytest.mark.parametrize("options", [{name: value} for name in ("reverse", "gradients", "perturb_biases", "strict")
                                     for value in (None, 1, "yes")] +
                         [{name: value} for name in ("backward", "progress") for value in (False, 0, "f")], ids=str)
def test_flags_and_functions_of_another_kind_are_refused(options):
    (name, value), = options.items()
    with pytest.raises(NotSupported, match=f"{name}={value!r}"):
        verify(lambda x: x, (4, 2, 3), reference=RELU, p=positive(), **options)
