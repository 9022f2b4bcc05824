"""A grid of Keras's recurrent layers on one back end, beside the same layers of rnnref."""
import os
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import product
from typing import Any

import numpy

from ..arrays import Array
from ..check.row import Row
from ..check.tolerance import absolute_tolerance
from ..check.verify import verify
from .explain import list_causes
from .findings import join_words
from .grid import Comparison, GridSurvey, make_survey, record_report, try_case
from .search import Watch

_T, _B, _I, _H = 6, 4, 3, 4
_LENGTHS = (_T, 0, _T - 2, 2)
_LAYERS = {"RNN": "SimpleRNN", "LSTM": "LSTM", "GRU": "GRU"}
_NO_EMPTY_ROW = "right padding without an empty row"
_SWITCHES = ("unroll", "go_backwards", "zero_output_for_mask")
_TEXT = {"zero_output_for_mask": "Whether the output should use zeros for the masked timesteps",
         "mask": "False: the corresponding timestep should be ignored"}


def survey_keras(package: str = "keras", backend: str = "", ops: Sequence[str] = tuple(_LAYERS), seed: int = 0,
                 progress: Watch | None = None, cases: Sequence[dict[str, str]] | None = None) -> GridSurvey:
    """A `GridSurvey` of "keras" on a back end, or of "tf_keras", which is Keras 2."""
    if backend:
        os.environ["KERAS_BACKEND"] = backend
    keras = import_module(package)
    own = keras.backend.backend() if hasattr(keras.backend, "backend") else "tensorflow"
    engine = f"Keras {keras.__version__} on {own}"
    watch = progress or (lambda steps, what: steps)
    chosen = list(cases or [*_list_cases(ops), *(_list_gradient_cases(ops) if package == "keras" else ())])
    trials = [try_case(traits, partial(_verify if traits.get("checks") else _compare, keras, traits, seed))
              for traits in watch(chosen, engine)]
    from .. import __version__
    layers = join_words(list(_LAYERS.values()), "and")
    facts = {engine.rpartition(" on ")[0]: f"layers {layers}, Bidirectional; float32",
             "truth": "the layers of rnnref in float32, with the same weights and options", "seed": seed,
             "engine": "tf-keras" if package == "tf_keras" else f"keras-{own}",
             "budget": f"{absolute_tolerance('steep', 'float32', 1.0):g} of the largest entry (or of 1)",
             "rnnref": __version__, "numpy": numpy.__version__}
    return make_survey(engine, trials, facts, _TEXT)


def _list_cases(ops: Sequence[str]) -> Iterator[dict[str, str]]:
    for op in ops:
        for padding in ("none", "right", "left", "holes"):
            mask = "none" if padding == "none" else "given"
            for switches in product(("False", "True"), repeat=3):
                chosen = dict(zip(_SWITCHES, switches))
                if padding == "none" and chosen["zero_output_for_mask"] == "True":
                    continue                      # it changes nothing
                yield {"op": op, "mask": mask, "padding": padding, **chosen, "wrapper": "none"}
            off = dict.fromkeys(_SWITCHES, "False")
            yield {"op": op, "mask": mask, "padding": padding, **off, "wrapper": "Bidirectional"}


def _list_gradient_cases(ops: Sequence[str]) -> Iterator[dict[str, str]]:
    for op, padding in product(ops, ("none", _NO_EMPTY_ROW)):
        yield {"op": op, "mask": "none" if padding == "none" else "given", "padding": padding,
               **dict.fromkeys(_SWITCHES, "False"), "wrapper": "none", "checks": "gradients"}


