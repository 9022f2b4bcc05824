"""Which cell of ours computes what theirs does, and what either can be told.  (floor 4)"""
from ..arrays import asnumpy
from ..cell import GatedCell
from ..cells import catalog
from ..cells.gated_units import MGU
from ..cells.gru_before import GRUBefore
from ..cells.lstm_variants import ConvLSTM
from ..cells.mgu_before import MGUBefore
from ..errors import NotSupported, ShapeError
from ..maps.conv import Conv
from ..maps.dense import Dense
from ..rules.elman import ElmanRule
from ..rules.gated import MGURule
from ..rules.gru import GRURule
from ..rules.lstm import LSTMRule
from ..elementwise import ALIASES, get_activation
from .places import arrays_of
from .layouts import IMPOSSIBLE, LAYOUTS, Layout

_FAMILIES: dict = {"rnn": catalog.SimpleRNN, "lstm": catalog.LSTM, "gru": catalog.GRU, "gru before": catalog.GRU,
                  "mgu": MGU, "conv lstm": ConvLSTM}
_INPUT_MAPS, _RECURRENT_MAPS = (Dense("W", "b"), Dense("W")), (Dense("R", "bR"), Dense("R"))       # the maps of the catalog
RESET_REASON = ("the reset acts before the product with R in one and after it in the other: n is another function of h, and "
         "no weights make them equal")
_BIAS_OPTIONS = ("bias", "recurrent_bias")                                             # say how the weights are held
CONV_OPTIONS = ("kernel", "recurrent_kernel", "strides", "padding", "dilation")      # of a convolution
_FRAMEWORK_OPTIONS = ("forget_bias", "reset", "cell_clip_gradient", *_BIAS_OPTIONS)                   # each framework has its own


def layout_of(family, framework, bias=True):
    """The table of a framework; a `Layout` stays as it is.  bias=False: of a layer that was made without biases.

    Families: "rnn", "lstm", "gru" (reset after the product), "gru before", "mgu", "conv lstm"; frameworks as in
    `LAYOUTS`.
    """
    layout = framework if isinstance(framework, Layout) else LAYOUTS.get((family, framework))
    if layout is None or layout.family != family:
        other = {"gru": "gru before", "gru before": "gru"}.get(family)
        raise NotSupported("interop", f"no layout of {getattr(framework, 'who', repr(framework))} for {family!r}",
                           reason=IMPOSSIBLE.get((family, framework))
                           or (RESET_REASON if (other, framework) in LAYOUTS or layout else ""),
                           known=", ".join(f"{f} {k}" for k, f in sorted(LAYOUTS)))
    return layout if bias else layout.without_bias()


