"""What can be set, the screens the presets open, and what every view starts from: a model, its walk, its pictures."""

import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core import checks
from core.checks import Check
from core.pictures import MODEL, NAMES
from core.samplers import SAMPLERS, Step, unrolled
from core.style import style_of
from explorer import models
from explorer.components.player import Trajectory
from explorer.components.progress import Progress
from explorer.formulas import counted, sensible
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import Pace
from explorer.settings import Grid, choice, grid, number, offer, parse, text

if TYPE_CHECKING:
    from core.pipeline import TextToImage
    from core.text import Token  # at run time it would bring open_clip, which takes seconds

DRAW = "a picture"
TOKENS, ATTENTION, MACHINE, EXAMPLES = "tokens", "attention", "the whole machine", "training examples"
TEXT, SCALES, OVER_TIME = "without text, with text", "guidance scales", "guidance over time"
GRID = "a grid of two settings"
CHANGE, PAINT = "image to image", "inpainting"
LATENT, ALONG, TWO = "a latent", "the latent, step by step", "between two pictures"
JOINT, SEARCH, TOWARD = "words and pictures (CLIP)", "a search (CLIP)", "toward a sentence (CLIP)"
DREAM = "a dream (Deep Dream)"
VIEWS = (
    *(DRAW, GRID, MACHINE, TOKENS, ATTENTION, TEXT, SCALES, OVER_TIME, EXAMPLES, CHANGE, PAINT, LATENT, ALONG, TWO),
    *(JOINT, SEARCH, TOWARD, DREAM),
)
WORD = "word of the prompt"
AXES = ("guidance", "steps", "sampler", "seed", "style", WORD)  # what the grid can vary
OWN = "drawn by the model"
STARTS = (OWN, *(name for name in NAMES if not name.startswith(MODEL)))
TWO_SEEDS, TWO_PROMPTS = "two seeds", "two prompts"
ARC, STRAIGHT = "along the arc (slerp)", "straight"
ADD, ERASE, ALL = "add to it", "set it to 0", "all"
LAST_SEED = 2**32 - 1  # that other tools can read
SIDE = 16  # cells of a mask and of a brush


def _cells(inside: Callable[[float, float], bool], value: float = 1.0) -> Grid:
    """A table of `value` where the place (row, column, from 0 to 1) is inside, else of 0."""
    at = [(i + 0.5) / SIDE for i in range(SIDE)]
    return tuple(tuple(value if inside(y, x) else 0.0 for x in at) for y in at)


MASKS = {
    "the middle": _cells(lambda y, x: abs(y - 0.5) < 0.25 and abs(x - 0.5) < 0.25),
    "the left half": _cells(lambda y, x: x < 0.5),
    "the upper half": _cells(lambda y, x: y < 0.5),
    "all but the middle": _cells(lambda y, x: max(abs(y - 0.5), abs(x - 0.5)) > 0.3),
    "nothing": _cells(lambda y, x: False),
    "everything": _cells(lambda y, x: True),
}
STROKES = {
    "nothing": MASKS["nothing"],
    "a spot": _cells(lambda y, x: (y - 0.5) ** 2 + (x - 0.5) ** 2 < 0.015, 3.0),
    "a stripe": _cells(lambda y, x: abs(y - 0.5) < 0.1, 2.0),
    "everything, a little": _cells(lambda y, x: True, 1.0),
}
PIXELS, SPECTRUM, CODES = "its pixels", "its spectrum", "its latent"
NAMED = "a name, that of the prompt"
LAYERS = tuple(f"layer {n}" for n in range(1, 7))
SIZES = ("0.5", "1", "1.5", "2")


