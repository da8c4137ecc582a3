"""What every tab shares: heading, presets, controls, stage, formula, badge, notice, code, address, endpoint."""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gradio as gr
from gradio.context import Context
from gradio.events import api
from markdown_it import MarkdownIt

from core.checks import Check
from explorer import errors, runs
from explorer.components.address import Address, Chips
from explorer.components.base import as_text, script
from explorer.components.formula import Formula
from explorer.components.live import Live
from explorer.components.notebook import Notebook
from explorer.components.prose import Prose
from explorer.formulas import sensible
from explorer.settings import alternatives, parse, readable, signature, to_query, widgets

# Bold, code and lines alone: a notice may hold a visitor's words, and those may hold a picture from elsewhere.
MARKDOWN = MarkdownIt("zero", {"breaks": True}).enable(["newline", "emphasis", "backticks"])
KATEX = [{"left": "$$", "right": "$$", "display": True}, {"left": "$", "right": "$", "display": False}]
DEVICE = "device"  # the queue that everything heavy stands in


@dataclass(frozen=True)
class View:
    """What a tab shows for one `Settings`.

    stage: what pieces of the stage show, by name; one without a value, or with None, stays as it is.
    formula: lines of $$KaTeX$$ with the current numbers in them, an empty line between two.
    check: the result compared with an independent route; None while a stream has no result yet.
    notice: what just happened, in numbers; two lines, with Markdown's **bold** and `code` alone.
    numbers: what the endpoint returns.
    """

    stage: Mapping[str, Any]
    formula: str
    check: Check | None
    notice: str
    numbers: dict[str, Any]


TEXTS, ABOUT = ("formula", "badge", "notice"), ("program", "notebook", "address", "preset")  # of every screen


