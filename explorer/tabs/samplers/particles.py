"""Particles on their way, one of their steps in slow motion, and two samplers from the same noise."""

import math
from functools import lru_cache

import numpy as np
import torch

from core import checks
from core.mixtures import GaussianMixture, distance_of_fresh_draw, energy_distance
from core.samplers import SAMPLERS, Term, ddpm, terms
from explorer import frame
from explorer.components.live_plot import named
from explorer.components.points import Cloud
from explorer.figures import samplers as figures
from explorer.formulas import counted, display, percent, plus, sensible
from explorer.frame import View
from explorer.ideas import Idea
from explorer.tabs.samplers.settings import (
    ALL,
    ARROWS,
    DATA,
    DRAWN,
    EXTENT,
    SHARED,
    N,
    Settings,
    T,
    Walk,
    calls,
    data_code,
    draws,
    fresh,
    options,
    still,
    walked,
)

STIRRED = ("ddpm", "euler_ancestral")  # whose steps are the mean of a posterior, and fresh noise
FRAMES, SIDE = 24, 72  # densities behind the particles, pixels across
TEX = {
    "x": "x_{{{t}}}",
    "x0": r"\hat x_0",
    "eps": r"\hat\varepsilon",
    "z": "z",
    "eps_next": r"\hat\varepsilon_{{{s}}}",
    "x0_last": r"\hat x_0^{{\text{{last}}}}",
    "correction": r"\Delta x_{{{t}}}",
}
SAYS = {
    "x": "stay where you are, but shrink or grow with the signal",
    "x0": "go to where the denoiser thinks the particle will end",
    "eps": "and keep some of the noise it sees",
    "z": "fresh noise",
    "eps_next": "the noise seen after a trial step: Heun looks ahead",
    "x0_last": "less what was guessed a step ago: the guess is on the move, so lean ahead of it",
    "correction": "what the last step should have done, now that the guess at its end is known",
}


# ---- particles


def particles(s: Settings) -> View:
    run = walked(s, s.sampler)
    end, look = run.end, min(s.look, len(run.steps))
    reference = fresh(run.mixture)
    numbers = {
        "times": run.times.tolist(),
        "denoiser_calls": calls(run, s.sampler),
        "mean": end.mean(0).tolist(),
        "std": end.std(0).tolist(),
        "energy_distance": energy_distance(end, reference),
        "energy_distance_of_a_fresh_draw": distance_of_fresh_draw(reference, N),
        "astray": run.mixture.astray(end, reference, run.schedule),
        "first_particle": [x[0].tolist() for x in run.states],
    }
    law = run.mixture
    found = [
        check(s, s.sampler, run),
        checks.energy_distance(numbers["energy_distance"], end, reference),
        checks.astray(numbers["astray"], end, reference, law.means, law.stds, law.weights),
    ]
    if s.sampler in STIRRED:
        calm = stilled(still(s), s.sampler)
        numbers["energy_distance_without_fresh_noise"] = far = energy_distance(calm.end, reference)
        found += [check(s, s.sampler, calm), checks.energy_distance(far, calm.end, reference)]
    at = min(s.look, len(run.steps) - 1)
    said, shown = notice(s, run, numbers), formula(s, s.sampler, run, at)
    return View({"cloud": cloud(s, run, look)}, shown, frame.weakest(*found), said, numbers)


@lru_cache(maxsize=4)
def stilled(s: Settings, sampler: str) -> Walk:
    """The walk with the fresh noise of every step left out: each goes to the mean of its posterior."""
    run = walked(s, sampler)
    steps = list(ddpm(run.mixture.denoiser(run.schedule), run.schedule, run.states[0], run.times, s_noise=0))
    return Walk(run.mixture, run.schedule, run.times, steps, [])


def check(s: Settings, sampler: str, run: Walk, **more) -> checks.Check:
    """Sixteen particles' every step, by the other formula, on the noise the seed gives."""
    few = slice(16)
    return checks.sampling(
        [x[few] for x in run.states],
        run.times.tolist(),
        run.mixture.means,
        T=T,
        name=s.schedule,
        sampler=sampler,
        std=float(run.mixture.stds[0]),
        eta=s.eta,
        noises=[z[few] for z in run.noises],
        **more,
    )


