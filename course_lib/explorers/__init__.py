"""Explorers: change a parameter, and see everything that is linked to it move.

Each function below returns a widget; as the last expression of a cell it shows itself. It needs a running kernel,
because what it shows is computed anew at each move (what can be computed beforehand belongs in a `scrubber`). The
`render_*` functions of the submodules draw the views, as text, without any widget.
"""

from .affine import affine_gaussian
from .convolution import noise_as_convolution
from .designer import schedule_designer
from .panel import Explorer
from .samplers import sampler_bench

__all__ = ["Explorer", "affine_gaussian", "noise_as_convolution", "sampler_bench", "schedule_designer"]
