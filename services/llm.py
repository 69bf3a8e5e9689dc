"""vLLM under Ray Serve: for bootstraps to attach to, and as an OpenAI-compatible endpoint.

serve run services/llm.yaml          # http://127.0.0.1:8000/v1
metamath-ray bootstrap … --engine.attach llm
"""

from typing import Any

from pydantic import ValidationError
from ray.serve import Application

from metamath_ray.config import ServeEngineConfig, describe_validation_error
from metamath_ray.distributed.deployment import openai_application
from metamath_ray.errors import ConfigError
from metamath_ray.inference.models import resolve_model


def build_app(arguments: dict[str, Any]) -> Application:
    """Build the application from the fields of `ServeEngineConfig`, as a Serve config file gives them.

    Raises:
        ConfigError: A field is unknown or impossible.
        ModelError: The model does not exist.
    """
    try:
        config = ServeEngineConfig.model_validate(arguments)
    except ValidationError as error:
        raise ConfigError(describe_validation_error(error)) from error
    return openai_application(config, model_path=resolve_model(config.model))
