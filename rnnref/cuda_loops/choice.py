"""The decision rule: which tier a sequence runs in, and why not in a faster one.  Pure functions of numbers.  (floor 5)

    tier 3  groups of blocks over the whole card hold R, with a barrier in each group        not built
    tier 2  clusters of blocks hold R, each for some rows of the batch (tiling.py says how)
    tier 1  stepped: a product and a pointwise kernel for each step
    tier 0  the text as it is written, on CuPy, with a kernel for each rule that has one

Holding R on chip wins where a step is too short for two launches and R is small enough.  Where that is, is estimated
from data sheets and from what others have published; we have measured none of it yet.

Tier 3 is for R of 9 to 24 MB, too large for a cluster and still small for a card.  It stands and falls with the time of
a barrier through the second cache (published: 1 to 1.5 microseconds, of a step of 3 to 5) and with how fast h comes
from there.  `make probe-gpu` measures both; until it has, tier 1 runs these sizes.
"""
from functools import lru_cache
from typing import Any, NamedTuple

from ..cuda.devices import find_nearest_sm
from ..cuda.precision import MODES
from ..cuda.source import CPP_TYPES
from .tiling import DOUBLE_SLOWDOWN, ITEM_SIZES, PROCESSORS, Task, choose_tiling, estimate_microseconds

_BUILT = (2, 1, 0)
MIN_STEPS = 8                                         # fewer are not worth loading R
PROCESSOR_BYTES = 350 << 10                                  # bytes of R that a multiprocessor holds: registers and shared memory
MAX_GROUP = 66                                        # the largest group: at least two of them
_MAX_ROWS = 32                                         # of a group on the way back: it sends gradients of all gates round
_BUSY = 64 << 10                                   # B H from which products in float32 keep the card busy by themselves
TIER_NAMES = {3: "groups of the whole card", 2: "clusters", 1: "stepped", 0: "the text"}

# Of an H100: 1e12 operations a second of products with few rows, by what is multiplied; bytes a second of the second
# cache; microseconds of one kernel after the other.  HOST: an estimate of what the two launches of a
# step take in Python, CuPy and the driver.
RATES = {"double": 30, "float": 47, "tf32": 220, "half": 385, "bfloat16": 385}
CACHE_RATE, LAUNCH_MICROSECONDS, HOST = 5.5e12, 1.3, 10


class Problem(NamedTuple):
    """All that the rule looks at."""
    T: int; B: int; I: int
    H: Any                                        # None: not said
    gates: int
    dtype: str
    mode: str = "fp32"
    sm: Any = None                                # compute capability times ten; None: not said
    back: bool = True                             # gradients are wanted
    unfit: Any = None                             # why stepped and faster tiers cannot run this cell, in words
    directions: int = 1
    clusters: tuple = ()                          # how many run at once, as the card has answered: see occupancy.py

    @property
    def operand_type(self):
        """What is multiplied, by its name in C++."""
        return "tf32" if self.mode == "tf32" else CPP_TYPES[MODES[self.mode].operands or self.dtype]

    @property
    def itemsize(self):
        return ITEM_SIZES[self.operand_type]

    @property
    def held(self):
        """Bytes of R."""
        return self.gates * self.H * self.H * self.itemsize

    def task(self, way):
        A = "double" if self.dtype == "float64" else "float"
        return Task(way, self.gates, self.H, self.B * self.directions, A, self.operand_type, find_nearest_sm(self.sm),
                    clusters=self.clusters)


class Choice(NamedTuple):
    tier: int
    why_not: dict                                 # faster tier -> the reason in words
    blocks: int = 0                               # that hold R together, in tiers 2 and 3
    ways: tuple = ()                              # of tier 2: the tilings ahead and back; None back: stepped is faster


@lru_cache(4096)
def choose(problem, tiers=_BUILT):
    """The fastest tier that can run it.

    >>> choose(Problem(100, 64, 256, 512, 4, "float32", sm=90)).blocks
    16
    >>> choose(Problem(100, 64, 256, 512, 4, "float32", sm=80)).why_not[2]
    'clusters of blocks came with compute capability 9.0, this card has 8.0; R is 4.2 MB, too large for one block'
    """
    why_not: dict = {}
    for tier, rule in ((2, plan_clusters), (3, _plan_groups)):
        why, blocks, *ways = rule(problem)
        if why is None and tier in tiers:
            return Choice(tier, why_not, blocks, *ways)
        why_not[tier] = why or f"not built: R would lie in {blocks} of its blocks"
    if problem.unfit:
        return Choice(0, why_not | {1: problem.unfit})
    return Choice(1, why_not)


