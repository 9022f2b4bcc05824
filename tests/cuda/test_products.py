"""A math mode is in force in every matrix product, or refused by name; no product is CuPy's own unless it is noted."""
import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import rnnref
from rnnref.arrays import is_floating
from rnnref.cell import Cell, GatedCell, TwoStage
from rnnref.cells import GRU, LSTM, NTM, ConvLSTM, SimpleRNN, Stack
from rnnref.cuda.conv import CudaConv
from rnnref.loops.plan import Call, plan
from rnnref.loops.run import run, run_back
from rnnref.maps.conv import Conv
from rnnref.maps.dense import Dense, Map
from rnnref.products import declared_products, find_own_products, find_parts
from rnnref.rules import lstm
from rnnref.testing.api import assert_close, draw_case
from rnnref.testing.case import PLAIN, Trial, masking_options
from rnnref.testing.laws import check_law
from rnnref.tf1.cudnn import RepeatedInput
from rnnref.tree import PerStep, map_structure, to
from rnnref.wrappers.attention import Attention
from rnnref.wrappers.base import Wrapper
from rnnref.wrappers.dropout import Masks
from rnnref.wrappers.embedding import Embedding
from rnnref.wrappers.gate_dropout import GateDropout
from rnnref.wrappers.reset import Reset
from tests.support import blas, strict
from tests.support.cases import CELLS, B, I, T, U, case

WAYS = masking_options((T, B))
PATHS = {"paths": ("hoisted", "layerwise", "plain", "bidirectional")}, PLAIN | {"kernels": True}
MODES = ("tf32", "tf32"), ("fp16", "float16"), ("bf16", "bfloat16")
MULTIPLY = "matmul", "dot", "einsum", "tensordot", "outer"
CALL = Call("cupy", (T, B, I), np.dtype("float32"), sm=90, units=U)
OWN = "by CuPy's own product"
# rounding errors grow: with activations that have no bound, and where a product that varies little is normalised alone
GROW = ("SimpleRNN exponential", "MinimalRNN, slopes from x", "UGRNN, slopes from x", "LayerNormLSTM, products apart",
        "LayerNormLSTM, products apart, coupled")
REFUSED = {name for name in CELLS if name.startswith("NTM")}
RNG = np.random.default_rng(0)
# cells that `cases` does not have
MORE = {
    "Embedding": draw_case(Embedding(GRU(), classes=6, size=4), xs=RNG.integers(0, 6, (T, B, 1)), n_in=1, units=U),
    "GateDropout": draw_case(GateDropout(GRU(), on="x"), extra=Masks(x=RNG.integers(0, 2, (B, I)) * 2.0), steps=T),
    "Reset": draw_case(Reset(GRU()), xs=(RNG.normal(size=(T, B, I)), RNG.integers(0, 2, (T, B)) > 0), n_in=I, units=U),
    "Repeated": draw_case(GatedCell(RepeatedInput("b", 4), Dense("R"), lstm.LSTMRule()), n_in=U, units=U),
}


@pytest.fixture
def cublas():
    with strict.install(), blas.install() as calls:
        yield calls


@pytest.fixture
def own(monkeypatch, cublas):
    """How often each of CuPy's own products was called."""
    counts = Counter()

    def counted(name, f):
        def g(*args, **kwargs):
            counts[name] += 1
            return f(*args, **kwargs)
        return g
    for name in MULTIPLY:
        monkeypatch.setattr(strict.cupy, name, counted(name, getattr(strict.cupy, name)))
    for name in ("__matmul__", "__rmatmul__", "dot"):
        monkeypatch.setattr(strict.ndarray, name, counted(name, getattr(strict.ndarray, name)))
    return counts


def of(name):
    return MORE[name] if name in MORE else case(name)


def single(tree):
    def one(a):
        return a.astype("float32") if is_floating(a.dtype) else a
    return map_structure(lambda a: PerStep(one(a.steps)) if isinstance(a, PerStep) else one(a), tree)


def outcome(one, **choice):
    """Results and gradients in main memory, of a run in float32."""
    d = single(Trial(replace(one, device="cpu")).d)
    p, xs, s, extra = to(one.device, single((one.p, one.xs, one.s, one.extra)))
    ys, new, tape = run(one.cell, p, xs, s, extra=extra, **choice)
    return to("cpu", (ys, new)), to("cpu", run_back(tape, *to(one.device, d)))


