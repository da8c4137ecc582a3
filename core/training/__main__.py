"""Train one part of a model: ``python -m core.training RECIPE``.

Before it, ``prepare`` and ``compose`` lay out what a U-Net learns from; after it, ``average`` keeps some of the weights
it started from, and ``evaluate`` scores a model.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed as dist
from tqdm import tqdm

from core.training import prepare
from core.training.commands import Parser, bounded
from core.training.loop import Progress, TrainConfig, device_of_this_process, fit
from core.training.recipes import RECIPES, Recipe
from core.weights import Card, read_card

EVERY = 60  # seconds between two savings: what an interrupted run loses at most


def main(argv: list[str] | None = None) -> None:
    parser = Parser(prog="python -m core.training", description=__doc__)
    parser.add_argument("recipe", choices=sorted(RECIPES), metavar="RECIPE", help=", ".join(sorted(RECIPES)))
    parser.add_argument("--data", help="folder of the data set, or of what `prepare` wrote")
    parser.add_argument("--out", type=Path, help="model folder to write into; default: runs/ and the model's name")
    parser.add_argument("--resume", type=Path, help="model folder whose weights to start from (optimiser starts anew)")
    parser.add_argument("--minutes", type=bounded(float, above=0), help="how long to train; default: the recipe's")
    parser.add_argument(
        "--batch", type=bounded(int, least=1), help="pictures a step on each device; default: the recipe's"
    )
    parser.add_argument("--lr", type=bounded(float, above=0), help="highest learning rate; default: the recipe's")
    parser.add_argument("--seed", type=bounded(int, least=0), default=0)
    parser.add_argument("--device", help="cpu, cuda, ...; default: a GPU if there is one")
    parser.add_argument(
        "--sheet-minutes", type=bounded(float, above=0), default=5, help="how often to draw a sample sheet"
    )
    parser.add_argument("--no-compile", action="store_true", help="skip torch.compile (quicker to start)")
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["prepare"]:
        prepare.main(arguments[1:])
    elif arguments[:1] == ["compose"]:
        from core.training import compose

        compose.main(arguments[1:])
    elif arguments[:1] == ["average"]:
        from core.training import average

        average.main(arguments[1:])
    elif arguments[:1] == ["evaluate"]:
        from core.training import evaluate

        evaluate.main(arguments[1:])
    else:
        run(parser.parse_args(arguments))


def run(options: argparse.Namespace) -> None:
    from core.training.runs import prepare_run, write_picture

    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = device_of_this_process(options.device)
    if world > 1:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    before = read_card(options.resume / RECIPES[options.recipe].part) if options.resume else None
    fresh = options.seed + rank + (before.steps if before else 0)  # what goes on draws other pictures and noises
    torch.manual_seed(fresh)
    given = {key: getattr(options, key) for key in ("minutes", "batch") if getattr(options, key) is not None}
    recipe: Recipe = replace(RECIPES[options.recipe], seed=fresh, **given)
    if options.lr is not None:
        recipe = replace(recipe, train=recipe.train | {"lr": options.lr})
    out = options.out or Path("runs") / recipe.model
    config = TrainConfig(minutes=recipe.minutes, compile=not options.no_compile, **recipe.train)
    job = prepare_run(recipe, data=options.data, out=out, resume=options.resume, device=device)

    recipe = replace(recipe, seed=options.seed)  # as the card says it
    saved = drawn = 0.0
    progress = None
    with tqdm(
        total=round(recipe.minutes * 60), unit="s", disable=rank > 0, bar_format="{l_bar}{bar:20}| {postfix}"
    ) as bar:
        for progress in fit(job.network, job.objective, job.batches, config):
            elapsed = recipe.minutes * 60 - progress.seconds_left
            bar.update(round(elapsed) - bar.n)
            bar.set_postfix_str(
                f"step {progress.step}  loss {progress.loss:.4f}  {progress.pictures_per_second:.0f} pictures/s  "
                f"{max(0, progress.seconds_left) / 60:.1f} min left",
                refresh=False,
            )
            if rank == 0 and elapsed - saved > EVERY:
                saved = elapsed
                job.save(progress.network, card(recipe, progress, world, before))
            if rank == 0 and job.sheet and elapsed - drawn > 60 * options.sheet_minutes:
                drawn = elapsed
                write_picture(out / f"{recipe.name}-{round(elapsed / 60):04d}.png", job.sheet(progress.network))
    if progress is None:
        raise ValueError(f"not one step fits into {recipe.minutes:g} minutes, nothing is saved: try --minutes 1")
    if rank == 0:
        measured = job.measure(progress.network)
        print(f"{recipe.name}: {progress.pictures} pictures, loss {progress.loss:.4f}, {measured}", flush=True)
        job.save(progress.network, card(recipe, progress, world, before, measured))
        if job.sheet:
            write_picture(out / f"{recipe.name}.png", job.sheet(progress.network))
    if world > 1:
        dist.destroy_process_group()


def card(
    recipe: Recipe, progress: Progress, world: int, before: Card | None, measured: Mapping[str, Any] | None = None
) -> Card:
    """What a part's ``card.json`` says; steps and pictures count those of the card that training went on from, too."""
    settings = asdict(recipe)
    told = {key: settings[key] for key in ("network", "train", "batch", "minutes", "late", "unpooled")} | {
        "processes": world
    }
    if before is not None:
        told["resumed_from"] = {"steps": before.steps, "pictures": before.pictures, "recipe": before.recipe}
    return Card(
        name=recipe.name,
        recipe=told,
        steps=progress.step + (before.steps if before else 0),
        pictures=progress.pictures + (before.pictures if before else 0),
        seed=recipe.seed,
        measured={"loss": round(progress.loss, 5), **(measured or {})},
        defaults=recipe.defaults,
    )


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:  # what was given cannot be used, or a file is not there
        sys.exit(f"python -m core.training: {error}")
