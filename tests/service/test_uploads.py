"""``service.uploads``: every form a body may take, and the odd ones."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import httpx
import pytest
from conftest import encoded
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from service.errors import (
    BodyTimeoutError,
    BusyError,
    ClientGoneError,
    RequestError,
    TooLargeError,
    UnsupportedMediaError,
)
from service.settings import Settings
from service.uploads import BodyBudget, Part, parse_form, read_parts

JSON = "application/json"
FORM = 'multipart/form-data; boundary="limit"'
RED = encoded((250, 0, 0))
BLUE = encoded((0, 0, 250))


def part(data: bytes, head: bytes = b'Content-Disposition: form-data; name="file"') -> bytes:
    """One part of a form whose boundary is ``limit``."""
    return b"--limit\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A whole form."""
    return b"".join(parts) + b"--limit--\r\n"


def request_of(
    body: bytes | Iterable[Any], content_type: str | None = FORM, **headers: str
) -> Request:
    """A request whose body arrives as these chunks; a message or an exception stands for itself."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    pairs = {"content-type": content_type, **headers}
    raw = [(k.replace("_", "-").encode(), v.encode()) for k, v in pairs.items() if v is not None]

    async def receive() -> dict[str, Any]:
        if not chunks:
            return {"type": "http.request", "body": b"", "more_body": False}
        chunk = chunks.pop(0)
        if isinstance(chunk, bytes):
            return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}
        if isinstance(chunk, asyncio.Event):
            await chunk.wait()
        assert isinstance(chunk, dict)
        return chunk

    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


async def read(request: Request, **limits: Any) -> list[bytes]:
    """Read a request's pictures under limits that are out of the way."""
    return [part.data for part in await read_fields(request, **limits)]


async def read_fields(request: Request, **limits: Any) -> list[Part]:
    """Read a request's pictures and the fields they are in."""
    return await read_parts(
        request, **{"max_bytes": 1 << 20, "max_files": 4, "timeout_s": 60.0, **limits}
    )


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Disposition: form-data; name="file"',
        b"Content-Disposition: form-data; name=file",
        b'content-disposition:form-data;name="file";filename="cat.png"',
        b'CONTENT-DISPOSITION: FORM-DATA; NAME="file"',
        b'Content-Type: image/png\r\nContent-Disposition: form-data; name="file"',
        b'Content-Disposition: form-data; name="file"\r\nContent-Type: image/png\r\nX: \xff',
        b'Content-Disposition: form-data; name="file"; filename="a; name=\\"b\\".png"',
        b'Content-Disposition: form-data; filename="x; name=evil"; name="file"',
        b"Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac.png",
        b'Content-Disposition: form-data; name="file"; filename=""',
        'Content-Disposition: form-data; name="file"; filename="Käse \u20ac.png"'.encode(),
    ],
)
async def test_a_part_is_read_whichever_way_its_header_is_written(head: bytes) -> None:
    assert await read(request_of(form(part(RED, head)))) == [RED]


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=limit",
        'Multipart/Form-Data; charset=utf-8; BOUNDARY="limit"',
        "multipart/form-data;boundary=limit; charset=utf-8",
        'multipart/form-data; note="boundary=wrong; boundary=wrong"; boundary=limit',
    ],
)
async def test_the_boundary_is_found_whichever_way_it_is_written(content_type: str) -> None:
    assert await read(request_of(form(part(RED)), content_type)) == [RED]


async def test_preamble_epilogue_and_padding_are_no_parts() -> None:
    body = b"hello\r\n--limit  \t\r\n" + part(RED)[9:] + b"--limit--\r\nbye\r\n--limit\r\n"
    assert await read(request_of(body)) == [RED]


async def test_several_files_come_in_order() -> None:
    body = form(part(RED), part(BLUE), part(RED))
    assert await read(request_of(body)) == [RED, BLUE, RED]


async def test_of_several_fields_each_picture_tells_its_own() -> None:
    def named(data: bytes, name: str) -> bytes:
        return part(data, f'Content-Disposition: form-data; name="{name}"'.encode())

    fields = ("content", "style")
    body = form(named(RED, "style"), named(BLUE, "content"), named(BLUE, "style"))
    found = await read_fields(request_of(body), fields=fields)
    assert found == [Part("style", RED), Part("content", BLUE), Part("style", BLUE)]
    assert await read_fields(request_of(RED, "image/png"), fields=fields) == [Part("content", RED)]
    with pytest.raises(RequestError, match="'file': pictures go in 'content' or 'style', param"):
        await read_fields(request_of(form(part(RED))), fields=fields)
    with pytest.raises(RequestError, match="no field 'content'"):
        await read_fields(request_of(form()), fields=fields)
    with pytest.raises(RequestError, match="a picture in the field 'content', a raw body"):
        await read_fields(request_of(b"", "image/png"), fields=fields)


