"""Faults planted in kernels, each found by the check that is named for it."""
import numpy as np
import pytest

from rnnref.check.tolerance import tolerance
from rnnref.tree import apply_mask
from tests.kernels.faults import FAULTS, planted
from tests.kernels.steps import RULES, by_kernel, by_plain, cast_to, draw_step, in_place, ulps
from tests.shim.double import with_kernels

pytestmark = pytest.mark.kernels


def differs_from_text(step):
    (y, new, kept), back = by_kernel(step)
    (ty, tnew, tkept), tback = by_plain(step)
    ahead = (y, new, apply_mask(step.live, kept)), (ty, tnew, apply_mask(step.live, tkept))
    off = [*ulps(*ahead).values(), *ulps(back, tback, (step.dy, step.dnew)).values()]
    return not max(off) <= tolerance("kernel", "float32") or bool(np.isnan(off).any())


def differs_when_rounded(step):
    got, want = by_kernel(step)[0][0], by_kernel(cast_to(step, "float32"))[0][0]
    return got.tobytes() != want.astype(got.dtype).tobytes()


def differs_in_place(step):
    want = by_kernel(step)[0]
    return any(a.tobytes() != b.tobytes() for a, b in zip(in_place(step), want[1]))


def found():
    """What the comparisons of test_kernels.py find: rules with every option, live and dead rows."""
    for name, rule in RULES.items():
        for live in (None, 0.5):
            step = draw_step(rule, (20,), 9, live=live)
            sixteen = draw_step(rule, (20,), 9, "bfloat16", live=live)
            for check, one in ((differs_from_text, step), (differs_in_place, step), (differs_when_rounded, sixteen)):
                if check(one):
                    return f"{name}: {check.__name__}"
    return ""


def test_without_a_fault_nothing_is_found():
    with with_kernels():
        assert found() == ""


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.caught == "values"])
def test_the_values_show(name):
    with with_kernels(), planted(name), np.errstate(all="ignore"):
        assert found()
