"""A grid of two settings against each other, every picture from the same noise: what does each of them change?"""

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from core import checks
from core.style import style_of
from explorer import frame, models
from explorer.components.progress import Progress
from explorer.components.sheet import Cell, Sheet
from explorer.formulas import counted, display
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import Pace
from explorer.settings import parse
from explorer.tabs.text_to_image import draw
from explorer.tabs.text_to_image.records import address, sampler
from explorer.tabs.text_to_image.settings import (
    DRAW,
    GRID,
    WORD,
    Settings,
    checked,
    ended,
    neighbour_correlation,
    opens,
    pressing,
    read,
    style_line,
    to_bytes,
    walk,
    without,
)

if TYPE_CHECKING:
    pass

MOST = 6  # values of one setting
OURS = {
    "guidance": "0, 1, 3, 6, 12",
    "steps": "2, 5, 10, 20",
    "sampler": "ddim, euler, heun, dpmpp_2m, unipc",
    "seed": "0, 1, 2, 3",
    "style": "0, 0.5, 1, 2",
}


@dataclass(frozen=True)
class Square:
    """One place of the grid: its settings, and what was drawn there, uint8 (H, W, 3)."""

    settings: Any
    pixels: np.ndarray
    check: checks.Check
    seconds: float


def values(s: Settings, axis: str, written: str) -> tuple[Any, ...]:
    """What an axis is to go through, from the text typed for it, or the usual values if there is none.

    Raises: ValueError naming the value that does not fit, and what would.
    """
    if axis == WORD and not written.strip():
        first = s.prompt.split()[0] if s.prompt.split() else ""
        written = ", ".join(dict.fromkeys([first, "blue", "green", "yellow"]))
    parts = [part.strip() for part in (written.strip() or OURS[axis]).split(",") if part.strip()]
    if not 1 <= len(parts) <= MOST:
        raise ValueError(f"an axis of the grid takes 1 to {MOST} values with commas between, got {len(parts)}")
    if axis == WORD:
        if not word(parts[0]).search(s.prompt):
            raise ValueError(f"the first word of the list must stand in the prompt {s.prompt!r}, got {parts[0]!r}")
        return tuple(parts)
    if axis == "sampler":
        return tuple(parse(Settings, {axis: sampler(part)}).sampler for part in parts)
    return tuple(getattr(parse(Settings, {axis: _number(part)}), axis) for part in parts)


def _number(written: str) -> float | str:
    try:
        return float(written)
    except ValueError:
        return written


