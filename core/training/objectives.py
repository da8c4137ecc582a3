"""What the VAE, CLIP and the classifier minimise; a denoiser's objective is in loop.py."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.networks.classifier import PictureClassifier
from core.networks.vae import VAE


class Reconstruction(nn.Module):
    """L1 + 2 MSE + 1/2 L1 of the picture's gradients + 2e-3 KL to N(0, I), for a VAE.

    The gradients keep strokes sharp; the KL term is weak, so that latents are smooth but hold the picture.
    Source: Kingma & Welling (2014), arXiv 1312.6114, equation 10, with weights measured on emoji pictures.
    """

    def __init__(self, vae: VAE):
        super().__init__()
        self.vae = vae

    def draw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        side = x.shape[-1] // self.vae.config.factor
        return x, torch.randn(len(x), self.vae.config.latent_channels, side, side).to(x)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        mean, log_var = self.vae.moments(x)
        y = self.vae.reconstruct(mean + (log_var / 2).exp() * noise).float()
        difference = y - x
        edges = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
        mean, log_var = mean.float(), log_var.float()
        kl = (mean.square() + log_var.exp() - 1 - log_var).mean() / 2
        return difference.abs().mean() + 2 * difference.square().mean() + 0.5 * edges + 2e-3 * kl


class Contrast(nn.Module):
    """Pictures and their captions find each other in the batch.

    Source: Radford et al. (2021), arXiv 2103.00020, figure 3.
    """

    def __init__(self, clip: nn.Module):
        super().__init__()
        self.clip = clip

    def forward(self, images: Tensor, tokens: Tensor) -> Tensor:
        image, text, scale = self.clip(images, tokens)
        logits = scale.clamp(max=100).float() * image.float() @ text.float().T
        target = torch.arange(len(logits), device=logits.device)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


class Classification(nn.Module):
    def __init__(self, classifier: PictureClassifier):
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor, *labels: Tensor) -> Tensor:
        answers = self.classifier(x)
        losses = [F.cross_entropy(a.float(), b, label_smoothing=0.05) for a, b in zip(answers, labels, strict=True)]
        return torch.stack(losses).sum()
