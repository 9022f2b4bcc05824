"""How to run a check again: its arrays as a small .npz file, and three lines of Python."""
import ast
import base64
import io
import re
from collections.abc import Mapping
from html import escape
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy

from .. import cells
from ..tree import leaves
from .candidate import Candidate

if TYPE_CHECKING:
    from .report import Report

_LARGEST = 400_000                                # bytes of a file that a page holds
_OF_CELLS = ("Bidirectional", "Stack")            # cells of cells, which are made of those of the catalog
_STATE = re.compile(r"(\d+\.)*[hc]_?0( \(.*\))?")  # the name of an initial state


def list_arrays(candidate: Candidate) -> dict[str, Any]:
    """The arrays that a candidate was run on, with its lengths."""
    arrays = dict(candidate.arrays)
    lengths = {} if candidate.lengths is None else {candidate.lengths_name: numpy.asarray(candidate.lengths)}
    return arrays | lengths


def pack_arrays(arrays: Mapping[str, Any]) -> bytes:
    """A compressed .npz file."""
    file = io.BytesIO()
    numpy.savez_compressed(file, **{name.replace("/", "_"): a for name, a in arrays.items()})
    return file.getvalue()


def describe_call(candidate: Any, arrays: Mapping[str, Any], inputs: str, options: Mapping[str, Any]) -> str:
    """The call of `verify` that checks the same on the arrays of a file, which is `case`.

    inputs   "x": the first array is x, and others are states, lengths and weights; "one", "several" or "names": all
             arrays are the inputs of a model
    options  those that are not as they are by default
    """
    what = repr(str(candidate)) if isinstance(candidate, (str, PathLike)) else "candidate"
    items = [f'case["{name.replace("/", "_")}"]' for name in arrays]
    x = {"x": items[0], "one": items[0], "several": f"[{', '.join(items)}]",
         "names": "{" + ", ".join(f'"{name}": {item}' for name, item in zip(arrays, items)) + "}"}[inputs]
    states = [item for name, item in zip(arrays, items) if _STATE.fullmatch(name)]
    given = {"initial_state": f"[{', '.join(states)}]"} if inputs == "x" and states else {}
    if inputs == "x" and "lengths" in arrays:
        given["lengths"] = 'case["lengths"]'
    given = {name: _write_option(name, value, arrays) for name, value in options.items()} | given
    return f"rnnref.verify({', '.join([what, x, *(f'{name}={text}' for name, text in given.items())])})"


def _write_option(name: str, value: Any, arrays: Mapping[str, Any]) -> str:
    """The value of an option as Python: a literal, arrays of the file, or the name of what only the caller has."""
    if name == "reference":
        return _write_cell(value)
    if name == "p" and {path for path, _ in leaves(value)} <= arrays.keys():
        return _write_tree(value)
    if name == "reading":
        return f"rnnref.onnx.{value!r}"
    return repr(value) if isinstance(value, (str, bool, int, float)) else name


def _write_tree(tree: Any, path: str = "") -> str:
    """Parameters as the arrays of the file: the paths of their leaves are the names there."""
    if isinstance(tree, dict):
        if not path and not any(isinstance(a, (dict, tuple, list)) for a in tree.values()):
            return f"{{n: case[n] for n in {tuple(tree)}}}"
        return "{" + ", ".join(f'"{n}": {_write_tree(a, f"{path}{n}.")}' for n, a in tree.items()) + "}"
    if isinstance(tree, (tuple, list)):
        return f"({', '.join(_write_tree(a, f'{path}{n}.') for n, a in enumerate(tree))},)"
    return f'case["{path[:-1]}"]'


def _write_cell(cell: Any) -> str:
    """A cell of the catalog as the call that makes it; "cell" for another one."""
    text = repr(cell)
    try:
        names = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    except SyntaxError:
        return "cell"
    if not names or not all(name in cells.CATALOG or name in _OF_CELLS for name in names):
        return "cell"
    return re.sub(rf"\b({'|'.join(names)})\(", r"rnnref.cells.\1(", text)


def write_lines(report: "Report", path: str = "case.npz") -> str:
    """Three lines that check the same candidate on the same numbers."""
    return "\n".join([f"import numpy, rnnref; case = dict(numpy.load({path!r}))", f"report = {report.call}",
                      "print(report)"])


def render_reproduction(report: "Report") -> str:
    """A folded part of a page with the lines and, where it is small, the file itself; "" without arrays."""
    if not report.arrays or not report.call:
        return ""
    yours = [name for name in ("candidate", "cell", "p", "backward", "engine", "like")
             if re.search(rf"[(=]{name}\b", report.call)]
    note = f"<p>{', '.join(yours)}: as they were given to verify, {escape(report.title)}.</p>" if yours else ""
    return render_file("case.npz", base64.b64encode(pack_arrays(report.arrays)).decode(), write_lines(report),
                       'report.save_arrays("case.npz") writes them', note)


def render_file(name: str, encoded: str, lines: str, otherwise: str, note: str = "") -> str:
    """A folded part of a page: a file in base64, and the lines that use it."""
    size = len(encoded) * 3 // 4
    link = f"<p>The arrays are too large for this page: {escape(otherwise, False)}.</p>"
    if size <= _LARGEST:
        link = (f'<p><a download="{escape(name)}" href="data:application/octet-stream;base64,{encoded}">{escape(name)}'
                f"</a>, {size / 1000:.1f} kB: the arrays as they were checked.</p>")
    return (f'<details class="again"><summary>How to reproduce</summary>\n<div class="in">{link}\n'
            f"<pre>{escape(lines)}</pre>{note}</div></details>")
