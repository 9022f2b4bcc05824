"""Callbacks with Keras's names: not there yet."""
from .absent import Absent

__getattr__ = Absent("callbacks", (
    "BackupAndRestore CSVLogger Callback CallbackList EarlyStopping History LambdaCallback LearningRateScheduler "
    "ModelCheckpoint OrbaxCheckpoint ProgbarLogger ReduceLROnPlateau RemoteMonitor SwapEMAWeights TensorBoard "
    "TerminateOnNaN", "not there yet: it comes with training", "a loop of your own, with a Record around each step"))
