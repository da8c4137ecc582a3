"""Inside the VAE's compressed space: its four channels, a walk through it, ways between two pictures, a brush on it."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from core import checks
from core.latents import angle, slerp, stream_from
from core.resizing import psnr, resize
from core.samplers import Step, unrolled
from explorer import frame, models
from explorer.components.pictures import Picture
from explorer.components.player import Trajectory
from explorer.components.progress import Progress
from explorer.formulas import counted, display, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import Pace
from explorer.tabs.text_to_image.change import (
    FRESH,
    decibels,
    opening,
    ready,
    start_code,
    start_picture,
)
from explorer.tabs.text_to_image.settings import (
    ALL,
    ALONG,
    ARC,
    ERASE,
    LATENT,
    PLAIN,
    RUN,
    TWO,
    TWO_SEEDS,
    Settings,
    asked,
    checked,
    ended,
    followed,
    head,
    opens,
    pictures,
    read,
    unit,
    unpressed,
    walk,
)
from explorer.uploads import data_address

if TYPE_CHECKING:
    from core.pipeline import TextToImage

SHARES = tuple(i / 7 for i in range(8))
WIDE = 3.0  # a latent's value from -WIDE, black, to WIDE, white
VISIBLE = 1 / 255  # of the way from black to white: the least change that a screen can show


def channels(z: Tensor, factor: int) -> np.ndarray:
    """A latent (C, h, w) as grey pictures (C, h factor, w factor) from 0 to 1."""
    grey = (z / WIDE + 1) / 2
    return grey.clamp(0, 1).repeat_interleave(factor, 1).repeat_interleave(factor, 2).cpu().numpy()


def moments(z: Tensor) -> tuple[list[float], list[float]]:
    """Mean and spread of every channel of a latent (C, h, w)."""
    z = z.cpu().double()
    return z.mean((1, 2)).tolist(), z.std((1, 2), unbiased=False).tolist()


# One latent, and a brush on it


def brushed(s: Settings, z: Tensor) -> Tensor:
    """The latent (1, C, h, w) with the painted cells added to the chosen channels, or set to 0 there.

    Raises: ValueError if the model has no such channel.
    """
    cells = resize(torch.tensor(s.cells, dtype=torch.float64), z.shape[-1], "nearest").to(z)
    chosen = list(range(z.shape[1])) if s.channel == ALL else [int(s.channel) - 1]
    if max(chosen) >= z.shape[1]:
        raise ValueError(f"channel must be one of this model's {z.shape[1]}, got {s.channel}")
    out = z.clone()
    out[:, chosen] = torch.where(cells != 0, 0.0, z[:, chosen]) if s.stroke == ERASE else z[:, chosen] + cells
    return out


@torch.no_grad()
def latent(s: Settings) -> View:
    """At once, unless the model must draw the start picture first."""
    if not ready(s):
        wait = "Press **Generate**: the model draws the picture first, then its latent can be looked at."
        return View({}, latent_formula(s, None), None, wait, {})
    model = models.loaded(s.model)
    image = start_picture(s, model.size)
    z = model.encode(image)
    after = brushed(s, z)
    tripped, result = model.decode(torch.cat([z, after])).cpu()
    image = image[0].cpu()
    means, spreads = moments(after[0])
    cells = torch.tensor(s.cells) != 0
    moved = (result - tripped).abs().amax(0) / 2
    under = interpolate(cells[None, None].float(), moved.shape, mode="nearest")[0, 0] > 0
    numbers = {
        "picture_numbers": image.numel(),
        "latent_numbers": z.numel(),
        "ratio": image.numel() / z.numel(),
        "psnr_round_trip": psnr(tripped, image, peak=2),
        "means": means,
        "spreads": spreads,
        "cells_painted": int(cells.sum()),
        "pixels_under": int(under.sum()),
        "pixels_changed": int((moved > VISIBLE).sum()),
        "pixels_changed_outside": int((moved > VISIBLE)[~under].sum()),
        "psnr_to_round_trip": psnr(result, tripped, peak=2),
    }
    greys = channels(after[0], model.vae.config.factor)
    sheet = [
        Picture(unit(image), "picture", f"{'×'.join(map(str, image.shape))} numbers"),
        Picture(unit(tripped), "decoded", f"{decibels(numbers['psnr_round_trip'])} from the picture"),
        Picture(unit(result), "decoded with your brush", f"{numbers['pixels_changed']} pixels differ", marked=True),
        Picture(
            np.minimum(2 * moved.numpy(), 1), "what the brush did × 2", f"{numbers['pixels_under']} pixels under it"
        ),
    ]
    sheet += [
        Picture(grey, f"channel {c}", f"mean {mean:.2f}, spread {spread:.2f}", marked=s.channel in (ALL, str(c)))
        for c, (grey, mean, spread) in enumerate(zip(greys, means, spreads, strict=True), 1)
    ]
    return View(
        {
            "progress": ended(s, model, "the VAE there and back"),
            "pictures": sheet,
            "underlay": data_address((result + 1) / 2),
        },
        latent_formula(s, numbers, (image.shape, z.shape)),
        frame.weakest(
            checks.psnr(numbers["psnr_round_trip"], tripped, image, peak=2),
            checks.channel_moments(means, spreads, after[0]),
        ),
        latent_notice(numbers),
        numbers,
    )


def open_latent(s: Settings) -> Iterator[View | None]:
    yield from opening(s, latent_formula(s, None))
    yield latent(s)


def latent_formula(s: Settings, numbers: dict[str, Any] | None, shapes: tuple[Any, Any] | None = None) -> str:
    lines = [r"z=\mathcal{E}(\text{picture})\qquad \text{decoded}=\mathcal{D}(z)"]
    if numbers and shapes:
        (c, h, w), (_, k, m, n) = shapes
        many, few = (f"{numbers[name]:,}".replace(",", r"\,") for name in ("picture_numbers", "latent_numbers"))
        trip = numbers["psnr_round_trip"]
        lines = [
            rf"z=\mathcal{{E}}(\text{{picture}}):\quad {c}\times{h}\times{w}={many}\;\to\;{k}\times{m}\times{n}={few}"
            rf"\quad(\div\,{sensible(numbers['ratio'])})",
            r"\text{PSNR}=10\log_{10}\frac{4}{\text{mean}\,(\mathcal{D}(z)-\text{picture})^2}"
            rf"={tex(trip, 4)}\text{{ dB}}",
        ]
    where = r"c" if s.channel == ALL else s.channel
    to = r"0\;\text{ where painted}" if s.stroke == ERASE else rf"z_{{{where}}}+\text{{brush}}"
    lines.append(rf"z_{{{where}}}\leftarrow {to}\qquad\text{{picture}}=\mathcal{{D}}(z)")
    return display(*lines)


def latent_notice(numbers: dict[str, Any]) -> str:
    first = (
        f"The VAE keeps **1 number in {sensible(numbers['ratio'])}** and still returns the picture to "
        f"**{decibels(numbers['psnr_round_trip'])}**."
    )
    if not numbers["cells_painted"]:
        return (
            f"{first}\nThe channels are no colours: paint on one, over the picture beside the controls, and see what "
            "it stands for."
        )
    return (
        f"{first}\n**{numbers['cells_painted']}** cells painted lie under {numbers['pixels_under']} pixels, but "
        f"**{numbers['pixels_changed']}** changed, {numbers['pixels_changed_outside']} of them elsewhere: the decoder "
        "reads every cell with its neighbours, and its norms look at all of them."
    )


def latent_code(s: Settings) -> str:
    chosen = ":" if s.channel == ALL else str(int(s.channel) - 1)
    change = f"after[:, {chosen}][..., cells != 0] = 0" if s.stroke == ERASE else f"after[:, {chosen}] += cells"
    uses = ("torch", "torch.nn.functional.interpolate", "core.resizing.psnr", "core.resizing.resize")
    return f"""
{start_code(s, *uses, head=opens)}
z = model.encode(image)
painted = torch.tensor({s.cells!r}, dtype=torch.float64)
cells = resize(painted, z.shape[-1], "nearest").to(z)
after = z.clone()
{change}
tripped, result = model.decode(torch.cat([z, after])).cpu()
channels = after[0].double()
moved = (result - tripped).abs().amax(0) / 2
under = interpolate((painted != 0)[None, None].float(), moved.shape, mode="nearest")[0, 0] > 0

