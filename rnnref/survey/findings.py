"""The findings of a survey as sentences: departures, unexplained differences, refusals and ignored options."""
from collections import Counter
from importlib.util import find_spec
from typing import Iterator, Sequence

import numpy as np

from ..errors import import_optional, with_article
from ..onnx.attributes import FUNCTIONS
from .cases import ALPHA, Case, Outputs
from .examples import Finding
from .probe import Engine, Sensitivity, explain_refusal
from .search import Result, Truth
from .specification import OMITTED_SCALES, Clause, describe_use, find_clause

Groups = dict[str, list[Result]]                  # results by group, those that differ first
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MOST_CONDITIONS = 4                              # in the headline


# the headline

def write_headline(subject: str, ops: Sequence[str], findings: Sequence[Finding], counts: dict[str, int]) -> str:
    """The verdict in one sentence: whether the subject is right, and who is affected where it is not.

    >>> departs = Finding("...", "departs", ["LSTM clip"], condition="sets clip")
    >>> write_headline("onnxruntime's GRU and LSTM", ["GRU", "LSTM"], [departs], {"agrees": 1, "differs": 1})
    "onnxruntime's GRU and LSTM are right except in one case; you are affected if an LSTM sets clip."
    """
    known = [f for f in findings if f.details["kind"] in ("departs", "ignores")]
    unknown = [f for f in findings if f.details["kind"] == "unexplained"]
    are = "is" if len(ops) == 1 else "are"
    if not counts["agrees"] + counts["differs"]:
        return f"{subject} could not be compared with the reference."
    if not known and not unknown:
        return f"{subject} {are} right in every case that could be compared."
    where = " and ".join([f"{_spell(len(known))} {'case' if len(known) == 1 else 'cases'}"] * bool(known)
                         + [f"{count(len(unknown), 'group')} of options without a known reason"] * bool(unknown))
    conditions = list(dict.fromkeys(_name_affected(finding, ops) for finding in known))
    if len(conditions) > _MOST_CONDITIONS:
        conditions[_MOST_CONDITIONS - 1:] = [f"one of {len(conditions) - _MOST_CONDITIONS + 1} more findings applies"]
    affected = f"; you are affected {join_words([f'if {c}' for c in conditions], ', or')}" if conditions else ""
    if not counts["agrees"]:
        return f"{subject} {are} wrong in every case that could be compared{affected}."
    return f"{subject} {are} right except in {where}{affected}."


def write_refusals(engine: str, findings: Sequence[Finding]) -> str:
    """One sentence on what the engine refuses, or ""."""
    topics = [str(f.details["topic"]) for f in findings if f.details["kind"] == "refuses"]
    return f"{engine} refuses, with an error: {'; '.join(topics)}." if topics else ""


def _name_affected(finding: Finding, ops: Sequence[str]) -> str:
    """"a node has P", or "an LSTM sets clip" where it concerns some of the operators."""
    affected = _list_operators(finding.details["groups"])
    articles = [with_article(op) for op in affected]
    nodes = "a node" if len(affected) == len(ops) > 1 else join_words(articles, "or")
    condition = finding.details["condition"]
    return f"{nodes} {condition}" if condition else f"you use {nodes}"


def _spell(n: int) -> str:
    return _COUNTS[n] if n < len(_COUNTS) else str(n)


def join_words(words: Sequence[str], conjunction: str) -> str:
    """"a, b and c"; with the conjunction ", and" "a, b, and c" of three or more."""
    *first, last = words
    conjunction = conjunction if len(first) > 1 and conjunction[0] == "," else f" {conjunction.lstrip(', ')}"
    return f"{', '.join(first)}{conjunction} {last}" if first else last


# departures

def find_departures(engine: str, by_group: Groups) -> Iterator[Finding]:
    """One finding for each cause, those that explain most groups first."""
    found: dict[str, list[Result]] = {}
    for result in (r for results in by_group.values() for r in results):
        for cause in result.causes:
            found.setdefault(cause, []).append(result)
    for cause, differ in sorted(found.items(), key=lambda item: -len(_list_groups(item[1]))):
        groups = _list_groups(differ)
        cases = sum(len(by_group[group]) for group in groups)
        alone = [r for r in differ if len(r.causes) == 1]
        partners = sorted({_write_phrase(other) for r in differ for other in r.causes if other != cause})
        clause = find_clause(cause)
        sentence = _write_sentence(engine, cause, clause, differ, groups, cases, alone, partners)
        yield Finding(sentence, "departs", groups, fault=shorten_key(cause), cause=cause,
                      quote=clause.quote if clause else "", differ=len(differ), cases=cases,
                      largest=_largest_error(alone or differ), condition=_write_condition(clause, differ),
                      ).add_case((alone or differ)[0])


def shorten_key(cause: str) -> str:
    """The key of a cause in a survey: that of its clause, or the words of the table."""
    clause = find_clause(cause)
    return clause.key if clause else cause


