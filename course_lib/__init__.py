"""Diffusion models from "flip some pixels" to stochastic differential equations: the library behind the course."""

__version__ = "0.1.0"
