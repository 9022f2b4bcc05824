"""port: weights from anywhere into a live module, which is then run beside our cells with the weights of the source."""
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy

from ..arrays import Array
from ..errors import Error, NotSupported, ShapeError, with_article
from ..interop import Weights, find_layers, find_weights, identify, traits, weights_of
from ..interop.adapt import adapt
from ..interop.convert import convert_weights, dump, gates_with_own_bias
from ..interop.places import as_array
from ..options import check_mapping, check_seed, named_arguments
from .conversion import refuse
from .forms import run_own
from .proof import Proof, draw_trial, measure, prove
from .sources import find_source_weights
from .stacks import Stack, group_layers


class Ported(NamedTuple):
    """A module with the weights of another, and the proof that both compute the same.

    module   the module itself; a new one for equinox, whose modules cannot change
    params   of a linen or haiku module: what it is to be called with
    """
    module: Any
    params: Any
    proof: list[Proof]

    def __repr__(self) -> str:
        worst = max(self.proof, key=lambda p: p.error, default=None)
        return f"<Ported into {type(self.module).__name__}{f': {worst}' if worst else ''}>"


@named_arguments
def port(source: Any, module: Any, *, params: Any = None, framework: Any = None, family: str | None = None,
         given: Mapping | None = None, source_params: Any = None, seed: int = 0) -> Ported:
    """Write the weights of a source into a live module of any framework, and prove that both compute the same.

    The module keeps its options: where these cannot compute what the source does, it is refused and unchanged.

    source      as of `rnnref.convert`: a live layer, a file, a dict, ...
    module      a torch module, a Keras layer, a model of either, a module of flax nnx or linen, equinox or haiku, with
                as many recurrent layers and directions as the source
    params      of a linen or haiku module, in whose structure the result has them
    framework, family, given   of the source, as of `rnnref.convert`; `source_params`: its params
    Errors      NotSupported: options that no weights make up for.  ShapeError: other sizes, or another number of layers

    >>> import numpy as np
    >>> from rnnref import interop
    >>> interop.port({}, np.zeros(3))
    Traceback (most recent call last):
    rnnref.errors.NotSupported: port: an array of shape (3,)
      known  live layers of torch, Keras, flax, equinox and haiku
    """
    if params is not None and identify(module).framework not in ("flax", "haiku", ""):
        raise NotSupported("port", f"params for {identify(module).words}", reason="it holds its own")
    known, rng = identify(module), numpy.random.default_rng(check_seed("port", seed))
    if not known.is_live and params is None:
        raise NotSupported("port", known.words, known="live layers of torch, Keras, flax, equinox and haiku")
    stacks = group_layers(find_source_weights(source, framework, family, check_mapping("port", "given", given),
                                              source_params))
    if known.kind == "model":
        return _port_into_model(stacks, module, seed)
    sources = [w for stack in stacks for w in stack.parts]
    layers = _read_module(known.framework, module, params)
    targets = Stack("", layers).parts
    if len(sources) != len(targets):
        raise ShapeError("port", f"the source has {len(sources)} layers and directions, the module {len(targets)}",
                         source=", ".join(w.layout.who for w in sources),
                         module=", ".join(w.layout.who for w in targets))
    _check_directions(source, sources, targets)
    filled = [_fill(w, target, rng) for w, target in zip(sources, targets)]
    proof = [p for w, new in zip(sources, filled) for p in prove(w, new, rng)]
    with _kept_if_refused(known.framework, module, params, targets):
        module, params = _WRITERS[known.framework](module, params, _join_arrays(filled))
        _check_written(filled, Stack("", _read_module(known.framework, module, params)).parts)
        proof += _run_module(known.framework, module, sources, len(layers[0]), rng)
    return Ported(module, params, proof)


def _join_arrays(parts: list[Weights]) -> dict[str, Array]:
    """The arrays of all layers under their names in the module."""
    return {name: a for w in parts for name, a in w.renamed(w.arrays).items()}


@contextmanager
def _kept_if_refused(framework: str, module: Any, params: Any, before: list[Weights]) -> Iterator[None]:
    """Write the first weights into a module again if the block ends with an error."""
    arrays = {name: a.copy() for name, a in _join_arrays(before).items()}        # not views of what is written to
    try:
        yield
    except BaseException:
        _WRITERS[framework](module, params, arrays)
        raise


def _check_directions(source: Any, sources: list[Weights], targets: list[Weights]) -> None:
    """Raise if a live layer reads in another direction than the module; arrays alone do not tell theirs."""
    if not identify(source).is_live:
        return
    for w, target in zip(sources, targets):
        if w.reverse != target.reverse:
            ends = [("from its end" if one.reverse else "from its start") for one in (w, target)]
            raise NotSupported("port", f"the source reads the sequence {ends[0]}, the module {ends[1]}",
                               fix="make the module as the source is; or port the arrays of the source alone")


