"""Rules and cells whose pointwise parts are one CUDA kernel each.

Each class has the options and the results of the one that it replaces, its `plain`; `loops.plan` chooses it for arrays
on a GPU.
"""
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from ..arrays import Array, cast, upcast
from ..cell import State
from ..cells.gru_before import GRUBefore
from ..rules.elman import ElmanRule
from ..rules.gru import GRURule
from ..rules.lstm import LSTMRule
from ..tree import map_structure
from . import pointwise, reset_before


class KernelRule:
    """A rule whose forward and backward are one launch each."""
    refuses = staticmethod(pointwise.refuses)

    def forward(self, p: dict, ax: Array, ah: Any, s: State) -> tuple[Array, State, Any]:
        """pointwise.forward."""
        return pointwise.forward(self, p, ax, ah, s)

    def backward(self, p: dict, k: Any, dy: Optional[Array], d: State) -> tuple[Array, Array, State, dict]:
        """pointwise.backward."""
        return pointwise.backward(self, p, k, dy, d)


@dataclass(frozen=True)
class CudaElmanRule(KernelRule, ElmanRule):
    plain: ClassVar = ElmanRule


@dataclass(frozen=True)
class CudaGRURule(KernelRule, GRURule):
    plain: ClassVar = GRURule
    name = GRURule().name


@dataclass(frozen=True)
class CudaLSTMRule(KernelRule, LSTMRule):
    plain: ClassVar = LSTMRule
    name = LSTMRule().name


@dataclass(frozen=True)
class CudaGRUBefore(GRUBefore):
    plain: ClassVar = GRUBefore
    refuses = staticmethod(reset_before.refuses)

    def step(self, p: dict, ax: Array, s: State) -> tuple[Array, State, Any]:
        ag, gates = self.recurrent.forward(self.block_parameters(p, 0, 2), s.h)
        rh, kept = reset_before.reset(ax, ag, s.h)
        an, new = self.recurrent.forward(self.block_parameters(p, 2, 3), rh)
        y, h = reset_before.renew(ax, an, s.h, kept)
        return y, type(s)(h), reset_before.kept_views(kept, s.h, gates, new)

    def step_backward(self, p: dict, k: Any, dy: Array, dnew: State) -> tuple[Array, State, Any]:
        dax = reset_before.renew_backward(k, k.h0, dy, dnew.h)
        dg, dn = reset_before.split_gates(dax)
        drh = self.recurrent.backward_x(self.block_parameters(p, 2, 3), k.new, dn)
        dh = reset_before.reset_backward(k, k.h0, dy, dnew.h, drh, dax)
        dh = upcast(dh) + upcast(self.recurrent.backward_x(self.block_parameters(p, 0, 2), k.gates, dg))
        return dax, map_structure(cast, type(dnew)(dh), dnew), (k.gates, dg, k.new, dn)
