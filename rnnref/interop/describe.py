"""Which of their arrays is which gate, and where in the equations it stands: a table to read.  (floor 4)"""
from .convert import gates_with_own_bias, measure_arrays
from .families import infer_cell, layout_of, traits
from .places import arrays_of, blocks_of

GATE_MEANINGS = {"i": "input gate", "f": "forget gate", "g": "candidate (elsewhere j, c or z)", "o": "output gate",
         "r": "reset gate", "z": "update gate (keeps the old h)", "n": "candidate (elsewhere h or c)",
         "q": "gate in depth (keeps x)", "v": "candidate of the output", "x": "projected x, carried on to the output",
         **{str(n): f"sum {n} of the tree" for n in range(8)}}


def explain_weights(family, framework, arrays, **options):
    """A table of their arrays: what every block of them is, and the equations in which it stands.

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
    cell = infer_cell(layout, arrays, **options)
    arrays, sizes = measure_arrays(layout, arrays, cell)
    title = f"{layout.who}: {sizes['I'].n} inputs, {sizes['U'].n} units"
    shown = _align_columns(_describe_arrays(layout, arrays, cell, sizes))
    return "\n".join([title, "", *shown, "", *write_equations(cell, gates_with_own_bias(layout, cell))])


def _describe_arrays(layout, arrays, cell, sizes):
    """A line for every array, and under it one for every block; tabs between columns."""
    wide, blocks = max(map(len, arrays)), list(blocks_of(layout, cell, sizes))
    for name, row in arrays_of(layout).items():
        if name in arrays:
            yield f"{name:{wide}}  {arrays[name].shape}  axes {row.axes}"
            yield from (_describe_block(block, len(cell.gates) > 1) for block in blocks if block.theirs == name)


def _describe_block(block, gated):
    """Where in their array, which of ours, which gate."""
    index = ", ".join(f"{s.start}:{s.stop}" if isinstance(s, slice) else str(s) for s in block.at)
    ours = block.ours + (f"_{block.gate}" if block.gate and gated and not block.ours.startswith("Wp") else "")
    turned = block.want and block.have != block.want
    note = " transposed, its rows in one line" if block.flat else " transposed" if turned else ""
    gate = GATE_MEANINGS[block.gate or block.ours[2:]] if gated and (block.gate or block.ours.startswith("Wp")) else ""
    return f"    [{index}]\t{ours}{note}\t{gate + (', idle: it is coupled' if block.place is None else '')}".rstrip()


def _align_columns(lines):
    """Columns, which tabs separate, under each other."""
    cut = [text.split("\t") for text in lines]
    widths = [max((len(cells[n]) for cells in cut if len(cells) > n + 1), default=0) for n in range(3)]
    return ["  ".join(cell.ljust(widths[n]) if n + 1 < len(cells) else cell for n, cell in enumerate(cells))
            for cells in cut]


def write_equations(cell, own=None):
    """What the cell computes, with the names of its parameters; `own`: the gates that have a bR (None: all)."""
    told = traits(cell) | {"product": " * " if cell.inputs.space else " "}
    own = set(cell.gates if own is None else own) if told["recurrent_bias"] else set()
    if "activation" in told:
        return [f"h' = {told['activation']}({_write_sum(told, 'h', own).replace('_h', '')})"]
    if "keeps" in told:
        return _write_mgu(told, own)
    return _write_gru(told, own) if "reset" in told else _write_lstm(cell, told, own)


def _write_sum(options, gate, own, h="h"):
    """What goes into a gate."""
    by = options["product"]
    return f"x{by}W_{gate} + {h}{by}R_{gate}" + f" + b_{gate}" * options["bias"] + f" + bR_{gate}" * (gate in own)


def _write_gru(options, own):
    r, z = (_write_sum(options, gate, own) for gate in "rz")
    return [f"r = {options['gate']}({r})", f"z = {options['gate']}({z})", _write_candidate(options, "r", own), "h' = (1 - z) n + z h"]


def _write_mgu(options, own):
    mixed = "f h + (1 - f) n" if options["keeps"] else "(1 - f) h + f n"
    return [f"f = {options['gate']}({_write_sum(options, 'f', own)})", _write_candidate(options, "f", own), f"h' = {mixed}"]


def _write_candidate(options, reset, own):
    """The candidate, whose h the gate `reset` acts on."""
    n = _write_sum(options, "n", own, f"({reset} h)")
    if options["reset"] == "after":
        n = "x W_n" + " + b_n" * options["bias"] + f" + {reset} (h R_n{' + bR_n' * ('n' in own)})"
    return f"n = {options['candidate']}({n})"


def _write_lstm(cell, options, own):
    first = [_write_lstm_gate(options, gate, own) for gate in cell.gates if gate != "o"]
    coupled = {"input": ["i = 1 - f"], "forget": ["f = 1 - i"], None: []}[options["coupled"]]
    h = f"o {options['output']}(c')"
    return [*first, *coupled, f"c' = f c + i g{_write_clip(options['cell_clip'])}", _write_lstm_gate(options, "o", own),
            f"h' = ({h}) P{_write_clip(options['projection_clip'])}" if options["projection"] else f"h' = {h}"]


def _write_clip(clip):
    return f", limited to +-{clip:g}" if clip else ""


def _write_lstm_gate(options, gate, own):
    words = _write_sum(options, gate, own)
    if gate != "g" and options["peepholes"]:
        words += f" + Wp{gate} c" + "'" * (gate == "o")
    if gate == "f" and options["forget_bias"]:
        words += f" + {options['forget_bias']:g}"
    return f"{gate} = {options['candidate' if gate == 'g' else 'gate']}({words})"
