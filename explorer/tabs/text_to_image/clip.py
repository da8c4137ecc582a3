"""CLIP: sentences and pictures in one space, and what becomes of a picture that it alone moves toward a sentence."""

import re
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from core import checks, weights
from core.clip import CLIP, Iterate, Parametrisation, ascend, codes, pixels, spectrum
from explorer import frame, models
from explorer.components.live_plot import named
from explorer.components.pictures import Picture
from explorer.components.player import Trajectory
from explorer.components.progress import Progress
from explorer.figures import conditioning as figures
from explorer.figures.style import thinned
from explorer.formulas import counted, display, tex
from explorer.frame import View
from explorer.ideas import Idea
from explorer.runs import BETWEEN, Pace
from explorer.tabs.text_to_image.settings import (
    CODES,
    JOINT,
    PIXELS,
    SEARCH,
    SPECTRUM,
    TOWARD,
    Settings,
    ended,
    read,
    shorter,
    unit,
)
from explorer.tabs.text_to_image.vocabulary import MODEL, names

if TYPE_CHECKING:
    from core.networks.vae import VAE
    from core.pipeline import TextToImage

FRAMES = 60  # of a way, at the most
PANELS = ("moved toward the sentence", "drawn by diffusion")
# What the collection that is searched has one picture of each of: names that the embedded model has learnt.
THINGS = (
    *("cat face", "black cat", "dog face", "mouse face", "tiger face", "horse", "bear", "fish", "spider", "bird"),
    *("red apple", "green apple", "banana", "pizza", "french fries", "croissant", "hot dog", "hamburger"),
    *("birthday cake", "rocket", "airplane", "automobile", "bicycle", "house", "palm tree", "rose", "sun", "fire"),
    *("snowman", "man", "woman", "robot", "red heart", "blue heart", "computer mouse", "umbrella"),
)
FEW_STEPS = 10  # a picture of the collection
NEAREST = 8  # pictures shown
COLLECTIONS: dict[int, dict[str, Tensor]] = {}  # seed -> thing -> picture (1, 3, H, W), of the last few seeds
DRAWING: set[tuple[int, str]] = set()  # what of them is drawn just now, for whichever visitor
CLAIMING = Lock()
WORD = re.compile(r"[\w’'-]+")


@cache
def towers() -> CLIP:
    return CLIP.load(MODEL)


@cache
def decoder() -> "VAE":
    return weights.load(f"{MODEL}/vae")[0]


def embedded(s: Settings) -> Settings:
    """The same for the model that CLIP was trained with."""
    return replace(s, model=MODEL)


def drawn(
    model: "TextToImage", sentence: str, seed: int, view: View, steps: int | None = None
) -> Generator[View | None, None, Tensor]:
    """The picture (1, 3, H, W) as the model's card wants it; until it is there, ``view`` now and then."""
    pace, drawing = Pace(), []
    for step in model.stream(model.text.heard(sentence), seed=seed, steps=steps):
        drawing.append(step)
        yield view if pace.due() else None
    return model.decode(drawing[-1].x_next).clamp(-1, 1).cpu()


def each(
    model: "TextToImage", said: Sequence[str], seed: int, formula: str, notice: str, steps: int | None = None
) -> Generator[View | None, None, Tensor]:
    """A picture of every sentence, (B, 3, H, W); until they are there, how far it is."""
    pace, made = Pace(), []
    for i, sentence in enumerate(said):
        left = pace.left(i, len(said)) if i else None
        doing = Progress(i, len(said), f"picture {i + 1} of {len(said)}", left)
        wait = View({"progress": doing}, formula, None, notice, {})
        made.append((yield from drawn(model, sentence, seed, wait, steps)))
    return torch.cat(made)


# Words and pictures


