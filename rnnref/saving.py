"""What keras.saving has: models and weights in files, configurations, and objects of users by name."""
from .absent import Absent
from .model_files import load_model, load_weights, save_model, save_weights
from .registry import (CustomObjectScope, custom_object_scope, get_custom_objects, get_registered_name,
                       get_registered_object, register_keras_serializable)
from .utils import deserialize_keras_object, serialize_keras_object

__all__ = ["CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
           "get_registered_name", "get_registered_object", "load_model", "load_weights", "register_keras_serializable",
           "save_model", "save_weights", "serialize_keras_object"]

__getattr__ = Absent("saving", ("KerasFileEditor", "files are not edited", "rnnref.interop.read(path), and h5py"))
