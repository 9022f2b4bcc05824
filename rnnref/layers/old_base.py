"""What every layer is: the owner of its weights.  (floor 7)"""
from copy import deepcopy
from typing import Any

import numpy

from ..arrays import asnumpy, is_array, is_floating, namespace
from ..errors import DtypeError, Error, NotSupported, ShapeError
from ..tree import first_leaf, leaves, map_structure, to
from .config import initialiser, serialize, deserialize, snake


class Layer:
    """forward(x, ...) -> y;   backward(dy, ...) -> dx, ...:  what users call.

    Layers are the only objects with a state.  They own their weights, cast what they are given to their own dtype as
    Keras does, and keep what the last `forward` left for `backward`.

        params     the weights, a tree under our names (a dict; a tuple where cells are several); assign to change them
        grads      their gradients by the last backward, the same tree: overwritten each time, never added to
        weights    the same weights as Keras orders and lays them out: what get_weights gives and set_weights takes

    A layer used twice keeps what the second `forward` left.
    """
    core: Any                                     # the cell that computes it, where there is one
    n_in: Any                                     # what it was built for: what core.n_in says of the inputs
    weight_rng: Any = None                        # what first weights are drawn with

    def __init__(self, *, name=None, dtype=None, trainable=True, activity_regularizer=None):
        self.name = name or snake(type(self).__name__)
        self.dtype = floating(self.who, dtype)
        self.trainable = trainable
        refuse_training(self.who, {"activity_regularizer": activity_regularizer})
        if trainable is not True:
            raise NotSupported(self.who, f"trainable={trainable!r}: there is no training that could leave it out yet")
        self.tape = None                          # what the last forward left for backward

    @property
    def who(self):
        return f"layers.{type(self).__name__}"

    def __repr__(self):
        return f"<{type(self).__name__} {self.name}{'' if self.built else ', not built'}>"

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def build(self, n_in):
        """Make the weights for so many inputs, or for a shape that ends in them; for several inputs, a tree of such."""
        raise NotImplementedError(f"{self.who} has no build")

    def add_weight(self, shape, initializer="glorot_uniform", *, name=None):
        """An array of first values in the layer's dtype, for a layer of your own; `name` is what you call it."""
        who = f"{self.who}.{name}" if name else self.who
        rng = numpy.random.default_rng() if self.weight_rng is None else self.weight_rng
        return initialiser(who, "initializer", initializer)(rng, tuple(shape)).astype(self.dtype)

    def forward(self, x, **options):
        raise NotImplementedError(f"{self.who} has no forward")

    def backward(self, dy, **options):
        raise NotSupported(self.who, "has no backward: it runs, but it cannot be trained")

    # weights

    def leaves(self):
        """The layers that own arrays, in the order of Keras: this one, those that it holds, or none."""
        return []

    @property
    def built(self):
        return all(leaf.built for leaf in self.leaves())

    @property
    def weight_names(self):
        return [name for leaf in self.leaves() for name in leaf.weight_names]

    @property
    def weights(self):
        return [a for leaf in self.leaves() for a in leaf.arrays(leaf.params)]

    def get_weights(self):
        """Copies of the weights, as Keras's own get_weights orders and lays them out; none before they are built."""
        return [numpy.array(asnumpy(a)) for a in self.weights]

    def get_grads(self):
        """The gradients of the last backward, ordered and laid out as the weights."""
        return [numpy.array(asnumpy(a)) for leaf in self.leaves() for a in leaf.arrays(leaf.grads)]

    def set_weights(self, weights):
        """The weights from such a list; builds the layer if need be."""
        weights, names = list(weights), self.weight_names
        if len(weights) != len(names):
            raise ShapeError(self.who, f"{len(weights)} weights, expected {len(names)}", names=" ".join(names))
        for leaf in self.leaves():
            n = len(leaf.weight_names)
            leaf.take(weights[:n])
            del weights[:n]

    def count_params(self):
        """How many numbers the weights are."""
        return sum(a.size for a in self.weights)

    def to(self, where):
        """Move the weights to the "cpu" or the "gpu"; returns the layer."""
        for leaf in self.leaves():
            leaf.params = to(where, leaf.params)
        return self

    # configuration

    def get_config(self):
        """What `from_config` makes the same layer of, without its weights; it can be written as JSON."""
        return {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The layer of such a configuration; one that Keras wrote will do.

        custom_objects   {class name: class} for cells that are not rnnref's
        """
        return cls(**{name: deserialize(value, custom_objects) for name, value in config.items()})

    def config_of(self, *names):
        return {name: serialize(getattr(self, name)) for name in names}

    def inputs_of(self, n_in):
        """The last number of a shape, or the number itself."""
        last = n_in[-1] if isinstance(n_in, (tuple, list)) and n_in else n_in
        if not hasattr(last, "__index__"):
            raise ShapeError(self.who, f"x is a {type(n_in).__name__} of several arrays, expected one")
        return last

    def fit(self, x, shapes):
        """Build for inputs like x, of such shapes, or raise if they are not what the layer is for."""
        if not self.built:
            self.build(shapes)
            if namespace(first_leaf(x)) is not numpy:
                self.to("gpu")
        found = self.core.n_in(x)
        if found != self.n_in:
            one = is_array(x)
            raise ShapeError(self.who, f"x has shape {x.shape}, expected {self.n_in} on the last axis" if one else
                             f"x has inputs {found}, expected {self.n_in}",
                             axes=f"this layer was built for {'I = ' * one}{self.n_in}")

    def fresh(self, **changes):
        """The same layer without weights, states and what it kept, with some attributes changed."""
        new = deepcopy(self)
        vars(new).update(tape=None, **changes)
        for leaf in new.leaves():
            leaf.forget()
        return new

    def recorded(self):
        if self.tape is None:
            raise Error(self.who, "backward before forward: there is nothing to go back through",
                        fix="call forward first, without keep=False")
        return self.tape

    def taken(self, name, a):
        """`a` as an array in the dtype of the layer."""
        return taken(self.who, name, a, self.dtype)


class Owner(Layer):
    """A layer with arrays of its own.  `seed` is for all that it draws; None draws other numbers every time."""

    def __init__(self, seed=None, **base):
        super().__init__(**base)
        self.seed, self.stream = seed, ()
        self.forget()

    def leaves(self):
        return [self]

    @property
    def built(self):
        return self.n_in is not None

    def forget(self, stream=None):
        """No weights, and generators as new; another `stream`, a tuple, draws other numbers from the same seed."""
        self.stream = self.stream if stream is None else stream
        self.params, self.grads, self.n_in, self.tape = {}, {}, None, None
        seeds = numpy.random.SeedSequence(self.seed, spawn_key=self.stream)
        self.weight_rng, self.noise_rng = (numpy.random.default_rng(s) for s in seeds.spawn(2))

    @property
    def weight_names(self):
        return [path for path, _ in leaves(self.params)]

    def arrays(self, tree):
        """Parameters, or gradients of them, ordered and laid out for others; none if there are none."""
        return [a for _, a in leaves(tree)]

    def take(self, arrays):
        """Such arrays as parameters."""
        if not self.built:
            raise ShapeError(self.who, "set_weights before the number of inputs is known", fix="build(n_in) first")
        given = []
        for (path, old), a in zip(leaves(self.params), arrays):
            given.append(taken(self.who, path, a, self.dtype))
            if a.shape != old.shape:
                raise ShapeError(self.who, f"{path} has shape {a.shape}, expected {old.shape}")
        items = iter(given)
        self.params = self.placed(map_structure(lambda _: next(items).copy(), self.params))

    def placed(self, params):
        """New parameters in the layer's dtype, where the old ones were."""
        old = [a for _, a in leaves(self.params)]
        params = map_structure(lambda a: a.astype(self.dtype), params)
        return to("gpu", params) if old and namespace(*old) is not numpy else params


def taken(who, name, a, dtype):
    """Numbers of any dtype, also in lists, as an array of `dtype`."""
    if isinstance(a, (list, tuple)):
        try:
            a = numpy.asarray(a)
        except ValueError:
            raise ShapeError(who, f"{name} is a list whose rows differ in length") from None
    if not is_array(a):
        raise DtypeError(who, f"{name} is a {type(a).__name__}, expected a NumPy or CuPy array")
    if a.dtype.kind not in "fiub" and not is_floating(a.dtype):
        raise DtypeError(who, f"{name} has dtype {a.dtype}, expected numbers")
    return a.astype(dtype) if a.dtype != dtype else a


def floating(who, dtype):
    """The name of a floating dtype; None is float32."""
    try:
        found = numpy.dtype("float32" if dtype is None else dtype)
    except TypeError:
        raise NotSupported(who, f"dtype={dtype!r}: not the name of a dtype",
                           hint="a layer computes in one dtype; policies such as mixed_float16 are not there") from None
    if not is_floating(found):
        raise NotSupported(who, f"dtype={found.name!r}, expected a floating dtype")
    return found.name


def refuse_training(who, options):
    """Regularisers and constraints act while training, which is on a higher floor."""
    for name, value in options.items():
        if value is not None:
            raise NotSupported(who, f"{name}={value!r}: nothing would apply it, there is no training yet")
