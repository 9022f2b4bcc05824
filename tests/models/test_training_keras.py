"""Training beside Keras from the same weights on the same batches: loss curves, histories, results of all forms."""

import numpy as np
import pytest

import rnnref
from rnnref.check.tolerance import tolerance
from rnnref.nest import flatten
from tests.support.training_cases import CASES, CLASSES, X, Y, Z, outputs_by_name, two_outputs

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]

CURVE = tolerance("curve", "float32")


def pair(make, keras):
    """Our model and that of Keras, with the same weights."""
    ours, theirs = make(rnnref), make(keras)
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def compile_both(models, keras, rate=0.01, optimizer="Adam", **options):
    for model, k in zip(models, (rnnref, keras)):
        model.compile(getattr(k.optimizers, optimizer)(rate), **options)


def assert_near(got, want):
    """Outputs after training."""
    np.testing.assert_allclose(got, want, CURVE, CURVE)


def assert_curves(got, want):
    """The same names in the same order, and numbers within the tolerance of curves, relative."""
    assert list(got) == list(want)
    for name in want:
        np.testing.assert_allclose(got[name], want[name], CURVE, CURVE / 100, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_loss_curves_over_50_steps(name, keras):
    make, x, y, loss = CASES[name]
    models = pair(make, keras)
    compile_both(models, keras, loss=loss)
    curves = [[], []]
    for step in range(50):
        rows = slice(8 * (step % 3), 8 * (step % 3) + 8)
        for model, curve in zip(models, curves):
            curve.append(float(model.train_on_batch(x[rows], y[rows])))
    assert_curves({name: curves[0]}, {name: curves[1]})
    assert curves[0][-1] < curves[0][0]
    assert_near(models[0].predict(x, verbose=0), models[1].predict(x, verbose=0))


FITS = {
    "plain": {},
    "batches of 5, the last one shorter": {"batch_size": 5},
    "validation_split": {"validation_split": 0.3},
    "validation_data": {"validation_data": (X[:7], CLASSES[:7]), "validation_batch_size": 3},
    "weighted validation": {"validation_data": (X[:7], CLASSES[:7], np.arange(7.0, dtype="float32"))},
    "validation_freq": {"validation_split": 0.25, "validation_freq": 2},
    "validation_steps": {"validation_data": (X, CLASSES), "validation_batch_size": 4, "validation_steps": 2},
    "sample_weight": {"sample_weight": np.linspace(0, 2, 24, dtype="float32"), "validation_split": 0.25},
    "class_weight": {"class_weight": {0: 0.5, 2: 3.0}, "batch_size": 7},
    "initial_epoch": {"initial_epoch": 1},
    "steps_per_epoch": {"steps_per_epoch": 2, "batch_size": 5},
    "steps_per_epoch alone": {"steps_per_epoch": 2},
}


def classifier(k):
    L = k.layers
    return k.Sequential([k.Input((6, 3)), L.LSTM(5), L.Dense(4, activation="softmax")])


@pytest.mark.parametrize("name", FITS)
def test_histories(name, keras):
    models = pair(classifier, keras)
    compile_both(models, keras, loss="sparse_categorical_crossentropy", weighted_metrics=["acc"],
                 metrics=["accuracy", "sparse_categorical_crossentropy"])
    ours, theirs = (m.fit(X, CLASSES, epochs=3, shuffle=False, verbose=0, **FITS[name]) for m in models)
    assert_curves(ours.history, theirs.history)
    assert ours.epoch == theirs.epoch and ours.params == theirs.params


OUTPUTS = {
    "one loss": {"loss": "mse"},
    "a list": {"loss": ["mse", "sparse_categorical_crossentropy"], "loss_weights": [2.0, 0.5],
               "metrics": [["mae"], ["accuracy"]]},
    "dicts": {"loss": {"q": "sparse_categorical_crossentropy", "p": "mse"}, "loss_weights": {"p": 2.0, "q": 0.5},
              "metrics": {"q": ["acc", "sparse_categorical_crossentropy"], "p": "mae"}},
    "weighted metrics": {"loss": {"q": "sparse_categorical_crossentropy", "p": "mse"}, "metrics": {"p": ["mae"]},
                         "weighted_metrics": {"p": ["mae"], "q": ["acc"]}},
}


@pytest.mark.parametrize("weighted", (False, True))
@pytest.mark.parametrize("by_name", (False, True))
@pytest.mark.parametrize("name", OUTPUTS)
def test_several_outputs(name, by_name, weighted, keras):
    if by_name and name in ("one loss", "a list"):
        return
    models = pair(outputs_by_name if by_name else two_outputs, keras)
    compile_both(models, keras, **OUTPUTS[name])
    labels = np.eye(4, dtype="float32")[CLASSES] if name == "one loss" else CLASSES
    x, y = ({"x": X, "z": Z}, {"p": Y, "q": labels}) if by_name else (X, [Y, labels])
    w = np.linspace(0, 2, 24, dtype="float32")
    told = {"sample_weight": {"p": w, "q": 1 - w / 2} if by_name else [w, 1 - w / 2]} if weighted else {}
    ours, theirs = (m.fit(x, y, epochs=2, batch_size=10, shuffle=False, verbose=0, validation_split=0.25, **told)
                    for m in models)
    assert_curves(ours.history, theirs.history)
    got, want = (m.evaluate(x, y, batch_size=10, verbose=0, return_dict=True, **told) for m in models)
    assert_curves(got, want)
    got, want = (m.evaluate(x, y, batch_size=10, verbose=0, **told) for m in models)
    np.testing.assert_allclose(got, want, CURVE, CURVE / 100)
    got, want = (m.predict(x, batch_size=10, verbose=0) for m in models)
    assert type(got) is type(want) and (not by_name or set(got) == set(want))
    pairs = [(got[k], want[k]) for k in want] if by_name else list(zip(got, want))
    for a, b in pairs:
        assert_near(a, b)


def test_a_model_of_a_class(keras):
    def make(k):
        class Two(k.Model):
            def __init__(self):
                super().__init__()
                self.rnn, self.p, self.q = k.layers.LSTM(5), k.layers.Dense(1), k.layers.Dense(4, activation="softmax")

            def call(self, x):
                h = self.rnn(x)
                self.add_loss(0.1 * k.ops.mean(h ** 2))
                return {"p": self.p(h), "q": self.q(h)}
        model = Two()
        model(X[:1])
        return model
    models = pair(make, keras)
    compile_both(models, keras, loss={"p": "mse", "q": "crossentropy"}, metrics={"q": ["acc"]})
    histories = [m.fit(X, {"p": Y, "q": CLASSES}, epochs=2, batch_size=10, shuffle=False, verbose=0) for m in models]
    assert_curves(histories[0].history, histories[1].history)


def test_forms_of_results(keras):
    models = pair(classifier, keras)
    results = []
    for metrics in (None, ["accuracy"]):
        compile_both(models, keras, loss="sparse_categorical_crossentropy", metrics=metrics)
        for model in models:
            results.append([model.evaluate(X, CLASSES, verbose=0), model.test_on_batch(X, CLASSES),
                            model.test_on_batch(X, CLASSES, return_dict=True),
                            model.train_on_batch(X, CLASSES, class_weight={1: 2.0}),
                            model.train_on_batch(X, CLASSES, sample_weight=np.ones(24, "float32"), return_dict=True),
                            model.predict_on_batch(X), model.metrics_names])
    for got, want in zip(results[::2], results[1::2]):
        for a, b in zip(got, want):
            assert isinstance(a, dict) == isinstance(b, dict) and isinstance(a, list) == isinstance(b, list)
            if a is not got[-1]:
                np.testing.assert_allclose(flatten(a), flatten(b), CURVE, CURVE / 100)
        assert got[-1] == want[-1]


def test_generators_and_sequences(keras):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, k):
            return X[8 * k:8 * k + 8], CLASSES[8 * k:8 * k + 8]

    def endless():
        k = 0
        while True:
            yield Batches()[k % 3]
            k += 1
    for data, told in ((Batches, {}), (endless, {"steps_per_epoch": 2})):
        models = pair(classifier, keras)
        compile_both(models, keras, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        ours, theirs = (m.fit(data(), epochs=3, shuffle=False, verbose=0, validation_data=Batches(), **told)
                        for m in models)
        assert_curves(ours.history, theirs.history)


CALLBACKS = {
    "EarlyStopping": lambda c: c.EarlyStopping("val_loss", patience=1, restore_best_weights=True),
    "EarlyStopping from": lambda c: c.EarlyStopping("val_accuracy", start_from_epoch=2, baseline=0.9, min_delta=0.01),
    "ReduceLROnPlateau": lambda c: c.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, cooldown=1, min_delta=0.05),
    "LearningRateScheduler": lambda c: c.LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch else rate),
    "TerminateOnNaN": lambda c: c.TerminateOnNaN(),
}


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks(name, keras):
    models = pair(classifier, keras)
    compile_both(models, keras, rate=0.1, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    found = [CALLBACKS[name](k.callbacks) for k in (rnnref, keras)]
    ours, theirs = (m.fit(X, CLASSES, epochs=8, batch_size=6, shuffle=False, verbose=0, validation_split=0.3,
                          callbacks=[c]) for m, c in zip(models, found))
    assert_curves(ours.history, theirs.history)
    assert models[0].stop_training == models[1].stop_training
    if name == "EarlyStopping":
        assert found[0].best_epoch == found[1].best_epoch and found[0].stopped_epoch == found[1].stopped_epoch > 0
        assert_near(models[0].predict(X, verbose=0), models[1].predict(X, verbose=0))


def test_csv_files(keras, tmp_path):
    models = pair(classifier, keras)
    compile_both(models, keras, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    texts = []
    for k, (model, module) in enumerate(zip(models, (rnnref, keras))):
        log = module.callbacks.CSVLogger(str(tmp_path / f"{k}.csv"))
        model.fit(X, CLASSES, epochs=2, shuffle=False, verbose=0, callbacks=[log])
        texts.append([row.split(",") for row in (tmp_path / f"{k}.csv").read_text().splitlines()])
    assert texts[0][0] == texts[1][0] and len(texts[0]) == len(texts[1]) == 3
    for got, want in zip(texts[0][1:], texts[1][1:]):
        np.testing.assert_allclose([float(a) for a in got if a != "NA"], [float(a) for a in want if a != "NA"], CURVE)


@pytest.mark.parametrize("name", ("a list", "dicts", "weighted metrics"))
def test_how_a_model_was_compiled_is_read_both_ways(name, keras):
    models = pair(two_outputs, keras)
    compile_both(models, keras, **OUTPUTS[name])
    again = pair(two_outputs, keras)
    again[1].set_weights(models[1].get_weights()), again[0].set_weights(models[0].get_weights())
    again[1].compile_from_config(models[0].get_compile_config())
    again[0].compile_from_config(models[1].get_compile_config())
    for a, b in zip(models, again):
        first, second = (m.fit(X, [Y, CLASSES], epochs=2, shuffle=False, verbose=0).history for m in (a, b))
        assert_curves(first, second)


def test_batches_of_a_torch_loader(keras):
    import torch
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(CLASSES)), 8)
    histories = []
    for data in ((loader,), (X, CLASSES)):
        rnnref.utils.set_random_seed(0)
        model = classifier(rnnref)
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        histories.append(model.fit(*data, epochs=2, batch_size=8 if len(data) > 1 else None, shuffle=False, verbose=0))
    assert histories[0].history == histories[1].history and histories[0].params == histories[1].params