@examples(max_examples=50, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_whatever_bytes_a_part_holds_come_back(contents: list[bytes]) -> None:
    separated = [data for data in contents if b"--limit" not in data]
    body = form(*map(part, separated))
    assert parse_form(body, b"limit", 4) == [Part("file", data) for data in separated]


PIECES = rb'--|limit|a| |"|;|\|Content-Disposition|: form-data|; name="file"'.split(b"|")


@examples(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*PIECES, b"\r\n", b"\n", b"\r", b"\x00", b"\xff"]), max_size=40).map(
        b"".join
    )
)
def test_any_bytes_are_a_form_or_malformed(body: bytes) -> None:
    try:
        parts = parse_form(body, b"limit", 4)
    except (RequestError, TooLargeError):
        return
    assert all(isinstance(found, Part) for found in parts)
    assert b"--limit--" in body


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (form(part(RED))[:-12], "closing boundary"),
        (part(RED)[:30], "no header"),
        (b"hello", "closing boundary"),
        (form(part(RED)).replace(b"\r\n", b"\n"), "malformed|closing"),
        (b"--limitless\r\n\r\nx\r\n--limit--", "no header"),
        (form(part(RED, b"Content-Type: image/png")), "no field name"),
        (form(part(RED, b"Content-Disposition: form-data")), "no field name"),
        (form(part(RED, b'Content-Disposition: attachment; name="file"')), "no field name"),
        (form(part(RED, b"X: " + b"y" * 20_000)), "no header"),
        (form(part(RED, b'Content-Disposition: form-data; name="file')), "unknown form field ''"),
        (form(part(RED, b'Content-Disposition: form-data; name="image"')), "form field 'image'"),
        (form(part(RED), part(b"5", b'Content-Disposition: form-data; name="top_k"')), "'top_k'"),
        (form(), "no field 'file'"),
        (form(part(b"")), "empty"),
        (form(part(RED), part(b"")), "empty"),
        (b"", "body is empty"),
    ],
)
async def test_a_malformed_form_is_refused_and_told_why(body: bytes, why: str) -> None:
    with pytest.raises(RequestError, match=why):
        await read(request_of(body))


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", 'multipart/form-data; boundary=""']
)
async def test_a_form_without_a_boundary_is_refused(content_type: str) -> None:
    with pytest.raises(RequestError, match="no boundary"):
        await read(request_of(form(part(RED)), content_type))


async def test_a_long_name_of_a_stranger_is_not_sent_back_whole() -> None:
    head = b'Content-Disposition: form-data; name="' + b"x" * 10_000 + b'"'
    with pytest.raises(RequestError) as caught:
        await read(request_of(form(part(RED, head))))
    assert len(str(caught.value)) < 300
    with pytest.raises(RequestError) as caught:
        await read(request_of(json.dumps({"image": "", "x" * 10_000: 1}).encode(), JSON))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("count", [5, 100_000])
async def test_too_many_parts_are_refused(count: int) -> None:
    with pytest.raises(TooLargeError, match="more than 4 parts"):
        await read(request_of(form(part(b"x") * count)), max_bytes=1 << 30)


async def test_as_many_parts_as_allowed_are_read() -> None:
    assert await read(request_of(form(part(b"x") * 4))) == [b"x"] * 4


@pytest.mark.parametrize(
    "media_type", ["image/png", "IMAGE/JPEG; q=1", "image/x-anything", "application/octet-stream"]
)
async def test_a_raw_body_is_the_picture(media_type: str) -> None:
    assert await read(request_of(RED, media_type)) == [RED]


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "", None]
)
async def test_other_bodies_are_refused_before_they_are_read(media_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaError, match="multipart/form-data"):
        await read(request_of([AssertionError], media_type))


