"""The notebooks run as they are stored, still say what is stored, and their checks know right from wrong.

    python -m tests.core.test_notebooks       runs them and stores what they say now, with g++ and without a GPU
    python -m tests.core.test_notebooks 06    the same of those whose names begin so

A cell tagged `sizes` says how long a notebook trains: tests put the numbers of SMALL in the place of its own.
A cell tagged `varies` may say something else on another machine.  One tagged `kernels` too is held to its words where
there is g++; without, the NumPy code stands in for the kernels, and that is how `make test` runs it on every machine.
"""
import ast
import base64
import io
import os
import re
import shutil
import sys
from pathlib import Path

import numpy
import pytest

from tests.support.onnxruntime_facts import TAKES_LENGTH_ZERO

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = ["01_a_loop_and_a_cell", "02_backward_through_time", "03_a_character_model", "04_gradients_through_time",
         "05_the_gate_film", "06_from_rule_to_kernel", "07_is_my_framework_right", "08_one_cell_seven_conventions",
         "09_working_with_rnns", "10_from_tf1_to_keras", "11_padding_and_masks", "12_when_float32_means_nothing",
         "13_fast_on_a_cpu"]
REFRESH = "if the new text is right, store it: python -m tests.core.test_notebooks"

SMALL = {"03_a_character_model": {"UPDATES": 3, "EPOCHS": 1, "LENGTH": 20},
         "05_the_gate_film": {"SENTENCES": 96, "EPOCHS": 1},
         "09_working_with_rnns": {"EPOCHS": 1}}
# The picture of each notebook on the page notebooks/README.md, counted from 0
PICTURES = {"01": 2, "02": 2, "03": 2, "04": 2, "05": 3, "06": 4, "07": 0, "08": 0, "09": 2, "10": 0, "11": 0, "12": 0,
            "13": 0}
# What cells say with older versions of other packages: (notebook, cell) -> [(as stored, what stands there then)]
OLDER = {} if TAKES_LENGTH_ZERO else {("07_is_my_framework_right", 4): [
    ("it does the row alone.\n", "it does the row alone; 4 of 90 cases were refused.\n"),
    ("'empty': 'zero'", "'empty': 'start or zero'")]}
SECONDS = 60                                      # for one cell
BYTES = 400_000                                   # of one notebook with its pictures
PRINTED = 2e-4                                    # notebooks print four decimals, and the last may round either way

KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
          "language_info": {"name": "python"}}
ALLOWED = {"numpy", "matplotlib", "rnnref"} | set(sys.stdlib_module_names)
FOUND = {"cupy", "tests"}                         # what the notebook of kernels looks for, and does without
STRICT = ("import warnings; warnings.simplefilter('error'); "             # in our code, not in that of the kernel
          "warnings.filterwarnings('default', module='ipykernel|IPython|jupyter|zmq|tornado|asyncio|traitlets')")
NUMBER = re.compile(r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?")


def load(name):
    import nbformat
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def execute(notebook, seconds=SECONDS):
    """Run all cells in a kernel of this very Python, whichever kernels the user may have registered."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    class Here(AsyncKernelManager):
        kernel_spec = KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                                 display_name="here", language="python")

    NotebookClient(notebook, timeout=seconds, kernel_manager_class=Here, record_timing=False, coalesce_streams=True,
                   resources={"metadata": {"path": str(FOLDER)}},              # where the texts that they read lie
                   extra_arguments=[f"--IPKernelApp.exec_lines={STRICT}"]).execute()
    return notebook


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def said(cell):
    """What a cell printed and showed as text."""
    texts = [out.text if out.output_type == "stream" else out.data.get("text/plain", "") for out in cell.outputs]
    return "\n".join(text for text in texts if not text.startswith("<Figure"))


def drawn(cell):
    return [out.data for out in cell.outputs if "image/png" in out.get("data", {})]


def pictures(cell):
    return [data["image/png"] for data in drawn(cell)]


def assert_same_text(fresh, stored, where):
    """The same words, and the same numbers but for rounding."""
    words = [" ".join(NUMBER.sub(" # ", text).split()) for text in (fresh, stored)]
    numbers = [numpy.array(NUMBER.findall(text), float) for text in (fresh, stored)]
    message = f"{where} now says:\n{fresh}\nstored is:\n{stored}\n{REFRESH}"
    assert words[0] == words[1], message
    assert numpy.allclose(*numbers, rtol=PRINTED, atol=PRINTED), message


def emptied(name):
    notebook = load(name)
    for cell in code_of(notebook):
        cell.outputs, cell.execution_count = [], None
    return notebook


def shrunk(source, sizes):
    """A cell of sizes, with smaller ones."""
    for size, number in sizes.items():
        source, found = re.subn(rf"^{size} = \d+$", f"{size} = {number}", source, flags=re.M)
        assert found == 1, f"{size} in {source}"
    return source


@pytest.fixture(scope="module")
def kernel_env(tmp_path_factory):
    """Nothing is written into the user's home, and no GPU is seen: what is stored was computed without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path_factory.mktemp("jupyter")))
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        yield


@pytest.fixture(scope="module", params=NAMES)
def pair(request, kernel_env, tmp_path_factory):
    """A notebook as stored, and executed now; after its own cells the answers to its exercises."""
    import nbformat

    from tests.support.notebook_answers import ANSWERS
    stored, fresh = load(request.param), emptied(request.param)
    for cell in code_of(fresh):
        if "sizes" in cell.metadata.get("tags", []):
            cell.source = shrunk(cell.source, SMALL[request.param])
    fresh.cells += [nbformat.v4.new_code_cell(code) for code, _ in ANSWERS[request.param]]
    with pytest.MonkeyPatch.context() as patch:   # no compiler is found, though there may be one
        patch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))
        return request.param, stored, execute(fresh)


