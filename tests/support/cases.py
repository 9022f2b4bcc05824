"""Every cell with every option, small: what the laws are tried on.  A new cell or option gets a line here.

`python -m tests.support.cases` writes tests/snapshots/parameters.json, the names and shapes of all their parameters.
"""
import json
from pathlib import Path
from zlib import crc32

import numpy as np

from rnnref.cells import (GRU, LSTM, Bidirectional, Dropout, GatedCell, LayerNormSimpleRNN, Masks, ProjectedCell,
                          SharedBidirectional, SimpleRNN, Stack)
from rnnref.cells.gru_before import GRUBefore
from rnnref.elementwise import ACTIVATIONS, get_activation
from rnnref.maps.dense import Dense
from rnnref.maps.normed import WeightNorm
from rnnref.rules import elman, gru, layer_norm, lstm
from rnnref.testing.api import draw_case
from rnnref.tree import PerStep, leaves
from tests.support.cases_cells import GIVEN, MORE, MORE_BREAKS
from tests.support.cases_wrappers import CELLS as WRAPPERS

T, B, I, U, H = 6, 4, 3, 5, 2                     # all different; H: the width of a projection
SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "parameters.json"
RNG = np.random.default_rng(0)

# What a case breaks on purpose: {case: {law: reason}}
BREAKS = {
    "LSTM, cell clip through": {2: "the gradient goes straight through the clip, as in TF's block kernels"},
} | MORE_BREAKS


def mask(*shape):
    return (RNG.random(shape) < 0.7) / 0.7


def step_masks(n_in, h, **inner):                 # a new one at every step
    return Masks(PerStep(mask(T, B, n_in)), PerStep(mask(T, B, h)), PerStep(mask(T, B, h)), **inner)


def normed(rule):
    return GatedCell(Dense("W"), Dense("R"), layer_norm.LayerNormRule(rule))


def weight_normed(rule, bR=None):
    return GatedCell(WeightNorm("W", "b", "V", "gain"), WeightNorm("R", bR, "Vr", "gain_r"), rule)


def bent(name):
    """The activation, its argument limited where a recurrence would grow without end."""
    clip = 1.0 if name == "exponential" else None
    return get_activation(name, ACTIVATIONS[name].alpha, ACTIVATIONS[name].beta, clip)


