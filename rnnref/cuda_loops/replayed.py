"""The path `replayed`: the steps of `stepped` when a kind of sequence first comes, after that the graph of `graphed`.

A capture takes as long as several calls, and from then on the host launches all steps at once.  On an H200, training an
LSTM of 1024 units on 64 rows and 512 steps in bf16 takes 25 ms step by step and 11 ms by a graph, whose capture took
another 55 ms: so a sequence of which no second one follows is not captured.  Results agree to the bit.

Which sequences gain is decided by choice.why_no_graph; what a graph holds while it is idle, by graphed.py.
"""
from collections import OrderedDict
from threading import Lock
from typing import Any, Collection, Optional

from ..arrays import Array, namespace
from ..cell import ALL
from ..tree import Tree
from . import choice, graphed, stepped

_REMEMBERED = 256                                 # kinds of sequences
_LOCK, _CAME = Lock(), OrderedDict[Any, None]()   # the kinds that came, the last one at the end


def refuses(cell: Any, call: Any) -> Optional[str]:
    """None, or why this path does not run this cell or gains nothing with these sizes."""
    return graphed.refuses(cell, call) or choice.why_no_graph(choice.problem_of(cell, call, None))


def forward(cell: Any, p: Tree, xs: Array, s: Any, extra: Tree = None, live: Optional[Array] = None,
            reverse: bool = False, keep: Any = True) -> tuple[Array, Any, Any]:
    """xs [T, B, I], live [T, B] or None -> ys [T, B, H], the last state, a tape of the path that ran."""
    can_capture = graphed.why_no_stream(namespace(xs)) is None
    path = graphed if can_capture and _came_before(graphed.kind_of(cell, xs, s, live, reverse, keep)) else stepped
    return path.forward(cell, p, xs, s, extra, live, reverse, keep)


def backward(tape: Any, dys: Array, ds: Any, wanted: Collection[str] = ALL) -> tuple:
    """Gradients of the inputs, of the first state, None, and of the parameters."""
    return (graphed if isinstance(tape, graphed.Tape) else stepped).backward(tape, dys, ds, wanted)


def _came_before(kind: Any) -> bool:
    """True if a sequence of this kind came before; it is remembered."""
    with _LOCK:
        before = kind in _CAME
        _CAME[kind] = None
        _CAME.move_to_end(kind)
        if len(_CAME) > _REMEMBERED:
            _CAME.popitem(last=False)
    return before


def clear() -> None:
    """Forget which kinds of sequences came."""
    with _LOCK:
        _CAME.clear()
