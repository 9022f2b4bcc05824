"""Every kernel of one step on the CPU, by the host shim, against the plain rule."""
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from rnnref.arrays import cast
from rnnref.cuda import launch, pointwise, reset_before
from rnnref.errors import DtypeError, NotSupported, ShapeError
from rnnref.testing.assertions import assert_same
from rnnref.tree import apply_mask, map_structure, to
from tests.kernels.instances import TYPES, dtype
from tests.kernels.steps import RULES, assert_near, bits, by_kernel, by_plain, cast_to, draw_step, in_place
from tests.shim.double import with_kernels
from tests.support import strict

pytestmark = pytest.mark.kernels
FULL = "float32", "float64"


@pytest.fixture
def cupy():
    with with_kernels() as module:
        yield module


def near(step, got, want, name):
    (y, new, kept), (ty, tnew, tkept) = got[0], want[0]
    assert_near((y, new, apply_mask(step.live, kept)), (ty, tnew, apply_mask(step.live, tkept)), name, "forward ")
    assert_near(got[1], want[1], name, "backward ", (step.dy, step.dnew))


@pytest.mark.parametrize("live", (None, 0.5))
@pytest.mark.parametrize("W", FULL)
@pytest.mark.parametrize("rule", RULES)
def test_a_step_is_that_of_the_plain_rule(cupy, rule, W, live):
    for lead, n in (((1,), 1), ((5,), 7), ((2, 3), 33), ((3,), 200)):
        step = draw_step(RULES[rule], lead, n, W, live=live)
        near(step, by_kernel(step), by_plain(step), W)


@settings(max_examples=40)
@given(rule=st.sampled_from(sorted(RULES)), lead=st.lists(st.integers(0, 5), min_size=1, max_size=3),
       n=st.integers(1, 300), W=st.sampled_from(FULL), live=st.sampled_from((None, 0.0, 0.7)), seed=st.integers(0, 99))
def test_drawn_steps(rule, lead, n, W, live, seed):
    with with_kernels():
        step = draw_step(RULES[rule], tuple(lead), n, W, seed, live)
        near(step, by_kernel(step), by_plain(step, wider=True), W)


@pytest.mark.parametrize("rule", ("Elman", "GRU", "LSTM, everything"))
def test_saturated_gates_stay_finite(cupy, rule):
    for W in FULL:
        step = draw_step(RULES[rule], W=W, scale=500.0)
        assert all(np.isfinite(a).all() for tree in by_kernel(step)[:1] for a in tree[0:1] + tuple(tree[1]))
        sixteen = draw_step(RULES[rule], W="float16", scale=5000.0)
        assert np.isfinite(by_kernel(sixteen)[0][0]).all()


@pytest.mark.parametrize("W", ("float16", "bfloat16"))
@pytest.mark.parametrize("rule", RULES)
def test_16_bits_are_the_float_result_rounded(cupy, rule, W):
    for live in (None, 0.5):
        step = draw_step(RULES[rule], W=W, live=live)
        got, want = by_kernel(step), by_kernel(cast_to(step, "float32"))
        assert got[0][0].dtype == dtype(W) and got[1][0].dtype == dtype(W)
        for a, b in zip(got, want):
            assert_same(a, map_structure(lambda x, like: cast(x, like), b, a))
        kept = {name: a for name, a in zip(got[0][2]._fields, got[0][2]) if name != "h0" and hasattr(a, "dtype")}
        assert {a.dtype.name for a in kept.values()} == {"float32"}


@pytest.mark.parametrize("S", ("float16", "bfloat16"))
@pytest.mark.parametrize("rule", RULES)
def test_what_the_next_product_takes_in_16_bits_beside_float32(cupy, rule, S):
    step, S = draw_step(RULES[rule], W="float32", live=0.7), dtype(S)
    plain = by_kernel(step)
    (*lead, n), width = step.dy.shape, step.ax.shape
    out, back = {"sent": cupy.empty((*lead, n), S)}, {"dax": cupy.empty(width, S)}
    if not step.rule.is_additive:
        back["dah"] = cupy.empty(width, S)
    got = by_kernel(step, out, back)
    assert_same(got[0], plain[0])
    assert_same(out["sent"].get(), plain[0][1].h.astype(S))
    assert_same(got[1], (plain[1][0].astype(S), plain[1][1].astype(S), *plain[1][2:]))


