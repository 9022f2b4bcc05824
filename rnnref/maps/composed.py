"""Maps made of maps: one after another, one beside its own input, one for each item of a tuple."""
from dataclasses import dataclass
from typing import Any

from ..arrays import namespace
from ..elementwise import get_activation
from ..errors import ShapeError
from ..tree import add
from .dense import Map


@dataclass(frozen=True)
class Chain(Map):
    """a = then(activation(first(x))), where the result of `first` is U wide."""
    first: Any
    then: Any
    activation: Any = "linear"

    def __post_init__(self):
        object.__setattr__(self, "activation", get_activation(self.activation))

    def axes(self, i, o="G"):
        return self.first.axes(i, "U") | self.then.axes("U", o)

    def check_sizes(self, who, i, sizes, o="G"):
        self.first.check_sizes(who, i, sizes, "U")
        self.then.check_sizes(who, "U", sizes, o)

    def forward(self, p, x):
        a, k = self.first.forward(p, x)
        z, pre = self.activation.forward(a)
        a, kz = self.then.forward(p, z)
        return a, (k, z, pre, kz)

    def backward_x(self, p, kept, da):
        return self.first.backward_x(p, kept[0], self._hidden_gradient(p, kept, da))

    def backward_p(self, p, kept, da):
        return self.first.backward_p(p, kept[0], self._hidden_gradient(p, kept, da)) | self.then.backward_p(p, kept[3], da)

    def _hidden_gradient(self, p, kept, da):
        _, z, pre, kz = kept
        return self.activation.backward(z, pre, self.then.backward_x(p, kz, da))

    def prepare(self, p):
        p, k1 = self.first.prepare(p)
        p, k2 = self.then.prepare(p)
        return p, (k1, k2)

    def prepare_backward(self, p, kept, dq):
        return self.first.prepare_backward(p, kept[0], self.then.prepare_backward(p, kept[1], dq))


@dataclass(frozen=True)
class ConcatInput(Map):
    """a = [map(x), x]: for rules that carry x itself on, as a highway does.  x is as wide as the units."""
    map: Any

    def axes(self, i, o="G"):
        return self.map.axes(i, o)

    def check_sizes(self, who, i, sizes, o="G"):
        self.map.check_sizes(who, i, sizes, o)
        if sizes[i].n != sizes["U"].n:
            raise ShapeError(who, f"x is carried on to the output, and {sizes[i].n} inputs meet {sizes['U'].n} units",
                             axes=f"{i} = {sizes[i].n} and U = {sizes['U'].n}")

    def forward(self, p, x):
        a, k = self.map.forward(p, x)
        return namespace(x).concatenate([a, x], -1), (k, x)

    def backward_x(self, p, kept, da):
        n = da.shape[-1] - kept[1].shape[-1]
        return self.map.backward_x(p, kept[0], da[..., :n]) + da[..., n:]

    def backward_p(self, p, kept, da):
        return self.map.backward_p(p, kept[0], da[..., :da.shape[-1] - kept[1].shape[-1]])

    def prepare(self, p):
        return self.map.prepare(p)

    def prepare_backward(self, p, kept, dq):
        return self.map.prepare_backward(p, kept, dq)


@dataclass(frozen=True)
class Sum(Map):
    """a = map_0(x_0) + map_1(x_1) + ... for an x that is a tuple."""
    maps: tuple

    @property
    def n_items(self):
        return len(self.maps)

    def axes(self, i, o="G"):
        return {name: axes for k, m in enumerate(self.maps) for name, axes in m.axes(f"{i}{k}", o).items()}

    def check_sizes(self, who, i, sizes, o="G"):
        for k, m in enumerate(self.maps):
            m.check_sizes(who, f"{i}{k}", sizes, o)

    def forward(self, p, xs):
        parts, kept = zip(*(m.forward(p, x) for m, x in zip(self.maps, xs)))
        return sum(parts[1:], parts[0]), kept

    def backward_x(self, p, kept, da):
        return tuple(m.backward_x(p, k, da) for m, k in zip(self.maps, kept))

    def backward_p(self, p, kept, da):
        dp = {}
        for m, k in zip(self.maps, kept):
            for name, d in m.backward_p(p, k, da).items():
                dp[name] = add(dp.get(name), d)
        return dp

    def prepare(self, p):
        kept = []
        for m in self.maps:
            p, k = m.prepare(p)
            kept.append(k)
        return p, tuple(kept)

    def prepare_backward(self, p, kept, dq):
        for m, k in zip(self.maps, kept):
            dq = m.prepare_backward(p, k, dq)
        return dq
