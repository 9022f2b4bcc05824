"""torch modules that contain recurrent modules: hooks record what each of these receives."""
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy

from ..arrays import Array
from ..errors import Error, NotSupported, with_article
from ..interop import find_layers
from ..interop.containers import unwrap
from ..interop.identify import is_quantized, is_scripted, original_name
from .containers import (Inputs, Layer, Received, check_layers, describe_failure, draw_ids, make_inputs,
                         refuse_for_models)
from .of_torch import copy_module, enable_gradients, refuse_quantized, wrap_torch
from .report import Report
from .torch_scripts import record_calls

_MOST_STEPS = 64                                  # of a cell that a model calls step by step
_DRAWN = 5, 2                                     # two axes of an input that is drawn


def check_torch_model(module: Any, inputs: Any, rng: numpy.random.Generator, lengths: Any, initial_state: Any,
                      dtype: Any, checks: dict[str, Any]) -> Report:
    """The report on every recurrent module in a module.

    Errors   NotSupported: it contains none that can be checked.  Error: it does not run on these inputs
    """
    torch = sys.modules["torch"]
    refuse_for_models(lengths, initial_state)
    _refuse_traced(module)
    if not find_layers(module):
        kinds = sorted({type(part).__name__ for part in module.modules()})
        raise NotSupported("verify", f"{with_article(original_name(module))} without recurrent modules",
                           has=" ".join(kinds),
                           known="nn.RNN, nn.LSTM, nn.GRU, their cells, and modules that contain some",
                           fix="for a recurrence of your own: a function, with reference=cell and p=")
    facts = {} if not any(part.training and getattr(part, "p", getattr(part, "dropout", 0))
                          for part in module.modules()) else {"dropout": "off: a copy in evaluation mode was checked"}
    compiled = any(hasattr(part, "_orig_mod") for part in module.modules())
    facts |= {"compilation": "the recurrent modules were checked as they are before it"} if compiled else {}
    with enable_gradients():
        module = unwrap(copy_module(module).eval())
    module = module if dtype is None else module.to(getattr(torch, numpy.dtype(dtype).name))
    layers = find_layers(module)
    own_dtype = next((a.dtype for a in module.parameters() if a.is_floating_point()), torch.float32)
    given = make_inputs(inputs, rng, str(own_dtype).removeprefix("torch."))
    calls, given = _run(module, layers, given, rng)
    rest = sorted({original_name(part) for part in module.modules() if not list(part.children())
                   and not any(part is inner for layer in layers.values() for inner in layer.modules())})
    facts |= {"inputs": given.describe(), "not compared": f"what lies around them: {', '.join(rest)}" if rest else ""}
    found = [_make_layer(path, layer, calls[path], rng) for path, layer in layers.items()]
    drawn = [layer.path for layer in found if layer.calls and isinstance(layer.calls[0].x, tuple)]
    facts |= {"drawn": f"{', '.join(drawn)}: what a loop or a branch of a script gives is not known"} if drawn else {}
    title = f"torch {original_name(module)} with {len(layers)} recurrent module{'s' * (len(layers) > 1)}"
    return check_layers(title, found, rng, initial_state, {n: text for n, text in facts.items() if text}, checks,
                        given)


