"""A U-Net between two trainings, of which the second went on from the first with other pictures.

What was learned last wears down what was known before. Halfway between the two, most of both is there.
"""

from dataclasses import replace
from pathlib import Path

import torch

from core import weights
from core.training.commands import Parser, bounded
from core.training.recipes import RECIPES
from core.training.runs import prepare_run, write_picture


def average(first: Path, second: Path, data: str | None, out: Path, *, share: float) -> None:
    """Write the U-Net (1 - share) ``first`` + share ``second``, number by number, into the model folder ``out``.

    data: what `prepare` wrote, on which its losses are measured, for its card.
    Raises: ValueError if share is not from 0 to 1, the two are not of one build, or ``out`` is one of them.
    Source: Wortsman et al. (2022), arXiv 2109.01903, "WiSE-FT".
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share of the second must be from 0 to 1, got {share}")
    if out.resolve() in (first.resolve(), second.resolve()):
        raise ValueError(f"{out} would lose its own weights: give another --out")
    if weights.read_json(first / "unet/config.json") != weights.read_json(second / "unet/config.json"):
        raise ValueError(f"{first} and {second} are not of one build: their unet/config.json differ")
    (before, old), new = weights.load(f"{first}/unet"), weights.read_card(second / "unet")
    recipe = RECIPES["emoji-unet"]
    job = prepare_run(recipe, data=data, out=out, resume=second, device=torch.device("cpu"))
    with torch.no_grad():
        for mine, other in zip(job.network.parameters(), before.parameters(), strict=True):
            mine.copy_(other.lerp(mine, share))
    told = {"share": share, "with": {"steps": old.steps, "pictures": old.pictures, "seed": old.seed}}
    measured = job.measure(job.network.eval())
    print(f"{recipe.name}: {measured}")
    job.save(job.network, replace(new, recipe={**new.recipe, "averaged": told}, measured=measured))
    if job.sheet:
        write_picture(out / f"{recipe.name}.png", job.sheet(job.network))


def main(argv: list[str]) -> None:
    parser = Parser(prog="python -m core.training average", description=__doc__)
    parser.add_argument("first", type=Path, help="model folder that training went on from")
    parser.add_argument("second", type=Path, help="model folder that it wrote")
    parser.add_argument("--share", type=bounded(float), default=0.5, help="of the second")
    parser.add_argument("--data", help="what `prepare` wrote")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/emoji-average"), help="model folder to write the U-Net into"
    )
    options = parser.parse_args(argv)
    average(options.first, options.second, options.data, options.out, share=options.share)
