"""A survey as text: findings, the options that depart beside each other, and what agrees.  (floor 11)"""
from textwrap import wrap

from ..check.report import format_facts, format_table

_WIDTH = 118
_NO_BREAK_SPACE = "\u00a0"                                   # a space at which no line ends


def render_text(survey):
    """The lines of a survey, 120 columns at most."""
    yield survey.title
    yield f"{len(survey.rows)} cases in {len({r.group for r in survey.rows})} groups of options: {survey.summary}"
    differ = [result for result in survey.results if result.verdict == "differs"]
    if differ:
        yield f"{sum(bool(r.made) for r in differ)} of the {len(differ)} that differ are explained by a finding"
    if survey.findings:
        yield from ("", f"Findings: {len(survey.findings)}")
    for n, finding in enumerate(survey.findings, 1):
        first, *rest = wrap(str(finding), _WIDTH - 6)
        yield from (f"  {n:>2}  {first}", *(f"      {line}" for line in rest))
    cells = _group_by_option(survey)
    departing = {label: row for label, row in cells.items() if any("agree" not in cell for cell in row.values())}
    if departing:
        yield from ("", "Options that depart [by finding]; beside what agrees, its largest error in float32 roundings:",
                    *_format_grid(departing))
    yield from ("", *_describe_agreement(survey, [label for label in cells if label not in departing]))
    yield from ("", *format_facts(survey.facts))


def _group_by_option(survey):
    """{option: {operator: what to say of this group}}."""
    numbers: dict = {}
    for n, finding in enumerate(survey.findings, 1):
        for group in finding.about["groups"]:
            numbers.setdefault(group, []).append(f"[{n}]")
    groups: dict = {}
    for result in survey.results:
        groups.setdefault(result.case.group, []).append(result)
    cells: dict = {}
    for group, results in groups.items():
        op, _, label = group.partition(" ")
        cells.setdefault(label, {})[op] = _format_cell(results, numbers.get(group, []))
    return cells


def _format_cell(results, numbers):
    bad = [r for r in results if r.verdict != "agrees"]
    if not bad:
        return f"{len(results)} agree {max(r.distance.roundings for r in results):5.1f}"
    share = "" if len(bad) == len(results) else f" of {len(results)}"
    said = " and ".join(dict.fromkeys("differ" if r.verdict == "differs" else r.verdict for r in bad))
    return f"{len(bad)}{share} {said} {''.join(numbers)}"


def _format_grid(cells):
    ops = list(dict.fromkeys(op for row in cells.values() for op in row))
    yield from format_table(["", *ops], ([label, *(row.get(op, "") for op in ops)] for label, row in cells.items()))


def _describe_agreement(survey, labels):
    """Which options agree everywhere, and how well."""
    agree = [r for r in survey.results if r.verdict == "agrees"]
    if not agree:
        return
    worst = max(agree, key=lambda r: r.distance.roundings)
    yield from wrap(f"{len(agree)} cases agree, at worst within {worst.distance.roundings:.1f} float32 roundings "
                    f"(2^-23 of the largest entry): {worst.case.name}.", _WIDTH)
    if labels:
        yield "Options under which every case does:"
        whole = [label.replace(" ", _NO_BREAK_SPACE) for label in labels]
        lines = wrap(" · ".join(whole), _WIDTH - 2, initial_indent="  ", subsequent_indent="  ")
        yield from (line.replace(_NO_BREAK_SPACE, " ") for line in lines)
