"""What keras.utils has for sequences, labels, seeds and configurations; the rest of it is refused by name."""
from typing import Any, Optional

import numpy

from . import ops
from .absent import Absent
from .arrays import is_array, namespace
from .errors import NotSupported, ShapeError, check_option, describe_type
from .identifiers import clear_names
from .layers import config as configs
from .random import set_random_seed  # noqa: F401
from .registry import (CustomObjectScope, custom_object_scope, get_custom_objects, get_registered_name,  # noqa: F401
                       get_registered_object, register_keras_serializable)
from .symbols import Symbol
from .values import Arraylike

Array = Any

__getattr__ = Absent(
    "utils",
    ("plot_model model_to_dot", "models are not drawn", "model.summary()"),
    ("Progbar", "the bar is that of the package tqdm", "fit(verbose=1), or tqdm itself"),
    ("disable_interactive_logging enable_interactive_logging is_interactive_logging_enabled",
     "there is one form of logs", "verbose= of fit, evaluate and predict"),
    ("audio_dataset_from_directory image_dataset_from_directory text_dataset_from_directory get_file split_dataset "
     "bounding_boxes", "nothing is read from directories or fetched", "arrays that are ready, and slices of them"),
    ("timeseries_dataset_from_array", "there are no datasets",
     "numpy.lib.stride_tricks.sliding_window_view(data, sequence_length, axis=0)"),
    ("array_to_img img_to_array load_img save_img", "nothing is done to images", "arrays that are ready"),
    ("Config FeatureSpace legacy", "there is no preprocessing", "NumPy, before the arrays go into a model"),
)