def cloud(s: Settings, run: Walk, look: int) -> Cloud:
    """The particles, and beside them where the denoiser thinks each will end."""
    guess = [*(step.prediction.x0 for step in run.steps), run.end]
    fields, behind = backgrounds(run)
    return Cloud(
        torch.stack([torch.stack(run.states), torch.stack(guess)], 1).numpy(),
        labels=captions(run),
        extent=EXTENT,
        titles=("the particles x", "the denoiser’s guess x̂₀"),
        colours=kinds(run),
        field=fields,
        behind=np.stack([behind, np.full_like(behind, behind[-1])], 1),
        arrows=flow(run) if s.show == ARROWS else None,
        paths=paths(s, run),
        at=look if len(run.steps) > 1 else 1,
    )


def captions(run: Walk) -> tuple[str, ...]:
    sigma = [float(run.schedule.sigma[t]) for t in run.times]
    says = [f"noise σ = {v:.3g} beside a signal of 1" if v < math.inf else "noise alone" for v in sigma]
    return tuple(f"t = {t}, {what}" for t, what in zip(run.times.tolist(), says, strict=True))


def paths(s: Settings, run: Walk) -> tuple[int, ...]:
    if s.show == ALL:
        return tuple(range(N))
    wild = bool(run.noises) and len(run.steps) > 40  # several random walks hide all else
    return tuple(range(0 if s.show == ARROWS else 1 if wild else 6))


