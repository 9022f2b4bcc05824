"""How a block holds its part of R, and how a step is divided among its threads: pure functions of numbers.

Every tiling that fits a card gets an estimated time of one step, and the shortest is taken.  The rates were fitted to
the steps of LSTM and GRU on an H200 (tests/bench/results/NVIDIA-H200-20261127.jsonl): of 70, 67 are met to a quarter.
There blocks met at a barrier in every step.  Waiting for bytes as they do now, on an H100, 24 steps ahead took 0.7 to
1.4 times the estimates and 24 back 0.6 to 1.1 times (NVIDIA-H100-80GB-HBM3-20261128.jsonl): not yet fitted again.  For
other cards the rates serve to compare tilings and are no predictions.
"""
from functools import lru_cache
from typing import Iterator, NamedTuple, Optional

from ..cuda.devices import CARDS

ITEM_SIZES = {"double": 8, "float": 4, "tf32": 4, "half": 2, "bfloat16": 2}         # bytes, by the names in C++
BLOCKS = (1, 2, 4, 8, 16)                         # of a cluster
MAX_CLUSTER = {90: 16, 100: 16}                   # blocks of a cluster; 8 for those not listed, 1 before 9.0
WARPS = (4, 6, 8, 12, 16)
SPLITS = (32, 16, 8, 4)                           # lanes that share a sum
ROWS = (1, 2, 4)                                  # at once, by multiply-add
PROCESSORS = {75: 72, 80: 108, 86: 84, 89: 128, 90: 132, 100: 148, 120: 170}   # of the largest card of its kind
# {compute capability: {blocks of a cluster: clusters at once}}, as drivers have reported
MEASURED: dict[int, dict[int, int]] = {90: {1: 132, 2: 66, 4: 30, 8: 15, 16: 7}}
DOUBLE_SLOWDOWN = {80: 2, 90: 2, 100: 2}          # time in double over that in float; 32 for those not listed
_OTHER_REGISTERS = {"Ahead": 48, "Back": 88}      # of a thread beside those that hold R, sums and pairs
_MAX_SHARE = 8                                    # columns of a lane, tiles of a warp: with more, compilers spill
_GIGAHERTZ = 1.7
_BARRIER_MICROSECONDS = {1: 0.03, 2: 0.2, 4: 0.21, 8: 0.23, 16: 0.24}
_LATENCY_CLOCKS = 1110                            # of a step, in which one operation waits for another
_REMOTE_BYTES_PER_CLOCK = 4.7                     # that a multiprocessor sends to others, number by number
_BARRIER_BYTES = 16                               # of shared memory: those of exchange.cuh
_TF32_PENALTY = 1.1                               # tf32 only permits rounding: exact products nearly as fast come first
_MMA_CLOCKS = 3.4                                 # of a multiprocessor, for one tensor instruction
_FMA_CLOCKS = 1.13                                # and for multiply-adds of 128 lanes, or moves through shared memory


class Task(NamedTuple):
    """A sequence forward or backward, as the kernel of a cluster computes it."""
    way: str                                      # "Ahead" or "Back"
    gates: int; n: int; rows: int                 # rows: of all directions together
    A: str; S: str                                # types of arithmetic and of operands, in C++
    sm: int
    state_registers: int = 24                     # of a thread, for the state of one row and unit
    clusters: tuple = ()                          # ((blocks of a cluster, how many run at once), ...); (): not known


class Tiling(NamedTuple):
    """The sizes on which the source of a kernel depends, and `group`, on which it does not depend."""
    engine: str                                   # "fma" (multiply-add), or "mma" (tensor cores)
    blocks: int                                   # of a cluster
    units: int                                    # of a block
    warps: int                                    # of a block
    split: int                                    # lanes that share one sum (fma)
    register_count: int                           # numbers, or fragments, of a column that are in registers
    rows_at_once: int
    pairs: int                                    # of a row and a unit, for each thread
    group: int                                    # rows of a cluster

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return 32 * self.warps

    @property
    def padded_rows(self) -> int:
        """Rows of a cluster, rounded up to a multiple of those computed at once."""
        return _round_up(self.group, self.rows_at_once)


class Share(NamedTuple):
    """The part of a product that one lane (fma.cuh) or warp (mma.cuh) computes."""
    columns: int; depth: int                      # of the block
    C: int                                        # columns of a lane, or tiles of a warp
    K: int                                        # numbers, or fragments, of each
    P: int                                        # C, of a lane rounded up to a power of two
    stride: int                                   # from one vector to the next
    rest: int                                     # bytes of R in shared memory


