"""What SimpleRNN, LSTM and GRU share: their arguments, shared out between the cell and the loop."""
from ..errors import NotSupported, check_option
from .config import snake
from .rnn import RNN

_LOOP_OPTIONS = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll")


def _of_cell(name):
    return property(lambda layer: getattr(layer.cell, name), doc=f"`{name}` of the cell")


class KerasRNN(RNN):
    """RNN(Cell(...)) under one name."""
    Cell: type

    units, activation, recurrent_activation, use_bias, unit_forget_bias, reset_after = map(_of_cell, (
        "units", "activation", "recurrent_activation", "use_bias", "unit_forget_bias", "reset_after"))
    kernel_initializer, recurrent_initializer, bias_initializer = map(_of_cell, (
        "kernel_initializer", "recurrent_initializer", "bias_initializer"))
    dropout, recurrent_dropout, implementation, seed = map(_of_cell, (
        "dropout", "recurrent_dropout", "implementation", "seed"))

    def __init__(self, options, zero_output_for_mask=False, time_major=False, name=None, dtype=None, trainable=True,
                 **of_cell):
        options = dict(options)
        loop = {option: options.pop(option) for option in _LOOP_OPTIONS}
        self.use_cudnn = _check_cudnn(self.who, options.pop("use_cudnn", "auto"))
        activity_regularizer = options.pop("activity_regularizer")
        cell = self.Cell(**options, **of_cell, dtype=dtype, name=snake(self.Cell.__name__))
        super().__init__(cell, **loop, zero_output_for_mask=zero_output_for_mask, time_major=time_major, name=name,
                         trainable=trainable, activity_regularizer=activity_regularizer)

    def get_config(self):
        of_cell, own = self.cell.get_config(), super().get_config()
        del own["cell"]
        return of_cell | own | {"activity_regularizer": None}


def _check_cudnn(who, use_cudnn):
    if use_cudnn is True:
        raise NotSupported(who, "use_cudnn=True: there is no cuDNN here",
                           fix="'auto'; rnnref.explain(layer.core, x) says what runs, and why nothing faster")
    return check_option(who, "use_cudnn", use_cudnn, ("auto", False))
