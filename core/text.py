"""CLIP's text side: words to tokens to the vectors that a U-Net attends to, through open_clip."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import QuickGELU, TextTransformer
from torch import Tensor, nn

LENGTH = 77  # every CLIP text tower reads this many tokens, start and end marks included


@dataclass(frozen=True)
class Token:
    """One token of a prompt.

    known: the text tower was trained on it. kept: it fits before the end mark; False for words cut
    from an over-long prompt.
    """

    id: int
    text: str
    known: bool
    kept: bool


class Few(dict[str, str]):
    """The pieces of words already read; open_clip keeps those of every word that anyone ever types."""

    def __setitem__(self, word: str, pieces: str) -> None:
        if len(self) < 10_000 and len(word) < 100:
            super().__setitem__(word, pieces)


@cache
def tokenizer() -> SimpleTokenizer:
    """open_clip's, but a start or end mark that is typed is words like others, so that a prompt ends once."""
    read = SimpleTokenizer(context_length=LENGTH)
    clean = read.clean_fn
    read.cache = Few(read.cache)
    read.clean_fn = lambda x: re.sub(r"<((start|end)_of_text)>", r"< \1 >", clean(x))
    return read


def token_ids(prompts: Sequence[str], length: int = LENGTH) -> Tensor:
    """open_clip's own tokens: start, words, end, zeros; int64 (B, length). A prompt too long keeps its first words.

    They are those of transformers' CLIPTokenizer, which diffusers asks, but that
    - the text is cleaned first, as CLIP's was: ftfy makes curly quotes straight, spells out ligatures and full-width
      letters, drops control characters and mends mojibake; then come HTML's entities and Python's small letters;
    - "!" is a sign as any (256; or a part of "!!" or "?!"), as Stable Diffusion 2 was trained. diffusers' tokenizer for
      it takes each "!" for its padding, 0;
    - marks that are typed are words.
    Characters that Unicode gained lately, or not yet, may be split elsewhere.
    """
    return tokenizer()(list(prompts), context_length=length)


@dataclass(frozen=True)
class TextConfig:
    """Sizes of a text tower; the names are those of transformers' CLIPTextConfig, but for the last.

    pad_token_id: what follows the end mark: 49407 in Stable Diffusion 1, 0 in 2.
    add_embeddings: add to each state the normalised word vector it came from, so that a young tower loses no word.
    whiten: pass each state through a stored linear map that makes the states of the training captions uncorrelated and
        of variance 1 (see `whitening`), so that what tells two names apart is as large as what tells two styles apart.
    zero_after_end: set the states after the end mark to zero (the embedded models), rather than let the U-Net attend to
        what the tower makes of padding (Stable Diffusion).
    """

    vocab_size: int = 49408
    hidden_size: int = 128
    intermediate_size: int = 512
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    max_position_embeddings: int = LENGTH
    hidden_act: str = "gelu"
    pad_token_id: int = 0
    projection_dim: int = 128
    zero_after_end: bool = False
    add_embeddings: bool = False
    whiten: bool = False


