"""A case is one call of `run` as data; a trial is a case with its results by every path.

Cases are changed in main memory and only the run itself is on the device, so that a GPU is held to the same laws.
"""
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Callable, Optional

import numpy

from ..arrays import Array, asnumpy, is_floating
from ..cell import State, find_missing, name_of
from ..errors import NotSupported
from ..loops.plan import CUBLAS, CUDA_KERNEL, PATHS, describe_call, plan
from ..loops.run import run, run_back
from ..tree import PerStep, Tree, first_leaf, map_structure, to

PLAIN: dict[str, Any] = {"paths": ("plain", "bidirectional"), "kernels": False}       # the code as written


@dataclass(frozen=True, eq=False)
class Case:
    """One call of `run`: a cell and its arguments, in main memory."""
    cell: Any
    p: Any
    s: Any
    xs: Any
    extra: Any = None
    lengths: Any = None
    mask: Any = None
    reverse: bool = False
    padding: str = "zero"
    device: str = "cpu"                           # where it runs: "cpu" or "gpu"

    @property
    def name(self) -> str:
        return name_of(self.cell)

    @property
    def size(self) -> tuple[int, int]:
        """T, B."""
        return first_leaf(self.xs).shape[:2]

    @property
    def live(self) -> Optional[Array]:
        """[T, B], or None where every step of every row is live."""
        return self.mask if self.lengths is None else numpy.arange(self.size[0])[:, None] < self.lengths

    def __str__(self) -> Any:
        parts = [f"lengths {self.lengths.tolist()}"] if self.lengths is not None else []
        parts += [f"mask {self.mask.astype(int).tolist()}"] if self.mask is not None else []
        parts += ["reverse"] * self.reverse + [f"padding={self.padding!r}"] * (self.padding != "zero")
        return ", ".join(parts + ["on the GPU"] * (self.device == "gpu")) or "every step of every row is live"

    def run(self, **options: Any) -> tuple[tuple[Tree, State], Any]:
        """(ys, s') in main memory, and the tape on the device; `options` are further ones of `rnnref.run`."""
        p, xs, s, extra, lengths, mask = to(self.device, (self.p, self.xs, self.s, self.extra, self.lengths, self.mask))
        ys, new, tape = run(self.cell, p, xs, s, extra=extra, lengths=lengths, mask=mask, reverse=self.reverse,
                            padding=self.padding, **options)
        return to("cpu", (ys, new)), tape

    def run_back(self, tape: Any, d: tuple) -> tuple[Tree, State, Tree, Tree]:
        """The gradients in main memory, for d = (dys, ds)."""
        return to("cpu", run_back(tape, *to(self.device, d)))

    def run_both_ways(self, d: tuple, **options: Any) -> tuple:
        """(ys, s'), the gradients, the tape."""
        out, tape = self.run(**options)
        return out, self.run_back(tape, d), tape

    def map_arrays(self, seq: Callable, row: Callable = lambda a: a, **changes: Any) -> "Case":
        """The case with `seq` of every array [T, B, ...], `row` of every array [B, ...], and other fields changed."""
        extra = map_structure(lambda e: PerStep(seq(e.steps)) if isinstance(e, PerStep) else row(e), self.extra)
        return replace(self, xs=map_structure(seq, self.xs), s=map_structure(row, self.s), extra=extra, **changes)


def map_results(out: tuple, grads: tuple, seq: Callable, row: Callable = lambda a: a) -> tuple:
    """The same of the results of a run both ways; the gradients of parameters stay."""
    (ys, new), (dxs, ds, dextra, dp) = out, grads
    back = map_structure(seq, dxs), map_structure(row, ds), map_structure(row, dextra), dp
    return (map_structure(seq, ys), map_structure(row, new)), back


