"""Engines that take padded batches: functions, torch modules, Keras layers and ONNX engines, run in one form."""
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import Parameter, signature
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import NotSupported
from ..tree import leaves, unflatten
from .of_onnx import Case
from .onnx_engines import resolve_engine

ONNX_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_UNITS = 4                                        # of an ONNX engine


class Batch(NamedTuple):
    """What an engine returns for a batch: outputs [T, B, H] by direction, beside their inputs, and states [B, ...]."""
    outputs: dict[str, Array]
    states: dict[str, Array]


@dataclass
class Runner:
    """One way to call an engine: run(x [T, B, I], mask [T, B] or None, start or None) -> `Batch`."""
    run: Callable[[Array, Array | None, dict | None], Batch]
    label: str = ""                               # "LSTM, reverse"
    takes_masks: bool = True                      # False: lengths, that is padding on the right only
    takes_start: bool = True                      # True: initial states, by the names of the states
    reads_backwards: tuple[str, ...] = ()         # the directions of these names read from the last step


def find_inputs(engine: Any) -> int | None:
    """The number of inputs that a torch module or a built Keras layer takes; None where it does not say."""
    if hasattr(engine, "input_size"):
        return int(engine.input_size)
    cell = getattr(getattr(engine, "forward_layer", engine), "cell", None)
    kernel = getattr(cell, "kernel", None) if getattr(engine, "built", False) else None
    return None if kernel is None else int(kernel.shape[0])


def list_runners(engine: Any, n_in: int, rng: numpy.random.Generator, dtype: str) -> tuple[str, list[Runner]]:
    """(name, runners) of an engine."""
    packages = {cls.__module__.partition(".")[0] for cls in type(engine).__mro__}
    if isinstance(engine, str) or callable(engine) and _takes_cases(engine):
        name, run = resolve_engine(engine, "check_padding")
        return name, list(_list_onnx(run, n_in, rng))
    if "keras" in packages or "tf_keras" in packages:
        if not (hasattr(engine, "cell") or hasattr(engine, "forward_layer")):
            raise NotSupported("check_padding", f"a Keras {type(engine).__name__}",
                               known="SimpleRNN, LSTM, GRU, RNN, Bidirectional; or a function of x and mask")
        return f"Keras {type(engine).__name__} {engine.name!r}", [_wrap_keras(engine)]
    if "torch" in packages and hasattr(engine, "num_layers"):
        return f"torch {type(engine).__name__}", [_wrap_torch(engine)]
    if callable(engine):
        return getattr(engine, "__name__", type(engine).__name__), list(_list_functions(engine))
    raise NotSupported("check_padding", f"an engine of type {type(engine).__name__}",
                       known="functions, recurrent layers of torch and Keras, the names of ONNX engines")


def _parameters(function: Callable) -> dict[str, Parameter]:
    try:
        return dict(signature(function).parameters)
    except (ValueError, TypeError):
        return {}


def _takes_cases(function: Callable) -> bool:
    return list(_parameters(function))[:1] == ["case"]


def _list_functions(function: Callable) -> Iterator[Runner]:
    """x [T, B, I] and mask= or lengths=, and initial_state= and reverse= if it has them -> y, or (y, state)."""
    accepted = _parameters(function)
    how = next((name for name in ("mask", "lengths") if name in accepted), None)
    if how is None:
        raise NotSupported("check_padding", f"{getattr(function, '__name__', 'a function')} takes no padding",
                           fix="give it an argument named `mask` [T, B] or `lengths` [B]")
    structure: list = []                          # of the state that the function returns

    def make(backwards: bool) -> Callable:
        def run(x: Array, mask: Array | None, start: dict | None) -> Batch:
            options: dict[str, Any] = {"reverse": True} if backwards else {}
            if mask is not None:
                options[how] = mask if how == "mask" else mask.sum(0)
            elif accepted[how].default is Parameter.empty:
                options[how] = numpy.ones(x.shape[:2], bool) if how == "mask" else numpy.full(x.shape[1], len(x))
            if start is not None:
                options["initial_state"] = unflatten(structure[0], list(start.values()))
            returned = function(x, **options)
            y, state = returned if isinstance(returned, (tuple, list)) and len(returned) == 2 else \
                (returned[0], tuple(returned[1:])) if isinstance(returned, (tuple, list)) else (returned, None)
            structure[:] = [state]
            found = {path or "state": numpy.asarray(a) for path, a in leaves(state)}
            return Batch({"backward" if backwards else "forward": numpy.asarray(y)}, found)
        return run
    for backwards in (False, True) if "reverse" in accepted else (False,):
        yield Runner(make(backwards), "reverse" if backwards else "", how == "mask", "initial_state" in accepted,
                     ("backward",) if backwards else ())


