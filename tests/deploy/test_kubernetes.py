"""What kustomize makes of the manifests, against Kubernetes' schemas and against the service."""

import itertools
import subprocess
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.app import create_app
from service.settings import Settings

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = ("cpu", "gpu")
COMPONENTS = tuple(sorted(path.name for path in (FOLDER / "components").iterdir()))
VERSIONS = ("1.31", "1.37")
"""Of Kubernetes: an old one that many clusters have, and the newest there is a schema of."""

Resource = dict[str, Any]


@cache
def build(folder: Path) -> tuple[Resource, ...]:
    """Run kustomize, of the kubectl among the development tools."""
    kubectl = Path(sysconfig.get_path("scripts")) / "kubectl"
    done = subprocess.run(
        [kubectl, "kustomize", folder], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return tuple(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module", params=["", *COMPONENTS], ids=lambda name: name or "plain")
def component(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=OVERLAYS)
def resources(
    request: pytest.FixtureRequest, component: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Resource, ...]:
    """An overlay, plain or with one component."""
    overlay = FOLDER / "overlays" / request.param
    if not component:
        return build(overlay)
    # What a user does who uncomments the component's line, in a copy of everything.
    copy = tmp_path_factory.mktemp("kubernetes")
    for path in FOLDER.rglob("*"):
        if path.is_file():
            target = copy / path.relative_to(FOLDER)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_text()
            if path == overlay / "kustomization.yaml":
                line = f"  - ../../components/{component}\n"
                assert text.count(f"#{line}") == 1
                text = text.replace("components: []", "components:").replace(f"#{line}", line)
            target.write_text(text)
    return build(copy / "overlays" / overlay.name)


def the(resources: tuple[Resource, ...], kind: str) -> Resource:
    (found,) = [resource for resource in resources if resource["kind"] == kind]
    return found


def pod(resources: tuple[Resource, ...]) -> Resource:
    spec: Resource = the(resources, "Deployment")["spec"]["template"]["spec"]
    return spec


def container(resources: tuple[Resource, ...]) -> Resource:
    (only,) = pod(resources)["containers"]
    found: Resource = only
    return found


def settings_given(resources: tuple[Resource, ...]) -> dict[str, str]:
    data: dict[str, str] = the(resources, "ConfigMap")["data"]
    return data


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_is_valid_by_the_schemas_of_kubernetes(
    resources: tuple[Resource, ...], version: str
) -> None:
    for resource in resources:
        if resource["apiVersion"].startswith("monitoring.coreos.com/"):
            continue  # not Kubernetes' own; test_the_service_monitor_finds_the_service looks at it
        kubernetes_validate.validate(resource, version, strict=True)


def test_a_misspelt_field_would_not_be_valid() -> None:
    deployment = the(build(FOLDER / "overlays" / "cpu"), "Deployment")
    misspelt = deployment | {"spec": deployment["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(misspelt, VERSIONS[-1], strict=True)


def test_what_a_resource_names_is_there(resources: tuple[Resource, ...]) -> None:
    deployment = the(resources, "Deployment")
    target = the(resources, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    account = the(resources, "ServiceAccount")["metadata"]["name"]
    assert pod(resources)["serviceAccountName"] == account
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        the(resources, "Service")["spec"]["selector"],
        the(resources, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the(resources, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        pod(resources)["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()
    (port,) = container(resources)["ports"]
    (outer,) = the(resources, "Service")["spec"]["ports"]
    (allowed,) = the(resources, "NetworkPolicy")["spec"]["ingress"][0]["ports"]
    assert port["name"] == outer["targetPort"] == allowed["port"]
    (source,) = container(resources)["envFrom"]
    assert source["configMapRef"]["name"] == the(resources, "ConfigMap")["metadata"]["name"]
    volumes = {volume["name"] for volume in pod(resources)["volumes"]}
    assert {mount["name"] for mount in container(resources)["volumeMounts"]} == volumes


def test_both_overlays_fit_in_one_namespace() -> None:
    built = [build(FOLDER / "overlays" / name) for name in OVERLAYS]
    names = [{(r["kind"], r["metadata"]["name"]) for r in resources} for resources in built]
    for one, other in itertools.combinations(names, 2):
        assert not one & other
    selectors = [the(resources, "Service")["spec"]["selector"] for resources in built]
    labels = [
        the(resources, "Deployment")["spec"]["template"]["metadata"]["labels"]
        for resources in built
    ]
    assert not selectors[0].items() <= labels[1].items()
    assert not selectors[1].items() <= labels[0].items()


def test_the_settings_are_settings(
    resources: tuple[Resource, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = settings_given(resources)
    own = {variable["name"] for variable in container(resources).get("env", [])}
    assert not {name for name in own if name.startswith("SIGHTLINE_")}, "settings are in one place"
    assert {
        name.removeprefix("SIGHTLINE_").lower() for name in given
    } <= Settings.model_fields.keys()
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = Settings()  # each value is one that its setting takes
    assert settings.host == "0.0.0.0"
    assert settings.port == container(resources)["ports"][0]["containerPort"]
    on_gpu = "nvidia.com/gpu" in container(resources)["resources"]["limits"]
    assert (settings.device == "cuda") == on_gpu


def test_probes_ask_what_the_service_answers(resources: tuple[Resource, ...]) -> None:
    paths = create_app(Settings(device="cpu", cpus=1)).openapi()["paths"]
    asked = {
        probe: container(resources)[probe]["httpGet"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    for ask in asked.values():
        assert "get" in paths[ask["path"]]
        assert ask["port"] == container(resources)["ports"][0]["name"]
    # A liveness that waits for models would kill a pod that loads many.
    assert asked["livenessProbe"]["path"] == asked["startupProbe"]["path"] == "/healthz"
    assert asked["readinessProbe"]["path"] == "/readyz"


def test_a_pod_has_time_to_finish_what_it_began(resources: tuple[Resource, ...]) -> None:
    before = container(resources)["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace_s = float(settings_given(resources)["SIGHTLINE_SHUTDOWN_GRACE_S"])
    assert pod(resources)["terminationGracePeriodSeconds"] > before + grace_s
    readiness = container(resources)["readinessProbe"]
    assert before >= readiness["periodSeconds"] * readiness["failureThreshold"]


def test_a_pod_may_run_where_the_restricted_standard_is_enforced(
    resources: tuple[Resource, ...],
) -> None:
    of_pod, of_container = (
        pod(resources)["securityContext"],
        container(resources)["securityContext"],
    )
    assert (of_pod["runAsNonRoot"], of_pod["runAsUser"]) == (True, 10001)
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container["capabilities"] == {"drop": ["ALL"]}
    assert of_container["allowPrivilegeEscalation"] is False
    assert of_container["readOnlyRootFilesystem"] is True
    assert pod(resources)["automountServiceAccountToken"] is False
    kinds = {kind for volume in pod(resources)["volumes"] for kind in volume.keys() - {"name"}}
    assert kinds <= {"emptyDir", "persistentVolumeClaim", "secret"}
    writable = [m for m in container(resources)["volumeMounts"] if not m.get("readOnly")]
    assert [mount["mountPath"] for mount in writable] == ["/tmp"]
    bounds = container(resources)["resources"]
    assert bounds["requests"] == bounds["limits"]
    assert {"cpu", "memory"} <= bounds["limits"].keys()


def test_the_memory_holds_what_the_limits_let_in(resources: tuple[Resource, ...]) -> None:
    settings = Settings()
    at_most = settings.cpu_arena_mib + settings.max_bodies_mib
    limit = container(resources)["resources"]["limits"]["memory"]
    assert limit.endswith("Gi")
    assert int(limit.removesuffix("Gi")) * 1024 > at_most


def test_the_autoscaler_looks_at_what_there_is(resources: tuple[Resource, ...]) -> None:
    (metric,) = the(resources, "HorizontalPodAutoscaler")["spec"]["metrics"]
    if metric["type"] == "Resource":
        assert metric["resource"]["name"] in container(resources)["resources"]["requests"]
    else:
        app = create_app(Settings(device="cpu", cpus=1))
        families = app.state.sightline.telemetry.registry.collect()
        assert metric["pods"]["metric"]["name"] in {family.name for family in families}


@pytest.mark.parametrize("component", ["service-monitor"], indirect=True)
def test_the_service_monitor_finds_the_service(resources: tuple[Resource, ...]) -> None:
    monitor, service = the(resources, "ServiceMonitor"), the(resources, "Service")
    labels = service["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    paths = create_app(Settings(device="cpu", cpus=1)).openapi()["paths"]
    assert "get" in paths[endpoint["path"]]


@pytest.mark.parametrize("component", ["models-claim"], indirect=True)
def test_models_of_the_claim_are_where_the_service_looks(resources: tuple[Resource, ...]) -> None:
    (volume,) = [v for v in pod(resources)["volumes"] if "persistentVolumeClaim" in v]
    claim = the(resources, "PersistentVolumeClaim")
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (mount,) = [m for m in container(resources)["volumeMounts"] if m["name"] == volume["name"]]
    assert mount["mountPath"] == settings_given(resources)["SIGHTLINE_MODELS"]
    assert mount["readOnly"]
