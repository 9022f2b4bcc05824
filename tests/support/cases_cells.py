"""Cases of the cells beyond SimpleRNN, LSTM and GRU: what `cases` adds to its own."""
import numpy as np

from rnnref.cells import (CFN, ESN, GLSTM, GRU, LSTM, MGU, NAS, NTM, SRU, UGRNN, CandidateDropout, ConvLSTM,
                          DensePeepholes, GatedCell, GridLSTM, IndRNN, IndyGRU, IndyLSTM, IntersectionRNN, LayerNormGRU,
                          LayerNormLSTM, LayerNormSimpleRNN, MinimalRNN, Parallel, PhasedCell, ProjectedCell, SimpleRNN,
                          Skip, SkipStack, Stack, TimeFreqLSTM, WeightNormLSTM, ntm)
from rnnref.elementwise import get_activation
from rnnref.maps.composed import Sum
from rnnref.maps.dense import Dense, Diagonal
from rnnref.rules import elman, lstm
from rnnref.tree import PerStep, map_structure

T, B, I, U, H = 6, 4, 3, 5, 2                     # those of `cases`
RNG = np.random.default_rng(1)


def normal(*shape):
    return RNG.normal(size=shape) * 0.5


def line(*extent, n_in=I, units=2, to=None):
    """Arguments of cells that have places: x and a state."""
    to = to or extent
    s = lstm.State(normal(B, *to, units), normal(B, *to, units))
    return {"xs": normal(T, B, *extent, n_in), "units": units, "s": s}


def phased(cell, n_in=I, **p):
    """Times and parameters of a `Phased` cell: periods are positive, and each kind of phase is met."""
    own = {"period": RNG.uniform(1, 4, U), "phase": RNG.uniform(0, 1, U), "ratio_on": RNG.uniform(0.3, 0.9, U)}
    p = {name: normal(*shape) for name, shape in cell.shapes(n_in, U).items()} | own | p
    return cell, {"xs": (RNG.uniform(0, 20, (T, B, 1)), normal(T, B, n_in)), "p": p, "s": lstm.State(*normal(2, B, U))}


def turing(cell, slots, vector, reads, writes):
    """A state of an NTM: rows at their first step and rows that are not; where heads look is a distribution."""
    inner = map_structure(lambda a: normal(*a.shape), cell.zeros(B, U))
    focus = RNG.dirichlet(np.ones(slots), (B, reads + writes))
    return ntm.State(inner, normal(B, reads, vector), focus, normal(B, slots, vector), np.arange(B) % 3 * 1.0)


