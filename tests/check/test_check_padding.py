"""check_padding: each row alone is the truth; planted faults are named with their row, and policies by name."""
import numpy as np
import pytest

from rnnref.check import check_padding
from rnnref.errors import InvalidValue, NotSupported
from tests.support.onnxruntime_facts import TAKES_LENGTH_ZERO
from tests.support.planted_engines import ignoring, run_independent, switched

rng = np.random.default_rng(0)
W, R = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)) / 2


def make_rnn(outputs="zero", hold=True, from_end=False, reads_padding=False, before="zero"):
    """A recurrent function of its own, with a policy and perhaps a fault."""
    def rnn(x, mask=None, initial_state=None, reverse=False):
        T, B, _ = x.shape
        live = np.ones((T, B), bool) if mask is None else mask
        h0 = np.zeros((B, 4), x.dtype) if initial_state is None else initial_state
        h, ys = h0, np.zeros((T, B, 4), x.dtype)
        last = h0 if before == "h0" else np.zeros_like(h0)
        for t in range(T)[::-1] if reverse else range(T):
            new = np.tanh(x[t] @ W.astype(x.dtype) + h @ R.astype(x.dtype))
            h = np.where(live[t][:, None] | (not hold) | (reads_padding and reverse), new, h)
            last = np.where(live[t][:, None], h, last)
            ys[t] = {"zero": h * live[t][:, None], "repeat": last, "free": new}[outputs]
        return ys, h
    return rnn


@pytest.mark.parametrize("outputs, before, policy", [
    ("zero", "zero", "zero"), ("repeat", "zero", "repeat"), ("repeat", "h0", "repeat from h0"),
    ("free", "zero", "free")])
def test_policies_are_named(outputs, before, policy):
    report = check_padding(make_rnn(outputs, before=before))
    assert report.policy == {"outputs": policy, "states": "last valid step", "empty": "start"} and report.ok, report
    assert len(report.rows) == 2 * 2 * 4 * 2      # directions, starts, masks, arrays
    assert report.headline == "rnn computes every row of a padded batch as it does the row alone."


def test_a_state_that_runs_on_is_named_with_its_row():
    report = check_padding(make_rnn(hold=False))
    assert not report.ok and report.status == 1
    sentence = "row 1 (valid steps 3 of 6): state is that after the last step of the array"
    assert any(sentence in f for f in report.findings)


def test_a_reverse_direction_that_starts_in_the_padding():
    report = check_padding(make_rnn(reads_padding=True))
    wrong = [row for row in report.rows if row.verdict == "differs"]
    assert wrong and all(row.name.startswith("reverse") for row in wrong)
    assert any("the padding is read before the valid steps" in f for f in report.findings)
    assert all(row.verdict == "agrees" for row in report.rows if not row.name.startswith("reverse"))


def test_an_ignored_mask():
    def deaf(x, mask=None):
        return make_rnn()(x)
    report = check_padding(deaf)
    assert not report.ok and any("the engine ignores it" in f or "last step of the array" in f for f in report.findings)
    assert {row.name.partition(":")[0] for row in report.rows if row.verdict == "differs"} == {
        "right padding", "an empty row", "left padding", "holes"}


def test_one_row_without_a_policy():
    def odd(x, mask=None):
        ys, h = make_rnn()(x, mask)
        if mask is not None and not mask[0, 1]:   # row 1 padded on the left
            ys = ys.copy()
            ys[-1, 1] += 0.1
        return ys, h
    report = check_padding(odd)
    places = {row.where for row in report.rows if row.verdict == "differs"}
    assert places == {"row 1, t=5"} and "row 1" in report.headline


def test_functions_with_lengths_get_right_padding_only():
    def rnn(x, lengths):
        return make_rnn()(x, np.arange(len(x))[:, None] < lengths)
    report = check_padding(rnn, (8, 5, 3), dtype="float64")
    assert report.ok and {row.name.partition(":")[0] for row in report.rows} == {"right padding", "an empty row"}
    assert all(row.budget < 1e-10 for row in report.rows)
    with pytest.raises(NotSupported, match="takes no padding"):
        check_padding(lambda x: x)
    with pytest.raises(InvalidValue, match="T >= 4"):
        check_padding(rnn, (2, 5, 3))


