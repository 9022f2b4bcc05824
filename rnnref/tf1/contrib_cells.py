"""The cells of tf.contrib.rnn that are one rule and two maps: declared by TF's arguments."""
import numpy

from .. import cells
from ..arrays import namespace
from ..errors import NotSupported
from ..tree import PerStep, first_leaf
from .cell import CellSpec, RNNCell, cell_class
from .core_cells import LSTM_ROWS, choose_state_form, make_rows, peephole_rows, refuse_reuse
from .states import CH
from .variables import layout_rows

_NORM_NAMES = {"i": "input", "g": "transform", "f": "forget", "o": "output"}


def _make_norm_rows(gates, gain, shift):
    """gamma and beta of the gates and of c."""
    table: dict = {}
    for g in gates:
        table |= {f"{_NORM_NAMES[g]}/gamma": (f"gain[{g}]", float(gain)), f"{_NORM_NAMES[g]}/beta": (f"shift[{g}]", float(shift))}
    return table | {"state/gamma": ("gain_c", float(gain)), "state/beta": ("shift_c", float(shift))}


def _projection_options(num_proj, proj_clip=None):
    """A limit without a projection does nothing."""
    return {"projection": num_proj, "projection_clip": proj_clip} if num_proj else {}


class _RecurrentDropoutBase(RNNCell):
    """What LayerNormBasicLSTMCell has beside: a mask of the candidate."""

    def masks(self, recurrent):
        """Its `extra`, of masks of 0 and 1: [B, U] the same at every step, or [T, B, U]."""
        mask = recurrent / recurrent.dtype.type(self.arguments["dropout_keep_prob"])
        return PerStep(mask) if mask.ndim > 2 else mask

    def draw(self, x, steps):
        keep, like = self.arguments["dropout_keep_prob"], first_leaf(x)
        if keep >= 1:
            return None
        self.rng = getattr(self, "rng", None) or numpy.random.default_rng(self.arguments["dropout_prob_seed"])
        lead = like.shape[:1 if steps is None else 2]
        drawn = numpy.floor(keep + self.rng.random((*lead, self.parts.units)))
        return self.masks(namespace(like).asarray(drawn.astype(like.dtype)))


@cell_class(base=_RecurrentDropoutBase)
def LayerNormBasicLSTMCell(num_units, forget_bias=1.0, input_size=None, activation="tanh", layer_norm=True,
                           norm_gain=1.0, norm_shift=0.0, dropout_keep_prob=1.0, dropout_prob_seed=None, reuse=None):
    """The LSTM with a norm of each gate and of c, which is carried on normalised; dropout of the candidate."""
    refuse_reuse("LayerNormBasicLSTMCell", reuse)
    options = {"forget_bias": forget_bias, "candidate": activation, "output": activation}
    core = cells.LayerNormLSTM(epsilon=1e-12, **options) if layer_norm else cells.LSTM(**options)
    table: dict = {"kernel": LSTM_ROWS["kernel"]}
    table |= _make_norm_rows("igfo", norm_gain, norm_shift) if layer_norm else {"bias": (LSTM_ROWS["bias"], "glorot_uniform")}
    return CellSpec(cells.CandidateDropout(core) if dropout_keep_prob < 1 else core, num_units,
                 make_rows("layer_norm_basic_lstm_cell", "ifgo", table), CH, notes={"input_size": input_size})


@cell_class
def LayerNormLSTMCell(num_units, use_peepholes=False, cell_clip=None, initializer=None, num_proj=None, proj_clip=None,
                      forget_bias=1.0, activation=None, layer_norm=False, norm_gain=1.0, norm_shift=0.0, reuse=None):
    """LSTMCell with a norm of each gate and of c, before its limit; then its bias is there and not used."""
    refuse_reuse("LayerNormLSTMCell", reuse)
    act, draw = activation or "tanh", initializer or "glorot_uniform"
    options = _projection_options(num_proj, proj_clip) | {"forget_bias": forget_bias, "candidate": act, "output": act,
                                                "peepholes": use_peepholes, "cell_clip": cell_clip or None}
    core = cells.LayerNormLSTM(epsilon=1e-12, **options) if layer_norm else cells.LSTM(**options)
    table: dict = {"kernel": (LSTM_ROWS["kernel"], draw), "bias": "~W" if layer_norm else LSTM_ROWS["bias"]}
    table |= _make_norm_rows("igfo", norm_gain, norm_shift) if layer_norm else {}
    table |= {name: (text, draw) for name, text in peephole_rows(use_peepholes).items()}
    table |= {"projection/kernel": ("P", draw)} if num_proj else {}
    return CellSpec(core, num_units, make_rows("layer_norm_lstm_cell", "ifgo", table), CH)


