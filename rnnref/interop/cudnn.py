"""The parameters of cuDNN: one flat buffer, its matrices and vectors by themselves, ours, and those of TF 1.  (floor 5)

A network is a list of pseudo-layers: layer 0 forwards, (backwards,) layer 1 forwards, and so on.  Each has matrices
[units, in], an input matrix for every gate, then a recurrent one for every gate, then the projection [P, units]; and
vectors [units], input biases then recurrent ones.  Gates come as ours do: i f g o, r z n.

The buffer holds the matrices of all pseudo-layers, each row by row, and after them all vectors, in this order and
without gaps (64-bit cuDNN, CUDNN_RNN_DOUBLE_BIAS; PyTorch's flattened weights are the same).  `Network.offsets` lists
where each lies.
"""
from dataclasses import dataclass
from typing import NamedTuple, Optional

import numpy

from ..arrays import asnumpy
from ..errors import NotSupported, ShapeError, check_option

GATES = {"rnn_relu": "h", "rnn_tanh": "h", "lstm": "ifgo", "gru": "rzn"}


class Piece(NamedTuple):
    """A matrix or a vector: of which pseudo-layer and gate, and where in the buffer."""
    name: str                                     # "W", "R", "P", "b" or "bR"
    layer: int
    back: bool
    gate: str                                     # "" of the projection
    start: int
    shape: tuple


@dataclass(frozen=True)
class Network:
    """What cuDNN is told of a network: all that its buffer depends on.

    >>> net = Network("gru", layers=1, units=2, inputs=3)
    >>> net.size, net.offsets()[3]
    (42, Piece(name='R', layer=0, back=False, gate='r', start=18, shape=(2, 2)))
    """
    mode: str                                     # "rnn_relu", "rnn_tanh", "lstm", "gru"
    layers: int
    units: int
    inputs: int
    bidirectional: bool = False
    projection: Optional[int] = None
    skip: bool = False                            # the first layer has no input matrices: x goes to each gate as it is

    def __post_init__(self):
        check_option("cuDNN", "mode", self.mode, tuple(GATES))
        if self.projection and self.mode != "lstm":
            raise NotSupported("cuDNN", f"projection={self.projection} in mode {self.mode!r}", known="'lstm'")
        if self.skip and self.inputs != self.units:
            raise NotSupported("cuDNN", f"skip=True with {self.inputs} inputs and {self.units} units",
                               hint="x takes the place of the product, so it must be as wide as the units")

    @property
    def gates(self):
        return GATES[self.mode]

    @property
    def ways(self):
        return (False, True) if self.bidirectional else (False,)

    @property
    def width(self):
        """How wide h is."""
        return self.projection or self.units

    def inputs_of(self, layer):
        return self.width * len(self.ways) if layer else self.inputs

    def offsets(self):
        """Every piece of the buffer, in its order."""
        found, start = [], 0
        for name, layer, back, gate, shape in [*self.matrices(), *self.vectors()]:
            found.append(Piece(name, layer, back, gate, start, shape))
            start += int(numpy.prod(shape))
        return found

    def matrices(self):
        for layer in range(self.layers):
            for back in self.ways:
                if layer or not self.skip:
                    yield from (("W", layer, back, g, (self.units, self.inputs_of(layer))) for g in self.gates)
                yield from (("R", layer, back, g, (self.units, self.width)) for g in self.gates)
                if self.projection:
                    yield "P", layer, back, "", (self.projection, self.units)

    def vectors(self):
        for layer in range(self.layers):
            for back in self.ways:
                for name in ("b", "bR"):
                    yield from ((name, layer, back, g, (self.units,)) for g in self.gates)

    @property
    def size(self):
        """How many numbers the buffer holds."""
        last = self.offsets()[-1]
        return last.start + int(numpy.prod(last.shape))

    def canonical_shapes(self):
        """(shapes of the matrices, shapes of the vectors), in order."""
        return [shape for *_, shape in self.matrices()], [shape for *_, shape in self.vectors()]

    def split(self, buffer):
        """The buffer -> its matrices and its vectors, in order."""
        flat = asnumpy(buffer).ravel()
        if flat.size != self.size:
            raise ShapeError(str(self), f"the buffer holds {flat.size} numbers, expected {self.size}")
        pieces = [flat[p.start:p.start + int(numpy.prod(p.shape))].reshape(p.shape) for p in self.offsets()]
        n = len(list(self.matrices()))
        return pieces[:n], pieces[n:]

    def joined(self, weights, biases):
        """Matrices and vectors -> the buffer."""
        return numpy.concatenate([a.ravel() for a in self._check_shapes(weights, biases)])

    def _check_shapes(self, weights, biases):
        """All of them in order, after they have been seen to fit."""
        for what, given, want in zip(("weights", "biases"), (weights, biases), self.canonical_shapes()):
            if [tuple(a.shape) for a in given] != want:
                raise ShapeError(str(self), f"{what} have shapes {[tuple(a.shape) for a in given]}",
                                 axes=f"expected {want}")
        return [asnumpy(a) for a in (*weights, *biases)]

    def ours(self, weights, biases):
        """Matrices and vectors -> a tuple of parameters, one dict for each pseudo-layer: W R b bR (P)."""
        found: dict = {}
        for piece, a in zip(self.offsets(), self._check_shapes(weights, biases)):
            found.setdefault((piece.layer, piece.back), {}).setdefault(piece.name, []).append(a.T)
        return tuple({name: numpy.concatenate(parts, -1) for name, parts in p.items()} for p in found.values())

    def theirs(self, parameters):
        """Our parameters -> matrices and vectors."""
        pieces = []
        for name, layer, back, g, shape in [*self.matrices(), *self.vectors()]:
            a = asnumpy(parameters[layer * len(self.ways) + back][name])
            n = self.gates.index(g) * self.units if g else 0
            pieces.append(numpy.ascontiguousarray((a[..., n:n + self.units] if g else a).T))
        n = len(list(self.matrices()))
        self._check_shapes(pieces[:n], pieces[n:])
        return pieces[:n], pieces[n:]


