"""A model with all that depends on the rows of a batch, trained by one process or by several.

    python -m tests.support.distributed_run FILE                  in one process; the numbers are in FILE, an .npz
    mpiexec -n 3 python -m tests.support.distributed_run FILE     in three
"""
import sys

import numpy as np

import rnnref
from rnnref import Input, Model, layers as L, metrics, optimizers
from rnnref.models.distribution import count_launched

ROWS, STEPS = 17, 6
RNG = np.random.default_rng(3)


def short_rows(n=ROWS):
    """[B, T, 3], with zeros from some step on."""
    x = RNG.normal(size=(n, STEPS, 3))
    for row in x:
        row[RNG.integers(2, STEPS + 1):] = 0
    return x


X = short_rows()
YS, CLASSES = RNG.normal(size=(ROWS, STEPS, 2)), RNG.integers(0, 3, ROWS)
WEIGHTS = [RNG.uniform(size=(ROWS, STEPS)), RNG.uniform(size=ROWS)]
EPOCHS = {"float64": 17, "float32": 5}
OPTIMIZERS = {
    "float64": lambda: optimizers.Adam(0.01, global_clipnorm=0.5, weight_decay=0.01, use_ema=True),
    "float32": lambda: optimizers.SGD(0.05, momentum=0.9, gradient_accumulation_steps=2)}


def everything(dtype):
    """Masks, two outputs, every kind of noise, batch statistics with a mask and without, a regularizer."""
    d = {"dtype": dtype}
    x = Input((STEPS, 3), dtype=dtype)
    h = L.BatchNormalization(**d)(L.Masking(**d)(x))
    h = L.LSTM(4, return_sequences=True, dropout=0.2, recurrent_dropout=0.1, kernel_regularizer="l2", **d)(h)
    h = L.SpatialDropout1D(0.3, **d)(L.GaussianDropout(0.1, **d)(L.Dropout(0.2, **d)(h)))
    b = L.GRU(3, dropout=0.2, **d)(L.TimeDistributed(L.Dropout(0.1, **d), **d)(h))
    b = L.BatchNormalization(**d)(L.GaussianNoise(0.1, **d)(b))
    b = L.Dropout(0.2, noise_shape=(1, None), **d)(b)
    return Model(x, [L.Dense(2, name="a", **d)(h), L.Dense(3, "softmax", name="b", **d)(b)])


def compiled(seed, make, optimizer, *args, **options):
    """A model with weights, noise and an order of rows of its own for each seed."""
    rnnref.utils.set_random_seed(seed)
    model = make()
    model.shuffle_rng = np.random.default_rng(seed)
    model.compile(optimizer, *args, **options)
    return model


def make_model(seed, dtype):
    return compiled(seed, lambda: everything(dtype), OPTIMIZERS[dtype](), ["mse", "sparse_categorical_crossentropy"],
                    loss_weights=[1.0, 0.5], metrics=[["mae"], ["accuracy"]],
                    weighted_metrics=[[metrics.RootMeanSquaredError()], ["accuracy"]])


def train(model, dtype):
    """{name: numbers} of all that training gives.  17 rows in batches of 8: the last has one row, which is fewer than
    processes."""
    x, ys = X.astype(dtype), YS.astype(dtype)
    found = model.fit(x, [ys, CLASSES], sample_weight=WEIGHTS, batch_size=8, epochs=EPOCHS[dtype], verbose=0,
                      validation_data=(x[:5], [ys[:5], CLASSES[:5]])).history
    found["evaluated"] = model.evaluate(x, [ys, CLASSES], batch_size=5, verbose=0)
    found["one"] = model.train_on_batch(x, [ys, CLASSES])
    found["tested"] = model.test_on_batch(x[:7], [ys[:7], CLASSES[:7]])
    return found | {"weights": model.get_weights(), "predicted": model.predict(x, verbose=0),
                    "optimizer": [v.numpy() for v in model.optimizer.variables]}


def main(path):
    found = {}
    for dtype in OPTIMIZERS:
        if count_launched() > 1:
            from mpi4py import MPI
            model = make_model(MPI.COMM_WORLD.Get_rank(), dtype)
            model.distribute()
        else:
            model = make_model(0, dtype)
        found |= {f"{dtype} {name} {k}": a for name, each in train(model, dtype).items() for k, a in enumerate(each)}
    if model.distribution.rank == 0:
        np.savez(path, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
