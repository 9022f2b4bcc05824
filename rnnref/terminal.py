"""What a terminal shows: its width, colours and progress bars."""
import os
import re
import shutil
import sys
import textwrap
import time
from typing import Any, Callable, Iterable, Iterator, Optional, Sized

from .errors import MissingExtra, import_optional

_DELAY = 0.2                                      # seconds before progress is shown


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
    """A function (iterable, what) -> iterable that shows progress on stderr; None where stderr is not a terminal.

    A bar of tqdm, or without this package a line "what: 3/40"; neither for what takes no time.
    """
    if not sys.stderr.isatty():
        return None
    try:
        tqdm = import_optional("tqdm", "verify", "verify").tqdm
    except MissingExtra:
        return _show_line
    return lambda steps, what: tqdm(steps, desc=what, leave=False, file=sys.stderr, delay=_DELAY)


def _show_line(steps: Iterable, what: str) -> Iterator:
    """The steps, with a line on stderr that counts them and is cleared at their end."""
    total = f"/{len(steps)}" if isinstance(steps, Sized) else ""
    shown, last = "", time.monotonic()
    try:
        for n, step in enumerate(steps):
            if time.monotonic() - last >= _DELAY:
                shown, last = f"{what}: {n}{total}", time.monotonic()
                print(f"\r{shown}", end="", file=sys.stderr, flush=True)
            yield step
    finally:
        if shown:
            print(f"\r{' ' * len(shown)}\r", end="", file=sys.stderr, flush=True)


def has_colours(stream: Any) -> bool:
    """True if a stream is a terminal that shows colours, and NO_COLOR (https://no-color.org) is not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


_COLOURS = {"ok": 32, "XX": 31, "--": 33, "??": 35}


def add_colours(text: str) -> str:
    """The text of a report with its verdict in bold and the cells of its tables coloured by their marks."""
    verdict, gap, rest = text.partition("\n\n")
    rest = re.sub(r"(?<=  )(ok|XX|--|\?\?) \S+", lambda m: f"\033[{_COLOURS[m[1]]}m{m[0]}\033[0m", rest)
    return f"\033[1m{verdict}\033[0m{gap}{rest}"
