"""One reading of one schedule, or of two, over time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explorer.figures import style
from explorer.figures.plot import Figure
from explorer.figures.style import Entry, key

LOW, HIGH = 1e-9, 1e7  # what log scales show
WIDEST = 26  # letters of a key's line: in a lecture four of these figures may share a row


@dataclass(frozen=True)
class Line:
    """One curve over the times 0..T: values (T + 1,), NaN where there is none."""

    values: np.ndarray
    name: str
    colour: str
    dash: str = "solid"


def over_time(
    lines: Sequence[Line],
    t: int,
    y: str,
    y_range: tuple[float, float],
    *,
    log: bool = False,
    names: Sequence[Entry] = (),
) -> Figure:
    """The curves with time t marked; on a log scale values outside [LOW, HIGH] are left out.

    y_range: fixed, in powers of ten on a log scale. names: what the colours mean, if not each line's own name.
    """
    T = len(lines[0].values) - 1
    keep = style.thinned(0, T)
    fig = Figure(style.layout(x="time t", y=y, x_range=[0, T], y_range=list(y_range)))
    for line in lines:
        values = np.where((line.values >= LOW) & (line.values <= HIGH), line.values, np.nan) if log else line.values
        said = f"{line.name} %{{y:.3g}} at t = %{{x}}<extra></extra>"
        fig.add_scatter(
            x=keep,
            y=values[keep],
            mode="lines",
            line={"color": line.colour, "width": 3, "dash": line.dash},
            hovertemplate=said,
        )
        if np.isfinite(values[t]):
            fig.add_scatter(
                x=[t],
                y=[values[t]],
                mode="markers",
                cliponaxis=False,
                marker=style.MARK | {"size": 11},
                hovertemplate=said,
            )
    if log:
        fig.update_yaxes(type="log", exponentformat="power", nticks=5)
    key(fig, *(names or [(line.name, line.colour, line.dash) for line in lines]), widest=WIDEST)
    fig.update_layout(margin={"l": 78})
    return fig
