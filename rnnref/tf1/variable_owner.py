"""The variables of a cell: made, loaded, listed and dumped under TF's names."""
from typing import Any, Optional

from ..arrays import Array
from ..errors import InvalidValue, NotSupported
from ..tree import Tree, map_structure, to
from ..values import CURRENT
from .variables import VariableName, VariablePlaces, check_variables, find_variables, join_scope
from .written import BUILDING, CellVariable, draw_variable, find_arrays


class VariableOwner:
    """What a cell has variables by; those of a cell that a user wrote are its attributes, and what add_variable made.
    """
    who: str
    spec: Any
    core: Any
    trainable: bool
    scope: Any = None                             # the prefix of the names
    built = False
    made: dict = {}                               # {name: array} of what add_variable made

    @property
    def p(self) -> Any:
        """The parameters of rnnref, by name; None if there are none yet."""
        return {**find_arrays(self), **self.made} if self.built or not has_build(self) else None

    @p.setter
    def p(self, p: dict) -> None:
        for name, part in p.items():
            if name in self.made:
                self.made = self.made | {name: part}
            elif isinstance(part, tuple):
                for cell, one in zip(vars(self)[name], part):
                    if one is not None:
                        cell.p = one
            elif isinstance(part, dict):
                vars(self)[name].p = part
            else:
                vars(self)[name] = part

    @property
    def variables_made(self) -> list[CellVariable]:
        """What add_variable made."""
        return vars(self).setdefault("_variables_made", [])

    def add_variable(self, name: str, shape: Any, dtype: Any = None, initializer: Any = None, regularizer: None = None,
                     trainable: bool = True, constraint: None = None, partitioner: None = None,
                     **kwargs: Any) -> CellVariable:
        """Make a variable, in build: what Keras and TF take for an initializer draws it, glorot_uniform without one."""
        for option, value in dict(regularizer=regularizer, constraint=constraint, partitioner=partitioner,
                                  **kwargs).items():
            if value not in (None, False):
                raise NotSupported(self.who, f"add_variable(..., {option}={value!r})")
        if CURRENT.get() is not None and not vars(self).get("_is_building"):
            raise NotSupported(self.who, f"add_variable({name!r}) in a step that is recorded", fix="make it in build")
        if name in self.made:
            raise InvalidValue(self.who, f"two variables are called {name}")
        self.made = self.made | {name: draw_variable(self.who, shape, initializer, dtype or self.find_option("dtype"))}
        self.variables_made.append(CellVariable(self, name, trainable))
        return self.variables_made[-1]

    def add_weight(self, name: str, shape: Any, *args: Any, **kwargs: Any) -> CellVariable:
        """The same as add_variable."""
        return self.add_variable(name, shape, *args, **kwargs)

    def build(self, inputs: Any, dtype: Any = None, seed: Any = None, scope: str = "") -> Any:
        """Make the variables for inputs of this width or shape; dtype: that of the cell, or float32.

        In a subclass it is build(inputs_shape), which makes variables by add_variable.
        """
        return self

    def build_once(self, n_in: Any) -> None:
        """Make the variables, unless they are there."""
        if self.p is None:
            dtype, rng = BUILDING.get()
            self.build(n_in, dtype, rng)
        self.built = True

    def load_variables(self, arrays: dict[str, Array], scope: Optional[str] = None) -> Any:
        """Take the variables from a checkpoint, {name: array}.

        scope  the prefix of their names, "rnn" for those of dynamic_rnn; None: the only one that fits
        """
        return self._take_variables(arrays, scope, 0)

    def _take_variables(self, arrays: dict[str, Array], scope: Optional[str], n_in: Any) -> Any:
        rows = self.spec.rows
        if rows:
            self.scope, found = find_variables(arrays, [name for r in rows for name in r.names], scope, self.who)
            places = VariablePlaces(rows, self.core.shapes(n_in, self.spec.units))
            check_variables(self.who, places, found)
            self.unused = {name: found[name] for name, index in places.indices.items() if (index < 0).any()}
            self.p = places.to_parameters(found)
        return self

    unused: dict = {}                             # variables that the cell does not use

    @property
    def places(self) -> VariablePlaces:
        """Where the numbers of its variables lie in its parameters."""
        return VariablePlaces(self.spec.rows, map_structure(lambda a: tuple(a.shape), self.require_parameters()))

    def list_variables(self, trainable: Optional[bool] = None) -> list[VariableName]:
        """The names of its variables, with their arrays; those that are trained, or not, or all."""
        arrays = {} if self.p is None else self.places.to_variables(self.p) | self.unused
        return [VariableName(join_scope(self.scope, name), arrays.get(name)) for r in self.spec.rows for name in r.names
                if trainable is None or trainable is (r.trainable and self.trainable)]

    variables = weights = property(list_variables, doc="The names of all variables, which have their arrays.")
    trainable_variables = trainable_weights = property(
        lambda self: self.list_variables(True), doc="The names of the variables that are trained.")
    non_trainable_variables = non_trainable_weights = property(
        lambda self: self.list_variables(False), doc="The names of the variables that are not trained.")

    def dump_variables(self) -> dict[str, Array]:
        """{TF's name: array}; loading them gives the same parameters to the last bit."""
        places = self.places
        lost = places.find_lost(self.p)
        if lost:
            raise NotSupported(self.who, f"{' '.join(lost)} not zero where TF has no place for it")
        arrays = places.to_variables(to("cpu", self.p))
        return {join_scope(self.scope, name): self.unused.get(name, a) for name, a in arrays.items()}

    def gradients(self, dp: Tree) -> dict[str, Array]:
        """{TF's name: gradient} from gradients of the parameters; variables that the cell does not use have none."""
        gradients = self.places.to_variables(dp)
        return {join_scope(self.scope, name): d for name, d in gradients.items() if name not in self.unused}

    def require_parameters(self) -> Tree:
        """The parameters; an error if there are none yet."""
        if self.p is None:
            raise NotSupported(self.who, "its variables have no values", fix="load_variables(arrays) or build(inputs)")
        return self.p

    def find_option(self, option: str) -> Any:
        """The value of name, dtype, trainable or reuse."""
        raise NotImplementedError


def has_build(cell: VariableOwner) -> bool:
    """Whether a user's cell makes its variables in build."""
    return type(cell).build is not VariableOwner.build
