"""Weights on disk: round trips, folders that diffusers wrote, and every way a folder can be wrong."""

import json
import os
import resource
import types
from dataclasses import asdict

import diffusers
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from core import weights
from core.networks.unet import UNet, UNetConfig
from core.networks.vae import VAE, VAEConfig
from core.text import TextConfig, token_ids
from core.weights import Card

UNET = UNetConfig(block_out_channels=(8, 16), cross_attention_dim=12, attention_head_dim=2, norm_num_groups=4)
VAE_ = VAEConfig(block_out_channels=(8, 16), norm_num_groups=4, patch_size=2, latents_mean=(0.1, 0.2, 0.3, 0.4))
CARD = Card("tiny", "a small one", license="Apache-2.0", attributions=("someone", "someone else"), steps=3, seed=7,
            measured={"loss": 0.5}, defaults={"steps": 4})  # fmt: skip


def shared(config):
    """What a config of ours says in diffusers' words."""
    return {key: value for key, value in asdict(config).items() if key not in ("patch_size", "zero_is_padding")}


@pytest.fixture
def folder(tmp_path):
    """A saved U-Net, and the network it was."""
    torch.manual_seed(0)
    network = UNet(UNET)
    weights.save(tmp_path / "model" / "unet", asdict(UNET), network.state_dict(), CARD)
    return tmp_path / "model" / "unet"


def same(a, b):
    assert a.keys() == b.keys()
    for key in a:
        assert torch.equal(a[key], b[key]), key


def test_what_is_saved_comes_back(folder):
    network, card = weights.load(folder)
    torch.manual_seed(0)
    assert isinstance(network, UNet) and network.config == UNET
    same(network.state_dict(), {k: v.half().float() for k, v in UNet(UNET).state_dict().items()})
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    assert set(card.files) == {"diffusion_pytorch_model.safetensors", "config.json"}
    assert asdict(card) | {"files": {}} == asdict(CARD)


def test_files_are_half_precision_and_readable_by_all(folder):
    state = load_file(folder / "diffusion_pytorch_model.safetensors")
    assert all(value.dtype == torch.float16 for value in state.values())
    assert folder.stat().st_mode == folder.parent.stat().st_mode  # others may read it where they may read the rest


def test_shards(tmp_path, monkeypatch):
    """Every shard holds at most the limit, the index names each tensor's, and all of it comes back."""
    monkeypatch.setattr(weights, "SHARD", 20_000)
    torch.manual_seed(0)
    vae = VAE(VAE_)
    weights.save(tmp_path / "m" / "vae", asdict(VAE_), vae.state_dict(), CARD)
    files = sorted((tmp_path / "m" / "vae").glob("*.safetensors"))
    assert len(files) > 2
    index = json.loads((tmp_path / "m/vae/diffusion_pytorch_model.safetensors.index.json").read_text())
    total = 0
    for i, file in enumerate(files):
        assert file.name == f"diffusion_pytorch_model-{i + 1:05d}-of-{len(files):05d}.safetensors"
        shard = load_file(file)
        size = sum(t.nbytes for t in shard.values())
        assert size <= 20_000 or len(shard) == 1
        assert all(index["weight_map"][key] == file.name for key in shard)
        total += size
    assert total == index["metadata"]["total_size"] and len(index["weight_map"]) == len(vae.state_dict())
    again, card = weights.load(tmp_path / "m" / "vae")
    assert again.config == VAE_ and set(card.files) == {f.name for f in files} | {"config.json"}
    same(again.state_dict(), {k: v.half().float() for k, v in vae.state_dict().items()})


def test_fifteen_mebibytes_a_file():
    assert weights.SHARD == 15 * 1024 * 1024


def test_diffusers_reads_what_we_save(tmp_path, monkeypatch):
    """The layout is diffusers': its own loader takes a sharded folder of ours."""
    monkeypatch.setattr(weights, "SHARD", 40_000)
    torch.manual_seed(0)
    network = UNet(UNET)
    config = asdict(UNET) | {"_class_name": "UNet2DConditionModel"}
    weights.save(tmp_path / "m" / "unet", config, network.state_dict(), CARD)
    theirs = diffusers.UNet2DConditionModel.from_pretrained(tmp_path / "m" / "unet", low_cpu_mem_usage=False)
    same(theirs.state_dict(), {k: v.half().float() for k, v in network.state_dict().items()})


