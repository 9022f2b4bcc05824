"""A cell of TF 1: one of our cells, with TF's arguments, TF's variables and TF's order of states.

Each class is declared by a function of TF's arguments that returns `Parts`; nothing is computed here.
"""
import inspect
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy

from ..arrays import namespace
from ..cell import vjp
from ..errors import NotSupported, ShapeError
from ..symbols import is_symbolic
from ..tree import add, first_leaf, to, zeros_like
from ..values import CURRENT
from . import states
from .variables import Places, draw_variables, check_variables, infer_inputs, join_scope, find_variables


@dataclass
class CellSpec:
    """What a class is made of."""
    core: Any                                     # our cell, or a function of the width of x that returns it
    units: Any                                    # its number of units
    rows: list                                    # where its parameters lie
    form: Any = "h"                               # its state
    children: tuple = ()                          # the cells that it holds
    notes: dict = field(default_factory=dict)     # what else the class needs to know

    def child_input(self, k, x, p):
        """What tells the masks of the k-th child the shape of its inputs: notes["feeds"] says how wide they are."""
        feeds, like = self.notes.get("feeds"), first_leaf(x)
        width = feeds(k, like.shape[-1]) if feeds else None
        if width is None:
            return x
        lead = like.shape[:-1]
        dtype = like.dtype if p is None else first_leaf(p).dtype
        xp = namespace(like)
        return xp.broadcast_to(xp.zeros((), dtype), (*lead, width))

    def __post_init__(self):
        for child in self.children:
            if child.spec_for_width is not None:
                raise NotSupported(child.name, "inside another cell", hint="how many windows it has is seen from its x")


class Gradients(NamedTuple):
    """As the inputs and the state were given; `variables` under TF's names."""
    inputs: Any; state: Any; variables: dict


class Result(tuple):
    """What TF returns, and the way back: `outputs, state = result`;  `result.backward(d_outputs, d_state)`.

    Gradients that are left out, or None, are zero.
    """
    back: Any

    def __new__(cls, items, back):
        self = super().__new__(cls, items)
        self.back = back
        return self

    def backward(self, *d):
        if len(d) > len(self):
            raise ShapeError("backward", f"{len(d)} gradients are given, and there are {len(self)} results")
        return self.back(*d, *(None,) * (len(self) - len(d)))


