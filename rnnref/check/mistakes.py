"""The table of mistakes: conventions that an implementation may have taken in another way than the reference.

A mistake is a change of the reference under which it computes what the candidate does: of its weights and options
(`weights`), of the arrays and lengths that it gets (`data`), or of its results (`results`).  The words of each go on a
sentence "Agrees once ...".
"""
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import permutations
from typing import Any, NamedTuple

import numpy

from ..elementwise import Activation, get_activation
from .equations import GATES, VECTORS, Equations, frameworks_of

Change = Callable[[Equations], Equations | None]
_GATE_NAMES = {"i": "the input gate", "f": "the forget gate", "o": "the output gate", "g": "the candidate",
               "r": "the reset gate", "z": "the update gate", "n": "the candidate", "h": "the sum"}
_SIGMOIDS = {"sigmoid": "the gates use the exact sigmoid",
             "hard_sigmoid@keras2": "the gates use the hard sigmoid of Keras 2 and ONNX, 0.2 x + 0.5",
             "hard_sigmoid@keras3": "the gates use the hard sigmoid of Keras 3 and torch, x / 6 + 0.5"}
_TANHS = {"tanh": "is tanh", "linear": "is left out", "relu": "is relu", "sigmoid": "is sigmoid",
          "hard_tanh": "is hard tanh", "softsign": "is softsign"}
_COMMON = ("tanh", "linear", "relu")              # activations that are tried in pairs


class Mistake(NamedTuple):
    """A change of the weights and options of one layer."""
    slot: str                                     # two of one slot exclude each other
    words: str                                    # "the gate blocks are read as i g f o (TF 1)"
    weights: Change                               # -> the equations with it; None: it changes nothing or does not fit
    in_pairs: bool = True                         # False: too rare to be tried with another one
    constant: Callable[[Equations, float], Equations | None] | None = None       # with a number that is to be found


def list_mistakes(equations: Equations, stored: str = "") -> list[Mistake]:
    """All mistakes that are possible with these equations, in the order in which two of them are applied.

    stored   the order of the gate blocks in the arrays of the candidate; "": ours
    """
    stored = "".join(g for g in stored if g in equations.gates) or equations.gates       # coupled gates have no block
    found = [*_list_matrices(equations, stored), *_list_orders(equations, stored),
             *_list_biases(equations), *_list_peepholes(equations), *_list_gate_biases(equations),
             *_list_gates(equations), *_list_activations(equations), *_list_limits(equations)]
    return [m for m in found if m.constant or m.weights(equations) is not None]


def _order_words(family: str, order: str, name: str = "W") -> str:
    known = frameworks_of(family, order, name)
    return " ".join(order) + (f" ({known})" if known else "")


# matrices

def _list_matrices(equations: Equations, stored: str) -> Iterator[Mistake]:
    yield Mistake("fused", "the rows of the kernel are read as [h, x], not as [x, h]", _exchange_rows)
    for name in "RW":
        yield Mistake(f"{name} transposed", f"{name} is transposed in each gate block", _transpose_blocks(name))
        yield Mistake(f"{name} transposed", f"the numbers of {name} are read as those of its transpose",
                      _read_transposed(name, stored, False))
        yield Mistake(f"{name} transposed", f"the numbers of the transpose of {name} are read as those of {name}",
                      _read_transposed(name, stored, True))
    yield Mistake("W transposed", "W and R are transposed in each gate block",
                  lambda e: _apply(e, _transpose_blocks("W"), _transpose_blocks("R")), False)
    if "P" in equations.blocks:
        yield Mistake("P", "the projection is transposed", _transpose_projection)
        yield Mistake("P", "the numbers of the projection are read as those of its transpose", _read_projection(False))
        yield Mistake("P", "the numbers of the transpose of the projection are read as its own", _read_projection(True))


def _apply(equations: Equations, *changes: Change) -> Equations | None:
    """All changes in order; None if one is not possible."""
    found: Equations | None = equations
    for change in changes:
        found = None if found is None else change(found)
    return found


def _exchange_rows(e: Equations) -> Equations | None:
    W, R = (e.blocks[n] for n in "WR")
    if any(R[g].shape[-1] != W[g].shape[-1] for g in W):
        return None
    I, H, _ = e.sizes
    rows = {g: numpy.concatenate([W[g], R[g]]) for g in W}
    return e.replace(W={g: a[H:] for g, a in rows.items()}, R={g: a[:H] for g, a in rows.items()})


