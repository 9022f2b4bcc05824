"""The command `rnnref train`: a run from its settings to its pictures, new or resumed."""
import dataclasses
import hashlib
import os
from contextlib import contextmanager, redirect_stdout
from typing import Any, Iterator, Optional

from .. import plot
from ..arrays import asnumpy
from ..callbacks import BackupAndRestore, Callback
from ..callbacks.callback import is_first
from ..errors import Error, MissingExtra, import_optional
from ..models import Sequential
from ..models.distribution import Distribution, count_launched, make_distribution
from ..random import set_random_seed
from ..tree import to
from .folder import CONFUSION, CURVES, MODEL, RunFolder, open_folder
from .progress import Progress, StopOnSignal
from .sample import draw
from .tasks import TASKS, Settings, Task, build_model, load_task

_SAMPLE = 400                                             # characters that are drawn after each epoch
INTERRUPTED = 130                                         # the exit status of a program that Ctrl-C has ended


def train(task: str, file: Optional[str] = None, *, out: Optional[str] = None, resume: bool = False,
          device: str = "cpu", **given: Any) -> int:
    """Train a model, and write all that belongs to the run into a folder; returns the exit status.

    task      "digits", "mnist" or "text", of a `file`
    out       the folder; None: the next free runs/TASK-N
    resume    continue a run that was stopped or killed; its numbers are those of an uninterrupted one
    device    "cpu" or "gpu"
    given     cell, units, layers, epochs, batch_size, rate, seed; those that are None are the task's own, and of a
              resumed run those that it was started with

    Started by mpiexec -n N, N processes train one model: see `rnnref.Model.distribute`.  batch_size is that of all.

    Status    0, or 130 after Ctrl-C, which saves first
    Errors    Error: a folder that exists already, files that cannot be read, other settings than the run was
              started with.  MissingExtra: h5py, which writes the model
    """
    several = make_distribution() if count_launched() > 1 else Distribution()
    with several.ending_together(), _silent_unless(several.rank == 0):
        return _train(several, task, file, out, resume, device, given)


def _train(several: Distribution, task: str, file: Optional[str], out: Optional[str], resume: bool, device: str,
           given: dict[str, Any]) -> int:
    """`train`, in one of several processes, of which the first writes."""
    import_optional("h5py", "verify", "train")
    folder, is_resumed = several.from_first(lambda: open_folder(task, out, resume))
    try:
        settings = several.from_first(lambda: _find_settings(
            folder, is_resumed, {"task": task, "file": file and os.path.abspath(file)} | given))
        what = load_task(settings)
    except Error:
        if not is_resumed and several.rank == 0:
            _remove_if_empty(folder.path)
        raise
    set_random_seed(settings.seed)
    model = build_model(settings, what.sizes)
    about = dataclasses.asdict(settings) | {"sizes": what.sizes, "digest": _digest(settings.file)}
    if what.corpus is not None:
        about["vocabulary"] = what.corpus.vocabulary
    several.from_first(lambda: _write_settings(folder, about, is_resumed))
    size = f", {several.size} processes" if several.size > 1 else ""
    print(f"{folder.path}: {TASKS[task].about}\n"
          f"{_describe(settings)}, {model.count_params():,} weights{size}", flush=True)
    if device != "cpu":
        model.to(device)
        parts = {part: to(device, getattr(what, part)) for part in ("train", "valid", "test")}
        what = dataclasses.replace(what, **parts)
    model.distribution = several
    return _fit(model, what, settings, folder)


def _find_settings(folder: RunFolder, is_resumed: bool, given: dict[str, Any]) -> Settings:
    """Settings that are given, else of the run, else of the task."""
    given = {name: value for name, value in given.items() if value is not None}
    defaults = TASKS[given["task"]].defaults
    if is_resumed:
        stored = folder.read_settings()
        names = [f.name for f in dataclasses.fields(Settings)]
        defaults = {name: stored[name] for name in names if name in stored}
        for name, value in given.items():
            if name != "epochs" and name in defaults and defaults[name] != value:
                raise Error("train", f"{folder.path} was started with {name}={defaults[name]!r}, and is now given "
                            f"{value!r}", fix="leave it out with --resume; only epochs may be changed")
    return Settings(**(defaults | given))


def _write_settings(folder: RunFolder, about: dict[str, Any], is_resumed: bool) -> None:
    """Raise if the data are not those that the run was started with."""
    if is_resumed and folder.read_settings().get("digest") != about["digest"]:
        raise Error("train", f"{about['file']} has changed since {folder.path} was started", fix="another --out")
    folder.write_settings(about)


