"""The binomial bars, the bell over them, and what lies between."""

import math
from typing import Any

import numpy as np

from explorer.figures import style
from explorer.figures.plot import Figure


def bars_and_bell(pmf: np.ndarray, bell: np.ndarray, k: int, curve: tuple[np.ndarray, np.ndarray]) -> Figure:
    """Above: P(X = j) for every j with k highlighted, and the bell; below: bars minus bell.

    pmf, bell: shape (n + 1,) at j = 0..n. curve: the bell drawn finely, (x, density).
    """
    n = len(pmf) - 1
    x_range, top = (curve[0][0], curve[0][-1]), style.ceiling(max(pmf.max(), curve[1].max()) * 1.12)
    j = np.arange(n + 1)
    inside = (j >= x_range[0] - 1) & (j <= x_range[1] + 1)
    j, height, gap = j[inside], pmf[inside], (pmf - bell)[inside]
    colours = np.where(j == k, style.HIGHLIGHT, style.SIGNAL)
    few = len(j) <= 40
    fig = Figure(style.layout(y="probability"))
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
    bound = style.ceiling(np.abs(pmf - bell).max() * 1.1, (1, 2, 5, 10)) if curve[1].any() else 0.01
    fig.update_layout(
        uirevision="bars",
        barmode="overlay",
        xaxis={"anchor": "y2", "title": {"text": "heads k"}} | counted(x_range),
        yaxis={"domain": [0.38, 1]} | style.ticks((0, top), 5),
        yaxis2=style.AXIS
        | {"domain": [0, 0.25], "zeroline": True, "exponentformat": "e", **style.ticks((-bound, bound), 2)}
        | {"title": {"text": "bar − bell", "standoff": 10}},
        margin={"l": 76, "r": 16, "t": 12, "b": 52},
    )
    if 0 <= k <= n and x_range[0] <= k <= x_range[1]:
        near = np.abs(curve[0] - k) <= 0.1 * (x_range[1] - x_range[0])  # under the text the bell is no higher
        above = max(pmf[k], curve[1][near].max())
        across = (k - x_range[0]) / (x_range[1] - x_range[0])
        side = "left" if across < 0.2 else "right" if across > 0.8 else "center"  # so that it stays within the axes
        text = f"<b>P(X = {k}) = {pmf[k]:.4g}</b>"
        fig.add_annotation(
            x=k, y=above, text=text, showarrow=False, xanchor=side, align=side, yshift=14, font={"size": 17}
        )
    if not curve[1].any():  # no chance left: the bell has no width
        return fig
    broad = np.flatnonzero(curve[1] >= curve[1].max() - 0.25 * np.ptp(curve[1]))
    left = broad.mean() > 0.6 * len(curve[1])  # beside it, where there is room
    beside, where = (int(broad[0]), {"xanchor": "right", "xshift": -8}) if left else (int(broad[-1]), {"xshift": 8})
    style.label(fig, float(curve[0][beside]), float(curve[1][beside]), "the bell", style.NOISE, yshift=12, **where)
    return fig


def tail(pmf: np.ndarray, k: int, curve: tuple[np.ndarray, np.ndarray]) -> Figure:
    """The bars from k on in yellow, and the bell's share cut at k - 1/2, the left edge of k's bar.

    pmf: shape (n + 1,). curve: the bell drawn finely, (x, density).
    """
    x_range, top = (curve[0][0], curve[0][-1]), style.ceiling(max(pmf.max(), curve[1].max()) * 1.12)
    j = np.arange(len(pmf))
    inside = (j >= x_range[0] - 1) & (j <= x_range[1] + 1)
    j, height = j[inside], pmf[inside]
    few = len(j) <= 40
    name = "Chance of k heads or more, and the bell’s share of it"
    fig = Figure(style.layout(x="heads", y="probability", barmode="overlay", meta=name))
    fig.add_bar(
        x=j,
        y=height,
        marker={
            "color": np.where(j >= k, style.HIGHLIGHT, style.SIGNAL),
            "line": {"color": style.EDGE, "width": np.where((j >= k) & few, 1, 0)},
        },
        hovertemplate="P(X = %{x}) = %{y:.4g}<extra></extra>",
        width=1,
    )
    fig.add_scatter(x=curve[0], y=curve[1], mode="lines", line={"color": style.NOISE, "width": 3}, hoverinfo="skip")
    for cut, name, dash in ((k - 0.5, "k − ½", "solid"), (k, "k", "dot")):
        if x_range[0] <= cut <= x_range[1]:
            line = {"color": style.GREY, "width": 2, "dash": dash}
            fig.add_scatter(x=[cut, cut], y=[0, 0.9 * top], mode="lines", line=line, hoverinfo="skip")
            side = {"xanchor": "right", "xshift": -4} if cut < k else {"xanchor": "left", "xshift": 4}
            style.label(fig, cut, 0.9 * top, name, style.GREY, **side)
    fig.update_layout(uirevision="tail", xaxis=counted(x_range), yaxis=style.ticks((0, top), 5))
    return fig


