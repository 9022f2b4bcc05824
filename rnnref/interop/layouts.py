"""Weight layouts: tables of where each framework keeps the weights of each cell.

A row describes how one of their arrays is cut.  Its axes are words: `I H U G` as everywhere (G: as many gate blocks as
the row has, x U), `I+H` two of ours end to end, of which `part` is this row's, `2` two of ours stacked, `1` an axis to
drop; `S` is the axes of space of a kernel, as many as the cell has.  `{g}` in a name stands for one array a gate.
Gates are named in our letters: i f g o, r z n, h.
"""
from typing import Any, NamedTuple, Optional

from ..elementwise import get_activation


class Row(NamedTuple):
    """One of their arrays, or a part of it, beside one of our parameters."""
    theirs: str
    axes: str
    ours: str
    part: int = 0                                 # which of the two that lie in their array
    gates: Optional[str] = None                   # the gate blocks in it, in order, where not those of the layout
    flat: bool = False                            # each block holds the numbers of its transpose, row by row


class Layout(NamedTuple):
    """The arrays of one kind of layer in one framework."""
    gates: str                                    # the order of their gate blocks
    rows: tuple
    options: dict = {}                            # of our cell, with which it computes what a default layer does
    takes: dict = {}                              # further options of a layer: name -> values (None: any)
    negated: str = ""                             # gates that hold minus our numbers: their z is our 1 - z
    family: str = ""
    framework: str = ""

    def __hash__(self) -> int:                    # NamedTuple's would fail: options and takes are dicts
        return hash((self.gates, self.rows, self.family, self.framework))

    @property
    def who(self) -> str:
        """What messages call it: "torch lstm"."""
        return f"{self.framework} {self.family}"

    def at(self, prefix: str = "", suffix: str = "") -> "Layout":
        """The same arrays inside a larger model: "encoder/" + name, name + "_l1_reverse"."""
        return self._replace(rows=tuple(r._replace(theirs=prefix + r.theirs + suffix) for r in self.rows))

    def without_bias(self) -> "Layout":
        """The same of a layer that was made without biases."""
        return self._replace(rows=tuple(r for r in self.rows if r.ours not in ("b", "bR")),
                             options=self.options | {"bias": False, "recurrent_bias": False})


def make_activations(**names: Any) -> dict[str, Any]:
    """{their name: activation} of {their name: our name, or our name and its parameter}."""
    return {name: get_activation(*spec) if isinstance(spec, tuple) else get_activation(spec)
            for name, spec in names.items()}


# what the names of Keras mean; those left out are not pointwise, or not in rnnref
KERAS_ACTIVATIONS = make_activations(
    linear="linear", sigmoid="sigmoid", tanh="tanh", relu="relu", relu6="relu6", elu="elu", selu="selu",
    softplus="softplus", softsign="softsign", exponential="exponential", silu="swish", mish="mish",
    hard_tanh="hard_tanh", hard_sigmoid="hard_sigmoid@keras3", leaky_relu=("leaky_relu", 0.2))
_KERAS2_NAMES = "linear sigmoid tanh relu elu selu softplus softsign exponential".split()
KERAS2_ACTIVATIONS = ({name: KERAS_ACTIVATIONS[name] for name in _KERAS2_NAMES}
                      | make_activations(hard_sigmoid="hard_sigmoid@keras2"))
TORCH_ACTIVATIONS = make_activations(tanh="tanh", relu="relu")
_TFLITE_ACTS = make_activations(none="linear", relu="relu", relu6="relu6", tanh="tanh", sigmoid="sigmoid")


# rows

_TORCH_ROWS = (Row("weight_ih", "G I", "W"), Row("weight_hh", "G H", "R"), Row("bias_ih", "G", "b"),
               Row("bias_hh", "G", "bR"))
_PROJECTION = (Row("weight_hr", "H U", "P"),)
_ONNX_ROWS = (Row("W", "1 G I", "W"), Row("R", "1 G H", "R"), Row("B", "1 G+G", "b", 0), Row("B", "1 G+G", "bR", 1))
_ONNX_P = (Row("P", "1 G", "Wp{g}", gates="iof"),)
_KERNELS = (Row("kernel", "I G", "W"), Row("recurrent_kernel", "H G", "R"))
_ONE_BIAS = _KERNELS + (Row("bias", "G", "b"),)
_TWO_BIASES = _KERNELS + (Row("bias", "2 G", "b", 0), Row("bias", "2 G", "bR", 1))
_CUDNN_ROWS = (Row("kernel", "I G", "W", flat=True), Row("recurrent_kernel", "H G", "R", flat=True),
               Row("bias", "G+G", "b", 0), Row("bias", "G+G", "bR", 1))


