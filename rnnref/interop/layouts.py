"""Where each framework keeps the weights of each cell: tables.  (floor 4)

A row says how one of their arrays is cut.  Its axes are words: `I H U G` as everywhere (G: as many gate blocks as the
row has, x U), `I+H` two of ours end to end, of which `part` is this row's, `2` two of ours stacked, `1` an axis to drop.
`{g}` in a name stands for one array a gate.
"""
from typing import NamedTuple, Optional


class Row(NamedTuple):
    theirs: str
    axes: str
    ours: str
    part: int = 0                                 # which of the two that lie in their array
    gates: Optional[str] = None                   # the gate blocks in it, in order, where not those of the layout


class Layout(NamedTuple):
    gates: str                                    # the order of their gate blocks, in our letters
    rows: tuple
    options: dict = {}                            # what our cell must be told to compute the same thing
    names: dict = {}                              # their letters for {g}, where not ours


def torch(suffix="_l0"):
    return (Row("weight_ih" + suffix, "G I", "W"), Row("weight_hh" + suffix, "G H", "R"),
            Row("bias_ih" + suffix, "G", "b"), Row("bias_hh" + suffix, "G", "bR"))


TORCH = torch()
ONNX = (Row("W", "1 G I", "W"), Row("R", "1 G H", "R"), Row("B", "1 G+G", "b", 0), Row("B", "1 G+G", "bR", 1))
KERAS = (Row("kernel", "I G", "W"), Row("recurrent_kernel", "H G", "R"))
KERAS_BIAS = KERAS + (Row("bias", "G", "b"),)
KERAS_BIASES = KERAS + (Row("bias", "2 G", "b", 0), Row("bias", "2 G", "bR", 1))
TF1 = (Row("kernel", "I+H G", "W", 0), Row("kernel", "I+H G", "R", 1), Row("bias", "G", "b"))
BOTH = {"recurrent_bias": True}

LAYOUTS = {
    ("rnn", "torch"): Layout("h", TORCH, BOTH),
    ("rnn", "keras"): Layout("h", KERAS_BIAS),
    ("rnn", "onnx"): Layout("h", ONNX, BOTH),
    ("rnn", "tf1"): Layout("h", TF1),
    ("lstm", "torch"): Layout("ifgo", TORCH + (Row("weight_hr_l0", "H U", "P"),), BOTH),
    ("lstm", "keras"): Layout("ifgo", KERAS_BIAS),
    ("lstm", "onnx"): Layout("iofg", ONNX + (Row("P", "1 G", "Wp{g}", gates="iof"),), BOTH),
    ("lstm", "tf1"): Layout("igfo", TF1 + (Row("w_{g}_diag", "U", "Wp{g}", gates="ifo"),
                                           Row("projection/kernel", "U H", "P")), {"forget_bias": 1.0}),
    ("gru", "torch"): Layout("rzn", TORCH, {"reset": "after"}),
    ("gru", "keras"): Layout("zrn", KERAS_BIASES, {"reset": "after"}),
    ("gru before", "keras"): Layout("zrn", KERAS_BIAS, {"reset": "before"}),
    ("gru", "onnx"): Layout("zrn", ONNX, {"reset": "after"}),
    ("gru before", "onnx"): Layout("zrn", ONNX, {"reset": "before", "recurrent_bias": True}),
    ("gru before", "tf1"): Layout("rzn", (
        Row("gates/kernel", "I+H G", "W", 0, "rz"), Row("gates/kernel", "I+H G", "R", 1, "rz"),
        Row("gates/bias", "G", "b", 0, "rz"), Row("candidate/kernel", "I+H G", "W", 0, "n"),
        Row("candidate/kernel", "I+H G", "R", 1, "n"), Row("candidate/bias", "G", "b", 0, "n")), {"reset": "before"}),
}