def _write_phrase(cause: str) -> str:
    """What an engine does, after "it"."""
    clause = find_clause(cause)
    return clause.phrase if clause else f"agrees only once {cause}"


def _write_condition(clause: Clause | None, differ: list[Result]) -> str:
    functions = _find_scaled(clause, differ) or ["an activation"]
    return clause.condition.format(functions=join_words(functions, "or")) if clause else ""


def _write_sentence(engine: str, cause: str, clause: Clause | None, differ: list[Result], groups: list[str], cases: int,
                    alone: list[Result], partners: list[str]) -> str:
    more = len(differ) - len(alone)
    together = f", {more} of them only as it also {join_words(partners, 'and')}" if partners else ""
    start = f"{_make_title(clause.topic if clause else '', groups)}: {engine} "
    what = f"{clause.phrase}{_describe_scales(clause, differ)}. " if clause else ""
    one = len(differ) == 1
    where = count(len(groups), 'group')
    extent = (f"{count(len(differ), 'case')} in {where} {'differs' if one else 'differ'}, by up to "
              f"{_describe_largest_error(alone or differ)}; "
              f"{'it agrees' if cases == 1 else f'all {cases} cases of these groups agree'} ")
    if clause is None:
        return f"{start}differs. {extent}once {cause}{together}."
    quote = f'The specification of {clause.topic}: "…{clause.quote}…".' if clause.quote else \
        "The specification leaves this open."
    return f"{start}{what}{extent}{clause.remedy}{together}. {quote}{_describe_defaults(clause, differ)}"


def _make_title(topic: str, groups: Sequence[str]) -> str:
    """"LSTM, clip": the operators, and the topic or the simplest group of options that shows it."""
    simplest = min(groups, key=lambda group: group.count("+"))
    return f"{', '.join(_list_operators(groups))}, {topic or simplest.partition(' ')[2]}"


def _find_scaled(clause: Clause | None, results: list[Result]) -> list[str]:
    """The functions whose alpha or beta was left out."""
    return sorted({n for r in results for n in r.case.attributes.get("activations", [])
                   if clause and clause.topic == OMITTED_SCALES and n in ALPHA})


def _describe_scales(clause: Clause, results: list[Result]) -> str:
    names = _find_scaled(clause, results)
    return f" ({', '.join(names)})" if names else ""


def _describe_defaults(clause: Clause, results: list[Result]) -> str:
    """The defaults that ONNX documents for the alpha and beta that were left out."""
    known = {n: _find_onnx_default(n) for n in _find_scaled(clause, results)} if find_spec("onnx") else {}
    parts = [f"{n} has {known[n]}" for n in known if known[n]]
    missing = [f"{n} (here {_describe_own_scales(n)})" for n in known if not known[n]]
    if missing:
        parts.append(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not among ONNX's operators: no "
                     f"default is documented")
    return f" {'; '.join(parts)}." if parts else ""


def _describe_own_scales(function: str) -> str:
    scales = zip(("alpha", "beta"), FUNCTIONS[function][1:])
    return ", ".join(f"{part}={value:g}" for part, value in scales if value is not None)


def _find_onnx_default(function: str) -> str:
    """"alpha=0.2, beta=0.5" as ONNX has it, "" where it has no operator of that name."""
    onnx = import_optional("onnx", "verify", "survey")
    if not onnx.defs.has(function):
        return ""
    attributes = onnx.defs.get_schema(function).attributes
    known = {n: onnx.helper.get_attribute_value(a.default_value) for n, a in attributes.items()}
    return ", ".join(f"{n}={known[n]:.3g}" for n in ("alpha", "beta") if n in known)


# unexplained differences

def find_unexplained(engine: str, by_group: Groups) -> Iterator[Finding]:
    """One finding for each group with differences that no mistake of the table explains."""
    for group, results in by_group.items():
        differ = [r for r in results if r.verdict == "differs"]
        if differ and not differ[0].causes:
            yield Finding(f"{_make_title('', [group])}: {engine} differs in {len(differ)} of "
                          f"{count(len(results), 'case')}, by up to {_describe_largest_error(differ)}"
                          f"{_describe_condition(results)}. No known fault explains it, and no pair of them; the first "
                          f"case: {differ[0].case.name}.",
                          "unexplained", [group], differ=len(differ), cases=len(results),
                          largest=_largest_error(differ)).add_case(differ[0])


def _describe_condition(results: list[Result]) -> str:
    """", always and only with lengths: empty row", if one trait separates the cases that differ from the others."""
    for trait in results[0].case.traits:
        bad, good = ({r.case.traits[trait] for r in results if (r.verdict == "differs") == differs}
                     for differs in (True, False))
        if good and not bad & good:
            return f", always and only with {trait}: {', '.join(sorted(bad))}"
    return ""


# refusals

