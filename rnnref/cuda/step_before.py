"""What a step launches where the reset stands before the product.  (floor 5)

    ahead    h R of the gates r and z; one kernel: these, and r h; (r h) R of n; one kernel: n, h, the output
    back     one kernel: gradients of z and n; dn R'; one kernel: that of r, and of h; one product: dh += dg R'

Only sums are seen: products are added to x W, each to the blocks of its gates, and read the gradients of these where
they lie.
"""
from typing import Any, NamedTuple

from ..arrays import cast, namespace, as_matrix
from . import before, sequence
from .before import parted
from .hold import arithmetic
from .products import product, repeated, summed
from .sequence import mode_of, plain, prevented
from .series import series, still

gradients, finished = sequence.gradients, sequence.finished


class Own(NamedTuple):
    rh: Any                                       # r h, as products take it
    kept: Any                                     # r z n: on the tape, or of one step


def refuses(cell, call):
    """None, or why this cell is not run step by step."""
    return prevented(call, cell.inputs, cell.recurrent) or before.refuses(cell)


def maps(cell):
    return (cell.recurrent,)


class Tape(sequence.Tape):
    text = property(lambda self: plain(self.cell))

    def of_step(self, t):
        h = self.states(t)[0][0]
        return before.views(self.kept_all[t], h, h, cast(self.own.rh[t], h))

    def of_recurrent(self, da):
        m, xp, dtype = self.cell.recurrent, namespace(da), self.p[self.cell.recurrent.W].dtype
        dR = xp.empty(self.p[m.W].shape, dtype)
        for took, d, out in zip((self.beside(self.took, 0), self.own.rh), parted(da), parted(dR)):
            product(as_matrix(took).T, as_matrix(d), mode_of(self.cell), out)
        return {m.W: dR} | ({m.b: summed(as_matrix(da), dtype)} if m.b else {})


def opened(cell, p, kx, s, live, order, keep, ax):
    tape = sequence.opened(cell, p, kx, s, live, order, keep, ax, Tape, before.STORED)
    xp, (*lead, n), T = namespace(ax), s[0].shape, len(order) if keep else 1
    kept = tape.kept_all if keep else xp.empty((1, *lead, before.STORED, n), arithmetic(before.WHO, ax.dtype))
    return tape._replace(own=Own(xp.empty((T, *lead, n), tape.took.dtype), kept))


def ahead(tape, weights, ax, ys, by=None):
    own, first, T, mode = tape.own, tape.order[0], len(ax), mode_of(tape.cell)
    (Rg, Rn), (ag, an), (was, now) = parted(weights[tape.cell.recurrent.W]), parted(ax), tape.places(first)

    def reset(ax, h0, live, out, launch):
        before.reset(ax, None, h0, live, out, launch)

    def renew(ax, h0, kept, live, out, launch):
        before.renew(ax, None, h0, kept, live, out, launch)
    given, kept = {"ax": (ax, first), "h0": (tape.hs, was)}, {"kept": (own.kept, first)}
    return (repeated(tape.took, Rg, ag, mode, True, T, tape.places(0)[0], by),
            series(reset, tape.order, tape.live, given, kept | {"rh": (own.rh, first)}),
            repeated(own.rh, Rn, an, mode, True, T, 0, by),
            series(renew, tape.order, tape.live, given | kept,
                   {"h": (tape.hs, now), "y": (ys, first), "sent": (tape.sent, now)}))


def back(tape, weights, dys, d, grads, by=None):
    (dax, *_), order, T, mode = grads, tape.order[::-1], len(dys), mode_of(tape.cell)
    (Rg, Rn), (dg, dn), last = parted(weights[tape.cell.recurrent.W]), parted(dax), order[0]
    drh, dh = namespace(dys).empty((1, *dys.shape[1:]), dys.dtype), still(d.h)
    given = {"kept": (tape.kept_all, last), "h0": (tape.hs, tape.places(last)[0]), "dy": (dys, last), "dh": dh}
    return (series(before.renew_back, order, tape.live, given, {"dax": (dax, last)}),
            repeated(dn, Rn.T, drh, mode, False, T, 0, by),
            series(before.reset_back, order, tape.live, given | {"drh": (drh, 0), "dax": (dax, last)}, {"dh": dh}),
            repeated(dg, Rg.T, dh[0], mode, True, T, 0, by))
