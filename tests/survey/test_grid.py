"""Grids of frameworks: conditions of differences are the smallest, and what installed frameworks do wrong is found."""
import json
from itertools import product
from xml.etree import ElementTree

import numpy as np
import pytest

import rnnref
from rnnref import cells, init
from rnnref.check import Report, Row, tolerance
from rnnref.errors import MissingExtra, NotSupported
from rnnref.survey import Atlas, GridSurvey, survey_engines, survey_framework
from rnnref.survey.explain import explain_cell
from rnnref.survey.frameworks import ENGINES
from rnnref.survey.grid import Trial, compare_arrays, find_conditions, make_survey, try_case
from rnnref.survey.processes import read_survey

OPTIONS = {"op": ("GRU", "LSTM"), "unroll": ("False", "True"), "padding": ("none", "right", "left"),
           "units": ("3", "4", "5")}


def plant(*conditions, verdict="differs", group="outputs"):
    """Trials of the whole grid, with a verdict where one of the conditions holds."""
    trials = []
    for values in product(*OPTIONS.values()):
        traits = dict(zip(OPTIONS, values))
        wrong = any(all(traits[k] == v for k, v in condition.items()) for condition in conditions)
        error = 0.5 if wrong and verdict == "differs" else 1e-8
        note = "no way" if wrong and verdict == "refused" else ""
        trial = Trial(traits, [])
        trials.append(trial._replace(rows=[Row(f"{trial.label}: y", group, error, 1e-6, verdict if wrong else "agrees",
                                               "row 1" if wrong else "", note)]))
    return trials


@pytest.mark.parametrize("conditions", [
    [{"unroll": "True"}], [{"op": "LSTM", "padding": "left"}], [{"op": "GRU", "units": "5", "padding": "right"}],
    [{"padding": "left", "unroll": "True", "op": "LSTM", "units": "4"}],
    [{"units": "3"}, {"op": "LSTM", "padding": "left"}]])
@pytest.mark.parametrize("verdict", ["differs", "refused"])
def test_planted_conditions_are_found(conditions, verdict):
    trials = plant(*conditions, verdict=verdict)
    found = find_conditions(trials, verdict)
    assert [condition for condition, _ in found] == conditions
    for condition, covered in found:
        assert covered == [t for t in trials if all(t.traits[k] == v for k, v in condition.items())]
    assert find_conditions(trials, "not comparable") == []


def test_a_report_on_planted_differences():
    report = make_survey("Engine 1", plant({"op": "LSTM", "unroll": "True"}, group="gradients"), {"seed": 0},
                         {"unroll": "may be unrolled"})
    finding, = report.findings
    assert report.headline == "Engine 1 is right except with LSTM and unroll=True." and report.status == 1
    assert "the gradients, by up to 0.5 (allowed 1e-06), while all outputs are right. 9 cases" in finding
    assert 'The documentation of unroll: "may be unrolled".' in finding and finding.details["differ"] == 9
    assert max(map(len, str(report).splitlines())) <= 80 and "LSTM  18" in str(report)
    assert make_survey("Engine 1", plant(), {}).headline == "Engine 1 is right in all 36 cases that could be compared."
    refused = make_survey("Engine 1", plant({"units": "5"}, verdict="refused"), {})
    assert refused.refusals == "Engine 1 refuses, with an error: cases with units=5."
    assert make_survey("E", plant({}, verdict="refused"), {}).headline == "E could not be compared with the reference."
    assert make_survey("E", plant({}), {}).headline == "E differs in every case that could be compared."
    assert make_survey("E", plant({}), {}).findings[0].startswith("E differs in every case: y")


def test_an_engine_that_raises_refuses():
    def compare(label):
        raise ValueError("\033[1mno\033[0m\n way")
    trial = try_case({"op": "LSTM", "unroll": "True"}, compare)
    assert trial.verdict == "refused" and trial.rows[0].note == "ValueError: no way"
    assert trial.label == "LSTM, unroll=True"


def test_a_report_survives_another_process():
    trials = plant({"op": "GRU"}) + [Trial({"op": "RNN"}, [Row("RNN: y", "", float("inf"), 1e-6, "differs")])]
    report = make_survey("Engine 1", trials, {"seed": 0})
    again = read_survey(json.loads(report.to_json()))
    assert isinstance(again, GridSurvey) and str(again) == str(report) and again.rows == report.rows
    assert [f.details["options"] for f in again.findings] == [f.details["options"] for f in report.findings]


