"""The only loop that layers call.  (floor 6)"""
from typing import Any, NamedTuple

from ..arrays import cast, is_array, is_cupy, namespace
from ..errors import DtypeError, NotSupported, ShapeError
from ..padding import check_policy, drepeat, make_live_mask, repeat
from ..shapes import check_like
from ..tree import add, fill_missing, first_leaf, leaves, map_structure, zeros_like
from ..wrappers.stack import Bidirectional
from .plan import describe_call, load_path, plan, resolve_name


class Tape(NamedTuple):
    """All that the way back needs.  It may be used more than once: nothing in it changes."""
    cell: Any; p: Any; extra: Any; prepared: Any
    path: str; tape: Any
    padding: str; live: Any; reverse: bool
    tail: Any                                     # padding="free": the tape of the cell running on
    like: tuple                                   # ys and the last state, which gradients must resemble
    dtypes: tuple                                 # of xs and of the first state

    def kept(self, t):
        """The intermediates of step t, under the same names whatever ran."""
        return self.tape.kept(t)


def run(cell, p, xs, s=None, extra=None, lengths=None, mask=None, reverse=False, padding="zero", keep=True,
        recompute=False, **choice):
    """A cell over a sequence: xs [T, B, I] -> ys [T, B, H], the last state, a tape (None unless `keep`).

    xs         an array, or what the cell takes: any tree (tuples, named tuples, dicts) of arrays [T, B, ...]
    s          the first state; None: zeros
    lengths    [B] integers, or mask [T, B] bool (holes and left padding too): a dead step leaves the state as it was
    reverse    from the last step to the first; outputs stay beside their inputs
    past       what outputs say at dead steps: "zero" (TF 1, torch), "repeat" the last (Keras), run on "free" (flax)
    recompute  keep only the states, and run every step again on the way back
    choice     paths=("plain", "bidirectional"), kernels=False: the text as it is written; mode="tf32", "bf16", "fp16": how precise
               the products on a GPU are, if not as the arrays ("fp32"); see `fused.plan`

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.LSTM()
    >>> p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0), dtype="float64")
    >>> ys, new, tape = run(cell, p, np.ones((5, 2, 3)), lengths=[5, 2])
    >>> ys.shape, bool((ys[2:, 1] == 0).all()), bool((new.h[1] == ys[1, 1]).all())
    ((5, 2, 4), True, True)
    >>> dxs, ds, dextra, dp = run_back(tape, np.ones_like(ys))
    >>> dxs.shape, sorted(dp)
    ((5, 2, 3), ['R', 'W', 'b'])
    """
    s, live = _check_arguments(cell, p, xs, s, extra, lengths, mask)
    check_policy(padding, mask, isinstance(cell, Bidirectional))
    q, e, prepared = cell.prepare(p, extra)
    keep = "states" if recompute and keep else keep
    chosen = plan(cell, describe_call(xs, e, live is not None, keep, s), **choice)
    forward, tail = _translate_device_errors(load_path(chosen.path).forward, cell, xs), None
    ys, new, tape = forward(chosen.cell, q, xs, s, e, live, reverse, keep)
    if padding == "repeat":
        ys = _map_directions(repeat, cell, ys, live, reverse)
    elif padding == "free" and live is not None:     # from the state that each row ended with, over its padding
        more, _, tail = forward(chosen.cell, q, xs, new, e, ~live, False, keep)
        ys = add(ys, more)
    return ys, new, Tape(cell, p, extra, prepared, chosen.path, tape, padding, live, reverse, tail,
                         (ys, new), map_structure(lambda a: a.dtype, (xs, s))) if keep else None


def run_back(tape, dys=None, ds=None):
    """Gradients of xs, the first state, `extra` and the parameters, in structure and dtype as these.

    dys and ds are the gradients of the outputs and of the last state; None, also in a tree of them, is zero.
    """
    cell, p, extra, prepared, path, inner, padding, live, reverse, tail, like, dtypes = tape
    dys, ds = map(fill_missing, (dys, ds), like)
    name = getattr(cell, "name", type(cell).__name__)
    for what, d, a in zip(("dys", "ds"), (dys, ds), like):
        check_like(name, what, d, a)
    backward, more = _translate_device_errors(load_path(path).backward, cell, like), (None, None, None)
    if padding == "repeat":
        dys = _map_directions(drepeat, cell, dys, live, reverse)
    if tail is not None:
        dmore, dstart, *rest = backward(tail, dys, zeros_like(ds))
        ds, more = add(ds, dstart), (dmore, *rest)
    dxs, ds, dextra, dq = backward(inner, dys, ds)
    dxs, dextra, dq = map(add, (dxs, dextra, dq), more)
    dp, dextra = cell.prepare_backward(p, prepared, dq, dextra)
    _check_gradients(name, dp, p)
    dextra = None if extra is None or dextra is None else map_structure(lambda d, a: cast(d, a), dextra, extra)
    dxs, ds = map_structure(_cast_gradient, (dxs, ds), dtypes)
    return dxs, ds, dextra, map_structure(lambda a, d: cast(d, a), p, dp)


