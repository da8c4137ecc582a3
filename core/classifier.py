"""A small classifier of points, trained in a second, for guidance: on clean points, or on noised ones."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from .forward import add_noise, randn_like
from .schedule import NoiseSchedule

WIDTH = 64


class ClassNetwork(nn.Module):
    """Two hidden layers from a point (B, D), and how noisy it is, to the logits of its class (B, C)."""

    def __init__(self, dimensions: int, classes: int, *, generator: torch.Generator):
        super().__init__()
        sizes = (dimensions + 1, WIDTH, WIDTH, classes)
        layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        for layer in layers:  # drawn from the generator: a seed means one network
            bound = 1 / math.sqrt(layer.in_features)
            nn.init.uniform_(layer.weight, -math.sqrt(3) * bound, math.sqrt(3) * bound, generator=generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
        self.layers = nn.Sequential(layers[0], nn.SiLU(), layers[1], nn.SiLU(), layers[2])

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.layers(torch.cat([x, level.expand(len(x), 1)], 1))


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained network that says how likely each class is; read-only.

    noisy: whether it was trained on noised points and is told t. Trained on clean ones it takes every x for clean.
    losses: the cross-entropy of every training step, in nats.
    """

    network: ClassNetwork
    schedule: NoiseSchedule
    noisy: bool
    losses: tuple[float, ...]

    def log_class(self, x: Tensor, t: int) -> Tensor:
        """log p(y | x_t) for every class, (N, C)."""
        return self.network(x.double(), self._level(t)).log_softmax(1)

    def gradient(self, x: Tensor, t: int, y: int) -> Tensor:
        """The gradient of log p(y | x_t) in x, (N, D), by backpropagation."""
        with torch.enable_grad():
            x = x.detach().double().requires_grad_()
            (out,) = torch.autograd.grad(self.log_class(x, t)[:, y].sum(), x)
        return out

    def _level(self, t: int | Tensor) -> Tensor:
        return level(self.schedule, torch.as_tensor(t)) if self.noisy else torch.zeros(1, 1).double()


def level(schedule: NoiseSchedule, t: Tensor) -> Tensor:
    """How noisy a time is, as a network likes it: ln(sigma) / 4; (B, 1) or (1, 1).

    Clamped to -2..2, so that it is finite where sigma is 0 (t = 0) or infinite (alpha_bar_T = 0, as of `flow`). All
    other times of the named schedules with T = 1000 lie within, but for the last of `cosine` and `sigmoid`.
    Source: Karras et al. (2022), arXiv 2206.00364, table 1, c_noise.
    """
    return (schedule.sigma[t].log() / 4).clamp(-2, 2).reshape(-1, 1)


def train_classifier(
    draw: Callable[[int, torch.Generator], tuple[Tensor, Tensor]],
    classes: int,
    schedule: NoiseSchedule,
    *,
    noisy: bool,
    steps: int = 500,
    batch: int = 256,
    generator: torch.Generator,
) -> Classifier:
    """Train on fresh points: as they are, or each at a random time of the schedule.

    Args:
        draw: n and a generator to points (n, D) and their classes (n,), 0 .. classes - 1.
    Raises: ValueError unless there are two classes at least.
    Source: Dhariwal & Nichol (2021), arXiv 2105.05233, section 4: the classifier is trained on noised pictures.
    """
    if classes < 2:
        raise ValueError(f"a classifier needs two classes at least, got {classes}")
    x, _ = draw(1, generator)
    network = ClassNetwork(x.shape[1], classes, generator=generator)
    optimiser = torch.optim.Adam(network.parameters(), lr=6e-3)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses = []
    for _ in range(steps):
        x, y = draw(batch, generator)
        if noisy:
            t = torch.randint(1, schedule.T + 1, (batch,), generator=generator)
            x, told = add_noise(x, randn_like(x, generator), t, schedule), level(schedule, t)
        else:
            told = torch.zeros(batch, 1)
        loss = nn.functional.cross_entropy(network(x.float(), told.float()), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()
        losses.append(float(loss.detach()))
    # In float64 from here on: guidance multiplies the gradient, and its rounding, by the ratio of noise to signal.
    return Classifier(network.double().requires_grad_(False).eval(), schedule, noisy, tuple(losses))
