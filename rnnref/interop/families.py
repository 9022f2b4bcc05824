"""The cell of rnnref that computes what a layer of another framework does, and the options that layer can have."""
from functools import lru_cache
from typing import Any, Union

from ..arrays import Array, asnumpy
from ..cell import GatedCell
from ..cells import catalog
from ..cells.gated_units import MGU, UGRNN
from ..cells.gru_before import GRUBefore
from ..cells.lstm_variants import ConvLSTM
from ..cells.mgu_before import MGUBefore
from ..elementwise import ALIASES, get_activation
from ..errors import NotSupported, ShapeError
from ..maps.conv import Conv
from ..maps.dense import Dense
from ..rules.elman import ElmanRule, ResidualElmanRule
from ..rules.gated import MGURule, UGRNNRule
from ..rules.gru import GRURule
from ..rules.lstm import LSTMRule
from .layouts import IMPOSSIBLE, LAYOUTS, Layout
from .names import family_named, framework_named
from .places import arrays_of

_FAMILIES: dict = {"rnn": catalog.SimpleRNN, "lstm": catalog.LSTM, "gru": catalog.GRU, "gru before": catalog.GRU,
                   "mgu": MGU, "ugrnn": UGRNN, "conv lstm": ConvLSTM}
# the maps of the cells of the catalog
_INPUT_MAPS, _RECURRENT_MAPS = (Dense("W", "b"), Dense("W")), (Dense("R", "bR"), Dense("R"))
_RULES = (ElmanRule, ResidualElmanRule, LSTMRule, GRURule, MGURule, UGRNNRule)
RESET_REASON = ("the reset acts before the product with R in one and after it in the other: n is another function of "
                "h, and no weights make them equal")
_BIAS_OPTIONS = ("bias", "recurrent_bias")        # only how the weights are held
CONV_OPTIONS = ("kernel", "recurrent_kernel", "strides", "padding", "dilation")
_FRAMEWORK_OPTIONS = ("forget_bias", "reset", "cell_clip_gradient", *_BIAS_OPTIONS)      # each framework has its own


def layout_of(family: str, framework: Union[str, Layout], bias: bool = True) -> Layout:
    """The table of a framework; a `Layout` stays as it is.  bias=False: of a layer that was made without biases.

    Families: "rnn", "lstm", "gru" (reset after the product), "gru before", "mgu", "ugrnn", "conv lstm"; frameworks as
    in `LAYOUTS`; both in upper or lower case, and under other names that they have: `framework_named`.

    Errors   NotSupported: a family that the framework does not have, with the reason
    """
    family = family_named(family)
    if not isinstance(framework, Layout):
        framework = framework_named(framework)
    layout = framework if isinstance(framework, Layout) else LAYOUTS.get((family, framework))
    if layout is None or layout.family != family:
        other = {"gru": "gru before", "gru before": "gru"}.get(family)
        raise NotSupported("interop", f"no layout of {getattr(framework, 'who', repr(framework))} for {family!r}",
                           reason=IMPOSSIBLE.get((family, framework))
                           or (RESET_REASON if (other, framework) in LAYOUTS or layout else ""),
                           known=", ".join(f"{f} {k}" for k, f in sorted(LAYOUTS)))
    return layout if bias else layout.without_bias()


def cell_for(family: str, framework: Union[str, Layout], **options: Any) -> Any:
    """The cell that computes what a layer of the framework does; `options` win over those of the layout.

    An option that the framework does not have is refused by name.  `bias` and `recurrent_bias` only determine how the
    weights are held.

    >>> cell_for("lstm", "tf1").rule.forget_bias
    1.0
    >>> cell_for("lstm", "torch", peepholes=True)
    Traceback (most recent call last):
    rnnref.errors.NotSupported: torch lstm: peepholes=True, which it does not have
      takes  projection
    """
    layout = layout_of(family, framework)
    if options.get("bias") is False:
        options = {"recurrent_bias": False} | options
    make = _make_cell if all(type(value) in _PLAIN for value in options.values()) else _make_cell.__wrapped__
    return make(layout, **options)


_PLAIN = (bool, int, float, str, type(None))      # equal ones of the same type are the same option


