"""Many visitors, one device: calls of a network that wait at the same time are answered by one forward pass."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Condition
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
    """What runs one pass at a time. ``waiting``: calls that no pass has taken along yet."""

    def __init__(self) -> None:
        self.changed, self.busy, self.waiting = Condition(), False, 0

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The device to oneself."""
        with self.changed:
            self.changed.wait_for(lambda: not self.busy)
            self.busy = True
        try:
            yield
        finally:
            self.free()

    def free(self) -> None:
        with self.changed:
            self.busy = False
            self.changed.notify_all()


class Broker:
    """A function of rows, asked from many threads and run in one at a time.

    Who finds the device free runs everything that waits and fits, as one batch; who finds it taken waits, until another
    has brought the answer or it is free. Alone, it is a plain call.

    function: tensors (B, ...) -> tensor (B, ...), each row's answer from that row alone. most: numbers in one pass,
    counted in the first tensor.
    """

    def __init__(self, function: Callable[..., Tensor], device: Device, most: int):
        self.function, self.most, self.device = function, most, device
        self._waiting: list[Call] = []
        self._shared, self._seconds = 1, 0.0  # calls in the last pass, and how long it took

    def __call__(self, *rows: Tensor) -> Tensor:
        call, device = Call(rows), self.device
        with device.changed:
            self._waiting.append(call)
            device.waiting += 1
            device.changed.notify_all()
            device.changed.wait_for(lambda: call.done or not device.busy)
            taken = []
            if not call.done:
                device.busy = True
                taken = self._take(call)
        if taken:
            try:
                self._pass(taken)
            finally:
                device.free()
        if call.error is not None:
            raise call.error
        assert call.answer is not None
        return call.answer

    def _take(self, first: Call) -> list[Call]:
        """The calls of the next pass; those who shared the last one are waited for a little."""

        def complete() -> bool:
            """Whether all are back whom the last pass has answered, or some wait for another pass on this device."""
            return len(self._waiting) >= self._shared or self.device.waiting > len(self._waiting)

        self.device.changed.wait_for(complete, PATIENCE * self._seconds)
        taken, numbers = [first], first.rows[0].numel()
        for call in self._waiting:
            if call is not first and first.fits(call) and numbers + call.rows[0].numel() <= self.most:
                taken.append(call)
                numbers += call.rows[0].numel()
        self._waiting = [one for one in self._waiting if one not in taken]
        self.device.waiting -= len(taken)
        return taken

    @torch.no_grad()
    def _pass(self, taken: list[Call]) -> None:
        began = time.perf_counter()
        try:
            parts = zip(*(call.rows for call in taken), strict=True)
            together = taken[0].rows if len(taken) == 1 else [torch.cat(part) for part in parts]
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
        self._unet, self._device, self._ask = unet, device, Broker(unet, device, MOST_NOISY)

    def __call__(self, x: Tensor, t: Tensor, context: Tensor, **looked_at: Any) -> Tensor:
        if any(value is not None for value in looked_at.values()):
            with self._device.alone():
                return self._unet(x, t, context, **looked_at)
        return self._ask(x, t, context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)


class SharedVAE:
    """A VAE that decodes together, and encodes one picture after the other."""

    def __init__(self, vae: VAE, device: Device):
        self._vae, self._device, self.decode = vae, device, Broker(vae.decode, device, MOST_DECODED)

    def encode(self, *args: Any, **options: Any) -> Tensor:
        with self._device.alone():
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
