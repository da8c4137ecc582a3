"""A network that finds the noise in points of the plane: small enough to be trained while one watches."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from core.networks.layers import timestep_embedding

FREQUENCIES = (1.5, 3.0, 6.0)  # of x: without them a small network blurs what is finer than its own bends
TIME_FEATURES, SLOWER = 32, 32  # of t, slowed so that neighbouring times look alike


class PointNetwork(nn.Module):
    """(x_t, t) -> the network's answer (noise, points or v, as it was trained), called as the U-Net is.

    Its input is x, Fourier features of x, and sinusoidal features of t.

    Args:
        width: neurons in each of three hidden layers.
        generator: where the first weights come from, uniform within 1 / sqrt(inputs) of 0 as torch's own.
    Shapes: x (B, 2), t (B,), counted from 0 as a network's time is -> (B, 2).
    Source: Tancik et al. (2020), arXiv 2006.10739 (Fourier features).
    """

    def __init__(self, width: int = 128, *, generator: torch.Generator | None = None):
        super().__init__()
        sizes = [2 + 4 * len(FREQUENCIES) + TIME_FEATURES, width, width, width]
        layers = [(nn.Linear(a, b), nn.SiLU()) for a, b in pairwise(sizes)]
        self.layers = nn.Sequential(*(part for pair in layers for part in pair), nn.Linear(width, 2))
        with torch.no_grad():
            for layer in self.layers:
                if isinstance(layer, nn.Linear):
                    for weights in (layer.weight, layer.bias):
                        weights.copy_((2 * torch.rand(weights.shape, generator=generator) - 1) / layer.in_features**0.5)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        fourier = [f(k * x) for k in FREQUENCIES for f in (torch.sin, torch.cos)]
        return self.layers(torch.cat([x, *fourier, timestep_embedding(t / SLOWER, TIME_FEATURES).to(x)], dim=1))
