"""Latents: what the VAE keeps of a picture, ways from one to another, and pictures from given noise and given words."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.samplers import Step, named_sampler

if TYPE_CHECKING:
    from core.pipeline import TextToImage


def angle(a: Tensor, b: Tensor) -> float:
    """The angle between two tensors read as vectors, in radians."""
    a, b = a.double().flatten(), b.double().flatten()
    cosine = (a @ b) / (a.norm() * b.norm())
    return float(cosine.clamp(-1, 1).arccos())


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """The way from a to b along the arc, in a's shape: sin((1 - share) w) / sin(w) a + sin(share w) / sin(w) b.

    w is the `angle` between them. Noise of unit variance keeps its length on the way, which is near that of any other
    draw; half-way on the straight line between two independent draws it has only 1 / sqrt(2) of it.
    Raises: ValueError if the shapes differ, or one points where the other comes from (or is zero): no arc is meant.
    Source: Shoemake (1985), "Animating rotation with quaternion curves", SIGGRAPH.
    """
    if a.shape != b.shape:
        raise ValueError(f"both ends must have one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    w = torch.tensor(angle(a, b), dtype=torch.float64)
    if not w < torch.pi - 1e-4:
        raise ValueError("between a tensor and its opposite there is no one arc: take other ends")
    if w < 1e-4:  # the arc is the straight line
        return torch.lerp(a, b, share)
    return float(((1 - share) * w).sin() / w.sin()) * a + float((share * w).sin() / w.sin()) * b


@torch.no_grad()
def stream_from(
    model: "TextToImage",
    states: Tensor,
    noise: Tensor,
    *,
    negative: str = "",
    sampler: str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: int = 0,
) -> Iterator[Step]:
    """`TextToImage.stream` for words and noise that are tensors already, one picture a row; no style is pressed.

    Args:
        states: what the words became, (1 or B, L, D). noise: of unit variance, (1 or B, C, h, w).
        seed: of the noise that some samplers add on their way: in every row the same, the one that the seed's own
            picture is given.
    Raises: ValueError if the rows do not go together, or as `TextToImage.stream`.
    """
    rows = max(len(states), len(noise))
    if noise.ndim != 4 or len(states) not in (1, rows) or len(noise) not in (1, rows):
        raise ValueError(
            "states (B, L, D) and noise (B, C, h, w) must have as many rows, or one, "
            f"got {tuple(states.shape)} and {tuple(noise.shape)}"
        )
    walk = named_sampler(model.default("sampler") if sampler is None else sampler)
    times, scale = model.plan(steps, sampler)
    denoiser = model.denoiser(
        states.to(model.device).expand(rows, -1, -1),
        model.text([negative]),
        model.default("guidance") if guidance is None else guidance,
    )
    generators = [torch.Generator().manual_seed(seed) for _ in range(rows)]
    for generator in generators:  # past the start noise that the seed's own picture would draw
        torch.randn(noise[:1].shape, generator=generator)
    x = scale * noise.to(model.device).expand(rows, -1, -1, -1)
    return walk(denoiser, model.schedule, x, times, generator=generators)