def test_arrays_are_held_to_the_tolerance_of_their_case():
    cell, rng = cells.GRU(), np.random.default_rng(0)
    p = init.parameters(cell, 3, 4, rng)
    allowed = tolerance("float32", cell, (5, 2, 3), p)
    y = allowed.truth["y"].astype("float32")
    right, wrong, shape = (compare_arrays({"y": a}, allowed, "GRU")[0] for a in (y, y + np.float32(1e-4), y[:2]))
    assert (right.verdict, wrong.verdict, shape.verdict) == ("agrees", "differs", "differs")
    assert right.name == "GRU: y" and right.budget == allowed.output and wrong.where == "first at [0, 0, 0]"
    bad = y.copy()
    bad[3, 1, 2] = np.nan
    assert compare_arrays({"y": bad}, allowed, "GRU")[0].where == "first at [3, 1, 2]"
    dW = allowed.truth["dW"]
    assert compare_arrays({"dW": dW}, allowed, "GRU")[0].group == "gradients"
    assert compare_arrays({"dW": 1.001 * dW}, allowed, "GRU")[0].verdict == "differs"


def test_an_atlas_of_engines(monkeypatch):
    planted = {"torch": make_survey("PyTorch 9", plant(), {"PyTorch": "9"}),
               "jax": make_survey("JAX 9", plant({"units": "5"}), {"JAX": "9"}),
               "flax": make_survey("flax 9", plant({}, verdict="refused"), {"flax": "9"})}
    monkeypatch.setattr("rnnref.survey.atlas.survey_framework", lambda name, *rest: planted[name])
    monkeypatch.setattr("rnnref.survey.frameworks.find_missing_packages", lambda name: [])      # all are installed
    atlas = survey_engines(["torch", "jax", "flax"])
    assert isinstance(atlas, Atlas) and atlas.status == 1 and not atlas.missing
    assert atlas.headline == ("torch is right in every case that could be compared; jax departs from the reference; "
                              "flax could not be compared.")
    text = str(atlas)
    assert max(map(len, text.splitlines())) <= 80 and "JAX 9 differs with units=5" in text
    assert set(atlas.to_dict()["engines"]) == set(planted) and atlas.headline in atlas.to_html()
    monkeypatch.setattr("rnnref.survey.atlas.list_installed", lambda: ["torch"])
    monkeypatch.setattr("rnnref.survey.atlas.find_missing_packages", lambda name: [*ENGINES[name].packages])
    every = survey_engines()
    assert every.status == 0 and every.absent in " ".join(str(every).split())
    assert "Not installed: onnxruntime, onnx.reference, openvino, keras-torch" in every.absent
    assert "pip install onnxruntime onnx openvino keras" in every.absent


def test_reports_as_junit():
    rows = [Row("y & <z>", "outputs", 1e-8, 1e-6),
            Row("h\x00", "states", 0.5, 1e-6, "differs", "row 1", "1, expected 2"),
            Row("c", "states", verdict="refused", note="no"), Row("d", "", verdict="not comparable", note="chaos")]
    report = Report("my_lstm", rows, {}, ["a finding"])
    root = ElementTree.fromstring(report.to_junit())
    assert [sum(int(suite.get(n)) for suite in root) for n in ("tests", "failures", "skipped")] == [4, 1, 2]
    assert [suite.get("name") for suite in root] == ["outputs", "states", "my_lstm"]
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert set(cases) == {"y & <z>", "h", "c", "d"} and not list(cases["y & <z>"])
    failure, = cases["h"]
    assert failure.get("message") == "error 5.0e-01, budget 1.0e-06" and failure.text == "row 1; 1, expected 2"
    assert cases["c"][0].get("message") == "refused: no" and root.find(".//system-out").text.endswith("a finding")


def test_engines_that_are_not_known_or_not_there(monkeypatch):
    with pytest.raises(NotSupported, match="an engine 'caffe'"):
        survey_framework("caffe")
    monkeypatch.setattr("rnnref.survey.frameworks.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install tf-keras"):
        survey_framework("tf-keras")


