"""Attention: from the picture to itself, and from the picture to the words."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class Record:
    """What a network saw, filled when passed as ``record=``; nothing is kept otherwise.

    attention: block name -> cross-attention weights, shape (B, heads, H * W, L); every row sums to 1.
    features: block name -> feature map, shape (B, C, H, W).
    pooled: what the one vector of a `TextEmbedding` is mixed of, shape (B, heads, 1 + L): the text's mean, then every
        word; sums to 1. None where there is no such vector.
    """

    attention: dict[str, Tensor] = field(default_factory=dict)
    features: dict[str, Tensor] = field(default_factory=dict)
    pooled: Tensor | None = None


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """softmax(q k^T / sqrt(d)) v in ``heads`` heads, and the softmax itself.

    Shapes: q (B, N, C), k and v (B, L, C) -> (B, N, C) and (B, heads, N, L), the latter in float32 at least: scores
    can leave the range of float16. mask: the attention mask (B, 1, 1, L), True = attended; where it is False, a key is
    masked out: its weight is 0.
    Source: Vaswani et al. (2017), arXiv 1706.03762, equation 1.
    """
    dtype = v.dtype
    q, k, v = (split_heads(x, heads).float() if dtype.itemsize < 4 else split_heads(x, heads) for x in (q, k, v))
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = torch.softmax(scores, dim=-1)
    return merge_heads(weights @ v).to(dtype), weights


def split_heads(x: Tensor, heads: int) -> Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, N, C) -> (B, heads, N, C / heads)


def merge_heads(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)  # (B, heads, N, d) -> (B, N, heads * d)


class Attention(nn.Module):
    """Queries from ``x`` attend to keys and values from ``context`` (cross-attention), or from ``x`` (self-attention).

    upcast: keys and queries are too large for float16, as in Stable Diffusion 2.1. CUDA's fused attention sums in
    float32 anyway; elsewhere the layer then computes in float32.
    """

    def __init__(self, channels: int, context_channels: int, heads: int, *, bias: bool = False, upcast: bool = False):
        super().__init__()
        if channels % heads:
            raise ValueError(f"{heads} attention heads must divide the {channels} channels")
        self.heads, self.upcast = heads, upcast
        self.to_q = nn.Linear(channels, channels, bias=bias)
        self.to_k = nn.Linear(context_channels, channels, bias=bias)
        self.to_v = nn.Linear(context_channels, channels, bias=bias)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(
        self,
        x: Tensor,
        context: Tensor | None = None,
        record: Record | None = None,
        name: str = "",
        mask: Tensor | None = None,
    ) -> Tensor:
        """x (B, N, C), context (B, L, D) -> (B, N, C); mask (B, 1, 1, L) of the context, True = attended."""
        context = x if context is None else context
        q, k, v = self.to_q(x), self.to_k(context), self.to_v(context)
        if self.upcast and not x.is_cuda:
            q, k, v = q.float(), k.float(), v.float()
        if record is None:  # the same sum without keeping the weights
            q, k, v = (split_heads(y, self.heads) for y in (q, k, v))
            out = merge_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
        else:
            out, weights = attend(q, k, v, self.heads, mask)
            record.attention[name] = weights
        return self.to_out[0](out.to(x.dtype))


def not_padding(context: Tensor) -> Tensor:
    """The attention mask (B, 1, 1, L) of a context (B, L, D): True where a row is not all zero; all True if none is."""
    mask = (context != 0).any(dim=-1)
    return (mask | ~mask.any(dim=1, keepdim=True))[:, None, None]


class AttentionPooling(nn.Module):
    """A whole text in one vector: its mean is the query, all words and the mean itself are keys and values.

    Shapes: (B, L, D) -> (B, D); mask (B, 1, 1, L), True = attended. What is masked out is not in the mean either.
    Source: Radford et al. (2021), arXiv 2103.00020, section 2.4 (there over a picture); for text as in DeepFloyd IF.
    """

    def __init__(self, channels: int, heads: int):
        super().__init__()
        if channels % heads:
            raise ValueError(f"{heads} attention heads must divide the {channels} channels")
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.randn(1, channels) / channels**0.5)
        self.k_proj, self.q_proj, self.v_proj = (nn.Linear(channels, channels) for _ in range(3))

    def forward(self, x: Tensor, mask: Tensor | None = None, record: Record | None = None) -> Tensor:
        attended = torch.ones_like(x[..., :1]) if mask is None else mask[:, 0, 0, :, None].to(x)
        mean = (x * attended).sum(1, keepdim=True) / attended.sum(1, keepdim=True) + self.positional_embedding
        x = torch.cat([mean, x], dim=1)
        mask = None if mask is None else F.pad(mask, (1, 0), value=True)  # the mean is attended
        out, weights = attend(self.q_proj(mean), self.k_proj(x), self.v_proj(x), self.heads, mask)
        if record is not None:
            record.pooled = weights[:, :, 0]
        return out[:, 0]


class TextEmbedding(nn.Module):
    """What the whole text adds to the time embedding, so that every residual block is told of it, not attention alone.

    Shapes: (B, L, D) -> (B, time_channels). It starts at 0, so that a network can learn with it or go on without.
    Source: Saharia et al. (2022), arXiv 2205.11487, section 2.5: "pooled embedding vector, added to the diffusion
    timestep embedding".
    """

    def __init__(self, channels: int, time_channels: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.pool = AttentionPooling(channels, heads)
        self.proj = nn.Linear(channels, time_channels)
        self.norm2 = nn.LayerNorm(time_channels)
        nn.init.zeros_(self.norm2.weight)

    def forward(self, context: Tensor, mask: Tensor | None = None, record: Record | None = None) -> Tensor:
        return self.norm2(self.proj(self.pool(self.norm1(context), mask, record)))


class GEGLU(nn.Module):
    """x W1 * gelu(x W2). Source: Shazeer (2020), arXiv 2002.05202."""

    def __init__(self, dim_in: int, dim_out: int):
        super().__init__()
        self.proj = nn.Linear(dim_in, 2 * dim_out)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """An MLP on every row by itself, four times as wide inside, with GEGLU: (B, N, C) -> (B, N, C)."""

    def __init__(self, channels: int):
        super().__init__()
        self.net = nn.ModuleList([GEGLU(channels, 4 * channels), nn.Identity(), nn.Linear(4 * channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.net:
            x = layer(x)
        return x


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention to the words, feed-forward; each behind a LayerNorm and added to its input."""

    def __init__(self, channels: int, context_channels: int, heads: int, *, upcast: bool = False):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(channels, channels, heads, upcast=upcast)
        self.norm2 = nn.LayerNorm(channels)
        self.attn2 = Attention(channels, context_channels, heads, upcast=upcast)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, x: Tensor, context: Tensor, record: Record | None, name: str, mask: Tensor | None) -> Tensor:
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context, record, name, mask)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """A transformer over the H * W positions of a feature map, added to the map.

    Shapes: x (B, C, H, W), context (B, L, D) -> (B, C, H, W); mask (B, 1, 1, L) of the context, True = attended.
    Source: Rombach et al. (2022), arXiv 2112.10752, section 3.3 and appendix E.2.1.
    """

    def __init__(
        self,
        channels: int,
        context_channels: int,
        heads: int,
        *,
        depth: int,
        groups: int,
        linear: bool,
        upcast: bool = False,
    ):
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.linear = linear  # Stable Diffusion 2 projects by a linear layer, 1 by a 1 x 1 convolution: the same sum
        self.proj_in = nn.Linear(channels, channels) if linear else nn.Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList(
            [TransformerBlock(channels, context_channels, heads, upcast=upcast) for _ in range(depth)]
        )
        self.proj_out = nn.Linear(channels, channels) if linear else nn.Conv2d(channels, channels, 1)

    def forward(
        self,
        x: Tensor,
        context: Tensor,
        record: Record | None = None,
        name: str = "",
        mask: Tensor | None = None,
    ) -> Tensor:
        height, width = x.shape[-2:]
        h = self.norm(x)
        h = self.proj_in(to_rows(h)) if self.linear else to_rows(self.proj_in(h))
        for i, block in enumerate(self.transformer_blocks):
            h = block(h, context, record, f"{name}.{i}", mask)
        h = to_map(self.proj_out(h), height, width) if self.linear else self.proj_out(to_map(h, height, width))
        return x + h


def to_rows(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)  # (B, C, H, W) -> (B, H * W, C)


def to_map(x: Tensor, height: int, width: int) -> Tensor:
    return x.transpose(1, 2).unflatten(2, (height, width))  # (B, H * W, C) -> (B, C, H, W)


class PixelAttention(nn.Module):
    """Single-head self-attention over the positions of a feature map (B, C, H, W), for the middle of a VAE."""

    def __init__(self, channels: int, *, groups: int):
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x: Tensor) -> Tensor:
        rows = to_rows(self.group_norm(x))
        h = F.scaled_dot_product_attention(self.to_q(rows), self.to_k(rows), self.to_v(rows))
        return x + to_map(self.to_out[0](h), *x.shape[-2:])