@pytest.mark.parametrize("shard", ["10GB", "50KB"])
def test_a_unet_saved_by_diffusers(tmp_path, shard):
    torch.manual_seed(0)
    theirs = diffusers.UNet2DConditionModel(**shared(UNET)).eval()
    theirs.save_pretrained(tmp_path / "unet", max_shard_size=shard)
    assert (len(list((tmp_path / "unet").glob("*.safetensors"))) > 1) == (shard == "50KB")
    ours, card = weights.load(f"{tmp_path}/unet")
    assert card == Card("unet") and ours.config == UNET
    x, t, context = torch.randn(1, 4, 8, 8), torch.tensor([5]), torch.randn(1, 3, 12)
    with torch.no_grad():
        assert torch.allclose(ours(x, t, context), theirs(x, t, context).sample, atol=1e-5)


@pytest.mark.parametrize("legacy", [False, True])
def test_shards_of_a_variant_saved_by_diffusers(tmp_path, legacy):
    """Alone, and beside whole weights in float32; older versions put ``.fp16`` elsewhere in the names."""
    torch.manual_seed(0)
    theirs, folder = diffusers.UNet2DConditionModel(**shared(UNET)), tmp_path / "unet"
    theirs.half().save_pretrained(folder, max_shard_size="50KB", variant="fp16")
    index = folder / "diffusion_pytorch_model.safetensors.index.fp16.json"
    if legacy:
        shards = {path.name: path.name.replace(".fp16-", "-").replace(".s", ".fp16.s") for path in folder.glob("*.s*s")}
        for old, new in shards.items():
            (folder / old).rename(folder / new)
        weight_map = {key: shards[file] for key, file in json.loads(index.read_text())["weight_map"].items()}
        index.unlink()
        index = index.with_name("diffusion_pytorch_model.safetensors.fp16.index.json")
        weights.write_json(index, {"weight_map": weight_map})
    assert len(list(folder.glob("*fp16*.safetensors"))) > 1 and index.is_file()
    same(weights.load(folder)[0].state_dict(), theirs.float().state_dict())
    others = {key: 1 + value for key, value in theirs.state_dict().items()}
    save_file(others, folder / "diffusion_pytorch_model.safetensors")
    same(weights.load(folder)[0].state_dict(), others)
    half, _ = weights.load(folder, dtype=torch.float16)
    same(half.state_dict(), theirs.half().state_dict())


@pytest.mark.parametrize("variant", ["bf16", "non_ema"])
def test_other_variants_are_passed_over(tmp_path, variant):
    torch.manual_seed(0)
    theirs, folder = diffusers.UNet2DConditionModel(**shared(UNET)), tmp_path / "unet"
    theirs.save_pretrained(folder)
    with torch.no_grad():
        wanted = {key: value.clone() for key, value in theirs.state_dict().items()}
        theirs.conv_in.bias += 1
    theirs.save_pretrained(folder, max_shard_size="50KB", variant=variant)
    assert (folder / f"diffusion_pytorch_model.safetensors.index.{variant}.json").is_file()
    same(weights.load(folder)[0].state_dict(), wanted)


def test_shards_without_their_index_give_way_to_whole_weights(tmp_path):
    names = ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16-00001-of-00002.safetensors"]
    assert weights.weight_files(names, tmp_path, half=True) == names[:1]


def test_a_vae_saved_by_diffusers(tmp_path):
    torch.manual_seed(0)
    kinds = {"down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2}
    theirs = diffusers.AutoencoderKL(block_out_channels=(8, 16), norm_num_groups=4, scaling_factor=0.3, **kinds).eval()
    theirs.save_pretrained(tmp_path / "vae")
    ours, _ = weights.load(tmp_path / "vae")
    x = torch.rand(1, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(ours.encode(x), theirs.encode(x).latent_dist.mean * 0.3, atol=1e-5)


def test_a_text_encoder_saved_by_transformers(tmp_path):
    """The config's pad token is that of nobody's tokenizer; the tokenizer's own files decide."""
    torch.manual_seed(0)
    sizes = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, projection_dim=16)
    theirs = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(vocab_size=49408, hidden_act="quick_gelu", eos_token_id=49407, **sizes)
    ).eval()
    theirs.save_pretrained(tmp_path / "text_encoder")
    (tmp_path / "tokenizer").mkdir()
    for pad, wanted in (("<|endoftext|>", 49407), ({"content": "!"}, 0)):
        (tmp_path / "tokenizer" / "special_tokens_map.json").write_text(json.dumps({"pad_token": pad}))
        ours, _ = weights.load(tmp_path / "text_encoder")
        ids = token_ids(["red apple"])
        ids[0, 4:] = wanted
        with torch.no_grad():
            states = theirs(ids).last_hidden_state
        assert ours.config.pad_token_id == wanted and torch.allclose(ours(["red apple"]), states, atol=1e-5)


