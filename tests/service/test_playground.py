"""The page at /: its files, their headers, what is no part of it."""

import re
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
from documented import client_of
from fastapi import FastAPI

from service import playground
from service.app import create_app
from service.settings import Settings

WEB = Path(str(files("service") / "web"))


def linked(page: str) -> set[str]:
    """Addresses in the page's attributes."""
    return set(re.findall(r'(?:href|src)="([^"#]+)"', page))


async def test_the_page_is_served_with_its_headers(client: httpx.AsyncClient) -> None:
    response = await client.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(
        rule.strip().partition(" ")[::2]
        for rule in response.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert "camera=(self)" in response.headers["permissions-policy"]


async def test_all_that_the_page_links_to_is_there(client: httpx.AsyncClient) -> None:
    for address in linked((await client.get("/")).text):
        assert (await client.get(f"/{address}")).status_code == 200, address


async def test_all_that_the_scripts_import_is_there(client: httpx.AsyncClient) -> None:
    imported = {
        httpx.URL(f"http://test/web/{script.relative_to(WEB).as_posix()}").join(address)
        for script in WEB.rglob("*.js")
        for address in re.findall(r'^import .* from "([^"]+)";', script.read_text(), re.MULTILINE)
    }
    assert len(imported) > 10
    for address in imported:
        response = await client.get(address)
        assert response.status_code == 200, address
        assert response.headers["content-type"] == "text/javascript; charset=utf-8"


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    page = (WEB / "index.html").read_text()
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on[a-z]+=", page)
    for file in (path for path in WEB.rglob("*") if path.is_file()):
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacentHTML|\beval\(", text)


async def test_a_file_is_not_sent_to_who_has_it(client: httpx.AsyncClient) -> None:
    first = await client.get("/web/main.js")
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for tags in (etag, f'"other", W/{etag}', "*"):
        again = await client.get("/web/main.js", headers={"If-None-Match": tags})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    other = await client.get("/web/main.js", headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("path", ["/", "/web/main.js", "/web/icon.svg"])
async def test_head_tells_what_get_would(client: httpx.AsyncClient, path: str) -> None:
    got, told = await client.get(path), await client.head(path)
    assert told.status_code == 200
    assert told.headers["content-length"] == got.headers["content-length"]
    assert told.headers["etag"] == got.headers["etag"]


@pytest.mark.parametrize(
    "path",
    [
        *("", "nothing.js", "style", "../settings.py", "%2e%2e/settings.py", "..%2fsettings.py"),
        *("/etc/passwd", "style/../../settings.py", "index.html/", "MAIN.JS", "main.js%00"),
    ],
)
async def test_there_are_no_other_files(app: FastAPI, path: str) -> None:
    async with client_of(app) as client:
        assert (await client.get(f"/web/{path}")).status_code == 404


@pytest.mark.parametrize("path", ["/", "/web/main.js"])
async def test_it_takes_nothing(app: FastAPI, path: str) -> None:
    async with client_of(app) as client:
        response = await client.post(path, content=b"x")
    assert response.status_code == 405
    assert set(response.headers["allow"].split(", ")) == {"GET", "HEAD"}


async def test_the_page_knows_the_limits(client: httpx.AsyncClient, settings: Settings) -> None:
    limits = (await client.get("/web/limits.json")).json()
    assert limits["max_body_bytes"] == settings.max_body_bytes
    assert limits["max_pixels"] == settings.max_pixels


async def test_it_can_be_switched_off(models: Path) -> None:
    app = create_app(Settings(models=models, playground=False))
    async with client_of(app) as client:
        for path in ("/", "/web/main.js"):
            assert (await client.get(path)).status_code == 404
        assert (await client.get("/docs")).status_code == 200


def test_every_file_of_the_folder_is_known(settings: Settings) -> None:
    there = {path.relative_to(WEB).as_posix() for path in WEB.rglob("*") if path.is_file()}
    assert playground.assets(settings).keys() == there | {"limits.json"}
