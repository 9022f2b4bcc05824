"""What an engine may do that the operator text does not say: each change has a name, a sentence and an effect.

The effect is on the case that the engine seems to be given, on the reading of the text, or on the outputs.  Searching
for the change under which engine and reference agree turns a number into a sentence.  (floor 11)
"""
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from ..onnx.reading import CHOICES
from .misread import complement, filled, half_of_bias, in_place_of, reordered, same_activations, time_first, without
from .miswritten import exchanged, flipped, forward_only, from_padding, lengths_of, repeated, reread, running_on

SILENT = "the text is silent"
SCALES_OUT = "activation_alpha and activation_beta"
OPTIONAL = ("B", "sequence_lens", "initial_h", "initial_c", "P", "clip", "activations", "activation_alpha",
            "activation_beta", "linear_before_reset", "input_forget", "layout")
QUOTES = {                                        # from the text, word for word
    "B": "If not specified - assumed to be 0",
    "sequence_lens": "specifying lengths of the sequences in a batch",
    "initial_h": "Optional initial value of the hidden",
    "initial_c": "Optional initial value of the cell",
    "P": "The weight tensor for peepholes",
    "clip": "applied to the input of activations",
    "activations": "must be one of the activation functions specified above",
    "activation_alpha": "The values are consumed in the order of activation functions",
    "activation_beta": "The values are consumed in the order of activation functions",
    SCALES_OUT: "Default values are the same as of corresponding ONNX operators",
    "direction": "Specify if the RNN is forward, reverse, or bidirectional",
    "linear_before_reset": "apply the linear transformation before multiplying by the output of the reset gate",
    "input_forget": "Couple the input and forget gates if 1",
    "layout": "The shape format of inputs X, initial_h",
}
WORDS = {                                         # says, about, and whether the text says anything
    ("clip_output", False): ("does not limit the argument of the output activation h", "clip", True),
    ("empty_row", "zero"): ("gives a row of length 0 the final state 0, not its initial state", "sequence_lens", False),
    ("alpha", "position"): ("gives each activation the scale at its own place in the list, as if those that take none "
                            "had one", "activation_alpha", True),
    ("coupled", "input"): ("derives the input gate from the forget gate: i = 1 - f", "input_forget", True),
    ("missing_scale", "zero"): ("takes alpha and beta as 0 where they are left out", SCALES_OUT, True),
}
ORDERS = {"GRU": "zrh", "LSTM": "iofc"}


@dataclass(frozen=True, eq=False)
class Change:
    key: str                                      # short and unique
    says: str                                     # "<engine> <says>"
    about: str = ""                               # the attribute or input that the text describes it under
    quote: str = ""                               # its words; none: the text is silent
    case: Any = None                              # case -> the case that the engine seems to be given, or None
    reading: dict = field(default_factory=dict)                    # switches of rnnref.onnx.Reading
    outputs: Any = None                           # (outputs, case, run) -> outputs, both time first
    many: bool = False                            # one of many like it: never tried in pairs

    @property
    def once(self):
        """What has to be done for engine and reference to agree."""
        if self.reading:
            return self.key
        return "it is left out" if self.key.startswith("without") else "that is allowed for"


def predicted(case, changes, run):
    """What an engine with these changes gives for `case`; run(case, reading) -> outputs is the reference."""
    reading = {k: v for change in changes for k, v in change.reading.items()}
    for change in changes:
        case = change.case and change.case(case) or case
    batched = case.attributes.get("layout")
    case = time_first(case) if batched else case
    outputs = run(case, reading)
    for change in changes:
        if change.outputs:
            outputs = change.outputs(outputs, case, lambda other: run(other, reading))
    return {n: batch_axis_first(n, a) for n, a in outputs.items()} if batched else outputs


def batch_axis_first(name, a):
    """An output in layout=0 as layout=1 has it: Y [B, T, D, H], states [B, D, H]."""
    return a.transpose(2, 0, 1, 3) if name == "Y" else a.swapaxes(0, 1)


def changes(op):
    """All that is tried for an operator, the likelier first."""
    yield from readings()
    yield from of_what_is_given(op)
    yield from of_scales()
    yield from of_directions()
    yield from of_padding()
    yield from of_weights(op)