def test_says_what_is_stored(pair):
    name, stored, fresh = pair
    for now, then in zip(code_of(fresh), code_of(stored)):
        where = f"{name}, cell {then.execution_count}"
        assert len(pictures(now)) == len(pictures(then)), f"{where} shows other pictures; {REFRESH}"
        if "varies" not in then.metadata.get("tags", []):       # the text of the library, what runs on this machine
            assert_same_text(said(now), replaced(said(then), OLDER.get((name, then.execution_count), [])), where)


def replaced(text, pairs):
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_without_a_compiler_numpy_stands_in(pair):
    name, _, fresh = pair
    tagged = [said(cell) for cell in code_of(fresh) if "kernels" in cell.metadata.get("tags", [])]
    if tagged:
        assert "the NumPy code stands in for the kernels" in tagged[0]
        assert not any("False" in text or "WRONG" in text for text in tagged)


@pytest.mark.kernels
def test_kernels_say_what_is_stored(kernel_env):
    """The same words, True and False among them; how many ulp it is may differ with the machine."""
    if shutil.which("g++") is None:
        pytest.fail("this runs kernels on the CPU, and there is no g++ on PATH")
    stored, fresh = load("06_from_rule_to_kernel"), execute(emptied("06_from_rule_to_kernel"))
    pairs = [(said(now), said(then)) for now, then in zip(code_of(fresh), code_of(stored), strict=True)
             if "kernels" in then.metadata.get("tags", [])]
    assert len(pairs) >= 5 and "No GPU here: the kernels run on the CPU" in pairs[0][0]
    for now, then in pairs:
        assert NUMBER.sub("#", now).split() == NUMBER.sub("#", then).split(), f"{REFRESH} (with g++)"
        assert "False" not in now and "not seen" not in now


def test_checks_know_right_from_wrong(pair):
    from tests.support.notebook_answers import ANSWERS
    name, stored, fresh = pair
    for cell, (code, expected) in zip(fresh.cells[len(stored.cells):], ANSWERS[name], strict=True):
        if expected is None:                      # no known mistake: it says where the worst entry is
            assert re.fullmatch(r"\w+: not yet: at \[[\d, ]*\] it is .+, expected .+", said(cell).strip()), code
        else:
            assert said(cell).strip() == expected, code


@pytest.mark.parametrize("name, least", [("01_a_loop_and_a_cell", 45), ("03_a_character_model", 60)])
def test_common_mistakes_are_named(name, least):
    """Of the wrong answers that were collected, each is told apart from the others."""
    from tests.support.notebook_answers import ANSWERS
    named = [expected for _, expected in ANSWERS[name] if expected is not None and ": not yet: " in expected]
    assert len(set(named)) >= least and not any(expected is None for _, expected in ANSWERS[name])


def test_exercises_are_shipped_unanswered(pair):
    name, stored, _ = pair
    open_cells = [cell for cell in code_of(stored) if "return ..." in cell.source]
    assert len(open_cells) >= 4
    for cell in open_cells:
        assert said(cell).strip().endswith(": not answered yet")


