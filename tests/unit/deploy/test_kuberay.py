"""deploy/kuberay: valid to Kubernetes and KubeRay, closed, without secrets, and such as our code takes."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic import ValidationError
from ray.util import accelerators

from metamath_ray.config import SolveConfig
from tests.unit.deploy.kuberay_schema import RayClusterSpec, RayJob, RayService
from tests.unit.deploy.kubernetes_schema import validate
from tests.unit.deploy.presets import ROOT, demands

FOLDER = ROOT / "deploy" / "kuberay"
FILES = sorted(path.name for path in FOLDER.glob("*.yaml"))
JOBS = {"bootstrap", "finetune", "evaluate"}
INSTALLED = "/opt/metamath-ray/"
OURS: dict[str, type[RayJob] | type[RayService]] = {"RayJob": RayJob, "RayService": RayService}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")))


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for name in FILES for document in documents(name) if document["kind"] == kind]


def clusters() -> Iterator[tuple[str, RayClusterSpec]]:
    for document in of_kind("RayJob"):
        yield document["metadata"]["name"], RayJob.model_validate(document).spec.rayClusterSpec
    for document in of_kind("RayService"):
        yield document["metadata"]["name"], RayService.model_validate(document).spec.rayClusterConfig


CLUSTERS = dict(clusters())


def templates(cluster: RayClusterSpec) -> list[dict[str, Any]]:
    return [cluster.headGroupSpec.template, *(group.template for group in cluster.workerGroupSpecs)]


@pytest.fixture(params=CLUSTERS)
def cluster(request: pytest.FixtureRequest) -> RayClusterSpec:
    return CLUSTERS[request.param]


@pytest.mark.parametrize("name", FILES)
def test_every_document_is_valid(name: str) -> None:
    for document in documents(name):
        if document["kind"] in OURS:
            OURS[document["kind"]].model_validate(document)
        else:
            validate(document)


def test_an_unknown_field_of_ours_or_of_kubernetes_is_refused() -> None:
    [service] = of_kind("RayService")
    with pytest.raises(ValidationError, match="Extra inputs"):
        RayService.model_validate({**service, "spec": {**service["spec"], "serveConfig": ""}})
    [budget, *_] = of_kind("PodDisruptionBudget")
    with pytest.raises(kubernetes_validate.ValidationError):
        validate({**budget, "spec": {**budget["spec"], "minimum": 1}})
    head = service["spec"]["rayClusterConfig"]["headGroupSpec"]
    head["template"]["spec"]["containers"][0]["image_name"] = "x"
    with pytest.raises((ValidationError, kubernetes_validate.ValidationError)):
        RayService.model_validate(service)


def test_there_is_a_service_for_solve_and_a_job_for_each_job() -> None:
    assert {document["metadata"]["name"] for document in of_kind("RayService")} == {"metamath-ray-solve"}
    assert {document["metadata"]["name"] for document in of_kind("RayJob")} == {f"metamath-ray-{job}" for job in JOBS}


def test_the_service_deploys_what_services_solve_yaml_deploys() -> None:
    [service] = of_kind("RayService")
    [deployed] = yaml.safe_load(service["spec"]["serveConfigV2"])["applications"]
    [original] = yaml.safe_load((ROOT / "services" / "solve.yaml").read_text(encoding="utf-8"))["applications"]
    assert deployed["import_path"] == original["import_path"]
    SolveConfig.model_validate(deployed["args"])


@pytest.mark.parametrize("document", of_kind("RayJob"), ids=lambda document: document["metadata"]["name"])
def test_a_job_runs_a_file_of_the_image_with_a_lasting_folder(document: dict[str, Any]) -> None:
    python, script, *options = shlex.split(document["spec"]["entrypoint"])
    assert python == "python"
    assert Path(script).parts[-2:] == ("jobs", document["metadata"]["name"].removeprefix("metamath-ray-") + ".py")
    assert script.startswith(INSTALLED)
    given = dict(zip(options[::2], options[1::2], strict=True))
    config = given.pop("--config")
    assert config.startswith("/shared/") or (ROOT / config.removeprefix(INSTALLED)).is_file()
    assert all(re.match("s3://|/shared/", folder) for folder in given.values())


@pytest.mark.parametrize(
    ("name", "preset"), [("bootstrap", "bootstrap_gsm8k_qwen_4gpu"), ("finetune", "finetune_metamathqa_7b")]
)
def test_a_job_s_preset_fits_its_workers(name: str, preset: str) -> None:
    groups = CLUSTERS[f"metamath-ray-{name}"].workerGroupSpecs
    for demand in demands(f"{preset}.yaml"):
        room = 0
        for group in groups:
            limits = group.template["spec"]["containers"][0]["resources"]["limits"]
            named = json.loads(json.loads(group.rayStartParams.get("resources", '"{}"')))
            if f"accelerator_type:{demand.accelerator_type}" in named:
                by_cpu = int(limits["cpu"]) // demand.cpus
                room += group.maxReplicas * int(min(int(limits["nvidia.com/gpu"]) // demand.gpus, by_cpu))
        assert room >= demand.number


def test_a_cluster_scales_and_asks_for_a_token_by_reference(cluster: RayClusterSpec) -> None:
    assert cluster.enableInTreeAutoscaling
    assert cluster.authOptions.mode == "token"
    assert cluster.authOptions.secretName
    assert cluster.headGroupSpec.rayStartParams["num-cpus"] == "0"


def test_ray_is_the_version_that_is_pinned(cluster: RayClusterSpec) -> None:
    lock = (ROOT / "requirements" / "gpu.lock").read_text(encoding="utf-8")
    assert f"\nray=={cluster.rayVersion}\n" in lock


def test_gpus_are_named_as_ray_names_them(cluster: RayClusterSpec) -> None:
    known = {value for name, value in vars(accelerators).items() if name.isupper() and isinstance(value, str)}
    for group in cluster.workerGroupSpecs:
        has_gpus = "nvidia.com/gpu" in group.template["spec"]["containers"][0]["resources"]["limits"]
        named = json.loads(json.loads(group.rayStartParams.get("resources", '"{}"')))
        assert bool(named) == has_gpus
        assert {name.removeprefix("accelerator_type:") for name in named} <= known


def test_pods_are_closed_probed_and_bounded(cluster: RayClusterSpec) -> None:
    for template in templates(cluster):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] > 0
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"readinessProbe", "livenessProbe"} <= set(container)
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert re.search(r":\d+\.\d+\.\d+$", container["image"])


def test_secrets_are_references(cluster: RayClusterSpec) -> None:
    for template in templates(cluster):
        for container in template["spec"]["containers"]:
            for variable in container["env"]:
                is_secret = re.search("TOKEN|KEYS|SECRET|PASSWORD", variable["name"])
                assert ("secretKeyRef" in variable.get("valueFrom", {})) == bool(is_secret)
    assert not of_kind("Secret")


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_budget_keeps_each_head(name: str) -> None:
    budgets = {
        json.dumps(item["spec"]["selector"]["matchLabels"]): item["spec"] for item in of_kind("PodDisruptionBudget")
    }
    labels = {"app.kubernetes.io/name": name, "ray.io/node-type": "head"}
    assert budgets[json.dumps(labels)]["minAvailable"] == 1
    for template in templates(CLUSTERS[name]):
        assert template["metadata"]["labels"]["app.kubernetes.io/name"] == name


def test_budgets_use_what_kubernetes_supports_over_custom_resources() -> None:
    for budget in of_kind("PodDisruptionBudget"):
        assert isinstance(budget["spec"]["minAvailable"], int)
        assert "maxUnavailable" not in budget["spec"]


def test_the_policy_selects_every_pod_and_lets_nobody_else_in(cluster: RayClusterSpec) -> None:
    [policy] = of_kind("NetworkPolicy")
    selected = policy["spec"]["podSelector"]["matchLabels"].items()
    assert all(selected <= template["metadata"]["labels"].items() for template in templates(cluster))
    assert all(
        rule["from"] and all("podSelector" in peer for peer in rule["from"]) for rule in policy["spec"]["ingress"]
    )
    assert not any(re.search(r"LoadBalancer|NodePort", (FOLDER / name).read_text(encoding="utf-8")) for name in FILES)
