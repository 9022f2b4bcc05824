"""Check that the wheel and the source archive hold every file of the package that git has.

    python -m tests.support.package_contents dist
"""
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path


def list_missing(folder: Path) -> list:
    """Files of rnnref/ that an archive in `folder` lacks."""
    listed = subprocess.run(["git", "ls-files", "rnnref"], capture_output=True, text=True, check=True)
    wanted = set(listed.stdout.split())
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = set(archive.namelist())
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    return [f"{path.name}: {name}" for path, names in ((wheel, in_wheel), (sdist, in_sdist))
            for name in sorted(wanted - names)]


if __name__ == "__main__":
    missing = list_missing(Path(sys.argv[1]))
    if missing:
        sys.exit("missing:\n  " + "\n  ".join(missing))
