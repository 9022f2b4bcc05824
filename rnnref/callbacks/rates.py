"""Learning rates that change from epoch to epoch."""
from inspect import Parameter, signature
from typing import Any, Callable, Optional

import numpy

from ..arrays import asnumpy
from ..errors import InvalidType, NotSupported
from .callback import Callback


def get_rate(optimizer: Any) -> float:
    """The learning rate of an optimizer as a number."""
    rate = optimizer.learning_rate
    return float(asnumpy(getattr(rate, "data", rate) if hasattr(rate, "is_symbol") else rate))


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of each epoch.

    schedule   f(epoch, rate) or f(epoch) -> the rate of this epoch; epochs count from 0
    verbose    1: print it

    The history has the rate of each epoch as "learning_rate".  For a rate that changes with every batch give the
    optimizer one of rnnref.optimizers.schedules.

    Same as keras.callbacks.LearningRateScheduler.

    >>> import types
    >>> halve = LearningRateScheduler(lambda epoch, rate: rate / 2, verbose=1)
    >>> halve.set_model(types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=0.5)))
    >>> halve.on_epoch_begin(3)
    Epoch 4: the learning rate is 0.25

    Raises NotSupported where the schedule gives what is no floating number.
    """

    def __init__(self, schedule: Callable, verbose: int = 0):
        if not callable(schedule):
            raise InvalidType("callbacks.LearningRateScheduler", f"schedule={schedule!r}, expected a function")
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Optional[dict] = None) -> None:
        rate = self.schedule(*(epoch, get_rate(self.model.optimizer))[:_count_arguments(self.schedule)])
        if not isinstance(rate, (float, numpy.floating)):
            raise NotSupported("callbacks.LearningRateScheduler", f"the schedule gave {rate!r} for epoch {epoch}, "
                                                                  "expected a float")
        self.model.optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: the learning rate is {float(rate)}")

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        if logs is not None:
            logs["learning_rate"] = get_rate(self.model.optimizer)


def _count_arguments(f: Callable) -> int:
    """How many arguments a function takes by position, two at most."""
    kinds = [p.kind for p in signature(f).parameters.values()]
    if Parameter.VAR_POSITIONAL in kinds:
        return 2
    return min(2, sum(kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD) for kind in kinds))
