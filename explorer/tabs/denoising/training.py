"""How a network learns: one training step taken apart, and a small network trained while one watches."""

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch

from core import checks
from core.forward import add_noise
from core.mixtures import energy_distance
from core.networks import points as net
from core.samplers import ddim
from core.schedule import linear
from core.toys import mixture
from core.training import points
from core.training.step import TrainingStep, training_step
from explorer import frame
from explorer.components.live_plot import named
from explorer.components.pictures import Picture
from explorer.components.points import Cloud
from explorer.components.progress import Progress
from explorer.figures import denoising as figures
from explorer.figures import style
from explorer.formulas import counted, display, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import Pace
from explorer.settings import only
from explorer.tabs.denoising import common
from explorer.tabs.denoising.common import (
    SHOWN,
    bright,
    chosen,
    fitting,
    head,
    listed,
    model,
    number,
    pictures,
    source,
)
from explorer.tabs.denoising.settings import PREDICTIONS, Settings

# One training step

RATES = tuple(np.geomspace(1e-3, 10, 7).tolist())  # learning rates that the loss is also measured after
READ = {"epsilon": "ε", "sample": "x₀", "v_prediction": "v"}


@lru_cache(maxsize=2)  # a moving learning rate starts from the same gradient
def _step(name: str, s: Settings) -> tuple[TrainingStep, list[float], checks.Check]:
    """The step on a copy of the network, the loss after it at each of `RATES`, and whether its gradient is right."""
    whole, (x0, eps) = model(name), chosen(s)
    label = number(s)
    context = whole.context(None if label is None else [label])
    first = training_step(
        whole.unet, x0[None], eps[None], s.t, [context], whole.schedule, prediction=whole.prediction_type
    )
    losses = [first.loss_of(first.moved(rate)) for rate in RATES]
    return first, losses, checks.gradient(first.gradient, first.network, first.loss_of)


def one_step(s: Settings) -> View:
    whole = model()
    fitting(s.t, whole.schedule.T)
    what = READ[whole.prediction_type]
    first, valley, slope = _step(common.FASHION, only(s, "label", "picture", "t", "seed"))
    after = first.answer(first.moved(s.rate))
    weights = math.sqrt(math.fsum(float(w.double().square().sum()) for w in first.network.parameters()))
    numbers = {
        "label": s.label, "real_pictures": pictures(s).real, "t": s.t, "prediction": whole.prediction_type,
        "loss": first.loss, "loss_after": first.error(after), "gradient": first.length,
        "weight_change": s.rate * first.length, "weights": sum(w.numel() for w in first.network.parameters()),
        "length_of_weights": weights, "drop_foreseen": s.rate * first.length**2,
        "rates": listed(RATES), "loss_after_rates": valley, "gradient_of_parts": parts(first),
    }  # fmt: skip
    x0, eps = chosen(s)
    as_pixels = SHOWN if whole.prediction_type != "sample" else 1.0

    def shown(x: torch.Tensor, scale: float = 1.0) -> np.ndarray:
        return bright(x.reshape(x0.shape)[0].numpy() / scale)

    gap = (first.before - first.target)[0]
    sheet = [
        Picture(shown(x0), "1 · pick x₀"),
        Picture(shown(eps, SHOWN), "2 · noise ε"),
        Picture(shown(first.x_t), f"xₜ at t = {s.t}"),
        Picture(shown(first.target, as_pixels), f"target {what}"),
        Picture(shown(first.before, as_pixels), f"3 · predict {what}"),
        Picture(shown(gap, as_pixels), "4 · compare", f"loss {first.loss:.4g}"),
        Picture(shown(after, as_pixels), "6 · after the step", f"loss {numbers['loss_after']:.4g}"),
        Picture(shown((after - first.target)[0], as_pixels), "what is left"),
    ]
    lengths = numbers["gradient_of_parts"]
    return View(
        {
            "pictures": sheet,
            "left": named(
                "Length of the gradient in every part of the network",
                figures.parts(list(lengths), list(lengths.values())),
            ),
            "right": named(
                "Loss of this picture after a step of every learning rate",
                figures.curves(
                    RATES,
                    {
                        "after the step": (valley, style.PREDICTION, "solid"),
                        "before": ([first.loss] * len(RATES), style.GREY, "dash"),
                    },
                    s.rate,
                    x_name="learning rate",
                    y_name="loss of this picture",
                    log_x=True,
                ),
            ),
        },
        step_formula(s, numbers, what),
        frame.weakest(
            slope,
            checks.descent(numbers["loss_after"], first.gradient, s.rate, first.network, first.loss_of),
            checks.squared_error(first.loss, first.before, first.target),
        ),
        step_notice(numbers),
        numbers,
    )


