"""The whole machine on one picture, a tensor in every box; and two tables of the examples that it learned from."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from core import checks
from core.forward import add_noise
from core.samplers import Step
from explorer import frame
from explorer.components.machine_view import Box, Machine
from explorer.components.picture_rows import Rows
from explorer.components.progress import Progress
from explorer.formulas import counted, display, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import Pace
from explorer.tabs.text_to_image.settings import (
    ALONG,
    ATTENTION,
    DRAW,
    EXAMPLES,
    LATENT,
    MACHINE,
    RUN,
    TEXT,
    TOKENS,
    Settings,
    away,
    checked,
    ended,
    head,
    noise_at,
    pictures,
    pressed,
    read,
    shown,
    walk,
)
from explorer.tabs.text_to_image.words import small

if TYPE_CHECKING:
    from core.pipeline import TextToImage

BLUE, RED = (np.array(colour) / 255 for colour in ((0, 114, 178), (213, 94, 0)))  # of a number below 0, and above
REACH = 3.0  # numbers of this size have the full colour
DIMENSIONS = 128  # of each state shown
AMOUNTS = (3, 14, 7, 42, 2, 21)  # of lecture 003, out of LEVELS
LEVELS = 50


def coloured(x: np.ndarray, reach: float = REACH) -> np.ndarray:
    """Numbers (...,) as colours (..., 3): blue below 0, white at 0, vermilion above."""
    size = np.clip(np.abs(x) / reach, 0, 1)[..., None]
    return 1 + size * (np.where(x[..., None] < 0, BLUE, RED) - 1)


def tiles(latent: Tensor) -> np.ndarray:
    """The channels of a latent (C, h, w) as colours, two in a row, parted by a grey line: (H, W, 3)."""
    channels = coloured(latent.float().cpu().numpy())
    c, h, w, _ = channels.shape
    rows = -(-c // 2)
    sheet = np.full((rows * (h + 1) - 1, 2 * w + 1, 3), 0.55)
    for i, channel in enumerate(channels):
        y, x = i // 2 * (h + 1), i % 2 * (w + 1)
        sheet[y : y + h, x : x + w] = channel
    every = -(-max(sheet.shape) // 160)
    return sheet[::every, ::every]


def rows(states: Tensor) -> np.ndarray:
    """Token states (n, D) as colours, a band for each token: (H, D, 3)."""
    return coloured(states.float().cpu().numpy()).repeat(max(1, 64 // len(states)), 0)


def sides(x: Tensor) -> str:
    return " × ".join(map(str, x.shape[1:]))


# The machine


def machine(s: Settings) -> Iterator[View | None]:
    model = yield from read(s, machine_formula(s))
    said = model.text.heard(s.prompt)
    states = model.text([said])
    steps: list[Step] = []
    inner: list[dict[str, np.ndarray]] = []
    calls: list[int] = []

    def scale(t: int) -> float:
        """The guidance scale; asked for once at every call of the network."""
        calls.append(t)
        return s.guidance

    pace = Pace()
    for step in walk(model, s, guidance=scale):
        steps.append(step)
        inner.append(seen(model, step.x, step.prediction.eps, step.prediction.x0))
        if not pace.due():
            yield None
            continue
        done = len(steps)
        yield View(
            {
                "progress": Progress(done, s.steps, f"step {done} of {s.steps}", pace.left(done, s.steps)),
                "machine": assembled(s, model, states, steps, inner[-1:], done),
            },
            machine_formula(s),
            None,
            f"Step **{done}**: the U-Net is asked about the latent, and the sampler takes some of what it says away.",
            {},
        )
    end = steps[-1].x_next
    inner.append(seen(model, end, steps[-1].prediction.eps, end))
    parts = {"text": model.text, "unet": model.unet, "decoder": model.vae.decoder}
    numbers = {
        "shapes": {
            "states": list(states.shape[1:]),
            "latent": list(end.shape[1:]),
            "picture": list(model.decode(end).shape[1:]),
        },
        "weights": {name: sum(w.numel() for w in part.parameters()) for name, part in parts.items()},
        "times": [step.t for step in steps],
        "latent_std": [float(x.cpu().double().std()) for x in (*(step.x for step in steps), end)],
        "calls": len(calls),
    }
    kept = [token.id for token in model.text.tokens(said) if token.kept]
    yield View(
        {
            "progress": ended(s, model, counted(len(steps), "step"), pace.spent),
            "machine": assembled(s, model, states, steps, inner, None),
        },
        machine_formula(s),
        frame.weakest(checked(model, steps, s.sampler), checks.tokens(kept, said)),
        machine_notice(s, numbers),
        numbers,
    )


def seen(model: "TextToImage", x: Tensor, eps: Tensor, x0: Tensor) -> dict[str, np.ndarray]:
    """What stands in the boxes that change."""
    return {
        "latent": tiles(x[0]),
        "unet": tiles(eps[0]),
        "decoder": tiles(x0[0]),
        "picture": (small(pictures(model, x0)[0]) + 1) / 2,
    }


def assembled(
    s: Settings,
    model: "TextToImage",
    states: Tensor,
    steps: Sequence[Step],
    inner: Sequence[dict[str, np.ndarray]],
    done: int | None,
) -> Machine:
    """The boxes of one step (the one just ``done``), or of all of them and the end."""
    said = model.text.tokens(model.text.heard(s.prompt))
    pairs = [(token, text) for token, (text, _) in zip(said, shown(said), strict=True) if token.kept]
    heard, names = zip(*pairs, strict=True)
    first = steps[0]
    dim = states.shape[-1]
    look = {name: np.stack([one[name] for one in inner]) for name in inner[0]}
    if done is None:
        times = [*(step.t for step in steps), steps[-1].t_next]
        counter = (*(f"after {i} of {counted(len(steps), 'step')}" for i in range(len(steps))), "finished")
    else:
        times, counter = [steps[-1].t], (f"after {done - 1} of {counted(s.steps, 'step')}",)
    labels = tuple(noise_at(model, t) for t in times)
    size = f"{sum(w.numel() for w in model.unet.parameters()) / 1e6:.3g} million weights"
    decoder = f"{sum(w.numel() for w in model.vae.decoder.parameters()) / 1e6:.3g} million weights"
    picture = look["picture"]
    boxes = (
        Box("prompt", "1 Prompt", f"{len(s.prompt)} characters", DRAW, text=f"“{s.prompt}”"),
        Box("tokens", "2 Tokens", f"{len(names)} of 77 places", TOKENS,
            text="\n".join(f"{token.id} {name}" for token, name in zip(heard, names, strict=True))),
        Box("states", "3 Token states", sides(states), ATTENTION,
            pixels=rows(states[0, : len(names), :DIMENSIONS])[None],
            notes=(f"the first {len(names)} rows" + f", {DIMENSIONS} of {dim} numbers" * (dim > DIMENSIONS),)),
        Box("noise", "4 Noise", sides(first.x), EXAMPLES, pixels=tiles(first.x[0])[None], notes=(f"of seed {s.seed}",)),
        Box("latent", "5 Latent xₜ", sides(first.x), ALONG, pixels=look["latent"],
            notes=tuple(f"t = {t}" for t in times)),
        Box("unet", "6 U-Net", sides(first.x), TEXT, pixels=look["unet"], notes=(f"the noise it sees, {size}",)),
        Box("decoder", "7 Decoder", sides(first.x), LATENT, pixels=look["decoder"],
            notes=(f"x̂₀ goes in, {decoder}",)),
        Box("picture", "8 Picture", f"3 × {model.size} × {model.size}", DRAW, pixels=picture,
            notes=(*("if it stopped now" for _ in times[:-1]), "finished" if done is None else "if it stopped now")),
    )  # fmt: skip
    return Machine(boxes, labels, counter)


def machine_formula(s: Settings) -> str:
    return display(
        r"\text{words}\to c\in\mathbb R^{77\times D},\qquad x_T=\varepsilon\sim\mathcal N(0,I)",
        rf"\underbrace{{\hat\epsilon=\mathrm{{U}}(x_t,t,c)\;\to\;x_{{t'}}}}_{{\text{{{s.steps} times, }}"
        rf"s={sensible(s.guidance)},\,w={sensible(s.guidance - 1)}}}\;\to\;x_0\;\to\;"
        r"\mathrm{D}(x_0)=\text{picture}",
    )


def machine_notice(s: Settings, n: dict[str, Any]) -> str:
    latent, picture = np.prod(n["shapes"]["latent"]), np.prod(n["shapes"]["picture"])
    other = "with the negative prompt" if away(s) else "without"
    return (
        f"{'The words are not given to it at s = 0' if s.guidance == 0 else 'The words are read once'}, the U-Net is "
        f"called **{n['calls']}** time{'s' * (n['calls'] != 1)}"
        f"{f', each time with the words and {other}' * (s.guidance not in (0, 1))}"
        f"{', with their style alone and with the rest' * bool(pressed(s))}, the decoder is needed once.\n"
        f"All the work is done on **{latent}** numbers instead of the picture's {picture}: the latent's deviation goes "
        f"from {n['latent_std'][0]:.2f} in the noise to {n['latent_std'][-1]:.2f}."
    )


def machine_code(s: Settings) -> str:
    return f"""
{head(s)}
steps = list(model.stream(prompt, **asked))
end = steps[-1].x_next
shapes = {{"states": model.text([prompt]), "latent": end, "picture": model.decode(end)}}
parts = {{"text": model.text, "unet": model.unet, "decoder": model.vae.decoder}}

