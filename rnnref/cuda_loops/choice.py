"""The fastest way to run a sequence on a GPU, by estimates, and why no faster one: pure functions of numbers.

    clusters  clusters of blocks hold R, each for some rows of the batch (tiling.py)          path "onchip"
    groups    groups of blocks over the whole card hold R, with a barrier in each group       not implemented
    stepped   a product and a pointwise kernel for each step                     paths "replayed" and "stepped"
    plain     the plain code on CuPy, with a kernel for each rule that has one                all other paths

Holding R on chip is faster where a step is too short for two launches and R is small enough.  Where that is, is
estimated with rates that were fitted to an H200 (tests/bench/results/NVIDIA-H200-20261127.jsonl).

Groups are for R of 9 to 24 MB, too large for a cluster and still small enough for a card.  Their barrier through the L2
cache takes 0.9 microseconds on an H200, and reading 16 to 256 KB of h from there 0.6 to 6, of a step of 10 to 30 by a
graph: they would gain two to three times in 16 bits.  These sizes run stepped, or by a graph.
"""
from functools import lru_cache
from typing import Any, NamedTuple, Optional

from ..cuda.devices import find_nearest_sm
from ..cuda.precision import MODES
from ..cuda.source import CPP_TYPES
from .tiling import DOUBLE_SLOWDOWN, ITEM_SIZES, PROCESSORS, Task, Tiling, choose_tiling, estimate_microseconds

# {method: its name in messages}, from the fastest
METHODS = {"clusters": "clusters of blocks", "groups": "groups of blocks over the whole card",
           "stepped": "step by step", "plain": "plain code"}
_IMPLEMENTED = ("clusters", "stepped", "plain")
MIN_STEPS = 8                                     # shorter sequences are not worth loading R
PROCESSOR_BYTES = 350 << 10                       # of R in one multiprocessor: its registers and shared memory
MAX_GROUP = 66                                    # blocks of the largest group: a card runs at least two
_MAX_ROWS = 32                                    # of a group backward: it exchanges gradients of all gates
_BUSY = 64 << 10                                  # B H from which products in float32 keep the card busy by themselves

# Of a step's product: 1e12 operations a second, by the type of the operands, and microseconds for each number of a
# sum; on an H200, by a graph, most steps ahead take 0.7 to 1.4 times as long ("double" was not measured).  Microseconds
# between kernels that follow each other, and HOST: of the launches of a step by Python, CuPy and the driver (20 to 35).
RATES = {"double": 14, "float": 22, "tf32": 50, "half": 180, "bfloat16": 180}
DEPTH_MICROSECONDS, LAUNCH_MICROSECONDS, HOST = 0.008, 1.3, 28
CACHE_RATE = 5.5e12                               # bytes a second of the L2 cache
IDLE_BYTES = 4 << 30                              # of graphs that wait for their next sequence


class Problem(NamedTuple):
    """All that the choice depends on."""
    T: int; B: int; I: int
    H: Any                                        # None: not known
    gates: int
    dtype: str
    mode: str = "fp32"
    sm: Any = None                                # compute capability times ten; None: not known
    back: bool = True                             # gradients are needed
    why_unfit: Optional[str] = None               # why kernels for whole sequences cannot run this cell
    directions: int = 1
    clusters: tuple = ()                          # how many run at once, as the driver reports: see occupancy.py

    @property
    def operand_type(self) -> str:
        """The type of the operands of products, by its name in C++."""
        return "tf32" if self.mode == "tf32" else CPP_TYPES[MODES[self.mode].operands or self.dtype]

    @property
    def itemsize(self) -> int:
        """Bytes of an operand."""
        return ITEM_SIZES[self.operand_type]

    @property
    def weight_bytes(self) -> int:
        """Bytes of R."""
        return self.gates * self.H * self.H * self.itemsize

    def task(self, way: str) -> Task:
        """The task of a cluster, "Ahead" or "Back"."""
        A = "double" if self.dtype == "float64" else "float"
        sm = find_nearest_sm(self.sm) or 0
        return Task(way, self.gates, self.H, self.B * self.directions, A, self.operand_type, sm, clusters=self.clusters)


class Choice(NamedTuple):
    """The result of `choose`."""
    method: str                                   # of METHODS
    why_not: dict[str, str]                       # faster method -> the reason
    blocks: int = 0                               # that hold R together, in clusters or groups
    tilings: tuple[Optional[Tiling], ...] = ()    # of clusters, forward and backward; None: stepping back is faster


@lru_cache(4096)
def choose(problem: Problem, methods: tuple[str, ...] = _IMPLEMENTED) -> Choice:
    """The fastest of `methods` that can run the problem.

    >>> choose(Problem(100, 64, 256, 512, 4, "float32", sm=90)).blocks
    16
    >>> choose(Problem(100, 64, 256, 512, 4, "float32", sm=80)).why_not["clusters"]
    'clusters of blocks need compute capability 9.0, this card has 8.0; R is 4.2 MB, too large for one block'
    """
    why_not: dict[str, str] = {}
    for method, plan in (("clusters", plan_clusters), ("groups", _plan_groups)):
        why, blocks, *tilings = plan(problem)
        if why is None and method in methods:
            return Choice(method, why_not, blocks, *tilings)
        why_not[method] = why or f"not implemented: R would need {blocks} blocks"
    if problem.why_unfit:
        return Choice("plain", why_not | {"stepped": problem.why_unfit})
    return Choice("stepped", why_not)


