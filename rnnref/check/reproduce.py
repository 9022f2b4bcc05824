"""How to run a check again: its arrays as a small .npz file, and three lines of Python."""
import base64
import io
import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import numpy

from .candidate import Candidate

if TYPE_CHECKING:
    from .report import Report

_LARGEST = 400_000                                # bytes of a file that a page holds
_STATE = re.compile(r"[hc]_?0( \(.*\))?")          # the name of an initial state


def list_arrays(candidate: Candidate) -> dict[str, Any]:
    """The arrays that a candidate was run on, with its lengths."""
    arrays = dict(candidate.arrays)
    return arrays if candidate.lengths is None else arrays | {"lengths": numpy.asarray(candidate.lengths)}


def pack_arrays(arrays: Mapping[str, Any]) -> bytes:
    """A compressed .npz file."""
    file = io.BytesIO()
    numpy.savez_compressed(file, **{name.replace("/", "_"): a for name, a in arrays.items()})
    return file.getvalue()


def write_lines(report: "Report", path: str = "case.npz") -> str:
    """Three lines that check the same candidate on the same numbers."""
    x = next(iter(report.arrays))
    states = [f'case["{name}"]' for name in report.arrays if _STATE.fullmatch(name)]
    options = [f"initial_state=[{', '.join(states)}]"] * bool(states)
    options += ['lengths=case["lengths"]'] * ("lengths" in report.arrays)
    options += ["reference=cell", "p=p"] * ("reference" in report.facts)
    options.append(f"seed={report.facts.get('seed') or 0}")
    return "\n".join([f'case = dict(numpy.load("{path}"))',
                      f'report = rnnref.verify(candidate, case["{x}"], {", ".join(options)})', "print(report)"])


def render_reproduction(report: "Report") -> str:
    """A folded part of a page with the lines and, where it is small, the file itself; "" without arrays."""
    if not report.arrays or "seed" not in report.facts:
        return ""
    data = pack_arrays(report.arrays)
    link = ""
    if len(data) <= _LARGEST:
        encoded = base64.b64encode(data).decode()
        link = (f'<p><a download="case.npz" href="data:application/octet-stream;base64,{encoded}">case.npz</a>, '
                f"{len(data) / 1000:.1f} kB: inputs, states and weights as they were checked.</p>")
    else:
        link = "<p>The arrays are too large for this page: report.save_arrays(\"case.npz\") writes them.</p>"
    return (f'<details class="again"><summary>How to reproduce</summary>\n<div class="in">{link}\n'
            f"<pre>{escape(write_lines(report))}</pre></div></details>")
