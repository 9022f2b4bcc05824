"""Models that are made of symbols, and their configurations."""
from typing import Any, Optional

from .. import ops
from ..arrays import asnumpy, is_array
from ..errors import NotSupported, ShapeError, describe_type
from ..layers import Layer, config as configs
from ..nest import flatten, map_structure
from ..symbols import Symbol
from .graph import Graph
from .keras_ops import as_in_keras, class_name, function_name, restore
from .model import Model


class Functional(Model):
    """Model(inputs, outputs): see `Model`.

    >>> from rnnref import Input, layers
    >>> x = Input((3,), name="x")
    >>> model = Model(x, layers.Dense(2, name="y")(x))
    >>> type(model).__name__, model.inputs, [layer.name for layer in model.layers]
    ('Functional', [<Symbol (None, 3) float32>], ['x', 'y'])
    """
    _keras_module = "keras.src.models.functional"

    def get_config(self) -> dict:
        return {"name": self.name, "trainable": self.trainable} | _Written(self._known_graph("get_config")).config()


class _Written:
    """A graph as Keras writes it: for each layer its calls, for each argument of a call where it comes from."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.calls: dict = {}                     # {id of an operation: its nodes in this graph}
        for node in sorted(graph.nodes, key=lambda a: getattr(a, "index", 0)):
            self.calls.setdefault(id(graph.operation(node)), []).append(node)

    def config(self) -> dict:
        return {"layers": [self.operation(a) for a in self.graph.operations],
                "input_layers": map_structure(self.end, self.graph.inputs),
                "output_layers": map_structure(self.end, self.graph.outputs)}

    def operation(self, a: Any) -> dict:
        if not isinstance(a, Layer):
            return self.call_of_function(a)
        found = configs.serialize(a)
        calls = [node for node in self.calls[id(a)] if not isinstance(node, Symbol)]
        found.update(name=a.name, inbound_nodes=[self.inbound(call.args, call.options) for call in calls])
        return found

    def inbound(self, args: Any, options: dict) -> dict:
        return {"args": [self.argument(a) for a in args], "kwargs": {k: self.argument(a) for k, a in options.items()}}

    def call_of_function(self, call: Any) -> dict:
        """A function between layers, as Keras's class where there is one."""
        name = call.f.__name__
        if name not in ops.PROVIDED:
            raise NotSupported("Model.get_config", f"a call of {name}, which is not of rnnref.ops",
                               fix="a layer with get_config")
        theirs = as_in_keras(name, call.args, call.options)
        if theirs is None:
            root = __package__.partition(".")[0]
            theirs, options = (f"{root}.ops", call.args, {}), call.options
        else:
            name, options = class_name(name), {}
        module, args, held = theirs
        return {"module": module, "class_name": name, "config": {"name": call.name, **self.argument(held)},
                "registered_name": name, "name": call.name, "inbound_nodes": [self.inbound(args, options)]}

    def source(self, symbol: Symbol) -> list:
        """[name of the operation, which of its calls, which of the results]"""
        node = self.graph.origin(symbol)
        operation = self.graph.operation(node)
        place = 0 if node is symbol else symbol.place
        return [operation.name, next(k for k, one in enumerate(self.calls[id(operation)]) if one is node), place]

    def end(self, symbol: Symbol) -> list:
        """`source` of an input or output, where Keras counts one call more of a functional model inside."""
        name, which, place = self.source(symbol)
        return [name, which + isinstance(self.graph.operation(self.graph.origin(symbol)), Functional), place]

    def argument(self, a: Any) -> Any:
        if isinstance(a, Symbol):
            return {"class_name": "__keras_tensor__", "config": {
                "shape": list(a.shape), "dtype": a.dtype.name, "keras_history": self.source(a)}}
        if isinstance(a, (list, tuple, dict)):
            return {k: self.argument(v) for k, v in a.items()} if isinstance(a, dict) else list(map(self.argument, a))
        if is_array(a):
            return {"class_name": "__numpy__", "config": {"value": asnumpy(a).tolist(), "dtype": a.dtype.name}}
        if isinstance(a, slice):
            return {"class_name": "__slice__", "config": {"start": a.start, "stop": a.stop, "step": a.step}}
        if a is Ellipsis:
            return {"class_name": "__ellipsis__", "config": {}}
        if a is None or isinstance(a, (bool, int, float, str)):
            return a
        raise NotSupported("Model.get_config", f"{describe_type(a)} among the arguments of a call")


