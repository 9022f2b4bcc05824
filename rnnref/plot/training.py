"""Pictures of training: curves of loss and metrics, and the matrix of confusions."""
from typing import Any, Optional, Sequence

import numpy

from ..arrays import asnumpy
from ..errors import DtypeError, ShapeError
from .figure import COLOURS, make_figure

_MOST_NUMBERS = 20                                        # classes up to which the counts are written into the picture
_CHARACTER = 0.075                                        # width of a character of a label, in inches


def learning_curves(history: Any) -> Any:
    """Loss and metrics against the epoch, a panel each; dashed: on the validation data, with its best epoch marked.

    history   what `fit` returns, or its dictionary {name: one number for each epoch}, "val_" + name for validation

    The best epoch is the lowest of what is a loss or an error, the highest of all else (accuracy, AUC, precision ...).

    Errors    ShapeError: there is no epoch.

    >>> fig = learning_curves({"loss": [2.0, 1.0, 0.5], "val_loss": [2.0, 1.2, 1.3]})
    >>> [line.get_label() for line in fig.axes[0].get_lines()]
    ['training', 'validation', 'best: 1.2 in epoch 2']
    """
    curves = getattr(history, "history", history)
    first = min(getattr(history, "epoch", None) or [0]) + 1
    names = [name for name in curves if not name.startswith("val_")]
    if not names or not len(curves[names[0]]):
        raise ShapeError("learning_curves", "there is no epoch to draw", axes="history is {name: a number an epoch}")
    names.sort(key=lambda name: name != "loss")
    fig = make_figure(min(4.6 * len(names), 13), 3.3)
    for ax, name in zip(fig.subplots(1, len(names), squeeze=False)[0], names):
        _draw_curve(ax, first, curves[name], COLOURS[0], "-", "training")
        if "val_" + name in curves:
            _draw_curve(ax, first, curves["val_" + name], COLOURS[1], "--", "validation")
            _mark_best(ax, name, first, curves["val_" + name])
            ax.legend(fontsize=8)
        ax.set_title(name.replace("_", " "), fontsize=11)
        ax.set_xlabel("epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(True, color="0.9")
    return fig


def _draw_curve(ax: Any, first: int, values: Sequence[float], colour: str, dash: str, label: str) -> None:
    dot = "o" if len(values) == 1 else None               # one epoch has no line
    ax.plot(range(first, first + len(values)), values, color=colour, linestyle=dash, marker=dot, label=label)


def _mark_best(ax: Any, name: str, first: int, values: Sequence[float]) -> None:
    """A ring around the best value that is finite."""
    a = numpy.asarray(values, float)
    if not numpy.isfinite(a).any():
        return
    falls = any(word in name for word in ("loss", "error", "entropy", "divergence", "perplexity", "mse", "mae"))
    at = int((numpy.nanargmin if falls else numpy.nanargmax)(numpy.where(numpy.isfinite(a), a, numpy.nan)))
    ax.plot([first + at], [a[at]], "o", markersize=9, markerfacecolor="none", markeredgecolor=COLOURS[1],
            label=f"best: {a[at]:.4g} in epoch {first + at}")


def confusion_matrix(y_true: Any, y_pred: Any, classes: Optional[int] = None) -> numpy.ndarray:
    """How many of each class were taken for each class: integers [C, C], rows what they are, columns what was said.

    y_true, y_pred   class numbers [N], or a number for each class [N, C] (one-hot, probabilities, logits): the largest
    classes          C, if not one more than the largest number that occurs

    Errors           ShapeError: the two have other lengths.  DtypeError: class numbers that are not whole and >= 0.

    >>> confusion_matrix([0, 1, 2, 2], [[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.0, 0.6, 0.4], [0.0, 0.1, 0.9]])
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """
    true, predicted = (_class_numbers(name, a) for name, a in (("y_true", y_true), ("y_pred", y_pred)))
    if len(true) != len(predicted):
        raise ShapeError("confusion_matrix", f"y_true has {len(true)} rows, y_pred {len(predicted)}")
    least = 1 + max(true.max(initial=-1), predicted.max(initial=-1))
    widths = [numpy.shape(a)[1] for a in (y_true, y_pred) if numpy.ndim(a) == 2]
    C = max([least, *widths]) if classes is None else classes
    if C < least:
        raise ShapeError("confusion_matrix", f"classes={classes}, and class {least - 1} occurs")
    return numpy.bincount(true * C + predicted, minlength=C * C).reshape(C, C)


def _class_numbers(name: str, values: Any) -> numpy.ndarray:
    a = asnumpy(values) if hasattr(values, "dtype") else numpy.asarray(values)
    if a.ndim == 2 and a.shape[1] > 1:
        return a.argmax(1)
    if a.ndim not in (1, 2):
        raise ShapeError("confusion_matrix", f"{name} has shape {a.shape}, expected [N] or [N, C]")
    a = a.reshape(len(a))
    whole = a.astype(int)
    if (whole != a).any() or (whole < 0).any():
        raise DtypeError("confusion_matrix", f"{name} holds numbers that are no classes, expected 0, 1, 2 ...")
    return whole


def confusion(y_true: Any, y_pred: Any, labels: Optional[Sequence[str]] = None) -> Any:
    """A picture of `confusion_matrix`: rows are the true classes, shaded by their share, with the counts.

    labels   the name of each class

    Errors   those of `confusion_matrix`; ShapeError: the labels are not one for each class.

    >>> confusion([0, 1, 1, 1], [0, 1, 1, 0], labels=["cat", "dog"]).axes[0].get_title()
    '3 of 4 right (75.0 %)'
    """
    counts = confusion_matrix(y_true, y_pred, None if labels is None else len(labels))
    C, total = len(counts), counts.sum()
    shares = counts / numpy.maximum(counts.sum(1, keepdims=True), 1)
    size = min(max(3.2, 0.45 * C + 1.6), 9.0)
    fig = make_figure(size + 0.8, size)
    ax = fig.subplots()
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    fig.colorbar(image, ax=ax, label="share of the true class", shrink=0.8)
    names = list(labels) if labels is not None else list(range(C))
    if labels is not None or C <= _MOST_NUMBERS:
        is_wide = max(map(len, map(str, names))) * _CHARACTER > (size - 1.6) / C
        turned = {"rotation": 45, "ha": "right"} if is_wide else {}
        ax.set_xticks(range(C), names, fontsize=8, **turned)
        ax.set_yticks(range(C), names, fontsize=8)
    if C <= _MOST_NUMBERS:
        for (true, predicted), n in numpy.ndenumerate(counts):
            if n:
                ax.text(predicted, true, n, ha="center", va="center", fontsize=8,
                        color="white" if shares[true, predicted] > 0.5 else "black")
    right = numpy.trace(counts)
    ax.set_title(f"{right} of {total} right ({100 * right / max(total, 1):.1f} %)", fontsize=11)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    return fig
