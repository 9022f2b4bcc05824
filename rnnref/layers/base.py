"""Layer: a pair of pure functions, and the owner of its weights.

    apply(p, *args, mask, training, noise, keep, ...) -> y, kept          p: {path: array}; args and y: nests of arrays
    apply_back(p, kept, dy, wanted) -> (one gradient for each of args), {path: gradient}

A class that writes `call(*args)` instead has both from a record of it.  What is not pure is in three other methods:
`draw` reads generators and carried states, `leave` writes what a call leaves behind, `build` makes the weights.
"""
import warnings
from copy import deepcopy
from functools import lru_cache, wraps
from inspect import Parameter, signature
from threading import RLock
from typing import Any, Callable, NamedTuple, Optional

import numpy

from .. import constraints, regularizers
from ..arrays import asnumpy, is_array, is_floating, make_transfer, namespace
from ..errors import Error, NotSupported, ShapeError
from ..nest import align, flatten, map_structure, unflatten
from ..record import Record, paused
from ..symbols import Symbol, called, is_symbolic
from ..values import CURRENT, Value, functions, masks, numbers
from . import config as configs
from .weight import SCOPE, Weight, inside, unique_name

_BUILDING = RLock()                               # a layer is built once, whichever thread is first
_OWN = ("_values", "_handles", "_given", "_grads", "_losses", "tape")       # attributes that hold no layers


