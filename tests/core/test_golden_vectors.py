"""Golden vectors: complete, right, and checked by C alone."""
import json
import subprocess

import numpy as np
import pytest

import rnnref
from rnnref import cli
from rnnref.cells import CATALOG, EXAMPLES
from rnnref.errors import Error, NotSupported
from rnnref.testing import golden

WIDE = {"GLSTM": 4, "IntersectionRNN": 4, "TimeFreqLSTM": 7, "GridLSTM": 7}


@pytest.mark.parametrize("name", CATALOG)
def test_every_cell_has_vectors_that_the_loop_agrees_with(name):
    cell = CATALOG[name](**EXAMPLES.get(name, {}))
    vectors = golden(cell, n_in=WIDE.get(name, 3), name=name)
    for dtype in ("float64", "float32"):
        found = getattr(vectors, dtype)
        assert all(np.isfinite(a).all() for a in found.values())
        for key, a in found.items():
            limit = vectors.tolerance[key][dtype == "float64"]
            assert abs(a - vectors.float64[key]).max(initial=0) <= limit, key
    assert any(key.startswith("step/") for key in vectors.float64)
    assert {key.removeprefix("in/") for key in vectors.float64 if key.startswith("in/")} == \
        {key.removeprefix("d/in/") for key in vectors.float64 if key.startswith("d/in/")}
    assert 'double' in vectors.to_text("c") and json.loads(vectors.to_text("json"))["arrays"]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def compute_lstm(v):
    """Another text of the LSTM, from the inputs of the vectors alone."""
    h, c, found = v["in/state/h"], v["in/state/c"], {name: [] for name in "ifgoch"}
    for x in v["in/x"]:
        i, f, g, o = np.split(x @ v["in/p/W"] + h @ v["in/p/R"] + v["in/p/b"], 4, axis=1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * np.tanh(c)
        for name, a in zip("ifgoch", (i, f, g, o, c, h)):
            found[name].append(a)
    steps = {f"step/{name}": np.stack(found[name]) for name in "ifgoc"}
    return steps | {"out/y": np.stack(found["h"]), "out/state/h": h, "out/state/c": c}


def test_an_engine_is_held_to_gates_states_and_outputs():
    vectors = golden(rnnref.cells.LSTM(), steps=5, batch=3)
    for name, a in compute_lstm(vectors.float64).items():
        assert abs(a - vectors.float64[name]).max() <= vectors.tolerance[name][1], name
    for name, a in vectors.float32.items():
        assert np.array_equal(a, vectors.float64[name]) or not vectors.is_given(name)


def test_gradients_are_those_of_the_numbers_that_are_given():
    vectors = golden(rnnref.cells.LSTM())
    v, step = vectors.float64, 1e-6

    def loss(v):
        out = compute_lstm(v)
        return sum((v["d/" + name] * out[name]).sum() for name in ("out/y", "out/state/h", "out/state/c"))
    rng = np.random.default_rng(0)
    for name in [name for name in v if name.startswith("in/")]:
        direction = rng.normal(size=v[name].shape)
        up, down = (loss(v | {name: v[name] + sign * step * direction}) for sign in (1, -1))
        assert (up - down) / (2 * step) == pytest.approx((v["d/" + name] * direction).sum(), rel=1e-7)


def test_files(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["golden", "gru", "reset=before", "--format", "json", "--steps", "2"]) == 0
    assert "written: gru_golden.json, GRU(reset='before'): 2" in capsys.readouterr().out
    about = json.loads((tmp_path / "gru_golden.json").read_text())
    expected = golden(rnnref.cells.GRU(reset="before"), steps=2)
    entry = about["arrays"]["out/y"]
    assert np.array_equal(np.reshape(entry["float64"], entry["shape"]), expected.float64["out/y"])
    assert np.array_equal(np.array(entry["float32"], "float32").reshape(entry["shape"]), expected.float32["out/y"])
    assert cli.main(["golden", "gru", "reset=before", "--steps", "2", "--out", "a.npz"]) == 0
    with np.load("a.npz") as file:
        assert np.array_equal(file["float32/d/in/p/W"], expected.float32["d/in/p/W"])
        assert json.loads(str(file["about"]))["sizes"] == {"T": 2, "B": 2, "I": 3, "U": 4}
    assert cli.main(["golden", "gru", "--out", "missing/a.json", "--format", "json"]) == 2
    assert "missing/a.json cannot be written" in capsys.readouterr().err
    with pytest.raises(NotSupported, match="format='xml'"):
        expected.to_text("xml")
    with pytest.raises(Error, match="TimeFreqLSTM: x has 3 inputs"):
        golden(rnnref.cells.TimeFreqLSTM(**EXAMPLES["TimeFreqLSTM"]))


ENGINE = r"""
#include <math.h>
#include "lstm_golden.h"
enum { T = GOLDEN_T, B = GOLDEN_B, I = GOLDEN_I, U = GOLDEN_U };
static float sigmoidf(float a) { return 1 / (1 + expf(-a)); }
int main(void)
{
    static float y[T * B * U], h[B * U], c[B * U];
    memcpy(h, golden_f_in_state_h, sizeof h);
    memcpy(c, golden_f_in_state_c, sizeof c);
    for (int t = 0; t < T; t++) {
        float a[B][4 * U];
        for (int r = 0; r < B; r++) for (int k = 0; k < 4 * U; k++) {
            a[r][k] = golden_f_in_p_b[k];
            for (int j = 0; j < I; j++) a[r][k] += golden_f_in_x[(t * B + r) * I + j] * golden_f_in_p_W[j * 4 * U + k];
            for (int j = 0; j < U; j++) a[r][k] += h[r * U + j] * golden_f_in_p_R[j * 4 * U + k];
        }
        for (int r = 0; r < B; r++) for (int u = 0; u < U; u++) {
            float i = sigmoidf(a[r][u]), f = sigmoidf(a[r][U + u]);
            float g = tanhf(a[r][2 * U + u]), o = sigmoidf(a[r][3 * U + u]);
            c[r * U + u] = FORGET * c[r * U + u] + i * g;
            y[(t * B + r) * U + u] = h[r * U + u] = o * tanhf(c[r * U + u]);
        }
    }
    return (golden_check_f("out/y", y) != 0) + (golden_check_f("out/state/c", c) != 0);
}
"""


@pytest.mark.kernels
def test_a_c_engine_is_checked_by_the_header_alone(tmp_path):
    assert cli.main(["golden", "LSTM", "--format", "c", "--out", str(tmp_path / "lstm_golden.h")]) == 0
    (tmp_path / "engine.c").write_text(ENGINE)
    strict = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    for forget, status, words in (("f", 0, ""), ("(1 - f)", 2, "out/y differs in")):
        subprocess.run([*strict, f"-DFORGET={forget}", "engine.c", "-o", "engine", "-lm"], cwd=tmp_path, check=True)
        ran = subprocess.run(["./engine"], cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == status and words in ran.stderr
    subprocess.run([*strict, "-x", "c", "-DGOLDEN_MAIN", "lstm_golden.h", "-o", "check"], cwd=tmp_path, check=True)
    vectors = golden(rnnref.cells.LSTM())

    def check(text, *options):
        ran = subprocess.run(["./check", *options], cwd=tmp_path, input=text, capture_output=True, text=True)
        return ran.returncode, ran.stdout + ran.stderr
    right = {name: a for name, a in vectors.float64.items() if not vectors.is_given(name)}

    def lines(arrays):
        return "\n".join(f"{name} {' '.join(map(repr, map(float, a.ravel())))}" for name, a in arrays.items())
    assert check(lines(right), "--double") == (0, f"{len(right)} arrays compared, 0 differ\n")
    wrong = right["d/in/p/W"].copy()
    wrong[2, 5] += 1e-3
    status, text = check(lines({"d/in/p/W": wrong}))
    assert status == 1 and "d/in/p/W differs in 1 of 48 entries, first at [2, 5]" in text
    assert "not compared: out/y" in text and "1 arrays compared, 1 differ" in text
    wrong[0, 0] = np.nan
    assert "differs in 2 of 48" in check(lines({"d/in/p/W": wrong}))[1]
    assert check("")[0] == 2 and check("out/z 1")[0] == 2 and check("out/y 1 2")[0] == 2
    assert "wanted out/y  4 x 2 x 4" in check("", "--list")[1]
