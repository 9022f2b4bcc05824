"""The cells of tf.contrib.rnn that are not one rule and two maps: PhasedLSTM, TimeFreqLSTM, GridLSTM, NTM."""
from collections import namedtuple
from functools import lru_cache
from math import log
from typing import Any, Callable, Optional, Sequence

import numpy

from .. import cells
from ..arrays import Array
from ..errors import InvalidType, InvalidValue, NotSupported, ShapeError
from ..rules.lstm import LSTMRule
from .cell import RNNCell, require_cell
from .core_cells import make_rows, refuse_reuse
from .declared import DeclaredCell, cell_class
from .spec import CellSpec
from .states import CH, Flat, nest_form
from .variables import Variable, nest_rows
from .wrappers import find_inner_path

NTMControllerState = namedtuple("NTMControllerState", "controller_state read_vector_list w_list M time")


@cell_class
def PhasedLSTMCell(num_units: int, use_peepholes: bool = False, leak: float = 0.001, ratio_on: float = 0.1,
                   trainable_ratio_on: bool = True, period_init_min: float = 1.0, period_init_max: float = 1000.0,
                   reuse: Any = None) -> CellSpec:
    """The LSTM whose units are open for a part of their period only; inputs are (time [B, 1], x).

    The gradient of the period is that of TF, which treats mod(z, period) as independent of the period.
    """
    refuse_reuse("PhasedLSTMCell", reuse)
    core = cells.PhasedCell(cells.DensePeepholes() if use_peepholes else cells.LSTM(), leak=leak, period_gradient="tf1")
    of_c = ("; C[if]", "; C[o]") if use_peepholes else ("", "")
    drawn: list = []

    def period(rng: Any, shape: tuple) -> Array:
        drawn[:] = [numpy.exp(rng.uniform(log(period_init_min), log(period_init_max), shape))]
        return drawn[0]
    gates, scope = {"": "ifgo", "C": "ifo"}, "phased_lstm_cell"
    rows = make_rows(scope, gates, {
        "mask_gates/kernel": f"W[if]; R[if]{of_c[0]}", "mask_gates/bias": "b[if]",
        "new_input/kernel": "W[g]; R[g]", "new_input/bias": "b[g]",
        "output_gate/kernel": f"W[o]; R[o]{of_c[1]}", "output_gate/bias": "b[o]",
        "period": ("period", period), "phase": ("phase", lambda rng, shape: rng.uniform(0, drawn[0]))})
    rows += make_rows(scope, gates, {"ratio_on": ("ratio_on", float(ratio_on))}, trainable=trainable_ratio_on)
    return CellSpec(core, num_units, rows, CH)


class _WindowedBase(DeclaredCell):
    """A cell whose number of windows depends on the width of x."""

    @property
    def state_size(self) -> int:
        """The value of TF, which is right for one window only."""
        return 2 * self.spec.units

    @property
    def output_size(self) -> int:
        """The value of TF, which is right for one window only."""
        return self.spec.units

    def zero_state(self, batch_size: int, dtype: Any) -> Array:
        """The initial state for as many windows as the last x had."""
        if self.spec.notes["width"] is None:
            raise NotSupported(self.who, "zero_state before the first x", hint="its size depends on the width of x; "
                               "TF has the size of one window here",
                               fix="leave out initial_state, or use [c_0, h_0, ...]")
        return super().zero_state(batch_size, dtype)

    def spec_for_width(self, width: int) -> CellSpec:
        """The spec for an x of this width."""
        return self.declare(width=width)


@cell_class(base=_WindowedBase)
def TimeFreqLSTMCell(num_units: int, use_peepholes: bool = False, cell_clip: Optional[float] = None,
                     initializer: Any = None, num_unit_shards: int = 1, forget_bias: float = 1.0,
                     feature_size: Optional[int] = None, frequency_skip: int = 1, reuse: Any = None) -> CellSpec:
    """The LSTM whose weights slide over windows of the features.  Its state is [c_0, h_0, c_1, h_1, ...].

    There are as many windows as fit in x; state_size and output_size are those of one window, as in TF.  `initializer`
    has no effect, as in TF.
    """
    raise NotImplementedError("replaced by _make_time_freq_lstm, which has one more argument")


