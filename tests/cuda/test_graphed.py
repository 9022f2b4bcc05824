"""The graphed path on the CPU: real kernels, doubles of capture and cuBLAS (tests/support/stream_capture.py)."""
import gc
from dataclasses import replace

import numpy as np
import pytest

import rnnref
from rnnref.cells import LSTM
from rnnref.cuda import step_launches
from rnnref.cuda.precision import MODES
from rnnref.cuda_loops import graphed, stepped
from rnnref.cuda_loops.cublas import why_no_capture
from rnnref.loops.plan import Call
from rnnref.loops.run import run, run_back
from rnnref.testing.api import assert_close, assert_same, draw_case
from rnnref.testing.case import PLAIN, Trial
from rnnref.testing.laws import check_law
from rnnref.tree import map_structure, to
from tests.shim.double import with_kernels
from tests.support import blas, stream_capture, strict
from tests.support.cases import CELLS, B, I, T, U, case
from tests.support.graph_runs import GRAPHED, STEPPED, WAYS, draw_arguments, run_both_ways

LAWS = 1, 3, 4, 5, 6, 7, 8, 9
NAMES = ("LSTM", "LSTM, peepholes", "LSTM, recurrent bias", "GRU", "SimpleRNN tanh", "GRU before",
         "LSTM, projection clip")

pytestmark = pytest.mark.kernels


class Graphed(Trial):
    """The plain code and graphs alone."""
    choices = {"plain": PLAIN, "graphs": GRAPHED}


@pytest.mark.parametrize("where, reverse", (("everywhere", False), ("everywhere", True), ("lengths", True),
                                            ("holes", False)))
@pytest.mark.parametrize("name", (*NAMES, "GRU, weight norm", "LSTM, cell clip, peepholes", "LSTM, projection",
                                  "GRU before, recurrent bias"))
def test_laws(name, where, reverse, seen):
    trial = Graphed(replace(case(name), **WAYS[where], reverse=reverse, device="gpu"))
    for number in LAWS:
        check_law(trial, number)
    assert ("launch", 0) in seen.log


@pytest.mark.parametrize("padding", ("repeat", "free"))
def test_laws_past_the_end(padding, seen):
    trial = Graphed(replace(case("GRU"), **WAYS["lengths"], padding=padding, device="gpu"))
    for number in LAWS:
        check_law(trial, number)


def test_two_directions(seen):
    check_law(Graphed(replace(case("Bidirectional"), **WAYS["lengths"], device="gpu")), 9)
    assert seen.log.count(("launch", 0)) >= 4


@pytest.mark.parametrize("where, reverse", (("everywhere", False), ("lengths", True)))
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_every_bit_is_that_of_the_stepped_path(name, mode, where, reverse, seen):
    for keep in (True, False):
        got, want = (run_both_ways(draw_arguments(name), where, keep, reverse=reverse, mode=mode, **c)
                     for c in (GRAPHED, STEPPED))
        assert_same(got, want)


@pytest.mark.parametrize("dtype", ("float64", "float16", blas.ml_dtypes.bfloat16))
@pytest.mark.parametrize("name", NAMES)
def test_dtypes(name, dtype, seen):
    assert_same(*(run_both_ways(draw_arguments(name, dtype), "lengths", **c) for c in (GRAPHED, STEPPED)))


@pytest.mark.parametrize("name", NAMES)
def test_a_kind_of_sequence_is_captured_once(name, seen, monkeypatch):
    """Whatever the weights, inputs, lengths and gradients are: they are copied in."""
    captured, capture = [], graphed.capture_graph
    monkeypatch.setattr(graphed, "capture_graph", lambda *args: captured.append(capture(*args)) or captured[-1])
    masks = [WAYS[where]["mask"] for where in ("holes", "left")]
    for seed, mask in enumerate(masks):
        cell, p, xs, s = draw_arguments(name, seed=seed)
        for _ in range(2):
            got, want = (run(cell, p, xs, s, mask=to("gpu", mask), **c) for c in (GRAPHED, STEPPED))
            for path in (got, want):
                assert_same(to("cpu", run_back(path[2], *path[:2])), to("cpu", run_back(want[2], *want[:2])))
            assert_same(to("cpu", got[:2]), to("cpu", want[:2]))
            for a in p.values():
                a *= 0.5                          # as an optimiser does
            del got, path                         # the tape
    assert len(captured) == 2
    each = 4 if name in ("GRU before", "LSTM, projection clip") else 2
    assert len(captured[0].nodes) == each * T + (name == "GRU") and len(captured[1].nodes) == each * T


