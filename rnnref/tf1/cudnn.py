"""tf.contrib.cudnn_rnn: layers of one or two directions over [T, B, I], and the converters of their parameters."""
from dataclasses import dataclass
from typing import Any, Optional, Sequence

from ..arrays import Array, asnumpy, cast, namespace
from ..cell import GatedCell, ProjectedCell
from ..cells import GRU, LSTM, Bidirectional, SimpleRNN
from ..errors import InvalidValue, NotSupported, ShapeError, StructureError, check_option, describe_type
from ..interop.cudnn import Network, from_tf, tf_names, to_tf
from ..loops.run import run, run_back
from ..maps.dense import Dense, Map
from ..shards import refuse
from ..tree import Tree
from .config import check_options
from .loops import swap_batch_and_time
from .spec import Gradients, Result
from .variables import draw_first_value, make_rng

_MODES = ("linear_input", "skip_input", "auto_select")
DIRECTIONS = ("unidirectional", "bidirectional")


@dataclass(frozen=True)
class RepeatedInput(Map):
    """cuDNN's skip input: x itself, without a product, for every gate block, plus a bias."""
    b: str = "b"
    blocks: int = 1

    def axes(self, i: str, o: str = "G") -> dict[str, str]:
        return {self.b: o}

    def forward(self, p: Tree, x: Array) -> tuple[Array, Array]:
        return namespace(x).concatenate([x] * self.blocks, -1) + p[self.b], x

    def backward_x(self, p: Tree, x: Array, da: Array) -> Array:
        return sum(namespace(da).split(da, self.blocks, -1))

    def backward_p(self, p: Tree, x: Array, da: Array) -> Tree:
        return {self.b: cast(da.reshape(-1, da.shape[-1]).sum(0), da)}


def _make_cell(net: Network, layer: int) -> Any:
    """The cell of one layer, with both of cuDNN's biases."""
    cell = {"lstm": lambda: LSTM(recurrent_bias=True), "gru": lambda: GRU(reset="after"),
            "rnn_tanh": lambda: SimpleRNN(activation="tanh", recurrent_bias=True),
            "rnn_relu": lambda: SimpleRNN(activation="relu", recurrent_bias=True)}[net.mode]()
    if net.skip and not layer:
        cell = GatedCell(RepeatedInput("b", len(net.gates)), Dense("R", "bR"), cell.rule)
    return ProjectedCell(cell, projection=net.projection) if net.projection else cell


