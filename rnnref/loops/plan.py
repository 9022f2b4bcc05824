"""Chooses what runs: a table of paths and kernels, and the pure function that takes the first that applies.

A path is a module with refuses(cell, call), forward(cell, p, xs, s, extra, live, reverse, keep) and
backward(tape, dys, ds, wanted); its tape has kept(t).  A kernel is a subclass of a rule that computes the same in one
pass, with a static refuses(rule); a map on the GPU has one too, which carries the math mode of its products.  All are
listed here by name and imported when used; `refuses` returns None, or the reason in words.
"""
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple, Optional, Union

import numpy

from ..arrays import is_array, is_floating, namespace
from ..cache import memoize
from ..cell import name_of
from ..errors import InvalidType, NotSupported, check_option, describe_type
from ..maps.dense import Map
from ..options import check_is_cell
from ..products import describe_products, find_own_products
from ..tree import Tree, first_leaf, leaves, map_structure

_PLAIN_MODULES = {"hoisted": "loops.hoisted", "layerwise": "loops.layerwise", "plain": "loops.scan",
                  "bidirectional": "loops.bidirectional"}
# home of the arrays -> {public name of a path: its module}; a path of another home is not imported
MODULES = {"numpy": {"sequence": "cpu.sequence", **_PLAIN_MODULES},
           "cupy": {"onchip": "cuda_loops.onchip", "replayed": "cuda_loops.replayed", "stepped": "cuda_loops.stepped",
                    "graphed": "cuda_loops.graphed", **_PLAIN_MODULES}}
PATHS = ("onchip", "replayed", "stepped", "sequence", *_PLAIN_MODULES)    # in this order
# Those whose results are the reference of `verify` and of the ONNX operators: sigmoid keeps its digits near 0
REFERENCE_PATHS = tuple(name for name in PATHS if name != "sequence")
_ALL_MODULES = {name: module for paths in MODULES.values() for name, module in paths.items()}
_PATHS_OF_PARTS = "bidirectional", "layerwise"            # those with a plan for each direction or layer
# (home, class name) -> "module:class"
KERNELS = {("cupy", name): f"cuda.rule_kernels:Cuda{name}" for name in (
    "ElmanRule", "GRURule", "LSTMRule", "GRUBefore")}
KERNEL_MAPS = {("cupy", name): f"cuda.{module}:Cuda{name}" for name, module in (
    ("Dense", "matmul"), ("Reservoir", "matmul"), ("WeightNorm", "matmul"), ("Grouped", "grouped"), ("Conv", "conv"))
    } | {("numpy", "Dense"): "cpu.dense:PartedDense"}
MODES = "fp32", "tf32", "bf16", "fp16"             # of products on a GPU
CUDA_KERNEL, CUBLAS = "CUDA kernel", "cuBLAS product"     # notes on what replaces a rule and a map
ON_GPU = {"onchip": "R held on chip", "stepped": "products and kernels, step by step",
          "replayed": "products and kernels, step by step, from the second sequence of a kind on as one CUDA graph",
          "graphed": "products and kernels, step by step, launched as one CUDA graph"}


class Call(NamedTuple):
    """All that the choice depends on, beside the cell: no arrays."""
    home: str                                     # of the arrays: "numpy" or "cupy"
    shape: tuple                                  # of xs: T, B, ..., None where a width is not known
    dtype: Any                                    # of xs; where these are integers, of the state
    ragged: bool = False                          # lengths or a mask
    extra: Any = None                             # a tree of True, where there is something
    keep: Any = True                              # True, "states" (recompute) or False (inference)
    mode: str = "fp32"                            # of products on the GPU: "fp32", "tf32", "bf16" or "fp16"
    sm: Any = None                                # the compute capability of the card times ten; None: not known
    units: Any = None                             # of the state, a tuple for those of several cells; None: not known
    clusters: tuple = ()                          # ((blocks of a cluster, how many run at once), ...); (): not known


def describe_call(xs: Tree, extra: Tree = None, ragged: bool = False, keep: Any = True, s: Tree = None) -> Call:
    """The `Call` of `run` with these arguments."""
    like = first_leaf(xs)
    home = namespace(like).__name__
    sm, clusters = None, ()
    if home == "cupy":
        sm = resolve_name("cuda.precision").architecture(like)
        clusters = resolve_name("cuda_loops.occupancy").clusters(like)
    extra, shape = map_structure(lambda _: True, extra), tuple(like.shape)
    if s is not None and not is_floating(like.dtype):                 # indices into a table
        like = first_leaf(s)
    return Call(home, shape, like.dtype, ragged, extra, keep, sm=sm, units=None if s is None else _read_units(s),
                clusters=clusters)


