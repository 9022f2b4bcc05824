"""Errors that name the file, and how much a file may unpack to."""
import os
import pickle
import stat
import struct
import tokenize
import zlib
from contextlib import contextmanager
from typing import Any, Iterator
from zipfile import BadZipFile

from ..errors import Error, FileError, MissingFile
from .atomic import to_path

# Past the first number of bytes nothing may become more than so many times as large as it is in the file.  Weights
# hardly compress at all; what does so well is zeros, or a bomb.
UNPACKED_FREELY, UNPACKED_FACTOR = 1 << 26, 100

# What libraries raise when bytes are not what they expect.
_BROKEN = (BadZipFile, zlib.error, pickle.UnpicklingError, struct.error, OSError, ValueError, RuntimeError, EOFError,
           OverflowError, KeyError, IndexError, TypeError, AttributeError, MemoryError, RecursionError, SyntaxError,
           NotImplementedError, tokenize.TokenError)


@contextmanager
def open_file(who: str, path: Any) -> Iterator[Any]:
    """A regular file, open for reading; what goes wrong with it in the block is an error that names it.

    Errors   MissingFile: it is not there.  FileError: it is broken, a folder, a device, may not be read
    """
    path = to_path(who, path)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):      # to open a pipe would wait for its other end
            raise FileError(who, f"{path} is {'a folder' if stat.S_ISDIR(status.st_mode) else 'no regular file'}")
        file = open(path, "rb")
    except FileNotFoundError:
        raise MissingFile(who, f"there is no file {path}") from None
    except OSError as e:
        raise FileError(who, f"{path} cannot be read: {e.strerror}") from e
    with file, naming(who, path):
        yield file


@contextmanager
def naming(who: str, path: Any) -> Iterator[None]:
    """Errors of libraries as a FileError that names the file; those of rnnref pass."""
    try:
        yield
    except Error:
        raise
    except _BROKEN as e:
        reason = str(e).strip().splitlines()
        what = f"{type(e).__name__}: {reason[0][:200]}" if reason else type(e).__name__
        raise FileError(who, f"{path} is broken, or no such file as its name says ({what})") from e


def check_unpacked(who: str, path: Any, unpacked: int, stored: int, what: str = "") -> None:
    """Raise if what takes so many bytes in a file says that it is far larger in memory."""
    if unpacked > UNPACKED_FREELY and unpacked > UNPACKED_FACTOR * stored:
        raise FileError(who, f"{what + ' in ' if what else ''}{path} says that it unpacks to {unpacked:,} bytes, and "
                             f"takes {stored:,} in the file", hint="a bomb, or nothing but zeros")