class CudnnRNN:
    """The base class of the layers of tf.contrib.cudnn_rnn.

    outputs, states = result = layer(inputs, initial_state, sequence_lengths, time_major, training, masks=...)

    inputs    [T, B, I]
    outputs   [T, B, directions x H]
    states    a tuple of arrays [layers x directions, B, ...], layer by layer, forward before backward: (h, c) of the
              LSTM, (h,) of the others
    masks     of the dropout between layers, which is in training only: one [T, B, directions x H] of 0 and 1 / keep
              for each layer but the last; random without them
    """
    mode: str = ""
    fields: tuple[str, ...] = ("h",)
    net: Any = None                               # None until the width of x is known
    parameters: Any = None                        # of rnnref: a dict for each direction of each layer

    def __init__(self, num_layers: int, num_units: int, input_mode: str = "linear_input",
                 direction: str = "unidirectional", dropout: float = 0.0, seed: Any = None, dtype: Any = "float32",
                 kernel_initializer: Any = None, bias_initializer: Any = None, name: Optional[str] = None,
                 num_proj: Optional[int] = None) -> None:
        who = type(self).__name__
        check_option(who, "input_mode", input_mode, _MODES)
        check_option(who, "direction", direction, DIRECTIONS)
        if not 0 <= dropout < 1:
            raise InvalidValue(who, f"dropout={dropout}, expected 0 or more and less than 1")
        check_options(who, dtype=dtype, name=name)
        self.kernel_initializer = "glorot_uniform" if kernel_initializer is None else kernel_initializer
        self.bias_initializer = "zeros" if bias_initializer is None else bias_initializer
        self.num_layers, self.num_units, self.num_proj, self.dropout = num_layers, num_units, num_proj, dropout
        self.input_mode, self.direction, self.dtype = input_mode, direction, dtype
        self.rng, self.name = make_rng(seed), name or who

    @property
    def rnn_mode(self) -> str:
        """cuDNN's name of the cell: lstm, gru, rnn_tanh or rnn_relu."""
        return self.mode

    @property
    def num_dirs(self) -> int:
        """The number of directions."""
        return 2 if self.direction == "bidirectional" else 1

    def _make_network(self, inputs: int) -> Network:
        skip = self.input_mode == "skip_input" or self.input_mode == "auto_select" and inputs == self.num_units
        return Network(self.mode, self.num_layers, self.num_units, inputs, self.num_dirs == 2, self.num_proj, skip)

    def build(self, inputs: int) -> "CudnnRNN":
        """Draw the parameters for this number of inputs: weights glorot_uniform, biases 0, where none is given."""
        self.net = self._make_network(inputs)
        weights, biases = self.net.canonical_shapes()
        self.parameters = self.net.ours(*(
            [draw_first_value(self.name, initializer, tuple(shape), self.dtype, self.rng) for shape in shapes]
            for initializer, shapes in ((self.kernel_initializer, weights), (self.bias_initializer, biases))))
        return self

    def state_shape(self, batch_size: int) -> tuple[list[int], ...]:
        """The shape of each array of the states."""
        lead = [self.num_layers * self.num_dirs, batch_size]
        return tuple([*lead, self.num_units if field == "c" else self.num_proj or self.num_units]
                     for field in self.fields)

    @property
    def canonical_weight_shapes(self) -> list[tuple]:
        """The shapes of cuDNN's weight matrices."""
        return self._require_network().canonical_shapes()[0]

    @property
    def canonical_bias_shapes(self) -> list[tuple]:
        """The shapes of cuDNN's biases."""
        return self._require_network().canonical_shapes()[1]

    def _require_network(self) -> Network:
        if self.net is None:
            raise NotSupported(self.name, "it is not built", fix="build(inputs), or load_variables(arrays, inputs)")
        return self.net

    @property
    def opaque_kernel(self) -> Array:
        """All parameters as the flat buffer of cuDNN."""
        return self._require_network().join(*self.net.theirs(self.parameters))

    def load_opaque(self, buffer: Array, inputs: int) -> "CudnnRNN":
        """Take the parameters from the flat buffer of cuDNN, for this number of inputs."""
        self.net = self._make_network(inputs)
        self.parameters = self.net.ours(*self.net.split(buffer))
        return self

    def load_variables(self, arrays: dict[str, Array], inputs: int, scope: str = "") -> "CudnnRNN":
        """Take the parameters from a checkpoint of TF: the variables of the cells that compute the same."""
        self.net = self._make_network(inputs)
        names = tf_names(self.net, scope)
        missing = [n for kind in names for n in kind if n not in arrays]
        if missing:
            raise ShapeError(self.name, f"{' '.join(missing)} missing", given=" ".join(arrays))
        self.parameters = self.net.ours(*from_tf(self.net, *([asnumpy(arrays[n]) for n in kind] for kind in names)))
        return self

    def dump_variables(self, scope: str = "") -> dict[str, Array]:
        """The variables that TF saves; the two biases of a gate are added to one."""
        kinds = to_tf(self._require_network(), *self.net.theirs(self.parameters))
        return {n: a for kind, arrays in zip(tf_names(self.net, scope), kinds) for n, a in zip(kind, arrays)}

    def __call__(self, inputs: Array, initial_state: Optional[Sequence[Array]] = None, sequence_lengths: Any = None,
                 time_major: bool = True, training: bool = True, *, masks: Any = None) -> Result:
        x = swap_batch_and_time(inputs, time_major)
        net = self._require_network()
        states = self._split_states(x, initial_state)
        masks = self._choose_masks(x, masks) if training else [None] * (net.layers - 1)
        tapes, news = [], []
        for layer in range(net.layers):
            n = layer * self.num_dirs
            x, new, tape = self._run_layer(layer, x, states[n:n + self.num_dirs], sequence_lengths)
            news += new
            tapes.append(tape)
            if layer + 1 < net.layers and masks[layer] is not None:
                x = x * masks[layer]
        out = tuple(namespace(x).stack([getattr(s, f) for s in news]) for f in self.fields)

        def backward(dy: Optional[Array], dstates: Optional[Sequence[Array]]) -> Gradients:
            return self._run_back(tapes, masks, x.shape, swap_batch_and_time(dy, time_major), dstates, time_major)
        return Result((swap_batch_and_time(x, time_major), out), backward)

    def _run_layer(self, layer: int, x: Array, states: list, lengths: Any) -> tuple[Array, list, Any]:
        """One layer: outputs of its directions, concatenated, final states and tape."""
        n, cell = layer * self.num_dirs, _make_cell(self.net, layer)
        if self.num_dirs == 1:
            y, new, tape = run(cell, self.parameters[n], x, states[0], lengths=lengths)
            return y, [new], tape
        ys, new, tape = run(Bidirectional((cell, cell)), tuple(self.parameters[n:n + 2]), x, tuple(states),
                            lengths=lengths)
        return namespace(x).concatenate(ys, -1), list(new), tape

    def _run_back(self, tapes: list, masks: list, shape: tuple, d: Any, dstates: Optional[Sequence[Array]],
                  time_major: bool) -> Gradients:
        xp, H, is_single = namespace(*self.parameters[0].values()), self.net.width, self.num_dirs == 1
        dps: list = []                            # of all layers, each with its directions
        ds: list = []
        d = xp.zeros(shape, self.parameters[0]["b"].dtype) if d is None else d
        for layer in range(self.net.layers)[::-1]:
            if layer + 1 < self.net.layers and masks[layer] is not None:
                d = d * masks[layer]
            dnew = self._select_states(dstates, layer)
            d = d if is_single else (d[..., :H], d[..., H:])
            d, dinitial, _, dp = run_back(tapes[layer], d, tuple(dnew) if isinstance(dnew, list) else dnew)
            dps = [*([dp] if is_single else dp), *dps]
            ds = [*([dinitial] if is_single else dinitial), *ds]
        dbuffer = self.net.join(*self.net.theirs(dps))
        return Gradients(swap_batch_and_time(d, time_major),
                         tuple(xp.stack([getattr(s, f) for s in ds]) for f in self.fields), {"opaque_kernel": dbuffer})

    def _select_states(self, arrays: Optional[Sequence[Array]], layer: int) -> Any:
        """The state of one layer, or the list of both directions, from arrays over all layers."""
        if arrays is None:
            return None
        State, n = _make_cell(self.net, layer).rule.State, layer * self.num_dirs
        states = [State(**{f: a[n + k] for f, a in zip(self.fields, arrays)}) for k in range(self.num_dirs)]
        return states[0] if self.num_dirs == 1 else states

    def _split_states(self, x: Array, initial_state: Optional[Sequence[Array]]) -> list:
        """The initial states of all layers and directions; zeros without them."""
        shapes = self.state_shape(x.shape[1])
        if initial_state is None:
            initial_state = tuple(namespace(x).zeros(shape, x.dtype) for shape in shapes)
        is_sequence = isinstance(initial_state, (tuple, list))
        if not is_sequence:
            raise StructureError(self.name, f"initial_state is {describe_type(initial_state)}, expected a tuple of "
                                            f"{list(shapes)}")
        actual = [list(a.shape) for a in initial_state]
        if actual != list(shapes):
            raise ShapeError(self.name, f"initial_state is {actual}, expected a tuple of {list(shapes)}")
        states = [self._select_states(initial_state, layer) for layer in range(self.net.layers)]
        return states if self.num_dirs == 1 else [s for pair in states for s in pair]

    def _choose_masks(self, x: Array, masks: Any) -> list:
        """The masks between layers: `masks`, or random ones."""
        n = self.net.layers - 1
        if masks is not None:
            if len(masks) != n:
                raise ShapeError(self.name, f"{len(masks)} masks, expected {n}: one between each two layers")
            return list(masks)
        if not self.dropout:
            return [None] * n
        refuse(self.name, "dropout of TF 1: each process would draw its own", fix="dropout of rnnref.layers")
        shape, keep = (*x.shape[:2], self.net.width * self.num_dirs), 1 - self.dropout
        return [(self.rng.random(shape) < keep).astype(x.dtype) / x.dtype.type(keep) for _ in range(n)]