def _round_up(a: int, to: int) -> int:
    return -(-a // to) * to


def compute_share(t: Tiling, task: Task) -> Share:
    """The share of the product of this tiling."""
    gate_columns, all_units = task.gates * t.units, t.blocks * t.units
    columns, depth = (gate_columns, all_units) if task.way == "Ahead" else (all_units, gate_columns)
    if t.engine == "fma":
        C, K = -(-columns // (t.warps * (32 // t.split))), -(-depth // t.split)
        return Share(columns, depth, C, K, 1 << (C - 1).bit_length(), K * t.split,
                     t.warps * C * (K - t.register_count) * 32 * ITEM_SIZES[task.A])
    in_word = 4 // ITEM_SIZES[task.S]
    C, K = -(-columns // (16 * t.warps)), -(-depth // (8 * in_word))
    return Share(columns, depth, C, K, C, (K * 8 + 4) * in_word, t.warps * C * (K - t.register_count) * 512)


def product_arguments(t: Tiling, task: Task) -> tuple[int, ...]:
    """The numbers of the C++ template of the product."""
    share = compute_share(t, task)
    split = (t.split,) if t.engine == "fma" else ()
    return share.columns, share.depth, t.warps, *split, t.register_count, t.rows_at_once


def count_shared_bytes(t: Tiling, task: Task) -> int:
    """Bytes of shared memory of a block: barriers, what of R is not in registers, vectors and sums of a step."""
    share, S, A = compute_share(t, task), ITEM_SIZES[task.S], ITEM_SIZES[task.A]
    ahead = task.way == "Ahead"
    vectors = (2 if ahead else 1) * t.padded_rows * share.stride * S
    sums = t.padded_rows * (share.columns if ahead else 2 * t.blocks * t.units) * A
    return (_BARRIER_BYTES if t.blocks > 1 else 0) + share.rest + vectors + sums


def count_registers(t: Tiling, task: Task) -> tuple[int, int]:
    """Registers of a thread: for R, and an estimate of all others."""
    share, words = compute_share(t, task), ITEM_SIZES[task.A] // 4
    others = _OTHER_REGISTERS[task.way] + task.state_registers * t.pairs * words
    if t.engine == "fma":
        return share.C * t.register_count * words, others + t.rows_at_once * share.P * words
    others += 48 if task.sm >= 120 else 32 if task.sm >= 100 else 0            # as their compilers use
    return share.C * t.register_count * 4, others + t.rows_at_once // 8 * share.C * (4 if task.way == "Ahead" else 10)


def max_registers(t: Tiling) -> int:
    """Registers that a thread may have, so that a block fits on its multiprocessor."""
    return min(255, 65536 // t.threads // 8 * 8)


def estimate_clocks(t: Tiling, task: Task) -> tuple[float, ...]:
    """Clocks of a multiprocessor for one step of one cluster: the parts of StepTime after the barrier, none hidden."""
    share, A = compute_share(t, task), ITEM_SIZES[task.A] // 4
    rows, warps, turns = t.padded_rows, t.warps, t.padded_rows // t.rows_at_once
    arithmetic: float
    if t.engine == "fma":
        slower = DOUBLE_SLOWDOWN.get(task.sm, 32) if task.A == "double" else 1
        arithmetic = _FMA_CLOCKS * rows * -(-warps // 4) * share.C * share.K * slower      # four schedulers with warps
        exchanged = rows * warps * (share.P - 1 + max(0, (t.split // share.P).bit_length() - 1)) * A
        moved = (rows * warps * share.K + turns * warps * share.C * (share.K - t.register_count)) * A + exchanged
        moved *= _FMA_CLOCKS
    else:
        arithmetic = rows // 8 * -(-warps // 4) * 4 * share.C * share.K * _MMA_CLOCKS
        moved = rows // 8 * warps * share.K * 2 + turns * warps * share.C * (share.K - t.register_count) * 4
    sent = t.group * task.n * (ITEM_SIZES[task.S] if task.way == "Ahead" else ITEM_SIZES[task.A])
    return _LATENCY_CLOCKS, arithmetic, moved, 120 * t.pairs, sent / _REMOTE_BYTES_PER_CLOCK if t.blocks > 1 else 0


def cluster_sizes(sm: int) -> list[int]:
    """The numbers of blocks that a cluster may have."""
    largest = 1 if sm < 90 else MAX_CLUSTER.get(sm, 8)
    return [blocks for blocks in BLOCKS if blocks <= largest]


def at_once(task: Task, blocks: int) -> int:
    """How many clusters of so many blocks run at once.

    As the driver of this card reports, else that of another card of its kind, else as many as the multiprocessors of
    the data sheet would allow if all were in one group.
    """
    counts = dict(task.clusters) or MEASURED.get(task.sm, {})
    return counts.get(blocks, max(1, PROCESSORS[task.sm] // blocks))


def _count_waves(t: Tiling, task: Task) -> int:
    """How many clusters run one after the other in the same place, where the card has no room for all at once."""
    return -(-(-(-task.rows // t.group)) // at_once(task, t.blocks))


def estimate_microseconds(t: Tiling, task: Task) -> float:
    """The estimated time of one step."""
    waiting, arithmetic, moved, pointwise, exchange = estimate_clocks(t, task)
    clocks = waiting + max(arithmetic, moved) + pointwise + exchange
    return _count_waves(t, task) * (_BARRIER_MICROSECONDS[t.blocks] + clocks / _GIGAHERTZ / 1e3)


class StepTime(NamedTuple):
    """Microseconds of one step.  Arithmetic and shared memory work in parallel: the shorter of the two is 0."""
    barrier: float                                # the other blocks are as far
    waiting: float                                # latency
    arithmetic: float; shared: float              # of the product; its reads and moves through shared memory
    pointwise: float                              # the rule
    exchange: float                               # with other blocks


def estimate_parts(t: Tiling, task: Task) -> StepTime:
    """The estimated time of one step by its parts, whose sum is `estimate_microseconds`.

    >>> task = Task("Ahead", 4, 512, 16, "float", "float", 90)
    >>> StepTime(*(round(part, 2) for part in estimate_parts(choose_tiling(task), task)))
    StepTime(barrier=0.24, waiting=0.65, arithmetic=0.0, shared=1.45, pointwise=0.07, exchange=0.77)
    """
    waiting, arithmetic, moved, *rest = estimate_clocks(t, task)
    longer = (arithmetic, 0) if arithmetic >= moved else (0, moved)
    spent = (clocks / _GIGAHERTZ / 1e3 for clocks in (waiting, *longer, *rest))
    return StepTime(*(_count_waves(t, task) * time for time in (_BARRIER_MICROSECONDS[t.blocks], *spent)))


def _has_room(t: Tiling, task: Task) -> bool:
    share, card = compute_share(t, task), CARDS[task.sm]
    return (share.P <= _MAX_SHARE and sum(count_registers(t, task)) <= max_registers(t)
            and count_shared_bytes(t, task) <= card.shared and t.threads <= card.threads_per_processor)


def _list_candidates(task: Task) -> Iterator[Tiling]:
    """Every tiling, each with as much of R in registers as they have room for."""
    tensor = task.S in ("tf32", "half", "bfloat16")
    for blocks in (b for b in cluster_sizes(task.sm) if at_once(task, b)):
        units = _round_up(-(-task.n // blocks), 4)
        fair = max(1, -(-task.rows // at_once(task, blocks)))         # rows of a cluster if all run at the same time
        for warps in WARPS:
            for group in {min(fair, limit) for limit in (1, 2, 4, 8, 16, 32, 64)}:
                pairs = -(-group * units // (32 * warps))
                if pairs > 4:
                    continue
                if tensor and task.sm >= 80:
                    for rows in (8, 16):
                        yield fill_registers(Tiling("mma", blocks, units, warps, 1, 0, rows, pairs, group), task)
                for split in SPLITS:
                    for rows in ROWS:
                        yield fill_registers(Tiling("fma", blocks, units, warps, split, 0, rows, pairs, group), task)


def fill_registers(t: Tiling, task: Task) -> Tiling:
    """The tiling with as much of R in registers as they have room for."""
    share, (_, others) = compute_share(t, task), count_registers(t, task)
    each = share.C * (4 if t.engine == "mma" else ITEM_SIZES[task.A] // 4)
    return t._replace(register_count=max(0, min(share.K, (max_registers(t) - others) // each)))


@lru_cache(4096)
def choose_tiling(task: Task) -> Optional[Tiling]:
    """The tiling with the shortest estimated step, or None if none fits.

    >>> t = choose_tiling(Task("Ahead", 4, 512, 16, "float", "float", 90))
    >>> t.engine, t.blocks, t.units, t.group
    ('fma', 16, 32, 3)
    """
    def order(t: Tiling) -> tuple[float, int, Tiling]:
        exact = task.S != "tf32" or t.engine == "fma"
        return round(estimate_microseconds(t, task) * (1 if exact else _TF32_PENALTY), 2), -t.warps, t
    return min((t for t in _list_candidates(task) if _has_room(t, task)), key=order, default=None)
