"""Small data sets made on the spot: distributions of points in the plane, and pictures drawn by a few formulas."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch

from .arguments import whole
from .mixtures import GaussianMixture

SUPERSAMPLING = 4


def ring(k: int = 8, radius: float = 1.35, std: float = 0.08) -> GaussianMixture:
    """k equal Gaussians on a circle."""
    angle = torch.arange(k, dtype=torch.float64) * (2 * math.pi / k)
    return _even(radius * torch.stack([angle.cos(), angle.sin()], 1), std)


def two_moons(k: int = 96, std: float = 0.07) -> GaussianMixture:
    """Two interleaved half circles of k / 2 Gaussians each: the upper one first."""
    angle = torch.linspace(0, math.pi, k // 2, dtype=torch.float64)
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
    return _even(1.15 * (torch.cat([upper, lower]) - torch.tensor([0.5, 0.25])), std)


def swiss_roll(k: int = 128, turns: float = 2.0, std: float = 0.05) -> GaussianMixture:
    """A spiral of k Gaussians evenly along its length, from the inside out."""
    share = torch.linspace(0.06, 1, k, dtype=torch.float64).sqrt()
    angle = 2 * math.pi * turns * share
    spiral = share[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    return _even(1.75 * (spiral - spiral.mean(0)), std)


def letters(k: int = 40, std: float = 0.045) -> GaussianMixture:
    """A, B and C side by side, each of k Gaussians evenly along its strokes."""
    bow = torch.linspace(-math.pi / 2, math.pi / 2, 40, dtype=torch.float64)

    def arc(x: float, y: float, wide: float, high: float, angle: torch.Tensor) -> torch.Tensor:
        return torch.stack([x + wide * angle.cos(), y + high * angle.sin()], 1)

    def line(*corners: tuple[float, float]) -> torch.Tensor:
        return torch.tensor(corners, dtype=torch.float64)

    strokes = [
        [line((-0.5, -1), (0, 1), (0.5, -1)), line((-0.32, -0.3), (0.32, -0.3))],
        [line((-0.45, -1), (-0.45, 1)), arc(-0.45, 0.52, 0.75, 0.48, bow), arc(-0.45, -0.48, 0.9, 0.52, bow)],
        [arc(0.1, 0, 0.55, 1, torch.linspace(0.9, 2 * math.pi - 0.9, 80, dtype=torch.float64))],
    ]
    places = [(-1.3, 0.0), (0.0, 0.0), (1.2, 0.0)]
    means = [
        torch.tensor(place) + along(parts, k) * torch.tensor([0.9, 0.85])
        for place, parts in zip(places, strokes, strict=True)
    ]
    return _even(torch.cat(means), std)


def along(strokes: Sequence[torch.Tensor], k: int) -> torch.Tensor:
    """k points evenly along strokes, each a line through its corners (P, 2): one after the other, (k, 2)."""
    pieces = [(a, b) for corners in strokes for a, b in pairwise(corners)]
    ends = torch.tensor([float((b - a).norm()) for a, b in pieces], dtype=torch.float64).cumsum(0)
    places = (torch.arange(k, dtype=torch.float64) + 0.5) / k * ends[-1]
    which = torch.searchsorted(ends, places)
    starts, stops = (torch.stack([piece[end] for piece in pieces])[which] for end in (0, 1))
    back = (ends[which] - places)[:, None] / (stops - starts).norm(dim=1, keepdim=True)
    return stops + back * (starts - stops)


def one_gaussian(std: float = 0.45) -> GaussianMixture:
    """A single Gaussian off the middle: the one data set whose flow from noise has a closed form."""
    return _even(torch.tensor([[0.7, -0.4]], dtype=torch.float64), std)


def drawn(points: Sequence[Sequence[float]], std: float = 0.06) -> GaussianMixture:
    """A Gaussian at every point drawn by hand, (x, y). Raises: ValueError unless two different points are there."""
    means = torch.tensor([list(point) for point in points], dtype=torch.float64)
    if means.ndim != 2 or means.shape[1] != 2 or len(means.unique(dim=0)) < 2:
        raise ValueError(f"wanted two different points (x, y) at least, got {len(points)}: draw some more")
    return _even(means, std)


def _even(means: torch.Tensor, std: float) -> GaussianMixture:
    k = len(means)
    return GaussianMixture(means, torch.full((k,), std), torch.full((k,), 1 / k, dtype=torch.float64))


MIXTURES: dict[str, Callable[[], GaussianMixture]] = {
    "two moons": two_moons,
    "ring of eight": ring,
    "swiss roll": swiss_roll,
    "letters": letters,
    "one Gaussian": one_gaussian,
}
# The classes of each, in equal numbers and in the order of the Gaussians.
CLASSES: dict[str, tuple[str, ...]] = {
    "two moons": ("the upper moon", "the lower moon"),
    "ring of eight": ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east"),
    "swiss roll": ("the inner half", "the outer half"),
    "letters": ("A", "B", "C"),
    "one Gaussian": ("all of it",),
}


def mixture(name: str) -> GaussianMixture:
    """The points of that name in `MIXTURES`. Raises: ValueError with the known names."""
    if name not in MIXTURES:
        raise ValueError(f"points must be one of {', '.join(MIXTURES)}, got {name!r}")
    return MIXTURES[name]()


def picture(name: str, size: int = 64) -> torch.Tensor:
    """A picture of that name in `PICTURES`, (1 or 3, size, size), float32 in [-1, 1].

    Raises: ValueError for an unknown name or a size outside 8..512.
    """
    if name not in PICTURES:
        raise ValueError(f"picture must be one of {', '.join(PICTURES)}, got {name!r}")
    size = whole("size", size, 8, 512)
    fine = (np.arange(size * SUPERSAMPLING) + 0.5) / (size * SUPERSAMPLING)
    x, y = np.meshgrid(fine, fine)
    values = np.atleast_3d(PICTURES[name](x, y))
    pooled = values.reshape(size, SUPERSAMPLING, size, SUPERSAMPLING, -1).mean((1, 3))
    return torch.from_numpy(2 * pooled.transpose(2, 0, 1) - 1).float().clamp(-1, 1)


def beach(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A cosmic beach in colour: stars, a ringed planet, a setting sun and its track on the sea."""
    out = _blend((0.05, 0.04, 0.20), (0.98, 0.50, 0.28), np.clip(y / 0.62, 0, 1) ** 1.6)
    stars = np.random.default_rng(3).random((26, 3)) * (1, 0.42, 1)
    for u, v, bright in stars:
        out = _over(out, np.hypot(x - u, y - v) < 0.005 + 0.006 * bright, (1, 0.97, 0.9))
    out = _over(out, np.hypot(x - 0.48, y - 0.60) < 0.17, (1.0, 0.84, 0.35))
    planet = np.hypot(x - 0.78, y - 0.22)
    shade = np.clip(0.55 + 1.6 * (0.78 - x + 0.22 - y), 0, 1)
    out = _over(out, planet < 0.115, _blend((0.25, 0.12, 0.35), (0.95, 0.62, 0.75), shade))
    across, along = (x - 0.78) * 0.34 + (y - 0.22) * 0.94, (x - 0.78) * 0.94 - (y - 0.22) * 0.34
    band = np.abs(np.hypot(along / 0.20, across / 0.045) - 1) < 0.16
    out = _over(out, band & ((planet > 0.115) | (across > 0)), (0.95, 0.85, 0.65))
    sea = y > 0.62
    depth = np.clip((y - 0.62) / 0.25, 0, 1)
    out = _over(out, sea, _blend((0.42, 0.30, 0.45), (0.04, 0.30, 0.42), depth))
    glitter = np.abs(x - 0.48 + 0.02 * np.sin(70 * y)) < 0.05 + 0.16 * (1 - depth) * (np.sin(150 * y) > -0.2)
    out = _over(out, sea & glitter & (depth < 0.85), (1.0, 0.74, 0.40))
    shore = y > 0.86 + 0.035 * np.sin(5 * x + 0.6)
    out = _over(out, y > 0.845 + 0.035 * np.sin(5 * x + 0.6), (0.93, 0.95, 0.96))
    return _over(out, shore, _blend((0.92, 0.78, 0.55), (0.72, 0.54, 0.34), np.clip((y - 0.86) / 0.14, 0, 1)))


