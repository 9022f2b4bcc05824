"""The rules that have a kernel, and the C++ names of their structs, options and intermediates.

A further rule needs its header beside this file, with the names and the order of the Python rule, and a row here.
"""
from typing import Any, Callable, NamedTuple, Optional

from ..rules import elman, gru, limited, lstm

_POINTER = "P"


class KernelRow(NamedTuple):
    """What the kernels know of one rule."""
    header: str
    cpp: Callable                                 # (rule, "float") -> the struct in C++, with its template arguments
    kept: str                                     # what the buffer of intermediates holds, in the order of struct Kept
    views: Callable                               # (views of it, state before, state after) -> the rule's own Kept
    activations: dict[str, str]                   # option -> the only activation that the kernel has
    reads_h: bool = False                         # the rule reads the old h itself, not only through its map
    has_c: bool = False
    fields: tuple = (("none", "i4"),)             # options in the struct and their types; A is that of arithmetic
    options: Callable = lambda rule, pointers: (0,)       # (rule, {parameter: address}) -> their values

    @property
    def kept_count(self) -> int:
        """How many numbers of a unit are kept."""
        return len(self.kept.split())


def _elman_kept(views: list, s: Any, new: Any) -> Any:
    return elman.Kept(views[0], None)


def _limited_kept(views: list, s: Any, new: Any) -> Any:
    return limited.Kept(views[0])


def _gru_kept(views: list, s: Any, new: Any) -> Any:
    r, z, n, hn = views
    return gru.Kept(r, z, n, hn, s.h, gru.Pre(None, None, None))


def _lstm_kept(views: list, s: Any, new: Any) -> Any:
    i, f, g, o, tc = views
    return lstm.Kept(i, f, g, o, tc, s.c, new.c, lstm.Pre(None, None, None, None, None))


def _lstm_cpp(rule: Any, A: str) -> str:
    return f"LSTM<{A}, rnnref::{(rule.coupled or 'none').upper()}>"


def _lstm_options(rule: Any, pointers: dict[str, int]) -> tuple:
    peepholes = (pointers.get(name, 0) for name in ("Wpi", "Wpf", "Wpo"))
    limit = -1 if rule.cell_clip is None else rule.cell_clip
    return rule.forget_bias, limit, rule.cell_clip_gradient == "through", *peepholes


KERNEL_TABLE: dict[type, KernelRow] = {
    elman.ElmanRule: KernelRow(
        "elman.cuh", lambda rule, A: f"Elman<{A}>", "h", _elman_kept, {"activation": "tanh"}),
    gru.GRURule: KernelRow(
        "gru.cuh", lambda rule, A: f"GRU<{A}>", "r z n hn", _gru_kept, {"gate": "sigmoid", "candidate": "tanh"},
        reads_h=True),
    limited.LimitedRule: KernelRow(
        "limited.cuh", lambda rule, A: f"Limited<{A}>", "h", _limited_kept, {}, fields=(("limit", "A"),),
        options=lambda rule, pointers: (-1 if rule.clip is None else rule.clip,)),
    lstm.LSTMRule: KernelRow(
        "lstm.cuh", _lstm_cpp, "i f g o tc", _lstm_kept, {"gate": "sigmoid", "candidate": "tanh", "output": "tanh"},
        has_c=True, fields=(("forget_bias", "A"), ("cell_clip", "A"), ("through", "i4"),
                            *((name, _POINTER) for name in ("Wpi", "Wpf", "Wpo"))), options=_lstm_options),
}


def kernel_row_of(rule: Any) -> Any:
    """The KernelRow of a rule or of the class that replaces it on a GPU; None for all others.

    A subclass has none either: it may compute something else.
    """
    return KERNEL_TABLE.get(vars(type(rule)).get("plain", type(rule)))


def refuses_activations(who: str, options: Any, activations: dict[str, str]) -> Optional[str]:
    """None, or which activation of `options` the kernels do not have."""
    for option, name in activations.items():
        activation: Any = getattr(options, option)
        if activation.name != name or activation.clip:          # tanh and sigmoid have no other parameter
            return f"{option}={str(activation)!r}: the kernels of {who} have {name} only"
    return None