def split(s: Settings) -> tuple[str, ...]:
    """The sentences, none twice. Raises: ValueError if there are not 2 to 8."""
    said: dict[str, str] = {}
    for part in filter(None, map(str.strip, s.sentences.split(";"))):
        said.setdefault(" ".join(part.lower().split()), part)
    if not 2 <= len(said) <= 8:
        raise ValueError(f"wanted 2 to 8 different sentences with semicolons between, got {len(said)}")
    return tuple(said.values())


def unheard(model: "TextToImage", sentences: Sequence[str], *, asked: bool = True) -> str:
    """What there is to say of sentences without a word that was seen in training, or with words that are cut.

    asked: whether the model was asked to draw them.
    """
    deaf = [sentence for sentence in sentences if not model.text.heard(sentence)]
    cut = [sentence for sentence in sentences if not all(token.kept for token in model.text.tokens(sentence))]
    names = ", ".join(f"“{shorter(one)}”" for one in deaf)
    and_draws = "the model draws unasked, and " * asked
    said = f"Of {names} **no word** was seen in training: {and_draws}CLIP reads blindly.\n"
    long = f"Of {', '.join(f'“{shorter(one)}”' for one in cut)} the words beyond 77 tokens are not read.\n"
    return said * bool(deaf) + long * bool(cut)


def joint(s: Settings) -> Iterator[View | None]:
    """A picture of every sentence, and how alike every sentence and every picture are."""
    said = split(s)
    model = yield from read(embedded(s), joint_formula(s))
    began = time.perf_counter()
    x = yield from each(model, said, s.seed, joint_formula(s), "The model draws what the sentences say.")
    clip = towers()
    with torch.no_grad():
        cosines = clip.words(said) @ clip.pictures(x).T
    shares = (clip.scale * cosines).softmax(1)
    own = [bool(row[i] == row.max()) for i, row in enumerate(cosines)]
    numbers = {
        "sentences": list(said),
        "cosines": cosines.tolist(),
        "scale": clip.scale,
        "share_of_pictures": shares.tolist(),
        "find_their_own": sum(own),
    }
    yield View(
        {
            "progress": ended(embedded(s), model, counted(len(said), "picture"), time.perf_counter() - began),
            "plot": named(
                "Likeness of pictures and sentences",
                figures.likeness(cosines.numpy(), said, x="picture of", y="sentence"),
            ),
            "pictures": [
                Picture(unit(picture), sentence, f"nearest: {said[int(column.argmax())]}, {float(column.max()):.2f}")
                for picture, sentence, column in zip(x, said, cosines.T, strict=True)
            ],
        },
        joint_formula(s, numbers),
        frame.weakest(checks.shared_space(cosines, said, x, clip), checks.competing(shares, clip.scale * cosines)),
        unheard(model, said) + joint_notice(numbers),
        numbers,
    )


def joint_formula(s: Settings, n: dict[str, Any] | None = None) -> str:
    alike = r"\cos(w_i,p_j)=\frac{w_i\cdot p_j}{\|w_i\|\,\|p_j\|}"
    share = r"p(j\mid i)=\frac{e^{\cos(w_i,p_j)/\tau}}{\sum_k e^{\cos(w_i,p_k)/\tau}}"
    if n is None:
        return display(alike, share)
    first = rf"\cos(w_1,p_1)={tex(n['cosines'][0][0], 3)}"
    return display(
        rf"{alike}\qquad {first}",
        rf"{share}\qquad 1/\tau={tex(n['scale'], 3)},\quad p(1\mid 1)={tex(n['share_of_pictures'][0][0], 3)}",
    )


def joint_notice(n: dict[str, Any]) -> str:
    apart = np.array(n["cosines"])
    np.fill_diagonal(apart, -2)
    i, j = np.unravel_index(apart.argmax(), apart.shape)
    said = n["sentences"]
    return (
        f"**{n['find_their_own']} of {len(said)}** sentences are nearest to the picture that was drawn of them. Of "
        f"what does not belong together, “{said[i]}” and the picture of “{said[j]}” are the most alike: "
        f"{apart[i, j]:.2f}.\n"
        "Two towers read them, one words and one pixels, and were trained to point the same way for a picture and its "
        "caption; the diffusion model reads what the tower of words makes of the prompt."
    )


