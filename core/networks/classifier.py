"""A convolutional network that names what pictures show: the judge of what a model draws, and Deep Dream's network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ClassifierConfig:
    """Sizes of a `PictureClassifier`: its channels at first, and those of its layers at three resolutions."""

    in_channels: int = 3
    widths: tuple[int, ...] = (64, 128, 256)


class PictureClassifier(nn.Module):
    """A small network of convolutions, with an answer to each of several questions.

    Args:
        answers: question -> the names of its classes: ``{"name": [...], "style": [...], "background": [...]}``.
    """

    LAYERS = 6  # each a convolution, batch normalisation and ReLU

    def __init__(self, config: ClassifierConfig, answers: Mapping[str, Sequence[str]]):
        super().__init__()
        a, b, c = config.widths
        self.answers = {question: tuple(names) for question, names in answers.items()}
        self.body = nn.Sequential(
            nn.Conv2d(config.in_channels, a, 5, stride=2, padding=2), nn.BatchNorm2d(a), nn.ReLU(),
            nn.Conv2d(a, b, 3, stride=2, padding=1), nn.BatchNorm2d(b), nn.ReLU(),
            nn.Conv2d(b, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(),
            nn.Conv2d(b, c, 3, stride=2, padding=1), nn.BatchNorm2d(c), nn.ReLU(),
            nn.Conv2d(c, c, 3, padding=1), nn.BatchNorm2d(c), nn.ReLU(),
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1), nn.BatchNorm2d(2 * c), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(4 * c, sum(map(len, self.answers.values())))

    def activations(self, x: Tensor, layer: int = LAYERS) -> Tensor:
        """(B, C, H, W) in [-1, 1] to what a layer, 1 to 6, answers after its ReLU; H and W are halved at 1, 2, 4, 6."""
        return self.body[: 3 * layer](x)

    def features(self, x: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] to (B, 4 c): mean and maximum of every channel of the last layer."""
        h = self.activations(x)
        return torch.cat([h.mean((2, 3)), h.amax((2, 3))], dim=1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Logits (B, classes) for each question."""
        return self.head(self.features(x)).split([len(names) for names in self.answers.values()], dim=1)
