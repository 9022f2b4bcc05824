"""The one entry to all loops: `run` over a sequence, `run_back` through it."""
from functools import wraps
from inspect import signature as parameters_of
from typing import Any, Callable, Collection, NamedTuple, Optional, TypeVar, cast as cast_type

import numpy

from ..arrays import Array, cast, is_array, is_cupy, is_floating, namespace
from ..cache import memoize, memoize_check
from ..cell import ALL, Cell, CellContract, State, TwoStage, find_missing, leave_out, name_of, needed_inside
from ..errors import DtypeError, InvalidType, NotSupported, ShapeError, check_option, describe_type
from ..options import check_is_cell, check_kind, named_arguments
from ..padding import check_policy, drepeat, make_live_mask, repeat
from ..products import find_parts
from ..shapes import check_like, check_parameters, is_like, make_zeros, signature
from ..tree import (PerStep, Tree, add, copy, fill_missing, first_leaf, leaves, map_structure, read_only, tuple_like,
                    zeros_like)
from ..wrappers.stack import Bidirectional
from .plan import MODES, PATHS, describe_call, load_path, plan, resolve_name

F = TypeVar("F", bound=Callable)


class Tape(NamedTuple):
    """All that `run_back` needs.  It may be used more than once: nothing in it changes."""
    cell: Any; p: Any; extra: Any; prepared: Any
    path: str; tape: Any
    padding: str; live: Any; reverse: bool
    tail: Any                                     # padding="free": the tape of the steps past the lengths
    like: tuple                                   # ys and the last state, which gradients must resemble
    dtypes: tuple                                 # of xs and of the first state

    def kept(self, t: int) -> Any:
        """The intermediates of step t, under the same names whichever path ran: to be read, not written."""
        return read_only(self.tape.kept(t))

    def __repr__(self) -> str:
        """One line, without the arrays."""
        T, B = first_leaf(self.like[0]).shape[:2]
        return f"<Tape of {name_of(self.cell)}: {T} steps of {B} rows, path {self.path!r}>"


def _translate_device_errors(f: F) -> F:
    """`f` of a cell or a tape, with errors of CuPy and CUDA, of whatever part of it, raised as those of rnnref."""
    first = next(iter(parameters_of(f).parameters))

    @wraps(f)
    def called(*args: Any, **given: Any) -> Any:
        try:
            return f(*args, **given)
        except Exception:
            if not any(is_cupy(a) for _, a in leaves((args, given))):
                raise
            what = args[0] if args else given.get(first)
            with resolve_name("cuda.errors").translate_errors(name_of(what.cell if isinstance(what, Tape) else what)):
                raise
    return cast_type(F, called)


@named_arguments
@_translate_device_errors
def run(cell: CellContract, p: Tree, xs: Tree, s: Optional[State] = None, *, lengths: Optional[Array] = None,
        mask: Optional[Array] = None, reverse: bool = False, padding: str = "zero", extra: Tree = None,
        recompute: bool = False, keep: bool = True, paths: tuple = PATHS, kernels: bool = True,
        mode: Optional[str] = None) -> tuple[Tree, State, Optional[Tape]]:
    """A cell over a sequence: xs [T, B, I] -> ys [T, B, H], the last state, a tape (None unless `keep`).

    All that is returned is the caller's own: the tape has copies of the arguments, and shares no array with anyone.

    xs         an array, or what the cell takes: any tree (tuples, named tuples, dicts) of arrays [T, B, ...]
    s          the first state; None: zeros
    lengths    [B] integers, or mask [T, B] bool (holes and left padding too): a dead step leaves the state unchanged
    reverse    from the last step to the first; outputs stay beside their inputs
    padding    outputs at dead steps: "zero" (TF 1, torch), "repeat" the last live one (Keras), or those of a cell that
               runs on, "free" (flax)
    extra      what the cell takes beside the sequence: masks of dropout, a memory to attend to
    recompute  keep only the states, and compute every step again on the way back
    keep       False: inference, no tape
    paths      the paths of execution to choose from, in order of preference; see `rnnref.explain`
    kernels    False: the plain rules and maps.  With paths=("plain", "bidirectional") that is the code as written
    mode       "tf32", "bf16", "fp16": the arithmetic of products on a GPU, if not that of the arrays ("fp32")

    Errors     ShapeError, DtypeError, DeviceError: arguments that do not fit each other.  NotSupported: an option that
               this cell, or the place of the arrays, does not allow.

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.LSTM()
    >>> p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0), dtype="float64")
    >>> ys, new, tape = run(cell, p, np.ones((5, 2, 3)), lengths=[5, 2])
    >>> ys.shape, bool((ys[2:, 1] == 0).all()), bool((new.h[1] == ys[1, 1]).all())
    ((5, 2, 4), True, True)
    >>> tape
    <Tape of LSTM: 5 steps of 2 rows, path 'sequence'>
    >>> dxs, ds, dextra, dp = run_back(tape, np.ones_like(ys))
    >>> dxs.shape, sorted(dp)
    ((5, 2, 3), ['R', 'W', 'b'])
    """
    options, kept = (reverse, recompute, keep, kernels), "states" if recompute and keep else keep
    live: Any = None
    if extra is lengths is mask is None and _is_known_by_signature(cell, xs, paths, options):
        chosen, prepares, first, dtypes = _choose(cell, p, xs, s, given=(padding, options, paths, mode))
    else:
        _check_options(cell, options, paths, mode)
        s, live = _check_arguments(cell, p, xs, s, extra, lengths, mask)
        check_policy(padding, mask, isinstance(cell, Bidirectional))
        chosen, prepares, first, dtypes = None, True, (), None
    if keep:                                      # what becomes of the caller's arrays must not change gradients
        p, xs, s, extra = map(copy, (p, xs, s, extra))
    s = make_zeros(first) if s is None else s
    q, e, prepared = cell.prepare(p, extra) if prepares else (p, extra, ())
    if chosen is None:
        chosen = plan(cell, describe_call(xs, e, live is not None, kept, s), paths, kernels, mode)
    forward, tail = load_path(chosen.path).forward, None
    ys, new, tape = forward(chosen.cell, q, xs, s, e, live, reverse, kept)
    if padding == "repeat" and live is not None:
        ys = _map_directions(repeat, cell, ys, live, reverse)
    elif padding == "free" and live is not None:     # from the state that each row ended with, over its padding
        more, _, tail = forward(chosen.cell, q, xs, new, e, ~live, False, kept)
        ys = add(ys, more)
    if not keep:
        return ys, copy(new), None
    dtypes = map_structure(lambda a: a.dtype, (xs, s)) if dtypes is None else dtypes
    return ys, copy(new), Tape(cell, p, extra, prepared, chosen.path, tape, padding, live, reverse, tail, (ys, new),
                               dtypes)


