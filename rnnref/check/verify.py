"""verify: compare a recurrent layer with the reference, forward and backward."""
from collections.abc import Callable
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import Any

import numpy

from ..arrays import Array
from ..cpu.blas import limit_threads
from ..errors import DtypeError, NotSupported
from ..interop.containers import unwrap
from ..interop.identify import framework_of, identify
from ..onnx.reading import Reading
from ..options import named_arguments
from ..tree import Tree
from .budget import FACTOR
from .candidate import is_option
from .export import compare_with_module
from .measure import check_candidate
from .of_callable import wrap_callable
from .of_jax import wrap_haiku, wrap_jax
from .of_jax_model import check_jax_model
from .of_keras import wrap_keras
from .of_keras_model import check_keras_model
from .of_torch import wrap_torch
from .of_torch_model import check_torch_model
from .onnx_model import check_onnx
from .report import Report
from .reproduce import describe_call


@named_arguments
def verify(candidate: Any, inputs: Any, *, lengths: Any = None, initial_state: Any = "both", reference: Any = None,
           p: Tree = None, backward: Callable | None = None, reverse: bool = False, padding: str = "zero",
           gradients: bool = True, seed: int = 0, factor: float = FACTOR, dtype: Any = None,
           perturb_biases: bool = True, engine: str | Callable = "onnxruntime", reading: Reading | None = None,
           progress: Callable | None = None, strict: bool = False, like: Any = None) -> Report:
    """Compare a recurrent layer with the reference on the given inputs, and return a `Report`.

    What is compared: all outputs, the last states and, by a backward pass with random gradients of all of these, the
    gradients of the inputs, the initial states and every weight.  The reference is the same cell of rnnref, with the
    candidate's weights, in float64 (in longdouble for a candidate in float64).

    Calls: the candidate gets copies of all arrays.  It is called a second time on other numbers, without an initial
    state if it can do without one, and a third time on the first numbers.  One that changes its arguments, overwrites
    what it has returned, or returns something else on the same numbers, differs.

    Budget: an array agrees if it has the dtype expected and every entry is within `factor` times the error that the
    reference itself makes on this case, in the same row and up to the same step: in the candidate's dtype, in two
    orders of operations, and with all inputs and weights perturbed by up to one ulp.  From the step on at which these
    errors grow as large as the values (a chaotic recurrence) the entries are "not comparable": they differ only if they
    are not finite, or larger than the reference could be.

    Why: where results differ, mistakes in conventions are tried on the reference, one and two at a time: the order,
    transposition and biases of gate blocks, activations, layer normalisation, states, lengths, axes, directions, in all
    layers or in some.  One that explains all results, on fresh numbers too, is the first finding: "Agrees to 3e-7 in
    outputs and states once in layer 1 ...".  Where only gradients differ, backward passes that lack one term are tried.

    Result: `report.ok` (also `bool(report)`) is True if at least one result agrees, and none differs or was refused;
    `report.status` is 0 then, 1 if something differs, 2 if nothing could be compared.  `report.raise_if_failed()`
    raises `VerificationError` unless it is ok.  What the candidate itself raises is no error of `verify`: it is a row
    "refused".

    candidate       a torch.nn.RNN, LSTM or GRU (any number of layers, directions, projection) or one of their cells;
                    a Keras SimpleRNN, LSTM, GRU, ConvLSTM, RNN or Bidirectional; a model of torch or Keras that has
                    some in it: each is checked on what it receives there; an RNN, Bidirectional or cell of flax (linen
                    with its variables as `p`, or bound) or a model of it, a cell of equinox, a transformed
                    function of haiku with its parameters as `p`; an ONNX file, ModelProto or NodeProto; or a
                    function x -> y or (y, state), with `reference` and `p`
    inputs          x in the layout of the candidate (for a function [T, B, I]), or its shape as a tuple of integers for
                    random numbers; several in a list or tuple, or in a dict by name, for a model that takes several;
                    for ONNX a dict by name, and inputs of a model that are missing are drawn
    lengths         [B], the number of valid steps of each row: a packed sequence for torch, a mask for Keras
    initial_state   "both": random ones, and none in the second call; "random"; "zero" (the candidate gets none); or
                    arrays in the layout of the candidate
    reference, p    the cell of rnnref that a function should equal, and its parameters
    reverse, padding  of a function, as in `run`
    backward        of a function, its backward pass: (dy, dstate) -> {"x": dx, "W": dW, ...}
    gradients       False compares results only
    seed            of all random numbers
    factor          a positive number: how much more than the reference a candidate may err
    strict          True: a report is ok only if all entries could be compared
    dtype           "float64" checks a copy of a torch module in double precision, or a function on arrays of this dtype
    perturb_biases  True checks a copy with random biases if all are zero: zero biases hide mistakes
    engine          of ONNX: "onnxruntime", "onnx.reference", or a function of a case; `reading`: `rnnref.onnx.Reading`
    like            of an ONNX model, the live module that it was exported from: weights, options and outputs of the
                    file must be those of the module
    progress        (iterable, name) -> iterable, called to show progress where a check takes long: over the layers or
                    nodes of a model, runs that measure rounding, and causes of a difference
    Errors          NotSupported, ShapeError, DtypeError: the candidate or the inputs cannot be checked

    A port of a GRU that has exchanged the gates r and z:

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.GRU()
    >>> p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
    >>> def ported_gru(x, p):
    ...     exchanged = {}
    ...     for name, a in p.items():
    ...         r, z, n = np.split(a, 3, axis=-1)
    ...         exchanged[name] = np.concatenate([z, r, n], axis=-1)
    ...     return rnnref.run(cell, exchanged, x)[0]
    >>> report = verify(ported_gru, (5, 2, 3), reference=cell, p=p)
    >>> print(report.headline)
    ported_gru differs from the reference in the one array that was compared.
    >>> report.ok, report.rows[0].verdict, report.rows[0].where
    (False, 'differs', 't=0, row 0, unit 1')
    """
    _check_options(seed=seed, factor=factor, dtype=dtype)
    _check_kinds({"reverse": reverse, "gradients": gradients, "perturb_biases": perturb_biases, "strict": strict},
                 {"backward": backward, "progress": progress})
    rng = numpy.random.default_rng(seed)
    checks: dict[str, Any] = {"gradients": gradients, "factor": factor, "perturb_biases": perturb_biases, "seed": seed,
                              "strict": strict, "progress": progress}
    common = {"lengths": _check_lengths(lengths), "initial_state": initial_state, "dtype": dtype}
    kind = _detect_kind(candidate, reference)
    given = {"initial_state": initial_state, "lengths": lengths, "reference": reference, "p": p, "backward": backward,
             "reverse": reverse, "padding": padding, "gradients": gradients, "factor": factor, "dtype": dtype,
             "perturb_biases": perturb_biases, "engine": engine, "reading": reading, "strict": strict, "like": like}

    def complete(report: Report, form: str) -> Report:
        if report.arrays:
            report.call = describe_call(candidate, report.arrays, form, _select_given(given) | {"seed": int(seed)})
        return report
    if kind == "onnx":
        default = is_option(initial_state, "both") or is_option(initial_state, "random")
        _refuse_options(kind, lengths=lengths, reference=reference, p=p, backward=backward, reverse=reverse or None,
                        dtype=dtype, initial_state=None if default else initial_state)
        with limit_threads():
            report = check_onnx(candidate, inputs, rng, engine, reading, checks)
            report = report if like is None else compare_with_module(report, candidate, like, inputs, rng)
        return complete(report, "names")
    _refuse_options(kind, reading=reading, like=like, engine=None if engine == "onnxruntime" else engine)
    if kind == "function":
        wrapped = wrap_callable(candidate, inputs, reference, p, rng, backward=backward, reverse=reverse,
                                padding=padding, **common)
    elif kind == "jax":
        _refuse_options(kind, reference=reference, backward=backward, reverse=reverse or None,
                        padding=None if padding == "zero" else padding)
        if identify(candidate).kind == "transformed":
            wrapped = wrap_haiku(candidate, inputs, rng, p, **common)
        elif identify(candidate).kind == "model":
            with limit_threads():
                report = check_jax_model(candidate, inputs, rng, **common, params=p, checks=checks)
            return complete(report, _describe_form(inputs, report))
        else:
            wrapped = wrap_jax(candidate, inputs, rng, params=p, **common)
    else:
        _refuse_options(kind, reference=reference, p=p, backward=backward, reverse=reverse or None,
                        padding=None if padding == "zero" else padding)
        if identify(unwrap(candidate)).kind == "model":
            check: Any = {"torch": check_torch_model, "keras": check_keras_model}[kind]
            with limit_threads():
                report = check(candidate, inputs, rng, **common, checks=checks)
            return complete(report, _describe_form(inputs, report))
        wrapped = (wrap_torch if kind == "torch" else wrap_keras)(candidate, inputs, rng, **common)
    with limit_threads():                         # products of single steps are too small for several threads
        return complete(check_candidate(wrapped, rng, **checks), "x")


