"""Initializers, regularizers, constraints and activations: values, names, configurations, refusals."""
import json

import numpy as np
import pytest

from rnnref import NotSupported, Record, ShapeError, activations, constraints, init, initializers, ops, regularizers
from rnnref.layers import Layer
from rnnref.testing.api import assert_close, assert_same

W = np.random.default_rng(0).normal(size=(4, 3)) * 2
MODULES = (activations, constraints, initializers, regularizers)


class Third(regularizers.Regularizer):
    """One of a user."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def __call__(self, x):
        return self.factor * ops.sum(x * x * x)


def mine(x):
    return x * 2


# names and configurations

@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_every_member_has_its_names_and_comes_back_from_its_configuration(module):
    family = module._FAMILY
    for name, member in family.by_name.items():
        made = module.get(name)
        assert made is member if module is activations else isinstance(made, member)
        config = json.loads(json.dumps(module.serialize(made)))
        again = module.deserialize(config)
        assert module.serialize(again) == config and type(again) is type(made)
    for name in family.by_name:
        if name.isidentifier() and name not in ("zero", "one", "uniform", "normal", "nonneg", "l1l2"):
            assert getattr(module, name) is family.by_name[name]          # as in Keras, also a name of the module
    assert module.get(mine) is mine
    with pytest.raises(NotSupported, match=f"{family.noun}: 'glorot'"):
        module.get("glorot")
    with pytest.raises(NotSupported, match=f"{family.noun}: an int, 3"):
        module.get(3)


def test_none_is_none_or_linear():
    assert all(m.get(None) is None for m in MODULES[1:]) and activations.get(None) is activations.linear


def test_classes_are_made():
    assert isinstance(regularizers.get(regularizers.L2), regularizers.L2)


def test_what_users_wrote_comes_back_from_custom_objects():
    config = regularizers.serialize(Third(2.0))
    assert config == {"module": __name__, "class_name": "Third", "config": {"factor": 2.0}, "registered_name": "Third"}
    assert regularizers.deserialize(config, {"Third": Third}).factor == 2.0
    with pytest.raises(NotSupported, match="'Third' of .*test_identifiers"):
        regularizers.deserialize(config)
    config = activations.serialize(mine)
    assert activations.deserialize(config, {"mine": mine}) is mine
    assert activations.deserialize("mine", {"mine": mine}) is mine
    with pytest.raises(NotSupported, match="'mine' of builtins"):
        activations.deserialize(config)
    with pytest.raises(NotSupported, match="a lambda has no name"):
        activations.serialize(lambda x: x)


# regularizers

@pytest.mark.parametrize("regularizer, want", (
    (regularizers.L1(0.3), 0.3 * abs(W).sum()), (regularizers.L2(0.3), 0.3 * (W ** 2).sum()),
    (regularizers.L1L2(0.1, 0.2), 0.1 * abs(W).sum() + 0.2 * (W ** 2).sum()), (regularizers.L1L2(), 0.0),
    (regularizers.L1L2(l2=0.2), 0.2 * (W ** 2).sum())), ids=repr)
def test_regularizers(regularizer, want):
    assert abs(float(regularizer(W)) - want) < 1e-12 and regularizer(W.astype("f4")).dtype == "float32"


@pytest.mark.parametrize("mode", ("rows", "columns"))
def test_orthogonal_regularizer(mode):
    rows = W if mode == "rows" else W.T
    rows = rows / np.sqrt((rows ** 2).sum(1, keepdims=True))
    cosines = [abs(rows[i] @ rows[j]) for i in range(len(rows)) for j in range(i)]
    assert abs(float(regularizers.OrthogonalRegularizer(0.5, mode)(W)) - 0.5 * np.mean(cosines)) < 1e-12
    with pytest.raises(ShapeError, match="expected a matrix"):
        regularizers.OrthogonalRegularizer()(W[0])


@pytest.mark.parametrize("regularizer", (regularizers.L1(0.3), regularizers.L2(0.3), regularizers.L1L2(0.1, 0.2),
                                         regularizers.OrthogonalRegularizer(0.5),
                                         regularizers.OrthogonalRegularizer(0.5, "columns")), ids=repr)
def test_gradients_of_regularizers(regularizer):
    with Record() as record:
        w = record.leaf(W)
        loss = regularizer(w)
    v = np.random.default_rng(1).normal(size=W.shape)
    numeric = sum(c * (regularizer(W + k * 1e-3 * v) - regularizer(W - k * 1e-3 * v))
                  for k, c in ((1, 45 / 60), (2, -9 / 60), (3, 1 / 60))) / 1e-3
    d = record.backward(loss)[w]
    assert abs(float(numeric) - (d * v).sum()) < 1e-9 * np.sqrt((d * d).sum() * (v * v).sum())


@pytest.mark.parametrize("make", (lambda: regularizers.L1(-1), lambda: regularizers.L2(float("nan")),
                                  lambda: regularizers.L1L2(l2="x"), lambda: constraints.MaxNorm(-1),
                                  lambda: constraints.UnitNorm("x"), lambda: initializers.VarianceScaling(0),
                                  lambda: initializers.VarianceScaling(mode="in"), lambda: initializers.HeNormal("x"),
                                  lambda: regularizers.OrthogonalRegularizer(mode="all")))
def test_arguments_are_checked(make):
    with pytest.raises(NotSupported, match="expected|known"):
        make()


# constraints

def test_constraints():
    norm = np.sqrt((W ** 2).sum(0))
    assert_close(constraints.NonNeg()(W), np.maximum(W, 0), "path")
    assert_close(constraints.UnitNorm()(W), W / (norm + 1e-7), "path")
    assert_close(constraints.MaxNorm(2.0)(W), W * np.minimum(norm, 2) / (norm + 1e-7), "path")
    wanted = 0.3 * np.clip(norm, 3.0, 3.5) + 0.7 * norm
    assert_close(constraints.MinMaxNorm(3.0, 3.5, 0.3)(W), W * wanted / (norm + 1e-7), "path")
    assert_close(constraints.UnitNorm(axis=[0, 1])(W), W / (np.sqrt((W ** 2).sum()) + 1e-7), "path")
    assert constraints.MaxNorm()(W.astype("f4")).dtype == "float32"


# initializers

def moments(name, shape, **options):
    a = initializers.get({"class_name": name, "config": {"seed": 0, **options}})(shape, "float64")
    return a, a.mean(), a.std()


@pytest.mark.parametrize("name, variance, bound", (
    ("GlorotUniform", 2 / 500, np.sqrt(6 / 500)), ("GlorotNormal", 2 / 500, None),
    ("HeUniform", 2 / 300, np.sqrt(6 / 300)), ("HeNormal", 2 / 300, None),
    ("LecunUniform", 1 / 300, np.sqrt(3 / 300)), ("LecunNormal", 1 / 300, None)))
def test_variance_scaling(name, variance, bound):
    a, mean, std = moments(name, (300, 200))
    assert abs(mean) < 5e-4 and abs(std / np.sqrt(variance) - 1) < 0.01
    assert abs(a).max() <= (bound or 2 * np.sqrt(variance) / init.DEVIATION_WITHIN_2)
    _, _, other = moments(name, (300, 200), input_axes=[1], output_axes=[0])
    assert abs(other / std - (1 if "Glorot" in name else np.sqrt(300 / 200))) < 0.02
    _, _, convolved = moments(name, (3, 100, 200))
    assert abs(convolved / std - (np.sqrt(500 / 900) if "Glorot" in name else 1)) < 0.02


def test_other_distributions():
    a, mean, std = moments("RandomNormal", (300, 200), mean=2.0, stddev=0.5)
    assert abs(mean - 2) < 0.01 and abs(std - 0.5) < 0.005 and abs(a - 2).max() > 1
    a, mean, std = moments("TruncatedNormal", (300, 200), mean=2.0, stddev=0.5)
    assert abs(mean - 2) < 0.01 and abs(std - 0.5 * init.DEVIATION_WITHIN_2) < 0.005 and abs(a - 2).max() <= 1
    a, mean, _ = moments("RandomUniform", (300, 200), minval=1.0, maxval=2.0)
    assert abs(mean - 1.5) < 0.01 and a.min() >= 1 and a.max() < 2
    a, _, std = moments("VarianceScaling", (300, 200), mode="fan_out", distribution="untruncated_normal", scale=3.0)
    assert abs(std / np.sqrt(3 / 200) - 1) < 0.01 and abs(a).max() > 3 * std


def test_constants_and_matrices():
    assert_same(initializers.Constant(3)((2,)), np.full(2, 3, "float32"))
    assert_same(initializers.Constant(W)((4, 3), "float64"), W)
    assert_same(initializers.get(W)((4, 3), "float64"), W)
    assert_same(initializers.Identity(2.0)((2, 3)), 2 * np.eye(2, 3, dtype="float32"))
    q = initializers.Orthogonal(gain=2.0, seed=0)((2, 3, 4), "float64").reshape(6, 4)
    assert_close(q.T @ q, 4 * np.eye(4), "path")
    for f, shape in ((initializers.get(W), (3, 3)), (initializers.Constant(W), (3, 3)), (initializers.Identity(), (2,)),
                     (initializers.Orthogonal(), (2,))):
        with pytest.raises(ShapeError, match="expected"):
            f(shape)


def test_seeds():
    make = initializers.HeNormal
    assert_same(make(seed=3)((4, 5)), make(seed=3)((4, 5)))
    f = make(seed=3)
    assert_same(f((4, 5)), f((4, 5)))             # the same numbers every time
    f = make(seed=np.random.default_rng(3))
    assert np.any(f((4, 5)) != f((4, 5)))
    with pytest.raises(NotSupported, match="with a generator as seed"):
        f.get_config()
    assert np.any(make()((4, 5)) != make()((4, 5)))
    rngs = [np.random.default_rng(1) for _ in range(2)]
    assert_same(make()((4, 5), rng=rngs[0]), make()((4, 5), rng=rngs[1]))
    assert make(seed=3).clone().seed == 3


def test_a_layer_draws_with_its_own_seed():
    class Own(initializers.Initializer):
        def __call__(self, shape, dtype=None):
            return np.full(shape, 7, dtype)

    def at(seed, initializer):
        return Layer(seed=seed).add_weight((4, 5), initializer).numpy()
    assert_same(at(1, "he_normal"), at(1, initializers.HeNormal()))
    assert np.any(at(1, "he_normal") != at(2, "he_normal"))
    assert_same(at(1, initializers.HeNormal(seed=5)), at(2, initializers.HeNormal(seed=5)))
    for initializer in (Own(), Own, lambda shape, dtype=None: np.full(shape, 7), lambda rng, shape: np.full(shape, 7)):
        assert_same(at(1, initializer), np.full((4, 5), 7, "float32"))


def test_what_is_not_there_is_refused():
    for ask in (lambda: initializers.STFT, lambda: initializers.get("stft"),
                lambda: initializers.deserialize({"class_name": "STFT", "config": {}})):
        with pytest.raises(NotSupported, match="there is no signal processing"):
            ask()
    with pytest.raises(AttributeError):
        initializers.Glorot


# activations

X = np.random.default_rng(2).normal(size=(3, 4)) * 3


@pytest.mark.parametrize("name", [f.__name__ for f in activations.MEMBERS if f is not activations.threshold])
def test_activations_as_pairs_are_what_a_record_finds(name):
    f = activations.get(name)
    with Record() as record:
        x = record.leaf(X)
        y = f(x)
    dy = np.random.default_rng(3).normal(size=y.shape)
    got, kept = activations.forward(f, X)
    assert_same((got, activations.backward(f, kept, dy)[0]), (y.data, record.backward(y, dy)[x]))


def test_relu():
    x = np.array([-2.0, 0.25, 0.75, 9.0])
    assert_same(activations.relu(x), np.array([0, 0.25, 0.75, 9]))
    assert_same(activations.relu(x, max_value=6.0), np.array([0, 0.25, 0.75, 6]))
    assert_same(activations.relu(x, 0.5), np.array([-1, 0.25, 0.75, 9]))
    assert_same(activations.relu(x, 0.5, 6.0, 0.5), np.array([-1.25, -0.125, 0.75, 6]))


def test_an_activation_that_leaves_the_record_is_refused():
    with pytest.raises(NotSupported, match="its gradient would be lost"):
        activations.forward(lambda x: np.ones(3), X)


# Keras

@pytest.mark.peers
class TestKeras:
    def test_values(self):
        import keras
        w = W.astype("float32")                   # in which Keras computes some of them whatever it is given

        def theirs(f, a, **options):
            return f(keras.ops.convert_to_tensor(a), **options).numpy()
        for ours in (regularizers.L1(0.5), regularizers.L2(0.5), regularizers.L1L2(0.5, 0.25),
                     regularizers.OrthogonalRegularizer(0.5, "columns")):
            f = keras.regularizers.deserialize(regularizers.serialize(ours))
            assert_close(np.asarray(ours(w)), theirs(f, w), "path")
        for ours in (constraints.MaxNorm(1.5, 1), constraints.UnitNorm(), constraints.NonNeg(),
                     constraints.MinMaxNorm(0.5, 1.5, 0.4, axis=1)):
            assert_close(ours(w), theirs(keras.constraints.deserialize(constraints.serialize(ours)), w), "path")
        for f in activations.MEMBERS:
            if f is not activations.threshold:
                assert_close(f(X), theirs(keras.activations.get(f.__name__), X), "path")
        for options in ({"max_value": 2.0}, {"negative_slope": 0.25}, {"threshold": 0.5},
                        {"negative_slope": 0.25, "max_value": 2.0, "threshold": 0.5}):
            assert_close(activations.relu(X, **options), theirs(keras.activations.relu, X, **options), "path")

    @pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
    def test_names_and_configurations(self, module):
        import keras
        theirs = getattr(keras, module._FAMILY.noun)
        names = {name for name in dir(theirs) if not name.startswith("_")} - {"STFT", "stft", "STFTInitializer"}
        assert not {name for name in names if not hasattr(module, name)}
        for member in module.MEMBERS:
            a = getattr(theirs, member.__name__)
            own = (0.5,) * (module is regularizers)               # Keras stores some factors in float32
            a = a if module is activations else a(*own)
            config = module.serialize(member if module is activations else member(*own))
            back = module.deserialize(theirs.serialize(a))
            if member is not initializers.Identity:               # Keras forgets its gain
                assert_close(theirs.serialize(theirs.deserialize(config)), theirs.serialize(a), "path")
            assert_close(module.serialize(back), config, "path")
