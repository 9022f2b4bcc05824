"""The device that the arrays of a cell must lie on."""
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass
from typing import Any, Collection, Optional

from ..arrays import is_array, is_cupy
from ..cell import ALL, State, step_back
from ..errors import DeviceError, InvalidType, NotSupported
from ..options import keyword_options
from ..tree import Tree, first_leaf
from .base import Wrapper

_NAMES = "None, 'cpu', 'gpu:0', '/device:GPU:1'"


@keyword_options()
@dataclass(frozen=True)
class Device(Wrapper):
    """The cell on a device, where its arrays must lie: nothing is moved.

    Options       device=None (any), "cpu", "gpu:1", or TF's "/job:worker/device:GPU:1", of which the end counts.  NumPy
                  arrays are on "cpu"; the GPU of CuPy arrays is made the current one
    Same as       TF 1 DeviceWrapper
    Errors        DeviceError: arrays on another device; NotSupported: a name that is not known

    >>> import numpy as np, rnnref
    >>> cell = Device(rnnref.cells.SimpleRNN(), device="gpu:1")
    >>> p = {"W": np.ones((1, 1)), "R": np.ones((1, 1)), "b": np.zeros(1)}
    >>> y = cell.forward(p, np.ones((1, 1)), cell.zeros(1, 1, dtype="float64"))
    Traceback (most recent call last):
    rnnref.errors.DeviceError: Device(SimpleRNN): device='gpu:1', and x is in main memory
      fix    rnnref.to("gpu", ...) moves arrays; device="cpu" runs where they are
    """
    cell: Any
    _: KW_ONLY
    device: Optional[str] = None

    def __post_init__(self) -> None:
        if self.device is not None and not isinstance(self.device, str):
            raise InvalidType("Device", f"device={self.device!r}, expected a name or None", known=_NAMES)

    def forward(self, p: Tree, x: Tree, s: State, extra: Tree = None) -> tuple[Tree, State, Any]:
        with self._enter_device(x):
            return self.cell.forward(p, x, s, extra)

    def backward(self, p: Tree, k: Any, dy: Tree, dnew: State, wanted: Collection[str] = ALL
                 ) -> tuple[Tree, State, Tree, Tree]:
        with self._enter_device(dy):
            return step_back(self.cell, p, k, dy, dnew, wanted)

    def check(self, p: Tree, x: Tree, s: State, extra: Tree = None, lead: str = "B") -> Any:
        if is_array(first_leaf(x)):
            self._enter_device(x)
        return self.cell.check(p, x, s, extra, lead)

    def _enter_device(self, x: Tree) -> Any:
        """A context manager that makes the device of x the current one; raises if that is not `device`."""
        x = first_leaf(x)
        kind, number = parse_device(self.name, self.device)
        if kind == "gpu" and not is_cupy(x):
            raise DeviceError(self.name, f"device={self.device!r}, and x is in main memory",
                              fix='rnnref.to("gpu", ...) moves arrays; device="cpu" runs where they are')
        if kind == "cpu" and is_cupy(x):
            raise DeviceError(self.name, f"device={self.device!r}, and x is on {x.device}",
                              fix='rnnref.to("cpu", ...) moves arrays')
        if kind == "gpu" and x.device.id != number:
            raise DeviceError(self.name, f"device={self.device!r}, and x is on gpu:{x.device.id}")
        return x.device if kind == "gpu" else nullcontext()


def parse_device(who: str, device: Any) -> tuple[str, int]:
    """The kind and number of a device by its name: "/job:worker/device:GPU:1" -> ("gpu", 1)."""
    words = ["", *(device or "any").lower().lstrip("/").replace("/", ":").split(":")]
    number = int(words.pop()) if words[-1].isdigit() else 0
    if words[-1] not in ("any", "cpu", "gpu"):
        raise NotSupported(who, f"device={device!r}", known=_NAMES)
    return words[-1], number
