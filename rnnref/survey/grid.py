"""A grid of options through an engine: every case compared with the reference, and when they differ."""
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from textwrap import wrap
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..check.report import Report, format_facts, format_table, to_json_types
from ..check.rounding import Tolerance
from ..check.row import Row, count_verdicts, summarize
from ..tree import leaves
from .examples import Finding, SurveyReport, describe_reproduction, name_examples
from .explain import list_causes
from .findings import count, join_words

_WIDTH = 80
_MOST_TERMS = 4                                   # of a condition
_MOST_CONDITIONS = 4                              # in a headline


class Trial(NamedTuple):
    """One case of a grid: what was chosen for each option, and the comparison of every array."""
    traits: dict[str, str]
    rows: list[Row]
    arrays: dict[str, Array] = {}                 # what was given, "returned y" and "expected y"; {} of another process
    explain: Callable[[], list[str]] | None = None               # -> sentences "Agrees ... once ..."

    @property
    def label(self) -> str:
        """"LSTM, unroll=True": the options that are not off."""
        return describe_traits(self.traits)

    @property
    def verdict(self) -> str:
        """The most serious of its rows."""
        return next((verdict for verdict, _ in count_verdicts(self.rows)), "refused")


def describe_traits(traits: dict[str, str]) -> str:
    """"LSTM, unroll=True": the options that are not off."""
    return ", ".join(describe_trait(name, value) for name, value in traits.items()
                     if name != "mask" and value not in ("", "False", "none"))


def describe_trait(name: str, value: str) -> str:
    """"LSTM" for the operator, "right padding" for a kind of it, "unroll=True" for others."""
    padding = f"{value} padding" if value in ("right", "left") else value
    known = {"op": value, "padding": padding, "wrapper": value, "mask": "a mask"}
    return known.get(name, f"{name}={value}") if value != "none" else f"no {name}"


@dataclass(repr=False)
class GridSurvey(SurveyReport):
    """A report on an engine over a grid of options; findings name the smallest conditions of what differs."""
    engine: str = ""
    trials: list[Trial] = field(default_factory=list)

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        compared = [t for t in self.trials if t.verdict in ("agrees", "differs")]
        departs = [f for f in self.findings if f.details["kind"] == "departs"]
        failed = [f for f in self.findings if f.details["kind"] == "failed"]
        if failed:
            return str(failed[0])
        if not compared:
            return f"{self.engine} could not be compared with the reference."
        if not departs:
            return f"{self.engine} is right in all {len(compared)} cases that could be compared."
        if not any(t.verdict == "agrees" for t in compared):
            return f"{self.engine} differs in every case that could be compared."
        conditions = [f.details["condition"] for f in departs]
        if len(conditions) > _MOST_CONDITIONS:
            rest = len(conditions) - _MOST_CONDITIONS + 1
            conditions[_MOST_CONDITIONS - 1:] = [f"where one of {rest} more findings applies"]
        return f"{self.engine} is right except {join_words(conditions, 'or')}."

    @property
    def refusals(self) -> str:
        """One sentence on what the engine refuses, or ""."""
        topics = [f.details["condition"] for f in self.findings if f.details["kind"] == "refuses"]
        return f"{self.engine} refuses, with an error: cases {'; '.join(topics)}.".replace(
            ": cases in every case", ": every case") if topics else ""

    def __str__(self) -> str:
        return "\n".join(self._render())

    def _render(self) -> Iterator[str]:
        yield from wrap(self.headline, _WIDTH, break_on_hyphens=False)
        if not self.trials:
            return
        yield from wrap(self.refusals, _WIDTH, break_on_hyphens=False)
        yield from ("", *wrap(f"{count(len(self.trials), 'case')} and {count(len(self.rows), 'array')} were "
                              f"compared with the reference: {summarize(self.rows)}.", _WIDTH))
        if self.findings:
            yield from ("", f"Findings: {len(self.findings)}")
        for n, finding in enumerate(self.findings, 1):
            yield from wrap(str(finding), _WIDTH, initial_indent=f"  {n:>2}  ", subsequent_indent=" " * 6)
        groups: dict[str, list[Trial]] = {}
        for trial in self.trials:
            groups.setdefault(trial.traits.get("op", ""), []).append(trial)
        verdicts = "agrees", "differs", "refused"
        lines = [[op, str(len(of)), *(str(sum(t.verdict == v for t in of) or "") for v in verdicts)]
                 for op, of in groups.items()]
        yield from ("", *format_table(["", "cases", "ok agree", "XX differ", "-- refused"], lines))
        yield from describe_reproduction(self)
        yield from ("", *format_facts(self.facts, _WIDTH))

    def to_dict(self) -> dict:
        """The report as a dict of JSON types."""
        return super().to_dict() | {"headline": self.headline, "refusals": self.refusals, "engine": self.engine,
                                    "details": to_json_types([f.details for f in self.findings]),
                                    "trials": to_json_types([t.traits for t in self.trials])}


