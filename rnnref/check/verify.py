"""verify: is this engine's recurrent layer what it should be, forwards and backwards?  (floor 10)"""
from os import PathLike

import numpy

from ..errors import DtypeError, NotSupported
from .budget import FACTOR
from .measure import check_candidate
from .of_callable import wrap_callable
from .of_keras import wrap_keras
from .of_torch import wrap_torch
from .onnx_model import check_onnx


def verify(candidate, inputs, *, lengths=None, initial_state="random", reference=None, p=None, backward=None,
           reverse=False, padding="zero", gradients=True, seed=0, factor=FACTOR, dtype=None, perturb_biases=True,
           engine="onnxruntime", reading=None, progress=None):
    """Hold a candidate to the reference on these inputs: a `Report`.

    candidate      a torch.nn.RNN, LSTM or GRU (any layers, directions, projection) or one of their cells; a Keras
                   SimpleRNN, LSTM, GRU, RNN or Bidirectional; a path, ModelProto or NodeProto of ONNX; or a function
                   x -> y or (y, state), with `reference` and `p`
    inputs         x in the candidate's own layout (a function's is [T, B, I]), or its shape as a tuple, to be drawn;
                   for ONNX a dict by name
    lengths        [B] how many steps of each row are live: packed for torch, a mask for Keras
    initial_state  "random", "zero" (left out), or arrays as the candidate takes them
    reference, p   the cell of ours that a function should equal, and its parameters; `reverse` and `past` as in `run`
    backward       of a function: (dy, dstate) -> {"x": dx, "W": dW, ...}
    gradients      whether they are compared: of x, the first states and every weight, for random ones of all results
    factor         a candidate may err by so many times what the reference errs by in the same arithmetic
    dtype          "float64" checks a torch module as a copy in double precision, a function on arrays cast to it
    perturb_biases biases that are all zero hide mistakes: random ones in their place, in a copy
    engine         of ONNX: "onnxruntime", "onnx.reference", or a function of a case; `reading`: `rnnref.onnx.Reading`
    progress       (iterable, what) -> iterable, to watch a model of many nodes by
    Errors         NotSupported, ShapeError, DtypeError: what cannot be checked.  What the candidate itself raises is in
                   the report, as its refusal

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.GRU()
    >>> p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
    >>> def swapped(x, p):                        # a port that has taken r and z for each other
    ...     theirs = {n: np.concatenate(np.split(a, 3, -1)[1::-1] + np.split(a, 3, -1)[2:], -1) for n, a in p.items()}
    ...     return rnnref.loops.run(cell, theirs, x)[0]
    >>> report = verify(swapped, (5, 2, 3), reference=cell, p=p)
    >>> report.ok, report.rows[0].verdict, report.rows[0].where
    (False, 'differs', 't=0, row 0, unit 1')
    """
    rng = numpy.random.default_rng(seed)
    checks = {"gradients": gradients, "factor": factor, "perturb_biases": perturb_biases, "seed": seed}
    common = {"lengths": _check_lengths(lengths), "initial_state": initial_state, "dtype": dtype}
    kind = _detect_kind(candidate, reference)
    if kind == "onnx":
        _refuse_options(kind, lengths=lengths, reference=reference, p=p, backward=backward, reverse=reverse or None, dtype=dtype,
               initial_state=None if initial_state == "random" else initial_state)
        return check_onnx(candidate, inputs, rng, engine, reading, progress, checks)
    _refuse_options(kind, reading=reading, engine=None if engine == "onnxruntime" else engine)
    if kind == "function":
        subject = wrap_callable(candidate, inputs, reference, p, rng, backward=backward, reverse=reverse, padding=padding,
                                   **common)
    else:
        _refuse_options(kind, reference=reference, p=p, backward=backward, reverse=reverse or None,
               padding=None if padding == "zero" else padding)
        subject = {"torch": wrap_torch, "keras": wrap_keras}[kind](candidate, inputs, rng, **common)
    return check_candidate(subject, rng, **checks)


def assert_matches(candidate, inputs, **options):
    """`verify`, and `VerificationError` (an AssertionError that says what is wrong) unless all agrees: for tests.

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.LSTM()
    >>> p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
    >>> assert_matches(lambda x: rnnref.loops.run(cell, p, x)[0], (5, 2, 3), reference=cell, p=p).summary
    '1 agrees'
    """
    return verify(candidate, inputs, **options).raise_if_failed()


def _detect_kind(candidate, reference):
    """Which of the kinds of candidate this is."""
    homes = {cls.__module__.partition(".")[0] for cls in type(candidate).__mro__}
    if isinstance(candidate, (str, PathLike)) or "onnx" in homes:
        return "onnx"
    if "keras" in homes and reference is None:    # on its torch backend a layer is a torch module too
        return "keras"
    if "torch" in homes and reference is None and hasattr(candidate, "parameters"):
        return "torch"
    if callable(candidate):
        return "function"
    raise NotSupported("verify", f"a {type(candidate).__name__}",
                       known="recurrent layers of torch and Keras, ONNX files, models and nodes, functions")


def _refuse_options(kind, **options):
    """Refuse, by name, options that say nothing about this kind of candidate."""
    for name, value in options.items():
        if value is not None:
            raise NotSupported("verify", f"{name}= with {kind}", reason="it says nothing about such a candidate")


def _check_lengths(lengths):
    """An array of integers, or None."""
    if lengths is None:
        return None
    lengths = numpy.asarray(lengths)
    if lengths.dtype.kind not in "iu":
        raise DtypeError("verify", f"lengths has dtype {lengths.dtype}, expected integers")
    return lengths
