"""ONNX models as graphs: the nodes of all subgraphs, the part of a graph that some values need."""
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any, NamedTuple

from ..arrays import Array
from ..errors import import_optional

RECURRENT = ("RNN", "GRU", "LSTM")
QUANTIZED_LSTM = "DynamicQuantizeLSTM"
OWN_NAME = "rnnref."                              # how names of values begin that the model itself does not name
_FEW = 64


class Node(NamedTuple):
    """A node, and the names by which its graph and the ones around it know the same values."""
    proto: Any
    depth: int                                    # 0: in the main graph
    aliases: dict[str, str]                       # the inputs of subgraphs -> what is passed for them

    @property
    def title(self) -> str:
        """The name of the node, or what it computes."""
        outputs = [name for name in self.proto.output if name and not name.startswith(OWN_NAME)]
        return self.proto.name or f"{self.proto.op_type} -> {' '.join(outputs[:1])}"


def walk_nodes(graph: Any, depth: int = 0, aliases: dict[str, str] | None = None) -> Iterator[Node]:
    """All nodes of a graph and of its subgraphs."""
    aliases = aliases or {}
    for proto in graph.node:
        yield Node(proto, depth, aliases)
        for body in subgraphs_of(proto):
            passed = _names_passed(proto, body)
            yield from walk_nodes(body, depth + 1, aliases | passed)


def subgraphs_of(node: Any) -> list[Any]:
    """The graphs among the attributes of a node."""
    return [g for a in node.attribute for g in ([a.g] if a.HasField("g") else a.graphs)]


def _names_passed(node: Any, body: Any) -> dict[str, str]:
    """{input of a body: what the node passes for it}, for Loop and Scan."""
    names = [a.name for a in body.input]
    if node.op_type == "Loop":
        return dict(zip(names[2:], node.input[2:]))
    return dict(zip(names, node.input)) if node.op_type == "Scan" else {}


def names_read(node: Any) -> set[str]:
    """The names of all values that a node reads, also in its subgraphs."""
    read = set(node.input)
    for body in subgraphs_of(node):
        own = {a.name for a in (*body.input, *body.initializer)} | {n for inner in body.node for n in inner.output}
        read |= {n for inner in body.node for n in names_read(inner)} - own
        read |= {a.name for a in body.output} - own
    return read - {""}


def names_made(graph: Any) -> set[str]:
    """The names of all values that the nodes of a graph compute."""
    return {name for node in graph.node for name in node.output if name}


def required_inputs(model: Any) -> dict[str, Any]:
    """{name: type} of the inputs without a default."""
    initialised = {t.name for t in model.graph.initializer} | {t.values.name for t in model.graph.sparse_initializer}
    return {a.name: a.type for a in model.graph.input if a.name not in initialised}


class Constants:
    """The initializers and Constant nodes of a model, read when they are asked for: a model may be large."""

    def __init__(self, model: Any) -> None:
        nodes = [node.proto for node in walk_nodes(model.graph)]
        self._tensors = {t.name: t for t in model.graph.initializer}
        self._tensors |= {node.output[0]: a.t for node in nodes if node.op_type == "Constant"
                          for a in node.attribute if a.HasField("t")}

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __getitem__(self, name: str) -> Array:
        onnx = import_optional("onnx", "verify", "verify")
        return onnx.numpy_helper.to_array(self._tensors[name])

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a constant; None if there is none of this name."""
        return tuple(self._tensors[name].dims) if name in self else None

    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of all constants."""
        return [tuple(t.dims) for t in self._tensors.values()]

    def get_integers(self, name: str) -> list[int]:
        """The values of a constant of a few integers; [] if it is something else."""
        shape = self.shape(name)
        if shape is None or prod(shape) > _FEW:
            return []
        a = self[name]
        return a.ravel().tolist() if a.dtype.kind in "iu" else []


def size_of_weights(model: Any) -> int:
    """The bytes of all initializers."""
    return sum(t.ByteSize() for t in model.graph.initializer)


def cut_model(model: Any, given: Iterable[str], outputs: Iterable[str]) -> Any:
    """A model of the nodes that `outputs` need when the values `given` are fed; its inputs have no types yet."""
    onnx = import_optional("onnx", "verify", "verify")
    given, needed, kept = set(given), set(outputs), []
    for node in reversed(model.graph.node):
        if (set(node.output) - given) & needed:
            kept.append(node)
            needed |= names_read(node)
    needed -= names_made(onnx.helper.make_graph(kept, "kept", [], []))
    cut = onnx.ModelProto(ir_version=model.ir_version)
    cut.opset_import.extend(model.opset_import)
    cut.graph.name = model.graph.name or "graph"
    cut.graph.node.extend(reversed(kept))
    cut.graph.initializer.extend(t for t in model.graph.initializer if t.name in needed and t.name not in given)
    cut.graph.input.extend(a for a in model.graph.input if a.name in needed)
    return cut
