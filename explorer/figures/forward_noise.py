"""Pixels on their way to the bell, and how much of the picture each time keeps."""

import numpy as np
import plotly.graph_objects as go

from explorer.figures import style

EDGES = np.linspace(-4, 4, 65)


def pixel_values(jump: np.ndarray, chain: np.ndarray) -> go.Figure:
    """How often each pixel value occurs: in the jump's picture (bars), in the chain's (steps), and under N(0, 1)."""
    centre, width = (EDGES[1:] + EDGES[:-1]) / 2, EDGES[1] - EDGES[0]
    fig = style.figure(x="pixel value", y="density", x_range=[-4, 4], y_range=[0, 0.85])
    fig.add_bar(
        x=centre,
        y=density(jump),
        width=width,
        marker={"color": style.SIGNAL, "opacity": 0.55},
        hovertemplate="one jump: %{y:.3f} at %{x:.2f}<extra></extra>",
    )
    fig.add_scatter(
        x=centre,
        y=density(chain),
        mode="lines",
        line={"color": style.GREY, "width": 2, "shape": "hvh"},
        hovertemplate="step by step: %{y:.3f} at %{x:.2f}<extra></extra>",
    )
    x = np.linspace(-4, 4, 201)
    bell = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    fig.add_scatter(x=x, y=bell, mode="lines", line={"color": style.NOISE, "width": 3}, hoverinfo="skip")
    key(fig, ("one jump", style.SIGNAL), ("step by step", style.GREY), ("N(0, 1)", style.NOISE))
    fig.update_layout(bargap=0)
    return fig


def key(fig: go.Figure, *entries: tuple[str, str]) -> None:
    """What the colours mean, in one line above the axes, clear of every curve."""
    text = "&nbsp;&nbsp;&nbsp;".join(f'<span style="color:{colour}">{name}</span>' for name, colour in entries)
    fig.add_annotation(x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom", text=text, yshift=4)
    fig.update_annotations(showarrow=False)
    fig.update_layout(margin={"l": 64, "r": 28, "t": 32, "b": 52})


def density(values: np.ndarray) -> np.ndarray:
    """The share of values in every bin, per unit of value; those beyond the edges count in the outer bins."""
    counts, edges = np.histogram(np.clip(values.ravel(), EDGES[0], EDGES[-1]), EDGES)
    return counts / values.size / np.diff(edges)


def amplitudes(signal: np.ndarray, noise: np.ndarray, t: int) -> go.Figure:
    """sqrt(alpha_bar) and sqrt(1 - alpha_bar) over all times, (T + 1,) each, with time t marked."""
    T = len(signal) - 1
    keep = np.unique(np.append(np.linspace(0, T, min(T, 250) + 1).round().astype(int), t))
    fig = style.figure(x="time t", y="amplitude", x_range=[0, T], y_range=[0, 1.06])
    for values, name, colour in ((signal, "signal", style.SIGNAL), (noise, "noise", style.NOISE)):
        fig.add_scatter(
            x=keep,
            y=values[keep],
            mode="lines",
            line={"color": colour, "width": 3},
            hovertemplate=f"{name} %{{y:.3f}} at t = %{{x}}<extra></extra>",
        )
        fig.add_scatter(
            x=[t],
            y=[values[t]],
            mode="markers",
            cliponaxis=False,
            marker={"color": style.HIGHLIGHT, "size": 13, "line": {"color": style.EDGE, "width": 1.5}},
            hovertemplate=f"{name} %{{y:.4f}} at t = {t}<extra></extra>",
        )
    key(fig, ("signal √ᾱ", style.SIGNAL), ("noise √(1 − ᾱ)", style.NOISE))
    return fig
