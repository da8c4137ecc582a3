"""A running page and a Chromium to look at it with; without Chromium these tests are skipped, and say how to get it."""

import shutil
from contextlib import contextmanager
from urllib.parse import parse_qs, parse_qsl, urlencode

import pytest

# The address bar's popup is two pages of Chromium's own, half a second of work at every new window. The switch takes
# the place of Playwright's own, of whose list the last four are kept.
OFF = ("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "AimEnabled", "HttpsUpgrades", "OptimizationHints", "PaintHolding")
ARGS = [
    f"--disable-features={','.join(OFF)}",
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
SIZE = {"width": 1280, "height": 900}
# What Gradio's client may write of its own connection when a move ends a run that has only begun.
ENDED = ("AbortError: signal is aborted without reason", "Unexpected error Connection errored out")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium found; install it: apt-get install chromium"))


@pytest.fixture(scope="session")
def embedded():
    """Whether the embedded model is here; without it the app draws with a tiny random one."""
    from core.weights import models

    return "emoji" in models() and (models()["emoji"] / "unet" / "config.json").is_file()


@pytest.fixture(scope="session")
def url(embedded, request):
    """The address of the whole app, served from this process."""
    from explorer.app import build, launch

    demo = build("emoji" if embedded else str(request.getfixturevalue("tiny_model")))
    _, address, _ = launch(demo, host="127.0.0.1", prevent_thread_lock=True, quiet=True)
    yield address
    demo.close()


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def offered(url):
    """What that app draws with."""
    from explorer import models

    return models._offer


@pytest.fixture(scope="session")
def views():
    """The addresses of a tab's views: of each value of the field that chooses the view, a preset with it."""
    from importlib import import_module

    from explorer.frame import address_of
    from explorer.settings import specs

    def addresses(name):
        module = import_module(f"explorer.tabs.{name}")
        first, spec = next(iter(specs(module.Settings).items()))
        if first not in ("view", "show") or spec.kind != "choice":
            return [address_of(module, module.Settings())]
        named = {getattr(s, first): s for s in reversed(module.PRESETS.values())}
        return [address_of(module, named.get(v) or module.Settings(**{first: v})) for v in spec.options]

    return addresses


@contextmanager
def faultless(chromium, url):
    """An empty page that must meet no console error and ask no other host."""
    context = chromium.new_context(viewport=SIZE)
    context.set_default_timeout(60_000)  # a busy machine is no failure
    page = context.new_page()
    complaints = []

    def heard(message):
        if message.type == "error" and not any(said in message.text for said in ENDED):
            complaints.append(f"console: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    page.on(
        "request",
        lambda r: None if r.url.startswith((url, "data:", "blob:")) else complaints.append(f"other host: {r.url}"),
    )
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def as_built(offered, monkeypatch):
    """Files run before in this process may have offered another model."""
    monkeypatch.setattr("explorer.models._offer", offered)


@pytest.fixture
def page(chromium, url, as_built):
    """A test's own `faultless` page."""
    with faultless(chromium, url) as page:
        yield page


@pytest.fixture(scope="module")
def standing(chromium, url):
    """One page for all of a file's tests that need not have their own, and what brings it to other settings."""
    with faultless(chromium, url) as page:
        wait = until_quiet(page)

        def go(query):
            if page.url.startswith(url):
                return wait(query)
            page.goto(f"{url}?{query}")
            page.wait_for_selector(".badge.ok")
            wait()

        yield page, go


@pytest.fixture
def reused(standing, as_built):
    """The standing page, at its usual size and with nothing held back; for tests that load it anew."""
    page, _ = standing
    page.unroute_all(behavior="ignoreErrors")
    page.set_viewport_size(SIZE)
    page.evaluate("scrollTo(0, 0)")
    page.mouse.move(2, 2)
    return page


@pytest.fixture
def brought(standing, reused):
    """`brought(tab=..., ...)` is the standing page at settings, once it is loaded by a link within it."""
    page, go = standing

    def to(**query):
        go(urlencode(query))
        page.locator(f"#tab-{query['tab']} .badge.ok").wait_for()
        return page

    return to


@pytest.fixture
def address():
    """The keys of a page's address, read off the page: Playwright hears of a new address a little later."""
    return lambda page: dict(parse_qsl(page.evaluate("location.search")[1:]))


@pytest.fixture
def sizes(page):
    """Bytes of every answer to a move from now on, as compressed."""
    told = []

    def heard(answer):
        if "component_server" in answer.url:
            told.append(int(answer.headers["content-length"]))

    page.on("response", heard)
    return told


@pytest.fixture
def settled(page):
    return until_quiet(page)


def until_quiet(page):
    """Waits until nothing has been asked of the server for a while, and all that was asked is answered.

    With a query it first follows this link within the page, and waits until its settings are asked for.
    """
    under_way = set()
    calls = ("/gradio_api/run/", "/gradio_api/component_server/", "/gradio_api/queue/", "/gradio_api/call/")
    page.on("request", lambda r: under_way.add(r) if any(call in r.url for call in calls) else None)
    page.on("requestfinished", lambda r: under_way.discard(r))
    page.on("requestfailed", lambda r: under_way.discard(r))

    def wait(query=""):
        if query:
            opening = f'"tab={parse_qs(query)["tab"][0]}'
            with page.expect_request(lambda r: any(call in r.url for call in calls) and opening in (r.post_data or "")):
                page.evaluate("query => window.explorer.go(query)", query)
        quiet = 0
        while quiet < 4:
            page.wait_for_timeout(50)
            quiet = 0 if under_way else quiet + 1

    return wait
