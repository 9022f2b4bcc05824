"""Every recorded run of TensorFlow 1.15: outputs, last states and all gradients, through `rnnref.tf1`.

One runner for every file of a directory, which RNNREF_GOLDEN_DIR can name; it knows nothing of single files.  It fails
where a class, a loop or an array is not known to it, and where an array was not used.
"""
import json
import os
from pathlib import Path

import numpy as np
import pytest

import rnnref
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
    """Both conversions of a file, to the bit, and the names and shapes that it records."""
    arrays = Arrays(path)
    config = arrays.config
    made = getattr(tf1, config["class"])(**config["kwargs"])

    def all_of(where):
        return [arrays.leaves(f"{where}_{kind}") for kind in KINDS]
    same(made.cu_canonical_to_tf_canonical(*all_of("in/cu")[:2]), all_of("out/tf"))
    same((*made.tf_canonical_to_cu_canonical(*all_of("in/tf")), []), all_of("out/cu"))
    flat = made.tf_canonical_to_opaque(*all_of("in/tf"))
    same(made.net.split(flat), all_of("out/cu")[:2])
    assert list(made.tf_names[:2]) == [config["tf_weight_names"], config["tf_bias_names"]]
    for recorded, shapes in zip(("weight", "bias"), made.net.canonical_shapes()):
        if config[f"canonical_{recorded}_shapes"] is not None:
            assert config[f"canonical_{recorded}_shapes"] == list(map(list, shapes))
    assert arrays.used == set(arrays.all), f"not used: {sorted(set(arrays.all) - arrays.used)}"


def same(got, want):
    """Every array, to the bit."""
    for some, others in zip(got, want, strict=True):
        for a, b in zip(some, others, strict=True):
            np.testing.assert_array_equal(a, b, strict=True)


# comparison

def error(got, want, name):
    """Relative to the largest entry."""
    assert got is not None, f"{name}: there is none"
    got = np.asarray(got)
    assert got.shape == want.shape, f"{name} has shape {got.shape}, expected {want.shape}"
    assert got.dtype == want.dtype, f"{name} has dtype {got.dtype}, expected {want.dtype}"
    if not want.size:
        return 0.0
    return float(abs(got - want).max() / max(abs(want).max(), np.finfo("float64").tiny))


def by_key(kind, name, tree):
    """{key of the file: array}."""
    if isinstance(tree, tuple):
        return {f"{kind}/{name}/{k}": a for k, a in enumerate(flatten_state(tree))}
    return {f"{kind}/{name}": tree}


def run_file(path, where="cpu"):
    """{key: error} of every output, state and gradient of a file, after all of the file was used."""
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
        assert d is None or not np.any(d), f"{name} has a gradient, and TF says that it has none"
        assert f"grad/{name}" not in arrays
    errors = {name: error(a, arrays[name], name) for name, a in got.items() if name in arrays}
    assert {n for n in arrays.all if n.startswith(("out/", "grad/"))} == got.keys()
    assert arrays.used == set(arrays.all), f"not used: {sorted(set(arrays.all) - arrays.used)}"
    return errors


def cotangents(case, new, form):
    """Gradients of the last state; whole numbers in it have none."""
    keys = [f"cot/state/{k}" for k in range(len(new))]
    return like(form, [case.given(key) if key in case.arrays else zeros_like(a) for key, a in zip(keys, new)])


def check_file(path, where="cpu"):
    config = Arrays(path).config
    if config["loop"] == "weight_conversion":
        return check_conversions(path)
    errors = run_file(path, where)
    for name, e in errors.items():
        kind = "out" if name.startswith("out") else "grad"
        assert e <= TOLERANCE[kind, config["dtype"]], f"{name}: {e:.1e} of the largest entry"
    return errors


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden(path):
    check_file(path)


def test_there_are_files():
    assert FILES, f"no files in {FOLDER}"


# the runner sees what is wrong with a file

def changed(path, tmp_path, change):
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    config = json.loads(arrays["config"].item())
    change(arrays, config)
    arrays["config"] = np.array(json.dumps(config))
    np.savez(tmp_path / path.name, **arrays)
    return tmp_path / path.name


def edit(name, by):
    def change(arrays, config):
        arrays[name] = arrays[name].copy()
        arrays[name].flat[0] *= 1 + by
    return change


WRONG = {
    "an output": edit("out/y", 1e-10), "a state": edit("out/state/0", 1e-10),
    "a gradient": edit("grad/var/rnn/lstm_cell/bias", 1e-7), "an input": edit("in/x", 1e-3),
    "a gradient of x": edit("grad/x", 1e-7), "a gradient of the state": edit("grad/state/1", 1e-7),
    "an unknown class": lambda arrays, config: config.update({"class": "FooCell"}),
    "an unknown loop": lambda arrays, config: config.update({"loop": "foo_rnn"}),
    "an unknown argument": lambda arrays, config: config["kwargs"].update({"foo": 1}),
    "an option": lambda arrays, config: config["kwargs"].update({"forget_bias": 0.5}),
    "a key too many": lambda arrays, config: arrays.update({"in/foo": np.ones(2)}),
    "a variable too many": lambda arrays, config: arrays.update({"var/rnn/foo": np.ones(2)}),
    "a gradient too many": lambda arrays, config: arrays.update({"grad/var/foo": np.ones(2)}),
    "a gradient too few": lambda arrays, config: arrays.pop("grad/x"),
    "a gradient said to be none": lambda arrays, config: (arrays.pop("grad/x"), config.update({"no_grad": ["x"]})),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_runner_fails_on(what, tmp_path):
    path = next(path for path in FILES if path.stem == "static_rnn__lstm")
    assert check_file(changed(path, tmp_path, lambda arrays, config: None))
    with pytest.raises((AssertionError, AttributeError, KeyError, TypeError, rnnref.Error)):
        check_file(changed(path, tmp_path, WRONG[what]))
