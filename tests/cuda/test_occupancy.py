"""How many clusters run at once: calls of the driver, on a double of it, and the effect of its answer on the plan."""
import struct
import types
from ctypes import c_char, c_int

import numpy as np
import pytest

import rnnref
from rnnref.cells import LSTM
from rnnref.cuda import precision
from rnnref.cuda_loops import occupancy, onchip, tiling
from rnnref.cuda_loops.choice import Problem, choose
from rnnref.cuda_loops.tiling import Task, _count_waves, at_once, cluster_sizes
from rnnref.loops.plan import Call, describe_call
from tests.support import strict

# {blocks: clusters}: of 7 groups of 18 multiprocessors and one of 6, none that has 16
ANSWERS = {1: 132, 2: 66, 4: 29, 8: 14, 16: 7}


class Driver:
    """libcuda, read by the layout of cuda.h: CUlaunchConfig has 56 bytes, CUlaunchAttribute 72."""

    def __init__(self, answers):
        self.answers, self.calls = answers, []

    def cuOccupancyMaxActiveClusters(self, result, function, config):
        *grid, shared = struct.unpack("7I", (c_char * 28).from_buffer(config._obj).raw)
        stream, where, count = struct.unpack_from("QQI", (c_char * 56).from_buffer(config._obj).raw, 32)
        kind, x, y, z = struct.unpack_from("i4x3I", (c_char * 72).from_address(where).raw)
        assert (stream, count, kind, y, z, grid) == (0, 1, 4, 1, 1, [x, 1, 1, 256, 1, 1])
        self.calls.append((function.value, shared, x))
        result._obj.value = c_int(self.answers[x] if self.answers[x] < 900 else 0).value
        return 0 if self.answers[x] < 900 else self.answers[x]


class Device:
    """A double of a device: a context, and its compute capability."""
    compute_capability = "90"
    entered = 0

    def __init__(self, id=0):
        self.id = id

    def __enter__(self): Device.entered += 1
    def __exit__(self, *args): pass


class Function:
    """A double of a kernel, with the attributes that it is given."""
    max_dynamic_shared_size_bytes = 48 << 10
    kernel = types.SimpleNamespace(ptr=4711)


@pytest.fixture
def card(monkeypatch):
    """A double of a card: card(answers) is its driver."""
    allowed = []
    driver = types.ModuleType("cupy_backends.cuda.api.driver")
    driver.funcSetAttribute = lambda *args: allowed.append(args)
    for module in (driver, types.ModuleType("cupy_backends")):
        monkeypatch.setitem(occupancy.sys.modules, module.__name__, module)
    with strict.install() as cupy:
        function = Function()
        monkeypatch.setattr(cupy, "RawModule", lambda code, options, backend: types.SimpleNamespace(
            get_function=lambda name: function), raising=False)
        monkeypatch.setattr(cupy.cuda, "Device", Device, raising=False)
        monkeypatch.setattr(strict.ndarray, "device", Device())
        occupancy.count_clusters.cache_clear()

        def install(answers):
            lib = Driver(answers)
            monkeypatch.setattr(occupancy, "CDLL", lambda name: lib if name == "libcuda.so.1" else None)
            lib.function, lib.allowed = function, allowed
            return lib
        yield install
        occupancy.count_clusters.cache_clear()


def test_the_driver_is_asked_once_for_every_size(card):
    lib, x = card(ANSWERS), rnnref.to("gpu", np.ones(1, "f4"))
    assert [occupancy.clusters(x) for _ in range(3)] == [tuple(ANSWERS.items())] * 3
    assert lib.calls == [(4711, 227 << 10, blocks) for blocks in (1, 2, 4, 8, 16)]
    assert lib.function.max_dynamic_shared_size_bytes == 227 << 10 and lib.allowed == [(4711, 14, 1)]
    occupancy.count_clusters(1, 90)                          # another card
    assert len(lib.calls) == 10


