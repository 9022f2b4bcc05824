"""The structure of the package: who may import whom, what `import rnnref` brings along, how long a file may be."""
import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rnnref
from rnnref.loops import plan
from tests.support.floors import FLOORS

ROOT = Path(rnnref.__file__).parent
LINES = 400

# What may stand in an `import` statement.  All else is imported by errors.import_optional, in the one function that
# needs it ...
OUTSIDE = {"numpy", "rnnref", *sys.stdlib_module_names}
# ... but for these, whose base classes are another package's: errors.import_optional is called first.
BUILT_ON = {"onnx/backend.py": "onnx", "onnx/promote.py": "onnx", "onnx/loop.py": "onnx"}
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
            found.append(f"rnnref/{path} imports {module}: use errors.import_optional in the function that needs it")
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
    tests = Path(__file__).parents[1]
    long = {path.name for path in tests.rglob("*.py") if len(path.read_text().splitlines()) > LINES}
    assert not long, f"more than {LINES} lines"


def test_no_folder_in_a_folder():
    assert not [path for path in FILES if path.count("/") > 1]


@pytest.mark.parametrize("path, text, says", (
    ("padding.py", "from .loops import run", "rnnref/padding.py (floor 5) imports rnnref.loops (floor 7)"),
    ("padding.py", "def f():\n    from . import loops", "rnnref/padding.py (floor 5) imports rnnref.loops (floor 7)"),
    ("maps/dense.py", "from ..rules import lstm", "rnnref/maps/dense.py (floor 1) imports rnnref.rules (floor 1)"),
    ("maps/dense.py", "import rnnref.cells.catalog", "imports rnnref.cells.catalog (floor 4)"),
    ("tree.py", "from . import cell", "rnnref/tree.py (floor 0) imports rnnref.cell (floor 2)"),
    ("loops/run.py", "def f():\n    import torch.nn", "rnnref/loops/run.py imports torch.nn: use errors."),
    ("loops/run.py", "from cupy import ndarray", "rnnref/loops/run.py imports cupy: use errors.import_optional"),
    ("novel.py", "", "rnnref/novel.py has no floor"),
    ("novel/novel.py", "", "rnnref/novel/novel.py has no floor: give 'novel' one"),
))
def test_a_wrong_import_is_seen(path, text, says):
    assert len(faults(path, text)) == 1 and says in faults(path, text)[0]


@pytest.mark.parametrize("path, text", (
    ("maps/conv.py", "from .dense import Dense\nfrom ..arrays import rows\nimport numpy as np"),
    ("padding.py", "from .products import find_parts"), ("onnx/backend.py", "from onnx import helper"),
    ("tree.py", "from .arrays import namespace\nfrom dataclasses import field"),
    ("testing/laws.py", "from ..check.tolerance import tolerance"), ("__init__.py", "from . import cells, loops"),
))
def test_a_right_import_is_not_a_fault(path, text):
    assert not faults(path, text)


def test_every_floor_is_that_of_a_file_or_folder():
    assert not [room for room in FLOORS if not (ROOT / room).is_dir() and not (ROOT / f"{room}.py").is_file()]


def output_of(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def brought_by(statement):
    return output_of(f"import sys; {statement}; print([m for m in {HEAVY!r} if m in sys.modules])")


@pytest.mark.parametrize("statement", ("import rnnref", "import rnnref.testing", "import rnnref; rnnref.check"))
def test_numpy_is_all_that_is_imported(statement):
    assert brought_by(statement) == "[]"


FIRST_RUN = """
import sys, numpy as np, rnnref
cell = rnnref.cells.Stack((rnnref.cells.LSTM(), rnnref.cells.GRU(reset="before")))
p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
ys, s, tape = rnnref.run(cell, p, np.ones((5, 2, 3), "float32"), lengths=[5, 2])
rnnref.run_back(tape, ys)
print([m for m in sys.modules if m.startswith("rnnref.cuda")])
"""


def test_the_first_run_on_numpy_imports_no_cuda():
    assert output_of(FIRST_RUN) == "[]"
    said = rnnref.explain(rnnref.cells.LSTM(), np.ones((5, 2, 3))).splitlines()
    assert said == ["GPU paths: arrays are in main memory", "sequence: runs"]


def test_an_import_of_cuda_would_be_seen():
    assert "rnnref.cuda.precision" in output_of("import rnnref.cuda.precision" + FIRST_RUN)


def test_what_is_heavy_would_be_seen():
    assert brought_by("import rnnref, hypothesis") == "['hypothesis']"


@pytest.mark.parametrize("name", sorted({name for paths in plan.MODULES.values() for name in paths}))
def test_every_path_of_the_table_resolves(name):
    path = plan.load_path(name)
    for needed in ("refuses", "forward", "backward"):
        assert callable(getattr(path, needed))


@pytest.mark.parametrize("name", plan.KERNELS.values())
def test_every_kernel_of_the_table_resolves(name):
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
