"""A tab of several ideas, one in view at a time, some shown at once and some computed while one waits."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from explorer import runs
from explorer.components.views import Showing
from explorer.frame import View
from explorer.settings import heading, specs


@dataclass(frozen=True)
class Idea:
    """One view of a tab.

    pieces: those of the stage that it fills. uses: the fields it reads. code: the Python that prints its numbers.
    show: its screen, at once; or walk: its screens one after the other, waiting: its formula before they are there.
    """

    pieces: tuple[str, ...]
    uses: tuple[str, ...]
    code: Callable[[Any], str]
    show: Callable[[Any], View] | None = None
    walk: Callable[[Any], Iterator[View | None]] | None = None
    waiting: Callable[[Any], str] = lambda s: ""


@dataclass(frozen=True)
class Ideas:
    """What a module of several ideas gives to `frame.tab`.

    table: the value of the field ``view`` -> its idea. The stage has a `Views` among its pieces, "views".
    idle: which of the fields that an idea uses say nothing at these settings, and are hidden too; "run" is the button.
    start: what the button that runs a view says.
    """

    table: Mapping[str, Idea]
    idle: Callable[[Any, Idea], set[str]] = lambda settings, idea: set()
    start: str = "Run"

    def showing(self, settings: Any) -> Showing:
        idea = self.table[settings.view]
        read = {"view", *idea.uses, *(["run"] if idea.walk else [])} - self.idle(settings, idea)
        known = specs(type(settings))
        headed = {spec.group for name, spec in known.items() if name in read}
        bare = dict.fromkeys(spec.group for spec in known.values() if spec.group and spec.group not in headed)
        hidden = (*(name for name in (*known, "run") if name not in read), *map(heading, bare))
        return Showing(idea.pieces, hidden)

    def update(self, settings: Any) -> View:
        """The screen at once; where that takes long, an empty one whose pieces `stream` fills."""
        idea = self.table[settings.view]
        if idea.show is None:
            wait = f"Press **{self.start}** to compute it for these settings."
            view = View({}, idea.waiting(settings), None, wait, {})
        else:
            view = idea.show(settings)
        return replace(view, stage={**view.stage, "views": self.showing(settings)})

    def stream(self, settings: Any) -> Iterator[View | None]:
        """The screens of a view that takes long, one after the other, None between them; none for the others."""
        idea = self.table[settings.view]
        if idea.walk is not None:
            yield from idea.walk(settings)

    def result(self, settings: Any) -> View:
        """The finished screen of any view."""
        walk = self.table[settings.view].walk
        *_, last = runs.timely(self.stream(settings)) if walk else (self.update(settings),)
        assert last is not None  # a walk ends with its finished screen
        return last

    def code(self, settings: Any) -> str:
        return self.table[settings.view].code(settings).strip()
