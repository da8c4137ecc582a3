"""Inside the network: its maps with and without skips, the noise amount as an input, group norm and activations."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from core import checks, inspection
from core.denoiser import READINGS, Prediction
from core.networks import layers
from core.networks.attention import Record
from core.resizing import psnr
from explorer import frame
from explorer.components.live_plot import named
from explorer.components.pictures import Picture
from explorer.components.player import Trajectory
from explorer.figures import denoising as figures
from explorer.figures import style
from explorer.formulas import display, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.settings import only
from explorer.tabs.denoising import common
from explorer.tabs.denoising.common import (
    bright,
    chosen,
    fitting,
    head,
    listed,
    model,
    number,
    pictures,
    players_times,
    source,
    tile,
)
from explorer.tabs.denoising.settings import Settings

CHANNELS = 16  # of every map, in a square


# Inside the U


@lru_cache(maxsize=8)
def _maps(name: str, s: Settings, skips: bool) -> tuple[dict[str, Tensor], Tensor]:
    whole = model(name)
    x0, eps = chosen(s)
    x_t = inspection.noised(x0, eps, [s.t], whole.schedule)
    record = Record()
    with torch.no_grad():
        answer = whole.unet(x_t.float(), torch.tensor([s.t - 1]), told(number(s)), record=record, skips=skips)
    return record.features, answer


def told(label: int | None) -> Tensor:
    return model().context(None if label is None else [label])


def maps(s: Settings, skips: bool) -> tuple[dict[str, Tensor], Tensor]:
    """Every level's feature map and the network's answer, (1, C, h, w)."""
    return _maps(common.FASHION, only(s, "label", "picture", "t", "seed"), skips)


def inside(s: Settings) -> View:
    whole = model()
    t = fitting(s.t, whole.schedule.T)
    x0, eps = chosen(s)
    x_t = inspection.noised(x0, eps, [t], whole.schedule)
    (features, answer), (blind, without) = maps(s, True), maps(s, False)
    alpha_bar, read = whole.schedule.alpha_bar[t], READINGS[whole.prediction_type]
    guess, guess_blind = (read(x_t, a.double(), alpha_bar).x0 for a in (answer, without))
    side = x0.shape[-1]
    way_up = [name for name in features if name.startswith("up")]
    sheet = [
        Picture(as_large(x_t[0, 0]), "xₜ", f"1 × {side} × {side}"),
        *(shown(name, features[name], side) for name in features if name not in way_up),
        *(shown(name, features[name], side, " with skips") for name in way_up),
        Picture(as_large(x0[0]), "the true x₀"),
        *(shown(name, blind[name], side, " without") for name in way_up),
        Picture(as_large(guess[0, 0]), "x̂₀ with skips", f"mean square error {error(guess, x0):.3g}"),
        Picture(as_large(guess_blind[0, 0]), "x̂₀ without skips", f"mean square error {error(guess_blind, x0):.3g}"),
    ]
    numbers = {
        "label": s.label, "real_pictures": pictures(s).real,
        "shapes": {name: list(f.shape[1:]) for name, f in features.items()},
        "size_of_maps": {name: float(f.abs().mean()) for name, f in features.items()},
        "weights": sum(w.numel() for w in whole.unet.parameters()),
        "error_with_skips": error(guess, x0), "error_without_skips": error(guess_blind, x0),
        "psnr_with_skips": psnr(guess, x0[None], peak=2),
        "psnr_without_skips": psnr(guess_blind, x0[None], peak=2),
    }  # fmt: skip
    time = torch.tensor([t - 1])
    return View(
        {"pictures": sheet},
        inside_formula(numbers),
        frame.weakest(
            checks.without_skips(without, whole.unet, x_t.float(), time, told(number(s))),
            checks.level_sizes([f.shape[-1] for f in features.values()]),
            checks.squared_error(numbers["error_with_skips"], guess, x0[None]),
            checks.squared_error(numbers["error_without_skips"], guess_blind, x0[None]),
            checks.psnr(numbers["psnr_with_skips"], guess, x0[None], peak=2),
        ),
        inside_notice(numbers),
        numbers,
    )


def as_large(x: Tensor) -> np.ndarray:
    """A picture as large as the tiled maps beside it."""
    return bright(x.numpy()).repeat(4, 0).repeat(4, 1)


def shown(name: str, features: Tensor, side: int, how: str = "") -> Picture:
    """The first channels of a map in a square, grey for 0, each as large as the picture."""
    first = features[0, :CHANNELS, None].double()
    most = float(first.abs().quantile(0.99)) or 1.0
    tiled = tile(first / most, 4).repeat(max(1, side // features.shape[-1]), 0).repeat(
        max(1, side // features.shape[-1]), 1
    )  # fmt: skip
    kind, _, level = name.partition("_blocks.")
    title = "the middle" if name == "mid_block" else f"{kind} {int(level) + 1}{how}"
    return Picture(bright(tiled), title, " × ".join(map(str, features.shape[1:])))


def error(guess: Tensor, x0: Tensor) -> float:
    return float((guess - x0).square().mean())


def inside_formula(n: dict) -> str:
    shapes = [rf"{c}\times{h}\times{w}" for c, h, w in n["shapes"].values()]
    half = (len(shapes) - 1) // 2
    down, middle, up = shapes[:half], shapes[half], shapes[half + 1 :]
    return display(
        r"x_t\;\to\;" + r"\;\to\;".join(down) + rf"\;\to\;\underbrace{{{middle}}}_{{\text{{the middle}}}}",
        r"\to\;" + r"\;\to\;".join(up) + r"\;\to\;\text{answer}",
        rf"\overline{{(\hat x_0-x_0)^2}}={tex(n['error_with_skips'])}\text{{ with skips}},\quad "
        rf"{tex(n['error_without_skips'])}\text{{ with zeros in their place}}",
    )


def inside_notice(n: dict) -> str:
    low = min(h for _, h, _ in n["shapes"].values())
    return (
        f"Down the U the picture is folded into more and more maps of fewer pixels, {low} × {low} at the bottom, "
        "where one "
        f"map sees it whole; the skips carry the fine detail past that bottleneck. With them x̂₀ is off by "
        f"**{n['error_with_skips']:.3g}** (mean square), with zeros in their place by "
        f"**{n['error_without_skips']:.3g}**.\n"
        f"Of every map you see the first {CHANNELS} channels (grey is 0). This network was trained with skips: "
        "one trained "
        "without would manage better than this, but no fine detail fits through the middle. "
        f"{source(n['real_pictures'])}"
    )


def inside_code(s: Settings) -> str:
    return f"""