def _refuse_traced(module: Any) -> None:
    """Raise `NotSupported` for modules that torch.jit.trace made: their recurrent parts have no options any more."""
    traced = [name for name, part in module.named_modules() if type(part).__name__.endswith("TracedModule")
              and original_name(part) in ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")]
    if traced:
        raise NotSupported("verify", f"the traced module {traced[0] or original_name(module)}",
                           reason="torch.jit.trace keeps neither batch_first nor the number of layers",
                           fix="verify the module before it is traced, or torch.jit.script(module)")


def _make_layer(path: str, layer: Any, calls: list[Received], rng: numpy.random.Generator) -> Layer:
    refusal: Error | None = None
    try:
        refuse_quantized(layer)
    except NotSupported as e:
        refusal = e
    if is_scripted(layer) and not calls:
        calls = [Received((*_DRAWN, layer.input_size))]
    return Layer(path, original_name(layer), calls, lambda received, start: wrap_torch(
        layer, received.x, rng, received.lengths, start), refusal)


def _run(module: Any, layers: dict[str, Any], given: Inputs, rng: numpy.random.Generator,
         ) -> tuple[dict[str, list[Received]], Inputs]:
    """What each layer receives when the module runs, and on which inputs.

    An input that is drawn, and looked up in a table, is drawn again as integers.
    """
    torch = sys.modules["torch"]
    for _ in range(len(given.drawn) + 1):
        calls: dict[str, list] = {path: [] for path in layers}
        tables: list[tuple[Any, int]] = []
        with torch.no_grad(), _without_compilation(module), _record(module, layers, calls, tables):
            tensors = {key: _to_tensor(given.get(key), module) for key in (*range(len(given.args)), *given.kwargs)}
            args = [tensors[k] for k in range(len(given.args))]
            try:
                module(*args, **{n: tensors[n] for n in given.kwargs})
                if is_scripted(module):
                    _note_scripted(module, "", tuple(args), layers, calls)
                error = None
            except Exception as e:                # of the user's module: told below
                error = e
        ids = [(key, rows) for x, rows in tables for key in given.drawn if x is tensors[key] and x.is_floating_point()]
        if not ids:
            break
        given = draw_ids(given, ids[0][0], rng, ids[0][1])
    if error is not None:
        raise describe_failure(error, given) from error
    return {path: _join_steps(layers[path], received) for path, received in calls.items()}, given


def _to_tensor(a: Any, module: Any) -> Any:
    """An array as a tensor on the device of the module; other arguments as they are."""
    torch = sys.modules["torch"]
    if isinstance(a, (list, tuple)) and not hasattr(a, "batch_sizes"):
        return type(a)(_to_tensor(item, module) for item in a)
    if isinstance(a, numpy.ndarray):
        a, first = torch.as_tensor(a), next(module.parameters(), None)
        if first is not None:
            return a.to(first.device, first.dtype if a.is_floating_point() else a.dtype)
    return a


def _without_compilation(module: Any) -> Any:
    """A context in which compiled parts run as they were before compilation: there hooks see every call."""
    if any(hasattr(part, "_orig_mod") for part in module.modules()):
        return sys.modules["torch"].compiler.set_stance("force_eager")
    return nullcontext()


@contextmanager
def _record(module: Any, layers: dict[str, Any], calls: dict[str, list], tables: list) -> Iterator[None]:
    """Hooks on the recurrent modules, and on tables of vectors, while the module runs."""
    with ExitStack() as stack:
        for path, layer in layers.items():
            if not is_scripted(layer):
                handle = layer.register_forward_pre_hook(partial(_note_call, calls[path]), with_kwargs=True)
                stack.callback(handle.remove)
        for path, part in [] if is_scripted(module) else list(module.named_modules()):
            for name, child in [] if is_scripted(part) else list(part.named_children()):
                if is_scripted(child):            # it has no hooks, and is called through a module that notes the call
                    note = partial(_note_scripted, child, f"{path}.{name}".lstrip("."), layers=layers, calls=calls)
                    part._modules[name] = _make_noting(child, note)
                    stack.callback(part._modules.__setitem__, name, child)
        for part in module.modules():
            if hasattr(part, "num_embeddings") and not is_scripted(part):
                stack.callback(part.register_forward_pre_hook(partial(_note_table, tables)).remove)
        yield


def _make_noting(child: Any, note: Any) -> Any:
    """A module that calls `note` with its arguments, and computes what `child` does."""
    base: Any = sys.modules["torch"].nn.Module

    class Noting(base):
        def forward(self, *args: Any) -> Any:
            note(args)
            return child(*args)
    return Noting()


def _note_scripted(module: Any, path: str, args: tuple, layers: dict[str, Any], calls: dict[str, list]) -> None:
    """Keep what the recurrent modules in a scripted one receive, or it itself."""
    found = [(path, args)] if path in layers else record_calls(module, args, path)
    for inner, received in found:
        if inner in layers:
            _note_call(calls[inner], layers[inner], received, {})


def _note_table(tables: list, part: Any, args: tuple) -> None:
    tables.append((args[0], part.num_embeddings))


def _note_call(calls: list, layer: Any, args: tuple, kwargs: dict) -> None:
    """Keep the input and the state of a call, under whatever names they are given."""
    given = dict(kwargs)
    x = args[0] if args else given.pop("input") if "input" in given else given.pop(next(iter(given)))
    state = args[1] if len(args) > 1 else next(iter(given.values()), None)
    calls.append((_copy(x), _copy(state)))


def _copy(a: Any) -> Any:
    if hasattr(a, "batch_sizes"):
        return a
    if isinstance(a, (list, tuple)):
        return tuple(_copy(item) for item in a)
    return a if a is None else a.detach().clone()


def _join_steps(layer: Any, calls: list) -> list[Received]:
    """Calls of a recurrent module as they are; those of a cell, which get one step each, as one sequence."""
    if hasattr(layer, "num_layers") or is_quantized(layer):
        return [Received(x, state) for x, state in calls]
    found: dict[tuple, list] = {}
    for x, state in calls:
        x = _to_numpy(x)
        found.setdefault(x.shape, []).append((x if x.ndim > 1 else x[None], state))
    joined = []
    for steps in found.values():
        state = steps[0][1]
        if state is not None:
            state = tuple(_add_row(a) for a in (state if isinstance(state, tuple) else (state,)))
        joined.append(Received(numpy.stack([x for x, _ in steps[:_MOST_STEPS]]), state))
    return joined


def _add_row(a: Any) -> Array:
    a = _to_numpy(a)
    return a if a.ndim > 1 else a[None]


def _to_numpy(a: Any) -> Array:
    return numpy.asarray(a.detach().cpu())
