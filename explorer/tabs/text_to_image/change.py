"""From a picture instead of from noise: how much of the way is walked again, and in which part of the picture."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from core import checks
from core.photographs import square
from core.pictures import picture
from core.resizing import psnr, resize
from core.samplers import Step, unrolled
from explorer import frame, models
from explorer.components.pictures import Picture
from explorer.components.player import Trajectory
from explorer.components.progress import Progress
from explorer.components.result import Result
from explorer.components.route import Route
from explorer.formulas import counted, display, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.settings import Grid, is_own
from explorer.tabs.text_to_image import draw
from explorer.tabs.text_to_image.records import address, parameters, to_png, whole
from explorer.tabs.text_to_image.settings import (
    CHANGE,
    OWN,
    PAINT,
    RUN,
    Settings,
    checked,
    ended,
    file_name,
    followed,
    head,
    noise_at,
    pictures,
    read,
    shown,
    to_bytes,
    unit,
    walk,
)
from explorer.uploads import data_address, in_code, pictured

if TYPE_CHECKING:
    from core.pipeline import TextToImage

KEPT: dict[tuple[str, str, int], Tensor] = {}  # the last few start pictures that a model drew
MOST_KEPT = 16
FRESH = ("ddpm", "euler_ancestral")  # these draw noise at every step


# The start picture


def drawn_start(s: Settings) -> tuple[str, str, int]:
    """What a start picture that the model draws depends on."""
    return models.title(s.model), s.start_prompt, s.start_seed


def ready(s: Settings) -> bool:
    """Whether model and start picture are at hand, so that nothing need be read or drawn for it."""
    return models.at_hand(s.model) and (s.start != OWN or drawn_start(s) in KEPT)


def opening(s: Settings, formula: str) -> Generator[View | None, None, "TextToImage"]:
    """Read the model, and have it draw the start picture if it is to; a progress for every step."""
    model = yield from read(s, formula)
    if ready(s):
        return model
    total, steps = model.default("steps"), []
    for step in model.stream(model.text.heard(s.start_prompt), seed=s.start_seed):
        steps.append(step)
        done = len(steps)
        yield View(
            {"progress": Progress(done, total, f"the start picture: step {done} of {total}")}, formula, None, "", {}
        )
    KEPT[drawn_start(s)] = model.decode(steps[-1].x_next)
    for old in list(KEPT)[:-MOST_KEPT]:
        KEPT.pop(old, None)
    return model


def start_picture(s: Settings, size: int) -> Tensor:
    """The picture to begin with, (1, 3, size, size) in [-1, 1]; what `opening` had a model draw has the model's size.

    Raises: ValueError as `pictured`, for a picture of one's own that cannot be read.
    """
    if s.start == OWN:
        return KEPT[drawn_start(s)]
    if is_own(s.start):
        return 2 * pictured(s.start, size).float()[None] - 1
    x = picture(s.start, min(size, 512)).expand(3, -1, -1)  # some are grey
    return (2 * square((x.double() + 1) / 2, size) - 1).float()[None]


def start_code(s: Settings, *uses: str, head: Callable[..., str] = head, size: str = "model.size") -> str:
    """`head` or `opens`, and the lines that make `image`, the start picture, in the code of whose size is ``size``."""
    if s.start == OWN:
        return (
            f"{head(s, *uses)}\n*_, last = model.stream(model.text.heard({s.start_prompt!r}), seed={s.start_seed})\n"
            "image = model.decode(last.x_next)"
        )
    if is_own(s.start):
        made, argument, lines = in_code(s.start)
        return (
            f"{head(s, f'core.photographs.{made}', *uses)}\n{lines}\n"
            f"image = 2 * {made}({argument}, {size}).float()[None] - 1"
        )
    return (
        f"{head(s, 'core.photographs.square', 'core.pictures.picture', *uses)}\n"
        f"x = picture({s.start!r}, {size if size.isdigit() else f'min({size}, 512)'}).expand(3, -1, -1).double()\n"
        f"image = (2 * square((x + 1) / 2, {size}) - 1).float()[None]"
    )


# The mask


def mask_of(cells: Grid, size: int) -> Tensor:
    """Cells of 0 (keep) to 1 (draw anew) as a mask of size x size pixels; each cell covers its share of them."""
    return resize(torch.tensor(cells, dtype=torch.float64), size, "nearest").float()


def anew(mask: Tensor, side: int) -> Tensor:
    """The mask at the places of a latent, (side, side): the mean of the pixels that each place stands for."""
    return torch.nn.functional.adaptive_avg_pool2d(mask[None, None], side)[0, 0]


# The walk


def plan(s: Settings, model: "TextToImage") -> tuple[list[int], int]:
    """All times of the walk from noise, and how many of its steps are walked: the last int(steps x strength)."""
    times, _ = model.plan(s.steps, s.sampler)
    return times.tolist(), int((len(times) - 1) * s.strength)


def route(model: "TextToImage", times: list[int], kept: int) -> Route:
    share = model.schedule.alpha_bar
    left_out = len(times) - 1 - kept
    return Route(tuple((t, 100 * (1 - float(share[t])), i >= left_out) for i, t in enumerate(times[:-1])), times[-1])


def stream(s: Settings) -> Iterator[View | None]:
    """The start picture, noised as far as the strength says, and walked back with the prompt; masked or whole."""
    masked = s.view == PAINT
    model = yield from opening(s, waiting(s))
    image = start_picture(s, model.size)
    z = model.encode(image)
    tripped = model.decode(z)[0]
    times, kept = plan(s, model)
    mask = mask_of(s.mask, model.size) if masked else None
    tokens = model.text.tokens(s.prompt)
    yield View(
        {
            "progress": Progress(0, max(kept, 1), f"{kept} steps to walk"),
            "route": route(model, times, kept),
            "underlay": data_address((image[0].cpu() + 1) / 2),
            "result": Result(shown(tokens)),
        },
        formula(s, model, times, kept),
        None,
        "",
        {},
    )
    walked, frames, labels, seconds = yield from followed(
        walk(model, s, image=image, strength=s.strength, mask=mask),
        kept,
        (draw.NOISY, draw.GUESS),
        lambda step: pictures(model, torch.cat([step.x, step.prediction.x0])),
        lambda step: formula(s, model, times, kept),
        lambda step: noise_at(model, step.t),
    )
    end = walked[-1].x_next if walked else z
    result = model.decode(end)[0]
    pixels = to_bytes(result)
    last = result.permute(1, 2, 0).cpu().numpy()
    numbers = {
        "steps": len(times) - 1,
        "strength": s.strength,
        "walked": kept,
        "times": times[len(times) - 1 - kept :],
        "noise_share": 1 - float(model.schedule.alpha_bar[times[-1 - kept]]) if kept else 0.0,
        "psnr_round_trip": psnr(tripped, image[0], peak=2),
        "psnr_to_start": psnr(result, image[0], peak=2),
        "difference": float((result - image[0].to(result)).abs().mean()) / 2,
        "mean": pixels.mean((0, 1)).tolist(),
        "sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
    }
    if mask is not None:
        numbers |= parts(mask, z, end, result, tripped)
    about = asdict(s) | {"model": models.name(s.model), "start": "own" if is_own(s.start) else s.start}
    said = f"{parameters(s, models.name(s.model), pixels.shape)}, Denoising strength: {s.strength:g}"
    png = to_png(pixels, said, model.card, whole(s, started=True))
    did = counted(len(walked), "step") if walked else "no step: the VAE alone, there and back,"
    end_label = f"t = {times[-1]}: the finished picture" if walked else "strength 0: the VAE's round trip, no step"
    yield View(
        {
            "progress": ended(s, model, did, seconds),
            "route": route(model, times, kept),
            "player": Trajectory(
                np.stack([*frames, np.stack([last, last])]),
                (draw.NOISY, draw.GUESS),
                (*labels, end_label),
                at=len(frames),
            ),
            "pictures": beside(image[0], tripped, result, numbers, mask),
            "result": Result(
                shown(tokens),
                png,
                f"{file_name(s)}.png",
                query="" if is_own(s.start) else address(s),  # a picture of one's own is in no address
                title=f"{s.prompt}, {s.view}",
                picture=Trajectory(last[None, None], ("the finished picture",), (s.prompt,), at=0),
            ),
        },
        formula(s, model, times, kept, numbers),
        verified(s, model, walked, z, image[0], tripped, numbers, mask),
        notice(s, numbers),
        numbers | {"settings": about},
    )


def parts(mask: Tensor, z: Tensor, end: Tensor, result: Tensor, tripped: Tensor) -> dict[str, Any]:
    """How the kept part and the part drawn anew differ from the round trip; in the latent and in pixels."""
    where = anew(mask, z.shape[-1]).to(z.device) == 0
    moved = (result - tripped).abs().mean(0).cpu() / 2
    inside, outside = moved[mask > 0], moved[mask == 0]
    return {
        "cells_kept": int(where.sum()),
        "cells": where.numel(),
        "latent_difference_kept": float((end - z)[..., where].abs().max()) if where.any() else 0.0,
        "pixel_difference_kept": float(outside.mean()) if outside.numel() else 0.0,
        "pixel_difference_anew": float(inside.mean()) if inside.numel() else 0.0,
    }


def verified(
    s: Settings,
    model: "TextToImage",
    walked: list[Step],
    z: Tensor,
    image: Tensor,
    tripped: Tensor,
    numbers: dict[str, Any],
    mask: Tensor | None,
) -> checks.Check:
    trip = checks.psnr(numbers["psnr_round_trip"], tripped.cpu(), image.cpu(), peak=2)
    if not walked:
        return trip
    states, _, times = unrolled(walked)
    eps = torch.randn(z.shape, generator=torch.Generator().manual_seed(s.seed))
    everywhere = torch.ones(z.shape[-2:], dtype=torch.bool)
    started = checks.kept(states[:1], times[:1], z, eps, model.schedule.alpha_bar, everywhere)
    found = [started, checked(model, walked, s.sampler), trip]
    if mask is not None:
        where = anew(mask, z.shape[-1]) == 0
        found.insert(0, checks.kept(states, times, z, eps, model.schedule.alpha_bar, where, fresh=s.sampler in FRESH))
    return frame.weakest(*found)


def beside(
    image: Tensor, tripped: Tensor, result: Tensor, numbers: dict[str, Any], mask: Tensor | None
) -> list[Picture]:
    """The start, its round trip, the result and how far it is from the start."""
    start, note = unit(image), "what you begin with"
    if mask is not None:
        y, x = np.indices(mask.shape)
        stripes = np.where(((x + y) * 8 // len(mask) % 2 == 0)[..., None], [0.94, 0.89, 0.26], [0.3, 0.27, 0.0])
        cover = 0.75 * mask.numpy()[..., None]
        start, note = (1 - cover) * start + cover * stripes, "striped: to be drawn anew"
    apart = np.abs(unit(result) - unit(image)).mean(-1)
    return [
        Picture(start, "start", note),
        Picture(unit(tripped), "VAE round trip", f"{decibels(numbers['psnr_round_trip'])} from the start"),
        Picture(unit(result), "result", f"{decibels(numbers['psnr_to_start'])} from the start", marked=True),
        Picture(np.minimum(apart * 2, 1), "difference × 2", f"{100 * numbers['difference']:.2g} % a pixel on average"),
    ]


def decibels(value: float) -> str:
    return f"{value:.1f} dB" if np.isfinite(value) else "equal"


# What is said


def waiting(s: Settings) -> str:
    return formula(s, None, [], 0)


def formula(
    s: Settings, model: "TextToImage | None", times: list[int], kept: int, numbers: dict[str, Any] | None = None
) -> str:
    strength = sensible(s.strength)
    many = len(times) - 1 if times else s.steps
    count = rf"\text{{steps walked}}=\lfloor n\cdot\text{{strength}}\rfloor=\lfloor {many}\cdot {strength}\rfloor"
    z = r"z=\mathcal{E}(\text{picture})"
    if model is None:
        lines = [count, rf"{z}\qquad x_t=\sqrt{{\bar\alpha_t}}\;z+\sqrt{{1-\bar\alpha_t}}\;\varepsilon"]
    elif kept == 0:
        now = rf"={tex(numbers['psnr_round_trip'], 3)}\text{{ dB}}" if numbers else ""
        trip = (
            rf"{z}\qquad \text{{result}}=\mathcal{{D}}(z)\qquad "
            rf"\text{{PSNR}}=10\log_{{10}}\frac{{4}}{{\text{{mean squared error}}}}{now}"
        )
        lines = [f"{count}=0", trip]
    else:
        t = times[-1 - kept]
        a = float(model.schedule.alpha_bar[t])
        lines = [
            f"{count}={kept}",
            rf"{z}\qquad x_{{{t}}}=\sqrt{{\bar\alpha_{{{t}}}}}\;z+\sqrt{{1-\bar\alpha_{{{t}}}}}\;\varepsilon"
            rf"={a**0.5:.3f}\,z+{(1 - a) ** 0.5:.3f}\,\varepsilon",
        ]
    if s.view == PAINT:
        lines.append(
            r"\hat x_0\leftarrow m\cdot\hat x_0+(1-m)\cdot z\quad\text{at every step, }m=1\text{ where you painted}"
        )
    return display(*lines)


def notice(s: Settings, numbers: dict[str, Any]) -> str:
    trip = decibels(numbers["psnr_round_trip"])
    if numbers["walked"] == 0:
        return (
            f"No step is walked ({numbers['steps']} × {sensible(s.strength)} is below 1): this is the picture "
            f"through the VAE and back, **{trip}**.\nImage to image hardly ever comes nearer to its start than that."
        )
    first = (
        f"**{numbers['walked']}** of {numbers['steps']} steps are walked, from t = {numbers['times'][0]}, where "
        f"**{100 * numbers['noise_share']:.3g} %** of the variance is noise; the result differs from the start by "
        f"**{100 * numbers['difference']:.2g} %** a pixel."
    )
    if s.view == CHANGE:
        more = (
            "At strength 1 nothing of the start is left to see." if s.strength == 1 else
            "Less strength keeps more of the start, more gives the words more to say: compare 0.5 and 0.9."
        )  # fmt: skip
        return f"{first}\n{more}"
    if numbers["cells_kept"] == numbers["cells"]:
        return f"Nothing is painted, so nothing is drawn anew: the result is the VAE's round trip, **{trip}**."
    if numbers["cells_kept"] == 0:
        return f"{first}\nEverything is painted: no latent cell is kept."
    return (
        f"{first} In every step the guess is replaced by the original where that is kept: the network sees it there "
        "and draws the rest to it.\n"
        f"{numbers['cells_kept']} of {numbers['cells']} latent cells are kept: there the latent ends within "
        f"**{sensible(numbers['latent_difference_kept'])}** of the original's. In pixels the kept part moves by "
        f"{100 * numbers['pixel_difference_kept']:.2g} % (the decoder looks across the border), the painted part by "
        f"**{100 * numbers['pixel_difference_anew']:.2g} %**."
    )


def code(s: Settings) -> str:
    masked = s.view == PAINT
    uses = ("torch", "torch.nn.functional.adaptive_avg_pool2d", "core.resizing.resize") if masked else ()
    lines = f"cells = torch.tensor({s.mask!r}, dtype=torch.float64)\n" if masked else ""
    lines += 'mask = resize(cells, model.size, "nearest").float()\n' if masked else ""
    extra = (
        """