def run_empty(cell: CellContract, p: Tree, xs: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Tape]:
    """A sequence of no steps: outputs [0, B, ...], the state as it was, and a tape for `run_back`.

    `run` refuses it, as it is a mistake in most places; `dynamic_rnn` of TF 1 and RNN of Keras take it.

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.GRU()
    >>> p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0), dtype="float64")
    >>> ys, new, tape = run_empty(cell, p, np.ones((0, 2, 3)), cell.zeros(2, 4, dtype="float64"))
    >>> ys.shape, run_back(tape)[0].shape
    ((0, 2, 4), (0, 2, 3))
    """
    def one_step(a: Array) -> Array:
        return namespace(a).zeros((1, *a.shape[1:]), a.dtype)
    x, e = map_structure(one_step, xs), map_structure(lambda a: PerStep(one_step(a.steps)) if isinstance(
        a, PerStep) else a, extra)
    ys = map_structure(lambda a: a[:0], run(cell, p, x, s, extra=e, paths=("plain",), kernels=False, keep=False)[0])
    q, e, prepared = cell.prepare(p, extra)
    dtypes = map_structure(lambda a: a.dtype, (xs, s))
    return ys, copy(s), Tape(cell, p, extra, prepared, "empty", (xs, q, e), "zero", None, False, None, (ys, s), dtypes)


