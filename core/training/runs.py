"""What each recipe trains, on which batches, and how its result is saved and looked at."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from core import datasets, weights
from core.networks.classifier import PictureClassifier
from core.networks.unet import UNet
from core.networks.vae import VAE
from core.pipeline import class_context, network_denoiser
from core.samplers import SAMPLERS
from core.schedule import NoiseSchedule
from core.scheduler import noise_schedule
from core.training import batches, prepare
from core.training.loop import Denoising
from core.training.objectives import Classification, Contrast, Reconstruction
from core.training.recipes import CLIPConfig, Recipe
from core.weights import Card

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Run:
    """A training ready to start.

    network: whose running mean is kept. objective: holds it, and returns the loss of a batch.
    save: writes network and card. sheet: a picture (3, H, W) in [-1, 1] to look at. measure: numbers for the card.
    """

    network: nn.Module
    objective: nn.Module
    batches: Iterator[tuple[Tensor, ...]]
    save: Callable[[Any, Card], None]
    sheet: Callable[[Any], Tensor] | None = None
    measure: Callable[[Any], dict[str, Any]] = lambda network: {}


def prepare_run(recipe: Recipe, *, data: str | None, out: Path, resume: Path | None, device: torch.device) -> Run:
    """Build the network of ``recipe`` (from the weights in ``resume`` if given) and its batches.

    Raises: ValueError or FileNotFoundError if the data or the weights are not there or do not fit.
    """
    return BUILDERS[recipe.name](recipe, data, out, resume, device)


def held_out(n: int, every: int = 50) -> tuple[Tensor, Tensor]:
    """(seen, unseen) picture numbers: every 50th is kept for measuring."""
    number = torch.arange(n)
    return number[number % every != 7], number[number % every == 7]


def emoji_vae(recipe: Recipe, data: str | None, out: Path, resume: Path | None, device: torch.device) -> Run:
    generator = torch.Generator().manual_seed(recipe.seed)
    emoji = datasets.emoji(data)
    images = emoji.images.to(device)
    vae = network_of(VAE(recipe.network), resume, "vae").to(device).to(memory_format=torch.channels_last)
    seen, unseen = held_out(len(images))
    stream = batches.pictures(images, recipe.batch, generator, flip=True, white=0.3, chosen=seen)
    fixed = torch.Generator().manual_seed(1)
    test, _, _ = next(batches.pictures(images, 0, fixed, flip=False, white=0.3, chosen=unseen, every=True))

    @torch.no_grad()
    def measure(network: VAE) -> dict[str, Any]:
        y = torch.cat([network.reconstruct(network.moments(x)[0]).clamp(-1, 1) for x in test.split(64)])
        psnr = 10 * torch.log10(4 / (y - test).square().mean((1, 2, 3)))
        return {"psnr_unseen_db": round(psnr.mean().item(), 2), "unseen_pictures": len(test)}

    @torch.no_grad()
    def sheet(network: VAE) -> Tensor:
        y = network.reconstruct(network.moments(test[:24])[0]).clamp(-1, 1)
        return tile(torch.cat([test[:12], y[:12], test[12:24], y[12:]]), 12)

    def save(network: VAE, card: Card) -> None:
        # Latents of unit variance per channel, as the U-Net's noise schedule takes them to be.
        with torch.no_grad():
            z = torch.cat([network.moments(next(stream)[0].to(device))[0] for _ in range(16)])
        statistics = {
            "latents_mean": [round(v, 5) for v in z.mean((0, 2, 3)).tolist()],
            "latents_std": [round(v, 5) for v in z.std((0, 2, 3)).tolist()],
        }
        config = asdict(recipe.network) | statistics | {"_class_name": "AutoencoderKL"}
        weights.save(out / "vae", config, network.state_dict(), card)

    only_pictures = ((x.to(memory_format=torch.channels_last),) for x, _, _ in stream)
    return Run(vae, Reconstruction(vae), only_pictures, save, sheet, measure)


def emoji_clip(recipe: Recipe, data: str | None, out: Path, resume: Path | None, device: torch.device) -> Run:
    from open_clip.model import CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP

    from core.text import TextConfig, TextEncoder, token_ids, transformers_names, whitening

    c: CLIPConfig = recipe.network
    vision = CLIPVisionCfg(
        layers=c.vision_layers, width=c.vision_width, patch_size=c.patch_size, image_size=c.image_size
    )
    text = CLIPTextCfg(width=c.text_width, heads=c.text_heads, layers=c.text_layers)
    clip = CustomTextCLIP(c.embed_dim, vision, text)
    known = torch.zeros(c.vocab_size, dtype=torch.bool)
    known[0] = True
    if resume is not None:
        weights.fill(clip.visual, weights.read_state(resume / "image_encoder"), resume / "image_encoder")
        encoder, _ = weights.load(f"{resume}/text_encoder")
        clip.text.load_state_dict(encoder.tower.state_dict())
        known |= encoder.known
        clip.logit_scale.data.fill_(weights.read_json(resume / "image_encoder" / "config.json")["logit_scale"])
    batches.read_captions_only(clip.text)
    clip.to(device)
    emoji = datasets.emoji(data)
    images = emoji.images.to(device)
    generator, rng = torch.Generator().manual_seed(recipe.seed), np.random.default_rng(recipe.seed)
    seen, unseen = held_out(len(images))

    def stream(pool: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for x, which, ground in batches.pictures(images, recipe.batch, generator, flip=False, white=0.3, chosen=pool):
            ids = token_ids(batches.captions(emoji, which, ground, rng), batches.LONGEST_CAPTION)
            yield x, ids.to(device)

    def noted(pairs: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        for x, ids in pairs:  # which rows of the vocabulary a caption has used
            known[ids.flatten().cpu()] = True
            yield x, ids

    pairs = noted(stream(seen))

    def save(network: CustomTextCLIP, card: Card) -> None:
        config = TextConfig(
            hidden_size=c.text_width, intermediate_size=4 * c.text_width, num_hidden_layers=c.text_layers,
            num_attention_heads=c.text_heads, projection_dim=c.embed_dim, zero_after_end=True,
            add_embeddings=True,
        )  # fmt: skip
        state = transformers_names(network.text, known)
        encoder = TextEncoder.from_state(asdict(config), state)
        batches.read_captions_only(encoder.tower)
        ids = torch.cat([next(pairs)[1].cpu() for _ in range(-(-4096 // recipe.batch))])
        state |= whitening(encoder.states(ids)[ids != 0])
        config = asdict(replace(config, whiten=True)) | {"_class_name": "CLIPTextModel"}
        weights.save(out / "text_encoder", config, state, card)
        tower = asdict(vision) | {"embed_dim": c.embed_dim, "logit_scale": network.logit_scale.item()}
        weights.save(out / "image_encoder", tower, network.visual.state_dict(), card)

    @torch.no_grad()
    def measure(network: CustomTextCLIP) -> dict[str, Any]:
        """Of 164 pictures that were never trained on: how often a picture finds its own name among all names."""
        names = sorted(set(emoji.names))
        fixed = torch.Generator().manual_seed(1)
        x, which, _ = next(batches.pictures(images, 0, fixed, flip=False, white=1.0, chosen=unseen, every=True))
        words = torch.cat(
            [
                network.encode_text(ids.to(device), normalize=True)
                for ids in token_ids(names, batches.LONGEST_CAPTION).split(128)
            ]
        )
        ranks = (network.encode_image(x, normalize=True) @ words.T).argsort(dim=1, descending=True)
        right = torch.tensor([names.index(emoji.names[i]) for i in which.tolist()]).to(device)
        place = (ranks == right[:, None]).int().argmax(dim=1)
        share = {f"unseen_picture_to_name_top{k}": round((place < k).float().mean().item(), 4) for k in (1, 5)}
        return share | {"names": len(names), "known_tokens": int(known.sum())}

    return Run(clip, Contrast(clip), pairs, save, None, measure)


def emoji_unet(recipe: Recipe, data: str | None, out: Path, resume: Path | None, device: torch.device) -> Run:
    prepared = prepare.read(data or "runs/prepared").to(device)
    vae, _ = weights.load(f"{data or 'runs/prepared'}/vae")
    vae.to(device)
    schedule = noise_schedule(recipe.scheduler)
    generator = torch.Generator().manual_seed(recipe.seed)
    unet = network_of(UNet(recipe.network), resume, "unet").to(device).to(memory_format=torch.channels_last)
    contexts = prepared.context(torch.arange(1 + len(prepare.SHEET), device=device))
    stream = prepare.denoising_batches(prepared, recipe.batch, generator)

    def sheet(network: UNet) -> Tensor:
        context, empty = contexts[1:].repeat_interleave(3, 0), contexts[:1]
        return tile(vae.decode(draw(network, recipe, schedule, context, empty)), 12)

    def save(network: UNet, card: Card) -> None:
        save_denoiser(out, recipe, network, card)

    denoising = partial(Denoising, schedule=schedule, prediction=recipe.scheduler["prediction_type"], late=recipe.late)

    @torch.no_grad()
    def measure(network: UNet) -> dict[str, Any]:
        """What the words do: the loss on the same noised pictures with their caption, with it by cross-attention alone,
        with none, with another's."""
        fixed = torch.Generator().manual_seed(1)
        z, own = next(prepare.denoising_batches(prepared, 512, fixed, empty=0))
        objective = denoising(network, generator=fixed)
        noised = objective.draw(z)
        none = contexts[:1, : own.shape[1]].expand_as(own)
        yes, no = torch.tensor([True, False], device=device)[:, None].expand(2, len(z))
        told = {
            "own_caption": (own, yes),
            "own_caption_by_attention_alone": (own, no),
            "no_caption": (none, yes),
            "another_caption": (own.roll(1, 0), yes),
        }
        losses = {
            name: [objective(*part).item() for part in zip(*(x.split(64) for x in (*noised, *words)), strict=True)]
            for name, words in told.items()
        }
        return {f"loss_with_{name}": round(sum(parts) / len(parts), 4) for name, parts in losses.items()}

    return Run(unet, denoising(unet, unpooled=recipe.unpooled), stream, save, sheet, measure)


