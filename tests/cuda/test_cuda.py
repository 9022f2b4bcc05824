"""Kernels without compiling any: refusals, sources, structs and geometries of launches, and messages of errors."""
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st

import rnnref
from rnnref.cells.gru_before import GRUBefore
from rnnref.cuda import devices, errors, kernel_table, launch, pointwise, reset_before, rule_kernels, source
from rnnref.elementwise import get_activation
from rnnref.errors import DeviceError, Error, MissingExtra, NotSupported
from rnnref.loops import plan
from rnnref.loops.run import run, run_back
from rnnref.rules.elman import ElmanRule
from rnnref.rules.gru import GRURule
from rnnref.rules.layer_norm import LayerNormRule
from rnnref.rules.lstm import LSTMRule
from tests.kernels.instances import kernels


class Mine(LSTMRule):
    """A user's rule, which may compute something else."""


@pytest.mark.parametrize("rule", (ElmanRule(), GRURule(), LSTMRule(),
                                  LSTMRule(peepholes=True, cell_clip=3, coupled="input"),
                                  rule_kernels.CudaLSTMRule(forget_bias=1.0), rule_kernels.CudaGRURule(),
                                  rule_kernels.CudaElmanRule()))
def test_what_the_kernels_can_do(rule):
    assert pointwise.refuses(rule) is None
    assert pointwise.kept_shape(rule, (4, 3), 7) == (4, 3, {"SimpleRNN": 1, "GRU": 4, "LSTM": 5}[rule.name], 7)


@pytest.mark.parametrize("rule, why", (
    (ElmanRule("relu"), "activation='relu': the kernels of SimpleRNN have tanh only"),
    (GRURule(gate="hard_sigmoid@keras2"),
     "gate='hard_sigmoid(alpha=0.2, beta=0.5)': the kernels of GRU have sigmoid only"),
    (LSTMRule(candidate=get_activation("tanh", clip=1.0)),
     "candidate='tanh(clip=1)': the kernels of LSTM have tanh only"),
    (LSTMRule(output="linear"), "output='linear': the kernels of LSTM have tanh only"),
    (LayerNormRule(LSTMRule()), "no kernel has been written for LayerNormLSTM"),
    (Mine(), "no kernel has been written for Mine")))
def test_refusals(rule, why):
    assert pointwise.refuses(rule) == why
    with pytest.raises(NotSupported, match=re.escape(why)):
        pointwise.kept_shape(rule, (4,), 7)


def test_refusals_of_the_gru_with_the_reset_before():
    assert reset_before.refuses(GRUBefore()) is None
    why = reset_before.refuses(GRUBefore(rule=GRURule(gate="relu")))
    assert why == "gate='relu': the kernels of GRU have sigmoid only"
    assert "no kernel has been written for LSTM" in reset_before.refuses(GRUBefore(rule=LSTMRule()))


@pytest.mark.parametrize("entry", [e for e in plan.KERNELS.values() if e.startswith("cuda.rule_kernels:")])
def test_a_kernel_class_has_the_options_and_the_name_of_its_plain_class(entry):
    kernel = plan.resolve_name(entry)
    made = kernel(**vars(kernel.plain()))
    assert isinstance(made, kernel.plain) and kernel.refuses(made.plain()) is None
    assert made.name == kernel.plain().name
    assert all(getattr(made, name) == value for name, value in vars(kernel.plain()).items())


