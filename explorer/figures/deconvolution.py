"""How much of each pattern a blur lets through."""

import numpy as np

from explorer.figures import style
from explorer.figures.plot import Figure

FLOOR = 1e-6
MOST = 400  # points of a drawn curve, but for its ends


def gains(values: np.ndarray, levels: dict[str, tuple[float, str]], *, x: str) -> Figure:
    """Gains in falling order on a log axis, and levels as lines: {what it says: (gain, colour)}."""
    fig = Figure(style.layout(x=x, y="gain", x_range=[0, len(values)], y_range=[np.log10(FLOOR), 0.3]))
    keep = style.thinned(0, len(values) - 1, MOST, near=MOST // 4)  # the cliff at the end in full
    fig.add_scatter(
        x=keep + 1,
        y=np.maximum(values[keep], FLOOR / 10),
        mode="lines",
        line={"color": style.SIGNAL, "width": 3},
        hovertemplate="pattern %{x}: gain %{y:.3g}<extra></extra>",
    )
    shown = {text: level for text, level in levels.items() if level[0] >= FLOOR}
    for place, (text, (level, colour)) in enumerate(shown.items()):
        fig.add_scatter(
            x=[0, len(values)],
            y=[level, level],
            mode="lines",
            line={"color": colour, "width": 2, "dash": "dash"},
            hovertemplate=f"{text}: %{{y:.3g}}<extra></extra>",
        )
        # in the corner that neither the falling curve nor a level reaches
        style.label(fig, 0.02, 0.07 + 0.09 * place, f"╌ {text}", colour, xref="paper", yref="paper")
    fig.update_layout(uirevision=x, margin={"l": 76})
    fig.update_yaxes(type="log", exponentformat="power", dtick=1)
    return fig
