"""What a terminal shows: its width, colours and progress bars."""
import os
import re
import shutil
import sys
import textwrap
from typing import Any, Callable, Iterable, Optional

from .errors import import_optional


def fit_columns(text: str) -> str:
    """The text with lines as long as COLUMNS or the terminal has it; further ones are indented like the first."""
    columns = shutil.get_terminal_size((0, 0)).columns
    if columns < 40:                              # not a terminal, and COLUMNS is not set: as it is
        return text
    lines = (textwrap.wrap(line, columns, subsequent_indent=line[:len(line) - len(line.lstrip())] + "  ",
                           break_on_hyphens=False, break_long_words=False) if len(line) > columns else [line]
             for line in text.splitlines())
    return "\n".join(line for wrapped in lines for line in wrapped)


def make_progress() -> Optional[Callable[[Iterable, str], Iterable]]:
    """A function (iterable, what) -> iterable with a progress bar on stderr; None where stderr is not a terminal."""
    if not sys.stderr.isatty():
        return None
    tqdm = import_optional("tqdm", "verify", "verify").tqdm
    return lambda steps, what: tqdm(steps, desc=what, leave=False, file=sys.stderr)


def has_colours(stream: Any) -> bool:
    """True if a stream is a terminal that shows colours, and NO_COLOR (https://no-color.org) is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


_COLOURS = {"ok": 32, "XX": 31, "--": 33, "??": 35}


def add_colours(text: str) -> str:
    """The text of a report with its verdict in bold and the cells of its tables coloured by their marks."""
    verdict, gap, rest = text.partition("\n\n")
    rest = re.sub(r"(?<=  )(ok|XX|--|\?\?) \S+", lambda m: f"\033[{_COLOURS[m[1]]}m{m[0]}\033[0m", rest)
    return f"\033[1m{verdict}\033[0m{gap}{rest}"
