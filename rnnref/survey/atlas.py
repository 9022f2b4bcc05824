"""An atlas of disagreements: the surveys of several engines, in one report."""
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap

from ..check.junit import Suite
from ..check.report import Report, format_table
from .cases import OPS
from .examples import Finding, SurveyReport, describe_reproduction
from .findings import join_words
from .frameworks import ENGINES, check_engine, find_missing_packages, list_installed, survey_framework
from .processes import LIMIT
from .search import Watch

_WIDTH = 80


@dataclass(repr=False)
class Atlas(SurveyReport):
    """A report on several engines; `surveys` has the report of each by its name."""
    surveys: Mapping[str, SurveyReport] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)

    @property
    def sections(self) -> Mapping[str, Report]:
        """The reports of the engines."""
        return self.surveys

    def list_suites(self) -> list[Suite]:
        """What `to_junit` writes: a suite for every engine, with a test for every group of cases."""
        return [suite._replace(name=name) for name, survey in self.surveys.items() for suite in survey.list_suites()]

    @property
    def headline(self) -> str:
        """Which engines are right wherever they could be compared, and which depart, in one sentence."""
        right = [name for name, s in self.surveys.items() if not s.counts["differs"] and s.counts["agrees"]]
        wrong = [name for name, survey in self.surveys.items() if survey.counts["differs"]]
        rest = [name for name in self.surveys if name not in right + wrong]
        parts = [f"{join_words(names, 'and')} {words}" for names, words in (
            (right, f"{_agree('is', right)} right in every case that could be compared"),
            (wrong, f"{_agree('departs', wrong)} from the reference"), (rest, "could not be compared")) if names]
        return f"{'; '.join(parts)}." if parts else "No engine is installed that a survey knows."

    @property
    def absent(self) -> str:
        """One line on the engines that are not installed, with how to install them; or ""."""
        packages = list(dict.fromkeys(p for needed in self.missing.values() for p in needed))
        return (f"Not installed: {', '.join(self.missing)} (pip install {' '.join(packages)})." if self.missing else "")

    def __str__(self) -> str:
        return "\n".join(self._render())

    def _render(self) -> Iterator[str]:
        yield from wrap(self.headline, _WIDTH, break_on_hyphens=False)
        yield from wrap(self.absent, _WIDTH, break_on_hyphens=False)
        lines = [[name, str(len(s.rows)), *(str(s.counts[v] or "") for v in ("agrees", "differs", "refused")),
                  str(sum(_is_departure(f) for f in s.findings) or "")] for name, s in self.surveys.items()]
        head = ["engine", "compared", "ok agree", "XX differ", "-- refused", "departures"]
        yield from ("", *format_table(head, lines))
        for name, survey in self.surveys.items():
            found = [f for f in survey.findings if _is_departure(f)]
            if found:
                yield from ("", *wrap(survey.headline, _WIDTH, break_on_hyphens=False))
            for n, finding in enumerate(found, 1):
                yield from wrap(str(finding), _WIDTH, initial_indent=f"  {n:>2}  ", subsequent_indent=" " * 6)
        yield from describe_reproduction(self)
        yield from ("", "`rnnref survey ENGINE` prints all that was found about one engine.")

    def to_dict(self) -> dict:
        """The report as a dict of JSON types, with the report of every engine."""
        return super().to_dict() | {"headline": self.headline, "missing": self.missing,
                                    "engines": {name: survey.to_dict() for name, survey in self.surveys.items()}}


def _agree(verb: str, names: list[str]) -> str:
    """The verb for one or several."""
    return verb if len(names) == 1 else {"is": "are", "departs": "depart"}[verb]


def _is_departure(finding: Finding) -> bool:
    return finding.details["kind"] != "refuses"


def survey_engines(names: Sequence[str] = (), ops: Sequence[str] = OPS, seed: int = 0, progress: Watch | None = None,
                   limit: float = LIMIT) -> Atlas:
    """The `Atlas` of some engines by names that `survey_framework` takes; of all that are installed without names.

    Each runs in a process of its own, for `limit` seconds at most: one that fails is a row "refused".

    Errors   NotSupported: no engine has this name; MissingExtra: a package is not installed; before any has run
    """
    chosen = list(dict.fromkeys(check_engine(name) for name in names)) if names else list_installed()
    missing = {} if names else {name: find_missing_packages(name) for name in ENGINES if name not in chosen}
    surveys = {name: survey_framework(name, ops, seed, progress, True, limit) for name in chosen}
    rows = [row._replace(group=f"{name}: {row.group}") for name, survey in surveys.items() for row in survey.rows]
    findings = [finding for survey in surveys.values() for finding in survey.findings]
    from .. import __version__
    facts = {name: ", ".join(f"{key} {value}" for key, value in list(survey.facts.items())[:1])
             for name, survey in surveys.items()}
    return Atlas("An atlas of disagreements", rows, facts | {"seed": seed, "rnnref": __version__}, findings,
                 surveys=surveys, missing=missing)
