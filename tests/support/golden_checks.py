"""Comparison of `rnnref.tf1` with recorded runs of TensorFlow 1.15: outputs, final states and all gradients.

The files are those of the folder RNNREF_GOLDEN_DIR, or of tests/golden/tf1.  Nothing here depends on a single file.  A
check fails if a class, a loop or an array is unknown, and if an array of the file was not used.
"""
import os
from pathlib import Path

import numpy as np

from rnnref import tf1
from rnnref.tf1.loops import flatten_state
from rnnref.tree import to, zeros_like
from tests.support.golden_runs import LOOPS, Arrays, Case, like

FOLDER = Path(os.environ.get("RNNREF_GOLDEN_DIR", Path(__file__).parents[1] / "golden" / "tf1"))
FILES = sorted(FOLDER.glob("*.npz"))
# relative to the largest entry of the array
TOLERANCE = {("out", "float64"): 1e-12, ("grad", "float64"): 1e-10, ("out", "float32"): 5e-6, ("grad", "float32"): 5e-6}


# conversions of weights

KINDS = ("weight", "bias", "weight_proj")


def check_conversions(path):
    """Both conversions of a file, bit for bit, and the names and shapes that it records."""
    arrays = Arrays(path)
    config = arrays.config
    converter = getattr(tf1, config["class"])(**config["kwargs"])

    def all_of(where):
        return [arrays.leaves(f"{where}_{kind}") for kind in KINDS]
    assert_same_bits(converter.cu_canonical_to_tf_canonical(*all_of("in/cu")[:2]), all_of("out/tf"))
    assert_same_bits((*converter.tf_canonical_to_cu_canonical(*all_of("in/tf")), []), all_of("out/cu"))
    flat = converter.tf_canonical_to_opaque(*all_of("in/tf"))
    assert_same_bits(converter.net.split(flat), all_of("out/cu")[:2])
    assert list(converter.tf_names[:2]) == [config["tf_weight_names"], config["tf_bias_names"]]
    for recorded, shapes in zip(("weight", "bias"), converter.net.canonical_shapes()):
        if config[f"canonical_{recorded}_shapes"] is not None:
            assert config[f"canonical_{recorded}_shapes"] == list(map(list, shapes))
    assert arrays.used == set(arrays.all), f"not used: {sorted(set(arrays.all) - arrays.used)}"


def assert_same_bits(got, expected):
    """Compare lists of lists of arrays bit for bit."""
    for arrays, expected_arrays in zip(got, expected, strict=True):
        for a, b in zip(arrays, expected_arrays, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


# comparison

def relative_error(got, expected, name):
    """The largest difference, relative to the largest expected entry."""
    assert got is not None, f"{name} is None"
    got = np.asarray(got)
    assert got.shape == expected.shape, f"{name} has shape {got.shape}, expected {expected.shape}"
    assert got.dtype == expected.dtype, f"{name} has dtype {got.dtype}, expected {expected.dtype}"
    if not expected.size:
        return 0.0
    return float(abs(got - expected).max() / max(abs(expected).max(), np.finfo("float64").tiny))


def by_key(kind, name, tree):
    """{key in the file: array}."""
    if isinstance(tree, tuple):
        return {f"{kind}/{name}/{k}": a for k, a in enumerate(flatten_state(tree))}
    return {f"{kind}/{name}": tree}


def run_file(path, where="cpu"):
    """{key: relative error} of every output, state and gradient of a file."""
    case = Case(path, where)
    arrays, config = case.arrays, case.config
    form = case.form
    x, state = case.given("in/x"), case.state("in", form)
    ys, new, back = LOOPS[case.loop](case, x, state)
    dys, dnew = case.given("cot/y"), cotangents(case, flatten_state(new), form)
    grads = back(dys, dnew)
    got = by_key("out", "y", ys) | {f"out/state/{k}": a for k, a in enumerate(flatten_state(new))}
    got |= by_key("grad", "x", grads.inputs) | {f"grad/var/{n}": d for n, d in grads.variables.items()}
    got |= {f"grad/state/{k}": d for k, d in enumerate(flatten_state(grads.state))} if state is not None else {}
    got = to("cpu", got)
    for name in config["no_grad"]:
        d = got.pop(f"grad/{name}", None)
        assert d is None or not np.any(d), f"{name} has a gradient, and TF has none"
        assert f"grad/{name}" not in arrays
    errors = {name: relative_error(a, arrays[name], name) for name, a in got.items() if name in arrays}
    assert {n for n in arrays.all if n.startswith(("out/", "grad/"))} == got.keys()
    assert arrays.used == set(arrays.all), f"not used: {sorted(set(arrays.all) - arrays.used)}"
    return errors


def cotangents(case, new, form):
    """Gradients of the final state; zero for integers, which have none."""
    keys = [f"cot/state/{k}" for k in range(len(new))]
    return like(form, [case.given(key) if key in case.arrays else zeros_like(a) for key, a in zip(keys, new)])


def check_file(path, where="cpu"):
    """{key: relative error} of a file, after all are within the tolerance; None of a conversion of weights."""
    config = Arrays(path).config
    if config["loop"] == "weight_conversion":
        return check_conversions(path)
    errors = run_file(path, where)
    for name, e in errors.items():
        kind = "out" if name.startswith("out") else "grad"
        assert e <= TOLERANCE[kind, config["dtype"]], f"{name}: {e:.1e} of the largest entry"
    return errors
