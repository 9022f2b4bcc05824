"""One step of a rule in one kernel: the boundary between Python and pointwise.cu.

    refuses(rule)                                               -> None, or the reason; no array is looked at
    forward(rule, p, ax, ah, s, live=None, out=None, keep=True) -> y, new, kept
    backward(rule, p, kept, dy, dnew, live=None, out=None)      -> dax, dah, ds, dp
    kept_shape(rule, lead, n)                                   -> (*lead, k, n), the shape of the intermediates
    kept_views(rule, array, s, new)                             -> the rule's Kept, of such an array and the states
    parameter_names(rule)                                       -> parameters, one for each block of dp: the peepholes

Arrays are CuPy's, [*lead, blocks x n] and [*lead, n]: all leading axes are rows.  `s`, `new`, `dnew`, `ds` and `kept`
are the rule's own named tuples.  Each call is one launch; nothing is synchronised or copied between host and device.

Types     W  ax ah, h y dy and the gradient of h     float64, float32, float16 or bfloat16, one of them throughout
          S  `sent`, dax and dah                     W; or 16 bits beside W = float32: operands of the next product
          A  c, kept, dc, dp, peepholes              float64 beside float64, else float32
ah        0 and None are zero (where another rule holds this one, ax is the sum)
live      bool, [*lead] or its first axes; None: all.  A dead row copies its state, outputs zero and keeps zero; on the
          way back its gates get zero and the gradient of its state passes.  Its entries of ax, ah and dy are not read
dy, dnew  None, and None inside dnew, is zero
keep      False: kept is None and is not written
ds        State(h, c).  h is None where the rule reads the old h through its map alone (LSTM, SimpleRNN), but with
          `live` an array: zero where live, passed through where not.  dah R' is still to be added (a product, beta = 1)
dah       is dax itself for rules that read only the sum ax + ah (LSTM, SimpleRNN)

out       {name: array}: results to write to, so that a loop allocates nothing; what is missing is allocated:
            forward   y, h, c, kept, sent     y only beside `live`: without, y is h, and out["y"] gets a second copy;
                                              kept has the shape `kept_shape`; sent, only if given: the new h in S
            backward  dax, dah, dh, dc, dp    dax and dah may be S while dy is W; dp [*lead, parameters, n] in A
          C-contiguous.  A result may overwrite the argument that it comes from, entry by entry: c over s.c and h over
          s.h (if kept is not needed later), dh over dnew.h, dc over dnew.c.
Under stream capture give every result in `out`, and peepholes in A: then no temporary array is made.

launch    what to call in the place of `launch`, with (kernel, arrays, fields, options): loops collect their launches so
"""
from typing import Any, Callable, Optional

import numpy

from ..arrays import Array, is_array
from ..cell import State
from ..errors import NotSupported, ShapeError
from .kernel_table import KernelRow, kernel_row_of, refuses_activations
from .launch import LaunchArrays, arithmetic_dtype, launch, why_no_compiler
from .source import CPP_TYPES, Kernel


def refuses(rule: Any) -> Optional[str]:
    """None, or why no kernel computes this rule."""
    row = kernel_row_of(rule)
    if row is None:
        return f"no kernel has been written for {rule.name}"
    return why_no_compiler() or refuses_activations(rule.name, rule, row.activations)


def forward(rule: Any, p: dict, ax: Array, ah: Any, s: State, live: Optional[Array] = None, out: Optional[dict] = None,
            keep: bool = True, launch: Callable = launch) -> tuple[Array, State, Any]:
    """One step: -> y, new, kept.  The docstring of the module has the details."""
    row, who = require_kernel(rule), rule.name
    lead, n = _split_shape(who, rule, ax)
    arrays = LaunchArrays(who, ax, out, live, lead, n)
    flat, W = (*lead, n), ax.dtype
    A = arithmetic_dtype(who, W)
    S = arrays.operand_dtype("sent", W)
    arrays.add_input("ax", ax, ax.shape, W)
    arrays.add_input("ah", ah if is_array(ah) else None, ax.shape, W)        # 0 beside a sum
    arrays.add_input("h0", s.h if row.reads_h or live is not None else None, flat, W)
    h = arrays.add_output("h", flat, W)
    y = arrays.add_output("y", flat, W) if live is not None or "y" in arrays.out else h
    c = None
    if row.has_c:
        arrays.add_input("c0", s.c, flat, A)
        c = arrays.add_output("c", flat, A)
    kept = arrays.add_output("kept", kept_shape(rule, lead, n), A) if keep else None
    arrays.add_output("sent", flat, S) if "sent" in arrays.out else None
    launch(make_kernel("Forward", rule, row, A, S, W), arrays, row.fields, pack_options(rule, row, p, A, arrays))
    new = rule.State(h, c) if row.has_c else rule.State(h)
    return y, new, kept_views(rule, kept, s, new) if keep else None


