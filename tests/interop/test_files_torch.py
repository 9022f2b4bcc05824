"""Files that torch writes are read without it, to the bit, and their weights go into layers."""
import numpy as np
import pytest

from rnnref import interop, layers
from rnnref.errors import FileError
from tests.support.bounded import bounded

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.peers

DTYPES = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128".split()


def test_every_dtype_and_every_view(tmp_path):
    base = torch.arange(24).reshape(2, 3, 4)
    tensors = {name: base.to(getattr(torch, name)) for name in DTYPES}
    tensors |= {"turned": base.permute(2, 0, 1), "part": base[1, 1:, ::2], "repeated": torch.ones(1, 3).expand(5, 3),
                "empty": torch.zeros(0, 3), "number": torch.tensor(2.5), "parameter": torch.nn.Parameter(torch.ones(2))}
    torch.save(tensors, tmp_path / "t.pt")
    found = interop.read(tmp_path / "t.pt")
    assert found.keys() == tensors.keys()
    for name, a in tensors.items():
        assert found[name].dtype.name == str(a.dtype).removeprefix("torch.") and found[name].shape == tuple(a.shape)
        assert (found[name].astype("c16") == a.detach().to(torch.complex128).numpy()).all()


def test_a_checkpoint_is_flattened(tmp_path):
    lstm = torch.nn.LSTM(3, 4)
    adam = torch.optim.Adam(lstm.parameters())
    lstm(torch.ones(2, 1, 3))[0].sum().backward()
    adam.step()
    state = {"model": lstm.state_dict(), "optimizer": adam.state_dict(), "epoch": 3, "note": "x"}
    torch.save(state, tmp_path / "c.pth")
    found = interop.read(tmp_path / "c.pth")
    assert found["epoch"] == 3 and found["optimizer/param_groups/0/betas/1"] == 0.999
    assert (found["optimizer/state/0/exp_avg"] == adam.state_dict()["state"][0]["exp_avg"].numpy()).all()
    x = torch.randn(2, 5, 3)
    layer = layers.LSTM(4, return_sequences=True)
    piece = interop.pieces(tmp_path / "c.pth", "lstm", "torch")["model/_l0"]
    weights = interop.convert(piece.arrays, "torch", "keras", "lstm")
    layer.set_weights(list(weights.values()))
    np.testing.assert_allclose(layer(x.numpy()), lstm(x.swapaxes(0, 1))[0].swapaxes(0, 1).detach(), atol=1e-6)


def test_objects_are_refused(tmp_path):
    path = tmp_path / "m.pt"
    torch.save(torch.nn.LSTM(1, 1), path)
    with pytest.raises(FileError, match="m.pt holds an object torch.nn.modules.rnn.LSTM"):
        interop.read(path)
    torch.save({"w": torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(FileError, match="m.pt"):
        interop.read(path)
    torch.save(torch.zeros(1).expand(1 << 28), path)
    with bounded(), pytest.raises(FileError, match="m.pt says that it unpacks"):
        interop.read(path)
