"""One recurrent layer in rnnref and in other frameworks, as functions for one step of inference or of training."""
import os
from functools import partial

import numpy as np

import rnnref
from rnnref import cells

CELLS = {"LSTM": cells.LSTM(recurrent_bias=True), "GRU": cells.GRU(), "RNN": cells.SimpleRNN(recurrent_bias=True)}


class Network:
    """A layer with random weights, its input [T, B, I] and the gradient of its output, all in float32."""

    def __init__(self, kind, B, T, I, H):
        rng = np.random.default_rng(0)
        self.kind, self.cell, self.size = kind, CELLS[kind], (B, T, I, H)
        self.p = rnnref.init.parameters(self.cell, I, H, rng)
        self.xs, self.dys = (rng.normal(size=(T, B, n)).astype("float32") for n in (I, H))

    def steps(self, peer):
        """{"inference": f, "training": f} of a framework; one that has no training leaves it out."""
        return getattr(self, "_" + peer)()

    def _rnnref(self, **options):
        p = rnnref.prepare(self.cell, self.p)

        def training():
            return rnnref.run_back(rnnref.run(self.cell, self.p, self.xs, **options)[2], self.dys)
        return {"inference": partial(rnnref.run, self.cell, p, self.xs, keep=False, **options), "training": training}

    def _products(self):
        """The matrix products of the layer and nothing else, with as many BLAS threads as there are."""
        B, T, I, H = self.size
        W, R, steps = self.p["W"], self.p["R"], range(T)
        x, h, a = self.xs.reshape(T * B, I), np.zeros((T * B, H), "float32"), np.zeros((T * B, W.shape[1]), "float32")

        def inference():
            x @ W
            for t in steps:
                h[:B] @ R

        def training():
            inference()
            for t in steps:
                a[:B] @ R.T
            h.T @ a, x.T @ a, a @ W.T
        return {"inference": inference, "training": training}

    def _torch(self):
        import torch
        B, T, I, H = self.size
        net, x, dys = getattr(torch.nn, self.kind)(I, H), torch.tensor(self.xs), torch.tensor(self.dys)
        leaf = x.clone().requires_grad_()

        def training():
            net.zero_grad()
            leaf.grad = None
            net(leaf)[0].backward(dys)
        return {"inference": torch.no_grad()(partial(net, x)), "training": training}

    def _onnxruntime(self):
        import onnx
        import onnxruntime
        from onnx import helper, numpy_helper
        B, T, I, H = self.size
        G, rng = len(self.cell.gates) * H, np.random.default_rng(1)
        arrays = {"W": (1, G, I), "R": (1, G, H), "B": (1, 2 * G)}
        given = [numpy_helper.from_array(rng.uniform(-H ** -0.5, H ** -0.5, size).astype("float32"), name)
                 for name, size in arrays.items()]
        options = {"linear_before_reset": 1} if self.kind == "GRU" else {}
        node = helper.make_node(self.kind, ["X", *arrays], ["Y"], hidden_size=H, **options)
        graph = helper.make_graph([node], "layer", [helper.make_tensor_value_info("X", 1, (T, B, I))],
                                  [helper.make_tensor_value_info("Y", 1, (T, 1, B, H))], given)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        assert onnx.__version__
        return {"inference": partial(session.run, None, {"X": self.xs})}

    def _jax(self):
        import jax
        import jax.numpy as jnp
        B, T, I, H = self.size
        kind, p, x, dys = self.kind, jax.tree.map(jnp.asarray, self.p), jnp.asarray(self.xs), jnp.asarray(self.dys)
        sigmoid = jax.nn.sigmoid

        def layer(p, x):
            ax = x @ p["W"] + p["b"]

            def step(s, a):
                h, c = s
                ah = h @ p["R"] + p["bR"]
                if kind == "LSTM":
                    i, f, g, o = jnp.split(a + ah, 4, -1)
                    c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
                    h = sigmoid(o) * jnp.tanh(c)
                elif kind == "GRU":
                    (xr, xz, xn), (hr, hz, hn) = jnp.split(a, 3, -1), jnp.split(ah, 3, -1)
                    z, n = sigmoid(xz + hz), jnp.tanh(xn + sigmoid(xr + hr) * hn)
                    h = (1 - z) * n + z * h
                else:
                    h = jnp.tanh(a + ah)
                return (h, c), h
            zero = jnp.zeros((B, H), "float32")
            return jax.lax.scan(step, (zero, zero), ax)[1]
        forward, back = jax.jit(layer), jax.jit(lambda p, x, dys: jax.vjp(layer, p, x)[1](dys))
        return {"inference": lambda: forward(p, x).block_until_ready(),
                "training": lambda: jax.block_until_ready(back(p, x, dys))}

    def _keras(self):
        os.environ.setdefault("KERAS_BACKEND", "torch")
        import keras
        B, T, I, H = self.size
        layer = getattr(keras.layers, {"RNN": "SimpleRNN"}.get(self.kind, self.kind))(H, return_sequences=True)
        x, dys = (keras.ops.convert_to_tensor(a.swapaxes(0, 1).copy()) for a in (self.xs, self.dys))
        layer.build(x.shape)
        return getattr(self, "_keras_on_" + keras.backend.backend())(layer, x, dys)

    def _keras_on_torch(self, layer, x, dys):
        import torch
        leaf = x.detach().clone().requires_grad_()

        def training():
            layer.zero_grad()
            leaf.grad = None
            layer(leaf).backward(dys)
        return {"inference": torch.no_grad()(partial(layer, x)), "training": training}

    def _keras_on_jax(self, layer, x, dys):
        import jax
        p = [v.value for v in layer.trainable_variables], [v.value for v in layer.non_trainable_variables]

        def forward(weights, x):
            return layer.stateless_call(weights, p[1], x)[0]
        run, back = jax.jit(forward), jax.jit(lambda weights, x, dys: jax.vjp(forward, weights, x)[1](dys))
        return {"inference": lambda: run(p[0], x).block_until_ready(),
                "training": lambda: jax.block_until_ready(back(p[0], x, dys))}

    def _keras_on_tensorflow(self, layer, x, dys):
        import tensorflow as tf

        @tf.function
        def back(x, dys):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
            return tape.gradient(y, [x, *layer.trainable_variables], dys)
        forward = tf.function(layer)
        return {"inference": lambda: forward(x).numpy(), "training": lambda: back(x, dys)[0].numpy()}
