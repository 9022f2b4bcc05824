"""`rnnref train` and `rnnref sample`: the files of a run, what is refused, Ctrl-C, and runs that go on."""
import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import rnnref
from rnnref import cli
from rnnref.errors import Error, NotSupported
from rnnref.train import sample, train
from rnnref.train.folder import open_folder
from rnnref.train.sample import choose, draw
from rnnref.train.tasks import Settings, build_model, load_task

ROOT = Path(__file__).parents[2]
SMALL = ("--units", "8", "--epochs", "2", "--batch-size", "128")
TEXT = "".join(f"{n} times {k} is {n * k}.\n" for n in range(2, 14) for k in range(2, 14)) * 2


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tables.txt").write_text(TEXT, encoding="utf-8")
    return tmp_path


def run(capsys, *argv):
    try:
        status = cli.main([str(a) for a in argv])
    except SystemExit as e:
        status = e.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def read_history(path):
    with open(path / "history.csv", newline="") as file:
        return [{name: float(a) for name, a in row.items()} for row in csv.DictReader(file)]


def test_a_run_of_digits_writes_its_folder(folder, capsys):
    status, out, _ = run(capsys, "train", "digits", *SMALL)
    assert status == 0 and out.startswith("runs/digits-1: ") and "epoch 2/2  loss " in out
    names = {"settings.json", "history.csv", "model.keras", "training.npz", "curves.png", "confusion.png"}
    assert set(os.listdir("runs/digits-1")) == names
    rows = read_history(folder / "runs/digits-1")
    assert [row["epoch"] for row in rows] == [1, 2] and rows[1]["loss"] < rows[0]["loss"]
    model = rnnref.models.load_model("runs/digits-1/model.keras")
    (_, _), (x, y) = rnnref.data.digits()
    shown = float(out.rpartition("accuracy ")[2].split()[0])
    assert (model.predict(x, verbose=0).argmax(1) == y).mean() == pytest.approx(shown, abs=1e-4)
    assert run(capsys, "train", "digits", *SMALL)[1].startswith("runs/digits-2: ")        # the next free number


def test_a_run_of_text_draws_samples(folder, capsys):
    status, out, _ = run(capsys, "train", "text", "tables.txt", *SMALL, "--cell", "GRU", "--layers", "2")
    assert status == 0 and "2 layers" in out and "a character, on the last tenth" in out
    rows = read_history(folder / "runs/text-1")
    assert all(row["bits"] == pytest.approx(row["loss"] / math.log(2)) for row in rows)
    parts = (folder / "runs/text-1/samples.txt").read_text().split("=== epoch ")
    assert len(parts) == 3 and set(parts[2][6:]) <= set(TEXT)
    text = "".join(sample("runs/text-1", prefix="2 times", length=30, seed=1))
    assert text.startswith("2 times") and len(text) == 37
    assert text == "".join(sample("runs/text-1", prefix="2 times", length=30, seed=1))
    status, out, _ = run(capsys, "sample", "runs/text-1", "--temperature", "0", "--length", "20", "--prefix", "3 ")
    assert status == 0 and out == "".join(sample("runs/text-1", temperature=0, length=20, prefix="3 ")) + "\n"


def test_drawing_goes_step_by_step_as_the_model_does(folder):
    settings = Settings("text", str(folder / "tables.txt"), units=8, batch_size=4)
    what = load_task(settings)
    rnnref.utils.set_random_seed(0)
    model = build_model(settings, what.sizes)
    vocabulary = what.corpus.vocabulary
    text = "".join(draw(model, vocabulary, 10, temperature=0, prefix="12 t"))
    for k in range(4, 14):                                # the likeliest after all before, computed at once
        ids = np.zeros((what.sizes["lanes"], what.sizes["steps"]), "int32")
        ids[0, :k] = what.corpus.encode(text[:k])
        for layer in model.layers:
            if getattr(layer, "stateful", False):
                layer.reset_state()
        assert vocabulary[int(np.asarray(model(ids))[0, k - 1].argmax())] == text[k]


