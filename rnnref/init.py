"""First values of parameters: initialisers, and the schemes of frameworks that choose one for each parameter."""
from math import prod, sqrt
from typing import Any, Callable, Union

import numpy

from .arrays import Array, is_floating
from .cell import SizedCell
from .errors import DtypeError, InvalidType, NotSupported
from .maps.dense import Reservoir
from .options import check_is_cell, named_arguments
from .shapes import check_count
from .tree import Tree, leaves, map_structure

DEVIATION_WITHIN_2 = 0.87962566103423978          # standard deviation of a normal cut at 2 of its own


def zeros(rng: Any, shape: tuple) -> Array:
    """All 0."""
    return numpy.zeros(shape)


def ones(rng: Any, shape: tuple) -> Array:
    """All 1."""
    return numpy.ones(shape)


def glorot_uniform(rng: Any, shape: tuple) -> Array:
    """Uniform in +-sqrt(6 / (fan in + fan out)) (Glorot & Bengio 2010)."""
    return scale_variance(rng, shape, 1.0, "fan_avg", "uniform")


def glorot_normal(rng: Any, shape: tuple) -> Array:
    """Normal with variance 2 / (fan in + fan out) (Glorot & Bengio 2010)."""
    return scale_variance(rng, shape, 1.0, "fan_avg", "untruncated_normal")


def he_normal(rng: Any, shape: tuple) -> Array:
    """Normal with variance 2 / fan in (He et al. 2015)."""
    return scale_variance(rng, shape, 2.0, "fan_in", "untruncated_normal")


def random_uniform(rng: Any, shape: tuple) -> Array:
    """Uniform in +-0.05."""
    return rng.uniform(-0.05, 0.05, shape)


def random_normal(rng: Any, shape: tuple) -> Array:
    """Normal with standard deviation 0.05."""
    return rng.normal(scale=0.05, size=shape)


def orthogonal(rng: Any, shape: tuple) -> Array:
    """A random matrix with orthonormal rows or columns, whichever are fewer (Saxe et al. 2014)."""
    n, m = prod(shape[:-1]), shape[-1]
    q, r = numpy.linalg.qr(rng.normal(size=(max(n, m), min(n, m))))
    q *= numpy.sign(numpy.diag(r))                # without it the signs would be those of LAPACK, not random
    return numpy.ascontiguousarray(q if n >= m else q.T).reshape(shape)        # in C order as all other values


def identity(rng: Any, shape: tuple) -> Array:
    """The identity matrix."""
    return numpy.eye(*shape)


def scale_variance(rng: Any, shape: tuple, scale: float, mode: str, distribution: str, fans: Any = None) -> Array:
    """Numbers of mean 0 and variance scale / n, where n is "fan_in", "fan_out", or "fan_avg", their mean.

    distribution   "uniform", "untruncated_normal", or "truncated_normal": within 2 deviations of what it is cut from
    fans           how many inputs and outputs a unit has, where the shape does not tell
    """
    fan_in, fan_out = fans or _compute_fans(shape)
    n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[mode]
    variance = scale / max(1.0, n)
    if distribution == "uniform":
        return rng.uniform(-sqrt(3 * variance), sqrt(3 * variance), shape)
    if distribution == "untruncated_normal":
        return rng.normal(0, sqrt(variance), shape)
    return sqrt(variance) / DEVIATION_WITHIN_2 * truncated_normal(rng, shape)


def truncated_normal(rng: Any, shape: tuple) -> Array:
    """Normal numbers, each drawn again until it is at most 2 in size."""
    a = numpy.asarray(rng.normal(size=shape))
    while (far := abs(a) > 2).any():
        a[far] = rng.normal(size=int(far.sum()))
    return a


def _compute_fans(shape: tuple) -> tuple:
    if len(shape) < 2:
        return (shape or (1,)) * 2
    field = prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


INITIALIZERS = {f.__name__: f for f in (zeros, ones, glorot_uniform, glorot_normal, he_normal, random_uniform,
                                        random_normal, orthogonal, identity)}


