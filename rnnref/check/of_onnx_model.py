"""Whole ONNX models as candidates: all outputs in onnxruntime, and what the reference makes of them."""
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy

from ..arrays import Array, is_floating
from ..errors import import_optional
from ..onnx.reading import TEXT, Reading
from .candidate import OUTPUT, ArrayDescription, Candidate, Evaluation
from .of_onnx import PRECISION
from .onnx_graphs import cut_model, required_inputs
from .onnx_session import SECONDS, Session, flatten_values
from .row import Row

_NARROW: dict[str, Any] = {"ulps": 1.0, "relative": False}               # of 16 bits: onnxruntime computes in float32
_SHOWN = 3                                        # entries of an exact comparison that are shown


def is_perturbable(a: Array) -> bool:
    """True for floating weights: not for single numbers and whole ones, which are exponents, scales and sizes."""
    return is_floating(a.dtype) and a.size > 1 and bool((a != numpy.round(a)).any())


@dataclass
class ModelCandidate(Candidate):
    """All floating outputs of a model; those of other kinds are compared exactly by `compare_exactly`.

    arrays   the floating inputs and weights, which companion runs perturb
    """
    run: Callable = dict                          # inputs by name -> outputs by name, in onnxruntime
    evaluate: Callable = dict                     # (arrays by name, float64 or None) -> outputs by name: the reference
    others: dict = field(default_factory=dict)    # inputs that are not floating
    inputs: tuple[str, ...] = ()                  # the names of inputs among `arrays`
    outputs: tuple[str, ...] = ()
    shapes: dict = field(default_factory=dict)    # of the results of the truth
    exact: dict = field(default_factory=dict)     # results of the first runs that are not floating, by who ran
    later: Any = None                             # the same candidate in its second call, if that is not random

    @property
    def size(self) -> tuple[int, int]:
        return sum(self.arrays[n].size for n in self.inputs) or 1, 1

    @property
    def dtype(self) -> numpy.dtype:
        """The narrowest dtype of inputs and weights."""
        return min((a.dtype for a in self.arrays.values()), key=lambda dtype: dtype.itemsize,
                   default=numpy.dtype("float32"))

    def run_reference(self, arrays: dict[str, Array], **options: Any) -> Evaluation:
        wide = next((a.dtype for a in arrays.values()), self.dtype).itemsize > self.dtype.itemsize
        arrays = {n: a.astype("float64" if wide else self.arrays[n].dtype) for n, a in arrays.items()}
        results, _ = flatten_values(self.evaluate(arrays | self.others, "float64" if wide else None))
        floats, exact = _part_floats(results)
        self.exact.setdefault("truth" if wide else "companion", exact)
        if wide:
            self.shapes.update({n: a.shape for n, a in floats.items()})
        return Evaluation({n: floats[n] if n in floats and floats[n].shape == shape else
                           numpy.full(shape, numpy.inf, self.dtype) for n, shape in self.shapes.items()})

    def run_candidate(self, arrays: dict[str, Array]) -> Evaluation:
        values = self.run({n: arrays[n] for n in self.inputs} | self.others)
        results, _ = flatten_values({n: a for n, a in values.items() if n in self.outputs})
        floats, exact = _part_floats(results)
        self.exact.setdefault("candidate", exact)
        self.exact.setdefault("dtypes", {n: a.dtype for n, a in floats.items()})
        return Evaluation(floats)

    def redraw(self, rng: numpy.random.Generator, start: bool = False) -> Candidate:
        if self.later is not None:
            return self.later
        arrays = self.arrays | shuffle_inputs(rng, {n: self.arrays[n] for n in self.inputs})
        return replace(self, arrays=arrays, others=shuffle_inputs(rng, self.others), shapes={}, exact={})

    def describe_arrays(self) -> dict[str, ArrayDescription]:
        return _Descriptions()

    def expected_dtype(self, name: str) -> numpy.dtype:
        return self.exact["dtypes"][name]         # onnxruntime itself holds a model to the types it declares


def shuffle_inputs(rng: numpy.random.Generator, inputs: dict[str, Any]) -> dict[str, Any]:
    """The same numbers in another order, of each input."""
    return {n: rng.permuted(a.ravel()).reshape(a.shape) if isinstance(a, numpy.ndarray) else a
            for n, a in inputs.items()}


class _Descriptions(dict):
    """One description for all outputs: the members of sequences are known only when they are computed."""

    def __missing__(self, name: str) -> ArrayDescription:
        return ArrayDescription(OUTPUT)


