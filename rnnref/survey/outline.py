"""A survey as text: findings, the options that depart beside each other, and what agrees.  (floor 11)"""
from textwrap import wrap

from ..check.report import known, table

WIDTH = 118
HELD = "\u00a0"                                   # a space at which no line ends


def outline(survey):
    """The lines of a survey, 120 columns at most."""
    yield survey.title
    yield f"{len(survey.rows)} cases in {len({r.group for r in survey.rows})} groups of options: {survey.summary}"
    differ = [result for result in survey.results if result.verdict == "differs"]
    if differ:
        yield f"{sum(bool(r.made) for r in differ)} of the {len(differ)} that differ are explained by a finding"
    if survey.findings:
        yield from ("", f"Findings: {len(survey.findings)}")
    for n, finding in enumerate(survey.findings, 1):
        first, *rest = wrap(str(finding), WIDTH - 6)
        yield from (f"  {n:>2}  {first}", *(f"      {line}" for line in rest))
    cells = by_option(survey)
    departing = {label: row for label, row in cells.items() if any("agree" not in cell for cell in row.values())}
    if departing:
        yield from ("", "Options that depart [by finding]; beside what agrees, its largest error in float32 roundings:",
                    *grid_of(departing))
    yield from ("", *agreement(survey, [label for label in cells if label not in departing]))
    yield from ("", *known(survey.facts))


def by_option(survey):
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
        cells.setdefault(label, {})[op] = cell(results, numbers.get(group, []))
    return cells


def cell(results, numbers):
    bad = [r for r in results if r.verdict != "agrees"]
    if not bad:
        return f"{len(results)} agree {max(r.distance.roundings for r in results):5.1f}"
    share = "" if len(bad) == len(results) else f" of {len(results)}"
    said = " and ".join(dict.fromkeys("differ" if r.verdict == "differs" else r.verdict for r in bad))
    return f"{len(bad)}{share} {said} {''.join(numbers)}"


def grid_of(cells):
    ops = list(dict.fromkeys(op for row in cells.values() for op in row))
    yield from table(["", *ops], ([label, *(row.get(op, "") for op in ops)] for label, row in cells.items()))


def agreement(survey, labels):
    """Which options agree everywhere, and how well."""
    agree = [r for r in survey.results if r.verdict == "agrees"]
    if not agree:
        return
    worst = max(agree, key=lambda r: r.distance.roundings)
    yield from wrap(f"{len(agree)} cases agree, at worst within {worst.distance.roundings:.1f} float32 roundings "
                    f"(2^-23 of the largest entry): {worst.case.name}.", WIDTH)
    if labels:
        yield "Options under which every case does:"
        whole = [label.replace(" ", HELD) for label in labels]
        lines = wrap(" · ".join(whole), WIDTH - 2, initial_indent="  ", subsequent_indent="  ")
        yield from (line.replace(HELD, " ") for line in lines)
