"""Loops over whole sequences in NumPy, a path that `rnnref.run` can take: `paths=("sequence", ...)`.

    sequence         the path: what it refuses, rows of the batch in lanes
    kernel           what the kernels share: lstm.py, gru.py, gru_before.py, elman.py
    matmul           the product of a step, in the form that is fastest on this processor: products.json
    blas             the limit of BLAS threads in loops;  lanes: threads for rows;  workspaces: memory used again
    prepared         parameters prepared once for many calls of inference
"""
from .blas import blas_threads as blas_threads
from .prepared import prepare as prepare
from .workspaces import release_workspaces as release_workspaces

__all__ = ["blas_threads", "prepare", "release_workspaces"]
