"""Parameters of one cell as parameters of another that computes the same function."""
from typing import Any, Collection, Optional

from ..arrays import Array, namespace
from ..elementwise import Activation
from ..errors import NotSupported, with_article
from .families import CONV_OPTIONS, RESET_REASON, traits

_Gates = dict[str, dict[str, Array]]              # parameter -> gate -> its block
_SCALED = ("W", "R", "b", "bR", "Wp")             # what enters the argument of a gate


def adapt(cell: Any, p: dict[str, Array], other: Any,
          separate: Optional[Collection[str]] = None) -> dict[str, Array]:
    """Parameters of `other` with which it computes what `cell` computes with `p`; outputs are equal, up to rounding.

        forget bias      what is added at run time here and stored there goes into b, and back
        two biases       bR joins b where they are only ever added; in n of a GRU with reset="after" r multiplies bR
        coupled gates    get blocks of their own: 1 - sigmoid(a) = sigmoid(-a)
        hard sigmoids    of other slopes: what enters the gates is rescaled
        peepholes        a cell without any has peepholes of zero

    separate   the gates whose bR is kept apart (None: all that `other` has)
    Errors     NotSupported: what `other` cannot compute, by name

    >>> import numpy as np, rnnref
    >>> theirs, ours = rnnref.cells.LSTM(forget_bias=1.0), rnnref.cells.LSTM()
    >>> p = {"W": np.zeros((1, 4)), "R": np.zeros((1, 4)), "b": np.zeros(4)}
    >>> adapt(theirs, p, ours)["b"]
    array([0., 1., 0., 0.])
    """
    a, b = traits(cell), traits(other)
    _check_comparable(cell.name, a, b, other.name)
    q = split_by_gate(cell, p)
    uncouple(cell.name, q, a, b)
    shift_forget_bias(q, a, b, _rescale(q, a, b))
    _merge_biases(cell.name, q, a, b, separate)
    return concatenate_gates(cell.name, q, other)


def split_by_gate(cell: Any, p: dict[str, Array]) -> _Gates:
    """{"W": {"i": …, "f": …}, "Wp": {"i": …}, "P": {"": …}}: parameters gate by gate."""
    q: dict = {"Wp": {}, "b": {}}
    for name, axes in cell.axes().items():
        if axes.split()[-1] == "G":
            q[name] = dict(zip(cell.gates, namespace(p[name]).split(p[name], len(cell.gates), -1)))
        elif name.startswith("Wp"):
            q["Wp"][name[2:]] = p[name]
        else:
            q[name] = {"": p[name]}
    one_row = {gate: block.reshape(-1, block.shape[-1])[0] for gate, block in q["R"].items()}
    return q | {"b": q["b"] or {gate: namespace(row).zeros_like(row) for gate, row in one_row.items()}}


def _check_comparable(who: str, a: dict[str, Any], b: dict[str, Any], other: str) -> None:
    """Raise if the two differ in options for which no weights can compensate."""
    if a.keys() != b.keys():
        raise NotSupported(who, f"cannot become {with_article(other)}: they compute different things")
    if a.get("reset") != b.get("reset"):
        raise NotSupported(who, f"reset={a['reset']!r} cannot become reset={b['reset']!r}", reason=RESET_REASON)
    for name in ("projection", "projection_clip", "cell_clip", "candidate", "output", "activation", "residual", "keeps",
                 *CONV_OPTIONS):
        if a.get(name) != b.get(name):
            raise NotSupported(who, f"{name}={a[name]} cannot become {name}={b[name]}",
                               reason="no weights make them equal")
    if a.get("gate") != b.get("gate") and not _has_other_slope(a["gate"], b["gate"]):
        raise NotSupported(who, f"gate={a['gate']} cannot become gate={b['gate']}",
                           reason="no weights make them equal" + (
                               ", only hard sigmoids are rescaled" if "hard_sigmoid" in a["gate"].name else ""))


def _has_other_slope(a: Activation, b: Activation) -> bool:
    """True for two hard sigmoids that differ in the slope only."""
    return a.name == b.name == "hard_sigmoid" and a.beta == b.beta and a.clip is b.clip is None