def parts(first: TrainingStep) -> dict[str, float]:
    """Length of the gradient in every part of the network, in the order a picture passes them."""
    squares: dict[str, float] = {}
    for name, g in first.gradient.items():
        place, _, rest = name.partition(".")
        part = (
            f"{place.split('_')[0]} {int(rest.split('.')[0]) + 1}" if place in ("down_blocks", "up_blocks") else place
        )
        part = {"conv_in": "in", "time_embedding": "time", "mid_block": "middle"}.get(part, part)
        part = "out" if part.startswith("conv_") else part
        squares[part] = squares.get(part, 0.0) + float(g.square().sum())
    return {part: math.sqrt(square) for part, square in squares.items()}


def step_formula(s: Settings, n: dict, what: str) -> str:
    mark = {"ε": r"\varepsilon", "x₀": "x_0", "v": "v"}[what]
    return display(
        rf"L=\overline{{(\hat {{{mark}}}-{mark})^2}}={tex(n['loss'])}\qquad "
        rf"w\leftarrow w-\eta\,\frac{{\partial L}}{{\partial w}},\;\eta={tex(s.rate)}",
        rf"\lvert\Delta w\rvert=\eta\,\lvert\nabla L\rvert={tex(s.rate)}\cdot{tex(n['gradient'])}"
        rf"={tex(n['weight_change'])}",
        rf"L\;\longmapsto\;{tex(n['loss_after'])}\qquad\text{{to first order }}L-\eta\lvert\nabla L\rvert^2"
        rf"={tex(n['loss'] - n['drop_foreseen'])}",
    )


def step_notice(n: dict) -> str:
    fell = n["loss_after"] < n["loss"]
    verdict = (
        f"fell from **{n['loss']:.4g}** to **{n['loss_after']:.4g}**"
        if fell
        else f"**rose** from {n['loss']:.4g} to **{n['loss_after']:.4g}**: a step too far, beyond the valley"
    )
    return (
        f"One step on one picture moved {n['weights']:,} weights by **{n['weight_change']:.2g}** in all (they are "
        f"{n['length_of_weights']:.3g} long), and the loss {verdict}.\n"
        "The step was taken on a copy, in float64; training takes thousands, each on another picture, noise and t, and "
        f"scales every weight's own step (AdamW). {source(n['real_pictures'])}"
    )


def step_code(s: Settings) -> str:
    return f"""
import torch

from core.inspection import class_pictures
from core.pipeline import ClassToImage
from core.training.step import training_step

{head(s)}
context = model.context(None if label is None else [label])
step = training_step(
    model.unet, x0[None], eps[None], {s.t}, [context], schedule, prediction=model.prediction_type
)
print("loss =", step.loss)
print("loss_after =", step.loss_of(step.moved({s.rate!r})))
print("gradient =", step.length)
print("weight_change =", {s.rate!r} * step.length)
"""


# Train a network now

N, WALK, SNAPSHOTS = 300, 30, 12  # points drawn, steps of their walk, and how often they are drawn on the way
EXTENT = (-2.8, 2.8, -2.8, 2.8)
SCHEDULE = linear()  # it leaves a little signal at T, so that even the noise ε gives x₀ there


