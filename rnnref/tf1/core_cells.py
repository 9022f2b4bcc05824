"""tf.nn.rnn_cell, and the block kernels of tf.contrib.rnn: declared by TF's arguments."""
from ..cells.catalog import GRU, LSTM, SimpleRNN
from ..errors import NotSupported
from .cell import Parts, declared
from .states import CH, Flat
from .variables import row


def scoped(scope, gates, table, **options):
    """Rows of a table {name: text}, or {name: (text, first value)}, inside the scope of a class."""
    lines = {name: line if isinstance(line, tuple) else (line,) for name, line in table.items()}
    return [row(f"{scope}/{name}".lstrip("/"), line[0], gates, **dict(zip(("start",), line[1:])) | options)
            for name, line in lines.items()]


def reused(who, reuse):
    """`reuse` would share variables by their names, and here they belong to a cell."""
    if reuse:
        raise NotSupported(who, f"reuse={reuse!r}", hint="use the same cell object where variables are to be the same")


def peepholes(used, name="w_{g}_diag", gates="fio"):
    return {name.replace("{g}", g).replace("{G}", g.upper()): f"Wp{g}" for g in gates} if used else {}


def tuple_or_flat(state_is_tuple, form=CH):
    return form if state_is_tuple else Flat(form)


JOINED = {"kernel": "W[igfo]; R[igfo]", "bias": "b[igfo]"}


@declared
def BasicRNNCell(num_units, activation=None, reuse=None, name=None, dtype=None):
    """h' = activation([x, h] kernel + bias).

    >>> import numpy as np
    >>> cell = BasicRNNCell(4).build(inputs=3, seed=0)
    >>> output, state = cell(np.ones((2, 3), "float32"), cell.zero_state(2, "float32"))
    >>> output.shape, sorted(cell.dump_variables())
    ((2, 4), ['basic_rnn_cell/bias', 'basic_rnn_cell/kernel'])
    """
    reused("BasicRNNCell", reuse)
    return Parts(SimpleRNN(activation or "tanh"), num_units,
                 scoped(name or "basic_rnn_cell", "h", {"kernel": "W; R", "bias": "b"}))


@declared
def GRUCell(num_units, activation=None, reuse=None, kernel_initializer=None, bias_initializer=None, name=None,
            dtype=None):
    """r, u = sigmoid([x, h] gates);  h' = u h + (1 - u) activation([x, r h] candidate)."""
    reused("GRUCell", reuse)
    kernel, one, zero = kernel_initializer or "glorot_uniform", bias_initializer or 1.0, bias_initializer or 0.0
    return Parts(GRU("before", candidate=activation or "tanh"), num_units, scoped(name or "gru_cell", "rzn", {
        "gates/kernel": ("W[rz]; R[rz]", kernel), "gates/bias": ("b[rz]", one),
        "candidate/kernel": ("W[n]; R[n]", kernel), "candidate/bias": ("b[n]", zero)}))


@declared
def BasicLSTMCell(num_units, forget_bias=1.0, state_is_tuple=True, activation=None, reuse=None, name=None, dtype=None):
    """LSTMCell without its options."""
    reused("BasicLSTMCell", reuse)
    act = activation or "tanh"
    return Parts(LSTM(forget_bias=forget_bias, candidate=act, output=act), num_units,
                 scoped(name or "basic_lstm_cell", "ifgo", JOINED), tuple_or_flat(state_is_tuple))


@declared
def LSTMCell(num_units, use_peepholes=False, cell_clip=None, initializer=None, num_proj=None, proj_clip=None,
             num_unit_shards=None, num_proj_shards=None, forget_bias=1.0, state_is_tuple=True, activation=None,
             reuse=None, name=None, dtype=None):
    """The LSTM with peepholes, a limit on c, a projection of h and a limit on it."""
    reused("LSTMCell", reuse)
    act, scope = activation or "tanh", name or "lstm_cell"
    core = LSTM(num_proj, proj_clip if num_proj else None, forget_bias=forget_bias, peepholes=use_peepholes,
                cell_clip=cell_clip or None, candidate=act, output=act)
    rows = cut(scope, "kernel", JOINED["kernel"], num_unit_shards, initializer)
    rows += scoped(scope, "ifgo", {"bias": JOINED["bias"]} | {
        n: (text, initializer or "glorot_uniform") for n, text in peepholes(use_peepholes).items()})
    if num_proj:
        rows += cut(scope, "projection/kernel", "P", num_proj_shards, initializer)
    return Parts(core, num_units, rows, tuple_or_flat(state_is_tuple))


