"""Endless random batches, and the words that are written under a picture."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from core.datasets import BACKGROUNDS, Emoji, composite

LONGEST_CAPTION = 24  # tokens
COLOURS = torch.tensor(list(BACKGROUNDS.values()), dtype=torch.uint8)
COLOUR_NAMES = tuple(BACKGROUNDS)
# How often a caption says keywords instead of the name: more for people, of whom some words ("nurse") are no name.
LOOSE, LOOSE_BY_GROUP = 0.2, {"People": 0.35}
# How often the style is said, and how often nothing but it and the background: so that it is learnt apart from names.
STYLED, STYLE_ALONE = 0.9, 0.12
# Style names as a caption says them.
STYLES = {
    "noto": "noto",
    "blob": "blob",
    "twemoji": "twemoji",
    "emojitwo": "emojitwo",
    "fx": "fx",
    "fluent3d": "fluent 3d",
    "fluentflat": "fluent flat",
}


def augment(rgba: Tensor, generator: torch.Generator, *, flip: bool, move: float = 1.0) -> Tensor:
    """Each picture moved by up to 3 pixels and scaled by 0.88 to 1.04; mirrored half of the time if ``flip``.

    Args:
        rgba: uint8 (B, 4, H, W), straight alpha.
        move: how much of that: with 0 all stay in their place, scaled by 0.96.
    Returns: the same shape and type; what comes in from outside is transparent.
    """
    n, side = len(rgba), rgba.shape[-1]
    scale = 0.96 + 0.16 * move * (torch.rand(n, generator=generator) - 0.5)
    shift = (torch.rand(n, 2, generator=generator) - 0.5) * 2 * 3 * move / side * 2
    mirror = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0) if flip else torch.ones(n)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1], theta[:, :, 2] = mirror / scale, 1 / scale, shift
    alpha = rgba[:, 3:].float() / 255
    premultiplied = torch.cat([rgba[:, :3].float() * alpha, alpha], dim=1)  # so that no colour bleeds over the edge
    moved = F.grid_sample(
        premultiplied, F.affine_grid(theta.to(rgba.device), list(rgba.shape), align_corners=False), align_corners=False
    )
    alpha = moved[:, 3:].clamp(0, 1)
    straight = moved[:, :3] / alpha.clamp(min=1 / 255)
    return torch.cat([straight.clamp(0, 255), 255 * alpha], dim=1).round().to(torch.uint8)


def pictures(
    images: Tensor,
    batch: int,
    generator: torch.Generator,
    *,
    flip: bool,
    white: float,
    chosen: Tensor | None = None,
    every: bool = False,
    move: float = 1.0,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Random pictures over plain backgrounds.

    Args:
        images: uint8 (N, 4, H, W).
        white: the share of backgrounds made white; the rest are any of all, white among them.
        chosen: which of them to take from, int64 (M,); all if None.
        every: take all of them in their order, instead of ``batch`` random ones. move: see `augment`.
    Yields: (float32 (B, 3, H, W) in [-1, 1], index of each picture (B,), index of each background (B,)).
    """
    pool = torch.arange(len(images)) if chosen is None else chosen
    while True:
        which = pool if every else pool[torch.randint(len(pool), (batch,), generator=generator)]
        ground = torch.randint(len(COLOURS), (len(which),), generator=generator)
        ground[torch.rand(len(which), generator=generator) < white] = 0
        rgba = augment(images[which.to(images.device)], generator, flip=flip, move=move)
        yield composite(rgba, COLOURS[ground].to(images.device)), which, ground


def disguise(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures as a judge of shapes should meet them: half with their colours mixed, half blurred, all noisy.

    Mixed: c' = M c with M = I + N(0, 1/16), its rows scaled to sum to 1, so that grey stays grey (but for
    the few that sum to less than 0.3). Blurred: part of the way to the mean of 3 x 3 pixels. Noisy: plus up to
    0.1 N(0, 1).

    Args:
        x: float32 (B, 3, H, W) in [-1, 1].
    Returns: (the same shape, which were mixed (B,)).
    """
    n = len(x)

    def uniform() -> Tensor:
        return torch.rand(n, 1, 1, 1, generator=generator)

    mixed, blurred = uniform() < 0.5, uniform() < 0.5
    matrix = torch.eye(3) + torch.randn(n, 3, 3, generator=generator) / 4
    matrix = matrix / matrix.sum(2, keepdim=True).clamp(min=0.3)
    x = torch.where(mixed, torch.einsum("nij,njhw->nihw", matrix, x).clamp(-1, 1), x)
    x = x + blurred * uniform() * (F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1) - x)
    return x + 0.1 * uniform() * torch.randn(x.shape, generator=generator), mixed.flatten()


def caption(
    name: str, keywords: Sequence[str], style: str, background: str, rng: np.random.Generator, *, loose: float = LOOSE
) -> str:
    """Words for a picture: "a red apple, twemoji style, on a blue background", with words dropped and reordered.

    A background other than white is always named, so an unnamed one means white. ``loose``: how often the name gives
    way to one of its words or to keywords, so that short prompts work.
    """
    thing = name
    if rng.random() < loose:
        words = name.replace(":", "").split()
        few = rng.permutation(list(keywords))[: rng.integers(1, 4)].tolist() if keywords else words
        thing = " ".join(few) if rng.random() < 0.5 or len(words) == 1 else str(rng.choice(words))
    if rng.random() < 0.2:
        thing = f"{'an' if thing[:1] in 'aeiou' else 'a'} {thing}"
    parts = [thing]
    if rng.random() < STYLED:
        said = f"{STYLES[style]} style"
        if rng.random() < STYLE_ALONE:
            parts[0] = said
        elif rng.random() < 0.25:
            parts[0] = f"{said} {thing}" if rng.random() < 0.5 else f"{thing} in {said}"
        else:
            parts.append(said)
    if background != "white" or rng.random() < 0.2:
        article = "an" if background[0] in "aeiou" else "a"
        parts.append(f"on {article} {background} background" if rng.random() < 0.7 else f"{background} background")
    if len(parts) > 1 and rng.random() < 0.15:
        parts = rng.permutation(parts).tolist()
    return ", ".join(parts) if rng.random() < 0.7 else " ".join(parts)


def read_captions_only(tower: Any) -> None:
    """Let a text tower read `LONGEST_CAPTION` tokens, not 77: attention looks back only, so the states are the same."""
    tower.attn_mask = tower.attn_mask[:LONGEST_CAPTION, :LONGEST_CAPTION]


def captions(data: Emoji, which: Tensor, ground: Tensor, rng: np.random.Generator) -> list[str]:
    """One caption for each of the pictures ``which`` (B,) over the backgrounds ``ground`` (B,)."""
    return [
        caption(
            data.names[i],
            data.keywords[i],
            data.styles[i],
            COLOUR_NAMES[g],
            rng,
            loose=LOOSE_BY_GROUP.get(data.groups[i], LOOSE),
        )
        for i, g in zip(which.tolist(), ground.tolist(), strict=True)
    ]
