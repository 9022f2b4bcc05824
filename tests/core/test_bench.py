"""What the measurements rest on."""
import pytest

from tests.bench import device, host


def test_host_times_of_launches_are_measured_for_every_aim():
    """Figures are for `make bench` to print: a machine that is busy proves nothing about the code."""
    found = host.measure(rounds=1)
    assert found.keys() == host.AIMS.keys() and all(0 < us < 1000 for us in found.values())


def test_kernels_of_the_idle_card_read_their_arguments_and_work_stays_undone():
    with host.idle_card() as cupy:
        assert cupy.RawModule().get_function("any")((1,), (1,), [host.np.zeros((), "V8")])[0][0] > 0
    assert not hasattr(cupy, "RawModule")


def test_torch_lays_weights_of_bfloat16_end_to_end_for_cudnn():
    torch = pytest.importorskip("torch")
    asked = torch.backends.cudnn.is_acceptable.__globals__["CUDNN_TENSOR_DTYPES"]     # before weights are laid out
    before = set(asked)
    asked.discard(torch.bfloat16)
    try:
        assert device.torch_in("bf16") in asked
    finally:
        asked &= before
