"""Reports as HTML pages and in notebooks: no scripts or external files, readable on narrow and on dark screens."""
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from .reproduce import render_reproduction
from .row import Row, count_verdicts, format_count, format_number, format_short, group_rows, is_long, join_details
from .svg import (COLOURS, DARK_COLOURS, FONTS, MARKS, VERDICT_COLOURS, draw_gates, draw_histogram, draw_lines,
                  find_verdict)

if TYPE_CHECKING:
    from .report import Report

_MAX_UNFOLDED = 3                                 # groups that differ are shown open if they are this few
_SHAPE = re.compile(r" \([\d, ]+\)")            # behind a name, in facts

_STYLE = f"""
.rnnref {{ {COLOURS} color-scheme: light dark; background: var(--paper);
  color: var(--ink); font: 15px/1.5 {FONTS}; }}
@media (prefers-color-scheme: dark) {{ .rnnref {{ {DARK_COLOURS} }} }}
.rnnref * {{ box-sizing: border-box; }}
.rnnref > div {{ container-type: inline-size; max-width: 60rem; margin: 0 auto; padding: 1.25rem 1rem; }}
.rnnref h1 {{ font-size: 1.4rem; line-height: 1.3; margin: 0 0 .5rem; overflow-wrap: anywhere; color: var(--ink); }}
.rnnref h2 {{ font-size: 1.05rem; margin: 1.8rem 0 .5rem; color: var(--ink); }}
.rnnref .find {{ margin: .9rem 0 0; padding: .8rem 1rem .8rem 2rem; background: var(--wash); border-radius: 4px;
  border-left: 4px solid var(--soft); overflow-wrap: anywhere; }}
.rnnref .find.bad {{ border-color: var(--bad); }} .rnnref .find.good {{ border-color: var(--good); }}
.rnnref .find li + li {{ margin-top: .35rem; }}
.rnnref .sum {{ margin: 0; }} .rnnref .tag {{ font-weight: 600; white-space: nowrap; margin-right: .9rem; }}
.rnnref .v {{ font-weight: 600; white-space: nowrap; }}
.rnnref .good {{ color: var(--good); }} .rnnref .bad {{ color: var(--bad); }} .rnnref .none {{ color: var(--none); }}
.rnnref .open {{ color: var(--open); }} .rnnref .find {{ color: var(--ink); }}
.rnnref table {{ border-collapse: collapse; width: 100%; font: inherit; font-variant-numeric: tabular-nums; }}
.rnnref th, .rnnref td {{ text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; background: none; }}
.rnnref th {{ font-weight: 600; color: var(--soft); font-size: .85rem; }}
.rnnref .n {{ text-align: right; white-space: nowrap; }}
.rnnref td.k {{ overflow-wrap: break-word; }} .rnnref td.w {{ color: var(--soft); overflow-wrap: anywhere; }}
.rnnref :not(details, h2) + details {{ margin-top: 1.2rem; }}
.rnnref details {{ border-bottom: 1px solid var(--line); }}
.rnnref summary {{ padding: .45rem 0; cursor: pointer; display: flex; flex-wrap: wrap; gap: .1rem .8rem; }}
.rnnref summary::-webkit-details-marker {{ display: none; }}
.rnnref summary::before {{ content: "▸"; color: var(--soft); width: 1ch; }}
.rnnref details[open] > summary::before {{ content: "▾"; }}
.rnnref summary:hover {{ background: var(--wash); }}
.rnnref summary .k {{ flex: 1 1 14rem; overflow-wrap: anywhere; }} .rnnref .k ~ span {{ flex: 0 0 15.5rem; }}
.rnnref summary .r {{ color: var(--soft); }}
.rnnref details > .in {{ padding: 0 0 .8rem 1.2rem; }}
.rnnref figure {{ margin: 1.6rem 0 0; }} .rnnref figcaption {{ color: var(--soft); font-size: .9rem; }}
.rnnref svg {{ width: 100%; max-width: 46rem; height: auto; display: block; }}
.rnnref svg text {{ fill: var(--soft); font-size: 14px; }}
.rnnref polyline {{ vector-effect: non-scaling-stroke; }}
.rnnref .legend {{ list-style: none; margin: 0 0 .4rem; padding: 0; display: flex; flex-wrap: wrap;
  gap: .1rem 1.4rem; }}
.rnnref .legend b {{ color: var(--c); border-bottom: 3px solid var(--c); padding: 0 .3rem; margin-right: .3rem; }}
.rnnref .legend li {{ overflow-wrap: anywhere; }}
.rnnref pre {{ margin: 0; padding: .6rem .8rem; background: var(--wash); white-space: pre-wrap; overflow-wrap: anywhere;
  font-size: .85rem; }}
.rnnref a {{ color: var(--c0); }}
.rnnref .wide {{ overflow-x: auto; }} .rnnref .note {{ color: var(--soft); font-size: .9rem; margin: .4rem 0 0; }}
.rnnref .gates {{ width: auto; }} .rnnref .gates td, .rnnref .gates th {{ padding-right: 1.6rem; }}
.rnnref .gates th[scope] {{ color: var(--ink); font-weight: 400; white-space: nowrap; }}
.rnnref .gates .bad {{ font-weight: 600; }}
.rnnref dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 0; }}
.rnnref dt {{ color: var(--soft); font-weight: 400; }} .rnnref dd {{ margin: 0; overflow-wrap: anywhere; }}
@container (max-width: 640px) {{
  .rnnref svg text {{ font-size: 24px; }}
  .rnnref .k ~ span {{ flex: 0 1 auto; }}
  .rnnref table:not(.gates) thead {{ display: none; }}
  .rnnref table:not(.gates) tr {{ display: grid; grid-template-columns: auto 1fr auto; padding: .4rem 0;
    border-bottom: 1px solid var(--line); }}
  .rnnref table:not(.gates) td {{ border: 0; padding: 0 .8rem 0 0; }} .rnnref td:empty {{ display: none; }}
  .rnnref .gates td, .rnnref .gates th {{ padding-right: .7rem; font-size: .8rem; }}
  .rnnref td.k {{ grid-area: 1 / 1 / 2 / 3; }} .rnnref td.v {{ grid-area: 1 / 3; padding: 0; }}
  .rnnref td.n {{ text-align: left; }} .rnnref td.n::before {{ content: attr(data-label) " "; color: var(--soft); }}
  .rnnref td.w {{ grid-column: 1 / 4; padding: 0; }}
  .rnnref details > .in {{ padding-left: .6rem; }}
  .rnnref dl {{ grid-template-columns: 1fr; gap: 0; }} .rnnref dd {{ margin: 0 0 .5rem; }}
}}
"""


