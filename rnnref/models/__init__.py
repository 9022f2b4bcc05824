"""Models with Keras's names: a chain of layers, a graph of their calls, or a class of your own."""
from ..saving import load_model, save_model
from .functional import Functional
from .model import Model, clone_model, model_from_json
from .sequential import Sequential
