"""The place of the paths that hold R on chip for a whole sequence (tiers 2 and 3): not built yet.  (floor 5)"""
from ..errors import NotSupported
from . import choose, sequence


def refuses(cell, call):
    """Always a reason; if the cell and the sizes are no obstacle, then that it is not built."""
    why = sequence.refuses(cell, call)
    if why:
        return why
    why_not = choose.choose(choose.problem_of(cell, call, None)).why_not
    return "; ".join(dict.fromkeys(f"{choose.NAMES[tier]}: {why}" for tier, why in why_not.items()))


def forward(cell, p, xs, s, extra=None, live=None, reverse=False, keep=True):
    raise NotSupported("cuda.onchip", "not built yet", fix="leave the choice of a path to `run`")


def backward(tape, dys, ds):
    raise NotSupported("cuda.onchip", "not built yet")
