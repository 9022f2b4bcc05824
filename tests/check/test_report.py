"""Reports: verdicts, text, JSON, and an HTML page that needs nothing else."""
import base64
import io
import json
import re
from html.parser import HTMLParser
from math import inf, nan
from xml.etree import ElementTree

import numpy as np
import pytest

import rnnref
from rnnref import Error
from rnnref.check import Report, Row, VerificationError
from rnnref.check.verdict import Verdict

GOOD = Row("y", "outputs", 2e-8, 1e-6, trace=[1e-8, 2e-8, 0.0])
BAD = Row("dW_ih_l0", "gradients", 0.5, 1e-6, "differs", "gate f, unit 3", "only in gate f", trace=[1e-8, 0.5, nan])
REFUSED = Row("the call", "outputs", verdict="refused", note="ValueError: no <such> option & more")
OPEN = Row("h_n", "states", verdict="not comparable", note="rounding alone moves it by as much")


def long(groups=130, each=5):
    """As many rows as the survey of an engine has."""
    return [Row(f"group {g} case {k}", f"group {g}", 0.3 if g % 9 == k == 0 else 1e-7, 1e-6,
                "differs" if g % 9 == k == 0 else "agrees") for g in range(groups) for k in range(each)]


class Page(HTMLParser):
    """The tags, attributes and text of a page; fails on a tag that is closed out of turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "line", "rect", "polyline", "circle") or tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize("rows, ok", [
    ([GOOD], True), ([GOOD, OPEN], True), ([OPEN], False), ([], False), ([GOOD, BAD], False), ([GOOD, REFUSED], False)])
def test_ok_means_that_something_agreed_and_nothing_failed(rows, ok):
    report = Report("title", rows)
    assert report.ok == ok
    if ok:
        assert report.raise_if_failed() is report
    else:
        with pytest.raises(VerificationError):
            report.raise_if_failed()


def test_a_report_is_true_if_it_is_ok():
    assert Report("title", [GOOD]) and not Report("title", [GOOD, BAD]) and not Report("title")


@pytest.mark.parametrize("rows, sentence", [
    ([GOOD] * 3, "lstm agrees with the reference to rounding in all 3 arrays."),
    ([GOOD], "lstm agrees with the reference to rounding in the one array that was compared."),
    ([GOOD, OPEN], "lstm agrees with the reference to rounding in 1 of 2 arrays; 1 is not comparable."),
    ([GOOD, BAD, REFUSED], "lstm differs from the reference in 1 of 3 arrays."),
    ([GOOD, REFUSED], "lstm could not be compared completely: 1 of 2 refused."),
    ([OPEN], "No verdict on lstm: nothing is comparable."),
    ([], "No verdict on lstm: nothing was compared.")])
def test_the_verdict_is_one_sentence_with_which_text_page_and_picture_begin(rows, sentence):
    report = Report("lstm", rows)
    assert report.headline == sentence == str(report).splitlines()[0]
    first_heading = re.search(r"<h1>.*?</span> (.*?)</h1>", report.to_html())
    assert first_heading.group(1) == sentence and f'aria-label="{sentence}"' in report.to_svg()


def test_reprs_are_short():
    assert repr(Report("lstm", [GOOD, BAD])) == "<Report lstm: 1 differs, 1 agrees>"
    assert repr(GOOD) == "<Row y agrees: error 2.0e-08, budget 1.0e-06>"
    assert repr(BAD) == "<Row dW_ih_l0 differs: error 5.0e-01, budget 1.0e-06 (gate f, unit 3; only in gate f)>"
    assert repr(Verdict("y", GOOD, exceeds=[False] * 1000)) == "<Verdict y agrees: error 2.0e-08, budget 1.0e-06>"


def test_error_says_what_is_wrong():
    report = Report("lstm", [GOOD, REFUSED, BAD], findings=["The way back is at fault."])
    with pytest.raises(AssertionError) as e:
        report.raise_if_failed()
    assert isinstance(e.value, Error)
    for words in ("lstm: 1 differs, 1 refused, 1 agrees", "The way back is at fault.",
                  "dW_ih_l0 differs: error 5.0e-01, budget 1.0e-06 (gate f, unit 3; only in gate f)",
                  "the call refused (ValueError: no <such> option & more)"):
        assert words in str(e.value)


def test_ratio():
    assert GOOD.ratio == pytest.approx(0.02)
    assert [Row("", error=e, budget=b).ratio for e, b in ((nan, 1.0), (inf, 1.0), (0.0, 0.0), (1.0, 0.0), (None, None))
            ] == [inf, inf, 0.0, inf, 0.0]


def test_text_is_aligned_and_begins_with_findings():
    text = str(Report("title", [GOOD, BAD], {"seed": 3, "dtype": "float32"}, ["One sentence."])).splitlines()
    assert text[:3] == ["title differs from the reference in 1 of 2 arrays.", "  * One sentence.", ""]
    head, first, second = text[3:6]
    for column in ("error", "budget", "verdict"):
        start = head.index(column)
        assert first[start - 1] == second[start - 1] == " " != first[start] and second[start] != " "
    assert "XX differs" in second and text[-1].split() == ["dtype", "float32"]


def test_long_text_sums_groups_up():
    text = str(Report("title", long()))
    assert len(text.splitlines()) < 160
    assert "group 9 case 0" in text and "group 9 case 1" not in text


def test_json_holds_everything_and_is_json(tmp_path):
    report = Report("title", [GOOD, BAD, Row("z", error=inf, budget=1.0, verdict="differs")],
                    {"shape": (1, 2), "of": object}, ["One."])
    text = report.to_json(tmp_path / "report.json")
    assert (tmp_path / "report.json").read_text() == text

    def odd(word):
        raise AssertionError(f"{word} is not JSON")
    got = json.loads(text, parse_constant=odd)
    assert got == report.to_dict()
    assert got["counts"] == {"differs": 2, "refused": 0, "not comparable": 0, "agrees": 1} and not got["ok"]
    assert got["rows"][0]["trace"] == [1e-8, 2e-8, 0.0] and got["rows"][1]["trace"][2] == "nan"
    assert got["rows"][2]["error"] == "inf" and got["facts"]["shape"] == [1, 2]


@pytest.mark.parametrize("rows", [[GOOD, BAD, REFUSED, OPEN], [], long()])
def test_page_is_self_contained(rows, tmp_path):
    report = Report("a <title> & more", rows, {"seed": 0}, ["A finding with <angles>."])
    text = report.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not [a for a in page.attributes if a[0] in ("src", "href") or a[0].startswith("on")]
    assert "url(" not in text and "@import" not in text and "http" not in text
    words = " ".join(page.words)
    assert "a <title> & more" in words and "A finding with <angles>." in words
    for row in rows[:4]:
        assert row.name in words and row.verdict in words


def test_a_notebook_shows_the_page_without_styling_what_is_around_it():
    report = Report("a <title>", [GOOD, BAD], {"seed": 0}, ["A finding."])
    text = report._repr_html_()
    page = Page(text)
    assert page.tags[0] == "div" and not {"html", "body", "head"} & set(page.tags)
    assert text.partition("<h1>")[2].partition("</div>\n</div>")[0] in report.to_html()
    style = re.sub(r"@[^{]*", "", text.partition("<style>")[2].partition("</style>")[0])
    selectors = [one.strip() for chosen in re.findall(r"([^{}]+)\{", style) for one in chosen.split(",") if one.strip()]
    assert selectors and all(one.startswith((".rnnref", "h2)")) for one in selectors)


def test_page_folds_rows_that_agree():
    page = Report("title", [GOOD, BAD, OPEN]).to_html()
    shown, folded = page.split("<details>")
    assert "dW_ih_l0</td>" in shown and "h_n</td>" in shown and "y</td>" not in shown
    assert "y</td>" in folded and "✓ 1 agrees" in folded and "dW_ih_l0</td>" not in folded


def test_page_tells_verdicts_without_colour():
    text = Report("title", [GOOD, BAD, REFUSED, OPEN]).to_html()
    for mark in ("✓ agrees", "✗ differs", "⊘ refused", "~ not comparable"):
        assert mark in text


def test_page_folds_many_groups_and_those_that_depart_come_first():
    text = Report("title", long()).to_html()
    assert text.count("<details") == 131                    # every group, and one around those that agree throughout
    assert text.index("group 126 case 4") < text.index("✓ 115 groups agree") < text.index("group 1 case 0")
    order = re.findall(r'<span class="k">group (\d+)</span>', text)
    assert order[:3] == ["0", "9", "18"] and order[15:18] == ["1", "2", "3"]


def points(text):
    return [[tuple(map(float, point.split(","))) for point in line.split()]
            for line in re.findall(r'polyline points="([^"]+)"', text)]


def test_picture_of_the_error_over_time():
    text = Report("title", [GOOD, BAD]).to_html()
    good, good_limit, bad, bad_limit = points(text)
    assert [x for x, _ in good] == sorted(x for x, _ in good) and len(good) == 3 and len(bad) == 2
    assert bad[1][1] < bad_limit[0][1] < bad[0][1]          # up the page is more: below the budget, then above it
    assert all(y > good_limit[0][1] for _, y in good)
    assert text.count("×</text>") == 1                      # where it is not a number


def test_picture_draws_a_budget_that_changes_and_ends():
    row = GOOD._replace(trace=[1e-8, 1e-7, 1.0], limits=[1e-7, 1e-5, None])
    line, limit = points(Report("title", [row]).to_html())
    assert len(line) == 3 and len(limit) == 2 and limit[1][1] < limit[0][1]


def test_numbers_at_the_ends_of_lines_do_not_overlap():
    rows = [GOOD._replace(name=f"y{k}", trace=[1e-8, 1e-7 * (1 + k / 100)]) for k in range(6)]
    text = Report("title", rows).to_html()
    ends = sorted(float(y) for y in re.findall(r'y="([\d.]+)" style="fill: var\(--c\d\)">\d</text>', text))
    assert len(ends) == 6 and min(b - a for a, b in zip(ends, ends[1:])) >= 24 and 0 < ends[0] < ends[-1] < 310


def test_picture_of_a_report_holds_verdict_findings_chart_and_rows(tmp_path):
    rows = [GOOD._replace(name=f"y{k}") for k in range(6)] + [BAD, REFUSED]
    report = Report("a <title>", rows, findings=["A finding with <angles> " + "that is long " * 10 + "and ends."])
    text = report.to_svg(tmp_path / "report.svg")
    assert (tmp_path / "report.svg").read_text(encoding="utf-8") == text
    elements = ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}text")
    words = " ".join(element.text or "" for element in elements)
    for part in (report.headline, str(report.findings[0]).split(" and ")[0], "✗ differs", "⊘ refused", "3 more agree",
                 "error of dW_ih_l0 (differs)", "timestep"):
        assert part in words, part
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "") and "prefers-color-scheme: dark" in text


def test_histogram_counts_every_row():
    text = Report("title", long()).to_html()
    counts = [int(n) for n in re.findall(r"<title>(\d+) (?:agree|differ)", text)]
    assert sum(counts) == 650


def test_a_check_is_reproduced_from_its_arrays(tmp_path):
    cell = rnnref.cells.LSTM()
    p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))

    def candidate(x, p, lengths, initial_state):
        return rnnref.run(cell, p | {"b": p["b"] + np.float32(0.1)}, x, initial_state, lengths=lengths)[0]
    first = rnnref.verify(candidate, (6, 2, 3), lengths=[6, 2], reference=cell, p=p)
    lines = first.save_arrays(tmp_path / "case.npz").splitlines()
    assert len(lines) == 3
    names = {"numpy": np, "rnnref": rnnref, "candidate": candidate, "cell": cell, "p": p}
    exec("\n".join(lines[:2]), names)
    again = {row.name: row for row in names["report"].rows}["y"]
    assert (again.error, again.where, again.note) == (first.rows[0].error, first.rows[0].where, first.rows[0].note)
    page = first.to_html()
    data = base64.b64decode(re.search(r'download="case.npz" href="data:[^,]*,([^"]*)"', page)[1])
    held = np.load(io.BytesIO(data))
    assert set(held) == {"x", "h0", "c0", "W", "R", "b", "lengths"} and np.array_equal(held["W"], p["W"])
    assert "How to reproduce" in page and "numpy.load" in page
    with pytest.raises(Error, match="holds no arrays"):
        Report("by hand", []).save_arrays(tmp_path / "none.npz")


def test_the_first_divergence_is_marked_where_it_is():
    steps = [1e-8] * 3 + [0.1] * 5
    row = Row("y", "outputs", 0.1, 1e-6, "differs", "t=3, row 0, unit 1", trace=steps)
    assert ">t=3</text>" in Report("one", [row]).to_html()
    assert ">t=3</text>" in Report("one", [row]).to_svg()
    assert "first divergence</text>" not in Report("one", [row._replace(verdict="agrees", where="")]).to_html()
