"""The one place for a checkpoint's conventions: what ``scheduler_config.json`` says of noise, times and samplers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core import weights
from core.arguments import whole
from core.denoiser import READINGS
from core.schedule import NoiseSchedule, from_beta, named_schedule, zero_terminal_snr

BETA_SCHEDULES = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}
SPACINGS = {"trailing": "trailing", "leading": "leading", "linspace": "even"}


@dataclass(frozen=True)
class Scheduler:
    """How diffusers reads a ``scheduler_config.json`` when it walks with one of its schedulers.

    Args:
        name: of diffusers' class.
        spacing: ``timestep_spacing`` where the file says nothing.
        sigmas: x is in units of its signal there: the walk starts from sigma_T times the noise, not from unit variance,
            unless the times are spaced "leading".
        karras: it heeds ``use_karras_sigmas``.
        drops_last: the way is divided by steps + 1 and its last stretch left out, unless they are spaced "trailing".
        reads_end: the walk ends where ``set_alpha_to_one`` says; the others' on the clean picture.

    The times are diffusers' own, rounded as there, and so is the sample, to rounding, but that
    - its DDIM goes T // n back at every step, wherever the next time is. Here a step ends at the next time. That is the
      same with times spaced "leading", and "trailing" where n divides T; else samples differ by 0.01 and more;
    - its Eulers and Heun keep the fractions of times spaced "linspace", and all keep those of Karras' sigmas, where
      times here are whole, and equal ones are walked once: samples differ by less than 0.005 (on random networks,
      relative);
    - a single step spaced "linspace" starts at its clean end, here at T. And "trailing" it takes one step too many, at
      time -1, where float sums of T / n miss 0, as with n = 61;
    - of pure noise at T (``rescale_betas_zero_snr``) its Eulers and multistep solvers leave a trace of signal, and
      its Heun does not read that.
    Not read are other sigmas (exponential, beta, Lu's, or a last one above 0), orders and kinds of solver, and
    ``clip_sample``, which latents do not stand, and DDPM's ``variance_type``: it is the smaller one.
    """

    name: str
    spacing: str = "linspace"
    sigmas: bool = False
    karras: bool = False
    drops_last: bool = False
    reads_end: bool = False


# This project's samplers under diffusers' names.
SCHEDULERS = {
    "ddpm": Scheduler("DDPMScheduler", "leading"),
    "ddim": Scheduler("DDIMScheduler", "leading", reads_end=True),
    "euler": Scheduler("EulerDiscreteScheduler", sigmas=True, karras=True),
    "euler_ancestral": Scheduler("EulerAncestralDiscreteScheduler", sigmas=True),
    "heun": Scheduler("HeunDiscreteScheduler", sigmas=True, karras=True),
    "dpmpp_2m": Scheduler("DPMSolverMultistepScheduler", karras=True, drops_last=True),
    "unipc": Scheduler("UniPCMultistepScheduler", karras=True, drops_last=True),
}
# Schedulers that this project lacks, and the sampler that takes their place: one of few steps, or one that draws noise.
SUBSTITUTES = {
    "PNDMScheduler": "dpmpp_2m",
    "LMSDiscreteScheduler": "dpmpp_2m",
    "DEISMultistepScheduler": "dpmpp_2m",
    "DPMSolverSinglestepScheduler": "dpmpp_2m",
    "KDPM2DiscreteScheduler": "heun",
    "KDPM2AncestralDiscreteScheduler": "euler_ancestral",
    "DPMSolverSDEScheduler": "euler_ancestral",
}


def sampler_of(config: Mapping[str, Any]) -> str | None:
    """The sampler that a checkpoint's ``scheduler_config.json`` names, or the one that takes its place; None if none.

    Raises: ValueError for a scheduler of another kind.
    """
    name = config.get("_class_name", "").removeprefix("Flax")
    known = {scheduler.name: sampler for sampler, scheduler in SCHEDULERS.items()} | SUBSTITUTES
    if name and name not in known:
        raise ValueError(f"unknown scheduler {name!r}; known are {', '.join(known)}")
    return known.get(name)


def with_sampler(config: Mapping[str, Any], sampler: str) -> dict[str, Any]:
    """The same config for another sampler, as diffusers' ``Scheduler.from_config`` has it.

    One that names no scheduler means the same whoever walks. A sampler that diffusers lacks takes DDIM's times.
    """
    kind = SCHEDULERS.get(sampler, SCHEDULERS["ddim"])
    return {**config, "_class_name": kind.name} if sampler_of(config) else dict(config)


def default_sampling(config: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Sampler, steps, guidance and style for a checkpoint without a card: as its ``scheduler_config.json`` decides, or,
    where that is still to be fetched and empty here, its name.

    Of Stable Diffusion's, only Turbo's has Euler's steps "trailing" and predicts noise: it was distilled to one step
    without guidance.
    """
    turbo = not config and "turbo" in name.lower()
    sampler = sampler_of(config) or ("euler" if turbo else "dpmpp_2m")
    trailing = config.get("timestep_spacing") == "trailing" and config.get("prediction_type") != "v_prediction"
    named_euler = config.get("_class_name", "").removeprefix("Flax").startswith("Euler")  # and not one in its place
    if turbo or (named_euler and trailing):
        return {"sampler": sampler, "steps": 1, "guidance": 1.0, "style": 0.0}
    return {"sampler": sampler, "steps": 25, "guidance": 7.5, "style": 0.0}


def noise_schedule(config: Mapping[str, Any]) -> NoiseSchedule:
    """The noise schedule of a checkpoint's ``scheduler_config.json``.

    Raises: ValueError if it asks for one that this project does not have.
    """
    name, T = config.get("beta_schedule", "linear"), config.get("num_train_timesteps", 1000)
    if config.get("trained_betas") is not None:
        schedule = from_beta(torch.tensor(config["trained_betas"], dtype=torch.float64))
    elif name not in BETA_SCHEDULES:
        raise ValueError(f"unknown noise schedule {name!r}; known are {', '.join(BETA_SCHEDULES)}")
    elif name == "squaredcos_cap_v2":
        schedule = named_schedule("cosine", T=T)
    else:
        ends = {"beta_1": config.get("beta_start", 1e-4), "beta_T": config.get("beta_end", 0.02)}
        schedule = named_schedule(BETA_SCHEDULES[name], T=T, **ends)
    return zero_terminal_snr(schedule) if config.get("rescale_betas_zero_snr") else schedule


def read_scheduler(folder: Path) -> tuple[dict[str, Any], NoiseSchedule]:
    """A model folder's ``scheduler_config.json``, and the noise schedule that it describes.

    Raises: ValueError if it cannot be read or asks for what this project does not have.
    """
    path = folder / "scheduler" / "scheduler_config.json"
    config = weights.read_json(path)
    try:
        schedule = noise_schedule(config)
        sampling_plan(config, min(10, schedule.T))
        known = config.get("prediction_type", "epsilon") in READINGS
    except (AttributeError, TypeError) as error:  # a list or nothing where a word or a number should be
        raise ValueError(f"{path} cannot be used: {error}") from None
    if not known:
        raise ValueError(f"unknown prediction_type {config['prediction_type']!r}; known are {', '.join(READINGS)}")
    if config.get("thresholding"):
        raise ValueError(f"{path} asks for thresholding, which latents do not stand: wanted false")
    return config, schedule


def sampling_plan(config: Mapping[str, Any], steps: int) -> tuple[Tensor, float]:
    """When a checkpoint wants to be sampled, and from how much noise.

    Args:
        config: its ``scheduler_config.json``: ``_class_name``, ``timestep_spacing``, ``use_karras_sigmas``,
            ``steps_offset`` and ``set_alpha_to_one`` decide; see `with_sampler`.
        steps: network calls (for one-call samplers), 1 to T.
    Returns: (times strictly descending, in this project's 0..T; scale of the start noise).
    Raises: ValueError for an unknown scheduler or spacing, or a number of steps that does not fit, or leaves no way.
    """
    schedule, sampler = noise_schedule(config), sampler_of(config)
    kind = SCHEDULERS[sampler] if sampler else Scheduler("", "leading", reads_end=True)
    spacing = config.get("timestep_spacing", kind.spacing)
    if spacing not in SPACINGS:
        raise ValueError(f"unknown timestep_spacing {spacing!r}; known are {', '.join(SPACINGS)}")
    steps = whole("steps", steps, 1, schedule.T)
    beyond = kind.drops_last and spacing != "trailing"
    times = schedule.times(min(steps + beyond, schedule.T), SPACINGS[spacing])[: -2 if beyond else -1]
    if spacing == "leading":
        times = (times + config.get("steps_offset", 0)).clamp(max=schedule.T).unique().flip(0)
    if config.get("use_karras_sigmas") and kind.karras:
        first, least = (int(times[0]), int(times[-1])) if kind.sigmas else (schedule.T, 1)
        times = schedule.karras_times(steps, first, least)
    last = 1 if kind.reads_end and not config.get("set_alpha_to_one", True) else 0
    times = torch.cat([times[times > last], torch.tensor([last])])
    if len(times) < 2:
        raise ValueError(f"{steps} steps spaced {spacing!r} leave none to walk before t = {last}; take more")
    return times, float(schedule.noise[times[0]]) if kind.sigmas and spacing != "leading" else 1.0
