"""The base class of TF 1's cells: a cell of rnnref with TF's variables and order of states.

TF's own cells are in `tf1.declared`; a subclass of RNNCell with a step of its own is a cell that a user writes, which
`tf1.written` turns into a cell of rnnref.
"""
from functools import wraps
from types import ModuleType
from typing import Any, Callable, Optional

import numpy

from ..arrays import is_floating, namespace
from ..cell import vjp
from ..errors import InvalidType, InvalidValue, NotSupported
from ..identifiers import snake
from ..nest import flatten
from ..symbols import is_symbolic
from ..tree import Tree, first_leaf, leaves, map_structure, to, unflatten, zeros_like
from ..values import CURRENT, Value, numbers
from . import config, states
from .spec import CellSpec, Gradients, Result
from .variable_owner import VariableOwner
from .variables import make_rng
from .written import BUILDING, WrittenCell, list_rows


def _wrap_build(build: Callable) -> Callable:
    """build(inputs_shape) of a user as build(inputs, dtype, seed, scope): the outermost call makes the variables."""
    @wraps(build)
    def built(self: Any, inputs: Any, dtype: Any = None, seed: Any = None, scope: str = "") -> Any:
        if vars(self).get("_is_building"):        # super().build(inputs_shape)
            return build(self, inputs)
        shape = inputs if isinstance(inputs, (tuple, dict)) else (None, inputs)
        dtype = dtype or self.find_option("dtype") or "float32"
        token, self._is_building = BUILDING.set((dtype, make_rng(seed))), True
        try:
            build(self, shape)
        finally:
            BUILDING.reset(token)
            self._is_building = False
        self.built, self.scope = True, scope or None
        return self
    return built


def _wrap_call(call: Callable) -> Callable:
    """__call__ of a user: in the record of a model it is one entry, with the variables of the cell."""
    @wraps(call)
    def called(self: Any, inputs: Any, state: Any, *args: Any, **kwargs: Any) -> Any:
        recorded = not self.is_held and (CURRENT.get() is not None or is_symbolic((inputs, state)))
        if recorded and (self.p is None or self.p):                          # without variables nothing can be lost
            return self._record_step(inputs, state, None)
        if self.p is None:
            self.check_inputs(inputs)
        return call(self, inputs, state, *args, **kwargs)
    return called


