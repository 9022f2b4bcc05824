"""Optimizers with Keras's names: not there yet."""
from .absent import Absent

__getattr__ = Absent("optimizers", (
    "Adadelta Adafactor Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer MultiOptimizer Muon Nadam "
    "Optimizer OptimizerMap RMSprop SGD ScheduleFreeAdamW deserialize get legacy schedules serialize",
    "not there yet: it comes with training",
    "w.assign_sub(rate * gradients[w]) for w in model.trainable_weights, gradients = record.backward(loss)"))
