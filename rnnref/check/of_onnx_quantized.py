"""DynamicQuantizeLSTM of onnxruntime as a candidate: an LSTM whose products are those of 8-bit integers.

Before a product the numbers are rounded to one of 256 levels between their smallest and their largest, or 0: all of X
at once, the state h at every step.  A state that differs in its last bit may be rounded to the next level, so each step
is checked on the h that onnxruntime itself had; c is carried by the reference.
"""
from dataclasses import dataclass
from typing import Any

import numpy

from ..arrays import Array
from ..errors import NotSupported, import_optional
from ..loops.plan import REFERENCE_PATHS
from ..loops.run import run
from ..onnx import TEXT, cell_of
from ..onnx.reading import Reading
from .candidate import DirectedCell, Evaluation, step_order
from .of_onnx import PRECISION, Case, NodeCandidate, Run, collect_versions, to_python
from .onnx_engines import RefusalError

INPUT_NAMES = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P", "W_scale", "W_zero_point", "R_scale",
               "R_zero_point")
_LEVELS = 255


def round_to_levels(a: Array) -> Array:
    """The numbers that a DynamicQuantizeLinear and a DequantizeLinear to 8 bits make of these."""
    low, high = numpy.minimum(a.min(), 0), numpy.maximum(a.max(), 0)
    scale = numpy.float32((high - low) / _LEVELS) if high > low else numpy.float32(1)
    zero = numpy.clip(numpy.rint(-low / scale), 0, _LEVELS).astype("float32")
    return ((numpy.clip(numpy.rint(a / scale) + zero, 0, _LEVELS) - zero) * scale).astype("float32")


def wrap_quantized(node: Any, runs: list[Run], reading: Reading | None, title: str) -> "QuantizedCandidate":
    """The candidate of a DynamicQuantizeLSTM; `runs`: what it received and returned inside its model, Y among it."""
    onnx = import_optional("onnx", "verify", "verify")
    attributes = {a.name: to_python(onnx.helper.get_attribute_value(a)) for a in node.attribute}
    if "sequence_lens" in runs[0].inputs or {"activation_alpha", "activation_beta"} & attributes.keys():
        raise NotSupported("verify", f"{title} with sequence_lens or scales of activations",
                           reason="which numbers onnxruntime rounds to 8 bits then is not modelled")
    prepared = tuple(Run(_dequantize(one, attributes), one.results) for one in runs)
    return QuantizedCandidate(
        title=f"{title} (DynamicQuantizeLSTM) in onnxruntime", arrays=prepared[0].inputs, x="X", variants=({},),
        facts=collect_versions("onnxruntime"), **PRECISION, op="LSTM", attributes=attributes,
        backwards=attributes.get("direction") == "reverse", outputs=tuple(runs[0].results), run=_refuse,
        reading=reading or TEXT, runs=prepared,
        names={name: own for name, own in zip(("Y", "Y_h", "Y_c"), node.output) if own})


def _refuse(case: Case) -> dict[str, Array]:
    raise RefusalError("a DynamicQuantizeLSTM is run inside its model only")


def _dequantize(received: Run, attributes: dict[str, Any]) -> dict[str, Array]:
    """The numbers that enter the products: those of the weights, of X, and of h at every step, [T, D, B, H] as Y."""
    given, Y = received.inputs, received.results["Y"]
    found = {n: a for n, a in given.items() if n in ("B", "initial_c", "P")}
    for name in "WR":
        scale, zero = (given[f"{name}_{part}"].reshape(len(Y[0]), 1, -1) for part in ("scale", "zero_point"))
        found[name] = ((given[name].astype("float32") - zero.astype("float32")) * scale).swapaxes(1, 2)
    before = numpy.zeros_like(Y)                  # the state that each step reads
    for d, order in enumerate(_orders(attributes, len(Y))):
        before[order[1:], d] = Y[order[:-1], d]
        if "initial_h" in given:
            before[order[0], d] = given["initial_h"][d]
    rounded = [[round_to_levels(h) for h in step] for step in before]
    return {"X": round_to_levels(given["X"]), **found, "h": numpy.array(rounded)}


def _orders(attributes: dict[str, Any], T: int) -> list[Array]:
    """The steps of each direction in the order in which it takes them."""
    direction = attributes.get("direction", "forward")
    forward, back = step_order(T), step_order(T, True)
    return {"forward": [forward], "reverse": [back]}.get(direction, [forward, back])


@dataclass
class QuantizedCandidate(NodeCandidate):
    """A DynamicQuantizeLSTM in its model, and the LSTM of rnnref at every step."""

    def list_cells(self) -> list[DirectedCell]:
        return []                                 # each step begins at the h that onnxruntime had

    def run_reference(self, arrays: dict[str, Array], **options: Any) -> Evaluation:
        orders, Y, last = _orders(self.attributes, len(arrays["X"])), numpy.empty_like(arrays["h"]), []
        functions = self.attributes.get("activations", ["Sigmoid", "Tanh", "Tanh"] * len(orders))
        common = {n: a for n, a in self.attributes.items() if n in ("clip", "input_forget", "hidden_size")}
        for d, order in enumerate(orders):
            inputs = {n: a[d:d + 1] for n, a in arrays.items() if n in ("W", "R", "B", "P")} | {"X": arrays["X"]}
            cell, p = cell_of("LSTM", inputs, common | {"activations": functions[3 * d:3 * d + 3]}, self.reading)
            state = cell.zeros(*arrays["h"].shape[2:], dtype=arrays["X"].dtype)
            if "initial_c" in arrays:
                state = state._replace(c=arrays["initial_c"][d])
            for t in order:
                _, state, _ = run(cell, p, arrays["X"][t:t + 1], state._replace(h=arrays["h"][t, d]), keep=False,
                                  paths=REFERENCE_PATHS)
                Y[t, d] = state.h
            last.append(state)
        results = {"Y": Y, "Y_h": numpy.stack([s.h for s in last]), "Y_c": numpy.stack([s.c for s in last])}
        return Evaluation({n: a for n, a in results.items() if n in self.outputs})
