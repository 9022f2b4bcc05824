"""Whether the weights of two layers are the same numbers, in whatever convention each is held; in words if not."""
from collections.abc import Iterator
from itertools import permutations
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import with_article
from ..interop import Weights, traits
from .equations import frameworks_of
from .row import Row

WEIGHTS, OPTIONS = "weights", "options"
_UNRELATED = 0.5                                  # of the numbers of every gate: then no gate is told apart
_ULPS = 16                                        # by which numbers may differ that were added or scaled on the way
_HELD = ("bias", "recurrent_bias", "forget_bias", "coupled", "cell_clip_gradient", "bR")    # only how weights are held

Blocks = dict[str, dict[str, Array]]              # {"W": {"i": [I, U], ...}, "R": ..., "b": ..., "P": {"": ...}}


class Side(NamedTuple):
    """The weights of one layer by gate, in float64, and its options."""
    w: Weights
    held: Blocks                                  # both biases as they are, without what is added at run time
    total: Blocks                                 # all that is added to a gate in b; bR of n where r multiplies it
    options: dict[str, Any]
    eps: float

    @property
    def kind(self) -> str:
        """"LSTM", "GRU", "SimpleRNN"."""
        return self.w.cell.name


def read_side(w: Weights) -> Side:
    """The blocks of a layer, as they are held and with all conventions taken out."""
    p = {name: a.astype("float64") for name, a in w.load().items()}
    options, held = traits(w.cell), _cut(w.cell, p)
    total = _add_biases({name: dict(blocks) for name, blocks in held.items()}, options)
    if options.get("coupled") and options["gate"].name == "sigmoid":
        has, lacks = ("f", "i") if options["coupled"] == "input" else ("i", "f")
        for blocks in total.values():
            if has in blocks:
                blocks[lacks] = -blocks[has]
    eps = float(numpy.finfo(next(iter(w.arrays.values())).dtype).eps)
    return Side(w, held, total, {name: value for name, value in options.items() if name not in _HELD}, eps)


def _add_biases(held: Blocks, options: dict[str, Any]) -> Blocks:
    """The blocks with all that is added to a gate in b; bR of n is kept apart where r multiplies it."""
    zero = {gate: numpy.zeros(block.shape[-1]) for gate, block in held["R"].items()}
    b, bR = held.get("b", zero), held.get("bR", zero)
    apart = {"n"} if options.get("reset") == "after" else set()
    main = "f" if "f" in zero else "z"
    total = {gate: b[gate] + (0 if gate in apart else bR[gate]) + options.get("forget_bias", 0) * (gate == main)
             for gate in zero}
    rest = {name: blocks for name, blocks in held.items() if name not in ("b", "bR")}
    return rest | {"b": total} | ({"bR": {"n": bR["n"]}} if apart else {})


def _cut(cell: Any, p: dict[str, Array]) -> Blocks:
    found: Blocks = {}
    for name, axes in cell.axes().items():
        if axes.split()[-1] == "G":
            found[name] = dict(zip(cell.gates, numpy.split(p[name], len(cell.gates), -1)))
        elif name.startswith("Wp"):
            found.setdefault("Wp", {})[name[2:]] = p[name]
        else:
            found[name] = {"": p[name]}
    return found


class Differences(NamedTuple):
    """The rows of one layer, and what explains those that differ."""
    rows: list[Row]
    findings: list[str]


def compare_weights(a: Weights, b: Weights, title: str, names: tuple[str, str]) -> Differences:
    """Rows on every block of the weights and every option of two layers, and sentences on what differs.

    title   of the layer: "layer 1, backward", or ""
    names   of the two in sentences
    """
    one, other = read_side(a), read_side(b)
    place = f"{title}: " if title else ""
    if one.kind != other.kind:
        row = Row(f"{place}kind of layer", OPTIONS, verdict="differs", note=f"{one.kind}, {other.kind}")
        found = f"{place}{names[0]} is {with_article(a.layout.who)}, {names[1]} {with_article(b.layout.who)}."
        return Differences([row], [found])
    rows, findings = [], []
    for name in {**one.options, **other.options}:
        values = [side.options.get(name) for side in (one, other)]
        if values[0] != values[1]:
            rows.append(Row(f"{place}{name}", OPTIONS, verdict="differs", note=f"{values[0]}, {values[1]}"))
            findings.append(f"{place}{names[0]} has {name}={values[0]}, {names[1]} {name}={values[1]}.")
    weights = list(_compare_blocks(one, other, place))
    if any(row.verdict == "differs" for row in weights):
        findings += [f"{place}{words}." for words in explain_blocks(one, other, names)]
    if not rows:
        rows = [Row(f"{place}options", OPTIONS)]
    return Differences(weights + rows, findings)


