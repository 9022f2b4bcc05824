"""Arrays of unknown layout, read as the weights of a SimpleRNN, GRU or LSTM in all ways that fit their shapes."""
from collections.abc import Iterator, Mapping
from itertools import product
from typing import NamedTuple

import numpy

from ..arrays import Array
from ..elementwise import get_activation
from .equations import GATES, Equations

_FAMILIES = {1: ("rnn",), 3: ("gru", "gru before"), 4: ("lstm",)}             # by the number of gate blocks
_SIGMOID, _TANH = get_activation("sigmoid"), get_activation("tanh")
_OPTIONS: dict[str, dict] = {
    "rnn": {"activation": _TANH, "residual": False},
    "gru": {"gate": _SIGMOID, "candidate": _TANH, "reset": "after"},
    "gru before": {"gate": _SIGMOID, "candidate": _TANH, "reset": "before"},
    "lstm": {"forget_bias": 0.0, "coupled": None, "gate": _SIGMOID, "candidate": _TANH, "output": _TANH,
             "cell_clip": None, "projection": None, "projection_clip": None}}
_ROLES = {"W": "the weights of x", "R": "the weights of h", "F": "the weights of x and h", "P": "the projection"}


class Reading(NamedTuple):
    """One way to read arrays: the equations with the gate blocks in our order, and in words what is what."""
    equations: Equations
    words: tuple[str, ...]                        # "kernel holds the rows [x, h]"


class _Matrices(NamedTuple):
    """The matrices of a reading, with their gate blocks side by side."""
    W: Array                                      # [I, n U]
    R: Array                                      # [H, n U]
    P: Array | None                               # [U, H]
    gates: int                                    # n
    words: tuple[str, ...]


def list_readings(weights: Mapping[str, Array], n_in: int, width: int, units: int | None = None,
                  family: str | None = None) -> Iterator[Reading]:
    """All readings of arrays by name that fit x [.., n_in] and y [.., width].

    units    the width of c, if it is known
    family   "rnn", "gru" or "lstm": the only one that is tried
    """
    arrays = {name: _drop_ones(numpy.asarray(a), n_in) for name, a in weights.items()}
    paired = {n: a for n, a in arrays.items() if a.ndim == 2 and len(a) == 2 and _is_bias(n, a, n_in, width)}
    matrices = {n: a for n, a in arrays.items() if a.ndim == 2 and n not in paired}
    vectors = {n: a for n, a in arrays.items() if a.ndim == 1}
    for U in [units] if units else _guess_units(matrices, width):
        for m in _list_matrices(matrices, n_in, width, U):
            for own in _FAMILIES.get(m.gates, ()):
                if family in (None, own.partition(" ")[0]):
                    yield from _add_vectors(own, m, vectors, paired, U)


def _drop_ones(a: Array, n_in: int) -> Array:
    """An array without a leading axis of one entry: the directions of ONNX, the row of a bias."""
    return a[0] if a.ndim == 3 and len(a) == 1 or a.ndim == 2 and len(a) == 1 and n_in != 1 else a


def _is_bias(name: str, a: Array, n_in: int, width: int) -> bool:
    last = name.replace("/", ".").rpartition(".")[2].lower()
    return "bias" in last or last in ("b", "br") or 2 not in (n_in, width)


def _guess_units(matrices: Mapping[str, Array], width: int) -> list[int]:
    """The width of y, or what a projection may have made it of."""
    others = {n for a in matrices.values() if width in a.shape for n in a.shape if n != width}
    return [width, *sorted(others)]


# matrices

def _list_matrices(matrices: Mapping[str, Array], I: int, H: int, U: int) -> Iterator[_Matrices]:
    """Every assignment of roles to the matrices under which all have as many gate blocks."""
    sizes = {"W": I, "R": H, "F": I + H}
    for flipped in (False, True):
        turned = {n: a.T if flipped else a for n, a in matrices.items()}
        options = [[r for r, size in sizes.items() if len(a) == size and a.shape[1] % U == 0]
                   + (["P"] if U != H and {len(a), a.shape[1]} == {U, H} else []) for a in turned.values()]
        for roles in _assign(options):
            yield from _join(turned, roles, H, flipped)


def _assign(options: list[list[str]]) -> Iterator[tuple[str, ...]]:
    """All roles of the matrices; of many that could be either, the first half or every second one are those of x."""
    if len(options) <= 3 or all(len(o) == 1 for o in options):
        yield from product(*options)
    elif all({"W", "R"} <= set(o) for o in options):
        half = len(options) // 2
        yield from (("W",) * half + ("R",) * half, ("R",) * half + ("W",) * half, ("W", "R") * half, ("R", "W") * half)


