"""The binomial bars, the bell over them, and what lies between."""

import math

import numpy as np
import plotly.graph_objects as go

from explorer.figures import style


def bars_and_bell(pmf: np.ndarray, bell: np.ndarray, k: int, curve: tuple[np.ndarray, np.ndarray]) -> go.Figure:
    """Above: P(X = j) for every j with k highlighted, and the bell; below: bars minus bell.

    pmf, bell: shape (n + 1,) at j = 0..n. curve: the bell drawn finely, (x, density).
    """
    n = len(pmf) - 1
    x_range, top = (curve[0][0], curve[0][-1]), ceiling(max(pmf.max(), curve[1].max()) * 1.12)
    j = np.arange(n + 1)
    inside = (j >= x_range[0] - 1) & (j <= x_range[1] + 1)
    j, height, gap = j[inside], pmf[inside], (pmf - bell)[inside]
    colours = np.where(j == k, style.HIGHLIGHT, style.SIGNAL)
    few = len(j) <= 40
    fig = style.figure(y="probability", x_range=x_range, y_range=[0, top])
    fig.add_bar(
        x=j,
        y=height,
        marker={"color": colours, "line": {"color": style.EDGE, "width": np.where(j == k, 1.5, 0)}},
        hovertemplate="P(X = %{x}) = %{y:.4g}<extra></extra>",
        width=0.86 if few else 1,
    )
    fig.add_scatter(x=curve[0], y=curve[1], mode="lines", line={"color": style.NOISE, "width": 3}, hoverinfo="skip")
    fig.add_bar(
        x=j,
        y=gap,
        yaxis="y2",
        marker={
            "color": np.where(j == k, style.HIGHLIGHT, style.GREY),
            "line": {"color": style.EDGE, "width": np.where(j == k, 1.5, 0)},
        },
        hovertemplate="bar − bell at %{x}: %{y:.2g}<extra></extra>",
        width=0.86 if few else 1,
    )
    bound = ceiling(np.abs(pmf - bell).max() * 1.1)
    fig.update_layout(
        barmode="overlay",
        xaxis={"anchor": "y2", "title": {"text": "heads k"}, "dtick": 1 if few and x_range[1] < 24 else None},
        yaxis={"domain": [0.38, 1], "tickformat": "~g"},
        yaxis2=style.AXIS
        | {"domain": [0, 0.25], "range": [-bound, bound], "zeroline": True, "nticks": 4, "tickformat": "~g"}
        | {"title": {"text": "bar − bell", "standoff": 10}},
        margin={"l": 76, "r": 16, "t": 12, "b": 52},
    )
    if 0 <= k <= n and x_range[0] <= k <= x_range[1]:
        above = max(pmf[k], np.interp(k, *curve))
        fig.add_annotation(
            x=k, y=above, text=f"<b>P(X = {k}) = {pmf[k]:.4g}</b>", showarrow=False, yshift=14, font={"size": 17}
        )
    beside = np.argmax(curve[1]) + np.argmax(curve[1][np.argmax(curve[1]) :] < 0.75 * curve[1].max())
    style.label(fig, curve[0][beside], curve[1][beside], "the bell", style.NOISE, xshift=8, yshift=12)
    return fig


def window(n: int, mean: float, std: float) -> tuple[float, float]:
    """Heads shown: all of them while they are few (in steps, so that the axis rests while n moves), else the bell."""
    if n <= 50:
        return -0.7, next(end for end in (5, 10, 20, 35, 50) if n <= end) + 0.7
    return max(-0.7, mean - 4.5 * std), min(n + 0.7, mean + 4.5 * std)


def ceiling(value: float) -> float:
    """The next round number: 1, 1.5, 2, 3, 5, 7 times a power of ten, so that the axis rests while a slider moves."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 1.0
    return next(m * power for m in (1, 1.5, 2, 3, 5, 7, 10) if m * power >= value)