import torch

from core.inspection import class_pictures, noised
from core.networks.attention import Record
from core.denoiser import READINGS
from core.pipeline import ClassToImage
from core.resizing import psnr

{head(s)}
t = {s.t}
x_t, context = noised(x0, eps, [t], schedule), model.context(None if label is None else [label])
for skips in (True, False):
    record = Record()
    with torch.no_grad():
        answer = model.unet(x_t.float(), torch.tensor([t - 1]), context, record=record, skips=skips)
    x0_hat = READINGS[model.prediction_type](x_t, answer.double(), schedule.alpha_bar[t]).x0
    how = "with" if skips else "without"
    print(f"error_{{how}}_skips =", float((x0_hat - x0).square().mean()))
    print(f"psnr_{{how}}_skips =", psnr(x0_hat, x0[None], peak=2))
    if skips:
        print("shapes =", {{name: list(f.shape[1:]) for name, f in record.features.items()}})
"""


# The noise amount as an input


@lru_cache(maxsize=4)
def _told(name: str, s: Settings, said: tuple[int, ...]) -> tuple[Tensor, Tensor, Prediction]:
    whole = model(name)
    x0, eps = chosen(s)
    x_t = inspection.noised(x0, eps, [s.t], whole.schedule)
    many = x_t.expand(len(said), -1, -1, -1)
    return x0, x_t, inspection.ask(whole, many, [s.t] * len(said), number(s), told=said)


def amount(s: Settings) -> View:
    whole = model()
    schedule, T = whole.schedule, whole.schedule.T
    t, wrong = fitting(s.t, T), fitting(s.told, T, "the amount the network is told")
    times = sorted({*players_times(wrong, T), t})
    x0, x_t, said = _told(common.FASHION, only(s, "label", "picture", "t", "seed"), tuple(times))
    at, right = times.index(wrong), times.index(t)
    off = (said.x0 - x0).square().flatten(1).mean(1)
    dim = whole.unet.config.block_out_channels[0]
    shown_times = np.unique(np.linspace(1, T, 200).round().astype(int))
    waves = layers.timestep_embedding(torch.tensor(shown_times) - 1, dim)
    here = layers.timestep_embedding(torch.tensor([t - 1, wrong - 1]), dim)
    likeness = float(torch.cosine_similarity(here[:1], here[1:])[0])
    numbers = {
        "label": s.label, "real_pictures": pictures(s).real, "features": dim, "embedding": here[0].tolist(),
        "embedding_told": here[1].tolist(), "likeness": likeness,
        "error_told_right": float(off[right]), "error_told_wrong": float(off[at]),
        "told": times, "errors": listed(off), "best_told": times[int(off.argmin())],
    }  # fmt: skip
    frames = torch.stack(
        [x_t.expand_as(said.x0), said.x0[right].expand_as(said.x0), said.x0, said.x0 - said.x0[right]], 1
    )
    labels = tuple(
        f"told t = {time}{', the truth' if time == t else ''}: mean square error {value:.3g}"
        for time, value in zip(times, off.tolist(), strict=True)
    )
    titles = (f"xₜ at t = {t}", "x̂₀, told the truth", "x̂₀ as told", "what the lie changes")
    return View(
        {
            "player": Trajectory(frames[:, :, 0].numpy(), titles, labels, at=at),
            "left": named(
                "The waves that tell the network its noise amount",
                figures.waves(waves.numpy(), shown_times.tolist(), t, wrong),
            ),
            "right": named(
                "Error of the picture it sees for every amount the network is told",
                figures.curves(
                    times,
                    {"error of x̂₀": (listed(off), style.PREDICTION, "solid")},
                    t,
                    x_name="t the network is told",
                    x_range=(0, T),
                ),
            ),
        },
        amount_formula(t, wrong, numbers),
        frame.weakest(
            checks.timestep_embedding(waves, shown_times - 1),
            checks.timestep_embedding(here, [t - 1, wrong - 1]),
            checks.squared_error(numbers["error_told_wrong"], said.x0[at], x0),
            checks.squared_error(numbers["error_told_right"], said.x0[right], x0),
            checks.readings(
                x_t.expand_as(said.x0),
                said.x0,
                said.eps,
                inspection.readings(said, schedule.alpha_bar[times])["v"],
                schedule.alpha_bar[times],
            ),
        ),
        amount_notice(s, numbers),
        numbers,
    )


def amount_formula(t: int, wrong: int, n: dict) -> str:
    half = n["features"] // 2
    first, last = n["embedding"][0], n["embedding"][half]
    return display(
        rf"\text{{features of }}t:\quad\cos(\tau\omega_k),\;\sin(\tau\omega_k),\qquad\omega_k=10000^{{-k/{half}}},"
        rf"\;k=0\dots{half - 1},\;\tau=t-1={t - 1}",
        rf"k=0:\;\cos {t - 1}={tex(first)},\;\sin {t - 1}={tex(last)}\qquad"
        rf"\cos\angle(\text{{features of }}{t},\,\text{{of }}{wrong})={tex(n['likeness'])}",
    )


def amount_notice(s: Settings, n: dict) -> str:
    return (
        f"The picture has t = **{s.t}**, the network is told **{s.told}**: x̂₀ is off by "
        f"**{n['error_told_wrong']:.3g}** (mean square) instead of {n['error_told_right']:.3g}. "
        f"Of the times tried, {n['best_told']} serves it best.\n"
        "Told too much noise it takes away picture, told too little it leaves noise in: play it through. "
        + source(n["real_pictures"])
    )


def amount_code(s: Settings) -> str:
    return f"""
