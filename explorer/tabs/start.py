"""The first page: what this is, one walk from noise to data, and the ways in, by lecture and by topic."""

import html
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module

from core.toys import MIXTURES
from explorer import frame
from explorer.components.base import Piece
from explorer.components.points import Points
from explorer.frame import View
from explorer.lectures import Lecture, Slide
from explorer.settings import choice, number
from explorer.tabs import samplers

NAME = "start"
TITLE = "Start"
QUESTION = (
    "Here you can take a diffusion model apart, from a coin flip to a picture made from a sentence. Every number and "
    "every picture is computed as you watch, and the Python that does it stands below. Begin by dragging the bar under "
    "the particles: they turn from noise into data."
)
SOURCE = "The walk is the first view of the tab [Samplers](?tab=samplers), which says where it comes from."


@dataclass(frozen=True)
class Settings:
    points: str = choice("letters", options=tuple(MIXTURES), label="Data", key="x")
    steps: int = number(40, low=1, high=200, log=True, label="Steps", key="n")
    seed: int = number(0, low=0, high=9999, look="button", label="Other noise", key="seed", hint="the first noise")


PRESETS = {
    "letters out of noise": Settings(),
    "two moons": Settings(points="two moons"),
    "a roll": Settings(points="swiss roll", steps=100),
    "all in one step": Settings(steps=1),
}


def walked(s: Settings) -> samplers.Settings:
    """What the tab of the samplers shows the same walk with; it opens where the data begins to be seen."""
    return samplers.Settings(points=s.points, steps=s.steps, spacing="karras", seed=s.seed, look=5 * s.steps // 6)


def update(s: Settings) -> View:
    view = samplers.update(walked(s))
    cloud = view.stage["cloud"]
    behind = None if cloud.behind is None else cloud.behind[:, :1]
    alone = replace(cloud, positions=cloud.positions[:, 0], titles=("",), behind=behind, paths=())
    return replace(view, stage={"cloud": alone})


def code(s: Settings) -> str:
    return samplers.code(walked(s))


def build(lectures: Sequence[Lecture] = ()) -> None:
    frame.tab(
        sys.modules[__name__],
        stage={"cloud": Points("Particles on their way from noise to data", height=440), "ways": ways(lectures)},
    )


def ways(lectures: Sequence[Lecture]) -> Piece:
    """The two ways in, as links within the page."""
    from explorer.tabs import TABS

    by_lecture = f"<h3>By lecture</h3>{''.join(map(deck, lectures))}" if lectures else ""
    topics = "".join(topic(name) for name in TABS if name != NAME)
    by_topic = f"<h3>By topic</h3><ol>{topics}</ol>"
    return Piece(f'<nav class="ways" aria-label="Where to go">{by_lecture}{by_topic}</nav>', "", name="ways-piece")


def topic(name: str) -> str:
    module = import_module(f"explorer.tabs.{name}")
    return f'<li><a href="?tab={name}">{html.escape(module.TITLE)}</a> {html.escape(module.QUESTION)}</li>'


def deck(lecture: Lecture) -> str:
    """One lecture, folded: its sections and slides."""
    places = iter(range(1, len(lecture.slides) + 1))
    name = html.escape(lecture.name)

    def line(slide: Slide) -> str:
        link = f'<a href="?{html.escape(slide.query)}" data-slide="{name}:{next(places)}">{html.escape(slide.text)}</a>'
        return f"<li>{link} {html.escape(slide.note)}</li>"

    inside = "".join(
        f"<h4>{html.escape(section.title)}</h4><ol>{''.join(map(line, section.slides))}</ol>"
        for section in lecture.sections
    )
    count = len(lecture.slides)
    return (
        f"<details><summary><span>{name}</span> {html.escape(lecture.title)} "
        f"<small>{count} slide{'s' * (count != 1)}</small></summary>{inside}</details>"
    )
