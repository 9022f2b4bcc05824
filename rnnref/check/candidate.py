"""The interface of everything that can be verified: a candidate and its reference, on one set of named arrays.

    arrays      x, the initial states and every weight, under the candidate's own names and in its own layout
    Evaluation  results by name, and the backward pass: {result: gradient} -> {"d" + name: gradient}

A new kind of candidate is a subclass of `Candidate`; budgets, verdicts and findings need nothing else.
"""
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import ShapeError, check_option
from ..interop.layouts import Layout
from ..interop.places import arrays_of
from ..tree import Tree

OUTPUT, STATE, GRADIENT = "outputs", "states", "gradients"


Watch = Callable[[Iterable, str], Iterable]       # (iterable, what) -> the iterable, with a progress bar perhaps


def _show_nothing(steps: Iterable, what: str) -> Iterable:
    return steps


class Evaluation(NamedTuple):
    """What a candidate or its reference computes."""
    results: dict[str, Array]
    back: Callable | None = None                  # None: there is no backward pass
    given: Callable | None = None                 # () -> the candidate's arguments as they are now, by name ...
    expected: tuple[str, ...] = ()                # ... and the names that they must still have


class Axis(NamedTuple):
    """One axis of an array: "unit" for H.  With labels it consists of blocks: gates, directions or layers."""
    word: str
    labels: tuple[str, ...] = ()
    kind: str = ""                                # what the labels name: "gate", or nothing
    sizes: tuple[int, ...] = ()                   # of the blocks, where they are not equal

    def describe(self, n: int, size: int) -> tuple[str, str]:
        """The block and the position in it, ("gate f", "unit 3"); either may be empty."""
        if not self.labels:
            return ("", f"{self.word} {n}") if self.word != "t" else (f"t={n}", "")
        ends = self.find_ends(size)
        block = next((k for k, end in enumerate(ends) if n < end), len(ends) - 1)
        rest = n - ([0] + ends)[block]
        return " ".join(filter(None, (self.kind, self.labels[block]))), self.word and f"{self.word} {rest}"

    def find_ends(self, size: int) -> list[int]:
        """Where the blocks end."""
        sizes = self.sizes or (size // len(self.labels),) * len(self.labels)
        return [int(n) for n in numpy.cumsum(sizes)]

    def find_blocks(self, mask: Array, k: int) -> list[str]:
        """The labels of the blocks in which `mask`, of which this is axis k, is True anywhere."""
        blocks = numpy.split(numpy.moveaxis(mask, k, 0), self.find_ends(mask.shape[k])[:-1]) if self.labels else []
        return [label for label, block in zip(self.labels, blocks) if block.any()]


class ArrayDescription(NamedTuple):
    """The group and the axes of an array, and the order in which its entries are computed."""
    group: str                                    # OUTPUT, STATE or GRADIENT
    axes: tuple[Axis, ...] = ()
    step: Any = 0                                 # the step that computes an entry; broadcast over the array

    def describe(self, index: tuple[int, ...], shape: tuple[int, ...]) -> str:
        """An entry in words: "t=3, backward, row 1, unit 4"."""
        if len(self.axes) != len(shape):          # an output of a whole model: its axes are not known
            return f"at [{', '.join(map(str, index))}]"
        blocks, rest = zip(*(axis.describe(int(n), size) for axis, n, size in zip(self.axes, index, shape)))
        time_first = sorted(blocks, key=lambda word: not word.startswith("t="))
        return ", ".join(filter(None, (*time_first, *rest)))

    @property
    def time(self) -> int | None:
        """The number of the axis of time, or None."""
        return next((k for k, axis in enumerate(self.axes) if axis.word == "t"), None)

    @property
    def batch(self) -> int | None:
        """The number of the axis of rows, the batch, or None."""
        return next((k for k, axis in enumerate(self.axes) if axis.word == "row"), None)

    @property
    def unit(self) -> int | None:
        """The number of the axis of units, of gates and units, or None."""
        return next((k for k, axis in enumerate(self.axes) if axis.word == "unit"), None)

    @property
    def row(self) -> int:
        """The number of the axis of rows, where there is one."""
        return next(k for k, axis in enumerate(self.axes) if axis.word == "row")


class DirectedCell(NamedTuple):
    """A cell of the reference, in one direction."""
    cell: Any
    p: Tree
    gates: str = ""                               # the order of the gate blocks in the candidate's arrays; "": ours
    label: str = ""                               # "layer 1, backward", if there are several


class Direction(NamedTuple):
    """What one direction of a layer was given, and what it returned."""
    x: Array                                      # [T, B, I]
    y: Array                                      # [T, B, H]
    first: tuple[Array, ...]                      # the initial state: h, and c of an LSTM; () if it is zero
    reverse: bool


class Chain(NamedTuple):
    """The cells of a reference, what each was given before its first step, and its output after its last one."""
    x: Array                                      # [T, B, I]
    below: tuple[tuple[int, ...], ...]            # the cells whose outputs are the input of each; () is x
    first: list[tuple[Array, ...]]                # the initial states, as in `Direction`
    last: list[Array]                             # [B, H]
    reverse: list[bool]


@dataclass
class Candidate:
    """A candidate and its reference on one set of arrays."""
    title: str
    arrays: dict[str, Array]                      # all of one floating dtype
    x: str = "x"                                  # the name of the sequence in `arrays` ...
    time: int = 0                                 # ... and its axis of time; the batch is axis 1 - time
    lengths: Any = None                           # [B], or None
    mask: Any = None                              # [T, B] bool in place of lengths: False at steps without effect
    biases: tuple[str, ...] = ()                  # the names of biases in `arrays`
    initial: tuple[str, ...] = ()                 # the names of initial states in `arrays` that can be left out
    start: str = ""                               # in words: why `initial` is empty
    settable: bool = False                        # True if the candidate computes with the weights in `arrays`
    backwards: bool = False                       # True if it reads the sequence from its end
    carried: str = ""                             # the initial state, if outputs are all of the state ...
    zero_carried: Any = None                      # ... and that state, all zero
    facts: dict[str, Any] = field(default_factory=dict)
    lengths_name: str = "lengths"                 # under which the candidate takes them
    watch: Watch = _show_nothing                  # shows progress where a check takes long
    ulps: float = 4.0                             # the least budget
    relative: bool = True                         # True if results far below 1 are as precise as others, for their size
    variants: tuple[dict, ...] = ({}, {"paths": ("plain", "bidirectional"), "kernels": False})  # options of `run`

    def run_reference(self, arrays: dict[str, Array], **options: Any) -> Evaluation:
        """The reference on these arrays, in their dtype; `options` are those of `run_rounded`."""
        raise NotImplementedError

    def run_candidate(self, arrays: dict[str, Array]) -> Evaluation:
        """The candidate on these arrays; a `RefusalError` or any other exception becomes a row "refused"."""
        raise NotImplementedError

    def run_inference(self, arrays: dict[str, Array]) -> dict[str, Array] | None:
        """The results as the candidate computes them where no gradients are wanted; None: there is no other way."""
        return None

    def describe_arrays(self) -> dict[str, ArrayDescription]:
        """The descriptions of all results, and of the gradient "d" + name of everything in `arrays`."""
        raise NotImplementedError

    @cached_property
    def descriptions(self) -> dict[str, ArrayDescription]:
        """`describe_arrays()`, computed once."""
        return self.describe_arrays()

    @property
    def dtype(self) -> numpy.dtype:
        """The dtype of the arrays."""
        return self.arrays[self.x].dtype

    def expected_dtype(self, name: str) -> numpy.dtype:
        """The dtype that a result or gradient must have."""
        return self.dtype

    @property
    def size(self) -> tuple[int, int]:
        """(T, B)."""
        shape = self.arrays[self.x].shape
        return shape[self.time], shape[1 - self.time]

    @property
    def longest_sum(self) -> int:
        """The largest number of products in a sum: over inputs or units, or an eighth of all rows and steps.

        Sums over rows and steps begin anew in each block of a matrix product.
        """
        T, B = self.size
        joined = [self.arrays[name[1:]].shape[k] for name, d in self.descriptions.items() if name[1:] in self.arrays
                  for k, axis in enumerate(d.axes) if axis.word in ("input", AXIS_WORDS["H"])]
        return max(T * B // 8, *joined, 1)

    def redraw(self, rng: numpy.random.Generator, start: bool = False) -> "Candidate":
        """The same candidate on other numbers; without `start` no initial state that can be left out."""
        fixed = () if self.settable else self.arrays.keys() - {self.x, *self.initial}
        arrays = {name: a if name in fixed else _redraw(a, rng, shuffled=name in (self.x, *self.initial))
                  for name, a in self.arrays.items() if start or name not in self.initial}
        return replace(self, arrays=arrays)

    def gate_values(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """The values [B, U] of the gates at the first step by name, if the reference is one cell; else nothing."""
        return {}

    def list_cells(self) -> list["DirectedCell"]:
        """The cells of the reference with their parameters, layer by layer; [] if it is no chain of cells."""
        return []

    def replace_cells(self, cells: list["DirectedCell"]) -> "Candidate":
        """The same candidate beside another reference: these cells in the place of `list_cells()`."""
        raise NotImplementedError

    def compute_with(self, cells: list["DirectedCell"]) -> "Candidate":
        """The same candidate beside a reference that computes with these cells, of the same weights and equations."""
        return self.replace_cells(cells)

    def list_directions(self, results: dict[str, Array]) -> list["Direction"]:
        """What every direction was given and returned, if the reference is one layer and all outputs are known."""
        return []

    def describe_chain(self, results: dict[str, Array]) -> Chain | None:
        """All cells of `list_cells()` and their last outputs; None where these are not known."""
        return None

    def read_forwards(self, layer: int | None) -> "Candidate | None":
        """The same candidate beside a reference whose backward direction reads forwards, in one layer or in all."""
        return None

    def list_own_misuses(self) -> list:
        """Entries of the table of misuses that only this kind of candidate can have."""
        return []

    def pick_row(self, b: int) -> "Candidate":
        """The same candidate on one row of the batch."""
        picked = {}
        for name, a in self.arrays.items():
            d = self.descriptions.get(f"d{name}")
            axis = 1 - self.time if name == self.x else None if d is None else d.batch
            picked[name] = a if axis is None else numpy.take(a, [b], axis)
        return replace(self, arrays=picked, lengths=None if self.lengths is None else numpy.asarray(self.lengths)[[b]],
                       mask=None if self.mask is None else self.mask[:, [b]])

    def truncate(self, steps: int) -> "Candidate":
        """The same candidate on the first steps that it reads only."""
        T = self.size[0]
        kept = slice(T - steps, T) if self.backwards else slice(0, steps)
        x = self.arrays[self.x][(slice(None),) * self.time + (kept,)]
        lengths = self.lengths
        if lengths is not None:
            lengths = numpy.clip(numpy.asarray(lengths) - (T - steps if self.backwards else 0), 0, steps)
        return replace(self, arrays=self.arrays | {self.x: x}, lengths=lengths,
                       mask=None if self.mask is None else self.mask[kept])

    def padding_mask(self) -> Array | None:
        """[T, B] bool, True in the padding; None without lengths and mask."""
        if self.mask is not None:
            return ~self.mask
        if self.lengths is None:
            return None
        return numpy.arange(self.size[0])[:, None] >= numpy.asarray(self.lengths)


def _redraw(a: Array, rng: numpy.random.Generator, shuffled: bool) -> Array:
    """Other numbers of about the same size, in another order if `shuffled`."""
    if not a.any():
        return a if not shuffled else draw_normal(rng, a.shape, a.dtype)
    return ((rng.permuted(a) if shuffled else a) * rng.uniform(0.8, 1.0, a.shape)).astype(a.dtype)


def step_order(T: int, backwards: bool = False) -> Array:
    """The number of the step that computes each timestep."""
    return numpy.arange(T)[::-1] if backwards else numpy.arange(T)


def draw_normal(rng: numpy.random.Generator, shape: tuple[int, ...], dtype: Any, scale: float = 1.0) -> Array:
    """Normally distributed numbers of this shape and dtype."""
    return (scale * rng.standard_normal(shape)).astype(dtype)


def is_shape(x: Any) -> bool:
    """True for a tuple of integers, which stands for an array of that shape to be drawn."""
    return isinstance(x, tuple) and all(isinstance(n, (int, numpy.integer)) for n in x)


def make_array(x: Any, rng: numpy.random.Generator, dtype: Any) -> Array:
    """An input as an array: as given, or random numbers for a tuple of integers, its shape."""
    if not is_shape(x):
        return numpy.asarray(x)
    if min(x, default=0) < 0:
        raise ShapeError("verify", f"the shape {x} of the inputs has a size below zero")
    return draw_normal(rng, x, dtype)


def is_option(value: Any, option: str) -> bool:
    """True if the value is this string."""
    return isinstance(value, str) and value == option


def check_start(initial_state: str) -> str:
    """The option `initial_state`, if it is known."""
    return check_option("verify", "initial_state", initial_state, ("both", "random", "zero"))


def describe_start(states: Any, initial_state: Any) -> str:
    """In words, from which initial states a candidate is run that is always run in the same way."""
    if not isinstance(initial_state, str):
        return "as given"
    return "random" if states else "none is given"


AXIS_WORDS = {"I": "input", "H": "from unit", "U": "unit"}


def describe_gradient(layout: Layout, name: str, space: int = 0) -> ArrayDescription:
    """The description of the gradient of a framework's weight, from its row in the layout.

    space   the number of axes of space of a kernel
    """
    row, axes = arrays_of(layout)[name], []
    gates = () if "{g}" in row.theirs else tuple(row.gates or layout.gates)
    for word in row.axes.split():
        if word == "G":
            axes.append(Axis("unit", gates if len(gates) > 1 else (), "gate"))
        elif word == "G+G":
            labels = [f"{side} bias, {g}" if len(gates) > 1 else f"{side} bias" for side in ("input", "recurrent")
                      for g in gates]
            axes.append(Axis("unit", tuple(labels)))
        elif word == "S":
            axes += [Axis("tap")] * space
        elif word == "2":
            axes.append(Axis("", ("input bias", "recurrent bias")))
        else:
            axes.append(Axis("direction" if word == "1" else AXIS_WORDS.get(word, word)))
    return ArrayDescription(GRADIENT, tuple(axes))
