"""Random targets and predictions in float32, from one seed."""
import numpy as np


class RandomArrays:
    """Draws arrays of given shapes, one after the other."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape):
        return self.rng.normal(size=shape).astype("float32")

    def unit(self, *shape):
        """Numbers above 0.01 and below 0.99."""
        return self.rng.uniform(0.01, 0.99, shape).astype("float32")

    def probabilities(self, *shape):
        """Numbers that sum to 1 over the last axis."""
        p = self.rng.uniform(0.05, 1, shape).astype("float32")
        return p / p.sum(-1, keepdims=True)

    def ids(self, n, *shape):
        """Integers from 0 to n - 1."""
        return self.rng.integers(0, n, shape)

    def one_hot(self, n, *shape):
        return np.eye(n, dtype="float32")[self.ids(n, *shape)]
