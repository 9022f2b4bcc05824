"""Callbacks that watch one number of the logs: to stop, to save, to lower the learning rate."""
import os
import warnings
from math import isfinite
from typing import Any, Optional

import numpy

from ..errors import Error, NotSupported, check_option
from ..options import is_number
from ..shapes import check_count
from .callback import Callback
from .rates import get_rate

ENDINGS = {True: (".weights.h5", ".npz", ".safetensors"), False: (".keras",)}        # {save_weights_only: of files}


class Monitor(Callback):
    """Whether a number of the logs is better than before.

    monitor     its name in the logs
    mode        "min", "max": which is better; "auto": "min" for losses, and what the metric of this name says
    min_delta   by how much a number must be better to count
    best        the best number so far; None before the first
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0, best: Optional[float] = None):
        self.who = f"callbacks.{type(self).__name__}"
        self.monitor, self.min_delta, self.best = monitor, abs(min_delta), best
        self.mode = check_option(self.who, "mode", mode, ("auto", "min", "max"))
        self._sign = 0                            # 1: more is better; known when there are metrics

    def find(self, logs: dict) -> Any:
        """The number, or None with a warning."""
        if self.monitor not in logs:
            warnings.warn(f"{self.who} watches {self.monitor!r}, which is not in the logs: {' '.join(logs)}",
                          stacklevel=3)
        return logs.get(self.monitor)

    def is_better(self, value: Any, than: Any) -> bool:
        """Whether it is better than a number; anything is better than None."""
        sign = self._sign = self._sign or self._find_sign()
        return than is None or bool(sign * (value - sign * self.min_delta - than) > 0)

    def _find_sign(self) -> int:
        name = self.monitor.removeprefix("val_")
        if self.mode != "auto" or name == "loss" or name.endswith("_loss"):
            return 1 if self.mode == "max" else -1
        for metric in _list_metrics(getattr(self.model, "metrics", ())):
            direction = getattr(metric, "direction", None)
            if direction and (name == metric.name or name.endswith(f"_{metric.name}")):
                return 1 if direction == "up" else -1
        raise NotSupported(self.who, f'mode="auto" with monitor={self.monitor!r}: whether more or less of it is better '
                                     "is not known", fix='mode="min" or mode="max"')


def _list_metrics(metrics: Any) -> list:
    """Metrics, with those in lists that are metrics themselves."""
    return [one for m in metrics for one in (m, *_list_metrics(getattr(m, "metrics", ())))]


class EarlyStopping(Monitor):
    """Stop when a number has not become better for some epochs.

    monitor, mode, min_delta   which number, and what is better: "auto" knows for losses and metrics
    patience                how many epochs in a row may be no better
    verbose                 1: print when it stops and what it restores
    baseline                only what is better than this too starts the patience anew
    restore_best_weights    at the end, the weights of the best epoch that was watched, and not of the last
    start_from_epoch        epochs before this one are not watched

        best, best_epoch, stopped_epoch    the best number, its epoch, the epoch in which it stopped (0: it did not)

    Same as keras.callbacks.EarlyStopping.

    >>> import types
    >>> stop = EarlyStopping("loss", patience=1)
    >>> stop.set_model(types.SimpleNamespace(stop_training=False))
    >>> stop.on_train_begin()
    >>> for epoch, loss in enumerate([3.0, 2.0, 2.5]):
    ...     stop.on_epoch_end(epoch, {"loss": loss})
    >>> stop.model.stop_training, stop.best, stop.best_epoch
    (True, 2.0, 1)
    """

    state = "best", "wait", "best_epoch", "stopped_epoch", "best_weights"

    def __init__(self, monitor: str = "val_loss", min_delta: float = 0, patience: int = 0, verbose: int = 0,
                 mode: str = "auto", baseline: Optional[float] = None, restore_best_weights: bool = False,
                 start_from_epoch: int = 0):
        super().__init__(monitor, mode, min_delta)
        check_count(self.who, "patience", patience)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.on_train_begin()

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        self.best, self.wait, self.best_epoch, self.stopped_epoch = None, 0, 0, 0
        self.best_weights: Any = None

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        value = self.find(logs or {})
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        better = self.is_better(value, self.best)
        if self.restore_best_weights and (better or self.best_weights is None):
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        if better:
            self.best, self.best_epoch = value, epoch
            if self.baseline is None or self.is_better(value, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch, self.model.stop_training = epoch, True

    def on_train_end(self, logs: Optional[dict] = None) -> None:
        if self.verbose and self.stopped_epoch:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)


class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by a factor when a number has not become better for some epochs.

    factor      below 1
    patience    how many epochs in a row may be no better
    verbose     1: print when it does
    cooldown    how many epochs after a reduction are not counted
    min_lr      the rate is not made smaller than this

    The history has the rate of each epoch as "learning_rate".

    Same as keras.callbacks.ReduceLROnPlateau.

    >>> import types
    >>> reduce = ReduceLROnPlateau("loss", factor=0.5, patience=1)
    >>> reduce.set_model(types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=0.1)))
    >>> for epoch, loss in enumerate([3.0, 3.0]):
    ...     reduce.on_epoch_end(epoch, {"loss": loss})
    >>> reduce.model.optimizer.learning_rate
    0.05

    Raises NotSupported for a factor of 1 or more.
    """

    state = "best", "wait", "cooldown_counter"

    def __init__(self, monitor: str = "val_loss", factor: float = 0.1, patience: int = 10, verbose: int = 0,
                 mode: str = "auto", min_delta: float = 1e-4, cooldown: int = 0, min_lr: float = 0.0):
        super().__init__(monitor, mode, min_delta)
        check_count(self.who, "patience", patience)
        if not is_number(factor) or factor >= 1:
            raise NotSupported(self.who, f"factor={factor!r}, expected a number below 1")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.on_train_begin()

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        self.best, self.wait, self.cooldown_counter = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        logs = {} if logs is None else logs
        logs["learning_rate"] = get_rate(self.model.optimizer)
        value = self.find(logs)
        if value is None:
            return
        if self.cooldown_counter:
            self.cooldown_counter, self.wait = self.cooldown_counter - 1, 0
        if self.is_better(value, self.best):
            self.best, self.wait = value, 0
        elif not self.cooldown_counter:
            self.wait += 1
            if self.wait >= self.patience and logs["learning_rate"] > numpy.float32(self.min_lr):
                self._reduce(epoch, logs["learning_rate"])

    def _reduce(self, epoch: int, rate: float) -> None:
        rate = max(rate * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = rate
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is reduced to {rate}")


class ModelCheckpoint(Monitor):
    """Save the model, or its weights, after each epoch or after so many batches.

    filepath            with {epoch}, {batch} and names of the logs in braces: "{epoch:02d}-{val_loss:.2f}.keras".  It
                        ends in ".keras"; for weights alone in ".weights.h5", ".npz" or ".safetensors"
    monitor, mode       with save_best_only: which number, and what is better
    verbose             1: print what is saved
    save_best_only      only a model that is better than the best before is saved
    save_weights_only   model.save_weights, and not model.save
    save_freq           "epoch", or the number of batches between two files
    initial_value_threshold    with save_best_only: what the first one must be better than

    Same as keras.callbacks.ModelCheckpoint.

    >>> import types
    >>> save = ModelCheckpoint("{epoch:02d}.weights.h5", save_weights_only=True)
    >>> save.set_model(types.SimpleNamespace(save_weights=lambda path, overwrite: print(path)))
    >>> save.on_epoch_end(0, {})
    01.weights.h5

    Raises NotSupported for a save_freq or the ending of a file that is not there, Error for a name that the logs do not
    have.
    """

    state = "best", "_batches"
    writes = True

    def __init__(self, filepath: Any, monitor: str = "val_loss", verbose: int = 0, save_best_only: bool = False,
                 save_weights_only: bool = False, mode: str = "auto", save_freq: Any = "epoch",
                 initial_value_threshold: Optional[float] = None):
        super().__init__(monitor, mode, best=initial_value_threshold)
        self.filepath, self.verbose = os.fspath(filepath), verbose
        self.save_best_only, self.save_weights_only, self.save_freq = save_best_only, save_weights_only, save_freq
        self._epoch, self._batches = 0, 0
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise NotSupported(self.who, f"save_freq={save_freq!r}", known='"epoch", a number of batches')
        if not self.filepath.endswith(ENDINGS[bool(save_weights_only)]):
            raise NotSupported(self.who, f"the file {self.filepath!r} with save_weights_only={save_weights_only}",
                               known=f"names that end in {' '.join(ENDINGS[bool(save_weights_only)])}")

    def on_epoch_begin(self, epoch: int, logs: Optional[dict] = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        self._batches += 1
        if self.save_freq != "epoch" and self._batches >= self.save_freq:
            self._batches = 0
            self._save(self._epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def _save(self, epoch: int, logs: dict) -> None:
        try:
            path = self.filepath.format(**{"epoch": epoch + 1, **logs})
        except (KeyError, IndexError) as error:
            raise Error(self.who, f"filepath={self.filepath!r} names {error}, which is not in the logs",
                        known=" ".join(("epoch", *logs))) from None
        if not self._is_wanted(epoch, logs):
            return
        if self.verbose:
            print(f"Epoch {epoch + 1}: saving to {path}")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path, overwrite=True)

    def _is_wanted(self, epoch: int, logs: dict) -> bool:
        value = self.find(logs) if self.save_best_only else None
        if value is None:
            return True                           # as Keras: what cannot be compared is saved
        better = self.is_better(value, self.best)
        if self.verbose:
            before = None if self.best is None else f"{self.best:.5f}"
            change = f"improved from {before} to" if better else f"did not improve from {before}:"
            print(f"Epoch {epoch + 1}: {self.monitor} {change} {value:.5f}")
        self.best = value if better else self.best
        return better


class TerminateOnNaN(Callback):
    """Stop when the loss is not a finite number.

    raise_error   True: raise an error, and no hook of an end is called; False: stop after this batch

    The loss is looked at after every batch, for which a GPU has to wait.

    Same as keras.callbacks.TerminateOnNaN.

    >>> import types
    >>> stop = TerminateOnNaN()
    >>> stop.set_model(types.SimpleNamespace(stop_training=False))
    >>> stop.on_train_batch_end(7, {"loss": float("nan")})
    Batch 7: the loss is nan, training stops
    >>> stop.model.stop_training
    True
    """

    def __init__(self, raise_error: bool = False):
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if isfinite(loss):
            return
        if self.raise_error:
            raise Error("callbacks.TerminateOnNaN", f"the loss of batch {batch} is {loss}")
        print(f"Batch {batch}: the loss is {loss}, training stops")
        self.model.stop_training = True