def test_the_host_launches_once_each_way(seen, monkeypatch):
    args = draw_arguments("LSTM")
    run_both_ways(args, **GRAPHED)
    seen.log.clear()
    monkeypatch.setattr(step_launches, "StepLaunches", None)                    # no argument is checked again
    run_both_ways(args, **GRAPHED)
    assert seen.log == [("launch", 0)] * 2


@pytest.mark.parametrize("where", WAYS)
def test_nothing_crosses_the_bus(where, seen):
    args, options = draw_arguments("LSTM, peepholes"), to("gpu", WAYS[where])
    for _ in range(2):                            # with the capture, and without
        strict.counts.clear()
        ys, new, tape = run(*args, **options, **GRAPHED)
        run_back(tape, ys, new)
        assert strict.counts == ({"item": 1} if where == "lengths" else {})


def test_two_tapes_at_once(seen):
    one, other = draw_arguments("LSTM"), draw_arguments("LSTM", seed=1)
    want = [run_both_ways(args, **STEPPED) for args in (one, other)]
    for _ in range(2):
        tapes = [run(*args, **GRAPHED) for args in (one, other)]
        for k in (1, 0, 1):                       # in any order, and again
            ys, new, tape = tapes[k]
            assert_same((to("cpu", (ys, new)), to("cpu", run_back(tape, ys, new))), want[k])
        del tapes, ys, new, tape
        assert len(graphed.POOL.idle) == 2
    assert len(graphed.POOL.idle) == 2


def test_results_outlive_their_tape(seen):
    ys, new, tape = run(*draw_arguments("GRU"), **GRAPHED)
    out = ys, new, run_back(tape, ys, new), tape.kept(2)
    before = to("cpu", out)
    plain = run(*draw_arguments("GRU"), **PLAIN)[2]
    assert_close(before[3], to("cpu", plain.kept(2)), "path")
    del tape
    run_both_ways(draw_arguments("GRU", seed=1), **GRAPHED)
    assert_same(to("cpu", out), before)


def test_a_loop_is_returned_when_its_tape_is_freed(seen):
    gc.collect()
    gc.disable()                                  # freed at once, without the search for cycles
    try:
        tape = run(*draw_arguments("LSTM"), **GRAPHED)[2]
        assert not graphed.POOL.idle
        loop = tape.tape.loop
        del tape
        assert graphed.POOL.idle == [loop]
        tape = run(*draw_arguments("LSTM", seed=1), **GRAPHED)[2]
        assert tape.tape.loop is loop and not graphed.POOL.idle
        run(*draw_arguments("LSTM"), keep=False, **GRAPHED)
        assert [loop.key.keep for loop in graphed.POOL.idle] == [False]
    finally:
        gc.enable()


def test_the_pool_is_bounded(seen, monkeypatch):
    monkeypatch.setattr(graphed.POOL, "capacity", 2)
    cell, p, xs, s = draw_arguments("LSTM")
    for steps in (3, 4, 5, 3, 6):
        run(cell, p, xs[:steps], s, keep=False, **GRAPHED)
        assert len(graphed.POOL.idle) <= 2
    assert [len(loop.key.order) for loop in graphed.POOL.idle] == [3, 6]
    graphed.clear()
    assert not graphed.POOL.idle
    gc.collect()
    stream_capture.forget(graphed.cublas, graphed)
    assert seen.destroyed == seen.handles == [4096]                   # nor is cuBLAS held


