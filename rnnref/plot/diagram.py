"""The inside of a cell as a drawing: its maps, gates and states, read off the cell itself."""
from typing import Any, Callable

import numpy

from ..cell import GatedCell, ProjectedCell, name_of
from ..cells.dense_peepholes import DensePeepholes
from ..cells.gru_before import GRUBefore
from ..cells.mgu_before import MGUBefore
from ..errors import NotSupported
from ..maps.dense import Zero
from ..rules.elman import ElmanRule, LeakyRule, ResidualElmanRule
from ..rules.gru import GRURule
from ..rules.layer_norm import CellNormLSTMRule, LayerNormRule
from ..rules.lstm import LSTMRule
from .canvas import C_COLOUR, H_COLOUR, HALF, INK, MAP_FACE, OTHER_FACE, PEEPHOLE_COLOUR, RADIUS, X_COLOUR, Canvas
from .formulas import describe_parameters, formula_of, label_of, row_size, width_of

_MAP_X, _MAP_WIDTH = 2.75, 1.9                    # the boxes of the two maps, above each other
_MAP_END = _MAP_X + _MAP_WIDTH / 2
_ENTRY = 0.9                                      # where the old h turns down to its map


def diagram(cell: Any) -> Any:
    """A drawing of the inside of one cell, from its two maps to its new state, with the sizes of all arrays.

    Lines are green where they carry x, blue where they carry h, pink where they carry c; round signs work entry by
    entry, boxes are maps and activations.  Rules of the simple RNN, the LSTM and the GRU are drawn gate by gate with
    all their options; of other rules the two products, the gate blocks and the states.  `cell` may be a layer too.

    Errors  NotSupported: the cell is not two maps and a rule (several cells, a wrapper).

    >>> import rnnref
    >>> fig = diagram(rnnref.cells.LSTM(projection=3, peepholes=True))
    >>> [text.get_text() for text in fig.axes[0].texts][-1]
    'W [I, 4U]    b [4U]    R [H, 4U]    Wpi Wpf Wpo [U]    P [U, H]    gate blocks i f g o'
    >>> fig.savefig("lstm.png")                                   # doctest: +SKIP
    """
    cell = getattr(cell, "core", cell)            # of a layer
    inner = cell.cell if isinstance(cell, ProjectedCell) else cell
    if not isinstance(inner, (GatedCell, GRUBefore, MGUBefore, DensePeepholes)):
        raise NotSupported("diagram", f"{name_of(cell)} is not two maps and a rule")
    rule = inner.rule.rule if isinstance(inner.rule, LayerNormRule) else inner.rule
    draw: Callable = _draw_other
    for kind, function in ((ElmanRule, _draw_elman), (LeakyRule, _draw_elman), (LSTMRule, _draw_lstm)):
        if isinstance(rule, kind):
            draw = function
    if type(rule) is GRURule:
        draw = _draw_gru
    canvas = draw(cell, inner, rule)
    left, right = canvas.ax.get_xlim()
    canvas.text((left + right) / 2, canvas.ax.get_ylim()[0] + 0.15, describe_parameters(cell), 9.5, color="0.35")
    return canvas.figure


# the part that all cells share

def _draw_maps(c: Canvas, cell: Any, inner: Any, h_from: float) -> None:
    """x and the old h come from the left, each into its map: that of h at height 1, that of x at height 0.

    h_from  the height at which h comes in: 1, or that of a lane above, from which h turns down
    """
    c.line((-0.2, 0), (_MAP_X - _MAP_WIDTH / 2, 0), colour=X_COLOUR)
    c.text(0.25, 0.08, "$x$", color=X_COLOUR)
    c.text(0.25, -0.42, row_size(inner, "I"), 9, color=X_COLOUR)
    c.box(_MAP_X, 0, f"${formula_of(inner.inputs, 'x')}$", _MAP_WIDTH, MAP_FACE)
    if isinstance(inner.recurrent, Zero):         # no product depends on the state
        return
    if h_from == 1:
        c.line((-0.2, 1), (_MAP_X - _MAP_WIDTH / 2, 1), colour=H_COLOUR)
    else:
        c.line((_ENTRY, h_from), (_ENTRY, 1), (_MAP_X - _MAP_WIDTH / 2, 1), colour=H_COLOUR)
        c.dot(_ENTRY, h_from, H_COLOUR)
    _name_state(c, cell, inner, "h", 0.25, h_from, H_COLOUR)
    blocks = "_{rz}" if isinstance(inner, GRUBefore) else ""
    c.box(_MAP_X, 1, f"${formula_of(inner.recurrent, 'h', blocks)}$", _MAP_WIDTH, MAP_FACE)


