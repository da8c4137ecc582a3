"""The training loop: one generator that serves every network of this project."""

import copy
import math
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from core.denoiser import TARGETS
from core.devices import usable
from core.forward import add_noise, randn_like
from core.schedule import NoiseSchedule


@dataclass(frozen=True)
class TrainConfig:
    """How to optimise.

    lr: the highest learning rate. It rises over ``warmup`` steps, holds until ``hold`` of the whole (of ``steps`` or of
        ``minutes``, whichever is given), then falls to 0 as a cosine.
    optimizer: "adamw", or "muon": more learnt from a picture, and more work a step, so it wants larger batches.
    ema: the weights that are kept are a running mean, w <- ema w + (1 - ema) w_now, ema rising to this as training
        goes on.
    prediction: what the U-Net learns to say: epsilon, sample or v_prediction.
    bf16: multiply in bfloat16 where the hardware does.
    """

    lr: float = 1e-3
    steps: int | None = None
    minutes: float | None = None
    warmup: int = 100
    hold: float = 0.6
    ema: float = 0.999
    weight_decay: float = 0.01
    clip_grad: float = 1.0
    optimizer: str = "adamw"
    prediction: str = "v_prediction"
    bf16: bool = True
    compile: bool = False

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError(f"give either steps or minutes, got steps={self.steps} and minutes={self.minutes}")
        if (self.steps or 0) < 0 or not (self.steps or self.minutes or 0) > 0 or self.warmup < 1:
            raise ValueError(
                f"steps or minutes must be above 0 and warmup at least 1, got steps={self.steps}, "
                f"minutes={self.minutes} and warmup={self.warmup}"
            )
        if self.prediction not in TARGETS:
            raise ValueError(f"unknown prediction {self.prediction!r}; known are {', '.join(TARGETS)}")
        if self.optimizer not in ("adamw", "muon"):
            raise ValueError(f"unknown optimizer {self.optimizer!r}; known are adamw, muon")


@dataclass(frozen=True)
class Progress:
    """Where training stands after a step. ``network`` holds the running mean of the weights."""

    step: int
    pictures: int
    loss: float
    lr: float
    pictures_per_second: float
    seconds_left: float
    network: nn.Module


class Denoising(nn.Module):
    """|| network(x_t, t) - target ||^2 with t and eps drawn anew: what a diffusion model learns from.

    late: times are drawn with a density proportional to t^late. 0 is uniform; 1 spends three quarters of the training
        on the noisier half, where the words decide what it will be.
    unpooled: the share of pictures whose words the network is not told in one vector (`UNet.forward`'s ``pooled``), so
        that its cross-attention learns to say what they are.
    Source: Ho et al. (2020), arXiv 2006.11239, algorithm 1 and equation 14; for v, Salimans & Ho (2022),
    arXiv 2202.00512.
    """

    def __init__(
        self,
        network: nn.Module,
        schedule: NoiseSchedule,
        prediction: str,
        generator: torch.Generator | None = None,
        *,
        late: float = 0.0,
        unpooled: float = 0.0,
    ):
        super().__init__()
        self.network, self.schedule, self.target, self.generator = network, schedule, TARGETS[prediction], generator
        self.late, self.unpooled = late, unpooled

    def draw(self, x0: Tensor, *context: Tensor) -> tuple[Tensor, ...]:
        """(x_t, t - 1, target, *context), and who is told it pooled if not all are: drawn outside the compiled part, so
        that chance stays in one place."""
        # Inverse transform sampling: P(t <= T u) = u^(1 + late).
        u = torch.rand(len(x0), dtype=torch.float64, generator=self.generator) ** (1 / (1 + self.late))
        t = 1 + (self.schedule.T * u).long().clamp(max=self.schedule.T - 1)
        eps = randn_like(x0, self.generator)
        target = self.target(x0, eps, self.schedule.alpha_bar[t])
        if self.unpooled:
            context += ((torch.rand(len(x0), generator=self.generator) >= self.unpooled).to(x0.device),)
        return add_noise(x0, eps, t, self.schedule), (t - 1).to(x0.device), target.to(x0), *context

    def forward(self, x_t: Tensor, t: Tensor, target: Tensor, *told: Tensor) -> Tensor:
        return (self.network(x_t, t, *told).float() - target).square().mean()


def train(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, ...]],
    schedule: NoiseSchedule,
    config: TrainConfig,
    *,
    generator: torch.Generator | None = None,
) -> Iterator[Progress]:
    """Train a denoiser on batches (x0, *context); times and noises come from ``generator``. See `fit`."""
    return fit(network, Denoising(network, schedule, config.prediction, generator), batches, config)


