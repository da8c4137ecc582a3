"""What the commands share: flags that say what they want, and files that are there whole or not at all."""

import argparse
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from core import weights


class Parser(argparse.ArgumentParser):
    """Refuses in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; try --help\n")


def bounded(kind: type, *, least: float = -math.inf, above: float = -math.inf) -> Callable[[str], Any]:
    """argparse's ``type`` of a flag: a finite number of that kind, int below 2^63 or float, within its bound."""
    bound = f" of at least {least:g}" if least > -math.inf else f" above {above:g}" if above > -math.inf else ""
    wanted = ("a whole number" if kind is int else "a finite number") + bound

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not (least <= value < (2**63 if kind is int else math.inf) and value > above):
            raise argparse.ArgumentTypeError(f"wanted {wanted}, got {text}")
        return value

    return read


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write what shall stand at ``path``, a file or a folder: it is moved there once all of it is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as beside:
        new = Path(beside) / path.name
        yield new
        (weights.swap if path.is_dir() else os.replace)(new, path)