def _name_state(c: Canvas, cell: Any, inner: Any, field: str, x: float, y: float, colour: str, new: str = "") -> None:
    """The name of a state above its line, and its size below."""
    c.text(x, y + 0.08, f"${field}{new}$", color=colour)
    c.text(x, y - 0.42, row_size(inner, width_of(cell, inner.rule.widths[field])), 9, color=colour)


def _draw_sum(c: Canvas, cell: Any, inner: Any, bus: float) -> float:
    """Both products added, and normalised where the rule does: ends where the sum goes on, at height `bus`."""
    at = _MAP_END + 0.6
    c.line((_MAP_END, 1), (at, 1), (at, bus + RADIUS), colour=H_COLOUR)
    c.line((_MAP_END, 0), (at, 0), (at, bus - RADIUS), colour=X_COLOUR)
    c.sign(at, bus, "+")
    if not isinstance(inner.rule, LayerNormRule):
        return at + RADIUS
    c.line((at + RADIUS, bus), (at + 0.65, bus))
    c.box(at + 1.2, bus, "norm", 1.1, MAP_FACE)
    return at + 1.75


def _end_h(c: Canvas, cell: Any, inner: Any, x: float, y: float, right: float, is_output: bool = True) -> None:
    """The new h, through the projection if there is one, to the right border."""
    if isinstance(cell, ProjectedCell):
        c.line((x, y), (x + 0.45, y), colour=H_COLOUR)
        width = 1.5 if cell.clip is None else 2.2
        text = f"${formula_of(cell.map, 'h')}$" + ("" if cell.clip is None else f"  $\\pm${cell.clip:g}")
        c.box(x + 0.45 + width / 2, y, text, width, MAP_FACE)
        x += 0.45 + width
    c.line((x, y), (right, y), colour=H_COLOUR)
    _name_state(c, cell, inner, "h", right - 0.65, y, H_COLOUR, "'")
    if is_output:
        c.text(right + 0.05, y - 0.02, "$= y$", color=H_COLOUR, ha="left", va="center")


# the rules

def _draw_elman(cell: Any, inner: Any, rule: Any) -> Canvas:
    """h' = activation(sum), with the residual connection, or the leak, of those that have one."""
    leaky, residual = isinstance(rule, LeakyRule) and rule.leak != 1, isinstance(rule, ResidualElmanRule)
    wide = 1.5 if isinstance(inner.rule, LayerNormRule) else 0.7 * residual
    at = 5.9 + wide + 0.3
    right = at + (4.6 if leaky else 2.4)
    lane = 2.3
    c = Canvas(-0.4, right + 0.75, -1.35, lane + 0.7 if leaky or residual else 1.6)
    _draw_maps(c, cell, inner, lane if leaky or residual else 1)
    end = _draw_sum(c, cell, inner, 0.5)
    if leaky or residual:
        c.line((-0.2, lane), (_ENTRY, lane), colour=H_COLOUR, head=False)
    if residual:
        c.line((_ENTRY, lane), (end + 0.6, lane), (end + 0.6, 0.5 + RADIUS), colour=H_COLOUR)
        c.line((end, 0.5), (end + 0.6 - RADIUS, 0.5))
        c.sign(end + 0.6, 0.5, "+")
        end += 0.6 + RADIUS
    c.line((end, 0.5), (at - 0.5, 0.5))
    c.box(at, 0.5, label_of(rule.activation), 1.0)
    if not leaky:
        _end_h(c, cell, inner, at + 0.5, 0.5, right)
        return c
    c.line((at + 0.5, 0.5), (at + 1.1, 0.5))
    c.box(at + 1.6, 0.5, f"$\\times${rule.leak:g}", 1.0, OTHER_FACE)
    c.line((_ENTRY, lane), (at + 0.9, lane), colour=H_COLOUR)
    c.box(at + 1.6, lane, f"$\\times${1 - rule.leak:g}", 1.4, OTHER_FACE)
    c.line((at + 1.6, 0.5 + HALF), (at + 1.6, 1.1), (at + 2.9, 1.1), (at + 2.9, lane - RADIUS))
    c.line((at + 2.3, lane), (at + 2.9 - RADIUS, lane), colour=H_COLOUR)
    c.sign(at + 2.9, lane, "+")
    _end_h(c, cell, inner, at + 2.9 + RADIUS, lane, right)
    return c


