"""Text to picture: words, U-Net, sampler and VAE in one walk; the one place for a checkpoint's conventions."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from core import weights
from core.denoiser import Denoiser, Prediction
from core.forward import add_noise
from core.networks.attention import Record
from core.networks.unet import UNet
from core.networks.vae import VAE
from core.samplers import Step, named_sampler
from core.schedule import NoiseSchedule, from_beta, named_schedule, zero_terminal_snr
from core.weights import Card, Report

if TYPE_CHECKING:
    from core.text import TextEncoder

# How to read a network's answer, by the name that checkpoints use.
READINGS: dict[str, Callable[[Tensor, Tensor, float | Tensor], Prediction]] = {
    "epsilon": Prediction.from_eps,
    "sample": Prediction.from_x0,
    "v_prediction": Prediction.from_v,
}
BETA_SCHEDULES = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}
SPACINGS = {"trailing": "trailing", "leading": "leading", "linspace": "even"}
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
Guidance = float | Callable[[int], float]


@dataclass(frozen=True)
class Scheduler:
    """How diffusers reads a ``scheduler_config.json`` when it walks with one of its schedulers.

    name: of the scheduler. spacing: of the times, where the file says nothing. sigmas: it starts from sigma_T times the
    noise, not from unit variance, unless the times are spaced "leading". further: it divides the way by steps + 1 and
    leaves the last stretch out, unless they are spaced "trailing". says_last: it ends where ``set_alpha_to_one`` says,
    the others on the clean picture.

    The times are diffusers' own, rounded as there, and so is the sample, to rounding, but that
    - its DDIM goes T // n back at every step, wherever the next time is. Here a step ends at the next time. That is the
      same with times spaced "leading", and "trailing" where n divides T; else samples differ by 0.01 and more;
    - its Eulers and Heun keep the fractions of times spaced "linspace", and all keep those of Karras' sigmas, where
      times here are whole: samples differ by less than 0.005 (on random networks, relative);
    - a single step spaced "linspace" starts at its clean end, here at T. And "trailing" it takes one step too many, at
      time -1, where float sums of T / n miss 0, as with n = 61;
    - of pure noise at T (``rescale_betas_zero_snr``) its Eulers and multistep solvers leave a trace of signal.
    Not read are other sigmas (exponential, beta, Lu's, or a last one above 0), orders and kinds of solver, and
    ``clip_sample``, which latents do not stand.
    """

    name: str
    spacing: str = "linspace"
    sigmas: bool = False
    further: bool = False
    says_last: bool = False


# This project's samplers under diffusers' names.
SCHEDULERS = {
    "ddpm": Scheduler("DDPMScheduler", "leading"),
    "ddim": Scheduler("DDIMScheduler", "leading", says_last=True),
    "euler": Scheduler("EulerDiscreteScheduler", sigmas=True),
    "euler_ancestral": Scheduler("EulerAncestralDiscreteScheduler", sigmas=True),
    "heun": Scheduler("HeunDiscreteScheduler", sigmas=True),
    "dpmpp_2m": Scheduler("DPMSolverMultistepScheduler", further=True),
    "unipc": Scheduler("UniPCMultistepScheduler", further=True),
}
# Schedulers that this project lacks, and the sampler that takes their place: one of few steps, or one that draws noise.
ANSWERED = {
    "PNDMScheduler": "dpmpp_2m",
    "LMSDiscreteScheduler": "dpmpp_2m",
    "DEISMultistepScheduler": "dpmpp_2m",
    "DPMSolverSinglestepScheduler": "dpmpp_2m",
    "KDPM2DiscreteScheduler": "heun",
    "KDPM2AncestralDiscreteScheduler": "euler_ancestral",
    "DPMSolverSDEScheduler": "euler_ancestral",
}


def own_sampler(config: Mapping[str, Any]) -> str | None:
    """The sampler that a checkpoint's ``scheduler_config.json`` names, or the one that takes its place; None if none.

    Raises: ValueError for a scheduler of another kind.
    """
    name = config.get("_class_name", "").removeprefix("Flax")
    known = {scheduler.name: sampler for sampler, scheduler in SCHEDULERS.items()} | ANSWERED
    if name and name not in known:
        raise ValueError(f"unknown scheduler {name!r}; known are {', '.join(known)}")
    return known.get(name)


def walked_by(config: Mapping[str, Any], sampler: str) -> dict[str, Any]:
    """The same config for another sampler, as diffusers' ``Scheduler.from_config`` has it.

    One that names no scheduler means the same whoever walks. A sampler that diffusers lacks takes DDIM's times.
    """
    kind = SCHEDULERS.get(sampler, SCHEDULERS["ddim"])
    return {**config, "_class_name": kind.name} if own_sampler(config) else dict(config)


def suited(config: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Sampler, steps, guidance and style for a checkpoint without a card: as its ``scheduler_config.json`` decides, or,
    where that is still to be fetched and empty here, its name.

    Of Stable Diffusion's, only Turbo's has Euler's steps "trailing" and predicts noise: it was distilled to one step
    without guidance.
    """
    turbo = not config and "turbo" in name.lower()
    sampler = own_sampler(config) or ("euler" if turbo else "dpmpp_2m")
    trailing = config.get("timestep_spacing") == "trailing" and config.get("prediction_type") != "v_prediction"
    if turbo or (sampler.startswith("euler") and trailing):
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
            ``steps_offset`` and ``set_alpha_to_one`` decide; see `walked_by`.
        steps: network calls (for one-call samplers), 1 to T.
    Returns: (times strictly descending, in this project's 0..T; scale of the start noise).
    Raises: ValueError for an unknown scheduler or spacing, or a number of steps that does not fit, or leaves no way.
    """
    schedule, sampler = noise_schedule(config), own_sampler(config)
    kind = SCHEDULERS[sampler] if sampler else Scheduler("", "leading", says_last=True)
    spacing = config.get("timestep_spacing", kind.spacing)
    if spacing not in SPACINGS:
        raise ValueError(f"unknown timestep_spacing {spacing!r}; known are {', '.join(SPACINGS)}")
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= schedule.T:
        raise ValueError(f"steps must be a whole number from 1 to {schedule.T}, got {steps!r}")
    beyond = kind.further and spacing != "trailing"
    times = schedule.times(min(steps + beyond, schedule.T), SPACINGS[spacing])[: -2 if beyond else -1]
    if spacing == "leading":
        times = (times + config.get("steps_offset", 0)).clamp(max=schedule.T).unique().flip(0)
    if config.get("use_karras_sigmas") and (kind.sigmas or kind.further):
        first, least = (int(times[0]), int(times[-1])) if kind.sigmas else (schedule.T, 1)
        times = schedule.karras_times(steps, first, least)
    last = 1 if kind.says_last and not config.get("set_alpha_to_one", True) else 0
    times = torch.cat([times[times > last], torch.tensor([last])])
    if len(times) < 2:
        raise ValueError(f"{steps} steps spaced {spacing!r} leave none to walk before t = {last}; take more")
    return times, float(schedule.noise[times[0]]) if kind.sigmas and spacing != "leading" else 1.0


@contextmanager
def memory(doing: str, device: torch.device) -> Iterator[None]:
    """Answer what a device says when it is full with a ValueError, and give back what the attempt took."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not weights.out_of_memory(error):
            raise
        full = f"{doing} needs more memory than {device} has free"
    else:
        return
    if device.type == "cuda":
        torch.cuda.empty_cache()
    raise ValueError(f"{full}: choose a smaller size or batch, a smaller model, or another device")


def best_device() -> torch.device:
    """CUDA if there is one, else Apple's MPS, else the CPU."""
    mps = torch.backends.mps.is_available()
    return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")


def usable(device: torch.device | str | None) -> torch.device:
    """``device``, or the best there is. Raises: ValueError if torch does not know it or cannot use it here."""
    try:
        at = best_device() if device is None else torch.device(device)
        torch.zeros(1, device=at)
    except (RuntimeError, AssertionError) as error:  # without the device; without CUDA in torch's build
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"cannot run on device {str(device)!r}: {reason}; the best here is {best_device()}") from None
    return at


# What a part of a prompt ends in: (in) fx style, and (on a) blue background.
STYLE = re.compile(r"(?:(?:.*\W)?in |)((?:an? |the |)(?:(?!(?:in|on|of|with) )[\w’'-]+ ){1,3}style)\W*", re.IGNORECASE)
ON, NOT = r"(?:on|with|against)", r"\b(?:in|on|with|against)\b"
GROUND = re.compile(
    rf"(?:.*\W|)({ON} (?:(?!{NOT}).)*\w background)\W*|((?:(?!{NOT}).)*\w background)\W*", re.IGNORECASE
)


def style_of(prompt: str) -> tuple[str, str]:
    """The style that a prompt names, with the background that it names, and that background without it: of "red apple,
    fx style, on a blue background" these are "fx style, on a blue background" and "on a blue background".

    A style is one to three words and "style", a part between commas, or what ends such a part behind "in"; a background
    is a part that ends in "background", or ends so behind "on", "with" or "against". Two empty texts if no style is
    named, or nothing else.
    """
    styles: list[str] = []
    grounds: list[str] = []
    things = False
    for part in (" ".join(part.split()) for part in prompt.split(",")):
        while part:
            style = STYLE.fullmatch(part)
            found = style or GROUND.fullmatch(part)
            if found is None:
                things = True
                break
            group = found.lastindex or 0
            (styles if style else grounds).append(found[group].strip())
            part = re.sub(r"(^| )in *$", "", part[: found.start(group)], flags=re.IGNORECASE).strip()
    if not styles or not things:
        return "", ""
    return ", ".join([*styles, *grounds]), ", ".join(grounds)


def network_denoiser(
    unet: nn.Module,
    schedule: NoiseSchedule,
    prediction_type: str,
    context: Tensor,
    empty: Tensor,
    guidance: Guidance,
    record: Record | None = None,
    style: tuple[Tensor, Tensor, float] | None = None,
) -> Denoiser:
    """A U-Net as a `Denoiser`, guided by its own unconditional answer, all from one batch.

    Args:
        context: the words, (B, L, D). empty: what stands for no (or unwanted) words, (1 or B, L, D).
        guidance: 1 asks the conditional network alone, 0 the unconditional one; a number or a function of t.
        record: filled anew at each call, with the conditional rows only.
        style: words, others and a weight k; wherever the guidance s is above 1, it presses beside the words what the
            first of these say over the second: (s - 1) k (eps_first - eps_second) is added, as concepts are composed
            by Liu et al. (2022), arXiv 2206.01714.
    """
    read = READINGS[prediction_type]
    empty = empty.expand(len(context), -1, -1)
    beside = () if style is None or style[2] == 0 else tuple(words.expand(len(context), -1, -1) for words in style[:2])
    compiled = getattr(unet, "_compiled_call_impl", None) is not None
    ask = unet.forward if compiled and record is not None else unet  # compiled code keeps no record

    def denoiser(x: Tensor, t: int) -> Prediction:
        scale = guidance(t) if callable(guidance) else guidance
        more = beside if scale > 1 else ()
        rows = context if scale == 1 else empty if scale == 0 else torch.cat([context, empty, *more])
        repeats = len(rows) // len(x)
        asked = torch.cat([x.to(context.dtype)] * repeats)
        time = torch.full((len(asked),), t - 1, device=x.device)  # networks count from 0, where one step of noise is
        with memory("a step", x.device):
            answer = ask(asked, time, rows, record=record)
        answer = answer.to(x.dtype, copy=True)  # a compiled network answers into the same memory each time
        if record is not None:
            for kept in (record.attention, record.features):
                kept.update({name: value[: len(x)] for name, value in kept.items()})
            record.pooled = None if record.pooled is None else record.pooled[: len(x)]
        if repeats > 1:  # a reading is affine in the answer, so that guided answers read as `guide` has it
            if not math.isfinite(scale):
                raise ValueError(f"the guidance scale must be a finite number, got {scale}")
            cond, uncond, *other = answer.chunk(repeats)
            answer = torch.lerp(uncond, cond, float(scale))
            if style is not None and other:
                answer += (scale - 1) * style[2] * (other[0] - other[1])
        return read(x, answer, schedule.alpha_bar[t])

    return denoiser


def class_context(labels: Tensor, classes: int) -> Tensor:
    """Class numbers (B,) as the one row that a U-Net attends to: (B, 1, classes + 1), one-hot; ``classes`` is no class.

    The key and value layers of cross-attention then hold one learned vector per class.
    """
    return nn.functional.one_hot(labels, classes + 1).float()[:, None]


@dataclass(frozen=True)
class ClassToImage:
    """A model of small pictures that is told a class or nothing: no words, no VAE. Read-only after loading."""

    unet: UNet
    schedule: NoiseSchedule
    card: Card
    scheduler: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, name: str | Path = "fashion", *, device: torch.device | str | None = None) -> "ClassToImage":
        """Load an embedded model ("fashion", "fashion-oneshot") or a folder with ``unet`` and ``scheduler``.

        Raises: ValueError if it is unknown, or its files are missing, damaged or foreign.
        """
        folder = weights.resolve(name)
        unet, _ = weights.load(f"{folder}/unet", device=usable(device))
        scheduler, schedule = read_scheduler(folder)
        return cls(unet, schedule, weights.read_model_card(folder), scheduler)

    @property
    def classes(self) -> int:
        return self.unet.config.cross_attention_dim - 1

    @property
    def prediction_type(self) -> str:
        return self.scheduler.get("prediction_type", "epsilon")

    def context(self, labels: Sequence[int] | None, batch: int = 1) -> Tensor:
        """What the U-Net attends to, (B, 1, classes + 1): a class per picture, or none for ``batch`` pictures.

        Raises: ValueError for a class outside 0..classes-1, or no picture at all.
        """
        numbers = [self.classes] * batch if labels is None else list(labels)
        if not numbers:
            raise ValueError(f"wanted at least one picture, got labels={labels} and batch={batch}")
        if labels is not None and not all(
            hasattr(n, "__index__") and not isinstance(n, bool) and 0 <= n < self.classes for n in numbers
        ):
            raise ValueError(f"classes must be whole numbers from 0 to {self.classes - 1}, got {numbers}")
        return class_context(torch.tensor([int(n) for n in numbers]), self.classes).to(self.unet.conv_in.weight)

    def denoiser(
        self, labels: Sequence[int] | None, batch: int = 1, *, guidance: Guidance = 1.0, record: Record | None = None
    ) -> Denoiser:
        """One picture per entry of ``labels``, or ``batch`` pictures of no class in particular."""
        return network_denoiser(
            self.unet, self.schedule, self.prediction_type, self.context(labels, batch), self.context(None),
            guidance if labels is not None else 1.0, record,
        )  # fmt: skip

    @torch.no_grad()
    def stream(
        self,
        labels: Sequence[int] | None,
        batch: int = 1,
        *,
        sampler: str | None = None,
        steps: int | None = None,
        guidance: Guidance | None = None,
        seed: int = 0,
    ) -> Iterator[Step]:
        """Draw pictures (B, C, size, size) in [-1, 1]; picture i starts from the noise of ``seed + i``.

        Raises: ValueError at the call if an argument cannot be used.
        """
        defaults = suited(self.scheduler) | dict(self.card.defaults)
        name = sampler or defaults["sampler"]
        walk = named_sampler(name)
        plan = walked_by(self.scheduler, name)
        times, scale = sampling_plan(plan, defaults["steps"] if steps is None else steps)
        denoiser = self.denoiser(labels, batch, guidance=defaults["guidance"] if guidance is None else guidance)
        n = batch if labels is None else len(labels)
        generators = [torch.Generator().manual_seed(seed + i) for i in range(n)]
        c = self.unet.config
        x = torch.cat([torch.randn(1, c.in_channels, c.sample_size, c.sample_size, generator=g) for g in generators])
        x = (scale * x).to(self.unet.conv_in.weight)
        return walk(denoiser, self.schedule, x, times, generator=generators[0] if n == 1 else generators)


