"""A picture: noise becomes it step by step, with what the model would draw at each step beside it."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
import torch
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from core import checks
from core.samplers import Step
from explorer import errors, frame, models
from explorer.components.player import Trajectory
from explorer.components.progress import Progress
from explorer.components.result import Result
from explorer.frame import View
from explorer.ideas import Idea
from explorer.settings import parse, signature
from explorer.tabs.text_to_image.settings import (
    BETWEEN,
    DRAW,
    Settings,
    file_name,
    neighbour_correlation,
    parameters,
    pictures,
    places,
    screen,
    shown,
    to_bytes,
    to_png,
    walk,
)

if TYPE_CHECKING:
    from core.pipeline import TextToImage
    from core.text import Token  # at run time it would bring open_clip, which takes seconds

NOISY, GUESS = "xₜ, the picture so far", "x̂₀, what it would become"


@dataclass(frozen=True)
class Drawing:
    """A finished picture: pixels uint8 (H, W, 3), and what there is to say about it."""

    pixels: np.ndarray
    png: bytes
    numbers: dict[str, Any]


def stream(settings: Settings) -> Iterator[View]:
    """One View for the loading, one a step (or fewer, if they come too fast to see), one for the finished picture."""
    reading = Progress(0, settings.steps, "reading the model")
    yield screen(formula(settings), None, "", {}, progress=reading)
    began = time.perf_counter()
    drawer = models.loaded(settings.model)
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
        yield screen(
            formula(settings, step.t, float(alpha_bar[step.t])),
            None,
            on_the_way(done, settings.steps, frames[-1][1]),
            {},
            progress=Progress(done, settings.steps, f"step {done} of {settings.steps}", left),
            player=fresh,
            result=Result(shown(tokens)),
        )
        sent = done
    walked_at = time.perf_counter()
    pixels = to_bytes(drawer.decode(steps[-1].x_next)[0])
    last = np.repeat(pixels[None].astype(np.float32) / 127.5 - 1, 2, axis=0)
    finished = finish(settings, drawer, pixels, tokens, {"load": loaded_at - began, "steps": walked_at - loaded_at})
    yield screen(
        formula(settings, steps[-1].t, float(alpha_bar[steps[-1].t])),
        check(steps, drawer, settings.sampler),
        notice(settings, tokens, frames, last[0]),
        finished.numbers,
        progress=Progress(1, 1, f"{len(steps)} steps in {walked_at - loaded_at:.1f} s"),
        player=Trajectory(
            np.stack([*frames, last]),
            (NOISY, GUESS),
            (*labels, f"t = {steps[-1].t_next}: the finished picture"),
            at=len(steps),
        ),
        result=Result(shown(tokens), finished.png, f"{file_name(settings)}.png"),
    )


def draw(settings: Settings, model: "TextToImage", load_seconds: float) -> Drawing:
    """The picture alone, for the endpoint."""
    began = time.perf_counter()
    *_, last = walk(model, settings)
    walked_at = time.perf_counter()
    pixels = to_bytes(model.decode(last.x_next)[0])
    seconds = {"load": load_seconds, "steps": walked_at - began, "decode": time.perf_counter() - walked_at}
    return finish(settings, model, pixels, model.text.tokens(settings.prompt), seconds)


def finish(
    settings: Settings, model: "TextToImage", pixels: np.ndarray, tokens: "Sequence[Token]", seconds: dict[str, float]
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


def check(steps: Sequence[Step], model: "TextToImage", sampler: str) -> checks.Check:
    states = [steps[0].x, *(step.x_next for step in steps)]
    times = [steps[0].t, *(step.t_next for step in steps)]
    guesses = [step.prediction.x0 for step in steps]
    return checks.denoising(states, guesses, times, model.schedule.alpha_bar, sampler)


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


def code(settings: Settings) -> str:
    return f"""
import hashlib

from PIL import Image

from core.pipeline import TextToImage

model = {models.source(settings.model)}
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


FIELDS = ("prompt", "negative", "guidance", "steps", "sampler", "seed", "model")


def text_to_image(*args: Any) -> tuple[gr.FileData, dict]:
    with errors.told():
        settings = parse(Settings, dict(zip(FIELDS, args, strict=True)))
        began = time.perf_counter()
        drawer = models.loaded(settings.model)
        drawing = draw(settings, drawer, time.perf_counter() - began)
    path = save_bytes_to_cache(drawing.png, f"{file_name(settings)}.png", get_upload_folder())
    return gr.FileData(path=path, mime_type="image/png", orig_name=f"{file_name(settings)}.png"), drawing.numbers


def endpoint() -> Callable[..., tuple[gr.FileData, dict]]:
    """The function behind /text_to_image: the settings of a picture as arguments, a PNG and a JSON as result."""
    shape = signature(Settings)
    asked = [shape.parameters[name] for name in FIELDS]
    returned = tuple[gr.FileData, dict]
    text_to_image.__doc__ = "How does a sentence become a picture?"
    text_to_image.__signature__ = shape.replace(parameters=asked, return_annotation=returned)  # type: ignore
    text_to_image.__annotations__ = {p.name: p.annotation for p in asked} | {"return": returned}
    return text_to_image


IDEAS = {DRAW: Idea(places("progress", "player", "result"), FIELDS, code, walk=stream, waiting=formula)}
