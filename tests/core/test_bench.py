"""What the measurements rest on."""
import itertools

import numpy as np
import pytest

import rnnref
from tests.bench import device, host, parts, peers
from tests.bench.networks import Network


def test_host_times_of_launches_are_measured_for_every_aim():
    """Figures are for `make bench` to print: a machine that is busy proves nothing about the code."""
    found = host.measure(rounds=1)
    assert found.keys() == host.AIMS.keys() and all(0 < us < 1000 for us in found.values())


def test_kernels_of_the_idle_card_read_their_arguments_and_work_stays_undone():
    with host.idle_card() as cupy:
        assert cupy.RawModule().get_function("any")((1,), (1,), [host.np.zeros((), "V8")])[0][0] > 0
    assert not hasattr(cupy, "RawModule")


def test_torch_lays_weights_of_bfloat16_end_to_end_for_cudnn():
    torch = pytest.importorskip("torch")
    asked = torch.backends.cudnn.is_acceptable.__globals__["CUDNN_TENSOR_DTYPES"]     # before weights are laid out
    before = set(asked)
    asked.discard(torch.bfloat16)
    try:
        assert device.torch_in("bf16") in asked
    finally:
        asked &= before


TIMES = {"rnnref": [0.004, 0.002, 0.002], "torch": [0.001, 0.003, 0.009], "products": [0.001] * 3}


def test_a_row_has_ratios_of_medians_beside_the_bars():
    found = peers.row("GRU", "training", (64, 28, 28, 128), TIMES)
    assert found["ratios"] == {"torch": 1.5, "products": 0.5} and (found["ms"], found["best ms"]) == (2.0, 2.0)
    assert (found["must"], found["aim"], found["rounds"]) == (1.5, 1.6, 3)
    assert peers.line(found, ["torch"]).split()[-3:] == ["1.50", "1.60", "must"]
    assert peers.row("RNN", "training", (2, 3, 4, 5), TIMES)["must"] is None


def test_the_table_goes_between_its_marks(tmp_path):
    rows = [peers.row("GRU", mode, (64, 28, 28, 128), {n: ts for n, ts in TIMES.items() if n != left})
            for mode, left in (("training", None), ("inference", "torch"))]
    text = peers.table(rows, {"cores": 2, "BLAS threads": 1, "jax": None}, [100.0, 98.4])
    assert text.splitlines() == [
        "cores 2, BLAS threads 1; a product of 1024: 98 to 100 GFLOP/s.", "",
        "| | B, T, I, H | ms | torch | products |", "|---|---|---|---|---|",
        "| GRU training | 64, 28, 28, 128 | 2.00 | 1.50 | 0.50 |",
        "| GRU inference | 64, 28, 28, 128 | 2.00 |  | 0.50 |"]
    page = tmp_path / "README.md"
    page.write_text(f"before\n{peers.MARKS[0]}old\n{peers.MARKS[1]}after\n")
    for _ in range(2):
        peers.write_readme(text, page)
        assert page.read_text() == f"before\n{peers.MARKS[0]}\n{text}\n{peers.MARKS[1]}after\n"
    assert peers.README.read_text().count(peers.MARKS[0]) == peers.README.read_text().count(peers.MARKS[1]) == 1


def test_a_measurement_has_a_process_of_its_own(monkeypatch):
    monkeypatch.setattr(peers, "Network", None)          # here, not in a new process
    found = peers.measure_alone("GRU", (1, 4, 2, 2), (), 0)
    assert found.keys() == {"inference", "training"} and found["training"].keys() == {"rnnref", "products"}
    assert len(found["inference"]["rnnref"]) >= 3


def test_frameworks_are_called_in_turn(monkeypatch):
    """By a clock that shows one second more at each look: a rest, a call that is not timed, and two in four seconds."""
    order, clock = [], itertools.count()
    monkeypatch.setattr(peers, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(peers, "sleep", lambda seconds: order.append("rest"))
    monkeypatch.setattr(peers, "BLOCK", 4)
    times = peers.in_turn({name: lambda name=name: order.append(name) for name in "ab"}, seconds=0, least=3)
    assert order == ["rest", "a", "a", "a", "rest", "b", "b", "b"] * 2 and times == {"a": [1] * 4, "b": [1] * 4}


@pytest.mark.parametrize("kind, products, tanh", (("LSTM", 1, 2), ("GRU", 1, 2), ("RNN", 1, 1)))
def test_parts_are_counted_as_kernels_call_them(kind, products, tanh):
    net = Network(kind, 1, 20, 3, 4)
    found, whole = parts.measure(net, "inference", 1)
    assert found["products of steps"][0] == 20 * products and found["tanh"][0] == 20 * tanh
    assert 0 < sum(seconds for _, seconds in found.values()) < whole
    found, _ = parts.measure(net, "training", 1)
    assert found["products of steps"][0] == 2 * 20 * products


def test_a_network_of_the_benchmarks_is_the_layer_that_it_names():
    net = Network("GRU", 2, 5, 3, 4)
    ys = net.steps("rnnref")["inference"]()[0]
    want = rnnref.run(net.cell, net.p, net.xs, paths=("plain",))[0]
    assert abs(ys - want).max() < 1e-6 and set(net.steps("products")) == {"inference", "training"}


@pytest.mark.peers
@pytest.mark.parametrize("kind", ("LSTM", "GRU", "RNN"))
def test_other_frameworks_of_the_benchmarks_compute_and_train(kind):
    pytest.importorskip("torch")
    net = Network(kind, 2, 5, 3, 4)
    for name in ("torch", "keras", "jax"):
        steps = net.steps(name)
        y = steps["inference"]()
        assert np.shape(y[0] if name == "torch" else y)[-1] == 4, name
        steps["training"]()