@lru_cache(maxsize=256, typed=True)
def _make_cell(layout: Layout, **options: Any) -> Any:
    """The cell, the same object for the same options: what is known of a cell is known by the object."""
    cell = _FAMILIES[layout.family](**layout.options | options)
    default, actual = traits(_FAMILIES[layout.family](**layout.options)), traits(cell)
    for name in options:
        if actual[name] != default[name] and name not in _BIAS_OPTIONS:
            _check_option(layout, name, actual[name], default[name])
    for pair in map(str.split, layout.takes):
        if len({actual[name] for name in pair}) > 1:
            raise NotSupported(layout.who, " and ".join(f"{name}={actual[name]}" for name in pair),
                               reason="these are one setting there: give both, and the same")
    return cell


def _check_option(layout: Layout, name: str, value: Any, default: Any) -> None:
    """Raise unless a layer of the framework can have this value."""
    key = next((key for key in layout.takes if name in key.split()), None)
    if key is None:
        raise NotSupported(layout.who, f"{name}={value}, which it does not have",
                           there=default and f"it is {default}", takes=", ".join(layout.takes) or "nothing")
    allowed = layout.takes[key]
    if allowed is not None and value not in allowed:
        raise NotSupported(layout.who, f"{name}={value}, which it does not have",
                           takes=f"{name}: {', '.join(map(str, allowed))}",
                           hint=_hard_sigmoid_hint(value, allowed))


def _hard_sigmoid_hint(value: Any, allowed: tuple) -> str:
    if getattr(value, "name", "") != "hard_sigmoid" or not any(a.name == value.name for a in allowed):
        return ""
    return "its hard_sigmoid has another slope: convert with wanted={'gate': …} that one, and the gates are rescaled"


def traits(cell: Any) -> dict[str, Any]:
    """What a cell computes, as options of the catalog.

    Errors   NotSupported: a cell that frameworks do not have in common

    >>> traits(catalog.GRU(reset="before"))["reset"]
    'before'
    """
    inner = cell.cell if getattr(cell, "projection", None) else cell
    rule = getattr(inner, "rule", None)
    known = isinstance(inner, (GatedCell, GRUBefore, MGUBefore)) and type(rule) in _RULES
    conv = known and _conv_options(inner)
    if not known or not conv and (inner.inputs not in _INPUT_MAPS or inner.recurrent not in _RECURRENT_MAPS):
        raise NotSupported("interop", f"{cell!r} is none of the cells that frameworks have in common",
                           known="SimpleRNN, LSTM, GRU, MGU, UGRNN and ConvLSTM of the catalog")
    options = vars(rule) | {"bias": bool(inner.inputs.b), "recurrent_bias": bool(inner.recurrent.b)} | (conv or {})
    if isinstance(rule, LSTMRule):
        options |= {"projection": cell.projection, "projection_clip": getattr(cell, "clip", None)}
    if isinstance(rule, ElmanRule):
        options["residual"] = isinstance(rule, ResidualElmanRule)
    if isinstance(rule, (GRURule, MGURule)):
        options["reset"] = "before" if isinstance(inner, (GRUBefore, MGUBefore)) else "after"
    return options


def _conv_options(cell: Any) -> dict[str, Any]:
    """The convolutions of a ConvLSTM, as options of the catalog; {} if it is none."""
    x, h = cell.inputs, cell.recurrent
    if not (isinstance(x, Conv) and isinstance(h, Conv) and type(cell.rule) is LSTMRule and (x.W, h.W) == ("W", "R")
            and (x.b in ("b", None)) and (h.b in ("bR", None)) and h == Conv("R", h.b, h.kernel)):
        return {}
    return {"kernel": x.kernel, "recurrent_kernel": None if h.kernel == x.kernel else h.kernel,
            "strides": x.strides if max(x.strides) > 1 else (), "padding": x.padding,
            "dilation": x.dilation if max(x.dilation) > 1 else ()}


def family_of(cell: Any) -> str:
    """The family of its layouts; an MGU with reset="before" is one that no framework has."""
    options = traits(cell)
    if "activation" in options:
        return "rnn"
    if "reset" not in options and "output" not in options:
        return "ugrnn"
    if "reset" not in options:
        return "conv lstm" if "kernel" in options else "lstm"
    return "mgu" if "keeps" in options else "gru" if options["reset"] == "after" else "gru before"


