"""Runs one layer in one direction: by our own cell, and by the framework whose arrays it holds, where that is there."""
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy

from ..arrays import Array
from ..errors import NotSupported
from ..interop import FLAX_ACTIVATIONS, Weights, traits
from ..interop.layouts import KERAS_ACTIVATIONS
from ..interop.places import arrays_of

State = tuple[Array, ...]


def run_own(w: Weights, p: dict[str, Array], xs: Array, start: State) -> Array:
    """The outputs of our cell, step by step, on xs [T, B, ...] from an initial state."""
    state, ys = w.cell.rule.State(*start), []
    for x in xs:
        y, state, _ = w.cell.forward(p, x, state)
        ys.append(y)
    return numpy.stack(ys)


def has_form(w: Weights) -> bool:
    """True if there is a function here that runs a layer of this framework, where it is installed; none has 16 bits."""
    wide = all(a.dtype.itemsize >= 4 for a in w.arrays.values())
    return w.layout.framework in _FORMS and not w.cell.inputs.space and wide


def run_there(w: Weights, xs: Array, start: State) -> Array | None:
    """The outputs of a layer that the framework itself makes of its arrays; None where it is not installed.

    xs [T, B, I] and the initial state are in the dtype of the weights; JAX may compute in float32.
    """
    package, run = _FORMS[w.layout.framework]
    try:
        there = import_module(package)
    except ImportError:                           # not installed, or without a back end
        return None
    return numpy.asarray(run(there, w, xs, start))


def _nest(arrays: dict[str, Array]) -> dict[str, Any]:
    """{"i/kernel": a} -> {"i": {"kernel": a}}."""
    tree: dict[str, Any] = {}
    for name, a in arrays.items():
        *path, last = name.split("/")
        inner = tree
        for word in path:
            inner = inner.setdefault(word, {})
        inner[last] = a
    return tree


def _run_steps(step: Callable, xs: Array, state: Any) -> list:
    """The outputs of a function (state, x) -> (state, y)."""
    ys = []
    for x in xs:
        state, y = step(state, x)
        ys.append(numpy.asarray(y))
    return ys


def _sizes(w: Weights) -> tuple[int, int]:
    """(inputs, units)."""
    p = w.load()
    return p["W"].shape[-2], w.cell.units(p)


def _name_activation(table: dict[str, Any], activation: Any) -> str:
    for name, known in table.items():
        if known == activation:
            return name
    raise NotSupported("convert", f"{activation} by a name of the framework", known=" ".join(table))


# torch

_TORCH = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def make_torch(torch: Any, w: Weights, cell: bool = False) -> Any:
    """A module with these weights: torch.nn.LSTM, or LSTMCell."""
    options, (n_in, units) = traits(w.cell), _sizes(w)
    made = {"bias": options["bias"]} | ({"nonlinearity": options["activation"].name} if "activation" in options else {})
    made |= {"proj_size": options["projection"]} if options.get("projection") else {}
    tensors = {name: torch.tensor(a) for name, a in w.arrays.items()}
    module = getattr(torch.nn, _TORCH[w.layout.family] + "Cell" * cell)(n_in, units, **made)
    module = module.to(next(iter(tensors.values())).dtype)
    module.load_state_dict(tensors)
    return module


def _run_torch(torch: Any, w: Weights, xs: Array, start: State) -> Array:
    state = tuple(torch.tensor(a)[None] for a in start)
    with torch.no_grad():
        return make_torch(torch, w)(torch.tensor(xs), state if len(state) > 1 else state[0])[0].numpy()


def _run_torch_cell(torch: Any, w: Weights, xs: Array, start: State) -> list:
    module = make_torch(torch, w, cell=True)

    def step(state: Any, x: Array) -> tuple:
        state = module(torch.tensor(x), state)
        return state, (state[0] if isinstance(state, tuple) else state).numpy()
    state = tuple(map(torch.tensor, start))
    with torch.no_grad():
        return _run_steps(step, xs, state if len(state) > 1 else state[0])


# Keras

_KERAS = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU", "gru before": "GRU"}


def make_keras(keras: Any, w: Weights) -> Any:
    """A layer with these weights, which returns all outputs."""
    options, (n_in, units) = traits(w.cell), _sizes(w)
    made = {"use_bias": options["bias"], "dtype": str(next(iter(w.arrays.values())).dtype), "return_sequences": True}
    if "reset" in options:
        made["reset_after"] = options["reset"] == "after"
    inner = options.get("activation", options.get("candidate"))
    made["activation"] = _name_activation(KERAS_ACTIVATIONS, inner)
    if "gate" in options:
        made["recurrent_activation"] = _name_activation(KERAS_ACTIVATIONS, options["gate"])
    layer = getattr(keras.layers, _KERAS[w.layout.family])(units, **made)
    layer.build((None, None, n_in))
    layer.set_weights([w.arrays[name] for name in arrays_of(w.layout) if name in w.arrays])
    return layer


def _run_keras(keras: Any, w: Weights, xs: Array, start: State) -> Array:
    layer = make_keras(keras, w)
    state = [keras.ops.convert_to_tensor(a) for a in start]
    ys = layer(keras.ops.convert_to_tensor(xs.swapaxes(0, 1)), initial_state=state)
    return keras.ops.convert_to_numpy(ys).swapaxes(0, 1)


