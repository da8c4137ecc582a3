"""Many visitors, one device: calls of a network that wait at the same time are answered by one forward pass, and all
passes run in one thread."""

import copy
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from threading import Condition
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from core.networks.unet import UNet
from core.networks.vae import VAE
from core.pipeline import TextToImage
from explorer import errors

T = TypeVar("T")
# Numbers in one pass: 8 and 2 latents of Stable Diffusion, 128 and 32 of 16 x 16.
MOST_NOISY, MOST_DECODED = 2**17, 2**15
CROWD = 8  # visitors in one pass
PATIENCE = 0.25  # of a pass, to wait for those who drew a moment ago


class Networks:
    """The thread that all passes run in, one after the other, in the order of asking.

    changed: told of all that comes, and guards it. Only the thread itself ever waits for it: sixteen who wait would all
    be woken by everything that comes. jobs: how many have not begun. cores: of the machine, once they are gathered.
    """

    def __init__(self) -> None:
        self.changed, self.jobs, self.cores = Condition(), 0, 0
        self._thread = ThreadPoolExecutor(1, "networks")

    def submit(self, job: Callable[[], T]) -> Future[T]:
        """The job's result, some time."""

        def run() -> T:
            with self.changed:
                self.jobs -= 1
            return job()

        with self.changed:
            self.jobs += 1
            self.changed.notify()
        return self._thread.submit(run)


NETWORKS = Networks()


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
        torch.set_num_threads(max(1, NETWORKS.cores - 1))

    NETWORKS.cores = torch.get_num_threads()
    NETWORKS.submit(most_cores).result()
    torch.set_num_threads(1)


@contextmanager
def cores_for(visitors: int) -> Iterator[None]:
    """The last core, too, for the pass of a crowd: there is little else that they wait for."""
    crowd = visitors >= CROWD and NETWORKS.cores > 1
    if crowd:
        torch.set_num_threads(NETWORKS.cores)
    try:
        yield
    finally:
        if crowd:
            torch.set_num_threads(NETWORKS.cores - 1)


def on_networks(function: Callable[..., T], *args: Any, **options: Any) -> T:
    """The function's result, computed in the thread of the networks; with gradients if the caller wants them."""

    def run() -> T:
        with torch.set_grad_enabled(wanted):
            return function(*args, **options)

    wanted = torch.is_grad_enabled()
    return NETWORKS.submit(run).result()


@dataclass(frozen=True, eq=False)
class Call:
    """One visitor's rows, and their answer once a pass has taken them along."""

    rows: tuple[Tensor, ...]
    answer: Future[Tensor] = field(default_factory=Future)

    def fits(self, other: "Call") -> bool:
        """Whether both can go into one pass: only their number of rows may differ."""
        return all(
            a.shape[1:] == b.shape[1:] and a.dtype == b.dtype and a.device == b.device
            for a, b in zip(self.rows, other.rows, strict=True)
        )


