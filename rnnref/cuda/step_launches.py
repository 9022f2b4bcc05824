"""Kernel arguments for every step of a loop, prepared before the loop starts.

A step may take a few microseconds on the card, and checking its arrays in Python takes a hundred.  So only the first
step is checked, by the function that launches its kernel; the arguments of all others are the same, with the addresses
of every array that has a time axis moved on.
"""
from typing import Any, Callable, Optional, Sequence

import numpy

from ..arrays import Array
from ..errors import Error
from .devices import geometry
from .launch import LaunchArrays, as_bytes, compile_kernel, pack_arguments


def prepare_launches(f: Callable, order: Sequence[int], live: Optional[Array], inputs: dict, out: dict
                     ) -> Callable[[int], None]:
    """A function of t that launches what f(..., live=, out=, launch=) launches, for every step t of `order`.

    inputs, out: the arguments and the results of f, {name: (an array with a time axis, the index of the first step in
    it)} with the names of the kernel's struct.  An array of fewer steps is used cyclically; None is left out.
    """
    launches, first = StepLaunches(), order[0]
    f(**_select_step(inputs), live=None if live is None else live[first], out=_select_step(out), launch=launches.record)
    return launches.fill(len(order), first, {name: a for name, (a, _) in (inputs | out).items()} | {"live": live})


def _select_step(arrays: dict) -> dict:
    return {name: a[k % len(a)] for name, (a, k) in arrays.items() if a is not None}


def as_constant(a: Array) -> tuple[Array, int]:
    """An array that is the same at every step, in the form of `prepare_launches`."""
    return a.reshape(1, *a.shape), 0              # a[None] would have no stride


class StepLaunches:
    """The launches of one kernel, one for each step.

    `record` takes the place of `launch` for the first step; `fill` then makes the launches of all steps.
    """
    kernel: Any
    arrays: LaunchArrays
    first: Array

    def record(self, kernel: Any, arrays: LaunchArrays, fields: tuple = (), options: tuple = ()) -> None:
        """Keep what `launch` would launch."""
        self.kernel, self.arrays = kernel, arrays
        self.first = pack_arguments(kernel, arrays, fields, options)

    def fill(self, steps: int, first: int, moving: dict) -> Callable[[int], None]:
        """A function of t that launches step t.

        moving: {field of the struct: an array with a time axis}; `first` is the step that was recorded.
        """
        if not (self.arrays.rows and self.arrays.n):
            return lambda t: None
        table = numpy.repeat(self.first.reshape(1), steps)
        for name, a in moving.items():
            part = table["to"] if name == "live" else table
            if a is not None and part[name][0]:
                part[name] = step_addresses(a, steps, find_step(name, a, int(part[name][0])) - first)
        table, arrays = as_bytes(table), self.arrays
        args = [(table[t:t + 1].reshape(()),) for t in range(steps)]
        run, (grid, block) = compile_kernel(self.kernel), geometry(arrays.rows, arrays.n)

        def launch(t: int, held: Any = arrays) -> None:      # arrays must live as long as launches with their addresses
            run(grid, block, args[t])
        return launch


def find_step(name: str, a: Array, address: int) -> int:
    """The index k for which a[k] lies at that address."""
    k, offset = divmod(address - a.data.ptr, a.strides[0])
    if offset or not 0 <= k < len(a):
        raise Error("stepped", f"{name} of the first step is a copy: the steps after it cannot be found",
                    fix="please report it")
    return k


def step_addresses(a: Array, steps: int, shift: int = 0) -> list[int]:
    """The addresses of a[t + shift] for every step t, cyclically where the array has fewer steps."""
    first, count, size = a.data.ptr, len(a), a.strides[0]
    return [first + (t + shift) % count * size for t in range(steps)]
