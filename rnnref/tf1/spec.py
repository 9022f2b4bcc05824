"""The parts of a cell of TF 1, and what its steps and loops return."""
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, NamedTuple

from ..arrays import namespace
from ..errors import InvalidValue, NotSupported, ShapeError
from ..tree import Tree, add, first_leaf, leaves


@dataclass
class CellSpec:
    """The parts of a cell of TF."""
    core: Any                                     # the cell of rnnref
    units: Any                                    # its number of units, or a tuple of them for each cell of a stack
    rows: list                                    # the `Variable`s of its parameters
    form: Any = "h"                               # its state, see `tf1.states`
    children: tuple = ()                          # the cells inside
    notes: dict = field(default_factory=dict)     # what only some classes need, such as output_size

    def child_input(self, k: int, x: Tree, p: Tree) -> Tree:
        """An array of the shape of the inputs of child k, for its masks; notes["feeds"](k, width of x) is their width.
        """
        feeds, like = self.notes.get("feeds"), first_leaf(x)
        width = feeds(k, like.shape[-1]) if feeds else None
        if width is None:
            return x
        lead = like.shape[:-1]
        dtype = next((a.dtype for _, a in leaves(p)), like.dtype)
        xp = namespace(like)
        return xp.broadcast_to(xp.zeros((), dtype), (*lead, width))

    @property
    def is_written(self) -> bool:
        """Whether a cell inside is one that a user wrote: its variables are known once it is built."""
        return any(child.is_written or child.spec.is_written for child in self.children)

    def __post_init__(self) -> None:
        twice = sorted(name for name, n in Counter(name for r in self.rows for name in r.names).items() if n > 1)
        if twice:
            raise InvalidValue("RNNCell", f"two variables are called {' '.join(twice)}",
                               hint="cells inside each other whose variables have no scope; TF refuses them too")
        for child in self.children:
            if child.spec_for_width is not None:
                raise NotSupported(type(child).__name__, "inside another cell",
                                   hint="its number of windows depends on the width of its x")


class Gradients(NamedTuple):
    """Gradients of a loss: inputs and state in the form in which they were given, variables by TF's names."""
    inputs: Tree; state: Tree; variables: dict


class Result(tuple):
    """The tuple that TF returns, with a backward pass: `outputs, state = result`."""
    back: Callable[..., Gradients]

    def __new__(cls, items: Iterable, back: Callable[..., Gradients]) -> "Result":
        self = super().__new__(cls, items)
        self.back = back
        return self

    def backward(self, *d: Tree) -> Gradients:
        """backward(d_outputs, d_state): the gradients; those of results that are left out, or None, are zero."""
        if len(d) > len(self):
            raise ShapeError("backward", f"got {len(d)} gradients, expected at most {len(self)}, one for each result")
        return self.back(*d, *(None,) * (len(self) - len(d)))


def sum_gradients(*gradients: dict) -> dict:
    """The sum of dicts {name: gradient}, which may have different names."""
    total: dict = {}
    for by_name in gradients:
        for name, d in by_name.items():
            total[name] = add(total[name], d) if name in total else d
    return total
