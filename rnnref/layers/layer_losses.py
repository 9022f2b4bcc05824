"""What a layer adds to the loss: `add_loss` in its call, its activity regularizer, the regularizers of its weights."""
from typing import Any

from ..arrays import is_array
from ..nest import flatten
from ..shards import current, refuse
from ..values import CURRENT, Value, numbers
from .weight import all_layers


def add_loss(layer: Any, loss: Any) -> None:
    """Add a number to the loss of the model that this layer is in; for use in `call`."""
    record = CURRENT.get()
    if record is not None and record.probing:
        return
    refuse(layer.who, "add_loss, or a regularizer of outputs: how it depends on the number of rows is not known",
           fix="regularizers of weights, the loss of compile")
    if record is not None:
        record.losses.append(loss)
    serial, before = layer._losses
    own = None if record is None else record.serial
    layer._losses = own, [*(before if serial == own else ()), loss]


def add_activity(layer: Any, y: Any) -> None:
    """Add the activity regularizer of a layer for its outputs, divided by the batch size."""
    for a in flatten(y):
        if isinstance(a, Value) or is_array(a):
            loss = layer.activity_regularizer(a)
            layer.add_loss(loss / a.shape[0] if a.ndim else loss)


def list_losses(layer: Any) -> list:
    """What regularizers of its weights, and the last call of it and of the layers in it, add to the loss."""
    record, shard = CURRENT.get(), current()
    found = [w.regularizer(w) for w in layer.trainable_weights if w.regularizer is not None]
    if shard is not None:                         # the losses of all processes are added
        found = [loss * shard.fraction for loss in found]
    for one in all_layers(layer):
        serial, losses = one._losses
        if record is None or serial == record.serial:
            found += losses if record is not None else numbers(losses)
    return found