@pytest.mark.parametrize("rule", RULES)
def test_every_schedule_gives_the_same_bits(rule):
    step, seen = draw_step(RULES[rule], (9,), 150, live=0.7), []
    for order, seed in (("fifo", 1), ("lifo", 1), ("random", 1), ("random", 2)):
        with with_kernels(order, seed):
            seen.append(bits(by_kernel(step)))
    assert all(one == seen[0] for one in seen)


def test_the_grid_may_have_any_size(cupy, monkeypatch):
    step, seen = draw_step(RULES["LSTM"], (9,), 150), []
    for shape in ((1, 1), (128, 1)), ((1, 2), (4, 32)), ((3, 1), (32, 4)), ((2, 20), (1, 1)):
        monkeypatch.setattr(launch, "geometry", lambda rows, n, shape=shape: shape)
        seen.append(bits(by_kernel(step)))
    assert all(one == seen[0] for one in seen)


@pytest.mark.parametrize("rule", RULES)
def test_dead_rows_are_not_read_and_give_what_they_had(cupy, rule):
    step = draw_step(RULES[rule], (6,), 5, live=0.5)
    dead = ~step.live

    def poison(a):
        a = a.copy()
        a[dead] = np.nan
        return a
    clean = by_kernel(step)
    poisoned = by_kernel(step._replace(ax=poison(step.ax), ah=poison(step.ah), dy=poison(step.dy)))
    assert_same(poisoned, clean)
    (y, new, kept), (dax, dah, ds, dp) = clean
    assert dead.any() and step.live.any()
    assert_same(map_structure(lambda a: a[dead], new), map_structure(lambda a: a[dead], step.s))
    assert_same(map_structure(lambda a: a[dead], ds), map_structure(lambda a: a[dead], step.dnew))
    results = map_structure(lambda a: a[dead], (y, dax, dah, dp))
    assert_same(results, map_structure(lambda a: 0 * a, results))


def on_device(step):
    return to("gpu", step[1:])


@pytest.mark.parametrize("rule", RULES)
def test_results_go_to_out_and_nothing_is_allocated(cupy, rule, monkeypatch):
    step = draw_step(RULES[rule], live=0.7)
    want, rule, (*lead, n) = by_kernel(step), step.rule, step.dy.shape
    p, ax, ah, s, dy, dnew, live = on_device(step)
    names = pointwise.parameter_names(rule)
    out = {name: cupy.empty((*lead, n), "float32") for name in ("y", "h", "c")}
    out["kept"] = cupy.empty(pointwise.kept_shape(rule, lead, n), "float32")
    back = {name: cupy.empty((*lead, n), "float32") for name in ("dh", "dc")}
    back |= {name: cupy.empty(ax.shape, "float32") for name in ("dax", "dah")}
    back |= {"dp": cupy.empty((*lead, len(names), n), "float32")} if names else {}
    for name in ("empty", "stack", "ascontiguousarray", "zeros", "asarray"):
        monkeypatch.delattr(cupy, name)
    strict.counts.clear()
    ahead = pointwise.forward(rule, p, ax, ah, s, live, out)
    behind = pointwise.backward(rule, p, ahead[2], dy, dnew, live, back)
    assert not strict.counts
    monkeypatch.undo()
    assert ahead[0] is out["y"] and ahead[1].h is out["h"] and behind[0] is back["dax"] and behind[2].h is back["dh"]
    assert_same(to("cpu", (ahead, behind)), want)
    assert_same(to("cpu", pointwise.kept_views(rule, out["kept"], s, ahead[1])), want[0][2])