def _draw_lstm(cell: Any, inner: Any, rule: LSTMRule) -> Canvas:
    """The gates above the line of their arguments, c on a lane above them, h' below on the right."""
    start = 6.0 + 1.3 * isinstance(inner.rule, LayerNormRule)
    peepholes = "W_p" if rule.peepholes else "C" if isinstance(inner, DensePeepholes) else ""
    extra = 1.3 * isinstance(rule, CellNormLSTMRule) + 1.3 * (rule.cell_clip is not None) + 0.4 * bool(peepholes)
    f, i, g = start, start + 2.0 + 0.2 * bool(peepholes), start + 4.1
    o, product = start + 5.5 + extra, (i + g) / 2
    right = o + 3.9 + (1.95 if cell.projection else 0) + 0.7 * bool(cell.projection and cell.clip)
    c = Canvas(-0.4, right + 0.75, -1.35, 5.3)
    _draw_maps(c, cell, inner, 1)
    end = _draw_sum(c, cell, inner, 0.5)
    places = {name: x for name, x in zip("figo", (f, i, g, o)) if name in rule.gates}
    c.line((end, 0.5), (o, 0.5), (o, 2 - HALF))
    for name, x in places.items():
        if name != "o":
            c.line((x, 0.5), (x, 2 - HALF))
            c.dot(x, 0.5)
        bias = f" {rule.forget_bias:+g}" if name == "f" and rule.forget_bias else ""
        c.text(x + 0.1, 0.95, f"$a_{name}${bias}", 9, ha="left")
        c.box(x, 2, label_of(rule.candidate if name == "g" else rule.gate), 0.84 if name != "g" else 1.0)
    for name, x in {"f": f, "i": i, "g": g, "o": o}.items():
        if name in places:
            c.text(x + 0.1, 2 + HALF + 0.06, f"${name}$", ha="left")
    _draw_memory(c, cell, inner, rule, (f, i, g, product), right)
    _draw_lstm_output(c, cell, inner, rule, o, right)
    if peepholes:
        _draw_peepholes(c, peepholes, places)
    return c


def _draw_memory(c: Canvas, cell: Any, inner: Any, rule: LSTMRule, places: tuple, right: float) -> None:
    """c' = f c + i g on its lane, with what is done to it before h' sees it."""
    f, i, g, product = places
    lane, middle = 4.6, 3.4
    c.line((-0.2, lane), (f - RADIUS, lane), colour=C_COLOUR)
    _name_state(c, cell, inner, "c", 0.25, lane, C_COLOUR)
    c.line((f + RADIUS, lane), (product - RADIUS, lane), colour=C_COLOUR)
    c.line((product, middle + RADIUS), (product, lane - RADIUS))
    other = {"input": (f, product, 1), "forget": (i, f, -1)}.get(str(rule.coupled))
    if rule.coupled != "forget":
        c.line((f, 2 + HALF), (f, lane - RADIUS))
    if rule.coupled != "input":
        c.line((i, 2 + HALF), (i, middle), (product - RADIUS, middle))
    if other:
        a, b, way = other
        box = (f + i) / 2
        c.line((a, middle), (box - 0.36 * way, middle))
        c.dot(a, middle)
        c.box(box, middle, "$1 -$", 0.72, OTHER_FACE)
        c.text(box, middle + HALF + 0.03, "$i$" if way > 0 else "$f$")
        if way > 0:
            c.line((box + 0.36, middle), (product - RADIUS, middle))
        else:
            c.line((box - 0.36, middle), (f, middle), (f, lane - RADIUS))
    c.line((g, 2 + HALF), (g, middle), (product + RADIUS, middle))
    for x, y, sign in ((f, lane, r"\times"), (product, lane, "+"), (product, middle, r"\times")):
        c.sign(x, y, sign)
    end = product + RADIUS
    names = ["norm"] * isinstance(rule, CellNormLSTMRule) + [f"$\\pm${rule.cell_clip}"] * (rule.cell_clip is not None)
    for name in names:
        c.line((end, lane), (end + 0.3, lane), colour=C_COLOUR)
        c.box(end + 0.85, lane, name, 1.1, MAP_FACE if name == "norm" else OTHER_FACE)
        end += 1.4
    c.line((end, lane), (right, lane), colour=C_COLOUR)
    _name_state(c, cell, inner, "c", right - 0.65, lane, C_COLOUR, "'")


