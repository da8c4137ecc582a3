"""A picture: noise becomes it step by step, with what the model would draw at each step beside it."""

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
import torch
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from torch.nn.functional import avg_pool2d

from core.samplers import Step
from explorer import errors, models, runs
from explorer.broker import hurried
from explorer.components.player import Trajectory
from explorer.components.progress import Progress
from explorer.components.result import Result
from explorer.formulas import counted, display, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import Pace
from explorer.settings import parse, signature
from explorer.tabs.text_to_image.records import address, parameters, to_png, whole
from explorer.tabs.text_to_image.settings import (
    DRAW,
    LAST_SEED,
    OF_MODEL,
    Settings,
    checked,
    ended,
    file_name,
    head,
    made_for,
    neighbour_correlation,
    noise_at,
    pressed,
    read,
    shorter,
    shown,
    style_line,
    to_bytes,
    unread,
    walk,
    wanted,
    without,
)
from explorer.tabs.text_to_image.vocabulary import MODEL, alike

if TYPE_CHECKING:
    from core.pipeline import TextToImage
    from core.text import Token  # at run time it would bring open_clip, which takes seconds

NOISY, GUESS = "xₜ, the picture so far", "x̂₀, what it would become"
FRAME = 256  # pixels, the longest side of a picture in the player; larger ones are shown smaller there
FRAMES = 12  # of a walk whose pictures are larger than that, since they take long to decode and to send


@dataclass(frozen=True)
class Drawing:
    """Finished pictures: pixels uint8 (B, H, W, 3), a PNG each, and what there is to say about them."""

    pixels: np.ndarray
    pngs: tuple[tuple[str, bytes], ...]
    numbers: dict[str, Any]


def stream(settings: Settings) -> Iterator[View | None]:
    """A View for the loading, one a step (or None, if they come too fast to see), one for the finished picture."""
    began = time.perf_counter()
    drawer = yield from read(settings, formula(settings))
    pace = Pace()
    tokens, side = drawer.text.tokens(settings.prompt), pixels_of(drawer, settings)
    alpha_bar = drawer.schedule.alpha_bar
    every = 1 if side <= FRAME else math.ceil(settings.steps / FRAMES)
    steps: list[Step] = []
    frames: list[np.ndarray] = []
    labels: list[str] = []
    sent = 0
    for step in walk(hurried(drawer), settings, batch=settings.batch, size=side):
        if len(steps) % every == 0:
            seen = drawer.decode(torch.cat([step.x, step.prediction.x0])).chunk(2)
            frames.append(np.stack([sheet(one) for one in seen]))
            labels.append(noise_at(drawer, step.t))
        steps.append(step)
        if not pace.due():
            yield None
            continue
        done, total = len(steps), settings.steps
        labelled = tuple(labels[sent:])
        fresh = (
            Trajectory(np.stack(frames[sent:]), (NOISY, GUESS), labelled, at=len(frames) - 1, start=sent)
            if labelled
            else None
        )
        yield View(
            {
                "progress": Progress(done, total, f"step {done} of {total}", pace.left(done, total)),
                "player": fresh,
                "result": Result(shown(tokens)),
            },
            formula(settings, step.t, float(alpha_bar[step.t])),
            None,
            on_the_way(done, total, frames[-1][1]),
            {},
        )
        sent = len(frames)
    walked_at = time.perf_counter()
    decoded = drawer.decode(steps[-1].x_next)
    seconds = {"load": pace.began - began, "steps": walked_at - pace.began, "decode": time.perf_counter() - walked_at}
    finished = finish(settings, drawer, np.stack([to_bytes(one) for one in decoded]), tokens, seconds)
    last = sheet(decoded)
    told = f"t = {steps[-1].t_next}: the finished picture"
    yield View(
        {
            "progress": ended(
                settings, drawer, f"{counted(len(steps), 'step')}, {side} × {side} pixels,", seconds["steps"]
            ),
            "player": Trajectory(
                np.stack([*frames, np.stack([last, last])]), (NOISY, GUESS), (*labels, told), at=len(frames)
            ),
            "result": Result(
                shown(tokens),
                png=finished.pngs[0][1],
                name=finished.pngs[0][0],
                more=finished.pngs[1:],
                full=side > FRAME,
                query=address(settings),
                title=settings.prompt,
                picture=Trajectory(last[None, None], ("the finished picture",), (settings.prompt,), at=0),
            ),
        },
        formula(settings, steps[-1].t, float(alpha_bar[steps[-1].t])),
        checked(drawer, steps, settings.sampler),
        notice(settings, drawer, tokens, frames, last),
        finished.numbers,
    )