def render_html(report: "Report") -> str:
    """The report as a page."""
    return (f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(report.title)}</title>\n<style>{_STYLE}body {{ margin: 0; }}\n</style>\n</head>\n"
            f'<body class="rnnref">\n<div>\n{_render_parts(report)}\n</div>\n</body>\n</html>\n')


def render_fragment(report: "Report") -> str:
    """The report as an element that a notebook can show among others."""
    return f'<div class="rnnref">\n<style>{_STYLE}</style>\n<div>\n{_render_parts(report)}\n</div>\n</div>'


def _render_parts(report: "Report") -> str:
    if report.sections:
        return "\n".join([_render_headline(report), _render_sections(report.sections), _render_facts(report.facts)])
    rows = report.rows
    gates, blocks = draw_gates(report.gates), _render_blocks(report.gates.gradients)
    results_differ = any(row.verdict == "differs" and row.group != "gradients" for row in rows)
    lines, title = draw_lines(rows), "Gradients, gate by gate"
    parts = [_render_headline(report), _render_findings(report),
             gates and f"<h2>{_title_gates(report.gates.rows)}</h2>\n{gates}",
             f"<h2>{title}</h2>\n{blocks}" if blocks and not results_differ else "",
             draw_histogram(rows) if is_long(rows) else "",
             "<h2>Error of the results</h2>" if lines and (gates or blocks and not results_differ) else "", lines,
             _render_groups(rows) if is_long(rows) else _render_rows(rows),
             _fold(title, "", blocks) if blocks and results_differ else "",
             _render_facts(report.facts), render_reproduction(report)]
    return "\n".join(filter(None, parts))


def _title_gates(rows: Sequence[Row]) -> str:
    return "Error of every gate" if all("gate " in row.name for row in rows) else "Error of each step by itself"


def _render_sections(sections: Mapping[str, "Report"]) -> str:
    """A folded part for every report of several; those that differ are shown first."""
    ordered = sorted(sections.items(), key=lambda item: not item[1].counts["differs"])
    return "\n".join(_render_section(name, section) for name, section in ordered)


def _render_section(name: str, report: "Report") -> str:
    label = f'<span class="k">{escape(name)}</span><span>{_render_tags(report.rows)}</span>'
    rows = _render_groups(report.rows) if is_long(report.rows) else _render_rows(report.rows)
    content = f"<p>{escape(report.headline)}</p>\n{_render_findings(report)}\n{rows}\n{_render_facts(report.facts)}"
    n = len(report.findings)
    return _fold(label, f"{n} finding{'s'[:n != 1]}", content)


def _render_blocks(blocks: Sequence[Row]) -> str:
    """A table of the errors of the gradients of parameters: a row for each array, a column for each gate."""
    if not blocks:
        return ""
    gates = list(dict.fromkeys(row.name for row in blocks))
    head = "".join(f'<th class="n">{escape(gate)}</th>' for gate in gates)
    body = []
    for group, rows in group_rows(blocks).items():
        own = {row.name: row for row in rows}
        cells = "".join(_render_block(own.get(gate)) for gate in gates)
        body.append(f'<tr><th scope="row">{escape(group)}</th>{cells}</tr>')
    lines = "\n".join(body)
    return ('<div class="wide"><table class="gates">\n'
            f"<thead><tr><th>gradient</th>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>\n"
            '<p class="note">The largest error in the block of each gate, relative to the largest entry of the array. '
            f"{MARKS['differs']}: beyond its budget.</p>")