def test_the_summary_counts_what_the_optimizer_keeps(keras):
    counts = []
    models = pair(classifier, keras)
    compile_both(models, keras, loss="sparse_categorical_crossentropy")
    for model in models:
        texts = []
        model.fit(X, CLASSES, verbose=0)
        model.summary(print_fn=texts.append)
        counts.append([line.split("(")[0] for line in texts[0].splitlines() if " params: " in line])
    assert counts[0] == counts[1] and "Optimizer params" in counts[0][-1]


def sequence_model(k):
    return k.Sequential([k.Input((6, 3)), k.layers.LSTM(4, return_sequences=True), k.layers.Dense(1)])


def binary_model(k):
    return k.Sequential([k.Input((6, 3)), k.layers.GRU(4), k.layers.Dense(1, activation="sigmoid")])


FORMS = {
    "weights of steps": (sequence_model, X, X[:, :, :1] ** 2,
                         lambda k: {"loss": "mse", "metrics": ["mae"], "weighted_metrics": ["mae", "mse"]},
                         {"sample_weight": np.linspace(0, 2, 144, dtype="float32").reshape(24, 6)}),
    "functions": (classifier, X, CLASSES,
                  lambda k: {"loss": lambda y, p: -k.ops.mean(p * k.ops.one_hot(k.ops.cast(y, "int32"), 4), -1),
                             "metrics": [lambda y, p: k.ops.max(p, -1)]}, {}),
    "objects": (classifier, X, np.eye(4, dtype="float32")[CLASSES],
                lambda k: {"loss": k.losses.CategoricalCrossentropy(label_smoothing=0.1, reduction="sum"),
                           "loss_weights": 0.5, "metrics": [k.metrics.CategoricalAccuracy(name="mine"), "acc"]}, {}),
    "crossentropy": (binary_model, X, (Y[:, 0] > 0).astype("int64"),
                     lambda k: {"loss": "crossentropy", "metrics": ["accuracy", "AUC", k.metrics.Precision()]},
                     {"class_weight": {0: 1.0, 1: 5.0}}),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_losses_and_metrics(name, keras):
    make, x, y, options, told = FORMS[name]
    models = pair(make, keras)
    histories = []
    for model, k in zip(models, (rnnref, keras)):
        model.compile(k.optimizers.Adam(0.01), **options(k))
        histories.append(model.fit(x, y, epochs=2, batch_size=7, shuffle=False, verbose=0, **told).history)
    assert_curves(*histories)
