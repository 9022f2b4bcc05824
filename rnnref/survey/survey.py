"""The survey: every case of a grid through an engine, compared with the reference, and the reasons of differences."""
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Callable, Iterable, Optional, Sequence, Union

import numpy as np

from ..check.onnx_engines import OPSET, RefusalError, resolve_engine
from ..check.report import to_json_types
from ..check.row import Row
from ..check.tolerance import tolerance
from .cases import OPS, Case, Outputs, copy_case, generate_cases
from .examples import SurveyReport, name_examples
from .findings import (find_departures, find_ignored, find_refusals, find_unexplained, join_words, locate_divergence,
                       shorten_key, write_headline, write_refusals)
from .probe import Engine, Sensitivity, measure_sensitivities
from .search import FACTOR, Result, Search, Truth, Watch
from .text import render_text


@dataclass(repr=False)
class Survey(SurveyReport):
    """A report on an engine; its text is arranged by options."""
    engine: str = ""
    ops: tuple[str, ...] = OPS
    results: list[Result] = field(default_factory=list)
    sensitivities: list[Sensitivity] = field(default_factory=list)
    text: str = ""                                # of a survey that another process made, whose results are not here

    @property
    def headline(self) -> str:
        """The verdict in one sentence: whether the engine is right, and who is affected where it is not."""
        return write_headline(self.title, self.ops, self.findings, self.counts)

    @property
    def refusals(self) -> str:
        """One sentence on what the engine refuses, or ""."""
        return write_refusals(self.engine, self.findings)

    def __str__(self) -> str:
        return self.text or "\n".join(render_text(self))

    def to_dict(self) -> dict:
        """The report as a dict of JSON types."""
        return super().to_dict() | {"headline": self.headline, "refusals": self.refusals,
                                    "engine": self.engine, "ops": list(self.ops),
                                    "details": to_json_types([finding.details for finding in self.findings])}


def survey(engine: Union[str, Callable[[Case], Outputs]] = "onnxruntime", ops: Sequence[str] = OPS, seed: int = 0,
           progress: Optional[Watch] = None, cases: Optional[Iterable[Case]] = None) -> Survey:
    """Compare an engine's RNN, GRU and LSTM with the ONNX specification, and name what it does differently.

    engine    "onnxruntime", "onnx.reference", "openvino"; a function case -> {"Y": array, ...} of a `Case` with op,
              inputs, attributes and outputs, whose exceptions are refusals; a back end of ONNX, which has
              prepare(model, device); or "package.module:name", where one of these is found
    ops       the operators to survey, of RNN, GRU and LSTM
    seed      another seed draws other numbers
    progress  (iterable, what) -> iterable, for a progress bar
    cases     `Case`s to run in place of the whole grid
    ->        a `Survey`, a report whose findings explain each difference

    >>> from rnnref.survey.cases import generate_cases
    >>> from rnnref.survey.search import run_reference
    >>> def forgetful(case):
    ...     inputs = {n: a for n, a in case.inputs.items() if n != "P"}
    ...     return run_reference(case._replace(inputs=inputs), "float32")
    >>> cases = [case for case in generate_cases(["LSTM"]) if case.group in ("LSTM plain", "LSTM P")]
    >>> report = survey(forgetful, cases=cases)
    >>> report.headline
    "forgetful's LSTM is right except in one case; you are affected if an LSTM has P."
    >>> print(report.findings[0])
    LSTM, P: forgetful ignores P. 9 cases in 1 group differ, by up to ...; all 9 cases of these groups agree if the
    reference leaves out P. The specification of P: "...The weight tensor for peepholes...".
    """
    name, run = resolve_engine(engine)
    truth, watch = Truth(), progress or (lambda steps, what: steps)
    chosen = list(generate_cases(ops, seed) if cases is None else cases)
    results = [_run_case(truth, run, case) for case in watch(chosen, "cases")]
    sensitivities = measure_sensitivities(run, truth, results)
    results = _explain(truth, results, watch)
    by_group = _group_compared(results)
    findings = [*find_unexplained(name, by_group), *find_departures(name, by_group),
                *find_ignored(name, sensitivities, results), *find_refusals(run, name, results, truth)]
    name_examples(name, findings)
    ops = tuple(dict.fromkeys(case.op for case in chosen))
    return Survey(f"{name}'s {join_words(ops, 'and')}", [_make_row(truth, result) for result in results],
                  _collect_facts(engine, seed, sensitivities), findings, name, ops, results, sensitivities)


def _run_case(truth: Truth, run: Engine, case: Case) -> Result:
    """The `Result` of one case."""
    try:
        got = run(copy_case(case))
    except RefusalError as refusal:
        return Result(case, refusal=str(refusal), verdict="refused")
    distance: Any = truth.distance(case, got)
    verdict = "agrees" if distance.agrees else "differs"
    return Result(case, got, "", distance, verdict if distance.comparable else "not comparable")


def _explain(truth: Truth, results: list[Result], watch: Watch) -> list[Result]:
    """The results, with the causes of those that differ."""
    by_group, search = _group_compared(results), Search(truth)
    differing = {group: members for group, members in by_group.items() if members[0].verdict == "differs"}
    causes = search(differing, watch)
    return [r._replace(causes=search.minimize(r, causes[r.case.group])) if r.verdict == "differs" else r
            for r in results]


def _group_compared(results: list[Result]) -> dict[str, list[Result]]:
    """{group: the results that agree or differ}; those that differ come first."""
    groups: dict = {}
    for result in sorted(results, key=lambda r: r.verdict != "differs"):
        if result.verdict in ("differs", "agrees"):
            groups.setdefault(result.case.group, []).append(result)
    return groups


def _make_row(truth: Truth, result: Result) -> Row:
    case, d = result.case, result.distance
    if d is None:
        return Row(case.name, case.group, verdict=result.verdict, note=result.refusal)
    where = note = ""
    if result.verdict == "differs":
        where = locate_divergence(case, result.got, truth.outputs(case), d.budget)
        keys = ", ".join(map(shorten_key, result.causes))
        note = f"agrees with: {keys}" if keys else "unexplained"
    return Row(case.name, case.group, d.error, d.budget, result.verdict, where, note)


def _collect_facts(engine: Any, seed: int, sensitivities: list[Sensitivity]) -> dict[str, Any]:
    """The versions and the method."""
    packages = {"onnxruntime": ["onnxruntime", "onnx"], "onnx.reference": ["onnx"],
                "openvino": ["openvino", "onnx"]}.get(str(engine), [])
    used: dict[str, list] = {}
    for s in sensitivities:
        if s.tried and s.moved == s.tried:
            used.setdefault(s.name, []).append(s.op)
    from .. import __version__
    facts: dict[str, Any] = {name: version(name) for name in packages}
    facts |= {"rnnref": __version__, "numpy": np.__version__}
    return facts | {
        "engine": f"one node of opset {OPSET} in float32, its weights in the model, on one thread",
        "truth": "rnnref.onnx in float64, with every switch of Reading at its default",
        "budget": f"{tolerance('output', 'float32'):g} of the largest entry (or of 1), or {FACTOR:g} times the "
                  f"reference's own error in float32 if that is more",
        "sensitivity": "the outputs change without " + "; ".join(f"{n} ({' '.join(ops)})" for n, ops in used.items()),
        "seed": seed}