def _draw_lstm_output(c: Canvas, cell: Any, inner: Any, rule: LSTMRule, o: float, right: float) -> None:
    """h' = o output(c'), then the projection."""
    at = o + 1.3
    c.line((at, 4.6), (at, 3.5 + HALF), colour=C_COLOUR)
    c.dot(at, 4.6, C_COLOUR)
    c.box(at, 3.5, label_of(rule.output), 1.0)
    c.line((at, 3.5 - HALF), (at, 2 + RADIUS))
    c.line((o + 0.42, 2), (at - RADIUS, 2))
    c.sign(at, 2, r"\times")
    _end_h(c, cell, inner, at + RADIUS, 2, right)


def _draw_peepholes(c: Canvas, weights: str, places: dict) -> None:
    """From the old c to i and f, from the new one to o, each times weights of its own."""
    first = min(places.get("f", 99), places.get("i", 99)) - 1.0
    c.dot(first, 4.6, PEEPHOLE_COLOUR)
    for name in [n for n in "fio" if n in places]:
        x = places[name]
        turn = x - 1.0
        if name == "o":
            c.dot(turn, 4.6, PEEPHOLE_COLOUR)
        points = [(turn, 4.6)] if turn == first or name == "o" else [(first, 2.85), (turn, 2.85)]
        c.line(*points, (turn, 2), (x - 0.42, 2), colour=PEEPHOLE_COLOUR, dashes="--")
        c.text(turn + 0.02, 1.62, f"${weights[0]}_{{{weights[2:]}{name}}}$", 9, color=PEEPHOLE_COLOUR)


def _draw_gru(cell: Any, inner: Any, rule: GRURule) -> Canvas:
    """h on a lane above, z and r below it, and n from both products, between which r stands."""
    before = isinstance(inner, GRUBefore)
    z, r, reset, total, lane = 5.6, 7.9, 9.5, 11.1, 4.7
    right = total + 2.6
    c = Canvas(-0.4, right + 0.75, -1.35, 5.4)
    c.line((-0.2, lane), (z - RADIUS, lane), colour=H_COLOUR)
    if before:
        c.line((_ENTRY, 3.35), (reset, 3.35), (reset, 2.7 + RADIUS), colour=H_COLOUR)
    _draw_maps(c, cell, inner, lane)
    if before:
        c.dot(_ENTRY, 3.35, H_COLOUR)
    c.line((_MAP_END, 1), (r if before else reset, 1), (r, 1.7 - RADIUS) if before else (reset, 1.7 - RADIUS),
           colour=H_COLOUR)
    c.line((z, 1), (z, 1.7 - RADIUS), colour=H_COLOUR)
    c.line((r, 1), (r, 1.7 - RADIUS), colour=H_COLOUR)
    c.line((_MAP_END, 0), (total, 0), (total, 1.7 - RADIUS), colour=X_COLOUR)
    for x, name in ((z, "z"), (r, "r")):
        c.line((x - 0.75, 0), (x - 0.75, 1.7), (x - RADIUS, 1.7), colour=X_COLOUR)
        c.dot(x - 0.75, 0, X_COLOUR)
        if name == "z" or not before:
            c.dot(x, 1, H_COLOUR)
        c.sign(x, 1.7, "+")
        c.line((x, 1.7 + RADIUS), (x, 2.7 - HALF))
        c.box(x, 2.7, label_of(rule.gate))
        c.text(x + 0.1 if name == "z" else x + 0.7, 2.7 + HALF + 0.06 if name == "z" else 2.76, f"${name}$",
               ha="left" if name == "z" else "center")
    _draw_candidate(c, inner, rule, (r, reset, total), before)
    _draw_update(c, cell, inner, (z, total, lane), right)
    return c