@cell_class
def WeightNormLSTMCell(num_units, norm=True, use_peepholes=False, cell_clip=None, initializer=None, num_proj=None,
                       proj_clip=None, forget_bias=1, activation=None, reuse=None):
    """LSTMCell whose kernel has columns of a length of its own, those of x and those of h apart."""
    refuse_reuse("WeightNormLSTMCell", reuse)
    act, draw = activation or "tanh", initializer or "glorot_uniform"
    options = _projection_options(num_proj, proj_clip) | {"forget_bias": forget_bias, "candidate": act, "output": act,
                                                "peepholes": use_peepholes, "cell_clip": cell_clip or None}
    if norm:
        core = cells.WeightNormLSTM(floor=1e-12, **options)
        table: dict = {"kernel": ("V[igfo]; Vr[igfo]", draw), "norm_0": ("gain[igfo]", draw),
                       "norm_1": ("gain_r[igfo]", draw)}
        last = {"projection/kernel": ("Vp", draw), "projection/norm_0": ("gain_p", draw)}
    else:
        core, table, last = cells.LSTM(**options), {"kernel": (LSTM_ROWS["kernel"], draw)}, {
            "projection/kernel": ("P", draw)}
    table |= {"bias": LSTM_ROWS["bias"]} | {name: (text, draw) for name, text in peephole_rows(use_peepholes).items()}
    return CellSpec(core, num_units, make_rows("wn_lstm_cell/wn_lstm_cell", "ifgo", table | (last if num_proj else {})), CH)


@cell_class
def CoupledInputForgetGateLSTMCell(num_units, use_peepholes=False, initializer=None, num_proj=None, proj_clip=None,
                                   num_unit_shards=1, num_proj_shards=1, forget_bias=1.0, state_is_tuple=True,
                                   activation="tanh", reuse=None, layer_norm=False, norm_gain=1.0, norm_shift=0.0):
    """The LSTM with i = 1 - f.  `initializer` is taken and not used, there as here."""
    refuse_reuse("CoupledInputForgetGateLSTMCell", reuse)
    scope = "coupled_input_forget_gate_lstm_cell"
    options = _projection_options(num_proj, proj_clip) | {"coupled": "input", "forget_bias": forget_bias, "output": activation,
                                                "candidate": activation, "peepholes": use_peepholes}
    core = cells.LayerNormLSTM(epsilon=1e-12, **options) if layer_norm else cells.LSTM(**options)
    lines = layout_rows("lstm", "tf1 coupled")
    rows = make_rows(scope, "fgo", {"W_{k}": lines["W_0"]}, shards=num_unit_shards)
    table: dict = {"B": "~W" if layer_norm else lines["B"]} | peephole_rows(use_peepholes, "tf1 coupled")
    table |= _make_norm_rows("gfo", norm_gain, norm_shift) if layer_norm else {}
    rows += make_rows(scope, "fgo", table)
    rows += make_rows(scope, "fgo", {"W_P_{k}": lines["W_P_0"]}, shards=num_proj_shards) if num_proj else []
    return CellSpec(core, num_units, rows, choose_state_form(state_is_tuple))


@cell_class
def IndRNNCell(num_units, activation=None, reuse=None, name=None, dtype=None):
    """h' = activation(x kernel_w + h kernel_u + bias), number by number in h."""
    refuse_reuse("IndRNNCell", reuse)
    return CellSpec(cells.IndRNN(activation=activation or "tanh"), num_units, make_rows(name or "ind_rnn_cell", "h", {
        "kernel_w": "W", "kernel_u": ("1 R", _draw_unit_uniform), "bias": "b"}))


