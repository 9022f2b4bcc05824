"""The survey names what an engine does otherwise: planted faults, onnxruntime, and the onnx package's own evaluator."""
import json

import numpy as np
import onnx
import pytest

from rnnref.check.onnx_engines import RefusalError, resolve_engine
from rnnref.check.tolerance import tolerance
from rnnref.errors import NotSupported
from rnnref.survey import cases, faults, survey
from rnnref.survey.search import Truth, max_difference
from tests.support import onnx_reading
from tests.support.planted_engines import PLANTED, ignoring, read, switched


def some(op, *labels):
    wanted = {f"{op} {label}" for label in labels}
    return [case for case in cases.generate_cases([op]) if case.group in wanted]


@pytest.mark.parametrize("op, engine, label, keys", PLANTED, ids=[", ".join([p[0], *sorted(p[3])]) for p in PLANTED])
def test_a_planted_fault_is_named(op, engine, label, keys):
    report = survey(engine, cases=some(op, "plain", "initial states", "layout", label))
    found = {f.about["change"]: f for f in report.findings if f.about["kind"] == "departs"}
    assert set(found) == keys and not report.ok
    assert all(f"{op} {label}" in f.about["groups"] for f in found.values())
    assert not [f for f in report.findings if f.about["kind"] in ("unexplained", "refuses")]


def test_an_engine_that_follows_the_text_agrees_throughout():
    report = survey(read, cases=[c for op in cases.OPS for c in some(op, "plain", "clip", "layout", "all at once")])
    assert report.ok and report.findings == []
    assert report.counts["agrees"] == len(report.rows) > 100


def test_what_nothing_explains_is_said_with_where_it_shows():
    def engine(case):
        y = read(case)
        return y | {"Y": y["Y"] + np.float32(0.01)} if case.traits["direction"] == "reverse" else y
    first, *_ = report = survey(engine, cases=some("RNN", "plain")).findings
    assert len(report) == 1 and first.about["kind"] == "unexplained" and first.about["groups"] == ["RNN plain"]
    assert "3 of 9 cases" in first and "always and only with direction: reverse" in first


def test_what_is_refused_is_quoted_and_said_in_another_way():
    def engine(case):
        if case.attributes.get("layout"):
            raise RefusalError("no layout 1 here")
        return switched(empty_row="zero")(case)
    report = survey(engine, cases=[c for c in cases.generate_cases(["RNN"]) if c.group in (
        "RNN initial states", "RNN layout", "RNN initial states + layout")])
    refused, = (f for f in report.findings if f.about["kind"] == "refuses")
    assert '"no layout 1 here"' in refused and refused.about["about"] == "layout=1"
    assert refused.about["cases"] == refused.about["agree"] == 18
    assert "15 of 18 agree, 3 more with the departures above" in refused
    assert report.counts["refused"] == 18


def test_what_has_no_twin_is_refused_for_what_it_runs_without():
    def engine(case):
        if "P" in case.inputs:
            raise RefusalError("peepholes")
        return read(case)
    refused, = survey(engine, cases=some("LSTM", "plain", "P")).findings
    assert refused.about["about"] == "P" and "LSTM, P:" in refused


def test_what_is_ignored_is_found_even_where_another_fault_hides_it():
    def engine(case):                             # nothing can explain the outputs, yet clip does not move them
        return {n: a + np.float32(0.01) for n, a in ignoring("clip")(case).items()}
    report = survey(engine, cases=some("RNN", "plain", "clip"))
    ignored, = (f for f in report.findings if f.about["kind"] == "ignores")
    assert "silently ignores clip" in ignored and ignored.about["groups"] == ["RNN clip"]
    assert {f.about["kind"] for f in report.findings} == {"unexplained", "ignores"}


def test_nothing_is_said_of_a_chaotic_recurrence():
    case = next(c for c in cases.generate_cases(["RNN"]) if c.group == "RNN larger")
    rng = np.random.default_rng(0)
    wild = case._replace(inputs={"X": rng.standard_normal((150, 2, 17), np.float32),
                                 "W": case.inputs["W"], "R": 16 * case.inputs["R"]})
    report = survey(read, cases=[wild])
    assert report.rows[0].verdict == "not comparable" and not report.findings


@pytest.fixture(scope="module")
def onnxruntime():
    labels = {"initial states + clip", "initial states + layout", "all at once"}
    return survey("onnxruntime", cases=[
        c for c in cases.generate_cases(per_slot=False) if "+" not in c.group or c.group.partition(" ")[2] in labels
        if c.traits["lengths"] == "ragged" or "slot" not in c.traits])


def departures(report):
    return {f.about["change"]: f for f in report.findings if f.about["kind"] == "departs"}


