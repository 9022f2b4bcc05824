"""What the ONNX specification has to say on a mistake of an engine, by the keys of the table in `check`."""
from typing import NamedTuple

from ..check.onnx_mistakes import IGNORED
from ..errors import with_article

OMITTED_SCALES = "activation_alpha and activation_beta"
OPTIONAL = ("B", "sequence_lens", "initial_h", "initial_c", "P", "clip", "activations", "activation_alpha",
            "activation_beta", "linear_before_reset", "input_forget", "layout")
_INPUTS = OPTIONAL[:5]
_QUOTES = {                                       # from the specification, word for word
    "B": "If not specified - assumed to be 0",
    "sequence_lens": "specifying lengths of the sequences in a batch",
    "initial_h": "Optional initial value of the hidden",
    "initial_c": "Optional initial value of the cell",
    "W": "Concatenation of `W[",
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
_LETTERS = str.maketrans("gn", "ch")               # of the candidate, in the specification


class Clause(NamedTuple):
    """How a mistake departs from the specification.  An empty `quote` means that the specification leaves it open."""
    key: str                                      # short and unique
    phrase: str                                   # "<engine> <phrase>": what it does
    topic: str = ""                               # the attribute or input that the specification describes it under
    quote: str = ""
    condition: str = ""                           # "a node <condition>": which nodes it affects; "": every node
    remedy: str = "if the reference does the same"


def describe_use(name: str) -> str:
    """"has P" of an input, "sets clip" of an attribute."""
    return f"{'has' if name in _INPUTS else 'sets'} {name}"


def find_clause(key: str) -> Clause | None:
    """The clause on a mistake; None where the specification has no words for it."""
    for start, topic in (("the gate blocks are read as ", "W"), ("the peepholes are read as ", "P")):
        if key.startswith(start):
            what = "the gate blocks" if topic == "W" else "the blocks of P"
            letters = key.removeprefix(start).partition(",")[0].partition(" (")[0].replace(" ", "")
            order = letters.translate(_LETTERS)
            return Clause(f"{'gates' if topic == 'W' else topic} {order}", f"reads {what} in the order {order}", topic,
                          _QUOTES[topic], "" if topic == "W" else "has P", f"once {key}")
    return CLAUSES.get(key)


def _specified(key: str, phrase: str, topic: str, condition: str = "", remedy: str = "if the reference does the same",
               ) -> Clause:
    """What the specification excludes."""
    return Clause(key, phrase, topic, _QUOTES[topic], condition or describe_use(topic), remedy)


def _ignores(name: str) -> Clause:
    return _specified(f"without {name}", f"ignores {name}", name, remedy=f"if the reference leaves out {name}")


def _reads(reading: str, phrase: str, topic: str, condition: str, is_specified: bool = True) -> tuple[str, Clause]:
    return f"the ONNX specification is read as {reading}", Clause(
        reading, phrase, topic, _QUOTES[topic] if is_specified else "", condition, f"if the reference uses {reading}")


def _list_directions() -> dict[str, Clause]:
    found = {}
    for name, own, other, wrong in (("forward", "forward", "backwards", "last"),
                                    ("backward", "reverse", "forwards", "first")):
        condition = f"has {with_article(own)} direction"
        found[f"the {name} direction reads {other}"] = _specified(
            f"{own} from the {wrong} step", f"starts the {own} direction at the {wrong} step", "direction", condition)
        found[f"the outputs of the {name} direction are flipped in time"] = Clause(
            f"Y of {own} flipped", f"writes Y of the {own} direction in the opposite order of time", "direction", "",
            condition)
    return found


_SHORTER = "has a sequence shorter than the batch"
CLAUSES: dict[str, Clause] = {
    **dict([
        _reads("Reading(clip_output=False)", "does not clip the argument of the output activation h", "clip",
               "sets clip"),
        _reads("Reading(empty_row='zero')", "returns 0, not the initial state, as the final state of a sequence of "
               "length 0", "sequence_lens", "has a sequence of length 0 with an initial state", False),
        _reads("Reading(alpha='position')", "takes the k-th alpha and beta for the k-th activation, also where earlier "
               "activations use none", "activation_alpha", "sets activation_alpha or activation_beta"),
        _reads("Reading(coupled='input')", "computes the input gate from the forget gate, i = 1 - f", "input_forget",
               "sets input_forget"),
        _reads("Reading(missing_scale='zero')", "takes alpha and beta as 0 where they are left out", OMITTED_SCALES,
               "leaves out alpha or beta of {functions}")]),
    **{f"{name} is ignored": _ignores(name) for name in IGNORED},
    "both biases are left out": _ignores("B"),
    "every row has the full length": _ignores("sequence_lens"),
    "initial_h is zero": _ignores("initial_h"),
    "initial_c is zero": _ignores("initial_c"),
    "initial_h and initial_c are zero": _specified(
        "without initial states", "ignores the initial states", "initial_h",
        remedy="if the reference leaves out initial states"),
    "the peepholes are left out": _ignores("P"),
    "the reset gate acts before the product with R": _ignores("linear_before_reset"),
    "the reset gate acts after the product with R": _specified(
        "linear_before_reset=1", "applies the reset gate after the product even with linear_before_reset=0",
        "linear_before_reset", "leaves linear_before_reset at 0"),
    "initial_h and initial_c are exchanged": _specified(
        "initial states exchanged", "uses initial_h as initial_c and initial_c as initial_h", "initial_c"),
    "Y_h and Y_c are exchanged": Clause("final states exchanged", "returns Y_c as Y_h and Y_h as Y_c"),
    **{f"{parts} 0 where left out": _specified(
        f"{short}=0 where left out", f"takes {short} as 0 where left out", OMITTED_SCALES,
        f"leaves out {short} of {{functions}}") for parts, short in (
            ("alpha is", "alpha"), ("beta is", "beta"), ("alpha and beta are", "alpha and beta"))},
    "both directions use the activations of the first": _specified(
        "activations of the first direction", "uses the activations of the first direction for both", "activations",
        "sets other activations for its second direction"),
    **_list_directions(),
    "direction is ignored": _specified("reverse as forward", "runs direction='reverse' as forward", "direction",
                                       "has direction='reverse'"),
    "the two directions are exchanged": _specified("directions exchanged", "exchanges the two directions", "direction",
                                                   "is bidirectional"),
    "the backward direction starts in the padding": _specified(
        "reverse starts in the padding", "starts the reverse direction in the padding", "sequence_lens", _SHORTER),
    "the outputs in the padding go on after the last valid step": Clause(
        "Y runs on", "continues Y of the forward direction into the padding", "sequence_lens", "", _SHORTER),
    "the outputs in the padding repeat the last valid output": Clause(
        "Y repeats", "repeats the last output of a sequence in the padding of Y", "sequence_lens", "", _SHORTER),
    "the last h of the forward direction is the last entry of the outputs": _specified(
        "states from the last step", "takes Y_h from the last step of Y, which is padding in a shorter sequence",
        "sequence_lens", _SHORTER),
    "b, the bias of the input, is left out": Clause("B without its first (Wb) half", "ignores the first (Wb) half of B",
                                                    "B", "", describe_use("B")),
    "bR, the recurrent bias, is left out": Clause("B without its second (Rb) half",
                                                  "ignores the second (Rb) half of B", "B", "", describe_use("B")),
    "z keeps the new state and 1 - z the old one": Clause("z exchanged with 1 - z", "exchanges z and 1 - z"),
}