def _part_floats(results: dict[str, Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    floats = {n: a for n, a in results.items() if is_floating(a.dtype)}
    return floats, {n: a for n, a in results.items() if n not in floats}


def compare_exactly(candidate: ModelCandidate) -> list[Row]:
    """Rows for the outputs that are not floating: equal, except where the reference itself is in doubt."""
    truth, companion, found = [candidate.exact.get(who, {}) for who in ("truth", "companion", "candidate")]
    return [_compare(name, a, companion.get(name), found.get(name)) for name, a in truth.items()]


def _compare(name: str, truth: Array, companion: Array | None, found: Array | None) -> Row:
    if found is None or found.shape != truth.shape:
        shape = "nothing" if found is None else f"shape {found.shape}"
        return Row(name, OUTPUT, verdict="differs", where="everywhere", note=f"{shape}, expected {truth.shape}")
    certain = numpy.full(truth.shape, companion is not None and companion.shape == truth.shape)
    if companion is not None and companion.shape == truth.shape:
        certain = certain & numpy.asarray(companion == truth)
    wrong = certain & ~numpy.asarray(found == truth)
    counts = {"entries": truth.size, "compared": int(certain.sum())}
    if not certain.any() and truth.size:
        return Row(name, OUTPUT, verdict="not comparable", note="it depends on rounding", **counts)
    if not wrong.any():
        return Row(name, OUTPUT, note=f"{truth.dtype}, compared exactly", **counts)
    places = [tuple(int(n) for n in place) for place in numpy.argwhere(wrong)[:_SHOWN]]
    note = f"{int(wrong.sum())} differ: {'; '.join(f'{found[p]}, expected {truth[p]}' for p in places)}"
    return Row(name, OUTPUT, verdict="differs", where=f"at {list(places[0])}", note=note, **counts)


def wrap_model(run: Callable, evaluate: Callable, inputs: dict[str, Any], weights: dict[str, Array],
               outputs: Iterable[str]) -> ModelCandidate:
    """The candidate of the outputs of a model."""
    floats = {n: a for n, a in inputs.items() if isinstance(a, numpy.ndarray) and is_floating(a.dtype)}
    arrays = floats | {n: a for n, a in weights.items() if n not in floats}
    narrow = any(a.dtype.itemsize == 2 for a in arrays.values())
    return ModelCandidate(
        title="the whole model", arrays=arrays, x=next(iter(arrays), ""), settable=False, variants=({},), facts={},
        run=run, evaluate=evaluate, inputs=tuple(floats), outputs=tuple(outputs), **(_NARROW if narrow else PRECISION),
        others={n: a for n, a in inputs.items() if n not in floats})


class Evaluator:
    """A model in the evaluator of ONNX with the operators of rnnref, in the dtypes that it declares and in float64."""

    def __init__(self, model: Any, reading: Reading | None) -> None:
        self._model, self._reading, self._made = model, reading or TEXT, {}
        self.outputs = [a.name for a in model.graph.output]
        self.last_run: dict[bytes, dict[str, Array]] = {}  # a node in bytes -> its inputs, when it was last run

    def __call__(self, arrays: dict[str, Any], dtype: str | None = None) -> dict[str, Any]:
        """The outputs; any exception if there is an operator that it cannot run."""
        evaluator = self._made.get(dtype) or self._make(dtype)
        with numpy.errstate(all="ignore"):
            return dict(zip(self.outputs, evaluator.run(None, arrays)))

    def _make(self, dtype: str | None) -> Any:
        from ..onnx.backend import make_evaluator
        from ..onnx.promote import promote
        model = self._model if dtype is None else promote(self._model, numpy.dtype(dtype))
        self._made[dtype] = make_evaluator(model, self._reading, None if dtype else self._record, SECONDS)
        return self._made[dtype]

    def _record(self, node: Any, inputs: dict[str, Array]) -> None:
        self.last_run[node.SerializeToString()] = inputs


class Rest:
    """The part of a model behind its recurrent nodes, which onnxruntime runs on what the reference computes for them.

    values   what the nodes return in the model, by name
    """

    def __init__(self, model: Any, values: dict[str, Any], outputs: list[str]) -> None:
        onnx = import_optional("onnx", "verify", "verify")
        names, self._dtypes = list(values), {n: a.dtype for n, a in values.items()}
        cut = cut_model(model, names, outputs)
        held = {a.name for a in cut.graph.input}
        cut.graph.input.extend(onnx.helper.make_tensor_value_info(
            n, onnx.helper.np_dtype_to_tensor_dtype(values[n].dtype), [None] * values[n].ndim)
            for n in names if n not in held)
        cut.graph.output.extend(a for a in model.graph.output if a.name in outputs)
        self._session, self._needs = Session(cut), set(required_inputs(cut))

    def of(self, nodes: dict[str, Any]) -> Callable:
        """The same behind the nodes of another run."""
        return lambda arrays, dtype=None: self._run(nodes, arrays)

    def _run(self, nodes: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
        """The outputs, from "NODE: X" and so on, and the inputs of the model."""
        fed = dict(arrays)
        for title, node in nodes.items():
            mark = f"{title}: "
            given = {n[len(mark):]: a for n, a in arrays.items() if n.startswith(mark)}
            given |= {n: a.astype(given["X"].dtype, copy=False) for n, a in node.arrays.items() if n not in given}
            results = node.run_reference(given).results
            fed |= {own: results[n].astype(self._dtypes[own]) for n, own in node.names.items()}
        return self._session.run({n: a for n, a in fed.items() if n in self._needs})
