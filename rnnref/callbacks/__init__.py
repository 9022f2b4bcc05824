"""Callbacks with Keras's names: what is done between the epochs and batches of fit, evaluate and predict."""
from ..absent import Absent
from .backup import BackupAndRestore
from .callback import Callback, CallbackList, History, LambdaCallback
from .loggers import CSVLogger, ProgbarLogger
from .monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, TerminateOnNaN
from .rates import LearningRateScheduler

__all__ = ["BackupAndRestore", "CSVLogger", "Callback", "CallbackList", "EarlyStopping", "History", "LambdaCallback",
           "LearningRateScheduler", "ModelCheckpoint", "ProgbarLogger", "ReduceLROnPlateau", "TerminateOnNaN"]

__getattr__ = Absent(
    "callbacks",
    ("TensorBoard RemoteMonitor", "nothing is sent to other programs", "callbacks.CSVLogger(path), a LambdaCallback"),
    ("OrbaxCheckpoint", "it writes files of JAX", "callbacks.ModelCheckpoint, callbacks.BackupAndRestore"),
    ("SwapEMAWeights", "optimizers keep no averages of weights", "a Callback whose on_train_batch_end keeps them"))
