"""The base class of TF 1's cells: a cell of rnnref with TF's arguments, variables and order of states.

Each class is declared by a function of TF's arguments that returns a `CellSpec`; nothing is computed here.
"""
import inspect
from collections import Counter
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Callable, Iterable, NamedTuple, Optional

import numpy

from ..arrays import Array, namespace
from ..cell import vjp
from ..errors import InvalidValue, NotSupported, ShapeError
from ..symbols import is_symbolic
from ..tree import Tree, add, first_leaf, to, zeros_like
from ..values import CURRENT
from . import states
from .variables import VariablePlaces, check_variables, draw_variables, find_variables, infer_inputs, join_scope


@dataclass
class CellSpec:
    """The parts of a cell of TF."""
    core: Any                                     # the cell of rnnref
    units: Any                                    # its number of units, or a tuple of them for each cell of a stack
    rows: list                                    # the `Variable`s of its parameters
    form: Any = "h"                               # its state, see `tf1.states`
    children: tuple = ()                          # the cells inside
    notes: dict = field(default_factory=dict)     # what only some classes need, such as output_size

    def child_input(self, k: int, x: Tree, p: Tree) -> Tree:
        """An array of the shape of the inputs of child k, for its masks; notes["feeds"](k, width of x) is their width.
        """
        feeds, like = self.notes.get("feeds"), first_leaf(x)
        width = feeds(k, like.shape[-1]) if feeds else None
        if width is None:
            return x
        lead = like.shape[:-1]
        dtype = like.dtype if p is None else first_leaf(p).dtype
        xp = namespace(like)
        return xp.broadcast_to(xp.zeros((), dtype), (*lead, width))

    def __post_init__(self) -> None:
        twice = sorted(name for name, n in Counter(name for r in self.rows for name in r.names).items() if n > 1)
        if twice:
            raise InvalidValue("RNNCell", f"two variables are called {' '.join(twice)}",
                               hint="cells inside each other whose variables have no scope; TF refuses them too")
        for child in self.children:
            if child.spec_for_width is not None:
                raise NotSupported(child.name, "inside another cell",
                                   hint="its number of windows depends on the width of its x")


class Gradients(NamedTuple):
    """Gradients of a loss: inputs and state in the form in which they were given, variables by TF's names."""
    inputs: Tree; state: Tree; variables: dict


class Result(tuple):
    """The tuple that TF returns, with a backward pass: `outputs, state = result`."""
    back: Callable[..., Gradients]

    def __new__(cls, items: Iterable, back: Callable[..., Gradients]) -> "Result":
        self = super().__new__(cls, items)
        self.back = back
        return self

    def backward(self, *d: Tree) -> Gradients:
        """backward(d_outputs, d_state): the gradients; those of results that are left out, or None, are zero."""
        if len(d) > len(self):
            raise ShapeError("backward", f"got {len(d)} gradients, expected at most {len(self)}, one for each result")
        return self.back(*d, *(None,) * (len(self) - len(d)))


