"""`docker/compose.secure.yml`: keys that change while the service runs, and who may see them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.stack import Stack, inside, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]


class Secured(Stack):
    """A stack whose keys lie in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        files = ("docker-compose.yml", "docker/compose.secure.yml")
        super().__init__(f"sightline-test-secure-{os.getpid()}", *files, SECRETS=str(folder))
        self.folder = folder

    def prepare(self) -> None:
        """Make the secrets, and the image whose command makes keys."""
        folder = self.folder
        folder.chmod(0o755)
        (folder / "keys").mkdir(mode=0o755)
        for name in ("prometheus_key", "grafana_password"):
            (folder / name).touch()
        self.compose("build", "service")
        (folder / "prometheus_key").write_text(self.key("create", "prometheus", "metrics"))
        (folder / "prometheus_key").chmod(0o644)

    def key(self, action: str, name: str, *scopes: str) -> str:
        """Make or revoke a key as the guide says; what is printed, the key."""
        said = self.compose(
            "run", "--rm", "--no-deps", "-T", "--user", f"{os.getuid()}:{os.getgid()}",
            "-v", f"{self.folder / 'keys'}:/keys", "service",
            "keys", action, "--name", name, "--file", "/keys/keys.json",
            *(word for scope in scopes for word in ("--scope", scope)),
        )  # fmt: skip
        (self.folder / "keys/keys.json").chmod(0o644)
        return next((line for line in said.splitlines() if " " not in line.strip()), "")

    def status(self, path: str, key: str | None = None) -> int:
        """Of an answer to a request with this key."""
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        with self.client() as client:
            return client.get(path, headers=headers).status_code


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    stack = Secured(tmp_path_factory.mktemp("secrets"))
    try:
        stack.prepare()
        stack.compose("--profile", "monitoring", "up", "--wait", "service", "prometheus")
        yield stack
    finally:
        stack.down()


def test_keys_come_and_go_while_the_service_runs(secured: Secured) -> None:
    assert secured.status("/models") == 401
    assert secured.status("/readyz") == 200
    key = secured.key("create", "me")
    until(lambda: secured.status("/models", key) == 200, "a new key is not taken over")
    assert secured.status("/models", key + "x") == 401
    secured.key("revoke", "me")
    until(lambda: secured.status("/models", key) == 401, "a revoked key still opens")


def test_prometheus_shows_its_key(secured: Secured) -> None:
    assert secured.status("/metrics") == 401
    with secured.client("PROMETHEUS_PORT") as prometheus:

        def up() -> bool:
            query = {"query": 'up{job="sightline"} == 1'}
            said = prometheus.get("/api/v1/query", params=query).json()
            return bool(said["data"]["result"])

        until(up, "not scraped")


def test_a_secret_is_seen_only_where_it_is_needed(secured: Secured) -> None:
    (service,) = secured.containers("service")
    (prometheus,) = secured.containers("prometheus")
    assert inside(service, "ls", "/run/secrets").split() == ["keys"]
    assert inside(prometheus, "ls", "/run/secrets").split() == ["prometheus_key"]
