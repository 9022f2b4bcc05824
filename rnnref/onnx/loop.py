"""The operator Loop for the evaluator of ONNX, whose own ends at once without a condition and joins what it scans.

This module imports onnx.
"""
from typing import Any

import numpy
from onnx.reference.ops.op_loop import Loop as EvaluatorLoop

from ..arrays import Array


class Loop(EvaluatorLoop):
    """Loop as the specification has it: a missing condition is true, and scanned outputs get an axis of iterations."""
    op_domain = ""

    def _run(self, M: Any, cond: Any, *state: Any, context: Any = None, body: Any = None, attributes: Any = None,
             bindings: Any = None) -> tuple:
        """Iterate `body` up to M times (None: without end) while its condition is true."""
        names, count = self.body.input_names, len(state)
        scanned: list[list[Array]] = [[] for _ in self.body.output_names[1 + count:]]
        going, k = cond is None or bool(numpy.all(cond)), 0
        while going and (M is None or k < int(numpy.ravel(M)[0])):
            own = dict(zip(names, [numpy.array(k, numpy.int64), numpy.array(going), *state]))
            outputs = self._run_body((context or {}) | own, attributes=attributes, bindings=bindings)
            going, state, k = bool(numpy.all(outputs[0])), tuple(outputs[1:1 + count]), k + 1
            for rows, a in zip(scanned, outputs[1 + count:]):
                rows.append(a)
        stacked = [numpy.stack(rows) if rows else numpy.empty(0, numpy.float32) for rows in scanned]
        return self._check_and_fix_outputs((*state, *stacked))