class Layer:
    """layer(x): of arrays arrays, of symbols symbols, while a record is open values.

    name                    "lstm", "lstm_1", ... if not given
    dtype                   floating inputs are cast to it; None: "float32"
    trainable               False: no weight of it, or of the layers in it, gets a gradient
    activity_regularizer    a function of the outputs, divided by the batch size and added to the losses
    seed                    of first weights and of what is drawn in training; None: other numbers every time

        weights      handles, in the order, shapes and layout of Keras: see `Weight`
        params       their arrays as a tree, under our names; assign to change them
        grads        the gradients by the last `backward`, the same tree: overwritten each time, never added to

    A layer of one's own defines `build(input_shape)`, which makes weights with `add_weight`, and either `call`, written
    with NumPy's functions or rnnref.ops, or the pair `apply` and `apply_back`; beside them, as need be, `draw`, `leave`,
    `compute_mask`.  Other layers may be attributes, alone or in lists and dicts.

    Outside of a record `backward(dy)` goes back through the last call; a layer used twice keeps what the second left.

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
    tape: Any = None                              # what the last call with arrays left for backward
    _call_order: tuple = ()                       # names of what a call takes by position, if not those of apply
    _path: Optional[str] = None
    _grads: Any = None
    _in_build = False
    _stream: tuple = ()                           # draws other numbers from the same seed

    def __new__(cls, *args, **options):
        self = super().__new__(cls)
        self._given = args, options               # what get_config writes for classes without their own
        self._values, self._handles, self._losses = {}, {}, (None, [])
        return self

    def __init__(self, *, name=None, dtype=None, trainable=True, activity_regularizer=None, seed=None,
                 input_shape=None, input_dim=None, batch_shape=None):
        self.name = name or unique_name(type(self).__name__)
        self.dtype = configs.floating(self.who, dtype)
        self._trainable, self.seed = bool(trainable), seed
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.input_shape_given = (tuple(batch_shape) if batch_shape is not None else (None, input_dim) if input_dim
                                  else None if input_shape is None else (None, *input_shape))
        self._start_generators()
        self.built = type(self).build is Layer.build

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if cls.build is not Layer.build and not hasattr(cls.build, "__wrapped__"):
            cls.build = _completing(cls.build)
        if "compute_mask" in vars(cls):
            cls.supports_masking = True

    @property
    def who(self) -> str:
        return f"layers.{type(self).__name__}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}{'' if self.built else ', not built'}>"

    # what a layer of one's own defines

    def build(self, input_shape: Any) -> None:
        """Make the weights for inputs of this shape: (None, T, I), or a nest of such."""

    def call(self, *args):
        raise NotImplementedError(f"{self.who} has neither call nor apply and apply_back")

    def draw(self, training, *args):
        """What is random in this call, and the state that it starts from: `noise` of apply."""

    def leave(self, kept) -> None:
        """Write what this call leaves behind: moving averages, the last state."""
        for layer, its in getattr(kept, "left", ()):
            layer.leave(its)

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """The mask of the outputs, from the inputs and their mask."""
        return mask if self.supports_masking else None

    # the pair, from a record of `call`

    def apply(self, p, *args, mask=None, training=False, noise=None, keep=True, **options):
        held = self.named_weights()
        with Record(keep, bool(training), {w.key: p[path] for path, w in held.items()}) as record:
            values = map_structure(lambda a: record.leaf(a) if is_array(a) else a, args)
            y = self._enter(record, values, options | ({} if mask is None else {"mask": mask}))
        return numbers(y), _Recorded(record, values, y, held, tuple(record.find_unplaced))

    def apply_back(self, p, kept, dy, wanted=None):
        found = kept.record.backward(kept.y, unflatten(kept.y, align(kept.y, dy, self.who)))
        dargs = map_structure(lambda a: found[a] if isinstance(a, Value) else None, kept.args)
        return dargs, {path: found[w] for path, w in kept.weights.items() if w.trainable}

    # calls

    def __call__(self, *args, **options):
        record = CURRENT.get()
        if record is not None:
            return self._enter(record, args, options)
        if is_symbolic((args, options)):
            array_args, _ = _sort(_plan(type(self)), args, options)[:2]
            self._build_for(array_args)
            return called(self, args, options)
        return self.forward(*args, **options)

    def forward(self, *args, keep=True, **options):
        """The layer on arrays; keep=False: inference, nothing is left for backward."""
        plan = _plan(type(self))
        if not plan.is_pair:
            return self._forward_recorded(args, options, keep)
        args, options, mask, training = _sort(plan, args, options)
        self._build_for(args)
        p, training = {path: w.data for path, w in self.named_weights().items()}, bool(training)
        noise = self.draw(training, *args)
        y, kept = self.apply(p, *args, mask=mask, training=training, noise=noise, keep=keep, **options)
        self.leave(kept)
        self.tape = (p, kept) if keep else None
        if self.activity_regularizer is not None:
            self._losses = None, []
            self._add_activity(y)
        return y

    def _forward_recorded(self, args, options, keep):
        with Record(keep) as record:
            args, options = map_structure(lambda a: record.leaf(a) if is_array(a) else a, (args, options))
            y = self._enter(record, args, options)
        self.tape = (None, _Recorded(record, args, y, self.named_weights(), ())) if keep else None
        return numbers(y)

    def backward(self, *dy):
        """Gradients of what the last call with arrays was given; `grads` are those of the weights."""
        p, kept = self.recorded()
        dy = dy[0] if len(dy) == 1 else dy
        dargs, self._grads = (Layer if p is None else type(self)).apply_back(self, p, kept, dy)
        return dargs[0] if len(dargs) == 1 else dargs

    def recorded(self):
        """What the last call with arrays left for backward."""
        if self.tape is None:
            raise Error(self.who, "backward before forward: there is nothing to go back through",
                        fix="call forward first, without keep=False")
        return self.tape

    # in a record

    def _enter(self, record, args, options):
        plan = _plan(type(self))
        args, options, mask, training = _sort(plan, args, options)
        self._build_for(args)
        training = record.training if training is None else bool(training)
        mask = masks(args[0]) if mask is None and args else numbers(mask)
        if plan.is_pair:
            y = self._enter_pair(plan, record, args, options, mask, training)
        else:
            y = self._enter_call(plan, record, args, options, mask, training)
        if self.activity_regularizer is not None:
            self._add_activity(y)
        if mask is None and not plan.makes_masks:
            return y
        return self._with_mask(y, mask, args)

    def _enter_call(self, plan, record, args, options, mask, training):
        def value(a):
            a = Value(a, record.serial) if is_array(a) else a
            if isinstance(a, Value) and a.dtype.name != self.dtype and is_floating(a.dtype):
                return Value((b := functions.cast(a, self.dtype)).data, record.serial, b.number, a.mask)
            return a
        outer, token = record.training, SCOPE.set((*SCOPE.get(), self.name))
        record.training = training
        try:
            told = {name: a for name, a in (("training", training), ("mask", mask)) if name in plan.controls}
            return self.call(*map_structure(value, args), **told, **map_structure(value, options))
        finally:
            record.training = outer
            SCOPE.reset(token)

    def _enter_pair(self, plan, record, args, options, mask, training):
        """The pair as one entry of the record."""
        nested = any(isinstance(a, (list, tuple, dict)) for a in args)
        held = [record.of(a) for a in (flatten(args) if nested else args)]
        data = tuple(a for a, _ in held)
        data = unflatten(args, data) if nested else data
        weights = record.remedy(self, self.named_weights)
        own = [record.of(w) for w in weights.values()]
        p = {path: a for path, (a, _) in zip(weights, own)}
        ins = [n for _, n in (*held, *own)]
        with paused():
            noise = self.draw(training, *data)
            y, kept = self.apply(p, *data, mask=mask, training=training, noise=noise,
                                 keep=record.keep and any(n is not None for n in ins), **numbers(options))
            if record.strict:
                record.find_unplaced.append((self, kept))
            elif not record.probing:
                self.leave(kept)
        likes = None if is_array(y) else map_structure(lambda a: is_array(a) and is_floating(a.dtype), y)

        def back(dys, wanted):
            dy = dys[0] if likes is None else unflatten(likes, _fill(flatten(likes), dys))
            dargs, dp = (self.apply_back(p, kept, dy, _by_argument(data, wanted)) if plan.wanted
                         else self.apply_back(p, kept, dy))
            return [*align(data, dargs[:len(data)], self.who), *(dp.get(path) for path in weights)]
        return record.add(y, back, ins, self.name)

    def _with_mask(self, y, mask, args):
        with paused():
            found = self.compute_mask(numbers(args[0]), mask)
        if found is None:
            if mask is not None and not self.supports_masking:
                warnings.warn(f"layer {self.name!r} ({type(self).__name__}) was given a mask and does not support it: "
                              "later layers do not see it", stacklevel=4)
            return y
        leaves = flatten(y)
        every = [found] * len(leaves) if is_array(found) else align(y, found, f"{self.who}.compute_mask")
        return unflatten(y, [Value(a.data, a.record, a.number, m) if isinstance(a, Value) and a.mask is None else a
                             for a, m in zip(leaves, every)])

    # losses

    def add_loss(self, loss: Any) -> None:
        """Add a number to the loss of the model that this layer is in; for use in `call`."""
        record = CURRENT.get()
        if record is not None and record.probing:
            return
        if record is not None:
            record.losses.append(loss)
        serial, before = self._losses
        own = None if record is None else record.serial
        self._losses = own, [*(before if serial == own else ()), loss]

    def _add_activity(self, y):
        for a in flatten(y):
            if isinstance(a, Value) or is_array(a):
                loss = self.activity_regularizer(a)
                self.add_loss(loss / a.shape[0] if a.ndim else loss)

    @property
    def losses(self) -> list:
        """What regularizers of its weights, and the last call of it and of the layers in it, add to the loss."""
        record = CURRENT.get()
        found = [w.regularizer(w) for w in self.trainable_weights if w.regularizer is not None]
        for layer in self._all_layers():
            serial, losses = layer._losses
            if record is None or serial == record.serial:
                found += losses if record is not None else numbers(losses)
        return found

    # weights

    def add_weight(self, shape=None, initializer=None, dtype=None, trainable=True, *, regularizer=None,
                   constraint=None, name=None) -> Weight:
        """A weight with first values.

        initializer     a name, an object of rnnref.initializers, or a function (rng, shape) or (shape, dtype) -> array;
                        None: "glorot_uniform"
        regularizer     of rnnref.regularizers, or a function of the weight; what it gives is added to the losses
        constraint      of rnnref.constraints, or a function of the weight, applied after each update
        """
        name = _free(name or "variable", self._handles)
        dtype = self.dtype if dtype is None else numpy.dtype(dtype).name
        shape = () if shape is None else (shape,) if hasattr(shape, "__index__") else tuple(shape)
        a = configs.draw(f"{self.who}.{name}", initializer or "glorot_uniform", self.weight_rng, shape, dtype)
        return self._hold(name, a, trainable, regularizer, constraint)

    def _hold(self, name, a, trainable=True, regularizer=None, constraint=None) -> Weight:
        """A weight for this array."""
        self._values = self._values | {name: a}
        self._handles[name] = Weight(self, name, bool(trainable), regularizers.get(regularizer),
                                     constraints.get(constraint))
        return self._handles[name]

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for layer in self._sublayers().values():
            layer.trainable = value

    def _sublayers(self) -> dict:
        """{attribute: layer} in the order in which they became attributes; of those in lists and dicts "cells.0"."""
        found = {}
        for name, value in vars(self).items():
            if isinstance(value, Layer):
                found[name] = value
            elif isinstance(value, (list, tuple, dict)) and name not in _OWN:
                found |= {f"{name}.{k}": a for k, a in enumerate(flatten(value)) if isinstance(a, Layer)}
        return found

    def _all_layers(self) -> list:
        """This layer and all that are in it, each once."""
        found, todo = {}, [self]
        while todo:
            layer = todo.pop()
            if id(layer) not in found:
                found[id(layer)] = layer
                todo += reversed(layer._sublayers().values())
        return list(found.values())

    def named_weights(self) -> dict:
        """{path: weight}, each once: its own, trainable ones first, then those of the layers that it holds."""
        found, seen = {}, set()
        for prefix, layer in (("", None), *((f"{name}.", layer) for name, layer in self._sublayers().items())):
            held = sorted(self._handles.items(), key=_is_state) if layer is None else layer.named_weights().items()
            for path, w in held:
                if w.key not in seen:
                    seen.add(w.key)
                    found[prefix + path] = w
        return found

    weights = property(lambda self: list(self.named_weights().values()))
    variables = weights
    trainable_weights = property(lambda self: [w for w in self.weights if w.trainable])
    trainable_variables = trainable_weights
    non_trainable_weights = property(lambda self: [w for w in self.weights if not w.trainable])
    non_trainable_variables = non_trainable_weights
    weight_names = property(lambda self: [w.name for w in self.weights])
    path = property(lambda self: self._path or self.name)

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
        """The way back."""
        return tree

    def get_weights(self) -> list:
        """Copies of the weights, as Keras's own get_weights orders and lays them out; none before they are built."""
        return [w.numpy() for w in self.weights]

    def get_grads(self) -> list:
        """Copies of the gradients of the last backward, ordered and laid out as the weights."""
        grads = self._grads or {}
        return [numpy.array(asnumpy(grads[path])) for path in self.named_weights() if grads.get(path) is not None]

    def set_weights(self, weights: Any) -> None:
        """The weights from such a list."""
        weights = list(weights)
        if not all(layer.built for layer in self._all_layers()):
            self._build_from(weights)
        self._count(weights)
        taken = [configs.taken(self.who, w.name, a, w.dtype) for w, a in zip(self.weights, weights)]
        for w, a in zip(self.weights, taken):
            w.owner._check_weight(w.name, a)
        for w, a in zip(self.weights, taken):
            w.assign(a)

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
        """How many numbers the weights are."""
        return sum(w.size for w in self.weights)

    def to(self, where: str) -> "Layer":
        """Move the weights to the "cpu" or the "gpu"; returns the layer."""
        move = make_transfer(where)
        for layer in self._all_layers():
            layer._values = {name: move(a) for name, a in layer._values.items()}
        return self

    # building, and shapes

    def _build_for(self, args):
        """Build for such arguments, with the weights where they are."""
        if self.built:
            return
        with _BUILDING:
            if not self.built:
                for a in flatten(args[:1]):
                    if not hasattr(a, "shape"):
                        configs.taken(self.who, "x", a, self.dtype)            # which says what it is
                shapes = [_shapes(a) for a in args]
                self.build(*(shapes + [None] * _plan(type(self)).shapes)[:_plan(type(self)).shapes])
                if self._on_gpu(args):
                    self.to("gpu")

    @staticmethod
    def _on_gpu(args):
        return namespace(*(a.data if isinstance(a, Value) else a for a in flatten(args)
                           if not isinstance(a, Symbol))) is not numpy

    def compute_output_shape(self, *input_shape: Any) -> Any:
        """The shape of the outputs, None where any length will do; builds the layer if need be."""
        symbols = [_each_shape(lambda s: Symbol(s, self.dtype), shape) for shape in input_shape]
        return map_structure(lambda s: s.shape, self(*symbols))

    # configuration, copies

    def get_config(self) -> dict:
        """What `from_config` makes the same layer of, without its weights; it can be written as JSON."""
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype}
        if self.activity_regularizer is not None:
            config["activity_regularizer"] = configs.serialize(self.activity_regularizer)
        if type(self).get_config is Layer.get_config and type(self).__init__ is not Layer.__init__:
            args, options = self._given           # of a class that does not write its own
            bound = signature(type(self).__init__).bind(self, *args, **options)
            given = dict(list(bound.arguments.items())[1:])
            given |= given.pop(next((n for n, a in signature(type(self).__init__).parameters.items()
                                     if a.kind is Parameter.VAR_KEYWORD), ""), {})
            config |= {name: configs.serialize(value) for name, value in given.items()}
        return config

    @classmethod
    def from_config(cls, config: dict, custom_objects: Optional[dict] = None) -> "Layer":
        """The layer of such a configuration; one that Keras wrote will do.

        custom_objects   {class name: class} for classes that are not rnnref's
        """
        config = configs.of_keras2(config)
        return cls(**{name: configs.deserialize(value, custom_objects) for name, value in config.items()})

    def config_of(self, *names):
        return {name: configs.serialize(getattr(self, name)) for name in names}

    def fresh(self, **changes):
        """The same layer without weights, states and what it kept, with some attributes changed."""
        new = deepcopy(self, {id(self.tape): None, id(self._grads): None})
        vars(new).update(changes)
        for layer in new._all_layers():
            layer._forget()
        return new

    def _forget(self, stream=None):
        """No weights, and generators as new; another `stream`, a tuple, draws other numbers from the same seed."""
        self._stream = self._stream if stream is None else stream
        self._values, self._handles, self._grads, self.tape, self._losses = {}, {}, None, None, (None, [])
        self.built = type(self).build is Layer.build
        self._start_generators()

    def _start_generators(self):
        seeds = numpy.random.SeedSequence(self.seed, spawn_key=self._stream)
        self.weight_rng, self.noise_rng = (numpy.random.default_rng(s) for s in seeds.spawn(2))


