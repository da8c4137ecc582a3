"""Deep Dream: a picture is moved by gradient ascent until a trained classifier answers more strongly to it.

In training the picture stays and the weights move; here the weights stay and the picture moves.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from core.arguments import whole
from core.networks.classifier import PictureClassifier

RATE = 0.02  # a hundredth of the way from black to white
Objective = Callable[[Tensor], Tensor]  # from a picture (1, C, H, W) to a number


def activity(classifier: PictureClassifier, layer: int) -> Objective:
    """The mean square of what a layer answers: whatever it finds a little of, the picture is to have more of.

    Raises: ValueError unless ``layer`` is a whole number from 1 to 6.
    Source: Mordvintsev, Olah & Tyka (2015), *Inceptionism: Going Deeper into Neural Networks*, Google Research.
    """
    layer = whole("layer", layer, 1, classifier.LAYERS)
    return lambda x: classifier.activations(x, layer).square().mean()


def log_probability(classifier: PictureClassifier, name: str) -> Objective:
    """log p(name | x). Raises: ValueError if the classifier has no such name among its answers."""
    names = classifier.answers["name"]
    if name not in names:
        raise ValueError(f"the classifier knows {len(names):,} names, and {name!r} is none of them")
    return lambda x: classifier(x)[0].log_softmax(1)[:, names.index(name)].mean()


@dataclass(frozen=True, eq=False)
class Iterate:
    """One iterate of the ascent.

    picture: (1, C, H, W) in [-1, 1]. objective: of it, as it lies. shift: by how many rows and columns it was rolled
    before it was looked at for the move away from here; gradient: of the objective there, rolled back.
    """

    picture: Tensor
    objective: float
    shift: tuple[int, int]
    gradient: Tensor


def dream(
    objective: Objective, picture: Tensor, *, moves: int, jitter: int = 0, generator: torch.Generator | None = None
) -> Iterator[Iterate]:
    """Gradient ascent, each move as long as any: x <- clip(x + RATE g / mean |g|).

    jitter: each move looks at the picture rolled at random by this many rows and columns at the most, so that no seam
    of the layers' strides grows into it. generator: of that.
    Yields: ``moves`` + 1 iterates, the first before any move.
    Raises: ValueError at the first if ``moves`` or ``jitter`` is no whole number of at least 0.
    Source: Mordvintsev, Olah & Tyka (2015), *DeepDream*, whose code takes the gradient and the jitter in this way.
    """
    moves, jitter = whole("moves", moves, 0), whole("jitter", jitter, 0)
    for i in range(moves + 1):
        down, right = torch.randint(-jitter, jitter + 1, (2,), generator=generator).tolist()
        with torch.no_grad():
            here = float(objective(picture))
        with torch.enable_grad():
            rolled = picture.roll((down, right), (-2, -1)).requires_grad_()
            (gradient,) = torch.autograd.grad(objective(rolled), rolled)
        gradient = gradient.roll((-down, -right), (-2, -1))
        yield Iterate(picture, here, (down, right), gradient)
        if i < moves:
            steepness = gradient.abs().mean().clamp(min=torch.finfo(gradient.dtype).tiny)
            picture = (picture + RATE * gradient / steepness).clamp(-1, 1)
