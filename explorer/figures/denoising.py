"""Losses against t, what a network's parts do, and how it learns."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.figures import style
from explorer.figures.style import Entry, key

READINGS = {"eps": ("noise ε", style.NOISE), "x0": ("picture x₀", style.SIGNAL), "v": ("velocity v", style.PREDICTION)}
MARGIN = {"l": 84, "r": 20, "t": 40, "b": 52}


def curves(
    x: Sequence[float],
    lines: Mapping[str, tuple[Sequence[float], str, str]],
    at: float | None = None,
    *,
    x_name: str = "noise amount t",
    y_name: str = "mean squared error",
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    log_x: bool = False,
    names: Sequence[Entry] = (),
) -> go.Figure:
    """Curves over x with a line at ``at``.

    lines: name -> (values, colour, dash). y_range: powers of ten. names: the key, if not each line's own name.
    """
    fig = style.figure(x=x_name, y=y_name, x_range=x_range, y_range=y_range, margin=MARGIN)
    for name, (values, colour, dash) in lines.items():
        y = np.asarray(values, dtype=float)
        fig.add_scatter(
            x=list(x)[: len(y)],
            y=np.where(y > 0, y, np.nan),
            mode="lines+markers" if len(y) < 40 else "lines",
            line={"color": colour, "width": 3, "dash": dash},
            marker={"size": 6},
            hovertemplate=f"{name}: %{{y:.3g}} at %{{x:.4g}}<extra></extra>",
        )
    if at is not None:
        fig.add_vline(x=at, line={"color": style.GREY, "width": 2, "dash": "dot"})
    key(fig, *(names or [(name, colour, dash) for name, (_, colour, dash) in lines.items()]), **MARGIN)
    if log_x:
        fig.update_xaxes(type="log", exponentformat="power")
    fig.update_yaxes(type="log", exponentformat="power", nticks=6)
    return fig


def waves(values: np.ndarray, times: Sequence[int], t: int, told: int) -> go.Figure:
    """The sinusoidal embedding as a picture: one column a time, one row a feature; the true and the told t marked.

    values: (times, features).
    """
    features = values.shape[1]
    fig = style.figure(x="noise amount t", y="feature", x_range=[0, max(times)], y_range=[features - 0.5, -0.5])
    fig.add_heatmap(
        x=list(times),
        z=values.T,
        zmin=-1,
        zmax=1,
        colorscale=style.DIVERGING,
        showscale=False,
        hovertemplate="feature %{y} at t = %{x}: %{z:.2f}<extra></extra>",
    )
    for at, name, colour in ((t, "t", "black"), (told, "told", style.PREDICTION)):
        fig.add_vline(x=at, line={"color": colour, "width": 3})
        fig.add_annotation(
            x=at, y=1, yref="paper", yanchor="bottom", text=name, showarrow=False, font={"color": colour}
        )
    fig.update_annotations(selector={"text": "t"}, font={"color": None})
    fig.update_layout(margin=MARGIN)
    return fig


def channels(before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], groups: int) -> go.Figure:
    """Mean and deviation of every channel before and after group norm, the groups parted by lines.

    before, after: (means, deviations), (C,) each.
    """
    C = len(before[0])
    reach = 1.15 * float(max(np.abs(m).__add__(s).max() for m, s in (before, after)))
    fig = style.figure(
        x="channel", y="mean ± deviation", x_range=[-0.7, C - 0.3], y_range=[-reach, reach], margin=MARGIN
    )
    for (mean, std), name, colour, shift in (
        (before, "before", style.GREY, -0.15),
        (after, "after group norm", style.PREDICTION, 0.15),
    ):
        fig.add_scatter(
            x=np.arange(C) + shift,
            y=mean,
            mode="markers",
            marker={"color": colour, "size": 5},
            error_y={"array": std, "color": colour, "thickness": 1.6, "width": 0},
            hovertemplate=f"{name}, channel %{{x:.0f}}: mean %{{y:.2f}}<extra></extra>",
        )
    for g in range(1, groups):
        if C // groups > 1:
            fig.add_vline(x=g * C / groups - 0.5, line={"color": style.GREY, "width": 1, "dash": "dot"})
    key(fig, ("before", style.GREY), ("after group norm", style.PREDICTION), **MARGIN)
    return fig


ACTIVATION_COLOURS = {"ReLU": style.GREY, "GELU": style.PREDICTION, "SiLU": style.GUIDANCE}


def activations(x: np.ndarray, values: Mapping[str, np.ndarray], at: float, here: Mapping[str, float]) -> go.Figure:
    """The three curves, with the chosen place marked."""
    fig = style.figure(x="x", y="activation", x_range=[-4, 4], y_range=[-0.6, 4], margin=MARGIN)
    for name, y in values.items():
        fig.add_scatter(
            x=x,
            y=y,
            mode="lines",
            line={"color": ACTIVATION_COLOURS[name], "width": 3, "dash": "dash" if name == "ReLU" else "solid"},
            hovertemplate=f"{name}(%{{x:.2f}}) = %{{y:.3f}}<extra></extra>",
        )
        fig.add_scatter(
            x=[at],
            y=[here[name]],
            mode="markers",
            marker={"color": ACTIVATION_COLOURS[name], "size": 12, "line": {"color": style.EDGE, "width": 1.5}},
            hovertemplate=f"{name}({at:g}) = {here[name]:.4f}<extra></extra>",
        )
    key(fig, *((name, ACTIVATION_COLOURS[name]) for name in values), **MARGIN)
    return fig


def parts(names: Sequence[str], lengths: Sequence[float]) -> go.Figure:
    """Length of the gradient in every part of the network, from where the picture enters to where it leaves."""
    fig = style.figure(y="5 · gradient’s length", margin=MARGIN | {"b": 76})
    fig.add_bar(
        x=list(names), y=list(lengths), marker={"color": style.GUIDANCE}, hovertemplate="%{x}: %{y:.3g}<extra></extra>"
    )
    fig.update_xaxes(tickangle=-40)
    fig.update_yaxes(exponentformat="power", nticks=5)
    return fig


def learning(steps: Sequence[int], losses: Sequence[float], last: int, floor: float) -> go.Figure:
    """Loss against training step, and the floor that no network can go below."""
    name, least = "loss of recent batches", ("least possible", style.GREY, "dash")
    fig = curves(
        steps, {name: (losses, style.NOISE, "solid")}, x_name="training step", y_name="loss", x_range=(0, last),
        names=((name, style.NOISE), least),
    )  # fmt: skip
    fig.add_hline(y=floor, line={"color": style.GREY, "width": 2, "dash": "dash"})
    return fig
