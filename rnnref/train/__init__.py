"""Training from the command line: `rnnref train digits`, `rnnref train text FILE`, `rnnref sample RUN`.

    tasks     digits, mnist, text: their data, their models, their defaults
    folder    the files of a run, and where an interrupted run continues
    progress  the bar, and Ctrl-C
    command   `train`: all of these together
    sample    text drawn from a trained character model
"""
from .command import train
from .sample import sample
from .tasks import TASKS

__all__ = ["TASKS", "sample", "train"]
