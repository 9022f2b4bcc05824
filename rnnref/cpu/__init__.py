"""Loops over whole sequences in NumPy, a path that `rnnref.run` can take."""
