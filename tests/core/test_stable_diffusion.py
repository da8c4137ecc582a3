"""Stable Diffusion's published layouts, small and with random weights, against diffusers and transformers.

The published weights are not needed for it: what a loader can get wrong is in the configs, in the names of the tensors
and in the conventions of the schedulers, and all of these are here as they were published.
"""

import copy
import gzip
import json
import shutil
from dataclasses import dataclass, replace
from functools import cache

import diffusers
import pytest
import torch
import transformers
from diffusers.schedulers import KarrasDiffusionSchedulers
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import default_bpe, get_clean_fn
from safetensors.torch import save_file

from core import weights
from core.networks.attention import Record
from core.networks.unet import UNet, UNetConfig
from core.networks.vae import VAE, VAEConfig
from core.pipeline import TextToImage
from core.scheduler import SCHEDULERS, default_sampling, sampling_plan, with_sampler
from core.text import TextConfig, TextEncoder, open_clip_names, tokenizer

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:diffusers.*", "ignore:The configuration file of this scheduler:FutureWarning"
)
CROSS, UP = ["CrossAttnDownBlock2D"] * 3, ["CrossAttnUpBlock2D"] * 3

# ---- what the published folders say; keys that ask for nothing special are as sparse or as many as they are there

UNET = dict(
    act_fn="silu", block_out_channels=[320, 640, 1280, 1280], center_input_sample=False,
    down_block_types=[*CROSS, "DownBlock2D"], downsample_padding=1, flip_sin_to_cos=True, freq_shift=0, in_channels=4,
    layers_per_block=2, mid_block_scale_factor=1, norm_eps=1e-05, norm_num_groups=32, out_channels=4, sample_size=64,
    up_block_types=["UpBlock2D", *UP],
)  # fmt: skip
UNET_2 = UNET | dict(
    attention_head_dim=[5, 10, 20, 20], cross_attention_dim=1024, dual_cross_attention=False, num_class_embeds=None,
    only_cross_attention=False, use_linear_projection=True,
)  # fmt: skip
LATER = dict(
    addition_embed_type=None, addition_embed_type_num_heads=64, class_embed_type=None, class_embeddings_concat=False,
    conv_in_kernel=3, conv_out_kernel=3, cross_attention_norm=None, encoder_hid_dim=None,
    mid_block_only_cross_attention=None, mid_block_type="UNetMidBlock2DCrossAttn", num_class_embeds=None,
    projection_class_embeddings_input_dim=None, resnet_out_scale_factor=1.0, resnet_skip_time_act=False,
    resnet_time_scale_shift="default", time_cond_proj_dim=None, time_embedding_act_fn=None, time_embedding_dim=None,
    time_embedding_type="positional", timestep_post_act=None, upcast_attention=None,
)  # fmt: skip
LATEST = LATER | dict(
    addition_time_embed_dim=None, attention_type="default", dropout=0.0, encoder_hid_dim_type=None,
    num_attention_heads=None, reverse_transformer_layers_per_block=None, transformer_layers_per_block=1,
)  # fmt: skip
VAE_ = dict(
    act_fn="silu", block_out_channels=[128, 256, 512, 512], down_block_types=["DownEncoderBlock2D"] * 4, in_channels=3,
    latent_channels=4, layers_per_block=2, norm_num_groups=32, out_channels=3, sample_size=512,
    up_block_types=["UpDecoderBlock2D"] * 4,
)  # fmt: skip
TEXT = dict(
    attention_dropout=0.0, bos_token_id=0, dropout=0.0, eos_token_id=2, hidden_act="quick_gelu", hidden_size=768,
    initializer_factor=1.0, initializer_range=0.02, intermediate_size=3072, layer_norm_eps=1e-05,
    max_position_embeddings=77, num_attention_heads=12, num_hidden_layers=12, pad_token_id=1, projection_dim=768,
    vocab_size=49408,
)  # fmt: skip
TEXT_2 = TEXT | dict(
    hidden_act="gelu", hidden_size=1024, intermediate_size=4096, num_attention_heads=16, num_hidden_layers=23,
    projection_dim=512,
)  # fmt: skip
NOISE = dict(
    beta_end=0.012, beta_schedule="scaled_linear", beta_start=0.00085, clip_sample=False, num_train_timesteps=1000,
    set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1, trained_betas=None,
)  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """parameters: how many numbers U-Net, VAE and text tower hold, as published. pad: the id after the end mark.

    old_vae: its attention has the names query, key, value, proj_attn. prefix: how the text tower's names begin.
    """

    unet: dict
    vae: dict
    text: dict
    scheduler: dict
    parameters: tuple[int, int, int]
    pad: int
    old_vae: bool = False
    prefix: str = "text_model."
    heads: int | list[int] = 8


