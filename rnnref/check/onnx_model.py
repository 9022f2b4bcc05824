"""ONNX files, models and nodes: every RNN, GRU and LSTM by itself, so that the first wrong one is named.  (floor 10)"""
from dataclasses import fields, replace
from os import PathLike

from ..errors import NotSupported, import_optional
from ..onnx.reading import CHOICES, ONNXRUNTIME
from .findings import join_names
from .measure import check_candidate, compare_results, randomize_zeros
from .of_onnx import find_nodes, wrap_model, wrap_node
from .report import Report

_WHOLE_MODEL = "the whole model"


def check_onnx(candidate, inputs, rng, engine, reading, progress, checks):
    """The report on a NodeProto, a ModelProto or the path of one."""
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
    parts = [(node.name, _check_node(wrap_node(node.proto, node.inputs, rng, engine, reading, node.name), rng,
                                     checks)) for node in watch(nodes, "nodes")]
    if engine == "onnxruntime":
        whole = check_candidate(wrap_model(candidate, inputs, reading), rng, **checks | {"gradients": False})
        parts.append((_WHOLE_MODEL, whole))
    return _merge_reports(candidate, parts)


def _check_node(candidate, rng, checks):
    """The report on one node; if it departs, with the other reading of the text under which it does not."""
    report = check_candidate(candidate, rng, **checks | {"gradients": False})
    if report.counts["differs"]:
        report.findings += _try_other_readings(candidate, rng, checks)
    return report


def _try_other_readings(candidate, rng, checks):
    """A sentence if the text may be read so that the candidate is right."""
    candidate, _ = randomize_zeros(candidate, rng, checks["perturb_biases"])
    others = [replace(candidate.reading, **{name: value}) for name, values in CHOICES.items() for value in values
              if value != getattr(candidate.reading, name)]
    for reading in (*others, ONNXRUNTIME):
        verdicts, _, _ = compare_results(replace(candidate, reading=reading), rng, False, checks["factor"])
        if all(v.row.verdict == "agrees" for v in verdicts):
            changed = [f"{f.name}={getattr(reading, f.name)!r}" for f in fields(reading)
                       if getattr(reading, f.name) != getattr(candidate.reading, f.name)]
            return [f"It agrees if the text is read otherwise: Reading({', '.join(changed)})."]
    return []


def _merge_reports(model, parts):
    """One report of the reports on the nodes, in the order of the graph."""
    rows = [row._replace(name=f"{name}: {row.name}", group=name) for name, one in parts for row in one.rows]
    wrong = [(name, one) for name, one in parts if not one.ok]
    nodes = [(name, one) for name, one in wrong if name != _WHOLE_MODEL]
    found = []
    if nodes:
        name, first = nodes[0]
        kinds = {"differs": "departs", "refused": "is refused", "not comparable": "cannot be compared"}
        verb = next((kinds[verdict] for verdict in kinds if first.counts[verdict]), "gives nothing")
        found.append(f"The first node that {verb}: {name}{f', and {len(nodes) - 1} more' if len(nodes) > 1 else ''}.")
    elif wrong:
        found.append("Every RNN, GRU and LSTM agrees by itself and the whole model does not: look at the other nodes.")
    else:
        found.append(f"All agree to rounding: {join_names([name for name, _ in parts])}.")
    found += [f"{name}: {sentence}" for name, one in wrong for sentence in one.findings]
    facts = dict(parts[0][1].facts) | {"nodes": "each alone, fed with what the reference's run brings there"}
    facts.pop("shapes", None)
    return Report(f"ONNX model {model.graph.name or ''}".strip(), rows, facts, found)