class Answers:
    """What a tab answers to the page, each as a list: a value for every piece of the screen, `gr.skip` where one stays.

    The screen of a run is the stage, the `TEXTS`, and the message line; that of a move or a choice has, before the
    message, what is said `ABOUT` it. In front of them stand the controls where the answer sets them. What is refused
    leaves the screen as it is, and is said in the message line.
    """

    def __init__(self, module: ModuleType | SimpleNamespace, fields: Sequence[str], stage: Sequence[str]):
        self.module, self.fields, self.stage = module, tuple(fields), tuple(stage)
        self.update: Any = runs.observed(module.NAME, "move", runs.in_turn(module.update))
        self.stream: Any = runs.observed(module.NAME, "run", module.stream) if hasattr(module, "stream") else None
        self.run: Any = runs.lent(module, self.walk, self.fields)

    def settings(self, values: Sequence[Any]) -> Any:
        """Raises: ValueError as `parse`."""
        return parse(self.module.Settings, dict(zip(self.fields, values, strict=True)), labels=True)

    def picture(self, view: View) -> list[Any]:
        shows = {name: value for name, value in view.stage.items() if value is not None}
        assert shows.keys() <= {*self.stage}, f"the stage has {', '.join(self.stage)}, got {', '.join(shows)}"
        texts = [view.formula, badge_html(view.check), notice_html(view.notice)]
        return [*(shows.get(name, gr.skip()) for name in self.stage), *texts]

    def screen(self, settings: Any) -> list[Any]:
        """Raises: ValueError where the tab refuses these settings."""
        preset = next((name for name, known in self.module.PRESETS.items() if known == settings), "")
        program = self.module.code(settings).strip()
        about = [f"```python\n{program}\n```", program, address_of(self.module, settings), preset, ""]
        return [*self.picture(self.update(settings)), *about]

    def refused(self, error: ValueError, before: int = 0) -> list[Any]:
        return [*[gr.skip()] * (before + len(self.stage) + len(TEXTS) + len(ABOUT)), errors.message(error)]

    def shown(self, settings: Any) -> list[Any]:
        try:
            return self.screen(settings)
        except ValueError as error:
            return self.refused(error)

    def moved(self, *values: Any) -> list[Any]:
        """A control was moved."""
        try:
            return self.shown(self.settings(values))
        except ValueError as error:
            return self.refused(error)

    def moved_with_others(self, follow: Callable[[Any], Any], *values: Any) -> list[Any]:
        """One was moved that sets the others too."""
        try:
            settings = follow(self.settings(values))
            return [*values_of(settings), *self.shown(settings)]
        except ValueError as error:
            return self.refused(error, len(values))

    def chosen(self, name: str) -> list[Any]:
        """A preset."""
        settings = self.module.PRESETS.get(name, self.module.Settings())
        return [*values_of(settings), *self.shown(settings)]

    def opened(self, query: str) -> list[Any]:
        """What an address names; of what cannot be read or is refused, the defaults, and what is said of it."""
        settings, wrong = readable(self.module.Settings, dict(parse_qsl(query, keep_blank_values=True)))
        said = [f"{one}; its default was taken" for one in wrong]
        try:
            screen = self.screen(settings)
        except ValueError as error:  # nothing stands yet that could stay
            settings, screen, what = self.nearest(settings)
            said.append(f"{error}; {what}")
        return [*values_of(settings), *screen[:-1], errors.message(ValueError("; ".join(said)))]

    def nearest(self, settings: Any) -> tuple[Any, list[Any], str]:
        """Of settings that are refused together: all but one, if that will do, with its screen and what is said."""
        for tried, what in alternatives(settings):
            with suppress(ValueError):
                return tried, self.screen(tried), what
        return (first := self.module.Settings()), self.screen(first), "the defaults were taken"

    def viewed(self, *values: Any) -> list[Any]:
        """Another view. Where it is refused what is shown stays, but for the controls that can mend it."""
        screen = self.moved(*values)
        if screen[-1] and "views" in self.stage:
            with suppress(ValueError):
                at = self.stage.index("views")
                screen[at] = self.nearest(self.settings(values))[1][at]
        return screen

    def walk(self, *values: Any, known: bool = False, told: str = "") -> Iterator[list[Any]]:
        """The screens of a run; with ``known``, the last one alone if these settings have just been run.

        Address, preset and program are told by the move that chose the settings; a run that ends late has no say in it.
        told: what was said of them, to be said before what is refused in the run.
        """
        nothing = [gr.skip()] * (len(self.stage) + len(TEXTS) + 1)
        try:
            settings = self.settings(values)
            said = gr.skip() if known else ""  # what was said of a preset or an address stays
            yield nothing  # a stream without a step would empty the screen
            kept = runs.KEPT.last if known else runs.KEPT.anew
            for view in kept((self.module.NAME, settings), lambda: runs.timely(self.stream(settings))):
                if view is None:  # nothing new to show; at every yield the run can be stopped
                    yield nothing
                    continue
                yield [*self.picture(view), said]
                said = gr.skip()  # once, so that a late step wipes no "Stopped" away
            yield nothing  # what comes last is sent twice: as a step, and as the end
        except ValueError as error:
            yield [*nothing[:-1], errors.message(ValueError("; ".join(filter(None, (told, str(error))))))]

    def rerun(self, *values: Any) -> Iterator[list[Any]]:
        """Of a preset, or of another view."""
        yield from self.run(*values, known=True)

    def reopened(self, *values: Any) -> Iterator[list[Any]]:
        """Of an address; the last of the values is what was said of it."""
        yield from self.run(*values[:-1], known=True, told=html.unescape(values[-1] or ""))


@dataclass(frozen=True)
class Page:
    """The components of one tab. picture: its pieces, formula, badge and notice; program: to be read, to be saved."""

    tab: gr.Tab
    fields: dict[str, Any]
    live: Live
    start: gr.Button
    stop: gr.Button
    chips: Chips
    address: Address
    picture: tuple[Any, ...]
    program: tuple[Any, ...]
    message: gr.HTML


def laid_out(module: ModuleType | SimpleNamespace, stage: Mapping[str, gr.HTML]) -> Page:
    """One tab before anything answers."""
    streams = hasattr(module, "stream")
    with gr.Tab(module.TITLE, id=module.NAME, elem_id=f"tab-{module.NAME}") as whole:
        with gr.Row(elem_classes="heading"):
            gr.HTML(f"<h2>{module.TITLE}</h2><p>{module.QUESTION}</p>", elem_classes="question")
            address = Address(f"tab={module.NAME}")
        chips = Chips(tuple(module.PRESETS))
        with gr.Row(elem_classes="bench"):
            with gr.Column(elem_classes="controls"):
                fields = widgets(module.Settings)
                for name, field in fields.items():
                    field.elem_id = f"{module.NAME}-{name}"
                live = Live(module.NAME, fields.values(), keeps=not streams)
                with gr.Row(elem_classes="run", elem_id=f"{module.NAME}-run", visible=streams):
                    start = gr.Button(getattr(module, "START", "Generate"), variant="primary", elem_classes="start")
                    stop = gr.Button("Stop", elem_classes="stop")
                message = gr.HTML("", elem_classes="message", container=False, js_on_load=script("message"))
            with gr.Column(elem_classes="stage"):
                for name, piece in stage.items():
                    piece.elem_id = f"{module.NAME}-stage-{name}"
                    if piece.is_rendered:
                        piece.unrender()
                    piece.render()
        with gr.Row(elem_classes="strip"):
            formula = Formula()
            badge = Prose("badge-place")
        notice = Prose("notice")
        with gr.Accordion("Python for this screen", open=False, elem_classes=["fold", "python"]):
            notebook = Notebook(module.NAME, module.TITLE, module.QUESTION)
            code = gr.Markdown(elem_classes="code", container=False)
        with gr.Accordion("Where this comes from", open=False, elem_classes=["fold", "source"]):
            gr.Markdown(module.SOURCE, latex_delimiters=KATEX, container=False)
    picture = (*stage.values(), formula, badge, notice)
    return Page(whole, fields, live, start, stop, chips, address, picture, (code, notebook), message)


