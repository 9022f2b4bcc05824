"""The cells of tf.contrib.rnn that are one rule and two maps."""
from typing import Any, Optional, Sequence

import numpy

from .. import cells
from ..arrays import Array, namespace
from ..errors import InvalidValue
from ..shards import refuse
from ..tree import PerStep, Tree, first_leaf
from .core_cells import LSTM_ROWS, choose, choose_state_form, make_rows, peephole_rows, projection_options, refuse_reuse
from .declared import DeclaredCell, cell_class
from .spec import CellSpec
from .states import CH
from .variables import layout_rows, make_rng

_NORM_NAMES = {"i": "input", "g": "transform", "f": "forget", "o": "output"}


def _make_norm_rows(gates: str, gain: float, shift: float) -> dict[str, Any]:
    """The table of gamma and beta for the gates and for c."""
    table: dict = {}
    for g in gates:
        table |= {f"{_NORM_NAMES[g]}/gamma": (f"gain[{g}]", float(gain)),
                  f"{_NORM_NAMES[g]}/beta": (f"shift[{g}]", float(shift))}
    return table | {"state/gamma": ("gain_c", float(gain)), "state/beta": ("shift_c", float(shift))}


class _RecurrentDropoutBase(DeclaredCell):
    """The masks of LayerNormBasicLSTMCell, which drops entries of the candidate."""

    def masks(self, recurrent: Array) -> Any:
        """Its `extra`, from masks of 0 and 1: [B, U] the same at every step, or [T, B, U]."""
        mask = recurrent / recurrent.dtype.type(self.arguments["dropout_keep_prob"])
        return PerStep(mask) if mask.ndim > 2 else mask

    def draw_masks(self, x: Tree, steps: Optional[int]) -> Any:
        """Random masks for one step, or for this number of steps."""
        keep, like = self.arguments["dropout_keep_prob"], first_leaf(x)
        if keep >= 1:
            return None
        refuse(self.who, "dropout of TF 1: each process would draw its own", fix="dropout of rnnref.layers")
        self.rng = getattr(self, "rng", None) or make_rng(self.arguments["dropout_prob_seed"])
        lead = like.shape[:1 if steps is None else 2]
        drawn = numpy.floor(keep + self.rng.random((*lead, self.spec.units)))
        return self.masks(namespace(like).asarray(drawn.astype(like.dtype)))


@cell_class(base=_RecurrentDropoutBase)
def LayerNormBasicLSTMCell(num_units: int, forget_bias: float = 1.0, input_size: Optional[int] = None,
                           activation: Any = "tanh", layer_norm: bool = True, norm_gain: float = 1.0,
                           norm_shift: float = 0.0, dropout_keep_prob: float = 1.0, dropout_prob_seed: Any = None,
                           reuse: Any = None) -> CellSpec:
    """The LSTM with layer normalisation of each gate and of c, which stays normalised; dropout of the candidate."""
    refuse_reuse("LayerNormBasicLSTMCell", reuse)
    options = {"forget_bias": forget_bias, "candidate": activation, "output": activation}
    core = cells.LayerNormLSTM(epsilon=1e-12, **options) if layer_norm else cells.LSTM(**options)
    table: dict = {"kernel": LSTM_ROWS["kernel"]}
    table |= (_make_norm_rows("igfo", norm_gain, norm_shift) if layer_norm else
              {"bias": (LSTM_ROWS["bias"], "glorot_uniform")})
    return CellSpec(cells.CandidateDropout(core) if dropout_keep_prob < 1 else core, num_units,
                    make_rows("layer_norm_basic_lstm_cell", "ifgo", table), CH, notes={"input_size": input_size})


