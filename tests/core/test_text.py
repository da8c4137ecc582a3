"""The text tower against transformers' CLIP with the same weights, and its tokens against open_clip's."""

from dataclasses import asdict, replace

import numpy as np
import open_clip
import pytest
import scipy
import torch
import transformers

from core.text import LENGTH, TextConfig, TextEncoder, open_clip_names, token_ids, transformers_names, whitening

SMALL = TextConfig(hidden_size=16, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2, projection_dim=12)
PROMPTS = ["a red apple, twemoji style", "", "cat", "rocket " * 100]
START, END = 49406, 49407


def pair(**changes):
    """The same random weights in transformers' tower and in ours; biases and norms are not at their start values."""
    config = replace(SMALL, **changes)
    torch.manual_seed(0)
    settings = {k: v for k, v in asdict(config).items() if k != "zero_after_end"}
    theirs = transformers.CLIPTextModelWithProjection(
        transformers.CLIPTextConfig(**settings, bos_token_id=START, eos_token_id=END)
    )
    for p in theirs.parameters():
        p.data += 0.2 * torch.randn(p.shape)
    theirs.eval().requires_grad_(False)
    return TextEncoder.from_state(asdict(config), theirs.state_dict()), theirs


def padded(ids, pad):
    """open_clip's rows end in zeros; transformers' in the pad token."""
    after = torch.arange(ids.shape[1]) > ids.argmax(1, keepdim=True)
    return torch.where(after, pad, ids)


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


@pytest.mark.parametrize("act", ["gelu", "quick_gelu"])
@pytest.mark.parametrize("pad", [0, END])
def test_states_equal_transformers(act, pad):
    ours, theirs = pair(hidden_act=act, pad_token_id=pad)
    ids = padded(token_ids(PROMPTS), pad)
    with torch.no_grad():
        wanted = theirs(ids)
    got = ours(PROMPTS)
    assert got.shape == (4, 77, 16) and relative(got, wanted.last_hidden_state) < 1e-5
    vector = wanted.text_embeds / wanted.text_embeds.norm(dim=-1, keepdim=True)
    assert relative(ours.embed(PROMPTS), vector) < 1e-5


def test_the_two_activations_and_paddings_differ():
    """So that the agreement above says something about each of them."""
    towers = {(a, p): pair(hidden_act=a, pad_token_id=p)[0] for a in ("gelu", "quick_gelu") for p in (0, END)}
    states = {key: tower(["cat"]) for key, tower in towers.items()}
    assert relative(states["gelu", 0], states["quick_gelu", 0]) > 1e-4
    assert relative(states["gelu", 0], states["gelu", END]) > 1e-2
    assert torch.allclose(states["gelu", 0][:, :3], states["gelu", END][:, :3], atol=1e-6)  # attention is causal


def test_whitening_is_scipys_and_is_applied_to_every_state():
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.tensor([9.0, 3, 1, 0.3])) + 2
    x[:, 3] += x[:, 0]
    weights = whitening(x)
    wanted = np.linalg.inv(scipy.linalg.sqrtm(np.cov(x.double().numpy().T) + 0.01 * np.eye(4)))
    assert np.allclose(weights["whiten.weight"], wanted, rtol=1e-4, atol=1e-5)
    z = x @ weights["whiten.weight"].T + weights["whiten.bias"]
    assert z.mean(0).abs().max() < 1e-4 and torch.allclose(torch.cov(z.T), torch.eye(4), atol=0.15)

    plain, theirs = pair(zero_after_end=True)
    ids = token_ids(PROMPTS)
    weights = whitening(plain.states(ids)[ids != 0])
    state = theirs.state_dict() | weights
    ours = TextEncoder.from_state(asdict(replace(plain.config, whiten=True)), state)
    z, inside = ours.states(ids), (ids != 0)[:, :, None]
    wanted = plain.states(ids) @ weights["whiten.weight"].T + weights["whiten.bias"]
    assert torch.allclose(z, wanted * inside, atol=1e-4)
    with pytest.raises(ValueError, match=r"lack .whiten\.weight"):
        TextEncoder.from_state(asdict(replace(plain.config, whiten=True)), theirs.state_dict())


