"""The nested cell of Keras's guide, run by Keras itself: outputs, states and gradients.

`keras.layers.RNN` of Keras 3 asks its input for a shape, and so takes no tuple; the loop under it, `backend.rnn`, does.
Keras runs on its PyTorch back end, in float32: its products are so whatever the layer's dtype.
"""
import os

import numpy as np
import pytest

from rnnref.layers import RNN
from rnnref.testing.api import assert_close
from rnnref.tree import map_structure
from tests.support.nested_cell import INPUTS, UNITS, CallTrained, DictCell, NestedCell, random, sequences, weights

os.environ.setdefault("KERAS_BACKEND", "torch")   # before Keras is imported

pytestmark = [pytest.mark.peers,                  # the warning: Keras's variables meeting NumPy 2
              pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")]

X = map_structure(lambda a: a.swapaxes(0, 1).astype("float32"), sequences())
FIRST = [random(len(X[0]), *n, seed=4).astype("float32") for n in ((UNITS[0],), UNITS[1])]
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 1, 1, 0], [0, 1, 1, 0, 1]], bool)


def keras_cell():
    import keras

    class Nested(keras.layers.Layer):
        def __init__(self, audio, video):
            super().__init__()
            self.sizes, self.state_size = (audio, video), [(audio,), tuple(video)]

        def build(self, shapes):
            for name, n_in, n_out in zip(weights(), shapes, ((self.sizes[0],), self.sizes[1])):
                setattr(self, name, self.add_weight(shape=(*n_in[1:], *n_out), name=name))

        def call(self, inputs, states):
            a = keras.ops.matmul(inputs[0], self.kernel_1)
            v = keras.ops.einsum("bij,ijkl->bkl", inputs[1], self.kernel_2_3)
            return (a, v), (states[0] + a, states[1] + v)
    assert keras.backend.backend() == "torch"     # gradients come from its autograd
    cell = Nested(*UNITS)
    cell.build([(None, INPUTS[0]), (None, *INPUTS[1])])
    cell.set_weights([w.astype("float32") for w in weights().values()])
    return cell


def theirs(sequences, back, zero, mask):
    """What Keras's loop gives: (outputs, states), gradients of x, first states and weights, and what was sent back."""
    import torch
    from keras.src import backend
    cell = keras_cell()
    given = [torch.tensor(a, requires_grad=True) for a in (*X, *FIRST)]
    mask = None if mask is None else torch.tensor(mask)
    last, whole, states = backend.rnn(lambda x, s: cell(x, s), tuple(given[:2]), given[2:], go_backwards=back,
                                      mask=mask, input_length=X[0].shape[1], zero_output_for_mask=zero)
    out = [*(whole if sequences else last), *states]
    d = [random(*a.shape, seed=k).astype("float32") for k, a in enumerate(out)]
    loss = sum((a * torch.tensor(e)).sum() for a, e in zip(out, d))
    grads = torch.autograd.grad(loss, [*given, *(w.value for w in cell.trainable_variables)])
    return [[a.detach().numpy() for a in arrays] for arrays in (out, grads)], d


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_outputs_states_and_gradients_are_those_of_keras(sequences, back, zero, mask):
    (want, dwant), d = theirs(sequences, back, zero, mask)
    names, options = ("audio", "video"), {"return_sequences": sequences, "return_state": True, "go_backwards": back}
    for cell in (NestedCell(), DictCell(), CallTrained()):
        layer = RNN(cell, zero_output_for_mask=zero, units=None if isinstance(cell, CallTrained) else UNITS, **options)
        dicts = isinstance(cell, DictCell)
        x = dict(zip(names, X)) if dicts else X
        layer.build(map_structure(np.shape, x) if not dicts else {name: a.shape for name, a in x.items()})
        layer.set_weights(weights().values())
        y, *states = layer(x, {"sum": dict(zip(names, FIRST))} if dicts else FIRST, mask=mask)
        dx, ds = layer.backward([d[:2]] if dicts else d[:2], {"sum": dict(zip(names, d[2:]))} if dicts else d[2:])
        assert_close(flat([y, states]), want, "output")
        assert_close(flat([dx, ds, layer.grads]), dwant, "gradient")


def test_the_layer_of_keras_takes_no_tuple():
    """The day this fails, the test above can ask keras.layers.RNN."""
    import keras
    with pytest.raises(AttributeError, match="'tuple' object has no attribute 'shape'"):
        keras.layers.RNN(keras_cell())(X)


def flat(tree):
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [a for item in tree for a in flat(item)] if isinstance(tree, (list, tuple)) else [tree]
