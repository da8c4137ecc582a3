"""Every tab in turn: each view opened, each control moved, players scrubbed, the page resized and darkened.

What must hold throughout: no error in the console and no other host (the `page` of conftest), nothing that the server
could not answer, nothing wider than the page, and no jump of the page under a hand that moves a control.
"""

import re
from importlib import import_module

import pytest

from explorer.tabs import TABS

# Of the window, times how far: what web.dev/cls calls good for a whole visit. What follows a click within half a second
# is no jump there (another operation may take another room); sliders are moved by script, so all of theirs counts.
JUMP = 0.1
WATCH = """() => {
    window.jumps = [];
    new PerformanceObserver((list) => {
        for (const one of list.getEntries())
            if (!one.hadRecentInput)
                window.jumps.push([one.value, ...one.sources.map((s) => s.node?.className ?? s.node?.nodeName)]);
    }).observe({ type: 'layout-shift' });
}"""
CONTROLS = "#tab-{} .controls :is(input[type=range], input[type=checkbox], input[type=radio], input[role=listbox])"
# As a hand does: the native setter, then `input`; `part` of the way from the least to the most.
SLIDE = """(input, part) => {
    const low = Number(input.min), step = Number(input.step) || 1, most = Number(input.max);
    const value = low + Math.round((part * (most - low)) / step) * step;
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, String(value));
    input.dispatchEvent(new Event('input', { bubbles: true }));
}"""
WIDER = """() => [...document.querySelectorAll('body *')].filter((one) => one.offsetParent
    && one.getBoundingClientRect().right > innerWidth + 1 && getComputedStyle(one).position !== 'fixed')
    .map((one) => `${one.nodeName}.${one.className}`).slice(0, 5)"""


class Visit:
    """One page, and what was wrong on it."""

    def __init__(self, page, url, name, answered):
        self.page, self.name, self.answered, self.wrong = page, name, answered, []
        page.add_init_script(f"({WATCH})()")
        page.goto(f"{url}?tab={name}")
        page.wait_for_selector(f"#tab-{name} .badge:not(.waiting)")
        self.settled()

    def settled(self, query=""):
        self.answered(query)
        text = self.page.locator(f"#tab-{self.name} .message").first.inner_text()
        if "could not be answered" in text:
            self.wrong.append((self.page.url, text))

    def fits(self):
        width = self.page.viewport_size["width"]
        wide = self.page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            self.wrong.append((self.page.url, f"{wide} wide on {width}", self.page.evaluate(WIDER)))

    def move(self, control):
        """Move one control there and back; the page must not jump."""
        kind = control.get_attribute("type") or "text"
        self.page.evaluate("window.jumps = []")
        if kind == "range":
            for part in (0.25, 0.75):
                control.evaluate(SLIDE, part)
                self.settled()
        elif kind in ("checkbox", "radio"):
            control.check() if kind == "radio" else control.click()
            self.settled()
        else:
            control.click()
            self.page.keyboard.press("ArrowDown")
            self.page.keyboard.press("Enter")
            self.settled()

    def scrub(self):
        """Every player in view to its end, its start and one on; the step that is shown follows."""
        for player in self.page.locator(f"#tab-{self.name} .player:visible").all():
            step = player.locator(".transport-step")
            if not step.count() or not step.first.is_visible():
                continue
            follows = False
            for _ in range(4):  # a run that is still under way shows its own steps: again when it has ended
                player.focus()
                at = []
                for key in ("Home", "ArrowRight", "End", "ArrowRight"):
                    self.page.keyboard.press(key)
                    at.append(int(re.findall(r"\d+", step.first.inner_text())[0]))
                first, second, last, beyond = at
                follows = second == min(first + 1, last) and beyond == last
                if follows:
                    break
                self.page.wait_for_timeout(2000)
            if not follows:
                self.wrong.append((self.page.url, f"Home, on, End, on: steps {at}"))


def walk(visit, name, screens, most=None):
    """Every view of a tab: its controls (``most`` of them in each view), its players, its widths, light and dark."""
    page = visit.page
    chooses = f"#{name}-{next(iter(import_module(f'explorer.tabs.{name}').Settings.__dataclass_fields__))}"
    for query in screens:
        visit.settled(query)
        visit.fits()
        visit.scrub()
        moved = 0
        for control in page.locator(CONTROLS.format(name)).all():
            if not control.is_visible() or not control.is_enabled() or moved == most:
                continue
            if control.evaluate("(one, view) => one.closest(view)", chooses):  # the views have their turn
                continue
            moved += 1
            label = control.evaluate("one => one.id || one.ariaLabel || one.name")
            visit.move(control)
            worst = max(page.evaluate("window.jumps"), key=lambda one: one[0], default=[0])
            if worst[0] > JUMP:
                visit.wrong.append((page.url, label, worst))
        for width in (375, 1920, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_timeout(150)
            visit.fits()
        for theme in ("dark", "light"):
            page.evaluate("theme => window.explorer.theme(theme)", theme)
    return visit.wrong


def test_two_controls_of_every_tab(page, url, settled):
    visit = Visit(page, url, TABS[0], settled)
    for name in TABS:
        visit.name = name
        walk(visit, name, [f"tab={name}"], most=2)
    assert visit.wrong == []


def test_a_jump_and_a_wide_piece_would_be_seen(page, url, settled):
    visit = Visit(page, url, "coin_flips", settled)
    visit.fits()
    assert visit.wrong == []
    page.evaluate(
        """() => {
            const one = document.createElement('div');
            one.style.cssText = 'height: 300px; width: 3000px';
            document.body.prepend(one);
        }"""
    )
    page.wait_for_function(f"window.jumps.some(([jump]) => jump > {JUMP})")
    visit.fits()
    assert [said for _, said, _ in visit.wrong if said.endswith("wide on 1280")]


@pytest.mark.slow
@pytest.mark.parametrize("name", TABS)
def test_everything_on_every_tab(page, url, name, views, settled):
    assert walk(Visit(page, url, name, settled), name, views(name)) == []
