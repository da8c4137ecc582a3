"""What the network sees and says at any t, in its three readings, and how far off it is over many pictures."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from core import checks, inspection
from core.denoiser import Prediction, velocity
from core.forward import add_noise
from core.mixtures import empirical_denoiser
from core.pipeline import ClassToImage
from core.samplers import ddim
from explorer import frame
from explorer.components.live_plot import named
from explorer.components.player import Trajectory
from explorer.components.progress import Progress
from explorer.figures import denoising as figures
from explorer.figures import style
from explorer.formulas import counted, display, plus, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.settings import only
from explorer.tabs.denoising import common
from explorer.tabs.denoising.common import (
    SHOWN,
    chosen,
    fitting,
    head,
    listed,
    model,
    noises,
    number,
    pictures,
    players_times,
    source,
)
from explorer.tabs.denoising.settings import SEEN, UNSEEN, Settings

CENTRE = (0, 14, 14)  # the pixel whose numbers the formula shows


@lru_cache(maxsize=8)
def _answers(name: str, s: Settings, times: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor, Prediction]:
    x0, eps = chosen(s)
    x_t = inspection.noised(x0, eps, times, model(name).schedule)
    return x0, eps, x_t, inspection.ask(model(name), x_t, times, number(s))


def answers(s: Settings, times: list[int]) -> tuple[Tensor, Tensor, Tensor, Prediction]:
    """The chosen picture, its noise, its noised states at the times, and what the network says of each."""
    evenly = players_times(1, times[-1])  # the network is asked of t alone where these stand already
    kept = only(s, "label", "picture", "seed")
    x0, eps, x_t, said = _answers(common.FASHION, kept, tuple(evenly))
    if more := sorted({*times} - {*evenly}):
        _, _, x_more, said_more = _answers(common.FASHION, kept, tuple(more))
        order = np.argsort([*evenly, *more])
        x_t, x0_hat, eps_hat = (
            torch.cat(both)[order] for both in ((x_t, x_more), (said.x0, said_more.x0), (said.eps, said_more.eps))
        )
        said = Prediction(x0_hat, eps_hat)
    return x0, eps, x_t, said


def sees(s: Settings) -> View:
    whole = model()
    schedule, T = whole.schedule, whole.schedule.T
    t = fitting(s.t, T)
    times = players_times(t, T)
    x0, eps, x_t, said = answers(s, times)
    alpha_bar = schedule.alpha_bar[times]
    at, gap = times.index(t), max(1, T // s.steps)
    after = [max(0, time - gap) for time in times]
    moves = [step_to(x_t[i], said, i, times[i], after[i], schedule) for i in range(len(times))]
    loss = inspection.losses(said, x0.expand_as(x_t), eps.expand_as(x_t), alpha_bar)
    read = inspection.readings(said, alpha_bar)
    here = {name: float(values[at][CENTRE]) for name, values in read.items()}
    numbers = {
        "label": s.label,
        "real_pictures": pictures(s).real,
        "alpha_bar": float(alpha_bar[at]),
        "snr": float(schedule.snr[t]),
        "t_next": after[at],
        "loss_eps": float(loss["eps"][at]),
        "loss_x0": float(loss["x0"][at]),
        "loss_v": float(loss["v"][at]),
        "pixel": here | {
            "x_t": float(x_t[at][CENTRE]), "true_eps": float(eps[CENTRE]), "true_x0": float(x0[CENTRE]),
            "x_next": float(moves[at][CENTRE]),
        },
        "times": times,
        "losses": {name: listed(values) for name, values in loss.items()},
    }  # fmt: skip
    frames = torch.stack(
        [x_t, said.eps / SHOWN, eps.expand_as(x_t) / SHOWN, (said.eps - eps) / SHOWN, said.x0, torch.stack(moves)], 1
    )
    labels = (
        f"t = {time}: signal {float(schedule.signal[time]):.3f}, noise {float(schedule.noise[time]):.3f}; next, "
        f"t = {s_}"
        for time, s_ in zip(times, after, strict=True)
    )
    titles = ("xₜ", "noise it says, ε̂", "true noise ε", "difference ε̂ − ε", "picture it sees, x̂₀", "next x")
    v = read["v"][at]
    return View(
        {
            "player": Trajectory(frames[:, :, 0].numpy(), titles, tuple(labels), at=at),
            "left": named(
                "Loss of this picture, read in three ways, at every noise amount",
                figures.curves(
                    times,
                    {
                        label: (numbers["losses"][name], colour, "solid")
                        for name, (label, colour) in figures.READINGS.items()
                    },
                    t,
                    x_range=(0, T),
                    y_range=(-4.5, 2.5),
                    y_name="loss of this picture",
                ),
            ),
        },
        sees_formula(t, after[at], numbers, schedule),
        frame.weakest(
            checks.readings(x_t[at], said.x0[at], said.eps[at], v, alpha_bar[at]),
            checks.readings(x_t[at], x0, eps, velocity(x0, eps, alpha_bar[at]), alpha_bar[at]),
            checks.answer(read[TRAINED[whole.prediction_type]][at], bare(whole, x_t[at], t, number(s))),
            checks.readings(x_t, said.x0, said.eps, read["v"], alpha_bar),
            checks.squared_error(numbers["loss_eps"], said.eps[at], eps),
            checks.one_error(loss["eps"], loss["x0"], loss["v"], alpha_bar),
            checks.denoising([x_t[at], moves[at]], [said.x0[at]], [t, after[at]], schedule.alpha_bar, "ddim"),
        ),
        sees_notice(s, numbers),
        numbers,
    )


TRAINED = {"epsilon": "eps", "sample": "x0", "v_prediction": "v"}


@torch.no_grad()
def bare(whole: ClassToImage, x: Tensor, t: int, label: int | None) -> Tensor:
    """What the network itself answers, whatever that means."""
    context = whole.context(None if label is None else [label])
    return whole.unet(x[None].to(context), torch.tensor([t - 1]), context)[0]


def step_to(x_t: Tensor, said: Prediction, i: int, t: int, s: int, schedule) -> Tensor:
    """Where DDIM goes from here with what the network has said."""
    (step,) = ddim(lambda x, _: Prediction(said.x0[i : i + 1], said.eps[i : i + 1]), schedule, x_t[None], [t, s])
    return step.x_next[0]


def sees_formula(t: int, s: int, n: dict, schedule) -> str:
    signal, noise, pixel = float(schedule.signal[t]), float(schedule.noise[t]), n["pixel"]
    made = (
        rf"x_{{{t}}}=\sqrt{{\bar\alpha}}\,x_0+\sqrt{{1-\bar\alpha}}\,\varepsilon="
        rf"{tex(signal)}\cdot({tex(pixel['true_x0'], 3)}){plus(noise)}\cdot({tex(pixel['true_eps'], 3)})"
        rf"={tex(pixel['x_t'], 3)}"
        r"\;\text{(middle pixel)}"
    )
    read = (
        rf"\hat\varepsilon={tex(pixel['eps'], 3)}\quad\Longleftrightarrow\quad"
        rf"\hat x_0=\frac{{x_t-\sqrt{{1-\bar\alpha}}\,\hat\varepsilon}}{{\sqrt{{\bar\alpha}}}}={tex(pixel['x0'], 3)}",
        rf"\Longleftrightarrow\quad\hat v=\sqrt{{\bar\alpha}}\,\hat\varepsilon-\sqrt{{1-\bar\alpha}}\,\hat x_0"
        rf"={tex(pixel['v'], 3)}",
    )
    b, c = float(schedule.signal[s]), float(schedule.noise[s])
    move = (
        rf"x_{{{s}}}=\sqrt{{\bar\alpha_{{{s}}}}}\,\hat x_0+\sqrt{{1-\bar\alpha_{{{s}}}}}\,\hat\varepsilon"
        rf"={tex(b)}\cdot({tex(pixel['x0'], 3)}){plus(c)}\cdot({tex(pixel['eps'], 3)})={tex(pixel['x_next'], 3)}"
    )
    error = rf"L_\varepsilon=\overline{{(\hat\varepsilon-\varepsilon)^2}}={tex(n['loss_eps'], 3)}"
    return display(made, *read, move, error)


def sees_notice(s: Settings, n: dict) -> str:
    return (
        f"At t = {s.t} the noise is missed by **{n['loss_eps']:.3g}** (mean square; the noise itself is 1), the "
        f"picture by **{n['loss_x0']:.3g}**, v by **{n['loss_v']:.3g}**: one error in three units, for the picture's "
        f"is the noise's over SNR = {sensible(n['snr'])}, and v's is the noise's over ᾱ.\n"
        "Drag t: near T the noise is easily told and the picture a blur; near 0 it is the other way round. "
        + source(n["real_pictures"])
    )


def sees_code(s: Settings) -> str:
    return f"""