def tab(module: ModuleType | SimpleNamespace, stage: Mapping[str, gr.HTML]) -> gr.Tab:
    """Lay out and wire one tab: its controls, and the pieces of its stage by name.

    The module has NAME, TITLE, QUESTION, SOURCE, Settings, PRESETS, code(settings), and
    update(settings) -> View: pure and quick, called for every move of a control, latest wins.

    Where the result takes long for some settings, it has stream(settings) -> Iterator[View] too, which yields nothing
    for the others: queued, run by a button, a preset, the address, and the first field, which chooses the view; ended
    by another button and by a move. It may also yield None where there is nothing new to show: it can be stopped at
    every yield. Such a module has endpoint(...), too, the annotated function behind /NAME, which for the others is made
    here. With seconds(settings), how long a run may take at the most, its runs borrow a GPU where one is lent.

    With FOLLOWED, a table from the name of a field to a function(settings) -> settings, a move of that field sets the
    others too. Where update() takes seconds for some settings, `runs.at_length` stands around what does.
    """
    page, streams = laid_out(module, stage), hasattr(module, "stream")
    fields, live, chips, address, message = page.fields, page.live, page.chips, page.address, page.message
    answers = Answers(module, [*fields], [*stage])
    inputs = list(fields.values())
    ran, shown = [*page.picture, message], [*page.picture, *page.program, address, chips, message]
    heavy = heavily(module)
    # Gradio says on the message line how many wait before this run, and about how long.
    queued: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": message} | heavy
    queued |= {"trigger_mode": "once", "api_visibility": "private"}
    running: list[Any] = []
    endings: list[Any] = []
    if streams:  # before those that start the next run: listeners are called in the order of their making
        running.append(page.start.click(answers.run, inputs, ran, **queued))
        # The others' own events end runs, too: for what `cancels` makes, the page looks for all its controls, twice.
        changes = [inputs[0].input, chips.input, address.input]
        gr.on(changes, None, None, None, cancels=running, queue=False, api_visibility="private")
        endings = list(Context.root_block.fns.values())[-1:]  # type: ignore[union-attr]
    followed = getattr(module, "FOLLOWED", {})
    moved_alone = [field for name, field in fields.items() if name not in followed][streams:]
    endings += live.on(moved_alone, answers.moved, inputs, shown)
    for name, follow in followed.items():
        endings += live.on(
            [fields[name]], partial(answers.moved_with_others, follow), inputs, [*inputs, *shown], sets=True
        )
    comes = f"() => window.explorer.comes({module.NAME!r})"
    page.tab.select(None, js=comes, queue=False, show_progress="hidden", api_visibility="private")
    opens = f"() => [window.explorer.query({module.NAME!r})]"
    if not streams:
        live.on([chips], answers.chosen, [chips], [*inputs, *shown], js=live.overtaken, sets=True)
        live.on([address], answers.opened, [address], [*inputs, *shown], js=opens, sets=True)
        with page.tab:
            api(runs.answered(module.NAME, endpoint(module)), api_name=module.NAME, queue=False)
        return page.tab

    by_preset = chips.input(answers.chosen, [chips], [*inputs, *shown], js=live.setting, **LIGHT)
    by_address = address.input(answers.opened, [address], [*inputs, *shown], js=opens, **LIGHT)
    by_first = inputs[0].input(answers.viewed, inputs, shown, js=live.chosen, **LIGHT)
    quiet: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    by_preset.then(None, inputs, js=live.set, **quiet)
    by_address.then(None, inputs, js=live.put, **quiet)
    by_first.then(None, None, js=live.answered, **quiet)
    running += [
        by_preset.success(answers.rerun, inputs, ran, **queued),
        by_address.success(answers.reopened, [*inputs, message], ran, **queued),
    ]
    running.append(by_first.success(answers.rerun, inputs, ran, **queued | {"trigger_mode": "always_last"}))
    for one in endings:
        one.cancels = [run["id"] for run in running]
    stopped = '<span class="stopped">Stopped. What was done so far stays and can be scrubbed.</span>'
    # Asked of the page, which shows how the run fares until the server has ended it.
    status = f"#tab-{module.NAME} .message > [data-testid=status-tracker]:not(.hide, :has(.error))"
    said_at_stop = f"() => [document.querySelector('{status}') ? {stopped!r} : 'Nothing is running.']"
    page.stop.click(None, None, message, js=said_at_stop, cancels=running, queue=False, api_visibility="private")
    with page.tab:
        api(runs.answered(module.NAME, runs.lent(module, module.endpoint), keep=True), api_name=module.NAME, **heavy)
    return page.tab


