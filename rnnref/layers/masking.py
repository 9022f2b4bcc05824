"""The layer that masks the steps at which every number has a given value."""
from typing import Any

from ..arrays import asnumpy, namespace
from ..errors import InvalidType
from ..options import is_number
from . import config as configs
from .arguments import config_of_arguments
from .base import Layer


class Masking(Layer):
    """Mask the steps at which every number is mask_value, and set them to 0

        mask = any(x != mask_value, over the last axis)          y = x where the mask is set, else 0

    Shapes        x, y [..., I], mask [...]: [B, T] for x [B, T, I]

    Same as keras.layers.Masking.

    >>> import numpy as np
    >>> layer, x = Masking(-1.0), np.array([[[1.0, -1.0], [-1.0, -1.0]]])
    >>> layer(x).tolist(), layer.compute_mask(x)
    ([[[1.0, -1.0], [0.0, 0.0]]], array([[ True, False]]))
    """
    get_config = config_of_arguments

    def __init__(self, mask_value: Any = 0.0, **base: Any):
        super().__init__(**base)
        if isinstance(mask_value, dict):          # as Keras writes an array
            mask_value = mask_value["config"]["value"]
        if not is_number(mask_value) and not isinstance(mask_value, (list, tuple)) and not hasattr(mask_value, "shape"):
            raise InvalidType(self.who, f"mask_value={mask_value!r}, expected a number, or an array of one for each "
                              "feature")
        self.mask_value = asnumpy(mask_value).tolist() if hasattr(mask_value, "shape") else mask_value

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        x = configs.taken(self.who, "x", inputs, self.dtype)
        value = self.mask_value
        if isinstance(value, (list, tuple)):
            value = namespace(x).asarray(value).astype(x.dtype)
        return (x != value).any(-1)

    def apply(self, p: dict, x: Any, *, mask: Any = None, training: bool = False, noise: Any = None, keep: bool = True
              ) -> tuple:
        x = configs.taken(self.who, "x", x, self.dtype)
        live = self.compute_mask(x)[..., None]
        return namespace(x).where(live, x, 0).astype(x.dtype), live

    def apply_back(self, p: dict, live: Any, dy: Any, wanted: Any = None) -> tuple:
        return (namespace(dy).where(live, dy, 0).astype(dy.dtype),), {}
