"""Prometheus beside the service: targets, queries, alerts."""

import json
from pathlib import Path

import httpx
import pytest

from tests.docker.stack import ROOT, Stack, docker, until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]


def test_prometheus_finds_the_service_and_counts_its_answers(stack: Stack, photo: bytes) -> None:
    stack.compose("--profile", "monitoring", "up", "--wait", "prometheus")
    with stack.client() as client:
        for _ in range(3):
            assert client.post("/classify", files={"file": photo}).status_code == 200

    with stack.client("PROMETHEUS_PORT") as prometheus:

        def ask(expression: str) -> float:
            said = prometheus.get("/api/v1/query", params={"query": expression}).json()
            assert said["status"] == "success", said
            return sum(float(each["value"][1]) for each in said["data"]["result"])

        until(lambda: ask('up{job="sightline"}') == 1, "not scraped")
        counted = 'sightline_http_responses_total{route="/classify", status="200"}'
        until(lambda: ask(counted) >= 3, "not counted")
        assert len(_rules(prometheus)) == 9
        until(lambda: all(r["health"] == "ok" for r in _rules(prometheus)), "rules not evaluated")
        assert {rule["state"] for rule in _rules(prometheus)} <= {"inactive", "pending"}

        dashboard = json.loads((ROOT / "docker/grafana/dashboards/sightline.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                ask(target["expr"].replace("$__rate_interval", "1m").replace("$model", ".*"))


def _rules(prometheus: httpx.Client) -> list[dict[str, str]]:
    groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.mark.usefixtures("stack")
def test_alerts_fire_when_they_should() -> None:
    said = docker(
        "run", "--rm", "--entrypoint", "promtool",
        "-v", f"{ROOT}/docker/prometheus:/etc/prometheus:ro",
        "-v", f"{ROOT}/tests/docker/alerts.test.yml:/alerts.test.yml:ro",
        "prom/prometheus:v2.53.3", "test", "rules", "/alerts.test.yml",
    )  # fmt: skip
    assert "SUCCESS" in said


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.keys.yml"])
def test_prometheus_accepts_its_configuration(name: str, tmp_path: Path) -> None:
    key = tmp_path / "prometheus_key"
    key.write_text("key")
    said = docker(
        "run", "--rm", "--entrypoint", "promtool", "--user", "0",
        "-v", f"{ROOT}/docker/prometheus:/etc/prometheus:ro",
        "-v", f"{key}:/run/secrets/prometheus_key:ro",
        "prom/prometheus:v2.53.3", "check", "config", f"/etc/prometheus/{name}",
    )  # fmt: skip
    assert "SUCCESS" in said
