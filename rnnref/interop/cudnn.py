"""The parameters of cuDNN: one flat buffer, its matrices and vectors, our parameters, and the variables of TF 1.

A network is a list of pseudo-layers: layer 0 forwards, (backwards,) layer 1 forwards, and so on.  Each has matrices
[units, in], an input matrix for every gate, then a recurrent one for every gate, then the projection [P, units]; and
vectors [units], input biases then recurrent ones.  Gates come in our order: i f g o, r z n.

The buffer holds the matrices of all pseudo-layers, each row by row, and after them all vectors, in this order and
without gaps (64-bit cuDNN, CUDNN_RNN_DOUBLE_BIAS; PyTorch's flattened weights are the same).  `Network.offsets` lists
where each lies.
"""
from dataclasses import dataclass
from math import prod
from typing import Any, Iterator, NamedTuple, Optional, Sequence

import numpy

from ..arrays import Array, namespace
from ..errors import NotSupported, ShapeError, check_option
from ..tree import leaves
from .convert import dump, gates_with_own_bias, load
from .families import cell_for, layout_of
from .layouts import Layout
from .places import BoundedCache, Places, arrays_of, as_array

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
    """The description of a network on which the layout of cuDNN's buffer depends.

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

    def __post_init__(self) -> None:
        check_option("cuDNN", "mode", self.mode, tuple(GATES))
        if self.projection and self.mode != "lstm":
            raise NotSupported("cuDNN", f"projection={self.projection} in mode {self.mode!r}", known="'lstm'")
        if self.skip and self.inputs != self.units:
            raise NotSupported("cuDNN", f"skip=True with {self.inputs} inputs and {self.units} units",
                               hint="x takes the place of the product, so it must be as wide as the units")

    @property
    def gates(self) -> str:
        """The gates, in the order of their matrices."""
        return GATES[self.mode]

    @property
    def ways(self) -> tuple[bool, ...]:
        """For each direction, True if it is the backward one."""
        return (False, True) if self.bidirectional else (False,)

    @property
    def width(self) -> int:
        """The width of h."""
        return self.projection or self.units

    def inputs_of(self, layer: int) -> int:
        """The width of the input of a layer."""
        return self.width * len(self.ways) if layer else self.inputs

    def offsets(self) -> list[Piece]:
        """Every piece of the buffer, in its order."""
        pieces, start = [], 0
        for name, layer, back, gate, shape in [*self.matrices(), *self.vectors()]:
            pieces.append(Piece(name, layer, back, gate, start, shape))
            start += prod(shape)
        return pieces

    def matrices(self) -> Iterator[tuple]:
        """(name, layer, back, gate, shape) of every matrix, in order."""
        for layer in range(self.layers):
            for back in self.ways:
                if layer or not self.skip:
                    yield from (("W", layer, back, g, (self.units, self.inputs_of(layer))) for g in self.gates)
                yield from (("R", layer, back, g, (self.units, self.width)) for g in self.gates)
                if self.projection:
                    yield "P", layer, back, "", (self.projection, self.units)

    def vectors(self) -> Iterator[tuple]:
        """(name, layer, back, gate, shape) of every vector, in order."""
        for layer in range(self.layers):
            for back in self.ways:
                for name in ("b", "bR"):
                    yield from ((name, layer, back, g, (self.units,)) for g in self.gates)

    @property
    def size(self) -> int:
        """How many numbers the buffer holds."""
        last = self.offsets()[-1]
        return last.start + prod(last.shape)

    def canonical_shapes(self) -> tuple[list[tuple], list[tuple]]:
        """(shapes of the matrices, shapes of the vectors), in order."""
        return [shape for *_, shape in self.matrices()], [shape for *_, shape in self.vectors()]

    def split(self, buffer: Array) -> tuple[list[Array], list[Array]]:
        """The buffer -> its matrices and its vectors, in order."""
        flat = as_array(buffer).reshape(-1)
        if flat.size != self.size:
            raise ShapeError(str(self), f"the buffer holds {flat.size} numbers, expected {self.size}")
        pieces = [flat[p.start:p.start + prod(p.shape)].reshape(p.shape) for p in self.offsets()]
        return self._separate(pieces)

    def join(self, weights: Sequence[Array], biases: Sequence[Array]) -> Array:
        """Matrices and vectors -> the buffer."""
        pieces = self._check_shapes(weights, biases)
        return namespace(*pieces).concatenate([a.reshape(-1) for a in pieces])

    def _separate(self, pieces: list[Array]) -> tuple[list[Array], list[Array]]:
        n = len(list(self.matrices()))
        return pieces[:n], pieces[n:]

    def _check_shapes(self, weights: Sequence[Array], biases: Sequence[Array]) -> list[Array]:
        """All of them in order, if their shapes fit."""
        for what, arrays, expected in zip(("weights", "biases"), (weights, biases), self.canonical_shapes()):
            if [tuple(a.shape) for a in arrays] != expected:
                raise ShapeError(str(self), f"{what} have shapes {[tuple(a.shape) for a in arrays]}",
                                 axes=f"expected {expected}")
        return [as_array(a) for a in (*weights, *biases)]

    def ours(self, weights: Sequence[Array], biases: Sequence[Array]) -> tuple[dict[str, Array], ...]:
        """Matrices and vectors -> a tuple of parameters, one dict for each pseudo-layer: W R b bR (P)."""
        pieces = dict(zip(map(str, range(self.size)), self._check_shapes(weights, biases)))
        parameters: list[dict] = [{} for _ in range(self.layers * len(self.ways))]
        for path, a in _find_places(self).to_ours(pieces).items():
            n, _, name = path.partition(".")
            parameters[int(n)][name] = a
        return tuple(parameters)

    def theirs(self, parameters: Sequence[dict[str, Array]]) -> tuple[list[Array], list[Array]]:
        """Our parameters, a dict for each pseudo-layer -> matrices and vectors."""
        pieces = _find_places(self).to_theirs(dict(leaves(tuple(parameters))))
        return self._separate(list(pieces.values()))


def _build_places(net: Network) -> Places:
    """Where the numbers of every piece lie among the parameters of all pseudo-layers."""
    blocks: dict = {}                             # our path -> its pieces, gate by gate
    for k, piece in enumerate(net.offsets()):
        path = f"{piece.layer * len(net.ways) + piece.back}.{piece.name}"
        blocks.setdefault(path, []).append((str(k), piece.shape))
    shapes, indices, start = {}, {}, 0
    for path, pieces in blocks.items():
        shapes[path] = (*pieces[0][1][:0:-1], sum(shape[0] for _, shape in pieces))
        size = prod(shapes[path])
        index = numpy.arange(start, start + size).reshape(shapes[path])
        indices |= {k: part.T for (k, _), part in zip(pieces, numpy.split(index, len(pieces), -1))}
        start += size
    return Places(shapes, {k: indices[k] for k in map(str, range(len(indices)))})


_find_places = BoundedCache(_build_places)


# TF 1: the cells that compute what cuDNN does, CudnnCompatibleLSTMCell and others

_TF_SCOPES = {"lstm": "cudnn_compatible_lstm_cell", "gru": "cudnn_compatible_gru_cell", "rnn_tanh": "basic_rnn_cell",
              "rnn_relu": "basic_rnn_cell"}
_TF_LAYOUTS = {"lstm": ("lstm", "tf1"), "gru": ("gru", "tf1 cudnn"), "rnn_tanh": ("rnn", "tf1"),
               "rnn_relu": ("rnn", "tf1")}
_KINDS = {"W": 0, "R": 0, "b": 1, "bR": 1, "P": 2}         # kernels, biases, projections


def _list_variables(net: Network) -> tuple[list[str], list[str], list[str]]:
    """The names that TF gives the variables of one pseudo-layer: (kernels, biases, projections)."""
    names: tuple = ([], [], [])
    for name, row in arrays_of(layout_of(*_TF_LAYOUTS[net.mode])).items():
        if row.ours in _KINDS and (row.ours != "P" or net.projection):
            names[_KINDS[row.ours]].append(name)
    return names


def tf_names(net: Network, scope: str = "") -> tuple[list[str], list[str], list[str]]:
    """(names of the kernels, names of the biases, names of the projections) in a checkpoint of TF 1."""
    names: tuple = ([], [], [])
    for layer in range(net.layers):
        for back in net.ways:
            path = f"rnn/multi_rnn_cell/cell_{layer}"
            if net.bidirectional:
                path = f"stack_bidirectional_rnn/cell_{layer}/bidirectional_rnn/{'bw' if back else 'fw'}"
            path = f"{scope}/{path}/{_TF_SCOPES[net.mode]}" if scope else f"{path}/{_TF_SCOPES[net.mode]}"
            for kind, own in zip(names, _list_variables(net)):
                kind += [f"{path}/{name}" for name in own]
    return names


def _make_tf_cell(net: Network) -> tuple[Layout, Any, set[str]]:
    """The layout of TF's cell, the cell, and the gates that have a recurrent bias of their own."""
    family, framework = _TF_LAYOUTS[net.mode]
    layout = layout_of(family, framework)
    cell = cell_for(family, layout, **{"projection": net.projection} if net.projection else {})
    return layout, cell, gates_with_own_bias(layout, cell)


