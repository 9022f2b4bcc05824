"""Layers that are no recurrent ones beside Keras 3: outputs, gradients, masks, weights, averages, configurations."""
import json

import numpy as np
import pytest

import rnnref.layers as ours
from rnnref import Record, initializers, regularizers
from rnnref.nest import flatten, map_structure
from rnnref.testing.api import assert_close
from rnnref.values import masks, numbers
from tests.support.simple_layer_cases import CASES, IDS, LIVE, X, arguments, made

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")]
THERE = [name for name, case in CASES.items() if case.keras]


def tensors(a):
    import torch

    def tensor(a):
        return torch.tensor(a, requires_grad=True) if a.dtype.kind == "f" else torch.tensor(a)
    return map_structure(lambda a: tensor(a) if isinstance(a, np.ndarray) else a, a)


def arrays(a):
    return map_structure(lambda a: a.detach().numpy() if hasattr(a, "detach") else a, a)


class Pair:
    """The layer of a case and Keras's, with the same weights."""

    def __init__(self, name, dtype="float32"):    # Keras computes some of float64 in float32
        import keras
        case = CASES[name]
        self.ours, self.theirs = made(name, dtype), case.make(keras.layers, dtype=dtype)
        self.x, self.options = arguments(name, dtype), dict(case.options)
        self.mask = self.options.pop("mask", None)
        self.theirs(self.inputs(), **self.options)                             # builds it
        assert [w.shape for w in self.theirs.get_weights()] == [w.shape for w in self.ours.weights]
        self.theirs.set_weights(self.ours.get_weights())

    def inputs(self):
        """Tensors with the masks that layers before would have set."""
        x = tensors(self.x)
        for a, mask in zip(*((x, self.mask) if isinstance(x, list) and self.mask else ([x], [self.mask]))):
            if mask is not None:
                a._keras_mask = tensors(mask)
        return x

    def call(self):
        """What both give, ours as values."""
        record = Record()
        with record:
            every = self.mask + [None] if isinstance(self.mask, list) else [self.mask] * 3
            v = [record.leaf(a, m) for a, m in zip(flatten(self.x), every)]
            y = self.ours(v if isinstance(self.x, list) else v[0], **self.options)
        x = self.inputs()
        return record, v, y, x, self.theirs(x, **self.options)


@pytest.mark.parametrize("name", THERE)
def test_values_gradients_masks_and_what_is_left(name):
    import torch
    pair = Pair(name)
    record, v, y, x, out = pair.call()
    assert_close(numbers(y), arrays(out), "path")
    dy = map_structure(lambda a: np.random.default_rng(3).normal(size=a.shape).astype(a.dtype), numbers(y))
    wanted = [a for a in flatten(x) if a.requires_grad] + [w.value for w in pair.theirs.trainable_variables]
    loss = sum((a * torch.tensor(d)).sum() for a, d in zip(flatten(out), flatten(dy)))
    want = (torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True) if loss.requires_grad
            else [torch.zeros_like(a) for a in wanted])           # where all is dropped
    found = record.backward(y, dy)
    got = [found[a] for a in v if a.number is not None] + [found[w] for w in pair.ours.trainable_weights]
    got = [np.zeros(w.shape, "float32") if g is None else g for g, w in zip(got, want)]
    assert_close(got, arrays(list(want)), "gradient")
    assert_close(pair.ours.get_weights(), [w.value.detach().numpy() for w in pair.theirs.weights], "path")
    for a, b in list(zip(flatten(y), flatten(out)))[:1]:
        mask, theirs = masks(a), getattr(b, "_keras_mask", None)
        assert (mask is None) == (theirs is None)
        assert mask is None or np.array_equal(mask, theirs.numpy())
    assert bool(pair.ours.supports_masking) == bool(pair.theirs.supports_masking)


@pytest.mark.parametrize("name", THERE)
def test_weights(name):
    pair = Pair(name)
    assert [w.name for w in pair.ours.weights] == [w.name for w in pair.theirs.weights]
    paths, their = ([w.path.split("/", 1)[1] for w in layer.weights] for layer in (pair.ours, pair.theirs))
    assert paths == their or "PReLU" in name or "layer" in name
    for kind in ("trainable_weights", "non_trainable_weights"):
        theirs = [w for w in getattr(pair.theirs, kind) if "seed" not in w.name]
        assert [w.name for w in getattr(pair.ours, kind)] == [w.name for w in theirs]
    assert pair.ours.count_params() == pair.theirs.count_params()


@pytest.mark.parametrize("name", THERE)
def test_shapes(name):
    pair = Pair(name)
    shape = map_structure(lambda a: (None, *a.shape[1:]), pair.x)
    if name in ("Attention scores", "Dense glu"):
        return                                    # of Keras, the shape of y alone; and another than that of y
    assert pair.ours.compute_output_shape(shape) == pair.theirs.compute_output_shape(shape)