# JAX

_FLAX = {"rnn": "SimpleCell", "lstm": "LSTMCell", "gru": "GRUCell", "mgu": "MGUCell", "ugrnn": "MGUCell"}


def _flax_options(jax: Any, w: Weights) -> dict[str, Any]:
    """The functions that a cell of flax is made with."""
    def function(activation: Any) -> Any:
        name = _name_activation(FLAX_ACTIVATIONS, activation)
        return (lambda x: x) if name == "identity" else getattr(jax.numpy if name == "tanh" else jax.nn, name)
    options = traits(w.cell)
    if "activation" in options:
        return {"activation_fn": function(options["activation"]), "residual": options["residual"]}
    return {"gate_fn": function(options["gate"]), "activation_fn": function(options["candidate"])}


def _carry(state: State) -> Any:
    """The state as flax has it: (c, h), or h."""
    return state[::-1] if len(state) > 1 else state[0]


def _run_flax(linen: Any, w: Weights, xs: Array, start: State) -> list:
    options = _flax_options(import_module("jax"), w)
    if w.layout.family in ("mgu", "ugrnn"):
        options["reset_gate"] = w.layout.family == "mgu"
    cell = getattr(linen, _FLAX[w.layout.family])(_sizes(w)[1], **options)
    params = {"params": _nest(w.arrays)}
    return _run_steps(lambda state, x: cell.apply(params, state, x), xs, _carry(start))


def _run_nnx(nnx: Any, w: Weights, xs: Array, start: State) -> list:
    kind = "OptimizedLSTMCell" if w.layout.framework == "nnx optimized" else _FLAX[w.layout.family]
    options = _flax_options(import_module("jax"), w)
    if w.layout.family == "rnn":
        options["residual"] = bool(options["residual"])
    cell = getattr(nnx, kind)(*_sizes(w), rngs=nnx.Rngs(0), **options)
    state = nnx.state(cell, nnx.Param)
    nnx.replace_by_pure_dict(state, _nest({n: import_module("jax").numpy.asarray(a) for n, a in w.arrays.items()}))
    nnx.update(cell, state)
    return _run_steps(cell, xs, _carry(tuple(map(import_module("jax").numpy.asarray, start))))


def _run_equinox(equinox: Any, w: Weights, xs: Array, start: State) -> list:
    jax = import_module("jax")
    kind, bias = {"lstm": "LSTMCell", "gru": "GRUCell"}[w.layout.family], traits(w.cell)["bias"]
    cell = getattr(equinox.nn, kind)(*_sizes(w), use_bias=bias, key=jax.random.PRNGKey(0))
    arrays = {name: jax.numpy.asarray(a) for name, a in w.arrays.items()}
    cell = equinox.tree_at(lambda m: [getattr(m, name) for name in arrays], cell, list(arrays.values()))

    def step(state: Any, x: Array) -> tuple:
        state = jax.vmap(cell)(x, state)
        return state, state[0] if isinstance(state, tuple) else state
    return _run_steps(step, xs, start if len(start) > 1 else start[0])


_HAIKU = {"rnn": "VanillaRNN", "lstm": "LSTM", "gru before": "GRU"}
_HAIKU_SCOPES = {"rnn": "vanilla_rnn", "lstm": "lstm", "gru before": "gru"}


def _run_haiku(haiku: Any, w: Weights, xs: Array, start: State) -> list:
    jax, params = import_module("jax"), {}
    for name, a in w.arrays.items():
        path, _, last = f"{_HAIKU_SCOPES[w.layout.family]}/{name}".rpartition("/")
        params.setdefault(path, {})[last] = jax.numpy.asarray(a)
    units = _sizes(w)[1]
    pure = haiku.without_apply_rng(haiku.transform(lambda x, s: getattr(haiku, _HAIKU[w.layout.family])(units)(x, s)))

    def step(state: Any, x: Array) -> tuple:
        y, state = pure.apply(params, x, state)
        return state, y
    return _run_steps(step, xs, haiku.LSTMState(*start) if len(start) > 1 else start[0])


# MLX

_MLX = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}


def _run_mlx(mlx: Any, w: Weights, xs: Array, start: State) -> Array:
    array, options = import_module("mlx.core").array, traits(w.cell)
    made = {"bias": options["bias"]}
    if "activation" in options:
        made["nonlinearity"] = getattr(mlx, options["activation"].name)
    layer = getattr(mlx, _MLX[w.layout.family])(*_sizes(w), **made)
    layer.update({name: array(a) for name, a in w.arrays.items()})
    returned = layer(array(xs.swapaxes(0, 1)), *map(array, start))
    return numpy.asarray(returned[0] if isinstance(returned, tuple) else returned).swapaxes(0, 1)


# framework -> (the package to import, the function that runs a layer of it)
_FORMS: dict[str, tuple[str, Callable]] = {
    "torch": ("torch", _run_torch), "torch cell": ("torch", _run_torch_cell), "keras": ("keras", _run_keras),
    "flax": ("flax.linen", _run_flax), "nnx": ("flax.nnx", _run_nnx), "nnx optimized": ("flax.nnx", _run_nnx),
    "equinox": ("equinox", _run_equinox), "haiku": ("haiku", _run_haiku), "mlx": ("mlx.nn", _run_mlx)}