def test_the_key_of_a_loop():
    """All that changes the captured work is in the key."""
    with with_kernels(), blas.install(), stream_capture.install():
        cell, p, xs, s = draw_arguments("LSTM")
        mask = to("gpu", WAYS["holes"]["mask"])
        calls = [((cell, p, xs, s), {}), ((cell, p, xs, s), {"reverse": True}), ((cell, p, xs, s), {"mask": mask}),
                 ((cell, p, xs[:2], s), {}), ((cell, p, xs[:, :2], map_structure(lambda a: a[:2], s)), {}),
                 ((LSTM(forget_bias=0.5), p, xs, s), {}), ((cell, p, xs, s), {"mode": "tf32"}),
                 ((cell, p, xs, s), {"keep": False}),
                 ((cell, *map_structure(lambda a: a.astype("f8"), (p, xs, s))), {}),
                 ((cell, p, xs, s), {"kernels": False})]
        tapes = [run(*args, **options, **GRAPHED) for args, options in calls for _ in range(2)]
        assert_same(*(to("cpu", run(*calls[-1][0], **calls[-1][1], **c)[:2]) for c in (GRAPHED, STEPPED)))
        keys = [loop.key for loop in graphed.POOL.idle] + [t.tape.loop.key for *_, t in tapes if t]
        assert len(set(keys)) == len(calls)


def test_as_many_outputs_of_more_units(seen):
    """The width of c is in the key too."""
    for units in (U, U + 2):
        one = draw_case(LSTM(projection=2), n_in=I, units=units, steps=T, batch=B)
        args = one.cell, *to("gpu", (one.p, one.xs, one.s))
        assert_same(*(run_both_ways(args, **choice) for choice in (GRAPHED, STEPPED)))


def test_streams(seen):
    """A loop belongs to a stream.  The way back on another stream waits for its work, and it for the way back."""
    import cupy
    args, one = draw_arguments("LSTM"), cupy.cuda.Stream()
    want = run_both_ways(args, **STEPPED)
    with one:
        ys, new, tape = run(*args, **GRAPHED)
    seen.log.clear()
    grads = run_back(tape, ys, new)
    assert_same((to("cpu", (ys, new)), to("cpu", grads)), want)
    assert seen.log == [("record", one.ptr), ("wait", 0), ("launch", 0), ("record", 0), ("wait", one.ptr)]
    loop = tape.tape.loop
    del tape
    assert run(*args, **GRAPHED)[2].tape.loop is not loop
    with one:
        assert run(*args, **GRAPHED)[2].tape.loop is loop
        run(*args, keep=False, **GRAPHED)
    # one workspace for all graphs of a stream
    workspaces = [(loop.stream.ptr, graph.workspace) for loop in graphed.POOL.idle
                  for graph in (loop.forward_graph, loop.backward_graph) if graph]
    assert [stream for stream, _ in workspaces] == [0, one.ptr, one.ptr, one.ptr]
    assert len(set(workspaces)) == len({workspace for _, workspace in workspaces}) == 2


def test_the_default_stream_of_each_thread_is_refused(seen):
    import cupy
    stream = cupy.cuda.Stream()
    stream.ptr = 2
    with stream, pytest.raises(rnnref.NotSupported, match="another in every thread"):
        run(*draw_arguments("LSTM"), **GRAPHED)


def test_it_runs_only_when_asked_for(seen):
    cell, p, xs, s = draw_arguments("LSTM")
    assert "graphed" not in rnnref.explain(cell, xs)
    assert rnnref.explain(cell, xs, **GRAPHED).splitlines()[:2] == [
        "graphed: runs", "on the GPU: products and kernels, step by step, launched as one CUDA graph"]
    with pytest.raises(rnnref.NotSupported, match="no kernel has been written for LayerNormLSTM"):
        run(*draw_arguments("LSTM on a norm of the sum"), paths=("graphed",))


def test_refusals_are_those_of_the_stepped_path(seen):
    for name, (cell, extra) in CELLS.items():
        call = Call("cupy", (T, B, I), np.dtype("float32"), extra=extra)
        assert graphed.refuses(cell, call) == stepped.refuses(cell, call)


def test_without_capture_it_is_refused(monkeypatch):
    with with_kernels(), blas.install():
        call = Call("cupy", (T, B, I), np.dtype("float32"))
        assert stepped.refuses(LSTM(), call) is None and "captures no streams" in graphed.refuses(LSTM(), call)
    monkeypatch.setattr("sys.platform", "win32")
    assert why_no_capture() == "cuBLAS is loaded by its name on Linux, this is win32"