def _wrap_keras(layer: Any) -> Runner:
    ops = _find_ops(layer)
    two = hasattr(layer, "forward_layer")
    backwards = not two and layer.go_backwards

    def run(x: Array, mask: Array | None, start: dict | None) -> Batch:
        options = {} if mask is None else {"mask": ops.convert_to_tensor(numpy.ascontiguousarray(mask.T))}
        if start is not None:
            options["initial_state"] = [ops.convert_to_tensor(a) for a in start.values()]
        returned = layer(ops.convert_to_tensor(numpy.ascontiguousarray(x.swapaxes(0, 1))), **options)
        y, *states = map(_to_numpy, returned if isinstance(returned, (tuple, list)) else (returned,))
        named = {f"state {k}": a for k, a in enumerate(states)}
        if y.ndim != 3:
            return Batch({}, {"output": y} | named)
        y = (y[:, ::-1] if backwards else y).swapaxes(0, 1)
        if two and layer.merge_mode == "concat":
            a, b = numpy.split(y, 2, -1)
            return Batch({"forward": a, "backward": b}, named)
        return Batch({"backward" if backwards else "forward": y}, named)
    return Runner(run, takes_start=layer.return_state, reads_backwards=("backward",))


def _find_ops(layer: Any) -> Any:
    """Something with convert_to_tensor: keras.ops, or TensorFlow for a layer of Keras 2."""
    keras = sys.modules.get("keras")
    return keras.ops if keras and isinstance(layer, keras.layers.Layer) and hasattr(keras, "ops") else \
        sys.modules["tensorflow"]


def _to_numpy(a: Any) -> Array:
    return a.detach().cpu().numpy() if hasattr(a, "detach") else numpy.asarray(a)


def _wrap_torch(module: Any) -> Runner:
    torch, two = sys.modules["torch"], module.bidirectional
    rnn = torch.nn.utils.rnn
    names = ("h_n", "c_n")[:1 + (type(module).__name__ == "LSTM")]

    def run(x: Array, mask: Array | None, start: dict | None) -> Batch:
        given: Any = torch.tensor(x)
        given = given.transpose(0, 1) if module.batch_first else given
        if mask is not None:
            lengths = torch.tensor(mask.sum(0))
            given = rnn.pack_padded_sequence(given, lengths, module.batch_first, enforce_sorted=False)
        states = None if start is None else tuple(torch.tensor(a.swapaxes(0, 1).copy()) for a in start.values())
        with torch.no_grad():
            y, last = module(given, states if states is None or len(states) > 1 else states[0])
        if mask is not None:
            y, _ = rnn.pad_packed_sequence(y, module.batch_first, total_length=len(x))
        y = (y.transpose(0, 1) if module.batch_first else y).numpy()
        last = last if isinstance(last, tuple) else (last,)
        outputs = dict(zip(("forward", "backward"), numpy.split(y, 2, -1) if two else (y,)))
        return Batch(outputs, {n: a.numpy().swapaxes(0, 1) for n, a in zip(names, last)})
    return Runner(run, takes_masks=False, reads_backwards=("backward",))


def _list_onnx(engine: Callable, n_in: int, rng: numpy.random.Generator) -> Iterator[Runner]:
    """Every operator in every direction."""
    for op, gates in ONNX_GATES.items():
        for direction in ("forward", "reverse", "bidirectional"):
            D = 1 + (direction == "bidirectional")
            shapes = {"W": (D, gates * _UNITS, n_in), "R": (D, gates * _UNITS, _UNITS), "B": (D, 2 * gates * _UNITS)}
            weights = {n: (0.5 * rng.standard_normal(s)).astype("float32") for n, s in shapes.items()}
            names = ("Y_h", "Y_c")[:1 + (op == "LSTM")]
            attributes = {"hidden_size": _UNITS} | ({} if direction == "forward" else {"direction": direction})
            labels = ("forward", "backward") if D > 1 else ("backward" if direction == "reverse" else "forward",)
            yield Runner(_make_onnx_run(engine, op, weights, attributes, names, labels), f"{op}, {direction}", False,
                         True, ("backward",))


def _make_onnx_run(engine: Callable, op: str, weights: dict, attributes: dict, names: tuple, labels: tuple) -> Callable:
    def run(x: Array, mask: Array | None, start: dict | None) -> Batch:
        inputs = {"X": x, **weights}
        if mask is not None:
            inputs["sequence_lens"] = mask.sum(0).astype("int32")
        for name, a in (start or {}).items():
            inputs[f"initial_{name[-1]}"] = numpy.ascontiguousarray(a.swapaxes(0, 1))
        found = engine(Case(op, inputs, attributes, ("Y", *names)))
        return Batch({label: found["Y"][:, d] for d, label in enumerate(labels)},
                     {n: found[n].swapaxes(0, 1) for n in names})
    return run
