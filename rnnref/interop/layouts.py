"""Where each framework keeps the weights of each cell: tables.  (floor 4)

A row says how one of their arrays is cut.  Its axes are words: `I H U G` as everywhere (G: as many gate blocks as the
row has, x U), `I+H` two of ours end to end, of which `part` is this row's, `2` two of ours stacked, `1` an axis to
drop; `S` is the axes of space of a kernel, as many as the cell has.  `{g}` in a name stands for one array a gate.
Gates are named in our letters: i f g o, r z n, h.
"""
from typing import NamedTuple, Optional

from ..elementwise import get_activation


class Row(NamedTuple):
    theirs: str
    axes: str
    ours: str
    part: int = 0                                 # which of the two that lie in their array
    gates: Optional[str] = None                   # the gate blocks in it, in order, where not those of the layout
    flat: bool = False                            # each block holds the numbers of its transpose, row by row


class Layout(NamedTuple):
    gates: str                                    # the order of their gate blocks
    rows: tuple
    options: dict = {}                            # what our cell must be told to compute the same thing
    takes: dict = {}                              # what else can be told to theirs: option -> values (None: any)
    family: str = ""
    framework: str = ""

    @property
    def who(self):
        return f"{self.framework} {self.family}"

    def at(self, prefix="", suffix=""):
        """The same arrays inside a larger model: "encoder/" + name, name + "_l1_reverse"."""
        return self._replace(rows=tuple(r._replace(theirs=prefix + r.theirs + suffix) for r in self.rows))

    def without_bias(self):
        """The same of a layer that was made without biases."""
        return self._replace(rows=tuple(r for r in self.rows if r.ours not in ("b", "bR")),
                             options=self.options | {"bias": False, "recurrent_bias": False})


def activations(**names):
    return {name: get_activation(*what) if isinstance(what, tuple) else get_activation(what) for name, what in names.items()}


# what the names of Keras mean; those left out are not pointwise, or not ours
KERAS = activations(linear="linear", sigmoid="sigmoid", tanh="tanh", relu="relu", relu6="relu6", elu="elu", selu="selu",
                    softplus="softplus", softsign="softsign", exponential="exponential", silu="swish", mish="mish",
                    hard_tanh="hard_tanh", hard_sigmoid="hard_sigmoid@keras3", leaky_relu=("leaky_relu", 0.2))
KERAS2 = {n: KERAS[n] for n in "linear sigmoid tanh relu elu selu softplus softsign exponential".split()} | activations(
    hard_sigmoid="hard_sigmoid@keras2")
TORCH = activations(tanh="tanh", relu="relu")


# rows

TORCH_ROWS = (Row("weight_ih", "G I", "W"), Row("weight_hh", "G H", "R"), Row("bias_ih", "G", "b"),
              Row("bias_hh", "G", "bR"))
PROJECTION = (Row("weight_hr", "H U", "P"),)
ONNX_ROWS = (Row("W", "1 G I", "W"), Row("R", "1 G H", "R"), Row("B", "1 G+G", "b", 0), Row("B", "1 G+G", "bR", 1))
ONNX_P = (Row("P", "1 G", "Wp{g}", gates="iof"),)
KERNELS = (Row("kernel", "I G", "W"), Row("recurrent_kernel", "H G", "R"))
ONE_BIAS = KERNELS + (Row("bias", "G", "b"),)
TWO_BIASES = KERNELS + (Row("bias", "2 G", "b", 0), Row("bias", "2 G", "bR", 1))
CUDNN_ROWS = (Row("kernel", "I G", "W", flat=True), Row("recurrent_kernel", "H G", "R", flat=True),
              Row("bias", "G+G", "b", 0), Row("bias", "G+G", "bR", 1))


def joined(kernel, bias, gates=None):
    """One matrix for [x, h], as TF 1 has it."""
    return (Row(kernel, "I+H G", "W", 0, gates), Row(kernel, "I+H G", "R", 1, gates), Row(bias, "G", "b", 0, gates))


TF1_ROWS = joined("kernel", "bias")
TF1_PEEPHOLES = (Row("w_{g}_diag", "U", "Wp{g}", gates="ifo"),)
TF1_GATES = joined("gates/kernel", "gates/bias", "rz")
TF1_GRU = TF1_GATES + joined("candidate/kernel", "candidate/bias", "n")
TF1_GRU_CUDNN = TF1_GATES + (
    Row("candidate/input_projection/kernel", "I G", "W", gates="n"),
    Row("candidate/input_projection/bias", "G", "b", gates="n"),
    Row("candidate/hidden_projection/kernel", "H G", "R", gates="n"),
    Row("candidate/hidden_projection/bias", "G", "bR", gates="n"))