def test_old_names_of_attention(tmp_path):
    """Stable Diffusion 1.5's VAE: query, key, value and proj_attn."""
    torch.manual_seed(0)
    config = VAEConfig(block_out_channels=(8, 16), norm_num_groups=4)
    new = VAE(config).state_dict()
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {}
    for key, value in new.items():
        for a, b in names.items():
            key = key.replace(f"attentions.0.{a}.", f"attentions.0.{b}.")
        old[key] = value.half()
    assert len(old.keys() - new.keys()) == 16
    folder = tmp_path / "vae"
    folder.mkdir()
    save_file(old, folder / "diffusion_pytorch_model.safetensors")
    weights.write_json(folder / "config.json", asdict(config))
    network, _ = weights.load(folder)
    same(network.state_dict(), {k: v.half().float() for k, v in new.items()})
    # and as diffusers reads them
    keys = shared(config)
    kinds = {"down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2}
    weights.write_json(folder / "config.json", keys | kinds | {"_class_name": "AutoencoderKL"})
    theirs = diffusers.AutoencoderKL.from_pretrained(folder, low_cpu_mem_usage=False)
    same(theirs.state_dict(), network.state_dict())


def test_a_flipped_byte_is_found_by_the_card(folder):
    file = folder / "diffusion_pytorch_model.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r"does not match its card: wanted SHA-256 \w{12}"):
        weights.load(folder)


def test_a_changed_config_is_found_by_the_card(folder):
    weights.write_json(folder / "config.json", asdict(UNET) | {"attention_head_dim": 4})  # the weights still fit
    with pytest.raises(ValueError, match=r"config\.json does not match its card"):
        weights.load(folder)


def test_a_missing_file_is_found_by_the_card(folder):
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"card of .* names diffusion_pytorch_model\.safetensors, which is missing"):
        weights.load(folder)


@pytest.mark.parametrize("content", ['{"color": "red"}', "[1, 2]", "nonsense", "{}"])
def test_a_card_that_is_none(folder, content):
    (folder / "card.json").write_text(content)
    with pytest.raises(ValueError, match=r"card\.json"):
        weights.load(folder)


def truncate(folder, state):
    file = folder / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])


def garbage(folder, state):
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"PK\x03\x04 something else entirely" * 50)


def empty(folder, state):
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"")


def none(folder, state):
    (folder / "diffusion_pytorch_model.safetensors").unlink()


def foreign(folder, state):
    save_file({"layer.weight": torch.zeros(3)}, folder / "diffusion_pytorch_model.safetensors")


def extra(folder, state):
    save_file(state | {"more.bias": torch.zeros(3)}, folder / "diffusion_pytorch_model.safetensors")


def reshaped(folder, state):
    state["conv_in.weight"] = torch.zeros(8, 5, 3, 3)
    save_file(state, folder / "diffusion_pytorch_model.safetensors")


def config_gone(folder, state):
    (folder / "config.json").unlink()


def config_broken(folder, state):
    (folder / "config.json").write_text("{'single': quotes}")


def config_no_object(folder, state):
    (folder / "config.json").write_text("[1, 2]")


def config_wrong_type(folder, state):
    weights.write_json(folder / "config.json", asdict(UNET) | {"layers_per_block": "two"})


def too_few_heads(folder, state):
    weights.write_json(folder / "config.json", asdict(UNET) | {"attention_head_dim": [2]})


def number_gone(folder, state):
    weights.write_json(folder / "config.json", asdict(UNET) | {"sample_size": None})


def too_many_heads(folder, state):
    weights.write_json(folder / "config.json", asdict(UNET) | {"attention_head_dim": 10**6})


def index_of_nothing(folder, state):
    weights.write_json(folder / "diffusion_pytorch_model.safetensors.index.json", {"weight_map": {"a": 5}})


