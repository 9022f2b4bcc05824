"""What SimpleRNNCell, LSTMCell and GRUCell share: options, weights and noise as Keras has them.  (floor 7)"""
from typing import Any

import numpy

from .. import interop
from ..errors import NotSupported, ShapeError, check_option
from ..shapes import expect, resolve_shape
from ..wrappers.gate_dropout import GateDropout
from ..wrappers.dropout import Masks
from .old_base import refuse_training, taken
from .cell import OwningCell
from .config import activation, initialiser

_NOT_OPTIONS = ("self", "kwargs", "__class__")


def collect_options(scope):
    """The arguments of a constructor, from its locals()."""
    return {name: value for name, value in scope.items() if name not in _NOT_OPTIONS}


class KerasCell(OwningCell):
    """The options of Keras's cells, which are attributes of the same names.

    activation, recurrent_activation   names of Keras; `hard_sigmoid` is that of Keras 3 (`hard_sigmoid@keras2` is the
                            older), `leaky_relu` has its slope of 0.2, None is linear; ours too (rnnref.scalar)
    use_bias                whether there is a bias
    *_initializer           names, or a function (rng, shape) -> array; drawn in Keras's shapes
    *_regularizer, *_constraint        None: nothing would apply them
    dropout, recurrent_dropout         share of zeros in the masks on x and on h, from 0 to below 1, while training
    seed                    of the weights and of the masks; None: other ones every time
    implementation          1: a mask on x for each gate; 2: one for all.  Masks on the h of an LSTM or a GRU are always
                            one for each gate.  It has no other meaning: what runs is `rnnref.explain`'s to say
    name, dtype             "float32" if not said; inputs are cast to it

    A single step draws new masks; `draw_masks` gives some to hand to several steps, or to look at.
    """
    vectors = True
    units: Any; use_bias: Any; kernel_initializer: Any; recurrent_initializer: Any; bias_initializer: Any
    dropout: Any; recurrent_dropout: Any

    def __init__(self, options, implementation=2, **base):
        self.options = tuple(options)
        self.implementation = check_option(self.who, "implementation", implementation, (1, 2))
        super().__init__(options["units"], options["seed"], **base)
        vars(self).update(options)
        self.settle()

    def settle(self):
        """Raise now what would be raised later."""
        if isinstance(self.units, bool) or not isinstance(self.units, (int, numpy.integer)) or self.units < 1:
            raise NotSupported(super().who, f"units={self.units!r}, expected a positive integer")
        for name in ("dropout", "recurrent_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise NotSupported(self.who, f"{name}={getattr(self, name)}, expected from 0 to below 1",
                                   hint="Keras clips it to [0, 1], and its LSTM and GRU take 1 for no dropout")
        acting = [name for name in self.options if name.endswith(("regularizer", "constraint"))]
        refuse_training(self.who, {name: getattr(self, name) for name in acting})
        for name in ("kernel_initializer", "recurrent_initializer", "bias_initializer"):
            initialiser(self.who, name, getattr(self, name))
        self.core                                 # which reads the activations

    def act(self, option):
        return activation(self.who, option, getattr(self, option))

    # weights

    family: str
    bare: Any                                     # the core as the tables know it: its weights, not its activations

    @property
    def layout(self):
        return interop.layout_of(self.family, "keras")

    @property
    def weight_names(self):
        return ["kernel", "recurrent_kernel"] + ["bias"] * bool(self.use_bias)

    def axes(self):
        """The axes of each of Keras's arrays."""
        return {row.theirs: row.axes for row in self.layout.rows if row.theirs in self.weight_names}

    def build(self, n_in):
        sizes = self.core.sizes(self.inputs_of(n_in), self.units)
        axes = self.axes()
        self.take([self.drawn(name, resolve_shape(axes[name], sizes)) for name in self.weight_names])

    def drawn(self, name, shape):
        draw = getattr(self, name.removesuffix("_kernel") + "_initializer")
        return initialiser(self.who, name, draw)(self.weight_rng, shape)

    def arrays(self, tree):
        if not tree:
            return []
        theirs = interop.dump(self.layout, tree, self.bare)
        return [theirs[name] for name in self.weight_names]

    def take(self, arrays):
        theirs = {name: taken(self.who, name, a, self.dtype) for name, a in zip(self.weight_names, arrays)}
        kernel = theirs["kernel"]
        n_in = self.n_in if self.built else len(kernel) if kernel.ndim else 0
        sizes = self.bare.sizes(n_in, self.units)
        for name, axes in self.axes().items():
            expect(self.who, name, theirs[name], axes, sizes)
        self.params = self.placed(interop.load(self.layout, theirs, self.bare))
        self.n_in = n_in

    # noise

    def noise(self, batch, xp, training=False, masks=None):
        if masks is None and training:
            masks = self.draw_masks(batch)
        if masks is None:
            return self.core, None
        if not isinstance(masks, Masks):
            raise ShapeError(self.who, f"masks is a {type(masks).__name__}, expected Masks(x, h)")
        masks = masks._replace(x=self.end_to_end("masks.x", masks.x, xp), h=self.end_to_end("masks.h", masks.h, xp))
        on = "".join(n for n in "xh" if getattr(masks, n) is not None)
        return (GateDropout(self.core, on), masks) if on else (self.core, None)

    def draw_masks(self, batch):
        """Masks(x, h) for so many rows: zeros with a chance of the rate, else 1 / (1 - rate).  Each is an array, or a
        list of one for each gate in the order of Keras; None where nothing is dropped."""
        per_gate = len(self.core.gates) > 1
        own = per_gate and (self.implementation == 1 or self.recurrent_dropout > 0)
        return Masks(self.mask(batch, self.n_in, self.dropout, own),
                     self.mask(batch, self.units, self.recurrent_dropout, per_gate))

    def mask(self, batch, n, rate, per_gate):
        if not rate:
            return None
        keep = [self.noise_rng.random((batch, n)) >= rate for _ in range(len(self.core.gates) if per_gate else 1)]
        keep = [numpy.where(k, 1 / (1 - rate), 0).astype(self.dtype) for k in keep]
        return keep if per_gate else keep[0]

    def end_to_end(self, name, masks, xp):
        """Masks of the gates in the order of Keras, as one array in the order of ours."""
        if masks is None or not isinstance(masks, (list, tuple)):
            return masks if masks is None else xp.asarray(taken(self.who, name, masks, self.dtype))
        theirs, ours = self.layout.gates, self.core.gates
        if len(masks) != len(ours):
            raise ShapeError(self.who, f"{name} is a list of {len(masks)}, expected {len(ours)}",
                             axes=f"one for each gate, in the order of Keras: {' '.join(theirs)}")
        arrays = [xp.asarray(taken(self.who, name, masks[theirs.index(g)], self.dtype)) for g in ours]
        return xp.concatenate(arrays, -1)

    def get_config(self):
        more = {} if self.implementation == 2 else {"implementation": self.implementation}
        return super().get_config() | self.config_of(*self.options) | more
