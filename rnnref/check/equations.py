"""One layer in one direction as its gate blocks and options: what a wrong convention permutes, drops or transposes."""
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..cell import ProjectedCell
from ..cells.catalog import GRU, LSTM, SimpleRNN
from ..errors import NotSupported
from ..interop import LAYOUTS, traits
from ..maps.dense import Dense
from ..maps.normed import LayerNorm
from ..rules.elman import ElmanRule
from ..rules.gru import GRURule
from ..rules.layer_norm import CellNormLSTMRule, LayerNormRule
from ..rules.lstm import LSTMRule
from ..tree import Tree
from .normed_cells import Norm, make_normed_cell

_CELLS: dict[str, Any] = {"rnn": SimpleRNN, "lstm": LSTM, "gru": GRU}
_FAMILIES = {"activation": "rnn", "reset": "gru", "output": "lstm"}           # by an option that only they have
_BLOCKS = ("W", "R", "b", "bR")
VECTORS = ("b", "bR", "gain", "gain_r", "shift")  # with an entry for every unit of every gate
_RULE_FAMILIES: dict[Any, str] = {ElmanRule: "rnn", LSTMRule: "lstm", CellNormLSTMRule: "lstm", GRURule: "gru"}
_NOT_OF_RULES = ("norm", "projection", "projection_clip", "reset", "residual")
GATES = {"rnn": "h", "lstm": "ifgo", "gru": "rzn"}


class Equations(NamedTuple):
    """The gate blocks and the options of a SimpleRNN, LSTM or GRU of the catalog.

    blocks   {"W": {"i": [I, U], ...}, "R": {"i": [H, U], ...}, "b": ..., "bR": ..., "Wp": {"i": [U]},
              "P": {"": [U, H]}}; with layer normalisation "gain", "gain_r" and "shift" as b, and
              "c": {"gain_c": [U], "shift_c": [U]}
    """
    family: str                                   # "rnn", "lstm" or "gru"
    options: dict[str, Any]                       # of the cell, by their names in the catalog; "norm": a `Norm`
    blocks: dict[str, dict[str, Array]]

    def replace(self, **blocks: dict[str, Array]) -> "Equations":
        """The same with other blocks; an empty dict removes them."""
        return self._replace(blocks={n: a for n, a in (self.blocks | blocks).items() if a})

    def choose(self, **options: Any) -> "Equations":
        """The same with other options."""
        return self._replace(options=self.options | options)

    @property
    def gates(self) -> str:
        """The gates that have blocks, in our order."""
        return "".join(g for g in GATES[self.family] if g in self.blocks["W"])

    @property
    def norm(self) -> Norm | None:
        """How it is normalised; None for a layer without layer normalisation."""
        return self.options.get("norm")

    @property
    def sizes(self) -> tuple[int, int, int]:
        """(I, H, U)."""
        W, R = (next(iter(self.blocks[n].values())) for n in "WR")
        return W.shape[0], R.shape[0], W.shape[1]

    def stack(self, name: str, gates: str = "") -> Array:
        """The blocks of an array side by side, in our order or in that of `gates`."""
        return numpy.concatenate([self.blocks[name][g] for g in gates or self.gates], -1)

    def cut(self, a: Array, gates: str = "") -> dict[str, Array]:
        """An array [..., G] as blocks by gate."""
        gates = gates or self.gates
        return dict(zip(gates, numpy.split(a, len(gates), -1)))

    def make_cell(self) -> tuple[Any, Tree]:
        """The cell, of the catalog or with another layer normalisation, and its parameters."""
        if self.norm is not None:
            return self._make_normed()
        given = {"bias": "b" in self.blocks, "recurrent_bias": "bR" in self.blocks}
        options = self.options | given | ({"peepholes": "Wp" in self.blocks} if self.family == "lstm" else {})
        p = {}
        for name, blocks in self.blocks.items():
            if name == "Wp":
                p |= {"Wp" + g: a for g, a in blocks.items()}
            else:
                p[name] = blocks[""] if name == "P" else self.stack(name)
        return _CELLS[self.family](**options), p

    def _make_normed(self) -> tuple[Any, Tree]:
        norm, options = self.options["norm"], {n: v for n, v in self.options.items() if n not in _NOT_OF_RULES}
        if not norm.sides:                        # without any: a shift is the bias of the sum
            plain = self.replace(gain={}, gain_r={}, c={}, shift={}, **(
                {"b": self.blocks["shift"]} if "shift" in self.blocks else {}))
            return plain._replace(options=options | {n: self.options[n] for n in _NOT_OF_RULES[1:]
                                                     if n in self.options}).make_cell()
        if self.family == "lstm":
            options["peepholes"] = "Wp" in self.blocks
        names = ("W", "R", *(("gain", "shift") if norm.sides == "sum" else ("gain", "gain_r", "b", "bR")))
        zero = {g: numpy.zeros_like(a) for g, a in self.blocks["gain"].items()}              # of biases left out
        whole = self.replace(**{n: self.blocks.get(n, zero) for n in names})
        p = {n: whole.stack(n) for n in names} | {f"Wp{g}": a for g, a in self.blocks.get("Wp", {}).items()}
        p |= self.blocks.get("c", {}) if norm.cell else {}
        cell: Any = make_normed_cell(self.family, norm, options)
        if "P" not in self.blocks:
            return cell, p
        clip = self.options["projection_clip"]
        return ProjectedCell(cell, projection=self.options["projection"], clip=clip), p | {"P": self.blocks["P"][""]}