@dataclass(frozen=True)
class Settings:
    view: str = choice(DRAW, options=VIEWS, label="Show", key="v")
    prompt: str = text("red apple", label="Prompt", key="q", max_length=1000)
    negative: str = text("", label="Away from (negative prompt)", key="neg", max_length=1000)
    guidance: float = number(
        2.0, low=0, high=20, step=0.5, label="Guidance scale s = 1 + w", key="g", hint="1 is none; w is Ho & Salimans'"
    )
    style: float = number(
        0.0, low=0, high=3, step=0.25, label="Style pressed, times k", key="k", hint="beside the prompt; 0 does not"
    )
    x: str = choice("guidance", options=AXES, label="Across", key="x")
    across: str = text("", label="Values across", key="xs", hint="at most 6, commas between; none: ours")
    y: str = choice("steps", options=AXES, label="Down", key="y")
    down: str = text("", label="Values down", key="ys", hint="a word's first stands in the prompt")
    word: int = number(
        1, low=0, high=76, label="Token to change, by its place", key="w", hint="0 is the start mark, 1 the first word"
    )
    factor: float = number(
        0.0, low=0, high=3, step=0.25, label="Its strength", key="f", hint="0 mutes it, 1 leaves it as it is"
    )
    since: float = number(
        0.8, low=0, high=1, step=0.05, label="Interval from t / T =", key="a", hint="guided from here on the way down"
    )
    until: float = number(0.2, low=0, high=1, step=0.05, label="to t / T =", key="z", hint="and at s = 1 below")
    start: str = choice(OWN, options=STARTS, label="Start picture", key="p", own=True)
    start_prompt: str = text("red apple", label="Start: the model draws", key="pq", max_length=1000)
    start_seed: int = number(0, low=0, high=LAST_SEED, label="Start: from the seed", key="ps")
    strength: float = number(
        0.6, low=0, high=1, step=0.05, label="Strength", key="st", hint="0 is the VAE's round trip, 1 begins with noise"
    )
    mask: tuple[tuple[float, ...], ...] = grid(
        MASKS["the middle"],
        label="Draw anew where painted",
        key="mk",
        max_side=SIDE,
        low=0,
        high=1,
        look="brush",
        fills=MASKS,
        hint="click or drag; or arrow keys and space",
    )
    cells: tuple[tuple[float, ...], ...] = grid(
        STROKES["a spot"],
        label="Brush on the latent",
        key="br",
        max_side=SIDE,
        low=-8,
        high=8,
        look="brush",
        fills=STROKES,
        hint="click or drag; or arrow keys and space",
    )
    channel: str = choice("1", options=("1", "2", "3", "4", ALL), label="Channel", key="c")
    stroke: str = choice(ADD, options=(ADD, ERASE), label="The brush will", key="do")
    ends: str = choice(TWO_PROMPTS, options=(TWO_PROMPTS, TWO_SEEDS), label="Between", key="e")
    other_prompt: str = text("blue heart", label="Other prompt", key="q2", max_length=1000)
    other_seed: int = number(1, low=0, high=LAST_SEED, label="Other seed", key="s2")
    way: str = choice(ARC, options=(ARC, STRAIGHT), label="From one noise to the other", key="way")
    sentences: str = text(
        "red apple; cat face; rocket; pizza; blue heart; house",
        label="Sentences",
        key="se",
        max_length=400,
        hint="2 to 8, semicolons between",
    )
    canvas: str = choice(PIXELS, options=(PIXELS, SPECTRUM, CODES), label="What of the picture moves", key="cv")
    grows: str = choice("layer 5", options=(*LAYERS, NAMED), label="What is to answer more strongly", key="up")
    moves: int = number(100, low=5, high=300, log=True, label="Moves", key="mv")
    crops: int = number(0, low=0, high=8, label="Crops looked at", key="cr", hint="0: at the whole picture")
    steps: int = number(20, low=1, high=200, log=True, label="Steps", key="n", group="Sampling")
    sampler: str = choice("dpmpp_2m", options=tuple(SAMPLERS), label="Sampler", key="m", group="Sampling")
    seed: int = number(0, low=0, high=LAST_SEED, label="Seed of the noise", key="s", group="Sampling")
    batch: int = number(
        1, low=1, high=8, label="Pictures at once", key="b", hint="from this seed and the next ones", group="Sampling"
    )
    size: str = choice(
        "1", options=SIZES, label="Size", key="px", hint="times what the model was trained on", group="Sampling"
    )
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
    "eight seeds": Settings(batch=8),
    "in another style": Settings(prompt="robot, blob style, on a yellow background"),
    "guidance against steps": Settings(view=GRID),
    "a style pressed harder": Settings(
        view=GRID, prompt="robot, blob style, on a yellow background", x="style", y="seed", down="0, 1, 2"
    ),
    "a word against the seed": Settings(view=GRID, prompt="blue heart", x=WORD, y="seed", down="0, 1, 2"),
    "deck 004 · who is a doctor?": Settings(prompt="doctor", batch=8),
    "deck 004 · who is a person?": Settings(prompt="person", batch=8),
    "deck 003 · 77 tokens": Settings(view=TOKENS, prompt="paradise cosmic beach"),
    "too long a prompt": Settings(view=TOKENS, prompt="a red apple on a blue background, " * 12),
    "deck 004 · captions by cross-attention": Settings(view=ATTENTION, word=2),
    "deck 003 · the whole machine": Settings(view=MACHINE),
    "deck 003 · training examples": Settings(view=EXAMPLES),
    "deck 003 · without text, with text": Settings(view=TEXT),
    "from no guidance to too much": Settings(view=SCALES),
    "guidance in an interval": Settings(view=OVER_TIME, guidance=5.0),
    "a word made stronger": Settings(view=ATTENTION, prompt="blue heart", factor=3.0),
    "deck 003 · image to image": Settings(view=CHANGE, prompt="blue heart", strength=0.95),
    "strength 0: the VAE alone": Settings(view=CHANGE, start="astronaut", strength=0.0),
    "the middle drawn anew": Settings(view=PAINT, prompt="blue heart", strength=1.0),
    "deck 003 · a latent": Settings(view=LATENT),
    "deck 003 · latents on the way": Settings(view=ALONG),
    "from an apple to a heart": Settings(view=TWO),
    "from one seed to another": Settings(view=TWO, prompt="blue heart", ends=TWO_SEEDS),
    "straight through the noise": Settings(view=TWO, prompt="blue heart", ends=TWO_SEEDS, way=STRAIGHT),
    "deck 002 · CLIP, one space": Settings(view=JOINT),
    "deck 004 · a search: french cat": Settings(view=SEARCH, prompt="french cat"),
    "a search: hot dog": Settings(view=SEARCH, prompt="hot dog"),
    "deck 002 · toward a sentence": Settings(view=TOWARD),
    "deck 002 · toward it by crops": Settings(view=TOWARD, crops=8),
    "deck 000 · a spectrum toward it": Settings(view=TOWARD, canvas=SPECTRUM, crops=8),
    "deck 000 · codes toward it": Settings(view=TOWARD, canvas=CODES, crops=8),
    "deck 001 · Deep Dream": Settings(view=DREAM, start="cat", moves=50),
    "deck 004 · what a classifier takes for a rose": Settings(
        view=DREAM, start="cat", grows=NAMED, prompt="rose", moves=50
    ),
}


