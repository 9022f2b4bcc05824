"""Weights of one dtype, end to end in one array, with the slots of an optimizer beside them."""
from typing import Any, Callable, Optional, Sequence

import numpy

from ..arrays import asnumpy, namespace
from ..errors import ShapeError
from ..variables import Variable

Array = Any
ALIGNED = 64                                      # items: a weight starts where vector loads of any width may


class Buffers:
    """Weights w[0] w[1] ... in one array, a segment for each, and arrays of the same form for slots.

    weights    handles of layers, of one dtype and on one device
    slots      {name: what the array is full of at first}
    decays     for each weight 1 or 0: whether it decays
    """

    def __init__(self, weights: Sequence, slots: dict, decays: Sequence[float], owner: str):
        self.weights, self.owner = list(weights), owner
        self.segments, n = [], 0
        for w in weights:
            self.segments.append(slice(n, n + w.size))
            n += -(-w.size // ALIGNED) * ALIGNED
        self.size, self.dtype = n, weights[0].dtype
        xp = namespace(weights[0].data)
        self.slots = {name: xp.full(n, value, self.dtype) for name, value in slots.items()}
        self._names = [name for name in slots if name not in ("average", "gradient_accumulator")]
        self._decays = list(decays)
        self._decay_mask: Any = None
        self._gap = xp.zeros(ALIGNED, self.dtype)
        self._flat: Any = None
        self._views: list = [None] * len(self.weights)
        self._kernels: dict = {}

    def __getstate__(self) -> dict:
        return {**vars(self), "_kernels": {}}     # those of a copy are of its own rule

    def join(self, arrays: Sequence) -> Array:
        """Arrays of the shapes of the weights, None for zeros, as one new array."""
        xp, parts = namespace(self.weights[0].data, *arrays), []
        if namespace(self._gap) is not xp:
            self._gap = xp.zeros(ALIGNED, self.dtype)
        for w, a, part in zip(self.weights, arrays, self.segments):
            if a is not None and a.shape != w.shape:
                raise ShapeError(f"optimizers.{self.owner}", f"the gradient of {w.path} has shape {tuple(a.shape)}, "
                                 f"expected {tuple(w.shape)}")
            a = xp.zeros(w.shape, self.dtype) if a is None else a
            parts += [(a if a.dtype == self.dtype else a.astype(self.dtype)).reshape(-1), self._gap[:-w.size % ALIGNED]]
        return xp.concatenate(parts)

    def gather(self) -> Array:
        """The weights as one array: that of the last update, unless one was assigned since."""
        arrays = [w.data for w in self.weights]
        if any(a is not b for a, b in zip(arrays, self._views)):
            self._flat = self.join(arrays)
            self._follow(namespace(self._flat))
        return self._flat

    def _follow(self, xp: Any) -> None:
        """Move the slots to the device of the weights."""
        for name, a in self.slots.items():
            if namespace(a) is not xp:
                self.slots[name] = xp.asarray(asnumpy(a))
                self._decay_mask = None

    def scatter(self, flat: Array) -> None:
        """Make every weight a view of its segment."""
        self._flat = flat
        self._views = [flat[part].reshape(w.shape) for w, part in zip(self.weights, self.segments)]
        for w, view in zip(self.weights, self._views):
            w.replace(view)

    def update(self, rule: Any, d: Array, numbers: tuple, decay: Optional[float], given: dict) -> None:
        """One step of a rule; weights without a gradient, and their slots, stay."""
        w, xp = self.gather(), namespace(d)
        scalar = self.dtype.type
        old = [w, *(self.slots[name] for name in self._names)]
        decaying = () if decay is None else (scalar(1) - scalar(decay),) if all(self._decays) else (
            self._decay_mask_on(xp), scalar(decay))
        new = self._kernel(rule, xp, len(decaying))(*old, d, *decaying, *(scalar(n) for n in numbers))
        for w, part in zip(self.weights, self.segments):
            if w.key not in given:
                for a, b in zip(new, old):
                    a[part] = b[part]
        self.slots.update(zip(self._names, new[1:]))
        self.scatter(new[0])

    def _decay_mask_on(self, xp: Any) -> Any:
        """1 where weights decay, 0 elsewhere."""
        if self._decay_mask is None:
            self._decay_mask = xp.zeros(self.size, self.dtype)
            for part, decays in zip(self.segments, self._decays):
                self._decay_mask[part] = decays
        return self._decay_mask

    def _kernel(self, rule: Any, xp: Any, decaying: int) -> Callable:
        """update of the rule as a function of arrays and numbers; on a GPU one kernel."""
        if (xp, decaying) not in self._kernels:
            n = 1 + len(self._names)

            def step(*args: Any) -> Any:
                (w, *slots), d, rest = args[:n], args[n], args[n + 1:]
                if decaying:                      # by a number, or by a mask and a number
                    w = w * (rest[0] if decaying == 1 else 1 - rest[0] * rest[1])
                return tuple(rule.update(xp, w, d, *slots, *rest[decaying:]))
            self._kernels[xp, decaying] = step if xp is numpy else xp.fuse(
                kernel_name=f"rnnref_{type(rule).__name__}")(step)
        return self._kernels[xp, decaying]

    def average(self, momentum: float) -> None:
        """average = momentum average + (1 - momentum) w."""
        scalar, average = self.dtype.type, self.slots["average"]
        self.slots["average"] = average * scalar(momentum) + self.gather() * scalar(1 - momentum)

    def constrain(self, given: dict) -> None:
        """Apply the constraints of the weights that have changed."""
        for w in self.weights:
            if w.constraint is not None and w.key in given:
                w.assign(w.constraint(w.data))

    def variable(self, w: Any, name: str) -> "Slot":
        """A slot of one weight."""
        return Slot(self, [a.key for a in self.weights].index(w.key), name)


class Slot(Variable):
    """The array that an optimizer keeps for one weight under a name."""

    def __init__(self, buffers: Buffers, index: int, name: str):
        w = buffers.weights[index]
        self.name = f"{w.path.replace('/', '_')}_{name}"
        self.path = f"{buffers.owner}/{self.name}"
        self.key = (id(buffers), index, name)
        self._buffers, self._index, self._slot, self._new = buffers, index, name, False

    @property
    def data(self) -> Array:
        b = self._buffers
        return b.slots[self._slot][b.segments[self._index]].reshape(b.weights[self._index].shape)

    value = data

    def _put(self, a: Array) -> None:
        b = self._buffers
        flat = b.slots[self._slot]
        flat[b.segments[self._index]] = namespace(flat).asarray(a).reshape(-1)