@contextmanager
def _silent_unless(shown: bool) -> Iterator[None]:
    """While this context is open, nothing is printed unless `shown`."""
    if shown:
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


def _digest(path: Optional[str]) -> Optional[str]:
    if path is None or not os.path.isfile(path):
        return None
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _remove_if_empty(path: str) -> None:
    if not os.listdir(path):
        os.rmdir(path)


def _describe(settings: Settings) -> str:
    several = f" in {settings.layers} layers" if settings.layers > 1 else ""
    return (f"{settings.cell}, {settings.units} units{several}, batch_size {settings.batch_size}, "
            f"rate {settings.rate}, seed {settings.seed}")


def _fit(model: Sequential, what: Task, settings: Settings, folder: RunFolder) -> int:
    """Train, and write the rest of the folder."""
    batch_size = what.sizes.get("lanes", settings.batch_size)
    log, progress = _RunLog(folder, what), Progress(what, batch_size)
    backup = _Backup(folder.path, delete_checkpoint=False)
    status = 0
    with StopOnSignal() as stop:
        try:
            model.fit(*what.train, batch_size=batch_size, epochs=settings.epochs, shuffle=not what.is_stateful,
                      validation_data=what.valid, verbose=0, callbacks=[log, progress, stop, backup])
        except KeyboardInterrupt:
            status = INTERRUPTED
        finally:
            progress.close()
    if status and is_first(model):
        model.save(folder.file(MODEL))
        print(f"stopped in epoch {len(log.rows) + 1}: {folder.file(MODEL)} is the model as it is now; "
              f"--resume goes on from the end of epoch {len(log.rows)}")
    _draw_pictures(model, what, folder, log, batch_size)
    return status


def _draw_pictures(model: Sequential, what: Task, folder: RunFolder, log: "_RunLog", batch_size: int) -> None:
    """The score on the test data, and the pictures."""
    if not log.rows:
        return
    _reset_states(model)
    found = what.extend(model.evaluate(*what.test, batch_size=batch_size, verbose=0, return_dict=True))
    unit = " a character, on the last tenth of the text" if what.corpus else ""
    print(f"test: loss {found['loss']:.4f}  {what.metric} {found[what.metric]:.4f}{unit}")
    if not is_first(model):
        return
    try:
        names = [name for name in log.rows[0] if name != "epoch"]
        plot.learning_curves({name: [row[name] for row in log.rows] for name in names}).savefig(folder.file(CURVES))
        if what.labels:
            predicted = model.predict(what.test[0], batch_size=batch_size, verbose=0)
            plot.confusion(asnumpy(what.test[1]), predicted, what.labels).savefig(folder.file(CONFUSION))
    except MissingExtra as e:
        print(f"no pictures: {e}")
    print(f"written: {' '.join(sorted(os.listdir(folder.path)))} in {folder.path}")


def _reset_states(model: Sequential) -> None:
    for layer in model.layers:
        if getattr(layer, "stateful", False):
            layer.reset_state()


class _RunLog(Callback):
    """Writes the files of a run after each epoch.

    rows, samples   a dict and a text for each epoch
    """
    state = "rows", "samples"                             # saved by the backup, for a resumed run

    def __init__(self, folder: RunFolder, what: Task):
        self.folder, self.what = folder, what
        self.rows: list[dict[str, float]] = []
        self.samples: list[str] = []

    def on_epoch_begin(self, epoch: int, logs: Optional[dict] = None) -> None:
        _reset_states(self.model)

    def on_test_begin(self, logs: Optional[dict] = None) -> None:
        _reset_states(self.model)

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        self.rows.append({"epoch": epoch + 1, **self.what.extend(logs or {})})
        if not is_first(self.model):
            return
        self.folder.write_history(self.rows)
        if self.what.corpus is not None:
            self.samples.append("".join(draw(self.model, self.what.corpus.vocabulary, _SAMPLE, seed=epoch)))
            self.folder.write_samples(self.samples)
        self.model.save(self.folder.file(MODEL))


class _Backup(BackupAndRestore):
    """The backup that `--resume` reads; it stays when the run is complete, so that more epochs can follow."""

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        super().on_train_begin(logs)
        epoch = self.model._initial_epoch
        if epoch:
            what = "the run is complete" if epoch >= self.params["epochs"] else f"it continues with epoch {epoch + 1}"
            print(f"resumed after epoch {epoch}: {what}", flush=True)
