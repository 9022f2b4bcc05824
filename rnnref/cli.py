"""The `rnnref` command: verify, explain, info.  Exit status 0: agrees, 1: differs, 2: asked wrongly, 3: our bug.

(floor 12)
"""
import argparse
import ast
import os
import sys
import traceback

import numpy

from . import about
from .errors import Error, extra

OPS = ("RNN", "GRU", "LSTM")
ENGINES = ("onnxruntime", "onnx.reference", "torch", "keras")


def main(argv=None):
    """Run one command; returns the exit status."""
    asked = parser().parse_args(argv)
    try:
        return asked.command(asked)
    except Error as error:
        print(f"rnnref: {error}", file=sys.stderr)
        return 2
    except Exception:                             # not 1, which says that something was compared and differs
        traceback.print_exc()
        print("rnnref: this is a mistake of rnnref itself", file=sys.stderr)
        return 3


def parser():
    top = argparse.ArgumentParser(prog="rnnref", description="The reference for recurrent networks: is this engine "
                                  "right, what is this cell, what is on this machine?")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (add_verify, add_explain, add_info):
        add(commands)
    return top


def add_verify(commands):
    p = commands.add_parser("verify", help="hold a model or an engine to the reference",
                            description="Hold the recurrent nodes of a model, or all that an engine does, to the "
                            "reference.  Exit status 0: all agree, 1: not all, 2: asked wrongly.")
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("model", nargs="?", metavar="MODEL.onnx", help="a model; it is run by onnxruntime")
    what.add_argument("--against", choices=ENGINES, help="an engine, over a grid of options")
    p.add_argument("--ops", type=operators, default=OPS, metavar="RNN,GRU,LSTM", help="which operators of the grid")
    p.add_argument("--inputs", metavar="F.npz", help="arrays for the inputs of the model; drawn if not given")
    p.add_argument("--html", metavar="F", help="write the report as one page")
    p.add_argument("--json", metavar="F", help="write the report as JSON")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="draw other numbers")
    p.add_argument("--report-only", action="store_true", help="exit with 0 whatever is found")
    p.set_defaults(command=verify)


def add_explain(commands):
    p = commands.add_parser("explain", help="a cell: equations, parameters, what runs here")
    p.add_argument("cell", metavar="CELL", help=f"one of {', '.join(about.CATALOG)}, in any case")
    p.add_argument("options", nargs="*", type=option, metavar="NAME=VALUE", help="such as peepholes=True, reset=before")
    p.add_argument("--units", type=positive, default=4, metavar="U", help="for the shapes (4)")
    p.add_argument("--inputs", type=positive, default=3, metavar="I", help="for the shapes (3)")
    p.set_defaults(command=explain)


def add_info(commands):
    p = commands.add_parser("info", help="versions, back ends and devices")
    p.set_defaults(command=info)


def operators(text):
    """"LSTM,gru" -> the names as ONNX writes them, in its order."""
    named = [name.strip().upper() for name in text.split(",")]
    if not set(named) <= set(OPS):
        raise argparse.ArgumentTypeError(f"{text!r}: expected some of {','.join(OPS)}")
    return tuple(op for op in OPS if op in named)


def option(text):
    """"projection=2" -> ("projection", 2); what is no Python literal is a string."""
    name, equals, value = text.partition("=")
    if not (name.isidentifier() and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def positive(text):
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a positive integer")
    return int(text)


def say(what):
    try:
        print(what, flush=True)
    except BrokenPipeError:                       # whoever reads has seen enough; what is left to do is done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def explain(asked):
    say(about.cell_in_words(asked.cell, asked.units, asked.inputs, **dict(asked.options)))
    return 0


def info(asked):
    say(about.machine())
    return 0


def verify(asked):
    report = of_model(asked) if asked.model else of_engine(asked)
    say(report)
    for write, path in ((report.to_html, asked.html), (report.to_json, asked.json)):
        if path:
            written(write, path)
            say(f"written: {path}")
    return 0 if report.ok or asked.report_only else 1


def written(write, path):
    try:
        write(path)
    except OSError as e:
        raise Error("verify", f"{path} cannot be written: {e.strerror}") from None


def of_model(asked):
    from .check import verify as hold
    from .check.feeds import feeds
    inputs = feeds(asked.model, arrays_in(asked.inputs), asked.seed)
    return hold(asked.model, inputs, seed=asked.seed, progress=watched())


def arrays_in(path):
    """What a .npz file holds."""
    if path is None:
        return {}
    try:
        with numpy.load(path) as held:
            return dict(held)
    except (OSError, ValueError) as e:
        raise Error("verify", f"{path} cannot be read: {e}") from None


def of_engine(asked):
    from .check.frameworks import frameworks
    from .survey import survey
    if asked.against in ("torch", "keras"):
        return frameworks(asked.against, asked.ops, asked.seed, watched())
    return survey(asked.against, asked.ops, asked.seed, watched())


def watched():
    """(iterable, what) -> iterable with a bar on stderr, where somebody looks at it."""
    if not sys.stderr.isatty():
        return None
    tqdm = extra("tqdm", "verify", "verify").tqdm
    return lambda steps, what: tqdm(steps, desc=what, leave=False, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
