"""Bring vLLM up under Ray Serve: one path for CPU and GPU, with a deadline and a readable failure."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import ProxyLocation
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ApplicationStatus

from metamath_ray.config import ServeEngineConfig, describe_validation_error
from metamath_ray.distributed.cluster import session_logs
from metamath_ray.distributed.serve_engine import DEPLOYMENT_NAME
from metamath_ray.errors import ConfigError, ModelError

POLL_SECONDS = 0.5
MAX_START_ATTEMPTS = 3
"""A replica that cannot start is not started for ever."""
HEALTH_CHECK_SECONDS = 2
"""Serve replaces a replica after three failed checks in a row."""
HEALTH_CHECK_TIMEOUT_SECONDS = 30
"""A replica on a busy machine is slow, not dead."""
CPU_PER_REPLICA = 2
"""Logical CPUs of a CPU replica: the server and the engine's worker."""
LOG_TAIL_LINES = 15

QUIET: dict[str, Any] = {"log_level": "ERROR", "enable_access_log": False}
"""Serve's logging configuration."""


def resolve_dtype(config: ServeEngineConfig) -> str:
    """Say which number format vLLM computes in.

    On CPU "auto" is float32: vLLM 0.29's bfloat16 attention dies of an illegal instruction on some virtual machines
    with AMX, and processors without AVX-512 compute bfloat16 a hundred times slower.
    """
    on_cpu = config.accelerator_type is None
    return "float32" if config.dtype == "auto" and on_cpu else config.dtype


def served_name(model: str) -> str:
    """Return the name under which a model is served: Ray's OpenAI route takes what follows a colon for an adapter."""
    return model.replace(":", "-")


def llm_config_arguments(config: ServeEngineConfig, *, model_path: str) -> dict[str, Any]:
    """Translate our configuration into the arguments of `ray.serve.llm.LLMConfig`.

    Pure, so that it is tested without a cluster. `generation_config="vllm"` keeps a model's own sampling defaults
    (top-k, repetition penalty) out of the samples: what is sampled is what the run asked for. vLLM's own statistics,
    some for each token, would go nowhere: the metrics that Ray exports are ours.
    """
    engine_kwargs: dict[str, Any] = {
        "dtype": resolve_dtype(config),
        "max_num_seqs": config.max_num_seqs,
        "tensor_parallel_size": config.tensor_parallel_size,
        "generation_config": "vllm",
        "disable_log_stats": True,
    }
    if config.max_model_len is not None:
        engine_kwargs["max_model_len"] = config.max_model_len
    arguments: dict[str, Any] = {
        "model_loading_config": {"model_id": served_name(config.model), "model_source": model_path},
        "engine_kwargs": engine_kwargs,
        "deployment_config": {
            "name": DEPLOYMENT_NAME.rpartition(":")[2],
            "num_replicas": config.num_replicas,
            "max_ongoing_requests": 4 * config.max_num_seqs,
            "health_check_period_s": HEALTH_CHECK_SECONDS,
            "health_check_timeout_s": HEALTH_CHECK_TIMEOUT_SECONDS,
            "logging_config": QUIET,
        },
        "runtime_env": {"env_vars": {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}},
        "log_engine_metrics": False,
    }
    if config.accelerator_type is None:
        _for_cpu(arguments, config)
    else:
        arguments["accelerator_type"] = config.accelerator_type
    engine_kwargs.update(config.engine_kwargs)
    return arguments


def _for_cpu(arguments: dict[str, Any], config: ServeEngineConfig) -> None:
    """Add what a CPU needs.

    A prompt must be read in one piece: where vLLM 0.29 splits one, it rewinds the request's random generator, which
    PyTorch cannot do on CPU, and a single seeded request then kills the engine.

    Blocks of the cache are as small as the kernels take them well: only whole ones are shared between requests, and 128
    tokens, which vLLM has here by itself, are more than a short question.
    """
    arguments["engine_kwargs"]["enable_chunked_prefill"] = False
    arguments["engine_kwargs"]["block_size"] = 32
    arguments["placement_group_config"] = {"bundles": [{"CPU": 1}]}
    arguments["engine_kwargs"]["enforce_eager"] = True
    arguments["runtime_env"]["env_vars"]["VLLM_CPU_KVCACHE_SPACE"] = str(config.kv_cache_gib)


