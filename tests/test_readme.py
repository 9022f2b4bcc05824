"""What the README says runs, and every target and file that it names is there."""
import doctest
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_examples_run():
    found = doctest.DocTestParser().get_doctest(README, {}, "README.md", "README.md", 0)
    assert len(found.examples) >= 10
    assert doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(found).failed == 0


def test_targets_exist():
    rules = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
    named = set(re.findall(r"make ([a-z-]+)", README + (ROOT / "CONTRIBUTING.md").read_text()))
    assert named and named <= set(rules)


def test_files_exist():
    named = set(re.findall(r"`((?:rnnref|notebooks|tests)/[\w./]+)`", README + (ROOT / "CONTRIBUTING.md").read_text()))
    assert named and all((ROOT / name).exists() for name in named), named
