"""Loads, dumps and converts weights: arrays of one framework to our parameters and back, and to another framework."""
from typing import Any, NamedTuple, Optional, Union

from ..arrays import Array
from ..errors import NotSupported
from ..shapes import check_floating
from .adapt import adapt
from .families import cell_for, cell_like, check_defaults, infer_cell, layout_of, traits
from .layouts import Layout
from .matching import name_layer
from .places import LayoutPlaces, Places, as_array, find_for_arrays, find_for_parameters, list_blocks, option_for


class Weights(NamedTuple):
    """The weights of one layer in one direction, with the cell that computes what the layer computes."""
    arrays: dict                                  # under the names of the table
    layout: Layout
    cell: Any                                     # of rnnref
    names: dict                                   # name in the table -> name in the source
    reverse: bool = False                         # True if the layer reads the sequence from its end
    merge: str = "concat"                         # how both directions become one output, in Keras's words

    def load(self) -> dict[str, Array]:
        """The parameters of `cell`."""
        return load(self.layout, self.arrays, self.cell)

    def renamed(self, arrays: dict[str, Array]) -> dict[str, Array]:
        """Arrays under the names of the table -> under those of the source, to put them back."""
        return {self.names[name]: a for name, a in arrays.items()}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{self.names[name]} {tuple(a.shape)}" for name, a in self.arrays.items())
        return f"Weights({self.layout.who}{', reverse' * self.reverse}: {shapes})"


def load(layout: Layout, arrays: dict[str, Array], cell: Any) -> dict[str, Array]:
    """The arrays of a framework, by name -> the parameters of `cell`; blocks for which they have no place are zero.

    Arrays on a GPU stay there.

    Errors   ShapeError, DtypeError: arrays that are not those of this layout and cell; NotSupported: numbers that are
             not zero and for which the cell has no parameter

    >>> import numpy as np
    >>> from rnnref.interop import cell_for, layout_of
    >>> theirs = {"kernel": np.ones((2, 3)), "recurrent_kernel": np.ones((1, 3)), "bias": np.array([1.0, 2.0, 3.0])}
    >>> cell, layout = cell_for("gru before", "keras"), layout_of("gru before", "keras")
    >>> load(layout, theirs, cell)["b"]           # theirs are z r n
    array([2., 1., 3.])
    """
    arrays, known = match_arrays(layout, arrays, cell)
    for block in known.homeless:
        if arrays[block.theirs][block.their_index].any():
            raise NotSupported(cell.name, f"{block.theirs} is not zero, and this cell has no {block.ours}",
                               fix=option_for(block.ours))
    return known.places.to_ours(arrays)


def match_arrays(layout: Layout, arrays: dict[str, Array], cell: Any) -> tuple[dict[str, Array], LayoutPlaces]:
    """Their arrays and where their numbers lie, if names, shapes and dtypes fit the layout and the cell."""
    arrays = {name: as_array(a) for name, a in arrays.items()}
    known = find_for_arrays(cell, layout, tuple([(name, a.shape) for name, a in arrays.items()]))
    dtype = next(iter(arrays.values())).dtype
    for name, a in arrays.items():
        check_floating(cell.name, name, a, dtype)
    return arrays, known


def dump(layout: Layout, p: dict[str, Array], cell: Any) -> dict[str, Array]:
    """The parameters of `cell` -> the arrays of a framework, by name.  load(dump(p)) is p to the last bit.

    Arrays on a GPU stay there.

    Errors   NotSupported: a parameter that is not zero where the framework has no place for it

    >>> import numpy as np
    >>> from rnnref.interop import cell_for, layout_of
    >>> p = {"W": np.ones((2, 3)), "R": np.ones((1, 3)), "b": np.array([1.0, 2.0, 3.0]), "bR": np.zeros(3)}
    >>> dump(layout_of("gru", "onnx"), p, cell_for("gru", "onnx"))["B"]
    array([[2., 1., 3., 0., 0., 0.]])
    """
    p, places = _match_parameters(layout, p, cell)
    lost = places.find_lost(p)
    lost += [name for name, mask in places.unplaced.items() if name not in lost and mask.ndim > 1 and mask.all()]
    for name in lost:
        raise NotSupported(cell.name, f"{name} is not zero where {layout.who} has no place for it",
                           hint="if the two biases of a gate are only ever added, add bR to b and let bR be zero"
                           if name == "bR" else "")
    return places.to_theirs(p)


def gradients(layout: Layout, dp: dict[str, Array], cell: Any) -> dict[str, Array]:
    """Gradients of the parameters of `cell` -> gradients of the arrays of a framework.

    What has no place there has no gradient there; the gradient of what the cell does not read is zero.
    """
    dp, places = _match_parameters(layout, dp, cell)
    return places.to_theirs(dp)


