"""Layer normalisation as a pair.  (floor 0)"""
from .arrays import namespace


def normalise(a, blocks=1, epsilon=1e-5):
    """Each of `blocks` parts of the last axis to mean 0 and variance 1 (Ba, Kiros & Hinton 2016).

    Returns the normalised array and 1 / standard deviation, [..., blocks, 1].
    """
    parts = _split_blocks(a, blocks)
    parts = parts - parts.mean(-1, keepdims=True)
    rstd = 1 / namespace(a).sqrt((parts * parts).mean(-1, keepdims=True) + epsilon)
    return (parts * rstd).reshape(a.shape), rstd


def dnormalise(n, rstd, dn):
    """The gradient of what went in, from the normalised `n` and the gradient of it."""
    shape, blocks = dn.shape, rstd.shape[-2]
    n, dn = _split_blocks(n, blocks), _split_blocks(dn, blocks)
    return ((dn - dn.mean(-1, keepdims=True) - n * (dn * n).mean(-1, keepdims=True)) * rstd).reshape(shape)


def _split_blocks(a, blocks):
    return a.reshape(*a.shape[:-1], blocks, a.shape[-1] // blocks)
