"""What is shown while a run trains, and how it is stopped."""
import signal
import sys
import threading
from time import perf_counter
from types import FrameType
from typing import Any, Optional

from ..callbacks import Callback
from ..callbacks.callback import as_numbers
from ..errors import MissingExtra, import_optional
from .tasks import Task

_REFRESHED = 0.5                                          # seconds between two looks at numbers that a GPU may hold


class Progress(Callback):
    """A bar over all epochs on a terminal: loss, metric, samples a second, time left; else a line for each epoch."""
    writes = True

    def __init__(self, what: Task, batch_size: int):
        self.rows, self.batch_size, self.what = len(what.train[0]), batch_size, what
        self._bar: Any = None

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        self._began = self._looked = perf_counter()
        self._epochs = self.params["epochs"]
        if sys.stderr.isatty():
            try:
                tqdm = import_optional("tqdm", "verify", "train").tqdm
            except MissingExtra:
                return
            self._bar = tqdm(total=self.rows * self._epochs, initial=self.rows * self.model._initial_epoch,
                             unit=" samples", unit_scale=True, dynamic_ncols=True, smoothing=0.05)

    def on_epoch_begin(self, epoch: int, logs: Optional[dict] = None) -> None:
        self._began, self._done = perf_counter(), 0
        if self._bar is not None:
            self._bar.set_description(f"epoch {epoch + 1}/{self._epochs}", refresh=False)

    def on_train_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        done = min(self.batch_size, self.rows - self._done)
        self._done += done
        if self._bar is not None:
            if perf_counter() - self._looked > _REFRESHED:
                self._looked = perf_counter()
                self._bar.set_postfix_str(self._describe(logs), refresh=False)
            self._bar.update(done)

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        speed = self.rows / (perf_counter() - self._began)
        line = f"epoch {epoch + 1}/{self._epochs}  {self._describe(logs)}  {speed:,.0f} samples/s"
        if self._bar is None:
            print(line, flush=True)
        else:
            self._bar.write(line, file=sys.stdout)

    def on_train_end(self, logs: Optional[dict] = None) -> None:
        self.close()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _describe(self, logs: Optional[dict]) -> str:
        names = ("loss", self.what.metric, "val_loss", f"val_{self.what.metric}")
        found = self.what.extend(as_numbers(logs))
        return "  ".join(f"{name} {found[name]:.4f}" for name in names if name in found)


class StopOnSignal(Callback):
    """Ctrl-C ends the run after the batch that it is in, with KeyboardInterrupt; a second one ends it at once.

        with StopOnSignal() as stop:
            model.fit(..., callbacks=[stop])
    """
    _asked = False

    def __enter__(self) -> "StopOnSignal":
        self._is_main = threading.current_thread() is threading.main_thread()       # others have no signals
        if self._is_main:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._is_main:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: Optional[FrameType]) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def on_train_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        if self.model.distribution.any(self._asked):       # all processes stop after the same batch
            raise KeyboardInterrupt

    on_test_batch_end = on_train_batch_end