import torch

from core.inspection import ask, class_pictures, losses, noised
from core.pipeline import ClassToImage

{head(s)}
t = {s.t}
x_t = noised(x0, eps, [t], schedule)
said = ask(model, x_t, [t], label)
a = schedule.alpha_bar[t]
error = losses(said, x0[None], eps[None], a)
print("alpha_bar =", float(a))
print("snr =", float(schedule.snr[t]))
for name in ("eps", "x0", "v"):
    print(f"loss_{{name}} =", float(error[name]))
"""


# Loss against t

TRIED = 16  # pictures of each kind
AT = (1, 5, 10, 20, 40, 70, 100, 150, 200, 300, 400, 500, 600, 700, 800, 900, 950, 1000)


def loss(s: Settings) -> Iterator[View]:
    formula = loss_formula(s)
    yield View({"progress": Progress(0, len(AT), "reading the model and the pictures")}, formula, None, "", {})
    whole = model()
    known, other = pictures(s, SEEN), pictures(s, UNSEEN)
    data = known.x0[: s.members]
    exact = empirical_denoiser(data, whole.schedule)
    count = min(TRIED, len(data))
    x0 = torch.cat([data[:count], other.x0[:TRIED]]).double()
    eps = noises(len(x0), x0[0], s.seed)
    times = [t for t in AT if t <= whole.schedule.T]
    found: dict[str, list[float]] = {name: [] for name in LINES}
    errors: list[dict[str, float]] = []
    last = None
    for i, t in enumerate(times):
        x_t = add_noise(x0, eps, t, whole.schedule)
        a = whole.schedule.alpha_bar[t]
        by_net, by_heart = inspection.ask(whole, x_t, [t] * len(x_t), number(s)), exact(x_t, t)
        loss_net = inspection.losses(by_net, x0, eps, a)
        loss_exact = inspection.losses(by_heart, x0, eps, a)
        values = (loss_net["x0"][count:], loss_net["x0"][:count], loss_exact["x0"][count:], loss_exact["x0"][:count])
        for name, value in zip(LINES, values, strict=True):
            found[name].append(float(value.mean()))
        errors.append({name: float(value[count:].mean()) for name, value in loss_net.items()})
        last = (by_net, x_t, by_heart, t)
        if i < len(times) - 1:
            bar = Progress(i + 1, len(times), f"t = {t}")
            yield View(
                {"progress": bar, "left": loss_figure(times, found, known.real)},
                formula,
                None,
                "Measuring, from clean to noise.",
                {},
            )
    assert last is not None
    by_net, x_t, by_heart, t = last
    numbers = {
        "label": s.label, "members": len(data), "real_pictures": known.real, "times": times,
        **found,
        "network_other_eps": [e["eps"] for e in errors], "network_other_v": [e["v"] for e in errors],
    }  # fmt: skip
    play = inspection.members_in_play(x_t[:4], data, t, whole.schedule)
    yield View(
        {
            "progress": Progress(1, 1, f"{len(x0)} pictures at {len(times)} times"),
            "left": loss_figure(times, found, known.real),
        },
        formula,
        frame.weakest(
            checks.one_error(
                numbers["network_other_eps"],
                found["network_other"],
                numbers["network_other_v"],
                whole.schedule.alpha_bar[times],
            ),
            checks.squared_error(found["network_other"][-1], by_net.x0[count:], x0[count:]),
            checks.squared_error(found["exact_known"][-1], by_heart.x0[:count], x0[:count]),
            checks.exact_denoiser(
                by_heart.x0[:4], play, x_t[:4], data, [float(whole.schedule.alpha_bar[t])] * len(play)
            ),
        ),
        loss_notice(numbers),
        numbers,
    )


ASKED = (("network", style.PREDICTION), ("exact denoiser", style.NOISE))
# Of the pictures: known are those the exact denoiser has, other those it has not.
LINES = {
    "network_other": (*ASKED[0], "solid"),
    "network_known": (*ASKED[0], "dot"),
    "exact_other": (*ASKED[1], "solid"),
    "exact_known": (*ASKED[1], "dot"),
}


def loss_figure(times: list[int], found: dict[str, list[float]], real: bool):
    groups = {"solid": "unseen pictures", "dot": "training set"}
    if not real:  # drawn by the network, which was trained on none of them
        groups = {"solid": "others", "dot": "the exact one’s own"}
    shown = {f"{name}, {groups[dash]}": (found[line], colour, dash) for line, (name, colour, dash) in LINES.items()}
    names = (*ASKED, (f"─ {groups['solid']}", style.GREY), (groups["dot"], style.GREY, "dot"))
    return named(
        "Error of network and exact denoiser at every noise amount, on pictures that the exact one knows and others",
        figures.curves(times, shown, x_range=(0, times[-1]), y_range=(-5, 0.5), y_name="error of x̂₀", names=names),
    )


def loss_formula(s: Settings) -> str:
    return display(
        r"L_{x_0}(t)=\overline{(\hat x_0-x_0)^2}\qquad L_\varepsilon=\text{SNR}_t\,L_{x_0}\qquad L_v"
        r"=\frac{L_\varepsilon}{\bar\alpha_t}"
        r"=\frac{L_{x_0}}{1-\bar\alpha_t}"
    )


def loss_notice(n: dict) -> str:
    small = n["times"].index(100) if 100 in n["times"] else 0
    other, known = n["network_other"][small], n["network_known"][small]
    groups = f"pictures it never saw by **{other:.2g}** (mean square) and those of its training set by {known:.2g}"
    if not n["real_pictures"]:
        groups = (
            f"the exact denoiser's pictures by **{known:.2g}** (mean square) and others by {other:.2g}; it was trained "
            "on neither"
        )
    return (
        f"At t = {n['times'][small]} the network misses {groups}. "
        f"The exact denoiser of {counted(n['members'], 'picture')} misses its own by "
        f"**{n['exact_known'][small]:.2g}** and others by **{n['exact_other'][small]:.2g}**: "
        "exact is not better, it is memory.\n"
        "Small changes are easy, everything at once is hard: the network's error of x̂₀ grows with the noise. "
        + source(n["real_pictures"])
    )


def loss_code(s: Settings) -> str:
    return f"""