@pytest.mark.parametrize(
    "text",
    [base64.b64encode(RED).decode(), "data:image/png;base64," + base64.b64encode(RED).decode()],
)
@pytest.mark.parametrize("media_type", [JSON, "Application/JSON; charset=utf-8"])
async def test_json_holds_the_picture_in_base64(text: str, media_type: str) -> None:
    assert await read(request_of(json.dumps({"image": text}).encode(), media_type)) == [RED]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b'{"image":' * 100_000, "not JSON"),
        (b'{"image": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b"[]", "must be"),
        (b"null", "must be"),
        (b'"image"', "must be"),
        (b"{}", "must be"),
        (b'{"image": null}', "must be"),
        (b'{"image": ["YWJj"]}', "must be"),
        (b'{"image": "YWJj", "top_k": 5}', "unknown JSON field 'top_k'"),
        (b'{"image": "YWJj", "\\ud800": 5}', "unknown JSON field"),
        (b'{"image": "YWJ"}', "not base64"),
        (b'{"image": "YW Jj"}', "not base64"),
        (b'{"image": "YWJj\\n"}', "not base64"),
        (b'{"image": "-_-_"}', "not base64"),
        (b'{"image": "\\u00e4"}', "not base64"),
        (b'{"image": "\\ud800"}', "not base64"),
        (b'{"image": "data:image/png;base64"}', "empty"),
        (b'{"image": ""}', "empty"),
    ],
)
async def test_other_json_is_refused_and_told_why(body: bytes, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        await read(request_of(body, JSON))
    assert str(caught.value).encode()  # a lone surrogate could not be sent


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    for announced in ("1001", "9" * 18, "9" * 5000):
        with pytest.raises(TooLargeError, match="MiB"):
            await read(request_of([AssertionError], content_length=announced), max_bytes=1000)


@pytest.mark.parametrize("announced", ["1", "0", "-5", "many", "", "0x10", "\u0661"])
async def test_the_announced_length_is_not_believed(announced: str) -> None:
    chunks = [b"x" * 400] * 3
    with pytest.raises(TooLargeError):
        await read(request_of(chunks, "image/png", content_length=announced), max_bytes=1000)
    with pytest.raises(TooLargeError):
        await read(request_of(chunks, "image/png"), max_bytes=1199)
    whole = await read(request_of(chunks, "image/png", content_length=announced), max_bytes=1200)
    assert whole == [b"x" * 1200]


async def test_a_body_may_come_in_any_chunks() -> None:
    body = form(part(RED), part(BLUE))
    for size in (1, 7, 64):
        chunks = [body[at : at + size] for at in range(0, len(body), size)]
        assert await read(request_of([b"", *chunks, b""])) == [RED, BLUE]


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    with pytest.raises(BodyTimeoutError, match=r"0\.01 s"):
        await read(request_of([b"x", asyncio.Event()], "image/png"), timeout_s=0.01)


async def test_a_client_that_leaves_is_noticed() -> None:
    with pytest.raises(ClientGoneError):
        await read(request_of([b"x", {"type": "http.disconnect"}], "image/png"))


@pytest.fixture
def settings(models: Any) -> Settings:
    """Narrow limits."""
    return Settings(models=models, max_body_mib=0.01, max_files=2, body_timeout_s=0.05)


async def test_every_limit_answers_with_its_status(client: httpx.AsyncClient) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield RED
        await asyncio.sleep(5)

    async def large() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1024

    raw = {"content-type": "image/png"}
    many = [("file", ("a.png", RED))] * 3
    answers = {
        413: [
            await client.post("/classify", content=b"x" * 20_000, headers=raw),
            await client.post("/classify", content=large(), headers=raw),
            await client.post("/classify", files=many),
        ],
        400: [
            await client.post("/classify", headers=raw),
            await client.post("/classify", content=b"{", headers={"content-type": JSON}),
        ],
        415: [
            await client.post("/classify", content=b"x"),
            await client.post("/classify", content=b"x", headers=raw),
            await client.post("/classify", data={"file": "x"}),
        ],
    }
    for status, responses in answers.items():
        for response in responses:
            assert response.status_code == status
            assert response.headers["content-type"] == "application/problem+json"
            assert response.json()["status"] == status


async def test_a_body_that_does_not_arrive_answers_408_and_a_client_that_left_nothing(
    app: FastAPI,
) -> None:
    async def answer(*events: Any) -> list[dict[str, Any]]:
        waiting, sent = list(events), list[dict[str, Any]]()

        async def receive() -> dict[str, Any]:
            event = waiting.pop(0)
            if isinstance(event, asyncio.Event):
                await event.wait()
            assert isinstance(event, dict)
            return event

        async def send(message: Any) -> None:
            sent.append(dict(message))

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": "/classify",
            "raw_path": b"/classify",
            "query_string": b"",
            "headers": [(b"content-type", b"image/png")],
        }
        await app(scope, receive, send)
        return sent

    first = {"type": "http.request", "body": RED, "more_body": True}
    late = await answer(first, asyncio.Event())
    assert late[0]["status"] == 408
    assert json.loads(late[1]["body"])["type"] == "urn:sightline:problem:body-timeout"
    gone = await answer(first, {"type": "http.disconnect"})
    assert gone[0]["status"] == 499
    assert gone[1]["body"] == b""


async def test_all_bodies_together_hold_no_more_than_the_budget() -> None:
    budget = BodyBudget(1000)
    with budget.body() as first, budget.body() as second:
        first(600)
        with pytest.raises(BusyError):
            second(401)
        second(400)
        assert budget.held == 1000
    assert budget.held == 0


async def test_a_body_without_room_is_refused_as_busy_and_leaves_nothing_behind() -> None:
    budget = BodyBudget(len(RED) - 1)
    request = request_of([RED[:10], RED[10:]], "image/png")
    with pytest.raises(BusyError), budget.body() as take:
        await read_parts(request, max_bytes=1 << 20, max_files=1, timeout_s=5, take=take)
    assert budget.held == 0


def test_a_connection_whose_body_came_late_is_closed() -> None:
    assert BodyTimeoutError("late").headers == {"Connection": "close"}
