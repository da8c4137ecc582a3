"""Every tab against axe-core's rules, light and dark; focus, names and motion, where axe cannot look."""

from pathlib import Path

import axe_playwright_python
import pytest

from explorer.tabs import TABS

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
# Of rules, all that axe has; or those alone that look at colours.
COLOURS = ["color-contrast", "link-in-text-block"]
RUN = """
async ([places, rules]) => {
  const options = { resultTypes: ['violations'], ...(rules.length ? { runOnly: rules } : {}) };
  const { violations } = await axe.run({ include: places.map((one) => [one]) }, options);
  return violations.flatMap(({ id, impact, nodes }) => nodes.map(({ target, html, failureSummary }) =>
    ({ id, impact, target: target.join(' '), html: html.slice(0, 200), failureSummary })));
}
"""
AROUND = [".top", ".tab-container", ".bottom"]


def violations(page, *places, rules=()):
    """Those that axe calls serious or critical."""
    return [one for one in page.evaluate(RUN, [places, rules]) if one["impact"] in ("serious", "critical")]


def audit(page, url, names, views, settled):
    """What is wrong in the views of these tabs, by address and theme."""
    page.emulate_media(reduced_motion="reduce")  # a colour on its way from light to dark is neither
    page.goto(f"{url}?tab={names[0]}&__theme=light")
    page.wait_for_selector(f"#tab-{names[0]} .badge:not(.waiting)")
    page.evaluate(AXE + ";0")
    found = {}
    for theme in ("light", "dark"):
        page.evaluate("theme => window.explorer.theme(theme)", theme)
        found["around", theme] = violations(page, *AROUND)
    for name in names:
        for query in views(name):
            settled(query)
            for theme, rules in (("light", []), ("dark", COLOURS)):  # nothing else is another in the dark
                page.evaluate("theme => window.explorer.theme(theme)", theme)
                found[query, theme] = violations(page, f"#tab-{name}", rules=rules)
    return {where: wrong for where, wrong in found.items() if wrong}


def test_no_tab_violates_a_rule(page, url, settled):
    assert audit(page, url, TABS, lambda name: [f"tab={name}"], settled) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABS)
def test_no_view_violates_a_rule(page, url, views, settled, name):
    assert audit(page, url, [name], views, settled) == {}


def test_axe_finds_what_is_wrong(page, url):
    """The run above can fail: a picture without words, a text too pale to read."""
    page.goto(f"{url}?tab={TABS[0]}")
    page.wait_for_selector(f"#tab-{TABS[0]} .badge.ok")
    page.evaluate(AXE + ";0")
    page.evaluate(
        """(name) => {
            const wrong = document.querySelector(`#tab-${name} .question`).appendChild(document.createElement('div'));
            wrong.innerHTML = '<canvas role="img"></canvas><p style="color:#aaa;background:#fff">pale</p>';
        }""",
        TABS[0],
    )
    assert {one["id"] for one in violations(page, f"#tab-{TABS[0]}")} == {"role-img-alt", "color-contrast"}


def test_figures_say_what_can_be_read_on_this_page(page, url):
    """Names beside curves, which axe does not look at: 4.5 to 1 on the light page and on the dark one."""
    page.goto(f"{url}?tab=schedules&__theme=light")
    page.wait_for_selector("#tab-schedules .live-plot .annotation text")
    ratios = """() => {
        const light = (css) => {
            const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
            const [r, g, b] = css.match(/[\\d.]+/g).slice(0, 3).map((c) => linear(c / 255));
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const paper = light(getComputedStyle(document.body).backgroundColor);
        const texts = '#tab-schedules .live-plot :is(.annotation, .xtick, .ytick) :is(text, tspan)';
        return [...document.querySelectorAll(texts)].filter((one) => one.textContent.trim()).map((one) => {
                const [a, b] = [light(getComputedStyle(one).fill), paper].sort((x, y) => y - x);
                return (a + 0.05) / (b + 0.05);
            });
    }"""
    assert min(page.evaluate(ratios)) >= 4.5
    page.get_by_role("button", name="Dark").click()
    page.wait_for_function(f"Math.min(...({ratios})()) >= 4.5")


def test_less_motion_is_respected(page, url):
    """Play then shows a dozen stills of the whole, and not every step of it."""
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{url}?tab=coin_flips")
    page.wait_for_selector("#tab-coin_flips .badge.ok")
    page.locator(".chip", has_text="every n on one bell").click()
    player = page.locator("#tab-coin_flips .player:visible")
    player.press("Home")
    shown = player.locator(".transport-step")
    last = int(shown.inner_text().split("/")[1])
    assert last > 24
    page.evaluate(
        """() => {
            window.steps = [];
            const all = [...document.querySelectorAll('#tab-coin_flips .transport-step')];
            const shown = all.find((one) => one.offsetParent), at = () => parseInt(shown.value.slice(5));
            new MutationObserver(() => window.steps.push(at()))
                .observe(shown, { childList: true, characterData: true, subtree: true });
        }"""
    )
    player.press("Space")
    page.wait_for_function("window.steps.length > 1")
    first, second = page.evaluate("window.steps.slice(0, 2)")
    assert second - first == first == -(-(last + 1) // 12)
