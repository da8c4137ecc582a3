"""Looking into a trained denoiser: what it says at any t, how far off it is, what it may have learned by heart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from core import datasets
from core.denoiser import READINGS, Prediction, velocity
from core.forward import add_noise
from core.mixtures import mean_distance
from core.pipeline import ClassToImage
from core.schedule import NoiseSchedule

MADE = {"train": (48, 100_000), "test": (16, 200_000)}  # pictures of a class, and the seed of the first


@dataclass(frozen=True, eq=False)
class Pictures:
    """x0: pictures (N, 1, H, W) in [-1, 1]. real: whether they are the data set's, not drawn by a model."""

    x0: Tensor
    real: bool


def class_pictures(model: ClassToImage, label: int | None, split: str = "train") -> Pictures:
    """Pictures of a class (None: of every class): FashionMNIST's where it is at hand, else the model draws some.

    Nothing is downloaded. Drawn pictures come from ten steps without guidance, other seeds for "train" than for "test".
    """
    folder = datasets.at_hand("fashion")
    if folder is None:
        return Pictures(_drawn(model, label, split), False)
    images, labels = _fashion(split, str(folder))
    chosen = images if label is None else images[labels == label]
    if label is None:  # as many of every class, in turn
        rows = [torch.nonzero(labels == c).flatten()[:600] for c in range(10)]
        chosen = images[torch.stack(rows, 1).flatten()]
    return Pictures(chosen.float() / 127.5 - 1, True)


@lru_cache(maxsize=2)
def _fashion(split: str, folder: str) -> tuple[Tensor, Tensor]:
    return datasets.fashion(split, folder)


def _drawn(model: ClassToImage, label: int | None, split: str) -> Tensor:
    n, seed = MADE[split]
    labels = None if not model.classes else [i % model.classes if label is None else label for i in range(n)]
    *_, last = model.stream(labels, n, steps=min(10, model.schedule.T), guidance=1.0, seed=seed)
    return last.x_next.clamp(-1, 1)


@torch.no_grad()
def ask(
    model: ClassToImage, x: Tensor, times: Sequence[int], label: int | None, *, told: Sequence[int] | None = None
) -> Prediction:
    """What the network says of each x (B, 1, H, W), each at its own time, in one batch.

    Args:
        told: the times the network is told, if they are not the true ones; its answer is read at those.
    """
    said = torch.tensor(list(times if told is None else told))
    labels = None if label is None else [label] * len(x)
    context = model.context(labels, len(x))
    answer = model.unet(x.to(context), (said - 1).to(context.device), context)  # networks count from 0
    return READINGS[model.prediction_type](x, answer.to(x), model.schedule.alpha_bar[said])


def readings(prediction: Prediction, alpha_bar_t: float | Tensor) -> dict[str, Tensor]:
    """One prediction in its three readings: noise eps, picture x0, and v = signal eps - noise x0."""
    v = velocity(prediction.x0, prediction.eps, alpha_bar_t)
    return {"eps": prediction.eps, "x0": prediction.x0, "v": v}


def losses(prediction: Prediction, x0: Tensor, eps: Tensor, alpha_bar_t: float | Tensor) -> dict[str, Tensor]:
    """Mean squared error of every sample in the three readings, (B,) each.

    They are one error in three units: L_x0 = L_eps / snr and L_v = L_eps / alpha_bar.
    """
    said, true = readings(prediction, alpha_bar_t), readings(Prediction(x0, eps), alpha_bar_t)
    return {name: (said[name] - true[name]).square().flatten(1).mean(1) for name in said}


def apart(x: Tensor) -> float:
    """Mean root mean square distance between two different pictures of a batch (B, ...): 0 where all are one.

    Raises: ValueError unless there are two pictures at least.
    """
    return mean_distance(x.flatten(1)) / x[0].numel() ** 0.5


def nearest(x: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
    """For each x (B, ...) the number of the nearest member of the data (N, ...) and the root mean square distance."""
    far = torch.cdist(x.flatten(1).double(), data.flatten(1).double(), compute_mode="donot_use_mm_for_euclid_dist")
    distance, which = far.min(1)
    return which, distance / x[0].numel() ** 0.5


def members_in_play(x: Tensor, data: Tensor, t: int, schedule: NoiseSchedule) -> Tensor:
    """Among how many members of the data (N, ...) each x_t (B, ...) still hesitates, 1 to N: (B,).

    The exponential of the entropy of the weights with which `empirical_denoiser` averages them: 1 is certainty.
    Raises: ValueError at t = 0, where nothing is left to guess.
    """
    signal, noise = float(schedule.signal[t]), float(schedule.noise[t])
    if noise == 0:
        raise ValueError("at t = 0 there is no noise and nothing to guess")
    far = torch.cdist(x.flatten(1).double(), signal * data.flatten(1).double()) ** 2
    w = (-far / (2 * noise**2)).softmax(1)
    return torch.special.entr(w).sum(1).exp()


def group_norm(x: Tensor, groups: int) -> Tensor:
    """Channels in groups, each group of each sample brought to mean 0 and variance 1; x (B, C, H, W).

    Raises: ValueError if the groups do not divide the channels.
    Source: Wu & He (2018), arXiv 1803.08494, equation 1, before the learned scale and shift.
    """
    if x.shape[1] % groups:
        raise ValueError(f"{groups} groups do not divide {x.shape[1]} channels")
    return F.group_norm(x, groups)


# ReLU cuts; GELU weighs x by the chance that a bell lies below it (Hendrycks & Gimpel 2016, arXiv 1606.08415); SiLU by
# a logistic curve (Elfwing et al. 2017, arXiv 1702.03118).
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"ReLU": F.relu, "GELU": F.gelu, "SiLU": F.silu}


def derivative(activation: str, x: float) -> float:
    """The derivative of an activation at x, by backpropagation (ReLU's at 0 is taken as 0)."""
    with torch.enable_grad():
        at = torch.tensor(float(x), dtype=torch.float64, requires_grad=True)
        (d,) = torch.autograd.grad(ACTIVATIONS[activation](at), at)
    return d.item()


def noised(x0: Tensor, eps: Tensor, times: Sequence[int], schedule: NoiseSchedule) -> Tensor:
    """One picture (1, H, W) with one noise at every time: (times, 1, H, W)."""
    t = torch.tensor(list(times))
    return add_noise(x0.expand(len(t), *x0.shape), eps.expand(len(t), *eps.shape), t, schedule)
