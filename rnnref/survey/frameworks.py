"""A survey of the recurrent layers of PyTorch and of Keras: a small grid, each layer compared with the reference."""
import os
from importlib.util import find_spec
from itertools import product
from typing import Any, Iterator, Optional, Sequence

from ..check.report import Report
from ..check.verify import verify
from ..errors import NotSupported, import_optional
from .search import Watch

T, B, I, H = 12, 4, 5, 7
_RAGGED_LENGTHS = (12, 3, 8, 1)


def survey_framework(name: str, ops: Sequence[str], seed: int = 0, progress: Optional[Watch] = None) -> Report:
    """One `Report` on the layers of "torch" or "keras": directions, depths and lengths, one group for each layer."""
    grids = {"torch": _list_torch_layers, "keras": _list_keras_layers}
    if name not in grids:
        raise NotSupported("verify", f"a grid of {name!r}", known=", ".join(map(repr, grids)))
    watch = progress or (lambda steps, what: steps)
    layers, reports = list(grids[name](ops, seed)), {}
    for label, layer, shape, options in watch(layers, "layers"):
        reports[label] = verify(layer, shape, seed=seed, **options)
    rows = [row._replace(group=label, name=f"{label}: {row.name}") for label, r in reports.items() for row in r.rows]
    findings = [f"{label}: {finding}" for label, r in reports.items() if not r.ok for finding in r.findings]
    facts = [r.facts for r in reports.values()]
    common = {key: value for key, value in facts[0].items() if all(f.get(key) == value for f in facts)}
    return Report(f"A grid of {len(layers)} {name} layers", rows, common, findings)


def _list_torch_layers(ops: Sequence[str], seed: int) -> Iterator[tuple[str, Any, tuple, dict]]:
    torch = import_optional("torch", "peers", "verify")
    torch.manual_seed(seed)
    for op in ops:
        for layers, both, lengths in product((1, 2), (False, True), (None, _RAGGED_LENGTHS)):
            layer = getattr(torch.nn, op)(I, H, num_layers=layers, bidirectional=both)
            yield _format_label(op, layers, both, lengths), layer, (T, B, I), {"lengths": lengths}
    if "LSTM" in ops:
        layer = torch.nn.LSTM(I, H, num_layers=2, bidirectional=True, proj_size=3)
        yield "LSTM, proj_size=3, 2 layers, both directions", layer, (T, B, I), {"lengths": _RAGGED_LENGTHS}
    if "RNN" in ops:
        yield "RNN, nonlinearity=relu", torch.nn.RNN(I, H, nonlinearity="relu"), (T, B, I), {}


def _list_keras_layers(ops: Sequence[str], seed: int) -> Iterator[tuple[str, Any, tuple, dict]]:
    if find_spec("tensorflow") is None:           # the default back end of Keras
        os.environ.setdefault("KERAS_BACKEND", "torch" if find_spec("torch") else "jax")
    keras = import_optional("keras", "peers", "verify")
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    for op in ops:
        for both, lengths in product((False, True), (None, _RAGGED_LENGTHS)):
            layer = {"RNN": layers.SimpleRNN}.get(op) or getattr(layers, op)
            layer = layer(H, return_sequences=True)
            yield (_format_label(op, 1, both, lengths), layers.Bidirectional(layer) if both else layer, (B, T, I),
                   {"lengths": lengths})
    if "GRU" in ops:
        layer = layers.GRU(H, reset_after=False, return_sequences=True)
        yield "GRU, reset_after=False", layer, (B, T, I), {}


def _format_label(op: str, layers: int, both: bool, lengths: Optional[Sequence[int]]) -> str:
    return ", ".join([op, f"{layers} layer{'s' * (layers > 1)}", *(["both directions"] if both else []),
                      *([f"lengths {' '.join(map(str, lengths))}"] if lengths else [])])
