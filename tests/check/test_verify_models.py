"""verify on models of torch and Keras: every recurrent layer in them is found, and checked on what it receives."""
import os

import numpy as np
import pytest

from rnnref import NotSupported, verify
from rnnref.errors import Error

torch = pytest.importorskip("torch")
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
nn, layers = torch.nn, keras.layers


def groups(report):
    """The layers that were checked, in order."""
    return list(dict.fromkeys(row.group for row in report.rows))


class Tagger(nn.Module):
    """Token ids; dropout; only the last step is used."""

    def __init__(self):
        super().__init__()
        self.embed, self.drop = nn.Embedding(11, 5), nn.Dropout(0.3)
        self.lstm = nn.LSTM(5, 4, 2, dropout=0.2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, ids):
        return self.head(self.lstm(self.drop(self.embed(ids)))[0][:, -1])


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 4)

    def forward(self, x, lengths):
        y, _ = self.rnn(nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False))
        return nn.utils.rnn.pad_packed_sequence(y)[0]


class Translator(nn.Module):
    """Cells called step by step, one from the last state of an LSTM; a module list; a module that is not called."""

    def __init__(self):
        super().__init__()
        self.encoder, self.cell, self.unused = nn.LSTM(3, 4), nn.LSTMCell(4, 4), nn.LSTM(2, 2)
        self.more = nn.ModuleList([nn.GRUCell(4, 4), nn.RNNCell(4, 2)])

    def forward(self, x, y):
        _, (h, c) = self.encoder(x)
        state, g, out = (h[0], c[0]), None, []
        for step in y:
            state = self.cell(step, state)
            g = self.more[0](state[0], hx=g)
            out.append(self.more[1](input=g))
        return torch.stack(out)


