"""The pages of the site that are made from the code: cells, packages, numerical promises, notebooks."""
import contextlib
import inspect
import io
import json
import re
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

from docstrings import as_rst, inline, parse

ROOT = Path(__file__).resolve().parents[2]
# The packages with pages, in the order of the site, each with what it is for
PACKAGES = {
    "rnnref": "Run, check, explain", "rnnref.cells": "Cells", "rnnref.wrappers": "Wrappers of cells",
    "rnnref.rules": "Rules of gates", "rnnref.maps": "Products", "rnnref.init": "Initial parameters",
    "rnnref.layers": "Layers", "rnnref.models": "Models", "rnnref.losses": "Losses", "rnnref.metrics": "Metrics",
    "rnnref.optimizers": "Optimizers", "rnnref.optimizers.schedules": "Schedules", "rnnref.callbacks": "Callbacks",
    "rnnref.data": "Data", "rnnref.saving": "Files", "rnnref.check": "Checking", "rnnref.testing": "Testing engines",
    "rnnref.interop": "Weights of other frameworks", "rnnref.onnx": "ONNX operators", "rnnref.tf1": "TensorFlow 1",
    "rnnref.plot": "Plots", "rnnref.cpu": "NumPy kernels"}
SECTIONS = {"Shapes": "Shapes", "Options": "Options", "Paper": "Paper", "Same as": "Who has it under which name",
            "Differs from": "Where it differs", "Errors": "Errors"}

PROMISES = {
    "Activations": """\
``sigmoid`` is right to 4 ulps of its own size at every argument, also where it is as small as the least number of its
dtype; so are swish, softplus and -log(sigmoid). Its slope is right to 4 ulps at every negative argument; at positive
ones ``1 - s`` has the digits that the stored ``s`` leaves. ``tanh`` is NumPy's, or CUDA's of 2 ulps.

The NumPy kernels of whole sequences fold the sigmoid into a tanh, which has a small absolute error and not a small
relative one: the column ``path``. What ``verify`` compares with never takes them.""",
    "The same bits": """\
Same inputs, same machine, same number of threads: same bits, on a CPU and on a GPU. The form of a product follows from
shape, dtype and processor by a table, never from a timing. A CUDA graph gives every bit of the steps that it launches.
A row's bits do not depend on the other rows in kernels on chip; in products of NumPy and cuBLAS they may.""",
    "NaN and infinity": """\
Nothing is hidden: a NaN in a row of the input stays in that row, and is in all later steps of it. At the singular
points of norms (a variance of zero, a vector of zeros) results and gradients are finite.""",
    "Padding": """\
At a step that is not alive the state stays as it is, to the bit. What the output is there, ``padding=`` says: zero
(TensorFlow 1, torch), the last one that was alive (Keras), or that of a cell that runs on (flax). Gradients of inputs
are zero there."""}

START = """\
**Check** whether a framework's RNN is right, and if not, why: :doc:`api/rnnref`, and the notebook
:doc:`notebooks/01_a_loop_and_a_cell` for what is compared.

**Learn** the mathematics, from the loop to backpropagation through time: :doc:`notebooks/index`.

**Train** and run recurrent networks without a framework: :doc:`api/rnnref.models`, :doc:`api/rnnref.layers`.

**Look up** a cell: equations, drawing, weights, names elsewhere: :doc:`cells/index`.
"""


def title(text: str, line: str = "=") -> list[str]:
    return [text, line * len(text), ""]


def toctree(names: list[str], caption: str = "", hidden: bool = False, depth: int = 1) -> list[str]:
    options = [f":maxdepth: {depth}", *[f":caption: {caption}"] * bool(caption), *[":hidden:"] * hidden]
    return [".. toctree::", *(f"   {option}" for option in options), "", *(f"   {name}" for name in names), ""]


def literal(lines: list[str]) -> list[str]:
    return [".. code-block:: text", "", *(f"    {line}" for line in lines), ""]


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [heads, *rows]:
        lines += [f"   {'*' if k == 0 else ' '} - {entry}" for k, entry in enumerate(row)]
    return [*lines, ""]