def find_error(a: Array, b: Array) -> Array:
    """The difference of every number: 0 where both are the same NaN or infinity, infinite where one alone is."""
    with numpy.errstate(invalid="ignore", over="ignore"):
        error = abs(a - b)
    error = numpy.where(numpy.isfinite(a) & numpy.isfinite(b), error, numpy.inf)
    return numpy.where((a == b) | numpy.isnan(a) & numpy.isnan(b), 0.0, error)


def _compare_blocks(one: Side, other: Side, place: str) -> Iterator[Row]:
    for name in {**one.total, **other.total}:
        blocks = [side.total.get(name, {}) for side in (one, other)]
        for gate in {**blocks[0], **blocks[1]}:
            what = f"{place}{name}{f'_{gate}' * bool(gate)}"
            a, b = (found.get(gate) for found in blocks)
            if a is None or b is None:
                present = a if a is not None else b
                if present is not None and present.any():
                    yield Row(what, WEIGHTS, verdict="differs", note="only one of the two has it")
                continue
            yield _compare_block(a, b, what, max(one.eps, other.eps))


def _compare_block(a: Array, b: Array, what: str, eps: float) -> Row:
    if a.shape != b.shape:
        return Row(what, WEIGHTS, verdict="differs", note=f"shapes {a.shape}, {b.shape}")
    errors, budget = find_error(a, b), _find_budget(a, eps)
    error, wrong = float(errors.max(initial=0.0)), errors > budget
    if not wrong.any():
        return Row(what, WEIGHTS, error, budget, entries=a.size, compared=a.size)
    first = tuple(int(n) for n in numpy.argwhere(wrong)[0])
    return Row(what, WEIGHTS, error, budget, "differs", f"at [{', '.join(map(str, first))}]",
               f"{a[first]:.6g}, {b[first]:.6g}; {int(wrong.sum())} of {a.size}", entries=a.size, compared=a.size)


def _find_budget(a: Array, eps: float) -> float:
    return _ULPS * eps * max(float(abs(a).max(initial=0.0, where=numpy.isfinite(a))), 1e-3)


# why they differ

def explain_blocks(one: Side, other: Side, names: tuple[str, str]) -> list[str]:
    """Sentences on how the numbers of `other` come from those of `one`; where none fits, which blocks differ."""
    eps = max(one.eps, other.eps)
    a, b = one.total, other.total
    if any(a[name][gate].shape != b[name][gate].shape for name in "WR" for gate in a[name].keys() & b[name].keys()):
        return [f"{names[0]} and {names[1]} have other sizes"]
    found = []
    orders = {name: _find_order(a[name], b[name], eps) for name in ("W", "R")}
    order = orders["R"] or orders["W"]
    if order is not None and orders["W"] == orders["R"]:
        held = not _say_biases(one, other, {gate: gate for gate in order[0]}, names, eps)
        if held and _say_biases(one, other, order[0], names, eps):
            return [*_say_order(one, order, " of W and R, not of the biases,"), *_say_others(a, b, names, eps)]
        found += _say_order(one, order, "")
    else:
        for name, own in orders.items():
            stored = [gate for gate in other.w.layout.gates if gate in a[name]]
            found += _say_order(one, own, f" of {name} alone") if own else \
                _say_matrix(a[name], b[name], name, stored, names, eps)
    if order is None:
        order = ({gate: gate for gate in a["R"]}, "")
    found += _say_biases(one, other, order[0], names, eps)
    found += _say_others(a, b, names, eps)
    return found or [f"{names[0]} and {names[1]} hold other numbers"]


