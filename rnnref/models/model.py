"""Models: layers whose `call` is a graph of calls, or free."""
import json
from typing import Any, Callable, Optional

from .. import saving
from ..errors import InvalidType, InvalidValue, NotSupported, ShapeError
from ..layers import Layer, config as configs
from ..layers.nested import map_shapes
from ..nest import describe
from ..options import suggest
from ..record import paused
from ..symbols import Symbol, called
from .graph import Graph
from .inputs import standardize
from .summary import print_summary
from .training import Trained


class Model(Trained, Layer):
    """A layer made of layers, in one of two ways.

    Model(inputs, outputs), symbols alone or in lists, tuples and dicts: the layers and operations between them, each
    called as often as it was called to make the symbols.  They may be shared with other models, be models themselves,
    and the symbols may be such in the middle of another model.  The class is then `Functional`.

    A subclass makes its layers in `__init__`, where they become attributes, alone or in lists and dicts, and defines
    `call(self, inputs)`, which may have loops and branches, and uses NumPy's functions or those of rnnref.ops.
    `call` gets `training` and `mask` if it names them.  Cells of rnnref.tf1 may be attributes too.

        y = model(x)                            arrays; then model.backward(dy) fills model.grads, as in every layer
        with Record(training=True) as record:
            loss = numpy.mean((model(x) - target) ** 2)
        gradients = record.backward(loss)       gradients[w] of every w in model.trainable_weights

    It is trained by `compile` and `fit`, or in a loop of your own, with optimizer = rnnref.optimizers.Adam():

        with Record(training=True) as record:
            loss = numpy.mean((model(x) - target) ** 2)
        optimizer.apply(record.backward(loss), model.trainable_weights)

    Same as keras.Model.

    Raises ShapeError if the outputs need other inputs, or two layers have one name; NotSupported for what is not
    implemented.

    >>> import numpy as np
    >>> from rnnref import Input, Record, layers
    >>> x = Input((None, 3))
    >>> states = layers.LSTM(4, return_sequences=True)(x)
    >>> model = Model(x, {"last": layers.Dense(1)(states[:, -1]), "mean": np.mean(states, axis=1)})
    >>> {name: y.shape for name, y in model(np.ones((2, 5, 3))).items()}
    {'last': (2, 1), 'mean': (2, 4)}

    >>> class Twice(Model):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.dense = layers.Dense(3, "tanh")
    ...     def call(self, x):
    ...         return self.dense(self.dense(x))
    >>> model = Twice()
    >>> with Record() as record:
    ...     loss = np.sum(model(np.ones((2, 3))))
    >>> record.backward(loss)[model.dense.kernel].shape, model.count_params()
    ((3, 3), 12)
    """
    _graph: Optional[Graph] = None

    def __new__(cls, *args: Any, **options: Any) -> Any:
        if cls is Model and is_functional(args, options):
            from .functional import Functional  # functional.py imports this module
            cls = Functional
        return super().__new__(cls, *args, **options)

    def __init__(self, *args: Any, **options: Any) -> None:
        if not is_functional(args, options):
            half = [name for name in ("inputs", "outputs") if name in options]
            if half:
                other = {"inputs": "outputs", "outputs": "inputs"}[half[0]]
                near = next((name for name in options if name not in half and suggest(name, [other])), None)
                raise InvalidType(self.who, f"{half[0]} without {other}",
                                  fix=near and f"{other}= in the place of {near}=")
            super().__init__(*args, **options)
            return
        options = {**dict(zip(("inputs", "outputs", "name"), args)), **options}
        graph = Graph(options.pop("inputs"), options.pop("outputs"))
        super().__init__(**options)
        self._graph, self._autocast, self.built = graph, False, True

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        """What the model computes; training and mask reach all layers inside without being passed on."""
        if self._graph is None:
            raise NotImplementedError(f"{self.who} has no call, and was not made of inputs and outputs")
        y = self._graph.run(standardize(self._graph.inputs, inputs, mask, self.name))
        return y[0] if isinstance(y, (list, tuple)) and len(y) == 1 else y

    def build(self, input_shape: Any) -> None:
        """Make the weights of all layers, by a trial run for inputs of this shape, (None, T, I), or a nest of such."""
        self._sublayers()                         # gives a layer to each cell of rnnref.tf1
        with paused():
            called(self, (map_shapes(lambda s: Symbol(s, self.dtype), input_shape),), {})

    def _build_for(self, args: Any) -> None:
        if self._in_build:
            return                                # a trial run of `build`
        if type(self).build is Model.build:
            self.built = True                     # its layers are built where they are called
        super()._build_for(args)

    # its layers

    def _sublayers(self) -> dict:
        named = self._named_layers()
        known = {id(layer) for layer in named.values()}
        return named | {name: layer for name, layer in super()._sublayers().items() if id(layer) not in known}

    def _named_layers(self) -> dict:
        """{name: layer} of those that it was made of."""
        return {} if self._graph is None else {layer.name: layer for layer in self._graph.layers}

    @property
    def layers(self) -> list:
        """The layers that the model is made of, each once, without those inside of layers."""
        return list({id(layer): layer for layer in self._sublayers().values()}.values())

    def get_layer(self, name: Optional[str] = None, index: Optional[int] = None) -> Layer:
        """The layer of this name, or the one at this place of `layers`."""
        if (name is None) == (index is None):
            raise ShapeError(f"{self.who}.get_layer", f"name={name!r} and index={index!r}, expected one of them")
        layers = self.layers
        if index is not None:
            if not -len(layers) <= index < len(layers):
                raise ShapeError(f"{self.who}.get_layer", f"index={index}, and there are {len(layers)} layers")
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ShapeError(f"{self.who}.get_layer", f"no layer is called {name!r}",
                         known=" ".join(a.name for a in layers))

    # of a graph: its symbols

    def _known_graph(self, what: str) -> Graph:
        if self._graph is None:
            raise ShapeError(self.who, f"{what} of {self.name!r}: it was not made of symbols",
                             fix="an Input(shape), as the first layer of a Sequential" if hasattr(self, "add") else
                                 "Model(inputs, outputs)")
        return self._graph

    inputs = property(lambda self: list(self._known_graph("inputs").flat_inputs))
    outputs = property(lambda self: list(self._known_graph("outputs").flat_outputs))
    input = property(lambda self: self._known_graph("input").inputs)
    output = property(lambda self: self._known_graph("output").outputs)
    input_shape = property(lambda self: _shapes(self.inputs))
    output_shape = property(lambda self: _shapes(self.outputs))
    input_names = property(lambda self: [layer.name for layer in self._known_graph("input_names").places])

    @property
    def output_names(self) -> list:
        """The names of the layers, or operations, that the outputs come from."""
        graph = self._known_graph("output_names")
        return [graph.operation(graph.origin(s)).name for s in self.outputs]

    # what is seen of it

    def summary(self, line_length: Optional[int] = None, positions: Any = None,
                print_fn: Optional[Callable] = None, expand_nested: bool = False, show_trainable: bool = False,
                layer_range: Any = None) -> None:
        """Print a table of the layers, the shapes of their outputs and the sizes of their weights.

        line_length      the width of the table; None: 88, or 108 with connections, and 4 less than the terminal at most
        positions        where the columns end: parts of the width
        print_fn         what is called with the whole text, in the place of print
        expand_nested    the layers of models inside too
        show_trainable   a column with Y, N, or - for layers without weights
        layer_range      two names, or regular expressions: the first and the last layer in the table

        Same as keras.Model.summary.  Differs from it: there is no colour, a table wider than the terminal is not
        cropped, and masks, which go with values here, are no rows of functional models.
        """
        print_summary(self, line_length, positions, print_fn, expand_nested, show_trainable, layer_range)

    # files and configuration

    def save(self, filepath: Any, overwrite: bool = True, zipped: Optional[bool] = None) -> None:
        """Write it to a .keras file, which Keras reads too: see `rnnref.saving.save_model`, and `load_model`."""
        saving.save_model(self, filepath, overwrite, zipped)

    def save_weights(self, filepath: Any, overwrite: bool = True, max_shard_size: Any = None) -> None:
        """Write its weights to a file .weights.h5, .npz or .safetensors: see `rnnref.saving.save_weights`."""
        saving.save_weights(self, filepath, overwrite, max_shard_size)

    def load_weights(self, filepath: Any, skip_mismatch: bool = False) -> None:
        """Take the weights of such a file, or of a .keras file: see `rnnref.saving.load_weights`."""
        saving.load_weights(self, filepath, skip_mismatch)

    def export(self, filepath: Any, *args: Any, **options: Any) -> None:
        """Refused: there are no graphs of other engines."""
        raise NotSupported("Model.export", f"the file {filepath!r}: models are written as Keras's files alone",
                           fix="model.save(path), and export of Keras, which reads the file")

    def to_json(self, **options: Any) -> str:
        """Its configuration as JSON, without weights; `models.model_from_json` makes the model of it."""
        return json.dumps(configs.serialize(self), **options)

    @classmethod
    def from_config(cls, config: dict, custom_objects: Optional[dict] = None) -> "Model":
        """A model, without its weights, from a configuration of `get_config`, here or in Keras.

        custom_objects   {class name: class} for classes that are not rnnref's
        """
        if "input_layers" in config and "layers" in config:
            from .functional import functional_from_config
            return functional_from_config(cls, config, custom_objects)
        return super().from_config(config, custom_objects)             # type: ignore[return-value]


