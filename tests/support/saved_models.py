"""Models that files are made of, written once for Keras and rnnref: {name: (module -> model, inputs)}."""
from tests.support.model_cases import floats

X, FRAMES = floats(2, 5, 3), floats(2, 3, 4, 5, 2)


def chain(*layers):
    return lambda k: k.Sequential([k.Input(X.shape[1:]), *(make(k.layers) for make in layers)])


def conv(k):
    L = k.layers
    return k.Sequential([k.Input(FRAMES.shape[1:]),
                         L.ConvLSTM2D(3, 3, padding="same", return_sequences=True, dropout=0.1),
                         L.BatchNormalization(), L.ConvLSTM2D(2, 2, go_backwards=True), L.Flatten(), L.Dense(2)])


def shared(k):
    """One layer in two models, in a third."""
    L, x, dense = k.layers, k.Input((5, 3)), k.layers.Dense(3, name="common")
    one = k.Sequential([k.Input((5, 3)), dense], name="one")
    return k.Model(x, L.LSTM(2)(dense(one(x))))


def operations(k):
    """Functions of ops and operators between layers."""
    x, o = k.Input((5, 3), name="x"), k.ops
    h = k.layers.GRU(4, return_sequences=True)(x)
    last, mean = h[:, -1], o.mean(h, axis=1)
    y = o.concatenate([last, o.tanh(mean) * 2.0 + 1.0, o.max(h, axis=1) - mean, 1.0 / (o.exp(last) + 1.0)], axis=-1)
    z = o.softmax(o.reshape(h[:, ::2, 1:], (-1, 9)), axis=-1)
    t = o.transpose(h, (0, 2, 1))
    return k.Model(x, [k.layers.Dense(2)(y), z, o.matmul(h, t), o.where(h > 0, h, o.zeros_like(h)),
                       o.expand_dims(last, 1), o.stack([last, mean], axis=1), o.einsum("bti,bsi->bts", h, h),
                       o.squeeze(h[:, :1], axis=1),
                       o.clip(h, -0.1, 0.1), -h ** 2, o.abs(h), o.cast(h > 0, "float32"), o.sum(h)])


MODELS = {
    "bidirectional": (chain(lambda L: L.Bidirectional(L.LSTM(2, return_sequences=True, dropout=0.1), merge_mode="sum"),
                            lambda L: L.Bidirectional(L.GRU(2), backward_layer=L.GRU(3, go_backwards=True))), X),
    "cells": (chain(lambda L: L.RNN([L.GRUCell(2, dropout=0.2), L.LSTMCell(3)], return_sequences=True),
                    lambda L: L.RNN(L.SimpleRNNCell(2, "relu")), lambda L: L.RepeatVector(2)), X),
    "options": (chain(lambda L: L.LSTM(3, recurrent_activation="hard_sigmoid", unit_forget_bias=False, use_bias=False,
                                       return_sequences=True, go_backwards=True),
                      lambda L: L.GRU(2, reset_after=False, return_sequences=True, kernel_regularizer="l2"),
                      lambda L: L.TimeDistributed(L.Dense(2, "gelu", activity_regularizer="l1")),
                      lambda L: L.Dropout(0.3, seed=1), lambda L: L.Activation("softmax")), X),
    "conv": (conv, FRAMES), "operations": (operations, X),
    "a layer as activation": (chain(lambda L: L.Dense(4, L.PReLU()), lambda L: L.PReLU(shared_axes=[1])), X),
    "stateful": (lambda k: k.Sequential([k.Input(batch_shape=X.shape), k.layers.LSTM(2, stateful=True)]), X),
}


def mixed_class(k):
    """Layers in lists and dicts, in each other, one of them twice, and weights of its own."""
    L = k.layers

    class Mixed(k.Model):
        def __init__(self, n=2, **base):
            super().__init__(**base)
            first = L.Dense(3)
            self.z, self.a, self._hidden = first, [first, [L.Dense(3)]], L.Dense(3)
            self.more = {"x": L.Dense(3), "y": L.LSTM(3)}
            self.zz, self.n = (L.Dense(n),), n
            self.scale = self.add_weight(shape=(3,), initializer="ones", name="scale")

        def call(self, x):
            y = self._hidden(self.a[1][0](self.z(x))) * self.scale
            return self.zz[0](self.more["y"](self.more["x"](y)))

        def get_config(self):
            return super().get_config() | {"n": self.n}
    return Mixed
