"""Proves that two forms of a layer compute the same: both are run on drawn numbers, from a drawn state."""
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import Error, NotSupported
from ..interop import Weights
from .forms import State, has_form, run_own, run_there

_STEPS, _ROWS, _DRAWS = 5, 3, 3
_FACTOR = 16                                      # how much more than the reference under rounding a form may err


class Proof(NamedTuple):
    """One form that was run, and how far it is from our cell with the weights of the source, in float64."""
    form: str                                     # "torch lstm", "our cell"
    error: float
    allowed: float

    @property
    def holds(self) -> bool:
        """True if the two differ by rounding only."""
        return self.error <= self.allowed

    def __str__(self) -> str:
        return f"{self.form}: within {self.error:.1e} of our cell with the weights of the source"


class Trial(NamedTuple):
    """A layer in float64 on drawn numbers: what every other form of it must return."""
    w: Weights
    p: dict[str, Array]
    xs: Array
    start: State
    ys: Array
    allowed: dict[str, float]                     # by dtype, once it is measured

    def find_allowed(self, dtype: Any, rng: numpy.random.Generator) -> float:
        """The error that rounding to a dtype may make: a multiple of that of our cell on numbers perturbed so much."""
        name, errors = str(dtype), [0.0]
        eps = max(float(numpy.finfo(dtype).eps), float(numpy.finfo("float64").eps))      # our cells compute in float64

        def perturb(a: Array) -> Array:
            return a * (1 + eps * rng.uniform(-1, 1, a.shape))
        for _ in range(_DRAWS if name not in self.allowed else 0):
            p = {name: perturb(a) for name, a in self.p.items()}
            ys = run_own(self.w, p, perturb(self.xs), tuple(map(perturb, self.start)))
            errors.append(measure(ys, self.ys))
        size = max(1.0, float(abs(self.ys).max(initial=0.0, where=numpy.isfinite(self.ys))))
        return self.allowed.setdefault(name, 8 * eps * size + _FACTOR * max(errors))


def draw_trial(w: Weights, rng: numpy.random.Generator) -> Trial:
    """A layer on drawn numbers."""
    p = {name: a.astype("float64") for name, a in w.load().items()}
    xs = rng.standard_normal((_STEPS, _ROWS, *(6,) * w.cell.inputs.space, p["W"].shape[-2])).astype("float32")
    xs = xs.astype("float64")
    zero = w.cell.zeros(w.cell.lead(xs.shape[1:-1]), w.cell.units(p), dtype="float64")
    start = tuple(rng.uniform(-0.8, 0.8, a.shape).astype("float32").astype("float64") for a in zero)
    with numpy.errstate(invalid="ignore", over="ignore"):        # weights that are not finite are converted too
        return Trial(w, p, xs, start, run_own(w, p, xs, start), {})


def prove(source: Weights, target: Weights, rng: numpy.random.Generator, what: str = "", live: bool = True,
          ) -> list[Proof]:
    """The proofs that two forms of one layer compute the same, by all forms that can be run here.

    live     False: by our cell alone
    Errors   Error: they do not
    """
    with numpy.errstate(invalid="ignore", over="ignore"):
        found = list(_run_forms(draw_trial(source, rng), source, target, rng, live))
    for proof in found:
        if not proof.holds:
            raise Error("convert", f"{what or source.layout.who}: {proof.form} differs by {proof.error:.1e} from our "
                        f"cell with the weights of the source, allowed {proof.allowed:.1e}",
                        hint="this is an error of rnnref, or of that framework: rnnref.verify tells which")
    return found


def _run_forms(trial: Trial, source: Weights, target: Weights, rng: numpy.random.Generator, live: bool,
               ) -> Iterator[Proof]:
    own = {name: a.astype("float64") for name, a in target.load().items()}
    dtype = next(iter(target.arrays.values())).dtype
    ys = run_own(target, own, trial.xs, trial.start)
    yield Proof(f"our cell with the arrays of {target.layout.who}", measure(ys, trial.ys),
                trial.find_allowed(dtype, rng))
    for w in (source, target) if live else ():
        found = run_form(w, trial)
        if found is not None:
            yield Proof(w.layout.who, measure(found, trial.ys), trial.find_allowed(found.dtype, rng))


def run_form(w: Weights, trial: Trial) -> Array | None:
    """The outputs of a layer in its own framework; None where that is not installed, or cannot compute it here."""
    if not has_form(w):
        return None
    dtype = next(iter(w.arrays.values())).dtype
    try:
        return run_there(w, trial.xs.astype(dtype), tuple(a.astype(dtype) for a in trial.start))
    except NotSupported:
        return None


def measure(a: Array, truth: Array) -> float:
    """The largest difference; infinite if the shapes differ, or one alone is not finite."""
    if a.shape != truth.shape:
        return numpy.inf
    same = ~numpy.isfinite(a) & ~numpy.isfinite(truth)
    error = abs(numpy.where(same, 0, a.astype("float64")) - numpy.where(same, 0, truth))
    return float(error.max(initial=0.0)) if numpy.isfinite(error).all() else numpy.inf
