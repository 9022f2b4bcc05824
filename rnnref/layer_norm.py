"""Layer normalisation of an array, and its gradient."""
import numpy

from .arrays import Array, namespace


def normalise(a: Array, blocks: int = 1, epsilon: float = 1e-5) -> tuple[Array, Array]:
    """Normalise each of `blocks` parts of the last axis to mean 0 and variance 1 (Ba, Kiros & Hinton 2016).

    Returns the normalised array and 1 / standard deviation, [..., blocks, 1].
    """
    parts = _split_blocks(a, blocks)
    parts = parts - parts.mean(-1, keepdims=True)
    variance = (parts * parts).mean(-1, keepdims=True) + epsilon
    if not epsilon:                               # equal numbers become 0, and have no gradient
        variance = namespace(a).where(variance == 0, numpy.inf, variance)
    rstd = 1 / namespace(a).sqrt(variance)
    return (parts * rstd).reshape(a.shape), rstd


def dnormalise(n: Array, rstd: Array, dn: Array) -> Array:
    """The gradient of the argument of `normalise`, from its results `n` and `rstd` and the gradient of `n`."""
    shape, blocks = dn.shape, rstd.shape[-2]
    n, dn = _split_blocks(n, blocks), _split_blocks(dn, blocks)
    return ((dn - dn.mean(-1, keepdims=True) - n * (dn * n).mean(-1, keepdims=True)) * rstd).reshape(shape)


def _split_blocks(a: Array, blocks: int) -> Array:
    return a.reshape(*a.shape[:-1], blocks, a.shape[-1] // blocks)
