"""Each task on the page, with a real model behind it."""

import io
import random

import numpy as np
import pytest
from finder import TASKS, answered, call, drop, give, halves, overlay, panel, png, sized, visit
from PIL import Image
from playwright.sync_api import FilePayload, Page, Request, expect

from service.run_length import compressed, run_lengths
from service.runs import runs

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("silent")]


def test_a_classifiers_labels_are_bars(page: Page, site: str) -> None:
    visit(page, site)
    give(page, png(Image.new("RGB", (20, 20), (250, 0, 0))), "red.png")
    bars = answered(page).get_by_role("list", name="Labels").get_by_role("listitem")
    expect(bars).to_have_count(3)
    expect(bars.first).to_contain_text("red")
    expect(bars.first).to_contain_text("100.0%")
    expect(page.get_by_role("img", name="Most likely red")).to_be_visible()
    expect(page.locator("#announcer")).to_contain_text("Most likely red")
    panel(page).get_by_role("slider", name="Most labels").fill("1")
    expect(bars).to_have_count(1)
    assert "top_k=1" in call(page)


def test_a_picture_can_be_dropped_and_pasted(page: Page, site: str) -> None:
    visit(page, site)
    drop(page, png(Image.new("RGB", (20, 20), (0, 250, 0))), "green.png")
    first = answered(page).get_by_role("listitem").first
    expect(first).to_contain_text("green")
    expect(page.locator("#readout")).to_contain_text("green.png")
    expect(page.locator("#readout")).to_contain_text(sized(20, 20))
    page.evaluate(
        """data => {
            const clipboardData = new DataTransfer();
            const file = new File([new Uint8Array(data)], "blue.png", { type: "image/png" });
            clipboardData.items.add(file);
            const paste = new ClipboardEvent("paste", { clipboardData, bubbles: true });
            document.body.dispatchEvent(paste);
        }""",
        list(png(Image.new("RGB", (20, 20), (0, 0, 250)))),
    )
    expect(first).to_contain_text("blue")


def test_how_soon_an_answer_is_on_screen_is_measured(page: Page, site: str) -> None:
    visit(page, site)
    drop(page, png(halves()), "halves.png")
    answered(page)
    page.wait_for_timeout(100)
    measures = page.evaluate("performance.getEntriesByName('sightline:shown').map(m => m.detail)")
    assert measures == ["classify"]


def test_the_threshold_sifts_one_answer(page: Page, site: str) -> None:
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "/detect?" in request.url else None)
    visit(page, site, "Detect")
    give(page, png(Image.new("RGB", (64, 64), (255, 255, 255))), "white.png")
    found = answered(page).get_by_role("list", name="Objects").get_by_role("button")
    expect(found).to_have_count(3)  # of the four boxes two overlap
    threshold = panel(page).get_by_role("slider", name="Threshold")
    assert threshold.input_value() == "0.3"
    threshold.fill("0.6")
    expect(found).to_have_count(2)
    threshold.fill("0.9")
    expect(found).to_have_count(1)
    expect(panel(page)).to_contain_text("1 object")
    assert "threshold=0.9" in call(page)
    threshold.fill("0.05")
    expect(found).to_have_count(3)
    assert len(asked) == 1


def test_a_box_and_its_row_light_up_together(page: Page, site: str) -> None:
    visit(page, site, "Detect")
    give(page, png(Image.new("RGB", (64, 64), (255, 255, 255))), "white.png")
    row = answered(page).get_by_role("button", name="dog")
    frame = page.locator("#overlay").bounding_box()
    assert frame is not None
    dim = overlay(page)
    page.mouse.move(frame["x"] + 0.1 * frame["width"], frame["y"] + 0.9 * frame["height"])
    expect(page.locator("#tip")).to_have_text("dog 70.0%")
    expect(row).to_have_attribute("data-lit", "")
    lit = overlay(page)
    inside = (int(0.75 * lit.shape[0]), int(0.1 * lit.shape[1]), 3)
    assert dim[inside] == 0
    assert lit[inside] > 0
    page.mouse.move(frame["x"] + 0.95 * frame["width"], frame["y"] + 0.95 * frame["height"])
    expect(page.locator("#tip")).to_be_hidden()
    assert (overlay(page) == dim).all()
    row.focus()
    assert (overlay(page) == lit).all()
    row.click()
    row.blur()
    expect(row).to_have_attribute("aria-pressed", "true")
    assert (overlay(page) == lit).all()  # it stays


