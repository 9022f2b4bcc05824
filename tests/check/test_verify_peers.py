"""verify on torch modules and Keras layers: correct ones pass forward and backward, broken ones are named."""
import os
import re
import sys

import numpy as np
import pytest

from rnnref import NotSupported, ShapeError
from rnnref.check import verify
from tests.support.readme_picture import PICTURE, make_report

torch = pytest.importorskip("torch")
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

pytestmark = pytest.mark.peers
T, B, I, H = 9, 3, 4, 6
LENGTHS = [4, 9, 1]                               # not sorted
BARS = {"float32": (1e-6, 5e-6), "float64": (1e-13, 1e-12)}      # outputs, gradients: the accuracy promised of torch


def rows(report):
    return {r.name: r for r in report.rows}


def module(kind, dtype="float32", seed=0, **options):
    torch.manual_seed(seed)
    return getattr(torch.nn, kind)(I, H, **options).to(getattr(torch, dtype))


MODULES = [("RNN", {}), ("RNN", {"nonlinearity": "relu", "bias": False}), ("LSTM", {}), ("LSTM", {"proj_size": 2}),
           ("LSTM", {"num_layers": 2, "bidirectional": True}), ("GRU", {}), ("GRU", {"batch_first": True}),
           ("GRU", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
           ("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True, "bias": False})]


@pytest.mark.parametrize("dtype", BARS)
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("kind, options", MODULES)
def test_torch_is_right(kind, options, lengths, dtype):
    one = module(kind, dtype, **options)
    report = verify(one, (B, T, I) if options.get("batch_first") else (T, B, I), lengths=lengths)
    assert report.ok and report.counts["agrees"] == len(report.rows), report
    states = ("h", "c") if kind == "LSTM" else ("h",)
    assert set(rows(report)) == {"output", "dinput", *(f"{s}_n" for s in states), *(f"d{s}_0" for s in states),
                                 *(f"d{n}" for n, _ in one.named_parameters())}
    for r in report.rows:
        assert r.error <= BARS[dtype][r.group == "gradients"], r
    assert report.facts["dtype"] == dtype and one.weight_ih_l0.grad is None


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
def test_torch_cells(kind):
    report = verify(module(kind), (T, B, I))
    assert report.ok and rows(report)["output"].trace is not None and "dweight_hh" in rows(report)
    assert verify(module(kind), np.ones((B, I))).ok
    with pytest.raises(NotSupported, match="lengths"):
        verify(module(kind), (T, B, I), lengths=LENGTHS)


def test_torch_at_the_promised_size():
    torch.manual_seed(0)
    report = verify(torch.nn.LSTM(64, 128), (200, 2, 64))
    assert report.ok and all(r.error <= BARS["float32"][r.group == "gradients"] for r in report.rows), report


def test_torch_inputs_and_states_as_given():
    one, x, h = module("GRU"), torch.ones(T, B, I), torch.zeros(1, B, H)
    assert verify(one, x, initial_state=h).ok
    assert verify(one, np.ones((T, B, I)), initial_state="zero").ok
    assert "dh_0" not in rows(verify(one, x, initial_state="zero"))
    assert rows(verify(one, x, dtype="float64"))["output"].budget < 1e-13
    assert verify(one, x[:, 0]).ok and verify(one, x[:, 0], initial_state=h[:, 0]).ok      # without a batch
    with pytest.raises(ShapeError, match="3 axes"):
        verify(one, x[0, 0])
    with pytest.raises(ShapeError, match="initial_state has shapes"):
        verify(one, x, initial_state=h[:, :1])
    with pytest.raises(NotSupported, match="Linear"):
        verify(torch.nn.Linear(2, 3), x)
    with pytest.raises(NotSupported, match="torch.float16"):
        verify(module("GRU").half(), x)


def test_torch_dropout_is_off_and_zero_biases_are_replaced():
    one = module("GRU", num_layers=2, dropout=0.5)
    with torch.no_grad():
        one.bias_hh_l1.zero_()
    report = verify(one, (T, B, I))
    assert report.ok and "off" in report.facts["dropout"] and "All zero: bias_hh_l1." in report.findings[-1]
    assert one.training and not one.bias_hh_l1.any()


class Exchanged(torch.nn.LSTM):
    """Reads the blocks i f g o of its last layer as f i g o."""

    def forward(self, x, hx=None):
        own = self.weight_hh_l1
        i, f, g, o = own.split(self.hidden_size)
        held = own.data.clone()
        own.data.copy_(torch.cat([f, i, g, o]).detach())
        got = super().forward(x, hx)
        own.data.copy_(held)
        return got


class Forward(torch.nn.GRU):
    """Its backward direction starts over with the weights of the forward one."""

    def forward(self, x, hx=None):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(self, f"{name}_l0_reverse").data.copy_(getattr(self, f"{name}_l0").data)
        return super().forward(x, hx)


class Leaking(torch.nn.RNN):
    """Runs over the padding of a packed batch."""

    def forward(self, x, hx=None):
        x, _ = torch.nn.utils.rnn.pad_packed_sequence(x, total_length=T)
        ys, last = super().forward(x, hx)
        return torch.nn.utils.rnn.pack_padded_sequence(ys, torch.full((B,), T)), last


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, w):
        return w.clone()

    @staticmethod
    def backward(ctx, d):
        half = len(d) // 2
        return torch.cat([d[:half], 1.001 * d[half:]])


class WrongGradient(torch.nn.LSTMCell):
    """Exact forwards; the gradient of the blocks g and o of R is one in a thousand too large."""

    def forward(self, x, s=None):
        call = {n: p for n, p in self.named_parameters()}
        call["weight_hh"] = Doubled.apply(self.weight_hh)
        return torch.func.functional_call(torch.nn.LSTMCell(I, H), call, (x, s))


def test_broken_modules_are_named():
    report = verify(Exchanged(I, H, num_layers=2), (T, B, I))
    assert rows(report)["h_n"].where.startswith("layer 1, row") and rows(report)["output"].where.startswith("t=0")
    assert "On the first step alone, output, h_n and c_n already differ, first in layer 1." in report.findings

    report = verify(Forward(I, H, bidirectional=True), (T, B, I))
    assert rows(report)["output"].where.startswith(f"t={T - 1}, backward, row")
    assert "Only the backward direction of output differs." in report.findings
    assert rows(report)["h_n"].where.startswith("layer 0, backward")

    report = verify(Leaking(I, H), (T, B, I), lengths=LENGTHS)
    assert rows(report)["output"].where.startswith("t=1, row 2")
    assert "in the padding: this row has length 1" in rows(report)["output"].note
    assert "Only rows with padding differ (rows 0 and 2 of 3): check how lengths are applied." in report.findings

    report = verify(WrongGradient(I, H), (T, B, I))
    assert [r.name for r in report.rows if r.verdict != "agrees"] == ["dweight_hh"]
    assert "only in gates g and o" in rows(report)["dweight_hh"].note
    assert report.findings[0].startswith("All results agree and dweight_hh differs, only in gates g and o")


L = keras.layers
EVERYTHING = {"return_sequences": True, "return_state": True}
LAYERS = {
    "SimpleRNN": (lambda: L.SimpleRNN(5, activation="softsign"), None),
    "SimpleRNN backwards": (lambda: L.SimpleRNN(5, go_backwards=True, return_sequences=True), LENGTHS),
    "LSTM": (lambda: L.LSTM(5, **EVERYTHING), None),
    "LSTM, hard_sigmoid, zero_output_for_mask": (
        lambda: L.LSTM(5, recurrent_activation="hard_sigmoid", zero_output_for_mask=True, **EVERYTHING), LENGTHS),
    "GRU": (lambda: L.GRU(5, **EVERYTHING), LENGTHS),
    "GRU, reset_after=False": (lambda: L.GRU(5, reset_after=False, use_bias=False), LENGTHS),
    "Bidirectional": (lambda: L.Bidirectional(L.LSTM(5, **EVERYTHING)), LENGTHS),
    "Bidirectional, mul": (lambda: L.Bidirectional(L.GRU(5), merge_mode="mul"), LENGTHS),
    "Bidirectional, ave": (lambda: L.Bidirectional(L.SimpleRNN(5, return_sequences=True), merge_mode="ave"), None),
    "RNN of cells": (lambda: L.RNN([L.LSTMCell(5), L.GRUCell(3)], **EVERYTHING), LENGTHS),
}


@pytest.mark.parametrize("name", LAYERS)
def test_keras_is_right(name):
    make, lengths = LAYERS[name]
    layer = make()
    report = verify(layer, (B, T, I), lengths=lengths)
    if (keras.backend.backend(), name) == ("jax", "SimpleRNN backwards"):    # its loop outputs the initial state
        assert rows(report)["output"].where.startswith("t=0, row") and not report.ok
        return
    assert report.ok and report.counts["agrees"] == len(report.rows), report
    if keras.backend.backend() in ("torch", "jax"):
        of_states = re.compile(r"d[hc]0")        # not "0": Keras numbers the layers in its names
        found = [r.name for r in report.rows if r.group == "gradients" and not of_states.match(r.name)]
        assert len(found) == 1 + len(layer.weights)


def test_broken_keras_layer_is_named():
    class Forgetful(L.GRU):
        def inner_loop(self, sequences, initial_state, mask, training=False):
            return super().inner_loop(sequences, [keras.ops.zeros_like(s) for s in initial_state], mask, training)
    report = verify(Forgetful(5, return_sequences=True), (B, T, I))
    assert rows(report)["output"].where.startswith("t=0, row") and not report.ok
    assert verify(Forgetful(5, return_sequences=True), (B, T, I), initial_state="zero").ok


def test_keras_options_are_refused_by_name():
    with pytest.raises(NotSupported, match="in mixed_float16|in float16"):
        verify(L.GRU(5, dtype="float16"), (B, T, I))
    with pytest.raises(NotSupported, match="Dense"):
        verify(L.Dense(5), (B, T, I))
    with pytest.raises(NotSupported, match="backward= with keras"):
        verify(L.GRU(5), (B, T, I), backward=print)


def test_keras_layer_is_left_as_it_was():
    layer = L.GRU(5)
    layer.build((B, T, I))
    before = [a.copy() for a in layer.get_weights()]
    assert "All zero: bias." in verify(layer, (B, T, I)).findings[-1]
    assert all((a == b).all() for a, b in zip(before, layer.get_weights()))
    assert "torch" in sys.modules


def test_the_picture_of_the_readme_shows_the_report_of_today():
    report = make_report()
    numbers = re.compile(r"-?\d\S*\d")           # they differ from machine to machine

    def words(text):
        return [numbers.sub("0", line) for line in re.findall(r"<text[^>]*>([^<]*)</text>", text)]
    assert words(PICTURE.read_text(encoding="utf-8")) == words(report.to_svg()), "make picture"
    assert not report.ok and "once the gate blocks are read as i g f o (TF 1)" in report.findings[0]


def normed(norm, kind="LSTM", called=False):
    one = norm(module(kind), "weight_hh_l0")
    if called:
        one(torch.ones(T, B, I))
    return one


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
@pytest.mark.parametrize("called", [False, True])
@pytest.mark.parametrize("norm", [torch.nn.utils.weight_norm, torch.nn.utils.parametrizations.weight_norm,
                                  torch.nn.utils.parametrizations.spectral_norm,
                                  torch.nn.utils.parametrizations.orthogonal])
def test_weights_that_a_norm_computes_are_checked(norm, called):
    kind = "RNN" if norm is torch.nn.utils.parametrizations.orthogonal else "LSTM"         # a square matrix
    report = verify(normed(norm, kind, called), (T, B, I))
    assert report.ok and rows(report)["dweight_hh_l0"].verdict == "agrees", report


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_modules_are_checked_where_the_caller_records_no_gradients(context):
    with context():
        one = module("LSTM")
        report = verify(one, torch.ones(T, B, I))
        assert not torch.is_grad_enabled()
    assert report.ok and rows(report)["dweight_hh_l0"].verdict == "agrees", report
    for p in one.parameters():
        assert p.grad is None


def test_packed_and_unbatched_inputs_frozen_weights_and_hooks():
    pack = torch.nn.utils.rnn.pack_sequence
    packed = pack([torch.ones(2, I), torch.ones(5, I)], enforce_sorted=False)
    report = verify(module("GRU"), packed)
    assert report.ok and report.facts["lengths"] == "[2, 5]"
    assert verify(module("GRU", batch_first=True), packed).ok
    with pytest.raises(NotSupported, match="it has its own"):
        verify(module("GRU"), packed, lengths=[2, 5])
    for options in ({}, {"batch_first": True}, {"bidirectional": True}):
        assert verify(module("LSTM", **options), torch.ones(T, I)).ok
    one = module("GRU").requires_grad_(False)
    one.weight_hh_l0.requires_grad_(True).register_hook(lambda g: 2 * g)      # of training, and not of the module
    assert verify(one, (T, B, I)).ok
    one.register_forward_hook(lambda module, given, returned: (2 * returned[0], returned[1]))
    assert rows(verify(one, (T, B, I)))["output"].verdict == "differs"


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_torch_arguments_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match=r"expected 4 on its last axis"):
        verify(module("GRU"), (T, B, I + 1))
    with pytest.raises(ShapeError, match="each from 0 to 9"):
        verify(module("GRU"), (T, B, I), lengths=[10, 1, 1])
    with pytest.raises(NotSupported, match="the quantised module LSTM"):
        verify(torch.ao.nn.quantized.dynamic.LSTM(I, H), (T, B, I))
    assert verify(module("RNN", "float64", nonlinearity="relu"), (T, B, I)).title == (
        "torch.nn.RNN(4, 6, nonlinearity=relu).double()")


class Remembering(torch.nn.GRU):
    """Begins where the call before has ended."""

    def forward(self, x, hx=None):
        ys, self.last = super().forward(x, hx if hx is not None else getattr(self, "last", None))
        return ys, self.last.detach()


@pytest.mark.parametrize("fault", ["no_grad", "eval"])
def test_a_module_that_is_wrong_in_inference_is_named(fault):
    class Faulty(torch.nn.GRU):
        def forward(self, x, *states):
            y, h = super().forward(x, *states)
            wrong = not torch.is_grad_enabled() if fault == "no_grad" else not self.training
            return y * 1.001 if wrong else y, h
    module = Faulty(3, 4)
    report = verify(module, torch.randn(5, 2, 3))
    row = next(r for r in report.rows if r.verdict == "differs")
    assert row.name == "inference" and row.note.endswith("others: output") and module.training


def test_a_module_that_remembers_is_named():
    report = verify(Remembering(I, H), (T, B, I))
    assert not report.ok and "output (no initial state)" in rows(report), report


class Clipping(torch.nn.GRU):
    """Clips its input in place."""

    def forward(self, x, hx=None):
        x.data.clamp_(-0.1, 0.1)
        return super().forward(x, hx)


def test_a_module_that_changes_its_input_is_named():
    report = verify(Clipping(I, H), (T, B, I))
    assert rows(report)["arguments"].note.endswith(": input") and rows(report)["output"].verdict == "differs"
