"""How good a text-to-image model is, by a classifier that was trained on real pictures alone."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from core import weights
from core.pipeline import TextToImage
from core.training.objectives import Classifier
from core.training.recipes import ClassifierConfig
from core.training.runs import tile, write_picture
from core.weights import Card

PROMPTS = ("red apple", "cat face", "rocket", "pizza", "blue heart")


def load_classifier(folder: Path) -> tuple[Classifier, list[str], list[str], Card]:
    """The judge, the names and styles it tells apart, and its card."""
    config = weights.read_json(folder / "config.json")
    names, styles = config.pop("names"), config.pop("styles")
    state = weights.read_state(folder)
    backgrounds = len(state["head.bias"]) - len(names) - len(styles)
    classifier = Classifier(weights.read_config(ClassifierConfig, config), len(names), len(styles), backgrounds)
    weights.fill(classifier, state, folder)
    return classifier.eval(), names, styles, weights.read_card(folder)


@torch.no_grad()
def sheet(model: TextToImage, prompts: tuple[str, ...], seeds: int) -> Tensor:
    """Every prompt from seeds 0 to ``seeds - 1``, nothing left out: (prompts * seeds, 3, H, W) in [-1, 1]."""
    rows = []
    for prompt in tqdm(prompts, desc="sheet"):
        *_, last = model.stream(prompt, seed=0, batch=seeds)
        rows.append(model.decode(last.x_next))
    return torch.cat(rows)


@torch.no_grad()
def evaluate(
    model: TextToImage, judge: Classifier, names: list[str], *, seeds: int = 20
) -> tuple[dict[str, Any], Tensor]:
    """For each of `PROMPTS`: for how many seeds its name is the judge's first answer, and among its first five.

    Returns: the numbers for the card, and the pictures they were counted on.
    """
    pictures = sheet(model, PROMPTS, seeds)
    answers, _, _ = judge(pictures.cpu())
    five = answers.topk(5).indices.reshape(len(PROMPTS), seeds, 5)
    counts = {}
    for prompt, row in zip(PROMPTS, five, strict=True):
        right = row == names.index(prompt)
        counts[prompt] = {"top1": int(right[:, 0].sum()), "top5": int(right.any(1).sum())}
    return {"seeds": seeds, "prompts": counts}, pictures


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m core.training evaluate", description=__doc__)
    parser.add_argument("model", help="an embedded model, or a model folder")
    parser.add_argument("--classifier", type=Path, default=Path("runs/classifier/classifier"))
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args(argv)
    folder = weights.resolve(options.model)
    model = TextToImage.load(folder)
    judge, names, _, card = load_classifier(options.classifier)
    measured, pictures = evaluate(model, judge, names, seeds=options.seeds)
    measured |= {
        "sampler": model.default("sampler"),
        "steps": model.default("steps"),
        "guidance": model.default("guidance"),
        "classifier_on_unseen_real_pictures": card.measured,
    }
    print(json.dumps(measured, indent=2))
    write_picture(folder / "sheet.png", tile(pictures, options.seeds))
    weights.write_json(folder / "card.json", asdict(replace(model.card, measured=measured)))