def _transpose_blocks(name: str) -> Change:
    def change(e: Equations) -> Equations | None:
        blocks = e.blocks[name]
        if any(a.shape[0] != a.shape[1] or (a == a.T).all() for a in blocks.values()):
            return None
        return e.replace(**{name: {g: a.T for g, a in blocks.items()}})
    return change


def _read_transposed(name: str, stored: str, back: bool) -> Change:
    """The buffer of an array read in the shape of its transpose; `back`: the buffer of the transpose in its own."""
    def change(e: Equations) -> Equations | None:
        a = e.stack(name, stored)
        if 1 in a.shape:
            return None
        return e.replace(**{name: e.cut(_misread(a, back), stored)})
    return change


def _misread(a: numpy.ndarray, back: bool) -> numpy.ndarray:
    return numpy.ascontiguousarray(a.T).reshape(a.shape) if back else a.reshape(a.shape[::-1]).T


def _transpose_projection(e: Equations) -> Equations | None:
    P = e.blocks["P"][""]
    return None if P.shape[0] != P.shape[1] else e.replace(P={"": P.T})


def _read_projection(back: bool) -> Change:
    def change(e: Equations) -> Equations | None:
        P = e.blocks["P"][""]
        return None if P.shape[0] == P.shape[1] or 1 in P.shape else e.replace(P={"": _misread(P, back)})
    return change


# the order of gate blocks

_SCOPES = (("", ("W", "R", *VECTORS), True), ("of {} alone ", VECTORS, True),
           ("of W and R, not of {}, ", ("W", "R"), False), ("of R alone ", ("R",), False),
           ("of W alone ", ("W",), False))


def _list_orders(equations: Equations, stored: str) -> Iterator[Mistake]:
    if len(stored) < 2:
        return
    vectors = "the gains and biases" if equations.norm else "the biases"
    for order in list(permutations(stored))[1:]:
        letters = "".join(order)
        for scope, names, pairs in _SCOPES:
            words = f"the gate blocks {scope.format(vectors)}are read as {_order_words(equations.family, letters)}"
            yield Mistake("order", words, reorder(names, stored, letters), pairs)
    yield Mistake("order", "the gates are read unit by unit, not in blocks", _interleave(stored), False)


def reorder(names: Iterable[str], stored: str, order: str) -> Change:
    """The blocks of these arrays, stored in one order, read in another one."""
    def change(e: Equations) -> Equations | None:
        new = {name: {to: e.blocks[name][own] for own, to in zip(stored, order)} for name in names if name in e.blocks}
        if not any(a.any() for blocks in new.values() for a in blocks.values()):
            return None
        return e.replace(**new)
    return change


def _interleave(stored: str) -> Change:
    def change(e: Equations) -> Equations | None:
        U = e.sizes[2]
        if U < 2:
            return None
        new = {}
        for name in ("W", "R", *VECTORS):
            if name in e.blocks:
                a = e.stack(name, stored)
                units = a.reshape(*a.shape[:-1], U, len(stored))
                new[name] = {g: units[..., k] for k, g in enumerate(stored)}
        return e.replace(**new)
    return change


# biases

def _list_biases(equations: Equations) -> Iterator[Mistake]:
    both = "bR" in equations.blocks and "b" in equations.blocks
    last = GATES[equations.family][-1]
    if "b" in equations.blocks:
        name = "b, the bias of the input," if both else "the bias"
        yield Mistake("bias", f"{name} is left out", _drop("b"))
        yield Mistake("bias", f"{name} is added twice", _double("b"))
    if "bR" in equations.blocks:
        yield Mistake("bias", "bR, the recurrent bias, is left out", _drop("bR"))
        yield Mistake("bias", "bR, the recurrent bias, is added twice", _double("bR"))
    if not both:
        return
    yield Mistake("bias", "both biases are left out", lambda e: _apply(e, _drop("b"), _drop("bR")))
    yield Mistake("bias", "both biases are added twice", lambda e: _apply(e, _double("b"), _double("bR")))
    yield Mistake("bias", "b takes the place of bR too", lambda e: _use_bias(e, "b", "b"))
    yield Mistake("bias", "bR takes the place of b too", lambda e: _use_bias(e, "bR", "bR"))
    if equations.family == "gru":
        yield Mistake("bias", f"the recurrent bias of {last} is left out", _move_candidate_bias(None))
    if equations.family == "gru" and equations.options["reset"] == "after":
        yield Mistake("bias", f"the recurrent bias of {last} is added outside of the reset", _move_candidate_bias("b"))
        yield Mistake("bias", f"the input bias of {last} is added inside of the reset", _move_candidate_bias("bR"))
        yield Mistake("bias", "b and bR are exchanged", lambda e: _use_bias(e, "bR", "b"))


