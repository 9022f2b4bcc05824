"""The cases that an engine's RNN, GRU and LSTM are surveyed on: combinations of options x lengths x directions.

Options alone, then every pair of them, all at once, every activation in every slot with its scales given and left out,
lists that are easily mistaken, and the ends of the axes.  A case draws its numbers from a seed made of its own name, so
that it keeps them when others come or go; all are float32, so engine and truth are given exactly the same.  (floor 11)
"""
import zlib
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np

OPS = ("RNN", "GRU", "LSTM")
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_STATES = {"RNN": "h", "GRU": "h", "LSTM": "hc"}
_DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
DIRECTIONS = ("forward", "reverse", "bidirectional")
LENGTHS = ("whole", "ragged", "empty row")
# Exact in binary, and none the default.
ALPHA = {"Affine": 0.75, "LeakyRelu": 0.25, "ThresholdedRelu": 0.25, "ScaledTanh": 1.25, "HardSigmoid": 0.375,
         "Elu": 0.5}
_BETA = {"Affine": 0.125, "ScaledTanh": 0.75, "HardSigmoid": 0.25}
SCALES = {"activation_alpha": ALPHA, "activation_beta": _BETA}
_FUNCTIONS = ("Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu",
             "Softsign", "Softplus")
_CLIP = 0.5                                        # arguments of activations spread over about -3 to 3
# One list a direction; within each some functions take scales and some none, so none can be lined up by position.
_MIXED = {"RNN": (["ScaledTanh"], ["HardSigmoid"]),
         "GRU": (["Sigmoid", "Elu"], ["HardSigmoid", "ScaledTanh"]),
         "LSTM": (["Sigmoid", "LeakyRelu", "Elu"], ["HardSigmoid", "Softsign", "ScaledTanh"])}


class _Sizes(NamedTuple):
    """T, B, I and H all differ: a swapped axis cannot go unnoticed."""
    time: int = 6
    batch: int = 4
    inputs: int = 3
    units: int = 5
    weight: float = 0.5                           # the scale of the weights


class Case(NamedTuple):
    name: str
    group: str                                    # the operator and the options under test
    op: str
    inputs: dict                                  # arrays by ONNX input name
    attributes: dict
    outputs: tuple                                # those asked for: all, or some
    traits: dict                                  # what tells the cases of a group apart: direction, lengths, slot


class _Option(NamedTuple):
    """What an option changes about the plain case, in which X, W, R and B are given."""
    attributes: Any = {}                          # or a function of operator and direction
    extra_inputs: str = ""                               # further inputs: h (the initial states), P
    omissions: tuple = ()                             # inputs and attributes left out


def _activation_attributes(functions):
    """The attributes that ask for these functions, each with scales a little different, so none can be mistaken."""
    lists = {key: [values[n] + k / 32 for k, n in enumerate(functions) if n in values]
             for key, values in SCALES.items()}
    return {"activations": list(functions), **{key: values for key, values in lists.items() if values}}


def _mixed_activations(op, direction):
    ahead, back = _MIXED[op]
    return _activation_attributes({"forward": ahead, "reverse": back, "bidirectional": ahead + back}[direction])


_OPTIONS = {
    "without B": _Option(omissions=("B",)),
    "initial states": _Option(extra_inputs="h"),
    "clip": _Option({"clip": _CLIP}),
    "layout": _Option({"layout": 1}),
    "activations": _Option(_mixed_activations),
}
_OWN_OPTIONS = {
    "RNN": {},
    "GRU": {"linear_before_reset": _Option({"linear_before_reset": 1})},
    "LSTM": {"input_forget": _Option({"input_forget": 1}), "P": _Option(extra_inputs="P")},
}


def generate_cases(ops=OPS, seed=0, per_slot=True):
    """Every case, in a fixed order.  per_slot=False: each activation in the last slot only, a third as many."""
    for op in ops:
        for label, options in _combine_options(op):
            yield from _expand(op, label, options, seed)
        for label, slot, options, sizes in _vary_activations(op, per_slot):
            yield from _expand(op, label, options, seed, sizes, {"slot": slot})
        yield from _vary_lists(op, seed)
        yield from _vary_sizes(op, seed)


def _combine_options(op):
    """The plain case, every option alone, every pair, and all at once."""
    table = _OPTIONS | _OWN_OPTIONS[op]
    for count in (0, 1, 2):
        for labels in combinations(table, count):
            yield " + ".join(labels) or "plain", [table[label] for label in labels]
    together = [label for label in table if label not in ("without B", "layout")]
    yield "all at once", [table[label] for label in together]


def _vary_activations(op, per_slot):
    """Every function in every slot, the others at their defaults."""
    slots = "fgh"[:len(_DEFAULTS[op])]
    for slot, name in product(slots if per_slot else slots[-1], _FUNCTIONS):
        for given in (True, False) if name in ALPHA else (True,):
            functions = [name if s == slot else default for s, default in zip(slots, _DEFAULTS[op])]
            label = f"activation {name}" if given else f"{name}, scales left out"
            # Smaller weights: a gate may be unbounded here, and its products would outgrow single precision.
            yield label, slot, [_Option(_ask_for(functions, given))], _Sizes(weight=0.25)


