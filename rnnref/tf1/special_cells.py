"""The cells of tf.contrib.rnn that are more than a rule and two maps."""
from collections import namedtuple
from functools import lru_cache
from math import log

import numpy

from .. import cells
from ..errors import NotSupported, ShapeError
from ..rules.lstm import LSTMRule
from .cell import CellSpec, RNNCell, cell_class
from .core_cells import make_rows, refuse_reuse
from .states import CH, Flat, nest_form as under_state
from .variables import nest_rows
from .wrappers import find_inner_path

NTMControllerState = namedtuple("NTMControllerState", "controller_state read_vector_list w_list M time")


@cell_class
def PhasedLSTMCell(num_units, use_peepholes=False, leak=0.001, ratio_on=0.1, trainable_ratio_on=True,
                   period_init_min=1.0, period_init_max=1000.0, reuse=None):
    """The LSTM whose units are each open for a part of their period; inputs are (time [B, 1], x).

    The gradient of the period is TF's, which leaves out that mod(z, period) depends on it.
    """
    refuse_reuse("PhasedLSTMCell", reuse)
    core = cells.PhasedCell(cells.DensePeepholes() if use_peepholes else cells.LSTM(), leak=leak, period_gradient="tf1")
    of_c = ("; C[if]", "; C[o]") if use_peepholes else ("", "")
    drawn: list = []

    def period(rng, shape):
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


class _WindowedBase(RNNCell):
    """A cell that learns from the width of x how many windows there are."""

    @property
    def state_size(self):
        """What TF says, which is wrong unless there is one window."""
        return 2 * self.parts.units

    @property
    def output_size(self):
        return self.parts.units

    def zero_state(self, batch_size, dtype):
        if self.parts.notes["width"] is None:
            raise NotSupported(self.name, "zero_state before an x was seen", hint="in TF it cannot be used either: its "
                               "state_size is that of one window", fix="give no initial_state, or one of [c_0, h_0, …]")
        return super().zero_state(batch_size, dtype)

    def spec_for_width(self, width):
        return self.declare(**self.arguments, width=width)


@cell_class(base=_WindowedBase)
def TimeFreqLSTMCell(num_units, use_peepholes=False, cell_clip=None, initializer=None, num_unit_shards=1,
                     forget_bias=1.0, feature_size=None, frequency_skip=1, reuse=None):
    """The LSTM whose weights slide over windows of the features.  Its state is [c_0, h_0, c_1, h_1, …].

    As many windows as fit in x; state_size and output_size are those of one window, as TF has them.  `initializer` is
    taken and not used, there as here.
    """
    raise NotImplementedError("see timefreq")


def _make_time_freq_lstm(num_units, use_peepholes, cell_clip, initializer, num_unit_shards, forget_bias, feature_size,
             frequency_skip, reuse, width=None):
    refuse_reuse("TimeFreqLSTMCell", reuse)
    if feature_size is None:
        raise NotSupported("TimeFreqLSTMCell", "feature_size=None", fix="give it: TF fails with None at the first step")
    if width is not None and width < feature_size:
        raise ShapeError("TimeFreqLSTMCell", f"x has {width} inputs, fewer than feature_size={feature_size}")
    n = 1 if width is None else int((width - feature_size) / frequency_skip) + 1
    rule = LSTMRule(forget_bias=forget_bias, peepholes=use_peepholes, cell_clip=cell_clip or None)
    rows = make_rows("time_freq_lstm_cell", "ifgo", {"W_{k}": "W[igfo]; R[igfo]; Rf[igfo]"}, shards=num_unit_shards)
    peepholes = {f"W_{g.upper()}_diag": f"Wp{g}" for g in "fio"} if use_peepholes else {}
    rows += make_rows("time_freq_lstm_cell", "ifgo", {"B": "b[igfo]"} | peepholes)
    form = Flat(tuple(f"{field} {q}" for q in range(n) for field in "ch"))
    core = cells.TimeFreqLSTM(feature=feature_size, skip=frequency_skip, windows=n, rule=rule)
    return CellSpec(core, num_units, rows, form, notes={"width": width})


TimeFreqLSTMCell.declare = staticmethod(_make_time_freq_lstm)


def _make_grid_lstm(num_units, use_peepholes, share_time_frequency_weights, cell_clip, num_unit_shards, forget_bias, feature_size,
         frequency_skip, num_frequency_blocks, start_freqindex_list, end_freqindex_list, couple_input_forget_gates,
         **options):
    """The cell of one direction, and its rows without a scope."""
    gates = "igo" if couple_input_forget_gates else "ifgo"
    order = "igo" if couple_input_forget_gates else "igfo"
    _check_blocks(feature_size, frequency_skip, num_frequency_blocks, start_freqindex_list, end_freqindex_list)
    core = cells.GridLSTM(feature=feature_size, skip=frequency_skip, windows=tuple(num_frequency_blocks),
                          starts=tuple(start_freqindex_list or ()), shared=share_time_frequency_weights,
                          coupled=couple_input_forget_gates, peepholes=use_peepholes, forget_bias=forget_bias,
                          cell_clip=cell_clip or None, **options)
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


def _check_blocks(feature, skip, counts, starts, ends):
    """Raise where TF would: windows that do not fill their block."""
    if feature is None or skip is None or not counts:
        raise NotSupported("GridLSTMCell", f"feature_size={feature}, frequency_skip={skip}, "
                                           f"num_frequency_blocks={counts}", fix="give all three")
    if not starts and len(counts) != 1:
        raise NotSupported("GridLSTMCell", f"num_frequency_blocks={counts} without start_freqindex_list")
    for n, start, end in zip(counts, starts or (), ends or ()):
        fit = int((end - start - feature) / skip) + 1
        if fit != n:
            raise NotSupported("GridLSTMCell", f"{n} windows in the block from {start} to {end}, where {fit} fit")


