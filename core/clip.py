"""CLIP: words and pictures as vectors in one space, and pictures that are moved through it toward a sentence."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import weights

if TYPE_CHECKING:
    from core.networks.vae import VAE
    from core.text import TextEncoder  # at run time it would bring open_clip, which takes seconds


@dataclass(frozen=True, eq=False)
class CLIP:
    """Two towers that were trained together: a picture and its caption point the same way. Read-only after loading.

    text: the tower of words. vision: open_clip's of pictures. config: its ``config.json``, as open_clip names things;
    its ``logit_scale`` is the logarithm of what cosines are multiplied by before they compete in a softmax.
    Source: Radford et al. (2021), arXiv 2103.00020, figure 3.
    """

    text: "TextEncoder"
    vision: nn.Module
    config: Mapping[str, Any]

    @classmethod
    def load(cls, name: str | Path = "emoji") -> "CLIP":
        """The towers of an embedded model, or of a folder with ``text_encoder`` and ``image_encoder``, on the CPU.

        Raises: ValueError if it is unknown, or its files are missing, damaged or foreign.
        """
        from open_clip.transformer import VisionTransformer

        text, _ = weights.load(f"{name}/text_encoder")
        folder = weights.resolve(name) / "image_encoder"
        config = weights.read_json(folder / "config.json")
        try:
            vision = VisionTransformer(
                **{key: config[key] for key in ("image_size", "patch_size", "width", "layers", "mlp_ratio")},
                heads=config["width"] // config["head_width"],
                output_dim=config["embed_dim"],
            )
            math.exp(config["logit_scale"])
        except (KeyError, TypeError, AssertionError) as error:
            raise ValueError(f"{folder / 'config.json'} describes no tower of pictures: {error}") from error
        weights.fill(vision, weights.read_state(folder), folder)
        return cls(text, vision.eval().requires_grad_(False), config)

    @property
    def side(self) -> int:
        """Height and width of the pictures that the tower takes, in pixels."""
        return self.config["image_size"]

    @property
    def scale(self) -> float:
        return math.exp(self.config["logit_scale"])

    def words(self, sentences: Sequence[str]) -> Tensor:
        """A vector of length 1 for every sentence, (B, D). Raises: ValueError as `TextEncoder` does."""
        return self.text.embed(sentences)

    def pictures(self, x: Tensor) -> Tensor:
        """A vector of length 1 for every picture (B, 3, H, W) in [-1, 1], (B, D); other sizes are resized first."""
        if x.shape[2:] != (self.side, self.side):
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=max(x.shape[2:]) > self.side)
        return F.normalize(self.vision(x), dim=-1)


@dataclass(frozen=True, eq=False)
class Canvas:
    """What is moved so that a picture moves: numbers to ``start`` from, the picture that they ``draw``, (1, 3, H, W) in
    [-1, 1], and the ``rate`` of Adam that suits them."""

    start: Tensor
    draw: Callable[[Tensor], Tensor]
    rate: float


def pixels(side: int, generator: torch.Generator) -> Canvas:
    """Every pixel by itself, behind a tanh that keeps it in [-1, 1]."""
    return Canvas(0.1 * torch.randn(1, 3, side, side, generator=generator), torch.tanh, 0.05)


def spectrum(side: int, generator: torch.Generator) -> Canvas:
    """The waves that the pixels are the sum of, each divided by its frequency, so that long ones move first.

    Source: Olah, Mordvintsev & Schubert (2017), *Feature Visualization*, Distill.
    """
    up, across = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)
    frequency = (up**2 + across**2).sqrt().clamp(min=1 / side)

    def draw(waves: Tensor) -> Tensor:
        return torch.tanh(torch.fft.irfft2(torch.view_as_complex(waves) / frequency, (side, side), norm="ortho"))

    return Canvas(0.01 * torch.randn(1, 3, side, side // 2 + 1, 2, generator=generator), draw, 0.003)


def codes(vae: "VAE", side: int, generator: torch.Generator) -> Canvas:
    """The latent that a VAE's decoder makes the picture of."""
    shape = (1, vae.config.latent_channels, side // vae.config.factor, side // vae.config.factor)
    return Canvas(torch.randn(shape, generator=generator), lambda z: vae.decode(z).clamp(-1, 1), 0.05)


Square = tuple[int, int, int]  # its top row, its left column, its side


@dataclass(frozen=True, eq=False)
class Place:
    """Where a picture stands on its way, before it moves on.

    picture: (1, 3, H, W). likeness: its cosine with the sentence. seen: the mean cosine of the ``squares`` of it that
    are looked at for the next move; the whole picture's where there are none. numbers: the canvas's. slope: of ``seen``
    in them.
    """

    picture: Tensor
    likeness: float
    seen: float
    squares: tuple[Square, ...]
    numbers: Tensor
    slope: Tensor


def toward(
    clip: CLIP, sentence: str, canvas: Canvas, *, moves: int, crops: int = 0, generator: torch.Generator | None = None
) -> Iterator[Place]:
    """Move a canvas, by Adam, so that CLIP finds its picture more and more like a sentence.

    crops: squares of six to ten tenths of the picture's side, anew at each move, whose mean cosine is raised in place
    of the whole picture's; 0 looks at the whole. generator: of their places.
    Yields: ``moves`` + 1 places, the first before any move.
    Raises: ValueError at the first if ``moves`` or ``crops`` is no whole number of at least 0.
    Source: Kingma & Ba (2015), arXiv 1412.6980, for the moves; crops as in Crowson et al. (2022), arXiv 2204.08583.
    """
    for name, value in (("moves", moves), ("crops", crops)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{name} must be a whole number of at least 0, got {value!r}")
    with torch.no_grad():
        wanted = clip.words([sentence])[0]
    numbers = canvas.start.clone().requires_grad_()
    adam = torch.optim.Adam([numbers], lr=canvas.rate)
    for i in range(moves + 1):
        with torch.enable_grad():
            picture = canvas.draw(numbers)
            parts = squares(picture, crops, generator)
            seen = look(clip, picture, parts, wanted)
            slope = torch.autograd.grad(seen, numbers)[0]
        with torch.no_grad():
            likeness = look(clip, picture, (), wanted) if crops else seen
        here = [one.detach().clone() for one in (picture, numbers)]
        yield Place(here[0], float(likeness.detach()), float(seen.detach()), parts, here[1], slope)
        if i < moves:
            numbers.grad = -slope
            adam.step()


def look(clip: CLIP, picture: Tensor, parts: Sequence[Square], wanted: Tensor) -> Tensor:
    """The mean cosine of squares of a picture, or of the whole where there are none, with a sentence's vector (D,)."""
    seen = [
        F.interpolate(picture[:, :, top : top + n, left : left + n], (clip.side, clip.side), mode="bilinear")
        for top, left, n in parts
    ]
    return (clip.pictures(torch.cat(seen or [picture])) @ wanted).mean()


def squares(picture: Tensor, crops: int, generator: torch.Generator | None = None) -> tuple[Square, ...]:
    """Random places in a picture (..., H, W) of squares of six to ten tenths of its smaller side."""
    height, width = picture.shape[-2:]
    whole, found = min(height, width), []
    for _ in range(crops):
        size = int(torch.randint(-(-6 * whole // 10), whole + 1, (), generator=generator))
        top, left = (int(torch.randint(0, n - size + 1, (), generator=generator)) for n in (height, width))
        found.append((top, left, size))
    return tuple(found)
