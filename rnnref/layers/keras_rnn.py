"""What SimpleRNN, LSTM and GRU share: their arguments, shared out between the cell and the loop.  (floor 7)"""
from ..errors import NotSupported, check_option
from .config import snake
from .rnn import RNN

LOOP = ("return_sequences", "return_state", "go_backwards", "stateful", "unroll")


def of_cell(name):
    return property(lambda layer: getattr(layer.cell, name), doc=f"`{name}` of the cell")


class KerasRNN(RNN):
    """RNN(Cell(...)) under one name."""
    Cell: type

    units, activation, recurrent_activation, use_bias, unit_forget_bias, reset_after = map(of_cell, (
        "units", "activation", "recurrent_activation", "use_bias", "unit_forget_bias", "reset_after"))
    kernel_initializer, recurrent_initializer, bias_initializer = map(of_cell, (
        "kernel_initializer", "recurrent_initializer", "bias_initializer"))
    dropout, recurrent_dropout, implementation, seed = map(of_cell, (
        "dropout", "recurrent_dropout", "implementation", "seed"))

    def __init__(self, options, zero_output_for_mask=False, time_major=False, name=None, dtype=None, trainable=True,
                 **of_cell):
        options = dict(options)
        loop = {option: options.pop(option) for option in LOOP}
        self.use_cudnn = cudnn(self.who, options.pop("use_cudnn", "auto"))
        activity_regularizer = options.pop("activity_regularizer")
        cell = self.Cell(**options, **of_cell, dtype=dtype, name=snake(self.Cell.__name__))
        super().__init__(cell, **loop, zero_output_for_mask=zero_output_for_mask, time_major=time_major, name=name,
                         trainable=trainable, activity_regularizer=activity_regularizer)

    def get_config(self):
        of_cell, own = self.cell.get_config(), super().get_config()
        del own["cell"]
        return of_cell | own | {"activity_regularizer": None}


def cudnn(who, use_cudnn):
    if use_cudnn is True:
        raise NotSupported(who, "use_cudnn=True: there is no cuDNN here",
                           fix="'auto'; rnnref.explain(layer.core, x) says what runs, and why nothing faster")
    return check_option(who, "use_cudnn", use_cudnn, ("auto", False))
