"""Kubernetes' own JSON schemas, as the package kubernetes-validate carries them."""

from typing import Any

import kubernetes_validate

VERSION = "1.34"
"""Of the schemas; KubeRay v1.6 runs on it."""


def validate(resource: dict[str, Any]) -> None:
    """Check a resource of a core kind.

    Raises:
        ValidationError: It has an unknown field, or a wrong one.
    """
    kubernetes_validate.validate(resource, VERSION, strict=True)