def compare_arrays(found: dict[str, Array], allowed: Tolerance, label: str) -> list[Row]:
    """A row for every array that an engine computed, beside the truth and the tolerance of this very case."""
    rows = []
    for name, a in found.items():
        truth, group = allowed.truth[name], "gradients" if name[0] == "d" else "outputs" if name[0] == "y" else "states"
        if a.shape != truth.shape:
            note = f"shape {a.shape}, expected {truth.shape}"
            rows.append(Row(f"{label}: {name}", group, verdict="differs", note=note))
            continue
        with numpy.errstate(invalid="ignore"):
            error = abs(a.astype("float64") - truth)
        scale = (float(abs(truth).max(initial=0.0)) or 1.0) if group == "gradients" else 1.0
        error = numpy.where(numpy.isnan(error), numpy.inf, error) / scale
        budget = allowed.by_name[name]
        wrong = numpy.argwhere(error > budget)
        at = f"first at [{', '.join(map(str, wrong[0]))}]" if len(wrong) else ""
        rows.append(Row(f"{label}: {name}", group, float(error.max(initial=0.0)), budget,
                        "differs" if len(wrong) else "agrees", at, entries=a.size, compared=a.size))
    return rows


class Comparison(NamedTuple):
    """What `try_case` is told of one case."""
    rows: list[Row]
    arrays: dict[str, Array] = {}
    explain: Callable[[], list[str]] | None = None


def record(found: dict[str, Array], allowed: Tolerance, label: str, given: Any,
           explain: Callable[[], list[str]] | None = None) -> Comparison:
    """The comparison of arrays by `compare_arrays`, with all of them; `given`: a tree of what the engine got."""
    arrays = {name: numpy.asarray(a) for name, a in leaves(given)}
    arrays |= {f"returned {name}": a for name, a in found.items()}
    return Comparison(compare_arrays(found, allowed, label),
                      arrays | {f"expected {name}": allowed.truth[name] for name in found}, explain)


def record_report(report: Report, label: str) -> Comparison:
    """The comparison that `verify` made."""
    rows = [row._replace(name=f"{label}: {row.name}") for row in report.rows]
    return Comparison(rows, report.arrays, partial(list_causes, report))


def try_case(traits: dict[str, str], compare: Callable[[str], Comparison]) -> Trial:
    """The trial of one case; an exception of the engine is a refusal, with its message."""
    trial = Trial(traits, [])
    try:
        compared = compare(trial.label)
    except Exception as e:                        # of the engine, whatever it is
        message = " ".join(str(e).split()).replace("\033[1m", "").replace("\033[0m", "")
        row = Row(trial.label, "outputs", verdict="refused", note=f"{type(e).__name__}: {message[:160]}")
        compared = Comparison([row])
    return trial._replace(rows=compared.rows, arrays=compared.arrays, explain=compared.explain)


def make_survey(engine: str, trials: Iterable[Trial], facts: dict[str, Any], text: dict[str, str] | None = None,
                ) -> GridSurvey:
    """The report on all trials; `text`: what the documentation of the engine says about an option."""
    trials = list(trials)
    rows = [row._replace(group=trial.label) for trial in trials for row in trial.rows]
    findings = [*_find_departures(engine, trials, text or {}), *_find_refusals(engine, trials)]
    name_examples(facts.get("engine", engine), findings)
    return GridSurvey(engine, rows, facts, findings, engine=engine, trials=trials)


