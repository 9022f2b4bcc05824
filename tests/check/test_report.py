"""Reports: verdicts, text, JSON, and an HTML page that needs nothing else."""
import json
import re
from html.parser import HTMLParser
from math import inf, nan

import pytest

from rnnref import Error
from rnnref.check import Report, Row, VerificationError

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
    bad, bad_limit, good, good_limit = points(text)
    assert [x for x, _ in good] == sorted(x for x, _ in good) and len(good) == 3 and len(bad) == 2
    assert bad[1][1] < bad_limit[0][1] < bad[0][1]          # up the page is more: below the budget, then above it
    assert all(y > good_limit[0][1] for _, y in good)
    assert text.count("×</text>") == 1                      # where it is not a number


def test_picture_draws_a_budget_that_changes_and_ends():
    row = GOOD._replace(trace=[1e-8, 1e-7, 1.0], limits=[1e-7, 1e-5, None])
    line, limit = points(Report("title", [row]).to_html())
    assert len(line) == 3 and len(limit) == 2 and limit[1][1] < limit[0][1]


def test_histogram_counts_every_row():
    text = Report("title", long()).to_html()
    counts = [int(n) for n in re.findall(r"<title>(\d+) (?:agree|differ)", text)]
    assert sum(counts) == 650
