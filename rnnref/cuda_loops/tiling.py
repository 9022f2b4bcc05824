"""How a block holds its part of R and how a step is dealt out to its threads: pure functions of numbers.  (floor 5)

Every tiling that fits a card is given an estimated time for one step, and the shortest is taken.  The rates are those
of data sheets and of published measurements on an H100, none was measured by us yet: they choose, they promise nothing.
"""
from functools import lru_cache
from typing import NamedTuple

from ..cuda.devices import CARDS

ITEM_SIZES = {"double": 8, "float": 4, "tf32": 4, "half": 2, "bfloat16": 2}         # bytes, by the names in C++
BLOCKS = (1, 2, 4, 8, 16)                         # of a cluster
MAX_CLUSTER = {90: 16, 100: 16}                        # blocks of a cluster; 8 where nothing else is said, 1 before 9.0
WARPS = (4, 6, 8, 12, 16)
SPLITS = (32, 16, 8, 4)                           # lanes that share a sum
ROWS = (1, 2, 4)                                  # at a time, by multiply-add
PROCESSORS = {75: 72, 80: 108, 86: 84, 89: 128, 90: 132, 100: 148, 120: 170}   # of the largest card of its kind
# {compute capability: {blocks of a cluster: clusters at once}}, as cards have answered; none has been asked yet
MEASURED: dict = {}
DOUBLE_SLOWDOWN = {80: 2, 90: 2, 100: 2}                   # times as long as in float; 32 where nothing else is said
_OTHER_REGISTERS = {"Ahead": 48, "Back": 88}                # registers of a thread beside those that hold R, sums and pairs
_MAX_SHARE = 8                                  # columns of a lane, tiles of a warp: compilers give up on more
_GIGAHERTZ = 1.7
_BARRIER_MICROSECONDS = {1: 0.03, 2: 0.25, 4: 0.25, 8: 0.3, 16: 0.35}                       # microseconds
_LATENCY_CLOCKS = 600                                        # clocks of a step in which one thing waits for another
_REMOTE_BYTES_PER_CLOCK = 32                                       # bytes a clock that a processor sends to others
_TF32_PENALTY = 1.1                                        # tf32 is a permission: what is exact and nearly as fast goes first
_MMA_CLOCKS = 0.85                                        # clocks of a processor for one tensor instruction


class Task(NamedTuple):
    """One way of a sequence, as a cluster sees it."""
    way: str                                      # "Ahead" or "Back"
    gates: int; n: int; rows: int                 # rows: of all directions together
    A: str; S: str                                # arithmetic and what is multiplied, in C++
    sm: int
    carried: int = 24                             # registers for the state of a row's unit
    clusters: tuple = ()                          # ((blocks of a cluster, how many run at once), ...); (): not asked


class Tiling(NamedTuple):
    """What the text of a kernel depends on, and `group`, on which it does not."""
    engine: str                                   # "fma", or "mma" on tensor cores
    blocks: int                                   # of a cluster
    units: int                                    # of a block
    warps: int                                    # of a block
    split: int                                    # lanes that share one sum (fma)
    held: int                                     # numbers, or fragments, of a column that are in registers
    at_a_time: int                                # rows
    pairs: int                                    # of a row and a unit that one thread has
    group: int                                    # rows of a cluster

    @property
    def threads(self):
        return 32 * self.warps

    @property
    def padded(self):
        return _round_up(self.group, self.at_a_time)


class Share(NamedTuple):
    """What one warp or lane has of a product, as fma.cuh and mma.cuh count it."""
    columns: int; depth: int                      # of the block
    C: int                                        # columns of a lane, or tiles of a warp
    K: int                                        # numbers, or fragments, of each
    P: int                                        # C, of a lane rounded up to a power of two
    stride: int                                   # from one vector to the next
    rest: int                                     # bytes of R in shared memory


