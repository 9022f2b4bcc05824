"""Every kernel in every type: what is compiled for every card, and run on the CPU."""
import numpy as np

from rnnref.cuda import before, pointwise
from rnnref.cuda.texts import text_of
from rnnref.rules.elman import Elman
from rnnref.rules.gru import GRU
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
        for rule in RULES:
            for args in ("Forward", "Backward"):
                yield pointwise.kernel(args, rule, text_of(rule), A, dtype(S), dtype(W))
        for args in ("Reset", "Renew", "RenewBack", "ResetBack"):
            yield before.kernel(args, A, dtype(S), dtype(W))