def index_without_files(folder, state):
    weights.write_json(folder / "diffusion_pytorch_model.safetensors.index.json", {"weight_map": []})


def card_of_wrong_kind(folder, state):
    weights.write_json(folder / "card.json", {"name": "x", "defaults": 5})


def shard_gone(folder, state):
    index = {"weight_map": dict.fromkeys(state, "model-00001-of-00002.safetensors")}
    weights.write_json(folder / "diffusion_pytorch_model.safetensors.index.json", index)


@pytest.mark.parametrize(
    "damage, words",
    [
        (truncate, "is no readable safetensors file"),
        (garbage, "is no readable safetensors file"),
        (empty, "is no readable safetensors file"),
        (none, "no safetensors weights in"),
        (foreign, r"it lacks conv_in\.bias, conv_in\.weight, conv_norm_out\.bias and \d+ more"),
        (extra, r"it has unknown more\.bias"),
        (reshaped, r"it has conv_in\.weight \(8, 5, 3, 3\) instead of \(8, 4, 3, 3\)"),
        (config_gone, r"config\.json is missing: wanted a model folder in diffusers' layout"),
        (config_broken, r"config\.json is not JSON"),
        (config_no_object, r"config\.json must hold a JSON object, got list"),
        (config_wrong_type, r"config\.json describes no network"),
        (too_few_heads, r"config\.json describes no network"),
        (number_gone, r"config\.json describes no network: sample_size must be a number, got None"),
        (too_many_heads, r"1000000 attention heads must divide"),
        (index_of_nothing, r"index\.json must map every tensor to a file in weight_map, got {'a': 5}"),
        (index_without_files, r"must map every tensor to a file in weight_map, got \[\]"),
        (card_of_wrong_kind, r"card\.json is not a card"),
        (shard_gone, r"model-00001-of-00002\.safetensors"),
    ],
)
def test_a_damaged_or_foreign_folder(folder, damage, words):
    (folder / "card.json").unlink()  # without a card nothing but the files themselves can tell
    damage(folder, load_file(folder / "diffusion_pytorch_model.safetensors"))
    with pytest.raises(ValueError, match=words):
        weights.load(folder)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"class_embed_type": "timestep"}, "class_embed_type = 'timestep' is not supported; wanted None"),
        ({"addition_embed_type": "text_time"}, "addition_embed_type"),
        ({"act_fn": "gelu"}, "act_fn = 'gelu' is not supported; wanted 'silu'"),
        ({"dual_cross_attention": True}, "dual_cross_attention"),
        ({"norm_eps": 1e-6}, "norm_eps"),
        ({"down_block_types": ["DownBlock2D", "SkipDownBlock2D"]}, "SkipDownBlock2D"),
    ],
)
def test_a_config_that_asks_for_more_than_we_have(folder, change, words):
    (folder / "card.json").unlink()
    weights.write_json(folder / "config.json", asdict(UNET) | change)
    with pytest.raises(ValueError, match=words):
        weights.load(folder)


def test_every_default_of_diffusers_is_supported():
    """Of the keys that diffusers itself writes for a plain network none is refused, and none is passed over unknown."""
    plain = diffusers.UNet2DConditionModel(**shared(UNET)).config
    assert weights.read_config(UNetConfig, plain) == UNET
    known = set(shared(UNET)) | set(weights.UNSUPPORTED)
    harmless = {  # dropout is off when sampling; the rest says how to build what other keys ask for
        "dropout", "resnet_out_scale_factor", "resnet_skip_time_act", "timestep_post_act",
        "time_embedding_dim", "time_embedding_act_fn", "projection_class_embeddings_input_dim",
        "addition_embed_type_num_heads", "addition_time_embed_dim", "mid_block_only_cross_attention",
        "_use_default_values",
    }  # fmt: skip
    assert set(plain) - known <= harmless


def test_unknown_models_and_parts(folder, monkeypatch):
    monkeypatch.setattr(weights, "models", lambda: {"emoji": folder.parent, "fashion": folder.parent})
    with pytest.raises(ValueError, match=r"unknown model 'emojy': wanted one of emoji, fashion, a folder .* hub id"):
        weights.resolve("emojy")
    with pytest.raises(ValueError, match="unknown model '/no/where'"):
        weights.resolve("/no/where")
    assert weights.resolve("emoji") == folder.parent == weights.resolve(str(folder.parent))
    for name in ("unet", "emoji/scheduler", "emoji", ""):
        with pytest.raises(ValueError, match=r"wanted MODEL/unet, MODEL/vae or MODEL/text_encoder, got"):
            weights.load(name)


