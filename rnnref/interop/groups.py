"""Finds the layers among named arrays: which arrays belong together, and which table they are of."""
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional, Union
from warnings import warn

from ..arrays import Array
from ..elementwise import Activation, get_activation
from ..errors import FileError, NotSupported, ShapeError, with_article
from .convert import Weights
from .families import infer_cell, layout_of, traits
from .files import Content, naming_source, read_content
from .keras_config import LayerConfig, read_options
from .layouts import LAYOUTS, Layout
from .matching import drop_bias, fits, has_other_gates, name_arrays
from .names import FRAMEWORKS
from .places import arrays_of

_SHOWN = 8                                        # arrays that a message names
_KERAS = ("keras", "keras2", "keras2 cudnn")
# Words of scopes.  A kernel for [x, h] has the shape of a dense layer's: only its name tells what it is.
_OTHER_CELLS = {"lstm": r"gru|rnn_cell", "rnn": r"lstm|gru"}
_RECURRENT = r"lstm|gru|rnn_cell"
_BACKWARD = re.compile(r"_reverse$|(^|/)(backward|bw)(_|/|$)")       # of the half of a bidirectional layer
_OWN_NAMES = r"(^|/)(layer_\d+|forward|backward)/$"                  # under which `convert` writes them
_DENSE = r"dense|conv|fc\d*$|linear|logit|proj|softmax|embed|highway|norm|output|^gates$|^candidate$"


class Match(NamedTuple):
    """Arrays that are those of a table."""
    family: str
    framework: str
    place: str
    arrays: tuple[str, ...]                       # their names in the source

    @property
    def table(self) -> str:
        """The two names under which `pieces` finds them."""
        return f'"{self.family}", "{self.framework}"'


def pieces(source: Any, family: str, framework: Union[str, Layout], **options: Any) -> dict[str, Weights]:
    """{place: Weights} of every layer of a kind in a dict or a file; the place is the rest of the names around them.

    source   a dict, nested or not; a file as `read` takes it; a list in the order of Keras's get_weights(), of one or
             several layers
    options  of the layers, where they are neither the framework's default nor in the file

    What a file of Keras says of a layer is honoured: activations, reset_after, go_backwards, convolutions, and the
    version of Keras.  Arrays of a layer that has none of the biases are taken as of a layer made without.  Arrays of no
    such layer are left out, and so are layers of another family.

    Errors   ShapeError: there is none of these layers, with what there is and the table that fits; a list of arrays
             that are not all of such layers.  NotSupported: what the file says of a layer is not what this table or
             these options say

    >>> import numpy as np
    >>> state = {f"rnn.{w}h_l1": np.ones((4, 4)) for w in ("weight_i", "weight_h")}
    >>> found = pieces(state, "rnn", "torch")
    >>> list(found), sorted(found["rnn._l1"].arrays)
    (['rnn._l1'], ['weight_hh_l0', 'weight_ih_l0'])
    """
    layout = layout_of(family, framework)
    if isinstance(source, (list, tuple)):
        source = name_arrays(layout, source)
    with naming_source(source):
        return _find_pieces(layout, read_content(source), options)


def _find_pieces(layout: Layout, content: Content, options: dict[str, Any]) -> dict[str, Weights]:
    found = {}
    for place, (arrays, names) in group_arrays(layout, content.arrays).items():
        said = content.config.find(place) if content.config else None
        if not _is_of_other_kind(layout, place, arrays, said):
            found[place] = _make_weights(layout, place, arrays, names, content, said, options)
    if not found:
        _refuse_nothing(layout, content)
    _warn_of_dense(layout, found)
    return found


def group_arrays(layout: Layout, arrays: dict[str, Array]) -> dict[str, tuple[dict[str, Array], dict[str, str]]]:
    """{place: (arrays by the names of the table, {name in the table: name in the source})} of whole layers."""
    groups = match_names(layout, arrays)
    needed = [name for name, row in arrays_of(layout).items() if row.ours in "WR"]
    whole = {place: group for place, group in groups.items() if all(n in group for n in needed)}
    return {f"{place}{way}": ({n: cut(a) for n, (_, a) in group.items()}, {n: full for n, (full, _) in group.items()})
            for place, group in whole.items() for way, cut in _list_directions(layout, group)}