class _Recorded(NamedTuple):
    """What the pair of a `call` keeps: its record, and the values in it."""
    record: Any; args: Any; y: Any; weights: dict; find_unplaced: tuple


class _Plan(NamedTuple):
    """How the methods of a class are called."""
    is_pair: bool                                 # it has apply and apply_back of its own
    order: tuple                                  # names of what a call takes by position
    arrays: tuple                                 # those among them that apply takes by position
    controls: tuple                                   # which of training and mask `call` takes
    shapes: int                                   # how many shapes build takes
    wanted: bool                                  # whether apply_back takes `wanted`
    makes_masks: bool


@lru_cache(None)
def _plan(cls: type) -> _Plan:
    is_pair = cls.apply is not Layer.apply
    names = _positional(cls.apply)[2:] if is_pair else _positional(cls.call)[1:]
    told = tuple(n for n in ("training", "mask") if not is_pair and n in signature(cls.call).parameters)
    order = cls._call_order or names
    return _Plan(is_pair, order, tuple(n for n in names if n not in ("training", "mask")), told,
                 len(_positional(cls.build)) - 1, "wanted" in signature(cls.apply_back).parameters,
                 cls.compute_mask is not Layer.compute_mask)


def _positional(f: Callable) -> tuple:
    return tuple(n for n, p in signature(f).parameters.items() if p.kind is Parameter.POSITIONAL_OR_KEYWORD)


