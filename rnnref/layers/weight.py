"""Weights as handles, and the names of layers."""
from contextlib import contextmanager
from contextvars import ContextVar
from operator import is_
from typing import Any, Callable, Iterator, NamedTuple, Optional

import numpy

from ..arrays import is_array, namespace
from ..errors import Error, ShapeError, StructureError, describe_type
from ..identifiers import clear_names, unique_name  # noqa: F401
from ..nest import flatten
from ..values import Arraylike
from . import config as configs
from .derived import derived, forget_derived, last_change

SCOPE: ContextVar = ContextVar("scope", default=())       # the names of the layers whose build or call is running


class Weight(Arraylike):
    """A handle for an array that a layer owns: a variable of Keras, with its name, shape and order of columns.

    owner          the layer; its array stands in `owner._values[name]`
    trainable      whether it gets a gradient; never while the layer is not trainable
    regularizer    what is added to the loss for it; constraint: what an optimizer puts in its place after an update
    path           "lstm/lstm_cell/kernel", the names of the layers around it first

    Used as an array, it is a value of the open record.

    >>> import numpy as np
    >>> from rnnref.layers import Layer
    >>> w = Layer(name="mine").add_weight((2,), "ones", name="scale")
    >>> w.assign([1, 2])
    >>> w.path, w.shape, w.numpy(), np.exp(w - w)
    ('mine/scale', (2,), array([1., 2.], dtype=float32), array([1., 1.], dtype=float32))
    """

    def __init__(self, owner: Any, name: str, trainable: bool = True, regularizer: Optional[Callable] = None,
                 constraint: Optional[Callable] = None):
        self.owner, self.name, self._trainable = owner, name, trainable
        self.regularizer, self.constraint = regularizer, constraint
        self.key = object()                       # a copy of the layer has another

    data = property(lambda self: self.owner._values[self.name])
    value = data
    path = property(lambda self: f"{self.owner.path}/{self.name}")

    def __repr__(self) -> str:
        return f"<Weight {self.path} {tuple(self.shape)} {self.dtype}>"

    @property
    def trainable(self) -> bool:
        return self._trainable and self.owner.trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        forget_derived(self.owner)                # the order of its weights

    def assign(self, a: Any) -> None:
        """Replace the array by a copy of `a`, in the same dtype and on the same device."""
        old, a = self.data, a.data if isinstance(a, Arraylike) else a
        a = a if is_array(a) else numpy.asarray(a)
        if a.shape != old.shape:
            raise ShapeError(self.path, f"assigned an array of shape {a.shape}, expected {old.shape}")
        new = a if namespace(a) is namespace(old) else namespace(old).asarray(a)
        self.replace(new.astype(old.dtype, order="C"))      # a copy, always; each call would lay out another order anew

    def replace(self, a: Any) -> None:
        """Replace the array by `a` itself; it must not be written into afterwards, since records keep it."""
        self.owner._values = self.owner._values | {self.name: a}

    def assign_add(self, a: Any) -> None:
        """Add `a` to it."""
        self.assign(self.data + (a.data if isinstance(a, Arraylike) else a))

    def assign_sub(self, a: Any) -> None:
        """Subtract `a` from it."""
        self.assign(self.data - (a.data if isinstance(a, Arraylike) else a))


@contextmanager
def inside(layer: Any) -> Iterator[None]:
    """While this context is open, weights get paths that begin with that of this layer."""
    token = SCOPE.set((*SCOPE.get(), layer.name))
    try:
        yield
    finally:
        SCOPE.reset(token)


OWN = {"_core", "_derived", "_values", "_handles", "_given", "_grads", "_losses", "tape", "carried", "_calls",
       "_built_for", "_compile_arguments", "_held_metrics"}      # no layers in these


_NO_LAYERS = {str, int, float, bool, tuple, type(None), numpy.ndarray}


def sublayers(layer: Any) -> dict:
    """{attribute: layer} of the layers among the attributes of a layer; those in lists and dicts are "cells.0"."""
    found = derived(layer).get("sublayers")
    if found is not None:
        return found
    found, fixed, dtype = {}, True, vars(layer).get("dtype")
    for name, value in list(vars(layer).items()):
        if isinstance(value, (list, tuple, dict)):
            if name not in OWN:
                each = [(k, layer_in(a, dtype)) for k, a in enumerate(flatten(value))]
                found |= {f"{name}.{k}": one for k, one in each if one is not None}
                fixed = fixed and type(value) is tuple and _NO_LAYERS.issuperset(map(type, value))
        elif (one := layer_in(value, dtype)) is not None:
            found[name], fixed = one, fixed and one is value
    if fixed:                                     # what stands in a list or a dict can change without being set
        derived(layer)["sublayers"] = found
    return found


