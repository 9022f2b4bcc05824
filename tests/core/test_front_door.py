"""What a user meets first: the names of the package, for people, for completion and for type checkers."""
import json
import pydoc
import re

import jedi
import pytest

import rnnref
from tests.support.public_api import COMMAND, SNAPSHOT, describe_api

CALLED = {"cells", "layers", "run", "run_back", "explain", "verify", "assert_matches", "init", "save", "load", "to",
          "interop", "onnx", "tf1", "testing", "plot", "ops", "Record", "Input", "Model", "Sequential",
          "data", "prepare", "blas_threads", "release_workspaces", "compare", "convert", "diagnose"}


def completions(code):
    lines = code.split("\n")
    return {found.name for found in jedi.Script(code).complete(len(lines), len(lines[-1]))}


def test_names():
    assert set(rnnref.__all__) == CALLED - {"Record", "Input", "Model", "Sequential"} | {"models"}
    assert CALLED <= set(dir(rnnref)) and not [name for name in dir(rnnref) if not hasattr(rnnref, name)]
    assert not {"import_module", "TYPE_CHECKING", "Any"} & set(dir(rnnref))
    with pytest.raises(AttributeError, match="module 'rnnref' has no attribute 'verfy'"):
        rnnref.verfy


def test_every_name_is_described():
    """In the part of help(rnnref) before the list of modules."""
    entries = re.findall(r"^    (\w[\w, ]*?)  +\S", rnnref.__doc__, re.M)
    assert {name for entry in entries for name in entry.split(", ")} == CALLED
    text = pydoc.plain(pydoc.render_doc(rnnref))
    assert text.index("PACKAGE CONTENTS") < text.index("FUNCTIONS")
    assert len(text[:text.index("PACKAGE CONTENTS")].splitlines()) < 60


def test_completion():
    assert CALLED <= completions("import rnnref\nrnnref.")
    assert {"ok", "to_html", "raise_if_failed"} <= completions("import rnnref\nrnnref.verify(1, 2).")
    assert {"LSTM", "GRU"} <= completions("import rnnref\nrnnref.cells.")
    assert {"LSTM", "Bidirectional"} <= completions("import rnnref\nrnnref.layers.")


def test_the_signature_of_verify():
    code = "import rnnref\nrnnref.verify("
    signature, = jedi.Script(code).get_signatures(2, len("rnnref.verify("))
    assert [p.name for p in signature.params][:2] == ["candidate", "inputs"] and "-> Report" in signature.to_string()


def test_run_refuses_a_misspelt_keyword():
    with pytest.raises(TypeError, match="no argument is called revers\n  fix    did you mean reverse"):
        rnnref.run(rnnref.cells.LSTM(), {}, None, revers=True)


def test_type_checkers_see_annotations():
    from importlib.resources import files
    assert files("rnnref").joinpath("py.typed").is_file()


def test_public_names_and_signatures():
    """A change of what users call is announced: by the snapshot in the same commit, and a line in the CHANGELOG."""
    stored, today = json.loads(SNAPSHOT.read_text()), describe_api()
    changed = {name: (stored.get(name), today.get(name)) for name in {*stored, *today}
               if stored.get(name) != today.get(name)}
    assert not changed, f"if these changes are meant, store them: {COMMAND}"


def test_a_changed_signature_would_be_seen(monkeypatch):
    assert describe_api()["rnnref.load"] == "(path, like=None)"
    monkeypatch.setattr(rnnref, "load", lambda path: path)
    with pytest.raises(AssertionError, match=f"store them: {COMMAND}"):
        test_public_names_and_signatures()
