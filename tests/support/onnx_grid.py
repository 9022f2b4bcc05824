"""A grid of cases for the ONNX operators RNN, GRU and LSTM: what onnx_reading computes and a library has to match.

cases() yields (name, group, op, inputs, attributes).  group names the option under test, so that a known difference
can be stated once for all cases it covers.  Every case draws its data from a seed made of its own name, so a case
keeps its data when others come or go.  All values are representable in float32: an implementation in single
precision is given exactly what the float64 reading is given.
"""

import zlib

import numpy as np

TIME, BATCH, INPUT, HIDDEN = 6, 4, 3, 5             # all different: a swapped axis cannot go unnoticed
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
SLOTS = {"RNN": "f", "GRU": "fg", "LSTM": "fgh"}
DIRECTIONS = ["forward", "reverse", "bidirectional"]
# "empty" has a row of length 0 and no full one, so the last time steps are padding in every row.
LENGTHS = {"whole": None, "ragged": [6, 2, 5, 1], "empty": [3, 0, 5, 2]}
NAMES = ["Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu",
         "Softsign", "Softplus"]
# Not the defaults, and exact in binary.
ALPHA = {"Affine": 0.75, "LeakyRelu": 0.25, "ThresholdedRelu": 0.25, "ScaledTanh": 1.25, "HardSigmoid": 0.375,
         "Elu": 0.5}
BETA = {"Affine": 0.125, "ScaledTanh": 0.75, "HardSigmoid": 0.25}
TIGHT, MILD = 0.25, 1.0     # arguments of activations spread over about -3..3: one bounds most of them, one some

# What is given beside X, W and R: b B, s the initial states, p the peepholes P.
EVERY_OP = [
    ("default", "b", {}),
    ("without B", "", {}),
    ("initial states", "bs", {}),
    ("initial states, without B", "s", {}),
    ("clip", "b", {"clip": TIGHT}),
    ("clip", "bs", {"clip": MILD}),
    ("layout", "b", {"layout": 1}),
    ("layout", "bs", {"layout": 1, "clip": MILD}),
]
ONE_OP = {
    "RNN": [],
    "GRU": [
        ("linear_before_reset", "b", {"linear_before_reset": 0}),
        ("linear_before_reset", "b", {"linear_before_reset": 1}),
        ("linear_before_reset", "s", {"linear_before_reset": 1}),
        ("linear_before_reset, clip", "bs", {"linear_before_reset": 1, "clip": TIGHT}),
        ("linear_before_reset, layout", "bs", {"linear_before_reset": 1, "layout": 1}),
    ],
    "LSTM": [
        ("input_forget", "b", {"input_forget": 1}),
        ("input_forget", "s", {"input_forget": 1}),
        ("P", "bp", {}),
        ("P", "sp", {}),
        ("input_forget, P", "bsp", {"input_forget": 1}),
        ("clip, P", "bsp", {"clip": TIGHT}),
        ("clip, input_forget", "bs", {"clip": TIGHT, "input_forget": 1}),
        ("clip, input_forget, P", "bsp", {"clip": MILD, "input_forget": 1}),
        ("layout, P", "bsp", {"layout": 1}),
    ],
}
# The forward functions and the backward ones.
MIXED = {
    "RNN": (["Elu"], ["HardSigmoid"]),
    "GRU": (["HardSigmoid", "Softsign"], ["Sigmoid", "ScaledTanh"]),
    "LSTM": (["HardSigmoid", "Softsign", "Elu"], ["Sigmoid", "LeakyRelu", "ScaledTanh"]),
}
# One direction's functions of which some take no alpha: by position the values would land elsewhere.
SKIPPING = {
    "GRU": [["Sigmoid", "Elu"], ["HardSigmoid", "Tanh"]],
    "LSTM": [["Sigmoid", "LeakyRelu", "Elu"], ["HardSigmoid", "Tanh", "ScaledTanh"], ["Sigmoid", "Tanh", "Affine"]],
}


def cases():
    """All cases, names unique and order fixed."""
    for op in GATES:
        yield from _options(op)
        yield from _single_activations(op)
        yield from _activation_lists(op)
        yield from _small_shapes(op)


def _options(op):
    """Every direction and every kind of sequence_lens with every group of options."""
    for option in EVERY_OP + ONE_OP[op]:
        for direction in DIRECTIONS:
            for lengths in LENGTHS:
                yield _case(op, direction, lengths, *option)