def joint_code(s: Settings) -> str:
    said = split(s)
    return f"""
import torch

from core.clip import CLIP
from core.pipeline import TextToImage

model, clip = {models.source(MODEL)}, CLIP.load({MODEL!r})
sentences = {list(said)!r}
pictures = []
for sentence in sentences:
    *_, last = model.stream(model.text.heard(sentence), seed={s.seed})
    pictures.append(model.decode(last.x_next).clamp(-1, 1).cpu())
with torch.no_grad():
    cosines = clip.words(sentences) @ clip.pictures(torch.cat(pictures)).T

print("cosines =", cosines.tolist())
print("scale =", clip.scale)
print("share_of_pictures =", (clip.scale * cosines).softmax(1).tolist())
print("find_their_own =", sum(bool(row[i] == row.max()) for i, row in enumerate(cosines)))
"""


# A search


def alone(model: "TextToImage", query: str) -> list[str]:
    """The first five known words of a query, each to be searched for by itself; none of a query that is one word."""
    words = [word for word in dict.fromkeys(WORD.findall(query.lower())) if model.text.heard(word)]
    return [] if words == [query.lower()] else words[:5]


def collection(model: "TextToImage", s: Settings) -> Generator[View | None, None, tuple[Tensor, int]]:
    """The pictures (36, 3, H, W) that are searched, and how many of them were drawn here.

    Those not drawn yet from this seed are drawn first, each for one of the visitors who ask for it, and kept.
    """
    with CLAIMING:
        have = COLLECTIONS.pop(s.seed, {})
        COLLECTIONS[s.seed] = have  # the latest last
        while len(COLLECTIONS) > 4:
            COLLECTIONS.pop(next(iter(COLLECTIONS)))
    pace, kept, new = Pace(), len(have), 0
    while (i := len(have)) < len(THINGS):
        with CLAIMING:
            thing = next((one for one in THINGS if one not in have and (s.seed, one) not in DRAWING), None)
            if thing:
                DRAWING.add((s.seed, thing))
        if not thing:  # the last ones are drawn for others, who may still be stopped
            time.sleep(BETWEEN)
            yield None
            continue
        left = pace.left(i - kept, len(THINGS) - kept) if i > kept else None
        wait = View(
            {
                "progress": Progress(i, len(THINGS), f"picture {i + 1} of {len(THINGS)}: {thing}", left),
                "pictures": [Picture(unit(x[0]), name) for name, x in list(have.items())[-NEAREST:]],
            },
            search_formula(s),
            None,
            "First, the model draws a collection to search in. It is kept: the next search from this seed is quick.",
            {},
        )
        try:
            have[thing] = yield from drawn(model, thing, s.seed, wait, FEW_STEPS)
        finally:
            DRAWING.discard((s.seed, thing))
        new += 1
    return torch.cat([have[thing] for thing in THINGS]), new


