"""What `rnnref explain` and `rnnref info` print: a cell in words, and what is on this machine.  (floor 12)"""
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from inspect import cleandoc

import numpy

from .cells import CATALOG, EXAMPLES, TwoStage
from .errors import Error, NotSupported
from .interop import LAYOUTS, cell_like
from .interop.describe import GATE_MEANINGS, write_equations
from .interop.families import family_of
from .loops.plan import KERNELS, explain
from .tree import leaves

_PARAMETER_MEANINGS = {"W": "of the input", "R": "of h", "b": "bias", "bR": "bias of the recurrent product", "P": "output projection",
        "gain": "gain of the norm", "shift": "shift after the norm", "gain_c": "gain of the norm of c",
        "shift_c": "shift after the norm of c", "gain_r": "gain of what h gives", "V": "directions of W",
        "Vr": "directions of R", "Z": "of the squashed input", "Wi": "input projection", "bi": "its bias",
        "Rf": "of h of the window below", "period": "of each unit", "phase": "when its period starts",
        "ratio_on": "the part of it that it is open", "Wh": "what heads are told", "bh": "its bias", "Wy": "output",
        "by": "its bias", "reads0": "first reads", "focus0": "where heads look first", "memory0": "first memory"}
LETTERS = {"I": "inputs", "U": "units", "H": "units of h"}
_PACKAGES = {                                      # distribution: the extra that brings it
    "onnx": "verify", "onnxruntime": "verify", "h5py": "verify", "safetensors": "verify", "tqdm": "verify",
    "torch": "peers", "keras": "peers", "jax": "peers", "flax": "peers", "matplotlib": "plot",
    "nbclient": "notebooks", "hypothesis": "dev", "pytest": "dev",
}
_CUPY_PACKAGES = ("cupy-cuda13x", "cupy-cuda12x", "cupy")


def _find_cell(name, who="explain"):
    """The constructor of a cell, whatever the case of its name."""
    known = {n.lower(): f for n, f in CATALOG.items()}
    if name.lower() not in known:
        raise NotSupported(who, f"no cell is called {name!r}", known=" ".join(CATALOG))
    return known[name.lower()]


def describe_cell(name, units=4, inputs=3, **options):
    """Everything that a user of one cell needs to know, as text."""
    make = _find_cell(name)
    options = options or EXAMPLES.get(make.__name__, {})
    try:
        cell = make(**options)
    except TypeError as e:
        raise NotSupported(make.__name__, str(e).partition(") ")[2], hint=f"rnnref explain {make.__name__}") from None
    told = ", ".join(f"{n}={getattr(v, 'name', repr(v))}" for n, v in options.items())
    title, *parts = _split_docstring(make)
    sections = {f"With {told}": _list_equations(cell) if options else [], "Parameters": _describe_parameters(cell, units, inputs),
                "State": _describe_state(cell, units),
                "Elsewhere: the order of gate blocks, and which of our parameters lie in which array": _describe_layouts(cell),
                "On this machine": explain(cell, numpy.zeros((1, 1, inputs), "float32")).splitlines()}
    return "\n\n".join([f"{make.__name__}({told}): {title}", *parts, *_format_sections(sections)])


def _format_sections(sections):
    """Sections with their titles, but for those that are empty."""
    for title, lines in sections.items():
        lines = [f"    {line}".rstrip() for line in lines]
        if lines:
            yield "\n".join([title, *lines])


def _split_docstring(make):
    """The docstring in parts, without its example."""
    text = cleandoc(make.__doc__).partition("\n>>> ")[0].rstrip()
    title, _, rest = text.partition("\n")
    return [title, *rest.strip("\n").split("\n\n")]


def _list_equations(cell):
    try:
        return write_equations(cell)
    except Error:                                 # in none of the families: the docstring has them
        return []


def _describe_parameters(cell, units, inputs):
    """A line a parameter: its axes, its shape for so many units and inputs, and what it is."""
    shapes, gates = cell.shapes(inputs, units), cell.gates
    rows = [[n, f"[{', '.join(_format_axis(w, gates) for w in axes.split())}]", str(shapes[n]), _describe_parameter(n, axes, gates)]
            for n, axes in cell.axes().items()]
    yield from _align_columns([["", "", f"I={inputs}, U={units}", ""], *rows])