def fashion_unet(recipe: Recipe, data: str | None, out: Path, resume: Path | None, device: torch.device) -> Run:
    images, labels = (x.to(device) for x in datasets.fashion("train", data))
    schedule = noise_schedule(recipe.scheduler)
    generator = torch.Generator().manual_seed(recipe.seed)
    unet = network_of(UNet(recipe.network), resume, "unet").to(device).to(memory_format=torch.channels_last)
    classes = recipe.network.cross_attention_dim - 1  # 0 for a network that is told no class

    def stream() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            row = torch.randint(len(images), (recipe.batch,), generator=generator).to(device)
            unsaid = torch.rand(recipe.batch, generator=generator) < 0.1
            label = labels[row].clamp(max=classes).masked_fill(unsaid.to(device), classes)
            yield images[row].float() / 127.5 - 1, class_context(label, classes)

    def sheet(network: UNet) -> Tensor:
        label = torch.arange(10, device=device).clamp(max=classes).repeat(4)
        empty = class_context(torch.tensor([classes], device=device), classes)
        return tile(draw(network, recipe, schedule, class_context(label, classes), empty).clamp(-1, 1), 10)

    def save(network: UNet, card: Card) -> None:
        save_denoiser(out, recipe, network, card)

    return Run(unet, Denoising(unet, schedule, recipe.scheduler["prediction_type"]), stream(), save, sheet)


