"""The client against a server that does what a test says: refusals, silence, nonsense, crowds."""

import json
import math
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.__main__ import main
from service.client import Patience, Sightline, SightlineClientError, Style, UnreachableError
from service.client.retry import retry_after_s

ANSWER = {
    "model": {"name": "tiny", "version": "1", "precision": "fp32"},
    "image": {"width": 4, "height": 3},
    "timing_ms": {"decode": 1, "queue": 0, "run": 2, "total": 3},
    "predictions": [{"label": "red", "index": 0, "score": 0.75}],
}
FAR = 30.0


class Scripted(ThreadingHTTPServer):
    """Answers by what ``respond`` gives for a request: status, headers, body; None hangs up."""

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.respond: Callable[[int], tuple[int, dict[str, str], bytes] | None] = ok
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        self.server.seen.append((self.path, dict(self.headers), self.rfile.read(length)))
        told = self.server.respond(len(self.server.seen))
        if told is None:
            self.close_connection = True
            return
        status, headers, body = told
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def ok(_: int = 0) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(ANSWER).encode()


def problem(status: int, kind: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    told = {"title": "A title", "status": status, "detail": "because", "request_id": "r1"}
    body = json.dumps({"type": f"urn:sightline:problem:{kind}", **told}).encode()
    return status, {name.replace("_", "-"): value for name, value in headers.items()}, body


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as scripted:
        thread = threading.Thread(target=scripted.serve_forever, args=(0.02,))
        thread.start()
        yield scripted
        scripted.shutdown()
        thread.join()


def test_a_busy_service_is_asked_again_with_the_whole_picture(
    server: Scripted, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"encoded" * 1000)
    busy = problem(429, "busy", Retry_After="0")
    server.respond = lambda turn: busy if turn < 4 else ok()
    with Sightline(server.url, api_key="secret") as client:
        answer = client.classify(tmp_path / "a.jpg", top_k=2, model="tiny")
    assert answer.predictions[0].label == "red"
    assert len(server.seen) == 4
    for path, headers, body in server.seen:
        assert path == "/classify?model=tiny&top_k=2"
        assert headers["Authorization"] == "Bearer secret"
        assert body.count(b"encoded") == 1000


def test_a_broken_connection_is_tried_again(server: Scripted) -> None:
    server.respond = lambda turn: None if turn == 1 else ok()
    with Sightline(server.url) as client:
        assert client.classify(b"picture").image.width == 4
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    "told",
    [
        problem(429, "rate-limited", Retry_After="3600"),
        problem(503, "model-unusable"),
        problem(500, "internal-error"),
        problem(422, "bad-parameter"),
        problem(504, "late"),
    ],
)
def test_what_does_not_pass_soon_is_told_at_once(
    server: Scripted, told: tuple[int, dict[str, str], bytes]
) -> None:
    server.respond = lambda _: told
    with Sightline(server.url) as client, pytest.raises(SightlineClientError) as caught:
        client.classify(b"picture")
    error = caught.value
    assert len(server.seen) == 1
    assert (error.status, error.title, error.detail) == (told[0], "A title", "because")
    assert error.request_id == "r1"
    assert json.loads(told[2])["type"].endswith(error.kind)
    assert str(error) == f"{told[0]} A title: because (request r1)"


def test_patience_ends(server: Scripted) -> None:
    server.respond = lambda _: problem(503, "not-ready", Retry_After="0")
    patience = Patience(retries=2)
    with Sightline(server.url, patience=patience) as client, pytest.raises(SightlineClientError):
        client.classify(b"picture")
    assert len(server.seen) == 3


def test_waits_are_those_told_or_grow_and_stay_within_the_whole() -> None:
    patience = Patience(retries=10, total_s=20)
    told = patience.wait_s(0, 0, 4)
    assert told is not None
    assert 4 <= told <= 5
    waited, waits = 0.0, list[float]()
    while (wait := patience.wait_s(len(waits), waited, None)) is not None:
        waits.append(wait)
        waited += wait
    assert waits == sorted(waits)
    assert len(waits) == 6  # a seventh would begin with 16 seconds
    assert waited <= 20
    assert patience.wait_s(0, 17, 4) is None
    assert Patience(retries=0).wait_s(0, 0, 0) is None


def test_retry_after_is_seconds_or_a_date() -> None:
    def after(value: str) -> float | None:
        return retry_after_s({"retry-after": value})

    assert after(" 7 ") == 7
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=1000), usegmt=True)
    assert math.isclose(after(then) or 0, 1000, abs_tol=60)
    assert after("Sun, 06 Nov 1994 08:49:37 GMT") == 0
    for nonsense in ("", "soon", "-1", "1.5", "٣", "Mon, 99 Foo 2020"):
        assert after(nonsense) is None
    assert retry_after_s({}) is None


