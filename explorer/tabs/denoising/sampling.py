"""From pure noise to pictures: in one shot, step by step, and with the exact denoiser of a data set."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from core import checks, inspection
from core.forward import add_noise
from core.mixtures import empirical_denoiser
from core.pipeline import ClassToImage
from core.resizing import psnr
from core.samplers import Step, named_sampler, unrolled
from explorer import frame
from explorer.components.pictures import Picture
from explorer.components.player import Trajectory
from explorer.components.progress import Progress
from explorer.formulas import counted, display, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import Pace
from explorer.tabs.denoising import common
from explorer.tabs.denoising.common import (
    bright,
    model,
    noises,
    number,
    pictures,
    source,
    tile,
)
from explorer.tabs.denoising.settings import SEEN, UNSEEN, Settings

NOISES, CLEANED = 4, 8  # pure noises walked from; half-noised pictures cleaned in one go


# One shot or step by step


def one_shot(s: Settings) -> Iterator[View]:
    yield View(
        {"progress": Progress(0, s.steps, "reading the models and their pictures")}, one_shot_formula(s), None, "", {}
    )
    whole, half = model(common.FASHION), model(common.HALF_NOISE)
    labels = labels_of(s)
    data = pictures(s, UNSEEN)
    x0 = data.x0[:CLEANED]
    noisy, cleaned = clean_at_half(half, x0, s.seed)
    *_, shot = half.stream(None, NOISES, seed=s.seed)
    blots = shot.x_next
    found = {
        "label": s.label,
        "w": s.guidance - 1,
        "real_pictures": data.real,
        "alpha_bar_of_the_one_shot": float(half.schedule.alpha_bar[1]),
        "psnr_half_noised": psnr(noisy, x0, peak=2),
        "psnr_cleaned_in_one_go": psnr(cleaned, x0, peak=2),
        "blots_apart": inspection.apart(blots),
        "blots_contrast": float(blots.std((1, 2, 3)).mean()),
    }
    sheet = [
        Picture(bright(tile(x0, 4)), "clean x₀"),
        Picture(bright(tile(noisy, 4)), "half noise", f"{found['psnr_half_noised']:.1f} dB"),
        Picture(bright(tile(cleaned, 4)), "cleaned in one go", f"{found['psnr_cleaned_in_one_go']:.1f} dB"),
    ]
    walk = whole.stream(labels, NOISES, steps=s.steps, guidance=s.guidance, seed=s.seed)
    steps: list[Step] = []
    for view in walking(s, walk, whole, steps, lambda step: [shot.x, blots, step.x, step.prediction.x0], TITLES):
        yield View({**view, "pictures": sheet}, one_shot_formula(s, steps[-1].t), None, on_the_way(s, steps), {})
    end = steps[-1].x_next
    numbers = found | {
        "times": unrolled(steps)[2],
        "samples_apart": inspection.apart(end),
        "samples_contrast": float(end.std((1, 2, 3)).mean()),
        "pictures_apart": inspection.apart(data.x0[:16]),
    }
    frames = [[shot.x, blots, step.x, step.prediction.x0] for step in steps] + [[shot.x, blots, end, end]]
    yield View(
        {
            "progress": Progress(1, 1, counted(len(steps), "step")),
            "player": trajectory(frames, labelled(steps, whole), TITLES),
            "pictures": sheet,
        },
        one_shot_formula(s),
        frame.weakest(
            checks.denoising(*unrolled(steps), whole.schedule.alpha_bar, whole.card.defaults["sampler"]),
            checks.denoising(*unrolled([shot]), half.schedule.alpha_bar, "ddim"),
            checks.psnr(numbers["psnr_half_noised"], noisy, x0, peak=2),
            checks.psnr(numbers["psnr_cleaned_in_one_go"], cleaned, x0, peak=2),
            checks.apart(numbers["blots_apart"], blots),
            checks.apart(numbers["samples_apart"], end),
            *guidance_checks(s, whole, labels, steps[0]),
        ),
        one_shot_notice(numbers),
        numbers,
    )


TITLES = ("pure noise", "in one shot", "step by step, xₜ", "its guess x̂₀")


def labels_of(s: Settings) -> list[int] | None:
    label = number(s)
    return None if label is None else [label] * NOISES


def clean_at_half(half: ClassToImage, x0: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """The pictures at the one amount of noise the network knows, and its answer."""
    noisy = add_noise(x0, noises(len(x0), x0, seed).float(), 1, half.schedule)
    return noisy, inspection.ask(half, noisy, [1] * len(x0), None).x0


def guidance_checks(s: Settings, whole: ClassToImage, labels: list[int] | None, step: Step) -> list[checks.Check]:
    """The first guided answer against the two it is made of."""
    if labels is None or s.guidance in (0, 1):
        return []
    with torch.no_grad():
        told, untold = (whole.denoiser(labels, guidance=scale)(step.x, step.t).x0 for scale in (1.0, 0.0))
    return [checks.guidance(step.prediction.x0, told, untold, scale=s.guidance)]


def walking(s: Settings, walk, whole: ClassToImage, steps: list[Step], panels, titles) -> Iterator[dict]:
    """Fill ``steps`` with the walk; yields, not too often, what the player and the bar show by then."""
    pace, sent = Pace(), 0
    for step in walk:
        steps.append(step)
        if not pace.due():
            continue
        done = len(steps)
        fresh = [panels(one) for one in steps[sent:]]
        names = labelled(steps, whole)[sent:done]
        yield {
            "progress": Progress(done, s.steps, f"step {done} of {s.steps}", pace.left(done, s.steps)),
            "player": trajectory(fresh, names, titles, at=done - 1, start=sent),
        }
        sent = done


def trajectory(
    frames: list[list[Tensor]], labels: list[str], titles: tuple[str, ...], at: int | None = None, start: int = 0
) -> Trajectory:
    """Every panel a square of its pictures."""
    tiled = np.stack([[tile(x, 2) for x in panels] for panels in frames])
    return Trajectory(tiled, titles, tuple(labels), at=len(frames) - 1 if at is None else at, start=start)


def labelled(steps: list[Step], whole: ClassToImage) -> list[str]:
    signal, noise = whole.schedule.signal, whole.schedule.noise
    weights = [f"t = {step.t}: signal {float(signal[step.t]):.3f}, noise {float(noise[step.t]):.3f}" for step in steps]
    return [*weights, f"t = {steps[-1].t_next}: the finished pictures"]


def one_shot_formula(s: Settings, t: int | None = None) -> str:
    scale = sensible(s.guidance)
    one = (
        r"\text{one shot:}\quad x=\sqrt{\tfrac12}\,x_0+\sqrt{\tfrac12}\,\varepsilon\;\longmapsto\;\hat x_0"
        r"\qquad\text{fed }x=\varepsilon\text{: ink blots}"
    )
    many = (
        rf"\text{{step by step:}}\quad \hat x_0"
        rf"=\hat x_0^\varnothing+s\,(\hat x_0^{{\text{{class}}}}-\hat x_0^\varnothing)"
        rf"\qquad s={scale},\;w=s-1={sensible(s.guidance - 1)}"
    )
    if number(s) is None:
        many = r"\text{step by step, told no class:}\quad \hat x_0=\hat x_0^\varnothing"
    if t is None:
        return display(one, many)
    whole = model(common.FASHION)
    a = float(whole.schedule.alpha_bar[t])
    return display(one, many + rf"\qquad\bar\alpha_{{{t}}}={tex(a)}")


def on_the_way(s: Settings, steps: list[Step]) -> str:
    return (
        f"Step **{len(steps)}** of {s.steps}. The one shot is done: it was asked once, about pure noise.\n"
        "The other network is asked again and again, and takes away a little noise each time."
    )


def one_shot_notice(n: dict) -> str:
    steps = len(n["times"]) - 1
    more = f"The same noise, in {steps} steps, becomes pictures." if steps > 1 else "Raise the steps: 1 is one go, too."
    return (
        f"One go takes half-noised pictures from {n['psnr_half_noised']:.1f} to "
        f"**{n['psnr_cleaned_in_one_go']:.1f} dB**: half noise is all that this network was trained on. Fed pure "
        f"noise, it takes it for a half-hidden picture and gives **ink blots**. {more}\n"
        f"Every noise gives another: two blots differ by **{n['blots_apart']:.2f}**, two drawn pictures by "
        f"**{n['samples_apart']:.2f}**, two {'real ones' if n['real_pictures'] else 'earlier drawn ones'} by "
        f"{n['pictures_apart']:.2f} (root mean square, white − black = 2). {source(n['real_pictures'])}"
    )


def one_shot_code(s: Settings) -> str:
    label = number(s)
    return f"""
