"""Models and their weights in files: .keras, .weights.h5, .npz, .safetensors; those of Keras 3 both ways."""
import json
import os
import time
from typing import Any, Callable, Optional
from warnings import warn
from zipfile import ZipFile, ZipInfo

from .errors import Error, FileError, NotSupported, ShapeError, describe_type
from .files.atomic import replace_file, to_path
from .files.hdf5 import pack_h5, read_h5, write_h5
from .files.npz import read_npz, write_npz
from .files.opening import naming
from .files.tensors import read_safetensors, write_safetensors
from .files.zips import open_zip, read_member
from .layers import config as configs
from .object_paths import assign_arrays, check_shapes, collect_arrays, find_places
from .registry import custom_object_scope

KERAS_VERSION = "3.15.1"                          # whose files these are
WEIGHTS, WEIGHTS_NPZ = "model.weights.h5", "model.weights.npz"
ENDINGS = (".weights.h5", ".npz", ".safetensors")


def save_model(model: Any, filepath: Any, overwrite: bool = True, zipped: Optional[bool] = None) -> None:
    """Write a model to a .keras file: its configuration, how it is compiled, its weights and those of its optimizer.

    Keras 3 reads the file where the layers are Keras's, and goes on training from there.  The file is complete or the
    one before (see `rnnref.save`).

    overwrite    False: a file that is there is an error

    Same as keras.saving.save_model, model.save.  Raises ShapeError for a model without weights yet, NotSupported for
    another ending and for what has no configuration, FileError where the path cannot be written.

    >>> import tempfile, numpy as np
    >>> from rnnref import Sequential, layers
    >>> model = Sequential([layers.Dense(2, input_shape=(3,))])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(model, f"{folder}/m.keras")
    ...     again = load_model(f"{folder}/m.keras")
    >>> bool((again(np.ones((1, 3))) == model(np.ones((1, 3)))).all())
    True
    """
    who, path = "save_model", to_path("save_model", filepath)
    if not path.endswith(".keras") or zipped is False:
        raise NotSupported(who, f"the file {path!r}{', zipped=False' if zipped is False else ''}",
                           known="names that end in .keras",
                           fix=f"model.save_weights(path) for the weights alone: {' '.join(ENDINGS)}")
    _check_built(who, model)
    _check_overwrite(who, path, overwrite)
    places = find_places(model)
    texts = {"metadata.json": {"keras_version": KERAS_VERSION, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S"),
                               "written_by": __package__}, "config.json": _serialize(model)}
    packed = pack_h5(who, collect_arrays(places, True), {place.group: place.owner.name for place in places})
    with replace_file(who, path) as file, ZipFile(file, "w") as archive:
        for name, data in {**{n: json.dumps(text).encode() for n, text in texts.items()}, WEIGHTS: packed}.items():
            archive.writestr(ZipInfo(name, time.localtime()[:6]), data)


def _serialize(model: Any) -> dict:
    """The configuration of a model as Keras writes it, with the shapes it was built for and how it is compiled."""
    found = configs.serialize_shared(model)
    found["build_config"] = {"input_shape": _shape_built_for(model)}
    compiled = getattr(model, "get_compile_config", dict)()
    return found | {"compile_config": compiled} if compiled else found


def _shape_built_for(model: Any) -> Any:
    """The shape of the inputs of the first call with the batch open, in lists; None for a graph, which knows it."""
    if getattr(model, "_graph", None) is not None or len(model._built_for) != 1:
        return None
    shape = model._built_for[0]
    return [None, *shape[1:]] if isinstance(shape, tuple) and all(hasattr(n, "__index__") for n in shape[1:]) else None


def load_model(filepath: Any, custom_objects: Optional[dict] = None, compile: bool = True,
               safe_mode: bool = True) -> Any:
    """The model of a .keras file, of Keras 3 too: configuration, weights, how it is compiled, state of the optimizer.

    custom_objects   {name: class or function} for those that are neither rnnref's nor registered
    compile          False: how the model was compiled is left out
    safe_mode        changes nothing: code in a file is never run, with False neither

    Same as keras.saving.load_model.  Raises FileError for a file that is broken or no .keras file, MissingFile,
    NotSupported for what has no counterpart here, ShapeError for weights that are not those of the configuration.
    """
    who, path = "load_model", to_path("load_model", filepath)
    if path.endswith((".h5", ".hdf5")):
        raise NotSupported(who, f"the file {path!r}, a model of Keras 2", known="files that end in .keras",
                           fix='in Keras 3: keras.saving.load_model(path).save("model.keras"); its weights alone: '
                               "rnnref.interop.read(path)")
    if not path.endswith(".keras"):
        raise NotSupported(who, f"the file {path!r}", known="files that end in .keras",
                           fix="model.load_weights(path) for weights alone")
    with open_zip(who, path) as (archive, members):
        config = json.loads(read_member(who, path, archive, members, "config.json"))
        arrays = _read_weights(who, path, archive, members)
    size = sum(a.nbytes for a in arrays.values())
    with naming(who, path), configs.sharing(), configs.limit_weights(path, size):
        model = _make_model(who, path, config, custom_objects)
    if compile and config.get("compile_config"):
        _compile(who, path, model, config["compile_config"], custom_objects)
    places = find_places(model)
    check_shapes(who, path, places, True, arrays)
    assign_arrays(places, True, arrays)
    return model


