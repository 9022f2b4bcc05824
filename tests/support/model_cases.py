"""Models written once for Keras and rnnref: {name: function of the module -> model}, and what they are called with."""
import numpy as np

import rnnref

RNG = np.random.default_rng(11)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def chain(k):
    L = k.layers
    return k.Sequential([k.Input((None, 3)), L.LSTM(4, return_sequences=True), L.BatchNormalization(),
                         L.Bidirectional(L.GRU(3)), L.Dense(2, activation="softmax")])


def late_chain(k):
    """Built by its first call."""
    L = k.layers
    return k.Sequential([L.Dense(4, activation="tanh"), L.Dropout(0.5), L.Flatten(), L.LayerNormalization(),
                         L.Dense(2)])


def masked_chain(k):
    L = k.layers
    return k.Sequential([L.Embedding(9, 4, mask_zero=True), L.LSTM(5, return_sequences=True),
                         L.TimeDistributed(L.Dense(3)), L.GRU(2), L.Dense(1)])


def chain_of_models(k):
    L = k.layers
    inner = k.Sequential([k.Input((5, 3)), L.SimpleRNN(4, return_sequences=True)], name="inner")
    return k.Sequential([inner, L.Dense(2), k.Sequential([L.LSTM(3)])])


def several_outputs(k):
    L = k.layers
    x = k.Input((None, 3), name="x")
    y, h, c = L.LSTM(4, return_state=True, return_sequences=True)(x)
    return k.Model(x, {"steps": L.Dense(2)(y), "states": [h, c]})


def several_inputs(k):
    """Shared layers, operations, nests."""
    L = k.layers
    x, ids = k.Input((5, 3), name="x"), k.Input((7,), dtype="int32", name="ids")
    shared = L.Dense(4, activation="tanh")
    a, b = shared(x), shared(L.Embedding(9, 3, mask_zero=True)(ids))
    total = k.ops.sum(a * 2.0, axis=1) + k.ops.mean(b, axis=1)
    both = L.Concatenate()([total, a[:, 0], L.LSTM(3)(b)])
    return k.Model([x, ids], {"p": L.Dense(1, name="p")(both), "q": L.Dense(2, name="q")(total)}, name="two")


def dict_inputs(k):
    L = k.layers
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    return k.Model({"a": a, "b": b}, L.Subtract()([L.Dense(3)(a), L.Dense(3)(b)]))


def nested_models(k):
    L = k.layers
    i = k.Input((3,))
    inner = k.Model(i, L.Dense(2)(L.Dense(3, activation="tanh")(i)), name="inner")
    j = k.Input((3,))
    return k.Model(j, [inner(j), inner(j * 2.0), k.Sequential([L.Dense(3), L.Dense(2)])(j)])


def shared_layer(k):
    """One layer for two lengths, called first where it is needed last."""
    L = k.layers
    x, z = k.Input((5, 3), name="x"), k.Input((7, 3), name="z")
    shared = L.Dense(3, activation="tanh", name="shared")
    late = shared(L.Dense(3, name="before")(x))
    twice = shared(late)
    return k.Model([x, z], [L.Dense(2)(shared(z)), late, twice])


def first_states(k):
    """An encoder whose states start the decoder."""
    L = k.layers
    x, z = k.Input((None, 3), name="encoder"), k.Input((None, 2), name="decoder")
    _, h, c = L.LSTM(4, return_state=True)(x)
    y = L.LSTM(4, return_sequences=True)(z, initial_state=[h, c])
    return k.Model([x, z], L.Dense(2, activation="softmax")(y))


def attention(k):
    L = k.layers
    x = k.Input((6, 3))
    states = L.Bidirectional(L.LSTM(2, return_sequences=True))(x)
    return k.Model(x, k.ops.tanh(L.Dense(2)(k.ops.mean(L.Attention()([states, states]), axis=1))))


def middle(k):
    """From the middle of one model to the middle of another place of it."""
    L = k.layers
    x = k.Input((3,))
    h = L.Dense(4)(x)
    g = L.Dense(5, activation="tanh")(h)
    k.Model(x, L.Dense(2)(g))
    return k.Model(h, g)


def pieces(k):
    """The states of a model that is there already."""
    whole = chain(k)
    return k.Model(whole.inputs, [whole.layers[0].output, whole.get_layer(index=-1).output])


def subclass(k):
    L = k.layers

    class Mine(k.Model):
        def __init__(self):
            super().__init__()
            self.first = L.Dense(3)
            self.noise = L.Dropout(0.2)
            self.states = L.LSTM(4, return_sequences=True)
            self.flat = L.Flatten()
            self.heads = [L.Dense(2), L.Dense(2)]
            self.norm = L.BatchNormalization()
            self.join = L.Concatenate()

        def call(self, x, training=False):
            h = self.norm(self.states(self.noise(self.first(x), training=training)), training=training)
            return [head(self.flat(self.join([h, h]))) for head in self.heads]
    return Mine()


def loop(k):
    """A cell called by hand, and a branch on a shape."""
    L = k.layers

    class Loop(k.Model):
        def __init__(self, **base):
            super().__init__(**base)
            self.cell, self.dense = L.LSTMCell(4), L.Dense(2)

        def call(self, x):
            state = [k.ops.zeros((x.shape[0], 4)), k.ops.zeros((x.shape[0], 4))]
            ys = []
            for t in range(x.shape[1]):
                y, state = self.cell(x[:, t], state)
                ys.append(self.dense(y) if t % 2 else y[:, :2])
            return k.ops.stack(ys, axis=1)
    return Loop()


IDS = np.array([[1, 2, 3, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7]], "int32")
CASES = {                                         # name: (model, inputs)
    "chain": (chain, floats(8, 5, 3)), "late chain": (late_chain, floats(3, 5, 3)), "masked chain": (masked_chain, IDS),
    "chain of models": (chain_of_models, floats(3, 5, 3)), "several outputs": (several_outputs, floats(3, 5, 3)),
    "several inputs": (several_inputs, [floats(3, 5, 3), IDS]),
    "dict inputs": (dict_inputs, {"a": floats(3, 4), "b": floats(3, 4)}),
    "nested models": (nested_models, floats(3, 3)), "first states": (first_states, [floats(3, 5, 3), floats(3, 4, 2)]),
    "shared layer": (shared_layer, [floats(3, 5, 3), floats(3, 7, 3)]),
    "attention": (attention, floats(3, 6, 3)), "middle": (middle, floats(3, 4)), "pieces": (pieces, floats(3, 5, 3)),
    "subclass": (subclass, floats(2, 4, 5)), "loop": (loop, floats(3, 5, 3)),
}
IS_GRAPH = [name for name in CASES if name not in ("subclass", "loop")]


def made(name, k=rnnref):
    """The model of a case, called once."""
    make, x = CASES[name]
    model = make(k)
    model(x)
    return model
