"""What an engine may do that the operator text does not say: each change has a name, a sentence and an effect.

The effect is on the case that the engine seems to be given, on the reading of the text, or on the outputs.  Searching
for the change under which engine and reference agree turns a number into a sentence.  (floor 11)
"""
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

from ..onnx.reading import CHOICES
from .effects import (complement_gate, exchange_initial_states, leave_out, reorder_blocks, repeat_activations,
                      to_time_first, zero_bias_half, zero_missing_scales)
from .miswritten import (exchange_directions, get_lengths, repeat_last_output, replace_forward, reverse_output,
                         reverse_reading, run_into_padding, start_in_padding)

SILENT = "the text is silent"
OMITTED_SCALES = "activation_alpha and activation_beta"
OPTIONAL = ("B", "sequence_lens", "initial_h", "initial_c", "P", "clip", "activations", "activation_alpha",
            "activation_beta", "linear_before_reset", "input_forget", "layout")
_QUOTES = {                                        # from the text, word for word
    "B": "If not specified - assumed to be 0",
    "sequence_lens": "specifying lengths of the sequences in a batch",
    "initial_h": "Optional initial value of the hidden",
    "initial_c": "Optional initial value of the cell",
    "P": "The weight tensor for peepholes",
    "clip": "applied to the input of activations",
    "activations": "must be one of the activation functions specified above",
    "activation_alpha": "The values are consumed in the order of activation functions",
    "activation_beta": "The values are consumed in the order of activation functions",
    OMITTED_SCALES: "Default values are the same as of corresponding ONNX operators",
    "direction": "Specify if the RNN is forward, reverse, or bidirectional",
    "linear_before_reset": "apply the linear transformation before multiplying by the output of the reset gate",
    "input_forget": "Couple the input and forget gates if 1",
    "layout": "The shape format of inputs X, initial_h",
}
_READING_PHRASES = {                                         # says, about, and whether the text says anything
    ("clip_output", False): ("does not limit the argument of the output activation h", "clip", True),
    ("empty_row", "zero"): ("gives a row of length 0 the final state 0, not its initial state", "sequence_lens", False),
    ("alpha", "position"): ("gives each activation the scale at its own place in the list, as if those that take none "
                            "had one", "activation_alpha", True),
    ("coupled", "input"): ("derives the input gate from the forget gate: i = 1 - f", "input_forget", True),
    ("missing_scale", "zero"): ("takes alpha and beta as 0 where they are left out", OMITTED_SCALES, True),
}
_GATE_ORDERS = {"GRU": "zrh", "LSTM": "iofc"}


@dataclass(frozen=True, eq=False)
class Fault:
    key: str                                      # short and unique
    phrase: str                                     # "<engine> <says>"
    about: str = ""                               # the attribute or input that the text describes it under
    quote: str = ""                               # its words; none: the text is silent
    case: Any = None                              # case -> the case that the engine seems to be given, or None
    reading: dict = field(default_factory=dict)                    # switches of rnnref.onnx.Reading
    outputs: Any = None                           # (outputs, case, run) -> outputs, both time first
    single_only: bool = False                            # one of many like it: never tried in pairs

    @property
    def remedy(self):
        """What has to be done for engine and reference to agree."""
        if self.reading:
            return self.key
        return "it is left out" if self.key.startswith("without") else "that is allowed for"


def predict(case, faults, run):
    """What an engine with these changes gives for `case`; run(case, reading) -> outputs is the reference."""
    reading = {k: v for change in faults for k, v in change.reading.items()}
    for change in faults:
        case = change.case and change.case(case) or case
    batched = case.attributes.get("layout")
    case = to_time_first(case) if batched else case
    outputs = run(case, reading)
    for change in faults:
        if change.outputs:
            outputs = change.outputs(outputs, case, lambda other: run(other, reading))
    return {n: to_batch_first(n, a) for n, a in outputs.items()} if batched else outputs


def to_batch_first(name, a):
    """An output in layout=0 as layout=1 has it: Y [B, T, D, H], states [B, D, H]."""
    return a.transpose(2, 0, 1, 3) if name == "Y" else a.swapaxes(0, 1)


def list_faults(op):
    """All that is tried for an operator, the likelier first."""
    yield from _list_reading_faults()
    yield from _list_input_faults(op)
    yield from _list_scale_faults()
    yield from _list_direction_faults()
    yield from _list_padding_faults()
    yield from _list_weight_faults(op)