def draw(network: torch.nn.Module, prediction: str, start: torch.Tensor) -> torch.Tensor:
    walk = ddim(points.unconditional_denoiser(network, SCHEDULE, prediction), SCHEDULE, start, SCHEDULE.times(WALK))
    *_, last = walk
    return last.x_next


def learn(s: Settings) -> Iterator[View]:
    data, prediction = mixture(s.points), PREDICTIONS[s.prediction]
    yield View({"progress": Progress(0, s.training, "finding the least possible loss")}, learn_formula(s), None, "", {})
    floor = points.loss_of(data.denoiser(SCHEDULE), data, SCHEDULE, prediction)
    start = torch.randn(N, 2, generator=torch.Generator().manual_seed(s.seed))
    true = data.sample(N, generator=torch.Generator().manual_seed(N))
    marks = sorted({round(s.training * (i / SNAPSHOTS) ** 2) for i in range(1, SNAPSHOTS + 1)} - {0} | {s.training})
    steps: list[int] = []
    losses: list[float] = []
    frames, labels = [torch.stack([start, true])], ["before the first step: noise"]
    pace, progress = Pace(2), None
    for progress in points.learn(data, SCHEDULE, prediction=prediction, width=s.width, steps=s.training, seed=s.seed):
        if progress.step % max(1, s.training // 150) == 0 or progress.step == 1:
            steps.append(progress.step)
            losses.append(progress.loss)
        drawn = progress.step in marks
        if drawn:
            frames.append(torch.stack([draw(progress.network, prediction, start), true]))
            labels.append(f"after {counted(progress.step, 'step')}: loss of recent batches {progress.loss:.3f}")
        if pace.due() or drawn:
            left = pace.left(progress.step, s.training)
            shows = {
                "progress": Progress(progress.step, s.training, f"step {progress.step} of {s.training}", left),
                "left": curve_of(steps, losses, s.training, floor),
            } | ({"cloud": cloud(frames, labels)} if drawn else {})
            yield View(shows, learn_formula(s), None, on_the_way(progress.step, progress.loss, floor), {})
    assert progress is not None
    denoiser, end = points.unconditional_denoiser(progress.network, SCHEDULE, prediction), frames[-1][0]
    far, fresh = energy_distance(end, true), data.sample(N, generator=torch.Generator().manual_seed(N + 1))
    numbers = {
        "floor": floor,
        "loss": points.loss_of(denoiser, data, SCHEDULE, prediction),
        "weights": sum(w.numel() for w in progress.network.parameters()),
        "pictures": progress.pictures,
        "energy_distance": far,
        "energy_distance_of_a_fresh_draw": energy_distance(fresh, true),
        "first_point": end[0].tolist(),
        "curve": {"steps": steps, "loss": losses},
    }
    yield View(
        {
            "progress": Progress(1, 1, f"{s.training} steps in {pace.spent:.1f} s"),
            "left": curve_of(steps, losses, s.training, floor),
            "cloud": cloud(frames, labels),
        },
        learn_formula(s, numbers),
        frame.weakest(
            *learn_checks(data, prediction, progress.network, numbers), checks.energy_distance(far, end, true)
        ),
        learn_notice(s, numbers),
        numbers,
    )


def curve_of(steps: list[int], losses: list[float], last: int, floor: float):
    return named("Loss while the network learns", figures.learning(steps, losses, last, floor))


def learn_checks(data, prediction: str, network: torch.nn.Module, n: dict) -> list[checks.Check]:
    """The trained network by numpy; its gradient by differences; and the loss is above the floor, within chance."""
    linears = [(p.weight.detach(), p.bias.detach()) for p in network.modules() if isinstance(p, torch.nn.Linear)]
    g, times = torch.Generator().manual_seed(5), torch.tensor([0, 10, 500, 999])
    x0 = data.sample(len(times), generator=g)
    eps = torch.randn(x0.shape, generator=g)
    x_t = add_noise(x0, eps, times + 1, SCHEDULE)
    with torch.no_grad():
        answer = network(x_t, times)
    first = training_step(network, x0, eps, 500, [], SCHEDULE, prediction=prediction)
    return [
        checks.points_network(answer, linears, x_t, times, net.FREQUENCIES, net.TIME_FEATURES, net.SLOWER),
        checks.gradient(first.gradient, first.network, first.loss_of),
        checks.above(n["loss"], n["floor"]),
    ]


def cloud(frames: list[torch.Tensor], labels: list[str]) -> Cloud:
    return Cloud(
        torch.stack(frames).numpy(), tuple(labels), EXTENT, ("drawn by the network", "the data"), at=len(frames) - 1
    )


def on_the_way(done: int, loss: float, floor: float) -> str:
    return (
        f"After **{done}** steps the loss of recent batches is **{loss:.3f}**; over all points the exact answer has "
        f"{floor:.3f}, and no network less.\n"
        "Each step: draw points, noise them, ask the network, compare, and move its weights a little downhill."
    )


def learn_formula(s: Settings, n: dict | None = None) -> str:
    mark = {"epsilon": r"\varepsilon", "sample": "x_0", "v_prediction": "v"}[PREDICTIONS[s.prediction]]
    first = (
        rf"L=\tfrac12E\,\lVert f_w(x_t,t)-{mark}\rVert^2"
        rf"\;\ge\;\tfrac12E\operatorname{{tr}}\operatorname{{Cov}}[{mark}\mid x_t]"
        r"\quad\text{the floor: what }x_t\text{ does not say}"
    )
    if n is None:
        return display(first)
    return display(first, rf"L={tex(n['loss'])}\;\ge\;{tex(n['floor'])}\qquad\text{{{n['weights']:,} weights}}")


def learn_notice(s: Settings, n: dict) -> str:
    over = n["loss"] / n["floor"] - 1
    return (
        f"**{s.training}** steps on {n['pictures']:,} points took {n['weights']:,} weights to a loss of "
        f"**{n['loss']:.4f}**, "
        f"{100 * over:.1f} % above the floor of {n['floor']:.4f}, which is not 0: part of the noise can never be "
        "told. The curve is the mean of recent batches: chance can move it below the floor.\n"
        f"Its points are at energy distance **{n['energy_distance']:.3f}** from the data, where a fresh draw of "
        "the data has "
        f"{n['energy_distance_of_a_fresh_draw']:.3f}. Press play to see them find their place."
    )


def learn_code(s: Settings) -> str:
    return f"""
import torch

from core.mixtures import energy_distance
from core.samplers import ddim
from core.schedule import linear
from core.toys import mixture
from core.training.points import learn, loss_of, unconditional_denoiser

data, schedule, prediction = mixture({s.points!r}), linear(), {PREDICTIONS[s.prediction]!r}
*_, end = learn(data, schedule, prediction=prediction, width={s.width}, steps={s.training}, seed={s.seed})
denoiser = unconditional_denoiser(end.network, schedule, prediction)
start = torch.randn({N}, 2, generator=torch.Generator().manual_seed({s.seed}))
*_, last = ddim(denoiser, schedule, start, schedule.times({WALK}))
true = data.sample({N}, generator=torch.Generator().manual_seed({N}))
print("floor =", loss_of(data.denoiser(schedule), data, schedule, prediction))
print("loss =", loss_of(denoiser, data, schedule, prediction))
print("pictures =", end.pictures)
print("energy_distance =", energy_distance(last.x_next, true))
print("first_point =", last.x_next[0].tolist())
"""


IDEAS = {
    "step": Idea(("pictures", "left", "right"), ("label", "picture", "t", "rate", "seed"), step_code, show=one_step),
    "learn": Idea(
        ("progress", "cloud", "left"),
        ("points", "prediction", "width", "training", "seed"),
        learn_code,
        walk=learn,
        waiting=learn_formula,
    ),
}
