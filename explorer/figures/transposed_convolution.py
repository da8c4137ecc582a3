"""How many stamps fall on each cell of an upscaled picture."""

import numpy as np
import plotly.graph_objects as go

from explorer.figures.style import GREY, SIGNAL, figure


def overlap_profile(counts: np.ndarray, most: float) -> go.Figure:
    """Stamps per cell along one row, counts (W,); ``most`` is the largest number there can be."""
    fig = figure(
        x="output column, in the fullest row",
        y="stamps",
        x_range=(-0.6, len(counts) - 0.4),
        y_range=(0, most * 1.15),
    )
    fig.add_bar(
        x=np.arange(len(counts)),
        y=counts,
        marker={"color": SIGNAL},
        hovertemplate="column %{x}: %{y} stamps<extra></extra>",
        text=[f"{c:g}" for c in counts],
        textposition="outside",
        textfont={"color": GREY},
        cliponaxis=False,
    )
    fig.update_xaxes(tickmode="linear", dtick=1 if len(counts) <= 20 else 5)
    fig.update_yaxes(tickmode="linear", dtick=1 if most <= 6 else 2 if most <= 12 else 5)
    return fig