def _drop(name: str) -> Change:
    def change(e: Equations) -> Equations | None:
        return e.replace(**{name: {}}) if any(a.any() for a in e.blocks[name].values()) else None
    return change


def _double(name: str) -> Change:
    def change(e: Equations) -> Equations | None:
        twice = {g: 2 * a for g, a in e.blocks[name].items()}
        return e.replace(**{name: twice}) if any(a.any() for a in twice.values()) else None
    return change


def _use_bias(e: Equations, b: str, bR: str) -> Equations | None:
    same = all((e.blocks["b"][g] == e.blocks["bR"][g]).all() for g in e.blocks["b"])
    return None if same else e.replace(b=e.blocks[b], bR=e.blocks[bR])


def _move_candidate_bias(to: str | None) -> Change:
    """The two biases of n as one, on the side `to`; None: that of h is dropped."""
    def change(e: Equations) -> Equations | None:
        if not {"b", "bR"} <= e.blocks.keys():
            return None
        b, bR = e.blocks["b"], e.blocks["bR"]
        zero, total = numpy.zeros_like(b["n"]), b["n"] + bR["n"]
        if not (b if to == "bR" else bR)["n"].any():
            return None
        new = {None: (b["n"], zero), "b": (total, zero), "bR": (zero, total)}[to]
        return e.replace(b=b | {"n": new[0]}, bR=bR | {"n": new[1]})
    return change


# peepholes

def _list_peepholes(equations: Equations) -> Iterator[Mistake]:
    gates = "".join(equations.blocks.get("Wp", ()))
    if not gates:
        return
    yield Mistake("peepholes", "the peepholes are left out", lambda e: e.replace(Wp={}))
    stored = "iof" if set(gates) == set("iof") else gates
    for order in list(permutations(stored))[1:]:
        letters = "".join(order)
        yield Mistake("peepholes", f"the peepholes are read as {_order_words('lstm', letters, 'Wp')}, where the "
                      f"reference has {' '.join(stored)}", reorder_peepholes(stored, letters))


def reorder_peepholes(stored: str, order: str) -> Change:
    return lambda e: e.replace(Wp={to: e.blocks["Wp"][own] for own, to in zip(stored, order)})


# constants that are added to a gate

def _list_gate_biases(equations: Equations) -> Iterator[Mistake]:
    own = equations.options.get("forget_bias", 0.0)
    main = {"lstm": "f", "gru": "z"}.get(equations.family)
    for gate in equations.gates:
        if gate == "f" and own:
            yield Mistake("constant", f"nothing is added to {_GATE_NAMES[gate]} (the reference adds {own:g})",
                          _add_constant(gate, -own))
        for more in (1.0, -1.0) if gate == main else ():
            yield Mistake("constant", _constant_words(gate, more, own), _add_constant(gate, more))
        yield Mistake("constant", gate, lambda e: None, gate == main, _add_any(gate))


def _add_any(gate: str) -> Callable[[Equations, float], Equations | None]:
    return lambda e, value: _add_constant(gate, value)(e)


def _constant_words(gate: str, value: float, own: float) -> str:
    verb = "is added to" if value > 0 else "is subtracted from"
    extra = f" (beside the {own:g} of the reference)" if own and gate == "f" else ""
    return f"{abs(value):.5g} {verb} {_GATE_NAMES[gate]}{extra}"


def describe_constant(equations: Equations, mistake: Mistake, value: float) -> Mistake:
    """A mistake with a constant, once the constant is known."""
    words = _constant_words(mistake.words, value, equations.options.get("forget_bias", 0.0))
    return mistake._replace(words=words, weights=_add_constant(mistake.words, value), constant=None)


