"""What the page says when something goes wrong."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from finder import answered, call, give, halves, open_page, png, sized, visit
from PIL import Image
from playwright.sync_api import BrowserContext, FilePayload, Locator, Page, Route, expect
from serving import served

from service.settings import Settings

pytestmark = pytest.mark.live

RED = png(Image.new("RGB", (20, 20), (250, 0, 0)))


@pytest.fixture(autouse=True)
def _only_loads_fail(errors: list[str]) -> Iterator[None]:
    """The browser tells of failed loads on its own; nothing else may go wrong."""
    yield
    assert [error for error in errors if not error.startswith("Failed to load resource")] == []


def told(page: Page, title: str) -> Locator:
    """The problem that is shown."""
    notice = page.get_by_role("alert").filter(has_text=title)
    expect(notice).to_be_visible()
    return notice


def refusing(status: int, title: str, detail: str, **headers: str) -> Callable[[Route], None]:
    """What answers with a problem."""
    problem = {"type": "about:blank", "title": title, "status": status, "detail": detail}

    def refuse(route: Route) -> None:
        route.fulfill(
            status=status,
            body=json.dumps(problem),
            content_type="application/problem+json",
            headers=headers,
        )

    return refuse


def test_what_is_no_picture(page: Page, site: str) -> None:
    visit(page, site)
    give(page, b"hello", "notes.txt", "text/plain")
    notice = told(page, "Unsupported image")
    expect(notice).to_contain_text("Not a JPEG, PNG")
    expect(notice).to_contain_text("HTTP 415")
    expect(page.get_by_text("This browser cannot show this file.")).to_be_visible()
    with page.expect_file_chooser() as chooser:
        notice.get_by_role("button", name="Choose another picture").click()
    chooser.value.set_files(FilePayload(name="red.png", mimeType="image/png", buffer=RED))
    expect(answered(page).get_by_role("listitem").first).to_contain_text("red")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_damaged_picture(page: Page, site: str) -> None:
    visit(page, site, "Segment")
    give(page, png(halves(200, 200))[:200])
    expect(told(page, "Undecodable image")).to_contain_text("HTTP 422")


def test_too_many_pixels_and_a_copy_with_fewer(page: Page, site: str) -> None:
    visit(page, site)
    give(page, png(halves(4000, 300)))
    notice = told(page, "Too large")
    expect(notice).to_contain_text("1,200,000 pixels")
    notice.get_by_role("button", name="Send a smaller copy").click()
    answered(page)
    expect(page.locator("#readout")).to_contain_text(sized(1600, 120))
    assert "-F file=@halves-small.jpg" in call(page)


def test_too_many_bytes_are_not_sent(page: Page, site: str) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    visit(page, site, "Detect")
    sent.clear()
    give(page, png(halves()) + bytes(2 << 20))
    expect(told(page, "Too large")).to_contain_text("this service takes 1.0 MiB at most")
    assert [url for url in sent if not url.startswith("blob:")] == []


def test_a_busy_service_is_asked_again_when_it_said(page: Page, site: str) -> None:
    visit(page, site)
    refuse = refusing(429, "Too many requests", "the queue is full", **{"Retry-After": "2"})
    page.route("**/classify?*", refuse, times=1)
    give(page, RED)
    notice = told(page, "Too many requests")
    expect(notice).to_contain_text("The queue is full.")
    expect(notice.get_by_role("button")).to_be_disabled()
    expect(notice.get_by_role("button")).to_have_text("Try again in 2 s")
    again = notice.get_by_role("button", name="Try again", exact=True)
    again.click()  # once it is enabled
    expect(answered(page).get_by_role("listitem").first).to_contain_text("red")


@pytest.mark.parametrize(
    ("status", "title", "advice"),
    [
        (500, "Inference failed", "its log has the details"),
        (503, "Not ready", "starting, stopping"),
        (504, "Deadline passed", "in time"),
    ],
)
def test_the_services_own_failures(
    page: Page, site: str, status: int, title: str, advice: str
) -> None:
    visit(page, site)
    page.route("**/classify?*", refusing(status, title, "it went wrong"), times=1)
    give(page, RED)
    notice = told(page, title)
    expect(notice).to_contain_text("It went wrong.")
    expect(notice).to_contain_text(advice)
    notice.get_by_role("button", name="Try again").click()
    answered(page)


def test_an_answer_from_something_in_between(page: Page, site: str) -> None:
    visit(page, site)
    page.route(
        "**/classify?*",
        lambda route: route.fulfill(status=502, body="<h1>", content_type="text/html"),
    )
    give(page, RED)
    expect(told(page, "Bad Gateway")).to_contain_text("HTTP 502")


def test_no_network(page: Page, site: str, context: BrowserContext) -> None:
    visit(page, site)
    context.set_offline(True)
    give(page, RED)
    notice = told(page, "No connection to the service")
    expect(notice).to_contain_text("This device is offline")
    context.set_offline(False)
    notice.get_by_role("button", name="Try again").click()
    answered(page)


def test_a_key_is_asked_for_and_kept_for_the_tab(page: Page, site: str) -> None:
    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer open sesame":
            route.continue_()
        else:
            refusing(401, "Unauthorized", "an API key is needed")(route)

    for path in ("models", "models/*", "styles", "readyz", "classify?*"):
        page.route(f"{site}{path}", guard)
    open_page(page, site)
    told(page, "Unauthorized").get_by_role("button", name="Enter an API key").click()
    page.get_by_label("Key", exact=True).fill("open sesame")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("models ready")
    expect(page.get_by_role("alert")).to_have_count(0)
    give(page, RED)
    answered(page)
    assert "Bearer $SIGHTLINE_KEY" in call(page)
    assert "sesame" not in call(page)
    page.reload()
    expect(page.locator("#status")).to_contain_text("models ready")
    assert page.evaluate("Object.keys(localStorage)") == []
    page.get_by_role("button", name="Key set").click()
    page.get_by_role("button", name="Forget it").click()
    told(page, "Unauthorized")


def test_models_that_are_loading_are_waited_for(page: Page, site: str) -> None:
    refuse = refusing(503, "Not ready", "models are still loading")
    page.route("**/readyz", refuse, times=2)
    open_page(page, site)
    expect(told(page, "Not ready")).to_contain_text("Models are still loading.")
    expect(page.locator("#status")).to_contain_text("6 models ready")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_service_without_models_says_so(page: Page, tmp_path: Path) -> None:
    with served(Settings(models=tmp_path, cpus=1)) as address:
        open_page(page, address)
        expect(told(page, "Not ready")).to_contain_text("the models folder is empty")
        expect(page.locator("#call")).to_have_text("There is no model to call.")


def test_without_a_camera(page: Page, site: str) -> None:
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia ="
        " () => Promise.reject(new DOMException('', 'NotFoundError'))"
    )
    visit(page, site)
    page.get_by_role("button", name="Camera").click()
    expect(page.locator("#camera-words")).to_have_text("This device has no camera.")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
