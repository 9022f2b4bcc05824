"""Members of a zip archive."""
import os
from contextlib import contextmanager
from typing import Any, Iterator
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from ..errors import FileError
from .opening import check_unpacked, open_file

_END = 22                                         # bytes of the record at the end of an archive


@contextmanager
def open_zip(who: str, path: Any) -> Iterator[tuple[ZipFile, dict[str, ZipInfo]]]:
    """An archive and {name: its entry}; errors in the block name the file.

    Errors   FileError: broken; members that have one name, share bytes, are encrypted or packed in another way than
             deflated; names that lead out of a folder
    """
    with open_file(who, path) as file, ZipFile(file) as archive:
        infos, size = archive.infolist(), os.fstat(file.fileno()).st_size
        if not infos and size > _END + len(archive.comment):
            raise FileError(who, f"{path} is broken: an archive of {size} bytes without members")
        if sum(info.compress_size for info in infos) > size:
            raise FileError(who, f"{path} is broken: its members are longer than the file")
        found: dict[str, ZipInfo] = {}
        for info in infos:
            if info.filename in found:
                raise FileError(who, f"{path} has two members called {info.filename!r}")
            if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED) or info.flag_bits & 1:
                raise FileError(who, f"{info.filename!r} in {path} is encrypted, or neither stored nor deflated")
            found[check_member(who, path, info.filename)] = info
        yield archive, found


def check_member(who: str, path: Any, name: str) -> str:
    """The name of a member; raise if it leads out of the folder that an archive stands for."""
    if name.startswith("/") or "\\" in name or "\0" in name or ".." in name.split("/") or name[1:3] == ":/":
        raise FileError(who, f"{path}: a member called {name!r} leads out of the archive")
    if len(name.encode("utf-8", "surrogatepass")) > 1 << 15 or name != name.encode("utf-8", "replace").decode():
        raise FileError(who, f"{path}: a member called {name[:60]!r}... has no name that an archive can hold")
    return name


def read_member(who: str, path: Any, archive: ZipFile, members: dict, name: str) -> bytes:
    """The bytes of a member, if they are not far more than there are in the file."""
    if name not in members:
        raise FileError(who, f"{path} has no {name}", known=" ".join(sorted(members)[:20]))
    check_unpacked(who, path, members[name].file_size, members[name].compress_size, name)
    return archive.read(members[name])            # which checks the sum