ACTIVATION_CELLS = {f"SimpleRNN {name}": SimpleRNN(activation=bent(name)) for name in ACTIVATIONS} | {
    "SimpleRNN, alpha, beta": SimpleRNN(activation=get_activation("scaled_tanh", alpha=0.8, beta=1.3)),
    "SimpleRNN, affine": SimpleRNN(activation=get_activation("affine", alpha=0.7, beta=0.2)),
    "SimpleRNN, thresholded": SimpleRNN(activation=get_activation("thresholded_relu", alpha=0.2)),
    "SimpleRNN, hard_sigmoid@keras3": SimpleRNN(activation="hard_sigmoid@keras3"),
    "SimpleRNN, clip": SimpleRNN(activation=get_activation("tanh", clip=0.5)),
    "SimpleRNN, clip, slope from x": SimpleRNN(activation=get_activation("elu", alpha=0.5, clip=0.5)),
    "SimpleRNN, recurrent bias": SimpleRNN(activation="tanh", recurrent_bias=True),
    "SimpleRNN, no bias": SimpleRNN(bias=False),
}
LSTMS = {
    "LSTM": LSTM(),
    "LSTM, forget bias": LSTM(forget_bias=1.0),
    "LSTM, recurrent bias": LSTM(recurrent_bias=True),
    "LSTM, no bias": LSTM(bias=False),
    "LSTM, peepholes": LSTM(peepholes=True),
    "LSTM, coupled input": LSTM(coupled="input", forget_bias=0.5),
    "LSTM, coupled input, peepholes": LSTM(coupled="input", peepholes=True),
    "LSTM, coupled forget": LSTM(coupled="forget"),
    "LSTM, coupled forget, peepholes": LSTM(coupled="forget", peepholes=True),
    "LSTM, cell clip": LSTM(cell_clip=0.3),
    "LSTM, cell clip, peepholes": LSTM(cell_clip=0.3, peepholes=True),
    "LSTM, cell clip through": LSTM(cell_clip=0.3, cell_clip_gradient="through"),
    "LSTM, cell clip through, not reached": LSTM(cell_clip=50.0, cell_clip_gradient="through"),
    "LSTM, slopes from x": LSTM(gate="swish", candidate="mish", output="gelu_tanh"),
    "LSTM, slopes from x, coupled": LSTM(gate="softplus", candidate="elu", output="selu", coupled="forget"),
    "LSTM, slopes from y": LSTM(gate="hard_sigmoid@keras2", candidate="softsign", output="hard_tanh"),
    "LSTM, clip before": LSTM(gate=get_activation("sigmoid", clip=0.4), candidate=get_activation("tanh", clip=0.4),
                              output=get_activation("tanh", clip=0.4)),
    "LSTM, clip before, slopes from x": LSTM(gate=get_activation("leaky_relu", alpha=0.1, clip=0.4), coupled="input",
                                             candidate=get_activation("elu", clip=0.4), peepholes=True),
    "LSTM, projection": LSTM(projection=H),
    "LSTM, projection clip": LSTM(projection=H, projection_clip=0.2),
    "LSTM, everything": LSTM(projection=H, projection_clip=0.3, recurrent_bias=True, peepholes=True, cell_clip=0.5,
                             forget_bias=1.0, coupled="input", candidate="softplus"),
}
GRUS = {
    "GRU": GRU(),
    "GRU, no recurrent bias": GRU(recurrent_bias=False),
    "GRU, no bias": GRU(bias=False),
    "GRU, slopes from x": GRU(gate="swish", candidate=get_activation("elu", alpha=0.5)),
    "GRU, slopes from y": GRU(gate="hard_sigmoid@keras2", candidate="softsign"),
    "GRU, clip before": GRU(gate=get_activation("sigmoid", clip=0.4), candidate=get_activation("tanh", clip=0.4)),
    "GRU before": GRU(reset="before"),
    "GRU before, recurrent bias": GRU(reset="before", recurrent_bias=True),
    "GRU before, no bias": GRU(reset="before", bias=False),
    "GRU before, slopes from x": GRU(reset="before", gate="swish", candidate="mish"),
    "GRU before, clip before": GRU(reset="before", recurrent_bias=True, gate=get_activation("sigmoid", clip=0.4),
                                   candidate=get_activation("elu", clip=0.4)),
}
NORMS = {
    "LayerNormSimpleRNN": LayerNormSimpleRNN(),
    "LayerNormSimpleRNN, slope from x": LayerNormSimpleRNN(activation="mish", epsilon=1e-3),
    "LSTM on a norm of the sum": normed(lstm.LSTMRule(peepholes=True)),
    "LSTM on a norm of the sum, coupled": normed(lstm.LSTMRule(coupled="input")),
    "LSTM, weight norm": weight_normed(lstm.LSTMRule(), "bR"),
    "GRU, weight norm": weight_normed(gru.GRURule(), "bR"),
    "SimpleRNN, weight norm": weight_normed(elman.ElmanRule()),
    "LSTM, weight norm, projection": ProjectedCell(
        weight_normed(lstm.LSTMRule()), projection=H, map=WeightNorm("P", None, "Vp", "gain_p")),
    "GRU before, weight norm of the input": GRUBefore(WeightNorm("W", "b", "V", "gain"), Dense("R")),
}
SEVERAL = {
    "Stack": Stack((LSTM(forget_bias=1.0), GRU())),
    "Stack of three, projected": Stack((LSTM(projection=H), GRU(reset="before"), SimpleRNN())),
    "Stack in a stack": Stack((Stack((GRU(), SimpleRNN())), LSTM())),
    "Stack of one": Stack((LSTM(),)),
    "Bidirectional": Bidirectional((LSTM(), GRU())),
    "Bidirectional, weight norm and before": Bidirectional((weight_normed(lstm.LSTMRule()), GRU(reset="before"))),
    "Bidirectional, stacks": Bidirectional((Stack((LSTM(), GRU())), Stack((GRU(), LSTM(projection=H))))),
    "SharedBidirectional": SharedBidirectional(LSTM()),
    "SharedBidirectional, a stack": SharedBidirectional(Stack((weight_normed(lstm.LSTMRule()), GRU()))),
    "Dropout, no masks": Dropout(LSTM()),
}
WITH_EXTRA = {
    "Dropout, mask of x": (Dropout(LSTM()), Masks(x=mask(B, I))),
    "Dropout, masks of h and y": (Dropout(GRU()), Masks(h=mask(B, U), y=mask(B, U))),
    "Dropout, masks of every step": (Dropout(LSTM(projection=H)), step_masks(I, H)),
    "Dropout in a dropout": (Dropout(Dropout(GRU(reset="before"))), step_masks(I, U, cell=Masks(x=mask(B, I)))),
    "Bidirectional, one with a dropout": (Bidirectional((LSTM(), Dropout(GRU()))), (None, step_masks(I, U))),
    "Stack, one with a dropout": (
        Stack((GRU(), Dropout(LSTM()))), (None, Masks(x=PerStep(mask(T, B, U)), h=mask(B, U)))),
    "all together": (
        Stack((Dropout(weight_normed(lstm.LSTMRule(peepholes=True, cell_clip=0.5), "bR")),
               normed(elman.ElmanRule("softplus")),
               Dropout(LSTM(projection=H, projection_clip=0.4, coupled="forget")),
               GRU(reset="before", recurrent_bias=True))),
        (Masks(PerStep(mask(T, B, I)), mask(B, U)), None, Masks(y=PerStep(mask(T, B, H))), None)),
}

CELLS = {name: (cell, None) for name, cell in (ACTIVATION_CELLS | LSTMS | GRUS | NORMS | SEVERAL).items()} | WITH_EXTRA
CELLS |= WRAPPERS | {name: (cell, None) for name, cell in MORE.items()}
CELLS |= {name: (cell, given.get("extra")) for name, (cell, given) in GIVEN.items()}


def case(name):
    """The case of that name: nothing in it can be written to."""
    cell, extra = CELLS[name]
    given = {"extra": extra, "n_in": I, "units": U, "steps": T, "batch": B} | (GIVEN[name][1] if name in GIVEN else {})
    return draw_case(cell, seed=crc32(name.encode()), **given)


def parameters():
    """{case: {parameter: shape}}"""
    return {name: {path: list(a.shape) for path, a in leaves(case(name).p)} for name in CELLS}


def assert_parameters_as_stored():
    assert parameters() == json.loads(SNAPSHOT.read_text()), (
        "names or shapes of parameters changed: if that is meant, store them: python -m tests.support.cases")


if __name__ == "__main__":
    lines = [f"  {json.dumps(name)}: {json.dumps(shapes)}" for name, shapes in parameters().items()]
    SNAPSHOT.parent.mkdir(exist_ok=True)
    SNAPSHOT.write_text("{\n" + ",\n".join(lines) + "\n}\n")