def backward(rule: Any, p: dict, kept: Any, dy: Optional[Array], dnew: State, live: Optional[Array] = None,
             out: Optional[dict] = None, launch: Callable = launch) -> tuple[Array, Array, State, dict]:
    """Back through one step: -> dax, dah, ds, dp.  The docstring of the module has the details."""
    row, who = require_kernel(rule), rule.name
    *lead, n = flat = kept[0].shape
    arrays, A = LaunchArrays(who, kept[0], out, live, tuple(lead), n), kept[0].dtype
    W = next((a.dtype for a in (dy, dnew.h, arrays.out.get("dh")) if a is not None),
             kept.h0.dtype if row.reads_h else A)
    S = arrays.operand_dtype("dax", W)
    arrays.add_kept(row.kept, kept, A)
    arrays.add_input("c0", kept.c0 if row.has_c else None, flat, A)
    arrays.add_input("c", kept.c if reads_new_c(rule) else None, flat, A)
    arrays.add_input("h0", kept.h0 if row.reads_h else None, flat, W)
    arrays.add_input("dy", dy, flat, W)
    arrays.add_input("dh", dnew.h, flat, W)
    dax = dah = arrays.add_output("dax", (*lead, len(rule.gates) * n), S)
    if not rule.is_additive:
        dah = arrays.add_output("dah", dax.shape, S)
    ds = [arrays.add_output("dh", flat, W, "dh0") if row.reads_h or live is not None else None]
    if row.has_c:
        arrays.add_input("dc", dnew.c, flat, A)
        ds.append(arrays.add_output("dc", flat, A, "dc0"))
    names = parameter_names(rule)
    dp: Any = arrays.add_output("dp", (*lead, len(names), n), A) if names else None
    launch(make_kernel("Backward", rule, row, A, S, W), arrays, row.fields, pack_options(rule, row, p, A, arrays))
    return dax, dah, rule.State(*ds), {name: dp[..., j, :] for j, name in enumerate(names)}


def kept_shape(rule: Any, lead: tuple, n: int) -> tuple:
    """The shape of the array of intermediates."""
    return (*lead, require_kernel(rule).kept_count, n)


def kept_views(rule: Any, array: Array, s: State, new: State) -> Any:
    """The rule's Kept: views of that array, and what it has of the states before and after."""
    row = require_kernel(rule)
    return row.views([array[..., j, :] for j in range(row.kept_count)], s, new)


def parameter_names(rule: Any) -> tuple[str, ...]:
    """The parameters that have a gradient, in the order of the blocks of `dp`."""
    return tuple(rule.axes())


def require_kernel(rule: Any) -> KernelRow:
    """The row of a rule in the table of kernels; raise NotSupported, with the reason, if no kernel computes it."""
    why, row = refuses(rule), kernel_row_of(rule)
    if why or row is None:
        raise NotSupported("CUDA kernels", str(why), fix="the plain rule computes it: kernels=False")
    return row


def reads_new_c(rule: Any) -> bool:
    """True if the backward kernel reads the new c, as for a peephole of o and for a clip."""
    return getattr(rule, "peepholes", False) or getattr(rule, "cell_clip", None) is not None


def _split_shape(who: str, rule: Any, ax: Array) -> tuple[tuple, int]:
    """The leading axes and the number of units of an array of all gate blocks."""
    *lead, width = ax.shape
    n, left = divmod(width, len(rule.gates))
    if left:
        raise ShapeError(who, f"ax has shape {ax.shape}, expected {len(rule.gates)} blocks ({' '.join(rule.gates)})")
    return tuple(lead), n


def pack_options(rule: Any, row: KernelRow, p: dict, A: numpy.dtype, arrays: Any) -> tuple:
    """The values of the struct of the rule: its options, and the addresses of its parameters."""
    return row.options(rule, {name: arrays.add_parameter(name, p[name], A) for name in parameter_names(rule)})


def make_kernel(args: str, rule: Any, row: KernelRow, A: numpy.dtype, S: numpy.dtype, W: numpy.dtype) -> Kernel:
    """The kernel of the struct `args`, "Forward" or "Backward", for this rule and these dtypes."""
    return Kernel("pointwise.cu", args, A.name, S.name, W.name, row.cpp(rule, CPP_TYPES[A.name]), row.header)