def _draw_candidate(c: Canvas, inner: Any, rule: GRURule, places: tuple, before: bool) -> None:
    """n = candidate(x's product + r times h's), or, with the reset before it, the product of r h."""
    r, reset, total = places
    if before:
        c.line((r + 0.42, 2.7), (reset - RADIUS, 2.7))
        c.sign(reset, 2.7, r"\times")
        c.line((reset, 2.7 - RADIUS), (reset, 1.7 + HALF), colour=H_COLOUR)
        product = formula_of(inner.recurrent, "", "_n").removeprefix("\\,")
        c.box(reset, 1.7, f"${product}$", 0.9, MAP_FACE)
        c.line((reset + 0.45, 1.7), (total - RADIUS, 1.7), colour=H_COLOUR)
    else:
        c.line((r + 0.42, 2.7), (reset, 2.7), (reset, 1.7 + RADIUS))
        c.sign(reset, 1.7, r"\times")
        c.line((reset + RADIUS, 1.7), (total - RADIUS, 1.7), colour=H_COLOUR)
    c.sign(total, 1.7, "+")
    c.line((total, 1.7 + RADIUS), (total, 2.7 - HALF))
    c.box(total, 2.7, label_of(rule.candidate), 1.0)
    c.text(total + 0.1, 2.7 + HALF + 0.06, "$n$", ha="left")


def _draw_update(c: Canvas, cell: Any, inner: Any, places: tuple, right: float) -> None:
    """h' = (1 - z) n + z h on the lane of h."""
    z, total, lane = places
    middle, box = 3.95, (z + total) / 2
    c.line((z, 2.7 + HALF), (z, lane - RADIUS))
    c.dot(z, middle)
    c.line((z, middle), (box - 0.36, middle))
    c.box(box, middle, "$1 -$", 0.72, OTHER_FACE)
    c.line((box + 0.36, middle), (total - RADIUS, middle))
    c.line((total, 2.7 + HALF), (total, middle - RADIUS))
    c.line((total, middle + RADIUS), (total, lane - RADIUS))
    c.line((z + RADIUS, lane), (total - RADIUS, lane), colour=H_COLOUR)
    for x, y, sign in ((z, lane, r"\times"), (total, middle, r"\times"), (total, lane, "+")):
        c.sign(x, y, sign)
    _end_h(c, cell, inner, total + RADIUS, lane, right)


def _draw_other(cell: Any, inner: Any, rule: Any) -> Canvas:
    """Both products and the states into one box with the gate blocks, y and the new states out of it."""
    first, *others = rule.widths                  # the first is what the recurrent map sees
    is_fed_back, is_output = not isinstance(inner.recurrent, Zero), _has_state_as_output(cell)
    lanes = {name: 2.1 + 1.0 * k for k, name in enumerate(others if is_fed_back else rule.widths)}
    top = max([1.5, *lanes.values()])
    begin, end = _MAP_END + 1.1, _MAP_END + 1.5 + 0.42 * max(4, len(cell.gates))
    right = end + 2.4 + (1.95 if cell.projection else 0)
    c = Canvas(-0.4, right + 0.75, -1.35, top + 1.0)
    _draw_maps(c, cell, inner, 1)
    c.line((_MAP_END, 0), (begin, 0), colour=X_COLOUR)
    if is_fed_back:
        c.line((_MAP_END, 1), (begin, 1), colour=H_COLOUR)
    c.area(begin, end, -0.45, top + 0.45, f"{inner.rule.name}\n{' '.join(cell.gates)}")
    for name, y in lanes.items():
        c.line((-0.2, y), (begin, y), colour=C_COLOUR)
        c.line((end, y), (right, y), colour=C_COLOUR)
        _name_state(c, cell, inner, name, 0.25, y, C_COLOUR)
        _name_state(c, cell, inner, name, right - 0.65, y, C_COLOUR, "'")
    if is_fed_back:
        _end_h(c, cell, inner, end, 1, right, is_output)
    if not is_output:
        c.line((end, 0), (right, 0), colour=INK)
        c.text(right - 0.65, 0.08, "$y$")
        c.text(right - 0.65, -0.42, row_size(inner, width_of(cell, "H")), 9)
    return c


def _has_state_as_output(cell: Any) -> bool:
    """Whether the output of a step is the first array of its new state: seen in a step of the cell."""
    p = {name: numpy.ones(shape) for name, shape in cell.shapes(2, 2).items()}
    y, new, _ = cell.forward(p, numpy.ones((1, 2)), cell.zeros(1, 2, dtype="float64"))
    return bool((y == new[0]).all())
