"""The health check of a container: its address, its verdict, its exit status."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from service import probe
from service.settings import Settings

READY = b'{"ready": true}'


class Stub(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = {"/readyz": 200, "/healthz": 200}.get(self.path, 503)
        self.send_response(status)
        self.send_header("Content-Length", str(len(READY)))
        self.end_headers()
        self.wfile.write(READY)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def stub() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Stub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("127.0.0.1", 8000)),
        ({"SIGHTLINE_HOST": "", "SIGHTLINE_PORT": ""}, ("127.0.0.1", 8000)),
        ({"SIGHTLINE_HOST": "0.0.0.0", "SIGHTLINE_PORT": "9000"}, ("127.0.0.1", 9000)),
        ({"SIGHTLINE_HOST": "::"}, ("::1", 8000)),
        ({"SIGHTLINE_HOST": "10.0.0.7"}, ("10.0.0.7", 8000)),
    ],
)
def test_it_asks_where_the_settings_let_the_service_listen(
    environment: dict[str, str], expected: tuple[str, int]
) -> None:
    assert probe.address(environment) == expected


def test_its_defaults_are_those_of_the_settings() -> None:
    fields = Settings.model_fields
    assert probe.address({}) == (fields["host"].default, fields["port"].default)


def test_200_is_healthy_anything_else_is_not() -> None:
    with stub() as port:
        assert probe.probe("127.0.0.1", port) == (True, f"200 {READY.decode()}")
        assert probe.probe("127.0.0.1", port, "/healthz")[0]
        assert probe.probe("127.0.0.1", port, "/other") == (False, f"503 {READY.decode()}")


def test_no_answer_is_unhealthy_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with stub() as port:
        pass  # closed again: nothing listens there
    monkeypatch.setenv("SIGHTLINE_HOST", "127.0.0.1")
    monkeypatch.setenv("SIGHTLINE_PORT", str(port))
    assert probe.main([]) == 1
    assert f"no answer from 127.0.0.1:{port}" in capsys.readouterr().out


def test_a_port_that_is_no_number_is_unhealthy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SIGHTLINE_PORT", "http")
    assert probe.main([]) == 1
    assert "SIGHTLINE_PORT" in capsys.readouterr().out


def test_as_a_command_it_exits_with_its_verdict_and_loads_only_the_standard_library() -> None:
    code = (
        "import sys; from service import probe; status = probe.main(sys.argv[1:]); "
        "print(sorted({'fastapi', 'numpy', 'onnxruntime', 'pydantic'} & set(sys.modules))); "
        "sys.exit(status)"
    )
    with stub() as port:
        environment = {"SIGHTLINE_HOST": "127.0.0.1", "SIGHTLINE_PORT": str(port)}
        for path, status in (("/readyz", 0), ("/other", 1)):
            done = subprocess.run(
                [sys.executable, "-c", code, path], env=environment, capture_output=True, text=True
            )
            assert done.returncode == status, done
            assert done.stdout.splitlines()[-1] == "[]"