def _find_departures(engine: str, trials: list[Trial], text: dict[str, str]) -> Iterator[Finding]:
    compared = [t for t in trials if t.verdict in ("agrees", "differs")]
    for condition, found in find_conditions(compared, "differs"):
        words = _describe_condition(condition)
        rows = [row for trial in found for row in trial.rows if row.verdict == "differs"]
        worst = max(rows, key=lambda row: row.ratio)
        what = "the gradients" if all(row.group == "gradients" for row in rows) else \
            join_words(list(dict.fromkeys(row.name.rpartition(": ")[2] for row in rows))[:4], "and")
        alone = ", while all outputs are right" if what == "the gradients" else ""
        quotes = " ".join(f'The documentation of {name}: "{text[name]}".' for name, value in condition.items()
                          if name in text and value != "False")
        error = "in shape" if worst.error is None else f"by up to {worst.error:.2g} (allowed {worst.budget or 0:.1g})"
        at = f", {rows[0].where}" if rows[0].where else ""
        more = " ".join(filter(None, [*(found[0].explain or list)(), quotes]))
        finding = Finding(f"{engine} differs {words}: {what}, {error}{alone}. {count(len(found), 'case')}, the first: "
                          f"{found[0].label}{at}. {more}".strip(),
                          "departs", [t.label for t in found], condition=words, options=dict(condition),
                          differ=len(found), largest=worst.error)
        yield finding.add_example({"traits": found[0].traits}, found[0].arrays)


def _find_refusals(engine: str, trials: list[Trial]) -> Iterator[Finding]:
    for condition, found in find_conditions(trials, "refused"):
        words = _describe_condition(condition)
        messages = list(dict.fromkeys(t.rows[0].note for t in found if t.rows))
        more = f" (and {count(len(messages) - 1, 'other message')})" if len(messages) > 1 else ""
        finding = Finding(f"{engine} refuses {count(len(found), 'case')} {words}: \"{messages[0]}\"{more}.", "refuses",
                          [t.label for t in found], condition=words, options=dict(condition), cases=len(found))
        yield finding.add_example({"traits": found[0].traits}, found[0].arrays)


def _describe_condition(condition: dict[str, str]) -> str:
    """"with unroll=True and left padding"; "in every case" without a condition."""
    parts = [describe_trait(*trait) for trait in condition.items()]
    return f"with {join_words(parts, 'and')}" if parts else "in every case"


def find_conditions(trials: list[Trial], verdict: str) -> list[tuple[dict[str, str], list[Trial]]]:
    """The smallest conditions, options with their values, under which all trials have a verdict, and these trials.

    Together they cover every trial with the verdict: those that cover most come first, of as many the shortest.

    >>> trials = [Trial({"op": op, "unroll": u}, [Row("y", verdict="differs" if u == "True" and op == "LSTM" else
    ...                                                "agrees")]) for op in ("GRU", "LSTM") for u in ("True", "False")]
    >>> [condition for condition, _ in find_conditions(trials, "differs")]
    [{'op': 'LSTM', 'unroll': 'True'}]
    """
    left = [t for t in trials if t.verdict == verdict]
    if not left or len(left) == len(trials):
        return [({}, left)] if left else []
    found = []
    while left:
        condition = _find_condition(trials, left, verdict)
        covered = [t for t in left if _meets(t, condition)]
        found.append((condition, [t for t in trials if t.verdict == verdict and _meets(t, condition)]))
        left = [t for t in left if t not in covered]
    return found


def _find_condition(trials: list[Trial], left: list[Trial], verdict: str) -> dict[str, str]:
    """The condition that covers most of `left`, of as many the shortest; at worst what is needed of the first's."""
    best, most = _drop_terms(trials, dict(left[0].traits), verdict), 0
    pairs = sorted({trait for t in left for trait in t.traits.items()}, key=lambda p: (p[1] in ("False", "none"), p))
    for size in range(1, _MOST_TERMS + 1):
        for terms in combinations(pairs, size):
            condition = dict(terms)
            if len(condition) < size:             # two values of one option
                continue
            covered = sum(_meets(t, condition) for t in left)
            if covered > most and all(t.verdict == verdict for t in trials if _meets(t, condition)):
                best, most = condition, covered
    return best


def _drop_terms(trials: list[Trial], condition: dict[str, str], verdict: str) -> dict[str, str]:
    """A condition without the terms that it does not need."""
    for name in list(condition):
        fewer = {n: v for n, v in condition.items() if n != name}
        if all(t.verdict == verdict for t in trials if _meets(t, fewer)):
            condition = fewer
    return condition


def _meets(trial: Trial, condition: dict[str, str]) -> bool:
    return all(trial.traits.get(name) == value for name, value in condition.items())
