"""Data for tests, notebooks and first experiments: digits, characters, tasks that are made up, and padding.

Nothing is fetched: `digits` is part of the package, and the rest is read from files or drawn with a seed.
"""
from .images import digits, mnist, read_idx
from .sequences import LengthBatches, batch_by_length, pad_sequences
from .tasks import adding, copy_memory, counting, parity
from .text import Characters, characters, lanes

__all__ = ["Characters", "LengthBatches", "adding", "batch_by_length", "characters", "copy_memory", "counting",
           "digits", "lanes", "mnist", "pad_sequences", "parity", "read_idx"]
