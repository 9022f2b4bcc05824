"""The house stands: who may import whom, what `import rnnref` brings along, how long a file may be."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rnnref
from rnnref.loops import plan

ROOT = Path(rnnref.__file__).parent
LINES = 400

# The floor of every folder, and of every file that lies in none.  A module imports only from floors below its own, and
# from its own folder; files in none share one folder, and there only what is not above.
FLOORS = {
    "arrays": 0, "tree": 0, "shapes": 0, "errors": 0, "scalar": 0, "norms": 0, "nest": 0,
    "identifiers": 0, "absent": 0, "registry": 0,
    "maps": 1, "rules": 1, "store": 1, "pairs": 1,
    "cell": 2, "init": 2, "record": 2, "values": 2, "symbols": 2, "ops": 2, "creation": 2,
    "composed_arrays": 2, "composed_reductions": 2, "composed_nn": 2, "control_flow": 2,
    "wrappers": 3, "regularizers": 3, "constraints": 3, "initializers": 3, "activations": 3, "random": 3,
    "cells": 4, "own": 4,
    "interop": 5, "plain": 5, "hoisted": 5, "padding": 5, "cpu": 5, "cuda": 5,
    "run": 6, "fused": 6, "bidirectional": 6, "layerwise": 6,
    "layers": 7, "tf1": 7, "onnx": 7,
    "losses": 8, "metrics": 8, "optimizers": 8, "callbacks": 8, "utils": 8, "saving": 8,
    "models": 9,
    "check": 10,
    "survey": 11,
    "compare": 12, "trial": 12, "laws": 12, "testing": 12, "plot": 12, "about": 12, "cli": 12,
    "__init__": 13, "__main__": 13,
}

# What may stand in an `import` statement.  All else is imported by errors.extra, in the one function that needs it ...
OUTSIDE = {"numpy", "rnnref", *sys.stdlib_module_names}
# ... but for these, whose base classes are another package's: errors.extra is asked before they are imported.
BUILT_ON = {"onnx/backend.py": "onnx", "onnx/promote.py": "onnx"}
HEAVY = ("torch", "cupy", "onnx", "onnxruntime", "matplotlib", "hypothesis", "tqdm", "keras", "tensorflow", "jax",
         "flax", "ml_dtypes", "h5py", "safetensors")

FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))


def home(path):
    """The folder or the file that FLOORS lists."""
    return path.split("/")[0].removesuffix(".py")


def imports(tree, path):
    """Every module that a file imports, wherever in it: absolute names, those of rnnref from `rnnref.` on."""
    package = ["rnnref", *path.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            if module == "rnnref":                # from . import cells: the names are the modules
                yield from (f"rnnref.{name.name}" for name in node.names)
            else:
                yield module


def faults(path, text):
    """What is wrong with the imports of a file, in words."""
    mine = home(path)
    if mine not in FLOORS:
        return [f"rnnref/{path} has no floor: give {mine!r} one in FLOORS"]
    found = []
    for module in imports(ast.parse(text), path):
        top, _, inside = module.partition(".")
        if top not in OUTSIDE and top != BUILT_ON.get(path):
            found.append(f"rnnref/{path} imports {module}: use errors.extra in the function that needs it")
        other = inside.partition(".")[0]
        if top != "rnnref" or other in ("", "__version__", mine):
            continue
        if other not in FLOORS:
            if mine != "__init__":
                found.append(f"rnnref/{path} imports {module}: neither a module with a floor nor below this one")
        elif not FLOORS[other] < FLOORS[mine] and not beside(path, other):
            found.append(f"rnnref/{path} (floor {FLOORS[mine]}) imports {module} (floor {FLOORS[other]})")
    return found


def beside(path, other):
    """Files in no folder may import those of their own floor."""
    return "/" not in path and (ROOT / f"{other}.py").exists() and FLOORS[home(path)] == FLOORS[other]


@pytest.mark.parametrize("path", FILES)
def test_a_module_imports_from_below(path):
    assert not faults(path, (ROOT / path).read_text())


@pytest.mark.parametrize("path", FILES)
def test_no_file_is_long(path):
    count = len((ROOT / path).read_text().splitlines())
    assert count <= LINES, f"rnnref/{path} has {count} lines, more than {LINES}: which noun is missing?"


def test_no_test_file_is_long():
    tests = Path(__file__).parent
    long = {path.name for path in tests.rglob("*.py") if len(path.read_text().splitlines()) > LINES}
    assert not long, f"more than {LINES} lines"


def test_no_folder_in_a_folder():
    assert not [path for path in FILES if path.count("/") > 1]


@pytest.mark.parametrize("path, text, says", (
    ("scan.py", "from .run import run", "rnnref/scan.py (floor 5) imports rnnref.run (floor 6)"),
    ("scan.py", "def f():\n    from . import run", "rnnref/scan.py (floor 5) imports rnnref.run (floor 6)"),
    ("maps/dense.py", "from ..rules import lstm", "rnnref/maps/dense.py (floor 1) imports rnnref.rules (floor 1)"),
    ("maps/dense.py", "import rnnref.cells.catalog", "imports rnnref.cells.catalog (floor 4)"),
    ("tree.py", "from . import cell", "rnnref/tree.py (floor 0) imports rnnref.cell (floor 2)"),
    ("run.py", "def f():\n    import torch.nn", "rnnref/run.py imports torch.nn: use errors.extra"),
    ("run.py", "from cupy import ndarray", "rnnref/run.py imports cupy: use errors.extra"),
    ("novel.py", "", "rnnref/novel.py has no floor"),
    ("novel/novel.py", "", "rnnref/novel/novel.py has no floor: give 'novel' one"),
))
def test_a_wrong_import_is_seen(path, text, says):
    assert len(faults(path, text)) == 1 and says in faults(path, text)[0]


@pytest.mark.parametrize("path, text", (
    ("maps/conv.py", "from .dense import Dense\nfrom ..arrays import rows\nimport numpy as np"),
    ("hoisted.py", "from .scan import row"), ("onnx/backend.py", "from onnx import helper"),
    ("tree.py", "from .arrays import namespace\nfrom dataclasses import field"),
    ("testing.py", "from .check.tolerance import tolerance"), ("__init__.py", "from . import cells, run"),
))
def test_a_right_import_is_not_a_fault(path, text):
    assert not faults(path, text)


def brought_by(statement):
    code = f"import sys; {statement}; print([m for m in {HEAVY!r} if m in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("statement", ("import rnnref", "import rnnref.testing", "import rnnref; rnnref.check"))
def test_numpy_is_all_that_is_imported(statement):
    assert brought_by(statement) == "[]"


def test_what_is_heavy_would_be_seen():
    assert brought_by("import rnnref, hypothesis") == "['hypothesis']"


@pytest.mark.parametrize("name", [*dict.fromkeys((*plan.PATHS, *plan.TIERS)), *plan.KERNELS.values()])
def test_every_entry_of_the_table_resolves(name):
    found = plan.resolve_name(name)
    for needed in ("refuses", "forward", "backward"):
        assert callable(getattr(found, needed))


@pytest.mark.parametrize("name", plan.KERNEL_MAPS.values())
def test_every_map_of_the_table_resolves(name):
    found = plan.resolve_name(name)
    for needed in ("plain", "refuses", "forward", "backward_x", "backward_p"):
        assert callable(getattr(found, needed))


def test_every_module_is_imported_without_a_word():
    """Warnings are errors here, and in a fresh interpreter too."""
    modules = [".".join(["rnnref", *path.removesuffix(".py").split("/")]).removesuffix(".__init__") for path in FILES
               if not path.startswith("__main__")]
    code = f"import importlib\nfor name in {modules!r}:\n    importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert not done.stderr and not done.stdout, done.stderr
