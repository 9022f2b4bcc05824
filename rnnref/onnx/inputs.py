"""Checks the inputs of an operator: names, shapes and dtypes.

Axes are words, as in `shapes`: `T B I H`, `D` directions, `G` gate blocks x H, `P` peepholes x H.
"""
from typing import Any, Optional

from ..arrays import Array, namespace
from ..errors import DeviceError, DtypeError, ShapeError
from ..shapes import Size, check_floating, expect
from .attributes import OPERATORS, Attributes, name_of

INPUTS = {"X": "T B I", "W": "D G I", "R": "D G H", "B": "D G+G", "sequence_lens": "B", "initial_h": "D B H",
          "initial_c": "D B H", "P": "D P"}
_OUTPUTS = {"Y": "T D B H", "Y_h": "D B H", "Y_c": "D B H"}
_BATCH_FIRST = {"X": "B T I", "initial_h": "B D H", "initial_c": "B D H", "Y": "B T D H", "Y_h": "B D H",
                "Y_c": "B D H"}


def _axes_of(name: str, attributes: Attributes) -> str:
    first = _BATCH_FIRST if attributes.layout else {}
    return first.get(name) or (INPUTS | _OUTPUTS)[name]


def inputs_of(op: str) -> list[str]:
    """The names of the inputs, in order."""
    return [name for name in INPUTS if op == "LSTM" or name not in ("initial_c", "P")]


def check_inputs(op: str, inputs: dict[str, Optional[Array]],
                 attributes: Attributes) -> tuple[dict[str, Array], dict[str, Size]]:
    """The inputs that are not None, and the size of every axis; raise unless they fit each other."""
    who, given = name_of(op), {name: a for name, a in inputs.items() if a is not None}
    odd, lacks = [n for n in given if n not in inputs_of(op)], [n for n in "XWR" if n not in given]
    if odd or lacks:
        raise ShapeError(who, f"{', '.join(odd or lacks)}: {'not an input' if odd else 'missing'}",
                         known=" ".join(inputs_of(op)))
    for name, a in given.items():
        _check_array(who, name, a, given["X"])
    sizes = _sizes_of(who, op, given, attributes)
    for name in ["R", *given]:                    # R first: the others are measured by it
        expect(who, name, given[name], _axes_of(name, attributes), sizes)
    if "sequence_lens" in given:
        _check_lengths(who, given["sequence_lens"], sizes["T"])
    return given, sizes


def _check_array(who: str, name: str, a: Any, X: Array) -> None:
    """Raise unless `a` is an array in main memory, of integers if it holds lengths, of the dtype of X otherwise."""
    if name == "sequence_lens":
        kind = a.dtype if hasattr(a, "dtype") else type(a).__name__
        if getattr(kind, "kind", "") not in ("i", "u"):
            raise DtypeError(who, f"sequence_lens is {kind}, expected an array of integers")
    else:
        check_floating(who, name, a)
        if a.dtype != X.dtype:
            raise DtypeError(who, f"{name} has dtype {a.dtype}, expected {X.dtype} as X has",
                             fix=f'say which: {name}.astype("{X.dtype}")')
    if namespace(a).__name__ != "numpy":
        raise DeviceError(who, f"{name} is on the GPU, and the operators run on NumPy arrays",
                          fix='move it first: rnnref.to("cpu", array)')


def _sizes_of(who: str, op: str, inputs: dict[str, Array], attributes: Attributes) -> dict[str, Size]:
    """The size of every axis, read off X and R."""
    for name in "XR":
        if inputs[name].ndim != 3:
            raise ShapeError(who, f"{name} has shape {inputs[name].shape}, expected 3 axes",
                             axes=f'{name} is "{_axes_of(name, attributes)}"')
    shape, gates, axes = inputs["X"].shape, OPERATORS[op].gates, _axes_of("X", attributes)
    H = attributes.hidden_size or inputs["R"].shape[-1]
    sizes = {letter: Size(n, f"from X, shape {shape} with layout={attributes.layout}")
             for letter, n in zip(axes.split(), shape)}
    if not sizes["T"].n:
        raise ShapeError(who, f"X has shape {shape}: no steps", axes=f'X is "{axes}" with T = 0')
    return sizes | {"D": Size(attributes.directions, f"direction={attributes.direction!r}"), "U": Size(H),
                    "P": Size(3 * H, "3 peepholes i o f x H"),
                    "H": Size(H, "hidden_size" if attributes.hidden_size else f"from R, shape {inputs['R'].shape}"),
                    "G": Size(len(gates) * H, f"{len(gates)} gates {' '.join(gates)} x H" if len(gates) > 1 else "")}


def _check_lengths(who: str, lengths: Array, T: Size) -> None:
    if ((lengths < 0) | (lengths > T.n)).any():
        raise ShapeError(who, f"sequence_lens is {lengths.tolist()}, expected each from 0 to {T.n}",
                         axes=f"T = {T.n} ({T.origin})")


def check_output_gradient(op: str, name: str, d: Optional[Array], X: Array, attributes: Attributes,
                          sizes: dict[str, Size]) -> None:
    """Raise unless `d`, the gradient of the output `name`, has its shape and dtype."""
    if d is None:
        return
    who = name_of(op)
    if name == "Y_c" and op != "LSTM":
        raise ShapeError(who, "dY_c is given, and there is no Y_c")
    _check_array(who, f"d{name}", d, X)
    expect(who, f"d{name}", d, _axes_of(name, attributes), sizes)
