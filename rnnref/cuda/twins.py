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
from . import before, pointwise


class Twin:
    """What is the same for all rules."""
    refuses = staticmethod(pointwise.refuses)

    def forward(self, p, ax, ah, s):
        return pointwise.forward(self, p, ax, ah, s)

    def backward(self, p, k, dy, d):
        return pointwise.backward(self, p, k, dy, d)


@dataclass(frozen=True)
class CudaElman(Twin, ElmanRule):
    plain: ClassVar = ElmanRule


@dataclass(frozen=True)
class CudaGRU(Twin, GRURule):
    plain: ClassVar = GRURule


@dataclass(frozen=True)
class CudaLSTM(Twin, LSTMRule):
    plain: ClassVar = LSTMRule


@dataclass(frozen=True)
class CudaGRUBefore(GRUBefore):
    plain: ClassVar = GRUBefore
    refuses = staticmethod(before.refuses)

    def step(self, p, ax, s):
        ag, gates = self.recurrent.forward(self.blocks(p, 0, 2), s.h)
        rh, kept = before.reset(ax, ag, s.h)
        an, new = self.recurrent.forward(self.blocks(p, 2, 3), rh)
        y, h = before.renew(ax, an, s.h, kept)
        return y, type(s)(h), before.views(kept, s.h, gates, new)

    def step_backward(self, p, k, dy, dnew):
        dax = before.renew_back(k, k.h0, dy, dnew.h)
        dg, dn = before.parted(dax)
        drh = self.recurrent.backward_x(self.blocks(p, 2, 3), k.new, dn)
        dh = before.reset_back(k, k.h0, dy, dnew.h, drh, dax)
        dh = upcast(dh) + upcast(self.recurrent.backward_x(self.blocks(p, 0, 2), k.gates, dg))
        return dax, map_structure(cast, type(dnew)(dh), dnew), (k.gates, dg, k.new, dn)
