"""Engines that run one RNN, GRU or LSTM node of ONNX: engine(case) -> {output name: array}.

An engine that cannot run a case raises `RefusalError` with its message.  Any function of this form is an engine.
"""
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from ..arrays import Array
from ..errors import NotSupported, import_optional

INPUT_NAMES = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_FED_INPUTS = ("X", "sequence_lens", "initial_h", "initial_c")           # the others are weights stored in the model
OPSET, _IR_VERSION = 22, 10


class RefusalError(Exception):
    """Raised by an engine that cannot run a case."""


class EndlessRun(RefusalError):
    """Raised when a run takes too long: its loops may not end."""


def resolve_engine(engine: str | Callable, who: str = "survey") -> tuple[str, Callable]:
    """(name, function) of "onnxruntime", "onnx.reference", "openvino", or a function case -> {output name: array}."""
    if callable(engine):
        return getattr(engine, "__name__", "the engine"), engine
    if engine not in _ENGINES:
        raise NotSupported(who, f"engine={engine!r}", known=", ".join([*map(repr, _ENGINES), "a function of a case"]))
    return engine, _ENGINES[engine](who)


def _build_model(onnx: Any, case: Any) -> Any:
    """A model of the one node that computes the case."""
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    names = [n if n in case.inputs else "" for n in INPUT_NAMES[:8 if case.op == "LSTM" else 6]]
    outputs = [n if n in case.outputs else "" for n in ("Y", "Y_h", "Y_c")]
    node = helper.make_node(case.op, _strip_empty_names(names), _strip_empty_names(outputs), **case.attributes)
    fed = [helper.make_tensor_value_info(n, onnx.TensorProto.INT32 if n == "sequence_lens" else floats,
                                         case.inputs[n].shape) for n in _FED_INPUTS if n in case.inputs]
    results = [helper.make_tensor_value_info(n, floats, None) for n in case.outputs]
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
    try:
        session = ort.InferenceSession(model, options, ["CPUExecutionProvider"])
        return dict(zip(case.outputs, session.run(list(case.outputs), _select_fed_inputs(case))))
    except Exception as e:                        # the errors of onnxruntime have no common class
        raise RefusalError(clean_message(e)) from e


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