class PyDataset:
    """Batches by their numbers: what `fit` may be given as x.

    A subclass defines `__len__`, how many batches an epoch has, and `__getitem__(k)`, batch k: (x, y) or
    (x, y, sample_weight); and `on_epoch_begin()` and `on_epoch_end()`, if need be.  `num_batches`, in the place of
    `__len__`, may be None: no end.

    Same as keras.utils.PyDataset, in one thread.  Raises NotSupported for workers above 1 and use_multiprocessing=True.

    >>> class Squares(PyDataset):
    ...     def __len__(self):
    ...         return 2
    ...     def __getitem__(self, k):
    ...         return numpy.full((3, 1), k), numpy.full((3, 1), k * k)
    >>> Squares().num_batches
    2
    """

    def __init__(self, workers: int = 1, use_multiprocessing: bool = False, max_queue_size: int = 10):
        if workers > 1 or use_multiprocessing:
            raise NotSupported("utils.PyDataset", f"workers={workers!r}, use_multiprocessing={use_multiprocessing!r}: "
                               "batches are made one after the other", known="workers=1, use_multiprocessing=False")
        self.workers, self.use_multiprocessing, self.max_queue_size = workers, use_multiprocessing, max_queue_size

    def __getitem__(self, k: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no __getitem__")

    @property
    def num_batches(self) -> Optional[int]:
        """How many batches an epoch has."""
        return len(self)                          # type: ignore[arg-type]

    def on_epoch_begin(self) -> None:
        """Called before the first batch of an epoch."""

    def on_epoch_end(self) -> None:
        """Called after the last one."""


Sequence = PyDataset                              # Keras's older name


def clear_session(free_memory: bool = True) -> None:
    """Restart the numbering of the names of layers and operations.

    >>> from rnnref.layers import Dense
    >>> clear_session()
    >>> Dense(1).name, Dense(1).name
    ('dense', 'dense_1')
    """
    clear_names()


def to_categorical(x: Any, num_classes: Optional[int] = None) -> Array:
    """Classes, integers, as rows that are 1 at the class and 0 elsewhere; a last axis of one is taken away.

    num_classes    None: one more than the largest

    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    x = numpy.asarray(x, "int64")
    x = x[..., 0] if x.ndim > 1 and x.shape[-1] == 1 else x
    n = num_classes or int(x.max()) + 1
    if x.size and not -n <= x.min() <= x.max() < n:
        raise ShapeError("utils.to_categorical", f"classes from {x.min()} to {x.max()}, and num_classes={n}")
    return numpy.eye(n)[x]


def pad_sequences(sequences: Any, maxlen: Optional[int] = None, dtype: Any = "int32", padding: str = "pre",
                  truncating: str = "pre", value: Any = 0.0) -> Array:
    """Sequences of several lengths in one array [B, maxlen, ...].

    maxlen        None: as long as the longest
    padding       where `value` goes in short ones: "pre" or "post"
    truncating    where long ones are cut: "pre" or "post"

    >>> pad_sequences([[1, 2], [3, 4, 5, 6]], maxlen=3)
    array([[0, 1, 2],
           [4, 5, 6]], dtype=int32)

    Raises ShapeError unless all steps are of one shape.
    """
    who = "utils.pad_sequences"
    check_option(who, "padding", padding, ("pre", "post"))
    check_option(who, "truncating", truncating, ("pre", "post"))
    for k, row in enumerate(sequences):
        if not hasattr(row, "__len__"):
            raise ShapeError(who, f"sequence {k} is {describe_type(row)}, expected one with a length")
    n = max(map(len, sequences), default=0) if maxlen is None else maxlen
    rows = [numpy.asarray(row, dtype) for row in sequences]
    step = next((row.shape[1:] for row in rows if len(row)), ())
    found = numpy.full((len(rows), n, *step), value, dtype)
    for k, row in enumerate(rows):
        if not len(row):
            continue
        if row.shape[1:] != step:
            raise ShapeError(who, f"sequence {k} has steps of shape {row.shape[1:]}, expected {step}")
        row = row[max(0, len(row) - n):] if truncating == "pre" else row[:n]
        found[k, slice(n - len(row), n) if padding == "pre" else slice(0, len(row))] = row
    return found


def normalize(x: Array, axis: int = -1, order: int = 2) -> Array:
    """x over its norm along `axis`; what is zero stays.

    >>> normalize(numpy.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    if not is_array(x):
        return ops.normalize(x, axis=axis, order=order)
    xp = namespace(x)
    norm = xp.linalg.norm(x, order, axis, keepdims=True)
    return x / xp.where(norm == 0, 1, norm)


def is_keras_tensor(x: Any) -> bool:
    """Whether it is a symbol, as Input makes them.

    >>> is_keras_tensor(numpy.ones(2)), is_keras_tensor(Symbol((None, 2)))
    (False, True)
    """
    return isinstance(x, Symbol)


def get_source_inputs(tensor: Symbol) -> list:
    """The symbols of the inputs that a symbol depends on.

    >>> x = Symbol((None, 2), name="x")
    >>> get_source_inputs(ops.tanh(x) + x)
    [<Symbol (None, 2) float32>]
    """
    found, seen, todo = [], set(), [tensor]
    while todo:
        s = todo.pop()
        if id(s) not in seen:
            seen.add(id(s))
            if s.call is None:
                found.append(s)
            else:
                todo += reversed(s.call.needs)
    return found


def standardize_dtype(dtype: Any) -> str:
    """The name of a dtype; None is float32, "int" and "float" are Keras's.

    >>> standardize_dtype(numpy.int64), standardize_dtype("float")
    ('int64', 'float32')
    """
    return {None: "float32", "float": "float32", "int": "int32", float: "float32", int: "int32"}.get(
        dtype) or numpy.dtype(dtype).name


def pack_x_y_sample_weight(x: Any, y: Any = None, sample_weight: Any = None) -> Any:
    """What fit takes, as one: x, (x, y) or (x, y, sample_weight).

    >>> pack_x_y_sample_weight(1), pack_x_y_sample_weight(1, 2)
    (1, (1, 2))
    """
    if y is None:
        return (x,) if isinstance(x, (list, tuple)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


def unpack_x_y_sample_weight(data: Any) -> tuple:
    """(x, y, sample_weight), None where there is none.

    >>> unpack_x_y_sample_weight((1, 2))
    (1, 2, None)
    """
    data = tuple(data) if isinstance(data, (list, tuple)) else (data,)
    if not 1 <= len(data) <= 3:
        raise ShapeError("utils.unpack_x_y_sample_weight", f"{len(data)} items, expected x, y, sample_weight")
    return (*data, None, None)[:3]


def serialize_keras_object(obj: Any) -> Any:
    """A layer, a model, an initializer ... as plain data.

    >>> from rnnref.layers import Dense
    >>> serialize_keras_object(Dense(2))["class_name"]
    'Dense'
    """
    return configs.serialize(obj.numpy() if isinstance(obj, Arraylike) else obj)


def deserialize_keras_object(config: Any, custom_objects: Optional[dict] = None, safe_mode: bool = True) -> Any:
    """What serialize_keras_object wrote, here or in Keras.

    >>> from rnnref.layers import Dense
    >>> deserialize_keras_object(serialize_keras_object(Dense(2, name="d")))
    <Dense d, not built>
    """
    return configs.deserialize(config, custom_objects)
