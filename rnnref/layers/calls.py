"""Calls of layers: how a class is called, and what a call enters in the open record.

In a record a layer with a pair is one entry; `call` of any other runs on values, and makes entries of its own.
"""
import warnings
from functools import wraps
from inspect import Parameter, signature
from threading import RLock
from typing import Any, Callable, NamedTuple

import numpy

from ..arrays import is_array, is_floating
from ..errors import Error, InvalidType
from ..nest import align, flatten, map_structure, unflatten
from ..options import suggest
from ..record import Record, paused
from ..symbols import Symbol
from ..values import Value, functions, masks, numbers
from .config import taken
from .weight import SCOPE, inside

BUILDING = RLock()                                # a layer is built once, whichever thread is first
_PLANS: dict = {}


class Plan(NamedTuple):
    """How the methods of a class are called."""
    is_pair: bool                                 # its apply and apply_back run, and not its `call`
    order: tuple                                  # names of what a call takes by position
    arrays: tuple                                 # those among them that apply takes by position
    controls: tuple                                   # which of training and mask `call` takes
    shapes: int                                   # how many shapes build takes
    wanted: bool                                  # whether apply_back takes `wanted`
    makes_masks: bool
    who: str
    names: Any                                    # of all that a call takes; None: any
    least: tuple                                  # those by position without a default
    most: Any                                     # how many by position; None: any number
    takes_one: bool                               # whether one array by position, and no more, is a whole call


def plan_of(cls: Any, as_pair: bool = False) -> Plan:
    """The plan of a class of layers; as_pair: that of its pair, though it has a `call` too."""
    found = _PLANS.get((cls, as_pair))
    if found is None:
        found = _PLANS[cls, as_pair] = _make_plan(cls, as_pair)
    return found


def _make_plan(cls: Any, as_pair: bool) -> Plan:
    is_pair = as_pair or has_pair(cls) and not _overrides(cls)
    names = _positional(cls.apply)[2:] if is_pair else _positional(cls.call)[1:]
    told = tuple(n for n in ("training", "mask") if not is_pair and n in signature(cls.call).parameters)
    arrays = tuple(n for n in names if n not in ("training", "mask"))
    order = cls._call_order or names if is_pair else names
    taken_by = signature(cls.apply if is_pair else cls.call).parameters.values()
    kinds = {p.kind for p in taken_by}
    known = {*(p.name for p in taken_by), "mask", "training"} - {"self", *(("p", "noise", "keep") if is_pair else ())}
    least = tuple(p.name for p in taken_by if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty
                  and p.name in names and p.name not in ("training", "mask"))
    return Plan(is_pair, order, arrays, told, len(_positional(cls.build)) - 1,
                "wanted" in signature(cls.apply_back).parameters, "compute_mask" in _defined(cls),
                f"layers.{cls.__name__}", None if Parameter.VAR_KEYWORD in kinds else known, least,
                None if Parameter.VAR_POSITIONAL in kinds else len(order),
                len(least) <= 1 and order[:1] == arrays[:1] != ())


def has_pair(cls: Any) -> bool:
    """Whether a class, or one that it is derived from, has a pair of its own."""
    return "apply" in _defined(cls)


def _defined(cls: Any) -> set:
    """The names that this class and its bases below Layer define."""
    return {name for base in cls.__mro__[:-2] for name in vars(base)}


def _overrides(cls: Any) -> bool:
    """Whether `call` is defined by a class that is derived from the one with the pair."""
    return next(name for base in cls.__mro__ for name in ("apply", "call") if name in vars(base)) == "call"


def _positional(f: Callable) -> tuple:
    return tuple(n for n, p in signature(f).parameters.items() if p.kind is Parameter.POSITIONAL_OR_KEYWORD)