def _make_time_freq_lstm(num_units: int, use_peepholes: bool, cell_clip: Optional[float], initializer: Any,
                         num_unit_shards: int, forget_bias: float, feature_size: Optional[int], frequency_skip: int,
                         reuse: Any, width: Optional[int] = None) -> CellSpec:
    refuse_reuse("TimeFreqLSTMCell", reuse)
    if feature_size is None:
        raise InvalidType("TimeFreqLSTMCell", "feature_size=None",
                          fix="set feature_size; with None TF fails at the first step")
    if width is not None and width < feature_size:
        raise ShapeError("TimeFreqLSTMCell", f"x has {width} inputs, fewer than feature_size={feature_size}")
    n = 1 if width is None else int((width - feature_size) / frequency_skip) + 1
    rule = LSTMRule(forget_bias=forget_bias, peepholes=use_peepholes, cell_clip=cell_clip)
    rows = make_rows("time_freq_lstm_cell", "ifgo", {"W_{k}": "W[igfo]; R[igfo]; Rf[igfo]"}, shards=num_unit_shards)
    peepholes = {f"W_{g.upper()}_diag": f"Wp{g}" for g in "fio"} if use_peepholes else {}
    rows += make_rows("time_freq_lstm_cell", "ifgo", {"B": "b[igfo]"} | peepholes)
    form = Flat(tuple(f"{field} {q}" for q in range(n) for field in "ch"))
    core = cells.TimeFreqLSTM(feature=feature_size, skip=frequency_skip, windows=n, rule=rule)
    return CellSpec(core, num_units, rows, form, notes={"width": width})


TimeFreqLSTMCell._declare = staticmethod(_make_time_freq_lstm)


def _make_grid_lstm(num_units: int, use_peepholes: bool, share_time_frequency_weights: bool,
                    cell_clip: Optional[float], num_unit_shards: int, forget_bias: float, feature_size: Any,
                    frequency_skip: Any, num_frequency_blocks: Any, start_freqindex_list: Any, end_freqindex_list: Any,
                    couple_input_forget_gates: bool, **options: Any) -> tuple[Any, list[Variable]]:
    """The cell of one direction, and its variables without a scope."""
    gates = "igo" if couple_input_forget_gates else "ifgo"
    order = "igo" if couple_input_forget_gates else "igfo"
    _check_blocks(feature_size, frequency_skip, num_frequency_blocks, start_freqindex_list, end_freqindex_list)
    core = cells.GridLSTM(feature=feature_size, skip=frequency_skip, windows=tuple(num_frequency_blocks),
                          starts=tuple(start_freqindex_list or ()), shared=share_time_frequency_weights,
                          coupled=couple_input_forget_gates, peepholes=use_peepholes, forget_bias=forget_bias,
                          cell_clip=cell_clip, **options)
    ways, rows = ("f",) if share_time_frequency_weights else ("f", "t"), []
    for b in range(len(num_frequency_blocks)):
        for w in ways:
            rows += make_rows("", gates, {f"W_{w}_{b}_{{k}}": f"W{w}{b}[{order}]; R{w}{b}[{order}]"},
                              shards=num_unit_shards)
            rows += make_rows("", gates, {f"B_{w}_{b}": f"b{w}{b}[{order}]"})
            rows += make_rows("", gates, {
                f"W_{g.upper()}_diag_{ {'f': 'freq', 't': 'time'}[w] }{of}_{b}": f"Wp{g}_{w}{of}{b}"
                for g in (g for g in gates if use_peepholes and g != "g") for of in "ft"})
    return core, rows


def _check_blocks(feature: Any, skip: Any, counts: Any, starts: Any, ends: Any) -> None:
    """Raise as TF does if the windows do not fill their block."""
    if feature is None or skip is None or not counts:
        raise InvalidValue("GridLSTMCell", f"feature_size={feature}, frequency_skip={skip}, "
                                           f"num_frequency_blocks={counts}", fix="set all three")
    if not starts and len(counts) != 1:
        raise InvalidValue("GridLSTMCell", f"num_frequency_blocks={counts} without start_freqindex_list")
    for n, start, end in zip(counts, starts or (), ends or ()):
        fit = int((end - start - feature) / skip) + 1
        if fit != n:
            raise InvalidValue("GridLSTMCell", f"{n} windows in the block from {start} to {end}, where {fit} fit")


