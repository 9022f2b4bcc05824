"""A report as one HTML page: no script, nothing loaded from elsewhere, legible in light, dark and without colour.

(floor 10)
"""
from html import escape

from .row import count_verdicts, format_count, group_rows, is_long
from .svg import draw_histogram, draw_lines

_MARKS = {"agrees": "✓", "differs": "✗", "refused": "⊘", "not comparable": "~"}
_KINDS = {"agrees": "good", "differs": "bad", "refused": "none", "not comparable": "open"}

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6575; --line: #d9dee6; --paper: #fff; --wash: #f5f7fa;
  --good: #1a7f4b; --bad: #c02626; --none: #8a5a00; --open: #5a4fb0; --c0: #2563c9; --c1: #d9730d; --c2: #0f8a7e;
  --c3: #a23bb5; --c4: #6b7280; --c5: #b5304f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ef; --soft: #9aa5b5; --line: #343c4a; --paper: #14181f;
  --wash: #1c222c; --good: #4cc98a; --bad: #ff7b72; --none: #e0a840; --open: #a79cf0; --c0: #6ea8ff; --c1: #ffa657;
  --c2: #4fd1c5; --c3: #d68ae8; --c4: #a0a8b4; --c5: #ff8fa6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.45rem; line-height: 1.25; margin: 0 0 .35rem; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
.sum { margin: 0 0 1.2rem; color: var(--soft); }
.sum b { color: var(--ink); }
.find { margin: 0; padding: .8rem 1rem .8rem 2rem; background: var(--wash); border-left: 4px solid var(--soft);
  border-radius: 4px; overflow-wrap: anywhere; }
.find.bad { border-color: var(--bad); } .find.good { border-color: var(--good); }
.find li + li { margin-top: .35rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: .82rem; }
th, td { padding: .28rem .7rem .28rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.v, th.v { white-space: nowrap; padding-left: .8rem; }
th.v { color: var(--soft); } td.w { color: var(--soft); min-width: 12rem; }
td.k { overflow-wrap: anywhere; min-width: 11rem; }
.v, .tag { font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); } .none { color: var(--none); } .open { color: var(--open); }
ol.find.good, ol.find.bad { color: inherit; }
details { border-bottom: 1px solid var(--line); }
summary { padding: .35rem 0; cursor: pointer; display: grid; gap: .25rem 1rem; align-items: baseline;
  grid-template-columns: 1rem minmax(10rem, 2fr) 4.5rem minmax(11rem, 1.5fr) 12rem; }
summary::-webkit-details-marker { display: none; }
summary::before { content: "▸"; color: var(--soft); } details[open] > summary::before { content: "▾"; }
summary:hover { background: var(--wash); }
summary .r { text-align: right; color: var(--soft); font-variant-numeric: tabular-nums; white-space: nowrap; }
details > .in { padding: 0 0 .8rem 1.2rem; }
figure { margin: 1.4rem 0 0; } figcaption { color: var(--soft); font-size: .88rem; margin-top: .3rem; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.2rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 640px) { summary { grid-template-columns: 1.2rem 1fr auto; } summary .r { display: none; } }
@media print { details > .in { display: block; } }
"""


def render_html(report):
    """The whole page."""
    parts = [f"<h1>{escape(report.title)}</h1>", _render_summary(report), _render_findings(report),
             draw_histogram(report.rows) if is_long(report.rows) else "", draw_lines(report.rows), _render_body(report.rows),
             _render_facts(report.facts)]
    return (f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(report.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
            + "\n".join(filter(None, parts)) + "\n</body>\n</html>\n")


def _render_summary(report):
    return f'<p class="sum"><b>{len(report.rows)} compared:</b> {_render_tags(report.rows) or "nothing"}</p>'


def _render_tags(rows):
    return " &nbsp; ".join(f'<span class="tag {_KINDS[v]}">{_MARKS[v]} {format_count(v, n)}</span>' for v, n in count_verdicts(rows))


def _render_findings(report):
    if not report.findings:
        return ""
    items = "\n".join(f"<li>{escape(str(finding))}</li>" for finding in report.findings)
    return f'<ol class="find {"good" if report.ok else "bad"}">\n{items}\n</ol>'


def _render_body(rows):
    if not is_long(rows):
        return f"<h2>Compared</h2>\n{_render_table(rows)}" if rows else ""
    grouped = group_rows(rows)
    apart = {name: of for name, of in grouped.items() if any(row.verdict != "agrees" for row in of)}
    rest = {name: of for name, of in grouped.items() if name not in apart}
    return _render_section("Groups that do not agree throughout", apart, len(apart) <= 3) + _render_section("Groups that agree", rest)


def _render_section(title, grouped, unfolded=False):
    if not grouped:
        return ""
    return f"<h2>{title}: {len(grouped)}</h2>\n" + "\n".join(
        _render_group(name, rows, unfolded) for name, rows in grouped.items())


def _render_group(name, rows, unfolded):
    compared = [row.ratio for row in rows if row.error is not None]
    worst = f"worst {max(compared):.2g} × budget" if compared else ""
    return (f'<details{" open" if unfolded else ""}><summary><span class="k">{escape(name or "others")}</span>'
            f'<span class="r">{len(rows)} rows</span><span>{_render_tags(rows)}</span>'
            f'<span class="r">{worst}</span></summary>\n<div class="in">{_render_table(rows)}</div></details>')


def _render_table(rows):
    head = ('<tr><th>name</th><th class="n">error</th><th class="n">budget</th><th class="v">verdict</th>'
            '<th>first divergence, notes</th></tr>')
    return (f'<div class="scroll"><table>\n<thead>{head}</thead>\n'
            f'<tbody>\n{"".join(map(_render_row, rows))}</tbody></table></div>')


def _render_row(row):
    said = "; ".join(filter(None, (row.where, row.note)))
    return (f'<tr><td class="k">{escape(row.name)}</td><td class="n">{_format_number(row.error)}</td>'
            f'<td class="n">{_format_number(row.budget)}</td>'
            f'<td class="v {_KINDS[row.verdict]}">{_MARKS[row.verdict]} {row.verdict}</td>'
            f'<td class="w">{escape(said)}</td></tr>\n')


def _render_facts(facts):
    if not facts:
        return ""
    items = "".join(f"<dt>{escape(str(k))}</dt><dd>{escape(str(v))}</dd>\n" for k, v in facts.items())
    return f"<h2>How this was measured</h2>\n<dl>\n{items}</dl>"


def _format_number(a):
    return "" if a is None else f"{a:.1e}"
