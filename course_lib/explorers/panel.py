"""The widget side of an explorer: controls, views, and one drawing at a time however fast the controls move.

A slider sends a message for each of its moves. Were each one answered by a drawing, a fast hand would leave a queue of
them. Here a move only notes that a drawing is due; the kernel's event loop makes it `PAUSE` seconds later, from the
values that the controls have by then. So at most one drawing waits, and the last state is always drawn. Without a
running event loop (a plain script) a move is drawn at once.

Uses nothing that ipywidgets 7.7.1 and IPython 7.34 do not have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as widgets

PAUSE = 0.01  # seconds
Draw = Callable[[dict[str, Any]], Mapping[str, str]]
"""All values of the controls by name -> HTML of each view by name."""


class Explorer(widgets.VBox):
    """Controls with the views that follow them. `controls[name].value` may also be set by code; `views[name].value` is
    the HTML of a view.

    `shown` tells from the values which controls matter; the others are hidden.
    """

    def __init__(
        self,
        title: str,
        controls: Mapping[str, Any],
        draw: Draw,
        shown: Callable[[dict[str, Any]], set[str]] | None = None,
    ) -> None:
        self.title = title
        self.controls = dict(controls)
        self.drawings = 0  # how often the views were drawn
        self._draw, self._shown = draw, shown
        self._due: asyncio.TimerHandle | None = None
        first = draw(self.values)
        self.views = {name: widgets.HTML(content, layout=_layout()) for name, content in first.items()}
        self._hide()
        wrap = {"display": "flex", "flex_flow": "row wrap", "align_items": "flex-start"}
        panel = widgets.Box(list(self.controls.values()), layout=_layout(**wrap))
        pictures = widgets.Box(list(self.views.values()), layout=_layout(**wrap))
        super().__init__([panel, pictures], layout=_layout())
        self.add_class("course-explorer")
        pictures.add_class("course-explorer-views")
        for control in self.controls.values():
            control.observe(self._on_move, names="value")

    @property
    def values(self) -> dict[str, Any]:
        """The value of every control, by name."""
        return {name: control.value for name, control in self.controls.items()}

    def redraw(self) -> None:
        """Draw all views from the controls' values now: for code that moves a control and needs the picture at once."""
        if self._due is not None:
            self._due.cancel()
        self._due = None
        self.drawings += 1
        drawn = self._draw(self.values)
        self._hide()  # first: whoever sees the new pictures finds the controls that belong to them
        for name, content in drawn.items():
            self.views[name].value = content

    def _on_move(self, _change: Any) -> None:
        if self._due is not None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.redraw()
            return
        self._due = loop.call_later(PAUSE, self.redraw)

    def _hide(self) -> None:
        if self._shown is not None:
            shown = self._shown(self.values)
            for name, control in self.controls.items():
                control.layout.display = None if name in shown else "none"

    def __repr__(self) -> str:
        return f"Explorer: {self.title} ({', '.join(self.controls)})"


def _layout(**options: str) -> Any:
    return widgets.Layout(**{"max_width": "100%", "overflow": "visible", **options})


def slider(name: str, value: float, low: float, high: float, step: float = 0.05, form: str = ".2f") -> Any:
    """A slider for a real number."""
    return widgets.FloatSlider(
        value=value, min=low, max=high, step=step, description=name, readout_format=form, **_wide()
    )


def log_slider(name: str, value: float, low: float, high: float, form: str = ".3g") -> Any:
    """A slider for a positive number; `low`, `high` are powers of ten. It starts at the mark nearest `value`."""
    return widgets.FloatLogSlider(
        value=value, base=10, min=low, max=high, step=0.02, description=name, readout_format=form, **_wide()
    )


def whole(name: str, value: int, low: int, high: int) -> Any:
    """A slider for a whole number."""
    return widgets.IntSlider(value=value, min=low, max=high, description=name, **_wide())


def choice(name: str, options: list[str]) -> Any:
    """A menu of words; the first is chosen."""
    return widgets.Dropdown(options=options, value=options[0], description=name, **_wide())


def tick(name: str) -> Any:
    """A box to tick."""
    return widgets.Checkbox(value=False, description=name, indent=False, layout=_layout(width="auto"))


def _wide() -> dict[str, Any]:
    return {"style": {"description_width": "130px"}, "layout": widgets.Layout(width="360px", max_width="100%")}
