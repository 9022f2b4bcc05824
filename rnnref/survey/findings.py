"""What a survey found, in sentences: departures from the text, refusals, what is ignored, what nothing explains.

(floor 11)
"""
from collections import Counter
from importlib.util import find_spec

import numpy as np

from ..errors import import_optional
from ..onnx.attributes import FUNCTIONS
from .cases import ALPHA
from .faults import OMITTED_SCALES
from .probe import explain_refusal


class Finding(str):
    """A sentence; `about` holds its kind, groups and counts, for whoever wants to test or to count them."""
    about: dict

    def __new__(cls, sentence, kind, groups, **about):
        self = super().__new__(cls, sentence)
        self.about = {"kind": kind, "groups": list(groups), **about}
        return self


def find_departures(engine, by_group):
    """One finding a change, what explains most groups first."""
    found: dict = {}
    for result in (r for of in by_group.values() for r in of):
        for change in result.made:
            found.setdefault(change.key, (change, []))[1].append(result)
    for key, (change, differ) in sorted(found.items(), key=lambda item: -len(_list_groups(item[1][1]))):
        groups = _list_groups(differ)
        cases = sum(len(by_group[group]) for group in groups)
        alone = [r for r in differ if len(r.made) == 1]
        partners = sorted({c.key for r in differ for c in r.made} - {key})
        yield Finding(_write_sentence(engine, change, differ, groups, cases, alone, partners), "departs", groups, change=key,
                      quote=change.quote, differ=len(differ), cases=cases, largest=_largest_error(alone or differ))


def _write_sentence(engine, fault, differ, groups, cases, alone, partners):
    some = f", {len(differ) - len(alone)} of them only together with: {', '.join(partners)}" if partners else ""
    text = f'The text on {fault.about}: "…{fault.quote}…".' if fault.quote else "The text does not say."
    return (f"{_make_title(fault.about, groups)}: {engine} {fault.phrase}{_describe_scales(fault, differ)}. "
            f"{_pluralize(len(differ), 'case')} of {_pluralize(len(groups), 'group')} differ, by up to "
            f"{_describe_largest_error(alone or differ)}; all {cases} cases of these groups agree once {fault.remedy}{some}. "
            f"{text}{_describe_defaults(fault, differ)}")


def _make_title(about, groups):
    """"LSTM, clip": the operators, and what it is about or the plainest option under which it shows."""
    plainest = min(groups, key=lambda group: group.count("+"))
    return f"{_list_operators(groups)}, {about or plainest.partition(' ')[2]}"


def _find_scaled(fault, results):
    """The functions whose scales were left out."""
    return sorted({n for r in results for n in r.case.attributes.get("activations", []) if fault.about == OMITTED_SCALES
                   and n in ALPHA})


def _describe_scales(fault, results):
    names = _find_scaled(fault, results)
    return f" ({', '.join(names)})" if names else ""


def _describe_defaults(fault, results):
    """What ONNX says of the default scales that were left out, function by function."""
    known = {n: _find_onnx_default(n) for n in _find_scaled(fault, results)} if find_spec("onnx") else {}
    said = [f"{n} has {known[n]}" for n in known if known[n]]
    gone = [f"{n} (taken as {_describe_own_scales(n)})" for n in known if not known[n]]
    if gone:
        said.append(f"{' and '.join(gone)} {'is' if len(gone) == 1 else 'are'} not among ONNX's operators: no default "
                    f"is documented")
    return f" {'; '.join(said)}." if said else ""


def _describe_own_scales(function):
    given = zip(("alpha", "beta"), FUNCTIONS[function][1:])
    return ", ".join(f"{part}={value:g}" for part, value in given if value is not None)


def _find_onnx_default(function):
    """"alpha=0.2, beta=0.5" as ONNX has it, "" where it has no operator of that name."""
    onnx = import_optional("onnx", "verify", "survey")
    if not onnx.defs.has(function):
        return ""
    attributes = onnx.defs.get_schema(function).attributes
    known = {n: onnx.helper.get_attribute_value(a.default_value) for n, a in attributes.items()}
    return ", ".join(f"{n}={known[n]:.3g}" for n in ("alpha", "beta") if n in known)


def find_unexplained(engine, by_group):
    for group, results in by_group.items():
        differ = [r for r in results if r.verdict == "differs"]
        if differ and not differ[0].made:
            told = (f"{_make_title('', [group])}: {engine} differs in {len(differ)} of {_pluralize(len(results), 'case')}, by "
                    f"up to {_describe_largest_error(differ)}{_describe_condition(results)}. No change that is known explains it, nor any two; "
                    f"the first: {differ[0].case.name}.")
            yield Finding(told, "unexplained", [group], differ=len(differ), cases=len(results), largest=_largest_error(differ))


