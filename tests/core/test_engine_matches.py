"""assert_matches: right engines pass, and planted faults of an engine shrink to the smallest case that shows them.

`test_a_planted_bug_in_c_is_found` is the worked example for authors of engines: an LSTM of 30 lines in C, called by
ctypes, with the bug that C ports have most often.
"""
import ctypes
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings

import rnnref
from rnnref import testing
from rnnref.cells import CATALOG, GRU, LSTM, SimpleRNN
from rnnref.errors import NotSupported
from rnnref.testing import Mismatch, assert_matches
from rnnref.testing.case import draw_case


def run_gru(case, reset_late=True, from_end=False, ignore=()):
    """A GRU of its own, from the arrays of a case alone."""
    p = {n: 0 * a if n in ignore else a for n, a in case.p.items()}
    h, U = case.s.h if "h" not in ignore else 0 * case.s.h, case.s.h.shape[1]
    ys, live = np.zeros((*case.size, U)), case.live
    for t in range(case.size[0])[::-1] if case.reverse else range(case.size[0]):
        (xr, xz, xn), (hr, hz, hn) = np.split(case.xs[t] @ p["W"] + p["b"], 3, -1), np.split(h @ p["R"], 3, -1)
        b = np.split(p["bR"], 3)
        r, z = (1 / (1 + np.exp(-a)) for a in (xr + hr + b[0], xz + hz + b[1]))
        n = np.tanh(xn + (r * (hn + b[2]) if reset_late else (r * h) @ p["R"][:, 2 * U:] + b[2]))
        new = (1 - z) * n + z * h
        m = np.ones((case.size[1], 1)) if live is None or "live" in ignore else live[t][:, None]
        h = np.where(m, new, h)
        ys[t] = new * m
    return ys, (h,)


@settings(max_examples=25, deadline=None)
@given(testing.cases(GRU()))
def test_a_right_engine_passes(case):
    assert_matches(run_gru, case)
    assert_matches(lambda case: run_gru(case)[0].astype("float32"), case)


@settings(max_examples=40, deadline=None)
@given(testing.cases())
def test_every_cell_is_drawn_and_matches_another_path(case):
    def engine(case):
        (ys, new), _ = case.run()
        return ys, new
    assert_matches(engine, case)


def test_the_cells_that_are_drawn():
    seen = set()

    @settings(max_examples=200, deadline=None, database=None)
    @given(testing.cases())
    def collect(case):
        seen.add(case.name)
    collect()
    assert {"SimpleRNN", "GRU", "LSTM"} < seen and len(seen) > 5


def smallest(engine, cell, **sizes):
    case = draw_case(cell, **{"n_in": 4, "units": 5, "steps": 7, "batch": 4, **sizes})
    lengths = np.array([7, 2, 5, 0])
    with pytest.raises(Mismatch) as caught:
        assert_matches(engine, testing.Case(case.cell, case.p, case.s, case.xs, lengths=lengths, reverse=True))
    return str(caught.value)


def test_faults_shrink_to_what_shows_them():
    def no_bias(case):
        return run_gru(case, ignore=("b",))
    text = smallest(no_bias, GRU())
    assert "no_bias differs from GRU: y[0, 0, 0]: 0, expected" in text
    assert "1 step, 1 row, 1 input, 1 unit\n" in text and "x, W, R, bR, h: it differs without them" in text

    def early(case):
        return run_gru(case, reset_late=False)
    text = smallest(early, GRU())                 # with one unit r commutes with R: only the bias of the product tells
    assert "1 step, 1 row, 1 input, 1 unit\n" in text and "bR" not in text.partition("zero")[2].partition("\n")[0]

    def no_start(case):
        return run_gru(case, ignore=("h",))
    text = smallest(no_start, GRU())
    assert "1 step, 1 row, 1 input, 1 unit\n" in text and "x, W, b, R, bR: it differs" in text

    def unmasked(case):
        return run_gru(case, ignore=("live",))
    text = smallest(unmasked, GRU())
    assert "lengths [0]" in text and "1 step, 1 row" in text

    def backwards(case):
        ys, state = run_gru(case)
        return (ys + 0.5 if case.reverse else ys), state
    assert "reverse" in smallest(backwards, GRU())


