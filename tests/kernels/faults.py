"""Faults planted in the source of the kernels, each with the check that must catch it."""
from contextlib import contextmanager, nullcontext
from typing import NamedTuple
from unittest import mock

from rnnref.cuda import launch, source


class Fault(NamedTuple):
    file: str
    old: str
    new: str
    caught: str                                   # "values" or "sanitizer"


FAULTS = {
    "rows one short": Fault("rows.cuh", "row < to.rows;", "row < to.rows - 1;", "values"),
    "blocks interleaved": Fault("rows.cuh", "((long long)row * blocks + j) * n + u",
                                "((long long)row * n + u) * blocks + j", "values"),
    "a step of one block": Fault("rows.cuh", "gridDim.y * blockDim.y", "blockDim.y", "values"),
    "past the last unit": Fault("rows.cuh", "u < to.n;", "u <= to.n;", "sanitizer"),
    "past the last row": Fault("rows.cuh", "row < to.rows;", "row <= to.rows;", "sanitizer"),
    "live read for each unit": Fault("rows.cuh", "!live[row / span]", "!live[row * n / span]", "sanitizer"),
    "dead rows step": Fault("pointwise.cu", "if (!dead) {", "if (true) {", "values"),
    "dead gates keep a gradient": Fault("pointwise.cu", "if (!to.dead(row)) {", "if (true) {", "values"),
    "state not passed": Fault("pointwise.cu", "State<A> d = {read(dh, e), read(dc, e)};", "State<A> d = {0, 0};",
                              "values"),
    "one kept number short": Fault("pointwise.cu", "for (int j = 0; j < Rule::stored; j++) write",
                                   "for (int j = 1; j < Rule::stored; j++) write", "values"),
    "gates i and f": Fault("lstm.cuh", "I = 0, F = coupled == INPUT ? 0 : 1", "I = 1, F = 0", "values"),
    "no forget bias": Fault("lstm.cuh", "+ forget_bias);", "+ 0 * forget_bias);", "values"),
    "clip as TF has it": Fault("lstm.cuh", "cell_clip >= 0 && !through", "cell_clip >= 0 && through", "values"),
    "o sees the old c": Fault("lstm.cuh", "peep(Wpo, u, c)", "peep(Wpo, u, s.c)", "values"),
    "h leaves once": Fault("lstm.cuh", "const A dh = dy + d.h;", "const A dh = dy;", "values"),
    "z exchanged": Fault("gru.cuh", "return {(1 - z) * n + z * s.h, 0};", "return {z * n + (1 - z) * s.h, 0};",
                         "values"),
    "reset outside": Fault("gru.cuh", "dah[N] = dax[N] * k.r;", "dah[N] = dax[N];", "values"),
    "sigmoid of one side": Fault("elementwise.cuh", "return x < 0 ? e * r : r;", "return r;", "values"),
    "rounded down": Fault("elementwise.cuh", "(u + 0x7fffu + (u >> 16 & 1u)) >> 16", "u >> 16", "values"),
}


@contextmanager
def planted(name):
    """Kernels that are compiled inside have this fault ("" is none)."""
    with planted_source(*FAULTS[name][:3]) if name else nullcontext():
        yield


@contextmanager
def planted_source(which, old, new):
    read = source.read
    assert old in read(which), f"the line to damage is no longer in {which}: {old}"

    def damaged(file):
        return read(file).replace(old, new) if file == which else read(file)
    with mock.patch.object(source, "read", damaged):
        launch.compile_kernel.cache_clear()
        yield
        launch.compile_kernel.cache_clear()