print("shapes =", {{name: list(x.shape[1:]) for name, x in shapes.items()}})
print("weights =", {{name: sum(w.numel() for w in part.parameters()) for name, part in parts.items()}})
print("times =", [step.t for step in steps])
print("latent_std =", [float(x.cpu().double().std()) for x in (*(step.x for step in steps), end)])
"""


# The two tables of training examples


@torch.no_grad()
def examples(s: Settings) -> Iterator[View | None]:
    """What a training example of these words would be: a picture, compressed, noised by the lecture's amounts."""
    model = yield from read(s, examples_formula(None))
    steps: list[Step] = []
    pace = Pace()
    for step in walk(model, s):
        steps.append(step)
        if not pace.due():
            yield None
        else:
            now = Progress(len(steps), s.steps, f"drawing a picture to learn from: step {len(steps)}")
            yield View({"progress": now}, examples_formula(None), None, "", {})
    picture = model.decode(steps[-1].x_next)
    z0 = model.encode(picture)
    generator = torch.Generator().manual_seed(s.seed)
    eps = torch.cat([torch.randn(z0.shape, generator=generator) for _ in AMOUNTS]).to(z0)
    times = torch.tensor([amount * model.schedule.T // LEVELS for amount in AMOUNTS])
    z = add_noise(z0.expand_as(eps), eps, times, model.schedule)
    look = pictures(model, z)
    signal, noise = (getattr(model.schedule, name)[times].tolist() for name in ("signal", "noise"))
    numbers = {
        "amounts": list(AMOUNTS),
        "times": times.tolist(),
        "signal": signal,
        "noise": noise,
        "std_clean": float(z0.cpu().double().std()),
        "std_noisy": z.cpu().double().flatten(1).std(1).tolist(),
    }
    words = model.text.heard(s.prompt) or "(no words)"
    amounts = Rows(
        ("noise amount", "noisy latent", "noise"),
        [
            (f"{amount}\nt = {t}", tiles(latent), tiles(e))
            for amount, t, latent, e in zip(AMOUNTS, times.tolist(), z, eps, strict=True)
        ],
    )
    told = Rows(
        ("step", "image", "text", "noise sample"),
        [
            (f"{i}", (small(seen_) + 1) / 2, f"{words}\n\namount {amount}", tiles(e))
            for i, (amount, seen_, e) in enumerate(zip(AMOUNTS, look, eps, strict=True), 1)
        ],
    )
    drawn = f"drawn in {counted(len(steps), 'step')} and noised {len(AMOUNTS)} times"
    yield View(
        {"progress": ended(s, model, drawn, pace.spent), "amounts": amounts, "examples": told},
        examples_formula(numbers),
        checks.examples(z, z0, eps, model.schedule.alpha_bar[times]),
        examples_notice(numbers, model.scheduler.get("prediction_type", "epsilon")),
        numbers,
    )


def examples_formula(n: dict[str, Any] | None) -> str:
    one = (
        r"z_t=\sqrt{\bar\alpha_t}\;z_0+\sqrt{1-\bar\alpha_t}\;\epsilon,\qquad z_0=\mathrm{E}(\text{picture}),\quad"
        r"\epsilon\sim\mathcal N(0,I)"
    )
    if n is None:
        return display(one)
    i = n["amounts"].index(14)
    two = (
        rf"\text{{amount {n['amounts'][i]} of {LEVELS}: }}z_{{{n['times'][i]}}}={tex(n['signal'][i])}\,z_0+"
        rf"{tex(n['noise'][i])}\,\epsilon"
    )
    return display(one, two)


def examples_notice(n: dict[str, Any], kind: str) -> str:
    asked = "the last: the noise"
    if kind == "v_prediction":
        asked = "v, made of picture and noise, from which the last follows"
    return (
        "The picture under the noise was **drawn by the model itself** for these words, then compressed by its "
        "encoder: the training pictures are not part of this program.\n"
        f"In training the network gets the first columns and is asked for {asked}. The amounts are the "
        f"lecture's, out of {LEVELS}: at 42 the noise has deviation **{n['noise'][n['amounts'].index(42)]:.3f}** and "
        f"the latent keeps {n['signal'][n['amounts'].index(42)]:.3f} of itself."
    )


def examples_code(s: Settings) -> str:
    return f"""
{head(s, "torch", "core.forward.add_noise")}
*_, last = model.stream(prompt, **asked)
with torch.no_grad():
    z0 = model.encode(model.decode(last.x_next))
generator = torch.Generator().manual_seed(asked["seed"])
amounts = {list(AMOUNTS)}
eps = torch.cat([torch.randn(z0.shape, generator=generator) for _ in amounts]).to(z0)
times = torch.tensor([amount * model.schedule.T // {LEVELS} for amount in amounts])
z = add_noise(z0.expand_as(eps), eps, times, model.schedule)

print("amounts =", amounts)
print("times =", times.tolist())
print("signal =", model.schedule.signal[times].tolist())
print("noise =", model.schedule.noise[times].tolist())
print("std_clean =", float(z0.cpu().double().std()))
print("std_noisy =", z.cpu().double().flatten(1).std(1).tolist())
"""


IDEAS = {
    MACHINE: Idea(("progress", "machine"), RUN, machine_code, walk=machine, waiting=machine_formula),
    EXAMPLES: Idea(
        ("progress", "amounts", "examples"),
        RUN,
        examples_code,
        walk=examples,
        waiting=lambda s: examples_formula(None),
    ),
}
