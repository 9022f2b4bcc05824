"""Callbacks: when they are called, what they do, and training that goes on where it was killed."""
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import rnnref
from rnnref import Input, Sequential, callbacks as C, layers as L, optimizers
from rnnref.errors import Error, NotSupported, ShapeError
from rnnref.testing.api import assert_same
from tests.support.messages import raises_with

RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(12, 3)).astype("float32"), RNG.normal(size=(12, 1)).astype("float32")


def small(rate=0.1, **options):
    model = Sequential([Input((3,)), L.Dense(1, seed=0)])
    model.compile(optimizers.SGD(rate), "mse", **options)
    return model


def scripted(values, name="val_loss"):
    """A callback that puts these numbers into the logs of the epochs."""
    return C.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update({name: values[epoch]}))


class Told(C.Callback):
    """All calls in their order."""

    def __init__(self):
        self.calls = []

    def __getattribute__(self, name):
        if name.startswith("on_"):
            return lambda *args, **_: self.calls.append((name, args[0] if args and isinstance(args[0], int) else None))
        return super().__getattribute__(name)


def test_the_order_of_calls():
    told = Told()
    small().fit(X, Y, batch_size=8, verbose=0, validation_data=(X, Y), validation_batch_size=12, callbacks=told)
    assert told.calls == [
        ("on_train_begin", None), ("on_epoch_begin", 0), ("on_train_batch_begin", 0), ("on_train_batch_end", 0),
        ("on_train_batch_begin", 1), ("on_train_batch_end", 1), ("on_test_begin", None), ("on_test_batch_begin", 0),
        ("on_test_batch_end", 0), ("on_test_end", None), ("on_epoch_end", 0), ("on_train_end", None)]
    told.calls.clear()
    small().predict(X, batch_size=12, verbose=0, callbacks=[told])
    assert told.calls == [("on_predict_begin", None), ("on_predict_batch_begin", 0), ("on_predict_batch_end", 0),
                          ("on_predict_end", None)]


def test_what_batches_are_told():
    seen, outputs = [], []
    watch = C.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append((batch, dict(logs))),
                             on_predict_batch_end=lambda batch, logs: outputs.append(logs["outputs"]))
    model = small()
    first = model.test_on_batch(X[:8], Y[:8])
    history = model.fit(X, Y, batch_size=8, shuffle=False, verbose=0, callbacks=[watch])
    assert [batch for batch, _ in seen] == [0, 1] and type(seen[0][1]["loss"]) is float
    assert abs(seen[0][1]["loss"] - first) < 1e-6 and seen[1][1]["loss"] == history.history["loss"][0]
    found = model.predict(X, batch_size=5, verbose=0, callbacks=[watch])
    assert_same(found, np.concatenate(outputs))


def test_stop_training_ends_after_the_batch():
    model = small()

    def stop(batch, logs):
        model.stop_training = batch == 1
    history = model.fit(X, Y, batch_size=2, epochs=5, verbose=0, callbacks=[C.LambdaCallback(on_train_batch_end=stop)])
    assert history.epoch == [0] and int(model.optimizer.iterations) == 2


@pytest.mark.parametrize("options, values, stopped", (
    ({}, [3, 2, 2.5, 1], 2),
    ({"patience": 2}, [3, 2, 2.5, 2.4, 1], 3),
    ({"patience": 2}, [3, 2, 2.5, 1.9, 2], None),
    ({"min_delta": 0.5}, [3, 2.8, 1], 1),
    ({"mode": "max"}, [1, 2, 3, 2.5, 4], 3),
    ({"start_from_epoch": 3}, [1, 2, 3, 4, 5], 4),
    ({"baseline": 2, "patience": 2}, [5, 4, 4.5, 2.5], 2),
    ({"baseline": 2, "patience": 2}, [5, 1, 3, 2.5, 0], 3),
))
def test_early_stopping(options, values, stopped):
    model = small()
    stop = C.EarlyStopping("val_loss", restore_best_weights=True, **options)
    kept = []
    keep = C.LambdaCallback(on_epoch_end=lambda epoch, logs: kept.append(model.get_weights()))
    history = model.fit(X, Y, epochs=len(values), verbose=0, callbacks=[scripted(values), keep, stop])
    assert stop.stopped_epoch == (stopped or 0)
    assert history.epoch[-1] == (len(values) - 1 if stopped is None else stopped)
    sign, start = -1 if options.get("mode") == "max" else 1, options.get("start_from_epoch", 0)
    seen = [sign * v for v in values[:history.epoch[-1] + 1]]
    best = start + int(np.argmin(seen[start:])) if "min_delta" not in options else 0
    assert stop.best_epoch == best
    assert_same(model.get_weights(), kept[best])


