"""The texts of `rnnref explain` and `rnnref info`: a description of a cell, and of this machine."""
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from inspect import cleandoc
from typing import Any, Callable, Iterable, Iterator, Sequence

import numpy

from . import __version__
from .cells import CATALOG, EXAMPLES, TwoStage
from .errors import Error, NotSupported
from .interop import LAYOUTS, cell_like
from .interop.describe import GATE_MEANINGS, write_equations
from .interop.families import family_of
from .loops.plan import KERNELS, explain
from .options import suggest
from .tree import leaves

_PARAMETER_MEANINGS = {
    "W": "weights of the input", "R": "weights of h", "b": "bias", "bR": "bias of the recurrent product",
    "P": "output projection", "gain": "gain of the norm", "shift": "shift after the norm",
    "gain_c": "gain of the norm of c", "shift_c": "shift after the norm of c", "gain_r": "gain of the recurrent part",
    "V": "directions of W", "Vr": "directions of R", "Z": "weights of the projected input", "Wi": "input projection",
    "bi": "bias of the input projection", "Rf": "weights of h of the lower window", "period": "period of each unit",
    "phase": "time at which the period starts", "ratio_on": "open share of the period",
    "Wh": "weights of the parameters of the heads", "bh": "bias of the parameters of the heads",
    "Wy": "weights of the output", "by": "bias of the output", "reads0": "initial reads",
    "focus0": "initial addresses of the heads", "memory0": "initial memory"}
_PACKAGES = ("onnx", "onnxruntime", "h5py", "safetensors", "tqdm", "torch", "keras", "jax", "flax", "matplotlib",
             "nbclient", "hypothesis", "pytest")
_CUPY_PACKAGES = ("cupy-cuda13x", "cupy-cuda12x", "cupy")


def find_cell(name: str) -> Callable:
    """The constructor of a cell; upper and lower case are the same."""
    known, name = {n.lower(): f for n, f in CATALOG.items()}, name.removeprefix("rnnref.").removeprefix("cells.")
    if name.lower() not in known:
        nearest = suggest(name, CATALOG)
        raise NotSupported("explain", f"no cell is called {name!r}", fix=nearest,
                           known="" if nearest else " ".join(CATALOG))
    return known[name.lower()]


def describe_cell(name: str, units: int = 4, inputs: int = 3, **options: Any) -> str:
    """A cell as text: equations, parameters, state, weight layouts of other frameworks, and how it runs here."""
    make = find_cell(name)
    options = options or EXAMPLES.get(make.__name__, {})
    cell = make(**options)
    # shapes of groups are written for any sizes, also for those that cannot be split
    for part, axis in cell.input_axes() if hasattr(cell, "input_axes") and "groups" in options else ():
        part.check_sizes(f"{make.__name__} with --units {units} --inputs {inputs}", axis, cell.sizes(inputs, units))
    arguments = ", ".join(f"{n}={getattr(v, 'name', repr(v))}" for n, v in options.items())
    title, *parts = _split_docstring(make)
    sections = {f"With {arguments}": _list_equations(cell) if options else [],
                "Parameters": _describe_parameters(cell, units, inputs), "State": _describe_state(cell, units),
                "Other frameworks: order of gate blocks, and their arrays (with the parameters above that they hold)":
                _describe_layouts(cell),
                "On this machine": explain(cell, numpy.zeros((1, 1, inputs), "float32")).splitlines()}
    return "\n\n".join([f"{make.__name__}({arguments}): {title}", *parts, *_format_sections(sections)])


def _format_sections(sections: dict[str, Iterable[str]]) -> Iterator[str]:
    """Sections with their titles, without the empty ones."""
    for title, lines in sections.items():
        lines = [f"    {line}".rstrip() for line in lines]
        if lines:
            yield "\n".join([title, *lines])


def _split_docstring(make: Callable) -> list[str]:
    """The docstring in parts, without its example."""
    text = cleandoc(make.__doc__ or "").partition("\n>>> ")[0].rstrip()
    title, _, rest = text.partition("\n")
    return [title, *rest.strip("\n").split("\n\n")]


def _list_equations(cell: Any) -> list[str]:
    try:
        return write_equations(cell)
    except Error:                                 # not of a family with weight layouts: the docstring has them
        return []


def _describe_parameters(cell: Any, units: int, inputs: int) -> Iterator[str]:
    """A line for each parameter: axes, shape for these units and inputs, and meaning."""
    shapes, gates = cell.shapes(inputs, units), cell.gates
    rows = [[n, f"[{', '.join(_format_axis(w, gates) for w in axes.split())}]", str(shapes[n]),
             _describe_parameter(n, axes, gates)] for n, axes in cell.axes().items()]
    yield from _align_columns([["", "", f"I={inputs}, U={units}", ""], *rows])


