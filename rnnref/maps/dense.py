"""Linear maps of vectors.  `kept` of a map has the leading axes of x, so one call serves a step or all of them."""
from dataclasses import dataclass
from typing import Optional

from ..arrays import cast, rows


class Map:
    """forward(p, x) -> a, kept;  backward_x(p, kept, da) -> dx;  backward_p(p, kept, da) -> dp."""

    def axes(self, i, o="G"):
        """The parameters it reads and their axes, for an input axis `i` and an output axis `o`."""
        raise NotImplementedError

    def prepare(self, p):
        """What can be done to the parameters once, before the loop: q, and what the way back needs."""
        return p, None

    def prepare_back(self, p, kept, dq):
        return dq


@dataclass(frozen=True)
class Dense(Map):
    """a = x W (+ b), for the parameters of these names."""
    W: str
    b: Optional[str] = None

    def axes(self, i, o="G"):
        return {self.W: f"{i} {o}"} | ({self.b: o} if self.b else {})

    def forward(self, p, x):
        a = cast(x @ p[self.W], x)                # NumPy gives float32 for bfloat16
        return (a + p[self.b] if self.b else a), x

    def backward_x(self, p, x, da):
        return cast(da @ p[self.W].T, da)

    def backward_p(self, p, x, da):
        return {self.W: rows(x).T @ rows(da)} | ({self.b: rows(da).sum(0)} if self.b else {})