def layer_in(a: Any, dtype: Any = None) -> Any:
    """The layer that an attribute is, or that holds the variables of a cell of rnnref.tf1; else None.

    dtype    of a cell that has no variables yet
    """
    if type(a) in _NO_LAYERS:                     # most attributes
        return None
    if hasattr(type(a), "named_weights"):
        return a
    if not hasattr(type(a), "load_variables"):
        return None
    from .cell import TfCell  # cell.py imports this module
    return TfCell.of(a, dtype)


def all_layers(layer: Any) -> list:
    """A layer and all layers in it, each once."""
    found: dict = {}
    todo = [layer]
    while todo:
        one = todo.pop()
        if id(one) not in found:
            found[id(one)] = one
            todo += reversed(one._sublayers().values())
    return list(found.values())


def named_weights(layer: Any) -> dict:
    """{path: weight} of a layer and of those in it, each once; its own trainable ones first.  Not to be changed."""
    layers, held = layer._sublayers(), derived(layer).get("weights")
    inside = [one.named_weights() for one in layers.values()] if layers else []
    if held is not None and held[0] == [*layers] and all(map(is_, held[1], inside)):
        return held[2]
    found, seen = {}, set()
    own = sorted(layer._handles.items(), key=lambda item: not item[1]._trainable)
    for path, w in (*own, *((f"{name}.{path}", w) for name, ws in zip(layers, inside) for path, w in ws.items())):
        if w.key not in seen:
            seen.add(w.key)
            found[path] = w
    derived(layer)["weights"] = [*layers], inside, found
    return found


def arrays(layer: Any) -> dict:
    """{path: array} of its weights: the same dict, which is not to be changed, until one has another array."""
    now, held = last_change(), derived(layer).get("arrays")
    if held is not None and held.change is not now:
        same = held.weights is layer.named_weights()
        held = held._replace(change=held.change and _lasting(layer, now)) if same else None
        derived(layer)["arrays"] = held
    if held is not None and all(map(is_, [owner._values for owner in held.owners], held.values)):
        return held.found
    weights = layer.named_weights()
    owners = list({id(w.owner): w.owner for w in weights.values()}.values())
    values = [owner._values for owner in owners]
    found = {path: w.owner._values[w.name] for path, w in weights.items()}
    derived(layer)["arrays"] = _Arrays(_lasting(layer, now), weights, owners, values, found)
    return found


class _Arrays(NamedTuple):
    """What `arrays` keeps."""
    change: Any                                   # the last one when the weights were listed; None: list them again
    weights: dict
    owners: list
    values: list                                  # of the owners
    found: dict


def _lasting(layer: Any, change: object) -> Optional[object]:
    """The change, unless layers may come and go without one: in a list or a dict."""
    return change if all("sublayers" in derived(one) for one in layer._all_layers()) else None


def split_weights(layer: Any) -> tuple:
    """The weights that are trained, and those that are not.

    As in Keras, what is in a layer that is not trainable is not trained, even in layers that are trainable themselves.
    """
    kept, todo = set(), [layer]
    while todo:
        one = todo.pop()
        if one.trainable:
            kept |= {w.key for w in one._handles.values() if w.trainable}
            todo += one._sublayers().values()
    weights = layer.weights
    return [w for w in weights if w.key in kept], [w for w in weights if w.key not in kept]


def free_name(name: str, taken: dict) -> str:
    """The name, with a number behind it if it is taken."""
    found, n = name, 0
    while found in taken:
        n += 1
        found = f"{name}_{n}"
    return found


def set_weights(layer: Any, weights: Any) -> None:
    """Set the weights from a list as `get_weights` gives it; if one does not fit, none is changed."""
    if not hasattr(weights, "__iter__") or isinstance(weights, (str, dict)):
        raise StructureError(layer.who, f"weights is {describe_type(weights)}, expected a list of arrays",
                             names=" ".join(layer.weight_names) if layer.built else "")
    weights, unbuilt = list(weights), [part for part in all_layers(layer) if not part.built]
    try:
        if unbuilt:
            layer._build_from(weights)
        layer._count(weights)
        taken = [configs.taken(layer.who, w.name, a, w.dtype) for w, a in zip(layer.weights, weights)]
        for w, a in zip(layer.weights, taken):
            w.owner._check_weight(w.name, a)
    except Error:
        for part in unbuilt:
            part._forget()
        raise
    for w, a in zip(layer.weights, taken):
        w.assign(a)
