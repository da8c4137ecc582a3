"""How good a model is, by a classifier trained on real pictures alone; its parts, on pictures they never saw."""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from core import datasets, weights
from core.denoiser import Denoiser
from core.networks.classifier import PictureClassifier
from core.pipeline import ClassToImage, TextToImage, start_noise
from core.samplers import named_sampler
from core.style import style_of
from core.training.batches import STYLES
from core.training.commands import Parser, bounded
from core.training.recipes import RECIPES
from core.training.runs import Run, held_out, prepare_run, tile, write_picture

PROMPTS = ("red apple", "cat face", "rocket", "pizza", "blue heart")
PEOPLE = ("doctor", "nurse", "person")
GENDERED = {
    "man": {"man", "men", "boy", "father", "prince", "santa", "mr."},
    "woman": {"woman", "women", "girl", "mother", "princess", "mrs."},
}
ANY = GENDERED["man"] | GENDERED["woman"]


# ---- the emoji model


@torch.no_grad()
def walk(
    model: TextToImage,
    ask: Callable[[range], Denoiser],
    seeds: Sequence[int],
    *,
    steps: int | None = None,
    batch: int = 50,
) -> Iterator[Tensor]:
    """Latents (B, C, h, w), ``batch`` at a time, from the noise of each seed, by the card's sampler.

    ask: the denoiser of some of the rows. steps: the card's if None.
    """
    times, scale = model.plan(steps)
    sampler = named_sampler(model.default("sampler"))
    for start in tqdm(range(0, len(seeds), batch), desc="pictures"):
        rows = range(start, min(start + batch, len(seeds)))
        noises = [torch.Generator().manual_seed(seeds[i]) for i in rows]
        x = start_noise(model.unet, noises)
        *_, last = sampler(ask(rows), model.schedule, scale * x, times, generator=noises)
        yield last.x_next


def asking(model: TextToImage, prompts: Sequence[str], guidance: float, style: float) -> Denoiser:
    """The model's U-Net, told one prompt a row, its style pressed as `TextToImage.stream` does."""
    named, rest = zip(*map(style_of, prompts), strict=True)
    words, empty, *alone = (model.text(said).to(model.unet.conv_in.weight) for said in (prompts, [""], named, rest))
    beside = (alone[0], alone[1], style) if any(named) else None
    return model.denoiser(words, empty, guidance, style=beside)


@torch.no_grad()
def draw(model: TextToImage, prompts: Sequence[str], seeds: Sequence[int], *, batch: int = 50) -> Tensor:
    """One picture of each prompt, from the noise of its seed, as the card's defaults say: (N, 3, H, W) in [-1, 1]."""

    def ask(rows: range) -> Denoiser:
        return asking(model, [prompts[i] for i in rows], model.default("guidance"), model.default("style"))

    return torch.cat([model.decode(z).clamp(-1, 1).cpu() for z in walk(model, ask, seeds, batch=batch)])


@dataclass(frozen=True)
class Asked:
    """Names in two of the styles, over one of the backgrounds, from one or more seeds: numbers of the judge's answers.

    The k-th of the prompts has background k mod 10; the i-th of the names asked for has styles i and i + 3, mod 7: of
    some names these are styles that no training picture has.
    """

    name: Tensor
    style: Tensor
    background: Tensor
    seed: Tensor

    @classmethod
    def of(
        cls, answers: Mapping[str, Sequence[str]], every: int = 1, *, first: int = 0, seeds: Sequence[int] = (0, 1)
    ) -> "Asked":
        """Every how many-th name, from number ``first`` on."""
        styles = len(answers["style"])
        names = range(first, len(answers["name"]), every)
        rows = [(n, (i + d) % styles) for i, n in enumerate(names) for d in (0, 3)]
        rows = [(n, s, k % len(answers["background"]), seed) for k, (n, s) in enumerate(rows) for seed in seeds]
        if not rows:
            raise ValueError(
                f"wanted names to ask for, of {len(answers['name'])} every {every}-th from {first} on is none"
            )
        return cls(*torch.tensor(rows).T)

    def prompts(self, answers: Mapping[str, Sequence[str]]) -> list[str]:
        """ "red apple, twemoji style, on a blue background": as a caption says it."""
        said = []
        for n, s, b in zip(self.name.tolist(), self.style.tolist(), self.background.tolist(), strict=True):
            ground = answers["background"][b]
            style = STYLES[str(answers["style"][s])]
            article = "an" if ground[0] in "aeiou" else "a"
            said.append(f"{answers['name'][n]}, {style} style, on {article} {ground} background")
        return said


