"""diagnose: in which convention are these weights, if they gave these outputs?"""
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations, product
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..elementwise import get_activation
from ..errors import InvalidType, NotSupported, ShapeError, check_option, with_article
from ..files.atomic import to_path
from ..files.npz import read_npz
from ..interop import adapt, cell_like, dump, family_named, layout_of
from ..loops.plan import REFERENCE_PATHS
from ..loops.run import run
from ..tree import Tree
from .candidate import Direction
from .causes import format_error
from .equations import GATES, VECTORS, Equations, frameworks_of
from .mistakes import list_mistakes, reorder, reorder_peepholes
from .placed_mistakes import measure_error
from .readings import Reading, list_readings
from .recorded import Data, list_data, read_numbers, read_states, read_weights
from .recordings import align
from .tolerance import absolute_tolerance
from .trace import Trace

_LOOSE = 4.0                                      # errors up to so many tolerances are rounding
_SIGMOIDS = ("sigmoid", "hard_sigmoid@keras2", "hard_sigmoid@keras3")
_TANHS = ("tanh", "relu", "linear")
_MOST_FOUND = 12
_DRAWN_LENGTH = 4
_MOST_LEFT_OUT, _MOST_ARRAYS = 2, 10              # arrays of other layers: how many, and among how many they are sought


_USUAL_SLOTS = ("order", "fused", "gate", "update")          # of mistakes that are conventions here
_Convention = tuple[Equations, tuple[str, ...]]


class _Fit(NamedTuple):
    """Equations that give y."""
    equations: Equations
    data: Data
    words: tuple[str, ...]
    error: float


@dataclass(repr=False)
class Diagnosis:
    """What `diagnose` found: the cell and its parameters in our convention, and in words what theirs is.

    True if exactly one convention explains the outputs.
    """
    cell: Any = None                              # of rnnref.cells
    p: Tree = None                                # its parameters
    words: tuple[str, ...] = ()                   # what is in which convention
    error: float = float("inf")                   # the largest error of y
    reverse: bool = False                         # True if it reads from the end
    others: tuple[tuple[str, ...], ...] = ()      # further conventions that explain the outputs as well
    nearest: str = ""                             # where nothing does
    weights: dict[str, Array] | None = None       # in the layout that was asked for
    layout: str = ""
    tried: int = field(default=0)

    def __bool__(self) -> bool:
        return self.cell is not None and not self.others

    def __repr__(self) -> str:
        return f"<Diagnosis {self.sentence}>"

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        if self.cell is None:
            return f"None of {self.tried:,} conventions gives these outputs. {self.nearest}"
        found = f"These are the weights of {with_article(self.cell.name)}, which give y to {format_error(self.error)}"
        found += f": {'; '.join(self.words)}." if self.words else "."
        for words in self.others:
            found += (f" Or {'; '.join(words)}: these numbers do not tell which. Record outputs with weights and "
                      "biases that are all different, from a random initial state.")
        return found

    def __str__(self) -> str:
        lines = [self.sentence]
        if self.weights is not None:
            lines += ["", f"As weights of {self.layout}:"]
            lines += [f"  {name} {a.shape}" for name, a in self.weights.items()]
        return "\n".join(lines)


