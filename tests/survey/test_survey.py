"""The survey finds planted faults, and names how onnxruntime and the onnx package's own evaluator depart."""
import json

import numpy as np
import onnx
import pytest

from rnnref.check.onnx_engines import RefusalError, resolve_engine
from rnnref.check.tolerance import tolerance
from rnnref.errors import NotSupported
from rnnref.survey import cases, survey
from rnnref.survey.search import Truth, max_difference
from rnnref.survey.specification import CLAUSES, find_clause
from tests.support import onnx_reading
from tests.support.onnxruntime_facts import HAS_DEFAULT_SCALES, TAKES_LENGTH_ZERO
from tests.support.planted_engines import PLANTED, ignoring, run_independent, switched


def some(op, *labels):
    groups = {f"{op} {label}" for label in labels}
    return [case for case in cases.generate_cases([op]) if case.group in groups]


@pytest.mark.parametrize("op, engine, label, keys", PLANTED, ids=[", ".join([p[0], *sorted(p[3])]) for p in PLANTED])
def test_planted_faults_are_found(op, engine, label, keys):
    report = survey(engine, cases=some(op, "plain", "initial states", "layout", label))
    found = {f.details["fault"]: f for f in report.findings if f.details["kind"] == "departs"}
    assert set(found) == keys and not report.ok
    assert all(f"{op} {label}" in f.details["groups"] for f in found.values())
    assert not [f for f in report.findings if f.details["kind"] in ("unexplained", "refuses")]


def test_a_correct_engine_agrees_in_all_cases():
    labels = "plain", "clip", "layout", "all at once"
    report = survey(run_independent, cases=[c for op in cases.OPS for c in some(op, *labels)])
    assert report.ok and report.findings == []
    assert report.counts["agrees"] == len(report.rows) > 100
    assert report.headline == "run_independent's RNN, GRU and LSTM are right in every case that could be compared."


def test_unexplained_differences_are_located():
    def engine(case):
        y = run_independent(case)
        return y | {"Y": y["Y"] + np.float32(0.01)} if case.traits["direction"] == "reverse" else y
    report = survey(engine, cases=some("RNN", "plain"))
    first, = report.findings
    assert report.headline == "engine's RNN is right except in 1 group of options without a known reason."
    assert first.details["kind"] == "unexplained" and first.details["groups"] == ["RNN plain"]
    assert "3 of 9 cases" in first and "always and only with direction: reverse" in first


def test_differences_in_shape_alone_are_described():
    def engine(case):                             # layout=1 with the axes of outputs in another order
        y = run_independent(case)
        return {n: a.swapaxes(1, 2) if case.attributes.get("layout") and n == "Y" else a for n, a in y.items()}
    report = survey(engine, cases=some("RNN", "plain", "layout"))
    first, = report.findings
    assert first.details["kind"] == "unexplained" and "by up to NaN or in shape" in first


def test_refusals_are_quoted_and_equivalent_nodes_are_compared():
    def engine(case):
        if case.attributes.get("layout"):
            raise RefusalError("no layout 1 here")
        return switched(empty_row="zero")(case)
    report = survey(engine, cases=[c for c in cases.generate_cases(["RNN"]) if c.group in (
        "RNN initial states", "RNN layout", "RNN initial states + layout")])
    refused, = (f for f in report.findings if f.details["kind"] == "refuses")
    assert '"no layout 1 here"' in refused and refused.details["topic"] == "layout=1"
    assert refused.details["cases"] == refused.details["agree"] == 18
    assert "15 of 18 agree, 3 more with the departures above" in refused
    assert report.counts["refused"] == 18


def test_a_refusal_without_an_equivalent_node_names_the_option():
    def engine(case):
        if "P" in case.inputs:
            raise RefusalError("peepholes")
        return run_independent(case)
    refused, = survey(engine, cases=some("LSTM", "plain", "P")).findings
    assert refused.details["topic"] == "P" and "LSTM, P:" in refused


def test_ignored_options_are_found_behind_other_faults():
    def engine(case):                             # no fault explains the outputs, and clip does not change them
        return {n: a + np.float32(0.01) for n, a in ignoring("clip")(case).items()}
    report = survey(engine, cases=some("RNN", "plain", "clip"))
    ignored, = (f for f in report.findings if f.details["kind"] == "ignores")
    assert "silently ignores clip" in ignored and ignored.details["groups"] == ["RNN clip"]
    assert {f.details["kind"] for f in report.findings} == {"unexplained", "ignores"}
    assert report.headline == ("engine's RNN is wrong in every case that could be compared; you are affected if an RNN "
                               "sets clip.")