@pytest.mark.parametrize("sm, sizes", ((75, []), (89, []), (90, [1, 2, 4, 8, 16]), (103, [1, 2, 4, 8, 16]),
                                       (120, [1, 2, 4, 8])))
def test_only_sizes_that_a_card_has_are_asked(sm, sizes, card, monkeypatch):
    lib = card(ANSWERS)
    monkeypatch.setattr(precision, "architecture", lambda a: sm)
    occupancy.clusters(rnnref.to("gpu", np.ones(1, "f4")))
    assert [blocks for *_, blocks in lib.calls] == sizes


def test_an_impossible_size_counts_zero_and_other_errors_warn(card):
    card(ANSWERS | {16: 912})
    assert dict(occupancy.count_clusters(0, 90))[16] == 0
    card(ANSWERS | {8: 999})
    with pytest.warns(RuntimeWarning, match="clusters of 8 blocks run at once .CUDA error 999"):
        assert 8 not in dict(occupancy.count_clusters(1, 90))


def test_the_answer_reaches_the_plan(card):
    card(ANSWERS)
    xs = rnnref.to("gpu", np.ones((100, 64, 256), "f4"))
    call = describe_call(xs, s=LSTM().zeros(64, 512))
    assert (call.sm, dict(call.clusters)) == (90, ANSWERS)
    notes = dict(line.split(": ", 1) for line in rnnref.explain(LSTM(), call).splitlines())
    assert notes["clusters at once"] == (
        "132 of 1 block, 66 of 2 blocks, 29 of 4 blocks, 14 of 8 blocks, 7 of 16 blocks, as the driver reports")
    s = rnnref.to("gpu", LSTM().zeros(64, 512))
    assert onchip._problem_of_arrays([(LSTM(), None, s, False)], xs, True).clusters == call.clusters
    # 8 clusters of 16 blocks have 8 rows each; 7 have 10, so that all run at the same time
    problem = Problem(100, 64, 256, 512, 4, "float32", sm=90)
    for counts, rows in (((16, 8),), 8), (call.clusters, 10):
        assert [t.group for t in choose(problem._replace(clusters=counts)).tilings] == [rows, rows]


TASK = Task("Ahead", 4, 256, 33, "float", "float", 90)


def test_fewer_clusters_than_the_data_sheet_allows_run_in_waves(monkeypatch):
    monkeypatch.setattr(tiling, "MEASURED", {})
    t = tiling.choose_tiling(TASK)._replace(blocks=4, group=1)
    assert (at_once(TASK, 4), _count_waves(t, TASK)) == (33, 1)
    task = TASK._replace(clusters=((4, 32),))
    assert (at_once(task, 4), at_once(task, 2), _count_waves(t, task)) == (32, 66, 2)


def test_a_size_of_which_no_cluster_fits_is_not_chosen():
    task = TASK._replace(rows=1, n=512)
    assert tiling.choose_tiling(task).blocks == 16
    assert tiling.choose_tiling(task._replace(clusters=((8, 16), (16, 0)))) is None
    assert tiling.choose_tiling(task._replace(n=256, clusters=((8, 16), (16, 0)))).blocks == 8
    none = Problem(100, 1, 256, 512, 4, "float32", sm=90, clusters=tuple((b, 0) for b in cluster_sizes(90)))
    chosen = choose(none)
    assert chosen.method == "stepped" and "too large for the registers and" in chosen.why_not["clusters"]


def test_measured_counts_serve_for_cards_that_are_not_asked(monkeypatch):
    monkeypatch.setattr(tiling, "MEASURED", {90: {4: 30}})
    assert at_once(TASK, 4) == 30 and at_once(TASK, 8) == 16
    assert at_once(TASK._replace(clusters=((4, 28),)), 4) == 28
    assert at_once(TASK._replace(sm=100), 4) == 37


def test_a_call_on_numpy_has_no_clusters():
    assert describe_call(np.ones((3, 2, 1))).clusters == () == Call("cupy", (3, 2, 1), np.dtype("f4")).clusters