def _sort(plan: _Plan, args: tuple, options: dict) -> tuple:
    """The arguments of a call: those that are arrays by position, the others by name, mask and training."""
    for k, name in enumerate(plan.order[:len(args)]):
        if name in ("mask", "training"):
            options = {**options, **dict(zip(plan.order[k:], args[k:]))}
            args = args[:k]
            break
    if args and isinstance(args[0], list) and not any(hasattr(a, "shape") for a in flatten(args[0])):
        args = configs.taken("layers", "x", args[0], None), *args[1:]          # numbers in lists
    if not options:
        return args, options, None, None
    options = dict(options)
    mask, training = options.pop("mask", None), options.pop("training", None)
    if plan.is_pair or not args:
        while any(name in options for name in plan.arrays[len(args):]):
            args = (*args, options.pop(plan.arrays[len(args)], None))
    return args, options, mask, training


def _fill(floating: list, dys: list) -> list:
    """Gradients of the floating leaves in their places, None elsewhere."""
    given = iter(dys)
    return [next(given) if is_floating else None for is_floating in floating]


def _by_argument(args: tuple, wanted: list) -> tuple:
    """For each of the arguments, nests of arrays, whether a gradient in it is asked for."""
    if not any(isinstance(a, (list, tuple, dict)) for a in args):
        return tuple(wanted[:len(args)])
    given = iter(wanted)
    return tuple(any([next(given) for _ in flatten(a)]) for a in args)