def fashion_classifier(recipe: Recipe, data: str | None, out: Path, resume: Path | None, device: torch.device) -> Run:
    images, labels = (x.to(device) for x in datasets.fashion("train", data))
    unseen, right = (x.to(device) for x in datasets.fashion("test", data))
    judge = PictureClassifier(recipe.network, {"name": datasets.FASHION_CLASSES})
    judge = network_of(judge, resume, "classifier").to(device)
    generator = torch.Generator().manual_seed(recipe.seed)

    def stream() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            row = torch.randint(len(images), (recipe.batch,), generator=generator).to(device)
            x = images[row].float() / 127.5 - 1
            mirror = (torch.rand(recipe.batch, generator=generator) < 0.5).to(device)[:, None, None, None]
            yield torch.where(mirror, x.flip(-1), x), labels[row]

    @torch.no_grad()
    def measure(network: PictureClassifier) -> dict[str, Any]:
        network.eval()
        answers = torch.cat([network(x.float() / 127.5 - 1)[0].argmax(1) for x in unseen.split(500)])
        return {"unseen_pictures": len(unseen), "name_top1": round((answers == right).float().mean().item(), 4)}

    def save(network: PictureClassifier, card: Card) -> None:
        save_classifier(out, recipe, network, card)

    return Run(judge, Classification(judge), stream(), save, None, measure)


