"""The base class of metrics, sums that are updated batch by batch; Mean, Sum, and means of functions."""
from functools import wraps
from typing import Any, Callable, Optional

from .. import initializers, ops
from ..arrays import is_floating, namespace
from ..errors import ShapeError
from ..identifiers import unique_name
from ..losses.base import mask_weights, match_ranks
from ..record import paused
from ..values import Value, numbers
from ..variables import Variable

Array = Any


class Metric:
    """A number that is computed from the predictions of many batches.

    A subclass makes its variables by `add_variable`, changes them in `update_state(y_true, y_pred, sample_weight=None)`
    and computes of them what `result()` gives.  Nothing is recorded inside, and predictions may be values of a record.
    Variables are on the device of the predictions: nothing is copied from a GPU before the result is shown.

    dtype    in which values are computed; that of the predictions unless given, float32 at least.  Sums are float64
    adds_up  whether its variables are sums over rows, so that those of several processes are added: a class says so, or
             is refused where training is distributed

    Same as: keras.metrics.Metric, whose sums are float32.

    >>> import numpy as np
    >>> class Largest(Metric):
    ...     def __init__(self, name="largest", dtype=None):
    ...         super().__init__(dtype, name)
    ...         self.value = self.add_variable((), "zeros", name="value")
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.value.assign(np.maximum(self.value, np.max(y_pred)))
    ...     def result(self):
    ...         return self.value.data
    >>> metric = Largest()
    >>> metric.update_state(None, np.array([1.0, 3.0])), float(metric(None, np.array([2.0])))
    (None, 3.0)
    """

    direction: Optional[str] = None               # "up": more of it is better, "down": less; None: not known
    adds_up = False                               # its variables are sums over rows

    def __init__(self, dtype: Any = None, name: Optional[str] = None):
        self.name, self.dtype = name or unique_name(type(self).__name__), None if dtype is None else str(dtype)
        self._variables: list = []

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        for name in ("update_state", "result"):
            if name in vars(cls):
                setattr(cls, name, _unrecorded(vars(cls)[name]))

    def add_variable(self, shape: Any = (), initializer: Any = "zeros", dtype: Any = None,
                     name: Optional[str] = None) -> Variable:
        """An array of this shape that belongs to the metric; `reset_state` fills it with zeros."""
        name = name or "variable"
        draw: Any = initializers.get(initializer or "zeros")
        first = draw(tuple(shape), dtype=str(dtype or "float64"))
        self._variables.append(Variable(first, name, f"{self.name}/{name}"))
        return self._variables[-1]

    def add_weight(self, shape: Any = (), initializer: Any = None, dtype: Any = None,
                   name: Optional[str] = None) -> Variable:
        """`add_variable`."""
        return self.add_variable(shape, initializer, dtype, name)

    @property
    def variables(self) -> list:
        """Its variables, and those of metrics among its attributes."""
        inner = [m for a in vars(self).values() for m in (a if isinstance(a, (list, tuple)) else [a])
                 if isinstance(m, Metric)]
        return self._variables + [v for m in inner for v in m.variables]

    def update_state(self, *args: Any, **options: Any) -> None:
        """Update the variables by a batch."""
        raise NotImplementedError(f"{type(self).__name__} defines no update_state")

    def result(self) -> Any:
        """The metric over all batches so far: a number, an array or a dict of these."""
        raise NotImplementedError(f"{type(self).__name__} defines no result")

    def reset_state(self) -> None:
        """Set the variables back to zeros."""
        for v in self.variables:
            v.reset()

    def __call__(self, *args: Any, **options: Any) -> Any:
        self.update_state(*args, **options)
        return self.result()

    def get_config(self) -> dict:
        """The arguments from which `from_config` makes the same metric."""
        return {"name": self.name, "dtype": self.dtype}

    @classmethod
    def from_config(cls, config: dict) -> "Metric":
        """The metric of such a configuration."""
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def _unrecorded(method: Callable) -> Callable:
    @wraps(method)
    def wrapped(*args: Any, **options: Any) -> Any:
        with paused():
            return method(*args, **options)
    return wrapped


def mask_of(y_pred: Any) -> Any:
    """The mask of predictions, if they are a value that has one, or None."""
    return y_pred.mask if isinstance(y_pred, Value) else None


def in_floats(a: Any, dtype: Optional[str]) -> Array:
    """An array in this dtype; for None in its own, float32 at least."""
    a = ops.convert_to_tensor(numbers(a))
    own = a.dtype if is_floating(a.dtype) and a.dtype.itemsize > 2 else "float32"
    return a.astype(dtype or own, copy=False)


