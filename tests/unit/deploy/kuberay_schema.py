"""The fields of KubeRay's custom resources that our manifests use, strictly; pod templates are Kubernetes' own.

Source: KubeRay's API reference of `ray.io/v1` (github.com/ray-project/kuberay, docs/reference/api.md at 0057210), for
`authOptions` that of v1.6.2 (docs.ray.io/en/master/cluster/kubernetes/references/api.html). KubeRay's Python client,
kuberay-client, is not on the package index.
"""

import json
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from ray.serve.schema import ServeDeploySchema

from tests.unit.deploy.kubernetes_schema import validate

NAME_LIMIT = 41
"""KubeRay appends to the names of services and jobs, and Kubernetes has 63 characters."""


class Strict(BaseModel):
    """A field that is not named here is a mistake."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _pod_template(template: dict[str, Any]) -> dict[str, Any]:
    validate({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "checked"}, "template": template})
    return template


def _start_parameters(parameters: dict[str, str]) -> dict[str, str]:
    resources = json.loads(json.loads(parameters.get("resources", '"{}"')))
    if not all(isinstance(amount, int) for amount in resources.values()):
        raise ValueError("resources are not numbers")
    return parameters


def _serve_config(text: str) -> str:
    ServeDeploySchema.model_validate(yaml.safe_load(text))
    return text


PodTemplate = Annotated[dict[str, Any], AfterValidator(_pod_template)]
StartParameters = Annotated[dict[str, str], AfterValidator(_start_parameters)]


class Metadata(Strict):
    name: str = Field(max_length=NAME_LIMIT, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")
    labels: dict[str, str] = Field(default_factory=dict)


class AuthOptions(Strict):
    mode: Literal["disabled", "token"]
    secretName: str | None = None  # noqa: N815


class AutoscalerOptions(Strict):
    version: Literal["v1", "v2"] | None = None
    idleTimeoutSeconds: int | None = Field(default=None, ge=0)  # noqa: N815
    upscalingMode: Literal["Default", "Aggressive", "Conservative"] | None = None  # noqa: N815
    resources: dict[str, Any] | None = None
    securityContext: dict[str, Any] | None = None  # noqa: N815

    @model_validator(mode="after")
    def _a_container(self) -> "AutoscalerOptions":
        container = {"name": "autoscaler", "resources": self.resources, "securityContext": self.securityContext}
        _pod_template({"spec": {"containers": [container]}})
        return self


class HeadGroupSpec(Strict):
    rayStartParams: StartParameters  # noqa: N815
    template: PodTemplate


class WorkerGroupSpec(Strict):
    groupName: str  # noqa: N815
    minReplicas: int = Field(ge=0)  # noqa: N815
    maxReplicas: int = Field(ge=1)  # noqa: N815
    rayStartParams: StartParameters  # noqa: N815
    template: PodTemplate


class RayClusterSpec(Strict):
    rayVersion: str  # noqa: N815
    enableInTreeAutoscaling: bool  # noqa: N815
    authOptions: AuthOptions  # noqa: N815
    autoscalerOptions: AutoscalerOptions  # noqa: N815
    headGroupSpec: HeadGroupSpec  # noqa: N815
    workerGroupSpecs: list[WorkerGroupSpec] = Field(min_length=1)  # noqa: N815


class RayJobSpec(Strict):
    entrypoint: str
    submissionMode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]  # noqa: N815
    backoffLimit: int = Field(ge=0)  # noqa: N815
    shutdownAfterJobFinishes: bool  # noqa: N815
    ttlSecondsAfterFinished: int = Field(ge=0)  # noqa: N815
    rayClusterSpec: RayClusterSpec  # noqa: N815
    submitterPodTemplate: PodTemplate  # noqa: N815


class RayServiceSpec(Strict):
    serveConfigV2: Annotated[str, AfterValidator(_serve_config)]  # noqa: N815
    excludeHeadPodFromServeSvc: bool  # noqa: N815
    rayClusterConfig: RayClusterSpec  # noqa: N815


class RayJob(Strict):
    apiVersion: Literal["ray.io/v1"]  # noqa: N815
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: RayJobSpec


class RayService(Strict):
    apiVersion: Literal["ray.io/v1"]  # noqa: N815
    kind: Literal["RayService"]
    metadata: Metadata
    spec: RayServiceSpec
