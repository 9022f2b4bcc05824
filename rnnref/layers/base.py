"""Layer: a pair of pure functions, and the owner of its weights.

    apply(p, *args, mask, training, noise, keep, ...) -> y, kept          p: {path: array}; args and y: nests of arrays
    apply_back(p, kept, dy, wanted) -> (one gradient for each of args), {path: gradient}

wanted: for each of args, then for the weights, whether a gradient is asked for (None: all); where it is not, None and
{} will do.

For a class that defines `call(*args)` instead, both are made from a record of it.  Three other methods are not pure:
`draw` reads generators and carried states, `leave` writes moving averages and states, `build` makes the weights.
"""
from copy import deepcopy
from typing import Any, Optional

import numpy

from .. import constraints, regularizers
from ..arrays import asnumpy, is_array, make_transfer, namespace
from ..errors import Error, ShapeError
from ..identifiers import plain, returning_plain
from ..nest import flatten, map_structure
from ..random import next_seed
from ..record import Record
from ..symbols import Symbol, called, is_symbolic
from ..values import CURRENT, Value, numbers
from . import config as configs
from .calls import BUILDING, Recorded, SymbolicCalls, completing, enter, has_pair, plan_of, record_call, sort
from .constructors import check_config, check_flag, check_seed, checking, checking_config, first_shape, name_of_class
from .derived import delete_attribute, forget_derived, set_attribute
from .draws import MOST, drawing_from, noise_rng
from .layer_losses import add_activity, add_loss, list_losses
from .nested import map_shapes, shape_of
from .weight import (Weight, all_layers, arrays, free_name, named_weights, set_weights, split_weights, sublayers,
                     unique_name)

_ROOT = __package__.partition(".")[0] + "."


