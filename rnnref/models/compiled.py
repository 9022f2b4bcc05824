"""Losses and metrics of a model, resolved for each of its outputs.

The outputs, a nest, are treated as a list of leaves; those of a dict are in the order of its sorted keys.
"""
from typing import Any, NamedTuple, Optional, Sequence

from .. import losses, metrics as metrics_module, optimizers
from ..arrays import namespace
from ..errors import NotSupported, ShapeError
from ..nest import describe
from ..shards import current
from ..values import numbers


class Output(NamedTuple):
    """One loss of a compiled model."""
    place: int                                    # which of the outputs
    loss: Any; weight: Any
    name: str                                     # "q" in "q_loss"


class CompiledLoss:
    """The losses of all outputs, weighted and added.

    loss          one for all outputs, or one for each in a list, a dict by names, or the nest of the outputs; None
                  there: no loss for this output
    loss_weights  a number, or numbers in the same way
    names         of the outputs of a model that is made of symbols, else None
    metrics       with several losses: a mean of each, unweighted, called "q_loss"
    """

    def __init__(self, loss: Any, loss_weights: Any, names: Optional[Sequence]):
        for a in flatten_sorted(loss_weights):
            if a is not None and not hasattr(a, "__float__"):
                raise NotSupported("compile", f"loss_weights={loss_weights!r}, expected numbers")
        self.loss, self.loss_weights, self.names = loss, loss_weights, names
        self.outputs: Optional[list] = None
        self.metrics: list = []

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss, recorded if y_pred is."""
        predictions = flatten_sorted(y_pred)
        targets = self._targets(y_true, y_pred)
        weights = spread(sample_weight, y_pred, self.names, "sample_weight")
        if self.outputs is None:
            self._build(targets, y_pred)
        total = None
        for k, (place, loss, factor, _) in enumerate(self.outputs or ()):
            y, p = targets[place], predictions[place]
            value = loss(y, p, weights[place])
            if self.metrics:
                self.metrics[k].update_state(of_rows(value), sample_weight=p.shape[0])
            value = value if factor is None else value * factor
            total = value if total is None else total + value
        return total

    def _targets(self, y_true: Any, y_pred: Any) -> list:
        """A target for each output; where some outputs have no loss, theirs may be missing."""
        n, given = len(flatten_sorted(y_pred)), flatten_sorted(y_true)
        if isinstance(y_true, (list, tuple)) and len(given) < n and isinstance(self.loss, (list, tuple, dict)):
            wanted = [a is not None for a in spread(self.loss, y_pred, self.names, "loss")]
            if sum(wanted) == len(given):
                rest = iter(given)
                return [next(rest) if is_wanted else None for is_wanted in wanted]
        return by_output(y_true, y_pred, self.names, "y", partial=True)

    def _build(self, targets: list, y_pred: Any) -> None:
        predictions, names = flatten_sorted(y_pred), name_outputs(y_pred, self.names)
        every = spread(self.loss, y_pred, self.names, "loss", partial=isinstance(y_pred, dict))
        factors = spread(self.loss_weights, y_pred, self.names, "loss_weights")
        self.outputs = []
        order = list(range(len(every)))
        if isinstance(self.loss, dict) and isinstance(y_pred, dict):
            order.sort(key=[k for key in self.loss for k, name in enumerate(names) if name.split("/")[0] == key].index)
        for k in order:
            loss, factor, y, p = every[k], factors[k], targets[k], predictions[k]
            if loss is not None:
                if y is None:
                    raise ShapeError("fit", f"output {names[k] or k} has a loss, and no target",
                                     fix="y beside x; loss=None for a model whose layers add losses")
                found: Any = losses.resolve(loss, y, p)
                self.outputs.append(Output(k, found, factor, names[k] or found.name))
        if len(self.outputs) > 1:
            self.metrics = [metrics_module.Mean(name=f"{a.name}_loss") for a in self.outputs]


def of_rows(loss: Any) -> Any:
    """A loss as a mean over the rows of this process; losses of several processes add up to the mean over all rows."""
    a, shard = numbers(loss), current()
    return namespace(a).asarray(a if shard is None else a / shard.fraction)      # a scalar would count as float32


class CompiledMetrics:
    """The metrics of all outputs.

    metrics           a list for a single output; a list with one or a list of them for each output, or a dict by names
    weighted_metrics  the same, of metrics that see the sample weights
    metrics           once the outputs have been seen: the metrics, in order
    """
    name = "compile_metrics"

    def __init__(self, metrics: Any, weighted_metrics: Any, names: Optional[Sequence]):
        for option, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if given and not isinstance(given, (list, tuple, dict)):
                raise NotSupported("compile", f"{option}={given!r}, expected a list or a dict")
        self._given, self.names = (metrics, weighted_metrics), names
        self._built: Optional[tuple] = None       # for metrics and weighted ones: [(prefix, [metric])] by output

    @property
    def metrics(self) -> list:
        return [m for group in self._built or () for _, found in group for m in found]

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        predictions = flatten_sorted(y_pred)
        targets = by_output(y_true, y_pred, self.names, "y", partial=True)
        if self._built is None:
            plain, weighted = (self._resolve(given, targets, y_pred) for given in self._given)
            self._built = plain, weighted
        weights = spread(sample_weight, y_pred, self.names, "sample_weight")
        for group, is_weighted in zip(self._built, (False, True)):
            for (_, found), y, p, w in zip(group, targets, predictions, weights):
                for metric in found:
                    metric.update_state(y, p, *((w,) if is_weighted else ()))

    def reset_state(self) -> None:
        for metric in self.metrics:
            metric.reset_state()

    def result(self) -> dict:
        """{name: value}, with the name of the output before it where there are several."""
        found: dict = {}
        for group, is_weighted in zip(self._built or ((), ()), (False, True)):
            for prefix, metrics in group:
                for metric in metrics:
                    name = prefix + metric.name
                    if is_weighted and name in found:
                        name = f"{prefix}weighted_{metric.name}"
                    found[_free(name, found)] = metric.result()
        return found

    def _resolve(self, given: Any, targets: list, y_pred: Any) -> list:
        predictions, names = flatten_sorted(y_pred), name_outputs(y_pred, self.names)
        n = len(predictions)
        if not given:
            return [("", [])] * n
        if n == 1:
            every, names = [flatten_sorted(given)], [None]
        else:
            every = by_output(given, y_pred, self.names, "metrics", partial=True)
        lists = [each if isinstance(each, (list, tuple)) else [each] for each in every]
        return [(f"{name}_" if name else "", [metrics_module.resolve(a, y, p) for a in each if a is not None])
                for each, name, y, p in zip(lists, names, targets, predictions)]


def _free(name: str, taken: dict) -> str:
    k, found = 0, name
    while found in taken:
        k += 1
        found = f"{name}_{k}"
    return found


# as plain data

def serialize(value: Any) -> Any:
    """What compile was given as plain data, as Keras writes it."""
    if isinstance(value, (list, tuple)):
        return [serialize(a) for a in value]
    if isinstance(value, dict):
        return {name: serialize(a) for name, a in value.items()}
    for module, kind in ((losses, losses.Loss), (metrics_module, metrics_module.Metric),
                         (optimizers, optimizers.Optimizer)):
        if isinstance(value, kind):
            return module.serialize(value)
    return losses.serialize(value) if callable(value) else value


def deserialize(value: Any, module: Any) -> Any:
    """What `serialize` or Keras wrote; `module` is that of its objects: losses, metrics or optimizers."""
    if isinstance(value, (list, tuple)):
        return [deserialize(a, module) for a in value]
    if not isinstance(value, dict):
        return value
    if "class_name" in value:
        return module.deserialize(value)
    return {name: deserialize(a, module) for name, a in value.items()}


# by output

def flatten_sorted(tree: Any) -> list:
    """The leaves of a nest, those of a dict by its sorted keys.

    >>> flatten_sorted({"b": 1, "a": [2, 3]})
    [2, 3, 1]
    """
    if isinstance(tree, dict):
        return [leaf for k in sorted(tree) for leaf in flatten_sorted(tree[k])]
    if isinstance(tree, (list, tuple)):
        return [leaf for v in tree for leaf in flatten_sorted(v)]
    return [tree]


def name_outputs(y_pred: Any, names: Optional[Sequence]) -> list:
    """A name for each output: its path of keys, the name of the layer that gives it, or None.

    >>> name_outputs({"b": 1, "a": {"x": 2}}, None), name_outputs([1, 2], ["p", "q"]), name_outputs([1], None)
    (['a/x', 'b'], ['p', 'q'], [None])
    """
    found = [(path, leaf) for path, leaf in _paths(y_pred)]
    if names is not None and len(names) == len(found) and not isinstance(y_pred, dict):
        return list(names)
    return ["/".join(path) or None for path, _ in found]


def _paths(tree: Any, path: tuple = ()) -> list:
    if isinstance(tree, dict):
        return [a for k in sorted(tree) for a in _paths(tree[k], (*path, str(k)))]
    if isinstance(tree, (list, tuple)):
        return [a for v in tree for a in _paths(v, path)]
    return [(path, tree)]


def spread(given: Any, y_pred: Any, names: Optional[Sequence], what: str, partial: bool = True) -> list:
    """A list with one item for each output: the given one for all, or those of `by_output`."""
    if isinstance(given, (list, tuple, dict)):
        return by_output(given, y_pred, names, what, partial)
    return [given] * len(flatten_sorted(y_pred))


def by_output(given: Any, y_pred: Any, names: Optional[Sequence], what: str, partial: bool = False) -> list:
    """What is given for the outputs, a list in their order.

    given     in the nest of the outputs; a dict by their names, a list in their order
    partial   outputs may be missing in a dict: None

    Raises ShapeError where it does not fit the outputs.

    >>> by_output({"q": 1, "p": 2}, ["first", "second"], ["p", "q"], "y"), by_output([3], 0, None, "y")
    ([2, 1], [3])
    """
    n = len(flatten_sorted(y_pred))
    if given is None:
        return [None] * n
    if not isinstance(y_pred, (list, tuple, dict)):
        if isinstance(given, (list, tuple, dict)):
            if len(given) != 1 or isinstance(given, dict) and names and set(given) != set(names):
                raise ShapeError("fit", f"{what} is {describe(given)}, and the model has one output"
                                        f"{f', {names[0]}' if names else ''}")
            return flatten_sorted(given)
        return [given]
    if isinstance(given, dict):
        keys = list(y_pred) if isinstance(y_pred, dict) else list(names or ())
        if isinstance(y_pred, dict) and names and set(given) <= set(names) and not set(given) <= set(keys):
            return [given.get(name) for name in names]
        missing = [k for k in keys if k not in given]
        if not keys or set(given) - set(keys) or missing and not partial:
            raise ShapeError("fit", f"{what} is {describe(given)}, expected the outputs {' '.join(map(str, keys))}")
        if isinstance(y_pred, dict):
            return [a for k in sorted(y_pred) for a in _inner(given.get(k), y_pred[k], what, partial)]
        return [given.get(k) for k in keys]
    if not isinstance(given, (list, tuple)) or len(given) not in (len(y_pred), n):
        raise ShapeError("fit", f"{what} is {describe(given)}, and the model has {n} outputs")
    if len(given) == len(y_pred):
        parts = [y_pred[k] for k in sorted(y_pred)] if isinstance(y_pred, dict) else y_pred
        return [a for one, part in zip(given, parts) for a in _inner(one, part, what, partial)]
    return list(given)


def _inner(given: Any, part: Any, what: str, partial: bool) -> list:
    return by_output(given, part, None, what, partial) if isinstance(part, (list, tuple, dict)) else [given]
