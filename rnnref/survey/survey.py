"""Is an engine's RNN, GRU and LSTM what the ONNX operator text says?  Every case of a grid, and the reasons.

(floor 11)
"""
from dataclasses import dataclass, field
from importlib.metadata import version

from ..check.onnx_engines import OPSET, RefusalError, resolve_engine
from ..check.report import Report, to_json_types
from ..check.row import Row
from ..check.tolerance import tolerance
from .cases import OPS, generate_cases as grid
from .findings import find_departures, find_ignored, find_refusals, find_unexplained, locate_divergence
from .probe import measure_sensitivities
from .search import FACTOR, Result, Search, Truth
from .text import render_text


def survey(engine="onnxruntime", ops=OPS, seed=0, progress=None, cases=None):
    """Hold an engine to the text of the operators: run a grid of cases, compare, and name what it does otherwise.

    engine    "onnxruntime", "onnx.reference", or a function: case -> {"Y": array, ...}, which may raise `Refused`
    ops       of RNN, GRU and LSTM, those to survey
    seed      draws other numbers
    progress  (iterable, what) -> iterable, to watch it by
    cases     `grid.Case`s to run in place of the whole grid
    ->        a `Survey`, a report whose findings say what explains each difference

    >>> from rnnref.survey.cases import cases
    >>> from rnnref.survey.search import reference
    >>> def forgetful(case):
    ...     return reference("float32")(case._replace(inputs={n: a for n, a in case.inputs.items() if n != "P"}), {})
    >>> report = survey(forgetful, cases=[case for case in cases(["LSTM"]) if case.group in ("LSTM to_json_types", "LSTM P")])
    >>> print(report.findings[0])
    LSTM, P: forgetful ignores P. 9 cases of 1 group differ, by up to ...; all 9 cases of these groups agree once it is
    left out. The text on P: "...The weight tensor for peepholes...".
    """
    name, run = resolve_engine(engine)
    truth, watch = Truth(), progress or (lambda steps, what: steps)
    chosen = list(grid(ops, seed) if cases is None else cases)
    results = [_run_case(truth, run, case) for case in watch(chosen, "cases")]
    heeded = measure_sensitivities(run, truth, results)
    results = _explain(truth, results, watch)
    by_group = _group_compared(results)
    findings = [*find_unexplained(name, by_group), *find_departures(name, by_group), *find_ignored(name, heeded, results),
                *find_refusals(run, name, results, truth)]
    ops = tuple(dict.fromkeys(case.op for case in chosen))
    return Survey(f"{name} held to the ONNX text of {', '.join(ops)}",
                  [_make_row(truth, result) for result in results], _collect_facts(engine, seed, heeded), findings, results, heeded)


def _explain(truth, results, watch):
    """The results with what explains those that differ."""
    by_group, search = _group_compared(results), Search(truth, {r.case.op for r in results})
    made = search({group: of for group, of in by_group.items() if of[0].verdict == "differs"}, watch)
    return [r._replace(made=search.minimize(r, made[r.case.group])) if r.verdict == "differs" else r for r in results]


def _run_case(truth, run, case):
    """One case through the engine."""
    try:
        got = run(case)
    except RefusalError as refusal:
        return Result(case, refusal=str(refusal), verdict="refused")
    distance = truth.distance(case, got)
    verdict = "agrees" if distance.agrees else "differs"
    return Result(case, got, "", distance, verdict if distance.comparable else "not comparable")


def _group_compared(results):
    """{group: the results that say something, those that differ first}."""
    groups: dict = {}
    for result in sorted(results, key=lambda r: r.verdict != "differs"):
        if result.verdict in ("differs", "agrees"):
            groups.setdefault(result.case.group, []).append(result)
    return groups


def _make_row(truth, result):
    case, d = result.case, result.distance
    if d is None:
        return Row(case.name, case.group, verdict=result.verdict, note=result.refusal)
    where = note = ""
    if result.verdict == "differs":
        where = locate_divergence(case, result.got, truth.outputs(case), d.budget)
        note = f"agrees once: {', '.join(c.key for c in result.made)}" if result.made else "unexplained"
    return Row(case.name, case.group, d.error, d.budget, result.verdict, where, note)


def _collect_facts(engine, seed, sensitivities):
    """How it was done."""
    versions = {"onnxruntime": ["onnxruntime", "onnx"], "onnx.reference": ["onnx"]}
    found = {}
    for h in sensitivities:
        if h.tried and h.moved == h.tried:
            found.setdefault(h.name, []).append(h.op)
    return {**{name: version(name) for name in [*versions.get(str(engine), []), "rnnref", "numpy"]},
            "engine": f"one node of opset {OPSET} in float32, its weights in the model, on one thread",
            "truth": "rnnref.onnx in float64, with every switch of Reading at its default",
            "budget": f"{tolerance('output', 'float32'):g} of the largest entry (or of 1), or {FACTOR:g} times the "
                      f"reference's own error in float32 if that is more",
            "heeded": "its outputs move without " + "; ".join(f"{n} ({' '.join(of)})" for n, of in found.items()),
            "seed": seed}


@dataclass
class Survey(Report):
    """A report on an engine, printed by groups of options."""
    results: list = field(default_factory=list)
    sensitivities: list = field(default_factory=list)

    def __str__(self):
        return "\n".join(render_text(self))

    def to_dict(self):
        return super().to_dict() | {"details": to_json_types([finding.about for finding in self.findings])}