def _add_constant(gate: str, value: float) -> Change:
    def change(e: Equations) -> Equations | None:
        if gate not in e.gates:
            return None
        if gate == "f":
            return e.choose(forget_bias=e.options["forget_bias"] + value)
        name = "shift" if "shift" in e.blocks else "b"
        b = e.blocks.get(name) or {g: numpy.zeros(e.sizes[2]) for g in e.gates}
        return e.replace(**{name: b | {gate: b[gate] + value}})
    return change


# how gates act

def _list_gates(equations: Equations) -> Iterator[Mistake]:
    if equations.family == "gru":
        other = {"after": "before", "before": "after"}[equations.options["reset"]]
        if equations.norm is None:
            yield Mistake("reset", f"the reset gate acts {other} the product with R", lambda e: e.choose(reset=other))
        yield Mistake("update", "z keeps the new state and 1 - z the old one", _complement_update)
    if equations.family == "lstm":
        if equations.options["coupled"] is None:
            for kind, gate, words in (("input", "i", "the input gate is 1 - f"),
                                      ("forget", "f", "the forget gate is 1 - i")):
                yield Mistake("coupled", f"{words}, without weights of its own", _couple(kind, gate))
        else:
            yield Mistake("coupled", "the coupled gates are exchanged", _exchange_coupled)
    if equations.family == "rnn" and equations.norm is None:
        residual = bool(equations.options.get("residual"))
        words = "h is not added before the activation" if residual else "h itself is added before the activation"
        yield Mistake("residual", words, lambda e: e.choose(residual=not residual))


def _complement_update(e: Equations) -> Equations | None:
    """1 - gate(a) is gate(-a) for the sigmoids that have this symmetry."""
    gate: Activation = e.options["gate"]
    if gate.name != "sigmoid" and (gate.name, gate.beta) != ("hard_sigmoid", 0.5):
        return None
    kept = () if e.norm is None else ("W", "R")   # what is normalised: its gain has the sign
    return e.replace(**{n: blocks | {"z": -blocks["z"]} for n, blocks in e.blocks.items()
                        if "z" in blocks and n not in kept})


def _couple(kind: str, gate: str) -> Change:
    def change(e: Equations) -> Equations | None:
        if e.options["coupled"]:
            return None
        options: dict[str, Any] = {"forget_bias": 0.0} if kind == "forget" else {}
        return e.choose(coupled=kind, **options).replace(**{
            n: {g: a for g, a in blocks.items() if g != gate} for n, blocks in e.blocks.items()})
    return change


def _exchange_coupled(e: Equations) -> Equations | None:
    old, new = ("f", "i") if e.options["coupled"] == "input" else ("i", "f")
    moved = {n: {new if g == old else g: a for g, a in blocks.items()} for n, blocks in e.blocks.items()}
    return e.choose(coupled="forget" if old == "f" else "input", forget_bias=0.0).replace(**moved)


# activations

def _list_activations(equations: Equations) -> Iterator[Mistake]:
    options = equations.options
    if "gate" in options:
        for name, words in _SIGMOIDS.items():
            yield Mistake("gate", words, _choose_activation(name, "gate"))
    places = {"rnn": {"activation": "the activation"}, "gru": {"candidate": "the tanh of the candidate"},
              "lstm": {"output": "the tanh of c", "candidate": "the tanh of the candidate"}}[equations.family]
    for option, shown in places.items():
        for name, words in _TANHS.items():
            where = shown if options[option].name == "tanh" else shown.replace("the tanh", "the activation")
            yield Mistake(option, f"{where} {words}", _choose_activation(name, option), name in _COMMON)
    if equations.family == "lstm":
        for name, words in _TANHS.items():
            yield Mistake("output", f"the activation of the candidate and of c {words}",
                          _choose_activation(name, "candidate", "output"), name in _COMMON)


def _choose_activation(name: str, *options: str) -> Change:
    def change(e: Equations) -> Equations | None:
        new = {n: replace(get_activation(name), clip=e.options[n].clip) for n in options}
        return None if any(e.options[n] == a for n, a in new.items()) else e.choose(**new)
    return change


# limits

def _list_limits(equations: Equations) -> Iterator[Mistake]:
    for option, words in (("cell_clip", "c is not clipped"), ("projection_clip", "the projected h is not clipped")):
        if equations.options.get(option) is not None:
            yield Mistake(option, words, _remove_limit(option))


def _remove_limit(option: str) -> Change:
    return lambda e: e.choose(**{option: None})
