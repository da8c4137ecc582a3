"""How alike the words are, how hard they pull, and how guidance changes on the way."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from explorer.figures import style
from explorer.figures.plot import Figure

MARGIN = {"l": 92, "r": 20, "t": 40, "b": 84}
COLOURS = (style.GREY, style.NOISE, style.SIGNAL, style.PREDICTION)


def likeness(
    matrix: np.ndarray, names: Sequence[str], columns: Sequence[str] | None = None, *, x: str = "", y: str = ""
) -> Figure:
    """Cosines (n, m) between n things and others, of the same names or of those of the ``columns``, written in the
    cells where there is room."""
    columns = names if columns is None else columns
    n = max(len(names), len(columns))
    written = [[f"{value:z.2f}".replace("-", "−") for value in row] for row in matrix]
    margin = MARGIN | {"t": 16, "l": 92 + 24 * bool(y), "b": 84 + 24 * bool(x)}
    fig = Figure(style.layout(x=x, y=y, margin=margin, uirevision=n))
    fig.add_heatmap(
        z=matrix,
        zmin=-1,
        zmax=1,
        colorscale=style.DIVERGING,
        showscale=n > 10,  # else the numbers stand in the cells
        colorbar={"thickness": 12, "tickvals": [-1, 0, 1], "title": {"text": "cosine"}},
        customdata=[[f"{a} and {b}" for b in columns] for a in names],
        hovertemplate="%{customdata}: %{z:.3f}<extra></extra>",
        xgap=int(n <= 24),
        ygap=int(n <= 24),
        **({"text": written, "texttemplate": "%{text}", "textfont": {"color": "#111"}} if n <= 10 else {}),
    )

    def ticks(said: Sequence[str], most: int) -> dict[str, list[Any]]:
        every = max(1, -(-len(said) // most))
        return {"tickvals": list(range(0, len(said), every)), "ticktext": [short(name) for name in said[::every]]}

    fig.update_xaxes(**ticks(columns, 24), tickangle=-40)
    fig.update_yaxes(**ticks(names, 12), autorange="reversed")
    return fig


def short(name: str) -> str:
    return name if len(name) <= 10 else f"{name[:9]}…"


PULLS = {"of the guess x̂₀": style.PREDICTION, "of the noise ε̂": style.NOISE}


def ascent(likeness: Sequence[float], seen: Sequence[float] | None, drawn: float) -> Figure:
    """Cosines with a sentence at every move: of the whole picture, of crops of it, and of one that diffusion drew."""
    least = min(0.0, *likeness, *(seen or [0.0]), drawn)
    moves = list(range(len(likeness)))
    fig = Figure(
        style.layout(x="move", y="cosine with the sentence", x_range=[0, max(moves)], y_range=[1.1 * least, 1.05])
    )
    entries = [("the picture", style.PREDICTION, list(likeness), "solid")]
    entries += [] if seen is None else [("what is looked at", style.NOISE, list(seen), "dot")]
    entries += [("drawn by diffusion", style.SIGNAL, [drawn] * len(moves), "dash")]
    for name, colour, values, dash in entries:
        fig.add_scatter(
            x=moves, y=values, mode="lines", line={"color": colour, "width": 3, "dash": dash},
            hovertemplate=f"{name}, move %{{x}}: %{{y:.3f}}<extra></extra>",
        )  # fmt: skip
    style.key(fig, *((name, colour) for name, colour, *_ in entries), l=92, b=56)
    return fig


def dream(values: Sequence[float], what: str, *, share: bool = False) -> Figure:
    """What grows, a number of at least 0, at every move; a share has 0 to 1 for its axis."""
    most = 1.0 if share else max(values) or 1.0
    fig = Figure(style.layout(x="move", y=what, x_range=[0, len(values) - 1], y_range=[0, 1.05 * most]))
    fig.add_scatter(
        x=list(range(len(values))), y=list(values), mode="lines", line={"color": style.PREDICTION, "width": 3},
        hovertemplate=f"{what}, move %{{x}}: %{{y:.4g}}<extra></extra>",
    )  # fmt: skip
    return fig


def pull(times: Sequence[int], guess: Sequence[float], noise: Sequence[float], T: int) -> Figure:
    """How far apart the answers with and without words are at every step, from noise on the left."""
    most = max(*guess, *noise) or 1.0
    fig = Figure(
        style.layout(
            x="t, from noise to picture", y="pull of the words", x_range=[T * 1.02, -T * 0.02], y_range=[0, 1.1 * most]
        )
    )
    for (name, colour), sizes in zip(PULLS.items(), (guess, noise), strict=True):
        fig.add_scatter(
            x=list(times),
            y=list(sizes),
            mode="lines+markers",
            line={"color": colour, "width": 3},
            marker={"size": 7},
            hovertemplate=f"pull {name} at t = %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    style.key(fig, *PULLS.items(), l=92, b=56)
    return fig


def scales(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], T: int) -> Figure:
    """The guidance scale over the run, one stepped curve each: (times, scales)."""
    least, most = (f(f(values) for _, values in curves.values()) for f in (min, max))
    fig = Figure(
        style.layout(
            x="t, from noise to picture", y="guidance scale s", x_range=[T * 1.02, -T * 0.02],
            y_range=[min(0, 1.1 * least), 1.1 * most + 0.1], margin=MARGIN | {"b": 56},
        )
    )  # fmt: skip
    for (name, (times, values)), colour in zip(curves.items(), COLOURS, strict=True):
        fig.add_scatter(
            x=list(times),
            y=list(values),
            mode="lines",
            line={"color": colour, "width": 3, "dash": "dash" if colour == style.GREY else "solid"},
            hovertemplate=f"{name}: s = %{{y:.3g}} at t = %{{x:.0f}}<extra></extra>",
        )
    style.key(fig, *zip(curves, COLOURS, strict=True), l=92, b=56)
    return fig