where = adaptive_avg_pool2d(mask[None, None], z.shape[-1])[0, 0] == 0
moved = (result - tripped).abs().mean(0).cpu() / 2
print("cells_kept =", int(where.sum()))
print("latent_difference_kept =", float((end - z)[..., where].abs().max()) if where.any() else 0.0)
print("pixel_difference_kept =", float(moved[mask == 0].mean()) if (mask == 0).any() else 0.0)
print("pixel_difference_anew =", float(moved[mask > 0].mean()) if (mask > 0).any() else 0.0)
"""
        if masked
        else ""
    )
    return f"""
{start_code(s, "hashlib", "core.resizing.psnr", *uses)}
{lines}z = model.encode(image)
steps = list(model.stream(prompt, **asked, image=image, strength={s.strength!r}{", mask=mask" * masked}))
end = steps[-1].x_next if steps else z
result, tripped = model.decode(end)[0], model.decode(z)[0]
pixels = ((result + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy()

print("walked =", len(steps))
times, _ = model.plan(asked["steps"], asked["sampler"])
print("times =", times.tolist()[-1 - len(steps) :])
print("psnr_round_trip =", psnr(tripped, image[0], peak=2))
print("psnr_to_start =", psnr(result, image[0], peak=2))
print("difference =", float((result - image[0].to(result)).abs().mean()) / 2)
print("mean =", pixels.mean((0, 1)).tolist())
print("sha256 =", hashlib.sha256(pixels.tobytes()).hexdigest())
{extra}"""


FIELDS = ("start", "start_prompt", "start_seed", "strength")
PIECES = ("progress", "route", "player", "pictures", "result", "underlay")
IDEAS = {
    CHANGE: Idea(PIECES, (*FIELDS, *RUN), code, walk=stream, waiting=waiting),
    PAINT: Idea(PIECES, (*FIELDS, "mask", *RUN), code, walk=stream, waiting=waiting),
}
