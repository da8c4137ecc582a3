"""Lectures: the format of their files, what is refused, and that every slide of the course opens what it says."""

import json
import re
from importlib import import_module
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from explorer import lectures
from explorer.app import main
from explorer.frame import address_of
from explorer.lectures import Slide, parse
from explorer.settings import from_query, specs
from explorer.tabs import TABS, start

FOLDER = Path(lectures.__file__).resolve().parents[1] / "assets" / "lectures"
LINKS = [
    pytest.param(link, id=f"{path.stem}: {text}")
    for path in sorted(FOLDER.glob("*.md"))
    for text, link in re.findall(r"^- \[(.+?)\]\((\S+)\)", path.read_text("utf-8"), re.MULTILINE)
]
OWN = """# Coins

## One
- [Twenty flips](?tab=coin_flips&n=20) What changes?
  Say it first.

- [Ten](https://lab.example/x/?tab=coin_flips&n=10&lecture=1&slide=001%3A2&__theme=dark)
## Two
- [Four](?tab=coin_flips&n=4&cover=1)
"""


def test_a_file_becomes_sections_and_slides():
    lecture = parse(OWN, "mine")
    assert (lecture.name, lecture.title) == ("mine", "Coins")
    assert [section.title for section in lecture.sections] == ["One", "Two"]
    assert lecture.slides == (
        Slide("Twenty flips", "tab=coin_flips&n=20", "What changes? Say it first."),
        Slide("Ten", "tab=coin_flips&n=10"),
        Slide("Four", "tab=coin_flips", cover=True),
    )


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("", r"line last: wanted '# title', got the end"),
        ("hello", r"line 1: wanted '# title' first, got 'hello'"),
        ("# A\n", r"line last: wanted '## section', got the end"),
        ("# A\n- [x](?tab=coin_flips)", r"line 2: wanted '## section' before the first slide, got '- \[x\]"),
        ("# A\n## B\n", r"wanted a slide in the last section"),
        ("# A\n## B\n## C\n", r"line 3: wanted a slide in the section 'B', got the next section"),
        ("# A\n## B\n- x", r"line 3: wanted '# title', '## section' or '- \[text\]\(\?tab=\.\.\.\) note', got '- x'"),
        ("# A\n## B\n  note of nothing", r"line 3: wanted .* got '  note of nothing'"),
        ("# A\n## B\n- [x](?tab=coin_flips)\n\n  too late", r"line 5: wanted"),
        ("# A\n## B\n- [x](?tab=coins)", r"line 3: wanted a link \?tab=NAME with one of start, .* got '\?tab=coins'"),
        ("# A\n## B\n- [x](https://example.org/)", r"line 3: wanted a link \?tab=NAME"),
        ("# A\n## B\n- [x](?tab=coin_flips&flips=3)", r"line 3: wanted the keys of the tab coin_flips, .* got 'flips'"),
        ("# A\n## B\n- [x](?tab=coin_flips&cover=yes)", r"line 3: wanted cover=1, or no cover, .* got 'yes' in"),
        ("# A\n## B\n- [x](?tab=coin_flips&n=0)", r"line 3: “Flips n” must be a whole number in \[1, 1000\], got 0"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_line(written, says):
    with pytest.raises(ValueError, match=says):
        parse(written, "mine", "mine.md")


@pytest.mark.parametrize("link", LINKS)
def test_every_slide_of_the_course_opens_what_it_says(link):
    asked = dict(parse_qsl(urlsplit(link).query, keep_blank_values=True, strict_parsing=True))
    assert asked.pop("cover", "1") == "1"
    module = import_module(f"explorer.tabs.{asked['tab']}")
    settings = from_query(module.Settings, asked)
    keys = {spec.key for spec in specs(module.Settings).values()}
    assert set(asked) - {"tab"} <= keys
    assert dict(parse_qsl(address_of(module, settings), keep_blank_values=True)) == asked  # and no default among them


def test_the_course_is_all_there_and_lists_every_slide_of_the_presets():
    course = lectures.course()
    assert [one.name for one in course] == list(lectures.COURSE)
    assert {path.stem for path in FOLDER.iterdir()} == set(lectures.COURSE)
    missing = []
    for name in TABS:
        module = import_module(f"explorer.tabs.{name}")
        for preset, settings in module.PRESETS.items():
            deck = re.match(r"deck (\d+) ", preset)
            if deck and address_of(module, settings) not in [
                slide.query for one in course if one.name == deck[1] for slide in one.slides
            ]:
                missing.append((name, preset))
    assert missing == []


def test_an_own_lecture_stands_first_or_takes_the_place_of_one(tmp_path):
    (tmp_path / "mine.md").write_text(OWN, "utf-8")
    assert [one.name for one in lectures.offered(tmp_path / "mine.md")] == ["mine", *lectures.COURSE]
    (tmp_path / "002.md").write_text(OWN, "utf-8")
    assert [one.title for one in lectures.offered(tmp_path / "002.md")].count("Coins") == 1
    assert len(lectures.offered(tmp_path / "002.md")) == len(lectures.COURSE)


def test_a_file_may_begin_with_the_mark_of_an_editor(tmp_path):
    file = tmp_path / "mine.md"
    file.write_text("# Mine\n## Coins\n- [Twenty](?tab=coin_flips&n=20)\n", "utf-8-sig")
    assert lectures.read(file).title == "Mine"


def test_the_command_says_what_is_wrong_with_a_lecture(tmp_path, capsys):
    (tmp_path / "mine.md").write_text("# A\n## B\n- nothing", "utf-8")
    for file, says in [("mine.md", "line 3: wanted"), ("none.md", "a lecture must be a Markdown file in UTF-8")]:
        with pytest.raises(SystemExit):
            main(["--lecture", str(tmp_path / file)])
        assert says in capsys.readouterr().err


def test_what_goes_into_a_script_cannot_end_it():
    lecture = parse(OWN.replace("Coins", "</script><b>"), "mine")
    assert "<" not in lectures.to_json([lecture])
    assert json.loads(lectures.to_json([lecture]))[0]["title"] == "</script><b>"


def test_the_start_page_escapes_what_a_file_says_and_links_every_slide_and_tab():
    lecture = parse(OWN.replace("Twenty flips", "<i>flips</i>"), "mine")
    page = start.ways([lecture]).html_template
    assert "&lt;i&gt;flips" in page and "<i>" not in page
    assert re.findall(r'data-slide="(mine:\d)"', page) == ["mine:1", "mine:2", "mine:3"]
    assert re.findall(r'<li><a href="\?tab=(\w+)">', page) == [name for name in TABS if name != "start"]