class Twice(nn.Module):
    """One module under two names, called twice: the second time with a state."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(4, 4)
        self.same = self.rnn

    def forward(self, x):
        y, h = self.rnn(x)
        return self.same(y, h)[0]


TORCH = {                                         # model, inputs, layers that are checked
    "sequential": (lambda: nn.Sequential(nn.LSTM(3, 4)), (5, 2, 3), ["0"]),
    "ids drawn": (Tagger, (2, 5), ["lstm"]),
    "ids given": (Tagger, torch.tensor([[3, 1, 10, 0], [2, 2, 5, 7]]), ["lstm"]),
    "packed": (Packed, [(5, 3, 3), torch.tensor([2, 5, 1])], ["rnn"]),
    "by name": (Packed, {"x": (5, 2, 3), "lengths": torch.tensor([2, 5])}, ["rnn"]),
    "cells": (Translator, [(5, 2, 3), (3, 2, 4)], ["encoder", "cell", "more.0", "more.1"]),
    "twice": (Twice, (5, 2, 4), ["rnn", "rnn (another call, 2)"]),
    "no batch": (lambda: nn.Sequential(nn.Linear(2, 3), nn.GRU(3, 4)), (5, 2), ["1"]),
}


@pytest.mark.parametrize("name", TORCH)
def test_torch_models(name):
    make, inputs, expected = TORCH[name]
    torch.manual_seed(0)
    model = make()
    before = {n: a.clone() for n, a in model.state_dict().items()}
    report = verify(model, inputs)
    assert report.ok and groups(report) == expected, report
    assert model.training and all((before[n] == a).all() for n, a in model.state_dict().items())
    if name == "packed":
        assert "3 inputs" not in str(report) and report.facts["inputs"] == "input 1 (5, 3, 3), drawn; input 2 (3,)"
    if name == "cells":
        assert "unused was not called, and not checked." in report.findings
    if name == "ids drawn":
        assert report.facts["inputs"] == "input (2, 5), drawn as integers" and "off" in report.facts["dropout"]


class Wrong(nn.LSTM):
    def forward(self, x, hx=None):
        y, state = super().forward(x, hx)
        return 1.01 * y, state


def test_the_wrong_layer_of_a_model_is_named():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.ModuleDict({"x": nn.LSTM(3, 4)}), Wrong(4, 4)

        def forward(self, x):
            return self.b(self.a["x"](x)[0])

    report = verify(Net(), (5, 2, 3))
    assert not report.ok and {row.group for row in report.rows if row.verdict == "differs"} == {"b"}
    assert report.findings[0] == "Not in agreement: b; in agreement: a.x."
    assert report.facts["layers"] == "a.x: torch.nn.LSTM(3, 4); b: Wrong(4, 4)"
    assert verify(Net(), (5, 2, 3), initial_state="zero", gradients=False, dtype="float64").counts["differs"] == 1


def test_what_layers_receive_matters():
    """A layer that is wrong only where an input is exactly zero: as after a ReLU, which random numbers never are."""
    class Careless(nn.GRU):
        def forward(self, x, hx=None):
            return super().forward(torch.where(x == 0, 0.1, x), hx)

    module = Careless(3, 4)
    assert verify(module, (5, 2, 3)).ok and not verify(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), module), (5, 2, 2)).ok


def test_compiled_and_scripted_modules():
    torch.manual_seed(0)
    report = verify(torch.compile(nn.LSTM(3, 4, 2)), (5, 2, 3))
    assert report.ok and report.title == "torch.nn.LSTM(3, 4, num_layers=2)"
    report = verify(torch.compile(Tagger()), (2, 5))
    assert report.ok and groups(report) == ["lstm"] and "before" in report.facts["compilation"]
    assert verify(torch.jit.script(nn.GRUCell(3, 4)), (5, 2, 3)).ok
    report = verify(torch.jit.script(nn.GRU(3, 4, 2, bidirectional=True)), (5, 2, 3))
    assert report.ok and report.title == "scripted torch.nn.GRU(3, 4)" and "dweight_hh_l1_reverse" in str(report)


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.cell = nn.LSTM(3, 4), nn.GRUCell(4, 2)

    def forward(self, x):
        y, _ = self.rnn(torch.relu(x))
        g = torch.zeros(x.shape[1], 2)
        for t in range(y.shape[0]):
            g = self.cell(y[t], g)
        return y, g


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.last = Inner(), nn.Sequential(nn.Linear(4, 2), nn.GRU(2, 2))

    def forward(self, x):
        return self.last(self.inner(x)[0])[0]


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_scripted_models():
    for model in (torch.jit.script(Outer()), nn.Sequential(nn.Linear(3, 3), torch.jit.script(Outer()))):
        report = verify(model, (6, 2, 3))
        names = [name.removeprefix("1.") for name in groups(report)]
        assert report.ok and names == ["inner.rnn", "inner.cell", "last.1"], report
        assert "(6, 2, 3)" in report.facts[f"{groups(report)[0]}, shapes"]        # what it receives, not drawn
        assert report.facts["drawn"].startswith(groups(report)[1])
    with pytest.raises(NotSupported, match="the traced module inner.rnn(.|\n)*verify the module before it is traced"):
        verify(torch.jit.trace(Outer(), torch.ones(6, 2, 3)), (6, 2, 3))


class Pair(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x):
        return self.b(self.a(x)[0])


@pytest.mark.filterwarnings("ignore:torch.quantize:UserWarning")
def test_torch_models_that_cannot_be_checked():
    with pytest.raises(NotSupported, match="a Sequential without recurrent modules\n  has    Linear Sequential"):
        verify(nn.Sequential(nn.Linear(2, 3)), (5, 2))
    with pytest.raises(Error, match="does not run on these inputs: RuntimeError(.|\n)*input \\(5, 2, 7\\), drawn"):
        verify(nn.Sequential(nn.LSTM(3, 4)), (5, 2, 7))
    with pytest.raises(NotSupported, match="lengths= with a model"):
        verify(nn.Sequential(nn.LSTM(3, 4)), (5, 2, 3), lengths=[5, 2])
    with pytest.raises(NotSupported, match="arrays as initial_state= with a model"):
        verify(nn.Sequential(nn.LSTM(3, 4)), (5, 2, 3), initial_state=np.zeros((1, 2, 4)))
    quantised = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.LSTM(3, 4)), {nn.LSTM})
    with pytest.raises(NotSupported, match="the quantised module LSTM"):
        verify(quantised, (5, 2, 3))
    report = verify(Pair(nn.RNN(3, 3), quantised[0]), (5, 2, 3))
    assert report.ok and report.counts["not comparable"] == 1 and "integers with scales" in report.rows[-1].note


class Model(keras.Model):
    """A subclassed model: token ids, layers in a list, return_state."""

    def __init__(self):
        super().__init__()
        self.embed, self.gru = layers.Embedding(9, 3), layers.GRU(4, return_sequences=True, return_state=True, name="g")
        self.many, self.out = [layers.LSTM(3, name=f"many{n}") for n in range(2)], layers.Dense(2)

    def call(self, ids):
        y, _ = self.gru(self.embed(ids))
        return self.out(self.many[0](y) + self.many[1](y))


def two_branches():
    a, b = keras.Input((5, 3)), keras.Input((4, 2))
    return keras.Model([a, b], layers.Concatenate()([layers.GRU(3, name="one")(a), layers.LSTM(2, name="two")(b)]))


def shared():
    a, b, one = keras.Input((5, 3)), keras.Input((7, 3)), layers.LSTM(4, name="one")
    return keras.Model([a, b], layers.Add()([one(a), one(b)]))


def translator():
    a, b = keras.Input((5, 3)), keras.Input((4, 2))
    _, h, c = layers.LSTM(4, return_state=True, name="encoder")(a)
    y = layers.LSTM(4, return_sequences=True, name="decoder")(b, initial_state=[h, c])
    return keras.Model([a, b], layers.Dense(2)(y))


def chain(shape, *parts, **options):
    return keras.Sequential([keras.Input(shape, **options), *parts])


IDS = np.array([[0, 0, 1, 4, 2], [3, 1, 0, 0, 0], [1, 0, 2, 0, 3]])         # padded before, after, and in between
KERAS = {
    "sequential": (lambda: chain((6, 3), layers.LSTM(4, return_sequences=True, name="a"), layers.Dropout(0.5),
                                 layers.Bidirectional(layers.GRU(3), name="b"), layers.Dense(2)),
                   (2, 6, 3), ["a", "b"]),
    "masked": (lambda: keras.Sequential([layers.Embedding(9, 3, mask_zero=True), layers.Bidirectional(
        layers.LSTM(4, return_sequences=True), name="a"), layers.GRU(3, go_backwards=True, name="b")]),
               IDS, ["a", "b"]),
    "ids drawn": (Model, (2, 5), ["g", "many0", "many1"]),
    "two branches": (two_branches, [(2, 5, 3), (2, 4, 2)], ["one", "two"]),
    "shared": (shared, [(2, 5, 3), (2, 7, 3)], ["one", "one (another call, 2)"]),
    "states": (translator, [(2, 5, 3), (2, 4, 2)], ["encoder", "decoder"]),
    "each step": (lambda: chain((3, 5, 2), layers.TimeDistributed(layers.LSTM(4, name="a"), name="t"), layers.RNN(
        [layers.LSTMCell(3), layers.GRUCell(2)], name="b")), (2, 3, 5, 2), ["t/a", "b"]),
    "nested": (lambda: chain((6, 3), keras.Sequential([layers.GRU(4, return_sequences=True, name="a")], name="inner"),
                             layers.SimpleRNN(3, name="b")), (2, 6, 3), ["inner/a", "b"]),
    "convolution": (lambda: chain((3, 5, 6, 2), layers.ConvLSTM2D(2, 2, name="a"), layers.Flatten(), layers.Dense(1)),
                    (2, 3, 5, 6, 2), ["a"]),
}


@pytest.mark.parametrize("name", KERAS)
def test_keras_models(name):
    make, inputs, expected = KERAS[name]
    report = verify(make(), inputs)
    assert report.ok and groups(report) == expected, report
    if name == "masked":
        assert "mask" not in report.facts and report.counts["agrees"] == len(report.rows)


def test_a_stateful_model_keeps_its_states():
    model = keras.Sequential([keras.Input(batch_shape=(2, 5, 3)), layers.LSTM(4, stateful=True, name="a")])
    model(np.ones((2, 5, 3), "float32"))
    before = [keras.ops.convert_to_numpy(s).copy() for s in model.layers[0].states]
    assert verify(model, (2, 5, 3)).ok
    assert all((a == keras.ops.convert_to_numpy(s)).all() for a, s in zip(before, model.layers[0].states))


@keras.saving.register_keras_serializable("tests")
class WrongGRU(layers.GRU):
    """Ignores the mask of the first row."""

    def call(self, sequences, initial_state=None, mask=None, training=False):
        if mask is not None:
            mask = keras.ops.concatenate([keras.ops.ones_like(mask[:1]), mask[1:]])
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)


def test_the_wrong_layer_of_a_keras_model_is_named():
    model = keras.Sequential([layers.Embedding(9, 3, mask_zero=True), layers.LSTM(4, return_sequences=True, name="a"),
                              WrongGRU(3, return_sequences=True, name="b")])
    report = verify(model, IDS)
    assert {row.group for row in report.rows if row.verdict == "differs"} == {"b"}
    first = next(row for row in report.rows if row.verdict == "differs")
    assert "in the padding: the mask is False there" in first.note


def test_keras_layers_that_cannot_be_checked():
    @keras.saving.register_keras_serializable("tests")
    class Cell(layers.Layer):
        def __init__(self):
            super().__init__()
            self.units = self.state_size = 2

        def call(self, x, states):
            h = keras.ops.tanh(x[:, :2] + states[0])
            return h, [h]

    own = layers.RNN(Cell(), return_sequences=True, name="own")
    report = verify(chain((6, 3), own, layers.LSTM(2, name="a")), (2, 6, 3))
    assert report.ok and groups(report) == ["a", "outputs"] and "a Cell" in report.rows[-1].note
    with pytest.raises(NotSupported, match="a Cell"):
        verify(chain((6, 3), own), (2, 6, 3))
    with pytest.raises(NotSupported, match="without recurrent layers\n  has    Dense"):
        verify(chain((6,), layers.Dense(2)), (2, 6))
    with pytest.raises(Error, match="the model does not run on these inputs"):
        verify(chain((6, 3), layers.LSTM(2)), (2, 6, 5))


UNEQUAL = {
    "widths": lambda: layers.Bidirectional(layers.LSTM(4, return_sequences=True), backward_layer=layers.LSTM(
        5, return_sequences=True, go_backwards=True)),
    "cells": lambda: layers.Bidirectional(layers.LSTM(4), backward_layer=layers.GRU(5, go_backwards=True)),
    "the first backwards": lambda: layers.Bidirectional(
        layers.GRU(4, return_sequences=True, go_backwards=True), backward_layer=layers.GRU(5, return_sequences=True)),
    "activations": lambda: layers.Bidirectional(layers.GRU(4, activation="relu"), merge_mode="mul",
                                                backward_layer=layers.GRU(4, go_backwards=True, reset_after=False)),
    "outputs apart": lambda: layers.Bidirectional(layers.GRU(4, return_sequences=True, return_state=True),
                                                  merge_mode=None),
}


@pytest.mark.parametrize("name", UNEQUAL)
@pytest.mark.parametrize("lengths", [None, [3, 6]])
def test_unequal_halves(name, lengths):
    layer = UNEQUAL[name]()
    report = verify(layer, (2, 6, 3), lengths=lengths)
    assert report.ok and report.counts["agrees"] == len(report.rows), report
    assert "output (backward)" in str(report) if name == "outputs apart" else "output" in str(report)
    if name == "cells":
        assert "none is given" in report.facts["initial states"]
        with pytest.raises(NotSupported, match="unequal numbers of states"):
            verify(layer, (2, 6, 3), initial_state="random")


def test_a_difference_in_unequal_halves_is_located():
    class Wrong(layers.Bidirectional):
        def call(self, *args, **options):
            y = super().call(*args, **options)
            return keras.ops.concatenate([y[..., :6], 1.01 * y[..., 6:]], -1)

    report = verify(Wrong(layers.LSTM(4), backward_layer=layers.LSTM(5, go_backwards=True)), (2, 6, 3))
    (row,) = [row for row in report.rows if row.name == "output"]
    assert row.where in ("backward, row 0, unit 2", "backward, row 0, unit 3", "backward, row 0, unit 4",
                         "backward, row 1, unit 2", "backward, row 1, unit 3", "backward, row 1, unit 4")
    assert "only in backward" in row.note


CONVOLUTIONS = {
    "1d": (lambda: layers.ConvLSTM1D(2, 3, return_sequences=True), (2, 4, 6, 3)),
    "2d": (lambda: layers.ConvLSTM2D(2, (1, 2), return_sequences=True, return_state=True, padding="same"),
           (2, 4, 3, 4, 1)),
    "strides": (lambda: layers.ConvLSTM2D(2, 2, strides=2, go_backwards=True, recurrent_activation="hard_sigmoid"),
                (2, 3, 4, 5, 2)),
    "3d": (lambda: layers.ConvLSTM3D(2, 2), (1, 3, 3, 3, 3, 2)),
    "both ways": (lambda: layers.Bidirectional(layers.ConvLSTM1D(2, 3, return_sequences=True)), (2, 4, 6, 3)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions(name):
    make, shape = CONVOLUTIONS[name]
    keras.utils.set_random_seed(0)                # where a hard sigmoid bends, no gradient could be compared
    for lengths in (None, [3] * shape[0]):
        report = verify(make(), shape, lengths=lengths)
        assert report.ok and report.counts["agrees"] == len(report.rows), report
        assert any(row.name.endswith("recurrent_kernel") for row in report.rows)


def test_convolutions_are_told_apart():
    class Wrong(layers.ConvLSTM2D):
        def call(self, sequences, **options):
            return super().call(keras.ops.flip(sequences, axis=2), **options)

    report = verify(Wrong(2, 2, return_sequences=True), (1, 3, 4, 4, 1))
    assert not report.ok and report.rows[0].where.startswith("t=0, row 0, place")
    with pytest.raises(NotSupported, match="channels_first"):
        verify(layers.ConvLSTM1D(2, 3, data_format="channels_first"), (2, 4, 3, 6))
    with pytest.raises(ValueError, match="expected 5 axes"):
        verify(layers.ConvLSTM2D(2, 2), (2, 4, 3))