def clone_model(model: Model, input_tensors: Any = None, clone_function: Any = None, call_function: Any = None,
                recursive: bool = False, **options: Any) -> Model:
    """Copy a model: the same configuration, with weights of its own.

    >>> from rnnref import Sequential, layers
    >>> model = Sequential([layers.Dense(2, input_shape=(3,))])
    >>> clone_model(model).count_params()
    8
    """
    for name, value in {"input_tensors": input_tensors, "clone_function": clone_function,
                        "call_function": call_function, "recursive": recursive, **options}.items():
        if value:
            raise NotSupported("models.clone_model", f"{name}={value!r}", fix="type(model).from_config(config), of a "
                               "changed model.get_config()")
    return type(model).from_config(model.get_config())


def model_from_json(json_string: str, custom_objects: Optional[dict] = None) -> Model:
    """The model that `to_json` wrote, here or in Keras, without its weights.

    >>> from rnnref import Sequential, layers
    >>> model_from_json(Sequential([layers.Dense(2, input_shape=(3,))], name="small").to_json())
    <Sequential small>
    """
    try:
        config = json.loads(json_string)
    except (TypeError, ValueError) as e:
        raise InvalidValue("models.model_from_json", f"the text is not JSON: {e}", fix="model.to_json()") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise InvalidValue("models.model_from_json", f"the text holds {describe(config)}, expected the configuration "
                           "of a model", fix="model.to_json()")
    return configs.deserialize(config, custom_objects)


def is_functional(args: tuple, options: dict) -> bool:
    """Whether a model is made of inputs and outputs."""
    return len(args) >= 2 or len(args) == 1 and "outputs" in options or "inputs" in options and "outputs" in options


def _shapes(symbols: list) -> Any:
    return symbols[0].shape if len(symbols) == 1 else [s.shape for s in symbols]
