"""Models of flax that contain recurrent layers: their calls are intercepted to record what each receives."""
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy

from ..errors import NotSupported, with_article
from ..interop import find_layers
from ..interop.identify import framework_of, is_recurrent
from .containers import (Inputs, Layer, Received, check_layers, describe_failure, draw_ids, make_inputs,
                         refuse_for_models)
from .of_jax import unbind, wrap_jax
from .report import Report


class _Found:
    """A recurrent module of a model, with its parameters, and its calls."""

    def __init__(self, module: Any, params: Any) -> None:
        self.module, self.params = module, params
        self.calls: list[Received] = []

    def note(self, args: tuple, kwargs: dict) -> None:
        """Keep the input, the carry and the lengths of a call; under jax.jit and scan only shapes are known."""
        is_cell = not hasattr(self.module, "cell") and not hasattr(self.module, "forward_rnn")
        carry, x = args[:2] if is_cell else (kwargs.get("initial_carry"), args[0])
        try:
            x = numpy.asarray(x)[None] if is_cell else numpy.asarray(x)
            lengths = kwargs.get("seq_lengths")
            self.calls.append(Received(x, carry, None, None if lengths is None else numpy.asarray(lengths)))
        except sys.modules["jax"].errors.TracerArrayConversionError:
            self.calls.append(Received((1, *x.shape) if is_cell else tuple(x.shape)))


def check_jax_model(module: Any, inputs: Any, rng: numpy.random.Generator, lengths: Any, initial_state: Any, dtype: Any,
                    params: Any, checks: dict[str, Any]) -> Report:
    """The report on every recurrent layer in a linen or nnx module.

    Errors   NotSupported: it contains none that can be checked.  Error: it does not run on these inputs
    """
    framework, kind = framework_of(module), type(module).__name__
    refuse_for_models(lengths, initial_state)
    if framework == "equinox":
        raise NotSupported("verify", f"an equinox {kind}", known="its LSTMCell, GRUCell",
                           fix="give the cells of the model one by one, or a function with reference= and p=")
    if framework == "flax":
        module, params = unbind(module, params)
    given = make_inputs(inputs, rng, "float32")
    for _ in range(len(given.drawn) + 1):
        found, tables, error = _run(module, framework, params, given)
        ids = [(key, rows) for x, rows in tables for key in given.drawn if x is given.get(key) and x.dtype.kind == "f"]
        if not ids:
            break
        given = draw_ids(given, ids[0][0], rng, ids[0][1])
    if error is not None:
        raise describe_failure(error, given) from error
    if not found:
        raise NotSupported("verify", f"{with_article(framework)} {kind} without recurrent modules",
                           known="RNN, Bidirectional and cells of flax, and modules that contain some",
                           fix="for a recurrence of your own: a function, with reference=cell and p=")
    layers = [Layer(path, type(f.module).__name__, f.calls, _wrapper(f, rng, dtype)) for path, f in found.items()]
    drawn = [path for path, f in found.items() if f.calls and isinstance(f.calls[0].x, tuple)]
    facts = {"inputs": given.describe()}
    facts |= {"drawn": f"{', '.join(drawn)}: what jax.jit or a scan gives is not known"} if drawn else {}
    title = f"{framework} {kind} with {len(found)} recurrent module{'s' * (len(found) > 1)}"
    return check_layers(title, layers, rng, initial_state, facts, checks, given)


def _wrapper(found: _Found, rng: numpy.random.Generator, dtype: Any) -> Callable:
    return lambda received, start: wrap_jax(found.module, received.x, rng, received.lengths, start, dtype, found.params)


def _run(module: Any, framework: str, params: Any, given: Inputs) -> tuple[dict[str, _Found], list, Exception | None]:
    """The recurrent modules that are called, what is looked up in tables, and what the module raises."""
    found: dict[str, _Found] = {}
    tables: list[tuple[Any, int]] = []
    record = _record_linen(found, tables) if framework == "flax" else _record_nnx(module, found, tables)
    try:
        with record:
            call = (lambda *a, **k: module.apply({"params": params}, *a, **k)) if framework == "flax" else module
            call(*given.args, **given.kwargs)
    except Exception as e:                        # of the user's module: told by the caller
        return found, tables, e
    return found, tables, None


def _unbind(module: Any) -> tuple[Any, dict]:
    """A bound linen module by itself, and its parameters: those of its cell may lie beside it in the model."""
    if hasattr(module, "forward_rnn"):
        halves = {name: _unbind(getattr(module, name)) for name in ("forward_rnn", "backward_rnn")}
        return (module.clone(parent=None, **{name: half for name, (half, _) in halves.items()}),
                {name: params for name, (_, params) in halves.items()})
    if hasattr(module, "cell"):
        cell, params = _unbind(module.cell)
        return module.clone(parent=None, cell=cell), {"cell": params}
    return module.clone(parent=None), dict(module.variables["params"])


@contextmanager
def _record_linen(found: dict[str, _Found], tables: list) -> Iterator[None]:
    inside: list[Any] = []

    def intercept(call: Callable, args: tuple, kwargs: dict, context: Any) -> Any:
        module = context.module
        if context.method_name != "__call__" or inside:
            return call(*args, **kwargs)
        if hasattr(module, "num_embeddings"):
            tables.append((args[0], module.num_embeddings))
        if not is_recurrent(module):
            return call(*args, **kwargs)
        inside.append(module)
        try:
            path = "/".join(module.path)
            if path not in found:
                found[path] = _Found(*_unbind(module))
            found[path].note(args, kwargs)
            return call(*args, **kwargs)
        finally:
            inside.pop()
    with sys.modules["flax.linen"].intercept_methods(intercept):
        yield


@contextmanager
def _record_nnx(module: Any, found: dict[str, _Found], tables: list) -> Iterator[None]:
    """Replace `__call__` of the classes of recurrent modules and tables for a time."""
    nnx = sys.modules["flax.nnx"]
    own = {id(layer): _Found(layer, None) for layer in find_layers(module).values()}
    found.update({path: own[id(layer)] for path, layer in find_layers(module).items()})
    embeds = {id(part) for _, part in nnx.iter_modules(module) if hasattr(part, "num_embeddings")}
    classes = {type(part): type(part).__call__ for _, part in nnx.iter_modules(module)
               if id(part) in own or id(part) in embeds}

    def note(call: Callable) -> Callable:
        def noting(self: Any, *args: Any, **kwargs: Any) -> Any:
            if id(self) in own:
                own[id(self)].note(args, kwargs)
            elif id(self) in embeds:
                tables.append((args[0], self.num_embeddings))
            return call(self, *args, **kwargs)
        return noting
    held = {cls: vars(cls).get("__call__") for cls in classes}
    try:
        for cls, call in classes.items():
            setattr(cls, "__call__", note(call))
        yield
    finally:
        for cls, before in held.items():
            setattr(cls, "__call__", before) if before is not None else delattr(cls, "__call__")