class RNNCell(VariableOwner):
    """tf.nn.rnn_cell.RNNCell: the base class of all cells, and of those that a user writes.

        output, new_state = result = cell(inputs, state);   result.backward(d_output, d_new_state) -> Gradients

    A cell of one's own has state_size, output_size and a step, call(inputs, state) -> output, new_state, or
    __call__(inputs, state, scope=None).  It runs in every loop and wrapper, and is trained, if its step is written with
    operators, functions of NumPy or rnnref.ops.

    state_size      a number n for one array [B, n]; a TensorShape (or what has as_list()) for other shapes; or a nest
                    of these
    build           build(inputs_shape), if there is one, makes variables by self.add_variable(name, shape); it is
                    called before the first step, with (None, n) for inputs n wide
    variables       what add_variable made, floating arrays among the attributes but those whose names start with _,
                    and the variables of cells among the attributes

    `p` are the parameters of rnnref, by name.

    >>> import numpy as np
    >>> class Sums(RNNCell):
    ...     state_size = output_size = 2
    ...     def build(self, inputs_shape):
    ...         self.kernel = self.add_variable("kernel", (inputs_shape[-1], 2), initializer="ones")
    ...     def call(self, inputs, state):
    ...         state = state + inputs @ self.kernel
    ...         return state, state
    >>> cell = Sums()
    >>> from rnnref import tf1
    >>> outputs, state = result = tf1.dynamic_rnn(cell, np.ones((1, 5, 3)))
    >>> state.tolist(), result.backward(np.ones((1, 5, 2))).variables["sums/kernel"].tolist()
    ([[15.0, 15.0]], [[15.0, 15.0], [15.0, 15.0], [15.0, 15.0]])
    """
    is_fused = False                              # True: it is called with a whole sequence
    is_written = True                             # by a user; False: it is one of TF's
    is_held = False                               # a copy with the arrays of a step that is being computed
    layer: Any = None                             # the one that calls in a record go through
    spec_for_width: Any = None                    # width of x -> CellSpec, where the cell depends on it
    options: dict = {}                            # name, dtype, trainable, reuse where TF has no argument for them
    arguments: dict = {}

    def __init__(self, trainable: bool = True, name: Optional[str] = None, dtype: Any = None, **kwargs: Any) -> None:
        reuse = kwargs.pop("_reuse", None) or kwargs.pop("reuse", None)
        config.refuse_layer_options(type(self).__name__, kwargs)
        self.options = config.check_options(type(self).__name__, trainable=trainable, name=name, dtype=dtype,
                                            reuse=reuse)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.is_written:
            return
        for name, wrap in (("build", _wrap_build), ("__call__", _wrap_call)):
            if name in vars(cls):
                setattr(cls, name, wrap(vars(cls)[name]))

    # names

    @property
    def name(self) -> str:
        """The name that was given, or the one that TF makes of the class."""
        return self.find_option("name") or snake(type(self).__name__)

    @property
    def who(self) -> str:
        """The name of the class, in messages."""
        return type(self).__name__

    def find_option(self, option: str) -> Any:
        """The value of name, dtype, trainable or reuse."""
        return self.arguments.get(option, self.options.get(option))

    @property
    def trainable(self) -> bool:
        """Whether its variables are trained."""
        return self.find_option("trainable") is not False

    @property
    def dtype(self) -> Any:
        """The name of the dtype of its variables; None where it is not known yet."""
        given = self.find_option("dtype")
        if given is None and self.p is not None:
            given = next((a.dtype for _, a in leaves(self.p)), None)
        return None if given is None else numpy.dtype(given).name

    # the cell of rnnref

    @property
    def spec(self) -> CellSpec:
        """Its parts."""
        core = WrittenCell(self)
        return CellSpec(core, None, list_rows(self, self.name), map_structure_paths(core.zeros(1)))

    @property
    def core(self) -> Any:
        """The cell of rnnref."""
        return self.spec.core

    @property
    def like(self) -> Tree:
        """The state of rnnref for a batch of one."""
        return self.zeros(1, dtype=self.dtype or "float32")

    def zeros(self, batch: int, xp: ModuleType = numpy, dtype: Any = "float32") -> Tree:
        """The initial state of rnnref."""
        space = self.spec.notes.get("space", ())
        return self.core.zeros((batch, *space) if space else batch, self.spec.units, xp, dtype)

    @property
    def state_size(self) -> Any:
        """The widths of the state, in its structure."""
        raise NotImplementedError(f"{self.who} has no state_size")

    @property
    def output_size(self) -> Any:
        """The width of the outputs."""
        raise NotImplementedError(f"{self.who} has no output_size")

    def zero_state(self, batch_size: int, dtype: Any) -> Tree:
        """The initial state, on the device of the variables."""
        xp = namespace(*(a for _, a in leaves(self.p))) if self.p else numpy
        return self.state_to_tf(self.zeros(batch_size, xp, dtype))

    def get_initial_state(self, inputs: Any = None, batch_size: Optional[int] = None, dtype: Any = None) -> Tree:
        """The zero state for as many rows as the inputs [B, ...] have, or for a batch size and a dtype."""
        if inputs is not None:
            for what, given, found in (("batch_size", batch_size, inputs.shape[0]), ("dtype", dtype, inputs.dtype)):
                if given is not None and given != found:
                    raise InvalidValue(self.who, f"{what}={given}, and the inputs have {found}")
            batch_size, dtype = inputs.shape[0], inputs.dtype
        if batch_size is None or dtype is None:
            raise InvalidValue(self.who, f"batch_size={batch_size} and dtype={dtype}, expected both, or inputs")
        return self.zero_state(batch_size, dtype)

    def to(self, where: str) -> "RNNCell":
        """Move the variables to the "cpu" or the "gpu", where inputs and states must be too."""
        self.p = to(where, self.require_parameters())
        return self

    # states and masks

    def state_from_tf(self, state: Tree) -> Tree:
        """A state of TF -> the state of rnnref."""
        return states.state_from_tf(self.spec.form, state, self.like, self.who)

    def state_to_tf(self, state: Tree) -> Tree:
        """A state of rnnref -> the state of TF."""
        return states.state_to_tf(self.spec.form, state)

    def draw_masks(self, x: Tree, steps: Optional[int]) -> Any:
        """The `extra` of the core where none is given: random masks for dropout.  steps=None: for one step."""
        return draw_child_masks(self, x, steps)

    # one step

    def __call__(self, inputs: Tree, state: Tree, scope: None = None, extra: Any = None) -> Any:
        """output, new_state = cell(inputs, state), with `backward(d_output, d_new_state)`."""
        self._refuse_scope(scope)
        if self.is_held and self.is_written:
            return self.call(inputs, state)
        if CURRENT.get() is not None or is_symbolic((inputs, state)):
            return self._record_step(inputs, state, extra)
        return self.step(inputs, state, extra)

    def call(self, inputs: Tree, state: Tree) -> Any:
        """One step: of a cell of TF the same as cell(inputs, state); a cell that a user writes has its own."""
        raise NotImplementedError(f"{self.who} has no call(inputs, state), and no __call__")

    def step_of_user(self, inputs: Tree, state: Tree) -> Any:
        """The step as it is written."""
        return self(inputs, state) if type(self).__call__ is not RNNCell.__call__ else self.call(inputs, state)

    def step(self, inputs: Tree, state: Tree, extra: Any = None) -> Result:
        """One step with its backward pass, of arrays."""
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
        if self.is_held:
            return self._enter_step(inputs, state, extra)
        if self.layer is None:
            raise NotSupported(self.who, "called in a record, and no layer holds its variables: their gradients would "
                               "be lost", fix="make it an attribute of the Model or Layer in whose call it is used")
        y, new = self.layer(inputs, list(state) if isinstance(state, tuple) else state, masks=extra)
        return y, state._make(new) if hasattr(state, "_make") else tuple(new) if isinstance(state, tuple) else new

    def _enter_step(self, inputs: Any, state: Any, extra: Any) -> Any:
        """The step of a cell inside one that a user wrote, whose parameters are values."""
        record: Any = CURRENT.get()
        given = [*(a for _, a in leaves(inputs)), *flatten(state), *(a for _, a in leaves(self.require_parameters()))]
        p, x = (map_structure(lambda a: a.data if isinstance(a, Value) else a, tree) for tree in (self.p, inputs))
        self.check_inputs(x)
        s = self.state_from_tf(numbers(state))
        (y, new), back = vjp(self.core, p, x, s, self.draw_masks(x, None) if extra is None else extra)
        made = [y, self.state_to_tf(new)]

        def enter_back(dys: list, wanted: Any) -> list:
            rest = iter(dys)
            dmade = [next(rest) if is_floating(a.dtype) else zeros_like(a) for a in flatten(made)]
            n = len(flatten(y))
            dx, ds, _, dp = back(unflatten(y, dmade[:n]), self.state_from_tf(_unflatten_nest(made[1], dmade[n:])))
            dx = [None] * len(list(leaves(x))) if dx is None else [d for _, d in leaves(dx)]
            found = dict(leaves(dp))
            return [*dx, *flatten(self.state_to_tf(ds)), *(found[path] for path, _ in leaves(p))]
        return tuple(record.add(made, enter_back, [record.of(a)[1] for a in given], self.who))

    def check_inputs(self, x: Tree) -> None:
        """Raise unless x is on the device of the variables; make those of cells that a user wrote."""
        like = first_leaf(x)
        if self.p is None and (self.is_written or self.spec.is_written and not self.spec.rows):
            dtype = like.dtype if is_floating(like.dtype) else "float32"
            self.build(map_structure(lambda a: a.shape[-1], x), self.find_option("dtype") or dtype)
        namespace(like, *(a for _, a in leaves(self.require_parameters())))

    def check_sequence(self, xs: Tree) -> None:
        """check_inputs for [T, B, ...]."""
        self.check_inputs(xs)

    def _refuse_scope(self, scope: Any) -> None:
        if scope is not None:
            raise NotSupported(self.who, f"scope={scope!r}", hint="load_variables(arrays, scope) sets the names")

    # configuration

    def get_config(self) -> dict:
        """TF's arguments as a dict; cells among them are {"class_name", "config"}."""
        return config.to_config(self.arguments | self.options)

    @classmethod
    def from_config(cls, config_: dict, custom_objects: Optional[dict] = None) -> "RNNCell":
        """The cell of a config, of rnnref or of TF."""
        return cls(**config.read_config(cls.__name__, config_, custom_objects or {}))


