import copy
import pickle
import sys

import numpy as np
import pytest

from tests.support import strict

H = np.array([[1.5, -2.0, 0.25], [3.0, 0.0, -1.0]])


@pytest.fixture
def cupy():
    with strict.install() as module:
        yield module


@pytest.fixture
def x(cupy):
    a = cupy.asarray(H)
    strict.counts.clear()
    return a


def same(a, b):
    return a.dtype == np.asarray(b).dtype and np.array_equal(a.get(), b, equal_nan=True)


def test_install_puts_a_module_in_place_and_takes_it_away():
    before = [sys.modules.get(name) for name in ("cupy", "cupy.cuda")]
    with strict.install() as cupy:
        assert sys.modules["cupy"] is cupy and cupy.__name__ == "cupy" and cupy.cuda.is_available()
        assert cupy.get_array_module(H, cupy.zeros(2)) is cupy and cupy.get_array_module(H) is np
    assert [sys.modules.get(name) for name in ("cupy", "cupy.cuda")] == before


@pytest.mark.parametrize("refused", [
    lambda x: H + x, lambda x: x + H, lambda x: H @ x, lambda x: x == H, lambda x: [1.0] * x, lambda x: x - None,
    lambda x: x.__iadd__(H), lambda x: H.__setitem__(0, x[0]), lambda x: H.copy().__iadd__(x),
    np.tanh, np.sum, np.asarray, np.zeros_like, lambda x: np.concatenate([x]), lambda x: np.where(x, x, H),
    lambda x: np.add(H, x), lambda x: x @ H.T, lambda x: x[[0, 1]], lambda x: x[np.array([0, 1])], lambda x: x[H > 0],
    lambda x: x[True], lambda x: x[0:x[1, 0].astype(int)], lambda x: range(x[1, 0].astype(int)), hash,
    lambda x: x.__setitem__(0, H[0]), lambda x: x.__setitem__(0, [1.0, 2.0, 3.0]), lambda x: iter(x[0, 0]),
    lambda x: x.sum(where=True), lambda x: x.max(initial=0), lambda x: x.reshape(np.array([3, 2])),
    lambda x: strict.cupy.where(True, x, x), lambda x: strict.cupy.maximum(x, H), lambda x: strict.cupy.sum(H),
    lambda x: strict.cupy.concatenate([x, H]), lambda x: strict.cupy.einsum("ij,ij", x, H),
    lambda x: strict.cupy.tanh(x, where=x > 0), lambda x: strict.cupy.take(x, [0]), lambda x: strict.cupy.zeros(x[0]),
    lambda x: strict.cupy.concatenate(arrays=[x])])
def test_the_host_is_kept_out(x, refused):
    with pytest.raises(TypeError):
        refused(x)
    assert same(x, H) and set(strict.counts) == {"get"}         # the one of `same`


@pytest.mark.parametrize("undefined", [
    lambda c, x: x.__setitem__(c.asarray([0, 0]), x), lambda c, x: x.ravel().__setitem__(slice(1, 4), x.ravel()[:3]),
    lambda c, x: x.astype(np.longdouble), lambda c, x: c.zeros(2, object), lambda c, x: c.asarray(np.longdouble(1)),
    lambda c, x: c.asarray(["text"]), lambda c, x: bool(x > 0), lambda c, x: x.item()])
def test_what_has_no_result_on_a_gpu(cupy, x, undefined):
    with pytest.raises(ValueError):
        undefined(cupy, x)


def test_what_cupy_lacks_is_absent(cupy, x):
    lacks = "errstate longdouble float128 concat permute_dims vecdot np counts".split()
    assert not any(hasattr(cupy, name) for name in lacks) and not hasattr(x.flags, "writeable")


