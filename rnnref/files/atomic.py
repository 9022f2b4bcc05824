"""A file that takes the place of another only when it is complete."""
import os
import re
import stat
import time
from contextlib import contextmanager
from typing import Any, Iterator, Optional

from ..errors import FileError, MissingFile, describe_type

try:
    import fcntl
except ImportError:                               # Windows
    fcntl = None                                  # type: ignore[assignment]

_DEAD_AFTER = 3600                                # seconds without a write, where files cannot be locked


@contextmanager
def replace_file(who: str, path: Any) -> Iterator[Any]:
    """A binary file, open for writing and reading, that becomes `path` when the block ends without an error.

    It lies in the same folder under a temporary name, is written to the disk, and then renamed, so that a power cut or
    a killed process leaves either the last file or the new one whole.  As with any program that writes a file, a new
    one has the mode that the umask asks for, one that was there keeps its mode, and a symbolic link leads to the file
    that is written.

    Temporaries of processes that were killed are removed by the next save to the same path.  Each is locked by the
    process that writes it, so those of living processes stay.

    Errors   MissingFile: no such folder.  FileError: the path is no regular file, or may not be written
    """
    target = _find_target(who, path)
    folder, name = os.path.split(target)
    before = _status(target)
    if before is not None and not stat.S_ISREG(before.st_mode):
        raise FileError(who, f"{target} is {'a folder' if stat.S_ISDIR(before.st_mode) else 'no regular file'}")
    if before is not None and not os.access(target, os.W_OK):
        raise FileError(who, f"{target} may not be written")
    _remove_abandoned(folder, name)
    part, file = _create_part(who, folder, name)
    try:
        with file:
            if before is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode) & 0o777)
            yield file
            file.flush()
            os.fsync(file.fileno())               # the move must not reach the disk before the bytes do
            if fcntl is not None:
                os.replace(part, target)          # while it is locked: nobody may take it for abandoned
        if fcntl is None:
            os.replace(part, target)              # Windows does not move an open file
    except BaseException:
        if os.path.exists(part):
            os.unlink(part)
        raise
    _sync_folder(folder)


def _find_target(who: str, path: Any) -> str:
    """The file that a path leads to, through symbolic links."""
    target = os.path.realpath(to_path(who, path))
    if os.path.islink(target):
        raise FileError(who, f"{target} is a symbolic link that leads back to itself")
    return target


def to_path(who: str, path: Any) -> str:
    """A path as text."""
    try:
        path = os.fsdecode(path)
    except TypeError:
        raise FileError(who, f"the path is {describe_type(path)}, expected a str or a pathlib.Path") from None
    if not path or "\0" in path:
        raise FileError(who, f"the path is {path!r}, expected the name of a file")
    return path


def _status(path: str) -> Optional[os.stat_result]:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _create_part(who: str, folder: str, name: str) -> tuple[str, Any]:
    """A new temporary, locked."""
    while True:
        part = os.path.join(folder, f"{name[:40]}.{os.urandom(8).hex()}.part")
        try:
            fd = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        except FileNotFoundError:
            raise MissingFile(who, f"there is no folder {folder}", fix="os.makedirs(folder, exist_ok=True)") from None
        except (PermissionError, NotADirectoryError) as e:
            raise FileError(who, f"no file can be made in {folder}: {e.strerror}") from e
        file = os.fdopen(fd, "w+b")
        if _lock(file, wait=True) is None or os.fstat(fd).st_nlink:
            return part, file
        file.close()                              # another process took it for abandoned before it was locked


def _lock(file: Any, wait: bool) -> Optional[bool]:
    """Whether a file could be locked; None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:                               # a file system without locks
        return None
    return True


def _remove_abandoned(folder: str, name: str) -> None:
    """Remove the temporaries of `name` whose process is gone."""
    pattern = re.compile(re.escape(name[:40]) + r"\.[0-9a-f]{16}\.part")
    for other in os.listdir(folder) if os.path.isdir(folder) and os.access(folder, os.R_OK) else ():
        if not pattern.fullmatch(other):
            continue
        path = os.path.join(folder, other)
        try:
            with open(path, "r+b") as file:
                locked = _lock(file, wait=False)
                if locked or locked is None and time.time() - os.fstat(file.fileno()).st_mtime > _DEAD_AFTER:
                    os.unlink(path)
        except (FileNotFoundError, PermissionError):
            continue                              # moved by its process, or of another user


def _sync_folder(folder: str) -> None:
    """Write the new name to the disk too; Windows has no such call."""
    if os.name == "posix":
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
