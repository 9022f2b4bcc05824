"""Shapes from axis letters, and checks of arrays against them with readable errors.

Axes are words: `T` time, `B` batch, `I` inputs, `U` units, `H` what recurs (units, or fewer behind a projection),
`G` gate blocks x units; a number is a fixed length.
"""
from typing import Any, NamedTuple, Sequence

import numpy

from .arrays import is_array, is_floating
from .errors import DtypeError, InvalidType, InvalidValue, ShapeError, describe_type
from .tree import Tree, leaves

_CELL_FAMILIES = {1: "a simple RNN", 3: "a GRU (gates r z n)", 4: "an LSTM (gates i f g o)"}


class Size(NamedTuple):
    """The length of an axis, and where it comes from, in words."""
    n: int
    origin: str = ""


class ArraySpec(NamedTuple):
    """The shape and dtype of an array not computed yet: the output that one cell of a stack gives the next."""
    shape: tuple
    dtype: Any
    name: str = "x"


def resolve_shape(axes: str, sizes: dict) -> tuple[int, ...]:
    """"H G" -> (4, 16);  "1 I+H" -> (1, 7): two axes end to end;  "2 I/2" -> (2, 3): the groups of a cut axis."""
    return tuple(int(w) if w.isdigit() else sum(_resolve_axis(n, sizes) for n in w.split("+")) for w in axes.split())


def _resolve_axis(word: str, sizes: dict) -> int:
    letter, _, groups = word.partition("/")
    return sizes[letter].n // int(groups or 1)


def expect(who: str, name: str, a: Any, axes: str, sizes: dict) -> None:
    """Raise `ShapeError` unless `a` has the shape of `axes` with these `sizes`."""
    want = resolve_shape(axes, sizes)
    if tuple(a.shape) == want:
        return
    words = (w.partition("/")[0] for w in axes.replace("+", " ").split())
    letters = [w for w in dict.fromkeys(words) if not w.isdigit()]
    lengths = [f"{w} = {sizes[w].n}{_format_origin(sizes[w])}" for w in letters]
    raise ShapeError(who, f"{name} has shape {tuple(a.shape)}, expected {want}",
                     axes=f'{name} is "{axes}"' + (" with " + " and ".join(lengths) if lengths else ""),
                     hint=_suggest_cause(tuple(a.shape), want, axes, sizes))


def _format_origin(size: Size) -> str:
    return f" ({size.origin})" if size.origin else ""


def _suggest_cause(got: tuple, want: tuple, axes: str, sizes: dict) -> str:
    """The probable cause of a wrong shape in words, or ""."""
    words = axes.split()
    if len(got) == 2 and got == want[::-1]:
        return "this is the transpose: PyTorch, cuDNN and ONNX store [G, I] and [G, H]"
    if got == (1, *want):
        return "the first axis of 1 is the direction of an ONNX operator: take [0]"
    if got == tuple(n for n in want if n != 1) or len(got) + 1 == len(want):
        return f"an axis is missing: {len(want)} are expected ({axes})"
    unit = sizes["U"].n if "U" in sizes else 0
    if "G" in words and len(got) == len(want) and unit and got[words.index("G")] != want[words.index("G")]:
        blocks, left = divmod(got[words.index("G")], unit)
        if not left and blocks in _CELL_FAMILIES:
            return f"{got[words.index('G')]} = {blocks} x {unit}: these may be the weights of {_CELL_FAMILIES[blocks]}"
    if words[:2] == ["T", "B"] and len(got) == len(want) and got == (want[1], want[0], *want[2:]):
        return "time comes first here: swap the first two axes (layers take the batch first)"
    return ""


def check_floating(who: str, name: str, a: Any, dtype: Any = None) -> None:
    """Raise unless `a` is an array of a floating dtype, and of `dtype` if that is given; 32 bits may stand for 16."""
    if not is_array(a) and not isinstance(a, ArraySpec):
        raise DtypeError(who, f"{name} is {describe_type(a)}, expected a NumPy or CuPy array")
    if not is_floating(a.dtype):
        raise DtypeError(who, f"{name} has dtype {a.dtype}, expected a floating dtype",
                         fix=f'choose one: {name}.astype("float32")')
    if dtype is not None and a.dtype != dtype and not (dtype.itemsize == 2 and a.dtype.itemsize == 4):
        raise DtypeError(who, f"{name} has dtype {a.dtype}, expected {dtype} as the others have",
                         fix=f'convert it: {name}.astype("{dtype}")')


