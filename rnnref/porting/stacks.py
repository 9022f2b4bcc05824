"""Which layers follow each other and which are two directions of one, read off the names around their arrays."""
import re
from collections.abc import Iterable
from typing import NamedTuple

from ..arrays import Array, namespace
from ..interop import Weights, cudnn, traits

_TORCH = re.compile(r"(?P<stack>|.*\.)_?l(?P<layer>\d+)(?P<back>_reverse)?")
_DIRECTIONS = {"forward": 0, "backward": 1, "fw": 0, "bw": 1}
_SUFFIXES = ("", "_reverse")


class Stack(NamedTuple):
    """Recurrent layers of which each reads the outputs of the one before."""
    name: str                                     # the names around it, without "/" or "." at the end
    layers: list[tuple[Weights, ...]]             # each a tuple of one or two directions

    @property
    def framework(self) -> str:
        """The framework whose arrays these are."""
        return self.layers[0][0].layout.framework

    @property
    def parts(self) -> list[Weights]:
        """All layers in all directions, in order."""
        return [w for layer in self.layers for w in layer]

    def describe_part(self, n: int, k: int) -> str:
        """"layer 1, backward", as far as there are several."""
        words = [f"layer {n}" * (len(self.layers) > 1), ("forward", "backward")[k] * (len(self.layers[n]) > 1)]
        return ", ".join(filter(None, words))


def group_layers(found: dict[str, Weights]) -> list[Stack]:
    """Stacks of the layers that were found by their places; what does not follow from the names stays apart.

    >>> import numpy as np
    >>> from rnnref.interop import Weights, cell_for, layout_of
    >>> w = Weights({"weight_hh_l0": np.ones((4, 4))}, layout_of("rnn", "torch"), cell_for("rnn", "torch"), {})
    >>> [(s.name, len(s.layers), len(s.layers[0])) for s in group_layers({"enc._l0": w, "enc._l0_reverse": w})]
    [('enc', 1, 2)]
    """
    groups: dict[str, dict[tuple[int, int], Weights]] = {}
    for place, w in found.items():
        stack, layer, direction = _parse_place(place)
        groups.setdefault(stack, {})[layer, direction] = w
    stacks: list[Stack] = []
    for name, parts in groups.items():
        layers = _arrange(parts)
        own = [place for place in found if _parse_place(place)[0] == name]
        if layers is not None and len(own) == len(parts):
            stacks.append(Stack(name, layers))
        else:
            stacks += [Stack(place.strip("/."), [(found[place],)]) for place in own]
    return stacks


def _parse_place(place: str) -> tuple[str, int, int]:
    """(the name of the stack, the number of the layer, the direction)."""
    match = _TORCH.fullmatch(place)
    if match:
        return match["stack"].strip("."), int(match["layer"]), int(bool(match["back"]))
    words, kept, layer, direction = place.strip("/").split("/"), [], 0, 0
    for word in words:
        number = re.fullmatch(r"(?:layer|cell)_(\d+)", word)
        side = word if word in _DIRECTIONS else word.partition("_")[0]
        if number:
            layer = int(number[1])
        elif side in _DIRECTIONS and (side == word or side in ("forward", "backward")):
            direction = _DIRECTIONS[side]
        else:
            kept.append(word)
    return "/".join(kept), layer, direction


def _arrange(parts: dict[tuple[int, int], Weights]) -> list[tuple[Weights, ...]] | None:
    """Layers of directions, if none is missing."""
    count = 1 + max(layer for layer, _ in parts)
    ways = 1 + max(direction for _, direction in parts)
    if parts.keys() != {(n, k) for n in range(count) for k in range(ways)}:
        return None
    layers = [tuple(parts[n, k] for k in range(ways)) for n in range(count)]
    same = {w.layout.framework for layer in layers for w in layer}
    return layers if len(same) == 1 else None


# names in the target

def name_arrays(stacks: Iterable[Stack]) -> dict[str, Array]:
    """The arrays of all layers under the names that their framework gives them.

    torch, ONNX and cuDNN name the arrays of a whole network; elsewhere they stand under layer_1/ and backward/, where
    there are several layers and directions.
    """
    found: dict[str, Array] = {}
    for stack in stacks:
        found |= _NAMED.get(stack.framework, _name_by_path)(stack)
    return found


def _name_for_torch(stack: Stack) -> dict[str, Array]:
    prefix = f"{stack.name.replace('/', '.')}." if stack.name else ""
    return {f"{prefix}{name.removesuffix('_l0')}_l{n}{_SUFFIXES[k]}": a for n, layer in enumerate(stack.layers)
            for k, w in enumerate(layer) for name, a in w.arrays.items()}


def _name_for_onnx(stack: Stack) -> dict[str, Array]:
    """Both directions in one array."""
    found = {}
    for n, layer in enumerate(stack.layers):
        prefix = "/".join(filter(None, (stack.name, f"layer_{n}" * (len(stack.layers) > 1))))
        for name in layer[0].arrays:
            arrays = [w.arrays[name] for w in layer]
            found["/".join(filter(None, (prefix, name)))] = namespace(*arrays).concatenate(arrays)
    return found


def _name_by_path(stack: Stack) -> dict[str, Array]:
    found = {}
    for n, layer in enumerate(stack.layers):
        for k, w in enumerate(layer):
            words = (stack.name, f"layer_{n}" * (len(stack.layers) > 1), ("forward", "backward")[k] * (len(layer) > 1))
            found |= {"/".join(filter(None, (*words, name))): a for name, a in w.arrays.items()}
    return found


_NAMED = {"torch": _name_for_torch, "onnx": _name_for_onnx}


# cuDNN

_MODES = {"lstm": "lstm", "gru": "gru"}


def find_network(stack: Stack) -> cudnn.Network:
    """The description of cuDNN's network for layers with the arrays of torch, whose matrices are the same."""
    first = stack.layers[0][0]
    options, p = traits(first.cell), first.load()
    mode = _MODES.get(first.layout.family) or f"rnn_{options['activation'].name}"
    return cudnn.Network(mode, len(stack.layers), first.cell.units(p), p["W"].shape[-2], len(stack.layers[0]) > 1,
                         options.get("projection"))
