"""Check an ONNX file, model or node: every RNN, GRU and LSTM node alone, so that the first wrong one is named."""
from collections.abc import Callable
from dataclasses import fields, replace
from os import PathLike
from typing import Any

import numpy

from ..errors import NotSupported, import_optional
from ..onnx.reading import CHOICES, ONNXRUNTIME, Reading
from .candidate import Candidate
from .findings import join_names
from .measure import check_candidate, compare_results, randomize_zeros
from .of_onnx import NodeCandidate, find_nodes, wrap_model, wrap_node
from .report import Report

_WHOLE_MODEL = "the whole model"


def check_onnx(candidate: Any, inputs: dict[str, Any], rng: numpy.random.Generator, engine: str | Callable,
               reading: Reading | None, progress: Callable | None, checks: dict[str, Any]) -> Report:
    """The report on a NodeProto, a ModelProto or the path of one; `checks` are the options of `check_candidate`."""
    onnx = import_optional("onnx", "verify", "verify")
    import_optional("onnx.numpy_helper", "verify", "verify")
    if not isinstance(inputs, dict):
        raise NotSupported("verify", f"inputs of an ONNX candidate as a {type(inputs).__name__}",
                           fix='a dict by name: {"X": x, ...}')
    if isinstance(candidate, (str, PathLike)):
        candidate = onnx.load(candidate)
    if isinstance(candidate, onnx.NodeProto):
        return _check_node(wrap_node(candidate, inputs, rng, engine, reading), rng, checks)
    if not isinstance(candidate, onnx.ModelProto):
        raise NotSupported("verify", f"a {type(candidate).__name__}", known="a path, ModelProto, NodeProto")
    watch = progress or (lambda steps, what: steps)
    nodes = find_nodes(candidate, inputs, reading)
    reports = [(node.name, _check_node(wrap_node(node.proto, node.inputs, rng, engine, reading, node.name), rng,
                                       checks)) for node in watch(nodes, "nodes")]
    if engine == "onnxruntime":
        whole = check_candidate(wrap_model(candidate, inputs, reading), rng, **checks | {"gradients": False})
        reports.append((_WHOLE_MODEL, whole))
    return _merge_reports(candidate, reports, checks["strict"])


def _check_node(candidate: NodeCandidate, rng: numpy.random.Generator, checks: dict[str, Any]) -> Report:
    """The report on one node; if it differs, with another reading of the specification under which it agrees."""
    report = check_candidate(candidate, rng, **checks | {"gradients": False})
    if report.counts["differs"]:
        report.findings += _try_other_readings(candidate, rng, checks)
    return report


def _try_other_readings(candidate: NodeCandidate, rng: numpy.random.Generator, checks: dict[str, Any]) -> list[str]:
    """A finding if the candidate agrees, on fresh numbers too, under another reading of the ONNX specification."""
    candidate, _ = randomize_zeros(candidate, rng, checks["perturb_biases"])
    others = [replace(candidate.reading, **{name: value}) for name, values in CHOICES.items() for value in values
              if value != getattr(candidate.reading, name)]
    draws: list[Any] = [candidate, candidate.redraw(rng, start=True), candidate.redraw(rng, start=True)]
    for reading in (*others, ONNXRUNTIME):
        if all(_agrees(replace(draw, reading=reading), rng, checks["factor"]) for draw in draws):
            changed = [f"{f.name}={getattr(reading, f.name)!r}" for f in fields(reading)
                       if getattr(reading, f.name) != getattr(candidate.reading, f.name)]
            return [f"It agrees under another reading of the ONNX specification: Reading({', '.join(changed)})."]
    return []


def _agrees(candidate: Candidate, rng: numpy.random.Generator, factor: float) -> bool:
    with numpy.errstate(all="ignore"):
        verdicts, _, _ = compare_results(candidate, rng, False, factor)
    return all(v.row.verdict == "agrees" for v in verdicts)


def _merge_reports(model: Any, reports: list[tuple[str, Report]], strict: bool) -> Report:
    """One report of those on the nodes, in the order of the graph."""
    rows = [row._replace(name=f"{name}: {row.name}", group=name) for name, report in reports for row in report.rows]
    wrong = [(name, report) for name, report in reports if not report.ok]
    nodes = [(name, report) for name, report in wrong if name != _WHOLE_MODEL]
    if nodes:
        name, first = nodes[0]
        verbs = {"differs": "differs", "refused": "is refused", "not comparable": "is not comparable"}
        verb = next((verbs[verdict] for verdict in verbs if first.counts[verdict]), "returns nothing")
        others = f"; {len(nodes) - 1} more {'does' if len(nodes) == 2 else 'do'} not agree" if len(nodes) > 1 else ""
        findings = [f"The first node that {verb}: {name}{others}."]
    elif wrong:
        findings = ["Every RNN, GRU and LSTM node agrees by itself, the whole model does not: check the other nodes."]
    else:
        findings = [f"All agree to rounding: {join_names([name for name, _ in reports])}."]
    findings += [f"{name}: {finding}" for name, report in wrong for finding in report.findings]
    facts = reports[0][1].facts | {"nodes": "each checked alone, on the inputs that the reference computes for it"}
    facts.pop("shapes", None)
    left_out = [f"{name}: {report.facts['not compared']}" for name, report in reports if "not compared" in report.facts]
    facts |= {"not compared": "; ".join(left_out)} if left_out else {}
    return Report(f"ONNX model {model.graph.name or ''}".strip(), rows, facts, findings, strict=strict)