def _cast_gradient(d, dtype):
    """A gradient in the dtype of what it belongs to, if numbers of that dtype have one."""
    return d if d.dtype == dtype or dtype.kind in "iub" else d.astype(dtype)


def _translate_device_errors(f, cell, where):
    """`f`, and if arrays are on a GPU, then what may go wrong there is said as rnnref says it."""
    if not is_cupy(first_leaf(where)):
        return f

    def g(*args):
        with resolve_name("cuda.errors").translate_errors(getattr(cell, "name", type(cell).__name__)):
            return f(*args)
    return g


def _check_gradients(who, dp, p):
    """A gradient for every parameter and for nothing else: a cell that forgets one would train it never."""
    got, want = dict(leaves(dp)), dict(leaves(p))
    if got.keys() != want.keys():
        raise ShapeError(who, f"backward gave gradients of {' '.join(sorted(got)) or 'nothing'}, expected of "
                              f"{' '.join(sorted(want)) or 'nothing'}")
    for path, a in want.items():
        if got[path].shape != a.shape:
            raise ShapeError(who, f"backward gave a gradient of {path} with shape {got[path].shape}, expected "
                                  f"{a.shape}")


def _check_arguments(cell, p, xs, s, extra, lengths, mask):
    """The first state and where rows are live, after everything has been seen to fit."""
    name = getattr(cell, "name", type(cell).__name__)
    _check_sequences(name, xs)
    like = first_leaf(xs)
    if s is None:
        if not hasattr(cell, "zeros"):
            raise NotSupported(name, "no state is given, and the cell has no zeros(batch, units)")
        s = make_initial_state(cell, like, cell.units(p))
    cell.check(p, xs, s, extra, "T B")
    for path, a in leaves(s):
        what = f"state.{path}" if path else "state"
        if not is_array(a):
            raise DtypeError(name, f"{what} is a {type(a).__name__}, expected a NumPy or CuPy array")
        if a.shape[:1] != like.shape[1:2]:
            raise ShapeError(name, f"{what} has shape {a.shape}, expected {like.shape[1]} rows",
                             axes=f'{what} is "B ..." with B = {like.shape[1]} (from x, shape {like.shape})')
    return s, make_live_mask(like, lengths, mask, name)


def make_initial_state(cell, x, units):
    """The state that is zero everywhere, for inputs like x [T, B, ...]."""
    lead = cell.lead(x.shape[1:-1]) if hasattr(cell, "lead") else x.shape[1]
    return cell.zeros(lead, units, namespace(x), x.dtype)


def _check_sequences(name, xs):
    """Raise unless all of xs are arrays with as many steps and rows as the first."""
    if next(leaves(xs), None) is None:
        raise ShapeError(name, f"x is {xs!r}: there is no array in it")
    origin, like = next(leaves(xs))
    for path, x in leaves(xs):
        what = f"x.{path}" if path else "x"
        if not is_array(x):
            raise DtypeError(name, f"{what} is a {type(x).__name__}, expected a NumPy or CuPy array")
        if x.ndim < 2:
            raise ShapeError(name, f"{what} has shape {x.shape}, expected at least 2 axes",
                             axes=f'{what} is "T B I": time comes first')
        if not x.shape[0]:
            raise ShapeError(name, f"{what} has shape {tuple(x.shape)}: no steps", axes=f'{what} is "T B I" with T = 0')
        if x.shape[:2] != like.shape[:2]:
            raise ShapeError(name, f"{what} has shape {x.shape}, expected {like.shape[:2]} on the first two axes",
                             axes=f"T, B = {like.shape[:2]} (from x.{origin}): all of x is one sequence")


def _map_directions(f, cell, ys, live, reverse):
    """`f` of the outputs; of two directions the second goes the other way."""
    if isinstance(cell, Bidirectional):
        return tuple(f(y, live, back) for y, back in zip(ys, (reverse, not reverse)))
    return f(ys, live, reverse)
