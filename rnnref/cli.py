"""The `rnnref` command: verify, explain, info.  Exit status 0: agrees, 1: differs, 2: asked wrongly, 3: our bug.

(floor 12)
"""
import argparse
import ast
import os
import sys
import traceback

import numpy

from . import info
from .errors import Error, import_optional

_OPS = ("RNN", "GRU", "LSTM")
_ENGINES = ("onnxruntime", "onnx.reference", "torch", "keras")


def main(argv=None):
    """Run one command; returns the exit status."""
    asked = _make_parser().parse_args(argv)
    try:
        return asked.command(asked)
    except Error as error:
        print(f"rnnref: {error}", file=sys.stderr)
        return 2
    except Exception:                             # not 1, which says that something was compared and differs
        traceback.print_exc()
        print("rnnref: this is a mistake of rnnref itself", file=sys.stderr)
        return 3


def _make_parser():
    top = argparse.ArgumentParser(prog="rnnref", description="The reference for recurrent networks: is this engine "
                                  "right, what is this cell, what is on this machine?")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (_add_verify, _add_explain, _add_info):
        add(commands)
    return top


def _add_verify(commands):
    p = commands.add_parser("verify", help="hold a model or an engine to the reference",
                            description="Hold the recurrent nodes of a model, or all that an engine does, to the "
                            "reference.  Exit status 0: all agree, 1: not all, 2: asked wrongly.")
    what = p.add_mutually_exclusive_group(required=True)
    what.add_argument("model", nargs="?", metavar="MODEL.onnx", help="a model; it is run by onnxruntime")
    what.add_argument("--against", choices=_ENGINES, help="an engine, over a grid of options")
    p.add_argument("--ops", type=_parse_operators, default=_OPS, metavar="RNN,GRU,LSTM", help="which operators of the grid")
    p.add_argument("--inputs", metavar="F.npz", help="arrays for the inputs of the model; drawn if not given")
    p.add_argument("--html", metavar="F", help="write the report as one page")
    p.add_argument("--json", metavar="F", help="write the report as JSON")
    p.add_argument("--seed", type=int, default=0, metavar="N", help="draw other numbers")
    p.add_argument("--report-only", action="store_true", help="exit with 0 whatever is found")
    p.set_defaults(command=_run_verify)


def _add_explain(commands):
    p = commands.add_parser("explain", help="a cell: equations, parameters, what runs here")
    p.add_argument("cell", metavar="CELL", help=f"one of {', '.join(info.CATALOG)}, in any case")
    p.add_argument("options", nargs="*", type=_parse_option, metavar="NAME=VALUE", help="such as peepholes=True, reset=before")
    p.add_argument("--units", type=_parse_positive, default=4, metavar="U", help="for the shapes (4)")
    p.add_argument("--inputs", type=_parse_positive, default=3, metavar="I", help="for the shapes (3)")
    p.set_defaults(command=_run_explain)


def _add_info(commands):
    p = commands.add_parser("info", help="versions, back ends and devices")
    p.set_defaults(command=_run_info)


def _parse_operators(text):
    """"LSTM,gru" -> the names as ONNX writes them, in its order."""
    named = [name.strip().upper() for name in text.split(",")]
    if not set(named) <= set(_OPS):
        raise argparse.ArgumentTypeError(f"{text!r}: expected some of {','.join(_OPS)}")
    return tuple(op for op in _OPS if op in named)


def _parse_option(text):
    """"projection=2" -> ("projection", 2); what is no Python literal is a string."""
    name, equals, value = text.partition("=")
    if not (name.isidentifier() and equals):
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _parse_positive(text):
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a positive integer")
    return int(text)


def _print(what):
    try:
        print(what, flush=True)
    except BrokenPipeError:                       # whoever reads has seen enough; what is left to do is done
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run_explain(args):
    _print(info.describe_cell(args.cell, args.units, args.inputs, **dict(args.options)))
    return 0


def _run_info(args):
    _print(info.describe_machine())
    return 0


def _run_verify(args):
    report = _verify_model(args) if args.model else _verify_engine(args)
    _print(report)
    for write, path in ((report.to_html, args.html), (report.to_json, args.json)):
        if path:
            _write_file(write, path)
            _print(f"written: {path}")
    return 0 if report.ok or args.report_only else 1


def _write_file(write, path):
    try:
        write(path)
    except OSError as e:
        raise Error("verify", f"{path} cannot be written: {e.strerror}") from None


def _verify_model(args):
    from .check import verify as hold
    from .check.random_inputs import draw_missing_inputs
    inputs = draw_missing_inputs(args.model, _load_arrays(args.inputs), args.seed)
    return hold(args.model, inputs, seed=args.seed, progress=make_progress())


def _load_arrays(path):
    """What a .npz file holds."""
    if path is None:
        return {}
    try:
        with numpy.load(path) as held:
            return dict(held)
    except (OSError, ValueError) as e:
        raise Error("verify", f"{path} cannot be read: {e}") from None


def _verify_engine(args):
    from .survey import survey
    from .survey.frameworks import survey_framework
    if args.against in ("torch", "keras"):
        return survey_framework(args.against, args.ops, args.seed, make_progress())
    return survey(args.against, args.ops, args.seed, make_progress())


def make_progress():
    """(iterable, what) -> iterable with a bar on stderr, where somebody looks at it."""
    if not sys.stderr.isatty():
        return None
    tqdm = import_optional("tqdm", "verify", "verify").tqdm
    return lambda steps, what: tqdm(steps, desc=what, leave=False, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
