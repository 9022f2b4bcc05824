"""Random inputs of an ONNX model for those that are not given.

Sizes of open axes: one for each name; those of X, the initial states and the lengths of a recurrent node are tied.
Integers: token ids below the number of rows of the table that they index, one of the constants that they are compared
with, lengths between 1 and the number of steps.  Where a model refuses the sizes, others are tried.
"""
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from ..arrays import Array
from ..errors import Error, NotSupported, ShapeError, import_optional
from .candidate import is_shape
from .onnx_engines import EndlessRun, RefusalError
from .onnx_graphs import QUANTIZED_LSTM, RECURRENT, Constants, Node, required_inputs, walk_nodes
from .onnx_sizes import MOST_ENTRIES

_SIZES = (6, 4, 3, 5, 7)                          # of axes that the model leaves open, in the order in which they occur
_LONG = (6, 32, 160, 576, 1024, 4096, 16000)      # the sizes tried of one axis, while the others are small
_SMALL = (2, 1)
_WIDEST, _WIDTHS = 4096, 24                       # sizes of weights that are tried, and how many of them
_FITTING = 8                                      # how many sizes that the model takes are tried for more steps
_MADE_BY = ("Cast", "Identity", "DequantizeLinear", "Neg", "Abs", "Relu")        # a table of as many rows
_MOVED_BY = ("Cast", "Identity", "Unsqueeze", "Squeeze", "Reshape", "Transpose", "Slice", "Flatten", "Concat", "Expand",
             "Split", "Gather", "Add", "Sub", "Where", "Clip", "Min", "Tile", "Pad")    # integers, still indices
_INDEX_OPS = ("Gather", "GatherElements", "GatherND")


class Meaning(NamedTuple):
    """What the integers of an input may be: from `low` to `high`, or one of `values`."""
    words: str = "0 or 1, since the model does not say what they mean"
    low: int = 0
    high: int = 1
    values: tuple[int, ...] = ()
    of_steps: bool = False                        # lengths, between 1 and the number of steps


def complete_inputs(model: Any, given: dict[str, Any], rng: np.random.Generator, run: Callable | None = None,
                    enough: Callable | None = None) -> tuple[dict[str, Any], dict[str, str]]:
    """All inputs of a model by name, and in words how those were drawn that are not given.

    given   arrays, or tuples of integers: shapes
    run     inputs -> values by name; a `RefusalError` makes other sizes be tried
    enough  values -> False if other sizes should be tried as well: too few steps show nothing
    """
    types = required_inputs(model)
    all_names = [a.name for a in model.graph.input]
    unknown = [name for name in given if name not in all_names]
    if unknown:
        raise ShapeError("verify", f"{', '.join(unknown)}: not an input of the model", inputs=" ".join(types))
    missing = [name for name in types if name not in given or is_shape(given[name])]
    fixed = {name: a if isinstance(a, list) else np.asarray(a) for name, a in given.items() if name not in missing}
    drawing = _Drawing(model, {name: types[name] for name in types if name in missing}, fixed,
                       {name: shape for name, shape in given.items() if is_shape(shape)}, types)
    refusal, state, fitting, chosen = "", rng.bit_generator.state, [], 0
    for sizes in drawing.propose_sizes():
        rng.bit_generator.state = state
        inputs = fixed | drawing.draw(sizes, rng)
        try:
            values = run(inputs) if run is not None else {}
        except RefusalError as e:
            refusal = refusal or str(e)
            if isinstance(e, EndlessRun):
                break
            continue
        fitting.append(inputs)
        if enough is None or enough(values):
            chosen = -1
            break
        if len(fitting) == _FITTING:
            break
    if fitting:
        inputs = fitting[chosen]
        return {name: inputs[name] for name in [*types, *(n for n in inputs if n not in types)]}, drawing.words
    first = fixed | drawing.draw(next(drawing.propose_sizes()), rng)
    shapes = ", ".join(f"{n} {np.shape(a)}" for n, a in first.items() if not isinstance(a, list))
    raise Error("verify", f"the model cannot be run on the inputs {' '.join(types)}", tried=shapes,
                reason=refusal, fix="give shapes: --shapes NAME=1x160, or arrays: --inputs F.npz" if missing else "")


