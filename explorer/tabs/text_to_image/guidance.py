"""Guidance from inside: what the network says with and without the words, at one step, at many scales, over time."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from core import checks
from core.denoiser import Denoiser, Prediction
from core.samplers import Step
from core.style import style_of
from explorer import frame
from explorer.components.live_plot import named
from explorer.components.pictures import Picture
from explorer.components.player import Trajectory
from explorer.components.progress import Progress
from explorer.figures import conditioning as figures
from explorer.formulas import counted, display, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import Pace
from explorer.tabs.text_to_image.settings import (
    OVER_TIME,
    RUN,
    SCALES,
    TEXT,
    Settings,
    away,
    checked,
    ended,
    followed,
    head,
    pictures,
    pressed,
    pressing,
    read,
    style_line,
    unit,
    walk,
    without,
)

if TYPE_CHECKING:
    from core.pipeline import TextToImage

ROW = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0)
PANELS = ("x̂₀ without text", "x̂₀ with text", "guided", "with − without, grey is 0")
AWAY = ("x̂₀ of the negative prompt", "x̂₀ of the prompt", "guided", "one − the other, grey is 0")


def apart(model: "TextToImage", s: Settings) -> list[Denoiser]:
    """The network with the words, without them (or with the words to keep away from), and where a style is pressed,
    with it alone and with what it is held against."""
    said = [model.text.heard(words) for words in (s.prompt, s.negative)]
    pairs = [said, style_of(said[0])] if pressing(s) else [said]
    states = torch.cat([model.text(pair) for pair in pairs])
    return [model.denoiser(words, words, 1.0) for words in states.split(1)]


def weighed(
    step: Step, said: Sequence[Prediction], s: Settings, scale: float, dtype: torch.dtype
) -> list[checks.Check]:
    """Whether what a step went by is put together of what the network says `apart` as the formula has it."""
    k = pressing(s)
    return [
        checks.guidance(
            getattr(step.prediction, name), *(getattr(one, name) for one in said), scale=scale, k=k, dtype=dtype
        )
        for name in ("eps", "x0")
    ]


def pull(one: torch.Tensor, two: torch.Tensor) -> float:
    """How far apart two answers are: root mean square."""
    return float((one - two).cpu().double().square().mean().sqrt())


@torch.no_grad()
def text(s: Settings) -> Iterator[View | None]:
    """A run, and at every step of it what the network says without the words, with them, and guided."""
    model = yield from read(s, text_formula(s))
    dtype, network = model.unet.conv_in.weight.dtype, apart(model, s)[: 4 if pressed(s) else 2]
    guess: list[float] = []
    noise: list[float] = []
    found: list[checks.Check] = []

    def panels(step: Step) -> np.ndarray:
        said = [ask(step.x, step.t) for ask in network]
        cond, uncond = said[:2]
        guess.append(pull(cond.x0, uncond.x0))
        noise.append(pull(cond.eps, uncond.eps))
        found.extend(weighed(step, said, s, s.guidance, dtype))
        three = pictures(model, torch.cat([uncond.x0, cond.x0, step.prediction.x0]))
        return np.concatenate([three, (three[1:2] - three[:1]) / 2])

    titles = AWAY if away(s) else PANELS
    steps, frames, labels, seconds = yield from followed(
        walk(model, s),
        s.steps,
        titles,
        panels,
        lambda step: text_formula(s, step.t, guess[-1], noise[-1]),
        lambda step: f"t = {step.t}: the words pull the guess by {guess[-1]:.3g}",
        place="panels",
        notice=f": one noisy picture, asked about {len(network)} times.",
    )
    times = [step.t for step in steps]
    most = int(np.argmax(guess))
    numbers = {
        "scale": s.guidance,
        "w": s.guidance - 1,
        "times": times,
        "pull_on_guess": guess,
        "pull_on_noise": noise,
        "strongest_at": times[most],
        "share_of_noise": [float(1 - model.schedule.alpha_bar[t]) for t in times],
    }
    yield View(
        {
            "progress": ended(s, model, f"{counted(len(steps), 'step')}, asked {len(network) + 1} ways,", seconds),
            "panels": Trajectory(np.stack(frames), titles, tuple(labels), at=most),
            "plot": named("Pull of the words at every step", figures.pull(times, guess, noise, model.schedule.T)),
        },
        text_formula(s, times[most], guess[most], noise[most]),
        frame.weakest(*found),
        text_notice(s, numbers),
        numbers,
    )


def text_formula(s: Settings, t: int | None = None, guess: float = 0.0, noise: float = 0.0) -> str:
    other = rf"\hat{without(s)}"
    scale, rest = sensible(s.guidance), sensible(abs(1 - s.guidance))
    one = (
        rf"\hat\epsilon={other}+s\,(\hat\epsilon_{{\text{{words}}}}-{other})={scale}\,\hat\epsilon_{{\text{{words}}}}"
        rf"{'-' if s.guidance > 1 else '+'}{rest}\,{other}\qquad w=s-1={sensible(s.guidance - 1)}"
    )
    if t is None:
        return display(one, style_line(s))
    two = (
        rf"\text{{pull at }}t={t}:\quad\tfrac1{{\sqrt n}}\|\hat\epsilon_{{\text{{words}}}}-{other}\|={tex(noise, 3)},"
        rf"\qquad\text{{on the guess }}\hat x_0:\;{tex(guess, 3)}"
    )
    return display(one, style_line(s), two)


def text_notice(s: Settings, n: dict[str, Any]) -> str:
    most, last = max(n["pull_on_guess"]), n["pull_on_guess"][-1]
    share = 100 * n["share_of_noise"][n["times"].index(n["strongest_at"])]
    first = (
        f"The words pull the guess hardest at t = **{n['strongest_at']}**, where {share:.3g} % of the variance is "
        f"noise: by **{most:.3g}** of a latent's deviation; in the last step by {last:.3g}."
    )
    if s.guidance == 0:
        second = "At s = 0 the picture follows the left panel; the one with text is asked for, and not heard."
    elif s.guidance == 1:
        second = (
            "At s = 1 (w = 0) the picture follows the panel with text; the one without is asked for, and not heard."
        )
    else:
        scale = f"{s.guidance:g}"
        second = (
            f"The guided guess lies on the line from the left picture through the second, **{scale}** times as far "
            "as the words alone: what they add is pressed, what they leave is kept."
            + f" Then **{pressed(s):g}** times what its style alone says is added."
            * bool(pressed(s))
        )
    return f"{first}\n{second}"


def text_code(s: Settings) -> str:
    return f"""
{head(s)}
words, nothing = model.text([prompt, asked["negative"]]).split(1)
with_text, without = (model.denoiser(words, nothing, scale) for scale in (1.0, 0.0))
times, guess, noise = [], [], []
for step in model.stream(prompt, **asked):
    one, two = with_text(step.x, step.t), without(step.x, step.t)
    times.append(step.t)
    guess.append(float((one.x0 - two.x0).cpu().double().square().mean().sqrt()))
    noise.append(float((one.eps - two.eps).cpu().double().square().mean().sqrt()))

