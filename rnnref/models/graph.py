"""The graph of a functional model: which calls lead from its inputs to its outputs, and the order of its layers."""
from typing import Any

from ..errors import NotSupported, ShapeError, describe_type
from ..layers import InputLayer, Layer
from ..nest import flatten
from ..symbols import Call, Symbol, calls_between, followed


class Graph:
    """Calls between symbols.

    inputs, outputs    nests of symbols
    flat_inputs, flat_outputs    their leaves; those of a dict by its sorted keys, as in Keras
    calls              in the order in which they were made, and are made again
    operations         the inputs as InputLayers, layers, and calls of functions, each once, in the order of Keras: by
                       their depth, which is the number of calls to the furthest output
    nodes              the calls and the symbols of the inputs
    depths             of each node
    """

    def __init__(self, inputs: Any, outputs: Any):
        for what, tree in (("inputs", inputs), ("outputs", outputs)):
            for a in flatten(tree):
                if not isinstance(a, Symbol):
                    raise NotSupported("Model", f"{describe_type(a)} among the {what}, expected symbols",
                                       fix="x = Input(shape), and what layers and operations make of it")
            if not flatten(tree):
                raise ShapeError("Model", f"no {what}")
        self.inputs, self.outputs = inputs, outputs
        self.flat_inputs, self.flat_outputs = flatten_sorted(inputs), flatten_sorted(outputs)
        self.calls = calls_between(inputs, outputs)
        self.places = [s.layer or InputLayer(input_tensor=s) for s in self.flat_inputs]
        self.nodes, self.depths, self.operations = self._in_order()
        names = [a.name for a in self.operations]
        for name in names:
            if names.count(name) > 1:
                raise ShapeError("Model", f"{names.count(name)} layers are called {name!r}, and weights and layers are "
                                 "found by name", fix="name=... for each of them")

    @property
    def layers(self) -> list:
        """The layers, those of the inputs too."""
        return [a for a in self.operations if isinstance(a, Layer)]

    def run(self, values: Any) -> Any:
        """The outputs for values in the place of the inputs."""
        return followed(self.calls, self.inputs, values, self.outputs)

    def origin(self, symbol: Symbol) -> Any:
        """The node that a symbol comes from: a call, or itself where it is an input."""
        return symbol if any(symbol is s for s in self.flat_inputs) else symbol.call

    def operation(self, node: Any) -> Any:
        """The layer, or the call of a function, of a node."""
        if isinstance(node, Symbol):
            return next(layer for s, layer in zip(self.flat_inputs, self.places) if s is node)
        return node.f if isinstance(node.f, Layer) else node

    def parents(self, node: Any) -> list:
        """The nodes that a node takes symbols from."""
        return [self.origin(s) for s in node.needs] if isinstance(node, Call) else []

    def _in_order(self) -> tuple:
        nodes, met = self._sorted()
        depths: dict = {}
        of_operation: dict = {}
        for node in reversed(nodes):
            operation = id(self.operation(node))
            depth = max(depths.get(id(node), 0), of_operation.get(operation, 0))
            depths[id(node)] = of_operation[operation] = depth
            for parent in self.parents(node):
                depths[id(parent)] = max(depth + 1, depths.get(id(parent), 0))
        first = {}
        for k, node in enumerate(met):
            first.setdefault(id(self.operation(node)), (k, self.operation(node)))
        for s in self.flat_inputs:            # those that no output needs
            if id(s) not in depths:
                depths[id(s)] = of_operation[id(self.operation(s))] = 0
                first[id(self.operation(s))] = -1, self.operation(s)
                nodes.append(s)
        operations = sorted(first.items(), key=lambda item: (-of_operation[item[0]], item[1][0]))
        return nodes, [depths[id(node)] for node in nodes], [a for _, (_, a) in operations]

    def _sorted(self) -> tuple:
        """The nodes from inputs to outputs, and in the order of a walk back from the outputs."""
        done: dict = {}
        met: dict = {}
        for output in self.flat_outputs:
            todo = [(self.origin(output), False)]
            while todo:
                node, left = todo.pop()
                if left:
                    done.setdefault(id(node), node)
                elif id(node) not in met:
                    met[id(node)] = node
                    todo.append((node, True))
                    todo += [(parent, False) for parent in reversed(self.parents(node))]
        return list(done.values()), list(met.values())


def flatten_sorted(tree: Any) -> list:
    """The leaves of a nest, those of a dict in the order of its sorted keys.

    >>> flatten_sorted({"b": [1, 2], "a": 3})
    [3, 1, 2]
    """
    if isinstance(tree, dict):
        tree = [tree[k] for k in sorted(tree)]
    return [leaf for item in tree for leaf in flatten_sorted(item)] if isinstance(tree, (list, tuple)) else [tree]
