"""verify on functions: correct candidates pass, planted faults are caught and named."""
import numpy as np
import pytest

import rnnref
from rnnref import DtypeError, NotSupported, cells
from rnnref.check import VerificationError, assert_matches, verify
from tests.support.ported_cells import engine

T, B, I, H = 7, 3, 4, 5
CELLS = {"lstm": cells.LSTM(), "gru": cells.GRU(), "gru before": cells.GRU(reset="before"), "rnn": cells.SimpleRNN()}
LENGTHS = [7, 2, 4]
ROUNDS = 200                                      # random cases without a false alarm
SUBTLE = {"float32": 1e-4, "float64": 3e-13}       # an error of one weight that must be caught
WORST = 0.8                                       # of the budget: the largest error of a correct candidate


def draw_p(family, dtype="float32", seed=0, scale=0.6, n_in=I, units=H):
    """Parameters, biases too."""
    rng = np.random.default_rng(seed)
    return {n: (scale * rng.standard_normal(shape)).astype(dtype)
            for n, shape in CELLS[family].shapes(n_in, units).items()}


def check(family, fault=None, reverse=False, dtype="float32", size=(T, B, I), **options):
    return verify(engine(family, fault, reverse), size, reference=CELLS[family], p=draw_p(family, dtype, n_in=size[-1]),
                  reverse=reverse, **options)


