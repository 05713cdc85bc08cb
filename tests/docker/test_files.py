"""What is deployed agrees with the code and with itself; needs no Docker."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import promql_parser as promql
import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from service.api import router, tasks
from service.device import Device
from service.settings import Settings
from service.task import Timing
from service.telemetry import Telemetry

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))
COMPOSE_FILES = [ROOT / "docker-compose.yml", *sorted(DOCKER.glob("compose.*.yml"))]
COMPOSE = yaml.safe_load(COMPOSE_FILES[0].read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
INSTANCES = ("service", "service-gpu", "replica")
GATEWAY = (DOCKER / "gateway/haproxy.cfg").read_text()
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((DOCKER / "prometheus/alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
PROMETHEUS, WITH_KEY = (
    yaml.safe_load((DOCKER / "prometheus" / name).read_text())
    for name in ("prometheus.yml", "prometheus.keys.yml")
)
JOBS: dict[str, dict[str, Any]] = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
DASHBOARD = json.loads((DOCKER / "grafana/dashboards/sightline.json").read_text())
GUIDE = (ROOT / "docs/operating.md").read_text()


def seconds(text: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def gateway_timeout(name: str) -> float:
    return seconds(re.search(rf"^ *timeout {name} (\w+)$", GATEWAY, re.MULTILINE)[1])  # type: ignore[index]


# --- settings and ports


@pytest.mark.parametrize("path", [*COMPOSE_FILES, DOCKERFILES[0]], ids=lambda path: path.name)
def test_every_variable_of_the_service_is_a_setting(path: Path) -> None:
    named = set(re.findall(r"\bSIGHTLINE_[A-Z0-9_]*[A-Z0-9]", path.read_text()))
    assert named
    assert named <= {f"SIGHTLINE_{name.upper()}" for name in Settings.model_fields}


def test_everything_that_names_a_port_means_the_same_one() -> None:
    dockerfile = DOCKERFILES[0].read_text()
    port = str(Settings.model_fields["port"].default)
    assert re.findall(r"^EXPOSE (\d+)$", dockerfile, re.MULTILINE) == [port]
    assert re.findall(r"SIGHTLINE_PORT=(\d+)", dockerfile) == [port]
    for name in INSTANCES:
        assert SERVICES[name]["environment"]["SIGHTLINE_PORT"] == port
        assert all(published.endswith(f":{port}") for published in SERVICES[name].get("ports", ()))
    assert re.findall(r"server-template \S+ \S+ sightline:(\d+)", GATEWAY) == [port]
    assert JOBS["sightline"]["dns_sd_configs"][0]["port"] == int(port)
    assert f"bind :{JOBS['gateway']['dns_sd_configs'][0]['port']}\n" in GATEWAY
    assert SERVICES["gateway"]["ports"][0].endswith(":8080")
    assert "bind :8080\n" in GATEWAY


def test_published_ports_can_be_chosen_and_are_local_unless_asked() -> None:
    published = [port for each in SERVICES.values() for port in each.get("ports", ())]
    assert len(published) == 5
    for port in published:
        assert re.fullmatch(
            r"(\$\{SIGHTLINE_HOST:-127\.0\.0\.1\}|127\.0\.0\.1):\$\{\w+_PORT:-\d+\}:\d+", port
        )


def test_the_gateway_allows_what_the_service_allows() -> None:
    settings = Settings()
    assert gateway_timeout("server") > settings.timeout_s + settings.body_timeout_s
    assert gateway_timeout("client") > settings.body_timeout_s
    limit = int(re.search(r"content-length\) gt (\d+)", GATEWAY)[1])  # type: ignore[index]
    assert settings.max_body_bytes <= limit <= 1.1 * settings.max_body_bytes


def test_the_gateway_repeats_only_what_no_instance_has_seen() -> None:
    assert re.findall(r"retry-on (.*)", GATEWAY) == ["conn-failure"]


def test_problems_of_the_gateway_are_problem_details() -> None:
    lines = [line for line in GATEWAY.splitlines() if "application/problem+json" in line]
    statuses = set()
    for line in lines:
        problem = json.loads(re.search(r"string '([^']*)'", line)[1])  # type: ignore[index]
        assert set(problem) == {"type", "title", "status", "detail"}
        assert f"status {problem['status']} " in line
        statuses.add(problem["status"])
    assert statuses == {400, 404, 408, 413, 502, 503, 504}


# --- confinement and life


def test_containers_have_time_to_finish() -> None:
    grace = Settings().shutdown_grace_s
    for name in INSTANCES:
        assert seconds(SERVICES[name]["stop_grace_period"]) > grace
    hard_stop = seconds(re.search(r"hard-stop-after (\w+)", GATEWAY)[1])  # type: ignore[index]
    assert grace < hard_stop < seconds(SERVICES["gateway"]["stop_grace_period"])


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "training"])
def test_what_keeps_running_is_confined_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"] == service["memswap_limit"]
    assert service["pids_limit"] > 0
    assert service["restart"] == "unless-stopped"
    assert service["logging"]["options"]["max-size"]
    assert name in INSTANCES or service["healthcheck"]["test"][0] == "CMD"
    assert not {"privileged", "cap_add", "ulimits", "pid", "ipc"} & set(service)
    assert "docker.sock" not in str(service)


def test_models_are_mounted_read_only() -> None:
    for name in INSTANCES:
        (volume,) = SERVICES[name]["volumes"]
        assert volume["read_only"] is True
        assert volume["target"] == SERVICES[name]["environment"]["SIGHTLINE_MODELS"]


def test_only_the_service_runs_unless_a_profile_is_named() -> None:
    assert [name for name, service in SERVICES.items() if not service.get("profiles")] == [
        "service"
    ]


def test_what_has_no_port_has_no_way_out_of_the_machine() -> None:
    assert COMPOSE["networks"]["inside"]["internal"] is True
    for name, service in SERVICES.items():
        if name != "training":
            assert ("outside" in service["networks"]) == ("ports" in service)


# --- images


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_needs_nothing_but_its_base(path: Path) -> None:
    text = path.read_text()
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE)
    assert {base for base, _ in stages} - {name for _, name in stages} == {"python:3.12-slim"}
    assert not re.search(r"^#\s*syntax=", text, re.MULTILINE)
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    final = text[text.rindex("FROM python:3.12-slim") :]
    assert "apt-get" not in final
    assert "uv sync" not in final


def test_both_dockerfiles_install_with_the_same_uv_from_the_lock() -> None:
    texts = [path.read_text() for path in DOCKERFILES]
    assert len({tuple(re.findall(r"uv==[\d.]+", text)) for text in texts}) == 1
    for text in texts:
        assert all("--frozen --no-dev" in line for line in re.findall(r"uv sync .*", text))


def test_what_images_copy_is_let_into_the_build() -> None:
    ignore = (ROOT / ".dockerignore").read_text().split()
    assert ignore[1:].index("*")
    for path in DOCKERFILES:
        for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", path.read_text(), re.MULTILINE):
            assert {f"!{source}" for source in sources.split()} <= set(ignore)


# --- metrics


def families() -> dict[str, set[str]]:
    """Sample names of the service's metrics with their labels, after one of everything."""
    telemetry = Telemetry()
    telemetry.describe_device(Device("cpu", 2))
    telemetry.responses.labels("/classify", 200).inc()
    telemetry.watch("classify", "imagenet", MagicMock(), MagicMock(), MagicMock())
    meter = telemetry.meter("classify", "imagenet")
    meter.timing(Timing(decode=1, queue=1, run=1, total=3))
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(generate_latest(telemetry.registry).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def selectors(expression: str) -> list[promql.VectorSelector]:
    found: list[promql.VectorSelector] = []

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            found.append(node)

    promql.walk(promql.parse(expression.replace("$__rate_interval", "5m")), visit)
    return found


@pytest.mark.parametrize(("name", "expression"), list(expressions()))
def test_alerts_and_panels_ask_for_metrics_and_labels_that_exist(
    name: str, expression: str
) -> None:
    known = families()
    asked = selectors(expression)
    assert asked
    for selector in asked:
        labels = {matcher.name for matcher in selector.matchers.matchers}
        if selector.name in ("up", "ALERTS"):
            continue
        if str(selector.name).startswith("haproxy_"):
            assert labels == {"job", "proxy"}
            continue
        assert selector.name in known, name
        assert labels <= known[selector.name] | {"job", "instance"}


def test_routes_and_stages_that_are_asked_for_exist() -> None:
    routes = {getattr(route, "path", None) for each in (tasks, router) for route in each.routes}
    known: dict[str, set[Any]] = {"route": routes, "stage": set(Timing.model_fields)}
    checked = 0
    for _, expression in expressions():
        for selector in selectors(expression):
            for matcher in selector.matchers.matchers:
                if matcher.name in known and matcher.op in (
                    promql.MatchOp.Equal,
                    promql.MatchOp.NotEqual,
                ):
                    assert matcher.value in known[matcher.name]
                    checked += 1
    assert checked


def test_jobs_that_are_asked_for_are_scraped() -> None:
    for _, expression in expressions():
        for selector in selectors(expression):
            assert {m.value for m in selector.matchers.matchers if m.name == "job"} <= set(JOBS)


def test_with_a_key_prometheus_does_the_same_as_without() -> None:
    secure = yaml.safe_load(COMPOSE_FILES[1].read_text())["services"]["prometheus"]
    (secret,) = secure["secrets"]
    job = {**JOBS["sightline"], "authorization": {"credentials_file": f"/run/secrets/{secret}"}}
    others = [each for each in PROMETHEUS["scrape_configs"] if each["job_name"] != "sightline"]
    assert {**PROMETHEUS, "scrape_configs": [job, *others]} == WITH_KEY


def test_the_operating_guide_explains_every_alert() -> None:
    for rule in RULES:
        assert f"| `{rule['alert']}` |" in GUIDE
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert {"summary", "description"} <= set(rule["annotations"])


def test_the_operating_guide_names_every_variable_of_the_compose_files() -> None:
    for path in COMPOSE_FILES:
        for name in re.findall(r"\$\{(\w+)[:}]", path.read_text()):
            assert f"`{name}`" in GUIDE, name


def test_the_dashboard_is_one_that_grafana_can_place() -> None:
    provisioned = yaml.safe_load(
        (DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text()
    )["datasources"][0]
    assert provisioned["url"].endswith(":9090")
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        taken = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, f"{panel['title']} lies over another panel"
        cells |= taken
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for each in (panel, *panel["targets"]):
            assert each["datasource"]["uid"] == provisioned["uid"]
    mounted = {volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]}
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert str(Path(home).parent) in mounted
    provider = yaml.safe_load(
        (DOCKER / "grafana/provisioning/dashboards/sightline.yml").read_text()
    )["providers"][0]
    assert provider["options"]["path"] == str(Path(home).parent)
