"""Pictures of cells, of runs and of training.

    gates(tape)                   heat maps of every gate and state, steps x units; `traces` gives the numbers
    hidden_states(ys)             a heat map of the outputs, steps x units
    gradient_flow(curves)         how much gradient reaches each step; `gradient_norms` gives the numbers
    unroll(cell)                  a drawing of the loop
    diagram(cell)                 a drawing of the inside of a cell
    learning_curves(history)      loss and metrics against the epoch
    confusion(y_true, y_pred)     how often each class is taken for each other; `confusion_matrix` gives the numbers

Each function returns a matplotlib Figure.  A notebook shows it when it is the last line of a cell, and
`figure.savefig(path)` writes it.  matplotlib is imported when the first picture is made.
"""
from .diagram import diagram
from .drawings import unroll
from .figure import COLOURS, GATE_COLOURMAP, STATE_COLOURMAP
from .gates import gates, hidden_states, traces
from .gradients import gradient_flow, gradient_norms
from .training import confusion, confusion_matrix, learning_curves

__all__ = ["COLOURS", "GATE_COLOURMAP", "STATE_COLOURMAP", "confusion", "confusion_matrix", "diagram", "gates",
           "gradient_flow", "gradient_norms", "hidden_states", "learning_curves", "traces", "unroll"]
