"""The base class of optimizers, which updates all weights of one dtype by one kernel."""
from inspect import signature
from re import search
from typing import Any, Iterable, Optional, Sequence
from warnings import warn

import numpy

from ..arrays import namespace
from ..errors import NotSupported, ShapeError, describe_type
from ..identifiers import unique_name
from ..record import Gradients
from ..shards import current
from ..values import Arraylike
from ..variables import Variable
from . import schedules
from .buffers import Buffers
from .schedules import LearningRateSchedule

Array = Any


class Optimizer:
    """The rule by which gradients change weights; a subclass is one rule.

        optimizer.apply(record.backward(loss), model.trainable_weights)
        optimizer.apply([(w, gradients[w]) for w in weights])
        optimizer.apply_gradients(zip(gradients, weights))                # the last two take gradients as arrays

    learning_rate                  a number, a schedule, or a function without arguments
    weight_decay                   w -= weight_decay rate w before each update, but for weights that
                                   `exclude_from_weight_decay` names
    clipnorm | global_clipnorm     the largest norm of the gradient of a weight | of all gradients together
    clipvalue                      the largest entry of a gradient; one of the three
    use_ema                        keep averages of the weights, a = ema_momentum a + (1 - ema_momentum) w; they become
                                   the weights every ema_overwrite_frequency steps, and in `finalize_variable_values`
    loss_scale_factor              gradients are divided by it: they are those of `scale_loss(loss)`
    gradient_accumulation_steps    n: the mean gradient of n calls changes the weights in every n-th

    A rule of your own is `slots`, `numbers` and `update`:

        slots                       names of the arrays that it keeps beside each weight, in groups; a group lies in
                                    `variables` weight by weight
        numbers(t, rate, dtype)     those of step t = 1, 2, ... that `update` is given, the rate unless defined
        update(xp, w, d, *slots, *numbers) -> w, *slots      elementwise, of all weights at once; xp is numpy or cupy

    Weights of one dtype lie end to end in one array, of which each is a view, and so do their slots.  `update` is one
    kernel on a GPU.  It makes new arrays: what a record kept of the old weights stays as it was.

    Frozen weights are skipped; weights without a gradient too, with a warning that names them.  Constraints of weights
    are applied after the update.

    `variables` are those of Keras 3 in their order: iteration, learning_rate (if it is a number), averages, accumulated
    gradients, slots.  `save_own_variables(store)` puts them into a dict of arrays under "0", "1", ..., as the group
    optimizer/vars of Keras's files has them.

    Raises NotSupported for options and gradients that cannot be.

    >>> import numpy as np
    >>> from rnnref.layers import Layer
    >>> class Signs(Optimizer):
    ...     def update(self, xp, w, d, rate):
    ...         return w - rate * xp.sign(d),
    >>> w = Layer(name="mine").add_weight((2,), "ones", name="w")
    >>> Signs(0.5).apply([(w, np.array([3.0, -2.0]))])
    >>> w.numpy()
    array([0.5, 1.5], dtype=float32)
    """

    slots: tuple = ()                             # groups of names
    first_values: dict = {}                       # {slot: what it is full of at first}, 0 unless given

    def __init__(self, learning_rate: Any, weight_decay: Optional[float] = None, clipnorm: Optional[float] = None,
                 clipvalue: Optional[float] = None, global_clipnorm: Optional[float] = None, use_ema: bool = False,
                 ema_momentum: float = 0.99, ema_overwrite_frequency: Optional[int] = None,
                 loss_scale_factor: Optional[float] = None, gradient_accumulation_steps: Optional[int] = None,
                 name: Optional[str] = None, **unknown: Any):
        for option, value in unknown.items():
            raise NotSupported(f"optimizers.{type(self).__name__}", f"{option}={value!r}", known=", ".join(_options_of(
                type(self))), fix=_RENAMED.get(option))
        self.name = name or unique_name(type(self).__name__)
        self.weight_decay, self.use_ema = weight_decay, bool(use_ema)
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.ema_momentum, self.ema_overwrite_frequency = ema_momentum, ema_overwrite_frequency
        self.loss_scale_factor = loss_scale_factor
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self._check()
        self.built = False
        self._iterations = Variable(numpy.zeros((), "int32"), "iteration", f"{self.name}/iteration")
        self._rate: Any = None
        self._weights: list = []
        self._buffers: list = []
        self._excluded: tuple = (), ()
        self._set_rate(learning_rate)

    def _check(self) -> None:
        who = f"optimizers.{type(self).__name__}"
        for name in "weight_decay clipnorm clipvalue global_clipnorm loss_scale_factor".split():
            value = getattr(self, name)
            if value is not None and (not _is_number(value) or value < 0):
                raise NotSupported(who, f"{name}={value!r}", known="None, or a number that is not negative")
        given = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(given) > 1:
            raise NotSupported(who, f"{' and '.join(given)} together", fix="one of them")
        if not 0 <= self.ema_momentum <= 1:
            raise NotSupported(who, f"ema_momentum={self.ema_momentum!r}", known="a number from 0 to 1")
        for name, least in (("ema_overwrite_frequency", 1), ("gradient_accumulation_steps", 2)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise NotSupported(who, f"{name}={value!r}", known=f"None, or an integer of at least {least}")

    # the rule

    def numbers(self, t: int, rate: float, dtype: Any) -> tuple:
        """The numbers of step t that `update` takes after the arrays, of weights in this dtype."""
        return rate,

    def update(self, xp: Any, w: Array, d: Array, *rest: Any) -> tuple:
        """New weights and slots, computed from weights, gradients, slots and numbers."""
        raise NotImplementedError(f"{type(self).__name__} defines no update")

    # numbers of the optimizer

    @property
    def iterations(self) -> Variable:
        """How many updates there were."""
        n = self.gradient_accumulation_steps
        return Variable(self._iterations.data // n, "iteration") if n else self._iterations

    @property
    def learning_rate(self) -> Any:
        """The rate of the next update; a number may be set."""
        if isinstance(self._rate, LearningRateSchedule):
            return self._rate(int(self._iterations))
        return self._rate if isinstance(self._rate, Variable) else self._rate()

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        if isinstance(self._rate, LearningRateSchedule) and not callable(rate):
            raise NotSupported(f"optimizers.{type(self).__name__}", f"learning_rate={rate!r} in place of a schedule",
                               fix="an optimizer whose learning_rate is a number can be given another")
        self._set_rate(rate)

    def _set_rate(self, rate: Any) -> None:
        if isinstance(rate, dict):
            rate = schedules.deserialize(rate)
        if callable(rate) and not isinstance(rate, Arraylike):
            self._rate = rate
        elif not _is_number(rate):
            raise NotSupported(f"optimizers.{type(self).__name__}", f"learning_rate={rate!r}",
                               known="a number, a schedule of optimizers.schedules, a function without arguments")
        elif isinstance(self._rate, Variable):
            self._rate.assign(float(rate))
        else:
            self._rate = Variable(numpy.asarray(float(rate)), "learning_rate", f"{self.name}/learning_rate")

    @property
    def variables(self) -> list:
        """The numbers and arrays that change from step to step, in Keras's order."""
        found = [self._iterations] + [self._rate] * isinstance(self._rate, Variable)
        for group in self._groups():
            for w in self._weights:
                found += [self._buffer_of[w.key].variable(w, name) for name in group]
        return found

    def _groups(self) -> list:
        return [("average",)] * self.use_ema + [("gradient_accumulator",)] * bool(self.gradient_accumulation_steps) + [
            *self.slots]

    def scale_loss(self, loss: Any) -> Any:
        """The loss times loss_scale_factor, for gradients that float16 would lose."""
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def exclude_from_weight_decay(self, var_list: Optional[Sequence] = None,
                                  var_names: Optional[Sequence[str]] = None) -> None:
        """Weights that do not decay: these, and those with one of these patterns in their name."""
        if self.built:
            raise NotSupported(f"optimizers.{type(self).__name__}", "exclude_from_weight_decay after the first update",
                               fix="call it before")
        self._excluded = tuple(w.key for w in var_list or ()), tuple(var_names or ())

    def _decays(self, w: Any) -> bool:
        keys, patterns = self._excluded
        return w.key not in keys and not any(search(p, w.name) for p in patterns)

    # an update

    def build(self, variables: Sequence) -> None:
        """Make the slots of these weights; frozen ones are left out."""
        if self.built:
            return
        for w in variables:
            if not hasattr(w, "replace"):
                raise NotSupported(f"optimizers.{type(self).__name__}", f"{describe_type(w)} as a weight",
                                   known="weights of layers")
        self._weights = [w for w in variables if w.trainable]
        kinds: dict = {}
        for w in self._weights:
            kinds.setdefault((w.dtype, namespace(w.data)), []).append(w)
        names = [name for group in self._groups() for name in group]
        self._buffers = [Buffers(ws, {name: self.first_values.get(name, 0) for name in names},
                                 [float(self._decays(w)) for w in ws], self.name) for ws in kinds.values()]
        self._buffer_of = {w.key: b for b in self._buffers for w in b.weights}
        self.built = True

    def apply_gradients(self, grads_and_vars: Iterable) -> Variable:
        """Change weights by pairs (gradient, weight); returns the number of iterations."""
        grads, weights = zip(*grads_and_vars)
        self.apply(grads, weights)
        return self._iterations

    def apply(self, grads: Any, trainable_variables: Optional[Iterable] = None) -> None:
        """Change weights by gradients.

        grads                  arrays, what `record.backward` gives, or pairs (weight, gradient)
        trainable_variables    the weights; those of `build` unless given
        """
        found = self._by_key(grads, trainable_variables)
        if not found:
            return
        flat = [b.join([found.get(w.key) for w in b.weights]) for b in self._buffers]
        shard = current()
        if shard is not None:                     # gradients by the rows of each process add up
            flat = [shard.total(d) for d in flat]
        if self.loss_scale_factor:
            flat = [d / self.loss_scale_factor for d in flat]
        n, due = self.gradient_accumulation_steps, True
        if n:
            due = (int(self._iterations) + 1) % n == 0
            flat = [self._accumulate(b, d, due) for b, d in zip(self._buffers, flat)]
        if due:
            t, rate = int(self.iterations) + 1, float(self.learning_rate)
            decay = None if self.weight_decay is None else self.weight_decay * rate
            for b, d in zip(self._buffers, self._clip(flat)):
                b.update(self, d, self.numbers(t, rate, b.dtype), decay, found)
        if self.use_ema:
            self._average()
        if due or self.use_ema:
            for b in self._buffers:
                b.constrain(found)
        self._iterations.assign(self._iterations.data + 1)

    def _by_key(self, grads: Any, weights: Optional[Iterable]) -> dict:
        """{key of a weight: its gradient}, after the checks."""
        who = f"optimizers.{type(self).__name__}"
        weights = None if weights is None else list(weights)
        if isinstance(grads, Gradients):
            weights = self._weights if weights is None else weights
            grads = [grads[w] if w.trainable else None for w in weights]
        grads = list(grads)
        if weights is None and grads and isinstance(grads[0], (tuple, list)):
            weights, grads = [w for w, _ in grads], [d for _, d in grads]
        if weights is None:
            if not self.built:
                raise NotSupported(who, "gradients without weights before build", fix="apply(grads, weights)")
            weights = self._weights
        for w in weights:
            if not isinstance(w, Arraylike):
                raise NotSupported(who, f"{describe_type(w)} in the place of a weight", fix="apply(gradients, "
                                   "weights), apply([(weight, gradient)]), apply_gradients([(gradient, weight)])")
        if len(grads) != len(weights):
            raise ShapeError(who, f"{len(grads)} gradients for {len(weights)} weights")
        pairs = [(w, d) for w, d in zip(weights, grads) if w.trainable]
        if not self.built:
            self.build([w for w, _ in pairs])
        for w, _ in pairs:
            if w.key not in self._buffer_of:
                raise NotSupported(who, f"{w.path} is not among the weights of the first update", fix="an optimizer "
                                   "for each list of weights, or build(weights) with all of them")
        missing = [w.path for w, d in pairs if d is None]
        if missing and len(missing) == len(pairs):
            raise ShapeError(who, "none of the weights has a gradient", weights=" ".join(missing),
                             fix="compute the loss of them while the record is open")
        if missing:
            warn(f"{who}: no gradient for {', '.join(missing)}: what was differentiated does not depend on them",
                 stacklevel=3)
        return {w.key: d for w, d in pairs if d is not None}

    def _accumulate(self, b: Buffers, d: Array, due: bool) -> Array:
        """The mean gradient of n calls in the last of them; the sum so far before."""
        d = b.slots["gradient_accumulator"] + d
        b.slots["gradient_accumulator"] = namespace(d).zeros_like(d) if due else d
        return d / self.gradient_accumulation_steps if due else d

    def _clip(self, flat: list) -> list:
        if self.clipvalue:
            return [namespace(d).clip(d, -self.clipvalue, self.clipvalue) for d in flat]
        if self.clipnorm:
            for b, d in zip(self._buffers, flat):
                for part in b.segments:
                    d[part] *= _shrink((d[part] * d[part]).sum(), self.clipnorm)
        if self.global_clipnorm:
            sums = [(d * d).sum() for d in flat]
            total = sum(sums[1:], sums[0])
            return [d * _shrink(total, self.global_clipnorm).astype(d.dtype) for d in flat]
        return flat

    # averages of the weights

    def _average(self) -> None:
        step = int(self.iterations)
        momentum = self.ema_momentum if step else 0.0
        n = self.ema_overwrite_frequency
        for b in self._buffers:
            b.average(momentum)
            if n and (step + 1) % n == 0:
                b.scatter(b.slots["average"])

    def finalize_variable_values(self, var_list: Optional[Sequence] = None) -> None:
        """Put the averages in the place of the weights, at the end of training with use_ema."""
        if self.use_ema and self.built:
            for b in self._buffers:
                b.scatter(b.slots["average"])

    # configuration and files

    def get_config(self) -> dict:
        """The arguments from which `from_config` makes the same optimizer."""
        rate = self._rate
        if isinstance(rate, LearningRateSchedule):
            rate = schedules.serialize(rate)
        elif isinstance(rate, Variable):
            rate = float(rate)
        return {"name": self.name, "learning_rate": rate, **{name: getattr(self, name) for name in (
            "weight_decay clipnorm global_clipnorm clipvalue use_ema ema_momentum ema_overwrite_frequency "
            "loss_scale_factor gradient_accumulation_steps".split())}}

    @classmethod
    def from_config(cls, config: dict, custom_objects: Optional[dict] = None) -> "Optimizer":
        """The optimizer of such a configuration."""
        rate = config.get("learning_rate")
        return cls(**config | {"learning_rate": schedules.deserialize(rate, custom_objects)} if isinstance(rate, dict)
                   else config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}, {int(self._iterations)} iterations>"

    def save_own_variables(self, store: Any) -> None:
        """Put copies of `variables` into a dict, under "0", "1", ... as Keras does."""
        for k, v in enumerate(self.variables):
            store[str(k)] = v.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Take `variables` from such a dict; the optimizer has to be built.

        Raises ShapeError for another number of variables, and for other shapes; nothing has changed then.
        """
        self.set_weights([store[str(k)] for k in range(len(store.keys()))])

    def set_weights(self, weights: Sequence) -> None:
        """Put arrays in the place of `variables`."""
        variables = self.variables
        arrays = [numpy.asarray(a) for a in weights]
        if [a.shape for a in arrays] != [v.shape for v in variables]:
            raise ShapeError(f"optimizers.{type(self).__name__}", f"{len(arrays)} arrays of shapes "
                             f"{[a.shape for a in arrays]}, expected {len(variables)} of "
                             f"{[tuple(v.shape) for v in variables]}", fix="build(weights) first, with the weights "
                             "and the options that it was saved with")
        for v, a in zip(variables, arrays):
            v.assign(a)


_RENAMED = {"lr": "learning_rate=", "decay": "a schedule as learning_rate=, or weight_decay="}


def _options_of(rule: type) -> list:
    """The arguments of a rule, its own first."""
    names = [name for cls in rule.__mro__[:-1] for name, p in signature(cls).parameters.items()
             if p.kind is p.POSITIONAL_OR_KEYWORD]
    return list(dict.fromkeys(names))


def _is_number(a: Any) -> bool:
    return isinstance(a, (int, float, numpy.integer, numpy.floating, Variable)) and not isinstance(a, bool) or (
        isinstance(a, numpy.ndarray) and a.ndim == 0)


def _shrink(square: Array, limit: float) -> Array:
    """limit / max(norm, limit), of the square of a norm, on its device."""
    xp = namespace(square)
    return limit / xp.maximum(xp.sqrt(square), limit)
