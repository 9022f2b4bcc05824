"""The cases of a survey of RNN, GRU and LSTM: combinations of options x lengths x directions.

Every option alone, every pair, all at once, every activation in every slot with alpha and beta given and left out,
activation lists that are easily misread, and small and large sizes.  The random numbers of a case come from a seed made
of its name, so they stay the same when cases are added or removed.  All are float32: engine and reference get the same.
"""
import zlib
from itertools import combinations, product
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Optional

import numpy as np

from ..arrays import Array

Outputs = dict[str, Array]                        # arrays by ONNX output name: Y, Y_h, Y_c

OPS = ("RNN", "GRU", "LSTM")
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_STATES = {"RNN": "h", "GRU": "h", "LSTM": "hc"}
_DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}
DIRECTIONS = ("forward", "reverse", "bidirectional")
LENGTHS = ("whole", "ragged", "empty row")
# Exact in binary; no value is a default.
ALPHA = {"Affine": 0.75, "LeakyRelu": 0.25, "ThresholdedRelu": 0.25, "ScaledTanh": 1.25, "HardSigmoid": 0.375,
         "Elu": 0.5}
_BETA = {"Affine": 0.125, "ScaledTanh": 0.75, "HardSigmoid": 0.25}
SCALES = {"activation_alpha": ALPHA, "activation_beta": _BETA}
_FUNCTIONS = ("Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu",
              "Softsign", "Softplus")
_CLIP = 0.5                                       # arguments of activations lie between about -3 and 3
# One list for each direction.  In each, some functions take alpha and some do not, so that assigning values by position
# gives other results than assigning them to the functions that take one.
_MIXED = {"RNN": (["ScaledTanh"], ["HardSigmoid"]),
          "GRU": (["Sigmoid", "Elu"], ["HardSigmoid", "ScaledTanh"]),
          "LSTM": (["Sigmoid", "LeakyRelu", "Elu"], ["HardSigmoid", "Softsign", "ScaledTanh"])}


class _Sizes(NamedTuple):
    """T, B, I and H, all different so that swapped axes are noticed, and the scale of the weights."""
    time: int = 6
    batch: int = 4
    inputs: int = 3
    units: int = 5
    weight: float = 0.5


class Case(NamedTuple):
    """One node: operator, inputs, attributes and requested outputs."""
    name: str
    group: str                                    # the operator and the options under test
    op: str
    inputs: dict                                  # arrays by ONNX input name
    attributes: dict
    outputs: tuple                                # the names of the requested ones
    traits: dict                                  # what differs within a group: direction, lengths, slot


def copy_case(case: Case) -> Case:
    """The same case, for an engine that may change its arrays."""
    return case._replace(inputs={n: a.copy() for n, a in case.inputs.items()}, attributes=dict(case.attributes))


class _Option(NamedTuple):
    """The changes of an option to the plain case, which has X, W, R and B."""
    attributes: Any = {}                          # or a function of operator and direction
    extra_inputs: str = ""                        # h: the initial states; P
    omissions: tuple = ()                         # inputs and attributes left out


def _activation_attributes(functions: list[str]) -> dict:
    """The attributes for these functions; all alpha and beta differ, so that exchanged values are noticed."""
    lists = {key: [values[n] + k / 32 for k, n in enumerate(functions) if n in values]
             for key, values in SCALES.items()}
    return {"activations": list(functions), **{key: values for key, values in lists.items() if values}}


def _mixed_activations(op: str, direction: str) -> dict:
    forward, reverse = _MIXED[op]
    lists = {"forward": forward, "reverse": reverse, "bidirectional": forward + reverse}
    return _activation_attributes(lists[direction])


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


def generate_cases(ops: Iterable[str] = OPS, seed: int = 0, per_slot: bool = True) -> Iterator[Case]:
    """Every case, in a fixed order.  per_slot=False: each activation in the last slot only, a third as many cases."""
    for op in ops:
        for label, options in _combine_options(op):
            yield from _expand(op, label, options, seed)
        for label, slot, options, sizes in _vary_activations(op, per_slot):
            yield from _expand(op, label, options, seed, sizes, {"slot": slot})
        yield from _vary_lists(op, seed)
        yield from _vary_sizes(op, seed)


def _combine_options(op: str) -> Iterator[tuple[str, list[_Option]]]:
    """(label, options): none, every option alone, every pair, and all at once."""
    table = _OPTIONS | _OWN_OPTIONS[op]
    for count in (0, 1, 2):
        for labels in combinations(table, count):
            yield " + ".join(labels) or "plain", [table[label] for label in labels]
    together = [label for label in table if label not in ("without B", "layout")]
    yield "all at once", [table[label] for label in together]


def _vary_activations(op: str, per_slot: bool) -> Iterator[tuple[str, str, list[_Option], _Sizes]]:
    """(label, slot, options, sizes): every function in every slot, the default in the others."""
    slots = "fgh"[:len(_DEFAULTS[op])]
    for slot, name in product(slots if per_slot else slots[-1], _FUNCTIONS):
        for with_scales in (True, False) if name in ALPHA else (True,):
            functions = [name if s == slot else default for s, default in zip(slots, _DEFAULTS[op])]
            label = f"activation {name}" if with_scales else f"{name}, scales left out"
            # Smaller weights: a gate may be unbounded here, and products of it would leave the range of float32.
            yield label, slot, [_Option(_choose_activations(functions, with_scales))], _Sizes(weight=0.25)