def readings():
    """The text's ambiguities, as rnnref.onnx names them."""
    for switch, (usual, *others) in CHOICES.items():
        for value in others:
            says, about, told = WORDS.get((switch, value), (f"reads {switch} as {value!r}, not {usual!r}", "", False))
            yield Change(f"Reading({switch}={value!r})", says, about, QUOTES[about] if told else "",
                         reading={switch: value})


def of_what_is_given(op):
    """An input or an attribute that is ignored, or taken for another."""
    for name in OPTIONAL:
        taken = (name, "activation_alpha", "activation_beta") if name == "activations" else (name,)
        yield Change(f"without {name}", f"ignores {name}", name, QUOTES[name], case=without(*taken))
    if op == "LSTM":
        yield Change("without initial states", "ignores the initial states", "initial_h", QUOTES["initial_h"],
                     case=without("initial_h", "initial_c"))
        yield Change("initial states exchanged", "takes initial_h for initial_c and initial_c for initial_h",
                     "initial_c", QUOTES["initial_c"], case=in_place_of)
        yield Change("final states exchanged", "returns Y_c as Y_h and Y_h as Y_c",
                     outputs=lambda y, case, run: y | {"Y_h": y["Y_c"], "Y_c": y["Y_h"]})
    if op == "GRU":
        yield Change("linear_before_reset=1", "multiplies by the reset gate after the product whatever "
                     "linear_before_reset says", "linear_before_reset", QUOTES["linear_before_reset"],
                     case=lambda case: case._replace(attributes=case.attributes | {"linear_before_reset": 1}))


def of_scales():
    for names in (["activation_alpha"], ["activation_beta"], ["activation_alpha", "activation_beta"]):
        told = " and ".join(n[11:] for n in names)
        yield Change(f"{told}=0 where left out", f"takes {told} as 0 where left out", SCALES_OUT, QUOTES[SCALES_OUT],
                     case=filled(*names))
    yield Change("activations of the first direction", "takes the activations of the first direction for both",
                 "activations", QUOTES["activations"], case=same_activations)


def of_directions():
    about = ("direction", QUOTES["direction"])
    for which, wrong in (("forward", "last"), ("reverse", "first")):
        yield Change(f"{which} from the {wrong} step", f"reads the {which} direction from the {wrong} step", *about,
                     outputs=reread(which))
        yield Change(f"Y of {which} flipped", f"writes Y of the {which} direction from the other end of the row",
                     "direction", outputs=flipped(which))
    yield Change("reverse as forward", "runs direction='reverse' as forward", *about,
                 case=lambda c: without("direction")(c) if c.attributes.get("direction") == "reverse" else None)
    yield Change("directions exchanged", "exchanges the two directions", *about,
                 outputs=exchanged)


def of_padding():
    about = ("sequence_lens", QUOTES["sequence_lens"])
    yield Change("reverse starts in the padding", "starts the reverse direction in the padding", *about,
                 outputs=from_padding)
    yield Change("Y runs on", "lets Y of the forward direction run on over the padding", "sequence_lens",
                 outputs=running_on)
    yield Change("Y repeats", "repeats the last output of a row in the padding of Y", "sequence_lens",
                 outputs=lambda y, case, run: y | {"Y": repeated(y["Y"], lengths_of(case))})
    yield Change("states from the last step", "takes Y_h from the last step of Y, which is padding in a shorter row",
                 *about, outputs=lambda y, case, run: forward_only(y, case, {"Y_h": y["Y"][-1]}))


def of_weights(op):
    for half, named in enumerate(("first (Wb)", "second (Rb)")):
        yield Change(f"B without its {named} half", f"ignores the {named} half of B", "B", case=half_of_bias(half))
    if op == "GRU":
        yield Change("z exchanged with 1 - z", "exchanges z and 1 - z", case=complement)
    text = ORDERS.get(op, "")
    for order in list(permutations(text))[1:]:
        told = "".join(order)
        yield Change(f"gates {told}", f"reads the gate blocks in the order {told}; the text has {text}", "W",
                     case=reordered("WRB", [told.index(g) for g in text]), many=True)
    for order in list(permutations("iof" if op == "LSTM" else ""))[1:]:
        told = "".join(order)
        yield Change(f"P {told}", f"reads the blocks of P in the order {told}; the text has iof", "P",
                     case=reordered("P", [told.index(g) for g in "iof"]), many=True)
