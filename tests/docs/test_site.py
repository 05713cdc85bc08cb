"""The documentation as a site: built strictly, whole by itself, searched from a disk."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from chromium import FLAGS, chromium
from diagrams import OUT, REQUEST, TRAINING, diagrams
from playwright.sync_api import Page, sync_playwright
from reference import reference

from tests.docs.pages import ROOT, pages


def build(config: Path, target: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("material", reason="needs the extra docs")
    words = ["mkdocs", "build", "--config-file", str(config), "--site-dir", str(target)]
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *words],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    built = build(ROOT / "mkdocs.yml", target)
    assert built.returncode == 0, built.stderr
    return target


def test_every_page_is_there(site: Path) -> None:
    for page in pages():
        if page != "README.md":  # index.md is the site's
            path = Path(page.removeprefix("docs/"))
            name = "index" if path.name == "README.md" else path.stem
            assert (site / path.with_name(name + ".html")).is_file(), page


def test_a_broken_link_stops_the_build(tmp_path: Path) -> None:
    """Of a page, of an anchor: each by itself."""
    for broken in ("nowhere.md", "index.md#nowhere", "/absolute.md"):
        folder = tmp_path / re.sub(r"\W", "-", broken)
        (folder / "docs").mkdir(parents=True)
        (folder / "docs/index.md").write_text(f"# A page\n\n[there]({broken})\n")
        config = (ROOT / "mkdocs.yml").read_text()
        config = config[: config.index("nav:")].replace("docs/make/hooks.py", str(EMPTY))
        (folder / "mkdocs.yml").write_text(config)
        built = build(folder / "mkdocs.yml", folder / "site")
        assert built.returncode != 0, broken
        assert "WARNING -  Doc file 'index.md' contains a" in built.stderr
        assert broken in built.stderr


EMPTY = ROOT / "docs/make/stages.py"
"""A module without a hook."""


def test_nothing_comes_from_elsewhere(site: Path) -> None:
    """No page loads anything of another host; links that a reader follows are something else."""
    loads = re.compile(
        r"""<(?:script|img|iframe|source)\b[^>]*\bsrc="?(?:https?:)?//"""
        r"""|<link\b(?![^>]*rel="?(?:canonical|next|prev))[^>]*\bhref="?(?:https?:)?//"""
        r"""|@import|url\(["']?(?:https?:)?//"""
    )
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        assert not loads.findall(path.read_text()), path


def test_the_search_knows_the_guide(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text())
    found = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {"quickstart.html", "train-your-own.html", "models/mnist/MODEL_CARD.html"} <= found


@pytest.fixture(scope="module")
def browser_page() -> Iterator[Page]:
    if chromium() is None:
        pytest.skip("no Chromium; see make chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        page = browser.new_page()
        page.set_default_timeout(30_000)
        yield page
        browser.close()


def test_it_is_searched_from_a_disk(site: Path, browser_page: Page) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    browser_page.on("request", lambda request: asked.append(request.url))
    browser_page.on("pageerror", lambda error: complaints.append(str(error)))
    browser_page.goto((site / "index.html").as_uri())
    browser_page.get_by_placeholder("Search").press_sequentially("Caltech")
    result = browser_page.locator(".md-search-result__link").first
    result.wait_for()
    assert "train" in (result.get_attribute("href") or "")
    assert complaints == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def test_pictures_of_a_page_are_loaded(site: Path, browser_page: Page) -> None:
    for name in ("endpoints.html", "architecture.html", "playground.html"):
        browser_page.goto((site / name).as_uri())
        pictures = browser_page.locator("article img").all()
        assert pictures
        for picture in pictures:
            assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
            assert picture.get_attribute("alt")


@pytest.mark.parametrize(("name", "drawn"), list(diagrams().items()))
def test_the_diagrams_are_those_of_the_source(name: str, drawn: str) -> None:
    assert (OUT / name).read_text() == drawn, "run: make docs-diagrams"
    root = ElementTree.fromstring(drawn)
    assert {"title", "desc", "text"} <= {each.tag.rpartition("}")[2] for each in root.iter()}
    assert "prefers-color-scheme: dark" in drawn
    assert "http" not in drawn.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(("half", "stages"), [("service", REQUEST), ("training", TRAINING)])
def test_files_of_the_diagrams_exist(half: str, stages: tuple) -> None:  # type: ignore[type-arg]
    for stage in stages:
        first, *others = stage.files.replace("<task>", "classify").split(", ")
        folder = Path(first).parent
        for name in (first, *others):
            places = [Path(name), folder / name, Path(half) / name]
            assert any((ROOT / place).exists() for place in places), name


def test_the_reference_has_every_route_and_parameter() -> None:
    document = ROOT / "docs/openapi.json"
    text = reference(document)
    for path, operations in json.loads(document.read_text())["paths"].items():
        for method, operation in operations.items():
            part = text.partition(f"\n## {method.upper()} {path}\n")[2].partition("\n## ")[0]
            for parameter in operation.get("parameters", ()):
                assert f"| `{parameter['name']}` | `{parameter['in']}` |" in part
            for status in operation["responses"]:
                assert f"\n| {status} |" in part