@named_arguments
@_translate_device_errors
def run_back(tape: Optional[Tape], dys: Tree = None, ds: Optional[State] = None, *,
             wanted: Collection[str] = ALL) -> tuple[Tree, State, Tree, Tree]:
    """Back through a sequence: gradients of xs, the first state, `extra` and p, in structure and dtype as these.

    dys, ds  the gradients of the outputs and of the last state; None, also in a tree of them, is zero
    wanted   the names of those that are asked for; the others are None.  Without "x" the product with W is left out,
             without "p" those that make the gradients of the weights; the gradients that remain have the same bits

    Errors   ShapeError, DtypeError: dys or ds are not like the outputs and the state.  NotSupported: there is no tape,
             the cell has no backward, or an unknown name in `wanted`.

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.GRU()
    >>> ys, new, tape = run(cell, rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0)), np.ones((5, 2, 3), "f"))
    >>> dxs, ds, dextra, dp = run_back(tape, np.ones_like(ys), wanted=("p",))           # of a first layer
    >>> dxs, ds, sorted(dp)
    (None, None, ['R', 'W', 'b', 'bR'])
    """
    if tape is None:
        raise NotSupported("run_back", "the tape is None", axes="run(..., keep=False) keeps none")
    if not isinstance(tape, Tape):
        raise InvalidType("run_back", f"tape is {describe_type(tape)}, expected the third result of run")
    cell, p, extra, prepared, path, inner, padding, live, reverse, tail, like, dtypes = tape
    dys, ds = map(fill_missing, (dys, ds), like)
    if wanted is not ALL:
        wanted = frozenset({wanted} if isinstance(wanted, str) else wanted)
        for what in wanted.difference(ALL):
            check_option(name_of(cell), "wanted", what, ALL)
    needed = needed_inside(wanted, extra)
    if not is_like((dys, ds), like):
        for what, d, a in zip(("dys", "ds"), (dys, ds), like):
            check_like(name_of(cell), what, d, a)
    backward = load_path(path).backward
    if padding == "repeat" and live is not None:
        dys = _map_directions(drepeat, cell, dys, live, reverse)
    if tail is None:
        dxs, ds, dextra, dq = backward(inner, dys, ds, needed)
    else:
        dmore, dstart, *more = backward(tail, dys, zeros_like(ds), needed)
        dxs, ds, dextra, dq = backward(inner, dys, add(ds, dstart), needed)
        dxs, dextra, dq = map(add, (dxs, dextra, dq), (dmore, *more))
    dp = None
    if "p" in needed:
        dp, dextra = cell.prepare_backward(p, prepared, dq, dextra)
        _check_gradients(cell, dp, p)
    if wanted is not ALL:
        dxs, ds, dextra, dp = leave_out((dxs, ds, dextra, dp), wanted)
    dextra = None if extra is None or dextra is None else map_structure(lambda d, a: cast(d, a), dextra, extra)
    dxs, ds = map(_cast_gradients, (dxs, ds), dtypes)
    return dxs, copy(ds), dextra, _cast_gradients(dp, p)


def _cast_gradients(d: Tree, like: Tree) -> Tree:
    """Gradients in the structure and the dtypes of what they belong to, a tree of arrays or of dtypes.

    Integers have none: what is given for them stays as it is.
    """
    if d is None or type(d) is numpy.ndarray and d.dtype == getattr(like, "dtype", like):
        return d
    if isinstance(like, dict):
        return {name: _cast_gradients(d[name], a) for name, a in like.items()}
    if isinstance(like, tuple):
        return tuple_like(like, [_cast_gradients(one, a) for one, a in zip(d, like, strict=True)])
    dtype: Any = getattr(like, "dtype", like)
    return d if d.dtype == dtype or dtype.kind in "iub" else d.astype(dtype)


def _check_gradients(cell: Any, dp: Tree, p: Tree) -> None:
    """Check that dp has exactly the names and shapes of p; otherwise a parameter would silently never be trained."""
    if is_like(dp, p):
        return
    who, got, want = name_of(cell), dict(leaves(dp)), dict(leaves(p))
    if got.keys() != want.keys():
        raise ShapeError(who, f"backward gave gradients of {' '.join(sorted(got)) or 'nothing'}, expected those of "
                              f"{' '.join(sorted(want)) or 'nothing'}")
    for path, a in want.items():
        if got[path].shape != a.shape:
            raise ShapeError(who, f"backward gave a gradient of {path} with shape {got[path].shape}, expected "
                                  f"{a.shape}")


def _is_known_by_signature(cell: Any, xs: Tree, paths: Any, options: tuple) -> bool:
    """Whether all that is checked, and the plan, depend on `signature` of the arguments alone."""
    cls = type(cell)
    return (getattr(cls, "check", None) is TwoStage.check and getattr(cls, "prepare", None) is TwoStage.prepare
            and getattr(cls, "zeros", None) is TwoStage.zeros and type(xs) is numpy.ndarray and type(paths) is tuple
            and [*map(type, options)] == [bool] * 4)


@memoize_check(4096)
def _choose(cell: Any, p: Tree, xs: Array, s: State, *, given: tuple) -> tuple:
    """What is the same in all such calls, with neither `extra` nor rows that end early, after their checks: the plan,
    whether the cell prepares anything, the `signature` of the first state, and the dtypes of xs and of that state.
    """
    padding, options, paths, mode = given
    _check_options(cell, options, paths, mode)
    s, _ = _check_arguments(cell, p, xs, s, None, None, None)
    check_policy(padding, None, False)
    _, recompute, keep, kernels = options
    call = describe_call(xs, None, False, "states" if recompute and keep else keep, s)
    return (plan(cell, call, paths, kernels, mode), bool(cell.prepare(p)[2]), signature(s),
            map_structure(lambda a: a.dtype, (xs, s)))


def _check_options(cell: Any, options: tuple, paths: Any, mode: Any) -> None:
    """Raise unless `cell` is one, and the options of `run` are of their kinds."""
    check_is_cell("run", cell, "prepare")
    for option, value in zip(("reverse", "recompute", "keep", "kernels"), options):
        check_kind(name_of(cell), option, value, bool)
    if not isinstance(paths, (tuple, list)):
        raise InvalidType(name_of(cell), f"paths={paths!r}, expected a tuple of names", fix=f"paths=({paths!r},)")
    check_option(name_of(cell), "mode", mode, (None, *MODES))


