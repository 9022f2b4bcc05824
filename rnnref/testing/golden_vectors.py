"""Golden vectors of a cell: inputs, every intermediate, outputs and gradients, for tests of other engines."""
import json
from dataclasses import dataclass, field
from typing import Any, Mapping, Optional

import numpy

from ..arrays import Array
from ..cells import PhasedCell
from ..check.tolerance import absolute_tolerance
from ..errors import Error, NotSupported
from ..init import parameters
from ..io import save
from ..loops.run import run, run_back
from ..tree import Tree, first_leaf, leaves, map_structure
from .case import PLAIN, Case, draw_case

FORMATS = "npz", "json", "c"
_PLACES = 4                                                # of a convolutional cell, along each axis of space
_INPUTS = "in/", "d/out/"                                  # what an engine is given; all else is what it must give


@dataclass(frozen=True, eq=False)
class Golden:
    """Numbers of one cell on one batch: what an engine is given, and what it must give.

    name, options      the cell by its name in rnnref.cells, and its options
    float64, float32   {name: array} in either arithmetic, of the same inputs
    tolerance          {name: (in float32, in float64)}, absolute: how far a right engine may be from `float64`

    Names
      in/x, in/p/W, in/state/h         inputs [T, B, I], parameters, first state
      step/<what>                      [T, B, ...]: gates and what else each step computes; c is the new cell state
      out/y, out/state/h               outputs [T, B, H], the state after the last step
      d/out/y, d/out/state/h           gradients that come from above
      d/in/x, d/in/p/W, d/in/state/h   gradients that follow from them
    """
    name: str
    options: Mapping[str, Any]
    float64: dict[str, Array]
    float32: dict[str, Array]
    tolerance: dict[str, tuple[float, float]]
    sizes: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Golden {self.title}: {len(self.float64)} arrays>"

    @property
    def title(self) -> str:
        """The cell with its options: "LSTM(peepholes=True)"."""
        return f"{self.name}({', '.join(f'{name}={_describe(value)}' for name, value in self.options.items())})"

    def is_given(self, name: str) -> bool:
        """True for what an engine is given, False for what it must give."""
        return name.startswith(_INPUTS)

    def write(self, path: Any, format: str = "npz") -> None:
        """Write a file: "npz" for NumPy, "json" for any language, "c": a header that holds its own checker."""
        if format == "npz":
            save(path, {f"{dtype}/{name}": a for dtype in ("float64", "float32")
                        for name, a in getattr(self, dtype).items()} | {"about": self._describe()})
            return
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(self.to_text(format))
        except OSError as e:
            raise Error("golden", f"{path} cannot be written: {e.strerror}") from None

    def to_text(self, format: str) -> str:
        """The text of the format "json" or "c"."""
        if format == "c":
            from .golden_header import write_header
            return write_header(self)
        if format != "json":
            raise NotSupported("golden", f"format={format!r}", known=" ".join(FORMATS))
        about = json.loads(self._describe())
        arrays = {name: {"shape": list(a.shape), "is_given": self.is_given(name), "float64": a.ravel().tolist(),
                         "float32": self.float32[name].ravel().tolist(), "tolerance": list(self.tolerance[name])}
                  for name, a in self.float64.items()}
        return json.dumps(about | {"arrays": arrays})

    def _describe(self) -> str:
        return json.dumps({"format": "rnnref golden vectors 1", "cell": self.title, "sizes": self.sizes})