def _list_reading_faults():
    """The text's ambiguities, as rnnref.onnx names them."""
    for switch, (usual, *others) in CHOICES.items():
        for value in others:
            says, about, told = _READING_PHRASES.get((switch, value), (f"reads {switch} as {value!r}, not {usual!r}", "", False))
            yield Fault(f"Reading({switch}={value!r})", says, about, _QUOTES[about] if told else "",
                         reading={switch: value})


def _list_input_faults(op):
    """An input or an attribute that is ignored, or taken for another."""
    for name in OPTIONAL:
        taken = (name, "activation_alpha", "activation_beta") if name == "activations" else (name,)
        yield Fault(f"without {name}", f"ignores {name}", name, _QUOTES[name], case=leave_out(*taken))
    if op == "LSTM":
        yield Fault("without initial states", "ignores the initial states", "initial_h", _QUOTES["initial_h"],
                     case=leave_out("initial_h", "initial_c"))
        yield Fault("initial states exchanged", "takes initial_h for initial_c and initial_c for initial_h",
                     "initial_c", _QUOTES["initial_c"], case=exchange_initial_states)
        yield Fault("final states exchanged", "returns Y_c as Y_h and Y_h as Y_c",
                     outputs=lambda y, case, run: y | {"Y_h": y["Y_c"], "Y_c": y["Y_h"]})
    if op == "GRU":
        yield Fault("linear_before_reset=1", "multiplies by the reset gate after the product whatever "
                     "linear_before_reset says", "linear_before_reset", _QUOTES["linear_before_reset"],
                     case=lambda case: case._replace(attributes=case.attributes | {"linear_before_reset": 1}))


def _list_scale_faults():
    for names in (["activation_alpha"], ["activation_beta"], ["activation_alpha", "activation_beta"]):
        told = " and ".join(n[11:] for n in names)
        yield Fault(f"{told}=0 where left out", f"takes {told} as 0 where left out", OMITTED_SCALES, _QUOTES[OMITTED_SCALES],
                     case=zero_missing_scales(*names))
    yield Fault("activations of the first direction", "takes the activations of the first direction for both",
                 "activations", _QUOTES["activations"], case=repeat_activations)


def _list_direction_faults():
    about = ("direction", _QUOTES["direction"])
    for which, wrong in (("forward", "last"), ("reverse", "first")):
        yield Fault(f"{which} from the {wrong} step", f"reads the {which} direction from the {wrong} step", *about,
                     outputs=reverse_reading(which))
        yield Fault(f"Y of {which} flipped", f"writes Y of the {which} direction from the other end of the row",
                     "direction", outputs=reverse_output(which))
    yield Fault("reverse as forward", "runs direction='reverse' as forward", *about,
                 case=lambda c: leave_out("direction")(c) if c.attributes.get("direction") == "reverse" else None)
    yield Fault("directions exchanged", "exchanges the two directions", *about,
                 outputs=exchange_directions)


def _list_padding_faults():
    about = ("sequence_lens", _QUOTES["sequence_lens"])
    yield Fault("reverse starts in the padding", "starts the reverse direction in the padding", *about,
                 outputs=start_in_padding)
    yield Fault("Y runs on", "lets Y of the forward direction run on over the padding", "sequence_lens",
                 outputs=run_into_padding)
    yield Fault("Y repeats", "repeats the last output of a row in the padding of Y", "sequence_lens",
                 outputs=lambda y, case, run: y | {"Y": repeat_last_output(y["Y"], get_lengths(case))})
    yield Fault("states from the last step", "takes Y_h from the last step of Y, which is padding in a shorter row",
                 *about, outputs=lambda y, case, run: replace_forward(y, case, {"Y_h": y["Y"][-1]}))


def _list_weight_faults(op):
    for half, named in enumerate(("first (Wb)", "second (Rb)")):
        yield Fault(f"B without its {named} half", f"ignores the {named} half of B", "B", case=zero_bias_half(half))
    if op == "GRU":
        yield Fault("z exchanged with 1 - z", "exchanges z and 1 - z", case=complement_gate)
    text = _GATE_ORDERS.get(op, "")
    for order in list(permutations(text))[1:]:
        told = "".join(order)
        yield Fault(f"gates {told}", f"reads the gate blocks in the order {told}; the text has {text}", "W",
                     case=reorder_blocks("WRB", [told.index(g) for g in text]), single_only=True)
    for order in list(permutations("iof" if op == "LSTM" else ""))[1:]:
        told = "".join(order)
        yield Fault(f"P {told}", f"reads the blocks of P in the order {told}; the text has iof", "P",
                     case=reorder_blocks("P", [told.index(g) for g in "iof"]), single_only=True)
