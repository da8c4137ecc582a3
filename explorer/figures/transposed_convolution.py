"""How evenly the stamps of an upscaled picture fall, and which sizes a strided convolution cannot tell apart."""

from collections.abc import Sequence

import numpy as np

from explorer.figures import style
from explorer.figures.plot import Figure
from explorer.figures.style import GREY, HIGHLIGHT, NOISE, ON_COLOUR, PREDICTION, SIGNAL, key, layout, ticks


def overlap_profile(counts: np.ndarray, even: np.ndarray, most: float) -> Figure:
    """Stamps per cell along a row, counts (W,), and in its middle the same for resize-then-convolve, even (W').

    most: the largest number there can be.
    """
    x_range, y_range = (-0.6, len(counts) - 0.4), (0, most * 1.2)
    columns, few = np.arange(len(counts)), len(counts) <= 24
    fig = Figure(layout(x="output column", y="stamps along a row"))
    fig.add_bar(x=columns, y=counts, marker={"color": SIGNAL}, hovertemplate="column %{x}: %{y} stamps<extra></extra>")
    x = np.arange(len(even)) + (len(counts) - len(even)) / 2
    fig.add_scatter(
        x=x,
        y=even,
        mode="lines",
        line={"color": PREDICTION, "width": 3, "shape": "hvh"},
        hovertemplate="resize, then convolve: %{y:.3g}<extra></extra>",
    )
    fig.add_scatter(
        x=columns if few else [],
        y=np.zeros_like(counts) if few else [],
        mode="text",
        text=[f"{c:g}" for c in counts] if few else [],  # of no stamps, in the page's colour on the page
        textposition="top center",
        textfont={"color": ON_COLOUR},
        hoverinfo="skip",
    )
    key(fig, ("transposed", SIGNAL), ("resize, then convolve", PREDICTION))
    fig.update_xaxes(**ticks(x_range, 11, least=1))
    fig.update_yaxes(**ticks(y_range, 8, least=1))
    return fig


def spectrum(frequency: np.ndarray, amplitude: np.ndarray, even: np.ndarray, stride: int) -> Figure:
    """Amplitudes over frequency, each (n,), of stamps far from the edges; they repeat every ``stride`` cells."""
    top = 1.25 * max(float(amplitude[1:].max()), 0.4)
    x_range, y_range = (0, 0.515), (-0.04 * top, top)
    fig = Figure(layout(x="frequency, cycles per output cell", y="amplitude"))
    repeats, turns = np.arange(1, stride // 2 + 1), frequency * stride
    waves = (np.abs(turns - turns.round()) < 1e-9) | (np.maximum(amplitude, even) > 1e-9)
    waves[0] = False  # there stands the mean
    for name, values, colour in (("resize, then convolve", even, PREDICTION), ("transposed", amplitude, SIGNAL)):
        fig.add_bar(
            x=frequency[waves],
            y=values[waves],
            width=0.009,
            marker={"color": colour},
            hovertemplate=name + ": %{y:.3g} at %{x:.3f}<extra></extra>",
        )
    fig.add_scatter(
        x=[place for k in repeats for place in (k / stride, k / stride, None)],
        y=[height for _ in repeats for height in (0, 0.86 * top, None)],
        mode="lines",
        line={"color": GREY, "width": 1, "dash": "dot"},
        hoverinfo="skip",
    )
    fig.add_scatter(
        x=repeats / stride,
        y=np.full(len(repeats), 0.86 * top),
        mode="text",
        text=[f"{k}/{stride}" for k in repeats],
        textposition="top center",
        textfont={"color": GREY},
        cliponaxis=False,
        hoverinfo="skip",
    )
    key(fig, ("transposed", SIGNAL), ("resize, then convolve", PREDICTION))
    fig.update_layout(barmode="overlay")
    fig.update_xaxes(**ticks(x_range, 6))
    fig.update_yaxes(**ticks(y_range, 4))
    return fig


def sizes(before: Sequence[int], after: Sequence[int], size: int, chosen: int, least: int) -> Figure:
    """The size of a picture before and after the forward convolution; those that come out as ``size`` in yellow.

    chosen: the size that the transposed convolution on the screen leads back to; least: that without out padding.
    """
    before_, after_ = np.array(before), np.array(after)
    same = after_ == size
    x_range, y_range = (before_[0] - 0.6, before_[-1] + 0.6), (0, after_.max() + 1)
    fig = Figure(layout(x="rows before the convolution", y="rows after it"))
    fig.add_scatter(
        x=before_,
        y=after_,
        mode="markers",
        marker={
            "size": np.where(same, 17, 10),
            "color": np.where(same, HIGHLIGHT, SIGNAL),
            "line": {"color": np.where(before_ == chosen, NOISE, style.EDGE), "width": np.where(same, 2, 0)},
        },
        hovertemplate="%{x} rows become %{y}<extra></extra>",
    )
    for n in before_[same]:
        mine, extra = n == chosen, n - least
        fig.add_annotation(
            x=n,
            y=size,
            text=f"<b>out padding {extra}</b>" if mine else str(extra),
            showarrow=False,
            yshift=22 if mine else -22,  # apart, however near the points are
            font={"color": NOISE if mine else GREY},
        )
    fig.update_xaxes(**ticks(x_range, 11, least=1))
    fig.update_yaxes(**ticks(y_range, 13, least=1))
    return fig
