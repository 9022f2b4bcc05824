"""CUDA kernels for one time step, their launches from Python through CuPy, and what the device allows.

    rules            elementwise.cuh, rule.cuh; elman, gru, lstm, limited.cuh: the rules of rnnref/rules, for one number
    one step         rows.cuh, pointwise.cu, reset_before.cu: the kernels; pointwise.py, reset_before.py: their calls
    which kernels    kernel_table.py: rules that have one, and their names in C++; rule_kernels.py: the classes that
                     replace rules and cells
    matrix products  matmul.py: cuBLAS, and dense maps; grouped.py, conv.py: other maps; precision.py: math modes
    launches         source.py: one source for the compiler; launch.py: compiled kernels and their arguments;
                     step_launches.py: arguments for every step of a loop, prepared before it
    the device       devices.py: limits of each compute capability; errors.py: errors of CuPy and CUDA in words
    on chip          onchip.cu, fma.cuh, mma.cuh, exchange.cuh, cluster.cuh: kernels of whole sequences, for
                     cuda_loops/onchip.py

No module imports CuPy before it is given an array of CuPy's.
"""