def sort(plan: Plan, args: tuple, options: dict) -> tuple:
    """Sort the arguments of a call: arrays by position, others by name, mask and training."""
    if plan.takes_one and not options and len(args) == 1 and type(args[0]) is numpy.ndarray:
        return args, options, None, None          # as most calls are
    _check_call(plan, args, options)
    for k, name in enumerate(plan.order[:len(args)]):
        if name in ("mask", "training"):
            options = {**options, **dict(zip(plan.order[k:], args[k:]))}
            args = args[:k]
            break
    if args and isinstance(args[0], list) and not any(hasattr(a, "shape") for a in flatten(args[0])):
        args = taken("layers", "x", args[0], None), *args[1:]                  # numbers in lists
    if not options:
        return args, options, None, None
    options = dict(options)
    mask, training = options.pop("mask", None), options.pop("training", None)
    if plan.is_pair or not args:
        while any(name in options for name in plan.arrays[len(args):]):
            args = (*args, options.pop(plan.arrays[len(args)], None))
    return args, options, mask, training


def _check_call(plan: Plan, args: tuple, options: dict) -> None:
    """Raise InvalidType unless a call has the arguments that its class takes."""
    if plan.most is not None and len(args) > plan.most:
        raise InvalidType(plan.who, f"called with {len(args)} arguments by position, expected at most {plan.most}: "
                          f"{', '.join(plan.order)}",
                          hint="several arrays are one argument, a list" if plan.most == 1 else "")
    for name in options if plan.names is not None else ():
        if name not in plan.names:
            raise InvalidType(plan.who, f"no argument of a call is called {name}",
                              fix=suggest(name, sorted(plan.names)))
    for name in plan.least[len(args):]:
        if name not in options:
            raise InvalidType(plan.who, f"called without {name}")


def enter(layer: Any, record: Any, args: tuple, options: dict, plan: Plan) -> Any:
    """Record a call: its results with values in the place of arrays, with their masks."""
    args, options, mask, training = sort(plan, args, options)
    layer._build_for(args)
    training = record.training if training is None else bool(training)
    mask = masks(args[0]) if mask is None and args else numbers(mask)
    y = (_enter_pair if plan.is_pair else _enter_call)(layer, plan, record, args, options, mask, training)
    if layer.activity_regularizer is not None:
        layer._add_activity(y)
    if mask is None and not plan.makes_masks:
        return y
    return _with_mask(layer, plan, y, mask, args)


def _enter_call(layer: Any, plan: Any, record: Any, args: Any, options: Any, mask: Any, training: bool) -> Any:
    def value(a: Any) -> Any:
        a = Value(a, record.serial) if is_array(a) else a
        if layer._autocast and isinstance(a, Value) and a.dtype.name != layer.dtype and is_floating(a.dtype):
            b = functions.cast(a, layer.dtype)
            return Value(b.data, record.serial, b.number, a.mask)
        return a
    outer, scope = record.training, SCOPE.get()
    token = SCOPE.set(scope if layer._in_build else (*scope, layer.name))
    record.training = training
    try:
        told = {name: a for name, a in (("training", training), ("mask", mask)) if name in plan.controls}
        return layer.call(*map_structure(value, args), **told, **map_structure(value, options))
    finally:
        record.training = outer
        SCOPE.reset(token)


def _enter_pair(layer: Any, plan: Any, record: Any, args: Any, options: Any, mask: Any, training: bool) -> Any:
    """The pair as one entry of the record."""
    nested = any(isinstance(a, (list, tuple, dict)) for a in args)
    held = [record.of(a) for a in (flatten(args) if nested else args)]
    data = tuple(a for a, _ in held)
    data = unflatten(args, data) if nested else data
    weights = record.once(layer, layer.named_weights)
    own = [record.of(w) for w in weights.values()]
    p = {path: a for path, (a, _) in zip(weights, own)}
    ins = [n for _, n in (*held, *own)]
    with paused():
        noise = layer.draw(training, *data)
        y, kept = layer.apply(p, *data, mask=mask, training=training, noise=noise,
                              keep=record.keep and any(n is not None for n in ins), **numbers(options))
        if record.strict:
            record.pending.append((layer, kept))
        elif not record.probing:
            layer.leave(kept)
    likes = None if is_array(y) else map_structure(lambda a: is_array(a) and is_floating(a.dtype), y)

    def back(dys: Any, wanted: Any) -> list:
        dy = dys[0] if likes is None else unflatten(likes, _fill(flatten(likes), dys))
        dargs, dp = (layer.apply_back(p, kept, dy, _by_argument(data, wanted, len(held))) if plan.wanted
                     else layer.apply_back(p, kept, dy))
        return [*align(data, dargs[:len(data)], layer.who), *(dp.get(path) for path in weights)]
    return record.add(y, back, ins, layer.name)


