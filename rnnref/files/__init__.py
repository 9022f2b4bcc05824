"""Files of arrays: written whole or not at all, and read without trust.

    atomic     a file that takes the place of another only when it is complete
    opening    errors that name the file, and how much a file may unpack to
    zips       members of a zip archive
    npz        arrays of NumPy
    hdf5       arrays of HDF5
    tensors    arrays of safetensors and of torch
    onnx_models  ONNX models, with the data that lie beside them

Nothing that a file holds is executed, no name in it leads out of it, and what it says of its sizes is checked before
memory is taken.
"""
