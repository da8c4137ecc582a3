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
    """A step up to its gradient, on a copy of the network, in float64; `moved` takes it, at any learning rate.

    x_t, target, before: the noised pictures, what should be said of them, and what the network says, all (B, ...).
    inputs: what it is told beside x_t: the times (B,), and the context.
    loss: mean squared error of its answer. gradient: parameter -> d loss / d parameter. network: the copy, as it was.
    """

    x_t: Tensor
    target: Tensor
    before: Tensor
    inputs: tuple[Tensor, ...]
    loss: float
    gradient: dict[str, Tensor]
    network: nn.Module

    @property
    def length(self) -> float:
        """|gradient|, over all weights."""
        return math.sqrt(math.fsum(float(g.square().sum()) for g in self.gradient.values()))

    def moved(self, rate: float) -> nn.Module:
        """The network after the step: w - rate d loss / d w.

        Raises: ValueError if the rate is not finite.
        """
        if not math.isfinite(rate):
            raise ValueError(f"the learning rate must be finite, got {rate}")
        there = copy.deepcopy(self.network)
        for name, weights in there.named_parameters():
            weights -= rate * self.gradient[name]
        return there

    @torch.no_grad()
    def answer(self, network: nn.Module) -> Tensor:
        """What any copy of the network says of the same pictures, (B, ...)."""
        return network(self.x_t, *self.inputs)

    def error(self, answer: Tensor) -> float:
        """The loss of an answer."""
        return float((answer - self.target).square().mean())

    def loss_of(self, network: nn.Module) -> float:
        """The loss of any copy of the network on the same pictures."""
        return self.error(self.answer(network))


def training_step(
    network: nn.Module,
    x0: Tensor,
    eps: Tensor,
    t: int,
    context: Sequence[Tensor],
    schedule: NoiseSchedule,
    *,
    prediction: str,
) -> TrainingStep:
    """One step of plain gradient descent on || network(x_t, t) - target ||^2: w <- w - rate d loss / d w.

    Args:
        x0, eps: the pictures picked and the noise for them, (B, ...). t: one time 1..T for all.
        context: what else the network is told. prediction: what it says: epsilon, sample or v_prediction.
    Raises: ValueError if t lies outside 1..T.
    Source: Ho et al. (2020), arXiv 2006.11239, algorithm 1. Training proper scales the steps
    (`core.training.loop`: AdamW, Muon).
    """
    if not 1 <= t <= schedule.T:
        raise ValueError(f"a training step needs noise: t must be from 1 to {schedule.T}, got {t}")
    twin = copy.deepcopy(network).double().requires_grad_(True)
    x0, eps = x0.double(), eps.double()
    x_t, target = add_noise(x0, eps, t, schedule), TARGETS[prediction](x0, eps, schedule.alpha_bar[t])
    # a network's time counts from 0
    inputs = (torch.full((len(x0),), t - 1), *(part.double() for part in context))
    with torch.enable_grad():
        said = twin(x_t, *inputs)
        loss = (said - target).square().mean()
        slopes = torch.autograd.grad(loss, list(twin.parameters()))
    gradient = {name: g for (name, _), g in zip(twin.named_parameters(), slopes, strict=True)}
    return TrainingStep(x_t, target, said.detach(), inputs, loss.item(), gradient, twin.requires_grad_(False))
