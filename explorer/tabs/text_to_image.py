"""Text to image: a sentence steers noise into a picture, step by step."""

import hashlib
import io
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
import torch
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core import checks
from core.pipeline import TextToImage
from core.samplers import SAMPLERS, Step
from explorer import errors, frame
from explorer.components.player import Player, Trajectory
from explorer.components.progress import Progress, ProgressBar
from explorer.components.result import Result, ResultPiece
from explorer.frame import View
from explorer.settings import choice, number, parse, signature, text

if TYPE_CHECKING:
    from core.text import Token  # at run time it would bring open_clip, which takes seconds

NAME = "text_to_image"
TITLE = "Text to image"
QUESTION = "How does a sentence become a picture? Start from noise, and let the words say what to take away."
SOURCE = r"""
- Lecture 003, *Illustrated text-to-image*: the picture information creator, conditioning, "without text, with text".
- Latent diffusion: Rombach et al. (2022), arXiv 2112.10752. The words enter through cross-attention.
- Guidance: Ho & Salimans (2022), arXiv 2207.12598, equation 6. Their $w$ is $s-1$: at $s=1$ ($w=0$) there is no
  guidance, at $s=0$ the words are not read at all.
- Samplers: DDPM (Ho et al. 2020), DDIM (Song et al. 2021), Euler and Heun (Karras et al. 2022), DPM-Solver++ (Lu et al.
  2022).
"""
NOISY, GUESS = "xₜ, the picture so far", "x̂₀, what it would become"
BETWEEN = 1 / 15  # seconds from one update of the screen to the next, at least


@dataclass(frozen=True)
class Settings:
    prompt: str = text("red apple", label="Prompt", key="q", max_length=1000)
    negative: str = text("", label="Away from (negative prompt)", key="neg", max_length=1000)
    guidance: float = number(
        3.0, low=0, high=20, step=0.5, label="Guidance scale s", key="g", hint="1 is none; w = s − 1 in Ho & Salimans"
    )
    steps: int = number(20, low=1, high=200, log=True, label="Steps", key="n", group="Sampling")
    sampler: str = choice("dpmpp_2m", options=tuple(SAMPLERS), label="Sampler", key="m", group="Sampling")
    seed: int = number(0, low=0, high=2**32 - 1, label="Seed of the noise", key="s", group="Sampling")


PRESETS = {
    "red apple": Settings(),
    "cat face": Settings(prompt="cat face"),
    "rocket": Settings(prompt="rocket"),
    "pizza": Settings(prompt="pizza"),
    "blue heart": Settings(prompt="blue heart"),
    "deck 003 · without text": Settings(guidance=0.0),
    "no guidance": Settings(guidance=1.0),
    "too much guidance": Settings(guidance=15.0),
    "in three steps": Settings(steps=3),
}


@dataclass(frozen=True)
class Drawing:
    """A finished picture: pixels uint8 (H, W, 3), and what there is to say about it."""

    pixels: np.ndarray
    png: bytes
    numbers: dict[str, Any]


@cache
def _load(name: str, device: str | None) -> TextToImage:
    return TextToImage.load(name, device=device)


LOADING = Lock()


def loaded(name: str, device: str | None) -> TextToImage:
    """The model, read once a process: at the first use, or before it by whoever warms it up."""
    with LOADING:
        return _load(name, device)


def walk(model: TextToImage, settings: Settings) -> Iterator[Step]:
    return model.stream(
        settings.prompt,
        negative=settings.negative,
        sampler=settings.sampler,
        steps=settings.steps,
        guidance=settings.guidance,
        seed=settings.seed,
    )


def stream(settings: Settings, model: Callable[[], TextToImage]) -> Iterator[View]:
    """One View for the loading, one a step (or fewer, if they come too fast to see), one for the finished picture."""
    yield View((Progress(0, settings.steps, "reading the model"), None, None), formula(settings), None, "", {})
    began = time.perf_counter()
    drawer = model()
    loaded_at = time.perf_counter()
    tokens = drawer.text.tokens(settings.prompt)
    alpha_bar = drawer.schedule.alpha_bar
    steps: list[Step] = []
    frames: list[np.ndarray] = []
    labels: list[str] = []
    sent, shown_at = 0, -BETWEEN
    for step in walk(drawer, settings):
        steps.append(step)
        frames.append(pictures(drawer, torch.cat([step.x, step.prediction.x0])))
        labels.append(f"t = {step.t}: {100 * (1 - float(alpha_bar[step.t])):.3g} % of the variance is noise")
        now = time.perf_counter()
        if now - shown_at < BETWEEN:
            continue
        shown_at, done = now, len(steps)
        left = (now - loaded_at) / done * (settings.steps - done)
        fresh = Trajectory(np.stack(frames[sent:]), (NOISY, GUESS), tuple(labels[sent:]), at=done - 1, start=sent)
        yield View(
            (Progress(done, settings.steps, f"step {done} of {settings.steps}", left), fresh, Result(shown(tokens))),
            formula(settings, step.t, float(alpha_bar[step.t])),
            None,
            on_the_way(done, settings.steps, frames[-1][1]),
            {},
        )
        sent = done
    walked_at = time.perf_counter()
    pixels = to_bytes(drawer.decode(steps[-1].x_next)[0])
    last = np.repeat(pixels[None].astype(np.float32) / 127.5 - 1, 2, axis=0)
    finished = finish(settings, drawer, pixels, tokens, {"load": loaded_at - began, "steps": walked_at - loaded_at})
    yield View(
        stage=(
            Progress(1, 1, f"{len(steps)} steps in {walked_at - loaded_at:.1f} s"),
            Trajectory(
                np.stack([*frames, last]),
                (NOISY, GUESS),
                (*labels, f"t = {steps[-1].t_next}: the finished picture"),
                at=len(steps),
            ),
            Result(shown(tokens), finished.png, f"{file_name(settings)}.png"),
        ),
        formula=formula(settings, steps[-1].t, float(alpha_bar[steps[-1].t])),
        check=check(steps, drawer, settings.sampler),
        notice=notice(settings, tokens, frames, last[0]),
        numbers=finished.numbers,
    )


