"""One step as a sum of arrows, error against cost, and what guidance does to variety."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from explorer.figures import style
from explorer.figures.plot import Figure

NAMES = {
    "x": "the share of xₜ",
    "x0": "the share of x̂₀",
    "eps": "the share of ε̂",
    "z": "fresh noise z",
    "eps_next": "the share of ε̂ ahead",
    "x0_last": "the last x̂₀",
    "correction": "the correction",
}
COLOURS = {
    "x": style.SIGNAL,
    "x0": style.PREDICTION,
    "eps": style.NOISE,
    "z": style.GREY,
    "eps_next": style.GUIDANCE,
    "x0_last": style.GUIDANCE,
    "correction": style.HIGHLIGHT,
}
KINDS = {name: kind for kind, name in NAMES.items()}
CURVES = {
    "DDPM": style.GREY,
    "DDIM": style.GUIDANCE,
    "Euler": style.SIGNAL,
    "Euler ancestral": "#B08900",
    "Heun": style.PREDICTION,
    "DPM-Solver++ (2M)": style.NOISE,
    "UniPC": "#56B4E9",
}


def motion(
    terms: Sequence[tuple[str, np.ndarray]], x: np.ndarray, x0: np.ndarray, x_next: np.ndarray, times: tuple[int, int]
) -> Figure:
    """The terms (name, weight times vector) laid end to end from the origin: they lead to x_next.

    x, x0, x_next: where the particle is, where the denoiser thinks it will end, and where the step takes it, (2,).
    """
    ends = np.cumsum([np.zeros(2), *(vector for _, vector in terms)], axis=0)
    every = np.stack([*ends, x, x0, x_next])
    middle, half = (every.max(0) + every.min(0)) / 2, 0.62 * max(float(np.ptp(every, axis=0).max()), 0.4)
    wide = (2.6 if len(terms) < 3 else 1.5) * half  # on a phone the names need as much room as few arrows
    fig = Figure(style.layout(x_range=[middle[0] - wide, middle[0] + wide]))
    for (name, _), start, end in zip(terms, ends, ends[1:], strict=False):
        colour = COLOURS[KINDS[name]]
        fig.add_annotation(
            x=end[0], y=end[1], ax=start[0], ay=start[1], xref="x", yref="y", axref="x", ayref="y",
            arrowhead=2, arrowsize=1.2, arrowwidth=3, arrowcolor=colour, text="",
        )  # fmt: skip
        if np.hypot(*(end - start)) > 0.08 * half:
            where = (start + end) / 2
            fig.add_annotation(
                x=where[0],
                y=where[1],
                text=name,
                showarrow=False,
                font={"color": colour},
                xanchor="left",
                xshift=10,
                yshift=-14 if (end[0] - start[0]) * (end[1] - start[1]) > 0 else 14,
            )
    above = x[1] > x_next[1]  # the two may lie close together: their names stand on opposite sides
    # the arrows have their names on the right; the points have theirs on the left, 0 on the other side of the guess
    side, other = ("right", "left") if x0[0] > 0 else ("left", "right")
    for point, name, colour, symbol, place in (
        (np.zeros(2), "0", style.GREY, "cross-thin-open", f"{'top' if ends[1][1] <= 0 else 'bottom'} {other}"),
        (x, f"x at t = {times[0]} ", style.SIGNAL, "circle", f"{'top' if above else 'bottom'} left"),
        (x0, " x̂₀, the guess ", style.PREDICTION, "diamond", f"{'top' if x0[1] >= x[1] else 'bottom'} {side}"),
        (x_next, f"x at t = {times[1]} ", style.NOISE, "circle", f"{'bottom' if above else 'top'} left"),
    ):
        fig.add_scatter(
            x=[float(point[0])],
            y=[float(point[1])],
            mode="markers+text",
            text=[name],
            textposition=place,
            marker={"color": colour, "size": 11, "symbol": symbol, "line": {"width": 2, "color": colour}},
            hovertemplate=f"{name.strip()}: (%{{x:.3f}}, %{{y:.3f}})<extra></extra>",
        )
    fig.update_layout(
        uirevision="motion",
        margin={"l": 48, "r": 16, "t": 16, "b": 40},
        xaxis={"tickformat": "~g"},
        yaxis={"range": [middle[1] - half, middle[1] + half], "scaleanchor": "x", "tickformat": "~g"},
    )
    return fig


def cost(
    curves: Mapping[str, tuple[Sequence[tuple[int, float]], bool]],
    what: str,
    least: float | None,
    calls: tuple[float, float],
    powers: tuple[float, float],
) -> Figure:
    """Error against denoiser calls, both axes logarithmic.

    curves: title -> ((calls, error) of every walk, whether it draws noise: dashed). least: the floor, if there is one.
    calls: the range of the axis. powers: of ten, the range of the other.
    """
    fig = Figure(style.layout(x="denoiser calls", y=what))
    for title, (points, noisy) in curves.items():
        n, error = zip(*points, strict=True)
        fig.add_scatter(
            x=list(n),
            y=[e if e > 0 else None for e in error],
            mode="lines+markers",
            name=title,
            line={
                "color": CURVES.get(title, style.GREY),
                "width": 6 if title == "DDIM" else 2.5,
                "dash": "dash" if noisy else "solid",
            },
            marker={"size": 8},
            hovertemplate=f"{title}: %{{y:.2g}} for %{{x}} calls<extra></extra>",
        )
    if least is not None:
        fig.add_scatter(
            x=list(calls),
            y=[least] * 2,
            mode="lines",
            name="a fresh draw of the data",
            line={"color": style.GREY, "dash": "dot", "width": 2},
            hovertemplate="a fresh draw of the data: %{y:.2g}<extra></extra>",
        )
    fig.update_layout(
        uirevision=what,
        showlegend=True,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "font": {"size": 15}},
        xaxis={
            "type": "log",
            "range": [math.log10(calls[0]), math.log10(calls[1])],
            "tickvals": [5, 10, 20, 40, 80, 160, 320],
        },
        yaxis={"type": "log", "range": list(powers), "dtick": 1, "exponentformat": "power"},
        margin={"l": 80, "r": 16, "t": 70, "b": 52},
    )
    return fig


def diversity(
    scales: Sequence[float], curve: Sequence[tuple[float, float]], at: float, here: tuple[float, float], free: bool
) -> Figure:
    """The share of particles that end in the class, and their variety, against the scale in both conventions.

    curve: (share, variety) at every scale. at, here: the scale chosen, and the two at it. free: without a classifier,
    where 1 is no guidance and w is s - 1; a classifier's is none at 0.
    """
    most = max(*here, *(max(values) for scale, values in zip(scales, curve, strict=True) if scale >= min(1, at)))
    top = 1.55 if most < 1.5 else max(4.0, 1.1 * most)
    title = f"guidance scale s{' (w = s − 1)' * free}"
    fig = Figure(style.layout(x=title, y="share", x_range=[-0.3, 10.6], y_range=[0, top]))
    names = ("of the class", "of the class’s variety")
    for k, (name, colour) in enumerate(zip(names, (style.GUIDANCE, style.PREDICTION), strict=True)):
        y = [values[k] for values in curve]
        fig.add_scatter(
            x=list(scales),
            y=y,
            mode="lines+markers",
            line={"color": colour, "width": 3},
            marker={"size": 7},
            hovertemplate=f"{name}: %{{y:.2f}} at s = %{{x}}<extra></extra>",
        )
        fig.add_scatter(
            x=[at],
            y=[here[k]],
            mode="markers",
            marker=style.MARK,
            hovertemplate=f"{name}: %{{y:.3f}} at s = %{{x}}<extra></extra>",
        )
    none = 1 if free else 0
    line = {"color": style.GREY, "dash": "dot", "width": 2}
    fig.add_shape(type="line", x0=none, x1=none, y0=0, y1=1, yref="paper", line=line)
    style.label(fig, none, 0.95 * top, "no guidance", style.GREY, xshift=6)
    marks = [0, 2, 4, 6, 8, 10]
    style.key(fig, *zip(names, (style.GUIDANCE, style.PREDICTION), strict=True), l=72, r=16, b=76)
    fig.update_layout(
        uirevision=f"diversity {top}",
        xaxis={
            "tickvals": marks,
            "ticktext": [f"{s}<br>({s - 1})".replace("-", "−") if free else f"{s}" for s in marks],
            "tickangle": 0,
        },
        yaxis={"tickformat": ".0%"},
    )
    return fig
