"""Reports as JUnit XML, which services for continuous integration read; as Ant's schema has it."""
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

from .row import VERDICTS, Row, format_number, join_details

if TYPE_CHECKING:
    from .report import Report

_MOST_LINES = 20                                  # rows that the text of a failure lists


class Test(NamedTuple):
    """Some rows under one name: a failure if one of them differs, skipped if one was not compared."""
    name: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()                     # what was found out about them
    error: str = ""                               # why there was no comparison, if something broke


class Suite(NamedTuple):
    """Tests that belong together."""
    name: str
    tests: Sequence[Test]
    properties: dict
    output: str = ""


def render_junit(report: "Report") -> str:
    """The suites of a report as XML."""
    root, now = ElementTree.Element("testsuites"), datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    for k, suite in enumerate(report.list_suites()):
        verdicts = [_find_verdict(test) for test in suite.tests]
        counts = {word: str(sum(v in found for v in verdicts)) for word, found in (
            ("failures", ("differs",)), ("errors", ("error",)), ("skipped", ("refused", "not comparable")))}
        element = ElementTree.SubElement(root, "testsuite", {
            "name": _make_token(suite.name), "package": "rnnref", "id": str(k), "timestamp": now,
            "hostname": _make_token(platform.node()), "tests": str(len(verdicts)), "time": "0", **counts})
        properties = ElementTree.SubElement(element, "properties")
        for name, value in suite.properties.items():
            ElementTree.SubElement(properties, "property", name=_make_token(str(name)), value=_clean(str(value)))
        for test, verdict in zip(suite.tests, verdicts):
            _add_test(element, suite.name, test, verdict)
        for name, text in (("system-out", suite.output), ("system-err", "")):
            ElementTree.SubElement(element, name).text = _clean(text)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _find_verdict(test: Test) -> str:
    """"error", or the most serious verdict of its rows."""
    return "error" if test.error else min((row.verdict for row in test.rows), key=VERDICTS.index, default="refused")


def _add_test(suite: ElementTree.Element, name: str, test: Test, verdict: str) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=_make_token(name), name=_make_token(test.name), time="0")
    rows = [row for row in test.rows if row.verdict == verdict]
    single = len(test.rows) == 1
    lines = [join_details(row) if single else f"{row.name}: {join_details(row)}" for row in rows]
    if verdict == "error":
        ElementTree.SubElement(case, "error", type="error", message=_clean(test.error)).text = _clean(test.error)
    elif verdict == "differs":
        worst = max(rows, key=lambda row: row.ratio)
        parts = [] if single else [f"{len(rows)} of {len(test.rows)} differ"]
        parts += [f"{word} {format_number(a)}" for word, a in (("error", worst.error), ("budget", worst.budget))
                  if a is not None]
        if len(lines) > _MOST_LINES:
            lines[_MOST_LINES:] = [f"... and {len(lines) - _MOST_LINES} more"]
        failure = ElementTree.SubElement(case, "failure", type="differs",
                                         message=_clean(", ".join(parts) or lines[0] or "differs"))
        failure.text = _clean("\n".join([*lines, *map(str, test.notes)]))
    elif verdict != "agrees":
        message = ": ".join(filter(None, (verdict, join_details(rows[0]) if rows else "")))
        ElementTree.SubElement(case, "skipped", message=_clean(message))


def _make_token(text: str) -> str:
    """The text without line breaks and repeated spaces; never empty."""
    return " ".join(_clean(text).split()) or "-"


def _clean(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return "".join(c for c in text if c in "\t\n\r" or " " <= c < "\ud800" or "\udfff" < c < "\ufffe" or c > "\uffff")