def test_onnxruntime_departs_where_it_is_known_to(onnxruntime):
    found = departures(onnxruntime)
    assert set(found) == {"Reading(empty_row='zero')", "Reading(clip_output=False)", "Reading(missing_scale='zero')"}
    groups = found["Reading(empty_row='zero')"].about["groups"]
    assert {"RNN initial states", "GRU initial states", "LSTM initial states", "LSTM all at once"} <= set(groups)
    assert {"LSTM clip", "LSTM initial states + clip"} <= set(found["Reading(clip_output=False)"].about["groups"])
    assert not any("clip" in group for group in groups if group.startswith(("RNN clip", "GRU clip")))
    scales = found["Reading(missing_scale='zero')"]
    assert set(scales.about["groups"]) == {f"{op} {f}, scales left out" for op in cases.OPS
                                           for f in ("Affine", "ThresholdedRelu", "ScaledTanh")}
    assert "ThresholdedRelu has alpha=1" in scales and "no default is documented" in scales


def test_onnxruntime_refuses_what_it_is_known_to(onnxruntime):
    found = {f.about["about"]: f for f in onnxruntime.findings if f.about["kind"] == "refuses"}
    assert set(found) == {"layout=1", "activation names in other case than the text's", "a node without hidden_size"}
    assert "Batchwise recurrent operations (layout == 1) are not supported" in found["layout=1"]
    assert all(f.about["agree"] == f.about["cases"] for f in found.values())
    assert found["activation names in other case than the text's"].about["groups"] == [
        "RNN activation names in other case"]


def test_the_rest_agrees_and_nothing_is_ignored(onnxruntime):
    assert {f.about["kind"] for f in onnxruntime.findings} == {"departs", "refuses"}
    assert all(r.distance.error <= r.distance.budget for r in onnxruntime.results if r.verdict == "agrees")
    assert {(h.op, h.name) for h in onnxruntime.sensitivities if h.tried and h.moved == h.tried} >= {
        ("LSTM", "P"), ("LSTM", "clip"), ("GRU", "linear_before_reset"), ("RNN", "activation_alpha")}


def test_the_survey_as_text_fits_and_as_json_holds_all(onnxruntime):
    text = str(onnxruntime)
    assert max(map(len, text.splitlines())) <= 120
    for finding in onnxruntime.findings:
        for group in finding.about["groups"]:
            assert group.partition(" ")[2] in text
    held = json.loads(onnxruntime.to_json())
    assert held["findings"] == onnxruntime.findings and len(held["rows"]) == len(onnxruntime.rows)
    assert [d["kind"] for d in held["details"]] == [f.about["kind"] for f in onnxruntime.findings]
    assert onnxruntime.findings[0].split(":")[0] in onnxruntime.to_html()


def test_the_evaluator_of_onnx_ignores_what_it_is_known_to():
    labels = "plain", "clip", "activations", "input_forget", "clip + input_forget"
    report = survey("onnx.reference", cases=some("LSTM", *labels) + some("RNN", "plain", "activation Affine"))
    found = departures(report)
    assert {f"without {n}" for n in ("sequence_lens", "clip", "activations", "input_forget")} < set(found)
    assert found["activations of the first direction"].about["groups"] == ["RNN activation Affine"]
    assert not [f for f in report.findings if f.about["kind"] == "unexplained"]


def test_the_grid_is_as_large_as_it_says_and_keeps_its_numbers():
    all_cases = list(cases.generate_cases())
    options = {(case.group, case.traits.get("slot")) for case in all_cases}
    assert len(options) >= 150 and len({case.name for case in all_cases}) == len(all_cases) >= 1500
    everywhere = {(c.traits["direction"], c.traits["lengths"]) for c in all_cases if c.group == "LSTM clip + P"}
    assert len(everywhere) == len(cases.DIRECTIONS) * len(cases.LENGTHS)
    again, other = next(cases.generate_cases(["GRU"])), next(cases.generate_cases(["GRU"], seed=1))
    first = next(c for c in all_cases if c.op == "GRU")
    assert max_difference(again.inputs["X"], first.inputs["X"]) == 0 < max_difference(other.inputs["X"], first.inputs["X"])
    assert all(a.dtype == (np.int32 if n == "sequence_lens" else np.float32) for n, a in first.inputs.items())


def test_the_truth_is_the_independent_reading():
    truth = Truth()
    for case in cases.generate_cases(per_slot=False):
        if case.traits["lengths"] == "empty row" or case.group.endswith("left out"):
            want = getattr(onnx_reading, case.op.lower())(case.inputs, case.attributes)
            for name, a in truth.outputs(case).items():
                size = max(1, np.abs(want[name]).max())
                assert max_difference(a, want[name]) <= tolerance("path", "float64") * size, (case.name, name)


@pytest.mark.parametrize("op", cases.OPS)
def test_changes_quote_the_text_and_have_names_of_their_own(op):
    schema = onnx.defs.get_schema(op, 22)
    text = " ".join([schema.doc, *(a.description for a in schema.attributes.values()),
                     *(a.description for a in schema.inputs)])
    tried = list(faults.list_faults(op))
    assert len({change.key for change in tried}) == len(tried)
    for change in tried:
        known = change.about.partition(" ")[0] in [*schema.attributes, *(a.name for a in schema.inputs)]
        assert change.quote in text or not known, change.key


def test_an_engine_that_is_not_known_is_refused_by_name():
    with pytest.raises(NotSupported, match="'openvino'"):
        resolve_engine("openvino")
