"""Resuming training that was interrupted."""
import json
import os
from typing import Any, Optional

import numpy

from .. import io
from ..arrays import namespace
from ..errors import Error, NotSupported, ShapeError
from ..layers.weight import all_layers
from ..loops.run import make_initial_state
from ..random import SeedGenerator
from ..tree import unflatten
from .callback import Callback, is_first

NAME = "training.npz"


class BackupAndRestore(Callback):
    """Save the state of training to a file after each epoch, from which the next fit resumes.

    backup_dir          the folder of the file, for one run of training and nothing else
    delete_checkpoint   remove the file when training has come to its end

    The file has the weights, the variables of the optimizer, the generators of shuffling and of the layers' noise, the
    states that stateful layers carry over, what the other callbacks have seen, the history among them, and the number
    of the epoch.  It is replaced in one step: a process that is killed at any moment loses the epoch that it was in, at
    most.  The same script, started again, gives the numbers of a run that was not broken off: the same to the bit, on
    the same machine with as many threads.  Iterators begin anew.

    Differs from keras.callbacks.BackupAndRestore: save_freq is "epoch", one file is enough (double_checkpoint=False),
    and generators are kept too.

    Raises NotSupported for other options; ShapeError where the file is that of another model.

    >>> import tempfile, numpy as np, rnnref
    >>> from rnnref import Input, Sequential, layers
    >>> def train(epochs):
    ...     rnnref.utils.set_random_seed(0)
    ...     model = Sequential([Input((3,)), layers.Dense(1), layers.Dropout(0.5)])
    ...     model.compile("adam", "mse")
    ...     backup = BackupAndRestore(folder, delete_checkpoint=False)
    ...     history = model.fit(np.eye(3), np.ones((3, 1)), epochs=epochs, callbacks=[backup], verbose=0)
    ...     return history.epoch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train(2), train(5)
    ([0, 1], [0, 1, 2, 3, 4])
    """
    comes_last = True

    def __init__(self, backup_dir: Any, save_freq: Any = "epoch", double_checkpoint: bool = False,
                 delete_checkpoint: bool = True):
        who = "callbacks.BackupAndRestore"
        if not backup_dir:
            raise NotSupported(who, f"backup_dir={backup_dir!r}, expected a folder")
        if save_freq != "epoch":
            raise NotSupported(who, f"save_freq={save_freq!r}: only from the end of an epoch can training go on to the "
                               "same numbers", known='"epoch"')
        if double_checkpoint:
            raise NotSupported(who, "double_checkpoint=True: the file is replaced in one step, and never broken")
        self.backup_dir, self.delete_checkpoint = os.fspath(backup_dir), delete_checkpoint
        self.path = os.path.join(self.backup_dir, NAME)

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        state = self.model.distribution.from_first(
            lambda: io.load(self.path) if os.path.exists(self.path) else None)
        if state is not None:
            self.model._initial_epoch = restore(self.model, self.together, state, self.path)

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        state = collect(self.model, self.together, epoch + 1)
        if is_first(self.model):
            os.makedirs(self.backup_dir, exist_ok=True)
            io.save(self.path, state)

    def on_train_end(self, logs: Optional[dict] = None) -> None:
        if self.delete_checkpoint and is_first(self.model) and os.path.exists(self.path):
            os.unlink(self.path)


def collect(model: Any, callbacks: Any, epoch: int) -> dict:
    """The state of training as a tree of arrays: what `restore` takes.

    epoch   the one that comes next
    """
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_weights)
    every, arrays = all_layers(model), []

    def put_aside(a: Any) -> dict:
        arrays.append(a)
        return {"array": len(arrays) - 1}
    about = {"epoch": epoch, "stop": bool(model.stop_training),
             "generators": {name: rng.bit_generator.state for name, rng in list_generators(every)},
             "callbacks": [{name: getattr(a, name) for name in a.state} for a in _with_state(callbacks)]}
    text = json.dumps(about, default=put_aside)
    carried = {str(k): model.distribution.gather_rows(a.carried) for k, a in enumerate(every)
               if getattr(a, "carried", None) is not None}
    return {"weights": tuple(w.data for w in model.weights), "carried": carried, "arrays": tuple(arrays),
            "optimizer": tuple(v.data for v in model.optimizer.variables),
            "about": numpy.frombuffer(text.encode(), "uint8")}


def restore(model: Any, callbacks: Any, state: dict, path: str) -> int:
    """Put a state into a model and into callbacks; returns the epoch that comes next.

    state   {dotted path: array}

    Raises ShapeError where it is that of another model, optimizer or list of callbacks, and changes nothing then; Error
    for a model whose weights are not there yet.
    """
    who = "callbacks.BackupAndRestore"
    if not all(layer.built for layer in all_layers(model)):
        raise Error(who, "the model has no weights yet", fix="an Input(shape), or model.build(input_shape), before fit")
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_weights)
    places = {f"{what}.{k}": v for what, group in (("weights", model.weights), ("optimizer", model.optimizer.variables))
              for k, v in enumerate(group)}
    found = {name: a for name, a in state.items() if name.partition(".")[0] in ("weights", "optimizer")}
    if {name: v.shape for name, v in places.items()} != {name: a.shape for name, a in found.items()}:
        raise ShapeError(who, f"{path} is the state of another model, or of one with another optimizer",
                         fix="another backup_dir, or remove the file")
    about = json.loads(state["about"].tobytes(), object_hook=lambda a: (
        state[f"arrays.{a['array']}"] if a.keys() == {"array"} else a))
    callbacks = _with_state(callbacks)
    if [[*each] for each in about["callbacks"]] != [[*a.state] for a in callbacks]:
        raise ShapeError(who, f"{path} is the state of a run with other callbacks, or in another order")
    every = all_layers(model)
    for name, v in places.items():
        v.assign(found[name])
    for name, rng in list_generators(every):
        rng.bit_generator.state = about["generators"][name]
    xp = namespace(*(w.data for w in model.weights))
    for k, layer in enumerate(every):
        carried = [xp.asarray(model.distribution.pick_rows(a)) for name, a in state.items()
                   if f"{name}.".startswith(f"carried.{k}.")]
        if carried:
            like = xp.zeros((1, len(carried[0]), 1), carried[0].dtype)
            layer.carried = unflatten(make_initial_state(layer.core, like, layer.cell.units), carried)
    for a, attributes in zip(callbacks, about["callbacks"]):
        vars(a).update(attributes)
    model.stop_training = about["stop"]
    return about["epoch"]


def _with_state(callbacks: Any) -> list:
    """Those among callbacks that have something to keep."""
    return [a for a in callbacks if getattr(a, "state", ())]


def list_generators(layers: list) -> list:
    """(name, generator) of all that the layers draw from."""
    found = []
    for k, layer in enumerate(layers):
        for name, a in vars(layer).items():
            a = a._generator if isinstance(a, SeedGenerator) else a
            if isinstance(a, numpy.random.Generator):
                found.append((f"{k}.{name}", a))
    return found