def test_auto_knows_what_is_better():
    model = small(metrics=["mae"])
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[C.EarlyStopping("mae"), C.EarlyStopping("loss")])
    with raises_with(NotSupported, ['mode="auto"', "monitor='other'", 'mode="min"']):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[scripted([1, 2], "other"), C.EarlyStopping("other")])
    with pytest.warns(UserWarning, match="watches 'val_loss', which is not in the logs: loss mae"):
        model.fit(X, Y, verbose=0, callbacks=[C.EarlyStopping()])
    classes = Sequential([Input((3,)), L.Dense(2, activation="softmax")])
    classes.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = C.EarlyStopping("val_accuracy", patience=1)
    accuracies = scripted([0.1, 0.2, 0.15, 0.1], "val_accuracy")
    classes.fit(X, np.arange(12) % 2, epochs=4, verbose=0, callbacks=[accuracies, stop])
    assert stop.best == 0.2 and stop.stopped_epoch == 2


@pytest.mark.parametrize("options, values, rates", (
    ({"patience": 1}, [3, 3, 3, 3], [0.1, 0.1, 0.05, 0.025]),
    ({"patience": 2}, [3, 3, 3, 2, 2], [0.1, 0.1, 0.1, 0.05, 0.05]),
    ({"patience": 1, "cooldown": 2}, [3, 3, 3, 3, 3], [0.1, 0.1, 0.05, 0.05, 0.025]),
    ({"patience": 1, "min_lr": 0.04}, [3, 3, 3, 3], [0.1, 0.1, 0.05, 0.04]),
    ({"patience": 1, "min_delta": 1}, [3, 2.5, 2], [0.1, 0.1, 0.05]),
    ({"patience": 1, "mode": "max"}, [3, 4, 3, 3], [0.1, 0.1, 0.1, 0.05]),
))
def test_reduce_on_plateau(options, values, rates):
    model = small()
    history = model.fit(X, Y, epochs=len(values), verbose=0, callbacks=[scripted(values), C.ReduceLROnPlateau(
        "val_loss", factor=0.5, **options)])
    np.testing.assert_allclose(history.history["learning_rate"], rates, 1e-6)


def test_a_schedule_of_epochs():
    model = small(rate=1.0)
    halve = C.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[halve])
    np.testing.assert_allclose(history.history["learning_rate"], [0.5, 0.25, 0.125])
    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=[C.LearningRateScheduler(lambda epoch: 1.0 + epoch)])
    np.testing.assert_allclose(history.history["learning_rate"], [1, 2])
    with raises_with(NotSupported, ["gave 1 for epoch 0", "a float"]):
        model.fit(X, Y, verbose=0, callbacks=[C.LearningRateScheduler(lambda epoch: 1)])


class Saved:
    """Files of a model, without files."""

    def __init__(self, model):
        self.paths = []
        model.save = model.save_weights = lambda path, overwrite: self.paths.append(os.path.basename(path))