@pytest.mark.parametrize("live", (None, 0.7))
@pytest.mark.parametrize("rule", RULES)
def test_a_result_may_overwrite_what_it_comes_from(cupy, rule, live):
    step = draw_step(RULES[rule], live=live)
    want, (p, ax, ah, s, dy, dnew, rows) = by_kernel(step), on_device(step)
    assert_same(in_place(step), want[0][1])
    y, _, kept = pointwise.forward(step.rule, p, ax, ah, s, rows, keep=False)
    assert kept is None
    assert_same(y.get(), want[0][0])
    kept = pointwise.forward(step.rule, p, ax, ah, s, rows)[2]
    back = pointwise.backward(step.rule, p, kept, dy, dnew, rows, dict(zip(("dh", "dc"), dnew)))
    assert_same(to("cpu", back), want[1])


@pytest.mark.parametrize("rule", RULES)
def test_arguments_that_are_not_contiguous(cupy, rule):
    step = draw_step(RULES[rule], (4, 3), 6, live=0.7)
    want = by_kernel(step)
    p, ax, ah, s, dy, dnew, live = on_device(step)

    def gap(a):                                   # the same numbers, every other column of a wider array
        wider = cupy.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
        wider[..., ::2] = a
        return wider[..., ::2]
    p, ax, ah, s, dy, dnew = map_structure(gap, (p, ax, ah, s, dy, dnew))
    ahead = pointwise.forward(step.rule, p, ax, ah, s, live)
    apart = map_structure(lambda a: a.copy(), ahead[2])
    assert_same(to("cpu", (ahead, pointwise.backward(step.rule, p, apart, dy, dnew, live))), want)


@pytest.mark.parametrize("rule", RULES)
def test_none_is_zero(cupy, rule):
    step = draw_step(RULES[rule])
    if step.rule.is_additive:
        none = by_plain(step._replace(ah=np.zeros_like(step.ah)))[0]
        p, ax, _, s, *_ = on_device(step)
        for ah in (0, None):
            assert_near(to("cpu", pointwise.forward(step.rule, p, ax, ah, s)), none, "float32")
    zero = step._replace(dy=np.zeros_like(step.dy), dnew=map_structure(np.zeros_like, step.dnew))
    kept, p = to("gpu", by_kernel(step)[0][2]), to("gpu", step.p)
    nothing = step.rule.State(*(None for _ in step.dnew))
    assert_same(to("cpu", pointwise.backward(step.rule, p, kept, None, nothing)), by_kernel(zero)[1])


def test_places_share_the_mask_of_their_row(cupy):
    step = draw_step(RULES["LSTM, peepholes"], (3, 2, 4), 5)
    live = np.array([True, False, True])
    whole = by_kernel(step._replace(live=np.broadcast_to(live[:, None, None], (3, 2, 4)).copy()))
    assert_same(by_kernel(step._replace(live=live)), whole)


def test_arguments_that_do_not_fit_raise_before_any_launch(cupy):
    step = draw_step(RULES["LSTM, peepholes"])
    p, ax, ah, s, dy, dnew, live = on_device(step)
    rule, kept = step.rule, pointwise.forward(step.rule, p, ax, ah, s)[2]
    with pytest.raises(ShapeError, match=r"LSTM: ax has shape \(5, 27\), expected 4 blocks"):
        pointwise.forward(rule, p, ax[:, 1:], ah, s)
    with pytest.raises(ShapeError, match=r"LSTM: ah has shape"):
        pointwise.forward(rule, p, ax, ah[1:], s)
    with pytest.raises(DtypeError, match="LSTM: c0 has dtype float64, expected float32"):
        pointwise.forward(rule, p, ax, ah, s._replace(c=s.c.astype("float64")))
    with pytest.raises(DtypeError, match="the kernels have no int32"):
        pointwise.forward(rule, p, ax.astype("int32"), ah, s)
    with pytest.raises(ShapeError, match="out.'h'. is not contiguous"):
        pointwise.forward(rule, p, ax, ah, s, out={"h": cupy.zeros((5, 14), "float32")[:, ::2]})
    with pytest.raises(DtypeError, match="or 16 bits beside float32"):
        pointwise.forward(rule, p, ax, ah, s, out={"sent": cupy.zeros((5, 7), "float64")})
    with pytest.raises(NotSupported, match="Wpi has shape .* one number a unit"):
        pointwise.forward(rule, p | {"Wpi": cupy.zeros((5, 7), "float32")}, ax, ah, s)
    with pytest.raises(ShapeError, match="live is float32"):
        pointwise.backward(rule, p, kept, dy, dnew, ax[:, 0])
    with pytest.raises(NotSupported, match="candidate='relu': the kernels of LSTM have tanh only"):
        pointwise.forward(type(rule)(candidate="relu"), p, ax, ah, s)


