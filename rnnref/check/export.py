"""An exported ONNX model beside the module that it was made from: weights, options and outputs."""
import sys
from collections.abc import Iterator
from typing import Any

import numpy

from ..arrays import Array
from ..errors import Error, NotSupported
from ..files.onnx_models import load_model
from ..interop import identify
from ..porting.sources import find_source_weights
from ..porting.stacks import group_layers
from .budget import FACTOR
from .candidate import OUTPUT
from .onnx_engines import RefusalError
from .onnx_session import Session
from .random_inputs import complete_inputs
from .report import Report
from .row import Row
from .tolerance import tolerance
from .weight_differences import OPTIONS, compare_weights

_NAMES = ("the module", "the file")


def compare_with_module(report: Report, candidate: Any, module: Any, inputs: dict[str, Any],
                        rng: numpy.random.Generator) -> Report:
    """The report on an ONNX model with rows on how it differs from the module that it was exported from.

    The recurrent nodes are held to the layers of the module in their order, and the outputs of both on the same inputs
    to each other.
    """
    if not identify(module).is_live:
        raise NotSupported("verify", f"like={identify(module).words}", known="a live module of torch or Keras")
    model = load_model(candidate)
    try:
        _compare_layers(report, model, module)
    except NotSupported as e:                     # weights that are computed when the graph runs
        report.facts["weights of the module"] = f"not compared: {': '.join(map(str, e.args))}"
    _compare_outputs(report, model, module, inputs, rng)
    return report


def _compare_layers(report: Report, model: Any, module: Any) -> None:
    theirs, own = (group_layers(find_source_weights(source)) for source in (model, module))
    parts = [[w for stack in stacks for w in stack.parts] for stacks in (own, theirs)]
    titles = [", ".join(filter(None, (stack.name, stack.describe_part(n, k)))) for stack in own
              for n, layer in enumerate(stack.layers) for k in range(len(layer))]
    if len(parts[0]) != len(parts[1]):
        report.rows.append(Row("layers and directions", OPTIONS, verdict="differs",
                               note=f"{len(parts[0])}, {len(parts[1])}"))
        report.findings.insert(0, f"The module has {len(parts[0])} layers and directions, the file {len(parts[1])}.")
        return
    found = []
    for w, v, title in zip(*parts, titles):
        differences = compare_weights(w, v, title, _NAMES)
        report.rows += [row._replace(name=f"export: {row.name}") for row in differences.rows]
        found += differences.findings
        if w.reverse != v.reverse:
            report.rows.append(Row(f"export: {title} direction", OPTIONS, verdict="differs"))
            found.append(f"{title}: one of the two reads the sequence from its end.")
    report.findings[:0] = [finding[0].upper() + finding[1:] for finding in found]


def _compare_outputs(report: Report, model: Any, module: Any, given: dict[str, Any], rng: numpy.random.Generator,
                     ) -> None:
    """Rows on the outputs of both on the same inputs; a fact where the module does not take them."""
    session = Session(model)
    inputs, _ = complete_inputs(model, given, rng, session.run)
    names = [a.name for a in model.graph.output]
    try:
        values = session.run(inputs)
        returned = _call(module, [inputs[a.name] for a in model.graph.input if a.name in inputs])
    except (RefusalError, Error, TypeError, ValueError, RuntimeError) as e:
        report.facts["outputs of the module"] = f"not compared: {' '.join(str(e).split())[:300]}"
        return
    if len(returned) != len(names):
        report.facts["outputs of the module"] = f"not compared: {len(returned)} arrays, of the file {len(names)}"
        return
    for name, a in zip(names, returned):
        report.rows.append(_compare_output(f"export: {name}", numpy.asarray(values[name]), a))
    if any(row.verdict == "differs" for row in report.rows[-len(names):]):
        report.findings.insert(0, "The outputs of the file are not those of the module on the same inputs.")


def _compare_output(name: str, a: Array, b: Array) -> Row:
    if a.shape != b.shape:
        return Row(name, OUTPUT, verdict="differs", note=f"shape {a.shape}, that of the module {b.shape}")
    dtype = a.dtype if a.dtype.kind == "f" else numpy.dtype("float32")
    allowed = FACTOR * tolerance("output", dtype) * max(1.0, float(abs(b).max(initial=0.0)))
    wrong = ~(abs(a.astype("float64") - b) <= allowed)
    error = float(abs(a.astype("float64") - b).max(initial=0.0))
    if not wrong.any():
        return Row(name, OUTPUT, error, allowed, entries=a.size, compared=a.size)
    first = tuple(int(n) for n in numpy.argwhere(wrong)[0])
    return Row(name, OUTPUT, error, allowed, "differs", f"at [{', '.join(map(str, first))}]",
               f"{a[first]:.6g}, the module has {b[first]:.6g}", entries=a.size, compared=a.size)


def _call(module: Any, arrays: list[Array]) -> list[Array]:
    """The outputs of a module, in evaluation mode, as arrays; several states in one tuple where it takes them so."""
    if identify(module).framework == "keras":
        keras = sys.modules["keras"]
        return [keras.ops.convert_to_numpy(a) for a in _flatten(module(*arrays, training=False))]
    torch = sys.modules["torch"]
    tensors, training = [torch.tensor(a) for a in arrays], module.training
    module.eval()
    try:
        with torch.no_grad():
            if isinstance(module, torch.nn.LSTM) and len(tensors) == 3:
                tensors = [tensors[0], tuple(tensors[1:])]
            return [a.numpy() for a in _flatten(module(*tensors))]
    finally:
        module.train(training)


def _flatten(tree: Any) -> Iterator[Any]:
    if isinstance(tree, (tuple, list)):
        for item in tree:
            yield from _flatten(item)
    elif isinstance(tree, dict):
        yield from _flatten(list(tree.values()))
    else:
        yield tree
