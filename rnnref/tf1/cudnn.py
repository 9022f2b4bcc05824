"""tf.contrib.cudnn_rnn: layers of several directions over [T, B, I], and the converters of their parameters."""
from dataclasses import dataclass
from typing import Any

import numpy

from ..arrays import asnumpy, cast, namespace
from ..cell import GatedCell, ProjectedCell
from ..cells import GRU, LSTM, Bidirectional, SimpleRNN
from ..errors import NotSupported, ShapeError, check_option
from ..init import glorot_uniform
from ..interop.cudnn import Network, from_tf, tf_names, to_tf
from ..loops.run import run, run_back
from ..maps.dense import Dense, Map
from .cell import Gradients, Result
from .loops import swap_batch_and_time

_MODES = ("linear_input", "skip_input", "auto_select")
DIRECTIONS = ("unidirectional", "bidirectional")


@dataclass(frozen=True)
class RepeatedInput(Map):
    """x in the place of a product, the same for every gate block, plus a bias: cuDNN's skip input."""
    b: str = "b"
    blocks: int = 1

    def axes(self, i, o="G"):
        return {self.b: o}

    def forward(self, p, x):
        return namespace(x).concatenate([x] * self.blocks, -1) + p[self.b], x

    def backward_x(self, p, x, da):
        return sum(namespace(da).split(da, self.blocks, -1))

    def backward_p(self, p, x, da):
        return {self.b: cast(da.reshape(-1, da.shape[-1]).sum(0), da)}


def _make_cell(net, layer):
    """The cell of one pseudo-layer, with both of cuDNN's biases."""
    cell = {"lstm": lambda: LSTM(recurrent_bias=True), "gru": lambda: GRU(reset="after"),
            "rnn_tanh": lambda: SimpleRNN(activation="tanh", recurrent_bias=True),
            "rnn_relu": lambda: SimpleRNN(activation="relu", recurrent_bias=True)}[net.mode]()
    if net.skip and not layer:
        cell = GatedCell(RepeatedInput("b", len(net.gates)), Dense("R", "bR"), cell.rule)
    return ProjectedCell(cell, projection=net.projection) if net.projection else cell


