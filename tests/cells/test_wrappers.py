"""Wrappers beyond the laws: integer inputs, refusals, and what they equal."""
import numpy as np
import pytest

import rnnref
from rnnref.cells import GRU, LSTM, SimpleRNN, Stack
from rnnref.testing.api import check_cell
from rnnref.testing.assertions import assert_same
from rnnref.testing.case import draw_arrays
from rnnref.wrappers.attention import Attention
from rnnref.wrappers.device import Device, parse_device
from rnnref.wrappers.dropout import Dropout, Masks, Zoneout, ZoneoutMasks
from rnnref.wrappers.embedding import Embedding
from rnnref.wrappers.projection import InputProjection, OutputProjection
from rnnref.wrappers.residual import Highway, Residual

RNG = np.random.default_rng(2)
T, B, U = 5, 4, 3
IDS = RNG.integers(0, 7, (T, B, 1))
LAWS = (2, 3, 4, 6, 7, 8, 9)                      # 1 and 5 are about inputs with the dtype of the outputs, and NaN


def parameters(cell, n_in=3):
    return draw_arrays(lambda shape: RNG.normal(size=shape), cell.shapes(n_in, U))


@pytest.mark.parametrize("cell", (GRU(), Stack((GRU(), LSTM()))), ids=lambda cell: cell.name)
@pytest.mark.parametrize("ids", (IDS, IDS[..., 0]), ids=("B 1", "B"))
def test_embedding(cell, ids):
    assert check_cell(Embedding(cell, classes=7, size=2), xs=ids, units=U, laws=LAWS).paths


def test_embedding_is_its_rows():
    cell = Embedding(LSTM(), classes=7, size=2)
    p = parameters(cell)
    s = cell.zeros(B, U, dtype="float64")
    ys, new, tape = rnnref.run(cell, p, IDS, s)
    inner = {name: a for name, a in p.items() if name != "E"}
    assert_same((ys, new), rnnref.run(LSTM(), inner, p["E"][IDS[..., 0]], s, paths=("plain",))[:2])
    dxs, _, _, dp = rnnref.run_back(tape, np.ones_like(ys))
    assert dxs is None and not dp["E"][[n for n in range(7) if n not in IDS]].any()


@pytest.mark.parametrize("ids, error, says", (
    (np.ones((T, B, 1)), rnnref.DtypeError, "integers"),
    (np.full((T, B, 1), 7), rnnref.ShapeError, "from 0 to 6"),
    (np.zeros((T, B, 2), int), rnnref.ShapeError, "expected T B or T B 1")))
def test_embedding_refuses(ids, error, says):
    cell = Embedding(GRU(), classes=7, size=2)
    p = {name: np.zeros(shape) for name, shape in cell.shapes(1, U).items()}
    with pytest.raises(error, match=says):
        rnnref.run(cell, p, ids, cell.zeros(B, U, dtype="float64"))
    with pytest.raises(rnnref.NotSupported, match="no state is given"):
        rnnref.run(cell, p, IDS)


@pytest.mark.parametrize("device, says", (("cpu", ("cpu", 0)), ("/device:GPU:1", ("gpu", 1)), (None, ("any", 0)),
                                          ("/job:worker/task:0/device:CPU:0", ("cpu", 0)), ("gpu", ("gpu", 0))))
def test_names_of_devices(device, says):
    assert parse_device("", device) == says


@pytest.mark.parametrize("cell, error, says", (
    (Device(GRU(), device="gpu:1"), rnnref.DeviceError, "x is in main memory"),
    (Device(GRU(), device="tpu:0"), rnnref.NotSupported, "device='tpu:0'"),
    (Residual(OutputProjection(GRU(), size=2)), rnnref.ShapeError, "they are added"),
    (Highway(OutputProjection(GRU(), size=2)), rnnref.ShapeError, "they are mixed"),
))
def test_refusals(cell, error, says):
    with pytest.raises(error, match=says):
        rnnref.run(cell, parameters(cell), np.zeros((T, B, 3)))


def test_a_function_without_its_gradients_runs_and_is_not_trained():
    cell = Residual(GRU(), fn=lambda x, y: x * y)
    ys, _, tape = rnnref.run(cell, parameters(cell), np.ones((T, B, 3)))
    with pytest.raises(rnnref.NotSupported, match="without its gradients"):
        rnnref.run_back(tape, ys)


@pytest.mark.parametrize("cell", (Highway(GRU()), InputProjection(GRU(), size=4), OutputProjection(GRU(), size=4),
                                  Attention(GRU(), length=2)), ids=lambda cell: cell.name)
def test_parameters_that_do_not_fit(cell):
    p = parameters(cell)
    for name in cell.own_axes():
        with pytest.raises(rnnref.ShapeError, match=f"{name} missing"):
            rnnref.run(cell, {n: a for n, a in p.items() if n != name}, np.zeros((T, B, 3)))
        with pytest.raises(rnnref.ShapeError, match=f"{name} has shape"):
            rnnref.run(cell, p | {name: np.zeros((11, 13))}, np.zeros((T, B, 3)),
                       cell.zeros(B, U, dtype="float64"))


@pytest.mark.parametrize("wrapper, extra", (
    (Dropout, Masks(s=type(LSTM().zeros(1, 1))(None, np.ones((B, U + 1))))),
    (Zoneout, ZoneoutMasks(type(LSTM().zeros(1, 1))(None, np.ones((B, U + 1))))),
    (Zoneout, Masks())))
def test_masks_that_do_not_fit(wrapper, extra):
    cell = wrapper(LSTM())
    with pytest.raises(rnnref.ShapeError, match="extra"):
        rnnref.run(cell, parameters(cell), np.zeros((T, B, 3)), extra=extra)


def test_state_masks_are_not_seen_by_the_output_of_the_step():
    """As TF 1 has it: the state after the step is masked, the output is not."""
    cell, h = Dropout(SimpleRNN()), np.zeros((1, U))
    p, x = parameters(cell), RNG.normal(size=(1, 3))
    s = cell.zeros(1, U, dtype="float64")
    y, new, _ = cell.forward(p, x, s, Masks(s=type(s)(h)))
    assert_same(y, SimpleRNN().forward(p, x, s)[0])
    assert y.any() and not new.h.any()
