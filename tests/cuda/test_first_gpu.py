"""The first run on a card, without one: its quick form on the CPU doubles, and that no case or part can end it."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import measured
from tests.bench.first import cases, results, summary

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "bench" / "first_gpu.sh"


def script(out, **env):
    return subprocess.run(["bash", str(SCRIPT)], capture_output=True, text=True, timeout=330,
                          env=os.environ | {"OUT": str(out), "PY": sys.executable, **env})


@pytest.mark.kernels
def test_the_quick_form_runs_every_family(tmp_path, monkeypatch):
    done = script(tmp_path, TOYS="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "44 of 44 right" in done.stdout
    monkeypatch.setenv("OUT", str(tmp_path))
    found = results.read()
    assert set(found) >= {"environment", "smoke", "bench"}
    assert all(row["ours, graphed"] == 1 for one in found["bench"] for row in (one["forward"], one["training"]))
    assert (tmp_path / "summary.txt").read_text() in done.stdout


def test_parts_that_all_fail_do_not_end_it(tmp_path):
    done = script(tmp_path, PY="false", LIMIT="30")
    assert done.returncode == 0 and done.stdout.count("exit status 1") >= 5 and "summary" in done.stdout


CHILD = """
import os, sys, time
from tests.bench.first import cases
def run(name):
    if name == "hangs": time.sleep(60)
    if name == "dies": os.kill(os.getpid(), 9)
    if name in ("raises", "loses"): raise ValueError(name)
    print("ran", name)
every = {name: (name,) for name in sys.argv[1].split()}
def lost(): return sys.exc_info()[1].args == ("loses",)
cases.run_from("trial", every, int(sys.argv[2]), lambda name, _: run(name), lost)
"""


def test_a_case_that_raises_hangs_or_dies_is_named_and_the_next_one_runs(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("OUT", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    names = "first raises second hangs third dies fourth loses last".split()
    cases.run_all("trial", names, [sys.executable, "-u", "-c", CHILD, " ".join(names)], 60, 2)
    said = {row["case"]: row["failed"] for row in results.read()["trial"]}
    assert said == {"raises": "ValueError: raises", "hangs": "killed: it said nothing for 2 s",
                    "dies": "the process ended with -9", "loses": "ValueError: loses"}
    out = capfd.readouterr().out
    assert all(f"ran {name}" in out for name in ("first", "second", "third", "fourth", "last"))


def test_what_there_is_no_time_for_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("OUT", str(tmp_path))
    cases.run_all("trial", ["one", "two"], [sys.executable, "-c", "print('case 0 one', flush=True); import time; "
                                            "time.sleep(60)"], 1, 60)
    first, last = results.read()["trial"]
    assert first["failed"] == "out of time" and last["left_out"] == ["two"]


def test_a_line_that_was_cut_off_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setenv("OUT", str(tmp_path))
    results.add("smoke", case="a", wrong=None, ahead=1e-7, back=2e-7)
    with open(tmp_path / "results.jsonl", "a") as f:
        f.write('{"part": "smoke", "ca')
    assert [row["case"] for row in results.read()["smoke"]] == ["a"]


def test_the_summary_names_what_is_wrong_and_ends_in_time():
    right = {"case": "a", "wrong": None, "ahead": 1e-7, "back": 2e-7}
    found = {"smoke": [right, {"case": "b", "wrong": "far off", "ahead": 1, "back": 1}, {"case": "c", "failed": "hung"},
                       {"left_out": ["d", "e"]}],
             "bench": [{"case": "f", "forward": {"ours": 1.0, "torch": 2.0}, "training": {},
                        "forward, ratios": {"torch": 2.0}, "failed": {"plain": "no"}}],
             "note": [{"what": str(k), "value": "x" * 150} for k in range(200)]}
    said = summary.summary(found)
    for words in ("1 of 2 right; farthest ahead 1.0e-07", "b: far off", "c: hung", "left out: d, e", "torch/ours=2.00",
                  "failed: plain"):
        assert words in said
    assert "... and 184 more" in said and len(said) <= summary.LONGEST


def test_measured_numbers_stand_beside_those_of_the_plan(tmp_path):
    rows = [{"about": {"card": "NVIDIA H100 80GB HBM3", "driver": "1.2"}},
            *({"what": f"probe_cluster_barrier<{n}> x {count}", "value": n / 10 + count / 1000}
              for n in (2, 16) for count in (1, 8)),
            {"what": "node of a graph", "value": 1.234}, {"what": "chains", "failed": "no"}]
    path = tmp_path / "probe-1.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"cut')
    (tmp_path / "results.jsonl").write_text(json.dumps(
        {"part": "alone", "case": "LSTM", "microseconds": {"Ahead": [2.0, 30]}, "estimates": {"Ahead": 1.0}}) + "\n")
    read = measured.rows_of(tmp_path)
    (_, _, barrier), (_, _, node) = measured.constants(read)
    assert barrier == {1: 0.03, 2: 0.208, 16: 1.608} and node == 1.23
    assert list(measured.steps(read)) == [("LSTM", "Ahead", 1.0, 2.0)]
    stored = measured.store(read, tmp_path / "results")
    assert stored.name.startswith("NVIDIA-H100-80GB-HBM3-")
    assert json.loads(stored.read_text().splitlines()[0])["driver"] == "1.2"
    with pytest.raises(SystemExit, match="no card is named"):
        measured.about(read[1:-1] + [{"part": "environment", "failed": "no CuPy"}])
