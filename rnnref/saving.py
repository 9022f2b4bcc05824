"""What keras.saving has for configurations and objects of users; files of models are not there yet."""
from .absent import Absent
from .registry import (CustomObjectScope, custom_object_scope, get_custom_objects, get_registered_name,
                       get_registered_object, register_keras_serializable)
from .utils import deserialize_keras_object, serialize_keras_object

__all__ = ["CustomObjectScope", "custom_object_scope", "deserialize_keras_object", "get_custom_objects",
           "get_registered_name", "get_registered_object", "register_keras_serializable", "serialize_keras_object"]

__getattr__ = Absent("saving", (
    "KerasFileEditor load_model load_weights save_model save_weights", "not there yet: it comes with saving",
    "model.to_json() and models.model_from_json(text); numpy.savez(path, *model.get_weights()), and model.set_weights"))
