"""What SimpleRNNCell, LSTMCell, GRUCell and ConvLSTMCell share: options, weights and dropout as Keras has them."""
from typing import Any, Callable

import numpy

from .. import constraints, interop, regularizers
from ..arrays import namespace, split
from ..errors import NotSupported, ShapeError, check_option, describe_type
from ..options import is_number
from ..shapes import expect, resolve_shape
from ..shards import draw_rows
from ..wrappers.dropout import Masks
from ..wrappers.gate_dropout import GateDropout
from .config import activation, draw, initialiser, taken
from .derived import derived

_NOT_OPTIONS = ("self", "kwargs", "__class__")


def collect_options(scope: Any) -> dict:
    """The arguments of a constructor, from its locals()."""
    return {name: value for name, value in scope.items() if name not in _NOT_OPTIONS}


def core_of(*options: str) -> Callable:
    """A property that makes the core of a cell, again only when one of these attributes has changed.

    Checks and plans are remembered for a core: a new one in each call would have all of them made again.
    """
    def decorate(make: Callable) -> Any:
        def core(self: Any) -> Any:
            found = derived(self).get("core")
            if found is None:
                key, held = [getattr(self, name) for name in options], vars(self).get("_core")
                if held is None or any(a is not b for a, b in zip(held[0], key)):
                    held = vars(self)["_core"] = key, make(self)
                found = derived(self)["core"] = held[1]
            return found
        return property(core, doc=make.__doc__)
    return decorate