def diagnose(weights: Mapping[str, Array] | Sequence[Array], x: Array, y: Array, *, initial_state: Any = None,
             family: str | None = None, to: str | None = None,
             progress: Callable[[Iterable, str], Iterable] | None = None) -> Diagnosis:
    """Find the convention in which recorded weights give recorded outputs, and return the weights in a known one.

    What is searched: which array is which, transposed or not, kernels of [x, h] or [h, x], one or two biases;
    SimpleRNN, GRU with either reset, LSTM with peepholes and projection; every order of gate blocks; forget biases;
    hard sigmoids, relu, no tanh; z keeping the old or the new state; time or batch first, time backwards; and one
    mistake more of the table that `verify` has.  What is found gives y on all steps and rows.

    weights        the arrays by name, or a list of them; where one gate has an array, all in one order
    x, y           a sequence and all outputs of it, [time, batch, ...] or [batch, time, ...]
    initial_state  None (zeros), h, or (h, c), each [batch, units]
    family         "rnn", "gru" or "lstm", if it is known
    to             "torch", "keras", "tf1", "onnx", "flax" ...: the layout in which `Diagnosis.weights` are
    progress       (iterable, name) -> iterable, called to show progress
    Errors         ShapeError: x and y that are no sequences of one length; NotSupported: a layout without a place

    >>> import numpy as np, rnnref
    >>> rng = np.random.default_rng(0)
    >>> theirs = {"kernel": rng.normal(size=(7, 16)), "bias": rng.normal(size=16)}     # of TF 1: i g f o, [x, h]
    >>> x, cell = rng.normal(size=(5, 2, 3)), rnnref.cells.LSTM(forget_bias=1.0)
    >>> p = rnnref.interop.load(rnnref.interop.layout_of("lstm", "tf1"), theirs, cell)
    >>> y, _, _ = rnnref.run(cell, p, x)
    >>> found = diagnose(theirs, x, y, to="torch")
    >>> print(*found.words, sep="; ")
    kernel holds the weights of x and h, rows [x, h]; the gate blocks are i g f o (TF 1); 1 is added to the forget gate
    >>> sorted(found.weights)
    ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']
    """
    family = family if family is None else family_named(family).partition(" ")[0]
    check_option("diagnose", "family", family, (None, "rnn", "gru", "lstm"))
    if progress is not None and not callable(progress):
        raise InvalidType("diagnose", f"progress={progress!r}, expected a function or None")
    named, x, y = read_weights(weights), read_numbers("x", x), read_numbers("y", y)
    data = list(list_data(x, y, read_states(initial_state)))
    limits = [_LOOSE * absolute_tolerance("steep", dtype, float(abs(y).max(initial=0.0)))
              for dtype in dict.fromkeys((y.dtype if y.dtype.kind == "f" else "float64", "float32"))
              if numpy.finfo(dtype).eps >= (numpy.finfo(y.dtype).eps if y.dtype.kind == "f" else 0)]
    search = _Search(named, data, limits, family, progress or (lambda items, words: items))
    found = search.find()
    if not found:
        return Diagnosis(tried=search.tried, nearest=search.describe_nearest())
    first, *others = found
    cell, p = first.equations.make_cell()
    known = Diagnosis(cell, p, first.words, first.error, first.data.reverse, tuple(f.words for f in others),
                      tried=search.tried)
    return known if to is None else _convert(known, first.equations, to)


def diagnose_file(path: Any, **options: Any) -> Diagnosis:
    """`diagnose` of the arrays of a .npz file: x, y, perhaps h0 and c0, and the weights under any other names."""
    suffix = Path(to_path("diagnose", path)).suffix.lower()
    if suffix not in ("", ".npz"):
        raise NotSupported("diagnose", f"a file {suffix}", known=".npz", fix="numpy.savez(path, x=x, y=y, **weights)")
    arrays = read_npz("diagnose", path)
    missing = [n for n in ("x", "y") if n not in arrays]
    if missing:
        raise ShapeError("diagnose", f"{path} has no {' and no '.join(missing)}", has=" ".join(arrays) or "nothing",
                         axes="x and y, the sequence and its outputs; h0 and c0; and the weights",
                         fix="numpy.savez(path, x=x, y=y, **weights)")
    x, y, *first = (arrays.pop(n) for n in ("x", "y", "h0", "c0") if n in arrays)
    return diagnose(arrays, x, y, initial_state=tuple(first) or None, **options)


def _convert(found: Diagnosis, equations: Equations, to: str) -> Diagnosis:
    """The diagnosis with the weights in a layout."""
    family = equations.family + (" before" if equations.options.get("reset") == "before" else "")
    layout = layout_of(family, to)
    cell = cell_like(layout, found.cell)
    found.weights, found.layout = dump(layout, adapt(found.cell, found.p, cell), cell), layout.who
    return found


# the search

