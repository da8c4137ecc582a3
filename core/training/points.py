"""A small denoiser of points in the plane, trained in seconds, beside the best that any network could learn."""

from collections.abc import Iterator

import torch
from torch import nn

from core.denoiser import READINGS, TARGETS, Denoiser, Prediction
from core.forward import add_noise
from core.mixtures import GaussianMixture
from core.networks.points import PointNetwork
from core.schedule import NoiseSchedule
from core.training.loop import Progress, TrainConfig, train

BATCH, EACH, EVERY = 256, 256, 16  # points a step; points and distance of the times that a loss is measured at


def learn(
    points: GaussianMixture, schedule: NoiseSchedule, *, prediction: str, width: int, steps: int, seed: int
) -> Iterator[Progress]:
    """Train a `PointNetwork` of that width on fresh draws of the mixture; yields one `Progress` a step."""
    weights, data, noise = (torch.Generator().manual_seed(3 * seed + i) for i in range(3))
    network = PointNetwork(width, generator=weights)
    batches = ((points.sample(BATCH, generator=data),) for _ in range(steps))
    config = TrainConfig(
        lr=6e-3, steps=steps, warmup=50, hold=0.4, ema=0.99, weight_decay=0, prediction=prediction, bf16=False
    )
    return train(network, batches, schedule, config, generator=noise)


def unconditional_denoiser(network: nn.Module, schedule: NoiseSchedule, prediction: str) -> Denoiser:
    """A network without context as a `Denoiser`, its answer read as what it was trained to say."""

    @torch.no_grad()
    def denoiser(x: torch.Tensor, t: int) -> Prediction:
        return READINGS[prediction](x, network(x, torch.full((len(x),), t - 1)), schedule.alpha_bar[t])

    return denoiser


def loss_of(denoiser: Denoiser, points: GaussianMixture, schedule: NoiseSchedule, prediction: str) -> float:
    """The loss that training minimises, on fixed points, noises and evenly spaced times.

    With ``points.denoiser(schedule)``, the exact posterior mean, it is the floor: what no network can go below.
    """
    g, total, times = torch.Generator().manual_seed(0), 0.0, range(EVERY // 2, schedule.T + 1, EVERY)
    for t in times:
        x0 = points.sample(EACH, generator=g)
        eps = torch.randn(x0.shape, generator=g)
        said = denoiser(add_noise(x0, eps, t, schedule), t)
        a = schedule.alpha_bar[t]
        target = TARGETS[prediction]
        total += (target(said.x0, said.eps, a) - target(x0, eps, a)).square().mean().item()
    return total / len(times)