class CudnnRNN:
    """What the layers of tf.contrib.cudnn_rnn have.

    outputs, states = result = layer(inputs, initial_state, sequence_lengths, time_major, training, masks=…)

    inputs [T, B, I], outputs [T, B, directions x H]; states are tuples of arrays [layers x directions, B, …], layer by
    layer, forwards before backwards: (h, c) of the LSTM, (h,) of the others.  `dropout` is between layers, in training
    only; masks: one [T, B, directions x H] of 0 and 1 / keep for each layer but the last, or they are drawn.
    """
    mode: str = ""
    fields: tuple = ("h",)
    net: Any = None                               # known when the width of x is
    parameters: Any = None                        # ours, a dict for each pseudo-layer

    def __init__(self, num_layers, num_units, input_mode="linear_input", direction="unidirectional", dropout=0.0,
                 seed=None, dtype="float32", kernel_initializer=None, bias_initializer=None, name=None, num_proj=None):
        who = type(self).__name__
        check_option(who, "input_mode", input_mode, _MODES)
        check_option(who, "direction", direction, DIRECTIONS)
        if not 0 <= dropout < 1:
            raise NotSupported(who, f"dropout={dropout}, expected from 0 up to 1")
        for option, value in (("kernel_initializer", kernel_initializer), ("bias_initializer", bias_initializer)):
            if value is not None:
                raise NotSupported(who, f"{option}={value!r}", fix="load_variables(…), or set opaque_kernel")
        self.num_layers, self.num_units, self.num_proj, self.dropout = num_layers, num_units, num_proj, dropout
        self.input_mode, self.direction, self.dtype = input_mode, direction, dtype
        self.rng, self.name = numpy.random.default_rng(seed), name or who

    @property
    def rnn_mode(self):
        return self.mode

    @property
    def num_dirs(self):
        return 2 if self.direction == "bidirectional" else 1

    def network(self, inputs):
        skip = self.input_mode == "skip_input" or self.input_mode == "auto_select" and inputs == self.num_units
        return Network(self.mode, self.num_layers, self.num_units, inputs, self.num_dirs == 2, self.num_proj, skip)

    def build(self, inputs):
        """First values for so many inputs: glorot_uniform, biases 0."""
        self.net = self.network(inputs)
        weights, biases = self.net.canonical_shapes()
        self.parameters = self.net.ours([glorot_uniform(self.rng, s).astype(self.dtype) for s in weights],
                                        [numpy.zeros(s, self.dtype) for s in biases])
        return self

    def state_shape(self, batch_size):
        """The shape of each array of the states."""
        lead = [self.num_layers * self.num_dirs, batch_size]
        return tuple([*lead, self.num_units if field == "c" else self.num_proj or self.num_units]
                     for field in self.fields)

    @property
    def canonical_weight_shapes(self):
        return self.built().canonical_shapes()[0]

    @property
    def canonical_bias_shapes(self):
        return self.built().canonical_shapes()[1]

    def built(self):
        if self.net is None:
            raise NotSupported(self.name, "it is not built", fix="build(inputs), or load_variables(arrays, inputs)")
        return self.net

    @property
    def opaque_kernel(self):
        """The flat buffer of cuDNN."""
        return self.built().join(*self.net.theirs(self.parameters))

    def load_opaque(self, buffer, inputs):
        """Take the flat buffer of cuDNN, for so many inputs."""
        self.net = self.network(inputs)
        self.parameters = self.net.ours(*self.net.split(buffer))
        return self

    def load_variables(self, arrays, inputs, scope=""):
        """Take what a checkpoint of TF holds: the variables of the cells that compute the same."""
        self.net = self.network(inputs)
        names = tf_names(self.net, scope)
        lacks = [n for kind in names for n in kind if n not in arrays]
        if lacks:
            raise ShapeError(self.name, f"{' '.join(lacks)} missing", given=" ".join(arrays))
        self.parameters = self.net.ours(*from_tf(self.net, *([asnumpy(arrays[n]) for n in kind] for kind in names)))
        return self

    def dump_variables(self, scope=""):
        """What TF saves: the two biases of a gate as one."""
        kinds = to_tf(self.built(), *self.net.theirs(self.parameters))
        return {n: a for kind, arrays in zip(tf_names(self.net, scope), kinds) for n, a in zip(kind, arrays)}

    def __call__(self, inputs, initial_state=None, sequence_lengths=None, time_major=True, training=True, *,
                 masks=None):
        x = swap_batch_and_time(inputs, time_major)
        net = self.built()
        states = self._split_states(x, initial_state)
        masks = self.masks(x, masks) if training else [None] * (net.layers - 1)
        tapes, news = [], []
        for layer in range(net.layers):
            n = layer * self.num_dirs
            x, new, tape = self.layer(layer, x, states[n:n + self.num_dirs], sequence_lengths)
            news += new
            tapes.append(tape)
            if layer + 1 < net.layers and masks[layer] is not None:
                x = x * masks[layer]
        out = tuple(namespace(x).stack([getattr(s, f) for s in news]) for f in self.fields)

        def backward(dy, dstates):
            return self.back(tapes, masks, x.shape, swap_batch_and_time(dy, time_major), dstates, time_major)
        return Result((swap_batch_and_time(x, time_major), out), backward)

    def layer(self, layer, x, states, lengths):
        """One layer, of one direction or two, whose outputs lie end to end."""
        n, cell = layer * self.num_dirs, _make_cell(self.net, layer)
        if self.num_dirs == 1:
            y, new, tape = run(cell, self.parameters[n], x, states[0], lengths=lengths)
            return y, [new], tape
        ys, new, tape = run(Bidirectional((cell, cell)), tuple(self.parameters[n:n + 2]), x, tuple(states),
                            lengths=lengths)
        return namespace(x).concatenate(ys, -1), list(new), tape

    def back(self, tapes, masks, shape, d, dstates, time_major):
        xp, H, dirs, found, ds = namespace(*self.parameters[0].values()), self.net.width, self.num_dirs, [], []
        d = xp.zeros(shape, self.parameters[0]["b"].dtype) if d is None else d
        for layer in range(self.net.layers)[::-1]:
            if layer + 1 < self.net.layers and masks[layer] is not None:
                d = d * masks[layer]
            dnew = self.states_of(dstates, layer)
            one = dirs == 1
            d = d if one else (d[..., :H], d[..., H:])
            d, dfirst, _, dp = run_back(tapes[layer], d, tuple(dnew) if isinstance(dnew, list) else dnew)
            found.append([dp] if one else list(dp))
            ds.append([dfirst] if one else list(dfirst))
        parameters = [p for layer in reversed(found) for p in layer]
        states = [s for layer in reversed(ds) for s in layer]
        dbuffer = self.net.join(*self.net.theirs(parameters))
        return Gradients(swap_batch_and_time(d, time_major), tuple(xp.stack([getattr(s, f) for s in states])
                                                          for f in self.fields), {"opaque_kernel": dbuffer})

    def states_of(self, arrays, layer):
        """The states of one layer, of arrays over all."""
        if arrays is None:
            return None
        State, n = _make_cell(self.net, layer).rule.State, layer * self.num_dirs
        states = [State(**{f: a[n + k] for f, a in zip(self.fields, arrays)}) for k in range(self.num_dirs)]
        return states[0] if self.num_dirs == 1 else states

    def _split_states(self, x, given):
        batch, xp = x.shape[1], namespace(x)
        want = self.state_shape(batch)
        given = tuple(xp.zeros(shape, x.dtype) for shape in want) if given is None else given
        if not isinstance(given, (tuple, list)) or [list(a.shape) for a in given] != list(want):
            shapes = [list(a.shape) for a in given] if isinstance(given, (tuple, list)) else type(given).__name__
            raise ShapeError(self.name, f"initial_state is {shapes}, expected a tuple of {list(want)}")
        found = [self.states_of(given, layer) for layer in range(self.net.layers)]
        return found if self.num_dirs == 1 else [s for pair in found for s in pair]

    def masks(self, x, given):
        """The masks between layers: those that are given, or drawn ones."""
        n = self.net.layers - 1
        if given is not None or not self.dropout:
            if given is not None and len(given) != n:
                raise ShapeError(self.name, f"{len(given)} masks, expected {n}: one between each two layers")
            return list(given) if given is not None else [None] * n
        shape, keep = (*x.shape[:2], self.net.width * self.num_dirs), 1 - self.dropout
        return [(self.rng.random(shape) < keep).astype(x.dtype) / x.dtype.type(keep) for _ in range(n)]