def cell_for(family, framework, **options):
    """Our cell as the framework computes it; `options` win over those of the layout.

    What theirs cannot be told is refused by name.  `bias` and `recurrent_bias` only say how we hold the weights.

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
    cell = _FAMILIES[family](**layout.options | options)
    plain, told = traits(_FAMILIES[family](**layout.options)), traits(cell)
    for name in options:
        if told[name] != plain[name] and name not in _BIAS_OPTIONS:
            _check_option(layout, name, told[name], plain[name])
    for pair in map(str.split, layout.takes):
        if len({told[name] for name in pair}) > 1:
            raise NotSupported(layout.who, " and ".join(f"{name}={told[name]}" for name in pair),
                               reason="these are one setting there: give both, and the same")
    return cell


def _check_option(layout, name, value, plain):
    """Raise unless theirs can be told `value`."""
    key = next((key for key in layout.takes if name in key.split()), None)
    if key is None:
        raise NotSupported(layout.who, f"{name}={value}, which it does not have", there=plain and f"it is {plain}",
                           takes=", ".join(layout.takes) or "nothing")
    allowed = layout.takes[key]
    if allowed is not None and value not in allowed:
        raise NotSupported(layout.who, f"{name}={value}, which it does not have",
                           takes=f"{name}: {', '.join(map(str, allowed))}",
                           hint=_hard_sigmoid_hint(value, allowed))


def _hard_sigmoid_hint(value, allowed):
    if getattr(value, "name", "") != "hard_sigmoid" or not any(a.name == value.name for a in allowed):
        return ""
    return "its hard_sigmoid has another slope: convert with wanted={'gate': …} that one, and the gates are rescaled"


def traits(cell):
    """What a cell computes, as options of the catalog.

    >>> traits(catalog.GRU(reset="before"))["reset"]
    'before'
    """
    inner = cell.cell if getattr(cell, "projection", None) else cell
    rule = getattr(inner, "rule", None)
    known = isinstance(inner, (GatedCell, GRUBefore, MGUBefore)) and type(rule) in (LSTMRule, GRURule, ElmanRule, MGURule)
    space = known and _conv_options(inner)
    if not known or not space and (inner.inputs not in _INPUT_MAPS or inner.recurrent not in _RECURRENT_MAPS):
        raise NotSupported("interop", f"{cell!r} is none of the cells that frameworks have in common",
                           known="SimpleRNN, LSTM, GRU, MGU and ConvLSTM of the catalog")
    found = dict(vars(rule)) | {"bias": bool(inner.inputs.b), "recurrent_bias": bool(inner.recurrent.b)} | (space or {})
    if isinstance(rule, LSTMRule):
        found |= {"projection": cell.projection, "projection_clip": getattr(cell, "clip", None)}
    if isinstance(rule, (GRURule, MGURule)):
        found["reset"] = "before" if isinstance(inner, (GRUBefore, MGUBefore)) else "after"
    return found


def _conv_options(cell):
    """The convolutions of a ConvLSTM, as options of the catalog; {} if it is none."""
    x, h = cell.inputs, cell.recurrent
    if not (isinstance(x, Conv) and isinstance(h, Conv) and type(cell.rule) is LSTMRule and (x.W, h.W) == ("W", "R")
            and (x.b in ("b", None)) and (h.b in ("bR", None)) and h == Conv("R", h.b, h.kernel)):
        return {}
    return {"kernel": x.kernel, "recurrent_kernel": None if h.kernel == x.kernel else h.kernel,
            "strides": x.strides if max(x.strides) > 1 else (), "padding": x.padding,
            "dilation": x.dilation if max(x.dilation) > 1 else ()}


def family_of(cell):
    """The family of its layouts; an MGU with reset="before" is one that no framework has."""
    told = traits(cell)
    if "activation" in told:
        return "rnn"
    if "reset" not in told:
        return "conv lstm" if "kernel" in told else "lstm"
    return "mgu" if "keeps" in told else "gru" if told["reset"] == "after" else "gru before"


def infer_cell(layout, arrays, **options):
    """The cell that their arrays are for: a projection or peepholes are seen from the arrays that are there."""
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


def cell_like(layout, cell, **wanted):
    """The cell of `layout` that computes what `cell` does, in the conventions of its framework."""
    told, plain = traits(cell), traits(cell_for(layout.family, layout))
    if told.get("reset") != plain.get("reset"):
        raise NotSupported(layout.who, f"reset={told.get('reset')!r}, which it does not have", reason=RESET_REASON)
    carried = {name: value for name, value in told.items() if name not in _FRAMEWORK_OPTIONS and value != plain[name]}
    if carried.get("coupled") not in (None, *(layout.takes.get("coupled") or ())):
        del carried["coupled"]                    # `adapt` gives both gates blocks of their own
    return cell_for(layout.family, layout, **carried | wanted)


def check_defaults(layout, cell, chosen):
    """Raise if the cell is not what theirs is by default, in an activation or padding that nobody has said."""
    told, plain = traits(cell), traits(cell_for(layout.family, layout))
    for name in ("gate", "candidate", "output", "activation", "padding"):
        if told.get(name) != plain.get(name) and name not in chosen:
            spelled = next((n for n in ALIASES if "@" in n and get_activation(n) == told[name]), told[name])
            raise NotSupported(layout.who, f"{name}={told[name]} as the source has it, the default is {plain[name]}",
                               fix=f"make the layer so, and say wanted={{{name!r}: {str(spelled)!r}}}")