def _port_into_model(stacks: list[Stack], model: Any, seed: int) -> Ported:
    """The weights of layers into the recurrent layers that a model holds: of the same names, else in order."""
    layers = find_layers(model)
    inner, named = list(layers.values()), {stack.name: stack for stack in stacks}
    if named.keys() == layers.keys() and len(named) == len(stacks):
        stacks = [named[path] for path in layers]
    sources = [w for stack in stacks for w in stack.parts]
    counts = [len(Stack("", weights_of(layer)).parts) for layer in inner]
    if sum(counts) != len(sources) or not inner:
        raise ShapeError("port", f"the source has {len(sources)} layers and directions, the model {sum(counts)}")
    proof: list[Proof] = []
    with ExitStack() as all_or_nothing:
        for layer, count in zip(inner, counts):
            own, sources = sources[:count], sources[count:]
            targets = Stack("", weights_of(layer)).parts
            all_or_nothing.enter_context(_kept_if_refused(identify(layer).framework, layer, None, targets))
            proof += port([(w,) for w in own], layer, seed=seed).proof
    return Ported(model, None, proof)


def _read_module(framework: str, module: Any, params: Any) -> list[tuple[Weights, ...]]:
    """The layers of a module, each a tuple of directions; those of haiku are in its parameters alone."""
    if framework == "haiku":
        return [(w,) for w in find_weights(params, framework="haiku").values()]
    return weights_of(module, params)


def _fill(w: Weights, target: Weights, rng: numpy.random.Generator) -> Weights:
    """The weights of `w` in the form of `target`."""
    layout, cell = target.layout, target.cell
    if w.layout.family != layout.family:
        raise NotSupported("port", f"{with_article(w.layout.who)} cannot become {with_article(layout.who)}",
                           near=_say_family(w, target))
    if w.merge != target.merge:
        raise NotSupported("port", f"both directions are joined by merge_mode={w.merge!r} in the source, and by "
                           f"{target.merge!r} in the module", fix="make the module as the source is")
    try:
        arrays = dump(layout, adapt(w.cell, w.load(), cell, separate=gates_with_own_bias(layout, cell)), cell)
    except NotSupported as e:
        raise _refuse_options(w, target, e, rng) from None
    for name, a in target.arrays.items():
        if name not in arrays or arrays[name].shape != a.shape:
            shape = arrays[name].shape if name in arrays else "nothing"
            raise ShapeError("port", f"{target.names[name]} of the module has shape {tuple(a.shape)}, "
                             f"the source has {shape} for it", source=repr(w),
                             hint="inputs, units and biases must be the same")
        with numpy.errstate(over="ignore"):
            lost = numpy.isfinite(arrays[name]) & ~numpy.isfinite(arrays[name].astype(a.dtype))
        if lost.any():
            largest = float(abs(arrays[name][lost]).max())
            raise NotSupported("port", f"{target.names[name]} of the module is {a.dtype}, the source has {largest:g} "
                               "for it", reason=f"numbers of {a.dtype} end at {float(numpy.finfo(a.dtype).max):g}")
    return target._replace(arrays=arrays)


def _refuse_options(w: Weights, target: Weights, error: NotSupported, rng: numpy.random.Generator,
                    ) -> NotSupported:
    """The error of a module with options that no weights make up for."""
    try:
        fits = convert_weights(w, target.layout.framework)
    except NotSupported as e:
        return refuse(w, target.layout.framework, "", e, rng)
    own, module = traits(fits.cell), traits(target.cell)
    options = ", ".join(f"{name}={value}" for name, value in own.items() if module.get(name) != value)
    return NotSupported("port", error.args[1], **error.notes, fix=f"make the module with {options}")


def _say_family(w: Weights, target: Weights) -> str:
    gru = {w.layout.family, target.layout.family} == {"gru", "gru before"}
    return "one resets before the product with R, the other after it: make the module as the source is" if gru else ""


def _check_written(filled: list[Weights], now: list[Weights]) -> None:
    """Raise if a module does not hold what was written into it."""
    for new, read in zip(filled, now):
        for name, a in new.arrays.items():
            if not numpy.array_equal(read.arrays[name], a.astype(read.arrays[name].dtype), equal_nan=True):
                raise Error("port", f"{new.names[name]} is not what was written into the module")


# into modules

def _write_torch(module: Any, params: Any, arrays: dict[str, Array]) -> tuple[Any, Any]:
    torch = sys.modules["torch"]
    with torch.no_grad():
        for name, a in arrays.items():
            module.get_parameter(name).copy_(torch.tensor(a))
    return module, params


