"""What every run keeps to: it is written down, it ends in time, and what was just computed is not computed again."""

import logging
import math
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import isgeneratorfunction, signature
from pathlib import Path
from threading import Lock, local
from typing import Any, TypeVar

import gradio as gr
from gradio.context import LocalContext

from explorer import errors
from explorer.settings import parse

T = TypeVar("T")
LOG = logging.getLogger("explorer")  # `explorer.server.write_log` says where it goes
DEADLINE = 600.0  # seconds that one run may take, unless `limit` says otherwise
MOST_KEPT = 64_000_000  # bytes of finished results
BETWEEN = 1 / 15  # seconds from one screen of a run to the next, at least
_deadline = DEADLINE


def limit(seconds: float) -> None:
    """Say once, before the page is served, how long a run may take."""
    global _deadline
    _deadline = seconds


def timely(steps: Iterable[T], seconds: float | None = None) -> Iterator[T]:
    """The same steps, as long as there is time.

    Raises: ValueError at the first step that comes too late.
    """
    most = _deadline if seconds is None else seconds
    end = time.monotonic() + most
    for step in steps:
        yield step
        if time.monotonic() > end:
            raise ValueError(f"this run took more than {most:g} seconds and was ended; fewer steps would fit")


class Pace:
    """When a run that begins now is to show how far it is: at once, then after ``times`` BETWEEN or more."""

    def __init__(self, times: float = 1) -> None:
        self.began, self.apart, self._last = time.perf_counter(), times * BETWEEN, -math.inf

    def due(self) -> bool:
        """Whether it is time to show it; then it is shown."""
        due = (now := time.perf_counter()) - self._last >= self.apart
        self._last = now if due else self._last
        return due

    @property
    def spent(self) -> float:
        """Seconds since it began."""
        return time.perf_counter() - self.began

    def left(self, done: int, total: int) -> float:
        """Seconds until all is done, if the rest goes as fast."""
        return self.spent / done * (total - done)


class Turn:
    """A lock that is given to those who ask in the order in which they asked; `threading.Lock` lets some wait long."""

    def __init__(self) -> None:
        self._inner, self._taken = Lock(), False
        self._line: deque[Lock] = deque()  # held by those who wait; letting go of one gives the turn to it

    @property
    def waiting(self) -> int:
        return len(self._line)

    def acquire(self, timeout: float) -> bool:
        """Wait for the turn; False if it has not come after ``timeout`` seconds. -1: as long as it takes."""
        with self._inner:
            if not self._taken:
                self._taken = True
                return True
            mine = Lock()
            mine.acquire()
            self._line.append(mine)
        if mine.acquire(timeout=timeout):
            return True
        with self._inner:
            if mine in self._line:
                self._line.remove(mine)
                return False
            return True  # given at the last moment

    def release(self) -> None:
        with self._inner:
            if self._line:
                self._line.popleft().release()
            else:
                self._taken = False


TURN, LONG = Turn(), Turn()  # of moves that take milliseconds, and of what takes seconds in some of them
MOST_LONG = 16  # moves that wait for LONG: each has one of the 40 threads that all moves share
_mine = local()  # turn: whether this thread has the turn


def in_turn(function: Callable[..., T], wait: float = 1.0) -> Callable[..., T]:
    """The same function of few milliseconds, one call at a time as long as that takes no more than ``wait`` seconds.

    torch and numpy let go of the interpreter hundreds of times in a call, and in a crowd of threads each time waits to
    have it back: with 300 visitors on two cores, one at a time answers nearly twice as many.
    """

    @wraps(function)
    def called(*args: Any, **options: Any) -> T:
        if getattr(_mine, "turn", False):  # within another that has it
            return function(*args, **options)
        _mine.turn = TURN.acquire(timeout=wait)
        try:
            return function(*args, **options)
        finally:
            _give_back()

    return called


def _give_back() -> None:
    if getattr(_mine, "turn", False):
        _mine.turn = False
        TURN.release()


@contextmanager
def at_length() -> Iterator[None]:
    """Around what takes seconds and is not known yet: it gives its turn away, so that no quick call waits behind it,
    and goes on when all that came before and takes seconds, too, is done.

    Raises: ValueError if too many wait for that already.
    """
    if LONG.waiting >= MOST_LONG:
        raise ValueError(f"{MOST_LONG} others wait for what takes seconds, as this does: try again in a minute")
    _give_back()
    LONG.acquire(timeout=-1)
    try:
        yield
    finally:
        LONG.release()


def observed(tab: str, what: str, function: Callable[..., T]) -> Callable[..., T]:
    """The same function or generator function, each call of which is one line in the log.

    What should not have failed is written down in full, and answered with nothing but where to find it.
    """

    @wraps(function)
    def called(*args: Any, **options: Any) -> T:
        with event(tab, what):
            return function(*args, **options)

    @wraps(function)
    def walked(*args: Any, **options: Any) -> Iterator[Any]:
        with event(tab, what):
            yield from function(*args, **options)  # type: ignore[misc]

    return walked if isgeneratorfunction(function) else called  # type: ignore[return-value]