@dataclass(frozen=True)
class TextToImage:
    """A text-to-image model: everything between a sentence and a picture. Read-only after loading."""

    text: "TextEncoder"
    unet: UNet
    vae: VAE
    schedule: NoiseSchedule
    card: Card
    scheduler: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        name: str | Path = "emoji",
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        compile: bool = False,
        report: Report | None = None,
    ) -> "TextToImage":
        """Load an embedded model ("emoji"), a folder in diffusers' layout, or a hub id.

        Args:
            device: where to run; a GPU if there is one, else the CPU.
            dtype: float16, bfloat16 or float32 for the networks, torch's or its name; None is float16 on a GPU and
                float32 on the CPU.
            compile: let torch write kernels of its own for the U-Net and the decoder, replayed as CUDA graphs. The
                first picture of each batch and size then takes minutes, the others less time; draw from one thread.
            report: told how far download and load are, 0 to 1, and at what.
        Raises: ValueError if it is unknown, or its files are missing, damaged or foreign, or the device is full or
            cannot be used.
        """
        at = usable(device)
        if dtype is None:
            dtype = torch.float32 if at.type == "cpu" else torch.float16
        dtype = DTYPES.get(str(dtype).removeprefix("torch."), dtype)
        if not isinstance(dtype, torch.dtype) or dtype not in DTYPES.values():
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
        folder = weights.resolve(name, half=dtype != torch.float32, report=report)
        scheduler, schedule = read_scheduler(folder)
        parts = {}
        for i, part in enumerate(weights.READ):
            if report is not None:
                report(i / len(weights.READ), f"reading {part}")
            with memory(f"loading {part} of {name}", at):
                parts[part], _ = weights.load(f"{folder}/{part}", device=at, dtype=dtype)
        text, unet, vae = (parts[part] for part in weights.READ)
        if unet.config.cross_attention_dim != text.config.hidden_size:
            raise ValueError(
                f"the U-Net in {folder} attends to {unet.config.cross_attention_dim} numbers a token, "
                f"but its text encoder gives {text.config.hidden_size}"
            )
        if (unet.config.in_channels, unet.config.out_channels) != (vae.config.latent_channels,) * 2:
            raise ValueError(
                f"the U-Net in {folder} takes {unet.config.in_channels} channels and gives {unet.config.out_channels}, "
                f"but its VAE has {vae.config.latent_channels}: wanted a model of text to image, not of inpainting"
            )
        unet.config = replace(unet.config, zero_is_padding=text.config.zero_after_end)
        if at.type == "cuda":
            for network in (unet, vae):
                network.to(memory_format=torch.channels_last)  # what the tensor cores' convolutions want
        card = weights.read_model_card(folder)
        if weights.is_hub_id(name):
            card = replace(card, name=str(name))  # the folder's name is that of a commit
        if report is not None:
            report(1.0, "read")
        model = cls(text, unet, vae, schedule, card, scheduler)
        return model.compiled() if compile else model

    def compiled(self) -> "TextToImage":
        """This model, its U-Net and decoder from now on compiled by torch (at their first call) into CUDA graphs."""
        for network in (self.unet, self.vae.decoder):
            network.compile(mode="reduce-overhead", dynamic=False)
        return self

    @property
    def device(self) -> torch.device:
        return self.unet.conv_in.weight.device

    @property
    def size(self) -> int:
        """Height and width that the model was trained on, in pixels."""
        return self.unet.config.sample_size * self.vae.config.factor

    def default(self, what: str) -> Any:
        """The card's default for sampler, steps, guidance or style, or what suits Stable Diffusion; see `suited`."""
        return self.card.defaults.get(what, suited(self.scheduler)[what])

    def plan(self, steps: int | None = None, sampler: str | None = None) -> tuple[Tensor, float]:
        """`sampling_plan` for a sampler, both as the card says where they are None. Raises: ValueError as it does."""
        name: str = self.default("sampler") if sampler is None else sampler
        named_sampler(name)
        return sampling_plan(walked_by(self.scheduler, name), self.default("steps") if steps is None else steps)

    @torch.no_grad()
    def stream(
        self,
        prompt: str,
        *,
        negative: str = "",
        sampler: str | None = None,
        steps: int | None = None,
        guidance: Guidance | None = None,
        style: float | None = None,
        seed: int = 0,
        size: int | None = None,
        batch: int = 1,
        image: Tensor | None = None,
        strength: float = 1.0,
        mask: Tensor | None = None,
        record: Record | None = None,
        token_weights: Sequence[float] | None = None,
    ) -> Iterator[Step]:
        """Draw ``batch`` pictures of ``prompt``, one `Step` at a time, in latent space; see `decode`.

        Args:
            negative: words to steer away from, in place of the empty prompt.
            sampler, steps, guidance, style: None takes the card's default. Guidance 1 is none; Ho & Salimans' w is
                guidance - 1; it may be a function of t.
            style: how much the prompt's style alone is pressed beside the whole prompt, where guidance is above 1; see
                `style_of` and `network_denoiser`. 0 does not.
            seed: picture i of a batch starts from the noise of seed + i, on every device the same.
            size: height and width in pixels; None is what the U-Net was trained on.
            image: a picture (1 or B, 3, size, size) in [-1, 1] to start from; ``strength`` in [0, 1] says how much of
                the way is walked again: int(steps * strength) steps, and none at 0.
            mask: (size, size), 1 where ``image`` is to be drawn anew, 0 where it stays.
            record: an attention record, filled anew at every step.
            token_weights: one factor for each token's state (start mark first); 0 mutes a word. No style is pressed
                then unless ``style`` says so: it would be heard alone all the same.
        Raises: ValueError at the call, not at the first step, if an argument cannot be used.
        """
        guidance = self.default("guidance") if guidance is None else guidance
        if style is None:
            style = self.default("style") if token_weights is None else 0.0
        size = self.size if size is None else size
        unit = self.vae.config.factor * 2 ** (len(self.unet.config.block_out_channels) - 1)
        walk = named_sampler(self.default("sampler") if sampler is None else sampler)
        times, start_scale = self.plan(steps, sampler)
        if not callable(guidance) and not (isinstance(guidance, int | float) and math.isfinite(guidance)):
            raise ValueError(f"guidance must be a finite number or a function of t, got {guidance!r}")
        if not (isinstance(style, int | float) and math.isfinite(style)):
            raise ValueError(f"style must be a finite number, got {style!r}")
        if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch <= 64:
            raise ValueError(f"batch must be a whole number from 1 to 64, got {batch!r}")
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63 - batch:
            raise ValueError(f"seed must be a whole number from 0 to 2^63 - 1 - batch, got {seed!r}")
        if not isinstance(size, int) or size < unit or size % unit or size > 4096:
            raise ValueError(f"size must be a multiple of {unit} pixels from {unit} to 4096, got {size!r}")
        if not (isinstance(strength, int | float) and 0 <= strength <= 1):
            raise ValueError(f"strength must be in [0, 1], got {strength!r}")
        if mask is not None and image is None:
            raise ValueError("a mask needs an image to keep parts of")
        pictures = {(1, 3, size, size), (batch, 3, size, size)}
        for name, given, shapes in (("image", image, pictures), ("mask", mask, {(size, size)})):
            if given is not None and not (isinstance(given, Tensor) and tuple(given.shape) in shapes):
                came = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
                wanted = " or ".join(map(str, sorted(shapes)))
                raise ValueError(f"{name} must be a tensor of shape {wanted}, got {came}")
            if given is not None and not given.isfinite().all():
                raise ValueError(f"{name} must be finite, got NaN or infinity")
        for name, given, low in (("image", image, -1), ("mask", mask, 0)):
            if given is not None and not low - 1e-3 <= given.min() <= given.max() <= 1 + 1e-3:
                raise ValueError(f"{name} must lie in [{low}, 1], got {given.min():g} to {given.max():g}")

        dtype = self.unet.conv_in.weight.dtype
        with memory("reading the words", self.device):
            states = self.text([prompt, negative]).to(dtype)
        context, empty = states[:1].expand(batch, -1, -1), states[1:]
        if token_weights is not None:
            factor = torch.ones(context.shape[1]).to(context)
            given = torch.tensor(list(token_weights)).to(factor)
            if given.ndim != 1 or len(given) > len(factor) or not given.isfinite().all():
                raise ValueError(f"token_weights must be at most {len(factor)} finite numbers, got {token_weights!r}")
            factor[: len(given)] = given
            context = context * factor[:, None]
        named, rest = style_of(prompt)
        alone = None
        if named and style:
            with memory("reading the style", self.device):
                alone = (*self.text([named, rest]).to(dtype).split(1), style)
        denoiser = network_denoiser(
            self.unet,
            self.schedule,
            self.scheduler.get("prediction_type", "epsilon"),
            context,
            empty,
            guidance,
            record,
            alone,
        )
        generators = [torch.Generator().manual_seed(seed + i) for i in range(batch)]
        side = size // self.vae.config.factor
        noise = torch.cat(
            [torch.randn(1, self.unet.config.in_channels, side, side, generator=g) for g in generators]
        ).to(self.device)
        x = start_scale * noise
        if image is not None:
            z = self.encode(image).expand(batch, -1, -1, -1)
            kept = int((len(times) - 1) * strength)
            times = times[len(times) - 1 - kept :]
            if kept == 0:
                return iter(())
            x = add_noise(z, noise, int(times[0]), self.schedule)
            if mask is not None:
                anew = nn.functional.adaptive_avg_pool2d(mask.to(z)[None, None], side)
                denoiser = keeping(denoiser, z, anew, self.schedule)
        return walk(denoiser, self.schedule, x, times, generator=generators[0] if batch == 1 else generators)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] to latents (B, C, h, w), float32; the VAE may compute in another dtype than
        the U-Net."""
        with memory("encoding a picture", self.device):
            return self.vae.encode(pictures.to(self.device, self.vae.encoder.conv_in.weight.dtype)).float()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) to pictures (B, 3, H, W) in [-1, 1], float32."""
        with memory("decoding", self.device):
            return self.vae.decode(latents.to(self.device, self.vae.decoder.conv_in.weight.dtype)).float()


def keeping(denoiser: Denoiser, z: Tensor, anew: Tensor, schedule: NoiseSchedule) -> Denoiser:
    """A denoiser that knows the picture ``z`` wherever ``anew`` is 0, so that only the rest is drawn."""

    def known(x: Tensor, t: int) -> Prediction:
        x0 = anew * denoiser(x, t).x0 + (1 - anew) * z
        return Prediction.from_x0(x, x0, schedule.alpha_bar[t])

    return known
