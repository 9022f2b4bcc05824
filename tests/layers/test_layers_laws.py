"""The law of every layer: apply_back is what differences of apply are, apply is pure, and a record, threads and the
strict double of CuPy give the same numbers."""
import numpy as np
import pytest

import rnnref
from rnnref import Record, layers
from rnnref.check.tolerance import tolerance
from rnnref.nest import align, flatten, map_structure, unflatten
from rnnref.testing.api import assert_close, assert_same
from tests.support.layer_cases import TABLE, B, Pointwise, Recorded, T, filled_shapes
from tests.support.plain_paths import plain_paths
from tests.support.products import Counted, count_products
from tests.support.threads import call_in_threads

each_layer = pytest.mark.parametrize("name", TABLE)


def made(name):
    """A layer with random weights, and what it is called with."""
    make, shapes = TABLE[name]
    layer, args = make(), filled_shapes(shapes)
    call(layer, args)
    rng = np.random.default_rng(5)
    layer.set_weights([rng.normal(size=a.shape) * 0.5 for a in layer.get_weights()])
    return layer, args


def call(layer, args, **options):
    return layer(*args[:2], **({"constants": args[2]} if len(args) > 2 else {}), **options)


def directions(tree, seed):
    rng = np.random.default_rng(seed)
    return map_structure(lambda a: rng.normal(size=a.shape), tree)


def dot(tree, other):
    return sum(float((a * b).sum()) for a, b in zip(flatten(tree), flatten(other)) if a is not None)


def mask_for(layer, args):
    """Holes in every row but the last, which is dead, where a layer takes steps."""
    x = args[0]
    if isinstance(layer, layers.CellLayer) or isinstance(getattr(layer, "layer", None), layers.RNN):
        return None                                               # one step, or a mask that means something else
    if getattr(layer, "time_major", False):
        x = x.swapaxes(0, 1)
    mask = np.random.default_rng(1).random(x.shape[:2]) < 0.6
    mask[:, 0] = True
    return mask.T if getattr(layer, "time_major", False) else mask


TAKING_MASKS = [name for name, (make, shapes) in TABLE.items() if mask_for(make(), filled_shapes(shapes)) is not None]


@pytest.mark.parametrize("name, masked", [*((name, False) for name in TABLE), *((name, True) for name in TAKING_MASKS)])
def test_the_pair_is_what_differences_say(name, masked):
    layer, args = made(name)
    mask = mask_for(layer, args) if masked else None
    p = {path: w.data for path, w in layer.named_weights().items()}
    noise = layer.draw(False, *args)

    def apply(args, p):
        return layer.apply(p, *args, mask=mask, noise=noise)
    before = layer.get_weights(), dict(vars(layer))
    y, kept = apply(args, p)
    assert_same(apply(args, p)[0], y)                             # bits
    dy = directions(y, 1)
    dargs, dp = layer.apply_back(p, kept, dy)
    again = layer.apply_back(p, kept, dy)
    assert_same(again[1], dp)
    assert_same(layer.get_weights(), before[0])
    assert all(vars(layer)[k] is v for k, v in before[1].items()) and vars(layer).keys() == before[1].keys()
    dargs = unflatten(args, align(args, list(dargs[:len(args)])))
    assert map_structure(np.shape, dargs) == map_structure(np.shape, args)
    assert {path: d.shape for path, d in dp.items()} == {path: a.shape for path, a in p.items()}
    for what, tree, d in (("arguments", args, dargs), ("weights", p, dp)):
        v, e = directions(tree, 2), 1e-6

        def at(e):
            moved = unflatten(tree, [a + e * b for a, b in zip(flatten(tree), flatten(v))])
            return dot(apply(moved, p)[0] if what == "arguments" else apply(args, moved)[0], dy)
        change, says = (at(e) - at(-e)) / (2 * e), dot(d, v)
        size = np.sqrt(dot(d, d) * dot(v, v)) + 1e-3
        assert abs(change - says) <= tolerance("difference", "float64") * size, what


@each_layer
def test_gradients_that_are_not_asked_for_are_left_out(name):
    layer, args = made(name)
    p = {path: w.data for path, w in layer.named_weights().items()}
    y, kept = layer.apply(p, *args, noise=layer.draw(False, *args))
    dy = directions(y, 1)
    dargs, dp = layer.apply_back(p, kept, dy)
    n = len(args)
    for left_out in range(n + 1):
        wanted = tuple(k != left_out for k in range(n + 1))
        got, got_p = layer.apply_back(p, kept, dy, wanted)
        assert_same(got_p, dp if wanted[n] else {})
        for k in range(n):
            if wanted[k]:
                assert_same(got[k], dargs[k])
            elif k == 0:
                assert all(d is None for d in flatten(got[k]))