def _completing(build: Callable) -> Callable:
    """`build` of a class, with what is done around it."""
    @wraps(build)
    def whole(self, *args, **options):
        if self._in_build:                        # called by that of a subclass
            return build(self, *args, **options)
        with _BUILDING:
            self._path, self._in_build = "/".join((*SCOPE.get(), self.name)), True
            try:
                with inside(self):
                    build(self, *args, **options)
            finally:
                self._in_build = False
            self.built = True
    return whole


def _is_state(item: tuple) -> bool:
    """Whether a weight was never to be trained, a moving average for example."""
    return not item[1]._trainable


def _free(name: str, taken: dict) -> str:
    """The name, with a number behind it if it is taken."""
    found, n = name, 0
    while found in taken:
        n += 1
        found = f"{name}_{n}"
    return found


def _shapes(a: Any) -> Any:
    """The shapes of a nest of arrays, for any batch."""
    return map_structure(lambda x: (None, *x.shape[1:]) if hasattr(x, "shape") else None, a)


def _each_shape(f: Callable, shape: Any) -> Any:
    """`f` of every shape in a nest of them."""
    if isinstance(shape, dict):
        return {k: _each_shape(f, s) for k, s in shape.items()}
    if all(n is None or hasattr(n, "__index__") for n in shape):
        return f(tuple(shape))
    return type(shape)(_each_shape(f, s) for s in shape)
