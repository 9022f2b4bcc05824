"""Examples of findings: a case as a small .npz file, and three lines of Python that run it again."""
import base64
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy

from ..check.junit import Suite, Test
from ..check.report import Report
from ..check.reproduce import pack_arrays, render_file
from ..check.row import group_rows
from ..errors import FileError
from ..files.npz import read_npz

_WHAT = "what"                                    # the name of the array with a text, of JSON
_WIDTH = 80


class Finding(str):
    """A sentence; `details` has its kind, its groups and its counts, and the file of an example if there is one."""
    details: dict
    example: tuple[dict, dict] | None = None      # what a case is, and its arrays

    def __new__(cls, sentence: str, kind: str, groups: Sequence[str], **details: object) -> "Finding":
        self = super().__new__(cls, sentence)
        self.details = {"kind": kind, "groups": list(groups), **details}
        return self

    def add_example(self, what: dict, arrays: dict) -> "Finding":
        """The same finding with a case that shows it."""
        self.example = what, arrays
        return self

    def add_case(self, result: Any) -> "Finding":
        """The same finding with the case of a `Result`, and what was returned for it."""
        case, got = result.case, result.got
        what = {"op": case.op, "attributes": case.attributes, "outputs": case.outputs, "name": case.name,
                "group": case.group, "traits": case.traits}
        return self.add_example(what, case.inputs | ({} if got is None else {f"returned {n}": got[n] for n in
                                                                             case.outputs}))

    @property
    def page(self) -> str:
        """The part of a page with the example; "" without one."""
        if not self.details.get("file"):
            return ""
        name = self.details["file"]
        return render_file(name, self.details["npz"], write_lines(name), "report.save_cases(folder) writes them")


class SurveyReport(Report):
    """A report on an engine; findings may have examples."""

    def save_cases(self, folder: Any) -> list[str]:
        """Write the example of every finding as an .npz file; the paths.

        Three lines run one again: `import rnnref.survey`, `report = rnnref.survey.reproduce(path)`, `print(report)`.
        """
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = []
        for finding in self.findings:
            if finding.details.get("file"):
                paths.append(str(Path(folder, finding.details["file"])))
                Path(paths[-1]).write_bytes(base64.b64decode(finding.details["npz"]))
        return paths

    def list_suites(self) -> list[Suite]:
        """What `to_junit` writes: a test for every group of cases."""
        failed = [f for f in self.findings if f.details["kind"] == "failed"]
        tests = [Test(group or self.title, rows, [f for f in self.findings if group in f.details["groups"]],
                      failed[0] if failed else "") for group, rows in group_rows(self.rows).items()]
        return [Suite(self.title, tests, self.facts, str(self))]


def name_examples(engine: str, findings: Sequence[Finding]) -> None:
    """Pack the examples of findings into files, and number these."""
    number = 0
    for finding in findings:
        if finding.example:
            number += 1
            what, arrays = finding.example
            text = numpy.array(json.dumps({"engine": engine, **what}))
            stem = "".join(c if c.isalnum() or c in ".-_" else "-" for c in engine)
            finding.details |= {"file": f"{stem}-{number}.npz",
                                "npz": base64.b64encode(pack_arrays({_WHAT: text, **arrays})).decode()}


def describe_reproduction(report: Report) -> Iterator[str]:
    """The lines of a report on how to run its examples again; none without examples."""
    files = [f.details["file"] for f in report.findings if f.details.get("file")]
    if files:
        names = files[0] if len(files) == 1 else f"{files[0]} to {files[-1]}"
        yield from ("", *wrap(f"How to reproduce: `--cases FOLDER` writes the first case of each finding, {names}; "
                              "three lines run one again:", _WIDTH, break_on_hyphens=False))
        yield from (f"      {line}" for line in write_lines(files[0]).splitlines())


def write_lines(path: str) -> str:
    """Three lines that run an example again."""
    return f'import rnnref.survey\nreport = rnnref.survey.reproduce("{path}")\nprint(report)'


def read_example(path: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what it is, arrays) of an example.

    Errors   FileError: the file is none of a survey
    """
    arrays = read_npz("survey", path)
    try:
        what = json.loads(str(arrays.pop(_WHAT)))
        if not isinstance(what.get("engine"), str) or not {"traits", "op"} & what.keys():
            raise ValueError
    except (KeyError, ValueError, AttributeError):
        raise FileError("survey", f"{path} is no case of a survey", fix="a file that `rnnref survey --cases FOLDER` "
                        "writes") from None
    return what, arrays
