"""Exercises of notebook 05: the four targets, preconditioning, the simple loss, sampling, averaging, diagnosis."""