PARTS_ON_THE_HUB = {f"{part}/config.json" for part in ("unet", "vae", "text_encoder")} | {
    "scheduler/scheduler_config.json", "tokenizer/special_tokens_map.json", "tokenizer/tokenizer_config.json",
}  # fmt: skip
WHOLE = {
    "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model.safetensors",
}  # fmt: skip
FLOAT16 = {file.replace(".safetensors", ".fp16.safetensors") for file in WHOLE}
ELSE = {
    "unet/diffusion_pytorch_model.non_ema.safetensors", "unet/diffusion_pytorch_model.bin", "model_index.json",
    "safety_checker/model.safetensors", "safety_checker/config.json", "v1-5-pruned.safetensors", "README.md",
    "tokenizer/vocab.json", "text_encoder/pytorch_model.bin", "unet/diffusion_flax_model.msgpack",
}  # fmt: skip


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with the files it is given; what is fetched from it is kept."""
    import huggingface_hub

    class Hub:
        files, fetched, error = set(), None, None

    def model_info(self, hub_id, files_metadata):
        if Hub.error is not None:
            raise Hub.error
        files = [types.SimpleNamespace(rfilename=name, size=100) for name in Hub.files]
        return types.SimpleNamespace(siblings=files)

    def snapshot_download(hub_id, *, allow_patterns, tqdm_class=None, local_files_only=False):
        if local_files_only:
            raise OSError("nothing in the cache")
        Hub.fetched = set(allow_patterns)
        if tqdm_class is not None:
            with tqdm_class(unit="B", total=0, disable=True) as bar, tqdm_class(total=9, disable=True) as files:
                for _ in allow_patterns:
                    bar.update(100)
                    files.update(1)
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return Hub


@pytest.mark.parametrize("half", [False, True])
def test_only_what_is_needed_is_fetched(hub, half, tmp_path):
    """Stable Diffusion 1.5's repository holds 40 GB; 4 of them, or 2 in half precision, are needed."""
    hub.files = PARTS_ON_THE_HUB | WHOLE | FLOAT16 | ELSE
    told = []
    assert weights.resolve("someone/something", half=half, report=lambda *said: told.append(said)) == tmp_path
    assert hub.fetched == PARTS_ON_THE_HUB | (FLOAT16 if half else WHOLE)
    assert [share for share, _ in told] == pytest.approx([(i + 1) / 9 for i in range(9)])
    assert {what for _, what in told} == {"downloading someone/something"}
    hub.files -= FLOAT16
    weights.resolve("someone/something", half=half)
    assert hub.fetched == PARTS_ON_THE_HUB | WHOLE


def test_shards_on_the_hub(hub):
    shards = {f"unet/diffusion_pytorch_model-0000{i}-of-00002.safetensors" for i in (1, 2)}
    shards.add("unet/diffusion_pytorch_model.safetensors.index.json")
    hub.files = PARTS_ON_THE_HUB | WHOLE - {"unet/diffusion_pytorch_model.safetensors"} | shards
    weights.resolve("someone/something")
    assert hub.fetched == hub.files
    half = {f"unet/diffusion_pytorch_model.fp16-0000{i}-of-00002.safetensors" for i in (1, 2)}
    half.add("unet/diffusion_pytorch_model.safetensors.index.fp16.json")
    hub.files |= half
    weights.resolve("someone/something")
    assert hub.fetched == hub.files - half
    weights.resolve("someone/something", half=True)
    assert hub.fetched == hub.files - shards
    hub.files -= shards
    weights.resolve("someone/something")
    assert hub.fetched == hub.files


def response(status):
    import httpx

    return httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co/api"))


def hub_errors():
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    return [
        (RepositoryNotFoundError("404", response=response(404)), r"there is no model 'someone/something' on the hub"),
        (HFValidationError("bad id"), r"there is no model 'someone/something' on the hub"),
        (
            GatedRepoError("403", response=response(403)),
            r"asks for consent: accept its licence on https://hugg.*hf auth",
        ),
        (OSError("no route to host"), r"could not be fetched from the hub \(OSError: no route.*connect to the network"),
    ]