def _read_units(s: Any) -> Any:
    """The units of a state; a tuple of such for those of several cells."""
    if isinstance(s, tuple) and s and not hasattr(s[0], "shape"):
        return tuple(map(_read_units, s))
    return getattr(s[0], "shape", (None,))[-1] if isinstance(s, tuple) and s else None


class Plan(NamedTuple):
    """What `plan` chose."""
    path: str                                     # its public name
    cell: Any                                     # with kernels in the place of rules and maps; or a tuple of plans
    arguments: tuple                              # the cell, the call, the paths that apply, kernels; what was left out

    @property
    def notes(self) -> tuple:
        """(what, what became of it), in words: made when they are asked for."""
        cell, call, paths, kernels, left_out = self.arguments
        notes = [("GPU paths", "arrays are in main memory")] if left_out else []
        notes += [(path, load_path(path).refuses(cell, call)) for path in paths[:paths.index(self.path)]]
        notes.append((self.path, "runs"))
        if self.path in _PATHS_OF_PARTS:
            notes += [(f"{n} {what}", became) for n, part in enumerate(self.cell) for what, became in part.notes]
        else:
            notes += _describe_cell(self.path, self.cell, cell, call, kernels)
        return tuple(notes)


def plan(cell: Any, call: Call, paths: tuple = PATHS, kernels: bool = True, mode: Optional[str] = None) -> Plan:
    """How `cell` will run: by the first of `paths` that does not refuse.

    paths    names of paths, in order of preference; those for another home than that of the arrays are passed over
    kernels  False: the plain rules and maps.  With paths=("plain", "bidirectional") that is the code as written
    mode     "fp32", "tf32", "bf16" or "fp16": the arithmetic of products on a GPU; None: as in `call`

    Errors   NotSupported: no path can run the cell, each with its reason; or some product cannot have the mode.
    """
    call = call if mode is None else call._replace(mode=mode)
    return _plan(cell, call, tuple(paths), kernels, _missing_libraries(call))


def clear_cache() -> None:
    """Forget the plans that were made: for tests that change what a plan depends on."""
    _plan.cache.cache_clear()
    resolve_name("loops.run:_choose").passed.clear()


def _missing_libraries(call: Any) -> Any:
    """Reasons why kernels could not run in this process: a plan for the GPU depends on them too."""
    return call.home == "cupy" and tuple(resolve_name(name)() for name in (
        "cuda.launch:why_no_compiler", "cuda.precision:why_no_cublas", "cuda_loops.cublas:why_no_capture"))


@memoize(1024)
def _plan(cell: Any, call: Any, paths: Any, kernels: Any, missing: Any) -> Any:
    """The plan.  missing: not used here, but another plan is made when it changes."""
    why = call.mode != "fp32" and resolve_name("cuda.precision").refuses(call, kernels)
    if why:
        raise NotSupported(name_of(cell), f"mode={call.mode!r}: {why}")
    for path in paths:
        check_option(name_of(cell), "paths", path, _ALL_MODULES)
    applicable, refused = tuple(path for path in paths if path in MODULES[call.home]), {}
    left_out = call.home == "numpy" and applicable != paths
    for path in applicable:
        why = load_path(path).refuses(cell, call)
        if not why:
            return Plan(path, _plan_parts(cell, call, path, applicable, kernels),
                        (cell, call, applicable, kernels, left_out))
        refused[path] = why
    gpu = {"GPU paths": "arrays are in main memory"} if left_out else {}
    raise NotSupported(name_of(cell), "no path can run it", **gpu, **refused)


def _plan_parts(cell: Any, call: Any, path: str, paths: Any, kernels: Any) -> Any:
    """What runs inside of a path: the cell with its kernels, or a plan for each direction or layer."""
    if path in _PATHS_OF_PARTS:
        parts = load_path(path).split_call(cell, call)
        return tuple(plan(part, part_call, paths, kernels) for part, part_call in parts)
    if path == "sequence":                        # one kernel for all steps: no part of the cell is called
        return cell
    chosen = _replace_with_kernels(cell, call.home, [], call.mode) if kernels else cell
    if call.home == "cupy":
        _refuse_mode(chosen, call)
    return chosen


def _describe_cell(path: str, chosen: Any, cell: Any, call: Any, kernels: Any) -> Any:
    """Notes on a cell that a path runs by itself."""
    notes, kernel_notes = [], []
    if call.home == "cupy":
        notes.append(("on the GPU", ON_GPU.get(path, "the plain code, step by step")))
        notes += getattr(load_path(path), "describe_kernels", lambda *_: ())(cell, call)
        notes.append(("mode", _describe_mode(chosen, call)))
    if kernels and path != "sequence":
        _replace_with_kernels(cell, call.home, kernel_notes, call.mode)
    return notes + kernel_notes