print("picture_numbers =", image.numel())
print("latent_numbers =", z.numel())
print("psnr_round_trip =", psnr(tripped, image[0].cpu(), peak=2))
print("means =", channels.mean((1, 2)).tolist())
print("spreads =", channels.std((1, 2), unbiased=False).tolist())
print("cells_painted =", int((painted != 0).sum()))
print("pixels_changed =", int((moved > {VISIBLE!r}).sum()))
print("pixels_changed_outside =", int((moved > {VISIBLE!r})[~under].sum()))
print("psnr_to_round_trip =", psnr(result, tripped, peak=2))
"""


# The walk in the latent


def along(s: Settings) -> Iterator[View | None]:
    """The four channels at every step, and what the decoder makes of them and of the guess."""
    model = yield from read(s, along_formula())
    share, factor = model.schedule.alpha_bar, model.vae.config.factor
    side = model.size // factor
    shown = side * max(1, min(model.size, 128) // side)  # pictures of 512 pixels would be long under way

    def panels(x: Tensor, guess: Tensor) -> np.ndarray:
        decoded = model.decode(torch.cat([x, guess])).cpu()
        if shown < model.size:
            decoded = interpolate(decoded, (shown, shown), mode="area")
        greys = 2 * channels(x[0], shown // side) - 1
        return np.concatenate([decoded.permute(0, 2, 3, 1).numpy(), np.repeat(greys[..., None], 3, -1)])

    def told(x: Tensor) -> str:
        means, spreads = (", ".join(f"{v:.2f}" for v in values) for values in moments(x[0]))
        return f"means {means}; spreads {spreads}"

    count = model.unet.config.in_channels
    titles = ("xₜ decoded", "x̂₀ decoded", *(f"xₜ, channel {c}" for c in range(1, count + 1)))
    walked, frames, labels, seconds = yield from followed(
        walk(model, s),
        s.steps,
        titles,
        lambda step: panels(step.x, step.prediction.x0),
        lambda step: along_formula(step.t, float(share[step.t])),
        lambda step: f"t = {step.t}: {told(step.x)}",
    )
    end = walked[-1].x_next
    states, _, times = unrolled(walked)
    measured = [moments(x[0]) for x in states]
    numbers = {"times": times, "means": [m for m, _ in measured], "spreads": [d for _, d in measured]}
    middle = len(states) // 2
    yield View(
        {
            "progress": ended(s, model, counted(len(walked), "step"), seconds),
            "player": Trajectory(
                np.stack([*frames, panels(end, end)]),
                titles,
                (*labels, f"t = {times[-1]}, the end: {told(end)}"),
                at=len(frames),
            ),
        },
        along_formula(walked[-1].t, float(share[walked[-1].t])),
        frame.weakest(checked(model, walked, s.sampler), checks.channel_moments(*measured[middle], states[middle][0])),
        along_notice(numbers),
        numbers,
    )


def along_formula(t: int | None = None, alpha_bar: float = 1.0) -> str:
    line = r"x_t=\sqrt{\bar\alpha_t}\;z+\sqrt{1-\bar\alpha_t}\;\varepsilon"
    if t is not None:
        line += rf"\qquad x_{{{t}}}={alpha_bar**0.5:.3f}\,z+{(1 - alpha_bar) ** 0.5:.3f}\,\varepsilon"
    return display(line, r"\text{picture}=\mathcal{D}(x_t)\quad\text{at any step}")


def along_notice(numbers: dict[str, Any]) -> str:
    first, last = (", ".join(f"{v:.2f}" for v in numbers["spreads"][i]) for i in (0, -1))
    return (
        f"The four channels begin with spreads of **{first}** (noise has 1) and end with **{last}**: the sampler never "
        "sees a pixel.\nDecode a latent early and its noise comes out as coloured blots, not as grain: the decoder "
        "only knows latents of pictures."
    )


def along_code(s: Settings) -> str:
    return f"""
{head(s, "core.samplers.unrolled")}
steps = list(model.stream(prompt, **asked))
states, _, times = unrolled(steps)
states = [x[0].double() for x in states]