def _list_directions(layout: Layout, group: dict[str, tuple[str, Array]]) -> list[tuple[str, Any]]:
    """(end of the place, what cuts an array) of each direction: ONNX has both of a layer in one array."""
    if layout.framework != "onnx" or any(a.ndim == 0 or len(a) != 2 for _, a in group.values()):
        return [("", lambda a: a)]
    return [("forward", lambda a: a[:1]), ("backward", lambda a: a[1:])]


def match_names(layout: Layout, arrays: dict[str, Array]) -> dict[str, dict[str, tuple[str, Array]]]:
    """{place: {name in the table: (name in the source, array)}} of all arrays with a name of the table."""
    groups: dict = {}
    for full, a in arrays.items():
        name, place = _match_name(layout, full)
        if name:
            groups.setdefault(place, {})[name] = full, a
    return groups


def _match_name(layout: Layout, full: str) -> tuple[Optional[str], Optional[str]]:
    """The name of the table that `full` ends with, and what is around it; torch numbers layers behind the name."""
    for name in sorted(arrays_of(layout), key=len, reverse=True):
        stem = name.removesuffix("_l0")
        if stem not in full:
            continue
        suffix = r"_l\d+(?:_reverse)?" if stem != name else ""
        match = re.fullmatch(rf"(|.*[./]){re.escape(stem)}({suffix})", full)
        if match:
            return name, "".join(match.groups())
    return None, None


def _is_of_other_kind(layout: Layout, place: str, arrays: dict[str, Array], said: Optional[LayerConfig]) -> bool:
    """True if the file, the shapes or the name of the scope say that this is no layer of the family."""
    if said and said.family != layout.family or has_other_gates(layout, arrays):
        return True
    return _is_joint(layout) and (_is_named_otherwise(layout, place) or not fits(layout, arrays))


def _is_named_otherwise(layout: Layout, place: str) -> bool:
    """True if the scope has the name of a dense layer or of another cell."""
    scopes = [scope for scope in place.lower().split("/") if scope]
    cells = [scope for scope in scopes if re.search(_RECURRENT, scope)]
    if scopes and re.search(_DENSE, scopes[-1]) and scopes[-1] not in cells:
        return True
    other = _OTHER_CELLS.get(layout.family)
    own = rf"^{layout.family}|_{layout.family}_cell"
    return bool(cells and other and re.search(other, cells[-1]) and not re.search(own, cells[-1]))


def _is_joint(layout: Layout) -> bool:
    """True if one matrix holds W and R: it has the shape of any dense layer."""
    return all("I+H" in row.axes for row in layout.rows if row.ours in "WR")


def _warn_of_dense(layout: Layout, found: dict[str, Weights]) -> None:
    """Warn of layers that are taken for recurrent ones by the shape of one matrix alone."""
    unnamed = [place for place in found if place and not re.search(rf"{_RECURRENT}|rnn|{_OWN_NAMES}", place.lower())]
    if _is_joint(layout) and unnamed and len(found) > 1:
        warn(f"pieces: {', '.join(unnamed)} taken for {layout.who} by the shape of one matrix, which a dense layer can "
             "have too", stacklevel=3)


def _make_weights(layout: Layout, place: str, arrays: dict[str, Array], names: dict[str, str], content: Content,
                  said: Optional[LayerConfig], options: dict) -> Weights:
    """The weights of a layer whose options are seen from its file and its arrays, beside `options`."""
    layout = drop_bias(layout, arrays)
    if said:
        _check_said(said, place, arrays)
    from_file = _options_of_file(layout, place, arrays, content, said, options)
    for name in sorted(from_file.keys() & options.keys()):
        given = options[name]
        if said and (get_activation(given) if isinstance(from_file[name], Activation) else given) != from_file[name]:
            raise NotSupported(layout.who, f"{name}={options[name]} for {place!r}",
                               reason=f"its file says of {said.who}: {name}={from_file[name]}")
    cell = infer_cell(layout, arrays, **from_file | options)
    reverse = said.reverse if said else bool(_BACKWARD.search(place))
    return Weights(arrays, layout, cell, names, reverse, said.merge if said else "concat")


def _check_said(said: LayerConfig, place: str, arrays: dict[str, Array]) -> None:
    """Raise if the arrays are not those of the layer that the file describes."""
    units = arrays["recurrent_kernel"].shape[-2:-1] if "recurrent_kernel" in arrays else ()
    if units and said.units is not None and units != (said.units,):
        raise FileError("pieces", f"the arrays of {place!r} have {units[0]} units", reason=f"the configuration of the "
                        f"file says of {said.who}: {said.units}")
    if said.config.get("use_bias", True) != ("bias" in arrays):
        has = "a bias" if "bias" in arrays else "no bias"
        raise FileError("pieces", f"{place!r} has {has}", reason=f"the configuration of the file says of {said.who}: "
                        f"use_bias={bool(said.config.get('use_bias', True))}")


