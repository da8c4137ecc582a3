"""Many visitors, one device: calls of a network that wait at the same time are answered by one forward pass."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Condition, Lock
from typing import Any, cast

import torch
from torch import Tensor

from core.networks.unet import UNet
from core.networks.vae import VAE
from core.pipeline import TextToImage

MOST_NOISY, MOST_DECODED = (
    2**17,
    2**15,
)  # numbers in one pass: 8 and 2 latents of Stable Diffusion, 128 and 32 of 16 x 16
PATIENCE = 0.25  # of a pass, to wait for those who shared the last one


@dataclass(eq=False)
class Call:
    """One visitor's rows, and their answer once a pass has taken them along."""

    rows: tuple[Tensor, ...]
    answer: Tensor | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.answer is not None or self.error is not None

    def fits(self, other: "Call") -> bool:
        """Whether both can go into one pass: only their number of rows may differ."""
        return all(
            a.shape[1:] == b.shape[1:] and a.dtype == b.dtype and a.device == b.device
            for a, b in zip(self.rows, other.rows, strict=True)
        )


class Device:
    """What runs one pass at a time, and who waits for it."""

    def __init__(self) -> None:
        self.turn, self.arrived, self.waiting = Lock(), Condition(), 0


class Broker:
    """A function of rows, asked from many threads and run in one at a time.

    Who finds the device free runs everything that waits and fits, as one batch; who finds it taken waits for its turn,
    and mostly finds its answer there. Alone, it is a plain call under a lock.

    function: tensors (B, ...) -> tensor (B, ...), each row's answer from that row alone. most: numbers in one pass,
    counted in the first tensor.
    """

    def __init__(self, function: Callable[..., Tensor], device: Device, most: int):
        self.function, self.most, self.device = function, most, device
        self._waiting: list[Call] = []
        self._shared, self._seconds = 1, 0.0  # calls in the last pass, and how long it took

    def __call__(self, *rows: Tensor) -> Tensor:
        call = Call(rows)
        with self.device.arrived:
            self._waiting.append(call)
            self.device.waiting += 1
            self.device.arrived.notify_all()
        with self.device.turn:
            if not call.done:
                self._pass(call)
        if call.error is not None:
            raise call.error
        assert call.answer is not None
        return call.answer

    @torch.no_grad()
    def _pass(self, first: Call) -> None:
        def complete() -> bool:
            """Whether all are back whom the last pass has answered, or some wait for another pass on this device."""
            return len(self._waiting) >= self._shared or self.device.waiting > len(self._waiting)

        with self.device.arrived:
            self.device.arrived.wait_for(complete, PATIENCE * self._seconds)
            taken, numbers = [first], first.rows[0].numel()
            for call in self._waiting:
                if call is not first and first.fits(call) and numbers + call.rows[0].numel() <= self.most:
                    taken.append(call)
                    numbers += call.rows[0].numel()
            self._waiting = [one for one in self._waiting if one not in taken]
            self.device.waiting -= len(taken)
        began = time.perf_counter()
        try:
            together = (
                first.rows
                if len(taken) == 1
                else [torch.cat(part) for part in zip(*(c.rows for c in taken), strict=True)]
            )
            answers = self.function(*together).split([len(call.rows[0]) for call in taken])
        except BaseException as error:
            for call in taken:
                call.error = error
        else:
            for call, answer in zip(taken, answers, strict=True):
                call.answer = answer
        self._shared, self._seconds = len(taken), time.perf_counter() - began


class SharedUNet:
    """A U-Net whose calls are answered together. One that is recorded is answered alone: a record holds one visitor's
    maps."""

    def __init__(self, unet: UNet, device: Device):
        self._unet, self._turn, self._ask = unet, device.turn, Broker(unet, device, MOST_NOISY)

    def __call__(self, x: Tensor, t: Tensor, context: Tensor, **looked_at: Any) -> Tensor:
        if any(value is not None for value in looked_at.values()):
            with self._turn:
                return self._unet(x, t, context, **looked_at)
        return self._ask(x, t, context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)


class SharedVAE:
    """A VAE that decodes together, and encodes one picture after the other."""

    def __init__(self, vae: VAE, device: Device):
        self._vae, self._turn, self.decode = vae, device.turn, Broker(vae.decode, device, MOST_DECODED)

    def encode(self, *args: Any, **options: Any) -> Tensor:
        with self._turn:
            return self._vae.encode(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vae, name)


def shared(model: TextToImage) -> TextToImage:
    """The same model, its network calls shared by all who draw with it; samplers and pipeline do not notice.

    Where every run has a process of its own (ZeroGPU) there is nothing to share, and it is returned as it is.
    """
    if os.environ.get("SPACES_ZERO_GPU"):
        return model
    device = Device()
    unet, vae = SharedUNet(model.unet, device), SharedVAE(model.vae, device)
    return replace(model, unet=cast(UNet, unet), vae=cast(VAE, vae))
