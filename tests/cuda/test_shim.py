"""The host shim: it runs the kernels of a card, and reports faults that a card would hide or hang on."""
import re

import numpy as np
import pytest

from tests.shim import hostsim
from tests.shim.hostsim import HERE, HostKernelError, HostModule

pytestmark = pytest.mark.kernels
ORDERS = ("fifo", 1), ("lifo", 1), ("random", 1), ("random", 2)
A = np.arange(49, dtype="float32").reshape(7, 7)


def trial(name, fault=0):
    return HostModule(code=f"#define FAULT {fault}\n" + (HERE / "trial.cu").read_text()).get_function(name)


def transposed(order=("fifo", 1), fault=0, shared=64):
    b = np.full_like(A, np.nan)
    trial("transpose", fault)((2, 2), (4, 4), (A, b, np.int32(7)), shared, order=order[0], seed=order[1])
    return b


@pytest.mark.parametrize("order, seed", ORDERS)
def test_barriers_exchanges_clusters_and_waiting(order, seed):
    how = {"order": order, "seed": seed}
    assert np.array_equal(transposed((order, seed)), A.T)
    numbers = np.random.default_rng(0).normal(size=32)
    sums = np.empty(32)
    trial("warp_sum")((1,), (32,), (numbers, sums), **how)
    assert np.allclose(sums, numbers.sum(), rtol=0, atol=1e-12) and len(set(sums)) == 1
    a, up, down = np.arange(32, dtype="int32"), np.empty(32, "int32"), np.empty(32, "int32")
    trial("neighbours")((1,), (32,), (a, up, down), **how)
    assert up.tolist() == [0, *range(31)] and down.tolist() == [*range(1, 32), 31]
    given, total = np.zeros(5, "int32"), np.zeros(5, "int32")
    trial("in_turn")((5,), (1,), (np.zeros(1, "int32"), given, total), together=5, **how)
    assert total.tolist() == [15] * 5
    got = np.zeros(4, "int32")
    trial("around")((4,), (1,), (got,), 12, together=2, **how)
    assert got.tolist() == [1, 0, 3, 2]
    trial("phases")((1,), (2,), (got,), 12, **how)
    assert got[0] == 0
    ends = np.zeros(6, "int32")
    trial("barriers")((1,), (6,), (ends,), 16, **how)
    assert ends.tolist() == [255] * 6             # what is shared is NaN until it is written


def test_a_missing_barrier_shows_in_some_order():
    assert not all(np.array_equal(transposed(order, fault=1), A.T) for order in ORDERS)
    given, total = np.zeros(5, "int32"), np.zeros(5, "int32")
    trial("in_turn", 5)((5,), (1,), (np.zeros(1, "int32"), given, total), together=5)
    assert total.tolist() != [15] * 5
    assert any(around(6, *order) != [1, 0, 3, 2] for order in ORDERS)


def around(fault, order, seed):
    """The result, or the message of the fault."""
    got = np.zeros(4, "int32")
    try:
        trial("around", fault)((4,), (1,), (got,), 12, together=2, order=order, seed=seed)
    except HostKernelError as e:
        return str(e)
    return got.tolist()


@pytest.mark.parametrize("fault, message", (
    (10, "of a block that has not begun"), (11, "or for bytes that are not sent"),
    (12, "block that has ended|bytes that are not sent"),
    (13, "is not open, or was written over"), (14, "announced twice"), (15, "opened twice"),
    (16, "is not open, or was written over"), (17, "written past its end"), (18, "is not aligned"),
    (19, "more bytes than a barrier can count"), (20, "blocks that have ended|block that has ended")))
def test_faults_between_blocks_are_named(fault, message):
    messages = [one for one in (around(fault, *order) for order in ORDERS) if isinstance(one, str)]
    assert messages and all(re.search(message, one) for one in messages)


def test_a_phase_that_is_missed_is_named():
    with pytest.raises(HostKernelError, match="two phases on while a thread waited"):
        for seed in range(1, 100):
            trial("phases", 21)((1,), (2,), (np.zeros(1, "int32"),), 12, order="random", seed=seed)


@pytest.mark.parametrize("fault", (2, 3))
def test_a_wrong_tile_and_a_short_one_show_in_the_numbers(fault):
    assert not np.array_equal(transposed(fault=fault), A.T)


@pytest.mark.parametrize("fault, message", (
    (7, "threads wait at lines"), (8, "returned"), (9, "shared memory was written past its end")))
def test_faults_between_threads_are_named(fault, message):
    for order, seed in ORDERS:
        with pytest.raises(HostKernelError, match=message):
            trial("barriers", fault)((1,), (6,), (np.zeros(6, "int32"),), 16, order=order, seed=seed)
    trial("barriers")((1,), (6,), (np.zeros(6, "int32"),), 16)          # and the next launch is as if nothing had been


def test_lanes_outside_their_mask_and_endless_waiting_are_named():
    with pytest.raises(HostKernelError, match="is not in the mask"):
        trial("warp_sum", 4)((1,), (32,), (np.zeros(32), np.zeros(32)))
    with pytest.raises(HostKernelError, match="are all blocks there at once"):
        trial("in_turn")((2,), (1,), (np.zeros(1, "int32"), np.zeros(2, "int32"), np.zeros(2, "int32")))


def test_arguments_of_another_size_are_refused():
    b = np.empty_like(A)
    for wrong, message in ((7, "NumPy scalar of 4 bytes"), (np.int64(7), "NumPy scalar of 4 bytes")):
        with pytest.raises(TypeError, match=message):
            trial("transpose")((1,), (1,), (A, b, wrong))
    with pytest.raises(TypeError, match="items of 4 bytes"):
        trial("transpose")((1,), (1,), (A.astype("float64"), b, np.int32(7)))
    with pytest.raises(TypeError, match="takes 3 arguments, 2 were given"):
        trial("transpose")((1,), (1,), (A, b))
    with pytest.raises(HostKernelError, match="no kernel rotate"):
        trial("rotate")


def test_messages_of_the_compiler_are_passed_on(monkeypatch, tmp_path):
    with pytest.raises(HostKernelError, match="static_shared_memory_is_not_here"):
        HostModule(code='extern "C" __global__ void f() { __shared__ float a[4]; a[0] = 0; }').get_function("f")
    monkeypatch.setattr(hostsim, "BUILT", tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(HostKernelError, match="g[+][+] is not on PATH"):
        hostsim.built("int a;")
