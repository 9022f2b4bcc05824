"""Arguments of the `rnnref` command: a parser that suggests names, and what it makes of texts."""
import argparse
import ast
from typing import Any, Iterable, NoReturn

from . import info
from .options import suggest

OPERATORS = ("RNN", "GRU", "LSTM")
STATUSES = """exit status:
  0  everything agrees (verify), or the command succeeded
  1  something differs, or was refused
  2  nothing could be compared; or wrong arguments, an unreadable or unwritable
     file, or a missing package
  3  an error of rnnref itself
  130  stopped by Ctrl-C; what was done so far is saved"""


class Parser(argparse.ArgumentParser):
    """A parser that suggests one name for a misspelt one, in place of a list of all names."""

    @property
    def option_names(self) -> list[str]:
        """The names of the options: --html, --json, ..."""
        return [name for action in self._actions for name in action.option_strings if name.startswith("--")]

    def refuse_name(self, what: str, name: str, known: Iterable[str]) -> NoReturn:
        """Exit with the nearest name, or with all of them if none is near."""
        cell = next((cell for cell in info.CATALOG if cell.lower() == name.lower()), "") if what == "command" else ""
        hint = f"did you mean rnnref explain {cell}?" if cell else suggest(name, known) or \
            f"choose from {', '.join(known)}"
        self.error(f"unknown {what}: {name}; {hint}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            self.refuse_name(str(action.metavar).lower(), value, action.choices)


PARSER_OPTIONS: Any = {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False,
                       "epilog": STATUSES}


def parse_operators(text: str) -> tuple[str, ...]:
    """"LSTM,gru" -> ("GRU", "LSTM"): the names as in ONNX, in the order of OPERATORS."""
    names = [name.strip().upper() for name in text.split(",")]
    if not set(names) <= set(OPERATORS):
        raise argparse.ArgumentTypeError(f"{text!r}: expected some of {','.join(OPERATORS)}")
    return tuple(op for op in OPERATORS if op in names)


def parse_option(text: str) -> tuple[str, Any]:
    """"projection=2" -> ("projection", 2); a value that is not a Python literal is a string."""
    name, equals, value = text.partition("=")
    if not (name.isidentifier() and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    try:
        return name, ast.literal_eval(value.capitalize() if value.lower() in ("true", "false", "none") else value)
    except (ValueError, SyntaxError):
        return name, value


def parse_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """"input=1x16000" -> ("input", (1, 16000)); "sr=" -> ("sr", ()), a single number."""
    name, equals, sizes = text.rpartition("=")
    axes = sizes.split("x") if sizes else []
    if not (name and equals and all(n.isdecimal() for n in axes)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=SIZExSIZE")
    return name, tuple(int(n) for n in axes)


def parse_positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a positive integer")
    return int(text)


def parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number") from None


def parse_rate(text: str) -> float:
    rate = parse_number(text)
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return rate


def parse_seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer, 0 or more")
    return int(text)
