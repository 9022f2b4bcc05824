"""convert: weights from any source as those of any framework, exact and with a proof, or refused with the reason."""
from collections.abc import Iterator, Mapping
from typing import Any

import numpy

from ..arrays import Array, asnumpy
from ..errors import NotSupported, ShapeError, with_article
from ..interop import Weights, cudnn, framework_named, traits
from ..interop.convert import convert_weights, gates_with_own_bias, list_options
from ..interop.layouts import LAYOUTS
from ..interop.nearest import approximate
from ..options import check_kind, check_mapping, check_seed, named_arguments
from .forms import run_own
from .proof import Proof, draw_trial, measure, prove
from .sources import find_source_weights
from .stacks import Stack, find_network, group_layers, name_arrays

FRAMEWORKS = (*dict.fromkeys(framework for _, framework in LAYOUTS), "cudnn")


class NotRepresentable(NotSupported):
    """A layer that a framework cannot compute, with the reason and the nearest model that it can."""


class Conversion(dict):
    """The arrays of a framework by name, as `convert` returns them.

    framework   the framework
    stacks      the layers as `Weights`: stacks of layers of directions
    options     {layer: {option: value}} of layers that are not as the framework makes them by default, by our names
    notes       what was computed, beside moving numbers, in words
    proof       what was run, and how far it was from the source
    network     of cuDNN: the description of its buffer
    """

    def __init__(self, arrays: Mapping[str, Array], framework: str, stacks: list[Stack], notes: list[str],
                 proof: list[Proof], network: cudnn.Network | None = None) -> None:
        super().__init__(arrays)
        self.framework, self.stacks, self.notes, self.proof, self.network = framework, stacks, notes, proof, network

    @property
    def options(self) -> dict[str, dict[str, Any]]:
        """The options of each layer that are not the default, by our names."""
        found = {title: list_options(w) | ({"reverse": True} if w.reverse and not two else {})
                 | ({"merge_mode": w.merge} if w.merge != "concat" and w.layout.framework in _HAVE_MERGE else {})
                 for title, w, two in _list_parts(self.stacks)}
        return {title: options for title, options in found.items() if options}

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {tuple(a.shape)}" for name, a in self.items())
        return f"<Conversion to {self.framework}: {shapes}>"

    def describe(self) -> str:
        """What the conversion is, as text: arrays, options of the layers, what was computed, the proof."""
        made = [f"{title or 'the layer'}: make it with {', '.join(f'{n}={v}' for n, v in options.items())}"
                for title, options in self.options.items()]
        arrays = [f"{name} {tuple(a.shape)} {a.dtype}" for name, a in self.items()]
        of_buffer = [] if self.network is None else [str(self.network)]
        parts = {f"{self.framework}: {len(self)} array{'s' * (len(self) != 1)}": arrays, "Options": made,
                 "Read it with its description: convert((interop.cudnn.Network(...), weights), ...)": of_buffer,
                 "Computed": self.notes or ["nothing: every number is one of the source, moved"],
                 "Proof: outputs beside those of our cell with the weights of the source": _summarize(self.proof)}
        return "\n\n".join("\n".join([title, *(f"    {line}" for line in lines)])
                           for title, lines in parts.items() if lines)


@named_arguments
def convert(source: Any, to: str, *, framework: Any = None, family: str | None = None, given: Mapping | None = None,
            wanted: Mapping | None = None, params: Any = None, live: bool = True, seed: int = 0) -> Conversion:
    """Weights from any source as those of another framework, with which it computes the same; proven by running both.

    The result is a dict of arrays, named as the framework names them.  `.options` lists how its layers must be made
    where that is not the default, `.notes` what was computed beside moving numbers, and `.proof` what was run: our cell
    with the weights of both, and the layers of both frameworks where they are installed.

    source      a live layer or model of torch, Keras, flax or equinox; a dict of arrays, nested or not; a list as
                get_weights() gives it; a file .npz .safetensors .h5 .keras .pt .onnx; an ONNX model; `Weights`, or what
                `weights_of` returns; or (Network, buffer) of cuDNN
    to          the target: a framework as in `interop.LAYOUTS`, or "cudnn" for the flat buffer
    framework, family   of the source, if its names do not show them
    given       options of the layers of the source that are neither the default nor seen in it: {"forget_bias": 0.0}
    wanted      options that the layers of the target shall have
    params      of a flax linen module, which does not hold them itself
    live        False: only our cell is run, and no framework is imported
    seed        of the numbers on which both are run
    Errors      NotRepresentable: what the target cannot compute, with the reason and the nearest model.  Error: two
                forms that should be equal are not.  Those of `interop.pieces`

    >>> import numpy as np
    >>> tf1 = {"rnn/lstm_cell/kernel": np.ones((3, 4)), "rnn/lstm_cell/bias": np.arange(4.0)}
    >>> there = convert(tf1, "torch", framework="tf1", family="lstm")
    >>> there["rnn.lstm_cell.bias_ih_l0"], there.notes
    (array([0., 3., 1., 3.]), ['1 is added to the bias of f: tf1 lstm adds it when it runs'])
    """
    given, wanted = (check_mapping("convert", *pair) for pair in (("given", given), ("wanted", wanted)))
    live, rng = check_kind("convert", "live", live, bool), numpy.random.default_rng(check_seed("convert", seed))
    found = find_source_weights(source, framework=framework, family=family, given=given, params=params)
    return convert_layers(group_layers(found), to, wanted, live, rng)


