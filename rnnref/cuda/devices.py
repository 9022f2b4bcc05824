"""Limits of CUDA devices by compute capability, and the geometry of launches: pure functions of numbers."""
from typing import NamedTuple, Optional

from .source import THREADS

LARGEST = 2 ** 30                                 # rows or units: an int in C++, with room for one stride more


class Card(NamedTuple):
    """Limits of one architecture (CUDA C++ Programming Guide, compute capabilities)."""
    shared: int                                   # bytes of shared memory of a block
    threads_per_processor: int
    threads: int = 1024                           # of a block
    block: tuple[int, ...] = (1024, 1024, 64)
    grid: tuple[int, ...] = (2 ** 31 - 1, 65535, 65535)
    registers: int = 65536                        # of a multiprocessor, and of a block
    registers_per_thread: int = 255


CARDS = {75: Card(64 << 10, 1024), 80: Card(163 << 10, 2048), 86: Card(99 << 10, 1536), 89: Card(99 << 10, 1536),
         90: Card(227 << 10, 2048), 100: Card(227 << 10, 2048), 120: Card(99 << 10, 1536)}


def find_nearest_sm(sm: int) -> Optional[int]:
    """The largest compute capability (times ten) in CARDS that is not above `sm`; None if there is none.

    >>> find_nearest_sm(90), find_nearest_sm(103), find_nearest_sm(70)
    (90, 100, None)
    """
    return max((known for known in CARDS if known <= sm), default=None)


def geometry(rows: int, n: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Grid and block of a launch over [rows, n].  Units come first, so that neighbouring threads read adjacent numbers.

    >>> geometry(64, 1024), geometry(1000, 5)
    (((8, 64), (128, 1)), ((1, 63), (8, 16)))
    """
    along = min(THREADS, 1 << (n - 1).bit_length())
    down = THREADS // along
    most = CARDS[75].grid                         # which all cards have
    return (min(-(-n // along), most[0]), min(-(-rows // down), most[1])), (along, down)


def why_no_launch(card: Card, grid: tuple[int, ...], block: tuple[int, ...], shared: int = 0,
                  registers: int = 0) -> Optional[str]:
    """Why the card cannot run a launch of this geometry, shared memory and registers of a thread; None if it can."""
    threads = 1
    for what, sizes, most in (("grid", grid, card.grid), ("block", block, card.block)):
        for size, limit in zip(sizes, most):
            if not 1 <= size <= limit:
                return f"{what} {sizes}: this axis may have 1 to {limit}"
    for size in block:
        threads *= size
    if threads > card.threads:
        return f"{threads} threads of a block, at most {card.threads}"
    if shared > card.shared:
        return f"{shared} bytes of shared memory, at most {card.shared}"
    if registers > card.registers_per_thread:
        return f"{registers} registers of a thread, at most {card.registers_per_thread}"
    return None if _round_registers(registers) * -(-threads // 32) * 32 <= card.registers else (
        f"{registers} registers x {threads} threads, at most {card.registers}")


def _round_registers(registers: int) -> int:
    """Registers are allocated to warps in units of 256, so to each thread in units of 8."""
    return -(-registers // 8) * 8