def _choose_activations(functions: list[str], with_scales: bool = True) -> Callable[[str, str], dict]:
    """The activations of one direction, for each direction, as a function of operator and direction."""
    def attributes(op: str, direction: str) -> dict:
        names = functions * _count_directions(direction)
        return _activation_attributes(names) if with_scales else {"activations": names}
    return attributes


def _vary_lists(op: str, seed: int) -> Iterator[Case]:
    """Activation lists that are easily misread."""
    def other_case(op: str, direction: str) -> dict:
        mixed = _mixed_activations(op, direction)
        return mixed | {"activations": [n.lower() if k % 2 else n.upper() for k, n in enumerate(mixed["activations"])]}

    def too_few(op: str, direction: str) -> dict:
        # one value, for the first function that takes one; the others have their defaults
        names = (["HardSigmoid", "Elu", "LeakyRelu"][:len(_DEFAULTS[op])]) * _count_directions(direction)
        return {"activations": names, "activation_alpha": [0.375], "activation_beta": [0.25]}

    yield from _expand(op, "activation names in other case", [_Option(other_case)], seed)
    yield from _expand(op, "fewer scales than takers", [_Option(too_few)], seed)


def _vary_sizes(op: str, seed: int) -> Iterator[Case]:
    """Other sizes, empty rows, NaN in the padding, no hidden_size, and a part of the outputs."""
    initial = [_Option(extra_inputs="h")]
    yield from _expand(op, "one row", initial, seed, _Sizes(batch=1), lengths=("whole",))
    yield from _expand(op, "one step", initial, seed, _Sizes(time=1), lengths=("whole",))
    yield from _expand(op, "larger", initial, seed, _Sizes(20, 9, 17, 33, 0.25))
    yield from _expand(op, "all rows empty", [], seed, lengths=("all empty",))
    yield from _expand(op, "NaN in the padding", [], seed, lengths=("ragged", "empty row"), poison=True)
    yield from _expand(op, "hidden_size left out", [_Option(omissions=("hidden_size",))], seed)
    for outputs in (("Y",), tuple(f"Y_{s}" for s in _STATES[op])):
        yield from _expand(op, f"only {' and '.join(outputs)} requested", [], seed, outputs=outputs)


def _expand(op: str, label: str, options: list[_Option], seed: int, sizes: _Sizes = _Sizes(), traits: Any = (),
            lengths: tuple[str, ...] = LENGTHS, outputs: Optional[tuple[str, ...]] = None,
            poison: bool = False) -> Iterator[Case]:
    """The options in every direction, with every kind of sequence_lens."""
    for direction, kind in product(DIRECTIONS, lengths):
        all_traits = {"direction": direction, "lengths": kind, **dict(traits)}
        name = ", ".join([f"{op} {label}", *(f"in {v}" if k == "slot" else v for k, v in all_traits.items())])
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        inputs = _draw_inputs(rng, op, direction, sizes, "".join(o.extra_inputs for o in options))
        if kind != "whole":
            inputs["sequence_lens"] = _make_lengths(kind, sizes)
        if poison:
            inputs["X"] = np.where(np.arange(sizes.time)[:, None, None] < inputs["sequence_lens"][:, None],
                                   inputs["X"], np.float32(np.nan))
        attributes = {"hidden_size": sizes.units, **({"direction": direction} if direction != "forward" else {})}
        for option in options:
            added = option.attributes
            attributes |= added(op, direction) if callable(added) else added
        dropped = {name for option in options for name in option.omissions}
        case = Case(name, f"{op} {label}", op, {k: v for k, v in inputs.items() if k not in dropped},
                    {k: v for k, v in attributes.items() if k not in dropped}, outputs or _list_outputs(op), all_traits)
        yield swap_batch_and_time(case) if attributes.get("layout") else case


def _draw_inputs(rng: np.random.Generator, op: str, direction: str, sizes: _Sizes,
                 extra_inputs: str) -> dict[str, Array]:
    """Random arrays for X, W, R, B and the extra inputs.

    All inputs are drawn, also those that are not returned: so the others are the same with and without them.
    """
    T, B, I, H, weight = sizes
    D, G = _count_directions(direction), GATES[op] * H
    shapes = {"X": (T, B, I), "W": (D, G, I), "R": (D, G, H), "B": (D, 2 * G), "P": (D, 3 * H)}
    shapes |= {f"initial_{s}": (D, B, H) for s in _STATES[op]}
    arrays = {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
    for name in "WRB":
        arrays[name] *= np.float32(weight)
    present = {"X", "W", "R", "B", *("P" * ("P" in extra_inputs))}
    present |= {f"initial_{s}" for s in _STATES[op]} if "h" in extra_inputs else set()
    return {n: a for n, a in arrays.items() if n in present}


def _make_lengths(kind: str, sizes: _Sizes) -> Array:
    """sequence_lens.  With an empty row no row is full, so that the last steps are padding in all rows."""
    shares = {"ragged": (1.0, 0.3, 0.8, 0.15), "empty row": (0.5, 0.0, 0.8, 0.3), "all empty": (0.0,)}[kind]
    return np.array([round(sizes.time * shares[b % len(shares)]) for b in range(sizes.batch)], np.int32)


def swap_batch_and_time(case: Case) -> Case:
    """The case with the first two axes of X and of the initial states swapped."""
    swapped = {n: np.ascontiguousarray(a.swapaxes(0, 1)) if n[0] in "Xi" else a for n, a in case.inputs.items()}
    return case._replace(inputs=swapped)


def _list_outputs(op: str) -> tuple[str, ...]:
    return ("Y", *(f"Y_{s}" for s in _STATES[op]))


def _count_directions(direction: str) -> int:
    return 2 if direction == "bidirectional" else 1
