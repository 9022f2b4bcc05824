"""Every kernel in every type: what is compiled for every card, and run on the CPU."""
import numpy as np

from rnnref.cuda import before, pointwise, whole
from rnnref.cuda.texts import text_of
from rnnref.cuda.tiling import Task, tiling
from rnnref.rules.elman import Elman
from rnnref.rules.gru import GRU
from rnnref.rules.limited import Limited
from rnnref.rules.lstm import LSTM

# W (what products give, what states carry) and S (what the next product takes)
TYPES = (("float64", "float64"), ("float32", "float32"), ("float16", "float16"), ("bfloat16", "bfloat16"),
         ("float32", "float16"), ("float32", "bfloat16"))
RULES = Elman(), GRU(), LSTM(), LSTM(coupled="input"), LSTM(coupled="forget")


def dtype(name):
    """The dtype of a name; that of bfloat16 is ml_dtypes's."""
    if name == "bfloat16":
        import ml_dtypes
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def kernels(types=TYPES):
    for W, S in types:
        A = dtype("float64" if W == "float64" else "float32")
        for rule in (*RULES, Limited()):
            for args in ("Forward", "Backward"):
                yield pointwise.kernel(args, rule, text_of(rule), A, dtype(S), dtype(W))
        for args in ("Reset", "Renew", "RenewBack", "ResetBack"):
            yield before.kernel(args, A, dtype(S), dtype(W))


# Whole sequences: rows and units, what is multiplied, and rules.  `wide`: what a search for spills goes through.
SIZES = {"float": ((1, 256), (64, 512), (8, 64)), "tf32": ((64, 512),), "bfloat16": ((64, 512), (1, 768)),
         "half": ((8, 64),), "double": ((16, 128),)}
WIDE = [(rows, n) for rows in (1, 7, 16, 64, 130, 256) for n in (20, 64, 100, 128, 200, 256, 300, 384, 512, 650, 768)]


def wholes(sm, wide=False):
    """(kernel, tiling, task) for one card, each kernel once."""
    seen = {}
    for rule in RULES if wide else (*RULES[:3], LSTM(coupled="forget", peepholes=True)):
        for S, sizes in SIZES.items():
            for rows, n in WIDE if wide else sizes[:None if rule == LSTM() else 1]:
                for way in ("Ahead", "Back"):
                    task = Task(way, len(rule.gates), n, rows, "double" if S == "double" else "float", S, sm)
                    t = tiling(task)
                    if t is not None:
                        W = dtype("float64" if S == "double" else "float32")
                        one = whole.kernel(rule, task, t, W)
                        seen[one.name] = one, t, task
    return list(seen.values())
