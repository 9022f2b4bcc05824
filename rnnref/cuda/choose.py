"""The decision rule: which tier a sequence runs in, and why not in a faster one.  Pure functions of numbers.  (floor 5)

    tier 3  groups of blocks over the whole card hold R, with a barrier in each group        not built yet
    tier 2  clusters of 8 or 16 blocks hold R, each for some rows of the batch               not built yet
    tier 1  stepped: a product and a pointwise kernel for each step
    tier 0  the text as it is written, on CuPy, with a kernel for each rule that has one

Holding R on chip wins where a step is too short for two launches and R is small enough.  The limits are estimates from
the H200's data sheet, not measured yet.
"""
from typing import Any, NamedTuple

BUILT = (1, 0)
STEPS = 8                                         # fewer are not worth loading R
HELD = 350 << 10                                  # bytes of R that a multiprocessor holds: registers and shared memory
PROCESSORS = 132                                  # of an H100 or H200
GROUP = 66                                        # the largest group: at least two of them
ROWS = 32                                         # of a group on the way back: it sends gradients of all gates round
BUSY = 64 << 10                                   # B H from which products in float32 keep the card busy by themselves
NAMES = {3: "groups of the whole card", 2: "clusters", 1: "stepped", 0: "the text"}


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

    @property
    def itemsize(self):
        return {"float64": 8, "float32": 2 if self.mode in ("bf16", "fp16") else 4}.get(self.dtype, 2)

    @property
    def held(self):
        """Bytes of R."""
        return self.gates * self.H * self.H * self.itemsize


class Choice(NamedTuple):
    tier: int
    why_not: dict                                 # faster tier -> the reason in words
    blocks: int = 0                               # that hold R together, in tiers 2 and 3


def choose(problem, built=BUILT):
    """The fastest tier that can run it.

    >>> choose(Problem(100, 64, 256, 512, 4, "float32", sm=90), built=(2, 1, 0)).blocks
    16
    >>> choose(Problem(100, 64, 256, 512, 4, "float32", sm=90)).why_not[2]
    'not built yet: 16 blocks would hold R'
    """
    why_not: dict = {}
    for tier, rule in ((2, clusters), (3, groups)):
        why, blocks = rule(problem)
        if why is None and tier in built:
            return Choice(tier, why_not, blocks)
        why_not[tier] = why or f"not built yet: {blocks} blocks would hold R"
    if problem.unfit:
        return Choice(0, why_not | {1: problem.unfit})
    return Choice(1, why_not)


def clusters(problem):
    """Why R is not held by clusters, or None; and by how many blocks each."""
    why = small(problem)
    if why:
        return why, 0
    if problem.sm < 90:
        return f"clusters of blocks came with compute capability 9.0, this card has {problem.sm / 10}", 0
    if problem.held > 16 * HELD:
        return f"R is {megabytes(problem.held)}, 16 blocks hold {megabytes(16 * HELD)}", 0
    return None, 8 if problem.held <= 8 * HELD and problem.B >= 16 else 16


def groups(problem):
    """The same for groups of blocks over the whole card."""
    why = small(problem)
    if why:
        return why, 0
    if problem.sm < 80:
        return f"its barrier needs compute capability 8.0, this card has {problem.sm / 10}", 0
    size = -(-problem.held // HELD)
    if size > GROUP:
        return f"R is {megabytes(problem.held)}, the largest group of {GROUP} blocks holds {megabytes(GROUP * HELD)}", 0
    if problem.mode == "fp32" and problem.B * problem.H >= BUSY:
        return f"B H is {problem.B * problem.H}: from {BUSY} on products in {problem.dtype} keep the card busy", 0
    if problem.back and problem.B * size > ROWS * PROCESSORS:
        rows = -(-problem.B * size // PROCESSORS)
        return f"on the way back a group would have {rows} rows, at most {ROWS}: more to send than to compute", 0
    return None, size


def small(problem):
    """What both need."""
    if problem.unfit:
        return problem.unfit
    if problem.T < STEPS:
        return f"{problem.T} steps, under {STEPS} loading R is not won back"
    if problem.H is None:
        return "not built yet; whether R would fit is open, as the number of units is not said"
    if problem.sm is None:
        return "not built yet; whether the card could is open, as its compute capability is not said"
    return None


def megabytes(n):
    return f"{n / 1e6:.1f} MB"


def problem_of(cell, call, unfit):
    """What a `fused.Call` says of a cell of two maps and a rule."""
    T, B, *_, I = call.shape
    units = call.units if isinstance(call.units, int) else None
    return Problem(T, B, I, units, len(getattr(cell, "gates", "")), call.dtype.name, call.mode, call.sm,
                   bool(call.keep), unfit)
