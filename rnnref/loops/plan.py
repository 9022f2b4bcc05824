"""What will run, and why: the table of paths and twins, and the pure function that chooses.  (floor 6)

A path is a module with refuses(cell, call), forward(cell, p, xs, s, extra, live, reverse, keep) and
backward(tape, dys, ds); its tape answers kept(t).
A twin is a subclass of a rule that says the same faster, with a static refuses(rule).  A map on the GPU has a twin too,
which carries the math mode of its products.  All are named here and imported when used; `refuses` returns None, or the
reason in words.
"""
from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from importlib import import_module
from typing import Any, NamedTuple

from ..arrays import is_floating, namespace
from ..errors import NotSupported
from ..maps.dense import Map
from ..products import describe_products, find_own_products
from ..tree import first_leaf, map_structure

MODULES = {"onchip": "cuda_loops.onchip", "stepped": "cuda_loops.stepped", "graphed": "cuda_loops.graphed",
           "hoisted": "loops.hoisted", "layerwise": "loops.layerwise", "plain": "loops.scan",
           "bidirectional": "loops.bidirectional"}
PATHS = tuple(name for name in MODULES if name != "graphed")          # the first that does not refuse; graphs are asked for
# (array module, class name) -> "module:class"
KERNELS = {("cupy", name): f"cuda.rule_kernels:Cuda{name}" for name in ("ElmanRule", "GRURule", "LSTMRule", "GRUBefore")}
KERNEL_MAPS = {("cupy", name): f"cuda.{module}:Cuda{name}" for name, module in (
    ("Dense", "matmul"), ("WeightNorm", "matmul"), ("Grouped", "grouped"), ("Conv", "conv"))}
TIERS = {"onchip": "2, R held on chip", "stepped": "1, products and kernels step by step",
         "graphed": "1, products and kernels step by step, launched as one CUDA graph"}


class Call(NamedTuple):
    """All that the choice depends on: no arrays."""
    home: str                                     # "numpy" or "cupy"
    shape: tuple                                  # of xs: T, B, ..., None where a width is not known
    dtype: Any                                    # of xs; where these are integers, of the state
    ragged: bool = False                          # lengths or a mask
    extra: Any = None                             # a tree of True, where there is something
    keep: Any = True                              # True, "states" (recompute) or False (inference)
    mode: str = "fp32"                            # of products on the GPU: "fp32", "tf32", "bf16" or "fp16"
    sm: Any = None                                # the compute capability of the card times ten; None: not known
    units: Any = None                             # of the state, a tuple for those of several cells; None: not known


def describe_call(xs, extra=None, ragged=False, keep=True, s=None):
    like = first_leaf(xs)
    home = namespace(like).__name__
    sm = resolve_name("cuda.precision").architecture(like) if home == "cupy" else None
    extra, shape = map_structure(lambda _: True, extra), tuple(like.shape)
    if s is not None and not is_floating(like.dtype):                 # numbers of rows of a table
        like = first_leaf(s)
    return Call(home, shape, like.dtype, ragged, extra, keep, sm=sm, units=None if s is None else _read_units(s))


def _read_units(s):
    """The units of a state; a tuple of such for those of several cells."""
    if isinstance(s, tuple) and s and not hasattr(s[0], "shape"):
        return tuple(map(_read_units, s))
    return getattr(s[0], "shape", (None,))[-1] if isinstance(s, tuple) and s else None


class Plan(NamedTuple):
    path: str
    cell: Any                                     # with its rules swapped for their twins
    notes: tuple                                  # (what, what became of it), in words


def plan(cell, call, paths=PATHS, kernels=True, mode=None):
    """How `cell` will run.  paths=("plain", "bidirectional"), kernels=False is the text as it is written."""
    call, notes = call if mode is None else call._replace(mode=mode), []
    name = getattr(cell, "name", type(cell).__name__)
    why = call.mode != "fp32" and resolve_name("cuda.precision").refuses(call, kernels)
    if why:
        raise NotSupported(name, f"mode={call.mode!r}: {why}")
    for path in paths:
        why = load_path(path).refuses(cell, call)
        notes.append((path, why or "runs"))
        if not why:
            return Plan(path, _plan_parts(cell, call, path, (paths, kernels), notes), tuple(notes))
    raise NotSupported(name, "no path can run it", **{path: why for path, why in notes})


