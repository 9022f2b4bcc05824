"""What the README says runs, and every target and file that it names is there."""
import doctest
import re
from pathlib import Path

import pytest

from tests.support.readme_tables import insert_table, tables

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name, examples", [("README.md", 10), ("rnnref/tf1/README.md", 6),
                                            ("rnnref/cuda/README.md", 7)])
def test_examples_run(name, examples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)                   # examples write files
    found = doctest.DocTestParser().get_doctest((ROOT / name).read_text(), {}, name, name, 0)
    assert len(found.examples) >= examples
    assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS).run(found).failed == 0


def test_targets_exist():
    rules = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    named = set(re.findall(r"make ([a-z-]+)", README + (ROOT / "CONTRIBUTING.md").read_text()))
    assert named and named <= set(rules)


def test_files_exist():
    named = set(re.findall(r"`((?:rnnref|notebooks|tests)/[\w./]+)`", README + (ROOT / "CONTRIBUTING.md").read_text()
                           + (ROOT / "tests/questions.md").read_text()))
    assert named and all((ROOT / name).exists() for name in named), named


def test_tables_are_those_of_today():
    """The powers of ten are those of one machine; the golden tests hold the errors themselves."""
    for name, (path, table) in tables().items():
        text = path.read_text()
        masked = [re.sub(r"(< 1e-\d+|exact)", "#", t) for t in (text, insert_table(text, name, table))]
        assert masked[0] == masked[1], "if the new tables are right: python -m tests.support.readme_tables"


def test_a_table_needs_its_place():
    with pytest.raises(ValueError, match="no <!-- cells"):
        insert_table("nothing", "cells", "a table")


def test_every_test_of_a_card_is_run_on_one():
    """The target names folders and files, because a machine with a card may lack what other tests import."""
    target = re.search(r"^test-gpu:.*\n(?:\t.*\n)+", (ROOT / "Makefile").read_text(), re.M)[0]
    named = [ROOT / name for name in re.findall(r"(tests/\S+)", target)]
    marked = [path for path in (ROOT / "tests").rglob("test_*.py")
              if re.search(r"^(@pytest\.mark\.gpu|pytestmark = .*mark\.gpu)", path.read_text(), re.M)]
    assert len(marked) >= 4 and all(path.exists() for path in named)
    assert not [path for path in marked if path not in named and path.parent not in named]
