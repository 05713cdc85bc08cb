"""The page for everyone: by keyboard, read aloud, on a phone, in the dark."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from finder import TASKS, answered, give, halves, panel, png, visit
from playwright.sync_api import Browser, Page, ViewportSize, expect

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("silent")]

PHONE: ViewportSize = {"width": 360, "height": 740}


def answer(page: Page, task: str) -> None:
    """Have the open task answer."""
    page.get_by_role("tab", name=task).click()
    if task == "Stylize":
        for name in ("Wave", "Fire"):
            style = panel(page).get_by_role("button", name=name)
            if style.get_attribute("aria-pressed") == "false":
                style.click()
    answered(page)


@pytest.fixture(params=["light", "dark"])
def audited(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page that axe may be brought into, which the page's own policy forbids."""
    context = browser.new_context(color_scheme=request.param, bypass_csp=True)
    yield context.new_page()
    context.close()


def faults(page: Page) -> list[str]:
    """What axe finds against WCAG 2.2 AA and good practice."""
    page.wait_for_timeout(200)  # until colours have faded over
    found = Axe().run(page)
    return [
        f"{fault['id']}: {node['html']} {node.get('failureSummary', '')}"
        for fault in found.response["violations"]
        for node in fault["nodes"]
    ]


def test_axe_finds_nothing(audited: Page, site: str) -> None:
    visit(audited, site)
    assert faults(audited) == []
    give(audited, png(halves()))
    for task in TASKS:
        answer(audited, task)
        assert faults(audited) == [], task


def test_axe_finds_nothing_in_dialogs_and_problems(audited: Page, site: str) -> None:
    visit(audited, site)
    give(audited, b"hello", "notes.txt", "text/plain")
    expect(audited.get_by_role("alert")).to_be_visible()
    assert faults(audited) == []
    for opener in ("Key", "Camera", "Draw digit"):
        audited.get_by_role("button", name=opener).click()
        expect(audited.get_by_role("dialog")).to_be_visible()
        assert faults(audited) == [], opener
        audited.keyboard.press("Escape")


def test_arrows_go_along_the_tabs(page: Page, site: str) -> None:
    visit(page, site)
    page.get_by_role("tab", name="Classify").focus()
    for key, task in (
        ("ArrowRight", "Detect"),
        ("End", "Stylize"),
        ("ArrowRight", "Classify"),
        ("ArrowLeft", "Stylize"),
        ("Home", "Classify"),
    ):
        page.keyboard.press(key)
        tab = page.get_by_role("tab", name=task)
        expect(tab).to_be_focused()
        expect(tab).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("tabpanel", name=task)).to_be_visible()
        expect(page.get_by_role("tabpanel")).to_have_count(1)
        assert page.url.endswith(f"#{task.lower()}")


def test_tab_reaches_everything_and_shows_where_it_is(page: Page, site: str) -> None:
    visit(page, site)
    give(page, png(halves()))
    answered(page)
    page.locator("body").focus()
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        stop = page.evaluate(
            """() => {
                const at = document.activeElement;
                const style = getComputedStyle(at);
                const shows = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                return at === document.body ? null
                    : { name: at.id || at.textContent.trim() || at.tagName, shows };
            }"""
        )
        if stop is None:
            break
        assert stop["shows"], stop
        reached.append(stop["name"])
    assert reached[0] == "Skip to the answer"
    for name in ("theme", "tab-classify", "choose", "camera", "draw", "save", "Blood cells"):
        assert name in reached
    assert reached[-1].startswith("curl")
    assert "tab-detect" not in reached  # the arrows' business


def test_all_by_keyboard(page: Page, site: str) -> None:
    """From the first key to boxes on a picture and another threshold."""
    visit(page, site)
    page.get_by_role("tab", name="Classify").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="Balloon").focus()
    page.keyboard.press("Enter")
    threshold = answered(page).get_by_role("slider", name="Threshold")
    threshold.focus()
    before = threshold.input_value()
    page.keyboard.press("ArrowRight")
    assert float(threshold.input_value()) == pytest.approx(float(before) + 0.01)
    expect(threshold).to_have_attribute("aria-valuetext", f"{float(before) + 0.01:.2f}")


@pytest.mark.parametrize("width", [320, 360, 768])
def test_nothing_sticks_out(page: Page, site: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 740})
    visit(page, site)
    give(page, png(halves()), f"{'a-long-name-' * 8}.png")
    for task in TASKS:
        answer(page, task)
        over = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert over <= 0, task


def test_a_finger_has_room(page: Page, site: str) -> None:
    """Targets of 24 pixels at least (WCAG 2.2, 2.5.8)."""
    page.set_viewport_size(PHONE)
    visit(page, site)
    give(page, png(halves()))
    for task in TASKS:
        answer(page, task)
        for target in page.get_by_role("button").or_(page.get_by_role("tab")).all():
            box = target.bounding_box()
            assert box is None or min(box["width"], box["height"]) >= 24, target.inner_text()


def test_the_theme_follows_the_system_until_told_otherwise(page: Page, site: str) -> None:
    def ground() -> str:
        colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return colour

    page.emulate_media(color_scheme="light")
    visit(page, site)
    light = ground()
    page.emulate_media(color_scheme="dark")
    expect(page.get_by_role("button", name="Light theme")).to_be_visible()
    dark = ground()
    assert dark != light
    page.get_by_role("button", name="Light theme").click()
    assert ground() == light
    page.reload()
    expect(page.get_by_role("button", name="Dark theme")).to_be_visible()
    assert ground() == light


def test_the_answer_is_read_aloud(page: Page, site: str) -> None:
    visit(page, site, "Segment")
    give(page, png(halves()))
    answered(page)
    expect(page.locator("#announcer[aria-live=polite]")).to_contain_text("2 classes: red 50.0%")
