"""Versions of a model that take one another's place while clients ask for it all the time."""

import io
import json
import math
import shutil
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import Tiny, put
from live_server import Server, until
from PIL import Image

pytestmark = pytest.mark.live

LABELS = {"1": ("red", "green", "blue"), "2": ("rot", "grün", "blau")}
CLIENTS = 6
FORM = {"content-type": "multipart/form-data; boundary=limit"}


def post(connection: Any, path: str, body: bytes, headers: Any) -> tuple[int, Any]:
    connection.request("POST", path, body, headers)
    response = connection.getresponse()
    content = response.read()
    return response.status, json.loads(content) if content else None


def form(*pictures: bytes) -> bytes:
    head = b'--limit\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    return b"".join(head + each + b"\r\n" for each in pictures) + b"--limit--\r\n"


def picture(colour: Sequence[int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), colour, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def scores(colour: Sequence[int]) -> list[float]:
    """What both versions answer to a picture of one colour."""
    exponentials = [math.exp(0.1 * (value - max(colour))) for value in colour]
    return [each / sum(exponentials) for each in exponentials]


class Clients:
    """Ask without a pause, and hold every answer against the version that gave it."""

    def __init__(self, server: Server) -> None:
        self.server, self.seen, self.wrong = server, Counter[str](), list[str]()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait(self, version: str, more: int = 5) -> None:
        """Until so many more answers have come from a version."""
        wanted = self.seen[version] + more
        until(lambda: self.seen[version] >= wanted or self.wrong)

    def _ask(self, number: int) -> None:
        random = np.random.default_rng(number)
        connection = self.server.connect()
        try:
            while not self._stop.is_set() and not self.wrong:
                colours = [
                    tuple(map(int, random.integers(0, 256, 3))) for _ in range(1 + number % 2)
                ]
                body = form(*map(picture, colours))
                status, answer = post(connection, "/classify", body, FORM)
                if status != 200:
                    self.wrong.append(f"{status}: {answer}")
                    return
                self._compare(colours, answer if isinstance(answer, list) else [answer])
        except Exception as error:
            self.wrong.append(repr(error))
        finally:
            connection.close()

    def _compare(self, colours: Any, answers: Any) -> None:
        (version,) = {answer["model"]["version"] for answer in answers}  # one a request
        for colour, answer in zip(colours, answers, strict=True):
            found = {each["label"]: each["score"] for each in answer["predictions"]}
            expected = dict(zip(LABELS[version], scores(colour), strict=True))
            assert found == pytest.approx(expected, abs=1e-5)
        self.seen[version] += 1


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Both versions lie in the folder; its manifest is the first one's."""
    root = tmp_path / "models"
    for version, labels in LABELS.items():
        Tiny(version=version, labels=labels).write(root)
        shutil.copy(root / "tiny" / "manifest.json", tmp_path / f"{version}.json")
    put(root / "tiny", (tmp_path / "1.json").read_text())
    return root


@pytest.fixture
def server(models: Path) -> Iterator[Server]:
    flags = ("--allow-repository-control", "true", "--watch-models", "true")
    with Server(models, *flags, "--watch-interval-s", "0.2", "--max-batch", "4") as running:
        yield running.wait_until_ready()


def test_no_request_fails_or_is_answered_by_two_versions_while_they_swap(
    models: Path, server: Server, tmp_path: Path
) -> None:
    folder = models / "tiny"
    control = server.connect()

    def load(version: str) -> tuple[int, Any]:
        put(folder, (tmp_path / f"{version}.json").read_text())
        return post(control, "/v2/repository/models/tiny/load", b"", {})

    with Clients(server) as clients:
        clients.wait("1")
        for turn in range(20):
            version = "12"[(turn + 1) % 2]
            assert load(version)[0] == 200
            clients.wait(version)
        put(folder, (tmp_path / "2.json").read_text())  # and nobody says a word
        clients.wait("2")
        put(folder, (tmp_path / "1.json").read_text().replace('"version": "1"', '"version": "9"'))
        until(lambda: "tiny" in json.loads(server.get("/readyz")[1])["refused"])
        clients.wait("2")
        put(folder, (tmp_path / "1.json").read_text())
        clients.wait("1")
    control.close()
    assert not clients.wrong
    assert server.metric("pictures_total") >= sum(clients.seen.values()) >= 23 * 5
    until(lambda: server.metric("models_draining") == 0)
    assert server.metric("in_flight") == 0
    assert server.stop() == 0
    assert len(server.complaints()) == 1  # of version 9
    assert "refused model tiny" in server.complaints()[0]


def test_a_model_that_is_unloaded_answers_what_it_has_taken_and_nothing_more(
    models: Path, server: Server
) -> None:
    control = server.connect()
    with Clients(server) as clients:
        clients.wait("1")
        assert post(control, "/v2/repository/models/tiny/unload", b"", {}) == (200, None)
    control.close()
    assert {wrong.partition(":")[0] for wrong in clients.wrong} == {"503"}
    assert all("no model is loaded for task 'classify'" in wrong for wrong in clients.wrong)
    assert server.get("/readyz")[0] == 503
    assert server.metric("in_flight") == 0
    assert server.stop() == 0
    assert not server.complaints()
