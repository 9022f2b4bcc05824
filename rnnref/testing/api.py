"""For tests of your own: the laws for your cells, comparisons that raise, strategies for Hypothesis.

    rnnref.testing.check_cell(MyCell())                          # laws 1 to 9, with every kind of masking
    rnnref.testing.assert_close(got, want, "gradient")           # structure, types, dtypes, shapes, then values
    @given(rnnref.testing.cases(MyCell()))                       # arguments that Hypothesis draws
    def test_mine(case): rnnref.testing.check_case(case)
    @given(rnnref.testing.cases())                               # an engine of yours; cells are drawn too
    def test_my_engine(case): rnnref.testing.assert_matches(my_engine, case)
    rnnref.testing.golden(cells.LSTM()).write("lstm.h", "c")     # test vectors for an engine in another language

NumPy alone is imported; Hypothesis by the functions that return strategies.
"""
from dataclasses import replace
from typing import Any, Iterable, Mapping, NamedTuple, Optional

import numpy

from .. import cells
from ..cells import GRU, LSTM, SimpleRNN
from ..errors import NotSupported, import_optional
from ..options import check_is_cell
from ..tree import Tree
from .assertions import Mismatch, assert_close, assert_same
from .case import Case, Trial, draw_case, masking_options
from .engines import assert_matches
from .golden_vectors import Golden, golden
from .laws import LAWS, LawViolation, check_law

__all__ = ["Case", "Golden", "LawReport", "LawViolation", "Mismatch", "Sizes", "assert_close", "assert_matches",
           "assert_same", "cases", "check_case", "check_cell", "golden", "lengths", "maskings", "masks", "shapes"]

# cells that take every number of inputs and units
_OTHER_CELLS = (cells.IndRNN, cells.IndyLSTM, cells.IndyGRU, cells.LayerNormSimpleRNN, cells.LayerNormLSTM,
                cells.LayerNormGRU, cells.WeightNormLSTM, cells.UGRNN, cells.CFN, cells.SRU, cells.NAS,
                cells.MinimalRNN, cells.MGU)
_LAW_ORDER = 3, 1, 2, 4, 5, 6, 7, 8, 9            # a cell that changes its arguments can break any of the others


class LawReport(NamedTuple):
    """What `check_cell` checked."""
    cell: str
    laws: tuple                                   # those that hold in every setting
    broken: dict                                  # those broken on purpose: {number: reason}
    gradient: float                               # the worst error of a gradient, relative to |g| |v|
    paths: tuple                                  # the paths and kernels that ran
    settings: int                                 # kinds of masking times two directions

    def __str__(self) -> str:
        broken = "".join(f"; law {n} is broken on purpose: {why}" for n, why in self.broken.items())
        return (f"{self.cell}: laws {' '.join(map(str, self.laws))} hold in {self.settings} settings{broken}\n"
                f"  worst gradient {self.gradient:.1e} of |g| |v|; ran {'; '.join(self.paths)}")


def check_cell(cell: Any, p: Tree = None, s: Tree = None, xs: Tree = None, extra: Tree = None, *, n_in: Any = 3,
               units: Any = 4, steps: int = 5, batch: int = 4, seed: int = 0, laws: Iterable[int] = _LAW_ORDER,
               breaks: Optional[Mapping[int, str]] = None, device: str = "cpu") -> LawReport:
    """Check a cell against the laws.

    p, s, xs, extra   parameters, first state, inputs [T, B, I] and the `extra` of `rnnref.run`; those that are None are
                      drawn: p from cell.shapes(n_in, units), s from cell.zeros(batch, units), xs [steps, batch, n_in]
                      (n_in may be a tree of numbers: an array for each).  All are converted to float64
    laws              the numbers of those to check, in this order
    breaks            {number: reason} for laws that the cell breaks on purpose; one that holds after all is an error
    device            where it runs: "cpu" or "gpu"

    Errors            LawViolation: some law does not hold; it names the simplest setting in which, what differs there,
                      and which other laws do not hold.  NotSupported: the cell lacks the method that would draw an
                      argument, or no law has that number

    A cell of one's own, with all that its weights, its first state and its gradients need:

    >>> import numpy as np, rnnref
    >>> class Leaky(rnnref.cells.Cell):
    ...     # h' = (h + x W) / 2
    ...     def axes(self):
    ...         return {"W": "I U"}
    ...     def shapes(self, n_in, units):
    ...         return {"W": (n_in, units)}
    ...     def width(self, units):
    ...         return units
    ...     def zeros(self, batch, units, xp=np, dtype="float32"):
    ...         return (xp.zeros((batch, units), dtype),)
    ...     def forward(self, p, x, s, extra=None):
    ...         h = (s[0] + x @ p["W"]) / 2
    ...         return h, (h,), x
    ...     def backward(self, p, kept, dy, dnew):
    ...         dh = (dy + dnew[0]) / 2
    ...         return dh @ p["W"].T, (dh,), None, {"W": kept.T @ dh}
    >>> check_cell(Leaky()).laws
    (1, 2, 3, 4, 5, 6, 7, 8, 9)

    >>> print(check_cell(rnnref.cells.GRU(), laws=(1, 3, 8)))
    GRU: laws 1 3 8 hold in 8 settings
      worst gradient 0.0e+00 of |g| |v|; ran hoisted; plain; sequence
    """
    check_is_cell("check_cell", cell)
    breaks = _check_numbers(breaks or {})
    case = draw_case(cell, p, s, xs, extra, n_in, units, steps, batch, seed, device=device)
    settings = [replace(case, **where, reverse=back) for where in masking_options(case.size, seed).values()
                for back in (False, True)]
    trials = [Trial(one, seed) for one in settings]
    failed: dict = {}                             # the simplest setting first: it tells most about the cause
    for trial in trials:
        for number in [n for n in _check_numbers(laws) if n not in failed]:
            try:
                check_law(trial, number)
            except LawViolation as e:
                failed[number] = e
    _raise_failures(case.name, failed, {n: why for n, why in breaks.items() if n in laws})
    paths = {path for trial in trials for path in trial.choices}
    return LawReport(case.name, tuple(sorted(set(laws) - set(breaks))), dict(breaks),
                     max(t.worst_gradient for t in trials), tuple(sorted(paths)), len(trials))


