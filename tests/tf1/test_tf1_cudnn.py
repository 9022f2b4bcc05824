"""The layers of tf.contrib.cudnn_rnn and their flat buffer: against torch, TF's cells, differences, and a device."""
import numpy as np
import pytest

import rnnref
from rnnref import tf1
from rnnref.check.tolerance import tolerance
from rnnref.interop.cudnn import GATES, Network
from rnnref.testing.assertions import assert_close, assert_same

RNG = np.random.default_rng(5)
T, B, D, U = 4, 2, 3, 5
LAYERS = {"lstm": tf1.CudnnLSTM, "gru": tf1.CudnnGRU, "rnn_tanh": tf1.CudnnRNNTanh, "rnn_relu": tf1.CudnnRNNRelu}
NETS = [Network(mode, layers, U, D, both, projection) for mode in GATES for layers in (1, 2) for both in (False, True)
        for projection in ((None, 2) if mode == "lstm" else (None,))]
NETS += [Network(mode, 2, U, U, skip=True) for mode in GATES]


def name_of(net):
    words = [net.mode, str(net.layers), "both ways" * net.bidirectional, "projection" * bool(net.projection),
             "skip" * net.skip]
    return " ".join(filter(None, words))


def layer(net, dtype="float64", **options):
    made = LAYERS[net.mode](net.layers, net.units, direction=tf1.cudnn.DIRECTIONS[net.bidirectional], dtype=dtype,
                            num_proj=net.projection, input_mode="skip_input" if net.skip else "linear_input", **options)
    return made.load_opaque(RNG.normal(size=net.size).astype(dtype) * 0.4, net.inputs)


@pytest.mark.parametrize("net", NETS, ids=name_of)
def test_the_buffer_to_the_bit(net):
    buffer = RNG.normal(size=net.size)
    weights, biases = net.split(buffer)
    assert_same(net.join(weights, biases), buffer)
    assert_same(net.join(*net.theirs(net.ours(weights, biases))), buffer)
    assert [w.shape for w in weights] == net.canonical_shapes()[0]
    ends = [p.start + int(np.prod(p.shape)) for p in net.offsets()]
    assert [p.start for p in net.offsets()] == [0, *ends[:-1]] and ends[-1] == net.size
    for piece, a in zip(net.offsets(), (*weights, *biases)):
        assert_same(a.ravel(), buffer[piece.start:piece.start + a.size])


@pytest.mark.parametrize("net", NETS, ids=name_of)
def test_gradients_are_differences(net):
    made, x = layer(net), RNG.normal(size=(T, B, net.inputs))
    lengths, states = [T, 2], tuple(RNG.normal(size=shape) for shape in made.state_shape(B))
    buffer, results = made.opaque_kernel, made(x, states, lengths)
    dy, ds = RNG.normal(size=results[0].shape), tuple(RNG.normal(size=s.shape) for s in results[1])
    d = results.backward(dy, ds)

    def loss(x, states, buffer):
        y, new = made.load_opaque(buffer, net.inputs)(x, states, lengths)
        return (y * dy).sum() + sum((a * b).sum() for a, b in zip(new, ds))
    given = [x, states[0], buffer]
    for n, g in enumerate((d.inputs, d.state[0], d.variables["opaque_kernel"])):
        v = RNG.normal(size=g.shape)
        ahead, back = ([a + sign * 1e-6 * v if k == n else a for k, a in enumerate(given)] for sign in (1, -1))
        ahead[1], back[1] = (ahead[1], *states[1:]), (back[1], *states[1:])
        change = (loss(*ahead) - loss(*back)) / 2e-6
        assert abs(change - (g * v).sum()) <= tolerance("difference", "float64") * np.linalg.norm(g) * np.linalg.norm(v)


@pytest.mark.parametrize("net", [net for net in NETS if not net.skip and not net.projection], ids=name_of)
def test_tf_cells_compute_the_same(net):
    """What a checkpoint of these layers holds runs in the cells that TF names compatible."""
    made, x = layer(net), RNG.normal(size=(T, B, D))
    cell = {"lstm": tf1.CudnnCompatibleLSTMCell, "gru": tf1.CudnnCompatibleGRUCell, "rnn_tanh": tf1.BasicRNNCell,
            "rnn_relu": lambda n: tf1.BasicRNNCell(n, "relu")}[net.mode]
    v, ways = made.dump_variables(), []
    if net.bidirectional:
        for way in ("fw", "bw"):
            ways.append([cell(U).load_variables(v, tf1.scope_of("stack_bidirectional_dynamic_rnn", way, n))
                         for n in range(net.layers)])
        y = tf1.stack_bidirectional_dynamic_rnn(*ways, x, time_major=True, sequence_length=[T, 3])[0]
    else:
        stack = tf1.MultiRNNCell([cell(U) for _ in range(net.layers)]).load_variables(v, "rnn")
        y = tf1.dynamic_rnn(stack, x, [T, 3], time_major=True)[0]
    assert_close(made(x, sequence_lengths=[T, 3])[0], y, "path")
    again = layer(net).load_variables(v, D)
    assert_close(again(x)[0], made(x)[0], "path")
    assert_close(again.dump_variables(), v, "path")


def test_batch_first_and_dropout_between_layers():
    net = Network("gru", 3, U, D)
    made, x = layer(net, dropout=0.5, seed=1), RNG.normal(size=(T, B, D))
    still = made(x, training=False)
    assert_same(made(x.swapaxes(0, 1), time_major=False, training=False)[0], still[0].swapaxes(0, 1))
    assert_same(made(x, masks=[np.ones((T, B, U))] * 2)[0], still[0])
    assert (made(x)[0] != still[0]).any()
    masks = [(RNG.random((T, B, U)) < 0.5) * 2.0 for _ in range(2)]
    result, dy, v = made(x, masks=masks), RNG.normal(size=(T, B, U)), RNG.normal(size=x.shape)
    change = sum(sign * (made(x + sign * 1e-6 * v, masks=masks)[0] * dy).sum() for sign in (1, -1)) / 2e-6
    g = result.backward(dy).inputs
    assert abs(change - (g * v).sum()) <= tolerance("difference", "float64") * np.linalg.norm(g) * np.linalg.norm(v)


