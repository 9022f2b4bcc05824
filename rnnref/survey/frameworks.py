"""The engines that a survey knows: which packages each needs, and how it is run; some in a process of their own."""
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from ..check.report import Report
from ..check.row import Row
from ..errors import MissingExtra, NotSupported
from .cases import OPS
from .findings import Finding
from .grid import GridSurvey, Trial
from .search import Watch
from .survey import survey


class Engine(NamedTuple):
    """An engine: the packages that it needs, the module and function of this package that survey it, and arguments."""
    packages: tuple[str, ...]
    module: str = ""
    function: str = ""
    arguments: tuple[str, ...] = ()
    alone: bool = False                           # True: in a process of its own, as it sets things for a whole process


ENGINES = {
    "onnxruntime": Engine(("onnxruntime", "onnx")),
    "onnx.reference": Engine(("onnx",)),
    "openvino": Engine(("openvino", "onnx")),
    "torch": Engine(("torch",), "torch_grid", "survey_torch"),
    "keras-torch": Engine(("keras", "torch"), "keras_grid", "survey_keras", ("keras", "torch"), True),
    "keras-jax": Engine(("keras", "jax"), "keras_grid", "survey_keras", ("keras", "jax"), True),
    "keras-tensorflow": Engine(("keras", "tensorflow"), "keras_grid", "survey_keras", ("keras", "tensorflow"), True),
    "jax": Engine(("jax",), "jax_grid", "survey_jax", (), True),
    "flax": Engine(("flax", "jax"), "flax_grid", "survey_flax", (), True),
    "tensorflow": Engine(("tensorflow",), "tensorflow_grid", "survey_tensorflow", (), True),
    "tf-keras": Engine(("tf_keras", "tensorflow"), "keras_grid", "survey_keras", ("tf_keras",), True),
}
_DISTRIBUTIONS = {"tf_keras": "tf-keras"}
_EXTRAS = {"onnx": "verify", "onnxruntime": "verify"} | dict.fromkeys(("torch", "keras", "jax", "flax"), "peers")


def list_installed() -> list[str]:
    """The names of the engines whose packages are installed."""
    return [name for name in ENGINES if not find_missing_packages(name)]


def find_missing_packages(name: str) -> list[str]:
    """The packages, by their names on the index, that an engine needs and that are not installed."""
    return [_DISTRIBUTIONS.get(package, package) for package in ENGINES[name].packages if find_spec(package) is None]


def survey_framework(name: str, ops: Sequence[str] = OPS, seed: int = 0, progress: Watch | None = None) -> Report:
    """The survey of one engine by its name: a `Survey` of one that runs ONNX nodes, a `GridSurvey` of the others.

    name     one of `ENGINES`: "onnxruntime", "onnx.reference", "openvino", "torch", "keras-torch", "keras-jax",
             "keras-tensorflow", "jax", "flax", "tensorflow", "tf-keras"; "keras" is that on its own back end
    Errors   NotSupported: no engine has this name; MissingExtra: a package is not installed
    """
    name = f"keras-{_find_backend()}" if name == "keras" else name
    if name not in ENGINES:
        raise NotSupported("survey", f"an engine {name!r}", known=", ".join(ENGINES))
    for package in find_missing_packages(name):
        extra = _EXTRAS.get(package)
        raise MissingExtra("survey", f"needs the package {package}, which is not installed",
                           fix=f"pip install {package}" + f'; or in a clone: pip install ".[{extra}]"' * bool(extra))
    if not ENGINES[name].module:
        return survey(name, ops, seed, progress)
    return _run_alone(name, ops, seed) if ENGINES[name].alone else _run_here(name, ops, seed, progress)


def _find_backend() -> str:
    """The back end that Keras would take, of those that are installed."""
    wanted = os.environ.get("KERAS_BACKEND", "tensorflow")
    return wanted if find_spec(wanted) else next((n for n in ("torch", "jax") if find_spec(n)), wanted)


def _run_here(name: str, ops: Sequence[str], seed: int, progress: Watch | None = None) -> GridSurvey:
    engine = ENGINES[name]
    run = getattr(import_module(f".{engine.module}", __package__), engine.function)
    return run(*engine.arguments, ops=ops, seed=seed, progress=progress)


def _run_alone(name: str, ops: Sequence[str], seed: int) -> GridSurvey:
    """The survey of an engine in a process of its own, which may end as it likes."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "survey.json")
        code = ("from rnnref.survey.frameworks import write_survey\n"
                f"write_survey({name!r}, {tuple(ops)!r}, {seed}, {path!r})")
        paths = [p for p in (os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                             os.environ.get("PYTHONPATH")) if p]
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                               env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "TF_CPP_MIN_LOG_LEVEL": "3"})
        if ended.returncode:
            lines = ended.stderr.strip().splitlines() or [f"it ended with status {ended.returncode}"]
            note = f"its process ended with status {ended.returncode}: {lines[-1][:300]}"
            row = Row(name, "", verdict="refused", note=note)
            finding = Finding(f"{name}: {note}.", "refuses", [name], condition=note)
            return GridSurvey(name, [row], {}, [finding], engine=name)
        with open(path, encoding="utf-8") as file:
            return read_survey(json.load(file))


def write_survey(name: str, ops: Sequence[str], seed: int, path: str) -> None:
    """Survey an engine in this process, and write the report as JSON."""
    _run_here(name, ops, seed).to_json(path)


def read_survey(written: dict) -> GridSurvey:
    """The report that `GridSurvey.to_json` wrote."""
    rows = [Row(**row | {key: None if row[key] is None else float(row[key]) for key in ("error", "budget")})
            for row in written["rows"]]
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(row.group, []).append(row)
    trials = [Trial(traits, []) for traits in written["trials"]]
    findings = [Finding(text, **details) for text, details in zip(written["findings"], written["details"])]
    return GridSurvey(written["title"], rows, written["facts"], findings, engine=written["engine"],
                      trials=[t._replace(rows=by_label.get(t.label, [])) for t in trials])