def _options_of_file(layout: Layout, place: str, arrays: dict[str, Array], content: Content,
                     said: Optional[LayerConfig], options: dict) -> dict:
    """Our options, as a file of Keras says them; raise if the table is one of another version of Keras."""
    config = content.config
    if config is None or layout.framework not in _KERAS:
        return {}
    if said:
        found = read_options(said, config.version)
        try:
            infer_cell(layout, arrays, **found)
        except NotSupported as e:
            other = "keras2" if layout.framework == "keras" else "keras"
            raise NotSupported("pieces", f"{said.who}: " + ": ".join(map(str, e.args)), **e.notes,
                               fix=f'the table of the file: pieces(..., "{layout.family}", "{other}")') from None
        return found
    gated = "gate" in traits(infer_cell(layout, {}))
    if gated and "gate" not in options and layout.framework in ("keras", "keras2") and \
            config.default_table not in ("", layout.framework):
        version = ".".join(map(str, config.version))
        raise NotSupported("pieces", f"the table {layout.framework!r} for {place!r} in a file of Keras {version}",
                           reason="gates have another activation there by default, and the file says nothing of it",
                           fix=f'pieces(..., "{layout.family}", "{config.default_table}"), or gate= of the layer')
    return {}


def recognize(arrays: dict[str, Array]) -> list[Match]:
    """Every layer among named arrays, each once, with the table that explains most of its arrays.

    >>> import numpy as np
    >>> recognize({"enc.weight_ih": np.ones((12, 3)), "enc.weight_hh": np.ones((12, 4))})
    [Match(family='gru', framework='torch cell', place='enc.', arrays=('enc.weight_ih', 'enc.weight_hh'))]
    """
    matches = sorted(_list_matches(arrays), key=lambda m: (-len(m.arrays), FRAMEWORKS.index(m.framework)))
    found: list[Match] = []
    for match in matches:
        if not any(set(match.arrays) & set(other.arrays) and match._replace(place=other.place) != other
                   for other in found):           # two directions may lie in the same arrays
            found.append(match)
    order = list(arrays)
    return sorted(found, key=lambda m: order.index(m.arrays[0]))


def _list_matches(arrays: dict[str, Array]) -> Iterator[Match]:
    for (family, framework), layout in LAYOUTS.items():
        for place, (own, names) in group_arrays(layout, arrays).items():
            if not _is_of_other_kind(layout, place, own, None) and fits(layout, own):
                yield Match(family, framework, place, tuple(full for full in arrays if full in names.values()))


def _refuse_nothing(layout: Layout, content: Content) -> None:
    """Raise: there is no layer of this kind; what there is, and which table fits."""
    arrays = content.arrays
    shown = ", ".join(f"{name} {tuple(a.shape)}" for name, a in list(arrays.items())[:_SHOWN])
    more = f", and {len(arrays) - _SHOWN} more" if len(arrays) > _SHOWN else ""
    matches = recognize(arrays)
    said = [layer.who for layer in (content.config.layers or () if content.config else ())]
    first = matches[0] if matches else None
    lower = "" if first or not recognize({n.lower(): a for n, a in arrays.items()}) else "in lower case the names fit"
    raise ShapeError("pieces", f"no {layout.who} among {len(arrays)} array{'s' * (len(arrays) != 1)}",
                     given=shown + more or "nothing", expected=" ".join(arrays_of(layout)),
                     layers=f"its file says: {', '.join(said)}" if said else "",
                     fits="; ".join(f"{m.place!r} is {with_article(m.framework)} {m.family}" for m in matches[:_SHOWN]),
                     hint=lower, fix=f"pieces(..., {first.table})" if first else _describe_shapes(layout, arrays))


def _describe_shapes(layout: Layout, arrays: dict[str, Array]) -> str:
    """Which names the arrays would need, if two of them have the shapes of W and R of this layout."""
    wanted = [name for name, row in arrays_of(layout).items() if row.ours in ("W", "R")]
    matrices = {name: a for name, a in arrays.items() if a.ndim == 2}
    if len(wanted) == 2 == len(matrices) and fits(layout, dict(zip(wanted, matrices.values()))):
        return f"their shapes fit: give them the names {' '.join(wanted)}"
    return ""