def _name_states(counts, prefix="", path=""):
    """The names and the leaves of the states of all windows."""
    names, leaves = [], []
    for b, count in enumerate(counts):
        for q in range(count):
            names += [f"{prefix}state_f{q:02d}_b{b:02d}_{field}" for field in "cm"]
            leaves += [f"{path}{field} {len(leaves) // 2}" for field in "ch"]
    return names, leaves


@lru_cache
def _make_tuple_class(name, fields):
    """One type for all cells with the same windows."""
    return namedtuple(name, fields)


class _GridBase(RNNCell):
    """A grid without a list of starts, whose windows must fill x."""

    def check_inputs(self, x):
        super().check_inputs(x)
        a, n = self.arguments, x.shape[-1]
        fit = int((n - a["feature_size"]) / a["frequency_skip"]) + 1
        if not a["start_freqindex_list"] and fit != a["num_frequency_blocks"][0]:
            raise ShapeError(self.name, f"x has {n} inputs, in which {fit} windows fit, and num_frequency_blocks="
                                        f"{a['num_frequency_blocks']}")


@cell_class(base=_GridBase)
def GridLSTMCell(num_units, use_peepholes=False, share_time_frequency_weights=False, cell_clip=None, initializer=None,
                 num_unit_shards=1, forget_bias=1.0, feature_size=None, frequency_skip=None, num_frequency_blocks=None,
                 start_freqindex_list=None, end_freqindex_list=None, couple_input_forget_gates=False,
                 state_is_tuple=True, reuse=None):
    """The LSTM over time and frequency.  With state_is_tuple=False every block reads the states of the first, as TF
    does.  `initializer` is taken and not used, there as here."""
    refuse_reuse("GridLSTMCell", reuse)
    core, rows = _make_grid_lstm(num_units, use_peepholes, share_time_frequency_weights, cell_clip, num_unit_shards, forget_bias,
                      feature_size, frequency_skip, num_frequency_blocks, start_freqindex_list, end_freqindex_list,
                      couple_input_forget_gates, reads="own" if state_is_tuple else "first")
    names, leaves = _name_states(num_frequency_blocks)
    form = _make_tuple_class("GridLSTMStateTuple", tuple(names))(*leaves) if state_is_tuple else Flat(tuple(leaves))
    return CellSpec(core, num_units, nest_rows(rows, "grid_lstm_cell"), form)


@cell_class(base=_GridBase)
def BidirectionalGridLSTMCell(num_units, use_peepholes=False, share_time_frequency_weights=False, cell_clip=None,
                              initializer=None, num_unit_shards=1, forget_bias=1.0, feature_size=None,
                              frequency_skip=None, num_frequency_blocks=None, start_freqindex_list=None,
                              end_freqindex_list=None, couple_input_forget_gates=False, backward_slice_offset=0,
                              reuse=None):
    """Two grids, of which one takes the windows of each block from the last to the first."""
    refuse_reuse("BidirectionalGridLSTMCell", reuse)
    given = (num_units, use_peepholes, share_time_frequency_weights, cell_clip, num_unit_shards, forget_bias,
             feature_size, frequency_skip, num_frequency_blocks, start_freqindex_list, end_freqindex_list,
             couple_input_forget_gates)
    ahead, rows = _make_grid_lstm(*given)
    back, _ = _make_grid_lstm(*given, backwards=True, offset=backward_slice_offset)
    names, leaves = [sum(both, []) for both in zip(_name_states(num_frequency_blocks, "fwd_", "0."),
                                                   _name_states(num_frequency_blocks, "bwd_", "1."))]
    scope = "bidirectional_grid_lstm_cell"
    return CellSpec(cells.Parallel((ahead, back)), num_units,
                 nest_rows(rows, f"{scope}/fwd", "0") + nest_rows(rows, f"{scope}/bwd", "1"),
                 _make_tuple_class("BidirectionalGridLSTMStateTuple", tuple(names))(*leaves))


class _NTMBase(RNNCell):
    """An NTM, whose output is as wide as x unless output_dim says otherwise."""

    def load_variables(self, arrays, scope=None):
        found = [a.shape[-1] for name, a in arrays.items() if f"/{name}".endswith("/ntm_cell/output_kernel")]
        return self.wide(found[0] if len(found) == 1 else None, super().load_variables, arrays, scope)

    def build(self, inputs, *args, **kwargs):
        return self.wide(inputs, super().build, inputs, *args, **kwargs)

    def wide(self, width, then, *args, **kwargs):
        if self.arguments["output_dim"] is None:
            self.parts = self.declare(**self.arguments | {"output_dim": width or 1})
        return then(*args, **kwargs)


@cell_class(base=_NTMBase)
def NTMCell(controller, memory_size, memory_vector_dim, read_head_num, write_head_num, shift_range=1, output_dim=None,
            clip_value=20, dtype="float32", name=None):
    """The neural Turing machine around a controller.  Its state holds `time`, a whole number: at 0 the learned first
    values are taken in the place of what the state holds."""
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
    rows += nest_rows(controller.parts.rows, scope, find_inner_path(core, controller.core))
    form = NTMControllerState(
        under_state(controller.parts.form, "controller"), tuple(f"reads {k}" for k in range(read_head_num)),
        tuple(f"focus {k}" for k in range(heads)), "memory", "time #")
    return CellSpec(core, controller.parts.units, rows, form, (controller,),
                 {"feeds": lambda k, width: width + read_head_num * memory_vector_dim})