def test_what_training_shows_is_stored():
    """Cells that train say something else in tests, so what they have said at full size is read here."""
    film, model = ("\n".join(map(said, code_of(load(name)))) for name in ("05_the_gate_film", "03_a_character_model"))
    assert float(re.search(r"the counter is unit \d, with a correlation of (\S+)", film)[1]) > 0.98
    held = {bool(star): float(error) for star, error in re.findall(r"^ +\d (\*?) +[-\d.]+ +([\d.]+)$", film, re.M)}
    assert held[True] > 2 * held[False]
    assert all(f"--- temperature {tau}" in model for tau in (0.2, 0.6, 1.0, 2.0))


@pytest.mark.parametrize("name", NAMES)
def test_stored_whole_and_clean(name):
    notebook = load(name)
    assert (FOLDER / f"{name}.ipynb").stat().st_size < BYTES
    assert notebook.metadata == KERNEL
    cells = code_of(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "not run from top to bottom"
    found = [png for cell in cells for png in pictures(cell)]
    assert len(found) >= 3 and all(base64.b64decode(png).startswith(b"\x89PNG") for png in found)
    for cell in cells:
        assert not cell.metadata.keys() - {"tags", "jupyter"}, f"metadata {dict(cell.metadata)}; {REFRESH}"
        assert all(out.output_type != "error" and out.get("name") != "stderr" for out in cell.outputs), cell.source


@pytest.mark.parametrize("name", NAMES)
def test_needs_numpy_and_matplotlib_only(name):
    for cell in code_of(load(name)):
        for node in ast.walk(ast.parse(cell.source)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else \
                [node.module] if isinstance(node, ast.ImportFrom) else []
            allowed = ALLOWED | (FOUND if "kernels" in cell.metadata.get("tags", []) else set())
            assert {n.partition(".")[0] for n in names} <= allowed, cell.source


def test_every_notebook_is_tested():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_index_page_shows_the_notebook(name):
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert page.count(f"({name}.ipynb)") == 1 and page.count(f"pictures/{name[:2]}.png") == 1, "notebooks/README.md"
    stored = (FOLDER / "pictures" / f"{name[:2]}.png").read_bytes()
    assert stored == picture_of(name, load(name)), f"the picture is another one; {REFRESH}"


def test_the_index_page_has_the_order_of_the_notebooks():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\((\w+)\.ipynb\)", page) == NAMES
    assert sorted(path.stem for path in (FOLDER / "pictures").iterdir()) == sorted(PICTURES)


@pytest.mark.peers
def test_keras_says_what_is_stored():
    import keras

    from rnnref.check.tolerance import tolerance
    source, = [cell.source for cell in code_of(load(NAMES[0])) if "keras_says = " in cell.source]
    given = {"np": numpy, "B": 2, "T": 3, "I": 4, "U": 5}
    exec(source, given)
    layer = keras.layers.SimpleRNN(given["U"])
    layer.build(given["batch"].shape)
    layer.set_weights([given["kernel"], given["recurrent_kernel"], given["bias"]])
    says = keras.ops.convert_to_numpy(layer(given["batch"]))
    assert abs(says - given["keras_says"]).max() < tolerance("output", "float32")


def test_text_that_differs_is_seen():
    assert_same_text("a  1e-11 True", "a 3e-12 True", "here")
    for other in ("a 1e-11 False", "a 0.1 True", "a 1e-11 2 True"):
        with pytest.raises(AssertionError):
            assert_same_text(other, "a 3e-12 True", "here")


def small(png):
    """A picture with 256 colours of its own: a third of the bytes.  (matplotlib has brought Pillow)"""
    from PIL import Image  # matplotlib needs it too
    out = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def picture_of(name, notebook):
    return base64.b64decode([png for cell in code_of(notebook) for png in pictures(cell)][PICTURES[name[:2]]])


def refresh(begin=""):
    import nbformat
    if shutil.which("g++") is None:
        sys.exit("no g++ on PATH: what kernels say on the CPU is stored too (Debian, Ubuntu: apt-get install g++)")
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    for name in (name for name in NAMES if name.startswith(begin)):
        notebook = execute(load(name), 10 * SECONDS)        # of full size, on a machine with other work
        notebook.metadata = KERNEL
        for data in (data for cell in code_of(notebook) for data in drawn(cell)):
            data["image/png"] = small(data["image/png"])
        nbformat.write(notebook, FOLDER / f"{name}.ipynb")
        (FOLDER / "pictures" / f"{name[:2]}.png").write_bytes(picture_of(name, notebook))


if __name__ == "__main__":
    refresh(*sys.argv[1:])