def axes(s: Settings) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The values across and down. Raises: ValueError if both axes are the same setting, or a value does not fit."""
    if s.x == s.y:
        raise ValueError(f"choose two different settings for the grid, got {s.x} twice")
    return values(s, s.x, s.across), values(s, s.y, s.down)


def word(written: str) -> re.Pattern[str]:
    """Finds a word, and not the same letters within another."""
    return re.compile(rf"(?<!\w){re.escape(written)}(?!\w)")


def at(s: Settings, axis: str, value: Any, first: Any) -> Settings:
    """The same settings with one value of an axis; a word takes the place of the ``first`` of its list."""
    if axis == WORD:
        return replace(s, prompt=word(first).sub(lambda _: value, s.prompt))
    return replace(s, **{axis: value})


def legible(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def squares(s: Settings) -> list[list[Settings]]:
    """The settings of every picture, row by row."""
    across, down = axes(s)
    base = replace(s, view=DRAW, batch=1, x=Settings.x, y=Settings.y, across="", down="")
    table = [[at(at(base, s.x, x, across[0]), s.y, y, down[0]) for x in across] for y in down]
    if "style" in (s.x, s.y) and not any(style_of(cell.prompt)[0] for row in table for cell in row):
        raise ValueError(f"wanted a thing and a style in the prompt, such as 'robot, blob style', got {s.prompt!r}")
    return table


def stream(s: Settings) -> Iterator[View | None]:
    """A View for every picture that is done, and now and then one for the progress in between."""
    across, down = axes(s)
    table = [cell for row in squares(s) for cell in row]
    total, done = sum(cell.steps for cell in table), 0
    model = yield from read(s, formula(s))
    side = min(draw.pixels_of(model, s), draw.FRAME)
    head = {"across": (s.x, tuple(map(legible, across))), "down": (s.y, tuple(map(legible, down))), "side": side}
    yield View({"sheet": Sheet(**head)}, formula(s), None, waiting(len(table)), {})
    pace = Pace()
    made: list[Square] = []
    cells: list[Cell] = []
    for i, cell in enumerate(table):
        steps = []
        cell_began = time.perf_counter()
        for step in walk(model, cell, size=draw.pixels_of(model, cell)):
            steps.append(step)
            done += 1
            if not pace.due():
                yield None
                continue
            doing = f"picture {i + 1} of {len(table)}, step {len(steps)} of {cell.steps}"
            yield View(
                {"progress": Progress(done, total, doing, pace.left(done, total))},
                formula(s),
                None,
                waiting(len(table)),
                {},
            )
        picture = model.decode(steps[-1].x_next)
        seconds = time.perf_counter() - cell_began
        made.append(Square(cell, to_bytes(picture[0]), checked(model, steps, cell.sampler), seconds))
        reduced = np.round((draw.sheet(picture) + 1) * 127.5).astype(np.uint8)
        note = f"{s.x} {legible(across[i % len(across)])}, {s.y} {legible(down[i // len(across)])}"
        cells.append(Cell(i // len(across), i % len(across), reduced, address(cell), note))
        if i + 1 < len(table):
            yield View(
                {
                    "sheet": Sheet(**head, cells=(cells[-1],), start=i),
                    "progress": Progress(done, total, f"picture {i + 1} of {len(table)}", pace.left(done, total)),
                },
                formula(s),
                None,
                waiting(len(table)),
                {},
            )
    numbers = measured(s, made, across, down)
    yield View(
        {
            "progress": ended(s, model, f"{counted(len(made), 'picture')}, {counted(done, 'step')},", pace.spent),
            "sheet": Sheet(**head, cells=tuple(cells)),
        },
        formula(s),
        frame.weakest(*(one.check for one in made)),
        notice(s, numbers),
        numbers,
    )


def measured(s: Settings, made: list[Square], across: tuple, down: tuple) -> dict[str, Any]:
    """The numbers of the grid: what every picture is, and how far pictures beside and below each other differ."""
    pixels = np.stack([one.pixels for one in made]).astype(np.float64) / 255
    table = pixels.reshape(len(down), len(across), *pixels.shape[1:])

    def apart(axis: int) -> float | None:
        return float(np.abs(np.diff(table, axis=axis)).mean()) if table.shape[axis] > 1 else None

    return {
        "model": models.name(s.model),
        "across": {"setting": s.x, "values": list(across)},
        "down": {"setting": s.y, "values": list(down)},
        "change_across": apart(1),
        "change_down": apart(0),
        "pictures": [
            {
                "prompt": one.settings.prompt,
                "guidance": one.settings.guidance,
                "style": one.settings.style,
                "steps": one.settings.steps,
                "sampler": one.settings.sampler,
                "seed": one.settings.seed,
                "mean": one.pixels.mean((0, 1)).tolist(),
                "neighbour_correlation": neighbour_correlation(one.pixels),
                "sha256": hashlib.sha256(one.pixels.tobytes()).hexdigest(),
                "seconds": round(one.seconds, 3),
            }
            for one in made
        ],
    }


def formula(s: Settings) -> str:
    """Raises: ValueError as `squares`."""
    if "seed" in (s.x, s.y):
        noise = r"x_T\sim\mathcal N(0,\mathbf I)\text{, another for each seed}"
    else:
        noise = rf"x_T\sim\mathcal N(0,\mathbf I)\text{{ of seed {s.seed}, everywhere}}"
    other = without(s)
    guide = rf"\hat\epsilon={other}+s\,(\epsilon_{{\text{{words}}}}-{other}),\quad w=s-1"
    return display(noise, guide, style_line_of(s))


def style_line_of(s: Settings) -> str:
    """`style_line` where a picture of the grid presses a style."""
    some = next((cell for row in squares(s) for cell in row if pressing(cell)), None)
    if some is None:
        return ""
    return style_line(some, r"\max(w,0)", k=r"k\text{ as the headings say}" if "style" in (s.x, s.y) else "")


def waiting(many: int) -> str:
    return (
        f"**{many}** pictures, from the same noise wherever the seed is the same: only what the headings say differs."
    )


def notice(s: Settings, numbers: dict[str, Any]) -> str:
    a, b = numbers["change_across"], numbers["change_down"]
    if a is None or b is None:
        only = a if b is None else b
        if only is None:
            return "One picture alone: give an axis several values, and see what it changes."
        return f"From one picture to the next a pixel changes by **{100 * only:.1f} %** of black to white on average."
    more, less = ((s.x, a), (s.y, b)) if a >= b else ((s.y, b), (s.x, a))
    return (
        f"One value on, a pixel changes by **{100 * a:.1f} %** of black to white across ({s.x}) and by "
        f"**{100 * b:.1f} %** down ({s.y}).\nHere **{more[0]}** decides more about the picture than {less[0]}; "
        "press a picture to see how it came about."
    )


def code(s: Settings) -> str:
    table = squares(s)
    fields = ("prompt", "guidance", "style", "steps", "sampler", "seed")
    rows = "\n".join(f"    {tuple(getattr(cell, name) for name in fields)!r}," for row in table for cell in row)
    size = f"\n        size=int({s.size} * model.size)," if s.size != "1" else ""
    return f"""
{opens(s, "hashlib", "numpy", "PIL.Image")}
wanted = [  # prompt, guidance, style, steps, sampler, seed
{rows}
]
pictures = []
for prompt, guidance, style, steps, sampler, seed in wanted:
    *_, last = model.stream(
        model.text.heard(prompt),
        negative={f"model.text.heard({s.negative!r})" if s.negative else "''"},
        guidance=guidance,
        style=style,
        steps=steps,
        sampler=sampler,
        seed=seed,{size}
    )
    picture = model.decode(last.x_next)[0]
    pictures.append(((picture + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy())
rows = [numpy.concatenate(pictures[i : i + {len(table[0])}], axis=1) for i in range(0, len(pictures), {len(table[0])})]
Image.fromarray(numpy.concatenate(rows)).save("grid.png")

print("sha256 =", [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures])
"""


FIELDS = (
    *("prompt", "negative", "guidance", "style", "x", "across", "y", "down"),
    *("steps", "sampler", "seed", "size", "model"),
)
IDEAS: dict[str, Idea] = {GRID: Idea(("progress", "sheet"), FIELDS, code, walk=stream, waiting=formula)}
