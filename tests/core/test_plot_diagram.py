"""What a drawing of a cell shows is what the cell has: its boxes, signs, lines, sizes and options."""
from collections import Counter

import pytest

import rnnref
from rnnref import cells, plot
from rnnref.cells import CATALOG, EXAMPLES
from rnnref.wrappers.gate_dropout import GateDropout

OTHERS = ["PhasedLSTM", "TimeFreqLSTM", "GridLSTM", "NTM"]             # not two maps and a rule
LSTM, GRU, RNN = cells.LSTM, cells.GRU, cells.SimpleRNN

# All texts but those of x, the states and the caption, written by hand from the equations of the cells
DRAWN = {
    "rnn": (RNN(), ["tanh", "+", "x W + b", "h R"]),
    "rnn relu, no bias": (RNN(activation="relu", bias=False), ["relu", "+", "x W", "h R"]),
    "rnn residual": (RNN(residual=True), ["tanh", "+", "+", "x W + b", "h R"]),
    "rnn norm": (cells.LayerNormSimpleRNN(), ["tanh", "+", "norm", "x W", "h R"]),
    "leaky": (cells.ESN(leak=0.25), ["tanh", "+", "+", "×0.25", "×0.75", "x W + b", "h R"]),
    "lstm": (LSTM(), ["σ"] * 3 + ["tanh"] * 2 + ["×"] * 3 + ["+"] * 2 + list("ifgo")
             + ["a_i", "a_f", "a_g", "a_o", "x W + b", "h R"]),
    "lstm forget bias": (LSTM(forget_bias=1.0, recurrent_bias=True, output="relu"),
                         ["σ"] * 3 + ["tanh", "relu"] + ["×"] * 3 + ["+"] * 2 + list("ifgo")
                         + ["a_i", "a_f +1", "a_g", "a_o", "x W + b", "h R + b^R"]),
    "lstm peepholes": (LSTM(peepholes=True), ["σ"] * 3 + ["tanh"] * 2 + ["×"] * 3 + ["+"] * 2 + list("ifgo")
                       + ["a_i", "a_f", "a_g", "a_o", "x W + b", "h R", "W_{pi}", "W_{pf}", "W_{po}"]),
    "lstm peephole matrices": (cells.DensePeepholes(), ["σ"] * 3 + ["tanh"] * 2 + ["×"] * 3 + ["+"] * 2 + list("ifgo")
                               + ["a_i", "a_f", "a_g", "a_o", "x W + b", "h R", "C_{i}", "C_{f}", "C_{o}"]),
    "lstm i = 1 - f": (LSTM(coupled="input", peepholes=True), ["σ"] * 2 + ["tanh"] * 2 + ["×"] * 3 + ["+"] * 2
                       + list("fgo") + ["1 -", "i", "a_f", "a_g", "a_o", "x W + b", "h R", "W_{pf}", "W_{po}"]),
    "lstm f = 1 - i": (LSTM(coupled="forget", cell_clip=3), ["σ"] * 2 + ["tanh"] * 2 + ["×"] * 3 + ["+"] * 2
                       + list("igo") + ["1 -", "f", "±3", "a_i", "a_g", "a_o", "x W + b", "h R"]),
    "lstm projected": (LSTM(projection=3, projection_clip=0.5), ["σ"] * 3 + ["tanh"] * 2 + ["×"] * 3 + ["+"] * 2
                       + list("ifgo") + ["a_i", "a_f", "a_g", "a_o", "x W + b", "h R", "h P  ±0.5"]),
    "lstm norm": (cells.LayerNormLSTM(), ["σ"] * 3 + ["tanh"] * 2 + ["×"] * 3 + ["+"] * 2 + ["norm"] * 2 + list("ifgo")
                  + ["a_i", "a_f", "a_g", "a_o", "x W", "h R"]),
    "gru after": (GRU(), ["σ"] * 2 + ["tanh"] + ["×"] * 3 + ["+"] * 4 + list("rzn") + ["1 -", "x W + b", "h R + b^R"]),
    "gru before": (GRU(reset="before", gate="hard_sigmoid@keras3"), ["hard\nsigmoid"] * 2 + ["tanh"] + ["×"] * 3
                   + ["+"] * 4 + list("rzn") + ["1 -", "x W + b", "h R_{rz}", "R_n"]),
    "gru norm": (cells.LayerNormGRU(), ["σ"] * 2 + ["tanh"] + ["×"] * 3 + ["+"] * 4 + list("rzn")
                 + ["1 -", "norm(x W) + b", "norm(h R) + b^R"]),
    "ugrnn": (cells.UGRNN(), ["UGRNN\nz n", "x W + b", "h R"]),
    "sru": (cells.SRU(), ["SRU\nn f r x", "x W", "y"]),
    "minimal": (cells.MinimalRNN(activation="hard_sigmoid@keras2"),
                ["MinimalRNN\nz", "[n Z + b, n]\nn = \\mathrm{hard\\_sigmoid}(x W)", "h R"]),
    "in_projection": (cells.IntersectionRNN(in_projection=True),
                      ["IntersectionRNN\nz n q v", "[n W + b, n]\nn = x W_{i} + b_{i}", "h R", "y"]),
    "intersection": (cells.IntersectionRNN(), ["IntersectionRNN\nz n q v", "[x W + b, x]", "h R", "y"]),
}
ENDS = {"h", "h'", "c", "c'", "x", "= y"}
CAPTIONS = {
    "rnn": "W [I, U]    b [U]    R [U, U]",
    "lstm i = 1 - f": "W [I, 3U]    b [3U]    R [U, 3U]    Wpf Wpo [U]    gate blocks f g o",
    "lstm projected": "W [I, 4U]    b [4U]    R [H, 4U]    P [U, H]    gate blocks i f g o",
    "lstm peephole matrices": "W [I, 4U]    b [4U]    R [U, 4U]    C [U, 3U]    gate blocks i f g o",
    "gru after": "W [I, 3U]    b [3U]    R [U, 3U]    bR [3U]    gate blocks r z n",
    "sru": "W [I, 4U]    b [2U]    gate blocks n f r x",
}
PLAIN = {r"$\sigma$": "σ", r"\times": "×", r"\pm": "±", r"\,": " ", r"\;": " ", r"\mathrm{norm}": "norm"}