@torch.no_grad()
def evaluate_prompts(
    model: TextToImage, judge: PictureClassifier, data: datasets.Emoji, asked: Asked
) -> dict[str, Any]:
    """How much there is of what was asked for.

    name: how often the name is the judge's first answer, and among its first five; of all, of the combinations of name
    and style that were trained on, and of those that no picture shows. style: how often that is its answer, likewise.
    background: how often the mean colour of the four corners (6 x 6 pixels each) is within 0.1 of black to white of
    the one asked for, in red, green and blue. frechet: the Frechet distance in the judge's features between real
    pictures that it has not seen and as many drawn ones, each over the ten backgrounds in turn; frechet_real: from the
    same to as many real pictures that it has seen. nearest: the root mean square difference, black to white being 1,
    to the training picture that is nearest over the same background, at half the size: the median, the share below
    0.05.
    """
    answers = judge.answers
    pictures = draw(model, asked.prompts(answers), asked.seed.tolist())
    found = [torch.cat(some) for some in zip(*(judge(x) for x in pictures.split(256)), strict=True)]
    name = found[0].topk(5).indices == asked.name[:, None]
    style = found[1].topk(1).indices == asked.style[:, None]
    trained = set(zip(data.names, data.styles, strict=True))
    pairs = zip(asked.name.tolist(), asked.style.tolist(), strict=True)
    known = torch.tensor([(answers["name"][n], answers["style"][s]) in trained for n, s in pairs])
    parts = {"all": known | ~known, "known_combinations": known, "new_combinations": ~known}
    colours = torch.tensor([datasets.BACKGROUNDS[ground] for ground in answers["background"]]) / 127.5 - 1
    corners = torch.cat([pictures[:, :, y, x].flatten(2) for y in EDGES for x in EDGES], dim=2).mean(2)
    away = (corners - colours[asked.background]).abs().amax(1) / 2
    measured: dict[str, Any] = {
        "pictures": len(pictures),
        "names": len(asked.name.unique()),
        "name": {part: shares(name[rows]) for part, rows in parts.items()},
        "style": {part: shares(style[rows]) for part, rows in parts.items()},
        "background_within_0.1": mean(away < 0.1),
    }
    seen, unseen = held_out(len(data.images), every=12)
    real, other = (over_backgrounds(data, rows, colours) for rows in (unseen, seen[:: len(seen) // len(unseen)]))
    n = min(len(real), len(other), len(pictures))
    features = [judge.features(x).double().numpy() for x in (real[:n], other[:n], spaced(pictures, n))]
    measured["frechet"] = round(frechet_distance(features[2], features[0]), 4)
    measured["frechet_real"] = round(frechet_distance(features[1], features[0]), 4)
    near = nearest(pictures, asked.background, data, colours)
    measured["nearest"] = {"median": round(near.median().item(), 4), "below_0.05": mean(near < 0.05)}
    return measured


EDGES = (slice(0, 6), slice(-6, None))


def mean(x: Tensor) -> float:
    return round(x.double().mean().item(), 4)


def shares(right: Tensor) -> dict[str, Any]:
    """Of rows (N, k) that say which of the first k answers is right: how often the first is, and any."""
    if not len(right):
        return {}
    return {"pictures": len(right), "top1": mean(right[:, 0]), f"top{right.shape[1]}": mean(right.any(1))}


def spaced(x: Tensor, n: int) -> Tensor:
    """``n`` rows of x, evenly spaced."""
    return x[torch.arange(n) * len(x) // n]


def over_backgrounds(data: datasets.Emoji, rows: Tensor, colours: Tensor) -> Tensor:
    """Real pictures over the backgrounds in turn: (N, 3, H, W) in [-1, 1]."""
    ground = ((colours[torch.arange(len(rows)) % len(colours)] + 1) * 127.5).round().to(torch.uint8)
    return datasets.composite(data.images[rows], ground)


def nearest(pictures: Tensor, background: Tensor, data: datasets.Emoji, colours: Tensor) -> Tensor:
    """Root mean square difference of each picture (N, 3, H, W) to the nearest real one over its background, (N,)."""
    half = partial(F.avg_pool2d, kernel_size=2)
    away = torch.empty(len(pictures))
    for number in background.unique().tolist():
        ground = ((colours[number] + 1) * 127.5).round().to(torch.uint8)[None]
        known = torch.cat([half(datasets.composite(some, ground)).flatten(1) for some in data.images.split(512)])
        rows = background == number
        drawn = half(pictures[rows]).flatten(1)
        away[rows] = torch.cdist(drawn, known).amin(1) / 2 / drawn.shape[1] ** 0.5
    return away


@torch.no_grad()
def evaluate_people(model: TextToImage, judge: PictureClassifier, *, seeds: int = 50) -> dict[str, dict[str, int]]:
    """What comes of "doctor", "nurse" and "person": pictures whose first answer names a man, a woman, or neither."""
    counts = {}
    for prompt in PEOPLE:
        first = judge(draw(model, [prompt] * seeds, range(seeds)))[0].argmax(1)
        words = [set(judge.answers["name"][n].replace(":", "").split()) for n in first.tolist()]
        said = {kind: sum(bool(some & of) for some in words) for kind, of in GENDERED.items()}
        counts[prompt] = {"pictures": seeds, **said, "neither": sum(not some & ANY for some in words)}
    return counts


@torch.no_grad()
def evaluate_emoji(
    model: TextToImage, judge: PictureClassifier, data: datasets.Emoji, *, seeds: int = 20, every: int = 1
) -> tuple[dict[str, Any], Tensor]:
    """For each of `PROMPTS`: for how many seeds its name is the judge's first answer, and among its first five; then
    `evaluate_prompts` and `evaluate_people`.

    Returns: the numbers for the card, and the pictures of `PROMPTS`, ``seeds`` a row, nothing left out.
    """
    asked = [prompt for prompt in PROMPTS for _ in range(seeds)]
    pictures = draw(model, asked, list(range(seeds)) * len(PROMPTS))
    five = judge(pictures)[0].topk(5).indices.reshape(len(PROMPTS), seeds, 5)
    counts = {}
    for prompt, row in zip(PROMPTS, five, strict=True):
        right = row == judge.answers["name"].index(prompt)
        counts[prompt] = {"top1": int(right[:, 0].sum()), "top5": int(right.any(1).sum())}
    settings = {name: model.default(name) for name in ("sampler", "steps", "guidance", "style")}
    measured = {"seeds": seeds, **settings, "prompts": counts, "people": evaluate_people(model, judge)}
    return measured | {
        "names_styles_backgrounds": evaluate_prompts(model, judge, data, Asked.of(judge.answers, every))
    }, tile(pictures, seeds)


def choose_guidance(
    model: TextToImage,
    judge: PictureClassifier,
    data: datasets.Emoji,
    scales: Sequence[float],
    styles: Sequence[float],
    *,
    every: int,
) -> dict[tuple[float, float], dict[str, Any]]:
    """`evaluate_prompts` at each guidance scale with each weight of the style, on names and a seed that
    `evaluate_emoji` with the same ``every`` > 1 does not score; "score", to choose by, is the mean of the shares of
    names (first five), styles and backgrounds.
    """
    asked = Asked.of(judge.answers, every, first=every // 2, seeds=(100,))
    table = {}
    for scale, style in product(scales, styles):
        defaults = {**model.card.defaults, "guidance": scale, "style": style}
        measured = evaluate_prompts(replace(model, card=replace(model.card, defaults=defaults)), judge, data, asked)
        shares = (measured["name"]["all"]["top5"], measured["style"]["all"]["top1"], measured["background_within_0.1"])
        table[scale, style] = {"score": round(sum(shares) / 3, 4), **measured}
    return table


# ---- the FashionMNIST models


@torch.no_grad()
def evaluate_fashion(
    model: ClassToImage, judge: PictureClassifier, *, data: str | None, each: int = 100
) -> tuple[dict[str, Any], Tensor]:
    """``each`` samples of every class from seeds 0, 1, ... beside as many real test pictures.

    right: the share that the judge reads as their class. diversity: the mean distance in the judge's features between
    two samples of a class, over that between two real pictures of it. frechet: the Frechet distance in those features
    between samples and real pictures; frechet_real: between those real pictures and as many others, its floor. A model
    that is told no class is not asked whether it is right, and its diversity is that of all its samples.

    Raises: ValueError if there are not twice as many test pictures of every class, or fewer than 2 are asked for.
    Returns: the numbers for the card, and the first 20 samples of every class, a row each.
    """
    images, labels = datasets.fashion("test", data)
    rows = [torch.nonzero(labels == c).flatten() for c in range(10)]
    most = min(map(len, rows)) // 2
    if not 2 <= each <= most:
        raise ValueError(f"wanted 2 to {most} samples of a class, half as many as there are test pictures, got {each}")
    real, other = (torch.cat([row[first : first + each] for row in rows]) for first in (0, each))
    label = torch.arange(10).repeat_interleave(each)
    samples = []
    for start in tqdm(range(0, len(label), 100), desc="samples"):
        told = label[start : start + 100].tolist()
        *_, last = model.stream(told if model.classes else None, len(told), seed=start)
        samples.append(last.x_next.cpu().clamp(-1, 1))
    x = torch.cat(samples)
    features = judge.features(x).double().numpy()
    true, rest = (judge.features(images[i].float() / 127.5 - 1).double().numpy() for i in (real, other))
    measured: dict[str, Any] = {"samples": len(x), "frechet": frechet_distance(features, true)}
    measured["frechet_real"] = frechet_distance(rest, true)
    if model.classes:
        measured["right"] = (judge(x)[0].argmax(1) == label).double().mean().item()
        measured["diversity"] = spread(features, each) / spread(true, each)
    else:
        measured["diversity"] = spread(features, len(x)) / spread(true, len(x))
    measured = {key: round(value, 4) for key, value in measured.items()}
    return measured | dict(model.card.defaults), tile(
        x.reshape(10, each, *x.shape[1:])[:, :20].flatten(0, 1), min(each, 20)
    )


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^1/2) between Gaussians fitted to two sets of features, (N, D) each.

    Source: Heusel et al. (2017), arXiv 1706.08500, equation 6.
    """
    (mean_a, cov_a), (mean_b, cov_b) = ((x.mean(0), np.atleast_2d(np.cov(x, rowvar=False))) for x in (a, b))
    # The eigenvalues of S_a S_b are those of the symmetric S_a^1/2 S_b S_a^1/2, which is safe to compute.
    value, vector = np.linalg.eigh(cov_a)
    root = vector * np.sqrt(value.clip(min=0)) @ vector.T
    mixed = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(min=0)).sum()
    return float(((mean_a - mean_b) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * mixed)


def spread(features: np.ndarray, each: int) -> float:
    """Mean distance between two different rows of one group, groups being ``each`` rows long; features (N, D)."""
    groups = torch.from_numpy(features).reshape(-1, each, features.shape[1])
    return float(torch.cdist(groups, groups).sum() / (len(groups) * each * (each - 1)))


# ---- the command


def training(recipe: str, data: str | None, folder: Path | None = None) -> Run:
    """A training for what it measures at its end, not run: of the weights in ``folder``, or of any given ones."""
    return prepare_run(RECIPES[recipe], data=data, out=Path("runs"), resume=folder, device=torch.device("cpu"))


def emoji(folder: Path, judge: PictureClassifier, options: argparse.Namespace) -> tuple[dict[str, Any], Tensor]:
    model, data = TextToImage.load(folder), datasets.emoji(options.data)
    vae, _ = weights.load(f"{folder}/vae")
    parts = {"vae_on_unseen_pictures": training("emoji-vae", options.data).measure(vae)}
    if (folder / "image_encoder").is_dir():
        run = training("emoji-clip", options.data, folder)
        parts["clip_on_unseen_pictures"] = run.measure(run.network.eval())
    measured, picture = evaluate_emoji(model, judge, data, seeds=options.seeds or 20, every=options.every)
    return measured | parts, picture


def fashion(folder: Path, judge: PictureClassifier, options: argparse.Namespace) -> tuple[dict[str, Any], Tensor]:
    return evaluate_fashion(ClassToImage.load(folder), judge, data=options.data, each=options.seeds or 100)


EVALUATIONS: Mapping[str, Callable[..., tuple[dict[str, Any], Tensor]]] = {
    "emoji": emoji, "fashion": fashion, "fashion-oneshot": fashion,
}  # fmt: skip


def main(argv: list[str]) -> None:
    parser = Parser(prog="python -m core.training evaluate", description=__doc__)
    parser.add_argument("model", choices=EVALUATIONS)
    parser.add_argument("--folder", type=Path, help="where the model is; default: the embedded one")
    parser.add_argument(
        "--classifier", type=Path, help="the judge; default: the embedded one, or what its recipe wrote"
    )
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument(
        "--seeds", type=bounded(int, least=1), help="pictures of each prompt (20) or of each class (100, at most 500)"
    )
    parser.add_argument(
        "--every", type=bounded(int, least=1), default=1, help="emoji: ask for every how many-th of all names"
    )
    parser.add_argument(
        "--guidance", type=bounded(float), nargs="+", metavar="S",
        help="emoji: compare these scales on other names and another seed than the same --every scores; writes nothing",
    )  # fmt: skip
    parser.add_argument(
        "--style",
        type=bounded(float),
        nargs="+",
        metavar="K",
        help="emoji: compare these weights of the style at each of those",
    )
    options = parser.parse_args(argv)
    if options.style and not options.guidance:
        parser.error("--style compares at the scales that --guidance gives: give both")
    if options.guidance and (options.model != "emoji" or options.every < 2):
        parser.error("--guidance compares scales of emoji, on names that are not scored: give --every 2 or more")
    folder = options.folder or weights.resolve(options.model)
    recipe = f"{options.model.split('-')[0]}-classifier"
    usual = (weights.resolve(options.model), Path("runs") / RECIPES[recipe].model)
    places = [options.classifier] if options.classifier else [root / "classifier" for root in usual]
    found = next((place for place in places if (place / "config.json").is_file()), None)
    if found is None:
        raise ValueError(
            f"wanted a judge, there is none in {' or '.join(map(str, places))}: train one with "
            f"`python -m core.training {recipe} --data DATA`, or say by --classifier which folder has it"
        )
    judge, _ = weights.load_classifier(found)
    if options.guidance:
        model, data = TextToImage.load(folder), datasets.emoji(options.data)
        styles = [model.default("style")] if options.style is None else options.style
        table = choose_guidance(model, judge, data, options.guidance, styles, every=options.every)
        for (scale, style), row in table.items():
            print(f"guidance {scale:g}, style {style:g}: {json.dumps(row)}")
        return
    judged = training(recipe, options.data).measure(judge)
    measured, picture = EVALUATIONS[options.model](folder, judge, options)
    measured |= {"classifier_on_unseen_real_pictures": judged}
    print(json.dumps(measured, indent=2))
    write_picture(folder / "sheet.png", picture)
    card = weights.read_model_card(folder)
    weights.write_json(folder / "card.json", asdict(replace(card, name=options.model, measured=measured, files={})))