def convert_layers(stacks: list[Stack], to: str, wanted: dict[str, Any], live: bool, rng: numpy.random.Generator,
                   ) -> Conversion:
    """The conversion of stacks of layers."""
    to = "cudnn" if str(to).lower() == "cudnn" else framework_named(to)
    notes: dict[str, list[str]] = {}
    converted = [Stack(stack.name, [tuple(_convert_part(w, title, to, wanted, notes, rng)
                                          for title, w in _titles(stack, n)) for n in range(len(stack.layers))])
                 for stack in stacks]
    proof = [p for stack, other in zip(stacks, converted) for w, new in zip(stack.parts, other.parts)
             for p in prove(w, new, rng, stack.name, live)]
    said = _join_notes(notes, sum(len(stack.parts) for stack in stacks))
    if to != "cudnn":
        return Conversion(name_arrays(converted), to, converted, said, proof)
    if len(converted) != 1:
        raise NotSupported("convert", f"{len(converted)} networks as one buffer", fix="convert them one by one",
                           names=", ".join(stack.name for stack in converted))
    network = find_network(converted[0])
    buffer = network.join(*network.theirs([_with_both_biases(w) for w in converted[0].parts]))
    return Conversion({"weights": buffer}, to, converted, said, proof, network)


def _join_notes(notes: dict[str, list[str]], count: int) -> list[str]:
    """Notes with the layers that they are on; without these, where they are on all."""
    return [note if len(titles) == count else f"{'; '.join(titles)}: {note}" for note, titles in notes.items()]


def _convert_part(w: Weights, title: str, to: str, wanted: dict[str, Any], notes: dict[str, list[str]],
                  rng: numpy.random.Generator) -> Weights:
    """One layer in one direction; what was computed is added to `notes`."""
    target = "torch" if to == "cudnn" else to
    try:
        with numpy.errstate(invalid="ignore", over="ignore"):     # numbers that are not finite are converted too
            new = convert_weights(w, target, wanted)
    except NotSupported as e:
        if wanted and _is_convertible(w, target):  # the option is wrong
            raise
        raise refuse(w, to, title, e, rng) from None
    reversed_alone = w.reverse and not title.endswith("backward") and new.layout.framework not in _HAVE_REVERSE
    flip = f"it reads the sequence from its end: flip x and y in time around {with_article(new.layout.who)}"
    for note in describe_changes(w, new) + [flip] * reversed_alone:
        notes.setdefault(note, []).append(title)
    return new


def _is_convertible(w: Weights, framework: str) -> bool:
    try:
        convert_weights(w, framework)
    except (NotSupported, ShapeError):
        return False
    return True


def _with_both_biases(w: Weights) -> dict[str, Array]:
    """The parameters with both biases, which cuDNN always has: zero where the layer has none."""
    p = w.load()
    zero = numpy.zeros(len(w.cell.gates) * w.cell.units(p), p["W"].dtype)
    return {name: p.get(name, zero) for name in ("W", "R", "P", "b", "bR") if name in p or name in ("b", "bR")}


_HAVE_MERGE = ("keras", "keras2", "keras2 cudnn")
_HAVE_REVERSE = ("keras", "keras2", "keras2 cudnn", "onnx", "flax", "nnx", "nnx optimized", "coreml", "coreml network")


