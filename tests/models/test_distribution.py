"""Training by several processes is training by one: with threads in the place of processes, and of MPI."""
import sys
import warnings

import numpy as np
import pytest

from rnnref import Input, Model, Sequential, callbacks as C, cli, layers as L, losses, metrics, optimizers, random, tf1
from rnnref.errors import Error, NotSupported, ShapeError
from rnnref.models.distribution import Distribution, distribute
from rnnref.shards import current, draw_rows
from rnnref.testing.api import assert_close
from tests.support.distributed_run import (CLASSES, EPOCHS, OPTIMIZERS, RNG, ROWS, STEPS, WEIGHTS, YS, X, compiled,
                                           make_model, train)
from tests.support.messages import raises_with
from tests.support.thread_comm import run_ranks
from tests.support.training_cases import Numbered


@pytest.fixture(autouse=True)
def hook(monkeypatch):
    """What `distribute` sets is put back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def run_with_models(n, work, make):
    models = [make(rank) for rank in range(n)]

    def one(comm):
        models[comm.rank].distribute(comm)
        return work(models[comm.rank])
    return run_ranks(n, one)


def alone_and_together(n, make, work):
    """What `work(model)` gives in one process, and in each of n; theirs have different weights before they begin."""
    want = work(make(0))
    return want, run_with_models(n, work, make)


def assert_equal(want, got, dtype="float64"):
    """Histories and weights, which were computed in this dtype."""
    assert got.keys() == want.keys()
    for name, a in want.items():
        for b, c in zip(got[name], a, strict=True):
            assert_close(np.asarray(b, dtype), np.asarray(c, dtype), "path")


@pytest.mark.parametrize("n", (2, 3))
@pytest.mark.parametrize("dtype", OPTIMIZERS)
def test_several_processes_train_as_one(n, dtype):
    want, got = alone_and_together(n, lambda seed: make_model(seed, dtype), lambda model: train(model, dtype))
    for each in got:
        assert_equal(want, each, dtype)
    assert want["optimizer"][0] == 3 * EPOCHS[dtype] + 1         # 52 updates by Adam


@pytest.mark.parametrize("reduction", ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight"))
@pytest.mark.parametrize("masked", (False, True))
def test_every_reduction_is_that_of_the_whole_batch(reduction, masked):
    def make(seed):
        first = [L.Masking(dtype="float64")] if masked else []
        return compiled(seed, lambda: Sequential([
            Input((STEPS, 3), dtype="float64"), *first, L.LSTM(3, return_sequences=True, dtype="float64"),
            L.Dense(2, dtype="float64")]), optimizers.SGD(0.1), losses.MeanSquaredError(reduction))

    def work(model):
        loss = model.train_on_batch(X, YS, WEIGHTS[0])
        return {"loss": [loss], "weights": model.get_weights()}
    want, got = alone_and_together(3, make, work)
    for each in got:
        assert_equal(want, each)


def lanes(seed):
    return compiled(seed, lambda: Sequential([
        Input(batch_shape=(5, STEPS, 3), dtype="float64"), L.LSTM(4, stateful=True, return_sequences=True,
                                                                  dtype="float64"), L.Dense(2, dtype="float64")]),
        optimizers.Adam(0.02), "mse")


def test_states_go_on_row_by_row_and_a_checkpoint_with_another_number_of_processes(tmp_path):
    x, y = RNG.normal(size=(20, STEPS, 3)), RNG.normal(size=(20, STEPS, 2))

    def fit(model, epochs, folder):
        backup = C.BackupAndRestore(tmp_path / folder, delete_checkpoint=False)
        history = model.fit(x, y, batch_size=5, epochs=epochs, shuffle=False, verbose=0, callbacks=[backup]).history
        return history | {"weights": model.get_weights()}
    want = fit(lanes(0), 4, "alone")
    alone_and_together(3, lanes, lambda model: fit(model, 2, "two" if model.distribution.size > 1 else "x"))
    _, got = alone_and_together(2, lanes, lambda model: fit(model, 3, "two" if model.distribution.size > 1 else "y"))
    assert [len(each["loss"]) for each in got] == [3, 3]
    assert_equal(want, fit(lanes(5), 4, "two"))


class Loader:
    """Batches that can be gone through again."""

    def __iter__(self):
        return ((X[k:k + 5], CLASSES[k:k + 5]) for k in range(0, ROWS, 5))


@pytest.mark.parametrize("options", (
    {"x": X, "y": CLASSES, "batch_size": 5, "class_weight": {0: 0.2, 2: 3.0}, "steps_per_epoch": 2},
    {"x": Loader()}, {"x": Numbered(X, CLASSES)}), ids=("weighted", "iterable", "numbered"))
def test_batches_of_every_kind_are_divided(options):
    def make(seed):
        d = {"dtype": "float64"}
        return compiled(seed, lambda: Sequential([Input((STEPS, 3), **d), L.Bidirectional(L.LSTM(3, **d), **d),
                                                  L.Dense(3, "softmax", **d)]), optimizers.SGD(0.1),
                        "sparse_categorical_crossentropy", metrics=["accuracy"])

    def work(model):
        history = model.fit(**options, epochs=3, verbose=0).history
        return history | {"weights": model.get_weights()}
    want, got = alone_and_together(2, make, work)
    for each in got:
        assert_equal(want, each)


def test_one_allreduce_of_all_gradients_of_a_dtype():
    def work(model):
        model.train_on_batch(X, CLASSES)
        return getattr(model.distribution.comm, "reductions", None)

    def make(seed):
        return compiled(seed, lambda: Sequential([Input((STEPS, 3)), L.LSTM(4), L.Dense(3, "softmax")]), "adam",
                        "sparse_categorical_crossentropy")
    _, got = alone_and_together(2, make, work)
    (shape, dtype), *rest = got[0]
    assert shape[0] >= make(0).count_params() and dtype == "float32"
    assert rest == [((), "float64")] * 2          # total and count of the loss


@pytest.mark.parametrize("n", (2, 3))
def test_on_a_device_sums_go_through_main_memory(cupy, n):
    def make(seed):
        return compiled(seed, lambda: Sequential([Input((STEPS, 3)), L.LSTM(4), L.BatchNormalization(), L.Dropout(0.2),
                                                  L.Dense(3, "softmax")]), "adam", "sparse_categorical_crossentropy")

    def work(model):
        on_device = model.distribution.size > 1
        x, y = (cupy.asarray(X.astype("float32")), cupy.asarray(CLASSES)) if on_device else (X, CLASSES)
        history = model.to("gpu" if on_device else "cpu").fit(x, y, batch_size=8, epochs=2, verbose=0).history
        return history | {"weights": model.get_weights()}
    want, got = alone_and_together(n, make, work)
    for each in got:
        assert_equal(want, each, "float32")


# what processes agree about

def line(seed=0, **options):
    return compiled(seed, lambda: Sequential([Input((3,)), L.Dense(1)]), optimizers.SGD(0.1), "mse", **options)


FLAT, ONES = X[:, 0].astype("float32"), np.ones((ROWS, 1), "float32")


def test_what_stops_one_stops_all():
    def work(model):
        def stop(batch, logs):
            model.stop_training = batch == 1 and model.distribution.rank == 1
        model.fit(FLAT, ONES, batch_size=4, epochs=3, verbose=0, callbacks=C.LambdaCallback(on_train_batch_end=stop))
        return int(model.optimizer.iterations), model.stop_training
    _, got = alone_and_together(3, line, work)
    assert got == [(2, True)] * 3


def test_callbacks_that_write_are_called_in_process_0(tmp_path, capsys):
    class Quiet(C.Callback):
        writes = True

        def __init__(self):
            self.seen = []

        def on_epoch_end(self, epoch, logs=None):
            self.seen.append("epoch")

        def on_train_batch_end(self, batch, logs=None):
            self.seen.append("batch")

    def work(model):
        quiet, loud = Quiet(), []
        rank = model.distribution.rank
        model.fit(FLAT, ONES, batch_size=9, epochs=2, verbose=2, callbacks=[
            quiet, C.LambdaCallback(on_epoch_end=lambda epoch, logs: loud.append(logs["loss"])),
            C.CSVLogger(tmp_path / f"{rank}.csv"), C.LearningRateScheduler(lambda epoch: 0.1, verbose=1),
            C.ModelCheckpoint(tmp_path / f"{rank}.weights.npz", save_weights_only=True)])
        return quiet.seen, loud
    got = run_with_models(2, work, line)
    assert got[0][0] == ["batch", "batch", "epoch"] * 2 and got[1][0] == []
    assert got[0][1] == got[1][1] and len(got[0][1]) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.csv", "0.weights.npz"]
    assert capsys.readouterr().out.count("the learning rate is") == 2


def test_what_process_0_raises_is_raised_in_all():
    def work(comm):
        distribution = Distribution(comm)
        with raises_with(Error, ["broken"]):
            distribution.from_first(lambda: (_ for _ in ()).throw(Error("file", "broken")))
        return distribution.from_first(lambda: distribution.rank)
    assert run_ranks(3, work) == [0, 0, 0]


# what is refused

class Scalar(losses.Loss):
    def call(self, y_true, y_pred):
        return ((y_pred - y_true) ** 2).mean()


class Largest(metrics.Metric):
    def __init__(self):
        super().__init__(name="largest")
        self.value = self.add_variable()

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.value.assign(np.maximum(self.value, np.max(y_pred)))

    def result(self):
        return self.value.data


class Noisy(L.Layer):
    def call(self, x):
        return x + random.normal(x.shape)


class Shown(Model):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(1)

    def call(self, x):
        return self.dense(x)

    def compute_metrics(self, *args, **options):
        return super().compute_metrics(*args, **options) | {"extra": 1.0}


def dense(*more, loss="mse", **options):
    return lambda: compiled(0, lambda: Sequential([Input((3,)), L.Dense(1, **options), *more]), "sgd", loss)


def dropped():
    cell = tf1.DropoutWrapper(tf1.BasicLSTMCell(2), input_keep_prob=0.5)
    return compiled(0, lambda: Sequential([Input((STEPS, 3)), L.RNN(cell)]), "sgd", "mse")


def shown():
    model = Shown()
    model.build((None, 3))
    model.compile("sgd", "mse")
    return model


REFUSED = {
    "activity": (dense(activity_regularizer="l2"), ["layers.Dense", "regularizer of outputs"]),
    "add_loss": (dense(L.ActivityRegularization(0.1)), ["layers.ActivityRegularization"]),
    "scalar": (dense(loss=Scalar()), ["losses.Scalar", "shape ()"]),
    "none": (dense(loss=losses.MeanSquaredError(reduction=None)), ["reduction=None"]),
    "metric": (lambda: line(metrics=[Largest()]), ["the metric largest", "adds_up = True in the class Largest"]),
    "random": (dense(Noisy()), ["random numbers", "layers.Dropout"]),
    "tf1": (dropped, ["DropoutWrapper", "dropout of TF 1"]),
    "logs": (shown, ["logs of extra"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_add_up_is_refused_by_name(case):
    make, words = REFUSED[case]
    x = X.astype("float32") if case == "tf1" else FLAT

    def work(model):
        with raises_with(NotSupported, words):
            model.fit(x, np.ones((ROWS, 2 if case == "tf1" else 1), "float32"), batch_size=8, verbose=0)
    run_with_models(2, work, lambda rank: make())
    assert current() is None
    with warnings.catch_warnings():
        make().fit(x, np.ones((ROWS, 2 if case == "tf1" else 1), "float32"), batch_size=8, verbose=0)      # in one


def test_models_and_data_that_cannot_begin_together():
    def unbuilt(model):
        with raises_with(Error, ["no weights yet"]):
            model.fit(FLAT, ONES, verbose=0)
    run_with_models(2, unbuilt, lambda rank: compiled(0, lambda: Sequential([L.Dense(1)]), "sgd", "mse"))

    def other(model):
        rows = 8 + model.distribution.rank
        with raises_with(Error, ["not all processes were given the same data", f"{rows} rows"]):
            model.fit(FLAT[:rows], ONES[:rows], verbose=0)
    run_with_models(2, other, line)

    def few(model):
        with raises_with(ShapeError, ["a batch of 2 rows for 3 processes", "carries states"]):
            model.fit(X[:2], YS[:2], batch_size=2, shuffle=False, verbose=0)
    run_with_models(3, few, lanes)


@pytest.mark.parametrize("name", ("train_step", "test_step", "compute_loss"))
def test_steps_of_ones_own_are_refused(name):
    own = type("Own", (Sequential,), {name: lambda self, *args, **options: None})
    with raises_with(NotSupported, [f"Own.{name}"]):
        distribute(own([L.Dense(1)]))


def test_arrays_whose_axis_0_is_not_that_of_rows():
    from rnnref.shards import Shard
    with Shard(7, slice(0, None, 2), lambda a: a), raises_with(ShapeError, ["shape (6, 2)", "4 of the 7 rows"]):
        draw_rows(np.zeros, (6, 2), "f")


def test_under_mpiexec_without_mpi4py_the_command_says_what_is_missing(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    assert cli.main(["train", "digits"]) == 2
    assert 'pip install ".[mpi]"' in capsys.readouterr().err and not list(tmp_path.iterdir())
