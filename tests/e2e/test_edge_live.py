"""Keys, logs and limits of the real command, in a process of its own."""

import json
import socket
from http.client import HTTPResponse
from pathlib import Path

import pytest
from fabricate import Tiny
from live_server import FAR, Server, until

from service.cli import main

pytestmark = pytest.mark.live

FLAGS = ("--log-format", "json", "--cpus", "1")


def ask(server: Server, path: str, key: str | None = None, **headers: str) -> tuple[int, str]:
    return server.get(path, headers | ({"X-API-Key": key} if key else {}))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    root.mkdir()
    Tiny().write(root)
    return root


def test_keys_are_made_rotated_and_revoked_while_the_service_serves(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys.json"

    def keys(action: str, name: str, *flags: str) -> str:
        assert main(["keys", action, "--file", str(file), "--name", name, *flags]) == 0
        return capsys.readouterr().out.strip()

    first = keys("create", "first", "--rate", "1000/h")
    with Server(models, *FLAGS, "--api-keys-file", str(file), "--host", "0.0.0.0") as server:
        server.wait_until_ready()
        assert ask(server, "/models")[0] == 401
        assert ask(server, "/models", first)[0] == 200
        assert ask(server, "/metrics", first)[0] == 403
        second = keys("create", "second")
        until(lambda: ask(server, "/models", second)[0] == 200)
        keys("revoke", "first")
        until(lambda: ask(server, "/models", first)[0] == 401)
        content = file.read_bytes()
        file.write_text("broken")
        until(lambda: any("stay as they were" in line for line in server.log))
        assert ask(server, "/models", second)[0] == 200
        file.write_bytes(content)
        status, answer = ask(server, "/healthz/inference")
        assert (status, list(json.loads(answer)["models"])) == (200, ["tiny"])
        ask(server, "/models", second, **{"X-Request-ID": "mine"})
        assert server.stop() == 0
    records = [json.loads(line) for line in server.log]  # every line is an object
    (mine,) = (record for record in records if record.get("request_id") == "mine")
    assert (mine["route"], mine["status"], mine["key"]) == ("/models", 200, "second")
    assert {record["logger"] for record in records} >= {"uvicorn.error", "service.access"}
    assert [r["logger"] for r in records if r["level"] == "ERROR"] == ["service.keys"]
    assert not any(first in line or second in line for line in server.log)
    assert not any("without API keys" in line for line in server.log)


def test_an_open_service_on_all_addresses_warns_and_bounds_heads(models: Path) -> None:
    flags = ("--host", "0.0.0.0", "--max-head-kib", "4", "--head-timeout-s", "0.3")
    with Server(models, *FLAGS, *flags) as server:
        server.wait_until_ready()
        for sent, status in (
            (b"GET /models HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 5000 + b"\r\n\r\n", 431),
            (b"GET /" + b"y" * 5000, 414),
            (b"GET /models HTTP/1.1\r\nhost: a\r\n", 408),
            (b"nonsense\r\n\r\n", 400),
        ):
            with socket.create_connection(("127.0.0.1", server.port), FAR) as connection:
                connection.sendall(sent)
                with HTTPResponse(connection) as response:
                    response.begin()
                    assert response.status == status
                    assert response.headers["content-type"] == "application/problem+json"
                    assert json.loads(response.read())["status"] == status
        assert ask(server, "/models")[0] == 200
        assert server.stop() == 0
    (warning,) = (json.loads(line) for line in server.log if "without API keys" in line)
    assert warning["level"] == "WARNING"
