"""How good a model is, by a classifier that was trained on real pictures alone."""

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from core import datasets, weights
from core.pipeline import ClassToImage, TextToImage, network_denoiser, sampling_plan
from core.samplers import named_sampler
from core.training.objectives import Classifier
from core.training.recipes import ClassifierConfig
from core.training.runs import tile, write_picture
from core.weights import Card

PROMPTS = ("red apple", "cat face", "rocket", "pizza", "blue heart")


def load_classifier(folder: Path) -> tuple[Classifier, Card]:
    """The judge, with the names of its answers, and its card."""
    config = dict(weights.read_json(folder / "config.json"))
    answers = config.pop("answers")
    classifier = Classifier(weights.read_config(ClassifierConfig, config), answers)
    weights.fill(classifier, weights.read_state(folder), folder)
    return classifier.eval(), weights.read_card(folder)


# ---- the emoji model


@torch.no_grad()
def draw_sheet(model: TextToImage, prompts: tuple[str, ...], seeds: int) -> Tensor:
    """Every prompt from seeds 0 to ``seeds - 1``, nothing left out: (prompts * seeds, 3, H, W) in [-1, 1]."""
    rows = []
    for prompt in tqdm(prompts, desc="sheet"):
        *_, last = model.stream(prompt, seed=0, batch=seeds)
        rows.append(model.decode(last.x_next))
    return torch.cat(rows)


@torch.no_grad()
def evaluate_emoji(model: TextToImage, judge: Classifier, *, seeds: int = 20) -> tuple[dict[str, Any], Tensor]:
    """For each of `PROMPTS`: for how many seeds its name is the judge's first answer, and among its first five.

    Returns: the numbers for the card, and the pictures they were counted on, ``seeds`` a row.
    """
    pictures = draw_sheet(model, PROMPTS, seeds)
    five = judge(pictures.cpu())[0].topk(5).indices.reshape(len(PROMPTS), seeds, 5)
    counts = {}
    for prompt, row in zip(PROMPTS, five, strict=True):
        right = row == judge.answers["name"].index(prompt)
        counts[prompt] = {"top1": int(right[:, 0].sum()), "top5": int(right.any(1).sum())}
    settings = {name: model.default(name) for name in ("sampler", "steps", "guidance")}
    return {"seeds": seeds, **settings, "prompts": counts}, tile(pictures, seeds)


@torch.no_grad()
def evaluate_names(model: TextToImage, judge: Classifier, every: int, batch: int = 32) -> dict[str, Any]:
    """Every ``every``-th name that the judge knows, drawn once, from seeds 0, 1, ...: how often it reads that name."""
    chosen = list(range(0, len(judge.answers["name"]), every))
    right = []
    for start in tqdm(range(0, len(chosen), batch), desc="names"):
        numbers = chosen[start : start + batch]
        context = model.text([judge.answers["name"][n] for n in numbers]).to(model.unet.conv_in.weight)
        denoiser = network_denoiser(
            model.unet, model.schedule, model.scheduler["prediction_type"], context, model.text([""]).to(context),
            model.default("guidance"),
        )  # fmt: skip
        c = model.unet.config
        x = torch.cat(
            [
                torch.randn(1, c.in_channels, c.sample_size, c.sample_size, generator=torch.Generator().manual_seed(i))
                for i in range(start, start + len(numbers))
            ]
        )
        times, scale = sampling_plan(model.scheduler, model.default("steps"))
        walk = named_sampler(model.default("sampler"))
        *_, last = walk(denoiser, model.schedule, scale * x.to(context.device), times)
        five = judge(model.decode(last.x_next).cpu())[0].topk(5).indices
        right.append(five == torch.tensor(numbers)[:, None])
    found = torch.cat(right)
    share = {"top1": found[:, 0].double().mean().item(), "top5": found.any(1).double().mean().item()}
    return {"names": len(chosen), **{key: round(value, 4) for key, value in share.items()}}


# ---- the FashionMNIST models


@torch.no_grad()
def evaluate_fashion(
    model: ClassToImage, judge: Classifier, *, data: str | None, each: int = 100
) -> tuple[dict[str, Any], Tensor]:
    """``each`` samples of every class from seeds 0, 1, ... beside as many real test pictures.

    right: the share that the judge reads as their class. diversity: the mean distance in the judge's features between
    two samples of a class, over that between two real pictures of it. frechet: the Frechet distance in those features
    between samples and real pictures; frechet_real: between those real pictures and as many others, its floor. A model
    that is told no class is not asked whether it is right, and its diversity is that of all its samples.

    Returns: the numbers for the card, and the first 20 samples of every class, a row each.
    """
    images, labels = datasets.fashion("test", data)
    rows = [torch.nonzero(labels == c).flatten() for c in range(10)]
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


def emoji(folder: Path, judge: Classifier, options: argparse.Namespace) -> tuple[dict[str, Any], Tensor]:
    model = TextToImage.load(folder)
    measured, picture = evaluate_emoji(model, judge, seeds=options.seeds or 20)
    return measured | {"one_picture_of_each_name": evaluate_names(model, judge, options.every)}, picture


def fashion(folder: Path, judge: Classifier, options: argparse.Namespace) -> tuple[dict[str, Any], Tensor]:
    return evaluate_fashion(ClassToImage.load(folder), judge, data=options.data, each=options.seeds or 100)


EVALUATIONS: Mapping[str, Callable[..., tuple[dict[str, Any], Tensor]]] = {
    "emoji": emoji, "fashion": fashion, "fashion-oneshot": fashion,
}  # fmt: skip


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m core.training evaluate", description=__doc__)
    parser.add_argument("model", choices=EVALUATIONS)
    parser.add_argument("--folder", type=Path, help="where the model is; default: the embedded one")
    parser.add_argument("--classifier", type=Path, help="the judge; default: what its recipe has written")
    parser.add_argument("--data", help="folder of the data set")
    parser.add_argument("--seeds", type=int, help="pictures of each prompt (20) or of each class (100)")
    parser.add_argument("--every", type=int, default=7, help="emoji: draw every how many-th of all names once")
    options = parser.parse_args(argv)
    folder = options.folder or weights.resolve(options.model)
    trained = Path("runs") / options.model.split("-")[0] / "classifier"
    judge, judge_card = load_classifier(options.classifier or trained)
    measured, picture = EVALUATIONS[options.model](folder, judge, options)
    measured |= {"classifier_on_unseen_real_pictures": judge_card.measured}
    print(json.dumps(measured, indent=2))
    write_picture(folder / "sheet.png", picture)
    card = weights.read_model_card(folder)
    weights.write_json(folder / "card.json", asdict(replace(card, name=options.model, measured=measured, files={})))