def _one_matrix(kernel: str, bias: str, gates: Optional[str] = None) -> tuple[Row, ...]:
    """One matrix for [x, h], as TF 1 has it."""
    return (Row(kernel, "I+H G", "W", 0, gates), Row(kernel, "I+H G", "R", 1, gates), Row(bias, "G", "b", 0, gates))


_TF1_ROWS = _one_matrix("kernel", "bias")
_TF1_PEEPHOLES, _TF1_BLOCK_PEEPHOLES = ((Row("w_{g}_diag", "U", "Wp{g}", gates=gates),) for gates in ("fio", "ifo"))
_TF1_GATES = _one_matrix("gates/kernel", "gates/bias", "rz")
_TF1_GRU = _TF1_GATES + _one_matrix("candidate/kernel", "candidate/bias", "n")
_TF1_GRU_BLOCK = _one_matrix("w_ru", "b_ru", "rz") + _one_matrix("w_c", "b_c", "n")
_TF1_GRU_CUDNN = _TF1_GATES + (
    Row("candidate/input_projection/kernel", "I G", "W", gates="n"),
    Row("candidate/input_projection/bias", "G", "b", gates="n"),
    Row("candidate/hidden_projection/kernel", "H G", "R", gates="n"),
    Row("candidate/hidden_projection/bias", "G", "bR", gates="n"))
_TF1_COUPLED = _one_matrix("W_0", "B") + (Row("W_F_diag", "U", "Wpf"), Row("W_O_diag", "U", "Wpo"),
                                          Row("W_P_0", "U H", "P"))

_FLAX_RNN = (Row("i/kernel", "I G", "W"), Row("h/kernel", "H G", "R"), Row("i/bias", "G", "b"))
_FLAX_LSTM = (Row("i{g}/kernel", "I G", "W"), Row("h{g}/kernel", "H G", "R"), Row("h{g}/bias", "G", "b"))
_FLAX_GRU = (Row("i{g}/kernel", "I G", "W"), Row("h{g}/kernel", "H G", "R"), Row("i{g}/bias", "G", "b"),
             Row("hn/bias", "G", "bR", gates="n"))
_FLAX_UGRNN = tuple(Row(f"{m}{theirs}/{kind}", axes, ours, gates=gate) for theirs, gate in ("fz", "nn")
                    for m, kind, axes, ours in (("i", "kernel", "I G", "W"), ("h", "kernel", "H G", "R"),
                                                ("i", "bias", "G", "b")))
_NNX_LSTM = (Row("i{g}/kernel", "I G", "W", gates="igo"), Row("if_/kernel", "I G", "W", gates="f")) + _FLAX_LSTM[1:]
_NNX = (Row("dense_i/kernel", "I G", "W"), Row("dense_h/kernel", "H G", "R"))
_NNX_BIAS_OF_X, _NNX_BIAS_OF_H = (_NNX + (Row(f"dense_{m}/bias", "G", "b"),) for m in "ih")

_HAIKU_RNN = (Row("linear/w", "I G", "W"), Row("linear/b", "G", "b"), Row("linear_1/w", "H G", "R"),
              Row("linear_1/b", "G", "bR"))
_HAIKU_GRU = (Row("w_i", "I G", "W"), Row("w_h", "H G", "R"), Row("b", "G", "b"))
_EQUINOX = (Row("weight_ih", "G I", "W"), Row("weight_hh", "G H", "R"), Row("bias", "G", "b"))
_EQUINOX_GRU = _EQUINOX + (Row("bias_n", "G", "bR", gates="n"),)
_MLX_RNN = (Row("Wxh", "G I", "W"), Row("Whh", "G H", "R"), Row("bias", "G", "b"))
_MLX_LSTM = (Row("Wx", "G I", "W"), Row("Wh", "G H", "R"), Row("bias", "G", "b"))
_MLX_GRU = _MLX_LSTM[:2] + (Row("b", "G", "b"), Row("bhn", "G", "bR", gates="n"))
_COREML_P = (Row("peephole", "G", "Wp{g}", gates="ifo"),)


def _array_per_gate(gates: dict[str, str], *rows: tuple[str, str, str]) -> tuple[Row, ...]:
    """Rows of arrays that hold one gate each: (their name with {}, axes, ours), and {our gate: what stands for {}}."""
    return tuple(Row(pattern.format(theirs), axes, ours, gates=gate)
                 for pattern, axes, ours in rows for gate, theirs in gates.items())


