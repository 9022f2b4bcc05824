"""Where the weights of a model stand in a file: the attributes that lead to them, as Keras 3 names them.

    layers/lstm/cell/vars/0     in .keras and .weights.h5: the first variable of the attribute `cell` of the first LSTM
    layers/lstm/cell/kernel     in .npz and .safetensors: the same by its name

The layers of a chain or a graph are under "layers", which other models have too: there is what their attributes up to l
do not lead to.  In lists, tuples and dicts an object goes by the name of its class,
the second with _1.  What is met twice is written where it is met first: attributes in the order of their names, those
that begin with _ last.
"""
from typing import Any, Iterator, NamedTuple
from warnings import warn

from .arrays import Array, asnumpy
from .errors import ShapeError
from .identifiers import snake
from .layers.weight import OWN, layer_in

_SKIPPED = {*OWN, "_chain", "_graph"}             # their layers are under "layers"


class Place(NamedTuple):
    """An object at its place."""
    path: str
    owner: Any                                    # a layer, or an optimizer
    weights: list                                 # in the order of Keras; of an optimizer none

    @property
    def group(self) -> str:
        """The group of a file of Keras that its variables are in."""
        return f"{self.path}/vars".lstrip("/")

    def names(self, numbered: bool) -> list:
        """What its weights are called in a file."""
        if numbered:
            return [f"{self.group}/{k}" for k in range(len(self.weights))]
        return [f"{self.path}/{w.name}".lstrip("/") for w in self.weights]


def find_places(model: Any) -> list[Place]:
    """A model, and all layers and optimizers in it, each once."""
    return list(_walk(model, "", set()))


def _walk(item: Any, path: str, seen: set) -> Iterator[Place]:
    if id(item) in seen:
        return
    seen.add(id(item))
    if not hasattr(item, "named_weights"):
        yield Place(path, item, [])
        return
    yield Place(path, item, sorted(item._handles.values(), key=lambda w: not w._trainable))
    for name, value in _attributes(item):
        yield from _walk_value(value, f"{path}/{name}".lstrip("/"), seen, getattr(item, "dtype", None))


def _walk_value(value: Any, path: str, seen: set, dtype: Any) -> Iterator[Place]:
    layer = value if hasattr(value, "save_own_variables") else layer_in(value, dtype)
    if layer is not None and not isinstance(value, type):
        yield from _walk(layer, path, seen)
    elif isinstance(value, (list, tuple, dict)) and id(value) not in seen:
        seen.add(id(value))
        counts: dict = {}
        for item in value.values() if isinstance(value, dict) else value:
            layer = layer_in(item, dtype)
            if layer is None and not isinstance(item, (list, tuple, dict)):
                continue
            name = "container" if layer is None else snake(type(layer).__name__)
            n = counts[name] = counts.get(name, -1) + 1
            yield from _walk_value(item, f"{path}/{name}_{n}" if n else f"{path}/{name}", seen, dtype)


def _attributes(layer: Any) -> list:
    """(name, value), the layers of a chain or a graph first."""
    found = sorted(vars(layer).items(), key=lambda item: f"~{item[0]}" if item[0].startswith("_") else item[0])
    own = [(name, value) for name, value in found if name not in _SKIPPED and not name.startswith("__")]
    if getattr(layer, "_graph", None) is not None or hasattr(layer, "_chain"):
        return [("layers", layer.layers), *own]
    if hasattr(layer, "layers"):                  # a property of other models too, whose turn comes after "l"
        place = sum(not name.startswith("_") and name < "layers" for name, _ in own)
        return [*own[:place], ("layers", layer.layers), *own[place:]]
    return own


def collect_arrays(places: list, numbered: bool) -> dict[str, Array]:
    """{name in a file: array} of all weights; with the variables of optimizers, if they are numbered."""
    found: dict[str, Array] = {}
    for place in places:
        if hasattr(place.owner, "save_own_variables") and numbered:
            store: dict = {}
            place.owner.save_own_variables(store)
            found |= {f"{place.group}/{name}": asnumpy(a) for name, a in store.items()}
        for name, w in zip(place.names(numbered), place.weights):
            found[name] = asnumpy(w.data)
    return found


def check_shapes(who: str, path: Any, places: list, numbered: bool, found: dict) -> None:
    """Raise unless a file has each weight in its shape, and no others; `found` is {name: array or Header}."""
    wanted = {name: w for place in places for name, w in zip(place.names(numbered), place.weights)}
    missing = [name for name in wanted if name not in found]
    others = [name for name in found if name not in wanted and not _is_left_out(name)]
    if missing or others:
        raise ShapeError(who, f"{path} is of another model: " + "; ".join(
            f"{what} {' '.join(names[:8])}{' ...' * (len(names) > 8)}" for what, names in (
                ("it lacks", missing), ("it has besides", others)) if names),
            hint="names are those of attributes, see rnnref.object_paths" if missing else "")
    for name, w in wanted.items():
        if tuple(found[name].shape) != tuple(w.shape):
            raise ShapeError(who, f"{name} in {path} has shape {tuple(found[name].shape)}, expected {tuple(w.shape)}",
                             names=f"it is {w.path}")


def _is_left_out(name: str) -> bool:
    """Whether it is the state of an optimizer, or of a generator of Keras: those have no counterpart."""
    parts = name.split("/")
    return "optimizer" in parts or any(part.startswith("seed_generator") for part in parts)


def assign_arrays(places: list, numbered: bool, found: dict[str, Array]) -> None:
    """Put the arrays of a file that was checked into a model; those that are missing stay as they were.

    Of an optimizer that had not begun there are no slots in a file.  One whose variables are not those of the file is
    left as it is, with a warning.
    """
    for place in places:
        for name, w in zip(place.names(numbered), place.weights):
            if name in found:
                w.assign(found[name])
        if hasattr(place.owner, "load_own_variables"):
            prefix = f"{place.group}/"
            store = {name[len(prefix):]: a for name, a in found.items() if name.startswith(prefix)}
            _load_optimizer(place.owner, [store[str(k)] for k in range(len(store)) if str(k) in store])


def _load_optimizer(optimizer: Any, arrays: list) -> None:
    variables = optimizer.variables
    if len(arrays) < len(variables) and len(arrays) <= 2:          # the iteration, and a rate that is a number
        variables = variables[:len(arrays)]
    if [a.shape for a in arrays] != [tuple(v.shape) for v in variables]:
        warn(f"{optimizer.name}: its {len(variables)} variables are not the {len(arrays)} in the file, and stay as they"
             " are", stacklevel=4)
        return
    for v, a in zip(variables, arrays):
        v.assign(a)
