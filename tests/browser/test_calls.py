"""The calls the page shows, run as they stand."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from finder import TASKS, answered, call, give, halves, panel, png, visit
from PIL import Image
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.live, pytest.mark.usefixtures("silent")]

NAME = 'it\'s; a, "odd" name $HOME.png'
SAID = {"Classify": "blue", "Detect": "cat", "Segment": "red", "Caption": "red"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the pictures that calls name."""
    (tmp_path / NAME).write_bytes(png(halves()))
    (tmp_path / "own.png").write_bytes(png(halves()))
    return tmp_path


def show(page: Page, site: str, task: str, folder: Path) -> None:
    """Have the page answer for the pictures of the folder."""
    visit(page, site, task)
    give(page, (folder / NAME).read_bytes(), NAME)
    if task == "Stylize":
        panel(page).get_by_role("button", name="Wave").click()
        panel(page).get_by_label("Style pictures").set_input_files(folder / "own.png")
        expect(panel(page)).to_contain_text("Wave and own.png")
    answered(page)


def check(task: str, said: str, folder: Path) -> None:
    """The call gave what is on screen."""
    if task == "Stylize":
        with Image.open(folder / "styled.jpg") as styled:
            assert styled.size == (64, 48)
    else:
        assert SAID[task] in said


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
@pytest.mark.parametrize("task", TASKS)
def test_curl(page: Page, site: str, task: str, folder: Path) -> None:
    show(page, site, task, folder)
    ran = subprocess.run(
        ["sh", "-ec", call(page).replace("curl ", "curl -sSf ", 1)],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    check(task, ran.stdout, folder)


@pytest.mark.parametrize("task", TASKS)
def test_python(page: Page, site: str, task: str, folder: Path) -> None:
    show(page, site, task, folder)
    page.get_by_role("button", name="Python").click()
    ran = subprocess.run(
        [sys.executable, "-c", call(page)],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    check(task, ran.stdout, folder)


def test_copy_puts_the_call_on_the_clipboard(page: Page, site: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit(page, site, "Detect")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == call(page)
