"""tf.nn.rnn_cell, and the block kernels of tf.contrib.rnn: declared by TF's arguments."""
from ..cells.catalog import GRU, LSTM, SimpleRNN
from ..errors import NotSupported
from .cell import CellSpec, cell_class
from .states import CH, Flat
from .variables import layout_rows, parse_row


def make_rows(scope, gates, table, **options):
    """Rows of a table {name: text}, or {name: (text, first value)}, inside the scope of a class."""
    lines = {name: line if isinstance(line, tuple) else (line,) for name, line in table.items()}
    return [parse_row(f"{scope}/{name}".lstrip("/"), line[0], gates, **dict(zip(("start",), line[1:])) | options)
            for name, line in lines.items()]


def refuse_reuse(who, reuse):
    """`reuse` would share variables by their names, and here they belong to a cell."""
    if reuse:
        raise NotSupported(who, f"reuse={reuse!r}", hint="use the same cell object where variables are to be the same")


def peephole_rows(used, framework="tf1"):
    """The rows of peepholes in a layout of the LSTM, if they are used."""
    lines = layout_rows("lstm", framework) if used else {}
    return {name: line for name, line in lines.items() if line.startswith("Wp")}


def with_first_values(rows, first_values):
    """A table {name: text} with first values, by name, in the place of TF's usual ones."""
    return {name: (line, first_values[name]) if name in first_values else line for name, line in rows.items()}


def choose_state_form(state_is_tuple, form=CH):
    return form if state_is_tuple else Flat(form)


LSTM_ROWS, _GRU_ROWS = layout_rows("lstm"), layout_rows("gru before")
_BASIC_LSTM_ROWS = {name: LSTM_ROWS[name] for name in ("kernel", "bias")}


@cell_class
def BasicRNNCell(num_units, activation=None, reuse=None, name=None, dtype=None):
    """h' = activation([x, h] kernel + bias).

    >>> import numpy as np
    >>> cell = BasicRNNCell(4).build(inputs=3, seed=0)
    >>> output, state = cell(np.ones((2, 3), "float32"), cell.zero_state(2, "float32"))
    >>> output.shape, sorted(cell.dump_variables())
    ((2, 4), ['basic_rnn_cell/bias', 'basic_rnn_cell/kernel'])
    """
    refuse_reuse("BasicRNNCell", reuse)
    return CellSpec(SimpleRNN(activation=activation or "tanh"), num_units,
                    make_rows(name or "basic_rnn_cell", "h", layout_rows("rnn")))


@cell_class
def GRUCell(num_units, activation=None, reuse=None, kernel_initializer=None, bias_initializer=None, name=None,
            dtype=None):
    """r, u = sigmoid([x, h] gates);  h' = u h + (1 - u) activation([x, r h] candidate)."""
    refuse_reuse("GRUCell", reuse)
    kernel, one, zero = kernel_initializer or "glorot_uniform", bias_initializer or 1.0, bias_initializer or 0.0
    table = with_first_values(_GRU_ROWS, {"gates/kernel": kernel, "gates/bias": one,
                                          "candidate/kernel": kernel, "candidate/bias": zero})
    return CellSpec(GRU(reset="before", candidate=activation or "tanh"), num_units,
                    make_rows(name or "gru_cell", "rzn", table))


@cell_class
def BasicLSTMCell(num_units, forget_bias=1.0, state_is_tuple=True, activation=None, reuse=None, name=None, dtype=None):
    """LSTMCell without its options."""
    refuse_reuse("BasicLSTMCell", reuse)
    act = activation or "tanh"
    return CellSpec(LSTM(forget_bias=forget_bias, candidate=act, output=act), num_units,
                 make_rows(name or "basic_lstm_cell", "ifgo", _BASIC_LSTM_ROWS), choose_state_form(state_is_tuple))


