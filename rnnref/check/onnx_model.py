"""Check an ONNX file, model or node: every RNN, GRU and LSTM node alone, so that the first wrong one is named."""
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy

from ..errors import Error, NotSupported, describe_type, import_optional
from ..files.onnx_models import load_model
from ..onnx.reading import Reading
from .candidate import OUTPUT, Candidate, is_shape
from .findings import join_names
from .measure import check_candidate
from .of_onnx import NodeCandidate, Run, draw_node_inputs, wrap_node
from .of_onnx_model import Evaluator, Rest, compare_exactly, is_perturbable, shuffle_inputs, wrap_model
from .of_onnx_quantized import INPUT_NAMES as QUANTIZED_NAMES, wrap_quantized
from .onnx_engines import INPUT_NAMES, RefusalError
from .onnx_graphs import (OWN_NAME, QUANTIZED_LSTM, RECURRENT, Constants, Node, names_made, required_inputs,
                          size_of_weights, walk_nodes)
from .onnx_session import SECONDS, Session, flatten_values
from .onnx_sizes import MOST_ENTRIES, check_steps, infer_shapes
from .random_inputs import complete_inputs
from .report import Report, join_gates
from .row import Row

_WHOLE_MODEL = "the whole model"
_MOST_WEIGHTS, _MOST_WORK = 8 << 20, 1e9          # bytes, and weights times entries of inputs, that the evaluator runs
_WEIGHTS = ("W", "R", "B", "P")
_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")          # of the operators that the evaluator of ONNX has
# of onnxruntime: an operator that it does not have, or not for these types or attributes
_LACKING = re.compile("not a registered function/op|No Op registered|NOT_IMPLEMENTED|during initialization")
_FIRST_OPSET = 7                                  # of the operators as they are now
_STEPPED = ("Quantize", "Integer", "QLinear", "Random", "Bernoulli", "Multinomial")    # rounding makes steps; random


def check_onnx(candidate: Any, inputs: dict[str, Any], rng: numpy.random.Generator, engine: str | Callable,
               reading: Reading | None, checks: dict[str, Any]) -> Report:
    """The report on a NodeProto, a ModelProto or the path of one; `checks` are the options of `check_candidate`."""
    onnx = import_optional("onnx", "verify", "verify")
    import_optional("onnx.numpy_helper", "verify", "verify")
    if not isinstance(inputs, dict):
        raise NotSupported("verify", f"inputs of an ONNX candidate as {describe_type(inputs)}",
                           fix='a dict by name: {"X": x, ...}')
    if isinstance(candidate, onnx.NodeProto):
        return _check_node(wrap_node(candidate, inputs, rng, engine, reading), rng, checks)
    if not isinstance(candidate, (str, PathLike, onnx.ModelProto)):
        raise NotSupported("verify", describe_type(candidate), known="a path, ModelProto, NodeProto")
    model = load_model(candidate)
    name = Path(candidate).name if isinstance(candidate, (str, PathLike)) else model.graph.name
    check = _ModelCheck(model, name, rng, engine, reading, checks["progress"] or (lambda steps, what: steps), checks)
    try:
        return check.run(inputs)
    except RefusalError as e:
        raise Error("verify", f"the model {name} cannot be run", reason=str(e)) from None
    except Error as e:
        if name and name not in str(e):
            e.notes["model"] = name
        raise


def _check_node(candidate: Candidate, rng: numpy.random.Generator, checks: dict[str, Any]) -> Report:
    return check_candidate(candidate, rng, **checks | {"gradients": False})