@cell_class
def LayerNormLSTMCell(num_units: int, use_peepholes: bool = False, cell_clip: Optional[float] = None,
                      initializer: Any = None, num_proj: Optional[int] = None, proj_clip: Optional[float] = None,
                      forget_bias: float = 1.0, activation: Any = None, layer_norm: bool = False,
                      norm_gain: float = 1.0, norm_shift: float = 0.0, reuse: Any = None) -> CellSpec:
    """LSTMCell with layer normalisation of each gate, and of c before it is clipped.

    With layer_norm TF has a bias that it does not use.
    """
    refuse_reuse("LayerNormLSTMCell", reuse)
    act, draw = activation or "tanh", choose(initializer, "glorot_uniform")
    options = projection_options(num_proj, proj_clip) | {"forget_bias": forget_bias, "candidate": act, "output": act,
                                                         "peepholes": use_peepholes, "cell_clip": cell_clip}
    core = cells.LayerNormLSTM(epsilon=1e-12, **options) if layer_norm else cells.LSTM(**options)
    table: dict = {"kernel": (LSTM_ROWS["kernel"], draw), "bias": "~W" if layer_norm else LSTM_ROWS["bias"]}
    table |= _make_norm_rows("igfo", norm_gain, norm_shift) if layer_norm else {}
    table |= {name: (text, draw) for name, text in peephole_rows(use_peepholes).items()}
    table |= {"projection/kernel": ("P", draw)} if num_proj else {}
    return CellSpec(core, num_units, make_rows("layer_norm_lstm_cell", "ifgo", table), CH)


@cell_class
def WeightNormLSTMCell(num_units: int, norm: bool = True, use_peepholes: bool = False,
                       cell_clip: Optional[float] = None, initializer: Any = None, num_proj: Optional[int] = None,
                       proj_clip: Optional[float] = None, forget_bias: float = 1, activation: Any = None,
                       reuse: Any = None) -> CellSpec:
    """LSTMCell with weight normalisation: each column of the kernel has a norm of its own, separately for x and h."""
    refuse_reuse("WeightNormLSTMCell", reuse)
    act, draw = activation or "tanh", choose(initializer, "glorot_uniform")
    options = projection_options(num_proj, proj_clip) | {"forget_bias": forget_bias, "candidate": act, "output": act,
                                                         "peepholes": use_peepholes, "cell_clip": cell_clip}
    if norm:
        core = cells.WeightNormLSTM(floor=1e-12, **options)
        table: dict = {"kernel": ("V[igfo]; Vr[igfo]", draw), "norm_0": ("gain[igfo]", draw),
                       "norm_1": ("gain_r[igfo]", draw)}
        last = {"projection/kernel": ("Vp", draw), "projection/norm_0": ("gain_p", draw)}
    else:
        core, table, last = cells.LSTM(**options), {"kernel": (LSTM_ROWS["kernel"], draw)}, {
            "projection/kernel": ("P", draw)}
    table |= {"bias": LSTM_ROWS["bias"]} | {name: (text, draw) for name, text in peephole_rows(use_peepholes).items()}
    table |= last if num_proj else {}
    return CellSpec(core, num_units, make_rows("wn_lstm_cell/wn_lstm_cell", "ifgo", table), CH)


@cell_class
def CoupledInputForgetGateLSTMCell(num_units: int, use_peepholes: bool = False, initializer: Any = None,
                                   num_proj: Optional[int] = None, proj_clip: Optional[float] = None,
                                   num_unit_shards: int = 1, num_proj_shards: int = 1, forget_bias: float = 1.0,
                                   state_is_tuple: bool = True, activation: Any = "tanh", reuse: Any = None,
                                   layer_norm: bool = False, norm_gain: float = 1.0,
                                   norm_shift: float = 0.0) -> CellSpec:
    """The LSTM with i = 1 - f.  `initializer` has no effect, as in TF."""
    refuse_reuse("CoupledInputForgetGateLSTMCell", reuse)
    scope = "coupled_input_forget_gate_lstm_cell"
    options = projection_options(num_proj, proj_clip) | {
        "coupled": "input", "forget_bias": forget_bias, "output": activation, "candidate": activation,
        "peepholes": use_peepholes}
    core = cells.LayerNormLSTM(epsilon=1e-12, **options) if layer_norm else cells.LSTM(**options)
    lines = layout_rows("lstm", "tf1 coupled")
    rows = make_rows(scope, "fgo", {"W_{k}": lines["W_0"]}, shards=num_unit_shards)
    table: dict = {"B": "~W" if layer_norm else lines["B"]} | peephole_rows(use_peepholes, "tf1 coupled")
    table |= _make_norm_rows("gfo", norm_gain, norm_shift) if layer_norm else {}
    rows += make_rows(scope, "fgo", table)
    rows += make_rows(scope, "fgo", {"W_P_{k}": lines["W_P_0"]}, shards=num_proj_shards) if num_proj else []
    return CellSpec(core, num_units, rows, choose_state_form(state_is_tuple))