class _Search:
    """Conventions on a few steps, then on all."""

    def __init__(self, weights: Mapping[str, Array], data: list[Data], limits: list[float], family: str | None,
                 watch: Callable[[Iterable, str], Iterable]) -> None:
        self._data, self._limits, self._watch = data, limits, watch
        n_in, width = data[0].x.shape[-1], data[0].y.shape[-1]
        units = {d.first[1].shape[-1] for d in data if len(d.first) == 2 and d.first[0].shape[-1] == width}
        self._readings = _list_readings(weights, n_in, width, units.pop() if len(units) == 1 else None, family)
        if not self._readings:
            shapes = ", ".join(f"{n} {numpy.shape(a)}" for n, a in weights.items())
            raise ShapeError("diagnose", f"the arrays {shapes} fit no SimpleRNN, GRU or LSTM with {n_in} inputs and "
                             f"{width} outputs",
                             axes="x or h on one axis of a kernel, 1, 3 or 4 gate blocks on the other")
        self.tried = 0
        self._nearest: tuple[float, tuple[str, ...]] = (numpy.inf, ())

    def find(self) -> list[_Fit]:
        """The conventions that give y on all steps, each once; the usual ones are tried first."""
        for conventions, usual in _LEVELS:
            pairs = [(r, d) for d in self._data if d.usual or not usual for r in self._readings]
            found: list[_Fit] = []
            for reading, data in self._watch(pairs, "conventions"):
                found += self._try(reading, data, conventions)
                if len(found) >= _MOST_FOUND:
                    break
            exact = [fit for fit in found if fit.error <= self._limits[0]]
            if found:
                return _drop_equal(exact or [_say_precision(fit) for fit in found])
        return []

    def _try(self, reading: Reading, data: Data, conventions: Callable[[Equations], Iterator[_Convention]],
             ) -> list[_Fit]:
        recorded = align(Direction(data.x, data.y, data.first, data.reverse), None)
        _, H, U = reading.equations.sizes
        if recorded is None or [a.shape[-1] for a in data.first] not in ([], [H], [H, U]):
            return []
        trace, found = Trace(recorded), []
        for equations, words in conventions(reading.equations):
            self.tried += 1
            error = trace.quick.error(equations)
            if error < self._nearest[0]:
                self._nearest = error, (*reading.words, *words, *data.words)
            if error <= self._limits[-1] and trace.error(equations) <= self._limits[-1]:
                whole = _measure(equations, data)
                if whole <= self._limits[-1]:
                    found.append(_Fit(equations, data, (*reading.words, *words, *data.words), whole))
        return found

    def describe_nearest(self) -> str:
        """What comes nearest, where nothing gives y."""
        error, words = self._nearest
        return f"The nearest is off by {error:.1g}: {'; '.join(words)}." if words else ""


def _list_readings(weights: Mapping[str, Array], n_in: int, width: int, units: int | None, family: str | None,
                   ) -> list[Reading]:
    """The readings of all arrays; if there are none, those without the fewest arrays, which may be of other layers."""
    for count in range(min(_MOST_LEFT_OUT, len(weights) - 1) + 1 if len(weights) <= _MOST_ARRAYS else 1):
        found = []
        for left in combinations(weights, count):
            kept = {name: a for name, a in weights.items() if name not in left}
            words = tuple(f"{name} is left out" for name in left)
            found += [r._replace(words=(*r.words, *words)) for r in list_readings(kept, n_in, width, units, family)]
        if found:
            return found
    return []


def _say_precision(fit: _Fit) -> _Fit:
    """A fit of numbers that are more exact in their dtype than in fact."""
    return fit._replace(words=(*fit.words, "y is in float64, and agrees as numbers of float32 do"))


def _measure(equations: Equations, data: Data) -> float:
    """The error of y on all steps and rows."""
    cell, p = equations.make_cell()
    p = {n: a.astype("float64") for n, a in p.items()}
    s = None
    if data.first:
        zero = cell.zeros(data.x.shape[1], cell.units(p), dtype="float64")
        s = cell.rule.State(*(a.astype("float64") for a in data.first), *zero[len(data.first):])
    ys, _, _ = run(cell, p, data.x.astype("float64"), s, reverse=data.reverse, paths=REFERENCE_PATHS, keep=False)
    return measure_error({"y": data.y}, {"y": ys})