def cell_page(name: str, make: Any, options: dict, folder: Path) -> list[str]:
    """The page of one cell: equations, drawing, shapes, paper, names elsewhere, gate orders, kernels, accuracy."""
    blocks = parse(inspect.getdoc(make) or "")
    summary = blocks[0].content if blocks and blocks[0].kind == "text" else ""
    rows = {term: meaning for block in blocks if block.kind == "rows" for term, meaning in block.content}
    lines = title(name) + [inline(summary), ""]
    equations = [block for block in blocks if block.kind in ("equations", "literal")]
    if equations:
        lines += title("Equations", "-") + as_rst(equations)
        if any("(+" in line or "(, " in line for block in equations for line in block.content):
            lines += ["What stands in parentheses after a sign is optional.", ""]
    if draw(make(**options), folder / f"{name}.svg"):
        lines += [f".. image:: {name}.svg", f"   :alt: the inside of {name}", ""]
    for term, head in SECTIONS.items():
        if term in rows:
            lines += title(head, "-") + [inline(rows[term]), ""]
    lines += title("Parameters, state and gate orders", "-") + literal(explained(name))
    lines += title("What runs it", "-") + what_runs(make(**options))
    lines += title("Accuracy", "-") + accuracy()
    examples = [block for block in blocks if block.kind == "code"]
    return lines + (title("Example", "-") + as_rst(examples) if examples else [])


def draw(cell: Any, path: Path) -> bool:
    """Draw the inside of a cell, if `rnnref.plot.diagram` can."""
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot

    from rnnref import plot
    from rnnref.errors import NotSupported
    try:
        figure = plot.diagram(cell)
    except NotSupported:
        return False
    figure.savefig(path, bbox_inches="tight")
    pyplot.close(figure)
    return True


def explained(name: str) -> list[str]:
    """What `rnnref explain` prints of a cell after its docstring."""
    from rnnref import cli
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        cli.main(["explain", name])
    lines = out.getvalue().rstrip().splitlines()
    begin = next((k for k, line in enumerate(lines) if line.startswith("Parameters")), len(lines))
    return lines[begin:] or lines


def what_runs(cell: Any) -> list[str]:
    """The first path that takes the cell on a CPU and on a GPU, as `rnnref.explain` says."""
    import numpy

    from rnnref.loops.plan import Call, plan
    calls = {"CPU": Call("numpy", (100, 32, 64), numpy.dtype("float32")),
             "GPU (an H200)": Call("cupy", (100, 32, 64), numpy.dtype("float32"), sm=90, units=512)}
    rows = []
    for where, call in calls.items():
        chosen = plan(cell, call)
        notes = [f"{what}: {became}" for what, became in chosen.notes
                 if what not in (chosen.path, "GPU paths", "mode") and "estimate" not in became and len(became) < 90]
        rows.append([where, f"``{chosen.path}``", inline("; ".join(notes)) or "—"])
    return table(["on", "path", "notes"], rows)


def accuracy() -> list[str]:
    TABLE = import_module("rnnref.check.tolerance").TABLE
    rows = [[name, *(f"{getattr(row, column):g}" for column in ("output", "gradient"))] for name, row in TABLE.items()]
    return ["The largest error that still counts as rounding, against float64 (absolute for results below 1, relative "
            "for gradients): :doc:`../promises`.", "", *table(["arithmetic", "results", "gradients"], rows)]


def promises_page() -> list[str]:
    """One page of numerical promises, from the tables that the tests and `verify` use."""
    tolerance = import_module("rnnref.check.tolerance")
    lines = title("Numerical promises") + [
        "What you can rely on, and what the tests hold. The numbers below are read from the code.", ""]
    lines += title("How far results may be from the truth", "-")
    lines += as_rst(parse(tolerance.__doc__.partition("\n\n")[2]))
    columns = list(tolerance.TABLE["float64"]._fields)
    lines += table(["arithmetic", *columns],
                   [[name, *(f"{value:g}" for value in row)] for name, row in tolerance.TABLE.items()])
    for head, text in PROMISES.items():
        lines += title(head, "-") + [text, ""]
    lines += title("Gradients", "-") + [
        f"Every cell and every path: within {tolerance.tolerance('difference', 'float64'):g} of \\|g\\| \\|v\\| of a "
        "central difference along a random direction v, in float64.", ""]
    return lines