LAYOUTS = {
    "1.5": Layout(
        UNET | dict(attention_head_dim=8, cross_attention_dim=768), VAE_, TEXT,
        NOISE | dict(_class_name="PNDMScheduler"), (859_520_964, 83_653_863, 123_060_480), 49407, old_vae=True,
    ),
    "1.5 as it was written later": Layout(
        UNET | LATER | dict(attention_head_dim=8, cross_attention_dim=768), VAE_ | dict(scaling_factor=0.18215), TEXT,
        NOISE | dict(_class_name="PNDMScheduler", prediction_type="epsilon", clip_sample_range=1.0,
                     thresholding=False, sample_max_value=1.0, dynamic_thresholding_ratio=0.995),
        (859_520_964, 83_653_863, 123_060_480), 49407, prefix="",
    ),
    "2.1 base": Layout(
        UNET_2, VAE_ | dict(sample_size=768), TEXT_2,
        NOISE | dict(_class_name="PNDMScheduler", prediction_type="epsilon"),
        (865_910_724, 83_653_863, 340_387_840), 0, heads=[2, 4, 8, 8],
    ),
    "2.1 v-prediction": Layout(
        UNET_2 | dict(sample_size=96, upcast_attention=True), VAE_ | dict(sample_size=768), TEXT_2,
        NOISE | dict(_class_name="DDIMScheduler", prediction_type="v_prediction"),
        (865_910_724, 83_653_863, 340_387_840), 0, old_vae=True, heads=[2, 4, 8, 8],
    ),
    "Turbo": Layout(
        UNET_2 | LATEST, VAE_ | dict(sample_size=768, scaling_factor=0.18215, force_upcast=True), TEXT_2,
        NOISE | dict(
            _class_name="EulerDiscreteScheduler", prediction_type="epsilon", interpolation_type="linear",
            sample_max_value=1.0, sigma_max=None, sigma_min=None, timestep_spacing="trailing",
            timestep_type="discrete", use_karras_sigmas=False,
        ),
        (865_910_724, 83_653_863, 340_387_840), 0, prefix="", heads=[2, 4, 8, 8],
    ),
}  # fmt: skip


def shapes(state):
    return {key: tuple(value.shape) for key, value in state.items()}


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


# ---- the real sizes, key for key, without a single weight


@pytest.mark.parametrize("name", LAYOUTS)
def test_names_and_shapes_at_the_real_size(name):
    layout = LAYOUTS[name]
    text_config = transformers.CLIPTextConfig(**layout.text)
    with torch.device("meta"):
        theirs = (
            diffusers.UNet2DConditionModel(**layout.unet),
            diffusers.AutoencoderKL(**layout.vae),
            transformers.CLIPTextModel(text_config),
        )
        unet = UNet(weights.read_config(UNetConfig, layout.unet))
        vae = VAE(weights.read_config(VAEConfig, layout.vae))
        text = TextEncoder(weights.read_config(TextConfig, layout.text))
    for part, wanted in zip(theirs, layout.parameters, strict=True):
        assert sum(p.numel() for p in part.parameters()) == wanted
    assert shapes(unet.state_dict()) == shapes(theirs[0].state_dict())
    assert shapes(vae.state_dict()) == shapes(theirs[1].state_dict())
    state = {key.removeprefix("text_model."): value for key, value in theirs[2].state_dict().items()}
    state["text_projection.weight"] = torch.empty(text.config.projection_dim, text.config.hidden_size, device="meta")
    named = open_clip_names({k: v for k, v in state.items() if "position_ids" not in k}, text.config.num_hidden_layers)
    assert shapes(named) == shapes(text.tower.state_dict())


# ---- small ones, as folders