def lent(module: Any, function: Callable[..., T], names: Sequence[str] = ()) -> Callable[..., T]:
    """On a ZeroGPU Space, the same function or generator function with a GPU lent while it runs; elsewhere, itself.

    A module whose runs need one has ``seconds``: how long a run of its Settings may take at the most. ``names``: the
    settings that the function takes, in order, where its signature does not say. A Space looks for such functions when
    it starts: lend before it serves.
    """
    if not os.environ.get("SPACES_ZERO_GPU") or not hasattr(module, "seconds"):
        return function
    import spaces  # type: ignore[import-not-found]  # only there

    taken = tuple(names or signature(function).parameters)

    def duration(*args: Any, **options: Any) -> int:
        try:
            return module.seconds(parse(module.Settings, dict(zip(taken, args, strict=True))))
        except ValueError:  # the run itself says what is wrong with them
            return 1

    return spaces.GPU(duration=duration)(function)


def answered(tab: str, endpoint: Callable[..., T], keep: bool = False) -> Callable[..., T]:
    """The same endpoint, observed; whatever goes wrong reaches its caller as a message.

    keep: a call that was just answered is answered with the same again.
    """

    @wraps(endpoint)
    def answered_endpoint(*args: Any, **options: Any) -> T:
        with errors.told(), event(tab, "call"):
            if not keep:
                return endpoint(*args, **options)
            key = tab, "call", repr((args, options))
            known = KEPT.get(key)
            if known is None or not all(Path(path).is_file() for path in files(known)):
                KEPT.put(key, known := endpoint(*args, **options))
            return deepcopy(known)  # Gradio writes addresses into it

    return answered_endpoint


@contextmanager
def event(tab: str, what: str) -> Iterator[None]:
    began, outcome, number = time.perf_counter(), "ok", request_id()
    try:
        yield
    except GeneratorExit:
        outcome = "stopped"
        raise
    except (ValueError, gr.Error):
        outcome = "refused"
        raise
    except Exception as error:
        outcome = "failed"
        LOG.exception("failed", extra={"id": number, "tab": tab, "event": what})
        raise ValueError(f"this could not be answered; the log of the server has it as {number}") from error
    finally:
        ms = round(1000 * (time.perf_counter() - began), 1)
        LOG.info("event", extra={"id": number, "tab": tab, "event": what, "ms": ms, "outcome": outcome})


def request_id() -> str:
    """The number that `explorer.server` gave the request being answered."""
    request = LocalContext.request.get(None)
    inner = getattr(request, "request", request)  # a move comes with Starlette's own, see `explorer.components.live`
    return getattr(getattr(inner, "state", None), "request_id", "-")


class Kept:
    """Finished results by what was asked; those not asked for longest go when they take more than ``most`` bytes."""

    def __init__(self, most: int = MOST_KEPT):
        self.most, self.bytes = most, 0
        self._lock = Lock()
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        """The result, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: Any) -> None:
        size = weight(key) + weight(value)
        with self._lock:
            self.bytes -= self._values.pop(key, (None, 0))[1]
            if size > self.most / 4:  # one result must not drive out all the others
                return
            self._values[key] = value, size
            self.bytes += size
            while self.bytes > self.most:
                self.bytes -= self._values.popitem(last=False)[1][1]

    def clear(self) -> None:
        with self._lock:
            self._values.clear()
            self.bytes = 0

    def last(self, key: Hashable, steps: Callable[[], Iterable[T]]) -> Iterator[T]:
        """The last of these steps alone if it is kept; else all of them, and the last is kept."""
        if (known := self.get(key)) is not None:
            yield known
        else:
            yield from self.anew(key, steps)

    def anew(self, key: Hashable, steps: Callable[[], Iterable[T]]) -> Iterator[T]:
        """All of these steps, and the last is kept that has something to show."""
        last = None
        for step in steps():
            last = last if step is None else step
            yield step
        if last is not None:
            self.put(key, last)


KEPT = Kept()


def files(answer: Any) -> Iterator[str]:
    """The paths of the files in an endpoint's answer; Gradio deletes old ones."""
    for part in answer if isinstance(answer, tuple) else (answer,):
        if isinstance(part, gr.FileData):
            yield part.path


def weight(value: Any) -> int:
    """About how many bytes a value holds on to."""
    if isinstance(value, str | bytes):
        return 64 + len(value)
    if hasattr(value, "nbytes"):
        return 64 + int(value.nbytes)
    if isinstance(value, dict):
        return 64 + sum(weight(part) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return 64 + sum(map(weight, value))
    if is_dataclass(value):
        return 64 + sum(weight(getattr(value, field.name)) for field in fields(value))
    return 64
