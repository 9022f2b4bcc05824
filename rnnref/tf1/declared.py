"""The cells of TF 1: each class is declared by a function of TF's arguments that returns a `CellSpec`."""
import inspect
from typing import Any, Callable, Optional

from ..arrays import Array
from ..errors import InvalidType, InvalidValue, NotSupported, ShapeError
from ..identifiers import snake
from ..tree import Tree, first_leaf
from . import config, states
from .cell import RNNCell
from .config import CLASSES
from .spec import CellSpec
from .variables import (VariablePlaces, check_variables, draw_variables, find_variables, infer_inputs, join_scope,
                        make_rng)
from .written import BUILDING


class DeclaredCell(RNNCell):
    """A cell of TF."""
    is_written = False
    spec: Any = None
    p: Any = None                                 # the parameters of rnnref, read from TF's variables
    n_in: Any = None                              # the number of inputs that they are for
    _declare: Callable[..., CellSpec]             # of TF's arguments
    __signature__: inspect.Signature              # of these
    takes_kwargs = False                          # whether TF has **kwargs, which are options of Keras's layers

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("call", "__call__"):
            if name in vars(cls) and hasattr(cls, "_declare"):
                raise NotSupported(cls.__name__, f"{name} in a subclass of {cls.__mro__[1].__name__}",
                                   fix="a subclass of RNNCell that holds the cell as an attribute")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        known = self.__signature__.parameters
        options = {name: kwargs.pop(name) for name in config.OPTIONS if name in kwargs and name not in known}
        if self.takes_kwargs:
            config.refuse_layer_options(self.who, {n: kwargs.pop(n) for n in config.LAYER_OPTIONS if n in kwargs})
        parameters = [p for p in known.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        try:
            bound = inspect.Signature(parameters).bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidType(self.who, str(error), known=" ".join(known)) from None
        bound.apply_defaults()
        self.arguments = dict(bound.arguments)
        self.options = config.check_options(self.who, **options)
        config.check_options(self.who, **{n: a for n, a in self.arguments.items() if n in config.OPTIONS})
        self.spec = self.declare()
        self.unused = {}

    def declare(self, **more: Any) -> CellSpec:
        """The spec of its arguments."""
        spec = self._declare(**self.arguments | more)
        name, own = self.options.get("name"), snake(self.who) + "/"
        if name:
            spec.rows = [r.rename(f"{name}/" + r.name.removeprefix(own)) if r.name.startswith(own) else r
                         for r in spec.rows]
        return spec

    def call(self, inputs: Tree, state: Tree) -> Any:
        return self(inputs, state)

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

    def load_variables(self, arrays: dict[str, Array], scope: Optional[str] = None) -> "RNNCell":
        """Take the variables from a checkpoint, {name: array}.

        scope  the prefix of their names, "rnn" for those of dynamic_rnn; None: the only one that fits
        """
        other = self.spec.notes.get("without")
        if other and not any(f"/{name}".endswith("/" + self.spec.rows[0].name) for name in arrays):
            self.spec = other
        return self._take_variables(arrays, scope, self.n_in if self.spec.is_written else None)

    def _take_variables(self, arrays: dict[str, Array], scope: Optional[str], n_in: Any) -> "RNNCell":
        rows = self.spec.rows
        self.scope, found = scope, {}
        if rows:
            self.scope, found = find_variables(arrays, [name for r in rows for name in r.names], scope, self.who)
        if n_in is None and self.spec.is_written:
            raise NotSupported(self.who, "variables of a cell that a user wrote, before they are made",
                               fix="build(inputs) first")
        if n_in is None:
            step = self.spec.notes.get("inputs of", 1)
            n_in = infer_inputs(rows, self.core.shapes, self.spec.units, found, self.who, step)
        declared = self.spec.notes.get("input_size")
        if declared not in (None, n_in):
            raise ShapeError(self.who, f"its variables are for {n_in} inputs, and input_size={declared}",
                             hint="TF ignores input_size")
        places = VariablePlaces(rows, self.core.shapes(n_in, self.spec.units))
        check_variables(self.who, places, found)
        self.unused = {name: found[name] for name, index in places.indices.items() if (index < 0).any()}
        self.p, self.n_in = places.to_parameters(found), n_in
        return self

    def check_inputs(self, x: Tree) -> None:
        """Raise unless x is on the device of the variables; adapt the spec to its width where it depends on it."""
        super().check_inputs(x)
        if self.spec_for_width is not None:
            self.spec = self.spec_for_width(first_leaf(x).shape[-1])

    def build(self, inputs: Any, dtype: Any = None, seed: Any = None, scope: str = "") -> "RNNCell":
        """Draw the variables for this number of inputs as TF does; dtype: that of the cell, or float32."""
        inputs, dtype = width_of(inputs), dtype or self.find_option("dtype") or "float32"
        other = self.spec.notes.get("without")
        if other and inputs == self.spec.units:   # an x of that width needs no projection
            self.spec = other
        groups = self.spec.notes.get("inputs of", 1)
        if groups > 1 and inputs % groups:
            raise InvalidValue(self.who, f"{inputs} inputs cannot be divided into {groups} groups")
        rng = make_rng(seed)
        token = BUILDING.set((dtype, rng))
        try:
            shapes = self.core.shapes(inputs, self.spec.units)               # makes the variables of users' cells
        finally:
            BUILDING.reset(token)
        if self.spec.is_written:
            self.spec = self.declare()
        rows = self.spec.rows
        drawn = draw_variables(rows, VariablePlaces(rows, shapes), rng, dtype)
        return self._take_variables({join_scope(scope, name): a for name, a in drawn.items()}, scope, inputs)


def width_of(inputs: Any) -> Any:
    """A number of inputs; of a shape such as (None, 3) its last axis."""
    if isinstance(inputs, (tuple, list)) and inputs and inputs[0] is None:
        return inputs[-1]
    return inputs


def cell_class(function: Optional[Callable[..., CellSpec]] = None, *, base: type = DeclaredCell,
               kwargs: bool = False) -> Any:
    """Decorator: a class with the name and the arguments of `function`, which returns its `CellSpec`.

    kwargs   whether TF's constructor has **kwargs, options of Keras's layers
    """
    if function is None:
        return lambda f: cell_class(f, base=base, kwargs=kwargs)
    signature = inspect.signature(function).replace(return_annotation=inspect.Signature.empty)
    if kwargs:
        signature = signature.replace(parameters=[*signature.parameters.values(), inspect.Parameter(
            "kwargs", inspect.Parameter.VAR_KEYWORD)])
    body = {"_declare": staticmethod(function), "__signature__": signature, "__doc__": function.__doc__,
            "__module__": function.__module__, "takes_kwargs": kwargs}
    CLASSES[function.__name__] = made = type(function.__name__, (base,), body)
    return made