@pytest.mark.parametrize("name", sorted((CELLS.keys() | MORE) - REFUSED))
def test_the_mode_is_in_every_product(name, own, cublas):
    one = of(name)
    want = outcome(one, **PLAIN)
    for choice in PATHS:
        own.clear(), cublas.clear()
        got = outcome(replace(one, device="gpu"), mode="tf32", **choice)
        assert not own and set(cublas) == {"32F_FAST_TF32"}
        if name not in GROW:
            assert_close(got[0], want[0], "path", arithmetic="tf32")
            assert_close(got[1], want[1], "gradient", arithmetic="tf32")


@pytest.mark.parametrize("name", sorted(CELLS))
def test_notes_on_products_in_float32_are_true(name, own):
    one = replace(case(name), device="gpu")
    xs, s = to("gpu", single((one.xs, one.s)))
    for choice in (*PATHS, PLAIN):
        notes = rnnref.explain(one.cell, rnnref.loops.plan.describe_call(xs, one.extra, s=s), **choice)
        own.clear()
        outcome(one, **choice)
        assert bool(own) == (OWN in notes) == ("CUPY_TF32" in notes) == (choice is PLAIN or name in REFUSED)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refusals(name, own):
    one = replace(case(name), device="gpu")
    for cell in (one.cell, Stack((LSTM(), one.cell))):
        with pytest.raises(rnnref.NotSupported, match=f"mode='tf32': NTM multiplies .* {OWN}") as found:
            plan(cell, CALL, mode="tf32", **PATHS[0])
        assert found.value.notes == {"fix": 'mode="fp32"'}
    assert not own and find_own_products(one.cell)["NTM"]


@dataclass(frozen=True)
class Silent(Wrapper):
    """A user's wrapper with a product of its own that it does not declare."""
    cell: Any

    def forward(self, p, x, s, extra=None):
        y, new, kept = self.cell.forward(p, x, s, extra)
        return y @ namespace_eye(y), new, kept

    def backward(self, p, kept, dy, dnew):
        return self.cell.backward(p, kept, dy @ namespace_eye(dy), dnew)


@dataclass(frozen=True)
class Wrong(Silent):
    """Declares, wrongly, that it has no product."""
    own_products = ""


@dataclass(frozen=True)
class Hidden(Silent):
    """Its map is no field, so it is not replaced."""
    map = Dense("Wi")
    own_products = ""


def namespace_eye(y):
    return rnnref.arrays.namespace(y).ones((y.shape[-1],) * 2, y.dtype)


def test_a_class_that_declares_nothing_is_refused_and_a_false_declaration_is_seen(own):
    for cell in (Silent(LSTM()), Stack((GRU(), Silent(LSTM()))), type("Sub", (SimpleRNNLike,), {})()):
        with pytest.raises(rnnref.NotSupported, match="does not declare which products are its own") as found:
            plan(cell, CALL, mode="tf32")
        assert 'own_products = ""' in found.value.notes["fix"]
    with pytest.raises(rnnref.NotSupported, match=f"Dense multiplies x W {OWN}"):
        plan(Hidden(LSTM()), CALL, mode="tf32")
    outcome(replace(draw_case(Wrong(LSTM()), n_in=I, units=U), device="gpu"), mode="tf32")
    assert own["__matmul__"]


class SimpleRNNLike:
    """A class that is no Cell."""

    def forward(self, p, x, s, extra=None):
        return x, s, None


def test_a_class_of_the_same_name_is_not_replaced(cublas):
    other = type("Dense", (Dense,), {"__doc__": "Another's."})("W")
    cell = replace(SimpleRNN(), inputs=other)
    assert type(plan(cell, CALL).cell.inputs) is type(other)
    with pytest.raises(rnnref.NotSupported, match="Dense does not declare"):
        plan(cell, CALL, mode="tf32")


def classes(cls):
    return [cls, *(sub for direct in cls.__subclasses__() for sub in classes(direct))]


MULTIPLIES = {"matmul", "dot", "einsum", "tensordot", "outer", "inner", "vdot"}


def multiplies(cls):
    """True if a method of the class itself has a matrix product: an operator @, or a call of a function that is one."""
    nodes = list(ast.walk(ast.parse(textwrap.dedent(inspect.getsource(cls)))))
    operators = [node.op for node in nodes if isinstance(node, (ast.BinOp, ast.AugAssign))]
    return any(isinstance(op, ast.MatMult) for op in operators) or any(
        isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in MULTIPLIES
        for node in nodes)


