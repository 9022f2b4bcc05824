"""The cells of tf.nn.rnn_cell, and the block cells of tf.contrib.rnn."""
from typing import Any, Optional

from ..cells.catalog import GRU, LSTM, SimpleRNN
from ..errors import InvalidValue, NotSupported, check_limit
from .declared import cell_class
from .spec import CellSpec
from .states import CH, Flat
from .variables import Variable, layout_rows, parse_row


def make_rows(scope: str, gates: Any, table: dict[str, Any], **options: Any) -> list[Variable]:
    """The variables of a table {name: text}, or {name: (text, initializer)}, inside a scope."""
    lines = {name: line if isinstance(line, tuple) else (line,) for name, line in table.items()}
    return [parse_row(f"{scope}/{name}".lstrip("/"), line[0], gates, **dict(zip(("start",), line[1:])) | options)
            for name, line in lines.items()]


def refuse_reuse(who: str, reuse: Any) -> None:
    """Raise if `reuse` is true: TF shares variables by name, but here they belong to a cell object."""
    if reuse:
        raise NotSupported(who, f"reuse={reuse!r}", hint="to share variables, use the same cell object")


def choose(given: Any, default: Any) -> Any:
    """The initializer that is given, which may be the number 0, or the default."""
    return default if given is None else given


def peephole_rows(used: bool, framework: str = "tf1") -> dict[str, str]:
    """The table of the peepholes in a layout of the LSTM; {} if they are not used."""
    lines = layout_rows("lstm", framework) if used else {}
    return {name: line for name, line in lines.items() if line.startswith("Wp")}


def projection_options(num_proj: Optional[int], proj_clip: Optional[float] = None) -> dict[str, Any]:
    """Options of the cell; proj_clip has no effect without a projection."""
    check_limit("RNNCell", "proj_clip", proj_clip)
    return {"projection": num_proj, "projection_clip": proj_clip} if num_proj else {}


def add_initializers(table: dict[str, str], initializers: dict[str, Any]) -> dict[str, Any]:
    """A table {name: text} with initializers, by name, in the place of the defaults."""
    return {name: (line, initializers[name]) if name in initializers else line for name, line in table.items()}


def choose_state_form(state_is_tuple: bool, form: Any = CH) -> Any:
    """A state as a tuple, or as one matrix."""
    return form if state_is_tuple else Flat(form)


LSTM_ROWS, _GRU_ROWS = layout_rows("lstm"), layout_rows("gru before")
_BASIC_LSTM_ROWS = {name: LSTM_ROWS[name] for name in ("kernel", "bias")}


@cell_class(kwargs=True)
def BasicRNNCell(num_units: int, activation: Any = None, reuse: Any = None, name: Optional[str] = None,
                 dtype: Any = None) -> CellSpec:
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


@cell_class(kwargs=True)
def GRUCell(num_units: int, activation: Any = None, reuse: Any = None, kernel_initializer: Any = None,
            bias_initializer: Any = None, name: Optional[str] = None, dtype: Any = None) -> CellSpec:
    """r, u = sigmoid([x, h] gates);  h' = u h + (1 - u) activation([x, r h] candidate)."""
    refuse_reuse("GRUCell", reuse)
    kernel, one, zero = (choose(kernel_initializer, "glorot_uniform"), choose(bias_initializer, 1.0),
                         choose(bias_initializer, 0.0))
    table = add_initializers(_GRU_ROWS, {"gates/kernel": kernel, "gates/bias": one,
                                         "candidate/kernel": kernel, "candidate/bias": zero})
    return CellSpec(GRU(reset="before", candidate=activation or "tanh"), num_units,
                    make_rows(name or "gru_cell", "rzn", table))


@cell_class(kwargs=True)
def BasicLSTMCell(num_units: int, forget_bias: float = 1.0, state_is_tuple: bool = True, activation: Any = None,
                  reuse: Any = None, name: Optional[str] = None, dtype: Any = None) -> CellSpec:
    """LSTMCell without peepholes, clipping and projection."""
    refuse_reuse("BasicLSTMCell", reuse)
    act = activation or "tanh"
    return CellSpec(LSTM(forget_bias=forget_bias, candidate=act, output=act), num_units,
                    make_rows(name or "basic_lstm_cell", "ifgo", _BASIC_LSTM_ROWS), choose_state_form(state_is_tuple))


