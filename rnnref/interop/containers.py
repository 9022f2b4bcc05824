"""Finds the recurrent layers in a model, and the weights in anything that holds some."""
import sys
from collections.abc import Iterator
from typing import Any, Optional

from ..errors import NotSupported, ShapeError
from .convert import Weights
from .files import Content, read_content
from .groups import Match, pieces, recognize
from .identify import identify, is_quantized, is_recurrent, packages_of
from .incomplete import refuse_incomplete
from .layouts import LAYOUTS
from .names import family_named, framework_named
from .weights import weights_of


def find_layers(model: Any) -> dict[str, Any]:
    """{path: recurrent layer or cell} in a live model of torch, Keras or nnx, each once, in the order of the model.

    Those inside of other recurrent layers are not listed.  A layer that is itself recurrent is listed as "".

    Errors   NotSupported: what is no live model, or a linen module, whose layers exist in a call only
    """
    known = identify(model)
    model = unwrap(model)
    if known.framework == "torch":
        return dict(_walk_torch(model))
    if known.framework == "keras":
        return dict(_walk_keras(model, "", set()))
    if known.framework == "nnx":
        return dict(_walk_nnx(model))
    if is_recurrent(model):
        return {"": model}
    raise NotSupported("find_layers", known.words, known="models of torch, Keras, nnx")


def unwrap(module: Any) -> Any:
    """The module that torch.compile was given; anything else as it is."""
    while hasattr(module, "_orig_mod"):
        module = module._orig_mod
    return module


def _walk_torch(module: Any) -> Iterator[tuple[str, Any]]:
    seen: set[int] = set()
    around: list[str] = []                        # paths of recurrent modules
    for path, part in module.named_modules():
        part = unwrap(part)
        if id(part) in seen or any(path == a or path.startswith(f"{a}." if a else "") for a in around):
            continue
        seen.add(id(part))
        if is_recurrent(part) or is_quantized(part):
            around.append(path)
            yield path.removesuffix("._orig_mod"), part


