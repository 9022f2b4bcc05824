"""Index arrays between the arrays of a framework and ours: built once, bounded, read on the device of the arrays."""
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

import rnnref
from rnnref import ShapeError
from rnnref.interop import LAYOUTS, cell_for, dump, gradients, layout_of, load, places
from rnnref.interop.cudnn import Network
from rnnref.interop.places import BoundedCache, Places
from rnnref.testing.assertions import assert_same
from tests.support import strict
from tests.support.weights import arrays_of, draw_parameters


class Result:
    def __init__(self, count):
        self.count = count


def test_numbers_without_a_place():
    known = Places({"W": (2, 2), "b": (2,)}, {"kernel": np.array([[0, -1, 3]])})
    ours = {"W": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.zeros(2)}
    assert_same(known.to_theirs(ours), {"kernel": np.array([[1.0, 0.0, 4.0]])})
    assert_same(known.to_ours(known.to_theirs(ours)), {"W": np.array([[1.0, 0.0], [0.0, 4.0]]), "b": np.zeros(2)})
    assert known.unplaced["W"].tolist() == [[False, True], [True, False]] and known.unplaced["b"].all()
    assert known.find_lost(ours) == ["W"]


def test_arrays_of_different_dtypes_take_that_of_the_first():
    known = Places({"W": (1,), "b": (1,)}, {"kernel": np.array([0]), "bias": np.array([1])})
    theirs = known.to_theirs({"W": np.ones(1, "float16"), "b": np.ones(1, "float32")})
    assert [a.dtype.name for a in theirs.values()] == ["float16", "float16"]


@pytest.mark.parametrize("key", sorted(LAYOUTS))
def test_arrays_stay_on_their_device(key):
    cell, layout = cell_for(*key), layout_of(*key)
    p = draw_parameters(cell, layout)
    theirs = dump(layout, p, cell)
    with strict.install() as cupy:
        on_device = {name: cupy.asarray(a) for name, a in p.items()}
        strict.counts.clear()
        there, d = dump(layout, on_device, cell), gradients(layout, on_device, cell)
        again = load(layout, there, cell)
        assert not strict.counts["get"]           # no array has come to the host
        assert_same(rnnref.to("cpu", (there, d, again)), (theirs, gradients(layout, p, cell), p))


@pytest.mark.parametrize("mode", ["lstm", "gru", "rnn_tanh"])
def test_the_buffer_of_cudnn_stays_on_its_device(mode):
    net = Network(mode, 2, 3, 4, bidirectional=True)
    buffer = np.random.default_rng(0).normal(size=net.size)
    with strict.install() as cupy:
        there = cupy.asarray(buffer)
        strict.counts.clear()
        again = net.join(*net.theirs(net.ours(*net.split(there))))
        assert not strict.counts["get"]
        assert_same(rnnref.to("cpu", again), buffer)


def test_places_are_built_once(monkeypatch):
    cell, layout = cell_for("lstm", "torch"), layout_of("lstm", "torch")
    arrays = arrays_of("lstm", "torch")
    p = load(layout, arrays, cell)
    dump(layout, p, cell)

    def build(*_):
        raise AssertionError("built again")
    monkeypatch.setattr(places, "_build_places", build)
    load(layout, arrays, cell)
    dump(layout_of("lstm", "torch"), gradients(layout, p, cell) and p, cell_for("lstm", "torch"))
    with pytest.raises(AssertionError, match="built again"):      # of other sizes
        other = {"weight_ih_l0": np.ones((len(arrays["weight_ih_l0"]), 97), "float32")}       # as no other test has
        load(layout, arrays | other, cell)


def test_errors_are_raised_every_time():
    arrays = arrays_of("lstm", "keras")
    arrays["bias"] = arrays["bias"][1:]
    for _ in range(2):
        with pytest.raises(ShapeError, match="bias has shape"):
            load(layout_of("lstm", "keras"), arrays, cell_for("lstm", "keras"))


def test_parameters_that_are_not_of_the_cell():
    cell, layout = cell_for("lstm", "keras"), layout_of("lstm", "keras")
    p = draw_parameters(cell, layout)
    with pytest.raises(ShapeError, match="parameters: b missing"):
        dump(layout, {name: a for name, a in p.items() if name != "b"}, cell)
    with pytest.raises(ShapeError, match="b has shape"):
        dump(layout, p | {"b": p["b"][1:]}, cell)


def test_the_cache_is_bounded():
    built = []

    def build(n, count):
        built.append(n)
        return Result(count)
    cache = BoundedCache(build, capacity=10)
    for n, count in ((1, 4), (2, 4), (1, 4), (3, 4), (1, 4), (2, 4), (4, 11), (4, 11)):
        assert cache(n, count).count == count
    assert built == [1, 2, 3, 2, 4, 4]            # 2 was the last used when 3 came; 4 is too large to be kept


def test_the_cache_serves_threads():
    cache = BoundedCache(lambda n: Result(n), capacity=20)
    with ThreadPoolExecutor(8) as pool:
        assert [r.count for r in pool.map(cache, [n % 7 for n in range(2000)])] == [n % 7 for n in range(2000)]


@dataclass(unsafe_hash=True)
class Changing:
    n: int


@dataclass
class Unhashable:
    n: int


@pytest.mark.parametrize("kind", [Changing, Unhashable])
def test_what_can_change_is_not_kept(kind):
    cache, thing = BoundedCache(lambda thing: Result(thing.n)), kind(1)
    assert cache(thing).count == 1
    thing.n = 2
    assert cache(thing).count == 2 and cache(kind(1)).count == 1