def search(s: Settings) -> Iterator[View | None]:
    """A collection of pictures, the nearest to a sentence first, and how near they are to each of its words."""
    model = yield from read(embedded(s), search_formula(s))
    began = time.perf_counter()
    x, new = yield from collection(model, s)
    clip, words = towers(), alone(model, s.prompt)
    asked = [s.prompt, *words]
    with torch.no_grad():
        pictures = clip.pictures(x)
        cosines = clip.words(asked) @ pictures.T
        own = (clip.words(THINGS) @ pictures.T).argmax(1)
    order = cosines[0].argsort(descending=True).tolist()
    numbers = {
        "query": s.prompt,
        "words": words,
        "nearest": [THINGS[i] for i in order],
        "cosines": cosines[:, order].tolist(),
        "find_their_own": int((own == torch.arange(len(THINGS))).sum()),
    }
    best = set(cosines[1:].argmax(1).tolist())  # what a word alone finds is shown, too
    first = best | set([i for i in order if i not in best][: NEAREST - len(best)])
    shown = [(place, i) for place, i in enumerate(order, start=1) if i in first]
    rows = [i for _, i in shown]
    likeness = figures.likeness(  # the words side by side: they are fewer
        cosines[:, rows].T.numpy(), [THINGS[i] for i in rows], tuple(map(shorter, asked)), x="words", y="picture of"
    )
    if len(asked) > 4:  # plotly makes the numbers smaller than that for the cells of a phone
        likeness.data[0]["textfont"]["size"] = 12
    did = f"{counted(new, 'picture')} drawn, {len(THINGS)} searched" if new else f"{len(THINGS)} pictures searched"
    yield View(
        {
            "progress": ended(embedded(s), model, did, time.perf_counter() - began),
            "plot": named("Likeness of pictures and words", likeness),
            "pictures": [
                Picture(unit(x[i]), f"{place}. {THINGS[i]}", f"cosine {float(cosines[0, i]):.2f}") for place, i in shown
            ],
        },
        search_formula(s, numbers),
        checks.shared_space(cosines, asked, x, clip),
        unheard(model, [s.prompt], asked=False) + search_notice(numbers),
        numbers,
    )


def search_formula(s: Settings, n: dict[str, Any] | None = None) -> str:
    nearest = r"\arg\max_j\cos(w,p_j),\qquad\cos(w,p_j)=\frac{w\cdot p_j}{\|w\|\,\|p_j\|}"
    if n is None:
        return display(nearest)
    first, last = (tex(n["cosines"][0][i], 3) for i in (0, -1))
    return display(rf"{nearest}\qquad\text{{from }}{first}\text{{ to }}{last}")


def search_notice(n: dict[str, Any]) -> str:
    first = (
        f"“{shorter(n['query'])}” finds **{n['nearest'][0]}** first ({n['cosines'][0][0]:.2f}), then "
        f"{n['nearest'][1]} and {n['nearest'][2]}."
    )
    said = [
        f"“{word}” alone finds {n['nearest'][row.index(max(row))]} ({max(row):.2f}) and {captioned(word)}"
        for word, row in zip(n["words"], n["cosines"][1:], strict=True)
    ]
    whole = f"“{shorter(n['query'])}” {captioned(n['query'])}"
    return (
        f"{first}\n{'; '.join(said) or whole}.\n"
        "Vectors say what is nearest, not what is there, and a word is known by the captions it stood in: that is the "
        f"shortcut. Of {len(THINGS)} names {n['find_their_own']} find the picture drawn of them."
    )


def captioned(query: str) -> str:
    """In how many names of the training pictures these words stand, and in which if they are few."""
    words = set(WORD.findall(query.lower()))
    found = [name for name in names() if words and words <= set(WORD.findall(name.lower()))]
    which = f" ({', '.join(found)})" if 0 < len(found) <= 3 else ""
    return f"stands in {len(found) or 'none'} of the {len(names()):,} names that CLIP has read{which}"


def search_code(s: Settings) -> str:
    return f"""
import re

import torch

from core.clip import CLIP
from core.pipeline import TextToImage

model, clip = {models.source(MODEL)}, CLIP.load({MODEL!r})
things = {list(THINGS)!r}
pictures = []
for thing in things:
    *_, last = model.stream(thing, seed={s.seed}, steps={FEW_STEPS})
    pictures.append(model.decode(last.x_next).clamp(-1, 1).cpu())

query = {s.prompt!r}
words = [word for word in dict.fromkeys(re.findall({WORD.pattern!r}, query.lower())) if model.text.heard(word)]
words = [] if words == [query.lower()] else words[:5]
with torch.no_grad():
    seen = clip.pictures(torch.cat(pictures))
    cosines = clip.words([query, *words]) @ seen.T
    own = (clip.words(things) @ seen.T).argmax(1)
order = cosines[0].argsort(descending=True).tolist()

print("query =", repr(query))
print("words =", words)
print("nearest =", [things[i] for i in order])
print("cosines =", cosines[:, order].tolist())
print("find_their_own =", int((own == torch.arange(len(things))).sum()))
"""


