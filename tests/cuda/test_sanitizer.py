"""How kernels are run under compute-sanitizer, without one and without a card."""
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.bench import sanitizer

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("tool", sanitizer.TOOLS)
def test_the_command(tool):
    made = sanitizer.command(tool, "python3", "/opt/compute-sanitizer", sanitizer.tested)
    at = made.index("python3")
    options = dict(zip(made[1:at:2], made[2:at:2]))
    assert made[0] == "/opt/compute-sanitizer" and options["--tool"] == tool
    assert int(options["--error-exitcode"]) == sanitizer.FOUND > 5       # pytest's own end at 5
    assert made[at + 1:at + 3] == ["-m", "pytest"] and "-n" not in made
    assert ("--report-api-errors" in options) == (tool == "memcheck")


def test_another_tool_is_refused():
    with pytest.raises(ValueError, match="'memchek', expected one of racecheck, memcheck"):
        sanitizer.command("memchek", "python3")


def selected(tool):
    made = sanitizer.command(tool, sys.executable, what=sanitizer.tested)
    ran = made[made.index(sys.executable):]
    ran[ran.index("-p"):ran.index("-p") + 2] = ["--collect-only"]        # the plugin needs CuPy
    said = subprocess.run(ran, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if "::" in line]


def test_what_is_selected():
    names = selected("memcheck")
    assert names == selected("synccheck") and 20 <= len(names) <= 60
    for name in ("[GRU-odd-float64-mask", "[LSTM, clip-odd-float32-lengths", "[GRU before-", "[SimpleRNN-odd-fp16",
                 "test_gpu_onchip.py::test_against_the_plain_code[GRU-16-odd-lengths-True-fp32"):
        assert any(name in one for one in names)


def test_racecheck_runs_no_clusters():
    names = selected("racecheck")
    assert len(names) == 9
    assert all("test_gpu_onchip.py::test_against_the_plain_code" in name and "-1-odd-" in name
               or "test_gpu_onchip.py::test_tensor_cores" in name for name in names)
    for name in ("[LSTM, peepholes-1-odd-lengths-True-fp32]", "[SimpleRNN-1-odd-mask-False-fp16]", "[GRU-fp16]"):
        assert any(one.endswith(name) for one in names)


def test_the_smallest_kernels_come_first(tmp_path, monkeypatch, capfd):
    stub = tmp_path / sanitizer.PROGRAM
    stub.write_text("#!/bin/sh\necho $*\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert sanitizer.main() == 0
    ran = [line.split(" -m ")[1] for line in capfd.readouterr().out.splitlines() if line.startswith("--tool")]
    assert ran[:3] == ["tests.bench.smallest --one-block", *["tests.bench.smallest"] * 2]
    assert len(ran) == 6 and all("pytest" in one for one in ran[3:])


@pytest.mark.kernels
def test_the_smallest_kernels_run(capsys):
    from tests.bench import smallest
    from tests.shim.double import with_kernels
    from tests.support import blas
    with with_kernels(), blas.install():
        smallest.run_all(sm=90)
        assert capsys.readouterr().out.count("blocks: ran") == len(smallest.CASES)
        smallest.run_all(sm=90, one_block=True)
    assert capsys.readouterr().out.splitlines() == [
        f"{name}, 1 blocks: ran" for name in ("LSTM, fp32", "GRU, bf16", "LSTM, bf16")]


def test_arrays_are_allocations_of_their_own(monkeypatch):
    said = []
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(set_allocator=said.append)))
    sanitizer.pytest_configure(None)
    assert said == [None]


def test_without_a_sanitizer_the_reason_is_printed(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert sanitizer.main() == 0
    assert capsys.readouterr().out == "compute-sanitizer not found: not run\n"


@pytest.mark.parametrize("code, status, words", (
    (0, 0, "memcheck: found nothing"), (sanitizer.FOUND, 1, "memcheck: found what it names above"),
    (1, 1, "failed (exit status 1)"), (5, 1, "failed (exit status 5)")))
def test_what_it_finds_is_a_failure(code, status, words, tmp_path, monkeypatch, capfd):
    stub = tmp_path / sanitizer.PROGRAM
    stub.write_text(f"#!/bin/sh\nexit {code}\n")
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert sanitizer.main() == status
    assert words in capfd.readouterr().out


def test_what_does_not_end_is_a_failure(tmp_path, monkeypatch, capfd):
    stub = tmp_path / sanitizer.PROGRAM
    stub.write_text("#!/bin/sh\nexec sleep 30\n")
    stub.chmod(0o755)
    monkeypatch.setattr(sanitizer, "SECONDS", 0.1)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert sanitizer.main() == 1
    assert "memcheck: stopped after 0.1 s, so nothing is known" in capfd.readouterr().out
