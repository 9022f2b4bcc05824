"""Engines that run one RNN, GRU or LSTM node of ONNX: engine(case) -> {output name: array}.

An engine that cannot run a case raises an exception with its message, `RefusalError` or any other.  Any function of
this form is an engine, and so is what has `prepare(model, device)` as a back end of ONNX (`onnx.backend.base.Backend`).
"""
import re
from collections.abc import Callable
from functools import partial, reduce
from importlib import import_module
from typing import Any

import numpy

from ..arrays import Array
from ..errors import InvalidType, MissingExtra, NotSupported, import_optional
from .onnx_memory import find_overrun

INPUT_NAMES = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_FED_INPUTS = ("X", "sequence_lens", "initial_h", "initial_c")           # the others are weights stored in the model
OPSET, _IR_VERSION = 22, 10


class RefusalError(Exception):
    """Raised by an engine that cannot run a case."""


class EndlessRun(RefusalError):
    """Raised when a run takes too long: its loops may not end."""


def resolve_engine(engine: Any, who: str = "survey") -> tuple[str, Callable]:
    """(name, function) of an engine.

    engine   "onnxruntime", "onnx.reference" or "openvino"; a function case -> {output name: array}; a back end of ONNX;
             "package.module:name", where either of these is found
    """
    if isinstance(engine, str) and ":" in engine:
        return engine, resolve_engine(_find_object(engine, who), who)[1]
    if isinstance(engine, str):
        if engine not in _ENGINES:
            known = [*map(repr, _ENGINES), "'MODULE:NAME'", "a function of a case", "a back end of ONNX"]
            raise NotSupported(who, f"engine={engine!r}", known=", ".join(known))
        return engine, _ENGINES[engine](who)
    name = getattr(engine, "__name__", "the engine")
    if hasattr(engine, "prepare"):
        onnx = import_optional("onnx", "verify", who)
        import_optional("onnx.numpy_helper", "verify", who)
        return name, partial(_run_backend, onnx, engine)
    if not callable(engine):
        raise InvalidType(who, f"engine is {type(engine).__name__}",
                          expected="a function case -> {output name: array}, or a back end of ONNX with prepare")
    return name, partial(_run_function, engine)


def _find_object(path: str, who: str) -> Any:
    """What "package.module:name" stands for; the name may have full stops, or be that of a module."""
    module, _, name = path.partition(":")
    try:
        found = import_module(module)
    except ModuleNotFoundError as e:
        if e.name and (module == e.name or module.startswith(f"{e.name}.")):
            raise MissingExtra(who, f"{path}: there is no module {e.name}",
                               fix="start in its folder, or add that to PYTHONPATH") from None
        raise
    try:
        return reduce(getattr, name.split("."), found)
    except AttributeError as e:
        try:
            return import_module(f"{module}.{name}")
        except ModuleNotFoundError:
            raise NotSupported(who, f"{path}: {e}") from None


def _run_function(function: Callable, case: Any) -> dict[str, Array]:
    """What a function of a user returns for a case."""
    try:
        returned = function(case)
    except RefusalError:
        raise
    except Exception as e:                        # of any engine
        raise RefusalError(f"{type(e).__name__}: {' '.join(str(e).split())}") from e
    if not isinstance(returned, dict):
        raise RefusalError(f"it returned {type(returned).__name__}, expected a dict of arrays: "
                           f"{', '.join(case.outputs)}")
    return _check_results({n: returned.get(n) for n in case.outputs})


def _check_results(results: dict[str, Any]) -> dict[str, Array]:
    """The results of an engine as arrays of numbers."""
    found = {n: numpy.asarray(a) for n, a in results.items()}
    for name, a in found.items():
        if a.dtype.kind not in "fiu" and a.dtype.name != "bfloat16":
            what = "nothing" if results[name] is None else f"an array of {a.dtype}"
            raise RefusalError(f"it returned {what} for {name}, expected an array of floats")
    return found


def _run_backend(onnx: Any, backend: Any, case: Any) -> dict[str, Array]:
    model = _build_model(onnx, case)
    try:
        outputs = backend.prepare(model, "CPU").run([case.inputs[a.name] for a in model.graph.input])
    except Exception as e:                        # the errors of back ends have no common class
        raise RefusalError(f"{type(e).__name__}: {' '.join(str(e).split())}"[:300]) from e
    if len(outputs) != len(case.outputs):
        raise RefusalError(f"it returned {len(outputs)} arrays, expected {len(case.outputs)}: "
                           f"{', '.join(case.outputs)}")
    return _check_results(dict(zip(case.outputs, outputs)))