def idle(s: Settings, idea: Idea) -> set[str]:
    """What says nothing here: the choice of a model where there is none, words and seeds that are not asked for."""
    unread = {"model"} if len(models.options()) == 1 else set()
    unread |= {"run"} if s.view == TOKENS and models.at_hand(s.model) else set()
    unread |= set() if s.start == OWN else {"start_prompt", "start_seed"}
    unread |= {"prompt"} if s.view == DREAM and s.grows != NAMED else set()
    unread |= {"model"} if s.view == DREAM and s.start != OWN else set()
    unread |= {s.x, s.y} if s.view == GRID else set()  # the grid goes through these
    words = s.view == GRID and WORD in (s.x, s.y)  # which may name one
    unread |= set() if words or style_of(s.prompt)[0] else {"style"}
    return unread | ({"other_prompt"} if s.ends == TWO_SEEDS else {"other_seed", "way"})


def read(s: Settings, formula: str) -> Generator[View, None, "TextToImage"]:
    """The model; until it is there, a view now and then of how far its download and its load are."""
    yield View({"progress": Progress(0, 1, "reading the model")}, formula, None, "", {})
    for reading in models.loading(s.model):
        done = Progress(round(1000 * reading.share), 1000, reading.doing, reading.left)
        yield View({"progress": done}, formula, None, "", {})
    return models.loaded(s.model)


OF_MODEL = ("sampler", "steps", "guidance", "style")  # what every model wants its own way


def wanted(s: Settings) -> Settings:
    """The same drawing as its model wants it."""
    wants, kept = models.defaults(s.model), replace(s, size="1")
    for name in OF_MODEL:
        with suppress(ValueError):  # what no control here can be set to stays as it was
            kept = replace(kept, **{name: getattr(parse(type(s), {name: wants[name]}), name)})
    return kept


def made_for(s: Settings) -> str:
    """What the model wants, where there are several to choose from."""
    if len(models.options()) == 1:
        return ""
    best, shown = wanted(s), OF_MODEL
    if not style_of(s.prompt)[0] or s.view in UNPRESSED:
        best, shown = replace(best, style=0.0), tuple(name for name in OF_MODEL if name != "style")
    other = any(getattr(s, name) != getattr(best, name) for name in shown)
    style = f", k = {best.style:g} for a style" if best.style else ""
    return (
        f"The model {models.name(s.model)} is made for {best.sampler}, {counted(best.steps, 'step')} and "
        f"s = {best.guidance:g}{style}{': you have set others' if other else ''}."
    )


def ended(s: Settings, model: "TextToImage", what: str, seconds: float | None = None) -> Progress:
    """The end of a run: what was done, in which time, by which model and on which device."""
    took = "" if seconds is None else f" in {seconds:.1f} s"
    return Progress(1, 1, f"{what}{took} by {models.title(s.model)} on {model.device}")