class RNNCell:
    """tf.nn.rnn_cell.RNNCell.  `p` are the parameters of rnnref, read from TF's variables."""
    spec: CellSpec
    _declare: Callable[..., CellSpec]              # of TF's arguments
    __signature__: inspect.Signature              # of these
    is_fused = False                              # True: it is called with a whole sequence
    layer: Any = None                             # the one that calls in a record go through
    spec_for_width: Any = None                    # width of x -> CellSpec, where the cell depends on it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        bound = self.__signature__.bind(*args, **kwargs)
        bound.apply_defaults()
        self.arguments = dict(bound.arguments)
        extra = self.arguments.pop("kwargs", {})
        self.spec = self._declare(**self.arguments, **extra)
        self.scope: Any = None
        self.p: Any = None
        self.unused: dict = {}                    # variables that the cell does not use

    @property
    def name(self) -> str:
        """The name of the class."""
        return type(self).__name__

    @property
    def core(self) -> Any:
        """The cell of rnnref."""
        return self.spec.core

    @property
    def like(self) -> Tree:
        """The state of rnnref for a batch of one."""
        return self.zeros(1)

    def zeros(self, batch: int, xp: ModuleType = numpy, dtype: Any = "float32") -> Tree:
        """The initial state of rnnref."""
        space = self.spec.notes.get("space", ())
        return self.core.zeros((batch, *space) if space else batch, self.spec.units, xp, dtype)

    @property
    def state_size(self) -> Any:
        """The widths of the state, in its structure."""
        return states.compute_sizes(self.spec.form, self.like)

    @property
    def output_size(self) -> Any:
        """The width of the outputs."""
        if "output_size" in self.spec.notes:
            return self.spec.notes["output_size"]
        return self.core.width(self.spec.units)

    def zero_state(self, batch_size: int, dtype: Any) -> Tree:
        """The initial state, on the device of the variables."""
        xp = numpy if self.p is None else namespace(first_leaf(self.p))
        return self.state_to_tf(self.zeros(batch_size, xp, dtype))

    def to(self, where: str) -> "RNNCell":
        """Move the variables to the "cpu" or the "gpu", where inputs and states must be too."""
        self.p = to(where, self.require_parameters())
        return self

    def get_config(self) -> dict:
        """TF's arguments as a dict; cells among them are {"class_name", "config"}."""
        return {name: _to_config(value) for name, value in self.arguments.items()}

    @classmethod
    def from_config(cls, config: dict) -> "RNNCell":
        """The cell of a config."""
        return cls(**{name: _from_config(value) for name, value in config.items()})

    # variables

    def load_variables(self, arrays: dict[str, Array], scope: Optional[str] = None) -> "RNNCell":
        """Take the variables from a checkpoint, {name: array}.

        scope  the prefix of their names, "rnn" for those of dynamic_rnn; None: the only one that fits
        """
        other = self.spec.notes.get("without")
        if other and not any(f"/{name}".endswith("/" + self.spec.rows[0].name) for name in arrays):
            self.spec = other
        rows = self.spec.rows
        self.scope, found = find_variables(arrays, [name for r in rows for name in r.names], scope, self.name)
        step = self.spec.notes.get("inputs of", 1)
        n_in = infer_inputs(rows, self.core.shapes, self.spec.units, found, self.name, step)
        declared = self.spec.notes.get("input_size")
        if declared not in (None, n_in):
            raise ShapeError(self.name, f"its variables are for {n_in} inputs, and input_size={declared}",
                             hint="TF ignores input_size")
        self.places = VariablePlaces(rows, self.core.shapes(n_in, self.spec.units))
        check_variables(self.name, self.places, found)
        self.unused = {name: found[name] for name, index in self.places.indices.items() if (index < 0).any()}
        self.p = self.places.to_parameters(found)
        return self

    @property
    def non_trainable_variables(self) -> list[str]:
        """The names of the variables that are not trained."""
        return [join_scope(self.scope or "", name) for r in self.spec.rows if not r.trainable for name in r.names]

    def build(self, inputs: int, dtype: Any = None, seed: Any = None, scope: str = "") -> "RNNCell":
        """Draw the variables for this number of inputs as TF does; dtype: that of the cell, or float32."""
        dtype = dtype or self.arguments.get("dtype") or "float32"
        other = self.spec.notes.get("without")
        if other and inputs == self.spec.units:   # an x of that width needs no projection
            self.spec = other
        rows = self.spec.rows
        places = VariablePlaces(rows, self.core.shapes(inputs, self.spec.units))
        drawn = draw_variables(rows, places, numpy.random.default_rng(seed), dtype)
        return self.load_variables({join_scope(scope, name): a for name, a in drawn.items()}, scope)

    def dump_variables(self) -> dict[str, Array]:
        """{TF's name: array}; loading them gives the same parameters to the last bit."""
        lost = self.places.find_lost(self.require_parameters())
        if lost:
            raise NotSupported(self.name, f"{' '.join(lost)} not zero where TF has no place for it")
        arrays = self.places.to_variables(to("cpu", self.p))
        return {join_scope(self.scope, name): self.unused.get(name, a) for name, a in arrays.items()}

    def gradients(self, dp: Tree) -> dict[str, Array]:
        """{TF's name: gradient} from gradients of the parameters; variables that the cell does not use have none."""
        gradients = self.places.to_variables(dp)
        return {join_scope(self.scope, name): d for name, d in gradients.items() if name not in self.unused}

    def require_parameters(self) -> Tree:
        """The parameters; an error if there are none yet."""
        if self.p is None:
            raise NotSupported(self.name, "its variables have no values", fix="load_variables(arrays) or build(inputs)")
        return self.p

    # states and masks

    def state_from_tf(self, state: Tree) -> Tree:
        """A state of TF -> the state of rnnref."""
        return states.state_from_tf(self.spec.form, state, self.like, self.name)

    def state_to_tf(self, state: Tree) -> Tree:
        """A state of rnnref -> the state of TF."""
        return states.state_to_tf(self.spec.form, state)

    def draw_masks(self, x: Tree, steps: Optional[int]) -> Any:
        """The `extra` of the core where none is given: random masks for dropout.  steps=None: for one step."""
        return draw_child_masks(self, x, steps)

    # one step

    def __call__(self, inputs: Tree, state: Tree, scope: None = None, extra: Any = None) -> Result:
        """output, new_state = cell(inputs, state), with `backward(d_output, d_new_state)`."""
        self._refuse_scope(scope)
        if CURRENT.get() is not None or is_symbolic((inputs, state)):
            return self._record_step(inputs, state, extra)
        self.check_inputs(inputs)
        extra = self.draw_masks(inputs, None) if extra is None else extra
        (y, new), back = vjp(self.core, self.require_parameters(), inputs, self.state_from_tf(state), extra)

        def backward(dy: Tree, dnew: Tree) -> Gradients:
            dnew = zeros_like(new) if dnew is None else self.state_from_tf(dnew)
            dx, ds, _, dp = back(zeros_like(y) if dy is None else dy, dnew)
            return Gradients(dx, self.state_to_tf(ds), self.gradients(dp))
        return Result((y, self.state_to_tf(new)), backward)

    def _record_step(self, inputs: Any, state: Any, extra: Any) -> Any:
        """The step as an entry of the open record, or as a call of symbols."""
        if self.layer is None:
            raise NotSupported(self.name, "called in a record, and no layer holds its variables: their gradients would "
                               "be lost", fix="make it an attribute of the Model or Layer in whose call it is used")
        y, new = self.layer(inputs, list(state) if isinstance(state, tuple) else state, masks=extra)
        return y, state._make(new) if hasattr(state, "_make") else tuple(new) if isinstance(state, tuple) else new

    def check_inputs(self, x: Tree) -> None:
        """Raise unless x is on the device of the variables; adapt the spec to its width where it depends on it."""
        namespace(first_leaf(x), first_leaf(self.require_parameters()))
        if self.spec_for_width is not None:
            self.spec = self.spec_for_width(first_leaf(x).shape[-1])

    def _refuse_scope(self, scope: Any) -> None:
        if scope is not None:
            raise NotSupported(self.name, f"scope={scope!r}", hint="load_variables(arrays, scope) sets the names")