class CudnnLSTM(CudnnRNN):
    """LSTM layers of cuDNN: two biases, no forget bias, state (h, c)."""
    mode, fields = "lstm", ("h", "c")


class CudnnGRU(CudnnRNN):
    """GRU layers of cuDNN: the reset gate is applied after the product."""
    mode = "gru"


class CudnnRNNTanh(CudnnRNN):
    """Simple recurrent layers with tanh."""
    mode = "rnn_tanh"


class CudnnRNNRelu(CudnnRNN):
    """Simple recurrent layers with relu."""
    mode = "rnn_relu"


class CudnnParamsFormatConverter:
    """The base class of converters between the parameters of cuDNN and those of TF's cells."""
    mode = ""

    def __init__(self, num_layers: int, num_units: int, input_size: int, num_proj: Optional[int] = None,
                 input_mode: str = "linear_input", direction: str = "unidirectional") -> None:
        check_option(type(self).__name__, "input_mode", input_mode, _MODES[:1])
        check_option(type(self).__name__, "direction", direction, DIRECTIONS)
        self.net: Any = Network(self.mode, num_layers, num_units, input_size, direction == "bidirectional", num_proj)

    def opaque_to_tf_canonical(self, opaque_param: Array) -> tuple:
        """The flat buffer -> (kernels, biases, projections)."""
        return to_tf(self.net, *self.net.split(opaque_param))

    def tf_canonical_to_opaque(self, kernels: Sequence[Array], biases: Sequence[Array],
                               projections: Sequence[Array] = ()) -> Array:
        """Kernels, biases and projections of TF -> the flat buffer."""
        return self.net.join(*from_tf(self.net, kernels, biases, projections))

    def cu_canonical_to_tf_canonical(self, cu_weights: Sequence[Array], cu_biases: Sequence[Array]) -> tuple:
        """Matrices and biases of cuDNN -> (kernels, biases, projections)."""
        return to_tf(self.net, cu_weights, cu_biases)

    def tf_canonical_to_cu_canonical(self, kernels: Sequence[Array], biases: Sequence[Array],
                                     projections: Sequence[Array] = ()) -> tuple:
        """Kernels, biases and projections of TF -> (matrices, biases) of cuDNN."""
        return from_tf(self.net, kernels, biases, projections)

    @property
    def tf_names(self) -> tuple:
        """(names of the kernels, of the biases, of the projections)."""
        return tf_names(self.net)


class CudnnParamsFormatConverterLSTM(CudnnParamsFormatConverter):
    """The converter of `CudnnLSTM`."""
    mode = "lstm"


class CudnnParamsFormatConverterGRU(CudnnParamsFormatConverter):
    """The converter of `CudnnGRU`."""
    mode = "gru"


class CudnnParamsFormatConverterTanh(CudnnParamsFormatConverter):
    """The converter of `CudnnRNNTanh`."""
    mode = "rnn_tanh"


class CudnnParamsFormatConverterRelu(CudnnParamsFormatConverter):
    """The converter of `CudnnRNNRelu`."""
    mode = "rnn_relu"
