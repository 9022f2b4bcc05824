"""Training of models: compile, fit, evaluate, predict, and one batch at a time."""
import warnings
from inspect import signature
from typing import Any, Optional

import numpy

from .. import losses, metrics as metrics_module, optimizers
from ..arrays import asnumpy, namespace
from ..callbacks import CallbackList
from ..callbacks.callback import as_numbers
from ..errors import Error, NotSupported, ShapeError
from ..nest import flatten, map_structure, unflatten
from ..random import next_seed
from ..record import Record
from ..shapes import check_count
from ..values import numbers
from .batches import Batches, make_batches, make_validation, of_packed, split_rows, unpack, weigh_classes
from .compiled import CompiledLoss, CompiledMetrics, deserialize, of_rows, serialize
from .distribution import Distribution, distribute

Logs = dict                                       # {name: number}, on the device until they are shown


class Trained:
    """The training of a model, with the names, arguments and results of Keras.

    >>> import numpy as np
    >>> from rnnref import Input, Sequential, layers, optimizers
    >>> x = np.linspace(0, 1, 20)[:, None]
    >>> model = Sequential([Input((1,)), layers.Dense(1)])
    >>> model.compile(optimizers.SGD(0.5), "mse", metrics=["mae"])
    >>> history = model.fit(x, 3 * x, epochs=50, verbose=0, validation_split=0.2)
    >>> sorted(history.history)
    ['loss', 'mae', 'val_loss', 'val_mae']
    >>> loss, mae = model.evaluate(x, 3 * x, verbose=0)
    >>> mae < 0.1, model.predict(x, verbose=0).shape
    (True, (20, 1))

    A subclass may define `train_step(data)`, `test_step(data)`, `predict_step(data)`, `compute_loss(...)` and
    `compute_metrics(...)`, as in Keras; data is x, (x, y) or (x, y, sample_weight), and a step of your own is

        x, y, sample_weight = utils.unpack_x_y_sample_weight(data)
        with Record(training=True) as record:
            loss = self.compute_loss(x, y, self(x, training=True), sample_weight)
        self.optimizer.apply(record.backward(loss), self.trainable_weights)

    optimizer, loss    what compile was given, the optimizer as an object
    history            what the last fit returned
    distribution       the processes that train it: one, before `distribute`
    stop_training      set by callbacks: fit ends after this batch
    shuffle_rng        the generator that draws the order of rows in fit; assign numpy.random.default_rng(seed), or call
                       rnnref.utils.set_random_seed before the first fit
    """
    optimizer: Any = None
    loss: Any = None
    history: Any = None
    distribution, distribute = Distribution(), distribute
    compiled = stop_training = False
    _initial_epoch = 0                            # where fit begins; callbacks may set it when training begins
    _compiled_loss: Optional[CompiledLoss] = None
    _compiled_metrics: Optional[CompiledMetrics] = None
    _loss_tracker: Any = None
    _held_metrics: Optional[list] = None          # among the attributes, looked for once an epoch
    _shuffle_rng: Any = None
    _compile_arguments: Optional[dict] = None
    # of Layer and Model
    built: Any; losses: Any; trainable_weights: Any; output_names: Any; _graph: Any; _all_layers: Any; __call__: Any

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, loss_weights: Any = None, metrics: Any = None,
                weighted_metrics: Any = None, run_eagerly: bool = False, steps_per_execution: int = 1,
                jit_compile: Any = "auto", auto_scale_loss: bool = True) -> None:
        """Configure the training: the optimizer, the losses and the metrics.

        optimizer           a name, or an object of rnnref.optimizers
        loss                a name, a function (y_true, y_pred), an object of rnnref.losses; for several outputs a list
                            or a dict by their names.  None: what layers add to the losses alone
        loss_weights        numbers that the losses of several outputs are multiplied by, in a list or a dict
        metrics             a list of names, functions, objects of rnnref.metrics; for several outputs a list or a dict
                            with one or a list of them for each
        weighted_metrics    metrics that see class_weight and sample_weight
        run_eagerly, auto_scale_loss    change nothing: there is no compiler, and no mixed precision

        Same as keras.Model.compile.  Raises NotSupported for jit_compile=True and steps_per_execution above 1.
        """
        if jit_compile not in ("auto", False, None):
            raise NotSupported("compile", f"jit_compile={jit_compile!r}: nothing is compiled", known='"auto", False')
        if steps_per_execution != 1:
            raise NotSupported("compile", f"steps_per_execution={steps_per_execution!r}: each step is run by itself",
                               known="1")
        names = self.output_names if self._graph is not None else None
        compiled_loss = None if loss is None else CompiledLoss(loss, loss_weights, names)
        compiled_metrics = CompiledMetrics(metrics, weighted_metrics, names) if metrics or weighted_metrics else None
        self.optimizer = optimizers.get(optimizer)
        self.loss, self._compiled_loss, self._compiled_metrics = loss, compiled_loss, compiled_metrics
        self._loss_tracker = metrics_module.Mean(name="loss")
        self._compile_arguments = {"optimizer": self.optimizer, "loss": loss, "loss_weights": loss_weights,
                                   "metrics": metrics, "weighted_metrics": weighted_metrics}
        self.compiled, self.stop_training = True, False

    def get_compile_config(self) -> dict:
        """How the model was compiled, as plain data; {} if it was not."""
        if self._compile_arguments is None:
            return {}
        plain = {name: serialize(value) for name, value in self._compile_arguments.items()}
        return plain | {"run_eagerly": False, "steps_per_execution": 1, "jit_compile": False}

    def compile_from_config(self, config: dict) -> None:
        """Compile as `get_compile_config` says, here or in Keras; how Keras ran its steps is left out."""
        modules = {"optimizer": optimizers, "loss": losses, "loss_weights": losses, "metrics": metrics_module,
                   "weighted_metrics": metrics_module}
        self.compile(**{name: deserialize(config.get(name), module) for name, module in modules.items()})
        if self.built:
            self.optimizer.build(self.trainable_weights)

    @property
    def shuffle_rng(self) -> numpy.random.Generator:
        if self._shuffle_rng is None:
            self._shuffle_rng = numpy.random.default_rng(next_seed())
        return self._shuffle_rng

    @shuffle_rng.setter
    def shuffle_rng(self, rng: numpy.random.Generator) -> None:
        self._shuffle_rng = rng

    # metrics

    @property
    def metrics(self) -> list:
        """The mean of the loss, the compiled metrics as one, means of single losses, metrics among the attributes."""
        own = [self._loss_tracker, self._compiled_metrics]
        own += [] if self._compiled_loss is None else self._compiled_loss.metrics
        if self._held_metrics is None:
            self._held_metrics = [m for layer in self._all_layers() if layer is self or not isinstance(layer, Trained)
                                  for m in _metrics_among(layer)]
        found = [m for m in own if m is not None]
        return found + [a for a in self._held_metrics if not any(a is m for m in own)]

    @property
    def metrics_names(self) -> list:
        return [m.name for m in self.metrics]

    def reset_metrics(self) -> None:
        """Reset all metrics."""
        self._held_metrics = None
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self) -> Logs:
        """{name: value} of all metrics."""
        found: Logs = {}
        for metric in self.metrics:
            result = metric.result()
            found |= result if isinstance(result, dict) else {metric.name: result}
        return found

    # what a subclass may define

    def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
                     training: bool = True) -> Any:
        """The loss of a batch, recorded: the compiled one, and what regularizers and layers add."""
        terms = []
        if self._compiled_loss is not None:
            found = self._compiled_loss(y, y_pred, sample_weight)
            terms += [] if found is None else [found]
        terms += [a.sum() if getattr(a, "ndim", 0) else a for a in self.losses]
        if not terms:
            raise ShapeError("compile", "there is no loss: loss=None, and no layer adds one", fix="compile(loss=...)")
        return sum(terms[1:], terms[0])

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Logs:
        """Update the compiled metrics by a batch; returns all metrics and the loss since the epoch began."""
        if self._compiled_metrics is not None:
            self._compiled_metrics.update_state(y, y_pred, sample_weight)
        return self.get_metrics_result()

    def train_step(self, data: tuple) -> Logs:
        """One update by a batch: x, (x, y) or (x, y, sample_weight)."""
        x, y, sample_weight = unpack(data, "train_step")
        with Record(training=True) as record:
            y_pred = self(x, training=True)
            scaled = self.optimizer.scale_loss(self._loss_of(x, y, y_pred, sample_weight, True))
        weights = self.trainable_weights
        if weights:
            self.optimizer.apply(record.backward(scaled, free=True), weights)
        else:
            warnings.warn("fit: the model has no weights that are trained", stacklevel=2)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def test_step(self, data: tuple) -> Logs:
        """Loss and metrics of a batch, without an update."""
        x, y, sample_weight = unpack(data, "test_step")
        with Record(keep=False):
            y_pred = self(x, training=False)
            self._loss_of(x, y, y_pred, sample_weight, False)
        return self.compute_metrics(x, y, y_pred, sample_weight)

    def predict_step(self, data: tuple) -> Any:
        """The outputs for a batch."""
        with Record(keep=False):
            return numbers(self(unpack(data, "predict_step")[0], training=False))

    def _loss_of(self, x: Any, y: Any, y_pred: Any, sample_weight: Any, training: bool) -> Any:
        """The loss of a batch; updates its mean over the epoch."""
        own = type(self).compute_loss is not Trained.compute_loss
        told = {"training": training} if not own or "training" in signature(self.compute_loss).parameters else {}
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, **told)
        rows = next(len(a) for a in flatten(x) if a is not None)
        self._loss_tracker.update_state(of_rows(loss), sample_weight=rows)
        return loss

    # whole data

    def fit(self, x: Any = None, y: Any = None, batch_size: Optional[int] = None, epochs: int = 1,
            verbose: Any = "auto", callbacks: Any = None, validation_split: float = 0.0, validation_data: Any = None,
            shuffle: Any = True, class_weight: Optional[dict] = None, sample_weight: Any = None,
            initial_epoch: int = 0, steps_per_epoch: Optional[int] = None, validation_steps: Optional[int] = None,
            validation_batch_size: Optional[int] = None, validation_freq: Any = 1) -> Any:
        """Train for some epochs; returns a History.

        x, y                arrays, or nests of them for several inputs and outputs; else x alone: an object with
                            x[k] and len(x) that gives batches, or an iterable of batches; a batch is (x, y) or
                            (x, y, sample_weight)
        batch_size          of arrays; None: 32.  The last batch of an epoch has the rest
        epochs              training ends before the epoch of this number, counted from initial_epoch
        verbose             0: silent | 1, "auto": a bar for each epoch | 2: a line for each epoch
        callbacks           of rnnref.callbacks
        validation_split    this part of the arrays, the last rows, is not trained on but evaluated after each epoch
        validation_data     (x, y), (x, y, sample_weight) or batches, evaluated after each epoch
        shuffle             rows in another order in each epoch; "batch": only inside of each batch; of x[k] the
                            batches.  The order of an iterable is its own
        class_weight        {class: number} that the loss of a row of this class is multiplied by
        sample_weight       numbers for rows, [B], or for steps, [B, T], that their losses are multiplied by
        steps_per_epoch     batches in an epoch; the next one goes on where it ended.  None: all
        validation_steps, validation_batch_size    the same for validation
        validation_freq     evaluate after every so many epochs, or after those in a list, counted from 1

        Layers that are stateful carry their states from batch to batch, and no gradient goes into the batch before:
        truncated backpropagation through time.  All batches must then have as many rows; with shuffle=False row b of a
        batch continues row b of the one before.

        Same as keras.Model.fit; the order of shuffled rows differs.
        """
        self._check_compiled("fit")
        check_count("fit", "epochs", epochs)
        check_count("fit", "initial_epoch", initial_epoch)
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split_rows((x, y, sample_weight), validation_split, "fit")
        batches = make_batches(x, y, sample_weight, who="fit", batch_size=batch_size, steps=steps_per_epoch,
                               shuffle=shuffle, class_weight=class_weight, rng=self.shuffle_rng)
        validation = None if validation_data is None else make_validation(
            validation_data, validation_batch_size or batch_size, validation_steps)
        _is_validated(1, validation_freq)         # raises for an invalid validation_freq
        self.distribution.begin(self, batches, is_training=True)
        callbacks = self._call_backs(callbacks, batches, verbose, epochs, add_history=True)
        self.stop_training, self._initial_epoch = False, initial_epoch
        callbacks.on_train_begin()
        logs: Logs = {}
        for epoch in range(self._initial_epoch, epochs):
            if self.stop_training:
                break
            callbacks.on_epoch_begin(epoch)
            logs = as_numbers(self._train_epoch(batches, callbacks))
            if batches.is_over:
                break
            if validation is not None and _is_validated(epoch + 1, validation_freq):
                found = self._evaluate(validation, callbacks)
                logs |= {f"val_{name}": value for name, value in found.items()}
            callbacks.on_epoch_end(epoch, logs)
        self.optimizer.finalize_variable_values(self.trainable_weights)
        callbacks.on_train_end(logs)
        return self.history

    def _train_epoch(self, batches: Batches, callbacks: CallbackList) -> Logs:
        self.reset_metrics()
        logs: Logs = {}
        for k, batch in enumerate(batches.epoch()):
            callbacks.on_train_batch_begin(k)
            logs = self.distribution.step(self, of_packed(self.train_step), batch)
            callbacks.on_train_batch_end(k, logs)
            self.stop_training = self.distribution.any(self.stop_training)
            if self.stop_training:
                break
        return self.distribution.total_logs(self, logs)

    def evaluate(self, x: Any = None, y: Any = None, batch_size: Optional[int] = None, verbose: Any = "auto",
                 sample_weight: Any = None, steps: Optional[int] = None, callbacks: Any = None,
                 return_dict: bool = False) -> Any:
        """Compute the loss and the metrics, in inference.

        x, y, batch_size, sample_weight, steps    as in fit
        return_dict                               {name: number}; else a number, or a list if there are several: the
                                                  loss, metrics, and losses of outputs

        Same as keras.Model.evaluate.
        """
        self._check_compiled("evaluate")
        batches = make_batches(x, y, sample_weight, who="evaluate", batch_size=batch_size, steps=steps)
        self.distribution.begin(self, batches, is_training=False)
        logs = self._evaluate(batches, self._call_backs(callbacks, batches, verbose))
        return logs if return_dict else self._in_order(logs)

    def _evaluate(self, batches: Batches, callbacks: CallbackList) -> Logs:
        callbacks.on_test_begin()
        self.reset_metrics()
        batches.restart()
        logs: Logs = {}
        for k, batch in enumerate(batches.epoch()):
            callbacks.on_test_batch_begin(k)
            logs = self.distribution.step(self, of_packed(self.test_step), batch)
            callbacks.on_test_batch_end(k, logs)
        logs = as_numbers(self.distribution.total_logs(self, logs))
        callbacks.on_test_end(logs)
        return logs

    def predict(self, x: Any, batch_size: Optional[int] = None, verbose: Any = "auto", steps: Optional[int] = None,
                callbacks: Any = None) -> Any:
        """Compute the outputs, in inference, batch by batch: NumPy arrays in the nest of the outputs.

        x, batch_size, steps    as in fit

        Same as keras.Model.predict.
        """
        batches = make_batches(x, who="predict", batch_size=batch_size, steps=steps)
        callbacks = self._call_backs(callbacks, batches, verbose)
        callbacks.on_predict_begin()
        found = []
        for k, batch in enumerate(batches.epoch()):
            callbacks.on_predict_batch_begin(k)
            found.append(of_packed(self.predict_step)(batch))
            callbacks.on_predict_batch_end(k, {"outputs": found[-1]})
        callbacks.on_predict_end()
        leaves = zip(*map(flatten, found))
        return unflatten(found[0], [asnumpy(namespace(*each).concatenate(each)) for each in leaves])

    # one batch

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Optional[dict] = None,
                       return_dict: bool = False) -> Any:
        """Do one update; returns the loss and the metrics of this batch as `evaluate` does."""
        self._check_compiled("train_on_batch")
        x, y, sample_weight = unpack((x, y, sample_weight), "train_on_batch")
        if class_weight is not None:
            if sample_weight is not None:
                raise NotSupported("train_on_batch", "class_weight and sample_weight together",
                                   fix="their product as sample_weight")
            sample_weight = weigh_classes(y, class_weight, "train_on_batch")
        self.reset_metrics()
        logs = as_numbers(self.distribution.step_alone(self, of_packed(self.train_step), (x, y, sample_weight)))
        return logs if return_dict else self._in_order(logs)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Compute the loss and the metrics of one batch, returned as by `evaluate`."""
        self._check_compiled("test_on_batch")
        self.reset_metrics()
        batch = unpack((x, y, sample_weight), "test_on_batch")
        logs = as_numbers(self.distribution.step_alone(self, of_packed(self.test_step), batch))
        return logs if return_dict else self._in_order(logs)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, as NumPy arrays in their nest."""
        return map_structure(asnumpy, of_packed(self.predict_step)(unpack((x,), "predict_on_batch")))

    # what they share

    def _check_compiled(self, what: str) -> None:
        if not self.compiled:
            raise Error(what, "the model is not compiled", fix='model.compile("adam", loss="mse")')

    def _call_backs(self, callbacks: Any, batches: Batches, verbose: Any, epochs: int = 1,
                    add_history: bool = False) -> CallbackList:
        if verbose not in ("auto", 0, 1, 2):
            raise NotSupported("fit", f"verbose={verbose!r}", known='"auto", 0, 1, 2')
        if isinstance(callbacks, CallbackList):
            return callbacks
        return CallbackList(callbacks, add_history, verbose != 0, self, verbose=verbose, epochs=epochs,
                            steps=batches.count)

    def _in_order(self, logs: Logs) -> Any:
        """Numbers in the order of the metrics, the rest by their names; a single one alone."""
        order = [one.name for m in self.metrics for one in (getattr(m, "metrics", None) or [m])]
        found = [logs[name] for name in order if name in logs]
        found += [logs[name] for name in sorted(logs) if name not in order]
        return found[0] if len(found) == 1 else found


def _metrics_among(layer: Any) -> list:
    """The metrics among the attributes of a layer, alone or in lists and dicts."""
    return [a for name, value in vars(layer).items() if name != "_compile_arguments"
            for a in flatten(value) if isinstance(a, metrics_module.Metric)]


def _is_validated(epoch: int, freq: Any) -> bool:
    """Whether there is validation after this epoch, counted from 1."""
    if isinstance(freq, (list, tuple, set)):
        return epoch in freq
    if isinstance(freq, bool) or not hasattr(freq, "__index__") or freq < 1:
        raise NotSupported("fit", f"validation_freq={freq!r}, expected a number above 0, or a list of epochs")
    return epoch % freq == 0
