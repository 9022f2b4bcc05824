"""Whole sequences on a GPU: step by step, as a CUDA graph, or in one launch."""