print("times =", times)
print("means =", [x.mean((1, 2)).tolist() for x in states])
print("spreads =", [x.std((1, 2), unbiased=False).tolist() for x in states])
"""


# Between two


def noise_of(model: "TextToImage", seed: int) -> Tensor:
    """The start noise of a seed, (1, C, h, w), as `TextToImage.stream` draws it."""
    side = model.size // model.vae.config.factor
    shape = (1, model.unet.config.in_channels, side, side)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ends(s: Settings, model: "TextToImage") -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """States and noise of both ends: words A, words B, noise A, noise B."""
    other = s.prompt if s.ends == TWO_SEEDS else s.other_prompt
    seed = s.other_seed if s.ends == TWO_SEEDS else s.seed
    with torch.no_grad():
        words = model.text([model.text.heard(prompt) for prompt in (s.prompt, other)]).float()
    return words[:1], words[1:], noise_of(model, s.seed), noise_of(model, seed)


def on_the_way(s: Settings, a: Tensor, b: Tensor) -> Tensor:
    """The eight noises between two, along the arc or straight."""
    way = slerp if s.way == ARC else torch.lerp
    return torch.cat([way(a, b, share) for share in SHARES])


def between(s: Settings) -> Iterator[View | None]:
    """Eight pictures, drawn together, whose words or noise go from one to the other."""
    model = yield from read(s, between_formula(s))
    a, b, one, two = ends(s, model)
    states = torch.cat([torch.lerp(a, b, share) for share in SHARES])
    noise = on_the_way(s, one, two) if s.ends == TWO_SEEDS else one
    pace = Pace(2)
    steps: list[Step] = []
    for step in stream_from(model, states if s.ends != TWO_SEEDS else a, noise, **asked(model, s)):
        steps.append(step)
        if not pace.due():
            yield None
            continue
        done, doing = len(steps), f"step {len(steps)} of {s.steps}, eight pictures at once"
        yield View(
            {
                "progress": Progress(done, s.steps, doing, pace.left(done, s.steps)),
                "pictures": row(s, pictures(model, step.prediction.x0)),
            },
            between_formula(s, one, two),
            None,
            f"Step **{done}** of {s.steps}: the eight guesses so far.",
            {},
        )
    drawn = pictures(model, steps[-1].x_next)
    far = [float(np.abs(q - p).mean()) / 2 for p, q in pairwise(drawn)]
    lengths = [
        float(x.double().square().mean().sqrt()) for x in (noise if len(noise) > 1 else noise.expand(8, -1, -1, -1))
    ]
    numbers = {
        "shares": list(SHARES),
        "angle_degrees": float(np.degrees(angle(one, two))),
        "noise_lengths": lengths,
        "differences": far,
        "means": [((picture + 1) / 2).mean((0, 1)).tolist() for picture in drawn.astype(np.float64)],
    }
    found = [checked(model, steps, s.sampler)]
    if s.ends == TWO_SEEDS:
        way = checks.slerp if s.way == ARC else checks.straight
        found.insert(0, way(noise, one, two, SHARES))
    else:
        found.insert(0, checks.straight(states, a, b, SHARES))
    yield View(
        {
            "progress": ended(s, model, f"{counted(len(steps), 'step')} of eight pictures", pace.spent),
            "pictures": row(s, drawn),
        },
        between_formula(s, one, two),
        frame.weakest(*found),
        between_notice(s, numbers),
        numbers,
    )


def row(s: Settings, drawn: np.ndarray) -> list[Picture]:
    ends = (f"seed {s.seed}", f"seed {s.other_seed}") if s.ends == TWO_SEEDS else (s.prompt, s.other_prompt)
    names = [ends[0], *(f"{i} / 7" for i in range(1, 7)), ends[1]]
    short = [name if len(name) <= 24 else f"{name[:23]}…" for name in names]
    return [
        Picture((picture + 1) / 2, title, f"λ = {share:.2f}", marked=i in (0, 7))
        for i, (picture, title, share) in enumerate(zip(drawn, short, SHARES, strict=True))
    ]


def between_formula(s: Settings, one: Tensor | None = None, two: Tensor | None = None) -> str:
    if s.ends != TWO_SEEDS:
        return display(
            r"c(\lambda)=(1-\lambda)\,c_A+\lambda\,c_B\qquad \lambda=0,\tfrac17,\dots,1",
            r"c_A,c_B:\text{ the states of the two prompts, 77 rows each; one noise for all}",
        )
    if s.way != ARC:
        return display(
            r"\varepsilon(\lambda)=(1-\lambda)\,\varepsilon_A+\lambda\,\varepsilon_B",
            r"\text{spread}=\sqrt{(1-\lambda)^2+\lambda^2}\text{ for independent noises: }\sqrt{\tfrac12}=0.707"
            r"\text{ half-way}",
        )
    line = (
        r"\varepsilon(\lambda)=\frac{\sin((1-\lambda)\,\Omega)}{\sin\Omega}\,\varepsilon_A+"
        r"\frac{\sin(\lambda\,\Omega)}{\sin\Omega}\,\varepsilon_B"
    )
    if one is None or two is None:
        return display(line)
    w = angle(one, two)
    half = f"{np.sin(w / 2) / np.sin(w):.3f}" if np.sin(w) > 1e-4 else "0.5"
    return display(
        line, rf"\Omega={np.degrees(w):.2f}^\circ\qquad\varepsilon(\tfrac12)={half}\,(\varepsilon_A+\varepsilon_B)"
    )


def between_notice(s: Settings, numbers: dict[str, Any]) -> str:
    far = numbers["differences"]
    most = int(np.argmax(far))
    if s.ends != TWO_SEEDS and max(far) == 0:
        why = "at s = 0 the words are not read" if s.guidance == 0 else "both ends are one"
        return f"All eight pictures are the same: {why}."
    jump = (
        f"The largest change, **{100 * far[most]:.2g} %** a pixel, lies between {most} / 7 and {most + 1} / 7; "
        f"the smallest is {100 * min(far):.2g} %."
    )
    fresh = f" {s.sampler} adds noise at every step: the same in all eight." if s.sampler in FRESH else ""
    fresh += unpressed(s, s.prompt, *([s.other_prompt] if s.ends != TWO_SEEDS else []))
    if s.ends != TWO_SEEDS:
        return (
            f"{jump}\nThe words change evenly, the picture does not: somewhere it decides for the other thing.{fresh}"
        )
    lengths = numbers["noise_lengths"]
    if s.seed == s.other_seed:
        return f"{jump}\nBoth seeds are {s.seed}: there is one noise, and nothing between.{fresh}"
    if s.way == ARC:
        return (
            f"{jump}\nTwo noises stand almost at right angles ({numbers['angle_degrees']:.1f}°); on the arc every "
            f"noise keeps its spread ({min(lengths):.2f} to {max(lengths):.2f}), so each is one the model knows.{fresh}"
        )
    return (
        f"{jump}\nOn the straight line the spread falls to **{min(lengths):.2f}** half-way: less noise than the model "
        f"was ever given at this t, and its pictures lose their detail. That is why one goes along the arc.{fresh}"
    )


def between_code(s: Settings) -> str:
    seeds = s.ends == TWO_SEEDS
    other = s.prompt if seeds else s.other_prompt
    if seeds:
        way = "slerp" if s.way == ARC else "torch.lerp"
        made = (
            f"states = a\none, two = noise({s.seed}), noise({s.other_seed})\n"
            f"start = torch.cat([{way}(one, two, share) for share in shares])"
        )
    else:
        made = f"states = torch.cat([torch.lerp(a, b, share) for share in shares])\none = two = start = noise({s.seed})"
    uses = ("math", "torch", "core.latents.angle", "core.latents.slerp", "core.latents.stream_from")
    return f"""
{head(s, *uses)}