def draw_child_masks(cell: RNNCell, x: Tree, steps: Optional[int]) -> Any:
    """The masks of the cells inside, each for the width of its own inputs; None if no cell has masks."""
    masks = tuple(child.draw_masks(cell.spec.child_input(k, x, cell.p), steps)
                  for k, child in enumerate(cell.spec.children))
    if all(m is None for m in masks):
        return None
    return masks if len(masks) > 1 or "several" in cell.spec.notes else masks[0]


def _to_config(value: Any) -> Any:
    if isinstance(value, RNNCell):
        return {"class_name": value.name, "config": value.get_config()}
    return [_to_config(v) for v in value] if isinstance(value, (list, tuple)) else value


def _from_config(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"class_name", "config"}:
        return CLASSES[value["class_name"]].from_config(value["config"])
    return [_from_config(v) for v in value] if isinstance(value, list) else value


CLASSES: dict[str, Any] = {}                      # by name, for from_config


def cell_class(function: Optional[Callable[..., CellSpec]] = None, *, base: type = RNNCell) -> Any:
    """Decorator: a class with the name and the arguments of `function`, which returns its `CellSpec`."""
    if function is None:
        return lambda f: cell_class(f, base=base)
    signature = inspect.signature(function).replace(return_annotation=inspect.Signature.empty)
    body = {"_declare": staticmethod(function), "__signature__": signature, "__doc__": function.__doc__,
            "__module__": function.__module__}
    CLASSES[function.__name__] = made = type(function.__name__, (base,), body)
    return made


def sum_gradients(*gradients: dict) -> dict:
    """The sum of dicts {name: gradient}, which may have different names."""
    total: dict = {}
    for by_name in gradients:
        for name, d in by_name.items():
            total[name] = add(total[name], d) if name in total else d
    return total
