"""Text to picture: words, U-Net, sampler and VAE in one walk."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from core import weights
from core.arguments import whole
from core.denoiser import READINGS, Denoiser, Prediction
from core.devices import DTYPES, memory, usable
from core.forward import add_noise
from core.networks.attention import Record
from core.networks.unet import UNet
from core.networks.vae import VAE
from core.samplers import Step, named_sampler
from core.schedule import NoiseSchedule
from core.scheduler import default_sampling, read_scheduler, sampling_plan, with_sampler
from core.style import style_of
from core.weights import Card, Report

if TYPE_CHECKING:
    from core.text import TextEncoder

Guidance = float | Callable[[int], float]


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


def start_noise(unet: UNet, generators: Sequence[torch.Generator], side: int | None = None) -> Tensor:
    """Standard normal noise (B, C, side, side) where the U-Net is, a row from each generator, on every device the same.

    side: height and width; None is what the U-Net was trained on.
    """
    shape = (1, unet.config.in_channels, *[unet.config.sample_size if side is None else side] * 2)
    return torch.cat([torch.randn(shape, generator=one) for one in generators]).to(unet.conv_in.weight.device)


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
        defaults = default_sampling(self.scheduler) | dict(self.card.defaults)
        name = sampler or defaults["sampler"]
        walk = named_sampler(name)
        plan = with_sampler(self.scheduler, name)
        times, scale = sampling_plan(plan, defaults["steps"] if steps is None else steps)
        denoiser = self.denoiser(labels, batch, guidance=defaults["guidance"] if guidance is None else guidance)
        n = batch if labels is None else len(labels)
        generators = [torch.Generator().manual_seed(seed + i) for i in range(n)]
        x = (scale * start_noise(self.unet, generators)).to(self.unet.conv_in.weight)
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

    @property
    def prediction_type(self) -> str:
        """What the U-Net's answer is: "epsilon", "sample" or "v_prediction"."""
        return self.scheduler.get("prediction_type", "epsilon")

    def denoiser(
        self,
        context: Tensor,
        empty: Tensor,
        guidance: Guidance,
        *,
        record: Record | None = None,
        style: tuple[Tensor, Tensor, float] | None = None,
    ) -> Denoiser:
        """The U-Net with these words as a `Denoiser`; see `network_denoiser`, also for the arguments."""
        words, none = (one.to(self.unet.conv_in.weight.dtype) for one in (context, empty))
        return network_denoiser(self.unet, self.schedule, self.prediction_type, words, none, guidance, record, style)

    def default(self, what: str) -> Any:
        """The card's sampler, steps, guidance or style, or what suits Stable Diffusion; see `default_sampling`."""
        return self.card.defaults.get(what, default_sampling(self.scheduler)[what])

    def plan(self, steps: int | None = None, sampler: str | None = None) -> tuple[Tensor, float]:
        """`sampling_plan` for a sampler, both as the card says where they are None. Raises: ValueError as it does."""
        name: str = self.default("sampler") if sampler is None else sampler
        named_sampler(name)
        return sampling_plan(with_sampler(self.scheduler, name), self.default("steps") if steps is None else steps)

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
        scale: Guidance = self.default("guidance") if guidance is None else guidance
        usual: float = self.default("style") if token_weights is None else 0.0
        press = usual if style is None else style
        size = self.size if size is None else whole("size", size, 1)
        walk = named_sampler(self.default("sampler") if sampler is None else sampler)
        times, start_scale = self.plan(steps, sampler)
        batch = whole("batch", batch, 1, 64)
        seed = whole("seed", seed, 0, 2**63 - 1 - batch)
        self._check(scale, press, size, batch, image, strength, mask)

        context, empty = self._words(prompt, negative, token_weights)
        denoiser = self.denoiser(
            context.expand(batch, -1, -1), empty, scale, record=record, style=self._style(prompt, press)
        )
        generators = [torch.Generator().manual_seed(seed + i) for i in range(batch)]
        side = size // self.vae.config.factor
        noise = start_noise(self.unet, generators, side)
        x = start_scale * noise
        if image is not None:
            z = self.encode(image).expand(batch, -1, -1, -1)
            kept = int((len(times) - 1) * strength)
            times = times[len(times) - 1 - kept :]
            if kept == 0:
                return iter(())
            x = add_noise(z, noise, int(times[0]), self.schedule)
            if mask is not None:
                small = nn.functional.adaptive_avg_pool2d(mask.to(z)[None, None], side)
                denoiser = inpainting(denoiser, z, small, self.schedule)
        return walk(denoiser, self.schedule, x, times, generator=generators[0] if batch == 1 else generators)

    def _check(
        self,
        guidance: Guidance,
        style: float,
        size: int,
        batch: int,
        image: Tensor | None,
        strength: float,
        mask: Tensor | None,
    ) -> None:
        """Raises: ValueError, with what was wanted, for an argument of `stream` that cannot be used."""
        unit = self.vae.config.factor * 2 ** (len(self.unet.config.block_out_channels) - 1)
        if not callable(guidance) and not (isinstance(guidance, int | float) and math.isfinite(guidance)):
            raise ValueError(f"guidance must be a finite number or a function of t, got {guidance!r}")
        if not (isinstance(style, int | float) and math.isfinite(style)):
            raise ValueError(f"style must be a finite number, got {style!r}")
        if size < unit or size % unit or size > 4096:
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

    def _words(self, prompt: str, negative: str, token_weights: Sequence[float] | None = None) -> tuple[Tensor, Tensor]:
        """What the U-Net attends to: the prompt's token states, each times its weight, and the negative prompt's."""
        with memory("reading the words", self.device):
            context, empty = self.text([prompt, negative]).split(1)
        if token_weights is not None:
            factor = torch.ones(context.shape[1]).to(context)
            given = torch.tensor(list(token_weights)).to(factor)
            if given.ndim != 1 or len(given) > len(factor) or not given.isfinite().all():
                raise ValueError(f"token_weights must be at most {len(factor)} finite numbers, got {token_weights!r}")
            factor[: len(given)] = given
            context = context * factor[:, None]
        return context, empty

    def _style(self, prompt: str, weight: float) -> tuple[Tensor, Tensor, float] | None:
        """What the prompt's style says alone, what its background says without it, and how much that is pressed."""
        named, rest = style_of(prompt)
        if not (named and weight):
            return None
        with memory("reading the style", self.device):
            first, second = self.text([named, rest]).to(self.unet.conv_in.weight.dtype).split(1)
        return first, second, weight

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


def inpainting(denoiser: Denoiser, z: Tensor, mask: Tensor, schedule: NoiseSchedule) -> Denoiser:
    """A denoiser that knows the latent ``z`` wherever ``mask`` is 0, so that only the rest is drawn.

    Source: Avrahami et al. (2023), *Blended latent diffusion*, arXiv 2206.02779, blend the noised latents of a step;
    here it is the guess of x0.
    """

    def known(x: Tensor, t: int) -> Prediction:
        x0 = mask * denoiser(x, t).x0 + (1 - mask) * z
        return Prediction.from_x0(x, x0, schedule.alpha_bar[t])

    return known