def convergence(n: np.ndarray, curves: dict[str, tuple[np.ndarray, str]], at: int, values: dict[str, float]) -> Figure:
    """Distances between bars and bell against n, both axes logarithmic, the chosen n marked.

    curves: name -> (values at every n, colour); those of 0 are left out. values: the same names at n = ``at``.
    """
    fig = Figure(style.layout(x="flips n", y="distance", meta="Distance of bars and bell against the number of flips"))
    for place, (name, (y, colour)) in enumerate(curves.items()):
        y = np.where(y > 0, y, np.nan)
        fig.add_scatter(
            x=n,
            y=y,
            mode="lines",
            line={"color": colour, "width": 3, "dash": "dash" if name.startswith("Berry") else "solid"},
            hovertemplate=f"{name}: %{{y:.3g}} at n = %{{x}}<extra></extra>",
        )
        if values[name] > 0:
            fig.add_scatter(
                x=[at],
                y=[values[name]],
                mode="markers",
                marker=style.MARK,
                hovertemplate=f"{name}: {values[name]:.4g} at n = {at}<extra></extra>",
            )
        mark = "╌" if name.startswith("Berry") else "—"  # in the corner that no curve reaches
        style.label(fig, 0.02, 0.06 + 0.065 * place, f"{mark} {name}", colour, xref="paper", yref="paper")
    fig.update_layout(
        uirevision="convergence",
        xaxis={"type": "log", "range": [-0.05, 3.05], "tickvals": [1, 3, 10, 30, 100, 300, 1000]},
        yaxis={"type": "log", "range": [-4.6, 0.85], "dtick": 1, "exponentformat": "power"},
        margin={"l": 76, "r": 16, "t": 12, "b": 52},
    )
    return fig


def variance(measured: np.ndarray, expected: np.ndarray) -> Figure:
    """The particles' variance at every time (steps + 1,), of which every third has a dot, and the straight line it
    should follow."""
    t = np.arange(len(measured))
    top = style.ceiling(1.15 * max(expected[-1], 1e-12))
    fig = Figure(style.layout(x="time t", y="variance", x_range=[0, len(t) - 1]))
    fig.add_scatter(
        x=t,
        y=expected,
        mode="lines",
        line={"color": style.NOISE, "width": 3},
        hovertemplate="t s² = %{y:.3g}<extra></extra>",
    )
    fig.add_scatter(
        x=t[::3],
        y=measured[::3],
        mode="markers",
        marker={"color": style.SIGNAL, "size": 7},
        hovertemplate="measured %{y:.4g} at t = %{x}<extra></extra>",
    )
    middle = len(t) // 2
    style.label(fig, t[middle], expected[middle], "t s²", style.NOISE, xanchor="right", xshift=-6, yshift=14)
    style.label(fig, t[-1], 0, "measured", style.SIGNAL, xanchor="right", yshift=14)
    fig.update_yaxes(**style.ticks((0, top), 4))
    return fig


def window(n: int, mean: float, std: float) -> tuple[float, float]:
    """Heads shown: all of them while they are few, else those within 4.5 standard deviations of the mean and some more.

    In steps, so that the axis rests while n, and then p, moves.
    """
    if n <= 50 or std == 0:
        if n > 50:
            return (-5.7, 50.7) if mean == 0 else (n - 50.7, n + 5.7)
        return -0.7, next(end for end in (5, 10, 20, 35, 50) if n <= end) + 0.7
    step = math.ceil(2.25 * style.ceiling(std))  # between the middles of two windows: half of it is left on either side
    middle = n / 2 + step * round((mean - n / 2) / step)
    return max(-0.7, middle - 2.5 * step), min(n + 0.7, middle + 2.5 * step)


def counted(x_range: tuple[float, float]) -> dict[str, Any]:
    """An axis of heads, whose numbers stand clear of each other on a phone too."""
    return style.ticks(x_range, 12 if x_range[1] < 51 else 7, least=1)