class CudnnLSTM(CudnnRNN):
    """LSTM layers as cuDNN has them: two biases, no forget bias, (h, c)."""
    mode, fields = "lstm", ("h", "c")


class CudnnGRU(CudnnRNN):
    """GRU layers as cuDNN has them: the reset after the product."""
    mode = "gru"


class CudnnRNNTanh(CudnnRNN):
    """Simple recurrent layers with tanh."""
    mode = "rnn_tanh"


class CudnnRNNRelu(CudnnRNN):
    """Simple recurrent layers with relu."""
    mode = "rnn_relu"


class CudnnParamsFormatConverter:
    """Parameters of cuDNN as those of TF's cells, and back."""
    mode = ""

    def __init__(self, num_layers, num_units, input_size, num_proj=None, input_mode="linear_input",
                 direction="unidirectional"):
        check_option(type(self).__name__, "input_mode", input_mode, _MODES[:1])
        check_option(type(self).__name__, "direction", direction, DIRECTIONS)
        self.net: Any = Network(self.mode, num_layers, num_units, input_size, direction == "bidirectional", num_proj)

    def opaque_to_tf_canonical(self, opaque_param):
        """The flat buffer -> (kernels, biases, projections)."""
        return to_tf(self.net, *self.net.split(opaque_param))

    def tf_canonical_to_opaque(self, kernels, biases, projections=()):
        return self.net.join(*from_tf(self.net, kernels, biases, projections))

    def cu_canonical_to_tf_canonical(self, cu_weights, cu_biases):
        return to_tf(self.net, cu_weights, cu_biases)

    def tf_canonical_to_cu_canonical(self, kernels, biases, projections=()):
        return from_tf(self.net, kernels, biases, projections)

    @property
    def tf_names(self):
        """(names of the kernels, of the biases, of the projections)."""
        return tf_names(self.net)


class CudnnParamsFormatConverterLSTM(CudnnParamsFormatConverter):
    mode = "lstm"


class CudnnParamsFormatConverterGRU(CudnnParamsFormatConverter):
    mode = "gru"


class CudnnParamsFormatConverterTanh(CudnnParamsFormatConverter):
    mode = "rnn_tanh"


class CudnnParamsFormatConverterRelu(CudnnParamsFormatConverter):
    mode = "rnn_relu"