def plain(text):
    for old, new in PLAIN.items():
        text = text.replace(old, new)
    return text.replace("$", "")


def texts(cell):
    return [plain(text.get_text()) for text in plot.diagram(cell).axes[0].texts if text.get_text()]


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_is_what_the_equations_have(name):
    cell, expected = DRAWN[name]
    *found, caption = texts(cell)
    sizes = [text for text in found if text.startswith("[B")]
    assert Counter(t for t in found if t not in ENDS and t not in sizes) == Counter(expected)
    assert caption == CAPTIONS.get(name, caption)


def test_states_and_their_sizes():
    def states(cell):
        found = texts(cell)
        return {a: b for a, b in zip(found, found[1:]) if a in ENDS | {"y"} and b.startswith("[B")}
    assert states(RNN()) == {"x": "[B, I]", "h": "[B, U]", "h'": "[B, U]"}
    assert states(LSTM(projection=2)) == {"x": "[B, I]", "h": "[B, H]", "h'": "[B, H]", "c": "[B, U]", "c'": "[B, U]"}
    assert states(cells.ConvLSTM()) == {"x": "[B, *S, I]", "h": "[B, *S, U]", "h'": "[B, *S, U]", "c": "[B, *S, U]",
                                        "c'": "[B, *S, U]"}
    assert texts(cells.GLSTM(groups=2))[-1] == "W [2, I/2, 4U/2]    b [4U]    R [2, U/2, 4U/2]    gate blocks i f g o"
    assert states(cells.SRU()) == {"x": "[B, I]", "c": "[B, U]", "c'": "[B, U]", "y": "[B, U]"}
    assert "= y" in texts(GRU()) and "= y" not in texts(cells.IntersectionRNN())