import torch

from core.inspection import ask, class_pictures, noised
from core.networks.layers import timestep_embedding
from core.pipeline import ClassToImage

{head(s)}
t, told = {s.t}, {s.told}
x_t = noised(x0, eps, [t], schedule)
right, wrong = ask(model, x_t, [t], label).x0, ask(model, x_t, [t], label, told=[told]).x0
waves = timestep_embedding(torch.tensor([t - 1, told - 1]), model.unet.config.block_out_channels[0])
print("error_told_right =", float((right - x0).square().mean()))
print("error_told_wrong =", float((wrong - x0).square().mean()))
print("likeness =", float(torch.cosine_similarity(waves[:1], waves[1:])[0]))
print("embedding =", waves[0].tolist())
"""


# Group norm and GELU

CURVE = np.linspace(-4, 4, 161)
LAYER = "down_blocks.1"  # the map that is normalised here: the U's second level


def norm(s: Settings) -> View:
    whole = model()
    fitting(s.t, whole.schedule.T)
    features, groups = maps(s, True)[0][LAYER], int(s.groups)
    normed = inspection.group_norm(features, groups)
    before, after = ((x[0].mean((1, 2)).numpy(), x[0].std((1, 2)).numpy()) for x in (features, normed))
    here = {name: float(f(torch.tensor(s.at, dtype=torch.float64))) for name, f in inspection.ACTIVATIONS.items()}
    slopes = {name: inspection.derivative(name, s.at) for name in inspection.ACTIVATIONS}
    curve = {name: f(torch.from_numpy(CURVE)).numpy() for name, f in inspection.ACTIVATIONS.items()}
    dead = float((features < 0).float().mean())
    numbers = {
        "label": s.label, "real_pictures": pictures(s).real, "shape": list(features.shape[1:]), "groups": groups,
        "mean_before": float(features.mean()), "std_before": float(features.std()),
        "mean_after": float(normed.mean()), "std_after": float(normed.std()),
        "negative_share": dead, "values": here, "slopes": slopes,
    }  # fmt: skip
    return View(
        {
            "left": named(
                "Mean and deviation of every channel, before and after group norm",
                figures.channels(before, after, groups),
            ),
            "right": named("The activations ReLU, GELU and SiLU", figures.activations(CURVE, curve, s.at, here)),
        },
        norm_formula(s, numbers),
        frame.weakest(
            checks.group_norm(normed, features, groups),
            *(checks.activation(curve[name], slopes[name], CURVE, s.at, name) for name in curve),
            *(checks.activation([here[name]], slopes[name], [s.at], s.at, name) for name in curve),
        ),
        norm_notice(s, numbers),
        numbers,
    )


def norm_formula(s: Settings, n: dict) -> str:
    c, h, w = n["shape"]
    cells = c * h * w // n["groups"]
    values = (rf"\operatorname{{{k}}}({s.at:g})={tex(n['values'][k])}" for k in ("GELU", "ReLU", "SiLU"))
    slopes = (rf"{tex(n['slopes'][k], 3)}" for k in ("GELU", "ReLU", "SiLU"))
    return display(
        r"\hat h=\frac{h-\mu_g}{\sqrt{\sigma_g^2+10^{-5}}}"
        rf"\quad\text{{over }}\tfrac{{{c}}}{{{n['groups']}}}\cdot{h}\cdot{w}={cells}\text{{ cells a group}}",
        r"\operatorname{GELU}(x)=x\,\Phi(x)\qquad" + r",\;".join(values),
        r"\text{slopes there: }" + r",\;".join(slopes),
    )


def norm_notice(s: Settings, n: dict) -> str:
    ones = "layer norm over the whole map" if n["groups"] == 1 else f"{n['groups']} groups of channels"
    return (
        f"A live map of this network ({' × '.join(map(str, n['shape']))}, at t = {s.t}) has mean "
        f"{round(n['mean_before'], 2) + 0.0:.2f} and "
        f"deviation {n['std_before']:.2f}; after group norm with {ones}, **{round(n['mean_after'], 2) + 0.0:.2f}** and "
        f"**{n['std_after']:.2f}**. No other picture of the batch takes part, so a batch of one is no worse.\n"
        f"**{100 * n['negative_share']:.0f} %** of its cells are negative: ReLU would cut them, and learn "
        "nothing from them "
        "(slope 0); GELU and SiLU let a little through. This U-Net has SiLU in its residual blocks and GELU in "
        "its transformers."
    )


def norm_code(s: Settings) -> str:
    return f"""