def uncouple(who: str, q: _Gates, a: dict[str, Any], b: dict[str, Any]) -> None:
    """Give a coupled gate blocks of its own, if the other cell does not couple it."""
    if a.get("coupled") == b.get("coupled"):
        return
    gate = a["gate"]
    if a["coupled"] is None:
        _couple(who, q, a, b)
        return
    if gate.name != "sigmoid" and (gate.name, gate.beta) != ("hard_sigmoid", 0.5):
        raise NotSupported(who, f"coupled={a['coupled']!r} with gate={gate} cannot become coupled={b['coupled']}",
                           reason=f"1 - {gate}(a) is not {gate}(-a)")
    has, lacks = ("f", "i") if a["coupled"] == "input" else ("i", "f")
    for name in _SCALED:
        if has in q.get(name, {}):
            q[name][lacks] = -q[name][has]
    if has == "f" and a["forget_bias"]:
        q["b"]["i"] = q["b"]["i"] - a["forget_bias"]


def _couple(who: str, q: _Gates, a: dict[str, Any], b: dict[str, Any]) -> None:
    """Drop the blocks of a gate that is 1 minus the other already, as its numbers say."""
    has, lacks = ("f", "i") if b["coupled"] == "input" else ("i", "f")
    zero = {gate: 0 * block for gate, block in q["b"].items()}
    bias = {gate: q["b"][gate] + q.get("bR", zero)[gate] + a["forget_bias"] * (gate == "f") for gate in "if"}
    pairs = [(bias[lacks], bias[has]), *((q[name][lacks], q[name][has]) for name in ("W", "R", "Wp")
                                         if has in q.get(name, {}))]
    if a["gate"].name != "sigmoid" or any((one != -other).any() for one, other in pairs):
        raise NotSupported(who, f"cannot become coupled={b['coupled']!r}", reason="its gates i and f are independent")
    for name in _SCALED:
        q.get(name, {}).pop(lacks, None)


def _rescale(q: _Gates, a: dict[str, Any], b: dict[str, Any]) -> float:
    """Scale what enters the gates, if hard sigmoids have other slopes: one of slope a is one of slope b at x a / b.

    Returns a / b.
    """
    if a.get("gate") == b.get("gate"):
        return 1
    factor = a["gate"].alpha / b["gate"].alpha
    for name in q.keys() & set(_SCALED):
        q[name] = {gate: block if gate in "gn" else factor * block for gate, block in q[name].items()}
    return factor


def shift_forget_bias(q: _Gates, a: dict[str, Any], b: dict[str, Any], factor: float) -> None:
    """Add to the bias of f the difference of what the cells add at run time."""
    shift = factor * a.get("forget_bias", 0) - b.get("forget_bias", 0)
    gate = "f" if "f" in q["b"] else "z"          # of a UGRNN
    if shift and gate in q["b"]:
        q["b"][gate] = q["b"][gate] + shift


def _merge_biases(who: str, q: _Gates, a: dict[str, Any], b: dict[str, Any],
                  separate: Optional[Collection[str]]) -> None:
    """Add bR to b, where `other` does not keep it apart."""
    for gate, bias in q.get("bR", {}).items():
        if b["recurrent_bias"] and (separate is None or gate in separate):
            continue
        if gate == "n" and a.get("reset") == "after":
            if bias.any():
                raise NotSupported(who, "the recurrent bias of n is not zero, and there is no place for one",
                                   reason="r multiplies it: n = candidate(x Wn + bn + r (h Rn + bRn))")
        else:
            q["b"][gate] = q["b"][gate] + bias
            bias = namespace(bias).zeros_like(bias)
        q["bR"][gate] = bias


def concatenate_gates(who: str, q: _Gates, other: Any) -> dict[str, Array]:
    """The parameters of `other` from their blocks; biases and peepholes that q lacks are zero."""
    p, b = {}, q.pop("b")
    xp = namespace(*b.values())
    zero = {gate: xp.zeros_like(block) for gate, block in b.items()}
    for name, axes in other.axes().items():
        if axes.split()[-1] == "G":
            p[name] = xp.concatenate([(b if name == "b" else q.get(name, zero))[gate] for gate in other.gates], -1)
        elif name.startswith("Wp"):
            p[name] = q["Wp"].pop(name[2:], zero[name[2:]])
        else:
            p[name] = q[name][""]
    if any(block.any() for gate, block in q["Wp"].items() if gate in other.gates):
        raise NotSupported(who, "its peepholes are not zero, and the other has none")
    if "b" not in p and any(b[gate].any() for gate in other.gates):
        raise NotSupported(who, "its biases are not zero, and the other has none")
    return p