@cell_class
def LSTMCell(num_units, use_peepholes=False, cell_clip=None, initializer=None, num_proj=None, proj_clip=None,
             num_unit_shards=None, num_proj_shards=None, forget_bias=1.0, state_is_tuple=True, activation=None,
             reuse=None, name=None, dtype=None):
    """The LSTM with peepholes, a limit on c, a projection of h and a limit on it."""
    refuse_reuse("LSTMCell", reuse)
    act, scope = activation or "tanh", name or "lstm_cell"
    core = LSTM(projection=num_proj, projection_clip=proj_clip if num_proj else None, forget_bias=forget_bias, peepholes=use_peepholes,
                cell_clip=cell_clip or None, candidate=act, output=act)
    rows = _shard_rows(scope, "kernel", LSTM_ROWS["kernel"], num_unit_shards, initializer)
    rows += make_rows(scope, "ifgo", {"bias": LSTM_ROWS["bias"]} | {
        n: (text, initializer or "glorot_uniform") for n, text in peephole_rows(use_peepholes).items()})
    if num_proj:
        rows += _shard_rows(scope, "projection/kernel", LSTM_ROWS["projection/kernel"], num_proj_shards, initializer)
    return CellSpec(core, num_units, rows, choose_state_form(state_is_tuple))


def _shard_rows(scope, name, text, count, initializer):
    """A row, which TF cuts into blocks of rows where a count is given."""
    name += "/part_{k}" * (count is not None)
    return make_rows(scope, "ifgo", {name: (text, initializer or "glorot_uniform")}, shards=count or 1)


def make_block_lstm(scope, num_units, forget_bias, cell_clip, use_peephole):
    """The kernels behind LSTMBlockCell and LSTMBlockFusedCell: their gradient goes straight through the clip."""
    core = LSTM(forget_bias=forget_bias, peepholes=use_peephole, cell_clip_gradient="through",
                cell_clip=cell_clip if cell_clip is not None and cell_clip > 0 else None)
    table = _BASIC_LSTM_ROWS | peephole_rows(use_peephole, "tf1 block")
    return CellSpec(core, num_units, make_rows(scope, "ifgo", table), CH)


@cell_class
def LSTMBlockCell(num_units, forget_bias=1.0, cell_clip=None, use_peephole=False, dtype=None, reuse=None,
                  name="lstm_cell"):
    """LSTMCell in one kernel, whose gradient ignores the clip of c."""
    refuse_reuse("LSTMBlockCell", reuse)
    return make_block_lstm(name, num_units, forget_bias, cell_clip, use_peephole)


@cell_class
def GRUBlockCell(num_units=None, cell_size=None, reuse=None, name="gru_cell"):
    """GRUCell in one kernel."""
    refuse_reuse("GRUBlockCell", reuse)
    table = with_first_values(layout_rows("gru before", "tf1 block"), {"b_ru": 1.0, "b_c": 0.0})
    units = _choose_units("GRUBlockCell", num_units, cell_size)
    return CellSpec(GRU(reset="before"), units, make_rows(name, "rzn", table))


@cell_class
def GRUBlockCellV2(num_units=None, cell_size=None, reuse=None, name="gru_cell"):
    """GRUBlockCell with the variables of GRUCell."""
    refuse_reuse("GRUBlockCellV2", reuse)
    table = with_first_values(_GRU_ROWS, {"gates/bias": 1.0})
    units = _choose_units("GRUBlockCellV2", num_units, cell_size)
    return CellSpec(GRU(reset="before"), units, make_rows(name, "rzn", table))


def _choose_units(who, num_units, cell_size):
    if (num_units is None) == (cell_size is None):
        raise NotSupported(who, f"num_units={num_units} and cell_size={cell_size}", fix="give one of the two")
    return num_units or cell_size


@cell_class
def CudnnCompatibleLSTMCell(num_units, reuse=None):
    """LSTMBlockCell without a forget bias, as cuDNN has it."""
    refuse_reuse("CudnnCompatibleLSTMCell", reuse)
    return make_block_lstm("cudnn_compatible_lstm_cell", num_units, 0.0, None, False)


@cell_class
def CudnnCompatibleGRUCell(num_units, reuse=None, kernel_initializer=None):
    """The GRU with the reset after the product, as cuDNN has it."""
    refuse_reuse("CudnnCompatibleGRUCell", reuse)
    kernel = kernel_initializer or "glorot_uniform"
    table = with_first_values(layout_rows("gru", "tf1 cudnn"), {
        "gates/kernel": kernel, "gates/bias": 1.0, "candidate/input_projection/kernel": kernel,
        "candidate/hidden_projection/kernel": kernel})
    return CellSpec(GRU(reset="after"), num_units, make_rows("cudnn_compatible_gru_cell", "rzn", table))
