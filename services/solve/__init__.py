"""The solve service: sample, cluster, score, re-rank, over HTTP.

serve run services/solve.yaml        # http://127.0.0.1:8000
metamath-ray serve                   # the same, in the foreground
"""

from typing import TYPE_CHECKING, Any

from metamath_ray.config import SolveConfig

if TYPE_CHECKING:
    from ray.serve import Application

__all__ = ["SolveConfig", "build_app"]


def build_app(arguments: dict[str, Any]) -> "Application":
    """Build the application from the fields of `SolveConfig`, as a Serve config file gives them.

    Raises:
        ConfigError: A field is unknown or impossible.
        ModelError: A model does not exist, or was trained with other prompts.
    """
    from services.solve.deployments import build_app as build  # noqa: PLC0415  (imports Ray)

    return build(arguments)