def test_a_headline_of_many_conditions_is_short():
    ignored = ("B", "initial_h", "initial_c", "P", "clip", "input_forget")
    report = survey(ignoring(*ignored), cases=some("LSTM", "plain", "initial states", "P", "clip", "input_forget"))
    assert len(departures(report)) >= 5 and report.headline.count(" or if ") == 1
    assert report.headline.endswith("more findings applies.")


def test_a_survey_without_comparison_has_no_verdict():
    def engine(case):
        raise RefusalError("not today")
    report = survey(engine, cases=some("GRU", "plain"))
    assert report.headline == "engine's GRU could not be compared with the reference."
    assert report.refusals == "engine refuses, with an error: nodes of GRU." and not report.ok


def test_a_chaotic_recurrence_is_not_comparable():
    case = next(c for c in cases.generate_cases(["RNN"]) if c.group == "RNN larger")
    rng = np.random.default_rng(0)
    wild = case._replace(inputs={"X": rng.standard_normal((150, 2, 17), np.float32),
                                 "W": case.inputs["W"], "R": 16 * case.inputs["R"]})
    report = survey(run_independent, cases=[wild])
    assert report.rows[0].verdict == "not comparable" and not report.findings


@pytest.fixture(scope="module")
def onnxruntime():
    labels = {"initial states + clip", "initial states + layout", "all at once"}
    return survey("onnxruntime", cases=[
        c for c in cases.generate_cases(per_slot=False) if "+" not in c.group or c.group.partition(" ")[2] in labels
        if c.traits["lengths"] == "ragged" or "slot" not in c.traits])


def departures(report):
    return {f.details["fault"]: f for f in report.findings if f.details["kind"] == "departs"}


def test_onnxruntime_departs_where_it_is_known_to(onnxruntime):
    found = departures(onnxruntime)
    missing = "Reading(missing_scale='zero')" if HAS_DEFAULT_SCALES else "alpha and beta=0 where left out"
    assert set(found) == {"Reading(empty_row='zero')", "Reading(clip_output=False)", missing}
    groups = found["Reading(empty_row='zero')"].details["groups"]
    assert {"GRU initial states", "LSTM initial states", "LSTM all at once"} <= set(groups)
    assert ("RNN initial states" in groups) == TAKES_LENGTH_ZERO
    assert {"LSTM clip", "LSTM initial states + clip"} <= set(found["Reading(clip_output=False)"].details["groups"])
    assert not any("clip" in group for group in groups if group.startswith(("RNN clip", "GRU clip")))
    without, with_default = ("Affine", "ThresholdedRelu", "ScaledTanh"), ("LeakyRelu", "HardSigmoid", "Elu")
    assert set(found[missing].details["groups"]) == {
        f"{op} {f}, scales left out" for op in cases.OPS
        for f in without + (with_default if op == "RNN" and not HAS_DEFAULT_SCALES else ())}
    assert "ThresholdedRelu has alpha=1" in found[missing] and "no default is documented" in found[missing]


def test_the_headline_says_who_is_affected(onnxruntime):
    empty = f"{'a node' if TAKES_LENGTH_ZERO else 'a GRU or an LSTM'} has a sequence of length 0 with an initial state"
    scales = "a node leaves out alpha " + (
        "or beta of Affine, ScaledTanh or ThresholdedRelu" if HAS_DEFAULT_SCALES else
        "and beta of Affine, Elu, HardSigmoid, LeakyRelu, ScaledTanh or ThresholdedRelu")
    more, fewer = (empty, scales) if TAKES_LENGTH_ZERO else (scales, empty)           # groups of options
    assert onnxruntime.headline == ("onnxruntime's RNN, GRU and LSTM are right except in three cases; you are affected "
                                    f"if {more}, if {fewer}, or if an LSTM sets clip.")


def test_onnxruntime_refuses_what_it_is_known_to(onnxruntime):
    found = {f.details["topic"]: f for f in onnxruntime.findings if f.details["kind"] == "refuses"}
    if not TAKES_LENGTH_ZERO:
        assert "reads beyond the beginning of Y for a sequence of length 0; since 1.26" in found.pop("sequence_lens")
        assert found.pop("nodes of RNN").details["agree"] == 0       # for two reasons: no node without one of them runs
    assert set(found) == {"layout=1", "activation names in upper or lower case", "a node without hidden_size",
                          *([] if HAS_DEFAULT_SCALES else ["activations without alpha and beta"])}
    assert "Batchwise recurrent operations (layout == 1) are not supported" in found["layout=1"]
    assert all(f.details["agree"] == f.details["cases"] for f in found.values())
    assert found["activation names in upper or lower case"].details["groups"] == ["RNN activation names in other case"]
    assert all(topic in onnxruntime.refusals for topic in found)