def cut(scope, name, text, count, initializer):
    """A row, which TF cuts into blocks of rows where a count is given."""
    name += "/part_{k}" * (count is not None)
    return scoped(scope, "ifgo", {name: (text, initializer or "glorot_uniform")}, shards=count or 1)


def block_lstm(scope, num_units, forget_bias, cell_clip, use_peephole):
    """The kernels behind LSTMBlockCell and LSTMBlockFusedCell: their gradient goes straight through the clip."""
    core = LSTM(forget_bias=forget_bias, peepholes=use_peephole, cell_clip_gradient="through",
                cell_clip=cell_clip if cell_clip is not None and cell_clip > 0 else None)
    return Parts(core, num_units, scoped(scope, "ifgo", JOINED | peepholes(use_peephole, gates="ifo")), CH)


@declared
def LSTMBlockCell(num_units, forget_bias=1.0, cell_clip=None, use_peephole=False, dtype=None, reuse=None,
                  name="lstm_cell"):
    """LSTMCell in one kernel, whose gradient ignores the clip of c."""
    reused("LSTMBlockCell", reuse)
    return block_lstm(name, num_units, forget_bias, cell_clip, use_peephole)


@declared
def GRUBlockCell(num_units=None, cell_size=None, reuse=None, name="gru_cell"):
    """GRUCell in one kernel."""
    reused("GRUBlockCell", reuse)
    return Parts(GRU("before"), one_size("GRUBlockCell", num_units, cell_size), scoped(name, "rzn", {
        "w_ru": "W[rz]; R[rz]", "b_ru": ("b[rz]", 1.0), "w_c": "W[n]; R[n]", "b_c": ("b[n]", 0.0)}))


@declared
def GRUBlockCellV2(num_units=None, cell_size=None, reuse=None, name="gru_cell"):
    """GRUBlockCell with the variables of GRUCell."""
    reused("GRUBlockCellV2", reuse)
    return Parts(GRU("before"), one_size("GRUBlockCellV2", num_units, cell_size), scoped(name, "rzn", {
        "gates/kernel": "W[rz]; R[rz]", "gates/bias": ("b[rz]", 1.0),
        "candidate/kernel": "W[n]; R[n]", "candidate/bias": "b[n]"}))


def one_size(who, num_units, cell_size):
    if (num_units is None) == (cell_size is None):
        raise NotSupported(who, f"num_units={num_units} and cell_size={cell_size}", fix="give one of the two")
    return num_units or cell_size


@declared
def CudnnCompatibleLSTMCell(num_units, reuse=None):
    """LSTMBlockCell without a forget bias, as cuDNN has it."""
    reused("CudnnCompatibleLSTMCell", reuse)
    return block_lstm("cudnn_compatible_lstm_cell", num_units, 0.0, None, False)


@declared
def CudnnCompatibleGRUCell(num_units, reuse=None, kernel_initializer=None):
    """The GRU with the reset after the product, as cuDNN has it."""
    reused("CudnnCompatibleGRUCell", reuse)
    kernel = kernel_initializer or "glorot_uniform"
    return Parts(GRU("after"), num_units, scoped("cudnn_compatible_gru_cell", "rzn", {
        "gates/kernel": ("W[rz]; R[rz]", kernel), "gates/bias": ("b[rz]", 1.0),
        "candidate/input_projection/kernel": ("W[n]", kernel), "candidate/input_projection/bias": "b[n]",
        "candidate/hidden_projection/kernel": ("R[n]", kernel), "candidate/hidden_projection/bias": "bR[n]"}))