print("scale =", asked["guidance"])
print("w =", asked["guidance"] - 1)
print("times =", times)
print("pull_on_guess =", guess)
print("pull_on_noise =", noise)
print("strongest_at =", times[guess.index(max(guess))])
"""


# The same noise at many scales


def row(s: Settings) -> tuple[float, ...]:
    return tuple(sorted({*ROW, s.guidance}))


def contrast(picture: torch.Tensor) -> float:
    """The deviation of a picture (3, H, W) in [-1, 1] around its mean, black to white as 1."""
    return float(picture.double().std(unbiased=False)) / 2


def scales(s: Settings) -> Iterator[View | None]:
    """One run for each scale, all from the same noise; the pictures come one by one."""
    every = row(s)
    model = yield from read(s, scales_formula(s))
    runs: dict[float, list[Step]] = {}
    shown: list[torch.Tensor] = []
    pace = Pace()
    for scale in every:
        runs[scale] = []
        for step in walk(model, s, guidance=scale):
            runs[scale].append(step)
            if not pace.due():
                yield None
            else:
                doing = f"step {len(runs[scale])} of {s.steps} at s = {scale:g}"
                now = Progress(sum(map(len, runs.values())), len(every) * s.steps, doing)
                yield View({"progress": now}, scales_formula(s), None, "All of them start from the same noise.", {})
        if not shown:
            shown = list(model.decode(runs[scale][0].x.repeat(len(every), 1, 1, 1)).cpu())
        done = len(runs)
        shown[done - 1] = model.decode(runs[scale][-1].x_next)[0].cpu()
        yield View(
            {
                "progress": Progress(done, len(every), f"{done} of {len(every)} scales", pace.left(done, len(every))),
                "pictures": [
                    titled(s, one, picture, done > i) for i, (one, picture) in enumerate(zip(every, shown, strict=True))
                ],
            },
            scales_formula(s),
            None,
            f"s = **{scale:g}** is there; the others still show the noise that all of them start from.",
            {},
        )
    plain = shown[every.index(1.0)]
    numbers = {
        "scales": list(every),
        "contrast": [contrast(picture) for picture in shown],
        "from_unguided": [float((picture - plain).abs().mean()) / 2 for picture in shown],
        "clipped": [float((picture.abs() > 0.99).float().mean()) for picture in shown],
    }
    first, dtype = runs[1.0][0], model.unet.conv_in.weight.dtype
    with torch.no_grad():
        said = [ask(first.x, first.t) for ask in apart(model, s)]
    found = [one for scale, run in runs.items() for one in weighed(run[0], said, s, scale, dtype)]
    ends = [checked(model, run, s.sampler) for run in runs.values()]
    yield View(
        {
            "progress": ended(s, model, f"{len(every)} runs of {counted(s.steps, 'step')}", pace.spent),
            "pictures": [titled(s, scale, picture, True) for scale, picture in zip(every, shown, strict=True)],
        },
        scales_formula(s),
        frame.weakest(*found, *ends),
        scales_notice(s, numbers),
        numbers,
    )


def titled(s: Settings, scale: float, picture: torch.Tensor, drawn: bool) -> Picture:
    unasked = ", the negative prompt" if away(s) else ", no text"
    what = {0: unasked, 1: ", no guidance"}.get(int(scale) if scale in (0, 1) else -1, "")
    note = f"contrast {contrast(picture):.2f}" if drawn else "the noise"
    return Picture(
        unit(picture), f"s = {scale:g}, w = {scale - 1:g}{what}".replace("-", "−"), note, scale == s.guidance
    )


def scales_formula(s: Settings) -> str:
    other = rf"\hat{without(s)}"
    return display(
        rf"\hat\epsilon(s)={other}+s\,(\hat\epsilon_{{\text{{words}}}}-{other})\qquad"
        rf" s=0:\;{other}\qquad s=1:\;\hat\epsilon_{{\text{{words}}}}\qquad w=s-1",
        style_line(s, r"\max(w,0)"),
    )


def scales_notice(s: Settings, n: dict[str, Any]) -> str:
    told = "was told the negative prompt alone" if away(s) else "was never told the words"
    low, high = n["contrast"][n["scales"].index(1.0)], n["contrast"][-1]
    return (
        f"One noise, {len(n['scales'])} scales. From s = 1 to s = {n['scales'][-1]:g} the contrast goes from "
        f"**{low:.2f}** to **{high:.2f}**, and {100 * n['clipped'][-1]:.0f} % of the colours stand at their limit.\n"
        f"The picture at s = 0 {told}; it differs from the one at s = 1 by "
        f"{100 * n['from_unguided'][n['scales'].index(0.0)]:.0f} % of black to white a pixel."
    )


def scales_code(s: Settings) -> str:
    return f"""
{head(s)}
scales = {list(row(s))}
pictures = []
for scale in scales:
    *_, last = model.stream(prompt, **asked | {{"guidance": scale}})
    pictures.append(model.decode(last.x_next)[0].cpu())