# Toward a sentence


def parametrisation(s: Settings, generator: torch.Generator) -> Parametrisation:
    side = towers().side
    if s.canvas == CODES:
        return codes(decoder(), side, generator)
    return {PIXELS: pixels, SPECTRUM: spectrum}[s.canvas](side, generator)


def moving(s: Settings) -> Iterator[View | None]:
    """A picture moved step by step, beside the one that the diffusion model draws of the same words."""
    model = yield from read(embedded(s), moving_formula(s))
    clip, generator, started = towers(), torch.Generator().manual_seed(s.seed), time.perf_counter()
    first = Progress(0, s.moves, "drawing it by diffusion")
    wait = View({"progress": first}, moving_formula(s), None, "First, what diffusion draws of it.", {})
    picture = yield from drawn(model, s.prompt, s.seed, wait)
    with torch.no_grad():
        of_drawn = float(clip.pictures(picture)[0] @ clip.words([s.prompt])[0])
    kept = set(thinned(0, s.moves, FRAMES - 8, near=4).tolist())
    likeness: list[float] = []
    seen: list[float] = []
    begun: list[Iterate] = []  # the first two
    frames: list[np.ndarray] = []
    labels: list[str] = []
    sent, pace, last = 0, Pace(), picture
    beside, by = picture[0].permute(1, 2, 0).numpy(), parametrisation(s, generator)
    for iterate in ascend(clip, s.prompt, by, moves=s.moves, crops=s.crops, generator=generator):
        if len(likeness) in kept:
            frames.append(np.stack([iterate.picture[0].permute(1, 2, 0).numpy(), beside]))
            labels.append(f"move {len(likeness)}: cosine {iterate.likeness:.3f}")
        begun += [iterate] * (len(begun) < 2)
        last = iterate.picture
        likeness.append(iterate.likeness)
        seen.append(iterate.objective)
        done = len(likeness) - 1
        if not labels[sent:] or not pace.due():
            yield None
            continue
        left = pace.left(done, s.moves) if done else None
        yield View(
            {
                "progress": Progress(done, s.moves, f"move {done} of {s.moves}", left),
                "moved": Trajectory(
                    np.stack(frames[sent:]), PANELS, tuple(labels[sent:]), at=len(frames) - 1, start=sent
                ),
            },
            moving_formula(s),
            None,
            f"Move **{done}** of {s.moves}: CLIP finds it **{iterate.likeness:.2f}** like the sentence.",
            {},
        )
        sent = len(frames)
    mean = last[0].double().mean((1, 2)).tolist()
    numbers = {"likeness": likeness, "seen": seen, "drawn": of_drawn, "mean": mean}
    ends, both = torch.cat([last, picture]), torch.tensor([[likeness[-1], of_drawn]])
    did = f"{counted(s.moves, 'move')} on the CPU, and a picture to compare,"
    yield View(
        {
            "progress": ended(embedded(s), model, did, time.perf_counter() - started),
            "moved": Trajectory(np.stack(frames), PANELS, tuple(labels), at=len(frames) - 1),
            "plot": named(
                "Likeness of the picture to the sentence at every move",
                figures.ascent(likeness, seen if s.crops else None, of_drawn),
            ),
        },
        moving_formula(s, numbers),
        frame.weakest(
            checks.shared_space(both, [s.prompt], ends, clip),
            *checks.way_begun(begun[0], begun[1], s.prompt, by, clip),
        ),
        unheard(model, [s.prompt]) + moving_notice(s, numbers) * bool(model.text.heard(s.prompt)),
        numbers,
    )