# How many products on the way back only the gradient of x needs, and only those of the weights
FIRST = {"lstm return_sequences": (1, 2), "gru return_sequences": (1, 2), "gru before return_sequences": (1, 3),
         "rnn return_sequences": (1, 2), "bidirectional mul": (2, 4), "unequal halves": (2, 4), "stack": (1, 4),
         "a cell of ours": (1, 3), "a cell with call": (T, 3 * T), "a cell of tf1": (1, 2),
         "time distributed cell": (1, 2), "conv lstm 1d": (1, 2), "conv lstm 2d, first": (1, 2)}


@pytest.mark.parametrize("name", FIRST)
def test_a_first_layer_does_not_multiply_for_its_inputs(name):
    with plain_paths():
        check_first_layer(name)


def check_first_layer(name):
    layer, (x, *_) = made(name)
    of_x, of_weights = FIRST[name]
    for w in layer.weights:
        w.assign(w.data.view(Counted))

    def walk(start):
        with Record(training=True) as record:
            value = getattr(record, start)(x.view(Counted))
            loss = rnnref.ops.sum(flatten(layer(value))[0] ** 2)
        found = []
        return count_products(lambda: found.append(record.backward(loss))), value, found[0]
    (n, value, whole), (fewer, _, found) = walk("leaf"), walk("constant")
    assert n - fewer == of_x
    for w in layer.weights:
        assert_same(found[w], whole[w])
    layer.trainable = False                       # then the products that make gradients of weights go, too
    frozen, again, found = walk("leaf")
    assert n - frozen == of_weights
    assert_same(found[again], whole[value])


@each_layer
def test_a_record_gives_the_same_numbers(name):
    layer, args = made(name)
    y = call(layer, args)
    dy = directions(y, 3)
    with Record() as record:
        leaves = map_structure(record.leaf, args)
        values = call(layer, leaves)
    found = record.backward(values, dy)
    p = {path: w.data for path, w in layer.named_weights().items()}
    out, kept = layer.apply(p, *args, noise=layer.draw(False, *args))
    dargs, dp = layer.apply_back(p, kept, dy)
    assert_same(map_structure(lambda v: v.data, values), y)
    assert_same(out, y)
    assert_same(map_structure(lambda v: found[v], leaves), unflatten(args, align(args, list(dargs[:len(args)]))))
    assert_same([found[w] for w in layer.weights], list(dp.values()))
    with Record(keep=False):
        assert_same(map_structure(lambda v: v.data, call(layer, args)), y)
    assert_same(call(layer, args, keep=False), y)


@pytest.mark.parametrize("name", [name for name, (_, shapes) in TABLE.items() if len(shapes) == 1])
def test_shapes_are_seen_without_arrays(name):
    make, (shape,) = TABLE[name]
    layer = make()
    got = layer.compute_output_shape(shape)
    assert flatten(got) == flatten(map_structure(np.shape, layer(*filled_shapes([shape]))))
    if "conv" not in name and not getattr(layer, "time_major", False):
        open_shape = flatten(layer.compute_output_shape((None, *shape[1:])))
        assert [B if n is None else n for n in open_shape] == flatten(got) and None in open_shape


@each_layer
def test_configurations_go_round(name):
    layer, args = made(name)
    own = {"Recorded": Recorded, "Pointwise": Pointwise}
    again = type(layer).from_config(layer.get_config(), custom_objects=own)
    assert again.get_config() == layer.get_config()
    call(again, args)
    again.set_weights(layer.get_weights())
    assert_same(call(again, args), call(layer, args))


@each_layer
def test_on_the_strict_double(name, cupy):
    layer, args = made(name)
    y = call(layer, args)
    dy = directions(y, 4)
    with Record() as record:
        want = record.backward(call(layer, args), dy)
    home = [want[w] for w in layer.weights]
    layer.to("gpu")
    moved = map_structure(cupy.asarray, args)
    with Record() as record:
        values = call(layer, moved)
    found = record.backward(values, map_structure(cupy.asarray, dy))
    assert_close([rnnref.asnumpy(v.data) for v in flatten(values)], flatten(y), "path")
    assert_close([rnnref.asnumpy(found[w]) for w in layer.weights], home, "path")


@pytest.mark.parametrize("name", ["lstm return_sequences", "gru return_sequences", "bidirectional mul",
                                  "a cell with call", "stack", "conv lstm 2d"])
def test_one_layer_in_eight_threads_gives_the_same_bits(name):
    layer, args = made(name)
    dy = directions(call(layer, args), 5)

    def work():
        with Record(training=True) as record:
            y = call(layer, args)
        g = record.backward(y, dy)
        return [[v.data for v in flatten(y)], [g[w] for w in layer.weights]]
    found = call_in_threads(work)
    assert_same(found[1:], [found[0]] * 7)
