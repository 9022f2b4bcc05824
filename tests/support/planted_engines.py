"""Engines with one fault each, made of onnx_reading, which shares no code with the reference of the survey."""
import numpy as np

from rnnref.survey import cases
from tests.support import onnx_reading


def run_independent(case, **switches):
    """The outputs of the independent implementation, rounded to float32."""
    outputs = getattr(onnx_reading, case.op.lower())(case.inputs, case.attributes, **switches)
    return {name: a.astype(np.float32) for name, a in outputs.items()}


def ignoring(*names):
    def engine(case):
        inputs, attributes = ({n: v for n, v in d.items() if n not in names} for d in (case.inputs, case.attributes))
        return run_independent(case._replace(inputs=inputs, attributes=attributes))
    return engine


def switched(**switches):
    return lambda case: run_independent(case, **switches)


def changed(**attributes):
    return lambda case: run_independent(case._replace(attributes=case.attributes | attributes))


def with_inputs(f):
    return lambda case: run_independent(case._replace(inputs=case.inputs | f(case)))


def gates_as(order):
    """An LSTM that reads the blocks of W, R and B in another order than i o f c."""
    def blocks(case):
        perm, new = [order.index(g) for g in "iofc"], {}
        for n in set("WRB") & set(case.inputs):
            pieces = np.split(case.inputs[n], 8 if n == "B" else 4, axis=1)
            new[n] = np.concatenate([pieces[k] for k in (perm + [4 + k for k in perm])[:len(pieces)]], axis=1)
        return new
    return with_inputs(blocks)


def in_either_layout(engine):
    """The same engine, which accepts layout=1 too."""
    def run(case):
        if not case.attributes.get("layout"):
            return engine(case)
        swapped = {n: a.swapaxes(0, 1) if n == "X" or n.startswith("initial") else a for n, a in case.inputs.items()}
        attributes = {n: v for n, v in case.attributes.items() if n != "layout"}
        y = engine(case._replace(inputs=swapped, attributes=attributes))
        return {n: a.transpose(2, 0, 1, 3) if n == "Y" else a.swapaxes(0, 1) for n, a in y.items()}
    return run


@in_either_layout
def from_the_padding(case):
    """The reverse direction reads the whole of X, padding first."""
    y = run_independent(case)
    if "sequence_lens" not in case.inputs or case.attributes.get("direction") in (None, "forward"):
        return y
    whole = ignoring("sequence_lens")(case)
    live = np.arange(len(y["Y"]))[:, None] < case.inputs["sequence_lens"]
    for name in y:
        if name == "Y":
            y[name][:, -1] = np.where(live[..., None], whole[name][:, -1], 0)
        else:
            y[name][-1] = whole[name][-1]
    return y


@in_either_layout
def running_on(case):
    """Forward outputs continue into the padding."""
    y = run_independent(case)
    if case.attributes.get("direction") != "reverse":
        y["Y"][:, 0] = ignoring("sequence_lens")(case)["Y"][:, 0]
    return y


@in_either_layout
def last_again(case):
    """The last output repeated in the padding, as in Keras."""
    y = run_independent(case)
    for b, n in enumerate(case.inputs.get("sequence_lens", [])):
        y["Y"][n:, :, b] = y["Y"][max(n - 1, 0), :, b]
    return y


@in_either_layout
def backwards(case):
    """The reverse direction starts at the first step, alone or as the second direction."""
    y, X = run_independent(case), case.inputs["X"].copy()
    if case.attributes.get("direction") in (None, "forward"):
        return y
    lengths = case.inputs.get("sequence_lens", [len(X)] * X.shape[1])
    for b, n in enumerate(lengths):
        X[:n, b] = X[:n, b][::-1]
    other = run_independent(case._replace(inputs=case.inputs | {"X": X}))
    for b, n in enumerate(lengths):
        y["Y"][:n, -1, b] = other["Y"][:n, -1, b][::-1]
    return y | {n: np.concatenate([a[:-1], other[n][-1:]]) for n, a in y.items() if n != "Y"}


def first_direction_only(case):
    """Both directions use the activations of the first."""
    attributes = dict(case.attributes)
    if attributes.get("direction") == "bidirectional" and "activations" in attributes:
        first = attributes["activations"][:len(attributes["activations"]) // 2]
        attributes |= {"activations": first * 2}
        for name, table in cases.SCALES.items():
            if name in attributes:
                attributes[name] = attributes[name][:sum(f in table for f in first)] * 2
    return run_independent(case._replace(attributes=attributes))


def reverse_as_forward(case):
    return (ignoring("direction") if case.attributes.get("direction") == "reverse" else run_independent)(case)


def exchange_final_states(case):
    y = run_independent(case)
    return y | {"Y_h": y["Y_c"], "Y_c": y["Y_h"]}


PLANTED = [                                       # operator, engine, option to run, the faults that must be found
    ("RNN", ignoring("clip"), "clip", {"without clip"}),
    ("LSTM", ignoring("sequence_lens"), "plain", {"without sequence_lens"}),
    ("LSTM", ignoring("initial_c"), "initial states", {"without initial_c"}),
    ("LSTM", ignoring("initial_h", "initial_c"), "initial states", {"without initial states"}),
    ("LSTM", ignoring("P"), "P", {"without P"}),
    ("LSTM", ignoring("input_forget"), "input_forget", {"without input_forget"}),
    ("GRU", ignoring("linear_before_reset"), "linear_before_reset", {"without linear_before_reset"}),
    ("GRU", changed(linear_before_reset=1), "plain", {"linear_before_reset=1"}),
    ("GRU", ignoring("B"), "plain", {"without B"}),
    ("GRU", ignoring("activations", "activation_alpha", "activation_beta"), "activations", {"without activations"}),
    ("LSTM", ignoring("activation_beta"), "activations", {"without activation_beta"}),
    ("GRU", first_direction_only, "activations", {"activations of the first direction"}),
    ("LSTM", switched(empty_row="zero"), "initial states", {"Reading(empty_row='zero')"}),
    ("LSTM", switched(clip_h=False), "clip", {"Reading(clip_output=False)"}),
    ("LSTM", switched(coupled="input"), "input_forget", {"Reading(coupled='input')"}),
    ("LSTM", switched(alpha_by="position"), "activations", {"Reading(alpha='position')"}),
    ("LSTM", gates_as("ifoc"), "plain", {"gates ifoc"}),
    ("LSTM", with_inputs(lambda c: {"P": np.roll(c.inputs["P"], 5, 1)} if "P" in c.inputs else {}), "P", {"P ofi"}),
    ("RNN", with_inputs(lambda c: {n: a * (np.arange(10) < 5) for n, a in c.inputs.items() if n == "B"}), "plain",
     {"B without its second (Rb) half"}),
    ("RNN", from_the_padding, "plain", {"reverse starts in the padding"}),
    ("RNN", running_on, "plain", {"Y runs on"}),
    ("GRU", last_again, "plain", {"Y repeats"}),
    ("LSTM", backwards, "plain", {"reverse from the first step"}),
    ("RNN", reverse_as_forward, "plain", {"reverse as forward"}),
    ("LSTM", exchange_final_states, "plain", {"final states exchanged"}),
    ("LSTM", ignoring("clip", "input_forget"), "clip + input_forget", {"without clip", "without input_forget"}),
]