class _Drawing:
    """The inputs to draw of one model."""

    def __init__(self, model: Any, missing: dict[str, Any], fixed: dict[str, Any], shapes: dict[str, tuple],
                 types: dict[str, Any]) -> None:
        self._missing, self._fixed = missing, fixed
        self._nodes = list(walk_nodes(model.graph))
        self._meanings = _find_meanings(model, self._nodes, missing)
        self._constants = Constants(model)
        self._axes = {name: _axes_of(name, type_) for name, type_ in types.items()}
        self._read_weights()
        self._tie_states()
        for name, axes in self._axes.items():
            shape = np.shape(fixed[name]) if name in fixed and not isinstance(fixed[name], list) else shapes.get(name)
            if shape is not None:
                self._bind(name, axes, tuple(shape))
        odd = [f"{name} ({_kind_of(type_)})" for name, type_ in missing.items() if not _is_drawable(type_)]
        if odd:
            raise NotSupported("verify", f"random numbers for the inputs {', '.join(odd)}",
                               fix="give them: --inputs F.npz")
        self.words = {name: meaning.words for name, meaning in self._meanings.items()}

    def _read_weights(self) -> None:
        """Give the axes of X and the states the sizes that the weights W and R of their node have."""
        for node in self._nodes:
            read = node.proto.input
            for k, weight in ((0, 1), (5, 2), (6, 2)) if node.proto.op_type in RECURRENT else ():
                axes, shape = self._axes.get(read[k]) if len(read) > k else None, self._constants.shape(read[weight])
                if axes is not None and shape and len(shape) == 3:
                    axes[:] = axes or [f"{read[k]}.{n}" for n in range(3)]          # of no declared rank
                    if len(axes) == 3 and not isinstance(axes[2], int):
                        self._replace({axes[2]: shape[2]})

    def _replace(self, sizes: dict[str, Any]) -> None:
        """Put sizes, or other names, in the place of names of axes."""
        for axes in self._axes.values():
            axes[:] = [sizes.get(a, a) if isinstance(a, str) else a for a in axes]

    def _tie_states(self) -> None:
        """Give one name to the open axes of X, the lengths and the initial states of one node."""
        for node in self._nodes:
            if node.proto.op_type not in RECURRENT:
                continue
            batch_first = any(a.name == "layout" and a.i for a in node.proto.attribute)
            places = {0: 0 if batch_first else 1, 4: 0, 5: 0 if batch_first else 1, 6: 0 if batch_first else 1}
            tied = [(self._axes[name], places[k]) for k, name in enumerate(node.proto.input)
                    if k in places and len(self._axes.get(name) or ()) > places[k]]
            here = [axes[k] for axes, k in tied]
            known = next((a for a in here if isinstance(a, int)), here[0] if here else 0)
            olds = [a for a in here if not isinstance(a, int)]
            self._replace(dict.fromkeys(olds, known))

    def _bind(self, name: str, axes: list, shape: tuple[int, ...]) -> None:
        """Fix the open axes of an input whose shape is known, and those of other inputs that have their names."""
        if min(shape, default=0) < 0 or name in self._missing and int(np.prod(shape, dtype=object)) > MOST_ENTRIES:
            raise ShapeError("verify", f"the shape {shape} of the input {name}",
                             fix=f"at most {MOST_ENTRIES:,} entries")
        sizes = {a: n for a, n in zip(axes, shape) if not isinstance(a, int)}
        self._replace(sizes)
        self._axes[name] = list(shape)

    def propose_sizes(self) -> Iterator[dict[str, int]]:
        """Sizes of all open axes by name: different ones first, which tell axes apart."""
        names = list(dict.fromkeys(a for axes in self._axes.values() for a in axes if not isinstance(a, int)))
        yield {name: _SIZES[k % len(_SIZES)] for k, name in enumerate(names)}
        if not names:
            return
        known = sorted({a for axes in self._axes.values() for a in axes if isinstance(a, int)} | {1, 2, 4})
        yield from ({name: n for name in names} for n in known if n <= 1024)
        widths = sorted({n for shape in self._constants.shapes() if len(shape) == 2 for n in shape if n <= _WIDEST})
        for size, small, long in product(widths[:_WIDTHS], _SMALL, names[::-1]):
            yield {name: size if name == long else small for name in names}
        for size, small, long in product(_LONG, _SMALL, names[::-1]):
            yield {name: size if name == long else small for name in names}

    def draw(self, sizes: dict[str, int], rng: np.random.Generator) -> dict[str, Any]:
        """Arrays of these sizes."""
        shapes = {name: tuple(a if isinstance(a, int) else sizes[a] for a in axes) for name, axes in self._axes.items()}
        steps = [n for name, shape in shapes.items() if len(shape) > 1 for n in shape[:2]]
        drawn = {}
        for name, type_ in self._missing.items():
            if int(np.prod(shapes[name], dtype=object)) > MOST_ENTRIES:
                raise ShapeError("verify", f"the input {name} has the shape {shapes[name]}",
                                 fix="give it: --inputs F.npz")
            lengths = self._meanings.get(name, Meaning()).of_steps
            last = self._steps_of(name, shapes) or min(steps, default=1)
            one = (lambda: _make_lengths(shapes[name], last, _dtype_of(type_))) if lengths else \
                (lambda: _draw(rng, shapes[name], _dtype_of(type_), self._meanings.get(name)))
            drawn[name] = [one(), one()] if type_.HasField("sequence_type") else one()
        return drawn

    def _steps_of(self, lengths: str, shapes: dict[str, tuple[int, ...]]) -> int:
        """The number of steps of an input X whose lengths these are; 0 if X is no input of the model."""
        return next((shapes[node.proto.input[0]][0] for node in self._nodes if node.proto.op_type in RECURRENT
                     and lengths in node.proto.input[4:5] and len(shapes.get(node.proto.input[0], ())) == 3), 0)