def noise(seed):
    side = model.size // model.vae.config.factor
    shape = (1, model.unet.config.in_channels, side, side)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


shares = [i / 7 for i in range(8)]
with torch.no_grad():
    a, b = model.text([prompt, model.text.heard({other!r})]).float().split(1)
{made}
*_, last = stream_from(model, states, start, **asked)
pictures = model.decode(last.x_next).clamp(-1, 1).cpu()

print("angle_degrees =", math.degrees(angle(one, two)))
print("noise_lengths =", [float(x.double().square().mean().sqrt()) for x in start.expand(8, -1, -1, -1)])
print("differences =", [float((q - p).abs().mean()) / 2 for p, q in zip(pictures[:-1], pictures[1:])])
print("means =", [((picture.double() + 1) / 2).mean((1, 2)).tolist() for picture in pictures])
"""


IDEAS = {
    LATENT: Idea(
        ("progress", "pictures", "underlay"),
        ("start", "start_prompt", "start_seed", "cells", "channel", "stroke", "model"),
        latent_code,
        show=latent,
        walk=open_latent,
        waiting=lambda s: latent_formula(s, None),
    ),
    ALONG: Idea(("progress", "player"), RUN, along_code, walk=along, waiting=lambda s: along_formula()),
    TWO: Idea(
        ("progress", "pictures"),
        ("ends", "other_prompt", "other_seed", "way", *PLAIN),
        between_code,
        walk=between,
        waiting=between_formula,
    ),
}
