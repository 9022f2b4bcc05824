"""Keras models that contain recurrent layers: their `call` is wrapped to record what each receives."""
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy

from ..arrays import Array
from ..errors import NotSupported
from ..interop import find_layers
from .containers import (Inputs, Layer, Received, check_layers, describe_failure, draw_ids, make_inputs,
                         refuse_for_models)
from .of_keras import flatten_states, wrap_keras
from .report import Report


def check_keras_model(model: Any, inputs: Any, rng: numpy.random.Generator, lengths: Any, initial_state: Any,
                      dtype: Any, checks: dict[str, Any]) -> Report:
    """The report on every recurrent layer in a model, or in a layer of other layers.

    Errors   NotSupported: it contains none that can be checked.  Error: it does not run on these inputs
    """
    kind = type(model).__name__
    refuse_for_models(lengths, initial_state)
    if dtype is not None and numpy.dtype(dtype) != model.compute_dtype:
        raise NotSupported("verify", f"dtype={dtype!r} of Keras {kind}", fix=f"make it with dtype={str(dtype)!r}")
    given = make_inputs(inputs, rng, "float32")
    calls, layers, given = _run(model, given, rng)
    if not layers:
        kinds = sorted({type(layer).__name__ for layer in model._flatten_layers()})
        raise NotSupported("verify", f"a Keras {kind} without recurrent layers", has=" ".join(kinds),
                           known="SimpleRNN, LSTM, GRU, ConvLSTM, RNN, Bidirectional, and models that contain some",
                           fix="for a recurrence of your own: a function, with reference=cell and p=")
    inner = {id(part) for layer in layers.values() for part in layer._flatten_layers()}
    rest = sorted({type(part).__name__ for part in model._flatten_layers()
                   if id(part) not in inner and not part._layers and type(part).__name__ != "InputLayer"})
    facts = {"inputs": given.describe()}
    facts |= {"not compared": f"what lies around them: {', '.join(rest)}"} if rest else {}
    found = [Layer(path, type(layer).__name__, calls[path], _wrapper(layer, rng)) for path, layer in layers.items()]
    title = f"Keras {kind} {model.name!r} with {len(layers)} recurrent layer{'s' * (len(layers) > 1)}"
    return check_layers(title, found, rng, initial_state, facts, checks, given)


def _wrapper(layer: Any, rng: numpy.random.Generator) -> Any:
    def wrap(received: Received, start: Any) -> Any:
        return wrap_keras(layer, received.x, rng, None, start, mask=received.mask)
    return wrap


def _run(model: Any, given: Inputs, rng: numpy.random.Generator,
         ) -> tuple[dict[str, list[Received]], dict[str, Any], Inputs]:
    """What each layer receives when the model runs; its layers; and on which inputs.

    An input that is drawn, and looked up in a table, is drawn again as integers.
    """
    _build(model, given)
    layers = find_layers(model)
    for _ in range(len(given.drawn) + 1):
        calls: dict[str, list[Received]] = {path: [] for path in layers}
        tables: list[tuple[Array, int]] = []
        with _record(model, layers, calls, tables):
            _call(model, given)
        ids = [(key, rows) for x, rows in tables for key in given.drawn if _is_same(x, given.get(key))]
        if not ids:
            break
        given = draw_ids(given, ids[0][0], rng, ids[0][1])
    return calls, layers, given


def _build(model: Any, given: Inputs) -> None:
    """Make the weights of a model that has none yet: a call does."""
    if not model.built or any(not layer.built for layer in model._flatten_layers()):
        _call(model, given)


def _call(model: Any, given: Inputs) -> None:
    """Run the model, and put back what a call changes: the states of stateful layers."""
    states = [v for layer in model._flatten_layers() for v in flatten_states(getattr(layer, "states", None) or [])]
    held = [(v, _to_numpy(v.value)) for v in (*model.non_trainable_variables, *states)]
    args = given.args[0] if len(given.args) == 1 else given.args
    try:
        model(args, training=False) if given.args else model(given.kwargs, training=False)
    except Exception as e:                        # of the user's model
        raise describe_failure(e, given) from e
    finally:
        for v, a in held:
            v.assign(a)


@contextmanager
def _record(model: Any, layers: dict[str, Any], calls: dict[str, list[Received]], tables: list) -> Iterator[None]:
    """Wrap `call` of the recurrent layers, and of tables of vectors, while the model runs."""
    wrapped = [(layer, _note_call(layer.call, calls[path])) for path, layer in layers.items()]
    wrapped += [(layer, _note_table(layer.call, tables, layer.input_dim)) for layer in model._flatten_layers()
                if type(layer).__name__ == "Embedding"]
    for layer, call in wrapped:
        object.__setattr__(layer, "call", call)
    try:
        yield
    finally:
        for layer, _ in wrapped:
            object.__delattr__(layer, "call")


def _note_call(call: Any, calls: list[Received]) -> Any:
    @wraps(call)
    def noting(sequences: Any, initial_state: Any = None, mask: Any = None, **options: Any) -> Any:
        mask_of = mask[0] if isinstance(mask, (list, tuple)) else mask
        calls.append(Received(_to_numpy(sequences), _map(_to_numpy, initial_state),
                              None if mask_of is None else _to_numpy(mask_of).astype(bool)))
        return call(sequences, initial_state=initial_state, mask=mask, **options)
    return noting


def _note_table(call: Any, tables: list, rows: int) -> Any:
    @wraps(call)
    def noting(inputs: Any, *args: Any, **options: Any) -> Any:
        tables.append((_to_numpy(inputs), rows))
        return call(inputs, *args, **options)
    return noting


def _map(function: Any, tree: Any) -> Any:
    if tree is None:
        return None
    return [_map(function, item) for item in tree] if isinstance(tree, (list, tuple)) else function(tree)


def _to_numpy(a: Any) -> Array:
    return numpy.array(sys.modules["keras"].ops.convert_to_numpy(a))


def _is_same(a: Array, b: Any) -> bool:
    """True for the same numbers, of which one may have been cast to integers."""
    b = numpy.asarray(b)
    return b.dtype.kind == "f" and a.shape == b.shape and bool((numpy.trunc(a) == numpy.trunc(b)).all())