_TFLITE_GATES = {"i": "input", "f": "forget", "g": "cell", "o": "output"}
_TFLITE_RNN = (Row("input_weights", "G I", "W"), Row("recurrent_weights", "G H", "R"), Row("bias", "G", "b"))
_TFLITE_LSTM = (
    *_array_per_gate(_TFLITE_GATES, ("input_to_{}_weights", "G I", "W"), ("recurrent_to_{}_weights", "G H", "R")),
    *(Row(f"cell_to_{_TFLITE_GATES[gate]}_weights", "U", f"Wp{gate}") for gate in "ifo"),
    *_array_per_gate(_TFLITE_GATES, ("{}_gate_bias", "G", "b")),
    Row("projection_weights", "H U", "P"))
# the fields of a NeuralNetwork's layers; what enters gates is limited to +-50 there, which no sigmoid or tanh shows
_COREML_RNN = (Row("weightMatrix", "G I", "W"), Row("recursionMatrix", "G H", "R"), Row("biasVector", "G", "b"))
_COREML_FIELDS = (("{}WeightMatrix", "G I", "W"), ("{}RecursionMatrix", "G H", "R"), ("{}BiasVector", "G", "b"))
_COREML_LSTM = (
    *_array_per_gate({"i": "inputGate", "f": "forgetGate", "g": "blockInput", "o": "outputGate"}, *_COREML_FIELDS),
    Row("inputGatePeepholeVector", "U", "Wpi"), Row("forgetGatePeepholeVector", "U", "Wpf"),
    Row("outputGatePeepholeVector", "U", "Wpo"))
_COREML_GRU = _array_per_gate({"z": "updateGate", "r": "resetGate", "n": "outputGate"}, *_COREML_FIELDS)

_KERAS_CONV = (Row("kernel", "S I G", "W"), Row("recurrent_kernel", "S H G", "R"), Row("bias", "G", "b"))
_FLAX_CONV = (Row("ih/kernel", "S I G", "W"), Row("hh/kernel", "S H G", "R"), Row("ih/bias", "G", "b"),
              Row("hh/bias", "G", "bR"))


# options that layers can have

_ANY, _BOTH_BIASES = None, {"recurrent_bias": True}
_AFTER, _BEFORE = {"reset": "after"}, {"reset": "before"}


def _takes(values: Optional[dict], *options: str) -> dict[str, Any]:
    """Options that take the activations `values`; two names in one string are one setting of theirs."""
    return {option: values if values is _ANY else tuple(values.values()) for option in options}


_LSTM_ACTS, _GRU_ACTS = ("gate", "candidate output"), ("gate", "candidate")
_TF1_TAKES = {n: _ANY for n in ("forget_bias", "peepholes", "projection", "projection_clip", "candidate output")}
_RESIDUAL = {"residual": (True,)}
_THROUGH = {"forget_bias": 1.0, "cell_clip_gradient": "through"}
_COUPLED = {"coupled": "input", "forget_bias": 1.0}
_CONV = {"kernel": _ANY, "strides": _ANY, "padding": _ANY, "dilation": _ANY}

