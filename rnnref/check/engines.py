"""Engines that run one RNN, GRU or LSTM node: engine(case) -> {output name: array}.  (floor 10)

An engine that will not run a case raises `Refused` with its message.  Any function of that form can be surveyed.
"""
import re
from functools import partial

from ..errors import NotSupported, import_optional

ORDER = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
FED = ("X", "sequence_lens", "initial_h", "initial_c")           # the rest are weights, and lie in the model
OPSET, IR = 22, 10


class Refused(Exception):
    """The engine will not run this case."""


def engine_for(engine, who="survey"):
    """(name, function) for "onnxruntime", "onnx.reference", or a function(case) -> outputs."""
    if callable(engine):
        return getattr(engine, "__name__", "the engine"), engine
    if engine not in ENGINES:
        raise NotSupported(who, f"engine={engine!r}", known=", ".join([*map(repr, ENGINES), "a function of a case"]))
    return engine, ENGINES[engine](who)


def node_model(onnx, case):
    """The model of one node that computes `case`."""
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    names = [n if n in case.inputs else "" for n in ORDER[:8 if case.op == "LSTM" else 6]]
    outputs = [n if n in case.outputs else "" for n in ("Y", "Y_h", "Y_c")]
    node = helper.make_node(case.op, stripped(names), stripped(outputs), **case.attributes)
    fed = [helper.make_tensor_value_info(n, onnx.TensorProto.INT32 if n == "sequence_lens" else floats,
                                         case.inputs[n].shape) for n in FED if n in case.inputs]
    given = [helper.make_tensor_value_info(n, floats, None) for n in case.outputs]
    weights = [onnx.numpy_helper.from_array(a, n) for n, a in case.inputs.items() if n not in FED]
    graph = helper.make_graph([node], case.op, fed, given, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def stripped(names):
    """Without the empty names at the end: what is not given there is not named."""
    while names and not names[-1]:
        names = names[:-1]
    return names


def onnxruntime(who):
    onnx, ort = import_optional("onnx", "verify", who), import_optional("onnxruntime", "verify", who)
    import_optional("onnx.numpy_helper", "verify", who)
    return partial(run_onnxruntime, onnx, ort)


def run_onnxruntime(onnx, ort, case):
    options, model = ort.SessionOptions(), node_model(onnx, case).SerializeToString()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4                # what it refuses it also raises
    try:
        session = ort.InferenceSession(model, options, ["CPUExecutionProvider"])
        return dict(zip(case.outputs, session.run(list(case.outputs), fed(case))))
    except Exception as e:                        # its errors have no common class
        raise Refused(tidy(e)) from e


def tidy(error):
    """Its message without the paths and the C++ signature that stand before what it says."""
    return re.sub(r".*(OpKernelInfo ?&\)( \[with [^]]*\])?|Status Message:) ", "", " ".join(str(error).split()))


def onnx_reference(who):
    onnx, reference = import_optional("onnx", "verify", who), import_optional("onnx.reference", "verify", who)
    return partial(run_onnx_reference, onnx, reference)


def run_onnx_reference(onnx, reference, case):
    model = node_model(onnx, case)
    try:
        outputs = reference.ReferenceEvaluator(model).run(list(case.outputs), fed(case))
    except Exception as e:                        # whatever its code stumbled over: that is its message
        raise Refused(f"{type(e).__name__}: {' '.join(str(e).split())}") from e
    return dict(zip(case.outputs, outputs))


def fed(case):
    return {n: a for n, a in case.inputs.items() if n in FED}


ENGINES = {"onnxruntime": onnxruntime, "onnx.reference": onnx_reference}