def fit(
    network: nn.Module, objective: nn.Module, batches: Iterable[tuple[Tensor, ...]], config: TrainConfig
) -> Iterator[Progress]:
    """Minimise ``objective(*batch)``, a module that holds ``network`` and returns one number.

    Runs in bfloat16 where that is faster (CUDA, CPUs with bf16 units), on every GPU under ``torchrun``, until ``steps``
    or ``minutes`` are over or ``batches`` end.
    Yields: one `Progress` a step.
    """
    device = next(network.parameters()).device
    average = copy.deepcopy(network).requires_grad_(False)
    fast = config.bf16 and (device.type == "cuda" or (device.type == "cpu" and bf16_units()))
    optimizers = optimizers_of(objective, config)
    run: nn.Module = DistributedDataParallel(objective) if dist.is_initialized() else objective
    if config.compile:
        run.compile()
    # On a CPU the fused attention is slow backwards: spelt out, a step takes a tenth less time.
    attention = partial(sdpa_kernel, SDPBackend.MATH) if device.type == "cpu" else nullcontext
    world = dist.get_world_size() if dist.is_initialized() else 1
    draw = getattr(objective, "draw", lambda *batch: batch)
    start, pictures, smooth = time.monotonic(), 0, None
    for step, batch in enumerate(batches):
        elapsed = time.monotonic() - start
        done = step / config.steps if config.steps else elapsed / (60 * (config.minutes or 0))
        if world > 1:  # one clock for all, so that every process takes the same steps at the same learning rates
            clock = torch.tensor(done, dtype=torch.float64, device=device)
            dist.broadcast(clock, 0)
            done = clock.item()
        if done >= 1:
            return
        lr = config.lr * schedule_lr(step, done, config)
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = lr
        with torch.autocast(device.type, torch.bfloat16, enabled=fast), attention():
            loss = run(*draw(*batch))
        objective.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(objective.parameters(), config.clip_grad)
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            keep = min(config.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - keep)  # pyright: ignore
            for mine, new in zip(average.buffers(), network.buffers(), strict=True):  # running statistics, if any
                mine.copy_(new)
        pictures += len(batch[0]) * world
        elapsed = time.monotonic() - start
        value = loss.item()
        smooth = value if smooth is None else 0.98 * smooth + 0.02 * value
        left = (
            elapsed * (config.steps - step - 1) / (step + 1) if config.steps else 60 * (config.minutes or 0) - elapsed
        )
        yield Progress(step + 1, pictures, smooth, lr, pictures / elapsed, left, average)


class Muon(torch.optim.Muon):
    """torch's Muon, which takes matrices, for kernels too: (out, in, k, k) is laid out as (out, in k k).

    The step along a matrix G = U S V^T is U V^T, and not G: directions that few pictures need are learnt as fast as
    those that all need. Scaled to the length of AdamW's steps, so that one learning rate serves both.
    Source: Liu et al. (2025), arXiv 2502.16982, section 2.2.
    """

    def __init__(self, weights: Iterable[Tensor], lr: float, weight_decay: float):
        self.weights = list(weights)
        # The same memory under another shape: a step on the matrix moves the kernel.
        matrices = [nn.Parameter(as_matrix(weight.data, weight)) for weight in self.weights]
        assert all(a.data_ptr() == b.data_ptr() for a, b in zip(matrices, self.weights, strict=True))
        super().__init__(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")

    def step(self, closure: None = None) -> None:
        for weight, matrix in zip(self.weights, self.param_groups[0]["params"], strict=True):
            matrix.grad = None if weight.grad is None else as_matrix(weight.grad, weight)
        slow = self.weights[0].device.type == "cpu" and not bf16_units()
        with InFloat32() if slow else nullcontext():
            super().step(closure)


class InFloat32(TorchFunctionMode):
    """Who asks for bfloat16, as torch's Muon does, gets float32: where a CPU multiplies bfloat16 in software, a step
    would take ten times longer than the network's own work."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if kwargs.get("dtype") is torch.bfloat16:
            kwargs["dtype"] = torch.float32
        return func(*args, **kwargs)


def as_matrix(x: Tensor, like: Tensor) -> Tensor:
    """(out, ...) as (out, in), its columns in the order in which ``like`` lies in memory."""
    return (x if like.is_contiguous() else x.movedim(1, -1)).reshape(len(x), -1)


def optimizers_of(network: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """What moves the weights: AdamW; or Muon for matrices and kernels, and AdamW for the rest, thin matrices too."""
    wide: list[Tensor] = []
    rest: list[Tensor] = []
    for weight in network.parameters():
        matrix = config.optimizer == "muon" and weight.ndim > 1 and min(len(weight), weight[0].numel()) > 16
        (wide if matrix else rest).append(weight)
    adamw = torch.optim.AdamW(rest, config.lr, betas=(0.9, 0.99), weight_decay=config.weight_decay, fused=True)
    return [Muon(wide, config.lr, config.weight_decay), adamw] if wide else [adamw]


def schedule_lr(step: int, done: float, config: TrainConfig) -> float:
    """Warm-up, plateau, cosine fall: the share of the highest learning rate at ``done`` (0..1) of the training."""
    fall = max(0.0, (done - config.hold) / (1 - config.hold)) if config.hold < 1 else 0.0
    return min(1.0, (step + 1) / config.warmup) * (1 + math.cos(math.pi * fall)) / 2


def bf16_units() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AMX or AVX-512 BF16)."""
    return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()


def device_of_this_process(wanted: str | None = None) -> torch.device:
    """``wanted`` if it is usable, or this rank's GPU under ``torchrun``, or a GPU if there is one, else the CPU."""
    if wanted:
        return usable(wanted)
    return (
        torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
    )