def _compile(who: str, path: str, model: Any, config: Any, custom_objects: Optional[dict]) -> None:
    with naming(who, path):
        try:
            with custom_object_scope(custom_objects or {}):
                model.compile_from_config(config)
        except Error as error:
            raise NotSupported(who, f"{path} is compiled with what is not there: {error.args[0]}, {error.args[1]}",
                               fix="load_model(path, compile=False)") from error


def _read_weights(who: str, path: str, archive: ZipFile, members: dict) -> dict:
    if WEIGHTS_NPZ in members:
        raise NotSupported(who, f"{path} keeps its weights in {WEIGHTS_NPZ}", known=WEIGHTS,
                           fix="in Keras: model.save(path), whose weights_format is h5")
    return read_h5(who, path, read_member(who, path, archive, members, WEIGHTS))


def _make_model(who: str, path: str, config: Any, custom_objects: Optional[dict]) -> Any:
    if not isinstance(config, dict) or "class_name" not in config:
        raise FileError(who, f"config.json in {path} is no configuration of a model")
    model = configs.deserialize(config, custom_objects)
    shape = (config.get("build_config") or {}).get("input_shape")
    if not model.built and shape:
        model.build(configs.deserialize(shape))
    return model


def save_weights(model: Any, filepath: Any, overwrite: bool = True, max_shard_size: Any = None) -> None:
    """Write the weights of a model to a file: .weights.h5 as Keras has it, .npz, or .safetensors.

    A .weights.h5 file has the state of the optimizer too.  The names in a file are those of attributes and classes, not
    of layers, so that another model of the same make takes them (`rnnref.object_paths`).
    """
    who, path = "save_weights", to_path("save_weights", filepath)
    if max_shard_size is not None:
        raise NotSupported(who, f"max_shard_size={max_shard_size!r}: weights are written to one file")
    _check_built(who, model)
    _check_overwrite(who, path, overwrite)
    numbered, places = _is_numbered(who, path), find_places(model)
    arrays = collect_arrays(places, numbered)
    if numbered:
        write_h5(who, path, arrays, {place.group: place.owner.name for place in places})
    else:
        (write_npz if path.endswith(".npz") else write_safetensors)(who, path, arrays)


def load_weights(model: Any, filepath: Any, skip_mismatch: bool = False) -> None:
    """Take the weights of a file that `save_weights` wrote, here or in Keras, or of a .keras file.

    The state of an optimizer is taken if the model is compiled, its optimizer built and the file has one.

    skip_mismatch    True: weights that are missing in the file, or have another shape there, stay as they are, with a
                     warning that names them

    Raises ShapeError if the file is of another model, before any weight is changed; FileError for a broken one.
    """
    who, path = "load_weights", to_path("load_weights", filepath)
    _check_built(who, model)
    numbered, places = _is_numbered(who, path, (".keras",)), find_places(model)

    def check(found: dict) -> None:
        if not skip_mismatch:
            check_shapes(who, path, places, numbered, found)
    arrays = _reader(path)(who, path, check)
    if skip_mismatch:
        arrays = _fitting(places, numbered, arrays)
    assign_arrays(places, numbered, arrays)


def _reader(path: str) -> Callable:
    if path.endswith(".npz"):
        return read_npz
    if path.endswith(".safetensors"):
        def read(who: str, path: str, check: Callable) -> dict:
            found = read_safetensors(who, path)
            check(found)
            return found
        return read
    if path.endswith(".keras"):
        def read_keras(who: str, path: str, check: Callable) -> dict:
            with open_zip(who, path) as (archive, members):
                found = _read_weights(who, path, archive, members)
            check(found)
            return found
        return read_keras
    return lambda who, path, check: read_h5(who, path, check=check)


def _fitting(places: list, numbered: bool, arrays: dict) -> dict:
    """The arrays that fit, with a warning that names the weights without."""
    wanted = {name: w for place in places for name, w in zip(place.names(numbered), place.weights)}
    fits = {name for name, w in wanted.items() if name in arrays and arrays[name].shape == tuple(w.shape)}
    if len(fits) < len(wanted):
        warn("load_weights: left as they are: " + " ".join(w.path for name, w in wanted.items() if name not in fits),
             stacklevel=4)
    return {name: a for name, a in arrays.items() if name in fits or name not in wanted}


def _is_numbered(who: str, path: str, more: tuple = ()) -> bool:
    """Whether weights are called by numbers in a file, as in those of Keras."""
    if not path.endswith((*ENDINGS, *more)):
        raise NotSupported(who, f"the file {path!r}", known="names that end in " + " ".join((*ENDINGS, *more)),
                           hint="other .h5 files are of Keras 2: rnnref.interop.read" if path.endswith(".h5") else "")
    return path.endswith((".h5", ".keras"))


def _check_built(who: str, model: Any) -> None:
    if not hasattr(model, "named_weights"):
        raise NotSupported(who, f"{describe_type(model)}, expected a model or a layer", fix="rnnref.save for arrays")
    if not model.built:
        raise ShapeError(who, f"{model.name} has no weights yet", fix="call it, or build(input_shape)")


def _check_overwrite(who: str, path: str, overwrite: bool) -> None:
    if not overwrite and os.path.exists(path):
        raise FileError(who, f"{path} is there already, and overwrite=False")