def ball(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A lit ball in grey, with its shadow on the ground."""
    out = 0.78 - 0.32 * y
    shadow = np.hypot((x - 0.60) / 0.36, (y - 0.83) / 0.07)
    out = out * (0.35 + 0.65 * np.clip(shadow, 0, 1) ** 2)
    u, v = (x - 0.48) / 0.34, (y - 0.48) / 0.34
    height = np.sqrt(np.clip(1 - u * u - v * v, 0, 1))
    light = np.clip(0.08 + 0.92 * (-0.5 * u - 0.55 * v + 0.67 * height), 0.04, 1)
    return np.where(u * u + v * v < 1, light, out)


def letter(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A black letter A on white."""

    def stroke(x0, y0, x1, y1, width):
        along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / ((x1 - x0) ** 2 + (y1 - y0) ** 2), 0, 1)
        return np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)) < width

    ink = stroke(0.20, 0.84, 0.50, 0.16, 0.045) | stroke(0.50, 0.16, 0.80, 0.84, 0.085)
    ink |= stroke(0.32, 0.60, 0.68, 0.60, 0.04)
    ink |= stroke(0.12, 0.88, 0.30, 0.88, 0.03) | stroke(0.66, 0.88, 0.90, 0.88, 0.03)
    return np.where(ink, 0.0, 1.0)


def checkerboard(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The lecture's 3 x 3 picture 1 0 1 / 0 1 0 / 1 0 1."""
    return ((np.floor(3 * x) + np.floor(3 * y)) % 2 == 0).astype(float)


PICTURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "beach": beach,
    "ball": ball,
    "letter": letter,
    "checkerboard": checkerboard,
}


def _blend(a: tuple[float, ...], b: tuple[float, ...], share: np.ndarray) -> np.ndarray:
    return np.array(a) + share[..., None] * (np.array(b) - np.array(a))


def _over(below: np.ndarray, mask: np.ndarray, colour: tuple[float, ...] | np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], colour, below)
