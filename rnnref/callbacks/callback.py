"""The base class of callbacks, the list of them that a model calls, History and LambdaCallback."""
from typing import Any, Callable, Optional

from ..arrays import asnumpy, is_array
from ..errors import InvalidType, NotSupported
from ..nest import flatten

WHEN = ("begin", "end")
BATCH_HOOKS = tuple(f"on_{what}batch_{when}" for what in ("train_", "test_", "predict_", "") for when in WHEN)
RUN_HOOKS = tuple(f"on_{what}_{when}" for what in ("epoch", "train", "test", "predict") for when in WHEN)


class Callback:
    """Methods that a model calls while it is trained, evaluated or asked for predictions; a subclass defines some.

        on_train_begin(logs)  on_epoch_begin(epoch, logs)  on_train_batch_begin(batch, logs)
        on_train_batch_end(batch, logs)  on_epoch_end(epoch, logs)  on_train_end(logs)
        on_test_begin(logs)  on_test_batch_begin(batch, logs)  on_test_batch_end(batch, logs)  on_test_end(logs)
        on_predict_begin, on_predict_batch_begin, on_predict_batch_end ({"outputs": ...} in logs), on_predict_end

    on_batch_begin and on_batch_end are those of training, unless on_train_batch_begin and on_train_batch_end are there.

    model     the model; `model.stop_training = True` ends fit after this batch
    params    {"verbose", "epochs", "steps"}
    state     names of attributes that change in training: BackupAndRestore keeps them
    writes    True in a class: it writes files or shows something, and is called in process 0 alone where several train
              a model
    logs      {name: number}: the loss and the metrics since the epoch began; what is put into those of an epoch is seen
              by the callbacks after this one, and by the history

    A callback that defines a hook of batches makes the host wait for the numbers after each of them: without such, and
    without a progress bar, a GPU is asked once an epoch.

    Same as keras.callbacks.Callback.

    >>> class Told(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print(epoch, sorted(logs))
    >>> CallbackList([Told()]).on_epoch_end(0, {"loss": 1.0})
    0 ['loss']
    """
    shows_some = False                            # logs of batches are handed over where they lie: it shows few of them
    comes_last = False                            # called after all that are not so
    writes = False                                # it writes files or shows something
    state: tuple = ()
    together: Any = ()                            # all callbacks of the list that it is in
    model: Any = None
    params: Any = None

    def set_params(self, params: dict) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self.model = model

    def on_batch_begin(self, batch: int, logs: Optional[dict] = None) -> None:
        pass

    def on_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        pass

    def on_train_batch_begin(self, batch: int, logs: Optional[dict] = None) -> None:
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch: int, logs: Optional[dict] = None) -> None:
        pass

    def on_test_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        pass

    def on_predict_batch_begin(self, batch: int, logs: Optional[dict] = None) -> None:
        pass

    def on_predict_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        pass

    def on_epoch_begin(self, epoch: int, logs: Optional[dict] = None) -> None:
        pass

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        pass

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        pass

    def on_train_end(self, logs: Optional[dict] = None) -> None:
        pass

    def on_test_begin(self, logs: Optional[dict] = None) -> None:
        pass

    def on_test_end(self, logs: Optional[dict] = None) -> None:
        pass

    def on_predict_begin(self, logs: Optional[dict] = None) -> None:
        pass

    def on_predict_end(self, logs: Optional[dict] = None) -> None:
        pass


class CallbackList(Callback):
    """Several callbacks, called in their order.

    callbacks      one, or a list of them
    add_history    append a History if there is none, and let `model.history` be it
    add_progbar    append a ProgbarLogger if there is none
    model, params  handed on to each

    Same as keras.callbacks.CallbackList, in one thread.

    >>> history = CallbackList(add_history=True).callbacks[0]
    >>> type(history).__name__
    'History'

    Raises NotSupported for what is no callback.
    """

    def __init__(self, callbacks: Any = None, add_history: bool = False, add_progbar: bool = False, model: Any = None,
                 **params: Any):
        self.callbacks = [] if callbacks is None else flatten(callbacks)
        for a in self.callbacks:
            if isinstance(a, type) or not callable(getattr(a, "on_epoch_end", None)):
                raise NotSupported("callbacks.CallbackList", f"{a!r} is no callback",
                                   known="objects of subclasses of rnnref.callbacks.Callback")
        if add_history and not any(isinstance(a, History) for a in self.callbacks):
            self.callbacks.append(History())
        if add_progbar and not any(type(a).__name__ == "ProgbarLogger" for a in self.callbacks):
            from .loggers import ProgbarLogger  # which is made of this module
            self.callbacks.append(ProgbarLogger())
        self.callbacks.sort(key=lambda a: getattr(a, "comes_last", False))
        for a in self.callbacks:
            a.together = self.callbacks
        self._listen(self.callbacks)
        if model is not None:
            self.set_model(model)
        self.set_params(params)

    def _listen(self, called: list) -> None:
        """Call these and no others."""
        self._called = called
        self._listeners = {hook: [a for a in called if _listens(a, hook)] for hook in BATCH_HOOKS}

    def set_params(self, params: dict) -> None:
        self.params = params
        for callback in self.callbacks if params else ():
            callback.set_params(params)

    def set_model(self, model: Any) -> None:
        self.model = model
        for callback in self.callbacks:
            if isinstance(callback, History):
                model.history = callback
            callback.set_model(model)
        if is_first(model):
            return
        self._listen([a for a in self.callbacks if not getattr(a, "writes", False)])
        for callback in self._called:
            if getattr(callback, "verbose", None):
                callback.verbose = 0              # process 0 prints it