@pytest.mark.parametrize("case", range(4))
def test_a_hub_that_does_not_answer(hub, case):
    hub.error, words = hub_errors()[case]
    with pytest.raises(ValueError, match=words):
        weights.load("someone/something/unet")


def test_a_repository_of_another_kind(hub):
    hub.files = {"config.json", "model.safetensors"}
    with pytest.raises(ValueError, match=r"has no scheduler/scheduler_config\.json: wanted a text-to-image model"):
        weights.resolve("someone/something")
    hub.files = PARTS_ON_THE_HUB | {"unet/diffusion_pytorch_model.bin"}
    with pytest.raises(ValueError, match=r"no safetensors weights in someone/something/text_encoder"):
        weights.resolve("someone/something")
    hub.files |= WHOLE - {"unet/diffusion_pytorch_model.safetensors"}
    with pytest.raises(ValueError, match=r"someone/something/unet has pickled weights, which can run any program"):
        weights.resolve("someone/something")
    assert hub.fetched is None


def test_a_copy_from_earlier_needs_no_network(hub, monkeypatch, tmp_path):
    import huggingface_hub

    hub.error = OSError("no route to host")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda hub_id, local_files_only, **_: str(tmp_path))
    assert weights.resolve("someone/something") == tmp_path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_saving_again_replaces_the_whole_folder(folder):
    (folder / "stale.txt").write_text("of the old one")
    torch.manual_seed(1)
    network = UNet(UNET)
    weights.save(folder, asdict(UNET), network.state_dict(), Card("newer"))
    again, card = weights.load(folder)
    assert card.name == "newer" and not (folder / "stale.txt").exists()
    same(again.state_dict(), {k: v.half().float() for k, v in network.state_dict().items()})
    assert [path.name for path in folder.parent.iterdir()] == ["unet"]  # nothing left lying about


@pytest.mark.parametrize("breaks", ["save_file", "sha256", "write_json"])
def test_a_save_that_fails_half_way_leaves_the_old_folder(folder, monkeypatch, breaks):
    before = contents(folder)

    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(weights, breaks, fail)
    with pytest.raises(OSError, match="no space left"):
        weights.save(folder, asdict(UNET), {k: v + 1 for k, v in UNet(UNET).state_dict().items()}, CARD)
    assert contents(folder) == before and [path.name for path in folder.parent.iterdir()] == ["unet"]
    monkeypatch.undo()
    assert weights.load(folder)[1].name == "tiny"


def test_json_that_cannot_be_written_whole_leaves_the_old_file(tmp_path):
    """The system itself lets no file grow beyond 100 bytes, as a full disk would."""
    file, limits = tmp_path / "card.json", resource.getrlimit(resource.RLIMIT_FSIZE)
    weights.write_json(file, {"name": "old"})
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(OSError, match="too large"):
            weights.write_json(file, {"name": "new" * 100})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert json.loads(file.read_text()) == {"name": "old"} and list(tmp_path.iterdir()) == [file]


def test_a_swap_that_fails_half_way_leaves_a_loadable_folder(folder, monkeypatch):
    """The new folder cannot be moved in: the old one has to be back in its place."""
    before, move, calls = contents(folder), os.replace, []

    def second_fails(a, b):
        if a.is_dir():
            calls.append((a, b))
        if len(calls) == 2:
            raise OSError("interrupted")
        move(a, b)

    monkeypatch.setattr(weights.os, "replace", second_fails)
    with pytest.raises(OSError, match="interrupted"):
        weights.save(folder, asdict(UNET), UNet(UNET).state_dict(), Card("newer"))
    monkeypatch.undo()
    assert contents(folder) == before


def test_text_config_reads_transformers(tmp_path):
    theirs = transformers.CLIPTextConfig(hidden_size=24, num_attention_heads=3).to_dict()
    config = weights.read_config(TextConfig, theirs)
    assert (config.hidden_size, config.num_attention_heads, config.hidden_act) == (24, 3, "quick_gelu")


@pytest.mark.parametrize("wrong", [float("nan"), 1e9])
def test_weights_that_cannot_be_used_take_no_ones_place(folder, wrong):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    state = dict(weights.read_state(folder)) | {"conv_in.bias": torch.full((8,), wrong)}
    with pytest.raises(ValueError, match=r"is not written: conv_in\.bias has NaN, or numbers beyond float16"):
        weights.save(folder, weights.read_json(folder / "config.json"), state, Card("x"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
