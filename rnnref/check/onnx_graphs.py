"""ONNX models as graphs: reading a file, the nodes of all subgraphs, the part of a graph that some values need."""
from collections.abc import Iterable, Iterator
from math import prod
from os import PathLike
from typing import Any, NamedTuple

from ..arrays import Array
from ..errors import Error, import_optional

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


def load_model(candidate: Any) -> Any:
    """The ModelProto of a file, with its external data; raise an error of rnnref if it is none."""
    onnx = import_optional("onnx", "verify", "verify")
    if not isinstance(candidate, (str, PathLike)):
        model = onnx.ModelProto()
        model.CopyFrom(candidate)                 # outputs are added to it
        return inline_functions(model)
    try:
        model = onnx.load(candidate)
    except OSError as e:
        raise Error("verify", f"{candidate} cannot be read: {e.strerror or e}") from None
    except Exception as e:                        # errors of protobuf and of external data have no common class
        raise Error("verify", f"{candidate} is not a valid ONNX model", reason=" ".join(str(e).split())) from None
    if not model.graph.node:
        raise Error("verify", f"{candidate} is not a valid ONNX model", reason="it has no nodes")
    if not _has_readable_names(model):
        raise Error("verify", f"{candidate} is not a valid ONNX model", reason="it has names that are not UTF-8")
    return inline_functions(model)


def _has_readable_names(model: Any) -> bool:
    """False if a name is not UTF-8: protobuf gives bytes for it, or raises an error."""
    graph = model.graph
    try:
        names = [a.name for a in (*graph.input, *graph.output, *graph.initializer)]
        for node in walk_nodes(graph):
            bodies = [a.name for body in subgraphs_of(node.proto) for a in (*body.input, *body.output)]
            names += [node.proto.op_type, node.proto.domain, node.proto.name, *node.proto.input, *node.proto.output,
                      *bodies, *(a.name for a in node.proto.attribute)]
    except UnicodeDecodeError:
        return False
    return all(isinstance(name, str) for name in (graph.name, *names, *(o.domain for o in model.opset_import)))


def inline_functions(model: Any) -> Any:
    """The model with the bodies of its local functions in place of their calls."""
    if not model.functions:
        return model
    inliner = import_optional("onnx.inliner", "verify", "verify")
    try:
        return inliner.inline_local_functions(model)
    except Exception as e:                        # of C++: no common class
        raise Error("verify", "the local functions of the model cannot be inlined",
                    reason=" ".join(str(e).split())) from None


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