import torch

from core.forward import add_noise
from core.inspection import apart, ask, class_pictures
from core.pipeline import ClassToImage
from core.resizing import psnr

whole = ClassToImage.load({common.FASHION!r}, device="cpu")
half = ClassToImage.load({common.HALF_NOISE!r}, device="cpu")
label = {label}  # {s.label}

pictures = class_pictures(whole, label, "test").x0
x0 = pictures[:{CLEANED}]
eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed({s.seed}))
noisy = add_noise(x0, eps, 1, half.schedule)
cleaned = ask(half, noisy, [1] * len(x0), None).x0
print("psnr_half_noised =", psnr(noisy, x0, peak=2))
print("psnr_cleaned_in_one_go =", psnr(cleaned, x0, peak=2))

*_, shot = half.stream(None, {NOISES}, seed={s.seed})
print("blots_apart =", apart(shot.x_next))
print("blots_contrast =", float(shot.x_next.std((1, 2, 3)).mean()))

labels = {None if label is None else f"[label] * {NOISES}"}
*_, last = whole.stream(labels, {NOISES}, steps={s.steps}, guidance={s.guidance!r}, seed={s.seed})
print("samples_apart =", apart(last.x_next))
print("samples_contrast =", float(last.x_next.std((1, 2, 3)).mean()))
print("pictures_apart =", apart(pictures[:16]))
"""


# Learned by heart?


def memory(s: Settings) -> Iterator[View]:
    yield View({"progress": Progress(0, s.steps, "reading the model and the data")}, memory_formula(s), None, "", {})
    whole, data = model(common.FASHION), pictures(s, SEEN)
    known = data.x0[: s.members]
    exact = empirical_denoiser(known, whole.schedule)
    walk = whole.stream(labels_of(s), NOISES, steps=s.steps, guidance=s.guidance, seed=s.seed)
    by_net: list[Step] = []
    for step in walk:
        by_net.append(step)
        if len(by_net) % 4 == 0:
            bar = Progress(len(by_net), 2 * s.steps, f"the network, step {len(by_net)} of {s.steps}")
            yield View(
                {"progress": bar}, memory_formula(s), None, "The network walks first; then the exact denoiser.", {}
            )
    (start, *_), _, times = unrolled(by_net)
    sampler = named_sampler(whole.card.defaults["sampler"])
    by_heart = list(sampler(exact, whole.schedule, start, times, generator=torch.Generator().manual_seed(s.seed)))
    drawn, recalled = by_net[-1].x_next.clamp(-1, 1), by_heart[-1].x_next
    which, far = inspection.nearest(recalled, known)
    numbers = {
        "label": s.label, "members": len(known), "real_pictures": data.real, "times": times,
        "exact_nearest": which.tolist(), "exact_distance": far.tolist(),
        "samples_apart": inspection.apart(drawn), "exact_samples_apart": inspection.apart(recalled),
    }  # fmt: skip
    sheet = [
        Picture(bright(tile(recalled, 2)), "exact: its end"),
        Picture(bright(tile(known[which], 2)), "nearest in the data", f"{float(far.mean()):.2g} away"),
        Picture(bright(tile(drawn, 2)), "network: its end"),
    ]
    found = [checks.nearest(which, far, recalled, known)]
    if data.real:  # only then is there a training picture to be near to
        near, off = inspection.nearest(drawn, known)
        spare = inspection.nearest(pictures(s, UNSEEN).x0[:NOISES], known)[1]
        numbers |= {
            "network_nearest": near.tolist(), "network_distance": off.tolist(), "unseen_distance": spare.tolist(),
        }  # fmt: skip
        sheet.append(Picture(bright(tile(known[near], 2)), "nearest in training", f"{float(off.mean()):.2g} away"))
        found.append(checks.nearest(near, off, drawn, known))
    frames = [
        [a.x, a.prediction.x0, b.x, b.prediction.x0] for a, b in zip(by_net, by_heart, strict=True)
    ] + [[drawn, drawn, recalled, recalled]]  # fmt: skip
    played = trajectory(frames, labelled(by_net, whole), MEMORY_TITLES)
    alpha_bar = whole.schedule.alpha_bar
    middle = by_heart[len(by_heart) // 2]
    counts = inspection.members_in_play(middle.x, known, middle.t, whole.schedule)
    yield View(
        {"progress": Progress(1, 1, f"{counted(len(by_net), 'step')}, twice"), "player": played, "pictures": sheet},
        memory_formula(s),
        frame.weakest(
            checks.denoising(*unrolled(by_heart), alpha_bar, whole.card.defaults["sampler"]),
            checks.denoising(*unrolled(by_net), alpha_bar, whole.card.defaults["sampler"]),
            checks.exact_denoiser(middle.prediction.x0, counts, middle.x, known, [float(alpha_bar[middle.t])] * NOISES),
            *found,
        ),
        memory_notice(numbers),
        numbers,
    )


MEMORY_TITLES = ("network, xₜ", "its guess x̂₀", "exact, xₜ", "its guess x̂₀ ")


def memory_formula(s: Settings) -> str:
    return display(
        r"\hat x_0=E[x_0\mid x_t]=\sum_i w_i\,y_i,\qquad w_i\propto"
        r"\exp\!\left(-\frac{\lVert x_t-\sqrt{\bar\alpha_t}\,y_i\rVert^2}{2(1-\bar\alpha_t)}\right)"
        rf"\qquad N\le {s.members}"
    )


def memory_notice(n: dict) -> str:
    first = (
        f"The **exact** denoiser of {counted(n['members'], 'picture')} can only recall: its four ends are "
        f"**{mean(n['exact_distance']):.2g}** "
        "from members of the data (root mean square, white − black = 2)."
    )
    if n["real_pictures"]:
        return (
            f"{first}\nThe **network's** ends are **{mean(n['network_distance']):.2f}** from the nearest of these "
            "training pictures; "
            f"real pictures it never saw are {mean(n['unseen_distance']):.2f} from theirs: it draws new ones, "
            "because it is "
            "*not* exact."
        )
    return (
        f"{first}\n{source(False)} So no nearest training picture is claimed for the network's ends; those of its own "
        "drawing are what the exact denoiser recalls here."
    )


def mean(values: list[float]) -> float:
    return float(np.mean(values))


def memory_code(s: Settings) -> str:
    label = number(s)
    return f"""
