"""Compiled loops (numba): no I/O, no state, no knowledge of methods."""