def _render_block(row: Row | None) -> str:
    if row is None:
        return "<td></td>"
    return f'<td class="n {VERDICT_COLOURS[row.verdict]}">{MARKS[row.verdict]} {format_short(row.error)}</td>'


def _render_headline(report: "Report") -> str:
    verdict = find_verdict(report)
    mark = f'<span class="{VERDICT_COLOURS[verdict]}">{MARKS[verdict]}</span>'
    counts = f'\n<p class="sum">{_render_tags(report.rows)}</p>' if is_long(report.rows) else ""
    return f"<h1>{mark} {escape(report.headline)}</h1>{counts}"


def _render_tags(rows: list[Row]) -> str:
    return " ".join(f'<span class="tag {VERDICT_COLOURS[v]}">{MARKS[v]} {format_count(v, n)}</span>'
                    for v, n in count_verdicts(rows))


def _render_findings(report: "Report") -> str:
    if not report.findings:
        return ""
    items = "\n".join(f"<li>{escape(str(finding))}{getattr(finding, 'page', '')}</li>" for finding in report.findings)
    return f'<ol class="find {"good" if report.ok else "bad"}">\n{items}\n</ol>'


def _render_rows(rows: list[Row]) -> str:
    """A table of the rows that do not agree, then a folded one of those that do."""
    agree = [row for row in rows if row.verdict == "agrees"]
    rest = [row for row in rows if row.verdict != "agrees"]
    shown = f"<h2>{_render_tags(rest)}</h2>\n{_render_table(rest)}\n" if rest else ""
    return shown + (_fold(_render_tags(agree), _describe_largest(agree), _render_table(agree)) if agree else "")


def _render_groups(rows: list[Row]) -> str:
    """A folded table for every group, those that do not agree throughout first."""
    groups = group_rows(rows)
    differing = {name: group for name, group in groups.items() if any(row.verdict != "agrees" for row in group)}
    agreeing = "\n".join(_render_group(name, group) for name, group in groups.items() if name not in differing)
    unfolded = len(differing) <= _MAX_UNFOLDED
    shown = "\n".join(_render_group(name, group, unfolded) for name, group in differing.items())
    head = f"<h2>Groups with rows that do not agree: {len(differing)}</h2>\n{shown}\n" if differing else ""
    if not agreeing:
        return head
    n = len(groups) - len(differing)
    label = f'{MARKS["agrees"]} {n} group{"s"[:n > 1]} agree{"s"[:n == 1]}'
    return head + _fold(f'<span class="tag good">{label}</span>', "", agreeing)


def _render_group(name: str, rows: list[Row], unfolded: bool = False) -> str:
    label = f'<span class="k">{escape(name or "others")}</span><span>{_render_tags(rows)}</span>'
    return _fold(label, _describe_largest(rows), _render_table(rows), unfolded)


def _describe_largest(rows: list[Row]) -> str:
    ratios = [row.ratio for row in rows if row.error is not None]
    return f"largest error: {max(ratios):.2g} × budget" if ratios else ""


def _fold(label: str, remark: str, content: str, unfolded: bool = False) -> str:
    return (f'<details{" open" if unfolded else ""}><summary>{label}<span class="r">{remark}</span></summary>\n'
            f'<div class="in">{content}</div></details>')


def _render_table(rows: list[Row]) -> str:
    head = ('<tr><th>name</th><th class="n">error</th><th class="n">budget</th><th>verdict</th>'
            '<th>first divergence, notes</th></tr>')
    return f'<table>\n<thead>{head}</thead>\n<tbody>\n{"".join(map(_render_row, rows))}</tbody></table>'


def _render_row(row: Row) -> str:
    return (f'<tr><td class="k">{escape(row.name)}</td>'
            f'<td class="n" data-label="error">{format_number(row.error)}</td>'
            f'<td class="n" data-label="budget">{format_number(row.budget)}</td>'
            f'<td class="v {VERDICT_COLOURS[row.verdict]}">{MARKS[row.verdict]} {row.verdict}</td>'
            f'<td class="w">{escape(join_details(row))}</td></tr>\n')


def _render_facts(facts: dict[str, Any]) -> str:
    if not facts:
        return ""
    unbroken = {k: _SHAPE.sub(lambda shape: shape[0].replace(" ", "\u00a0"), str(v)) for k, v in facts.items()}
    items = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(v)}</dd>\n" for k, v in unbroken.items())
    return f"<h2>How this was measured</h2>\n<dl>\n{items}</dl>"