def package_page(package: str, head: str, shown: dict) -> list[str]:
    """The page of a package: what its names are, by their docstrings.  shown: {id of what has a page: where}."""
    module, elsewhere = import_module(package), []
    lines = title(head) + [f"``{package}``", ""] + as_rst(parse(module.__doc__ or ""))
    for name in public_names(module):
        value = getattr(module, name)
        if id(value) in shown:
            elsewhere.append(f":any:`{name} <{shown[id(value)]}>`")
        elif callable(value):
            kind = "autoclass" if inspect.isclass(value) else "autofunction"
            lines += [f".. {kind}:: {package}.{name}", ""]
            shown[id(value)] = f"{package}.{name}"
    return lines + ([f"Also here: {', '.join(elsewhere)}.", ""] if elsewhere else [])


def public_names(module: Any) -> list[str]:
    """Names that a package offers, but for modules and those that another package of the site shows."""
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if not name.startswith("_") and not inspect.ismodule(value)
        and (getattr(value, "__module__", "") or "").startswith(module.__name__)]
    return sorted(name for name in names if not inspect.ismodule(getattr(module, name)))


def write_notebooks(folder: Path) -> None:
    """Copy the notebooks, in which the cells that are folded away there are folded away here, and their index."""
    folder.mkdir(exist_ok=True)
    names = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text())
        for cell in notebook["cells"]:
            if cell["metadata"].get("jupyter", {}).get("source_hidden"):
                cell["metadata"].setdefault("tags", []).append("hide-input")
        (folder / path.name).write_text(json.dumps(notebook))
        names.append(path.stem)
    shutil.copytree(ROOT / "notebooks" / "pictures", folder / "pictures")
    text = (ROOT / "notebooks" / "README.md").read_text()
    write(folder / "index.md", [text, "```{toctree}", ":hidden:", "", *names, "```"])


def start_page(pyodide: str) -> list[str]:
    readme = (ROOT / "README.md").read_text().replace("**", "")
    first = re.sub(r"\s+", " ", re.search(r"\n\n(?!#|\[|!|<)(.+?)\n\n", readme, re.S)[1])
    return title("rnnref") + [inline(re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", first)), "", START, pyodide, ""]


def write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


def write_all(source: Path, pyodide: str) -> None:
    """All pages, as the sources of Sphinx."""
    from rnnref import wrappers
    from rnnref.cells import CATALOG, EXAMPLES
    cells = source / "cells"
    cells.mkdir(parents=True, exist_ok=True)
    for name, make in CATALOG.items():
        write(cells / f"{name}.rst", cell_page(name, make, EXAMPLES.get(name, {}), cells))
    around = [name for name in public_names(wrappers) if inspect.isclass(getattr(wrappers, name))]
    for name in around:
        write(cells / f"{name}.rst", title(name) + as_rst(parse(inspect.getdoc(getattr(wrappers, name)) or "")))
    write(cells / "index.rst", title("Cells") + ["Every cell, with its equations and a drawing of its inside.", ""]
          + toctree(list(CATALOG)) + title("Around cells", "-") + toctree(around))
    shown: dict = {}
    for package in sorted(PACKAGES, key=lambda package: package in ("rnnref", "rnnref.cells")):      # those gather
        write(source / "api" / f"{package}.rst", package_page(package, PACKAGES[package], shown))
    write(source / "api" / "index.rst", title("Names and what they do") + toctree(list(PACKAGES)))
    write_notebooks(source / "notebooks")
    write(source / "promises.rst", promises_page())
    write(source / "index.rst", start_page(pyodide) + toctree(
        ["notebooks/index", "cells/index", "promises", "api/index"], hidden=True, depth=2))