def draw(settings: Settings, model: TextToImage, load_seconds: float) -> Drawing:
    """The picture alone, for the endpoint."""
    began = time.perf_counter()
    *_, last = walk(model, settings)
    walked_at = time.perf_counter()
    pixels = to_bytes(model.decode(last.x_next)[0])
    seconds = {"load": load_seconds, "steps": walked_at - began, "decode": time.perf_counter() - walked_at}
    return finish(settings, model, pixels, model.text.tokens(settings.prompt), seconds)


def finish(
    settings: Settings, model: TextToImage, pixels: np.ndarray, tokens: "Sequence[Token]", seconds: dict[str, float]
) -> Drawing:
    numbers = {
        "settings": asdict(settings) | {"model": model.card.name, "w": settings.guidance - 1},
        "tokens": [asdict(token) for token in tokens],
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "mean": pixels.mean((0, 1)).tolist(),
        "neighbour_correlation": neighbour_correlation(pixels),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }
    return Drawing(pixels, to_png(pixels, parameters(settings, model.card.name, pixels.shape)), numbers)


def check(steps: Sequence[Step], model: TextToImage, sampler: str) -> checks.Check:
    states = [steps[0].x, *(step.x_next for step in steps)]
    times = [steps[0].t, *(step.t_next for step in steps)]
    guesses = [step.prediction.x0 for step in steps]
    return checks.denoising(states, guesses, times, model.schedule.alpha_bar, sampler)


def pictures(model: TextToImage, latents: torch.Tensor) -> np.ndarray:
    """Latents (B, C, h, w) as pictures (B, H, W, 3) in [-1, 1]."""
    return model.decode(latents).clamp(-1, 1).permute(0, 2, 3, 1).cpu().numpy()


