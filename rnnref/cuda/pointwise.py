"""One step of a rule in one kernel: the boundary between Python and pointwise.cu.  (floor 5)

    refuses(rule) -> None, or the reason in words            no array is looked at and nothing is imported
    forward(rule, p, ax, ah, s, live=None, out=None, keep=True)      -> y, new, kept
    backward(rule, p, kept, dy, dnew, live=None, out=None)           -> dax, dah, ds, dp
    buffer(rule, lead, n) -> shape of the array that holds what is kept: (*lead, k, n)
    views(rule, array, s, new) -> the rule's Kept, of such an array and the states before and after
    names(rule) -> the parameters whose gradients `dp` has, in the order of its blocks: () but for peepholes

Arrays are CuPy's, [*lead, blocks x n] and [*lead, n]: all leading axes are rows.  `s`, `new`, `dnew`, `ds` and `kept`
are the rule's own named tuples.  One launch each, nothing is synchronised, nothing crosses the bus.

Types     W  ax ah, h y dy and the gradient of h     float64, float32, float16 or bfloat16, one of them throughout
          S  `sent`, dax and dah                     W; or 16 bits beside W = float32: what the next product takes
          A  c, kept, dc, dp, peepholes              float64 beside float64, else float32
ah        0 and None are zero (a rule that holds this one gives it the sum)
live      bool, [*lead] or its first axes; None: all.  A dead row copies its state, outputs zero and keeps zero; on the
          way back its gates get zero and the gradient of its state passes.  What it has in ax, ah, dy is not read
dy, dnew  None, and None inside dnew, is zero
keep      False: kept is None and is not written
ds        State(h, c).  h is None where the rule sees the old h through its map alone (LSTM, Elman), but with `live` an
          array: zero where live, passed through where not.  dah R' is still to be added (a product with beta = 1)
dah       is dax itself for rules of the sum (LSTM, Elman)

out       a dict of arrays to write to, so that a loop allocates nothing; what it lacks is made:
            forward   y, h, c, kept, sent     y only beside `live`: without, y is h, and out["y"] gets a second copy;
                                              kept has the shape of `buffer`; sent, only if given: the new h in S
            backward  dax, dah, dh, dc, dp    dax and dah may be S while dy is W; dp [*lead, len(names(rule)), n] in A
          C-contiguous.  A result may overwrite the argument that it comes from, entry by entry: c over s.c and h over
          s.h (if kept is not needed later), dh over dnew.h, dc over dnew.c.
Under stream capture give every result by `out`, and peepholes in A: no temporary is made then.

launch    what to do instead of launching, with (kernel, hold, fields, options): a loop makes its launches ready at once
"""
from typing import Any

from ..arrays import is_array
from ..errors import NotSupported, ShapeError
from .hold import LaunchArrays, arithmetic_dtype
from .kernel_table import kernel_row_of, refuses_activations
from .launch import launch, why_no_compiler
from .source import CPP_TYPES, Kernel


def refuses(rule):
    """None, or why no kernel does what this rule does."""
    text = kernel_row_of(rule)
    if text is None:
        return f"no kernel has been written for {type(rule).__name__}"
    return why_no_compiler() or refuses_activations(plain_name(rule), rule, text.activations)


def forward(rule, p, ax, ah, s, live=None, out=None, keep=True, launch=launch):
    """One step: -> y, new, kept.  See the head of this file."""
    text, who = require_kernel(rule), plain_name(rule)
    lead, n = _split_shape(who, rule, ax)
    hold = LaunchArrays(who, ax, out, live, lead, n)
    flat, W = (*lead, n), ax.dtype
    A = arithmetic_dtype(who, W)
    S = hold.operand_dtype("sent", W)
    hold.take("ax", ax, ax.shape, W)
    hold.take("ah", ah if is_array(ah) else None, ax.shape, W)                # 0 beside a sum
    hold.take("h0", s.h if text.reads_h or live is not None else None, flat, W)
    h = hold.make("h", flat, W)
    y = hold.make("y", flat, W) if live is not None or "y" in hold.out else h
    c = None
    if text.has_c:
        hold.take("c0", s.c, flat, A)
        c = hold.make("c", flat, A)
    kept = hold.make("kept", kept_shape(rule, lead, n), A) if keep else None
    hold.make("sent", flat, S) if "sent" in hold.out else None
    launch(make_kernel("Forward", rule, text, A, S, W), hold, text.fields, pack_options(rule, text, p, A, hold))
    new = rule.State(h, c) if text.has_c else rule.State(h)
    return y, new, kept_views(rule, kept, s, new) if keep else None