def test_a_process_that_ends_badly_is_a_refusal(monkeypatch):
    monkeypatch.setitem(ENGINES, "odd", ENGINES["jax"]._replace(packages=(), module="nowhere"))
    report = survey_framework("odd")
    assert report.status == 2
    assert "its process ended with status 1: NotSupported: survey: engine='odd'" in report.rows[0].note


@pytest.mark.peers
def test_the_fault_of_jax_is_found_by_its_sweep(monkeypatch):
    from rnnref.survey import jax_grid
    monkeypatch.setattr(jax_grid, "_UNITS", (4, 5))
    report = jax_grid.survey_jax(("LSTM",))
    departs, = (f for f in report.findings if f.details["kind"] == "departs")
    assert departs.details["options"] == {"dtype": "float64", "op": "ConvLSTM", "units": "5"}
    assert "the gradients" in departs and "while all outputs are right" in departs and departs.details["differ"] == 3
    assert not report.counts["refused"]


@pytest.mark.peers
def test_the_fault_of_keras_on_torch_is_found_by_its_sweep():
    report = survey_framework("keras-torch", ("GRU",))
    assert not report.counts["differs"] and report.counts["refused"] == 6
    conditions = [f.details["options"] for f in report.findings]
    assert all(options["unroll"] == options["go_backwards"] == "True" for options in conditions)


@pytest.mark.peers
def test_flax_is_right_but_for_empty_rows():
    report = survey_framework("flax", ("GRU",))
    departs, = report.findings
    assert departs.details["options"] == {"padding": "an empty row"} and "differs with an empty row: h" in departs
    assert "once the last states of a row of length 0 are those after step 6" in departs


@pytest.mark.peers
def test_keras_on_jax_hands_on_the_state_at_masked_steps():
    report = survey_framework("keras-jax", ("RNN",))
    found = {tuple(f.details["options"].items()): f for f in report.findings if f.details["kind"] == "departs"}
    assert report.counts["differs"] and not report.counts["refused"]
    assert any("once the outputs in the padding are the last h, of a row of length 0 the initial one" in f
               for f in found.values())


def test_a_cell_that_a_framework_ran_is_explained():
    """By the table of `check`: a forget bias, and gradients of a wrong backward pass."""
    cell, rng = cells.LSTM(), np.random.default_rng(0)
    p = init.parameters(cell, 3, 4, rng, scheme="generic")
    x, start = rng.standard_normal((5, 2, 3), "float32"), cell.rule.State(*rng.standard_normal((2, 2, 4), "float32"))

    def engine(forget_bias, factor):
        def run(p, x, start, dy, dstate):
            one = cells.LSTM(forget_bias=forget_bias)
            ys, last, tape = rnnref.run(one, p, x, start)
            dx, ds, _, dp = rnnref.run_back(tape, dy, dstate)
            found = {"y": ys, **last._asdict(), "dx": dx, **{f"d{n}0": a for n, a in ds._asdict().items()}}
            return found | {f"d{n}": factor * a for n, a in dp.items()}
        return run
    biased = explain_cell(cell, p, x, start, engine(1.0, 1.0))
    assert any("once 1 is added to the forget gate" in text for text in biased), biased
    halved = explain_cell(cell, p, x, start, engine(0.0, 0.5))
    assert any("agree once multiplied by 2" in text for text in halved), halved
    assert explain_cell(cell, p, x, start, engine(0.0, 1.0)) == []


def test_conditions_of_many_terms_need_no_more_than_they_say():
    """The trials of a condition of five terms, which no shorter one covers, are one finding."""
    names = "abcde"
    trials = [Trial({"op": op, **dict(zip(names, values))},
                    [Row("y", verdict="differs" if all(v == "True" for v in values) else "agrees")])
              for op in ("GRU", "LSTM") for values in product(("True", "False"), repeat=5)]
    (condition, found), = find_conditions(trials, "differs")
    assert condition == dict.fromkeys(names, "True") and len(found) == 2


def test_a_headline_of_many_conditions_is_short():
    planted = (("GRU", "none", "3"), ("GRU", "left", "4"), ("LSTM", "right", "5"), ("LSTM", "none", "4"),
               ("GRU", "right", "3"))
    report = make_survey("E", plant(*(dict(zip(("op", "padding", "units"), values)) for values in planted)), {})
    assert len(report.findings) == 5 and report.headline.endswith("or where one of 2 more findings applies.")
