"""Reports as JUnit XML, which services for continuous integration read: a test for every row."""
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from .row import Row, format_number, group_rows, join_details

if TYPE_CHECKING:
    from .report import Report


def render_junit(report: "Report") -> str:
    """The report as XML: a suite for every group; what differs is a failure, what was not compared is skipped."""
    counts = report.counts
    root = ElementTree.Element("testsuites", name=_clean(report.title), tests=str(len(report.rows)),
                               failures=str(counts["differs"]), errors="0",
                               skipped=str(counts["refused"] + counts["not comparable"]))
    for group, rows in group_rows(report.rows).items():
        wrong = sum(row.verdict == "differs" for row in rows)
        open_ = sum(row.verdict in ("refused", "not comparable") for row in rows)
        suite = ElementTree.SubElement(root, "testsuite", name=_clean(group or report.title), tests=str(len(rows)),
                                       failures=str(wrong), errors="0", skipped=str(open_))
        for row in rows:
            _add_row(suite, group or report.title, row)
    if len(root):
        output = ElementTree.SubElement(root[0], "system-out")
        output.text = _clean("\n".join([report.headline, *map(str, report.findings)]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_row(suite: ElementTree.Element, group: str, row: Row) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=_clean(group), name=_clean(row.name), time="0")
    details = _clean(join_details(row))
    if row.verdict == "differs":
        sizes = [f"{word} {format_number(a)}" for word, a in (("error", row.error), ("budget", row.budget))
                 if a is not None]
        message = ", ".join(sizes) or details or "differs"
        ElementTree.SubElement(case, "failure", type="differs", message=message).text = details
    elif row.verdict != "agrees":
        ElementTree.SubElement(case, "skipped", message=": ".join(filter(None, (row.verdict, details))))


def _clean(text: str) -> str:
    """The text without characters that XML cannot hold."""
    return "".join(c for c in text if c in "\t\n\r" or " " <= c < "\ud800" or "\udfff" < c < "\ufffe" or c > "\uffff")