@dataclass
class _ModelCheck:
    """The check of one model: each recurrent node alone, then all outputs."""
    model: Any
    name: str
    rng: numpy.random.Generator
    engine: str | Callable
    reading: Reading | None
    watch: Callable
    checks: dict[str, Any]
    reports: list = field(default_factory=list)   # (name of a node, its report)
    facts: dict = field(default_factory=dict)
    unchecked: list = field(default_factory=list)  # sentences
    _inputs: dict = field(default_factory=dict)
    _candidates: dict = field(default_factory=dict)
    _rejection: Error | None = None               # of onnxruntime, of the whole model

    def run(self, given: dict[str, Any]) -> Report:
        """The report of all nodes and of the whole model."""
        model = self.model
        nodes = list(walk_nodes(model.graph))
        quantized = [node for node in nodes if node.proto.op_type == QUANTIZED_LSTM and not node.depth]
        for k, node in enumerate(quantized):      # Y is needed at every step
            node.proto.output[0] = node.proto.output[0] or f"{OWN_NAME}Y{k}"
        found = [node for node in nodes if node.proto.op_type in RECURRENT or node in quantized]
        main, inner = [[node for node in found if bool(node.depth) == deep] for deep in (False, True)]
        self._constants, self._ops = Constants(model), [node.proto for node in nodes]
        inner_names = {n for node in main for n in (*node.proto.input, *node.proto.output)} & names_made(model.graph)
        self._evaluator = Evaluator(model, self.reading)
        self._shapes = infer_shapes(model)
        drawn_here = not given or any(is_shape(given.get(name, ())) for name in required_inputs(model))
        if drawn_here:
            check_steps(main, self._shapes, self._constants.shape)
        # more threads: each rounds the states of its own rows by their own range
        run: Any = self._start(inner_names, 1 if quantized else 0, _count_given(given))
        if self._rejection is not None:
            return self._check_alone(found)
        try:
            self._inputs, drawn = complete_inputs(model, given, self.rng, run, _StepsCheck(main))
        except Error as e:
            if "not support" not in e.notes.get("reason", ""):
                raise
            self._rejection = e                   # operators for which it has no kernel of this dtype
            return self._check_alone(found)
        self._other = shuffle_inputs(self.rng, self._inputs)
        first = run(self._inputs)
        if drawn_here:
            check_steps(main, {n: numpy.shape(a) for n, a in (self._inputs | first).items()}, self._constants.shape)
        self._values = [first, _run_or(run, self._other, self._inputs), run(self._inputs)]
        evaluated = self._evaluate() if inner or self.engine == "onnxruntime" else "the engine runs nodes only"
        reason = self._find_reason(evaluated)
        if reason:                                # the model itself is not run again: its memory is free
            run = None
        for node in self.watch(found, "nodes"):
            self._check(node.title, self._wrap_inner if node.depth else self._wrap_main, node, evaluated)
        self._name_inner_quantized(nodes)
        if self.engine == "onnxruntime":
            self._check_whole(run, reason)
        return self._merge(found, drawn)

    def _name_inner_quantized(self, nodes: list[Node]) -> None:
        self.unchecked += [f"{node.title} lies in a subgraph and was not checked: only onnxruntime has the operator."
                           for node in nodes if node.proto.op_type == QUANTIZED_LSTM and node.depth]

    def _start(self, inner: set[str], threads: int, given: int) -> Callable | None:
        """What runs the model: inputs -> values.  None, and `_rejection`, if onnxruntime does not take it."""
        if self.engine != "onnxruntime":
            return _Intermediates(self.model, self.reading, inner).run
        try:
            return Session(self.model, sorted(inner), threads, given).run
        except Error as e:
            if not _LACKING.search(str(e.__cause__)):       # the model itself is wrong
                raise
            self._rejection = e
            return None

    def _check_alone(self, nodes: list[Node]) -> Report:
        """The report on the nodes of a model that onnxruntime does not take: each on random inputs, by its weights."""
        assert self._rejection is not None
        for node in self.watch([node for node in nodes if node.proto.op_type in RECURRENT], "nodes"):
            self._check(node.title, self._wrap_alone, node)
        if not any(row.verdict in ("agrees", "differs") for _, report in self.reports for row in report.rows):
            raise self._rejection
        reason = self._rejection.notes.get("reason", "").rstrip(".")
        self.unchecked += [f"The whole model was not compared: onnxruntime rejects it: {reason}.",
                           *(f"{node.title} was not checked: it is run inside its model only." for node in nodes
                             if node.proto.op_type == QUANTIZED_LSTM)]
        self.facts["nodes"] = "each checked alone, on random inputs, in float32"
        return self._merge(nodes, {})

    def _wrap_alone(self, node: Node) -> NodeCandidate:
        """A node with the weights of the model, on random inputs."""
        opset = next((o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")), 0)
        if not _FIRST_OPSET <= opset <= import_optional("onnx", "verify", "verify").defs.onnx_opset_version():
            raise NotSupported("verify", f"a node of opset {opset} alone", known=f"{_FIRST_OPSET} and later")
        known = {own: self._constants[name] for own, name in zip(INPUT_NAMES, node.proto.input)
                 if name in self._constants}
        return wrap_node(node.proto, draw_node_inputs(node.proto, known, self.rng), self.rng, self.engine, self.reading,
                         node.title)

    def _check(self, title: str, wrap: Callable, *node: Any) -> None:
        """Add the report on one node; what the reference does not have is "not comparable"."""
        try:
            candidate = wrap(*node)
            if candidate is None:
                return
            self.reports.append((title, _check_node(candidate, self.rng, self.checks)))
        except Error as e:
            self.reports.append((title, _say_incomparable(title, e)))

    def _wrap_main(self, node: Node, evaluated: str) -> NodeCandidate:
        runs = [Run(*self._select(node, k)) for k in range(3)]
        for run in runs[1:]:                      # the same weights: one array
            run.inputs.update({n: a for n, a in runs[0].inputs.items()
                               if a.shape == run.inputs[n].shape and numpy.array_equal(a, run.inputs[n])})
        if node.proto.op_type == QUANTIZED_LSTM:
            self._candidates[node.title] = wrap_quantized(node.proto, runs, self.reading, node.title)
            return self._candidates[node.title]
        candidate = wrap_node(node.proto, runs[0].inputs, self.rng, self.engine, self.reading, node.title,
                              tuple(runs) if self.engine == "onnxruntime" else ())
        self._candidates[node.title] = candidate
        return candidate

    def _select(self, node: Node, k: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The inputs and the results of a node in the k-th run, by the names of the specification."""
        known = (self._other if k == 1 else self._inputs) | self._values[k]
        names = QUANTIZED_NAMES if node.proto.op_type == QUANTIZED_LSTM else INPUT_NAMES
        return ({own: known[name] if name in known else self._constants[name]
                 for own, name in zip(names, node.proto.input) if name},
                {own: known[name] for own, name in zip(("Y", "Y_h", "Y_c"), node.proto.output) if name in known})

    def _wrap_inner(self, node: Node, evaluated: str) -> NodeCandidate | None:
        """A node of a subgraph, on what the evaluator gives it."""
        inputs = self._evaluator.last_run.get(node.proto.SerializeToString())
        if inputs is None:
            why = evaluated or "it is not run on these inputs"
            try:
                candidate = self._wrap_alone(node)
            except Error as e:
                self.unchecked.append(f"{node.title} lies in a subgraph and was not checked by itself: {why}, and "
                                      f"{e.args[1]}.")
                return None
            self.unchecked.append(f"{node.title} lies in a subgraph and was checked on random inputs: {why}.")
            return candidate
        return wrap_node(node.proto, inputs, self.rng, self.engine, self.reading, node.title)

    def _evaluate(self) -> str:
        """Run the evaluator of ONNX on the model once; why it cannot, or ""."""
        entries = sum(numpy.size(a) for a in self._inputs.values())
        weights = size_of_weights(self.model)
        largest = max((prod(n or 1 for n in shape) for shape in self._shapes.values()), default=0)
        if weights > _MOST_WEIGHTS or weights * entries / 4 > _MOST_WORK or largest > MOST_ENTRIES:
            return "it is too large for the evaluator of ONNX"
        foreign = sorted({p.op_type for p in self._ops if p.domain not in _DOMAINS})
        if foreign:
            return f"the evaluator of ONNX has no {', '.join(foreign)}"
        try:
            self._evaluator(self._inputs)
        except Exception as e:                    # an implementation in Python: any exception may end it
            return f"the evaluator of ONNX cannot run it: {_describe(e)}"
        return ""

    def _find_reason(self, evaluated: str) -> str:
        """Why the evaluator of ONNX is not the reference of the whole model, or ""."""
        stepped = sorted({p.op_type for p in self._ops if any(word in p.op_type for word in _STEPPED)})
        return evaluated or (f"rounding changes what {', '.join(stepped)} compute" if stepped else "")

    def _check_whole(self, run: Any, reason: str) -> None:
        """Add the report on all outputs, or the reason why there is none."""
        values, odd = flatten_values({a.name: self._values[0][a.name] for a in self.model.graph.output})
        if odd:
            self.unchecked.append(f"Outputs that are neither arrays nor sequences were not compared: {', '.join(odd)}.")
        how = "compared with the evaluator of ONNX and the operators of rnnref in float64"
        if not reason:
            weights = {t.name: self._constants[t.name] for t in self.model.graph.initializer}
            candidate = wrap_model(run, self._evaluator, self._inputs,
                                   {n: a for n, a in weights.items() if is_perturbable(a)}, self._evaluator.outputs)
        elif self._candidates:
            candidate = self._wrap_rest()
            how = f"onnxruntime computes what follows the recurrent nodes from the results of rnnref, since {reason}"
        if reason and not self._candidates or not candidate.arrays:
            self.unchecked.append(f"The whole model was not compared: {reason or 'it has no floating numbers'}.")
            return
        try:
            report = _check_node(candidate, self.rng, self.checks)
            report.rows += compare_exactly(candidate)
        except Error as e:
            report = _say_incomparable(_WHOLE_MODEL, e)
        except Exception as e:                    # of the evaluator, in float64 or on other numbers
            self.unchecked.append(f"The whole model was not compared: {_describe(e)}.")
            return
        self.facts[_WHOLE_MODEL] = how
        self.reports.append((_WHOLE_MODEL, report))

    def _wrap_rest(self) -> Any:
        """The candidate of what follows the recurrent nodes."""
        names = [own for node in self._candidates.values() for own in node.names.values()]
        outputs = [a.name for a in self.model.graph.output]
        rest = Rest(self.model, {n: self._values[0][n] for n in names}, outputs)
        made, dtypes = [], {title: self._values[0][next(iter(node.names.values()))].dtype
                            for title, node in self._candidates.items()}        # of nodes in half precision: float16
        # large weights are perturbed only where their node is checked: here they would all be in memory in float64
        left_out = ("sequence_lens", *(_WEIGHTS if size_of_weights(self.model) > _MOST_WEIGHTS else ()))
        for k, inputs in ((0, self._inputs), (1, self._other)):
            arrays = {f"{title}: {own}": a.astype(dtypes[title], copy=False) for title, node in self._candidates.items()
                      for own, a in node.runs[k].inputs.items() if own not in left_out}
            nodes = {title: node if k == 0 else replace(node, lengths=node.runs[k].inputs.get("sequence_lens"))
                     for title, node in self._candidates.items()}
            values = {n: self._values[k][n] for n in outputs}
            made.append(replace(wrap_model(lambda _, values=values: values, rest.of(nodes), {}, arrays, outputs),
                                others={n: a for n, a in inputs.items()}))
        made[0].later = made[1]
        return made[0]

    def _merge(self, found: list[Node], drawn: dict[str, str]) -> Report:
        """One report of those on the nodes, in the order of the graph, and on the whole model."""
        reports, counts = self.reports, [report.counts for _, report in self.reports]
        rows = [row._replace(name=f"{name}: {row.name}", group=name) for name, report in reports for row in report.rows]
        wrong = [(name, report) for name, report in reports if report.status == 1]
        nodes = [(name, report) for name, report in wrong if name != _WHOLE_MODEL]
        agree = [name for name, report in reports if report.ok]
        findings = []
        if nodes:
            name, first = nodes[0]
            verb = "differs" if first.counts["differs"] else "is refused"
            more = f"; {len(nodes) - 1} more {'does' if len(nodes) == 2 else 'do'} not agree"
            others = more if len(nodes) > 1 else ""
            findings = [f"The first node that {verb}: {name}{others}."]
        elif wrong:
            findings = ["Every RNN, GRU and LSTM node agrees by itself, the whole model does not: check the other "
                        "nodes." if found else "The whole model differs."]
        elif agree:
            findings = [f"All agree to rounding: {join_names(agree)}."]
        if not found and counts:
            findings.append("There is no node RNN, GRU or LSTM: the whole model was compared, with whatever recurrence "
                            "it has in other operators.")
        findings += [f"{name}: {finding}" for name, report in reports if not report.ok for finding in report.findings]
        findings += self.unchecked
        if not rows and not found and not any(p.op_type == QUANTIZED_LSTM for p in self._ops):
            raise NotSupported("verify", "a model without a node RNN, GRU or LSTM", reason=" ".join(self.unchecked),
                               has=" ".join(sorted({p.op_type for p in self._ops})))
        return Report(f"ONNX model {self.name or ''}".strip(), rows, self._collect_facts(drawn), findings,
                      strict=self.checks["strict"], gates=join_gates(reports), arrays=_select_arrays(self._inputs))

    def _collect_facts(self, drawn: dict[str, str]) -> dict[str, Any]:
        first = next((report.facts for _, report in self.reports), {})
        shapes = ", ".join(f"{n} {numpy.shape(a)}" if not isinstance(a, list) else f"{n} [{len(a)} arrays]"
                           for n, a in self._inputs.items())
        how = "on the inputs that it receives in the model" if self.engine == "onnxruntime" else \
            "on the inputs that the reference computes for it"
        integers = "; ".join(f"{n}: {words}" for n, words in drawn.items())
        facts = {**({"inputs": shapes} if shapes else {}), **({"integers": integers} if drawn else {})}
        facts |= {n: text for n, text in first.items() if n not in ("shapes", "not compared")}
        facts |= {"nodes": f"each checked alone, {how}"} if self._candidates else {}
        left_out = [f"{name}: {report.facts['not compared']}" for name, report in self.reports
                    if "not compared" in report.facts]
        facts |= {"not compared": "; ".join(left_out)} if left_out else {}
        return facts | self.facts | {"seed": self.checks.get("seed")}


def _select_arrays(inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs of a model, if all of them are arrays that a file can hold."""
    found = {n: a for n, a in inputs.items() if isinstance(a, numpy.ndarray) and a.dtype.kind in "fiub"}
    return found if len(found) == len(inputs) else {}


def _describe(error: Exception) -> str:
    """The beginning of the message of an error that has no common class."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}".rstrip(".")


def _say_incomparable(title: str, error: Error) -> Report:
    """A report with one row: what the reference cannot run."""
    note = " ".join(str(error).split())
    return Report(title, [Row("all outputs", OUTPUT, verdict="not comparable", note=note)])


def _count_given(given: dict[str, Any]) -> int:
    """The bytes of the inputs that the caller gives, as arrays or as shapes."""
    return sum(4 * prod(a) if is_shape(a) else numpy.asarray(a).nbytes for a in given.values()
               if not isinstance(a, list))


def _run_or(run: Callable, inputs: dict[str, Any], otherwise: dict[str, Any]) -> dict[str, Any]:
    """The values on `inputs`; if the model refuses them, on the inputs that it has run on before."""
    try:
        return run(inputs)
    except RefusalError:
        return run(otherwise)


class _StepsCheck:
    """Whether every recurrent node of the main graph gets two steps: in one, R meets the initial state only."""

    def __init__(self, nodes: list[Node]) -> None:
        self._sequences = [node.proto.input[0] for node in nodes]

    def __call__(self, values: dict[str, Any]) -> bool:
        return all(len(values[name]) > 1 for name in self._sequences if name in values)


class _Intermediates:
    """Values of the evaluator of ONNX by name, for engines that run one node only."""

    def __init__(self, model: Any, reading: Reading | None, names: set[str]) -> None:
        from ..onnx.backend import make_evaluator
        from ..onnx.reading import TEXT
        self._names = [*dict.fromkeys([*sorted(names), *(a.name for a in model.graph.output)])]
        try:
            self._evaluator = make_evaluator(model, reading or TEXT, seconds=SECONDS)
        except Exception as e:                    # an operator that it does not have
            raise Error("verify", "the evaluator of ONNX cannot run the model", reason=_describe(e)) from None

    def run(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """All values; a `RefusalError` if the evaluator cannot compute them."""
        try:
            return dict(zip(self._names, self._evaluator.run(self._names, inputs)))
        except Exception as e:                    # an implementation in Python: any exception may end it
            raise RefusalError(_describe(e)) from e
