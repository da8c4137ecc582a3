"""CLIP: words and pictures as vectors in one space, and gradient ascent of a picture toward a sentence."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import weights
from core.arguments import whole

if TYPE_CHECKING:
    from core.networks.vae import VAE
    from core.text import TextEncoder  # at run time it would bring open_clip, which takes seconds


@dataclass(frozen=True, eq=False)
class CLIP:
    """Two towers that were trained together: a picture and its caption point the same way. Read-only after loading.

    text: the text tower. vision: the image tower, open_clip's. config: its ``config.json``, as open_clip names things;
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
        """Height and width of the pictures that the image tower takes, in pixels."""
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
class Parametrisation:
    """How a picture is written in the numbers that an optimiser moves.

    start: the parameters at first. draw: from parameters to the picture, (1, 3, H, W) in [-1, 1]. lr: the learning rate
    of Adam that suits them.
    Source: Mordvintsev et al. (2018), *Differentiable Image Parameterizations*, Distill.
    """

    start: Tensor
    draw: Callable[[Tensor], Tensor]
    lr: float


def pixels(side: int, generator: torch.Generator) -> Parametrisation:
    """Every pixel by itself, behind a tanh that keeps it in [-1, 1]."""
    return Parametrisation(0.1 * torch.randn(1, 3, side, side, generator=generator), torch.tanh, 0.05)


def spectrum(side: int, generator: torch.Generator) -> Parametrisation:
    """The Fourier coefficients of the pixels, each divided by its frequency, so that low frequencies move first.

    Source: Olah, Mordvintsev & Schubert (2017), *Feature Visualization*, Distill.
    """
    up, across = torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)
    frequency = (up**2 + across**2).sqrt().clamp(min=1 / side)

    def draw(coefficients: Tensor) -> Tensor:
        scaled = torch.view_as_complex(coefficients) / frequency
        return torch.tanh(torch.fft.irfft2(scaled, (side, side), norm="ortho"))

    start = 0.01 * torch.randn(1, 3, side, side // 2 + 1, 2, generator=generator)
    return Parametrisation(start, draw, 0.003)


def codes(vae: "VAE", side: int, generator: torch.Generator) -> Parametrisation:
    """The latent that a VAE's decoder makes the picture of."""
    shape = (1, vae.config.latent_channels, side // vae.config.factor, side // vae.config.factor)
    return Parametrisation(torch.randn(shape, generator=generator), lambda z: vae.decode(z).clamp(-1, 1), 0.05)


Crop = tuple[int, int, int]  # a square's top row, left column and side


@dataclass(frozen=True, eq=False)
class Iterate:
    """One iterate of gradient ascent.

    picture: (1, 3, H, W). likeness: its cosine similarity with the sentence. objective: what is maximised, the mean
    cosine similarity of the ``crops``; the whole picture's where there are none. parameters: of the parametrisation.
    gradient: of the objective in them.
    """

    picture: Tensor
    likeness: float
    objective: float
    crops: tuple[Crop, ...]
    parameters: Tensor
    gradient: Tensor


def ascend(
    clip: CLIP,
    sentence: str,
    parametrisation: Parametrisation,
    *,
    moves: int,
    crops: int = 0,
    generator: torch.Generator | None = None,
) -> Iterator[Iterate]:
    """Gradient ascent, by Adam, on the cosine similarity of a picture with a sentence.

    crops: how many random crops, anew at each move, take the whole picture's place in the objective; 0 for none.
    generator: of their positions.
    Yields: ``moves`` + 1 iterates, the first before any move.
    Raises: ValueError at the first if ``moves`` or ``crops`` is no whole number of at least 0.
    Source: Kingma & Ba (2015), arXiv 1412.6980, for the moves; crops as in Crowson et al. (2022), arXiv 2204.08583.
    """
    moves, crops = whole("moves", moves, 0), whole("crops", crops, 0)
    with torch.no_grad():
        target = clip.words([sentence])[0]
    parameters = parametrisation.start.clone().requires_grad_()
    adam = torch.optim.Adam([parameters], lr=parametrisation.lr)
    for i in range(moves + 1):
        with torch.enable_grad():
            picture = parametrisation.draw(parameters)
            parts = random_crops(picture, crops, generator)
            objective = similarity(clip, picture, parts, target)
            gradient = torch.autograd.grad(objective, parameters)[0]
        with torch.no_grad():
            likeness = similarity(clip, picture, (), target) if crops else objective
        here = [one.detach().clone() for one in (picture, parameters)]
        yield Iterate(here[0], float(likeness.detach()), float(objective.detach()), parts, here[1], gradient)
        if i < moves:
            parameters.grad = -gradient
            adam.step()


def similarity(clip: CLIP, picture: Tensor, crops: Sequence[Crop], target: Tensor) -> Tensor:
    """The mean cosine similarity of a picture's crops, or of the whole if there are none, with ``target`` (D,)."""
    resized = [
        F.interpolate(picture[:, :, top : top + n, left : left + n], (clip.side, clip.side), mode="bilinear")
        for top, left, n in crops
    ]
    return (clip.pictures(torch.cat(resized or [picture])) @ target).mean()


def random_crops(picture: Tensor, count: int, generator: torch.Generator | None = None) -> tuple[Crop, ...]:
    """Squares at random in a picture (..., H, W), with sides of six to ten tenths of its smaller side."""
    height, width = picture.shape[-2:]
    side, found = min(height, width), []
    for _ in range(count):
        size = int(torch.randint(-(-6 * side // 10), side + 1, (), generator=generator))
        top, left = (int(torch.randint(0, n - size + 1, (), generator=generator)) for n in (height, width))
        found.append((top, left, size))
    return tuple(found)