def infer_cell(layout: Layout, arrays: dict[str, Array], **options: Any) -> Any:
    """The cell that these arrays are for: a projection, peepholes and kernels are read off the arrays present."""
    for name, row in arrays_of(layout).items():
        if name in arrays and row.ours == "P":
            shape = asnumpy(arrays[name]).shape
            if len(shape) != 2:
                raise ShapeError(layout.who, f"{name} has shape {shape}, expected 2 axes",
                                 axes=f'{name} is "{row.axes}"')
            options = {"projection": shape[row.axes.split().index("H")]} | options
        elif name in arrays and row.ours == "W" and "S" in row.axes.split():
            options = {"kernel": asnumpy(arrays[name]).shape[:-2]} | options
        elif name in arrays and row.ours.startswith("Wp"):
            options = {"peepholes": True} | options
    return cell_for(layout.family, layout, **options)


def cell_like(layout: Layout, cell: Any, **wanted: Any) -> Any:
    """The cell of `layout` that computes what `cell` does, in the conventions of its framework.

    wanted   options that differ from those of `cell`
    Errors   NotSupported: an option of `cell` that the framework does not have
    """
    options, default = traits(cell), traits(cell_for(layout.family, layout))
    if options.get("reset") != default.get("reset"):
        raise NotSupported(layout.who, f"reset={options.get('reset')!r}, which it does not have", reason=RESET_REASON)
    carried = {name: value for name, value in options.items()
               if name not in _FRAMEWORK_OPTIONS and value != default[name]}
    if carried.get("coupled", "") not in (layout.takes.get("coupled") or ()):
        carried.pop("coupled", None)              # `adapt` gives both gates blocks, or sees that one is 1 - the other
    return cell_for(layout.family, layout, **carried | wanted)


def check_defaults(layout: Layout, cell: Any, chosen: dict[str, Any]) -> None:
    """Raise if the cell differs from the framework's default in an activation or padding that is not in `chosen`."""
    options, default = traits(cell), traits(cell_for(layout.family, layout))
    for name in ("gate", "candidate", "output", "activation", "padding"):
        if options.get(name) != default.get(name) and name not in chosen:
            value = next((n for n in ALIASES if "@" in n and get_activation(n) == options[name]), options[name])
            raise NotSupported(layout.who,
                               f"{name}={options[name]} as the source has it, the default is {default[name]}",
                               fix=f"make the layer so, and give wanted={{{name!r}: {str(value)!r}}}")


def read_activations(cell: Any, family: str, gate: str, other: str, table: dict[str, Any]) -> dict[str, Any]:
    """Our options for the activations of a cell of Keras or flax.

    gate, other   the names of the two attributes that hold them
    table         {their name: activation}
    """
    lstm = {"gate": gate, "candidate": other, "output": other}
    attributes = {"rnn": {"activation": other}, "lstm": lstm, "conv lstm": lstm if hasattr(cell, other) else {}}
    options = {}
    for option, attribute in attributes.get(family, {"gate": gate, "candidate": other}).items():
        function = getattr(cell, attribute)
        name = getattr(function, "__name__", repr(function))
        if name not in table:
            raise NotSupported(type(cell).__name__, f"{attribute}={name}", known=" ".join(table))
        options[option] = table[name]
    return options


def read_conv_options(cell: Any) -> dict[str, Any]:
    """Our options for the convolutions of a cell of Keras or flax; {} if it has none."""
    if not hasattr(cell, "kernel_size"):
        return {}
    for name, known in {"data_format": "channels_last", "groups": 1}.items():
        if getattr(cell, name, known) != known:
            raise NotSupported(type(cell).__name__, f"{name}={getattr(cell, name)!r}", known=f"{name}={known!r}")
    if not isinstance(cell.padding, str):
        raise NotSupported(type(cell).__name__, f"padding={cell.padding!r}", known="'SAME'")
    spread = {"strides": tuple(cell.strides or ()), "dilation": tuple(getattr(cell, "dilation_rate", ()))}
    return {"kernel": tuple(cell.kernel_size), "padding": cell.padding.lower()} | {
        name: n for name, n in spread.items() if max(n, default=1) > 1}