@cell_class
def IndRNNCell(num_units: int, activation: Any = None, reuse: Any = None, name: Optional[str] = None,
               dtype: Any = None) -> CellSpec:
    """h' = activation(x kernel_w + h * kernel_u + bias), where * is elementwise."""
    refuse_reuse("IndRNNCell", reuse)
    return CellSpec(cells.IndRNN(activation=activation or "tanh"), num_units, make_rows(name or "ind_rnn_cell", "h", {
        "kernel_w": "W", "kernel_u": ("1 R", _draw_unit_uniform), "bias": "b"}))


def _draw_unit_uniform(rng: Any, shape: tuple) -> Array:
    return rng.uniform(-1, 1, shape)


@cell_class
def IndyLSTMCell(num_units: int, forget_bias: float = 1.0, activation: Any = None, reuse: Any = None,
                 kernel_initializer: Any = None, bias_initializer: Any = None, name: Optional[str] = None,
                 dtype: Any = None) -> CellSpec:
    """BasicLSTMCell whose recurrent product is elementwise: each unit depends on its own h only."""
    refuse_reuse("IndyLSTMCell", reuse)
    act, draw = activation or "tanh", choose(kernel_initializer, "glorot_uniform")
    return CellSpec(cells.IndyLSTM(forget_bias=forget_bias, candidate=act, output=act), num_units, make_rows(
        name or "indy_lstm_cell", "ifgo", {"kernel_w": ("W[igfo]", draw), "kernel_u": ("1 R[igfo]", _draw_unit_uniform),
                                           "bias": ("b[igfo]", choose(bias_initializer, 0.0))}), CH)


@cell_class
def IndyGRUCell(num_units: int, activation: Any = None, reuse: Any = None, kernel_initializer: Any = None,
                bias_initializer: Any = None, name: Optional[str] = None, dtype: Any = None) -> CellSpec:
    """GRUCell whose recurrent product is elementwise: each unit depends on its own h only."""
    refuse_reuse("IndyGRUCell", reuse)
    draw = choose(kernel_initializer, "glorot_uniform")
    core = cells.IndyGRU(candidate=activation or "tanh")
    return CellSpec(core, num_units, make_rows(name or "indy_gru_cell", "rzn", {
        "gates/kernel_w": ("W[rz]", draw), "gates/kernel_u": ("1 R[rz]", _draw_unit_uniform),
        "gates/bias": ("b[rz]", choose(bias_initializer, 1.0)), "candidate/kernel": ("W[n]", draw),
        "candidate/kernel_u": ("1 R[n]", _draw_unit_uniform),
        "candidate/bias": ("b[n]", choose(bias_initializer, 0.0))}))