def _name_states(counts: Any, prefix: str = "", path: str = "") -> tuple[list[str], list[str]]:
    """The names of the states of all windows, and their leaves."""
    names, leaves = [], []
    for b, count in enumerate(counts):
        for q in range(count):
            names += [f"{prefix}state_f{q:02d}_b{b:02d}_{field}" for field in "cm"]
            leaves += [f"{path}{field} {len(leaves) // 2}" for field in "ch"]
    return names, leaves


@lru_cache
def _make_tuple_class(name: str, fields: tuple[str, ...]) -> Any:
    """The same class for all cells with the same windows."""
    return namedtuple(name, fields)


class _GridBase(DeclaredCell):
    """A grid whose windows must fill x if it has no list of starts."""

    @property
    def state_tuple_type(self) -> Any:
        """The class of its state, a named tuple; None with state_is_tuple=False."""
        return None if isinstance(self.spec.form, Flat) else type(self.spec.form)

    def check_inputs(self, x: Array) -> None:
        """Raise unless x has the right number of windows."""
        super().check_inputs(x)
        a, n = self.arguments, x.shape[-1]
        fit = int((n - a["feature_size"]) / a["frequency_skip"]) + 1
        if not a["start_freqindex_list"] and fit != a["num_frequency_blocks"][0]:
            raise ShapeError(self.who, f"x has {n} inputs, in which {fit} windows fit, and num_frequency_blocks="
                                       f"{a['num_frequency_blocks']}")


@cell_class(base=_GridBase)
def GridLSTMCell(num_units: int, use_peepholes: bool = False, share_time_frequency_weights: bool = False,
                 cell_clip: Optional[float] = None, initializer: Any = None, num_unit_shards: int = 1,
                 forget_bias: float = 1.0, feature_size: Optional[int] = None, frequency_skip: Optional[int] = None,
                 num_frequency_blocks: Optional[Sequence[int]] = None,
                 start_freqindex_list: Optional[Sequence[int]] = None,
                 end_freqindex_list: Optional[Sequence[int]] = None, couple_input_forget_gates: bool = False,
                 state_is_tuple: bool = True, reuse: Any = None) -> CellSpec:
    """The LSTM over time and frequency.

    With state_is_tuple=False every block reads the states of the first block, as in TF.  `initializer` has no effect,
    as in TF.
    """
    refuse_reuse("GridLSTMCell", reuse)
    core, rows = _make_grid_lstm(num_units, use_peepholes, share_time_frequency_weights, cell_clip, num_unit_shards,
                                 forget_bias, feature_size, frequency_skip, num_frequency_blocks, start_freqindex_list,
                                 end_freqindex_list, couple_input_forget_gates,
                                 reads="own" if state_is_tuple else "first")
    names, leaves = _name_states(num_frequency_blocks)
    form = _make_tuple_class("GridLSTMStateTuple", tuple(names))(*leaves) if state_is_tuple else Flat(tuple(leaves))
    return CellSpec(core, num_units, nest_rows(rows, "grid_lstm_cell"), form)


