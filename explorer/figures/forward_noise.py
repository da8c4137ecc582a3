"""Pixels and particles on their way to the bell, and how much of the picture each time keeps."""

import numpy as np
from skimage.measure import find_contours

from explorer.figures import style
from explorer.figures.plot import Figure
from explorer.figures.style import key

EDGES = np.linspace(-4, 4, 65)


def pixel_values(jump: np.ndarray, chain: np.ndarray) -> Figure:
    """How often each pixel value occurs: in the jump's picture (bars), in the chain's (steps), and under N(0, 1)."""
    centre, width = (EDGES[1:] + EDGES[:-1]) / 2, EDGES[1] - EDGES[0]
    fig = Figure(style.layout(x="pixel value", y="density", x_range=[-4, 4], y_range=[0, 0.85]))
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


def density(values: np.ndarray) -> np.ndarray:
    """The share of values in every bin, per unit of value; those beyond the edges count in the outer bins."""
    counts, edges = np.histogram(np.clip(values.ravel(), EDGES[0], EDGES[-1]), EDGES)
    return counts / values.size / np.diff(edges)


def amplitudes(signal: np.ndarray, noise: np.ndarray, t: int) -> Figure:
    """sqrt(alpha_bar) and sqrt(1 - alpha_bar) over all times, (T + 1,) each, with time t marked."""
    T = len(signal) - 1
    keep = style.thinned(0, T)
    fig = Figure(style.layout(x="time t", y="amplitude", x_range=[0, T], y_range=[0, 1.06]))
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
            marker=style.MARK,
            hovertemplate=f"{name} %{{y:.4f}} at t = %{{x}}<extra></extra>",
        )
    key(fig, ("signal √ᾱ", style.SIGNAL), ("noise √(1 − ᾱ)", style.NOISE))
    return fig


def moments(expected: np.ndarray, jumps: np.ndarray, chains: np.ndarray, spread: float) -> Figure:
    """Every pixel's mean over many draws, measured against the closed form, with two standard errors around it.

    expected, jumps, chains: (P,). spread: the standard error of such a mean.
    """
    fig = Figure(
        style.layout(x="mean by the closed form", y="mean of the draws", x_range=[-1.1, 1.1], y_range=[-1.3, 1.3])
    )
    ends = np.array([-1.1, 1.1])
    for side in (-2, 2):
        fig.add_scatter(
            x=ends,
            y=ends + side * spread,
            mode="lines",
            line={"color": style.GREY, "width": 1, "dash": "dot"},
            hoverinfo="skip",
        )
    for values, name, colour in ((jumps, "jumps", style.SIGNAL), (chains, "chains", style.GUIDANCE)):
        fig.add_scatter(
            x=expected,
            y=values,
            mode="markers",
            marker={"color": colour, "size": 5, "opacity": 0.7},
            hovertemplate=f"{name}: %{{y:.3f}}, closed form %{{x:.3f}}<extra></extra>",
        )
    key(fig, ("jumps", style.SIGNAL), ("chains", style.GUIDANCE), ("┄ two standard errors", style.GREY))
    return fig


def variances(expected: float, jumps: np.ndarray, chains: np.ndarray) -> Figure:
    """How the pixels' variances over many draws lie around the closed form's; jumps, chains: (P,)."""
    top = max(2 * expected, 1e-6)
    edges = np.linspace(0, top, 41)
    fig = Figure(style.layout(x="variance of a pixel", y="pixels", x_range=[0, top]))
    for values, name, colour in ((jumps, "jumps", style.SIGNAL), (chains, "chains", style.GUIDANCE)):
        counts, _ = np.histogram(np.clip(values, 0, top), edges)
        fig.add_bar(
            x=(edges[1:] + edges[:-1]) / 2,
            y=counts,
            width=top / 40,
            marker={"color": colour, "opacity": 0.55},
            hovertemplate=f"{name}: %{{y}} pixels near %{{x:.3g}}<extra></extra>",
        )
    fig.add_shape(
        type="line", x0=expected, x1=expected, y0=0, y1=1, yref="paper", line={"color": style.NOISE, "width": 3}
    )
    fig.update_layout(bargap=0, barmode="overlay")
    key(fig, ("jumps", style.SIGNAL), ("chains", style.GUIDANCE), ("closed form 1 − ᾱ", style.NOISE))
    return fig


def steps(beta: np.ndarray, t: int) -> Figure:
    """What each step takes from the mean and adds to the spread, on a logarithmic axis; beta: (T + 1,)."""
    T = len(beta) - 1
    keep = style.thinned(1, T)
    curves = (
        ("spread added √β", np.sqrt(beta), style.NOISE),
        ("mean lost", 1 - np.sqrt(1 - beta), style.SIGNAL),
    )
    low = min(-5.3, float(np.log10(curves[1][1][1:].min())) - 0.2)
    fig = Figure(style.layout(x="time t", y="in one step", x_range=[0, T], y_range=[low, 0.1]))
    for name, values, colour in curves:
        said = f"{name}: %{{y:.3g}} at t = %{{x}}<extra></extra>"
        fig.add_scatter(x=keep, y=values[keep], mode="lines", line={"color": colour, "width": 3}, hovertemplate=said)
        if t:
            fig.add_scatter(
                x=[t], y=[values[t]], mode="markers", marker=style.MARK, cliponaxis=False, hovertemplate=said
            )
    fig.update_yaxes(type="log", exponentformat="power", nticks=6)
    key(fig, *((name, colour) for name, _, colour in curves))
    fig.update_layout(margin={"l": 78})
    return fig


def entropies(times: np.ndarray, values: np.ndarray, t: int, value: float) -> Figure:
    """The particles' entropy over time, with that of N(0, 1) in the plane, which it comes to in the end."""
    end = float(np.log(2 * np.pi * np.e))
    low = min(-0.5, float(values.min()) - 0.2)
    fig = Figure(style.layout(x="time t", y="entropy (nats)", x_range=[0, int(times[-1])], y_range=[low, end + 0.4]))
    line = {"color": style.NOISE, "width": 2, "dash": "dot"}
    fig.add_shape(type="line", x0=0, x1=1, xref="paper", y0=end, y1=end, line=line)
    said = "entropy %{y:.3f} at t = %{x}<extra></extra>"
    fig.add_scatter(x=times, y=values, mode="lines", line={"color": style.SIGNAL, "width": 3}, hovertemplate=said)
    fig.add_scatter(x=[t], y=[value], mode="markers", marker=style.MARK, cliponaxis=False, hovertemplate=said)
    key(fig, ("the particles", style.SIGNAL), ("┄ N(0, 1): ln 2πe", style.NOISE))
    return fig


SHARES = (0.2, 0.5, 0.8, 0.95)  # of the particles, inside each contour


def contours(density: np.ndarray, extent: tuple[float, float, float, float]) -> list[np.ndarray]:
    """The lines that enclose `SHARES` of a density (H, W), first row at the bottom: each (P, 2) of x and y."""
    x_low, x_high, y_low, y_high = extent
    falling = np.sort(density.ravel())[::-1]
    within = np.cumsum(falling) / falling.sum()
    scale = np.array([(x_high - x_low) / (density.shape[1] - 1), (y_high - y_low) / (density.shape[0] - 1)])
    return [
        np.array([x_low, y_low]) + line[:, ::-1] * scale
        for share in SHARES
        for line in find_contours(density, falling[np.searchsorted(within, share)])
    ]
