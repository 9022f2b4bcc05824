"""First values of parameters, by name.  (floor 2)"""
from math import prod, sqrt

import numpy

from .errors import NotSupported
from .tree import map_structure


def zeros(rng, shape):
    return numpy.zeros(shape)


def ones(rng, shape):
    return numpy.ones(shape)


def glorot_uniform(rng, shape):
    """Uniform in +-sqrt(6 / (fan in + fan out)) (Glorot & Bengio 2010)."""
    limit = sqrt(6 / max(1, sum(_compute_fans(shape))))
    return rng.uniform(-limit, limit, shape)


def glorot_normal(rng, shape):
    return rng.normal(scale=sqrt(2 / max(1, sum(_compute_fans(shape)))), size=shape)


def he_normal(rng, shape):
    return rng.normal(scale=sqrt(2 / max(1, _compute_fans(shape)[0])), size=shape)


def random_uniform(rng, shape):
    return rng.uniform(-0.05, 0.05, shape)


def random_normal(rng, shape):
    return rng.normal(scale=0.05, size=shape)


def orthogonal(rng, shape):
    """A random matrix with orthonormal rows or columns, whichever are fewer (Saxe et al. 2014)."""
    n, m = prod(shape[:-1]), shape[-1]
    q, r = numpy.linalg.qr(rng.normal(size=(max(n, m), min(n, m))))
    q *= numpy.sign(numpy.diag(r))                # or the signs of LAPACK would not be random
    return (q if n >= m else q.T).reshape(shape)


def identity(rng, shape):
    return numpy.eye(*shape)


def _compute_fans(shape):
    if len(shape) < 2:
        return (shape or (1,)) * 2
    field = prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


INITIALIZERS = {f.__name__: f for f in (zeros, ones, glorot_uniform, glorot_normal, he_normal, random_uniform, random_normal,
                                 orthogonal, identity)}


def get_initializer(what):
    """A function (rng, shape) -> array, from its name; a function stays as it is."""
    if callable(what):
        return what
    if what not in INITIALIZERS:
        raise NotSupported("initialiser", f"{what!r} is not known", known=" ".join(sorted(INITIALIZERS)))
    return INITIALIZERS[what]


def parameters(cell, n_in, units, rng, dtype="float32", scheme="keras"):
    """Parameters of a cell, drawn as frameworks draw them.

    scheme  "keras": weights glorot_uniform, recurrent weights orthogonal, the rest zero, LSTM forget biases one;
            "torch": all uniform in +-1 / sqrt(units); or a function (name, axes, shape) -> array.

    >>> import numpy as np, rnnref
    >>> p = parameters(rnnref.cells.GRU(), 3, 4, np.random.default_rng(0))
    >>> {name: a.shape for name, a in p.items()}
    {'W': (3, 12), 'b': (12,), 'R': (4, 12), 'bR': (12,)}
    """
    draw = {"keras": _draw_keras, "torch": _draw_torch}.get(scheme, scheme)
    if not callable(draw):
        raise NotSupported("parameters", f"scheme={scheme!r}", known="'keras', 'torch', or a function")
    return _draw(draw, cell, rng, cell.axes(), cell.shapes(n_in, units), dtype)


def _draw(draw, cell, rng, axes, shapes, dtype):
    if isinstance(axes, tuple):
        return tuple(_draw(draw, c, rng, a, s, dtype) for c, a, s in zip(cell.cells, axes, shapes))
    p = {name: draw(cell, rng, name, axes[name], shapes[name]) for name in axes}
    return map_structure(lambda a: a.astype(dtype), p)


def _draw_period(rng, shape):
    """As wide apart as the steps that units are to span: from 1 to 1000 (Neil et al. 2016)."""
    return numpy.exp(rng.uniform(0, numpy.log(1000), shape))


_SPECIAL_PARAMETERS = {                                           # parameters that mean what no scheme of frameworks can guess
    "period": _draw_period, "phase": lambda rng, shape: rng.uniform(0, 1000, shape),
    "ratio_on": lambda rng, shape: numpy.full(shape, 0.1),
}


def _draw_keras(cell, rng, name, axes, shape):
    if name in _SPECIAL_PARAMETERS:
        return _SPECIAL_PARAMETERS[name](rng, shape)
    if axes == "G" and name == "R":               # each unit sees its own past alone
        return rng.uniform(-1, 1, shape)
    if axes == "H G":
        return orthogonal(rng, shape)
    if len(shape) > 1:
        return glorot_uniform(rng, shape)
    if axes == "G" and name == "b":
        return _make_forget_bias(cell, rng, shape)
    return numpy.ones(shape) if name.startswith("gain") else numpy.zeros(shape)


def _make_forget_bias(cell, rng, shape):
    """Zero, but one in the block of the forget gate (Jozefowicz et al. 2015)."""
    gates = getattr(cell, "gates", "")
    b = numpy.zeros(shape)
    if "f" in gates and len(gates) > 1:
        n = shape[0] // len(gates)
        b[gates.index("f") * n:][:n] = 1
    return b


def _draw_torch(cell, rng, name, axes, shape):
    if name in _SPECIAL_PARAMETERS:
        return _SPECIAL_PARAMETERS[name](rng, shape)
    units = shape[-1] // (len(cell.gates) if axes.endswith("G") else 1)
    return rng.uniform(-1, 1, shape) / sqrt(max(1, units))