def backward(rule, p, kept, dy, dnew, live=None, out=None, launch=launch):
    """The same step back: -> dax, dah, ds, dp.  See the head of this file."""
    text, who = require_kernel(rule), plain_name(rule)
    *lead, n = flat = kept[0].shape
    hold, A = LaunchArrays(who, kept[0], out, live, tuple(lead), n), kept[0].dtype
    W = next((a.dtype for a in (dy, dnew.h, hold.out.get("dh")) if a is not None), kept.h0.dtype if text.reads_h else A)
    S = hold.operand_dtype("dax", W)
    hold.add_kept(text.kept, kept, A)
    hold.take("c0", kept.c0 if text.has_c else None, flat, A)
    hold.take("c", kept.c if reads_new_c(rule) else None, flat, A)
    hold.take("h0", kept.h0 if text.reads_h else None, flat, W)
    hold.take("dy", dy, flat, W)
    hold.take("dh", dnew.h, flat, W)
    dax = dah = hold.make("dax", (*lead, len(rule.gates) * n), S)
    if not rule.is_additive:
        dah = hold.make("dah", dax.shape, S)
    ds = [hold.make("dh", flat, W, "dh0") if text.reads_h or live is not None else None]
    if text.has_c:
        hold.take("dc", dnew.c, flat, A)
        ds.append(hold.make("dc", flat, A, "dc0"))
    named = parameter_names(rule)
    dp: Any = hold.make("dp", (*lead, len(named), n), A) if named else None
    launch(make_kernel("Backward", rule, text, A, S, W), hold, text.fields, pack_options(rule, text, p, A, hold))
    return dax, dah, rule.State(*ds), {name: dp[..., j, :] for j, name in enumerate(named)}


def kept_shape(rule, lead, n):
    """The shape of the array that holds what is kept."""
    return (*lead, require_kernel(rule).stored, n)


def kept_views(rule, array, s, new):
    """The rule's Kept: views of that array, and of the states before and after what it sees of them."""
    text = require_kernel(rule)
    return text.views([array[..., j, :] for j in range(text.stored)], s, new)


def parameter_names(rule):
    """The parameters that have a gradient, in the order of the blocks of `dp`."""
    return tuple(rule.axes())


def require_kernel(rule):
    """The row of a rule that the kernels can do."""
    why = refuses(rule)
    if why:
        raise NotSupported("CUDA kernels", why, fix="the plain rule does it: kernels=False")
    return kernel_row_of(rule)


def plain_name(rule):
    return getattr(type(rule), "plain", type(rule)).__name__


def reads_new_c(rule):
    """Whether the way back looks at the new c: a peephole of o does, and the clip."""
    return getattr(rule, "peepholes", False) or bool(getattr(rule, "cell_clip", None))


def _split_shape(who, rule, ax):
    """The leading axes and the number of units, read off an array of all gate blocks."""
    *lead, width = ax.shape
    n, left = divmod(width, len(rule.gates))
    if left:
        raise ShapeError(who, f"ax has shape {ax.shape}, expected {len(rule.gates)} blocks ({' '.join(rule.gates)})")
    return tuple(lead), n


def pack_options(rule, row, p, A, arrays):
    """The values of the rule's struct: what it was made with, and where its parameters are."""
    return row.options(rule, {name: arrays.parameter(name, p[name], A) for name in parameter_names(rule)})


def make_kernel(args, rule, row, A, S, W):
    return Kernel("pointwise.cu", args, A.name, S.name, W.name, row.cpp(rule, CPP_TYPES[A.name]), row.header)
