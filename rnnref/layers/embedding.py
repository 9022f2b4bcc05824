"""The embedding layer: a vector for each integer."""
from typing import Any

from ..arrays import namespace
from ..errors import ShapeError
from ..pairs.table import Part
from . import config as configs
from .arguments import add_weight, check_positive, config_of_arguments, keep_weight_options, refuse
from .base import Layer


class Embedding(Layer):
    """y = embeddings[ids]

    Shapes        ids [...] from 0 to input_dim - 1, embeddings [input_dim, output_dim], y [..., output_dim]
    Options       mask_zero     the mask of y is ids != 0: id 0 is padding
                  weights       the first embeddings, an array or a list of it
                  embeddings_initializer, _regularizer, _constraint; activity_regularizer
    Errors        ShapeError for an id out of range; on a GPU it wraps around, since a check would wait for it
                  NotSupported for lora_rank, lora_alpha and quantization_config

    Floats are cut to integers; -1 is the last row, as in NumPy.  Same as keras.layers.Embedding, torch.nn.Embedding.

    >>> import numpy as np
    >>> layer = Embedding(3, 2, weights=np.array([[0, 0], [1, 2], [3, 4]]), mask_zero=True)
    >>> layer(np.array([[2, 0]])), layer.compute_mask(np.array([[2, 0]]))
    (array([[[3., 4.],
            [0., 0.]]], dtype=float32), array([[ True, False]]))
    """
    def __init__(self, input_dim: int, output_dim: int, embeddings_initializer: Any = "uniform",
                 embeddings_regularizer: Any = None, embeddings_constraint: Any = None, mask_zero: bool = False,
                 weights: Any = None, lora_rank: Any = None, lora_alpha: Any = None, quantization_config: Any = None,
                 **base: Any):
        base.pop("input_length", None)            # Keras 2 wrote it, and nothing depends on it
        super().__init__(**base)
        check_positive(self, input_dim=input_dim, output_dim=output_dim)
        refuse(self, "there are no low-rank updates", lora_rank=lora_rank, lora_alpha=lora_alpha)
        refuse(self, "weights are not quantized", quantization_config=quantization_config)
        self.lora_rank = self.lora_alpha = self.quantization_config = None
        self.input_dim, self.output_dim, self.mask_zero = input_dim, output_dim, mask_zero
        keep_weight_options(self, "embeddings", embeddings_initializer, embeddings_regularizer, embeddings_constraint)
        self.supports_masking = bool(mask_zero)
        if weights is not None:
            self.set_weights(weights if isinstance(weights, list) and len(weights) == 1 else [weights])

    def build(self, input_shape: Any = None) -> None:
        self.embeddings = add_weight(self, (self.input_dim, self.output_dim), "embeddings")

    def _build_from(self, weights: Any) -> None:
        self.build()

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        return inputs != 0 if self.mask_zero else None

    def apply(self, p: dict, x: Any, *, mask: Any = None, training: bool = False, noise: Any = None, keep: bool = True
              ) -> tuple:
        ids = configs.taken(self.who, "x", x, None)
        ids = ids if ids.dtype.kind in "iu" else ids.astype("int64")
        try:
            return namespace(ids).take(p["embeddings"], ids, axis=0), ids
        except IndexError:
            raise ShapeError(self.who, f"ids from {ids.min()} to {ids.max()}, expected from 0 to "
                             f"{self.input_dim - 1}", axes=f"input_dim={self.input_dim} is the number of ids") from None

    def apply_back(self, p: dict, ids: Any, dy: Any, wanted: Any = None) -> tuple:
        return (None,), {"embeddings": Part(p["embeddings"].shape, ids, dy).dense()}

    def get_config(self) -> dict:
        return {"activity_regularizer": None} | config_of_arguments(self)                # as Keras writes it