def _build_model(onnx: Any, case: Any) -> Any:
    """A model of the one node that computes the case."""
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    names = [n if n in case.inputs else "" for n in INPUT_NAMES[:8 if case.op == "LSTM" else 6]]
    outputs = [n if n in case.outputs else "" for n in ("Y", "Y_h", "Y_c")]
    node = helper.make_node(case.op, _strip_empty_names(names), _strip_empty_names(outputs), **case.attributes)
    fed = [helper.make_tensor_value_info(n, onnx.TensorProto.INT32 if n == "sequence_lens" else floats,
                                         case.inputs[n].shape) for n in _FED_INPUTS if n in case.inputs]
    results = [helper.make_tensor_value_info(n, floats, [f"{n}.{k}" for k in range(4 if n == "Y" else 3)])
               for n in case.outputs]
    weights = [onnx.numpy_helper.from_array(a, n) for n, a in case.inputs.items() if n not in _FED_INPUTS]
    graph = helper.make_graph([node], case.op, fed, results, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)


def _strip_empty_names(names: list[str]) -> list[str]:
    """The names without empty ones at the end: optional inputs that are missing there are not listed."""
    while names and not names[-1]:
        names = names[:-1]
    return names


def _load_onnxruntime(who: str) -> Callable:
    onnx, ort = import_optional("onnx", "verify", who), import_optional("onnxruntime", "verify", who)
    import_optional("onnx.numpy_helper", "verify", who)
    return partial(_run_onnxruntime, onnx, ort)


def _run_onnxruntime(onnx: Any, ort: Any, case: Any) -> dict[str, Array]:
    options, model = ort.SessionOptions(), _build_model(onnx, case).SerializeToString()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4                # errors are raised as well, so they need not be logged
    shapes = {name: a.shape for name, a in case.inputs.items()}
    find = partial(find_overrun, ort.__version__, case.op, case.attributes, shapes)
    _refuse(find())
    try:
        session = ort.InferenceSession(model, options, ["CPUExecutionProvider"])
        _refuse(find(case.inputs.get("sequence_lens")))
        return dict(zip(case.outputs, session.run(list(case.outputs), _select_fed_inputs(case))))
    except RefusalError:
        raise
    except Exception as e:                        # the errors of onnxruntime have no common class
        raise RefusalError(clean_message(e)) from e


def _refuse(reason: str) -> None:
    """Raise for a reason, if there is one."""
    if reason:
        raise RefusalError(reason)


def clean_message(error: Exception) -> str:
    """The message of an onnxruntime error without the file names and C++ signatures at its beginning."""
    return re.sub(r".*(OpKernelInfo ?&\)( \[with [^]]*\])?|Status Message:) ", "", " ".join(str(error).split()))


def _load_onnx_reference(who: str) -> Callable:
    onnx, reference = import_optional("onnx", "verify", who), import_optional("onnx.reference", "verify", who)
    return partial(_run_onnx_reference, onnx, reference)


def _run_onnx_reference(onnx: Any, reference: Any, case: Any) -> dict[str, Array]:
    model = _build_model(onnx, case)
    try:
        outputs = reference.ReferenceEvaluator(model).run(list(case.outputs), _select_fed_inputs(case))
    except Exception as e:                        # an implementation in Python: any exception may end it
        raise RefusalError(f"{type(e).__name__}: {' '.join(str(e).split())}") from e
    return dict(zip(case.outputs, outputs))


def _select_fed_inputs(case: Any) -> dict[str, Array]:
    return {n: a for n, a in case.inputs.items() if n in _FED_INPUTS}


def _load_openvino(who: str) -> Callable:
    onnx, openvino = import_optional("onnx", "verify", who), import_optional("openvino", "verify", who)
    import_optional("onnx.numpy_helper", "verify", who)
    return partial(_run_openvino, onnx, openvino.Core())


def _run_openvino(onnx: Any, core: Any, case: Any) -> dict[str, Array]:
    model = _build_model(onnx, case).SerializeToString()
    try:
        compiled = core.compile_model(core.read_model(model=model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        given = {a.get_any_name(): a for a in compiled.inputs}
        fed = {n: a for n, a in _select_fed_inputs(case).items() if n in given}
        results = compiled(fed)
    except Exception as e:                        # the errors of OpenVINO have no common class
        raise RefusalError(f"{type(e).__name__}: {' '.join(str(e).split())}"[:300]) from e
    return {n: results[n] for n in case.outputs}


_ENGINES = {"onnxruntime": _load_onnxruntime, "onnx.reference": _load_onnx_reference, "openvino": _load_openvino}
