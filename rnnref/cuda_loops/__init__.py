"""Loops over whole sequences on a GPU, each a path that `rnnref.run` can take.

    onchip           the sequence in one launch, R held on chip: onchip.py; tiling.py: blocks and threads of its kernels
    stepped          products and kernels step by step: stepped.py; step_gated.py, step_projected.py, step_before.py:
                     what one step of each kind of cell launches
    graphed          the stepped loop as a CUDA graph: graphed.py; cublas.py: products that a graph can capture
    replayed         stepped when a kind of sequence first comes, graphed after that: replayed.py
    for all          tapes.py: what is kept of a sequence, and the products before and after the loop
    which of them    choice.py: an estimate of the fastest; occupancy.py: how many clusters run at once on this card

The kernels are in rnnref/cuda.
"""