def find_refusals(run: Engine, engine: str, results: Sequence[Result], truth: Truth) -> Iterator[Finding]:
    """One finding for each refused option, with the verdict on the equivalent nodes that the engine accepts."""
    found: dict = {}
    for result in results:
        if result.verdict == "refused":
            refusal = explain_refusal(run, result.case)
            found.setdefault((refusal.topic, refusal.instead), []).append((result, refusal.outputs))
    for (topic, instead), refused in found.items():
        groups = _list_groups([r for r, _ in refused])
        messages = list(dict.fromkeys(r.refusal.rstrip(".") for r, _ in refused))
        more = f" (and {count(len(messages) - 1, 'similar message')})" if len(messages) > 1 else ""
        agree = Counter(_classify_agreement(truth, r.case, outputs, _collect_causes(results, r.case.op))
                        for r, outputs in refused if instead)
        yield Finding(f"{_make_title(topic, groups)}: {engine} refuses {count(len(refused), 'case')} in "
                      f"{count(len(groups), 'group')} with the error \"{messages[0]}\"{more}."
                      f"{_describe_rewrite(instead, agree)}", "refuses", groups,
                      topic=topic or "nodes of " + ", ".join(_list_operators(groups)), cases=len(refused),
                      agree=agree.total() - agree[""], messages=messages).add_case(refused[0][0])


def _classify_agreement(truth: Truth, case: Case, outputs: Outputs, causes: tuple[str, ...]) -> str:
    """"directly" or "with causes" if the outputs of an equivalent case agree with the reference, else ""."""
    for tried, answer in (((), "directly"), (causes, "with causes")):
        distance = truth.distance(case, outputs, tried)
        if distance and distance.agrees:
            return answer
    return ""


def _describe_rewrite(instead: str, agree: Counter) -> str:
    if not instead:
        return ""
    more = f", {agree['with causes']} more with the departures above" if agree["with causes"] else ""
    return f" Rewritten {instead}, {agree['directly']} of {agree.total()} agree{more}."


def _collect_causes(results: Sequence[Result], op: str) -> tuple[str, ...]:
    """The causes that explain any case of an operator."""
    return tuple(dict.fromkeys(cause for r in results if r.case.op == op for cause in r.causes))


# ignored inputs and attributes

def find_ignored(engine: str, sensitivities: Sequence[Sensitivity], results: Sequence[Result]) -> Iterator[Finding]:
    """The inputs and attributes that change no output, unless a departure reports them already."""
    silent: dict = {}
    for s in sensitivities:
        known = {shorten_key(cause) for cause in _collect_causes(results, s.op)}
        covered = "without activations" if s.name.startswith("activation") else f"without {s.name}"
        if s.moved < s.tried and not known & {covered, f"without {s.name}"}:
            silent.setdefault((s.name, s.moved == 0), []).append(s)
    for (name, always), group in silent.items():
        ops, moved, tried = [s.op for s in group], sum(s.moved for s in group), sum(s.tried for s in group)
        ignores = "silently ignores" if always else f"ignores, in {tried - moved} of {tried} cases,"
        yield Finding(f"{', '.join(ops)}, {name}: {engine} {ignores} {name}. With and without it the outputs are the "
                      f"same, while the reference changes by up to {max(s.by for s in group):.2g}.", "ignores",
                      [f"{op} {name}" for op in ops], topic=name, condition=describe_use(name))


def _largest_error(results: list[Result]) -> float:
    return max((r.distance.error for r in results), default=0.0)


def _describe_largest_error(results: list[Result]) -> str:
    """The largest finite difference, and whether there are NaN or other shapes."""
    finite = [r.distance.error for r in results if np.isfinite(r.distance.error)]
    others = ["NaN or in shape"] if len(finite) < len(results) else []
    return " or by ".join([f"{max(finite, default=0.0):.2g}"] * bool(finite) + others)


def _list_groups(results: list[Result]) -> list[str]:
    return list(dict.fromkeys(r.case.group for r in results))


def _list_operators(groups: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(group.split()[0] for group in groups))


def count(n: int, noun: str) -> str:
    """"1 case", "2 cases"."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def locate_divergence(case: Case, got: Outputs, expected: Outputs, budget: float) -> str:
    """"Y, t=2, reverse, row 1", or the first state that differs; "" where nothing differs."""
    for name in case.outputs:
        if got[name].shape != expected[name].shape:
            return f"{name} has shape {got[name].shape}, expected {expected[name].shape}"
        off = ~(np.abs(got[name].astype("float64") - expected[name]) <= budget)
        if off.any():
            if case.attributes.get("layout"):
                off = off.transpose(1, 2, 0, 3) if name == "Y" else off.swapaxes(0, 1)
            *t, d, row, _ = (int(k) for k in np.argwhere(off)[0])
            direction = case.attributes.get("direction", "forward")
            direction = ("forward", "reverse")[d] if direction == "bidirectional" else direction
            return ", ".join([name, *(f"t={k}" for k in t), direction, f"row {row}"])
    return ""