class KerasCell:
    """The options of Keras's cells, which are attributes of the same names; for a `CellLayer`.

    activation, recurrent_activation   names of Keras; `hard_sigmoid` is that of Keras 3 (`hard_sigmoid@keras2` is the
                            older), `leaky_relu` has its slope of 0.2, None is linear; names of rnnref.elementwise; a
                            function of an array, written with NumPy's functions or rnnref.ops
    use_bias                whether there is a bias
    *_initializer           names, objects of rnnref.initializers, or a function (rng, shape) or (shape, dtype) ->
                            array; drawn in Keras's shapes
    *_regularizer           of rnnref.regularizers, or a function of the weight: added to the losses
    *_constraint            of rnnref.constraints, or a function of the weight: applied by the optimizer
    dropout, recurrent_dropout         share of zeros in the masks on x and on h, from 0 to below 1, while training
    seed                    of the weights and of the masks; None: different ones each time
    implementation          1: a mask on x for each gate; 2, 0: one for all.  Masks on the h of an LSTM or a GRU are
                            always one for each gate.  It has no other meaning: `rnnref.explain` tells what runs
    name, dtype             "float32" if not given; inputs are cast to it

    A single step draws new masks; those of `draw_masks` can be given to several steps.
    """
    vectors = True
    family: str                                   # its name in rnnref.interop
    own_masks = False                             # a mask on x for each gate, with any `implementation`
    units: Any; use_bias: Any; dropout: Any; recurrent_dropout: Any
    who: Any; dtype: Any; n_in: Any; core: Any; options: Any; noise_rng: Any
    add_weight: Any; config_of: Any; _count: Any

    def _take_options(self, options: Any, implementation: Any = 2, **base: Any) -> None:
        self.options, self.units = tuple(options), options["units"]
        self.implementation = check_option(f"layers.{type(self).__name__}", "implementation", implementation, (0, 1, 2))
        super().__init__(seed=options["seed"], **base)           # type: ignore[call-arg]
        vars(self).update(options)
        for name in options:
            if name.endswith("_regularizer"):
                setattr(self, name, regularizers.get(options[name]))
            elif name.endswith("_constraint"):
                setattr(self, name, constraints.get(options[name]))
            elif name.endswith("_initializer"):
                setattr(self, name, initialiser(self.who, name, options[name]))
        self._check_options()

    def _check_options(self) -> None:
        """Raise in the constructor what the first call would raise."""
        if isinstance(self.units, bool) or not isinstance(self.units, (int, numpy.integer)) or self.units < 1:
            raise NotSupported(f"layers.{type(self).__name__}", f"units={self.units!r}, expected a positive integer")
        for name in ("dropout", "recurrent_dropout"):
            rate = getattr(self, name)
            if not is_number(rate) or not 0 <= rate < 1:
                raise NotSupported(self.who, f"{name}={rate!r}, expected from 0 to below 1",
                                   hint="Keras clips it to [0, 1], and its LSTM and GRU take 1 for no dropout")
        self.core                                 # which reads the activations

    def act(self, option: str) -> Any:
        return activation(self.who, option, getattr(self, option))

    # weights

    @property
    def layout(self) -> Any:
        return interop.layout_of(self.family, "keras")

    @property
    def weight_names(self) -> Any:
        return ["kernel", "recurrent_kernel"] + ["bias"] * bool(self.use_bias)

    def _axes(self) -> dict:
        """The axes of each of Keras's arrays."""
        return {row.theirs: row.axes for row in self.layout.rows if row.theirs in self.weight_names}

    def build(self, input_shape: Any) -> None:
        self.n_in = self.inputs_of(input_shape)
        sizes = self.core.sizes(self.n_in, self.units)
        for name, axes in self._axes().items():
            kind = name.removesuffix("_kernel")
            weight = self.add_weight(resolve_shape(axes, sizes),
                                     lambda rng, shape, name=name: self._draw(name, rng, shape),
                                     regularizer=getattr(self, f"{kind}_regularizer"),
                                     constraint=getattr(self, f"{kind}_constraint"), name=name)
            setattr(self, name, weight)

    def inputs_of(self, input_shape: Any) -> Any:
        """The last number of a shape, or the number itself."""
        last = input_shape[-1] if isinstance(input_shape, (tuple, list)) and input_shape else input_shape
        if not hasattr(last, "__index__"):
            raise ShapeError(self.who, f"x is {describe_type(input_shape)} of several arrays, expected one")
        return last

    def _draw(self, name: str, rng: Any, shape: Any) -> Any:
        what = getattr(self, name.removesuffix("_kernel") + "_initializer")
        return draw(f"{self.who}.{name}", what, rng, shape, "float64")

    def _build_from(self, weights: Any) -> None:
        self._count(weights)
        kernel = taken(self.who, "kernel", weights[0], self.dtype)
        self.build((None, kernel.shape[-2] if kernel.ndim > 1 else 0))

    def _check_weight(self, name: str, a: Any) -> None:
        expect(self.who, name, a, self._axes()[name], self.core.sizes(self.n_in, self.units))

    # the weights of Keras <-> ours: other names, and gates in another order

    def _tree(self, p: dict) -> Any:
        return reordered(p, self.layout.gates, self.core.gates)

    def _flat(self, tree: Any) -> dict:
        return restored(tree, self.core.gates, self.layout.gates)

    # dropout

    def running(self, batch: Any, xp: Any, training: bool = False, masks: Any = None, constants: Any = None,
                keep: bool = True) -> Any:
        if constants is not None:
            raise NotSupported(self.who, f"constants={type(constants).__name__}(…): this cell takes none")
        if masks is None:
            return self.core, None
        if not isinstance(masks, Masks):
            raise ShapeError(self.who, f"masks is {describe_type(masks)}, expected Masks(x, h)")
        masks = masks._replace(x=self.end_to_end("masks.x", masks.x, xp), h=self.end_to_end("masks.h", masks.h, xp))
        on = "".join(n for n in "xh" if getattr(masks, n) is not None)
        return (GateDropout(self.core, on=on), masks) if on else (self.core, None)

    def draw_masks(self, batch: Any) -> Any:
        """Masks(x, h) for a batch of this many rows: zeros with a chance of the rate, else 1 / (1 - rate).

        Each is an array, or a list of one for each gate in the order of Keras; None where nothing is dropped.
        """
        per_gate = len(self.core.gates) > 1
        own = per_gate and (self.own_masks or self.implementation == 1 or self.recurrent_dropout > 0)
        x, h = self._mask_shapes(batch)
        return Masks(self.mask(x, self.dropout, own), self.mask(h, self.recurrent_dropout, per_gate))

    def _mask_shapes(self, batch: Any) -> tuple:
        return (batch, self.n_in), (batch, self.units)

    def mask(self, shape: Any, rate: Any, per_gate: Any) -> Any:
        if not rate:
            return None
        n = len(self.core.gates) if per_gate else 1
        keep = [draw_rows(self.noise_rng.random, shape, self.who) >= rate for _ in range(n)]
        keep = [numpy.where(k, 1 / (1 - rate), 0).astype(self.dtype) for k in keep]
        return keep if per_gate else keep[0]

    def end_to_end(self, name: str, masks: Any, xp: Any) -> Any:
        """Masks of the gates in the order of Keras, as one array in the order of ours."""
        if masks is None or not isinstance(masks, (list, tuple)):
            return masks if masks is None else xp.asarray(taken(self.who, name, masks, self.dtype))
        theirs, ours = self.layout.gates, self.core.gates
        if len(masks) != len(ours):
            raise ShapeError(self.who, f"{name} is a list of {len(masks)}, expected {len(ours)}",
                             axes=f"one for each gate, in the order of Keras: {' '.join(theirs)}")
        arrays = [xp.asarray(taken(self.who, name, masks[theirs.index(g)], self.dtype)) for g in ours]
        return xp.concatenate(arrays, -1)

    def get_config(self) -> dict:
        more = {} if self.implementation == 2 else {"implementation": self.implementation}
        return super().get_config() | self.config_of(*self.options) | more      # type: ignore[misc]


def reordered(p: dict, theirs: Any, ours: Any) -> Any:
    """{kernel, recurrent_kernel, bias} as {W, R, b, bR} with the gate blocks in another order."""
    kernel, recurrent, b = (blocks(p[name], theirs, ours) if theirs != ours and name in p else p.get(name)
                            for name in ("kernel", "recurrent_kernel", "bias"))
    found = {"W": kernel, "R": recurrent}
    if b is not None:
        found |= {"b": b} if b.ndim == 1 else {"b": b[0], "bR": b[1]}
    return found


def restored(tree: Any, ours: Any, theirs: Any) -> Any:
    """The inverse of `reordered`."""
    found = {"kernel": blocks(tree["W"], ours, theirs), "recurrent_kernel": blocks(tree["R"], ours, theirs)}
    if "b" in tree:
        b = namespace(tree["b"]).stack([tree["b"], tree["bR"]]) if "bR" in tree else tree["b"]
        found["bias"] = blocks(b, ours, theirs)
    return found


def blocks(a: Any, order: Any, new: Any) -> Any:
    """The blocks of the last axis in another order; `a` itself if it is the same."""
    if order == new:
        return a
    parts = dict(zip(order, split(a, len(order))))
    return namespace(a).concatenate([parts[g] for g in new], -1)
