"""The survey of an engine in a process of its own: what it prints, sets or breaks concerns no other one."""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ..check.row import Row
from .examples import Finding, SurveyReport
from .grid import GridSurvey, Trial, describe_traits
from .search import Watch
from .survey import Survey

LIMIT = 900.0                                     # seconds that one engine may take
_PAUSE = 0.05                                     # between two looks at a process
_TAIL = 4000                                      # characters of what it wrote that are looked at
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run_alone(name: str, ops: Sequence[str], seed: int, progress: Watch | None = None, limit: float = LIMIT,
              cases: Sequence[dict] | None = None) -> SurveyReport:
    """The survey of an engine, run in a process that may end as it likes; a report "refused" if it fails.

    limit   seconds after which the process, and those that it began, are ended
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        files = _Files(*(Path(folder, n) for n in ("survey.json", "progress", "out")))
        files.progress.touch()
        code = f"from rnnref.survey.processes import write_survey\nwrite_survey({name!r}, {tuple(ops)!r}, {seed}, " \
               f"{str(files.report)!r}, {str(files.progress)!r}, {cases!r})"
        paths = [p for p in (os.path.dirname(_PACKAGE), os.environ.get("PYTHONPATH")) if p]
        with open(files.out, "wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3"})
        try:
            ended = _follow(process, files.progress, name, progress, time.monotonic() + limit)
        finally:
            _end(process)
        if ended and not process.returncode and files.report.exists():
            return read_survey(json.loads(files.report.read_text(encoding="utf-8")))
        why = _describe_end(process.returncode, files.out) if ended else \
            f"its process was ended after {limit:g} seconds"
        return _refuse(name, f"{why}{_describe_progress(files.progress)}")


class _Files(NamedTuple):
    """What a process writes."""
    report: Path
    progress: Path                                # of each loop "cases<tab>9", and a line for each of its steps
    out: Path


def write_survey(name: str, ops: Sequence[str], seed: int, path: str, progress: str,
                 cases: Sequence[dict] | None = None) -> None:
    """Survey an engine in this process, and write the report as JSON."""
    from .frameworks import run_here

    def watch(steps: Iterable, what: str) -> Iterator:
        steps = list(steps)
        with open(progress, "a", encoding="utf-8") as file:
            file.write(f"{what}\t{len(steps)}\n")
            for step in steps:
                file.write(f"{_name_step(step)}\n")
                file.flush()
                yield step
            file.write("\n")
    report = run_here(name, ops, seed, watch, cases)
    Path(path).write_text(json.dumps(report.to_dict() | {"text": str(report)}), encoding="utf-8")


def _name_step(step: Any) -> str:
    """The name of a case of ONNX, of a group of cases, or of a trial of a grid."""
    name = step.name if hasattr(step, "name") else describe_traits(step) if isinstance(step, dict) else str(step)
    return f"at {' '.join(name.split())}"


def read_survey(written: dict) -> SurveyReport:
    """The report that `write_survey` or `GridSurvey.to_json` wrote."""
    rows = [Row(**row | {key: None if row[key] is None else float(row[key]) for key in ("error", "budget")})
            for row in written["rows"]]
    findings = [Finding(text, **details) for text, details in zip(written["findings"], written["details"])]
    title, facts, engine = (written[key] for key in ("title", "facts", "engine"))
    if "trials" not in written:
        return Survey(title, rows, facts, findings, engine, tuple(written["ops"]), text=written["text"])
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(row.group, []).append(row)
    trials = [Trial(traits, []) for traits in written["trials"]]
    return GridSurvey(title, rows, facts, findings, engine,
                      [t._replace(rows=by_label.get(t.label, [])) for t in trials])


# while it runs

def _follow(process: subprocess.Popen, path: Path, name: str, progress: Watch | None, end: float) -> bool:
    """Wait until a process has ended; False if it has not ended in time."""
    phases = 0
    while True:
        found = _read_phases(path)
        if progress and len(found) > phases:
            phase = found[phases]
            for _ in progress(_Steps(process, path, phases, phase.total, end), f"{name}, {phase.what}"):
                pass
            phases += 1
            continue
        try:
            process.wait(_PAUSE if progress else max(0.0, end - time.monotonic()))
            if not progress or len(_read_phases(path)) <= phases:
                return True
        except subprocess.TimeoutExpired:
            if time.monotonic() >= end:
                return False


class _Phase(NamedTuple):
    """A loop of a process."""
    what: str
    total: int
    done: int
    at: str                                       # the step that it is in


def _read_phases(path: Path) -> list[_Phase]:
    """All loops that a process has begun."""
    found: list[_Phase] = []
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        what, tab, total = line.partition("\t")
        if tab:
            found.append(_Phase(what, int(total), -1, ""))
        elif found:
            found[-1] = found[-1]._replace(done=found[-1].done + 1, at=line.removeprefix("at "))
    return [phase._replace(done=max(phase.done, 0)) for phase in found]


@dataclass
class _Steps:
    """The steps of a loop of another process, as they are done."""
    process: subprocess.Popen
    path: Path
    phase: int
    total: int
    end: float

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[int]:
        shown = 0
        while True:
            running = self.process.poll() is None and time.monotonic() < self.end
            found = _read_phases(self.path)
            done = found[self.phase].done
            yield from range(shown, done)
            shown = max(shown, done)
            if done >= self.total or len(found) > self.phase + 1 or not running:
                return
            time.sleep(_PAUSE)


def _end(process: subprocess.Popen) -> None:
    """End a process, and those that it began."""
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):            # none is left
            pass
    elif process.poll() is None:
        process.kill()
    process.wait()


# where it failed

def _describe_end(status: int, out: Path) -> str:
    """How a process ended, with the last error that it wrote."""
    how = f"its process ended with status {status}"
    if status < 0:
        try:
            how = f"signal {signal.Signals(-status).name} ended its process"
        except ValueError:                        # a number that has no name here
            how = f"signal {-status} ended its process"
    lines = [line for line in out.read_bytes()[-_TAIL:].decode(errors="replace").splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if not line[0].isspace()), "")
    return f"{how}: {last.removeprefix('rnnref.errors.').strip()[:300]}" if last else how


def _describe_progress(path: Path) -> str:
    """" in case 28 of 375, RNN clip, forward, whole": where a process was."""
    found = _read_phases(path)
    if not found or found[-1].done >= found[-1].total:
        return ""
    what, total, done, at = found[-1]
    return f", in step {done + 1} of {total} of its {what}, {at}"


def _refuse(name: str, note: str) -> GridSurvey:
    """The report on an engine that could not be surveyed."""
    finding = Finding(f"{name} could not be surveyed: {note}.", "failed", [name], condition=note)
    return GridSurvey(name, [Row(name, "", verdict="refused", note=note)], {}, [finding], engine=name)