# Unqueued and latest-wins: a control never waits behind a sampler, and no value of a drag is lost at its end.
LIGHT: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "show_progress_on": [],  # of every piece that could show any, the page would walk through all it has, three times
    "trigger_mode": "always_last",
    "api_visibility": "private",
}


def heavily(module: ModuleType | SimpleNamespace) -> dict[str, Any]:
    """Where the runs of a module wait: in one queue for the device, or, where they share it, TOGETHER at a time."""
    together = getattr(module, "TOGETHER", None)
    if together is None:
        return {"concurrency_id": DEVICE, "concurrency_limit": 1}
    return {"concurrency_id": f"{DEVICE}-{module.NAME}", "concurrency_limit": together}


def endpoint(module: ModuleType | SimpleNamespace, *, long: bool = False) -> Callable[..., dict]:
    """The function behind /NAME: the settings as keyword arguments with defaults, the shown numbers as JSON.

    long: its update takes seconds, and moves must not wait for their turn behind it.
    """
    shape, update = signature(module.Settings), module.update if long else runs.in_turn(module.update)

    def call(*args: Any) -> dict:
        with errors.told():
            return in_json(update(parse(module.Settings, dict(zip(shape.parameters, args, strict=True)))).numbers)

    call.__name__ = module.NAME
    call.__doc__ = module.QUESTION
    call.__signature__ = shape  # type: ignore[attr-defined]
    call.__annotations__ = {name: p.annotation for name, p in shape.parameters.items()} | {"return": dict}
    return call


def in_json(numbers: dict[str, Any]) -> dict[str, Any]:
    """The same of what JSON has alone: of numpy's numbers and arrays Gradio's queue would send what they print."""
    return json.loads(as_text(numbers))


def notice_html(text: str) -> str:
    """Markdown as the page shows it: every line a line, a minus before a number, and no end of a line before its %."""
    minus = re.sub(r"(?<![^\s*(\[])-(?=\d)", "\N{MINUS SIGN}", text)
    return MARKDOWN.render(re.sub(r"(?<=[\d*]) %", "\N{NO-BREAK SPACE}%", minus)).rstrip()


def values_of(settings: Any) -> list[Any]:
    """The fields of a Settings in order, as its widgets take them."""
    return [getattr(settings, name) for name in settings.__dataclass_fields__]


def address_of(module: ModuleType | SimpleNamespace, settings: Any) -> str:
    """The query part of the address that opens this tab with these settings; defaults are left out."""
    return urlencode({"tab": module.NAME, **to_query(settings)})


def weakest(*checks: Check) -> Check:
    """The first check that fails, or the first of all: one badge for several results on one screen."""
    return next((check for check in checks if not check.ok), checks[0])


def badge_html(check: Check | None) -> str:
    """The claim that was checked and how far off it is: green, or red when it is further off than allowed."""
    if check is None:
        return '<p class="badge waiting"><span aria-hidden="true">…</span> checked at the end</p>'
    residual = f"residual <b>{sensible(check.residual)}</b>"
    if check.ok:
        return f'<p class="badge ok"><span aria-hidden="true">✓</span> {html.escape(check.claim)}, {residual}</p>'
    return (
        f'<p class="badge wrong"><span aria-hidden="true">✗</span> not true here: {html.escape(check.claim)}; '
        f"{residual}, allowed {sensible(check.tolerance)}</p>"
    )
