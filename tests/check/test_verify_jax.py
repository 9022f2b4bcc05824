"""verify on layers and cells of flax linen, nnx and equinox: right ones pass both ways, wrong ones do not."""
import sys
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, verify
from rnnref.errors import Error

jax = pytest.importorskip("jax")
nn, nnx = pytest.importorskip("flax.linen"), pytest.importorskip("flax.nnx")

pytestmark = pytest.mark.peers
KEY, LENGTHS = jax.random.PRNGKey(0), [2, 5]
SHAPE = 2, 5, 3


def variables(module, shape=SHAPE):
    return module.init(KEY, np.ones(shape, "float32"))


LINEN = {
    "LSTM": lambda: nn.RNN(nn.LSTMCell(4)),
    "GRU backwards": lambda: nn.RNN(nn.GRUCell(4), reverse=True),
    "simple backwards, in order": lambda: nn.RNN(nn.SimpleCell(4), reverse=True, keep_order=True),
    "both ways": lambda: nn.Bidirectional(nn.RNN(nn.MGUCell(4)), nn.RNN(nn.OptimizedLSTMCell(5))),
}


@pytest.mark.parametrize("name", LINEN)
def test_linen(name):
    module = LINEN[name]()
    for lengths, gradients in ((None, False), (LENGTHS, True)):
        report = verify(module, SHAPE, p=variables(module), lengths=lengths, gradients=gradients)
        assert report.ok and report.counts["agrees"] == len(report.rows), report
        assert any(row.name.startswith("d") and row.name.endswith("kernel") for row in report.rows) == gradients
    assert verify(module.bind(variables(module)), SHAPE, gradients=False).ok


def test_linen_time_first_convolution_and_one_cell_both_ways():
    module = nn.RNN(nn.GRUCell(4), time_major=True)
    assert verify(module, (5, 2, 3), p=variables(module, (5, 2, 3)), lengths=LENGTHS).ok
    module = nn.RNN(nn.ConvLSTMCell(2, (3,)))
    report = verify(module, (2, 4, 5, 3), p=variables(module, (2, 4, 5, 3)))
    assert report.ok and report.rows[0].name == "output"
    one = nn.RNN(nn.GRUCell(4))
    module = nn.Bidirectional(one, one)
    assert verify(module, SHAPE, p=variables(module)).ok


def test_cells_and_nnx():
    cell = nn.LSTMCell(4)
    p = cell.init(KEY, cell.initialize_carry(KEY, (2, 3)), np.ones((2, 3), "float32"))
    report = verify(cell, (5, 2, 3), p=p)
    assert report.ok and {"h", "c", "dc0"} <= {row.name for row in report.rows}
    rngs = nnx.Rngs(0)
    for module in (nnx.RNN(nnx.LSTMCell(3, 4, rngs=rngs), reverse=True),
                   nnx.Bidirectional(*(nnx.RNN(nnx.GRUCell(3, n, rngs=rngs)) for n in (4, 5)))):
        before = nnx.to_pure_dict(nnx.state(module, nnx.Param))
        assert verify(module, SHAPE, lengths=LENGTHS).ok
        after = nnx.to_pure_dict(nnx.state(module, nnx.Param))
        assert jax.tree_util.tree_all(jax.tree_util.tree_map(lambda a, b: (a == b).all(), before, after))
    assert verify(nnx.SimpleCell(3, 4, rngs=rngs), (5, 2, 3)).ok


def test_wrong_modules_are_told():
    class Wrong(nnx.LSTMCell):
        """Carries on a part of c only."""

        def __call__(self, carry, x):
            return super().__call__((0.9 * carry[0], carry[1]), x)

    report = verify(nnx.RNN(Wrong(3, 4, rngs=nnx.Rngs(0))), SHAPE)
    assert not report.ok and report.rows[0].where.startswith("t=0, row")

    class Unflipped(nnx.RNN):
        """Runs backwards, whatever it is told of the order."""

        def __call__(self, x, **options):
            return super().__call__(x, **options | {"keep_order": True})

    assert not verify(Unflipped(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)), reverse=True), SHAPE).ok


def test_refusals():
    with pytest.raises(NotSupported, match="the linen module RNN without parameters(.|\n)*module.init"):
        verify(nn.RNN(nn.LSTMCell(4)), SHAPE)
    with pytest.raises(NotSupported, match="a flax Dense without recurrent modules"):
        verify(nn.Dense(4), SHAPE, p=variables(nn.Dense(4)))
    half = nnx.RNN(nnx.GRUCell(3, 4, dtype="bfloat16", rngs=nnx.Rngs(0)))
    with pytest.raises(NotSupported, match="computes in bfloat16"):
        verify(half, SHAPE)
    added = nnx.Bidirectional(*(nnx.RNN(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0))) for _ in range(2)), merge_fn=np.add)
    with pytest.raises(NotSupported, match="merge_fn=add"):
        verify(added, SHAPE)
    with pytest.raises(NotSupported, match="lengths with a GRUCell"):
        verify(nnx.GRUCell(3, 4, rngs=nnx.Rngs(0)), (5, 2, 3), lengths=LENGTHS)


@dataclass
class EquinoxGRU:
    """Stands for equinox.nn.GRUCell: one row at a time, gates r z n, a bias for h in n alone."""
    weight_ih: Any
    weight_hh: Any
    bias: Any
    bias_n: Any
    use_bias: bool = True
    wrong: float = 1.0

    def __call__(self, x, h, *, key=None):
        a, b = (jax.numpy.split(m, 3) for m in (self.weight_ih @ x + self.bias, self.weight_hh @ h))
        r, z = (jax.nn.sigmoid(a[k] + b[k]) for k in (0, 1))
        n = jax.numpy.tanh(a[2] + r * (b[2] + self.wrong * self.bias_n))
        return n + z * (h - n)