def _write_keras(layer: Any, params: Any, arrays: dict[str, Array]) -> tuple[Any, Any]:
    for variable in layer.weights:
        if variable.path in arrays:
            variable.assign(arrays[variable.path])
    return layer, params


def _replace_leaves(tree: Any, arrays: dict[str, Array], path: str = "") -> Any:
    """A nested dict with the arrays in the place of those at their paths, in the dtype of these."""
    found = {}
    for name, leaf in tree.items():
        here = f"{path}/{name}" if path else str(name)
        if hasattr(leaf, "items"):
            found[name] = _replace_leaves(leaf, arrays, here)
        else:
            found[name] = sys.modules["jax"].numpy.asarray(arrays[here], leaf.dtype) if here in arrays else leaf
    return found


def _write_nnx(module: Any, params: Any, arrays: dict[str, Array]) -> tuple[Any, Any]:
    nnx = sys.modules["flax.nnx"]
    state = nnx.state(module, nnx.Param)
    nnx.replace_by_pure_dict(state, _replace_leaves(nnx.to_pure_dict(state), arrays))
    nnx.update(module, state)
    return module, params


def _write_tree(module: Any, params: Any, arrays: dict[str, Array]) -> tuple[Any, Any]:
    if "params" in params:                        # of flax
        return module, {**params, "params": _replace_leaves(params["params"], arrays)}
    return module, _replace_leaves(params, arrays)


def _write_equinox(module: Any, params: Any, arrays: dict[str, Array]) -> tuple[Any, Any]:
    equinox, jax = sys.modules["equinox"], sys.modules["jax"]
    own = [jax.numpy.asarray(a, getattr(module, name).dtype) for name, a in arrays.items()]
    return equinox.tree_at(lambda m: [getattr(m, name) for name in arrays], module, own), params


_WRITERS = {"torch": _write_torch, "keras": _write_keras, "nnx": _write_nnx, "flax": _write_tree, "haiku": _write_tree,
            "equinox": _write_equinox}


# the module itself, beside our cells

def _run_module(framework: str, module: Any, sources: list[Weights], ways: int, rng: numpy.random.Generator,
                ) -> list[Proof]:
    """The proof that the module returns what our cells do with the weights of the source; [] where it is not run."""
    run = {"torch": _run_torch, "keras": _run_keras}.get(framework)
    if run is None or any(w.cell.inputs.space for w in sources):
        return []
    truth = draw_trial(sources[0], rng).xs
    ys = run(module, truth.astype(next(iter(sources[0].arrays.values())).dtype))
    if ys is None:
        return []
    allowed = 0.0
    for n in range(0, len(sources), ways):
        sides = []
        for k, w in enumerate(sources[n:n + ways]):
            own = draw_trial(w, rng)
            reverse = bool(k) or w.reverse
            start = tuple(numpy.zeros_like(a) for a in own.start)
            y = run_own(w, own.p, truth[::-1] if reverse else truth, start)
            sides.append(y[::-1] if reverse else y)
            allowed += own.find_allowed(ys.dtype, rng)
        truth = numpy.concatenate(sides, -1)
    return [_check(Proof(f"the module {type(module).__name__}", measure(ys, truth), allowed * len(sources)))]


def _check(proof: Proof) -> Proof:
    if not proof.holds:
        raise Error("port", f"{proof}, allowed {proof.allowed:.1e}",
                    hint="the module does more than its weights say: dropout, a merge of directions, another direction")
    return proof


def _run_torch(module: Any, xs: Array) -> Array | None:
    torch = sys.modules["torch"]
    if not hasattr(module, "num_layers"):
        return None                               # a cell: its form has been run
    training, x = module.training, torch.tensor(xs, dtype=next(module.parameters()).dtype)
    module.eval()
    try:
        with torch.no_grad():
            ys, _ = module(x.swapaxes(0, 1) if module.batch_first else x)
    finally:
        module.train(training)
    return (ys.swapaxes(0, 1) if module.batch_first else ys).numpy()


def _run_keras(layer: Any, xs: Array) -> Array | None:
    keras = sys.modules["keras"]
    one = getattr(layer, "forward_layer", layer)
    merged = getattr(layer, "merge_mode", "concat") != "concat"
    if not getattr(one, "return_sequences", False) or merged or one.go_backwards or one.stateful:
        return None                               # what it returns is not the outputs of its cells as they are
    ys = layer(keras.ops.convert_to_tensor(xs.swapaxes(0, 1)), training=False)
    return as_array(keras.ops.convert_to_numpy(ys[0] if isinstance(ys, (list, tuple)) else ys)).swapaxes(0, 1)