def _round_up(a, to):
    return -(-a // to) * to


def compute_share(t, task):
    own, all_units = task.gates * t.units, t.blocks * t.units
    columns, depth = (own, all_units) if task.way == "Ahead" else (all_units, own)
    if t.engine == "fma":
        C, K = -(-columns // (t.warps * (32 // t.split))), -(-depth // t.split)
        return Share(columns, depth, C, K, 1 << (C - 1).bit_length(), K * t.split,
                     t.warps * C * (K - t.held) * 32 * ITEM_SIZES[task.A])
    in_word = 4 // ITEM_SIZES[task.S]
    C, K = -(-columns // (16 * t.warps)), -(-depth // (8 * in_word))
    return Share(columns, depth, C, K, C, (K * 8 + 4) * in_word, t.warps * C * (K - t.held) * 512)


def product_arguments(t, task):
    """The numbers of the template that does it."""
    one = compute_share(t, task)
    return (one.columns, one.depth, t.warps, *((t.split,) if t.engine == "fma" else ()), t.held, t.at_a_time)


def count_shared_bytes(t, task):
    """Bytes of shared memory of a block: the rest of R, and what the steps hand on."""
    one, S, A = compute_share(t, task), ITEM_SIZES[task.S], ITEM_SIZES[task.A]
    ahead = task.way == "Ahead"
    vectors = (2 if ahead else 1) * t.padded * one.stride * S
    return one.rest + vectors + t.padded * (one.columns if ahead else 2 * t.blocks * t.units) * A


def count_registers(t, task):
    """Of a thread, for R; and for all else as far as one can say beforehand."""
    one, words = compute_share(t, task), ITEM_SIZES[task.A] // 4
    others = _OTHER_REGISTERS[task.way] + task.carried * t.pairs * words
    if t.engine == "fma":
        return one.C * t.held * words, others + t.at_a_time * one.P * words
    others += 48 if task.sm >= 120 else 32 if task.sm >= 100 else 0            # as their compilers like it
    return one.C * t.held * 4, others + t.at_a_time // 8 * one.C * (4 if task.way == "Ahead" else 10)


def max_registers(t):
    """Of a thread, so that a block has room on its processor."""
    return min(255, 65536 // t.threads // 8 * 8)


def estimate_clocks(t, task):
    """Of a processor, for one step of one cluster: what Parts has after the barrier, nothing hidden yet."""
    one, A = compute_share(t, task), ITEM_SIZES[task.A] // 4
    rows, warps, turns = t.padded, t.warps, t.padded // t.at_a_time
    if t.engine == "fma":
        slower = DOUBLE_SLOWDOWN.get(task.sm, 32) if task.A == "double" else 1
        arithmetic = rows * -(-warps // 4) * one.C * one.K * slower   # four schedulers, each with its warps
        exchanged = rows * warps * (one.P - 1 + max(0, (t.split // one.P).bit_length() - 1)) * A
        moved = (rows * warps * one.K + turns * warps * one.C * (one.K - t.held)) * A + exchanged
    else:
        arithmetic = rows // 8 * -(-warps // 4) * 4 * one.C * one.K * _MMA_CLOCKS
        moved = rows // 8 * warps * one.K * 2 + turns * warps * one.C * (one.K - t.held) * 4
    sent = t.group * task.n * (ITEM_SIZES[task.S] if task.way == "Ahead" else ITEM_SIZES[task.A])
    return _LATENCY_CLOCKS, arithmetic, moved, 120 * t.pairs, sent / _REMOTE_BYTES_PER_CLOCK if t.blocks > 1 else 0


def cluster_sizes(sm):
    """How many blocks a cluster may have."""
    widest = 1 if sm < 90 else MAX_CLUSTER.get(sm, 8)
    return [b for b in BLOCKS if b <= widest]


def at_once(task, blocks):
    """How many clusters of so many blocks run at the same time: as this card has answered, else another of its kind,
    else as many as the multiprocessors of the data sheet would allow, were they all in one group."""
    counts = dict(task.clusters) or MEASURED.get(task.sm, {})
    return counts.get(blocks, max(1, PROCESSORS[task.sm] // blocks))


def _count_waves(t, task):
    """How many clusters run one after the other in the same place, as the card has no room for all."""
    return -(-(-(-task.rows // t.group)) // at_once(task, t.blocks))


def estimate_microseconds(t, task):
    """The estimate of one step."""
    waiting, arithmetic, moved, pointwise, exchange = estimate_clocks(t, task)
    in_turn = waiting + max(arithmetic, moved) + pointwise + exchange
    return _count_waves(t, task) * (_BARRIER_MICROSECONDS[t.blocks] + in_turn / _GIGAHERTZ / 1e3)


class StepTime(NamedTuple):
    """Microseconds of one step.  Arithmetic and shared memory work side by side: the shorter of the two is 0."""
    barrier: float
    waiting: float                                # for what was asked for before: latency
    arithmetic: float; shared: float              # of the product; what it reads from and moves through shared memory
    pointwise: float                              # the rule
    exchange: float                               # with other blocks


def estimate_parts(t, task):
    """The same, taken apart: they sum to `microseconds`.

    >>> task = Task("Ahead", 4, 512, 16, "float", "float", 90)
    >>> StepTime(*(round(one, 2) for one in estimate_parts(choose_tiling(task), task)))
    Parts(barrier=0.35, waiting=0.35, arithmetic=0.0, shared=0.83, pointwise=0.07, exchange=0.08)
    """
    waiting, arithmetic, moved, *rest = estimate_clocks(t, task)
    longer = (arithmetic, 0) if arithmetic >= moved else (0, moved)
    spent = (one / _GIGAHERTZ / 1e3 for one in (waiting, *longer, *rest))
    return StepTime(*(_count_waves(t, task) * one for one in (_BARRIER_MICROSECONDS[t.blocks], *spent)))


def _has_room(t, task):
    one, card = compute_share(t, task), CARDS[task.sm]
    held, others = count_registers(t, task)
    return (one.P <= _MAX_SHARE and held + others <= max_registers(t) and count_shared_bytes(t, task) <= card.shared
            and t.threads <= card.threads_per_processor)


def _list_candidates(task):
    """Every tiling with as much of R in registers as they have room for."""
    tensor = task.S in ("tf32", "half", "bfloat16")
    for blocks in (b for b in cluster_sizes(task.sm) if at_once(task, b)):
        units, together = _round_up(-(-task.n // blocks), 4), at_once(task, blocks)
        fair = max(1, -(-task.rows // together))                      # rows of a cluster if all run at the same time
        for warps in WARPS:
            for group in {min(fair, limit) for limit in (1, 2, 4, 8, 16, 32, 64)}:
                pairs = -(-group * units // (32 * warps))
                if pairs > 4:
                    continue
                if tensor and task.sm >= 80:
                    for at_a_time in (8, 16):
                        yield fill_registers(Tiling("mma", blocks, units, warps, 1, 0, at_a_time, pairs, group), task)
                for split in SPLITS:
                    for at_a_time in ROWS:
                        yield fill_registers(Tiling("fma", blocks, units, warps, split, 0, at_a_time, pairs, group), task)


def fill_registers(t, task):
    one, (_, others) = compute_share(t, task), count_registers(t, task)
    each = one.C * (4 if t.engine == "mma" else ITEM_SIZES[task.A] // 4)
    return t._replace(held=max(0, min(one.K, (max_registers(t) - others) // each)))


@lru_cache(4096)
def choose_tiling(task):
    """The tiling with the shortest step, or None if none fits.

    >>> t = choose_tiling(Task("Ahead", 4, 512, 16, "float", "float", 90))
    >>> t.engine, t.blocks, t.units, t.group
    ('fma', 16, 32, 2)
    """
    def order(t):
        exact = task.S != "tf32" or t.engine == "fma"
        return round(estimate_microseconds(t, task) * (1 if exact else _TF32_PENALTY), 2), -t.warps, t
    return min((t for t in _list_candidates(task) if _has_room(t, task)), key=order, default=None)
