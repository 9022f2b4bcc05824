"""What will run, and why: the table of paths and twins, and the pure function that chooses.  (floor 6)

A path is a module with refuses(cell, call), forward(cell, p, xs, s, extra, live, reverse, keep) and
backward(tape, dys, ds); its tape answers kept(t).
A twin is a subclass of a rule that says the same faster, with a static refuses(rule).  Both are named here and imported
when used; `refuses` returns None, or the reason in words.
"""
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from typing import Any, NamedTuple

from .arrays import namespace
from .errors import NotSupported
from .tree import first, tmap

PATHS = ("scan_gated", "scan", "apart")           # the first that does not refuse runs
# (array module, rule or cell) -> "module:class"
TWINS = {("cupy", name): f"cuda.twins:Cuda{name}" for name in ("Elman", "GRU", "LSTM", "GRUBefore")}


class Call(NamedTuple):
    """All that the choice depends on: no arrays."""
    home: str                                     # "numpy" or "cupy"
    shape: tuple                                  # of xs: T, B, ...
    dtype: Any
    ragged: bool = False                          # lengths or a mask
    extra: Any = None                             # a tree of True, where there is something
    keep: Any = True                              # True, "states" (recompute) or False (inference)


def call_of(xs, extra=None, ragged=False, keep=True):
    like = first(xs)
    return Call(namespace(like).__name__, tuple(like.shape), like.dtype, ragged, tmap(lambda _: True, extra), keep)


class Plan(NamedTuple):
    path: str
    cell: Any                                     # with its rules swapped for their twins
    notes: tuple                                  # (what, what became of it), in words


def plan(cell, call, paths=PATHS, twins=True):
    """How `cell` will run.  paths=("scan", "apart"), twins=False is the text as it is written."""
    notes = []
    for path in paths:
        why = find(path).refuses(cell, call)
        notes.append((path, why or "runs"))
        if why:
            continue
        if path == "apart":
            both = zip(cell.cells, cell.each(call.extra))
            cell = tuple(plan(one, call._replace(extra=e), paths, twins) for one, e in both)
            notes += [(f"{n} {what}", became) for n, one in enumerate(cell) for what, became in one.notes]
        elif twins:
            cell = swapped(cell, call.home, notes)
        return Plan(path, cell, tuple(notes))
    raise NotSupported(getattr(cell, "name", type(cell).__name__), "no path can run it",
                       **{path: why for path, why in notes})


def explain(cell, like, extra=None, **choice):
    """What will run for inputs like `like` (an array [T, B, I] or a `Call`), and why nothing faster, line by line."""
    call = like if isinstance(like, Call) else call_of(like, extra)
    return "\n".join(f"{what}: {why}" for what, why in plan(cell, call, **choice).notes)


def swapped(thing, home, notes):
    """`thing` with every rule in it that has a twin replaced, however deep wrappers and rules hold it."""
    if isinstance(thing, tuple):
        return tuple(swapped(item, home, notes) for item in thing)
    if not is_dataclass(thing) or isinstance(thing, type):
        return thing
    name = type(thing).__name__
    if (home, name) in TWINS:
        twin = find(TWINS[home, name])
        why = twin.refuses(thing)
        notes.append((name, why or f"{twin.__name__} in its place"))
        return thing if why else twin(**vars(thing))
    changed = {f.name: swapped(getattr(thing, f.name), home, notes) for f in fields(thing)}
    same = all(changed[name] is getattr(thing, name) for name in changed)
    return thing if same else replace(thing, **changed)


def find(name):
    module, _, attribute = name.partition(":")
    module = import_module("." + module, __package__)
    return getattr(module, attribute) if attribute else module
