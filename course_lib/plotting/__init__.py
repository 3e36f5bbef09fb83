"""Every still figure of the course: image grids, curves, bars, histograms, points with ellipses, paths, fields.

Each function draws one figure and returns a `Picture`: the last expression of a cell shows it, `.show()` shows it
earlier, `.save(path)` writes it. Every picture needs an alternative text (`alt`): one sentence saying what a reader who
cannot see the figure should know. Images are given in [0, 1]; the library's own images live in [-1, 1], so write
`plotting.image_grid(plotting.to_unit(x), alt=...)`. Arrays may be numpy arrays, torch tensors or nested lists.

Colours are those of Okabe and Ito, "Color Universal Design" (2008), told apart by colour-blind readers too; lines
also differ in their dashes. Nothing here touches pyplot or its global state.
"""

from .canvas import DASHES, PALETTE
from .charts import bars, curves, histograms
from .images import image_grid, strip
from .labelled import labelled_points
from .picture import Beside, Picture, beside, save_sheet, tile, to_unit
from .plane import heatmap, paths, scatter, vector_field
from .ribbon import ribbon
from .shares import stacked_shares

__all__ = [
    "DASHES", "PALETTE", "Beside", "Picture", "bars", "beside", "curves", "heatmap", "histograms", "image_grid",
    "labelled_points", "paths", "ribbon", "save_sheet", "scatter", "stacked_shares", "strip", "tile", "to_unit",
    "vector_field",
]  # fmt: skip
