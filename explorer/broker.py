"""Many visitors, one device: calls of a network that wait at the same time are answered by one forward pass, and all
passes run in one thread."""

import copy
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from threading import Condition
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from core.networks.unet import UNet
from core.networks.vae import VAE
from core.pipeline import TextToImage

T = TypeVar("T")
# Numbers in one pass: 8 and 2 latents of Stable Diffusion, 128 and 32 of 16 x 16.
MOST_NOISY, MOST_DECODED = 2**17, 2**15
PATIENCE = 0.25  # of a pass, to wait for those who shared the last one
NETWORKS = ThreadPoolExecutor(1, "networks")  # the thread that all passes run in


@cache
def gather_cores() -> None:
    """All cores but one to the thread of the networks, and one to every other thread from now on.

    Every thread that computes on several cores keeps threads of its own to help it. Once there are more of these than
    cores, OpenMP lets them sleep between two layers, and each time they wake late: when a few visitors have been there,
    even one who draws alone waits twice as long. And helpers on the last core keep the page from its work, and wait for
    it at every layer: a picture that is streamed then takes twice as long, too.
    """

    def most_cores() -> None:
        torch.get_num_threads()  # torch sets up a thread at its first question, and would undo what was set before
        torch.set_num_threads(max(1, cores - 1))

    cores = torch.get_num_threads()
    NETWORKS.submit(most_cores).result()
    torch.set_num_threads(1)


def on_networks(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """The function's result, computed in the thread of the networks; with gradients if the caller wants them."""

    def run() -> T:
        with torch.set_grad_enabled(wanted):
            return function(*args, **options)

    wanted = torch.is_grad_enabled()
    return NETWORKS.submit(run).result()


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
    counted in the first tensor. together: answers passes of several visitors in place of ``function``, if given.
    """

    def __init__(
        self,
        function: Callable[..., Tensor],
        device: Device,
        most: int,
        together: Callable[..., Tensor] | None = None,
    ):
        self.function, self.most, self.device, self.together = function, most, device, together
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
            if len(taken) == 1:
                answers = (on_networks(self.function, *taken[0].rows),)
            else:
                rows = (torch.cat(part) for part in zip(*(call.rows for call in taken), strict=True))
                answer = on_networks(self.together or self.function, *rows)
                answers = answer.split([len(call.rows[0]) for call in taken])
        except BaseException as error:
            for call in taken:
                call.error = error
        else:
            for call, answer in zip(taken, answers, strict=True):
                call.answer = answer
        self._shared, self._seconds = len(taken), time.perf_counter() - began


class SharedUNet:
    """A U-Net whose calls are answered together. One that is recorded is answered alone: a record holds one visitor's
    maps.

    hurried: the same, of which `hurried` tells.
    """

    hurried: "SharedUNet"

    def __init__(self, unet: UNet, device: Device, together: Callable[..., Tensor] | None = None):
        self._unet, self._device, self._ask = unet, device, Broker(unet, device, MOST_NOISY, together)

    def __call__(self, x: Tensor, t: Tensor, context: Tensor, **looked_at: Any) -> Tensor:
        if any(value is not None for value in looked_at.values()):
            with self._device.alone():
                return on_networks(self._unet, x, t, context, **looked_at)
        return self._ask(x, t, context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)


class SharedVAE:
    """A VAE that decodes together, and encodes one picture after the other."""

    def __init__(self, vae: VAE, device: Device):
        self._vae, self._device, self.decode = vae, device, Broker(vae.decode, device, MOST_DECODED)

    def encode(self, *args: Any, **options: Any) -> Tensor:
        with self._device.alone():
            return on_networks(self._vae.encode, *args, **options)

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
    unet.hurried = SharedUNet(model.unet, device, halved(model.unet))
    return replace(model, unet=cast(UNet, unet), vae=cast(VAE, vae))


def hurried(model: TextToImage) -> TextToImage:
    """The same model for who wants a picture and nothing else: what several visitors ask at once, it answers in
    bfloat16 where that is twice as quick. Who draws alone gets the same bytes as ever."""
    return replace(model, unet=getattr(model.unet, "hurried", model.unet))


def halved(unet: UNet) -> Callable[..., Tensor] | None:
    """A U-Net in bfloat16, copied at the first call; None where float32 is as quick: off CPUs with matrix units."""
    weight = unet.conv_in.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or not torch.cpu._is_amx_tile_supported():
        return None
    copied = cache(lambda: copy.deepcopy(unet).bfloat16())
    return lambda x, t, context: copied()(x.bfloat16(), t, context.bfloat16()).to(x.dtype)