@pytest.mark.parametrize("name", [name for name in THERE if "PReLU" not in name and "layer" not in name])
def test_configurations(name):
    """Ours makes theirs, theirs makes ours, and both are JSON."""
    import keras
    pair = Pair(name)
    theirs = CASES[name].make(keras.layers)       # not built: that changes some
    config, their = (json.loads(json.dumps(layer.get_config())) for layer in (pair.ours, theirs))
    cls = type(theirs)
    assert {k for k in their if k not in config} <= {"activity_regularizer", "quantization_config"}
    back = cls.from_config(dict(config))
    assert type(back) is cls and same(back.get_config(), their | {"name": config["name"]})
    again = type(pair.ours).from_config(dict(their))
    assert type(again) is type(pair.ours) and again.get_config() == config | {"name": their["name"]}
    layer = keras.layers.deserialize({"module": "keras.layers", "class_name": cls.__name__, "config": config})
    assert type(layer) is cls


def same(a, b):
    """Whether configurations are the same, but for what a seed is made of."""
    return json.loads(json.dumps(a)) == json.loads(json.dumps(b))


def test_options_of_weights():
    import keras

    def make(L, I, R, C):
        return L.Dense(3, kernel_initializer=I.HeNormal(seed=1), kernel_regularizer=R.L1L2(0.1, 0.2),
                       bias_regularizer="l2", bias_initializer="ones", activity_regularizer=R.L2(0.3),
                       kernel_constraint=C.MaxNorm(2), bias_constraint="non_neg", dtype="float64")
    from rnnref import constraints
    a = make(ours, initializers, regularizers, constraints)
    b = make(keras.layers, keras.initializers, keras.regularizers, keras.constraints)
    b(X)
    a(X)
    a.set_weights(b.get_weights())
    a(X)
    found, wanted = sorted(float(a) for a in a.losses), sorted(a.detach().item() for a in b.losses)
    assert_close(np.array(found, "float32"), np.array(wanted, "float32"), "gradient")
    theirs, config = b.get_config(), a.get_config()
    again = ours.Dense.from_config(theirs).get_config()
    assert {k: v for k, v in again.items() if k != "name"} == {k: v for k, v in config.items() if k != "name"}
    assert same(keras.layers.Dense.from_config(config).get_config(), theirs | {"name": config["name"]})


@pytest.mark.parametrize("training", (False, True))
def test_a_frozen_batch_normalization_runs_as_in_inference(training):
    import keras
    a, b, x = ours.BatchNormalization(), keras.layers.BatchNormalization(), X.astype("float32")
    a(x)
    b.build(x.shape)
    a.trainable = b.trainable = False
    assert_close(a(x, training=training), b(x, training=training).detach().numpy(), "path")
    assert_close(a.get_weights(), b.get_weights(), "path")


def test_masks_travel_as_in_keras():
    import keras

    def make(L):
        return [L.Embedding(7, 4, mask_zero=True), L.Dense(3), L.BatchNormalization(), L.LayerNormalization(),
                L.Activation("tanh"), L.Dropout(0.2), L.SpatialDropout1D(0.2), L.ReLU(), L.GlobalAveragePooling1D()]
    a, b = make(ours), make(keras.layers)
    with Record() as record:
        x, z = record.constant(IDS), keras.ops.convert_to_tensor(IDS)
        for one, other in zip(a, b):
            x, z = one(x), other(z)
            found = getattr(z, "_keras_mask", None)
            mask = masks(x)
            assert (mask is None) == (found is None), one
            assert mask is None or np.array_equal(mask, found.numpy())


@pytest.mark.parametrize("make", (lambda L: L.Flatten(), lambda L: L.Reshape((20,)), lambda L: L.Permute((2, 1)),
                                  lambda L: L.GlobalMaxPooling1D(), lambda L: L.RMSNormalization()))
def test_masks_are_dropped_with_a_warning_as_in_keras(make):
    import keras
    a, b = make(ours), make(keras.layers)
    z = keras.ops.convert_to_tensor(X.astype("float32"))
    z._keras_mask = keras.ops.convert_to_tensor(LIVE)
    with pytest.warns(UserWarning, match="does not support"):
        b(z)
    with Record() as record, pytest.warns(UserWarning, match="does not support"):
        assert masks(a(record.constant(X.astype("float32"), LIVE))) is None


def test_every_name_of_keras_is_there_or_refused():
    import keras

    absent = vars(ours)["__getattr__"].reasons
    names = {name for name in dir(keras.layers) if not name.startswith("_")}
    assert not names - set(absent) - set(vars(ours))
    assert not set(absent) & set(vars(ours)) and not set(absent) - names
