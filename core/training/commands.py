"""What the commands share: flags that say what they want."""

import argparse
import math
from collections.abc import Callable
from typing import Any, NoReturn

LAST = 2**63 - 1  # what torch takes for a seed


class Parser(argparse.ArgumentParser):
    """Refuses in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; try --help\n")


def bounded(kind: type, *, least: float = -math.inf, above: float = -math.inf) -> Callable[[str], Any]:
    """argparse's ``type`` of a flag: a finite number of that kind, int up to `LAST` or float, within its bound."""
    bound = f" of at least {least:g}" if least > -math.inf else f" above {above:g}" if above > -math.inf else ""
    wanted = ("a whole number" if kind is int else "a finite number") + bound

    def read(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if kind is int and value > LAST:
            raise argparse.ArgumentTypeError(f"wanted {wanted} and at most {LAST}, got {text}")
        if not (least <= value < math.inf and value > above):
            raise argparse.ArgumentTypeError(f"wanted {wanted}, got {text}")
        return value

    return read