import torch

from core.inspection import ACTIVATIONS, class_pictures, derivative, group_norm, noised
from core.networks.attention import Record
from core.pipeline import ClassToImage

{head(s)}
record = Record()
with torch.no_grad():
    x_t, context = noised(x0, eps, [{s.t}], schedule), model.context(None if label is None else [label])
    model.unet(x_t.float(), torch.tensor([{s.t} - 1]), context, record=record)
features = record.features[{LAYER!r}]
normed = group_norm(features, {s.groups})
print("mean_before =", float(features.mean()))
print("std_before =", float(features.std()))
print("mean_after =", float(normed.mean()))
print("std_after =", float(normed.std()))
print("values =", {{name: float(f(torch.tensor({s.at!r}, dtype=torch.float64))) for name, f in ACTIVATIONS.items()}})
print("slopes =", {{name: derivative(name, {s.at!r}) for name in ACTIVATIONS}})
"""


IDEAS = {
    "inside": Idea(("pictures",), ("label", "picture", "t", "seed"), inside_code, show=inside),
    "amount": Idea(("player", "left", "right"), ("label", "picture", "t", "told", "seed"), amount_code, show=amount),
    "norm": Idea(("left", "right"), ("label", "picture", "t", "groups", "at", "seed"), norm_code, show=norm),
}