class LayerRNNCell(RNNCell):
    """tf.contrib.rnn.LayerRNNCell: RNNCell, whose variables are made in build."""


def map_structure_paths(s: Tree) -> Any:
    """The form of a state: the path of each array in its place."""
    return unflatten(s, [path for path, _ in leaves(s)]) if type(s).__name__ != "OneArray" else "h"


def _unflatten_nest(like: Any, arrays: list) -> Any:
    rest = iter(arrays)
    return map_structure(lambda _: next(rest), like)


def require_cell(who: str, cell: Any) -> RNNCell:
    """`cell`, if it is one; TF raises a TypeError, as here."""
    if not isinstance(cell, RNNCell):
        raise InvalidType(who, f"the cell is {cell!r}, expected a cell of rnnref.tf1",
                          fix="one of TF's, or a subclass of tf1.RNNCell; loops take cells of rnnref.layers too")
    return cell


def draw_child_masks(cell: RNNCell, x: Tree, steps: Optional[int]) -> Any:
    """The masks of the cells inside, each for the width of its own inputs; None if no cell has masks."""
    spec = cell.spec
    masks = tuple(child.draw_masks(spec.child_input(k, x, cell.p), steps) for k, child in enumerate(spec.children))
    if all(m is None for m in masks):
        return None
    return masks if len(masks) > 1 or "several" in spec.notes else masks[0]
