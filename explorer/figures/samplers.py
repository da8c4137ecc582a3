"""Where the denoiser pulls every point of the plane at one time."""

import numpy as np
import plotly.graph_objects as go

from explorer.figures import style


def pull(
    grid: np.ndarray, arrows: np.ndarray, density: np.ndarray, points: np.ndarray, extent: tuple[float, ...], title: str
) -> go.Figure:
    """Arrows over the noised density, with the particles of that time.

    grid: where the arrows start, (A, 2). arrows: (A, 2). density: (H, W), first row at the bottom. points: (N, 2).
    """
    x_low, x_high, y_low, y_high = extent
    fig = style.figure(x_range=[x_low, x_high], y_range=[y_low, y_high])
    fig.add_heatmap(
        z=density,
        x=np.linspace(x_low, x_high, density.shape[1]),
        y=np.linspace(y_low, y_high, density.shape[0]),
        colorscale=[[0, "rgba(138,143,152,0)"], [1, "rgba(138,143,152,0.55)"]],
        showscale=False,
        hoverinfo="skip",
        zsmooth="best",
    )
    fig.add_scatter(
        x=points[:, 0], y=points[:, 1], mode="markers", marker={"color": style.SIGNAL, "size": 4}, hoverinfo="skip"
    )
    gap = np.full(len(grid), None)
    ends = grid + arrows
    fig.add_scatter(
        x=np.stack([grid[:, 0], ends[:, 0], gap], 1).ravel(),
        y=np.stack([grid[:, 1], ends[:, 1], gap], 1).ravel(),
        mode="lines+markers",
        line={"color": style.PREDICTION, "width": 1.6},
        marker={
            "symbol": "arrow",
            "angleref": "previous",
            "color": style.PREDICTION,
            "size": np.tile([0, 8, 0], len(grid)),
            "line": {"width": 0},
        },
        hoverinfo="skip",
    )
    axis = {"showticklabels": False, "ticks": "", "showline": True, "mirror": True, "linewidth": 1}
    fig.update_layout(
        margin={"l": 8, "r": 8, "t": 34, "b": 8},
        title={"text": title, "x": 0.5, "xanchor": "center", "y": 0.985, "yanchor": "top", "font": {"size": 16}},
        xaxis=axis,
        yaxis=axis | {"scaleanchor": "x", "constrain": "domain"},
    )
    fig.update_xaxes(constrain="domain")
    return fig