def _draw_unit_uniform(rng, shape):
    return rng.uniform(-1, 1, shape)


@cell_class
def IndyLSTMCell(num_units, forget_bias=1.0, activation=None, reuse=None, kernel_initializer=None,
                 bias_initializer=None, name=None, dtype=None):
    """BasicLSTMCell in which each unit sees of h its own number only."""
    refuse_reuse("IndyLSTMCell", reuse)
    act, draw = activation or "tanh", kernel_initializer or "glorot_uniform"
    return CellSpec(cells.IndyLSTM(forget_bias=forget_bias, candidate=act, output=act), num_units, make_rows(
        name or "indy_lstm_cell", "ifgo", {"kernel_w": ("W[igfo]", draw), "kernel_u": ("1 R[igfo]", _draw_unit_uniform),
                                           "bias": ("b[igfo]", bias_initializer or 0.0)}), CH)


@cell_class
def IndyGRUCell(num_units, activation=None, reuse=None, kernel_initializer=None, bias_initializer=None, name=None,
                dtype=None):
    """GRUCell in which each unit sees of h its own number only."""
    refuse_reuse("IndyGRUCell", reuse)
    draw = kernel_initializer or "glorot_uniform"
    return CellSpec(cells.IndyGRU(candidate=activation or "tanh"), num_units, make_rows(name or "indy_gru_cell", "rzn", {
        "gates/kernel_w": ("W[rz]", draw), "gates/kernel_u": ("1 R[rz]", _draw_unit_uniform),
        "gates/bias": ("b[rz]", bias_initializer or 1.0), "candidate/kernel": ("W[n]", draw),
        "candidate/kernel_u": ("1 R[n]", _draw_unit_uniform), "candidate/bias": ("b[n]", bias_initializer or 0.0)}))


@cell_class
def GLSTMCell(num_units, initializer=None, num_proj=None, number_of_groups=1, forget_bias=1.0, activation="tanh",
              reuse=None):
    """The LSTM whose kernel is cut into groups of x and h; the candidate is always tanh."""
    refuse_reuse("GLSTMCell", reuse)
    n, draw = number_of_groups, initializer or "glorot_uniform"
    at = [f"{{{k}}}" for k in range(n)] if n > 1 else [""]
    table: dict = {f"group{k}/kernel": (f"W[igfo]{a}; R[igfo]{a}", draw) for k, a in enumerate(at)}
    table |= {f"bias_{'j' if g == 'g' else g}": f"b[{g}]" for g in "igfo"}
    table |= {"projection/kernel": ("P", draw)} if num_proj else {}
    return CellSpec(cells.GLSTM(groups=n, **_projection_options(num_proj), forget_bias=forget_bias, output=activation), num_units,
                 make_rows("glstm_cell", "ifgo", table), CH, notes={"inputs of": n})


@cell_class
def NASCell(num_units, num_proj=None, use_bias=False, reuse=None):
    """The cell that a search found; the bias is of the recurrent part only, which once is a factor."""
    refuse_reuse("NASCell", reuse)
    table: dict = {"recurrent_kernel": "R", "kernel": "W"} | ({"bias": "b"} if use_bias else {})
    table |= {"projection_weights": "P"} if num_proj else {}
    return CellSpec(cells.NAS(projection=num_proj or None, bias=use_bias), num_units, make_rows("nas_cell", "", table), CH)


@cell_class
def UGRNNCell(num_units, initializer=None, forget_bias=1.0, activation="tanh", reuse=None):
    """g = sigmoid(a_g + forget_bias);  h' = g h + (1 - g) activation(a_c)."""
    refuse_reuse("UGRNNCell", reuse)
    return CellSpec(cells.UGRNN(forget_bias=forget_bias, candidate=activation), num_units, make_rows("ugrnn_cell", "", {
        "kernel": ("W; R", initializer or "glorot_uniform"), "bias": "b"}))