def test_which_checkpoints_are_saved(tmp_path):
    values = [3.0, 2.0, 2.5, 1.0]

    def paths(name, **options):
        model = small()
        saved = Saved(model)
        model.fit(X, Y, batch_size=4, epochs=4, verbose=0, callbacks=[scripted(values), C.ModelCheckpoint(
            tmp_path / "deep" / name, **options)])
        return saved.paths
    assert paths("{epoch:02d}-{val_loss:.1f}.keras") == ["01-3.0.keras", "02-2.0.keras", "03-2.5.keras", "04-1.0.keras"]
    assert paths("{epoch}.keras", save_best_only=True) == ["1.keras", "2.keras", "4.keras"]
    assert paths("{epoch}.keras", save_best_only=True, initial_value_threshold=2.2) == ["2.keras", "4.keras"]
    assert paths("{epoch}.weights.h5", save_weights_only=True, save_best_only=True, mode="max") == ["1.weights.h5"]
    assert paths("{epoch}-{batch}.keras", save_freq=5) == ["2-2.keras", "4-1.keras"]
    with pytest.raises(Error, match="names 'nothing', which is not in the logs"):
        paths("{nothing}.keras")
    for told, pieces in (
            ({"filepath": "a.txt"}, ["'a.txt'", ".keras"]),
            ({"filepath": "a.keras", "save_freq": "day"}, ["save_freq='day'"]),
            ({"filepath": "a.keras", "save_weights_only": True}, ["save_weights_only=True", ".weights.h5"])):
        with raises_with(NotSupported, pieces):
            C.ModelCheckpoint(**told)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nan_ends_training(capsys):
    model = small(rate=1e30)
    history = model.fit(X, Y, epochs=9, batch_size=4, verbose=0, callbacks=[C.TerminateOnNaN()])
    assert len(history.epoch) < 9 and "training stops" in capsys.readouterr().out
    with pytest.raises(Error, match="the loss of batch"):
        small(rate=1e30).fit(X, Y, epochs=9, batch_size=4, verbose=0, callbacks=[C.TerminateOnNaN(raise_error=True)])


def test_rows_of_a_csv_file(tmp_path):
    path = tmp_path / "log.csv"
    model = small(metrics=["mae"])
    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=[C.CSVLogger(path, separator=";")])
    rows = [row.split(";") for row in path.read_text().splitlines()]
    assert rows[0] == ["epoch", "loss", "mae", "val_loss", "val_mae"] and rows[1][3:] == ["NA", "NA"]
    assert [float(row[1]) for row in rows[1:]] == history.history["loss"]
    model.fit(X, Y, initial_epoch=2, epochs=3, verbose=0, callbacks=[C.CSVLogger(path, separator=";", append=True)])
    assert [row.split(";")[0] for row in path.read_text().splitlines()] == ["epoch", "0", "1", "2"]


def test_what_is_refused_by_name():
    for name in ("TensorBoard", "RemoteMonitor", "SwapEMAWeights", "OrbaxCheckpoint"):
        with raises_with(NotSupported, [f"callbacks.{name}: ", "fix"]):
            getattr(C, name)
    for make, pieces in ((lambda: C.LambdaCallback(on_lunch=print), ["on_lunch="]),
                         (lambda: C.ReduceLROnPlateau(factor=1.0), ["factor=1.0"]),
                         (lambda: C.EarlyStopping(mode="best"), ["mode='best'"]),
                         (lambda: C.BackupAndRestore("x", save_freq=3), ["save_freq=3"]),
                         (lambda: C.BackupAndRestore(""), ["backup_dir=''"]),
                         (lambda: C.BackupAndRestore("x", double_checkpoint=True), ["double_checkpoint=True"])):
        with raises_with(NotSupported, pieces):
            make()


# going on

SCRIPT = """
    import sys, time, numpy as np, rnnref
    from rnnref import Input, Sequential, callbacks, layers as L
    folder, epochs, wait = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    rnnref.utils.set_random_seed(3)
    model = Sequential([Input(batch_shape=(4, 5, 2)), L.Dropout(0.3), L.LSTM(4, stateful=True, dropout=0.2),
                        L.BatchNormalization(), L.Dense(1)])
    model.compile(rnnref.optimizers.Adam(0.02), "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 5, 2)), rng.normal(size=(16, 1))
    slow = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: print(epoch, flush=True) or time.sleep(wait))
    backup = callbacks.BackupAndRestore(folder, delete_checkpoint=False)
    history = model.fit(x, y, batch_size=4, epochs=epochs, verbose=0, callbacks=[slow, backup])
    print("end", history.history["loss"][-1].hex(), [float(w.sum()).hex() for w in model.get_weights()])
"""