def moving_formula(s: Settings, n: dict[str, Any] | None = None) -> str:
    what = {PIXELS: r"z\text{: pixels}", SPECTRUM: r"z\text{: waves}", CODES: r"z\text{: a latent}"}[s.canvas]
    made = {PIXELS: r"\tanh z", SPECTRUM: r"\tanh\mathcal F^{-1}(z/f)", CODES: r"\mathrm D(z)"}[s.canvas]
    seen = r"\tfrac1{%d}\sum_c\cos(w,p(\text{crop}_c\,x))" % s.crops if s.crops else r"\cos(w,p(x))"  # noqa: UP031
    one = rf"z\leftarrow z+\mathrm{{Adam}}\!\left(\nabla_z\,{seen}\right),\qquad x={made},\quad {what}"
    if n is None:
        return display(one)
    first, last = (tex(n["likeness"][i], 3) for i in (0, -1))
    two = rf"\cos(w,p(x)):\;{first}\to{last},\qquad\text{{of what diffusion drew: }}{tex(n['drawn'], 3)}"
    return display(one, two)


def moving_notice(s: Settings, n: dict[str, Any]) -> str:
    last, of_drawn = n["likeness"][-1], n["drawn"]
    if last > of_drawn:
        first = (
            f"CLIP finds the moved picture **{last:.2f}** like the sentence, and the drawn one {of_drawn:.2f}. Which "
            "of them would you show to somebody who asks for it?"
        )
    else:
        first = f"CLIP finds the moved picture {last:.2f} like the sentence, and the drawn one **{of_drawn:.2f}**."
    second = {
        PIXELS: "Every pixel goes up or down by itself, and nothing asks it to agree with its neighbours.",
        SPECTRUM: "Waves go up or down, the long ones farther than the short: neighbouring pixels move together.",
        CODES: "The decoder makes smooth shapes of any numbers, and of most it makes no thing.",
    }[s.canvas]
    third = " Each move must hold for parts of the picture, too: shortcuts of the whole alone are lost."
    return f"{first}\n{second}{third * bool(s.crops)}"


def moving_code(s: Settings) -> str:
    made = {
        PIXELS: "pixels(clip.side, generator)",
        SPECTRUM: "spectrum(clip.side, generator)",
        CODES: f'codes(weights.load("{MODEL}/vae")[0], clip.side, generator)',
    }[s.canvas]
    uses = "from core import weights\n" * (s.canvas == CODES)
    return f"""
import torch

{uses}from core.clip import CLIP, ascend, {made.partition("(")[0]}
from core.pipeline import TextToImage

model, clip = {models.source(MODEL)}, CLIP.load({MODEL!r})
prompt = {s.prompt!r}
*_, last = model.stream(model.text.heard(prompt), seed={s.seed})
picture = model.decode(last.x_next).clamp(-1, 1).cpu()
with torch.no_grad():
    drawn = float(clip.pictures(picture)[0] @ clip.words([prompt])[0])

generator = torch.Generator().manual_seed({s.seed})
parametrisation = {made}
way = list(ascend(clip, prompt, parametrisation, moves={s.moves}, crops={s.crops}, generator=generator))

print("likeness =", [iterate.likeness for iterate in way])
print("seen =", [iterate.objective for iterate in way])
print("drawn =", drawn)
print("mean =", way[-1].picture[0].double().mean((1, 2)).tolist())
"""


IDEAS = {
    JOINT: Idea(
        ("progress", "plot", "pictures"),
        ("sentences", "seed"),
        joint_code,
        walk=joint,
        waiting=joint_formula,
    ),
    SEARCH: Idea(
        ("progress", "pictures", "plot"),
        ("prompt", "seed"),
        search_code,
        walk=search,
        waiting=search_formula,
    ),
    TOWARD: Idea(
        ("progress", "moved", "plot"),
        ("prompt", "canvas", "moves", "crops", "seed"),
        moving_code,
        walk=moving,
        waiting=moving_formula,
    ),
}
