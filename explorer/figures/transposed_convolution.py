"""How evenly the stamps of an upscaled picture fall, and which sizes a strided convolution cannot tell apart."""

from collections.abc import Sequence

import numpy as np

from explorer.figures import style
from explorer.figures.plot import Figure
from explorer.figures.style import GREY, HIGHLIGHT, NOISE, PREDICTION, SIGNAL, key, layout


def overlap_profile(counts: np.ndarray, even: np.ndarray, most: float) -> Figure:
    """Stamps per cell along one row, counts (W,), and in its middle the same for resize-then-convolve, even (W').

    most: the largest number there can be.
    """
    x_range, y_range = (-0.6, len(counts) - 0.4), (0, most * 1.2)
    fig = Figure(layout(x="output column, in the fullest row", y="stamps", x_range=x_range, y_range=y_range))
    fig.add_bar(
        x=np.arange(len(counts)),
        y=counts,
        marker={"color": SIGNAL},
        hovertemplate="column %{x}: %{y} stamps<extra></extra>",
        text=[f"{c:g}" for c in counts] if len(counts) <= 24 else None,
        textposition="inside",
        insidetextanchor="start",
        textangle=0,
    )
    x = np.arange(len(even)) + (len(counts) - len(even)) / 2
    fig.add_scatter(
        x=x,
        y=even,
        mode="lines",
        line={"color": PREDICTION, "width": 3, "shape": "hvh"},
        hovertemplate="resize, then convolve: %{y:.3g}<extra></extra>",
    )
    key(fig, ("transposed", SIGNAL), ("resize, then convolve", PREDICTION))
    fig.update_xaxes(tickmode="linear", dtick=1 if len(counts) <= 11 else 2 if len(counts) <= 20 else 5)
    fig.update_yaxes(tickmode="linear", dtick=1 if most <= 6 else 2 if most <= 12 else 5)
    return fig


def spectrum(frequency: np.ndarray, amplitude: np.ndarray, even: np.ndarray, stride: int) -> Figure:
    """Amplitudes over frequency, each (n,), of stamps far from the edges; they repeat every ``stride`` cells."""
    top = 1.25 * max(float(amplitude[1:].max()), 0.4)
    x_range, y_range = (0, 0.515), (-0.04 * top, top)
    fig = Figure(layout(x="frequency, cycles per output cell", y="amplitude", x_range=x_range, y_range=y_range))
    for name, values, colour in (("resize, then convolve", even, PREDICTION), ("transposed", amplitude, SIGNAL)):
        fig.add_bar(
            x=frequency[1:],
            y=values[1:],
            width=0.009,
            marker={"color": colour},
            hovertemplate=name + ": %{y:.3g} at %{x:.3f}<extra></extra>",
        )
    for k in range(1, stride // 2 + 1):
        ends = {"x0": k / stride, "x1": k / stride, "y0": 0, "y1": 1, "yref": "paper"}
        fig.add_shape(type="line", line={"color": GREY, "width": 1, "dash": "dot"}, **ends)
        side = {"xanchor": "right", "xshift": -5} if k / stride > 0.4 else {"xshift": 5}
        style.label(fig, k / stride, 0.95 * top, f"{k}/{stride}", GREY, **side)
    key(fig, ("transposed", SIGNAL), ("resize, then convolve", PREDICTION))
    fig.update_layout(barmode="overlay")
    fig.update_yaxes(nticks=4, tickformat="~g")
    return fig


def sizes(before: Sequence[int], after: Sequence[int], size: int, chosen: int, least: int) -> Figure:
    """The size of a picture before and after the forward convolution; those that come out as ``size`` in yellow.

    chosen: the size that the transposed convolution on the screen leads back to; least: that without out padding.
    """
    before_, after_ = np.array(before), np.array(after)
    same = after_ == size
    x_range, y_range = (before_[0] - 0.6, before_[-1] + 0.6), (0, after_.max() + 1)
    fig = Figure(layout(x="rows before the convolution", y="rows after it", x_range=x_range, y_range=y_range))
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
    fig.update_xaxes(tickmode="linear", dtick=1 if len(before_) <= 11 else 2 if len(before_) <= 20 else 5)
    fig.update_yaxes(tickmode="linear", dtick=1 if after_.max() <= 12 else 2)
    return fig