def test_a_class_of_rnnref_multiplies_through_its_maps_or_declares_its_products():
    for module in pkgutil.walk_packages(rnnref.__path__, "rnnref."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = [cls for cls in {*classes(Cell), *classes(Map)} if cls.__module__.startswith("rnnref.")]
    plain = [cls for cls in ours if cls not in (Cell, TwoStage, Map) and "plain" not in vars(cls)
             and {"forward", "step", "backward", "backward_p"} & vars(cls).keys()]
    assert len(plain) > 30
    declared = {cls.__name__: declared_products(cls) for cls in plain}
    assert None not in declared.values()
    own = {name for name, products in declared.items() if products}
    assert own == {"Dense", "Grouped", "Conv", "NTM", "_CalledCell", "WrittenCell"}
    assert {cls.__name__ for cls in plain if multiplies(cls)} <= own
    # and the others have been tried above, but for what predicts, in NumPy alone, the outputs of a wrong cell
    plain = [cls for cls in plain if not cls.__module__.startswith("rnnref.check.")]
    cells = [*(cell for cell, _ in CELLS.values()), *(one.cell for one in MORE.values())]
    tried = {type(part) for cell in (*cells, MORE["GateDropout"].cell.masked_cell) for part in find_parts(cell)}
    assert not [cls.__name__ for cls in plain if cls not in tried and not declared[cls.__name__]]


def test_products_without_a_kernel_are_named():
    """A CuPy without cuBLAS, and the plain code."""
    with strict.install():
        notes = rnnref.explain(LSTM(), CALL)
    assert f"Dense multiplies x W {OWN}: of float32, as CUPY_TF32 sets it" in notes
    ntm = NTM(LSTM(), slots=5, vector=3, outputs=2)
    assert OWN not in rnnref.explain(ntm, CALL._replace(dtype=np.dtype("float64")))


@pytest.mark.parametrize("mode, arithmetic", MODES)
@pytest.mark.parametrize("name", ("ConvLSTM, a plane", "ConvLSTM, strides", "Attention, sizes", "GridLSTM, shared",
                                  "TimeFreqLSTM", "Highway, not coupled", "GateDropout"))
def test_modes(name, mode, arithmetic, own, cublas):
    """Near the float32 result, far enough from it to show that the mode was in force."""
    one = of(name)
    want, got = outcome(one, **PLAIN), outcome(replace(one, device="gpu"), mode=mode, **PATHS[0])
    assert not own and set(cublas) == {"32F_FAST_TF32" if mode == "tf32" else "32F"}
    assert_close(got[0], want[0], "path", arithmetic=arithmetic)
    assert abs(got[0][0] - want[0][0]).max() > 1e-6
    assert_close(got[1], want[1], "gradient", arithmetic=arithmetic)


@pytest.mark.parametrize("where, reverse", (("everywhere", False), ("lengths", True), ("holes", False)))
@pytest.mark.parametrize("name", [n for n in CELLS if n.startswith(("ConvLSTM", "Attention", "Grid", "TimeFreq"))])
def test_laws(name, where, reverse, cublas):
    trial = Trial(replace(case(name), **WAYS[where], reverse=reverse, device="gpu"))
    trial.choices.clear()
    trial.choices.update({f"plain {k}": choice for k, choice in enumerate(PATHS)})
    for number in (1, 3, 5, 8, 9):
        check_law(trial, number)


@pytest.mark.parametrize("dtype", ("float64", "float32", "float16"))
@pytest.mark.parametrize("options", ({}, {"strides": (2, 1)}, {"padding": "valid"}))
@pytest.mark.parametrize("lead", ((2,), (3, 2), (0,)))
def test_the_convolution_computes_its_plain_map(lead, options, dtype, cublas):
    rng = np.random.default_rng(0)
    plain, kernel = Conv("W", "b", (2, 3), **options), CudaConv("W", "b", (2, 3), **options)
    p = {"W": rng.normal(size=(2, 3, 4, 5)).astype(dtype), "b": rng.normal(size=5).astype(dtype)}
    x = rng.normal(size=(*lead, 3, 4, 4)).astype(dtype)
    da = rng.normal(size=(*lead, *plain.output_extent((3, 4)), 5)).astype(dtype)

    def results(m, p, x, da):
        a, kept = m.forward(p, x)
        return a, m.backward_x(p, kept, da), m.backward_p(p, kept, da)
    assert_close(to("cpu", results(kernel, *to("gpu", (p, x, da)))), results(plain, p, x, da), "path", arithmetic=dtype)


def test_explain(cublas):
    notes = rnnref.explain(ConvLSTM(kernel=(3,)), CALL._replace(shape=(T, B, 4, I)), mode="tf32").splitlines()
    assert {"Conv: cuBLAS product", "hoisted: runs",
            "mode: tf32, operands rounded to 10 bits of mantissa, summed in float32"} <= {*notes}
    made = plan(Attention(ConvLSTM(kernel=(3,)), length=2), CALL, mode="tf32").cell
    assert {m.mode for m in (made.input_map, made.memory, made.query, made.output_map, made.cell.inputs)} == {"tf32"}