def _own_bias_mask(net: Network, own: set[str], like: Array) -> Array:
    """For each number of a bias, whether its gate has a recurrent bias of its own."""
    return namespace(like).asarray(numpy.repeat([g in own for g in net.gates], net.units))


def to_tf(net: Network, weights: Sequence[Array], biases: Sequence[Array]) -> tuple[list[Array], ...]:
    """Matrices and vectors of cuDNN -> kernels, biases and projections of TF's cells, which have one bias a gate.

    The two biases of a gate are added, but for the candidate of a GRU; they cannot be told apart afterwards.
    """
    _refuse_skip(net)
    layout, cell, own = _make_tf_cell(net)
    kinds: tuple = ([], [], [])
    for p in net.ours(weights, biases):
        xp, b, bR = namespace(p["b"]), p["b"], p.pop("bR")
        mask = _own_bias_mask(net, own, b)
        p["b"] = xp.where(mask, b, b + bR)
        arrays = dump(layout, p | ({"bR": xp.where(mask, bR, 0)} if own else {}), cell)
        for kind, names in zip(kinds, _list_variables(net)):
            kind += [arrays[name] for name in names]
    return kinds


def from_tf(net: Network, kernels: Sequence[Array], biases: Sequence[Array],
            projections: Sequence[Array] = ()) -> tuple[list[Array], list[Array]]:
    """Kernels, biases and projections of TF's cells -> matrices and vectors of cuDNN.

    A bias that stands for two is halved: one half for the input, one for the recurrent product.
    """
    _refuse_skip(net)
    kinds = (kernels, biases, projections)
    for what, arrays, names in zip(("kernels", "biases", "projections"), kinds, tf_names(net)):
        if len(arrays) != len(names):
            raise ShapeError(str(net), f"{len(arrays)} {what}, expected {len(names)}", names=" ".join(names))
    (layout, cell, own), parameters, names = _make_tf_cell(net), [], _list_variables(net)
    for n in range(net.layers * len(net.ways)):
        p = load(layout, {name: arrays[n * len(each) + k] for each, arrays in zip(names, kinds)
                          for k, name in enumerate(each)}, cell)
        xp, b = namespace(p["b"]), p["b"]
        mask = _own_bias_mask(net, own, b)
        p["b"] = xp.where(mask, b, b / 2)
        p["bR"] = xp.where(mask, p["bR"], b / 2) if own else b / 2
        parameters.append(p)
    pieces = net.theirs(parameters)
    net._check_shapes(*pieces)
    return pieces


def _refuse_skip(net: Network) -> None:
    if net.skip:
        raise NotSupported(str(net), "skip=True as cells of TF 1", hint="they have an input matrix")