def _describe_condition(results):
    """", always and only with lengths: empty row", if one trait tells the cases that differ from those that agree."""
    for trait in results[0].case.traits:
        bad, good = ({r.case.traits[trait] for r in results if (r.verdict == "differs") == differs}
                     for differs in (True, False))
        if good and not bad & good:
            return f", always and only with {trait}: {', '.join(sorted(bad))}"
    return ""


def find_refusals(run, engine, results, truth):
    """One finding for each thing that is refused, with what comes of the same said in another way."""
    found: dict = {}
    for result in results:
        if result.verdict == "refused":
            why = explain_refusal(run, result.case)
            found.setdefault((why.about, why.instead), []).append((result, why))
    for (about, instead), those in found.items():
        groups = _list_groups([r for r, _ in those])
        said = list(dict.fromkeys(r.refusal.rstrip(".") for r, _ in those))
        more = f" (and {_pluralize(len(said) - 1, 'message')} like it)" if len(said) > 1 else ""
        agree = Counter(_classify_agreement(truth, r.case, why.outputs, _collect_faults(results, r.case.op)) for r, why in those if instead)
        yield Finding(f"{_make_title(about, groups)}: {engine} refuses {_pluralize(len(those), 'case')} of "
                      f"{_pluralize(len(groups), 'group')}, \"{said[0]}\"{more}.{_describe_rewrite(instead, agree)}", "refuses",
                      groups, about=about, cases=len(those), agree=agree.total() - agree[""], messages=said)


def _classify_agreement(truth, case, outputs, faults):
    """Whether the outputs of a twin are the truth "at once", or "in the end" what the departures make of it, or not."""
    for changes, said in (((), "at once"), (faults, "in the end")):
        distance = truth.distance(case, outputs, changes)
        if distance and distance.agrees:
            return said
    return ""


def _describe_rewrite(instead, agree):
    if not instead:
        return ""
    more = f", {agree['in the end']} more with the departures above" if agree["in the end"] else ""
    return f" Said {instead}, {agree['at once']} of {agree.total()} agree{more}."


def _collect_faults(results, op):
    """The changes that explain any case of an operator."""
    return tuple({c.key: c for r in results if r.case.op == op for c in r.made}.values())


def find_ignored(engine, sensitivities, results):
    """What may be left out without the outputs moving, where no departure says so already."""
    silent: dict = {}
    for h in sensitivities:
        known = {c.key for c in _collect_faults(results, h.op)}
        covered = "without activations" if h.name.startswith("activation") else f"without {h.name}"
        if h.moved < h.tried and not known & {covered, f"without {h.name}"}:
            silent.setdefault((h.name, h.moved == 0), []).append(h)
    for (name, always), of in silent.items():
        ops, moved, tried = [h.op for h in of], sum(h.moved for h in of), sum(h.tried for h in of)
        says = "silently ignores" if always else f"ignores, in {tried - moved} of {tried} cases,"
        yield Finding(f"{', '.join(ops)}, {name}: {engine} {says} {name}. With and without it the outputs are the "
                      f"same, where the reference moves by up to {max(h.by for h in of):.2g}.", "ignores",
                      [f"{op} {name}" for op in ops], about=name)


def _largest_error(results):
    return max((r.distance.error for r in results), default=0.0)


def _describe_largest_error(results):
    """The largest difference that is a number, and whether there are others."""
    finite = [r.distance.error for r in results if np.isfinite(r.distance.error)]
    odd = ["NaN or in shape"] if len(finite) < len(results) else []
    return " or by ".join([f"{max(finite):.2g}"] * bool(finite) + odd)


def _list_groups(results):
    return list(dict.fromkeys(r.case.group for r in results))


def _list_operators(groups):
    return ", ".join(dict.fromkeys(group.split()[0] for group in groups))


def _pluralize(n, noun):
    return f"{n} {noun}{'' if n == 1 else 's'}"


def locate_divergence(case, got, want, budget):
    """"Y, t=2, reverse, row 1", or the first state that is off; "" where nothing is."""
    for name in case.outputs:
        if got[name].shape != want[name].shape:
            return f"{name} has shape {got[name].shape}, expected {want[name].shape}"
        off = ~(np.abs(got[name].astype("float64") - want[name]) <= budget)
        if off.any():
            if case.attributes.get("layout"):
                off = off.transpose(1, 2, 0, 3) if name == "Y" else off.swapaxes(0, 1)
            *t, d, row, _ = (int(k) for k in np.argwhere(off)[0])
            way = case.attributes.get("direction", "forward")
            way = ("forward", "reverse")[d] if way == "bidirectional" else way
            return ", ".join([name, *(f"t={k}" for k in t), way, f"row {row}"])
    return ""