def plan_clusters(problem):
    """Why R is not held by clusters, or None; by how many blocks each; and the tilings, ahead and back."""
    why = _refuses_onchip(problem)
    if why:
        return why, 0
    ahead, back = (choose_tiling(problem.task(way)) for way in ("Ahead", "Back"))
    if ahead is None:
        size = f"R is {_format_megabytes(problem.held)}, too large for"
        if problem.sm < 90:
            return (f"clusters of blocks came with compute capability 9.0, this card has {problem.sm / 10}; "
                    f"{size} one block"), 0
        return f"{size} the registers and shared memory of a cluster", 0
    here, there = estimate_microseconds(ahead, problem.task("Ahead")), stepped(problem)
    if here > there:
        return f"a step would take {here:.1f} microseconds, stepped {there:.1f} (estimates)", 0
    if back is not None and estimate_microseconds(back, problem.task("Back")) > there:
        back = None
    return None, ahead.blocks, (ahead, back)


def estimate_step(problem):
    """The estimate of what one stepped step, of all directions, takes on the card, in microseconds."""
    work, words = 2 * problem.B * problem.held / problem.itemsize, problem.B * problem.H * problem.itemsize
    slower = DOUBLE_SLOWDOWN.get(find_nearest_sm(problem.sm), 32) / 2 if problem.operand_type == "double" else 1
    product = max(work * slower / RATES[problem.operand_type] / 1e6, problem.held / CACHE_RATE * 1e6)
    return problem.directions * (2 * LAUNCH_MICROSECONDS + product + words * (2 * problem.gates + 4) / CACHE_RATE * 1e6)


def stepped(problem):
    """The same with the host, which launches the next step while the card works: the slower of the two counts."""
    return max(estimate_step(problem), problem.directions * HOST)


def _plan_groups(problem):
    """The same for groups of blocks over the whole card."""
    why = _refuses_onchip(problem)
    if why:
        return why, 0
    if problem.sm < 80:
        return f"its barrier needs compute capability 8.0, this card has {problem.sm / 10}", 0
    size = -(-problem.held // PROCESSOR_BYTES)
    if size > MAX_GROUP:
        return f"R is {_format_megabytes(problem.held)}, the largest group of {MAX_GROUP} blocks holds {_format_megabytes(MAX_GROUP * PROCESSOR_BYTES)}", 0
    if problem.mode == "fp32" and problem.B * problem.H >= _BUSY:
        return f"B H is {problem.B * problem.H}: from {_BUSY} on products in {problem.dtype} keep the card busy", 0
    if problem.back and problem.B * size > _MAX_ROWS * PROCESSORS[90]:
        rows = -(-problem.B * size // PROCESSORS[90])
        return f"on the way back a group would have {rows} rows, at most {_MAX_ROWS}: more to send than to compute", 0
    return None, size


def _refuses_onchip(problem):
    """What both need."""
    if problem.unfit:
        return problem.unfit
    if problem.T < MIN_STEPS:
        return f"{problem.T} steps, under {MIN_STEPS} loading R is not won back"
    if problem.H is None:
        return "whether R would fit is open, as the number of units is not said"
    if problem.sm is None:
        return "whether the card could is open, as its compute capability is not said"
    if find_nearest_sm(problem.sm) is None:
        return f"nothing is known of cards of compute capability {problem.sm / 10}"
    return None


def _format_megabytes(n):
    return f"{n / 1e6:.1f} MB"


def problem_of(cell, call, unfit):
    """What a `fused.Call` says of a cell of two maps and a rule, or of two such, one for each direction."""
    T, B, *_, I = call.shape
    each = cell.cells if hasattr(cell, "cells") else (cell,)
    units = call.units[0] if isinstance(call.units, tuple) and call.units else call.units
    return Problem(T, B, I, units if isinstance(units, int) else None, len(getattr(each[0], "gates", "")),
                   call.dtype.name, call.mode, call.sm, bool(call.keep), unfit, len(each), call.clusters)