WALKED = ("negative", "sampler", "steps", "guidance", "seed")
PLAIN = ("prompt", *WALKED, "model")  # what a view of one walk reads
RUN = (*PLAIN, "style")  # and one that presses the prompt's style
# Where words are muted or mixed it is not: it would be heard beside them all the same.
UNPRESSED: dict[str, dict[str, float]] = {ATTENTION: {"style": 0.0}, TWO: {}}


def told(s: Settings) -> dict[str, Any]:
    """What goes to `TextToImage.stream` beside the prompt, the negative prompt as it was typed."""
    return {name: getattr(s, name) for name in WALKED} | UNPRESSED.get(s.view, {"style": s.style})


def asked(model: "TextToImage", s: Settings) -> dict[str, Any]:
    """The same, the negative prompt as it is heard."""
    return told(s) | {"negative": model.text.heard(s.negative)}


def away(s: Settings) -> bool:
    """Whether a negative prompt steers: there is one, and a word of it is known, if the model is there to tell."""
    if not s.negative.strip() or not models.at_hand(s.model):
        return bool(s.negative.strip())
    return bool(models.loaded(s.model).text.heard(s.negative))


def without(s: Settings) -> str:
    """In formulas, what stands in the place of the words: nothing, or those to keep away from."""
    return r"\epsilon_{\text{away}}" if away(s) else r"\epsilon_\varnothing"


def deaf(s: Settings, *read: str) -> str:
    """What there is to say of those of these fields in which no word was understood, before all else that is said."""
    unasked = {"other_prompt"} if s.ends == TWO_SEEDS else set()
    unasked |= {"prompt"} if s.view == GRID and WORD in (s.x, s.y) else set()  # in which other words stand, too
    read = tuple(name for name in read if name not in unasked)
    said = [(SPOKEN[name], getattr(s, name)) for name in read if getattr(s, name).strip()]
    heard = models.loaded(s.model).text.heard
    lost = ", ".join(f"{what} “{shorter(words)}”" for what, words in said if not heard(words))
    return f"**No word was understood** of {lost}: the model draws as if nothing stood there.\n" * bool(lost)


SPOKEN = {"prompt": "the prompt", "other_prompt": "the other prompt", "negative": "the negative prompt"}


def shorter(sentence: str) -> str:
    return sentence if len(sentence) <= 30 else f"{sentence[:29]}…"


def pressing(s: Settings) -> float:
    """k, where the view presses a style and the prompt names one, else 0."""
    return told(s).get("style", 0.0) if style_of(s.prompt)[0] else 0.0


def pressed(s: Settings) -> float:
    """How many times what the prompt's style alone says is added to what the network says: w k, 0 where w is below."""
    return max(s.guidance - 1, 0.0) * pressing(s)


def unpressed(s: Settings, *prompts: str) -> str:
    """What a view says of the style of its prompts, which it does not press."""
    said = " The prompt's style is not pressed here, as it is for “a picture”."
    return said if s.style and s.guidance > 1 and any(style_of(one)[0] for one in prompts) else ""


def style_line(s: Settings, times: str = "", *, k: str = "") -> str:
    """The formula of what is added for the style; empty where nothing is.

    times: how often, where not by the w of the settings. k: what to say of it in place of its number.
    """
    if not (k or pressing(s)) or (not times and s.guidance < 1):
        return ""
    style = r"(\epsilon_{\text{style}}-\epsilon_{\text{rest}})"
    return rf"\hat\epsilon\mathrel{{+}}={times or 'w'}\,k\,{style}\qquad {k or f'k={sensible(s.style)}'}"


def walk(model: "TextToImage", s: Settings, **more: Any) -> Iterator[Step]:
    """The steps from noise to one picture of the model's own size; ``more`` goes to `TextToImage.stream`."""
    return model.stream(model.text.heard(s.prompt), **asked(model, s) | more)