def test_choose_draws_with_the_probabilities_of_the_temperature():
    logits, rng = np.log(np.array([0.1, 0.2, 0.7], "float32")), np.random.default_rng(0)
    for temperature in (1.0, 0.5):
        expected = np.array([0.1, 0.2, 0.7]) ** (1 / temperature)
        counts = np.bincount([choose(logits, temperature, rng) for _ in range(4000)], minlength=3) / 4000
        assert abs(counts - expected / expected.sum()).max() < 0.03
    assert choose(logits, 0, rng) == 2


def test_loss_of_a_text_is_carried_from_window_to_window(folder):
    """The states go on from batch to batch: two windows of a lane give what one long sequence gives."""
    settings = Settings("text", str(folder / "tables.txt"), units=8, batch_size=2)
    what = load_task(settings)
    model = build_model(settings, what.sizes)
    x = what.train[0]
    lanes, steps = what.sizes["lanes"], what.sizes["steps"]
    found = np.concatenate([np.asarray(model(x[k * lanes:(k + 1) * lanes])) for k in range(2)], axis=1)
    config = {**model.layers[1].get_config(), "stateful": False}
    whole = rnnref.Sequential([rnnref.Input((2 * steps,), dtype="int32"), type(model.layers[0]).from_config(
        model.layers[0].get_config()), rnnref.layers.LSTM.from_config(config), type(model.layers[2]).from_config(
            model.layers[2].get_config())])
    whole.set_weights(model.get_weights())
    expected = np.asarray(whole(np.concatenate([x[:lanes], x[lanes:2 * lanes]], axis=1)))
    assert abs(found - expected).max() < 1e-5


def test_a_resumed_run_gives_the_numbers_of_an_unbroken_one(folder, capsys):
    run(capsys, "train", "digits", *SMALL[:2], "--epochs", "4", "--batch-size", "128", "--out", "whole")
    run(capsys, "train", "digits", *SMALL, "--out", "parts")
    status, out, _ = run(capsys, "train", "digits", "--epochs", "4", "--out", "parts", "--resume")
    assert status == 0 and "resumed after epoch 2: it continues with epoch 3" in out
    assert read_history(folder / "parts") == read_history(folder / "whole")
    models = [rnnref.models.load_model(f"{name}/model.keras").get_weights() for name in ("whole", "parts")]
    assert all(np.array_equal(a, b) for a, b in zip(*models))
    assert "the run is complete" in run(capsys, "train", "digits", "--out", "parts", "--resume")[1]


