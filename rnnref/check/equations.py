"""One layer in one direction as its gate blocks and options: what a wrong convention permutes, drops or transposes."""
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..cells.catalog import GRU, LSTM, SimpleRNN
from ..errors import NotSupported
from ..interop import LAYOUTS, traits
from ..tree import Tree

_CELLS: dict[str, Any] = {"rnn": SimpleRNN, "lstm": LSTM, "gru": GRU}
_FAMILIES = {"activation": "rnn", "reset": "gru", "output": "lstm"}           # by an option that only they have
_BLOCKS = ("W", "R", "b", "bR")
GATES = {"rnn": "h", "lstm": "ifgo", "gru": "rzn"}


class Equations(NamedTuple):
    """The gate blocks and the options of a SimpleRNN, LSTM or GRU of the catalog.

    blocks   {"W": {"i": [I, U], ...}, "R": {"i": [H, U], ...}, "b": ..., "bR": ..., "Wp": {"i": [U]},
              "P": {"": [U, H]}}
    """
    family: str                                   # "rnn", "lstm" or "gru"
    options: dict[str, Any]                       # of the cell, by their names in the catalog
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
        """The cell of the catalog, and its parameters."""
        given = {"bias": "b" in self.blocks, "recurrent_bias": "bR" in self.blocks}
        options = self.options | given | ({"peepholes": "Wp" in self.blocks} if self.family == "lstm" else {})
        p = {}
        for name, blocks in self.blocks.items():
            if name == "Wp":
                p |= {"Wp" + g: a for g, a in blocks.items()}
            else:
                p[name] = blocks[""] if name == "P" else self.stack(name)
        return _CELLS[self.family](**options), p


def read_equations(cell: Any, p: Tree) -> Equations | None:
    """The equations of a cell with its parameters; None for a cell that is no SimpleRNN, LSTM or GRU of the catalog."""
    try:
        options = traits(cell)
    except NotSupported:
        return None
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
