"""Every kernel in every type, as compiled for every card and run on the CPU."""
import numpy as np

from rnnref.cuda import pointwise, reset_before
from rnnref.cuda.kernel_table import kernel_row_of
from rnnref.cuda_loops import onchip
from rnnref.cuda_loops.tiling import Task, choose_tiling
from rnnref.rules.elman import ElmanRule
from rnnref.rules.gru import GRURule
from rnnref.rules.limited import LimitedRule
from rnnref.rules.lstm import LSTMRule

# W (results of products, states) and S (operands of the next product)
TYPES = (("float64", "float64"), ("float32", "float32"), ("float16", "float16"), ("bfloat16", "bfloat16"),
         ("float32", "float16"), ("float32", "bfloat16"))
RULES = ElmanRule(), GRURule(), LSTMRule(), LSTMRule(coupled="input"), LSTMRule(coupled="forget")


def dtype(name):
    """The dtype of a name; that of bfloat16 is ml_dtypes's."""
    if name == "bfloat16":
        import ml_dtypes
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def kernels(types=TYPES):
    for W, S in types:
        A = dtype("float64" if W == "float64" else "float32")
        for rule in (*RULES, LimitedRule()):
            for args in ("Forward", "Backward"):
                yield pointwise.make_kernel(args, rule, kernel_row_of(rule), A, dtype(S), dtype(W))
        for args in ("Reset", "Renew", "RenewBack", "ResetBack"):
            yield reset_before.make_kernel(args, A, dtype(S), dtype(W))


# Whole sequences: rows and units, by the type of operands.  `make kernels` has time for these, wide.py for more.
SIZES = {"float": ((1, 256), (64, 512), (8, 64)), "tf32": ((64, 512),), "bfloat16": ((64, 512), (1, 768)),
         "half": ((8, 64),), "double": ((16, 128),)}
FEW = {S: SIZES[S][:1] for S in ("float", "tf32", "bfloat16")}


def wholes(sm):
    """(kernel, tiling, task) for one card, each kernel once."""
    rules = {LSTMRule(): SIZES, GRURule(): FEW, ElmanRule(): FEW, LSTMRule(coupled="forget", peepholes=True): FEW}
    return by_name(one for rule, sizes in rules.items() for S, all_of in sizes.items() for size in all_of
                   for one in both_ways(rule, S, *size, sm))


def by_name(kernels):
    """Each kernel once."""
    return list({one[0].name: one for one in kernels}.values())


def both_ways(rule, S, rows, n, sm):
    W = dtype("float64" if S == "double" else "float32")
    for way in ("Ahead", "Back"):
        task = Task(way, len(rule.gates), n, rows, "double" if S == "double" else "float", S, sm)
        t = choose_tiling(task)
        if t is not None:
            yield onchip.make_kernel(rule, task, t, W), t, task