def _join(matrices: Mapping[str, Array], roles: tuple[str, ...], H: int, flipped: bool) -> Iterator[_Matrices]:
    found: dict[str, list[Array]] = {}
    names: dict[str, list[str]] = {}
    for (name, a), role in zip(matrices.items(), roles):
        found.setdefault(role, []).append(a)
        names.setdefault(role, []).append(name)
    joined = {role: numpy.concatenate(parts, -1) for role, parts in found.items() if role != "P"}
    projections = found.get("P", [])
    if "F" in joined and {"W", "R"} < joined.keys():             # the candidate of a GRU in two kernels
        F = joined.pop("F")
        joined = {"W": numpy.concatenate([F[:-H], joined["W"]], -1), "R": numpy.concatenate([F[-H:], joined["R"]], -1)}
    if len(projections) > 1 or set(joined) not in ({"W", "R"}, {"F"}):
        return
    P = projections[0] if projections else None
    if P is not None:
        P = P if P.shape[1] == H else P.T
    U = len(P) if P is not None else H
    G = {a.shape[1] for a in joined.values()}
    words = tuple(f"{_join_names(own)} {'holds' if len(own) == 1 else 'hold'} {_ROLES[role]}"
                  + (", [output, input]" if flipped and role != "P" else "") for role, own in names.items())
    if len(G) > 1 or next(iter(G)) % U:
        return
    count = next(iter(G)) // U
    if "F" not in joined:
        yield _Matrices(joined["W"], joined["R"], P, count, words)
        return
    F = joined["F"]
    yield _Matrices(F[:-H], F[-H:], P, count, (f"{words[0]}, rows [x, h]", *words[1:]))
    yield _Matrices(F[H:], F[:H], P, count, (f"{words[0]}, rows [h, x]", *words[1:]))


def _join_names(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " * (len(names) > 1) + names[-1]


# vectors

def _add_vectors(family: str, m: _Matrices, vectors: Mapping[str, Array], paired: Mapping[str, Array], U: int,
                 ) -> Iterator[Reading]:
    """The readings with biases and peepholes."""
    own, G = family.partition(" ")[0], m.gates * U
    options = _OPTIONS[family] | ({"projection": m.R.shape[0]} if m.P is not None else {})
    rest, peepholes = _take_peepholes(own, vectors, U)
    for b, bR, words in _list_biases(rest, paired, G, U):
        equations = Equations(own, options, {})
        blocks = {"W": equations.cut(m.W, GATES[own]), "R": equations.cut(m.R, GATES[own])}
        for name, a in (("b", b), ("bR", bR)):
            if a is not None:
                blocks[name] = equations.cut(a, GATES[own])
        if peepholes is not None:
            blocks["Wp"] = dict(zip("iof", numpy.split(peepholes, 3)))
        if m.P is not None:
            blocks["P"] = {"": m.P}
        yield Reading(equations._replace(blocks=blocks), (*m.words, *words))


def _take_peepholes(family: str, vectors: Mapping[str, Array], U: int) -> tuple[dict[str, Array], Array | None]:
    """The vectors that are no peepholes, and the three peepholes end to end."""
    single = [n for n, a in vectors.items() if len(a) == U]
    triple = [n for n, a in vectors.items() if len(a) == 3 * U]
    if family != "lstm" or len(single) != 3 and len(triple) != 1:
        return dict(vectors), None
    names = single if len(single) == 3 else triple
    return {n: a for n, a in vectors.items() if n not in names}, numpy.concatenate([vectors[n] for n in names])


def _list_biases(vectors: Mapping[str, Array], paired: Mapping[str, Array], G: int, U: int,
                 ) -> Iterator[tuple[Array | None, Array | None, tuple[str, ...]]]:
    """(b, bR, words) of all that the vectors may be."""
    both = [a.reshape(-1) for a in paired.values()]
    a = numpy.concatenate([numpy.zeros(0), *both, *vectors.values()])
    names = _join_names([*paired, *vectors]) if len(a) else ""
    if not len(a):
        yield None, None, ()
    elif len(a) == G:
        yield a, None, ()
    elif len(a) == 2 * G:
        yield a[:G], a[G:], ()
        yield a[G:], a[:G], (f"{names}: the recurrent bias comes first",)
    elif len(a) == G + U and not paired:          # one more bias, of the candidate
        for extra in [n for n, v in vectors.items() if len(v) == U]:
            b = numpy.concatenate([v for n, v in vectors.items() if n != extra])
            for k in range(G // U):
                bR = numpy.zeros(G)
                bR[k * U:(k + 1) * U] = vectors[extra]
                yield b, bR, (f"{extra} is a recurrent bias",)