@cell_class(kwargs=True)
def LSTMCell(num_units: int, use_peepholes: bool = False, cell_clip: Optional[float] = None, initializer: Any = None,
             num_proj: Optional[int] = None, proj_clip: Optional[float] = None, num_unit_shards: Optional[int] = None,
             num_proj_shards: Optional[int] = None, forget_bias: float = 1.0, state_is_tuple: bool = True,
             activation: Any = None, reuse: Any = None, name: Optional[str] = None, dtype: Any = None) -> CellSpec:
    """The LSTM with peepholes, clipping of c, a projection of h and clipping of that."""
    refuse_reuse("LSTMCell", reuse)
    act, scope = activation or "tanh", name or "lstm_cell"
    core = LSTM(**projection_options(num_proj, proj_clip), forget_bias=forget_bias, peepholes=use_peepholes,
                cell_clip=cell_clip, candidate=act, output=act)
    rows = _shard_rows(scope, "kernel", LSTM_ROWS["kernel"], num_unit_shards, initializer)
    rows += make_rows(scope, "ifgo", {"bias": LSTM_ROWS["bias"]} | {
        n: (text, choose(initializer, "glorot_uniform")) for n, text in peephole_rows(use_peepholes).items()})
    if num_proj:
        rows += _shard_rows(scope, "projection/kernel", LSTM_ROWS["projection/kernel"], num_proj_shards, initializer)
    return CellSpec(core, num_units, rows, choose_state_form(state_is_tuple))


def _shard_rows(scope: str, name: str, text: str, count: Optional[int], initializer: Any) -> list[Variable]:
    """A variable, which TF splits into blocks of rows where a count is given."""
    name += "/part_{k}" * (count is not None)
    return make_rows(scope, "ifgo", {name: (text, choose(initializer, "glorot_uniform"))}, shards=count or 1)


def make_block_lstm(scope: str, num_units: int, forget_bias: float, cell_clip: Optional[float],
                    use_peephole: bool) -> CellSpec:
    """The cell of LSTMBlockCell and LSTMBlockFusedCell, whose gradient ignores the clipping of c."""
    core = LSTM(forget_bias=forget_bias, peepholes=use_peephole, cell_clip_gradient="through",
                cell_clip=cell_clip if cell_clip is not None and cell_clip > 0 else None)
    table = _BASIC_LSTM_ROWS | peephole_rows(use_peephole, "tf1 block")
    return CellSpec(core, num_units, make_rows(scope, "ifgo", table), CH)


@cell_class
def LSTMBlockCell(num_units: int, forget_bias: float = 1.0, cell_clip: Optional[float] = None,
                  use_peephole: bool = False, dtype: Any = None, reuse: Any = None,
                  name: str = "lstm_cell") -> CellSpec:
    """LSTMCell as one kernel of TF, whose gradient ignores the clipping of c."""
    refuse_reuse("LSTMBlockCell", reuse)
    return make_block_lstm(name, num_units, forget_bias, cell_clip, use_peephole)


@cell_class
def GRUBlockCell(num_units: Optional[int] = None, cell_size: Optional[int] = None, reuse: Any = None,
                 name: str = "gru_cell") -> CellSpec:
    """GRUCell as one kernel of TF, with variables of other names."""
    refuse_reuse("GRUBlockCell", reuse)
    table = add_initializers(layout_rows("gru before", "tf1 block"), {"b_ru": 1.0, "b_c": 0.0})
    units = _choose_units("GRUBlockCell", num_units, cell_size)
    return CellSpec(GRU(reset="before"), units, make_rows(name, "rzn", table))


@cell_class
def GRUBlockCellV2(num_units: Optional[int] = None, cell_size: Optional[int] = None, reuse: Any = None,
                   name: str = "gru_cell") -> CellSpec:
    """GRUBlockCell with the names of the variables of GRUCell."""
    refuse_reuse("GRUBlockCellV2", reuse)
    table = add_initializers(_GRU_ROWS, {"gates/bias": 1.0})
    units = _choose_units("GRUBlockCellV2", num_units, cell_size)
    return CellSpec(GRU(reset="before"), units, make_rows(name, "rzn", table))


def _choose_units(who: str, num_units: Optional[int], cell_size: Optional[int]) -> int:
    """The one of two equivalent arguments that is used."""
    if (num_units is None) == (cell_size is None):
        raise InvalidValue(who, f"num_units={num_units} and cell_size={cell_size}", fix="give one of the two")
    return num_units or cell_size or 0


@cell_class
def CudnnCompatibleLSTMCell(num_units: int, reuse: Any = None) -> CellSpec:
    """LSTMBlockCell without a forget bias, as in cuDNN."""
    refuse_reuse("CudnnCompatibleLSTMCell", reuse)
    return make_block_lstm("cudnn_compatible_lstm_cell", num_units, 0.0, None, False)


@cell_class
def CudnnCompatibleGRUCell(num_units: int, reuse: Any = None, kernel_initializer: Any = None) -> CellSpec:
    """The GRU whose reset gate is applied after the product, as in cuDNN."""
    refuse_reuse("CudnnCompatibleGRUCell", reuse)
    kernel = choose(kernel_initializer, "glorot_uniform")
    table = add_initializers(layout_rows("gru", "tf1 cudnn"), {
        "gates/kernel": kernel, "gates/bias": 1.0, "candidate/input_projection/kernel": kernel,
        "candidate/hidden_projection/kernel": kernel})
    return CellSpec(GRU(reset="after"), num_units, make_rows("cudnn_compatible_gru_cell", "rzn", table))