@pytest.mark.parametrize("f", [
    lambda xp, x: 2 - x * x / 4 + x ** 2 % 3, lambda xp, x: -abs(x) // 2, lambda xp, x: x @ x.T - x.dot(x.T + 1),
    lambda xp, x: (x > 0) & ~(x == 1.5) | (x <= -2) ^ (x != 0), lambda xp, x: np.float64(3) * x.astype("float32"),
    lambda xp, x: 3.0 * x.astype("float32"), lambda xp, x: x.sum(), lambda xp, x: xp.where(x > 0, x, 0.0),
    lambda xp, x: x.mean(axis=1, keepdims=True) + x.max(0) - x.min(), lambda xp, x: x.argmax(axis=1),
    lambda xp, x: xp.exp(x * 1e3) - xp.log(abs(x)), lambda xp, x: xp.concatenate([x, x[:, ::-1]], axis=1),
    lambda xp, x: xp.stack(xp.split(x, 3, axis=1))[..., None], lambda xp, x: xp.stack(xp.split(x, [1], axis=1)[0:1]),
    lambda xp, x: xp.einsum("ij,kj->ik", x, x), lambda xp, x: xp.tensordot(x, x, axes=([1], [1])),
    lambda xp, x: xp.pad(x, ((0, 1), (1, 0)), constant_values=7), lambda xp, x: xp.clip(x, -1, None),
    lambda xp, x: xp.take_along_axis(x, x.argmax(axis=1)[:, None], 1), lambda xp, x: x.clip(0, 1).cumsum(axis=1),
    lambda xp, x: x[xp.arange(2), xp.arange(1, 3)], lambda xp, x: xp.moveaxis(x[None], 0, -1).transpose(1, 0, 2),
    lambda xp, x: xp.full((2,), x[0, 0]), lambda xp, x: xp.zeros(3, xp.float32), lambda xp, x: xp.arange(1, 7, 2),
    lambda xp, x: xp.array_equal(x, x), lambda xp, x: xp.allclose(x, x + 1), lambda xp, x: xp.linspace(0, 1, 5),
    lambda xp, x: x.reshape(3, -1).swapaxes(0, 1), lambda xp, x: xp.maximum(x, x[0]), lambda xp, x: (x > 2).any(axis=0),
    lambda xp, x: xp.roll(xp.flip(x, 1), 1, axis=0), lambda xp, x: xp.broadcast_to(x[0], (4, 3)).copy()])
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_values_are_those_of_numpy_and_nothing_crosses(cupy, x, f):
    result = f(cupy, x)
    assert type(result) is cupy.ndarray and not strict.counts
    assert same(result, f(np, H.copy()))


def test_crossings_are_counted(cupy, x):
    seen, numbers = strict.counts, np.zeros(1)
    numbers[0] = x[0, 0]                        # NumPy asks for a float here, so CuPy cannot refuse
    assert numbers[0] == float(x[0, 0]) == 1.5 and int(x[1, 0]) == 3 and x[0, 1].item() == -2 and bool(x[0, 0] > 0)
    assert seen == {"item": 5}
    assert x[0].tolist() == [1.5, -2.0, 0.25] and f"{x[1, 0]:.1f}" == "3.0" and "1.5" in repr(x) and seen["get"] == 3
    assert same(x[x > 0], H[H > 0]) and seen["mask"] == 1
    x[x < 0] = 0                                # finds the places, and sends the number
    assert same(x, np.maximum(H, 0)) and seen["mask"] == 2 and seen["asarray"] == 1
    assert same(cupy.asarray(2.5), 2.5) and same(cupy.array([x[0], x[1]]), np.maximum(H, 0)) and seen["asarray"] == 2
    assert cupy.asnumpy(x).flags.owndata and pickle.loads(pickle.dumps(x)).shape == (2, 3)


def test_what_is_shared_and_what_is_not(cupy, x):
    host = H.copy()
    a = cupy.asarray(host)
    host[:] = a.get()[:] = 0
    copy.copy(a)[:] = copy.deepcopy(a)[:] = 0
    assert same(a, H) and cupy.asarray(a) is a and cupy.array(a) is not a and a.astype("float64", copy=False) is a
    element, total, alias = a[0, 0], a.sum(), a
    element += 1                                # a view, where NumPy has a number
    first = total
    total += 1                                  # in place, where NumPy makes another
    alias -= 1
    a[1, 1:] = a[0, :2]
    assert same(a, [[1.5, -3.0, -0.75], [2.0, 1.5, -3.0]]) and first is total and same(first, H.sum() + 1)
    assert cupy.shares_memory(cupy.split(a, 3, axis=1)[0], a.T) and not cupy.shares_memory(a[cupy.arange(2)], a)
    cupy.add.at(a, (cupy.asarray([0, 0]), cupy.asarray([1, 1])), 2.0)
    assert cupy.tanh(a, out=a) is a and same(a, np.tanh([[1.5, 1.0, -0.75], [2.0, 1.5, -3.0]]))
    assert same(cupy.empty((1, 2)), [[np.nan, np.nan]])
