"""Base classes of wrappers, cells that hold one cell."""
from typing import Any

from ..cell import Cell, State, find_missing
from ..errors import NotSupported, ShapeError
from ..shapes import ArraySpec, check_floating, expect
from ..tree import Tree


class Wrapper(Cell):
    """A cell around one cell, with its parameters, its state and its sizes unless a subclass changes them."""
    cell: Any

    @property
    def name(self) -> str:
        return f"{type(self).__name__}({self.cell.name})"

    @property
    def gates(self) -> str:
        return self.cell.gates

    def axes(self) -> Any:
        return self.cell.axes()

    def shapes(self, n_in: Any, units: Any) -> Any:
        return self.cell.shapes(n_in, units)

    def n_in(self, x: Tree) -> Any:
        return self.cell.n_in(x)

    def lead(self, rows: tuple) -> Any:
        return self.cell.lead(rows)

    def zeros(self, *sizes: Any, **place: Any) -> State:
        return self.cell.zeros(*sizes, **place)

    def width(self, units: Any) -> int:
        return self.cell.width(units)

    def units(self, p: Tree) -> Any:
        if find_missing(self.cell, "units"):
            raise NotSupported(self.name, "the number of units is not known: the cell has no units(p)",
                               fix="give the first state")
        return self.cell.units(p)

    def prepare(self, p: Tree, extra: Tree = None) -> tuple[Tree, Tree, Any]:
        return self.cell.prepare(p, extra)

    def prepare_backward(self, p: Tree, kept: Any, dp: Tree, dextra: Tree) -> tuple[Tree, Tree]:
        return self.cell.prepare_backward(p, kept, dp, dextra)

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        return self.cell.check(p, x, s, extra, lead)


class ParametricWrapper(Wrapper):
    """A wrapper with parameters of its own, in one dict with those of its cell.

    The parameters of the cell lie under "cell" where they are a tuple or share a name with the wrapper's.
    """

    def own_axes(self) -> dict[str, str]:
        """Names and axes of the parameters of the wrapper itself."""
        raise NotImplementedError

    def own_shapes(self, n_in: Any, units: Any) -> tuple[dict, Any]:
        """The shapes of the parameters of the wrapper itself, and the number of inputs of its cell."""
        raise NotImplementedError

    def axes(self) -> Any:
        return self.join(self.own_axes(), self.cell.axes())

    def shapes(self, n_in: Any, units: Any) -> Any:
        own, n_in = self.own_shapes(n_in, units)
        return self.join(own, self.cell.shapes(n_in, units))

    def units(self, p: Tree) -> Any:
        return self.cell.units(self.split(p)[1])

    def split(self, p: Tree) -> tuple[dict, Tree]:
        """(the parameters of the wrapper itself, those of its cell)."""
        own = self.own_axes()
        missing = [name for name in own if not isinstance(p, dict) or name not in p]
        if missing:
            raise ShapeError(self.name, f"parameters: {' '.join(missing)} missing",
                             names=f"those of the wrapper are {' '.join(own)}")
        rest = {name: a for name, a in p.items() if name not in own}
        return {name: p[name] for name in own}, rest["cell"] if rest.keys() == {"cell"} else rest

    def join(self, own: dict, inner: Tree) -> Tree:
        """The inverse of split: one dict, with the parameters of the cell under "cell" where that is needed."""
        flat = isinstance(inner, dict) and not own.keys() & inner.keys()
        return own | (inner if flat else {"cell": inner})

    def prepare(self, p: Tree, extra: Tree = None) -> tuple[Tree, Tree, Any]:
        own, inner = self.split(p)
        inner, extra, kept = self.cell.prepare(inner, extra)
        return self.join(own, inner), extra, kept

    def prepare_backward(self, p: Tree, kept: Any, dp: Tree, dextra: Tree) -> tuple[Tree, Tree]:
        own, inner = self.split(dp)
        inner, dextra = self.cell.prepare_backward(self.split(p)[1], kept, inner, dextra)
        return self.join(own, inner), dextra

    def check_own(self, p: Tree, x: Any, sizes: dict) -> None:
        """Raise unless the parameters of the wrapper have these sizes and the dtype of x (None: any floating dtype)."""
        own, _ = self.split(p)
        for name, a in own.items():
            check_floating(self.name, name, a, x.dtype if x is not None else None)
            expect(self.name, name, a, self.own_axes()[name], sizes)


def replace_width(x: Any, n: int, name: str) -> ArraySpec:
    """The shape and dtype of x, with a last axis of `n`, under this name in messages."""
    return ArraySpec((*x.shape[:-1], n), x.dtype, name)