class RNNCell:
    """What tf.nn.rnn_cell.RNNCell has.  `variables` are theirs; `p` is ours, made of them."""
    parts: CellSpec
    declare: Any                                  # TF's arguments -> Parts
    signature: Any
    fused = False
    layer: Any = None                             # the one that calls in a record go through
    spec_for_width: Any = None                              # what its parts are for an x of this width, if that depends on it

    def __init__(self, *args, **kwargs):
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        self.arguments = dict(bound.arguments)
        extra = self.arguments.pop("kwargs", {})
        self.parts = self.declare(**self.arguments, **extra)
        self.scope, self.p, self.idle = None, None, {}

    @property
    def name(self):
        return type(self).__name__

    @property
    def core(self):
        return self.parts.core

    @property
    def like(self):
        """Our state for a batch of one."""
        return self.zeros(1)

    def zeros(self, batch, xp=numpy, dtype="float32"):
        """Our state to start from."""
        space = self.parts.notes.get("space", ())
        return self.core.zeros((batch, *space) if space else batch, self.parts.units, xp, dtype)

    @property
    def state_size(self):
        return states.compute_sizes(self.parts.form, self.like)

    @property
    def output_size(self):
        if "output_size" in self.parts.notes:
            return self.parts.notes["output_size"]
        return self.core.width(self.parts.units)

    def zero_state(self, batch_size, dtype):
        """The state to start from, beside the variables."""
        xp = numpy if self.p is None else namespace(first_leaf(self.p))
        return states.state_to_tf(self.parts.form, self.zeros(batch_size, xp, dtype))

    def to(self, where):
        """Its variables on the "cpu" or on the "gpu": inputs and states are to lie beside them."""
        self.p = to(where, self.require_parameters())
        return self

    def get_config(self):
        """TF's arguments: cells that it holds as {"class_name", "config"}."""
        return {name: _to_config(value) for name, value in self.arguments.items()}

    @classmethod
    def from_config(cls, config):
        return cls(**{name: _from_config(value) for name, value in config.items()})

    # variables

    def load_variables(self, arrays, scope=None):
        """Take its variables out of a checkpoint, {name: array}.

        scope  what stands before its own names, "rnn" for those of dynamic_rnn; None: wherever they are found
        """
        other = self.parts.notes.get("without")
        if other and not any(f"/{name}".endswith("/" + self.parts.rows[0].theirs) for name in arrays):
            self.parts = other
        rows = self.parts.rows
        self.scope, found = find_variables(arrays, [name for r in rows for name in r.names], scope, self.name)
        step = self.parts.notes.get("inputs of", 1)
        n_in = infer_inputs(rows, self.core.shapes, self.parts.units, found, self.name, step)
        said = self.parts.notes.get("input_size")
        if said not in (None, n_in):
            raise ShapeError(self.name, f"its variables are for {n_in} inputs, and input_size={said}",
                             hint="TF never looks at input_size")
        self.places = Places(rows, self.core.shapes(n_in, self.parts.units))
        check_variables(self.name, self.places, found)
        self.idle = {name: found[name] for name, at in self.places.of.items() if (at < 0).any()}
        self.p = self.places.filled(found)
        return self

    @property
    def non_trainable_variables(self):
        """The names of those that are not to be trained."""
        return [join_scope(self.scope or "", name) for r in self.parts.rows if not r.trainable for name in r.names]

    def build(self, inputs, dtype=None, seed=None, scope=""):
        """First values for so many inputs, as TF draws them; dtype: that of the cell, or float32."""
        dtype = dtype or self.arguments.get("dtype") or "float32"
        other = self.parts.notes.get("without")
        if other and inputs == self.parts.units:  # as wide as that, x needs no projection
            self.parts = other
        rows = self.parts.rows
        places = Places(rows, self.core.shapes(inputs, self.parts.units))
        return self.load_variables({join_scope(scope, name): a for name, a in draw_variables(
            rows, places, numpy.random.default_rng(seed), dtype).items()}, scope)

    def dump_variables(self):
        """{TF's name: array}; loading them gives back the same bits."""
        left = self.places.find_unplaced(self.require_parameters())
        if left:
            raise NotSupported(self.name, f"{' '.join(left)} not zero where TF has no place for it")
        held = self.places.to_variables(to("cpu", self.p))
        return {join_scope(self.scope, name): self.idle.get(name, a) for name, a in held.items()}

    def gradients(self, dp):
        """Of our parameters -> of their variables; those that the cell does not use have none."""
        return {join_scope(self.scope, name): d for name, d in self.places.to_variables(dp).items() if name not in self.idle}

    def require_parameters(self):
        if self.p is None:
            raise NotSupported(self.name, "its variables have no values", fix="load_variables(arrays) or build(inputs)")
        return self.p

    # states and masks

    def ours(self, state):
        return states.state_from_tf(self.parts.form, state, self.like, self.name)

    def theirs(self, state):
        return states.state_to_tf(self.parts.form, state)

    def draw(self, x, steps):
        """What our cell takes as its `extra` when none is given: the masks of dropout, drawn."""
        return draw_child_masks(self, x, steps)

    # one step

    def __call__(self, inputs, state, scope=None, extra=None):
        """output, new_state = cell(inputs, state); the way back is `backward(d_output, d_state)` of both together."""
        self._refuse_scope(scope)
        if CURRENT.get() is not None or is_symbolic((inputs, state)):
            return self._recorded(inputs, state, extra)
        self.check_inputs(inputs)
        extra = self.draw(inputs, None) if extra is None else extra
        (y, new), back = vjp(self.core, self.require_parameters(), inputs, self.ours(state), extra)

        def backward(dy, dnew):
            dnew = zeros_like(new) if dnew is None else self.ours(dnew)
            dx, ds, _, dp = back(zeros_like(y) if dy is None else dy, dnew)
            return Gradients(dx, self.theirs(ds), self.gradients(dp))
        return Result((y, self.theirs(new)), backward)

    def _recorded(self, inputs, state, extra):
        """The step as an entry of the open record, or as a call of symbols."""
        if self.layer is None:
            raise NotSupported(self.name, "called in a record, and no layer holds its variables: their gradients would "
                               "be lost", fix="make it an attribute of the Model or Layer in whose call it is used")
        y, new = self.layer(inputs, list(state) if isinstance(state, tuple) else state, masks=extra)
        return y, state._make(new) if hasattr(state, "_make") else tuple(new) if isinstance(state, tuple) else new

    def check_inputs(self, x):
        """Its parts for inputs of this width, which lie beside its variables."""
        namespace(first_leaf(x), first_leaf(self.require_parameters()))
        if self.spec_for_width is not None:
            self.parts = self.spec_for_width(first_leaf(x).shape[-1])

    def _refuse_scope(self, scope):
        if scope is not None:
            raise NotSupported(self.name, f"scope={scope!r}", hint="names are given by load_variables(arrays, scope)")


def draw_child_masks(cell, x, steps):
    """The masks of the cells inside, each for inputs as wide as its own."""
    found = tuple(child.draw(cell.parts.child_input(k, x, cell.p), steps) for k, child in enumerate(cell.parts.children))
    if all(e is None for e in found):
        return None
    return found if len(found) > 1 or "several" in cell.parts.notes else found[0]


def _to_config(value):
    if isinstance(value, RNNCell):
        return {"class_name": value.name, "config": value.get_config()}
    return [_to_config(v) for v in value] if isinstance(value, (list, tuple)) else value


def _from_config(value):
    if isinstance(value, dict) and value.keys() == {"class_name", "config"}:
        return CLASSES[value["class_name"]].from_config(value["config"])
    return [_from_config(v) for v in value] if isinstance(value, list) else value


CLASSES: dict = {}


def cell_class(function=None, *, base=RNNCell):
    """A class of the name and with the arguments of `function`, which returns its `Parts`."""
    if function is None:
        return lambda f: cell_class(f, base=base)
    body = {"declare": staticmethod(function), "signature": inspect.signature(function), "__doc__": function.__doc__,
            "__module__": function.__module__}
    CLASSES[function.__name__] = made = type(function.__name__, (base,), body)
    return made


def sum_gradients(*trees):
    """The sum of gradients of variables, some of which may be the same ones."""
    out: dict = {}
    for tree in trees:
        for name, d in tree.items():
            out[name] = add(out[name], d) if name in out else d
    return out