@contextmanager
def generator(config: ServeEngineConfig, *, model_path: str, application: str) -> Iterator[str]:
    """Yield the name of an application that serves the model: a running one, or one deployed for as long as it is used.

    Raises:
        ModelError: There is no such application, or the model did not come up.
    """
    if config.attach is not None:
        _require_running(config.attach, model=config.model)
        yield config.attach
        return
    try:
        deploy_generator(config, model_path=model_path, application=application)
        yield application
    finally:
        with suppress(RayError, RayServeException):
            serve.delete(application)


def deploy_generator(config: ServeEngineConfig, *, model_path: str, application: str) -> None:
    """Deploy the model as an application without a route, and wait until it answers.

    Raises:
        ModelError: It failed to start, or was not ready before the deadline.
    """
    from ray.serve.llm import LLMConfig, build_llm_deployment  # noqa: PLC0415  (imports vLLM)

    from metamath_ray.distributed.llm_server import CompletionServer  # noqa: PLC0415

    try:
        target = build_llm_deployment(
            LLMConfig(**llm_config_arguments(config, model_path=model_path)),
            deployment_cls=CompletionServer,
            override_serve_options={"max_constructor_retry_count": MAX_START_ATTEMPTS},
        )
    except ValueError as error:
        raise ConfigError(f"engine: {_one_line(error)}") from error
    serve.start(proxy_location=ProxyLocation.Disabled, logging_config=QUIET)
    serve.run_many(
        [serve.RunTarget(target=target, name=application, route_prefix=None, logging_config=QUIET)],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )
    wait_until_running(application, deadline_seconds=config.start_deadline_seconds)


def openai_application(config: ServeEngineConfig, *, model_path: str) -> serve.Application:
    """Build the application that answers on an OpenAI-compatible route as well as over its handle.

    A bootstrap can attach to it (`engine.attach`), and so can any OpenAI client.
    """
    from ray.serve.llm import LLMConfig, build_openai_app  # noqa: PLC0415  (imports vLLM)

    from metamath_ray.distributed.llm_server import CompletionServer  # noqa: PLC0415

    arguments = llm_config_arguments(config, model_path=model_path)
    return build_openai_app({"llm_configs": [LLMConfig(**arguments, server_cls=CompletionServer)]})


def _one_line(error: ValueError) -> str:
    return describe_validation_error(error) if isinstance(error, ValidationError) else str(error).splitlines()[0]


def _require_running(application: str, *, model: str) -> None:
    running = sorted(name for name, app in serve.status().applications.items() if DEPLOYMENT_NAME in app.deployments)
    if application not in running:
        raise ModelError(
            f"engine.attach: no application {application!r} with a deployment {DEPLOYMENT_NAME!r} runs on this "
            f"cluster; running: {', '.join(running) or 'none'}"
        )
    served = serve.get_deployment_handle(DEPLOYMENT_NAME, application).model_id.remote().result(timeout_s=60)
    if served != served_name(model):
        raise ModelError(f"engine.attach: {application!r} serves {served!r}, and this run asks for {model!r}")


def wait_until_running(application: str, *, deadline_seconds: float) -> None:
    """Wait until all deployments of an application are up.

    Raises:
        ModelError: One failed to start, or they were not up before the deadline; with the end of its log.
    """
    deadline = time.monotonic() + deadline_seconds
    while (status := serve.status().applications[application].status) != ApplicationStatus.RUNNING:
        if status in (ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.UNHEALTHY):
            raise ModelError(_failure(application, f"failed to start {MAX_START_ATTEMPTS} times"))
        if time.monotonic() > deadline:
            raise ModelError(_failure(application, f"was not ready within {deadline_seconds:.0f} s"))
        time.sleep(POLL_SECONDS)


def _failure(application: str, what: str) -> str:
    status = serve.status().applications[application]
    said = "\n".join([status.message, *(deployment.message for deployment in status.deployments.values())])
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    reason = next((line for line in reversed(lines) if "Error" in line), lines[-1] if lines else "it gave no reason")
    logs = session_logs()
    tail = _log_tail(logs) if logs else ""
    return f"the model {what}: {reason}" + (f"\n{tail}\nlogs: {logs}" if tail else "")


def _log_tail(logs: Path) -> str:
    replicas = sorted(logs.glob("serve/replica_*"), key=lambda path: path.stat().st_mtime)
    if not replicas:
        return ""
    lines = replicas[-1].read_text(errors="replace").splitlines()
    return "\n".join(lines[-LOG_TAIL_LINES:])
