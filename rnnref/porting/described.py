"""explain_file: what every array of a file is."""
from collections.abc import Iterator
from os import PathLike
from typing import Any

from ..interop import Weights, read, traits
from ..interop.convert import list_options
from ..interop.describe import describe_weights
from .sources import find_source_weights, is_onnx
from .stacks import Stack, group_layers


def explain_file(source: Any, *, framework: Any = None, family: str | None = None, params: Any = None,
                 **given: Any) -> str:
    """A text that names every array of a file, a dict or a live model: which layer, direction and gate, with shapes.

    source, framework, family, params   as of `rnnref.convert`
    given    options of the layers that are neither the default nor in the file

    >>> import numpy as np
    >>> state = {"enc.weight_ih_l0": np.ones((4, 3)), "enc.weight_hh_l0": np.ones((4, 4)), "out.bias": np.ones(2)}
    >>> print(explain_file(state))
    enc: torch rnn, 3 inputs, 4 units, bias=False
    <BLANKLINE>
    enc.weight_ih_l0  (4, 3)  axes G I
        [0:4, 0:3]  W transposed
    enc.weight_hh_l0  (4, 4)  axes G H
        [0:4, 0:4]  R transposed
    <BLANKLINE>
    h' = tanh(x W + h R)
    <BLANKLINE>
    Other arrays: out.bias (2,)
    """
    stacks = group_layers(find_source_weights(source, framework=framework, family=family, given=given, params=params))
    parts = ["\n".join([_title(stack, n, k, w), "", *describe_weights(w)]) for stack in stacks
             for n, layer in enumerate(stack.layers) for k, w in enumerate(layer)]
    return "\n\n".join([*parts, *_list_others(source, stacks)])


def _title(stack: Stack, n: int, k: int, w: Weights) -> str:
    p = w.load()
    place = ", ".join(filter(None, (stack.name, stack.describe_part(n, k))))
    options = [f"{name}={value}" for name, value in list_options(w).items()]
    projected = [f"{w.cell.projection} outputs"] if traits(w.cell).get("projection") else []
    sizes = [f"{p['W'].shape[-2]} inputs", f"{w.cell.units(p)} units", *projected]
    way = ["reads from the end"] if w.reverse and len(stack.layers[n]) == 1 else []
    way += [f"merge_mode={w.merge}"] if w.merge != "concat" else []
    return f"{place + ': ' if place else ''}{', '.join([w.layout.who, *sizes, *options, *way])}"


def _list_others(source: Any, stacks: list[Stack]) -> Iterator[str]:
    """The arrays that belong to no recurrent layer, if the source is a dict or a file of arrays."""
    if is_onnx(source) or not (hasattr(source, "items") or isinstance(source, (str, PathLike))):
        return
    known = {name for stack in stacks for w in stack.parts for name in w.names.values()}
    others = [f"{name} {tuple(a.shape)}" for name, a in read(source).items() if name not in known]
    if others:
        yield f"Other arrays: {', '.join(others)}"