def _check_arguments(cell: Any, p: Tree, xs: Tree, s: State, extra: Tree, lengths: Any,
                     mask: Any) -> tuple[State, Optional[Array]]:
    """The first state and where rows are live; raise unless all arguments fit each other."""
    name = name_of(cell)
    _check_sequences(name, xs)
    like = first_leaf(xs)
    axes = _find_axes(cell)
    if axes is not None:
        check_parameters(name, p, axes)
    if s is None:
        s = _make_zeros(cell, p, like)
    cell.check(p, xs, s, extra, "T B")
    for path, a in leaves(s):
        what = f"state.{path}" if path else "state"
        if not is_array(a):
            raise DtypeError(name, f"{what} is {describe_type(a)}, expected a NumPy or CuPy array")
        if a.shape[:1] != like.shape[1:2]:
            raise ShapeError(name, f"{what} has shape {a.shape}, expected {like.shape[1]} rows",
                             axes=f'{what} is "B ..." with B = {like.shape[1]} (from x, shape {like.shape})')
    return s, make_live_mask(like, lengths, mask, name)


@memoize(1024)
def _find_axes(cell: Any) -> Any:
    """The axes of the parameters, if the cell, and each that it holds, declares them."""
    parts = [part for part in find_parts(cell) if isinstance(part, Cell)]
    return None if any(find_missing(part, "axes") for part in (cell, *parts)) else cell.axes()


def _make_zeros(cell: Any, p: Tree, x: Array) -> State:
    """The state that is zero, of a cell that tells its units."""
    if find_missing(cell, "zeros", "units"):
        raise NotSupported(name_of(cell), "no state is given, and the cell has no zeros(batch, units)")
    return make_initial_state(cell, x, cell.units(p))


def make_initial_state(cell: Any, x: Array, units: Any) -> State:
    """The state that is zero everywhere, for inputs like x [T, B, ...]."""
    lead = x.shape[1] if find_missing(cell, "lead") else cell.lead(x.shape[1:-1])
    return cell.zeros(lead, units, namespace(x), x.dtype)


def _check_sequences(name: str, xs: Tree) -> None:
    """Raise unless all of xs are arrays with as many steps and rows as the first."""
    if next(leaves(xs), None) is None:
        raise ShapeError(name, f"x is {xs!r}: it holds no array")
    origin, like = next(leaves(xs))
    for path, x in leaves(xs):
        what = f"x.{path}" if path else "x"
        _check_is_sequence(name, what, x)
        if x.ndim < 2:
            raise ShapeError(name, f"{what} has shape {x.shape}, expected at least 2 axes",
                             axes=f'{what} is "T B I": time comes first')
        if not x.shape[0]:
            raise ShapeError(name, f"{what} has shape {tuple(x.shape)}: no steps", axes=f'{what} is "T B I" with T = 0')
        if x.shape[:2] != like.shape[:2]:
            raise ShapeError(name, f"{what} has shape {x.shape}, expected {like.shape[:2]} on the first two axes",
                             axes=f"T, B = {like.shape[:2]} (from x.{origin}): all arrays of x belong to one sequence")


def _check_is_sequence(name: str, what: str, x: Any) -> None:
    """Raise unless x is an array of numbers; recorded values and lists get a word on where they go."""
    if not is_array(x):
        fix = f'numpy.asarray({what}, "float32")' if isinstance(x, list) or hasattr(x, "__array__") else ""
        if type(x).__name__ in ("Value", "Symbol"):
            fix = "rnnref.layers.RNN(cell, units=...)(x), with the batch first: layers run in a record and in models"
        raise DtypeError(name, f"{what} is {describe_type(x)}, expected a NumPy or CuPy array", fix=fix)
    if hasattr(x, "mask") or type(x).__name__ == "matrix":
        raise DtypeError(name, f"{what} is {describe_type(x)}, expected a plain array",
                         fix=f"numpy.asarray({what}); mask= [T, B] tells where rows are live")
    if not is_floating(x.dtype) and x.dtype.kind not in "iub":
        raise DtypeError(name, f"{what} has dtype {x.dtype}, expected a floating dtype",
                         fix=f'choose one: {what}.astype("float32")')


def _map_directions(f: Callable, cell: Any, ys: Tree, live: Optional[Array], reverse: bool) -> Tree:
    """`f` of the outputs; of two directions the second runs the other way."""
    if isinstance(cell, Bidirectional):
        return tuple(f(y, live, back) for y, back in zip(ys, (reverse, not reverse)))
    return f(ys, live, reverse)
