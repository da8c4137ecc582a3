"""Lectures: what a lecturer shows, in order, one Markdown file each; those of the course are in `assets/lectures`.

A file has a title, sections, and a list of slides; a link is what Copy link gives, or its part from "?" on:

    # My lecture
    ## Coins
    - [Twenty flips](?tab=coin_flips&n=20) What changes when the coin is loaded?
      A note may go on in lines that are indented.
    - [Four flips](?tab=coin_flips&cover=1) With cover=1 the picture waits, too, until the answer is asked for.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from core import assets
from explorer.frame import address_of
from explorer.settings import from_query, specs

COURSE = ("001", "002", "003", "004", "000")
OF_THE_PAGE = ("lecture", "slide", "cover", "__theme")  # keys of an address that name no setting of a tab
ITEM = re.compile(r"- \[(?P<text>[^\]]+)\]\((?P<link>\S+)\)(?: +(?P<note>\S.*))?")
WANTED = "'# title', '## section' or '- [text](?tab=...) note'"


@dataclass(frozen=True)
class Slide:
    """text: what it is called. query: the part of an address after "?". note: what to ask the class.
    cover: the picture is hidden, too, until the answer is asked for."""

    text: str
    query: str
    note: str = ""
    cover: bool = False


@dataclass(frozen=True)
class Section:
    title: str
    slides: tuple[Slide, ...]


@dataclass(frozen=True)
class Lecture:
    """name: its file's, as an address has it."""

    name: str
    title: str
    sections: tuple[Section, ...]

    @property
    def slides(self) -> tuple[Slide, ...]:
        return tuple(slide for section in self.sections for slide in section.slides)


def course() -> tuple[Lecture, ...]:
    """The lectures that come with this project."""
    folder = assets.folder("lectures")
    return tuple(read(folder / f"{name}.md") for name in COURSE) if folder.is_dir() else ()


def offered(own: Path | None = None) -> tuple[Lecture, ...]:
    """A lecturer's own, if there is one, and the course's; an own one of the same name takes a lecture's place."""
    first = () if own is None else (read(own),)
    return (*first, *(lecture for lecture in course() if lecture.name not in {one.name for one in first}))


def to_json(lectures: Sequence[Lecture]) -> str:
    """What the page needs to go from slide to slide; to stand within a script."""
    told = [{"name": one.name, "title": one.title, "slides": [asdict(s) for s in one.slides]} for one in lectures]
    return json.dumps(told).replace("<", "\\u003c")


def read(path: Path) -> Lecture:
    """A lecture file. Raises: ValueError with the line, what was wanted there and what came."""
    try:
        written = path.read_text("utf-8-sig")  # some editors begin a file with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"a lecture must be a Markdown file in UTF-8, got {path}: {error}") from error
    return parse(written, path.stem, str(path))


def parse(written: str, name: str, file: str = "lecture") -> Lecture:
    """The text of a lecture file; `file` is what its errors call it. Raises: ValueError as `read` does."""
    title, sections, noting = "", [], False  # noting: the next line may go on with a slide's note

    def refuse(line: int | str, wanted: str, got: str) -> ValueError:
        return ValueError(f"{file}, line {line}: wanted {wanted}, got {got}")

    for number, line in enumerate(map(str.rstrip, written.splitlines()), 1):
        item = ITEM.fullmatch(line)
        if not line:
            noting = False
        elif not title:
            if not re.match(r"# \S", line):
                raise refuse(number, "'# title' first", repr(line))
            title = line[2:].strip()
        elif re.match(r"## \S", line):
            if sections and not sections[-1][1]:
                raise refuse(number, f"a slide in the section {sections[-1][0]!r}", "the next section")
            sections.append((line[3:].strip(), []))
            noting = False
        elif item:
            if not sections:
                raise refuse(number, "'## section' before the first slide", repr(line))
            try:
                query = opens(item["link"])
            except ValueError as error:
                raise ValueError(f"{file}, line {number}: {error}") from error
            cover = "cover=1" in urlsplit(item["link"]).query.split("&")
            sections[-1][1].append(Slide(item["text"].strip(), query, (item["note"] or "").strip(), cover))
            noting = True
        elif noting and line.startswith("  "):
            slides = sections[-1][1]
            slides[-1] = replace(slides[-1], note=f"{slides[-1].note} {line.strip()}".strip())
        else:
            raise refuse(number, WANTED, repr(line))
    if not title or not sections or not sections[-1][1]:
        wanted = "'# title'" if not title else "'## section'" if not sections else "a slide in the last section"
        raise refuse("last", wanted, "the end of the file")
    return Lecture(name, title, tuple(Section(section, tuple(slides)) for section, slides in sections))


def opens(link: str) -> str:
    """The query of the address that a link opens; an address's host and the keys of the page are left out.

    Raises: ValueError if there is no such tab, or it has no such setting, or cannot take the value.
    """
    from explorer.tabs import TABS

    params = dict(parse_qsl(urlsplit(link).query, keep_blank_values=True))
    name = params.pop("tab", None)
    if name not in TABS:
        raise ValueError(f"wanted a link ?tab=NAME with one of {', '.join(TABS)}; got {link!r}")
    module = import_module(f"explorer.tabs.{name}")
    known = {spec.key for spec in specs(module.Settings).values()}
    if unknown := [key for key in params if key not in known.union(OF_THE_PAGE)]:
        raise ValueError(
            f"wanted the keys of the tab {name}, {', '.join(sorted(known))}; got {unknown[0]!r} in {link!r}"
        )
    if params.get("cover", "1") != "1":
        raise ValueError(f"wanted cover=1, or no cover, in a slide's link; got {params['cover']!r} in {link!r}")
    return address_of(module, from_query(module.Settings, params))
