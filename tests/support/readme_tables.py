"""python -m tests.support.readme_tables: tables of the READMEs, from the docstrings, the plan and the golden files."""
import inspect
import math
import re
from pathlib import Path

import numpy as np

from rnnref.cells import CATALOG, EXAMPLES
from rnnref.loops.plan import CUDA_KERNEL, Call, plan
from tests.support.floors import list_floors
from tests.support.golden_checks import FILES, check_file
from tests.support.golden_runs import Arrays
from tests.support.tf1_names import names_table

ROOT = Path(__file__).parents[2]
PATHS = {"onchip": "on chip", "stepped": "stepped"}
CALL = Call("cupy", (100, 64, 256), np.dtype("float32"), sm=90, units=512)


def tables():
    """{name of the table: (the file that shows it, its text)}."""
    return {"cells": (ROOT / "rnnref/cells/README.md", cells_table()),
            "tf1 names": (ROOT / "rnnref/tf1/README.md", names_table()),
            "golden": (ROOT / "rnnref/tf1/README.md", golden_table()),
            "floors": (ROOT / "CONTRIBUTING.md", list_floors(ROOT / "rnnref"))}


def cells_table():
    rows = ["| cell | paper | same as | on a GPU |", "|---|---|---|---|"]
    for name, make in CATALOG.items():
        source = Path(inspect.getsourcefile(inspect.unwrap(make))).name
        paper, same = [section(make, title) for title in ("Paper", "Same as")]
        rows.append(f"| [`{name}`]({source}) | {paper} | {same or '—'} | {on_a_gpu(name, make)} |")
    return "\n".join(rows)


def section(make, title):
    """A part of a docstring, on one line."""
    found = re.search(rf"^{title}\s+(.*?)(?=^\w|^$|\Z)", inspect.getdoc(make), re.S | re.M)
    return " ".join(found[1].split()).replace("|", "\\|") if found else ""


def on_a_gpu(name, make):
    """The plan for a card in a word: on chip, stepped, a kernel in the place of the rule, or the plain code."""
    chosen = plan(make(**EXAMPLES.get(name, {})), CALL)
    if chosen.path in PATHS:
        return PATHS[chosen.path]
    rules = [what for what, became in chosen.notes if became == CUDA_KERNEL]
    return f"kernel for {rules[0]}" if rules else "plain"


def golden_table():
    rows, found = ["| TF 1.15 | files | results | gradients |", "|---|---|---|---|"], {}
    for path in FILES:
        name = path.stem.partition("__")[0]
        errors = check_file(path) or {}              # conversions of weights are checked to the bit
        found.setdefault(name, []).append((Arrays(path).config["dtype"], errors))
    for name, files in sorted(found.items(), key=lambda item: item[0].lower()):
        worst = [max((e for _, errors in files for key, e in errors.items() if key.startswith(kind)), default=0.0)
                 for kind in ("out", "grad")]
        single = " (float32)" if files[0][0] == "float32" else ""
        rows.append(f"| `{name}`{single} | {len(files)} | {decade(worst[0])} | {decade(worst[1])} |")
    return "\n".join([*rows, f"| all | {len(FILES)} of {len(FILES)} | | |"])


def decade(error):
    """The power of ten that the error is below."""
    return "exact" if not error else f"< 1e{math.floor(math.log10(error)) + 1}"


def insert_table(text, name, table):
    """`text` with the table between its two marks."""
    start, end = f"<!-- {name}: python -m tests.support.readme_tables -->", f"<!-- /{name} -->"
    before, _, rest = text.partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the README has no {start} … {end}")
    return f"{before}{start}\n\n{table}\n\n{end}{after}"


def main():
    for name, (path, table) in tables().items():
        path.write_text(insert_table(path.read_text(), name, table))


if __name__ == "__main__":
    main()