def test_the_rest_agrees_and_nothing_is_ignored(onnxruntime):
    assert {f.details["kind"] for f in onnxruntime.findings} == {"departs", "refuses"}
    assert all(r.distance.error <= r.distance.budget for r in onnxruntime.results if r.verdict == "agrees")
    assert {(h.op, h.name) for h in onnxruntime.sensitivities if h.tried and h.moved == h.tried} >= {
        ("LSTM", "P"), ("LSTM", "clip"), ("GRU", "linear_before_reset"), ("RNN", "activation_alpha")}


def test_text_fits_80_columns_and_json_is_complete(onnxruntime):
    text = str(onnxruntime)
    assert max(map(len, text.splitlines())) <= 80
    assert " ".join(text.split()).startswith(onnxruntime.headline)
    for finding in onnxruntime.findings:
        for group in finding.details["groups"]:
            assert group.partition(" ")[2] in text
    written = json.loads(onnxruntime.to_json())
    assert written["findings"] == onnxruntime.findings and len(written["rows"]) == len(onnxruntime.rows)
    assert written["headline"] == onnxruntime.headline
    assert [d["kind"] for d in written["details"]] == [f.details["kind"] for f in onnxruntime.findings]
    assert onnxruntime.findings[0].split(":")[0] in onnxruntime.to_html()


def test_the_evaluator_of_onnx_ignores_what_it_is_known_to():
    labels = "plain", "clip", "activations", "input_forget", "clip + input_forget"
    report = survey("onnx.reference", cases=some("LSTM", *labels) + some("RNN", "plain", "activation Affine"))
    found = departures(report)
    assert {f"without {n}" for n in ("sequence_lens", "clip", "activations", "input_forget")} < set(found)
    assert found["activations of the first direction"].details["groups"] == ["RNN activation Affine"]
    assert not [f for f in report.findings if f.details["kind"] == "unexplained"]
    assert max(map(len, str(report).splitlines())) <= 80


def test_the_grid_is_as_large_as_it_says_and_keeps_its_numbers():
    all_cases = list(cases.generate_cases())
    options = {(case.group, case.traits.get("slot")) for case in all_cases}
    assert len(options) >= 150 and len({case.name for case in all_cases}) == len(all_cases) >= 1500
    everywhere = {(c.traits["direction"], c.traits["lengths"]) for c in all_cases if c.group == "LSTM clip + P"}
    assert len(everywhere) == len(cases.DIRECTIONS) * len(cases.LENGTHS)
    again, other = next(cases.generate_cases(["GRU"])), next(cases.generate_cases(["GRU"], seed=1))
    first = next(c for c in all_cases if c.op == "GRU")
    assert max_difference(again.inputs["X"], first.inputs["X"]) == 0
    assert max_difference(other.inputs["X"], first.inputs["X"]) > 0
    assert all(a.dtype == (np.int32 if n == "sequence_lens" else np.float32) for n, a in first.inputs.items())


def test_the_reference_agrees_with_the_independent_implementation():
    truth = Truth()
    for case in cases.generate_cases(per_slot=False):
        if case.traits["lengths"] == "empty row" or case.group.endswith("left out"):
            want = getattr(onnx_reading, case.op.lower())(case.inputs, case.attributes)
            for name, a in truth.outputs(case).items():
                size = max(1, np.abs(want[name]).max())
                assert max_difference(a, want[name]) <= tolerance("path", "float64") * size, (case.name, name)


def test_clauses_quote_the_specification_and_are_of_the_table():
    table, text, names = set(), "", set()
    for op in cases.OPS:
        schema = onnx.defs.get_schema(op, 22)
        described = [*schema.attributes.values(), *schema.inputs]
        text += " ".join([schema.doc, *(a.description for a in described)])
        names |= {a.name for a in described}
        for case in cases.generate_cases([op]):
            if case.traits["lengths"] == "ragged" and "slot" not in case.traits or "left out" in case.group:
                table |= set(Truth().list_causes(case))
    assert len({clause.key for clause in CLAUSES.values()}) == len(CLAUSES)
    assert set(CLAUSES) <= table
    for clause in [*CLAUSES.values(), find_clause("the gate blocks are read as i f o g"),
                   find_clause("the peepholes are read as i f o, where the reference has i o f")]:
        known = clause.topic.partition(" ")[0] in names
        assert clause.quote in text or not known, clause.key


def test_an_unknown_engine_is_refused_by_name():
    with pytest.raises(NotSupported, match="'tensorrt'"):
        resolve_engine("tensorrt")