def _plan_parts(cell, call, path, choice, notes):
    """What runs inside of a path: the cell with its twins, or a plan for each direction or layer."""
    if path in ("bidirectional", "layerwise"):
        plans = tuple(plan(one, its, *choice) for one, its in load_path(path).split_call(cell, call))
        notes += [(f"{n} {what}", became) for n, one in enumerate(plans) for what, became in one.notes]
        return plans
    of_twins = []
    chosen = _replace_with_kernels(cell, call.home, of_twins, call.mode) if choice[1] else cell
    if call.home == "cupy":
        notes.append(("tier", TIERS.get(path, "0, the text as it is written")))
        notes += getattr(load_path(path), "describe_kernels", lambda *_: ())(cell, call)
        notes.append(("mode", _describe_mode(chosen, call)))
    notes += of_twins
    return chosen


def _describe_mode(cell, call):
    """The mode in words.  One that some product would not be in is refused: nothing is ignored silently."""
    own, said = find_own_products(cell), f"{call.mode}, {resolve_name('cuda.precision').MODES[call.mode].words}"
    if not own:
        return said
    if call.mode != "fp32":
        fix = 'mode="fp32"' + ('; or, in a class all of whose products are those of maps in its fields: multiplies = ""'
                               if None in own.values() else "")
        raise NotSupported(getattr(cell, "name", type(cell).__name__),
                           f"mode={call.mode!r}: {describe_products(own)}, and that knows no mode", fix=fix)
    return f"{said}; but {describe_products(own)}: of float32, CUPY_TF32 says how" if call.dtype.name == "float32" else said


def explain(cell, like, extra=None, **choice):
    """What will run for inputs like `like` (an array [T, B, I] or a `Call`), and why nothing faster, line by line."""
    call = like if isinstance(like, Call) else describe_call(like, extra)
    return "\n".join(f"{what}: {why}" for what, why in plan(cell, call, **choice).notes)


def _replace_with_kernels(thing, home, notes, mode="fp32"):
    """`thing` with every rule and map in it that has a twin replaced, however deep wrappers and rules hold it."""
    if isinstance(thing, tuple):
        return tuple(_replace_with_kernels(item, home, notes, mode) for item in thing)
    if not is_dataclass(thing) or isinstance(thing, type):
        return thing
    name, twin = type(thing).__name__, _find_kernel(thing, home, notes)
    held = {f.name: getattr(thing, f.name) for f in fields(thing)}
    if twin and (home, name) in KERNEL_MAPS:
        return twin(**held, mode=mode)
    # a rule inside a cell that has a twin is spoken for, its maps are not
    changed = {n: _replace_with_kernels(v, home, notes, mode) if not twin or isinstance(v, Map) else v for n, v in held.items()}
    if twin:
        return twin(**changed)
    return thing if all(changed[n] is v for n, v in held.items()) else replace(thing, **changed)


def _find_kernel(thing, home, notes):
    """The class of its twin, or None."""
    key = home, type(thing).__name__
    if key not in KERNELS and key not in KERNEL_MAPS:
        return None
    twin = resolve_name(KERNELS.get(key) or KERNEL_MAPS[key])
    if type(thing) is not vars(twin).get("plain", type(thing)):       # another's class of the same name
        return None
    why = twin.refuses(thing)
    note = key[1], why or f"{twin.__name__} in its place"
    if note not in notes:                         # once for all maps
        notes.append(note)
    return None if why else twin


def load_path(name):
    """The module of a path of execution, by its public name."""
    return _import_cached(MODULES[name])


def resolve_name(name):
    module, _, attribute = name.partition(":")
    return getattr(_import_cached(module), attribute) if attribute else _import_cached(module)


@lru_cache(None)
def _import_cached(module):
    """import_module asks the machinery of imports each time, and a choice is asked for nine."""
    return import_module("rnnref." + module)