class TextEncoder(nn.Module):
    """Prompts to token states, (B, 77, hidden_size): the last layer behind the final LayerNorm.

    Source: Radford et al. (2021), arXiv 2103.00020, section 2.4.
    """

    known: Tensor  # (vocab_size,) bool: rows of the vocabulary that were trained

    def __init__(self, config: TextConfig, known: Tensor | None = None):
        super().__init__()
        if config.hidden_act not in ("gelu", "quick_gelu"):
            raise ValueError(f"hidden_act must be 'gelu' or 'quick_gelu', got {config.hidden_act!r}")
        if config.num_hidden_layers < 1:
            raise ValueError(f"num_hidden_layers must be at least 1, got {config.num_hidden_layers}")
        self.config = config
        self.tower = TextTransformer(
            context_length=config.max_position_embeddings,
            vocab_size=config.vocab_size,
            width=config.hidden_size,
            heads=config.num_attention_heads,
            layers=config.num_hidden_layers,
            mlp_ratio=config.intermediate_size / config.hidden_size,
            output_dim=config.projection_dim,
            act_layer=QuickGELU if config.hidden_act == "quick_gelu" else nn.GELU,
            output_tokens=True,
        )
        self.whiten = nn.Linear(config.hidden_size, config.hidden_size) if config.whiten else nn.Identity()
        everything = torch.ones(config.vocab_size, dtype=torch.bool)
        self.register_buffer("known", everything if known is None else known, persistent=False)

    def tokens(self, prompt: str) -> list[Token]:
        """Start mark, words, end mark; words that do not fit stand before the end mark with ``kept=False``.

        Raises: ValueError if ``prompt`` is not a string.
        """
        if not isinstance(prompt, str):
            raise ValueError(f"a prompt must be text, got {type(prompt).__name__}")
        read = tokenizer()
        words = read.encode(prompt)
        row = [read.sot_token_id, *words, read.eot_token_id]
        return [
            Token(
                i,
                read.decoder[i].removesuffix("</w>"),
                bool(self.known[i]),
                place <= LENGTH - 2 or place == len(row) - 1,
            )
            for place, i in enumerate(row)
        ]

    def heard(self, prompt: str) -> str:
        """The prompt, or none where no token of it is known, so that nothing steers by what was never read."""
        return prompt if any(token.known and token.kept for token in self.tokens(prompt)[1:-1]) else ""

    @torch.no_grad()
    def forward(self, prompts: Sequence[str]) -> Tensor:
        """Token states of each prompt, (B, 77, hidden_size).

        Raises: ValueError if there is no prompt or one is not a string.
        """
        return self.states(self.ids(prompts))

    def ids(self, prompts: Sequence[str]) -> Tensor:
        """`token_ids` where the tower is. Raises: ValueError if there is no prompt or one is not a string."""
        if isinstance(prompts, str) or not prompts or not all(isinstance(p, str) for p in prompts):
            raise ValueError(f"wanted a list of at least one prompt, got {prompts!r}")
        return token_ids(prompts).to(self.known.device)

    def states(self, ids: Tensor) -> Tensor:
        """The same from token ids (B, L) as `token_ids` gives them."""
        end = ids.argmax(dim=1, keepdim=True)  # the end mark has the largest id
        after = torch.arange(ids.shape[1], device=ids.device) > end
        ids = ids.masked_fill(after, self.config.pad_token_id)
        _, states = self.tower(ids)
        if self.config.add_embeddings:
            words = self.tower.token_embedding(ids) + self.tower.positional_embedding[: ids.shape[1]]
            states = states + nn.functional.layer_norm(words, words.shape[-1:])
        states = self.whiten(states)
        return states.masked_fill(after[:, :, None], 0) if self.config.zero_after_end else states

    def embed(self, prompts: Sequence[str]) -> Tensor:
        """One vector a prompt in the space that CLIP shares with pictures, (B, projection_dim), of length 1.

        Raises: ValueError if there is no prompt or one is not a string.
        """
        pooled, _ = self.tower(self.ids(prompts))
        return nn.functional.normalize(pooled, dim=-1)

    @classmethod
    def from_state(
        cls,
        config: Mapping[str, Any],
        state: Mapping[str, Tensor],
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> "TextEncoder":
        """A text tower from transformers' CLIPTextModel layout, ready to run on ``device`` in ``dtype``.

        A vocabulary may be stored in part: ``token_ids`` then lists the ids of the rows, and the last row stands for
        every id that is not listed.
        Raises: ValueError if the weights do not fit the config.
        """
        from core import weights

        placed = {"device": device, "dtype": dtype}
        c: TextConfig = weights.read_config(TextConfig, config)
        state = {k.removeprefix("text_model."): v for k, v in state.items() if not k.endswith("position_ids")}
        known = torch.ones(c.vocab_size, dtype=torch.bool)
        if "token_ids" in state:
            ids, rows = state.pop("token_ids"), state["embeddings.token_embedding.weight"]
            table = rows[-1].expand(c.vocab_size, -1).clone()
            table[ids] = rows[:-1]
            state["embeddings.token_embedding.weight"] = table
            known = torch.zeros(c.vocab_size, dtype=torch.bool)
            known[ids] = True
        with torch.device("meta"):  # no weights yet: neither time nor memory is spent on random ones
            encoder = cls(c, known)
        if "text_projection.weight" not in state:  # Stable Diffusion's towers come without; only `embed` needs it
            state["text_projection.weight"] = torch.zeros(c.projection_dim, c.hidden_size)
        try:
            if c.whiten:
                linear = {kind: state[f"whiten.{kind}"] for kind in ("weight", "bias")}
                weights.fill(encoder.whiten, linear, "the text encoder", **placed)
            weights.fill(encoder.tower, open_clip_names(state, c.num_hidden_layers), "the text encoder", **placed)
        except KeyError as error:
            raise ValueError(f"the text encoder's weights lack {error}") from None
        mask = encoder.tower.build_causal_mask()  # a buffer that no file holds
        encoder.tower.register_buffer("attn_mask", mask, persistent=False)
        return encoder.to(device, dtype).eval().requires_grad_(False)


def whitening(states: Tensor) -> dict[str, Tensor]:
    """z = W (x - mean) with W = (C + 0.01)^-1/2 for states (N, D) of covariance C: the weights of a tower's ``whiten``.

    Then the states have mean 0 and covariance 1, but for directions in which they hardly differ.
    Source: Kessy, Lewin & Strimmer (2018), arXiv 1512.00809, equation 8 (ZCA).
    """
    mean, (value, vector) = states.double().mean(0), torch.linalg.eigh(torch.cov(states.double().T))
    w = vector * (value + 0.01).rsqrt() @ vector.T
    return {"whiten.weight": w.float(), "whiten.bias": -(w @ mean).float()}


# transformers' name -> open_clip's, inside one layer.
LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")  # open_clip holds the three as one matrix


def open_clip_names(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """transformers' CLIPTextModel weights under the names of open_clip's text tower."""
    out = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "ln_final.weight": state["final_layer_norm.weight"],
        "ln_final.bias": state["final_layer_norm.bias"],
        "text_projection": state["text_projection.weight"].T,
    }
    for i in range(layers):
        theirs, ours = f"encoder.layers.{i}.", f"transformer.resblocks.{i}."
        for kind in ("weight", "bias"):
            out |= {f"{ours}{b}.{kind}": state[f"{theirs}{a}.{kind}"] for a, b in LAYER.items()}
            out[f"{ours}attn.in_proj_{kind}"] = torch.cat([state[f"{theirs}{a}.{kind}"] for a in QKV])
    return out


def transformers_names(tower: Any, known: Tensor) -> dict[str, Tensor]:
    """The inverse of `open_clip_names`, with only the vocabulary rows that are ``known`` and one for all others."""
    state = tower.state_dict()
    rows = state["token_embedding.weight"]
    ids = known.nonzero()[:, 0].cpu()
    out = {
        "token_ids": ids,
        "text_model.embeddings.token_embedding.weight": torch.cat([rows[ids], rows[~known].mean(0, keepdim=True)]),
        "text_model.embeddings.position_embedding.weight": state["positional_embedding"],
        "text_model.final_layer_norm.weight": state["ln_final.weight"],
        "text_model.final_layer_norm.bias": state["ln_final.bias"],
        "text_projection.weight": state["text_projection"].T,
    }
    for i in range(len(tower.transformer.resblocks)):
        theirs, ours = f"text_model.encoder.layers.{i}.", f"transformer.resblocks.{i}."
        for kind in ("weight", "bias"):
            out |= {f"{theirs}{a}.{kind}": state[f"{ours}{b}.{kind}"] for a, b in LAYER.items()}
            parts = state[f"{ours}attn.in_proj_{kind}"].chunk(3)
            out |= {f"{theirs}{a}.{kind}": part for a, part in zip(QKV, parts, strict=True)}
    return out