class Trial:
    """A case with gradients to send back, and its results by the plain loop and by every path, each computed once."""

    def __init__(self, case: Case, seed: int = 0):
        self.case, self.seed = case, seed
        self.worst_gradient, self.outcomes = 0.0, {}

    def draw(self, tree: Tree, purpose: int = 0) -> Tree:
        """Random numbers like `tree`; another `purpose` gives others."""
        rng = numpy.random.default_rng([self.seed, purpose])
        return map_structure(lambda a: rng.normal(size=a.shape).astype(a.dtype), tree)

    @cached_property
    def forward(self) -> tuple:
        """(ys, s') and the tape of the plain loop."""
        return self.case.run(**PLAIN)

    @cached_property
    def d(self) -> tuple:
        """Gradients of (ys, s')."""
        return self.draw(self.forward[0])

    @cached_property
    def plain(self) -> tuple:
        """(ys, s') and the gradients of the plain loop."""
        return self.forward[0], self.case.run_back(self.forward[1], self.d)

    def outcome(self, path: str) -> tuple:
        """(ys, s'), gradients and tape of one of `choices`."""
        if path not in self.outcomes:
            self.outcomes[path] = self.case.run_both_ways(self.d, **self.choices[path])
        return self.outcomes[path]

    @cached_property
    def choices(self) -> dict[str, dict]:
        """{what runs: options of `run`}: every path that takes this cell, with kernels and without."""
        case, choices = self.case, {}
        xs, s = to(case.device, (case.xs, case.s))
        call = describe_call(xs, case.cell.prepare(case.p, case.extra)[1], case.live is not None, s=s)
        options = [{"paths": PATHS[k:]} for k in range(PATHS.index("plain") + 1)]     # the fastest, the next, ...
        for choice in (PLAIN, *({**o, "kernels": False} for o in options), *options, {}):
            path = _describe_run(case.cell, call, choice)
            if path:
                choices.setdefault(path, choice)
        return choices


def _describe_run(cell: Any, call: Any, choice: Any) -> Any:
    try:
        notes = plan(cell, call, **choice).notes
    except NotSupported:                          # every one of these paths refuses this cell
        return None
    forms = {"runs": "{0}", CUDA_KERNEL: "{0}: {1}", CUBLAS: "{0}: {1}"}
    return ", ".join(forms[became].format(what, became) for what, became in notes if became in forms)


def draw_case(cell: Any, p: Tree = None, s: Tree = None, xs: Tree = None, extra: Tree = None, n_in: Any = 3,
              units: Any = 4, steps: int = 5, batch: int = 4, seed: int = 0, **options: Any) -> Case:
    """A `Case` in float64 of these arguments, those that are None drawn; its arrays are read-only."""
    rng, who = numpy.random.default_rng(seed), name_of(cell)

    def draw(shape: Any) -> Any:
        return rng.normal(size=shape) * 0.5

    if p is not None and s is None and not find_missing(cell, "units"):
        units = cell.units(p)
    if p is None:
        n_in = n_in if xs is None else cell.n_in(xs)
        p = draw_arrays(draw, _require_method(cell, who, "shapes", "parameters", "p")(n_in, units))
    if s is None:
        batch = batch if xs is None else first_leaf(xs).shape[1]
        zeros = _require_method(cell, who, "zeros", "state", "s")(batch, units, dtype="float64")
        s = map_structure(lambda a: draw(a.shape), zeros)
    xs = map_structure(lambda n: draw((steps, first_leaf(s).shape[0], n)), n_in) if xs is None else xs
    p, s, xs, extra = (map_structure(_freeze, tree) for tree in (p, s, xs, extra))
    cell.check(p, xs, s, extra, "T B")            # a misfit here is one of the arguments, not of the cell
    return Case(cell, p, s, xs, extra, **options)


def _require_method(cell: Any, who: str, method: Any, what: Any, argument: Any) -> Any:
    if find_missing(cell, method):
        raise NotSupported(who, f"no {what} given, and the cell has no {method}()", fix=f"give {argument}")
    return getattr(cell, method)


def draw_arrays(draw: Callable, shapes: Any) -> Tree:
    """Arrays draw(shape) for the shapes that a cell declares: dicts and tuples of them, as deep as need be."""
    if isinstance(shapes, dict):
        return {name: draw_arrays(draw, shape) for name, shape in shapes.items()}
    if any(not hasattr(each, "__index__") for each in shapes):
        return tuple(draw_arrays(draw, each) for each in shapes)
    return draw(shapes)


def _freeze(a: Any) -> Any:
    """A read-only copy, in float64, where a finite difference can be trusted."""
    if isinstance(a, PerStep):
        return PerStep(_freeze(a.steps))
    a = numpy.array(asnumpy(a))
    a = a.astype("float64") if is_floating(a.dtype) else a
    a.flags.writeable = False
    return a


def masking_options(size: tuple[int, int], seed: int = 0) -> dict[str, dict]:
    """The kinds of masking for size = (T, B): options of `Case` by name."""
    (T, B), rng = size, numpy.random.default_rng(seed)
    lengths, holes = rng.integers(0, T + 1, B), rng.random((T, B)) < 0.6
    lengths[:1], lengths[1:2], holes[:, 1:2] = T, 0, False          # a full row and an empty one
    left = numpy.arange(T)[:, None] >= T - lengths
    return {"everywhere": {}, "lengths": {"lengths": lengths}, "holes": {"mask": holes}, "left": {"mask": left}}
