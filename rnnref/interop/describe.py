"""Prints which array of a framework is which gate, and the equations in which it stands."""
from typing import Any, Collection, Iterable, Iterator, Optional, Union

from ..arrays import Array
from ..shapes import Size
from .convert import Weights, gates_with_own_bias, match_arrays
from .families import infer_cell, layout_of, traits
from .layouts import Layout
from .matching import name_layer
from .places import Block, arrays_of, list_blocks

GATE_MEANINGS = {"i": "input gate", "f": "forget gate", "g": "candidate (elsewhere j, c or z)", "o": "output gate",
                 "r": "reset gate", "z": "update gate (keeps the old h)", "n": "candidate (elsewhere h or c)",
                 "q": "gate in depth (keeps x)", "v": "candidate of the output",
                 "x": "projected x, carried on to the output", **{str(n): f"sum {n} of the tree" for n in range(8)}}


def explain_weights(family: str, framework: Union[str, Layout], arrays: Any, **options: Any) -> str:
    """A table of the arrays of a framework: what every block of them is, and the equations in which it stands.

    family, framework   as in `layout_of`
    arrays              a dict by name, or a list in the order of Keras's get_weights()
    options             of the layer, where they are not the framework's default
    Errors              those of `load`

    >>> import numpy as np
    >>> theirs = {"kernel": np.ones((2, 1)), "bias": np.zeros(1)}
    >>> print(explain_weights("rnn", "tf1", theirs))
    tf1 rnn: 1 inputs, 1 units
    <BLANKLINE>
    kernel  (2, 1)  axes I+H G
        [0:1, 0:1]  W
        [1:2, 0:1]  R
    bias    (1,)    axes G
        [0:1]       b
    <BLANKLINE>
    h' = tanh(x W + h R + b)
    """
    layout = layout_of(family, framework)
    arrays = name_layer(layout, arrays)
    cell = infer_cell(layout, arrays, **options)
    arrays, known = match_arrays(layout, arrays, cell)
    title = f"{layout.who}: {known.sizes['I'].n} inputs, {known.sizes['U'].n} units"
    return "\n".join([title, "", *describe_weights(Weights(arrays, layout, cell, {name: name for name in arrays}))])


def describe_weights(w: Weights) -> list[str]:
    """A line for each array of a layer and each block in it, under their names in the source, and the equations."""
    arrays, known = match_arrays(w.layout, w.arrays, w.cell)
    table = _align_columns(_describe_arrays(w.layout, arrays, w.cell, known.sizes, w.names))
    return [*table, "", *write_equations(w.cell, gates_with_own_bias(w.layout, w.cell))]


def _describe_arrays(layout: Layout, arrays: dict[str, Array], cell: Any, sizes: dict[str, Size],
                     names: dict[str, str]) -> Iterator[str]:
    """A line for every array, and under it one for every block; tabs between columns."""
    width, blocks = max(len(names[name]) for name in arrays), list(list_blocks(layout, cell, sizes))
    for name, row in arrays_of(layout).items():
        if name in arrays:
            yield f"{names[name]:{width}}  {arrays[name].shape}  axes {row.axes}"
            yield from (_describe_block(block, len(cell.gates) > 1, bool(block.gate) and block.gate in layout.negated)
                        for block in blocks if block.theirs == name)


def _describe_block(block: Block, gated: bool, negated: bool = False) -> str:
    """Where in their array, which of ours, which gate."""
    index = ", ".join(f"{s.start}:{s.stop}" if isinstance(s, slice) else str(s) for s in block.their_index)
    ours = block.ours + (f"_{block.gate}" if block.gate and gated and not block.ours.startswith("Wp") else "")
    transposed = block.our_axes and block.their_axes != block.our_axes
    note = " transposed, its rows in one line" if block.flat else " transposed" if transposed else ""
    note += " times -1" if negated else ""
    named = gated and (block.gate or block.ours.startswith("Wp"))
    gate = GATE_MEANINGS[block.gate or block.ours[2:]] if named else ""
    unused = ", not used: it is coupled" if block.our_index is None else ""
    return f"    [{index}]\t{ours}{note}\t{gate}{unused}".rstrip()


