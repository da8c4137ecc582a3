"""Deep Dream: a trained network stays as it is, and a picture moves until a layer of it, or a name, answers more."""

import math
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from core import checks, weights
from core.dream import Iterate, Objective, activity, dream, log_probability
from core.networks.classifier import PictureClassifier
from core.photographs import square
from explorer import frame
from explorer.components.live_plot import named
from explorer.components.pictures import Picture
from explorer.components.player import Trajectory
from explorer.components.progress import Progress
from explorer.figures import conditioning as figures
from explorer.figures.style import thinned
from explorer.formulas import counted, display, sensible, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import Pace
from explorer.tabs.text_to_image import change
from explorer.tabs.text_to_image.settings import DREAM, NAMED, OWN, Settings, imports, opens
from explorer.tabs.text_to_image.vocabulary import MODEL, alike

SIDE, JITTER = 256, 8  # pixels of a picture for a layer, which has no size of its own, and how far it is rolled
SMALL = 64, 2  # the same for a name: the judge was trained on 64 x 64 pixels, and its probabilities are of such
FRAMES = 18  # of a way, at the most


@cache
def judge() -> PictureClassifier:
    """The classifier that was trained, on real pictures alone, to judge what the embedded model draws."""
    return weights.load_classifier(weights.resolve(MODEL) / "classifier")[0]


def of_size(s: Settings) -> tuple[int, int]:
    """Side and jitter, in pixels."""
    return SMALL if s.grows == NAMED else (SIDE, JITTER)


def known(s: Settings) -> str:
    """The name of the prompt. Raises: ValueError if the judge does not know it."""
    asked, names = " ".join(s.prompt.lower().split()), judge().answers["name"]
    if asked in names:
        return asked
    near = alike(asked) or ["rose", "pizza", "dog face"]
    raise ValueError(
        f"the judge was trained on {len(names):,} names, and “{s.prompt[:60]}” is none of them; it knows "
        f"{', '.join(f'“{name}”' for name in near)}"
    )


def what(s: Settings) -> int | str:
    """The number of the layer, or the name."""
    return known(s) if s.grows == NAMED else int(s.grows.split()[-1])


def objective(grows: int | str) -> Objective:
    return log_probability(judge(), grows) if isinstance(grows, str) else activity(judge(), grows)


def guess(x: Tensor) -> str:
    with torch.no_grad():
        return judge().answers["name"][int(judge()(x)[0].argmax())]