_TABLES = {
    ("rnn", "torch"): Layout("h", _TORCH_ROWS, _BOTH_BIASES, _takes(TORCH_ACTIVATIONS, "activation")).at(suffix="_l0"),
    ("lstm", "torch"): Layout("ifgo", _TORCH_ROWS + _PROJECTION, _BOTH_BIASES, {"projection": _ANY}).at(suffix="_l0"),
    ("gru", "torch"): Layout("rzn", _TORCH_ROWS, _AFTER).at(suffix="_l0"),
    ("rnn", "torch cell"): Layout("h", _TORCH_ROWS, _BOTH_BIASES, _takes(TORCH_ACTIVATIONS, "activation")),
    ("lstm", "torch cell"): Layout("ifgo", _TORCH_ROWS, _BOTH_BIASES),
    ("gru", "torch cell"): Layout("rzn", _TORCH_ROWS, _AFTER),

    ("rnn", "keras"): Layout("h", _ONE_BIAS, {}, _takes(KERAS_ACTIVATIONS, "activation")),
    ("lstm", "keras"): Layout("ifgo", _ONE_BIAS, {}, _takes(KERAS_ACTIVATIONS, *_LSTM_ACTS)),
    ("gru", "keras"): Layout("zrn", _TWO_BIASES, _AFTER, _takes(KERAS_ACTIVATIONS, *_GRU_ACTS)),
    ("gru before", "keras"): Layout("zrn", _ONE_BIAS, _BEFORE, _takes(KERAS_ACTIVATIONS, *_GRU_ACTS)),

    ("conv lstm", "keras"): Layout("ifgo", _KERAS_CONV, {"padding": "valid"},
                                   _takes(KERAS_ACTIVATIONS, *_LSTM_ACTS) | _CONV),

    # Keras up to 2.2, with its defaults; there GRU has reset_after=False by default
    ("rnn", "keras2"): Layout("h", _ONE_BIAS, {}, _takes(KERAS2_ACTIVATIONS, "activation")),
    ("lstm", "keras2"): Layout("ifgo", _ONE_BIAS, {"gate": "hard_sigmoid@keras2"},
                               _takes(KERAS2_ACTIVATIONS, *_LSTM_ACTS)),
    ("gru before", "keras2"): Layout("zrn", _ONE_BIAS, _BEFORE | {"gate": "hard_sigmoid@keras2"},
                                     _takes(KERAS2_ACTIVATIONS, *_GRU_ACTS)),
    ("gru", "keras2"): Layout("zrn", _TWO_BIASES, _AFTER | {"gate": "hard_sigmoid@keras2"},
                              _takes(KERAS2_ACTIVATIONS, *_GRU_ACTS)),
    ("conv lstm", "keras2"): Layout("ifgo", _KERAS_CONV, {"padding": "valid", "gate": "hard_sigmoid@keras2"},
                                    _takes(KERAS2_ACTIVATIONS, *_LSTM_ACTS) | _CONV),
    ("lstm", "keras2 cudnn"): Layout("ifgo", _CUDNN_ROWS, _BOTH_BIASES),          # CuDNNLSTM
    ("gru", "keras2 cudnn"): Layout("zrn", _CUDNN_ROWS, _AFTER),                 # CuDNNGRU

    ("rnn", "onnx"): Layout("h", _ONNX_ROWS, _BOTH_BIASES, _takes(_ANY, "activation")),
    ("lstm", "onnx"): Layout("iofg", _ONNX_ROWS + _ONNX_P, _BOTH_BIASES, _takes(_ANY, "gate", "candidate", "output")
                             | {"peepholes": _ANY, "coupled": ("forget",)}),
    ("gru", "onnx"): Layout("zrn", _ONNX_ROWS, _AFTER, _takes(_ANY, *_GRU_ACTS)),   # linear_before_reset=1
    ("gru before", "onnx"): Layout("zrn", _ONNX_ROWS, _BEFORE | _BOTH_BIASES, _takes(_ANY, *_GRU_ACTS)),

    ("rnn", "flax"): Layout("h", _FLAX_RNN, {}, _takes(_ANY, "activation") | _RESIDUAL),
    ("lstm", "flax"): Layout("ifgo", _FLAX_LSTM, {}, _takes(_ANY, *_LSTM_ACTS)),   # OptimizedLSTMCell too
    ("gru", "flax"): Layout("rzn", _FLAX_GRU, _AFTER, _takes(_ANY, *_GRU_ACTS)),
    ("mgu", "flax"): Layout("fn", _FLAX_GRU, _AFTER | {"keeps": True}, _takes(_ANY, *_GRU_ACTS)),
    ("ugrnn", "flax"): Layout("zn", _FLAX_UGRNN, {}, _takes(_ANY, *_GRU_ACTS)),   # MGUCell(reset_gate=False)
    # strides and padding="VALID" of ConvLSTMCell concern h too, which then no longer fits the c of the step before
    ("conv lstm", "flax"): Layout("igfo", _FLAX_CONV, _BOTH_BIASES | {"forget_bias": 1.0}, {"kernel": _ANY}),
    ("rnn", "nnx"): Layout("h", _NNX_BIAS_OF_X, {}, _takes(_ANY, "activation") | _RESIDUAL),
    ("lstm", "nnx"): Layout("ifgo", _NNX_LSTM, {}, _takes(_ANY, *_LSTM_ACTS)),
    ("lstm", "nnx optimized"): Layout("ifgo", _NNX_BIAS_OF_H, {}, _takes(_ANY, *_LSTM_ACTS)),
    ("gru", "nnx"): Layout("rzn", _NNX_BIAS_OF_X, _AFTER | {"recurrent_bias": False}, _takes(_ANY, *_GRU_ACTS)),

    ("rnn", "tf1"): Layout("h", _TF1_ROWS, {}, _takes(_ANY, "activation")),
    ("lstm", "tf1"): Layout("igfo", _TF1_ROWS + _TF1_PEEPHOLES + (Row("projection/kernel", "U H", "P"),),
                            {"forget_bias": 1.0}, _TF1_TAKES | {"cell_clip": _ANY}),
    ("gru before", "tf1"): Layout("rzn", _TF1_GRU, _BEFORE, _takes(_ANY, "candidate")),     # GRUBlockCellV2 too
    # LSTMBlockCell, LSTMBlockFusedCell, GRUBlockCell
    ("lstm", "tf1 block"): Layout("igfo", _TF1_ROWS + _TF1_BLOCK_PEEPHOLES, _THROUGH,
                                  {"forget_bias": _ANY, "peepholes": _ANY, "cell_clip": _ANY}),
    ("gru before", "tf1 block"): Layout("rzn", _TF1_GRU_BLOCK, _BEFORE),
    # CudnnCompatibleLSTMCell, CudnnCompatibleGRUCell
    ("lstm", "tf1 cudnn"): Layout("igfo", _TF1_ROWS),
    ("gru", "tf1 cudnn"): Layout("rzn", _TF1_GRU_CUDNN, _AFTER),
    # CoupledInputForgetGateLSTMCell
    ("lstm", "tf1 coupled"): Layout("gfo", _TF1_COUPLED, _COUPLED, _TF1_TAKES),

    ("rnn", "haiku"): Layout("h", _HAIKU_RNN, {"activation": "relu"} | _BOTH_BIASES),
    ("lstm", "haiku"): Layout("igfo", _one_matrix("linear/w", "linear/b"), {"forget_bias": 1.0}),
    ("gru before", "haiku"): Layout("zrn", _HAIKU_GRU, _BEFORE, negated="z"),    # h' = (1 - z) h + z n
    ("lstm", "equinox"): Layout("ifgo", _EQUINOX),
    ("gru", "equinox"): Layout("rzn", _EQUINOX_GRU, _AFTER),
    ("rnn", "mlx"): Layout("h", _MLX_RNN, {}, _takes(_ANY, "activation")),
    ("lstm", "mlx"): Layout("ifgo", _MLX_LSTM),
    ("gru", "mlx"): Layout("rzn", _MLX_GRU, _AFTER),
    # UNIDIRECTIONAL_SEQUENCE_RNN and _LSTM
    ("rnn", "tflite"): Layout("h", _TFLITE_RNN, {}, _takes(_TFLITE_ACTS, "activation")),
    ("lstm", "tflite"): Layout("ifgo", _TFLITE_LSTM, {}, {n: _ANY for n in ("peepholes", "projection", "cell_clip",
                                                                            "projection_clip")}),
    # operations of an ML program: rnn, lstm, gru
    ("rnn", "coreml"): Layout("h", _EQUINOX, {}, _takes(_ANY, "activation")),
    ("lstm", "coreml"): Layout("ifog", _EQUINOX + _COREML_P, {}, _takes(_ANY, "gate", "candidate", "output")
                               | {"peepholes": _ANY}),
    ("gru", "coreml"): Layout("rnz", _EQUINOX, _AFTER | {"recurrent_bias": False}, _takes(_ANY, *_GRU_ACTS)),
    # layers of a NeuralNetwork: SimpleRecurrent, UniDirectionalLSTM, GRU
    ("rnn", "coreml network"): Layout("h", _COREML_RNN, {}, _takes(_ANY, "activation")),
    ("lstm", "coreml network"): Layout("ifgo", _COREML_LSTM, {}, _takes(_ANY, "gate", "candidate", "output")
                                       | {"peepholes": _ANY, "cell_clip": _ANY}),
    ("gru before", "coreml network"): Layout("zrn", _COREML_GRU, _BEFORE, _takes(_ANY, *_GRU_ACTS)),
}
LAYOUTS: dict[Any, Layout] = {
    (family, framework): layout._replace(family=family, framework=framework)
    for (family, framework), layout in _TABLES.items()}

# layouts that do not exist, and why
IMPOSSIBLE: dict[Any, str] = {
    ("gru", "tflite"): "TFLite has no operator for a GRU: its converter writes a loop of products instead",
    ("gru before", "tflite"): "TFLite has no operator for a GRU: its converter writes a loop of products instead",
    ("rnn", "equinox"): "equinox has cells for LSTM and GRU only",
}
