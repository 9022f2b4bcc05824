"""Windows of the features of a step, which may overlap and reach beyond the ends, and the adjoint."""
from typing import Any

from ..arrays import Array, namespace


def extract_windows(x: Array, starts: list, width: int) -> Array:
    """The windows of x, [B, I] -> [B, windows, width], zero where a window is outside of x."""
    xp, I = namespace(x), x.shape[-1]
    out = xp.zeros((len(x), len(starts), width), x.dtype)
    for q, start in enumerate(starts):
        inside = slice(max(start, 0), min(start + width, I))
        out[:, q, inside.start - start:inside.stop - start] = x[:, inside]
    return out


def overlap_add(d: Any, starts: list, n_in: Any) -> Array:
    """The adjoint of extract_windows, [B, windows, width] -> [B, n_in]: sums where windows overlap."""
    out = namespace(d).zeros((len(d), n_in), d.dtype)
    for q, start in enumerate(starts):
        inside = slice(max(start, 0), min(start + d.shape[-1], n_in))
        out[:, inside] += d[:, q, inside.start - start:inside.stop - start]
    return out
