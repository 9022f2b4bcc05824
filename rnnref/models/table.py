"""Tables in boxes of lines, with columns of given widths."""
import re
from typing import Any, Sequence

from ..errors import ShapeError

TOP, HEAD, LINE, BOTTOM = tuple("┏━┳┓"), tuple("┡━╇┩"), tuple("├─┼┤"), tuple("└─┴┘")


def split_widths(width: int, ends: Sequence) -> list:
    """The widths of columns that end at these parts of the whole; what is in a cell has two places less.

    >>> split_widths(88, [0.45, 0.8, 1.0])
    [38, 29, 17]
    """
    places = [int(end * width) for end in ends]
    widths = [b - a + 2 for a, b in zip([0, *places], places)]
    if min(widths) < 6:
        raise ShapeError("summary", f"a table {width} wide has no place for {len(widths)} columns",
                         fix="line_length=..., positions=...")
    excess = sum(widths) - (width - len(widths) - 1)
    for k, left in enumerate(range(len(widths), 0, -1)):                    # taken evenly from all
        share = min(widths[k], round(excess / left))
        widths[k] -= share
        excess -= share
    return widths


def wrap(text: str, width: int) -> list:
    """The lines of a text: broken between words, and a word that is too long is cut.

    >>> wrap("batch_normalization (BatchNormalization)", 20)
    ['batch_normalization', '(BatchNormalization)']
    >>> wrap("an_unusually_long_name (Dense)", 12)
    ['an_unusuall…', '(Dense)']
    """
    lines, line = [], ""
    for word in re.findall(r"\s*\S+\s*", text):
        if line and len(line) + len(word.rstrip()) > width:
            lines.append(line)
            line = ""
        line += word
    lines = [line.rstrip() for line in [*lines, line]]
    return [line if len(line) <= width else line[:width - 1] + "…" for line in lines]


def draw_table(header: Sequence, rows: Sequence, align: Sequence, widths: Sequence) -> list:
    """The lines of a table.

    >>> print("\\n".join(draw_table(["name", "n"], [["lstm", "8"]], ["left", "right"], [8, 5])))
    ┏━━━━━━━━┳━━━━━┓
    ┃ name   ┃   n ┃
    ┡━━━━━━━━╇━━━━━┩
    │ lstm   │   8 │
    └────────┴─────┘
    """
    lines = [_rule(TOP, widths), *_row(header, align, widths, "┃"), _rule(HEAD, widths)]
    for k, row in enumerate(rows):
        lines += [_rule(LINE, widths)] * (k > 0) + _row(row, align, widths, "│")
    return [*lines, _rule(BOTTOM, widths)]


def _rule(corners: tuple, widths: Sequence) -> str:
    left, line, middle, right = corners
    return left + middle.join(line * width for width in widths) + right


def _row(cells: Sequence, align: Sequence, widths: Sequence, bar: str) -> list:
    wrapped = [wrap(cell, width - 2) for cell, width in zip(cells, widths)]
    put: dict[str, Any] = {"left": str.ljust, "right": str.rjust, "center": _center}
    lines = []
    for k in range(max(map(len, wrapped))):
        found = [put[where](lines_of[k] if k < len(lines_of) else "", width - 2)
                 for lines_of, where, width in zip(wrapped, align, widths)]
        lines.append(bar + bar.join(f" {cell} " for cell in found) + bar)
    return lines


def _center(text: str, width: int) -> str:
    left = (width - len(text)) // 2
    return " " * left + text + " " * (width - len(text) - left)
