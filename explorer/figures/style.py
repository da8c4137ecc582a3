"""How every figure looks: the project's colours and one quiet layout. Knows no Gradio."""

import math
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.figures.plot import Figure

SIGNAL = "#0072B2"
NOISE = "#D55E00"
PREDICTION = "#009E73"
GUIDANCE = "#CC79A7"
HIGHLIGHT = "#F0E442"
EDGE = "#4D4400"  # the dark edge of a highlight
GREY = "#8A8F98"  # readable on the light and on the dark page
MARK = {"color": HIGHLIGHT, "size": 13, "line": {"color": EDGE, "width": 1.5}}  # of a point that is looked at
ON_COLOUR = "#FEFEFE"  # text on a bar
# Of the same hues, what can be read as text (AA, 4.5 to 1): on the dark page, where curves take it too; on the light.
ON_DARK = {SIGNAL: "#3F98CB", ON_COLOUR: "#14161A"}
TEXT_ON_LIGHT = {NOISE: "#B84F00", PREDICTION: "#007A59", GUIDANCE: "#A84A7E", GREY: "#6B717B"}
DIVERGING = [[0, SIGNAL], [0.5, "#FFFFFF"], [1, NOISE]]

AXIS: dict[str, Any] = {"showgrid": False, "zeroline": False, "ticks": "outside", "ticklen": 4, "automargin": False}


def layout(
    *,
    x: str = "",
    y: str = "",
    x_range: Sequence[float] | None = None,
    y_range: Sequence[float] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Of a figure with titled axes; ranges are fixed when given, so that a moving slider does not move the axes.

    Text and axis colours come from the page (light or dark) when the figure is drawn.
    """

    def axis(title: str, limits: Sequence[float] | None) -> dict[str, Any]:
        fixed = {} if limits is None else {"range": limits}  # of a range that is null plotly.js draws no second figure
        return AXIS | {"title": {"text": title, "standoff": 10}} | fixed

    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 64, "r": 16, "t": 16, "b": 52},
        "showlegend": False,
        "bargap": 0.08,
        "hovermode": "closest",
        "dragmode": "zoom",
        "xaxis": axis(x, x_range),
        "yaxis": axis(y, y_range),
        **more,
    }


def ceiling(value: float, steps: Sequence[float] = (1, 1.5, 2, 3, 5, 7, 10)) -> float:
    """The next round number, one of ``steps`` times a power of ten, so that the axis rests while a slider moves."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(m * power for m in steps if m * power >= value)


def ticks(limits: Sequence[float], most: int, least: float = 0) -> dict[str, Any]:
    """An axis from limits[0] to limits[1] with about ``most`` ticks or fewer, round numbers apart, at least ``least``.

    Told so, the page moves them itself (`components/plot_moves.js`); where plotly chooses, plotly has to draw.
    """
    apart = max(least, ceiling((limits[1] - limits[0]) / most, (1, 2, 5, 10)))
    return {"range": limits, "tickmode": "linear", "dtick": apart, "tickangle": 0}


def thinned(first: int, last: int, most: int = 250, near: int = 12) -> np.ndarray:
    """Of the places first..last those that are shown: ``most`` evenly, both ends among them, and at each end all of
    the first ``near``, where a curve may be steep."""
    evenly = np.linspace(first, last, min(most, last - first + 1))
    ends = np.arange(near)
    places = np.concatenate([evenly, first + ends, last - ends]).round().astype(int)
    return np.unique(places.clip(first, last))


WIDEST = 34  # letters of a key's line: what a phone has room for
Entry = tuple[str, str] | tuple[str, str, str]  # name, colour, and the dash where it tells two lines apart


def key(fig: go.Figure | Figure, *entries: Entry, widest: int = WIDEST, **margin: int) -> None:
    """What the colours and dashes mean, above the axes, clear of every curve; ``widest`` letters a line at most."""
    lines, letters = [[]], 0
    for name, colour, *dash in entries:
        for part in wrap("┄ " * (dash not in ([], ["solid"])) + name, widest):
            letters += len(part) + 3
            if lines[-1] and letters > widest + 3:
                lines.append([])
                letters = len(part) + 3
            lines[-1].append(f'<span style="color:{colour}">{part}</span>')
    text = "<br>".join("&nbsp;&nbsp;&nbsp;".join(line) for line in lines)
    where = {"x": 0, "y": 1, "xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "bottom", "yshift": 4}
    fig.add_annotation(text=text, showarrow=False, align="left", **where)
    top = max(16 + 20 * len(lines), margin.pop("t", 0))
    fig.update_layout(margin={"l": 64, "r": 28, "t": top, "b": 52} | margin)


def figure(**options: Any) -> go.Figure:
    """An empty figure with this `layout`."""
    return go.Figure(layout={"template": "none"} | layout(**options))


def label(fig: go.Figure | Figure, x: float, y: float, text: str, colour: str, **where: Any) -> None:
    """Write beside a curve what it is, instead of a legend."""
    fig.add_annotation(x=x, y=y, text=text, font={"color": colour}, **({"showarrow": False, "xanchor": "left"} | where))