def shrunk(layout):
    """Every option as published; the sizes as small as four levels and 32 groups allow."""
    few = dict(block_out_channels=[32, 64, 64, 64])
    unet = layout.unet | few | dict(sample_size=8 * (layout.unet["sample_size"] // 48), attention_head_dim=layout.heads)
    text = layout.text | dict(
        hidden_size=32, intermediate_size=64, num_attention_heads=2, num_hidden_layers=2,
        projection_dim=32 * layout.text["projection_dim"] // layout.text["hidden_size"],
    )  # fmt: skip
    return replace(
        layout, unet=unet | dict(cross_attention_dim=32), vae=layout.vae | few | dict(sample_size=64), text=text
    )


def write(folder, config, state, name, kind):
    folder.mkdir(parents=True)
    weights.write_json(folder / "config.json", config | {"_class_name": kind, "_diffusers_version": "0.6.0"})
    save_file({key: value.contiguous() for key, value in state.items()}, folder / name)


def write_tokenizer(folder, pad):
    """The published files; the vocabulary is open_clip's, which is the same but for the spelling of the marks."""
    folder.mkdir()
    marks = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    weights.write_json(folder / "vocab.json", {marks.get(w, w): i for w, i in tokenizer().encoder.items()})
    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        merges = file.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    mark = dict(lstrip=False, normalized=True, rstrip=False, single_word=False)
    tokens = dict(
        bos_token={"content": "<|startoftext|>", **mark},
        eos_token={"content": "<|endoftext|>", **mark},
        unk_token={"content": "<|endoftext|>", **mark},
    )
    tokens["pad_token"] = "!" if pad == 0 else "<|endoftext|>"
    weights.write_json(folder / "special_tokens_map.json", tokens)
    weights.write_json(folder / "tokenizer_config.json", dict(
        add_prefix_space=False, do_lower_case=True, errors="replace", model_max_length=77, pad_token="<|endoftext|>",
        tokenizer_class="CLIPTokenizer",
    ))  # fmt: skip


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """name -> (diffusers' pipeline, our model from a folder in the published spelling, that folder)."""

    @cache
    def built(name):
        layout = shrunk(LAYOUTS[name])
        torch.manual_seed(0)
        unet = diffusers.UNet2DConditionModel(**layout.unet)
        vae = diffusers.AutoencoderKL(**layout.vae)
        text = transformers.CLIPTextModel(transformers.CLIPTextConfig(**layout.text))
        for network in (unet, vae, text):
            for p in network.parameters():  # fresh biases and norms are zeros and ones, which would hide a missing one
                p.data += 0.05 * torch.randn(p.shape)
            network.eval().requires_grad_(False)
        text.get_input_embeddings().weight.mul_(10)  # words tell more
        folder = tmp_path_factory.mktemp("models") / "published"
        file = "diffusion_pytorch_model.safetensors"
        write(folder / "unet", layout.unet, unet.state_dict(), file, "UNet2DConditionModel")
        state = vae.state_dict()
        if layout.old_vae:
            names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
            for new, old in names.items():
                state = {key.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): v for key, v in state.items()}
            assert sum("proj_attn" in key for key in state) == 4
        write(folder / "vae", layout.vae, state, file, "AutoencoderKL")
        state = {layout.prefix + k.removeprefix("text_model."): v for k, v in text.state_dict().items()}
        state[layout.prefix + "embeddings.position_ids"] = torch.arange(77)[None]
        write(folder / "text_encoder", layout.text, state, "model.safetensors", "CLIPTextModel")
        (folder / "scheduler").mkdir()
        weights.write_json(folder / "scheduler" / "scheduler_config.json", layout.scheduler)
        write_tokenizer(folder / "tokenizer", layout.pad)
        kind = getattr(diffusers, layout.scheduler["_class_name"])
        pipe = diffusers.StableDiffusionPipeline(
            vae=vae, text_encoder=text, unet=unet, scheduler=kind.from_pretrained(folder / "scheduler"),
            tokenizer=transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer"), safety_checker=None,
            feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
        pipe.set_progress_bar_config(disable=True)
        return pipe, TextToImage.load(folder, device="cpu"), folder

    return built


PROMPTS = ["a red apple, twemoji style", "", "rocket " * 100, "Ein Käfer – 小さな猫 🐱"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_text_unet_and_vae(pair, name):
    """Each part with a spread that no comparison could miss."""
    pipe, ours, _ = pair(name)
    with torch.no_grad():
        read = dict(padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        ids = pipe.tokenizer(PROMPTS, **read).input_ids
        assert ids[1, 5] == LAYOUTS[name].pad == ours.text.config.pad_token_id
        states = pipe.text_encoder(ids).last_hidden_state
        assert states.std() > 0.1 and relative(ours.text(PROMPTS), states) < 1e-4
        side, g = ours.unet.config.sample_size, torch.Generator().manual_seed(1)
        x, t = torch.randn(4, 4, side, side, generator=g), torch.tensor([0, 20, 500, 999])
        wanted = pipe.unet(x, t, states).sample
        assert wanted.std() > 0.1 and relative(ours.unet(x, t, states), wanted) < 1e-4
        assert relative(ours.unet(x, t, states, record=Record()), wanted) < 1e-4
        scale = pipe.vae.config.scaling_factor
        assert scale == 0.18215
        z = scale * torch.randn(2, 4, 8, 8, generator=g)
        wanted = pipe.vae.decode(z / scale).sample
        assert wanted.std() > 0.1 and relative(ours.vae.reconstruct(z / scale), wanted) < 1e-4
        assert relative(ours.decode(z), wanted.clamp(-1, 1)) < 1e-4
        picture = torch.rand(1, 3, 64, 64, generator=g) * 2 - 1
        wanted = pipe.vae.encode(picture).latent_dist.mean * scale
        assert wanted.std() > 0.1 * scale and relative(ours.vae.encode(picture), wanted) < 1e-4


def drawn(pipe, ours, scheduler, steps, guidance=3.0, **options):
    """The last latent of diffusers' whole pipeline and of ours, from the same noise; our guidance 1 is its 0 too."""
    pipe.scheduler = scheduler
    side = ours.unet.config.sample_size
    noise = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(5))
    wanted = pipe(
        PROMPTS[0], negative_prompt="blurry", latents=noise, num_inference_steps=steps, guidance_scale=guidance,
        height=ours.size, width=ours.size, output_type="latent",
    ).images  # fmt: skip
    *_, end = ours.stream(PROMPTS[0], negative="blurry", steps=steps, guidance=guidance or 1.0, seed=5, **options)
    return wanted, end.x_next


# The scheduler that a folder names, or the one that diffusers' documentation puts in PNDM's place.
OWN = {"PNDMScheduler": "dpmpp_2m", "DDIMScheduler": "ddim", "EulerDiscreteScheduler": "euler"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_whole_sample_as_the_folder_says(pair, name):
    """No sampler named: from the words to the latent, with nothing but what stands in the folder."""
    pipe, ours, folder = pair(name)
    said = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())["_class_name"]
    own = getattr(diffusers, said).from_pretrained(folder / "scheduler")
    sampler = OWN[said]
    assert ours.default("sampler") == sampler
    kind = getattr(diffusers, SCHEDULERS[sampler].name)
    for steps in (1, 4) if name == "Turbo" else (5,):
        wanted, got = drawn(pipe, ours, kind.from_config(own.config), steps)
        assert wanted.std() > 0.1 and relative(got, wanted) < 1e-4
    assert (ours.default("steps"), ours.default("guidance")) == ((1, 1.0) if name == "Turbo" else (25, 7.5))


def test_turbo_as_it_was_distilled(pair):
    """One step without guidance, from the folder alone; an ancestral step to the clean picture is Euler's."""
    pipe, ours, folder = pair("Turbo")
    assert (ours.default("sampler"), ours.default("steps"), ours.default("guidance")) == ("euler", 1, 1.0)
    for kind in (diffusers.EulerDiscreteScheduler, diffusers.EulerAncestralDiscreteScheduler):
        for sampler in ("euler", "euler_ancestral"):
            scheduler = kind.from_pretrained(folder / "scheduler")
            wanted, got = drawn(pipe, ours, scheduler, 1, guidance=0.0, sampler=sampler)
            assert wanted.std() > 0.1 and relative(got, wanted) < 1e-4
    other = replace(ours, scheduler=dict(ours.scheduler) | {"prediction_type": "v_prediction"})
    assert (other.default("steps"), other.default("guidance")) == (25, 7.5)  # which no Turbo has


OTHERS = [("1.5", sampler, spacing) for sampler in ("ddim", "euler", "dpmpp_2m") for spacing in ("leading", "trailing")]
OTHERS += [("1.5", "unipc", "trailing"), ("1.5", "heun", "leading"), ("2.1 v-prediction", "dpmpp_2m", "trailing")]


@pytest.mark.parametrize("name, sampler, spacing", OTHERS)
def test_a_whole_sample_with_another_scheduler(pair, name, sampler, spacing):
    """As `Scheduler.from_config(pipe.scheduler.config, timestep_spacing=...)` does it in diffusers."""
    pipe, ours, folder = pair(name)
    said = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    own = getattr(diffusers, said["_class_name"]).from_pretrained(folder / "scheduler")
    theirs = getattr(diffusers, SCHEDULERS[sampler].name).from_config(own.config, timestep_spacing=spacing)
    ours = replace(ours, scheduler=said | {"timestep_spacing": spacing})
    wanted, got = drawn(pipe, ours, theirs, 5, sampler=sampler)
    assert wanted.std() > 0.1 and relative(got, wanted) < 1e-4


@pytest.mark.parametrize("sampler", SCHEDULERS)
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace", None])
@pytest.mark.parametrize("steps", [2, 5, 20, 30, 50])
def test_times_of_every_scheduler(sampler, spacing, steps):
    """Where a file says nothing of the spacing each of diffusers' schedulers has a default of its own."""
    said = LAYOUTS["1.5"].scheduler | ({"timestep_spacing": spacing} if spacing else {})
    theirs = getattr(diffusers, SCHEDULERS[sampler].name).from_config(said)
    theirs.set_timesteps(steps)
    times, scale = sampling_plan(with_sampler(said, sampler), steps)
    wanted = sorted({float(t) + 1 for t in theirs.timesteps.tolist()}, reverse=True)  # Heun's come twice
    got = times[:-1].double()
    if wanted[-1] == times[-1]:  # where the last of theirs is our end, their step there does nothing
        wanted = wanted[:-1]
    assert len(got) == len(wanted) and (got - torch.tensor(wanted)).abs().max() <= 0.5  # Euler's may be no integers
    if hasattr(theirs, "sigmas") and theirs.init_noise_sigma != 1:
        wanted = float(theirs.init_noise_sigma) / float((theirs.sigmas[0] ** 2 + 1).sqrt())
        assert scale == pytest.approx(wanted, rel=1e-3)
    else:
        assert scale == 1


@pytest.mark.parametrize("sampler", SCHEDULERS)
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_times_of_every_number_of_steps(sampler, spacing):
    """To the last bit, but for the fractions that some keep of times spaced "linspace"."""
    fractions = spacing == "linspace" and sampler in ("euler", "euler_ancestral", "heun")
    for offset in (0, 1) if spacing == "leading" else (1,):
        said = NOISE | dict(_class_name=SCHEDULERS[sampler].name, timestep_spacing=spacing, steps_offset=offset)
        theirs = getattr(diffusers, SCHEDULERS[sampler].name).from_config(said)
        for steps in (*range(2, 61), 64, 75, 80, 96, 100, 150, 200, 250, 333, 500):
            theirs.set_timesteps(steps)
            times = sampling_plan(said, steps)[0]
            wanted = torch.unique(theirs.timesteps.double() + 1).flip(0)  # Heun's come twice
            wanted = wanted[wanted > times[-1]]
            assert len(wanted) == len(times) - 1
            assert (wanted - times[:-1]).abs().max() <= (0.5 if fractions else 0)


@pytest.mark.parametrize("kind", [kind.name for kind in KarrasDiffusionSchedulers if kind.name != "EDMEulerScheduler"])
def test_every_scheduler_that_a_folder_may_name(folder, kind):
    """All that diffusers holds fit for its pipeline can be read, though not each is walked as there."""
    path = folder / "scheduler" / "scheduler_config.json"
    weights.write_json(path, LAYOUTS["1.5"].scheduler | {"_class_name": kind})
    model = TextToImage.load(folder, device="cpu")
    assert len(list(model.stream("cat", steps=3))) == 3 and model.default("steps") == 25


# ---- tokens

# Python knows these characters, and so does the older table of transformers' tokenizer.
KNOWN = st.text(st.characters(exclude_categories=["Cn", "Co", "Cs"], max_codepoint=0xFFFF), max_size=12)
SOME = (
    "a red apple", "🐱", "👩🏽‍🚀", "日本語", "  ", "&amp;", "&lt;b&gt;", "it's", "I'LL", "!", "?!", "café", "’", "“x”",
    "...", "ｆｕｌｌ", "12345", "rocket " * 90, "NAÏVE", "(word:1.2)", "ΌΣΟΣ", "\x00", "\u200b", "<end_of_text>",
)  # fmt: skip


@given(st.lists(st.one_of(KNOWN, st.sampled_from(SOME)), max_size=6), st.sampled_from(["", " "]))
@settings(max_examples=300, deadline=None)
def test_tokens_are_those_of_diffusers_once_the_text_is_clean(pair, parts, between):
    """Any prompt for Stable Diffusion 1, padding and all, behind open_clip's own cleaning."""
    pipe, ours, _ = pair("1.5")
    prompt = between.join(parts)
    clean = get_clean_fn("lower")(prompt)
    ids = pipe.tokenizer(clean, padding="max_length", max_length=77, truncation=True).input_ids
    kept = [token.id for token in ours.text.tokens(prompt) if token.kept]
    assert [*kept, *[49407] * (77 - len(kept))] == ids


@pytest.mark.parametrize(
    "prompt, same",
    [
        ("a red apple, 8k - (art:1.2) [x] #1 $5 @home ~ ^ | \\ / * + = % ; : ' \" < >", True),
        ("Käfer – 小さな猫 🐱  ½ ™ …\ttab\nline", True),
        ("cat’s “eye”", False),
        ("&quot;cat&quot;", False),
        ("ﬁsh ｆｕｌｌ", False),
        ("a\x00b", False),
        ("cafÃ©", False),
        ("ΌΣΟΣ", False),
        ("cat <|endoftext|> dog", False),
    ],
)
def test_what_cleaning_changes(pair, prompt, same):
    """diffusers' tokenizer does not clean."""
    pipe, ours, _ = pair("1.5")
    assert (pipe.tokenizer(prompt).input_ids == [token.id for token in ours.text.tokens(prompt)]) == same


def test_an_exclamation_mark_in_stable_diffusion_2(pair):
    """open_clip, with which 2 was trained, has 256 and longer words; diffusers makes of each the padding's 0."""
    for name, theirs in (("1.5", 256), ("2.1 base", 0), ("Turbo", 0)):
        pipe, ours, _ = pair(name)
        assert pipe.tokenizer("a cat !").input_ids == [49406, 320, 2368, theirs, 49407]
        assert [token.id for token in ours.text.tokens("a cat !")] == [49406, 320, 2368, 256, 49407]
        row = ours.text.ids(["a cat ! dog"])
        assert row[0, :6].tolist() == [49406, 320, 2368, 256, 1929, 49407] and not row[0, 6:].any()
    assert pair("2.1 base")[0].tokenizer("wow!!").input_ids == [49406, 2781, 0, 0, 49407]
    assert [token.text for token in ours.text.tokens("wow!!")[1:-1]] == ["wow", "!!"]


# ---- files as they come


@pytest.fixture
def folder(pair, tmp_path):
    return shutil.copytree(pair("1.5")[2], tmp_path / "stable-diffusion")


def last(model):
    *_, end = model.stream("cat", steps=2, guidance=1, seed=1)
    return end.x_next


def test_of_several_files_the_right_one_is_read(pair, folder):
    """Beside the weights lie a float16 variant and the ones that training goes on from, as in the 1.5 repository."""
    whole = last(pair("1.5")[1])
    unet = folder / "unet"
    state = weights.read_state(unet)
    save_file({key: 0 * value for key, value in state.items()}, unet / "diffusion_pytorch_model.non_ema.safetensors")
    save_file({key: value.half() for key, value in state.items()}, unet / "diffusion_pytorch_model.fp16.safetensors")
    assert torch.equal(last(TextToImage.load(folder, device="cpu")), whole)
    (unet / "diffusion_pytorch_model.safetensors").unlink()
    half = last(TextToImage.load(folder, device="cpu"))
    assert 1e-6 < relative(half, whole) < 0.05


def test_a_pipeline_that_diffusers_saved(pair, tmp_path):
    """As fine-tunes come: shards in half precision alone, a safety checker of null, and much that we do not read."""
    pipe, whole, folder = pair("1.5")
    pipe = copy.deepcopy(pipe).to(torch.float16)
    pipe.scheduler = diffusers.DPMSolverMultistepScheduler.from_pretrained(folder / "scheduler")
    pipe.save_pretrained(tmp_path / "tune", variant="fp16", max_shard_size="200KB")
    assert json.loads((tmp_path / "tune" / "model_index.json").read_text())["safety_checker"] == [None, None]
    for part in ("unet", "text_encoder"):
        assert len(list((tmp_path / "tune" / part).glob("*.fp16-*.safetensors"))) > 1
    ours = TextToImage.load(tmp_path / "tune", device="cpu")
    assert ours.text.config.pad_token_id == 49407 and 1e-6 < relative(last(ours), last(whole)) < 0.05


def test_pickled_weights_are_refused_with_the_reason(folder):
    file = folder / "vae" / "diffusion_pytorch_model.safetensors"
    torch.save(weights.read_state(folder / "vae"), file.with_name("diffusion_pytorch_model.bin"))
    file.unlink()
    with pytest.raises(ValueError, match=r"vae has pickled weights, which can run any program .* safe_serialization"):
        TextToImage.load(folder)


@pytest.mark.parametrize("name, words", [("v1-5.ckpt", "pickled weights"), ("v1-5.safetensors", "from_single_file")])
def test_a_single_file_is_no_folder(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"0")
    with pytest.raises(ValueError, match=words):
        TextToImage.load(tmp_path / name)


def test_a_missing_part_is_named(folder):
    shutil.rmtree(folder / "text_encoder")
    with pytest.raises(ValueError, match=r"text_encoder/config\.json is missing: wanted a model folder in diffusers'"):
        TextToImage.load(folder)


def test_weights_that_are_not_finite(folder):
    state = weights.read_state(folder / "unet")
    state["conv_out.bias"] = torch.full_like(state["conv_out.bias"], torch.nan)
    save_file(state, folder / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ValueError, match=r"cannot be used: conv_out\.bias has NaN or infinity"):
        TextToImage.load(folder)
    state["conv_out.bias"] = torch.full_like(state["conv_out.bias"], 1e5)
    save_file(state, folder / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ValueError, match=r"conv_out\.bias has numbers beyond torch\.float16"):
        TextToImage.load(folder, device="cpu", dtype=torch.float16)


def test_a_model_of_inpainting_is_refused(folder):
    config = weights.read_json(folder / "unet" / "config.json") | {"in_channels": 9}
    state = weights.read_state(folder / "unet")
    state["conv_in.weight"] = torch.zeros(32, 9, 3, 3)
    save_file(state, folder / "unet" / "diffusion_pytorch_model.safetensors")
    weights.write_json(folder / "unet" / "config.json", config)
    with pytest.raises(ValueError, match=r"takes 9 channels and gives 4, but its VAE has 4: .* not of inpainting"):
        TextToImage.load(folder)


def test_a_scheduler_of_another_kind(folder):
    flow = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
    weights.write_json(folder / "scheduler" / "scheduler_config.json", flow)
    with pytest.raises(ValueError, match="unknown scheduler 'FlowMatchEulerDiscreteScheduler'; known are DDPMSched"):
        TextToImage.load(folder)


@pytest.mark.parametrize("pad", [0, 49407])
def test_the_padding_without_a_tokenizer(folder, pad):
    """Where no file of a tokenizer says what pads, the config's own 1, which is nobody's, counts as the end mark."""
    shutil.rmtree(folder / "tokenizer")
    assert TextToImage.load(folder).text.config.pad_token_id == 49407
    config = folder / "text_encoder" / "config.json"
    weights.write_json(config, weights.read_json(config) | {"pad_token_id": pad})
    assert TextToImage.load(folder).text.config.pad_token_id == pad


# ---- devices and precisions


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "mps" if not torch.backends.mps.is_available() else "xpu"])
def test_a_device_that_is_not_there(folder, device):
    with pytest.raises(ValueError, match=rf"cannot run on device '{device}': .*; the best here is"):
        TextToImage.load(folder, device=device)


def test_precision(folder):
    assert TextToImage.load(folder, device="cpu").unet.conv_in.weight.dtype == torch.float32
    with pytest.raises(ValueError, match=r"dtype must be one of float16, bfloat16, float32, got torch\.int8"):
        TextToImage.load(folder, dtype=torch.int8)


@pytest.mark.parametrize(
    "name, dtype", [("1.5", torch.bfloat16), ("2.1 v-prediction", torch.bfloat16), ("Turbo", torch.float16)]
)
def test_half_precision_draws_nearly_the_same(pair, name, dtype):
    """With attention in float32 where 2.1 asks for it, and Turbo's VAE kept in float32."""
    _, whole, folder = pair(name)
    half = TextToImage.load(folder, device="cpu", dtype=dtype)
    assert half.unet.conv_in.weight.dtype == dtype == half.text.tower.ln_final.weight.dtype
    assert half.unet.mid_block.attentions[0].transformer_blocks[0].attn1.upcast == (name == "2.1 v-prediction")
    upcast = name == "Turbo" and dtype == torch.float16
    assert half.vae.decoder.conv_in.weight.dtype == (torch.float32 if upcast else dtype)
    end = last(half)
    assert end.dtype == torch.float32 and relative(end, last(whole)) < (0.1 if dtype == torch.bfloat16 else 0.02)
    corner = end[..., :8, :8]  # cores without units for half precision take seconds for the whole
    picture, wanted = half.decode(corner), whole.decode(corner)
    assert picture.dtype == torch.float32 and (picture - wanted).abs().mean() < 0.05
    image = torch.zeros(1, 3, half.size, half.size)
    assert next(half.stream("cat", image=image, strength=0.5, steps=2)).x.isfinite().all()


def test_scores_beyond_float16(pair):
    """Keys and queries of Stable Diffusion 2.1 are that large; recorded or not, its answer stays finite."""
    _, _, folder = pair("2.1 v-prediction")
    half = TextToImage.load(folder, device="cpu", dtype=torch.float16)
    layer = half.unet.mid_block.attentions[0].transformer_blocks[0].attn1
    x = torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(0)).half()
    layer.to_q.weight.mul_(500), layer.to_k.weight.mul_(500)
    assert ((layer.to_q(x).float() @ layer.to_k(x).float().mT) / 64**0.5).abs().max() > 65504
    assert layer(x).isfinite().all() and layer(x, record=Record()).isfinite().all()


