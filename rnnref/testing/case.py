"""A case, and what is tried on it: the arguments of `run` as data.  (floor 12)

Cases are changed in main memory and only the run itself is on the device, so that a GPU is held to the same laws.
"""
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy

from ..arrays import asnumpy, is_floating
from ..errors import NotSupported
from ..loops.plan import PATHS, describe_call, plan
from ..loops.run import run, run_back
from ..tree import PerStep, first_leaf, map_structure, to

PLAIN = {"paths": ("plain", "bidirectional"), "kernels": False}       # the loop as it is written


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
    def name(self):
        return getattr(self.cell, "name", type(self.cell).__name__)

    @property
    def size(self):
        return first_leaf(self.xs).shape[:2]

    @property
    def live(self):
        """[T, B], or None where every step of every row is."""
        return self.mask if self.lengths is None else numpy.arange(self.size[0])[:, None] < self.lengths

    def __str__(self):
        said = [f"lengths {self.lengths.tolist()}"] if self.lengths is not None else []
        said += [f"mask {self.mask.astype(int).tolist()}"] if self.mask is not None else []
        said += ["reverse"] * self.reverse + [f"padding={self.padding!r}"] * (self.padding != "zero")
        return ", ".join(said + ["on the GPU"] * (self.device == "gpu")) or "every step of every row is live"

    def run(self, **choice):
        """(ys, s') in main memory, and the tape where it is."""
        p, xs, s, extra, lengths, mask = to(self.device, (self.p, self.xs, self.s, self.extra, self.lengths, self.mask))
        ys, new, tape = run(self.cell, p, xs, s, extra=extra, lengths=lengths, mask=mask, reverse=self.reverse,
                            padding=self.padding, **choice)
        return to("cpu", (ys, new)), tape

    def back(self, tape, d):
        return to("cpu", run_back(tape, *to(self.device, d)))

    def run_both_ways(self, d, **choice):
        out, tape = self.run(**choice)
        return out, self.back(tape, d), tape

    def map_arrays(self, seq, row=lambda a: a, **changes):
        """`seq` of all that is [T, B, ...], `row` of all that is [B, ...]."""
        extra = map_structure(lambda e: PerStep(seq(e.steps)) if isinstance(e, PerStep) else row(e), self.extra)
        return replace(self, xs=map_structure(seq, self.xs), s=map_structure(row, self.s), extra=extra, **changes)


def map_results(out, grads, seq, row=lambda a: a):
    """The same of what comes out of a run both ways; the gradients of parameters stay."""
    (ys, new), (dxs, ds, dextra, dp) = out, grads
    return (map_structure(seq, ys), map_structure(row, new)), (map_structure(seq, dxs), map_structure(row, ds), map_structure(row, dextra), dp)


class Trial:
    """A case with gradients to send back, and what the text and every path make of it, each computed once."""

    def __init__(self, case, seed=0):
        self.case, self.seed = case, seed
        self.worst, self.outcomes = 0.0, {}           # the worst gradient, the outcome of every path

    def draw(self, tree, purpose=0):
        rng = numpy.random.default_rng([self.seed, purpose])
        return map_structure(lambda a: rng.normal(size=a.shape).astype(a.dtype), tree)

    @cached_property
    def ahead(self):
        return self.case.run(**PLAIN)

    @cached_property
    def d(self):
        return self.draw(self.ahead[0])

    @cached_property
    def text(self):
        return self.ahead[0], self.case.back(self.ahead[1], self.d)

    def by(self, ran):
        """(ys, s'), gradients and tape of one of `choices`."""
        if ran not in self.outcomes:
            self.outcomes[ran] = self.case.run_both_ways(self.d, **self.choices[ran])
        return self.outcomes[ran]

    @cached_property
    def choices(self):
        """What runs -> how to choose it: every path that takes this cell, with twins and without."""
        case, ways = self.case, {}
        xs, s = to(case.device, (case.xs, case.s))
        call = describe_call(xs, case.cell.prepare(case.p, case.extra)[1], case.live is not None, s=s)
        several = "layerwise", "bidirectional"            # each of their parts has a path of its own
        options = [{"paths": (path, *several)} for path in PATHS if path not in several]
        for choice in (PLAIN, *({**o, "kernels": False} for o in options), *options, {}):
            ran = _describe_run(case.cell, call, choice)
            if ran:
                ways.setdefault(ran, choice)
        return ways


def _describe_run(cell, call, choice):
    try:
        notes = plan(cell, call, **choice).notes
    except NotSupported:                          # every one of these paths refuses this cell, in words
        return None
    said = {"runs": "{0}", "in its place": "{1}"}
    return ", ".join(words.format(what, became.split()[0]) for what, became in notes
                     for end, words in said.items() if became.endswith(end))


def draw_case(cell, p=None, s=None, xs=None, extra=None, n_in=3, units=4, steps=5, batch=4, seed=0, **options):
    """A `Case` in float64 of what is given, the rest drawn; nothing in it can be written to."""
    rng, who = numpy.random.default_rng(seed), getattr(cell, "name", type(cell).__name__)

    def draw(shape):
        return rng.normal(size=shape) * 0.5

    if p is not None and s is None and hasattr(cell, "units"):
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
    cell.check(p, xs, s, extra, "T B")            # the arguments are to blame for what does not fit here
    return Case(cell, p, s, xs, extra, **options)


def _require_method(cell, who, method, what, argument):
    if not hasattr(cell, method):
        raise NotSupported(who, f"no {what} given, and the cell has no {method}()", fix=f"give {argument}")
    return getattr(cell, method)


def draw_arrays(draw, shapes):
    """Arrays for the shapes that a cell declares: a dict, or a tuple of such, which may lie in a dict too."""
    if isinstance(shapes, dict):
        return {name: draw_arrays(draw, shape) for name, shape in shapes.items()}
    if any(not hasattr(each, "__index__") for each in shapes):
        return tuple(draw_arrays(draw, each) for each in shapes)
    return draw(shapes)


def _freeze(a):
    """In float64, where a finite difference can be trusted, and not to be written to."""
    if isinstance(a, PerStep):
        return PerStep(_freeze(a.steps))
    a = numpy.array(asnumpy(a))
    a = a.astype("float64") if is_floating(a.dtype) else a
    a.flags.writeable = False
    return a


def masking_options(size, seed=0):
    """How sequences may lie in their rows: options of `Case` by name."""
    (T, B), rng = size, numpy.random.default_rng(seed)
    lengths, holes = rng.integers(0, T + 1, B), rng.random((T, B)) < 0.6
    lengths[:1], lengths[1:2], holes[:, 1:2] = T, 0, False          # a full row and an empty one
    left = numpy.arange(T)[:, None] >= T - lengths
    return {"everywhere": {}, "lengths": {"lengths": lengths}, "holes": {"mask": holes}, "left": {"mask": left}}
