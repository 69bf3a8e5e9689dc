"""Three deployments that are one application: vLLM with the generator, vLLM with the verifier, and what answers HTTP.

client ─▶ SolveIngress ─▶ CompletionServer:generator
                 └──────▶ CompletionServer:verifier    (left out where the generator judges too)
"""

import os
from typing import Any

from pydantic import ValidationError
from ray import serve
from ray.serve import Application

from metamath_ray.config import RayConfig, ReplicasConfig, ServeEngineConfig, SolveConfig, describe_validation_error
from metamath_ray.distributed.deployment import MAX_START_ATTEMPTS, llm_config_arguments
from metamath_ray.distributed.grouped_calls import FOR_SCORES
from metamath_ray.distributed.serve_engine import DEPLOYMENT_NAME
from metamath_ray.errors import ConfigError
from metamath_ray.inference.models import check_kind, check_prompt_set, resolve_model, verifier_prompt_for
from metamath_ray.prompts import load_prompt_set
from services.solve.access import with_environment
from services.solve.ingress import SolveIngress

VERIFIER_DEPLOYMENT_NAME = f"{DEPLOYMENT_NAME.rpartition(':')[0]}:verifier"
TARGET_LOAD = 0.75
"""Sequences in work, as a share of `max_num_seqs`, above which another replica is started: before requests wait."""
SPARE_REQUESTS = 64
"""Of the ingress beyond its own queue, so that it is the ingress who refuses, and /healthz answers when it is full."""
DRAIN_MARGIN_SECONDS = 10
"""What a replica that leaves is given beyond the longest request."""


def build_app(arguments: dict[str, Any]) -> Application:
    """Build the application from the fields of `SolveConfig`; see `services.solve.build_app`."""
    try:
        config = SolveConfig.model_validate(arguments)
    except ValidationError as error:
        raise ConfigError(describe_validation_error(error)) from error
    return solve_application(config)


def solve_application(config: SolveConfig) -> Application:
    """Bind the deployments; models, prompts and keys are looked at first.

    Raises:
        UserError: A model, a prompt set or a key is missing or malformed.
    """
    config = config.model_copy(update={"access": with_environment(config.access, os.environ)})
    check(config)
    generator = _model(config, config.generator, config.autoscaling.generator, name=DEPLOYMENT_NAME)
    verifier = None
    if config.verifier is not None and not config.shares_weights:
        verifier = _model(config, config.verifier, config.autoscaling.verifier, name=VERIFIER_DEPLOYMENT_NAME)
    return serve.deployment(SolveIngress, **ingress_options(config)).bind(config, generator, verifier)


def check(config: SolveConfig) -> None:
    """Look at models and prompts; needs neither Ray nor vLLM.

    Raises:
        UserError: One is missing or malformed, or a model was trained for another task or with other prompts.
    """
    generator, prompts = resolve_model(config.generator.model), load_prompt_set(config.prompt_set)
    check_kind(generator, "generator")
    check_prompt_set(generator, name=prompts.name, prompt_set_hash=prompts.hash)
    if config.verifier is None:
        return
    verifier = resolve_model(config.verifier.model)
    check_kind(verifier, "verifier")
    verifier_prompt_for(verifier, config.verifier_prompt)


def _model(config: SolveConfig, engine: ServeEngineConfig, replicas: ReplicasConfig, *, name: str) -> Application:
    from ray.serve.llm import LLMConfig, build_llm_deployment  # noqa: PLC0415  (imports vLLM)

    from metamath_ray.distributed.llm_server import CompletionServer  # noqa: PLC0415

    arguments = llm_config_arguments(engine, model_path=resolve_model(engine.model))
    arguments["deployment_config"] = model_options(arguments["deployment_config"], config, engine, replicas, name=name)
    try:
        return build_llm_deployment(
            LLMConfig(**arguments),
            deployment_cls=CompletionServer,
            override_serve_options={"max_constructor_retry_count": MAX_START_ATTEMPTS},
        )
    except ValueError as error:
        raise ConfigError(f"{name.rpartition(':')[2]}: {str(error).splitlines()[0]}") from error


def model_options(
    options: dict[str, Any], config: SolveConfig, engine: ServeEngineConfig, replicas: ReplicasConfig, *, name: str
) -> dict[str, Any]:
    """Return a model's Serve options: it follows its own load, and drains before it leaves.

    A call to the generator is a question's samples, one to the verifier as many solutions as may share one: it often
    has fewer, and then another replica is started before it is needed.
    """
    sequences = config.num_samples if name == DEPLOYMENT_NAME else FOR_SCORES.max_requests
    rest = {key: value for key, value in options.items() if key != "num_replicas"}
    return {
        **rest,
        "name": name.rpartition(":")[2],
        "autoscaling_config": scaling(replicas, target=TARGET_LOAD * engine.max_num_seqs / sequences),
        "graceful_shutdown_timeout_s": drain_seconds(config),
    }


def ingress_options(config: SolveConfig) -> dict[str, Any]:
    """Return the Serve options of what answers HTTP."""
    places = config.limits.max_running + config.limits.max_queued
    return {
        "name": "SolveIngress",
        "max_ongoing_requests": places + SPARE_REQUESTS,
        "autoscaling_config": scaling(config.autoscaling.ingress, target=config.limits.max_running),
        "graceful_shutdown_timeout_s": drain_seconds(config),
        "ray_actor_options": {"num_cpus": 1},
        "max_constructor_retry_count": MAX_START_ATTEMPTS,
        "logging_config": serve_logging(config.ray),
    }


def serve_logging(config: RayConfig) -> dict[str, Any]:
    """Return Serve's logging configuration of what answers HTTP: JSON as the job's, or warnings as text.

    Serve's own line a request is left out: ours has the route without what a client puts into a path.
    """
    is_json = config.log_format == "json"
    level = config.log_level if is_json else "WARNING"
    return {"encoding": config.log_format.upper(), "log_level": level, "enable_access_log": False}


def scaling(replicas: ReplicasConfig, *, target: float) -> dict[str, Any]:
    """Return Serve's autoscaling: replicas so that each has the target of requests in work."""
    return {
        "min_replicas": replicas.min_replicas,
        "max_replicas": replicas.max_replicas,
        "target_ongoing_requests": max(1.0, target),
    }


def drain_seconds(config: SolveConfig) -> float:
    """Return how long a replica that leaves goes on with what it has."""
    return config.limits.max_time_limit_seconds + DRAIN_MARGIN_SECONDS