def dreaming(s: Settings) -> Iterator[View | None]:
    """A picture moved up the gradient, and how strongly it is answered to at every move."""
    grows, (side, jitter) = what(s), of_size(s)
    if s.start == OWN:
        yield from change.opening(s, formula(s))
    started, x = time.perf_counter(), change.start_picture(s, side).cpu().clamp(-1, 1)
    if x.shape[-1] != side:  # the model drew it
        x = 2 * square((x[0].double() + 1) / 2, side).float()[None] - 1
    beside = sorted({0, s.moves // 5, s.moves})
    kept = {*thinned(0, s.moves, FRAMES - 6, near=3).tolist(), *beside}
    values: list[float] = []
    begun: list[Iterate] = []  # the first two
    frames: dict[int, np.ndarray] = {}
    sent, pace, last = 0, Pace(), x
    dice = torch.Generator().manual_seed(0)
    for iterate in dream(objective(grows), x, moves=s.moves, jitter=jitter, generator=dice):
        done, last = len(values), iterate.picture
        values.append(math.exp(iterate.objective) if isinstance(grows, str) else iterate.objective)
        begun += [iterate] * (done < 2)
        if done in kept:
            frames[done] = last[0].permute(1, 2, 0).numpy()
        if len(frames) == sent or not pace.due():
            yield None
            continue
        left = pace.left(done, s.moves) if done else None
        yield View(
            {
                "progress": Progress(done, s.moves, f"move {done} of {s.moves}", left),
                "moved": way(frames, values, grows, sent),
            },
            formula(s),
            None,
            f"Move **{done}** of {s.moves}: {said(grows)} is **{sensible(values[-1])}**.",
            {},
        )
        sent = len(frames)
    numbers: dict[str, Any] = {"values": values, "mean": last[0].double().mean((1, 2)).tolist()}
    if isinstance(grows, str):
        numbers |= {"first_guess": guess(x), "last_guess": guess(last)}
    yield View(
        {
            "progress": Progress(
                1, 1, f"{counted(s.moves, 'move')} in {time.perf_counter() - started:.1f} s on the CPU"
            ),
            "moved": way(frames, values, grows),
            "pictures": [
                Picture((frames[i] + 1) / 2, counted(i, "move"), f"{said(grows, short=True)} {sensible(values[i])}")
                for i in beside
            ],
            "plot": named(
                f"{said(grows)[0].upper()}{said(grows)[1:]} at every move",
                figures.dream(values, said(grows).removeprefix("the "), share=isinstance(grows, str)),
            ),
        },
        formula(s, numbers),
        frame.weakest(*checks.dreamt(begun[0], begun[1], judge(), grows)),
        notice(s, grows, numbers),
        numbers,
    )


def way(frames: dict[int, np.ndarray], values: list[float], grows: int | str, start: int = 0) -> Trajectory:
    """The frames from number ``start`` on."""
    labels = tuple(f"move {i}: {said(grows)} is {sensible(values[i])}" for i in list(frames)[start:])
    pixels = np.stack(list(frames.values())[start:])[:, None]
    return Trajectory(pixels, ("the picture, moved",), labels, at=len(frames) - 1, start=start)


def said(grows: int | str, *, short: bool = False) -> str:
    if isinstance(grows, str):
        return "probability" if short else f"the probability of “{grows}”"
    return "mean square" if short else f"the mean square of layer {grows}"


def formula(s: Settings, n: dict[str, Any] | None = None) -> str:
    if s.grows == NAMED:
        grown, name = r"\log p(y\mid x)", r"p(y\mid x)"
    else:
        layer = s.grows.split()[-1]
        grown = name = rf"\operatorname{{mean}}\!\big(a_{{{layer}}}(x)^2\big)"
    one = r"x\leftarrow\operatorname{clip}\!\Big(x+0.02\,\frac{g}{\operatorname{mean}|g|}\Big)"
    two = rf"g=\nabla_x\,{grown}"
    if n is None:
        return display(one, two)
    first, last = (tex(n["values"][i], 3) for i in (0, -1))
    return display(one, two, rf"{name}:\;{first}\to{last}")


def notice(s: Settings, grows: int | str, n: dict[str, Any]) -> str:
    first, last = n["values"][0], n["values"][-1]
    if not isinstance(grows, str):
        times = f"**{sensible(last / first)} times** as strongly as at first" if first else "where it did not at first"
        return (
            f"After {counted(s.moves, 'move')} layer {grows} of 6 answers {times} ({sensible(first)} to "
            f"{sensible(last)}).\n"
            "In training the picture stays and the weights move; here the weights stay and the picture moves: whatever "
            "the layer finds a little of, the picture gets more of. This network was trained to name emoji, and has "
            "never seen a photograph."
        )
    half = next((i for i, p in enumerate(n["values"]) if p > 0.5), None)
    came = f", above one half from move {half} on" if half else ""
    return (
        f"The judge said “{n['first_guess']}” and now says **“{n['last_guess']}”**; “{grows}” has gone from "
        f"{sensible(first)} to **{sensible(last)}**{came}.\n"
        "Step back to that move: what do you see? A classifier of clean pictures is content with patterns that show "
        "nothing to us. Guidance by such a gradient leads astray, which is why a guiding classifier is trained on "
        "noised pictures, at every noise amount."
    )


def code(s: Settings) -> str:
    grows = what(s)
    side, jitter = of_size(s)
    called = isinstance(grows, str)
    made = "log_probability" if called else "activity"
    uses = ("torch", "core.weights", "core.dream.dream", f"core.dream.{made}", "core.photographs.square")

    def head(s: Settings, *more: str) -> str:
        every = tuple(dict.fromkeys((*uses, *more)))
        return opens(s, *every) if s.start == OWN else f"{imports(*every)}\n"

    resized = f"\nx = 2 * square((x[0].double() + 1) / 2, {side}).float()[None] - 1" * (s.start == OWN)
    values = "[math.exp(one.objective) for one in way]" if called else "[one.objective for one in way]"
    guesses = """
names = judge.answers["name"]
first, last = (names[int(judge(one.picture)[0].argmax())] for one in (way[0], way[-1]))
print("first_guess =", repr(first))
print("last_guess =", repr(last))"""
    start = change.start_code(s, *(("math",) if called else ()), head=head, size=str(side))
    return f"""
{start}
x = image.cpu().clamp(-1, 1){resized}
judge, _ = weights.load_classifier(weights.resolve({MODEL!r}) / "classifier")
generator = torch.Generator().manual_seed(0)
way = list(dream({made}(judge, {grows!r}), x, moves={s.moves}, jitter={jitter}, generator=generator))

print("values =", {values})
print("mean =", way[-1].picture[0].double().mean((1, 2)).tolist()){guesses * called}
"""


IDEAS = {
    DREAM: Idea(
        ("progress", "pictures", "moved", "plot"),
        ("start", "start_prompt", "start_seed", "grows", "prompt", "moves", "model"),
        code,
        walk=dreaming,
        waiting=formula,
    )
}