TF1_COUPLED = joined("W_0", "B") + (Row("W_F_diag", "U", "Wpf"), Row("W_O_diag", "U", "Wpo"), Row("W_P_0", "U H", "P"))

FLAX_RNN = (Row("i/kernel", "I G", "W"), Row("h/kernel", "H G", "R"), Row("i/bias", "G", "b"))
FLAX_LSTM = (Row("i{g}/kernel", "I G", "W"), Row("h{g}/kernel", "H G", "R"), Row("h{g}/bias", "G", "b"))
FLAX_GRU = (Row("i{g}/kernel", "I G", "W"), Row("h{g}/kernel", "H G", "R"), Row("i{g}/bias", "G", "b"),
            Row("hn/bias", "G", "bR", gates="n"))
NNX_LSTM = (Row("i{g}/kernel", "I G", "W", gates="igo"), Row("if_/kernel", "I G", "W", gates="f")) + FLAX_LSTM[1:]
NNX = (Row("dense_i/kernel", "I G", "W"), Row("dense_h/kernel", "H G", "R"))
NNX_BIAS_OF_X, NNX_BIAS_OF_H = (NNX + (Row(f"dense_{m}/bias", "G", "b"),) for m in "ih")

KERAS_CONV = (Row("kernel", "S I G", "W"), Row("recurrent_kernel", "S H G", "R"), Row("bias", "G", "b"))
FLAX_CONV = (Row("ih/kernel", "S I G", "W"), Row("hh/kernel", "S H G", "R"), Row("ih/bias", "G", "b"),
             Row("hh/bias", "G", "bR"))


# what can be told

ANY, BOTH = None, {"recurrent_bias": True}
AFTER, BEFORE = {"reset": "after"}, {"reset": "before"}


def told(values, *options):
    """Options that take the activations `values`; two names in one are one setting of theirs."""
    return {option: values if values is ANY else tuple(values.values()) for option in options}


LSTM_ACTS, GRU_ACTS = ("gate", "candidate output"), ("gate", "candidate")
TF1_TAKES = {n: ANY for n in ("forget_bias", "peepholes", "projection", "projection_clip", "candidate output")}
THROUGH = {"forget_bias": 1.0, "cell_clip_gradient": "through"}
COUPLED = {"coupled": "input", "forget_bias": 1.0}
CONV = {"kernel": ANY, "strides": ANY, "padding": ANY}