def plan_clusters(problem: Problem) -> tuple:
    """Why clusters cannot hold R, or None; the blocks of each; and the tilings, forward and backward."""
    why = _refuses_onchip(problem)
    if why:
        return why, 0
    forward, backward = (choose_tiling(problem.task(way)) for way in ("Ahead", "Back"))
    if forward is None:
        size = f"R is {_format_megabytes(problem.weight_bytes)}, too large for"
        if problem.sm < 90:
            return (f"clusters of blocks need compute capability 9.0, this card has {problem.sm / 10}; "
                    f"{size} one block"), 0
        return f"{size} the registers and shared memory of a cluster", 0
    onchip, by_steps = estimate_microseconds(forward, problem.task("Ahead")), stepped(problem)
    if onchip > by_steps:
        return f"a step would take {onchip:.1f} microseconds, stepped {by_steps:.1f} (estimates)", 0
    if backward is not None and estimate_microseconds(backward, problem.task("Back")) > stepped(problem, "Back"):
        backward = None
    return None, forward.blocks, (forward, backward)


def estimate_step(problem: Problem, way: str = "Ahead") -> float:
    """Estimated microseconds of one stepped step, of all directions, on the card."""
    work = 2 * problem.B * problem.weight_bytes / problem.itemsize
    words = problem.B * problem.H * problem.itemsize
    slower = 1.0
    if problem.operand_type == "double":
        slower = DOUBLE_SLOWDOWN.get(problem.task("Ahead").sm, 32) / 2
    depth = problem.H * (1 if way == "Ahead" else min(problem.gates, 2))    # of the longer sums back cuBLAS adds parts
    product = DEPTH_MICROSECONDS * depth + max(work * slower / RATES[problem.operand_type] / 1e6,
                                               problem.weight_bytes / CACHE_RATE * 1e6)
    return problem.directions * (2 * LAUNCH_MICROSECONDS + product + words * (2 * problem.gates + 4) / CACHE_RATE * 1e6)


def stepped(problem: Problem, way: str = "Ahead") -> float:
    """The same as it runs: of a sequence that the host launches step by step, the larger of both times."""
    on_card = estimate_step(problem, way)
    return on_card if why_no_graph(problem) is None else max(on_card, problem.directions * HOST)


def why_no_graph(problem: Problem) -> Optional[str]:
    """None, or why a sequence gains nothing as a graph, which the host launches at once.

    >>> why_no_graph(Problem(512, 64, 512, 1024, 4, "float32", "bf16", sm=90))
    >>> why_no_graph(Problem(128, 256, 1024, 2048, 4, "float32", sm=90))
    'a step takes about 414 microseconds on the card (estimate), its launches 28: the card waits for nothing'
    """
    if problem.T < MIN_STEPS:
        return f"{problem.T} steps: with fewer than {MIN_STEPS} there is little to launch at once"
    if problem.H is None or find_nearest_sm(problem.sm or 0) is None:
        return "how long a step takes is not known without the number of units and the card"
    microseconds = estimate_step(problem)
    if microseconds > problem.directions * HOST:
        return (f"a step takes about {microseconds:.0f} microseconds on the card (estimate), its launches "
                f"{problem.directions * HOST}: the card waits for nothing")
    held = problem.T * problem.B * problem.H * 4 * (4 * problem.gates + 6)         # inputs, states, tape and gradients
    return f"its arrays would hold {held / 2**30:.1f} GB between two sequences" if held > IDLE_BYTES else None


def _plan_groups(problem: Problem) -> tuple:
    """Why groups of blocks over the whole card cannot hold R, or None; and the blocks of each."""
    why = _refuses_onchip(problem)
    if why:
        return why, 0
    if problem.sm < 80:
        return f"its barrier needs compute capability 8.0, this card has {problem.sm / 10}", 0
    size = -(-problem.weight_bytes // PROCESSOR_BYTES)
    if size > MAX_GROUP:
        return (f"R is {_format_megabytes(problem.weight_bytes)}, the largest group of {MAX_GROUP} blocks holds "
                f"{_format_megabytes(MAX_GROUP * PROCESSOR_BYTES)}"), 0
    if problem.mode == "fp32" and problem.B * problem.H >= _BUSY:
        return f"B H is {problem.B * problem.H}: from {_BUSY} on products in {problem.dtype} keep the card busy", 0
    if problem.back and problem.B * size > _MAX_ROWS * PROCESSORS[90]:
        rows = -(-problem.B * size // PROCESSORS[90])
        return f"on the way back a group would have {rows} rows, at most {_MAX_ROWS}: the exchange takes too long", 0
    return None, size


def _refuses_onchip(problem: Problem) -> Optional[str]:
    """None, or why R cannot be held on chip, in clusters or in groups."""
    if problem.why_unfit:
        return problem.why_unfit
    if problem.T < MIN_STEPS:
        return f"{problem.T} steps, with fewer than {MIN_STEPS} loading R takes longer than it saves"
    if problem.H is None:
        return "whether R fits is not known without the number of units"
    if problem.sm is None:
        return "the compute capability of the card is not known"
    if find_nearest_sm(problem.sm) is None:
        return f"there are no data of cards of compute capability {problem.sm / 10}"
    return None


def _format_megabytes(n: int) -> str:
    return f"{n / 1e6:.1f} MB"


def problem_of(cell: Any, call: Any, why_unfit: Optional[str]) -> Problem:
    """The problem of a `Call` with a cell of two maps and a rule, or with two such cells, one for each direction."""
    T, B, *_, I = call.shape
    cells = cell.cells if hasattr(cell, "cells") else (cell,)
    units = call.units[0] if isinstance(call.units, tuple) and call.units else call.units
    return Problem(T, B, I, units if isinstance(units, int) else None, len(getattr(cells[0], "gates", "")),
                   call.dtype.name, call.mode, call.sm, bool(call.keep), why_unfit, len(cells), call.clusters)
