"""Two layers side by side: the same numbers in two conventions are the same, and what differs is told in words."""
import json

import numpy as np
import pytest

import rnnref
from rnnref import NotSupported, ShapeError
from rnnref.cli import main
from tests.support.messages import raises_with
from tests.support.weights import draw_weights

PAIRS = [("lstm", "torch", "keras"), ("lstm", "tf1", "onnx"), ("gru", "keras", "torch"), ("gru", "onnx", "flax"),
         ("gru before", "keras", "haiku"), ("rnn", "flax", "mlx"), ("lstm", "tf1 coupled", "torch"),
         ("gru", "mlx", "equinox"), ("lstm", "tflite", "coreml network")]


@pytest.mark.parametrize("family, source, target", PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_the_same_weights_in_two_frameworks(family, source, target):
    w = draw_weights(family, source, "float32")
    report = rnnref.compare(w, rnnref.convert(w, target, live=False).stacks[0].layers)
    assert report.ok and report.headline.endswith("are the same: weights, options and what they compute.")
    assert report.findings == ["The weights are the same numbers, and the options are the same."]
    assert {"weights", "options", "outputs", "states", "gradients"} <= {row.group for row in report.rows}


def split(a, count, axis):
    return np.split(a, count, axis)


def reorder(order, axis=-1):
    """Blocks along an axis, in another order."""
    return lambda a: np.concatenate([split(a, len(order), axis)[k] for k in order], axis)


def transpose_blocks(a):
    return np.concatenate([block.T for block in split(a, 3, -1)], -1)


RZ, NO_BR = reorder([1, 0, 2]), lambda a: a * np.array([[1], [0]])
IN_KERAS = {"kernel": RZ, "recurrent_kernel": RZ, "bias": RZ}
# what is done to the arrays of a layer, and the findings
PLANTED = {
    "r and z": ("gru", "keras", IN_KERAS, ["the blocks r and z are exchanged."]),
    "r and z, and no bR": ("gru", "keras", IN_KERAS | {"bias": lambda a: NO_BR(RZ(a))}, [
        "the blocks r and z are exchanged.", "the recurrent bias is missing in b."]),
    "no bR": ("gru", "keras", {"bias": NO_BR}, ["the recurrent bias is missing in b."]),
    "bR of n outside": ("gru", "keras", {"bias": lambda a: np.stack([
        a[0] + np.r_[np.zeros(8), a[1][8:]], a[1] * np.r_[np.ones(8), np.zeros(4)]])}, [
        "the recurrent bias of n is added outside of the reset in b."]),
    "no biases": ("gru", "keras", {"bias": lambda a: 0 * a}, ["the biases are missing in b."]),
    "twice": ("lstm", "keras", {"bias": lambda a: 2 * a}, ["the biases are added twice in b."]),
    "transposed": ("gru", "keras", {"recurrent_kernel": transpose_blocks}, ["each block of R alone is transposed."]),
    "misread": ("gru", "keras", {"recurrent_kernel": lambda a: a.T.reshape(a.shape)}, [
        "the numbers of R are read as those of its transpose."]),
    "matrices alone": ("gru", "keras", IN_KERAS | {"bias": lambda a: a}, [
        "the blocks r and z of W and R, not of the biases, are exchanged."]),
    "W alone": ("gru", "keras", {"kernel": RZ}, ["the blocks r and z of W alone are exchanged."]),
    "biases alone": ("lstm", "keras", {"bias": reorder([0, 2, 1, 3])}, [
        "the blocks f and g of the biases alone are exchanged."]),
    "f and o of ONNX": ("lstm", "onnx", {"W": reorder([0, 2, 1, 3], 1), "R": reorder([0, 2, 1, 3], 1),
                                         "B": reorder([0, 2, 1, 3, 4, 6, 5, 7])}, [
        "the blocks f and o are exchanged."]),
    "three": ("gru", "keras", {n: reorder([1, 2, 0]) for n in IN_KERAS}, [
        "the gate blocks are in another order: r n z in the places of z r n."]),
    "forget bias": ("lstm", "keras", {"bias": lambda a: a + np.repeat([0, 1, 0, 0], 4)}, [
        "1 is added to the bias of f of b."]),
    "sign": ("gru before", "haiku", {n: lambda a: a * np.repeat([-1, 1, 1], 4) for n in ("w_i", "w_h", "b")}, [
        "W_z is negated.", "R_z is negated.", "b_z is multiplied by -1."]),
    "one number": ("lstm", "keras", {"kernel": lambda a: a + (np.arange(48).reshape(3, 16) == 20)}, [
        "W_f differs in 1 of 12 numbers, by up to 1; the first at [1, 0]"]),
    "scaled": ("lstm", "keras", {"kernel": lambda a: a * np.repeat([1, 1, 1.2, 1], 4)}, ["W_g is multiplied by 1.2."]),
    "peepholes": ("lstm", "coreml", {"peephole": reorder([1, 0, 2])}, ["the peepholes i and f are exchanged."]),
    "no peepholes": ("lstm", "coreml", {"peephole": lambda a: 0 * a}, ["the peepholes are other numbers."]),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_differs_is_told(name):
    family, framework, changes, findings = PLANTED[name]
    w = draw_weights(family, framework, **{"peepholes": True} if "peephole" in changes else {})
    other = w._replace(arrays={n: changes.get(n, lambda a: a)(a) for n, a in w.arrays.items()})
    report = rnnref.compare(w, other)
    assert report.status == 1 and len(report.findings) == len(findings), report.findings
    assert all(finding.startswith(words) for finding, words in zip(report.findings, findings)), report.findings
    assert any(row.verdict == "differs" and row.group == "outputs" for row in report.rows)
    assert "differ in their weights and outputs" in report.headline


def test_across_frameworks():
    w = draw_weights("gru", "torch")
    keras = rnnref.convert(w, "keras", live=False).stacks[0].layers[0][0]
    other = keras._replace(arrays={n: IN_KERAS[n](a) for n, a in keras.arrays.items()})
    assert rnnref.compare(w, other).findings == ["the blocks r and z are exchanged."]
    assert rnnref.compare(other, w).findings == ["the blocks r and z are exchanged."]


def test_options_differ():
    w, hard = draw_weights("lstm", "keras"), draw_weights("lstm", "keras", gate="hard_sigmoid@keras3")
    report = rnnref.compare(w, hard)
    assert report.findings == ["a has gate=sigmoid, b gate=hard_sigmoid(alpha=0.166667, beta=0.5)."]
    assert "differ in their options and outputs" in report.headline
    report = rnnref.compare(draw_weights("lstm", "tf1"), draw_weights("lstm", "tf1", forget_bias=0.0))
    assert report.findings == ["1, which is added to the forget gate when it runs, is missing in b."]
    report = rnnref.compare(draw_weights("gru", "onnx"), draw_weights("gru before", "onnx"))
    assert any("reset=after, b reset=before" in finding or "is an onnx gru" in finding for finding in report.findings)
    assert rnnref.compare(w, draw_weights("gru", "keras")).findings == ["a is a keras lstm, b a keras gru."]


def test_sizes_layers_and_inputs():
    one, two = ({f"{n}_l{k}": a for k in range(count) for n, a in zip(("weight_ih", "weight_hh"), (
        np.ones((16, 4)), np.ones((16, 4))))} for count in (1, 2))
    assert rnnref.compare(one, two).findings == ["a has 1 layer, b 2 layers."]
    small = {"weight_ih_l0": np.ones((8, 3)), "weight_hh_l0": np.ones((8, 2))}
    assert rnnref.compare(one, small).findings == ["a and b have other sizes."]
    assert rnnref.compare(two, two, np.ones((3, 1, 4))).ok
    with raises_with(ShapeError, ["x has shape (3, 1, 5), expected (T, B, 4)"]):
        rnnref.compare(two, two, np.ones((3, 1, 5)))
    with pytest.raises(NotSupported, match="like= with function"):
        rnnref.verify(lambda x: x, (3, 1, 4), reference=rnnref.cells.LSTM(), p={}, like=one)


def stacked(*factors, names=("", "_reverse")):
    """An LSTM of one layer for each factor, in two directions; the weights of each are multiplied by its own."""
    found, own = {}, draw_weights("lstm", "torch").arrays
    for k, factor in enumerate(factors):
        for way, name in enumerate(names):
            for n, a in own.items():
                a = np.resize(a, (16, 8)) if n == "weight_ih_l0" else a
                found[f"{n.removesuffix('_l0')}_l{k}{name}"] = (factor + 10 * way) * a / 10
    return found


def test_layers_and_directions_that_are_exchanged():
    a = stacked(1.0, 2.0, 3.0, names=("",))
    report = rnnref.compare(a, stacked(3.0, 2.0, 1.0, names=("",)), gradients=False)
    assert report.status == 1 and report.findings == ["The weights of layer 0 and layer 2 are exchanged."]
    report = rnnref.compare(a, stacked(2.0, 3.0, 1.0, names=("",)), gradients=False)
    assert report.findings == ["The layers are in another order: layer 0 of a is layer 2 of b, layer 1 of a is layer 0 "
                               "of b, layer 2 of a is layer 1 of b."]
    one = stacked(1.0)
    other = {n.removesuffix("_reverse") if n.endswith("_reverse") else f"{n}_reverse": v for n, v in one.items()}
    report = rnnref.compare(one, other, gradients=False)
    assert report.findings == ["The weights of forward and backward are exchanged."]
    report = rnnref.compare(one, stacked(4.0), gradients=False)           # neither in place of the other
    assert report.status == 1 and "W is multiplied by 4" in report.findings[0]


def test_numbers_that_are_not_finite():
    """NaN beside a number is a difference, NaN beside NaN is none."""
    w = draw_weights("gru", "torch")
    for value in (np.nan, np.inf, -np.inf):
        for name in w.arrays:
            one = dict(w.arrays)
            one[name] = one[name].copy()
            one[name].flat[1] = value
            assert rnnref.compare(one, one, gradients=False).ok
            for pair in ((one, w), (w, one)):
                report = rnnref.compare(*pair, gradients=False)
                assert report.status == 1 and "weights" in report.headline, (name, report.headline)
                assert "not finite" in " ".join(report.findings)
            negated = dict(one)
            negated[name] = -one[name]
            assert rnnref.compare(one, negated, gradients=False).ok is False


def test_weights_that_have_nothing_in_common_are_told_in_few_words():
    one, rng = draw_weights("lstm", "keras"), np.random.default_rng(5)
    other = one._replace(arrays={n: rng.normal(size=a.shape) for n, a in one.arrays.items()})
    findings = rnnref.compare(one, other, gradients=False).findings
    assert [f.partition(" differs")[0] for f in findings[:2]] == ["W", "R"] and "48 of 48 numbers" in findings[0]


@pytest.mark.parametrize("x", ["abc", [[1], [2, 3]], np.full((2, 1, 3), np.nan), np.zeros((0, 1, 3)), (-1, 2, 3),
                               np.zeros((2, 0, 3)), (2, 3), np.ones((2, 3)), np.ones((2, 1, 4)), {}, object()])
def test_inputs_that_are_none(x):
    w = draw_weights("lstm", "torch")
    with raises_with(rnnref.Error, ["compare: x "]):
        rnnref.compare(w, w, x)


@pytest.mark.parametrize("name, value", [("params", {}), ("framework", 3), ("family", ("lstm",)), ("given", {}),
                                         ("given", (3, {})), ("seed", -1), ("gradients", "no")])
def test_arguments_of_compare(name, value):
    w = draw_weights("lstm", "torch")
    with raises_with(rnnref.Error, [f"compare: {name}="]):
        rnnref.compare(w, w, **{name: value})


def test_one_name_is_that_of_both_and_errors_tell_the_side():
    arrays = draw_weights("lstm", "torch").arrays
    assert rnnref.compare(arrays, arrays, framework="torch", family="LSTM", gradients=False).ok
    for pair, side in (((None, arrays), "a"), ((arrays, None), "b")):
        with raises_with(NotSupported, [f"side   {side}"]):
            rnnref.compare(*pair)


def test_layers_in_another_order():
    one, two = draw_weights("lstm", "keras").arrays, draw_weights("gru", "keras").arrays
    a = {f"{place}/{n}": v for place, arrays in (("first", one), ("second", two)) for n, v in arrays.items()}
    b = {f"{place}/{n}": v for place, arrays in (("a", two), ("b", one)) for n, v in arrays.items()}
    report = rnnref.compare(a, b)
    assert report.ok and {row.group for row in report.rows} >= {"weights", "outputs", "gradients"}
    b["b/kernel"] = b["b/kernel"] + (np.arange(48).reshape(3, 16) == 0)
    assert rnnref.compare(a, b).findings[0].startswith("first: W_i differs in 1 of 12 numbers")


def test_the_command_compares(tmp_path, capsys):
    theirs = draw_weights("gru", "keras").arrays
    np.savez(tmp_path / "a.npz", **theirs)
    np.savez(tmp_path / "b.npz", **{n: IN_KERAS[n](a) for n, a in theirs.items()})
    a, b, page = (str(tmp_path / name) for name in ("a.npz", "b.npz", "report.html"))
    assert main(["compare", a, a]) == 0 and "are the same" in capsys.readouterr().out
    assert main(["compare", a, b, "--html", page]) == 1
    said = capsys.readouterr().out
    assert "a (a.npz) and b (b.npz) differ in their weights and outputs." in said and "blocks r and z are" in said
    assert "blocks r and z" in (tmp_path / "report.html").read_text()
    assert main(["compare", a, b, "--json", "-", "--report-only"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == ["the blocks r and z are exchanged."]
    assert main(["compare", a, str(tmp_path / "none.npz")]) == 2
    assert main(["compare", a, b, "--from-a", "torch"]) == 2