def test_faults_that_need_two_steps_keep_two():
    def late(case):
        ys, (h,) = run_gru(case)
        return {"y": np.concatenate([ys[:1], 2 * ys[1:]])}
    text = smallest(late, GRU())
    assert "2 steps, 1 row" in text and "y[1, 0, 0]" in text
    assert "h" not in text.partition("count")[2]


def test_shapes_and_names_that_do_not_fit():
    case = draw_case(SimpleRNN())
    with pytest.raises(Mismatch, match="y: shape .*, expected"):
        assert_matches(lambda case: np.zeros((*case.size, 99)), case)
    with pytest.raises(NotSupported, match="a result 'c'"):
        assert_matches(lambda case: {"c": case.xs}, case)
    with pytest.raises(ZeroDivisionError):
        assert_matches(lambda case: 1 / 0, case)
    nan = draw_case(CATALOG["LSTM"]())
    with pytest.raises(Mismatch, match="nan, expected"):
        assert_matches(lambda case: rnnref.run(case.cell, case.p, case.xs, case.s)[0] * np.nan, nan)


LSTM_IN_C = r"""
#include <math.h>
static double sigmoid(double a) { return 1 / (1 + exp(-a)); }

/* x [T, I], W [I, 4U], R [U, 4U], b [4U] in gate blocks i f g o; h and c [U] in place; y [T, U] */
void lstm(int T, int I, int U, const double *x, const double *W, const double *R, const double *b,
          double *h, double *c, double *y)
{
    for (int t = 0; t < T; t++) {
        for (int u = 0; u < U; u++) {
            double a[4];
            for (int k = 0; k < 4; k++) {
                a[k] = b[k * U + u];
                for (int i = 0; i < I; i++) a[k] += x[t * I + i] * W[i * 4 * U + k * U + u];
                for (int j = 0; j < U; j++) a[k] += HIDDEN[j] * R[j * 4 * U + k * U + u];
            }
            c[u] = sigmoid(a[1]) * c[u] + sigmoid(a[0]) * tanh(a[2]);
            y[t * U + u] = sigmoid(a[3]) * tanh(c[u]);
            UPDATE
        }
        for (int u = 0; u < U; u++) h[u] = y[t * U + u];
    }
}
"""


def build(folder, name, update):
    """The shared library of the LSTM in C, as a function of a case."""
    source, library = folder / f"{name}.c", folder / f"{name}.so"
    source.write_text(LSTM_IN_C.replace("HIDDEN", "h").replace("UPDATE", update))
    subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", library, source, "-lm"], check=True)
    lstm = ctypes.CDLL(str(library)).lstm

    def engine(case):
        T, I = case.xs.shape[0], case.xs.shape[2]
        U, states = case.s.h.shape[1], [np.array(a) for a in case.s]
        ys = np.zeros((*case.size, U))
        weights = [np.ascontiguousarray(case.p[n]) for n in ("W", "R", "b")]
        for row in range(case.size[1]):
            x, y = np.ascontiguousarray(case.xs[:, row]), np.zeros((T, U))
            held = [a[row] for a in states]
            lstm(T, I, U, *(a.ctypes.data_as(ctypes.c_void_p) for a in (x, *weights, *held, y)))
            ys[:, row] = y
        return ys, tuple(states)
    engine.__name__ = name
    return engine


def whole(size):
    """Cases without padding, which this engine does not take, read forwards."""
    return testing.cases(LSTM(), testing.shapes(*size)).filter(lambda c: c.live is None and not c.reverse)


@pytest.mark.kernels
@pytest.mark.skipif(shutil.which("cc") is None, reason="needs cc")
def test_a_planted_bug_in_c_is_found(tmp_path):
    right, wrong = build(tmp_path, "lstm", ""), build(tmp_path, "buggy", "h[u] = y[t * U + u];")
    quick = settings(max_examples=60, deadline=None, database=None)

    @quick
    @given(whole((5, 3, 3, 4)))
    def holds(case):
        assert_matches(right, case)
    holds()

    @quick
    @given(whole((5, 3, 3, 4)))
    def fails(case):
        assert_matches(wrong, case)
    with pytest.raises(Mismatch) as caught:
        fails()
    text = str(caught.value)                      # h is written while other units still read it: two units, one step
    assert "buggy differs from LSTM: y[0, 0, 1]" in text and "1 step, 1 row, 1 input, 2 units" in text
    zero = text.partition("zero")[2].partition(":")[0]
    assert "R" not in zero and "W" in zero