def test_a_full_device_is_said_and_the_model_stays(pair, monkeypatch):
    _, ours, folder = pair("1.5")
    before = last(ours)

    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(ours.unet.conv_out, "forward", full)
        with pytest.raises(ValueError, match="a step needs more memory than cpu has free: choose a smaller size"):
            last(ours)
    with monkeypatch.context() as patch:
        patch.setattr(ours.text, "forward", full)
        with pytest.raises(ValueError, match="reading the words needs more memory"):
            last(ours)

    def no_handle(*args, **kwargs):
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    with monkeypatch.context() as patch:
        patch.setattr(ours.unet.conv_out, "forward", no_handle)
        with pytest.raises(ValueError, match="a step needs more memory"):
            last(ours)
    with monkeypatch.context() as patch:
        patch.setattr(ours.vae.decoder, "forward", full)
        with pytest.raises(ValueError, match="decoding needs more memory"):
            ours.decode(before)
    with monkeypatch.context() as patch:
        patch.setattr(weights, "load_file", full)
        with pytest.raises(ValueError, match=r"loading text_encoder of .* needs more memory"):
            TextToImage.load(folder)
    assert torch.equal(last(ours), before)


def test_other_errors_keep_their_name(pair, monkeypatch):
    _, ours, _ = pair("1.5")

    def wrong(*args, **kwargs):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(ours.unet.conv_out, "forward", wrong)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        last(ours)


