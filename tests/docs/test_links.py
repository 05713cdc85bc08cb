"""Every link of every page leads somewhere on a git host; the site's are test_site.py's."""

import posixpath
import re

import pytest

from tests.docs.pages import ROOT, anchors, links, pages, text_of


@pytest.mark.parametrize("page", pages())
def test_its_links_lead_somewhere(page: str) -> None:
    broken = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = posixpath.normpath(posixpath.join(posixpath.dirname(page), path)) if path else page
        if not (ROOT / there).exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


def test_links_are_found() -> None:
    assert "training.md#a-task-of-your-own" in links("docs/extending.md")
    assert "pictures/detect.webp" in links("docs/endpoints.md")
    assert "http" not in "".join(links("docs/operating.md"))
    assert "beside-the-limit-without-http" in anchors("docs/benchmarks.md")
    assert "nowhere" not in anchors("docs/benchmarks.md")


def test_every_decision_is_listed() -> None:
    listed = re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", text_of("docs/decisions/README.md"))
    decisions = [path.name for path in (ROOT / "docs/decisions").glob("0*.md")]
    assert sorted(listed) == sorted(decisions)


def test_every_picture_is_shown() -> None:
    shown = {posixpath.basename(target) for page in pages() for target in links(page)}
    pictures = {path.name for path in (ROOT / "docs/pictures").iterdir()}
    assert pictures <= shown


def test_pictures_are_small() -> None:
    sizes = {p.name: p.stat().st_size for p in (ROOT / "docs/pictures").iterdir()}
    assert max(sizes.values()) < 200_000
    assert sum(sizes.values()) < 1_200_000