def make_mask(padding: str, T: int, B: int, rng: numpy.random.Generator) -> Array | None:
    """[B, T] bool; the second row is empty."""
    if padding == "none":
        return None
    lengths = numpy.array([_LENGTHS[b % len(_LENGTHS)] for b in range(B)])[:, None]
    if padding == "holes":
        mask = rng.random((B, T)) < 0.6
        mask[:, 0], mask[:, T // 2], mask[1] = True, False, False
        return mask
    steps = numpy.arange(T)
    return steps < lengths if padding == "right" else steps >= T - lengths


def _make_layer(layers: Any, traits: dict[str, str]) -> Any:
    options: dict[str, Any] = {"return_sequences": True, "return_state": True}
    switches = {name: True for name in _SWITCHES if traits[name] == "True"}
    layer = getattr(layers, _LAYERS[traits["op"]])(_H, **options, **switches)
    return layers.Bidirectional(layer) if traits["wrapper"] == "Bidirectional" else layer


def _compare(keras: Any, traits: dict[str, str], seed: int, label: str) -> Comparison:
    """Outputs and states of a layer beside those of rnnref's."""
    from .. import layers as own_layers
    rng = numpy.random.default_rng(seed)
    x = rng.standard_normal((_B, _T, _I)).astype("float32")
    mask = make_mask(traits["padding"], _T, _B, rng)
    theirs, ours = (_make_layer(layers, traits) for layers in (keras.layers, own_layers))
    for layer in (theirs, ours):
        layer.build(x.shape)
    weights = [(0.5 * rng.standard_normal(a.shape)).astype("float32") for a in theirs.get_weights()]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    n_states = (1 + (traits["op"] == "LSTM")) * (1 + (traits["wrapper"] == "Bidirectional"))
    states = [(0.5 * rng.standard_normal((_B, _H))).astype("float32") for _ in range(n_states)]
    want = [numpy.asarray(a) for a in ours(x, mask=mask, initial_state=states)]
    tensor = keras.ops.convert_to_tensor if hasattr(keras, "ops") else import_module("tensorflow").convert_to_tensor
    got = theirs(tensor(x), mask=None if mask is None else tensor(mask), initial_state=[tensor(a) for a in states])
    got = [a.detach().cpu().numpy() if hasattr(a, "detach") else numpy.asarray(a) for a in got]
    names = ["output", *(f"state {k}" for k in range(n_states))]
    arrays = {"x": x, **({} if mask is None else {"mask": mask}), **{f"weight {k}": a for k, a in enumerate(weights)},
              **{f"initial state {k}": a for k, a in enumerate(states)},
              **{f"returned {name}": a for name, a in zip(names, got)},
              **{f"expected {name}": a for name, a in zip(names, want)}}
    rows = [_compare_one(f"{label}: {name}", name, a, b) for name, a, b in zip(names, got, want)]
    return Comparison(rows, arrays, partial(_explain, keras, traits, seed))


def _compare_one(label: str, name: str, got: Array, want: Array) -> Row:
    group = "outputs" if name == "output" else "states"
    if got.shape != want.shape:
        return Row(label, group, verdict="differs", note=f"shape {got.shape}, expected {want.shape}")
    error = abs(got.astype("float64") - want)
    error = numpy.where(numpy.isnan(error), numpy.inf, error)
    budget = absolute_tolerance("steep", "float32", float(abs(want).max(initial=0.0)))
    wrong = numpy.argwhere(error > budget)
    words = ("row {}, t={}, unit {}" if name == "output" else "row {}, unit {}")
    at = words.format(*wrong[0]) if len(wrong) else ""
    return Row(label, group, float(error.max(initial=0.0)), budget, "differs" if len(wrong) else "agrees", at,
               entries=got.size, compared=got.size)


def _explain(keras: Any, traits: dict[str, str], seed: int) -> list[str]:
    """Why a layer differs, by `verify`; nothing of Keras 2, and of masks that no lengths make."""
    if not hasattr(keras, "ops") or traits["padding"] not in ("none", "right"):
        return []
    keras.utils.set_random_seed(seed)
    lengths = None if traits["padding"] == "none" else _LENGTHS[:_B]
    return list_causes(verify(_make_layer(keras.layers, traits), (_B, _T, _I), lengths=lengths, seed=seed))


def _verify(keras: Any, traits: dict[str, str], seed: int, label: str) -> Comparison:
    """Outputs, states and gradients of a layer, by `verify`."""
    keras.utils.set_random_seed(seed)
    lengths = None if traits["padding"] == "none" else [_T, 3, _T - 2, 2]
    report = verify(_make_layer(keras.layers, traits), (_B, _T, _I), lengths=lengths, seed=seed)
    return record_report(report, label)