class Broker:
    """A function of rows, asked from many threads: all that waits and fits is answered by one pass. Alone, it is a
    plain call.

    function: tensors (B, ...) -> tensor (B, ...), each row's answer from that row alone. most: numbers in one pass,
    counted in the first tensor. together: answers passes of several visitors in place of ``function``, if given.
    waiting: calls that no pass has taken along yet; as long as there are any, a pass is asked for.
    """

    def __init__(
        self, function: Callable[..., Tensor], most: int, together: Callable[..., Tensor] | None = None
    ) -> None:
        self.function, self.most, self.together = function, most, together
        self.waiting: list[Call] = []
        self._expected, self._seconds = 1, 0.0  # calls during the last pass, its own among them; how long it took

    def __call__(self, *rows: Tensor) -> Tensor:
        call = Call(rows)
        with NETWORKS.changed:
            self.waiting.append(call)
            NETWORKS.changed.notify()
            if len(self.waiting) == 1:
                NETWORKS.submit(self._pass)
        try:
            return call.answer.result()
        finally:
            del call  # a failure's traceback would hold it, and it the failure

    def _pass(self) -> None:
        with NETWORKS.changed:
            taken = self._take()
            if self.waiting:
                NETWORKS.submit(self._pass)
        began = time.perf_counter()
        try:
            answers = self._answers(taken)
        except BaseException as error:
            for call in taken:
                call.answer.set_exception(errors.without_frames(error))
            return
        # Before anyone is answered, who could come back and be counted twice.
        self._expected, self._seconds = len(taken) + len(self.waiting), time.perf_counter() - began
        for call, answer in zip(taken, answers, strict=True):
            call.answer.set_result(answer)

    def _take(self) -> list[Call]:
        """The calls of the next pass; who shared the last one, or came while it ran, is waited for a little."""
        first = self.waiting[0]
        expected = min(self._expected, self.most // max(1, first.rows[0].numel()))
        NETWORKS.changed.wait_for(lambda: len(self.waiting) >= expected or NETWORKS.jobs, PATIENCE * self._seconds)
        taken, numbers = [first], first.rows[0].numel()
        for call in self.waiting[1:]:
            if first.fits(call) and numbers + call.rows[0].numel() <= self.most:
                taken.append(call)
                numbers += call.rows[0].numel()
        self.waiting = [one for one in self.waiting if one not in taken]
        return taken

    @torch.no_grad()
    def _answers(self, taken: list[Call]) -> Sequence[Tensor]:
        if len(taken) == 1:
            return [self.function(*taken[0].rows)]
        rows = (torch.cat(part) for part in zip(*(call.rows for call in taken), strict=True))
        with cores_for(len(taken)):
            answer = (self.together or self.function)(*rows)
        return answer.split([len(call.rows[0]) for call in taken])


class SharedUNet:
    """A U-Net whose calls are answered together. One that is recorded is answered alone: a record holds one visitor's
    maps.

    hurried: the same, of which `hurried` tells.
    """

    hurried: "SharedUNet"

    def __init__(self, unet: UNet, together: Callable[..., Tensor] | None = None):
        self._unet, self._ask = unet, Broker(unet, MOST_NOISY, together)

    def __call__(self, x: Tensor, t: Tensor, context: Tensor, **looked_at: Any) -> Tensor:
        if any(value is not None for value in looked_at.values()):
            return on_networks(self._unet, x, t, context, **looked_at)
        return self._ask(x, t, context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._unet, name)


class SharedVAE:
    """A VAE that decodes together, and encodes one picture after the other."""

    def __init__(self, vae: VAE):
        self._vae, self.decode = vae, Broker(vae.decode, MOST_DECODED)

    def encode(self, *args: Any, **options: Any) -> Tensor:
        return on_networks(self._vae.encode, *args, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vae, name)


def shared(model: TextToImage) -> TextToImage:
    """The same model, its network calls shared by all who draw with it; samplers and pipeline do not notice.

    Where every run has a process of its own (ZeroGPU) there is nothing to share, and it is returned as it is.
    """
    if os.environ.get("SPACES_ZERO_GPU"):
        return model
    unet, vae = SharedUNet(model.unet), SharedVAE(model.vae)
    unet.hurried = SharedUNet(model.unet, halved(model.unet))
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

    @cache
    def copied() -> UNet:
        # Convolutions want the channels of a place side by side, torch's GroupNorm wants each channel's places so.
        side_by_side = copy.deepcopy(unet).bfloat16().to(memory_format=torch.channels_last)
        for layer in side_by_side.modules():
            if isinstance(layer, nn.GroupNorm):
                layer.register_forward_pre_hook(lambda _, x: (x[0].contiguous(),))
                layer.register_forward_hook(lambda _, x, y: y.contiguous(memory_format=torch.channels_last))
        return side_by_side

    return lambda x, t, context: copied()(x.bfloat16(), t, context.bfloat16()).to(x.dtype)
