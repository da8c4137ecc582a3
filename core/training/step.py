"""One step of training, taken apart: pick, noise, predict, compare, backpropagate, move the weights."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.denoiser import TARGETS
from core.forward import add_noise
from core.schedule import NoiseSchedule


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """What one step did. The network it was taken on is a copy, in float64; the given one is as it was.

    x_t, target, before, after: the noised pictures, what should have been said of them, and what the network said
        before and after the step, all (B, ...).
    loss, loss_after: mean squared error of those answers.
    gradient: parameter -> d loss / d parameter. rate: what it was multiplied with and taken from the weights.
    network: the copy before the step.
    """

    x_t: Tensor
    target: Tensor
    before: Tensor
    after: Tensor
    loss: float
    loss_after: float
    gradient: dict[str, Tensor]
    rate: float
    network: nn.Module

    @property
    def length(self) -> float:
        """|gradient|, over all weights."""
        return math.sqrt(math.fsum(float(g.square().sum()) for g in self.gradient.values()))

    @property
    def change(self) -> float:
        """How far the weights move: rate |gradient|."""
        return self.rate * self.length


def training_step(
    network: nn.Module,
    x0: Tensor,
    eps: Tensor,
    t: int,
    context: Sequence[Tensor],
    schedule: NoiseSchedule,
    *,
    prediction: str,
    rate: float,
) -> TrainingStep:
    """One step of plain gradient descent on || network(x_t, t) - target ||^2: w <- w - rate d loss / d w.

    Args:
        x0, eps: the pictures picked and the noise for them, (B, ...). t: one time 1..T for all.
        context: what else the network is told. prediction: what it says: epsilon, sample or v_prediction.
    Raises: ValueError if t lies outside 1..T or the rate is not finite.
    Source: Ho et al. (2020), arXiv 2006.11239, algorithm 1. Training proper scales the steps
    (`core.training.loop`: AdamW, Muon).
    """
    if not 1 <= t <= schedule.T:
        raise ValueError(f"a training step needs noise: t must be from 1 to {schedule.T}, got {t}")
    if not math.isfinite(rate):
        raise ValueError(f"the learning rate must be finite, got {rate}")
    before = copy.deepcopy(network).double().requires_grad_(True)
    x0, eps = x0.double(), eps.double()
    x_t, target = add_noise(x0, eps, t, schedule), TARGETS[prediction](x0, eps, schedule.alpha_bar[t])
    time, told = torch.full((len(x0),), t - 1), [part.double() for part in context]  # a network's time counts from 0
    with torch.enable_grad():
        said = before(x_t, time, *told)
        loss = (said - target).square().mean()
        slopes = torch.autograd.grad(loss, list(before.parameters()))
    gradient = {name: g for (name, _), g in zip(before.named_parameters(), slopes, strict=True)}
    with torch.no_grad():
        said_after = moved(before, gradient, -rate)(x_t, time, *told)
    return TrainingStep(
        x_t, target, said.detach(), said_after, loss.item(), (said_after - target).square().mean().item(),
        gradient, rate, before.requires_grad_(False),
    )  # fmt: skip


def moved(network: nn.Module, direction: dict[str, Tensor], by: float) -> nn.Module:
    """A copy of the network with every weight moved ``by`` times its direction."""
    there = copy.deepcopy(network).requires_grad_(False)
    for name, weights in there.named_parameters():
        weights += by * direction[name]
    return there
