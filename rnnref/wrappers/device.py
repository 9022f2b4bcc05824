"""A cell that runs on the device that it names."""
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass
from typing import Any, Optional

from ..arrays import is_array, is_cupy
from ..errors import DeviceError, NotSupported
from ..options import keyword_options
from ..tree import first_leaf
from .base import Wrapper


@keyword_options()
@dataclass(frozen=True)
class Device(Wrapper):
    """The cell on a device: "cpu" or "gpu:1" (of a TF name, "/device:GPU:1", the end counts).

    Arrays do not move: on NumPy only "cpu" runs; on CuPy they must lie on that device, which then is the current one.

    Same as       TF 1 DeviceWrapper
    Errors        DeviceError: arrays that are somewhere else

    >>> import numpy as np, rnnref
    >>> cell = Device(rnnref.cells.SimpleRNN(), device="gpu:1")
    >>> p = {"W": np.ones((1, 1)), "R": np.ones((1, 1)), "b": np.zeros(1)}
    >>> y = cell.forward(p, np.ones((1, 1)), cell.zeros(1, 1, dtype="float64"))
    Traceback (most recent call last):
    rnnref.errors.DeviceError: Device(SimpleRNN): device='gpu:1', and x lies in main memory
      fix    rnnref.to("gpu", ...) moves arrays; device="cpu" runs where they are
    """
    cell: Any
    _: KW_ONLY
    device: Optional[str] = None

    def forward(self, p, x, s, extra=None):
        with self._enter_device(x):
            return self.cell.forward(p, x, s, extra)

    def backward(self, p, k, dy, dnew):
        with self._enter_device(dy):
            return self.cell.backward(p, k, dy, dnew)

    def check(self, p, x, s, extra=None, lead="B"):
        if is_array(first_leaf(x)):
            self._enter_device(x)
        return self.cell.check(p, x, s, extra, lead)

    def _enter_device(self, x):
        """Where to run: nothing to enter in main memory."""
        x = first_leaf(x)
        kind, number = parse_device(self.name, self.device)
        if kind == "gpu" and not is_cupy(x):
            raise DeviceError(self.name, f"device={self.device!r}, and x lies in main memory",
                              fix='rnnref.to("gpu", ...) moves arrays; device="cpu" runs where they are')
        if kind == "cpu" and is_cupy(x):
            raise DeviceError(self.name, f"device={self.device!r}, and x lies on {x.device}",
                              fix='rnnref.to("cpu", ...) moves arrays')
        if kind == "gpu" and x.device.id != number:
            raise DeviceError(self.name, f"device={self.device!r}, and x lies on gpu:{x.device.id}")
        return x.device if kind == "gpu" else nullcontext()


def parse_device(who, device):
    """"/job:worker/device:GPU:1" -> ("gpu", 1)."""
    words = ["", *(device or "any").lower().lstrip("/").replace("/", ":").split(":")]
    number = int(words.pop()) if words[-1].isdigit() else 0
    if words[-1] not in ("any", "cpu", "gpu"):
        raise NotSupported(who, f"device={device!r}", known="None, 'cpu', 'gpu:0', '/device:GPU:1'")
    return words[-1], number
