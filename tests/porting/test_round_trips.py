"""Networks drawn at random, to every framework and back, as layers and in files: the same bits, or refused."""
import numpy as np
import pytest

import rnnref
from rnnref import NotSupported
from rnnref.interop import LAYOUTS, Weights, cell_for, dump
from rnnref.porting import NotRepresentable, write_conversion
from rnnref.porting.conversion import FRAMEWORKS
from tests.support.weights import draw_parameters

OPTIONS = {
    "rnn": [{}, {"activation": "relu"}], "gru before": [{}, {"candidate": "relu"}], "mgu": [{}], "ugrnn": [{}],
    "gru": [{}, {"candidate": "relu"}, {"gate": "hard_sigmoid@keras2"}],
    "lstm": [{}, {"peepholes": True}, {"projection": 2}, {"projection": 2, "peepholes": True}, {"cell_clip": 0.5},
             {"forget_bias": 0.0}, {"gate": "hard_sigmoid@keras3"}, {"candidate": "relu", "output": "relu"}]}
KEYS = [key for key in LAYOUTS if key[0] in OPTIONS]


def draw_network(rng):
    """(family, framework, layers): up to three layers, in one direction or two."""
    while True:
        family, framework = KEYS[rng.integers(len(KEYS))]
        options = OPTIONS[family][rng.integers(len(OPTIONS[family]))]
        try:
            cell, layout = cell_for(family, framework, **options), LAYOUTS[family, framework]
        except NotSupported:
            continue
        dtype, ways = ("float32", "float64", "float16")[rng.integers(3)], int(rng.integers(1, 3))
        (n_in, units), layers = rng.integers(1, 5, 2).tolist(), []
        for _ in range(rng.integers(1, 4)):
            drawn = [dump(layout, draw_parameters(cell, layout, int(rng.integers(1 << 30)), dtype, n_in, units), cell)
                     for _ in range(ways)]
            layers.append(tuple(Weights(a, layout, cell, {name: name for name in a}, bool(k))
                                for k, a in enumerate(drawn)))
            n_in = ways * options.get("projection", units)
        return family, framework, layers


def assert_same_layers(found, layers):
    assert [len(layer) for layer in found] == [len(layer) for layer in layers]
    for own, other in ((w, v) for pair in zip(found, layers) for w, v in zip(*pair)):
        assert own.arrays.keys() == other.arrays.keys() and own.reverse == other.reverse
        for name, a in own.arrays.items():
            assert a.dtype == other.arrays[name].dtype
            np.testing.assert_array_equal(a, other.arrays[name])


@pytest.mark.parametrize("seed", range(16))
def test_every_framework_and_back(seed, tmp_path):
    rng, exact = np.random.default_rng(seed), 0
    family, framework, layers = draw_network(rng)
    for to in FRAMEWORKS:
        try:
            there = rnnref.convert(layers, to, live=False)
        except NotRepresentable as e:
            assert e.notes["reason"], e
            continue
        source = (there.network, there["weights"]) if to == "cudnn" else there.stacks[0].layers
        back = rnnref.convert(source, framework, live=False)
        assert back.proof[0].holds and there.proof[0].holds
        if there.notes or back.notes:             # numbers were computed: the proof must do
            continue
        assert_same_layers(back.stacks[0].layers, layers)
        exact += 1
        if to == "cudnn":
            continue
        own = next(iter(there.options.values()), {})
        given = {name: value for name, value in own.items() if name not in ("reverse", "bias", "recurrent_bias")}
        path = tmp_path / ("m.npz", "m.h5", "m.safetensors")[rng.integers(3)]
        write_conversion(there, path)
        for kept in (dict(there), path):
            read = rnnref.convert(kept, framework, framework=to, family=family, given=given, live=False)
            assert len(read.stacks) == 1
            assert_same_layers(read.stacks[0].layers, layers)
    assert exact >= 1                             # the framework itself
