"""What is checked: a candidate and its reference, two functions from the same named arrays to the same named results.

    given   x, the first states and every weight, by the candidate's own names and in its own layout
    answer  results by name, and the way back: {result: gradient} -> {"d" + name: gradient}

Whoever brings a new kind of candidate writes a `Subject`; budgets, verdicts and sentences come by themselves.
(floor 10)
"""
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy

OUTPUT, STATE, GRADIENT = "outputs", "states", "gradients"


class Evaluation(NamedTuple):
    results: dict                                 # name -> array
    back: Any = None                              # None: no gradients are to be had


class Axis(NamedTuple):
    """"unit" of the axis of H; with labels the axis is as many blocks end to end: gates, directions, layers."""
    word: str
    labels: tuple = ()
    what: str = ""                                # of the labels: "gate", or nothing

    def describe(self, n, size):
        """("gate f", "unit 3"): the block, and where in it; "" where there is nothing to say."""
        if not self.labels:
            return ("", f"{self.word} {n}") if self.word != "t" else (f"t={n}", "")
        block, rest = divmod(n, max(1, size // len(self.labels)))
        return " ".join(filter(None, (self.what, self.labels[block]))), self.word and f"{self.word} {rest}"


class ArrayDescription(NamedTuple):
    """How to speak of an array, and in which order its entries are computed: by `when`, broadcast over it."""
    group: str
    axes: tuple = ()
    step: Any = 0

    def describe(self, index, shape):
        if len(self.axes) != len(shape):          # of this array nothing is known
            return f"at [{', '.join(map(str, index))}]"
        blocks, rest = zip(*(axis.describe(int(n), size) for axis, n, size in zip(self.axes, index, shape)))
        first = sorted(blocks, key=lambda word: not word.startswith("t="))
        return ", ".join(filter(None, (*first, *rest)))

    @property
    def time(self):
        """Which axis is time, or None."""
        return next((k for k, axis in enumerate(self.axes) if axis.word == "t"), None)


@dataclass
class Candidate:
    """A candidate on one set of arrays."""
    title: str
    arrays: dict                                  # all of one floating dtype
    x: str = "x"                                  # which of `given` is the sequence ...
    time: int = 0                                 # ... and which of its axes is time; rows are 1 - time
    lengths: Any = None                           # [B], or None
    biases: tuple = ()                            # those of `given` that are biases
    settable: bool = False                        # whether the candidate computes with the weights that are given
    backwards: bool = False                       # it reads the sequence from its end
    facts: dict = field(default_factory=dict)
    variants: tuple = ({}, {"paths": ("plain", "bidirectional"), "kernels": False})      # ways to run the reference

    def run_reference(self, arrays, **choice):
        """The reference's `Answer`, in the dtype of `given`; `choice` is for `run`."""
        raise NotImplementedError

    def run_candidate(self, arrays):
        """The candidate's `Answer`; `Refused`, or any other exception, is its refusal."""
        raise NotImplementedError

    def describe_arrays(self):
        """name -> `Place`, of results and of "d" + every name in `given`."""
        raise NotImplementedError

    @property
    def dtype(self):
        return self.arrays[self.x].dtype

    @property
    def size(self):
        """(T, B)."""
        shape = self.arrays[self.x].shape
        return shape[self.time], shape[1 - self.time]

    def truncate(self, steps):
        """The same of the first steps that it reads alone."""
        T = self.size[0]
        here = slice(T - steps, T) if self.backwards else slice(0, steps)
        cut = (slice(None),) * self.time + (here,)
        lengths = self.lengths
        if lengths is not None:
            lengths = numpy.clip(numpy.asarray(lengths) - (T - steps if self.backwards else 0), 0, steps)
        return replace(self, arrays=self.arrays | {self.x: self.arrays[self.x][cut]}, lengths=lengths)

    def padding_mask(self):
        """[T, B] bool: the padding; None where there is none."""
        if self.lengths is None:
            return None
        return numpy.arange(self.size[0])[:, None] >= numpy.asarray(self.lengths)


def step_order(T, backwards=False):
    """`when` of the axis of time."""
    return numpy.arange(T)[::-1] if backwards else numpy.arange(T)


def draw_normal(rng, shape, dtype, scale=1.0):
    return (scale * rng.standard_normal(shape)).astype(dtype)


AXIS_WORDS = {"I": "input", "H": "from unit", "U": "unit"}


def describe_gradient(layout, name):
    """The `Place` of the gradient of one of their weights, from its row in the table."""
    row = next(row for row in layout.rows if row.theirs == name)
    gates, axes = tuple(row.gates or layout.gates), []
    for word in row.axes.split():
        if word == "G":
            axes.append(Axis("unit", gates if len(gates) > 1 else (), "gate"))
        elif word == "G+G":
            labels = [f"{side} bias, {g}" if len(gates) > 1 else f"{side} bias" for side in ("input", "recurrent")
                      for g in gates]
            axes.append(Axis("unit", tuple(labels)))
        elif word == "2":
            axes.append(Axis("", ("input bias", "recurrent bias")))
        else:
            axes.append(Axis("direction" if word == "1" else AXIS_WORDS.get(word, word)))
    return ArrayDescription(GRADIENT, tuple(axes))
