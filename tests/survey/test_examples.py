"""Examples of findings run again, and surveys as JUnit XML and as pages."""
import base64
import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from rnnref.check.row import Row
from rnnref.errors import FileError
from rnnref.survey import Atlas, reproduce, survey
from rnnref.survey.cases import generate_cases
from rnnref.survey.examples import Finding
from rnnref.survey.grid import Comparison, GridSurvey, make_survey, try_case
from tests.support.planted_engines import ignoring

CASES = [case for case in generate_cases(["LSTM"]) if case.group in ("LSTM plain", "LSTM clip", "LSTM P")]


def test_three_lines_run_an_example_again(tmp_path):
    report = survey(ignoring("P"), cases=CASES)
    path, = report.save_cases(tmp_path / "cases")
    assert path.endswith("engine-1.npz")
    with np.load(path) as file:
        what, arrays = json.loads(str(file["what"])), dict(file)
    first = next(r for r in report.results if r.verdict == "differs")
    assert what["group"] == "LSTM P" and what["name"] == first.case.name
    assert all((arrays[n] == a).all() for n, a in first.case.inputs.items())
    assert (arrays["returned Y"] == first.got["Y"]).all()
    again = reproduce(path, ignoring("P"))
    assert again.rows[0].error == first.distance.error and again.findings[0].details["fault"] == "without P"
    assert reproduce(path, ignoring()).status == 0 and reproduce(path, "onnxruntime").status == 0
    assert "1 case in 1 group differs" in again.findings[0] and "it agrees if the reference leaves" in again.findings[0]


def test_the_lines_of_the_text_run_as_they_are(tmp_path):
    cases = [c for c in generate_cases(["LSTM"]) if c.group in ("LSTM clip", "LSTM layout")]
    report = survey("onnxruntime", cases=cases)
    paths = report.save_cases(tmp_path)
    assert [path.rpartition("/")[2] for path in paths] == ["onnxruntime-1.npz", "onnxruntime-2.npz"]
    lines = [line.strip() for line in str(report).splitlines()]
    start = lines.index("import rnnref.survey")
    ran = subprocess.run([sys.executable, "-c", "\n".join(lines[start:start + 3])], cwd=tmp_path, capture_output=True,
                         text=True)
    assert ran.stdout.startswith("onnxruntime's LSTM is wrong in every case that could be compared;"), ran.stderr
    assert "refuses" in str(reproduce(paths[1]))


def make_grid():
    """A grid of one engine, with an example of what differs."""
    def compare(label):
        wrong = "units=5" in label
        x = np.arange(6.0)
        row = Row(f"{label}: y", "outputs", 0.5 if wrong else 0.0, 1e-6, "differs" if wrong else "agrees", "row 1")
        return Comparison([row], {"x": x, "returned y": x + wrong, "expected y": x}, lambda: ["Agrees once x is y."])
    trials = [try_case({"op": op, "units": units}, compare) for op in ("GRU", "LSTM") for units in ("4", "5")]
    return make_survey("Engine 1", trials, {"engine": "torch", "seed": 0})


def test_an_example_of_a_grid_has_what_was_returned(tmp_path):
    report = make_grid()
    finding, = report.findings
    assert "Agrees once x is y." in finding and finding.details["file"] == "torch-1.npz"
    with np.load(report.save_cases(tmp_path)[0]) as file:
        assert json.loads(str(file["what"])) == {"engine": "torch", "traits": {"op": "GRU", "units": "5"}}
        assert (file["returned y"] == file["expected y"] + 1).all()
    page = report.to_html()
    link = re.search(r'download="torch-1.npz" href="data:application/octet-stream;base64,([^"]+)"', page)
    assert base64.b64decode(link[1]) == (tmp_path / "torch-1.npz").read_bytes()
    assert "rnnref.survey.reproduce(&quot;torch-1.npz&quot;)" in page


@pytest.mark.peers
def test_an_example_of_torch_runs_again(tmp_path):
    traits = {"op": "GRU", "num_layers": "1", "padding": "right", "dtype": "float32"}
    np.savez(tmp_path / "one.npz", what=np.array(json.dumps({"engine": "torch", "traits": traits})))
    report = reproduce(tmp_path / "one.npz")
    assert report.status == 0 and len(report.trials) == 1 and len(report.rows) > 5


@pytest.mark.parametrize("arrays", [{"x": np.ones(3)}, {"what": np.array("no JSON")}, {"what": np.array("[1]")},
                                    {"what": np.array('{"engine": "torch"}')}])
def test_another_file_is_refused(tmp_path, arrays):
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(FileError, match="other.npz is no case of a survey"):
        reproduce(tmp_path / "other.npz")


def make_atlas():
    failed = GridSurvey("odd", [Row("odd", "", verdict="refused", note="it broke")], {}, [
        Finding("odd could not be surveyed: it broke.", "failed", ["odd"])], engine="odd")
    surveys = {"one": make_grid(), "odd": failed, "mine": survey(ignoring("P"), cases=CASES)}
    rows = [row for s in surveys.values() for row in s.rows]
    return Atlas("An atlas", rows, {}, [f for s in surveys.values() for f in s.findings], surveys=surveys)


def test_junit_has_a_suite_for_each_engine_and_a_test_for_each_group():
    root = ElementTree.fromstring(make_atlas().to_junit())
    counts = [[suite.get(n) for n in ("name", "id", "tests", "failures", "errors", "skipped")] for suite in root]
    assert counts == [["one", "0", "4", "2", "0", "0"], ["odd", "1", "1", "0", "1", "0"],
                      ["mine", "2", "3", "1", "0", "0"]]
    assert not root.attrib and root.tag == "testsuites"
    for suite in root:                            # as Ant's schema has it: children in this order, these attributes
        tags = [child.tag for child in suite]
        assert tags == ["properties", *["testcase"] * int(suite.get("tests")), "system-out", "system-err"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
        assert set(suite.attrib) == {"name", "package", "id", "timestamp", "hostname", "tests", "failures", "errors",
                                     "skipped", "time"} and all(suite.attrib.values())
        for case in suite.iter("testcase"):
            assert set(case.attrib) == {"name", "classname", "time"} and len(case) <= 1
    failure, = (case[0] for case in root[2].iter("testcase") if len(case))
    assert failure.tag == "failure" and failure.get("message").startswith("9 of 9 differ, error ")
    assert failure.text.count("agrees with: without P") == 9 and "engine ignores P" in failure.text
    assert root[1].find("testcase/error").get("message") == "odd could not be surveyed: it broke."


def test_a_page_of_an_atlas_has_a_part_for_each_engine():
    page = make_atlas().to_html()
    for name in ("one", "odd", "mine"):
        assert f'<span class="k">{name}</span>' in page
    assert page.count("How to reproduce") == 2 and "Engine 1 is right except with units=5." in page
    assert "1 finding<" in page and page.index("one</span>") < page.index("odd</span>")