def test_classes_lie_over_the_picture_and_can_be_switched_off(page: Page, site: str) -> None:
    visit(page, site, "Segment")
    give(page, png(halves()))
    legend = answered(page).get_by_role("list", name="Classes").get_by_role("checkbox")
    expect(legend).to_have_count(2)
    panel(page).get_by_role("slider", name="Opacity").fill("1")
    seen = overlay(page)
    height, width = seen.shape[:2]
    left, right = (height // 2, width // 4), (height // 2, 3 * width // 4)
    assert seen[left][3] == seen[right][3] == 255
    assert (seen[left][:3] != seen[right][:3]).any()
    panel(page).get_by_role("checkbox", name="red").uncheck()
    seen = overlay(page)
    assert seen[left][3] == 0
    assert seen[right][3] == 255
    assert call(page).endswith("?classes=blue'")
    panel(page).get_by_role("slider", name="Opacity").fill("0")
    assert not overlay(page).any()


def test_the_page_reads_run_lengths_as_the_service_writes_them(page: Page, site: str) -> None:
    visit(page, site)
    chance = random.Random(3)
    numbers = np.random.default_rng(3)
    for _ in range(20):
        height, width = chance.randint(1, 40), chance.randint(1, 40)
        mask = (numbers.random((height, width)) < chance.random()).astype(np.uint8)
        lengths = run_lengths(runs(mask, [1])[1]) if mask.any() else np.array([mask.size])
        drawn = page.evaluate(
            """async ([counts, size]) => {
                const { stretches } = await import("./web/run_lengths.js");
                const grid = Array.from({ length: size[0] }, () => new Array(size[1]).fill(0));
                stretches({ counts, size }, size[1], size[0], (x, top, bottom) => {
                    for (let y = top; y < bottom; y += 1) grid[y][x] += 1;
                });
                return grid;
            }""",
            [compressed(lengths), [height, width]],
        )
        assert drawn == mask.tolist()


def test_a_caption_shows_where_the_model_looked(page: Page, site: str) -> None:
    visit(page, site, "Caption")
    give(page, png(halves()))
    sentence = answered(page).locator(".sentence")
    said = sentence.inner_text()
    assert said
    assert not overlay(page).any()
    words = panel(page).get_by_role("group", name="Where it looked").get_by_role("button")
    words.first.click()
    expect(words.first).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(200)
    shade = overlay(page)[..., 3]
    height, width = shade.shape
    bright = shade[height // 2, width // 4]  # the first word's place is where the picture is red
    assert bright < shade[height // 2, 3 * width // 4]
    words.first.click()
    assert not overlay(page).any()
    others = panel(page).get_by_role("list", name="All it would say").get_by_role("button")
    others.nth(1).click()
    expect(others.nth(1)).to_have_attribute("aria-pressed", "true")
    assert sentence.inner_text() != said
    expect(others.nth(1)).to_be_focused()


def test_styles_are_presets_and_own_pictures_in_any_mix(page: Page, site: str) -> None:
    visit(page, site, "Stylize")
    give(page, png(halves()))
    expect(panel(page)).to_contain_text("Choose a style")
    styles = panel(page).get_by_role("list", name="Styles").get_by_role("button")
    expect(styles).to_have_count(2)
    panel(page).get_by_role("button", name="Wave").click()
    expect(answered(page)).to_contain_text("In the style of Wave")
    assert (overlay(page)[..., 3] == 255).all()
    assert "style=wave&alpha=1" in call(page)
    panel(page).get_by_label("Style pictures").set_input_files(
        FilePayload(name="own.png", mimeType="image/png", buffer=png(halves()))
    )
    expect(panel(page)).to_contain_text("In the style of Wave and own.png")
    panel(page).get_by_role("slider", name="Weight of own.png").fill("0.5")
    panel(page).get_by_role("slider", name="Strength").fill("0.6")
    panel(page).get_by_role("checkbox", name="Keep the picture's colours").check()
    for part in ("-F style=@own.png", "style_weight=0.5", "alpha=0.6", "preserve_color=true"):
        assert part in call(page)
    link = panel(page).get_by_role("link", name=f"Save result, {sized(64, 48)}")
    expect(link).to_have_attribute("download", "styled.jpg")
    panel(page).get_by_role("slider", name="How much of the result").fill("0.5")
    seen = overlay(page)[..., 3]
    assert seen[5, 5] == 255
    assert seen[5, -5] == 0


def test_a_tab_without_a_model_says_so(page: Page, site: str) -> None:
    page.route("**/models", lambda route: route.fulfill(json=[]))
    visit(page, site, "Stylize")
    expect(panel(page)).to_contain_text("No model for stylize yet")
    give(page, png(halves()))
    expect(page.locator("#readout")).to_contain_text(sized(64, 48))
    expect(page.get_by_role("button", name="Copy")).to_be_disabled()


def test_another_model_answers_anew(page: Page, site: str) -> None:
    visit(page, site)
    give(page, png(Image.new("RGB", (20, 20), (250, 0, 0))), "red.png")
    picker = answered(page).get_by_role("combobox", name="Model")
    picker.select_option("digits")
    expect(panel(page).get_by_role("listitem").first.locator(".bar__label")).to_have_text("0")
    assert "model=digits" in call(page)


def test_a_drawn_digit_goes_to_who_reads_digits(page: Page, site: str) -> None:
    visit(page, site, "Caption")
    page.get_by_role("button", name="Draw digit").click()
    read = page.get_by_role("button", name="Read it")
    expect(read).to_be_disabled()
    expect(page.locator("#sketch")).to_be_focused()
    page.keyboard.press("Space")
    for _ in range(12):
        page.keyboard.press("ArrowDown")
    expect(page.locator("#sketch-words")).to_contain_text("Pen down")
    read.click()
    expect(page.get_by_role("tab", name="Classify")).to_have_attribute("aria-selected", "true")
    expect(answered(page).get_by_role("combobox", name="Model")).to_have_value("digits")
    assert "-F file=@digit.png" in call(page)


def test_the_camera_takes_a_picture(page: Page, site: str) -> None:
    visit(page, site)
    page.get_by_role("button", name="Camera").click()
    page.get_by_role("button", name="Take the picture").click()  # once it is enabled
    answered(page)
    expect(page.locator("#readout")).to_contain_text("camera.jpg")
    assert page.locator("#camera-view").evaluate("video => video.srcObject") is None


def test_every_sample_has_an_answer(page: Page, site: str) -> None:
    visit(page, site)
    samples = page.get_by_role("list", name="Samples").get_by_role("button")
    for sample in samples.all():
        sample.click()
        expect(sample).to_have_attribute("aria-pressed", "true")
        answered(page)
    expect(page.locator(".sample[aria-pressed=true]")).to_have_count(1)


def test_a_large_picture_goes_out_as_it_is(page: Page, site: str) -> None:
    """What is shrunk is what is shown."""
    visit(page, site)
    with page.expect_response("**/classify?*") as response:
        give(page, png(halves(2400, 300)))
    assert response.value.json()["image"] == {"width": 2400, "height": 300}
    expect(page.locator("#readout")).to_contain_text(sized(2400, 300))


@pytest.mark.parametrize("task", TASKS)
def test_a_tab_keeps_its_answer(page: Page, site: str, task: str) -> None:
    """Coming back asks nothing again, and lays the same over the picture."""
    visit(page, site, task)
    give(page, png(halves()))
    if task == "Stylize":
        panel(page).get_by_role("button", name="Fire").click()
    answered(page)
    asked: list[Request] = []
    before = overlay(page)
    other = "Classify" if task != "Classify" else "Detect"
    page.get_by_role("tab", name=other).click()
    answered(page)
    page.on("request", lambda request: asked.append(request) if request.method == "POST" else None)
    page.get_by_role("tab", name=task).click()
    assert (overlay(page) == before).all()
    assert asked == []


def test_what_a_browser_cannot_show_is_answered(page: Page, site: str) -> None:
    buffer = io.BytesIO()
    halves().save(buffer, "TIFF")
    visit(page, site, "Detect")
    give(page, buffer.getvalue(), "halves.tiff", "image/tiff")
    answered(page)
    expect(page.locator("#readout")).to_contain_text(sized(64, 48))
    assert overlay(page).any()


def test_timings_tell_every_stage(page: Page, site: str) -> None:
    visit(page, site, "Stylize")
    give(page, png(halves()))
    panel(page).get_by_role("button", name="Wave").click()
    expect(answered(page).locator(".timings")).to_contain_text("on CPU")
    stages = panel(page).locator(".timings dt").all_inner_texts()
    assert stages == ["Queue", "Decode", "Model", "Finish", "Transfer"]
    assert panel(page).locator("[data-stage=run] dd").inner_text() != "0.0 ms"
