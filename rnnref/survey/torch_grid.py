"""A grid of the recurrent modules of PyTorch, each compared with the reference by `verify`."""
from collections.abc import Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import product
from typing import Any

import numpy

from ..check.verify import verify
from .grid import Comparison, GridSurvey, make_survey, record_report, try_case
from .search import Watch

_T, _B, _I, _H = 12, 4, 5, 7
_LENGTHS = [12, 3, 8, 1]


def survey_torch(ops: Sequence[str] = ("RNN", "GRU", "LSTM"), seed: int = 0, progress: Watch | None = None,
                 cases: Sequence[dict[str, str]] | None = None) -> GridSurvey:
    """A `GridSurvey` of PyTorch: directions, depths, lengths and options, with every gradient, in both precisions."""
    torch = import_module("torch")
    engine, watch = f"PyTorch {torch.__version__}", progress or (lambda steps, what: steps)
    trials = [try_case(traits, partial(_compare, torch, traits, seed))
              for traits in watch(list(cases or _list_cases(ops)), engine)]
    from .. import __version__
    facts = {"PyTorch": f"{torch.__version__}, torch.nn.RNN, GRU, LSTM and their gradients, on the CPU",
             "truth": "rnnref in float64 or wider, with the same weights",
             "budget": "that of rnnref.verify: 8 times the error of the reference itself on the case", "seed": seed,
             "engine": "torch", "rnnref": __version__, "numpy": numpy.__version__}
    return make_survey(engine, trials, facts)


def _list_cases(ops: Sequence[str]) -> Iterator[dict[str, str]]:
    for op in ops:
        options = {"RNN": {"nonlinearity": "relu"}, "LSTM": {"proj_size": "3"}}.get(op, {})
        plain = {"op": op, "num_layers": "1", "bidirectional": "False", "padding": "none", "dtype": "float32"}
        for layers, both, padding in product(("1", "2"), ("False", "True"), ("none", "right")):
            yield plain | {"num_layers": layers, "bidirectional": both, "padding": padding}
        yield from (plain | {name: value} for name, value in (("dtype", "float64"), ("bias", "no"),
                                                              ("batch_first", "True"), *options.items()))
        if op == "LSTM":
            yield plain | {"num_layers": "2", "bidirectional": "True", "padding": "right", "proj_size": "3"}


def _compare(torch: Any, traits: dict[str, str], seed: int, label: str) -> Comparison:
    torch.manual_seed(seed)
    options = {name: value if name == "nonlinearity" else int(value) if value.isdecimal() else value == "True"
               for name, value in traits.items() if name not in ("op", "padding", "dtype")}
    module = getattr(torch.nn, traits["op"])(_I, _H, **options).to(getattr(torch, traits["dtype"]))
    shape = (_B, _T, _I) if options.get("batch_first") else (_T, _B, _I)
    report = verify(module, shape, lengths=_LENGTHS if traits["padding"] == "right" else None, seed=seed)
    return record_report(report, label)