def _ask_for(functions, with_scales=True):
    def attributes(op, direction):
        names = functions * _count_directions(direction)
        return _activation_attributes(names) if with_scales else {"activations": names}
    return attributes


def _vary_lists(op, seed):
    """Activation lists that are easily mistaken."""
    def other_case(op, direction):
        wanted = _mixed_activations(op, direction)
        return wanted | {"activations": [n.lower() if k % 2 else n.upper()
                                         for k, n in enumerate(wanted["activations"])]}

    def too_few(op, direction):                   # one value for the first taker; the others keep their defaults
        names = (["HardSigmoid", "Elu", "LeakyRelu"][:len(_DEFAULTS[op])]) * _count_directions(direction)
        return {"activations": names, "activation_alpha": [0.375], "activation_beta": [0.25]}

    yield from _expand(op, "activation names in other case", [_Option(other_case)], seed)
    yield from _expand(op, "fewer scales than takers", [_Option(too_few)], seed)


def _vary_sizes(op, seed):
    """Other sizes, and what else may be left out or left over."""
    initial = [_Option(extra_inputs="h")]
    yield from _expand(op, "one row", initial, seed, _Sizes(batch=1), lengths=("whole",))
    yield from _expand(op, "one step", initial, seed, _Sizes(time=1), lengths=("whole",))
    yield from _expand(op, "larger", initial, seed, _Sizes(20, 9, 17, 33, 0.25))
    yield from _expand(op, "all rows empty", [], seed, lengths=("all empty",))
    yield from _expand(op, "NaN in the padding", [], seed, lengths=("ragged", "empty row"), poison=True)
    yield from _expand(op, "hidden_size left out", [_Option(omissions=("hidden_size",))], seed)
    for asked in (("Y",), tuple(f"Y_{s}" for s in _STATES[op])):
        yield from _expand(op, f"only {' and '.join(asked)} asked for", [], seed, outputs=asked)


def _expand(op, label, options, seed, sizes=_Sizes(), traits=(), lengths=LENGTHS, outputs=None, poison=False):
    """The options in every direction, with every kind of sequence_lens."""
    for direction, kind in product(DIRECTIONS, lengths):
        told = {"direction": direction, "lengths": kind, **dict(traits)}
        name = ", ".join([f"{op} {label}", *(f"in {v}" if k == "slot" else v for k, v in told.items())])
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        inputs = _draw_inputs(rng, op, direction, sizes, "".join(o.extra_inputs for o in options))
        if kind != "whole":
            inputs["sequence_lens"] = _make_lengths(kind, sizes)
        if poison:
            inputs["X"] = np.where(np.arange(sizes.time)[:, None, None] < inputs["sequence_lens"][:, None],
                                   inputs["X"], np.float32(np.nan))
        attributes = {"hidden_size": sizes.units, **({"direction": direction} if direction != "forward" else {})}
        for option in options:
            asked = option.attributes
            attributes |= asked(op, direction) if callable(asked) else asked
        dropped = {name for option in options for name in option.omissions}
        case = Case(name, f"{op} {label}", op, {k: v for k, v in inputs.items() if k not in dropped},
                    {k: v for k, v in attributes.items() if k not in dropped}, outputs or _list_outputs(op), told)
        yield swap_batch_and_time(case) if attributes.get("layout") else case


def _draw_inputs(rng, op, direction, sizes, gives):
    """Arrays for every input.  What is not given is drawn too: what is given does not depend on it."""
    T, B, I, H, weight = sizes
    D, G = _count_directions(direction), GATES[op] * H
    shapes = {"X": (T, B, I), "W": (D, G, I), "R": (D, G, H), "B": (D, 2 * G), "P": (D, 3 * H)}
    shapes |= {f"initial_{s}": (D, B, H) for s in _STATES[op]}
    arrays = {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    for name in "WRB":
        arrays[name] *= np.float32(weight)
    return {n: a for n, a in arrays.items() if n in "XWRB" or n == "P" and "P" in gives or n[0] == "i" and "h" in gives}


def _make_lengths(kind, sizes):
    """sequence_lens: with an empty row no row is full, so that the last steps are padding everywhere."""
    T, lengths = sizes.time, {"ragged": (1.0, 0.3, 0.8, 0.15), "empty row": (0.5, 0.0, 0.8, 0.3), "all empty": (0.0,)}
    return np.array([round(T * lengths[kind][b % len(lengths[kind])]) for b in range(sizes.batch)], np.int32)


def swap_batch_and_time(case):
    """The same case with the first two axes of X and of the initial states swapped."""
    swapped = {n: np.ascontiguousarray(a.swapaxes(0, 1)) if n[0] in "Xi" else a for n, a in case.inputs.items()}
    return case._replace(inputs=swapped)


def _list_outputs(op):
    return ("Y", *(f"Y_{s}" for s in _STATES[op]))


def _count_directions(direction):
    return 2 if direction == "bidirectional" else 1