@named_arguments
def parameters(cell: SizedCell, n_in: Any, units: Any, rng: "numpy.random.Generator", dtype: Any = "float32",
               scheme: Union[str, Callable] = "keras") -> Tree:
    """Parameters of a cell for `n_in` inputs and this number of units, drawn as frameworks draw them.

    scheme  "keras": weights glorot_uniform, recurrent weights orthogonal, the rest zero, LSTM forget biases one;
            "torch": all uniform in +-1 / sqrt(units); "generic", for tests: all normal with deviation 0.5, so that
            no two are alike and none is zero; or a function (cell, rng, name, axes, shape) -> array.

    >>> import numpy as np, rnnref
    >>> p = parameters(rnnref.cells.GRU(), 3, 4, np.random.default_rng(0))
    >>> {name: a.shape for name, a in p.items()}
    {'W': (3, 12), 'b': (12,), 'R': (4, 12), 'bR': (12,)}
    """
    draw = _SCHEMES.get(scheme) if isinstance(scheme, str) else scheme
    if draw is None or not callable(draw):
        raise NotSupported("parameters", f"scheme={scheme!r}", known="'keras', 'torch', 'generic', or a function")
    check_is_cell("parameters", cell, "axes", "shapes")
    for what, sizes, least in (("n_in", n_in, 0), ("units", units, 1)):
        for path, n in leaves(sizes):
            check_count("parameters", f"{what}.{path}" if path else what, n, least)
        if sizes is None:
            raise InvalidType("parameters", f"{what} is None, expected an integer, {least} or more")
    if not isinstance(rng, numpy.random.Generator):
        raise InvalidType("parameters", f"rng is {rng!r}, expected a generator",
                          fix=f"numpy.random.default_rng({rng if isinstance(rng, int) else 0})")
    return _draw(draw, cell, rng, cell.axes(), cell.shapes(n_in, units), _check_dtype(dtype))


def _check_dtype(dtype: Any) -> "numpy.dtype":
    """A floating dtype, by its name or itself."""
    try:
        found = numpy.dtype(dtype)
    except TypeError:
        raise InvalidType("parameters", f"dtype={dtype!r} is no dtype", fix='"float32"') from None
    if not is_floating(found):
        raise DtypeError("parameters", f"dtype={dtype!r}, expected a floating dtype")
    return found


def _draw(draw: Callable, cell: Any, rng: Any, axes: Any, shapes: Any, dtype: Any) -> Tree:
    if isinstance(axes, tuple):
        return tuple(_draw(draw, c, rng, a, s, dtype) for c, a, s in zip(cell.cells, axes, shapes))
    p = {name: draw(cell, rng, name, axes[name], shapes[name]) for name in axes}
    return map_structure(lambda a: a.astype(dtype), p)


def _draw_period(rng: Any, shape: tuple) -> Array:
    """Log-uniform from 1 to 1000, the range of steps that units are to span (Neil et al. 2016)."""
    return numpy.exp(rng.uniform(0, numpy.log(1000), shape))


_SPECIAL_PARAMETERS = {                           # parameters of PhasedCell
    "period": _draw_period, "phase": lambda rng, shape: rng.uniform(0, 1000, shape),
    "ratio_on": lambda rng, shape: numpy.full(shape, 0.1),
}


def _find_own_draw(cell: Any, name: str) -> Any:
    """The function (rng, shape) -> array of a parameter that no scheme of a framework covers, or None."""
    recurrent = getattr(cell, "recurrent", None)
    if isinstance(recurrent, Reservoir) and name == recurrent.W:
        return recurrent.draw
    return _SPECIAL_PARAMETERS.get(name)


def _draw_keras(cell: Any, rng: Any, name: str, axes: str, shape: tuple) -> Array:
    own = _find_own_draw(cell, name)
    if own is not None:
        return own(rng, shape)
    if axes == "G" and name == "R":               # a unit sees no past but its own
        return rng.uniform(-1, 1, shape)
    if axes == "H G":
        return orthogonal(rng, shape)
    if len(shape) > 1:
        return glorot_uniform(rng, shape)
    if axes == "G" and name == "b":
        return _make_forget_bias(cell, rng, shape)
    return numpy.ones(shape) if name.startswith("gain") else numpy.zeros(shape)


def _make_forget_bias(cell: Any, rng: Any, shape: tuple) -> Array:
    """Zero, but one in the block of the forget gate (Jozefowicz et al. 2015)."""
    gates = getattr(cell, "gates", "")
    b = numpy.zeros(shape)
    if "f" in gates and len(gates) > 1:
        n = shape[0] // len(gates)
        b[gates.index("f") * n:][:n] = 1
    return b


def _draw_torch(cell: Any, rng: Any, name: str, axes: str, shape: tuple) -> Array:
    own = _find_own_draw(cell, name)
    if own is not None:
        return own(rng, shape)
    units = shape[-1] // (len(cell.gates) if axes.endswith("G") else 1)
    return rng.uniform(-1, 1, shape) / sqrt(max(1, units))


def _draw_generic(cell: Any, rng: Any, name: str, axes: str, shape: tuple) -> Array:
    own = _find_own_draw(cell, name)
    return rng.normal(scale=0.5, size=shape) if own is None else own(rng, shape)


_SCHEMES: dict[str, Callable] = {"keras": _draw_keras, "torch": _draw_torch, "generic": _draw_generic}
