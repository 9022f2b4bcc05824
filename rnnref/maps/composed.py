"""Maps made of maps: around one map, a chain, a map beside its own input, a sum over a tuple of inputs."""
from dataclasses import dataclass
from typing import Any

from ..arrays import Array, cast, namespace, upcast
from ..elementwise import get_activation
from ..errors import ShapeError
from ..tree import Tree, add
from .dense import Map


class MapAround(Map):
    """Base class of a map around one map, whose parameters, sizes and preparation it has unless it says otherwise."""
    map: Any

    @property
    def space(self) -> int:
        return self.map.space

    def output_extent(self, extent: tuple) -> tuple:
        return self.map.output_extent(extent)

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return self.map.axes(i, o)

    def check_sizes(self, who: str, i: str, sizes: dict, o: str = "G") -> None:
        self.map.check_sizes(who, i, sizes, o)

    def prepare(self, p: Tree) -> tuple[Tree, Any]:
        return self.map.prepare(p)

    def prepare_backward(self, p: Tree, kept: Any, dq: Tree) -> Tree:
        return self.map.prepare_backward(p, kept, dq)


@dataclass(frozen=True)
class Chain(Map):
    """Two maps in a chain: a = then(activation(first(x))), where `first` maps to U units.

    The activation is computed in float32 at least, as those of rules are.
    """
    first: Any
    then: Any
    activation: Any = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "activation", get_activation(self.activation))

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return self.first.axes(i, "U") | self.then.axes("U", o)

    def check_sizes(self, who: str, i: str, sizes: dict, o: str = "G") -> None:
        self.first.check_sizes(who, i, sizes, "U")
        self.then.check_sizes(who, "U", sizes, o)

    def forward(self, p: Tree, x: Array) -> tuple[Array, Any]:
        a, k = self.first.forward(p, x)
        z, pre = self.activation.forward(upcast(a))
        a, kz = self.then.forward(p, cast(z, a))
        return a, (k, z, pre, kz)

    def backward_x(self, p: Tree, kept: Any, da: Array) -> Array:
        return self.first.backward_x(p, kept[0], self._hidden_gradient(p, kept, da))

    def backward_p(self, p: Tree, kept: Any, da: Array) -> Tree:
        dz = self._hidden_gradient(p, kept, da)
        return self.first.backward_p(p, kept[0], dz) | self.then.backward_p(p, kept[3], da)

    def _hidden_gradient(self, p: Tree, kept: Any, da: Array) -> Array:
        _, z, pre, kz = kept
        return cast(self.activation.backward(z, pre, upcast(self.then.backward_x(p, kz, da))), da)

    def prepare(self, p: Tree) -> tuple[Tree, Any]:
        p, k1 = self.first.prepare(p)
        p, k2 = self.then.prepare(p)
        return p, (k1, k2)

    def prepare_backward(self, p: Tree, kept: Any, dq: Tree) -> Tree:
        return self.first.prepare_backward(p, kept[0], self.then.prepare_backward(p, kept[1], dq))


@dataclass(frozen=True)
class ConcatInput(MapAround):
    """A map beside its own input, a = [map(x), x], for rules that need x itself, such as a highway.  Here I = U."""
    map: Any

    def check_sizes(self, who: str, i: str, sizes: dict, o: str = "G") -> None:
        super().check_sizes(who, i, sizes, o)
        if sizes[i].n != sizes["U"].n:
            raise ShapeError(who, f"{sizes[i].n} inputs and {sizes['U'].n} units, expected equal numbers: "
                                  "x goes into the output",
                             axes=f"{i} = {sizes[i].n} and U = {sizes['U'].n}")

    def forward(self, p: Tree, x: Array) -> tuple[Array, Any]:
        a, k = self.map.forward(p, x)
        return namespace(x).concatenate([a, x], -1), (k, x)

    def backward_x(self, p: Tree, kept: Any, da: Array) -> Array:
        n = da.shape[-1] - kept[1].shape[-1]
        return self.map.backward_x(p, kept[0], da[..., :n]) + da[..., n:]

    def backward_p(self, p: Tree, kept: Any, da: Array) -> Tree:
        return self.map.backward_p(p, kept[0], da[..., :da.shape[-1] - kept[1].shape[-1]])


@dataclass(frozen=True)
class Sum(Map):
    """A map for each item of a tuple x, and their sum: a = map_0(x_0) + map_1(x_1) + ..."""
    maps: tuple

    @property
    def n_items(self) -> int:
        return len(self.maps)

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return {name: axes for k, m in enumerate(self.maps) for name, axes in m.axes(f"{i}{k}", o).items()}

    def check_sizes(self, who: str, i: str, sizes: dict, o: str = "G") -> None:
        for k, m in enumerate(self.maps):
            m.check_sizes(who, f"{i}{k}", sizes, o)

    def forward(self, p: Tree, xs: tuple) -> tuple[Array, Any]:
        parts, kept = zip(*(m.forward(p, x) for m, x in zip(self.maps, xs)))
        return sum(parts[1:], parts[0]), kept

    def backward_x(self, p: Tree, kept: tuple, da: Array) -> tuple:
        return tuple(m.backward_x(p, k, da) for m, k in zip(self.maps, kept))

    def backward_p(self, p: Tree, kept: Any, da: Array) -> Tree:
        dp = {}
        for m, k in zip(self.maps, kept):
            for name, d in m.backward_p(p, k, da).items():
                dp[name] = add(dp.get(name), d)
        return dp

    def prepare(self, p: Tree) -> tuple[Tree, Any]:
        kept = []
        for m in self.maps:
            p, k = m.prepare(p)
            kept.append(k)
        return p, tuple(kept)

    def prepare_backward(self, p: Tree, kept: Any, dq: Tree) -> Tree:
        for m, k in zip(self.maps, kept):
            dq = m.prepare_backward(p, k, dq)
        return dq
