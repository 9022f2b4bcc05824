"""Docstrings of rnnref as blocks: text, tables of names and what they mean, equations, examples; and those as RST."""
import inspect
import re
from typing import Any, Iterator, NamedTuple

from equations import is_equation, typeset

ROW = re.compile(r"(\S.*?)(?:\s{3,}|(?<=[a-z])\s{2,})(\S.*)")        # a term, its meaning in a column of its own
RST_SPECIAL = re.compile(r"([\\*`|_])")


class Block(NamedTuple):
    """kind: text (a string), rows [(term, meaning)], equations [line], code [line] or literal [line]."""
    kind: str
    content: Any


def parse(docstring: str) -> list[Block]:
    """The blocks of a docstring, in order.

    >>> [block.kind for block in parse("What it is.\\n\\n    h' = tanh(x W)\\n\\nShapes   x [B, I]\\n\\n>>> 1\\n1")]
    ['text', 'equations', 'rows', 'code']
    """
    lines = inspect.cleandoc(docstring or "").splitlines()
    return [block for part in _paragraphs(lines) for block in _read(part)]


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """Groups of lines between empty ones."""
    part: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            part.append(line)
        elif part:
            yield part
            part = []


def _read(part: list[str]) -> Iterator[Block]:
    indent = min(len(line) - len(line.lstrip()) for line in part)
    if part[0].lstrip().startswith(">>>"):
        yield Block("code", [line[indent:] for line in part])
    elif indent >= 4:
        lines = [line[indent:] for line in part]
        formulas, rows = (sum(map(bool, map(f, lines))) for f in (is_equation, re.compile(r"[a-z_]+\s{2,}\S").match))
        if rows > formulas and not any("=" in line[:12] for line in lines):
            yield from _read_text(lines)
        else:
            yield Block("equations" if 3 * formulas >= 2 * len(lines) else "literal", lines)
    else:
        yield from _read_text(part)


def _read_text(part: list[str]) -> Iterator[Block]:
    """Text, and the tables in it: rows begin with a term, and their later lines stand under the meaning."""
    text, rows = [], []
    column = 0
    for line in part:
        indent, found = len(line) - len(line.lstrip()), ROW.fullmatch(line.strip())
        if rows and indent >= max(column - 2, 2):
            rows[-1] = rows[-1][0], f"{rows[-1][1]} {line.strip()}"
        elif found and indent < 4 and len(found[1]) < 45 and not found[1].endswith("."):
            if text:
                yield Block("text", " ".join(text))
                text = []
            rows.append((found[1], found[2]))
            column = line.index(found[2], indent + len(found[1]))
        else:
            if rows:
                yield Block("rows", rows)
                rows = []
            text.append(line.strip())
    if rows:
        yield Block("rows", rows)
    if text:
        yield Block("text", " ".join(text))


def escape(text: str) -> str:
    """Text as RST shows it.

    >>> escape("a_b") == "a" + chr(92) + "_b"
    True
    """
    return RST_SPECIAL.sub(r"\\\1", text)


def inline(text: str) -> str:
    """The same, with what stands in backquotes as code."""
    parts = re.split(r"`([^`]+)`", text)
    return "".join(f"``{part}``" if k % 2 else escape(part) for k, part in enumerate(parts)).replace("````", "`` ``")


def as_rst(blocks: list[Block]) -> list[str]:
    """The lines of RST of some blocks."""
    lines: list[str] = []
    for kind, content in blocks:
        if kind == "text":
            lines += [inline(content), ""]
        elif kind == "rows":
            for term, meaning in content:
                lines += [f"**{escape(term)}**", f"    {inline(meaning)}", ""]
        elif kind == "equations":
            lines += _rst_of_equations(content)
        else:
            language = "pycon" if kind == "code" else "text"
            lines += [f".. code-block:: {language}", "", *(f"    {line}" for line in content), ""]
    return lines


def _rst_of_equations(content: list[str]) -> list[str]:
    """Formulas below each other, their signs of equality aligned; lines that are none stand between them as text."""
    lines, rows = [], []
    for line in [*content, ""]:
        for latex, remark in typeset(line) if is_equation(line) else ():
            left, _, right = latex.partition(" = ")
            rows.append(rf"{left} &= {right}" + (rf"\qquad\text{{{_plain(remark)}}}" if remark else ""))
        if not is_equation(line):
            if rows:
                begin, end = r"\begin{aligned}", r"\end{aligned}"
                lines += [".. math::", "", f"    {begin}", *(rf"    {row} \\" for row in rows), f"    {end}", ""]
                rows = []
            lines += [inline(line.strip()), ""] if line else []
    return lines


def _plain(remark: str) -> str:
    """A remark inside of LaTeX."""
    return re.sub(r"([_#$%&{}])", r"\\\1", remark.replace("`", ""))
