"""Outputs and gradients of live layers of Keras and modules of flax, as functions of (x, dy)."""
import numpy as np


def keras_gradients(keras, layer):
    """The gradients of a layer on either back end that has them by itself."""
    names = [w.path for w in layer.trainable_weights]

    def on_torch(x, dy):
        import torch
        x = torch.tensor(x, requires_grad=True)
        y = layer(x)
        y.backward(torch.tensor(dy))
        return y.detach().numpy(), x.grad.numpy(), {w.path: w.value.grad.numpy() for w in layer.trainable_weights}

    def on_jax(x, dy):
        import jax
        values = [[w.value for w in group] for group in (layer.trainable_weights, layer.non_trainable_variables)]

        def f(trainable, x):
            return layer.stateless_call(trainable, values[1], x)[0]
        y, back = jax.vjp(f, values[0], x)
        dp, dx = back(jax.numpy.asarray(dy))
        return np.asarray(y), np.asarray(dx), dict(zip(names, map(np.asarray, dp)))
    return {"torch": on_torch, "jax": on_jax}[keras.backend.backend()]


def draw_like(jax, tree, dtype):
    """Random leaves in the structure and shapes of a tree of jax."""
    leaves, structure = jax.tree.flatten(tree)
    rng = np.random.default_rng(6)
    return jax.tree.unflatten(structure, [jax.numpy.asarray(rng.normal(size=a.shape) / 2, dtype) for a in leaves])


def _flatten(tree, path=()):
    for name, a in tree.items():
        yield from _flatten(a, (*path, name)) if hasattr(a, "items") else [("/".join((*path, name)), np.asarray(a))]


def flax_gradients(jax, f, params, plain=dict):
    """The gradients of f(params, x)."""
    def theirs(x, dy):
        y, back = jax.vjp(f, params, jax.numpy.asarray(x))
        dp, dx = back(jax.numpy.asarray(dy))
        return np.asarray(y), np.asarray(dx), dict(_flatten(plain(dp)))
    return theirs
