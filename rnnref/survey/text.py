"""A survey as text of 80 columns: the verdict, the findings, the options that depart, and what agrees."""
from textwrap import wrap
from typing import TYPE_CHECKING, Iterator

from ..check.report import format_facts
from .examples import describe_reproduction
from .findings import count
from .search import Result

if TYPE_CHECKING:
    from .survey import Survey

_WIDTH = 80
_NO_BREAK_SPACE = "\u00a0"
_MARKS = {"agrees": "ok", "differs": "XX", "refused": "--", "not comparable": "??"}
_LEGEND = ("Options that depart: how many cases, and [the finding]. XX differ, -- refused, ?? not comparable; ok all "
           "agree, with the largest error in float32 roundings:")


def render_text(survey: "Survey") -> Iterator[str]:
    """The lines of a survey."""
    yield from _wrap(survey.headline)
    yield from _wrap(survey.refusals)
    groups = len({r.group for r in survey.rows})
    what = f"{count(len(survey.rows), 'case')} in {count(groups, 'group')} of options"
    yield from ("", *_wrap(f"{what} were compared with the ONNX specification: {survey.summary}"
                           f"{_count_explained(survey)}."))
    if survey.findings:
        yield from ("", f"Findings: {len(survey.findings)}")
    for n, finding in enumerate(survey.findings, 1):
        yield from _wrap(str(finding), f"  {n:>2}  ", "      ")
    if any("Reading(" in str(finding) for finding in survey.findings):
        yield from ("", *_wrap("Reading(...) is the argument reading= of rnnref.verify and rnnref.onnx: with it the "
                               "reference computes as the engine does."))
    yield from describe_reproduction(survey)
    cells = _group_by_option(survey)
    departing = {label: row for label, row in cells.items() if any(not cell.startswith("ok") for cell in row.values())}
    if departing:
        yield from ("", *_wrap(_LEGEND), *_format_grid(departing))
    yield from ("", *_describe_agreement(survey, [label for label in cells if label not in departing]))
    yield from ("", *format_facts(survey.facts, _WIDTH))


def _wrap(text: str, first: str = "", rest: str = "") -> list[str]:
    """The text in lines of at most 80 columns; lines end at spaces, and in words that are longer than a line."""
    return wrap(text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)


def _count_explained(survey: "Survey") -> str:
    differ = [result for result in survey.results if result.verdict == "differs"]
    explained = sum(bool(r.causes) for r in differ)
    return f"; findings explain {explained} of the {len(differ)} that differ" if differ else ""


def _group_by_option(survey: "Survey") -> dict[str, dict[str, str]]:
    """{option: {operator: the cell of the grid}}."""
    numbers: dict = {}
    for n, finding in enumerate(survey.findings, 1):
        for group in finding.details["groups"]:
            numbers.setdefault(group, []).append(str(n))
    groups: dict = {}
    for result in survey.results:
        groups.setdefault(result.case.group, []).append(result)
    cells: dict = {}
    for group, results in groups.items():
        op, _, label = group.partition(" ")
        cells.setdefault(label, {})[op] = _format_cell(results, numbers.get(group, []))
    return cells


def _format_cell(results: list[Result], numbers: list[str]) -> str:
    """"XX 3/9 [1,2]": of 9 cases, 3 differ because of findings 1 and 2; "ok 2.4": all agree within 2.4 roundings."""
    counts = {verdict: sum(r.verdict == verdict for r in results) for verdict in _MARKS if verdict != "agrees"}
    parts = [f"{_MARKS[verdict]} {n}/{len(results)}" for verdict, n in counts.items() if n]
    if not parts:
        return f"ok {max(r.distance.roundings for r in results):.1f}"
    return " ".join([*parts, *([f"[{','.join(numbers)}]"] if numbers else [])])


def _format_grid(cells: dict[str, dict[str, str]]) -> Iterator[str]:
    """A line for each option, with a column for each operator; long options are wrapped."""
    ops = list(dict.fromkeys(op for row in cells.values() for op in row))
    widths = [max(len(op), *(len(row.get(op, "")) for row in cells.values())) for op in ops]
    wide = max(16, min(max(map(len, cells)), _WIDTH - 2 - sum(width + 2 for width in widths)))
    yield " " * (wide + 2) + "".join(f"  {op:<{width}}" for op, width in zip(ops, widths)).rstrip()
    for label, row in cells.items():
        *above, last = wrap(label, wide)
        yield from (f"  {line}" for line in above)
        columns = "".join(f"  {row.get(op, ''):<{width}}" for op, width in zip(ops, widths))
        yield f"  {last:<{wide}}{columns}".rstrip()


def _describe_agreement(survey: "Survey", labels: list[str]) -> Iterator[str]:
    """Which options agree in all cases, and how well."""
    agree = [r for r in survey.results if r.verdict == "agrees"]
    if not agree:
        return
    worst = max(agree, key=lambda r: r.distance.roundings)
    yield from _wrap(f"{len(agree)} cases agree, within {worst.distance.roundings:.1f} float32 roundings (2^-23 of the "
                     f"largest entry) or less; the worst is {worst.case.name}.")
    if labels:
        yield "Options that agree in all cases:"
        whole = [f"{label} ·".replace(" ", _NO_BREAK_SPACE) for label in labels]
        yield from (line.replace(_NO_BREAK_SPACE, " ") for line in _wrap(" ".join(whole)[:-2], "  ", "  "))
