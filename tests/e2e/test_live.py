"""The real command in a process of its own, over real sockets and tiny models."""

import io
import json
import math
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from fabricate import Tiny, TinyCaptioner, TinyDetector, TinySegmenter, TinyStylizer
from live_server import FAR, ROOT, SERVE, Server, until
from numpy.typing import NDArray
from PIL import Image

pytestmark = pytest.mark.live

SLOW = 150
"""A first green value that keeps a slot busy for a second or several."""


def in_flight(server: Server, count: int) -> bool:
    return server.metric("in_flight") == count


def picture(colour: Sequence[int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), colour, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def post(connection: HTTPConnection, body: bytes) -> tuple[int, Any, HTTPResponse]:
    connection.request("POST", "/classify", body, {"content-type": "image/png"})
    response = connection.getresponse()
    return response.status, json.loads(response.read()), response


def scores(colour: Sequence[int]) -> dict[str, float]:
    """What Tiny answers to a picture of one colour."""
    exponentials = [math.exp(0.1 * (value - max(colour))) for value in colour]
    total = sum(exponentials)
    return {n: e / total for n, e in zip(("red", "green", "blue"), exponentials, strict=True)}


def answer_to(body: Any) -> dict[str, float]:
    return {p["label"]: p["score"] for p in body["predictions"]}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("models")
    Tiny(work=60).write(root)
    return root


@pytest.fixture(scope="module")
def shared(models: Path) -> Iterator[Server]:
    """One server for all that leaves it as it was; at the end its log is looked at."""
    flags = ("--slots", "1", "--max-batch", "1", "--queue-size", "1")
    with Server(models, *flags, "--body-timeout-s", "0.5", "--max-body-mib", "1") as server:
        server.wait_until_ready()
        yield server
        assert server.stop() == 0
        assert not server.complaints()


@pytest.fixture
def server(shared: Server) -> Iterator[Server]:
    yield shared
    until(lambda: shared.metric("in_flight") == 0)
    assert shared.metric("queued") == 0


class Background:
    """Requests in threads of their own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.pool = ThreadPoolExecutor(40)

    def post(self, colour: Sequence[int]) -> Future[tuple[int, Any]]:
        def request() -> tuple[int, Any]:
            connection = self.server.connect()
            try:
                return post(connection, picture(colour))[:2]
            finally:
                connection.close()

        return self.pool.submit(request)


@pytest.fixture
def background(server: Server) -> Iterator[Background]:
    requests = Background(server)
    yield requests
    requests.pool.shutdown()


def test_200_requests_over_32_connections_each_get_their_own_answer(models: Path) -> None:
    random = np.random.default_rng(1)
    colours = [(int(r), 0, int(b)) for r, b in random.integers(0, 256, (200, 2))]

    def request_all(server: Server, mine: list[tuple[int, int, int]]) -> None:
        connection = server.connect()
        for colour in mine:
            status, body, _ = post(connection, picture(colour))
            assert status == 200
            assert answer_to(body) == pytest.approx(scores(colour), abs=1e-5)
        connection.close()

    with Server(models, "--max-batch", "8") as running:
        running.wait_until_ready()
        with ThreadPoolExecutor(32) as pool:
            list(pool.map(partial(request_all, running), [colours[i::32] for i in range(32)]))
        assert running.metric("in_flight") == 0
        assert running.metric("pictures_total") == 200
        assert running.stop() == 0
        assert not running.complaints()


def ask(server: Server, path: str, sent: bytes, accept: str) -> tuple[HTTPResponse, bytes]:
    connection = server.connect()
    connection.request("POST", path, sent, {"content-type": "image/png", "accept": accept})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_detections_come_as_json_or_drawn(tmp_path: Path) -> None:
    TinyDetector().write(tmp_path)
    white = partial(ask, path="/detect?classes=dog", sent=picture((255, 255, 255)))
    with Server(tmp_path) as running:
        running.wait_until_ready()
        response, body = white(running, accept="*/*")
        (found,) = json.loads(body)["detections"]
        assert (found["label"], found["box"]["y_max"]) == ("dog", 16)
        response, body = white(running, accept="image/webp")
        assert (response.status, response.headers["content-type"]) == (200, "image/webp")
        with Image.open(io.BytesIO(body)) as drawn:
            assert drawn.size == (16, 16)
        assert white(running, accept="text/html")[0].status == 406
        assert running.stop() == 0
        assert not running.complaints()


def test_masks_come_as_json_small_or_large_or_as_pictures(tmp_path: Path) -> None:
    TinySegmenter(height=300, width=400).write(tmp_path)
    noise = np.random.default_rng(0).choice(np.array([0, 255], np.uint8), (300, 400))
    red = np.stack([noise, np.zeros_like(noise), np.zeros_like(noise)], -1)
    buffer = io.BytesIO()
    Image.fromarray(red).save(buffer, "PNG")
    with Server(tmp_path) as running:
        running.wait_until_ready()
        answers = {}
        for kind in ("none", "rle", "polygon", "png"):
            path = f"/segment?mask={kind}"
            response, body = ask(running, path, buffer.getvalue(), "application/json")
            assert (response.status, response.headers["vary"]) == (200, "Accept")
            (answers[kind],) = json.loads(body)["segments"]
            assert answers[kind]["pixels"] == np.count_nonzero(noise)
        assert len(str(answers["polygon"])) > 1 << 19 > len(str(answers["png"]))
        response, body = ask(running, "/segment", buffer.getvalue(), "image/png")
        with Image.open(io.BytesIO(body)) as drawn:
            assert (np.asarray(drawn) == noise // 255).all()
        response, body = ask(running, "/segment", buffer.getvalue(), "image/jpeg")
        with Image.open(io.BytesIO(body)) as drawn:
            assert drawn.size == (400, 300)
        assert running.stop() == 0
        assert not running.complaints()


def test_captions_of_many_at_once_are_those_of_each_alone(tmp_path: Path) -> None:
    TinyCaptioner().write(tmp_path)
    names = {(255, 0, 0): "red", (0, 255, 0): "green", (0, 0, 255): "blue"}
    texts = {1: "A.", 2: "A {}.", 3: "A {} dog.", 5: "A {} dog's BMX."}

    def caption(running: Server, turn: int) -> None:
        colour, most = list(names)[turn % 3], list(texts)[turn % 4]
        path = f"/caption?max_length={most}&attention={str(turn % 2 == 0).lower()}"
        response, body = ask(running, path, picture(colour), "*/*")
        assert response.status == 200
        (found,) = json.loads(body)["captions"]
        assert found["text"] == texts[most].format(names[colour])
        assert ("words" in found) == (turn % 2 == 0)

    with Server(tmp_path, "--max-batch", "8") as running:
        running.wait_until_ready()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(partial(caption, running), range(96)))
        assert running.metric("pictures_total") == 96
        assert ask(running, "/caption?num_captions=4", b"", "*/*")[0].status == 422
        assert running.stop() == 0
        assert not running.complaints()


def test_many_pictures_in_many_styles_at_once_are_those_of_each_alone(tmp_path: Path) -> None:
    stylizer = TinyStylizer()
    stylizer.write(tmp_path)
    random = np.random.default_rng(5)
    contents = [random.integers(0, 256, (20 + 4 * (n % 2), 24, 3), np.uint8) for n in range(4)]
    styles = [random.integers(30 * n, 60 * n, (16, 18, 3), np.uint8) for n in (1, 2, 3)]
    codes = [stylizer.code(style) for style in styles]
    wave = np.array(stylizer.presets["wave"])

    def png(pixels: NDArray[np.uint8]) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()

    def form(*parts: tuple[str, bytes]) -> bytes:
        heads = (f'--limit\r\nContent-Disposition: form-data; name="{name}"' for name, _ in parts)
        pieces = (head.encode() + b"\r\n\r\n" for head in heads)
        whole = (head + data + b"\r\n" for head, (_, data) in zip(pieces, parts, strict=True))
        return b"".join(whole) + b"--limit--\r\n"

    def stylize(running: Server, turn: int) -> None:
        content, style = contents[turn % 4], turn % 3
        path = f"/stylize?alpha={turn / 95}" + ("&style=wave:3" if turn % 2 else "")
        body = form(("content", png(content)), ("style", png(styles[style])))
        connection = running.connect()
        headers = {"content-type": "multipart/form-data; boundary=limit", "accept": "image/png"}
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        with Image.open(io.BytesIO(response.read())) as found:
            pixels = np.asarray(found)
        connection.close()
        assert response.status == 200
        code = (codes[style] + 3 * wave) / 4 if turn % 2 else codes[style]
        expected = stylizer.expected(content, code.tolist(), turn / 95)
        assert np.abs(pixels - expected).max() < 0.6

    with Server(tmp_path, "--max-batch", "8") as running:
        running.wait_until_ready()
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(partial(stylize, running), range(96)))
        assert running.metric("pictures_total") == 96
        assert running.metric("in_flight") == 0
        listed = json.loads(running.get("/styles")[1])
        assert [preset["name"] for preset in listed] == ["wave", "fire"]
        assert ask(running, "/stylize", picture((1, 2, 3)), "*/*")[0].status == 422
        assert running.stop() == 0
        assert not running.complaints()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_stops_new_connections_finishes_requests_in_flight_and_exits_0(
    models: Path, signum: int
) -> None:
    with Server(models, "--slots", "1", "--max-batch", "1") as server:
        server.wait_until_ready()
        idle = server.connect()
        idle.connect()
        background = Background(server)
        colours = [(10, SLOW, 0), (200, 5, 0), (0, 5, 200)]
        requests = [background.post(colours[0])]
        until(lambda: server.metric("in_flight") == 1)
        requests += [background.post(colour) for colour in colours[1:]]
        until(lambda: server.metric("in_flight") == 3)

        server.process.send_signal(signum)

        def refused() -> bool:
            try:
                socket.create_connection(("127.0.0.1", server.port), FAR).close()
            except ConnectionRefusedError:
                return True
            return False

        until(refused)
        for request, colour in zip(requests, colours, strict=True):
            status, body = request.result(FAR)
            assert status == 200
            assert answer_to(body) == pytest.approx(scores(colour), abs=1e-5)
        assert server.exit_status() == 0
        assert not server.complaints()
        idle.close()
        background.pool.shutdown()


def test_past_the_grace_of_a_shutdown_requests_are_answered_503(models: Path) -> None:
    with Server(models, "--slots", "1", "--max-batch", "1", "--shutdown-grace-s", "1") as server:
        server.wait_until_ready()
        background = Background(server)
        requests = []
        for count in range(1, 5):
            requests.append(background.post((0, 250, 0)))
            until(partial(in_flight, server, count))
        with socket.create_connection(("127.0.0.1", server.port)) as unfinished:
            unfinished.sendall(head("content-length: 5000") + b"\x89PNG")
            assert server.stop() == 0
            assert unfinished.recv(12) == b"HTTP/1.1 503"
        status, body = requests[-1].result(FAR)  # whose turn had not come
        assert status == body["status"] == 503
        assert "stopped before the request was answered" in body["detail"]
        assert {request.result(FAR)[0] for request in requests} <= {200, 503}
        background.pool.shutdown()
        assert not [line for line in server.log if "Traceback" in line]


def test_at_three_times_saturation_there_are_answers_and_429_and_nothing_else(
    tmp_path: Path,
) -> None:
    Tiny(work=1).write(tmp_path)
    queue_size, connections = 4, 16  # 1 running and 4 waiting; three times as many ask at once
    answers: list[tuple[int, str | None]] = []

    def insist(server: Server, seed: int) -> None:
        connection = server.connect()
        for index in range(8):
            colour = (seed * 8 + index, 100, 0)
            status, body, response = post(connection, picture(colour))
            answers.append((status, response.headers["retry-after"]))
            if status == 200:
                assert answer_to(body) == pytest.approx(scores(colour), abs=1e-5)
            else:
                assert body["type"] == "urn:sightline:problem:busy"
        connection.close()

    flags = ("--slots", "1", "--max-batch", "1", "--queue-size", str(queue_size))
    with Server(tmp_path, *flags) as running:
        running.wait_until_ready()
        with ThreadPoolExecutor(connections) as pool:
            list(pool.map(partial(insist, running), range(connections)))
        assert {status for status, _ in answers} == {200, 429}
        assert all(bool(retry) == (status == 429) for status, retry in answers)
        assert all(1 <= int(retry) <= 60 for _, retry in answers if retry)
        rejected = sum(status == 429 for status, _ in answers)
        assert running.metric("rejected_total") == rejected
        assert running.metric("pictures_total") == len(answers) - rejected
        assert running.metric("in_flight") == 0
        assert running.stop() == 0
        assert not running.complaints()


def test_a_client_that_leaves_within_its_body_leaves_nothing_behind(server: Server) -> None:
    before = server.metric("cancelled_total")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head("content-length: 5000") + b"\x89PNG")
    until(lambda: server.metric("cancelled_total") == before + 1)
    assert server.metric("in_flight") == 0


def test_a_client_that_leaves_while_queued_gives_its_place_back(
    server: Server, background: Background
) -> None:
    before = server.metric("cancelled_total")
    running = background.post((0, SLOW, 0))
    until(lambda: server.metric("in_flight") == 1)
    leaving = server.connect()
    body = picture((200, SLOW, 0))
    leaving.request("POST", "/classify", body, {"content-type": "image/png"})
    until(lambda: server.metric("in_flight") == 2)
    leaving.close()
    until(lambda: server.metric("in_flight") == 1)
    assert server.metric("cancelled_total") == before + 1
    assert server.metric("queued") == 0
    assert running.result(FAR)[0] == 200


def test_a_connection_still_works_after_a_429_that_did_not_read_the_body(
    server: Server, background: Background
) -> None:
    inside = [background.post((0, SLOW, 0))]
    until(lambda: server.metric("in_flight") == 1)
    inside.append(background.post((0, 1, 0)))
    until(lambda: server.metric("in_flight") == 2)
    connection = server.connect()
    status, body, response = post(connection, b"x" * 900_000)
    assert status == body["status"] == 429
    assert int(response.headers["retry-after"]) >= 1
    assert response.headers["content-type"] == "application/problem+json"
    kept = connection.sock
    assert [request.result(FAR)[0] for request in inside] == [200, 200]
    status, body, _ = post(connection, picture((200, 0, 0)))
    assert status == 200
    assert answer_to(body) == pytest.approx(scores((200, 0, 0)), abs=1e-5)
    assert connection.sock is kept
    connection.close()


def head(*headers: str) -> bytes:
    """The head of a POST to /classify."""
    lines = ["POST /classify HTTP/1.1", "host: test", "content-type: image/png", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def exchange(server: Server, *sent: bytes) -> tuple[bytes, HTTPResponse, Any]:
    """Send as it is; the first bytes that come back, the response and its body."""
    with socket.create_connection(("127.0.0.1", server.port), FAR) as connection:
        for piece in sent:
            connection.sendall(piece)
        first = connection.recv(12, socket.MSG_PEEK)
        with HTTPResponse(connection) as response:
            response.begin()
            return first, response, json.loads(response.read())


def test_a_body_that_does_not_come_is_timed_out_with_408(server: Server) -> None:
    _, response, body = exchange(server, head("content-length: 5000"), b"\x89PNG")
    assert response.status == body["status"] == 408
    assert body["type"] == "urn:sightline:problem:body-timeout"
    assert server.metric("in_flight") == 0


@pytest.mark.parametrize("length", [(1 << 20) + 1, 10**10])
def test_a_body_announced_too_large_is_refused_before_any_of_it_is_sent(
    server: Server, length: int
) -> None:
    asking = head(f"content-length: {length}", "expect: 100-continue")
    first, response, body = exchange(server, asking)
    assert first == b"HTTP/1.1 413"  # and no 100 that would invite the client to send it
    assert response.status == body["status"] == 413
    assert body["type"] == "urn:sightline:problem:too-large"


def test_a_body_of_unknown_length_is_refused_once_it_is_too_large(server: Server) -> None:
    chunk = b"40000\r\n" + b"x" * 0x40000 + b"\r\n"  # 256 KiB
    _, response, body = exchange(server, head("transfer-encoding: chunked"), *[chunk] * 5)
    assert response.status == body["status"] == 413


def test_what_is_not_http_is_refused_and_harms_nobody(shared: Server) -> None:
    with socket.create_connection(("127.0.0.1", shared.port), FAR) as connection:
        connection.sendall(b"\x16\x03\x01 this is not the protocol\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 400"
    assert shared.get("/healthz")[0] == 200
    until(lambda: any("Invalid HTTP request" in line for line in shared.log))
    shared.log[:] = [line for line in shared.log if "Invalid HTTP request" not in line]


def test_liveness_is_answered_while_models_load(tmp_path: Path) -> None:
    Tiny(name="good").write(tmp_path)
    pipe = Tiny(name="slow", default=False).write(tmp_path) / "golden.npz"
    pipe.unlink()
    os.mkfifo(pipe)  # reading it waits for someone who writes
    with Server(tmp_path) as server:
        for _ in range(3):
            assert server.get("/healthz") == (200, '{"status":"ok"}')
            status, body = server.get("/readyz")
            assert status == 503
            assert "still loading" in json.loads(body)["detail"]
        connection = server.connect()
        status, _, response = post(connection, picture((200, 0, 0)))
        assert status == 503
        assert response.headers["retry-after"] == "1"
        pipe.write_bytes(b"not what was promised")
        server.wait_until_ready()
        body = json.loads(server.get("/readyz")[1])
        assert body["models"] == ["good"]
        assert "golden.sha256" in body["refused"]["slow"]
        assert post(connection, picture((200, 0, 0)))[0] == 200
        connection.close()
        assert server.stop() == 0
        assert not [line for line in server.log if "Traceback" in line]


def test_pictures_of_any_size_at_once_share_the_memory_there_is(tmp_path: Path) -> None:
    """Each takes about 13 of 24 MiB: two at once would be more than runs may have."""
    TinyStylizer(side=512).write(tmp_path)
    sizes = [(512, 512), (512, 480), (500, 512), (512, 512), (64, 64), (300, 512)] * 3

    def ask(service: Server, size: tuple[int, int]) -> tuple[int, tuple[int, int]]:
        connection = service.connect()
        try:
            sent = io.BytesIO()
            Image.new("RGB", size, (200, 90, 20)).save(sent, "PNG")
            headers = {"Content-Type": "image/png"}
            connection.request("POST", "/stylize?style=wave", sent.getvalue(), headers)
            response = connection.getresponse()
            with Image.open(io.BytesIO(response.read())) as answer:
                return response.status, answer.size
        finally:
            connection.close()

    with Server(tmp_path, "--cpu-arena-mib", "24", "--slots", "6", "--max-batch", "2") as server:
        server.wait_until_ready()
        with ThreadPoolExecutor(len(sizes)) as clients:
            answers = list(clients.map(partial(ask, server), sizes))
        assert answers == [(200, size) for size in sizes]
        assert not server.complaints()
        assert server.stop() == 0


def failed_start(*flags: str) -> tuple[int, str]:
    done = subprocess.run(
        [*SERVE, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=FAR,
    )
    return done.returncode, done.stderr


def test_cuda_refuses_to_start_without_a_gpu(models: Path) -> None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        pytest.skip("this build has CUDA")
    status, message = failed_start("--models", str(models), "--device", "cuda")
    assert status == 1
    assert message.startswith("sightline: SIGHTLINE_DEVICE=cuda, but the installed ONNX Runtime")
    assert "Traceback" not in message


def test_a_port_in_use_stops_the_start_and_is_named(shared: Server, models: Path) -> None:
    port = str(shared.port)
    status, message = failed_start("--models", str(models), "--device", "cpu", "--port", port)
    assert status != 0
    assert "address already in use" in message
    assert port in message
    assert "Traceback" not in message