_CHANGES = {"": lambda m: m, "transposed": lambda m: m.T, "negated": lambda m: -m}


def _find_order(a: dict[str, Array], b: dict[str, Array], eps: float) -> tuple[dict[str, str], str] | None:
    """({gate of b: the gate of a whose block it is}, what was done to each block), if there is one."""
    if a.keys() != b.keys():
        return None
    for words, change in _CHANGES.items():
        for gates in permutations(a):             # the order as it is comes first
            if all(_is_same(change(a[g]), b[own], eps) for g, own in zip(gates, a)):
                return dict(zip(a, gates)), words
    return None


def _is_same(a: Array, b: Array, eps: float) -> bool:
    return a.shape == b.shape and bool((find_error(a, b) <= _find_budget(a, eps)).all())


def _say_order(side: Side, order: tuple[dict[str, str], str], where: str) -> Iterator[str]:
    moved = [gate for gate, own in order[0].items() if gate != own]
    if len(moved) == 2:
        yield f"the blocks {' and '.join(moved)}{where} are exchanged"
    elif moved:
        gates = side.w.layout.gates if len(side.w.layout.gates) == len(order[0]) else "".join(order[0])
        given = "".join(order[0][gate] for gate in gates)
        known = frameworks_of(side.w.layout.family.split()[0], given)
        yield (f"the gate blocks{where} are in another order: {' '.join(given)}{f' ({known})' * bool(known)} in the "
               f"places of {' '.join(gates)}")
    if order[1]:
        yield f"each block{where or ' of W and R'} is {order[1]}"


def _say_matrix(a: dict[str, Array], b: dict[str, Array], name: str, stored: list[str], names: tuple[str, str],
                eps: float) -> Iterator[str]:
    """On a matrix whose blocks are not those of the other in any order; `stored`: the order in which they lie there."""
    if a.keys() != b.keys():
        yield f"{names[0]} has blocks of {name} for {' '.join(a)}, {names[1]} for {' '.join(b)}"
        return
    whole, other = (numpy.concatenate([blocks[gate] for gate in stored], -1) for blocks in (a, b))
    if _is_same(whole.T.reshape(whole.shape), other, eps) or _is_same(other.T.reshape(whole.shape), whole, eps):
        yield f"the numbers of {name} are read as those of its transpose"
        return
    if all((find_error(a[gate], b[gate]) > _find_budget(a[gate], eps)).mean() > _UNRELATED for gate in a) and not any(
            _is_same(change(a[gate]), b[gate], eps) for gate in a for change in _CHANGES.values()):
        yield _say_numbers(whole, other, name, eps)
        return
    for gate in (gate for gate in a if not _is_same(a[gate], b[gate], eps)):
        for words, change in list(_CHANGES.items())[1:]:
            if _is_same(change(a[gate]), b[gate], eps):
                yield f"{name}_{gate} is {words}"
                break
        else:
            yield _say_numbers(a[gate], b[gate], f"{name}_{gate}", eps)


def _say_numbers(a: Array, b: Array, what: str, eps: float) -> str:
    if a.any() and not b.any() or b.any() and not a.any():
        return f"{what} is zero in one of the two"
    if not (numpy.isfinite(a).all() and numpy.isfinite(b).all()):
        counts = [int((~numpy.isfinite(m)).sum()) for m in (a, b)]
        return f"{what} holds {counts[0]} numbers that are not finite in one, {counts[1]} in the other"
    ratio = b / numpy.where(a == 0, 1, a)
    if a.all() and abs(ratio - ratio.flat[0]).max() <= 1e3 * eps * abs(ratio.flat[0]):
        return f"{what} is multiplied by {ratio.flat[0]:.6g}"
    wrong = abs(a - b) > _find_budget(a, eps)
    first = tuple(int(n) for n in numpy.argwhere(wrong)[0])
    place = ", ".join(map(str, first))
    return (f"{what} differs in {int(wrong.sum())} of {a.size} numbers, by up to {abs(a - b).max():.3g}; the first at "
            f"[{place}]: {a[first]:.6g}, {b[first]:.6g}")


