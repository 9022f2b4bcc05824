"""The measurements for a CUDA device run on the CPU with tiny sizes; their times mean nothing."""
import json

import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM
from tests.bench import device, gpu, gpu_probe, soak
from tests.kernels.compile_check import Nvrtc, used
from tests.kernels.faults import planted_source
from tests.kernels.onchip import card
from tests.shim.double import with_kernels
from tests.support import blas, stream_capture

SIZE = 3, 4, 5, 6


@pytest.fixture
def toys(monkeypatch):
    """A device whose events are counted, and no torch."""
    ran = []
    monkeypatch.setattr(device, "milliseconds", lambda f, rounds, warm=2: ran.append(f()) or 1.0)

    def torchs(self, mode):
        raise RuntimeError("there is no CUDA")
    monkeypatch.setattr(gpu.Net, "torchs", torchs)
    monkeypatch.setattr(device, "about", lambda: {"sm": 90})
    with with_kernels() as cupy, blas.install(), stream_capture.install(), card((2,)):
        monkeypatch.setattr(cupy, "get_default_memory_pool", lambda: type("Pool", (), {"free_all_blocks": print}),
                            raising=False)
        yield ran


@pytest.mark.kernels
@pytest.mark.parametrize("kind", dict.fromkeys(kind for _, kind in gpu.KINDS))
@pytest.mark.parametrize("mode", gpu.MODES)
@pytest.mark.parametrize("name", gpu.CELLS)
def test_every_row_can_be_measured(name, mode, kind, toys, capsys):
    one = gpu.row(name, SIZE, kind, mode, 3)
    who = {"products", "ours", "ours, stepped", "ours, graphed",
           *["ours 16"] * (mode in gpu.NARROW), *["plain"] * (mode == "fp32")}
    assert set(one["forward"]) == set(one["training"]) == who and list(one["failed"]) == ["torch"]
    gpu.shown(one)
    said = capsys.readouterr().out
    assert "products/ours 1.00" in said and "graphed/stepped 1.00" in said and "clusters; a step of ours" in said
    assert set(one["estimates"]) == {"floor", "stepped", "Ahead", "Back"} and one["Ahead"]["blocks"] == 2
    assert one["microseconds a step"]["forward, ours"] == 250 / (2 if "two" in kind else 1)
    assert "torch failed: RuntimeError: there is no CUDA" in said
    json.dumps(one)


@pytest.mark.kernels
@pytest.mark.parametrize("sm", (75, 80, 90, 100))
def test_what_the_probe_runs_can_be_compiled(sm):
    text = gpu_probe.SOURCE.read_text() + "".join(
        f"template __global__ void {name}<16>(float*, int{', int' * sends});\n" for name, sends in (
            ("probe_cluster_barrier", 0), ("probe_cluster_exchange", 1), ("probe_cluster_bytes", 1))) * (sm >= 90)
    log, ptx = Nvrtc().compile(text, (*gpu_probe.OPTIONS, f"-arch=sm_{sm}", "--ptxas-options=-v"))
    assert not any(row["spilled"] for row in used(log).values())
    assert ("st.async" in ptx) == (sm >= 90) and ("mma.sync" in ptx) == (sm >= 80)


@pytest.mark.kernels
def test_the_soak_names_what_it_draws_and_what_is_wrong():
    with with_kernels(), blas.install(), card((2,), WARPS=(4,)):
        paths = []
        for seed in range(3):
            words, path, why = soak.held(seed, largest=9)
            assert words.startswith(f"seed {seed}: ") and why is None
            paths.append(path)
        assert set(paths) == {"onchip"}
        with planted_source("onchip.cu", "p.s.h = rounded<W>(p.s.h);", "p.s.h = 2 * p.s.h;"):
            assert "expected" in soak.held(0, largest=9)[2]


def test_a_soak_names_its_seeds_first_and_survives_what_a_case_raises(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OUT", str(tmp_path))
    ends = iter(range(100))
    monkeypatch.setattr(soak.time, "time", lambda: next(ends))

    def case(seed):
        if seed == 8:
            raise rnnref.DeviceError("trial", "gone")
        return f"seed {seed}: words", "onchip", "far off" if seed == 9 else None
    results = device.Results("soak", lambda: {"card": "none"})
    assert soak.soak(7, 3, results, case) == ["seed 8", "seed 9: words"]
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["seed 7", "seed 8"] and said[-1] == "3 cases (onchip 2, raised 1), 2 wrong"
    rows = [json.loads(line) for line in results.path.read_text().splitlines()]
    assert results.path.parent == tmp_path and rows[0] == {"about": {"card": "none"}}
    assert [row["wrong"] is None for row in rows[1:]] == [True, False, False]


@pytest.mark.parametrize("what", (device.required, gpu.main, gpu_probe.main, soak.main))
def test_without_a_device_the_reason_is_printed(what, monkeypatch):
    monkeypatch.setattr("sys.argv", ["bench"])
    monkeypatch.setattr(device, "why_none", lambda: "no card")
    with pytest.raises(SystemExit, match="There is no GPU to run this on.\n  no card"):
        what()


@pytest.mark.peers
@pytest.mark.parametrize("cell", (LSTM(), GRU(), GRU(recurrent_bias=False)))
@pytest.mark.parametrize("kind", ("", "two layers, both directions"))
def test_torch_has_the_same_parameters(cell, kind):
    torch = pytest.importorskip("torch")
    net = gpu.Net(cell, SIZE, kind, np.random.default_rng(0))
    module = device.torch_module(cell, net.p, torch.float32, net.layers, net.both, "cpu")
    x = net.xs
    for k in range(net.layers):
        if net.both:
            ys = rnnref.run(rnnref.cells.Bidirectional((cell, cell)), (net.p[2 * k], net.p[2 * k + 1]), x)[0]
            x = np.concatenate(ys, -1)
        else:
            x = rnnref.run(cell, net.p[k], x)[0]
    rnnref.testing.api.assert_close(module(torch.tensor(net.xs))[0].detach().numpy(), x)