def _with_mask(layer: Any, plan: Any, y: Any, mask: Any, args: Any) -> Any:
    with paused():
        found = layer.compute_mask(numbers(args[0]), mask)
    if found is None:
        if mask is not None and not layer.supports_masking:
            warnings.warn(f"layer {layer.name!r} ({type(layer).__name__}) was given a mask and does not support it: "
                          "later layers do not see it", stacklevel=5)
        return y
    leaves = flatten(y)
    every = [found] * len(leaves) if is_array(found) else align(y, found, f"{layer.who}.compute_mask")
    return unflatten(y, [Value(a.data, a.record, a.number, m) if isinstance(a, Value) and a.mask is None else a
                         for a, m in zip(leaves, every)])


class Recorded(NamedTuple):
    """What the pair of a `call` keeps: its record, and the values in it."""
    record: Any; args: Any; y: Any; weights: dict
    who: str
    pending: tuple                                # (layer, kept) of layers inside whose `leave` is still to be called

    def backward(self, dy: Any, wanted: Any = None) -> tuple:
        """The gradients of the arguments, nested as they are, and {path: gradient} of the weights."""
        *of_args, of_weights = wanted or (True,) * (len(self.args) + 1)
        args = [arg if asked else map_structure(lambda a: None, arg) for arg, asked in zip(self.args, of_args)]
        weights = {path: w for path, w in self.weights.items() if w.trainable and of_weights}
        asked = None if wanted is None else [*(a for a in flatten(args) if isinstance(a, Value)), *weights.values()]
        found = self.record.backward(self.y, unflatten(self.y, align(self.y, dy, self.who)), wanted=asked)
        dargs = map_structure(lambda a: found[a] if isinstance(a, Value) else None, tuple(args))
        return dargs, {path: found[w] for path, w in weights.items()}


def record_call(layer: Any, p: dict, args: tuple, mask: Any, training: bool, keep: bool, options: dict) -> tuple:
    """`apply` of a class that has `call` alone: a record in which its weights are the values of p."""
    held = layer.named_weights()
    with Record(keep, bool(training), {w.key: p[path] for path, w in held.items()}) as record:
        values = map_structure(lambda a: record.leaf(a) if is_array(a) else a, args)
        y = enter(layer, record, values, options | ({} if mask is None else {"mask": mask}), plan_of(type(layer)))
    return numbers(y), Recorded(record, values, y, held, layer.who, tuple(record.pending))


def _fill(floating: list, dys: list) -> list:
    """Gradients of the floating leaves in their places, None elsewhere."""
    given = iter(dys)
    return [next(given) if is_floating else None for is_floating in floating]


def _by_argument(args: tuple, wanted: list, n: int) -> tuple:
    """For each of the arguments, nests of n arrays in all, then for the weights, whether a gradient is asked for."""
    given = iter(wanted)
    return *(any([next(given) for _ in flatten(a)]) for a in args), any(wanted[n:])


class SymbolicCalls(list):
    """The calls of a layer with symbols.  A copy of the layer has none."""

    def add(self, outs: Any) -> Any:
        """The call that gave these symbols; returns them."""
        call: Any = next(s.call for s in flatten(outs) if isinstance(s, Symbol))
        call.index = len(self)
        self.append(call)
        return outs

    def first(self, who: str) -> Any:
        """The first call; raises if there is none."""
        if not self:
            raise Error(who, "it has neither input nor output: it was not called with symbols",
                        fix="layer(rnnref.Input(shape)), or a model of such")
        return self[0]

    def __deepcopy__(self, memo: dict) -> "SymbolicCalls":
        return SymbolicCalls()


def completing(build: Callable) -> Callable:
    """`build` of a class, which also gives paths to the weights and sets `built` at its end."""
    @wraps(build)
    def whole(self: Any, *args: Any, **options: Any) -> Any:
        if self._in_build:                        # called by that of a subclass
            return build(self, *args, **options)
        with BUILDING:
            self._path, self._in_build = "/".join((*SCOPE.get(), self.name)), True
            try:
                with inside(self):
                    build(self, *args, **options)
            finally:
                self._in_build = False
            self.built = True
    return whole
