"""Nodes on which onnxruntime reads memory that is not its own, or ends the whole process: it is not given these.

Which versions do was measured, each node in a process of its own.
"""
import re
from collections.abc import Mapping
from typing import Any

from ..arrays import Array

_BLOCKS = {"RNN": 1, "GRU": 3, "LSTM": 4}         # of W and R, one for each sum
_ZERO_LENGTHS_SINCE, _FEW_SCALES_SINCE = (1, 26), (1, 29)


def find_overrun(version: str, op: str, attributes: Mapping[str, Any],
                 shapes: Mapping[str, tuple[int | None, ...] | None], lengths: Array | None = None) -> str:
    """Why onnxruntime of this version must not run an RNN, GRU or LSTM; "" if nothing is known against it.

    shapes    of inputs by the names of the specification; None: not known, of an array or of one axis
    lengths   sequence_lens, if they are known
    """
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    misfit = _find_misfit(_BLOCKS[op], directions, attributes.get("hidden_size"), shapes)
    if misfit or op != "RNN":
        return misfit
    major, minor = map(int, re.findall(r"\d+", version)[:2])
    for name in ("activation_alpha", "activation_beta"):
        count = len(attributes.get(name, (0,) * directions))
        if count < directions and (major, minor) < _FEW_SCALES_SINCE:
            return _describe(version, f"the end of {name}, {count} for {directions} directions", _FEW_SCALES_SINCE)
    steps = (shapes.get("X") or (None,))[0]
    if ((steps == 0 or lengths is not None and (lengths == 0).any()) and attributes.get("direction") != "reverse"
            and (major, minor) < _ZERO_LENGTHS_SINCE):
        return _describe(version, "the beginning of Y for a sequence of length 0", _ZERO_LENGTHS_SINCE)
    return ""


def _find_misfit(blocks: int, directions: int, hidden: int | None, shapes: Mapping[str, tuple | None]) -> str:
    """X, W or R whose shape is none that the operator has: before 1.31 these end the process."""
    x = shapes.get("X")
    width = x[2] if x is not None and len(x) == 3 else None
    rows = blocks * hidden if hidden else None
    for name, expected in {"X": (None, None, None), "W": (directions, rows, width),
                           "R": (directions, rows, hidden)}.items():
        shape = shapes.get(name)
        if shape is not None and (len(shape) != 3 or any(
                None not in (n, m) and n != m for n, m in zip(shape, expected))):
            return f"{name} has shape {_show(shape)}, expected {_show(expected)}"
    return ""


def _show(shape: tuple[int | None, ...]) -> str:
    return str(shape).replace("None", "?")


def _describe(version: str, where: str, since: tuple[int, int]) -> str:
    return f"onnxruntime {version} reads beyond {where}; since {since[0]}.{since[1]} it does not"
