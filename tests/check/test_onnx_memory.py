"""Nodes that an onnxruntime must not run: found before it is given them, by its version."""
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from rnnref.check.onnx_engines import RefusalError, resolve_engine
from rnnref.check.onnx_memory import find_overrun
from rnnref.check.onnx_session import Session
from rnnref.errors import Error
from rnnref.survey import cases
from tests.support.onnx_models import FLOAT, B, H, I, T, X, Y, finish, held, info, lstm, node, weights
from tests.support.onnxruntime_facts import HAS_DEFAULT_SCALES, TAKES_LENGTH_ZERO

FITS = {"X": (T, B, I), "W": (1, 4 * H, I), "R": (1, 4 * H, H)}


@pytest.mark.parametrize("name, shape, words", [
    ("X", (T, I), r"X has shape \(\d, \d\), expected \(\?, \?, \?\)"), ("X", (), r"X has shape \(\)"),
    ("W", (4, 3), "W has shape"), ("W", (2, 4 * H, I), "W has shape"), ("W", (1, 3 * H, I), "W has shape"),
    ("W", (1, 4 * H, I + 1), "W has shape"), ("R", (1, 4 * H, H, 1), "R has shape"),
    ("R", (1, 4 * H, I + 9), "R has shape")])
def test_shapes_that_do_not_fit(name, shape, words):
    with pytest.raises(AssertionError, match=words):
        assert not find_overrun("1.32.0", "LSTM", {"hidden_size": H}, FITS | {name: shape})
    assert not find_overrun("1.32.0", "LSTM", {"hidden_size": H}, FITS)
    assert not find_overrun("1.32.0", "LSTM", {"hidden_size": H}, FITS | {name: None})


@pytest.mark.parametrize("op, attributes, lengths, since", [
    ("RNN", {}, [5, 0], (1, 26)), ("RNN", {"direction": "bidirectional"}, [0, 0], (1, 26)), ("RNN", {}, [5, 1], None),
    ("RNN", {"direction": "reverse"}, [5, 0], None), ("GRU", {}, [5, 0], None), ("LSTM", {}, [0, 0], None),
    ("RNN", {"activation_alpha": [0.5], "direction": "bidirectional"}, None, (1, 29)),
    ("RNN", {"activation_beta": []}, None, (1, 29)), ("RNN", {"activation_beta": [0.5]}, None, None),
    ("GRU", {"activation_beta": []}, None, None), ("RNN", {}, None, None)])
def test_versions(op, attributes, lengths, since):
    lengths = lengths and np.array(lengths)
    for version in ("1.9.0", "1.23.2", "1.25.1", "1.26.0", "1.28.0", "1.29.0", "1.32.0", "1.33.0+cpu", "2.0.0"):
        known = tuple(map(int, version.split(".")[:2]))
        found = find_overrun(version, op, attributes, {}, lengths)
        assert bool(found) == (since is not None and known < since), (version, found)
        assert not found or f"onnxruntime {version} reads beyond" in found and f"since {since[0]}.{since[1]}" in found


@pytest.mark.parametrize("group, is_taken", [("RNN plain", TAKES_LENGTH_ZERO),
                                             ("RNN fewer scales than takers", HAS_DEFAULT_SCALES)])
def test_an_engine_is_not_given_them(group, is_taken, monkeypatch):
    case = next(c for c in cases.generate_cases(["RNN"]) if c.group == group and c.traits["lengths"] == "empty row"
                and c.traits["direction"] == "bidirectional")
    _, run = resolve_engine("onnxruntime")
    if is_taken:
        assert set(run(case)) == set(case.outputs)
    monkeypatch.setattr(onnxruntime, "__version__", "1.25.1")
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", None)
    with pytest.raises(RefusalError, match="onnxruntime 1.25.1 reads beyond"):
        run(case)


def rnn(**options):
    parts = held(W=(1, H, I), R=(1, H, H), l=np.array([T] + [0] * (B - 1), "int32"))
    return finish([node("RNN", ["X", "W", "R", "", "l"], ["Y"], hidden_size=H, **options)], [X], [Y], parts)


def test_a_session_is_not_given_them(monkeypatch):
    odd = finish([lstm()], [info("X", FLOAT, [T, B, "width"])], [Y], weights())
    with pytest.raises(RefusalError, match="W has shape"):           # whatever the session would say
        Session(odd).run({"X": np.zeros((T, B, I + 1), "float32")})
    monkeypatch.setattr(onnxruntime, "__version__", "1.25.1")
    monkeypatch.setattr(onnxruntime, "InferenceSession", SimpleNamespace())          # none is made
    with pytest.raises(Error, match="reads beyond the beginning of Y for a sequence of length 0"):
        Session(rnn())
    with pytest.raises(Error, match="reads beyond the end of activation_alpha, 0 for 1 directions"):
        model = rnn(direction="reverse")
        model.graph.node[0].attribute.append(helper.make_attribute("activation_alpha", [], attr_type=6))
        Session(model)