def kinds(run: Walk) -> np.ndarray:
    """Four colours by the Gaussian a particle ends in, so that neighbours on the data keep theirs on the way."""
    nearest = torch.cdist(run.end.double(), run.mixture.means).argmin(1)
    return (nearest * 4 // len(run.mixture.means)).to(torch.uint8).numpy()


def backgrounds(run: Walk, points: GaussianMixture | None = None) -> tuple[np.ndarray, np.ndarray]:
    """q(x_t) at up to FRAMES of the walk's times, (F, SIDE, SIDE), first row at the top; which one each step shows."""
    chosen = moments(run)
    mix = points or run.mixture
    key = tuple(map(tuple, mix.means.tolist())), float(mix.stds[0])
    alpha_bar = run.schedule.alpha_bar[run.times[chosen]].tolist()
    return np.stack([density(*key, a) for a in alpha_bar]), np.abs(np.arange(len(run.times))[:, None] - chosen).argmin(
        1
    )


def moments(run: Walk) -> np.ndarray:
    n = len(run.steps)
    return np.unique(np.linspace(0, n, min(n, FRAMES) + 1).round().astype(int))


@lru_cache(maxsize=512)  # a moving slider asks for the same times again
def density(means: tuple[tuple[float, float], ...], std: float, alpha_bar: float) -> np.ndarray:
    """q(x_t) on the square, (SIDE, SIDE), first row at the top, its highest place 1."""
    variance = alpha_bar * std**2 + 1 - alpha_bar + ((EXTENT[1] - EXTENT[0]) / SIDE / 4) ** 2  # of a pixel's own width
    gap = torch.cdist(lattice(SIDE), alpha_bar**0.5 * torch.tensor(means))
    values = (-gap.square() / (2 * variance)).exp().sum(1).view(SIDE, SIDE)
    return (values / values.max()).flip(0).numpy()


def lattice(side: int) -> torch.Tensor:
    axis = torch.linspace(EXTENT[0], EXTENT[1], side)
    return torch.cartesian_prod(axis, axis)[:, [1, 0]]


def flow(run: Walk) -> np.ndarray:
    """Which way the flow goes at every step, away from the noise, (steps + 1, A, 4)."""
    grid, denoiser = lattice(17), run.mixture.denoiser(run.schedule)
    asked = [*(step.t for step in run.steps), max(run.steps[-1].t_next, 1)]
    return arrows(grid, torch.stack([-denoiser(grid, t).eps for t in asked]))


def arrows(grid: torch.Tensor, ways: torch.Tensor) -> np.ndarray:
    """From each place of the grid (A, 2) along its ways (steps, A, 2), the longer ones of a step 0.28 long."""
    most = ways.norm(dim=2, keepdim=True).quantile(0.9, dim=1, keepdim=True).clamp(min=1e-9)
    return torch.cat([grid.expand_as(ways), grid + 0.28 * (ways / most).clamp(-1.5, 1.5)], 2).numpy()


def variance(points: GaussianMixture) -> float:
    """Of the data, a coordinate on average."""
    mean = points.weights @ points.means
    return float(points.weights @ ((points.means - mean).square().mean(1) + points.stds**2))


def plural(n: int, word: str) -> str:
    return f"**{n}** {word}{'s' * (n != 1)}"


def notice(s: Settings, run: Walk, numbers: dict) -> str:
    far, least = numbers["energy_distance"], numbers["energy_distance_of_a_fresh_draw"]
    n = len(run.steps)
    count = f"{plural(n, 'step')}, {plural(numbers['denoiser_calls'], 'denoiser call')}"
    apart = f"energy distance to the data **{far:.3f}** (a fresh draw of the data has about {least:.3f})"
    left = float(run.schedule.signal[T])
    if left > 0.1:
        return f"**Careful:** at T the schedule leaves {100 * left:.0f} % of the signal.\n{count}: {apart}."
    if (first := run.steps[0].t) < T // 2:  # leading spacing with few steps
        a, spread = float(run.schedule.alpha_bar[first]), variance(run.mixture)
        share = 100 * a * spread / (a * spread + 1 - a)
        return (
            f"**A start that the schedule does not expect:** x is pure noise, and the denoiser is told t = {first}, "
            f"where {share:.3g} % of the variance should be the data's.\n{count}: {apart}."
        )
    if n == 1:
        return (
            "**One shot:** asked about pure noise, the best single answer is the average of all data, so every "
            f"particle lands near it.\n{count}: {apart}."
        )
    if max(numbers["std"]) > 3:
        verdict = "they overshot: no second-order step spans so wide a gap of σ, so try Karras spacing or more steps"
    elif far < 2 * least:
        verdict = "the particles can hardly be told from the data"
    else:
        verdict = "still off: try more steps, Karras spacing, or a second-order sampler"
    if s.sampler in STIRRED:
        verdict += (
            ". Without its fresh noise this walk would end at "
            f"**{numbers['energy_distance_without_fresh_noise']:.3f}**: every step would go to the mean of where the "
            "particle may have come from, and means crowd together"
        )
    astray = (
        f"**{percent(numbers['astray'])}** of the particles end astray, where there is less of the data than around "
        "99 % of its own points: a step follows one guess, though on a long way the guess would change. "
    ) * (numbers["astray"] > 0.05)
    return (
        f"{count}: {apart}; {verdict}.\n{astray}"
        "Early on all guesses huddle in the middle; later each particle settles for one place: press play and see when."
    )


def formula(s: Settings, sampler: str, run: Walk, i: int) -> str:
    """The sampler's step, and the same with the weights of step i."""
    t, after = run.steps[i].t, run.steps[i].t_next
    one = Walk(run.mixture, run.schedule, run.times, run.steps[: i + 1], run.noises)
    sum_ = "".join(
        plus(term.weight) + r"\," + name(term, t, after) for term in parts(s, sampler, one, i) if term.weight != 0
    ).removeprefix("+")
    return display(GENERAL.get(sampler, ""), rf"\text{{step }}{i}:\quad x_{{{after}}}={sum_}")


def parts(s: Settings, sampler: str, run: Walk, i: int) -> list[Term]:
    noise = run.noises[i] if run.noises else None
    denoiser = run.mixture.denoiser(run.schedule)
    return terms(sampler, denoiser, run.schedule, run.steps, i, noise=noise, **options(s, sampler))


def name(term: Term, t: int, s: int) -> str:
    return TEX[term.name].format(t=t, s=s)


SLOPE = r"\bar x_s=\bar x_t+(\sigma_s-\sigma_t)\,"
BAR = r"\qquad\bar x=x/\sqrt{\bar\alpha}"
D = r"\qquad D=\hat x_0+\tfrac{h}{2h_{\text{last}}}\bigl(\hat x_0-\hat x_0^{\text{last}}\bigr)"
RATIO = r"\tfrac{\sigma_s\sqrt{\bar\alpha_s}}{\sigma_t\sqrt{\bar\alpha_t}}\,"
GENERAL = {
    "ddpm": r"x_s=\frac{\sqrt{\bar\alpha_s}\,\beta}{1-\bar\alpha_t}\,\hat x_0"
    r"+\frac{\sqrt{\alpha}\,(1-\bar\alpha_s)}{1-\bar\alpha_t}\,x_t+\sqrt{\tilde\beta}\,z"
    r"\qquad\alpha=\tfrac{\bar\alpha_t}{\bar\alpha_s},\;\beta=1-\alpha",
    "ddim": r"x_s=\sqrt{\bar\alpha_s}\,\hat x_0+\sqrt{1-\bar\alpha_s-\sigma^2}\,\hat\varepsilon+\sigma z",
    "euler": SLOPE + r"\hat\varepsilon" + BAR,
    "euler_ancestral": r"\bar x_s=\bar x_t+(\sigma_\downarrow-\sigma_t)\,\hat\varepsilon+\sigma_\uparrow z"
    + BAR
    + r",\;\sigma_\downarrow^2+\sigma_\uparrow^2=\sigma_s^2",
    "heun": SLOPE + r"\tfrac12(\hat\varepsilon_t+\hat\varepsilon_s)" + BAR,
    "dpmpp_2m": "x_s=" + RATIO + r"x_t+\sqrt{\bar\alpha_s}\,\bigl(1-\tfrac{\sigma_s}{\sigma_t}\bigr)\,D" + D,
    "unipc": "x_s=" + RATIO + r"(x_t+\Delta x_t)+\sqrt{\bar\alpha_s}\,\bigl(1-\tfrac{\sigma_s}{\sigma_t}\bigr)\,D" + D,
}


def head(s: Settings) -> str:
    """The first lines of a snippet: data, schedule, times and noise."""
    made = "drawn" if s.points == DRAWN else "mixture"
    return f"""
from core.toys import {made}

points, schedule = {data_code(s)}, named_schedule({s.schedule!r}, T={T})
times, g = schedule.times({s.steps}, {s.spacing!r}), torch.Generator().manual_seed({s.seed})
x = torch.randn({N}, 2, generator=g)
""".strip()


def arguments(s: Settings, sampler: str) -> str:
    return f", eta={s.eta!r}" if sampler == "ddim" else ""


def code(s: Settings) -> str:
    more, calm = "", ""
    if s.sampler in STIRRED:
        more = ", ddpm"
        calm = """
*_, calm = ddpm(denoiser, schedule, x, times, s_noise=0)  # the same without fresh noise
print("energy_distance_without_fresh_noise =", energy_distance(calm.x_next, data))
"""
    return f"""
import torch

from core.convergence import Counted
from core.mixtures import distance_of_fresh_draw, energy_distance
from core.samplers import SAMPLERS{more}
from core.schedule import named_schedule
{head(s)}
denoiser = Counted(points.denoiser(schedule))
steps = list(SAMPLERS[{s.sampler!r}](denoiser, schedule, x, times, generator=g{arguments(s, s.sampler)}))
end, data = steps[-1].x_next, points.sample({DATA}, generator=torch.Generator().manual_seed({DATA}))

print("times =", times.tolist())
print("denoiser_calls =", denoiser.calls)
print("mean =", end.mean(0).tolist())
print("std =", end.std(0).tolist())
print("energy_distance =", energy_distance(end, data))
print("energy_distance_of_a_fresh_draw =", distance_of_fresh_draw(data, {N}))
print("astray =", points.astray(end, data, schedule))
print("first_particle =", [x[0].tolist()] + [step.x_next[0].tolist() for step in steps])
{calm}"""


# ---- one step in slow motion


def motion(s: Settings) -> View:
    run = walked(s, s.sampler)
    i, k = min(s.look, len(run.steps) - 1), s.particle
    step = run.steps[i]
    sum_ = [term for term in parts(s, s.sampler, run, i) if term.weight != 0]
    rows = [(term.name, term.weight, term.vector[k].tolist()) for term in sum_]
    total = sum((term.weight * term.vector.double() for term in sum_), torch.zeros(()))
    off = float((total - step.x_next.double()).abs().max() / step.x_next.double().abs().max().clamp(min=1))
    numbers = {
        "t": step.t,
        "t_next": step.t_next,
        "x": step.x[k].tolist(),
        "x0": step.prediction.x0[k].tolist(),
        "eps": step.prediction.eps[k].tolist(),
        "weights": [weight for _, weight, _ in rows],
        "vectors": [vector for _, _, vector in rows],
        "x_next": step.x_next[k].tolist(),
    }
    put_in = "".join(
        plus(term.weight) + rf"\underbrace{{{column(term.vector[k])}}}_{{{name(term, step.t, step.t_next)}}}"
        for term in sum_
    ).removeprefix("+")
    drawn = [(figures.NAMES[kind], np.array(vector) * weight) for kind, weight, vector in rows]
    says = "; ".join(f"**{figures.NAMES[kind]}**: {SAYS[kind]}" for kind, _, _ in rows)
    moved = float((step.x_next[k] - step.x[k]).norm())
    arrows = figures.motion(
        drawn, step.x[k].numpy(), step.prediction.x0[k].numpy(), step.x_next[k].numpy(), (step.t, step.t_next)
    )
    return View(
        {"plot": named("One step of a particle as arrows laid end to end", arrows)},
        display(GENERAL.get(s.sampler, ""), rf"x_{{{step.t_next}}}={put_in}={column(step.x_next[k])}"),
        frame.weakest(
            check(s, s.sampler, run),
            checks.Check("the terms of the step add up to it", off, 1e-5),
        ),
        f"Step **{i}** takes particle {k} from t = {step.t} to {step.t_next}, a move of **{moved:.3g}**, as a sum of "
        f"{counted(len(rows), 'arrow')}, laid end to end from the origin.\n{says[0].upper()}{says[1:]}.",
        numbers,
    )


def column(vector: torch.Tensor) -> str:
    x, y = (f"{v:.3f}" for v in vector.tolist())
    return rf"\begin{{pmatrix}}{x}\\{y}\end{{pmatrix}}"


def motion_code(s: Settings) -> str:
    noise = ""
    if draws(s, s.sampler):
        noise = f"""
g = torch.Generator().manual_seed({s.seed})
noises = [randn_like(x, g) for _ in range(i + 2)][1:]  # the first was the start
"""
    given = ", noise=noises[i]" if noise else ""
    return f"""
import torch

from core.forward import randn_like
from core.samplers import SAMPLERS, terms
from core.schedule import named_schedule
{head(s)}
denoiser = points.denoiser(schedule)
steps = list(SAMPLERS[{s.sampler!r}](denoiser, schedule, x, times, generator=g{arguments(s, s.sampler)}))
i, k = min({s.look}, len(steps) - 1), {s.particle}
{noise}
step = steps[i]
sum_ = terms({s.sampler!r}, denoiser, schedule, steps, i{given}{arguments(s, s.sampler)})
sum_ = [term for term in sum_ if term.weight != 0]

print("t =", step.t)
print("t_next =", step.t_next)
print("x =", step.x[k].tolist())
print("x0 =", step.prediction.x0[k].tolist())
print("eps =", step.prediction.eps[k].tolist())
print("weights =", [term.weight for term in sum_])
print("vectors =", [term.vector[k].tolist() for term in sum_])
print("x_next =", sum(term.weight * term.vector[k] for term in sum_).tolist())
"""


# ---- two samplers


def pair(s: Settings) -> View:
    a, b = walked(s, s.sampler), walked(s, s.other)
    reference, look = fresh(a.mixture), min(s.look, len(a.steps))
    apart = (a.end - b.end).norm(dim=1)
    numbers = {
        "times": a.times.tolist(),
        "denoiser_calls": [calls(a, s.sampler), calls(b, s.other)],
        "energy_distance": [energy_distance(run.end, reference) for run in (a, b)],
        "energy_distance_of_a_fresh_draw": distance_of_fresh_draw(reference, N),
        "mean_distance_of_ends": float(apart.mean()),
        "largest_distance_of_ends": float(apart.max()),
        "first_particle": [[x[0].tolist() for x in run.states] for run in (a, b)],
    }
    same = s.sampler != s.other and family(s, s.sampler) == family(s, s.other)
    found = [check(s, s.sampler, a), check(s, s.other, b)]
    found += [
        checks.energy_distance(value, run.end, reference)
        for value, run in zip(numbers["energy_distance"], (a, b), strict=True)
    ]
    if same:
        found.insert(0, checks.Check("the two are one walk, to float32's rounding", float(apart.max()), 2e-3))
    titles = tuple(f"{row.title}{eta(s, key)}" for key in (s.sampler, s.other) for row in (SAMPLERS[key],))
    fields, behind = backgrounds(a)
    shown = Cloud(
        torch.stack([torch.stack(a.states), torch.stack(b.states)], 1).numpy(),
        labels=captions(a),
        extent=EXTENT,
        titles=titles,
        colours=kinds(a),
        field=fields,
        behind=np.stack([behind, behind], 1),
        arrows=flow(a) if s.show == ARROWS else None,
        paths=paths(s, a if a.noises else b),
        at=look if len(a.steps) > 1 else 1,
    )
    at = min(s.look, len(a.steps) - 1)
    both = [formula(s, key, run, at).split("\n\n") for key, run in ((s.sampler, a), (s.other, b))]
    costs, (far, other) = numbers["denoiser_calls"], numbers["energy_distance"]
    if same:
        says = (
            f"**One walk under two names:** from the same noise the ends differ by at most "
            f"**{sensible(numbers['largest_distance_of_ends'])}**, the rounding of float32. "
            "Put x̄ = x / √ᾱ into the one formula and the other comes out."
        )
    else:
        says = (
            f"From the same noise the ends lie **{numbers['mean_distance_of_ends']:.3f}** apart on average, and up to "
            f"{numbers['largest_distance_of_ends']:.2g}; a particle keeps its colour on both sides."
        )
    return View(
        {"cloud": shown},
        "\n\n".join(both[0] + (both[1] if s.other != s.sampler else [])),
        frame.weakest(*found),
        f"{titles[0]}: **{costs[0]}** calls, energy distance **{far:.3f}**; {titles[1]}: **{costs[1]}** calls, "
        f"**{other:.3f}** (a fresh draw: {numbers['energy_distance_of_a_fresh_draw']:.3f}).\n{says}",
        numbers,
    )


def eta(s: Settings, sampler: str) -> str:
    return f", η = {s.eta:g}" if sampler == "ddim" else ""


def family(s: Settings, sampler: str) -> str:
    """Samplers of one family are one walk in exact arithmetic."""
    if sampler == "ddim":
        return {0.0: "flow", 1.0: "posterior"}.get(s.eta, "ddim")
    return {"euler": "flow", "ddpm": "posterior", "euler_ancestral": "posterior"}.get(sampler, sampler)


def pair_code(s: Settings) -> str:
    return f"""
import torch

from core.convergence import Counted
from core.mixtures import distance_of_fresh_draw, energy_distance
from core.samplers import SAMPLERS
from core.schedule import named_schedule
{head(s)}
data = points.sample({DATA}, generator=torch.Generator().manual_seed({DATA}))


def run(name, **options):
    g, denoiser = torch.Generator().manual_seed({s.seed}), Counted(points.denoiser(schedule))
    x = torch.randn({N}, 2, generator=g)
    return list(SAMPLERS[name](denoiser, schedule, x, times, generator=g, **options)), denoiser.calls


runs = [run({s.sampler!r}{arguments(s, s.sampler)}), run({s.other!r}{arguments(s, s.other)})]
ends = [steps[-1].x_next for steps, _ in runs]
apart = (ends[0] - ends[1]).norm(dim=1)

print("times =", times.tolist())
print("denoiser_calls =", [calls for _, calls in runs])
print("energy_distance =", [energy_distance(end, data) for end in ends])
print("energy_distance_of_a_fresh_draw =", distance_of_fresh_draw(data, {N}))
print("mean_distance_of_ends =", float(apart.mean()))
print("largest_distance_of_ends =", float(apart.max()))
print("first_particle =", [[x[0].tolist()] + [step.x_next[0].tolist() for step in steps] for steps, _ in runs])
"""


IDEAS = {
    "particles": Idea(("cloud",), (*SHARED, "show"), code, particles),
    "motion": Idea(("plot",), (*SHARED, "particle"), motion_code, motion),
    "pair": Idea(("cloud",), (*SHARED, "other", "show"), pair_code, pair),
}