@cell_class
def IntersectionRNNCell(num_units, num_in_proj=None, initializer=None, forget_bias=1.0, y_activation="relu",
                        reuse=None):
    """One state in time and one in depth: the output is not the state."""
    refuse_reuse("IntersectionRNNCell", reuse)
    draw, scope = initializer or "glorot_uniform", "intersection_rnn_cell"
    options = {"forget_bias": forget_bias, "output": y_activation}
    table: dict = {"kernel": ("W; R", draw), "bias": "b"}
    plain = CellSpec(cells.IntersectionRNN(**options), num_units, make_rows(scope, "", table))
    if not num_in_proj:
        return plain
    table = {"in_projection/kernel": ("Wi", draw), "in_projection/bias": "bi"} | table
    return CellSpec(cells.IntersectionRNN(in_projection=True, **options), num_units, make_rows(scope, "", table),
                 notes={"without": plain})


@cell_class
def SRUCell(num_units, activation=None, reuse=None, name=None):
    """c' = f c + (1 - f) x';  output r activation(c') + (1 - r) x'': no gate sees the state."""
    refuse_reuse("SRUCell", reuse)
    return CellSpec(cells.SRU(activation=activation or "tanh"), num_units, make_rows(name or "sru_cell", "", {
        "kernel": "W", "bias": "b"}), "c")


@cell_class
def MinimalRNNCell(units, activation="tanh", kernel_initializer="glorot_uniform", bias_initializer="ones", name=None):
    """z = activation(x V);  u = sigmoid([z, h] G + bias);  h' = u h + (1 - u) z."""
    return CellSpec(cells.MinimalRNN(activation=activation), units, make_rows(name or "minimal_rnn_cell", "", {
        "kernel": ("W; Z; R", kernel_initializer), "bias": ("b", bias_initializer)}))


@cell_class
def CFNCell(units, activation="tanh", kernel_initializer="glorot_uniform", bias_initializer="ones", name=None):
    """h' = theta activation(h) + (1 - eta) activation(x W)."""
    return CellSpec(cells.CFN(complement=True, activation=activation), units, make_rows(name or "cfn_cell", "", {
        "kernel": ("W", kernel_initializer), "recurrent_kernel": ("R", kernel_initializer),
        "bias": ("b", bias_initializer)}))


def _make_conv_lstm(scope, ndims, input_shape, output_channels, kernel_shape, use_bias, skip_connection, forget_bias):
    """The LSTM whose maps are convolutions over the axes of a space, channels last."""
    if len(input_shape) != ndims + 1 or len(kernel_shape) != ndims:
        raise NotSupported("ConvLSTMCell", f"input_shape={input_shape} and kernel_shape={kernel_shape} in {ndims} axes")
    core = cells.ConvLSTM(kernel=tuple(kernel_shape), bias=use_bias, forget_bias=forget_bias)
    table: dict = {"kernel": LSTM_ROWS["kernel"]} | ({"biases": LSTM_ROWS["bias"]} if use_bias else {})
    space, channels = tuple(input_shape[:-1]), output_channels + (input_shape[-1] if skip_connection else 0)
    return CellSpec(cells.Skip(core, state="concatenated") if skip_connection else core, output_channels,
                 make_rows(scope, "ifgo", table), CH, notes={"space": space, "output_size": (*space, channels)})


@cell_class
def ConvLSTMCell(conv_ndims, input_shape, output_channels, kernel_shape, use_bias=True, skip_connection=False,
                 forget_bias=1.0, initializers=None, name="conv_lstm_cell"):
    """Convolutions of x and h in the place of products.  With skip_connection the h of the state is [h, x], which
    does not fit the cell any more: only one step can be run, there as here.  TF does not use `initializers` either."""
    return _make_conv_lstm(name, conv_ndims, input_shape, output_channels, kernel_shape, use_bias, skip_connection, forget_bias)


def _make_conv_class(ndims):
    def made(input_shape, output_channels, kernel_shape, use_bias=True, skip_connection=False, forget_bias=1.0,
             initializers=None, name=f"conv_{ndims}d_lstm_cell"):
        return _make_conv_lstm(name, ndims, input_shape, output_channels, kernel_shape, use_bias, skip_connection, forget_bias)
    made.__name__, made.__doc__ = f"Conv{ndims}DLSTMCell", f"ConvLSTMCell over {ndims} axes."
    return cell_class(made)


Conv1DLSTMCell, Conv2DLSTMCell, Conv3DLSTMCell = map(_make_conv_class, (1, 2, 3))
