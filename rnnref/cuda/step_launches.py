"""Launches of a loop, made ready before it.  (floor 5)

A step may take a few microseconds on the card, and looking at its arrays from Python takes a hundred.  So only the
first step is looked at, by the function that launches its kernel; all others are the same, with every array that has an
axis of time moved on.
"""
import numpy

from ..errors import Error
from .devices import geometry
from .launch import as_bytes, compile_kernel, pack_arguments


def prepare_launches(f, order, live, inputs, out):
    """What f(..., live=, out=, launch=) launches, for every step of `order`: a function of t.

    given: what it takes; out: where its results go.  Both are {name: (an array with an axis of time, where in it the
    first step has its part)}, the names those of the kernel's struct; an array of fewer steps is used in turn, and None
    is not there.
    """
    launches, first = StepLaunches(), order[0]
    f(**_select_step(inputs), live=None if live is None else live[first], out=_select_step(out), launch=launches.record)
    return launches.over(len(order), first, {name: a for name, (a, _) in (inputs | out).items()} | {"live": live})


def _select_step(arrays):
    return {name: a[k % len(a)] for name, (a, k) in arrays.items() if a is not None}


def as_constant(a):
    """What is the same for every step, its numbers end to end."""
    return a.reshape(1, *a.shape), 0               # a[None] would have no stride


class StepLaunches:
    """The launches of one kernel for each step.

    Give `record` to a function in the place of a launch, for one step; `over` then makes those of all steps.
    """

    def record(self, kernel, hold, fields=(), options=()):
        self.kernel, self.hold = kernel, hold
        self.one = pack_arguments(kernel, hold, fields, options)

    def over(self, steps, first, moving):
        """A function of t, the launch of that step.

        moving: {field of the struct: an array with an axis of time}; `first` is the step that was recorded.
        """
        if not (self.hold.rows and self.hold.n):
            return lambda t: None
        table = numpy.repeat(self.one.reshape(1), steps)
        for name, a in moving.items():
            part = table["to"] if name == "live" else table
            if a is not None and part[name][0]:
                part[name] = step_addresses(a, steps, find_step(name, a, int(part[name][0])) - first)
        table, hold = as_bytes(table), self.hold  # whose arrays live as long as the launches
        args = [(table[t:t + 1].reshape(()),) for t in range(steps)]
        run, (grid, block) = compile_kernel(self.kernel), geometry(hold.rows, hold.n)

        def launch(t, held=hold):
            run(grid, block, args[t])
        return launch


def find_step(name, a, address):
    """Which of the arrays in `a` is at that address."""
    k, off = divmod(address - a.data.ptr, a.strides[0])
    if off or not 0 <= k < len(a):
        raise Error("stepped", f"{name} of the first step is a copy: the steps after it cannot be found",
                    fix="please report it")
    return k


def step_addresses(a, steps, shift=0):
    """Where the array of every step begins.  With fewer than there are steps they are used in turn."""
    first, count, size = a.data.ptr, len(a), a.strides[0]
    return [first + (t + shift) % count * size for t in range(steps)]
