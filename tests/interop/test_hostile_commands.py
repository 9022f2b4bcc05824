"""The commands on files of weights that are broken or made to do harm: one error that names the file, and status 2."""
import io
import os
import time
import warnings

import pytest

from rnnref import cli
from rnnref.files.npz import write_npz
from rnnref.interop import read
from tests.support.bounded import bounded
from tests.support.hostile_files import (CONFIGS, H5, HARM, h5_files, keras_archive, keras_h5, npy_files, npz_files,
                                         safetensors_files, torch_files)
from tests.support.hostile_models import FILES, SECRET, lay_traps, write
from tests.support.weights import arrays_of

h5py = pytest.importorskip("h5py")
SECONDS = 5.0
TABLES = {"npz": npz_files, "npy": npy_files, "safetensors": safetensors_files, "pt": torch_files, "pth": torch_files}


def expect_status_2(capfd, *words):
    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        status = cli.main([str(word) for word in words])
    said = capfd.readouterr()
    assert status == 2 and time.process_time() - start < SECONDS, (words, said)
    assert said.err.count("rnnref: ") == 1 and "Traceback" not in said.err, (words, said)
    assert "bad" in said.err or "file" in said.err, (words, said)


def try_commands(capfd, path, data):
    """All commands on a file; what they would write to is there already, and stays."""
    path.write_bytes(data)
    good, out = path.parent / "good.npz", path.parent / "out.npz"
    write_npz("test", good, arrays_of("lstm", "torch"))
    out.write_bytes(b"precious")
    before = sorted(os.listdir(path.parent))
    for words in (("explain", path), ("verify", path), ("convert", path, out, "--to", "keras", "--no-live"),
                  ("compare", path, good), ("compare", good, path), ("diagnose", path, "--out", out)):
        expect_status_2(capfd, *words)
        assert out.read_bytes() == b"precious" and sorted(os.listdir(path.parent)) == before, words


@pytest.mark.parametrize("kind", TABLES)
def test_tables(kind, tmp_path, capfd):
    for name, data in TABLES[kind]().items():
        try_commands(capfd, tmp_path / f"bad.{kind}", data)


@pytest.mark.parametrize("name", HARM)
def test_hdf5(name, tmp_path, capfd):
    out = io.BytesIO()
    with h5py.File(out, "w") as f:
        for place, a in H5.items():
            f[place] = a
        h5_files(tmp_path)[name](h5py, f)
    for suffix in ("h5", "hdf5", "weights.h5"):
        try_commands(capfd, tmp_path / f"bad.{suffix}", out.getvalue())
    try_commands(capfd, tmp_path / "bad.keras", keras_archive(out.getvalue()))


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations(name, tmp_path, capfd):
    config = CONFIGS[name] if isinstance(CONFIGS[name], bytes) else CONFIGS[name].encode()
    try_commands(capfd, tmp_path / "bad.keras", keras_archive(keras_h5(h5py), config))
    if len(config) < 1 << 16:                     # of an attribute
        try_commands(capfd, tmp_path / "bad.h5", keras_h5(h5py, config))


@pytest.mark.parametrize("name", FILES)
def test_models(name, tmp_path, capfd):
    """Of a graph that is broken elsewhere the weights are whole; nothing else is computed."""
    (tmp_path / "models").mkdir()
    lay_traps(tmp_path / "models")
    path, out = write(tmp_path / "models", name), tmp_path / "out.npz"
    out.write_bytes(b"precious")
    with warnings.catch_warnings(), bounded():
        warnings.simplefilter("error")
        statuses = [cli.main(["convert", str(path), str(out), "--to", "keras", "--no-live"]), cli.main(
            ["explain", str(path)])]
    said = capfd.readouterr().err
    assert statuses == [2, 2] and said.count("bad.onnx") == 2 or statuses == [0, 0] and not said, (statuses, said)
    assert SECRET not in said and sorted(os.listdir(tmp_path)) == ["models", "out.npz", "secret"]
    if statuses[0]:
        assert out.read_bytes() == b"precious"
    else:
        assert {a.shape for a in read(out).values()} == {(3, 16), (4, 16), (16,)}


def test_numbers_that_are_not_finite_are_compared(tmp_path, capfd):
    path = write(tmp_path, "weights not finite")
    assert cli.main(["compare", str(path), str(path), "--json", "-"]) == 0, capfd.readouterr()


@pytest.mark.parametrize("suffix", ["ckpt", "index", "pb", "tflite", "json", "msgpack", "bin", "gguf"])
def test_other_formats(suffix, tmp_path, capfd):
    try_commands(capfd, tmp_path / f"bad.{suffix}", b"junk" * 50)


def test_inputs_of_verify(tmp_path, capfd):
    """The arrays for a model, before the model is read."""
    for data in npz_files().values():
        (tmp_path / "bad.npz").write_bytes(data)
        expect_status_2(capfd, "verify", tmp_path / "none.onnx", "--inputs", tmp_path / "bad.npz")


@pytest.mark.parametrize("suffix", ["h5", "keras", "npz", "safetensors", "pt", "onnx"])
def test_folders_pipes_and_links(suffix, tmp_path, capfd):
    (tmp_path / f"bad_folder.{suffix}").mkdir()
    os.mkfifo(tmp_path / f"bad_pipe.{suffix}")
    os.symlink(f"bad_link.{suffix}", tmp_path / f"bad_link.{suffix}")
    for name in ("bad_folder", "bad_pipe", "bad_link", "bad_none"):
        for command in ("explain", "verify"):
            expect_status_2(capfd, command, tmp_path / f"{name}.{suffix}")
