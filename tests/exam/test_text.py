"""What a character model learns of the documentation that Python brings: fewer bits a character than 5-grams have."""
import csv
import time
from pydoc_data.topics import topics

import pytest

from rnnref import cli
from rnnref.train import sample
from tests.support.ngrams import count_bits

MINUTES = 10                                      # on two cores


@pytest.mark.exam
def test_a_network_needs_fewer_bits_than_5_grams(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "\n\n".join(topics.values())
    (tmp_path / "topics.txt").write_text(text, encoding="utf-8")
    cut = round(0.9 * len(text))
    counted = count_bits(text[:cut], text[cut:], 5)
    began = time.process_time()
    assert cli.main(["train", "text", "topics.txt", "--out", "run"]) == 0
    minutes = (time.process_time() - began) / 60 / 2
    bits = float(capsys.readouterr().out.rpartition("bits ")[2].split()[0])
    drawn = "".join(sample("run", temperature=0.8, prefix="The ", length=300, seed=0))
    with open("run/history.csv", newline="") as file:
        epochs = len(list(csv.DictReader(file)))
    with capsys.disabled():
        print(f"\n{len(text)} characters: 5-grams need {counted:.3f} bits, a network {bits:.3f} in {epochs} epochs, "
              f"{minutes:.1f} minutes\n{drawn}")
    assert bits < counted and minutes < MINUTES
