"""Which rules have a kernel, and what C++ calls what Python does.  (floor 5)

A further rule is a page: its header beside its Python text, and a row here.
"""
from typing import Any, Callable, NamedTuple

from ..rules import elman, gru, limited, lstm

_POINTER = "P"


class KernelRow(NamedTuple):
    header: str
    cpp: Callable                                 # rule, "float" -> the struct, with its template arguments
    kept: str                                     # what the buffer holds, in the order of the struct Kept
    views: Callable                               # those views, states before and after -> the rule's own Kept
    activations: dict                             # option -> the only one that the text has
    reads_h: bool = False                          # it sees the old h itself
    has_c: bool = False
    fields: tuple = (("none", "i4"),)             # options of the struct and their types; A is the arithmetic
    options: Callable = lambda rule, pointer: (0,)

    @property
    def stored(self):
        return len(self.kept.split())


def _elman_kept(views, s, new):
    return elman.Kept(views[0], None)


def _limited_kept(views, s, new):
    return limited.Kept(views[0])


def _gru_kept(views, s, new):
    r, z, n, hn = views
    return gru.Kept(r, z, n, hn, s.h, gru.Pre(None, None, None))


def _lstm_kept(views, s, new):
    i, f, g, o, tc = views
    return lstm.Kept(i, f, g, o, tc, s.c, new.c, lstm.Pre(None, None, None, None, None))


def _lstm_cpp(rule, A):
    return f"LSTM<{A}, rnnref::{(rule.coupled or 'none').upper()}>"


def _lstm_options(rule, pointer):
    peepholes = (pointer.get(name, 0) for name in ("Wpi", "Wpf", "Wpo"))
    return rule.forget_bias, rule.cell_clip or 0, rule.cell_clip_gradient == "through", *peepholes


KERNEL_TABLE: dict = {
    elman.ElmanRule: KernelRow("elman.cuh", lambda rule, A: f"Elman<{A}>", "h", _elman_kept, {"activation": "tanh"}),
    gru.GRURule: KernelRow("gru.cuh", lambda rule, A: f"GRU<{A}>", "r z n hn", _gru_kept,
                  {"gate": "sigmoid", "candidate": "tanh"}, reads_h=True),
    limited.LimitedRule: KernelRow("limited.cuh", lambda rule, A: f"Limited<{A}>", "h", _limited_kept, {},
                          fields=(("limit", "A"),), options=lambda rule, pointer: (rule.clip or 0,)),
    lstm.LSTMRule: KernelRow("lstm.cuh", _lstm_cpp, "i f g o tc", _lstm_kept,
                    {"gate": "sigmoid", "candidate": "tanh", "output": "tanh"}, has_c=True,
                    fields=(("forget_bias", "A"), ("cell_clip", "A"), ("through", "i4"),
                            *((name, _POINTER) for name in ("Wpi", "Wpf", "Wpo"))), options=_lstm_options),
}


def kernel_row_of(rule):
    """The row of a rule or of its twin.  None for any other class, a subclass too: it may say something else."""
    return KERNEL_TABLE.get(vars(type(rule)).get("plain", type(rule)))


def refuses_activations(who, options, activations):
    """The kernels have one activation for each place, written out."""
    for option, name in activations.items():
        has: Any = getattr(options, option)
        if has.name != name or has.clip:          # neither of the two has another parameter
            return f"{option}={str(has)!r}: the kernels of {who} have {name} only"
    return None
