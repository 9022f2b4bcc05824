"""Models with Keras's names: a chain of layers, a graph of their calls, or a class of your own."""
from ..absent import Absent
from .functional import Functional
from .model import Model, clone_model, model_from_json
from .sequential import Sequential

__getattr__ = Absent("models", (
    "load_model save_model", "not there yet: it comes with saving",
    "model.to_json() and models.model_from_json(text); numpy.savez(path, *model.get_weights()), and model.set_weights"))