def _format_axis(word, gates):
    return f"{len(gates)}U" if word == "G" and len(gates) > 1 else "U" if word == "G" else word


def _describe_parameter(name, axes, gates):
    what = f"peephole of {name[2:]}" if name.startswith("Wp") else _PARAMETER_MEANINGS.get(name, "")
    blocks = axes.split()[-1] == "G" and len(gates) > 1
    return "; ".join(filter(None, [what, f"gate blocks {' '.join(gates)}" if blocks else ""]))


def _describe_state(cell, units):
    said = cell.rule.widths if isinstance(cell, TwoStage) else {}
    rows = [(path, ", ".join(["B", *map(str, a.shape[1:])])) for path, a in leaves(cell.zeros(1, units))]
    yield from _align_columns([[path, *([f"[B, {said[path]}]"] if said else []), f"({shape})"] for path, shape in rows])
    if len(cell.gates) > 1:
        yield ""
        yield from _align_columns([[g, GATE_MEANINGS[g]] for g in cell.gates])


def _describe_layouts(cell):
    """A line a framework: its order of gate blocks and its arrays, or why it cannot compute this."""
    try:
        family = family_of(cell)
    except Error:
        return
    lines = [[framework, " ".join(layout.gates) if len(layout.gates) > 1 else "", _describe_layout(layout, cell)]
             for (kind, framework), layout in LAYOUTS.items() if kind == family]
    yield from _align_columns(lines)


def _describe_layout(layout, cell):
    """"kernel (W R)  bias (b)": which of our parameters lie in which of their arrays."""
    try:
        cell_like(layout, cell)
    except NotSupported as e:
        return f"cannot: {e.args[1]}"
    mine, found = cell.axes(), {}
    for row in layout.rows:
        if any(row.ours.format(g=g) in mine for g in cell.gates):
            held = found.setdefault(row.theirs.format(g="*"), {})
            held[row.ours.format(g="*")] = None
    return "  ".join(f"{theirs} ({' '.join(ours)})" for theirs, ours in found.items())


def _align_columns(rows):
    """Lines with their columns under each other."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths)).rstrip() for row in rows]


def describe_machine():
    """Versions, back ends and devices, without importing anything heavy."""
    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    rows = [["rnnref", version("rnnref")], ["python", f"{platform.python_version()} on {platform.platform()}"],
            ["numpy", f"{numpy.__version__} with {blas.get('name', 'an unknown BLAS')} {blas.get('version', '')}"]]
    rows += [[name, _find_version(name) or f'not installed: pip install "rnnref[{extra}]"']
             for name, extra in _PACKAGES.items()]
    cupy = next((f"{name} {_find_version(name)}" for name in _CUPY_PACKAGES if _find_version(name)), "")
    back_ends = [["numpy", "the text itself" + _list_kernels("numpy")],
                 ["cupy", cupy + _list_kernels("cupy") if cupy else 'not installed: pip install "rnnref[cuda13]", or [cuda12]']]
    return "\n\n".join(_format_sections({"Versions": _align_columns(rows), "Back ends": _align_columns(back_ends), "Devices": _list_devices()}))


def _find_version(name):
    """The version of a distribution, or ""."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _list_kernels(home):
    """", twins of LSTM, GRU": what has a faster version there."""
    names = [rule for where, rule in KERNELS if where == home]
    return f"; twins of {', '.join(names)}" if names else "; no twins"


def _list_devices():
    yield f"cpu, {os.cpu_count()} cores ({platform.machine()}, {sys.byteorder} endian)"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield "no GPU: nvidia-smi is not there"
        return
    asked = subprocess.run([tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"],
                           capture_output=True, text=True, timeout=30)
    yield from asked.stdout.strip().splitlines() or [f"no GPU: nvidia-smi says {asked.stderr.strip() or asked.stdout}"]