MORE = {
    "IndRNN": IndRNN(),
    "IndRNN, tanh": IndRNN(activation="tanh", bias=False),
    "IndyLSTM": IndyLSTM(forget_bias=1.0),
    "IndyLSTM, peepholes": IndyLSTM(peepholes=True, cell_clip=0.4),
    "IndyGRU": IndyGRU(),
    "GLSTM, one group": GLSTM(output="relu"),
    "LayerNormLSTM": LayerNormLSTM(),
    "LayerNormLSTM, everything": LayerNormLSTM(projection=H, projection_clip=0.3, epsilon=1e-12, peepholes=True,
                                               cell_clip=0.4, forget_bias=1.0, output="relu"),
    "LayerNormLSTM, coupled input": LayerNormLSTM(coupled="input", peepholes=True),
    "LayerNormLSTM, no shift": LayerNormLSTM(bias=False),
    "LayerNormLSTM, products apart": LayerNormLSTM(separate=True, peepholes=True),
    "LayerNormLSTM, as in TF Addons": LayerNormLSTM(separate=True, joint=True, epsilon=1e-3),
    "LayerNormLSTM, products apart, coupled": LayerNormLSTM(separate=True, bias=False, coupled="input", projection=H),
    "LayerNormSimpleRNN, no shift": LayerNormSimpleRNN(bias=False),
    "SimpleRNN, residual": SimpleRNN(residual=True),
    "SimpleRNN, residual, slope from x": SimpleRNN(residual=True, activation="mish", recurrent_bias=True),
    "WeightNormLSTM": WeightNormLSTM(floor=1e-12),
    "WeightNormLSTM, floor reached": WeightNormLSTM(projection=H, floor=1.5, peepholes=True),
    "CandidateDropout, no mask": CandidateDropout(LayerNormLSTM()),
    "UGRNN": UGRNN(forget_bias=1.0),
    "UGRNN, slopes from x": UGRNN(gate="swish", candidate="mish", bias=False),
    "CFN": CFN(),
    "CFN, complement": CFN(complement=True, activation="softplus", bias=False),
    "SRU": SRU(),
    "SRU, slopes from x": SRU(gate="swish", activation="mish"),
    "IntersectionRNN, projected": IntersectionRNN(in_projection=True, forget_bias=1.0),
    "NAS": NAS(),
    "NAS, projection": NAS(projection=H, projection_clip=0.3, bias=False),
    "MinimalRNN": MinimalRNN(),
    "MinimalRNN, slopes from x": MinimalRNN(activation="mish", gate="swish", bias=False),
    "MGU": MGU(),
    "MGU, slopes from x": MGU(gate=get_activation("sigmoid", clip=2.0), candidate="mish", bias=False),
    "MGU, reset after": MGU(reset="after"),
    "MGU, reset after, keeps": MGU(reset="after", keeps=True),
    "MGU, keeps": MGU(keeps=True),
    "MGU, two biases": MGU(recurrent_bias=True),
    "LayerNormGRU": LayerNormGRU(),
    "LayerNormGRU, joint": LayerNormGRU(joint=True, bias=False),
    "ESN": ESN(leak=0.3),
}
# Cells that need more than a number of inputs: (cell, arguments of `drawn`)
GIVEN = {
    "GLSTM": (GLSTM(groups=2), {"n_in": 4, "units": 6}),
    "GLSTM, projection": (
        GLSTM(groups=2, projection=4, projection_clip=0.3, candidate="softsign"), {"n_in": 4, "units": 6}),
    "IntersectionRNN": (IntersectionRNN(), {"n_in": U}),
    "SRU, highway of the input": (SRU(highway="input"), {"n_in": U}),
    "Skip": (Skip(UGRNN()), {}),
    "SkipStack": (SkipStack((GRU(), LSTM(projection=H), SimpleRNN())), {}),
    "SkipStack of one": (SkipStack((LSTM(),)), {}),
    "ConvLSTM, a line": (ConvLSTM(kernel=(3,), peepholes=True), line(4)),
    "ConvLSTM, an even kernel": (ConvLSTM(kernel=(2,), bias=False, forget_bias=1.0), line(4)),
    "ConvLSTM, two biases": (ConvLSTM(kernel=(3,), recurrent_bias=True), line(4)),
    "ConvLSTM, a plane": (ConvLSTM(kernel=(3, 2)), line(2, 3, n_in=2)),
    "ConvLSTM, a volume": (ConvLSTM(kernel=(2, 1, 3)), line(2, 1, 2, n_in=1)),
    "ConvLSTM, valid": (ConvLSTM(kernel=(2,), recurrent_kernel=(3,), padding="valid"), line(4, to=(3,))),
    "ConvLSTM, strides": (ConvLSTM(kernel=(3, 2), strides=(2, 1), cell_clip=0.4), line(3, 2, n_in=1, to=(2, 2))),
    "ConvLSTM, valid strides": (ConvLSTM(kernel=(2,), strides=(2,), padding="valid"), line(5, to=(2,))),
    "ConvLSTM, projected at each place": (ProjectedCell(ConvLSTM(kernel=(2,)), projection=2), {
        "xs": normal(T, B, 3, I), "units": 3, "s": lstm.State(normal(B, 3, 2), normal(B, 3, 3))}),
    "ConvLSTM with a skip": (Skip(ConvLSTM(kernel=(3,))), line(3)),
    "ConvLSTM, two": (Stack((ConvLSTM(kernel=(3,)), ConvLSTM(kernel=(2,)))), {
        "xs": normal(T, B, 3, I), "units": (2, 2),
        "s": (lstm.State(*normal(2, B, 3, 2)), lstm.State(*normal(2, B, 3, 2)))}),
    "SimpleRNN of two inputs": (GatedCell(Sum((Dense("W", "b"), Dense("V"))), Dense("R"), elman.ElmanRule()),
                                {"xs": (normal(T, B, I), normal(T, B, 2))}),
    "LSTM of two inputs, one for each unit": (
        GatedCell(Sum((Dense("W", "b"), Diagonal("V"))), Dense("R"), lstm.LSTMRule()),
        {"xs": (normal(T, B, I), normal(T, B, U))}),
    "CandidateDropout": (
        CandidateDropout(LayerNormLSTM(projection=H)), {"extra": PerStep((RNG.random((T, B, U)) < 0.6) / 0.6)}),
    "DensePeepholes": (DensePeepholes(), {}),
    "DensePeepholes, slopes from x": (
        DensePeepholes(rule=lstm.LSTMRule(0.5, gate=get_activation("sigmoid", clip=0.4), candidate="mish")), {}),
    "Phased": phased(PhasedCell(LSTM(), leak=0.05)),
    "Phased, weight norm": phased(PhasedCell(WeightNormLSTM())),
    "Phased, dense peepholes": phased(PhasedCell(DensePeepholes())),
    "Phased, TF's period": phased(PhasedCell(LSTM(), period_gradient="tf1")),
    "TimeFreqLSTM": (TimeFreqLSTM(feature=3, skip=2, windows=3), {"n_in": 7, "units": 2}),
    "TimeFreqLSTM, everything": (
        TimeFreqLSTM(feature=4, skip=1, windows=2, rule=lstm.LSTMRule(1.0, True, cell_clip=0.4)),
        {"n_in": 6, "units": 2}),
    "GridLSTM": (GridLSTM(feature=3, skip=2, windows=(3,), forget_bias=1.0), {"n_in": 7, "units": 2}),
    "GridLSTM, blocks, coupled": (
        GridLSTM(feature=3, skip=1, windows=(2, 1), starts=(0, 3), coupled=True), {"n_in": 6, "units": 2}),
    "GridLSTM, shared": (
        GridLSTM(feature=3, skip=2, windows=(2,), shared=True, peepholes=True), {"n_in": 5, "units": 2}),
    "GridLSTM, peepholes, limited": (
        GridLSTM(feature=3, skip=2, windows=(2,), peepholes=True, cell_clip=0.3), {"n_in": 5, "units": 2}),
    "GridLSTM, TF's slots": (GridLSTM(feature=2, skip=1, windows=(2, 1), reads="first"), {"n_in": 4, "units": 2}),
    "GridLSTM, both ways": (
        Parallel((GridLSTM(feature=2, skip=1, windows=(2,), shared=True),
                  GridLSTM(feature=2, skip=1, windows=(2,), shared=True, offset=-1, backwards=True))),
        {"n_in": 4, "units": 2}),
    "GridLSTM, backwards": (
        GridLSTM(feature=2, skip=1, windows=(2, 1), shared=True, offset=1, backwards=True), {"n_in": 4, "units": 2}),
    "Beside, with a dropout": (Parallel((UGRNN(), CandidateDropout(MGU(reset="after")))), {
        "extra": (None, PerStep((RNG.random((T, B, U)) < 0.6) / 0.6))}),
    "NTM": (NTM(LSTM(), slots=5, vector=3, outputs=2), {"s": turing(LSTM(), 5, 3, 1, 1)}),
    "NTM, several heads": (
        NTM(GRU(), slots=6, vector=2, outputs=3, read_heads=2, write_heads=2, shift=2),
        {"s": turing(GRU(), 6, 2, 2, 2)}),
    "NTM, reading alone": (
        NTM(UGRNN(), slots=3, vector=2, outputs=2, read_heads=1, write_heads=0, shift=0),
        {"s": turing(UGRNN(), 3, 2, 1, 0)}),
    "CandidateDropout, one mask": (CandidateDropout(MGU(reset="after")), {"extra": (RNG.random((B, U)) < 0.6) / 0.6}),
}
MORE_BREAKS = {
    "Phased, TF's period": {2: "TF takes mod(z, period) as if it did not depend on the period"},
}
