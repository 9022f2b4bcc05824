"""Models beside those of Keras that are written alike: values, gradients, weights, configurations, summaries."""
import json
import warnings

import numpy as np
import pytest

import rnnref
from rnnref import Record, models
from rnnref.identifiers import clear_names
from rnnref.nest import align, flatten, map_structure
from rnnref.testing.api import assert_close
from rnnref.values import numbers
from tests.support.model_cases import CASES, IS_GRAPH, made

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]


def tensors(tree):
    import torch
    return map_structure(lambda a: torch.tensor(a, requires_grad=a.dtype.kind == "f"), tree)


def pair(name, keras):
    ours, theirs = made(name), made(name, keras)
    for w in ours.weights:                        # zeros and ones would hide an exchange
        w.assign(w.numpy() + 0.1 * np.random.default_rng(w.size).random(w.shape))
    theirs.set_weights(ours.get_weights())
    return ours, theirs


@pytest.mark.parametrize("training", (False, True))
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients(name, training, keras):
    import torch
    if training and name in ("late chain", "subclass"):
        return                                    # dropout draws other noise
    ours, theirs = pair(name, keras)
    x = tensors(CASES[name][1])
    out = theirs(x, training=training)
    with Record(training=training) as record:
        v = map_structure(record.leaf, CASES[name][1])
        y = ours(v)
    assert_close(numbers(y), map_structure(lambda a: a.detach().numpy(), out), "path")
    dy = map_structure(lambda a: np.random.default_rng(2).normal(size=a.shape).astype(a.dtype), numbers(y))
    loss = sum((a * torch.tensor(d)).sum() for a, d in zip(flatten(out), align(out, dy)))
    wanted = [a for a in flatten(x) if a.requires_grad] + [w.value for w in theirs.trainable_variables]
    want = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
    found = record.backward(y, dy)
    got = [found[a] for a in flatten(v) if a.number is not None] + [found[w] for w in ours.trainable_weights]
    got = [np.zeros(w.shape, "float32") if g is None else g for g, w in zip(got, want)]
    assert_close(got, [a.numpy() for a in want], "gradient")
    assert_close(ours.get_weights(), theirs.get_weights(), "path")                  # moving averages too


@pytest.mark.parametrize("name", CASES)
def test_weights_and_layers(name, keras):
    ours, theirs = made(name), made(name, keras)
    theirs_weights = [w for w in theirs.weights if "seed" not in w.name]
    assert [w.shape for w in ours.weights] == [w.shape for w in theirs_weights]
    assert [w.path for w in ours.weights] == [w.path for w in theirs_weights]
    for kind in ("trainable_weights", "non_trainable_weights"):
        assert [w.path for w in getattr(ours, kind)] == [
            w.path for w in getattr(theirs, kind) if "seed" not in w.name]
    assert ours.count_params() == theirs.count_params() and ours.name == theirs.name
    assert type(ours).__name__ == type(theirs).__name__
    if name != "middle":                          # whose input Keras calls keras_tensor_4CLONE
        assert [a.name for a in ours.layers] == [a.name for a in theirs.layers]
    if name in IS_GRAPH:
        assert ours.input_shape == theirs.input_shape and ours.output_shape == theirs.output_shape
        for kind in ("inputs", "outputs"):
            assert [(s.shape, s.dtype.name) for s in getattr(ours, kind)] == [
                (s.shape, s.dtype) for s in getattr(theirs, kind)]
        if hasattr(theirs, "output_names") and not hasattr(theirs, "add"):
            assert ours.output_names == theirs.output_names


OPTIONS = ({}, {"show_trainable": True, "expand_nested": True}, {"line_length": 60}, {"line_length": 130},
           {"layer_range": (".*", "dense.*")})


@pytest.mark.parametrize("built", (True, False))
@pytest.mark.parametrize("name", CASES)
def test_summaries(name, built, keras, monkeypatch):
    monkeypatch.setenv("COLUMNS", "150")
    if name in ("middle", "several inputs"):      # in Keras a mask is a row, and the middle of a model has a clone
        return
    texts = []
    for k in (rnnref, keras):
        clear_names()
        model = made(name, k) if built else CASES[name][0](k)
        if name != "chain":
            model.layers[1].trainable = False
        texts.append([])
        for options in OPTIONS:
            if "layer_range" not in options or any("dense" in layer.name for layer in model.layers):
                model.summary(print_fn=texts[-1].append, **options)
    ours, theirs = texts
    for a, b in zip(ours, theirs, strict=True):
        assert a == b, f"{a}\n{b}"


def test_a_long_name_is_cut(keras, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    texts = []
    for k in (rnnref, keras):
        clear_names()
        x = k.Input((3,))
        y = k.layers.Dense(1000, name="a_name_of_a_layer_that_is_far_too_long_for_the_column_of_names")(x)
        model = k.Model(x, [y, k.ops.expand_dims(y, 1)])
        model.summary(print_fn=texts.append)
        model.summary(print_fn=texts.append, positions=[0.3, 0.65, 1.0])
    assert texts[:2] == texts[2:]


@pytest.mark.parametrize("name", IS_GRAPH)
def test_configurations_of_keras_make_our_models(name, keras):
    theirs = made(name, keras)
    ours = models.model_from_json(theirs.to_json())
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    ours.set_weights(theirs.get_weights())
    x = CASES[name][1]
    got, want = ours(x), theirs(tensors(x))
    assert_close(got, map_structure(lambda a: a.detach().numpy(), want), "path")


@pytest.mark.parametrize("name", [name for name in IS_GRAPH if name not in ("several inputs", "nested models",
                                                                            "attention")])
def test_our_configurations_make_models_of_keras(name, keras):
    ours = made(name)
    config = json.loads(json.dumps(models.model.configs.serialize(ours)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = keras.saving.deserialize_keras_object(config)
    theirs.set_weights(ours.get_weights())
    x = CASES[name][1]
    assert_close(ours(x), map_structure(lambda a: a.detach().numpy(), theirs(tensors(x))), "path")