def _titles(stack: Stack, n: int) -> Iterator[tuple[str, Weights]]:
    for k, w in enumerate(stack.layers[n]):
        yield ", ".join(filter(None, (stack.name, stack.describe_part(n, k)))), w


def _list_parts(stacks: list[Stack]) -> Iterator[tuple[str, Weights, bool]]:
    """(title, weights, whether it is one of two directions) of all layers."""
    for stack in stacks:
        for n, layer in enumerate(stack.layers):
            for title, w in _titles(stack, n):
                yield title, w, len(layer) > 1


def _summarize(proof: list[Proof]) -> list[str]:
    """A line for each form, with the largest error of all layers."""
    worst: dict[str, float] = {}
    for p in proof:
        worst[p.form] = max(worst.get(p.form, 0.0), p.error)
    return [f"{form}: within {error:.1e}" for form, error in worst.items()]


# what was computed

def describe_changes(w: Weights, new: Weights) -> list[str]:
    """What was done to numbers beside moving them, in words."""
    a, b, p = traits(w.cell), traits(new.cell), w.load()
    found = []
    shift = a.get("forget_bias", 0) - b.get("forget_bias", 0)
    if shift:
        gate = "f" if "f" in w.cell.gates else "z"
        adds = w.layout.who if a["forget_bias"] else new.layout.who
        verb = "added to" if shift > 0 else "subtracted from"
        found.append(f"{abs(shift):g} is {verb} the bias of {gate}: {adds} adds it when it runs")
    apart = gates_with_own_bias(new.layout, new.cell)
    blocks = zip(w.cell.gates, numpy.split(asnumpy(p["bR"]), len(w.cell.gates), -1)) if "bR" in p else ()
    merged = [gate for gate, block in blocks if gate not in apart and block.any()]
    if merged:
        found.append(f"the two biases of {' '.join(merged)} are added: {new.layout.who} has one")
    if a.get("gate") != b.get("gate"):
        factor = a["gate"].alpha / b["gate"].alpha
        found.append(f"what enters the gates is multiplied by {factor:.6g}: the hard sigmoids have different slopes")
    if a.get("coupled") != b.get("coupled"):
        found.append("the coupled gate gets blocks of its own: 1 - sigmoid(a) = sigmoid(-a)")
    if w.merge != "concat" and new.layout.framework not in _HAVE_MERGE:
        found.append(f"the outputs of both directions are joined by merge_mode={w.merge!r}: {new.layout.who} has them "
                     "side by side, join them behind it")
    signs = set(w.layout.negated) ^ set(new.layout.negated)
    if signs & set(w.cell.gates):
        found.append("the signs of z are changed: one keeps the old state with z, one with 1 - z")
    return found


# refusals

def refuse(w: Weights, to: str, title: str, error: NotSupported, rng: numpy.random.Generator,
           ) -> NotRepresentable:
    """The error of a layer that a framework cannot compute, with the reason and the nearest model."""
    who, what = error.args
    target = "torch" if to == "cudnn" else to
    notes = {name: note for name, note in error.notes.items() if name != "known"}
    reason = notes.pop("reason", "") or f"no weights of {target} make up for it"
    what = what if who == "interop" else f"{who}: {what}"
    return NotRepresentable("convert", f"{title + ': ' if title else ''}{w.layout.who} to {to}: {what}", reason=reason,
                            **notes, near=describe_nearest(w, to, rng), exact=_list_exact(w, to))


def describe_nearest(w: Weights, to: str, rng: numpy.random.Generator) -> str:
    """The nearest model of a framework, in words, and how far its outputs are on drawn inputs."""
    found = approximate(w, "torch" if to == "cudnn" else to)
    if found is None:
        return ""
    new, words = found
    trial = draw_trial(w, rng)
    own = {name: a.astype("float64") for name, a in new.load().items()}
    error = measure(run_own(new, own, trial.xs, trial.start), trial.ys)
    how = "".join(f", {word}" for word in words)
    who = with_article(new.layout.who)
    return f"{who} with these weights{how}: outputs differ by up to {error:.2g} on drawn inputs"


def _list_exact(w: Weights, to: str) -> str:
    """The frameworks that can compute it, those related to the target first."""
    found = [framework for framework in FRAMEWORKS[:-1] if _is_convertible(w, framework)]
    return ", ".join(sorted(found, key=lambda name: name.split()[0] != to.split()[0]))