@cell_class
def GLSTMCell(num_units: int, initializer: Any = None, num_proj: Optional[int] = None, number_of_groups: int = 1,
              forget_bias: float = 1.0, activation: Any = "tanh", reuse: Any = None) -> CellSpec:
    """The LSTM whose kernel is block-diagonal over groups of x and h; the candidate is always tanh."""
    refuse_reuse("GLSTMCell", reuse)
    n, draw = number_of_groups, choose(initializer, "glorot_uniform")
    for what, size in (("num_units", num_units), ("num_proj", num_proj or 0)):
        if size % n:
            raise InvalidValue("GLSTMCell", f"{what}={size} cannot be divided into {n} groups")
    at = [f"{{{k}}}" for k in range(n)] if n > 1 else [""]
    table: dict = {f"group{k}/kernel": (f"W[igfo]{a}; R[igfo]{a}", draw) for k, a in enumerate(at)}
    table |= {f"bias_{'j' if g == 'g' else g}": f"b[{g}]" for g in "igfo"}
    table |= {"projection/kernel": ("P", draw)} if num_proj else {}
    core = cells.GLSTM(groups=n, **projection_options(num_proj), forget_bias=forget_bias, output=activation)
    return CellSpec(core, num_units, make_rows("glstm_cell", "ifgo", table), CH, notes={"inputs of": n})


@cell_class(kwargs=True)
def NASCell(num_units: int, num_proj: Optional[int] = None, use_bias: bool = False, reuse: Any = None) -> CellSpec:
    """The cell found by neural architecture search; the bias is in the recurrent part only."""
    refuse_reuse("NASCell", reuse)
    table: dict = {"recurrent_kernel": "R", "kernel": "W"} | ({"bias": "b"} if use_bias else {})
    table |= {"projection_weights": "P"} if num_proj else {}
    core = cells.NAS(projection=num_proj or None, bias=use_bias)
    return CellSpec(core, num_units, make_rows("nas_cell", "", table), CH)


@cell_class
def UGRNNCell(num_units: int, initializer: Any = None, forget_bias: float = 1.0, activation: Any = "tanh",
              reuse: Any = None) -> CellSpec:
    """g = sigmoid(a_g + forget_bias);  h' = g h + (1 - g) activation(a_c)."""
    refuse_reuse("UGRNNCell", reuse)
    return CellSpec(cells.UGRNN(forget_bias=forget_bias, candidate=activation), num_units, make_rows("ugrnn_cell", "", {
        "kernel": ("W; R", choose(initializer, "glorot_uniform")), "bias": "b"}))


@cell_class
def IntersectionRNNCell(num_units: int, num_in_proj: Optional[int] = None, initializer: Any = None,
                        forget_bias: float = 1.0, y_activation: Any = "relu", reuse: Any = None) -> CellSpec:
    """A gated recurrence in time and one in depth: the output differs from the state."""
    refuse_reuse("IntersectionRNNCell", reuse)
    draw, scope = choose(initializer, "glorot_uniform"), "intersection_rnn_cell"
    options = {"forget_bias": forget_bias, "output": y_activation}
    table: dict = {"kernel": ("W; R", draw), "bias": "b"}
    plain = CellSpec(cells.IntersectionRNN(**options), num_units, make_rows(scope, "", table))
    if not num_in_proj:
        return plain
    table = {"in_projection/kernel": ("Wi", draw), "in_projection/bias": "bi"} | table
    return CellSpec(cells.IntersectionRNN(in_projection=True, **options), num_units, make_rows(scope, "", table),
                    notes={"without": plain})


@cell_class(kwargs=True)
def SRUCell(num_units: int, activation: Any = None, reuse: Any = None, name: Optional[str] = None) -> CellSpec:
    """c' = f c + (1 - f) x';  output r activation(c') + (1 - r) x''.  No gate depends on the state."""
    refuse_reuse("SRUCell", reuse)
    return CellSpec(cells.SRU(activation=activation or "tanh"), num_units, make_rows(name or "sru_cell", "", {
        "kernel": "W", "bias": "b"}), "c")