import torch

from core.inspection import class_pictures, nearest
from core.mixtures import empirical_denoiser
from core.pipeline import ClassToImage
from core.samplers import SAMPLERS, unrolled

model = ClassToImage.load({common.FASHION!r}, device="cpu")
label, seed = {label}, {s.seed}  # {s.label}
labels = {None if label is None else f"[label] * {NOISES}"}
known = class_pictures(model, label, "train").x0[:{s.members}]
steps = list(model.stream(labels, {NOISES}, steps={s.steps}, guidance={s.guidance!r}, seed=seed))
*_, times = unrolled(steps)
sampler = SAMPLERS[model.card.defaults["sampler"]]
exact = empirical_denoiser(known, model.schedule)
*_, last = sampler(exact, model.schedule, steps[0].x, times, generator=torch.Generator().manual_seed(seed))
which, far = nearest(last.x_next, known)
print("members =", len(known))
print("exact_nearest =", which.tolist())
print("exact_distance =", far.tolist())
"""


IDEAS = {
    "one_shot": Idea(
        ("progress", "player", "pictures"),
        ("label", "guidance", "steps", "seed"),
        one_shot_code,
        walk=one_shot,
        waiting=one_shot_formula,
    ),
    "memory": Idea(
        ("progress", "player", "pictures"),
        ("label", "guidance", "steps", "members", "seed"),
        memory_code,
        walk=memory,
        waiting=memory_formula,
    ),
}