EquinoxGRU.__module__, EquinoxGRU.__name__ = "equinox.nn._rnn", "GRUCell"


def test_cells_of_equinox(monkeypatch):
    def tree_at(where, tree, values):
        names = [name for name in vars(tree) if any(a is getattr(tree, name) for a in where(tree))]
        order = {id(getattr(tree, name)): name for name in names}
        return replace(tree, **dict(zip((order[id(a)] for a in where(tree)), values)))

    monkeypatch.setitem(sys.modules, "equinox", SimpleNamespace(tree_at=tree_at, __version__="0"))
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype("float32") for s in ((12, 3), (12, 4), (12,), (4,))]
    report = verify(EquinoxGRU(*arrays), (5, 2, 3))
    assert report.ok and report.title == "equinox GRUCell" and "dbias_n" in {row.name for row in report.rows}
    assert not verify(EquinoxGRU(*arrays, wrong=0.9), (5, 2, 3)).ok
    cell = rnnref.cells.GRU(reset="after")        # any callable is a function where a reference is given
    p = rnnref.init.parameters(cell, 3, 4, rng)
    report = verify(EquinoxGRU(*arrays), (5, 2, 3), reference=cell, p=p)
    assert not report.ok


class Linen(nn.Module):
    """Token ids; the decoder begins with the last state of the encoder."""

    @nn.compact
    def __call__(self, ids):
        carry, y = nn.RNN(nn.LSTMCell(4), return_carry=True, name="encoder")(nn.Embed(7, 3)(ids))
        return nn.Dense(2)(nn.RNN(nn.LSTMCell(4), name="decoder")(y, initial_carry=carry))


def test_linen_model():
    p = Linen().init(KEY, np.ones((2, 5), int))
    report = verify(Linen(), (2, 5), p=p, gradients=False)
    assert report.ok and list(dict.fromkeys(row.group for row in report.rows)) == ["encoder", "decoder"], report
    assert report.facts["inputs"] == "input (2, 5), drawn as integers"
    with pytest.raises(Error, match="does not run on these inputs: ValueError"):
        verify(Linen(), np.ones((2, 5)), p=p)


def test_nnx_model():
    class Wrong(nnx.GRUCell):
        def __call__(self, carry, x):
            carry, y = super().__call__(carry, x)
            return carry, 1.01 * y

    class Model(nnx.Module):
        def __init__(self, rngs):
            self.embed, self.rnn = nnx.Embed(7, 3, rngs=rngs), nnx.RNN(nnx.LSTMCell(3, 4, rngs=rngs))
            self.cell = Wrong(4, 4, rngs=rngs)

        def __call__(self, ids):
            return self.cell(np.zeros((2, 4), "float32"), self.rnn(self.embed(ids))[:, 0])[1]

    before = nnx.RNN.__call__, nnx.Embed.__call__
    report = verify(Model(nnx.Rngs(0)), (2, 5), gradients=False)
    assert {row.group for row in report.rows if row.verdict == "differs"} == {"cell"}
    assert {row.group for row in report.rows} == {"cell", "rnn"}
    assert (nnx.RNN.__call__, nnx.Embed.__call__) == before


def test_initial_states_are_carries():
    """(c, h), as flax has them."""
    module = nnx.RNN(nnx.LSTMCell(3, 4, rngs=nnx.Rngs(0)))
    report = verify(module, SHAPE, initial_state=(np.full((2, 4), 3.0), np.zeros((2, 4))), gradients=False)
    assert report.ok and report.facts["initial states"] == "as given"


class Transformed:
    """Stands for a transformed function of haiku around an LSTM whose first state is zero."""

    def __init__(self, wrong):
        self.wrong = wrong

    def init(self, key, x):
        rng = np.random.default_rng(0)
        return {"lstm/linear": {"w": rng.normal(size=(7, 16)).astype("float32"), "b": rng.normal(
            size=16).astype("float32")}}

    def apply(self, params, key, x):
        w, b = params["lstm/linear"]["w"], params["lstm/linear"]["b"]
        h = c = jax.numpy.zeros((x.shape[1], 4), x.dtype)
        ys = []
        for step in x:
            i, g, f, o = jax.numpy.split(jax.numpy.concatenate([step, h], -1) @ w + b, 4, -1)
            c = jax.nn.sigmoid(f + self.wrong) * c + jax.nn.sigmoid(i) * jax.numpy.tanh(g)
            h = jax.nn.sigmoid(o) * jax.numpy.tanh(c)
            ys.append(h)
        return jax.numpy.stack(ys), (h, c)


Transformed.__module__ = "haiku._src.transform"


def test_transformed_functions_of_haiku():
    params = Transformed(1).init(None, None)
    report = verify(Transformed(1), (5, 2, 3), p=params)
    assert report.ok and report.title == "haiku lstm" and {"y", "h", "c"} == {row.name for row in report.rows}
    assert not verify(Transformed(0), (5, 2, 3), p=params).ok
    with pytest.raises(NotSupported, match="without parameters"):
        verify(Transformed(1), (5, 2, 3))
    with pytest.raises(NotSupported, match="with 2 recurrent modules, expected one"):
        verify(Transformed(1), (5, 2, 3), p=params | {"lstm_1/linear": params["lstm/linear"]})


def test_files_of_weights_are_refused():
    for name in ("m.keras", "w.h5", "w.safetensors", "w.pt"):
        with pytest.raises(NotSupported, match=f"the file {name}(.|\n)*it holds weights(.|\n)*find_weights"):
            verify(name, (5, 2, 3))