class Sum(Metric):
    """sum(values sample_weight).

    >>> import numpy as np
    >>> float(Sum()(np.array([1.0, 2.0]), sample_weight=np.array([1.0, 0.5])))
    2.0
    """

    adds_up = True

    def __init__(self, name: Optional[str] = "sum", dtype: Any = None):
        super().__init__(dtype, name)
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, _ = _rows(values, sample_weight, "sum", self.dtype)
        self.total.assign_add(values.sum(dtype="float64"))

    def result(self) -> Array:
        return self.total.data


class Mean(Metric):
    """sum(values sample_weight) / sum(sample_weight).

    Values of a row are averaged over all axes but the first; 0 if there were none.

    >>> import numpy as np
    >>> metric = Mean()
    >>> metric.update_state(np.array([1.0, 3.0])), float(metric(np.array([8.0])))
    (None, 4.0)
    """

    adds_up = True

    def __init__(self, name: Optional[str] = "mean", dtype: Any = None):
        super().__init__(dtype, name)
        self.total, self.count = self.add_variable(name="total"), self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, weights = _rows(values, sample_weight, "mean", self.dtype)
        self.total.assign_add(values.sum(dtype="float64"))
        if weights is not None:
            self.count.assign_add(weights.sum(dtype="float64"))
        else:
            self.count.assign_add(namespace(values).full((), values.shape[0] if values.shape else 1, "float64"))

    def result(self) -> Array:
        return ops.divide_no_nan(self.total, self.count)


class MeanMetricWrapper(Mean):
    """The mean of a function of (y_true, y_pred) that gives a value for each row (and step).

    Places that the mask of y_pred leaves out are ignored.

    >>> import numpy as np
    >>> metric = MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred), name="error")
    >>> float(metric(np.array([1.0, 2.0]), np.array([1.5, 2.5])))
    0.5
    """

    def __init__(self, fn: Callable, name: Optional[str] = None, dtype: Any = None, **options: Any):
        super().__init__(name, dtype)
        self._fn, self._options = fn, options

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        mask = mask_of(y_pred)
        values = in_floats(self._fn(*_arrays(y_true, y_pred), **self._options), self.dtype)
        if sample_weight is not None and mask is not None:
            sample_weight = in_floats(sample_weight, str(values.dtype))
        super().update_state(values, mask_weights(sample_weight, mask, values.dtype))

    def get_config(self) -> dict:
        from . import serialize  # __init__.py imports this module
        return super().get_config() | {"fn": serialize(self._fn)} | self._options

    @classmethod
    def from_config(cls, config: dict) -> Metric:
        from . import get
        return cls(**config | {"fn": get(config["fn"])} if "fn" in config else config)


class OfFunction(MeanMetricWrapper):
    """The mean of one function, whose configuration has the options but not the function."""
    direction = "down"                            # of losses

    def get_config(self) -> dict:
        return Metric.get_config(self) | self._options

    @classmethod
    def from_config(cls, config: dict) -> Metric:
        return cls(**config)


def _arrays(y_true: Any, y_pred: Any) -> tuple:
    return ops.convert_to_tensor(numbers(y_true)), ops.convert_to_tensor(numbers(y_pred))


def _rows(values: Any, sample_weight: Any, reduction: str, dtype: Optional[str]) -> tuple:
    """A weighted value for each row and its weight, or None: what `Mean` and `Sum` add up."""
    values = in_floats(values, dtype)
    if sample_weight is not None:
        if isinstance(sample_weight, (int, float)):
            sample_weight = namespace(values).full((), sample_weight, values.dtype)            # where the values are
        weights = in_floats(sample_weight, str(values.dtype))
        values, weights = match_ranks(values, weights)
        rank = weights.ndim
        if values.ndim > rank:
            values = getattr(values, reduction)(axis=tuple(range(rank, values.ndim)))
        try:
            weights = namespace(values).broadcast_to(weights, values.shape)
        except ValueError:
            raise ShapeError("metrics", f"values of shape {values.shape}, one for each row and step, and weights or a "
                             f"mask of shape {weights.shape}") from None
        values = values * weights
        sample_weight = weights if rank < 2 else getattr(weights, reduction)(axis=tuple(range(1, rank)))
    if values.ndim > 1:
        values = getattr(values, reduction)(axis=tuple(range(1, values.ndim)))
    return values, sample_weight