def follow(s: Settings) -> None:
    """Raises: ValueError if the seeds of the pictures, which follow each other, go beyond the last there is."""
    if s.seed + s.batch - 1 > LAST_SEED:
        raise ValueError(f"seed must be at most {LAST_SEED - s.batch + 1} for {s.batch} pictures at once, got {s.seed}")


def pixels_of(model: "TextToImage", s: Settings) -> int:
    """Height and width to draw, in pixels."""
    return int(float(s.size) * model.size)


def sheet(pictures: torch.Tensor) -> np.ndarray:
    """Pictures (B, 3, H, W) in [-1, 1] as one (H', W', 3), beside and below each other, reduced to fit the player."""
    many, side = len(pictures), pictures.shape[2]
    pictures = avg_pool2d(pictures.clamp(-1, 1), math.ceil(side / (FRAME if many == 1 else FRAME // 2)))
    side, columns = pictures.shape[2], math.ceil(math.sqrt(many))
    step = side + 2  # a thin line between them
    out = np.zeros((math.ceil(many / columns) * step - 2, columns * step - 2, 3), np.float32)
    for i, one in enumerate(pictures.permute(0, 2, 3, 1).cpu().numpy()):
        top, left = i // columns * step, i % columns * step
        out[top : top + side, left : left + side] = one
    return out


def draw(settings: Settings, model: "TextToImage", load_seconds: float) -> Drawing:
    """The pictures alone, for the endpoint."""
    follow(settings)
    began = time.perf_counter()
    steps = walk(hurried(model), settings, batch=settings.batch, size=pixels_of(model, settings))
    *_, last = runs.timely(steps)
    walked_at = time.perf_counter()
    pixels = np.stack([to_bytes(one) for one in model.decode(last.x_next)])
    seconds = {"load": load_seconds, "steps": walked_at - began, "decode": time.perf_counter() - walked_at}
    return finish(settings, model, pixels, model.text.tokens(settings.prompt), seconds)


def finish(
    settings: Settings, model: "TextToImage", pixels: np.ndarray, tokens: "Sequence[Token]", seconds: dict[str, float]
) -> Drawing:
    numbers = {
        "settings": {name: getattr(settings, name) for name in FIELDS}
        | {"model": models.name(settings.model), "w": settings.guidance - 1, "pixels": pixels.shape[1]},
        "tokens": [asdict(token) for token in tokens],
        "heard": model.text.heard(settings.prompt),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "mean": pixels.mean((0, 1, 2)).tolist(),
        "neighbour_correlation": float(np.mean([neighbour_correlation(one) for one in pixels])),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }
    alone = [replace(settings, seed=settings.seed + i, batch=1) for i in range(len(pixels))]
    pngs = [
        to_png(one, parameters(s, models.name(s.model), one.shape), model.card, whole(s))
        for one, s in zip(pixels, alone, strict=True)
    ]
    names = [f"{file_name(s)}.png" for s in alone]
    return Drawing(pixels, tuple(zip(names, pngs, strict=True)), numbers)


def formula(settings: Settings, t: int | None = None, alpha_bar: float = 1.0) -> str:
    """Raises: ValueError as `follow`."""
    follow(settings)
    s = sensible(settings.guidance)
    other = without(settings)
    guidance = (
        rf"\hat\epsilon={other}+s\,(\epsilon_{{\text{{words}}}}-{other})\qquad "
        rf"s={s},\quad w=s-1={sensible(settings.guidance - 1)}"
    )
    if t is None:
        now = r"\hat x_0=\frac{x_t-\sqrt{1-\bar\alpha_t}\;\hat\epsilon}{\sqrt{\bar\alpha_t}}"
    else:
        now = (
            rf"\hat x_0=\frac{{x_t-\sqrt{{1-\bar\alpha_t}}\;\hat\epsilon}}{{\sqrt{{\bar\alpha_t}}}}"
            rf"=\frac{{x_{{{t}}}-{tex(np.sqrt(1 - alpha_bar), 3)}\,\hat\epsilon}}{{{tex(np.sqrt(alpha_bar), 3)}}}"
        )
    return display(guidance, style_line(settings), now)


def on_the_way(done: int, total: int, guess: np.ndarray) -> str:
    return (
        f"Step **{done}** of {total}. On the right is what the model would draw if it had to stop now.\n"
        f"Neighbouring pixels of that guess agree to **{neighbour_correlation(guess):.2f}**; in noise it would be 0."
    )


def notice(
    settings: Settings,
    model: "TextToImage",
    tokens: "Sequence[Token]",
    frames: Sequence[np.ndarray],
    picture: np.ndarray,
) -> str:
    """What became of the words, when the picture was settled, and what else is known of it."""
    change = [float(np.abs(guess - picture).mean()) / 2 for _, guess in frames]  # 1 is black against white
    settled = next((i for i in range(len(change)) if max(change[i:]) < 0.05), len(change))
    read = reading(settings, tokens, away=bool(model.text.heard(settings.negative)))
    told = (
        f"{read}\nFrom step **{settled}** of {len(frames)} on the guess differs from the picture "
        "by less than 5 % a pixel: drag back and see when you first knew what it was."
    )
    best = wanted(settings)
    if settings.steps < min(6, best.steps):  # a model may be made for a single step
        told += (
            "\nThe first guess is near the mean of all pictures that may be meant, and the last only "
            f"**{100 * change[0]:.0f} %** a pixel away from it: in so few steps what differs among them, fine detail "
            "first, stays soft."
        )
    limit = 100 * (np.abs(picture) >= 1).mean()
    if settings.guidance > max(5, 2 * best.guidance) and limit >= 1 and model.text.heard(settings.prompt):
        told += (
            f"\nPressed so hard, **{limit:.0f} %** of its colours, white among them, stand at their limit, where no "
            "shade is left: compare scale 1."
        )
    people = model.card.measured.get("people", {}).get(" ".join(settings.prompt.lower().split()))
    if people and as_counted(settings):
        counts = ", ".join(f"**{people[kind]}** {said}" for kind, said in PEOPLE.items())
        why = "Nothing in the prompt asked for it: a word draws what stood under it in training."
        if people["neither"] == people["pictures"]:
            why = "The model does not know this word as a person: look at what it draws instead, and at “person”."
        told += f"\nOf {people['pictures']} such pictures a classifier read {counts}. {why}"
    if settings.size != "1":
        told += (
            f"\nThe model was trained on **{model.size}** pixels a side, not {pixels_of(model, settings)}: parts may "
            "come twice, or not at all."
        )
    return f"{told}\n{made_for(settings)}".strip()


def as_counted(s: Settings) -> bool:
    """Whether pictures are drawn as those of the card were that a classifier has read."""
    best = wanted(s)
    return not s.negative.strip() and all(getattr(s, name) == getattr(best, name) for name in ("size", *OF_MODEL))


PEOPLE = {"man": "as a man", "woman": "as a woman", "neither": "as neither"}


def reading(settings: Settings, tokens: "Sequence[Token]", *, away: bool = False) -> str:
    """What the model made of the prompt, in a sentence. away: there is a negative prompt, and it was heard."""
    words = tokens[1:-1]
    unknown = unread(tokens)
    cut = sum(not token.kept for token in words)
    quoted = ", ".join(f"“{shorter(word)}”" for word in unknown[:5])
    if settings.guidance == 0 and away:
        return "At scale **0** the negative prompt alone is read: this is what it draws."
    this = (
        "this is drawn away from the negative prompt"
        if away and settings.guidance > 1
        else "this is what the model draws unasked"
    )
    if settings.guidance == 0:
        return "At scale **0** the words are not read at all: this is what the model draws unasked."
    if not words:
        return f"There is **no word** in the prompt: {this}."
    if not any(token.known and token.kept for token in words):
        return (
            f"**Not one word was understood.** The model never saw {quoted} in training, so {this}: "
            f"nothing of the prompt has steered it.{spelled_alike(settings, unknown[0])}"
        )
    if unknown:
        them, like = "it" if len(unknown) == 1 else "them", spelled_alike(settings, unknown[0])
        return f"The model never saw **{quoted}** in training and reads {them} blindly.{like}"
    if cut:
        return f"The prompt is too long: its last **{cut}** tokens were cut, and the end mark kept."
    if settings.guidance == 1:
        return "At scale **1** the words are read but not pressed: likely pictures, not always the ones you asked for."
    scale, more = f"{settings.guidance:g}", pressed(settings)
    style = f"; **{more:g}** times what its style alone says is added" if more else ""
    base = "of the negative prompt" if away else "without words"
    return (
        f"At scale **{scale}** each guess lies {scale} times as far from the one {base} as the prompt alone would take "
        f"it{style}."
    )


def spelled_alike(s: Settings, word: str) -> str:
    """Which of the embedded model's names are spelled like a word, and where all are; nothing of another model."""
    if models.title(s.model) != MODEL:
        return ""
    found = ", ".join(f"“{name}”" for name in alike(word, 3))
    return f"{f' It knows {found}.' if found else ''} All that it knows is listed under “Where this comes from”."


def code(settings: Settings) -> str:
    more = f", batch={settings.batch}" if settings.batch > 1 else ""
    more += f", size=int({settings.size} * model.size)" if settings.size != "1" else ""
    save = 'Image.fromarray(pixels[0]).save("picture.png")'
    if settings.batch > 1:
        save = f"""for seed, picture in enumerate(pixels, {settings.seed}):
    Image.fromarray(picture).save(f"picture-{{seed}}.png")"""
    return f"""
{head(settings, "hashlib", "PIL.Image")}
*_, last = model.stream(prompt, **asked{more})
pictures = model.decode(last.x_next)
pixels = ((pictures + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
{save}

print("tokens =", [token.text for token in model.text.tokens({settings.prompt!r})])
print("mean =", pixels.mean((0, 1, 2)).tolist())
print("sha256 =", hashlib.sha256(pixels.tobytes()).hexdigest())
"""


FIELDS = ("prompt", "negative", "guidance", "steps", "sampler", "seed", "batch", "size", "model", "style")


def endpoint(cls: type = Settings) -> Callable[..., tuple[gr.FileData, dict]]:
    """The function behind /text_to_image: the settings of a picture as arguments, a PNG and a JSON as result.

    Several pictures come as one PNG, side by side.
    """

    def text_to_image(*args: Any) -> tuple[gr.FileData, dict]:
        with errors.told():
            settings = parse(cls, dict(zip(FIELDS, args, strict=True)))
            began = time.perf_counter()
            drawer = models.loaded(settings.model)
            drawing = draw(settings, drawer, time.perf_counter() - began)
        name, png = drawing.pngs[0]
        if settings.batch > 1:
            row = np.concatenate(list(drawing.pixels), axis=1)
            about = parameters(settings, models.name(settings.model), drawing.pixels.shape[1:])
            png = to_png(row, f"{about}, Batch size: {settings.batch}", drawer.card, whole(settings))
        path = save_bytes_to_cache(png, name, get_upload_folder())
        return gr.FileData(path=path, mime_type="image/png", orig_name=name), drawing.numbers

    shape = signature(cls)
    asked = [shape.parameters[name] for name in FIELDS]
    returned = tuple[gr.FileData, dict]
    text_to_image.__doc__ = "How does a sentence become a picture?"
    text_to_image.__signature__ = shape.replace(parameters=asked, return_annotation=returned)  # type: ignore
    text_to_image.__annotations__ = {p.name: p.annotation for p in asked} | {"return": returned}
    return text_to_image


IDEAS: dict[str, Idea] = {DRAW: Idea(("progress", "player", "result"), FIELDS, code, walk=stream, waiting=formula)}