def emoji_classifier(recipe: Recipe, data: str | None, out: Path, resume: Path | None, device: torch.device) -> Run:
    emoji = datasets.emoji(data)
    images = emoji.images.to(device)
    labels = Labels.of(emoji)
    judge = network_of(PictureClassifier(recipe.network, labels.answers), resume, "classifier").to(device)
    seen, unseen = held_out(len(images), every=12)
    generator = torch.Generator().manual_seed(recipe.seed)

    def stream(pool: Tensor, chance: torch.Generator, *, every: bool = False) -> Iterator[tuple[Tensor, ...]]:
        drawn = batches.pictures(images, recipe.batch, chance, flip=False, white=0.3, chosen=pool, every=every)
        for x, which, ground in drawn:
            yield x, labels.name[which].to(device), labels.style[which].to(device), ground.to(device)

    def disguised() -> Iterator[tuple[Tensor, ...]]:
        """Named by their shapes; of a picture in other colours, style and background are not asked (-100)."""
        for x, name, style, ground in stream(seen, generator):
            x, mixed = batches.disguise(x.cpu(), generator)
            unasked = mixed.to(device)
            yield x.to(device), name, style.masked_fill(unasked, -100), ground.masked_fill(unasked, -100)

    @torch.no_grad()
    def measure(network: PictureClassifier) -> dict[str, Any]:
        """Of the pictures that were never trained on, how often the answers are right.

        Raises: ValueError if the network was trained on pictures of other names or styles.
        """
        if network.answers != judge.answers:
            raise ValueError(
                "the judge was trained on other names or styles than these pictures have: train one on them with "
                f"`python -m core.training {recipe.name}`"
            )
        network.eval()
        x, *right = next(stream(unseen, torch.Generator().manual_seed(1), every=True))
        answers = [torch.cat(parts) for parts in zip(*(network(some) for some in x.split(128)), strict=True)]
        top = answers[0].topk(5).indices == right[0][:, None]
        return {
            "unseen_pictures": len(x),
            "name_top1": round(top[:, 0].float().mean().item(), 4),
            "name_top5": round(top.any(1).float().mean().item(), 4),
            "style": round((answers[1].argmax(1) == right[1]).float().mean().item(), 4),
            "background": round((answers[2].argmax(1) == right[2]).float().mean().item(), 4),
        }

    def save(network: PictureClassifier, card: Card) -> None:
        save_classifier(out, recipe, network, card)

    return Run(judge, Classification(judge), disguised(), save, None, measure)


@dataclass(frozen=True)
class Labels:
    """The classes of the emoji pictures: names and styles in alphabetical order, and the numbers of each picture."""

    names: list[str]
    styles: list[str]
    name: Tensor
    style: Tensor

    @classmethod
    def of(cls, emoji: datasets.Emoji) -> "Labels":
        names, styles = sorted(set(emoji.names)), sorted(set(emoji.styles))
        return cls(
            names,
            styles,
            torch.tensor([names.index(name) for name in emoji.names]),
            torch.tensor([styles.index(style) for style in emoji.styles]),
        )

    @property
    def answers(self) -> dict[str, list[str]]:
        return {"name": self.names, "style": self.styles, "background": list(datasets.BACKGROUNDS)}


def draw(network: nn.Module, recipe: Recipe, schedule: NoiseSchedule, context: Tensor, empty: Tensor) -> Tensor:
    """Samples for a sheet, (B, C, h, w), one a row of ``context`` (B, L, D), from noise of seed 0."""
    c = recipe.network
    x = torch.randn(
        len(context), c.in_channels, c.sample_size, c.sample_size, generator=torch.Generator().manual_seed(0)
    )
    denoiser = network_denoiser(
        network, schedule, recipe.scheduler["prediction_type"], context, empty, recipe.defaults["guidance"]
    )
    times = schedule.times(recipe.defaults["steps"])
    *_, last = SAMPLERS["ddim"](denoiser, schedule, x.to(context.device), times)
    return last.x_next


def save_denoiser(out: Path, recipe: Recipe, network: nn.Module, card: Card) -> None:
    weights.save(
        out / "unet", asdict(recipe.network) | {"_class_name": "UNet2DConditionModel"}, network.state_dict(), card
    )
    weights.write_json(out / "scheduler" / "scheduler_config.json", recipe.scheduler)


def save_classifier(out: Path, recipe: Recipe, network: PictureClassifier, card: Card) -> None:
    config = asdict(recipe.network) | {"answers": network.answers}
    weights.save(out / "classifier", config, network.state_dict(), card)


def network_of(network: Network, resume: Path | None, part: str) -> Network:
    """``network``, filled from ``resume/part`` if a folder to resume from is given."""
    if resume is not None:
        weights.fill(network, weights.read_state(resume / part), resume / part)
    return network


def tile(pictures: Tensor, columns: int) -> Tensor:
    """(B, C, H, W) to one picture (3, rows * H, columns * W)."""
    n, c, h, w = pictures.shape
    rows = -(-n // columns)
    pad = torch.ones(rows * columns - n, c, h, w).to(pictures)
    grid = torch.cat([pictures, pad]).reshape(rows, columns, c, h, w).permute(2, 0, 3, 1, 4).reshape(c, rows * h, -1)
    return grid.expand(3, -1, -1)


BUILDERS: dict[str, Callable[..., Run]] = {
    "emoji-clip": emoji_clip,
    "emoji-vae": emoji_vae,
    "emoji-unet": emoji_unet,
    "emoji-classifier": emoji_classifier,
    "fashion-unet": fashion_unet,
    "fashion-oneshot": fashion_unet,
    "fashion-classifier": fashion_classifier,
}


def write_picture(path: Path, picture: Tensor) -> None:
    """Write (3, H, W) in [-1, 1] as a PNG."""
    from PIL import Image  # training itself needs no Pillow

    with weights.replacing(path) as file:
        Image.fromarray(((picture.cpu().permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()).save(file)