def test_who_gives_up_waits_no_longer(server: Scripted) -> None:
    server.respond = lambda _: problem(429, "busy", Retry_After="50")
    with Sightline(server.url) as client, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.classify, b"picture")
        client.give_up()
        with pytest.raises(SightlineClientError, match="because"):
            asked.result(FAR)


def test_nobody_there_and_silence_are_told_in_words(server: Scripted) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # but does not listen
        url = f"127.0.0.1:{bound.getsockname()[1]}"
        with Sightline(url) as client, pytest.raises(UnreachableError) as caught:
            client.models()
    assert caught.value.refused
    assert str(caught.value).startswith(f"no connection to http://{url}")
    released = threading.Event()
    server.respond = lambda _: ok() if released.wait(FAR) else None
    with Sightline(server.url, timeout_s=0.2) as client, pytest.raises(UnreachableError) as caught:
        client.classify(b"picture")
    released.set()
    assert not caught.value.refused
    assert "within 0.2 s" in str(caught.value)
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ((200, {}, b"<html>welcome</html>"), "is that a Sightline service"),
        ((502, {}, b"<html>bad gateway</html>"), "502 Bad Gateway: .*is that a Sightline service"),
        ((301, {"Location": "https://there/classify"}, b""), "has moved to https://there/classify"),
    ],
)
def test_another_server_is_told_in_words(
    server: Scripted, told: tuple[int, dict[str, str], bytes], words: str
) -> None:
    server.respond = lambda _: told
    with Sightline(server.url) as client:
        with pytest.raises(SightlineClientError, match=words):
            client.classify(b"picture")
        with pytest.raises(SightlineClientError):
            client.detect_drawn(b"picture")


@pytest.mark.parametrize("url", ["ftp://there", "http://", "http://there:port", "://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no URL"):
        Sightline(url)


def test_a_password_in_the_url_is_not_shown(server: Scripted) -> None:
    server.respond = lambda _: (502, {}, b"")
    url = server.url.replace("//", "//me:hidden@")
    with Sightline(url) as client, pytest.raises(SightlineClientError) as caught:
        client.classify(b"picture")
    assert "hidden" not in str(caught.value)


def test_styles_are_presets_or_pictures_with_weights(server: Scripted, tmp_path: Path) -> None:
    (tmp_path / "wave.jpg").write_bytes(b"of a file")
    server.respond = lambda _: (200, {"Content-Type": "image/png"}, b"styled")
    with Sightline(server.url) as client:
        styles: list[Style | Path | str] = [
            tmp_path / "wave.jpg",
            Style("fire", 0.25),
            Style(b"of bytes", 3),
            "wave",
        ]
        assert client.stylize(b"content", styles, format="png", preserve_color=True) == b"styled"
        assert client.stylize(b"content", "wave", format="png") == b"styled"
        with pytest.raises(SightlineClientError, match="not what was asked for"):
            client.stylize(b"content", "wave", format="webp")
    path, headers, body = server.seen[0]
    assert path == (
        "/stylize?style=fire%3A0.25&style=wave%3A1&style_weight=1&style_weight=3"
        "&preserve_color=true"
    )
    assert headers["Accept"] == "image/png"
    assert body.index(b'"content"') < body.index(b"of a file") < body.index(b"of bytes")


def test_as_many_pictures_at_once_as_there_are_jobs(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs, count = 4, 24
    names = [tmp_path / f"{turn:02}.jpg" for turn in range(count)]
    for name in names:
        name.write_bytes(b"x")
    together, lock = threading.Barrier(jobs, timeout=FAR), threading.Lock()
    inside, most = 0, 0

    def respond(_: int) -> tuple[int, dict[str, str], bytes]:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        together.wait()  # breaks unless four are here
        with lock:
            inside -= 1
        return ok()

    server.respond = respond
    words = ["classify", str(tmp_path), "--url", server.url, "--jobs", str(jobs), "--json"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["file"] for line in out.splitlines()] == list(map(str, names))
    assert err == ""
    assert most == jobs


def test_a_key_that_is_refused_stops_the_run(
    server: Scripted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for turn in range(50):
        (tmp_path / f"{turn:02}.jpg").write_bytes(b"x")
    server.respond = lambda _: problem(401, "unauthorized")
    assert main(["classify", str(tmp_path), "--url", server.url, "--jobs", "1"]) == 1
    assert len(server.seen) < 10
    out, err = capsys.readouterr()
    assert out == ""
    assert "00.jpg: 401 A title: because" in err
    assert "gave up; 49 of 50 pictures were not told of" in err
