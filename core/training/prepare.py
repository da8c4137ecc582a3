"""Pictures and captions, once through the frozen VAE and text tower, so that a U-Net can train on what comes out.

What is written is all that training needs, in one folder that can travel to a bare GPU machine:
``prepared.safetensors`` and the VAE, to draw sample sheets with.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from core import datasets, weights
from core.training import batches
from core.training.commands import Parser, bounded
from core.training.loop import bf16_units

SHEET = ("red apple", "cat face", "rocket", "pizza", "blue heart", "red apple, on a blue background", "house", "fish")
# Groups that the judge of `evaluate` reads least often come more often.
WEIGHTS = {
    "Animals and nature": 2.0, "People": 2.0, "Objects": 1.5, "Activities and events": 1.5, "Travel and places": 1.5,
    "Smileys and emotions": 1.5,
}  # fmt: skip
# A picture nearly always in its place is learnt far sooner than one that may be anywhere: its mean stays sharp.
MOVE = 0.25


@dataclass(frozen=True)
class Prepared:
    """Latents with captions.

    latents: float16 (N, C, h, w), unit variance per channel. picture: (N,), which picture each shows, -1 for
    one that `compose` drew. weight: (N,), how often it is trained on, relative to the others.
    caption: (N, V) numbers of the captions that fit it. states: float16 (M, D), the token states of all captions, one
    after the other, start to end mark. ids: (M,), their token ids. offset: (captions + 1,), where each begins.
    Caption 0 is empty; those after it are `SHEET`.
    """

    latents: Tensor
    picture: Tensor
    weight: Tensor
    caption: Tensor
    states: Tensor
    ids: Tensor
    offset: Tensor

    def context(self, captions: Tensor, length: int = 77) -> Tensor:
        """Token states of captions (B,), with zeros after the end mark: float32 (B, length, D)."""
        first, last = self.offset[captions], self.offset[captions + 1]
        place = torch.arange(length, device=first.device)
        inside = place < (last - first)[:, None]
        rows = (first[:, None] + place).clamp(max=len(self.states) - 1)
        return self.states[rows].float() * inside[:, :, None]

    def to(self, device: torch.device) -> "Prepared":
        return Prepared(**{name: value.to(device) for name, value in vars(self).items()})


def read(folder: str | Path) -> Prepared:
    """Read what `prepare` wrote.

    Raises: ValueError if it is not there or damaged.
    """
    file = Path(folder) / "prepared.safetensors"
    if not file.is_file():
        raise ValueError(
            f"{file} is missing: run `python -m core.training prepare` first and give its folder as --data"
        )
    try:
        return Prepared(**load_file(file))
    except (SafetensorError, TypeError) as error:
        raise ValueError(f"{file} is not what `python -m core.training prepare` writes: {error}") from None


def denoising_batches(
    data: Prepared, batch: int, generator: torch.Generator, *, empty: float = 0.1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Random (latents (B, C, h, w), context (B, 24, D)); the share ``empty`` of captions is left out, for guidance.

    Source: Ho & Salimans (2022), arXiv 2207.12598, algorithm 1.
    """
    variants, weight = data.caption.shape[1], data.weight.cpu()
    while True:
        row = torch.multinomial(weight, batch, replacement=True, generator=generator).to(data.latents.device)
        column = torch.randint(variants, (batch,), generator=generator).to(row)
        unsaid = torch.rand(batch, generator=generator) < empty
        captions = data.caption[row, column].masked_fill(unsaid.to(row.device), 0)
        yield data.latents[row].float(), data.context(captions, batches.LONGEST_CAPTION)


@torch.no_grad()
def prepare(data: str | None, model: Path, out: Path, *, variants: int, captions: int, seed: int = 0) -> None:
    """Write ``variants`` latents of each picture, over other backgrounds, and ``captions`` texts for each."""
    vae, _ = weights.load(f"{model}/vae")
    text, _ = weights.load(f"{model}/text_encoder")
    batches.read_captions_only(text.tower)
    emoji = datasets.emoji(data)
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    said: dict[str, int] = {prompt: i for i, prompt in enumerate(("", *SHEET))}
    latents, pictures, numbers = [], [], []
    for _ in range(variants):
        for which in tqdm(torch.arange(len(emoji.images)).split(128), desc="latents"):
            x, which, ground = next(
                batches.pictures(emoji.images, 0, generator, flip=False, white=0.3, chosen=which, every=True, move=MOVE)
            )
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16_units()):
                latents.append(vae.encode(x).half())
            pictures.append(which.int())
            texts = [batches.captions(emoji, which, ground, rng) for _ in range(captions)]
            numbers.append(
                torch.tensor([[said.setdefault(t, len(said)) for t in row] for row in zip(*texts, strict=True)])
            )
    ids, states, lengths = [], [], []
    for some in tqdm(torch.arange(len(said)).split(512), desc="captions"):
        tokens, state, length = token_states(text, [list(said)[i] for i in some.tolist()])
        ids.append(tokens)
        states.append(state)
        lengths.append(length)
    offset = torch.cat([torch.zeros(1, dtype=torch.int64), torch.cat(lengths).cumsum(0)])
    prepared = Prepared(
        torch.cat(latents),
        torch.cat(pictures),
        torch.tensor([WEIGHTS.get(group, 1.0) for group in emoji.groups]).repeat(variants),
        torch.cat(numbers).int(),
        torch.cat(states),
        torch.cat(ids),
        offset,
    )
    with weights.replacing(out / "vae") as folder, weights.replacing(out / "prepared.safetensors") as file:
        shutil.copytree(model / "vae", folder)
        save_file(vars(prepared), file)
    size = (out / "prepared.safetensors").stat().st_size / 2**20
    print(f"{len(prepared.latents)} latents, {len(said)} captions, {size:.0f} MiB in {out}")


def token_states(text, prompts: list[str]) -> tuple[Tensor, Tensor, Tensor]:
    """(ids (M,), states (M, D), lengths (B,)) of prompts, without the places after the end marks."""
    from core.text import token_ids

    ids = token_ids(prompts, batches.LONGEST_CAPTION)
    lengths = ids.argmax(dim=1) + 1
    inside = torch.arange(ids.shape[1]) < lengths[:, None]
    return ids[inside].int(), text.states(ids)[inside].half(), lengths


def main(argv: list[str]) -> None:
    parser = Parser(prog="python -m core.training prepare", description=__doc__)
    parser.add_argument("--data", help="folder of the emoji pictures")
    parser.add_argument("--model", type=Path, default=Path("runs/emoji"), help="model folder with vae and text_encoder")
    parser.add_argument("--out", type=Path, default=Path("runs/prepared"))
    parser.add_argument(
        "--variants", type=bounded(int, least=1), default=6, help="latents of each picture, with other backgrounds"
    )
    parser.add_argument("--captions", type=bounded(int, least=1), default=3, help="captions of each latent")
    parser.add_argument("--seed", type=bounded(int, least=0), default=0, help="of backgrounds, places and captions")
    options = parser.parse_args(argv)
    prepare(
        options.data, options.model, options.out,
        variants=options.variants, captions=options.captions, seed=options.seed,
    )  # fmt: skip