def _tensor_type(type_: Any) -> Any:
    return type_.sequence_type.elem_type.tensor_type if type_.HasField("sequence_type") else type_.tensor_type


def _dtype_of(type_: Any) -> np.dtype:
    onnx = import_optional("onnx", "verify", "verify")
    return onnx.helper.tensor_dtype_to_np_dtype(_tensor_type(type_).elem_type)


def _kind_of(type_: Any) -> str:
    return str(_dtype_of(type_)) if _tensor_type(type_).elem_type else str(type_.WhichOneof("value"))


def _is_drawable(type_: Any) -> bool:
    return bool(_tensor_type(type_).elem_type) and _dtype_of(type_).kind in "fiub"


def _axes_of(name: str, type_: Any) -> list:
    """The size of every axis, or the name of one that is open."""
    return [axis.dim_value if axis.dim_value > 0 else axis.dim_param or f"{name}.{k}"
            for k, axis in enumerate(_tensor_type(type_).shape.dim)]


def _draw(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, meaning: Meaning | None) -> Array:
    if dtype.kind == "f":
        return np.asarray(rng.standard_normal(shape)).astype(dtype)
    meaning = meaning or Meaning()
    if dtype.kind == "b":
        return np.ones(shape, bool)
    if meaning.values:
        return np.full(shape, meaning.values[0], dtype)
    return rng.integers(meaning.low, meaning.high + 1, shape).astype(dtype)


def _make_lengths(shape: tuple[int, ...], last: int, dtype: np.dtype) -> Array:
    """Lengths of all steps, two fewer, ..., at least 1."""
    return np.maximum(1, last - 2 * np.arange(int(np.prod(shape)))).reshape(shape).astype(dtype)


def _find_meanings(model: Any, nodes: list[Node], missing: dict[str, Any]) -> dict[str, Meaning]:
    """The meaning of every integer input that is to be drawn."""
    names = [name for name, type_ in missing.items() if _is_drawable(type_) and _dtype_of(type_).kind in "iu"]
    if not names:
        return {}
    readers = defaultdict(list)
    for node in nodes:
        for k, name in enumerate(node.proto.input):
            readers[node.aliases.get(name, name)].append((node, k))
    rows = _Rows(model, nodes)
    return {name: _find_meaning(name, readers, rows) for name in names}


def _find_meaning(name: str, readers: dict[str, list], rows: "_Rows") -> Meaning:
    """What the nodes say that read an input, directly or through nodes that only move its entries."""
    seen, queue, found = {name}, [name], []
    while queue:
        for node, k in readers[queue.pop(0)]:
            found += _meaning_at(node, k, rows)
            if node.proto.op_type in _MOVED_BY and not (node.proto.op_type in _INDEX_OPS and k == 1):
                fresh = [n for n in node.proto.output if n and n not in seen]
                seen, queue = seen | set(fresh), queue + fresh
    lengths = [m for m in found if m.of_steps]
    values = [m for m in found if m.values]
    if lengths or values:
        return (lengths or values)[0]
    return min(found, key=lambda m: m.high) if found else Meaning()


def _meaning_at(node: Node, k: int, rows: "_Rows") -> list[Meaning]:
    """What one node says of its k-th input."""
    op, proto = node.proto.op_type, node.proto
    if op in RECURRENT + (QUANTIZED_LSTM,) and k == 4:
        return [Meaning("lengths", of_steps=True)]
    if op in _INDEX_OPS and k == 1:
        axis = next((a.i for a in proto.attribute if a.name == "axis"), 0)
        n = rows.count(node.aliases.get(proto.input[0], proto.input[0]), axis)
        return [Meaning(f"rows of {proto.input[0]}, 0 to {n - 1}", high=n - 1)] if n else []
    if op == "OneHot" and k == 0:
        return [Meaning("classes", high=depth - 1) for depth in rows.constants.get_integers(proto.input[1])[:1]]
    if op == "Loop" and k == 0:
        return [Meaning("3 iterations", values=(3,))]
    values = rows.constants.get_integers(proto.input[1 - k]) if op == "Equal" else []
    if values:
        return [Meaning(f"{values[0]}, with which it is compared", values=tuple(values))]
    return []


class _Rows:
    """The sizes of the constants of a model, also of those that are cast or dequantised."""

    def __init__(self, model: Any, nodes: list[Node]) -> None:
        self.constants = Constants(model)
        self._makers = {name: node for node in nodes for name in node.proto.output}

    def count(self, name: str, axis: int) -> int:
        """The size of an axis of a constant; 0 if it is not known."""
        for _ in range(8):
            shape = self.constants.shape(name)
            if shape is not None:
                return shape[axis] if -len(shape) <= axis < len(shape) else 0
            maker = self._makers.get(name)
            if maker is None or maker.proto.op_type not in _MADE_BY:
                return 0
            name = maker.aliases.get(maker.proto.input[0], maker.proto.input[0])
        return 0
