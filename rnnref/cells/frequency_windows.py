"""Windows of the features of a step, which may overlap and may reach over the ends, and the way back."""
from ..arrays import namespace


def extract_windows(x, starts, width):
    """x [B, I] -> [B, windows, width], zero where a window lies outside."""
    xp, I = namespace(x), x.shape[-1]
    out = xp.zeros((len(x), len(starts), width), x.dtype)
    for q, start in enumerate(starts):
        inside = slice(max(start, 0), min(start + width, I))
        out[:, q, inside.start - start:inside.stop - start] = x[:, inside]
    return out


def overlap_add(d, starts, n_in):
    """d [B, windows, width] -> [B, n_in], summed where windows overlap."""
    out = namespace(d).zeros((len(d), n_in), d.dtype)
    for q, start in enumerate(starts):
        inside = slice(max(start, 0), min(start + d.shape[-1], n_in))
        out[:, inside] += d[:, q, inside.start - start:inside.stop - start]
    return out