def _format_axis(word: str, gates: Sequence[str]) -> str:
    return f"{len(gates)}U" if word == "G" and len(gates) > 1 else "U" if word == "G" else word


def _describe_parameter(name: str, axes: str, gates: Sequence[str]) -> str:
    meaning = f"peephole of {name[2:]}" if name.startswith("Wp") else _PARAMETER_MEANINGS.get(name, "")
    blocks = axes.split()[-1] == "G" and len(gates) > 1
    return "; ".join(filter(None, [meaning, f"gate blocks {' '.join(gates)}" if blocks else ""]))


def _describe_state(cell: Any, units: int) -> Iterator[str]:
    widths = cell.rule.widths if isinstance(cell, TwoStage) else {}
    rows = [(path, ", ".join(["B", *map(str, a.shape[1:])])) for path, a in leaves(cell.zeros(1, units))]
    yield from _align_columns([[path, *([f"[B, {widths[path]}]"] if widths else []), f"({shape})"]
                               for path, shape in rows])
    if len(cell.gates) > 1:
        yield ""
        yield from _align_columns([[g, GATE_MEANINGS[g]] for g in cell.gates])


def _describe_layouts(cell: Any) -> Iterator[str]:
    """A line for each framework: its order of gate blocks and its arrays, or why it cannot compute this cell."""
    try:
        family = family_of(cell)
    except Error:
        return
    lines = [[framework, _describe_order(layout), _describe_layout(layout, cell)]
             for (kind, framework), layout in LAYOUTS.items() if kind == family]
    yield from _align_columns(lines)


def _describe_order(layout: Any) -> str:
    """"z r n", with a minus before gates whose numbers are negated; nothing for a single block."""
    gates = ["-" * (gate in layout.negated) + gate for gate in layout.gates]
    return " ".join(gates) if len(gates) > 1 else ""


def _describe_layout(layout: Any, cell: Any) -> str:
    """"kernel (W R)  bias (b)": the arrays of a framework, with the parameters that each holds."""
    try:
        cell_like(layout, cell)
    except NotSupported as e:
        return f"cannot: {e.args[1]}"
    axes, arrays = cell.axes(), {}
    for row in layout.rows:
        if any(row.ours.format(g=g) in axes for g in cell.gates):
            arrays.setdefault(row.theirs.format(g="*"), {})[row.ours.format(g="*")] = None
    return "  ".join(f"{array} ({' '.join(parameters)})" for array, parameters in arrays.items())


def _align_columns(rows: Iterable[list[str]]) -> list[str]:
    """Lines with aligned columns."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows]


def describe_machine() -> str:
    """Versions, array packages and devices as text; no other framework is imported for it."""
    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    rows = [["rnnref", __version__], ["python", f"{platform.python_version()} on {platform.platform()}"],
            ["numpy", f"{numpy.__version__} with {blas.get('name', 'an unknown BLAS')} {blas.get('version', '')}"]]
    rows += [[name, _find_version(name) or f"not installed: pip install {name}"] for name in _PACKAGES]
    cupy = next((f"{name} {_find_version(name)}" for name in _CUPY_PACKAGES if _find_version(name)), "")
    packages = [["numpy", "every cell and loop" + _list_kernels("numpy")],
                ["cupy", cupy + _list_kernels("cupy") if cupy else
                 "not installed: pip install cupy-cuda13x (or cupy-cuda12x)"]]
    return "\n\n".join(_format_sections({"Versions": _align_columns(rows), "Array packages": _align_columns(packages),
                                         "Devices": _list_devices()}))


def _find_version(name: str) -> str:
    """The version of a distribution, or ""."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _list_kernels(home: str) -> str:
    """"; kernels for LSTM, GRU": the rules that have a kernel of their own there."""
    names = [rule.removesuffix("Rule") for where, rule in KERNELS if where == home]
    return f"; kernels for {', '.join(names)}" if names else ""


def _list_devices() -> Iterator[str]:
    yield f"cpu, {os.cpu_count()} cores ({platform.machine()}, {sys.byteorder} endian)"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield "no GPU: nvidia-smi is not installed"
        return
    query = subprocess.run([tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
                           capture_output=True, text=True, timeout=30)
    error = query.stderr.strip() or query.stdout.strip()
    yield from query.stdout.strip().splitlines() or [f"no GPU: nvidia-smi answered: {error}"]