def start(folder, epochs, wait=0.0):
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(SCRIPT), str(folder), str(epochs), str(wait)],
                            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
                            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})


def test_training_that_was_killed_goes_on_to_the_same_numbers(tmp_path):
    whole = start(tmp_path / "whole", 6).communicate(timeout=300)[0].splitlines()
    killed = start(tmp_path / "killed", 6, wait=0.3)
    for line in killed.stdout:
        if line == "3\n":
            killed.send_signal(signal.SIGKILL)
            break
    killed.wait(), killed.stdout.close()
    rest = start(tmp_path / "killed", 6).communicate(timeout=300)[0].splitlines()
    assert whole[:6] == ["0", "1", "2", "3", "4", "5"] and rest[0] == "3"        # the epoch that was begun, and no more
    assert rest[-1] == whole[-1]


def test_the_other_callbacks_go_on_too(tmp_path):
    """Six epochs at once, and three and then the rest: the same history, rates, best weights and last epoch."""
    def train(epochs, folder, before=False):
        model = small()
        model.shuffle_rng = np.random.default_rng(4)
        backup = C.BackupAndRestore(folder, delete_checkpoint=False)
        others = [scripted([5, 4, 4, 4.5, 3, 3.5, 3.5, 3.6, 2]), C.ReduceLROnPlateau(factor=0.5, patience=1),
                  C.EarlyStopping(patience=3, restore_best_weights=True)]
        history = model.fit(X, Y, batch_size=5, epochs=epochs, verbose=2 if before else 0,
                            callbacks=[backup, *others] if before else [*others, backup])
        return history.history, history.epoch, model.get_weights()
    whole = train(9, tmp_path / "whole")
    assert whole[1] == list(range(8)) and whole[0]["learning_rate"][-1] < 0.1
    for before in (False, True):
        folder = tmp_path / str(before)
        train(3, folder)
        again = train(9, folder, before)
        assert again[:2] == whole[:2]
        assert_same(again[2], whole[2])
        assert train(9, folder, before)[1] == list(range(8))                   # it has stopped
    with raises_with(ShapeError, ["with other callbacks"]):
        small().fit(X, Y, epochs=9, verbose=0, callbacks=[C.BackupAndRestore(folder)])


def test_the_state_of_another_model_is_refused(tmp_path):
    model = small()
    model.fit(X, Y, verbose=0, callbacks=[C.BackupAndRestore(tmp_path, delete_checkpoint=False)])
    other = Sequential([Input((3,)), L.Dense(2)])
    other.compile("adam", "mse")
    before = other.get_weights()
    with raises_with(ShapeError, ["the state of another model", str(tmp_path)]):
        other.fit(X, Y, verbose=0, callbacks=[C.BackupAndRestore(tmp_path)])
    assert_same(other.get_weights(), before)
    late = Sequential([L.Dense(1)])
    late.compile("sgd", "mse")
    with raises_with(Error, ["no weights yet", "Input(shape)"]):
        late.fit(X, Y, verbose=0, callbacks=[C.BackupAndRestore(tmp_path)])
    model.fit(X, Y, epochs=2, verbose=0, callbacks=[C.BackupAndRestore(tmp_path)])
    assert not list(tmp_path.iterdir())           # it came to its end


def test_a_loop_of_ones_own_is_what_fit_does():
    model, other = small(), small()
    other.set_weights(model.get_weights())
    model.fit(X, Y, batch_size=4, shuffle=False, verbose=0)
    for k in range(0, 12, 4):
        with rnnref.Record(training=True) as record:
            loss = np.mean((other(X[k:k + 4]) - Y[k:k + 4]) ** 2)
        other.optimizer.apply(record.backward(loss), other.trainable_weights)
    np.testing.assert_allclose(model.get_weights()[0], other.get_weights()[0], 1e-6)