def test_loading_says_how_far_it_is(folder):
    told = []
    TextToImage.load(folder, device="cpu", report=lambda share, what: told.append((round(share, 2), what)))
    assert told == [(0, "reading text_encoder"), (0.33, "reading unet"), (0.67, "reading vae"), (1, "read")]


# ---- compiled


def test_compiled_code_is_asked_for_every_step_but_a_recorded_one(folder, monkeypatch):
    """torch.compile is stood in for: it takes minutes, and the machine may have no compiler."""
    asked = []

    def stand_in(function, **options):
        assert options == {"mode": "reduce-overhead", "dynamic": False}

        def counted(*args, **more):
            asked.append(function.__self__)
            return function(*args, **more)

        return counted

    monkeypatch.setattr(torch, "compile", stand_in)
    model = TextToImage.load(folder, device="cpu", compile=True)
    plain = TextToImage.load(folder, device="cpu")
    assert torch.equal(last(model), last(plain)) and asked == [model.unet] * 2
    model.decode(last(plain))
    assert asked[2:] == [model.vae.decoder]
    record = Record()
    next(model.stream("cat", steps=2, record=record))
    assert record.attention and len(asked) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["1.5", "2.1 v-prediction"])
def test_the_networks_are_one_graph_each(pair, name):
    """Nothing in them makes torch.compile give up half way, which CUDA graphs would not survive."""
    _, ours, _ = pair(name)
    g = torch.Generator().manual_seed(0)
    x, t, words = torch.randn(2, 4, 8, 8, generator=g), torch.tensor([7, 801]), torch.randn(2, 77, 32, generator=g)
    with torch.no_grad():
        for network, given in ((ours.unet, (x, t, words)), (ours.vae.decoder, (x,))):
            whole = torch.compile(network, backend="aot_eager", fullgraph=True, dynamic=False)
            assert relative(whole(*given), network(*given)) < 1e-5


def test_what_takes_a_schedulers_place_is_no_turbo():
    for name in ("DPMSolverSDEScheduler", "KDPM2AncestralDiscreteScheduler"):
        assert default_sampling({"_class_name": name, "timestep_spacing": "trailing"})["steps"] == 25


@pytest.mark.parametrize("sampler", SCHEDULERS)
def test_karras_sigmas_are_heeded_where_diffusers_does(sampler):
    betas = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    own = diffusers.DPMSolverMultistepScheduler(use_karras_sigmas=True, timestep_spacing="trailing", **betas)
    theirs = getattr(diffusers, SCHEDULERS[sampler].name).from_config(own.config)
    theirs.set_timesteps(10)
    said = {**own.config, "_class_name": "DPMSolverMultistepScheduler"}
    times, _ = sampling_plan(with_sampler(said, sampler), 10)
    wanted = sorted({float(t) for t in theirs.timesteps}, reverse=True)  # Heun names each twice
    assert (times[:-1] - 1 - torch.tensor(wanted)).abs().max() < 1
