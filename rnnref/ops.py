"""Operations on arrays, values, weights and symbols, with the names and arguments of keras.ops.

Outside of a record arrays give arrays; while one is open, what is done to values and weights is recorded, and has
gradients; of symbols an operation makes the symbol of its result.  `dir(rnnref.ops)` lists all; what else keras.ops has
is refused by name, with what to use instead.

>>> from rnnref import ops, Record
>>> import numpy as np
>>> with Record() as record:
...     x = record.leaf(np.array([1.0, 2.0, 3.0]))
...     y = ops.sum(ops.square(x))
>>> y, record.backward(y)[x]
(<Value () float64: 14>, array([2., 4., 6.]))

Dtypes promote as in NumPy.  Lists and numbers are float32, int32 or bool, as in Keras.
"""
from inspect import isfunction
from typing import Any

from . import composed_arrays, composed_nn, composed_reductions, control_flow, creation
from .absent import Absent
from .pairs import TABLE
from .pairs.examples import EXAMPLES
from .values import functions

ALIASES = {"abs": "absolute", "fabs": "absolute", "amax": "max", "amin": "min", "fmax": "maximum", "fmin": "minimum",
           "true_divide": "divide", "swish": "silu", "hard_swish": "hard_silu", "bitwise_invert": "bitwise_not",
           "bitwise_left_shift": "left_shift", "bitwise_right_shift": "right_shift"}

# What there is not: names, why, and what to use instead.
REFUSED_GROUPS = (
    ("fft fft2 ifft2 rfft irfft stft istft extract_sequences bartlett blackman hamming hanning kaiser i0 sinc",
     "there is no signal processing", "NumPy's on constants (numpy.fft, numpy.hanning)"),
    ("angle conj conjugate imag real isreal polar view_as_complex view_as_real",
     "there are no complex numbers", "two real arrays"),
    ("cholesky cholesky_inverse det eig eigh inv lstsq lu_factor logdet matrix_rank pinv qr slogdet solve "
     "solve_triangular svd", "there is no linear algebra with gradients", "numpy.linalg on constants"),
    ("conv conv_transpose depthwise_conv separable_conv fold unfold",
     "there are no convolutions of images", "layers.ConvLSTM1D to 3D; windows by ops.take, and ops.einsum"),
    ("average_pool max_pool adaptive_average_pool adaptive_max_pool depth_to_space space_to_depth image psnr",
     "there are no operations on images", "ops.reshape to blocks, and ops.mean or ops.max over them"),
    ("median percentile quantile nanmedian nanpercentile nanquantile", "no gradient is defined here",
     "ops.sort, and the entry in the middle"),
    ("nancumsum nancumprod nanargmax nanargmin", "it has no pair", "ops.where(ops.isnan(x), 0, x) first"),
    ("bincount histogram unique digitize argpartition", "the result depends on data, and has no gradient",
     "NumPy's of the same name on constants; ops.searchsorted, ops.argsort"),
    ("segment_max segment_min segment_prod", "it has no pair", "ops.segment_sum"),
    ("gcd lcm nextafter signbit heaviside ldexp", "it has no gradient", "NumPy's of the same name on constants"),
    ("geomspace logspace vander", "it is a constant", "NumPy's of the same name"),
    ("corrcoef correlate cross kron cdist rot90", "it has no pair", "ops.einsum, ops.flip and ops.transpose"),
    ("erfinv", "it has no pair", "numpy on constants"),
    ("jvp", "there is no forward mode", "Record and record.backward"),
    ("vectorize", "a Python loop is what it is", "ops.vectorized_map"),
    ("view", "memory is not reinterpreted", "ops.cast"),
    ("rearrange", "there are no patterns", "ops.reshape, ops.transpose, ops.einsum"),
    ("nn numpy linalg", "all operations are in rnnref.ops itself", "rnnref.ops.NAME"),
)
__getattr__ = Absent("ops", *REFUSED_GROUPS)
REFUSED = __getattr__.reasons


def _documented(name: str, function: Any) -> Any:
    """A function of the table, with its example."""
    if name in EXAMPLES:
        code, result = EXAMPLES[name]
        function.__doc__ += f"\n\n>>> {code}\n{result}\n"
    function.__module__ = __name__
    return function


def _provided() -> dict[str, Any]:
    found = {name: _documented(name, getattr(functions, name)) for name in TABLE}
    for module in (creation, composed_arrays, composed_reductions, composed_nn, control_flow):
        found |= {name: f for name, f in vars(module).items() if not name.startswith("_") and (
            isfunction(f) and f.__module__ == module.__name__ and name != "composed" or name == "custom_gradient")}
    return found | {name: found[of] for name, of in ALIASES.items()}


PROVIDED = _provided()
globals().update(PROVIDED)
__all__ = sorted(PROVIDED)
__test__ = {name: PROVIDED[name].__doc__ for name in TABLE}       # for doctest


def __dir__() -> list:
    return __all__