def _raise_failures(name: str, failed: Any, breaks: Any) -> None:
    for number, why in breaks.items():
        if number not in failed:
            raise LawViolation(name, f"law {number} ({LAWS[number].title}) holds, but is declared broken", reason=why)
    wrong = {number: e for number, e in failed.items() if number not in breaks}
    if wrong:                                     # a difference tells more than an exception in the cell
        e = min(wrong.values(), key=lambda e: e.__cause__ is not None)
        others = "; ".join(f"law {n} ({LAWS[n].title})" for n in sorted(wrong) if wrong[n] is not e)
        raise LawViolation(*e.args, **e.notes, also=others) from e.__cause__


def _check_numbers(laws: Any) -> Any:
    for number in laws:
        if number not in LAWS:
            raise NotSupported("check_cell", f"law {number!r}", known=", ".join(
                f"{n}: {law.title}" for n, law in LAWS.items()))
    return laws


def check_case(case: Case, laws: Iterable[int] = _LAW_ORDER, seed: int = 0) -> float:
    """Check one call of `run`, a `Case` as `cases` draws them, against the laws; the worst error of a gradient."""
    trial = Trial(case, seed)
    for number in _check_numbers(laws):
        check_law(trial, number)
    return trial.worst_gradient


class Sizes(NamedTuple):
    """Steps, rows, inputs and units of a case."""
    T: int; B: int; I: int; U: int


def shapes(T: int = 6, B: int = 4, I: int = 4, U: int = 5) -> Any:
    """A strategy for `Sizes` from 1 to these numbers."""
    st = _import_strategies()
    return st.builds(Sizes, *(st.integers(1, n) for n in (T, B, I, U)))


def lengths(T: int, B: int) -> Any:
    """A strategy for lengths: an array [B] of numbers from 0 to T."""
    st = _import_strategies()
    return st.lists(st.integers(0, T), min_size=B, max_size=B).map(_to_array("int64", (B,)))


def masks(T: int, B: int) -> Any:
    """A strategy for masks: a bool array [T, B], with holes and rows that are never live."""
    st = _import_strategies()
    return st.lists(st.booleans(), min_size=T * B, max_size=T * B).map(_to_array("bool", (T, B)))


def _to_array(dtype: Any, shape: Any) -> Any:
    return lambda items: numpy.array(items, dtype).reshape(shape)


def maskings(T: int, B: int) -> Any:
    """A strategy for the masking of a batch: {}, {"lengths": ...} or {"mask": ...}."""
    st = _import_strategies()
    return st.one_of(st.just({}), st.fixed_dictionaries({"lengths": lengths(T, B)}),
                     st.fixed_dictionaries({"mask": masks(T, B)}))


def cases(cell: Any = None, sizes: Any = None, device: str = "cpu") -> Any:
    """A strategy for a `Case` of a cell, or of the cells that a strategy draws; these need `shapes` and `zeros`.

    Hypothesis draws the sizes, the direction, the masking, and a seed for the numbers; without `cell` the cell too,
    with its options.
    """
    st = _import_strategies()
    cell = _draw_cells() if cell is None else cell

    @st.composite
    def case(draw: Any) -> Any:
        one = draw(cell) if hasattr(cell, "example") else cell
        size = draw(shapes() if sizes is None else sizes)
        made = draw_case(one, None, None, None, None, size.I, size.U, size.T, size.B, draw(st.integers(0, 999)))
        return replace(made, **draw(maskings(size.T, size.B)), reverse=draw(st.booleans()), device=device)
    return case()


def _draw_cells() -> Any:
    """A strategy for cells of the catalog, those of most engines first: simple RNNs, GRUs and LSTMs with options."""
    st = _import_strategies()
    flags, others = st.booleans(), st.sampled_from(_OTHER_CELLS)
    rnns = st.builds(SimpleRNN, activation=st.sampled_from(("tanh", "relu")), recurrent_bias=flags)
    grus = st.builds(GRU, reset=st.sampled_from(("after", "before")))
    lstms = st.builds(LSTM, forget_bias=st.sampled_from((0.0, 1.0)), peepholes=flags, recurrent_bias=flags,
                      cell_clip=st.sampled_from((None, 0.5)), projection=st.sampled_from((None, 2)))
    return st.one_of(rnns, grus, lstms, others.map(lambda make: make()))


def _import_strategies() -> Any:
    return import_optional("hypothesis.strategies", "dev", "rnnref.testing")
