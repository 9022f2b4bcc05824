"""Plans and passed checks are kept from call to call, by identity of the cell, and never for one that can change."""
import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import rnnref
from rnnref import cells
from rnnref.cache import is_constant, memoize, memoize_check
from rnnref.cell import TwoStage
from rnnref.cells import GRU, LSTM, SimpleRNN
from rnnref.loops.plan import PATHS, Call, _plan, plan
from rnnref.maps.dense import Dense
from rnnref.rules.elman import ElmanRule
from rnnref.shapes import signature
from rnnref.tree import leaves
from tests.support.cases import CELLS, B, I, T, case

CALL = Call("numpy", (T, B, I), np.dtype("float32"))
CARD = Call("cupy", (100, 64, 256), np.dtype("float32"), sm=90, units=512)


@dataclasses.dataclass(eq=False)
class Mutable(TwoStage):
    """A cell whose options can be set, unlike those of rnnref."""
    inputs: object
    recurrent: object = Dense("R")
    rule: object = ElmanRule()


def test_plans_are_kept_for_the_same_cell_and_arguments():
    cell = LSTM()
    assert plan(cell, CALL) is plan(cell, CALL) is plan(cell, CALL, list(PATHS))
    assert len({id(plan(cell, *args)) for args in ((CALL,), (CALL, ("plain",)), (CALL, PATHS, False))}) == 3
    assert plan(cell, CALL._replace(keep=False)).arguments[1].keep is False


def test_equal_cells_have_plans_of_their_own():
    plain, wide = LSTM(forget_bias=1.0), LSTM(forget_bias=np.float64(1.0))
    assert plain == wide and hash(plain) == hash(wide)
    for cell in (plain, wide):
        assert plan(cell, CALL).cell.rule.forget_bias is cell.rule.forget_bias


def test_a_cell_that_can_change_is_planned_each_time():
    cell = Mutable(Dense("W"))
    before = plan(cell, CARD)
    cell.inputs = Dense("V")
    assert (before.cell.inputs.W, plan(cell, CARD).cell.inputs.W) == ("W", "V")


@pytest.mark.parametrize("thing, constant", (
    (LSTM(), True), (cells.Bidirectional((LSTM(), GRU())), True), ((1, "a", None, 2.0, np.float32(1), int), True),
    (Mutable(Dense("W")), False), (cells.Bidirectional((Mutable(Dense("W")),) * 2), False), ([1], False),
    (np.ones(2), False), (lambda: 0, False), (object(), False)))
def test_is_constant(thing, constant):
    assert is_constant(thing) is constant


def test_results_are_bounded_and_errors_are_not_kept():
    calls = []

    @memoize(3)
    def f(cell, n):
        calls.append(n)
        return 1 / n
    cell = LSTM()
    for n in (1, 2, 1, 3, 4, 5, 1):
        assert f(cell, n) == 1 / n
    assert calls == [1, 2, 3, 4, 5, 1] and f.cache.cache_info().currsize == 3
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            f(cell, 0)
    f([cell], 1), f([cell], 1), f(cell, 1), f((cell,), 1)
    assert calls[6:] == [0, 0, 1, 1, 1]
    assert _plan.cache.cache_info().maxsize == 1024


def test_arguments_without_a_hash_are_planned_each_time():
    call = CALL._replace(extra={"memory": True})
    cell = cells.Dropout(LSTM())
    assert plan(cell, call, ("plain",)).path == plan(cell, call, ("plain",)).path == "plain"


def test_plans_are_safe_in_eight_threads():
    """More plans than are kept, made at the same time in several orders, equal those of one thread."""
    made = [make() for make in (LSTM, GRU, SimpleRNN, lambda: cells.Bidirectional((LSTM(), GRU())))]
    calls = [(cell, CALL._replace(shape=(t, B, I))) for t in range(400) for cell in made]
    want = [_plan.__wrapped__(cell, call, PATHS, True, False) for cell, call in calls]

    def compare(seed):
        order = np.random.default_rng(seed).permutation(len(calls))
        return all(plan(*calls[k]) == want[k] for k in order)
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(compare, range(8)))
    assert _plan.cache.cache_info().currsize <= 1024


