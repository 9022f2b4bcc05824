"""The faults that a survey looks for: known ways in which an engine differs from the ONNX specification.

A fault has a name, a sentence and an effect: on the case that the engine seems to compute, on the reading of the
specification, or on the outputs.  The fault under which engine and reference agree explains why they differ.
"""
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, Callable, Iterator, Optional, Sequence

from ..arrays import Array
from ..onnx.reading import CHOICES
from .cases import Case, Outputs
from .effects import (CaseEffect, OutputEffect, complement_gate, exchange_directions, exchange_initial_states,
                      get_lengths, leave_out, reorder_blocks, repeat_activations, repeat_last_output, replace_forward,
                      reverse_output, reverse_reading, run_into_padding, start_in_padding, to_time_first,
                      zero_bias_half, zero_missing_scales)

OMITTED_SCALES = "activation_alpha and activation_beta"
OPTIONAL = ("B", "sequence_lens", "initial_h", "initial_c", "P", "clip", "activations", "activation_alpha",
            "activation_beta", "linear_before_reset", "input_forget", "layout")
_INPUTS = OPTIONAL[:5]
_QUOTES = {                                       # from the specification, word for word
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
_GATE_ORDERS = {"GRU": "zrh", "LSTM": "iofc"}


@dataclass(frozen=True, eq=False)
class Fault:
    """One way to differ from the specification.  An empty `quote` means that the specification leaves it open."""
    key: str                                      # short and unique
    phrase: str                                   # "<engine> <phrase>": what it does
    topic: str = ""                               # the attribute or input that the specification describes it under
    quote: str = ""
    condition: str = ""                           # "a node <condition>": which nodes it affects; "": every node
    case: Optional[CaseEffect] = None
    reading: dict = field(default_factory=dict)   # arguments of rnnref.onnx.Reading
    outputs: Optional[OutputEffect] = None
    single_only: bool = False                     # one of many permutations: not tried in pairs

    @property
    def remedy(self) -> str:
        """The change of the reference under which both agree: "... if the reference <remedy>"."""
        if self.reading:
            return f"uses {self.key}"
        return self.key.replace("without", "leaves out") if self.key.startswith("without") else "does the same"


_READING_FAULTS = {                               # (switch, value) of Reading: phrase, topic, is specified, condition
    ("clip_output", False): ("does not clip the argument of the output activation h", "clip", True, "sets clip"),
    ("empty_row", "zero"): ("returns 0, not the initial state, as the final state of a sequence of length 0",
                            "sequence_lens", False, "has a sequence of length 0 with an initial state"),
    ("alpha", "position"): ("takes the k-th alpha and beta for the k-th activation, also where earlier activations use "
                            "none", "activation_alpha", True, "sets activation_alpha or activation_beta"),
    ("coupled", "input"): ("computes the input gate from the forget gate, i = 1 - f", "input_forget", True,
                           "sets input_forget"),
    ("missing_scale", "zero"): ("takes alpha and beta as 0 where they are left out", OMITTED_SCALES, True,
                                "leaves out alpha or beta of {functions}"),
}


def predict(case: Case, faults: Sequence[Fault], run: Callable[[Case, dict], Outputs]) -> Outputs:
    """The outputs of an engine with these faults; run(case, reading) -> outputs is the reference."""
    reading = {k: v for fault in faults for k, v in fault.reading.items()}
    for fault in faults:
        case = fault.case and fault.case(case) or case
    batch_first = case.attributes.get("layout")
    case = to_time_first(case) if batch_first else case
    outputs = run(case, reading)
    for fault in faults:
        if fault.outputs:
            outputs = fault.outputs(outputs, case, lambda other: run(other, reading))
    return {n: to_batch_first(n, a) for n, a in outputs.items()} if batch_first else outputs


def to_batch_first(name: str, a: Array) -> Array:
    """An output with layout=0 as layout=1 has it: Y [B, T, D, H], states [B, D, H]."""
    return a.transpose(2, 0, 1, 3) if name == "Y" else a.swapaxes(0, 1)


def list_faults(op: str) -> Iterator[Fault]:
    """Every fault that is tried for an operator, the more likely ones first."""
    yield from _list_reading_faults()
    yield from _list_input_faults(op)
    yield from _list_scale_faults()
    yield from _list_direction_faults()
    yield from _list_padding_faults()
    yield from _list_weight_faults(op)


def describe_use(name: str) -> str:
    """"has P" of an input, "sets clip" of an attribute."""
    return f"{'has' if name in _INPUTS else 'sets'} {name}"


def _make_fault(key: str, phrase: str, topic: str, **options: Any) -> Fault:
    """A fault that the specification excludes, and that affects every node that uses `topic`."""
    return Fault(key, phrase, topic, **{"quote": _QUOTES[topic], "condition": describe_use(topic)} | options)


def _list_reading_faults() -> Iterator[Fault]:
    """The other readings of the specification that rnnref.onnx.Reading knows."""
    for switch, (default, *others) in CHOICES.items():
        for value in others:
            phrase, topic, specified, condition = _READING_FAULTS.get(
                (switch, value), (f"reads {switch} as {value!r}, not {default!r}", "", False, ""))
            yield Fault(f"Reading({switch}={value!r})", phrase, topic, _QUOTES[topic] if specified else "", condition,
                        reading={switch: value})


def _list_input_faults(op: str) -> Iterator[Fault]:
    """An input or an attribute that is ignored, or used in the place of another."""
    for name in OPTIONAL:
        dependents = (name, "activation_alpha", "activation_beta") if name == "activations" else (name,)
        yield _make_fault(f"without {name}", f"ignores {name}", name, case=leave_out(*dependents))
    if op == "LSTM":
        yield _make_fault("without initial states", "ignores the initial states", "initial_h",
                          case=leave_out("initial_h", "initial_c"))
        yield _make_fault("initial states exchanged", "uses initial_h as initial_c and initial_c as initial_h",
                          "initial_c", case=exchange_initial_states)
        yield Fault("final states exchanged", "returns Y_c as Y_h and Y_h as Y_c",
                    outputs=lambda y, case, run: y | {"Y_h": y["Y_c"], "Y_c": y["Y_h"]})
    if op == "GRU":
        yield _make_fault("linear_before_reset=1", "applies the reset gate after the product even with "
                          "linear_before_reset=0", "linear_before_reset", condition="leaves linear_before_reset at 0",
                          case=lambda case: case._replace(attributes=case.attributes | {"linear_before_reset": 1}))


def _list_scale_faults() -> Iterator[Fault]:
    for names in (["activation_alpha"], ["activation_beta"], ["activation_alpha", "activation_beta"]):
        parts = " and ".join(n.removeprefix("activation_") for n in names)
        yield _make_fault(f"{parts}=0 where left out", f"takes {parts} as 0 where left out", OMITTED_SCALES,
                          condition=f"leaves out {parts} of {{functions}}", case=zero_missing_scales(*names))
    yield _make_fault("activations of the first direction", "uses the activations of the first direction for both",
                      "activations", condition="sets other activations for its second direction",
                      case=repeat_activations)


def _list_direction_faults() -> Iterator[Fault]:
    for which, wrong, condition in (("forward", "last", "has a forward direction"),
                                    ("reverse", "first", "has a reverse direction")):
        yield _make_fault(f"{which} from the {wrong} step", f"starts the {which} direction at the {wrong} step",
                          "direction", condition=condition, outputs=reverse_reading(which))
        yield _make_fault(f"Y of {which} flipped", f"writes Y of the {which} direction in the opposite order of time",
                          "direction", quote="", condition=condition, outputs=reverse_output(which))
    yield _make_fault("reverse as forward", "runs direction='reverse' as forward", "direction",
                      condition="has direction='reverse'",
                      case=lambda c: leave_out("direction")(c) if c.attributes.get("direction") == "reverse" else None)
    yield _make_fault("directions exchanged", "exchanges the two directions", "direction",
                      condition="is bidirectional", outputs=exchange_directions)


def _list_padding_faults() -> Iterator[Fault]:
    condition = "has a sequence shorter than the batch"
    for key, phrase, quote, effect in (
            ("reverse starts in the padding", "starts the reverse direction in the padding", True, start_in_padding),
            ("Y runs on", "continues Y of the forward direction into the padding", False, run_into_padding),
            ("Y repeats", "repeats the last output of a sequence in the padding of Y", False,
             lambda y, case, run: y | {"Y": repeat_last_output(y["Y"], get_lengths(case))}),
            ("states from the last step", "takes Y_h from the last step of Y, which is padding in a shorter sequence",
             True, lambda y, case, run: replace_forward(y, case, {"Y_h": y["Y"][-1]}))):
        yield _make_fault(key, phrase, "sequence_lens", condition=condition, outputs=effect,
                          **({} if quote else {"quote": ""}))


def _list_weight_faults(op: str) -> Iterator[Fault]:
    for half, name in enumerate(("first (Wb)", "second (Rb)")):
        yield _make_fault(f"B without its {name} half", f"ignores the {name} half of B", "B", quote="",
                          case=zero_bias_half(half))
    if op == "GRU":
        yield Fault("z exchanged with 1 - z", "exchanges z and 1 - z", case=complement_gate)
    for names, topic, usual in (("WRB", "W", _GATE_ORDERS.get(op, "")), ("P", "P", "iof" if op == "LSTM" else "")):
        what, short = ("the gate blocks", "gates") if topic == "W" else ("the blocks of P", "P")
        for order in list(permutations(usual))[1:]:
            letters = "".join(order)
            yield Fault(f"{short} {letters}", f"reads {what} in the order {letters}; the specification has {usual}",
                        topic, condition="" if topic == "W" else "has P",
                        case=reorder_blocks(names, [letters.index(g) for g in usual]), single_only=True)