def _refuse_mode(cell: Any, call: Any) -> None:
    """Raise if some product would not be in the mode: nothing is ignored silently."""
    own = call.mode != "fp32" and find_own_products(cell)
    if own:
        declare = '; or, in a class all of whose products are those of maps in its fields: own_products = ""'
        raise NotSupported(name_of(cell), f"mode={call.mode!r}: {describe_products(own)}, which has no modes",
                           fix='mode="fp32"' + declare * (None in own.values()))


def _describe_mode(cell: Any, call: Any) -> Any:
    """The mode in words."""
    own, words = find_own_products(cell), f"{call.mode}, {resolve_name('cuda.precision').MODES[call.mode].words}"
    if not own:
        return words
    return words + f"; but {describe_products(own)}: of float32, as CUPY_TF32 sets it" * (call.dtype.name == "float32")


def explain(cell: Any, like: Union[Tree, Call, None] = None, extra: Tree = None, *, paths: tuple = PATHS,
            kernels: bool = True, mode: Optional[str] = None) -> str:
    """What will run for inputs like `like` (an array [T, B, I] or a `Call`), and why nothing faster, line by line.

    like    None: an array of NumPy in float32

    >>> import numpy as np, rnnref
    >>> print(explain(rnnref.cells.LSTM(), np.zeros((5, 2, 3))))
    GPU paths: arrays are in main memory
    sequence: runs
    """
    like = numpy.zeros((1, 1, 1), "float32") if like is None else like
    if not isinstance(like, Call) and not all(is_array(a) for _, a in leaves(like)):
        raise InvalidType("explain", f"like is {describe_type(like)}, expected an array [T, B, I], a tree of arrays, "
                          "or a Call")
    if isinstance(cell, str) and "." in cell:
        raise InvalidType("explain", f"cell is {cell!r}, which is a file",
                          fix="rnnref.porting.explain_file(path), or the command rnnref explain FILE")
    check_is_cell("explain", cell)
    call = like if isinstance(like, Call) else describe_call(like, extra)
    return "\n".join(f"{what}: {why}" for what, why in plan(cell, call, paths, kernels, mode).notes)


def _replace_with_kernels(part: Any, home: Any, notes: Any, mode: Any = "fp32") -> Any:
    """`part` with every rule and map in it that has a kernel replaced, however deep wrappers and rules hold it."""
    if isinstance(part, tuple):
        return tuple(_replace_with_kernels(item, home, notes, mode) for item in part)
    if not is_dataclass(part) or isinstance(part, type):
        return part
    name, kernel = type(part).__name__, _find_kernel(part, home, notes)
    options = {f.name: getattr(part, f.name) for f in fields(part) if f.init}
    if kernel and (home, name) in KERNEL_MAPS:
        return kernel(**options, **{"mode": mode} if home == "cupy" else {})
    # a cell that has a kernel itself needs none for its rule, but its maps are replaced
    changed = {n: _replace_with_kernels(v, home, notes, mode) if not kernel or isinstance(v, Map) else v
               for n, v in options.items()}
    if kernel:
        return kernel(**changed)
    return part if all(changed[n] is v for n, v in options.items()) else replace(part, **changed)


def _find_kernel(part: Any, home: Any, notes: Any) -> Any:
    """The class that replaces it, or None."""
    key = home, type(part).__name__
    if key not in KERNELS and key not in KERNEL_MAPS:
        return None
    kernel = resolve_name(KERNELS.get(key) or KERNEL_MAPS[key])
    if type(part) is not vars(kernel).get("plain", type(part)):       # a class from elsewhere with the same name
        return None
    why = kernel.refuses(part)
    note = getattr(part, "name", key[1]), why or (CUDA_KERNEL if key in KERNELS else CUBLAS)
    if note not in notes and key != ("numpy", "Dense"):       # once for all maps; that one has the same arithmetic
        notes.append(note)
    return None if why else kernel


def load_path(name: str) -> Any:
    """The module of a path of execution, by its public name."""
    return _import_cached("loops.empty" if name == "empty" else _ALL_MODULES[name])


def resolve_name(name: str) -> Any:
    """A module "folder.module" of rnnref, or "folder.module:attribute" of one, imported at the first call."""
    module, _, attribute = name.partition(":")
    return getattr(_import_cached(module), attribute) if attribute else _import_cached(module)


@lru_cache(None)
def _import_cached(module: Any) -> Any:
    """import_module takes its locks at every call, and a plan makes several."""
    return import_module("rnnref." + module)