def test_notes_are_made_when_they_are_read(monkeypatch):
    from rnnref.cuda_loops import onchip

    def describe(cell, call):
        raise AssertionError("notes were not read")
    monkeypatch.setattr(onchip, "describe_kernels", describe)
    made = plan(LSTM(), CARD)
    assert made.path == "onchip"
    with pytest.raises(AssertionError, match="notes were not read"):
        made.notes


def changed(tree, path, change, at=""):
    """The tree with one leaf changed."""
    if isinstance(tree, (dict, tuple)):
        items = tree.items() if isinstance(tree, dict) else zip(getattr(tree, "_fields", range(len(tree))), tree)
        new = {k: changed(v, path, change, f"{at}.{k}" if at else str(k)) for k, v in items}
        return new if isinstance(tree, dict) else type(tree)(*new.values()) if hasattr(tree, "_fields") else \
            tuple(new.values())
    return change(tree) if at == path else tree


CHANGES = {"an integer dtype": lambda a: a.astype("i4"), "another dtype": lambda a: a.astype("f2"),
           "longer": lambda a: np.concatenate([a, a[..., :1]], -1), "an axis more": lambda a: a[None],
           "a list": lambda a: a.tolist(), "None": lambda a: None, "transposed": lambda a: a.T,
           "a specification": lambda a: rnnref.shapes.ArraySpec(a.shape, a.dtype)}


def outcome(check, cell, *args):
    try:
        return check(cell, *args)
    except Exception as e:                        # of whatever class: it has to be the same
        return type(e), str(e)


@pytest.mark.parametrize("name", [name for name, (cell, _) in CELLS.items() if type(cell).check is TwoStage.check])
def test_a_passed_check_lets_nothing_else_pass(name):
    """Each argument changed in each way: the check's result after others have passed is that of its first call."""
    one = case(name)
    cell, x = one.cell, rnnref.tree.map_structure(lambda a: a[0], one.xs)
    given = {"p": one.p, "x": x, "s": one.s}
    again, once = type(cell).check, TwoStage.check.__wrapped__
    assert outcome(again, cell, *given.values()) == outcome(once, cell, *given.values())
    for what, path, change in ((what, path, change) for what, tree in given.items() for path, _ in leaves(tree)
                               for change in CHANGES.values()):
        wrong = given | {what: changed(given[what], path, change)}
        for _ in range(2):
            assert outcome(again, cell, *wrong.values()) == outcome(once, cell, *wrong.values())
    for p in ({}, one.p | {"odd": one.s[0]}, list(one.p), None):
        assert outcome(again, cell, p, x, one.s) == outcome(once, cell, p, x, one.s)
    assert outcome(again, cell, *given.values(), 1) == outcome(once, cell, *given.values(), 1)


def test_arguments_that_passed_are_not_checked_again():
    seen = []

    class Shape(LSTM().__class__):
        @memoize_check(2)
        def check(self, p, x):
            seen.append((p, x))
            return 1
    cell, a = Shape(Dense("W"), Dense("R"), ElmanRule()), np.ones((2, 3))
    for x in (a, a + 1, a[:1], a[:1], a.astype("f4"), a):
        assert cell.check({}, x) == 1
    assert [x.shape for _, x in seen] == [(2, 3), (1, 3), (2, 3), (2, 3)]     # two are kept, then all are forgotten


def test_what_a_check_looks_at():
    a = np.ones((2, 3))
    assert signature({"a": a, "b": (a, None)}) == signature({"a": 2 * a, "b": (0 * a, None)})
    others = (a[0], a.astype("f4"), a.tolist(), None, (a,), {"a": a}, "T B", "B", a.view(np.matrix),
              rnnref.shapes.ArraySpec((2, 3), a.dtype), rnnref.shapes.ArraySpec((2, 4), a.dtype))
    assert len({signature(other) for other in (a, *others)}) == 1 + len(others)
