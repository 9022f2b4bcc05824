"""Arrays on a GPU: kernels written by hand, and what launches them.  (floor 5)

    a rule          scalar.cuh rule.cuh, and elman gru lstm limited.cuh: twins of rules/, of one number at a time
    one step        rows.cuh pointwise.cu reset_before.cu; pointwise.py before.py; twins.py: rules that are kernels
    step by step    stepped.py (tier 1), step_gated.py step_projected.py step_before.py, series.py
    as a graph      graphed.py, capture.py lending.py blas.py
    on chip         onchip.py (tier 2), whole.py tiling.py; onchip.cu fma.cuh mma.cuh cluster.cuh
    for both        sequence.py: what is kept of a sequence, and what stands before and after the loop
    which of them   choose.py limits.py; texts.py: what C++ calls what Python does
    products        products.py modes.py; grouped.py patches.py: of other maps than Dense
    a launch        source.py launch.py hold.py; trouble.py: what may go wrong, in words

Nothing here imports CuPy before an array of it has come in.  Not yet run on a device.
"""