def test_nothing_of_cupy_is_imported():
    code = ("import sys, rnnref.cuda.rule_kernels as k, rnnref.cuda.reset_before, rnnref.cells\n"
            "k.CudaLSTMRule.refuses(k.CudaLSTMRule()), k.CudaGRUBefore.refuses(rnnref.cells.GRU(reset='before'))\n"
            "assert 'cupy' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_source_includes_no_files():
    every = list(kernels())
    code = source.assemble(every)
    assert "#include \"" not in code and "#pragma once" not in code
    assert code.count("struct State {") == code.count("struct Rows {") == 1
    names = [k.name for k in every]
    assert len(set(names)) == len(names) == code.count('extern "C"')
    assert "lstm_input_forward_bfloat16_float" in names and "resetback_half_half" in names


@pytest.mark.parametrize("rule", kernel_table.KERNEL_TABLE)
def test_a_row_names_what_the_header_has(rule):
    row = kernel_table.KERNEL_TABLE[rule]
    header, struct = source.read(row.header), row.cpp(rule(), "A").partition("<")[0]
    own = header[header.index(f"struct {struct} {{"):]
    assert re.search(r"struct Kept \{ A ([^;]*);", own)[1].replace(",", "").startswith(row.kept)
    assert f"stored = {row.kept_count}" in own and ("sees_h = true" in own[:900]) is row.reads_h
    assert ("has_c = true" in own[:900]) is row.has_c is ("c" in rule.State._fields)
    declared = own[:own.index("static constexpr")]
    assert [declared.index(f"{name}") for name, _ in row.fields] == sorted(
        declared.index(f"{name}") for name, _ in row.fields)
    names = "activation", "gate", "candidate", "output"
    assert set(row.activations) == {name for name in names if hasattr(rule(), name)}


def test_structs_are_laid_out_as_c_does():
    dtype = launch.struct_dtype(launch.STRUCT_FIELDS["Forward"], kernel_table.KERNEL_TABLE[LSTMRule].fields, "float32")
    assert dtype["rule"].itemsize == 40 and dtype["rule"].fields["Wpi"][1] == 16
    assert dtype.itemsize == 40 + 9 * 8 + 24 and launch.TO_DTYPE.itemsize == 24
    assert launch.struct_dtype(launch.STRUCT_FIELDS["Reset"], (), "float64").itemsize == 5 * 8 + 24


@given(rows=st.integers(1, devices.LARGEST), n=st.integers(1, devices.LARGEST))
def test_every_launch_is_within_every_card(rows, n):
    grid, block = devices.geometry(rows, n)
    assert block[0] * block[1] == source.THREADS
    for card in devices.CARDS.values():
        assert devices.why_no_launch(card, grid, block, registers=128) is None
    # the grid reaches all, or is as large as may be
    assert grid[0] * block[0] >= n and (grid[1] * block[1] >= rows or grid[1] == 65535)
    assert grid[1] * block[1] + rows < 2 ** 31 and grid[0] * block[0] + n <= 2 ** 31        # one stride more


@pytest.mark.parametrize("given, why", (
    (((0, 1), (32, 1)), "this axis may have 1 to"), (((1, 65536), (32, 1)), "this axis may have 1 to 65535"),
    (((1, 1), (32, 33)), "1056 threads of a block, at most 1024"), (((1,), (1, 1, 65)), "1 to 64"),
    (((1,), (128,), 1 << 20), "bytes of shared memory, at most"), (((1,), (128,), 0, 256), "256 registers of a thread"),
    (((1,), (512,), 0, 129), "129 registers x 512 threads, at most 65536")))
def test_launches_beyond_a_card_are_refused(given, why):
    for card in devices.CARDS.values():
        assert why in devices.why_no_launch(card, *given)
    assert devices.why_no_launch(devices.CARDS[90], (1,), (512,), 0, 128) is None
    assert devices.why_no_launch(devices.CARDS[90], (1,), (128,), 227 << 10) is None
    assert devices.why_no_launch(devices.CARDS[75], (1,), (128,), 65 << 10)


class CompileException(Exception):
    pass


class CUDARuntimeError(Exception):
    pass


class CUDADriverError(Exception):
    pass


class OutOfMemoryError(Exception):
    pass


class DynamicLibNotFoundError(Exception):
    """An error of cuda.pathfinder, by which CuPy 14 finds libraries."""


# error of CuPy 14.2 -> the class of the translated error, a word of the cause, a word of the remedy
TRANSLATIONS = (
    (RuntimeError("CuPy failed to load libnvrtc.so.13: OSError: cannot open"), MissingExtra, "NVRTC", "[ctk]"),
    (DynamicLibNotFoundError('Failure finding "libnvrtc.so.13 or libnvrtc.so.12": No such file'), MissingExtra, "NVRTC",
     "[ctk]"),
    (RuntimeError("Failed to find CUDA headers. Please install the CUDA Toolkit"), MissingExtra, "headers", "[ctk]"),
    (CompileException("nvrtc: error: invalid value for --gpu-architecture"), NotSupported, "architecture", "CUDA 12"),
    (CompileException("k.cu(7): error: identifier \"x\" is undefined"), Error, "rejects the source", "kernels=False"),
    (CUDADriverError("CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image is available"), NotSupported, "not compiled",
     "CUDA 12"),
    (CUDARuntimeError("cudaErrorInsufficientDriver: driver version is insufficient"), DeviceError, "driver",
     "nvidia-smi"),
    (CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected"), DeviceError, "no GPU", "cpu"),
    (CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access"), DeviceError, "stopped", "checkpoint"),
    (CUDADriverError("CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure"), DeviceError, "stopped", "checkpoint"),
    (CUDARuntimeError("cudaErrorECCUncorrectable: uncorrectable ECC error"), DeviceError, "stopped", "checkpoint"),
    (OutOfMemoryError("Out of memory allocating 9,999 bytes."), DeviceError, "memory", "recompute"),
    (CUDARuntimeError("cudaErrorMemoryAllocation: out of memory"), DeviceError, "memory", "recompute"))


@pytest.mark.parametrize("raised, kind, what, fix", TRANSLATIONS)
def test_errors_of_the_device_have_a_cause_and_a_remedy(raised, kind, what, fix):
    with pytest.raises(kind) as caught, errors.translate_errors("LSTM"):
        raise raised
    message = str(caught.value)
    assert message.startswith("LSTM: ") and what in message and fix in message and str(raised)[:40] in message
    assert caught.value.__cause__ is raised


@pytest.mark.parametrize("raised", (KeyError("Wpi"), RuntimeError("anything"), ValueError("no"),
                                    DeviceError("LSTM", "told"), CUDARuntimeError("cudaErrorInvalidValue: wrong")))
def test_other_errors_stay_as_they_are(raised):
    with pytest.raises(type(raised)) as caught, errors.translate_errors("LSTM"):
        raise raised
    assert caught.value is raised


@pytest.mark.parametrize("method", ("prepare", "forward", "backward", "prepare_backward"))
def test_errors_of_the_device_are_translated_wherever_a_loop_meets_them(cupy, monkeypatch, method):
    cell = rnnref.cells.LSTM()
    p = rnnref.to("gpu", rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0)))
    xs = rnnref.to("gpu", np.ones((5, 2, 3), "float32"))

    def fail(*_, **__):
        raise OutOfMemoryError("Out of memory allocating 9,999 bytes.")
    monkeypatch.setattr(type(cell), method, fail)
    with pytest.raises(DeviceError, match="^LSTM: the GPU has not enough memory") as caught:
        run_back(run(cell, p, xs, paths=("plain",), kernels=False)[2])
    assert isinstance(caught.value.__cause__, OutOfMemoryError)
    with pytest.raises(DeviceError, match="^LSTM: the GPU has not enough memory"):
        run_back(tape=run(p=p, xs=xs, cell=cell, paths=("plain",), kernels=False)[2])


def test_errors_of_the_device_are_translated_on_the_way_to_it(cupy, monkeypatch):
    def fail(a):
        raise CUDARuntimeError("cudaErrorInsufficientDriver: driver version is insufficient")
    monkeypatch.setattr(cupy, "asarray", fail)
    with pytest.raises(DeviceError, match='^to\\("gpu"\\): there is no driver'):
        rnnref.to("gpu", {"W": np.ones(3)})


def test_arrays_must_be_on_the_current_gpu(cupy, monkeypatch):
    a = np.zeros((2, 12), "float32")
    monkeypatch.setattr(pointwise, "why_no_compiler", lambda: None)
    with pytest.raises(DeviceError, match="a kernel was given an ndarray"):
        pointwise.forward(GRURule(), {}, a, a, GRURule.State(a[:, :4]))
    on = cupy.asarray(a)
    monkeypatch.setattr(cupy.cuda.runtime, "getDevice", lambda: 1)
    with pytest.raises(DeviceError, match="the arrays are on GPU 0, the current one is 1"):
        pointwise.forward(GRURule(), {}, on, on, GRURule.State(on[:, :4]))


def test_a_cupy_without_a_compiler_runs_the_plain_code(cupy, monkeypatch):
    x = cupy.zeros((2, 3, 4), "float32")
    assert "LSTM: this CuPy compiles no kernels: it has no RawModule" in rnnref.explain(rnnref.cells.LSTM(), x)
    cell, one = rnnref.cells.LSTM(), np.random.default_rng(0)
    p = rnnref.to("gpu", rnnref.init.parameters(cell, 4, 5, one))
    assert rnnref.run(cell, p, x)[0].shape == (2, 3, 5)
    monkeypatch.setattr(cupy, "RawModule", object, raising=False)
    monkeypatch.setattr(cupy.cuda.runtime, "is_hip", True)
    assert "LSTM: this CuPy is for ROCm" in rnnref.explain(cell, x)
