"""What the pages of the site are made of: equations as LaTeX, docstrings as blocks."""
import doctest
import inspect
import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from rnnref.cells import CATALOG
from tests.support.public_api import PACKAGES, list_public_names

FOLDER = Path(__file__).parents[2] / "notebooks" / "site"


@pytest.fixture(scope="module", autouse=True)
def of_site():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


@pytest.mark.parametrize("name", ("equations", "docstrings"))
def test_examples(name):
    found = doctest.testmod(import_module(name))
    assert found.attempted and not found.failed


@pytest.mark.parametrize("line, latex", (
    ("c' = f c + i g", [(r"c' = f\, c + i\, g", "")]),
    ("n = candidate(x W_n + (r h) R_n + b_n (+ bR_n)) reset=\"before\" it",
     [(r"n = \operatorname{candidate}(x\, W_{n} + (r\, h)\, R_{n} + b_{n}\, (+ b_{R,n}))", 'reset="before" it')]),
    ("R = gain_r Vr / |Vr|, column by column", [(r"R = \text{gain}_{r}\, V_{r}/|V_{r}|", "column by column")]),
    ("h' = activation(x W + h * r + b)      entry by entry",
     [(r"h' = \operatorname{activation}(x\, W + h\odot r + b)", "entry by entry")]),
    ("K_n   = M_n . k / (|M_n| |k| + 1e-8)",
     [(r"K_{n} = M_{n}\cdot k/(|M_{n}|\, |k| + 10^{-8})", "")]),
    ("a4 = tanh(x4 + h4)  a5 = sig(x5 + h5)",
     [(r"a_{4} = \tanh(x_{4} + h_{4})", ""), (r"a_{5} = \sigma(x_{5} + h_{5})", "")]),
))
def test_equations(line, latex):
    assert list(import_module("equations").typeset(line)) == latex


@pytest.mark.parametrize("text", ("the output of each is the input of the next",
                                  "with x = 3 the layer does nothing at all",
                                  "where x0 .. x7 = x W and h0 .. h7 = h R + b, so b is in the second factor"))
def test_sentences_are_no_equations(text):
    assert not import_module("equations").is_equation(text)


def words(text):
    return set(re.findall(r"\w{3,}", text))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_word_of_a_docstring_is_lost(package):
    docstrings, module = import_module("docstrings"), import_module(package)
    for name in list_public_names(module):
        text = inspect.getdoc(getattr(module, name)) or ""
        shown = re.sub(r"\\|_\{|\}", "", "\n".join(docstrings.as_rst(docstrings.parse(text))))
        formulas = {name for name in words(text) if "_" in name} | {"sig", "alpha_t", "beta_1", "beta_2"}
        assert words(text) - words(shown) - formulas <= set(), f"{package}.{name}"


@pytest.mark.parametrize("name", CATALOG)
def test_every_cell_has_equations_that_balance(name):
    equations, blocks = import_module("equations"), import_module("docstrings").parse(inspect.getdoc(CATALOG[name]))
    blocks = [block for block in blocks if block.kind in ("equations", "literal")]
    assert blocks
    for block in blocks:
        for line in block.content if block.kind == "equations" else ():
            for latex, _ in equations.typeset(line) if equations.is_equation(line) else ():
                assert latex.count("{") == latex.count("}") and latex.count("(") == latex.count(")"), latex