def row(report, name):
    return next(r for r in report.rows if r.name == name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("family", CELLS)
def test_right_candidates_pass(family, lengths, reverse, dtype):
    report = check(family, reverse=reverse, dtype=dtype, lengths=lengths)
    assert report.ok, report
    assert [r.name for r in report.rows] == ["y", "h", *(["c"] if family == "lstm" else [])]
    assert report.facts["truth"] == "rnnref in " + {"float32": "float64", "float64": "longdouble"}[dtype]


def test_false_alarms():
    """Small cases of every kind: one entry, one step, tiny and large weights, padding, both dtypes."""
    worst = 0.0
    for seed in range(ROUNDS):
        rng = np.random.default_rng(seed)
        family, reverse = list(CELLS)[seed % 4], bool(rng.integers(2))
        size = tuple(int(rng.integers(1, n)) for n in (12, 4, 6))
        scale = (0.03, 0.6, 2.0)[int(rng.integers(3))]
        p = draw_p(family, ("float32", "float64")[seed % 3 == 0], seed, scale, size[-1], int(rng.integers(1, 8)))
        lengths = rng.integers(0, size[0] + 1, size[1]) if rng.integers(2) else None
        report = verify(engine(family, reverse=reverse), size, reference=CELLS[family], p=p, reverse=reverse, seed=seed,
                        lengths=lengths)
        assert not report.counts["differs"] and not report.counts["refused"], (seed, str(report))
        worst = max([worst, *(r.ratio for r in report.rows)])
    assert worst < WORST


@pytest.mark.parametrize("dtype", SUBTLE)
@pytest.mark.parametrize("family", CELLS)
def test_small_errors_are_caught(family, dtype):
    for seed in range(10):
        p = draw_p(family, dtype, seed)
        name = list(p)[seed % len(p)]
        off = p[name].copy()
        off.flat[np.random.default_rng(seed).integers(off.size)] += SUBTLE[dtype]
        wrong = p | {name: off}
        report = verify(lambda x: engine(family)(x, wrong), (20, 4, I), reference=CELLS[family], p=p, seed=seed)
        assert row(report, "y").verdict == "differs", (seed, name, str(report))


# fault -> family, how it is called, the row that names it, where, and words of the findings
FAULTS = {
    "blocks exchanged": ("lstm", "gates", {}, "t=0", "On the first step alone, y, h and c already differ."),
    "blocks exchanged in reverse": ("gru", "gates", {"reverse": True}, "t=6",
                                    "On the last step alone, y and h already differ."),
    "reset forgotten": ("gru before", "reset", {"initial_state": "zero"}, "t=1",
                        "On the first step alone, all results agree; with one more step, y and h differ."),
    "recurrent bias left out": ("gru", "bias", {}, "t=0", "First divergence: y, t=0"),
    "the old c squashed": ("lstm", "c", {}, "t=0", "check the output gate and the activation of c"),
    "c wrong": ("lstm", "gates", {}, "t=0", "once the gate blocks are read as f i g o"),
    "from step 4": ("rnn", "late", {}, "t=4",
                    "On the first 4 steps alone, all results agree; with one more step, y and h differ."),
    "R transposed": ("rnn", "transposed", {"initial_state": "zero"}, "t=1",
                     "On the first step alone, all results agree"),
    "lengths ignored": ("rnn", "lengths", {"lengths": LENGTHS}, "t=2, row 1",
                        "Only rows with padding differ (rows 1 and 2 of 3)"),
    "not a number": ("rnn", "nan", {}, "t=3, row 1, unit 2", "t=3, row 1, unit 2: nan, expected"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_named(name):
    family, fault, options, where, words = FAULTS[name]
    report = check(family, fault, **options)
    y = row(report, "y")
    assert not report.ok and y.verdict == "differs" and y.where.startswith(where), report
    assert words in " ".join(report.findings), report
    with pytest.raises(VerificationError, match="First divergence"):
        report.raise_if_failed()


def test_an_error_in_the_padding_is_named():
    note = row(check("lstm", "lengths", lengths=LENGTHS), "y").note
    assert "in the padding: this row has length 2" in note


def test_zero_padding_is_replaced():
    """A simple RNN without biases that runs over zero padding keeps zeros, so its fault would not be seen."""
    x = np.where(np.arange(T)[:, None, None] < np.array(LENGTHS)[:, None], 1, 0) * np.ones((T, B, I))
    x = x.astype("float32")
    p = draw_p("rnn") | {"R": np.zeros((H, H), "float32"), "b": np.zeros(H, "float32")}
    report = verify(engine("rnn", "lengths"), x, reference=CELLS["rnn"], p=p, lengths=LENGTHS, perturb_biases=False,
                    initial_state="zero")
    assert row(report, "y").where.startswith("t=2, row 1")
    assert "The padding of x was all zero" in " ".join(report.findings)


def test_zero_biases_are_replaced_or_named():
    p = draw_p("gru") | {"bR": np.zeros(3 * H, "float32")}

    def ported(x, p):
        return engine("gru", "bias")(x, p)
    found = verify(ported, (T, B, I), reference=CELLS["gru"], p=p)
    assert not found.ok and "All zero: bR." in found.findings[-1]
    assert "a copy with random ones was checked" in found.findings[-1]
    hidden = verify(ported, (T, B, I), reference=CELLS["gru"], p=p, perturb_biases=False)
    assert hidden.ok and "check again with other biases" in hidden.findings[-1]
    closed = verify(lambda x: ported(x, p), (T, B, I), reference=CELLS["gru"], p=p)
    assert closed.ok and "check again with other biases" in closed.findings[-1]
    assert not p["bR"].any()


def both_ways(cell, p, spoil=lambda grads: grads, **options):
    """A candidate of two functions, which is rnnref itself with its gradients spoiled."""
    kept = {}

    def forward(x, initial_state):
        ys, last, kept["tape"] = rnnref.run(cell, p, x, initial_state, paths=("plain", "bidirectional"), **options)
        return ys, last

    def backward(dy, ds):
        dx, ds, _, dp = rnnref.run_back(kept["tape"], dy, ds)
        return spoil({"x": dx, **{n + "0": a for n, a in rnnref.tree.leaves(ds)}, **dict(rnnref.tree.leaves(dp))})
    return {"candidate": forward, "inputs": (T, B, I), "backward": backward, "reference": cell, "p": p, **options}


def test_gradients_that_are_right_pass():
    report = verify(**both_ways(CELLS["lstm"], draw_p("lstm")))
    assert report.ok and [r.name for r in report.rows] == ["y", "h", "c", "dx", "dW", "db", "dR", "dh0", "dc0"]


def test_a_wrong_gradient_of_one_weight_is_named():
    def spoil(grads):
        W = grads["W"].copy()
        W[:, H:2 * H] *= 1.001                    # the block of f
        return grads | {"W": W}
    report = verify(**both_ways(CELLS["lstm"], draw_p("lstm"), spoil))
    assert [r.name for r in report.rows if r.verdict != "agrees"] == ["dW"]
    assert row(report, "dW").where.startswith("gate f, input") and "only in gate f" in row(report, "dW").note
    assert report.findings[0] == (
        "All results agree and dW differs, only in gate f: the forward pass is right, the backward pass is wrong.")


def test_errors_of_gradients_are_relative_to_their_largest_entry():
    def spoil(grads):
        R = grads["R"].copy()
        R.flat[abs(R).argmax()] *= np.float32(1.25)
        return grads | {"R": R}
    report = verify(**both_ways(CELLS["gru"], draw_p("gru"), spoil))
    assert row(report, "dR").verdict == "differs" and f"{row(report, 'dR').error:.3f}" == "0.250"


def test_the_step_is_named_at_which_a_gradient_is_lost():
    def spoil(grads):
        return grads | {"x": np.where(np.arange(T)[:, None, None] < 3, 0, grads["x"])}
    dx = row(verify(**both_ways(CELLS["gru"], draw_p("gru"), spoil)), "dx")
    assert dx.where.startswith("t=2,") and dx.verdict == "differs"
    assert [e < limit for e, limit in zip(dx.trace, dx.limits)] == [False] * 3 + [True] * 4


def test_missing_gradients_are_listed():
    report = verify(**both_ways(CELLS["rnn"], draw_p("rnn"), lambda grads: {"W": grads["W"]}))
    assert report.ok and report.facts["not compared"] == "dx db dR dh0: the candidate does not return them"
    report = verify(**both_ways(CELLS["rnn"], draw_p("rnn"), lambda grads: {"V": grads["W"]}))
    assert row(report, "the backward pass").verdict == "refused" and "'V'" in row(report, "the backward pass").note


def test_two_directions_and_the_wrong_one():
    cell, p = cells.Bidirectional([cells.GRU(), cells.GRU()]), (draw_p("gru"), draw_p("gru", seed=1))

    def ported(x):
        (ahead, _), (back, _) = engine("gru")(x, p[0]), engine("gru", reverse=True)(x, p[1])
        return np.concatenate([ahead, back], -1)

    def forward_twice(x):
        return np.concatenate([engine("gru")(x, q)[0] for q in p], -1)
    assert assert_matches(ported, (T, B, I), reference=cell, p=p).counts["agrees"] == 2
    report = verify(forward_twice, (T, B, I), reference=cell, p=p)
    assert [(r.name, r.verdict) for r in report.rows] == [("y.0", "agrees"), ("y.1", "differs")]
    assert row(report, "y.1").where.startswith("t=6")       # where the backward direction begins


def test_a_wrong_layer_of_a_stack():
    cell, p = cells.Stack([cells.LSTM(), cells.LSTM()]), (draw_p("lstm"), draw_p("lstm", seed=1, n_in=H))

    def ported(x):
        ys, low = engine("lstm")(x, p[0])
        ys, high = engine("lstm", "c")(ys, p[1])
        return ys, (low, high)
    report = verify(ported, (T, B, I), reference=cell, p=p)
    assert {r.name: r.verdict for r in report.rows} == {
        "y": "differs", "0.h": "agrees", "0.c": "agrees", "1.h": "differs", "1.c": "differs"}


def chaotic(rho, dtype="float32", units=64):
    """A simple RNN whose R has this spectral radius."""
    rng = np.random.default_rng(0)
    R = rng.standard_normal((units, units))
    p = {"W": 0.3 * rng.standard_normal((I, units)), "R": R * rho / abs(np.linalg.eigvals(R)).max(),
         "b": 0.1 * rng.standard_normal(units)}
    return {n: a.astype(dtype) for n, a in p.items()}


def test_chaos_is_measured_and_reported():
    report = verify(engine("rnn"), (60, 2, I), reference=CELLS["rnn"], p=chaotic(3.0))
    y = row(report, "y")
    assert y.verdict == "agrees" and y.note.startswith("not comparable past step ")
    step = int(y.note.split()[-1])
    assert 10 < step < 50 and not any(limit is None for limit in y.limits[:step + 1]) and y.limits[-1] is None
    assert 0.2 < y.compared / y.entries < 0.8 and f"{round(100 * y.compared / y.entries)} %"[:1] in report.summary
    assert row(report, "h").verdict == "not comparable"
    assert report.findings[0].startswith("This recurrence is chaotic")
    assert f"not comparable past step {step}" in report.findings[0]
    tame = verify(engine("rnn"), (60, 2, I), reference=CELLS["rnn"], p=chaotic(0.9))
    assert tame.ok and tame.counts["not comparable"] == 0


def test_results_far_below_rounding_of_one_are_judged_by_their_own_size():
    p = {n: np.float32(1e-6) * a for n, a in draw_p("rnn").items()}
    report = verify(engine("rnn"), (T, B, I), reference=CELLS["rnn"], p=p, initial_state="zero")
    assert report.ok and report.counts["not comparable"] == 0 and "chaotic" not in str(report)
    for factor in (0, 1.1, 1000):
        report = verify(lambda x, p: np.float32(factor) * engine("rnn")(x, p)[0], (T, B, I), reference=CELLS["rnn"],
                        p=p)
        assert row(report, "y").verdict == "differs"


def test_gates_are_not_suspected_of_what_lengths_do():
    report = check("lstm", "lengths", lengths=LENGTHS)
    found = " ".join(report.findings)
    assert "Only rows with padding differ" in found and "check the gate" not in found


def test_a_fault_before_chaos_is_still_caught():
    report = verify(engine("rnn", "late"), (60, 2, I), reference=CELLS["rnn"], p=chaotic(3.0))
    assert row(report, "y").verdict == "differs" and row(report, "y").where.startswith("t=4,")


def test_shapes_and_types_that_differ():
    report = verify(lambda x: engine("rnn")(x, draw_p("rnn"))[0].swapaxes(0, 1), (T, B, I), reference=CELLS["rnn"],
                    p=draw_p("rnn"))
    assert row(report, "y").verdict == "differs" and "shape (3, 7, 5), expected (7, 3, 5)" in row(report, "y").note
    report = verify(lambda x: "y", (T, B, I), reference=CELLS["rnn"], p=draw_p("rnn"))
    assert not report.ok and "dtype" in row(report, "y").note


def test_what_a_candidate_raises_is_its_refusal():
    def refuses(x):
        raise KeyError("no such\n option")
    report = verify(refuses, (T, B, I), reference=CELLS["rnn"], p=draw_p("rnn"))
    assert [r.verdict for r in report.rows] == ["refused"] and "KeyError: 'no such\\n option'" in report.rows[0].note
    assert not report.ok and report.findings[0].startswith("The candidate could not be run:")

    def three_states(x):
        return (*engine("rnn")(x, draw_p("rnn")), 0, 0)
    report = verify(three_states, (T, B, I), reference=CELLS["rnn"], p=draw_p("rnn"))
    assert report.rows[0].verdict == "refused"


def test_the_seed_determines_the_report_and_nothing_is_changed():
    p, x = draw_p("lstm"), np.ones((T, B, I), "float32")
    before = {n: a.copy() for n, a in p.items()}
    once, twice, other = (verify(engine("lstm"), x, reference=CELLS["lstm"], p=p, seed=s) for s in (1, 1, 2))
    assert once.to_json() == twice.to_json() != other.to_json()
    assert all((p[n] == before[n]).all() for n in p) and (x == 1).all()


def test_a_function_is_checked_in_the_given_dtype():
    report = check("gru", dtype="float32")
    wide = verify(engine("gru"), (T, B, I), reference=CELLS["gru"], p=draw_p("gru"), dtype="float64")
    assert report.facts["dtype"], wide.facts["dtype"] == ("float32", "float64")
    assert wide.ok and row(wide, "y").budget < row(report, "y").budget / 1e6


REFUSALS = {
    "no reference": (NotSupported, "without reference= and p=", {"reference": None, "p": None}),
    "lengths that it cannot take": (NotSupported, "lengths are given, and <lambda> does not accept them",
                                    {"lengths": LENGTHS}),
    "a state that it cannot take": (NotSupported, "initial_state is given", {"initial_state": [np.zeros((B, H))]}),
    "lengths that are no integers": (DtypeError, "lengths has dtype float64", {"lengths": [1.0, 2.0, 3.0]}),
    "x of another dtype": (DtypeError, "x has dtype float64, expected float32", {"inputs": np.zeros((T, B, I))}),
    "a policy that is not known": (NotSupported, "padding='hold'", {"padding": "hold"}),
    "a reading of ONNX": (NotSupported, "reading= with function", {"reading": rnnref.onnx.TEXT}),
    "no candidate": (NotSupported, "a candidate of type int", {"candidate": 3}),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_options_are_refused_by_name(name):
    error, words, options = REFUSALS[name]
    call = {"candidate": lambda x: x, "inputs": (T, B, I), "reference": CELLS["rnn"], "p": draw_p("rnn")} | options
    with pytest.raises(error, match=words):
        verify(**call)