# TF 1: the cells that compute what cuDNN does, CudnnCompatibleLSTMCell and its kin

_TF_SCOPES = {"lstm": "cudnn_compatible_lstm_cell", "gru": "cudnn_compatible_gru_cell", "rnn_tanh": "basic_rnn_cell",
          "rnn_relu": "basic_rnn_cell"}
_TF_LSTM_GATES = "igfo"                                  # the order of its columns


def tf_names(net, scope=""):
    """(names of the kernels, names of the biases, names of the projections) in a checkpoint of TF 1."""
    kernels, biases, projections = [], [], []
    for layer in range(net.layers):
        for back in net.ways:
            path = f"rnn/multi_rnn_cell/cell_{layer}"
            if net.bidirectional:
                path = f"stack_bidirectional_rnn/cell_{layer}/bidirectional_rnn/{'bw' if back else 'fw'}"
            path = f"{scope}/{path}/{_TF_SCOPES[net.mode]}" if scope else f"{path}/{_TF_SCOPES[net.mode]}"
            parts = ("gates/", "candidate/input_projection/", "candidate/hidden_projection/")
            for part in parts if net.mode == "gru" else ("",):
                kernels.append(f"{path}/{part}kernel")
                biases.append(f"{path}/{part}bias")
            projections += [f"{path}/projection/kernel"] if net.projection else []
    return kernels, biases, projections


def _select_gates(net, a, order):
    """The gate blocks of one of our arrays, in this order, end to end."""
    return numpy.concatenate([a[..., net.gates.index(g) * net.units:][..., :net.units] for g in order], -1)


def to_tf(net, weights, biases):
    """Matrices and vectors of cuDNN -> kernels, biases and projections of TF's cells, which have one bias a gate.

    The two biases of a gate are added, but for the candidate of a GRU; they cannot be told apart afterwards.
    """
    _refuse_skip(net)
    kernels, vectors, projections = [], [], []
    for p in net.ours(weights, biases):
        order = {"lstm": _TF_LSTM_GATES, "gru": "rz"}.get(net.mode, "h")
        kernels.append(numpy.concatenate([_select_gates(net, p["W"], order), _select_gates(net, p["R"], order)]))
        vectors.append(_select_gates(net, p["b"] + p["bR"], order))
        if net.mode == "gru":
            kernels += [_select_gates(net, p["W"], "n"), _select_gates(net, p["R"], "n")]
            vectors += [_select_gates(net, p["b"], "n"), _select_gates(net, p["bR"], "n")]
        projections += [p["P"]] if net.projection else []
    return kernels, vectors, projections


def from_tf(net, kernels, biases, projections=()):
    """The way back: each bias is halved, one half for the input and one for the recurrent product."""
    _refuse_skip(net)
    names = tf_names(net)
    for what, given, want in zip(("kernels", "biases", "projections"), (kernels, biases, projections), names):
        if len(given) != len(want):
            raise ShapeError(str(net), f"{len(given)} {what}, expected {len(want)}", names=" ".join(want))
    step, parameters = 3 if net.mode == "gru" else 1, []
    for n in range(net.layers * len(net.ways)):
        k, b = kernels[n * step:][:step], biases[n * step:][:step]
        cut = net.inputs_of(n // len(net.ways))
        order = {"lstm": _TF_LSTM_GATES, "gru": "rz"}.get(net.mode, "h")
        here = [g for g in net.gates if g in order]
        p = {"W": _reorder_gates(net, k[0][:cut], order, here), "R": _reorder_gates(net, k[0][cut:], order, here)}
        p["b"] = p["bR"] = _reorder_gates(net, b[0] / 2, order, here)
        for name, a in zip(("W", "R", "b", "bR"), (*k[1:], *b[1:])):
            p[name] = numpy.concatenate([p[name], a], -1)
        parameters.append(p | ({"P": projections[n]} if net.projection else {}))
    return net.theirs(parameters)


def _reorder_gates(net, a, order, wanted):
    return numpy.concatenate([a[..., order.index(g) * net.units:][..., :net.units] for g in wanted], -1)


def _refuse_skip(net):
    if net.skip:
        raise NotSupported(str(net), "skip=True as cells of TF 1", hint="they have an input matrix")
