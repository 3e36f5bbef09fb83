"""Exercises of notebook 02: Gaussians are affine maps of standard noise."""
