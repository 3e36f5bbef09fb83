"""Every still figure of the course: image grids, curves, bars, histograms, points with ellipses, paths, fields.

Each function draws one figure and returns a `Picture`: the last expression of a cell shows it, `.show()` shows it
earlier, `.save(path)` writes it. Every picture needs an alternative text (`alt`): one sentence saying what a reader who
cannot see the figure should know. Images are given in [0, 1]; the library's own images live in [-1, 1], so write
`plotting.image_grid(plotting.as_pixels(x), alt=...)`. Arrays may be numpy arrays, torch tensors or nested lists.

Colours are those of Okabe and Ito, "Color Universal Design" (2008), told apart by colour-blind readers too; lines
also differ in their dashes. Nothing here touches pyplot or its global state.
"""

from .canvas import DASHES, PALETTE
from .charts import bars, curves, histograms, stacked_shares
from .images import image_grid, strip
from .picture import Beside, Picture, as_pixels, beside, save_sheet, tile
from .plane import heatmap, labelled_points, paths, ribbon, scatter, vector_field

__all__ = [
    "DASHES", "PALETTE", "Beside", "Picture", "as_pixels", "bars", "beside", "curves", "heatmap", "histograms",
    "image_grid", "labelled_points", "paths", "ribbon", "save_sheet", "scatter", "stacked_shares", "strip", "tile",
    "vector_field",
]  # fmt: skip