def _list_usual(equations: Equations) -> Iterator[_Convention]:
    for base, words in _list_orders(equations):
        for shifted, more in _list_forget_biases(base):
            yield shifted, words + more


def _list_activations(equations: Equations) -> Iterator[_Convention]:
    """Usual conventions, with other gates and other functions in the place of tanh."""
    places = {"rnn": ("activation",), "gru": ("candidate",), "lstm": ("candidate", "output")}[equations.family]
    for (base, words), gate, tanh in product(_list_usual(equations), _SIGMOIDS, _TANHS):
        new, shown = dict.fromkeys(places, get_activation(tanh)), words
        if "gate" in base.options:
            new["gate"] = get_activation(gate)
            shown += (f"the gates use {gate}",) if gate != "sigmoid" else ()
        elif gate != "sigmoid":
            continue
        yield base.choose(**new), shown + ((f"{tanh} in the place of tanh",) if tanh != "tanh" else ())


def _list_mistaken(equations: Equations) -> Iterator[_Convention]:
    """Usual conventions with one mistake of the table more."""
    for base, words in _list_usual(equations):
        for mistake in list_mistakes(base):
            changed = None if mistake.slot in _USUAL_SLOTS else mistake.weights(base)
            if changed is not None:
                yield changed, (*words, mistake.words)


def _list_orders(equations: Equations) -> Iterator[_Convention]:
    """Every order of the gate blocks and of the peepholes, which of z is kept, and which reset."""
    family, own = equations.family, GATES[equations.family]
    for order in permutations(own):
        letters = "".join(order)
        known = frameworks_of(family, letters)
        name = f"the gate blocks are {' '.join(letters)}" + (f" ({known})" if known else "")
        ordered = equations if letters == own else reorder(("W", "R", *VECTORS), own, letters)(equations)
        words = (name,) if len(own) > 1 else ()
        if ordered is None:
            continue
        if family == "gru":
            words = (*words, f"the reset acts {equations.options['reset']} the product with R")
            for mistake in list_mistakes(ordered):
                if mistake.slot == "update" and (flipped := mistake.weights(ordered)) is not None:
                    yield ordered, words
                    yield flipped, (*words, "z keeps the new state")
        elif "Wp" in equations.blocks:
            for peepholes in permutations("iof"):
                read = reorder_peepholes("iof", "".join(peepholes))(ordered)
                if read is not None:
                    yield read, (*words, f"the peepholes are {' '.join(peepholes)}")
        else:
            yield ordered, words


def _list_forget_biases(equations: Equations) -> Iterator[_Convention]:
    yield equations, ()
    if equations.family == "lstm":
        yield equations.choose(forget_bias=1.0), ("1 is added to the forget gate",)


def _drop_equal(found: list[_Fit]) -> list[_Fit]:
    """Those that do not give the same outputs for all inputs and initial states; of equal ones the first."""
    rng, kept = numpy.random.default_rng(0), []
    for fit in sorted(found, key=lambda f: len(f.words)):
        if not any(_is_equal(fit, other, rng) for other in kept):
            kept.append(fit)
    return kept


def _is_equal(a: _Fit, b: _Fit, rng: numpy.random.Generator) -> bool:
    """Whether two conventions with these weights are one function of x."""
    if a.data.reverse != b.data.reverse or a.data.words != b.data.words or a.equations.family != b.equations.family:
        return False
    x, outputs = rng.standard_normal((_DRAWN_LENGTH, 3, a.data.x.shape[-1])), []
    for e in (a.equations, b.equations):
        cell, p = e.make_cell()
        zero = cell.zeros(3, cell.units(p), dtype="float64")
        draws = numpy.random.default_rng(1)
        s = type(zero)(*(draws.standard_normal(z.shape) for z in zero))
        p = {n: q.astype("float64") for n, q in p.items()}
        outputs.append(run(cell, p, x, s, paths=REFERENCE_PATHS, keep=False)[0])
    return bool(abs(outputs[0] - outputs[1]).max() < 1e-9)


# (the conventions that are tried, whether only with the data as they are usual)
_LEVELS = ((_list_usual, True), (_list_usual, False), (_list_activations, True), (_list_activations, False),
           (_list_mistaken, True))