def test_modes_and_shapes_of_layers():
    made = tf1.CudnnLSTM(2, U, direction="bidirectional")
    assert (made.rnn_mode, made.num_dirs, made.state_shape(7)) == ("lstm", 2, ([4, 7, U], [4, 7, U]))
    assert tf1.CudnnLSTM(1, U, num_proj=2).state_shape(7) == ([1, 7, 2], [1, 7, U])
    assert tf1.CudnnGRU(1, U).state_shape(7) == ([1, 7, U],)
    assert made.build(D).canonical_weight_shapes[:5] == [(U, D)] * 4 + [(U, U)]
    assert not tf1.CudnnGRU(1, U, input_mode="auto_select").build(D).net.skip
    assert tf1.CudnnGRU(1, U, input_mode="auto_select").build(U).net.skip


@pytest.mark.parametrize("what, error, message", (
    (lambda: tf1.CudnnGRU(1, U)(np.ones((T, B, D))), rnnref.NotSupported, "it is not built"),
    (lambda: tf1.CudnnGRU(1, U, input_mode="foo"), rnnref.NotSupported, "input_mode='foo'"),
    (lambda: tf1.CudnnGRU(1, U, direction="foo"), rnnref.NotSupported, "direction='foo'"),
    (lambda: tf1.CudnnGRU(1, U, dropout=1.0), rnnref.NotSupported, "dropout=1.0"),
    (lambda: tf1.CudnnGRU(1, U, input_mode="skip_input").build(D), rnnref.NotSupported, "as wide as the units"),
    (lambda: tf1.CudnnGRU(1, U, num_proj=2).build(D), rnnref.NotSupported, "projection=2"),
    (lambda: tf1.CudnnGRU(1, U).load_opaque(np.ones(3), D), rnnref.ShapeError, "3 numbers, expected 150"),
    (lambda: tf1.CudnnGRU(1, U).build(D)(np.ones((T, B, D), "f"), np.ones((1, B, U), "f")), rnnref.ShapeError,
     "initial_state"),
    (lambda: tf1.CudnnGRU(1, U).load_variables({}, D), rnnref.ShapeError, "missing"),
    (lambda: tf1.CudnnGRU(2, U).build(D)(np.ones((T, B, D), "f"), masks=[]), rnnref.ShapeError, "0 masks, expected 1"),
    (lambda: tf1.CudnnGRU(1, U, input_mode="skip_input").build(U).dump_variables(), rnnref.NotSupported, "skip=True"),
    (lambda: Network("foo", 1, 1, 1), rnnref.NotSupported, "mode='foo'"),
))
def test_refusals(what, error, message):
    with pytest.raises(error, match=message):
        what()


def torch_module(net, torch, dtype):
    kinds = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn_tanh": torch.nn.RNN, "rnn_relu": torch.nn.RNN}
    options = {"nonlinearity": net.mode[4:]} if net.mode.startswith("rnn") else {"proj_size": net.projection or 0} \
        if net.mode == "lstm" else {}
    return kinds[net.mode](net.inputs, U, net.layers, bidirectional=net.bidirectional, dtype=getattr(torch, dtype),
                           **options)


PEERS = [net for net in NETS if not net.skip]


@pytest.mark.peers
@pytest.mark.parametrize("net", PEERS, ids=name_of)
def test_torch_computes_the_same(net):
    import torch
    module, made, x = torch_module(net, torch, "float64"), layer(net), RNG.normal(size=(T, B, D))
    for n, p in enumerate(made.parameters):
        suffix = f"_l{n // made.num_dirs}" + "_reverse" * (n % made.num_dirs)
        for theirs, ours in (("weight_ih", "W"), ("weight_hh", "R"), ("bias_ih", "b"), ("bias_hh", "bR"),
                             ("weight_hr", "P")):
            if ours in p:
                getattr(module, theirs + suffix).data = torch.tensor(p[ours].T)
    xs = torch.tensor(x, requires_grad=True)
    y, new = module(xs)
    new = new if isinstance(new, tuple) else (new,)
    result = made(x)
    assert_close((result[0], result[1]), (y.detach().numpy(), tuple(s.detach().numpy() for s in new)))
    dy = RNG.normal(size=result[0].shape)
    y.backward(torch.tensor(dy))
    assert_close(result.backward(dy).inputs, xs.grad.numpy(), "gradient")


@pytest.mark.gpu
@pytest.mark.parametrize("net", PEERS, ids=name_of)
def test_torch_on_a_device_has_the_same_buffer(net):
    """PyTorch lets cuDNN say where each piece lies, and keeps all in one storage."""
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch sees no device")
    module = torch_module(net, torch, "float32").cuda()
    module.flatten_parameters()
    names, suffixes = {"W": "weight_ih", "R": "weight_hh", "b": "bias_ih", "bR": "bias_hh", "P": "weight_hr"}, {}
    first = module.weight_ih_l0.untyped_storage().data_ptr()
    for piece in net.offsets():
        suffix = suffixes.setdefault((piece.layer, piece.back), f"_l{piece.layer}" + "_reverse" * piece.back)
        a = getattr(module, names[piece.name] + suffix)
        n = net.gates.index(piece.gate) * net.units if piece.gate else 0
        assert (a[n:].data_ptr() - first) // 4 == piece.start, piece