def _match_parameters(layout: Layout, p: dict[str, Array], cell: Any) -> tuple[dict[str, Array], Places]:
    p = {name: as_array(a) for name, a in p.items()}
    return p, find_for_parameters(cell, layout, tuple([(name, a.shape) for name, a in p.items()])).places


def convert(arrays: Any, source: Union[str, Layout], target: Union[str, Layout], family: str,
            given: Optional[dict] = None, wanted: Optional[dict] = None) -> dict[str, Array]:
    """Weights of one framework as weights of another, with which it computes the same outputs.

    arrays           a dict by name, of arrays or tensors, or a list in the order of Keras's get_weights()
    source, target   frameworks as in `LAYOUTS`, or layouts: layout_of("lstm", "keras", bias=False)
    family           "rnn", "lstm", "gru" (reset after the product), "gru before", "mgu" or "conv lstm"
    given            options of the source layer that are not its framework's default: {"forget_bias": 0.0}
    wanted           the same of the target layer, where they differ from those given
    Errors           ShapeError: arrays that are not those of the source; NotSupported: what the target cannot compute,
                     or computes only with an option that is neither its default nor given nor wanted

    >>> import numpy as np
    >>> theirs = {"kernel": np.ones((3, 4)), "bias": np.arange(4.0)}          # TF 1: i g f o, forget_bias=1
    >>> convert(theirs, "tf1", "torch", "lstm")["bias_ih_l0"]
    array([0., 3., 1., 3.])
    """
    source, target = layout_of(family, source), layout_of(family, target)
    arrays = name_layer(source, arrays)
    cell = infer_cell(source, arrays, **given or {})
    new = cell_like(target, cell, **wanted or {})
    check_defaults(target, new, {**(given or {}), **(wanted or {})})
    p = load(source, arrays, cell)
    return dump(target, adapt(cell, p, new, separate=gates_with_own_bias(target, new)), new)


_BIAS_IS_OPTIONAL = ("torch", "torch cell", "keras", "keras2", "onnx", "equinox", "mlx", "coreml", "coreml network")


def convert_weights(w: Weights, target: Union[str, Layout], wanted: Optional[dict] = None) -> Weights:
    """The weights of one layer as another framework holds them, and the cell that its layer then computes.

    An option that is not the framework's default there is taken if its layers can have it, and stays one of `cell`: see
    `list_options`.  Hard sigmoids become those of the framework, with what enters them rescaled.

    target   a framework, or a layout
    wanted   options of the layer there
    Errors   NotSupported: what the framework cannot compute, with the reason
    """
    family, wanted = w.layout.family, dict(wanted or {})
    layout = layout_of(family, target)
    has_bias = traits(w.cell)["bias"] or traits(w.cell)["recurrent_bias"]
    layout = layout if has_bias or layout.framework not in _BIAS_IS_OPTIONAL else layout.without_bias()
    new = cell_like(layout, w.cell, **_choose_gate(layout, w.cell) | wanted)
    arrays = dump(layout, adapt(w.cell, w.load(), new, separate=gates_with_own_bias(layout, new)), new)
    return w._replace(arrays=arrays, layout=layout, cell=new, names={name: name for name in arrays})


def _choose_gate(layout: Layout, cell: Any) -> dict[str, Any]:
    """{"gate": the hard sigmoid that the framework has} for a cell with another one."""
    gate, allowed = traits(cell).get("gate"), layout.takes.get("gate") or ()
    same = [a for a in allowed if gate is not None and a.name == gate.name == "hard_sigmoid"]
    return {"gate": same[0]} if same and gate not in allowed else {}


def list_options(w: Weights) -> dict[str, Any]:
    """The options of a layer that are not the default of its framework, by our names."""
    options, default = traits(w.cell), traits(cell_for(w.layout.family, w.layout))
    held = ("projection", "peepholes") if w.layout.framework == "onnx" else ()
    found = {name: value for name, value in options.items() if value != default[name] and name not in held}
    has_bias = any(row.ours in ("b", "bR") for row in w.layout.rows)
    found = {name: value for name, value in found.items() if name not in ("bias", "recurrent_bias")}
    return found if has_bias else found | {"bias": False}


def gates_with_own_bias(layout: Layout, cell: Any) -> set[str]:
    """The gates whose recurrent bias has a place of its own."""
    return {block.gate for block in list_blocks(layout, cell, cell.sizes(0, 1)) if block.ours == "bR"}