def is_first(model: Any) -> bool:
    """Whether this process is the one that writes and shows, of those that train a model."""
    return getattr(model, "distribution", None) is None or model.distribution.rank == 0


def _listens(callback: Any, hook: str) -> bool:
    """Whether a hook of batches does anything."""
    names = (hook, hook.replace("train_", "")) if "train" in hook else (hook,)
    return any(getattr(getattr(callback, name, None), "__func__", callback) is not getattr(Callback, name)
               for name in names)


def _batch_hook(hook: str) -> Callable:
    def method(self: CallbackList, batch: int, logs: Optional[dict] = None) -> None:
        shown = None
        for callback in self._listeners[hook]:
            if getattr(callback, "shows_some", False):
                getattr(callback, hook)(batch, logs=logs)
            else:
                shown = as_numbers(logs) if shown is None else shown
                getattr(callback, hook)(batch, logs=shown)
    method.__name__, method.__qualname__ = hook, f"CallbackList.{hook}"
    return method


def _hook(hook: str) -> Callable:
    def of_epoch(self: CallbackList, epoch: int, logs: Optional[dict] = None) -> None:
        logs = as_numbers(logs)
        for callback in self._called:
            getattr(callback, hook)(epoch, logs)

    def of_run(self: CallbackList, logs: Optional[dict] = None) -> None:
        logs = as_numbers(logs)
        for callback in self._called:
            getattr(callback, hook)(logs)
    method: Any = of_epoch if "epoch" in hook else of_run
    method.__name__, method.__qualname__ = hook, f"CallbackList.{hook}"
    return method


for _name in BATCH_HOOKS:
    setattr(CallbackList, _name, _batch_hook(_name))
for _name in RUN_HOOKS:
    setattr(CallbackList, _name, _hook(_name))


def as_numbers(logs: Optional[dict]) -> dict:
    """Logs with Python's numbers, in the order of their names; what is more than a number is an array in main memory.

    >>> import numpy
    >>> as_numbers({"loss": numpy.float32(0.5), "f1": numpy.ones(2), "all": {"acc": 1}})
    {'acc': 1.0, 'f1': array([1., 1.]), 'loss': 0.5}
    """
    found: dict = {}
    for name, value in sorted((logs or {}).items()):
        if isinstance(value, dict):
            found |= as_numbers(value)
        else:
            found[name] = _as_number(value)
    return found


def _as_number(a: Any) -> Any:
    a = getattr(a, "data", a) if hasattr(a, "is_symbol") else a
    if is_array(a):
        a = asnumpy(a)
        return float(a) if a.ndim == 0 else a
    return float(a) if hasattr(a, "__float__") else a


class History(Callback):
    """What fit returns: the logs of every epoch.

    history   {name: [a number for each epoch]}: of loss and metrics by their names, then "val_" and the same of the
              validation data, each group in alphabetical order
    epoch     [0, 1, ...]: the numbers of the epochs

    Same as keras.callbacks.History.

    >>> history = History()
    >>> history.on_train_begin()
    >>> history.on_epoch_end(0, {"loss": 1.0})
    >>> history.epoch, history.history
    ([0], {'loss': [1.0]})
    """

    state = "history", "epoch"

    def __init__(self) -> None:
        self.history: dict = {}
        self.epoch: list = []

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


class LambdaCallback(Callback):
    """A callback made of functions, each by the name of the hook that it is.

    on_epoch_begin=, on_epoch_end=              f(epoch, logs)
    on_train_batch_begin=, on_train_batch_end=, ...   f(batch, logs)
    on_train_begin=, on_train_end=, ...         f(logs)

    Same as keras.callbacks.LambdaCallback.

    >>> LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs)).on_epoch_end(2, {})
    2 {}

    Raises NotSupported for a name that is no hook.
    """

    def __init__(self, **functions: Optional[Callable]):
        for name, f in functions.items():
            if name not in (*BATCH_HOOKS, *RUN_HOOKS):
                raise NotSupported("callbacks.LambdaCallback", f"{name}=: no hook of a callback",
                                   known=" ".join((*RUN_HOOKS, *BATCH_HOOKS)))
            if f is not None and not callable(f):
                raise InvalidType("callbacks.LambdaCallback", f"{name}={f!r}, expected a function")
            if f is not None:
                setattr(self, name, f)