def _single_activations(op):
    """Every function in every slot, the other slots at their defaults, with its scales given and left out.

    Directions and lengths take turns; all of them meet some function in every slot.
    """
    turn = 0
    for slot, letter in enumerate(SLOTS[op]):
        for name in NAMES:
            for given in (True, False) if name in ALPHA else (True,):
                direction, lengths = DIRECTIONS[turn % 3], list(LENGTHS)[turn // 3 % 3]
                turn += 1
                functions = list(DEFAULTS[op])
                functions[slot] = name
                functions *= _count(direction)
                attributes = {"activations": functions, **(_scales(functions) if given else {})}
                group = f"activation {name}" if given else f"default scales of {name}"
                # Smaller weights: a gate is unbounded here, and its products would outgrow single precision.
                yield _case(op, direction, lengths, group, "b", attributes, f"in {letter}", weight=0.25)


def _activation_lists(op):
    """Lists in which functions of different needs stand side by side."""
    forward, backward = MIXED[op]
    for lengths in LENGTHS:
        for direction, functions in zip(DIRECTIONS, (forward, backward, forward + backward)):
            scales = _scales(functions)
            yield _case(op, direction, lengths, "activations mixed", "b", {"activations": functions, **scales})
            yield _case(op, direction, lengths, "clip, activations mixed", "bs",
                        {"activations": functions, "clip": MILD, **scales})
            yield _case(op, direction, lengths, "layout, activations mixed", "b",
                        {"activations": functions, "layout": 1, **scales})
            if op == "GRU":
                yield _case(op, direction, lengths, "linear_before_reset, activations mixed", "b",
                            {"activations": functions, "linear_before_reset": 1, **scales})
            if op == "LSTM":
                yield _case(op, direction, lengths, "input_forget, P, activations mixed", "bsp",
                            {"activations": functions, "input_forget": 1, **scales})

    functions = forward + backward
    changed = [name.lower() if k % 2 else name.upper() for k, name in enumerate(functions)]
    yield _case(op, "bidirectional", "ragged", "activation names in other case", "b",
                {"activations": changed, **_scales(functions)})

    for number, functions in enumerate(SKIPPING.get(op, [])):
        for direction in DIRECTIONS:
            names = functions * _count(direction)
            yield _case(op, direction, "ragged", "scales beside functions that take none", "b",
                        {"activations": names, **_scales(names)}, f"list {number}")

    # The first value goes to the first function, the rest of them keep their defaults.
    names = (["HardSigmoid", "Elu", "LeakyRelu"][:len(SLOTS[op])]) * 2
    yield _case(op, "bidirectional", "ragged", "fewer scales than takers", "b",
                {"activations": names, "activation_alpha": [0.375], "activation_beta": [0.25]})


def _small_shapes(op):
    """The ends of the axes: one row, one step, no live row at all."""
    for direction in DIRECTIONS:
        yield _case(op, direction, "whole", "one row", "bs", {}, batch=1)
        yield _case(op, direction, "whole", "one step", "bs", {}, time=1)
        yield _case(op, direction, [0] * BATCH, "all rows empty", "b", {})


def _case(op, direction, lengths, group, given, attributes, note="", *, batch=BATCH, time=TIME, weight=0.5):
    lens = LENGTHS[lengths] if isinstance(lengths, str) else lengths
    kind = lengths if isinstance(lengths, str) else "nothing"
    # An empty row's state is a question of its own (empty_row), and only an initial state asks it.
    full_group = f"{op} {group}" + (", empty row" if lens and 0 in lens and "s" in given else "")
    # What tells the cases of one group apart.
    options = [f"{key}={value}" for key, value in attributes.items() if not isinstance(value, list)]
    name = ", ".join([f"{op} {group}", *options, *([note] if note else []), direction, kind, f"given {given or '-'}"])

    rng = np.random.default_rng(zlib.crc32(name.encode()))
    directions, gates = _count(direction), GATES[op]
    inputs = {
        "X": _draw(rng, time, batch, INPUT),
        "W": _draw(rng, directions, gates * HIDDEN, INPUT) * np.float32(weight),
        "R": _draw(rng, directions, gates * HIDDEN, HIDDEN) * np.float32(weight),
    }
    if "b" in given:
        inputs["B"] = _draw(rng, directions, 2 * gates * HIDDEN) * np.float32(weight)
    if lens:
        inputs["sequence_lens"] = np.array(lens, np.int32)
    if "s" in given:
        for state in ("h", "c") if op == "LSTM" else ("h",):
            inputs[f"initial_{state}"] = _draw(rng, directions, batch, HIDDEN)
    if "p" in given:
        inputs["P"] = _draw(rng, directions, 3 * HIDDEN)
    if attributes.get("layout"):
        for batched in {"X", "initial_h", "initial_c"} & set(inputs):
            inputs[batched] = np.ascontiguousarray(inputs[batched].swapaxes(0, 1))
    if (group, direction) != ("default", "forward"):        # forward is what an absent direction means
        attributes = {"direction": direction, **attributes}
    return name, full_group, op, inputs, {"hidden_size": HIDDEN, **attributes}


def _count(direction):
    return 2 if direction == "bidirectional" else 1


def _draw(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)


def _scales(functions):
    """A value for every function that takes one, in order, each a little different so that none can be mistaken."""
    lists = {"activation_alpha": ALPHA, "activation_beta": BETA}
    return {key: [values[name] + k / 32 for k, name in enumerate(functions) if name in values]
            for key, values in lists.items() if set(functions) & set(values)}