def golden(cell: Any, p: Tree = None, s: Tree = None, xs: Tree = None, *, n_in: int = 3, units: int = 4, steps: int = 4,
           batch: int = 2, seed: int = 0, name: str = "", options: Optional[Mapping[str, Any]] = None) -> Golden:
    """Golden vectors of a cell, from the plain code in float64 and in float32.

    p, s, xs       parameters, first state and inputs [T, B, I]; those that are None are drawn, and rounded to float32,
                   so that both arithmetics compute with the same numbers
    name, options  how the cell is called in the file: those it was made with

    Errors         those of `rnnref.run`; NotSupported: a cell whose inputs cannot be drawn needs xs

    >>> import rnnref
    >>> vectors = golden(rnnref.cells.LSTM())
    >>> vectors.float64["step/f"].shape                    # the forget gate: steps, rows, units
    (4, 2, 4)
    >>> vectors.write("lstm.npz")                          # doctest: +SKIP
    """
    widths: Any = (1, n_in) if isinstance(cell, PhasedCell) else n_in          # the time of a step comes first
    if xs is None and getattr(getattr(cell, "inputs", None), "space", None):
        places = (_PLACES,) * cell.inputs.space
        xs = numpy.random.default_rng([seed, 2]).normal(size=(steps, batch, *places, n_in))
        s = map_structure(numpy.zeros_like, cell.zeros((batch, *places), units, dtype="float64")) if s is None else s
    if p is None:
        rng = numpy.random.default_rng([seed, 3])
        p = parameters(cell, widths if xs is None else cell.n_in(xs), units, rng, "float64", scheme="generic")
    case = draw_case(cell, p, s, xs, None, widths, units, steps, batch, seed)
    case = case.map_arrays(_round, _round, p=map_structure(_round, case.p))
    d = map_structure(lambda a: _round(numpy.random.default_rng([seed, 1]).normal(size=a.shape)),
                      case.run(keep=False, **PLAIN)[0])
    double, single = _compute(case, d, "float64"), _compute(case, d, "float32")
    found = zip("TBIU", (*case.size, cell.n_in(case.xs), cell.units(case.p)))
    sizes = {axis: int(n) for axis, n in found if numpy.ndim(n) == 0}          # a tree of cells has a tree of sizes
    return Golden(name or case.name, dict(options or {}), double, single, _set_tolerances(double, single), sizes)


def _round(a: Any) -> Array:
    """Numbers that float32 has too, in float64."""
    return numpy.asarray(a, "float32").astype("float64")


def _compute(case: Case, d: tuple, dtype: str) -> dict[str, Array]:
    """All arrays of a case in one arithmetic, by name."""
    p, s, xs, (dys, ds) = (map_structure(lambda a: a.astype(dtype), tree) for tree in (case.p, case.s, case.xs, d))
    ys, new, tape = run(case.cell, p, xs, s, **PLAIN)
    dxs, ds0, _, dp = run_back(tape, dys, ds)
    found = {**_by_name("in/x", xs), **_by_name("in/p", p), **_by_name("in/state", s)}
    found |= {f"step/{name}": a for name, a in _collect_steps(tape).items()}
    found |= {**_by_name("out/y", ys), **_by_name("out/state", new)}
    found |= {**_by_name("d/out/y", dys), **_by_name("d/out/state", ds)}
    return found | {**_by_name("d/in/x", dxs), **_by_name("d/in/p", dp), **_by_name("d/in/state", ds0)}


def _by_name(prefix: str, tree: Tree) -> dict[str, Array]:
    return {"/".join([prefix, *path.split(".")] if path else [prefix]): a for path, a in leaves(tree)}


def _collect_steps(tape: Any) -> dict[str, Array]:
    """What each step keeps that is an array for each row, [T, B, ...], under the shortest name that is its own."""
    steps = [dict(leaves(tape.kept(t))) for t in range(first_leaf(tape.like[0]).shape[0])]
    B = first_leaf(tape.like[0]).shape[1]
    paths = [path for path, a in steps[0].items() if getattr(a, "ndim", 0) > 1 and a.shape[0] == B]
    short = [path.rpartition(".")[2] for path in paths]
    names = [name if short.count(name) == 1 and not name.isdecimal() else path.removeprefix("step.").replace(".", "/")
             for path, name in zip(paths, short)]
    return {name: numpy.stack([step[path] for step in steps]) for path, name in zip(paths, names)}


def _set_tolerances(double: dict[str, Array], single: dict[str, Array]) -> dict[str, tuple[float, float]]:
    """{name: (float32, float64)}: the table of tolerances of rnnref.check, for arrays of these sizes.

    In float32 no less than four times what the plain code itself loses: the time of a PhasedLSTM, say, may be large
    beside its period.
    """
    gradients = max((abs(a).max(initial=0.0) for name, a in double.items() if name.startswith("d/in")), default=0.0)

    def allow(name: str, dtype: str) -> float:
        largest = abs(double[name]).max(initial=0.0)
        operation, overall = ("gradient", gradients) if name.startswith("d/in") else ("output", 0.0)
        return float(absolute_tolerance(operation, dtype, largest, overall))

    def measure(name: str) -> float:
        return float(4 * abs(single[name] - double[name]).max(initial=0.0))
    return {name: (0.0, 0.0) if name.startswith(_INPUTS) else
            (max(allow(name, "float32"), measure(name)), allow(name, "float64")) for name in double}


def _describe(value: Any) -> str:
    return str(getattr(value, "name", repr(value)))