@cell_class(kwargs=True)
def MinimalRNNCell(units: int, activation: Any = "tanh", kernel_initializer: Any = "glorot_uniform",
                   bias_initializer: Any = "ones", name: Optional[str] = None,
                   dtype: Any = None) -> CellSpec:
    """z = activation(x V);  u = sigmoid([z, h] G + bias);  h' = u h + (1 - u) z."""
    return CellSpec(cells.MinimalRNN(activation=activation), units, make_rows(name or "minimal_rnn_cell", "", {
        "kernel": ("W; Z; R", kernel_initializer), "bias": ("b", bias_initializer)}))


@cell_class(kwargs=True)
def CFNCell(units: int, activation: Any = "tanh", kernel_initializer: Any = "glorot_uniform",
            bias_initializer: Any = "ones", name: Optional[str] = None,
            dtype: Any = None) -> CellSpec:
    """h' = theta activation(h) + (1 - eta) activation(x W)."""
    return CellSpec(cells.CFN(complement=True, activation=activation), units, make_rows(name or "cfn_cell", "", {
        "kernel": ("W", kernel_initializer), "recurrent_kernel": ("R", kernel_initializer),
        "bias": ("b", bias_initializer)}))


def _make_conv_lstm(scope: str, ndims: int, input_shape: Sequence[int], output_channels: int,
                    kernel_shape: Sequence[int], use_bias: bool, skip_connection: bool,
                    forget_bias: float) -> CellSpec:
    """The LSTM whose maps are convolutions over the spatial axes, channels last."""
    if len(input_shape) != ndims + 1 or len(kernel_shape) != ndims:
        raise InvalidValue("ConvLSTMCell", f"input_shape={input_shape} and kernel_shape={kernel_shape}, expected "
                                           f"{ndims + 1} and {ndims} sizes")
    core = cells.ConvLSTM(kernel=tuple(kernel_shape), bias=use_bias, forget_bias=forget_bias)
    table: dict = {"kernel": LSTM_ROWS["kernel"]} | ({"biases": LSTM_ROWS["bias"]} if use_bias else {})
    space, channels = tuple(input_shape[:-1]), output_channels + (input_shape[-1] if skip_connection else 0)
    return CellSpec(cells.Skip(core, state="concatenated") if skip_connection else core, output_channels,
                    make_rows(scope, "ifgo", table), CH, notes={"space": space, "output_size": (*space, channels)})


@cell_class
def ConvLSTMCell(conv_ndims: int, input_shape: Sequence[int], output_channels: int, kernel_shape: Sequence[int],
                 use_bias: bool = True, skip_connection: bool = False, forget_bias: float = 1.0,
                 initializers: Any = None, name: str = "conv_lstm_cell") -> CellSpec:
    """The LSTM with convolutions of x and h in the place of products.

    With skip_connection the h of the state is [h, x], which does not fit the next step: only one step can be run, as in
    TF.  `initializers` has no effect, as in TF.
    """
    return _make_conv_lstm(name, conv_ndims, input_shape, output_channels, kernel_shape, use_bias, skip_connection,
                           forget_bias)


class _NamedFirst(DeclaredCell):
    """A cell whose first argument is its name if it is text: TF has all others by name only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and isinstance(args[0], str):
            args, kwargs = args[1:], kwargs | {"name": args[0]}
        super().__init__(*args, **kwargs)


def _make_conv_class(ndims: int) -> Any:
    def declare(input_shape: Sequence[int], output_channels: int, kernel_shape: Sequence[int], use_bias: bool = True,
                skip_connection: bool = False, forget_bias: float = 1.0, initializers: Any = None,
                name: str = f"conv_{ndims}d_lstm_cell") -> CellSpec:
        return _make_conv_lstm(name, ndims, input_shape, output_channels, kernel_shape, use_bias, skip_connection,
                               forget_bias)
    declare.__name__, declare.__doc__ = f"Conv{ndims}DLSTMCell", f"ConvLSTMCell over {ndims} spatial axes."
    return cell_class(declare, base=_NamedFirst)


Conv1DLSTMCell, Conv2DLSTMCell, Conv3DLSTMCell = map(_make_conv_class, (1, 2, 3))
