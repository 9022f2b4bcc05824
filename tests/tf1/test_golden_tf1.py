"""`rnnref.tf1` against every recorded run of TensorFlow 1.15; RNNREF_GOLDEN_DIR can name another folder of files."""
import json

import numpy as np
import pytest

import rnnref
from tests.support.golden_checks import FILES, FOLDER, check_file


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden(path):
    check_file(path)


def test_there_are_files():
    assert FILES, f"no files in {FOLDER}"


# a check fails if the file is wrong

def write_changed(path, tmp_path, change):
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
    "a gradient recorded as none": lambda arrays, config: (arrays.pop("grad/x"), config.update({"no_grad": ["x"]})),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_check_fails_on(what, tmp_path):
    path = next(path for path in FILES if path.stem == "static_rnn__lstm")
    assert check_file(write_changed(path, tmp_path, lambda arrays, config: None))
    with pytest.raises((AssertionError, AttributeError, KeyError, TypeError, rnnref.Error)):
        check_file(write_changed(path, tmp_path, WRONG[what]))
