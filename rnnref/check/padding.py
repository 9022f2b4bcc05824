"""check_padding: what an engine makes of padded batches, held to each of its rows run alone and unpadded."""
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import InvalidValue, check_option
from ..options import check_seed
from .candidate import OUTPUT, STATE, draw_normal
from .onnx_engines import clean_message
from .padding_runners import Batch, Runner, find_inputs, list_runners
from .report import Report
from .row import Row
from .tolerance import absolute_tolerance

_SHARES = {"right padding": (1.0, 0.5, 0.85, 0.2), "an empty row": (1.0, 0.0, 0.7, 0.35)}
_POLICIES = {"zero": "zero", "repeat": "the last valid output, zero before the first",
             "repeat from h0": "the last valid output, the initial state before the first",
             "free": "none of these: the engine runs on, or leaves what is there"}
_EMPTY = {"start": "its initial state", "zero": "zero"}


@dataclass(repr=False)
class PaddingReport(Report):
    """The result of `check_padding`; `policy` is what the engine does, for each question that has one answer.

    outputs   at padded steps: "zero", "repeat" (the last valid output; zero before the first), "repeat from h0" (the
              initial state before the first), "free"
    states    "last valid step", or "last step" of the array
    empty     the last state of an empty row: "start" (its initial state) or "zero"
    """
    policy: dict[str, str] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        counts = self.counts
        compared = counts["agrees"] + counts["differs"]
        refused = f"; {counts['refused']} of {len(self.rows)} cases were refused" if counts["refused"] else ""
        if not compared:
            return f"No verdict on {self.title}: it refused every padded batch."
        if counts["differs"]:
            worst = next(row for row in self.rows if row.verdict == "differs")
            return (f"{self.title} does not compute every row as it does the row alone: {counts['differs']} of "
                    f"{compared} arrays differ, first {worst.name}, {worst.where}{refused}.")
        return f"{self.title} computes every row of a padded batch as it does the row alone{refused}."

    @property
    def status(self) -> int:
        """0: every row that was computed is right; 1: one differs; 2: every batch was refused."""
        counts = self.counts
        return 1 if counts["differs"] else 0 if counts["agrees"] else 2


def check_padding(engine: Any, inputs: Any = None, *, dtype: str = "float32", seed: int = 0) -> PaddingReport:
    """Hold what an engine makes of padded batches to each row run alone and unpadded, and name its policy.

    engine    a function of x [T, B, I] with an argument `mask` [T, B] or `lengths` [B], and perhaps `initial_state`
              and `reverse`, -> y or (y, state); a torch.nn.RNN, LSTM or GRU; a recurrent layer of Keras; the name of an
              ONNX engine, or a function of a `case`
    inputs    (T, B, I): the sizes of the batches; without them (6, 4, as many as the engine says, or 3)
    ->        a `PaddingReport`, ok if each row is computed as it is alone

    The engine is its own truth: a row is run alone, on its valid steps only.  Padding is on the right, on the left, in
    holes, and one row is empty; with initial states and without, in every direction that the engine has.  The padding
    holds random numbers, which must not matter.  What outputs are in the padding, and what an empty row returns, is a
    question of policy: it is named.

    >>> import numpy as np
    >>> def runs_on(x, lengths=None):                      # a mask on the outputs, none on the state
    ...     h, ys = np.zeros((x.shape[1], 3), x.dtype), []
    ...     for t, xt in enumerate(x):
    ...         h = np.tanh(xt + h)
    ...         ys.append(h if lengths is None else h * (t < lengths)[:, None])
    ...     return np.stack(ys), h
    >>> report = check_padding(runs_on)
    >>> print(report.headline, *report.findings, sep="\\n")
    runs_on does not compute every row as it does the row alone: 2 of 4 arrays differ, first right padding: state, row
    1.
    With right padding, row 1 (valid steps 3 of 6): state is that after the last step of the array, not after the last
    valid step. The same in 1 more case.
    Outputs at padded steps: zero.
    >>> report.policy
    {'outputs': 'zero', 'states': 'last step'}
    """
    check_option("check_padding", "dtype", dtype, ("float32", "float64"))
    T, B, n_in = _check_sizes((6, 4, find_inputs(engine) or 3) if inputs is None else inputs)
    rng = numpy.random.default_rng(check_seed("check_padding", seed))
    name, runners = list_runners(engine, n_in, rng, dtype)
    trials = [_Trial(runner, kind, mask, with_start, draw_normal(rng, (T, B, n_in), dtype), rng)
              for runner in runners for with_start in (False, True)[:1 + runner.takes_start]
              for kind, mask in _make_masks(T, B, rng).items()]
    found = [outcome for trial in trials for outcome in trial.compare()]
    answers = {question: _join_answers(found, question) for question in ("outputs", "states", "empty")}
    findings = [*_describe_departures(found), *_describe_policy(found, answers)]
    policy = {question: " or ".join(by_answer) for question, by_answer in answers.items() if by_answer}
    return PaddingReport(name, [o.row for o in found], _collect_facts(T, B, n_in, dtype, seed), findings, policy=policy)