class Layer:
    """A layer: layer(x) gives arrays for arrays, symbols for symbols, and recorded values while a record is open.

    name                    "lstm", "lstm_1", ... if not given
    dtype                   floating inputs are cast to it; None: "float32"
    trainable               False: no weight of it, or of the layers in it, gets a gradient
    activity_regularizer    a function of the outputs, divided by the batch size and added to the losses
    seed                    of the first weights and of random numbers in training; None: different numbers each time

        weights      handles, in the order, shapes and layout of Keras: see `Weight`
        params       their arrays as a tree, under our names; assign to change them
        grads        the gradients by the last `backward`, the same tree: overwritten each time, never added to

    A layer of your own defines `build(input_shape)`, which makes weights with `add_weight`, and either `call`, written
    with NumPy's functions or rnnref.ops, or the pair `apply` and `apply_back`; where needed also `draw`,
    `leave` and `compute_mask`.  Other layers may be attributes, alone or in lists and dicts.

    Outside of a record `backward(dy)` goes back through the last call alone, even if the layer was called twice.

    >>> import numpy as np
    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")
    ...     def call(self, x):
    ...         return np.tanh(x * self.scale)
    >>> layer = Scale(name="scale", dtype="float64")
    >>> y = layer(np.zeros((2, 3)))
    >>> layer.backward(np.ones((2, 3))).tolist(), layer.weights
    ([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], [<Weight scale/scale (3,) float64>])
    """
    supports_masking = False                      # the mask of the inputs is that of the outputs
    built = False
    _values: Any; _handles: Any; _losses: Any; _given: Any
    activity_regularizer: Any; name: str; dtype: Any; weight_rng: Any; _noise_rng: Any
    tape: Any = None                              # what the last call with arrays left for backward
    _call_order: tuple = ()                       # names of what a call takes by position, if not those of apply
    _path: Optional[str] = None
    _grads: Any = None
    _in_build = False
    _stream: tuple = ()                           # with another one the same seed gives other numbers
    _calls: SymbolicCalls
    _built_for: tuple = ()                        # the shapes of the arguments of the first call
    _autocast = True                              # whether `call` is given floating arrays in the layer's dtype

    def __new__(cls, *args: Any, **options: Any) -> Any:
        self = super().__new__(cls)
        self._given = args, options               # what get_config writes for classes without their own
        self._values, self._handles, self._losses, self._calls = {}, {}, (None, []), SymbolicCalls()
        return self

    @checking
    def __init__(self, *, name: Optional[str] = None, dtype: Any = None, trainable: bool = True,
                 activity_regularizer: Any = None, seed: Optional[int] = None, input_shape: Any = None,
                 input_dim: Any = None, batch_shape: Any = None, batch_input_shape: Any = None,
                 **unknown: Any) -> None:
        configs.refuse_unknown(self.who, type(self), unknown)
        self.name = name or unique_name(type(self).__name__)
        self.dtype = configs.floating(self.who, dtype)
        check_flag(self.who, "trainable", trainable)
        self._trainable, self.seed = bool(trainable), check_seed(self.who, seed)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.input_shape_given = first_shape(self.who, input_shape, input_dim, batch_shape, batch_input_shape)
        self._start_generators()
        self.built = type(self).build is Layer.build

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.build is not Layer.build and not hasattr(cls.build, "__wrapped__"):
            cls.build = completing(cls.build)     # type: ignore[method-assign]
        if "__init__" in vars(cls) and cls.__module__.startswith(_ROOT):
            cls.__init__ = checking(cls.__init__)     # type: ignore[method-assign]
        if "from_config" in vars(cls) and cls.__module__.startswith(_ROOT):
            cls.from_config = classmethod(checking_config(vars(cls)["from_config"].__func__))     # type: ignore
        if "get_config" in vars(cls):
            cls.get_config = returning_plain(cls.get_config)     # type: ignore[method-assign]
        if "compute_mask" in vars(cls):
            cls.supports_masking = True

    __setattr__, __delattr__ = set_attribute, delete_attribute

    @property
    def who(self) -> str:
        return f"layers.{type(self).__name__}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{'' if self.built else ', not built'}>"

    # what a layer of your own defines

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape: (None, T, I), or a nest of such."""

    def call(self, *args: Any, **options: Any) -> Any:
        """Compute the outputs from recorded values; by default with the pair of the class."""
        if not has_pair(type(self)):
            raise NotImplementedError(f"{self.who} has neither call nor apply and apply_back")
        record, plan = CURRENT.get(), plan_of(type(self), as_pair=True)
        return self._forward_pair(plan, args, options) if record is None else enter(self, record, args, options, plan)

    def draw(self, training: bool, *args: Any) -> Any:
        """Draw what is random in a call, and read the state that it starts from: the `noise` of apply."""
        return None if not training or has_pair(type(self)) else int(self.noise_rng.integers(MOST))

    noise_rng = noise_rng

    def leaves(self, kept: Any) -> bool:
        """Whether `leave` would write anything."""
        return (type(self).leave is not Layer.leave
                or any(layer.leaves(its) for layer, its in getattr(kept, "pending", ())))

    def leave(self, kept: Any) -> None:
        """Write what this call leaves behind: moving averages, the last state."""
        for layer, its in getattr(kept, "pending", ()):
            layer.leave(its)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the outputs, from the inputs and their mask."""
        return mask if self.supports_masking else None

    # the pair; of a class with `call` alone, from a record of it

    def apply(self, p: dict, *args: Any, mask: Any = None, training: bool = False, noise: Any = None, keep: bool = True,
              **options: Any) -> tuple:
        with drawing_from(noise):
            return record_call(self, p, args, mask, training, keep, options)

    def apply_back(self, p: dict, kept: Any, dy: Any, wanted: Any = None) -> tuple:
        return kept.backward(dy, wanted)

    # calls

    def __call__(self, *args: Any, **options: Any) -> Any:
        record = CURRENT.get()
        if record is not None and not is_symbolic(args):
            return enter(self, record, args, options, plan_of(type(self)))
        if is_symbolic(args) or options and is_symbolic(options):
            self._build_for(sort(plan_of(type(self)), args, options)[0])
            return self._calls.add(called(self, args, options))
        return self.forward(*args, **options)

    def forward(self, *args: Any, keep: bool = True, **options: Any) -> Any:
        """Run the layer on arrays.  keep=False: inference, after which `backward` is not possible."""
        plan = plan_of(type(self))
        return (self._forward_pair if plan.is_pair else self._forward_recorded)(plan, args, options, keep)

    def _forward_pair(self, plan: Any, args: Any, options: Any, keep: bool = True) -> Any:
        args, options, mask, training = sort(plan, args, options)
        self._build_for(args)
        p, training = arrays(self), bool(training)
        noise = self.draw(training, *args)
        y, kept = self.apply(p, *args, mask=mask, training=training, noise=noise, keep=keep, **options)
        self.leave(kept)
        self.tape = (p, kept) if keep else None
        if self.activity_regularizer is not None:
            self._losses = None, []
            self._add_activity(y)
        return y

    def _forward_recorded(self, plan: Any, args: Any, options: Any, keep: bool) -> Any:
        with Record(keep) as record:
            args, options = map_structure(lambda a: record.leaf(a) if is_array(a) else a, (args, options))
            y = enter(self, record, args, options, plan)
        self.tape = (None, Recorded(record, args, y, self.named_weights(), self.who, ())) if keep else None
        return numbers(y)

    def backward(self, *dy: Any) -> Any:
        """Gradients of the arguments of the last call with arrays; fills `grads` with those of the weights."""
        p, kept = self.recorded()
        dy = dy[0] if len(dy) == 1 else dy
        dargs, self._grads = kept.backward(dy) if p is None else self.apply_back(p, kept, dy)
        return dargs[0] if len(dargs) == 1 else dargs

    def recorded(self) -> Any:
        if self.tape is None:
            raise Error(self.who, "backward before forward: there is nothing to go back through",
                        fix="call forward first, without keep=False")
        return self.tape

    # losses: see layer_losses.py

    add_loss, _add_activity = add_loss, add_activity
    losses = property(list_losses)

    # weights

    def add_weight(self, shape: Any = None, initializer: Any = None, dtype: Any = None, trainable: bool = True, *,
                   regularizer: Any = None, constraint: Any = None, name: Optional[str] = None) -> Weight:
        """Make a weight and draw its first values; returns its handle.

        initializer     a name, an object of rnnref.initializers, or a function (rng, shape) or (shape, dtype) -> array;
                        None: "glorot_uniform"
        regularizer     of rnnref.regularizers, or a function of the weight; what it gives is added to the losses
        constraint      of rnnref.constraints, or a function of the weight, applied after each update
        """
        name = free_name(name or "variable", self._handles)
        dtype = self.dtype if dtype is None else numpy.dtype(dtype).name
        shape = () if shape is None else (shape,) if hasattr(shape, "__index__") else tuple(shape)
        configs.count_weight(f"{self.who}.{name}", shape, dtype)
        a = configs.draw(f"{self.who}.{name}", initializer or "glorot_uniform", self.weight_rng, shape, dtype)
        return self._hold(name, a, trainable, regularizer, constraint)

    def _hold(self, name: str, a: Any, trainable: bool = True, regularizer: Any = None, constraint: Any = None
              ) -> Weight:
        """A weight for this array."""
        self._values = self._values | {name: a}
        self._handles[name] = Weight(self, name, bool(trainable), regularizers.get(regularizer),
                                     constraints.get(constraint))
        forget_derived(self)
        return self._handles[name]

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self._sublayers().values():
            layer.trainable = value

    _sublayers, _all_layers, named_weights, set_weights = sublayers, all_layers, named_weights, set_weights

    weights = property(lambda self: list(self.named_weights().values()))
    variables = weights
    trainable_weights = property(lambda self: split_weights(self)[0])
    trainable_variables = trainable_weights
    non_trainable_weights = property(lambda self: split_weights(self)[1])
    non_trainable_variables = non_trainable_weights
    weight_names = property(lambda self: [w.name for w in self.weights])
    path = property(lambda self: self._path or self.name)
    compute_dtype = variable_dtype = property(lambda self: self.dtype)       # of Keras: here they are one

    @property
    def params(self) -> Any:
        return self._tree({path: w.data for path, w in self.named_weights().items()})

    @params.setter
    def params(self, tree: Any) -> None:
        held = self.named_weights()
        for path, a in self._flat(tree).items():
            held[path].assign(a)

    @property
    def grads(self) -> Any:
        return {} if self._grads is None else self._tree(self._grads)

    def _tree(self, p: dict) -> Any:
        """{path: array} under our names, which a layer may have of its own."""
        return p

    def _flat(self, tree: Any) -> dict:
        return tree

    def get_weights(self) -> list:
        """Copies of the weights, as Keras's own get_weights orders and lays them out; none before they are built."""
        return [w.numpy() for w in self.weights]

    def get_grads(self) -> list:
        """Copies of the gradients of the last backward, ordered and laid out as the weights."""
        grads = self._grads or {}
        return [numpy.array(asnumpy(grads[path])) for path in self.named_weights() if grads.get(path) is not None]

    def _count(self, weights: list) -> None:
        if len(weights) != len(self.weight_names):
            raise ShapeError(self.who, f"{len(weights)} weights, expected {len(self.weight_names)}",
                             names=" ".join(self.weight_names))

    def _check_weight(self, name: str, a: Any) -> None:
        """Raise unless an array fits in the place of a weight."""
        if a.shape != self._values[name].shape:
            raise ShapeError(self.who, f"{name} has shape {a.shape}, expected {self._values[name].shape}")

    def _build_from(self, weights: list) -> None:
        """Build for weights of these shapes, if they tell the number of inputs."""
        raise ShapeError(self.who, "set_weights before the number of inputs is known", fix="build(input_shape) first")

    def count_params(self) -> int:
        """How many numbers all weights have together."""
        return sum(w.size for w in self.weights)

    def to(self, where: str) -> "Layer":
        """Move the weights to the "cpu" or the "gpu"; returns the layer."""
        move = make_transfer(where)
        for layer in all_layers(self):
            layer._values = {name: move(a) for name, a in layer._values.items()}
        return self

    # building, and shapes

    def _build_for(self, args: Any) -> None:
        """Build for the arguments of the first call, with the weights where they are."""
        if self.built and self._built_for:
            return
        with BUILDING:
            self._built_for = tuple(map_structure(lambda a: getattr(a, "shape", None), a) for a in args)
            self._sublayers()                     # gives a layer to each cell of rnnref.tf1
            if not self.built:
                for a in flatten(args[:1]):
                    if not hasattr(a, "shape"):
                        configs.taken(self.who, "x", a, self.dtype)            # whose error names it
                shapes = [map_structure(shape_of, a) for a in args]
                self.build(*(shapes + [None] * plan_of(type(self)).shapes)[:plan_of(type(self)).shapes])
                arrays = [a.data if isinstance(a, Value) else a for a in flatten(args) if not isinstance(a, Symbol)]
                if namespace(*arrays) is not numpy:
                    self.to("gpu")
            self._sublayers()                     # gives a layer to each cell of rnnref.tf1 among the attributes

    def compute_output_shape(self, *input_shape: Any) -> Any:
        """The shape of the outputs, None where any length will do; builds the layer if need be."""
        symbols = tuple(map_shapes(lambda s: Symbol(s, self.dtype), shape) for shape in input_shape)
        self._build_for(symbols)
        return map_structure(lambda s: s.shape, called(self, symbols, {}))

    # what the first call with symbols was given, and what it gave
    input = property(lambda self: self._calls.first(self.who).input)
    output = property(lambda self: self._calls.first(self.who).outs)

    # configuration, copies

    def get_config(self) -> dict:
        """The configuration, from which `from_config` makes the same layer without its weights; JSON can hold it."""
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = configs.serialize(self.activity_regularizer)
        if type(self).get_config is Layer.get_config and type(self).__init__ is not Layer.__init__:
            config |= configs.arguments_of(self)
        return plain(config)

    @classmethod
    def from_config(cls, config: dict, custom_objects: Optional[dict] = None) -> "Layer":
        """A layer from a configuration of `get_config`, here or in Keras.

        custom_objects   {class name: class} for classes that are not rnnref's
        """
        config = configs.of_keras2(check_config(name_of_class(cls), config))
        return cls(**{name: configs.deserialize(value, custom_objects) for name, value in config.items()})

    def config_of(self, *names: Any) -> dict:
        return {name: configs.serialize(getattr(self, name)) for name in names}

    def fresh(self, **changes: Any) -> Any:
        """A copy without weights, states and tape, with some attributes changed."""
        new = deepcopy(self, {id(self.tape): None, id(self._grads): None})
        vars(new).update(changes)
        forget_derived(new)
        for layer in all_layers(new):
            layer._forget()
        return new

    def _forget(self, stream: Any = None) -> None:
        """Remove the weights and restart the generators; `stream`, a tuple, selects other numbers of the same seed."""
        self._stream = self._stream if stream is None else stream
        self._values, self._handles, self._grads, self.tape, self._losses = {}, {}, None, None, (None, [])
        self.built, self._built_for = type(self).build is Layer.build, ()
        self._start_generators()

    def _start_generators(self) -> None:
        seeds = numpy.random.SeedSequence(next_seed() if self.seed is None else self.seed, spawn_key=self._stream)
        self.weight_rng, self.noise_rng = (numpy.random.default_rng(s) for s in seeds.spawn(2))