import torch

from core.forward import add_noise
from core.inspection import ask, class_pictures, losses
from core.mixtures import empirical_denoiser
from core.pipeline import ClassToImage

model = ClassToImage.load({common.FASHION!r}, device="cpu")
schedule, label = model.schedule, {number(s)}  # {s.label}
data = class_pictures(model, label, "train").x0[:{s.members}]
exact, count = empirical_denoiser(data, schedule), min({TRIED}, len(data))
x0 = torch.cat([data[:count], class_pictures(model, label, "test").x0[:{TRIED}]]).double()
eps = torch.randn(x0.shape, generator=torch.Generator().manual_seed({s.seed})).double()
found = {{"network_other": [], "network_known": [], "exact_other": [], "exact_known": []}}
times = {[t for t in AT]}
for t in times:
    x_t, a = add_noise(x0, eps, t, schedule), schedule.alpha_bar[t]
    for name, said in (("network", ask(model, x_t, [t] * len(x_t), label)), ("exact", exact(x_t, t))):
        error = losses(said, x0, eps, a)["x0"]
        found[f"{{name}}_other"].append(float(error[count:].mean()))
        found[f"{{name}}_known"].append(float(error[:count].mean()))
print("times =", times)
for name, values in found.items():
    print(name, "=", values)
"""


# Exact against learned


def exact(s: Settings) -> View:
    whole = model()
    schedule, T = whole.schedule, whole.schedule.T
    t = fitting(s.t, T)
    times, data = players_times(t, T), pictures(s, SEEN)
    known = data.x0[: s.members]
    if s.origin == SEEN and s.picture >= len(known):
        raise ValueError(
            f"the data hold {counted(len(known), 'picture')}; picture {s.picture} is not among them: raise their number"
        )
    x0, eps = chosen(s, s.origin)
    x_t = inspection.noised(x0, eps, times, schedule)
    by_net = inspection.ask(whole, x_t, times, number(s)).x0
    denoise = empirical_denoiser(known, schedule)
    by_heart = torch.cat([denoise(x[None], time).x0 for x, time in zip(x_t, times, strict=True)])
    play = torch.cat(
        [inspection.members_in_play(x[None], known, time, schedule) for x, time in zip(x_t, times, strict=True)]
    )
    which, far = inspection.nearest(by_heart, known)
    at = times.index(t)
    off = {
        "network_error": (by_net - x0).square().flatten(1).mean(1),
        "exact_error": (by_heart - x0).square().flatten(1).mean(1),
        "apart": (by_net - by_heart).square().flatten(1).mean(1),
    }
    numbers = {
        "label": s.label, "members": len(known), "real_pictures": data.real, "alpha_bar": float(schedule.alpha_bar[t]),
        "members_in_play": float(play[at]), "nearest": int(which[at]), "distance": float(far[at]),
        **{name: float(values[at]) for name, values in off.items()},
        "times": times, "in_play": listed(play),
        "curves": {name: listed(values) for name, values in off.items()},
    }  # fmt: skip
    clean = x0.expand_as(x_t)
    frames = torch.stack([clean, x_t, by_net, by_heart, (by_net - by_heart) / 2, known[which].double()], 1)[:, :, 0]
    labels = (
        f"t = {time}: {count:.3g} of {counted(len(known), 'picture')} in play"
        for time, count in zip(times, play.tolist(), strict=True)
    )
    titles = ("x₀", "xₜ", "network x̂₀", "exact x̂₀", "difference", "nearest in the data")
    few = [0, at, len(times) - 1]
    return View(
        {
            "player": Trajectory(frames.numpy(), titles, tuple(labels), at=at),
            "left": named(
                "Error of network and exact denoiser on this picture at every noise amount",
                figures.curves(
                    times,
                    {
                        "network": (numbers["curves"]["network_error"], style.PREDICTION, "solid"),
                        "exact": (numbers["curves"]["exact_error"], style.NOISE, "solid"),
                        "between the two": (numbers["curves"]["apart"], style.GREY, "dash"),
                    },
                    t,
                    x_range=(0, T),
                    y_range=(-6, 0.5),
                    y_name="error of x̂₀",
                ),
            ),
            "right": named(
                "Pictures still in play at every noise amount",
                figures.curves(
                    times,
                    {"pictures in play": (listed(play), style.SIGNAL, "solid")},
                    t,
                    x_range=(0, T),
                    y_range=(-0.1, float(np.log10(max(len(known), 2))) + 0.2),
                    y_name="pictures in play",
                ),
            ),
        },
        exact_formula(t, numbers),
        frame.weakest(
            checks.exact_denoiser(by_heart[few], play[few], x_t[few], known, schedule.alpha_bar[times][few]),
            checks.nearest(which, far, by_heart, known),
            checks.squared_error(numbers["network_error"], by_net[at], x0),
            checks.squared_error(numbers["exact_error"], by_heart[at], x0),
        ),
        exact_notice(s, numbers, data.real and number(s) is not None and len(known) == len(data.x0)),
        numbers,
    )


def exact_formula(t: int, n: dict) -> str:
    return display(
        r"E[x_0\mid x_t]=\sum_{i=1}^N w_i\,y_i,\qquad w_i\propto\exp\!\left(-\frac{\lVert x_t-\sqrt{\bar\alpha_t}\,y_i"
        rf"\rVert^2}}{{2(1-\bar\alpha_t)}}\right)\qquad N={n['members']},\;\bar\alpha_{{{t}}}={tex(n['alpha_bar'])}",
        rf"e^{{-\sum w_i\ln w_i}}"
        rf"={tex(n['members_in_play'], 3)}\text{{ of {counted(n['members'], 'picture')} in play}}",
    )


def exact_notice(s: Settings, n: dict, alike: bool) -> str:
    """alike: whether the exact denoiser knows just the pictures of this class that the network was trained on."""
    better = "the network" if n["network_error"] < n["exact_error"] else "the exact denoiser"
    kind, many = "it is one of the data" if s.origin == SEEN else "it is not among the data", n["members_in_play"]
    decided = f"Between **{many:.3g}** pictures it still hesitates; at one it would have decided"
    if f"{many:.3g}" == "1":
        decided = "It has decided on **one** picture"
    if alike:
        between = (
            "What separates the two is the network's approximation error, and it is what lets it draw pictures that "
            "are not in the data."
        )
    elif n["real_pictures"]:
        between = (
            "Two things separate them: the network was trained on more pictures than these, and it only approximates "
            "the exact answer."
        )
    else:
        between = "They know different pictures: the network was trained on FashionMNIST, the other knows these alone."
    return (
        f"Of this picture ({kind}) the network is off by **{n['network_error']:.2g}** (mean square), the exact "
        f"denoiser of "
        f"{counted(n['members'], 'picture')} by **{n['exact_error']:.2g}**: {better} is nearer. {decided}, right "
        "or wrong.\n"
        f"{between} {source(n['real_pictures'])}"
    )


def exact_code(s: Settings) -> str:
    return f"""
import torch

from core.inspection import ask, class_pictures, members_in_play, nearest, noised
from core.mixtures import empirical_denoiser
from core.pipeline import ClassToImage

{head(s, "train" if s.origin == SEEN else "test")}
t = {s.t}
known = class_pictures(model, label, "train").x0[:{s.members}]
x_t = noised(x0, eps, [t], schedule)
network = ask(model, x_t, [t], label).x0
exact = empirical_denoiser(known, schedule)(x_t, t).x0
which, far = nearest(exact, known)
print("members =", len(known))
print("members_in_play =", float(members_in_play(x_t, known, t, schedule)))
print("nearest =", int(which))
print("distance =", float(far))
print("network_error =", float((network - x0).square().mean()))
print("exact_error =", float((exact - x0).square().mean()))
print("apart =", float((network - exact).square().mean()))
"""


IDEAS = {
    "sees": Idea(("player", "left"), ("label", "picture", "t", "steps", "seed"), sees_code, show=sees),
    "loss": Idea(("progress", "left"), ("label", "members", "seed"), loss_code, walk=loss, waiting=loss_formula),
    "exact": Idea(
        ("player", "left", "right"), ("label", "picture", "origin", "t", "members", "seed"), exact_code, show=exact
    ),
}