def _walk_keras(layer: Any, path: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    if is_recurrent(layer):
        yield path, layer
        return
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        yield from _walk_keras(inner, f"{path}/{inner.name}".lstrip("/"), seen)


def _walk_nnx(module: Any) -> Iterator[tuple[str, Any]]:
    nnx, around = sys.modules["flax.nnx"], []
    found = sorted(((tuple(map(str, path)), part) for path, part in nnx.iter_modules(module)), key=lambda a: len(a[0]))
    for path, part in found:
        if is_recurrent(part) and not any(path[:len(a)] == a for a in around):
            around.append(path)
            yield ".".join(path), part


def find_weights(source: Any, params: Any = None, family: Optional[str] = None, framework: Any = None,
                 **options: Any) -> dict[str, Weights]:
    """{place: Weights} of all recurrent layers in anything that holds weights.

    source   a layer, cell or model of torch, Keras, flax or nnx; a state dict, a nested dict, a file as `read` takes
             it; a list as get_weights() gives it, which needs `family`; or `Weights`
    params   of a flax linen module, which does not hold them itself
    family, framework   of arrays in dicts, lists and files; where they are not given, those whose names and shapes fit
    options  of the layers, as in `pieces`
    Errors   ShapeError: no layer is found, with what there is; those of `pieces` and `weights_of`

    >>> import numpy as np
    >>> state = {"enc.weight_ih_l0": np.ones((12, 3)), "enc.weight_hh_l0": np.ones((12, 4)), "out.w": np.ones((2, 4))}
    >>> find_weights(state)
    {'enc._l0': Weights(torch gru: enc.weight_ih_l0 (12, 3), enc.weight_hh_l0 (12, 4))}
    """
    known, family = identify(source), None if family is None else family_named(family)
    framework = framework_named(framework) if isinstance(framework, str) else framework
    if known.kind == "weights" or known.is_live:
        takes_params = known.is_live and known.framework in ("flax", "haiku")
        check_told(known.words, params=None if takes_params else params, **options)
        found = {"": source} if known.kind == "weights" else _find_live(source, params)
        return select_told(known.words, found, family, framework)
    check_told(known.words, params=params)
    if known.kind == "list" and family is None:
        raise NotSupported("interop", f"{known.words} alone", reason="a list has no names",
                           fix='family="lstm", "gru" or another')
    if known.kind == "list" or family is not None and framework is not None:
        return pieces(source, str(family), framework or "keras", **options)
    if known.kind not in ("arrays", "file"):
        own = "rnnref" in packages_of(source)
        raise NotSupported("interop", known.words, known="layers, models, dicts, files and lists of arrays",
                           fix='model.save("model.keras"), or layer.get_weights() with family="lstm"' if own else "")
    return _find_arrays(source, family, framework, options)


def check_told(words: str, **told: Any) -> None:
    """Raise for what is told of a source that says it itself."""
    for name, value in told.items():
        if value is not None:
            reason = "only modules of flax linen lack theirs" if name == "params" else "it says itself what it is"
            raise NotSupported("interop", f"{name}={value!r} for {words}", reason=reason, fix=f"leave {name} out")


def select_told(words: str, found: dict[str, Weights], family: Optional[str], framework: Any) -> dict[str, Weights]:
    """Those layers that are of a family, if one is told; raise if none is, or if the framework is not the one told."""
    framework = getattr(framework, "framework", framework)
    has = ", ".join(sorted({w.layout.who for w in found.values()}))
    if framework and any(framework.split()[0] not in w.layout.framework for w in found.values()):
        raise NotSupported("interop", f"framework={framework!r} for {words}", reason=f"its weights are those of {has}")
    kept = {place: w for place, w in found.items() if family in (None, w.layout.family)}
    if not kept:
        raise ShapeError("interop", f"no {family} in {words}", has=has)
    return kept


def _find_live(source: Any, params: Any) -> dict[str, Weights]:
    found = {}
    for path, layer in ({"": source} if params is not None else find_layers(source)).items():
        for n, directions in enumerate(weights_of(layer, params)):
            for w in directions:
                found[_name_place(path, w, n)] = w
    if not found:
        raise ShapeError("interop", f"{identify(source).words} contains no recurrent layer")
    return found


def _name_place(path: str, w: Weights, n: int) -> str:
    """The place of the n-th layer of a recurrent module: as `pieces` calls it in a state dict, or its own path."""
    if w.layout.framework == "torch":
        return f"{path}{'.' * bool(path)}_l{n}{'_reverse' * w.reverse}"
    own = next(full.removesuffix(name).rstrip("/") for name, full in w.names.items())
    if w.layout.framework == "torch cell" or not path:
        return path or own
    shared = path if own.startswith(path) else path.rpartition("/")[2]
    return f"{path}/{own.removeprefix(shared).lstrip('/')}".rstrip("/")


def _find_arrays(source: Any, family: Optional[str], framework: Any, options: dict) -> dict[str, Weights]:
    content = read_content(source)
    matches = recognize(content.arrays)
    _refuse_left(content.arrays, matches, family, framework)
    tables = [_correct_table(match, content) for match in matches]
    wanted = [(own, table) for own, table in dict.fromkeys(tables)
              if family in (None, own) and framework in (None, table)]
    found: dict[str, Weights] = {}
    for own, table in wanted:
        found |= pieces(source, own, table, **options)
    return _order_layers(found, content) or pieces(source, family or "lstm", framework or "keras", **options)


def _order_layers(found: dict[str, Weights], content: Content) -> dict[str, Weights]:
    """The layers in the order of the model that a file describes; else in that of their arrays in the source."""
    order, config = list(content.arrays), content.config
    said = {place: config.find(place) for place in found} if config and config.layers else {}
    if said and all(said.values()):
        models = [id(layer) for layer in config.layers or ()] if config else []
        return dict(sorted(found.items(), key=lambda item: models.index(id(said[item[0]]))))
    return dict(sorted(found.items(), key=lambda item: min(map(order.index, item[1].names.values()))))


def _refuse_left(arrays: dict, matches: list[Match], family: Optional[str], framework: Any) -> None:
    """Raise for arrays that no layer was found for, and that have the names of one: of a framework that is there, or of
    any if no layer was found at all."""
    there = {match.framework for match in matches}
    taken = {name for match in matches for name in match.arrays}
    layouts = [layout for (own, table), layout in LAYOUTS.items() if family in (None, own) and
               framework in (None, table, layout) and (not there or table in there)]
    refuse_incomplete({name: a for name, a in arrays.items() if name not in taken}, layouts)


def _correct_table(match: Match, content: Content) -> tuple[str, str]:
    """The family and the table of a match: those of its shapes, or what a file of Keras says."""
    config = content.config
    if config is None or match.framework not in ("keras", "keras2"):
        return match.family, match.framework
    said = config.find(match.place)
    if said is None:
        return match.family, config.default_table or match.framework
    return said.family, "keras2" if config.version[:1] < (3,) else "keras"
