"""The command on ONNX files that are broken or made to do harm: one error, status 2, soon, in little memory."""
import os
import subprocess
import sys
import time

import pytest

from rnnref import cli
from rnnref.check import onnx_session
from tests.support.hostile_models import FILES, SECRET, lay_traps, write

SECONDS, MEGABYTES = 5.0, 500


@pytest.mark.parametrize("name", FILES)
def test_one_error_and_soon(name, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(onnx_session, "SECONDS", 0.2)
    folder = tmp_path / "models"
    folder.mkdir()
    lay_traps(folder)
    path, start = write(folder, name), time.process_time()
    status = cli.main(["verify", str(path)])
    said = capfd.readouterr()
    assert status == 2 and time.process_time() - start < SECONDS
    assert said.err.count("rnnref: ") == 1 - bool(said.out) and "Traceback" not in said.err, said
    assert path.name in said.out + said.err and SECRET[:11] not in said.out + said.err


def test_what_is_no_file(tmp_path, capsys):
    (tmp_path / "folder.onnx").mkdir()
    os.mkfifo(tmp_path / "pipe.onnx")
    os.symlink("loop.onnx", tmp_path / "loop.onnx")
    with open(tmp_path / "large.onnx", "wb") as file:
        file.truncate(8 << 30)                    # it has no blocks on the disk
    with open(tmp_path / "hollow.onnx", "wb") as file:
        file.write(b"\x08\x08\x3a\xc0\xff\xff\xff\x07")                         # a graph of two gigabytes of zeros
        file.truncate((1 << 31) - 1)
    for name in ("folder.onnx", "pipe.onnx", "loop.onnx", "large.onnx", "hollow.onnx", "none.onnx", "/dev/zero", "\0"):
        assert cli.main(["verify", str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert said.count("rnnref: ") == 1 and "Traceback" not in said


def test_no_permission(tmp_path, monkeypatch, capsys):
    """Root may read all files: what opens them says that it may not."""
    def forbid(*arguments, **options):
        raise PermissionError(13, "Permission denied")
    (tmp_path / "m.onnx").write_bytes(b"")
    monkeypatch.setattr("builtins.open", forbid)
    assert cli.main(["verify", str(tmp_path / "m.onnx")]) == 2 and "cannot be read" in capsys.readouterr().err


MEASURED = """
import re, sys
from pathlib import Path
from rnnref import cli
from tests.support.hostile_models import HEAVY, write
for name in HEAVY:
    assert cli.main(["verify", str(write(Path(sys.argv[1]), name))]) == 2
# not ru_maxrss, which begins with that of the process it was forked from
print("peak", int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024)
"""


def test_memory(tmp_path):
    """Of onnxruntime too, in a process of its own, one model after the other."""
    found = subprocess.run([sys.executable, "-c", MEASURED, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found
    assert int(found.stdout.split()[-1]) < MEGABYTES, found.stdout
