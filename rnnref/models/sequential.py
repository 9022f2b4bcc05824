"""Models that are a chain of layers."""
from typing import Any, Optional, Sequence

from ..errors import NotSupported, ShapeError, describe_type
from ..identifiers import unique_name
from ..layers import InputLayer, Layer, config as configs
from ..layers.weight import layer_in
from ..record import paused
from ..symbols import Symbol
from .graph import Graph
from .model import Model


class Sequential(Model):
    """A model that is a chain of layers.

    layers    each takes one argument.  The first may be an Input(shape), or have input_shape=: then the weights are
              made at once, else by the first call

    Same as keras.Sequential.

    >>> import numpy as np
    >>> from rnnref import Input, layers
    >>> model = Sequential([Input((None, 3)), layers.LSTM(4), layers.Dense(1)])
    >>> model.output_shape, model.count_params(), model(np.ones((2, 5, 3))).shape
    ((None, 1), 133, (2, 1))

    Raises NotSupported for what is no layer, ShapeError for a second layer of one name.
    """
    _autocast = False
    _keras_module = "keras"

    def __init__(self, layers: Optional[Sequence] = None, trainable: bool = True, name: Optional[str] = None,
                 **unknown: Any):
        super().__init__(trainable=trainable, name=name, **unknown)
        self._chain: list = []
        for layer in layers or ():
            self._append(layer)
        self._rebuild()

    def add(self, layer: Any) -> None:
        """Append a layer, or set the Input."""
        self._append(layer)
        self._rebuild()

    def pop(self) -> Layer:
        """Remove the last layer, and return it."""
        if not self._chain:
            raise ShapeError(self.who, "pop of a model without layers")
        layer = self._chain.pop()
        self._rebuild()
        return layer

    def _append(self, layer: Any) -> None:
        if isinstance(layer, Symbol) and layer.layer is not None:
            layer = layer.layer
        found = layer_in(layer)
        if found is None:
            raise NotSupported(self.who, f"{describe_type(layer)} among the layers",
                               known="layers, models and Input(shape)")
        if any(found.name == other.name and found is not other for other in self._chain):
            raise ShapeError(self.who, f"a second layer called {found.name!r}", fix="name=... for each of them")
        if isinstance(found, InputLayer) and self._chain:
            raise ShapeError(self.who, f"an Input of shape {found.batch_shape} after the layer "
                                       f"{self._chain[0].name!r}, expected before all layers")
        if not self._chain and found.input_shape_given is not None and not isinstance(found, InputLayer):
            self._chain.append(InputLayer(batch_shape=found.input_shape_given))
        self._chain.append(found)

    def _rebuild(self) -> None:
        """Make the graph, and the weights, if the shape of the inputs is known."""
        self.built, self._built_for, self._graph = False, (), None
        if not self._chain or len(self._chain) == 1 and isinstance(self._chain[0], InputLayer):
            return
        first = self._chain[0]
        if isinstance(first, InputLayer):
            self.build(first.batch_shape)
        elif isinstance(first, Model) and first._graph is not None and isinstance(first.input, Symbol):
            self.build(first.input_shape)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of all layers, for inputs of this shape."""
        if not self.layers:
            raise ShapeError(self.who, "build of a model without layers", fix="add(layer)")
        if isinstance(self._chain[0], InputLayer):
            start = self._chain[0]
        else:
            shape = self._built_for[0] if self._built_for else input_shape
            if not isinstance(shape, tuple) or not all(n is None or hasattr(n, "__index__") for n in shape):
                return                            # nested: the layers are called one after the other
            start = InputLayer(batch_shape=shape, dtype=self._chain[0].dtype)
            self._chain.insert(0, start)
        with paused():
            x = start.output
            for layer in self.layers:
                x = layer(x)
        unique_name("Functional")                 # in Keras the graph of a chain is a model, which is counted
        self._graph = Graph(start.output, x)

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        if self._graph is not None:
            return super().call(inputs, training, mask)
        for layer in self.layers:
            inputs = layer(inputs) if mask is None else layer(inputs, mask=mask)
            mask = None
        return inputs

    def _named_layers(self) -> dict:
        return {layer.name: layer for layer in self._chain}

    @property
    def layers(self) -> list:
        """The layers, without the input."""
        return self._chain[1:] if self._chain and isinstance(self._chain[0], InputLayer) else list(self._chain)

    def get_config(self) -> dict:
        config = {"name": self.name, "trainable": self.trainable, "dtype": self.dtype,
                  "layers": [configs.serialize(layer) for layer in self._chain]}
        return config if self._graph is None else config | {"build_input_shape": self._chain[0].batch_shape}

    @classmethod
    def from_config(cls, config: dict, custom_objects: Optional[dict] = None) -> "Sequential":
        model = cls([configs.deserialize(layer, custom_objects) for layer in config["layers"]], name=config.get("name"))
        if model._graph is None and config.get("build_input_shape"):
            model.build(tuple(config["build_input_shape"]))
        if not config.get("trainable", True):
            model.trainable = False
        return model