def check_count(who: str, name: str, value: Any, least: int = 0) -> None:
    """Raise unless `value` is an integer, `least` or more."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or getattr(value, "shape", ()) != ():
        raise InvalidType(who, f"{name}={value!r}, expected an integer, {least} or more")
    if value < least:
        raise InvalidValue(who, f"{name}={value}, expected an integer, {least} or more")


def check_parameters(who: str, p: Any, axes: Any, what: str = "parameters") -> None:
    """Raise unless p has the names of `axes`, a dict or a tuple of such, and an array or a tree of them for each."""
    if isinstance(axes, tuple):
        if not isinstance(p, tuple) or len(p) != len(axes):
            given = describe_type(p) + (f" of {len(p)}" if isinstance(p, tuple) else "")
            raise ShapeError(who, f"{what} is {given}, expected a tuple of {len(axes)}, one for each cell")
        for k, (part, part_axes) in enumerate(zip(p, axes)):
            check_parameters(who, part, part_axes, f"{what}.{k}")
        return
    check_names(who, what, p, axes)
    for name, a in p.items():
        if not is_array(a) and not isinstance(a, (dict, tuple)):
            raise DtypeError(who, f"{name} is {describe_type(a)}, expected a NumPy or CuPy array")


def check_names(who: str, what: str, actual: Any, expected: dict) -> None:
    """Raise unless `actual` is a dict with the names of `expected`."""
    if not isinstance(actual, dict):
        raise ShapeError(who, f"{what} is {describe_type(actual)}, expected a dict of arrays with the names "
                              f"{' '.join(expected)}")
    if actual.keys() != expected.keys():
        lacks, odd = [[n for n in a if n not in b] for a, b in ((expected, actual), (actual, expected))]
        problem = [f"{' '.join(map(str, n))} {verb}" for n, verb in ((lacks, "missing"), (odd, "not known")) if n]
        raise ShapeError(who, f"{what}: {', '.join(problem)}", names=f"expected {' '.join(expected)}")


def signature(tree: Tree) -> Any:
    """All that checks look at in a tree: its structure, the kind, shape and dtype of every array, and strings."""
    kind, array = type(tree), numpy.ndarray
    if tree is None:
        return None
    if isinstance(tree, dict):                    # most items are arrays, and a call for each would take longer
        return dict, *[(name, a.shape, a.dtype) if type(a) is array else (name, signature(a))
                       for name, a in tree.items()]
    if isinstance(tree, tuple) and not isinstance(tree, ArraySpec):
        return kind, *[(a.shape, a.dtype) if type(a) is array else signature(a) for a in tree]
    if isinstance(tree, (ArraySpec, str)):
        return tree
    return (kind, tree.shape, tree.dtype) if is_array(tree) else kind


def make_zeros(found: tuple) -> tuple:
    """A named tuple of NumPy's arrays, all zero, from its `signature`.

    >>> from rnnref.rules.lstm import State
    >>> make_zeros(signature(State(numpy.ones(2), numpy.ones(1))))
    State(h=array([0., 0.]), c=array([0.]))
    """
    kind, *arrays = found
    return kind(*[numpy.zeros(shape, dtype) for shape, dtype in arrays])


def is_like(actual: Tree, like: Tree) -> bool:
    """True if `actual` is a tree of NumPy's arrays with the structure, shapes and dtypes of `like`, all floating.

    A quick look before the checks that name what differs; where it is False, these may still find nothing wrong.
    """
    if type(like) is numpy.ndarray:
        return (type(actual) is numpy.ndarray and actual.shape == like.shape and actual.dtype == like.dtype
                and like.dtype.kind == "f")
    if isinstance(like, dict):
        return isinstance(actual, dict) and actual.keys() == like.keys() and all(
            map(is_like, map(actual.get, like), like.values()))
    return isinstance(like, tuple) and type(actual) is type(like) and len(actual) == len(like) and all(
        map(is_like, actual, like))


def check_like(who: str, what: str, actual: Tree, like: Tree) -> None:
    """Raise unless `actual` has the structure, shapes and dtypes of `like`."""
    got, want = dict(leaves(actual)), dict(leaves(like))
    if got.keys() != want.keys():
        raise ShapeError(who, f"{what} holds {sorted(got) or 'nothing'}, expected {sorted(want) or 'nothing'}")
    for path, a in want.items():
        name = f"{what}.{path}" if path else what
        check_floating(who, name, got[path], a.dtype)
        if got[path].shape != a.shape:
            raise ShapeError(who, f"{name} has shape {got[path].shape}, expected {a.shape}",
                             axes=f"{name} is a gradient of the array of that shape")


def infer_sizes(who: str, x: Any, lead: str, m: Any) -> tuple[dict, tuple, list, Any]:
    """The sizes of an input x of the map `m`: of every axis, the rows, the axes of space of the result, and n_in.

    x may be an `ArraySpec`, or a tuple where the map has an item for each: I0, I1, ...
    """
    if not m.n_items:
        seen = check_input(who, x, " ".join([lead, *"XYZ"[:m.space], "I"]))
        extent = tuple(x.shape[-1 - m.space:-1])
        places = m.output_extent(extent) if extent else ()
        axes = [a + "'" * (n != seen[a].n) for a, n in zip("XYZ", places)]
        seen |= {a: Size(n, f"places left of {seen[a[0]].n}") for a, n in zip(axes, places) if a not in seen}
        return seen, x.shape[:len(lead.split())], axes, x.shape[-1]
    if not isinstance(x, tuple) or isinstance(x, ArraySpec) or len(x) != m.n_items:
        raise ShapeError(who, f"x is {describe_type(x)}, expected a tuple of {m.n_items} arrays")
    seen = {}
    for k, item in enumerate(x):
        seen = check_input(who, item, f"{lead} I{k}", f"x.{k}", x[0].dtype if k else None) | seen
        expect(who, f"x.{k}", item, f"{lead} I{k}", seen)
    return seen, x[0].shape[:-1], [], tuple(item.shape[-1] for item in x)


def check_input_fits(cell: Any, p: Any, x: Any, seen: dict, dtype: Any) -> None:
    """Raise an error about x where parameters that agree with each other do not fit it."""
    if not isinstance(p, dict) or isinstance(x, ArraySpec):
        return
    arrays = {name: a for name, a in p.items() if hasattr(a, "dtype") and is_floating(a.dtype)}
    dtypes = {a.dtype for a in arrays.values()}
    if len(dtypes) == 1 and not dtypes & {dtype} and not (dtype.itemsize == 2 and {d.itemsize for d in dtypes} == {4}):
        wanted, = dtypes
        raise DtypeError(cell.name, f"x has dtype {dtype}, expected {wanted} as the parameters have",
                         fix=f'convert it: x.astype("{wanted}")')
    widths = {a.shape[0]: name for name, a in arrays.items()
              if (axes := cell.axes().get(name, "").split())[:1] == ["I"] and len(axes) == a.ndim == 2
              and axes[1] == "G" and a.shape[1] % len(cell.gates) == 0}
    if len(widths) == 1 and 0 not in widths and "I" in seen and seen["I"].n not in widths:
        (n, name), = widths.items()
        if p[name].shape != (p[name].shape[1], seen["I"].n) and seen["I"].n != p[name].shape[1]:
            raise ShapeError(cell.name, f"x has shape {tuple(x.shape)}, expected {n} inputs on its last axis",
                             axes=f"I = {n} (from {name}, shape {tuple(p[name].shape)})")


def check_input(who: str, x: Any, axes: str, name: str = "x", dtype: Any = None) -> dict[str, Size]:
    """The size of every axis of x, an array or an `ArraySpec`; raise unless it has these axes and a floating dtype."""
    name = x.name if isinstance(x, ArraySpec) else name
    check_floating(who, name, x, dtype)
    if len(x.shape) != len(axes.split()):
        raise ShapeError(who, f"{name} has shape {tuple(x.shape)}, expected {len(axes.split())} axes",
                         axes=f'{name} is "{axes}"')
    return {letter: Size(n, f"from {name}, shape {tuple(x.shape)}") for letter, n in zip(axes.split(), x.shape)}


def check_state(cell: Any, s: Any, dtype: Any, places: Sequence[str] = ()) -> Size:
    """The number of units: the width of the last array of the state, whose structure and dtypes are checked."""
    widths = cell.rule.widths
    if getattr(s, "_fields", None) != tuple(widths):
        raise ShapeError(cell.name, f"the state is {describe_type(s)}, expected the named tuple "
                                    f"{cell.rule.State.__name__}({', '.join(widths)})",
                         fix=f"cell.rule.State({', '.join(widths)}); cell.zeros(batch, units) is the zero state")
    for (field, width), a in zip(widths.items(), s):
        check_floating(cell.name, f"state.{field}", a, dtype)
        axes = ["B", *places, width]
        if len(a.shape) != len(axes):
            raise ShapeError(cell.name, f"state.{field} has shape {tuple(a.shape)}, expected {len(axes)} axes",
                             axes=f'state.{field} is "{" ".join(axes)}"')
    return Size(a.shape[-1], f"from state.{field}, shape {tuple(a.shape)}")
