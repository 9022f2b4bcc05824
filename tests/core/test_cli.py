"""The command: exit statuses, output, files, and readable errors."""
import io
import json
import re
import subprocess
import sys
from html import escape
from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rnnref
from rnnref import cli, info
from rnnref.cells import CATALOG, EXAMPLES, TwoStage
from rnnref.check import Report, Row
from rnnref.check.random_inputs import complete_inputs
from tests.support.onnxruntime_facts import HAS_DEFAULT_SCALES, TAKES_LENGTH_ZERO


def run(capsys, *argv):
    """(exit status, standard output, standard error)."""
    try:
        status = cli.main([str(a) for a in argv])
    except SystemExit as e:                       # raised by argparse
        status = e.code
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.fixture(autouse=True)
def no_width(monkeypatch):
    """Lines are as long as they are: the runner of the tests may set a width."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture
def survey_of(monkeypatch):
    """A function that makes `survey` return a report of these rows; it returns the recorded calls."""
    calls = []

    def plant(*rows):
        def survey(*arguments):
            calls.append(arguments)
            return Report("planted", list(rows), {}, ["a finding"])
        monkeypatch.setattr("rnnref.survey.survey_framework", survey)
        return calls
    return plant


AGREES, DIFFERS, REFUSED = Row("Y", "g", 1e-8, 1e-6), Row("Y", "g", 0.5, 1e-6, "differs"), Row("Y", verdict="refused")


@pytest.mark.parametrize("rows, options, status", [
    ([AGREES], [], 0), ([AGREES, DIFFERS], [], 1), ([AGREES, REFUSED], [], 1), ([], [], 2), ([REFUSED], [], 2),
    ([AGREES, DIFFERS], ["--report-only"], 0)])
def test_exit_status_of_verify(capsys, survey_of, rows, options, status):
    survey_of(*rows)
    got, out, err = run(capsys, "survey", "onnxruntime", *options)
    assert (got, err) == (status, "") and out.startswith(Report("planted", rows).headline) and "a finding" in out


def test_arguments_reach_the_survey(capsys, survey_of):
    calls = survey_of(AGREES)
    run(capsys, "survey", "onnx.reference", "--ops", "lstm,RNN", "--seed", "7")
    assert calls == [("onnx.reference", ("RNN", "LSTM"), 7, None)]


def test_a_survey_of_onnxruntime_is_printed_and_written(capsys, tmp_path):
    page, file = tmp_path / "r.html", tmp_path / "r.json"
    status, out, err = run(capsys, "survey", "onnxruntime", "--ops", "RNN", "--html", page, "--json", file)
    assert (status, err) == (1, "")
    scales = ("alpha or beta of Affine, ScaledTanh or ThresholdedRelu" if HAS_DEFAULT_SCALES else
              "alpha and beta of Affine, Elu, HardSigmoid, LeakyRelu, ScaledTanh or ThresholdedRelu")
    affected = [f"an RNN leaves out {scales}"]
    if TAKES_LENGTH_ZERO:
        affected.insert(0, "an RNN has a sequence of length 0 with an initial state")
    headline = (f"onnxruntime's RNN is right except in {'two cases' if TAKES_LENGTH_ZERO else 'one case'}; you are "
                f"affected if {' or if '.join(affected)}.")
    assert " ".join(out.split()).startswith(headline)
    assert "RNN, sequence_lens: onnxruntime" in out and "refuses" in out
    assert ("Reading(empty_row='zero')" in out) == TAKES_LENGTH_ZERO
    assert out.splitlines()[-2:] == [f"written: {page}", f"written: {file}"]
    assert max(map(len, out.splitlines()[:-2])) <= 80
    found = json.loads(file.read_text())
    assert found["headline"] == headline and escape(headline) in page.read_text() and not found["ok"]
    assert found["counts"]["differs"] and found["findings"][0] in " ".join(out.split())
    assert "<html" in page.read_text() and "onnxruntime" in page.read_text()


def test_json_to_standard_output_is_json_alone(capsys, survey_of, tmp_path):
    survey_of(AGREES, DIFFERS)
    status, out, err = run(
        capsys, "survey", "onnxruntime", "--json", "-", "--html", tmp_path / "r.html")
    assert status == 1 and json.loads(out)["counts"]["differs"] == 1
    assert err == f"written: {tmp_path / 'r.html'}\n"


@pytest.mark.parametrize("terminal, variables, coloured", [
    (True, {}, True), (False, {}, False), (True, {"NO_COLOR": "1"}, False), (True, {"NO_COLOR": ""}, True),
    (True, {"TERM": "dumb"}, False)])
def test_colours_only_where_the_terminal_has_them(capsys, monkeypatch, survey_of, terminal, variables, coloured):
    survey_of(AGREES, DIFFERS)
    plain = run(capsys, "survey", "onnxruntime")[1]
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    out = run(capsys, "survey", "onnxruntime")[1]
    assert ("\033[31mXX differs\033[0m" in out and "\033[32mok agrees\033[0m" in out) == coloured
    assert (out == plain) == (not coloured) and re.sub("\033\\[\\d+m", "", out) == plain


def test_without_arguments_the_help_is_printed(capsys):
    status, out, err = run(capsys)
    assert (status, err) == (0, "") and all(word in out for word in ("verify", "explain", "info", "--version"))
    assert run(capsys, "--version") == (0, f"rnnref {rnnref.__version__}\n", "")


@pytest.mark.parametrize("command", ["", "verify", "survey", "explain", "info"])
def test_help_documents_the_exit_statuses(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = run(capsys, *command.split(), "--help")
    assert status == 0 and all(f"\n  {n}  " in out for n in range(4)) and max(map(len, out.splitlines())) <= 80
    assert command != "explain" or "CELL [NAME=VALUE ...]" in out


@pytest.mark.parametrize("argv, nearest", [
    (["explian", "LSTM"], "explain"), (["survey", "torhc"], "torch"),
    (["survey", "torch", "--hmtl", "r"], "--html"), (["explain", "lsmt"], "LSTM"),
    (["explain", "GRU", "rest=before"], "reset"), (["explain", "GRU", "--unit", "3"], "--units")])
def test_a_misspelt_name_suggests_one_other(capsys, argv, nearest):
    status, _, err = run(capsys, *argv)
    assert status == 2 and f"did you mean {nearest}?" in err and err.count("did you mean") == 1


@pytest.mark.parametrize("argv, message", [
    (["verify"], "the following arguments are required: MODEL.onnx"),
    (["survey", "caffe"], "unknown engine: caffe; choose from onnxruntime, "),
    (["survey", "onnxruntime", "--ops", "LSTM,CONV"], "expected some of RNN,GRU,LSTM"),
    (["survey", "onnxruntime", "--seed", "-1"], "argument --seed: "),
    (["survey", "onnxruntime", "--seed", "x"], "'x': expected an integer, 0 or more"),
    (["verify", "m.onnx", "--shapes", "X=3y"], "'X=3y': expected NAME=SIZExSIZE"),
    (["verify", "nowhere.onnx"], "rnnref: reading ONNX: there is no file nowhere.onnx"),
    (["explain"], "CELL"),
    (["explain", "Perceptron"], "rnnref: explain: no cell is called 'Perceptron'\n  known  SimpleRNN"),
    (["explain", "LSTM", "peepholes"], "expected NAME=VALUE"),
    (["explain", "GRU", "--frob", "3"], "unknown option: --frob"),
    (["explain", "LSTM", "gates=9"], "rnnref: LSTM: no option is called gates"),
    (["explain", "GRU", "reset=later"], "rnnref: GRU: reset='later'"),
    (["explain", "GRU", "--units", "0"], "expected a positive integer"),
], ids=" ".join)
def test_wrong_arguments_are_errors_without_a_traceback(capsys, argv, message):
    status, out, err = run(capsys, *argv)
    assert status == 2 and message in err and "Traceback" not in err


def test_a_report_that_cannot_be_written_is_an_error(capsys, survey_of, tmp_path):
    survey_of(AGREES)
    status, _, err = run(capsys, "survey", "onnxruntime", "--html", tmp_path / "no" / "r.html")
    assert status == 2 and "cannot be written: No such file or directory" in err


@pytest.mark.parametrize("engine, package, brought_by", [
    ("onnxruntime", "onnxruntime", "verify"), ("onnx.reference", "onnx", "verify"), ("torch", "torch", "peers"),
    ("keras", "keras", "peers")])
def test_a_missing_package_comes_with_its_install_command(capsys, monkeypatch, engine, package, brought_by):
    monkeypatch.setattr("rnnref.survey.frameworks.find_spec", lambda name: None if name == package else find_spec(name))
    status, _, err = run(capsys, "survey", engine)
    assert status == 2 and f'pip install {package}; or in a clone: pip install ".[{brought_by}]"' in err
    assert f"needs the package {package}, which is not installed" in err


def test_an_internal_error_is_neither_a_difference_nor_a_usage_error(capsys, monkeypatch):
    monkeypatch.setattr(info, "describe_machine", lambda: 1 / 0)
    status, _, err = run(capsys, "info")
    assert status == 3 and "ZeroDivisionError" in err and "an error of rnnref itself" in err


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("package", ["tqdm", None])
def test_a_progress_bar_is_shown_only_on_a_terminal(monkeypatch, package):
    assert cli.make_progress() is None
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("rnnref.terminal._DELAY", 0.0)
    monkeypatch.setitem(sys.modules, "tqdm", pytest.importorskip(package) if package else None)
    assert list(cli.make_progress()([1, 2, 3], "cases")) == [1, 2, 3]
    shown = sys.stderr.getvalue()
    assert re.search(r"cases: .*[012]/3", shown) and shown.endswith("\r")
    assert not shown.rpartition("\r")[0].rpartition("\r")[2].strip()          # cleared in the end
    assert list(cli.make_progress()(iter("ab"), "letters")) == ["a", "b"] and "letters: " in sys.stderr.getvalue()


def test_what_takes_no_time_shows_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    for package in (pytest.importorskip("tqdm"), None):
        monkeypatch.setitem(sys.modules, "tqdm", package)
        assert list(cli.make_progress()(range(3), "cases")) == [0, 1, 2]
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize("package", ["tqdm", None])
def test_long_checks_show_progress_on_a_terminal_alone(monkeypatch, tmp_path, package):
    cell, rng = rnnref.cells.LSTM(), np.random.default_rng(0)
    p = rnnref.init.parameters(cell, 3, 4, rng)
    x = rng.standard_normal((6, 2, 3)).astype("float32")
    np.savez(tmp_path / "case.npz", x=x, y=rnnref.run(cell, p, x)[0], **p)
    lstm_model(tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rnnref.terminal._DELAY", 0.0)
    monkeypatch.setitem(sys.modules, "tqdm", pytest.importorskip("tqdm") if package else None)
    for words, shown in ((["verify", "model.onnx"], ("nodes", "rounding errors")),
                         (["diagnose", "case.npz"], ("conventions",)),
                         (["compare", "model.onnx", "model.onnx"], ("nodes", "rounding errors"))):
        outputs = []
        for stderr in (io.StringIO(), Terminal()):
            monkeypatch.setattr(sys, "stderr", stderr)
            monkeypatch.setattr(sys, "stdout", io.StringIO())
            cli.main(words)
            outputs.append(sys.stdout.getvalue())
            assert all((f"{what}: " in stderr.getvalue()) == stderr.isatty() for what in shown), words
            assert stderr.isatty() or not stderr.getvalue()
        assert outputs[0] == outputs[1]           # nothing of it is in the report


def lstm_model(path, **attributes):
    rng, H = np.random.default_rng(0), 5
    weights = [numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name) for name, shape in (
        ("W", (2, 4 * H, 3)), ("R", (2, 4 * H, H)))]
    node = helper.make_node("LSTM", ["X", "W", "R", "", "lens"], ["Y"], name="enc", hidden_size=H,
                            direction="bidirectional", **attributes)
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["T", "B", 3]),
              helper.make_tensor_value_info("lens", TensorProto.INT32, ["B"])]
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [*"TDBH"])],
                              weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10), path)
    return path


def test_a_model_is_compared_with_the_reference(capsys, tmp_path):
    good, bad = lstm_model(tmp_path / "good.onnx"), lstm_model(tmp_path / "bad.onnx", clip=0.3)
    assert run(capsys, "verify", good)[0] == 0
    status, out, _ = run(capsys, "verify", bad)
    assert status == 1 and "Reading(clip_output=False)" in out
    assert run(capsys, "verify", bad, "--report-only")[0] == 0


def test_inputs_of_a_model_are_drawn_or_read(capsys, tmp_path):
    model, given = lstm_model(tmp_path / "m.onnx"), tmp_path / "x.npz"
    drawn, _ = complete_inputs(onnx.load(model), {}, np.random.default_rng(0))
    assert drawn["X"].shape == (6, 4, 3) and drawn["lens"].tolist() == [6, 4, 2, 1]
    np.savez(given, X=np.ones((2, 1, 3), np.float32))
    mine, _ = complete_inputs(onnx.load(model), {"X": np.ones((2, 1, 3), np.float32)}, np.random.default_rng(0))
    assert mine["X"].shape == (2, 1, 3) and mine["lens"].tolist() == [2]
    assert "X (5, 2, 3), lens (2,)" in run(capsys, "verify", model, "--shapes", "X=5x2x3")[1]
    assert run(capsys, "verify", model, "--inputs", given)[0] == 0
    np.savez(given, Z=np.ones(1))
    status, _, err = run(capsys, "verify", model, "--inputs", given)
    assert status == 2 and "Z: not an input of the model" in err and "X lens" in err
    (tmp_path / "text").write_text("text")
    for argv, message in (((model, "--inputs", tmp_path / "text"), "text is broken"),
                          ((tmp_path / "text",), "is not a valid ONNX model")):
        status, _, err = run(capsys, "verify", *argv)
        assert status == 2 and message in err and "Traceback" not in err


@pytest.mark.parametrize("name", CATALOG)
def test_explain_lists_every_parameter_with_its_shape(capsys, name):
    status, out, err = run(capsys, "explain", name.upper(), "--units", "7", "--inputs", "11")
    cell = CATALOG[name](**EXAMPLES.get(name, {}))
    assert (status, err) == (0, "") and out.startswith(f"{name}(" if name in EXAMPLES else f"{name}(): ")
    paths = ("sequence", "hoisted") if isinstance(cell, TwoStage) else ("plain",)
    assert any(f"\n    {path}: runs" in out.partition("On this machine")[2] for path in paths)
    table = out.partition("Parameters\n")[2].partition("\n\n")[0].splitlines()
    shapes = {line.split()[0]: line for line in table[1:]}
    assert shapes.keys() == cell.axes().keys()
    assert all(str(shape) in shapes[n] for n, shape in cell.shapes(11, 7).items())
    for line in (CATALOG[name].__doc__ or "").partition(">>>")[0].splitlines():
        assert line.strip() in out                # equations, options, names elsewhere
    if len(cell.gates) > 1:
        assert f"gate blocks {' '.join(cell.gates)}" in out


def test_explain_of_options_gives_their_equations_and_the_frameworks_that_have_them(capsys):
    _, out, _ = run(capsys, "explain", "LSTM", "peepholes=True", "projection=2", "gate=hard_sigmoid@keras2")
    assert "o = hard_sigmoid(alpha=0.2, beta=0.5)(x W_o + h R_o + b_o + Wpo c')" in out and "h' = (o tanh(c')) P" in out
    assert all(f"\n    {name} " in out for name in ("Wpi", "Wpf", "Wpo", "P"))
    lines = {line.split("  ")[2].strip(): line for line in out.splitlines() if line.startswith("    ")}
    assert "cannot: " in lines["torch"] and "cannot: projection=2" in lines["onnx"]


def test_explain_takes_true_and_false_as_people_write_them(capsys):
    without, with_peepholes = (run(capsys, "explain", "LSTM", f"peepholes={value}")[1] for value in ("false", "TRUE"))
    assert without.startswith("LSTM(peepholes=False)") and "    Wpi " not in without
    assert with_peepholes.startswith("LSTM(peepholes=True)") and "    Wpi " in with_peepholes


def test_info_lists_versions_array_packages_and_devices(capsys):
    status, out, err = run(capsys, "info")
    assert (status, err) == (0, "")
    for word in (rnnref.__version__, np.__version__, "onnxruntime", "cupy", "cpu, ", "Array packages", "Devices"):
        assert word in out


def test_the_module_is_the_command_and_imports_nothing_heavy():
    program = ("import sys; from rnnref.cli import main; main(['info']); main(['explain', 'GRU']); "
               "print([m for m in ('torch', 'onnx', 'onnxruntime', 'keras', 'jax', 'tqdm') if m in sys.modules])")
    got = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert got.stdout.splitlines()[-1] == "[]"
    got = subprocess.run([sys.executable, "-m", "rnnref", "explain", "nothing"], capture_output=True, text=True)
    assert got.returncode == 2 and got.stdout == "" and "no cell is called 'nothing'" in got.stderr


@pytest.mark.peers
@pytest.mark.parametrize("engine, op, groups", [("torch", "RNN", 12), ("torch", "GRU", 11)])
def test_the_layers_of_a_framework_agree(capsys, tmp_path, engine, op, groups):
    held = tmp_path / "r.json"
    status, out, err = run(capsys, "survey", engine, "--ops", op, "--json", held)
    assert (status, err) == (0, "")
    rows = json.loads(held.read_text())["rows"]
    assert len({row["group"] for row in rows}) == groups and all(op in row["group"] for row in rows)
    assert any(row["name"].endswith(("weight_hh_l0", "recurrent_kernel")) for row in rows)


@pytest.mark.parametrize("words, says", [
    (["--verison"], "unknown option: --verison; did you mean --version?"),
    (["LSTM"], "unknown command: LSTM; did you mean rnnref explain LSTM?"),
    (["lstm"], "did you mean rnnref explain LSTM?"), (["verfy"], "did you mean verify?"),
    (["explain", "LSTM", "projection=abc"], "LSTM: projection='abc', expected an integer"),
    (["explain", "ConvLSTM", "kernel=3"], "ConvLSTM: kernel=3, expected a tuple of integers\n  fix    kernel=(3,)"),
    (["explain", "LSTM", "forget_bias=abc"], "LSTM: forget_bias='abc', expected a number"),
    (["explain", "NTM", "slots=abc"], "NTM: slots='abc', expected an integer"),
    (["explain", "NTM", "slots=3"], "NTM: cell is not given\n  fix    NTM(cell, vector=..., outputs=...)"),
    (["explain", "LSTM", "gate=sigmiod"], "'sigmiod' is not known\n  fix    did you mean sigmoid?\n"),
    (["explain", "LSTM", "units=3"], "units=3: no option of a cell; write --units 3"),
    (["golden", "LSTM", "inputs=3"], "inputs=3: no option of a cell; write --inputs 3"),
    (["explain", "GLSTM", "groups=3"], "GLSTM with --units 4 --inputs 3: 4 units cannot be split into 3 groups")])
def test_words_that_do_not_fit_end_with_a_sentence(capsys, words, says):
    status, out, err = run(capsys, *words)
    assert (status, out) == (2, "") and says in err and "Traceback" not in err


@pytest.mark.parametrize("name", ["cells.LSTM", "rnnref.cells.LSTM", "cells.lstm"])
def test_a_cell_by_its_name_in_python(capsys, name):
    assert run(capsys, "explain", name) == run(capsys, "explain", "LSTM")


@pytest.mark.parametrize("option", ["--html", "--json"])
def test_a_missing_folder_is_found_before_the_work(capsys, survey_of, tmp_path, option):
    calls = survey_of(AGREES)
    status, out, err = run(capsys, "survey", "onnxruntime", option, tmp_path / "none" / "r")
    assert (status, out, calls) == (2, "", []) and "No such file or directory" in err


def test_explain_fits_the_columns(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    whole = run(capsys, "explain", "NTM")[1]
    monkeypatch.setenv("COLUMNS", "60")
    text = run(capsys, "explain", "NTM")[1]
    assert max(map(len, text.splitlines())) <= 60 < max(map(len, whole.splitlines())) and text.split() == whole.split()


def test_a_package_that_is_not_installed_has_a_version(capsys, monkeypatch):
    def version(name):
        raise info.PackageNotFoundError(name)
    monkeypatch.setattr(info, "version", version)
    status, out, err = run(capsys, "info")
    assert (status, err) == (0, "") and rnnref.__version__ in out


def test_explain_without_inputs_and_check_cell_of_a_plain_class():
    class Plain:
        def forward(self, p, x, s, extra=None):
            return x, s, None
    assert rnnref.explain(rnnref.cells.LSTM()) == rnnref.explain(rnnref.cells.LSTM(), np.zeros((1, 1, 1), "float32"))
    with pytest.raises(rnnref.Error, match=r"Plain, which has no check\n  fix    class MyCell\(rnnref.cells.Cell\)"):
        rnnref.testing.check_cell(Plain())


@pytest.mark.parametrize("cell, text", [
    (rnnref.cells.LSTM(), "LSTM()"), (rnnref.cells.LSTM(peepholes=True), "LSTM(peepholes=True)"),
    (rnnref.cells.GRU(candidate="relu"), "GRU(candidate='relu')"), (rnnref.cells.SimpleRNN(), "SimpleRNN()")])
def test_cells_print_what_differs_from_their_defaults(cell, text):
    assert repr(cell) == text