def start(folder, *argv):
    """The command in a process of its own; it prints a line for each epoch."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    return subprocess.Popen([sys.executable, "-m", "rnnref", *argv], cwd=folder, env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


ARGUMENTS = ("train", "digits", "--units", "8", "--batch-size", "64", "--out", "run")


def test_ctrl_c_saves_and_ends_with_130_and_kill_loses_one_epoch(folder, capsys):
    process = start(folder, *ARGUMENTS, "--epochs", "1000")
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "--resume goes on from the end of epoch" in out and not err
    assert rnnref.models.load_model("run/model.keras").count_params() > 0 and (folder / "run/curves.png").exists()
    process = start(folder, *ARGUMENTS, "--epochs", "1000", "--resume")
    for line in process.stdout:
        if line.startswith("epoch 4/") or line.startswith("epoch 5/"):
            break
    time.sleep(0.05)
    process.kill()
    process.communicate()
    done = len(read_history(folder / "run"))
    assert done >= 4
    run(capsys, *ARGUMENTS, "--epochs", str(done + 1), "--resume")
    run(capsys, *ARGUMENTS[:-1], "whole", "--epochs", str(done + 1))
    whole, parts = read_history(folder / "whole"), read_history(folder / "run")
    assert len(parts) == done + 1
    for a, b in zip(whole, parts):
        assert a == pytest.approx(b, rel=1e-4)            # as many BLAS threads are not promised here


@pytest.mark.parametrize("argv, words", [
    (("train", "text"), "text needs a file"), (("train", "text", "gone.txt"), "gone.txt cannot be read"),
    (("train", "mnist", "gone.npz"), "gone.npz"), (("train", "nothing"), "unknown task: nothing"),
    (("train", "digits", "--cell", "LSTN"), "did you mean LSTM"), (("train", "digits", "--units", "0"), "'0'"),
    (("train", "digits", "--rate", "-1"), "expected a number above 0"),
    (("train", "digits", "--resume"), "there is no run runs/digits-N to resume"),
    (("train", "digits", "--resume", "--out", "gone"), "the folder gone does not exist"),
    (("train", "digits", "--out", "full"), "the folder full exists already"),
    (("train", "digits", "--out", "full", "--resume"), "settings.json cannot be read"),
    (("sample", "gone"), "settings.json cannot be read"), (("sample", "of digits"), "has no text to draw"),
    (("sample", "of text", "--temperature", "-1"), "expected 0 or more"),
    (("sample", "of text", "--prefix", "é"), "'é' are not in the vocabulary")], ids=str)
def test_what_is_refused(folder, capsys, argv, words):
    os.makedirs("full")
    (folder / "full/a").write_text("")
    for task in ("digits", "text"):
        os.makedirs(f"of {task}")
        settings = {"task": task, "sizes": {"classes": 3, "lanes": 1, "steps": 2}, "vocabulary": "abc"}
        (folder / f"of {task}/settings.json").write_text(json.dumps(settings))
    if argv[0] == "sample" and argv[1] == "of text":
        small = rnnref.Sequential([rnnref.Input(batch_shape=(1, 2), dtype="int32"), rnnref.layers.Embedding(3, 2),
                                   rnnref.layers.GRU(2, stateful=True, return_sequences=True), rnnref.layers.Dense(3)])
        small.save("of text/model.keras")
    before = sorted(os.listdir("."))
    status, _, err = run(capsys, *argv)
    assert status == 2 and words in err, err
    assert sorted(os.listdir(".")) == before or argv[0] == "train"
    assert not (folder / "runs").exists() or not os.listdir("runs")


def test_other_settings_of_a_resumed_run_are_refused(folder, capsys):
    run(capsys, "train", "text", "tables.txt", *SMALL, "--out", "run")
    assert "started with units=8, and is now given 9" in run(
        capsys, "train", "text", "tables.txt", "--units", "9", "--out", "run", "--resume")[2]
    assert "started with task='text'" in run(capsys, "train", "digits", "--out", "run", "--resume")[2]
    (folder / "tables.txt").write_text(TEXT + "1 times 1 is 1.\n")
    assert "tables.txt has changed" in run(capsys, "train", "text", "tables.txt", "--out", "run", "--resume")[2]
    (folder / "run/settings.json").write_text("{}")
    assert "does not hold the settings" in run(capsys, "train", "text", "--out", "run", "--resume")[2]
    (folder / "tables.txt").write_text("short")
    assert "expected 1320 or more" in run(capsys, "train", "text", "tables.txt", "--out", "other")[2]
    assert not (folder / "other").exists()


def test_folders_take_the_next_number(folder):
    for k in (1, 2, 7):
        os.makedirs(f"runs/text-{k}")
        Path(f"runs/text-{k}/a").touch()
    assert open_folder("text", None, False)[0].path == os.path.join("runs", "text-8")
    os.rmdir("runs/text-8")
    assert open_folder("text", None, True)[0].path == os.path.join("runs", "text-7")
    with pytest.raises(Error, match="text-7 exists already"):
        open_folder("text", "runs/text-7", False)


def test_python_callers_are_refused_too(folder):
    with pytest.raises(NotSupported, match="temperature=-1"):
        os.makedirs("run")
        Path("run/settings.json").write_text('{"task": "text", "sizes": {}, "vocabulary": "ab"}')
        sample("run", temperature=-1)
    with pytest.raises(Error, match="needs a file"):
        train("text")
