"""Run a Serve application in the foreground, on this machine or on a cluster, until its owner leaves."""

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import httpx
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import ProxyLocation
from ray.serve.exceptions import RayServeException

from metamath_ray.config import HttpConfig, ReplicasConfig, ServeEngineConfig, SolveConfig
from metamath_ray.distributed.cluster import connected
from metamath_ray.distributed.deployment import CPU_PER_REPLICA, QUIET, wait_until_running
from metamath_ray.distributed.observer import Observer
from metamath_ray.distributed.preflight import check_fits
from metamath_ray.errors import ConfigError, ModelError
from metamath_ray.inference.models import resolve_model

APPLICATION = "solve"
POLL_SECONDS = 0.2
CPU_OF_INGRESS = 1
GPU_ADVICE = "leave accelerator_type out to serve on CPU, or give ray.address"


@contextmanager
def serving(
    config: SolveConfig,
    *,
    check: Callable[[SolveConfig], object],
    build: Callable[[SolveConfig], serve.Application],
    environment: Mapping[str, str],
    observer: Observer,
) -> Iterator[str]:
    """Deploy the solve service and yield its address once it has answered a question; it ends with the block.

    Args:
        check: Looks at models and prompts, before anything starts.
        build: Binds the deployments; wants Ray.
        environment: Variables that Ray has to be started with.

    Raises:
        UserError: A model, a prompt set, a GPU or a free port is missing.
        ModelError: A model did not come up.
    """
    _require_free_port(config.http.host, config.http.port)
    observer.stage("checking models and prompts")
    check(config)
    _check_fits(config, observer)
    os.environ.update(environment)
    observer.stage("starting Ray")
    num_cpus, num_gpus = _required(config)
    with connected(config.ray, num_cpus=num_cpus, num_gpus=num_gpus, gpu_advice=GPU_ADVICE, logs=None):
        observer.stage(f"loading {' and '.join(engine.model for engine, _ in _engines(config))} into vLLM")
        try:
            yield _deployed(config, build(config))
        finally:
            with suppress(RayError, RayServeException):
                serve.delete(APPLICATION)


def _engines(config: SolveConfig) -> list[tuple[ServeEngineConfig, ReplicasConfig]]:
    """Return the deployments of vLLM: one where the generator judges, too."""
    engines = [(config.generator, config.autoscaling.generator)]
    if config.verifier is not None and not config.shares_weights:
        engines.append((config.verifier, config.autoscaling.verifier))
    return engines


def _check_fits(config: SolveConfig, observer: Observer) -> None:
    for name, (engine, _) in zip(("generator", "verifier"), _engines(config), strict=False):
        check_fits(engine, model_path=resolve_model(engine.model), observer=observer, name=name)


def _required(config: SolveConfig) -> tuple[int, int]:
    """Return the logical CPUs of all replicas that there may be, and the GPUs without which it does not start."""
    most = sum(replicas.max_replicas for _, replicas in _engines(config))
    num_cpus = CPU_PER_REPLICA * most + CPU_OF_INGRESS * config.autoscaling.ingress.max_replicas
    on_gpu = [(engine, replicas) for engine, replicas in _engines(config) if engine.accelerator_type is not None]
    return num_cpus, sum(replicas.min_replicas * engine.tensor_parallel_size for engine, replicas in on_gpu)


def local_url(config: HttpConfig) -> str:
    """Return the address under which this machine reaches the service."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104  (compared, not bound)
    return f"http://{f'[{host}]' if ':' in host else host}:{config.port}"


def _deployed(config: SolveConfig, application: serve.Application) -> str:
    options = {"host": config.http.host, "port": config.http.port}
    serve.start(proxy_location=ProxyLocation.HeadOnly, http_options=options, logging_config=QUIET)
    serve.run_many(
        [serve.RunTarget(target=application, name=APPLICATION, route_prefix="/", logging_config=QUIET)],
        wait_for_ingress_deployment_creation=False,
        wait_for_applications_running=False,
    )
    deadline = time.monotonic() + max(engine.start_deadline_seconds for engine, _ in _engines(config))
    wait_until_running(APPLICATION, deadline_seconds=deadline - time.monotonic())
    url = local_url(config.http)
    _wait_until_ready(url, deadline)
    return url


def _wait_until_ready(url: str, deadline: float) -> None:
    """Wait until the canary question was answered."""
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            if httpx.get(f"{url}/readyz", timeout=10, trust_env=False).is_success:
                return
        time.sleep(POLL_SECONDS)
    raise ModelError("the models are up, and did not answer a question before the start's deadline")


def _require_free_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port} ({error.strerror}); choose another --http.port"
            ) from error
