"""Photographs that come with scikit-image, and pictures drawn from a formula: what the playgrounds resize and blur."""

from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from skimage import data
from torch import Tensor

from core.arguments import whole
from core.resizing import resize

# Name: (scikit-image's name, top, left, side of the square that is cut out).
CUTS = {
    "astronaut": ("astronaut", 0, 64, 320),
    "cat": ("chelsea", 0, 80, 300),
    "coffee": ("coffee", 0, 100, 400),
    "rocket": ("rocket", 0, 130, 420),
    "camera": ("camera", 20, 90, 320),
    "coins": ("coins", 0, 0, 300),
    "brick": ("brick", 0, 0, 400),
    "gravel": ("gravel", 0, 0, 400),
}
DRAWN = ("letters", "zone plate", "checkerboard")
PICTURES = (*CUTS, *DRAWN)


@lru_cache(maxsize=64)
def picture(name: str, side: int) -> Tensor:
    """A square picture, (3, side, side) float64 in [0, 1]. Read it only: it is kept for the next call.

    Photographs are cut square and reduced as `square` does. The zone plate is
    1/2 + 1/2 cos(pi r^2 / side): its stripes get finer towards the edges, where they are the finest pixels can show.

    Raises: ValueError for an unknown name or a side outside [1, 512].
    """
    if name not in PICTURES:
        raise ValueError(f"the pictures are {', '.join(PICTURES)}; got {name!r}")
    side = whole("side", side, 1, 512)
    if name in CUTS:
        source, top, left, cut = CUTS[name]
        pixels = np.atleast_3d(getattr(data, source)())[top : top + cut, left : left + cut] / 255
        return square(torch.tensor(pixels, dtype=torch.float64).movedim(2, 0), side)
    return _drawn(name, side).expand(3, -1, -1).contiguous()


def square(planes: Tensor, side: int) -> Tensor:
    """The middle square of a picture (1 or 3, H, W), resized by `resize`, bilinear with antialias: (3, side, side)."""
    height, width = planes.shape[-2:]
    cut = min(height, width)
    top, left = (height - cut) // 2, (width - cut) // 2
    inner = planes[:, top : top + cut, left : left + cut]
    return resize(inner, side, "bilinear", antialias=True).expand(3, -1, -1).clamp(0, 1).contiguous()


def grey(name: str, side: int) -> Tensor:
    """The mean of the picture's three channels, (side, side) float64 in [0, 1]."""
    return picture(name, side).mean(0)


def _drawn(name: str, side: int) -> Tensor:
    place = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    if name == "zone plate":
        return 0.5 + 0.5 * torch.cos(torch.pi * (place[:, None] ** 2 + place**2) / side)
    if name == "checkerboard":
        square = (torch.arange(side) * 8).div(side, rounding_mode="floor")
        return ((square[:, None] + square) % 2).double()
    sheet = Image.new("L", (4 * side, 4 * side), 255)
    ImageDraw.Draw(sheet).text((2 * side, 2 * side), "Rg", fill=0, anchor="mm", font=ImageFont.load_default(2.6 * side))
    return resize(torch.tensor(np.asarray(sheet) / 255), side, "area")