def test_what_an_engine_refuses_is_quoted():
    def picky(x, lengths=None):
        if lengths is not None and min(lengths) == 0:
            raise ValueError("an empty row")
        return make_rnn()(x, None if lengths is None else np.arange(len(x))[:, None] < lengths)
    report = check_padding(picky)
    assert report.ok and report.counts["refused"] == 1 and "1 of 3 cases were refused" in report.headline
    assert "Refused: an empty row. ValueError: an empty row" in report.findings

    def closed(x, lengths=None):
        raise ValueError("never")
    assert check_padding(closed).status == 2 and "refused every padded batch" in check_padding(closed).headline


def test_onnx_engines_in_all_directions():
    report = check_padding("onnxruntime")
    policy = {"outputs": "zero", "states": "last valid step", "empty": "zero"}
    # the first state of an empty row is what an RNN returned, backwards, when it did not take such a row forwards
    assert report.ok and report.policy == policy | ({} if TAKES_LENGTH_ZERO else {"empty": "start or zero"})
    assert report.counts["refused"] == (0 if TAKES_LENGTH_ZERO else 4)
    assert {row.name.partition(", ")[0] for row in report.rows} == {"RNN", "GRU", "LSTM"}
    assert check_padding(switched(empty_row="zero")).policy == policy

    def engine(case):
        return run_independent(case)
    assert check_padding(engine).policy == policy | {"empty": "start"}
    report = check_padding(ignoring("sequence_lens"))
    assert not report.ok and report.policy == {"outputs": "free", "states": "last step"}


@pytest.mark.peers
def test_layers_of_torch_and_keras():
    import os
    torch = pytest.importorskip("torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    torch.manual_seed(0)
    for module in (torch.nn.LSTM(3, 4, bidirectional=True), torch.nn.GRU(3, 4, num_layers=2, batch_first=True)):
        report = check_padding(module)
        assert report.ok and report.policy == {"outputs": "zero", "states": "last valid step"}
        assert any("greater than 0" in f for f in report.findings)
    layer = keras.layers.GRU(4, return_sequences=True, return_state=True, zero_output_for_mask=True)
    assert check_padding(layer).policy == {"outputs": "zero", "states": "last valid step", "empty": "start"}
    both = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=True, return_state=True))
    report = check_padding(both)
    assert report.ok and any("outputs, backward" in row.name for row in report.rows)
    assert check_padding(torch.nn.LSTM(5, 4)).ok   # as many inputs as it takes
    with pytest.raises(NotSupported, match="a Keras Sequential"):
        check_padding(keras.Sequential([keras.layers.LSTM(3)]))
    if keras.backend.backend() == "torch":
        layer = keras.layers.LSTM(4, return_sequences=True, return_state=True)
        assert check_padding(layer).policy["outputs"] == "repeat"
        broken = keras.layers.LSTM(4, return_sequences=True, unroll=True, go_backwards=True)
        assert check_padding(broken).status == 2


@pytest.mark.parametrize("options", [{"dtype": "nix"}, {"dtype": "float16"}, {"seed": -1}, {"seed": "a"},
                                     {"inputs": "abc"}, {"inputs": (2, 3, 3)}])
def test_arguments(options):
    with pytest.raises(NotSupported, match=f"check_padding: {next(iter(options))}="):
        check_padding(make_rnn(), **options)


@pytest.mark.parametrize("broken, words", {
    "NaN": (lambda x, mask=None: np.full((*x.shape[:2], 4), np.nan), "not finite"),
    "None": (lambda x, mask=None: None, "expected floats [T, B, outputs]"),
    "two axes": (lambda x, mask=None: x[0], "expected floats [T, B, outputs]"),
    "integers": (lambda x, mask=None: np.ones((*x.shape[:2], 4), int), "returns int64")}.values())
def test_an_engine_that_is_no_truth_gets_no_verdict(broken, words):
    report = check_padding(broken)
    assert report.status == 2 and "No verdict" in report.headline and words in " ".join(report.findings)
