"""Rules, and the cell that no rule says, with one kernel for each of their pointwise parts.  (floor 5)

A twin has the options and the results of its plain text and is chosen by `fused.plan` for arrays on the GPU.
"""
from dataclasses import dataclass
from typing import ClassVar

from ..arrays import cast, upcast
from ..cells.gru_before import GRUBefore
from ..rules.elman import ElmanRule
from ..rules.gru import GRURule
from ..rules.lstm import LSTMRule
from ..tree import map_structure
from . import pointwise, reset_before


class KernelRule:
    """What is the same for all rules."""
    refuses = staticmethod(pointwise.refuses)

    def forward(self, p, ax, ah, s):
        return pointwise.forward(self, p, ax, ah, s)

    def backward(self, p, k, dy, d):
        return pointwise.backward(self, p, k, dy, d)


@dataclass(frozen=True)
class CudaElmanRule(KernelRule, ElmanRule):
    plain: ClassVar = ElmanRule


@dataclass(frozen=True)
class CudaGRURule(KernelRule, GRURule):
    plain: ClassVar = GRURule


@dataclass(frozen=True)
class CudaLSTMRule(KernelRule, LSTMRule):
    plain: ClassVar = LSTMRule


@dataclass(frozen=True)
class CudaGRUBefore(GRUBefore):
    plain: ClassVar = GRUBefore
    refuses = staticmethod(reset_before.refuses)

    def step(self, p, ax, s):
        ag, gates = self.recurrent.forward(self.block_parameters(p, 0, 2), s.h)
        rh, kept = reset_before.reset(ax, ag, s.h)
        an, new = self.recurrent.forward(self.block_parameters(p, 2, 3), rh)
        y, h = reset_before.renew(ax, an, s.h, kept)
        return y, type(s)(h), reset_before.kept_views(kept, s.h, gates, new)

    def step_backward(self, p, k, dy, dnew):
        dax = reset_before.renew_backward(k, k.h0, dy, dnew.h)
        dg, dn = reset_before.split_gates(dax)
        drh = self.recurrent.backward_x(self.block_parameters(p, 2, 3), k.new, dn)
        dh = reset_before.reset_backward(k, k.h0, dy, dnew.h, drh, dax)
        dh = upcast(dh) + upcast(self.recurrent.backward_x(self.block_parameters(p, 0, 2), k.gates, dg))
        return dax, map_structure(cast, type(dnew)(dh), dnew), (k.gates, dg, k.new, dn)