plain = pictures[scales.index(1.0)]

print("scales =", scales)
print("contrast =", [float(picture.double().std(unbiased=False)) / 2 for picture in pictures])
print("from_unguided =", [float((picture - plain).abs().mean()) / 2 for picture in pictures])
print("clipped =", [float((picture.abs() > 0.99).float().mean()) for picture in pictures])
"""


# A scale that changes on the way


def courses(s: Settings, T: int) -> dict[str, Callable[[int], float]]:
    """The scale as functions of t: all but the interval have the mean s over an evenly spaced run.

    Source: Wang et al. (2024), arXiv 2404.13040 (rising, falling); Kynkäänniemi et al. (2024), arXiv 2404.07724
    (an interval).
    """
    scale = s.guidance
    return {
        "constant": lambda t: scale,
        "rising": lambda t: 1 + 2 * (scale - 1) * (1 - t / T),
        "falling": lambda t: 1 + 2 * (scale - 1) * t / T,
        "interval": lambda t: scale if s.until <= t / T <= s.since else 1.0,
    }


def over_time(s: Settings) -> Iterator[View | None]:
    """Four runs from one noise, each with its own course of the scale."""
    model = yield from read(s, over_formula(s))
    T, dtype, network = model.schedule.T, model.unet.conv_in.weight.dtype, apart(model, s)
    drawn: dict[str, torch.Tensor] = {}
    used: dict[str, tuple[list[int], list[float]]] = {}
    found: list[checks.Check] = []
    calls: dict[str, int] = {}
    pace = Pace()
    shapes = courses(s, T)
    times = range(T, 0, -max(1, T // 400))
    curves = {name: (times, list(map(shape, times))) for name, shape in shapes.items()}
    plot = named("Guidance scale of every course, from noise to picture", figures.scales(curves, T))
    for name, course in shapes.items():
        steps: list[Step] = []
        scales: list[float] = []

        def scale(t: int, course=course, scales=scales) -> float:
            """Asked for once at every call of the network."""
            scales.append(course(t))
            return scales[-1]

        for step in walk(model, s, guidance=scale):
            steps.append(step)
            if not pace.due():
                yield None
            else:
                done = len(drawn) * s.steps + len(steps)
                yield View(
                    {"progress": Progress(done, 4 * s.steps, f"{name}, t = {step.t}")}, over_formula(s), None, "", {}
                )
        drawn[name] = model.decode(steps[-1].x_next)[0].cpu()
        used[name] = [step.t for step in steps], [course(step.t) for step in steps]
        calls[name] = sum(1 if one in (0, 1) else len(network) if one > 1 else 2 for one in scales)
        look = steps[len(steps) // 2]
        with torch.no_grad():
            said = [ask(look.x, look.t) for ask in network]
        found += weighed(look, said, s, course(look.t), dtype)
        done = len(drawn)
        yield View(
            {
                "progress": Progress(done, 4, f"{done} of 4 courses", pace.left(done, 4)),
                "plot": plot,
                "pictures": [coursed(name, picture, drawn, used, calls) for name, picture in drawn.items()],
            },
            over_formula(s),
            None,
            f"**{name.capitalize()}** is there.",
            {},
        )
    plain = drawn["constant"]
    numbers = {
        "scale": s.guidance,
        "interval": [s.since, s.until],
        "mean_scale": {name: float(np.mean(values)) for name, (_, values) in used.items()},
        "network_rows": calls,
        "contrast": {name: contrast(picture) for name, picture in drawn.items()},
        "from_constant": {name: float((picture - plain).abs().mean()) / 2 for name, picture in drawn.items()},
    }
    yield View(
        {
            "progress": ended(s, model, f"4 runs of {counted(s.steps, 'step')}", pace.spent),
            "plot": plot,
            "pictures": [coursed(name, picture, drawn, used, calls) for name, picture in drawn.items()],
        },
        over_formula(s),
        frame.weakest(*found),
        over_notice(numbers),
        numbers,
    )


def coursed(
    name: str,
    picture: torch.Tensor,
    drawn: dict[str, torch.Tensor],
    used: dict[str, tuple[list[int], list[float]]],
    calls: dict[str, int],
) -> Picture:
    away = 50 * float((picture - drawn["constant"]).abs().mean())
    far = "" if name == "constant" else f", {away:.2g} % from constant"
    return Picture(unit(picture), name, f"mean s {np.mean(used[name][1]):.2g}, {calls[name]} network rows{far}")


def over_formula(s: Settings) -> str:
    """Raises: ValueError if the interval runs up in t."""
    if s.until > s.since:
        raise ValueError(f"the interval runs down in t: from t / T = {s.since:g} it cannot go to {s.until:g}")
    scale, excess = f"{s.guidance:g}", f"{'-' if s.guidance < 1 else '+'}{abs(2 * (s.guidance - 1)):g}"
    other = rf"\hat{without(s)}"
    return display(
        rf"\hat\epsilon={other}+s(t)\,(\hat\epsilon_{{\text{{words}}}}-{other})",
        rf"\text{{rising: }}1{excess}\,(1-\tfrac tT)\quad\text{{falling: }}1{excess}\,\tfrac tT\quad"
        rf"\text{{interval: }}{scale}\text{{ for }}{s.until:g}\le\tfrac tT\le{s.since:g},\text{{ else }}1",
        style_line(s, r"\max(s(t)-1,0)"),
    )


def over_notice(n: dict[str, Any]) -> str:
    far = {name: value for name, value in n["from_constant"].items() if name != "constant"}
    most = max(far, key=lambda name: far[name])
    rows = n["network_rows"]
    if far[most] == 0:
        return "At s = 1 no course presses anything: all four are one walk, and one picture."
    if rows["interval"] == rows["constant"]:
        return (
            f"The interval leaves no step out: it is the constant scale. **{most.capitalize()}** ends farthest from "
            f"it: {100 * far[most]:.2g} % of black to white a pixel."
        )
    return (
        f"All four start from one noise; over all t they press {n['scale']:g} on average, the interval nearer to 1. "
        f"**{most.capitalize()}** ends farthest from the constant scale: {100 * far[most]:.2g} % of black to white a "
        "pixel.\n"
        f"The interval asks the network for **{rows['interval']}** answers in place of {rows['constant']}: outside it "
        "s = 1, and only the words are asked. Falling presses while the layout is found, rising while details are."
    )


def over_code(s: Settings) -> str:
    return f"""
{head(s)}
s, T = asked.pop("guidance"), model.schedule.T
courses = {{
    "constant": lambda t: s,
    "rising": lambda t: 1 + 2 * (s - 1) * (1 - t / T),
    "falling": lambda t: 1 + 2 * (s - 1) * t / T,
    "interval": lambda t: s if {s.until!r} <= t / T <= {s.since!r} else 1.0,
}}
drawn, used, rows = {{}}, {{}}, {{}}
for name, course in courses.items():
    scales = []  # one for every call of the network
    steps = list(model.stream(prompt, **asked, guidance=lambda t: scales.append(course(t)) or scales[-1]))
    rows[name] = sum(1 if scale in (0, 1) else {"4 if scale > 1 else 2" if pressing(s) else "2"} for scale in scales)
    drawn[name] = model.decode(steps[-1].x_next)[0].cpu()
    used[name] = [course(step.t) for step in steps]

print("mean_scale =", {{name: sum(values) / len(values) for name, values in used.items()}})
print("network_rows =", rows)
print("contrast =", {{name: float(p.double().std(unbiased=False)) / 2 for name, p in drawn.items()}})
print("from_constant =", {{name: float((p - drawn["constant"]).abs().mean()) / 2 for name, p in drawn.items()}})
"""


IDEAS = {
    TEXT: Idea(("progress", "panels", "plot"), RUN, text_code, walk=text, waiting=text_formula),
    SCALES: Idea(("progress", "pictures"), RUN, scales_code, walk=scales, waiting=scales_formula),
    OVER_TIME: Idea(
        ("progress", "plot", "pictures"),
        (*RUN, "since", "until"),
        over_code,
        walk=over_time,
        waiting=over_formula,
    ),
}