def _check_sizes(inputs: Any) -> tuple[int, int, int]:
    if not (isinstance(inputs, tuple) and len(inputs) == 3 and all(isinstance(n, int) for n in inputs)) or \
            inputs[0] < 4 or inputs[1] < 3 or inputs[2] < 1:
        raise InvalidValue("check_padding", f"inputs={inputs!r}, expected (T, B, I) with T >= 4 and B >= 3")
    return inputs


def _make_masks(T: int, B: int, rng: numpy.random.Generator) -> dict[str, Array]:
    """{kind of padding: mask [T, B]}."""
    steps = numpy.arange(T)[:, None]
    masks = {kind: steps < numpy.array([round(T * shares[b % len(shares)]) for b in range(B)])
             for kind, shares in _SHARES.items()}
    masks["left padding"] = masks["right padding"][::-1].copy()
    holes = rng.random((T, B)) < 0.6
    holes[:, 0], holes[0, 1:], holes[T // 2, 1:], holes[-1, 1:] = True, True, False, [b % 2 for b in range(1, B)]
    return masks | {"holes": holes}


class _Outcome(NamedTuple):
    """One array of one batch, and what it shows of the policy of the engine."""
    row: Row
    policy: dict[str, tuple[str, ...]]            # for each question the answers that fit
    title: str = ""
    reason: tuple[str, str] = ("", "")            # of a difference, in words: where, and what


class _Trial:
    """One batch, and each of its rows alone."""

    def __init__(self, runner: Runner, kind: str, mask: Array, with_start: bool, x: Array, rng: Any) -> None:
        self.runner, self.kind, self.mask, self.x, self.rng = runner, kind, mask, x, rng
        self.with_start = with_start
        self.title = ", ".join(filter(None, (runner.label, kind, "initial states" * with_start)))

    def compare(self) -> Iterator[_Outcome]:
        if not self.runner.takes_masks and self.kind in ("left padding", "holes"):
            return                                # lengths cannot say it
        try:
            start = self._draw_start() if self.with_start else None
            if self.with_start and start is None:
                return
            whole = self.runner.run(self.x, None, start)
            got = self.runner.run(self.x, self.mask, start)
            alone = [self._run_alone(b, start) for b in range(self.mask.shape[1])]
        except Exception as e:                    # of the engine, whatever it is: it refuses this batch
            message = f"{type(e).__name__}: {clean_message(e)}"
            yield _Outcome(Row(self.title, self.kind, verdict="refused", note=message[:200]), {}, self.title)
            return
        fault = self._find_fault([whole, *filter(None, alone)])
        if fault:
            yield _Outcome(Row(self.title, self.kind, verdict="refused", note=fault), {}, self.title)
            return
        for direction, y in got.outputs.items():
            yield self._compare_outputs(direction, y, alone, whole, start)
        for name, a in got.states.items():
            yield self._compare_state(name, a, alone, whole, start)

    def _find_fault(self, batches: list[Batch]) -> str:
        """What makes results without padding no truth to compare with; "" if nothing does."""
        for batch in batches:
            for y in batch.outputs.values():
                if y.ndim != 3 or y.dtype.kind != "f":
                    return f"without padding it returns {y.dtype} of shape {y.shape}, expected floats [T, B, outputs]"
            if not all(numpy.isfinite(a).all() for a in (*batch.outputs.values(), *batch.states.values())):
                return "without padding it returns numbers that are not finite"
        return ""

    def _draw_start(self) -> dict | None:
        states = self.runner.run(self.x, None, None).states
        states = {n: a for n, a in states.items() if n != "output"}
        return {n: draw_normal(self.rng, a.shape, a.dtype, 0.5) for n, a in states.items()} or None

    def _run_alone(self, b: int, start: dict | None) -> Batch | None:
        """The engine on the valid steps of one row; None for an empty row."""
        live = self.mask[:, b]
        own = None if start is None else {n: a[b:b + 1] for n, a in start.items()}
        return self.runner.run(numpy.ascontiguousarray(self.x[live, b:b + 1]), None, own) if live.any() else None

    def _name(self, what: str) -> str:
        return f"{self.title}: {what}"

    def _compare_outputs(self, direction: str, y: Array, alone: list, whole: Batch, start: dict | None) -> _Outcome:
        what = "outputs" if len(whole.outputs) < 2 else f"outputs, {direction}"
        truth = numpy.zeros_like(whole.outputs[direction])
        if y.shape != truth.shape:
            return self._differ(what, "everywhere", f"shape {y.shape}, expected {truth.shape}", OUTPUT)
        for b, one in enumerate(alone):
            if one is not None:
                truth[self.mask[:, b], b] = one.outputs[direction][:, 0]
        error = numpy.where(self.mask[..., None], _error(y, truth), 0.0)
        budget = absolute_tolerance("steep", y.dtype, float(abs(truth).max(initial=0.0)))
        if error.max(initial=0.0) <= budget:
            return _Outcome(Row(self._name(what), OUTPUT, float(error.max()), budget),
                            {"outputs": self._find_policies(direction, y, start, budget)}, self.title)
        first = self._find_first(error > budget, direction)
        ran_on = self.mask[..., None] & (_error(y, whole.outputs[direction]) > budget)
        before = direction in self.runner.reads_backwards and self.kind != "left padding"
        reason = "" if ran_on.any() else "they are those of the batch without a mask: " + (
            "the padding is read before the valid steps" if before else "the engine ignores it")
        t, b = first
        return _Outcome(Row(self._name(what), OUTPUT, float(error.max()), budget, "differs", f"row {b}, t={t}"), {},
                        self.title, self._describe(b, f"{what} differ from those of the row alone", reason))

    def _find_first(self, wrong: Array, direction: str) -> tuple[int, int]:
        """(t, row) of the first difference in the order of reading."""
        steps = wrong.any(-1)
        order = steps[::-1] if direction in self.runner.reads_backwards else steps
        t, b = numpy.argwhere(order)[0]
        return int(len(steps) - 1 - t if order is not steps else t), int(b)

    def _find_policies(self, direction: str, y: Array, start: dict | None, budget: float) -> tuple[str, ...]:
        """What outputs may be in the padding: every policy that fits."""
        backwards = direction in self.runner.reads_backwards
        rows, live = (y[::-1], self.mask[::-1]) if backwards else (y, self.mask)
        h0 = None if start is None else next((a for a in start.values() if a.shape == y.shape[1:]), None)
        zero = numpy.zeros_like(rows[0])
        firsts = {"repeat": zero, "repeat from h0": zero if h0 is None else h0}
        fits = ["zero"] * bool((abs(y[~self.mask]) <= budget).all())
        for policy, last in firsts.items():
            expected = []
            for t in range(len(rows)):
                last = numpy.where(live[t][:, None], rows[t], last)
                expected.append(last)
            fits += [policy] * bool((_error(rows, numpy.stack(expected)) <= budget).all())
        return tuple(fits) or ("free",)

    def _compare_state(self, name: str, a: Array, alone: list, whole: Batch, start: dict | None) -> _Outcome:
        first = numpy.zeros_like(whole.states[name]) if start is None or name not in start else start[name]
        if a.shape != first.shape:
            return self._differ(name, "everywhere", f"shape {a.shape}, expected {first.shape}", STATE)
        truth = numpy.stack([first[b] if one is None else one.states[name][0] for b, one in enumerate(alone)])
        budget = absolute_tolerance("steep", a.dtype, float(abs(truth).max(initial=0.0)))
        error = _error(a, truth).reshape(len(a), -1).max(1)
        empty = [b for b, one in enumerate(alone) if one is None]
        policy: dict[str, tuple[str, ...]] = {}
        if empty and start is not None:
            if (error[empty] <= budget).all():
                policy["empty"] = ("start",)
            elif (abs(a[empty]) <= budget).all():
                policy["empty"], error[empty] = ("zero",), 0.0       # a question of policy
        if (error <= budget).all():
            return _Outcome(Row(self._name(name), STATE, float(error.max()), budget),
                            policy | {"states": ("last valid step",)}, self.title)
        b = int((error > budget).argmax())
        at_end = _error(a, whole.states[name]).reshape(len(a), -1).max(1) <= budget
        reason = "that after the last step of the array, not after the last valid step" if at_end.all() else ""
        policy |= {"states": ("last step",)} if reason else {}
        return _Outcome(Row(self._name(name), STATE, float(error.max()), budget, "differs", f"row {b}"), policy,
                        self.title, self._describe(b, f"{name} is {reason or 'not that of the row alone'}"))

    def _describe(self, b: int, what: str, reason: str = "") -> tuple[str, str]:
        live = int(self.mask[:, b].sum())
        return (f"With {self.title}, row {b} (valid steps {live} of {len(self.mask)})",
                f"{what}{f'; {reason}' if reason else ''}.")

    def _differ(self, what: str, where: str, note: str, group: str) -> _Outcome:
        return _Outcome(Row(self._name(what), group, verdict="differs", where=where, note=note), {}, self.title,
                        (f"With {self.title}", f"{what} has {note}."))


def _error(a: Array, b: Array) -> Array:
    with numpy.errstate(invalid="ignore", over="ignore"):
        error = abs(a.astype("float64") - b.astype("float64"))
    return numpy.where(numpy.isnan(error), numpy.inf, error)


def _describe_departures(found: list[_Outcome]) -> Iterator[str]:
    """A sentence for each kind of difference, with the first case in which it occurs; and what was refused."""
    reasons: dict[str, list[str]] = {}
    for o in found:
        if o.reason[1]:
            reasons.setdefault(o.reason[1], []).append(o.reason[0])
    for what, places in reasons.items():
        n = len(places) - 1
        yield f"{places[0]}: {what}{f' The same in {n} more case' if n else ''}{'s' * (n > 1)}{'.' * bool(n)}"
    refused: dict[str, list[str]] = {}
    for o in found:
        if o.row.verdict == "refused":
            refused.setdefault(o.row.note, []).append(o.row.name)
    for note, names in refused.items():
        yield f"Refused: {_list_some(names)}. {note}"


def _join_answers(found: list[_Outcome], question: str) -> dict[str, list[str]]:
    """{answer: the titles of the batches}: the one answer that fits all, or those that are needed for all."""
    given = [(o.policy[question], o.title) for o in found if question in o.policy]
    if not given:
        return {}
    common = [answer for answer in given[0][0] if all(answer in fits for fits, _ in given)]
    if common:
        return {common[0]: [title for _, title in given]}
    count = Counter(answer for fits, _ in given for answer in fits)
    by_answer: dict[str, list[str]] = {}
    for fits, title in given:
        by_answer.setdefault(max(fits, key=lambda answer: count[answer]), []).append(title)
    return by_answer


def _describe_policy(found: list[_Outcome], answers: dict[str, dict[str, list[str]]]) -> Iterator[str]:
    """Sentences on what the engine does where rows alone cannot tell."""
    for question, head, words in (("outputs", "Outputs at padded steps", _POLICIES),
                                  ("empty", "The last state of an empty row", _EMPTY)):
        by_answer = answers[question]
        if len(by_answer) == 1:
            yield f"{head}: {words[next(iter(by_answer))]}."
        elif by_answer:
            parts = [f"{words[answer]} ({_list_some(titles)})" for answer, titles in by_answer.items()]
            yield f"{head} follow no one policy: {'; '.join(parts)}."


def _list_some(names: list[str], most: int = 4) -> str:
    names = list(dict.fromkeys(names))
    return "; ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _collect_facts(T: int, B: int, n_in: int, dtype: str, seed: int) -> dict[str, Any]:
    from .. import __version__
    return {"batches": f"{T} steps, {B} rows, {n_in} inputs, {dtype}",
            "truth": "the engine on each row alone, unpadded",
            "budget": f"{absolute_tolerance('steep', dtype, 1.0):g} of the largest entry (or of 1)", "seed": seed,
            "rnnref": __version__, "numpy": numpy.__version__}