def followed(
    steps: Iterator[Step],
    total: int,
    titles: tuple[str, ...],
    panels: Callable[[Step], np.ndarray],
    formula: Callable[[Step], str],
    label: Callable[[Step], str],
    *,
    place: str = "player",
    notice: str = ".",
) -> Generator[View | None, None, tuple[list[Step], list[np.ndarray], list[str], float]]:
    """Show a walk as it goes, a View a step or fewer; returns the steps, their frames, their labels, the seconds.

    Of each step, in this order: panels, its frame; label; formula, where it is shown. notice: what follows its number.
    """
    walked: list[Step] = []
    frames: list[np.ndarray] = []
    labels: list[str] = []
    sent, pace = 0, Pace()
    for step in steps:
        walked.append(step)
        frames.append(panels(step))
        labels.append(label(step))
        if not pace.due():
            yield None
            continue
        done = len(walked)
        fresh = Trajectory(np.stack(frames[sent:]), titles, tuple(labels[sent:]), at=done - 1, start=sent)
        progress = Progress(done, total, f"step {done} of {total}", pace.left(done, total))
        yield View({"progress": progress, place: fresh}, formula(step), None, f"Step **{done}** of {total}{notice}", {})
        sent = done
    return walked, frames, labels, pace.spent


def checked(model: "TextToImage", steps: Sequence[Step], sampler: str) -> Check:
    """Whether every step of a walk is what the sampler's equation has it."""
    return checks.denoising(*unrolled(steps), model.schedule.alpha_bar, sampler)


def noise_at(model: "TextToImage", t: int) -> str:
    return f"t = {t}: {100 * (1 - float(model.schedule.alpha_bar[t])):.3g} % of the variance is noise"


def imports(*uses: str) -> str:
    """The first lines of a snippet; "core.latents.slerp" is `from core.latents import slerp`."""
    groups: tuple[dict[str, set[str]], ...] = ({}, {}, {})  # Python's own, others, this project's
    for name in uses:
        module, _, what = name.rpartition(".")
        root = name.partition(".")[0]
        groups[0 if root in sys.stdlib_module_names else 2 if root == "core" else 1].setdefault(
            module or what, set()
        ).update({what} if module else ())
    return "\n\n".join(
        "\n".join(
            f"from {module} import {', '.join(sorted(names))}" if names else f"import {module}"
            for module, names in sorted(group.items(), key=lambda one: (bool(one[1]), one[0]))
        )
        for group in groups
        if group
    )


def opens(s: Settings, *uses: str) -> str:
    """`imports`, and the model."""
    return f"{imports('core.pipeline.TextToImage', *uses)}\n\nmodel = {models.source(s.model)}"


def head(s: Settings, *uses: str) -> str:
    """The first lines of a snippet that walks as `walk` does: `opens`, and what goes to `TextToImage.stream`."""
    written = {name: repr(value) for name, value in told(s).items()}
    if s.negative:
        written["negative"] = f"model.text.heard({s.negative!r})"
    lines = "\n".join(f'    "{name}": {value},' for name, value in written.items())
    return f"{opens(s, *uses)}\nprompt = model.text.heard({s.prompt!r})\nasked = {{\n{lines}\n}}"


def pictures(model: "TextToImage", latents: torch.Tensor) -> np.ndarray:
    """Latents (B, C, h, w) as pictures (B, H, W, 3) in [-1, 1]."""
    return model.decode(latents).clamp(-1, 1).permute(0, 2, 3, 1).cpu().numpy()


def unit(picture: torch.Tensor) -> np.ndarray:
    """A picture (3, H, W) in [-1, 1] as (H, W, 3) from 0 to 1."""
    return (picture.clamp(-1, 1).permute(1, 2, 0).cpu().numpy() + 1) / 2


def to_bytes(picture: torch.Tensor) -> np.ndarray:
    """A picture (3, H, W) in [-1, 1] as bytes (H, W, 3)."""
    return ((picture + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()


def file_name(s: Settings) -> str:
    words = "-".join("".join(c if c.isalnum() else " " for c in s.prompt).split()[:8])
    words = words.encode()[:120].decode(errors="ignore")  # of 255 bytes that a name may have
    return "-".join(filter(None, (words, str(s.seed))))


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
    return tuple((names.get(token.text) or spelled(token.text), sort(i, token)) for i, token in enumerate(tokens))


def unread(tokens: "Sequence[Token]") -> list[str]:
    """The words of which a piece that was kept is unknown, each once."""
    from core.text import tokenizer

    found, word, known = [], "", True
    for token in tokens[1:-1]:
        word, known = word + token.text, known and (token.known or not token.kept)
        if tokenizer().decoder[token.id].endswith("</w>"):  # the last piece of a word
            found += [] if known else [spelled(word)]
            word, known = "", True
    return list(dict.fromkeys(found))


def spelled(token: str) -> str:
    """A token of CLIP's vocabulary, which writes bytes as letters, as its text; a part of a character as its bytes."""
    from core.text import tokenizer  # has been read by whoever has tokens

    raw = bytes(tokenizer().byte_decoder[letter] for letter in token)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.hex(" ").upper()
