"""Engines of users in processes of their own: what they crash, hang, print or return loses nothing of the others."""
import json
import os
import struct
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from rnnref.check.onnx_engines import RefusalError, resolve_engine
from rnnref.errors import InvalidType, MissingExtra, NotSupported
from rnnref.survey import Survey, survey, survey_engines, survey_framework
from rnnref.survey.cases import generate_cases
from tests.support.planted_engines import run_independent

ENGINES = '''
    import os, subprocess, sys, time
    from rnnref.onnx import run_op

    def right(case):
        print("noise", flush=True)
        print("more noise", file=sys.stderr)
        return dict(zip(("Y", "Y_h", "Y_c"), run_op(case.op, case.inputs, case.attributes)[0]))

    def forgets_clip(case):
        return right(case._replace(attributes={n: v for n, v in case.attributes.items() if n != "clip"}))

    def crashes(case):
        os.abort() if "clip" in case.attributes else None
        return right(case)

    def hangs(case):
        began = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        with open("began", "w") as file:
            file.write(str(began.pid))
        time.sleep(60)

    def leaves(case):
        sys.exit(0)
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a module of engines."""
    (tmp_path / "planted_here.py").write_text(textwrap.dedent(ENGINES))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rnnref.survey.processes._PAUSE", 0.01)
    return tmp_path


def test_an_engine_of_a_user_is_surveyed_by_its_name(here):
    report = survey_framework("planted_here:forgets_clip", ("RNN",))
    assert isinstance(report, Survey) and report.status == 1
    assert report.headline == ("planted_here:forgets_clip's RNN is right except in one case; you are affected if an "
                               "RNN sets clip.")
    own = json.loads(report.to_json())
    assert str(report).startswith("planted_here:forgets_clip's RNN is right except in one\n"[:50])
    assert own["counts"]["differs"] == report.counts["differs"] > 20 and own["ops"] == ["RNN"]


def test_engines_that_fail_lose_nothing_of_the_others(here):
    names = [f"planted_here:{n}" for n in ("crashes", "leaves", "nothing")] + ["no_module:x", "planted_here:right"]
    atlas = survey_engines(names, ("RNN",))
    assert atlas.surveys["planted_here:right"].status == 0 and atlas.status == 1
    crashed, left, nothing, missing, _ = (str(s) for s in atlas.surveys.values())
    assert "signal SIGABRT ended its process" in crashed and "RNN clip, forward, whole" in " ".join(crashed.split())
    assert "its process ended with status 0" in left and "step 1 of 375 of its cases" in " ".join(left.split())
    assert "has no attribute 'nothing'" in " ".join(nothing.split()) and "there is no module no_module" in missing
    words = " ".join(str(atlas).split())
    assert words.startswith("planted_here:right is right in every case that could be compared; planted_here:crashes, ")
    assert "planted_here:crashes could not be surveyed: signal SIGABRT" in words
    assert max(map(len, str(atlas).splitlines())) <= 80


def is_running(pid):
    """Whether there is such a process, other than one that has ended and that no other has waited for."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_an_engine_that_hangs_is_ended_with_what_it_began(here):
    start = time.monotonic()
    report = survey_framework("planted_here:hangs", ("RNN",), limit=5)
    assert time.monotonic() - start < 30 and report.status == 2
    end = time.monotonic() + 10                   # a process that was killed needs a moment to end
    while is_running((here / "began").read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not is_running((here / "began").read_text())
    assert "its process was ended after 5 seconds, in step 1 of 375" in report.headline


def test_the_progress_of_another_process_is_followed(here):
    seen = []

    def watch(steps, what):
        steps = list(steps)
        seen.append((what, len(steps)))
        return steps
    survey_framework("planted_here:forgets_clip", ("RNN",), progress=watch)
    assert seen[0] == ("planted_here:forgets_clip, cases", 375)
    assert seen[1][0] == "planted_here:forgets_clip, departures" and seen[1][1] > 1


def test_names_are_checked_before_any_engine_runs(monkeypatch):
    monkeypatch.setattr("rnnref.survey.atlas.survey_framework", None)
    with pytest.raises(NotSupported, match="an engine 'caffe'"):
        survey_engines(["onnxruntime", "caffe"])
    monkeypatch.setattr("rnnref.survey.frameworks.find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(MissingExtra, match="needs the package torch"):
        survey_engines(["onnxruntime", "torch"])


CASES = [case for case in generate_cases(["LSTM"]) if case.group == "LSTM plain"]


@pytest.mark.parametrize("engine, message", [
    (lambda case: [1, 2], "it returned list, expected a dict of arrays: Y, Y_h, Y_c"),
    (lambda case: {"Y": run_independent(case)["Y"]}, "it returned nothing for Y_h, expected an array of floats"),
    (lambda case: run_independent(case) | {"Y_c": np.array(["x"])}, "it returned an array of <U1 for Y_c"),
    (lambda case: 1 / 0, "ZeroDivisionError: division by zero")])
def test_what_no_engine_may_return_is_a_refusal(engine, message):
    report = survey(engine, cases=CASES)
    assert report.counts["refused"] == len(CASES) and message in report.rows[0].note


def test_an_engine_may_change_its_arrays():
    def engine(case):
        y = run_independent(case)
        for a in case.inputs.values():
            a[...] = 0
        return y
    assert survey(engine, cases=CASES).status == 0


def test_a_back_end_of_onnx_is_an_engine(here):
    import rnnref.onnx
    assert survey(rnnref.onnx, cases=CASES).status == 0

    class Wrong:
        @staticmethod
        def prepare(model, device):
            model.graph.node[0].attribute.add(name="clip", f=0.1, type=1)
            return rnnref.onnx.prepare(model, device)
    report = survey(Wrong, cases=CASES)
    assert report.headline.startswith("Wrong's LSTM is wrong in every case") and report.counts["differs"] == len(CASES)
    assert resolve_engine("rnnref:onnx")[0] == "rnnref:onnx"
    run = type("Run", (), {"run": lambda self, inputs: inputs[:1]})()
    short = survey(type("Short", (), {"prepare": lambda model, device: run}), cases=CASES)
    assert "it returned 1 arrays, expected 3: Y, Y_h, Y_c" in short.rows[0].note


def test_what_is_no_engine_is_refused():
    with pytest.raises(InvalidType, match="engine is int"):
        survey(3)
    with pytest.raises(MissingExtra, match="there is no module none_such"):
        survey("none_such.engine:run")
    with pytest.raises(NotSupported, match="os:none_such"):
        survey("os:none_such")
    with pytest.raises(RefusalError):
        resolve_engine("os:getcwd")[1](CASES[0])


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
def test_a_terminal_shows_the_progress_of_each_engine(here):
    import fcntl
    import termios
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen([sys.executable, "-m", "rnnref", "survey", "planted_here:right", "--ops", "RNN"],
                               stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    out, shown = process.communicate()[0], b""
    while True:
        try:
            data = os.read(ours, 4096)
        except OSError:                           # the end, on Linux
            break
        if not data:
            break
        shown += data
    os.close(ours)
    assert process.returncode == 0 and out.startswith("planted_here:right's RNN is right")
    assert b"planted_here:right, cases" in shown and b"/375" in shown