@cell_class(base=_GridBase)
def BidirectionalGridLSTMCell(num_units: int, use_peepholes: bool = False, share_time_frequency_weights: bool = False,
                              cell_clip: Optional[float] = None, initializer: Any = None, num_unit_shards: int = 1,
                              forget_bias: float = 1.0, feature_size: Optional[int] = None,
                              frequency_skip: Optional[int] = None,
                              num_frequency_blocks: Optional[Sequence[int]] = None,
                              start_freqindex_list: Optional[Sequence[int]] = None,
                              end_freqindex_list: Optional[Sequence[int]] = None,
                              couple_input_forget_gates: bool = False, backward_slice_offset: int = 0,
                              reuse: Any = None) -> CellSpec:
    """Two grids; the second reads the windows of each block in reverse."""
    refuse_reuse("BidirectionalGridLSTMCell", reuse)
    arguments = (num_units, use_peepholes, share_time_frequency_weights, cell_clip, num_unit_shards, forget_bias,
                 feature_size, frequency_skip, num_frequency_blocks, start_freqindex_list, end_freqindex_list,
                 couple_input_forget_gates)
    forward, rows = _make_grid_lstm(*arguments)
    backward, _ = _make_grid_lstm(*arguments, backwards=True, offset=backward_slice_offset)
    names, leaves = [sum(both, []) for both in zip(_name_states(num_frequency_blocks, "fwd_", "0."),
                                                   _name_states(num_frequency_blocks, "bwd_", "1."))]
    scope = "bidirectional_grid_lstm_cell"
    return CellSpec(cells.Parallel((forward, backward)), num_units,
                    nest_rows(rows, f"{scope}/fwd", "0") + nest_rows(rows, f"{scope}/bwd", "1"),
                    _make_tuple_class("BidirectionalGridLSTMStateTuple", tuple(names))(*leaves))


class _NTMBase(DeclaredCell):
    """An NTM whose outputs are as wide as x if output_dim is None."""

    def load_variables(self, arrays: dict[str, Array], scope: Optional[str] = None) -> RNNCell:
        """Take the variables from a checkpoint, as `RNNCell.load_variables` does."""
        widths = [a.shape[-1] for name, a in arrays.items() if f"/{name}".endswith("/ntm_cell/output_kernel")]
        return self._with_width(widths[0] if len(widths) == 1 else None, super().load_variables, arrays, scope)

    def build(self, inputs: int, *args: Any, **kwargs: Any) -> RNNCell:
        """Draw the variables, as `RNNCell.build` does."""
        return self._with_width(inputs, super().build, inputs, *args, **kwargs)

    def _with_width(self, width: Optional[int], then: Callable[..., RNNCell], *args: Any, **kwargs: Any) -> RNNCell:
        """then(*args, **kwargs) with outputs of this width, unless output_dim sets it."""
        if self.arguments["output_dim"] is None:
            self.spec = self.declare(output_dim=width or 1)
        return then(*args, **kwargs)


@cell_class(base=_NTMBase)
def NTMCell(controller: RNNCell, memory_size: int, memory_vector_dim: int, read_head_num: int, write_head_num: int,
            shift_range: int = 1, output_dim: Optional[int] = None, clip_value: float = 20, dtype: Any = "float32",
            name: Optional[str] = None) -> CellSpec:
    """The neural Turing machine around a controller.

    Its state has `time`, an integer; at time 0 the learned initial values are used in the place of the state.
    """
    require_cell("NTMCell", controller)
    if clip_value != 20:
        raise NotSupported("NTMCell", f"clip_value={clip_value}", known="20, TF's default")
    core = cells.NTM(controller.core, slots=memory_size, vector=memory_vector_dim, outputs=output_dim or 1,
                     read_heads=read_head_num, write_heads=write_head_num, shift=shift_range)
    heads, scope = read_head_num + write_head_num, name or "ntm_cell"
    table = {"parameters_kernel": "Wh", "parameters_bias": ("bh", "glorot_uniform"), "output_kernel": "Wy",
             "output_bias": ("by", "glorot_uniform")}
    table |= {f"initial_read_vector_{k}": f"1 reads0{{{k}}}" for k in range(read_head_num)}
    table |= {f"initial_address_weights_{k}": f"1 focus0{{{k}}}" for k in range(heads)}
    rows = make_rows(scope, "", table | {"memory": "memory0"})
    rows += nest_rows(controller.spec.rows, scope, find_inner_path(core, controller.core))
    form = NTMControllerState(
        nest_form(controller.spec.form, "controller"), tuple(f"reads {k}" for k in range(read_head_num)),
        tuple(f"focus {k}" for k in range(heads)), "memory", "time #")
    return CellSpec(core, controller.spec.units, rows, form, (controller,),
                    {"feeds": lambda k, width: width + read_head_num * memory_vector_dim})