def line_ends(cell, colour):
    """Where lines of a colour begin and end."""
    from matplotlib.colors import same_color
    lines = [line.get_xydata() for line in plot.diagram(cell).axes[0].get_lines() if len(line.get_xdata()) > 1]
    coloured = [line.get_color() for line in plot.diagram(cell).axes[0].get_lines() if len(line.get_xdata()) > 1]
    return [(tuple(a[0]), tuple(a[-1])) for a, c in zip(lines, coloured) if same_color(c, colour)]


def signs(cell):
    """The signs of a drawing by their place."""
    return {text.get_position(): plain(text.get_text()) for text in plot.diagram(cell).axes[0].texts
            if plain(text.get_text()) in ("×", "+")}


@pytest.mark.parametrize("cell, reach", [(GRU(), 1), (GRU(reset="before"), 2)], ids=["after", "before"])
def test_the_reset_is_where_the_cell_has_it(cell, reach):
    """After the product its sign stands beside the last sum, at its height; before it, above the box of the product."""
    places = [(x, y) for (x, y), sign in signs(cell).items() if sign == "×"]
    sums = [(x, y) for (x, y), sign in signs(cell).items() if sign == "+"]
    last = max(x for x, _ in sums)
    reset = [(x, y) for x, y in places if y < 3]
    assert len(reset) == 1 and reset[0][0] < last
    assert (reset[0][1] == min(y for _, y in sums)) == (reach == 1)


def test_peepholes_begin_at_the_c_that_the_gate_sees():
    """i and f see the old c, left of where it is multiplied by f; o the new one, right of the sum."""
    cell = LSTM(peepholes=True)
    starts = sorted(x for (x, y), _ in line_ends(cell, plot.COLOURS[1]) if y > 4)
    lane = {sign: x for (x, y), sign in signs(cell).items() if y > 4}
    assert len(starts) == 2 and starts[0] < lane["×"] < lane["+"] < starts[1]


@pytest.mark.parametrize("name", [*DRAWN, *(name for name in CATALOG if name not in OTHERS)])
def test_all_texts_can_be_read(name):
    """Inside of the figure, not on each other, and of 6 points at least."""
    cell = DRAWN[name][0] if name in DRAWN else CATALOG[name](**EXAMPLES.get(name, {}))
    fig = plot.diagram(cell)
    boxes = [(text.get_text(), text.get_window_extent(), text.get_fontsize()) for text in fig.axes[0].texts
             if text.get_text()]
    for k, (text, box, size) in enumerate(boxes):
        assert size >= 6, text
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= fig.bbox.x1 and box.y1 <= fig.bbox.y1, text
        for other, around, _ in boxes[:k]:
            assert not box.padded(-1).overlaps(around.padded(-1)), (text, other)


@pytest.mark.parametrize("name", OTHERS)
def test_cells_of_another_form_are_refused(name):
    with pytest.raises(rnnref.NotSupported, match="is not two maps and a rule"):
        plot.diagram(CATALOG[name](**EXAMPLES.get(name, {})))


@pytest.mark.parametrize("cell", [cells.Stack((GRU(), GRU())), cells.Dropout(LSTM()), GateDropout(LSTM()), RNN, 3],
                         ids=["Stack", "Dropout", "GateDropout", "a constructor", "a number"])
def test_what_would_be_left_out_is_refused(cell):
    with pytest.raises(rnnref.NotSupported, match="is not two maps and a rule"):
        plot.diagram(cell)


def test_a_layer_is_drawn_as_its_cell():
    assert texts(rnnref.layers.GRU(4)) == texts(rnnref.layers.GRUCell(4)) == texts(GRU())
    assert texts(rnnref.layers.LSTM(4, use_bias=False)) == texts(LSTM(bias=False))