@pytest.mark.parametrize("W, S", TYPES)
@pytest.mark.parametrize("live", (None, 0.6))
def test_a_gru_with_the_reset_before_the_product(cupy, W, S, live):
    """Its parts one after another, with rows of numbers in the place of the two products."""
    rng, lead, n, A = np.random.default_rng(0), (5,), 7, "float64" if W == "float64" else "float32"
    blocks = 3, 2, 1, 1, 1, 1, 1
    ax, ag, an, h, dy, dh, drh = ((rng.normal(size=(*lead, k * n)) * 0.5).astype(dtype(W)) for k in blocks)
    rows = None if live is None else rng.random(lead) < live
    at = dict(zip("ax ag an h dy dh drh live".split(), to("gpu", (ax, ag, an, h, dy, dh, drh, rows))))
    send = {name: cupy.empty((*lead, k * n), dtype(S)) for name, k in (("rh", 1), ("dax", 3))}
    rh, kept = reset_before.reset(at["ax"], at["ag"], at["h"], at["live"], send)
    y, new = reset_before.renew(at["ax"], at["an"], at["h"], kept, at["live"])
    dax = reset_before.renew_backward(kept, at["h"], at["dy"], at["dh"], at["live"], send)
    dh0 = reset_before.reset_backward(kept, at["h"], at["dy"], at["dh"], at["drh"], dax, at["live"])
    got = to("cpu", (rh, y, new, dax, *reset_before.split_gates(dax), dh0))
    want = before_by_numpy(*(a.astype(A) for a in (ax, ag, an, h, dy, dh, drh)), rows)
    if W == S == A:
        assert_near(got[:3], want[:3], A)
        assert_near(got[3:], want[3:], A, given=(dy, dh, drh))
    else:                                         # an ulp of float32 may round to either side in 16 bits
        for a, b in zip(got, want):
            assert abs(a.astype("float64") - b).max() <= 2 * np.spacing(abs(b).max().astype(a.dtype)).astype("float64")


def before_by_numpy(ax, ag, an, h, dy, dh, drh, live):
    """The lines of cells/gru_before.py between its products."""
    sigmoid = RULES["GRU"].gate
    (xr, xz, xn), (hr, hz) = np.split(ax, 3, -1), np.split(ag, 2, -1)
    r, z, n = sigmoid.forward(xr + hr)[0], sigmoid.forward(xz + hz)[0], np.tanh(xn + an)
    new, d = (1 - z) * n + z * h, dy + dh
    dz, dn = sigmoid.backward(z, None, d * (h - n)), d * (1 - z) * (1 - n * n)
    dr, dh0 = sigmoid.backward(r, None, drh * h), d * z + drh * r
    rows = np.ones(len(h), bool) if live is None else live
    rh, y, dr, dz, dn = (np.where(rows[:, None], a, 0) for a in (r * h, new, dr, dz, dn))
    new, dh0 = np.where(rows[:, None], new, h), np.where(rows[:, None], dh0, dh)
    return rh, y, new, np.concatenate([dr, dz, dn], -1), np.concatenate([dr, dz], -1), dn, dh0
