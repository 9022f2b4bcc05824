"""Readings of the specification of RNN, GRU and LSTM: switches for what it leaves open."""
from dataclasses import dataclass, fields

from ..errors import check_option

CHOICES = {
    "clip_output": (True, False),
    "empty_row": ("initial", "zero"),
    "alpha": ("taker", "position"),
    "coupled": ("forget", "input"),
    "missing_scale": ("operator", "zero"),
}


@dataclass(frozen=True)
class Reading:
    """One reading of the specification of RNN, GRU and LSTM.

    Defaults follow its wording, and what engines do where it is silent.

    clip_output    It clips "the input of activations", and h of `ot (.) h(Ct)` is an activation, so True.
                   False, as onnxruntime has it: h sees all of Ct.
    empty_row      Y_h is "the last output value"; a row of length 0 has none.  "initial": the state that it came with,
                   as Keras has it and as a loop of no steps leaves it.  "zero": onnxruntime and OpenVINO.
    alpha          The values of activation_alpha and activation_beta "are consumed in the order of activation
                   functions".  "taker": by those functions that take one, as onnxruntime has it.  "position": the
                   k-th is for the k-th function, and ignored if that takes none.
    coupled        input_forget "couples" the gates and does not specify which one is computed from the other.
                   "forget": f = 1 - i, and the blocks of f are not read, as onnxruntime has it.  "input": i = 1 - f,
                   as TensorFlow 1 has it.
    missing_scale  A value that is not given is "the same as of corresponding ONNX operators".  "operator": theirs, and
                   for ScaledTanh, which has none there, 1 and 1.  "zero": 0 where onnxruntime has no default, which
                   is Affine, ThresholdedRelu and ScaledTanh.

    No engine is known to differ in three more places where the specification is silent: Y is zero past the end of a
    row, backward outputs stay beside the inputs that they have read, and names of activations may be written in any
    case.

    >>> Reading(empty_row="zero")
    Reading(clip_output=True, empty_row='zero', alpha='taker', coupled='forget', missing_scale='operator')
    """
    clip_output: bool = True
    empty_row: str = "initial"
    alpha: str = "taker"
    coupled: str = "forget"
    missing_scale: str = "operator"

    def __post_init__(self) -> None:
        for field in fields(self):
            check_option("Reading", field.name, getattr(self, field.name), CHOICES[field.name])


TEXT = Reading()
ONNXRUNTIME = Reading(clip_output=False, empty_row="zero", missing_scale="zero")