def read_equations(cell: Any, p: Tree) -> Equations | None:
    """The equations of a cell with its parameters; None for a cell that is no SimpleRNN, LSTM or GRU of the catalog."""
    try:
        options = traits(cell)
    except NotSupported:
        return _read_normed(cell, p)
    family = next((family for option, family in _FAMILIES.items() if option in options), "")
    if not family or "kernel" in options or tuple(cell.gates) != tuple(g for g in GATES[family] if g in cell.gates):
        return None
    blocks: dict[str, dict[str, Array]] = {}
    for name in p:
        if name.startswith("Wp"):
            blocks.setdefault("Wp", {})[name[2:]] = p[name]
        elif name == "P":
            blocks["P"] = {"": p[name]}
        else:
            blocks[name] = dict(zip(cell.gates, numpy.split(p[name], len(cell.gates), -1)))
    if "keeps" in options or not {"W", "R"} <= blocks.keys() <= {*_BLOCKS, "Wp", "P"}:
        return None
    dropped = ("bias", "recurrent_bias", "peepholes")
    return Equations(family, {n: v for n, v in options.items() if n not in dropped}, blocks)


def _read_normed(cell: Any, p: Tree) -> Equations | None:
    """The equations of a cell with layer normalisation; None for any other cell."""
    inner: Any = cell.cell if isinstance(cell, ProjectedCell) else cell
    rule: Any = getattr(inner, "rule", None)
    x, h = (getattr(inner, name, None) for name in ("inputs", "recurrent"))
    if isinstance(x, LayerNorm) and isinstance(h, LayerNorm):
        maps, sides, together, epsilon = (x.map, h.map), "each", x.blocks == 1, x.epsilon
        known = (x.blocks, x.epsilon, x.gain, h.gain) == (h.blocks, h.epsilon, "gain", "gain_r")
    elif isinstance(rule, LayerNormRule):
        maps, sides, together, epsilon, known = (x, h), "sum", False, rule.epsilon, rule.gain == "gain"
        rule = rule.rule
    else:
        return None
    family = _RULE_FAMILIES.get(type(rule))
    if not known or maps != (Dense("W"), Dense("R")) or family is None or not {"W", "R", "gain"} <= p.keys():
        return None
    gates = "".join(rule.gates)
    norm = Norm(sides, (gates,) * (together and len(gates) > 1), epsilon,
                "state" if isinstance(rule, CellNormLSTMRule) else "")
    options = {n: v for n, v in vars(rule).items() if n not in ("epsilon", "gain_c", "shift_c", "peepholes")}
    own: dict[str, dict[str, Any]] = {"rnn": {"residual": False}, "gru": {"reset": "after"}, "lstm": {
        "projection": getattr(cell, "projection", None), "projection_clip": getattr(cell, "clip", None)}}
    options |= {"norm": norm} | own[family]
    blocks: dict[str, dict[str, Array]] = {}
    for name, a in p.items():
        if name.startswith("Wp"):
            blocks.setdefault("Wp", {})[name[2:]] = a
        elif name in ("gain_c", "shift_c"):
            blocks.setdefault("c", {})[name] = a
        else:
            blocks[name] = {"": a} if name == "P" else dict(zip(gates, numpy.split(a, len(gates), -1)))
    for name in ("shift",) if sides == "sum" else ("b", "bR"):
        blocks.setdefault(name, {g: numpy.zeros_like(a) for g, a in blocks["gain"].items()})
    return Equations(family, options, blocks)


def frameworks_of(family: str, order: str, name: str = "W") -> str:
    """The frameworks that keep the gate blocks in this order: "torch, Keras"; "" if none does."""
    shown = {"torch": "torch", "keras": "Keras", "tf1": "TF 1", "onnx": "ONNX", "flax": "flax"}
    found = []
    for (own, framework), layout in LAYOUTS.items():
        rows = [row for row in layout.rows if row.ours.startswith(name)]
        gates = "" if not rows else rows[0].gates if name == "Wp" else layout.gates
        if own.partition(" ")[0] == family and framework in shown and gates == order:
            found.append(shown[framework])
    return ", ".join(dict.fromkeys(found))