def functional_from_config(cls: Any, config: dict, custom_objects: Optional[dict] = None) -> Model:
    """The model of a configuration with layers, input_layers and output_layers."""
    config = dict(config)
    rows, inputs, outputs = (config.pop(key) for key in ("layers", "input_layers", "output_layers"))
    read = _Read(rows, custom_objects)
    trainable = config.pop("trainable", None)
    config.pop("dtype", None)
    model = cls(inputs=read.symbols(inputs), outputs=read.symbols(outputs), name=config.pop("name", None), **config)
    if trainable is False:
        model.trainable = False
    return model


class _Read:
    """Call the operations of a configuration with the arguments written there."""

    def __init__(self, rows: list, custom_objects: Optional[dict]):
        self.made = {row["name"]: _operation(row, custom_objects) for row in rows}
        self.outs: dict = {name: [a.output] if hasattr(a, "batch_shape") else [] for name, a in self.made.items()}
        todo = [(row["name"], call) for row in rows for call in row["inbound_nodes"]]
        while todo:
            left = []
            for name, call in todo:               # calls of one layer stay in order
                if any(name == other for other, _ in left) or not self._make(name, call):
                    left.append((name, call))
            if len(left) == len(todo):
                raise ShapeError("Model.from_config", "some calls take results that no other call gives",
                                 layers=" ".join(dict.fromkeys(name for name, _ in left)))
            todo = left

    def _make(self, name: str, call: Any) -> bool:
        args, options = self._arguments(call)
        needs = [a for a in flatten((args, options)) if isinstance(a, _Source)]
        if not all(a.which < len(self.outs.get(a.name, ())) for a in needs):
            return False
        args, options = map_structure(lambda a: self._symbol(a) if isinstance(a, _Source) else a, (args, options))
        outs = self.made[name](*args, **options)
        if not isinstance(self.made[name], Layer):
            flatten(outs)[0].call.name = name
        self.outs[name].append(outs)
        return True

    def _arguments(self, call: Any) -> tuple:
        if not isinstance(call, dict):            # of Keras 2
            sources = [_Source(*a[:3]) for a in call]
            return (sources[0] if len(sources) == 1 else sources,), dict(call[0][3]) if len(call[0]) > 3 else {}
        return tuple(self._restored(a) for a in call["args"]), {
            k: self._restored(a) for k, a in call["kwargs"].items()}

    def _restored(self, a: Any) -> Any:
        if isinstance(a, list):
            return [self._restored(item) for item in a]
        if not isinstance(a, dict):
            return a
        kind, config = a.get("class_name"), a.get("config", {})
        if kind is None:
            return {k: self._restored(item) for k, item in a.items()}
        if kind == "__keras_tensor__":
            return _Source(*config["keras_history"])
        if kind in ("__numpy__", "__tensor__"):
            return ops.array(config["value"], config["dtype"])
        if kind == "__slice__":
            return slice(*(config[k] for k in ("start", "stop", "step")))
        if kind == "__ellipsis__":
            return Ellipsis
        raise NotSupported("Model.from_config", f"{kind} among the arguments of a call")

    def _symbol(self, a: "_Source") -> Symbol:
        return flatten(self.outs[a.name][a.which])[a.place]

    def symbols(self, tree: Any) -> Any:
        """A nest of [name, call, place] as one of symbols."""
        if isinstance(tree, dict):
            return {k: self.symbols(v) for k, v in tree.items()}
        if len(tree) == 3 and isinstance(tree[0], str):
            name, which, place = tree
            return self._symbol(_Source(name, which - isinstance(self.made[name], Functional), place))
        items = [self.symbols(v) for v in tree]
        return tuple(items) if isinstance(tree, tuple) else items


class _Source:
    """Where an argument comes from."""

    def __init__(self, name: str, which: int, place: int):
        self.name, self.which, self.place = name, which, place


def _operation(row: dict, custom_objects: Optional[dict]) -> Any:
    """The layer of a row; of an operation of rnnref.ops or keras.ops the function, with its options."""
    module, name = row.get("module") or "", row["class_name"]
    if module == f"{__package__.partition('.')[0]}.ops" or module.startswith("keras.src.ops"):
        return restore(row, name if name in ops.PROVIDED else function_name(name))
    return configs.deserialize({**row, "config": {"name": row["name"], **row["config"]}}, custom_objects)
