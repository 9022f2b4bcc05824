"""The engines that a survey knows: which packages each needs, and how it is run; some in a process of their own."""
import os
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from ..errors import MissingExtra, NotSupported
from .cases import OPS, Case
from .examples import SurveyReport, read_example
from .processes import LIMIT, run_alone
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


def check_engine(name: str) -> str:
    """The name of an engine that is known and installed, "keras" with its back end; MODULE:NAME is one of a user.

    Errors   NotSupported: no engine has this name; MissingExtra: a package is not installed
    """
    name = f"keras-{_find_backend()}" if name == "keras" else name
    if ":" in name:
        return name
    if name not in ENGINES:
        raise NotSupported("survey", f"an engine {name!r}", known=", ".join([*ENGINES, "MODULE:NAME"]))
    for package in find_missing_packages(name):
        extra = _EXTRAS.get(package)
        raise MissingExtra("survey", f"needs the package {package}, which is not installed",
                           fix=f"pip install {package}" + f'; or in a clone: pip install ".[{extra}]"' * bool(extra))
    return name


def survey_framework(name: str, ops: Sequence[str] = OPS, seed: int = 0, progress: Watch | None = None,
                     alone: bool | None = None, limit: float = LIMIT) -> SurveyReport:
    """The survey of one engine by its name: a `Survey` of one that runs ONNX nodes, a `GridSurvey` of the others.

    name     "onnxruntime", "onnx.reference", "openvino", "torch", "keras-torch", "keras-jax",
             "keras-tensorflow", "jax", "flax", "tensorflow", "tf-keras"; "keras" is that on its own back end;
             "package.module:engine", what `survey` takes: a function of a case, or a back end of ONNX
    alone    True: in a process of its own; None: where the engine sets things for a whole process, or is a user's
    limit    seconds that such a process may take
    Errors   NotSupported: no engine has this name; MissingExtra: a package is not installed
    """
    name = check_engine(name)
    if alone is None:
        alone = name not in ENGINES or ENGINES[name].alone
    return run_alone(name, ops, seed, progress, limit) if alone else run_here(name, ops, seed, progress)


def _find_backend() -> str:
    """The back end that Keras would take, of those that are installed."""
    wanted = os.environ.get("KERAS_BACKEND", "tensorflow")
    return wanted if find_spec(wanted) else next((n for n in ("torch", "jax") if find_spec(n)), wanted)


def run_here(name: str, ops: Sequence[str], seed: int, progress: Watch | None = None,
             cases: Sequence[dict] | None = None) -> SurveyReport:
    """The survey of an engine in this process; `cases`: the traits of those of a grid, in place of all."""
    engine = ENGINES.get(name)
    if engine is None or not engine.module:
        return survey(name, ops, seed, progress)
    run = getattr(import_module(f".{engine.module}", __package__), engine.function)
    return run(*engine.arguments, ops=ops, seed=seed, progress=progress, cases=cases)


def reproduce(path: Any, engine: Any = None, seed: int = 0, limit: float = LIMIT) -> SurveyReport:
    """The report on one case: in a file that `rnnref survey --cases FOLDER` or `report.save_cases(folder)` wrote.

    engine   another engine than that of the file, as for `survey` where it runs ONNX nodes, else by its name; a
             function that a survey was given
    seed     of the survey: a framework draws its numbers again, and the file has what it got and returned
    Errors   FileError: the file is none of a survey; NotSupported, MissingExtra: the engine is not there
    """
    what, arrays = read_example(path)
    chosen = engine if engine is not None else what["engine"]
    if "op" in what:
        inputs = {n: a for n, a in arrays.items() if not n.startswith("returned ")}
        case = Case(what["name"], what["group"], what["op"], inputs, what["attributes"], tuple(what["outputs"]),
                    what["traits"])
        return survey(chosen, cases=[case])
    name = check_engine(chosen)
    run = partial(run_alone, limit=limit) if ENGINES[name].alone else run_here
    return run(name, (), seed, cases=[what["traits"]])