def test_zero_after_end():
    ours, _ = pair()
    silent, _ = pair(zero_after_end=True)
    full, cut = ours(PROMPTS), silent(PROMPTS)
    for row, prompt in enumerate(PROMPTS):
        end = sum(token.kept for token in ours.tokens(prompt))  # start to end mark
        assert torch.equal(cut[row, :end], full[row, :end]) and full[row, end - 1].abs().sum() > 0
        assert not cut[row, end:].any()
    assert end == LENGTH  # the over-long prompt fills the row: nothing is cut from it


def test_word_vectors_are_added_normalised():
    """What is added is transformers' own embedding layer, brought to mean 0 and variance 1 a token."""
    _, reference = pair()
    with_words, plain = pair(add_embeddings=True)[0], pair()[0]
    with torch.no_grad():
        words = reference.text_model.embeddings(token_ids(PROMPTS))
    words = (words - words.mean(-1, keepdim=True)) / (words.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    assert torch.allclose(with_words(PROMPTS) - plain(PROMPTS), words, atol=1e-4)


@pytest.mark.parametrize(
    "prompt", ["a red apple", "Hello, WORLD!", "naïve café — 你好 🍎", "don't  stop\n now", "x" * 400, "", "<&amp;>"]
)
def test_tokens_are_those_of_open_clip(prompt):
    read = open_clip.get_tokenizer("ViT-B-32")
    assert torch.equal(token_ids([prompt]), read(prompt))
    ours, _ = pair()
    kept = [token.id for token in ours.tokens(prompt) if token.kept]
    row = read(prompt)[0]
    assert kept == row[: int(row.argmax()) + 1].tolist()


def test_marks_that_are_typed_are_words():
    """As transformers' tokenizer reads them, which knows no such marks: one start, one end."""
    ours, _ = pair()
    tokens = ours.tokens("cat <end_of_text> dog &lt;START_OF_TEXT&gt;")
    assert [t.text for t in tokens[1:-1]] == [
        *("cat", "<", "end", "_", "of", "_", "text", ">", "dog", "<", "start", "_", "of", "_", "text", ">"),
    ]
    assert token_ids(["cat <end_of_text> dog"])[0].tolist().count(END) == 1
    assert ours.heard("<end_of_text>") == "<end_of_text>"


def test_token_texts():
    """Numbers from the published vocabulary of CLIP."""
    ours, _ = pair()
    tokens = ours.tokens("a photo of a CAT")
    assert [t.id for t in tokens] == [START, 320, 1125, 539, 320, 2368, END]
    assert [t.text for t in tokens] == ["<start_of_text>", "a", "photo", "of", "a", "cat", "<end_of_text>"]
    assert all(t.kept and t.known for t in tokens)
    pieces = [t.text for t in ours.tokens("unicornish")][1:-1]
    assert len(pieces) > 1 and "".join(pieces) == "unicornish"


def test_an_over_long_prompt_keeps_its_first_words_and_the_end_mark():
    ours, _ = pair()
    words = [f"{['cat', 'dog', 'sun'][i % 3]}" for i in range(100)]
    tokens = ours.tokens(" ".join(words))
    assert len(tokens) == 102 and tokens[-1].id == END and tokens[-1].kept
    assert [t.kept for t in tokens] == [True] * 76 + [False] * 25 + [True]
    assert [t.text for t in tokens[1:-1]] == words
    row = token_ids([" ".join(words)])[0].tolist()
    assert row == [t.id for t in tokens if t.kept] and len(row) == 77
    just = ours.tokens(" ".join(words[:75]))
    assert len(just) == 77 and all(t.kept for t in just)


def test_words_that_were_cut_do_not_count():
    ours, _ = pair()
    long = " ".join(["cat"] * 75)
    assert torch.equal(ours([long]), ours([long + " dog"]))
    assert not torch.equal(ours([long]), ours([" ".join(["cat"] * 74 + ["dog"])]))


def test_a_vocabulary_stored_in_part():
    """Known words keep their rows to the bit; all the others share one, and are said to be unknown."""
    whole, _ = pair()
    known = torch.zeros(49408, dtype=torch.bool)
    known[token_ids(["red apple", "blue cat"]).flatten()] = True
    state = transformers_names(whole.tower, known)
    assert state["text_model.embeddings.token_embedding.weight"].shape == (int(known.sum()) + 1, 16)
    again = TextEncoder.from_state(asdict(SMALL), state)
    assert torch.equal(again(["red cat"]), whole(["red cat"]))
    told = {t.text: t.known for t in again.tokens("red zebra apple violin")}
    assert told["red"] and told["apple"] and not told["zebra"] and not told["violin"]
    assert torch.equal(again(["red zebra"]), again(["red violin"]))
    assert not torch.equal(again(["red zebra"]), again(["red apple"]))
    # the shared row is the mean of those that were left out
    rows = whole.tower.state_dict()["token_embedding.weight"]
    shared = again.tower.state_dict()["token_embedding.weight"][2368 if not known[2368] else 5000]
    assert torch.allclose(shared, rows[~known].double().mean(0).float(), atol=1e-5)


def test_names_go_round():
    """Our tower -> transformers' names -> transformers' own model, strictly -> the same states."""
    ours, theirs = pair()
    state = transformers_names(ours.tower, torch.ones(49408, dtype=torch.bool))
    ids, rows = state.pop("token_ids"), state["text_model.embeddings.token_embedding.weight"]
    assert torch.equal(ids, torch.arange(49408))
    state["text_model.embeddings.token_embedding.weight"] = rows[:-1]  # without the shared one
    assert state.keys() == theirs.state_dict().keys()
    for key, value in theirs.state_dict().items():
        assert torch.equal(state[key], value), key
    back = open_clip_names({k.removeprefix("text_model."): v for k, v in state.items()}, 2)
    tower = ours.tower.state_dict()
    assert back.keys() == tower.keys() and all(torch.equal(back[key], tower[key]) for key in tower)


def test_a_tower_without_a_projection_loads():
    """Stable Diffusion's text encoders come as CLIPTextModel, some with position_ids beside the weights."""
    _, theirs = pair()
    state = {k: v for k, v in theirs.state_dict().items() if k != "text_projection.weight"}
    state["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    ours = TextEncoder.from_state(asdict(SMALL), state)
    with torch.no_grad():
        wanted = theirs(token_ids(["cat"])).last_hidden_state
    assert relative(ours(["cat"]), wanted) < 1e-5


def test_bad_input():
    ours, theirs = pair()
    with pytest.raises(ValueError, match="a prompt must be text, got int"):
        ours.tokens(3)
    for prompts in ([], ["a", None], "a bare string"):
        with pytest.raises(ValueError, match="wanted a list of at least one prompt, got"):
            ours(prompts)
        with pytest.raises(ValueError, match="wanted a list of at least one prompt, got"):
            ours.embed(prompts)
    with pytest.raises(ValueError, match="'gelu' or 'quick_gelu', got 'relu'"):
        TextEncoder(replace(SMALL, hidden_act="relu"))
    state = theirs.state_dict()
    with pytest.raises(ValueError, match="lack"):
        TextEncoder.from_state(asdict(SMALL), {k: v for k, v in state.items() if "layers.1.mlp.fc2" not in k})
    with pytest.raises(ValueError, match=r"has ln_final\.bias \(16,\) instead of \(24,\)"):
        TextEncoder.from_state(asdict(replace(SMALL, hidden_size=24)), state)