def _align_columns(lines: Iterable[str]) -> list[str]:
    """Columns, which tabs separate, under each other."""
    cut = [text.split("\t") for text in lines]
    widths = [max((len(cells[n]) for cells in cut if len(cells) > n + 1), default=0) for n in range(3)]
    return ["  ".join(cell.ljust(widths[n]) if n + 1 < len(cells) else cell for n, cell in enumerate(cells))
            for cells in cut]


def write_equations(cell: Any, own: Optional[Collection[str]] = None) -> list[str]:
    """What the cell computes, with the names of its parameters; `own`: the gates that have a bR (None: all)."""
    options = traits(cell) | {"product": " * " if cell.inputs.space else " "}
    own = set(cell.gates if own is None else own) if options["recurrent_bias"] else set()
    if "activation" in options:
        argument = _write_sum(options, "h", own).replace("_h", "") + " + h" * options["residual"]
        return [f"h' = {options['activation']}({argument})"]
    if "keeps" in options:
        return _write_mgu(options, own)
    if "reset" not in options and "output" not in options:
        return _write_ugrnn(options, own)
    return _write_gru(options, own) if "reset" in options else _write_lstm(cell, options, own)


def _write_sum(options: dict[str, Any], gate: str, own: Collection[str], h: str = "h") -> str:
    """The argument of a gate."""
    by = options["product"]
    return f"x{by}W_{gate} + {h}{by}R_{gate}" + f" + b_{gate}" * options["bias"] + f" + bR_{gate}" * (gate in own)


def _write_gru(options: dict[str, Any], own: Collection[str]) -> list[str]:
    r, z = (f"{gate} = {options['gate']}({_write_sum(options, gate, own)})" for gate in "rz")
    return [r, z, _write_candidate(options, "r", own), "h' = (1 - z) n + z h"]


def _write_ugrnn(options: dict[str, Any], own: Collection[str]) -> list[str]:
    shift = f" + {options['forget_bias']:g}" if options["forget_bias"] else ""
    z = f"z = {options['gate']}({_write_sum(options, 'z', own)}{shift})"
    return [z, f"n = {options['candidate']}({_write_sum(options, 'n', own)})", "h' = z h + (1 - z) n"]


def _write_mgu(options: dict[str, Any], own: Collection[str]) -> list[str]:
    f = f"f = {options['gate']}({_write_sum(options, 'f', own)})"
    mixed = "f h + (1 - f) n" if options["keeps"] else "(1 - f) h + f n"
    return [f, _write_candidate(options, "f", own), f"h' = {mixed}"]


def _write_candidate(options: dict[str, Any], reset: str, own: Collection[str]) -> str:
    """The candidate, on whose h the gate `reset` acts."""
    n = _write_sum(options, "n", own, f"({reset} h)")
    if options["reset"] == "after":
        n = "x W_n" + " + b_n" * options["bias"] + f" + {reset} (h R_n{' + bR_n' * ('n' in own)})"
    return f"n = {options['candidate']}({n})"


def _write_lstm(cell: Any, options: dict[str, Any], own: Collection[str]) -> list[str]:
    first = [_write_lstm_gate(options, gate, own) for gate in cell.gates if gate != "o"]
    coupled = {"input": ["i = 1 - f"], "forget": ["f = 1 - i"], None: []}[options["coupled"]]
    h = f"o {options['output']}(c')"
    return [*first, *coupled, f"c' = f c + i g{_write_clip(options['cell_clip'])}", _write_lstm_gate(options, "o", own),
            f"h' = ({h}) P{_write_clip(options['projection_clip'])}" if options["projection"] else f"h' = {h}"]


def _write_clip(clip: Optional[float]) -> str:
    return f", limited to +-{clip:g}" if clip is not None else ""


def _write_lstm_gate(options: dict[str, Any], gate: str, own: Collection[str]) -> str:
    argument = _write_sum(options, gate, own)
    if gate != "g" and options["peepholes"]:
        argument += f" + Wp{gate} c" + "'" * (gate == "o")
    if gate == "f" and options["forget_bias"]:
        argument += f" + {options['forget_bias']:g}"
    return f"{gate} = {options['candidate' if gate == 'g' else 'gate']}({argument})"