def _select_given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that are not as they are by default."""
    defaults = {name: q.default for name, q in signature(verify).parameters.items()}
    return {name: value for name, value in options.items()
            if not (value is defaults[name] or isinstance(value, (str, bool, int, float)) and value == defaults[name])}


def _describe_form(inputs: Any, report: Report) -> str:
    """How the inputs of a model were given."""
    return "names" if isinstance(inputs, dict) else "one" if len(report.arrays) == 1 else "several"


def assert_matches(candidate: Any, inputs: Any, **options: Any) -> Report:
    """`verify` for tests: return the report if it is ok, else raise `VerificationError`, an AssertionError.

    candidate, inputs, options   as of `verify`
    Errors                       VerificationError with the findings and the rows that differ; those of `verify`

    >>> import numpy as np, rnnref
    >>> cell = rnnref.cells.LSTM()
    >>> p = rnnref.init.parameters(cell, 3, 4, np.random.default_rng(0))
    >>> def ported_lstm(x):
    ...     return rnnref.run(cell, p, x)[0]
    >>> assert_matches(ported_lstm, (5, 2, 3), reference=cell, p=p)
    <Report ported_lstm: 1 agrees>
    """
    return verify(candidate, inputs, **options).raise_if_failed()


def _detect_kind(candidate: Any, reference: Any) -> str:
    """The kind of a candidate: "torch", "keras", "onnx" or "function"."""
    packages = {cls.__module__.partition(".")[0] for cls in type(candidate).__mro__}
    if isinstance(candidate, (str, PathLike)) or "onnx" in packages:
        _refuse_weights(candidate)
        return "onnx"
    if "keras" in packages and reference is None:  # before torch: on its torch backend a layer is a torch module too
        return "keras"
    if "torch" in packages and reference is None and hasattr(candidate, "parameters"):
        return "torch"
    if framework_of(candidate) in ("flax", "nnx", "equinox", "haiku") and reference is None:
        return "jax"
    if callable(candidate):
        return "function"
    raise NotSupported("verify", f"a candidate of type {type(candidate).__name__}",
                       known="recurrent layers of torch and Keras, ONNX files, models and nodes, functions")


def _refuse_weights(path: Any) -> None:
    """Raise `NotSupported` for files that hold weights and no ONNX model."""
    suffix = Path(path).suffix.lower() if isinstance(path, (str, PathLike)) else ""
    if suffix in (".keras", ".h5", ".hdf5", ".npz", ".npy", ".safetensors", ".pt", ".pth"):
        load = {".keras": "keras.models.load_model(path)", ".h5": "keras.models.load_model(path)"}.get(suffix, "")
        raise NotSupported("verify", f"the file {path}",
                           reason="it holds weights, and what computes with them is checked",
                           fix=f"verify({load or 'the layer or model with these weights'}, x); weights alone: "
                               "interop.find_weights(path)")


_REASONS = {"lengths": "an ONNX model has its lengths among its inputs",
            "initial_state": "an ONNX model has its initial states among its inputs",
            "dtype": "ONNX operators are checked in float32",
            "like": "it is an option of ONNX models; for two layers: rnnref.compare",
            "reading": "it is an option of ONNX candidates", "engine": "it is an option of ONNX candidates"}


def _refuse_options(kind: str, **options: Any) -> None:
    """Raise `NotSupported` for options that do not apply to this kind of candidate."""
    for name, value in options.items():
        if value is not None:
            raise NotSupported("verify", f"{name}= with {kind}",
                               reason=_REASONS.get(name, "it is an option of functions"))


def _check_options(seed: Any, factor: Any, dtype: Any) -> None:
    """Raise an error of rnnref for options that have no sense."""
    if isinstance(seed, bool) or not isinstance(seed, (int, numpy.integer)) or seed < 0:
        raise NotSupported("verify", f"seed={seed!r}", known="an integer, 0 or more")
    if isinstance(factor, bool) or not isinstance(factor, (int, float, numpy.floating)) or \
            not 0 < factor < numpy.inf:
        raise NotSupported("verify", f"factor={factor!r}", known="a positive finite number")
    if dtype is not None and _find_dtype(dtype) not in ("float32", "float64"):
        raise NotSupported("verify", f"dtype={dtype!r}", known='"float32", "float64"')


def _check_kinds(flags: dict[str, Any], functions: dict[str, Any]) -> None:
    """Raise for flags that are no bool and functions that cannot be called."""
    for name, value in flags.items():
        if not isinstance(value, (bool, numpy.bool_)):
            raise NotSupported("verify", f"{name}={value!r}", known="True, False")
    for name, value in functions.items():
        if value is not None and not callable(value):
            raise NotSupported("verify", f"{name}={value!r}", known="a function, None")


def _find_dtype(dtype: Any) -> str:
    """The name of a dtype; "" if it is none."""
    try:
        return numpy.dtype(dtype).name
    except TypeError:
        return ""


def _check_lengths(lengths: Any) -> Array | None:
    """The lengths as an array of integers, or None."""
    if lengths is None:
        return None
    lengths = numpy.asarray(lengths)
    if lengths.dtype.kind not in "iu":
        raise DtypeError("verify", f"lengths has dtype {lengths.dtype}, expected integers")
    return lengths
