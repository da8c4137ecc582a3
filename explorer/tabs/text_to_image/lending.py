"""How long a run may take on a GPU that is lent for it: the less is asked for, the sooner it is there."""

import math
from dataclasses import replace

from core.samplers import SAMPLERS
from explorer import models
from explorer.tabs.text_to_image import clip, grid, guidance
from explorer.tabs.text_to_image.settings import (
    ATTENTION,
    CHANGE,
    DRAW,
    DREAM,
    GRID,
    JOINT,
    LATENT,
    OF_MODEL,
    OVER_TIME,
    OWN,
    PAINT,
    SCALES,
    SEARCH,
    TOKENS,
    TOWARD,
    TWO,
    Settings,
    pressed,
)
from explorer.tabs.text_to_image.vocabulary import MODEL

START = 8.0  # seconds at the most, of a GPU of these years in half precision: to get going and to hand over
STEP = 0.06  # a step, however small the picture
SHARE = 0.14  # more of it for 512 x 512 pixels: the guided network of Stable Diffusion 1.5, the two pictures shown
MOVE, CROP = 0.06, 0.02  # a picture's move on the CPU beside it, and a crop that is looked at
MOST = 120  # what a Space lends at once


def walks(s: Settings) -> list[Settings]:
    """The settings of every walk from noise to pictures that a view makes.

    Raises: ValueError as `grid.squares` and `clip.split`.
    """
    if s.view == DRAW:
        return [s]
    if s.view == GRID:
        return [cell for row in grid.squares(s) for cell in row]
    one = replace(s, batch=1, size="1")
    if s.view in (JOINT, TOWARD):
        said = clip.split(s) if s.view == JOINT else (s.prompt,)
        return [replace(as_wanted(one, MODEL), prompt=prompt) for prompt in said]
    if s.view == SEARCH:
        return [replace(as_wanted(one, MODEL), prompt=thing, steps=clip.FEW_STEPS) for thing in clip.THINGS]
    if s.view == SCALES:
        return [replace(one, guidance=scale) for scale in guidance.row(s)]
    many = {ATTENTION: 2, OVER_TIME: 4, TOKENS: 0, DREAM: 0}
    drawn = [replace(one, batch=8)] if s.view == TWO else [one] * many.get(s.view, 1)
    if s.view in (CHANGE, PAINT, LATENT, DREAM) and s.start == OWN:
        drawn.append(replace(as_wanted(one, s.model), prompt=s.start_prompt))
    return drawn


def as_wanted(s: Settings, option: str) -> Settings:
    """The same walk by this model, as it is made for."""
    wanted = {"steps": 25, "sampler": "dpmpp_2m"} | models.defaults(option)
    return replace(s, model=option, **{name: wanted[name] for name in OF_MODEL if name in wanted})


def seconds(s: Settings) -> int:
    """What a run of these settings may take at the most."""
    took = START + s.moves * {TOWARD: MOVE + CROP * s.crops, DREAM: 2 * MOVE}.get(s.view, 0)
    for one in walks(s):
        side = models.defaults(one.model).get("size", 512)
        area = one.batch * (float(one.size) * side / 512) ** 2
        asked = 2 if pressed(one) else 1  # as many rows more for a style
        took += one.steps * SAMPLERS[one.sampler].calls * (STEP + SHARE * area * asked)
    return min(MOST, math.ceil(took))