def to_bytes(picture: torch.Tensor) -> np.ndarray:
    """A picture (3, H, W) in [-1, 1] as bytes (H, W, 3)."""
    return ((picture + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


def neighbour_correlation(pixels: np.ndarray) -> float:
    """How well a pixel (H, W, 3) predicts its right neighbour, colour by colour: 0 in noise, near 1 in a picture."""
    pixels = pixels.astype(np.float64) - pixels.mean((0, 1))
    energy = (pixels**2).mean()
    return float((pixels[:, 1:] * pixels[:, :-1]).mean() / energy) if energy > 0 else 1.0


def parameters(settings: Settings, model: str, shape: tuple[int, ...]) -> str:
    """The settings as other tools write and read them in a PNG's text chunk."""
    return "\n".join(
        [
            settings.prompt,
            *([f"Negative prompt: {settings.negative}"] if settings.negative else []),
            f"Steps: {settings.steps}, Sampler: {settings.sampler}, CFG scale: {settings.guidance:g}, "
            f"Seed: {settings.seed}, Size: {shape[1]}x{shape[0]}, Model: {model}",
        ]
    )


def to_png(pixels: np.ndarray, about: str) -> bytes:
    """PNG bytes, with the settings in the text chunk `parameters`."""
    info, out = PngInfo(), io.BytesIO()
    info.add_text("parameters", about)
    Image.fromarray(pixels).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def file_name(settings: Settings) -> str:
    words = "".join(c if c.isalnum() else " " for c in settings.prompt).split()
    return "-".join([*words[:8], str(settings.seed)])[:80]


def shown(tokens: "Sequence[Token]") -> tuple[tuple[str, str], ...]:
    """The tokens as the screen shows them: what was read, what is unknown, what was cut."""

    def sort(place: int, token: "Token") -> str:
        if place in (0, len(tokens) - 1):
            return "mark"
        return "cut" if not token.kept else "known" if token.known else "unknown"

    names = {"<start_of_text>": "start", "<end_of_text>": "end"}
    return tuple((names.get(token.text, token.text), sort(i, token)) for i, token in enumerate(tokens))


def formula(settings: Settings, t: int | None = None, alpha_bar: float = 1.0) -> str:
    s = frame.sensible(settings.guidance)
    without = r"\epsilon_{\text{away}}" if settings.negative else r"\epsilon_\varnothing"
    guidance = (
        rf"\hat\epsilon={without}+s\,(\epsilon_{{\text{{words}}}}-{without})\qquad "
        rf"s={s},\quad w=s-1={frame.sensible(settings.guidance - 1)}"
    )
    if t is None:
        now = r"\hat x_0=\frac{x_t-\sqrt{1-\bar\alpha_t}\;\hat\epsilon}{\sqrt{\bar\alpha_t}}"
    else:
        now = (
            rf"\hat x_0=\frac{{x_t-\sqrt{{1-\bar\alpha_t}}\;\hat\epsilon}}{{\sqrt{{\bar\alpha_t}}}}"
            rf"=\frac{{x_{{{t}}}-{np.sqrt(1 - alpha_bar):.3f}\,\hat\epsilon}}{{{np.sqrt(alpha_bar):.3f}}}"
        )
    return f"$${guidance}$$\n\n$${now}$$"


def on_the_way(done: int, total: int, guess: np.ndarray) -> str:
    return (
        f"Step **{done}** of {total}. On the right is what the model would draw if it had to stop now.\n"
        f"Neighbouring pixels of that guess agree to **{neighbour_correlation(guess):.2f}**; in noise it would be 0."
    )


def notice(settings: Settings, tokens: "Sequence[Token]", frames: Sequence[np.ndarray], picture: np.ndarray) -> str:
    words = tokens[1:-1]
    unknown = list(dict.fromkeys(token.text for token in words if token.kept and not token.known))
    cut = sum(not token.kept for token in words)
    if unknown:
        quoted = ", ".join(f"“{word}”" for word in unknown[:5])
        first = (
            f"The model never saw **{quoted}** in training and reads {'it' if len(unknown) == 1 else 'them'} blindly."
        )
    elif cut:
        first = f"The prompt is too long: its last **{cut}** tokens were cut, and the end mark kept."
    elif settings.guidance == 0:
        first = "At scale **0** the words are not read at all: this is what the model draws unasked."
    elif settings.guidance == 1:
        first = "At scale **1** the words are read but not pressed: likely pictures, not always the ones you asked for."
    else:
        scale = f"{settings.guidance:g}"
        first = f"At scale **{scale}** each step goes {scale} times as far as the words alone would have it."
    change = [float(np.abs(guess - picture).mean()) / 2 for _, guess in frames]  # 1 is black against white
    settled = next((i for i in range(len(change)) if max(change[i:]) < 0.05), len(change))
    return (
        f"{first}\nFrom step **{settled}** of {len(frames)} on the guess differs from the picture by less than 5 % "
        "a pixel: drag back and see when you first knew what it was."
    )


def code(settings: Settings, model: str, device: str | None) -> str:
    where = f", device={device!r}" if device else ""
    return f"""
import hashlib

from PIL import Image

from core.pipeline import TextToImage

model = TextToImage.load({model!r}{where})
prompt = {settings.prompt!r}
*_, last = model.stream(
    prompt,
    negative={settings.negative!r},
    sampler={settings.sampler!r},
    steps={settings.steps},
    guidance={settings.guidance!r},
    seed={settings.seed},
)
picture = model.decode(last.x_next)[0]
pixels = ((picture + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()
Image.fromarray(pixels).save("picture.png")

print("tokens =", [token.text for token in model.text.tokens(prompt)])
print("mean =", pixels.mean((0, 1)).tolist())
print("sha256 =", hashlib.sha256(pixels.tobytes()).hexdigest())
"""


def endpoint(model: Callable[[], TextToImage]) -> Callable[..., tuple[gr.FileData, dict]]:
    """The function behind /text_to_image: the settings as arguments, a PNG and a JSON as result."""
    shape = signature(Settings)

    def text_to_image(*args: Any) -> tuple[gr.FileData, dict]:
        with errors.told():
            settings = parse(Settings, dict(zip(shape.parameters, args, strict=True)))
            began = time.perf_counter()
            drawer = model()
            drawing = draw(settings, drawer, time.perf_counter() - began)
        path = save_bytes_to_cache(drawing.png, f"{file_name(settings)}.png", get_upload_folder())
        return gr.FileData(path=path, mime_type="image/png", orig_name=f"{file_name(settings)}.png"), drawing.numbers

    returned = tuple[gr.FileData, dict]
    text_to_image.__doc__ = QUESTION
    text_to_image.__signature__ = shape.replace(return_annotation=returned)  # type: ignore[attr-defined]
    text_to_image.__annotations__ = {n: p.annotation for n, p in shape.parameters.items()} | {"return": returned}
    return text_to_image


def build(model: str = "emoji", device: str | None = None) -> None:
    own = partial(loaded, model, device)
    page = SimpleNamespace(
        **vars(sys.modules[__name__])
        | {
            "stream": partial(stream, model=own),
            "code": partial(code, model=model, device=device),
            "endpoint": endpoint(own),
        }
    )
    frame.tab(
        page,
        stage=[
            ProgressBar("Sampling"),
            Player("Noise turning into a picture, with the model's guess beside it", height=424),
            ResultPiece("Tokens and download"),
        ],
    )
