"""Where the numbers of training are written: a file, the terminal."""
import csv
import os
import sys
from time import perf_counter
from typing import Any, Iterable, Optional

from ..errors import MissingExtra, import_optional
from .callback import Callback, as_numbers


class CSVLogger(Callback):
    """A row for each epoch in a file: "epoch", then the logs by their names.

    filename    the file
    separator   what stands between two numbers
    append      go on in a file that is there, without a second header; else it is overwritten

    Where the first epoch has no validation the columns "val_..." are there too, and say NA.

    Same as keras.callbacks.CSVLogger.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "log.csv")
    ...     log = CSVLogger(path)
    ...     log.on_train_begin()
    ...     log.on_epoch_end(0, {"loss": 0.5})
    ...     log.on_train_end()
    ...     print(path.read_text())
    epoch,loss,val_loss
    0,0.5,NA
    """

    writes = True

    def __init__(self, filename: Any, separator: str = ",", append: bool = False):
        self.filename, self.separator, self.append = os.fspath(filename), separator, append
        self._file: Any = None
        self._names: Optional[list] = None

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        self.on_train_end()
        self._has_header = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        self._file = open(self.filename, "a" if self.append else "w", newline="")

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        logs = logs or {}
        if self._names is None:
            names = sorted(logs)
            self._names = names if any(name.startswith("val_") for name in names) else [
                *names, *(f"val_{name}" for name in names)]
        writer = csv.writer(self._file, delimiter=self.separator, lineterminator="\n")
        if not self._has_header:
            writer.writerow(["epoch", *self._names])
            self._has_header = True
        writer.writerow([epoch, *(_in_one_cell(logs.get(name, "NA")) for name in self._names)])
        self._file.flush()

    def on_train_end(self, logs: Optional[dict] = None) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._names = None


def _in_one_cell(value: Any) -> Any:
    is_list = isinstance(value, Iterable) and not isinstance(value, str) and getattr(value, "ndim", None) != 0
    return f'"[{", ".join(map(str, value))}]"' if is_list else value


class ProgbarLogger(Callback):
    """Progress in the terminal: a bar for each epoch, by the package tqdm; without it, or with verbose=2, a line.

    fit, evaluate and predict append one unless verbose=0.  The numbers are those since the epoch began, fetched from a
    GPU a few times a second, and at the end.

    Differs from keras.callbacks.ProgbarLogger: the bar is tqdm's.

    >>> progress = ProgbarLogger()
    >>> progress.set_params({"verbose": 2, "epochs": 3, "steps": 5})
    >>> progress.on_epoch_begin(0)
    Epoch 1/3
    >>> progress.on_epoch_end(0, {"loss": 0.25})
    5/5 - ...s - ...s/step - loss: 0.2500
    """
    shows_some = writes = True

    def __init__(self) -> None:
        self.in_fit, self._bar, self._seen = False, None, 0

    def set_params(self, params: dict) -> None:
        self.verbose = 1 if params["verbose"] == "auto" else int(params["verbose"])
        self.epochs, self.steps = params.get("epochs", 1), params.get("steps")

    # fit; the validation in it is silent

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        self.in_fit = True

    def on_train_end(self, logs: Optional[dict] = None) -> None:
        self.in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Optional[dict] = None) -> None:
        if self.verbose and self.epochs > 1:
            print(f"Epoch {epoch + 1}/{self.epochs}")
        self._start()

    def on_train_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        self._advance(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        self._finish(logs)

    # evaluate and predict

    def on_test_begin(self, logs: Optional[dict] = None) -> None:
        if not self.in_fit:
            self._start()

    def on_test_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        if not self.in_fit:
            self._advance(batch, logs)

    def on_test_end(self, logs: Optional[dict] = None) -> None:
        if not self.in_fit:
            self._finish(logs)

    def on_predict_begin(self, logs: Optional[dict] = None) -> None:
        self._start()

    def on_predict_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        self._advance(batch, None)

    def on_predict_end(self, logs: Optional[dict] = None) -> None:
        self._finish(None)

    # the bar

    def _start(self) -> None:
        self._seen, self._began, self._bar = 0, perf_counter(), None
        if self.verbose == 1:
            try:
                tqdm = import_optional("tqdm", "verify", "callbacks.ProgbarLogger").tqdm
            except MissingExtra:
                return                            # a line at the end of the epoch does
            self._bar = tqdm(total=self.steps, file=sys.stdout, unit="step", dynamic_ncols=True)

    def _advance(self, batch: int, logs: Optional[dict]) -> None:
        self._seen = batch + 1
        if self._bar is not None and self._bar.update(self._seen - self._bar.n):
            self._bar.set_postfix_str(write_logs(logs))

    def _finish(self, logs: Optional[dict]) -> None:
        steps = self._seen or self.steps or 0
        if self._bar is not None:
            self._bar.set_postfix_str(write_logs(logs), refresh=False)
            self._bar.total = steps
            self._bar.close()
            self._bar = None
        elif self.verbose:
            seconds = perf_counter() - self._began
            print(" - ".join(filter(None, (f"{steps}/{steps}", f"{seconds:.0f}s",
                                           f"{_write_seconds(seconds / max(steps, 1))}/step", write_logs(logs)))))


def write_logs(logs: Optional[dict]) -> str:
    """Logs in one line, as Keras writes them.

    >>> write_logs({"loss": 0.25, "mse": 1e-5})
    'loss: 0.2500 - mse: 1.0000e-05'
    """
    return " - ".join(f"{name}: {_write_number(a)}" for name, a in as_numbers(logs).items())


def _write_number(a: Any) -> str:
    if not isinstance(a, float):
        return str(a)
    return f"{a:.4f}" if abs(a) > 1e-3 else f"{a:.4e}"


def _write_seconds(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.0f}s"
    return f"{seconds * 1e3:.0f}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us"
