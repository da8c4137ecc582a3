"""What can be set, the screens the presets open, and what every view starts from: a model, its walk, its pictures."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core.checks import Check
from core.samplers import SAMPLERS, Step
from explorer import models
from explorer.frame import View
from explorer.ideas import Idea
from explorer.settings import choice, number, offer, text

if TYPE_CHECKING:
    from core.pipeline import TextToImage
    from core.text import Token  # at run time it would bring open_clip, which takes seconds

DRAW = "a picture"
BETWEEN = 1 / 15  # seconds from one update of the screen to the next, at least
PLACES = ("progress", "player", "result")  # pieces of the stage, in order; `screen` fills them by name


@dataclass(frozen=True)
class Settings:
    view: str = choice(DRAW, options=(DRAW,), label="Show", key="v")
    prompt: str = text("red apple", label="Prompt", key="q", max_length=1000)
    negative: str = text("", label="Away from (negative prompt)", key="neg", max_length=1000)
    guidance: float = number(
        3.0, low=0, high=20, step=0.5, label="Guidance scale s", key="g", hint="1 is none; w = s − 1 in Ho & Salimans"
    )
    steps: int = number(20, low=1, high=200, log=True, label="Steps", key="n", group="Sampling")
    sampler: str = choice("dpmpp_2m", options=tuple(SAMPLERS), label="Sampler", key="m", group="Sampling")
    seed: int = number(0, low=0, high=2**32 - 1, label="Seed of the noise", key="s", group="Sampling")
    model: str = offer(models.options, title=models.title, label="Model", key="net", group="Sampling")


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


def idle(s: Settings, idea: Idea) -> set[str]:
    """The choice of a model where there is none."""
    return {"model"} if len(models.options()) == 1 else set()


def places(*names: str) -> tuple[int, ...]:
    """Where pieces of these names stand in the stage."""
    return tuple(PLACES.index(name) for name in names)


def screen(formula: str, check: Check | None, notice: str, numbers: dict[str, Any], **shown: Any) -> View:
    """A view of these pieces of the stage, by name; which of them are visible is told by `Ideas.showing`."""
    return View((*(shown.get(name) for name in PLACES), None), formula, check, notice, numbers)


def walk(model: "TextToImage", s: Settings, **more: Any) -> Iterator[Step]:
    """The steps from noise to a picture; ``more`` goes to `TextToImage.stream`."""
    asked = {name: getattr(s, name) for name in ("negative", "sampler", "steps", "guidance", "seed")}
    return model.stream(s.prompt, **asked | more)


def pictures(model: "TextToImage", latents: torch.Tensor) -> np.ndarray:
    """Latents (B, C, h, w) as pictures (B, H, W, 3) in [-1, 1]."""
    return model.decode(latents).clamp(-1, 1).permute(0, 2, 3, 1).cpu().numpy()


def to_bytes(picture: torch.Tensor) -> np.ndarray:
    """A picture (3, H, W) in [-1, 1] as bytes (H, W, 3)."""
    return ((picture + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


def to_png(pixels: np.ndarray, about: str) -> bytes:
    """PNG bytes, with the settings in the text chunk `parameters`."""
    info, out = PngInfo(), io.BytesIO()
    info.add_text("parameters", about)
    Image.fromarray(pixels).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def parameters(s: Settings, model: str, shape: tuple[int, ...]) -> str:
    """The settings as other tools write and read them in a PNG's text chunk."""
    return "\n".join(
        [
            s.prompt,
            *([f"Negative prompt: {s.negative}"] if s.negative else []),
            f"Steps: {s.steps}, Sampler: {s.sampler}, CFG scale: {s.guidance:g}, "
            f"Seed: {s.seed}, Size: {shape[1]}x{shape[0]}, Model: {model}",
        ]
    )


def file_name(s: Settings) -> str:
    words = "".join(c if c.isalnum() else " " for c in s.prompt).split()
    return "-".join([*words[:8], str(s.seed)])[:80]


def neighbour_correlation(pixels: np.ndarray) -> float:
    """How well a pixel (H, W, 3) predicts its right neighbour, colour by colour: 0 in noise, near 1 in a picture."""
    pixels = pixels.astype(np.float64) - pixels.mean((0, 1))
    energy = (pixels**2).mean()
    return float((pixels[:, 1:] * pixels[:, :-1]).mean() / energy) if energy > 0 else 1.0


def shown(tokens: "Sequence[Token]") -> tuple[tuple[str, str], ...]:
    """The tokens as the screen shows them: what was read, what is unknown, what was cut."""

    def sort(place: int, token: "Token") -> str:
        if place in (0, len(tokens) - 1):
            return "mark"
        return "cut" if not token.kept else "known" if token.known else "unknown"

    names = {"<start_of_text>": "start", "<end_of_text>": "end"}
    return tuple((names.get(token.text, token.text), sort(i, token)) for i, token in enumerate(tokens))