def _say_biases(one: Side, other: Side, order: dict[str, str], names: tuple[str, str], eps: float) -> list[str]:
    """On the biases, once the blocks are in the order of the matrices."""
    if set(order.values()) != set(one.held["R"]):
        return []                                 # gates that are coupled: what is told of the matrices must do
    options = traits(one.w.cell)
    zero = {gate: numpy.zeros_like(block) for gate, block in one.total["b"].items()}
    held = {name: {own: one.held.get(name, zero)[gate] for own, gate in order.items()} for name in ("b", "bR")}
    joined = _add_biases(one.held | held, options)
    a, n = joined["b"], joined.get("bR", {}).get("n")
    b, m = other.total["b"], other.total.get("bR", {}).get("n")
    if all(_is_same(a[g], b[g], eps) for g in a) and (n is None or m is None or _is_same(n, m, eps)):
        return []
    constant = options.get("forget_bias", 0)
    added = {gate: numpy.full_like(block, constant * (gate == ("f" if "f" in a else "z"))) for gate, block in a.items()}
    variants = {
        "the recurrent bias is missing": lambda g: (held["b"][g] + added[g], 0),
        "the bias of the input is missing": lambda g: (added[g] + (held["bR"][g] if g != "n" or n is None else 0), n),
        "the biases are missing": lambda g: (0 * a[g], 0),
        "the biases are added twice": lambda g: (2 * a[g], None if n is None else 2 * n),
        "the recurrent bias of n is missing": lambda g: (a[g], 0),
        "the recurrent bias of n is added outside of the reset": lambda g: (a[g] + (n if g == "n" else 0), 0),
        f"{constant:g}, which is added to the forget gate when it runs, is missing": lambda g: (a[g] - added[g], n),
    }
    for words, make in variants.items():
        if "of n" in words and n is None:
            continue
        if all(_is_same(make(g)[0], b[g], eps) for g in a) and (
                n is None or m is None or _is_same(0 * m + make("n")[1], m, eps)):
            return [f"{words} in {names[1]}"]
    moved = _find_order(a, b, eps)
    if moved is not None and not moved[1] and (n is None or m is None or _is_same(n, m, eps)):
        return list(_say_order(one, moved, " of the biases alone"))
    found = []
    for gate in a:
        if not _is_same(a[gate], b[gate], eps):
            shift = b[gate] - a[gate]
            if abs(shift - shift.mean()).max() <= _find_budget(b[gate], eps) + _find_budget(a[gate], eps):
                verb = "is added to" if shift.mean() > 0 else "is missing in"
                found.append(f"{abs(shift.mean()):.6g} {verb} the bias of {gate} of {names[1]}")
            else:
                found.append(_say_numbers(a[gate], b[gate], f"b_{gate}", eps))
    if n is not None and m is not None and not _is_same(n, m, eps):
        found.append(_say_numbers(n, m, "bR_n", eps))
    return found


def _say_others(a: Blocks, b: Blocks, names: tuple[str, str], eps: float) -> Iterator[str]:
    """On peepholes and projections."""
    for name, what in (("Wp", "peepholes"), ("P", "projection")):
        one, other = a.get(name, {}), b.get(name, {})
        if bool(one) != bool(other):
            yield f"the {what} {'are' if name == 'Wp' else 'is'} missing in {names[0] if not one else names[1]}"
        elif name == "Wp" and one and not all(_is_same(one[g], other[g], eps) for g in one):
            order = _find_order(one, other, eps)
            moved = [g for g, own in (order or ({}, ""))[0].items() if g != own]
            yield (f"the peepholes {' and '.join(moved)} are exchanged" if len(moved) == 2 else
                   "the peepholes are other numbers" if order is None else
                   f"the peepholes are in another order: {' '.join(order[0].values())}")
        elif name == "P" and one and not _is_same(one[""], other[""], eps):
            yield ("the projection is transposed" if _is_same(one[""].T, other[""], eps) else
                   _say_numbers(one[""], other[""], "P", eps))
