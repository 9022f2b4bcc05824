"""Every wrapper, small: what the laws are tried on, beside the cells."""
import numpy as np

from rnnref.cells import GRU, LSTM, Dropout, Masks, SimpleRNN, Stack
from rnnref.rules import elman, gru, lstm
from rnnref.tree import PerStep
from rnnref.wrappers.attention import Attention
from rnnref.wrappers.device import Device
from rnnref.wrappers.dropout import Zoneout, ZoneoutMasks
from rnnref.wrappers.projection import InputProjection, OutputProjection
from rnnref.wrappers.residual import Highway, Residual

T, B, I, U = 6, 4, 3, 5
RNG = np.random.default_rng(1)
PAIR = {"fn": lambda x, y: 0.5 * x - 2 * y, "dfn": lambda x, y, d: (0.5 * d, -2 * d)}
TIMES = {"fn": lambda x, y: x * y, "dfn": lambda x, y, d: (d * y, d * x)}


def mask(*shape):
    return (RNG.random(shape) < 0.7) / 0.7


def wide(cell):
    """A cell whose output is as wide as the inputs of the case."""
    return OutputProjection(cell, size=I, activation="tanh")


CELLS = {
    "Residual": (Residual(wide(GRU())), None),
    "Residual, a function": (Residual(LSTM(projection=I), **PAIR), None),
    "Residual, a product": (Residual(LSTM(projection=I), **TIMES), None),
    "Highway": (Highway(wide(GRU())), None),
    "Highway, not coupled": (Highway(LSTM(projection=I), coupled=False), None),
    "InputProjection": (InputProjection(GRU(), size=4), None),
    "InputProjection, slope from x": (InputProjection(LSTM(), size=4, activation="mish"), None),
    "InputProjection of a stack": (InputProjection(Stack((GRU(), LSTM())), size=4, activation="tanh"), None),
    "OutputProjection": (OutputProjection(LSTM(), size=4, activation="elu"), None),
    "OutputProjection in itself": (OutputProjection(OutputProjection(SimpleRNN(), size=4), size=2), None),
    "Attention": (Attention(LSTM(), length=3), None),
    "Attention, sizes": (Attention(GRU(reset="before"), length=2, size=4, vec=2, inputs=6), None),
    "Attention over one, of a stack": (Attention(Stack((GRU(), LSTM())), length=1), None),
    "Device": (Device(GRU()), None),
    "Dropout, the state after": (Dropout(LSTM()), Masks(s=lstm.State(mask(B, U), None))),
    "Dropout, all of the state after": (Dropout(LSTM()), Masks(
        x=mask(B, I), y=PerStep(mask(T, B, U)), s=lstm.State(PerStep(mask(T, B, U)), mask(B, U)))),
    "Dropout of a stack": (Dropout(Stack((GRU(), LSTM()))), Masks(
        s=(gru.State(mask(B, U)), lstm.State(mask(B, U), None)))),
    "Zoneout, no masks": (Zoneout(LSTM()), None),
    "Zoneout": (Zoneout(LSTM()), ZoneoutMasks(lstm.State((RNG.random((B, U)) < 0.3) * 1.0, np.full((B, U), 0.1)))),
    "Zoneout of h": (Zoneout(LSTM()), ZoneoutMasks(lstm.State(PerStep((RNG.random((T, B, U)) < 0.3) * 1.0), None))),
    "Zoneout around a dropout": (Zoneout(Dropout(SimpleRNN())), ZoneoutMasks(
        elman.State(PerStep(RNG.random((T, B, U)))), Masks(x=mask(B, I)))),
}