TABLES = {
    ("rnn", "torch"): Layout("h", TORCH_ROWS, BOTH, told(TORCH, "activation")).at(suffix="_l0"),
    ("lstm", "torch"): Layout("ifgo", TORCH_ROWS + PROJECTION, BOTH, {"projection": ANY}).at(suffix="_l0"),
    ("gru", "torch"): Layout("rzn", TORCH_ROWS, AFTER).at(suffix="_l0"),
    ("rnn", "torch cell"): Layout("h", TORCH_ROWS, BOTH, told(TORCH, "activation")),
    ("lstm", "torch cell"): Layout("ifgo", TORCH_ROWS, BOTH),
    ("gru", "torch cell"): Layout("rzn", TORCH_ROWS, AFTER),

    ("rnn", "keras"): Layout("h", ONE_BIAS, {}, told(KERAS, "activation")),
    ("lstm", "keras"): Layout("ifgo", ONE_BIAS, {}, told(KERAS, *LSTM_ACTS)),
    ("gru", "keras"): Layout("zrn", TWO_BIASES, AFTER, told(KERAS, *GRU_ACTS)),
    ("gru before", "keras"): Layout("zrn", ONE_BIAS, BEFORE, told(KERAS, *GRU_ACTS)),

    ("conv lstm", "keras"): Layout("ifgo", KERAS_CONV, {"padding": "valid"}, told(KERAS, *LSTM_ACTS) | CONV),

    # Keras up to 2.2, with its defaults; there GRU has reset_after=False unless told
    ("rnn", "keras2"): Layout("h", ONE_BIAS, {}, told(KERAS2, "activation")),
    ("lstm", "keras2"): Layout("ifgo", ONE_BIAS, {"gate": "hard_sigmoid@keras2"}, told(KERAS2, *LSTM_ACTS)),
    ("gru before", "keras2"): Layout("zrn", ONE_BIAS, BEFORE | {"gate": "hard_sigmoid@keras2"},
                                     told(KERAS2, *GRU_ACTS)),
    ("gru", "keras2"): Layout("zrn", TWO_BIASES, AFTER | {"gate": "hard_sigmoid@keras2"}, told(KERAS2, *GRU_ACTS)),
    ("lstm", "keras2 cudnn"): Layout("ifgo", CUDNN_ROWS, BOTH),               # CuDNNLSTM
    ("gru", "keras2 cudnn"): Layout("zrn", CUDNN_ROWS, AFTER),                # CuDNNGRU

    ("rnn", "onnx"): Layout("h", ONNX_ROWS, BOTH, told(ANY, "activation")),
    ("lstm", "onnx"): Layout("iofg", ONNX_ROWS + ONNX_P, BOTH, told(ANY, "gate", "candidate", "output")
                             | {"peepholes": ANY, "coupled": ("forget",)}),
    ("gru", "onnx"): Layout("zrn", ONNX_ROWS, AFTER, told(ANY, *GRU_ACTS)),   # linear_before_reset=1
    ("gru before", "onnx"): Layout("zrn", ONNX_ROWS, BEFORE | BOTH, told(ANY, *GRU_ACTS)),

    ("rnn", "flax"): Layout("h", FLAX_RNN, {}, told(ANY, "activation")),
    ("lstm", "flax"): Layout("ifgo", FLAX_LSTM, {}, told(ANY, *LSTM_ACTS)),   # OptimizedLSTMCell too
    ("gru", "flax"): Layout("rzn", FLAX_GRU, AFTER, told(ANY, *GRU_ACTS)),
    ("mgu", "flax"): Layout("fn", FLAX_GRU, AFTER | {"keeps": True}, told(ANY, *GRU_ACTS)),
    # strides and padding="VALID" of ConvLSTMCell concern h too, which then no longer fits the c of the step before
    ("conv lstm", "flax"): Layout("igfo", FLAX_CONV, BOTH | {"forget_bias": 1.0}, {"kernel": ANY}),
    ("rnn", "nnx"): Layout("h", NNX_BIAS_OF_X, {}, told(ANY, "activation")),
    ("lstm", "nnx"): Layout("ifgo", NNX_LSTM, {}, told(ANY, *LSTM_ACTS)),
    ("lstm", "nnx optimized"): Layout("ifgo", NNX_BIAS_OF_H, {}, told(ANY, *LSTM_ACTS)),
    ("gru", "nnx"): Layout("rzn", NNX_BIAS_OF_X, AFTER | {"recurrent_bias": False}, told(ANY, *GRU_ACTS)),

    ("rnn", "tf1"): Layout("h", TF1_ROWS, {}, told(ANY, "activation")),
    ("lstm", "tf1"): Layout("igfo", TF1_ROWS + TF1_PEEPHOLES + (Row("projection/kernel", "U H", "P"),),
                            {"forget_bias": 1.0}, TF1_TAKES | {"cell_clip": ANY}),
    ("gru before", "tf1"): Layout("rzn", TF1_GRU, BEFORE, told(ANY, "candidate")),     # GRUBlockCellV2 too
    # LSTMBlockCell, LSTMBlockFusedCell, GRUBlockCell
    ("lstm", "tf1 block"): Layout("igfo", TF1_ROWS + TF1_PEEPHOLES, THROUGH,
                                  {"forget_bias": ANY, "peepholes": ANY, "cell_clip": ANY}),
    ("gru before", "tf1 block"): Layout("rzn", joined("w_ru", "b_ru", "rz") + joined("w_c", "b_c", "n"), BEFORE),
    # CudnnCompatibleLSTMCell, CudnnCompatibleGRUCell
    ("lstm", "tf1 cudnn"): Layout("igfo", TF1_ROWS),
    ("gru", "tf1 cudnn"): Layout("rzn", TF1_GRU_CUDNN, AFTER),
    # CoupledInputForgetGateLSTMCell
    ("lstm", "tf1 coupled"): Layout("gfo", TF1_COUPLED, COUPLED, TF1_TAKES),
}
LAYOUTS = {key: layout._replace(family=key[0], framework=key[1]) for key, layout in TABLES.items()}

# what has no table, and why
IMPOSSIBLE = {
    ("gru", "coreml"): "CoreML adds both biases of n outside the reset, r does not multiply bR_n: no exact conversion",
}
