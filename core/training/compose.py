"""Pictures of names in styles that no training picture shows, drawn by the model itself, for its U-Net to learn from.

A name is mostly drawn in the styles it is known in, whatever style is asked for. So here the style is pressed harder
than where pictures are drawn to be seen. Pairs that `evaluate` asks for are left out: no picture shows those.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from core import datasets
from core.denoiser import Denoiser
from core.pipeline import TextToImage
from core.training import batches, prepare
from core.training.commands import Parser, bounded
from core.training.evaluate import Asked, asking, walk
from core.training.runs import Labels, tile, write_picture
from core.weights import replacing

STEPS = 12


def missing(labels: Labels) -> list[tuple[int, int]]:
    """(name, style) that no picture shows and that `evaluate` does not ask for."""
    shown = set(zip(labels.name.tolist(), labels.style.tolist(), strict=True))
    asked = Asked.of(labels.answers)
    shown |= set(zip(asked.name.tolist(), asked.style.tolist(), strict=True))
    return [(n, s) for n in range(len(labels.names)) for s in range(len(labels.styles)) if (n, s) not in shown]


def draw(model: TextToImage, prompts: Sequence[str], seeds: Sequence[int], style: float) -> Tensor:
    """Latents (N, C, h, w) of prompts whose style is pressed with this weight; see `core.pipeline.network_denoiser`."""

    def ask(rows: range) -> Denoiser:
        return asking(model, [prompts[i] for i in rows], model.default("guidance"), style)

    return torch.cat(list(walk(model, ask, seeds, steps=STEPS)))


def compose(data: str | None, model: Path, folder: Path, *, each: int, press: float, often: float, seed: int) -> None:
    """Add ``each`` drawn pictures of every missing pair to what `prepare` wrote into ``folder``, and `compose` before.

    press: how much the style is pressed. often: how often a missing pair is trained on, relative to a shown one; its
    pictures share it, and those drawn before keep their part of what they were given. seed: another than before, or the
    same model draws the same pictures again.
    Raises: ValueError if nothing is missing.
    """
    emoji, prepared, pipeline = datasets.emoji(data), prepare.read(folder), TextToImage.load(model, device="cpu")
    labels, rng = Labels.of(emoji), np.random.default_rng(seed)
    pairs = [pair for pair in missing(labels) for _ in range(each)]
    if not pairs:
        raise ValueError("every name is shown in every style or asked for by `evaluate`: there is nothing to draw")
    ground = rng.choice(len(batches.COLOUR_NAMES), len(pairs), p=[0.3] + [0.7 / 9] * 9)
    name, style = torch.tensor(pairs).T
    asked = Asked(name, style, torch.from_numpy(ground), 10**6 * (1 + seed) + torch.arange(len(pairs)))
    pipeline.unet.to(memory_format=torch.channels_last)  # quicker, many at once
    latents = draw(pipeline, asked.prompts(labels.answers), asked.seed.tolist(), press)
    batches.read_captions_only(pipeline.text.tower)
    about = {n: i for i, n in enumerate(emoji.names)}  # a picture of each name: its keywords and group
    said: list[str] = []
    for n, s, g in zip(name.tolist(), style.tolist(), ground.tolist(), strict=True):
        i = about[labels.names[n]]
        loose = batches.LOOSE_BY_GROUP.get(emoji.groups[i], batches.LOOSE)
        words = (labels.names[n], emoji.keywords[i], labels.styles[s], batches.COLOUR_NAMES[g])
        said += [batches.caption(*words, rng, loose=loose) for _ in range(prepared.caption.shape[1])]
    ids, states, lengths = zip(
        *(prepare.token_states(pipeline.text, said[i : i + 512]) for i in range(0, len(said), 512)), strict=True
    )
    drawn = prepared.picture < 0
    variants = int((~drawn).sum()) / len(emoji.images)
    share = len(pairs) / (len(pairs) + int(drawn.sum()))  # of the pictures of a pair, those drawn now
    kept = torch.where(drawn, 1 - share, 1) * prepared.weight
    weights = torch.tensor([prepare.WEIGHTS.get(emoji.groups[about[labels.names[n]]], 1.0) for n in name.tolist()])
    before = len(prepared.offset) - 1
    more = replace(
        prepared,
        latents=torch.cat([prepared.latents, latents.half()]),
        picture=torch.cat([prepared.picture, torch.full((len(pairs),), -1, dtype=torch.int32)]),
        weight=torch.cat([kept, share * often * variants / each * weights]),
        caption=torch.cat([prepared.caption, before + torch.arange(len(said)).reshape(len(pairs), -1).int()]),
        states=torch.cat([prepared.states, *states]),
        ids=torch.cat([prepared.ids, *ids]),
        offset=torch.cat([prepared.offset, prepared.offset[-1] + torch.cat(lengths).cumsum(0)]),
    )
    with replacing(folder / "prepared.safetensors") as file:
        save_file(vars(more), file)
    some = torch.arange(60) * len(latents) // 60
    write_picture(folder / "drawn.png", tile(pipeline.decode(latents[some]).clamp(-1, 1), 15))
    print(f"{len(latents)} pictures of {len(pairs) // each} pairs added to {folder}")


def main(argv: list[str]) -> None:
    parser = Parser(prog="python -m core.training compose", description=__doc__)
    parser.add_argument("--data", help="folder of the emoji pictures")
    parser.add_argument("--model", type=Path, default=Path("runs/emoji"), help="model folder that draws")
    parser.add_argument("--out", type=Path, default=Path("runs/prepared"), help="what `prepare` wrote, to add to")
    parser.add_argument("--each", type=bounded(int, least=1), default=2, help="pictures of each missing pair")
    parser.add_argument(
        "--style", type=bounded(float), default=2.5, help="how much the style is pressed beside the prompt"
    )
    parser.add_argument(
        "--often", type=bounded(float, above=0), default=2.0, help="how often a pair is trained on; a shown one is 1"
    )
    parser.add_argument("--seed", type=bounded(int, least=0), default=0, help="of noises, backgrounds and captions")
    options = parser.parse_args(argv)
    compose(
        options.data, options.model, options.out,
        each=options.each, press=options.style, often=options.often, seed=options.seed,
    )  # fmt: skip
